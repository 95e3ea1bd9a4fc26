//! Each fault does what it says, once.

use crate::client::{Rest, Stream, limit, quiet, seeded, start};
use crate::market::Rebuilt;
use domain::{Side, TimeInForce};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{FaultKind, FaultPlan, OrderStatus, RunningSim, SimConfig};

fn faulty(base: SimConfig, plan: &str) -> RunningSim {
    start(SimConfig { faults: FaultPlan::parse(plan).unwrap(), ..base })
}

fn books() -> Value {
    json!({"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"})
}

#[tokio::test]
async fn ack_lost_takes_the_order_and_closes_without_an_answer() {
    let sim = faulty(quiet(), "ack-lost@2");
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    rest.place(&limit("buy", "50000", "0.001", "gtc", "first")).await.data();
    let lost = rest
        .send("POST", "/api/v2/spot/trade/place-order", &limit("buy", "50000", "0.001", "gtc", "second").to_string())
        .await;
    let error = lost.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    assert_eq!(sim.control().orders_by_client_oid(0, "second").len(), 1);
    let told = stream.find(|frame| frame["data"][0]["clientOid"] == "second").await;
    assert_eq!(told["data"][0]["status"], "live");
    assert_eq!(rest.order_info("second").await[0]["status"], "live");
    rest.place(&limit("buy", "50000", "0.001", "gtc", "third")).await.data();
    assert_eq!((sim.control().place_requests(), sim.control().orders_accepted()), (3, 3));
}

#[tokio::test]
async fn a_5xx_after_acceptance_hides_a_taken_order_behind_no_json() {
    let sim = faulty(quiet(), "5xx-after-accept@1");
    let rest = Rest::new(&sim);
    let answer = rest.place(&limit("buy", "50000", "0.001", "gtc", "hidden")).await;
    assert_eq!((answer.status, &answer.body), (503, &Value::Null));
    assert_eq!(sim.control().orders_by_client_oid(0, "hidden")[0].status, OrderStatus::Live);
    rest.place(&limit("buy", "50000", "0.001", "gtc", "open")).await.data();
}

#[tokio::test]
async fn a_fault_meant_for_an_order_that_is_rejected_waits_for_the_next() {
    let sim = faulty(quiet(), "5xx-after-accept@1");
    let rest = Rest::new(&sim);
    assert_eq!(rest.place(&limit("buy", "50000", "1000", "gtc", "poor")).await.failure(), (400, "43012"));
    assert_eq!(rest.place(&limit("buy", "50000", "0.001", "gtc", "hidden")).await.status, 503);
    assert_eq!(sim.control().orders_accepted(), 1);
}

#[tokio::test]
async fn fill_before_ack_pushes_the_fill_while_the_request_still_waits() {
    let sim = faulty(quiet(), "fill-before-ack@1");
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    assert!(sim.control().market_order("BTCUSDT", Side::Buy, Decimal::from(50_000), Decimal::ONE, TimeInForce::Gtc));
    let order = limit("buy", "50000", "0.001", "gtc", "early");
    let request = rest.place(&order);
    tokio::pin!(request);
    let fill = tokio::select! {
        biased;
        fill = stream.push("fill") => fill,
        answer = &mut request => panic!("answered before the fill was pushed: {}", answer.text),
    };
    assert_eq!(fill["data"][0]["size"], "0.001000");
    let answer = request.await;
    assert_eq!(answer.data()["orderId"], fill["data"][0]["orderId"]);
    assert_eq!(sim.control().orders_by_client_oid(0, "early")[0].status, OrderStatus::Filled);
}

#[tokio::test]
async fn drop_cuts_the_public_streams_and_leaves_the_private_ones() {
    let sim = start(seeded());
    let mut private = Stream::private(&sim).await;
    let mut public = Stream::connect(&sim.ws_public).await;
    public.subscribe(&books()).await;
    sim.control()
        .add_faults(FaultPlan::from_json(r#"{"fault": [{"name": "drop", "after_s": 0.5}]}"#).unwrap())
        .unwrap();
    while public.text().await.is_some() {}
    private.send("ping").await;
    assert_eq!(private.text().await.as_deref(), Some("pong"));
    let mut again = Stream::connect(&sim.ws_public).await;
    again.subscribe(&books()).await;
    again.push("books").await;
}

#[tokio::test]
async fn stall_keeps_the_connection_and_withholds_its_data() {
    let sim = start(seeded());
    let mut stalled = Stream::connect(&sim.ws_public).await;
    stalled.subscribe(&books()).await;
    stalled.push("books").await;
    sim.control().inject(FaultKind::Stall);
    // What was on its way arrives before the answer; after it there is nothing.
    stalled.send("ping").await;
    while stalled.text().await.as_deref() != Some("pong") {}
    let mut fresh = Stream::connect(&sim.ws_public).await;
    fresh.subscribe(&books()).await;
    for _ in 0..10 {
        fresh.push("books").await;
    }
    stalled.send("ping").await;
    assert_eq!(stalled.text().await.as_deref(), Some("pong"), "alive, and no data for ten updates");
}

/// Applies updates until `wanted` of them, and says which did not follow and which had a wrong checksum.
async fn watch(sim: &RunningSim, fault: FaultKind, wanted: usize) -> (usize, usize, usize) {
    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.subscribe(&books()).await;
    let mut book = Rebuilt::default();
    book.apply(&stream.push("books").await["data"][0]);
    sim.control().inject(fault);
    let (mut gaps, mut wrong, mut fine) = (0, 0, 0);
    for _ in 0..wanted {
        let push = stream.push("books").await;
        let data = &push["data"][0];
        if data["pseq"].as_u64() != Some(book.seq) {
            gaps += 1;
            // As a client must: begin again from a snapshot.
            stream.send(json!({"op": "unsubscribe", "args": [books()]}).to_string()).await;
            stream.find(|frame| frame["event"] == "unsubscribe").await;
            stream.subscribe(&books()).await;
            book = Rebuilt::default();
            book.apply(&stream.push("books").await["data"][0]);
            continue;
        }
        book.apply(data);
        if data["checksum"].as_i64() == Some(book.checksum()) { fine += 1 } else { wrong += 1 }
    }
    (gaps, wrong, fine)
}

#[tokio::test]
async fn gap_makes_one_update_not_follow_and_a_new_subscription_heals_it() {
    let sim = start(seeded());
    assert_eq!(watch(&sim, FaultKind::Gap, 12).await, (1, 0, 11));
}

#[tokio::test]
async fn bad_checksum_spoils_one_update() {
    let sim = start(seeded());
    assert_eq!(watch(&sim, FaultKind::BadChecksum, 12).await, (0, 1, 11));
}

#[tokio::test]
async fn a_market_data_fault_can_wait_for_an_order() {
    let sim = faulty(seeded(), "drop@2");
    let rest = Rest::new(&sim);
    let mut public = Stream::connect(&sim.ws_public).await;
    rest.place(&limit("buy", "59000", "0.001", "gtc", "one")).await.data();
    public.send("ping").await;
    assert_eq!(public.text().await.as_deref(), Some("pong"));
    rest.place(&limit("buy", "59000", "0.001", "gtc", "two")).await.data();
    assert_eq!(public.text().await, None);
}
