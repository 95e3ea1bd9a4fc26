//! What v2 spot answers beyond placing and cancelling: levels, depth, candles, bills, replaced orders, budgets.

use crate::client::{Answer, Rest, Stream, limit, quiet, seeded, start};
use futures_util::future::join_all;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{RateLimits, SimConfig};
use std::time::Duration;

fn number(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).parse().unwrap()
}

#[tokio::test]
async fn levels_and_merged_depth_are_answered_as_documented() {
    let sim = start(seeded());
    let rest = Rest::new(&sim);
    let level = rest.get("/api/v2/spot/market/vip-fee-rate").await.data()[0].clone();
    assert_eq!((&level["level"], &level["takerFeeRate"]), (&json!(1), &json!("0.001")), "the level is a number");
    let depth = |more: &str| format!("/api/v2/spot/market/merge-depth?symbol=BTCUSDT{more}");
    let merged = rest.get(&depth("&precision=scale2&limit=5")).await.data().clone();
    assert_eq!((&merged["precision"], &merged["scale"]), (&json!("scale2"), &json!("1")));
    assert_eq!(merged["asks"].as_array().unwrap().len(), 5);
    assert!(merged["asks"].as_array().unwrap().iter().all(|rung| number(&rung[0]).fract().is_zero()), "{merged}");
    assert!(rest.get(&depth("&limit=max")).await.data()["bids"].as_array().unwrap().len() > 5);
    assert_eq!(rest.get(&depth("&precision=scale4")).await.failure(), (400, "40017"));
    assert_eq!(rest.get("/api/v2/public/annoucements?language=en_US").await.data(), &json!([]));
}

#[tokio::test]
async fn candles_of_every_length_reach_into_the_seeded_past_and_join_without_a_gap() {
    let sim = start(seeded());
    let rest = Rest::new(&sim);
    for (granularity, length_ms) in [("1min", 60_000), ("15min", 900_000), ("1h", 3_600_000), ("1Dutc", 86_400_000)] {
        let target = format!("/api/v2/spot/market/candles?symbol=ETHUSDT&granularity={granularity}&limit=50");
        let rows = rest.get(&target).await.data().clone();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 50, "{granularity}");
        let starts: Vec<i64> = rows.iter().map(|row| row[0].as_str().unwrap().parse().unwrap()).collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == length_ms), "{granularity}: oldest first");
        assert!(starts.iter().all(|start| start % length_ms == 0), "{granularity}");
        assert!(rows.iter().all(|row| number(&row[3]) <= number(&row[4]) && number(&row[2]) >= number(&row[4])));
    }
    for granularity in [
        "3min", "5min", "30min", "4h", "6h", "12h", "1day", "3day", "1week", "1M", "6Hutc", "12Hutc", "3Dutc", "1Wutc",
        "1Mutc",
    ] {
        let target = format!("/api/v2/spot/market/history-candles?symbol=BTCUSDT&granularity={granularity}&limit=1000");
        let count = rest.get(&target).await.data().as_array().unwrap().len();
        assert!((1..=200).contains(&count), "{granularity}: {count}");
    }
    let all = rest.get("/api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1min&limit=1000").await.data().clone();
    let (from, to) = (all[10][0].as_str().unwrap(), all[20][0].as_str().unwrap());
    let target = format!("/api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1min&startTime={from}&endTime={to}");
    let part = rest.get(&target).await.data().clone();
    assert_eq!((part.as_array().unwrap().len(), &part[0], &part[9]), (10, &all[10], &all[19]));
}

#[tokio::test]
async fn an_order_is_replaced_by_another_at_a_new_price() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    rest.place(&limit("buy", "60000", "0.001", "gtc", "old")).await.data();
    let replace =
        json!({"symbol": "BTCUSDT", "clientOid": "old", "price": "61000", "size": "0.002", "newClientOid": "new"});
    let replaced = rest.post("/api/v2/spot/trade/cancel-replace-order", &replace).await.data().clone();
    assert_eq!(
        (&replaced["success"], &replaced["msg"], &replaced["clientOid"]),
        (&json!("success"), &json!(null), &json!("new"))
    );
    assert_eq!(rest.order_info("old").await[0]["status"], "cancelled");
    assert_eq!(number(&rest.order_info("new").await[0]["price"]), Decimal::from(61_000));
    assert_eq!(rest.post("/api/v2/spot/trade/cancel-replace-order", &replace).await.failure(), (400, "43001"));
    let wrong = json!({"symbol": "BTCUSDT", "clientOid": "new", "price": "61000.001", "size": "0.002"});
    assert_eq!(rest.post("/api/v2/spot/trade/cancel-replace-order", &wrong).await.failure(), (400, "40808"));
    assert_eq!(rest.order_info("new").await[0]["status"], "live", "a wrong number leaves the old order alone");
    let dear = json!({"symbol": "BTCUSDT", "clientOid": "new", "price": "60000", "size": "50"});
    let failed = rest.post("/api/v2/spot/trade/cancel-replace-order", &dear).await.data().clone();
    assert_eq!(failed["success"], "failure", "cancelled, and the new one has no funds: {failed}");
    let batch = json!({"orderList": [{"symbol": "BTCUSDT", "clientOid": "zz", "price": "1", "size": "1"}]});
    let batch = rest.post("/api/v2/spot/trade/batch-cancel-replace-order", &batch).await.data().clone();
    assert_eq!(batch[0]["success"], "failure");
}

