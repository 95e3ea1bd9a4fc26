//! What Bitget's requests may look like: one endpoint for each verb, market and generation of the interface, and the
//! fields that it must have. Written from the venue sheet (sections 2, 6 and 9), not from the codec.
//!
//! Invariant: there is no endpoint here that withdraws, transfers or manages keys.

use crate::self_check::{Field, Wanted, Wants};
use domain::{Market, PositionSide, Side, TimeInForce};
use messages::{MarginMode, PlaceOrder, PositionMode, SignIntent, Verb};
use venue_api::Method;

/// Which generation of the interface a request is of. An account answers to one of them only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Classic accounts.
    Two,
    /// Unified accounts.
    Three,
}

impl Generation {
    /// The generation that a path belongs to.
    pub(crate) fn of(target: &str) -> Option<Self> {
        if target.starts_with("/api/v2/") {
            Some(Self::Two)
        } else if target.starts_with("/api/v3/") {
            Some(Self::Three)
        } else {
            None
        }
    }
}

/// The market and the venue's name of an instrument.
fn split(symbol: &str) -> (Market, &str) {
    match symbol.strip_suffix("-PERP") {
        Some(name) => (Market::UsdtFutures, name),
        None => (Market::Spot, symbol),
    }
}

/// The instrument that an intent is about.
fn instrument(intent: &SignIntent) -> Option<&str> {
    match intent {
        SignIntent::Place(order) => Some(order.symbol.as_str()),
        SignIntent::Cancel { symbol, .. }
        | SignIntent::CancelAll { symbol }
        | SignIntent::QueryOrder { symbol, .. }
        | SignIntent::OpenOrders { symbol, .. }
        | SignIntent::OrderHistory { symbol, .. }
        | SignIntent::Fills { symbol, .. }
        | SignIntent::FuturesSettings { symbol }
        | SignIntent::SetLeverage { symbol, .. }
        | SignIntent::SetMarginMode { symbol, .. } => Some(symbol.as_str()),
        _ => None,
    }
}

