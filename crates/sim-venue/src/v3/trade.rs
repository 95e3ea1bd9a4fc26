//! v3 trading, of every category: placing, changing, cancelling, and the lists of orders and fills.

use crate::Category;
use crate::accounts::{Item, Taken, account, cancel_all_spot, cancel_spot, filter, order_of, place_spot};
use crate::call::{Answer, Call};
use crate::fault_desk::OrderFaults;
use crate::orders::{Fill, Order};
use crate::reject::Reject;
use crate::ticket::{V3, client_oid, text};
use crate::v3::shapes;
use crate::venue::{Account, Venue};
use serde_json::{Value, json};

pub(crate) use crate::v3::codes::unified as code;

/// Orders in one batch.
const BATCH_MAX: usize = 50;

/// The category that a word names; lending and the other futures are not offered.
pub(crate) fn category_word(word: &str) -> Result<Category, Reject> {
    let all = [("SPOT", Category::Spot), ("USDT-FUTURES", Category::UsdtFutures)];
    let found = all.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, category)| category);
    found.ok_or_else(|| if word.is_empty() { Reject::empty("category") } else { Reject::invalid("category") })
}

/// The category of a body, if it names one.
fn category_of(body: &Value) -> Result<Option<Category>, Reject> {
    text(body, "category").map(|word| category_word(&word)).transpose()
}

/// The category of a body that must name one.
fn needed_category(body: &Value) -> Result<Category, Reject> {
    category_of(body)?.ok_or_else(|| Reject::empty("category"))
}

/// Takes one order.
pub(crate) fn place(
    venue: &mut Venue,
    account: usize,
    category: Category,
    body: &Value,
) -> Result<(Taken, OrderFaults), Reject> {
    match category {
        Category::Spot => place_spot(venue, account, body, None, V3),
        Category::UsdtFutures => Err(Reject::invalid("category")),
    }
}

/// Cancels one order, of the category told or of any.
pub(crate) fn cancel(
    venue: &mut Venue,
    account: usize,
    category: Option<Category>,
    body: &Value,
) -> Result<Taken, Reject> {
    let _ = category;
    cancel_spot(venue, account, body, None)
}

/// Changes price and quantity of an open limit order: it is cancelled and placed anew.
pub(crate) fn modify(
    venue: &mut Venue,
    account: usize,
    category: Option<Category>,
    body: &Value,
) -> Result<(Taken, OrderFaults), Reject> {
    let owner = venue.accounts.get(account).ok_or_else(Reject::no_such_order)?;
    let order = order_of(&owner.store, |name| text(body, name))?;
    if !order.status.is_open() {
        return Err(Reject::no_such_order());
    }
    let instrument = venue.by_id(order.instrument).ok_or_else(Reject::no_such_order)?;
    let (price, qty) = (order.price_words(&instrument.listing), order.size_text(&instrument.listing));
    let mut anew = json!({
        "symbol": instrument.config.symbol, "side": order.side.as_str(), "orderType": "limit",
        "timeInForce": crate::orders::force_words(order.force),
        "price": text(body, "price").unwrap_or(price), "qty": text(body, "qty").unwrap_or(qty),
        "stpMode": crate::orders::self_trade_words(order.self_trade),
    });
    let category = category.unwrap_or(instrument.category);
    let old_oid = order.client_oid.clone();
    let oid = client_oid(body, "newClientOid", V3)?.unwrap_or(old_oid);
    // Both are refused before the old order goes, except for what the new one costs.
    venue.ticket(account, &anew, None, V3)?;
    cancel(venue, account, Some(category), body)?;
    if let Some(members) = anew.as_object_mut() {
        members.insert("clientOid".into(), json!(oid));
    }
    place(venue, account, category, &anew)
}

/// An item of a batch that was refused.
pub(crate) fn failed(item: &Value, reject: &Reject) -> Value {
    json!({
        "orderId": text(item, "orderId").unwrap_or_default(), "clientOid": text(item, "clientOid").unwrap_or_default(),
        "code": reject.code, "msg": reject.message,
    })
}

fn taken((id, client_oid): &Taken) -> Value {
    json!({"orderId": id.0.to_string(), "clientOid": client_oid})
}

pub(crate) fn place_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = needed_category(&call.body).map_err(code)?;
    call.may_trade(venue, category)?;
    let (order, faults) = place(venue, call.account, category, &call.body).map_err(code)?;
    Ok(Answer { data: taken(&order), faults })
}

/// The items of a batch, which is a bare list.
fn batch(call: &Call) -> Result<&[Value], Reject> {
    let list = call.body.as_array().or_else(|| call.body.get("orderList").and_then(Value::as_array));
    let list = list.filter(|list| !list.is_empty()).ok_or_else(|| code(Reject::empty("orderList")))?;
    if list.len() > BATCH_MAX {
        return Err(code(Reject::new("40306", format!("Batch processing orders can only process up to {BATCH_MAX}"))));
    }
    Ok(list)
}

