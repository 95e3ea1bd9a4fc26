//! Keeps the keys: runs each key's life cycle, saves every move in the vault, tells the order path what a key may do.

use audit::{AuditEntry, AuditSink, AuditVerb, Decision, Name, Permission, fail_closed};
use domain::{Clock, VenueId};
use key_manager::{CareAct, KeyCare, KeySpec, Policy, ProbeLine};
use messages::{
    Control, KeyAlias, KeyDuty, KeyInfo, KeyRight, KeyRole, KeyState, QueryAnswer, QueryId, QueryPurpose, SignQuery,
    VenueError,
};
use order_signer::{Custody, CustodyError, KeyRecord};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the caretaker hears.
#[derive(Debug)]
pub enum CareNews {
    /// Venue time was measured.
    Clock {
        /// The venue account.
        venue: VenueId,
        /// Venue time minus own time.
        offset_ns: i64,
        /// Half the round trip plus drift.
        uncertainty_ns: u64,
    },
    /// Venue time is not known.
    ClockLost(VenueId),
    /// An answer to one of its questions.
    Answer(VenueId, QueryId, QueryAnswer),
    /// The venue refused a log-in or a request for a reason that concerns the key.
    Rejected(VenueId, VenueError),
}

/// Shows a finding about the key of a venue account.
pub type ShowLine = Box<dyn FnMut(VenueId, &ProbeLine)>;
/// Hears of a key's move and the reason.
pub type HearMove = Box<dyn FnMut(VenueId, &KeyRecord, &str)>;

/// Where the caretaker's words go.
pub struct CareWires {
    /// Asks the order path for a signature; false: no room now.
    pub ask: Box<dyn Fn(SignQuery) -> bool>,
    /// Tells the order path something.
    pub control: Box<dyn Fn(Control)>,
    /// Shows a finding.
    pub line: ShowLine,
    /// A key has moved: from, to, why.
    pub moved: HearMove,
    /// Where every move is recorded before it is made.
    pub audit: Arc<dyn AuditSink>,
}

/// The keys of all venue accounts of a run.
pub struct Caretaker {
    custody: Custody,
    cares: Vec<KeyCare>,
    wires: CareWires,
    clock: Arc<dyn Clock>,
    failed: BTreeSet<VenueId>,
    /// Accounts whose key was to be widened while nothing could be recorded.
    unrecorded: BTreeSet<VenueId>,
    troubles: Vec<CustodyError>,
}

/// Whose key it is and what it must be.
pub struct KeyOf {
    /// The venue account.
    pub venue: VenueId,
    /// The key's name.
    pub alias: KeyAlias,
    /// Whether a key that any address may use is taken.
    pub allow_unbound: bool,
}

