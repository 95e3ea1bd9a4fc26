//! The halt that survives a restart: a file that is on disk before a halt is confirmed.
//!
//! Invariant: an unreadable file counts as a halt; only [`HaltFlag::lift`] removes it.

use domain::UnixNanos;
use messages::HaltReason;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Why, with which words and when trading was halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltRecord {
    /// Why.
    pub reason: HaltReason,
    /// What the operator or program noted.
    pub note: String,
    /// When, by own wall clock.
    pub at: UnixNanos,
}

/// The halt file could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the halt file {path}")]
pub struct HaltFlagError {
    /// What was tried: read, write or remove.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

/// The halt file of one data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaltFlag {
    path: PathBuf,
}

impl HaltFlag {
    /// The flag kept at `path`; its directory must exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the flag is kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The halt in force, if one is. A file that says nothing readable is a halt as well.
    ///
    /// # Errors
    /// [`HaltFlagError`] when it cannot be known; the caller stays halted.
    pub fn load(&self) -> Result<Option<HaltRecord>, HaltFlagError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("read", error)),
        };
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| HaltRecord {
            reason: HaltReason::Restored,
            note: "the halt file cannot be read".to_owned(),
            at: UnixNanos(0),
        })))
    }

    /// Writes the halt; when this returns `Ok`, it survives a power cut.
    ///
    /// # Errors
    /// [`HaltFlagError`]: the halt holds for this run, but may not survive it; the caller says so.
    pub fn set(&self, record: &HaltRecord) -> Result<(), HaltFlagError> {
        self.write(record).map_err(|error| self.error("write", error))
    }

    /// Removes the halt; when this returns `Ok`, it stays removed after a power cut.
    ///
    /// # Errors
    /// [`HaltFlagError`]: the halt is still in force.
    pub fn lift(&self) -> Result<(), HaltFlagError> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => self.sync_directory().map_err(|error| self.error("remove", error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.error("remove", error)),
        }
    }

    fn write(&self, record: &HaltRecord) -> std::io::Result<()> {
        let draft = self.path.with_extension("draft");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> std::io::Result<()> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> HaltFlagError {
        HaltFlagError { action, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> HaltRecord {
        HaltRecord { reason: HaltReason::DailyLoss, note: "lost 100".to_owned(), at: UnixNanos(7) }
    }

    #[test]
    fn a_halt_is_found_again_until_it_is_lifted() {
        let directory = tempfile::tempdir().unwrap();
        let flag = HaltFlag::new(directory.path().join("halt.json"));
        assert_eq!(flag.load().unwrap(), None);
        flag.set(&record()).unwrap();
        assert_eq!(HaltFlag::new(flag.path()).load().unwrap(), Some(record()));
        flag.lift().unwrap();
        flag.lift().unwrap();
        assert_eq!(flag.load().unwrap(), None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no draft stays behind");
    }

    #[test]
    fn an_unreadable_halt_file_is_a_halt() {
        let directory = tempfile::tempdir().unwrap();
        let flag = HaltFlag::new(directory.path().join("halt.json"));
        std::fs::write(flag.path(), b"{\"rea").unwrap();
        assert_eq!(flag.load().unwrap().unwrap().reason, HaltReason::Restored);
    }

    #[test]
    fn a_halt_that_cannot_be_written_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let flag = HaltFlag::new(directory.path().join("gone").join("halt.json"));
        assert!(flag.set(&record()).unwrap_err().to_string().contains("halt.json"));
    }
}
