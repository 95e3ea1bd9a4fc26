//! Keeps the wire log small: what the journal has long had is deleted while the program runs.

use crate::shared::Shared;
use domain::UnixNanos;
use order_gateway::{Recorder, WireLog, WireLogError, WireRecord};
use std::sync::Arc;

/// Records between two looks at what may go.
const LOOK_EVERY: u64 = 8_192;
/// A record this old, in a journal that can be written, is in the journal: its event was handed over before it was
/// written, and reaches the disk within milliseconds.
const KEPT_NS: u64 = 3_600_000_000_000;

/// A wire log that deletes its old segments by itself.
pub(super) struct Trimmed {
    log: WireLog,
    shared: Arc<Shared>,
}

impl Trimmed {
    pub(super) const fn new(log: WireLog, shared: Arc<Shared>) -> Self {
        Self { log, shared }
    }
}

impl Recorder for Trimmed {
    fn prepare(&mut self, now: UnixNanos) -> Result<(), WireLogError> {
        self.log.prepare(now)
    }

    fn append(&mut self, record: WireRecord) -> Result<u64, WireLogError> {
        let seq = self.log.append(record)?;
        if seq.is_multiple_of(LOOK_EVERY) && self.shared.state().journal_ok {
            let deleted = self.log.delete_before(UnixNanos(record.at.0.saturating_sub(KEPT_NS)));
            if let Err(error) = deleted {
                tracing::warn!(error = %crate::report::causes(&error), "an old part of the wire log could not be deleted");
            }
        }
        Ok(seq)
    }
}
