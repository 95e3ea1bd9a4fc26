//! The bytes that are signed, the signatures of the published scheme, and the headers.

use crate::common::{every_intent, id, number, place, symbol, venue_id};
use base64::Engine as _;
use domain::{Scaled, UnixNanos};
use hmac::{Hmac, KeyInit as _, Mac as _};
use messages::{PlaceOrder, SignIntent, SignRefusal};
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding};
use venue_bitget::{AccountMode, Environment, codecs_of};

const SECRET: &[u8] = b"sk_test_secret_0001";
const AT: u64 = 1_700_000_000_000;

#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl HeaderSink for Headers {
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), SignRefusal> {
        self.0.push((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        Ok(())
    }
}

fn signature(prehash: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(prehash);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn draft(intent: &SignIntent, at_ms: u64) -> Draft {
    let mut draft = Draft::default();
    codecs_of(Environment::Production, AccountMode::Classic)
        .signing
        .draft(intent, UnixNanos::from_millis(at_ms), &mut draft)
        .unwrap();
    draft
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Vectors of the venue sheet, section 2.1: prehash and signature. Those for requests that the codec
/// itself makes are compared with its own bytes in the tests below.
const VECTORS: &[(&str, &str)] = &[
    ("1700000000000GET/api/v2/spot/account/info", "ojFao0h6BLGxS0wXMzGVqurV01wQAF+i43Zcn4cM0y0="),
    ("1700000000000GET/api/v2/spot/account/assets?coin=USDT", "gkJteffQp5jz2jEndwahmzB1SmA1I37Yyj+nuYX7rGQ="),
    (
        r#"1700000000002POST/api/v2/spot/trade/place-order{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000","size":"0.001","clientOid":"blk-0001"}"#,
        "86rryOLHP+xAGiSFRLHpLyBeTmUuwZJdqbStlYmmQ/M=",
    ),
    ("1700000000GET/user/verify", "0MHJDb7y7yJpLWb7Rw0tyFO9H2AVTUeobitKTQgJ9jg="),
];

#[test]
fn the_scheme_gives_the_published_signatures() {
    for (prehash, expected) in VECTORS {
        assert_eq!(signature(prehash.as_bytes()), *expected, "{prehash}");
    }
    assert_eq!(codecs_of(Environment::Production, AccountMode::Classic).signing.encoding(), SignatureEncoding::Base64);
}

#[test]
fn key_info_and_log_in_are_signed_as_published() {
    let info = draft(&SignIntent::KeyInfo, AT);
    assert_eq!(signature(&info.prehash), VECTORS[0].1);
    assert_eq!((info.method, text(&info.target)), (Method::Get, "/api/v2/spot/account/info"));
    let login = draft(&SignIntent::StreamLogin, AT + 999);
    assert_eq!(signature(&login.prehash), VECTORS[3].1);
    assert_eq!((login.method, text(&login.timestamp)), (Method::Frame, "1700000000"));
}

#[test]
fn a_placed_order_is_signed_as_published_but_for_its_id() {
    let intent = SignIntent::Place(PlaceOrder {
        price: number("60000"),
        qty: number("0.001"),
        ..match place() {
            SignIntent::Place(order) => order,
            _ => unreachable!(),
        }
    });
    let draft = draft(&intent, AT + 2);
    let as_published = text(&draft.prehash).replace(id().as_str(), "blk-0001");
    assert_eq!(as_published, VECTORS[2].0);
    assert_eq!(signature(as_published.as_bytes()), VECTORS[2].1);
}

#[test]
fn the_signed_text_is_time_method_target_and_body_of_what_is_sent() {
    for intent in every_intent() {
        if matches!(intent, SignIntent::StreamLogin) {
            continue;
        }
        let draft = draft(&intent, AT);
        let expected =
            [&draft.timestamp[..], draft.method.as_str().as_bytes(), &draft.target[..], &draft.body[..]].concat();
        assert_eq!(text(&draft.prehash), text(&expected), "{intent:?}");
        assert_eq!(draft.method == Method::Post, !intent.verb().only_asks());
        assert_eq!(draft.body.is_empty(), intent.verb().only_asks());
    }
}

#[test]
fn every_request_has_its_target_and_body() {
    let symbol = symbol("BTCUSDT");
    let since = UnixNanos::from_millis(1_699_999_999_000);
    let older_than = Some(venue_id("1300000000000000001"));
    let id = id();
    let cases: &[(SignIntent, &str, &str)] = &[
        (
            SignIntent::Cancel { symbol, id, venue_order_id: None },
            "/api/v2/spot/trade/cancel-order",
            r#"{"symbol":"BTCUSDT","clientOid":"s00700000g5s2mrkg1"}"#,
        ),
        (
            SignIntent::Cancel { symbol, id, venue_order_id: older_than },
            "/api/v2/spot/trade/cancel-order",
            r#"{"symbol":"BTCUSDT","orderId":"1300000000000000001"}"#,
        ),
        (SignIntent::CancelAll { symbol }, "/api/v2/spot/trade/cancel-symbol-order", r#"{"symbol":"BTCUSDT"}"#),
        (SignIntent::QueryOrder { symbol, id }, "/api/v2/spot/trade/orderInfo?clientOid=s00700000g5s2mrkg1", ""),
        (
            SignIntent::OpenOrders { symbol, older_than },
            "/api/v2/spot/trade/unfilled-orders?idLessThan=1300000000000000001&limit=100&symbol=BTCUSDT",
            "",
        ),
        (
            SignIntent::OrderHistory { symbol, since, older_than: None },
            "/api/v2/spot/trade/history-orders?limit=100&startTime=1699999999000&symbol=BTCUSDT",
            "",
        ),
        (
            SignIntent::Fills { symbol, since, older_than },
            "/api/v2/spot/trade/fills?idLessThan=1300000000000000001&limit=100&symbol=BTCUSDT",
            "",
        ),
        (SignIntent::Balances, "/api/v2/spot/account/assets", ""),
    ];
    for (intent, target, body) in cases {
        let draft = draft(intent, AT);
        assert_eq!((text(&draft.target), text(&draft.body)), (*target, *body), "{intent:?}");
    }
}

#[test]
fn query_keys_are_sorted_and_values_need_no_encoding() {
    for intent in every_intent() {
        let draft = draft(&intent, AT);
        let Some((_, query)) = text(&draft.target).split_once('?') else { continue };
        let keys: Vec<&str> = query.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
        assert!(keys.is_sorted(), "{query}");
        assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=&-_".contains(&byte)), "{query}");
    }
}

#[test]
fn text_that_would_need_escaping_is_refused() {
    let signing = codecs_of(Environment::Production, AccountMode::Classic).signing;
    let mut draft = Draft::default();
    for bad in ["", "BTC\"USDT", "A&B", "A=B", "Ü", "A B", "A\\B", "1\",\"size\":\"9"] {
        let refused = |intent: &SignIntent, draft: &mut Draft| {
            assert_eq!(signing.draft(intent, UnixNanos(1), draft), Err(SignRefusal::Malformed), "{bad:?}");
        };
        refused(&SignIntent::CancelAll { symbol: symbol(bad) }, &mut draft);
        let venue_order_id = Some(venue_id(bad));
        refused(&SignIntent::Cancel { symbol: symbol("BTCUSDT"), id: id(), venue_order_id }, &mut draft);
        refused(&SignIntent::OpenOrders { symbol: symbol("BTCUSDT"), older_than: venue_order_id }, &mut draft);
    }
}

#[test]
fn an_order_of_nothing_or_less_is_not_written() {
    let signing = codecs_of(Environment::Production, AccountMode::Classic).signing;
    let SignIntent::Place(order) = place() else { unreachable!() };
    for (price, qty) in [("0", "1"), ("1", "0"), ("-1", "1"), ("1", "-0.5")] {
        let order = SignIntent::Place(PlaceOrder { price: number(price), qty: number(qty), ..order });
        assert!(signing.draft(&order, UnixNanos(1), &mut Draft::default()).is_err(), "{price} {qty}");
    }
    let odd = Scaled { mantissa: 1, decimals: 19 };
    let order = SignIntent::Place(PlaceOrder { price: odd, ..order });
    assert!(signing.draft(&order, UnixNanos(1), &mut Draft::default()).is_err());
}

#[test]
fn headers_are_those_of_the_venue_and_demo_adds_its_own() {
    let credentials = Credentials { key: "bg_0123456789abcdef", passphrase: "Passw0rd1" };
    for environment in [Environment::Production, Environment::Demo] {
        let signing = codecs_of(environment, AccountMode::Classic).signing;
        let mut draft = Draft::default();
        signing.draft(&place(), UnixNanos::from_millis(AT), &mut draft).unwrap();
        let mut headers = Headers::default();
        signing.standing_headers(draft.method, credentials, &mut headers).unwrap();
        signing.finish(&mut draft, "c2lnbg==", credentials, &mut headers).unwrap();
        let mut expected = vec![
            ("ACCESS-KEY", "bg_0123456789abcdef"),
            ("ACCESS-PASSPHRASE", "Passw0rd1"),
            ("Content-Type", "application/json"),
            ("locale", "en-US"),
        ];
        if environment == Environment::Demo {
            expected.push(("paptrading", "1"));
        }
        expected.extend([("ACCESS-SIGN", "c2lnbg=="), ("ACCESS-TIMESTAMP", "1700000000000")]);
        let found: Vec<(&str, &str)> = headers.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_question_has_no_content_type_and_a_frame_no_headers() {
    let credentials = Credentials { key: "bg_0123456789abcdef", passphrase: "Passw0rd1" };
    let signing = codecs_of(Environment::Production, AccountMode::Classic).signing;
    let mut headers = Headers::default();
    signing.standing_headers(Method::Get, credentials, &mut headers).unwrap();
    assert!(headers.0.iter().all(|(name, _)| name != "Content-Type") && headers.0.len() == 3);
    let mut headers = Headers::default();
    signing.standing_headers(Method::Frame, credentials, &mut headers).unwrap();
    assert!(headers.0.is_empty());
}

#[test]
fn the_log_in_frame_is_json_whatever_the_passphrase() {
    let signing = codecs_of(Environment::Production, AccountMode::Classic).signing;
    for passphrase in ["Passw0rd1", "a\"b\\c", "line\nbreak\u{1}", "päß"] {
        let mut draft = draft(&SignIntent::StreamLogin, AT);
        let mut headers = Headers::default();
        let credentials = Credentials { key: "bg_0123456789abcdef", passphrase };
        signing.finish(&mut draft, "0MHJ+/=", credentials, &mut headers).unwrap();
        assert!(headers.0.is_empty());
        let frame: serde_json::Value = serde_json::from_slice(&draft.body).unwrap();
        assert_eq!(
            frame,
            serde_json::json!({"op":"login","args":[{"apiKey":"bg_0123456789abcdef","passphrase":passphrase,"timestamp":"1700000000","sign":"0MHJ+/="}]})
        );
    }
}

#[test]
fn a_passphrase_that_does_not_fit_is_refused() {
    let signing = codecs_of(Environment::Production, AccountMode::Classic).signing;
    let mut draft = draft(&SignIntent::StreamLogin, AT);
    let passphrase = "x".repeat(venue_api::BODY_MAX);
    let credentials = Credentials { key: "bg", passphrase: &passphrase };
    assert!(signing.finish(&mut draft, "s", credentials, &mut Headers::default()).is_err());
}
