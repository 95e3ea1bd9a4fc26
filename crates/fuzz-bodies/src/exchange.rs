//! Requests to the embedded exchange.

use crate::texts;
use clock::ManualClock;
use domain::{Clock, UnixNanos};
use sim_venue::workbench::Workbench;
use std::sync::Arc;

fn exchange() -> Workbench {
    let clock = ManualClock::default();
    clock.set_unix(UnixNanos::from_millis(1_700_000_000_000));
    Workbench::new(Arc::new(clock) as Arc<dyn Clock>).unwrap()
}

/// Lines of `METHOD target body`: a request that is rejected leaves no order behind.
pub(crate) fn requests(data: &[u8]) {
    let mut exchange = exchange();
    for line in data.split(|byte| *byte == b'\n').take(32) {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let mut word = || words.next().unwrap_or_default();
        let (method, target, body) = (word(), word(), word());
        let (Ok(method), Ok(target)) = (std::str::from_utf8(method), std::str::from_utf8(target)) else { continue };
        let before = exchange.accepted();
        let answer = exchange.call(method, target, body);
        if answer != Some(true) {
            assert_eq!(exchange.accepted(), before, "a rejected request leaves an order behind");
        } else if method == "GET" {
            assert_eq!(exchange.accepted(), before, "asking places no order");
        }
    }
}

/// Frames of the stream: what is answered is JSON or a pong, and nothing but order entry places an order.
pub(crate) fn ops(data: &[u8]) {
    let mut exchange = exchange();
    for line in data.split(|byte| *byte == b'\n').take(32) {
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let before = exchange.accepted();
        let Some(said) = exchange.say(text) else { return };
        for frame in &said {
            assert!(serde_json::from_str::<serde_json::Value>(frame).is_ok(), "no JSON: {frame}");
        }
        if !text.contains("trade") && !text.contains('\\') {
            assert_eq!(exchange.accepted(), before, "only order entry places orders");
        }
    }
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"POST /api/v2/spot/trade/place-order {"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000","size":"0.001","clientOid":"c1"}
GET /api/v2/spot/trade/unfilled-orders?symbol=BTCUSDT&limit=10
POST /api/v2/spot/trade/cancel-order {"symbol":"BTCUSDT","clientOid":"c1"}"#,
        r#"POST /api/v3/trade/place-order {"category":"SPOT","symbol":"BTCUSDT","qty":"0.01","price":"50000","side":"buy","orderType":"limit","timeInForce":"gtc","clientOid":"c2"}
GET /api/v3/trade/order-info?clientOid=c2
GET /api/v3/account/assets"#,
        "GET /api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1min&limit=5\nGET /api/v2/spot/market/tickers",
        r#"POST /api/v2/mix/order/place-order {"symbol":"BTCUSDT","productType":"USDT-FUTURES","marginMode":"crossed","marginCoin":"USDT","size":"0.01","price":"50000","side":"buy","orderType":"limit","force":"gtc"}"#,
    ])
}

pub(crate) fn op_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"op":"subscribe","args":[{"instType":"SPOT","channel":"books","instId":"BTCUSDT"},{"instType":"SPOT","channel":"orders","instId":"default"}]}"#,
        r#"{"op":"login","args":[{"apiKey":"bg_1","passphrase":"p","timestamp":"1700000000","sign":"x"}]}"#,
        r#"{"op":"trade","args":[{"id":"1","instType":"SPOT","instId":"BTCUSDT","channel":"place-order","params":{"orderType":"limit","side":"buy","size":"1","price":"252","force":"gtc","clientOid":"b"}}]}"#,
        r#"{"op":"trade","id":"7","topic":"place-order","category":"spot","args":[{"symbol":"BTCUSDT","qty":"0.01","price":"50000","side":"buy","orderType":"limit","timeInForce":"gtc"}]}"#,
        r#"{"op":"unsubscribe","args":[{"instType":"spot","topic":"ticker","symbol":"BTCUSDT"}]}"#,
    ])
}
