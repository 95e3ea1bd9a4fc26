//! Frames of the public and the private stream.

use crate::common::{number, symbol};
use domain::{Liquidity, Side, VenueOrderStatus};
use messages::{ReportBody, VenueErrorClass, VenueReason};
use venue_api::{Channel, FeedFrame, FeedFrameKind, FrameError, PrivateFrame, Subscription, VenueCodecs};
use venue_bitget::{AccountMode, Environment};

fn codecs() -> VenueCodecs {
    venue_bitget::codecs_of(Environment::Production, AccountMode::Classic)
}

fn feed(text: &str) -> Result<FeedFrame, FrameError> {
    let mut frame = FeedFrame::default();
    codecs().feed.decode(text.as_bytes(), &mut frame).map(|()| frame)
}

fn private(text: &str) -> PrivateFrame {
    codecs().private.decode(text.as_bytes()).unwrap()
}

fn reports(text: &str) -> Vec<ReportBody> {
    match private(text) {
        PrivateFrame::Reports(reports) => reports,
        other => panic!("{other:?}"),
    }
}

const BOOKS5: &str = include_str!("../../fixtures/feed_books5.json");
const SNAPSHOT: &str = include_str!("../../fixtures/feed_books_snapshot.json");
const UPDATE: &str = include_str!("../../fixtures/feed_books_update.json");

#[test]
fn five_levels_are_read_as_written() {
    let frame = feed(BOOKS5).unwrap();
    assert_eq!(frame.kind, FeedFrameKind::Book);
    assert_eq!(frame.subscription, Some(Subscription { channel: Channel::Book5, symbol: symbol("BTCUSDT") }));
    assert!(frame.book.snapshot);
    assert_eq!((frame.book.asks.len(), frame.book.bids.len()), (5, 5));
    assert_eq!((frame.book.asks[0].price, frame.book.asks[0].qty), (number("65000.10"), number("0.5000")));
    assert_eq!(frame.book.seq, Some(1_304_314_508_780_744_705));
    assert_eq!((frame.book.prev_seq, frame.book.checksum), (None, None));
    assert_eq!(frame.book.venue_time.as_millis(), 1_700_000_000_100);
}

#[test]
fn sequence_numbers_are_text_or_number_and_zero_is_none() {
    let update = feed(UPDATE).unwrap().book;
    assert!(!update.snapshot);
    assert_eq!((update.seq, update.prev_seq, update.checksum), (Some(101), Some(100), Some(-603_101_740)));
    assert_eq!(update.asks[0].qty.mantissa, 0);
    let zero = UPDATE.replace("\"pseq\":\"100\"", "\"pseq\":0").replace("-603101740", "\"0\"");
    let zero = feed(&zero).unwrap().book;
    assert_eq!((zero.prev_seq, zero.checksum), (None, None));
    let unsigned = UPDATE.replace("-603101740", "3691865556");
    assert_eq!(feed(&unsigned).unwrap().book.checksum, Some(-603_101_740));
}

#[test]
fn the_order_of_members_does_not_matter() {
    let arg = r#""arg":{"instType":"SPOT","channel":"books","instId":"BTCUSDT"},"#;
    let late = UPDATE.replace(arg, "").replace("\"ts\":1700000000201}", &format!("{}\"ts\":1}}", arg));
    let (early, late) = (feed(UPDATE).unwrap(), feed(&late).unwrap());
    assert_eq!((early.book, early.subscription), (late.book, late.subscription));
}

#[test]
fn a_reused_frame_forgets_what_it_held() {
    let feed = codecs().feed;
    let mut frame = FeedFrame::default();
    feed.decode(BOOKS5.as_bytes(), &mut frame).unwrap();
    feed.decode(UPDATE.as_bytes(), &mut frame).unwrap();
    assert_eq!((frame.book.asks.len(), frame.book.bids.len(), frame.book.snapshot), (1, 1, false));
    feed.decode(b"pong", &mut frame).unwrap();
    assert_eq!((frame.kind, frame.subscription, frame.book.asks.len()), (FeedFrameKind::Pong, None, 0));
}

