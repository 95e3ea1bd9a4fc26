//! The shell around [`KeyCare`]: clock, answers and rejections in; questions, moves and duties out.
//!
//! Under a keeper it is an actor with a mailbox; `keys add` and `keys test` step it by hand.

use crate::care::{CareAct, KeyCare, KeySpec};
use crate::dates::DateWarning;
use crate::probe::ProbeLine;
use crate::rotation::{NoRotation, Rotation, RotationDesk, RotationNews};
use crate::wish::{KeyWish, WishRefused};
use actix::AsyncContext;
use domain::{Clock, VenueId};
use keeper::{Ctx, Handle, KeptActor, MailboxBound};
use messages::{
    AccountMode, BalanceReport, KeyAlias, KeyDuty, KeyInfo, KeyRight, KeyState, QueryAnswer, QueryId, QueryPurpose,
    SignQuery, VenueError,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What the key manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMessage {
    /// A venue's clock was measured: offset and uncertainty in nanoseconds.
    ClockMeasured {
        /// The venue account.
        venue: VenueId,
        /// Venue time minus own wall time.
        offset_ns: i64,
        /// The truth is within this much.
        uncertainty_ns: u64,
    },
    /// A venue's clock is not known any more.
    ClockLost(VenueId),
    /// The answer to a question with purpose [`QueryPurpose::Verify`].
    Answer(VenueId, QueryId, QueryAnswer),
    /// The answer to a question with purpose [`QueryPurpose::VerifyCandidate`].
    CandidateAnswer(VenueId, QueryId, QueryAnswer),
    /// A person wants the account's key replaced: by the one named, else by the only one that waits. The former key
    /// is kept, signing nothing, for `drain`.
    Rotate {
        /// The venue account.
        venue: VenueId,
        /// The next key.
        next: Option<KeyAlias>,
        /// How long the former key can come back.
        drain: Duration,
    },
    /// The venue refused the key on some other request, or on a log-in.
    Rejected(VenueId, VenueError),
    /// The venue took a log-in with the key.
    Worked(VenueId),
    /// Orders of nobody here were seen at the account, where nobody else may trade.
    Foreign(VenueId),
    /// The signer's policy refused something.
    PolicyRefused(VenueId),
    /// A person wishes something of a key in care.
    Wish(KeyWish),
    /// A key was linked for this account: it is in care in the place of the one before, which is revoked.
    Take(Box<KeySpec>),
}

/// What the key manager tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNews {
    /// The venue account.
    pub venue: VenueId,
    /// The key.
    pub alias: KeyAlias,
    /// What.
    pub body: KeyNewsBody,
}

/// What has happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyNewsBody {
    /// A finding, for the terminal.
    Line(ProbeLine),
    /// Its state has changed: to be saved at once.
    Moved {
        /// The state before.
        from: KeyState,
        /// The state now.
        to: KeyState,
        /// Why, for people.
        reason: String,
        /// What the venue said of the key.
        info: Option<KeyInfo>,
    },
    /// It was verified with success.
    Verified {
        /// What the venue said of the key.
        info: KeyInfo,
        /// The account's balances.
        balances: Vec<BalanceReport>,
    },
    /// How the venue keeps its account: requests are to be written for that before the next one is asked for.
    Mode(AccountMode),
    /// What it may be used for from now on: to the order path and the signer.
    Duty(KeyDuty),
    /// Its rotation or its end is near or past.
    Dates(DateWarning),
    /// A verification ended without success; the lines before say why.
    Failed,
    /// How a change of keys goes on.
    Rotation(RotationNews),
    /// A verification begins: lines follow.
    Begun,
    /// What became of a wish.
    Settled(u64, Result<(), WishRefused>),
}

/// Where the key manager's news go. Called on its own thread.
pub struct KeyOutlets {
    /// Asks the order path for a signature; false: no room, it counts as unanswered.
    pub ask: Box<dyn Fn(SignQuery) -> bool>,
    /// Everything else, in order; a move is saved when this returns.
    pub news: Box<dyn FnMut(KeyNews)>,
    /// Changes keys.
    pub rotation: Box<dyn RotationDesk>,
}

/// Runs the life of all linked keys, without ever seeing a secret.
pub struct KeyManager {
    pub(crate) keys: Vec<KeyCare>,
    /// Keys whose last verification ended without success.
    failed: BTreeSet<VenueId>,
    pub(crate) outlets: KeyOutlets,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rotations: Vec<Rotation>,
    /// Acts of the start, carried out once the actor runs.
    first: Vec<(usize, Vec<CareAct>)>,
}

