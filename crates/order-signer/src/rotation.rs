//! One key in the place of another, without a moment in which none signs or both do.
//!
//! Invariants: which key signs for an account is on disk, by one save, before it does; the former key signs nothing
//! from the moment in which the next one does; every new order up to a sequence was signed with the one and every
//! later one with the other; nobody who signs waits for the disk.

use crate::bounds::BoundKey;
use crate::custody::{Custody, CustodyError, kid_bytes, no_such};
use crate::desk::CustodyDesk;
use crate::inline::InlineSigner;
use crate::record::KeyRecord;
use domain::{UnixNanos, VenueId};
use fail_point::{FailPoint, pass};
use messages::{KeyAlias, KeyDuty, KeyState, SignRefusal};
use serde::{Deserialize, Serialize};
use sign_policy::PolicyDocument;
use std::sync::Arc;

/// One key has taken the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOver {
    /// The key that signs no more.
    pub from: KeyAlias,
    /// The key that signs.
    pub to: KeyAlias,
    /// The account's keys have been activated so often.
    pub activation: u64,
    /// New orders up to this sequence of the run were signed with the former key, all later ones with the next.
    pub after_sequence: u64,
}

/// The key that signs where the settings name `alias`: of the keys of its account and role that work, the one that
/// was activated last; else the one named.
#[must_use]
pub fn signing_key<'a>(records: impl Iterator<Item = &'a KeyRecord> + Clone, alias: &str) -> Option<&'a KeyRecord> {
    let of_name = || records.clone().filter(|record| record.alias.as_str() == alias);
    let named = of_name().find(|record| record.state != KeyState::Revoked).or_else(|| of_name().last())?;
    let working = |record: &&KeyRecord| {
        record.activation > 0
            && record.account == named.account
            && record.role == named.role
            && matches!(
                record.state,
                KeyState::Active | KeyState::Rotating | KeyState::Verifying | KeyState::Linked | KeyState::Standby
            )
    };
    records.filter(working).max_by_key(|record| record.activation).or(Some(named))
}

impl Custody {
    /// The key that signs where the settings name `alias`.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`].
    pub fn signing_key(&self, alias: &str) -> Result<&KeyRecord, CustodyError> {
        signing_key(self.list(), alias).ok_or_else(|| no_such(alias))
    }

    /// The number of the next activation of the account and role of `record`.
    pub(crate) fn next_activation(&self, record: &KeyRecord) -> u64 {
        let of_account = |other: &&KeyRecord| other.account == record.account && other.role == record.role;
        self.list().filter(of_account).map(|other| other.activation).max().unwrap_or(0).saturating_add(1)
    }

    fn in_state(&self, beside: &KeyRecord, state: KeyState) -> Option<&KeyRecord> {
        self.list().find(|other| {
            other.kid != beside.kid
                && other.state == state
                && other.account == beside.account
                && other.role == beside.role
        })
    }

    /// Puts a verified key in the place of the account's Active one: Active to Rotating and Standby to Active by one
    /// save. `from_sequence`: the last sequence signed with the former key so far.
    ///
    /// # Errors
    /// [`CustodyError::Transition`] when the key is not Standby, [`CustodyError::NothingToReplace`] when the account
    /// has no Active key, or the vault's; nothing has changed then.
    pub fn cut_over(&mut self, alias: &str, from_sequence: u64, now: UnixNanos) -> Result<CutOver, CustodyError> {
        let next = self.show(alias)?.clone();
        if next.state != KeyState::Standby {
            return Err(CustodyError::Transition { alias: next.alias, from: next.state, to: KeyState::Active });
        }
        let former = self.in_state(&next, KeyState::Active).ok_or(CustodyError::NothingToReplace)?.clone();
        let activation = self.next_activation(&next);
        let rotating = moved(&former, KeyState::Rotating, &format!("replaced by {}", next.alias), now);
        let active = KeyRecord {
            activation,
            from_sequence,
            predecessor: Some(former.kid.clone()),
            // The one that was confirmed for it, else what was confirmed for the account until now.
            policy: if next.policy.is_empty() { former.policy.clone() } else { next.policy.clone() },
            ..moved(&next, KeyState::Active, &format!("took over from {}", former.alias), now)
        };
        self.store_moves([rotating, active])?;
        Ok(CutOver { from: former.alias, to: next.alias, activation, after_sequence: from_sequence })
    }

