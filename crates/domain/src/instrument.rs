//! Instruments and the versions of their trading rules.

use crate::{Asset, InstrumentId, Notional, NumberError, Price, Qty, Scaled, Side, Symbol, UnixNanos, VenueId};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Whether orders are taken on an instrument now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstrumentStatus {
    /// Orders are taken.
    Online,
    /// Suspended, not yet open, or in maintenance; resting orders may remain.
    Halted,
    /// Removed from the venue.
    Delisted,
}

/// Which market of a venue an instrument is traded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Coins change hands; a strategy sells only what it bought.
    #[default]
    Spot,
    /// Perpetual futures, margined and settled in USDT; positions may be short.
    UsdtFutures,
}

impl Market {
    /// Every market.
    pub const ALL: [Self; 2] = [Self::Spot, Self::UsdtFutures];
    /// What the names of perpetual futures end with here (`BTCUSDT-PERP`): venues spell them like the spot instrument.
    pub const PERPETUAL_SUFFIX: &'static str = "-PERP";

    /// The word in settings, journal and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::UsdtFutures => "usdt-futures",
        }
    }

    /// The market that an instrument's name tells.
    #[must_use]
    pub fn of(symbol: &str) -> Self {
        if symbol.ends_with(Self::PERPETUAL_SUFFIX) { Self::UsdtFutures } else { Self::Spot }
    }

    /// Whether orders open and close positions on margin here.
    #[must_use]
    pub const fn has_positions(self) -> bool {
        matches!(self, Self::UsdtFutures)
    }
}

/// What stays the same about an instrument for as long as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Index into the instrument table.
    pub id: InstrumentId,
    /// The venue account it is traded through.
    pub venue: VenueId,
    /// The venue's spelling; of a perpetual future with [`Market::PERPETUAL_SUFFIX`].
    pub symbol: Symbol,
    /// Where it is traded.
    pub market: Market,
    /// What is bought and sold.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// The trading rules in force.
    pub version: InstrumentVersion,
}

/// The trading rules of an instrument from a point in time on.
///
/// A change of any of them makes a new version; resting orders keep theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstrumentVersion {
    /// The instrument.
    pub id: InstrumentId,
    /// Counts from 1 for each instrument.
    pub version: u32,
    /// Decimals of a [`Price`] mantissa, 0 to 18.
    pub price_decimals: u8,
    /// Decimals of a [`Qty`] mantissa, 0 to 18.
    pub qty_decimals: u8,
    /// Smallest step of an order's price, as a mantissa; at least 1.
    pub tick: i64,
    /// Smallest step of an order's quantity, as a mantissa; at least 1.
    pub lot: i64,
    /// Smallest quantity of an order; zero: only the lot counts.
    pub min_qty: Qty,
    /// Largest quantity of an order; zero: no limit stated.
    pub max_qty: Qty,
    /// Smallest notional of an order, in the quote asset.
    pub min_notional: Notional,
    /// Whether orders are taken.
    pub status: InstrumentStatus,
    /// When these rules came into force (our receipt of them).
    pub valid_from: UnixNanos,
}

/// Which way an off-grid number goes to the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Refuse a number that is not on the grid.
    Exact,
    /// To the next grid point towards zero.
    Down,
    /// To the next grid point away from zero.
    Up,
}

impl Rounding {
    /// The direction that never makes an order's price worse than asked: down for a buy, up for a sell.
    #[must_use]
    pub const fn passive(side: Side) -> Self {
        match side {
            Side::Buy => Self::Down,
            Side::Sell => Self::Up,
        }
    }
}

/// A positive price on the tick grid of one instrument version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderPrice {
    price: Price,
    version: u32,
}

/// A positive quantity on the lot grid of one instrument version, at or above its minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderQty {
    qty: Qty,
    version: u32,
}

impl OrderPrice {
    /// The price itself.
    #[must_use]
    pub const fn price(self) -> Price {
        self.price
    }

    /// The instrument version whose grid it is on.
    #[must_use]
    pub const fn version(self) -> u32 {
        self.version
    }
}

impl OrderQty {
    /// The quantity itself.
    #[must_use]
    pub const fn qty(self) -> Qty {
        self.qty
    }

    /// The instrument version whose grid it is on.
    #[must_use]
    pub const fn version(self) -> u32 {
        self.version
    }
}

