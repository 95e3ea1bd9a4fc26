//! Bitget v2 spot (classic account) as a pure codec: no socket, no secret, no clock.
//!
//! Facts, with their sources in the venue sheet (official pages, two maintained clients, live
//! observations; the newest copies are of 2026-10):
//! - REST `https://api.bitget.com`; streams `wss://ws.bitget.com/v2/ws/{public,private}`; demo has
//!   the same REST host with the header `paptrading: 1` and the stream host `wspap.bitget.com`.
//! - Time stamps are accepted within 30 s around venue time; there is no window header.
//! - Each endpoint has a budget of its own per account: place and cancel 10/s, order queries 20/s,
//!   fills and balances 10/s, account info 1/s; 6000 requests a minute and address over all.
//! - Streams: text `ping` at least every 30 s, 10 messages a second, frames to 4096 bytes, forced
//!   disconnect after 24 h.
//! - A client order id is unique among open orders only; it is no idempotency key.
//! - No dead-man switch on classic accounts; WebSocket order entry only after a request to the
//!   venue, and not used here.
//!
//! Invariants: decoders never panic on any input; decimals are exact or an error; an answer that
//! cannot be read is never taken for success or for "not found".

mod errors;
mod fast;
mod keys;
mod loose;
mod private;
mod rest;
mod rows;
mod sign;
mod stream;
mod symbols;

pub use sign::signed_text;

use domain::TimeInForce;
use messages::EndpointGroup;
use std::sync::Arc;
use std::time::Duration;
use venue_api::{Capabilities, EnvironmentHosts, VenueCodecs};

/// How often a sign of life is sent. The documents ask for 30 s; the server drops after 30 s in one
/// copy and after 2 min in another, so there is room for one lost ping.
const PING_EVERY: Duration = Duration::from_secs(15);

/// Where the account lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Environment {
    /// Real money.
    #[default]
    Production,
    /// Paper money at the venue: demo keys, the header `paptrading: 1`, other stream hosts.
    Demo,
}

/// The codec of one account.
#[derive(Debug, Clone, Copy)]
struct Bitget {
    environment: Environment,
}

const CAPABILITIES: Capabilities = Capabilities {
    kind: "bitget",
    title: "Bitget spot (classic account, API v2)",
    time_in_force: &[TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok, TimeInForce::PostOnly],
    dead_man_switch: false,
    key_introspection: true,
    demo_environment: true,
    client_id_unique_among_open_only: true,
    // "30 s around server time": half of it to each side is safe under either reading.
    timestamp_window: Duration::from_secs(15),
    budgets: &[
        (EndpointGroup::Place, 10),
        // Cancel-order has 10/s and cancel-symbol-order 5/s, in budgets of their own at the venue.
        (EndpointGroup::Cancel, 10),
        (EndpointGroup::OrderQuery, 20),
        (EndpointGroup::Fills, 10),
        (EndpointGroup::Account, 10),
        (EndpointGroup::KeyInfo, 1),
        (EndpointGroup::Stream, 1),
    ],
    hosts: &[
        EnvironmentHosts {
            environment: "production",
            rest: "https://api.bitget.com",
            ws_public: "wss://ws.bitget.com/v2/ws/public",
            ws_private: "wss://ws.bitget.com/v2/ws/private",
        },
        EnvironmentHosts {
            environment: "demo",
            rest: "https://api.bitget.com",
            ws_public: "wss://wspap.bitget.com/v2/ws/public",
            ws_private: "wss://wspap.bitget.com/v2/ws/private",
        },
    ],
};

/// All codecs of an account in `environment`.
#[must_use]
pub fn codecs(environment: Environment) -> VenueCodecs {
    let bitget = Arc::new(Bitget { environment });
    VenueCodecs {
        capabilities: CAPABILITIES,
        signing: Arc::clone(&bitget) as _,
        rest: Arc::clone(&bitget) as _,
        public: Arc::clone(&bitget) as _,
        feed: Arc::clone(&bitget) as _,
        private: bitget as _,
        mode: venue_api::ModeSwitch::default(),
    }
}
