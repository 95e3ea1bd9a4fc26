//! The v2 dialect: its paths and the budget of each.

use crate::call::Access::Public;
use crate::call::{Route, get, post};
use crate::routes::{READ, TRADE};
use crate::{private, public};

/// Every path of v2, with the documented budget per second.
pub(crate) const ROUTES: &[Route] = &[
    get("/api/v2/public/time", 20, Public, public::time),
    get("/api/v2/spot/public/coins", 3, Public, public::coins),
    get("/api/v2/spot/public/symbols", 20, Public, public::symbols),
    get("/api/v2/spot/market/tickers", 20, Public, public::tickers),
    get("/api/v2/spot/market/orderbook", 20, Public, public::order_book),
    get("/api/v2/spot/market/candles", 20, Public, public::candles),
    get("/api/v2/spot/market/history-candles", 20, Public, public::candles),
    get("/api/v2/spot/market/fills", 10, Public, public::trades),
    get("/api/v2/spot/market/fills-history", 10, Public, public::trades),
    get("/api/v2/margin/currencies", 10, Public, public::nothing),
    get("/api/v2/mix/market/contracts", 20, Public, public::nothing),
    get("/api/v2/spot/account/info", 1, READ, private::account_info),
    get("/api/v2/spot/account/assets", 10, READ, private::assets),
    get("/api/v2/account/all-account-balance", 1, READ, private::all_balances),
    get("/api/v2/common/trade-rate", 10, READ, private::trade_rate),
    post("/api/v2/spot/trade/place-order", 10, TRADE, private::place_order),
    post("/api/v2/spot/trade/batch-orders", 5, TRADE, private::place_batch),
    post("/api/v2/spot/trade/cancel-order", 10, TRADE, private::cancel_order),
    post("/api/v2/spot/trade/batch-cancel-order", 10, TRADE, private::cancel_batch),
    post("/api/v2/spot/trade/cancel-symbol-order", 5, TRADE, private::cancel_symbol),
    get("/api/v2/spot/trade/orderInfo", 20, READ, private::order_info),
    get("/api/v2/spot/trade/unfilled-orders", 20, READ, private::unfilled_orders),
    get("/api/v2/spot/trade/history-orders", 20, READ, private::history_orders),
    get("/api/v2/spot/trade/fills", 10, READ, private::fills),
];
