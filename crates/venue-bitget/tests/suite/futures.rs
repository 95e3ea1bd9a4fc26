//! Perpetual futures of classic accounts: requests, answers, pushes.

use crate::common::{all_of, classic_intents, futures_order, id, number, symbol, venue_id};
use domain::{PositionEffect, PositionSide, Side, UnixNanos, VenueOrderStatus};
use messages::{AccountMode, MarginMode, PositionMode, QueryAnswer, ReportBody, SignIntent, SignRefusal};
use venue_api::{ActAnswer, Draft, PrivateFrame, VenueCodecs};

const AT: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
const POSITIONS: &str = include_str!("../../fixtures/push_positions.json");
const ORDERS: &str = include_str!("../../fixtures/mix_rest_orders.json");

fn classic() -> VenueCodecs {
    all_of(AccountMode::Classic)
}

fn draft(intent: &SignIntent) -> (String, String) {
    let mut draft = Draft::default();
    classic().signing.draft(intent, AT, &mut draft).unwrap();
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    (text(&draft.target), text(&draft.body))
}

fn effect(side: PositionSide, reduce_only: bool) -> PositionEffect {
    PositionEffect { side, reduce_only }
}

/// Sheet trap 5 and section 6.5: the side of a hedge-mode order is that of the position.
#[test]
fn each_order_says_what_it_does_to_which_position() {
    let sides = [Side::Buy, Side::Sell];
    for (effect, words) in [
        (effect(PositionSide::Net, false), [r#""side":"buy","#, r#""side":"sell","#]),
        (
            effect(PositionSide::Net, true),
            [r#""side":"buy","reduceOnly":"YES","#, r#""side":"sell","reduceOnly":"YES","#],
        ),
        (
            effect(PositionSide::Long, false),
            [r#""side":"buy","tradeSide":"open","#, r#""side":"buy","tradeSide":"close","#],
        ),
        (
            effect(PositionSide::Short, false),
            [r#""side":"sell","tradeSide":"close","#, r#""side":"sell","tradeSide":"open","#],
        ),
    ] {
        for (side, word) in sides.into_iter().zip(words) {
            let (target, body) = draft(&SignIntent::Place(futures_order(side, effect)));
            assert_eq!(target, "/api/v2/mix/order/place-order");
            let expected = format!(
                r#"{{"symbol":"BTCUSDT","productType":"USDT-FUTURES","marginMode":"crossed","marginCoin":"USDT",{word}"orderType":"limit","force":"gtc","price":"60000.00","size":"0.001000","clientOid":"{}"}}"#,
                id()
            );
            assert_eq!(body, expected);
        }
    }
}

#[test]
fn every_request_of_futures_has_its_target_and_body() {
    let symbol = symbol("BTCUSDT-PERP");
    let (since, older_than, id) = (UnixNanos::from_millis(1_699_999_999_000), Some(venue_id("13")), id());
    let named = r#"{"symbol":"BTCUSDT","productType":"USDT-FUTURES","marginCoin":"USDT""#;
    let cases: &[(SignIntent, &str, String)] = &[
        (
            SignIntent::Cancel { symbol, id, venue_order_id: older_than },
            "/api/v2/mix/order/cancel-order",
            format!(r#"{named},"orderId":"13"}}"#),
        ),
        (SignIntent::CancelAll { symbol }, "/api/v2/mix/order/cancel-all-orders", format!("{named}}}")),
        (
            SignIntent::QueryOrder { symbol, id },
            "/api/v2/mix/order/detail?clientOid=s00700000g5s2mrkg1&productType=USDT-FUTURES&symbol=BTCUSDT",
            String::new(),
        ),
        (
            SignIntent::OpenOrders { symbol, older_than },
            "/api/v2/mix/order/orders-pending?idLessThan=13&limit=100&productType=USDT-FUTURES&symbol=BTCUSDT",
            String::new(),
        ),
        (
            SignIntent::OrderHistory { symbol, since, older_than: None },
            "/api/v2/mix/order/orders-history?limit=100&productType=USDT-FUTURES&startTime=1699999999000&symbol=BTCUSDT",
            String::new(),
        ),
        (
            SignIntent::Fills { symbol, since, older_than },
            "/api/v2/mix/order/fills?idLessThan=13&limit=100&productType=USDT-FUTURES&symbol=BTCUSDT",
            String::new(),
        ),
        (
            SignIntent::Positions,
            "/api/v2/mix/position/all-position?marginCoin=USDT&productType=USDT-FUTURES",
            String::new(),
        ),
        (
            SignIntent::FuturesSettings { symbol },
            "/api/v2/mix/account/account?marginCoin=USDT&productType=USDT-FUTURES&symbol=BTCUSDT",
            String::new(),
        ),
        (
            SignIntent::Bills { since, older_than: None },
            "/api/v2/mix/account/bill?limit=100&productType=USDT-FUTURES&startTime=1699999999000",
            String::new(),
        ),
        (SignIntent::FuturesBalances, "/api/v2/mix/account/accounts?productType=USDT-FUTURES", String::new()),
        (
            SignIntent::SetLeverage { symbol, leverage: 20 },
            "/api/v2/mix/account/set-leverage",
            format!(r#"{named},"leverage":"20"}}"#),
        ),
        (
            SignIntent::SetMarginMode { symbol, mode: MarginMode::Crossed },
            "/api/v2/mix/account/set-margin-mode",
            format!(r#"{named},"marginMode":"crossed"}}"#),
        ),
        (
            SignIntent::SetPositionMode { mode: PositionMode::Hedge },
            "/api/v2/mix/account/set-position-mode",
            r#"{"productType":"USDT-FUTURES","posMode":"hedge_mode"}"#.to_owned(),
        ),
    ];
    for (intent, target, body) in cases {
        assert_eq!(draft(intent), ((*target).to_owned(), body.clone()), "{intent:?}");
    }
}

#[test]
fn what_only_futures_have_is_not_written_for_spot_nor_for_isolated_margin() {
    let refused = |codecs: &VenueCodecs, intent: &SignIntent| {
        assert!(codecs.signing.draft(intent, AT, &mut Draft::default()).is_err(), "{intent:?}");
    };
    for mode in AccountMode::ALL {
        let codecs = all_of(mode);
        let spot = symbol("BTCUSDT");
        refused(&codecs, &SignIntent::FuturesSettings { symbol: spot });
        refused(&codecs, &SignIntent::SetLeverage { symbol: spot, leverage: 2 });
        refused(&codecs, &SignIntent::SetLeverage { symbol: symbol("BTCUSDT-PERP"), leverage: 0 });
        refused(&codecs, &SignIntent::SetMarginMode { symbol: symbol("BTCUSDT-PERP"), mode: MarginMode::Isolated });
    }
    for intent in classic_intents() {
        let answer = all_of(AccountMode::Unified).signing.draft(&intent, AT, &mut Draft::default());
        assert_eq!(
            answer,
            Err(SignRefusal::Unsupported),
            "a unified account has one wallet and one margin: {intent:?}"
        );
    }
}

#[test]
fn an_order_that_closes_a_long_position_is_a_sale_whatever_its_word() {
    let intent = SignIntent::OpenOrders { symbol: symbol("BTCUSDT-PERP"), older_than: None };
    let read = |body: &str| match classic().rest.query_answer(&intent, 200, body.as_bytes()) {
        QueryAnswer::Orders { page, next } => Some((page[0], next)),
        _ => None,
    };
    let (order, next) = read(ORDERS).unwrap();
    assert_eq!((order.side, order.symbol, next), (Side::Sell, symbol("BTCUSDT-PERP"), None));
    assert_eq!((order.price, order.qty, order.filled), (Some(number("65000")), number("0.01"), number("0.004")));
    assert_eq!(order.status, VenueOrderStatus::PartlyFilled);
    for (from, to, side) in [
        ("\"close\"", "\"open\"", Side::Buy),
        ("\"long\"", "\"short\"", Side::Buy),
        ("\"close\"", "\"reduce_close_long\"", Side::Sell),
        ("hedge_mode", "one_way_mode", Side::Buy),
    ] {
        assert_eq!(read(&ORDERS.replace(from, to)).unwrap().0.side, side, "{from} {to}");
    }
    assert!(read(&ORDERS.replace("\"posSide\":\"long\"", "\"posSide\":\"up\"")).is_none());
}

#[test]
fn lists_of_futures_may_be_null_and_an_unknown_order_is_an_empty_answer() {
    let symbol = symbol("BTCUSDT-PERP");
    let ask = |intent: &SignIntent, data: &str| {
        let body = format!(r#"{{"code":"00000","msg":"success","data":{data}}}"#);
        classic().rest.query_answer(intent, 200, body.as_bytes())
    };
    let open = SignIntent::OpenOrders { symbol, older_than: None };
    let none = QueryAnswer::Orders { page: Vec::new(), next: None };
    assert_eq!(ask(&open, r#"{"entrustedList":null,"endId":null}"#), none);
    assert_eq!(ask(&open, r#"{"entrustedList":[],"endId":"1"}"#), none);
    assert_eq!(ask(&SignIntent::Positions, "[]"), QueryAnswer::Positions(Vec::new()));
    assert_eq!(ask(&SignIntent::QueryOrder { symbol, id: id() }, "null"), QueryAnswer::Order(None));
    for odd in ["[]", "\"\"", "7"] {
        assert!(matches!(ask(&open, odd), QueryAnswer::CouldNotAsk(_)), "{odd}");
    }
}

#[test]
fn a_cancel_of_all_that_left_something_is_no_success() {
    let intent = SignIntent::CancelAll { symbol: symbol("BTCUSDT-PERP") };
    let answer = |failures: &str| {
        let body =
            format!(r#"{{"code":"00000","msg":"success","data":{{"successList":[],"failureList":{failures}}}}}"#);
        classic().rest.act_answer(&intent, 200, body.as_bytes())
    };
    assert_eq!(answer("[]"), ActAnswer::Done);
    assert_eq!(answer("null"), ActAnswer::Done);
    assert_eq!(
        answer(r#"[{"orderId":"1","errorMsg":"gone","errorCode":"40768"}]"#),
        ActAnswer::Done,
        "gone is what was wanted"
    );
    assert!(matches!(answer(r#"[{"orderId":"1","errorMsg":"busy","errorCode":"45001"}]"#), ActAnswer::Failed(_)));
    assert!(matches!(answer(r#"[{"orderId":"1","errorMsg":"busy"}]"#), ActAnswer::Failed(_)));
}

#[test]
fn positions_and_the_wallet_of_futures_are_pushed() {
    let reports = |text: &str| match classic().private.decode(text.as_bytes()) {
        Ok(PrivateFrame::Reports(reports)) => reports,
        other => panic!("{other:?}"),
    };
    let [ReportBody::Position(position)] = reports(POSITIONS)[..] else { panic!() };
    assert_eq!((position.symbol, position.side, position.leverage), (symbol("BTCUSDT-PERP"), PositionSide::Long, 20));
    assert_eq!((position.unrealised.to_string(), position.liquidation), ("5.005".to_owned(), None));
    assert!(reports(&POSITIONS.replace(r#""data":[{"#, r#""data":[],"x":[{"#)).is_empty(), "a flat account");
    let wallet = r#"{"action":"snapshot","arg":{"instType":"USDT-FUTURES","channel":"account","coin":"default"},"data":[{"marginCoin":"USDT","frozen":"0","available":"967.5","equity":"1005.5","unrealizedPL":"5.5"}],"ts":1}"#;
    let [ReportBody::Balance(balance)] = reports(wallet)[..] else { panic!() };
    assert_eq!((balance.available.to_string(), balance.held.to_string()), ("967.5".to_owned(), "32.5".to_owned()));
    assert_eq!(balance.wallet, domain::Market::UsdtFutures);
}
