//! v3 trading, of every category: placing, changing, cancelling, and the lists of orders and fills.

use crate::Category;
use crate::accounts::{Item, Taken, account, cancel_all_spot, cancel_spot, filter, order_of, place_spot};
use crate::call::{Answer, Call};
use crate::fault_desk::OrderFaults;
use crate::mixdesk::{Hedging, cancel_futures, place_futures, with_client_oids};
use crate::orders::{Fill, Order};
use crate::reject::Reject;
use crate::ticket::{V3, client_oid, enumeration, text};
use crate::v2::mix_shapes::side_words;
use crate::v2::mix_trade::again;
use crate::v3::shapes;
use crate::venue::{Account, Venue};
use matching::PositionSide;
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
        Category::UsdtFutures => place_futures(venue, account, body, V3, Hedging::PosSide),
    }
}

/// The order that a body names by either id, wherever it is; the category told wins.
fn find(
    owner: &Account,
    category: Option<Category>,
    by: impl Fn(&str) -> Option<String>,
) -> Result<(&Order, Category), Reject> {
    let spot = || order_of(&owner.store, &by).map(|order| (order, Category::Spot));
    let futures = || order_of(&owner.futures.store, &by).map(|order| (order, Category::UsdtFutures));
    match category {
        Some(Category::Spot) => spot(),
        Some(Category::UsdtFutures) => futures(),
        None => {
            let open = |found: &(&Order, Category)| found.0.status.is_open();
            match (spot(), futures()) {
                (Ok(one), Ok(two)) => Ok(if open(&two) && !open(&one) { two } else { one }),
                (one, two) => one.or(two),
            }
        }
    }
}

/// Cancels one order, of the category told or of any.
pub(crate) fn cancel(
    venue: &mut Venue,
    account: usize,
    category: Option<Category>,
    body: &Value,
) -> Result<Taken, Reject> {
    let owner = venue.accounts.get(account).ok_or_else(Reject::no_such_order)?;
    match find(owner, category, |name| text(body, name))?.1 {
        Category::Spot => cancel_spot(venue, account, body, None),
        Category::UsdtFutures => cancel_futures(venue, account, body, None),
    }
}

/// Changes price and quantity of an open limit order: it is cancelled and placed anew.
pub(crate) fn modify(
    venue: &mut Venue,
    account: usize,
    category: Option<Category>,
    body: &Value,
) -> Result<(Taken, OrderFaults), Reject> {
    let owner = venue.accounts.get(account).ok_or_else(Reject::no_such_order)?;
    let (order, category) = find(owner, category, |name| text(body, name))?;
    if !order.status.is_open() {
        return Err(Reject::no_such_order());
    }
    let instrument = venue.by_id(order.instrument).ok_or_else(Reject::no_such_order)?;
    let price = text(body, "price").unwrap_or_else(|| order.price_words(&instrument.listing));
    let qty = text(body, "qty").unwrap_or_else(|| order.size_text(&instrument.listing));
    let anew = match category {
        Category::Spot => Some(json!({
            "symbol": instrument.config.symbol, "side": order.side.as_str(), "orderType": "limit",
            "timeInForce": crate::orders::force_words(order.force), "price": price, "qty": qty,
            "stpMode": crate::orders::self_trade_words(order.self_trade),
        })),
        Category::UsdtFutures => again(order, venue, &price, ("qty", &qty), "timeInForce"),
    };
    let mut anew = anew.ok_or_else(Reject::no_such_order)?;
    let old_oid = order.client_oid.clone();
    let oid = client_oid(body, "newClientOid", V3)?.unwrap_or(old_oid);
    // What is wrong with the new numbers is told before the old order goes.
    match category {
        Category::Spot => venue.ticket(account, &anew, None, V3)?,
        Category::UsdtFutures => venue.futures_ticket(account, &anew, V3, Hedging::PosSide)?,
    };
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
        Category::UsdtFutures => {
            let orders = venue.cancel_futures(call.account, instrument);
            with_client_oids(venue, call.account, orders)
        }
    };
    let items: Vec<Value> = orders.iter().map(taken).collect();
    Ok(json!({"list": items}).into())
}