impl KeyManager {
    /// Name in metrics and mailboxes.
    pub const NAME: &'static str = "key-manager";
    /// Messages that may wait: a clock measurement, an answer and a rejection for each account come to a handful.
    pub const MAILBOX: MailboxBound = MailboxBound { messages_max: 256, reserve: 0 };

    /// Takes keys into care, at most one for each venue account.
    #[must_use]
    pub fn new(specs: Vec<KeySpec>, outlets: KeyOutlets, clock: Arc<dyn Clock>) -> Self {
        let now = clock.mono();
        let (mut keys, mut first) = (Vec::new(), Vec::new());
        for (place, spec) in specs.into_iter().enumerate() {
            let (care, acts) = KeyCare::start(spec, now, clock.unix());
            keys.push(care);
            first.push((place, acts));
        }
        Self { keys, failed: BTreeSet::new(), outlets, clock, rotations: Vec::new(), first }
    }

    /// One that has no keys in care and does nothing.
    #[must_use]
    pub fn without_keys(clock: Arc<dyn Clock>) -> Self {
        let outlets = KeyOutlets { ask: Box::new(|_| false), news: Box::new(drop), rotation: Box::new(NoRotation) };
        Self::new(Vec::new(), outlets, clock)
    }

    /// Goes on with a change of keys that was cut off after its cut-over: the account's key has taken over from
    /// `former`, which waits.
    #[must_use]
    pub fn resuming(mut self, former: KeySpec, drain: Duration) -> Self {
        let venue = former.venue;
        if let Some(next) = self.key(venue).map(|care| care.spec().alias) {
            let now = self.clock.mono();
            self.rotations.push(Rotation::resumed(venue, next, former, drain, now));
        }
        self
    }

    /// Takes one message in; what [`Handle`] does, for callers that have no Arbiter.
    pub fn receive(&mut self, message: KeyMessage) {
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        self.begin();
        match message {
            KeyMessage::ClockMeasured { venue, offset_ns, uncertainty_ns } => {
                self.with(venue, |care| care.clock(offset_ns, uncertainty_ns, now, unix));
                self.candidate_clock(venue, offset_ns, uncertainty_ns);
            }
            KeyMessage::ClockLost(venue) => self.with(venue, |care| {
                care.clock_lost();
                Vec::new()
            }),
            KeyMessage::Answer(venue, query, answer) => {
                self.with(venue, |care| care.answer(query, answer, now, unix));
            }
            KeyMessage::CandidateAnswer(venue, query, answer) => self.candidate_answer(venue, query, answer),
            KeyMessage::Rotate { venue, next, drain } => self.rotate(venue, next, drain),
            KeyMessage::Rejected(venue, error) if self.judge(venue, &error) => {}
            KeyMessage::Rejected(venue, error) => self.with(venue, |care| care.rejected(&error, now)),
            KeyMessage::Worked(venue) => self.with(venue, |care| {
                care.worked();
                Vec::new()
            }),
            KeyMessage::Foreign(venue) => self.with(venue, |care| care.foreign_activity(now)),
            KeyMessage::PolicyRefused(venue) => self.with(venue, |care| care.policy_refused(now)),
            KeyMessage::Wish(wish) => self.wish(wish),
            KeyMessage::Take(spec) => self.take(*spec),
        }
    }

    fn wish(&mut self, wish: KeyWish) {
        let KeyWish { id, alias, act } = wish;
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        let place = self.keys.iter().position(|care| care.spec().alias == alias);
        let (venue, result) = match place.and_then(|place| Some((place, self.keys.get_mut(place)?))) {
            None => (VenueId(u8::MAX), Err(WishRefused::NotInCare(alias))),
            Some((place, care)) => {
                let venue = care.spec().venue;
                match care.wish(&act, now, unix) {
                    Ok(acts) => {
                        self.carry_out(place, acts);
                        (venue, Ok(()))
                    }
                    Err(state) => {
                        let account = care.spec().account.as_str();
                        telemetry::key_policy_violations_total(account, "no_such_step").increment(1);
                        tracing::warn!(%alias, wish = act.as_str(), state = state.as_str(), "refused");
                        (venue, Err(WishRefused::NoSuchStep(state)))
                    }
                }
            }
        };
        (self.outlets.news)(KeyNews { venue, alias, body: KeyNewsBody::Settled(id, result) });
    }

