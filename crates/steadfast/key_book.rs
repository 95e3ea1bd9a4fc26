//! What the key manager's news do: every move is recorded, then saved in the vault, then whoever must know is told.

use crate::plan::VenuePlan;
use audit::{AuditEntry, AuditSink, AuditVerb, Decision, Name, Permission, fail_closed};
use domain::{Clock, Market, UnixNanos, VenueId};
use key_manager::{
    DateWarning, KeyDates, KeyManager, KeyNews, KeyNewsBody, KeyOutlets, KeySpec, Policy, ProbeLine, RotationDesk,
    RotationNews, WishRefused,
};
use messages::{Control, KeyAlias, KeyDuty, KeyInfo, KeyRight, KeyRole, KeyState, SignQuery};
use order_signer::{CustodyError, CutOver, KeyRecord, KeyStore};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Shows a finding about the key of a venue account.
pub type ShowLine = Box<dyn FnMut(VenueId, &ProbeLine)>;
/// Hears that a key's record has changed, and why.
pub type HearChange = Box<dyn FnMut(&KeyOf, &KeyRecord, &str)>;
/// Hears a word about a key's dates.
pub type HearDates = Box<dyn FnMut(&KeyRecord, &DateWarning)>;

/// Hears how the change of a venue account's key goes on; the key is the one at work when it began.
pub type HearRotation = Box<dyn FnMut(VenueId, KeyAlias, &RotationNews)>;
/// Hears that a key's verification begins (true) or is over.
pub type HearProbing = Box<dyn FnMut(VenueId, bool)>;
/// Hears what became of a wish, by its number.
pub type HearSettled = Box<dyn FnMut(u64, Result<(), WishRefused>)>;

/// Where the words about keys go.
pub struct KeyWires {
    /// Asks the order path for a signature; false: no room now.
    pub ask: Box<dyn Fn(SignQuery) -> bool>,
    /// Tells the order path something.
    pub control: Box<dyn Fn(Control)>,
    /// Shows a finding.
    pub line: ShowLine,
    /// A key has moved, or was read anew.
    pub changed: HearChange,
    /// Its rotation or end is near or past.
    pub dates: HearDates,
    /// A change of keys goes on.
    pub rotation: HearRotation,
    /// Lets the private stream of a venue account log in with the key at work.
    pub new_login: Box<dyn Fn(VenueId)>,
    /// A verification begins (true) or is over.
    pub probing: HearProbing,
    /// What became of a person's wish.
    pub settled: HearSettled,
    /// Where every move is recorded before it is made.
    pub audit: Arc<dyn AuditSink>,
}

/// Whose key it is and what it must be.
#[derive(Debug, Clone, Copy)]
pub struct KeyOf {
    /// The venue account.
    pub venue: VenueId,
    /// The key's name.
    pub alias: KeyAlias,
    /// Whether a key that any address may use is taken.
    pub allow_unbound: bool,
    /// Age at which it should be replaced.
    pub rotate_after: Duration,
    /// How long before that a person is told.
    pub warn_before: Duration,
    /// How long a key that was replaced can come back.
    pub drain: Duration,
    /// Between two verifications of a good key.
    pub reverify_every: Duration,
    /// The markets that the account trades, in the order of [`Market::ALL`].
    pub markets: [bool; Market::ALL.len()],
}

/// A request signed with a key is taken by the venue for so long.
const RECEIVE_WINDOW: Duration = Duration::from_secs(30);
/// On top of the longest time for which a request of the former key can be under way.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

impl KeyOf {
    /// The key of this name for a venue account of the settings.
    #[must_use]
    pub fn new(venue: VenueId, alias: KeyAlias, plan: &VenuePlan) -> Self {
        Self {
            venue,
            alias,
            allow_unbound: plan.ip_binding != settings::IpBinding::Required,
            rotate_after: plan.rotate_after,
            warn_before: plan.warn_before,
            drain: plan.rest_timeout.max(RECEIVE_WINDOW).saturating_add(DRAIN_MARGIN),
            reverify_every: plan.reverify_every,
            markets: Market::ALL.map(|market| plan.symbols.iter().any(|symbol| Market::of(symbol) == market)),
        }
    }

