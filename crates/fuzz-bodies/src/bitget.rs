//! Frames and answers of Bitget.

use crate::texts;
use domain::{ClientOrderId, PositionEffect, Scaled, Side, Symbol, TimeInForce, UnixNanos};
use messages::{AccountMode, PlaceOrder, SignIntent};
use venue_api::{ActAnswer, FeedCodec, FeedFrame, FeedFrameKind, PrivateFrame, VenueCodecs};
use venue_bitget::{Environment, codecs_of, with_unified_public};

const FRAMES: &[&str] = &[
    include_str!("../../venue-bitget/fixtures/feed_books5.json"),
    include_str!("../../venue-bitget/fixtures/feed_books_snapshot.json"),
    include_str!("../../venue-bitget/fixtures/feed_books_update.json"),
    include_str!("../../venue-bitget/fixtures/feed_trade.json"),
    include_str!("../../venue-bitget/fixtures/v3_feed_books1.json"),
    include_str!("../../venue-bitget/fixtures/v3_feed_books_update.json"),
];
const PUSHES: &[&str] = &[
    include_str!("../../venue-bitget/fixtures/push_order_fill.json"),
    include_str!("../../venue-bitget/fixtures/push_order_live.json"),
    include_str!("../../venue-bitget/fixtures/push_fill.json"),
    include_str!("../../venue-bitget/fixtures/push_account.json"),
    r#"{"event":"login","code":0,"msg":""}"#,
];
const ANSWERS: &[&str] = &[
    include_str!("../../venue-bitget/fixtures/rest_order_info.json"),
    include_str!("../../venue-bitget/fixtures/rest_unfilled.json"),
    include_str!("../../venue-bitget/fixtures/rest_history.json"),
    include_str!("../../venue-bitget/fixtures/rest_fills.json"),
    include_str!("../../venue-bitget/fixtures/rest_assets.json"),
    include_str!("../../venue-bitget/fixtures/rest_symbols.json"),
    r#"{"code":"00000","msg":"success","requestTime":1,"data":{"orderId":"1001","clientOid":"s00700000g5s2mrkg1"}}"#,
];

pub(crate) fn public_seeds() -> Vec<Vec<u8>> {
    texts(FRAMES)
}

pub(crate) fn private_seeds() -> Vec<Vec<u8>> {
    texts(PUSHES)
}

/// A byte for the status, then the answer.
pub(crate) fn rest_seeds() -> Vec<Vec<u8>> {
    ANSWERS.iter().map(|text| [&[0], text.as_bytes()].concat()).collect()
}

fn codecs(mode: AccountMode) -> VenueCodecs {
    codecs_of(Environment::Production, mode)
}

pub(crate) fn public_v2(data: &[u8]) {
    public(codecs(AccountMode::Classic).feed.as_ref(), data);
}

pub(crate) fn public_v3(data: &[u8]) {
    let codecs = with_unified_public(Environment::Production, codecs(AccountMode::Unified));
    public(codecs.feed.as_ref(), data);
}

/// A frame that is used again says what a fresh one says: nothing of the frame before is left in it.
fn public(codec: &dyn FeedCodec, data: &[u8]) {
    let (mut fresh, mut used) = (FeedFrame::default(), FeedFrame::default());
    for other in FRAMES {
        // What it says is of no interest here; only that it leaves something behind.
        let _ = codec.decode(other.as_bytes(), &mut used);
    }
    let (first, second) = (codec.decode(data, &mut fresh), codec.decode(data, &mut used));
    assert_eq!(first, second, "the same frame, the same judgement");
    if first.is_err() {
        return;
    }
    assert_eq!(fresh.kind, used.kind);
    assert_eq!(fresh.subscription, used.subscription);
    assert_eq!(fresh.book, used.book, "nothing of an earlier book is left");
    assert_eq!(fresh.trades, used.trades, "nor of earlier trades");
    if matches!(fresh.kind, FeedFrameKind::Book | FeedFrameKind::Trades) {
        assert!(fresh.subscription.is_some(), "data belong to a subscription");
    }
    let levels = fresh.book.bids.len() + fresh.book.asks.len();
    assert!(levels + fresh.trades.len() <= data.len(), "not more than was sent");
}

