//! The keys as the key manager sees them, wherever their secrets are: beside it, or in a process of their own.

use crate::codes::check_code;
use crate::custody::{Custody, CustodyError};
use crate::desk::CustodyDesk;
use crate::policy::{PolicyMove, PolicySet};
use crate::record::KeyRecord;
use crate::refusals::Refusals;
use crate::rotation::CutOver;
use crate::sealing::{Origin, SealedKey, SealingKey, SealingPublic};
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

    /// Loads a signer for a key that is to be verified beside the one at work.
    ///
    /// # Errors
    /// [`CustodyError`]: there is none.
    fn load_candidate(&mut self, seat: VenueId, alias: &str) -> Result<(), CustodyError>;

    /// Takes that signer away.
    ///
    /// # Errors
    /// [`CustodyError::Away`].
    fn drop_candidate(&mut self, seat: VenueId) -> Result<(), CustodyError>;

    /// Puts the verified candidate in the place of the key at work: on disk first, then between two signatures.
    ///
    /// # Errors
    /// [`CustodyError`]: the former key signs as before.
    fn cut_over(&mut self, seat: VenueId, alias: &str) -> Result<CutOver, CustodyError>;

    /// Puts the former key back, and the one at work into quarantine.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    fn take_back(&mut self, seat: VenueId, reason: &str) -> Result<CutOver, CustodyError>;

    /// Open orders and fills of the last run have been asked for; see [`crate::SignatureRecords::reconciled`].
    ///
    /// # Errors
    /// [`CustodyError`]: after a machine that went down, orders stay refused.
    fn reconciled(&mut self) -> Result<(), CustodyError>;

    /// How often the signers at work have refused, by rule.
    ///
    /// # Errors
    /// [`CustodyError::Away`].
    fn refusals(&self) -> Result<Vec<Refusals>, CustodyError>;

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
        origin: &Origin,
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
    origin: &Origin,
    policy: Option<&str>,
    now: domain::UnixNanos,
) -> Result<KeyRecord, CustodyError> {
    if let Some(text) = policy {
        sign_policy::PolicyDocument::parse(text)?;
    }
    let opened = sealing.open(key)?;
    custody.take_step(now)?;
    custody.add(key.described(origin), &opened, now)?;
    drop(opened);
    if let Some(text) = policy {
        custody.begin_policy(&key.alias, text, now)?;
    }
    custody.show(&key.alias).cloned()
}

/// The open vault in this very process. Copies share it.
#[derive(Clone)]
pub struct LocalStore(Arc<Mutex<CustodyDesk>>);

impl LocalStore {
    /// Takes an open vault over whose keys have no signers here.
    #[must_use]
    pub fn new(custody: Custody, clock: Arc<dyn Clock>) -> Self {
        Self::seated(CustodyDesk::without_seats(custody, clock))
    }

    /// Takes an open vault over together with the signers made from it.
    #[must_use]
    pub fn seated(desk: CustodyDesk) -> Self {
        Self(Arc::new(Mutex::new(desk)))
    }

    fn desk(&self) -> MutexGuard<'_, CustodyDesk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for LocalStore {
    fn list(&self) -> Result<Vec<KeyRecord>, CustodyError> {
        Ok(self.desk().custody.list().cloned().collect())
    }

    fn show(&self, alias: &str) -> Result<KeyRecord, CustodyError> {
        self.desk().custody.show(alias).cloned()
    }

    fn set_state(&mut self, alias: &str, to: KeyState, reason: &str) -> Result<(), CustodyError> {
        self.desk().set_state(alias, to, reason)
    }

    fn learn(&mut self, alias: &str, info: &KeyInfo, verified: bool) -> Result<(), CustodyError> {
        let mut desk = self.desk();
        let now = desk.clock.unix();
        desk.custody.learn(alias, info, verified, now)
    }

    fn set_duty(&mut self, seat: VenueId, duty: KeyDuty) -> Result<(), CustodyError> {
        self.desk().set_duty(seat, duty);
        Ok(())
    }

    fn load_candidate(&mut self, seat: VenueId, alias: &str) -> Result<(), CustodyError> {
        self.desk().load_candidate(seat, alias)
    }

    fn drop_candidate(&mut self, seat: VenueId) -> Result<(), CustodyError> {
        self.desk().drop_candidate(seat);
        Ok(())
    }

    fn cut_over(&mut self, seat: VenueId, alias: &str) -> Result<CutOver, CustodyError> {
        self.desk().cut_over(seat, alias)
    }

    fn take_back(&mut self, seat: VenueId, reason: &str) -> Result<CutOver, CustodyError> {
        self.desk().take_back(seat, reason)
    }

    fn has_codes(&self) -> Result<bool, CustodyError> {
        Ok(self.desk().custody.step_up().is_some())
    }

    fn check_code(&mut self, code: &str) -> Result<(), StepUpRefusal> {
        let mut desk = self.desk();
        let now = desk.clock.unix();
        check_code(&mut desk.custody, code, now)
    }

    fn reconciled(&mut self) -> Result<(), CustodyError> {
        self.desk().reconciled()
    }

    fn refusals(&self) -> Result<Vec<Refusals>, CustodyError> {
        Ok(self.desk().refusals())
    }

    fn sealing_key(&self) -> Result<SealingPublic, CustodyError> {
        self.desk().sealing_key().map(|key| key.public().clone())
    }

    fn link_sealed(
        &mut self,
        key: &SealedKey,
        origin: &Origin,
        policy: Option<&str>,
    ) -> Result<KeyRecord, CustodyError> {
        self.desk().link(key, origin, policy)
    }

    fn change_policy(
        &mut self,
        alias: &str,
        wanted: PolicyMove,
        text: &str,
        reason: &str,
    ) -> Result<PolicySet, CustodyError> {
        self.desk().change_policy(alias, wanted, text, reason)
    }
}
