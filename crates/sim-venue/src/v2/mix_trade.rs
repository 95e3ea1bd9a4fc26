//! v2 futures trading: placing, changing, cancelling, closing, and the lists of orders and fills.

use crate::Category::UsdtFutures;
use crate::accounts::{Taken, account, filter, look, order_of};
use crate::call::{Answer, Call};
use crate::fault_desk::OrderFaults;
use crate::mixdesk::{Hedging, cancel_futures, place_futures, with_client_oids};
use crate::orders::Order;
use crate::reject::Reject;
use crate::ticket::{V2, client_oid, enumeration, required, text};
use crate::v2::{batch, failure, mix_shapes, product_of_body, product_of_query, taken};
use crate::venue::Venue;
use domain::InstrumentId;
use matching::{Intent, PositionSide};
use serde_json::{Value, json};

/// Takes one order.
pub(crate) fn place(venue: &mut Venue, account: usize, body: &Value) -> Result<(Taken, OrderFaults), Reject> {
    place_futures(venue, account, body, V2, Hedging::TradeSide)
}

/// Cancels one order.
pub(crate) fn cancel(venue: &mut Venue, account: usize, body: &Value) -> Result<Taken, Reject> {
    let instrument = named(venue, body)?.ok_or_else(|| Reject::empty("symbol"))?;
    cancel_futures(venue, account, body, Some(instrument))
}

/// The perpetual that a body names, if it names one.
fn named(venue: &Venue, body: &Value) -> Result<Option<InstrumentId>, Reject> {
    let Some(symbol) = text(body, "symbol") else { return Ok(None) };
    let found = venue.find(UsdtFutures, &symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?;
    Ok(Some(found.id))
}

pub(crate) fn place_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let (order, faults) = place(venue, call.account, &call.body)?;
    Ok(Answer { data: taken(&order), faults })
}

/// An item of a batch with what the batch says for all of them.
fn completed(item: &Value, whole: &Value) -> Value {
    let mut item = item.clone();
    if let Some(members) = item.as_object_mut() {
        for name in ["symbol", "marginCoin", "marginMode", "productType"] {
            if let Some(value) = whole.get(name) {
                members.entry(name).or_insert_with(|| value.clone());
            }
        }
    }
    item
}

pub(crate) fn place_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let (mut placed, mut failed, mut faults) = (Vec::new(), Vec::new(), OrderFaults::default());
    for item in batch(call, "orderList")? {
        match place(venue, call.account, &completed(item, &call.body)) {
            Ok((order, more)) => {
                placed.push(taken(&order));
                faults.extend(more);
            }
            Err(reject) => failed.push(failure(item, &reject)),
        }
    }
    Ok(Answer { data: json!({"successList": placed, "failureList": failed, "result": true}), faults })
}

pub(crate) fn cancel_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    cancel(venue, call.account, &call.body).map(|order| taken(&order).into())
}

/// The orders of a list, or without one all of a perpetual or of all.
pub(crate) fn cancel_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let instrument = named(venue, &call.body)?;
    if call.body.get("orderIdList").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Ok(all_cancelled(venue, call.account, instrument));
    }
    let (mut cancelled, mut failed) = (Vec::new(), Vec::new());
    for item in batch(call, "orderIdList")? {
        match cancel_futures(venue, call.account, item, instrument) {
            Ok(order) => cancelled.push(taken(&order)),
            Err(reject) => failed.push(failure(item, &reject)),
        }
    }
    Ok(json!({"successList": cancelled, "failureList": failed, "result": true}).into())
}

fn all_cancelled(venue: &mut Venue, account: usize, instrument: Option<InstrumentId>) -> Answer {
    let orders = venue.cancel_futures(account, instrument);
    let cancelled: Vec<Value> = with_client_oids(venue, account, orders).iter().map(taken).collect();
    json!({"successList": cancelled, "failureList": [], "result": true}).into()
}

pub(crate) fn cancel_all(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let instrument = named(venue, &call.body)?;
    Ok(all_cancelled(venue, call.account, instrument))
}

/// What a body would have to say to place an order again at another price and size.
pub(crate) fn again(order: &Order, venue: &Venue, price: &str, size: (&str, &str), force: &str) -> Option<Value> {
    let (instrument, futures) = (venue.by_id(order.instrument)?, order.futures?);
    let (side, trade_side, pos_side, reduce_only) = match futures.intent {
        Intent::OneWay { reduce_only } => (order.side, "", "", reduce_only),
        Intent::Open(position) if force == "force" => (position.opens(), "open", "", false),
        Intent::Close(position) if force == "force" => (position.opens(), "close", "", false),
        Intent::Open(position) | Intent::Close(position) => (order.side, "", mix_shapes::side_words(position), false),
    };
    let mut body = json!({
        "symbol": instrument.config.symbol, "side": side.as_str(), "tradeSide": trade_side, "posSide": pos_side,
        "orderType": "limit", "price": price, "reduceOnly": if reduce_only { "YES" } else { "NO" },
        "stpMode": crate::orders::self_trade_words(order.self_trade),
    });
    let members = body.as_object_mut()?;
    members.insert(size.0.to_owned(), json!(size.1));
    members.insert(force.to_owned(), json!(crate::orders::force_words(order.force)));
    Some(body)
}

