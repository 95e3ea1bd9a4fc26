//! One key in care: its state, its verifications, its trust. Pure.
//!
//! Invariants: the state moves only along [`crate::lifecycle::TABLE`]; a key that is not Active has no duty to
//! place orders; every move is told with its reason before the next question.

use crate::core::{Act, Policy, Verdict, Verification};
use crate::dates::{DateWarning, DateWatch, KeyDates};
use crate::lifecycle::{FLATTEN_WINDOW, Trigger, duty, next};
use crate::probe::{ProbeLine, venue_words};
use crate::wish::WishAct;
use domain::{MonoNanos, UnixNanos, VenueId};
use messages::{
    AccountMode, BalanceReport, KeyAlias, KeyDuty, KeyInfo, KeyState, QueryAnswer, QueryId, SignIntent, VenueError,
    VenueReason,
};
use std::collections::VecDeque;
use std::time::Duration;

/// A key as it is when the program starts. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    /// The venue account that uses it.
    pub venue: VenueId,
    /// The name the user gave it.
    pub alias: KeyAlias,
    /// The account's name in metrics.
    pub account: String,
    /// Its state on disk.
    pub state: KeyState,
    /// What it must be.
    pub policy: Policy,
    /// Its dates.
    pub dates: KeyDates,
    /// Whether it was ever verified with success, so that orders of it may rest at the venue.
    pub verified_before: bool,
    /// Whether another key of the account and role is Active.
    pub beside_active: bool,
    /// Between two verifications of a good key.
    pub verify_every: Duration,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CareAct {
    /// Ask the venue, signed.
    Ask(QueryId, SignIntent),
    /// Requests are written for an account kept in this way from now on.
    Mode(AccountMode),
    /// Show a finding.
    Line(ProbeLine),
    /// Save the move; what the venue said of the key is with it where it did.
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
    /// It was verified with success; its state may be the same as before.
    Verified {
        /// What the venue said of the key.
        info: KeyInfo,
        /// The account's balances.
        balances: Vec<BalanceReport>,
    },
    /// What it may be used for from now on.
    Duty(KeyDuty),
    /// Tell a person about its dates.
    Warn(DateWarning),
    /// A verification ended without success.
    Failed,
}

const TOO_OLD: &str = "create a new key on the exchange, link that, and delete this one there";

/// One key.
#[derive(Debug)]
pub struct KeyCare {
    spec: KeySpec,
    state: KeyState,
    since: MonoNanos,
    was_active: bool,
    told_duty: Option<KeyDuty>,
    verification: Option<Verification>,
    next_query: u64,
    due: Option<MonoNanos>,
    auth_failures: u32,
    /// Verifications in a row that the venue left unanswered.
    silences: u32,
    clock: Option<(i64, u64)>,
    last_trigger: Option<Trigger>,
    dates: DateWatch,
    /// A verification has begun that nobody was told of.
    begun: bool,
    /// When the policy refused something, within the last minute.
    refusals: VecDeque<MonoNanos>,
}

impl KeyCare {
    /// Between two verifications of a good key, where the settings say nothing else.
    pub const EVERY: Duration = Duration::from_secs(6 * 3_600);
    /// Refusals by the policy within [`Self::REFUSALS_WITHIN`] that cost an Active key its trust: whoever asks for
    /// that much of what may not be signed is not the strategy that was started.
    pub const REFUSALS_MAX: usize = 120;
    /// See [`Self::REFUSALS_MAX`].
    pub const REFUSALS_WITHIN: Duration = Duration::from_secs(60);
    /// Until the next one after the venue was silent for the first time; it doubles.
    pub const AGAIN_AFTER_MIN: Duration = Duration::from_secs(10);
    /// No such wait is longer.
    pub const AGAIN_AFTER_MAX: Duration = Duration::from_secs(300);
    /// Authentication failures in a row that cost an Active key its trust.
    pub const AUTH_FAILURES_MAX: u32 = 3;

