//! One verification of a key: which questions are asked, what the answers mean, how it ends. Pure.
//!
//! Invariant: a key passes only after its rights were read and a signed read has succeeded.

use crate::probe::{ProbeLine, fault_of_silence};
use domain::{Market, MonoNanos, UnixNanos};
use messages::{
    AccountMode, BalanceReport, CouldNotAsk, KeyInfo, KeyRight, KeyRole, ProbeFault, QueryAnswer, QueryId, SignIntent,
    VenueReason,
};
use std::time::Duration;

/// What a key must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What it is for.
    pub role: KeyRole,
    /// Whether a key that any address may use is taken.
    pub allow_unbound: bool,
    /// The venue account it must belong to, once that is known.
    pub account: Option<String>,
    /// How the account is asked first; the other way is tried when the venue names it.
    pub account_mode: AccountMode,
    /// The markets that the account trades: a trading key needs the right for each, and any where there is none.
    pub markets: [bool; Market::ALL.len()],
}

impl Policy {
    /// The right that placing orders on a market needs.
    const fn right_for(market: Market) -> KeyRight {
        match market {
            Market::Spot => KeyRight::SpotTrade,
            Market::UsdtFutures => KeyRight::FuturesTrade,
        }
    }

    /// The first right that the role needs and the key lacks.
    fn missing(&self, rights: &[KeyRight]) -> Option<KeyRight> {
        let none = !self.markets.contains(&true);
        let wanted = Market::ALL.into_iter().zip(self.markets);
        let wanted = wanted.filter(|(market, used)| *used || none && *market == Market::Spot);
        wanted.map(|(market, _)| Self::right_for(market)).find(|right| !rights.contains(right))
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Ask the venue, signed, under this number.
    Ask(QueryId, SignIntent),
    /// Write requests for an account kept in this way from now on.
    Mode(AccountMode),
    /// Show a finding.
    Line(ProbeLine),
    /// It is over.
    Done(Verdict),
}

/// How a verification ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All probes passed.
    Passed {
        /// What the venue says of the key.
        info: KeyInfo,
        /// The account's balances.
        balances: Vec<BalanceReport>,
    },
    /// It must never sign: it has a right that it must not have.
    ForbiddenRight(KeyInfo),
    /// It must never sign: it belongs to another account.
    WrongAccount(KeyInfo),
    /// A person must correct something.
    Failed(ProbeFault),
    /// The venue could not be asked; try again later.
    VenueSilent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    KeyInfo,
    Balances,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WaitingForClock { since: MonoNanos },
    Asked { question: Question, query: QueryId, since: MonoNanos },
    BackingOff { question: Question, until: MonoNanos },
    Done,
}

/// One verification under way.
#[derive(Debug, Clone)]
pub struct Verification {
    policy: Policy,
    phase: Phase,
    next_query: u64,
    tries: u32,
    info: Option<KeyInfo>,
    /// Whether the other account mode has been tried.
    switched: bool,
}

impl Verification {
    /// Longest wait for the clock to be measured.
    pub const CLOCK_PATIENCE: Duration = Duration::from_secs(15);
    /// Longest wait for an answer: longer than the gateway's own patience.
    pub const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
    /// Questions that may go without an answer.
    pub const TRIES_MAX: u32 = 3;
    /// The wait after the first of these; it doubles.
    pub const BACK_OFF_MIN: Duration = Duration::from_secs(2);
    /// No wait is longer.
    pub const BACK_OFF_MAX: Duration = Duration::from_secs(300);
    /// Largest difference of the own clock to the venue's, in nanoseconds; the signer signs no order beyond it.
    pub const OFFSET_NS_MAX: u64 = 5_000_000_000;

    /// Begins: the first thing that it needs is the clock. Query numbers begin at `first_query`.
    #[must_use]
    pub const fn new(policy: Policy, first_query: u64, now: MonoNanos) -> Self {
        let phase = Phase::WaitingForClock { since: now };
        Self { policy, phase, next_query: first_query, tries: 0, info: None, switched: false }
    }

    /// The first query number that was not used.
    #[must_use]
    pub const fn next_query(&self) -> u64 {
        self.next_query
    }