    /// The dates of its record.
    #[must_use]
    pub const fn dates(&self, record: &KeyRecord) -> KeyDates {
        KeyDates {
            created: record.created,
            expires: record.expires,
            rotate_after: self.rotate_after,
            warn_before: self.warn_before,
        }
    }
}

/// The records of the keys of a run.
pub struct KeyBook {
    store: Box<dyn KeyStore>,
    control: Box<dyn Fn(Control)>,
    line: ShowLine,
    changed: HearChange,
    dates: HearDates,
    rotation: HearRotation,
    new_login: Box<dyn Fn(VenueId)>,
    probing: HearProbing,
    settled: HearSettled,
    audit: Arc<dyn AuditSink>,
    keys: Vec<KeyOf>,
    /// Accounts whose key was to be widened while nothing could be recorded.
    unrecorded: BTreeSet<VenueId>,
    troubles: Vec<CustodyError>,
    /// Keys whose last move is not on disk, and why.
    unsaved: BTreeMap<KeyAlias, String>,
}

/// A key manager for `keys`, and the book in which it writes.
///
/// # Errors
/// [`CustodyError`] when a key is not there.
pub fn manager(
    store: Box<dyn KeyStore>,
    keys: &[KeyOf],
    wires: KeyWires,
    clock: Arc<dyn Clock>,
) -> Result<(KeyManager, Rc<RefCell<KeyBook>>), CustodyError> {
    let specs = keys.iter().map(|key| spec(&*store, key)).collect::<Result<Vec<_>, _>>()?;
    for key in keys {
        publish(&store.show(&key.alias)?, key);
    }
    let KeyWires { ask, control, line, changed, dates, rotation, new_login, probing, settled, audit } = wires;
    let cut_off = keys.iter().map(|key| replaced(&*store, key)).collect::<Result<Vec<_>, _>>()?;
    let book = KeyBook {
        store,
        control,
        line,
        changed,
        dates,
        rotation,
        new_login,
        probing,
        settled,
        audit,
        keys: keys.to_vec(),
        unrecorded: BTreeSet::new(),
        troubles: Vec::new(),
        unsaved: BTreeMap::new(),
    };
    let book = Rc::new(RefCell::new(book));
    let writer = Rc::clone(&book);
    let outlets = KeyOutlets {
        ask,
        news: Box::new(move |news| writer.borrow_mut().take(news)),
        rotation: Box::new(BookDesk(Rc::clone(&book))),
    };
    let manager = KeyManager::new(specs, outlets, clock);
    let resumed = cut_off.into_iter().flatten();
    Ok((resumed.fold(manager, |manager, (former, drain)| manager.resuming(former, drain)), book))
}

/// The key that was being replaced by this one when the program ended.
fn replaced(store: &dyn KeyStore, key: &KeyOf) -> Result<Option<(KeySpec, Duration)>, CustodyError> {
    let at_work = store.show(&key.alias)?;
    let records = store.list()?;
    let former = records.iter().find(|other| is_beside(other, &at_work) && other.state == KeyState::Rotating);
    former.map(|former| Ok((spec(store, &KeyOf { alias: former.alias, ..*key })?, key.drain))).transpose()
}

/// Whether it is another key of the same account and role.
fn is_beside(other: &KeyRecord, record: &KeyRecord) -> bool {
    other.kid != record.kid && other.account == record.account && other.role == record.role
}

/// Changes keys in the vault and at the signers.
struct BookDesk(Rc<RefCell<KeyBook>>);

impl BookDesk {
    fn alias(&self, venue: VenueId) -> Result<KeyAlias, String> {
        let book = self.0.borrow();
        let key = book.keys.iter().find(|key| key.venue == venue);
        key.map(|key| key.alias).ok_or_else(|| "there is no such account".to_owned())
    }

    /// The name of the key at work has changed.
    fn renamed(&self, venue: VenueId, change: &CutOver, why: &str) -> u64 {
        let mut book = self.0.borrow_mut();
        if let Some(key) = book.keys.iter_mut().find(|key| key.venue == venue) {
            key.alias = change.to;
        }
        for alias in [change.from, change.to] {
            book.changed(venue, alias, why);
        }
        change.after_sequence
    }
}

