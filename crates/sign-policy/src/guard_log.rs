//! The guard log: a record of every signature, in the kernel before the signature is released.
//!
//! Invariants:
//! - When [`GuardLog::append`] has returned, the record survives the death of this process; about 5 ms later that of
//!   the machine, in [`SyncMode::Strict`] at once.
//! - After an error a segment is never written again, and a failed sync is never tried again.
//! - After the machine went down no order is recorded before the caller has reconciled, whatever happened since.

use crate::disk::{Disk, DiskFile, RealDisk, replace};
use crate::guard_reader::{Scan, SealedSegment, blank, hashed, segments};
use crate::guard_record::{GuardRecord, Header, PLACES, SEGMENT_LEN, offset, segment_name};
use crate::guard_sync::Syncer;
use domain::{Epoch, UnixNanos};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// When a record counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// When the kernel has it; the disk follows within about 5 ms.
    #[default]
    Group,
    /// When the disk has it; each signature waits for that, about 4 ms.
    Strict,
}

/// How the run before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// In order, or there was none.
    Clean,
    /// The process was killed; every record of a released signature is there.
    KilledProcess,
    /// The machine went down, or nobody can tell: records may be missing. Open orders and fills of the last epoch
    /// must be reconciled, then [`GuardLog::reconciled`]; until then nothing is recorded.
    MachineWentDown,
}

/// Why a signature was not recorded, and so must not be released.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file system refused.
    #[error("guard log {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was written lately may not be on the disk; the next record goes to a new segment.
    #[error("guard log {path} could not be synced; its segment is given up")]
    SyncFailed {
        /// The directory.
        path: PathBuf,
    },
    /// The machine went down and nobody has reconciled since.
    #[error("the machine went down: open orders and fills must be reconciled before new orders")]
    NotReconciled,
    /// The epoch was used before: an old copy of the epoch file is in place.
    #[error("epoch {epoch} is not above {used}, which has signatures; the epoch file is an old copy")]
    EpochUsed {
        /// The epoch of this run.
        epoch: u32,
        /// The latest one in the log.
        used: u32,
    },
    /// The record is of another run.
    #[error("the record is of another epoch")]
    OtherEpoch,
}

/// How long segments are kept; both bounds hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Closed segments, of 1 MiB each.
    pub segments_max: usize,
    /// Age of a segment's last record.
    pub age_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { segments_max: 1_024, age_max: Duration::from_secs(90 * 86_400) }
    }
}

struct Segment {
    number: u64,
    file: Arc<dyn DiskFile>,
    /// The place of the next record.
    place: u64,
}

/// The log of one custody directory. Whoever opens it holds the directory's lock.
pub struct GuardLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    epoch: Epoch,
    mode: SyncMode,
    boot_id: String,
    opening: Opening,
    reconcile_due: bool,
    current: Option<Segment>,
    next_segment: u64,
    /// Number of the next record, counted over all segments.
    next_index: u64,
    syncer: Syncer,
}

impl GuardLog {
    /// The name of the file that says how the last run ended.
    pub const STATE: &'static str = "guard.state";

    /// Opens the log for the run `epoch`, which must be above every epoch in it. `boot_id` is the machine's, from
    /// `/proc/sys/kernel/random/boot_id`; empty where there is none, which counts as another machine start.
    ///
    /// # Errors
    /// [`GuardError`]: no order may be signed; cancels may.
    pub fn open(dir: &Path, epoch: Epoch, mode: SyncMode, boot_id: &str) -> Result<Self, GuardError> {
        Self::open_on(Arc::new(RealDisk), dir, epoch, mode, boot_id)
    }

