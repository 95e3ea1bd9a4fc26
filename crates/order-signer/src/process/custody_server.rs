//! The signer's end of the custody socket: shows keys, moves them, takes signers away.
//!
//! Invariants: a state's change is on disk before it is confirmed, and so is a record of what raises risk; a key that may not sign any more has lost its
//! signer before that; the daemon can never widen what a key's state allows; no answer holds a secret.

use super::server::Seats;
use super::socket::{Packets, SocketError};
use crate::bounds::{SignatureRecords, enforce_saved};
use crate::codes::check_code;
use crate::custody::{Custody, CustodyError};
use crate::inline::{CancelOnlySigner, InlineSigner};
use crate::key_store::link_sealed;
use crate::policy::{PolicyMove, PolicySet};
use crate::record::KeyRecord;
use crate::sealing::{SealedKey, SealingKey, SealingPublic};
use access::StepUpRefusal;
use audit::{AuditEntry, AuditError, AuditSink};
use domain::{Clock, VenueId};
use messages::{KeyAlias, KeyDuty, KeyInfo, KeyState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// Largest frame on the custody socket, in bytes.
pub(super) const CUSTODY_FRAME_MAX: usize = 128 * 1024;

/// What the daemon asks of custody.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum CustodyAsk {
    List,
    Show { alias: String },
    SetState { alias: String, to: KeyState, reason: String },
    Learn { alias: String, info: KeyInfo, verified: bool },
    Duty { seat: VenueId, duty: KeyDuty },
    Reconciled,
    HasCodes,
    CheckCode { code: Zeroizing<String> },
    SealingKey,
    Link { key: SealedKey, environment: String, policy: Option<String> },
    ChangePolicy { alias: String, wanted: PolicyMove, text: String, reason: String },
    Record { entry: AuditEntry },
    RecordsTick,
    RecordsSeal,
}

/// What custody answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum CustodyTold {
    Records(Vec<KeyRecord>),
    Done,
    NoSuchKey,
    Codes(bool),
    Code(Result<(), StepUpRefusal>),
    CodeNeeded,
    Sealing(SealingPublic),
    Policy(PolicySet),
    Recorded(Result<u64, String>),
    Failed(String),
}

/// Makes the signer of a venue account and the emergency thread's beside it.
pub type LoadSeat =
    Box<dyn Fn(&Custody, VenueId, &KeyAlias) -> Result<(InlineSigner, CancelOnlySigner), CustodyError> + Send>;

/// The open vault and the signers that were made from it.
pub struct CustodyDesk {
    /// The vault.
    pub custody: Custody,
    /// The records of signatures.
    pub records: SignatureRecords,
    /// The audit log, open for writing.
    pub audit: Arc<dyn AuditSink>,
    /// Which key sits where.
    pub places: Vec<(VenueId, KeyAlias)>,
    /// The order path's signers.
    pub seats: Seats<InlineSigner>,
    /// The emergency thread's signers.
    pub cancels: Seats<CancelOnlySigner>,
    /// The key to which values of new keys are sealed.
    pub sealing: SealingKey,
    /// Makes the signers of a seat anew, after a key was linked.
    pub load: LoadSeat,
    /// The signer's own time; nobody tells it another.
    pub clock: Arc<dyn Clock>,
}

impl CustodyDesk {
    fn answer(&mut self, ask: CustodyAsk) -> CustodyTold {
        if let Ok(settled) = self.custody.settle_policies(self.clock.unix()) {
            enforce_saved(&self.records, &self.custody, &settled);
        }
        let done = match ask {
            CustodyAsk::List => return CustodyTold::Records(self.custody.list().cloned().collect()),
            CustodyAsk::Show { alias } => match self.custody.show(&alias) {
                Ok(record) => return CustodyTold::Records(vec![record.clone()]),
                Err(error) => Err(error),
            },
            CustodyAsk::SetState { alias, to, reason } => self.set_state(&alias, to, &reason),
            CustodyAsk::Learn { alias, info, verified } => {
                self.custody.learn(&alias, &info, verified, self.clock.unix())
            }
            CustodyAsk::Reconciled => {
                self.records.reconciled().map_err(|error| CustodyError::Refused { why: error.to_string() })
            }
            CustodyAsk::HasCodes => return CustodyTold::Codes(self.custody.step_up().is_some()),
            CustodyAsk::CheckCode { code } => {
                return CustodyTold::Code(check_code(&mut self.custody, &code, self.clock.unix()));
            }
            CustodyAsk::SealingKey => return CustodyTold::Sealing(self.sealing.public().clone()),
            CustodyAsk::Link { key, environment, policy } => match self.link(&key, &environment, policy.as_deref()) {
                Ok(record) => return CustodyTold::Records(vec![record]),
                Err(error) => Err(error),
            },
            CustodyAsk::ChangePolicy { alias, wanted, text, reason } => {
                match self.custody.change_policy(&alias, wanted, &text, &reason, self.clock.unix()) {
                    Ok(set) => {
                        let alias = KeyAlias::from(&alias).unwrap_or_default();
                        enforce_saved(&self.records, &self.custody, &[alias]);
                        return CustodyTold::Policy(set);
                    }
                    Err(error) => Err(error),
                }
            }
            CustodyAsk::Record { entry } => return recorded(self.audit.append(entry)),
            CustodyAsk::RecordsTick => return recorded(self.audit.tick()),
            CustodyAsk::RecordsSeal => return recorded(self.audit.seal()),
            CustodyAsk::Duty { seat, duty } => {
                self.set_duty(seat, duty);
                Ok(())
            }
        };
        match done {
            Ok(()) => CustodyTold::Done,
            Err(CustodyError::NoSuchKey { .. }) => CustodyTold::NoSuchKey,
            Err(CustodyError::CodeNeeded) => CustodyTold::CodeNeeded,
            Err(error) => CustodyTold::Failed(error.to_string()),
        }
    }

