//! Answers of the venue's REST interface.

use crate::common::{id, number, place, symbol, venue_id};
use domain::{Liquidity, Side, UnixNanos, VenueOrderId, VenueOrderStatus};
use messages::{CouldNotAsk, KeyRight, OrderUpdate, QueryAnswer, SignIntent, VenueErrorClass, VenueReason};
use venue_api::{ActAnswer, VenueCodecs};
use venue_bitget::{AccountMode, Environment};

fn codecs() -> VenueCodecs {
    venue_bitget::codecs_of(Environment::Production, AccountMode::Classic)
}

fn act(intent: &SignIntent, status: u16, body: &str) -> ActAnswer {
    codecs().rest.act_answer(intent, status, body.as_bytes())
}

fn ask(intent: &SignIntent, body: &str) -> QueryAnswer {
    codecs().rest.query_answer(intent, 200, body.as_bytes())
}

fn query_order() -> SignIntent {
    SignIntent::QueryOrder { symbol: symbol("BTCUSDT"), id: id() }
}

fn open_orders() -> SignIntent {
    SignIntent::OpenOrders { symbol: symbol("BTCUSDT"), older_than: None }
}

fn history(since_ms: u64) -> SignIntent {
    SignIntent::OrderHistory { symbol: symbol("ETHUSDT"), since: UnixNanos::from_millis(since_ms), older_than: None }
}

fn fills(since_ms: u64) -> SignIntent {
    SignIntent::Fills { symbol: symbol("BTCUSDT"), since: UnixNanos::from_millis(since_ms), older_than: None }
}

fn orders(answer: QueryAnswer) -> (Vec<OrderUpdate>, Option<VenueOrderId>) {
    match answer {
        QueryAnswer::Orders { page, next } => (page, next),
        other => panic!("{other:?}"),
    }
}

fn cancel() -> SignIntent {
    SignIntent::Cancel { symbol: symbol("BTCUSDT"), id: id(), venue_order_id: None }
}

const ACCEPTED: &str =
    r#"{"code":"00000","msg":"success","requestTime":1,"data":{"orderId":"1001","clientOid":"s00700000g5s2mrkg1"}}"#;

#[test]
fn an_accepted_order_has_the_venues_id() {
    assert_eq!(act(&place(), 200, ACCEPTED), ActAnswer::Accepted(venue_id("1001")));
    assert_eq!(act(&cancel(), 200, ACCEPTED), ActAnswer::Accepted(venue_id("1001")));
    let number = ACCEPTED.replace("\"1001\"", "1001");
    assert_eq!(act(&place(), 200, &number), ActAnswer::Accepted(venue_id("1001")));
}

#[test]
fn cancel_all_is_done_when_the_code_says_so() {
    let intent = SignIntent::CancelAll { symbol: symbol("BTCUSDT") };
    let body = r#"{"code":"00000","msg":"success","requestTime":1,"data":{"symbol":"BTCUSDT"}}"#;
    assert_eq!(act(&intent, 200, body), ActAnswer::Done);
    assert_eq!(act(&intent, 200, ""), ActAnswer::Unclear);
}

#[test]
fn an_answer_about_another_order_is_unclear() {
    let other = ACCEPTED.replace("s00700000g5s2mrkg1", "s00700000g5s2mrkg2");
    assert_eq!(act(&place(), 200, &other), ActAnswer::Unclear);
    let by_venue_id =
        SignIntent::Cancel { symbol: symbol("BTCUSDT"), id: id(), venue_order_id: Some(venue_id("1002")) };
    assert_eq!(act(&by_venue_id, 200, ACCEPTED), ActAnswer::Unclear);
}

#[test]
fn what_cannot_be_read_is_unclear_and_never_an_answer() {
    let unreadable = [
        "",
        "<html>502</html>",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"code":null}"#,
        r#"{"code":"","msg":"success","data":{"orderId":"1"}}"#,
        r#"{"code":"00000","data":null}"#,
        r#"{"code":"00000","data":{}}"#,
        r#"{"code":"00000","data":{"orderId":""}}"#,
        r#"{"code":"00000","data":"success"}"#,
        // Members count by their names, never by their order.
        r#"["00000","success",null,{"orderId":"1001","clientOid":"s00700000g5s2mrkg1"}]"#,
        r#"{"code":"00000","data":["1001","s00700000g5s2mrkg1"]}"#,
    ];
    for body in unreadable {
        for status in [200, 400, 500, 502] {
            assert_eq!(act(&place(), status, body), ActAnswer::Unclear, "{status} {body}");
            assert_eq!(act(&cancel(), status, body), ActAnswer::Unclear, "{status} {body}");
        }
    }
}

#[test]
fn the_code_decides_and_not_the_status() {
    let body = r#"{"code":"43012","msg":"Insufficient balance","requestTime":1,"data":null}"#;
    for status in [200, 400, 500] {
        let ActAnswer::Failed(error) = act(&place(), status, body) else { panic!() };
        assert_eq!((error.class, error.reason), (VenueErrorClass::Refused, VenueReason::Balance));
        assert_eq!(error.text.as_str(), "Insufficient balance");
    }
}