    /// [`Self::open`] on a given file system.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        epoch: Epoch,
        mode: SyncMode,
        boot_id: &str,
    ) -> Result<Self, GuardError> {
        let boot_id = boot_id.trim();
        let fail = |source| GuardError::Io { path: dir.to_owned(), source };
        disk.make_dir(dir).map_err(fail)?;
        let before = Before::read(&*disk, dir).map_err(fail)?;
        if before.epoch >= epoch.get() {
            return Err(GuardError::EpochUsed { epoch: epoch.get(), used: before.epoch });
        }
        let opening = before.opening(boot_id);
        let syncer = Syncer::start({
            let (disk, dir) = (Arc::clone(&disk), dir.to_owned());
            Box::new(move |number| make_segment(&*disk, &dir, number).ok())
        })
        .map_err(fail)?;
        let mut log = Self {
            disk,
            dir: dir.to_owned(),
            epoch,
            mode,
            boot_id: boot_id.to_owned(),
            opening,
            reconcile_due: opening == Opening::MachineWentDown,
            current: None,
            next_segment: before.last_segment + 1,
            next_index: before.next_index,
            syncer,
        };
        log.write_state(false).map_err(fail)?;
        log.roll()?;
        Ok(log)
    }

    /// How the run before ended.
    #[must_use]
    pub const fn opening(&self) -> Opening {
        self.opening
    }

    /// Whether records are refused until [`Self::reconciled`].
    #[must_use]
    pub const fn reconcile_due(&self) -> bool {
        self.reconcile_due
    }

    /// How many records are written and not yet known to be on the disk.
    #[must_use]
    pub fn unsynced(&self) -> u64 {
        match self.mode {
            SyncMode::Group => self.syncer.behind(),
            SyncMode::Strict => 0,
        }
    }

    /// Open orders and fills of the last epoch are reconciled: orders may be recorded from now on.
    ///
    /// # Errors
    /// [`GuardError::Io`]: it could not be noted, and orders stay refused.
    pub fn reconciled(&mut self) -> Result<(), GuardError> {
        let due = std::mem::take(&mut self.reconcile_due);
        self.write_state(false).map_err(|source| {
            self.reconcile_due = due;
            GuardError::Io { path: self.dir.join(Self::STATE), source }
        })
    }

    /// Writes one record. Release the signature only after this has returned.
    ///
    /// # Errors
    /// [`GuardError`]: release no signature. The next call tries a new segment.
    pub fn append(&mut self, record: &GuardRecord) -> Result<(), GuardError> {
        if self.reconcile_due {
            return Err(GuardError::NotReconciled);
        }
        if record.epoch != self.epoch {
            return Err(GuardError::OtherEpoch);
        }
        if self.syncer.take_failure() {
            self.current = None;
            return Err(GuardError::SyncFailed { path: self.dir.clone() });
        }
        if self.current.as_ref().is_none_or(|segment| segment.place >= PLACES) {
            self.roll()?;
        }
        let index = self.next_index;
        let Some(segment) = &mut self.current else {
            return Err(GuardError::SyncFailed { path: self.dir.clone() });
        };
        let bytes = record.encode(segment.number, index);
        if let Err(source) = segment.file.write_at(&bytes, offset(segment.place)) {
            // Its end may hold half a record. The next segment begins with this record's number.
            let path = self.dir.join(segment_name(segment.number));
            self.current = None;
            return Err(GuardError::Io { path, source });
        }
        if self.mode == SyncMode::Strict && segment.file.sync().is_err() {
            // Whether the record will be there nobody knows; it was not released, so its number is given again.
            self.current = None;
            return Err(GuardError::SyncFailed { path: self.dir.clone() });
        }
        segment.place += 1;
        self.next_index += 1;
        if segment.place == PLACES / 2 {
            self.syncer.want(self.next_segment);
        }
        if self.mode == SyncMode::Group {
            self.syncer.nudge();
        }
        Ok(())
    }

    /// Waits until the disk has every record, and notes that this run ended in order.
    ///
    /// # Errors
    /// [`GuardError`]: the next run will take this one for killed.
    pub fn close(mut self) -> Result<(), GuardError> {
        if !self.syncer.stop() {
            return Err(GuardError::SyncFailed { path: self.dir.clone() });
        }
        self.write_state(true).map_err(|source| GuardError::Io { path: self.dir.join(Self::STATE), source })
    }

    /// The segments that are written no more, the oldest first, each with its hash. Reads them all: not for the
    /// thread that signs.
    ///
    /// # Errors
    /// [`GuardError::Io`].
    pub fn sealed_segments(&self) -> Result<Vec<SealedSegment>, GuardError> {
        let fail = |source| GuardError::Io { path: self.dir.clone(), source };
        let mut sealed = Vec::new();
        for number in self.closed().map_err(fail)? {
            sealed.extend(hashed(&*self.disk, &self.dir, number).map_err(fail)?.filter(|one| one.records > 0));
        }
        Ok(sealed)
    }

    /// Removes closed segments, the oldest first, while there are too many or they are too old. Says how many.
    ///
    /// # Errors
    /// [`GuardError::Io`]; what could be removed is removed.
    pub fn prune(&mut self, retention: Retention, now: UnixNanos) -> Result<usize, GuardError> {
        let fail = |source| GuardError::Io { path: self.dir.clone(), source };
        let closed = self.closed().map_err(fail)?;
        let age_max = i64::try_from(retention.age_max.as_nanos()).unwrap_or(i64::MAX);
        let count = closed.len();
        let mut left = count;
        for number in closed {
            let old = || -> io::Result<bool> {
                let Some(mut scan) = Scan::load(&*self.disk, &self.dir, number)? else { return Ok(false) };
                let mut last = None;
                while let Some(record) = scan.next_record() {
                    last = Some(record.at);
                }
                Ok(last.is_some_and(|last| now.signed_since(last) > age_max))
            };
            if left <= retention.segments_max && !old().map_err(fail)? {
                break;
            }
            self.disk.remove(&self.dir.join(segment_name(number))).map_err(fail)?;
            left -= 1;
        }
        Ok(count - left)
    }

    fn closed(&self) -> io::Result<Vec<u64>> {
        let end = self.current.as_ref().map_or(self.next_segment, |segment| segment.number);
        Ok(segments(&*self.disk, &self.dir)?.into_iter().filter(|number| *number < end).collect())
    }

    /// Goes on in a new segment.
    fn roll(&mut self) -> Result<(), GuardError> {
        self.current = None;
        let mut number = self.next_segment;
        self.next_segment += 1;
        let ready = self.syncer.take_ready(number);
        let file = match ready {
            Some(file) => file,
            None => {
                // The other thread may be making a file of that number, or have failed at it: leave it alone.
                number = self.next_segment;
                self.next_segment += 1;
                make_segment(&*self.disk, &self.dir, number).map_err(|source| self.failed(number, source))?
            }
        };
        let header = Header { segment: number, epoch: self.epoch, first: self.next_index };
        file.write_at(&header.encode(), 0).map_err(|source| self.failed(number, source))?;
        self.syncer.watch(&file);
        self.current = Some(Segment { number, file, place: 1 });
        Ok(())
    }

    fn failed(&self, number: u64, source: io::Error) -> GuardError {
        GuardError::Io { path: self.dir.join(segment_name(number)), source }
    }

    fn write_state(&self, clean: bool) -> io::Result<()> {
        let state =
            State { boot_id: self.boot_id.clone(), epoch: self.epoch.get(), clean, reconcile_due: self.reconcile_due };
        replace(&*self.disk, &self.dir, Self::STATE, state.text().as_bytes())
    }
}

