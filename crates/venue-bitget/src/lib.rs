//! Bitget as a pure codec: no socket, no secret, no clock. Spot and perpetual futures in USDT, of classic accounts (API
//! v2) and unified accounts (API v3).
//!
//! Facts, with their sources in the venue sheet (official pages, two maintained clients, live
//! observations; the newest copies are of 2026-10):
//! - REST `https://api.bitget.com`; streams `wss://ws.bitget.com/{v2,v3}/ws/{public,private}`; demo has
//!   the same REST host with the header `paptrading: 1` and the stream host `wspap.bitget.com`.
//! - An account is classic or unified; a call of the other generation is answered with 40084 or 40085, before the
//!   signature is looked at ([`account_mode_said_by`]).
//! - Time stamps are accepted within 30 s around venue time; there is no window header.
//! - Each endpoint has a budget of its own per account; 6000 requests a minute and address over all.
//! - Streams: text `ping` at least every 30 s, 10 messages a second, frames to 4096 bytes, forced
//!   disconnect after 24 h.
//! - A client order id is unique among open orders only; it is no idempotency key.
//! - No dead-man switch on classic accounts, and one by request on unified ones; WebSocket order entry only after a
//!   request to the venue. Neither is used here.
//! - Spot and futures have the same names; here a perpetual future ends with `-PERP` (`symbols.rs`).
//! - Fees are negative when paid in v2, positive in v3; here a paid fee is positive.
//!
//! Invariants: decoders never panic on any input; decimals are exact or an error; an answer that
//! cannot be read is never taken for success or for "not found".

mod bills;
mod book_rows;
mod envelope;
mod error_table;
mod errors;
mod fast;
mod frame;
mod instruments;
mod keys;
mod loose;
mod market_rows;
mod positions;
mod scalars;
mod stream;
mod switch;
mod symbols;
mod v2;
mod v3;
mod words;
mod write;

pub use error_table::ErrorCode;
pub use errors::{account_mode_said_by, error_codes, explain};
pub use messages::AccountMode;
pub use write::signed_text;

use crate::envelope::{members, public, unreadable};
use crate::loose::Loose;
use domain::{Market, TimeInForce, UnixNanos};
use messages::EndpointGroup;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use venue_api::{
    Capabilities, DeadManSwitch, EnvironmentHosts, ModeSwitch, OrderType, PublicAnswerError, StreamOrders, VenueCodecs,
};

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

