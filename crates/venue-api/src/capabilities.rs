//! What a venue can do, as data.

use domain::{Market, TimeInForce};
use messages::AccountMode;
use std::time::Duration;

/// A kind of order that this program places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderType {
    /// With a limit price.
    Limit,
}

impl OrderType {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
        }
    }
}

/// Whether a venue cancels what rests when it hears nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadManSwitch {
    /// It has none; this program's own watch stands in.
    None,
    /// It has one that is set by a request; this program does not set it yet.
    Unused,
    /// It has one, and this program sets it.
    Armed,
}

impl DeadManSwitch {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unused => "unused",
            Self::Armed => "armed",
        }
    }
}

/// Whether orders can be placed over a private stream, which makes logging in to it a right to trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOrders {
    /// They cannot.
    None,
    /// Only after the venue was asked for it.
    OnRequest,
    /// Every key that may trade can.
    Open,
}

impl StreamOrders {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OnRequest => "on request",
            Self::Open => "open",
        }
    }
}

/// What a venue can do with an account of one mode; printed by `steadfast venues`. A venue whose accounts differ has one
/// of these for each mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind as written in settings, such as `bitget`.
    pub kind: &'static str,
    /// For people.
    pub title: &'static str,
    /// The account mode that this is about.
    pub account_mode: AccountMode,
    /// What is traded.
    pub products: &'static [Market],
    /// The kinds of orders that are placed here.
    pub order_types: &'static [OrderType],
    /// The time-in-force values that it takes on limit orders.
    pub time_in_force: &'static [TimeInForce],
    /// Whether the venue has a dead-man switch for this account mode.
    pub dead_man_switch: DeadManSwitch,
    /// Whether orders can be placed over the private stream (this program never does).
    pub stream_orders: StreamOrders,
    /// Public channels that can be read, in the venue's words.
    pub public_channels: &'static [&'static str],
    /// Private channels that are followed, in the venue's words.
    pub private_channels: &'static [&'static str],
    /// Whether a key's rights can be read from the venue.
    pub key_introspection: bool,
    /// Whether it has a demo environment.
    pub demo_environment: bool,
    /// Whether client order ids are unique only among open orders.
    pub client_id_unique_among_open_only: bool,
    /// Half the accepted difference of a request's time stamp to venue time.
    pub timestamp_window: Duration,
    /// Requests a second for each endpoint group, from its documents.
    pub budgets: &'static [(messages::EndpointGroup, u32)],
    /// Requests a minute and address over all endpoints; `None`: not documented.
    pub requests_per_minute: Option<u32>,
    /// Hosts of each environment.
    pub hosts: &'static [EnvironmentHosts],
}

/// Where a venue listens in one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvironmentHosts {
    /// `production` or `demo`.
    pub environment: &'static str,
    /// REST base URL, without a trailing slash.
    pub rest: &'static str,
    /// Public stream URL.
    pub ws_public: &'static str,
    /// Private stream URL.
    pub ws_private: &'static str,
}
