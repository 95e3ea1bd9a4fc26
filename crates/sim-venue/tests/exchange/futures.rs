//! Futures of v2: contracts, orders in both position modes, positions, bills, and the private channels.

use crate::client::{Answer, Rest, Stream, now_ms, seeded, start};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{Permission, RunningSim, SimConfig};

const PRODUCT: &str = "productType=USDT-FUTURES";

fn venue() -> RunningSim {
    let permissions = vec![Permission::Read, Permission::Trade, Permission::FuturesTrade, Permission::Transfer];
    start(SimConfig { permissions, ..seeded() })
}

fn number(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).parse().unwrap()
}

/// An order's body with what all of them have.
fn order(more: &Value) -> Value {
    let mut body = json!({
        "symbol": "BTCUSDT", "productType": "usdt-futures", "marginMode": "crossed", "marginCoin": "usdt",
        "size": "0.01", "side": "buy", "orderType": "market",
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn place(rest: &Rest, more: Value) -> Answer {
    rest.post("/api/v2/mix/order/place-order", &order(&more)).await
}

async fn detail(rest: &Rest, client_oid: &str) -> Value {
    let target = format!("/api/v2/mix/order/detail?symbol=BTCUSDT&{PRODUCT}&clientOid={client_oid}");
    rest.get(&target).await.data().clone()
}

async fn positions(rest: &Rest) -> Vec<Value> {
    let target = format!("/api/v2/mix/position/all-position?marginCoin=USDT&{PRODUCT}");
    rest.get(&target).await.data().as_array().unwrap().clone()
}

async fn last(rest: &Rest) -> Decimal {
    let tickers = rest.get(&format!("/api/v2/mix/market/ticker?symbol=BTCUSDT&{PRODUCT}")).await;
    number(&tickers.data()[0]["lastPr"])
}

/// A limit price so far from the market that it rests.
async fn far(rest: &Rest, percent: i64) -> String {
    (last(rest).await * Decimal::new(percent, 2)).round_dp(1).to_string()
}

#[tokio::test]
async fn public_answers_about_futures_have_the_venues_shapes() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let get = async |path: &str| rest.get(&format!("/api/v2/mix/market/{path}")).await;
    let contracts = get(&format!("contracts?{PRODUCT}")).await.data().clone();
    let btc = contracts.as_array().unwrap().iter().find(|item| item["symbol"] == "BTCUSDT").unwrap();
    assert_eq!((btc["symbolType"].as_str(), btc["symbolStatus"].as_str()), (Some("perpetual"), Some("normal")));
    assert_eq!(btc["supportMarginCoins"], json!(["USDT"]));
    assert_eq!((&btc["pricePlace"], &btc["volumePlace"], &btc["maxLever"]), (&json!("1"), &json!("4"), &json!("150")));
    for empty in ["COIN-FUTURES", "USDC-FUTURES", "SUSDT-FUTURES", "SCOIN-FUTURES", "SUSDC-FUTURES"] {
        assert_eq!(get(&format!("contracts?productType={empty}")).await.data(), &json!([]), "{empty}");
    }
    let tickers = get(&format!("tickers?{PRODUCT}")).await.data().clone();
    assert_eq!(tickers.as_array().unwrap().len(), 2);
    for name in ["markPrice", "indexPrice", "fundingRate", "holdingAmount", "open24h", "changeUtc24h"] {
        assert!(tickers[0][name].is_string(), "{name}: {}", tickers[0]);
    }
    let one = get(&format!("ticker?symbol=BTCUSDT&{PRODUCT}")).await.data().clone();
    assert_eq!(one.as_array().unwrap().len(), 1, "a list of one");
    let depth = get(&format!("merge-depth?symbol=BTCUSDT&{PRODUCT}&limit=5&precision=scale1")).await.data().clone();
    assert!(depth["asks"][0][0].is_number() && depth["bids"][0][1].is_number(), "numbers, not texts: {depth}");
    assert_eq!(
        (&depth["scale"], &depth["precision"], &depth["isMaxPrecision"]),
        (&json!("1"), &json!("scale1"), &json!("NO"))
    );
    assert_eq!(depth["bids"].as_array().unwrap().len(), 5);
    for granularity in ["1m", "1H", "2H", "1Dutc", "1W"] {
        let rows =
            get(&format!("candles?symbol=BTCUSDT&{PRODUCT}&granularity={granularity}&limit=3")).await.data().clone();
        assert_eq!((rows.as_array().unwrap().len(), rows[0].as_array().unwrap().len()), (3, 7), "{granularity}");
    }
    assert_eq!(get(&format!("candles?symbol=BTCUSDT&{PRODUCT}&granularity=1h")).await.failure(), (400, "400171"));
    for path in ["history-candles", "history-mark-candles", "history-index-candles"] {
        let end = now_ms();
        let rows = get(&format!("{path}?symbol=BTCUSDT&{PRODUCT}&granularity=1H&endTime={end}&limit=500")).await;
        assert_eq!(rows.data().as_array().unwrap().len(), 200, "{path}: at most 200 rows");
    }
    let fills = get(&format!("fills?symbol=BTCUSDT&{PRODUCT}&limit=3")).await.data().clone();
    assert!(fills[0]["tradeId"].is_string() && fills[0]["size"].is_string(), "{fills}");
    let interest = get(&format!("open-interest?symbol=BTCUSDT&{PRODUCT}")).await.data().clone();
    assert!(interest["openInterestList"][0]["size"].is_string() && interest["ts"].is_string(), "{interest}");
    let funding = get(&format!("funding-time?symbol=BTCUSDT&{PRODUCT}")).await.data()[0].clone();
    assert!(funding["nextFundingTime"].as_str().unwrap().parse::<u64>().unwrap() > now_ms());
    assert_eq!(funding["ratePeriod"], "8");
    assert!(get(&format!("current-fund-rate?symbol=BTCUSDT&{PRODUCT}")).await.data()[0]["fundingRate"].is_string());
    sim.control().fund_now("BTCUSDT", Decimal::new(1, 4)).unwrap();
    let settled = get(&format!("history-fund-rate?symbol=BTCUSDT&{PRODUCT}")).await.data()[0].clone();
    assert_eq!(settled["fundingRate"], "0.0001");
    let price = get(&format!("symbol-price?symbol=BTCUSDT&{PRODUCT}")).await.data()[0].clone();
    assert!(["price", "indexPrice", "markPrice", "ts"].iter().all(|name| price[*name].is_string()), "{price}");
    let tier = get(&format!("query-position-lever?symbol=BTCUSDT&{PRODUCT}")).await.data()[0].clone();
    assert_eq!((&tier["leverage"], &tier["keepMarginRate"]), (&json!("150"), &json!("0.004")));
    assert_eq!(get(&format!("ticker?{PRODUCT}")).await.failure(), (400, "400172"));
    assert_eq!(get("ticker?symbol=BTCUSDT").await.failure(), (400, "400172"));
    assert_eq!(get("tickers?productType=nonsense").await.failure(), (400, "40017"));
    assert_eq!(get(&format!("ticker?symbol=NOPEUSDT&{PRODUCT}")).await.failure(), (400, "40034"));
}

#[tokio::test]
async fn an_order_on_futures_lives_and_is_listed_as_the_venue_does() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let price = far(&rest, 97).await;
    let placed = place(&rest, json!({"orderType": "limit", "price": price, "force": "GTC", "clientOid": "one"})).await;
    let id = placed.data()["orderId"].as_str().unwrap().to_owned();
    let shown = detail(&rest, "one").await;
    assert_eq!((&shown["state"], &shown["orderId"], shown.get("status")), (&json!("live"), &json!(id), None));
    assert_eq!(
        (&shown["posSide"], &shown["tradeSide"], &shown["posMode"]),
        (&json!("net"), &json!("buy_single"), &json!("one_way_mode"))
    );
    assert_eq!(
        (&shown["priceAvg"], &shown["baseVolume"], &shown["reduceOnly"]),
        (&json!(""), &json!("0.0000"), &json!("NO"))
    );
    let again = place(&rest, json!({"orderType": "limit", "price": price, "clientOid": "one"})).await;
    assert_eq!(again.failure(), (400, "40786"));
    let pending = rest.get(&format!("/api/v2/mix/order/orders-pending?{PRODUCT}&symbol=BTCUSDT")).await.data().clone();
    assert_eq!((&pending["entrustedList"][0]["status"], &pending["endId"]), (&json!("live"), &json!(id)));
    let change = json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "orderId": id, "newClientOid": "two",
                        "newPrice": far(&rest, 96).await, "newSize": "0.02"});
    rest.post("/api/v2/mix/order/modify-order", &change).await.data();
    assert_eq!(detail(&rest, "one").await["state"], "canceled");
    assert_eq!(detail(&rest, "two").await["size"], "0.0200");
    let mut same = change.clone();
    same["newClientOid"] = json!("two");
    same["clientOid"] = json!("two");
    same.as_object_mut().unwrap().remove("orderId");
    assert_eq!(rest.post("/api/v2/mix/order/modify-order", &same).await.failure(), (400, "40786"), "a used client id");
    let cancel = json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "clientOid": "two"});
    rest.post("/api/v2/mix/order/cancel-order", &cancel).await.data();
    assert_eq!(rest.post("/api/v2/mix/order/cancel-order", &cancel).await.failure(), (400, "43001"));
    let pending = rest.get(&format!("/api/v2/mix/order/orders-pending?{PRODUCT}")).await.data().clone();
    assert_eq!(pending, json!({"entrustedList": null, "endId": null}));
    let history = rest.get(&format!("/api/v2/mix/order/orders-history?{PRODUCT}&limit=1")).await.data().clone();
    let older = history["endId"].as_str().unwrap();
    let rest_of_it =
        rest.get(&format!("/api/v2/mix/order/orders-history?{PRODUCT}&idLessThan={older}")).await.data().clone();
    assert_eq!(
        (&history["entrustedList"][0]["clientOid"], &rest_of_it["entrustedList"][0]["clientOid"]),
        (&json!("two"), &json!("one"))
    );
    let list = json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "marginCoin": "USDT", "marginMode": "crossed",
                      "orderList": [
                          {"size": "0.01", "side": "buy", "orderType": "limit", "price": price, "clientOid": "a"},
                          {"size": "0.01", "side": "buy", "orderType": "limit", "price": price, "clientOid": "b"},
                          {"size": "1000", "side": "buy", "orderType": "limit", "price": price, "clientOid": "c"}]});
    let batch = rest.post("/api/v2/mix/order/batch-place-order", &list).await.data().clone();
    assert_eq!(batch["successList"].as_array().unwrap().len(), 2);
    assert_eq!(batch["failureList"][0]["errorCode"], "40762");
    let some = json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "orderIdList": [{"clientOid": "a"}, {"clientOid": "zz"}]});
    let some = rest.post("/api/v2/mix/order/batch-cancel-orders", &some).await.data().clone();
    assert_eq!(
        (&some["successList"][0]["clientOid"], &some["failureList"][0]["errorCode"]),
        (&json!("a"), &json!("43001"))
    );
    let all = rest
        .post("/api/v2/mix/order/batch-cancel-orders", &json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES"}))
        .await;
    assert_eq!(all.data()["successList"][0]["clientOid"], "b");
}

