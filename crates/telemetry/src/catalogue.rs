//! The metrics. The doc comment is the HELP text; the arguments are the labels.

use crate::buckets::{HOT_BUCKETS, NETWORK_BUCKETS, ORDER_BUCKETS};
use crate::labels::{label_name, label_type, label_value};
use crate::registry::{Kind, Metric, counters, gauges, histograms};

counters! {
    /// Attempts to reload the settings, by result
    config_reloads_total(result);
    /// Restarts made by the supervisor
    actor_restarts_total(actor, reason);
    /// Messages conflated or refused for lack of room
    messages_dropped_total(actor, kind);
    /// Frames decoded
    feed_messages_total(venue, channel);
    /// Bytes received from the venue's streams
    feed_bytes_total(venue);
    /// Reconnections of a stream
    feed_reconnects_total(venue, reason);
    /// Frames that did not parse
    feed_decode_errors_total(venue, channel);
    /// Breaks of the sequence or checksum; each discards a book
    feed_gaps_total(venue, channel);
    /// Intents produced by a strategy
    strategy_signals_total(strategy, kind);
    /// Errors of a strategy, and its own limits hit
    strategy_errors_total(strategy, reason);
    /// Intents accepted or refused by the risk guard, by rule
    risk_checks_total(result, reason);
    /// Halts, by reason
    kill_switch_activations_total(reason);
    /// Signatures made or refused
    signer_requests_total(account, result);
    /// Refusals by the signer's own policy
    signer_refused_total(account, reason);
    /// Key policy violations found: withdraw granted, address unbound, overdue
    key_policy_violations_total(account, rule);
    /// Failed attempts to open the vault
    vault_unlock_failures_total();
    /// Orders sent
    orders_submitted_total(venue, account, strategy, side, order_type);
    /// Orders that ended, by final state
    orders_terminal_total(venue, strategy, state);
    /// Orders rejected by the venue, by class
    orders_rejected_total(venue, reason);
    /// Fills
    fills_total(venue, strategy, side, liquidity);
    /// Turnover in whole units of the quote currency, the rest carried
    traded_notional_quote_total(venue, strategy, quote);
    /// Fees paid in whole units of the quote currency, the rest carried
    fees_quote_total(venue, strategy, quote);
    /// REST calls, by endpoint group and HTTP status
    rest_requests_total(venue, endpoint, code);
    /// Calls delayed by our own rate limit
    rate_limit_waits_total(venue, endpoint);
    /// Reconciliation runs, by result
    reconciliation_runs_total(venue, result);
    /// Differences between venue and own records found by reconciliation
    reconciliation_differences_total(venue, kind);
    /// Records written to the journal
    journal_appends_total();
    /// Messages to people, sent or failed
    notifications_total(channel, result);
    /// Requests to the control API
    http_requests_total(method, route, code);
    /// Connections to the control API that were not let in: too many of one address, or no handshake
    http_connections_refused_total(reason);
    /// Failed log-ins, tokens, scopes and one-time codes, and requests under another name or from another site
    auth_failures_total(kind);
}

