//! The v2 dialect of classic accounts: its paths, the budget of each, and what its answers have in common.

pub(crate) mod spot_account;
pub(crate) mod spot_market;
pub(crate) mod spot_shapes;
pub(crate) mod spot_trade;

use crate::accounts::Taken;
use crate::call::Access::Public;
use crate::call::{Call, Route, get, post};
use crate::reject::Reject;
use crate::routes::{READ, TRADE};
use crate::ticket::text;
use serde_json::{Value, json};

/// Every path of v2 spot, with the documented budget per second.
pub(crate) const ROUTES: &[Route] = &[
    get("/api/v2/public/time", 20, Public, spot_market::time),
    get("/api/v2/public/annoucements", 20, Public, spot_market::nothing),
    get("/api/v2/spot/public/coins", 3, Public, spot_market::coins),
    get("/api/v2/spot/public/symbols", 20, Public, spot_market::symbols),
    get("/api/v2/spot/market/vip-fee-rate", 10, Public, spot_market::vip_fee_rate),
    get("/api/v2/spot/market/tickers", 20, Public, spot_market::tickers),
    get("/api/v2/spot/market/orderbook", 20, Public, spot_market::order_book),
    get("/api/v2/spot/market/merge-depth", 20, Public, spot_market::merge_depth),
    get("/api/v2/spot/market/candles", 20, Public, spot_market::candles),
    get("/api/v2/spot/market/history-candles", 20, Public, spot_market::history_candles),
    get("/api/v2/spot/market/fills", 10, Public, spot_market::fills),
    get("/api/v2/spot/market/fills-history", 10, Public, spot_market::fills_history),
    get("/api/v2/margin/currencies", 10, Public, spot_market::margin_currencies),
    get("/api/v2/mix/market/contracts", 20, Public, spot_market::nothing),
    get("/api/v2/spot/account/info", 1, READ, spot_account::info),
    get("/api/v2/spot/account/assets", 10, READ, spot_account::assets),
    get("/api/v2/spot/account/bills", 10, READ, spot_account::bills),
    get("/api/v2/account/all-account-balance", 1, READ, spot_account::all_balances),
    get("/api/v2/account/funding-assets", 10, READ, spot_market::nothing),
    get("/api/v2/common/trade-rate", 10, READ, spot_account::trade_rate),
    post("/api/v2/spot/trade/place-order", 10, TRADE, spot_trade::place_order),
    post("/api/v2/spot/trade/batch-orders", 5, TRADE, spot_trade::place_batch),
    post("/api/v2/spot/trade/cancel-order", 10, TRADE, spot_trade::cancel_order),
    post("/api/v2/spot/trade/batch-cancel-order", 10, TRADE, spot_trade::cancel_batch),
    post("/api/v2/spot/trade/cancel-symbol-order", 5, TRADE, spot_trade::cancel_symbol),
    post("/api/v2/spot/trade/cancel-replace-order", 10, TRADE, spot_trade::cancel_replace),
    post("/api/v2/spot/trade/batch-cancel-replace-order", 5, TRADE, spot_trade::cancel_replace_batch),
    get("/api/v2/spot/trade/orderInfo", 20, READ, spot_trade::order_info),
    get("/api/v2/spot/trade/unfilled-orders", 20, READ, spot_trade::unfilled_orders),
    get("/api/v2/spot/trade/history-orders", 20, READ, spot_trade::history_orders),
    get("/api/v2/spot/trade/fills", 10, READ, spot_trade::fills),
];

/// Orders in one batch.
const BATCH_MAX: usize = 50;

/// The list of a batch, which has something in it and not too much.
pub(crate) fn batch<'a>(call: &'a Call, name: &str) -> Result<&'a [Value], Reject> {
    let list = call.body.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Reject::empty(name))?;
    if list.len() > BATCH_MAX {
        return Err(Reject::new("40306", format!("Batch processing orders can only process up to {BATCH_MAX}")));
    }
    Ok(list)
}

/// An order that was taken or cancelled.
pub(crate) fn taken((id, client_oid): &Taken) -> Value {
    json!({"orderId": id.0.to_string(), "clientOid": client_oid})
}

/// An item of a batch that was refused.
pub(crate) fn failure(item: &Value, reject: &Reject) -> Value {
    json!({
        "orderId": text(item, "orderId"), "clientOid": text(item, "clientOid"),
        "errorMsg": reject.message, "errorCode": reject.code,
    })
}
