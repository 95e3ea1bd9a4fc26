//! The writing end of `wire.log`: one `write(2)` for each record, and a thread that syncs it soon after.
//!
//! Invariants: a record is in the kernel before [`Recorder::append`] returns, so it survives the death of
//! this process; it is on the disk at most about 5 ms later, so a power cut loses no more than that; after
//! an error the segment is never written again.

use crate::wire_log::{RECORD_LEN, WireLogError, WireRecord, encode_header, last_seq, segment_name, segments};
use crossbeam_channel::{Receiver, Sender, bounded};
use domain::UnixNanos;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Takes records before their requests go out.
pub trait Recorder {
    /// Writes one record, giving it the next number; it survives the death of this process when this returns.
    ///
    /// # Errors
    /// [`WireLogError`]: no order may be sent; cancels may.
    fn append(&mut self, record: WireRecord) -> Result<u64, WireLogError>;

    /// Does ahead of the first record what would delay it.
    ///
    /// # Errors
    /// [`WireLogError`]: the first record would fail as well.
    fn prepare(&mut self, _now: UnixNanos) -> Result<(), WireLogError> {
        Ok(())
    }
}

/// Bounds of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLogBounds {
    /// A segment is closed when it has reached so many bytes.
    pub segment_bytes_max: u64,
    /// All segments together; beyond it nothing is written until old ones are deleted.
    pub bytes_max: u64,
}

impl Default for WireLogBounds {
    fn default() -> Self {
        Self { segment_bytes_max: 4 * 1024 * 1024, bytes_max: 1024 * 1024 * 1024 }
    }
}

/// The log of one data directory. Whoever opens it holds the directory's lock.
pub struct WireLog {
    dir: PathBuf,
    bounds: WireLogBounds,
    next_seq: u64,
    next_segment: u64,
    /// Bytes of the closed segments.
    closed_bytes: u64,
    current: Option<Segment>,
    syncer: Syncer,
}

struct Segment {
    file: Arc<File>,
    bytes: u64,
}

impl WireLog {
    /// Opens the log of `dir` for appending behind what is there. Nothing that is there is changed, except
    /// that segments without a record are removed; records go to a new segment, made at the first append.
    ///
    /// # Errors
    /// [`WireLogError`] when the directory or a segment in it cannot be used.
    pub fn open(dir: &Path, bounds: WireLogBounds) -> Result<Self, WireLogError> {
        fs::create_dir_all(dir).map_err(WireLogError::io(dir))?;
        let mut closed_bytes = 0;
        let mut next_segment = 1;
        let next_seq = last_seq(dir)? + 1;
        for (number, path) in segments(dir)? {
            next_segment = number + 1;
            let bytes = fs::metadata(&path).map_err(WireLogError::io(&path))?.len();
            if bytes <= RECORD_LEN as u64 {
                fs::remove_file(&path).map_err(WireLogError::io(&path))?;
            } else {
                closed_bytes += bytes;
            }
        }
        let syncer = Syncer::start().map_err(WireLogError::io(dir))?;
        Ok(Self { dir: dir.to_owned(), bounds, next_seq, next_segment, closed_bytes, current: None, syncer })
    }

    /// The number that the next record will have.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Deletes closed segments all of whose records have numbers up to `journalled`.
    /// Says how many segments were deleted.
    ///
    /// # Errors
    /// [`WireLogError::Io`]; what could be deleted is deleted.
    pub fn delete_through(&mut self, journalled: u64) -> Result<usize, WireLogError> {
        self.delete_while(|last| last.is_none_or(|last| last.seq <= journalled))
    }

    /// Deletes closed segments all of whose records were written before `time`, which the journal must have passed.
    /// Says how many segments were deleted.
    ///
    /// # Errors
    /// [`WireLogError::Io`]; what could be deleted is deleted.
    pub fn delete_before(&mut self, time: UnixNanos) -> Result<usize, WireLogError> {
        self.delete_while(|last| last.is_none_or(|last| last.at < time))
    }

