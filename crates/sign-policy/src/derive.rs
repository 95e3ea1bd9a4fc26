//! The policy proposed when a key is linked: twice the risk limits, around the price of that moment.

use crate::amount::{Atto, atto, notional, rounded};
use crate::document::{
    FuturesPolicy, InstrumentPolicy, PolicyDocument, RateLimit, ReduceLimits, RoleVerbs, SideLimits, Turnover,
};
use domain::{Scaled, Symbol, UnixNanos};
use messages::MarginMode;

/// What is known of one instrument when its policy is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeriveFacts {
    /// The venue's spelling.
    pub symbol: Symbol,
    /// Its price now, in quote; above zero.
    pub price: Scaled,
    /// Risk limit: largest value of one order, in quote.
    pub max_order_notional: Scaled,
    /// Risk limit: largest quantity of one order, in base; `None`: what the value buys at `price`.
    pub max_order_quantity: Option<Scaled>,
    /// Risk limit: orders that may rest at once.
    pub max_open_orders: u32,
    /// Risk limit: orders in one second.
    pub max_orders_per_second: u32,
    /// Risk limit: cancels in one second.
    pub max_cancels_per_second: u32,
    /// Orders that the strategies place on one side within a minute, replaced quotes included; at least 1.
    pub placements_per_minute: u32,
    /// How it is to be margined, when it is a perpetual future; `None`: spot.
    pub futures: Option<FuturesFacts>,
}

/// How a perpetual future is to be margined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuturesFacts {
    /// Configured leverage; at least 1.
    pub leverage: u16,
    /// Configured margin mode.
    pub margin_mode: MarginMode,
}

impl PolicyDocument {
    /// Factor between a risk limit and the signer's limit.
    const OVER_RISK: Atto = 2;
    /// An hour may see so many full minutes.
    const MINUTES_IN_HOUR: Atto = 30;
    /// A day may see so many full hours.
    const HOURS_IN_DAY: Atto = 6;
    /// Orders of the largest size that may reduce beyond band and windows in a minute, an hour and a day.
    const REDUCE: [Atto; 3] = [10, 30, 60];
    /// Changes of leverage and modes in a second, and at once: two for each of some instruments.
    const SETTINGS: RateLimit = RateLimit { per_second: 2, burst: 40 };
    /// Digits that count in a derived number.
    const DIGITS: u32 = 6;

    /// The policy proposed for `instruments` at their prices of the moment `at`: band from half to twice the price,
    /// amounts and rates at twice the risk limits, leverage as configured. An instrument whose facts make no limit, or that is named again,
    /// is left out, and so may not be traded. A person confirms it all before it is in force.
    #[must_use]
    pub fn derive(instruments: &[DeriveFacts], at: UnixNanos) -> Self {
        let most = |of: fn(&DeriveFacts) -> u32| instruments.iter().map(of).max().unwrap_or(1);
        let rate = |limit: u32| {
            let doubled = limit.saturating_mul(2).clamp(1, RateLimit::MAX);
            RateLimit { per_second: doubled, burst: doubled }
        };
        let mut listed: Vec<InstrumentPolicy> = Vec::with_capacity(instruments.len());
        for policy in instruments.iter().filter_map(derived).take(Self::INSTRUMENTS_MAX) {
            if policy.check().is_ok() && listed.iter().all(|other| other.symbol != policy.symbol) {
                listed.push(policy);
            }
        }
        Self {
            version: Self::VERSION,
            derived_at: Some(at.as_millis() / 1_000),
            roles: RoleVerbs::default(),
            orders: rate(most(|facts| facts.max_orders_per_second)),
            cancels: rate(most(|facts| facts.max_cancels_per_second)),
            loosening_delay_seconds: None,
            futures: futures(instruments),
            instruments: listed,
        }
    }

