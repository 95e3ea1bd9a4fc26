//! The signer's end of the custody socket: shows keys, moves them, takes signers away.
//!
//! Invariants: a state's change is on disk before it is confirmed, and so is a record of what raises risk; a key that may not sign any more has lost its
//! signer before that; the daemon can never widen what a key's state allows; no answer holds a secret.

use super::socket::{Packets, SocketError};
use crate::codes::check_code;
use crate::custody::CustodyError;
use crate::desk::CustodyDesk;
use crate::policy::{PolicyMove, PolicySet};
use crate::record::KeyRecord;
use crate::refusals::Refusals;
use crate::rotation::CutOver;
use crate::sealing::{Origin, SealedKey, SealingPublic};
use access::StepUpRefusal;
use audit::{AuditEntry, AuditError};
use domain::VenueId;
use messages::{KeyDuty, KeyInfo, KeyState};
use serde::{Deserialize, Serialize};
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
    Refusals,
    HasCodes,
    CheckCode { code: Zeroizing<String> },
    SealingKey,
    Link { key: SealedKey, origin: Origin, policy: Option<String> },
    ChangePolicy { alias: String, wanted: PolicyMove, text: String, reason: String },
    Record { entry: AuditEntry },
    RecordsTick,
    RecordsSeal,
    LoadCandidate { seat: VenueId, alias: String },
    DropCandidate { seat: VenueId },
    CutOver { seat: VenueId, alias: String },
    TakeBack { seat: VenueId, reason: String },
}

/// What custody answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum CustodyTold {
    Records(Vec<KeyRecord>),
    Done,
    NoSuchKey,
    Refusals(Vec<Refusals>),
    Codes(bool),
    Code(Result<(), StepUpRefusal>),
    CodeNeeded,
    Sealing(SealingPublic),
    Policy(PolicySet),
    Recorded(Result<u64, String>),
    Changed(CutOver),
    Failed(String),
}

impl CustodyDesk {
    fn answer(&mut self, ask: CustodyAsk) -> CustodyTold {
        self.settle_policies();
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
            CustodyAsk::Reconciled => self.reconciled(),
            CustodyAsk::Refusals => return CustodyTold::Refusals(self.refusals()),
            CustodyAsk::HasCodes => return CustodyTold::Codes(self.custody.step_up().is_some()),
            CustodyAsk::CheckCode { code } => {
                return CustodyTold::Code(check_code(&mut self.custody, &code, self.clock.unix()));
            }
            CustodyAsk::Record { entry } => {
                return recorded(self.audit.as_ref().map_or(Ok(0), |audit| audit.append(entry)));
            }
            CustodyAsk::RecordsTick => return recorded(self.audit.as_ref().map_or(Ok(0), |audit| audit.tick())),
            CustodyAsk::RecordsSeal => return recorded(self.audit.as_ref().map_or(Ok(0), |audit| audit.seal())),
            CustodyAsk::Duty { seat, duty } => {
                self.set_duty(seat, duty);
                Ok(())
            }
            CustodyAsk::SealingKey => match self.sealing_key() {
                Ok(key) => return CustodyTold::Sealing(key.public().clone()),
                Err(error) => Err(error),
            },
            CustodyAsk::Link { key, origin, policy } => match self.link(&key, &origin, policy.as_deref()) {
                Ok(record) => return CustodyTold::Records(vec![record]),
                Err(error) => Err(error),
            },
            CustodyAsk::ChangePolicy { alias, wanted, text, reason } => {
                match self.change_policy(&alias, wanted, &text, &reason) {
                    Ok(set) => return CustodyTold::Policy(set),
                    Err(error) => Err(error),
                }
            }
            CustodyAsk::LoadCandidate { seat, alias } => self.load_candidate(seat, &alias),
            CustodyAsk::DropCandidate { seat } => {
                self.drop_candidate(seat);
                Ok(())
            }
            CustodyAsk::CutOver { seat, alias } => match self.cut_over(seat, &alias) {
                Ok(change) => return CustodyTold::Changed(change),
                Err(error) => Err(error),
            },
            CustodyAsk::TakeBack { seat, reason } => match self.take_back(seat, &reason) {
                Ok(change) => return CustodyTold::Changed(change),
                Err(error) => Err(error),
            },
        };
        match done {
            Ok(()) => CustodyTold::Done,
            Err(CustodyError::NoSuchKey { .. }) => CustodyTold::NoSuchKey,
            Err(CustodyError::CodeNeeded) => CustodyTold::CodeNeeded,
            Err(error) => CustodyTold::Failed(error.to_string()),
        }
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