    /// Puts the former key back in the place of one that turned out not to work: Rotating to Active, and the other to
    /// Quarantined, by one save.
    ///
    /// # Errors
    /// [`CustodyError::Transition`] when the account has no key that is being replaced, or the vault's; nothing has
    /// changed then.
    pub fn take_back(&mut self, alias: &str, reason: &str, now: UnixNanos) -> Result<CutOver, CustodyError> {
        let failed = self.show(alias)?.clone();
        if !matches!(failed.state, KeyState::Active | KeyState::Verifying | KeyState::Linked) {
            return Err(CustodyError::Transition {
                alias: failed.alias,
                from: failed.state,
                to: KeyState::Quarantined,
            });
        }
        let former = self.in_state(&failed, KeyState::Rotating).ok_or(CustodyError::NothingToReplace)?.clone();
        let activation = self.next_activation(&failed);
        let quarantined = moved(&failed, KeyState::Quarantined, reason, now);
        let words = format!("taken back: {} does not work", failed.alias);
        let active = KeyRecord { activation, ..moved(&former, KeyState::Active, &words, now) };
        self.store_moves([quarantined, active])?;
        Ok(CutOver { from: failed.alias, to: former.alias, activation, after_sequence: 0 })
    }

    fn store_moves(&mut self, records: [KeyRecord; 2]) -> Result<(), CustodyError> {
        let placed = records.map(|record| (self.place_of_kid(&record.kid), record));
        let mut changes = Vec::with_capacity(placed.len());
        for (place, record) in placed {
            changes.push((place.ok_or_else(|| no_such(&record.alias))?, record));
        }
        self.store_together(changes)
    }
}

fn moved(record: &KeyRecord, to: KeyState, reason: &str, now: UnixNanos) -> KeyRecord {
    let mut next = KeyRecord { state: to, state_since: now, reason: reason.to_owned(), ..record.clone() };
    next.note(now, Some(to), reason);
    next
}

impl CustodyDesk {
    /// Loads a signer for a key that is to be verified beside the one that signs. It signs nothing else.
    ///
    /// # Errors
    /// [`CustodyError::NotOfSeat`] for a key of another account or role, or one that has no verification before it;
    /// else as for loading any key.
    pub fn load_candidate(&mut self, seat: VenueId, alias: &str) -> Result<(), CustodyError> {
        let record = self.custody.show(alias)?;
        let (candidate, state) = (record.alias, record.state);
        let at_work = self.alias_of(seat).and_then(|at_work| self.custody.show(&at_work).ok());
        let fits = at_work.is_some_and(|at_work| {
            at_work.kid != record.kid && at_work.account == record.account && at_work.role == record.role
        });
        if !fits || !matches!(state, KeyState::Linked | KeyState::Verifying | KeyState::Standby) {
            return Err(CustodyError::NotOfSeat { alias: candidate });
        }
        let mut signer = self.load(seat, alias)?;
        signer.set_duty(KeyDuty::VerifyOnly);
        // What the venue's clock says is known to the seat's signer alone.
        self.seats.with(seat, |active| active.as_ref().map(|active| signer.take_time_of(active)));
        self.candidates
            .with(seat, |place| *place = Some(signer))
            .ok_or(CustodyError::NotOfSeat { alias: candidate })?;
        self.waiting.retain(|(known, _)| *known != seat);
        self.waiting.push((seat, candidate));
        Ok(())
    }

    /// Takes the signer beside the one at work away.
    pub fn drop_candidate(&mut self, seat: VenueId) {
        self.candidates.with(seat, |place| *place = None);
        self.waiting.retain(|(known, _)| *known != seat);
    }

