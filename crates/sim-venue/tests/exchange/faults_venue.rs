//! Faults of orders, of the venue and of its control endpoint.

use crate::client::{Rest, Stream, limit, now_ms, quiet, start};
use domain::{Side, TimeInForce};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{FaultKind, FaultPlan, OrderStatus, RunningSim};
use std::time::Duration;

const ASSETS: &str = "/api/v2/spot/account/assets";

fn plan(sim: &RunningSim, json: &Value) {
    let plan = FaultPlan::from_json(&json!({"fault": [json]}).to_string()).unwrap();
    sim.control().add_faults(plan).unwrap();
}

#[tokio::test]
async fn a_late_answer_comes_long_after_the_push_and_names_the_same_order() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    plan(&sim, &json!({"name": "ack-late", "delay_ms": 800}));
    let order = limit("buy", "50000", "0.001", "gtc", "late");
    let (began, request) = (now_ms(), rest.place(&order));
    tokio::pin!(request);
    let push = tokio::select! {
        biased;
        push = stream.push("orders") => push,
        answer = &mut request => panic!("answered before the push: {}", answer.text),
    };
    let answer = request.await;
    assert!(now_ms() - began >= 800);
    assert_eq!(answer.data()["orderId"], push["data"][0]["orderId"]);
    assert_eq!(push["data"][0]["status"], "live");
}

#[tokio::test]
async fn an_answer_over_a_stream_can_be_late_as_well() {
    let sim = start(quiet());
    let mut stream = Stream::private(&sim).await;
    plan(&sim, &json!({"name": "ack-late", "delay_ms": 500}));
    let params = json!({"side": "buy", "orderType": "limit", "force": "gtc", "price": "50000", "size": "0.001", "clientOid": "late"});
    let arg = json!({"id": "c-1", "instType": "SPOT", "instId": "BTCUSDT", "channel": "place-order", "params": params});
    let began = now_ms();
    stream.send(json!({"op": "trade", "args": [arg]}).to_string()).await;
    assert_eq!(stream.push("orders").await["data"][0]["clientOid"], "late", "the push comes first");
    let answer = stream.find(|frame| frame["event"] == "trade").await;
    assert_eq!(answer["code"], 0);
    assert!(now_ms() - began >= 500);
}

#[tokio::test]
async fn a_cancellation_that_loses_the_race_is_confirmed_and_the_order_is_filled() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    rest.place(&limit("buy", "50000", "0.001", "gtc", "raced")).await.data();
    sim.control().inject(FaultKind::CancelFillRace);
    let cancel = json!({"symbol": "BTCUSDT", "clientOid": "raced"});
    rest.post("/api/v2/spot/trade/cancel-order", &cancel).await.data();
    let last = stream.find(|frame| frame["arg"]["channel"] == "orders" && frame["data"][0]["status"] != "live").await;
    assert_eq!((&last["data"][0]["status"], &last["data"][0]["clientOid"]), (&json!("filled"), &json!("raced")));
    assert_eq!(sim.control().orders_by_client_oid(0, "raced")[0].status, OrderStatus::Filled);
    assert_eq!(rest.post("/api/v2/spot/trade/cancel-order", &cancel).await.failure(), (400, "43001"));
    rest.place(&limit("buy", "50000", "0.001", "gtc", "second")).await.data();
    let cancel = json!({"symbol": "BTCUSDT", "clientOid": "second"});
    rest.post("/api/v2/spot/trade/cancel-order", &cancel).await.data();
    assert_eq!(sim.control().orders_by_client_oid(0, "second")[0].status, OrderStatus::Cancelled, "only once");
}

#[tokio::test]
async fn an_order_rejected_later_is_accepted_told_live_and_then_gone_without_a_trade() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    plan(&sim, &json!({"name": "rejected-later", "delay_ms": 400}));
    let began = now_ms();
    rest.place(&limit("buy", "50000", "0.001", "post_only", "doomed")).await.data();
    assert_eq!(stream.push("orders").await["data"][0]["status"], "live");
    assert_eq!(rest.order_info("doomed").await[0]["status"], "live", "nobody knows yet");
    let (price, size) = (Decimal::from(50_000), Decimal::new(1, 3));
    assert!(sim.control().market_order("BTCUSDT", Side::Sell, price, size, TimeInForce::Ioc));
    let gone = stream.push("orders").await["data"][0].clone();
    assert!(now_ms() - began >= 350);
    assert_eq!(gone["status"], "cancelled");
    assert_eq!(gone["cancelReason"], "post_only_as_taker_cancelled");
    assert!(sim.control().fills(0).is_empty(), "a seller at its price found nothing");
}