    /// Takes a key into care and begins to verify it where its state calls for that.
    #[must_use]
    pub fn start(spec: KeySpec, now: MonoNanos, unix: UnixNanos) -> (Self, Vec<CareAct>) {
        let was_active = match spec.state {
            KeyState::Active | KeyState::Rotating => true,
            // A crash in the middle of a verification must not leave resting orders without a key.
            KeyState::Linked | KeyState::Verifying => spec.verified_before,
            _ => false,
        };
        let state = spec.state;
        let mut care = Self {
            spec,
            state,
            since: now,
            was_active,
            told_duty: None,
            verification: None,
            next_query: 1,
            due: None,
            auth_failures: 0,
            silences: 0,
            clock: None,
            last_trigger: None,
            dates: DateWatch::default(),
            begun: false,
            refusals: VecDeque::new(),
        };
        let mut acts = match state {
            KeyState::Active if care.spec.dates.ended(unix).is_some() => care.end(now, unix),
            KeyState::Linked => care.begin(Trigger::Verify, "being verified", now),
            KeyState::Active => care.begin(Trigger::Restart, "verified again after the start", now),
            KeyState::Verifying => {
                care.verify_here(now);
                Vec::new()
            }
            _ => Vec::new(),
        };
        acts.extend(care.tell_duty(now));
        (care, acts)
    }

    /// What it knows of the key.
    #[must_use]
    pub const fn spec(&self) -> &KeySpec {
        &self.spec
    }

    /// Its state now.
    #[must_use]
    pub const fn state(&self) -> KeyState {
        self.state
    }

    /// Whether a verification is under way.
    #[must_use]
    pub const fn verifying(&self) -> bool {
        self.verification.is_some()
    }

    /// A person asks for a verification; an Active key keeps its state meanwhile.
    pub fn verify(&mut self, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        if self.verification.is_some() {
            return Vec::new();
        }
        if self.state == KeyState::Active {
            self.verify_here(now);
            return self.feed_clock(now, unix);
        }
        let mut acts = self.begin(Trigger::Verify, "being verified", now);
        acts.extend(self.tell_duty(now));
        acts.extend(self.feed_clock(now, unix));
        acts
    }

    /// Whether a verification has begun since this was last asked.
    pub const fn take_begun(&mut self) -> bool {
        std::mem::replace(&mut self.begun, false)
    }

    /// A person wishes something.
    ///
    /// # Errors
    /// The key's state, when its life has no such step from there; nothing has changed.
    pub fn wish(&mut self, act: &WishAct, now: MonoNanos, unix: UnixNanos) -> Result<Vec<CareAct>, KeyState> {
        let from = self.state;
        let acts = match act {
            // Trust that was taken is given back with a written reason only.
            WishAct::Test if matches!(from, KeyState::Quarantined | KeyState::Revoked | KeyState::Rotating) => {
                return Err(from);
            }
            WishAct::Test => return Ok(self.verify(now, unix)),
            WishAct::Disable(reason) => self.move_on(Trigger::Doubted, &format!("disabled: {reason}"), None, now),
            WishAct::Enable(reason) if from == KeyState::Quarantined => {
                let mut acts = self.begin(Trigger::Verify, &format!("enabled: {reason}"), now);
                acts.extend(self.feed_clock(now, unix));
                acts
            }
            WishAct::Enable(_) => return Err(from),
            WishAct::Revoke(reason) => self.move_on(Trigger::Revoke, &format!("revoked: {reason}"), None, now),
        };
        if acts.is_empty() { Err(from) } else { Ok(acts) }
    }

    /// Orders under another tag were seen at its account while nobody else may trade there.
    pub fn foreign_activity(&mut self, now: MonoNanos) -> Vec<CareAct> {
        if self.state != KeyState::Active {
            return Vec::new();
        }
        self.move_on(Trigger::Doubted, "orders that are not ours were placed on its account", None, now)
    }

    /// The signer's policy refused something that was asked of the key.
    pub fn policy_refused(&mut self, now: MonoNanos) -> Vec<CareAct> {
        if self.state != KeyState::Active {
            return Vec::new();
        }
        while self.refusals.front().is_some_and(|at| now.since(*at) >= Self::REFUSALS_WITHIN) {
            self.refusals.pop_front();
        }
        self.refusals.push_back(now);
        if self.refusals.len() <= Self::REFUSALS_MAX {
            return Vec::new();
        }
        self.refusals.clear();
        let reason = format!("the policy refused more than {} requests within a minute", Self::REFUSALS_MAX);
        self.move_on(Trigger::Doubted, &reason, None, now)
    }

    /// The venue's clock was measured: offset and uncertainty in nanoseconds.
    pub fn clock(&mut self, offset_ns: i64, uncertainty_ns: u64, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        self.clock = Some((offset_ns, uncertainty_ns));
        self.feed_clock(now, unix)
    }

    /// What is known of the venue's clock: offset and uncertainty in nanoseconds.
    #[must_use]
    pub const fn clock_known(&self) -> Option<(i64, u64)> {
        self.clock
    }

    /// The venue's clock is not known any more.
    pub const fn clock_lost(&mut self) {
        self.clock = None;
    }