    fn set_state(&mut self, alias: &str, to: KeyState, reason: &str) -> Result<(), CustodyError> {
        let record = self.custody.show(alias)?;
        if !crate::custody::allowed_transition(record.state, to) {
            return Err(CustodyError::Transition { alias: record.alias, from: record.state, to });
        }
        if to == KeyState::Revoked {
            // Before the tombstone is written: nothing can be signed with it while that lasts.
            for seat in self.seats_of(alias) {
                self.seats.with(seat, |signer| *signer = None);
                self.cancels.with(seat, |signer| *signer = None);
            }
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
        Ok(())
    }

    /// Links a key from sealed values, and seats it where a venue account waits for a key of its name.
    fn link(&mut self, key: &SealedKey, environment: &str, policy: Option<&str>) -> Result<KeyRecord, CustodyError> {
        let record = link_sealed(&mut self.custody, &self.sealing, key, environment, policy, self.clock.unix())?;
        for seat in self.seats_of(&key.alias) {
            let (signer, canceller) = (self.load)(&self.custody, seat, &key.alias)?;
            self.seats.with(seat, |held| *held = Some(signer));
            self.cancels.with(seat, |held| *held = Some(canceller));
        }
        Ok(record)
    }

    fn set_duty(&self, seat: VenueId, duty: KeyDuty) {
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

/// What became of a record, as it crosses the socket: the number, or the whole chain of causes.
fn recorded(result: Result<u64, AuditError>) -> CustodyTold {
    CustodyTold::Recorded(result.map_err(|error| {
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            words.push_str(": ");
            words.push_str(&inner.to_string());
            cause = inner.source();
        }
        words
    }))
}

/// The most that a key in its state may be used for. Cancels stay possible while a key is looked at again, and for a
/// while after it was quarantined; how long is for the key manager to say.
pub(crate) const fn duty_most(record: &KeyRecord) -> KeyDuty {
    match record.state {
        KeyState::Active | KeyState::Rotating => KeyDuty::Full,
        KeyState::Verifying if record.verified.is_some() => KeyDuty::CancelOnly,
        KeyState::Linked | KeyState::Verifying | KeyState::Standby => KeyDuty::VerifyOnly,
        KeyState::Quarantined | KeyState::Expired => KeyDuty::CancelOnly,
        KeyState::Revoked => KeyDuty::None,
    }
}

/// Serves the key manager until the daemon is gone.
pub fn serve_custody(socket: &Packets, mut desk: CustodyDesk) {
    let mut inward = vec![0_u8; CUSTODY_FRAME_MAX];
    loop {
        let told = match socket.receive(&mut inward) {
            Ok(len) => match inward.get(..len).and_then(|frame| serde_json::from_slice::<(u64, _)>(frame).ok()) {
                Some((number, ask)) => {
                    // It may have held a one-time code.
                    inward.zeroize();
                    inward.resize(CUSTODY_FRAME_MAX, 0);
                    (number, desk.answer(ask))
                }
                None => (0, CustodyTold::Failed("the question cannot be read".to_owned())),
            },
            Err(SocketError::Late) => continue,
            Err(SocketError::TooLarge) => (0, CustodyTold::Failed("the question is too large".to_owned())),
            Err(SocketError::Gone | SocketError::System(_)) => return,
        };
        let Ok(frame) = serde_json::to_vec(&told) else { return };
        if socket.send(&frame).is_err() {
            return;
        }
    }
}
