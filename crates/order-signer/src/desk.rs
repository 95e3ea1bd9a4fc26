//! The open vault and the signers that were made from it: what both homes of the signer do with keys.
//!
//! Invariants: a state's change is on disk before it is confirmed; a key that may not sign any more has lost its
//! signer before that; nobody can widen what a key's state allows.

use crate::bounds::{SignatureRecords, enforce_saved};
use crate::custody::{Custody, CustodyError};
use crate::guard::Identity;
use crate::inline::{CancelOnlySigner, InlineSigner};
use crate::key_store::link_sealed;
use crate::policy::{PolicyMove, PolicySet};
use crate::record::KeyRecord;
use crate::refusals::Refusals;
use crate::sealing::{Origin, SealedKey, SealingKey};
use crate::seats::Seats;
use audit::AuditSink;
use domain::{Clock, VenueId};
use fail_point::{FailPoint, pass};
use messages::{KeyAlias, KeyDuty, KeyState, SignRefusal};
use std::sync::Arc;
use venue_api::SigningCodec;

/// The open vault and the signers that were made from it.
pub struct CustodyDesk {
    /// The vault.
    pub custody: Custody,
    /// Which key sits where.
    pub places: Vec<(VenueId, KeyAlias)>,
    /// The order path's signers.
    pub seats: Seats<InlineSigner>,
    /// Signers beside them: of a key that is to take over, or of one that was taken over from.
    pub candidates: Seats<InlineSigner>,
    /// The emergency thread's signers.
    pub cancels: Seats<CancelOnlySigner>,
    /// Which keys the signers of `candidates` are of.
    pub waiting: Vec<(VenueId, KeyAlias)>,
    /// How requests of a venue account are written.
    pub codecs: Vec<(VenueId, Arc<dyn SigningCodec>)>,
    /// The venue accounts whose trading key may log in though that was not certain when it was linked.
    pub logins: Vec<VenueId>,
    /// Tag and epoch of this run.
    pub identity: Option<Identity>,
    /// The records of signatures; none: keys are loaded without their bounds, as for a verification.
    pub records: Option<SignatureRecords>,
    /// The key to which values of new keys are sealed; made when it is first asked for.
    pub sealing: Option<SealingKey>,
    /// The audit log, open for writing; none where it is written by somebody else.
    pub audit: Option<Arc<dyn AuditSink>>,
    /// The signer's own time; nobody tells it another.
    pub clock: Arc<dyn Clock>,
}

/// One venue account as a desk is opened for it.
pub struct DeskPlace {
    /// The venue account.
    pub seat: VenueId,
    /// The key as the settings name it.
    pub alias: KeyAlias,
    /// How its requests are written.
    pub codec: Arc<dyn SigningCodec>,
    /// Whether the settings are certain that no order can be entered over the log-in of a trading key.
    pub login_confirmed: bool,
}

impl CustodyDesk {
    /// A desk without signers: for keys that are shown and moved only.
    #[must_use]
    pub fn without_seats(custody: Custody, clock: Arc<dyn Clock>) -> Self {
        let (seats, candidates) = (Seats::new(Vec::new()), Seats::new(Vec::new()));
        let cancels = Seats::new(Vec::new());
        let (places, waiting, codecs, logins) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (identity, records, sealing, audit) = (None, None, None, None);
        Self {
            custody,
            places,
            seats,
            candidates,
            cancels,
            waiting,
            codecs,
            logins,
            identity,
            records,
            sealing,
            audit,
            clock,
        }
    }