#[tokio::test]
async fn one_way_positions_open_turn_and_close_with_bills_and_history() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let body = json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "marginCoin": "USDT", "leverage": "10"});
    let set = rest.post("/api/v2/mix/account/set-leverage", &body).await.data().clone();
    assert_eq!(
        (&set["longLeverage"], &set["crossMarginLeverage"], &set["marginMode"]),
        (&json!("10"), &json!("10"), &json!("crossed"))
    );
    let mut beyond = body.clone();
    beyond["leverage"] = json!("151");
    assert_eq!(rest.post("/api/v2/mix/account/set-leverage", &beyond).await.failure(), (400, "40797"));
    place(&rest, json!({"clientOid": "open"})).await.data();
    let held = positions(&rest).await;
    assert_eq!(held.len(), 1);
    let shown = &held[0];
    assert_eq!(
        (&shown["holdSide"], &shown["total"], &shown["leverage"]),
        (&json!("long"), &json!("0.0100"), &json!("10"))
    );
    for name in [
        "openPriceAvg",
        "markPrice",
        "unrealizedPL",
        "marginSize",
        "marginRatio",
        "breakEvenPrice",
        "deductedFee",
        "cTime",
    ] {
        assert!(shown[name].is_string(), "{name}: {shown}");
    }
    let account =
        rest.get(&format!("/api/v2/mix/account/account?symbol=BTCUSDT&{PRODUCT}&marginCoin=USDT")).await.data().clone();
    assert_eq!(
        (&account["posMode"], &account["marginMode"], &account["crossedMarginLeverage"]),
        (&json!("one_way_mode"), &json!("crossed"), &json!("10"))
    );
    assert!(number(&account["available"]) < number(&account["accountEquity"]));
    let mode = json!({"productType": "USDT-FUTURES", "posMode": "hedge_mode"});
    assert_eq!(rest.post("/api/v2/mix/account/set-position-mode", &mode).await.failure(), (400, "40920"));
    let filled = detail(&rest, "open").await;
    assert_eq!(
        (&filled["state"], filled["fee"].as_str().unwrap().starts_with('-')),
        (&json!("filled"), true),
        "{filled}"
    );
    place(&rest, json!({"side": "sell", "size": "0.03"})).await.data();
    assert_eq!(
        (&positions(&rest).await[0]["holdSide"], &positions(&rest).await[0]["total"]),
        (&json!("short"), &json!("0.0200"))
    );
    let reduce = place(&rest, json!({"side": "sell", "reduceOnly": "YES"})).await;
    assert_eq!(reduce.failure(), (400, "22002"), "there is no long position to reduce");
    let close = json!({"productType": "USDT-FUTURES", "symbol": "BTCUSDT"});
    let closed = rest.post("/api/v2/mix/order/close-positions", &close).await.data().clone();
    assert_eq!(closed["successList"][0]["symbol"], "BTCUSDT");
    assert!(positions(&rest).await.is_empty());
    assert_eq!(rest.post("/api/v2/mix/order/close-positions", &close).await.failure(), (400, "22002"));
    let history = rest.get(&format!("/api/v2/mix/position/history-position?{PRODUCT}")).await.data().clone();
    assert_eq!((&history["list"][0]["holdSide"], &history["list"][1]["holdSide"]), (&json!("short"), &json!("long")));
    assert!(history["list"][0]["ctime"].is_string(), "times are spelt in lower case here");
    let fills = rest.get(&format!("/api/v2/mix/order/fills?{PRODUCT}&symbol=BTCUSDT")).await.data().clone();
    let fill = &fills["fillList"][0];
    assert!(
        fill["feeDetail"][0]["totalFee"].as_str().unwrap().starts_with('-') && fill["profit"].is_string(),
        "{fill}"
    );
    let bills = rest.get(&format!("/api/v2/mix/account/bill?{PRODUCT}&businessType=close_short")).await.data().clone();
    let bills = bills["bills"].as_array().unwrap();
    assert!(!bills.is_empty() && bills.iter().all(|bill| bill["businessType"] == "close_short"), "{bills:?}");
    rest.post("/api/v2/mix/account/set-position-mode", &mode).await.data();
}

