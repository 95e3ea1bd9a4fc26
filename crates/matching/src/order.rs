//! Orders as the engine takes them, and what it reports about them.

use crate::{Atoms, FundingPayment, Intent, Position, PositionSide};
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
    /// The instrument is not what the order is for: a spot order on a perpetual's terms, or the reverse.
    #[error("the instrument takes no such order")]
    Kind,
    /// What the order means does not fit the account's position mode, or its side.
    #[error("the order does not fit the position mode")]
    Intent,
    /// There is no position that it could close.
    #[error("there is no position to close")]
    NoPosition,
    /// More is to be closed than other closing orders leave of the position.
    #[error("the position has only {available} left to close")]
    NotEnoughPosition {
        /// What could be closed, in base.
        available: Decimal,
    },
    /// The account has not enough margin for it.
    #[error("needs {needed} of margin, {available} available")]
    Margin {
        /// What it would hold beyond what is held.
        needed: Decimal,
        /// What there is.
        available: Decimal,
    },
    /// The perpetual has no mark price yet.
    #[error("the perpetual has no mark price")]
    NoMark,
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
    /// Reduce-only: the position that it was to shrink is smaller or gone.
    ReduceOnly,
    /// While it traded, cheaper orders went that its margin was counted on; there is none for dearer ones.
    Margin,
    /// The account is liquidated.
    Liquidation,
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
    /// Fee; positive is paid.
    pub fee: Atoms,
    /// What the fee is taken in: the asset received, or a perpetual's settle coin.
    pub fee_asset: Asset,
    /// Gain that the trade realised on a perpetual, the fee not taken off; zero on spot.
    pub pnl: Atoms,
    /// Base of the trade that closed a position; the rest opened one. Zero on spot.
    pub closed: Qty,
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
    /// An order that may only shrink a position was made smaller, because the position is.
    Cut {
        /// The order.
        order: OrderId,
        /// Its account.
        account: AccountId,
        /// Its instrument.
        instrument: InstrumentId,
        /// What remains of it.
        remaining: Qty,
    },
    /// A position has ended.
    Closed {
        /// Whose.
        account: AccountId,
        /// The perpetual.
        instrument: InstrumentId,
        /// What it was, its size now zero.
        position: Position,
    },
    /// Funding was paid or received.
    Funding(FundingPayment),
    /// The venue closes a position of an account without enough margin: a market order of the account follows.
    LiquidationOrder {
        /// The order that follows.
        order: OrderId,
        /// The account.
        account: AccountId,
        /// The perpetual.
        instrument: InstrumentId,
        /// Which of its positions.
        intent: Intent,
        /// The order's side.
        side: Side,
        /// The position's size.
        qty: Qty,
    },
    /// The insurance account took over what the book did not, at the mark price.
    TakenOver {
        /// From whom.
        account: AccountId,
        /// The perpetual.
        instrument: InstrumentId,
        /// Which way the position looked.
        side: PositionSide,
        /// How much of it.
        qty: Qty,
        /// The mark price.
        price: Price,
        /// What the account realised by it.
        pnl: Atoms,
    },
    /// The insurance account paid what a liquidated account could not.
    Covered {
        /// For whom.
        account: AccountId,
        /// How much.
        amount: Atoms,
    },
}