    /// Deletes closed segments, the oldest first, while their last record may go.
    fn delete_while(&mut self, may_go: impl Fn(Option<WireRecord>) -> bool) -> Result<usize, WireLogError> {
        let mut deleted = 0;
        let open = self.current.is_some().then(|| self.next_segment.saturating_sub(1));
        for (number, path) in segments(&self.dir)? {
            if Some(number) == open {
                break;
            }
            let bytes = fs::read(&path).map_err(WireLogError::io(&path))?;
            let (chunks, _) = bytes.as_chunks::<RECORD_LEN>();
            let last = chunks.iter().rev().find_map(WireRecord::decode);
            if !may_go(last) {
                break;
            }
            fs::remove_file(&path).map_err(WireLogError::io(&path))?;
            self.closed_bytes = self.closed_bytes.saturating_sub(bytes.len() as u64);
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Waits until everything written so far is on the disk.
    ///
    /// # Errors
    /// [`WireLogError::Io`] when it cannot be synced.
    pub fn sync(&self) -> Result<(), WireLogError> {
        match &self.current {
            Some(segment) => segment.file.sync_data().map_err(WireLogError::io(&self.dir)),
            None => Ok(()),
        }
    }

    fn segment_for_one_more(&mut self, now: UnixNanos) -> Result<&mut Segment, WireLogError> {
        if self.syncer.take_failure() {
            self.close_segment();
            return Err(WireLogError::SyncFailed { path: self.dir.clone() });
        }
        if self.current.as_ref().is_some_and(|segment| segment.bytes >= self.bounds.segment_bytes_max) {
            self.close_segment();
        }
        let open_bytes = self.current.as_ref().map_or(0, |segment| segment.bytes);
        if self.closed_bytes + open_bytes + RECORD_LEN as u64 > self.bounds.bytes_max {
            return Err(WireLogError::Full { path: self.dir.clone(), bytes_max: self.bounds.bytes_max });
        }
        if self.current.is_none() {
            let segment = self.new_segment(now)?;
            self.syncer.watch(&segment.file);
            self.current = Some(segment);
        }
        self.current
            .as_mut()
            .ok_or_else(|| WireLogError::Io { path: self.dir.clone(), source: io::Error::other("no segment") })
    }

    fn new_segment(&mut self, now: UnixNanos) -> Result<Segment, WireLogError> {
        let path = self.dir.join(segment_name(self.next_segment));
        self.next_segment += 1;
        let fail = |source| WireLogError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(fail)?;
        write_once(&file, &encode_header(self.next_seq, now)).map_err(fail)?;
        // The name of the file must be on the disk before a record in it counts as synced.
        file.sync_data().map_err(fail)?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(fail)?;
        Ok(Segment { file: Arc::new(file), bytes: RECORD_LEN as u64 })
    }

    fn close_segment(&mut self) {
        if let Some(segment) = self.current.take() {
            self.closed_bytes += segment.bytes;
        }
    }
}

impl Recorder for WireLog {
    fn prepare(&mut self, now: UnixNanos) -> Result<(), WireLogError> {
        self.segment_for_one_more(now).map(|_| ())
    }

    fn append(&mut self, record: WireRecord) -> Result<u64, WireLogError> {
        let seq = self.next_seq;
        let dir = self.dir.clone();
        let bytes = WireRecord { seq, ..record }.encode();
        let segment = self.segment_for_one_more(record.at)?;
        if let Err(source) = write_once(&segment.file, &bytes) {
            // Its end may now be half a record; the next one begins a new segment.
            self.close_segment();
            return Err(WireLogError::Io { path: dir, source });
        }
        segment.bytes += RECORD_LEN as u64;
        self.next_seq += 1;
        self.syncer.nudge();
        Ok(seq)
    }
}

/// One `write(2)`; a short write is an error.
fn write_once(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    match file.write(bytes)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::WriteZero, "only a part was written")),
    }
}

/// What writer and sync thread share.
struct Shared {
    /// The segment that is being written.
    file: Mutex<Option<Arc<File>>>,
    /// Something was written since the last sync.
    dirty: AtomicBool,
    /// The thread waits for a nudge.
    asleep: AtomicBool,
    /// A sync has failed and nobody was told yet.
    failed: AtomicBool,
}