fn words<T>(result: Result<T, CustodyError>) -> Result<T, String> {
    result.map_err(|error| crate::report::causes(&error))
}

impl RotationDesk for BookDesk {
    fn prepare(&mut self, venue: VenueId, next: Option<KeyAlias>) -> Result<KeySpec, String> {
        let at_work = self.alias(venue)?;
        let mut book = self.0.borrow_mut();
        let record = words(book.store.show(&at_work))?;
        let waits = |other: &KeyRecord| {
            is_beside(other, &record)
                && matches!(other.state, KeyState::Linked | KeyState::Verifying | KeyState::Standby)
        };
        let next = match next {
            Some(next) => words(book.store.show(&next))?,
            None => {
                let waiting: Vec<KeyRecord> = words(book.store.list())?.into_iter().filter(waits).collect();
                match <[KeyRecord; 1]>::try_from(waiting) {
                    Ok([only]) => only,
                    Err(none) if none.is_empty() => {
                        return Err(format!("no key waits to take over from `{at_work}`: link the next one first"));
                    }
                    Err(_) => return Err("several keys wait: name the one that is to take over".to_owned()),
                }
            }
        };
        if !waits(&next) {
            let (alias, state) = (next.alias, next.state.as_str());
            return Err(format!("key `{alias}` is {state} and cannot take over from `{at_work}`"));
        }
        words(book.store.load_candidate(venue, &next.alias))?;
        let of = book.keys.iter().find(|key| key.venue == venue).copied();
        let of = of.ok_or_else(|| "there is no such account".to_owned())?;
        let mut spec = words(spec(&*book.store, &KeyOf { alias: next.alias, ..of }))?;
        spec.beside_active = true;
        // Orders go on under the same account, or not at all.
        spec.policy.account_mode = record.account_mode();
        spec.policy.account = record.venue_account.or(spec.policy.account);
        Ok(spec)
    }

    fn cut_over(&mut self, venue: VenueId, next: KeyAlias) -> Result<u64, String> {
        let change = words(self.0.borrow_mut().store.cut_over(venue, &next))?;
        Ok(self.renamed(venue, &change, &format!("{} takes over from {}", change.to, change.from)))
    }

    fn take_back(&mut self, venue: VenueId, reason: &str) -> Result<u64, String> {
        let change = words(self.0.borrow_mut().store.take_back(venue, reason))?;
        Ok(self.renamed(venue, &change, reason))
    }

    fn revoke(&mut self, venue: VenueId, former: KeyAlias, reason: &str) -> Result<(), String> {
        words(self.0.borrow_mut().store.set_state(&former, KeyState::Revoked, reason))?;
        self.0.borrow_mut().changed(venue, former, reason);
        Ok(())
    }

    fn give_up(&mut self, venue: VenueId) {
        let mut book = self.0.borrow_mut();
        let dropped = book.store.drop_candidate(venue);
        book.note(dropped);
    }

    fn new_login(&mut self, venue: VenueId) {
        (self.0.borrow().new_login)(venue);
    }
}

/// What the key manager must know of a key in the store.
///
/// # Errors
/// [`CustodyError`] when the key is not there.
pub fn spec(store: &dyn KeyStore, key: &KeyOf) -> Result<KeySpec, CustodyError> {
    let record = store.show(&key.alias)?;
    let beside_active = store.list()?.iter().any(|other| {
        other.kid != record.kid
            && other.state == KeyState::Active
            && other.account == record.account
            && other.role == record.role
    });
    Ok(KeySpec {
        venue: key.venue,
        alias: key.alias,
        account: record.account.clone(),
        state: record.state,
        policy: Policy {
            role: record.role,
            allow_unbound: key.allow_unbound,
            account: record.venue_account.clone(),
            account_mode: record.account_mode(),
            markets: key.markets,
        },
        dates: key.dates(&record),
        verified_before: record.verified.is_some(),
        beside_active,
        verify_every: key.reverify_every,
    })
}

