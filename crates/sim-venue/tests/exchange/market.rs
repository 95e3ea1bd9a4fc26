//! Market data: books that can be rebuilt and checked, and a market that follows a recording.

use crate::client::{Rest, Stream, limit, quiet, seeded, start};
use domain::{Scaled, Side, Symbol, UnixNanos, VenueTradeId};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{Market, SimConfig, TapeEnd};
use std::collections::BTreeMap;
use tape::{EventKind, TapeEvent, TapeLevel, TapeWriter};

/// A book as a client builds it: prices to the texts of price and quantity.
#[derive(Default)]
pub(crate) struct Rebuilt {
    bids: BTreeMap<Decimal, (String, String)>,
    asks: BTreeMap<Decimal, (String, String)>,
    pub(crate) seq: u64,
}

impl Rebuilt {
    pub(crate) fn apply(&mut self, data: &Value) {
        for (side, name) in [(&mut self.bids, "bids"), (&mut self.asks, "asks")] {
            for rung in data[name].as_array().unwrap() {
                let (price, size) = (rung[0].as_str().unwrap(), rung[1].as_str().unwrap());
                let key: Decimal = price.parse().unwrap();
                if size == "0" {
                    assert!(side.remove(&key).is_some(), "only what is there is deleted");
                } else {
                    side.insert(key, (price.into(), size.into()));
                }
            }
        }
        self.seq = data["seq"].as_u64().unwrap();
        let (bid, ask) = (self.bids.last_key_value().unwrap().0, self.asks.first_key_value().unwrap().0);
        assert!(bid < ask, "never crossed: {bid} {ask}");
    }

    pub(crate) fn checksum(&self) -> i64 {
        let bids: Vec<_> = self.bids.values().rev().take(25).collect();
        let asks: Vec<_> = self.asks.values().take(25).collect();
        let mut parts: Vec<&str> = Vec::new();
        for position in 0..25 {
            for side in [&bids, &asks] {
                if let Some((price, size)) = side.get(position) {
                    parts.extend([price.as_str(), size.as_str()]);
                }
            }
        }
        i64::from(crc32fast::hash(parts.join(":").as_bytes()).cast_signed())
    }
}

#[tokio::test]
async fn a_book_rebuilt_from_updates_has_every_checksum_and_no_gap() {
    let sim = start(seeded());
    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.subscribe(&json!({"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"})).await;
    let mut book = Rebuilt::default();
    let mut updates = 0;
    while updates < 60 {
        let push = stream.push("books").await;
        let data = &push["data"][0];
        if push["action"] == "update" {
            assert_eq!(data["pseq"].as_u64(), Some(book.seq));
            updates += 1;
        }
        book.apply(data);
        assert_eq!(data["checksum"].as_i64(), Some(book.checksum()));
    }
}

#[tokio::test]
async fn public_requests_answer_in_the_venues_shapes() {
    let sim = start(seeded());
    let rest = Rest::new(&sim);
    let symbols = rest.get("/api/v2/spot/public/symbols").await.data().clone();
    let btc = symbols.as_array().unwrap().iter().find(|item| item["symbol"] == "BTCUSDT").unwrap();
    assert_eq!(
        (btc["pricePrecision"].as_str(), btc["quantityPrecision"].as_str(), btc["status"].as_str()),
        (Some("2"), Some("6"), Some("online"))
    );
    assert_eq!(rest.get("/api/v2/spot/public/symbols?symbol=ETHUSDT").await.data().as_array().unwrap().len(), 1);
    let book = rest.get("/api/v2/spot/market/orderbook?symbol=BTCUSDT&limit=5").await.data().clone();
    assert_eq!((book["bids"].as_array().unwrap().len(), book["asks"].as_array().unwrap().len()), (5, 5));
    let number = |value: &Value| value.as_str().unwrap().parse::<Decimal>().unwrap();
    let mid = (number(&book["bids"][0][0]) + number(&book["asks"][0][0])) / Decimal::TWO;
    assert!((mid - Decimal::from(60_000)).abs() < Decimal::from(600), "{mid}");
    assert!(sim.control().mid("BTCUSDT").is_some());
    let merged = rest.get("/api/v2/spot/market/orderbook?symbol=BTCUSDT&type=step2&limit=3").await.data().clone();
    assert!(merged["asks"].as_array().unwrap().iter().all(|rung| number(&rung[0]).fract().is_zero()));
    let ticker = rest.get("/api/v2/spot/market/tickers?symbol=BTCUSDT").await.data()[0].clone();
    assert!(
        ["lastPr", "open", "high24h", "low24h", "bidPr", "askPr", "baseVolume", "quoteVolume", "ts"]
            .iter()
            .all(|name| ticker[name].is_string())
    );
    let trades = rest.get("/api/v2/spot/market/fills?symbol=BTCUSDT&limit=3").await.data().clone();
    assert_eq!(trades.as_array().unwrap().len(), 3);
    let candles = rest.get("/api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1min").await.data().clone();
    assert_eq!(candles[0].as_array().unwrap().len(), 8);
    assert!(
        rest.get("/api/v2/spot/public/coins")
            .await
            .data()
            .as_array()
            .unwrap()
            .iter()
            .any(|coin| coin["coin"] == "USDT")
    );
    let margin = rest.get("/api/v2/margin/currencies").await.data().clone();
    let lent = |coin: &Value| coin["isBorrowable"] == json!(false) && coin["symbol"].is_string();
    assert!(margin.as_array().is_some_and(|coins| !coins.is_empty() && coins.iter().all(lent)), "{margin}");
    assert_eq!(rest.get("/api/v2/spot/account/assets?coin=USDT").await.data()[0]["available"], "100000");
    assert_eq!(
        rest.get("/api/v2/common/trade-rate?symbol=BTCUSDT&businessType=spot").await.data()["makerFeeRate"],
        "0.001"
    );
}