#[tokio::test]
async fn in_hedge_mode_a_buy_closes_the_long_position() {
    let sim = venue();
    let (rest, mut stream) = (Rest::new(&sim), Stream::connect(&sim.ws_private).await);
    assert_eq!(stream.log_in(&sim.key).await["code"], 0);
    for channel in ["orders", "fill", "positions", "positions-history"] {
        stream.subscribe(&json!({"instType": "USDT-FUTURES", "channel": channel, "instId": "default"})).await;
    }
    let mode = json!({"productType": "USDT-FUTURES", "posMode": "hedge_mode"});
    assert_eq!(rest.post("/api/v2/mix/account/set-position-mode", &mode).await.data()["posMode"], "hedge_mode");
    place(&rest, json!({"tradeSide": "open", "clientOid": "long"})).await.data();
    place(&rest, json!({"tradeSide": "Open", "side": "sell", "size": "0.02", "clientOid": "short"})).await.data();
    let held = positions(&rest).await;
    let sides: Vec<(&str, &str)> =
        held.iter().map(|it| (it["holdSide"].as_str().unwrap(), it["total"].as_str().unwrap())).collect();
    assert_eq!(sides, [("long", "0.0100"), ("short", "0.0200")]);
    place(&rest, json!({"tradeSide": "Close", "side": "buy", "clientOid": "close-long"})).await.data();
    let held = positions(&rest).await;
    assert_eq!((held.len(), held[0]["holdSide"].as_str()), (1, Some("short")), "the long one is closed");
    let closing = detail(&rest, "close-long").await;
    assert_eq!(
        (&closing["side"], &closing["tradeSide"], &closing["posSide"]),
        (&json!("buy"), &json!("close"), &json!("long"))
    );
    // The order shows the position's side, its fill that of the transaction.
    let told =
        stream.find(|frame| frame["data"][0]["clientOid"] == "close-long" && frame["arg"]["channel"] == "fill").await;
    assert_eq!((&told["data"][0]["side"], &told["data"][0]["tradeSide"]), (&json!("sell"), &json!("close")));
    let ended = stream.push("positions-history").await;
    assert_eq!((&ended["data"][0]["holdSide"], &ended["data"][0]["closeSize"]), (&json!("long"), &json!("0.0100")));
    let too_much = place(&rest, json!({"tradeSide": "close", "side": "sell", "size": "0.5"})).await;
    assert_eq!(too_much.failure(), (400, "40757"));
    let nothing = place(&rest, json!({"tradeSide": "close", "side": "buy"})).await;
    assert_eq!(nothing.failure(), (400, "22002"));
    // A close that lost its `tradeSide` opens: the venue finds nothing wrong with it.
    place(&rest, json!({"side": "buy", "size": "0.005"})).await.data();
    assert_eq!(positions(&rest).await.len(), 2);
}