    /// Whether it is over.
    #[must_use]
    pub fn done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// The venue's clock was measured: offset and uncertainty in nanoseconds.
    pub fn clock(&mut self, offset_ns: i64, uncertainty_ns: u64, now: MonoNanos) -> Vec<Act> {
        if !matches!(self.phase, Phase::WaitingForClock { .. }) {
            return Vec::new();
        }
        let offset_ms = offset_ns / 1_000_000;
        if offset_ns.unsigned_abs() > Self::OFFSET_NS_MAX {
            let detail =
                format!("this machine's clock is {:.1} s off the exchange's", offset_ns.unsigned_abs() as f64 / 1e9);
            return self.fail(ProbeFault::Clock, detail);
        }
        let detail = format!("offset {offset_ms} ms, known to {} ms", uncertainty_ns.div_ceil(1_000_000));
        let mut acts = vec![Act::Line(ProbeLine::good("clock", detail))];
        acts.push(self.ask(Question::KeyInfo, now));
        acts
    }

    /// An answer came.
    pub fn answer(&mut self, query: QueryId, answer: QueryAnswer, now: MonoNanos, unix: UnixNanos) -> Vec<Act> {
        let Phase::Asked { question, query: awaited, .. } = self.phase else { return Vec::new() };
        if query != awaited {
            return Vec::new();
        }
        match (question, answer) {
            (Question::KeyInfo, QueryAnswer::KeyInfo(info)) => self.judge(info, now, unix),
            (Question::Balances, QueryAnswer::Balances(balances)) => self.pass(balances),
            (_, QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error)))
                if error.reason == VenueReason::AccountMode && !self.switched =>
            {
                self.switched = true;
                self.policy.account_mode = self.policy.account_mode.other();
                vec![Act::Mode(self.policy.account_mode), self.ask(Question::KeyInfo, now)]
            }
            (_, QueryAnswer::CouldNotAsk(cause)) => {
                let (fault, detail, again) = fault_of_silence(&cause);
                if again { self.try_again(question, &detail, now) } else { self.fail(fault, detail) }
            }
            _ => self.try_again(question, "the exchange's answer could not be read", now),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: MonoNanos) -> Vec<Act> {
        match self.phase {
            Phase::WaitingForClock { since } if now.since(since) >= Self::CLOCK_PATIENCE => {
                self.phase = Phase::Done;
                let detail = "the exchange did not tell its time";
                vec![Act::Line(ProbeLine::of_fault(ProbeFault::Venue, detail)), Act::Done(Verdict::VenueSilent)]
            }
            Phase::Asked { question, since, .. } if now.since(since) >= Self::ANSWER_PATIENCE => {
                self.try_again(question, "no answer from the exchange", now)
            }
            Phase::BackingOff { question, until } if now >= until => vec![self.ask(question, now)],
            _ => Vec::new(),
        }
    }

    fn ask(&mut self, question: Question, now: MonoNanos) -> Act {
        let query = QueryId(self.next_query);
        self.next_query += 1;
        self.phase = Phase::Asked { question, query, since: now };
        let intent = match question {
            Question::KeyInfo => SignIntent::KeyInfo,
            Question::Balances => SignIntent::Balances,
        };
        Act::Ask(query, intent)
    }

    fn try_again(&mut self, question: Question, detail: &str, now: MonoNanos) -> Vec<Act> {
        self.tries += 1;
        if self.tries >= Self::TRIES_MAX {
            self.phase = Phase::Done;
            let detail = format!("{detail}, {} times", self.tries);
            return vec![Act::Line(ProbeLine::of_fault(ProbeFault::Venue, detail)), Act::Done(Verdict::VenueSilent)];
        }
        let wait = Self::BACK_OFF_MIN.saturating_mul(1 << (self.tries - 1)).min(Self::BACK_OFF_MAX);
        self.phase = Phase::BackingOff { question, until: now.after(wait) };
        Vec::new()
    }

    fn fail(&mut self, fault: ProbeFault, detail: impl Into<String>) -> Vec<Act> {
        self.phase = Phase::Done;
        vec![Act::Line(ProbeLine::of_fault(fault, detail)), Act::Done(Verdict::Failed(fault))]
    }

    fn judge(&mut self, info: KeyInfo, now: MonoNanos, unix: UnixNanos) -> Vec<Act> {
        let told = info.account_mode.filter(|mode| *mode != self.policy.account_mode);
        self.policy.account_mode = told.unwrap_or(self.policy.account_mode);
        let mut acts: Vec<Act> = told.into_iter().map(Act::Mode).collect();
        acts.extend([
            Act::Line(ProbeLine::good("key", "known to the exchange")),
            Act::Line(ProbeLine::good("signature", "secret and passphrase fit the key")),
        ]);
        acts.extend(match self.first_doubt(&info, unix) {
            Some((line, verdict)) => {
                self.phase = Phase::Done;
                vec![Act::Line(line), Act::Done(verdict)]
            }
            None => {
                let mut lines = good_lines(&info);
                lines.push(self.ask(Question::Balances, now));
                self.info = Some(info);
                lines
            }
        });
        acts
    }

    fn first_doubt(&self, info: &KeyInfo, unix: UnixNanos) -> Option<(ProbeLine, Verdict)> {
        let failed = |fault, detail: String| Some((ProbeLine::of_fault(fault, detail), Verdict::Failed(fault)));
        if info.rights.iter().any(|right| right.is_forbidden()) {
            let detail = format!("the key may {}", words(info, |right| right.is_forbidden()));
            return Some((
                ProbeLine::of_fault(ProbeFault::ForbiddenRight, detail),
                Verdict::ForbiddenRight(info.clone()),
            ));
        }
        if self.policy.account.as_deref().is_some_and(|expected| expected != info.account.as_str()) {
            let line = ProbeLine::bad(
                "account",
                "the key belongs to another account than before",
                "link keys of one account only under one name",
            );
            return Some((line, Verdict::WrongAccount(info.clone())));
        }
        if info.expires.is_some_and(|end| end <= unix) {
            return failed(ProbeFault::Key, "the key has ended at the exchange".to_owned());
        }
        let has = |wanted| info.rights.contains(&wanted);
        let rights = words(info, |_| true);
        match self.policy.role {
            KeyRole::Trade if let Some(right) = self.policy.missing(&info.rights) => {
                return failed(
                    ProbeFault::Permission,
                    format!("the key's rights are `{rights}`; placing orders needs `{}`", right.as_str()),
                );
            }
            KeyRole::Stream if !(has(KeyRight::SpotRead) || has(KeyRight::SpotTrade)) => {
                return failed(
                    ProbeFault::Permission,
                    format!("the key's rights are `{rights}`; streams need `spot read`"),
                );
            }
            KeyRole::Stream if info.rights.iter().any(|right| trades(*right)) => {
                return failed(
                    ProbeFault::Permission,
                    format!("the key's rights are `{rights}`; a stream key must only read"),
                );
            }
            _ => {}
        }
        if info.bound_addresses == 0 && !self.policy.allow_unbound {
            return failed(ProbeFault::IpUnbound, "any address may use the key".to_owned());
        }
        None
    }

    fn pass(&mut self, balances: Vec<BalanceReport>) -> Vec<Act> {
        self.phase = Phase::Done;
        let Some(info) = self.info.take() else { return Vec::new() };
        let detail = format!("a signed read succeeded: {} assets", balances.len());
        vec![Act::Line(ProbeLine::good("balances", detail)), Act::Done(Verdict::Passed { info, balances })]
    }
}

