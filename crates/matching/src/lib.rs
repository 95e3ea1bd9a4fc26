//! A matching engine: price-time priority order books, accounts and fees; pure and deterministic.
//!
//! Invariants: what is deposited equals what the accounts hold plus the fees collected, to the
//! last unit and for every asset; a book is never crossed after a call; nobody trades past an
//! order with a better price, or an earlier order at the same price; no amount is rounded.
//!
//! No I/O, no clock, no randomness: the same calls give the same events.

mod amount;
mod book;
mod engine;
mod ledger;
mod order;

pub use amount::{AmountError, Atoms, FeeRate};
pub use book::{Book, Depth, Resting};
pub use engine::{Engine, FeeSchedule, Listing, ListingError};
pub use ledger::Balance;
pub use order::{
    AccountId, CancelReason, Event, NewOrder, OrderId, OrderSize, Party, PlaceError, Removal, SelfTrade, Trade, TradeId,
};
