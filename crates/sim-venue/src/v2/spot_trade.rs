//! v2 spot trading: placing, cancelling, replacing, and the lists of orders and fills.

use crate::Category::Spot;
use crate::accounts::{Taken, account, cancel_all_spot, cancel_spot, filter, look, order_of, place_spot};
use crate::call::{Answer, Call};
use crate::fault_desk::OrderFaults;
use crate::orders::{Look, Order};
use crate::reject::Reject;
use crate::ticket::{V2, client_oid, required, text};
use crate::v2::{batch, failure, taken};
use crate::venue::Venue;
use domain::InstrumentId;
use serde_json::{Map, Value, json};

/// Takes one order.
pub(crate) fn place(venue: &mut Venue, account: usize, body: &Value) -> Result<(Taken, OrderFaults), Reject> {
    place_spot(venue, account, body, None, V2)
}

/// Cancels one order.
pub(crate) fn cancel(venue: &mut Venue, account: usize, body: &Value) -> Result<Taken, Reject> {
    let instrument = named(venue, body, None)?;
    cancel_spot(venue, account, body, Some(instrument))
}

pub(crate) fn place_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (order, faults) = place(venue, call.account, &call.body)?;
    Ok(Answer { data: taken(&order), faults })
}

pub(crate) fn place_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let list = batch(call, "orderList")?;
    let symbol = text(&call.body, "symbol");
    let (mut placed, mut failed, mut faults) = (Vec::new(), Vec::new(), OrderFaults::default());
    for item in list {
        match place_spot(venue, call.account, item, symbol.as_deref(), V2) {
            Ok((order, more)) => {
                placed.push(taken(&order));
                faults.extend(more);
            }
            Err(reject) => failed.push(failure(item, &reject)),
        }
    }
    Ok(Answer { data: json!({"successList": placed, "failureList": failed}), faults })
}

/// The instrument that a body names, or the one of the whole batch.
fn named(venue: &Venue, body: &Value, batch: Option<&str>) -> Result<InstrumentId, Reject> {
    let symbol = text(body, "symbol").or_else(|| batch.map(str::to_owned)).ok_or_else(|| Reject::empty("symbol"))?;
    Ok(venue.instrument(&symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?.id)
}

pub(crate) fn cancel_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    cancel(venue, call.account, &call.body).map(|order| taken(&order).into())
}

pub(crate) fn cancel_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let list = batch(call, "orderList")?;
    let symbol = text(&call.body, "symbol");
    let (mut cancelled, mut failed) = (Vec::new(), Vec::new());
    for item in list {
        let outcome = named(venue, item, symbol.as_deref())
            .and_then(|instrument| cancel_spot(venue, call.account, item, Some(instrument)));
        match outcome {
            Ok(order) => cancelled.push(taken(&order)),
            Err(reject) => failed.push(failure(item, &reject)),
        }
    }
    Ok(json!({"successList": cancelled, "failureList": failed}).into())
}