/// Syncs what was written, at most [`Syncer::EVERY`] and one sync later.
struct Syncer {
    shared: Arc<Shared>,
    bell: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Between two looks at whether something was written.
    const EVERY: Duration = Duration::from_millis(2);
    /// After so many looks in vain (one second) the thread sleeps until nudged.
    const LOOKS_IN_VAIN_MAX: u32 = 500;

    fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            file: Mutex::new(None),
            dirty: AtomicBool::new(false),
            asleep: AtomicBool::new(true),
            failed: AtomicBool::new(false),
        });
        let (bell, rung) = bounded(1);
        let theirs = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("wire-log-sync".to_owned()).spawn(move || live(&theirs, &rung))?;
        Ok(Self { shared, bell: Some(bell), thread: Some(thread) })
    }

    fn watch(&self, file: &Arc<File>) {
        *self.shared.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(file));
    }

    fn nudge(&self) {
        self.shared.dirty.store(true, Ordering::SeqCst);
        // Waking a sleeping thread is a system call; a thread that looks every 2 ms needs none.
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(bell) = &self.bell
        {
            // Full: it has been rung already.
            let _ = bell.try_send(());
        }
    }

    fn take_failure(&self) -> bool {
        self.shared.failed.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            // It syncs what is left and ends; if it panicked there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn live(shared: &Shared, rung: &Receiver<()>) {
    loop {
        fail_point::step("wire-log-sync");
        shared.asleep.store(true, Ordering::SeqCst);
        let woken = shared.dirty.load(Ordering::SeqCst) || rung.recv().is_ok();
        shared.asleep.store(false, Ordering::SeqCst);
        if !woken {
            return;
        }
        let mut looks_in_vain = 0;
        while looks_in_vain < Syncer::LOOKS_IN_VAIN_MAX {
            if sync_if_dirty(shared) {
                looks_in_vain = 0;
            } else {
                looks_in_vain += 1;
            }
            match rung.recv_timeout(Syncer::EVERY) {
                Ok(()) | Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                    sync_if_dirty(shared);
                    return;
                }
            }
        }
    }
}