/// The one endpoint of an intent; `None`: nothing of it is signed.
pub(crate) fn endpoint(generation: Generation, intent: &SignIntent) -> Option<(Method, &'static str)> {
    let futures = instrument(intent).is_some_and(|symbol| split(symbol).0 == Market::UsdtFutures);
    let (get, post) = (Method::Get, Method::Post);
    Some(match (generation, intent.verb(), futures) {
        (Generation::Two, Verb::Place, false) => (post, "/api/v2/spot/trade/place-order"),
        (Generation::Two, Verb::Place, true) => (post, "/api/v2/mix/order/place-order"),
        (Generation::Two, Verb::Cancel, false) => (post, "/api/v2/spot/trade/cancel-order"),
        (Generation::Two, Verb::Cancel, true) => (post, "/api/v2/mix/order/cancel-order"),
        (Generation::Two, Verb::CancelAll, false) => (post, "/api/v2/spot/trade/cancel-symbol-order"),
        (Generation::Two, Verb::CancelAll, true) => (post, "/api/v2/mix/order/cancel-all-orders"),
        (Generation::Two, Verb::QueryOrder, false) => (get, "/api/v2/spot/trade/orderInfo"),
        (Generation::Two, Verb::QueryOrder, true) => (get, "/api/v2/mix/order/detail"),
        (Generation::Two, Verb::OpenOrders, false) => (get, "/api/v2/spot/trade/unfilled-orders"),
        (Generation::Two, Verb::OpenOrders, true) => (get, "/api/v2/mix/order/orders-pending"),
        (Generation::Two, Verb::OrderHistory, false) => (get, "/api/v2/spot/trade/history-orders"),
        (Generation::Two, Verb::OrderHistory, true) => (get, "/api/v2/mix/order/orders-history"),
        (Generation::Two, Verb::Fills, false) => (get, "/api/v2/spot/trade/fills"),
        (Generation::Two, Verb::Fills, true) => (get, "/api/v2/mix/order/fills"),
        (Generation::Two, Verb::Balances, _) => (get, "/api/v2/spot/account/assets"),
        (Generation::Two, Verb::FuturesBalances, _) => (get, "/api/v2/mix/account/accounts"),
        (Generation::Two, Verb::KeyInfo, _) => (get, "/api/v2/spot/account/info"),
        (Generation::Two, Verb::Positions, _) => (get, "/api/v2/mix/position/all-position"),
        (Generation::Two, Verb::Bills, _) => (get, "/api/v2/mix/account/bill"),
        (Generation::Two, Verb::FuturesSettings, true) => (get, "/api/v2/mix/account/account"),
        (Generation::Two, Verb::SetLeverage, true) => (post, "/api/v2/mix/account/set-leverage"),
        (Generation::Two, Verb::SetMarginMode, true) => (post, "/api/v2/mix/account/set-margin-mode"),
        (Generation::Two, Verb::SetPositionMode, _) => (post, "/api/v2/mix/account/set-position-mode"),
        (Generation::Three, Verb::Place, _) => (post, "/api/v3/trade/place-order"),
        (Generation::Three, Verb::Cancel, _) => (post, "/api/v3/trade/cancel-order"),
        (Generation::Three, Verb::CancelAll, _) => (post, "/api/v3/trade/cancel-symbol-order"),
        (Generation::Three, Verb::QueryOrder, _) => (get, "/api/v3/trade/order-info"),
        (Generation::Three, Verb::OpenOrders, _) => (get, "/api/v3/trade/unfilled-orders"),
        (Generation::Three, Verb::OrderHistory, _) => (get, "/api/v3/trade/history-orders"),
        (Generation::Three, Verb::Fills, _) => (get, "/api/v3/trade/fills"),
        (Generation::Three, Verb::Balances, _) => (get, "/api/v3/account/assets"),
        (Generation::Three, Verb::KeyInfo, _) => (get, "/api/v3/account/info"),
        (Generation::Three, Verb::Positions, _) => (get, "/api/v3/position/current-position"),
        (Generation::Three, Verb::Bills, _) => (get, "/api/v3/account/financial-records"),
        (Generation::Three, Verb::FuturesSettings, true) => (get, "/api/v3/account/settings"),
        (Generation::Three, Verb::SetLeverage, true) => (post, "/api/v3/account/set-leverage"),
        (Generation::Three, Verb::SetPositionMode, _) => (post, "/api/v3/account/set-hold-mode"),
        _ => return None,
    })
}

/// The fields that the request of an intent must have, and no other; `None`: nothing of it is signed.
pub(crate) fn wanted(generation: Generation, intent: &SignIntent) -> Option<Wants<'_>> {
    match generation {
        Generation::Two => wanted_of_two(intent),
        Generation::Three => wanted_of_three(intent),
    }
}

const fn text<'a>(name: &'static str, value: &'a str) -> Field<'a> {
    (name, Wanted::Text(value))
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

const fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::Gtc => "gtc",
        TimeInForce::Ioc => "ioc",
        TimeInForce::Fok => "fok",
        TimeInForce::PostOnly => "post_only",
    }
}

const fn position_mode(mode: PositionMode) -> &'static str {
    match mode {
        PositionMode::OneWay => "one_way_mode",
        PositionMode::Hedge => "hedge_mode",
    }
}

const fn category(market: Market) -> &'static str {
    match market {
        Market::Spot => "SPOT",
        Market::UsdtFutures => "USDT-FUTURES",
    }
}

/// The most rows that one page has.
const PAGE: Field<'static> = text("limit", "100");
const PRODUCT: Field<'static> = text("productType", "USDT-FUTURES");
const MARGIN_COIN: Field<'static> = text("marginCoin", "USDT");

/// Whether an order with this effect may be placed on this market: spot has no positions, and what would open a position
/// cannot be allowed to reduce only.
fn effect_is_sound(order: &PlaceOrder, market: Market) -> bool {
    let effect = order.effect;
    match market {
        Market::Spot => effect.side == PositionSide::Net && !effect.reduce_only,
        Market::UsdtFutures => {
            let opens = matches!(
                (effect.side, order.side),
                (PositionSide::Long, Side::Buy) | (PositionSide::Short, Side::Sell)
            );
            !(opens && effect.reduce_only)
        }
    }
}

