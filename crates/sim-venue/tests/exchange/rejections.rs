//! Each reason for which the venue rejects a request, with its own code.

use crate::client::{Rest, limit, quiet, start};
use serde_json::{Value, json};
use sim_venue::{
    AccountConfig, AccountMode, ApiKeyMaterial, Environment, KeyConfig, KeyState, Permission, RateLimits, SimConfig,
    SimVenue,
};
use std::sync::Arc;

const INFO: &str = "/api/v2/spot/account/info";

fn with(order: Value, name: &str, value: Value) -> Value {
    let mut order = order;
    order[name] = value;
    order
}

#[tokio::test]
async fn each_bad_parameter_has_its_code_and_changes_nothing() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    let good = || limit("buy", "60000", "0.001", "gtc", "x");
    let now = crate::client::now_ms();
    let cases = [
        (with(good(), "symbol", json!("NOPEUSDT")), "40034"),
        (with(good(), "symbol", Value::Null), "40019"),
        (with(good(), "side", json!("hold")), "40017"),
        (with(good(), "orderType", json!("stop")), "40017"),
        (with(good(), "force", json!("forever")), "40017"),
        (with(good(), "price", json!("60000.001")), "40808"),
        (with(good(), "size", json!("0.0010001")), "40808"),
        (with(good(), "price", Value::Null), "40019"),
        (with(good(), "size", json!("-1")), "40017"),
        (with(good(), "size", json!("0.00001")), "45110"),
        (with(good(), "size", json!("10")), "43012"),
        (with(good(), "clientOid", json!("a".repeat(40))), "40304"),
        (with(good(), "clientOid", json!("bad id")), "40305"),
        (with(good(), "tpslType", json!("tpsl")), "40017"),
        (with(with(good(), "requestTime", json!(now.to_string())), "receiveWindow", json!("70000")), "40079"),
        (with(with(good(), "requestTime", json!((now - 20_000).to_string())), "receiveWindow", json!("5000")), "40078"),
    ];
    for (order, code) in cases {
        assert_eq!(rest.place(&order).await.failure(), (400, code), "{order}");
    }
    assert!(sim.control().orders(0).is_empty());
    assert_eq!(rest.send("POST", "/api/v2/spot/trade/place-order", "{broken").await.unwrap().failure(), (400, "40020"));
    assert_eq!(rest.get("/api/v2/spot/market/orderbook?symbol=NOPEUSDT").await.failure(), (400, "40034"));
    assert_eq!(rest.get("/api/v2/spot/market/orderbook").await.failure(), (400, "400172"));
    assert_eq!(rest.get("/api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1H").await.failure(), (400, "400171"));
    assert_eq!(rest.get("/api/v2/spot/no/such/path").await.failure(), (404, "40404"));
}

#[tokio::test]
async fn prices_far_from_the_market_are_rejected_on_both_sides() {
    let sim = start(crate::client::seeded());
    let rest = Rest::new(&sim);
    assert_eq!(rest.place(&limit("buy", "70000", "0.001", "gtc", "x")).await.failure(), (400, "43008"));
    assert_eq!(rest.place(&limit("sell", "50000", "0.001", "gtc", "x")).await.failure(), (400, "43009"));
}

