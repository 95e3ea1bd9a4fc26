//! One fault after another against a bot that trades: when it is known, when all is whole again.

use super::lab::{Exchange, until};
use super::truth::{Books, Mode};
use super::{home, http, options};
use clock::SystemClock;
use domain::{Clock as _, MonoNanos};
use serde_json::{Value, json};

/// A fault as it is asked for, and what of the bot shows that it has noticed.
struct Step {
    name: &'static str,
    site: &'static str,
    /// Further parameters.
    with: fn() -> Value,
    /// Metrics of which one must have grown; empty: it must change nothing that anybody could see.
    noticed: &'static [&'static str],
    /// A fault that is asked for behind it, so that it has something to meet.
    then: Option<&'static str>,
}

const fn step(name: &'static str, site: &'static str, noticed: &'static [&'static str]) -> Step {
    Step { name, site, with: || json!({}), noticed, then: None }
}

const RECONNECTS: &str = "steadfast_feed_reconnects_total";
const GAPS: &str = "steadfast_feed_gaps_total";
const UNREADABLE: &str = "steadfast_feed_decode_errors_total";

/// It says itself that it is not ready: its market data is old.
const STALE: &[&str] = &["not ready"];

/// Every fault that a bot can live through without a person.
fn steps() -> Vec<Step> {
    let broken: &[&str] = &[RECONNECTS, GAPS, UNREADABLE];
    vec![
        step("drop", "public", &[RECONNECTS]),
        step("drop", "private", &[RECONNECTS]),
        Step { with: || json!({"duration_s": 8.0}), ..step("stall", "public", STALE) },
        step("gap", "public", broken),
        // Sequences and trade ids tell: nothing is counted twice.
        step("duplicate", "public", &[]),
        step("duplicate", "private", &[]),
        step("duplicate-push", "private", &[]),
        step("reorder", "public", &[]),
        // A push that is lost or late: the truth is asked for, and no older word undoes a newer one.
        step("gap", "private", &[]),
        step("reorder", "private", &[]),
        step("bad-checksum", "public", &[GAPS]),
        step("garbage", "public", &[UNREADABLE, RECONNECTS, GAPS]),
        step("garbage", "private", &[UNREADABLE, RECONNECTS]),
        Step { with: || json!({"bytes": 5_000_000}), ..step("huge-frame", "public", &[RECONNECTS]) },
        step("split-frame", "public", &[]),
        step("5xx-after-accept", "rest", &[]),
        step("ack-lost", "rest", &[]),
        Step { with: || json!({"delay_ms": 800}), ..step("ack-late", "rest", &[]) },
        step("fill-before-ack", "rest", &[]),
        step("cancel-fill-race", "rest", &[]),
        Step { with: || json!({"delay_ms": 300}), ..step("rejected-later", "rest", &[]) },
        Step { with: || json!({"duration_s": 2.0}), ..step("maintenance", "rest", &[]) },
        Step { with: || json!({"duration_s": 8.0}), ..step("half-open", "public", STALE) },
        Step { with: || json!({"duration_s": 8.0}), ..step("half-open", "private", &[RECONNECTS]) },
        Step {
            with: || json!({"delay_ms": 3_000}),
            then: Some("drop"),
            ..step("slow-handshake", "handshake", &[RECONNECTS])
        },
        Step { then: Some("drop"), ..step("handshake-403", "handshake", &[RECONNECTS]) },
        Step { then: Some("drop"), ..step("handshake-429", "handshake", &[RECONNECTS]) },
        Step { then: Some("drop"), ..step("handshake-5xx", "handshake", &[RECONNECTS]) },
        Step { with: || json!({"jump_ms": 3_000}), ..step("clock-jump", "rest", &[]) },
        Step { with: || json!({"jump_ms": -3_000}), ..step("clock-jump", "rest", &[]) },
    ]
}

