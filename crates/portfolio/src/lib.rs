//! The portfolio: what is owned, what rests, what was traded and what came of it.
//!
//! A read model of the order path's numbered events and of nothing else: the same events give the same portfolio, so
//! it can be rebuilt from the journal at any time. It decides nothing and no order depends on it.
//!
//! Invariants: an event is counted once, by its number; every table has a bound; per asset the venue's balance minus
//! the opening balance minus what was moved from outside equals the sum of signed fills minus fees; a wallet that margins
//! futures changes by what closing brought, minus fees, plus funding.

mod core;
mod futures;
mod position;
mod publish;
mod view;

#[cfg(test)]
mod tests;

pub use core::{Counts, IdentityReport, Portfolio, Taken};
pub use position::Position;
pub use publish::PortfolioMetrics;
pub use view::{BalanceView, FillView, FuturesView, OrderView, PositionView, Snapshot, StrategyView};
