//! What the control plane and the command line show, as plain data.

use domain::{
    Amount, ClientOrderId, InstrumentId, Liquidity, Market, OrderState, Pnl, PositionSide, Scaled, Side, StrategyTag,
    TimeInForce, UnixNanos,
};
use messages::{HaltReason, MarginMode, TradingState};
use serde::{Deserialize, Serialize};

/// One balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceView {
    /// The venue account's number.
    pub venue: u8,
    /// The wallet.
    pub wallet: Market,
    /// The asset.
    pub asset: String,
    /// Free.
    pub available: Amount,
    /// In orders or otherwise held.
    pub held: Amount,
    /// Value in quote at the latest mid; `None`: no price is known.
    pub value: Option<Amount>,
}

/// One position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// The strategy's name.
    pub strategy: String,
    /// The venue account's number.
    pub venue: u8,
    /// The instrument.
    pub instrument: String,
    /// What a perpetual future has beside; `None` on spot.
    pub futures: Option<FuturesView>,
    /// Bought minus sold minus fees in base; negative: short.
    pub qty: Amount,
    /// What it has cost, in quote.
    pub cost: Amount,
    /// Value at the latest mid, in quote; `None`: no mid is known.
    pub value: Option<Amount>,
    /// Result of what was closed, after fees, in quote.
    pub realised: Pnl,
    /// Result of what is held, in quote; `None`: no mid is known.
    pub unrealised: Option<Pnl>,
    /// Fees, in quote.
    pub fees: Amount,
}

/// What is known of a futures position beside quantity and result. Leverage, margin and liquidation price are those of
/// the account's position, which all strategies on the instrument share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuturesView {
    /// Net in one-way mode; long or short in hedge mode.
    pub side: PositionSide,
    /// Times the margin; `None`: not told.
    pub leverage: Option<u16>,
    /// Margin mode; `None`: not told.
    pub margin_mode: Option<MarginMode>,
    /// Margin bound by the account's position, in the settle asset; `None`: not told.
    pub margin: Option<Amount>,
    /// The price at which the venue would liquidate it; `None`: there is none, or it is not told.
    pub liquidation: Option<Amount>,
    /// Funding received by this strategy, in quote; negative: paid.
    pub funding: Amount,
}

/// One order that may rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Our id.
    pub id: ClientOrderId,
    /// The venue's id, once it is known.
    pub venue_order_id: Option<String>,
    /// The strategy's name.
    pub strategy: String,
    /// The instrument.
    pub instrument: String,
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: Scaled,
    /// Quantity, in base.
    pub qty: Scaled,
    /// Filled so far, in base.
    pub filled: Scaled,
    /// How long it may rest.
    pub time_in_force: TimeInForce,
    /// Where it is in its life.
    pub state: OrderState,
    /// When it was made.
    pub created: UnixNanos,
}

/// One fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillView {
    /// Number of its event.
    pub seq: u64,
    /// When it was counted, by own wall clock.
    pub at: UnixNanos,
    /// The venue's id.
    pub trade_id: String,
    /// Our order.
    pub order: ClientOrderId,
    /// The strategy's name.
    pub strategy: String,
    /// The instrument.
    pub instrument: String,
    /// Buy or sell.
    pub side: Side,
    /// Price.
    pub price: Scaled,
    /// Quantity, in base.
    pub qty: Scaled,
    /// The fee; positive: paid.
    pub fee: Amount,
    /// In which asset.
    pub fee_asset: String,
    /// Maker or taker.
    pub liquidity: Liquidity,
}

/// One strategy in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyView {
    /// Its name.
    pub name: String,
    /// Its number.
    pub tag: StrategyTag,
    /// Orders signed.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Fills in which its order rested.
    pub maker_fills: u64,
    /// Intents refused.
    pub refused: u64,
    /// Orders whose outcome was ever unknown.
    pub unknown_seen: u64,
    /// Result of what was closed, after fees, in quote.
    pub realised: Pnl,
    /// Result of what is held, in quote, as far as mids are known.
    pub unrealised: Pnl,
    /// Realised since 00:00 UTC, after fees, in quote.
    pub realised_today: Pnl,
    /// Fees, in quote.
    pub fees: Amount,
    /// Funding received, in quote; negative: paid. Contained in `realised_today`, not in `realised`.
    pub funding: Amount,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Number of the latest event contained.
    pub seq: u64,
    /// When it happened.
    pub at: UnixNanos,
    /// Whether trading goes on; `None` before the order path has said so.
    pub trading: Option<TradingState>,
    /// Why it is halted.
    pub halt: Option<HaltReason>,
    /// All balances in quote, at the latest mids.
    pub equity: Amount,
    /// Assets that are held and have no known price; not contained in `equity`.
    pub unvalued: Vec<String>,
    /// Result of what was closed, after fees, in quote.
    pub realised: Pnl,
    /// Result of what is held, in quote, as far as mids are known.
    pub unrealised: Pnl,
    /// Realised since 00:00 UTC, after fees, in quote.
    pub realised_today: Pnl,
    /// Fees, in quote.
    pub fees: Amount,
    /// Funding received, in quote; negative: paid.
    pub funding: Amount,
    /// Orders whose outcome is not known now.
    pub unknown: u64,
    /// Differences between venue and records so far.
    pub differences: u64,
    /// Strategies, by number.
    pub strategies: Vec<StrategyView>,
    /// Balances that are not zero, by venue and asset.
    pub balances: Vec<BalanceView>,
    /// Positions, by strategy and instrument.
    pub positions: Vec<PositionView>,
    /// Orders that may rest, oldest first.
    pub open_orders: Vec<OrderView>,
    /// Latest fills, newest first.
    pub fills: Vec<FillView>,
}

/// The name of a strategy or instrument that is no longer configured.
pub(crate) fn unnamed(kind: &str, number: u16) -> String {
    format!("{kind}-{number}")
}

/// A helper so that views name an instrument the same way everywhere.
pub(crate) fn instrument_name(symbol: Option<&str>, id: InstrumentId) -> String {
    symbol.map_or_else(|| unnamed("instrument", id.0), str::to_owned)
}
