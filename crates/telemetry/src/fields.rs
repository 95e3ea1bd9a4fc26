//! The names of log fields, so that a search for one word finds every line about it.
//!
//! Used as `tracing::info!({ telemetry::fields::CLIENT_ORDER_ID } = %id, "order sent")` by the crates that may log.

/// The client order id; on every line about an order.
pub const CLIENT_ORDER_ID: &str = "client_order_id";
/// The venue's own id of an order.
pub const VENUE_ORDER_ID: &str = "venue_order_id";
/// The venue's id of a fill.
pub const VENUE_TRADE_ID: &str = "venue_trade_id";
/// The venue account as named in the settings.
pub const VENUE: &str = "venue";
/// The alias of the key's account.
pub const ACCOUNT: &str = "account";
/// The instrument as named in the settings.
pub const INSTRUMENT: &str = "instrument";
/// The strategy's id, which is its file name.
pub const STRATEGY: &str = "strategy";
/// Buy or sell.
pub const SIDE: &str = "side";
/// A price in quote currency, as decimal text.
pub const PRICE: &str = "price";
/// A quantity in base currency, as decimal text.
pub const QUANTITY: &str = "quantity";
/// A state, before or after.
pub const STATE: &str = "state";
/// Why, as a word of a closed set.
pub const REASON: &str = "reason";
/// Which actor speaks.
pub const ACTOR: &str = "actor";
/// A feed's or stream's channel.
pub const CHANNEL: &str = "channel";
/// A group of REST addresses.
pub const ENDPOINT: &str = "endpoint";
/// The venue's own code of a reject.
pub const VENUE_CODE: &str = "venue_code";
/// An error's text.
pub const ERROR: &str = "error";
/// How long something took, in nanoseconds.
pub const DURATION_NS: &str = "duration_ns";
/// How many attempts were made so far, from 1.
pub const ATTEMPT: &str = "attempt";
/// The number of an order event or journal record.
pub const SEQUENCE: &str = "sequence";
/// A file or directory.
pub const PATH: &str = "path";
/// Who asked, for an operator's act.
pub const OPERATOR: &str = "operator";

/// Every field name, for tests and for documentation.
pub const ALL: &[&str] = &[
    CLIENT_ORDER_ID,
    VENUE_ORDER_ID,
    VENUE_TRADE_ID,
    VENUE,
    ACCOUNT,
    INSTRUMENT,
    STRATEGY,
    SIDE,
    PRICE,
    QUANTITY,
    STATE,
    REASON,
    ACTOR,
    CHANNEL,
    ENDPOINT,
    VENUE_CODE,
    ERROR,
    DURATION_NS,
    ATTEMPT,
    SEQUENCE,
    PATH,
    OPERATOR,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn field_names_are_distinct_words() {
        let mut seen = std::collections::BTreeSet::new();
        for name in ALL {
            assert!(seen.insert(name), "{name} is declared twice");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        }
    }
}
