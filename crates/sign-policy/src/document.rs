//! The policy of one account's keys as people read and confirm it: JSON with decimals as text.
//!
//! Invariant: a document that exists was checked; an unknown field, a limit that is missing or out of range, or an
//! instrument named twice is an error, never a default.

use crate::amount::atto;
use domain::{Scaled, Side, Symbol};
use messages::{KeyRole, MarginMode, PositionMode, Verb};
use serde::{Deserialize, Serialize};

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON of this shape.
    #[error("the policy cannot be read: {0}")]
    Unreadable(String),
    /// Written by a program with other rules.
    #[error("the policy has version {found}; this program knows version {known}")]
    Version {
        /// Version of the text.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// A field is out of its range.
    #[error("policy field {field} must be {allowed}")]
    Field {
        /// The field's path.
        field: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// What may be signed for one account. Amounts are judged in decimals, whatever tick and lot are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// Version of this form; [`PolicyDocument::VERSION`].
    pub version: u32,
    /// When it was derived from prices and risk limits, in seconds since 1970; `None`: written by hand.
    pub derived_at: Option<u64>,
    /// Verbs that each role may have signed.
    pub roles: RoleVerbs,
    /// Orders per second, first and repeated signatures together.
    pub orders: RateLimit,
    /// Cancels per second; they never draw on the orders' rate.
    pub cancels: RateLimit,
    /// How long a confirmed loosening waits before it takes effect, in seconds; `None`: at once.
    pub loosening_delay_seconds: Option<u64>,
    /// What may be changed about futures; absent (and in documents of earlier versions): nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub futures: Option<FuturesPolicy>,
    /// The instruments that may be traded, at most [`PolicyDocument::INSTRUMENTS_MAX`].
    pub instruments: Vec<InstrumentPolicy>,
}

/// The verbs of each role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleVerbs {
    /// Verbs of a key that trades; cancels must be among them when placing is.
    #[serde(with = "verb_names")]
    pub trade: Vec<Verb>,
    /// Verbs of a key for streams; only such that ask.
    #[serde(with = "verb_names")]
    pub stream: Vec<Verb>,
}

impl RoleVerbs {
    /// The verbs of `role`.
    #[must_use]
    pub fn of(&self, role: KeyRole) -> &[Verb] {
        match role {
            KeyRole::Trade => &self.trade,
            KeyRole::Stream => &self.stream,
        }
    }
}

impl Default for RoleVerbs {
    fn default() -> Self {
        Self { trade: Verb::ALL.to_vec(), stream: Verb::ALL.into_iter().filter(|verb| verb.only_asks()).collect() }
    }
}

/// A token bucket: so many at once, so many each second in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Tokens that come back each second, 1 to [`RateLimit::MAX`].
    pub per_second: u32,
    /// Tokens that a full bucket holds, 1 to [`RateLimit::MAX`].
    pub burst: u32,
}

impl RateLimit {
    /// Far above what any venue takes, and above what one signer can do.
    pub const MAX: u32 = 1_000_000;
}

/// How futures of the account may be margined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuturesPolicy {
    /// Changes of leverage and modes per second; they draw on no other rate.
    pub settings: RateLimit,
    /// Margin modes that may be set.
    pub margin_modes: Vec<MarginMode>,
    /// Position modes that may be set; none: the account keeps what it has.
    pub position_modes: Vec<PositionMode>,
}

/// Limits of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstrumentPolicy {
    /// The venue's spelling.
    pub symbol: Symbol,
    /// No sell is signed below this price, in quote; above zero.
    pub low: Scaled,
    /// No buy is signed above this price, in quote; above `low`.
    pub high: Scaled,
    /// Largest price times quantity of one order, in quote.
    pub order_notional: Scaled,
    /// Largest quantity of one order, in base.
    pub order_quantity: Scaled,
    /// Orders that may be outstanding at once, up to [`InstrumentPolicy::OPEN_ORDERS_MAX`].
    pub open_orders: u32,
    /// What may be bought.
    pub buy: SideLimits,
    /// What may be sold.
    pub sell: SideLimits,
    /// Highest leverage that may be set; absent (and in documents of earlier versions): none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leverage_max: Option<u16>,
    /// What orders that the venue lets only reduce may take, on each side, when the band or the windows above refuse
    /// them; absent: they are refused like others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<ReduceLimits>,
}

/// Quantities, in base, for orders whose signed bytes say that the venue must let them only reduce a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceLimits {
    /// In any 60 seconds.
    pub minute: Scaled,
    /// In any hour.
    pub hour: Scaled,
    /// In any 24 hours.
    pub day: Scaled,
}

impl ReduceLimits {
    /// Each window's name and quantity, the shortest first.
    #[must_use]
    pub const fn windows(&self) -> [(&'static str, Scaled); 3] {
        [("minute", self.minute), ("hour", self.hour), ("day", self.day)]
    }
}

impl InstrumentPolicy {
    /// More than venues offer.
    pub const LEVERAGE_MAX: u16 = 150;
    /// More than a venue lets rest on one instrument.
    pub const OPEN_ORDERS_MAX: u32 = 1_000;

