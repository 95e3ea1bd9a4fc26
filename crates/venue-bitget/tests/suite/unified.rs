//! Unified accounts: requests, answers, pushes and public data of v3.

use crate::common::{all_of, futures_order, id, number, place, symbol, venue_id};
use base64::Engine as _;
use domain::{Liquidity, Market, PositionEffect, PositionSide, Side, UnixNanos, VenueOrderStatus};
use hmac::{Hmac, KeyInit as _, Mac as _};
use messages::{AccountMode, CouldNotAsk, PositionMode, QueryAnswer, ReportBody, SignIntent, VenueReason};
use venue_api::{
    ActAnswer, CandleInterval, Channel, Draft, FeedFrame, FeedFrameKind, PrivateFrame, Subscription, VenueCodecs,
};

const AT: UnixNanos = UnixNanos(1_700_000_000_002_000_000);
const ORDERS: &str = include_str!("../../fixtures/v3_rest_orders.json");
const FILLS: &str = include_str!("../../fixtures/v3_rest_fills.json");

fn unified() -> VenueCodecs {
    all_of(AccountMode::Unified)
}

fn draft(intent: &SignIntent) -> Draft {
    let mut draft = Draft::default();
    unified().signing.draft(intent, AT, &mut draft).unwrap();
    draft
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn ask(intent: &SignIntent, body: &str) -> QueryAnswer {
    unified().rest.query_answer(intent, 200, body.as_bytes())
}

fn feed(text: &str) -> FeedFrame {
    let mut frame = FeedFrame::default();
    unified().feed.decode(text.as_bytes(), &mut frame).unwrap();
    frame
}

fn reports(text: &str) -> Vec<ReportBody> {
    match unified().private.decode(text.as_bytes()) {
        Ok(PrivateFrame::Reports(reports)) => reports,
        other => panic!("{other:?}"),
    }
}

/// Made with another implementation; secret `sk_test_secret_0001`.
#[test]
fn the_scheme_of_signatures_is_that_of_the_classic_interface() {
    let order = match place() {
        SignIntent::Place(order) => order,
        _ => unreachable!(),
    };
    let draft = draft(&SignIntent::Place(order));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"sk_test_secret_0001").unwrap();
    mac.update(b"1700000000000GET/api/v3/account/settings");
    let made = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(made, "3+QztGAjlUJ9shCpRp220jjtRDm5cBkiXbvzMZsuCzI=");
    let expected = format!(
        r#"1700000000002POST/api/v3/trade/place-order{{"category":"SPOT","symbol":"BTCUSDT","side":"buy","orderType":"limit","timeInForce":"gtc","price":"60000.00","qty":"0.001000","clientOid":"{}"}}"#,
        id()
    );
    assert_eq!(text(&draft.prehash), expected);
}