/// Who orders by which id.
fn order_of<'a>(id: &'a domain::ClientOrderId, venue_id: Option<&'a domain::VenueOrderId>) -> Field<'a> {
    match venue_id {
        Some(venue_id) => text("orderId", venue_id.as_str()),
        None => text("clientOid", id.as_str()),
    }
}

fn wanted_of_two(intent: &SignIntent) -> Option<Wants<'_>> {
    let mut wants = Wants::default();
    match intent {
        SignIntent::Place(order) => {
            let (market, name) = split(&order.symbol);
            if !effect_is_sound(order, market) {
                return None;
            }
            wants.extend([
                text("symbol", name),
                text("orderType", "limit"),
                text("force", time_in_force(order.time_in_force)),
                ("price", Wanted::Number(order.price)),
                ("size", Wanted::Number(order.qty)),
                text("clientOid", order.id.as_str()),
            ]);
            if market == Market::UsdtFutures {
                wants.extend([PRODUCT, MARGIN_COIN, text("marginMode", "crossed")]);
            }
            // In hedge mode the side is that of the position, whatever is done to it.
            let (position, opens) = match order.effect.side {
                PositionSide::Net => (side(order.side), None),
                PositionSide::Long => ("buy", Some(order.side == Side::Buy)),
                PositionSide::Short => ("sell", Some(order.side == Side::Sell)),
            };
            wants.extend([text("side", position)]);
            match opens {
                Some(true) => wants.extend([text("tradeSide", "open")]),
                Some(false) => wants.extend([text("tradeSide", "close")]),
                None if order.effect.reduce_only => wants.extend([text("reduceOnly", "YES")]),
                None => {}
            }
        }
        SignIntent::Cancel { symbol, id, venue_order_id } => {
            instrument_of_two(&mut wants, symbol, true);
            wants.extend([order_of(id, venue_order_id.as_ref())]);
        }
        SignIntent::CancelAll { symbol } => instrument_of_two(&mut wants, symbol, true),
        SignIntent::QueryOrder { symbol, id } => {
            wants.extend([text("clientOid", id.as_str())]);
            if split(symbol).0 == Market::UsdtFutures {
                instrument_of_two(&mut wants, symbol, false);
            }
        }
        SignIntent::OpenOrders { symbol, older_than } => {
            instrument_of_two(&mut wants, symbol, false);
            wants.extend([PAGE]);
            wants.extend(older_than.as_ref().map(|id| text("idLessThan", id.as_str())));
        }
        SignIntent::OrderHistory { symbol, since, older_than } | SignIntent::Fills { symbol, since, older_than } => {
            instrument_of_two(&mut wants, symbol, false);
            wants.extend([PAGE, from_or_below(*since, older_than.as_ref())]);
        }
        SignIntent::Bills { since, older_than } => {
            wants.extend([PRODUCT, PAGE, from_or_below(*since, older_than.as_ref())]);
        }
        SignIntent::Positions => wants.extend([PRODUCT, MARGIN_COIN]),
        SignIntent::FuturesBalances => wants.extend([PRODUCT]),
        SignIntent::FuturesSettings { symbol } => instrument_of_two(&mut wants, symbol, true),
        SignIntent::SetLeverage { symbol, leverage } => {
            instrument_of_two(&mut wants, symbol, true);
            wants.extend([("leverage", Wanted::Count(u64::from(*leverage)))]);
        }
        SignIntent::SetMarginMode { symbol, mode: MarginMode::Crossed } => {
            instrument_of_two(&mut wants, symbol, true);
            wants.extend([text("marginMode", "crossed")]);
        }
        SignIntent::SetMarginMode { mode: MarginMode::Isolated, .. } => return None,
        SignIntent::SetPositionMode { mode } => wants.extend([PRODUCT, text("posMode", position_mode(*mode))]),
        SignIntent::Balances | SignIntent::KeyInfo | SignIntent::StreamLogin => {}
    }
    Some(wants)
}

