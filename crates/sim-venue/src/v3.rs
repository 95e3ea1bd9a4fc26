//! The v3 dialect of unified accounts: its paths and the budget of each.

pub(crate) mod account;
pub(crate) mod codes;
pub(crate) mod market;
pub(crate) mod shapes;
pub(crate) mod trade;

use crate::call::Access::Public;
use crate::call::{Route, get, post};
use crate::routes::{UNIFIED_READ, UNIFIED_TRADE};

/// Every path of v3, with the documented budget per second.
pub(crate) const ROUTES: &[Route] = &[
    get("/api/v3/market/instruments", 20, Public, market::instruments),
    get("/api/v3/market/tickers", 20, Public, market::tickers),
    get("/api/v3/market/orderbook", 20, Public, market::order_book),
    get("/api/v3/market/fills", 20, Public, market::fills),
    get("/api/v3/market/candles", 20, Public, market::candles),
    get("/api/v3/market/history-candles", 20, Public, market::history_candles),
    get("/api/v3/market/open-interest", 20, Public, market::open_interest),
    get("/api/v3/market/current-fund-rate", 20, Public, market::current_fund_rate),
    get("/api/v3/market/history-fund-rate", 20, Public, market::history_fund_rate),
    get("/api/v3/market/position-tier", 20, Public, market::position_tier),
    get("/api/v3/market/oi-limit", 20, Public, market::interest_limit),
    get("/api/v3/account/settings", 20, UNIFIED_READ, account::settings),
    get("/api/v3/account/info", 5, UNIFIED_READ, account::info),
    get("/api/v3/account/assets", 20, UNIFIED_READ, account::assets),
    get("/api/v3/account/funding-assets", 20, UNIFIED_READ, account::funding_assets),
    get("/api/v3/account/fee-rate", 20, UNIFIED_READ, account::fee_rate),
    get("/api/v3/account/all-fee-rate", 20, UNIFIED_READ, account::all_fee_rates),
    get("/api/v3/account/financial-records", 20, UNIFIED_READ, account::records),
    post("/api/v3/account/set-leverage", 10, UNIFIED_TRADE, account::set_leverage),
    post("/api/v3/account/set-hold-mode", 10, UNIFIED_TRADE, account::set_hold_mode),
    post("/api/v3/trade/close-positions", 5, UNIFIED_TRADE, trade::close_positions),
    get("/api/v3/position/current-position", 20, UNIFIED_READ, trade::current_position),
    get("/api/v3/position/history-position", 20, UNIFIED_READ, trade::position_history),
    post("/api/v3/trade/place-order", 10, UNIFIED_TRADE, trade::place_order),
    post("/api/v3/trade/place-batch", 5, UNIFIED_TRADE, trade::place_batch),
    post("/api/v3/trade/modify-order", 10, UNIFIED_TRADE, trade::modify_order),
    post("/api/v3/trade/cancel-order", 10, UNIFIED_TRADE, trade::cancel_order),
    post("/api/v3/trade/cancel-batch", 5, UNIFIED_TRADE, trade::cancel_batch),
    post("/api/v3/trade/cancel-symbol-order", 5, UNIFIED_TRADE, trade::cancel_symbol),
    post("/api/v3/trade/countdown-cancel-all", 1, UNIFIED_TRADE, trade::countdown),
    get("/api/v3/trade/order-info", 20, UNIFIED_READ, trade::order_info),
    get("/api/v3/trade/unfilled-orders", 20, UNIFIED_READ, trade::unfilled_orders),
    get("/api/v3/trade/history-orders", 20, UNIFIED_READ, trade::history_orders),
    get("/api/v3/trade/unfilled-strategy-orders", 20, UNIFIED_READ, account::funding_assets),
    get("/api/v3/trade/history-strategy-orders", 20, UNIFIED_READ, trade::no_strategies),
    get("/api/v3/trade/fills", 20, UNIFIED_READ, trade::fills),
];
