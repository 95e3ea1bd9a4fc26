//! The life of orders over REST and the private stream.

use crate::client::{Rest, Stream, limit, quiet, start};
use domain::{Asset, Side, TimeInForce};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{OrderStatus, RunningSim};

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn house(sim: &RunningSim, side: Side, price: &str, qty: &str) {
    assert!(sim.control().market_order("BTCUSDT", side, number(price), number(qty), TimeInForce::Gtc));
}

#[tokio::test]
async fn an_order_rests_fills_in_parts_and_is_told_in_order_on_both_channels() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    let placed = rest.place(&limit("buy", "60000", "0.001", "gtc", "blk-0001")).await;
    let order_id = placed.data()["orderId"].as_str().unwrap().to_owned();
    assert_eq!((order_id.len(), placed.data()["clientOid"].as_str()), (19, Some("blk-0001")));

    let live = stream.push("orders").await;
    assert_eq!(live["arg"], json!({"instType": "SPOT", "channel": "orders", "instId": "default"}));
    assert_eq!(
        (live["data"][0]["status"].as_str(), live["data"][0]["orderId"].as_str()),
        (Some("live"), Some(order_id.as_str()))
    );
    assert!(live["data"][0].get("fillPrice").is_none() && live["ts"].is_u64());
    let frozen = stream.find(|frame| frame["data"][0]["coin"] == "USDT").await;
    assert_eq!(
        (frozen["data"][0]["available"].as_str(), frozen["data"][0]["frozen"].as_str()),
        (Some("99940"), Some("60"))
    );

    let open = rest.get("/api/v2/spot/trade/unfilled-orders?symbol=BTCUSDT").await;
    assert_eq!(open.data()[0]["priceAvg"], "60000.00", "unfilled orders carry their limit price there");
    assert!(open.data()[0].get("price").is_none());

    house(&sim, Side::Sell, "60000", "0.0004");
    let part = stream.push("orders").await["data"][0].clone();
    assert_eq!((part["status"].as_str(), part["tradeScope"].as_str()), (Some("partially_filled"), Some("M")));
    assert_eq!((part["baseVolume"].as_str(), part["accBaseVolume"].as_str()), (Some("0.000400"), Some("0.000400")));
    assert_eq!((part["fillFee"].as_str(), part["fillFeeCoin"].as_str()), (Some("-0.0000004"), Some("BTC")));
    let fill = stream.push("fill").await["data"][0].clone();
    assert_eq!((fill["tradeId"].as_str(), fill["symbol"].as_str()), (part["tradeId"].as_str(), Some("BTCUSDT")));
    assert_eq!((fill["amount"].as_str(), fill["feeDetail"][0]["totalFee"].as_str()), (Some("24"), Some("-0.0000004")));

    house(&sim, Side::Sell, "60000", "0.0006");
    let done = stream.push("orders").await["data"][0].clone();
    assert_eq!(
        (done["status"].as_str(), done["baseVolume"].as_str(), done["accBaseVolume"].as_str()),
        (Some("filled"), Some("0.000600"), Some("0.001000"))
    );
    assert_eq!(done["feeDetail"][0]["fee"], "-0.000001");

    let info = rest.order_info("blk-0001").await;
    assert_eq!(info.as_array().unwrap().len(), 1);
    assert_eq!(
        (info[0]["status"].as_str(), info[0]["priceAvg"].as_str()),
        (Some("filled"), Some("60000.0000000000000000"))
    );
    assert_eq!(
        rest.get(&format!("/api/v2/spot/trade/orderInfo?orderId={order_id}")).await.data()[0]["clientOid"],
        "blk-0001"
    );
    let fills = rest.get("/api/v2/spot/trade/fills?symbol=BTCUSDT").await;
    assert_eq!(fills.data().as_array().unwrap().len(), 2);
    assert_eq!(fills.data()[1]["feeDetail"]["totalFee"], "-0.0000004");
    assert_eq!(
        rest.get("/api/v2/spot/trade/history-orders?symbol=BTCUSDT").await.data()[0]["orderId"],
        order_id.as_str()
    );
    assert!(rest.get("/api/v2/spot/trade/unfilled-orders").await.data().as_array().unwrap().is_empty());

    let truth = sim.control().orders_by_client_oid(0, "blk-0001");
    assert_eq!((truth.len(), truth[0].status, truth[0].fee), (1, OrderStatus::Filled, number("0.000001")));
    let balances = sim.control().balances(0);
    assert_eq!(balances[&Asset::from("BTC").unwrap()].available, number("2.000999"));
    assert_eq!(balances[&Asset::from("USDT").unwrap()].available, number("99940"));
    assert_eq!(sim.control().fills(0).len(), 2);
}

