//! Label names with the kind of value each takes, and the closed sets that belong to no actor.

/// One word of a closed set, used as a label value. Text made at run time is not a `Label`, so an order id or an error
/// text cannot become one. Enums of the layer above hand in their own static word.
pub trait Label {
    /// The word as it stands in the scrape.
    fn label(&self) -> &'static str;
}

impl Label for &'static str {
    fn label(&self) -> &'static str {
        self
    }
}

impl<T: Label> Label for &T {
    fn label(&self) -> &'static str {
        (**self).label()
    }
}

/// The type of argument that a label takes: a configured name as text, or a [`Label`].
macro_rules! label_type {
    (venue) => { &str };
    (account) => { &str };
    (instrument) => { &str };
    (strategy) => { &str };
    (quote) => { &str };
    (version) => { &str };
    (revision) => { &str };
    (rustc) => { &str };
    (features) => { &str };
    ($closed:ident) => { impl $crate::Label };
}

/// The value of a label's argument as static text.
macro_rules! label_value {
    (venue, $value:expr) => {
        $crate::names::kept("venue", $value)
    };
    (account, $value:expr) => {
        $crate::names::kept("account", $value)
    };
    (instrument, $value:expr) => {
        $crate::names::kept("instrument", $value)
    };
    (strategy, $value:expr) => {
        $crate::names::kept("strategy", $value)
    };
    (quote, $value:expr) => {
        $crate::names::kept("quote", $value)
    };
    (version, $value:expr) => {
        $crate::names::kept("version", $value)
    };
    (revision, $value:expr) => {
        $crate::names::kept("revision", $value)
    };
    (rustc, $value:expr) => {
        $crate::names::kept("rustc", $value)
    };
    (features, $value:expr) => {
        $crate::names::kept("features", $value)
    };
    ($closed:ident, $value:expr) => {
        $crate::Label::label(&$value)
    };
}

/// The label's name in the scrape: the argument's name, but for the one that is a keyword of Rust.
macro_rules! label_name {
    (order_type) => {
        "type"
    };
    ($name:ident) => {
        stringify!($name)
    };
}

pub(crate) use {label_name, label_type, label_value};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every word of the set.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl Label for $name {
            fn label(&self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// The actors, as they are named in `actor_up` and its relatives.
    Actor {
        /// Market data of one venue.
        MarketFeed = "market-feed",
        /// The host of the strategies.
        Strategy = "strategy",
        /// Pre-trade checks.
        RiskGuard = "risk-guard",
        /// The owner of the keys.
        OrderSigner = "order-signer",
        /// The owner of the order states.
        OrderPath = "order-path",
        /// Sockets to the venue's order endpoints.
        OrderGateway = "order-gateway",
        /// The life cycle of keys.
        KeyManager = "key-manager",
        /// The durable record.
        Journal = "journal",
        /// Balances and valuation.
        Portfolio = "portfolio",
        /// Dashboard, API and scrape.
        ControlPlane = "control-plane",
        /// Messages to people.
        Alerts = "alerts",
        /// The embedded exchange.
        SimVenue = "sim-venue",
        /// Market recordings.
        Tape = "tape",
    }
}

words! {
    /// The stretches of an order's way.
    Hop {
        /// From the strategy's intent to the risk guard's answer.
        SignalRisk = "signal_risk",
        /// From the guard's answer to the signature.
        RiskSign = "risk_sign",
        /// From the signature to the last byte written to the socket.
        SignSend = "sign_send",
        /// From the last byte to the venue's acknowledgement.
        SendAck = "send_ack",
        /// From the acknowledgement to the first fill.
        AckFill = "ack_fill",
    }
}

words! {
    /// How an attempt ended.
    Outcome {
        /// It did what was asked.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
        /// We declined to try.
        Refused = "refused",
    }
}

words! {
    /// The risk guard's answer.
    CheckResult {
        /// The intent may be signed.
        Accepted = "accepted",
        /// The intent goes back with a reason.
        Refused = "refused",
    }
}

words! {
    /// How an order ended.
    TerminalState {
        /// Wholly filled.
        Filled = "filled",
        /// Cancelled, perhaps after some fills.
        Cancelled = "cancelled",
        /// Declined by the venue.
        Rejected = "rejected",
        /// Ended by its time in force.
        Expired = "expired",
        /// Declined by us, before signing.
        Refused = "refused",
        /// Signed, but no byte of it was sent.
        NotSent = "not_sent",
    }
}

words! {
    /// Which side of a fill we were on.
    Liquidity {
        /// Our order rested.
        Maker = "maker",
        /// Our order took.
        Taker = "taker",
    }
}

words! {
    /// What a key may do at the venue.
    KeyPermission {
        /// Read balances and orders.
        Read = "read",
        /// Place and cancel orders.
        Trade = "trade",
        /// Move money out; such a key is refused.
        Withdraw = "withdraw",
        /// Move money between accounts; such a key is refused.
        Transfer = "transfer",
    }
}

words! {
    /// The limits whose use is shown by `risk_limit_used_ratio`.
    Limit {
        /// Open orders.
        OpenOrders = "open_orders",
        /// Orders per second.
        OrderRate = "order_rate",
        /// Notional of the largest position.
        Position = "position",
        /// Gross exposure.
        GrossExposure = "gross_exposure",
        /// Loss since the start of the UTC day.
        DailyLoss = "daily_loss",
        /// Loss from the high-water mark.
        Drawdown = "drawdown",
        /// Share of rejected orders.
        RejectRatio = "reject_ratio",
    }
}

/// The label of an HTTP status: the code itself where it is one that venues or our own API answer with, its class
/// otherwise, `none` for 0 (no answer).
#[must_use]
pub fn http_code(status: u16) -> &'static str {
    match status {
        0 => "none",
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        409 => "409",
        412 => "412",
        418 => "418",
        422 => "422",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        other => match other / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "invalid",
        },
    }
}

/// The label of a mode as written in the settings, `unknown` for any other text.
#[must_use]
pub fn mode_word(mode: &str) -> &'static str {
    match mode {
        "sim" => "sim",
        "demo" => "demo",
        "paper" => "paper",
        "live" => "live",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_word(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
    }

    #[test]
    fn words_of_a_set_are_distinct_and_lower_case() {
        fn check<T: Label>(all: &[T]) {
            let words: std::collections::BTreeSet<_> = all.iter().map(Label::label).collect();
            assert_eq!(words.len(), all.len());
            assert!(words.into_iter().all(is_word));
        }
        check(Actor::ALL);
        check(Hop::ALL);
        check(Outcome::ALL);
        check(CheckResult::ALL);
        check(TerminalState::ALL);
        check(Liquidity::ALL);
        check(KeyPermission::ALL);
        check(Limit::ALL);
    }

    #[test]
    fn all_http_statuses_share_a_few_labels() {
        let labels: std::collections::BTreeSet<_> = (0..=u16::MAX).map(http_code).collect();
        assert!(labels.len() <= 32, "{}", labels.len());
        assert_eq!(http_code(429), "429");
        assert_eq!(http_code(451), "4xx");
        assert_eq!(http_code(0), "none");
    }
}
