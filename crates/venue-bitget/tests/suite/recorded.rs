//! Payloads that nobody here wrote, where a copy of them lies beside the workspace.

use crate::common::{cancel, id, symbol};
use domain::{Book, BookMessage, Level, MonoNanos, UnixNanos};
use messages::{QueryAnswer, ReportBody, SignIntent};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;
use venue_api::{ActAnswer, FeedFrame, FeedFrameKind, PrivateFrame, VenueCodecs, WireLevel};
use venue_bitget::{AccountMode, Environment};

fn codecs() -> VenueCodecs {
    venue_bitget::codecs(Environment::Production, AccountMode::Classic)
}

fn recording(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut text).unwrap();
    Some(text)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = serde_json::Value> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap())
}

#[test]
fn stored_rest_answers_are_read() {
    let Some(bytes) = recording("payload_fixtures/jkorf/bitget_rest.jsonl") else { return };
    let codecs = codecs();
    let symbol = symbol("BTCUSDT");
    let mut seen = Vec::new();
    for case in lines(&bytes) {
        let body = case["response"].to_string();
        let ask = |intent: SignIntent| codecs.rest.query_answer(&intent, 200, body.as_bytes());
        let path = case["path"].as_str().unwrap().to_owned();
        match path.strip_prefix("/api/v2/").unwrap_or("") {
            "public/time" => {
                let time = codecs.public.server_time(200, body.as_bytes()).unwrap();
                assert_eq!(time.as_millis(), 1_688_008_631_614);
            }
            "spot/public/symbols" => {
                let listed = codecs.public.instruments(200, body.as_bytes()).unwrap();
                assert_eq!((listed[0].price_decimals, listed[0].qty_decimals, listed[0].min_qty), (4, 8, 10_000));
            }
            "spot/account/info" => {
                let QueryAnswer::KeyInfo(info) = ask(SignIntent::KeyInfo) else { panic!("{body}") };
                assert_eq!(info.bound_addresses, 1);
            }
            "spot/account/assets" => {
                assert!(matches!(ask(SignIntent::Balances), QueryAnswer::Balances(list) if list.len() == 1))
            }
            "spot/trade/place-order" => {
                // The stored client order id is not ours, so the answer is about another order.
                assert_eq!(codecs.rest.act_answer(&crate::common::place(), 200, body.as_bytes()), ActAnswer::Unclear);
                let ours = body.replace("121211212122", id().as_str());
                assert!(matches!(
                    codecs.rest.act_answer(&crate::common::place(), 200, ours.as_bytes()),
                    ActAnswer::Accepted(_)
                ));
            }
            "spot/trade/cancel-order" => {
                let ours = body.replace("xx001", id().as_str());
                assert!(matches!(codecs.rest.act_answer(&cancel(), 200, ours.as_bytes()), ActAnswer::Accepted(_)));
            }
            "spot/trade/cancel-symbol-order" => {
                let answer = codecs.rest.act_answer(&SignIntent::CancelAll { symbol }, 200, body.as_bytes());
                assert_eq!(answer, ActAnswer::Done);
            }
            "spot/trade/orderInfo" => {
                let ours = body.replace("1-2-1-2-1", id().as_str());
                let answer =
                    codecs.rest.query_answer(&SignIntent::QueryOrder { symbol, id: id() }, 200, ours.as_bytes());
                assert!(matches!(answer, QueryAnswer::Order(Some(order)) if order.filled == order.qty), "{body}");
            }
            "spot/trade/unfilled-orders" => {
                let answer = ask(SignIntent::OpenOrders { symbol, older_than: None });
                assert!(matches!(&answer, QueryAnswer::Orders { page, .. } if page[0].price.is_some()), "{answer:?}");
            }
            "spot/trade/history-orders" => {
                let answer = ask(SignIntent::OrderHistory { symbol, since: UnixNanos(0), older_than: None });
                assert!(matches!(&answer, QueryAnswer::Orders { page, .. } if page.len() == 1), "{answer:?}");
            }
            "spot/trade/fills" => {
                let QueryAnswer::Fills { page, .. } =
                    ask(SignIntent::Fills { symbol, since: UnixNanos(0), older_than: None })
                else {
                    panic!("{body}")
                };
                assert_eq!(page[0].fee.amount.to_string(), "0.0000007");
            }
            _ => continue,
        }
        seen.push(path);
    }
    assert_eq!(seen.len(), 11, "{seen:?}");
}

