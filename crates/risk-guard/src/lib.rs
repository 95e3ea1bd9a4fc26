//! The risk guard: the checks that every order passes before it is signed, and the halt that survives a restart.
//!
//! Messages in: [`CheckOrder`], by call from the order path. Messages out: [`CheckedOrder`] or a reason.
//!
//! Invariants:
//! - a [`CheckedOrder`] can be made by [`RiskGuard::check`] alone;
//! - open and unknown orders count at their worst: no set of fills takes a position beyond its limit;
//! - a limit that is not set has its safe default, never none; while running, limits only become tighter;
//! - a check neither allocates, locks, logs nor asks for the time;
//! - what cannot be computed exactly is refused.

mod actor;
mod core;
mod exposure;
mod fixed;
mod halt_flag;
mod limits;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use actor::{CheckOrder, RiskGuardActor};
pub use core::{CheckedOrder, Gate, RiskGuard, UsedRatios};
pub use exposure::{Exposure, Position};
pub use halt_flag::{HaltFlag, HaltFlagError, HaltRecord};
pub use limits::{LimitError, Limits, LoosenRefused, SelfTrade, StrategyLimits};
