//! The control plane's way to the exchange keys: wishes go to the key manager, what it knows nothing of goes to the
//! keys' store, and nobody here ever sees more of a key's values than their ciphertext.

use crate::key_book::{self, KeyOf};
use crate::report::causes;
use crate::shared::{RotationRow, Shared};
use control_plane::{
    ActRefused, KeyAct, KeyDetail, KeyDone, KeyStepView, KeyWish, NewExchangeKey, ProbeView, RotationView,
    SealingKeyView, WaitingPolicyView,
};
use domain::UnixNanos;
use jiff::Timestamp;
use keeper::Mailbox;
use key_manager::{KeyManager, KeyMessage, WishAct, WishRefused};
use messages::{KeyAlias, KeyState};
use order_signer::{CustodyError, KeyRecord, KeyStore, Origin, PolicyMove, PolicySet, SealedKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for the key manager: a move is saved with several syncs meanwhile. The control plane waits longer.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);

/// Answers to wishes, for whoever waits for them.
#[derive(Default)]
pub struct Settled {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

/// Wishes that somebody waits for.
#[derive(Default)]
struct Waiting {
    /// The number of the latest wish.
    latest: u64,
    /// Their answers, once they are there.
    answers: BTreeMap<u64, Option<Result<(), WishRefused>>>,
}

impl Settled {
    /// A number for a wish whose answer somebody will wait for.
    fn expect(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.latest += 1;
        let id = waiting.latest;
        waiting.answers.insert(id, None);
        id
    }

    /// The answer to a wish has come.
    pub fn settle(&self, id: u64, result: Result<(), WishRefused>) {
        if let Some(place) = self.lock().answers.get_mut(&id) {
            *place = Some(result);
            self.came.notify_all();
        }
    }

