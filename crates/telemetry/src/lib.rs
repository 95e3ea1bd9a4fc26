//! Every metric and log field of the program, declared once.
//!
//! A metric is a function that hands out a handle: `telemetry::feed_gaps_total("bitget-main", "books")`. Handles are
//! cheap to keep (about 10 ns a use) and dear to ask for (about 100 ns), so actors ask once and keep them; threads
//! that may not pay even that count in plain integers and publish with [`metrics::Counter::absolute`].
//!
//! Invariants:
//! - no metric name is written as a string anywhere else;
//! - a label value is either a static word ([`Label`]) or a configured name, of which each label takes a bounded
//!   number ([`names`]): order ids, prices, error texts and addresses cannot become labels;
//! - every name, its kind, unit, labels and help text are in [`METRICS`], from which the scrape's HELP lines and the
//!   reference page are made.

mod buckets;
mod catalogue;
pub mod fields;
mod labels;
pub mod names;
mod reference;
mod registry;
mod tally;

pub use buckets::{HOT_BUCKETS, NETWORK_BUCKETS, ORDER_BUCKETS, buckets};
pub use catalogue::*;
pub use labels::{
    Actor, CheckResult, Hop, KeyPermission, Label, Limit, Liquidity, Outcome, TerminalState, http_code, mode_word,
};
pub use reference::reference_markdown;
pub use registry::{Kind, Metric, describe_all, metric, start_at_zero};
pub use tally::WholeUnits;
