//! A matching engine: price-time priority order books, accounts, fees and perpetual futures; pure and deterministic.
//!
//! Invariants: what is deposited equals what the accounts hold plus the fees collected, to the
//! last unit and for every asset; a book is never crossed after a call; nobody trades past an
//! order with a better price, or an earlier order at the same price; no amount is rounded, except
//! the part of a position's cost that a partial close takes, which stays within the position.
//! Perpetuals: positions sum to zero, funding makes no money, an order that may only reduce never
//! opens, and none opens more than there is margin for (see `futures.rs`).
//!
//! No I/O, no clock, no randomness: the same calls give the same events.

mod amount;
mod book;
mod engine;
mod futures;
mod ledger;
mod liquidation;
mod margin;
mod order;
mod perpetual;

pub use amount::{AmountError, Atoms, FeeRate};
pub use book::{Book, Depth, Resting};
pub use engine::{Engine, FeeSchedule, Listing, ListingError};
pub use ledger::Balance;
pub use order::{
    AccountId, CancelReason, Event, NewOrder, OrderId, OrderSize, Party, PlaceError, Removal, SelfTrade, Trade, TradeId,
};
pub use perpetual::{
    Collateral, FundingPayment, FuturesError, Intent, Leg, MarginState, PerpetualTerms, Position, PositionMode,
    PositionSide,
};