/// Makes an empty segment of which the name and the blocks are on the disk.
fn make_segment(disk: &dyn Disk, dir: &Path, number: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(&dir.join(segment_name(number)), SEGMENT_LEN)?;
    file.sync()?;
    disk.sync_dir(dir)?;
    Ok(file)
}

/// What the state file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    boot_id: String,
    epoch: u32,
    clean: bool,
    reconcile_due: bool,
}

impl State {
    const MAGIC: &'static str = "steadfast-guard-1";
    const LEN_MAX: u64 = 512;

    fn text(&self) -> String {
        let ended = if self.clean { "clean" } else { "running" };
        let due = if self.reconcile_due { "due" } else { "done" };
        let head = format!("{} {} {ended} {due} {}", Self::MAGIC, self.epoch, self.boot_id);
        format!("{head}\n{:08x}\n", crc32fast::hash(head.as_bytes()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.lines().next()?.splitn(5, ' ').skip(1);
        let epoch = words.next()?.parse().ok()?;
        let clean = words.next()? == "clean";
        let reconcile_due = words.next()? == "due";
        let state = Self { epoch, clean, reconcile_due, boot_id: words.next()?.to_owned() };
        // Whatever is spelled otherwise, checksum included, was not written here.
        (state.text() == text).then_some(state)
    }
}

/// What earlier runs left.
struct Before {
    /// `None`: there is no state file that can be read.
    state: Option<State>,
    epoch: u32,
    last_segment: u64,
    next_index: u64,
    /// No segment with a record or a state file was found.
    first_run: bool,
    /// The last segment ends as it should.
    whole: bool,
}

impl Before {
    fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let (state, state_missing) = match disk.read(&dir.join(GuardLog::STATE), State::LEN_MAX) {
            Ok(bytes) => (State::parse(&bytes), false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, true),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => (None, false),
            Err(error) => return Err(error),
        };
        let epoch = state.as_ref().map_or(0, |state| state.epoch);
        let mut before = Self { state, epoch, last_segment: 0, next_index: 0, first_run: state_missing, whole: true };
        // The newest with a header tells all: numbers and epochs only rise.
        for number in segments(disk, dir)?.into_iter().rev() {
            before.last_segment = before.last_segment.max(number);
            if let Some(mut scan) = Scan::load(disk, dir, number)? {
                before.first_run = false;
                while scan.next_record().is_some() {}
                before.epoch = before.epoch.max(scan.header.epoch.get());
                before.next_index = scan.index;
                before.whole &= scan.is_whole();
                break;
            }
            if blank(disk, dir, number)? {
                // Set aside and never begun.
                disk.remove(&dir.join(segment_name(number)))?;
            } else {
                // Its beginning is damaged; it stays, for whoever looks into it.
                before.first_run = false;
                before.whole = false;
            }
        }
        Ok(before)
    }

    fn opening(&self, boot_id: &str) -> Opening {
        match &self.state {
            None if self.first_run => Opening::Clean,
            Some(state) if state.reconcile_due => Opening::MachineWentDown,
            Some(state) if state.clean => Opening::Clean,
            Some(state) if self.whole && !boot_id.is_empty() && state.boot_id == boot_id => Opening::KilledProcess,
            _ => Opening::MachineWentDown,
        }
    }
}