#[test]
fn whole_numbers_instead_of_texts_are_read_and_fractions_refused() {
    let frame = feed(&SNAPSHOT.replace("\"27000.5\",\"8.760\"", "27000,8")).unwrap();
    assert_eq!((frame.book.asks[0].price, frame.book.asks[0].qty), (number("27000"), number("8")));
    assert!(feed(&SNAPSHOT.replace("\"27000.5\"", "27000.5")).is_err());
}

#[test]
fn a_book_that_cannot_be_read_whole_is_an_error_that_names_its_subscription() {
    let breaks = [
        ("\"27000.5\"", "\"27,000.5\""),
        ("\"27000.5\"", "\"\""),
        ("\"8.760\"", "null"),
        ("\"27000.5\",\"8.760\"", "\"27000.5\""),
        ("\"asks\"", "\"asks_\""),
        ("\"seq\":100", "\"seq\":\"x\""),
        ("\"action\":\"snapshot\"", "\"action\":\"other\""),
        ("\"checksum\":0", "\"checksum\":99999999999"),
    ];
    for (from, to) in breaks {
        let text = SNAPSHOT.replacen(from, to, 1);
        assert_ne!(text, SNAPSHOT, "{from}");
        assert!(feed(&text).is_err(), "{from} -> {to}");
    }
    let mut frame = FeedFrame::default();
    let text = SNAPSHOT.replace("\"27000.5\"", "\"x\"");
    assert!(codecs().feed.decode(text.as_bytes(), &mut frame).is_err());
    assert_eq!(frame.subscription, Some(Subscription { channel: Channel::Book, symbol: symbol("BTCUSDT") }));
}