gauges! {
    /// Constant 1, labelled with what this program was built from
    build_info(version, revision, rustc, features);
    /// 1 for the current mode
    mode_info(mode);
    /// How the signer is kept apart, as really reached
    signer_isolation_info(level, landlock, seccomp, memory);
    /// 1 when orders may be sent
    ready();
    /// 1 for each reason that blocks readiness
    not_ready_reason(reason);
    /// 1 if the last reload of the settings was applied
    config_last_reload_successful();
    /// Time of the last applied reload, seconds since 1970
    config_last_reload_success_timestamp_seconds();
    /// 1 while the actor runs
    actor_up(actor);
    /// Messages waiting in a mailbox
    mailbox_depth(actor);
    /// Bound of a mailbox
    mailbox_capacity(actor);
    /// 1 while subscribed
    feed_connected(venue, channel);
    /// Time of the last message, seconds since 1970
    feed_last_message_timestamp_seconds(venue, channel);
    /// Spread over mid
    book_spread_ratio(venue, instrument);
    /// Local clock minus venue clock
    clock_skew_seconds(venue);
    /// Uncertainty of the last clock measurement
    clock_uncertainty_seconds(venue);
    /// Time of the last clock measurement, seconds since 1970
    clock_sync_timestamp_seconds(venue);
    /// 1 while the strategy is enabled and running
    strategy_up(strategy);
    /// Net profit and loss since the start of the UTC day
    strategy_pnl_quote(strategy, quote);
    /// Use of a limit: used over allowed, 0 to 1
    risk_limit_used_ratio(limit, account);
    /// 1 while halted
    kill_switch_active();
    /// Requests waiting at the signer
    signer_queue_depth();
    /// 1 for the current status of a key
    key_status(account, status);
    /// When the key was linked, seconds since 1970
    key_created_timestamp_seconds(account);
    /// When the key should be rotated, seconds since 1970
    key_rotation_due_timestamp_seconds(account);
    /// When the key is used no longer: its end at the venue, or 180 days after it was linked, seconds since 1970
    key_end_timestamp_seconds(account);
    /// Last successful verification of a key, seconds since 1970
    key_last_verified_timestamp_seconds(account);
    /// 1 if the permission is granted at the venue
    key_permission(account, permission);
    /// 1 while the vault is open
    vault_unlocked();
    /// Number of the last audit record
    audit_seq();
    /// Open orders
    orders_open(venue, account);
    /// Orders sent whose outcome is not known
    orders_unknown(venue);
    /// Share of the rate limit that is left, 0 to 1
    rate_limit_remaining_ratio(venue, endpoint);
    /// Signed size of a position, in base currency
    position_base(account, instrument);
    /// Signed notional of a position at mark price
    position_notional_quote(account, instrument);
    /// Distance of the nearest liquidation price from the mid, as a fraction of the mid
    position_liquidation_distance_ratio(account, instrument);
    /// Funding received on a perpetual future, in quote currency; negative: paid
    funding_quote(account, instrument);
    /// Equity
    equity_quote(account, quote);
    /// Loss from the high-water mark, 0 to 1
    drawdown_ratio(account);
    /// Time of the last clean reconciliation, seconds since 1970
    reconciliation_last_success_timestamp_seconds(venue);
    /// Size of the journal on disk
    journal_bytes();
    /// 1 if the last check of the hash chain passed
    journal_chain_ok();
    /// Free space of the data directory
    disk_free_bytes();
}

histograms! {
    /// Time in a handler
    handler_duration_seconds(actor, kind) in HOT_BUCKETS;
    /// Receive time minus the venue's time of an event
    feed_exchange_lag_seconds(venue) in NETWORK_BUCKETS;
    /// Time of a strategy for one event
    strategy_event_duration_seconds(strategy) in HOT_BUCKETS;
    /// Time in the risk guard
    risk_check_duration_seconds() in HOT_BUCKETS;
    /// Time to sign
    signer_duration_seconds() in HOT_BUCKETS;
    /// Time of one hop of an order
    order_hop_duration_seconds(hop) in ORDER_BUCKETS;
    /// From the market frame received to the order's bytes written
    order_tick_to_wire_duration_seconds(venue) in HOT_BUCKETS;
    /// Time of a REST call
    rest_request_duration_seconds(venue, endpoint) in NETWORK_BUCKETS;
    /// Time of a durable write of the journal
    journal_fsync_duration_seconds() in NETWORK_BUCKETS;
    /// Time of a request to the control API
    http_request_duration_seconds(route) in NETWORK_BUCKETS;
}

const METRIC_COUNT: usize = COUNTERS.len() + GAUGES.len() + HISTOGRAMS.len();

/// Every metric: counters, gauges, histograms.
pub static METRICS: &[Metric] = &all();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where an index out of range is a compile error"
)]
const fn all() -> [Metric; METRIC_COUNT] {
    let mut table = [COUNTERS[0]; METRIC_COUNT];
    let mut place = 0;
    let groups = [COUNTERS, GAUGES, HISTOGRAMS];
    let mut group = 0;
    while group < groups.len() {
        let mut row = 0;
        while row < groups[group].len() {
            table[place] = groups[group][row];
            place += 1;
            row += 1;
        }
        group += 1;
    }
    table
}
