//! Where entries go: a seam, so that the writer can live in another process than those who record.

use crate::{AuditEntry, AuditError, AuditLog};
use domain::Clock;
use std::sync::{Arc, Mutex};

/// Takes entries. Whoever records holds one of these and knows nothing of files or keys.
pub trait AuditSink: Send + Sync {
    /// Records an entry now and returns its number.
    ///
    /// # Errors
    /// [`AuditError`]: it was not recorded; see [`crate::fail_closed`].
    fn append(&self, entry: AuditEntry) -> Result<u64, AuditError>;

    /// Syncs what waits and makes a checkpoint when one is due; call it about once a second. Returns the number of the
    /// last record.
    ///
    /// # Errors
    /// A failed step; the next call tries again.
    fn tick(&self) -> Result<u64, AuditError>;

    /// Seals everything; before an orderly end. Returns the number of the last record.
    ///
    /// # Errors
    /// A failed step.
    fn seal(&self) -> Result<u64, AuditError>;
}

/// A log in this process, shared by those who record.
pub struct SharedAudit {
    log: Mutex<AuditLog>,
    clock: Arc<dyn Clock>,
}

impl SharedAudit {
    /// Shares a log; entries get the time of `clock`.
    #[must_use]
    pub fn new(log: AuditLog, clock: Arc<dyn Clock>) -> Self {
        Self { log: Mutex::new(log), clock }
    }

    /// Number of the last record.
    ///
    /// # Errors
    /// [`AuditError::WriterDied`].
    pub fn seq(&self) -> Result<u64, AuditError> {
        Ok(self.log.lock().map_err(|_| AuditError::WriterDied)?.seq())
    }
}

impl AuditSink for SharedAudit {
    fn append(&self, entry: AuditEntry) -> Result<u64, AuditError> {
        self.log.lock().map_err(|_| AuditError::WriterDied)?.append(&entry, self.clock.unix())
    }

    fn tick(&self) -> Result<u64, AuditError> {
        let mut log = self.log.lock().map_err(|_| AuditError::WriterDied)?;
        log.tick(self.clock.unix())?;
        Ok(log.seq())
    }

    fn seal(&self) -> Result<u64, AuditError> {
        let mut log = self.log.lock().map_err(|_| AuditError::WriterDied)?;
        log.checkpoint(self.clock.unix())?;
        Ok(log.seq())
    }
}

/// Records nothing; for runs without custody, such as measurements.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAudit;

impl AuditSink for NoAudit {
    fn append(&self, _entry: AuditEntry) -> Result<u64, AuditError> {
        Ok(0)
    }

    fn tick(&self) -> Result<u64, AuditError> {
        Ok(0)
    }

    fn seal(&self) -> Result<u64, AuditError> {
        Ok(0)
    }
}