    fn take(&mut self, spec: KeySpec) {
        let venue = spec.venue;
        // What was measured before still holds, and the next measurement may be a while off.
        let known = self.key(venue).and_then(KeyCare::clock_known);
        let (care, acts) = KeyCare::start(spec, self.clock.mono(), self.clock.unix());
        let place = match self.keys.iter().position(|care| care.spec().venue == venue) {
            Some(place) => {
                if let Some(before) = self.keys.get_mut(place) {
                    *before = care;
                }
                place
            }
            None => {
                self.keys.push(care);
                self.keys.len() - 1
            }
        };
        self.failed.remove(&venue);
        self.carry_out(place, acts);
        if let Some((offset_ns, uncertainty_ns)) = known {
            let (now, unix) = (self.clock.mono(), self.clock.unix());
            self.with(venue, |care| care.clock(offset_ns, uncertainty_ns, now, unix));
        }
    }

    /// Looks at deadlines; call about every [`KeyCare::tick_every`].
    pub fn tick(&mut self) {
        self.begin();
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        for place in 0..self.keys.len() {
            let acts = self.keys.get_mut(place).map(|care| care.tick(now, unix)).unwrap_or_default();
            self.carry_out_or_judge(place, acts);
        }
        self.tick_rotations();
    }

    fn begin(&mut self) {
        for (place, acts) in std::mem::take(&mut self.first) {
            self.carry_out(place, acts);
        }
    }

    /// The state of a venue account's key.
    #[must_use]
    pub fn state(&self, venue: VenueId) -> Option<KeyState> {
        self.key(venue).map(KeyCare::state)
    }

    /// Whether a verification of the account's key is under way.
    #[must_use]
    pub fn verifying(&self, venue: VenueId) -> bool {
        self.key(venue).is_some_and(KeyCare::verifying)
    }

    /// Whether the last verification of the account's key ended without success.
    #[must_use]
    pub fn failed(&self, venue: VenueId) -> bool {
        self.failed.contains(&venue)
    }

    pub(crate) fn place(&self, venue: VenueId) -> Option<usize> {
        self.keys.iter().position(|care| care.spec().venue == venue)
    }

    pub(crate) fn key(&self, venue: VenueId) -> Option<&KeyCare> {
        self.keys.iter().find(|care| care.spec().venue == venue)
    }

    fn with(&mut self, venue: VenueId, step: impl FnOnce(&mut KeyCare) -> Vec<CareAct>) {
        let Some(place) = self.place(venue) else { return };
        let acts = self.keys.get_mut(place).map(step).unwrap_or_default();
        self.carry_out_or_judge(place, acts);
    }

    /// A key that has just taken over and loses its trust gives way to the former one.
    fn carry_out_or_judge(&mut self, place: usize, acts: Vec<CareAct>) {
        let venue = self.keys.get(place).map(|care| care.spec().venue);
        if venue.is_none_or(|venue| !self.judge_acts(venue, &acts)) {
            self.carry_out(place, acts);
        }
    }

    pub(crate) fn carry_out(&mut self, place: usize, acts: Vec<CareAct>) {
        let Some(care) = self.keys.get_mut(place) else { return };
        let (venue, alias, account) = (care.spec().venue, care.spec().alias, care.spec().account.clone());
        if care.take_begun() {
            (self.outlets.news)(KeyNews { venue, alias, body: KeyNewsBody::Begun });
        }
        for act in acts {
            let body = match act {
                CareAct::Ask(id, intent) => {
                    let query = SignQuery { id, purpose: QueryPurpose::Verify, venue, intent };
                    if !(self.outlets.ask)(query) {
                        tracing::warn!(%alias, "no room to ask for a signature; asked again");
                    }
                    continue;
                }
                CareAct::Line(line) => KeyNewsBody::Line(line.about(alias)),
                CareAct::Mode(mode) => KeyNewsBody::Mode(mode),
                CareAct::Moved { from, to, reason, info } => {
                    tracing::info!(%alias, from = from.as_str(), to = to.as_str(), %reason, "key state");
                    info.iter().for_each(|info| count_violations(&account, info));
                    KeyNewsBody::Moved { from, to, reason, info }
                }
                CareAct::Verified { info, balances } => {
                    self.failed.remove(&venue);
                    count_violations(&account, &info);
                    KeyNewsBody::Verified { info, balances }
                }
                CareAct::Duty(duty) => KeyNewsBody::Duty(duty),
                CareAct::Warn(warning) => {
                    tracing::warn!(%alias, "the key {}", warning.text);
                    if warning.overdue {
                        telemetry::key_policy_violations_total(&account, "overdue").increment(1);
                    }
                    KeyNewsBody::Dates(warning)
                }
                CareAct::Failed => {
                    self.failed.insert(venue);
                    KeyNewsBody::Failed
                }
            };
            (self.outlets.news)(KeyNews { venue, alias, body });
        }
    }
}