    /// Puts the candidate in the place of the key at work. It is on disk when the exchange happens, and that takes
    /// place between two signatures.
    ///
    /// # Errors
    /// [`CustodyError`]: the former key signs as before.
    pub fn cut_over(&mut self, seat: VenueId, alias: &str) -> Result<CutOver, CustodyError> {
        let waiting = self.waiting.iter().any(|(known, name)| *known == seat && name.as_str() == alias);
        let record = self.custody.show(alias)?;
        let not_loaded = CustodyError::NotLoaded { alias: record.alias, refusal: SignRefusal::NoKey };
        if !waiting || self.candidates.with(seat, |place| place.is_none()).unwrap_or(true) {
            return Err(not_loaded);
        }
        let emergency = self.load_cancel_only(seat, alias)?;
        let signed_so_far = self.last_sequence(seat).ok_or(not_loaded)?;
        pass(FailPoint::BeforeCutOver);
        let cut_over = self.custody.cut_over(alias, signed_so_far, self.clock.unix())?;
        pass(FailPoint::AfterCutOverSave);
        let after_sequence = self.exchange(seat, cut_over, emergency);
        pass(FailPoint::AfterCutOver);
        Ok(CutOver { after_sequence, ..cut_over })
    }

    /// Puts the former key back in its place, and the one that does not work into quarantine.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing has changed.
    pub fn take_back(&mut self, seat: VenueId, reason: &str) -> Result<CutOver, CustodyError> {
        let failed = self.alias_of(seat).ok_or(CustodyError::NothingToReplace)?;
        let record = self.custody.show(&failed)?;
        let former = self.custody.in_state(record, KeyState::Rotating).ok_or(CustodyError::NothingToReplace)?.alias;
        let emergency = self.load_cancel_only(seat, &former)?;
        if self.candidates.with(seat, |place| place.is_none()).unwrap_or(true) {
            // The program has started since the cut-over.
            let mut signer = self.load(seat, &former)?;
            signer.set_duty(KeyDuty::None);
            self.candidates.with(seat, |place| *place = Some(signer));
        }
        pass(FailPoint::BeforeTakeBack);
        let back = self.custody.take_back(&failed, reason, self.clock.unix())?;
        pass(FailPoint::AfterTakeBackSave);
        let after_sequence = self.exchange(seat, back, emergency);
        self.drop_candidate(seat);
        pass(FailPoint::AfterTakeBack);
        Ok(CutOver { after_sequence, ..back })
    }

    /// Exchanges the keys of seat and candidate; the last sequence that was signed before.
    fn exchange(&mut self, seat: VenueId, change: CutOver, mut emergency: crate::inline::CancelOnlySigner) -> u64 {
        let (candidates, to) = (self.candidates.clone(), change.to);
        let bound = self.bound(&to);
        let (records, clock) = (self.records.clone(), Arc::clone(&self.clock));
        let last = self.seats.with(seat, |active| {
            candidates.with(seat, |other| match (active.as_mut(), other.as_mut()) {
                (Some(active), Some(other)) => {
                    active.exchange_keys(other);
                    if let (Some(key), Some(records)) = (bound, records) {
                        active.bound_to(key, &records, clock);
                    }
                    other.set_duty(KeyDuty::None);
                    active.last_sequence()
                }
                _ => 0,
            })
        });
        self.cancels.with(seat, |signer| match signer {
            Some(signer) => signer.exchange_keys(&mut emergency),
            None => *signer = Some(emergency),
        });
        for (_, alias) in self.places.iter_mut().filter(|(known, _)| *known == seat) {
            *alias = to;
        }
        self.waiting.retain(|(known, _)| *known != seat);
        self.waiting.push((seat, change.from));
        last.flatten().unwrap_or(0)
    }

    /// What bounds a key, if it has a policy; one that cannot be read was refused when it was stored.
    fn bound(&self, alias: &str) -> Option<BoundKey<'_>> {
        let record = self.custody.show(alias).ok().filter(|record| !record.policy.is_empty())?;
        let policy = PolicyDocument::parse(&record.policy).ok()?;
        let kid = kid_bytes(&record.kid)?;
        Some(BoundKey { kid, account: &record.account, venue: &record.venue, role: record.role, policy })
    }

    fn alias_of(&self, seat: VenueId) -> Option<KeyAlias> {
        self.places.iter().find(|(known, _)| *known == seat).map(|(_, alias)| *alias)
    }

    fn last_sequence(&self, seat: VenueId) -> Option<u64> {
        self.seats.with(seat, |signer| signer.as_ref().map(InlineSigner::last_sequence)).flatten()
    }
}
