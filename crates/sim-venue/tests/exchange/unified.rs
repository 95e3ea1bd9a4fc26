//! v3 of a unified account: market data, orders of both categories, streams with topics, order entry, the dead-man switch.

use crate::client::{Rest, Stream, now_ms, seeded, signature, start};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{AccountMode, Permission, RunningSim, SimConfig};

fn venue() -> RunningSim {
    let permissions = vec![Permission::Trade, Permission::FuturesTrade];
    start(SimConfig { permissions, account: AccountMode::Unified, ..seeded() })
}

fn number(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).parse().unwrap()
}

fn private(sim: &RunningSim) -> String {
    sim.ws_private.replace("/v2/", "/v3/")
}

/// A price so far from the market that it rests.
async fn far(rest: &Rest, category: &str) -> String {
    let ticker = rest.get(&format!("/api/v3/market/tickers?category={category}&symbol=BTCUSDT")).await;
    (number(&ticker.data()[0]["lastPrice"]) * Decimal::new(97, 2)).round_dp(1).to_string()
}

async fn order(rest: &Rest, category: &str, client_oid: &str) -> Value {
    json!({"category": category, "symbol": "BTCUSDT", "qty": "0.01", "side": "buy", "orderType": "limit",
           "price": far(rest, category).await, "clientOid": client_oid})
}

#[tokio::test]
async fn market_data_of_every_category_has_the_shapes_of_v3() {
    let sim = venue();
    let rest = Rest::new(&sim);
    for (category, digits) in [("SPOT", "6"), ("USDT-FUTURES", "4"), ("usdt-futures", "4")] {
        let get = async |path: &str, more: &str| {
            rest.get(&format!("/api/v3/market/{path}?category={category}&symbol=BTCUSDT{more}")).await.data().clone()
        };
        let instrument = get("instruments", "").await[0].clone();
        assert_eq!((&instrument["quantityPrecision"], &instrument["status"]), (&json!(digits), &json!("online")));
        let ticker = get("tickers", "").await[0].clone();
        assert!(
            ["lastPrice", "bid1Price", "ask1Size", "price24hPcnt", "turnover24h"]
                .iter()
                .all(|it| ticker[*it].is_string())
        );
        let book = get("orderbook", "").await;
        assert_eq!(
            (book["a"].as_array().unwrap().len(), book["b"].as_array().unwrap().len()),
            (5, 5),
            "five by default"
        );
        assert!(book["a"][0][0].is_number(), "{book}");
        let rows = get("candles", "&interval=1H&limit=4").await;
        assert_eq!((rows.as_array().unwrap().len(), rows[0].as_array().unwrap().len()), (4, 7));
        assert!(get("history-candles", "&interval=1D").await.as_array().unwrap().len() > 30);
        let fill = get("fills", "&limit=1").await[0].clone();
        assert!(["execId", "price", "size", "side", "ts", "isRPI"].iter().all(|it| fill[*it].is_string()), "{fill}");
    }
    let futures = rest.get("/api/v3/market/tickers?category=USDT-FUTURES").await.data()[0].clone();
    assert!(["markPrice", "indexPrice", "fundingRate", "openInterest"].iter().all(|it| futures[*it].is_string()));
    let rate = rest.get("/api/v3/market/current-fund-rate?symbol=BTCUSDT").await.data()[0].clone();
    assert_eq!(rate["fundingRateInterval"], "8");
    assert!(
        rest.get("/api/v3/market/history-fund-rate?category=USDT-FUTURES&symbol=BTCUSDT").await.data()["resultList"]
            .is_array()
    );
    assert!(rest.get("/api/v3/market/open-interest?category=USDT-FUTURES").await.data()["list"].is_array());
    for empty in ["COIN-FUTURES", "USDC-FUTURES", "MARGIN"] {
        assert_eq!(rest.get(&format!("/api/v3/market/instruments?category={empty}")).await.data(), &json!([]));
    }
    assert_eq!(rest.get("/api/v3/market/instruments?category=nonsense").await.failure(), (400, "25200"));
    assert_eq!(rest.get("/api/v3/market/tickers?category=SPOT&symbol=NOPEUSDT").await.failure(), (400, "25100"));
}

