//! The shipped Prometheus rules fit the program: their metrics exist, and each alert has a page in the runbook.
#![expect(clippy::panic, reason = "a failed assumption fails the test; helpers are not recognised as tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

fn shipped(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in an expression that begin as ours do.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("steadfast_")).collect()
}

fn is_declared(name: &str) -> bool {
    let tails = ["_bucket", "_sum", "_count"];
    let family = tails.iter().find_map(|tail| name.strip_suffix(tail)).unwrap_or(name);
    telemetry::metric(name).is_some() || telemetry::metric(family).is_some()
}

/// The anchors that a page's headings make.
fn anchors(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| line.strip_prefix("## ")).map(|head| head.to_lowercase().replace(' ', "-")).collect()
}

fn values<'text>(rules: &'text str, key: &str) -> Vec<&'text str> {
    rules.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key)).map(str::trim).collect()
}

#[test]
fn every_metric_of_the_rules_is_declared() {
    let rules = shipped("deploy/alerts.yml");
    let names = metrics_in(&rules);
    assert!(names.len() > 20, "{names:?}");
    let unknown: Vec<_> = names.into_iter().filter(|name| !is_declared(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
    assert!(!is_declared("steadfast_no_such_thing_total"), "a planted name is found");
}

#[test]
fn every_alert_has_severity_summary_description_and_a_page_in_the_runbook() {
    let rules = shipped("deploy/alerts.yml");
    let alerts = values(&rules, "alert:");
    assert!(alerts.len() > 20);
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len(), "names are distinct");
    for key in ["severity:", "summary:", "description:", "runbook:", "expr:"] {
        assert_eq!(values(&rules, key).len(), alerts.len(), "{key}");
    }
    let pages = anchors(&shipped("docs/runbook.md"));
    let mut linked = BTreeSet::new();
    for link in values(&rules, "runbook:") {
        let anchor = link.strip_prefix("docs/runbook.md#").unwrap_or_else(|| panic!("{link}"));
        assert!(pages.contains(anchor), "{link} leads nowhere");
        linked.insert(anchor.to_owned());
    }
    assert_eq!(pages, linked, "a page without an alert is out of date");
}

#[test]
fn states_of_keys_in_the_rules_are_words_of_the_metric() {
    let rules = shipped("deploy/alerts.yml");
    let (_, rest) = rules.split_once("steadfast_key_status{status=~\"").unwrap();
    let (states, _) = rest.split_once('"').unwrap();
    for state in states.split('|') {
        assert!(messages::KeyState::ALL.iter().any(|known| known.label() == state), "{state} is never exported");
    }
}

#[test]
fn what_stops_trading_has_an_alert() {
    let rules = shipped("deploy/alerts.yml");
    for metric in
        ["kill_switch_active", "ready", "orders_unknown", "reconciliation_differences_total", "journal_chain_ok"]
    {
        assert!(metrics_in(&rules).contains(format!("steadfast_{metric}").as_str()), "{metric}");
    }
}
