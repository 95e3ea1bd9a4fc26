//! A directory of its own for each test.

use crate::format::{segment_name, segment_number};
use crate::{
    AuditBounds, AuditEntry, AuditError, AuditLog, AuditSeed, AuditVerb, Decision, Name, VerifyReport, verify,
};
use domain::UnixNanos;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

pub(super) const BOOT: &str = "0a1b2c3d";
pub(super) const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
pub(super) const SMALL: AuditBounds = AuditBounds {
    records_per_checkpoint: 10,
    checkpoint_every: Duration::from_secs(600),
    segment_bytes: 1 << 20,
    group_max: 4,
};

pub(super) fn at(second: u64) -> UnixNanos {
    UnixNanos(NOW.0 + second * 1_000_000_000)
}

/// An entry that lowers risk, so that it may wait for a sync.
pub(super) fn entry(number: u64) -> AuditEntry {
    AuditEntry::by_system(AuditVerb::Halt, Decision::Done)
        .about(Name::clear("an account"))
        .because(format!("reason {number}"))
}

pub(super) struct Bench(TempDir);

impl Bench {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub(super) fn segments(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names().into_iter().filter(|name| segment_number(name).is_some()).collect();
        names.sort();
        names
    }

    pub(super) fn text(&self) -> String {
        self.segments().iter().map(|name| fs::read_to_string(self.path(name)).unwrap()).collect()
    }

    pub(super) fn put(&self, lines: &[String]) {
        fs::write(self.path(&segment_name(1)), lines.join("\n") + "\n").unwrap();
    }

    pub(super) fn create(&self) -> (AuditLog, AuditSeed) {
        self.create_with(SMALL)
    }

    pub(super) fn create_with(&self, bounds: AuditBounds) -> (AuditLog, AuditSeed) {
        AuditLog::create(self.dir(), BOOT, NOW, bounds).unwrap()
    }

    pub(super) fn open(&self, seed: &AuditSeed) -> Result<AuditLog, AuditError> {
        AuditLog::open(self.dir(), seed, BOOT, NOW, SMALL)
    }

    pub(super) fn verify(&self, seed: &AuditSeed) -> VerifyReport {
        verify(self.dir(), seed.anchor(), Some(seed), None).unwrap()
    }
}