/// The sum of a metric over all its labels.
fn metric((address, token): &(String, String), names: &[&str]) -> f64 {
    if names == STALE {
        return if http::bearer(address, token, "/-/ready").0 == 200 { 0.0 } else { 1.0 };
    }
    let (status, page) = http::bearer(address, token, "/metrics");
    assert_eq!(status, 200, "{page}");
    let of = |line: &&str| line.split(['{', ' ']).next().is_some_and(|name| names.contains(&name));
    page.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// One request to the exchange's control endpoint for faults; status and body.
fn control(exchange: &Exchange, method: &str, body: &str) -> (u16, String) {
    let address = exchange.rest.strip_prefix("http://").unwrap();
    let headers = [("authorization", format!("Bearer {}", exchange.word("control_token")))];
    http::send(address, method, "/control/faults", &headers, body)
}

fn fired(exchange: &Exchange, name: &str) -> u64 {
    let (_, body) = control(exchange, "GET", "");
    let status: Value = serde_json::from_str(&body).unwrap();
    let counted = status["fired"].as_array().cloned().unwrap_or_default();
    let tally = |row: &Value| if row["name"] == name { row["times"].as_u64() } else { None };
    counted.iter().filter_map(tally).sum()
}

fn since(begun: MonoNanos) -> u128 {
    SystemClock.mono().since(begun).as_millis()
}

/// How much of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Without what only waits: of the refused handshakes one, and no connection that is open and dead.
    Short,
    /// Everything.
    Whole,
}

/// Walks through all faults and prints, for each, how long until it was known and until new orders were placed again.
pub(crate) fn through(mode: Mode, seed: u64, length: Length) {
    let waits = ["half-open", "handshake-403", "handshake-429"];
    let steps = steps().into_iter().filter(|step| length == Length::Whole || !waits.contains(&step.name));
    let exchange = Exchange::start(seed, &options(mode));
    let home = home(&exchange, mode);
    let mut daemon = home.run(None);
    daemon.ready();
    let interface = daemon.control();
    until("the first orders", || (Books::read(&home).placed() >= 8).then_some(()));
    for Step { name, site, with, noticed, then } in steps {
        let (before, acted) = (metric(&interface, noticed), fired(&exchange, name));
        let mut fault = with();
        fault["name"] = json!(name);
        fault["where"] = json!(site);
        let begun = SystemClock.mono();
        let (status, body) = control(&exchange, "POST", &json!({"fault": [fault]}).to_string());
        assert_eq!(status, 200, "{name}: {body}");
        if let Some(then) = then {
            let then = json!({"fault": [{"name": then, "where": "public"}]});
            let (status, body) = control(&exchange, "POST", &then.to_string());
            assert_eq!(status, 200, "{name}: {body}");
        }
        until(&format!("{name} ({site}) to act"), || (fired(&exchange, name) > acted).then_some(()));
        let met = since(begun);
        let mut known = None;
        if !noticed.is_empty() {
            until(&format!("{name} ({site}) to be noticed"), || (metric(&interface, noticed) > before).then_some(()));
            known = Some(since(begun).saturating_sub(met));
        }
        // Whole again: nothing holds trading up, and orders are placed after that.
        daemon.ready();
        let placed = Books::read(&home).placed();
        until(&format!("orders after {name} ({site})"), || (Books::read(&home).placed() > placed).then_some(()));
        let whole = since(begun).saturating_sub(met);
        let known = known.map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms"));
        println!("{mode:?} {name:<18} {site:<8} known {known:>8}  whole {whole:>6} ms");
    }
    let (status, _) = daemon.stop();
    assert!(status.success());
    let truth = mode.truth(&exchange);
    assert!(truth.resting.is_empty(), "cancelled at the end: {:?}", truth.resting);
    Books::read(&home).agree(&truth);
}

/// A key that the exchange freezes loses its trust: nothing more is placed, and what rests is known.
pub(crate) fn frozen(mode: Mode, seed: u64) {
    let exchange = Exchange::start(seed, &options(mode));
    let home = home(&exchange, mode);
    let mut daemon = home.run(None);
    daemon.ready();
    until("the first orders", || (Books::read(&home).placed() >= 8).then_some(()));
    let fault = json!({"fault": [{"name": "key-frozen"}]});
    let (status, body) = control(&exchange, "POST", &fault.to_string());
    assert_eq!(status, 200, "{body}");
    let begun = SystemClock.mono();
    until("the key to lose its trust, or trading to halt", || {
        let status = daemon.api("/api/v1/status");
        let keys = status["keys"].as_array()?.iter();
        let quarantined = keys.filter_map(|key| key["status"].as_str()).any(|word| word == "Quarantined");
        (quarantined || status["trading"] == "halted").then_some(())
    });
    println!("{mode:?}: nothing trades with a frozen key after {} ms", since(begun));
    let placed = Books::read(&home).placed();
    let refused = || Books::read(&home).refused;
    let before = refused();
    until("strategies to ask in vain", || (refused() > before).then_some(()));
    assert_eq!(Books::read(&home).placed(), placed, "an order was placed with a key that has no trust");
    drop(daemon);
}
