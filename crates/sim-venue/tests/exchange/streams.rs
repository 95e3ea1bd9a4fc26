//! Log-in, subscriptions and limits of the streams.

use crate::client::{Stream, now_ms, quiet, seeded, signature, start};
use serde_json::{Value, json};
use sim_venue::{SimConfig, StreamLimits};
use std::time::Duration;

#[tokio::test]
async fn log_in_is_acknowledged_with_the_number_zero_and_refused_with_a_code_and_a_close() {
    let sim = start(quiet());
    let mut stream = Stream::connect(&sim.ws_private).await;
    let ack = stream.log_in(&sim.key).await;
    assert_eq!((&ack["event"], &ack["code"]), (&json!("login"), &json!(0)));
    assert!(ack["connId"].is_string());

    // A number as timestamp, and milliseconds, are fine too.
    for (timestamp, text) in [(now_ms() / 1_000, false), (now_ms(), true)] {
        let sign = signature(&sim.key.secret, &format!("{timestamp}GET/user/verify"));
        let given = if text { json!(timestamp.to_string()) } else { json!(timestamp) };
        let arg = json!({"apiKey": sim.key.key, "passphrase": sim.key.passphrase, "timestamp": given, "sign": sign});
        let mut stream = Stream::connect(&sim.ws_private).await;
        stream.send(json!({"op": "login", "args": [arg]}).to_string()).await;
        assert_eq!(stream.json().await["code"], 0);
    }

    for (change, code) in [("key", 30_011), ("passphrase", 30_012), ("secret", 30_015)] {
        let mut wrong = sim.key.clone();
        match change {
            "key" => wrong.key.push('x'),
            "passphrase" => wrong.passphrase.push('x'),
            _ => wrong.secret.push('x'),
        }
        let mut stream = Stream::connect(&sim.ws_private).await;
        let refused = stream.log_in(&wrong).await;
        assert_eq!((&refused["event"], &refused["code"]), (&json!("error"), &json!(code)), "{change}");
        assert_eq!(stream.text().await, None, "the venue closes after a failed log-in");
    }
}