impl Caretaker {
    /// Takes the keys into care and begins their verification.
    ///
    /// # Errors
    /// [`CustodyError`] when a key is not there.
    pub fn start(
        custody: Custody,
        keys: &[KeyOf],
        wires: CareWires,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CustodyError> {
        let mut caretaker = Self {
            custody,
            cares: Vec::new(),
            wires,
            clock,
            failed: BTreeSet::new(),
            unrecorded: BTreeSet::new(),
            troubles: Vec::new(),
        };
        for key in keys {
            let record = caretaker.custody.show(&key.alias)?;
            let beside_active = caretaker.custody.list().any(|other| {
                other.kid != record.kid
                    && other.state == KeyState::Active
                    && other.account == record.account
                    && other.role == record.role
            });
            let spec = KeySpec {
                venue: key.venue,
                alias: key.alias,
                account: record.account.clone(),
                state: record.state,
                policy: Policy {
                    role: record.role,
                    allow_unbound: key.allow_unbound,
                    account: record.venue_account.clone(),
                },
                verified_before: record.verified.is_some(),
                beside_active,
            };
            publish(record);
            let (care, acts) = KeyCare::start(spec, caretaker.clock.mono());
            caretaker.cares.push(care);
            let index = caretaker.cares.len().saturating_sub(1);
            caretaker.act(index, acts);
        }
        Ok(caretaker)
    }

    /// Takes in what was heard.
    pub fn hear(&mut self, news: CareNews) {
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        let venue = match &news {
            CareNews::Clock { venue, .. } => *venue,
            CareNews::ClockLost(venue) | CareNews::Answer(venue, ..) | CareNews::Rejected(venue, _) => *venue,
        };
        let Some(index) = self.cares.iter().position(|care| care.spec().venue == venue) else { return };
        let Some(care) = self.cares.get_mut(index) else { return };
        let acts = match news {
            CareNews::Clock { offset_ns, uncertainty_ns, .. } => care.clock(offset_ns, uncertainty_ns, now),
            CareNews::ClockLost(_) => {
                care.clock_lost();
                Vec::new()
            }
            CareNews::Answer(_, query, answer) => care.answer(query, answer, now, unix),
            CareNews::Rejected(_, error) => care.rejected(&error, now),
        };
        self.act(index, acts);
    }

    /// Lets time pass; call it every [`KeyCare::tick_every`].
    pub fn tick(&mut self) {
        for index in 0..self.cares.len() {
            let now = self.clock.mono();
            let acts = self.cares.get_mut(index).map(|care| care.tick(now)).unwrap_or_default();
            self.act(index, acts);
        }
    }

    fn act(&mut self, index: usize, acts: Vec<CareAct>) {
        for act in acts {
            let Some((venue, alias)) = self.cares.get(index).map(|care| (care.spec().venue, care.spec().alias)) else {
                return;
            };
            match act {
                CareAct::Ask(id, intent) => {
                    // No room now: the question runs into its time limit and is asked again.
                    let _ = (self.wires.ask)(SignQuery { id, purpose: QueryPurpose::Verify, venue, intent });
                }
                CareAct::Line(line) => (self.wires.line)(venue, &line),
                CareAct::Moved { from, to, reason, info } => {
                    self.moved(venue, alias, (from, to), &reason, info.as_ref())
                }
                CareAct::Verified { info, .. } => {
                    self.failed.remove(&venue);
                    let saved = self.custody.learn(&alias, &info, true, self.clock.unix());
                    self.note(saved);
                    if let Ok(record) = self.custody.show(&alias) {
                        publish(record);
                    }
                }
                // What could not be recorded is not in force: the key keeps the duties that lower risk.
                CareAct::Duty(KeyDuty::Full) if self.unrecorded.contains(&venue) => {
                    (self.wires.control)(Control::KeyDuty(venue, KeyDuty::CancelOnly));
                }
                CareAct::Duty(duty) => (self.wires.control)(Control::KeyDuty(venue, duty)),
                CareAct::Failed => {
                    self.failed.insert(venue);
                }
            }
        }
    }

    fn moved(
        &mut self,
        venue: VenueId,
        alias: KeyAlias,
        step: (KeyState, KeyState),
        reason: &str,
        info: Option<&KeyInfo>,
    ) {
        let (from, to) = step;
        if let Some(info) = info {
            let learned = self.custody.learn(&alias, info, false, self.clock.unix());
            self.note(learned);
        }
        if !self.recorded(venue, alias, step, reason) {
            return;
        }
        let saved = self.custody.set_state(&alias, to, reason, self.clock.unix());
        self.note(saved);
        tracing::info!(key = alias.as_str(), from = from.as_str(), to = to.as_str(), reason, "key moved");
        if let Ok(record) = self.custody.show(&alias) {
            publish(record);
            (self.wires.moved)(venue, record, reason);
        }
    }

    /// Records a move before it is made; false: it must not be made.
    fn recorded(&mut self, venue: VenueId, alias: KeyAlias, (from, to): (KeyState, KeyState), reason: &str) -> bool {
        let verb = move_verb(to);
        let words = format!("{} to {}: {reason}", from.as_str(), to.as_str());
        let entry = AuditEntry::by_system(verb, Decision::Allowed).about(Name::clear(alias.as_str())).because(words);
        match fail_closed(self.wires.audit.append(entry), verb.raises_risk()) {
            Permission::Recorded(_) => {
                self.unrecorded.remove(&venue);
                true
            }
            Permission::GoOnUnrecorded(error) => {
                tracing::error!(key = alias.as_str(), error = %error, "a key's move could not be recorded");
                true
            }
            Permission::Refuse(error) => {
                tracing::error!(key = alias.as_str(), error = %error, "a key's move could not be recorded and is not made");
                self.unrecorded.insert(venue);
                self.troubles.push(CustodyError::Io { path: "audit".into(), source: std::io::Error::other(error) });
                false
            }
        }
    }

    fn note(&mut self, result: Result<(), CustodyError>) {
        if let Err(error) = result {
            tracing::error!(error = %error, "the vault could not be saved");
            self.troubles.push(error);
        }
    }

    /// The state of a venue account's key.
    #[must_use]
    pub fn state(&self, venue: VenueId) -> Option<KeyState> {
        self.cares.iter().find(|care| care.spec().venue == venue).map(KeyCare::state)
    }

    /// Whether a verification of the account's key is under way.
    #[must_use]
    pub fn verifying(&self, venue: VenueId) -> bool {
        self.cares.iter().any(|care| care.spec().venue == venue && care.verifying())
    }

    /// Whether the last verification of the account's key ended without success.
    #[must_use]
    pub fn failed(&self, venue: VenueId) -> bool {
        self.failed.contains(&venue)
    }

    /// The records of all keys.
    pub fn records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.custody.list()
    }

    /// What went wrong while saving, taken out.
    pub fn troubles(&mut self) -> Vec<CustodyError> {
        std::mem::take(&mut self.troubles)
    }
}

