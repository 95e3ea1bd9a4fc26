//! Private REST answers: the account, its orders and its fills.

use crate::Permission;
use crate::call::{Answer, Call};
use crate::fault_desk::OrderFaults;
use crate::orders::{Look, Order};
use crate::reject::Reject;
use crate::ticket::{required, text};
use crate::venue::{Account, Instrument, Venue};
use domain::InstrumentId;
use matching::{Atoms, OrderId, PlaceError};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Orders in one batch.
const BATCH_MAX: usize = 50;
/// Items of one page.
const PAGE_MAX: usize = 100;

fn owner(venue: &Venue, call: &Call) -> Result<usize, Reject> {
    if call.account < venue.accounts.len() { Ok(call.account) } else { Err(Reject::new("40013", "Account abnormal")) }
}

fn account<'a>(venue: &'a Venue, call: &Call) -> Result<&'a Account, Reject> {
    venue.accounts.get(call.account).ok_or_else(|| Reject::new("40013", "Account abnormal"))
}

fn addresses(venue: &Venue, call: &Call) -> String {
    let ips = venue.keys.get(&call.key).map(|key| key.config.ips.as_slice()).unwrap_or_default();
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(crate) fn account_info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (user, parent) = (account(venue, call)?.user, venue.main_user_of(call.account));
    let has = venue.keys.get(&call.key).map(|key| key.config.permissions.as_slice()).unwrap_or_default();
    // The right to write includes the right to read, and the venue then lists only that.
    let shown = |permission: &&Permission| permission.included_in().is_none_or(|wider| !has.contains(&wider));
    let authorities: Vec<&str> =
        has.iter().filter(shown).flat_map(|permission| permission.authorities()).copied().collect();
    Ok(json!({
        "userId": user.to_string(), "inviterId": "", "ips": addresses(venue, call), "authorities": authorities,
        "parentId": parent, "traderType": "not_trader", "channelCode": "", "channel": "", "regisTime": "1600000000000",
    })
    .into())
}

pub(crate) fn assets(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    let wanted = call.query.get("coin").filter(|coin| !coin.is_empty());
    let all = call.query.get("assetType").is_some_and(|kind| kind == "all");
    let mut items = Vec::new();
    for (asset, balance) in venue.balances(account) {
        let named = wanted.is_none_or(|coin| coin.eq_ignore_ascii_case(&asset));
        if named && (all || wanted.is_some() || balance.total() > Atoms::ZERO) {
            let item = venue.balance_item(account, asset).and_then(|item| serde_json::from_str(&item).ok());
            items.push(item.unwrap_or(Value::Null));
        }
    }
    Ok(Value::Array(items).into())
}

/// All that an account holds, valued at the last prices in USDT.
fn worth(venue: &Venue, account: usize) -> Decimal {
    let value = |(asset, balance): (domain::Asset, matching::Balance)| {
        let amount = balance.total().to_decimal().unwrap_or_default();
        if asset.as_str() == "USDT" {
            return amount;
        }
        let price = venue.instrument(&format!("{asset}USDT")).and_then(|instrument| venue.mid(instrument.id));
        price.and_then(|price| price.checked_mul(amount)).unwrap_or_default()
    };
    venue.balances(account).into_iter().map(value).sum()
}

pub(crate) fn all_balances(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let spot = worth(venue, owner(venue, call)?);
    let others =
        ["futures", "funding", "earn", "bots", "margin"].map(|kind| json!({"accountType": kind, "usdtBalance": "0"}));
    let mut items = vec![json!({"accountType": "spot", "usdtBalance": spot.round_dp(8).normalize().to_string()})];
    items.extend(others);
    Ok(Value::Array(items).into())
}

pub(crate) fn trade_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let symbol = call.query.get("symbol").ok_or_else(|| Reject::missing_query("symbol"))?;
    if venue.instrument(symbol).is_none() {
        return Err(Reject::unknown_symbol(symbol));
    }
    let (maker, taker) = (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string());
    Ok(json!({"makerFeeRate": maker, "takerFeeRate": taker}).into())
}

pub(crate) fn unified_settings(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let user = account(venue, call)?.user;
    Ok(json!({
        "uid": user.to_string(), "accountMode": "hybrid", "assetMode": "multi_assets", "accountLevel": "advanced",
        "holdMode": "one_way_mode", "stpMode": "none", "symbolConfigList": [],
    })
    .into())
}

pub(crate) fn unified_info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let user = account(venue, call)?.user;
    let has = |permission| venue.keys.get(&call.key).is_some_and(|key| key.config.permissions.contains(&permission));
    let groups = [
        ("uta_trade", has(Permission::Read) || has(Permission::Trade)),
        ("uta_mgt", has(Permission::Transfer) || has(Permission::SubAccounts)),
        ("withdraw", has(Permission::Withdraw)),
    ];
    let permissions: Vec<&str> = groups.iter().filter(|(_, held)| *held).map(|(name, _)| *name).collect();
    let kind = if has(Permission::Trade) { "read-and-write" } else { "read-only" };
    Ok(json!({
        "userId": user.to_string(), "inviterId": "", "parentId": "", "channelCode": "", "channel": "",
        "ips": addresses(venue, call), "permType": kind, "permissions": permissions, "regisTime": "1600000000000",
    })
    .into())
}

