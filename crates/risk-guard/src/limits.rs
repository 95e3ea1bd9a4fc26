//! The limits that no order may cross, checked once and only ever tightened while running.

use crate::fixed::{Atto, atto_limit, billionths};
use domain::{Amount, Notional, Qty};
use rust_decimal::Decimal;
use std::time::Duration;

/// What happens to an order that could trade with an own resting order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SelfTrade {
    /// It is refused.
    #[default]
    Reject,
}

/// Account-wide limits. The default is the safe choice for a small account.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Largest value of one order, in quote; above zero.
    pub max_order_notional: Notional,
    /// Largest quantity of one order, in base; `None`: only its value is limited.
    pub max_order_qty: Option<Amount>,
    /// Orders that may rest at once; 1 to [`Limits::OPEN_ORDERS_MAX`].
    pub max_open_orders: u32,
    /// Orders in any one second; 1 to [`Limits::RATE_MAX`].
    pub max_orders_per_second: u32,
    /// Cancels in any one second; 1 to [`Limits::RATE_MAX`].
    pub max_cancels_per_second: u32,
    /// Largest position on one instrument if every open order filled, in quote; above zero.
    pub max_position_notional: Notional,
    /// Largest sum of positions over all instruments if every open order filled, in quote; above zero.
    pub max_gross_exposure: Notional,
    /// Loss since 00:00 UTC, realised and unrealised, that halts; in quote, above zero.
    pub max_daily_loss: Notional,
    /// Loss from the highest profit, as a fraction of the account's value, that halts; above 0, at most 1.
    pub max_drawdown: Decimal,
    /// Largest distance of a price from mid, as a fraction of mid; above 0, below 1.
    pub price_collar: Decimal,
    /// Oldest top of book that an order may be checked against; above zero.
    pub max_feed_age: Duration,
    /// Share of rejected orders among the latest 50 from which only reducing orders are taken; above 0, at most 1.
    pub max_reject_ratio: Decimal,
    /// What happens to an order that could trade with an own one.
    pub self_trade: SelfTrade,
    /// Largest uncertainty of venue time; the owner of the clock measurement closes the gate above it.
    pub max_clock_uncertainty: Duration,
    /// Largest leverage at the venue with which futures are traded; 1 to [`Limits::LEVERAGE_MAX`].
    pub max_leverage: u16,
    /// Smallest distance of the liquidation price from mid at which risk is still added, as a fraction of mid; 0 to
    /// below 1.
    pub min_liquidation_distance: Decimal,
    /// How long the same order may not be asked for again; zero: no such check.
    pub duplicate_window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let quote = |units: i64| Notional(Decimal::new(units, 0));
        Self {
            max_order_notional: quote(250),
            max_order_qty: None,
            max_open_orders: 50,
            max_orders_per_second: 5,
            max_cancels_per_second: 20,
            max_position_notional: quote(1_000),
            max_gross_exposure: quote(2_000),
            max_daily_loss: quote(100),
            max_drawdown: Decimal::new(10, 2),
            price_collar: Decimal::new(2, 2),
            max_feed_age: Duration::from_secs(2),
            max_reject_ratio: Decimal::new(2, 1),
            self_trade: SelfTrade::Reject,
            max_clock_uncertainty: Duration::from_millis(500),
            max_leverage: 3,
            min_liquidation_distance: Decimal::new(10, 2),
            duplicate_window: Duration::from_millis(200),
        }
    }
}

/// Why a set of limits cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit {limit} must be {allowed}")]
pub struct LimitError {
    /// The limit's key.
    pub limit: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
}

/// A hot change would have loosened limits; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limits can only be tightened while running; these would be loosened: {}", .loosened.join(", "))]
pub struct LoosenRefused {
    /// Keys of the limits that would have been loosened or are out of range.
    pub loosened: Vec<&'static str>,
}

impl Limits {
    /// Most orders that may rest: what the exposure's tables hold with room for late fills.
    pub const OPEN_ORDERS_MAX: u32 = 1_000;
    /// Most orders or cancels a second: what the sliding windows hold.
    pub const RATE_MAX: u32 = 1_000;

