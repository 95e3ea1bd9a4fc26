//! The order path: one thread that owns every order's state, exposure and the request budgets.
//!
//! Messages in: [`messages::OrderIntent`], [`messages::VenueReport`], [`messages::Control`],
//! [`messages::SignQuery`]. Out: numbered [`messages::OrderEvent`]s and [`signing::Outbound`] requests.
//! Invariants: a new order is signed only from a `CheckedOrder`; a fill is counted once; an unknown order
//! is left only by the venue's evidence; nothing here waits, except for the signer, at most 250 ms.

mod actor;
mod asking;
mod budget;
mod cancels;
mod control;
mod core;
mod reports;
mod restore;
mod table;
mod types;

pub use crate::actor::*;
pub use crate::core::*;
pub use restore::*;
pub use types::*;