/// Why a number cannot be the price or quantity of an order.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum GridError {
    /// The price is not a multiple of the tick size.
    #[error("price {price} is not a multiple of the tick size {tick_size}")]
    OffTick {
        /// The price asked for.
        price: Decimal,
        /// The tick size.
        tick_size: Decimal,
    },
    /// The quantity is not a multiple of the lot size.
    #[error("quantity {qty} is not a multiple of the lot size {lot_size}")]
    OffLot {
        /// The quantity asked for.
        qty: Decimal,
        /// The lot size.
        lot_size: Decimal,
    },
    /// Zero or negative (after rounding).
    #[error("number {number} is not positive")]
    NotPositive {
        /// The number asked for.
        number: Decimal,
    },
    /// Below the smallest order.
    #[error("quantity {qty} is below the minimum {min}")]
    BelowMinimum {
        /// The quantity asked for.
        qty: Decimal,
        /// The smallest allowed.
        min: Decimal,
    },
    /// Above the largest order.
    #[error("quantity {qty} is above the maximum {max}")]
    AboveMaximum {
        /// The quantity asked for.
        qty: Decimal,
        /// The largest allowed.
        max: Decimal,
    },
    /// The number does not fit.
    #[error("number does not fit the instrument")]
    Number(#[from] NumberError),
}

fn to_grid(mantissa: i64, step: i64, rounding: Rounding) -> Option<i64> {
    let step = step.max(1);
    let rest = mantissa.rem_euclid(step);
    if rest == 0 {
        return Some(mantissa);
    }
    match rounding {
        Rounding::Exact => None,
        Rounding::Down => mantissa.checked_sub(rest),
        Rounding::Up => mantissa.checked_sub(rest)?.checked_add(step),
    }
}

impl InstrumentVersion {
    /// The price as a travelling decimal.
    #[must_use]
    pub const fn price_scaled(&self, price: Price) -> Scaled {
        Scaled { mantissa: price.0, decimals: self.price_decimals }
    }

    /// The quantity as a travelling decimal.
    #[must_use]
    pub const fn qty_scaled(&self, qty: Qty) -> Scaled {
        Scaled { mantissa: qty.0, decimals: self.qty_decimals }
    }

    /// The price as a [`Decimal`], in the quote asset.
    #[must_use]
    pub fn price_decimal(&self, price: Price) -> Decimal {
        self.price_scaled(price).decimal()
    }

    /// The quantity as a [`Decimal`], in the base asset.
    #[must_use]
    pub fn qty_decimal(&self, qty: Qty) -> Decimal {
        self.qty_scaled(qty).decimal()
    }

    /// A price from outside; exact or an error.
    ///
    /// # Errors
    /// [`NumberError`] when it has more decimals than the instrument or does not fit.
    pub fn price(&self, number: Scaled) -> Result<Price, NumberError> {
        number.rescaled(self.price_decimals).map(Price)
    }

    /// A quantity from outside; exact or an error.
    ///
    /// # Errors
    /// [`NumberError`] when it has more decimals than the instrument or does not fit.
    pub fn qty(&self, number: Scaled) -> Result<Qty, NumberError> {
        number.rescaled(self.qty_decimals).map(Qty)
    }

    /// A price computed as a [`Decimal`] (a signal, a fraction of another price), brought into
    /// the instrument's decimals in the named direction; it may still be off the tick grid.
    ///
    /// # Errors
    /// [`NumberError`] when it does not fit.
    pub fn price_rounded(&self, number: Decimal, rounding: Rounding) -> Result<Price, NumberError> {
        rounded(number, self.price_decimals, rounding).map(Price)
    }

    /// A quantity computed as a [`Decimal`], like [`Self::price_rounded`].
    ///
    /// # Errors
    /// [`NumberError`] when it does not fit.
    pub fn qty_rounded(&self, number: Decimal, rounding: Rounding) -> Result<Qty, NumberError> {
        rounded(number, self.qty_decimals, rounding).map(Qty)
    }