#[tokio::test]
async fn bills_add_up_to_the_balance() {
    let sim = start(seeded());
    let rest = Rest::new(&sim);
    for side in ["buy", "sell"] {
        let size = if side == "buy" { "120" } else { "0.001" };
        let order = json!({"symbol": "BTCUSDT", "side": side, "orderType": "market", "size": size});
        rest.place(&order).await.data();
    }
    let bills = rest.get("/api/v2/spot/account/bills?coin=USDT&limit=500").await.data().clone();
    let bills = bills.as_array().unwrap();
    assert!(bills.len() >= 2 && bills.iter().all(|bill| bill["groupType"] == "transaction"), "{bills:?}");
    let moved: Decimal = bills.iter().map(|bill| number(&bill["size"]) + number(&bill["fees"])).sum();
    let now = number(&rest.get("/api/v2/spot/account/assets?coin=USDT").await.data()[0]["available"]);
    assert_eq!(Decimal::from(100_000) + moved, now);
    assert_eq!(number(&bills[0]["balance"]), now, "newest first");
    let bought = rest.get("/api/v2/spot/account/bills?coin=USDT&businessType=sell").await.data().clone();
    assert!(bought.as_array().unwrap().iter().all(|bill| number(&bill["size"]) < Decimal::ZERO));
    assert_eq!(rest.get("/api/v2/spot/account/bills?groupType=deposit").await.data(), &json!([]));
}

#[tokio::test]
async fn each_account_and_each_address_has_budgets_of_its_own_for_each_path() {
    let sim = start(SimConfig { rate_limits: RateLimits::default(), ..quiet() });
    let rest = Rest::new(&sim);
    // All at once: a busy machine must not stretch them over the next second.
    let statuses = async |answers: Vec<Answer>| -> (usize, usize) {
        let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        (of(200), of(429))
    };
    let places = (0..60).map(|number| {
        let (rest, order) = (rest.clone(), limit("buy", "60000", "0.001", "gtc", &format!("r{number}")));
        async move { rest.place(&order).await }
    });
    let (taken, refused) = statuses(join_all(places).await).await;
    assert!(taken >= 10 && refused >= 1 && taken + refused == 60, "ten a second: {taken} taken, {refused} refused");
    rest.post("/api/v2/spot/trade/cancel-symbol-order", &json!({"symbol": "BTCUSDT"})).await.data();
    let coins = (0..30).map(|_| rest.get("/api/v2/spot/public/coins"));
    let (taken, refused) = statuses(join_all(coins).await).await;
    assert!(taken >= 3 && refused >= 1 && taken + refused == 30, "three a second: {taken} taken, {refused} refused");
    tokio::time::sleep(Duration::from_secs(1)).await;
    rest.get("/api/v2/spot/public/coins").await.data();
}

#[tokio::test]
async fn an_address_over_its_minute_is_refused_every_path() {
    let sim = start(SimConfig { rate_limits: RateLimits { per_ip_minute: 60, ..RateLimits::default() }, ..quiet() });
    let rest = Rest::new(&sim);
    let answers = join_all((0..90).map(|_| rest.get("/api/v2/public/time"))).await;
    assert!(answers.iter().any(|answer| answer.status == 200) && answers.iter().any(|answer| answer.status == 429));
    // The penalty is five minutes; that it ends is tested with a clock of its own.
    assert_eq!(rest.get("/api/v2/spot/market/tickers").await.failure(), (429, "429"));
    assert_eq!(rest.get("/api/v3/market/instruments?category=SPOT").await.failure(), (429, "429"));
}

#[tokio::test]
async fn public_channels_of_both_categories_are_told_on_the_private_address_too() {
    let sim = start(seeded());
    let mut stream = Stream::connect(&sim.ws_private).await;
    for (kind, channel) in
        [("SPOT", "ticker"), ("usdt-futures", "ticker"), ("USDT-FUTURES", "candle1H"), ("SPOT", "candle1Dutc")]
    {
        let arg = json!({"instType": kind, "channel": channel, "instId": "BTCUSDT"});
        stream.subscribe(&arg).await;
        let push = stream.find(|frame| frame["arg"] == arg).await;
        let item = &push["data"][0];
        let fits = match (kind, channel) {
            ("SPOT", "ticker") => item["instId"] == "BTCUSDT" && item["changeUtc24h"].is_string(),
            (_, "ticker") => {
                ["markPrice", "indexPrice", "fundingRate", "nextFundingTime", "holdingAmount", "symbolType"]
                    .iter()
                    .all(|name| item[*name].is_string())
            }
            _ => item.as_array().is_some_and(|row| row.len() == 8),
        };
        assert!(fits && push["ts"].is_u64(), "{push}");
    }
    let mut futures = Stream::connect(&sim.ws_public).await;
    futures.subscribe(&json!({"instType": "USDT-FUTURES", "channel": "books", "instId": "BTCUSDT"})).await;
    let mut book = crate::market::Rebuilt::default();
    for _ in 0..20 {
        let push = futures.push("books").await;
        book.apply(&push["data"][0]);
        assert_eq!(push["data"][0]["checksum"].as_i64(), Some(book.checksum()));
    }
}
