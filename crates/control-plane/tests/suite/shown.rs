//! What the routes answer.

use crate::common::{HOSTILE, recorder, server};
use control_plane::{ActVerb, EquityPoint, OrderView, Page, Status};
use messages::NotReadyReason;

#[test]
fn readiness_names_each_reason_and_turns_when_they_are_gone() {
    let server = server();
    *server.fake.reasons.lock().unwrap() = vec![NotReadyReason::VaultLocked, NotReadyReason::FeedStale];
    let answer = server.send("GET", "/-/ready", &[], "");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["ready"], false);
    assert_eq!(answer.json()["reasons"][0]["reason"], "vault_locked");
    assert_eq!(answer.json()["reasons"][1]["explain"], NotReadyReason::FeedStale.explain());
    assert_eq!(server.send("GET", "/-/healthy", &[], "").status, 200, "alive although not ready");
    server.fake.reasons.lock().unwrap().clear();
    assert_eq!(server.send("GET", "/-/ready", &[], "").status, 200);
}

#[test]
fn views_come_back_as_they_went_in_with_amounts_as_text() {
    let server = server();
    let answer = server.get("/api/v1/status");
    assert_eq!(answer.json()["equity"], "100000.10");
    assert_eq!(answer.json()["trading"], "active");
    let status: Status = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status, control_plane::Backend::status(&*server.fake));
    let positions = server.get("/api/v1/positions").json();
    assert_eq!((positions[0]["entry"].as_str(), positions[0]["mark"].is_null()), (Some("64000"), true));
    assert_eq!(server.get("/api/v1/book").json()[0]["bids"][0]["price"], "64000.1");
    assert_eq!(server.get("/api/v1/balances").json(), serde_json::json!([]));
    let curve: Vec<EquityPoint> = serde_json::from_str(&server.get("/api/v1/equity").body).unwrap();
    assert!(curve.len() <= 1_000 && curve.last().unwrap().time_ms == 4_999);
}

#[test]
fn lists_are_paged_within_bounds() {
    let server = server();
    let page: Page<OrderView> = serde_json::from_str(&server.get("/api/v1/orders").body).unwrap();
    assert_eq!(page.next, Some(7));
    server.get("/api/v1/orders?cursor=7&limit=500");
    assert_eq!(*server.fake.asked.lock().unwrap(), [(None, 100), (Some(7), 500)]);
    for query in ["limit=0", "limit=501", "limit=-1", "cursor=x", "page=2", "limit=1&limit=2"] {
        assert_eq!(server.get(&format!("/api/v1/orders?{query}")).code(), "bad_query", "{query}");
    }
}

#[test]
fn act_reaches_the_backend_with_its_reason_and_says_what_was_done() {
    let server = server();
    let answer = server.post("/api/v1/halt", "{\"reason\":\" going to bed \"}");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["trading"], "halted");
    assert_eq!(answer.json()["done"][0], "cancelled 1 resting order");
    let acts = server.acts();
    assert_eq!((acts[0].verb, acts[0].reason.as_str()), (ActVerb::Halt, "going to bed"));
    assert!(acts[0].origin.starts_with("127.0.0.1:"), "{}", acts[0].origin);
}

#[test]
fn refused_act_is_a_problem_with_a_stable_code() {
    let server = server();
    let answer = server.post("/api/v1/unhalt", "{\"reason\":\"looked at it\"}");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.code(), "not_halted");
    assert_eq!(answer.json()["type"], "urn:steadfast:problem:not_halted");
    assert_eq!(answer.json()["detail"], "nothing is to be lifted");
    assert!(answer.has_header("content-type: application/problem+json"));
}

#[test]
fn every_answer_carries_the_protective_headers() {
    let server = server();
    for answer in [
        server.send("GET", "/", &[], ""),
        server.get("/api/v1/status"),
        server.get("/nothing"),
        server.send("GET", "/api/v1/status", &[], ""),
    ] {
        for line in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "x-frame-options: deny",
            "cache-control: no-store",
        ] {
            assert!(answer.has_header(line), "{line} is missing in {}", answer.head);
        }
        assert!(!answer.head.contains("unsafe-inline"));
    }
}

#[test]
fn hostile_text_travels_as_json_and_never_as_markup() {
    let server = server();
    let answer = server.get("/api/v1/orders");
    assert!(answer.has_header("content-type: application/json"));
    assert_eq!(answer.json()["items"][0]["note"], HOSTILE);
    let page = server.send("GET", "/", &[], "");
    assert!(page.has_header("content-type: text/html; charset=utf-8"));
    assert!(!page.body.contains("onerror"), "the page holds no data at all");
}

/// Reads the text format: each sample line has a name, perhaps labels, and a number; each name has a TYPE and a HELP.
fn parse(text: &str) -> Vec<(String, f64)> {
    let mut typed = std::collections::BTreeMap::new();
    let mut helped = std::collections::BTreeSet::new();
    let mut samples = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is typed twice");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            helped.insert(rest.split_once(' ').unwrap().0.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|tail| name.strip_suffix(tail))
                .find(|family| typed.get(*family).is_some_and(|kind| kind == "histogram"))
                .unwrap_or(name);
            assert!(typed.contains_key(family), "{line} has no TYPE");
            assert!(helped.contains(family), "{line} has no HELP");
            assert_eq!(series.matches('{').count(), series.matches('}').count(), "{line}");
            samples.push((series.to_owned(), value.parse().unwrap()));
        }
    }
    samples
}

#[test]
fn scrape_parses_and_counts_requests_and_failures_itself() {
    recorder();
    let server = server();
    server.get("/api/v1/balances");
    server.send("GET", "/api/v1/balances", &[], "");
    let answer = server.send("GET", "/metrics", &[], "");
    assert_eq!(answer.status, 200);
    assert!(answer.has_header("content-type: text/plain; version=0.0.4"));
    let samples = parse(&answer.body);
    let value = |wanted: &str| samples.iter().find(|(series, _)| series == wanted).map(|(_, value)| *value);
    let balances = "steadfast_http_requests_total{method=\"GET\",route=\"/api/v1/balances\",code=\"200\"}";
    assert!(value(balances).is_some_and(|count| count >= 1.0), "{}", answer.body);
    assert!(value("steadfast_auth_failures_total{kind=\"token_missing\"}").is_some_and(|count| count >= 1.0));
    assert!(value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
    assert!(samples.iter().any(|(series, _)| series.starts_with("steadfast_http_request_duration_seconds_bucket{")));
    assert!(value("steadfast_ready").is_some(), "unlabelled metrics exist from the start");
}
