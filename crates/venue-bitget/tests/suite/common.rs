//! Intents that the suites share; no suite needs all of them.

use domain::{ClientOrderId, PositionEffect, Scaled, Side, Symbol, TimeInForce, UnixNanos, VenueOrderId};
use messages::{AccountMode, MarginMode, PlaceOrder, PositionMode, SignIntent};
use venue_api::VenueCodecs;
use venue_bitget::{Environment, codecs_of, with_unified_public};

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

/// All codecs of one generation, public data too.
pub(crate) fn all_of(mode: AccountMode) -> VenueCodecs {
    let codecs = codecs_of(Environment::Production, mode);
    match mode {
        AccountMode::Classic => codecs,
        AccountMode::Unified => with_unified_public(Environment::Production, codecs),
    }
}

/// An order for a perpetual future.
pub(crate) fn futures_order(side: Side, effect: PositionEffect) -> PlaceOrder {
    match place() {
        SignIntent::Place(order) => PlaceOrder { symbol: symbol("BTCUSDT-PERP"), side, effect, ..order },
        _ => unreachable!(),
    }
}

/// What can be asked of any account, on spot and on futures.
pub(crate) fn every_intent() -> Vec<SignIntent> {
    let since = UnixNanos::from_millis(1_699_999_999_000);
    let older_than = Some(venue_id("1300000000000000001"));
    let perpetual = symbol("BTCUSDT-PERP");
    let mut list = vec![
        place(),
        SignIntent::Positions,
        SignIntent::FuturesSettings { symbol: perpetual },
        SignIntent::Bills { since, older_than: None },
        SignIntent::Bills { since, older_than },
        SignIntent::SetLeverage { symbol: perpetual, leverage: 20 },
        SignIntent::SetPositionMode { mode: PositionMode::Hedge },
        SignIntent::Balances,
        SignIntent::KeyInfo,
        SignIntent::StreamLogin,
    ];
    for symbol in [symbol("BTCUSDT"), perpetual] {
        list.extend([
            SignIntent::Cancel { symbol, id: id(), venue_order_id: None },
            SignIntent::Cancel { symbol, id: id(), venue_order_id: older_than },
            SignIntent::CancelAll { symbol },
            SignIntent::QueryOrder { symbol, id: id() },
            SignIntent::OpenOrders { symbol, older_than: None },
            SignIntent::OpenOrders { symbol, older_than },
            SignIntent::OrderHistory { symbol, since, older_than: None },
            SignIntent::OrderHistory { symbol, since, older_than },
            SignIntent::Fills { symbol, since, older_than: None },
            SignIntent::Fills { symbol, since, older_than },
        ]);
    }
    for (effect, side) in PositionEffect::ALL.into_iter().flat_map(|effect| [(effect, Side::Buy), (effect, Side::Sell)])
    {
        if !(effect.reduce_only && effect.opens(side) == Some(true)) {
            list.push(SignIntent::Place(futures_order(side, effect)));
        }
    }
    list
}

/// What a classic account alone can be asked.
pub(crate) fn classic_intents() -> [SignIntent; 2] {
    [
        SignIntent::FuturesBalances,
        SignIntent::SetMarginMode { symbol: symbol("BTCUSDT-PERP"), mode: MarginMode::Crossed },
    ]
}
