//! Strategies: the trait, the kinds that are built in, and the host that runs them.
//!
//! Messages in: [`messages::MarketEvent`], [`messages::OrderEvent`], [`StartStrategy`], [`StopStrategy`].
//! Messages out: commands through a [`CommandPort`].
//!
//! Invariants:
//! - a strategy sees prices of valid books only, and its own orders only;
//! - it rebuilds itself from [`messages::Restored`] alone;
//! - a spot strategy sells only what it bought;
//! - what was refused is asked for again after a pause that grows, never at once;
//! - a strategy that panics stops alone, and what it had resting is cancelled.

mod actor;
mod api;
mod host;
mod kinds;
mod placer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use actor::{StartStrategy, StopStrategy, StrategyActor, market_policy};
pub use api::{Commands, Context, Strategy};
pub use host::{CommandPort, Hosted, StrategyHost, StrategyStatus};
pub use kinds::{Grid, GridLevels, GridParams, Kind, KindSetup, MakerParams, MarketMaker, kind, kinds};