const CLASSIC: Capabilities = Capabilities {
    kind: "bitget",
    title: "Bitget spot and futures (classic account, API v2)",
    account_mode: AccountMode::Classic,
    products: &[Market::Spot, Market::UsdtFutures],
    order_types: &[OrderType::Limit],
    time_in_force: &[TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok, TimeInForce::PostOnly],
    dead_man_switch: DeadManSwitch::None,
    stream_orders: StreamOrders::OnRequest,
    public_channels: &["books", "books1", "books5", "books15", "trade", "ticker", "candle*"],
    private_channels: &["orders", "fill", "account", "positions"],
    key_introspection: true,
    demo_environment: true,
    client_id_unique_among_open_only: true,
    // "30 s around server time": half of it to each side is safe under either reading.
    timestamp_window: Duration::from_secs(15),
    // Spot and futures have budgets of their own at the venue; the smaller of the two is used for both (sheet sections
    // 6.2 to 6.5).
    budgets: &[
        (EndpointGroup::Place, 10),
        // Cancel-order has 10/s and cancel-symbol-order 5/s, in budgets of their own at the venue.
        (EndpointGroup::Cancel, 10),
        // Spot 20/s, futures 10/s.
        (EndpointGroup::OrderQuery, 10),
        (EndpointGroup::Fills, 10),
        // Balances, account and bills 10/s, positions 5/s.
        (EndpointGroup::Account, 5),
        (EndpointGroup::Settings, 5),
        (EndpointGroup::KeyInfo, 1),
        (EndpointGroup::Stream, 1),
    ],
    requests_per_minute: Some(6_000),
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

const UNIFIED: Capabilities = Capabilities {
    title: "Bitget spot and futures (unified account, API v3)",
    account_mode: AccountMode::Unified,
    dead_man_switch: DeadManSwitch::Unused,
    stream_orders: StreamOrders::Open,
    public_channels: &["books", "books1", "books5", "books50", "publicTrade", "ticker", "kline"],
    private_channels: &["order", "fill", "account", "position"],
    // Sheet section 9.
    budgets: &[
        (EndpointGroup::Place, 10),
        // Cancel-order has 10/s and cancel-symbol-order 5/s, in budgets of their own at the venue.
        (EndpointGroup::Cancel, 10),
        (EndpointGroup::OrderQuery, 20),
        (EndpointGroup::Fills, 20),
        (EndpointGroup::Account, 20),
        (EndpointGroup::Settings, 10),
        (EndpointGroup::KeyInfo, 5),
        (EndpointGroup::Stream, 1),
    ],
    hosts: &[
        EnvironmentHosts {
            environment: "production",
            rest: "https://api.bitget.com",
            ws_public: "wss://ws.bitget.com/v3/ws/public",
            ws_private: "wss://ws.bitget.com/v3/ws/private",
        },
        EnvironmentHosts {
            environment: "demo",
            rest: "https://api.bitget.com",
            ws_public: "wss://wspap.bitget.com/v3/ws/public",
            ws_private: "wss://wspap.bitget.com/v3/ws/private",
        },
    ],
    ..CLASSIC
};

/// All codecs of an account in `environment`. Until somebody turns their switch they speak to a classic account.
///
/// Public data is read from v2 whatever the account: it serves everybody, and its books have checksums
/// ([`with_unified_public`] reads it from v3). Budgets are those of v2, which are nowhere larger than those of v3.
#[must_use]
pub fn codecs(environment: Environment) -> VenueCodecs {
    codecs_of(environment, AccountMode::Classic)
}

/// All codecs of an account whose mode is known; the switch can still be turned.
#[must_use]
pub fn codecs_of(environment: Environment, mode: AccountMode) -> VenueCodecs {
    let mode = ModeSwitch::new(mode);
    let bitget = Arc::new(switch::Bitget { environment, mode: mode.clone() });
    VenueCodecs {
        capabilities: CLASSIC,
        signing: Arc::clone(&bitget) as _,
        rest: Arc::clone(&bitget) as _,
        public: Arc::new(v2::Classic { environment }),
        feed: Arc::new(v2::Classic { environment }),
        private: bitget as _,
        mode,
    }
}

/// The same codecs with public data of v3: its books have sequences of 64 bits, a depth of fifty, and no checksum.
#[must_use]
pub fn with_unified_public(environment: Environment, codecs: VenueCodecs) -> VenueCodecs {
    let unified = Arc::new(v3::Unified { environment });
    let capabilities = Capabilities { hosts: UNIFIED.hosts, ..codecs.capabilities };
    VenueCodecs { capabilities, public: Arc::clone(&unified) as _, feed: unified as _, ..codecs }
}

/// What the venue can do with an account of this mode.
#[must_use]
pub const fn capabilities(mode: AccountMode) -> Capabilities {
    match mode {
        AccountMode::Classic => CLASSIC,
        AccountMode::Unified => UNIFIED,
    }
}

/// Reads the answer of `GET /api/v2/public/time`.
fn server_time(status: u16, body: &[u8]) -> Result<UnixNanos, PublicAnswerError> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Time<'a> {
        #[serde(borrow)]
        server_time: Loose<'a>,
    }
    let time: Time<'_> = members(public(status, body)?, "time").map_err(|_| unreadable("no server time"))?;
    time.server_time.millis().filter(|time| time.0 > 0).ok_or_else(|| unreadable("no server time"))
}