#[test]
fn stored_stream_frames_are_read() {
    let Some(bytes) = recording("payload_fixtures/jkorf/bitget_ws.jsonl") else { return };
    let codecs = codecs();
    let mut pushes = 0;
    for case in lines(&bytes) {
        let name = case["case"].as_str().unwrap();
        for step in case["steps"].as_array().unwrap() {
            let text = step["json"].to_string();
            let mut frame = FeedFrame::default();
            codecs.feed.decode(text.as_bytes(), &mut frame).unwrap_or_else(|error| panic!("{name}: {error}"));
            let private = codecs.private.decode(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            if step["dir"] == "server_reply" && step["json"]["event"] == "login" {
                assert_eq!(private, PrivateFrame::LoggedIn);
            }
            if step["dir"] != "server_push" {
                continue;
            }
            pushes += usize::from(match name {
                "Subscriptions/Spot/OrderBook" => frame.kind == FeedFrameKind::Book && frame.book.asks.len() == 2,
                "Subscriptions/Spot/Trades" => frame.kind == FeedFrameKind::Trades && frame.trades.len() == 1,
                "Subscriptions/Spot/Balance" => matches!(&private, PrivateFrame::Reports(list) if list.len() == 1),
                "Subscriptions/Spot/UserTrade" => {
                    matches!(&private, PrivateFrame::Reports(list) if matches!(list[..], [ReportBody::Fill(_), ReportBody::Fill(_)]))
                }
                "Subscriptions/Spot/Order" => {
                    matches!(&private, PrivateFrame::Reports(list) if matches!(list[..], [ReportBody::Fill(_), ReportBody::Order(_)]))
                }
                _ => {
                    assert_eq!((frame.kind, &private), (FeedFrameKind::Ignored, &PrivateFrame::Ignored), "{name}");
                    false
                }
            });
        }
    }
    assert_eq!(pushes, 5);
}

fn levels(wire: &[WireLevel]) -> Vec<Level> {
    wire.iter().map(|level| Level::from_scaled(level.price, level.qty, 12, 6).unwrap()).collect()
}

/// Version 1 names its spot channels `sp`; the shape of its books and their checksum are those of version 2.
#[test]
fn every_checksum_of_a_recorded_session_is_reproduced() {
    let Some(bytes) = recording("ws_captures/cryptofeed/bitget.jsonl.gz") else { return };
    let codecs = codecs();
    let mut books: BTreeMap<String, Book> = BTreeMap::new();
    let mut frame = FeedFrame::default();
    let mut checked = 0;
    for line in lines(&bytes).filter(|line| line["kind"] == "server_sent") {
        let text = line["data"].as_str().unwrap();
        if !text.contains("\"channel\":\"books\"") || !text.contains("\"action\"") {
            continue;
        }
        let text = text
            .replace("\"instType\":\"sp\"", "\"instType\":\"SPOT\"")
            .replace("\"instType\":\"mc\"", "\"instType\":\"SPOT\"");
        codecs.feed.decode(text.as_bytes(), &mut frame).unwrap();
        let key = format!("{}{}", line["src"], frame.subscription.unwrap().symbol);
        let book = books.entry(key).or_insert_with(|| Book::new(12, 6, Duration::from_secs(1)));
        let (bids, asks) = (levels(&frame.book.bids), levels(&frame.book.asks));
        let message = BookMessage {
            bids: &bids,
            asks: &asks,
            seq: frame.book.seq.unwrap_or(0),
            prev_seq: frame.book.prev_seq,
            checksum: frame.book.checksum,
        };
        let applied = if frame.book.snapshot {
            book.apply_snapshot(&message, MonoNanos(1))
        } else {
            book.apply_update(&message, MonoNanos(1))
        };
        applied.unwrap_or_else(|fault| panic!("{fault}: {text}"));
        checked += usize::from(frame.book.checksum.is_some());
    }
    assert_eq!((books.len(), checked), (10, 637));
}
