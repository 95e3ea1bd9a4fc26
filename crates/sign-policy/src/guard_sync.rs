//! The thread that syncs the guard log, and keeps the next segment ready.

use crate::disk::DiskFile;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Makes the file of the next segment.
pub(crate) type MakeFile = dyn Fn(u64) -> Option<Arc<dyn DiskFile>> + Send + Sync;

/// What writer and thread share.
struct Shared {
    /// Segments that may hold unsynced records: the current one last.
    files: Mutex<Vec<Arc<dyn DiskFile>>>,
    /// Records handed to the kernel.
    written: AtomicU64,
    /// Of these on the disk.
    synced: AtomicU64,
    failed: AtomicBool,
    asleep: AtomicBool,
    stop: AtomicBool,
    /// The number of the segment wanted next; zero: none.
    wanted: AtomicU64,
    ready: Mutex<Option<(u64, Arc<dyn DiskFile>)>>,
}

/// Syncs what was written, in groups.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    waker: Option<Thread>,
}

impl Syncer {
    /// Between two looks; with the sync itself below 5 ms.
    const EVERY: Duration = Duration::from_millis(2);
    /// So many records are synced without waiting for the next look.
    const GROUP: u64 = 256;
    /// After so many looks in vain (one second) the thread sleeps until woken.
    const LOOKS_IN_VAIN_MAX: u32 = 500;

    pub(crate) fn start(make: Box<MakeFile>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            files: Mutex::new(Vec::with_capacity(4)),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            ready: Mutex::new(None),
        });
        let theirs = Arc::clone(&shared);
        let (begun, begins) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            let _ = begun.send(());
            theirs.live(&*make);
        };
        let thread = std::thread::Builder::new().name("guard-sync".into()).spawn(work)?;
        // What the system does to begin a thread would end the process behind a sandbox that closes meanwhile.
        begins.recv().map_err(std::io::Error::other)?;
        let waker = Some(thread.thread().clone());
        Ok(Self { shared, thread: Some(thread), waker })
    }

    /// From here on records go to `file`; earlier files are still synced once.
    pub(crate) fn watch(&self, file: &Arc<dyn DiskFile>) {
        self.shared.files.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(file));
    }

    /// A record was handed to the kernel.
    pub(crate) fn nudge(&self) {
        let written = self.shared.written.fetch_add(1, Ordering::SeqCst) + 1;
        let behind = written.saturating_sub(self.shared.synced.load(Ordering::Relaxed));
        if self.shared.asleep.load(Ordering::SeqCst) || behind == Self::GROUP {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.waker {
            thread.unpark();
        }
    }

    /// Whether a sync has failed since this was last asked; its file is not to be written again.
    pub(crate) fn take_failure(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed) && self.shared.failed.swap(false, Ordering::SeqCst)
    }

    /// How many records were written and are not known to be on the disk.
    pub(crate) fn behind(&self) -> u64 {
        let written = self.shared.written.load(Ordering::SeqCst);
        written.saturating_sub(self.shared.synced.load(Ordering::SeqCst))
    }

    /// Asks for the file of segment `number` ahead of its use.
    pub(crate) fn want(&self, number: u64) {
        self.shared.wanted.store(number, Ordering::SeqCst);
    }

    /// The file of segment `number`, if it is ready.
    pub(crate) fn take_ready(&self, number: u64) -> Option<Arc<dyn DiskFile>> {
        let ready = self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.filter(|(at, _)| *at == number).map(|(_, file)| file)
    }

    /// Syncs what is left and ends the thread. Says whether all is on the disk.
    pub(crate) fn stop(&mut self) -> bool {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        ended && !self.shared.failed.load(Ordering::SeqCst) && self.behind() == 0
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn live(&self, make: &MakeFile) {
        let mut in_vain = 0;
        loop {
            let stop = self.stop.load(Ordering::SeqCst);
            let idle = self.written.load(Ordering::SeqCst) == self.synced.load(Ordering::SeqCst);
            if !idle {
                in_vain = 0;
                self.sync();
            }
            if stop {
                return;
            }
            self.make_ready(make);
            in_vain += u32::from(idle);
            if in_vain > Syncer::LOOKS_IN_VAIN_MAX {
                self.asleep.store(true, Ordering::SeqCst);
                let still = self.written.load(Ordering::SeqCst) == self.synced.load(Ordering::SeqCst);
                if still && !self.stop.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                in_vain = 0;
            } else {
                std::thread::park_timeout(Syncer::EVERY);
            }
        }
    }

    fn sync(&self) {
        // Counted before the files are named: a record counted here is in one of them.
        let written = self.written.load(Ordering::SeqCst);
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut whole = true;
        for file in &files {
            whole &= file.sync().is_ok();
        }
        if !whole {
            self.failed.store(true, Ordering::SeqCst);
        }
        // A failed sync is never tried again: what it concerned counts as done, and the writer is told.
        self.synced.store(written, Ordering::SeqCst);
        let mut now = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = files.len().saturating_sub(usize::from(whole));
        now.drain(..keep.min(files.len()));
    }

    fn make_ready(&self, make: &MakeFile) {
        let wanted = self.wanted.swap(0, Ordering::SeqCst);
        if wanted > 0
            && let Some(file) = make(wanted)
        {
            *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some((wanted, file));
        }
    }
}