pub(crate) fn cancel_symbol(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let symbol = required(&call.body, "symbol")?;
    let instrument = venue.instrument(&symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?;
    let (id, symbol) = (instrument.id, instrument.config.symbol);
    cancel_all_spot(venue, call.account, Some(id));
    Ok(json!({"symbol": symbol}).into())
}

/// Cancels a limit order and places it anew at another price and size; what went wrong with the new one.
fn replace(venue: &mut Venue, account: usize, body: &Value) -> Result<Value, Reject> {
    let instrument = named(venue, body, None)?;
    let (price, size) = (required(body, "price")?, required(body, "size")?);
    let new_oid = client_oid(body, "newClientOid", V2)?;
    let store = &venue.accounts.get(account).ok_or_else(Reject::no_such_order)?.store;
    let order = order_of(store, |name| text(body, name))?;
    if order.instrument != instrument || !order.status.is_open() {
        return Err(Reject::no_such_order());
    }
    let symbol = venue.by_id(instrument).map(|instrument| instrument.config.symbol);
    let mut anew = json!({
        "symbol": symbol, "side": order.side.as_str(), "orderType": "limit",
        "force": crate::orders::force_words(order.force), "price": price, "size": size,
        "stpMode": crate::orders::self_trade_words(order.self_trade),
    });
    if let (Some(members), Some(oid)) = (anew.as_object_mut(), &new_oid) {
        members.insert("clientOid".into(), json!(oid));
    }
    // What the new order would be refused for is known before the old one goes, except for its cost.
    venue.ticket(account, &anew, None, V2)?;
    cancel_spot(venue, account, body, Some(instrument))?;
    Ok(match place_spot(venue, account, &anew, None, V2) {
        Ok(((id, oid), _)) => {
            json!({"orderId": id.0.to_string(), "clientOid": oid, "success": "success", "msg": null})
        }
        Err(reject) => json!({
            "orderId": text(body, "orderId"), "clientOid": text(body, "clientOid"), "success": "failure",
            "msg": reject.message,
        }),
    })
}

pub(crate) fn cancel_replace(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    replace(venue, call.account, &call.body).map(Answer::from)
}

pub(crate) fn cancel_replace_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let list = batch(call, "orderList")?;
    let outcome = |item: &Value, venue: &mut Venue| {
        replace(venue, call.account, item).unwrap_or_else(|reject| {
            json!({"orderId": text(item, "orderId"), "clientOid": text(item, "clientOid"), "success": "failure",
                   "msg": reject.message})
        })
    };
    let items: Vec<Value> = list.iter().map(|item| outcome(item, venue)).collect();
    Ok(Value::Array(items).into())
}

pub(crate) fn order_info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let owner = account(venue, call)?;
    let items = match order_of(&owner.store, |name| call.given(name).map(str::to_owned)) {
        Ok(order) => venue.by_id(order.instrument).map(|it| order.detailed(look(it, owner))).into_iter().collect(),
        // An order that is not there is an empty answer, not an error.
        Err(reject) if reject.code == "43001" => Vec::new(),
        Err(reject) => return Err(reject),
    };
    Ok(Value::Array(items).into())
}

fn list<'a>(
    venue: &Venue,
    call: &Call,
    orders: impl Iterator<Item = &'a Order>,
    show: fn(&Order, Look<'_>) -> Value,
) -> Result<Answer, Reject> {
    let (filter, owner) = (filter(venue, Spot, call, "idLessThan")?, account(venue, call)?);
    let wanted = orders.filter(|order| filter.takes(&order.item())).take(filter.count);
    let items = wanted.filter_map(|order| Some(show(order, look(venue.by_id(order.instrument)?, owner))));
    Ok(Value::Array(items.collect()).into())
}

pub(crate) fn unfilled_orders(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    list(venue, call, account(venue, call)?.store.open(), Order::unfilled)
}

pub(crate) fn history_orders(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let ended = account(venue, call)?.store.newest_first().filter(|order| !order.status.is_open());
    list(venue, call, ended, |order, look| {
        let mut item = order.detailed(look);
        let more = [("triggerPrice", Value::Null), ("tpslType", json!("normal"))];
        item.as_object_mut().unwrap_or(&mut Map::new()).extend(more.map(|(name, value)| (name.to_owned(), value)));
        item
    })
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    call.needed("symbol")?;
    let (filter, owner) = (filter(venue, Spot, call, "idLessThan")?, account(venue, call)?);
    let wanted = owner.store.fills().filter(|fill| filter.takes(&fill.item())).take(filter.count);
    let items = wanted.filter_map(|fill| Some(fill.listed(look(venue.by_id(fill.instrument)?, owner))));
    Ok(Value::Array(items.collect()).into())
}

/// Orders that wait for a trigger are not offered: there are none.
pub(crate) fn no_plans(_: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!({"nextFlag": false, "idLessThan": null, "orderList": []}).into())
}