fn sync_if_dirty(shared: &Shared) -> bool {
    if !shared.dirty.swap(false, Ordering::SeqCst) {
        return false;
    }
    let file = shared.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(file) = file
        && file.sync_data().is_err()
    {
        // A failed sync is final for the segment: the writer begins a new one.
        shared.failed.store(true, Ordering::SeqCst);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire_log::read_all;
    use crate::wire_log::tests::place_record;

    fn open(dir: &Path) -> WireLog {
        WireLog::open(dir, WireLogBounds::default()).unwrap()
    }

    #[test]
    fn records_are_readable_at_once_and_numbered_over_restarts() {
        let home = tempfile::tempdir().unwrap();
        let mut log = open(home.path());
        for expected in 1..=3 {
            assert_eq!(log.append(place_record(expected)).unwrap(), expected);
            assert_eq!(read_all(home.path()).unwrap().last_seq, expected, "in the kernel before it is sent");
        }
        drop(log);
        let mut log = open(home.path());
        assert_eq!(log.next_seq(), 4);
        log.append(place_record(99)).unwrap();
        log.sync().unwrap();
        let history = read_all(home.path()).unwrap();
        assert_eq!(history.records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((history.torn_bytes, history.damaged), (0, 0));
    }

    #[test]
    fn restart_after_a_torn_record_goes_on_behind_it_without_touching_it() {
        let home = tempfile::tempdir().unwrap();
        let mut log = open(home.path());
        log.append(place_record(1)).unwrap();
        drop(log);
        let path = home.path().join(segment_name(1));
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&place_record(2).encode()[..100]);
        fs::write(&path, &bytes).unwrap();

        let mut log = open(home.path());
        log.append(place_record(2)).unwrap();
        let history = read_all(home.path()).unwrap();
        assert_eq!((history.last_seq, history.torn_bytes, history.damaged), (2, 100, 0));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn starts_without_a_record_leave_no_segment() {
        let home = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let mut log = open(home.path());
            assert_eq!(segments(home.path()).unwrap().len(), 0);
            log.prepare(UnixNanos(5)).unwrap();
            assert_eq!(segments(home.path()).unwrap().len(), 1, "made before the first order needs it");
        }
    }

    #[test]
    fn full_segment_is_closed_and_journalled_ones_are_deleted() {
        let home = tempfile::tempdir().unwrap();
        let bounds = WireLogBounds { segment_bytes_max: 3 * RECORD_LEN as u64, bytes_max: 1 << 20 };
        let mut log = WireLog::open(home.path(), bounds).unwrap();
        for seq in 1..=5 {
            log.append(place_record(seq)).unwrap();
        }
        assert_eq!(segments(home.path()).unwrap().len(), 3, "two records and a header each");
        assert_eq!(read_all(home.path()).unwrap().last_seq, 5);
        assert_eq!(log.delete_through(1).unwrap(), 0);
        assert_eq!(log.delete_through(3).unwrap(), 1);
        assert_eq!(log.delete_through(99).unwrap(), 1, "the open one stays");
        assert_eq!(read_all(home.path()).unwrap().records.iter().map(|r| r.seq).collect::<Vec<_>>(), [5]);
        assert_eq!(log.append(place_record(6)).unwrap(), 6);
    }

    #[test]
    fn segments_that_ended_before_a_time_are_deleted_and_the_open_one_stays() {
        let home = tempfile::tempdir().unwrap();
        let bounds = WireLogBounds { segment_bytes_max: 3 * RECORD_LEN as u64, ..WireLogBounds::default() };
        let mut log = WireLog::open(home.path(), bounds).unwrap();
        for second in 1..=7_u64 {
            log.append(WireRecord { at: UnixNanos(second * 1_000_000_000), ..place_record(second) }).unwrap();
        }
        assert_eq!(log.delete_before(UnixNanos(4_000_000_000)).unwrap(), 1, "two records fit a segment");
        assert_eq!(log.delete_before(UnixNanos(100_000_000_000)).unwrap(), 2);
        let left: Vec<u64> = read_all(home.path()).unwrap().records.iter().map(|record| record.seq).collect();
        assert_eq!(left, [7], "the open segment stays whatever its age");
    }

    #[test]
    fn log_at_its_bound_takes_nothing_until_old_segments_are_deleted() {
        let home = tempfile::tempdir().unwrap();
        let record = RECORD_LEN as u64;
        let bounds = WireLogBounds { segment_bytes_max: 2 * record, bytes_max: 4 * record };
        let mut log = WireLog::open(home.path(), bounds).unwrap();
        log.append(place_record(1)).unwrap();
        log.append(place_record(2)).unwrap();
        assert!(matches!(log.append(place_record(3)), Err(WireLogError::Full { .. })));
        log.delete_through(1).unwrap();
        assert_eq!(log.append(place_record(3)).unwrap(), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn failed_append_is_an_error_and_the_next_one_begins_a_new_segment() {
        let home = tempfile::tempdir().unwrap();
        let mut log = open(home.path());
        log.append(place_record(1)).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        log.current = Some(Segment { file: Arc::new(full), bytes: 160 });
        let Err(WireLogError::Io { source, .. }) = log.append(place_record(2)) else { panic!("the device is full") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(log.append(place_record(2)).unwrap(), 2, "no number is used up by a record that was not written");
        assert_eq!(read_all(home.path()).unwrap().last_seq, 2);
    }

    #[test]
    fn failed_sync_is_told_at_the_next_append_and_healed_by_a_new_segment() {
        let home = tempfile::tempdir().unwrap();
        let mut log = open(home.path());
        log.append(place_record(1)).unwrap();
        log.syncer.shared.failed.store(true, Ordering::SeqCst);
        assert!(matches!(log.append(place_record(2)), Err(WireLogError::SyncFailed { .. })));
        assert_eq!(log.append(place_record(2)).unwrap(), 2);
        assert_eq!(segments(home.path()).unwrap().len(), 2);
    }
}