    /// More than venues offer.
    pub const LEVERAGE_MAX: u16 = 150;

    /// # Errors
    /// [`LimitError`] for the first limit outside its range.
    pub fn validate(&self) -> Result<(), LimitError> {
        let money = [
            ("max_order_notional", self.max_order_notional.0),
            ("max_position_notional", self.max_position_notional.0),
            ("max_gross_exposure", self.max_gross_exposure.0),
            ("max_daily_loss", self.max_daily_loss.0),
            ("max_order_qty", self.max_order_qty.map_or(Decimal::ONE, |qty| qty.0)),
        ];
        let check = |limit, allowed, good: bool| if good { Ok(()) } else { Err(LimitError { limit, allowed }) };
        for (limit, amount) in money {
            check(limit, "above zero", amount > Decimal::ZERO)?;
        }
        let fraction = |value: Decimal| value > Decimal::ZERO && value <= Decimal::ONE;
        check("max_drawdown", "above 0 and at most 1", fraction(self.max_drawdown))?;
        check("max_reject_ratio", "above 0 and at most 1", fraction(self.max_reject_ratio))?;
        check("price_collar", "above 0 and below 1", fraction(self.price_collar) && self.price_collar < Decimal::ONE)?;
        check("max_open_orders", "1 to 1000", (1..=Self::OPEN_ORDERS_MAX).contains(&self.max_open_orders))?;
        check("max_orders_per_second", "1 to 1000", (1..=Self::RATE_MAX).contains(&self.max_orders_per_second))?;
        check("max_cancels_per_second", "1 to 1000", (1..=Self::RATE_MAX).contains(&self.max_cancels_per_second))?;
        check("max_leverage", "1 to 150", (1..=Self::LEVERAGE_MAX).contains(&self.max_leverage))?;
        let distance = (Decimal::ZERO..Decimal::ONE).contains(&self.min_liquidation_distance);
        check("min_liquidation_distance", "0 or more and below 1", distance)?;
        check("max_feed_age", "above zero", !self.max_feed_age.is_zero())?;
        check("max_clock_uncertainty", "above zero", !self.max_clock_uncertainty.is_zero())
    }

    /// The keys in which `new` is looser than `self`.
    #[must_use]
    pub fn loosened_by(&self, new: &Self) -> Vec<&'static str> {
        let quantity_looser = match (self.max_order_qty, new.max_order_qty) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => new > old,
        };
        [
            ("max_order_notional", new.max_order_notional > self.max_order_notional),
            ("max_order_qty", quantity_looser),
            ("max_open_orders", new.max_open_orders > self.max_open_orders),
            ("max_orders_per_second", new.max_orders_per_second > self.max_orders_per_second),
            ("max_cancels_per_second", new.max_cancels_per_second > self.max_cancels_per_second),
            ("max_position_notional", new.max_position_notional > self.max_position_notional),
            ("max_gross_exposure", new.max_gross_exposure > self.max_gross_exposure),
            ("max_daily_loss", new.max_daily_loss > self.max_daily_loss),
            ("max_drawdown", new.max_drawdown > self.max_drawdown),
            ("price_collar", new.price_collar > self.price_collar),
            ("max_feed_age", new.max_feed_age > self.max_feed_age),
            ("max_reject_ratio", new.max_reject_ratio > self.max_reject_ratio),
            ("max_clock_uncertainty", new.max_clock_uncertainty > self.max_clock_uncertainty),
            ("max_leverage", new.max_leverage > self.max_leverage),
            ("min_liquidation_distance", new.min_liquidation_distance < self.min_liquidation_distance),
            ("duplicate_window", new.duplicate_window < self.duplicate_window),
        ]
        .into_iter()
        .filter_map(|(key, looser)| looser.then_some(key))
        .collect()
    }
}