    /// The limits of `side`.
    #[must_use]
    pub const fn side(&self, side: Side) -> &SideLimits {
        match side {
            Side::Buy => &self.buy,
            Side::Sell => &self.sell,
        }
    }
}

/// What may be signed on one side within any window; every signed order counts in full, filled or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideLimits {
    /// In any 60 seconds.
    pub minute: Turnover,
    /// In any hour.
    pub hour: Turnover,
    /// In any 24 hours.
    pub day: Turnover,
}

/// A notional and a quantity; both hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turnover {
    /// Sum of price times quantity, in quote; zero: nothing.
    pub notional: Scaled,
    /// Sum of quantities, in base; zero: nothing.
    pub quantity: Scaled,
}

impl PolicyDocument {
    /// The form that this program reads and writes.
    pub const VERSION: u32 = 1;
    /// Bound of the table of instruments.
    pub const INSTRUMENTS_MAX: usize = 256;
    /// Longest text read, in bytes.
    pub const TEXT_MAX: usize = 256 * 1_024;
    /// Longest delay of a loosening: 30 days, in seconds.
    pub const DELAY_MAX: u64 = 30 * 86_400;

    /// Reads and checks a policy.
    ///
    /// # Errors
    /// [`PolicyError`]: no such policy may be used.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        if text.len() > Self::TEXT_MAX {
            return Err(PolicyError::Unreadable(format!("longer than {} bytes", Self::TEXT_MAX)));
        }
        let unreadable = |error: serde_json::Error| PolicyError::Unreadable(error.to_string());
        let head: Head = serde_json::from_str(text).map_err(unreadable)?;
        if head.version != Self::VERSION {
            return Err(PolicyError::Version { found: head.version, known: Self::VERSION });
        }
        let document: Self = serde_json::from_str(text).map_err(unreadable)?;
        document.check()?;
        Ok(document)
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Structs, numbers and texts alone: there is nothing that JSON cannot hold.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Whether every field is in its range.
    ///
    /// # Errors
    /// [`PolicyError::Field`] names the first that is not.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.version != Self::VERSION {
            return Err(PolicyError::Version { found: self.version, known: Self::VERSION });
        }
        let places = self.roles.trade.contains(&Verb::Place);
        let cancels = [Verb::Cancel, Verb::CancelAll].iter().all(|verb| self.roles.trade.contains(verb));
        require(!places || cancels, || "roles.trade".into(), "with cancel and cancel_all beside place")?;
        let asks = self.roles.stream.iter().all(|verb| verb.only_asks());
        require(asks, || "roles.stream".into(), "verbs that only ask")?;
        for (name, rate) in [("orders", self.orders), ("cancels", self.cancels)] {
            for (field, value) in [("per_second", rate.per_second), ("burst", rate.burst)] {
                let sound = (1..=RateLimit::MAX).contains(&value);
                require(sound, || format!("{name}.{field}"), "1 to 10000")?;
            }
        }
        if let Some(RateLimit { per_second, burst }) = self.futures.as_ref().map(|futures| futures.settings) {
            for (field, value) in [("per_second", per_second), ("burst", burst)] {
                let sound = (1..=FuturesPolicy::RATE_MAX).contains(&value);
                require(sound, || format!("futures.settings.{field}"), "1 to 100")?;
            }
        }
        let delay = self.loosening_delay_seconds.unwrap_or(0);
        require(delay <= Self::DELAY_MAX, || "loosening_delay_seconds".into(), "at most 30 days")?;
        require(self.instruments.len() <= Self::INSTRUMENTS_MAX, || "instruments".into(), "at most 256")?;
        for (index, instrument) in self.instruments.iter().enumerate() {
            instrument.check()?;
            let twice = self.instruments.iter().take(index).any(|other| other.symbol == instrument.symbol);
            require(!twice, || format!("{}.symbol", instrument.symbol), "listed once")?;
        }
        Ok(())
    }

    /// The limits of an instrument; `None` when it may not be traded.
    #[must_use]
    pub fn instrument(&self, symbol: &str) -> Option<&InstrumentPolicy> {
        self.instruments.iter().find(|instrument| instrument.symbol.as_str() == symbol)
    }

    /// The policy in lines for a terminal.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(at) = self.derived_at {
            lines.push(format!("derived from prices and risk limits at {at} (seconds since 1970)"));
        }
        for (role, verbs) in [("trade", &self.roles.trade), ("stream", &self.roles.stream)] {
            let names: Vec<&str> = verbs.iter().map(|verb| verb.as_str()).collect();
            lines.push(format!(
                "{role} keys may: {}",
                if names.is_empty() { "nothing".into() } else { names.join(", ") }
            ));
        }
        for (name, rate) in [("orders", self.orders), ("cancels", self.cancels)] {
            lines.push(format!("{name}: at most {} a second, {} at once", rate.per_second, rate.burst));
        }
        lines.push(match self.loosening_delay_seconds {
            Some(seconds) if seconds > 0 => format!("a loosening takes effect {seconds} s after it is confirmed"),
            _ => "a loosening takes effect as soon as it is confirmed".into(),
        });
        if let Some(futures) = &self.futures {
            futures.describe(&mut lines);
        }
        if self.instruments.is_empty() {
            lines.push("no instrument may be traded".into());
        }
        for instrument in &self.instruments {
            instrument.describe(&mut lines);
        }
        lines
    }
}