    /// Loads the signers of the venue accounts. A place whose key is not there stays empty.
    ///
    /// # Errors
    /// [`CustodyError`] when a key cannot be loaded.
    pub fn open(
        custody: Custody,
        places: Vec<DeskPlace>,
        records: Option<SignatureRecords>,
        identity: Identity,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CustodyError> {
        let mut desk = Self { records, ..Self::without_seats(custody, clock) };
        desk.seat_all(places, identity)?;
        Ok(desk)
    }

    /// Loads the signers of the venue accounts into a desk that has none. A place whose key is not there stays empty.
    ///
    /// # Errors
    /// [`CustodyError`] when a key cannot be loaded.
    pub fn seat_all(&mut self, places: Vec<DeskPlace>, identity: Identity) -> Result<(), CustodyError> {
        let count = places.iter().map(|place| place.seat.index() + 1).max().unwrap_or(0);
        let (mut signers, mut candidates, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
        signers.resize_with(count, || None);
        candidates.resize_with(count, || None);
        cancels.resize_with(count, || None);
        self.seats = Seats::new(signers);
        self.candidates = Seats::new(candidates);
        self.cancels = Seats::new(cancels);
        self.identity = Some(identity);
        for DeskPlace { seat, alias: named, codec, login_confirmed } in places {
            self.codecs.push((seat, codec));
            if login_confirmed {
                self.logins.push(seat);
            }
            let found = self.custody.signing_key(&named).map(|record| record.alias);
            self.places.push((seat, *found.as_ref().unwrap_or(&named)));
            match found {
                Ok(alias) => self.take_seat(seat, &alias)?,
                // The key manager names it, with what is to be done, once the venue has answered.
                Err(CustodyError::NoSuchKey { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_seat(&self, seat: VenueId, alias: &str) -> Result<(), CustodyError> {
        if let (Ok(record), Some((_, codec))) =
            (self.custody.show(alias), self.codecs.iter().find(|(known, _)| *known == seat))
        {
            codec.set_account_mode(record.account_mode());
        }
        let (signer, canceller) = (self.load_bounded(seat, alias)?, self.load_cancel_only(seat, alias)?);
        let signer = if self.logins.contains(&seat) { signer.with_login() } else { signer };
        self.seats.with(seat, |held| *held = Some(signer));
        self.cancels.with(seat, |held| *held = Some(canceller));
        Ok(())
    }

    /// The key to which values of new keys are sealed.
    ///
    /// # Errors
    /// [`CustodyError`] when there is no memory for it.
    pub fn sealing_key(&mut self) -> Result<&SealingKey, CustodyError> {
        let key = match self.sealing.take() {
            Some(key) => key,
            None => SealingKey::generate()?,
        };
        Ok(self.sealing.insert(key))
    }

    /// Links a key from sealed values, and seats it where a venue account waits for a key of its name.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed, or the key is linked and not seated.
    pub fn link(&mut self, key: &SealedKey, origin: &Origin, policy: Option<&str>) -> Result<KeyRecord, CustodyError> {
        let now = self.clock.unix();
        self.sealing_key()?;
        let sealing = self.sealing.as_ref().ok_or(CustodyError::NothingToReplace)?;
        let record = link_sealed(&mut self.custody, sealing, key, origin, policy, now)?;
        for seat in self.seats_of(&key.alias) {
            self.take_seat(seat, &key.alias)?;
        }
        Ok(record)
    }

    /// Changes what may be signed with a key; saved, and in force, when this returns.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    pub fn change_policy(
        &mut self,
        alias: &str,
        wanted: PolicyMove,
        text: &str,
        reason: &str,
    ) -> Result<PolicySet, CustodyError> {
        let set = self.custody.change_policy(alias, wanted, text, reason, self.clock.unix())?;
        if let (Some(records), Ok(alias)) = (&self.records, KeyAlias::from(alias)) {
            enforce_saved(records, &self.custody, &[alias]);
        }
        Ok(set)
    }

    /// Puts policies in force whose time has come.
    pub fn settle_policies(&mut self) {
        if let (Ok(settled), Some(records)) = (self.custody.settle_policies(self.clock.unix()), &self.records) {
            enforce_saved(records, &self.custody, &settled);
        }
    }

    /// Open orders and fills of the last run have been asked for.
    ///
    /// # Errors
    /// [`CustodyError`]: after a machine that went down, orders stay refused.
    pub fn reconciled(&self) -> Result<(), CustodyError> {
        let done = self.records.as_ref().map_or(Ok(()), SignatureRecords::reconciled);
        done.map_err(|error| CustodyError::Refused { why: error.to_string() })
    }

    /// How often the signers at work have refused, by rule.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusals> {
        let of =
            |seat: VenueId| self.seats.with(seat, |signer| signer.as_mut().map(|signer| Refusals::of(seat, signer)));
        self.places.iter().filter_map(|(seat, _)| of(*seat).flatten()).collect()
    }

    fn load_bounded(&self, seat: VenueId, alias: &str) -> Result<InlineSigner, CustodyError> {
        let Some(records) = &self.records else { return self.load(seat, alias) };
        let (codec, identity) = self.means(seat, alias)?;
        self.custody.load_bounded(alias, codec, Arc::clone(&self.clock), identity, records)
    }

    pub(crate) fn load(&self, seat: VenueId, alias: &str) -> Result<InlineSigner, CustodyError> {
        let (codec, identity) = self.means(seat, alias)?;
        self.custody.load_signer(alias, codec, Arc::clone(&self.clock), identity)
    }

    pub(crate) fn load_cancel_only(&self, seat: VenueId, alias: &str) -> Result<CancelOnlySigner, CustodyError> {
        let (codec, identity) = self.means(seat, alias)?;
        self.custody.load_cancel_only(alias, codec, Arc::clone(&self.clock), identity)
    }

    fn means(&self, seat: VenueId, alias: &str) -> Result<(Arc<dyn SigningCodec>, Identity), CustodyError> {
        let codec = self.codecs.iter().find(|(known, _)| *known == seat).map(|(_, codec)| Arc::clone(codec));
        let alias = self.custody.show(alias)?.alias;
        codec.zip(self.identity).ok_or(CustodyError::NotLoaded { alias, refusal: SignRefusal::NoKey })
    }

    /// Moves a key one step through its life; saved, and in force at its signers, when this returns.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    pub fn set_state(&mut self, alias: &str, to: KeyState, reason: &str) -> Result<(), CustodyError> {
        let record = self.custody.show(alias)?;
        if !crate::custody::allowed_transition(record.state, to) {
            return Err(CustodyError::Transition { alias: record.alias, from: record.state, to });
        }
        if to == KeyState::Revoked {
            pass(FailPoint::BeforeRevoke);
            // Before the tombstone is written: nothing can be signed with it while that lasts.
            for seat in self.seats_of(alias) {
                self.seats.with(seat, |signer| *signer = None);
                self.cancels.with(seat, |signer| *signer = None);
            }
            let beside: Vec<VenueId> =
                self.waiting.iter().filter(|(_, name)| name.as_str() == alias).map(|(seat, _)| *seat).collect();
            beside.into_iter().for_each(|seat| self.drop_candidate(seat));
        }
        self.custody.set_state(alias, to, reason, self.clock.unix())?;
        for seat in self.seats_of(alias) {
            let most = self.most(seat);
            self.seats.with(seat, |signer| {
                if let Some(signer) = signer {
                    let duty = signer.handle().duty().min(most);
                    signer.set_duty(duty);
                }
            });
        }
        if to == KeyState::Revoked {
            pass(FailPoint::AfterRevoke);
        }
        Ok(())
    }

    /// What the key of a venue account may be used for from now on, within what its state allows.
    pub fn set_duty(&self, seat: VenueId, duty: KeyDuty) {
        let most = self.most(seat);
        self.seats.with(seat, |signer| {
            if let Some(signer) = signer {
                signer.set_duty(duty.min(most));
            }
        });
    }

    fn seats_of(&self, alias: &str) -> Vec<VenueId> {
        self.places.iter().filter(|(_, name)| name.as_str() == alias).map(|(seat, _)| *seat).collect()
    }

    /// The most that the key of a seat may be used for, by its state.
    fn most(&self, seat: VenueId) -> KeyDuty {
        let place = self.places.iter().find(|(known, _)| *known == seat);
        place.and_then(|(_, alias)| self.custody.show(alias).ok()).map_or(KeyDuty::None, duty_most)
    }
}

/// The most that a key in its state may be used for. Cancels stay possible while a key is looked at again, and for a
/// while after it was quarantined; how long is for the key manager to say.
const fn duty_most(record: &KeyRecord) -> KeyDuty {
    match record.state {
        KeyState::Active | KeyState::Rotating => KeyDuty::Full,
        KeyState::Verifying if record.verified.is_some() => KeyDuty::CancelOnly,
        KeyState::Linked | KeyState::Verifying | KeyState::Standby => KeyDuty::VerifyOnly,
        KeyState::Quarantined | KeyState::Expired => KeyDuty::CancelOnly,
        KeyState::Revoked => KeyDuty::None,
    }
}