#[tokio::test]
async fn private_channels_of_futures_tell_in_the_venues_frames() {
    let sim = venue();
    let (rest, mut stream) = (Rest::new(&sim), Stream::connect(&sim.ws_private).await);
    stream.log_in(&sim.key).await;
    stream.subscribe(&json!({"instType": "USDT-FUTURES", "channel": "account", "coin": "default"})).await;
    let account = stream.push("account").await["data"][0].clone();
    assert_eq!((&account["marginCoin"], &account["assetsMode"]), (&json!("USDT"), &json!("single")));
    assert_eq!(account["available"], account["equity"]);
    stream.subscribe(&json!({"instType": "USDT-FUTURES", "channel": "positions", "instId": "default"})).await;
    assert_eq!(stream.push("positions").await["data"], json!([]), "flat");
    stream.subscribe(&json!({"instType": "USDT-FUTURES", "channel": "orders", "instId": "default"})).await;
    stream.subscribe(&json!({"instType": "USDT-FUTURES", "channel": "equity"})).await;
    assert!(stream.push("equity").await["data"][0]["usdtEquity"].is_string());
    place(&rest, json!({"clientOid": "told"})).await.data();
    let live = stream.push("orders").await["data"][0].clone();
    assert_eq!(
        (&live["status"], &live["instId"], &live["reduceOnly"]),
        (&json!("live"), &json!("BTCUSDT"), &json!("no"))
    );
    assert!(live.get("fillPrice").is_none(), "nothing has traded yet: {live}");
    let filled = stream.find(|frame| frame["data"][0]["status"] == "filled").await["data"][0].clone();
    for name in ["fillPrice", "fillFee", "fillNotionalUsd", "tradeId", "priceAvg", "pnl", "totalProfits", "leverage"] {
        assert!(filled[name].is_string(), "{name}: {filled}");
    }
    assert_eq!((&filled["tradeScope"], &filled["accBaseVolume"]), (&json!("T"), &json!("0.0100")));
    let position = stream.push("positions").await["data"][0].clone();
    assert_eq!((&position["leverage"], &position["holdSide"]), (&json!(20), &json!("long")), "a bare number here");
}

