//! REST answers that nobody here wrote, where a copy of them lies beside the workspace: each is read without loss, or
//! stands in the table of those that do not apply.

use crate::common::{id, place, symbol};
use crate::recorded::{lines, recording};
use domain::{Market, PositionSide, Scaled, Side, Symbol, UnixNanos, VenueOrderStatus};
use messages::{
    AccountMode, BillKind, BillReport, FillReport, KeyRight, MarginMode, OrderUpdate, PositionMode, PositionReport,
    QueryAnswer, SignIntent,
};
use rust_decimal::Decimal;
use serde_json::Value;
use venue_api::{ActAnswer, ListedInstrument, VenueCodecs};

/// Paths of stored cases that the codec does not read, and why. A path ending with `*` stands for all that begin so.
const NOT_OURS: &[(&str, &str)] = &[
    ("/api/v2/broker/*", "broker business"),
    ("/api/v2/margin/*", "margin trading"),
    ("/api/v2/earn/*", "savings"),
    ("/api/v2/copy/*", "copy trading"),
    ("/api/v2/spot/wallet/*", "moves money; such a request cannot be signed"),
    ("/api/v2/spot/account/transferRecords", "transfers come as bills"),
    ("/api/v2/spot/account/deduct-info", "fees in the venue's own coin are read from each fill"),
    ("/api/v2/spot/account/switch-deduct", "a setting of the owner"),
    ("/api/v2/spot/account/bills", "on spot, the change of a balance is its fills and fees"),
    ("/api/v2/account/*", "sums over wallets, for display only"),
    ("/api/v2/common/trade-rate", "fee rates come with the list of instruments, fees with each fill"),
    ("/api/v2/public/annoucements", "news for people"),
    ("/api/v2/spot/public/coins", "deposits and chains"),
    ("/api/v2/spot/market/candles", "candles come from the stream"),
    ("/api/v2/spot/market/history-candles", "candles come from the stream"),
    ("/api/v2/spot/market/orderbook", "books come from the stream, with their sequence"),
    ("/api/v2/spot/market/fills*", "trades come from the stream"),
    ("/api/v2/spot/market/vip-fee-rate", "fee rates come with the list of instruments"),
    ("/api/v2/spot/trade/batch-orders", "orders are placed one by one, each under its own record"),
    ("/api/v2/spot/trade/cancel-replace-order", "an order is cancelled, then a new one placed"),
    ("/api/v2/spot/trade/batch-cancel-replace-order", "an order is cancelled, then a new one placed"),
    ("/api/v2/spot/trade/batch-cancel-order", "orders are cancelled one by one, or all of an instrument"),
    ("/api/v2/spot/trade/place-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/spot/trade/modify-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/spot/trade/cancel-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/spot/trade/batch-cancel-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/spot/trade/current-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/spot/trade/history-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/spot/trade/plan-sub-order", "trigger orders rest in the bot"),
    ("/api/v2/mix/account/set-margin", "margin of isolated positions; orders draw on crossed margin"),
    ("/api/v2/mix/position/adlRank", "a rank without numbers"),
    ("/api/v2/mix/position/history-position", "results come as bills and fills"),
    ("/api/v2/mix/position/single-position", "all positions are asked for at once; the rows are the same"),
    ("/api/v2/mix/market/candles", "candles come from the stream"),
    ("/api/v2/mix/market/history-candles", "candles come from the stream"),
    ("/api/v2/mix/market/history-index-candles", "candles come from the stream"),
    ("/api/v2/mix/market/history-mark-candles", "candles come from the stream"),
    ("/api/v2/mix/market/merge-depth", "books come from the stream, with their sequence"),
    ("/api/v2/mix/market/fills*", "trades come from the stream"),
    ("/api/v2/mix/market/ticker", "the ticker comes from the stream"),
    ("/api/v2/mix/market/symbol-price", "mark and index price come from the stream"),
    ("/api/v2/mix/market/current-fund-rate", "the funding rate comes with the ticker of the stream"),
    ("/api/v2/mix/market/history-fund-rate", "funding that was paid comes as bills"),
    ("/api/v2/mix/market/funding-time", "the next funding comes with the ticker of the stream"),
    ("/api/v2/mix/market/open-interest", "open interest comes with the ticker of the stream"),
    ("/api/v2/mix/market/query-position-lever", "tiers of margin; leverage is bounded by the settings"),
    ("/api/v2/mix/market/vip-fee-rate", "fee rates come with the list of instruments"),
    ("/api/v2/mix/order/batch-place-order", "orders are placed one by one, each under its own record"),
    ("/api/v2/mix/order/batch-cancel-orders", "orders are cancelled one by one, or all of an instrument"),
    ("/api/v2/mix/order/close-positions", "positions are closed by orders with a price"),
    ("/api/v2/mix/order/modify-order", "an order is cancelled, then a new one placed"),
    ("/api/v2/mix/order/fill-history", "one week only, and refused to demo keys; `fills` has three months"),
    ("/api/v2/mix/order/cancel-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/mix/order/modify-tpsl-order", "protective orders rest in the bot"),
    ("/api/v2/mix/order/modify-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/mix/order/place-tpsl-order", "protective orders rest in the bot"),
    ("/api/v2/mix/order/place-plan-order", "trigger orders rest in the bot"),
    ("/api/v2/mix/order/place-pos-tpsl", "protective orders rest in the bot"),
    ("/api/v2/mix/order/orders-plan-pending", "trigger orders rest in the bot"),
    ("/api/v2/mix/order/orders-plan-history", "trigger orders rest in the bot"),
    ("/api/v2/mix/order/plan-sub-order", "trigger orders rest in the bot"),
    ("/api/v3/account/cancel-withdrawal", "moves money; such a request cannot be signed"),
    ("/api/v3/account/withdrawal*", "moves money; such a request cannot be signed"),
    ("/api/v3/account/withdraw-address", "moves money; such a request cannot be signed"),
    ("/api/v3/account/transfer", "moves money; such a request cannot be signed"),
    ("/api/v3/account/transferable-coins", "moves money; such a request cannot be signed"),
    ("/api/v3/account/max-transferable", "moves money; such a request cannot be signed"),
    ("/api/v3/account/deposit*", "deposits"),
    ("/api/v3/account/repay", "loans"),
    ("/api/v3/account/repayable-coins", "loans"),
    ("/api/v3/account/payment-coins", "loans"),
    ("/api/v3/account/convert-records", "conversions are not ours"),
    ("/api/v3/account/deduct-info", "fees in the venue's own coin are read from each fill"),
    ("/api/v3/account/switch-deduct", "a setting of the owner"),
    ("/api/v3/account/delta-info", "delta-neutral mode is not ours"),
    ("/api/v3/account/fee-rate", "fee rates come with the list of instruments, fees with each fill"),
    ("/api/v3/account/funding-assets", "the funding wallet is not traded with"),
    ("/api/v3/account/open-interest-limit", "limits of market makers"),
    ("/api/v3/account/switch-status", "a setting of the owner"),
    ("/api/v3/account/switch", "a setting of the owner"),
    ("/api/v3/account/adjust-account-mode", "a setting of the owner"),
    ("/api/v3/account/max-open-available", "the risk guard knows what may be opened"),
    ("/api/v3/market/discount-rate", "collateral ratios of coins"),
    ("/api/v3/market/current-fund-rate", "the funding rate comes with the ticker of the stream"),
    ("/api/v3/market/history-fund-rate", "funding that was paid comes as bills"),
    ("/api/v3/market/index-components", "what the index is made of"),
    ("/api/v3/market/candles", "candles come from the stream"),
    ("/api/v3/market/history-candles", "candles come from the stream"),
    ("/api/v3/market/margin-loans", "loans"),
    ("/api/v3/market/open-interest", "open interest comes with the ticker of the stream"),
    ("/api/v3/market/oi-limit", "limits of market makers"),
    ("/api/v3/market/orderbook", "books come from the stream, with their sequence"),
    ("/api/v3/market/position-tier", "tiers of margin; leverage is bounded by the settings"),
    ("/api/v3/market/proof-of-reserves", "news for people"),
    ("/api/v3/market/fills", "trades come from the stream"),
    ("/api/v3/trade/close-positions", "positions are closed by orders with a price"),
    ("/api/v3/trade/modify-order", "an order is cancelled, then a new one placed"),
    ("/api/v3/trade/cancel-strategy-order", "protective orders rest in the bot"),
    ("/api/v3/trade/modify-strategy-order", "protective orders rest in the bot"),
    ("/api/v3/trade/place-strategy-order", "protective orders rest in the bot"),
    ("/api/v3/trade/history-strategy-orders", "protective orders rest in the bot"),
    ("/api/v3/trade/unfilled-strategy-orders", "protective orders rest in the bot"),
    ("/api/v3/position/adlRank", "a rank without numbers"),
    ("/api/v3/position/history-position", "results come as bills and fills"),
];