/// Cancels an open limit order and places it anew; price and size come together.
pub(crate) fn modify(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let body = &call.body;
    required(body, "newClientOid")?;
    let new_oid = client_oid(body, "newClientOid", V2)?;
    let (price, size) = match (text(body, "newPrice"), text(body, "newSize")) {
        (Some(price), Some(size)) => (price, size),
        (None, None) => return Err(Reject::empty("newPrice")),
        (None, _) => return Err(Reject::empty("newPrice")),
        (_, None) => return Err(Reject::empty("newSize")),
    };
    let instrument = named(venue, body)?.ok_or_else(|| Reject::empty("symbol"))?;
    let store = &venue.accounts.get(call.account).ok_or_else(Reject::no_such_order)?.futures.store;
    let order = order_of(store, |name| text(body, name))?;
    if order.instrument != instrument || !order.status.is_open() {
        return Err(Reject::no_such_order());
    }
    if let Some(new) = &new_oid
        && store.by_client_oid(new).is_some_and(|other| other.status.is_open())
    {
        return Err(Reject::new("40786", "Duplicate clientOid"));
    }
    let mut anew = again(order, venue, &price, ("size", &size), "force").ok_or_else(Reject::no_such_order)?;
    if let Some(members) = anew.as_object_mut() {
        members.insert("clientOid".into(), json!(new_oid));
    }
    // What is wrong with the new order's numbers is told before the old one goes.
    venue.futures_ticket(call.account, &anew, V2, Hedging::TradeSide)?;
    cancel_futures(venue, call.account, body, Some(instrument))?;
    let (order, faults) = place(venue, call.account, &anew)?;
    Ok(Answer { data: taken(&order), faults })
}

/// Closes positions at once: all of them, those of a perpetual, those of one side.
pub(crate) fn close_positions(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let instrument = named(venue, &call.body)?;
    let sides = [("long", Some(PositionSide::Long)), ("short", Some(PositionSide::Short))];
    let side = enumeration(&call.body, "holdSide", Some(None), &sides)?;
    let closings = venue.close_positions(call.account, instrument, side);
    if closings.is_empty() {
        return Err(Reject::new("22002", "No position to close"));
    }
    let (mut closed, mut failed) = (Vec::new(), Vec::new());
    for closing in closings {
        let symbol = venue.by_id(closing.instrument).map(|instrument| instrument.config.symbol);
        match closing.outcome {
            Ok((id, oid)) => {
                closed.push(json!({"orderId": id.0.to_string(), "clientOid": oid, "symbol": symbol}));
            }
            Err(refusal) => {
                let reject = Reject::from(refusal);
                let message = format!("{}: {}", mix_shapes::side_words(closing.side), reject.message);
                failed.push(json!({"orderId": "", "clientOid": "", "symbol": symbol, "errorMsg": message,
                                   "errorCode": reject.code}));
            }
        }
    }
    Ok(json!({"successList": closed, "failureList": failed}).into())
}

pub(crate) fn detail(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_query(call)?;
    let instrument = venue.asked(UsdtFutures, call)?;
    let owner = account(venue, call)?;
    let order = order_of(&owner.futures.store, |name| call.given(name).map(str::to_owned))?;
    if order.instrument != instrument.id {
        return Err(Reject::no_such_order());
    }
    Ok(mix_shapes::entrusted(order, look(instrument, owner), "state").into())
}

fn list<'a>(venue: &Venue, call: &Call, orders: impl Iterator<Item = &'a Order>) -> Result<Answer, Reject> {
    if !product_of_query(call)? {
        return Ok(json!({"entrustedList": null, "endId": null}).into());
    }
    let (filter, owner) = (filter(venue, UsdtFutures, call, "idLessThan")?, account(venue, call)?);
    let status = call.given("status").map(str::to_ascii_lowercase);
    let wanted = orders
        .filter(|order| filter.takes(&order.item()))
        .filter(|order| status.as_deref().is_none_or(|status| status == order.status.as_str()))
        .take(filter.count);
    let wanted: Vec<&Order> = wanted.collect();
    let end = wanted.last().map(|order| order.id.0.to_string());
    let items = wanted
        .into_iter()
        .filter_map(|order| Some(mix_shapes::entrusted(order, look(venue.by_id(order.instrument)?, owner), "status")));
    let items: Vec<Value> = items.collect();
    Ok(json!({"entrustedList": if items.is_empty() { Value::Null } else { json!(items) }, "endId": end}).into())
}

pub(crate) fn pending(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    list(venue, call, account(venue, call)?.futures.store.open())
}

pub(crate) fn history(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let ended = account(venue, call)?.futures.store.newest_first().filter(|order| !order.status.is_open());
    list(venue, call, ended)
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    if !product_of_query(call)? {
        return Ok(json!({"fillList": [], "endId": null}).into());
    }
    let (filter, owner) = (filter(venue, UsdtFutures, call, "idLessThan")?, account(venue, call)?);
    let wanted = owner.futures.store.fills().filter(|fill| filter.takes(&fill.item())).take(filter.count);
    let wanted: Vec<&crate::orders::Fill> = wanted.collect();
    let end = wanted.last().map(|fill| fill.trade_id.to_string());
    let items =
        wanted.into_iter().filter_map(|fill| Some(mix_shapes::fill(fill, look(venue.by_id(fill.instrument)?, owner))));
    Ok(json!({"fillList": items.collect::<Vec<Value>>(), "endId": end}).into())
}

/// Orders that wait for a trigger are not offered: there are none.
pub(crate) fn no_plans(_: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_query(call)?;
    Ok(json!({"entrustedList": null, "endId": null}).into())
}