    /// The price of an order, on the tick grid.
    ///
    /// # Errors
    /// [`GridError::OffTick`] with [`Rounding::Exact`] off the grid, [`GridError::NotPositive`] at or below zero.
    pub fn order_price(&self, price: Price, rounding: Rounding) -> Result<OrderPrice, GridError> {
        let off_tick =
            GridError::OffTick { price: self.price_decimal(price), tick_size: self.price_decimal(Price(self.tick)) };
        let on_grid = to_grid(price.0, self.tick, rounding).ok_or(off_tick)?;
        if on_grid <= 0 {
            return Err(GridError::NotPositive { number: self.price_decimal(price) });
        }
        Ok(OrderPrice { price: Price(on_grid), version: self.version })
    }

    /// The quantity of an order, on the lot grid and within the venue's bounds.
    ///
    /// # Errors
    /// [`GridError`]: which rule it breaks.
    pub fn order_qty(&self, qty: Qty, rounding: Rounding) -> Result<OrderQty, GridError> {
        let off_lot = GridError::OffLot { qty: self.qty_decimal(qty), lot_size: self.qty_decimal(Qty(self.lot)) };
        let on_grid = Qty(to_grid(qty.0, self.lot, rounding).ok_or(off_lot)?);
        if on_grid.0 <= 0 {
            return Err(GridError::NotPositive { number: self.qty_decimal(qty) });
        }
        if on_grid < self.min_qty {
            return Err(GridError::BelowMinimum {
                qty: self.qty_decimal(on_grid),
                min: self.qty_decimal(self.min_qty),
            });
        }
        if self.max_qty.0 > 0 && on_grid > self.max_qty {
            return Err(GridError::AboveMaximum {
                qty: self.qty_decimal(on_grid),
                max: self.qty_decimal(self.max_qty),
            });
        }
        Ok(OrderQty { qty: on_grid, version: self.version })
    }

    /// Price times quantity, exact, in the quote asset. The product of two 63-bit mantissas may
    /// exceed a decimal's 96 bits; then `None`.
    #[must_use]
    pub fn notional(&self, price: Price, qty: Qty) -> Option<Notional> {
        self.price_decimal(price).checked_mul(self.qty_decimal(qty)).map(Notional)
    }
}

fn rounded(number: Decimal, decimals: u8, rounding: Rounding) -> Result<i64, NumberError> {
    use rust_decimal::RoundingStrategy;
    let strategy = match rounding {
        Rounding::Exact => return Scaled::try_from(number)?.rescaled(decimals),
        Rounding::Down => RoundingStrategy::ToZero,
        Rounding::Up => RoundingStrategy::AwayFromZero,
    };
    Scaled::try_from(number.round_dp_with_strategy(u32::from(decimals), strategy))?.rescaled(decimals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn btcusdt() -> InstrumentVersion {
        InstrumentVersion {
            id: InstrumentId(0),
            version: 1,
            price_decimals: 2,
            qty_decimals: 6,
            tick: 5,
            lot: 10,
            min_qty: Qty(20),
            max_qty: Qty(1_000_000_000),
            min_notional: Notional(Decimal::ONE),
            status: InstrumentStatus::Online,
            valid_from: UnixNanos(0),
        }
    }

    proptest! {
        #[test]
        fn every_order_price_is_on_the_grid_and_rounded_as_asked(mantissa in 1_i64..1_000_000_000) {
            let version = btcusdt();
            if let Ok(down) = version.order_price(Price(mantissa), Rounding::Down) {
                prop_assert!(down.price().0 % version.tick == 0 && down.price().0 <= mantissa && mantissa - down.price().0 < version.tick);
            }
            let up = version.order_price(Price(mantissa), Rounding::Up).unwrap();
            prop_assert!(up.price().0 % version.tick == 0 && up.price().0 >= mantissa && up.price().0 - mantissa < version.tick);
        }
    }

    #[test]
    fn an_off_grid_order_cannot_be_made_without_rounding() {
        let version = btcusdt();
        assert!(matches!(version.order_price(Price(101), Rounding::Exact), Err(GridError::OffTick { .. })));
        assert!(matches!(version.order_qty(Qty(25), Rounding::Exact), Err(GridError::OffLot { .. })));
        assert!(matches!(version.order_qty(Qty(10), Rounding::Exact), Err(GridError::BelowMinimum { .. })));
        assert!(matches!(version.order_price(Price(3), Rounding::Down), Err(GridError::NotPositive { .. })));
    }

    #[test]
    fn notional_is_exact() {
        let notional = btcusdt().notional(Price(6_000_050), Qty(1_230)).unwrap();
        assert_eq!(notional.0.to_string(), "73.80061500");
    }
}