impl KeptActor for KeyManager {
    fn started(&mut self, ctx: &mut Ctx<Self>) {
        self.begin();
        ctx.run_interval(KeyCare::tick_every(), |kept, _| kept.tick());
    }
}

impl Handle<KeyMessage> for KeyManager {
    fn handle(&mut self, message: KeyMessage, _: &mut Ctx<Self>) {
        self.receive(message);
    }
}

fn count_violations(account: &str, info: &KeyInfo) {
    for right in info.rights.iter().filter(|right| right.is_forbidden()) {
        let rule = match right {
            KeyRight::Withdraw => "withdraw",
            KeyRight::Transfer => "transfer",
            _ => "manage_accounts",
        };
        telemetry::key_policy_violations_total(account, rule).increment(1);
    }
    if info.bound_addresses == 0 {
        telemetry::key_policy_violations_total(account, "ip_unbound").increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Policy;
    use clock::ManualClock;
    use domain::UnixNanos;
    use messages::{KeyRole, SignIntent};
    use std::sync::Mutex;

    #[test]
    fn questions_go_to_the_order_path_and_news_come_in_order() {
        let clock = Arc::new(ManualClock::new(UnixNanos(1_700_000_000_000_000_000), domain::MonoNanos(5)));
        let (asked, told) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (ask, news) = (Arc::clone(&asked), Arc::clone(&told));
        let outlets = KeyOutlets {
            rotation: Box::new(NoRotation),
            ask: Box::new(move |query| {
                ask.lock().unwrap().push(query);
                true
            }),
            news: Box::new(move |item: KeyNews| news.lock().unwrap().push(item.body)),
        };
        let venue = VenueId(2);
        let spec = KeySpec {
            venue,
            alias: KeyAlias::from("main").unwrap(),
            account: "bitget-main".to_owned(),
            state: KeyState::Linked,
            policy: Policy {
                role: KeyRole::Trade,
                allow_unbound: false,
                account: None,
                account_mode: messages::AccountMode::Classic,
                markets: [true, false],
            },
            dates: crate::dates::tests::dates(None),
            verified_before: false,
            beside_active: false,
            verify_every: KeyCare::EVERY,
        };
        let mut manager = KeyManager::new(vec![spec], outlets, clock);
        manager.tick();
        manager.receive(KeyMessage::ClockMeasured { venue: VenueId(9), offset_ns: 0, uncertainty_ns: 0 });
        assert_eq!(asked.lock().unwrap().len(), 0, "another venue's clock says nothing");
        manager.receive(KeyMessage::ClockMeasured { venue, offset_ns: 0, uncertainty_ns: 0 });
        let query = asked.lock().unwrap()[0];
        assert_eq!((query.purpose, query.venue, query.intent), (QueryPurpose::Verify, venue, SignIntent::KeyInfo));
        let mut info = crate::core::tests::good();
        info.bound_addresses = 0;
        manager.receive(KeyMessage::Answer(venue, query.id, QueryAnswer::KeyInfo(info)));
        assert!(manager.failed(venue) && !manager.verifying(venue));
        assert_eq!(manager.state(venue), Some(KeyState::Linked));
        let told = told.lock().unwrap();
        assert_eq!(told[0], KeyNewsBody::Begun);
        assert!(matches!(&told[1], KeyNewsBody::Moved { to: KeyState::Verifying, .. }));
        assert_eq!(told[2], KeyNewsBody::Duty(KeyDuty::VerifyOnly));
        assert!(matches!(&told[3], KeyNewsBody::Line(line) if line.what == "clock" && line.ok));
        assert_eq!(told.last(), Some(&KeyNewsBody::Failed));
        let causes = told.iter().filter(|body| matches!(body, KeyNewsBody::Line(line) if !line.ok));
        assert_eq!(causes.count(), 1);
    }
}