#[tokio::test]
async fn a_cancel_is_answered_and_pushed_and_a_second_one_finds_nothing() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    rest.place(&limit("sell", "70000", "0.5", "gtc", "c1")).await.data();
    let body = json!({"symbol": "BTCUSDT", "clientOid": "c1"});
    assert_eq!(rest.post("/api/v2/spot/trade/cancel-order", &body).await.data()["clientOid"], "c1");
    let cancelled = stream.find(|frame| frame["data"][0]["status"] == "cancelled").await;
    assert_eq!(cancelled["data"][0]["accBaseVolume"], "0.000000");
    assert_eq!(rest.post("/api/v2/spot/trade/cancel-order", &body).await.failure(), (400, "43001"));
    assert_eq!(rest.order_info("c1").await[0]["status"], "cancelled");
    assert_eq!(rest.order_info("never").await, json!([]));
}

#[tokio::test]
async fn orders_that_may_not_rest_or_take_go_live_and_are_then_cancelled() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    house(&sim, Side::Sell, "60000", "0.0004");
    for (id, force) in [("p", "post_only"), ("f", "fok")] {
        rest.place(&limit("buy", "60000", "0.001", force, id)).await.data();
        let told: Vec<Value> = vec![stream.push("orders").await, stream.push("orders").await];
        let states: Vec<&str> = told.iter().map(|frame| frame["data"][0]["status"].as_str().unwrap()).collect();
        assert_eq!(states, ["live", "cancelled"], "{force}");
        assert_eq!(told[1]["data"][0]["accBaseVolume"], "0.000000");
    }
    rest.place(&limit("buy", "60000", "0.001", "IOC", "i")).await.data();
    let mut states = Vec::new();
    for _ in 0..3 {
        states.push(stream.push("orders").await["data"][0]["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["live", "partially_filled", "cancelled"]);
    assert_eq!(sim.control().orders_accepted(), 3);
}

#[tokio::test]
async fn a_client_order_id_is_unique_among_open_orders_only() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    rest.place(&limit("buy", "50000", "0.001", "gtc", "again")).await.data();
    assert_eq!(rest.place(&limit("buy", "50000", "0.001", "gtc", "again")).await.failure(), (400, "40786"));
    house(&sim, Side::Sell, "50000", "0.001");
    rest.place(&limit("buy", "50000", "0.001", "gtc", "again")).await.data();
    let both = sim.control().orders_by_client_oid(0, "again");
    assert_eq!(both.iter().map(|order| order.status).collect::<Vec<_>>(), [OrderStatus::Filled, OrderStatus::Live]);
    assert_eq!(rest.order_info("again").await[0]["status"], "live", "the id names the latest");
    assert_eq!((sim.control().place_requests(), sim.control().orders_accepted()), (3, 2));
}

#[tokio::test]
async fn a_market_buy_is_sized_in_quote_and_a_market_sell_in_base() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    house(&sim, Side::Sell, "60000", "1");
    let buy = json!({"symbol": "BTCUSDT", "side": "buy", "orderType": "market", "force": "gtc", "size": "60", "clientOid": "mb"});
    rest.place(&buy).await.data();
    let info = rest.order_info("mb").await;
    assert_eq!(
        (info[0]["status"].as_str(), info[0]["baseVolume"].as_str()),
        (Some("filled"), Some("0.0010000000000000"))
    );
    house(&sim, Side::Buy, "59000", "1");
    let sell = json!({"symbol": "BTCUSDT", "side": "sell", "orderType": "market", "size": "0.001", "clientOid": "ms"});
    rest.place(&sell).await.data();
    assert_eq!(rest.order_info("ms").await[0]["quoteVolume"], "59.0000000000000000");
    let balances = sim.control().balances(0);
    // 100000 - 60 + 59 - 0.059 fee; 2 + 0.001 - 0.000001 fee - 0.001.
    assert_eq!(balances[&Asset::from("USDT").unwrap()].available, number("99998.941"));
    assert_eq!(balances[&Asset::from("BTC").unwrap()].available, number("1.999999"));
}