#[tokio::test]
async fn a_quote_close_to_the_middle_is_filled_as_a_maker() {
    let sim = start(seeded());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    let mid = sim.control().mid("BTCUSDT").unwrap();
    let bid = (mid * Decimal::new(99_995, 5)).round_dp(2).to_string();
    rest.place(&limit("buy", &bid, "0.001", "post_only", "near")).await.data();
    let fill = stream.push("fill").await;
    assert_eq!(
        (fill["data"][0]["tradeScope"].as_str(), fill["data"][0]["priceAvg"].as_str()),
        (Some("maker"), Some(bid.as_str()))
    );
}

fn level(price: &str, qty: &str) -> TapeLevel {
    TapeLevel { price: Scaled::parse(price.as_bytes()).unwrap(), qty: Scaled::parse(qty.as_bytes()).unwrap() }
}

#[tokio::test]
async fn a_market_can_follow_a_recording() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("market.tape");
    let mut writer = TapeWriter::create(&path, "made for this test").unwrap();
    let event = |at_ms: u64, kind: EventKind| TapeEvent {
        received: UnixNanos::from_millis(1_700_000_000_000 + at_ms),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        kind,
    };
    let trade = |price: &str, qty: &str, aggressor: Side| {
        let level = level(price, qty);
        EventKind::Trade { price: level.price, qty: level.qty, aggressor, id: VenueTradeId::from("1").unwrap() }
    };
    let update = |bids: &[(&str, &str)], asks: &[(&str, &str)], seq: u64| {
        let levels = |rows: &[(&str, &str)]| rows.iter().map(|(price, qty)| level(price, qty)).collect();
        EventKind::DepthUpdate { bids: levels(bids), asks: levels(asks), first_seq: seq, seq, checksum: None }
    };
    let snapshot = EventKind::DepthSnapshot {
        bids: vec![level("61000.00", "1.00000")],
        asks: vec![level("61001.00", "2")],
        seq: 1,
        levels_max: None,
        checksum: None,
    };
    let events = [
        event(0, trade("61000", "0.5", Side::Sell)),
        event(900, snapshot),
        event(1_000, update(&[("60999", "3")], &[], 2)),
        // Late enough for a busy machine to place an order before it.
        event(4_400, trade("61000.00", "1.2", Side::Sell)),
        event(4_500, update(&[("61000", "0")], &[("61001", "4")], 3)),
    ];
    for event in &events {
        writer.write(event).unwrap();
    }
    writer.finish_on_disk().unwrap();

    let market = Market::Tape { path, at_end: TapeEnd::Hold };
    let sim = start(SimConfig { market, ..quiet() });
    assert_eq!(sim.control().mid("BTCUSDT"), Some(Decimal::new(610_005, 1)), "open from the first book on");
    let ticker = Rest::new(&sim).get("/api/v2/spot/market/tickers?symbol=BTCUSDT").await;
    assert_eq!(ticker.data()[0]["lastPr"], "61000.50", "the middle of the book, before the first trade");
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    rest.place(&limit("buy", "61000", "0.1", "post_only", "behind")).await.data();
    let fill = stream.push("fill").await;
    assert_eq!(
        (fill["data"][0]["size"].as_str(), fill["data"][0]["tradeScope"].as_str()),
        (Some("0.100000"), Some("maker"))
    );
    let mut public = Stream::connect(&sim.ws_public).await;
    public.subscribe(&json!({"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"})).await;
    let mut book = Rebuilt::default();
    while book.asks.first_key_value().is_none_or(|(_, (_, size))| size != "4.000000") {
        book.apply(&public.push("books").await["data"][0]);
    }
    assert_eq!(
        book.bids.last_key_value().unwrap().1,
        &("60999.00".into(), "3.000000".into()),
        "at its end the last book stays"
    );
}
