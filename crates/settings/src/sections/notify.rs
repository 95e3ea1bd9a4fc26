//! `notify.toml`: messages to people.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::forms::RateLimit;
use crate::path::KeyPath;
use crate::problem::{Problem, did_you_mean};
use crate::schema::{Setting, Shape};
use crate::{absent, check::not_empty, empty};

section! {
    /// Messages to people.
    pub Notify {
        /// Where messages go; each `[[channel]]` is one.
        channel: Vec<Channel> = Vec::<serde_json::Value>::new();
    }
}

section! {
    /// One place where messages go.
    pub Channel, without default {
        /// How it is reached.
        kind: ChannelKind;
        /// The address that is called; only when it holds no secret.
        url: Option<String> = absent(), check not_empty().if_present();
        /// A file, readable by its owner only, with the address that is called.
        url_file: Option<String> = absent(), check not_empty().if_present();
        /// The least severity that is sent.
        min_severity: Severity = "warning";
        /// Events switched on or off whatever their severity.
        events: EventSwitches = empty();
        /// The most messages in a span of time; further ones are counted and told in the next.
        rate_limit: RateLimit = "20/h";
        /// Whether messages may hold balances and profits.
        include_money: bool = false;
    }
}

words! {
    /// How a channel is reached.
    pub ChannelKind {
        /// A JSON document is posted to an address.
        Webhook = "webhook",
    }
    not yet {
        "telegram" => "does not exist yet",
        "ntfy" => "does not exist yet",
        "mail" => "does not exist yet",
    }
}

words! {
    /// How much a message matters.
    pub Severity {
        /// For the record.
        Info = "info",
        /// Look at it today.
        Warning = "warning",
        /// Act now.
        Critical = "critical",
    }
}

words! {
    /// Whether an event is sent.
    pub Switch {
        /// It is.
        On = "on",
        /// It is not.
        Off = "off",
    }
}

words! {
    /// What a message may be about.
    pub EventKind {
        /// Trading was halted.
        Halt = "halt",
        /// A limit was broken.
        RiskBreach = "risk_breach",
        /// Market data is gone.
        FeedLost = "feed_lost",
        /// The outcome of an order is not known.
        OrderUnknown = "order_unknown",
        /// Own records and the venue's differ.
        ReconciliationDifference = "reconciliation_difference",
        /// The venue does not accept a key.
        KeyRejected = "key_rejected",
        /// A key has a right it must not have.
        KeyPolicyViolation = "key_policy_violation",
        /// The vault is locked.
        VaultLocked = "vault_locked",
        /// The journal cannot be written.
        JournalFailure = "journal_failure",
        /// A part of the program failed too often.
        ActorEscalated = "actor_escalated",
        /// A key should be replaced.
        KeyRotationDue = "key_rotation_due",
        /// A limit is used to 80 %.
        LimitNear = "limit_80_percent",
        /// The venue rejected an order.
        OrderRejected = "order_rejected",
        /// The venue slows us down.
        RateLimited = "rate_limited",
        /// This machine's clock is off.
        ClockSkew = "clock_skew",
        /// A strategy failed.
        StrategyError = "strategy_error",
        /// New settings were not applied.
        ConfigReloadFailed = "config_reload_failed",
        /// The disk is nearly full.
        DiskLow = "disk_low",
        /// Somebody failed to log in.
        LoginFailed = "login_failed",
        /// The program started.
        Started = "started",
        /// The program stopped.
        Stopped = "stopped",
        /// The mode changed.
        ModeChanged = "mode_changed",
        /// A key is in use.
        KeyActive = "key_active",
        /// A key was replaced.
        KeyRotated = "key_rotated",
        /// A strategy was switched on.
        StrategyEnabled = "strategy_enabled",
        /// A strategy was switched off.
        StrategyDisabled = "strategy_disabled",
        /// Trading goes on after a halt.
        Unhalted = "unhalted",
        /// An order was filled.
        Fill = "fill",
        /// The day in numbers.
        DailyDigest = "daily_digest",
    }
}

/// Events switched on or off whatever their severity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSwitches(pub BTreeMap<EventKind, Switch>);

impl Setting for EventSwitches {
    fn shape() -> Shape {
        Shape::Map(Box::new(Switch::shape()))
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Object(entries) = value else {
            problems.push(Problem::at(place, "must be a table, such as { fill = \"off\" }", ""));
            return None;
        };
        let mut complete = true;
        let mut read = BTreeMap::new();
        for (key, value) in entries {
            let place = place.child(key.as_str());
            let event = EventKind::ALL.iter().find(|event| event.word() == key);
            if event.is_none() {
                let words = EventKind::ALL.iter().map(|event| event.word());
                problems.push(Problem::at(&place, "unknown event", did_you_mean(key, words)));
            }
            match (event, Switch::read(value, &place, problems)) {
                (Some(event), Some(switch)) => {
                    read.insert(*event, switch);
                }
                _ => complete = false,
            }
        }
        complete.then_some(Self(read))
    }

    fn write(&self) -> Value {
        Value::Object(self.0.iter().map(|(event, switch)| (event.word().to_owned(), switch.write())).collect())
    }
}