pub(crate) fn unified_assets(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    let equity = worth(venue, account).round_dp(8).normalize().to_string();
    let items = venue.balances(account).into_iter().map(|(asset, balance)| {
        let total = balance.total().to_string();
        json!({"coin": asset, "equity": total, "usdValue": "0", "balance": total,
               "available": balance.available.to_string(), "debt": "0", "locked": balance.frozen.to_string()})
    });
    let items: Vec<Value> = items.collect();
    Ok(json!({"accountEquity": equity, "usdtEquity": equity, "btcEquity": "0", "unrealisedPnl": "0", "assets": items})
        .into())
}

// ---- Orders -----------------------------------------------------------------------------------

/// One order of a request: judged, taken, and made to fill if a fault wants it.
fn place_one(
    venue: &mut Venue,
    account: usize,
    body: &Value,
    symbol: Option<&str>,
) -> Result<(Value, OrderFaults), Reject> {
    let faults = venue.on_place_request();
    let taken = venue.ticket(account, body, symbol).and_then(|ticket| {
        venue.place(account, ticket).map_err(|error| match error {
            PlaceError::Balance { .. } => Reject::new("43012", "Insufficient balance"),
            PlaceError::BookFull => Reject::new("43005", "Exceed the maximum number of orders"),
            other => Reject::new("43002", format!("Pending order failed: {other}")),
        })
    });
    let (id, client_oid) = match taken {
        Ok(taken) => taken,
        Err(reject) => {
            venue.rearm(faults);
            return Err(reject);
        }
    };
    let faults = venue.after_accept(account, id, faults);
    Ok((json!({"orderId": id.0.to_string(), "clientOid": client_oid}), faults))
}

pub(crate) fn place_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    let (data, faults) = place_one(venue, account, &call.body, None)?;
    Ok(Answer { data, faults })
}

fn batch(call: &Call) -> Result<(&[Value], Option<String>), Reject> {
    let list = call.body.get("orderList").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Reject::empty("orderList"))?;
    if list.len() > BATCH_MAX {
        return Err(Reject::new("40306", format!("Batch processing orders can only process up to {BATCH_MAX}")));
    }
    Ok((list, text(&call.body, "symbol")))
}

fn failure(item: &Value, reject: &Reject) -> Value {
    json!({
        "orderId": text(item, "orderId"), "clientOid": text(item, "clientOid"),
        "errorMsg": reject.message, "errorCode": reject.code,
    })
}

pub(crate) fn place_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    let (list, symbol) = batch(call)?;
    let (mut placed, mut failed, mut faults) = (Vec::new(), Vec::new(), OrderFaults::default());
    for item in list {
        match place_one(venue, account, item, symbol.as_deref()) {
            Ok((data, more)) => {
                placed.push(data);
                faults.extend(more);
            }
            Err(reject) => failed.push(failure(item, &reject)),
        }
    }
    Ok(Answer { data: json!({"successList": placed, "failureList": failed}), faults })
}

/// The order that a body names by either id; the venue's own wins.
fn find(venue: &Venue, account: usize, by: impl Fn(&str) -> Option<String>) -> Result<&Order, Reject> {
    let store = &venue.accounts.get(account).ok_or_else(Reject::no_such_order)?.store;
    if let Some(id) = by("orderId") {
        let id = id.parse().map(OrderId).map_err(|_| Reject::invalid("orderId"))?;
        return store.get(id).ok_or_else(Reject::no_such_order);
    }
    let client_oid = by("clientOid").ok_or_else(|| Reject::empty("orderId"))?;
    store.by_client_oid(&client_oid).ok_or_else(Reject::no_such_order)
}