/// Limits of one strategy, inside those of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StrategyLimits {
    /// Largest position on its instrument if every open order filled, in base; `None`: the account's limits alone.
    pub max_position: Option<Amount>,
    /// Largest value of that position at the order's price, in quote; `None`: the account's limits alone.
    pub max_position_notional: Option<Amount>,
    /// Largest value of one of its orders, in quote; `None`: the account's limit alone.
    pub max_order_notional: Option<Amount>,
    /// Loss since 00:00 UTC from which it may only reduce, in quote; `None`: the account's limit alone.
    pub max_daily_loss: Option<Amount>,
    /// Its orders that may rest at once; `None`: the account's limit alone.
    pub max_open_orders: Option<u32>,
}

/// [`Limits`] as integers, for the check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedLimits {
    pub(crate) order_notional: Atto,
    pub(crate) order_qty: Atto,
    pub(crate) position_notional: Atto,
    pub(crate) gross_exposure: Atto,
    pub(crate) daily_loss: Atto,
    pub(crate) drawdown: i128,
    pub(crate) collar: i128,
    pub(crate) reject_ratio: i128,
    pub(crate) liquidation_distance: i128,
}

impl FixedLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            order_notional: atto_limit(limits.max_order_notional.0),
            order_qty: limits.max_order_qty.map_or(Atto::MAX, |qty| atto_limit(qty.0)),
            position_notional: atto_limit(limits.max_position_notional.0),
            gross_exposure: atto_limit(limits.max_gross_exposure.0),
            daily_loss: atto_limit(limits.max_daily_loss.0),
            drawdown: billionths(limits.max_drawdown),
            collar: billionths(limits.price_collar),
            reject_ratio: billionths(limits.max_reject_ratio),
            liquidation_distance: billionths(limits.min_liquidation_distance),
        }
    }
}

/// [`StrategyLimits`] as integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedBudget {
    pub(crate) position: Atto,
    pub(crate) position_notional: Option<Atto>,
    pub(crate) order_notional: Atto,
    pub(crate) daily_loss: Atto,
    pub(crate) open_orders: u32,
}

impl FixedBudget {
    pub(crate) fn of(limits: &StrategyLimits) -> Self {
        Self {
            position: limits.max_position.map_or(Atto::MAX, |amount| atto_limit(amount.0)),
            position_notional: limits.max_position_notional.map(|amount| atto_limit(amount.0)),
            order_notional: limits.max_order_notional.map_or(Atto::MAX, |amount| atto_limit(amount.0)),
            daily_loss: limits.max_daily_loss.map_or(Atto::MAX, |amount| atto_limit(amount.0)),
            open_orders: limits.max_open_orders.unwrap_or(u32::MAX),
        }
    }
}

/// Whether `qty` lies on the lot grid.
pub(crate) const fn on_grid(mantissa: i64, step: i64) -> bool {
    step > 0 && mantissa > 0 && mantissa % step == 0
}

/// `qty` cut down to the lot grid.
pub(crate) const fn down_to_lot(mantissa: i64, lot: i64) -> Qty {
    if mantissa <= 0 || lot <= 0 {
        return Qty::ZERO;
    }
    Qty(mantissa - mantissa % lot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_those_of_the_reference() {
        let limits = Limits::default();
        assert_eq!(limits.validate(), Ok(()));
        assert_eq!(limits.max_order_notional.0.to_string(), "250");
        assert_eq!(limits.price_collar.to_string(), "0.02");
    }

    #[test]
    fn a_limit_out_of_range_is_named() {
        let limits = Limits { price_collar: Decimal::ONE, ..Limits::default() };
        assert_eq!(limits.validate().unwrap_err().limit, "price_collar");
        let limits = Limits { max_open_orders: 0, ..Limits::default() };
        assert_eq!(limits.validate().unwrap_err().limit, "max_open_orders");
    }

    #[test]
    fn a_quantity_limit_may_be_added_but_not_removed() {
        let none = Limits::default();
        let some = Limits { max_order_qty: Some(Amount(Decimal::ONE)), ..Limits::default() };
        assert!(none.loosened_by(&some).is_empty());
        assert_eq!(some.loosened_by(&none), ["max_order_qty"]);
    }
}