fn instrument_of_two<'a>(wants: &mut Wants<'a>, symbol: &'a str, with_margin_coin: bool) {
    let (market, name) = split(symbol);
    wants.extend([text("symbol", name)]);
    if market == Market::UsdtFutures {
        wants.extend([PRODUCT]);
        wants.extend(with_margin_coin.then_some(MARGIN_COIN));
    }
}

/// A first page begins at a time, a later one below an id; both together are ambiguous to the venue.
const fn from_or_below(since: domain::UnixNanos, older_than: Option<&domain::VenueOrderId>) -> Field<'_> {
    match older_than {
        Some(id) => ("idLessThan", Wanted::Id(id)),
        None => ("startTime", Wanted::Count(since.as_millis())),
    }
}

fn wanted_of_three(intent: &SignIntent) -> Option<Wants<'_>> {
    let mut wants = Wants::default();
    match intent {
        SignIntent::Place(order) => {
            let (market, name) = split(&order.symbol);
            if !effect_is_sound(order, market) {
                return None;
            }
            wants.extend([
                text("category", category(market)),
                text("symbol", name),
                text("side", side(order.side)),
                text("orderType", "limit"),
                text("timeInForce", time_in_force(order.time_in_force)),
                ("price", Wanted::Number(order.price)),
                ("qty", Wanted::Number(order.qty)),
                text("clientOid", order.id.as_str()),
            ]);
            match order.effect.side {
                PositionSide::Net if order.effect.reduce_only => wants.extend([text("reduceOnly", "yes")]),
                PositionSide::Net => {}
                PositionSide::Long => wants.extend([text("posSide", "long")]),
                PositionSide::Short => wants.extend([text("posSide", "short")]),
            }
        }
        SignIntent::Cancel { symbol, id, venue_order_id } => {
            wants.extend([text("category", category(split(symbol).0)), order_of(id, venue_order_id.as_ref())]);
        }
        SignIntent::CancelAll { symbol } => instrument_of_three(&mut wants, symbol),
        SignIntent::QueryOrder { id, .. } => wants.extend([text("clientOid", id.as_str())]),
        SignIntent::OpenOrders { symbol, older_than } => {
            instrument_of_three(&mut wants, symbol);
            wants.extend([PAGE]);
            wants.extend(cursor(older_than.as_ref()));
        }
        SignIntent::OrderHistory { symbol, since, older_than } => {
            instrument_of_three(&mut wants, symbol);
            wants.extend([PAGE, ("startTime", Wanted::Count(since.as_millis()))]);
            wants.extend(cursor(older_than.as_ref()));
        }
        SignIntent::Fills { symbol, since, older_than } => {
            wants.extend([text("category", category(split(symbol).0)), PAGE]);
            wants.extend([("startTime", Wanted::Count(since.as_millis()))]);
            wants.extend(cursor(older_than.as_ref()));
        }
        SignIntent::Bills { since, older_than } => {
            wants.extend([text("category", "USDT-FUTURES"), PAGE]);
            wants.extend([("startTime", Wanted::Count(since.as_millis()))]);
            wants.extend(cursor(older_than.as_ref()));
        }
        SignIntent::Positions => wants.extend([text("category", "USDT-FUTURES")]),
        SignIntent::SetLeverage { symbol, leverage } => {
            instrument_of_three(&mut wants, symbol);
            wants.extend([("leverage", Wanted::Count(u64::from(*leverage)))]);
        }
        SignIntent::SetPositionMode { mode } => wants.extend([text("holdMode", position_mode(*mode))]),
        SignIntent::SetMarginMode { .. } | SignIntent::FuturesBalances => return None,
        SignIntent::FuturesSettings { .. } | SignIntent::Balances | SignIntent::KeyInfo | SignIntent::StreamLogin => {}
    }
    Some(wants)
}

fn instrument_of_three<'a>(wants: &mut Wants<'a>, symbol: &'a str) {
    let (market, name) = split(symbol);
    wants.extend([text("category", category(market)), text("symbol", name)]);
}

fn cursor(older_than: Option<&domain::VenueOrderId>) -> Option<Field<'_>> {
    older_than.map(|id| ("cursor", Wanted::Id(id)))
}