#[test]
fn a_hedge_order_says_what_it_does_and_on_which_position() {
    for (side, effect, words) in [
        (Side::Buy, (PositionSide::Net, false), r#""side":"buy","orderType""#),
        (Side::Sell, (PositionSide::Net, true), r#""side":"sell","reduceOnly":"yes","orderType""#),
        (Side::Buy, (PositionSide::Long, false), r#""side":"buy","posSide":"long","orderType""#),
        (Side::Sell, (PositionSide::Long, true), r#""side":"sell","posSide":"long","orderType""#),
        (Side::Sell, (PositionSide::Short, false), r#""side":"sell","posSide":"short","orderType""#),
        (Side::Buy, (PositionSide::Short, true), r#""side":"buy","posSide":"short","orderType""#),
    ] {
        let effect = PositionEffect { side: effect.0, reduce_only: effect.1 };
        let draft = draft(&SignIntent::Place(futures_order(side, effect)));
        let body = text(&draft.body);
        assert!(
            body.starts_with(r#"{"category":"USDT-FUTURES","symbol":"BTCUSDT","#) && body.contains(words),
            "{body}"
        );
    }
}

#[test]
fn every_request_has_its_target_and_body() {
    let (spot, perpetual) = (symbol("BTCUSDT"), symbol("BTCUSDT-PERP"));
    let (since, older_than, id) = (UnixNanos::from_millis(1_699_999_999_000), Some(venue_id("13")), id());
    let cases: &[(SignIntent, &str, &str)] = &[
        (
            SignIntent::Cancel { symbol: spot, id, venue_order_id: None },
            "/api/v3/trade/cancel-order",
            r#"{"category":"SPOT","clientOid":"s00700000g5s2mrkg1"}"#,
        ),
        (
            SignIntent::Cancel { symbol: perpetual, id, venue_order_id: older_than },
            "/api/v3/trade/cancel-order",
            r#"{"category":"USDT-FUTURES","orderId":"13"}"#,
        ),
        (
            SignIntent::CancelAll { symbol: perpetual },
            "/api/v3/trade/cancel-symbol-order",
            r#"{"category":"USDT-FUTURES","symbol":"BTCUSDT"}"#,
        ),
        (SignIntent::QueryOrder { symbol: spot, id }, "/api/v3/trade/order-info?clientOid=s00700000g5s2mrkg1", ""),
        (
            SignIntent::OpenOrders { symbol: spot, older_than },
            "/api/v3/trade/unfilled-orders?category=SPOT&cursor=13&limit=100&symbol=BTCUSDT",
            "",
        ),
        (
            SignIntent::OrderHistory { symbol: perpetual, since, older_than },
            "/api/v3/trade/history-orders?category=USDT-FUTURES&cursor=13&limit=100&startTime=1699999999000&symbol=BTCUSDT",
            "",
        ),
        (
            SignIntent::Fills { symbol: spot, since, older_than: None },
            "/api/v3/trade/fills?category=SPOT&limit=100&startTime=1699999999000",
            "",
        ),
        (SignIntent::Positions, "/api/v3/position/current-position?category=USDT-FUTURES", ""),
        (SignIntent::FuturesSettings { symbol: perpetual }, "/api/v3/account/settings", ""),
        (
            SignIntent::Bills { since, older_than },
            "/api/v3/account/financial-records?category=USDT-FUTURES&cursor=13&limit=100&startTime=1699999999000",
            "",
        ),
        (
            SignIntent::SetLeverage { symbol: perpetual, leverage: 5 },
            "/api/v3/account/set-leverage",
            r#"{"category":"USDT-FUTURES","symbol":"BTCUSDT","leverage":"5"}"#,
        ),
        (
            SignIntent::SetPositionMode { mode: PositionMode::OneWay },
            "/api/v3/account/set-hold-mode",
            r#"{"holdMode":"one_way_mode"}"#,
        ),
        (SignIntent::Balances, "/api/v3/account/assets", ""),
        (SignIntent::KeyInfo, "/api/v3/account/info", ""),
    ];
    for (intent, target, body) in cases {
        let draft = draft(intent);
        assert_eq!((text(&draft.target), text(&draft.body)), (*target, *body), "{intent:?}");
    }
}

#[test]
fn orders_and_fills_have_their_own_instrument_and_others_are_left_out() {
    let perpetual = symbol("BTCUSDT-PERP");
    let open = |symbol| SignIntent::OpenOrders { symbol, older_than: None };
    let QueryAnswer::Orders { page, next } = ask(&open(perpetual), ORDERS) else { panic!() };
    assert_eq!((page[0].symbol, page[0].side, page[0].status), (perpetual, Side::Sell, VenueOrderStatus::PartlyFilled));
    assert_eq!(
        (page[0].price, page[0].qty, page[0].filled),
        (Some(number("65000.0")), number("0.0100"), number("0.0040"))
    );
    assert_eq!(next, None, "the page is not full");
    for other in [ORDERS.replace("USDT-FUTURES", "MARGIN"), ORDERS.replace("USDT-FUTURES", "SPOT")] {
        let QueryAnswer::Orders { page, .. } = ask(&open(perpetual), &other) else { panic!() };
        assert!(page.is_empty(), "{other}");
    }
    let fills = SignIntent::Fills { symbol: perpetual, since: UnixNanos(0), older_than: None };
    let QueryAnswer::Fills { page, .. } = ask(&fills, FILLS) else { panic!() };
    assert_eq!((page[0].fee.amount.to_string(), page[0].liquidity), ("0.156".to_owned(), Liquidity::Maker));
    for (list, paid) in [
        ("[]", Some("0")),
        (r#"[{"feeCoin":null,"fee":null}]"#, Some("0")),
        ("null", None),
        (r#"[{"feeCoin":"","fee":"1"}]"#, None),
    ] {
        let body = FILLS.replace(r#"[{"feeCoin":"USDT","fee":"0.156"}]"#, list);
        let read = match ask(&fills, &body) {
            QueryAnswer::Fills { page, .. } => Some(page[0].fee.amount.to_string()),
            _ => None,
        };
        assert_eq!(read.as_deref(), paid, "{list}");
    }
    let rebate = FILLS.replace("\"fee\":\"0.156\"", "\"fee\":\"-0.156\"");
    let QueryAnswer::Fills { page, .. } = ask(&fills, &rebate) else { panic!() };
    assert_eq!(page[0].fee.amount.to_string(), "-0.156", "a rebate");
}

#[test]
fn a_full_page_goes_on_at_the_venues_cursor_even_when_no_row_was_ours() {
    let row = FILLS.split_once("\"list\":[").unwrap().1.split_once("],\"cursor\"").unwrap().0;
    let body =
        |row: &str| format!(r#"{{"code":"00000","data":{{"list":[{}],"cursor":"77"}}}}"#, vec![row; 100].join(","));
    let fills = |since_ms| SignIntent::Fills {
        symbol: symbol("BTCUSDT-PERP"),
        since: UnixNanos::from_millis(since_ms),
        older_than: None,
    };
    let others = row.replace("BTCUSDT", "ETHUSDT");
    assert_eq!(ask(&fills(0), &body(&others)), QueryAnswer::Fills { page: Vec::new(), next: Some(venue_id("77")) });
    assert_eq!(ask(&fills(1_700_000_000_147), &body(row)), QueryAnswer::Fills { page: Vec::new(), next: None });
    let lost = body(row).replace("\"77\"", "null");
    assert_eq!(ask(&fills(0), &lost), QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable), "a page is missing");
}

#[test]
fn empty_answers_are_told_from_unreadable_ones() {
    let ok = |data: &str| format!(r#"{{"code":"00000","msg":"success","data":{data}}}"#);
    let perpetual = symbol("BTCUSDT-PERP");
    let open = SignIntent::OpenOrders { symbol: perpetual, older_than: None };
    assert_eq!(ask(&open, &ok(r#"{"list":null,"cursor":null}"#)), QueryAnswer::Orders { page: Vec::new(), next: None });
    assert_eq!(ask(&SignIntent::Positions, &ok(r#"{"list":null}"#)), QueryAnswer::Positions(Vec::new()));
    assert_eq!(ask(&SignIntent::Balances, &ok(r#"{"assets":[]}"#)), QueryAnswer::Balances(Vec::new()));
    // Seen live: a success without a body (sheet trap 21).
    for intent in [open, SignIntent::Positions, SignIntent::Balances, SignIntent::KeyInfo] {
        for body in ["", "null", "[]", &ok("null"), &ok("[]"), &ok("\"x\"")] {
            assert_eq!(ask(&intent, body), QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable), "{intent:?} {body}");
        }
    }
    let query = SignIntent::QueryOrder { symbol: perpetual, id: id() };
    let gone = r#"{"code":"25204","msg":"Order does not exist","data":null}"#;
    assert_eq!(ask(&query, gone), QueryAnswer::Order(None));
    assert_eq!(ask(&query, ""), QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable));
}

#[test]
fn a_classic_account_says_so() {
    let body = r#"{"code":"40084","msg":"You are in Classic Account mode","data":null}"#;
    let QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error)) = ask(&SignIntent::KeyInfo, body) else { panic!() };
    assert_eq!(error.reason, VenueReason::AccountMode);
    assert_eq!(venue_bitget::account_mode_said_by(&error), Some(AccountMode::Classic));
    assert!(unified().rest.explain("40084").is_some_and(|words| words.contains("classic")));
}

#[test]
fn a_cancel_of_all_is_done_when_what_failed_is_gone() {
    let intent = SignIntent::CancelAll { symbol: symbol("BTCUSDT") };
    let answer = |code: &str| {
        let body = format!(
            r#"{{"code":"00000","data":{{"list":[{{"orderId":"1","clientOid":"2","code":"{code}","msg":"x"}}]}}}}"#
        );
        unified().rest.act_answer(&intent, 200, body.as_bytes())
    };
    assert_eq!(answer("24056"), ActAnswer::Done);
    assert_eq!(answer("00000"), ActAnswer::Done);
    assert!(matches!(answer("25000"), ActAnswer::Failed(error) if error.reason == VenueReason::System));
}

#[test]
fn pushes_are_read_in_the_words_of_v3() {
    let [ReportBody::Order(order)] = reports(include_str!("../../fixtures/v3_push_order.json"))[..] else { panic!() };
    assert_eq!((order.symbol, order.side, order.filled), (symbol("BTCUSDT-PERP"), Side::Sell, number("0.0040")));
    let [ReportBody::Fill(fill)] = reports(include_str!("../../fixtures/v3_push_fill.json"))[..] else { panic!() };
    assert_eq!(
        (fill.trade_id.as_str(), fill.qty, fill.venue_time.as_millis()),
        ("1300000000000000778", number("0.0040"), 1_700_000_000_146)
    );
    assert_eq!(fill.client_id.unwrap().as_str(), id().as_str());
    let [ReportBody::Position(position)] = reports(include_str!("../../fixtures/v3_push_position.json"))[..] else {
        panic!()
    };
    assert_eq!((position.side, position.qty.to_string()), (PositionSide::Net, "-0.01".to_owned()));
    let account = reports(include_str!("../../fixtures/v3_push_account.json"));
    let [ReportBody::Balance(tether), ReportBody::Balance(bitcoin)] = account[..] else { panic!() };
    assert_eq!((tether.available.to_string(), tether.held.to_string()), ("957.5".to_owned(), "43.0".to_owned()));
    assert_eq!((bitcoin.wallet, bitcoin.available.to_string()), (Market::Spot, "0.00000001".to_owned()));
}

#[test]
fn topics_are_acknowledged_by_name_and_positions_followed_only_with_futures() {
    let private = unified().private;
    let (spot, all) = ([symbol("BTCUSDT")], [symbol("BTCUSDT"), symbol("ETHUSDT-PERP")]);
    assert_eq!(private.channels(&spot), ["order", "fill", "account"]);
    assert_eq!(private.channels(&all), ["order", "fill", "account", "position"]);
    assert_eq!(
        private.subscribe(&spot),
        [
            r#"{"op":"subscribe","args":[{"instType":"UTA","topic":"order"},{"instType":"UTA","topic":"fill"},{"instType":"UTA","topic":"account"}]}"#
        ]
    );
    let ack = r#"{"event":"subscribe","arg":{"instType":"UTA","topic":"fill"}}"#;
    assert_eq!(private.decode(ack.as_bytes()), Ok(PrivateFrame::Subscribed("fill")));
}

#[test]
fn books_of_v3_are_read_whichever_way_their_members_stand() {
    let whole = feed(include_str!("../../fixtures/v3_feed_books1.json"));
    assert_eq!((whole.kind, whole.book.snapshot), (FeedFrameKind::Book, true));
    assert_eq!(whole.subscription, Some(Subscription { channel: Channel::Book1, symbol: symbol("BTCUSDT-PERP") }));
    assert_eq!((whole.book.seq, whole.book.prev_seq), (Some(1_304_314_508_780_744_705), None));
    let change = feed(include_str!("../../fixtures/v3_feed_books_update.json"));
    assert_eq!(change.subscription.unwrap().symbol, symbol("BTCUSDT"));
    assert_eq!((change.book.snapshot, change.book.prev_seq), (false, Some(1_304_314_508_780_744_705)));
    assert_eq!((change.book.asks.len(), change.book.asks[0].qty.mantissa), (2, 0));
}

#[test]
fn tickers_and_candles_are_read_alike_in_both_generations() {
    let ticker = feed(include_str!("../../fixtures/v3_feed_ticker.json")).ticker;
    assert_eq!((ticker.last, ticker.bid_qty), (Some(number("65000.1")), Some(number("2.7100"))));
    assert_eq!(ticker.index.unwrap().to_string(), "65010.2410266912815894", "more digits than 64 bits hold");
    assert_eq!(ticker.venue_time.as_millis(), 1_700_000_000_102);
    let unified = feed(include_str!("../../fixtures/v3_feed_kline.json"));
    let classic = feed(include_str!("../../fixtures/feed_candle.json"));
    assert_eq!(unified.candles, classic.candles);
    assert_eq!(
        (classic.candles[0].close, classic.candles[0].start.as_millis()),
        (number("65005.5"), 1_700_000_040_000)
    );
    assert_eq!(unified.subscription.unwrap().channel, Channel::Candle(CandleInterval::Min1));
}

#[test]
fn every_channel_is_asked_for_in_the_words_of_its_generation_and_understood() {
    let perpetual = symbol("BTCUSDT-PERP");
    let mut channels = vec![
        Channel::Book,
        Channel::Book1,
        Channel::Book5,
        Channel::Book15,
        Channel::Book50,
        Channel::Trade,
        Channel::Ticker,
    ];
    channels.extend(CandleInterval::ALL.map(Channel::Candle));
    for mode in AccountMode::ALL {
        let feed_codec = all_of(mode).feed;
        for channel in &channels {
            let subscription = Subscription { channel: *channel, symbol: perpetual };
            let frames = feed_codec.subscribe(&[subscription]);
            assert_eq!(frames.len(), usize::from(feed_codec.has(*channel)), "{channel:?}");
            let Some(frame) = frames.first() else { continue };
            let asked: serde_json::Value = serde_json::from_str(frame).unwrap();
            let ack = serde_json::json!({"event": "subscribe", "arg": asked["args"][0]}).to_string();
            let answered = feed(&ack);
            assert_eq!((answered.kind, answered.subscription), (FeedFrameKind::Subscribed, Some(subscription)));
        }
    }
    let books = unified().feed.subscribe(&[Subscription { channel: Channel::Book50, symbol: perpetual }]);
    assert_eq!(
        books,
        [r#"{"op":"subscribe","args":[{"instType":"usdt-futures","topic":"books50","symbol":"BTCUSDT"}]}"#]
    );
}