#[tokio::test]
async fn coins_move_between_the_wallets_of_a_classic_account() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let move_ = async |from: &str, to: &str, amount: &str| {
        let body = json!({"fromType": from, "toType": to, "amount": amount, "coin": "USDT", "clientOid": "moved"});
        rest.post("/api/v2/spot/wallet/transfer", &body).await
    };
    let spot = async || number(&rest.get("/api/v2/spot/account/assets?coin=USDT").await.data()[0]["available"]);
    let before = spot().await;
    assert_eq!(move_("spot", "usdt_futures", "250.5").await.data()["clientOid"], "moved");
    assert_eq!(before - spot().await, Decimal::new(2_505, 1));
    move_("usdt_futures", "spot", "0.5").await.data();
    assert_eq!(move_("spot", "usdt_futures", "100000000").await.failure(), (400, "43012"));
    assert_eq!(move_("spot", "p2p", "1").await.failure(), (400, "40017"));
    let records = rest.get("/api/v2/spot/account/transferRecords?coin=USDT").await.data().clone();
    assert_eq!((&records[0]["toType"], &records[1]["size"]), (&json!("spot"), &json!("250.5")));
    let kinds = rest.get("/api/v2/account/all-account-balance").await.data().clone();
    assert_eq!(kinds[1]["accountType"], "futures");
}

