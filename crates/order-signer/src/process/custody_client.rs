//! The daemon's end of the custody socket.

use super::custody_server::{CUSTODY_FRAME_MAX, CustodyAsk, CustodyTold};
use super::socket::{Packets, SocketError};
use crate::custody::{CustodyError, no_such};
use crate::key_store::KeyStore;
use crate::policy::{PolicyMove, PolicySet};
use crate::record::KeyRecord;
use crate::refusals::Refusals;
use crate::rotation::CutOver;
use crate::sealing::{Origin, SealedKey, SealingPublic};
use access::StepUpRefusal;
use audit::{AuditEntry, AuditError, AuditSink};
use domain::VenueId;
use messages::{KeyDuty, KeyInfo, KeyState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// The keys of a signer process. Copies share one socket.
#[derive(Clone)]
pub struct RemoteStore(Arc<Mutex<End>>);

struct End {
    socket: Packets,
    /// Number of the last question: an answer that comes too late is not taken for the next one's.
    asked: u64,
    /// What each key may be used for, as last told: a new process has to be told again.
    duties: Vec<(VenueId, KeyDuty)>,
}

impl RemoteStore {
    /// Longest wait for an answer: a vault is saved with several syncs meanwhile.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// The end of a socket whose other end is served by `serve_custody`.
    ///
    /// # Errors
    /// [`SocketError::System`] when the time limit cannot be set.
    pub fn new(socket: Packets) -> Result<Self, SocketError> {
        socket.wait_at_most(Some(Self::PATIENCE))?;
        Ok(Self(Arc::new(Mutex::new(End { socket, asked: 0, duties: Vec::new() }))))
    }

    /// Takes the socket of a new process in the place of one that has gone, and tells it the keys' duties.
    ///
    /// # Errors
    /// [`CustodyError::Away`] when the new process does not answer either.
    pub fn replace(&self, socket: Packets) -> Result<(), CustodyError> {
        let away = |error: SocketError| CustodyError::Away { why: error.to_string() };
        socket.wait_at_most(Some(Self::PATIENCE)).map_err(away)?;
        let duties = {
            let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            end.socket = socket;
            end.duties.clone()
        };
        duties.into_iter().try_for_each(|(seat, duty)| self.ask("", &CustodyAsk::Duty { seat, duty }).map(drop))
    }

    fn ask(&self, alias: &str, ask: &CustodyAsk) -> Result<Vec<KeyRecord>, CustodyError> {
        match self.ask_anything(ask)? {
            CustodyTold::Records(records) => Ok(records),
            CustodyTold::NoSuchKey => Err(no_such(alias)),
            CustodyTold::Failed(why) => Err(CustodyError::Refused { why }),
            CustodyTold::CodeNeeded => Err(CustodyError::CodeNeeded),
            _ => Ok(Vec::new()),
        }
    }

    fn change(&self, alias: &str, ask: &CustodyAsk) -> Result<CutOver, CustodyError> {
        match self.ask_anything(ask)? {
            CustodyTold::Changed(change) => Ok(change),
            CustodyTold::NoSuchKey => Err(no_such(alias)),
            CustodyTold::Failed(why) => Err(CustodyError::Refused { why }),
            _ => Err(CustodyError::Away { why: "its answer cannot be read".to_owned() }),
        }
    }

    fn ask_anything(&self, ask: &CustodyAsk) -> Result<CustodyTold, CustodyError> {
        let away = |why: String| CustodyError::Away { why };
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.asked = end.asked.wrapping_add(1);
        let End { socket, asked, .. } = &*end;
        // It may hold a one-time code.
        let frame = Zeroizing::new(serde_json::to_vec(&(asked, ask)).map_err(|error| away(error.to_string()))?);
        socket.send(&frame).map_err(|error| away(error.to_string()))?;
        let mut inward = vec![0_u8; CUSTODY_FRAME_MAX];
        loop {
            let len = socket.receive(&mut inward).map_err(|error| away(error.to_string()))?;
            let told = inward.get(..len).and_then(|frame| serde_json::from_slice::<(u64, CustodyTold)>(frame).ok());
            let (number, told) = told.ok_or_else(|| away("its answer cannot be read".to_owned()))?;
            // 0: it could not read the question, and so not its number.
            if number == *asked || number == 0 {
                return Ok(told);
            }
        }
    }
}

impl RemoteStore {
    fn ask_records(&self, ask: &CustodyAsk) -> Result<u64, AuditError> {
        let why = match self.ask_anything(ask) {
            Ok(CustodyTold::Recorded(Ok(seq))) => return Ok(seq),
            Ok(CustodyTold::Recorded(Err(why)) | CustodyTold::Failed(why)) => why,
            Ok(_) => "the signer process answered something else".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(AuditError::Elsewhere { why })
    }
}

/// The audit log of a signer process.
impl AuditSink for RemoteStore {
    fn append(&self, entry: AuditEntry) -> Result<u64, AuditError> {
        self.ask_records(&CustodyAsk::Record { entry })
    }

    fn tick(&self) -> Result<u64, AuditError> {
        self.ask_records(&CustodyAsk::RecordsTick)
    }

    fn seal(&self) -> Result<u64, AuditError> {
        self.ask_records(&CustodyAsk::RecordsSeal)
    }
}

impl KeyStore for RemoteStore {
    fn list(&self) -> Result<Vec<KeyRecord>, CustodyError> {
        self.ask("", &CustodyAsk::List)
    }

    fn refusals(&self) -> Result<Vec<Refusals>, CustodyError> {
        match self.ask_anything(&CustodyAsk::Refusals)? {
            CustodyTold::Refusals(refusals) => Ok(refusals),
            _ => Err(CustodyError::Away { why: "its answer cannot be read".to_owned() }),
        }
    }

    fn show(&self, alias: &str) -> Result<KeyRecord, CustodyError> {
        let found = self.ask(alias, &CustodyAsk::Show { alias: alias.to_owned() })?;
        found.into_iter().next().ok_or_else(|| no_such(alias))
    }

    fn set_state(&mut self, alias: &str, to: KeyState, reason: &str) -> Result<(), CustodyError> {
        let ask = CustodyAsk::SetState { alias: alias.to_owned(), to, reason: reason.to_owned() };
        self.ask(alias, &ask).map(drop)
    }

    fn learn(&mut self, alias: &str, info: &KeyInfo, verified: bool) -> Result<(), CustodyError> {
        let ask = CustodyAsk::Learn { alias: alias.to_owned(), info: info.clone(), verified };
        self.ask(alias, &ask).map(drop)
    }

    fn set_duty(&mut self, seat: VenueId, duty: KeyDuty) -> Result<(), CustodyError> {
        {
            let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            end.duties.retain(|(known, _)| *known != seat);
            end.duties.push((seat, duty));
        }
        self.ask("", &CustodyAsk::Duty { seat, duty }).map(drop)
    }

    fn load_candidate(&mut self, seat: VenueId, alias: &str) -> Result<(), CustodyError> {
        self.ask(alias, &CustodyAsk::LoadCandidate { seat, alias: alias.to_owned() }).map(drop)
    }

    fn drop_candidate(&mut self, seat: VenueId) -> Result<(), CustodyError> {
        self.ask("", &CustodyAsk::DropCandidate { seat }).map(drop)
    }

    fn cut_over(&mut self, seat: VenueId, alias: &str) -> Result<CutOver, CustodyError> {
        self.change(alias, &CustodyAsk::CutOver { seat, alias: alias.to_owned() })
    }

    fn take_back(&mut self, seat: VenueId, reason: &str) -> Result<CutOver, CustodyError> {
        self.change("", &CustodyAsk::TakeBack { seat, reason: reason.to_owned() })
    }

    fn reconciled(&mut self) -> Result<(), CustodyError> {
        self.ask("", &CustodyAsk::Reconciled).map(drop)
    }

    fn has_codes(&self) -> Result<bool, CustodyError> {
        Ok(matches!(self.ask_anything(&CustodyAsk::HasCodes)?, CustodyTold::Codes(true)))
    }

    fn check_code(&mut self, code: &str) -> Result<(), StepUpRefusal> {
        let ask = CustodyAsk::CheckCode { code: Zeroizing::new(code.to_owned()) };
        match self.ask_anything(&ask) {
            Ok(CustodyTold::Code(result)) => result,
            _ => Err(StepUpRefusal::Unavailable),
        }
    }

    fn sealing_key(&self) -> Result<SealingPublic, CustodyError> {
        match self.ask_anything(&CustodyAsk::SealingKey)? {
            CustodyTold::Sealing(public) => Ok(public),
            told => Err(unexpected("", told)),
        }
    }

    fn link_sealed(
        &mut self,
        key: &SealedKey,
        origin: &Origin,
        policy: Option<&str>,
    ) -> Result<KeyRecord, CustodyError> {
        let (origin, policy) = (origin.clone(), policy.map(str::to_owned));
        let linked = self.ask(&key.alias, &CustodyAsk::Link { key: key.clone(), origin, policy })?;
        linked.into_iter().next().ok_or_else(|| no_such(&key.alias))
    }

    fn change_policy(
        &mut self,
        alias: &str,
        wanted: PolicyMove,
        text: &str,
        reason: &str,
    ) -> Result<PolicySet, CustodyError> {
        let ask = CustodyAsk::ChangePolicy {
            alias: alias.to_owned(),
            wanted,
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        match self.ask_anything(&ask)? {
            CustodyTold::Policy(set) => Ok(set),
            told => Err(unexpected(alias, told)),
        }
    }
}

/// What an answer of another kind means.
fn unexpected(alias: &str, told: CustodyTold) -> CustodyError {
    match told {
        CustodyTold::NoSuchKey => no_such(alias),
        CustodyTold::CodeNeeded => CustodyError::CodeNeeded,
        CustodyTold::Failed(why) => CustodyError::Refused { why },
        _ => CustodyError::Away { why: "its answer is about something else".to_owned() },
    }
}