/// Closes positions at once: all of them, those of a perpetual, those of one side.
pub(crate) fn close_positions(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = needed_category(&call.body).map_err(code)?;
    if category != Category::UsdtFutures {
        return Err(code(Reject::invalid("category")));
    }
    call.may_trade(venue, category)?;
    let instrument = match text(&call.body, "symbol") {
        Some(symbol) => Some(venue.find(category, &symbol).ok_or_else(|| code(Reject::unknown_symbol(&symbol)))?.id),
        None => None,
    };
    let sides = [("long", Some(PositionSide::Long)), ("short", Some(PositionSide::Short))];
    let side = enumeration(&call.body, "posSide", Some(None), &sides).map_err(code)?;
    let closings = venue.close_positions(call.account, instrument, side);
    if closings.is_empty() {
        return Err(code(Reject::new("22002", "No position to close")));
    }
    let items = closings.into_iter().map(|closing| match closing.outcome {
        Ok(order) => taken(&order),
        Err(refusal) => failed(&Value::Null, &code(refusal.into())),
    });
    let items: Vec<Value> = items.collect();
    Ok(json!({"list": items}).into())
}

/// Open positions, in a list.
pub(crate) fn current_position(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    account(venue, call)?;
    let category = category_word(call.needed("category").map_err(code)?);
    let mut positions = venue.positions(call.account);
    match (category, call.given("symbol")) {
        (Ok(Category::UsdtFutures), None) => {}
        (Ok(Category::UsdtFutures), Some(_)) => {
            let id = venue.asked(Category::UsdtFutures, call).map_err(code)?.id;
            positions.retain(|position| position.instrument == id);
        }
        _ => positions.clear(),
    }
    let side = call.given("posSide").map(str::to_ascii_lowercase);
    let wanted = positions.iter().filter(|it| side.as_deref().is_none_or(|side| side == side_words(it.side)));
    let items = wanted.filter_map(|it| Some(shapes::position(it, venue.by_id(it.instrument)?)));
    let items: Vec<Value> = items.collect();
    Ok(json!({"list": items}).into())
}

/// Ended positions, newest first.
pub(crate) fn position_history(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let id = match call.given("symbol") {
        Some(_) => Some(venue.asked(Category::UsdtFutures, call).map_err(code)?.id),
        None => None,
    };
    let (since, until) = call.span_ms().map_err(code)?;
    let below = call.whole("cursor").map_err(code)?.unwrap_or(u64::MAX);
    let count = call.limit(20, 100).map_err(code)?;
    let closed = account(venue, call)?.futures.closed().filter(|it| {
        id.is_none_or(|wanted| wanted == it.instrument)
            && (since..=until).contains(&it.closed_ms)
            && it.position.opened_by.0 < below
    });
    let wanted: Vec<_> = closed.take(count).collect();
    let cursor = wanted.last().map(|it| it.position.opened_by.0.to_string());
    let items = wanted.into_iter().filter_map(|it| Some(shapes::closed_position(it, venue.by_id(it.instrument)?)));
    let items: Vec<Value> = items.collect();
    Ok(json!({"list": items, "cursor": cursor}).into())
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
    let category = call.given("category").map(category_word).transpose().map_err(code)?;
    let (order, _) = find(owner, category, |name| call.given(name).map(str::to_owned)).map_err(code)?;
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
    if category != Some(Category::Spot) {
        orders.extend(owner.futures.store.newest_first());
    }
    orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.id));
    orders
}

fn fills_of(owner: &Account, category: Option<Category>) -> Vec<&Fill> {
    let mut fills: Vec<&Fill> = Vec::new();
    if category != Some(Category::UsdtFutures) {
        fills.extend(owner.store.fills());
    }
    if category != Some(Category::Spot) {
        fills.extend(owner.futures.store.fills());
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

/// Orders that wait for a trigger are not offered: there are none.
pub(crate) fn no_strategies(_: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!({"list": [], "cursor": null}).into())
}