impl FuturesPolicy {
    /// Leverage and modes are set when a venue is compared with, not while trading.
    pub const RATE_MAX: u32 = 100;

    fn describe(&self, lines: &mut Vec<String>) {
        let RateLimit { per_second, burst } = self.settings;
        lines.push(format!("changes of leverage and modes: at most {per_second} a second, {burst} at once"));
        let words = |words: Vec<&str>| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
        let margin = words(self.margin_modes.iter().map(|mode| mode.as_str()).collect());
        let position = words(self.position_modes.iter().map(|mode| mode.as_str()).collect());
        lines.push(format!("  margin modes that may be set: {margin}; position modes: {position}"));
    }
}

impl InstrumentPolicy {
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let symbol = self.symbol;
        let spelled = !symbol.is_empty() && symbol.bytes().all(|byte| byte.is_ascii_graphic());
        require(spelled, || "instruments.symbol".into(), "letters, digits and signs without spaces")?;
        let (low, high) = (atto(self.low).unwrap_or(0), atto(self.high).unwrap_or(0));
        require(low > 0, || format!("{symbol}.low"), "above zero")?;
        require(high > low, || format!("{symbol}.high"), "above low")?;
        for (name, amount) in [("order_notional", self.order_notional), ("order_quantity", self.order_quantity)] {
            require(sound(amount), || format!("{symbol}.{name}"), "zero or more")?;
        }
        let open = self.open_orders <= Self::OPEN_ORDERS_MAX;
        require(open, || format!("{symbol}.open_orders"), "at most 1000")?;
        for side in [Side::Buy, Side::Sell] {
            let limits = self.side(side);
            for (window, turnover) in limits.windows() {
                for (name, amount) in [("notional", turnover.notional), ("quantity", turnover.quantity)] {
                    require(sound(amount), || format!("{symbol}.{side}.{window}.{name}"), "zero or more")?;
                }
            }
        }
        let leverage = self.leverage_max.is_none_or(|times| (1..=Self::LEVERAGE_MAX).contains(&times));
        require(leverage, || format!("{symbol}.leverage_max"), "1 to 150")?;
        for (window, amount) in self.reduce.iter().flat_map(|reduce| reduce.windows()) {
            require(sound(amount), || format!("{symbol}.reduce.{window}"), "zero or more")?;
        }
        Ok(())
    }

    fn describe(&self, lines: &mut Vec<String>) {
        lines.push(format!("{}: no sell below {}, no buy above {}", self.symbol, self.low, self.high));
        lines.push(format!(
            "  one order: at most {} in quote and {} in base; {} outstanding at once",
            self.order_notional, self.order_quantity, self.open_orders
        ));
        for side in [Side::Buy, Side::Sell] {
            for (window, turnover) in self.side(side).windows() {
                lines.push(format!(
                    "  {side} in any {window}: at most {} in quote and {} in base",
                    turnover.notional, turnover.quantity
                ));
            }
        }
        if let Some(leverage) = self.leverage_max {
            lines.push(format!("  leverage: at most {leverage} times"));
        }
        if let Some(ReduceLimits { minute, hour, day }) = self.reduce {
            lines.push(format!(
                "  orders that only reduce, beyond all that: {minute} in base in any minute, {hour} in any hour, {day} in any \
                 day on each side"
            ));
        }
    }
}

impl SideLimits {
    /// Each window's name and limit, the shortest first.
    #[must_use]
    pub const fn windows(&self) -> [(&'static str, Turnover); 3] {
        [("minute", self.minute), ("hour", self.hour), ("day", self.day)]
    }
}

fn sound(amount: Scaled) -> bool {
    amount.mantissa >= 0 && atto(amount).is_some()
}

fn require(holds: bool, field: impl FnOnce() -> String, allowed: &'static str) -> Result<(), PolicyError> {
    if holds { Ok(()) } else { Err(PolicyError::Field { field: field(), allowed }) }
}

/// Verbs by their names.
mod verb_names {
    use messages::Verb;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(verbs: &[Verb], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(verbs.iter().map(|verb| verb.as_str()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Verb>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let mut verbs = Vec::with_capacity(names.len());
        for name in names {
            let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == name);
            let verb = verb.ok_or_else(|| D::Error::custom(format!("unknown verb {name}")))?;
            if verbs.contains(&verb) {
                return Err(D::Error::custom(format!("verb {name} twice")));
            }
            verbs.push(verb);
        }
        Ok(verbs)
    }
}