/// Puts a key's state into the metrics.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float exactly")]
fn publish(record: &KeyRecord) {
    let account = record.account.as_str();
    for state in KeyState::ALL {
        let is = if state == record.state { 1.0 } else { 0.0 };
        telemetry::key_status(account, state.as_str()).set(is);
    }
    let seconds = |at: domain::UnixNanos| (at.0 / 1_000_000_000) as f64;
    telemetry::key_created_timestamp_seconds(account).set(seconds(record.created));
    telemetry::key_rotation_due_timestamp_seconds(account).set(seconds(record.rotation_due()));
    if let Some(verified) = record.verified {
        telemetry::key_last_verified_timestamp_seconds(account).set(seconds(verified));
    }
    let has = |right: KeyRight| if record.rights.contains(&right) { 1.0 } else { 0.0 };
    let reads = if record.rights.is_empty() { 0.0 } else { 1.0 };
    telemetry::key_permission(account, telemetry::KeyPermission::Read).set(reads);
    telemetry::key_permission(account, telemetry::KeyPermission::Trade).set(has(KeyRight::SpotTrade));
    telemetry::key_permission(account, telemetry::KeyPermission::Transfer).set(has(KeyRight::Transfer));
    telemetry::key_permission(account, telemetry::KeyPermission::Withdraw).set(has(KeyRight::Withdraw));
}

/// What a move into a state is in the audit log: out of use, or towards it.
const fn move_verb(to: KeyState) -> AuditVerb {
    match to {
        KeyState::Linked | KeyState::Verifying | KeyState::Standby | KeyState::Active => AuditVerb::KeyMoved,
        _ => AuditVerb::KeyWithdrawn,
    }
}

/// Words for a key's role.
#[must_use]
pub const fn role_word(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Trade => "trade",
        KeyRole::Stream => "stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit::{AuditError, NoAudit};
    use clock::SystemClock;
    use order_signer::{KeySecrets, NewKey};
    use secrets::SecretBytes;
    use std::sync::Mutex;

    struct FullDisk;

    impl AuditSink for FullDisk {
        fn append(&self, _entry: AuditEntry) -> Result<u64, AuditError> {
            Err(AuditError::WriterDied)
        }
    }

    /// A key in care that is Active, with this sink; and the duties that the order path is told.
    fn active_key(audit: Arc<dyn AuditSink>) -> (tempfile::TempDir, Caretaker, Arc<Mutex<Vec<KeyDuty>>>) {
        let home = tempfile::tempdir().unwrap();
        let (clock, alias) = (SystemClock, KeyAlias::from("main").unwrap());
        let passphrase = vault::Passphrase::from_text("an invented passphrase").unwrap();
        let dir = home.path().join("custody");
        let mut custody = Custody::create(&dir, &passphrase, vault::KdfParams::FLOOR, clock.unix()).unwrap();
        let secret = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
        let secrets = KeySecrets { key: secret("key"), secret: secret("secret"), passphrase: secret("pass") };
        let new = NewKey {
            alias,
            venue: "bitget".to_owned(),
            environment: "sim".to_owned(),
            account: "main".to_owned(),
            role: KeyRole::Trade,
            wallets: Vec::new(),
            stream_login_confirmed: true,
        };
        custody.add(new, &secrets, clock.unix()).unwrap();
        custody.set_state("main", KeyState::Verifying, "being verified", clock.unix()).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let wires = CareWires {
            ask: Box::new(|_| true),
            control: Box::new(move |control| {
                if let Control::KeyDuty(_, duty) = control {
                    heard.lock().unwrap().push(duty);
                }
            }),
            line: Box::new(|_, _| {}),
            moved: Box::new(|_, _, _| {}),
            audit,
        };
        let keys = [KeyOf { venue: VenueId(0), alias, allow_unbound: true }];
        let caretaker = Caretaker::start(custody, &keys, wires, Arc::new(clock)).unwrap();
        told.lock().unwrap().clear();
        (home, caretaker, told)
    }

    fn activate(caretaker: &mut Caretaker) {
        let (from, to) = (KeyState::Verifying, KeyState::Active);
        let moved = CareAct::Moved { from, to, reason: "verified".to_owned(), info: None };
        caretaker.act(0, vec![moved, CareAct::Duty(KeyDuty::Full)]);
    }

    #[test]
    fn key_is_not_widened_while_nothing_can_be_recorded_and_may_still_cancel() {
        let (_home, mut caretaker, told) = active_key(Arc::new(FullDisk));
        activate(&mut caretaker);
        assert_eq!(caretaker.records().next().unwrap().state, KeyState::Verifying);
        assert_eq!(*told.lock().unwrap(), [KeyDuty::CancelOnly]);
        assert_eq!(caretaker.troubles().len(), 1);
        // Taking it out of use is not held up.
        let (from, to) = (KeyState::Verifying, KeyState::Quarantined);
        caretaker.act(0, vec![CareAct::Moved { from, to, reason: "rejected".to_owned(), info: None }]);
        assert_eq!(caretaker.records().next().unwrap().state, KeyState::Quarantined);
    }

    #[test]
    fn key_is_widened_when_it_is_recorded() {
        let (_home, mut caretaker, told) = active_key(Arc::new(NoAudit));
        activate(&mut caretaker);
        assert_eq!(caretaker.records().next().unwrap().state, KeyState::Active);
        assert_eq!(*told.lock().unwrap(), [KeyDuty::Full]);
    }
}
