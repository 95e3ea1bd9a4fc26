//! The v2 dialect of classic accounts: its paths, the budget of each, and what its answers have in common.

pub(crate) mod mix_account;
pub(crate) mod mix_market;
pub(crate) mod mix_shapes;
pub(crate) mod mix_trade;
pub(crate) mod spot_account;
pub(crate) mod spot_market;
pub(crate) mod spot_shapes;
pub(crate) mod spot_trade;

use crate::accounts::Taken;
use crate::call::Access::Public;
use crate::call::{Call, Route, get, post};
use crate::reject::Reject;
use crate::routes::{MIX_READ, MIX_TRADE, READ, TRADE, TRANSFER};
use crate::ticket::{required, text};
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
    get("/api/v2/spot/account/info", 1, READ, spot_account::info),
    get("/api/v2/spot/account/assets", 10, READ, spot_account::assets),
    get("/api/v2/spot/account/bills", 10, READ, spot_account::bills),
    get("/api/v2/account/all-account-balance", 1, READ, spot_account::all_balances),
    get("/api/v2/account/funding-assets", 10, READ, spot_market::nothing),
    post("/api/v2/spot/wallet/transfer", 10, TRANSFER, mix_account::transfer),
    get("/api/v2/spot/account/transferRecords", 20, READ, mix_account::transfer_records),
    get("/api/v2/spot/wallet/deposit-records", 10, READ, spot_market::nothing),
    get("/api/v2/spot/wallet/withdrawal-records", 10, READ, spot_market::nothing),
    get("/api/v2/spot/trade/current-plan-order", 20, READ, spot_trade::no_plans),
    get("/api/v2/spot/trade/history-plan-order", 20, READ, spot_trade::no_plans),
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

/// Every path of v2 futures, with the documented budget per second.
pub(crate) const MIX_ROUTES: &[Route] = &[
    get("/api/v2/mix/market/vip-fee-rate", 10, Public, mix_market::vip_fee_rate),
    get("/api/v2/mix/market/contracts", 20, Public, mix_market::contracts),
    get("/api/v2/mix/market/ticker", 20, Public, mix_market::ticker),
    get("/api/v2/mix/market/tickers", 20, Public, mix_market::tickers),
    get("/api/v2/mix/market/merge-depth", 20, Public, mix_market::merge_depth),
    get("/api/v2/mix/market/candles", 20, Public, mix_market::candles),
    get("/api/v2/mix/market/history-candles", 20, Public, mix_market::history_candles),
    get("/api/v2/mix/market/history-mark-candles", 20, Public, mix_market::history_candles),
    get("/api/v2/mix/market/history-index-candles", 20, Public, mix_market::history_index_candles),
    get("/api/v2/mix/market/fills", 20, Public, mix_market::fills),
    get("/api/v2/mix/market/fills-history", 10, Public, mix_market::fills_history),
    get("/api/v2/mix/market/open-interest", 20, Public, mix_market::open_interest),
    get("/api/v2/mix/market/funding-time", 20, Public, mix_market::funding_time),
    get("/api/v2/mix/market/current-fund-rate", 20, Public, mix_market::current_fund_rate),
    get("/api/v2/mix/market/history-fund-rate", 20, Public, mix_market::history_fund_rate),
    get("/api/v2/mix/market/symbol-price", 20, Public, mix_market::symbol_price),
    get("/api/v2/mix/market/query-position-lever", 10, Public, mix_market::position_lever),
    get("/api/v2/mix/market/oi-limit", 10, Public, mix_market::interest_limit),
    get("/api/v2/mix/account/account", 10, MIX_READ, mix_account::single),
    get("/api/v2/mix/account/accounts", 10, MIX_READ, mix_account::all),
    post("/api/v2/mix/account/set-leverage", 5, MIX_TRADE, mix_account::set_leverage),
    post("/api/v2/mix/account/set-margin-mode", 5, MIX_TRADE, mix_account::set_margin_mode),
    post("/api/v2/mix/account/set-position-mode", 5, MIX_TRADE, mix_account::set_position_mode),
    get("/api/v2/mix/account/open-count", 10, MIX_READ, mix_account::open_count),
    get("/api/v2/mix/account/bill", 10, MIX_READ, mix_account::bills),
    get("/api/v2/mix/position/all-position", 5, MIX_READ, mix_account::all_positions),
    get("/api/v2/mix/position/single-position", 10, MIX_READ, mix_account::single_position),
    get("/api/v2/mix/position/history-position", 20, MIX_READ, mix_account::position_history),
    get("/api/v2/mix/position/adlRank", 10, MIX_READ, mix_account::adl_rank),
    post("/api/v2/mix/order/place-order", 10, MIX_TRADE, mix_trade::place_order),
    post("/api/v2/mix/order/batch-place-order", 5, MIX_TRADE, mix_trade::place_batch),
    post("/api/v2/mix/order/modify-order", 10, MIX_TRADE, mix_trade::modify),
    post("/api/v2/mix/order/cancel-order", 10, MIX_TRADE, mix_trade::cancel_order),
    post("/api/v2/mix/order/batch-cancel-orders", 10, MIX_TRADE, mix_trade::cancel_batch),
    post("/api/v2/mix/order/cancel-all-orders", 10, MIX_TRADE, mix_trade::cancel_all),
    post("/api/v2/mix/order/close-positions", 1, MIX_TRADE, mix_trade::close_positions),
    get("/api/v2/mix/order/detail", 10, MIX_READ, mix_trade::detail),
    get("/api/v2/mix/order/orders-pending", 10, MIX_READ, mix_trade::pending),
    get("/api/v2/mix/order/orders-history", 10, MIX_READ, mix_trade::history),
    get("/api/v2/mix/order/orders-plan-pending", 10, MIX_READ, mix_trade::no_plans),
    get("/api/v2/mix/order/orders-plan-history", 10, MIX_READ, mix_trade::no_plans),
    get("/api/v2/mix/order/fills", 10, MIX_READ, mix_trade::fills),
    get("/api/v2/mix/order/fill-history", 10, MIX_READ, mix_trade::fills),
];

/// Products that exist and have no instruments here; those with an `S` are of the old demo.
const EMPTY_PRODUCTS: [&str; 5] = ["COIN-FUTURES", "USDC-FUTURES", "SUSDT-FUTURES", "SCOIN-FUTURES", "SUSDC-FUTURES"];

fn product(word: &str) -> Result<bool, Reject> {
    if word.eq_ignore_ascii_case("USDT-FUTURES") {
        return Ok(true);
    }
    if EMPTY_PRODUCTS.iter().any(|empty| word.eq_ignore_ascii_case(empty)) {
        return Ok(false);
    }
    Err(Reject::invalid("productType"))
}

/// Whether the product of a query is the one offered here; false for one that exists and is empty.
pub(crate) fn product_of_query(call: &Call) -> Result<bool, Reject> {
    product(call.needed("productType")?)
}

/// Refuses a body of another product than the one offered here.
pub(crate) fn product_of_body(body: &Value) -> Result<(), Reject> {
    if product(&required(body, "productType")?)? { Ok(()) } else { Err(Reject::invalid("productType")) }
}

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
