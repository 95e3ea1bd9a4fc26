//! A key or account that loses its standing loses it at once, for requests and for open streams.

use crate::client::{Rest, Stream, now_ms, quiet, start};
use sim_venue::{AccountMode, KeyState, Permission, RunningSim, SimControl};

const INFO: &str = "/api/v2/spot/account/assets";

/// What a request is answered and what an open stream is told after `change`, with the number of open streams then.
async fn after(sim: &RunningSim, change: impl Fn(&SimControl, &str) -> bool) -> (String, i64) {
    let rest = Rest::new(sim);
    rest.get(INFO).await.data();
    let mut stream = Stream::private(sim).await;
    assert!(change(&sim.control(), &sim.key.key));
    let told = stream.find(|frame| frame["event"] == "error").await;
    assert_eq!(stream.text().await, None, "closed by the venue");
    (rest.get(INFO).await.failure().1.to_owned(), told["code"].as_i64().unwrap())
}

#[tokio::test]
async fn a_deleted_frozen_expired_rebound_or_powerless_key_ends_at_once_for_requests_and_open_streams() {
    let here = || start(quiet());
    let deleted = after(&here(), |control, key| control.set_key_state(key, KeyState::Deleted)).await;
    assert_eq!(deleted, ("40037".into(), 30_011));
    let frozen = after(&here(), |control, key| control.set_key_state(key, KeyState::Frozen)).await;
    assert_eq!(frozen, ("40024".into(), 30_005));
    let expired = after(&here(), |control, key| control.set_key_expiry(key, Some(now_ms()))).await;
    assert_eq!(expired, ("40037".into(), 30_011));
    let elsewhere = after(&here(), |control, key| control.set_ips(key, vec!["10.0.0.1".parse().unwrap()])).await;
    assert_eq!(elsewhere, ("40018".into(), 30_005));
    let powerless = after(&here(), |control, key| control.set_permissions(key, vec![Permission::Withdraw])).await;
    assert_eq!(powerless, ("40014".into(), 30_005));
    let account = after(&here(), |control, _| control.set_account_frozen(0, true)).await;
    assert_eq!(account, ("40024".into(), 30_005));
}

#[tokio::test]
async fn a_key_that_expires_while_its_stream_is_open_closes_it_without_anybody_asking() {
    let sim = start(quiet());
    let mut stream = Stream::private(&sim).await;
    assert!(sim.control().set_key_expiry(&sim.key.key, Some(now_ms() + 300)));
    assert_eq!(stream.find(|frame| frame["event"] == "error").await["code"], 30_011);
    assert_eq!(stream.text().await, None);
}

#[tokio::test]
async fn a_frozen_key_works_again_after_it_is_thawed() {
    let sim = start(quiet());
    let rest = Rest::new(&sim);
    assert!(sim.control().set_key_state(&sim.key.key, KeyState::Frozen));
    assert_eq!(rest.get(INFO).await.failure(), (400, "40024"));
    assert_eq!(Stream::connect(&sim.ws_private).await.log_in(&sim.key).await["code"], 30_005);
    assert!(sim.control().set_key_state(&sim.key.key, KeyState::Active));
    rest.get(INFO).await.data();
    Stream::private(&sim).await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_missing_at_once_while_reading_goes_on() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    assert!(sim.control().set_permissions(&sim.key.key, vec![Permission::Read]));
    let order = crate::client::limit("buy", "50000", "0.001", "gtc", "late");
    assert_eq!(rest.place(&order).await.failure(), (400, "40014"));
    stream.send("ping").await;
    assert_eq!(stream.text().await.as_deref(), Some("pong"));
}

#[tokio::test]
async fn an_account_opened_while_the_exchange_runs_trades_like_the_first() {
    let sim = start(quiet());
    let account = sim.control().open_account(AccountMode::Classic, Some(0)).unwrap();
    let usdt = domain::Asset::from("USDT").unwrap();
    assert!(sim.control().deposit(account, usdt, 1_000.into()));
    let material = sim_venue::ApiKeyMaterial::generate().unwrap();
    assert!(sim.control().add_key(sim_venue::KeyConfig {
        material: material.clone(),
        permissions: vec![Permission::Trade],
        ips: Vec::new(),
        environment: sim_venue::Environment::Production,
        account,
    }));
    let rest = Rest { key: material, ..Rest::new(&sim) };
    rest.place(&crate::client::limit("buy", "50000", "0.001", "gtc", "first")).await.data();
    let (price, size) = (50_000.into(), "0.001".parse().unwrap());
    assert!(sim.control().market_order("BTCUSDT", domain::Side::Sell, price, size, domain::TimeInForce::Ioc));
    assert_eq!(sim.control().fills(account).len(), 1);
    assert!(sim.control().fills(0).is_empty());
    let info = rest.get("/api/v2/spot/account/info").await.data().clone();
    let main = Rest::new(&sim).get("/api/v2/spot/account/info").await.data().clone();
    assert_eq!(info["parentId"].to_string(), main["userId"].as_str().unwrap());
    assert!(sim.control().set_account_frozen(0, true), "freezing the main account freezes its sub-accounts");
    assert_eq!(rest.get(INFO).await.failure(), (400, "40024"));
}
