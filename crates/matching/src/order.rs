//! Orders as the engine takes them, and what it reports about them.

use crate::Atoms;
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use rust_decimal::Decimal;

/// One owner of balances and orders, in the order of opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// One order; grows with every order the engine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// One trade; grows with every trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TradeId(pub u64);

/// What happens when an order would trade with an order of its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SelfTrade {
    /// They trade.
    #[default]
    Allow,
    /// The arriving order's rest is cancelled.
    CancelTaker,
    /// The resting order is cancelled and the arriving one goes on.
    CancelMaker,
    /// Both are cancelled.
    CancelBoth,
}

/// How much an order asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderSize {
    /// A limit order: this quantity of base at this price or better.
    Limit {
        /// Worst price.
        price: Price,
        /// Quantity of base.
        qty: Qty,
    },
    /// A market order for this quantity of base.
    MarketBase {
        /// Quantity of base.
        qty: Qty,
    },
    /// A market buy that spends at most this amount of quote.
    MarketQuote {
        /// Quote to spend, fees not added (they are taken from the base received).
        budget: Atoms,
    },
}

/// An order on its way into the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// Who pays for it.
    pub account: AccountId,
    /// What is traded.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// How much, and at which price.
    pub size: OrderSize,
    /// How long a limit order may rest; market orders never rest.
    pub time_in_force: TimeInForce,
    /// What happens against the account's own orders.
    pub self_trade: SelfTrade,
}

/// Why the engine did not take an order; nothing has changed.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum PlaceError {
    /// No such instrument.
    #[error("no such instrument")]
    UnknownInstrument,
    /// No such account.
    #[error("no such account")]
    UnknownAccount,
    /// Price at or below zero, or between two ticks.
    #[error("price is not a positive multiple of the tick size")]
    Price,
    /// Quantity at or below zero, or between two lots.
    #[error("quantity is not a positive multiple of the lot size")]
    Quantity,
    /// A market order for quote that sells.
    #[error("a market sell is sized in base")]
    Size,
    /// The account cannot pay for it.
    #[error("needs {needed} {asset}, {available} available")]
    Balance {
        /// What is needed.
        asset: Asset,
        /// How much of it.
        needed: Decimal,
        /// How much there is.
        available: Decimal,
    },
    /// The book already holds its bound of orders.
    #[error("the book is full")]
    BookFull,
    /// Price times quantity leaves the range of amounts.
    #[error("order value out of range")]
    Range,
}

/// Why an order ended before it was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// Its owner asked.
    Requested,
    /// Immediate-or-cancel or market order: nothing more to take.
    Unfilled,
    /// Fill-or-kill: not fillable at once.
    NotFillable,
    /// Post-only: it would have taken.
    WouldTake,
    /// Self-trade prevention.
    SelfTrade,
}

/// How an order left the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Removal {
    /// All of it traded.
    Filled,
    /// Some of it did not trade.
    Cancelled(CancelReason),
}

/// One side of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// Its order.
    pub order: OrderId,
    /// Its account.
    pub account: AccountId,
    /// Fee in the asset received; positive is paid.
    pub fee: Atoms,
    /// The asset received, in which the fee is taken.
    pub fee_asset: Asset,
}

/// A trade between a resting and an arriving order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Grows with every trade.
    pub id: TradeId,
    /// What was traded.
    pub instrument: InstrumentId,
    /// The resting order's price.
    pub price: Price,
    /// Base that changed hands.
    pub qty: Qty,
    /// Price times quantity, in quote.
    pub notional: Atoms,
    /// The arriving order's side.
    pub taker_side: Side,
    /// The order that was resting.
    pub maker: Party,
    /// The order that arrived.
    pub taker: Party,
    /// When, as the caller said.
    pub at: UnixNanos,
}

/// What happened, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The order was taken; it may trade or end next.
    Accepted {
        /// The order.
        order: OrderId,
        /// Its account.
        account: AccountId,
        /// Its instrument.
        instrument: InstrumentId,
    },
    /// Two orders traded.
    Traded(Trade),
    /// The order is gone.
    Removed {
        /// The order.
        order: OrderId,
        /// Its account.
        account: AccountId,
        /// Its instrument.
        instrument: InstrumentId,
        /// How it ended.
        how: Removal,
    },
}