impl KeyBook {
    fn take(&mut self, news: KeyNews) {
        let KeyNews { venue, alias, body } = news;
        match body {
            KeyNewsBody::Line(line) => (self.line)(venue, &line),
            KeyNewsBody::Moved { from, to, reason, info } => {
                self.moved(venue, alias, (from, to), &reason, info.as_ref());
            }
            KeyNewsBody::Verified { info, .. } => {
                let saved = self.store.learn(&alias, &info, true);
                self.note(saved);
                self.changed(venue, alias, "verified");
                (self.probing)(venue, false);
            }
            KeyNewsBody::Mode(mode) => (self.control)(Control::AccountMode(venue, mode)),
            KeyNewsBody::Duty(wanted) => {
                // What could not be recorded is not in force: the key keeps the duties that lower risk.
                let narrowed = wanted == KeyDuty::Full && self.unrecorded.contains(&venue);
                let duty = if narrowed { KeyDuty::CancelOnly } else { wanted };
                // The signer first: what the order path then asks for, it may sign.
                let told = self.store.set_duty(venue, duty);
                self.note(told);
                (self.control)(Control::KeyDuty(venue, duty));
            }
            KeyNewsBody::Dates(warning) => {
                if let Ok(record) = self.store.show(&alias) {
                    (self.dates)(&record, &warning);
                }
            }
            KeyNewsBody::Rotation(news) => (self.rotation)(venue, alias, &news),
            KeyNewsBody::Failed => (self.probing)(venue, false),
            KeyNewsBody::Begun => (self.probing)(venue, true),
            KeyNewsBody::Settled(id, result) => {
                let saved = self.unsaved.get(&alias).map_or(Ok(()), |why| Err(WishRefused::NotSaved(why.clone())));
                (self.settled)(id, result.and(saved));
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
        if let Some(info) = info {
            let learned = self.store.learn(&alias, info, false);
            self.note(learned);
        }
        if !self.recorded(venue, alias, step, reason) {
            self.unsaved.insert(alias, "it could not be recorded in the audit log".to_owned());
            return;
        }
        let to = step.1;
        let saved = self.store.set_state(&alias, to, reason);
        match &saved {
            Ok(()) => drop(self.unsaved.remove(&alias)),
            Err(error) => drop(self.unsaved.insert(alias, crate::report::causes(error))),
        }
        self.note(saved);
        self.changed(venue, alias, reason);
        if matches!(to, KeyState::Quarantined | KeyState::Expired | KeyState::Revoked) {
            (self.probing)(venue, false);
        }
    }

    /// Records a move before it is made; false: it must not be made.
    fn recorded(&mut self, venue: VenueId, alias: KeyAlias, (from, to): (KeyState, KeyState), reason: &str) -> bool {
        let verb = move_verb(to);
        let words = format!("{} to {}: {reason}", from.as_str(), to.as_str());
        let entry = AuditEntry::by_system(verb, Decision::Allowed).about(Name::clear(alias.as_str())).because(words);
        match fail_closed(self.audit.append(entry), verb.raises_risk()) {
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

    fn changed(&mut self, venue: VenueId, alias: KeyAlias, reason: &str) {
        let key = self.keys.iter().find(|key| key.venue == venue);
        if let (Some(key), Ok(record)) = (key, self.store.show(&alias)) {
            publish(&record, key);
            (self.changed)(key, &record, reason);
        }
    }

    fn note(&mut self, result: Result<(), CustodyError>) {
        if let Err(error) = result {
            tracing::error!(error = %error, "the vault could not be saved");
            self.troubles.push(error);
        }
    }

    /// The records of all keys.
    ///
    /// # Errors
    /// [`CustodyError::Away`] when the signer process is gone.
    pub fn records(&self) -> Result<Vec<KeyRecord>, CustodyError> {
        self.store.list()
    }

    /// What went wrong while saving, taken out.
    pub fn troubles(&mut self) -> Vec<CustodyError> {
        std::mem::take(&mut self.troubles)
    }
}

/// Puts a key's state into the metrics.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float exactly")]
fn publish(record: &KeyRecord, key: &KeyOf) {
    let account = record.account.as_str();
    for state in KeyState::ALL {
        let is = if state == record.state { 1.0 } else { 0.0 };
        telemetry::key_status(account, state.label()).set(is);
    }
    let dates = key.dates(record);
    let seconds = |at: UnixNanos| (at.0 / 1_000_000_000) as f64;
    telemetry::key_created_timestamp_seconds(account).set(seconds(record.created));
    telemetry::key_rotation_due_timestamp_seconds(account).set(seconds(dates.rotation_due()));
    telemetry::key_end_timestamp_seconds(account).set(seconds(dates.end()));
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
    use order_signer::{Custody, KeySecrets, LocalStore, NewKey};
    use secrets::SecretBytes;
    use std::sync::Mutex;

    struct FullDisk;

    impl AuditSink for FullDisk {
        fn append(&self, _entry: AuditEntry) -> Result<u64, AuditError> {
            Err(AuditError::WriterDied)
        }
        fn tick(&self) -> Result<u64, AuditError> {
            Err(AuditError::WriterDied)
        }
        fn seal(&self) -> Result<u64, AuditError> {
            Err(AuditError::WriterDied)
        }
    }

    type Duties = Arc<Mutex<Vec<KeyDuty>>>;

    /// A book with a key that is being verified and with this sink; and the duties that the order path is told.
    fn book(audit: Arc<dyn AuditSink>) -> (tempfile::TempDir, Rc<RefCell<KeyBook>>, Duties) {
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
        let told = Duties::default();
        let heard = Arc::clone(&told);
        let wires = KeyWires {
            ask: Box::new(|_| true),
            control: Box::new(move |control| {
                if let Control::KeyDuty(_, duty) = control {
                    heard.lock().unwrap().push(duty);
                }
            }),
            line: Box::new(|_, _| {}),
            changed: Box::new(|_, _, _| {}),
            dates: Box::new(|_, _| {}),
            probing: Box::new(|_, _| {}),
            settled: Box::new(|_, _| {}),
            rotation: Box::new(|_, _, _| {}),
            new_login: Box::new(|_| {}),
            audit,
        };
        let key = KeyOf {
            markets: [true, false],
            venue: VenueId(0),
            alias,
            allow_unbound: true,
            rotate_after: Duration::from_secs(1),
            warn_before: Duration::ZERO,
            reverify_every: Duration::from_secs(3_600),
            drain: Duration::from_secs(1),
        };
        let store = Box::new(LocalStore::new(custody, Arc::new(clock)));
        let (_, book) = manager(store, &[key], wires, Arc::new(clock)).unwrap();
        told.lock().unwrap().clear();
        (home, book, told)
    }

    fn hear(book: &Rc<RefCell<KeyBook>>, body: KeyNewsBody) {
        let alias = KeyAlias::from("main").unwrap();
        book.borrow_mut().take(KeyNews { venue: VenueId(0), alias, body });
    }

    fn moved(from: KeyState, to: KeyState) -> KeyNewsBody {
        KeyNewsBody::Moved { from, to, reason: "for a reason".to_owned(), info: None }
    }

    fn state(book: &Rc<RefCell<KeyBook>>) -> KeyState {
        book.borrow().records().unwrap()[0].state
    }

    #[test]
    fn key_is_not_widened_while_nothing_can_be_recorded_and_may_still_cancel() {
        let (_home, book, told) = book(Arc::new(FullDisk));
        hear(&book, moved(KeyState::Verifying, KeyState::Active));
        hear(&book, KeyNewsBody::Duty(KeyDuty::Full));
        assert_eq!(state(&book), KeyState::Verifying);
        assert_eq!(*told.lock().unwrap(), [KeyDuty::CancelOnly]);
        assert_eq!(book.borrow_mut().troubles().len(), 1);
        // Taking it out of use is not held up.
        hear(&book, moved(KeyState::Verifying, KeyState::Quarantined));
        assert_eq!(state(&book), KeyState::Quarantined);
    }

    #[test]
    fn key_is_widened_when_it_is_recorded() {
        let (_home, book, told) = book(Arc::new(NoAudit));
        hear(&book, moved(KeyState::Verifying, KeyState::Active));
        hear(&book, KeyNewsBody::Duty(KeyDuty::Full));
        assert_eq!(state(&book), KeyState::Active);
        assert_eq!(*told.lock().unwrap(), [KeyDuty::Full]);
    }
}