    /// An answer to one of its questions.
    pub fn answer(&mut self, query: QueryId, answer: QueryAnswer, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        let Some(verification) = &mut self.verification else { return Vec::new() };
        let acts = verification.answer(query, answer, now, unix);
        self.follow(acts, now, unix)
    }

    /// The venue refused the key on some other request.
    pub fn rejected(&mut self, error: &VenueError, now: MonoNanos) -> Vec<CareAct> {
        if self.state != KeyState::Active {
            return Vec::new();
        }
        let trigger = match error.reason {
            VenueReason::KeyUnknown => Trigger::KeyGone,
            VenueReason::Signature | VenueReason::Passphrase | VenueReason::IpNotAllowed | VenueReason::Permission => {
                self.auth_failures += 1;
                if self.auth_failures < Self::AUTH_FAILURES_MAX {
                    return Vec::new();
                }
                Trigger::AuthFailures
            }
            _ => return Vec::new(),
        };
        let reason = format!("rejected by the exchange: {}", venue_words(error));
        self.move_on(trigger, &reason, None, now)
    }

    /// The venue took a signed request: the key works.
    pub const fn worked(&mut self) {
        self.auth_failures = 0;
    }

    /// Time has passed.
    pub fn tick(&mut self, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        let mut acts = self.tell_duty(now);
        if self.state == KeyState::Active {
            acts.extend(self.end(now, unix));
        }
        if !matches!(self.state, KeyState::Quarantined | KeyState::Expired | KeyState::Revoked) {
            acts.extend(self.dates.look(&self.spec.dates, unix).map(CareAct::Warn));
        }
        if let Some(verification) = &mut self.verification {
            let stepped = verification.tick(now);
            acts.extend(self.follow(stepped, now, unix));
        } else if self.due.is_some_and(|due| now >= due) {
            acts.extend(self.verify(now, unix));
        }
        acts
    }

    fn begin(&mut self, trigger: Trigger, reason: &str, now: MonoNanos) -> Vec<CareAct> {
        let acts = self.move_on(trigger, reason, None, now);
        if !acts.is_empty() {
            self.verify_here(now);
        }
        acts
    }

    fn verify_here(&mut self, now: MonoNanos) {
        self.begun = true;
        self.due = None;
        self.verification = Some(Verification::new(self.spec.policy.clone(), self.next_query, now));
    }

    fn feed_clock(&mut self, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        let (Some(verification), Some((offset_ns, uncertainty_ns))) = (&mut self.verification, self.clock) else {
            return Vec::new();
        };
        let acts = verification.clock(offset_ns, uncertainty_ns, now);
        self.follow(acts, now, unix)
    }

    fn follow(&mut self, acts: Vec<Act>, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        let mut out = Vec::new();
        if let Some(verification) = &self.verification {
            self.next_query = verification.next_query();
        }
        for act in acts {
            match act {
                Act::Ask(query, intent) => out.push(CareAct::Ask(query, intent)),
                Act::Mode(mode) => {
                    self.spec.policy.account_mode = mode;
                    out.push(CareAct::Mode(mode));
                }
                Act::Line(line) => out.push(CareAct::Line(line)),
                Act::Done(verdict) => out.extend(self.conclude(verdict, now, unix)),
            }
        }
        out
    }

    fn conclude(&mut self, verdict: Verdict, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        self.verification = None;
        self.due = Some(now.after(self.wait_after(&verdict)));
        let active = self.state == KeyState::Active;
        match verdict {
            Verdict::Passed { info, .. } if !active && self.with_end(&info).ended(unix).is_some() => {
                let line = ProbeLine::bad("age", "the key is older than 180 days", TOO_OLD);
                let mut acts = vec![CareAct::Line(line)];
                acts.extend(self.failed(Trigger::NeedsPerson, "it is older than 180 days", Some(info), now));
                acts
            }
            Verdict::Passed { info, balances } => self.passed(info, balances, active, now),
            Verdict::ForbiddenRight(info) => {
                let trigger = if active { Trigger::Worse } else { Trigger::ForbiddenRight };
                self.failed(trigger, "it has a right that it must not have", Some(info), now)
            }
            Verdict::WrongAccount(info) => {
                let trigger = if active { Trigger::Worse } else { Trigger::WrongAccount };
                self.failed(trigger, "it belongs to another account", Some(info), now)
            }
            Verdict::VenueSilent if active => vec![CareAct::Failed],
            Verdict::VenueSilent => self.failed(Trigger::VenueSilent, "the exchange could not be asked", None, now),
            Verdict::Failed(fault) => {
                let reason = format!("verification failed: {}", crate::probe::what(fault));
                let trigger = match (active, fault) {
                    (false, _) => Trigger::NeedsPerson,
                    (true, messages::ProbeFault::Key) => Trigger::KeyGone,
                    (true, messages::ProbeFault::Clock | messages::ProbeFault::Venue) => return vec![CareAct::Failed],
                    (true, _) => Trigger::Worse,
                };
                self.failed(trigger, &reason, None, now)
            }
        }
    }

