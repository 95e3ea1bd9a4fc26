//! One-time codes that are kept in the open vault: asked for by the control plane, checked where the vault is.
//!
//! Invariant: what a check changed is saved before its answer is given; a code whose use could not be saved is refused.

use crate::caretaker::CareNews;
use access::{StepUp, StepUpRefusal, TotpRecord};
use domain::UnixNanos;
use order_signer::Custody;
use std::fmt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest wait for the vault's keeper; a save takes milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A code to be checked, and where the answer goes.
pub struct StepUpAsk {
    code: Zeroizing<String>,
    purpose: String,
    answer: SyncSender<Result<(), StepUpRefusal>>,
}

impl fmt::Debug for StepUpAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUpAsk").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl StepUpAsk {
    /// Checks the code against the vault and says what came of it.
    pub fn answer(self, custody: &mut Custody, now: UnixNanos) {
        let result = check(custody, &self.code, now);
        match &result {
            Ok(()) => tracing::info!(purpose = self.purpose, "a one-time code was accepted"),
            Err(refusal) => {
                tracing::warn!(purpose = self.purpose, refusal = refusal.as_str(), "a one-time code was refused");
            }
        }
        // Whoever asked has given up: the code is spent all the same.
        let _ = self.answer.send(result);
    }
}

/// Accepts a one-time or recovery code against the record in an open vault, and saves that it is spent.
///
/// # Errors
/// [`StepUpRefusal`]; [`StepUpRefusal::Unavailable`] when the record is damaged or could not be saved.
pub fn check(custody: &mut Custody, code: &str, now: UnixNanos) -> Result<(), StepUpRefusal> {
    let mut record = record(custody)?;
    let result = record.step_up(code, now.0 / 1_000_000_000);
    if matches!(result, Err(StepUpRefusal::Locked { .. } | StepUpRefusal::Replayed)) {
        return result; // these change nothing
    }
    save(custody, &record)?;
    result
}

/// The record in an open vault.
///
/// # Errors
/// [`StepUpRefusal::NotEnrolled`] or [`StepUpRefusal::Unavailable`].
pub fn record(custody: &Custody) -> Result<TotpRecord, StepUpRefusal> {
    let bytes = custody.step_up().ok_or(StepUpRefusal::NotEnrolled)?;
    TotpRecord::from_secret_bytes(bytes).map_err(|error| {
        tracing::error!(%error, "one-time codes cannot be checked");
        StepUpRefusal::Unavailable
    })
}

/// Saves a record in an open vault.
///
/// # Errors
/// [`StepUpRefusal::Unavailable`]; the vault holds the former one then.
pub fn save(custody: &mut Custody, record: &TotpRecord) -> Result<(), StepUpRefusal> {
    let bytes = record.to_secret_bytes().map_err(|_| StepUpRefusal::Unavailable)?;
    custody.set_step_up(Some(bytes)).map_err(|error| {
        tracing::error!(%error, "the vault could not be saved");
        StepUpRefusal::Unavailable
    })
}

/// The control plane's way to the codes in the vault that this process holds open.
pub struct VaultCodes {
    enrolled: bool,
    news: tokio::sync::mpsc::Sender<CareNews>,
}

impl VaultCodes {
    /// Codes of this vault, whose keeper hears `news`. Codes are set up while the daemon is stopped, so whether there
    /// are any does not change in a run.
    #[must_use]
    pub fn new(custody: &Custody, news: tokio::sync::mpsc::Sender<CareNews>) -> Self {
        Self { enrolled: custody.step_up().is_some(), news }
    }
}

impl StepUp for VaultCodes {
    fn enrolled(&self) -> bool {
        self.enrolled
    }

    fn verify(&self, code: &str, purpose: &str) -> Result<(), StepUpRefusal> {
        let (answer, answered) = sync_channel(1);
        let ask = StepUpAsk { code: Zeroizing::new(code.to_owned()), purpose: purpose.to_owned(), answer };
        self.news.try_send(CareNews::StepUp(ask)).map_err(|_| StepUpRefusal::Unavailable)?;
        answered.recv_timeout(ANSWER_MAX).unwrap_or(Err(StepUpRefusal::Unavailable))
    }
}