#[test]
fn a_bare_429_is_a_limit_and_nothing_happened() {
    let ActAnswer::Failed(error) = act(&place(), 429, "<html>slow down</html>") else { panic!() };
    assert_eq!((error.class, error.reason), (VenueErrorClass::Retry, VenueReason::RateLimit));
}

#[test]
fn system_errors_leave_an_order_unknown_and_a_question_unasked() {
    for code in ["40010", "40910", "40015", "40725", "45001", "50031", "40200", "77777"] {
        let body = format!(r#"{{"code":"{code}","msg":"service error","data":null}}"#);
        let ActAnswer::Failed(error) = act(&place(), 400, &body) else { panic!() };
        assert_eq!(error.class, VenueErrorClass::OutcomeUnknown, "{code}");
        let QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error)) = ask(&query_order(), &body) else { panic!() };
        assert_eq!(error.class, VenueErrorClass::Retry, "{code}");
    }
}

#[test]
fn not_found_is_clear_for_one_order_and_a_question_for_a_cancel() {
    let body = r#"{"code":"43001","msg":"The order does not exist","data":null}"#;
    assert_eq!(ask(&query_order(), body), QueryAnswer::Order(None));
    assert!(matches!(ask(&open_orders(), body), QueryAnswer::CouldNotAsk(_)));
    let ActAnswer::Failed(error) = act(&cancel(), 400, body) else { panic!() };
    assert_eq!((error.class, error.reason), (VenueErrorClass::OutcomeUnknown, VenueReason::OrderNotFound));
}

#[test]
fn one_order_is_read_out_of_its_list() {
    let QueryAnswer::Order(Some(order)) = ask(&query_order(), include_str!("../../fixtures/rest_order_info.json"))
    else {
        panic!()
    };
    assert_eq!(order.venue_order_id, venue_id("1300000000000000001"));
    assert_eq!((order.side, order.status), (Side::Buy, VenueOrderStatus::PartlyFilled));
    assert_eq!(order.price.map(|price| price.rescaled(2)), Some(Ok(6_000_000)));
    assert_eq!((order.qty.rescaled(6), order.filled.rescaled(6)), (Ok(1_000), Ok(400)));
    assert_eq!((order.created.as_millis(), order.updated.as_millis()), (1_700_000_000_257, 1_700_000_000_326));
}

#[test]
fn only_an_empty_list_says_that_an_order_does_not_exist() {
    for body in [r#"{"code":"00000","msg":"success","data":[]}"#, r#"{"code":"00000","msg":"success","data":null}"#] {
        assert_eq!(ask(&query_order(), body), QueryAnswer::Order(None));
    }
    let other = include_str!("../../fixtures/rest_order_info.json").replace("s00700000g5s2mrkg1", "s00700000g5s2mrkg2");
    assert_eq!(ask(&query_order(), &other), QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable));
    for body in ["", "{}", r#"{"code":"00000","data":{}}"#, r#"{"code":"00000","data":[{}]}"#, "<html>"] {
        assert_eq!(ask(&query_order(), body), QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable), "{body}");
    }
}

#[test]
fn open_orders_have_their_limit_price_only_while_nothing_is_filled() {
    let (page, next) = orders(ask(&open_orders(), include_str!("../../fixtures/rest_unfilled.json")));
    assert_eq!(next, None);
    assert_eq!((page[0].price, page[0].filled.mantissa), (Some(number("59000")), 0));
    assert_eq!(page[0].client_id.as_str(), "by-hand");
    assert_eq!((page[1].price, page[1].filled), (None, number("0.0004")));
    assert_eq!(page[1].updated, page[1].created);
}

#[test]
fn a_market_buy_of_somebody_else_is_stated_in_base() {
    let (page, _) = orders(ask(&history(0), include_str!("../../fixtures/rest_history.json")));
    assert_eq!(page[0].symbol.as_str(), "ETHUSDT");
    assert_eq!((page[0].qty, page[0].filled), (number("0.0125000000000000"), number("0.0125000000000000")));
    assert_eq!((page[0].price, page[0].status), (None, VenueOrderStatus::Filled));
    assert_eq!((page[1].status, page[1].filled.mantissa), (VenueOrderStatus::Cancelled, 0));
    assert!(page[1].client_id.is_empty());
}

#[test]
fn history_keeps_orders_that_changed_since() {
    let (page, _) = orders(ask(&history(1_700_000_000_150), include_str!("../../fixtures/rest_history.json")));
    assert_eq!(page.len(), 2, "created before, cancelled after");
    let (page, _) = orders(ask(&history(1_700_000_000_300), include_str!("../../fixtures/rest_history.json")));
    assert_eq!(page.len(), 1);
}