#[tokio::test]
async fn subscriptions_are_echoed_exactly_and_refused_with_codes() {
    let sim = start(seeded());
    let mut stream = Stream::connect(&sim.ws_private).await;
    // Members in an unusual order, with a blank and one that nobody knows.
    let arg = r#"{"instId":"BTCUSDT", "channel":"ticker","instType":"SPOT","extra":[1]}"#;
    stream.send(format!(r#"{{"op":"subscribe","args":[{arg}]}}"#)).await;
    assert_eq!(stream.text().await.unwrap(), format!(r#"{{"event":"subscribe","arg":{arg}}}"#));
    let push = stream.text().await.unwrap();
    assert!(push.starts_with(&format!(r#"{{"action":"snapshot","arg":{arg},"data":[{{"#)), "{push}");
    stream.send(format!(r#"{{"op":"unsubscribe","args":[{arg}]}}"#)).await;
    let ack = stream.find(|frame| frame["event"] == "unsubscribe").await;
    assert_eq!(ack["arg"]["extra"], json!([1]));

    let cases = [
        (
            json!({"op": "subscribe", "args": [{"instType": "sp", "channel": "candleundefined", "instId": "BTCUSDT"}]}),
            30_001,
        ),
        (json!({"op": "subscribe", "args": [{"instType": "SPOT", "channel": "books", "instId": "NOPE"}]}), 30_001),
        (json!({"op": "subscribe", "args": [{"instType": "SPOT", "channel": "orders", "instId": "default"}]}), 30_004),
        (json!({"op": "dance"}), 30_003),
        (json!([1, 2]), 30_002),
    ];
    for (frame, code) in cases {
        stream.send(frame.to_string()).await;
        let refused = stream.find(|frame| frame["event"] == "error").await;
        assert_eq!(refused["code"], code, "{frame}");
        assert!(refused["code"].is_u64());
    }
    stream.send("ping").await;
    assert_eq!(stream.text().await.as_deref(), Some("pong"), "nothing else is subscribed any more");
}

#[tokio::test]
async fn every_public_channel_begins_with_a_snapshot_in_the_venues_shape() {
    let sim = start(seeded());
    let mut stream = Stream::connect(&sim.ws_public).await;
    for channel in ["ticker", "trade", "books", "books1", "books5", "books15", "candle1m"] {
        let arg = json!({"instType": "SPOT", "channel": channel, "instId": "ETHUSDT"});
        stream.subscribe(&arg).await;
        let first = stream.push(channel).await;
        assert_eq!((&first["action"], &first["arg"]), (&json!("snapshot"), &arg));
        assert!(first["ts"].is_u64());
        let item = &first["data"][0];
        match channel {
            "ticker" => assert!(
                ["instId", "lastPr", "open24h", "bidPr", "askSz", "ts"].iter().all(|name| item[name].is_string())
            ),
            "trade" => assert!(["ts", "price", "size", "side", "tradeId"].iter().all(|name| item[name].is_string())),
            "candle1m" => assert_eq!(item.as_array().unwrap().len(), 8),
            _ => {
                assert_eq!(item["pseq"], 0);
                let depth = item["asks"].as_array().unwrap().len();
                match channel.strip_prefix("books").unwrap().parse::<usize>() {
                    Ok(wanted) => assert_eq!(depth, wanted),
                    Err(_) => assert!(depth > 15),
                }
            }
        }
    }
}

#[tokio::test]
async fn trades_and_tickers_keep_coming() {
    let sim = start(seeded());
    let mut stream = Stream::connect(&sim.ws_public).await;
    for channel in ["trade", "ticker"] {
        stream.subscribe(&json!({"instType": "SPOT", "channel": channel, "instId": "BTCUSDT"})).await;
    }
    let trade = stream.find(|frame| frame["action"] == "update" && frame["arg"]["channel"] == "trade").await;
    assert!(matches!(trade["data"][0]["side"].as_str(), Some("buy" | "sell")));
    for _ in 0..3 {
        let ticker = stream.push("ticker").await;
        let number = |name: &str| ticker["data"][0][name].as_str().unwrap().parse::<f64>().unwrap();
        assert!(number("bidPr") < number("askPr"));
    }
}

#[tokio::test]
async fn clients_beyond_their_limits_are_disconnected() {
    let sim = start(quiet());
    let mut stream = Stream::connect(&sim.ws_public).await;
    for _ in 0..12 {
        stream.send("ping").await;
    }
    let mut last = Value::Null;
    while let Some(text) = stream.text().await {
        last = serde_json::from_str(&text).unwrap_or(Value::Null);
    }
    assert_eq!(last["code"], 30_007);

    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.send(format!("{{\"op\":\"subscribe\",\"args\":[\"{}\"]}}", "x".repeat(5_000))).await;
    assert_eq!(stream.json().await["code"], 30_016);
    assert_eq!(stream.text().await, None);

    let limits = StreamLimits { silence_max: Duration::from_millis(200), ..StreamLimits::default() };
    let sim = start(SimConfig { stream_limits: limits, ..quiet() });
    assert_eq!(Stream::connect(&sim.ws_public).await.text().await, None, "a silent client is dropped");
    let limits = StreamLimits { lifetime: Duration::from_millis(200), ..StreamLimits::default() };
    let sim = start(SimConfig { stream_limits: limits, ..quiet() });
    assert_eq!(Stream::connect(&sim.ws_public).await.text().await, None, "an old connection is dropped");
}

#[tokio::test]
async fn stopping_closes_the_streams_and_frees_the_address() {
    let sim = start(quiet());
    let address = sim.address;
    let mut stream = Stream::connect(&sim.ws_public).await;
    tokio::task::spawn_blocking(move || sim.stop()).await.unwrap();
    assert_eq!(stream.text().await, None);
    start(SimConfig { listen: address, ..quiet() });
}