    /// A policy that stands in no test's way: everything of `symbols` up to a thousand million.
    #[cfg(any(test, feature = "test-support"))]
    #[must_use]
    pub fn permissive_for_tests(symbols: &[Symbol]) -> Self {
        let wide = Scaled { mantissa: 1_000_000_000, decimals: 0 };
        let turnover = Turnover { notional: wide, quantity: wide };
        let side = SideLimits { minute: turnover, hour: turnover, day: turnover };
        let rate = RateLimit { per_second: RateLimit::MAX, burst: RateLimit::MAX };
        Self {
            version: Self::VERSION,
            derived_at: None,
            roles: RoleVerbs::default(),
            orders: rate,
            cancels: rate,
            loosening_delay_seconds: None,
            futures: Some(FuturesPolicy {
                settings: Self::SETTINGS,
                margin_modes: MarginMode::ALL.to_vec(),
                position_modes: Vec::new(),
            }),
            instruments: symbols
                .iter()
                .map(|symbol| InstrumentPolicy {
                    symbol: *symbol,
                    low: Scaled { mantissa: 1, decimals: 18 },
                    high: wide,
                    order_notional: wide,
                    order_quantity: wide,
                    open_orders: InstrumentPolicy::OPEN_ORDERS_MAX,
                    buy: side,
                    sell: side,
                    leverage_max: Some(InstrumentPolicy::LEVERAGE_MAX),
                    reduce: None,
                })
                .collect(),
        }
    }
}

/// What may be set of futures: the configured margin modes, never a position mode.
fn futures(instruments: &[DeriveFacts]) -> Option<FuturesPolicy> {
    let wanted = |mode: &MarginMode| {
        instruments.iter().filter_map(|facts| facts.futures).any(|futures| futures.margin_mode == *mode)
    };
    let margin_modes: Vec<MarginMode> = MarginMode::ALL.into_iter().filter(wanted).collect();
    let settings = PolicyDocument::SETTINGS;
    (!margin_modes.is_empty()).then(|| FuturesPolicy { settings, margin_modes, position_modes: Vec::new() })
}

/// The limits of one instrument; `None` when a fact is not above zero or a limit does not fit.
fn derived(facts: &DeriveFacts) -> Option<InstrumentPolicy> {
    let positive = |number: Scaled| atto(number).filter(|value| *value > 0);
    let write = |value: Atto| rounded(value, PolicyDocument::DIGITS);
    let price = positive(facts.price)?;
    let order_notional = positive(facts.max_order_notional)?.checked_mul(PolicyDocument::OVER_RISK)?;
    let order_quantity = match facts.max_order_quantity {
        Some(limit) => positive(limit)?.checked_mul(PolicyDocument::OVER_RISK)?,
        None => quantity_for(order_notional, facts.price)?,
    };
    let turnover = |factor: Atto| -> Option<Turnover> {
        Some(Turnover {
            notional: write(order_notional.checked_mul(factor)?)?,
            quantity: write(order_quantity.checked_mul(factor)?)?,
        })
    };
    let minute = Atto::from(facts.placements_per_minute.max(1));
    let hour = minute * PolicyDocument::MINUTES_IN_HOUR;
    let day = hour * PolicyDocument::HOURS_IN_DAY;
    let side = SideLimits { minute: turnover(minute)?, hour: turnover(hour)?, day: turnover(day)? };
    let one = turnover(1)?;
    Some(InstrumentPolicy {
        symbol: facts.symbol,
        low: write(price / 2)?,
        high: write(price.checked_mul(2)?)?,
        order_notional: one.notional,
        order_quantity: one.quantity,
        open_orders: facts.max_open_orders.saturating_mul(2).min(InstrumentPolicy::OPEN_ORDERS_MAX),
        buy: side,
        sell: side,
        leverage_max: facts.futures.map(|futures| futures.leverage.clamp(1, InstrumentPolicy::LEVERAGE_MAX)),
        reduce: match facts.futures {
            Some(_) => {
                let [minute, hour, day] = PolicyDocument::REDUCE.map(|orders| order_quantity.checked_mul(orders));
                Some(ReduceLimits { minute: write(minute?)?, hour: write(hour?)?, day: write(day?)? })
            }
            None => None,
        },
    })
}

/// The largest quantity, to six digits that count, of which the value at `price` is at most `value`.
fn quantity_for(value: Atto, price: Scaled) -> Option<Atto> {
    let mut quantity: Atto = 0;
    let mut step = 10_i128.checked_pow(36)?;
    let mut digits = 0;
    while step > 0 && digits < PolicyDocument::DIGITS {
        while let Some(more) = quantity.checked_add(step) {
            let fits = rounded(more, 18).and_then(|more| notional(price, more)).is_some_and(|cost| cost <= value);
            if !fits {
                break;
            }
            quantity = more;
        }
        digits += u32::from(quantity > 0);
        step /= 10;
    }
    (quantity > 0).then_some(quantity)
}