#[test]
fn a_full_page_has_more_until_it_reaches_back_far_enough() {
    let row = r#"{"symbol":"BTCUSDT","orderId":"1","tradeId":"1","side":"buy","priceAvg":"1","size":"1","feeDetail":{"feeCoin":"BTC","totalFee":"0"},"tradeScope":"taker","cTime":"1700000000286"}"#;
    let body = format!(r#"{{"code":"00000","data":[{}]}}"#, vec![row; 100].join(","));
    let QueryAnswer::Fills { page, next } = ask(&fills(1_700_000_000_000), &body) else { panic!() };
    assert_eq!((page.len(), next), (100, Some(venue_id("1"))));
    let QueryAnswer::Fills { page, next } = ask(&fills(1_700_000_000_287), &body) else { panic!() };
    assert_eq!((page.len(), next), (0, None));
}

#[test]
fn one_unreadable_row_makes_a_list_unreadable() {
    let good = include_str!("../../fixtures/rest_unfilled.json");
    for (from, to) in
        [("\"live\"", "\"weird\""), ("\"sell\"", "\"?\""), ("\"0.002\"", "\"x\""), ("1300000000000000009", "")]
    {
        let body = good.replacen(from, to, 1);
        assert_eq!(ask(&open_orders(), &body), QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable), "{from}");
    }
}

#[test]
fn a_paid_fee_is_positive() {
    let QueryAnswer::Fills { page, next } = ask(&fills(0), include_str!("../../fixtures/rest_fills.json")) else {
        panic!()
    };
    assert_eq!(next, None);
    assert_eq!((page[0].fee.amount.to_string(), page[0].fee.asset.as_str()), ("0.0000004".to_owned(), "BTC"));
    assert_eq!(page[0].liquidity, Liquidity::Maker);
    assert_eq!(page[0].trade_id.as_str(), "1300000000000000777");
    assert_eq!(page[1].fee.amount.to_string(), "0.006");
    assert_eq!((page[1].price, page[1].qty), (number("60001.5"), number("0.0001")));
    let rebate = include_str!("../../fixtures/rest_fills.json").replace("\"-0.0000004\"", "\"0.0000004\"");
    let QueryAnswer::Fills { page, .. } = ask(&fills(0), &rebate) else { panic!() };
    assert_eq!(page[0].fee.amount.to_string(), "-0.0000004");
}

#[test]
fn balances_add_up_what_is_held() {
    let QueryAnswer::Balances(balances) = ask(&SignIntent::Balances, include_str!("../../fixtures/rest_assets.json"))
    else {
        panic!()
    };
    assert_eq!(balances[0].asset.as_str(), "USDT");
    assert_eq!(
        (balances[0].available.to_string(), balances[0].held.to_string()),
        ("940".to_owned(), "60.5".to_owned())
    );
    assert_eq!(
        (balances[1].available.to_string(), balances[1].held.to_string()),
        ("0.00000001".to_owned(), "0".to_owned())
    );
}

#[test]
fn the_rights_of_a_key_are_read() {
    let body = r#"{"code":"00000","msg":"success","requestTime":1,"data":{"userId":"7264631750","inviterId":"","ips":"127.0.0.1","authorities":["coow","cpow","stow"],"parentId":7264631750,"traderType":"not_trader","regisTime":"1600000000000"}}"#;
    let QueryAnswer::KeyInfo(info) = ask(&SignIntent::KeyInfo, body) else { panic!() };
    assert!(info.rights.contains(&KeyRight::SpotTrade) && !info.rights.iter().any(|right| right.is_forbidden()));
    assert_eq!(info.bound_addresses, 1);
}

#[test]
fn instruments_are_listed_and_unreadable_rows_left_out() {
    let body = include_str!("../../fixtures/rest_symbols.json").as_bytes();
    let listed = codecs().public.instruments(200, body).unwrap();
    let names: Vec<&str> = listed.iter().map(|instrument| instrument.symbol.as_str()).collect();
    assert_eq!(names, ["BTCUSDT", "ETHUSDT"]);
    assert_eq!((listed[1].min_qty, listed[1].max_qty), (1, 100_000_000));
    assert!(codecs().public.instruments(200, br#"{"code":"00000","data":null}"#).is_err());
    assert!(codecs().public.instruments(400, br#"{"code":"40404","msg":"x","data":[]}"#).is_err());
}

#[test]
fn server_time_is_text_or_number() {
    for body in [
        r#"{"code":"00000","data":{"serverTime":"1700000000123"}}"#,
        r#"{"code":"00000","data":{"serverTime":1700000000123}}"#,
    ] {
        assert_eq!(codecs().public.server_time(200, body.as_bytes()).unwrap().as_millis(), 1_700_000_000_123);
    }
    for body in [r#"{"code":"00000","data":{}}"#, r#"{"code":"00000","data":{"serverTime":"0"}}"#, "", "{}"] {
        assert!(codecs().public.server_time(200, body.as_bytes()).is_err(), "{body}");
    }
}
