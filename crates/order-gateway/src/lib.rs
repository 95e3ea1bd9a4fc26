//! The order gateway: the last place before the wire.
//!
//! In: [`signing::Outbound`] from the order path's outbox. Out: [`messages::VenueReport`] and
//! [`messages::Control`] to the order path, [`messages::QueryAnswer`] to the key manager.
//! It also keeps the private stream of each venue account, and measures the venue's time.
//!
//! Invariants:
//! - An order's record is in `wire.log` before its first byte goes to the socket; if it cannot be written,
//!   only cancels go out.
//! - A request is sent once, as the signer made it, and not at all after its `send_by`.
//! - "Not sent" is said only with proof; any other missing answer is an unknown outcome.
//! - A cancel never overtakes, nor runs beside, its own place; cancels have connections of their own.
//! - Reports leave in the order in which the gateway saw things; while the order path is behind, the
//!   gateway waits and does not read its sockets.

mod actor;
mod answers;
mod core;
mod departure;
mod stream;
mod stream_core;
mod venue_time;
pub mod wire_file;
pub mod wire_log;

pub use crate::core::Limits;
pub use actor::{Doorbell, Gateway, GatewayError, GatewayHandle, LinkCodecs, LinkConfig, Outlets, Renewals};
pub use venue_time::{InstrumentsError, fetch_instruments, fetch_offset, fetch_prices};
pub use wire_file::{Recorder, WireLog, WireLogBounds};
pub use wire_log::{WireHistory, WireLogError, WireOrder, WireRecord};

#[cfg(test)]
mod tests;