#[tokio::test]
async fn batches_tell_each_orders_fate() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    let list = [
        limit("buy", "50000", "0.001", "gtc", "b1"),
        limit("buy", "50000", "0.00001", "gtc", "b2"),
        limit("buy", "49000", "0.001", "gtc", "b3"),
    ];
    let placed = rest.post("/api/v2/spot/trade/batch-orders", &json!({"symbol": "BTCUSDT", "orderList": list})).await;
    assert_eq!(placed.data()["successList"].as_array().unwrap().len(), 2);
    assert_eq!(
        (placed.data()["failureList"][0]["clientOid"].as_str(), placed.data()["failureList"][0]["errorCode"].as_str()),
        (Some("b2"), Some("45110"))
    );
    let body = json!({"symbol": "BTCUSDT", "orderList": [{"clientOid": "b1"}, {"clientOid": "b2"}]});
    let cancelled = rest.post("/api/v2/spot/trade/batch-cancel-order", &body).await;
    assert_eq!(cancelled.data()["successList"][0]["clientOid"], "b1");
    assert_eq!(cancelled.data()["failureList"][0]["errorCode"], "43001");
    rest.post("/api/v2/spot/trade/cancel-symbol-order", &json!({"symbol": "BTCUSDT"})).await.data();
    assert!(sim.control().orders(0).iter().all(|order| order.status == OrderStatus::Cancelled));
    assert_eq!(sim.control().balances(0)[&Asset::from("USDT").unwrap()].frozen, Decimal::ZERO);
    assert_eq!(
        rest.post("/api/v2/spot/trade/batch-orders", &json!({"orderList": vec![json!({}); 51]})).await.failure(),
        (400, "40306")
    );
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    for number in 0..5 {
        rest.place(&limit("buy", "50000", "0.001", "gtc", &format!("p{number}"))).await.data();
    }
    let names = |page: &Value| {
        page.as_array().unwrap().iter().map(|item| item["clientOid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = rest.get("/api/v2/spot/trade/unfilled-orders?limit=2").await.data().clone();
    assert_eq!(names(&first), ["p4", "p3"]);
    let next =
        format!("/api/v2/spot/trade/unfilled-orders?limit=2&idLessThan={}", first[1]["orderId"].as_str().unwrap());
    assert_eq!(names(rest.get(&next).await.data()), ["p2", "p1"]);
    assert_eq!(rest.get("/api/v2/spot/trade/unfilled-orders?symbol=ETHUSDT").await.data(), &json!([]));
}

#[tokio::test]
async fn an_order_without_a_time_in_force_is_good_till_cancelled() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    let order = serde_json::json!({"symbol": "btcusdt", "side": "BUY", "orderType": "Limit", "price": 60000, "size": "0.001",
                                   "clientOid": "plain", "unknown": {"fields": ["are", "tolerated"]}});
    rest.place(&order).await.data();
    assert_eq!(rest.order_info("plain").await[0]["status"], "live");
}