fn cancel_one(venue: &mut Venue, account: usize, body: &Value, symbol: Option<&str>) -> Result<Value, Reject> {
    let symbol = text(body, "symbol").or_else(|| symbol.map(str::to_owned)).ok_or_else(|| Reject::empty("symbol"))?;
    let instrument = venue.instrument(&symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?.id;
    let order = find(venue, account, |name| text(body, name)).ok().filter(|order| order.instrument == instrument);
    if order.is_none() && text(body, "orderId").or_else(|| text(body, "clientOid")).is_none() {
        return Err(Reject::empty("orderId"));
    }
    let (id, client_oid) = order.map(|order| (order.id, order.client_oid.clone())).ok_or_else(Reject::no_such_order)?;
    if !venue.cancel(account, id) {
        return Err(Reject::no_such_order());
    }
    Ok(json!({"orderId": id.0.to_string(), "clientOid": client_oid}))
}

pub(crate) fn cancel_order(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    cancel_one(venue, account, &call.body, None).map(Answer::from)
}

pub(crate) fn cancel_batch(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    let (list, symbol) = batch(call)?;
    let (mut cancelled, mut failed) = (Vec::new(), Vec::new());
    for item in list {
        match cancel_one(venue, account, item, symbol.as_deref()) {
            Ok(data) => cancelled.push(data),
            Err(reject) => failed.push(failure(item, &reject)),
        }
    }
    Ok(json!({"successList": cancelled, "failureList": failed}).into())
}

pub(crate) fn cancel_symbol(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let account = owner(venue, call)?;
    let symbol = required(&call.body, "symbol")?;
    let instrument = venue.instrument(&symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?;
    let (id, symbol) = (instrument.id, instrument.config.symbol);
    let owner = venue.accounts.get(account).ok_or_else(Reject::no_such_order)?;
    let open: Vec<OrderId> = owner.store.open().filter(|order| order.instrument == id).map(|order| order.id).collect();
    for order in open {
        venue.cancel(account, order);
    }
    Ok(json!({"symbol": symbol}).into())
}

// ---- Lists ------------------------------------------------------------------------------------

/// What narrows a list of orders or fills.
struct Filter {
    instrument: Option<InstrumentId>,
    order: Option<u64>,
    since_ms: u64,
    until_ms: u64,
    below: u64,
    count: usize,
}

fn filter(venue: &Venue, call: &Call) -> Result<Filter, Reject> {
    let given = |name: &str| call.query.get(name).filter(|value| !value.is_empty());
    let numeric =
        |name: &str| given(name).map(|value| value.parse::<u64>().map_err(|_| Reject::invalid(name))).transpose();
    let instrument = match given("symbol") {
        Some(symbol) => Some(venue.instrument(symbol).ok_or_else(|| Reject::unknown_symbol(symbol))?.id),
        None => None,
    };
    let count = numeric("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    Ok(Filter {
        instrument,
        order: numeric("orderId")?,
        since_ms: numeric("startTime")?.unwrap_or(0),
        until_ms: numeric("endTime")?.unwrap_or(u64::MAX),
        below: numeric("idLessThan")?.unwrap_or(u64::MAX),
        count,
    })
}

impl Filter {
    fn takes(&self, instrument: InstrumentId, order: OrderId, id: u64, at_ms: u64) -> bool {
        self.instrument.is_none_or(|wanted| wanted == instrument)
            && self.order.is_none_or(|wanted| wanted == order.0)
            && (self.since_ms..=self.until_ms).contains(&at_ms)
            && id < self.below
    }
}

fn look<'a>(instrument: &'a Instrument, account: &Account) -> Look<'a> {
    Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user: account.user }
}

fn list<'a>(
    venue: &Venue,
    call: &Call,
    orders: impl Iterator<Item = &'a Order>,
    show: fn(&Order, Look<'_>) -> Value,
) -> Result<Answer, Reject> {
    let (filter, owner) = (filter(venue, call)?, account(venue, call)?);
    let taken = orders
        .filter(|order| filter.takes(order.instrument, order.id, order.id.0, order.created_ms))
        .take(filter.count);
    let items = taken.filter_map(|order| Some(show(order, look(venue.by_id(order.instrument)?, owner))));
    Ok(Value::Array(items.collect()).into())
}

pub(crate) fn order_info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let owner = account(venue, call)?;
    let by = |name: &str| call.query.get(name).filter(|value| !value.is_empty()).cloned();
    let items = match find(venue, call.account, by) {
        Ok(order) => venue.by_id(order.instrument).map(|it| order.detailed(look(it, owner))).into_iter().collect(),
        // An order that is not there is an empty answer, not an error.
        Err(reject) if reject.code == "43001" => Vec::new(),
        Err(reject) => return Err(reject),
    };
    Ok(Value::Array(items).into())
}

pub(crate) fn unfilled_orders(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    list(venue, call, account(venue, call)?.store.open(), Order::unfilled)
}

pub(crate) fn history_orders(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let ended = account(venue, call)?.store.newest_first().filter(|order| !order.status.is_open());
    list(venue, call, ended, Order::detailed)
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    if call.query.get("symbol").is_none_or(String::is_empty) {
        return Err(Reject::missing_query("symbol"));
    }
    let (filter, owner) = (filter(venue, call)?, account(venue, call)?);
    let taken = owner.store.fills().filter(|fill| filter.takes(fill.instrument, fill.order, fill.trade_id, fill.at_ms));
    let items =
        taken.take(filter.count).filter_map(|fill| Some(fill.listed(look(venue.by_id(fill.instrument)?, owner))));
    Ok(Value::Array(items.collect()).into())
}