#[tokio::test]
async fn a_rejection_meant_for_an_order_that_trades_at_once_waits_for_one_that_rests() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    let (price, size) = (Decimal::from(50_000), Decimal::new(1, 3));
    assert!(sim.control().market_order("BTCUSDT", Side::Sell, price, size, TimeInForce::Gtc));
    sim.control().inject(FaultKind::RejectedLater);
    rest.place(&limit("buy", "50000", "0.001", "gtc", "quick")).await.data();
    assert_eq!(sim.control().orders_by_client_oid(0, "quick")[0].status, OrderStatus::Filled);
    assert_eq!(sim.control().fault_report()["fired"], json!([]));
    let mut stream = Stream::private(&sim).await;
    rest.place(&limit("buy", "50000", "0.001", "gtc", "resting")).await.data();
    stream.find(|frame| frame["data"][0]["status"] == "cancelled").await;
    assert_eq!(sim.control().fault_report()["fired"][0]["name"], "rejected-later");
}

#[tokio::test]
async fn orders_on_perpetuals_meet_the_same_faults() {
    let permissions = vec![sim_venue::Permission::Trade, sim_venue::Permission::FuturesTrade];
    let sim = start(sim_venue::SimConfig { permissions, ..crate::client::seeded() });
    let rest = Rest::new(&sim);
    let order = |id: &str| {
        json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "marginMode": "crossed", "marginCoin": "USDT",
               "size": "0.01", "price": "59000", "side": "buy", "orderType": "limit", "force": "gtc", "clientOid": id})
    };
    let place = |id: &str| {
        let (rest, order) = (rest.clone(), order(id));
        async move { rest.post("/api/v2/mix/order/place-order", &order).await }
    };
    let named = |id: &str| json!({"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "clientOid": id});
    let state = |id: &str| {
        let target = format!("/api/v2/mix/order/detail?symbol=BTCUSDT&productType=USDT-FUTURES&clientOid={id}");
        let rest = rest.clone();
        async move { rest.get(&target).await.data()["state"].clone() }
    };
    place("raced").await.data();
    sim.control().inject(FaultKind::CancelFillRace);
    rest.post("/api/v2/mix/order/cancel-order", &named("raced")).await.data();
    assert_eq!(state("raced").await, "filled");
    plan(&sim, &json!({"name": "rejected-later", "delay_ms": 100}));
    place("doomed").await.data();
    assert_eq!(state("doomed").await, "live");
    for _ in 0..200 {
        if state("doomed").await != "live" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(state("doomed").await, "canceled");
    plan(&sim, &json!({"name": "5xx-after-accept"}));
    assert_eq!(place("hidden").await.status, 503);
    assert_eq!(state("hidden").await, "live");
}

#[tokio::test]
async fn maintenance_tells_streams_and_closes_them_refuses_everything_and_ends() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    plan(&sim, &json!({"name": "maintenance", "duration_s": 1}));
    assert_eq!(stream.find(|frame| frame["event"] == "error").await["code"], 30_033);
    assert_eq!(stream.text().await, None);
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40200"));
    assert_eq!(rest.get("/api/v2/public/time").await.failure(), (400, "40200"));
    assert!(tokio_tungstenite::connect_async(sim.ws_public.as_str()).await.is_err());
    for _ in 0..200 {
        if rest.get(ASSETS).await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rest.get(ASSETS).await.data();
    Stream::private(&sim).await;
    plan(&sim, &json!({"name": "maintenance", "code": "503"}));
    let answer = rest.get(ASSETS).await;
    assert_eq!((answer.status, answer.body.is_null()), (503, true), "{}", answer.text);
}

#[tokio::test]
async fn changed_rights_hit_the_next_order_and_come_back_when_their_time_is_over() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    plan(&sim, &json!({"name": "rights-changed", "duration_s": 1}));
    let order = limit("buy", "50000", "0.001", "gtc", "one");
    assert_eq!(rest.place(&order).await.failure(), (400, "40014"));
    let info = rest.get("/api/v2/spot/account/info").await.data().clone();
    assert_eq!(info["authorities"], json!(["stor"]));
    for _ in 0..200 {
        if rest.get("/api/v2/spot/account/info").await.data()["authorities"] == json!(["stow"]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rest.place(&order).await.data();
    plan(&sim, &json!({"name": "rights-changed", "permissions": ["trade", "withdraw"]}));
    let info = rest.get("/api/v2/spot/account/info").await.data().clone();
    assert_eq!(info["authorities"], json!(["stow", "wwow"]), "a right that nobody asked for");
}

#[tokio::test]
async fn a_key_frozen_by_a_fault_ends_its_stream_and_other_keys_go_on() {
    let sim = start(quiet());
    let second = sim_venue::ApiKeyMaterial::generate().unwrap();
    assert!(sim.control().add_key(sim_venue::KeyConfig {
        material: second.clone(),
        permissions: vec![sim_venue::Permission::Trade],
        ips: Vec::new(),
        environment: sim_venue::Environment::Production,
        account: 0,
    }));
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    sim.control().inject(FaultKind::KeyFrozen);
    assert_eq!(stream.find(|frame| frame["event"] == "error").await["code"], 30_005);
    assert_eq!(stream.text().await, None);
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40024"));
    let other = Rest { key: second.clone(), ..rest.clone() };
    other.get(ASSETS).await.data();
    plan(&sim, &json!({"name": "key-frozen", "key": second.key}));
    assert_eq!(other.get(ASSETS).await.failure(), (400, "40024"));
}

#[tokio::test]
async fn a_clock_jump_shows_in_the_time_and_refuses_requests_that_are_right_by_the_old_clock() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    plan(&sim, &json!({"name": "clock-jump", "jump_ms": 120_000}));
    let time = rest.get("/api/v2/public/time").await.data()["serverTime"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(time.abs_diff(now_ms() + 120_000) < 5_000, "{time}");
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40008"));
    Rest { clock_error_ms: 120_000, ..rest }.get(ASSETS).await.data();
}

#[tokio::test]
async fn every_fault_can_be_planned_by_its_name_and_an_order_number() {
    let text: Vec<String> = FaultKind::ALL.iter().map(|kind| format!("{kind}@1")).collect();
    let plan = FaultPlan::parse(&text.join(",")).unwrap();
    let sim = start(sim_venue::SimConfig { faults: plan, ..quiet() });
    assert_eq!(sim.control().fault_report()["waiting"].as_array().unwrap().len(), FaultKind::ALL.len());
    let order = limit("buy", "50000", "0.001", "gtc", "everything").to_string();
    let _ = Rest::new(&sim).send("POST", "/api/v2/spot/trade/place-order", &order).await;
    let report = sim.control().fault_report();
    assert_eq!(report["waiting"], json!([]), "each became due with the first order: {report}");
}

#[tokio::test]
async fn the_control_endpoint_wants_its_token_plans_faults_and_tells_what_acted() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    let url = format!("{}/control/faults", sim.rest);
    let bare = rest.http.post(&url).body("{}").send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let wrong = rest.http.get(&url).bearer_auth("0".repeat(64)).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let post = |body: Value| rest.http.post(&url).bearer_auth(&sim.control_token).body(body.to_string()).send();
    let refused = post(json!({"fault": [{"name": "ack-gone"}, {"name": "gap", "bytes": 5_000}]})).await.unwrap();
    assert_eq!(refused.status(), 400);
    let problems: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(problems["problems"].as_array().unwrap().len(), 2, "{problems}");
    let taken = post(json!({"seed": 3, "fault": [{"name": "5xx-after-accept", "at_order": 2}]})).await.unwrap();
    assert_eq!(taken.status(), 200);
    assert_eq!(rest.place(&limit("buy", "50000", "0.001", "gtc", "a")).await.status, 200);
    assert_eq!(rest.place(&limit("buy", "50000", "0.001", "gtc", "b")).await.status, 503);
    let told = rest.http.get(&url).bearer_auth(&sim.control_token).send().await.unwrap().text().await.unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["seed"], &told["fired"][0]["times"], &told["waiting"]), (&json!(3), &json!(1), &json!([])));
    assert_eq!(told["fired"][0]["name"], "5xx-after-accept");
    assert!(told["log"][0]["at_ms"].as_u64().is_some_and(|at| at.abs_diff(now_ms()) < 60_000));
    let toml = rest.http.post(&url).bearer_auth(&sim.control_token).header("Content-Type", "application/toml");
    assert_eq!(toml.body("[[fault]]\nname = \"ack-lost\"\nat_order = 9\n").send().await.unwrap().status(), 200);
    let cleared = rest.http.delete(&url).bearer_auth(&sim.control_token).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&cleared).unwrap()["waiting"], json!([]));
}
