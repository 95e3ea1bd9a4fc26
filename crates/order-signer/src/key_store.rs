//! The keys as the key manager sees them, wherever their secrets are: beside it, or in a process of their own.

use crate::bounds::SignatureRecords;
use crate::codes::check_code;
use crate::custody::{Custody, CustodyError};
use crate::record::KeyRecord;
use access::StepUpRefusal;
use domain::{Clock, VenueId};
use messages::{KeyDuty, KeyInfo, KeyState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shows keys and moves them through their life. No method takes or gives a secret.
pub trait KeyStore {
    /// All keys, revoked ones included, oldest first.
    ///
    /// # Errors
    /// [`CustodyError::Away`] when whoever keeps them is gone.
    fn list(&self) -> Result<Vec<KeyRecord>, CustodyError>;

    /// The key of this name; a revoked one only when no other has the name.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`], or as [`Self::list`].
    fn show(&self, alias: &str) -> Result<KeyRecord, CustodyError>;

    /// Moves a key one step through its life, saved when this returns.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    fn set_state(&mut self, alias: &str, to: KeyState, reason: &str) -> Result<(), CustodyError>;

    /// Stores what the venue said of a key, and that it was verified when `verified`.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    fn learn(&mut self, alias: &str, info: &KeyInfo, verified: bool) -> Result<(), CustodyError>;

    /// What the key of a venue account may be used for from now on, within what its state allows.
    ///
    /// # Errors
    /// [`CustodyError::Away`].
    fn set_duty(&mut self, seat: VenueId, duty: KeyDuty) -> Result<(), CustodyError>;

    /// Open orders and fills of the last run have been asked for; see [`SignatureRecords::reconciled`].
    ///
    /// # Errors
    /// [`CustodyError`]: after a machine that went down, orders stay refused.
    fn reconciled(&mut self) -> Result<(), CustodyError>;

    /// Whether one-time codes are set up.
    ///
    /// # Errors
    /// [`CustodyError::Away`].
    fn has_codes(&self) -> Result<bool, CustodyError>;

    /// Spends a one-time or recovery code.
    ///
    /// # Errors
    /// [`StepUpRefusal`].
    fn check_code(&mut self, code: &str) -> Result<(), StepUpRefusal>;
}

/// The open vault in this very process. Copies share it.
#[derive(Clone)]
pub struct LocalStore {
    custody: Arc<Mutex<Custody>>,
    records: Option<SignatureRecords>,
    clock: Arc<dyn Clock>,
}

impl LocalStore {
    /// Takes an open vault over.
    #[must_use]
    pub fn new(custody: Custody, clock: Arc<dyn Clock>) -> Self {
        Self { custody: Arc::new(Mutex::new(custody)), records: None, clock }
    }

    /// Where the signers that were loaded from the vault record what they sign.
    #[must_use]
    pub fn with_records(mut self, records: SignatureRecords) -> Self {
        self.records = Some(records);
        self
    }

    fn custody(&self) -> MutexGuard<'_, Custody> {
        self.custody.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for LocalStore {
    fn list(&self) -> Result<Vec<KeyRecord>, CustodyError> {
        Ok(self.custody().list().cloned().collect())
    }

    fn show(&self, alias: &str) -> Result<KeyRecord, CustodyError> {
        self.custody().show(alias).cloned()
    }

    fn set_state(&mut self, alias: &str, to: KeyState, reason: &str) -> Result<(), CustodyError> {
        self.custody().set_state(alias, to, reason, self.clock.unix())
    }

    fn learn(&mut self, alias: &str, info: &KeyInfo, verified: bool) -> Result<(), CustodyError> {
        self.custody().learn(alias, info, verified, self.clock.unix())
    }

    /// The inline signer is told by the order path, on whose thread it sits.
    fn set_duty(&mut self, _seat: VenueId, _duty: KeyDuty) -> Result<(), CustodyError> {
        Ok(())
    }

    fn reconciled(&mut self) -> Result<(), CustodyError> {
        let done = self.records.as_ref().map_or(Ok(()), SignatureRecords::reconciled);
        done.map_err(|error| CustodyError::Refused { why: error.to_string() })
    }

    fn has_codes(&self) -> Result<bool, CustodyError> {
        Ok(self.custody().step_up().is_some())
    }

    fn check_code(&mut self, code: &str) -> Result<(), StepUpRefusal> {
        check_code(&mut self.custody(), code, self.clock.unix())
    }
}
