//! How v3 shows orders and fills, of every category. Fees are positive here, where v2 has them negative.

use crate::Category;
use crate::depth::{price_text, qty_text};
use crate::orders::{Fill, Order, cancel_words, force_words, kind_words, self_trade_words};
use crate::venue::Instrument;
use serde_json::{Value, json};

/// The word of a category in REST.
pub(crate) const fn category_name(category: Category) -> &'static str {
    match category {
        Category::Spot => "SPOT",
        Category::UsdtFutures => "USDT-FUTURES",
    }
}

/// The word of a category in pushes.
const fn category_push(category: Category) -> &'static str {
    match category {
        Category::Spot => "spot",
        Category::UsdtFutures => "usdt-futures",
    }
}

/// Base and quote asked for: a market buy of spot has only the second, everything else only the first.
fn amounts(order: &Order, instrument: &Instrument) -> (String, String) {
    match order.budget {
        Some(budget) => ("0".into(), budget.to_string()),
        None => (qty_text(order.qty, &instrument.listing).to_string(), "0".into()),
    }
}

fn fees(order: &Order) -> Value {
    json!([{"feeCoin": order.fee_asset, "fee": order.fee.to_string()}])
}

/// An item of `order-info`, `unfilled-orders` and `history-orders`.
pub(crate) fn order(order: &Order, instrument: &Instrument) -> Value {
    let listing = &instrument.listing;
    let (qty, amount) = amounts(order, instrument);
    json!({
        "orderId": order.id.0.to_string(), "clientOid": order.client_oid,
        "category": category_name(instrument.category), "symbol": instrument.config.symbol,
        "orderType": kind_words(order.price.is_none()), "side": order.side.as_str(),
        "price": order.price_words(listing), "qty": qty, "amount": amount,
        "cumExecQty": qty_text(order.filled, listing).to_string(), "cumExecValue": order.filled_quote.to_string(),
        "avgPrice": order.average(listing), "timeInForce": force_words(order.force),
        "orderStatus": order.status.as_str(), "posSide": "", "holdMode": "", "delegateType": "normal",
        "tradeSide": "open", "reduceOnly": "NO", "marginMode": "crossed", "leverage": "",
        "stpMode": self_trade_words(order.self_trade), "takeProfit": "", "stopLoss": "", "tpTriggerBy": "",
        "slTriggerBy": "", "tpOrderType": "", "slOrderType": "", "tpLimitPrice": "", "slLimitPrice": "",
        "feeDetail": fees(order), "cancelReason": order.cancel_reason.map_or("", cancel_words), "execType": "normal",
        "createdTime": order.created_ms.to_string(), "updatedTime": order.updated_ms.to_string(),
    })
}

/// The `data` of a push on `order`.
pub(crate) fn order_push(order: &Order, instrument: &Instrument) -> Value {
    let listing = &instrument.listing;
    let (qty, amount) = amounts(order, instrument);
    let price = order.price.map(|price| price_text(price, listing).to_string()).unwrap_or_default();
    json!({
        "category": category_push(instrument.category), "symbol": instrument.config.symbol,
        "orderId": order.id.0.to_string(), "clientOid": order.client_oid, "price": price, "qty": qty,
        "amount": amount, "holdMode": "", "holdSide": "", "delegateType": "normal", "tradeSide": "open",
        "orderType": kind_words(order.price.is_none()), "timeInForce": force_words(order.force),
        "side": order.side.as_str(), "marginMode": "crossed", "marginCoin": "", "reduceOnly": "no",
        "cumExecQty": qty_text(order.filled, listing).to_string(), "cumExecValue": order.filled_quote.to_string(),
        "avgPrice": order.average(listing), "totalProfit": "0", "orderStatus": order.status.as_str(),
        "cancelReason": order.cancel_reason.map_or("", cancel_words), "leverage": "", "feeDetail": fees(order),
        "createdTime": order.created_ms.to_string(), "updatedTime": order.updated_ms.to_string(),
        "stpMode": self_trade_words(order.self_trade),
    })
}

const fn scope(fill: &Fill) -> &'static str {
    if fill.maker { "maker" } else { "taker" }
}

fn fill_fees(fill: &Fill) -> Value {
    json!([{"feeCoin": fill.fee_asset, "fee": fill.fee.to_string()}])
}

/// An item of `fills`.
pub(crate) fn fill(fill: &Fill, instrument: &Instrument) -> Value {
    let (listing, at) = (&instrument.listing, fill.at_ms.to_string());
    json!({
        "execId": fill.trade_id.to_string(), "execLinkId": fill.trade_id.to_string(),
        "orderId": fill.order.0.to_string(), "clientOid": fill.client_oid,
        "category": category_name(instrument.category), "symbol": instrument.config.symbol,
        "orderType": kind_words(fill.market_order), "side": fill.side.as_str(),
        "execPrice": price_text(fill.price, listing).to_string(), "execQty": qty_text(fill.qty, listing).to_string(),
        "execValue": fill.notional.to_string(), "tradeScope": scope(fill), "tradeSide": "open",
        "feeDetail": fill_fees(fill), "createdTime": at, "updatedTime": at, "execPnl": "0", "isRPI": "no",
    })
}

/// The `data` of a push on `fill`.
pub(crate) fn fill_push(fill: &Fill, instrument: &Instrument) -> Value {
    let (listing, at) = (&instrument.listing, fill.at_ms.to_string());
    json!({
        "symbol": instrument.config.symbol, "orderType": kind_words(fill.market_order), "updatedTime": at,
        "side": fill.side.as_str(), "orderId": fill.order.0.to_string(), "execPnl": "0",
        "feeDetail": fill_fees(fill), "execTime": at, "tradeScope": scope(fill), "tradeSide": "open",
        "execId": fill.trade_id.to_string(), "execLinkId": fill.trade_id.to_string(),
        "execPrice": price_text(fill.price, listing).to_string(), "holdSide": "",
        "execValue": fill.notional.to_string(), "category": category_push(instrument.category),
        "execQty": qty_text(fill.qty, listing).to_string(), "clientOid": fill.client_oid, "isRPI": "no",
    })
}

/// The `data` of a push on `fast-fill`: one object, with less in it.
pub(crate) fn fast_fill_push(fill: &Fill, instrument: &Instrument) -> Value {
    let (listing, at) = (&instrument.listing, fill.at_ms.to_string());
    json!({
        "symbol": instrument.config.symbol, "updatedTime": at, "side": fill.side.as_str(),
        "orderId": fill.order.0.to_string(), "execTime": at, "tradeScope": scope(fill),
        "execId": fill.trade_id.to_string(), "execPrice": price_text(fill.price, listing).to_string(), "holdSide": "",
        "category": category_push(instrument.category), "execQty": qty_text(fill.qty, listing).to_string(),
        "clientOid": fill.client_oid,
    })
}