#[tokio::test]
async fn a_key_for_spot_alone_may_not_touch_futures() {
    let sim = start(SimConfig { permissions: vec![Permission::Trade], ..seeded() });
    let rest = Rest::new(&sim);
    let refused = place(&rest, json!({})).await;
    assert_eq!(refused.failure(), (400, "40014"));
    assert_eq!(refused.body["msg"], "Incorrect permissions, need contract order write permissions");
    assert_eq!(rest.get(&format!("/api/v2/mix/account/accounts?{PRODUCT}")).await.failure(), (400, "40014"));
}

#[tokio::test]
async fn each_bad_parameter_of_a_futures_order_has_its_code() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let price = far(&rest, 97).await;
    let limit = |more: Value| {
        let mut body = json!({"orderType": "limit", "price": price});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let cases = [
        (limit(json!({"symbol": "NOPEUSDT"})), "40034"),
        (limit(json!({"productType": "COIN-FUTURES"})), "40017"),
        (limit(json!({"productType": null})), "40019"),
        (limit(json!({"marginCoin": "BTC"})), "40017"),
        (limit(json!({"marginMode": "isolated"})), "40017"),
        (limit(json!({"price": "60000.01"})), "40808"),
        (limit(json!({"size": "0.00001"})), "40808"),
        (limit(json!({"size": "0.0000"})), "40017"),
        (limit(json!({"size": "0.0001", "price": "1"})), "45110"),
        (limit(json!({"price": (last(&rest).await * Decimal::TWO).round_dp(1).to_string()})), "40815"),
        (limit(json!({"side": "sell", "price": "100", "size": "0.1"})), "40816"),
        (limit(json!({"size": "900"})), "40762"),
        (limit(json!({"presetStopLossPrice": "50000"})), "40017"),
    ];
    for (body, code) in cases {
        assert_eq!(place(&rest, body.clone()).await.failure(), (400, code), "{body}");
    }
    assert!(positions(&rest).await.is_empty());
}
