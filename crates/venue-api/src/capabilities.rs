//! What a venue can do, as data.

use domain::TimeInForce;
use std::time::Duration;

/// What a venue can do; printed by `steadfast venues`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind as written in settings, such as `bitget`.
    pub kind: &'static str,
    /// For people.
    pub title: &'static str,
    /// The time-in-force values that it takes on limit orders.
    pub time_in_force: &'static [TimeInForce],
    /// Whether the venue has a dead-man switch for this account mode.
    pub dead_man_switch: bool,
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