#[tokio::test]
async fn orders_of_both_categories_live_with_the_names_of_v3() {
    let sim = venue();
    let rest = Rest::new(&sim);
    for category in ["SPOT", "USDT-FUTURES"] {
        let oid = format!("one-{category}");
        let body = order(&rest, category, &oid).await;
        let placed = rest.post("/api/v3/trade/place-order", &body).await.data().clone();
        assert_eq!(placed["clientOid"], json!(oid));
        assert_eq!(rest.post("/api/v3/trade/place-order", &body).await.failure(), (400, "25212"));
        let shown = rest.get(&format!("/api/v3/trade/order-info?clientOid={oid}")).await.data().clone();
        assert_eq!(
            (&shown["orderStatus"], &shown["category"], &shown["timeInForce"]),
            (&json!("live"), &json!(category), &json!("gtc"))
        );
        assert_eq!((&shown["cumExecValue"], &shown["orderId"]), (&json!("0"), &placed["orderId"]));
        let open = rest.get(&format!("/api/v3/trade/unfilled-orders?category={category}")).await.data().clone();
        assert_eq!((open["list"].as_array().unwrap().len(), &open["cursor"]), (1, &placed["orderId"]));
        let change = json!({"orderId": placed["orderId"], "qty": "0.02"});
        let changed = rest.post("/api/v3/trade/modify-order", &change).await.data().clone();
        let shown = rest
            .get(&format!("/api/v3/trade/order-info?orderId={}", changed["orderId"].as_str().unwrap()))
            .await
            .data()
            .clone();
        assert_eq!(
            (number(&shown["qty"]), &shown["price"]),
            (
                Decimal::new(2, 2),
                &json!(
                    body["price"]
                        .as_str()
                        .map(|price| { if category == "SPOT" { format!("{price}0") } else { price.to_owned() } })
                )
            )
        );
        rest.post("/api/v3/trade/cancel-order", &json!({"orderId": changed["orderId"]})).await.data();
        let again = rest.post("/api/v3/trade/cancel-order", &json!({"orderId": changed["orderId"]})).await;
        assert_eq!(again.failure(), (400, "25204"));
        let history = rest.get(&format!("/api/v3/trade/history-orders?category={category}")).await.data().clone();
        assert_eq!(history["list"][0]["orderStatus"], "cancelled");
    }
    let mixed = json!([order(&rest, "SPOT", "a").await, order(&rest, "USDT-FUTURES", "b").await, {"category": "SPOT"}]);
    let batch = rest.post("/api/v3/trade/place-batch", &mixed).await.data().clone();
    assert_eq!(
        (&batch[0]["clientOid"], &batch[1]["clientOid"], &batch[2]["code"]),
        (&json!("a"), &json!("b"), &json!("25200"))
    );
    let gone = json!([{"category": "SPOT", "clientOid": "a"}, {"category": "SPOT", "orderId": "1"}]);
    let gone = rest.post("/api/v3/trade/cancel-batch", &gone).await.data().clone();
    assert_eq!(
        (&gone[0]["clientOid"], &gone[1]["code"], &gone[1]["msg"]),
        (&json!("a"), &json!("24056"), &json!("notExisted"))
    );
    let all = rest.post("/api/v3/trade/cancel-symbol-order", &json!({"category": "USDT-FUTURES"})).await.data().clone();
    assert_eq!(all["list"][0]["clientOid"], "b");
}