#[tokio::test]
async fn each_wrong_credential_has_its_code() {
    let sim = start(quiet());
    let good = Rest::new(&sim);
    let broken = |change: &dyn Fn(&mut ApiKeyMaterial)| {
        let mut rest = good.clone();
        change(&mut rest.key);
        rest
    };
    assert_eq!(good.get(INFO).await.data()["authorities"], json!(["stow"]));
    assert_eq!(broken(&|key| key.key = "bg_unknown".into()).get(INFO).await.failure(), (400, "40006"));
    assert_eq!(broken(&|key| key.secret = "wrong".into()).get(INFO).await.failure(), (400, "40009"));
    assert_eq!(broken(&|key| key.passphrase = "wrong".into()).get(INFO).await.failure(), (400, "40012"));
    assert_eq!(broken(&|key| key.passphrase.clear()).get(INFO).await.failure(), (400, "40011"));
    for clock_error_ms in [-31_000, 31_000] {
        assert_eq!(Rest { clock_error_ms, ..good.clone() }.get(INFO).await.failure(), (400, "40008"));
    }
    assert_eq!(Rest { paper: true, ..good.clone() }.get(INFO).await.failure(), (400, "40099"));
    let control = sim.control();
    assert!(control.set_ips(&sim.key.key, vec!["10.1.2.3".parse().unwrap()]));
    assert_eq!(good.get(INFO).await.failure(), (400, "40018"));
    assert!(control.set_ips(&sim.key.key, vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(good.get(INFO).await.data()["ips"], "127.0.0.1");
    assert!(control.set_key_state(&sim.key.key, KeyState::Deleted));
    assert_eq!(good.get(INFO).await.failure(), (400, "40037"));
}

#[tokio::test]
async fn a_read_only_key_reads_and_the_answer_names_the_missing_right() {
    let sim = start(SimConfig { permissions: vec![Permission::Read], ..quiet() });
    let rest = Rest::new(&sim);
    assert_eq!(rest.get(INFO).await.data()["authorities"], json!(["stor"]));
    let refused = rest.place(&limit("buy", "60000", "0.001", "gtc", "x")).await;
    assert_eq!(refused.failure(), (400, "40014"));
    assert_eq!(refused.body["msg"], "Incorrect permissions, need spot order write permissions");
    assert_eq!(sim.control().place_requests(), 0, "what is not permitted does not reach the exchange");
    assert!(sim.control().set_permissions(&sim.key.key, vec![Permission::Withdraw, Permission::Transfer]));
    assert_eq!(rest.get(INFO).await.failure(), (400, "40014"));
    assert!(
        sim.control().set_permissions(&sim.key.key, vec![Permission::Read, Permission::Trade, Permission::Withdraw])
    );
    assert_eq!(rest.get(INFO).await.data()["authorities"], json!(["stow", "wwow"]));
}

#[tokio::test]
async fn demo_keys_need_the_demo_header() {
    let sim = start(SimConfig { environment: Environment::Demo, ..quiet() });
    let rest = Rest::new(&sim);
    assert_eq!(rest.get(INFO).await.failure(), (400, "40099"));
    Rest { paper: true, ..rest }.get(INFO).await.data();
}

#[tokio::test]
async fn the_accounts_generation_decides_which_interface_answers() {
    let extra = ApiKeyMaterial { key: "bg_unified".into(), secret: "s".into(), passphrase: "Passw0rd1".into() };
    let key = KeyConfig {
        material: extra.clone(),
        permissions: vec![Permission::Trade],
        ips: Vec::new(),
        environment: Environment::Production,
        account: 1,
    };
    let unified = AccountConfig { mode: AccountMode::Unified, ..AccountConfig::default() };
    let sim = start(SimConfig { extra_accounts: vec![unified], extra_keys: vec![key], ..quiet() });
    let classic = Rest::new(&sim);
    assert_eq!(classic.get("/api/v3/account/settings").await.failure(), (400, "40084"));
    assert_eq!(classic.get("/api/v3/account/info").await.failure(), (400, "40084"));
    let mut other = classic.clone();
    other.key = extra;
    assert_eq!(other.get("/api/v3/account/settings").await.data()["holdMode"], "one_way_mode");
    assert_eq!(other.get("/api/v3/account/info").await.data()["permType"], "read-and-write");
    assert_eq!(other.get(INFO).await.failure(), (400, "40085"));
    other.key.secret = "wrong".into();
    other.key.passphrase = "wrong".into();
    assert_eq!(other.get(INFO).await.failure(), (400, "40085"), "told before passphrase and signature are judged");
}

#[tokio::test]
async fn the_venues_clock_can_be_off() {
    let sim = start(SimConfig { clock_offset_ms: 40_000, ..quiet() });
    let rest = Rest::new(&sim);
    assert_eq!(rest.get(INFO).await.failure(), (400, "40008"));
    let told: u64 = rest.get("/api/v2/public/time").await.data()["serverTime"].as_str().unwrap().parse().unwrap();
    let ahead = i64::try_from(told).unwrap() - i64::try_from(crate::client::now_ms()).unwrap();
    assert!((35_000..=40_000).contains(&ahead), "{ahead}");
    Rest { clock_error_ms: ahead, ..rest }.get(INFO).await.data();
}

#[tokio::test]
async fn documented_budgets_are_enforced_with_http_429() {
    let sim = start(SimConfig { rate_limits: RateLimits::default(), ..quiet() });
    let rest = Rest::new(&sim);
    rest.get(INFO).await.data();
    let second = rest.get(INFO).await;
    assert_eq!((second.status, second.code(), second.body["msg"].as_str()), (429, "429", Some("Too Many Requests")));
    assert_eq!(second.left.as_deref(), Some("0"));
    assert_eq!(rest.get("/api/v2/spot/account/assets?coin=USDT").await.left.as_deref(), Some("9"));
    rest.get("/api/v2/spot/account/assets").await.data();
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let clock = || Arc::new(clock::SystemClock);
    let sim = start(quiet());
    let taken = SimVenue::start(SimConfig { listen: sim.address, ..quiet() }, clock()).map(|_| ()).unwrap_err();
    assert!(taken.to_string().contains(&sim.address.to_string()), "{taken}");
    let outside = SimConfig { listen: "0.0.0.0:0".parse().unwrap(), ..quiet() };
    assert!(SimVenue::start(outside, clock()).map(|_| ()).unwrap_err().to_string().contains("loopback"));
    let tape = sim_venue::Market::Tape { path: "/no/such/tape".into(), at_end: sim_venue::TapeEnd::Hold };
    let error = SimVenue::start(SimConfig { market: tape, ..quiet() }, clock()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("/no/such/tape"), "{error}");
}