    /// Waits for an answer; `None`: it did not come in time.
    fn wait(&self, id: u64) -> Option<Result<(), WishRefused>> {
        let missing = |waiting: &mut Waiting| waiting.answers.get(&id).is_some_and(Option::is_none);
        let (mut waiting, _) =
            self.came.wait_timeout_while(self.lock(), SETTLED_WITHIN, missing).unwrap_or_else(PoisonError::into_inner);
        waiting.answers.remove(&id).flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key that signs where the settings name a desk's key.
fn at_work(records: &[KeyRecord], desk: &DeskKey) -> KeyAlias {
    let named = desk.key.alias;
    order_signer::signing_key(records.iter(), &named).map_or(named, |record| record.alias)
}

/// One key that a venue account of this run uses.
#[derive(Debug, Clone)]
pub struct DeskKey {
    /// Whose it is and what it must be.
    pub key: KeyOf,
    /// The account as the settings name it.
    pub account: String,
    /// What the settings say of the account.
    pub origin: Origin,
}

/// What the desk is made of.
pub struct KeyDesk {
    /// The keys' store.
    pub store: Mutex<Box<dyn KeyStore + Send>>,
    /// The key manager.
    pub mailbox: Mailbox<KeyManager>,
    /// Its answers.
    pub settled: Arc<Settled>,
    /// The keys of this run.
    pub keys: Vec<DeskKey>,
    /// Whether a new key can be seated without a restart.
    pub reseats: bool,
    /// What is shown.
    pub shared: Arc<Shared>,
}

impl KeyDesk {
    /// All keys.
    ///
    /// # Errors
    /// [`ActRefused`] when the signer does not answer.
    pub fn keys(&self) -> Result<Vec<KeyDetail>, ActRefused> {
        let records = self.store().list().map_err(|error| refused(&error))?;
        let state = self.shared.state();
        let detail = |record: &KeyRecord| {
            let used = self.keys.iter().find(|desk| desk.key.alias == record.alias);
            let due = used.map_or_else(|| rotation_due(record), |desk| desk.key.dates(record).rotation_due());
            let mut detail = detail(record, due);
            if record.state != KeyState::Revoked
                && let Some((running, lines)) = used.and_then(|desk| state.probes.get(&desk.key.venue))
            {
                detail.verifying = *running;
                detail.probes.clone_from(lines);
            }
            if let Some(row) = state.rotations.values().find(|row| row.former == detail.alias) {
                let RotationRow { next, stage, lines, .. } = row.clone();
                detail.rotation = Some(RotationView { next, stage: stage.to_owned(), lines });
            }
            detail
        };
        Ok(records.iter().map(detail).collect())
    }

    /// The key to which values are sealed.
    ///
    /// # Errors
    /// [`ActRefused`] when the signer does not answer.
    pub fn sealing_key(&self) -> Result<SealingKeyView, ActRefused> {
        let public = self.store().sealing_key().map_err(|error| refused(&error))?;
        Ok(SealingKeyView { key: public.key, boot: public.boot })
    }

    /// Fulfils a wish.
    ///
    /// # Errors
    /// [`ActRefused`]: not done.
    pub fn act(&self, wish: &KeyWish) -> Result<KeyDone, ActRefused> {
        let alias = wish.alias;
        let why = match wish.reason.as_str() {
            "" => format!("by an operator (from {})", wish.origin),
            reason => format!("{reason} (from {})", wish.origin),
        };
        tracing::info!(%alias, reason = wish.reason, origin = wish.origin, "a wish about a key");
        let done = match &wish.act {
            KeyAct::Add(key) => self.add(key)?,
            KeyAct::Test => {
                self.wish(alias, WishAct::Test)?;
                vec!["it is being verified".to_owned()]
            }
            KeyAct::Disable => {
                self.step(alias, WishAct::Disable(why), KeyState::Quarantined)?;
                vec![
                    "nothing new is placed with it".to_owned(),
                    "what it placed can be cancelled for another minute".to_owned(),
                ]
            }
            KeyAct::Enable => {
                self.wish(alias, WishAct::Enable(why))?;
                vec!["it is being verified; if that succeeds it is Active again".to_owned()]
            }
            KeyAct::Rotate(next) => self.rotate(alias, *next)?,
            KeyAct::Revoke => self.revoke(alias, why)?,
            KeyAct::Tighten(text) => self.change_policy(alias, PolicyMove::Tighten, text, &why)?,
            KeyAct::Loosen(text) => self.change_policy(alias, PolicyMove::Loosen, text, &why)?,
        };
        let record = self.store().show(&alias).map_err(|error| refused(&error))?;
        Ok(KeyDone { status: record.state.as_str().to_owned(), done })
    }

    fn store(&self) -> MutexGuard<'_, Box<dyn KeyStore + Send>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_care(&self, alias: KeyAlias) -> bool {
        let records = self.store().list().unwrap_or_default();
        self.keys.iter().any(|desk| at_work(&records, desk) == alias)
    }

    /// Lets another key take the place of the one at work. How it goes on, the keys' details say.
    fn rotate(&self, alias: KeyAlias, next: Option<KeyAlias>) -> Result<Vec<String>, ActRefused> {
        let refuse = |code, why: String, fix: String| Err(ActRefused { code, why, fix });
        let records = self.store().list().map_err(|error| refused(&error))?;
        let Some(desk) = self.keys.iter().find(|desk| at_work(&records, desk) == alias) else {
            let why = format!("key `{alias}` is at work for no venue account of this run");
            return refuse("no_such_key", why, "steadfast keys list".to_owned());
        };
        let venue = desk.key.venue;
        if self.shared.state().rotations.get(&venue).is_some_and(|row| !row.is_over()) {
            let why = format!("key `{alias}` is being replaced already");
            return refuse("no_such_step", why, format!("steadfast keys show {alias}"));
        }
        self.shared.state().rotations.remove(&venue);
        let wish = KeyMessage::Rotate { venue, next, drain: desk.key.drain };
        if self.mailbox.post(wish).is_err() {
            let why = "the key manager takes no message now".to_owned();
            return refuse("busy", why, "ask again".to_owned());
        }
        Ok(vec![format!("the next key is verified while {alias} goes on signing")])
    }

    /// Asks the key manager, and waits until what it did is on disk.
    fn wish(&self, alias: KeyAlias, act: WishAct) -> Result<(), ActRefused> {
        let busy = |why: &str| ActRefused {
            code: "busy",
            why: why.to_owned(),
            fix: "look at `steadfast keys show`; what was asked for may still happen".to_owned(),
        };
        let id = self.settled.expect();
        if self.mailbox.post(KeyMessage::Wish(key_manager::KeyWish { id, alias, act })).is_err() {
            self.settled.wait_no_more(id);
            return Err(busy("the key manager takes no message now"));
        }
        match self.settled.wait(id) {
            None => Err(busy("the key manager did not answer in time")),
            Some(Ok(())) => Ok(()),
            Some(Err(refusal)) => {
                let (code, fix) = match &refusal {
                    WishRefused::NotInCare(_) => {
                        ("no_such_key", format!("no venue account uses `{alias}` in this run"))
                    }
                    WishRefused::NoSuchStep(state) => ("no_such_step", next_step(alias, *state)),
                    WishRefused::NotSaved(_) => ("not_saved", "make room on the disk, then ask again".to_owned()),
                };
                Err(ActRefused { code, why: format!("key `{alias}`: {refusal}"), fix })
            }
        }
    }

    /// A step that needs no look at the venue: also for keys that no account of this run uses.
    fn step(&self, alias: KeyAlias, act: WishAct, to: KeyState) -> Result<(), ActRefused> {
        if self.in_care(alias) {
            return self.wish(alias, act);
        }
        let (WishAct::Disable(reason) | WishAct::Enable(reason) | WishAct::Revoke(reason)) = act else {
            return Ok(());
        };
        let reason = if to == KeyState::Revoked { format!("revoked: {reason}") } else { format!("disabled: {reason}") };
        self.store().set_state(&alias, to, &reason).map_err(|error| refused(&error))
    }

    fn revoke(&self, alias: KeyAlias, why: String) -> Result<Vec<String>, ActRefused> {
        let desk = self.keys.iter().find(|desk| desk.key.alias == alias);
        let venue = desk.map(|desk| desk.key.venue);
        let resting = {
            let state = self.shared.state();
            let here = |order: &&domain::Order| {
                let instrument = self.shared.names.instrument(order.instrument);
                instrument.map(|instrument| instrument.venue) == venue
            };
            if venue.is_some() { state.portfolio.open_orders().filter(here).count() } else { 0 }
        };
        self.step(alias, WishAct::Revoke(why), KeyState::Revoked)?;
        let mut done = vec![
            "its values are wiped from the signer, the vault and the kept generations".to_owned(),
            "delete it at the exchange too: here nobody can".to_owned(),
        ];
        if resting > 0 {
            done.push(format!("{resting} orders rest that cannot be cancelled from here any more: cancel them there"));
        }
        Ok(done)
    }

    fn add(&self, key: &NewExchangeKey) -> Result<Vec<String>, ActRefused> {
        let no = |code, why: String, fix: String| ActRefused { code, why, fix };
        // An account may have a place for a key that only reads beside that of its trading key.
        let named = self.keys.iter().find(|desk| desk.account == key.account && desk.key.alias == key.alias);
        let desk = named.or_else(|| self.keys.iter().find(|desk| desk.account == key.account)).ok_or_else(|| {
            no(
                "no_such_account",
                format!("no venue account of this run is named `{}`", key.account),
                "look at config/venues/".to_owned(),
            )
        })?;
        let sealed = SealedKey {
            alias: key.alias,
            venue: key.venue.clone(),
            account: key.account.clone(),
            role: key.role,
            wallets: key.wallets.clone(),
            sealed: key.sealed.clone(),
        };
        let record =
            self.store().link_sealed(&sealed, &desk.origin, key.policy.as_deref()).map_err(|error| refused(&error))?;
        let mut done = vec![format!("key `{}` is stored; the daemon saw ciphertext alone", record.alias)];
        let at_work = at_work(&self.store().list().map_err(|error| refused(&error))?, desk);
        if record.alias != at_work {
            done.push(format!("the account uses `{at_work}`; this one waits as Linked"));
        } else if self.reseats {
            let spec = key_book::spec(&**self.store(), &desk.key).map_err(|error| refused(&error))?;
            // What was found of the key before it says nothing about this one.
            self.shared.state().probes.insert(desk.key.venue, (true, Vec::new()));
            if self.mailbox.post(KeyMessage::Take(Box::new(spec))).is_ok() {
                done.push("it is being verified".to_owned());
            }
        } else {
            done.push("the signer is inline: it is verified and used from the next start on".to_owned());
        }
        Ok(done)
    }

    fn change_policy(
        &self,
        alias: KeyAlias,
        wanted: PolicyMove,
        text: &str,
        why: &str,
    ) -> Result<Vec<String>, ActRefused> {
        let set = self.store().change_policy(&alias, wanted, text, why).map_err(|error| refused(&error))?;
        let mut done = vec![policy_words(set)];
        if !self.reseats && set == PolicySet::InForce {
            done.push("the signer is inline: it goes by it from the next start on".to_owned());
        }
        Ok(done)
    }
}

impl Settled {
    fn wait_no_more(&self, id: u64) {
        self.lock().answers.remove(&id);
    }
}

/// What became of a policy, for people.
#[must_use]
pub fn policy_words(set: PolicySet) -> String {
    match set {
        PolicySet::InForce => "the policy is changed".to_owned(),
        PolicySet::Waits(due) => format!("the policy is changed at {}", time(due).strftime("%F %T UTC")),
    }
}

/// What a person can do with a key in a state that has no such step.
#[must_use]
pub fn next_step(alias: KeyAlias, state: KeyState) -> String {
    match state {
        KeyState::Quarantined => {
            format!("steadfast keys enable {alias} --reason '...', or steadfast keys revoke {alias}")
        }
        KeyState::Revoked => "a revoked key is gone: link a new one with steadfast keys add".to_owned(),
        KeyState::Verifying => format!("wait for its verification, or steadfast keys revoke {alias}"),
        _ => format!("look at `steadfast keys show {alias}`"),
    }
}

fn refused(error: &CustodyError) -> ActRefused {
    let (code, fix) = match error {
        CustodyError::NoSuchKey { .. } => ("no_such_key", "steadfast keys list"),
        CustodyError::AliasTaken { .. } | CustodyError::KnownKey { .. } => {
            ("key_known", "use another name or another key; steadfast keys list shows all")
        }
        CustodyError::CodeNeeded => ("code_needed", "send the code of your authenticator with the request"),
        CustodyError::Away { .. } => ("away", "look at `steadfast status`: the signer may be starting again"),
        CustodyError::Transition { .. } => ("no_such_step", "steadfast keys show says the key's state"),
        _ => ("refused", "nothing was changed"),
    };
    ActRefused { code, why: causes(error), fix: fix.to_owned() }
}

/// A time as views carry it.
#[must_use]
pub fn time(at: UnixNanos) -> Timestamp {
    i64::try_from(at.0 / 1_000_000)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn rotation_due(record: &KeyRecord) -> UnixNanos {
    let defaults = settings::KeyPolicy::default();
    let (rotate_after, warn_before) = (defaults.rotate_after, defaults.warn_before);
    key_manager::KeyDates { created: record.created, expires: record.expires, rotate_after, warn_before }.rotation_due()
}

/// A record as it may be shown.
#[must_use]
pub fn detail(record: &KeyRecord, rotation_due: UnixNanos) -> KeyDetail {
    KeyDetail {
        alias: record.alias.to_string(),
        venue: record.venue.clone(),
        environment: record.environment.clone(),
        account: record.account.clone(),
        role: key_book::role_word(record.role).to_owned(),
        status: record.state.as_str().to_owned(),
        since: time(record.state_since),
        reason: record.reason.clone(),
        created: time(record.created),
        verified: record.verified.map(time),
        rights: record.rights.iter().map(|right| right.as_str().to_owned()).collect(),
        bound_addresses: record.bound_addresses,
        expires: record.expires.map(time),
        rotation_due: time(rotation_due),
        fingerprint: record.fingerprint.clone(),
        wallets: record.wallets.clone(),
        policy: record.policy.clone(),
        waiting_policy: record
            .waiting_policy
            .as_ref()
            .map(|waiting| WaitingPolicyView { policy: waiting.policy.clone(), due: time(waiting.due) }),
        verifying: false,
        probes: Vec::new(),
        rotation: None,
        history: record
            .history
            .iter()
            .map(|step| KeyStepView {
                time: time(step.at),
                status: step.state.map(|state| state.as_str().to_owned()),
                reason: step.reason.clone(),
            })
            .collect(),
    }
}

/// A finding as views carry it.
#[must_use]
pub fn probe(line: &key_manager::ProbeLine) -> ProbeView {
    ProbeView {
        what: line.what.to_owned(),
        ok: line.ok,
        detail: line.detail.clone(),
        fix: line.fix.as_deref().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_finds_whoever_waits_for_it_and_nobody_else() {
        let settled = Arc::new(Settled::default());
        let (one, two) = (settled.expect(), settled.expect());
        settled.settle(99, Ok(()));
        let other = Arc::clone(&settled);
        let answering = std::thread::spawn(move || {
            other.settle(two, Err(WishRefused::NoSuchStep(KeyState::Linked)));
            other.settle(one, Ok(()));
        });
        assert_eq!(settled.wait(one), Some(Ok(())));
        assert_eq!(settled.wait(two), Some(Err(WishRefused::NoSuchStep(KeyState::Linked))));
        answering.join().unwrap();
        assert!(settled.lock().answers.is_empty(), "nothing is kept of what was answered or not waited for");
    }
}