pub(crate) fn place_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (mut items, mut faults) = (Vec::new(), OrderFaults::default());
    for item in batch(call)? {
        let outcome = needed_category(item).and_then(|category| {
            call.may_trade(venue, category)?;
            place(venue, call.account, category, item)
        });
        match outcome.map_err(code) {
            Ok((order, more)) => {
                faults.extend(more);
                items.push(taken(&order));
            }
            Err(reject) => items.push(failed(item, &reject)),
        }
    }
    Ok(Answer { data: Value::Array(items), faults })
}

pub(crate) fn modify_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = category_of(&call.body).map_err(code)?;
    let (order, faults) = modify(venue, call.account, category, &call.body).map_err(code)?;
    Ok(Answer { data: taken(&order), faults })
}

pub(crate) fn cancel_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = category_of(&call.body).map_err(code)?;
    cancel(venue, call.account, category, &call.body).map(|order| taken(&order).into()).map_err(code)
}

pub(crate) fn cancel_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = batch(call)?.iter().map(|item| {
        let outcome = category_of(item).and_then(|category| cancel(venue, call.account, category, item));
        match outcome {
            Ok(order) => taken(&order),
            // In a batch, an order that is not there has words of its own.
            Err(reject) if reject.code == "43001" => failed(item, &Reject::new("24056", "notExisted")),
            Err(reject) => failed(item, &code(reject)),
        }
    });
    Ok(Value::Array(items.collect()).into())
}

pub(crate) fn cancel_symbol(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = needed_category(&call.body).map_err(code)?;
    let instrument = match text(&call.body, "symbol") {
        Some(symbol) => {
            let found = venue.find(category, &symbol).ok_or_else(|| code(Reject::unknown_symbol(&symbol)))?;
            Some(found.id)
        }
        None => None,
    };
    let orders = match category {
        Category::Spot => cancel_all_spot(venue, call.account, instrument),
        Category::UsdtFutures => Vec::new(),
    };
    let items: Vec<Value> = orders.iter().map(taken).collect();
    Ok(json!({"list": items}).into())
}

/// The switch that cancels everything when it is not turned again in time.
pub(crate) fn countdown(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let seconds = text(&call.body, "countdown").ok_or_else(|| code(Reject::empty("countdown")))?;
    let seconds: u64 = seconds.parse().map_err(|_| code(Reject::invalid("countdown")))?;
    if seconds != 0 && !(5..=60).contains(&seconds) {
        return Err(code(Reject::invalid("countdown")));
    }
    venue.arm_countdown(call.account, seconds);
    Ok(json!("success").into())
}

pub(crate) fn order_info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let owner = account(venue, call)?;
    let order = order_of(&owner.store, |name| call.given(name).map(str::to_owned)).map_err(code)?;
    let instrument = venue.by_id(order.instrument).ok_or_else(|| code(Reject::no_such_order()))?;
    Ok(shapes::order(order, instrument).into())
}

/// Which orders a list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Open,
    Ended,
}

/// Orders of both desks or of one, newest first.
fn orders_of(owner: &Account, category: Option<Category>) -> Vec<&Order> {
    let mut orders: Vec<&Order> = Vec::new();
    if category != Some(Category::UsdtFutures) {
        orders.extend(owner.store.newest_first());
    }
    orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.id));
    orders
}

fn fills_of(owner: &Account, category: Option<Category>) -> Vec<&Fill> {
    let mut fills: Vec<&Fill> = Vec::new();
    if category != Some(Category::UsdtFutures) {
        fills.extend(owner.store.fills());
    }
    fills.sort_unstable_by_key(|fill| std::cmp::Reverse(fill.trade_id));
    fills
}

/// One page of a list: what a filter takes of it, and the last id as the cursor of the next page.
fn page<'a, T: 'a>(
    venue: &Venue,
    call: &Call,
    items: impl Iterator<Item = &'a T>,
    item: fn(&T) -> Item<'_>,
    show: impl Fn(&T) -> Option<Value>,
) -> Result<Answer, Reject> {
    let category = call.given("category").map(category_word).transpose().map_err(code)?;
    let filter = filter(venue, category.unwrap_or(Category::Spot), call, "cursor").map_err(code)?;
    let wanted: Vec<&T> = items.filter(|it| filter.takes(&item(it))).take(filter.count).collect();
    let cursor = wanted.last().map(|last| item(last).id.to_string());
    let list: Vec<Value> = wanted.into_iter().filter_map(show).collect();
    Ok(json!({"list": list, "cursor": cursor}).into())
}

fn list(venue: &Venue, call: &Call, which: Which) -> Result<Answer, Reject> {
    let category = call.given("category").map(category_word).transpose().map_err(code)?;
    let orders = orders_of(account(venue, call)?, category);
    let wanted = orders.into_iter().filter(|order| order.status.is_open() == (which == Which::Open));
    page(venue, call, wanted, Order::item, |order| Some(shapes::order(order, venue.by_id(order.instrument)?)))
}

pub(crate) fn unfilled_orders(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    list(venue, call, Which::Open)
}

pub(crate) fn history_orders(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    list(venue, call, Which::Ended)
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = call.given("category").map(category_word).transpose().map_err(code)?;
    let fills = fills_of(account(venue, call)?, category);
    page(venue, call, fills.into_iter(), Fill::item, |fill| Some(shapes::fill(fill, venue.by_id(fill.instrument)?)))
}
