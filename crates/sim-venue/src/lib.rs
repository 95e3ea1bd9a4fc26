//! The embedded exchange: a real HTTP and WebSocket venue on loopback, in the v2 spot dialect of Bitget.
//!
//! It verifies every signature, passphrase, timestamp, permission, address and rate, matches orders
//! by price and time, and pushes what happens; its market is a seeded population, a recording, or
//! nobody. Faults come on demand. Unmodified third-party clients can trade on it.
//!
//! ```no_run
//! # fn main() -> Result<(), sim_venue::SimError> {
//! # let clock = std::sync::Arc::new(clock::SystemClock);
//! let sim = sim_venue::SimVenue::start(sim_venue::SimConfig::default(), clock)?;
//! println!("{} {}", sim.rest, sim.key.key);
//! sim.stop();
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: it shares no code with the program's own reading of the venue, so that a
//! misreading cannot cancel itself out; it listens on loopback only; every queue and memory has a
//! bound; an answer leaves before the pushes it causes, except where a fault says otherwise.

mod accounts;
mod auth;
mod call;
mod config;
mod control;
mod control_futures;
mod control_http;
mod countdown;
mod depth;
mod desk;
mod entry;
mod error;
mod fault;
mod fault_desk;
mod fault_file;
mod feed;
mod follower;
mod futures;
#[cfg(test)]
mod futures_tests;
mod futures_view;
mod history;
mod hub;
mod intervals;
mod key_desk;
mod limits;
#[cfg(test)]
mod load_tests;
mod members;
mod mishaps;
mod mixdesk;
mod opening;
mod orders;
mod outgoing;
mod perpetuals;
mod population;
mod prints;
mod quotes;
mod records;
mod reject;
mod rest;
mod routes;
mod server;
mod session;
mod shown;
mod standing;
mod stream;
mod sub_accounts;
mod tamper;
mod telling;
mod ticket;
mod users;
mod v2;
mod v3;
mod venue;
mod wallets;
mod web;
mod web_api;
#[doc(hidden)]
pub mod workbench;

pub use auth::KeyState;
pub use config::{
    AccountConfig, AccountMode, ApiKeyMaterial, Category, Environment, InstrumentConfig, KeyConfig, Market, Permission,
    PerpetualConfig, PerpetualMarket, RateLimits, SimConfig, StreamLimits, TapeEnd,
};
pub use control::{BalanceTruth, FillTruth, KeyTruth, OrderTruth, SimControl};
pub use control_futures::{FuturesTruth, PositionTruth};
pub use error::SimError;
pub use fault::{FaultKind, FaultParameters, FaultPlan, FaultPlanError, FaultSite, FaultTime, PlannedFault};
pub use orders::OrderStatus;
pub use server::{RunningSim, SimVenue};
