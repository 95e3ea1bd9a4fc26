//! Fills: what was really traded, as the venue tells it.

use crate::{
    Amount, Asset, ClientOrderId, InstrumentId, PositionSide, Price, Qty, Side, StrategyTag, UnixNanos, VenueTradeId,
};
use serde::{Deserialize, Serialize};

/// Whether a fill gave or took liquidity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liquidity {
    /// Our order rested.
    Maker,
    /// Our order took.
    Taker,
}

impl Liquidity {
    /// `maker` or `taker`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Maker => "maker",
            Self::Taker => "taker",
        }
    }
}

/// A fee in the asset in which it was taken; positive: paid, negative: rebate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fee {
    /// How much, in `asset`.
    pub amount: Amount,
    /// In which asset.
    pub asset: Asset,
}

/// One fill of one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The venue's id of it; the key by which it is counted once.
    pub trade_id: VenueTradeId,
    /// Our order.
    pub order: ClientOrderId,
    /// The strategy that the order belongs to.
    pub strategy: StrategyTag,
    /// The instrument.
    pub instrument: InstrumentId,
    /// The instrument version whose decimals `price` and `qty` are in.
    pub version: u32,
    /// Buy or sell.
    pub side: Side,
    /// The position it changed; net on spot and in one-way mode.
    #[serde(default)]
    pub position_side: PositionSide,
    /// Price of this fill.
    pub price: Price,
    /// Quantity of this fill, in base, before fees.
    pub qty: Qty,
    /// What was taken for it.
    pub fee: Fee,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}
