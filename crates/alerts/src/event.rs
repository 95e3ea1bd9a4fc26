//! What messages are about, and how much each matters.

use telemetry::Label;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For the record.
    Info,
    /// Look at it today.
    Warning,
    /// Act now.
    Critical,
}

impl Severity {
    /// The word in messages and settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $severity:ident;)+) => {
        /// What a message is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Event {
            $($(#[$doc])* $variant,)+
        }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in messages and settings.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// How much it matters.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// The event of this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|event| event.word() == word)
            }
        }
    };
}

events! {
    /// Trading was halted.
    Halt = "halt", Critical;
    /// A limit was broken.
    RiskBreach = "risk_breach", Critical;
    /// Market data is gone.
    FeedLost = "feed_lost", Critical;
    /// The outcome of an order is not known.
    OrderUnknown = "order_unknown", Critical;
    /// Own records and the venue's differ.
    ReconciliationDifference = "reconciliation_difference", Critical;
    /// The venue does not accept a key.
    KeyRejected = "key_rejected", Critical;
    /// A key has a right it must not have.
    KeyPolicyViolation = "key_policy_violation", Critical;
    /// The vault is locked.
    VaultLocked = "vault_locked", Critical;
    /// The journal cannot be written.
    JournalFailure = "journal_failure", Critical;
    /// A part of the program failed too often.
    ActorEscalated = "actor_escalated", Critical;
    /// A key should be replaced.
    KeyRotationDue = "key_rotation_due", Warning;
    /// A limit is used to 80 %.
    LimitNear = "limit_80_percent", Warning;
    /// The venue rejected an order.
    OrderRejected = "order_rejected", Warning;
    /// The venue slows us down.
    RateLimited = "rate_limited", Warning;
    /// This machine's clock is off.
    ClockSkew = "clock_skew", Warning;
    /// A strategy failed.
    StrategyError = "strategy_error", Warning;
    /// New settings were not applied.
    ConfigReloadFailed = "config_reload_failed", Warning;
    /// The disk is nearly full.
    DiskLow = "disk_low", Warning;
    /// Somebody failed to log in.
    LoginFailed = "login_failed", Warning;
    /// The program started.
    Started = "started", Info;
    /// The program stopped. A warning, so that a channel without further settings tells of it: nothing trades any more.
    Stopped = "stopped", Warning;
    /// The mode changed.
    ModeChanged = "mode_changed", Info;
    /// A key is in use.
    KeyActive = "key_active", Info;
    /// A key was replaced.
    KeyRotated = "key_rotated", Info;
    /// A strategy was switched on.
    StrategyEnabled = "strategy_enabled", Info;
    /// A strategy was switched off.
    StrategyDisabled = "strategy_disabled", Info;
    /// Trading goes on after a halt.
    Unhalted = "unhalted", Info;
    /// An order was filled. Sent only where it is switched on.
    Fill = "fill", Info;
    /// The day in numbers.
    DailyDigest = "daily_digest", Info;
}

impl Event {
    /// The event whose next occurrence is news again after this one: a halt after an unhalt, a stop after a start.
    pub(crate) const fn ends(self) -> Option<Self> {
        match self {
            Self::Unhalted => Some(Self::Halt),
            Self::Started => Some(Self::Stopped),
            Self::Stopped => Some(Self::Started),
            Self::KeyActive => Some(Self::KeyRejected),
            _ => None,
        }
    }

    /// Whether it is sent only where it is switched on, whatever its severity.
    pub(crate) const fn only_on_request(self) -> bool {
        matches!(self, Self::Fill)
    }
}

impl Label for Event {
    fn label(&self) -> &'static str {
        self.word()
    }
}

/// One thing that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub event: Event,
    /// The alias of the account, if it is about one.
    pub account: Option<String>,
    /// What happened, in one sentence without amounts of money.
    pub text: String,
    /// The amounts, in one sentence; sent only where `include_money` is set.
    pub money: Option<String>,
    /// What to do next, in one sentence.
    pub next_step: String,
}

impl Alert {
    /// An alert about no account and no money.
    #[must_use]
    pub fn new(event: Event, text: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { event, account: None, text: text.into(), money: None, next_step: next_step.into() }
    }

    /// Says which account it is about.
    #[must_use]
    pub fn account(mut self, alias: impl Into<String>) -> Self {
        self.account = Some(alias.into());
        self
    }

    /// Adds a sentence with amounts of money.
    #[must_use]
    pub fn money(mut self, sentence: impl Into<String>) -> Self {
        self.money = Some(sentence.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_settings_is_known_here_and_no_other() {
        let ours: Vec<_> = Event::ALL.iter().map(|event| event.word()).collect();
        let theirs: Vec<_> = settings::EventKind::ALL.iter().map(|event| event.word()).collect();
        assert_eq!(ours, theirs);
        for word in theirs {
            assert_eq!(Event::from_word(word).map(Event::word), Some(word));
        }
        let severities: Vec<_> = settings::Severity::ALL.iter().map(|severity| severity.word()).collect();
        assert_eq!(severities, [Severity::Info, Severity::Warning, Severity::Critical].map(Severity::word));
    }

    #[test]
    fn what_stops_trading_passes_the_default_severity() {
        for event in [Event::Halt, Event::OrderUnknown, Event::Stopped, Event::KeyRejected, Event::JournalFailure] {
            assert!(event.severity() >= Severity::Warning, "{event:?}");
        }
    }
}