fn reason(path: &str) -> Option<&'static str> {
    let stands_for = |known: &str| known.strip_suffix('*').map_or(known == path, |start| path.starts_with(start));
    NOT_OURS.iter().find(|(known, _)| stands_for(known)).map(|(_, reason)| *reason)
}

/// One stored case with the codec of its generation.
struct Case {
    codecs: VenueCodecs,
    body: String,
    data: Value,
}

fn number(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn same(scaled: Scaled, value: &Value) {
    assert_eq!(scaled.decimal(), number(value));
}

fn millis(at: UnixNanos, value: &Value) {
    assert_eq!(Decimal::from(at.as_millis()), number(value));
}

impl Case {
    fn ask(&self, intent: &SignIntent) -> QueryAnswer {
        self.codecs.rest.query_answer(intent, 200, self.body.as_bytes())
    }

    /// The answer to an intent about our own id, once for the body as it is, which is about another order.
    fn act_about(&self, intent: &SignIntent, stored_id: &str) {
        assert_eq!(self.codecs.rest.act_answer(intent, 200, self.body.as_bytes()), ActAnswer::Unclear);
        let ours = self.body.replace(&format!("\"clientOid\":\"{stored_id}\""), &format!("\"clientOid\":\"{}\"", id()));
        let ActAnswer::Accepted(order) = self.codecs.rest.act_answer(intent, 200, ours.as_bytes()) else {
            panic!("{ours}")
        };
        assert_eq!(order.as_str(), self.data.get("orderId").unwrap().as_str().unwrap());
    }

    fn orders(&self, intent: &SignIntent) -> Vec<OrderUpdate> {
        match self.ask(intent) {
            QueryAnswer::Orders { page, .. } => page,
            other => panic!("{other:?}: {}", self.body),
        }
    }

    fn fills(&self, symbol: Symbol) -> Vec<FillReport> {
        match self.ask(&SignIntent::Fills { symbol, since: UnixNanos(0), older_than: None }) {
            QueryAnswer::Fills { page, .. } => page,
            other => panic!("{other:?}: {}", self.body),
        }
    }

    fn one_order(&self, symbol: Symbol, stored_id: &str) -> OrderUpdate {
        let ours = self.body.replace(&format!("\"clientOid\":\"{stored_id}\""), &format!("\"clientOid\":\"{}\"", id()));
        let intent = SignIntent::QueryOrder { symbol, id: id() };
        match self.codecs.rest.query_answer(&intent, 200, ours.as_bytes()) {
            QueryAnswer::Order(Some(order)) => order,
            other => panic!("{other:?}: {ours}"),
        }
    }

    fn positions(&self) -> Vec<PositionReport> {
        match self.ask(&SignIntent::Positions) {
            QueryAnswer::Positions(list) => list,
            other => panic!("{other:?}: {}", self.body),
        }
    }

    fn bills(&self) -> Vec<BillReport> {
        match self.ask(&SignIntent::Bills { since: UnixNanos(0), older_than: None }) {
            QueryAnswer::Bills { page, .. } => page,
            other => panic!("{other:?}: {}", self.body),
        }
    }

    fn listed(&self) -> Vec<ListedInstrument> {
        self.codecs.public.instruments(200, self.body.as_bytes()).unwrap()
    }

    fn done(&self, intent: &SignIntent) {
        assert_eq!(self.codecs.rest.act_answer(intent, 200, self.body.as_bytes()), ActAnswer::Done);
    }
}

/// An order row of the classic interface, whose price, size and time are compared.
fn same_classic_order(order: &OrderUpdate, row: &Value) {
    same(order.filled, &row["baseVolume"]);
    assert_eq!(order.venue_order_id.as_str(), row["orderId"]);
    assert_eq!(order.client_id.as_str(), row["clientOid"]);
    let name = row["symbol"].as_str().unwrap().to_ascii_uppercase();
    assert_eq!(order.symbol.trim_end_matches(Market::PERPETUAL_SUFFIX), name);
    if row["orderType"] == "limit" {
        same(order.qty, &row["size"]);
        same(order.price.unwrap(), row.get("price").unwrap_or(&row["priceAvg"]));
    } else {
        assert_eq!((order.qty, order.price), (order.filled, None));
    }
}

fn same_unified_order(order: &OrderUpdate, row: &Value) {
    same(order.filled, &row["cumExecQty"]);
    millis(order.created, &row["createdTime"]);
    millis(order.updated, &row["updatedTime"]);
    assert_eq!(
        (order.venue_order_id.as_str(), order.client_id.as_str()),
        (row["orderId"].as_str().unwrap(), row["clientOid"].as_str().unwrap())
    );
    if row["orderType"] == "limit" {
        same(order.qty, &row["qty"]);
        same(order.price.unwrap(), &row["price"]);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one arm for each stored answer")]
fn every_stored_answer_is_read_without_loss_or_does_not_apply() {
    let Some(bytes) = recording("payload_fixtures/jkorf/bitget_rest.jsonl") else { return };
    let (mut read, mut left_out) = (0, 0);
    let (spot, perpetual) = (symbol("BTCUSDT"), symbol("BTCUSDT-PERP"));
    let eth = symbol("ETHUSDT-PERP");
    let since = UnixNanos(0);
    let futures_place = || match place() {
        SignIntent::Place(order) => SignIntent::Place(messages::PlaceOrder { symbol: symbol("BTCUSDT-PERP"), ..order }),
        _ => unreachable!(),
    };
    let cancel = |symbol| SignIntent::Cancel { symbol, id: id(), venue_order_id: None };
    for stored in lines(&bytes) {
        let path = stored["path"].as_str().unwrap();
        let mode = if path.starts_with("/api/v3/") { AccountMode::Unified } else { AccountMode::Classic };
        let case = Case {
            codecs: crate::common::all_of(mode),
            body: stored["response"].to_string(),
            data: stored["response"]["data"].clone(),
        };
        let data = &case.data;
        match path {
            "/api/v2/public/time" => {
                let time = case.codecs.public.server_time(200, case.body.as_bytes()).unwrap();
                millis(time, &data["serverTime"]);
            }
            "/api/v2/spot/public/symbols" => {
                let listed = &case.listed()[0];
                assert_eq!((listed.market, listed.price_decimals, listed.qty_decimals), (Market::Spot, 4, 8));
                assert_eq!((listed.min_qty, listed.max_qty), (10_000, 1_000_000_000_000));
                assert_eq!(listed.min_notional.0, number(&data[0]["minTradeUSDT"]));
            }
            "/api/v2/mix/market/contracts" => {
                let listed = &case.listed()[0];
                assert_eq!((listed.symbol, listed.market, listed.leverage_max), (perpetual, Market::UsdtFutures, 125));
                assert_eq!((listed.price_decimals, listed.tick, listed.qty_decimals, listed.lot), (1, 1, 2, 1));
                assert_eq!(
                    (listed.min_qty, listed.maker_fee.0, listed.taker_fee.0),
                    (1, number(&data[0]["makerFeeRate"]), number(&data[0]["takerFeeRate"]))
                );
            }
            "/api/v3/market/instruments" => {
                let listed = &case.listed()[0];
                assert_eq!((listed.symbol, listed.market, listed.leverage_max), (perpetual, Market::UsdtFutures, 150));
                assert_eq!((listed.price_decimals, listed.tick, listed.qty_decimals, listed.lot), (1, 1, 4, 1));
                assert_eq!(
                    (listed.min_qty, listed.max_qty, listed.min_notional.to_string()),
                    (1, 12_000_000, "5".to_owned())
                );
            }
            "/api/v2/spot/market/tickers" | "/api/v2/mix/market/tickers" | "/api/v3/market/tickers" => {
                let prices = case.codecs.public.prices(200, case.body.as_bytes()).unwrap();
                let rows = data.as_array().unwrap();
                assert_eq!(prices.len(), rows.len());
                for ((name, price), row) in prices.iter().zip(rows) {
                    same(*price, row.get("lastPr").unwrap_or(&row["lastPrice"]));
                    assert_eq!(Market::of(name).has_positions(), !path.contains("spot"), "{name}");
                }
            }
            "/api/v2/spot/account/info" => {
                let QueryAnswer::KeyInfo(info) = case.ask(&SignIntent::KeyInfo) else { panic!("{}", case.body) };
                assert_eq!((info.bound_addresses, info.account.as_str()), (1, data["userId"].as_str().unwrap()));
                assert_eq!(
                    (info.account_mode, info.rights.as_slice()),
                    (Some(mode), &[KeyRight::Unknown][..]),
                    "words without a product"
                );
            }
            "/api/v3/account/info" => {
                let QueryAnswer::KeyInfo(info) = case.ask(&SignIntent::KeyInfo) else { panic!("{}", case.body) };
                assert_eq!(
                    (info.bound_addresses, info.account.as_str(), info.parent),
                    (2, data["userId"].as_str().unwrap(), None)
                );
                assert!(info.rights.contains(&KeyRight::FuturesTrade) && info.account_mode == Some(mode));
            }
            "/api/v2/spot/account/assets" => {
                let QueryAnswer::Balances(list) = case.ask(&SignIntent::Balances) else { panic!("{}", case.body) };
                assert_eq!(
                    (list.len(), list[0].asset.as_str(), list[0].available.0),
                    (1, "USDT", number(&data[0]["available"]))
                );
                assert_eq!(list[0].venue_time.as_millis(), 1_622_697_148_000, "stated in seconds");
            }
            "/api/v2/mix/account/accounts" => {
                let QueryAnswer::Balances(list) = case.ask(&SignIntent::FuturesBalances) else {
                    panic!("{}", case.body)
                };
                assert_eq!((list[0].wallet, list[0].available.0), (Market::UsdtFutures, number(&data[0]["available"])));
                assert_eq!(list[0].available.0 + list[0].held.0, number(&data[0]["accountEquity"]));
            }
            "/api/v3/account/assets" => {
                let QueryAnswer::Balances(list) = case.ask(&SignIntent::Balances) else { panic!("{}", case.body) };
                let rows = data["assets"].as_array().unwrap();
                assert_eq!(list.len(), rows.len());
                for (balance, row) in list.iter().zip(rows) {
                    assert_eq!(
                        (balance.asset.as_str(), balance.available.0),
                        (row["coin"].as_str().unwrap(), number(&row["available"]))
                    );
                    assert_eq!(balance.available.0 + balance.held.0, number(&row["balance"]));
                }
            }
            "/api/v2/spot/trade/place-order" => case.act_about(&place(), "121211212122"),
            "/api/v2/mix/order/place-order" => case.act_about(&futures_place(), "121211212122"),
            "/api/v3/trade/place-order" => case.act_about(&place(), "121211212122"),
            "/api/v2/spot/trade/cancel-order" => case.act_about(&cancel(spot), "xx001"),
            "/api/v3/trade/cancel-order" => case.act_about(&cancel(perpetual), "121211212122"),
            "/api/v2/mix/order/cancel-order" => {
                // The stored answer names the venue's id alone.
                let venue_id = crate::common::venue_id("123");
                let intent = SignIntent::Cancel { symbol: perpetual, id: id(), venue_order_id: Some(venue_id) };
                let answer = case.codecs.rest.act_answer(&intent, 200, case.body.as_bytes());
                assert_eq!(answer, ActAnswer::Accepted(venue_id));
            }
            "/api/v2/spot/trade/cancel-symbol-order" => case.done(&SignIntent::CancelAll { symbol: spot }),
            "/api/v2/mix/order/cancel-all-orders" => {
                // One of the stored orders could not be cancelled, for a reason without a code.
                let intent = SignIntent::CancelAll { symbol: perpetual };
                let ActAnswer::Failed(error) = case.codecs.rest.act_answer(&intent, 200, case.body.as_bytes()) else {
                    panic!("{}", case.body)
                };
                assert_eq!(error.text.as_str(), data["failureList"][0]["errorMsg"]);
            }
            // The stored leg failed because its order was gone already.
            "/api/v3/trade/cancel-symbol-order" => case.done(&SignIntent::CancelAll { symbol: spot }),
            "/api/v2/spot/trade/orderInfo" => {
                let order = case.one_order(symbol("TRXUSDT"), "1-2-1-2-1");
                same(order.filled, &data[0]["baseVolume"]);
                assert_eq!(
                    (order.status, order.qty),
                    (VenueOrderStatus::Filled, order.filled),
                    "a market buy, in quote"
                );
                millis(order.created, &data[0]["cTime"]);
            }
            "/api/v2/mix/order/detail" => {
                let order = case.one_order(eth, "77777");
                same(order.price.unwrap(), &data["price"]);
                same(order.qty, &data["size"]);
                same(order.filled, &data["baseVolume"]);
                assert_eq!((order.status, order.symbol), (VenueOrderStatus::Filled, eth));
            }
            "/api/v3/trade/order-info" => {
                let order = case.one_order(symbol("ETHUSDT"), "111111111111111111");
                same(order.filled, &data["cumExecQty"]);
                assert_eq!((order.symbol.as_str(), order.price, order.qty), ("ETHUSDT", None, order.filled));
            }
            "/api/v2/spot/trade/unfilled-orders" => {
                let orders = case.orders(&SignIntent::OpenOrders { symbol: spot, older_than: None });
                same_classic_order(&orders[0], &data[0]);
                assert_eq!(orders[0].created.as_millis(), 1_622_697_148_000, "stated in seconds");
            }
            "/api/v2/spot/trade/history-orders" => {
                let orders = case.orders(&SignIntent::OrderHistory { symbol: spot, since, older_than: None });
                same_classic_order(&orders[0], &data[0]);
            }
            "/api/v2/mix/order/orders-pending" => {
                let orders = case.orders(&SignIntent::OpenOrders { symbol: perpetual, older_than: None });
                let row = &data["entrustedList"][0];
                same_classic_order(&orders[0], row);
                millis(orders[0].created, &row["cTime"]);
                assert_eq!((orders[0].side, Market::of(&orders[0].symbol)), (Side::Buy, Market::UsdtFutures));
            }
            "/api/v2/mix/order/orders-history" => {
                let orders = case.orders(&SignIntent::OrderHistory { symbol: perpetual, since, older_than: None });
                same_classic_order(&orders[0], &data["entrustedList"][0]);
            }
            "/api/v3/trade/unfilled-orders" => {
                let orders = case.orders(&SignIntent::OpenOrders { symbol: perpetual, older_than: None });
                same_unified_order(&orders[0], &data["list"][0]);
            }
            "/api/v3/trade/history-orders" => {
                let orders = case.orders(&SignIntent::OrderHistory { symbol: perpetual, since, older_than: None });
                same_unified_order(&orders[0], &data["list"][0]);
            }
            "/api/v2/spot/trade/fills" => {
                let (fill, row) = (case.fills(spot)[0], &data[0]);
                same(fill.price, &row["priceAvg"]);
                same(fill.qty, &row["size"]);
                assert_eq!(fill.fee.amount.0, -number(&row["feeDetail"]["totalFee"]));
                millis(fill.venue_time, &row["cTime"]);
            }
            "/api/v2/mix/order/fills" => {
                let (fill, row) = (case.fills(eth)[0], &data["fillList"][0]);
                same(fill.price, &row["price"]);
                same(fill.qty, &row["baseVolume"]);
                assert_eq!(
                    (fill.fee.amount.0, fill.fee.asset.as_str()),
                    (-number(&row["feeDetail"][0]["totalFee"]), "BGB")
                );
                millis(fill.venue_time, &row["cTime"]);
            }
            "/api/v3/trade/fills" => {
                let (fill, row) = (case.fills(perpetual)[0], &data["list"][0]);
                same(fill.price, &row["execPrice"]);
                same(fill.qty, &row["execQty"]);
                assert_eq!(fill.fee.amount.0, number(&row["feeDetail"][0]["fee"]), "positive is paid");
                millis(fill.venue_time, &row["createdTime"]);
                assert!(case.fills(spot).is_empty(), "another market");
            }
            "/api/v2/mix/position/all-position" => {
                let (position, row) = (case.positions()[0], &data[0]);
                assert_eq!(
                    (position.symbol, position.side, position.margin_mode),
                    (perpetual, PositionSide::Long, MarginMode::Isolated)
                );
                assert_eq!((position.qty.0, position.leverage), (number(&row["total"]), 20));
                assert_eq!(position.entry.unwrap().0, number(&row["openPriceAvg"]));
                assert_eq!(position.liquidation.unwrap().0, number(&row["liquidationPrice"]));
                assert_eq!(
                    (position.margin.unwrap().0, position.unrealised.0),
                    (number(&row["marginSize"]), number(&row["unrealizedPL"]))
                );
            }
            "/api/v3/position/current-position" => {
                let (position, row) = (case.positions()[0], &data["list"][0]);
                assert_eq!(
                    (position.symbol, position.side, position.margin_mode),
                    (perpetual, PositionSide::Long, MarginMode::Crossed)
                );
                assert_eq!((position.qty.0, position.leverage), (number(&row["total"]), 3));
                assert_eq!(position.entry.unwrap().0, number(&row["avgPrice"]));
                assert_eq!(
                    (position.mark.unwrap().0, position.unrealised.0),
                    (number(&row["markPrice"]), number(&row["unrealisedPnl"]))
                );
                millis(position.venue_time, &row["updatedTime"]);
            }
            "/api/v2/mix/account/account" => {
                let answer = case.ask(&SignIntent::FuturesSettings { symbol: perpetual });
                let QueryAnswer::FuturesSettings(settings) = answer else { panic!("{}", case.body) };
                assert_eq!((settings.leverage_long, settings.position_mode), (20, PositionMode::Hedge));
            }
            "/api/v3/account/settings" => {
                let answer = case.ask(&SignIntent::FuturesSettings { symbol: symbol("BGBUSDT-PERP") });
                let QueryAnswer::FuturesSettings(settings) = answer else { panic!("{}", case.body) };
                assert_eq!((settings.leverage_long, settings.position_mode), (20, PositionMode::OneWay));
            }
            "/api/v2/mix/account/bill" => {
                let bills = case.bills();
                assert_eq!((bills[0].kind, bills[1].kind), (BillKind::Funding, BillKind::Fee));
                for (bill, row) in bills.iter().zip(data["bills"].as_array().unwrap()) {
                    assert_eq!(bill.amount.0, number(&row["amount"]) + number(&row["fee"]));
                    millis(bill.venue_time, &row["cTime"]);
                }
            }
            "/api/v3/account/financial-records" => {
                let (bill, row) = (case.bills()[0], &data["list"][0]);
                assert_eq!((bill.amount.0, bill.asset.as_str()), (number(&row["amount"]) + number(&row["fee"]), "BTC"));
                millis(bill.venue_time, &row["ts"]);
            }
            "/api/v2/mix/account/set-leverage" | "/api/v3/account/set-leverage" => {
                case.done(&SignIntent::SetLeverage { symbol: perpetual, leverage: 20 });
            }
            "/api/v2/mix/account/set-margin-mode" => {
                case.done(&SignIntent::SetMarginMode { symbol: perpetual, mode: MarginMode::Crossed });
            }
            "/api/v2/mix/account/set-position-mode" | "/api/v3/account/set-hold-mode" => {
                case.done(&SignIntent::SetPositionMode { mode: PositionMode::OneWay });
            }
            _ => {
                assert!(reason(path).is_some(), "{path} is neither read nor in the table of those that do not apply");
                left_out += 1;
                continue;
            }
        }
        assert_eq!(reason(path), None, "{path} is read and in the table of those that do not apply");
        read += 1;
    }
    assert_eq!((read, left_out), (45, 139));
}