    fn wait_after(&mut self, verdict: &Verdict) -> Duration {
        if !matches!(verdict, Verdict::VenueSilent) {
            self.silences = 0;
            return self.spec.verify_every;
        }
        let doubled = Self::AGAIN_AFTER_MIN.saturating_mul(1_u32 << self.silences.min(8));
        self.silences = self.silences.saturating_add(1);
        doubled.min(Self::AGAIN_AFTER_MAX)
    }

    fn passed(&mut self, info: KeyInfo, balances: Vec<BalanceReport>, active: bool, now: MonoNanos) -> Vec<CareAct> {
        self.auth_failures = 0;
        self.spec.policy.account = Some(info.account.to_string());
        self.spec.dates = self.with_end(&info);
        let mut acts = Vec::new();
        if !active {
            let trigger = if self.spec.beside_active { Trigger::PassedBeside } else { Trigger::Passed };
            acts = self.move_on(trigger, "verified", Some(info.clone()), now);
        }
        acts.push(CareAct::Verified { info, balances });
        acts
    }

    /// The key's dates with the end that the venue says now.
    fn with_end(&self, info: &KeyInfo) -> KeyDates {
        KeyDates { expires: info.expires, ..self.spec.dates }
    }

    fn end(&mut self, now: MonoNanos, unix: UnixNanos) -> Vec<CareAct> {
        let reason = self.spec.dates.ended(unix);
        reason.map(|reason| self.move_on(Trigger::Ended, reason, None, now)).unwrap_or_default()
    }

    fn failed(&mut self, trigger: Trigger, reason: &str, info: Option<KeyInfo>, now: MonoNanos) -> Vec<CareAct> {
        let mut acts = self.move_on(trigger, reason, info, now);
        acts.push(CareAct::Failed);
        acts
    }

    fn move_on(&mut self, trigger: Trigger, reason: &str, info: Option<KeyInfo>, now: MonoNanos) -> Vec<CareAct> {
        let from = self.state;
        let Some(to) = next(from, trigger) else { return Vec::new() };
        self.state = to;
        self.since = now;
        self.last_trigger = Some(trigger);
        self.was_active |= to == KeyState::Active;
        if matches!(to, KeyState::Quarantined | KeyState::Expired | KeyState::Revoked) {
            // Only a person, or the venue, brings it back.
            self.due = None;
            self.verification = None;
        }
        let mut acts = vec![CareAct::Moved { from, to, reason: reason.to_owned(), info }];
        acts.extend(self.tell_duty(now));
        acts
    }

    /// What moved it last.
    pub(crate) const fn last_trigger(&self) -> Option<Trigger> {
        self.last_trigger
    }

    /// It takes over from another key. Custody has saved that already, so no move is told.
    pub(crate) fn take_over(&mut self, now: MonoNanos) -> Vec<CareAct> {
        let acts = self.move_on(Trigger::CutOver, "took over", None, now);
        self.due = Some(now.after(self.spec.verify_every));
        acts.into_iter().filter(|act| !matches!(act, CareAct::Moved { .. })).collect()
    }

    /// Another key has taken over.
    pub(crate) fn give_way(&mut self) {
        if let Some(to) = next(self.state, Trigger::Rotate) {
            self.state = to;
            self.verification = None;
            self.due = None;
        }
    }

    /// The key that took over does not work. Custody has saved that already, so no move is told.
    pub(crate) fn come_back(&mut self, now: MonoNanos) -> Vec<CareAct> {
        self.told_duty = None;
        self.take_over(now)
    }

    fn tell_duty(&mut self, now: MonoNanos) -> Vec<CareAct> {
        let duty = duty(self.state, self.was_active, self.since, now);
        if self.told_duty.replace(duty) == Some(duty) { Vec::new() } else { vec![CareAct::Duty(duty)] }
    }

    /// When [`Self::tick`] has something to do at the latest.
    #[must_use]
    pub const fn tick_every() -> Duration {
        assert!(FLATTEN_WINDOW.as_secs() >= 1, "a tick is short against every deadline here");
        Duration::from_millis(250)
    }
}

#[cfg(test)]
#[path = "care_tests.rs"]
mod tests;