#[test]
fn a_book_push_without_a_book_is_an_error() {
    for data in ["", r#","data":[]"#, r#","data":[{}]"#, r#","data":null"#] {
        let text =
            format!(r#"{{"action":"update","arg":{{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}}{data}}}"#);
        assert!(feed(&text).is_err(), "{data}");
    }
}

#[test]
fn trades_come_oldest_first() {
    let frame = feed(include_str!("../../fixtures/feed_trade.json")).unwrap();
    assert_eq!(frame.kind, FeedFrameKind::Trades);
    assert_eq!(frame.trades.len(), 2);
    assert_eq!((frame.trades[0].aggressor, frame.trades[1].aggressor), (Side::Sell, Side::Buy));
    assert!(frame.trades[0].venue_time < frame.trades[1].venue_time);
    assert!(!frame.book.snapshot, "news");
    let history = include_str!("../../fixtures/feed_trade.json").replace("update", "snapshot");
    assert!(feed(&history).unwrap().book.snapshot, "history");
    assert_eq!((frame.trades[1].price, frame.trades[1].qty), (number("65000.00"), number("0.0013")));
}

#[test]
fn unknown_events_channels_and_fields_are_no_errors() {
    let frames = [
        "{}",
        r#"{"event":"novelty","arg":{"x":[1,{"y":null}]}}"#,
        r#"{"action":"snapshot","arg":{"instType":"SPOT","channel":"novelty","instId":"BTCUSDT"},"data":[{"lastPr":"1"}]}"#,
        r#"{"action":"snapshot","arg":{"instType":"COIN-FUTURES","channel":"books","instId":"BTCUSDT"},"data":[{"odd":1}]}"#,
        r#"{"action":"snapshot","arg":{"instType":"SPOT","channel":"books"},"data":[{"asks":[],"bids":[]}]}"#,
        r#"{"event":"subscribe","arg":{"instType":"SPOT","channel":"candle1W","instId":"BTCUSDT"}}"#,
    ];
    for text in frames {
        assert_eq!(feed(text).map(|frame| frame.kind), Ok(FeedFrameKind::Ignored), "{text}");
    }
    let more = SNAPSHOT.replace("\"seq\":100", "\"seq\":100,\"novel\":{\"a\":[1,2]},\"maxDepth\":\"50\"");
    assert_eq!(feed(&more).unwrap().book, feed(SNAPSHOT).unwrap().book);
}

#[test]
fn acknowledgements_and_errors_are_told_apart() {
    let subscription = Some(Subscription { channel: Channel::Trade, symbol: symbol("BTCUSDT") });
    let arg = r#""arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}"#;
    for (event, kind) in [("subscribe", FeedFrameKind::Subscribed), ("unsubscribe", FeedFrameKind::Unsubscribed)] {
        let frame = feed(&format!(r#"{{"event":"{event}",{arg}}}"#)).unwrap();
        assert_eq!((frame.kind, frame.subscription), (kind, subscription));
    }
    let frame = feed(&format!(r#"{{"event":"error",{arg},"code":30001,"msg":"doesn't \"exist\""}}"#)).unwrap();
    assert_eq!((frame.kind, frame.subscription), (FeedFrameKind::Error, subscription));
    let error = frame.error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.class, error.text.as_str()),
        ("30001", VenueErrorClass::Refused, "doesn't \"exist\"")
    );
    let limited = feed(r#"{"event":"error","code":"30006","msg":"too many"}"#).unwrap().error.unwrap();
    assert_eq!(limited.reason, VenueReason::RateLimit);
    let closing = feed(r#"{"event":"error","code":30033,"msg":"upgrade"}"#).unwrap();
    assert_eq!(closing.kind, FeedFrameKind::ClosingSoon);
}

#[test]
fn subscriptions_are_split_into_frames_that_the_venue_takes() {
    let wanted: Vec<Subscription> = (0..200)
        .map(|index| Subscription { channel: Channel::Book, symbol: symbol(&format!("COIN{index}USDT")) })
        .collect();
    let frames = codecs().feed.subscribe(&wanted);
    let mut arguments = Vec::new();
    for frame in &frames {
        assert!(frame.len() <= 4_096, "{}", frame.len());
        let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
        assert_eq!(frame["op"], "subscribe");
        arguments.extend(frame["args"].as_array().unwrap().clone());
    }
    assert!(frames.len() > 1);
    assert_eq!(arguments.len(), 200);
    assert_eq!(arguments[7], serde_json::json!({"instType":"SPOT","channel":"books","instId":"COIN7USDT"}));
    assert!(codecs().feed.subscribe(&[]).is_empty());
    let ended = codecs().feed.unsubscribe(&wanted[..1]);
    assert_eq!(ended, [r#"{"op":"unsubscribe","args":[{"instType":"SPOT","channel":"books","instId":"COIN0USDT"}]}"#]);
}

#[test]
fn log_in_is_acknowledged_by_a_zero_in_any_form() {
    for code in ["0", "\"0\"", "\"00000\""] {
        let text = format!(r#"{{"event":"login","code":{code},"connId":"0621ccff"}}"#);
        assert_eq!(private(&text), PrivateFrame::LoggedIn, "{code}");
    }
    for text in
        [r#"{"event":"login","code":30005,"msg":"x"}"#, r#"{"event":"error","code":"30015","msg":"Invalid sign"}"#]
    {
        assert!(matches!(private(text), PrivateFrame::LoginFailed(_)), "{text}");
    }
    let PrivateFrame::LoginFailed(error) = private(r#"{"event":"error","code":30012,"msg":""}"#) else { panic!() };
    assert_eq!((error.class, error.reason), (VenueErrorClass::Fatal, VenueReason::Passphrase));
    assert!(matches!(private(r#"{"event":"error","code":30001,"msg":"x"}"#), PrivateFrame::Error(_)));
}

#[test]
fn every_private_channel_is_subscribed_and_acknowledged_by_name() {
    let private_codec = codecs().private;
    for symbols in [&[symbol("BTCUSDT")][..], &[symbol("BTCUSDT"), symbol("BTCUSDT-PERP")]] {
        let channels = private_codec.channels(symbols);
        assert_eq!(channels.contains(&"positions"), symbols.len() == 2, "futures only where they are traded");
        let frames = private_codec.subscribe(symbols);
        let frame: serde_json::Value = serde_json::from_str(&frames[0]).unwrap();
        let arguments = frame["args"].as_array().unwrap();
        assert_eq!(arguments.len(), channels.len());
        for (argument, channel) in arguments.iter().zip(channels) {
            let ack = serde_json::json!({"event":"subscribe","arg":argument}).to_string();
            assert_eq!(private(&ack), PrivateFrame::Subscribed(channel));
        }
    }
    assert_eq!(private("pong"), PrivateFrame::Pong);
}

#[test]
fn an_order_push_with_a_fill_tells_both_the_fill_first() {
    let reports = reports(include_str!("../../fixtures/push_order_fill.json"));
    let [ReportBody::Fill(fill), ReportBody::Order(order)] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!(
        (order.status, order.filled, order.qty),
        (VenueOrderStatus::PartlyFilled, number("0.0004"), number("0.0010"))
    );
    assert_eq!((order.price, order.client_id.as_str()), (Some(number("60000")), "s00700000g5s2mrkg1"));
    assert_eq!(
        (fill.trade_id.as_str(), fill.qty, fill.price),
        ("1300000000000000777", number("0.0004"), number("60000"))
    );
    assert_eq!((fill.fee.amount.to_string(), fill.fee.asset.as_str()), ("0.0000004".to_owned(), "BTC"));
    assert_eq!((fill.liquidity, fill.venue_time.as_millis()), (Liquidity::Maker, 1_700_000_000_286));
    assert_eq!(fill.client_id, Some(order.client_id));
}

#[test]
fn a_push_without_a_fill_or_without_its_fee_tells_the_order_only() {
    let reports = reports(include_str!("../../fixtures/push_order_live.json"));
    let [ReportBody::Order(ours), ReportBody::Order(foreign)] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((ours.status, ours.filled.mantissa), (VenueOrderStatus::Live, 0));
    assert_eq!(ours.client_id.as_str(), "s00700000g5s2mrkg1");
    assert_eq!((foreign.status, foreign.qty), (VenueOrderStatus::Cancelled, number("0.01")));
}

#[test]
fn the_same_fill_has_one_trade_id_in_both_channels() {
    let from_order = reports(include_str!("../../fixtures/push_order_fill.json"));
    let from_fill = reports(include_str!("../../fixtures/push_fill.json"));
    let (ReportBody::Fill(first), ReportBody::Fill(second)) = (&from_order[0], &from_fill[0]) else { panic!() };
    assert_eq!((first.trade_id, first.venue_order_id), (second.trade_id, second.venue_order_id));
    assert_eq!((first.price, first.qty, first.fee, first.side), (second.price, second.qty, second.fee, second.side));
    assert_eq!(second.client_id, None);
}

#[test]
fn a_fill_pushed_with_either_sign_of_fee_was_paid() {
    let other = include_str!("../../fixtures/push_fill.json").replace("\"-0.0000004\"", "\"0.0000004\"");
    let reports = reports(&other);
    let ReportBody::Fill(fill) = &reports[0] else { panic!() };
    assert_eq!(fill.fee.amount.to_string(), "0.0000004");
}

#[test]
fn a_balance_push_is_read() {
    let reports = reports(include_str!("../../fixtures/push_account.json"));
    let [ReportBody::Balance(balance)] = reports.as_slice() else { panic!() };
    assert_eq!((balance.available.to_string(), balance.held.to_string()), ("940".to_owned(), "60".to_owned()));
}

#[test]
fn a_push_that_cannot_be_read_is_an_error_so_that_rest_is_asked() {
    let good = include_str!("../../fixtures/push_order_fill.json");
    for (from, to) in
        [("partially_filled", "half"), ("\"buy\"", "\"?\""), ("\"0.0004\",\"fillTime\"", "\"x\",\"fillTime\"")]
    {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        assert!(codecs().private.decode(text.as_bytes()).is_err(), "{from}");
    }
    let others = good.replace("SPOT", "COIN-FUTURES");
    assert_eq!(private(&others), PrivateFrame::Ignored);
    assert_eq!(
        private(r#"{"action":"snapshot","arg":{"instType":"SPOT","channel":"fill"},"data":null}"#),
        PrivateFrame::Reports(Vec::new())
    );
}
