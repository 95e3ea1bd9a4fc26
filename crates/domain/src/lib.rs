//! The words of the trade: instruments, prices, quantities, money, orders and
//! their states, fills, books and time.
//!
//! Invariants: an on-grid price or quantity can only be made from an
//! [`InstrumentVersion`]; money arithmetic is checked; a terminal order state
//! never reopens; no float takes part in any amount of money.

mod book;
mod fill;
mod ids;
mod instrument;
mod money;
mod number;
mod order;
mod time;

pub use book::*;
pub use fill::*;
pub use ids::*;
pub use instrument::*;
pub use money::*;
pub use number::*;
pub use order::*;
pub use time::*;
