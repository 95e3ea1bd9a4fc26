//! Reads the guard log: every record of every segment, or the first place that holds none and should.

use crate::disk::Disk;
use crate::guard_record::{GuardRecord, Header, PLACES, RECORD_LEN, SEGMENT_LEN, offset, segment_name, segment_number};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first place that is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum GuardDamage {
    /// A segment cannot be read.
    #[error("guard segment {segment}: {source}")]
    Io {
        /// The segment's number.
        segment: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A record, or a segment's header (place 0), is missing, altered or not the one that belongs there.
    #[error("guard segment {segment}, place {place}: not the record that belongs there")]
    Record {
        /// The segment's number.
        segment: u64,
        /// The place in it, counted from 0.
        place: u64,
    },
    /// A segment between two others is gone, or records at its end are.
    #[error("guard segment {segment} begins with record {found}, but record {expected} comes next")]
    Gap {
        /// The segment after the gap.
        segment: u64,
        /// The record that should come next, counted over all segments.
        expected: u64,
        /// The record with which the segment begins.
        found: u64,
    },
}

/// Iterates the records of all segments of a directory, the oldest first; ends after the first damage.
pub struct GuardReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segments: VecDeque<u64>,
    current: Option<Scan>,
    expected: Option<u64>,
    ended: bool,
}

impl GuardReader {
    /// A reader of what is in `dir` now.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::open_on(Arc::new(crate::disk::RealDisk), dir)
    }

    /// [`Self::open`] on a given file system.
    ///
    /// # Errors
    /// What the system said.
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Self> {
        let segments = segments(&*disk, dir)?.into();
        Ok(Self { disk, dir: dir.to_owned(), segments, current: None, expected: None, ended: false })
    }

    fn step(&mut self) -> Option<Result<GuardRecord, GuardDamage>> {
        loop {
            if let Some(scan) = &mut self.current {
                match scan.next_record() {
                    Some(record) => return Some(Ok(record)),
                    None => {
                        self.expected = Some(scan.index);
                        let torn = scan.damage();
                        self.current = None;
                        // A write that failed ends its segment, and its record was never released: then the next
                        // segment begins with that record's number, which is checked below.
                        if let Some(place) = torn.filter(|place| place.last > 0 || self.segments.is_empty()) {
                            return Some(Err(GuardDamage::Record { segment: place.segment, place: place.place }));
                        }
                    }
                }
            }
            let segment = self.segments.pop_front()?;
            let scan = match Scan::load(&*self.disk, &self.dir, segment) {
                Ok(Some(scan)) => scan,
                // Set aside for later and not begun yet.
                Ok(None) if blank(&*self.disk, &self.dir, segment).unwrap_or(false) => continue,
                Ok(None) => return Some(Err(GuardDamage::Record { segment, place: 0 })),
                Err(source) => return Some(Err(GuardDamage::Io { segment, source })),
            };
            // The last record of a segment that was given up was never released; its number may come again.
            let follows = |expected: u64| scan.index == expected || scan.index + 1 == expected;
            if let Some(expected) = self.expected.filter(|expected| !follows(*expected)) {
                return Some(Err(GuardDamage::Gap { segment, expected, found: scan.index }));
            }
            self.current = Some(scan);
        }
    }
}

impl Iterator for GuardReader {
    type Item = Result<GuardRecord, GuardDamage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.step();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

/// A place that holds something else than it should.
struct BadPlace {
    segment: u64,
    place: u64,
    /// Places behind it that are not blank.
    last: u64,
}

/// One segment being read.
pub(crate) struct Scan {
    segment: u64,
    bytes: Vec<u8>,
    pub(crate) header: Header,
    place: u64,
    /// Number of the record that comes next.
    pub(crate) index: u64,
}

impl Scan {
    /// Reads a segment; `None`: its header is damaged.
    pub(crate) fn load(disk: &dyn Disk, dir: &Path, segment: u64) -> io::Result<Option<Self>> {
        let bytes = disk.read(&dir.join(segment_name(segment)), SEGMENT_LEN)?;
        let header = bytes.get(..RECORD_LEN).and_then(Header::decode).filter(|header| header.segment == segment);
        Ok(header.map(|header| Self { segment, bytes, header, place: 1, index: header.first }))
    }

    fn at(&self, place: u64) -> &[u8] {
        let from = usize::try_from(offset(place)).unwrap_or(usize::MAX);
        self.bytes.get(from..from.saturating_add(RECORD_LEN)).unwrap_or(&[])
    }

    /// The next record; `None` at the first place that holds none.
    pub(crate) fn next_record(&mut self) -> Option<GuardRecord> {
        if self.place >= PLACES {
            return None;
        }
        let record = GuardRecord::decode(self.at(self.place), self.segment, self.index)?;
        self.place += 1;
        self.index += 1;
        Some(record)
    }

    /// After the last record: the place that should be blank and is not, or is blank and has others behind it.
    fn damage(&self) -> Option<BadPlace> {
        let blank = |place: u64| self.at(place).iter().all(|byte| *byte == 0);
        let last = (self.place + 1..PLACES).filter(|place| !blank(*place)).count() as u64;
        let bad = self.place < PLACES && (last > 0 || !blank(self.place));
        bad.then_some(BadPlace { segment: self.segment, place: self.place, last })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.damage().is_none()
    }
}

/// A segment that is written no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its number.
    pub number: u64,
    /// Number of its first record, counted over all segments.
    pub first: u64,
    /// Records in it.
    pub records: u64,
    /// SHA-256 of the whole file, for the audit chain.
    pub sha256: [u8; 32],
}

/// Reads and hashes a segment.
pub(crate) fn hashed(disk: &dyn Disk, dir: &Path, segment: u64) -> io::Result<Option<SealedSegment>> {
    let Some(mut scan) = Scan::load(disk, dir, segment)? else { return Ok(None) };
    let sha256 = Sha256::digest(&scan.bytes).into();
    let first = scan.header.first;
    while scan.next_record().is_some() {}
    Ok(Some(SealedSegment { number: segment, first, records: scan.index - first, sha256 }))
}

/// Whether a segment was set aside and holds nothing.
pub(crate) fn blank(disk: &dyn Disk, dir: &Path, segment: u64) -> io::Result<bool> {
    Ok(disk.read(&dir.join(segment_name(segment)), SEGMENT_LEN)?.iter().all(|byte| *byte == 0))
}

/// Numbers of the segments in a directory, the oldest first.
pub(crate) fn segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk.list(dir)?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