#[tokio::test]
async fn in_hedge_mode_selling_closes_the_long_position() {
    let sim = venue();
    let rest = Rest::new(&sim);
    assert_eq!(rest.post("/api/v3/account/set-hold-mode", &json!({"holdMode": "hedge_mode"})).await.data(), "success");
    assert_eq!(rest.get("/api/v3/account/settings").await.data()["holdMode"], "hedge_mode");
    let market = |more: Value| {
        let mut body = json!({"category": "USDT-FUTURES", "symbol": "BTCUSDT", "qty": "0.01", "orderType": "market"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let place = async |more: Value| rest.post("/api/v3/trade/place-order", &market(more)).await;
    place(json!({"side": "buy", "posSide": "long"})).await.data();
    place(json!({"side": "sell", "posSide": "short"})).await.data();
    assert_eq!(place(json!({"side": "buy"})).await.failure(), (400, "25200"), "hedge mode needs a position side");
    let held = async || {
        let list = rest.get("/api/v3/position/current-position?category=USDT-FUTURES").await.data()["list"].clone();
        list.as_array().unwrap().iter().map(|it| it["posSide"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(held().await, ["long", "short"]);
    place(json!({"side": "sell", "posSide": "long", "clientOid": "close"})).await.data();
    assert_eq!(held().await, ["short"]);
    let shown = rest.get("/api/v3/trade/order-info?clientOid=close").await.data().clone();
    assert_eq!(
        (&shown["side"], &shown["posSide"], &shown["tradeSide"]),
        (&json!("sell"), &json!("long"), &json!("close"))
    );
    let fill = rest.get("/api/v3/trade/fills?category=USDT-FUTURES").await.data()["list"][0].clone();
    assert!(!fill["feeDetail"][0]["fee"].as_str().unwrap().starts_with('-'), "fees are positive here: {fill}");
    let closed =
        rest.post("/api/v3/trade/close-positions", &json!({"category": "USDT-FUTURES", "symbol": "BTCUSDT"})).await;
    assert_eq!(closed.data()["list"].as_array().unwrap().len(), 1);
    let history = rest.get("/api/v3/position/history-position?category=USDT-FUTURES").await.data()["list"].clone();
    assert_eq!((history.as_array().unwrap().len(), &history[0]["holdMode"]), (2, &json!("hedge_mode")));
    let nothing = rest.post("/api/v3/trade/close-positions", &json!({"category": "USDT-FUTURES"})).await;
    assert_eq!(nothing.failure(), (400, "25227"));
}

#[tokio::test]
async fn a_unified_account_is_one_balance_for_both_categories() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let usdt = async || {
        let assets = rest.get("/api/v3/account/assets").await.data().clone();
        assert!(["accountEquity", "effEquity", "imr", "mmr", "btcEquity"].iter().all(|it| assets[*it].is_string()));
        assets["assets"].as_array().unwrap().iter().find(|coin| coin["coin"] == "USDT").unwrap().clone()
    };
    let before = number(&usdt().await["available"]);
    let market =
        json!({"category": "USDT-FUTURES", "symbol": "BTCUSDT", "qty": "0.1", "side": "buy", "orderType": "market"});
    rest.post("/api/v3/trade/place-order", &market).await.data();
    let after = usdt().await;
    assert!(number(&after["available"]) < before - Decimal::from(200), "margin is held: {after}");
    assert_eq!(
        rest.post(
            "/api/v3/account/set-leverage",
            &json!({"category": "USDT-FUTURES", "symbol": "BTCUSDT", "leverage": "50"})
        )
        .await
        .data(),
        "success"
    );
    let settings = rest.get("/api/v3/account/settings").await.data().clone();
    assert_eq!(settings["symbolConfigList"][0]["leverage"], "50");
    assert_eq!(
        rest.get("/api/v3/account/fee-rate?category=USDT-FUTURES&symbol=BTCUSDT").await.data()["takerFeeRate"],
        "0.0006"
    );
    assert!(
        !rest.get("/api/v3/account/financial-records?category=USDT-FUTURES").await.data()["list"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let dear = json!({"category": "USDT-FUTURES", "symbol": "BTCUSDT", "qty": "500", "side": "buy", "orderType": "limit",
                      "price": far(&rest, "USDT-FUTURES").await});
    assert_eq!(rest.post("/api/v3/trade/place-order", &dear).await.failure(), (400, "25202"));
}

async fn logged_in(sim: &RunningSim) -> Stream {
    let mut stream = Stream::connect(&private(sim)).await;
    let ack = stream.log_in(&sim.key).await;
    assert_eq!((&ack["event"], &ack["code"]), (&json!("login"), &json!(0)), "the number zero: {ack}");
    stream
}

#[tokio::test]
async fn topics_are_pushed_with_the_names_of_v3_on_either_address() {
    let sim = venue();
    let public = sim.ws_public.replace("/v2/", "/v3/");
    for url in [public, private(&sim)] {
        let mut stream = Stream::connect(&url).await;
        for (category, topic, more) in [
            ("spot", "ticker", json!({})),
            ("usdt-futures", "ticker", json!({})),
            ("spot", "publicTrade", json!({})),
            ("usdt-futures", "kline", json!({"interval": "1m"})),
            ("spot", "books1", json!({})),
            ("usdt-futures", "books50", json!({})),
        ] {
            let mut arg = json!({"instType": category, "topic": topic, "symbol": "BTCUSDT"});
            for (name, value) in more.as_object().unwrap() {
                arg[name] = value.clone();
            }
            stream.subscribe(&arg).await;
            let push = stream.find(|frame| frame["action"] == "snapshot" && frame["arg"] == arg).await;
            let item = &push["data"][0];
            let fits = match topic {
                "ticker" => item["lastPrice"].is_string() && (category == "spot" || item["markPrice"].is_string()),
                "publicTrade" => ["p", "v", "S", "T", "i", "L"].iter().all(|name| item[*name].is_string()),
                "kline" => ["start", "open", "close", "volume", "turnover"].iter().all(|name| item[*name].is_string()),
                _ => item["a"].is_array() && item["b"][0][0].is_string() && item.get("checksum").is_none(),
            };
            assert!(fits, "{topic}: {push}");
        }
        stream.subscribe(&json!({"instType": "spot", "topic": "books", "symbol": "BTCUSDT"})).await;
        let first = stream.find(|frame| frame["arg"]["topic"] == "books").await["data"][0].clone();
        let next = stream.find(|frame| frame["arg"]["topic"] == "books" && frame["action"] == "update").await;
        assert_eq!(next["data"][0]["pseq"], first["seq"]);
        stream
            .send(
                json!({"op": "subscribe", "args": [{"instType": "spot", "topic": "nonsense", "symbol": "BTCUSDT"}]})
                    .to_string(),
            )
            .await;
        assert_eq!(stream.find(|frame| frame["event"] == "error").await["code"], 30_001);
        stream.send(json!({"op": "subscribe", "args": [{"instType": "UTA", "topic": "order"}]}).to_string()).await;
        assert_eq!(stream.find(|frame| frame["event"] == "error").await["code"], 30_004, "not logged in");
    }
}

#[tokio::test]
async fn private_topics_tell_of_orders_fills_account_and_positions() {
    let sim = venue();
    let (rest, mut stream) = (Rest::new(&sim), logged_in(&sim).await);
    for topic in ["account", "order", "fill", "fast-fill", "position"] {
        stream.subscribe(&json!({"instType": "UTA", "topic": topic})).await;
    }
    let market = json!({"category": "USDT-FUTURES", "symbol": "BTCUSDT", "qty": "0.01", "side": "buy", "orderType": "market", "clientOid": "told"});
    rest.post("/api/v3/trade/place-order", &market).await.data();
    let topic =
        |name: &'static str| move |frame: &Value| frame["arg"]["topic"] == name && frame["action"] == "snapshot";
    let live = stream.find(|frame| frame["data"][0]["clientOid"] == "told").await["data"][0].clone();
    assert_eq!(
        (&live["category"], &live["orderStatus"], &live["price"]),
        (&json!("usdt-futures"), &json!("live"), &json!(""))
    );
    let filled = stream.find(|frame| frame["data"][0]["orderStatus"] == "filled").await["data"][0].clone();
    assert_eq!(
        (&filled["cumExecQty"], &filled["holdMode"], &filled["marginCoin"]),
        (&json!("0.0100"), &json!("one_way_mode"), &json!("USDT"))
    );
    let fill = stream.find(topic("fill")).await["data"][0].clone();
    assert!(
        ["execId", "execPrice", "execQty", "execValue", "execPnl", "execTime"].iter().all(|it| fill[*it].is_string()),
        "{fill}"
    );
    let fast = stream.find(topic("fast-fill")).await;
    assert!(fast["data"].is_object() && fast["data"]["execId"] == fill["execId"], "one object, no list: {fast}");
    let account = stream.find(topic("account")).await["data"][0].clone();
    assert!(
        account["coin"].as_array().unwrap().iter().any(|coin| coin["coin"] == "USDT")
            && account["totalEquity"].is_string()
    );
    let position = stream.find(topic("position")).await["data"][0].clone();
    assert_eq!(
        (&position["size"], &position["posSide"], &position["positionStatus"]),
        (&json!("0.0100"), &json!("long"), &json!("normal"))
    );
    rest.post("/api/v3/trade/close-positions", &json!({"category": "USDT-FUTURES"})).await.data();
    let ended = stream.find(|frame| frame["data"][0]["positionStatus"] == "ended").await["data"][0].clone();
    assert_eq!((&ended["size"], &ended["symbol"]), (&json!("0"), &json!("BTCUSDT")));
}

#[tokio::test]
async fn orders_are_entered_over_the_stream_and_answered_before_they_are_told() {
    let sim = venue();
    let (rest, mut stream) = (Rest::new(&sim), logged_in(&sim).await);
    stream.subscribe(&json!({"instType": "UTA", "topic": "order"})).await;
    let entry = async |stream: &mut Stream, id: &str, topic: &str, args: Value| {
        stream
            .send(json!({"op": "trade", "id": id, "category": "spot", "topic": topic, "args": args}).to_string())
            .await;
        stream.json().await
    };
    let order = json!({"symbol": "BTCUSDT", "orderType": "limit", "qty": "0.001", "price": far(&rest, "SPOT").await, "side": "buy"});
    let answer = entry(&mut stream, "1", "place-order", json!([order])).await;
    assert_eq!(
        (&answer["event"], &answer["id"], &answer["code"]),
        (&json!("trade"), &json!("1"), &json!("0")),
        "the text 0: {answer}"
    );
    let id = answer["args"][0]["orderId"].clone();
    assert_eq!(
        (&answer["topic"], &answer["category"], &answer["msg"]),
        (&json!("place-order"), &json!("spot"), &json!("success"))
    );
    assert_eq!(stream.json().await["data"][0]["orderId"], id, "told behind the answer");
    let cancelled = entry(&mut stream, "2", "cancel-order", json!([{"orderId": id}])).await;
    assert_eq!((&cancelled["code"], &cancelled["args"][0]["orderId"]), (&json!("0"), &id));
    assert_eq!(stream.json().await["data"][0]["orderStatus"], "cancelled");
    let mut dear = order.clone();
    dear["qty"] = json!("1000");
    let refused = entry(&mut stream, "3", "place-order", json!([dear])).await;
    assert_eq!((&refused["event"], &refused["id"], &refused["code"]), (&json!("error"), &json!("3"), &json!("25202")));
    let batch = entry(&mut stream, "4", "batch-place", json!([order, dear])).await;
    assert_eq!((&batch["args"][0]["orderId"].is_string(), &batch["args"][1]["code"]), (&true, &json!("25202")));
    assert_eq!(stream.json().await["data"][0]["orderStatus"], "live");
    let unknown = entry(&mut stream, "5", "no-such-topic", json!([order])).await;
    assert_eq!(unknown["event"], "error");
    let mut stranger = Stream::connect(&private(&sim)).await;
    let refused = entry(&mut stranger, "6", "place-order", json!([order])).await;
    assert_eq!((&refused["id"], &refused["code"]), (&json!("6"), &json!("30004")));
}

#[tokio::test]
async fn the_dead_mans_switch_takes_five_to_sixty_seconds_and_zero() {
    let sim = venue();
    let rest = Rest::new(&sim);
    let arm =
        async |countdown: &str| rest.post("/api/v3/trade/countdown-cancel-all", &json!({"countdown": countdown})).await;
    for good in ["5", "60", "0"] {
        assert_eq!(arm(good).await.data(), "success");
    }
    for bad in ["4", "61", "-1", "soon"] {
        assert_eq!(arm(bad).await.failure(), (400, "25200"), "{bad}");
    }
}

#[tokio::test]
async fn a_classic_key_cannot_log_in_to_the_streams_of_v3_and_the_other_way_round() {
    let classic = start(SimConfig { permissions: vec![Permission::Trade], ..seeded() });
    let mut stream = Stream::connect(&private(&classic)).await;
    assert_eq!(stream.log_in(&classic.key).await["code"], 30_005);
    let unified = venue();
    let mut stream = Stream::connect(&unified.ws_private).await;
    assert_eq!(stream.log_in(&unified.key).await["code"], 30_005);
    // Ten digits or thirteen, a text or a number: every form of a time is taken.
    for (timestamp, shown) in [(now_ms() / 1_000, false), (now_ms(), true), (now_ms() / 1_000, true)] {
        let mut stream = Stream::connect(&private(&unified)).await;
        let sign = signature(&unified.key.secret, &format!("{timestamp}GET/user/verify"));
        let timestamp = if shown { json!(timestamp) } else { json!(timestamp.to_string()) };
        let arg = json!({"apiKey": unified.key.key, "passphrase": unified.key.passphrase, "timestamp": timestamp, "sign": sign});
        stream.send(json!({"op": "login", "args": [arg]}).to_string()).await;
        assert_eq!(stream.json().await["code"], 0);
    }
}
