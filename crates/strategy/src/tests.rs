//! The kinds against a small venue, restarts in the middle, and the host.

mod grid;
mod host;
mod maker;
mod perpetual;
mod properties;

use crate::kinds::{Grid, GridLevels, GridParams, KindSetup, MakerParams, MarketMaker};
use crate::testing::{Fate, Venue};
use domain::*;
use rust_decimal::Decimal;
use std::time::Duration;

const SETUP: KindSetup = KindSetup { orders_per_second: 1_000, market: Market::Spot, position_side: PositionSide::Net };

/// A perpetual in one-way mode.
const NEUTRAL: KindSetup = KindSetup { market: Market::UsdtFutures, ..SETUP };
/// The sides of a perpetual in hedge mode.
const LONG: KindSetup = KindSetup { position_side: PositionSide::Long, ..NEUTRAL };
const SHORT: KindSetup = KindSetup { position_side: PositionSide::Short, ..NEUTRAL };

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Levels 90.00, 92.00 ... 110.00, a hundredth each.
fn range() -> GridParams {
    GridParams {
        at: GridLevels::Range { lower: decimal("90"), upper: decimal("110") },
        levels: 11,
        order_size: Amount(decimal("0.1")),
        opening_position: Amount::ZERO,
        post_only: true,
    }
}

/// Five levels on each side of the first mid, 0.5 % apart.
fn around() -> GridParams {
    GridParams { at: GridLevels::Step { ratio: decimal("0.005") }, levels: 5, ..range() }
}

fn quotes() -> MakerParams {
    MakerParams {
        half_spread: decimal("0.01"),
        order_size: Amount(decimal("0.1")),
        max_position: Amount(decimal("1")),
        skew: decimal("0.5"),
        opening_position: Amount::ZERO,
        refresh: Duration::from_millis(500),
    }
}
