//! The operator's one-time codes, kept beside the keys and checked where the vault is open.
//!
//! Invariant: what a check changed is saved before its answer is given; a code whose use could not be saved is refused.

use crate::custody::Custody;
use access::{StepUpRefusal, TotpRecord};
use domain::UnixNanos;

/// Accepts a one-time or recovery code against the record in an open vault, and saves that it is spent.
///
/// # Errors
/// [`StepUpRefusal`]; [`StepUpRefusal::Unavailable`] when the record is damaged or could not be saved.
pub fn check_code(custody: &mut Custody, code: &str, now: UnixNanos) -> Result<(), StepUpRefusal> {
    let mut record = code_record(custody)?;
    let result = record.step_up(code, now.0 / 1_000_000_000);
    if matches!(result, Err(StepUpRefusal::Locked { .. } | StepUpRefusal::Replayed)) {
        return result; // these change nothing
    }
    save_codes(custody, &record)?;
    if result.is_ok() {
        custody.confirm(now);
    }
    result
}

/// The record in an open vault.
///
/// # Errors
/// [`StepUpRefusal::NotEnrolled`] or [`StepUpRefusal::Unavailable`].
pub fn code_record(custody: &Custody) -> Result<TotpRecord, StepUpRefusal> {
    let bytes = custody.step_up().ok_or(StepUpRefusal::NotEnrolled)?;
    TotpRecord::from_secret_bytes(bytes).map_err(|_| StepUpRefusal::Unavailable)
}

/// Saves a record in an open vault.
///
/// # Errors
/// [`StepUpRefusal::Unavailable`]; the vault holds the former one then.
pub fn save_codes(custody: &mut Custody, record: &TotpRecord) -> Result<(), StepUpRefusal> {
    let bytes = record.to_secret_bytes().map_err(|_| StepUpRefusal::Unavailable)?;
    custody.set_step_up(Some(bytes)).map_err(|_| StepUpRefusal::Unavailable)
}