pub(crate) fn private(data: &[u8]) {
    for mode in AccountMode::ALL {
        let codec = codecs(mode).private;
        let (first, second) = (codec.decode(data), codec.decode(data));
        assert_eq!(first, second, "the same frame, the same judgement");
        match first {
            Ok(PrivateFrame::Reports(reports)) => assert!(reports.len() <= data.len(), "not more than was sent"),
            Ok(PrivateFrame::LoggedIn) => assert!(holds(data, "login"), "a log-in is told in so many words"),
            _ => {}
        }
    }
}

/// An answer that acts is taken for success only when it says so in the venue's own code and with an order's id.
pub(crate) fn rest(data: &[u8]) {
    let Some((status, body)) = data.split_first() else { return };
    let status = [200, 400, 429, 500, 503, 404].get(usize::from(*status)).copied().unwrap_or(200);
    for mode in AccountMode::ALL {
        let codecs = codecs(mode);
        for intent in intents() {
            let act = codecs.rest.act_answer(&intent, status, body);
            if matches!(act, ActAnswer::Accepted(_) | ActAnswer::Done) {
                assert!(status == 200 && holds(body, "00000"), "success that nobody told: {act:?}");
            }
            let first = format!("{:?}", codecs.rest.query_answer(&intent, status, body));
            let second = format!("{:?}", codecs.rest.query_answer(&intent, status, body));
            assert_eq!(first, second, "the same answer, the same judgement");
        }
        let listed = codecs.public.instruments(status, body).unwrap_or_default();
        assert!(listed.iter().all(|one| one.tick >= 1 && one.lot >= 1), "steps are at least one");
        let _ = codecs.public.server_time(status, body);
        let _ = codecs.public.prices(status, body);
    }
}

fn holds(data: &[u8], word: &str) -> bool {
    // A word can also be written in JSON's escapes.
    data.windows(word.len()).any(|window| window == word.as_bytes()) || data.contains(&b'\\')
}

fn intents() -> Vec<SignIntent> {
    let symbol = Symbol::from("BTCUSDT").unwrap();
    let id: ClientOrderId = "s00700000g5s2mrkg1".parse().unwrap();
    let since = UnixNanos::from_millis(1_699_999_999_000);
    let place = PlaceOrder {
        id,
        symbol,
        side: Side::Buy,
        price: Scaled { mantissa: 6_000_000, decimals: 2 },
        qty: Scaled { mantissa: 1_000, decimals: 6 },
        time_in_force: TimeInForce::Gtc,
        effect: PositionEffect::default(),
    };
    let perpetual = Symbol::from("BTCUSDT-PERP").unwrap();
    vec![
        SignIntent::Place(place),
        SignIntent::Place(PlaceOrder { symbol: perpetual, ..place }),
        SignIntent::Cancel { symbol, id, venue_order_id: None },
        SignIntent::CancelAll { symbol },
        SignIntent::QueryOrder { symbol, id },
        SignIntent::QueryOrder { symbol: perpetual, id },
        SignIntent::OpenOrders { symbol, older_than: None },
        SignIntent::OpenOrders { symbol: perpetual, older_than: None },
        SignIntent::OrderHistory { symbol, since, older_than: None },
        SignIntent::Fills { symbol, since, older_than: None },
        SignIntent::Fills { symbol: perpetual, since, older_than: None },
        SignIntent::Bills { since, older_than: None },
        SignIntent::FuturesSettings { symbol: perpetual },
        SignIntent::Balances,
        SignIntent::Positions,
        SignIntent::KeyInfo,
    ]
}
