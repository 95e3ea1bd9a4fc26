//! Intents that the suites share; no suite needs all of them.

use domain::{ClientOrderId, Scaled, Side, Symbol, TimeInForce, UnixNanos, VenueOrderId};
use messages::{PlaceOrder, SignIntent};

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::from(text).unwrap()
}

pub(crate) fn venue_id(text: &str) -> VenueOrderId {
    VenueOrderId::from(text).unwrap()
}

pub(crate) fn id() -> ClientOrderId {
    "s00700000g5s2mrkg1".parse().unwrap()
}

pub(crate) fn number(text: &str) -> Scaled {
    Scaled::parse(text.as_bytes()).unwrap()
}

pub(crate) fn place() -> SignIntent {
    SignIntent::Place(PlaceOrder {
        id: id(),
        symbol: symbol("BTCUSDT"),
        side: Side::Buy,
        price: number("60000.00"),
        qty: number("0.001000"),
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    })
}

pub(crate) fn cancel() -> SignIntent {
    SignIntent::Cancel { symbol: symbol("BTCUSDT"), id: id(), venue_order_id: None }
}

pub(crate) fn every_intent() -> Vec<SignIntent> {
    let symbol = symbol("BTCUSDT");
    let since = UnixNanos::from_millis(1_699_999_999_000);
    let older_than = Some(venue_id("1300000000000000001"));
    vec![
        place(),
        cancel(),
        SignIntent::Cancel { symbol, id: id(), venue_order_id: older_than },
        SignIntent::CancelAll { symbol },
        SignIntent::QueryOrder { symbol, id: id() },
        SignIntent::OpenOrders { symbol, older_than: None },
        SignIntent::OpenOrders { symbol, older_than },
        SignIntent::OrderHistory { symbol, since, older_than: None },
        SignIntent::OrderHistory { symbol, since, older_than },
        SignIntent::Fills { symbol, since, older_than: None },
        SignIntent::Fills { symbol, since, older_than },
        SignIntent::Balances,
        SignIntent::KeyInfo,
        SignIntent::StreamLogin,
    ]
}
