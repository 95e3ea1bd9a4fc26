//! The keys as the key manager sees them, wherever their secrets are: beside it, or in a process of their own.

use crate::bounds::{SignatureRecords, enforce_saved};
use crate::codes::check_code;
use crate::custody::{Custody, CustodyError};
use crate::policy::{PolicyMove, PolicySet};
use crate::record::KeyRecord;
use crate::sealing::{SealedKey, SealingKey, SealingPublic};
use access::StepUpRefusal;
use domain::{Clock, VenueId};
use messages::{KeyAlias, KeyDuty, KeyInfo, KeyState};
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

    /// The key to which values of a new key are sealed; another one after each start.
    ///
    /// # Errors
    /// [`CustodyError::Away`].
    fn sealing_key(&self) -> Result<SealingPublic, CustodyError>;

    /// Opens sealed values and links the key, with the policy that was confirmed for it, if any. Needs an accepted
    /// one-time code once codes are set up. A venue account whose key is named like this one, and that has no other
    /// Active key, gets a signer for it.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    fn link_sealed(
        &mut self,
        key: &SealedKey,
        environment: &str,
        policy: Option<&str>,
    ) -> Result<KeyRecord, CustodyError>;

    /// Changes what may be signed with a key; saved when this returns.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    fn change_policy(
        &mut self,
        alias: &str,
        wanted: PolicyMove,
        text: &str,
        reason: &str,
    ) -> Result<PolicySet, CustodyError>;
}

/// Links a key from sealed values in an open vault.
///
/// # Errors
/// [`CustodyError`]: nothing has changed, or the key is linked without its policy.
pub(crate) fn link_sealed(
    custody: &mut Custody,
    sealing: &SealingKey,
    key: &SealedKey,
    environment: &str,
    policy: Option<&str>,
    now: domain::UnixNanos,
) -> Result<KeyRecord, CustodyError> {
    if let Some(text) = policy {
        sign_policy::PolicyDocument::parse(text)?;
    }
    let opened = sealing.open(key)?;
    custody.take_step(now)?;
    custody.add(key.described(environment), &opened, now)?;
    drop(opened);
    if let Some(text) = policy {
        custody.begin_policy(&key.alias, text, now)?;
    }
    custody.show(&key.alias).cloned()
}

/// The open vault in this very process. Copies share it.
#[derive(Clone)]
pub struct LocalStore {
    custody: Arc<Mutex<Custody>>,
    records: Option<SignatureRecords>,
    /// Made when it is first asked for.
    sealing: Arc<Mutex<Option<SealingKey>>>,
    clock: Arc<dyn Clock>,
}

impl LocalStore {
    /// Takes an open vault over.
    #[must_use]
    pub fn new(custody: Custody, clock: Arc<dyn Clock>) -> Self {
        Self { custody: Arc::new(Mutex::new(custody)), records: None, sealing: Arc::default(), clock }
    }

    /// Where the signers that were loaded from the vault record what they sign.
    #[must_use]
    pub fn with_records(mut self, records: SignatureRecords) -> Self {
        self.records = Some(records);
        self
    }

    fn with_sealing<T>(&self, act: impl FnOnce(&SealingKey) -> Result<T, CustodyError>) -> Result<T, CustodyError> {
        let mut sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sealing {
            Some(key) => act(key),
            none => act(none.insert(SealingKey::generate()?)),
        }
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

    fn sealing_key(&self) -> Result<SealingPublic, CustodyError> {
        self.with_sealing(|key| Ok(key.public().clone()))
    }

    fn link_sealed(
        &mut self,
        key: &SealedKey,
        environment: &str,
        policy: Option<&str>,
    ) -> Result<KeyRecord, CustodyError> {
        let now = self.clock.unix();
        self.with_sealing(|sealing| link_sealed(&mut self.custody(), sealing, key, environment, policy, now))
    }

    fn change_policy(
        &mut self,
        alias: &str,
        wanted: PolicyMove,
        text: &str,
        reason: &str,
    ) -> Result<PolicySet, CustodyError> {
        let mut custody = self.custody();
        let set = custody.change_policy(alias, wanted, text, reason, self.clock.unix())?;
        if let (Some(records), Ok(alias)) = (&self.records, KeyAlias::from(alias)) {
            enforce_saved(records, &custody, &[alias]);
        }
        Ok(set)
    }
}