const fn trades(right: KeyRight) -> bool {
    matches!(right, KeyRight::SpotTrade | KeyRight::FuturesTrade | KeyRight::CopyTrading)
}

fn words(info: &KeyInfo, which: impl Fn(KeyRight) -> bool) -> String {
    let named: Vec<&str> = info.rights.iter().filter(|right| which(**right)).map(|right| right.as_str()).collect();
    if named.is_empty() { "none".to_owned() } else { named.join(", ") }
}

fn good_lines(info: &KeyInfo) -> Vec<Act> {
    let bound = match info.bound_addresses {
        0 => ProbeLine {
            what: "address binding",
            ok: true,
            detail: "any address may use the key".to_owned(),
            fix: Some("safer: bind the key to this machine's public address on the exchange".into()),
        },
        count => ProbeLine::good("address binding", format!("bound to {count} addresses")),
    };
    let mode = info.account_mode.map(|mode| Act::Line(ProbeLine::good("account mode", mode.as_str())));
    let mut lines: Vec<Act> = mode.into_iter().collect();
    lines.extend([
        Act::Line(ProbeLine::good("permissions", words(info, |_| true))),
        Act::Line(ProbeLine::good("forbidden rights", "no withdrawal, transfer or account management")),
        Act::Line(bound),
        Act::Line(ProbeLine::good("account", info.account.to_string())),
    ]);
    lines
}

#[cfg(test)]
#[path = "core_tests.rs"]
pub(crate) mod tests;
