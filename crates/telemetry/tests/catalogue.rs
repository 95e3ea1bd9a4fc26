//! The catalogue against a real recorder, and against the rules of `promtool check metrics`.

use std::collections::BTreeSet;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use telemetry::{Actor, COUNTERS, GAUGES, HISTOGRAMS, Hop, Kind, METRICS};

#[test]
fn names_are_distinct_and_follow_the_rules_of_promtool() {
    let mut seen = BTreeSet::new();
    for metric in METRICS {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is declared twice");
        assert!(name.starts_with("steadfast_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{name}");
        assert!(!metric.help.is_empty() && !metric.help.contains('\n'), "{name} has one line of help");
        assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}: exactly counters end in _total");
        for suffix in ["_bucket", "_count", "_sum"] {
            assert!(!name.ends_with(suffix), "{name}");
        }
        let words: Vec<&str> = name.split('_').collect();
        for word in
            ["ms", "us", "ns", "milliseconds", "microseconds", "minutes", "hours", "days", "percent", "kb", "mb"]
        {
            assert!(!words.contains(&word), "{name} is not in base units");
        }
        for word in ["s", "sec", "b", "m", "h", "d"] {
            assert!(!words.contains(&word), "{name} abbreviates a unit");
        }
        for word in ["counter", "gauge", "histogram", "summary"] {
            assert!(!words.contains(&word), "{name} names its own type");
        }
        assert!(!metric.labels.contains(&"le") && !metric.labels.contains(&"quantile"), "{name}");
    }
    assert_eq!(METRICS.len(), COUNTERS.len() + GAUGES.len() + HISTOGRAMS.len());
}

#[test]
fn labels_come_from_the_permitted_list() {
    let permitted = BTreeSet::from([
        "venue",
        "account",
        "instrument",
        "strategy",
        "side",
        "actor",
        "reason",
        "kind",
        "state",
        "endpoint",
        "hop",
        "quote",
        "type",
        "result",
        "channel",
        "code",
        "liquidity",
        "permission",
        "status",
        "rule",
        "limit",
        "mode",
        "method",
        "route",
        "version",
        "revision",
        "rustc",
        "features",
        "level",
        "landlock",
        "seccomp",
        "memory",
    ]);
    for metric in METRICS {
        for label in metric.labels {
            assert!(permitted.contains(label), "{}: label {label}", metric.name);
        }
    }
}

#[test]
fn a_handle_counts_under_its_declared_name_and_labels() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        telemetry::describe_all();
        telemetry::orders_submitted_total("bitget-main", "bitget-main", &String::from("btc-grid"), "buy", "limit")
            .increment(3);
        telemetry::actor_up(Actor::MarketFeed).set(1.0);
        telemetry::order_hop_duration_seconds(Hop::RiskSign).record(0.000_2);
    });
    let mut found = 0;
    for (key, unit, help, value) in snapshotter.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        let labels: Vec<(&str, &str)> = key.key().labels().map(|label| (label.key(), label.value())).collect();
        let declared = telemetry::metric(&name).unwrap_or_else(|| panic!("{name} is not declared"));
        assert_eq!(help.as_ref().map(|text| text.as_ref()), Some(declared.help), "{name}");
        assert_eq!(unit, declared.unit(), "{name}");
        assert_eq!(labels.iter().map(|(key, _)| *key).collect::<Vec<_>>(), declared.labels, "{name}");
        match name.as_str() {
            "steadfast_orders_submitted_total" => {
                let expected = [
                    ("venue", "bitget-main"),
                    ("account", "bitget-main"),
                    ("strategy", "btc-grid"),
                    ("side", "buy"),
                    ("type", "limit"),
                ];
                assert_eq!(labels, expected);
                assert_eq!(value, DebugValue::Counter(3));
                found += 1;
            }
            "steadfast_actor_up" => {
                assert_eq!(labels, [("actor", "market-feed")]);
                assert_eq!(value, DebugValue::Gauge(1.0.into()));
                found += 1;
            }
            "steadfast_order_hop_duration_seconds" => {
                assert_eq!(labels, [("hop", "risk_sign")]);
                found += 1;
            }
            other => panic!("{other} appeared by itself"),
        }
    }
    assert_eq!(found, 3);
}

#[test]
fn metrics_without_labels_are_there_from_the_start() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, telemetry::start_at_zero);
    let present: BTreeSet<String> =
        snapshotter.snapshot().into_vec().into_iter().map(|(key, ..)| key.key().name().to_owned()).collect();
    let expected: BTreeSet<String> =
        METRICS.iter().filter(|metric| metric.labels.is_empty()).map(|metric| metric.name.to_owned()).collect();
    assert_eq!(present, expected);
}

#[test]
fn same_handle_asked_twice_is_one_series() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        telemetry::feed_gaps_total("bitget-main", "books").increment(1);
        telemetry::feed_gaps_total(&String::from("bitget-main"), "books").increment(1);
    });
    let series = snapshotter.snapshot().into_vec();
    assert_eq!(series.len(), 1);
    let (.., value) = series.into_iter().next().expect("one series");
    assert_eq!(value, DebugValue::Counter(2));
}

#[test]
fn unit_follows_from_the_name() {
    let unit = |name| telemetry::metric(name).expect("declared").unit();
    assert_eq!(unit("steadfast_feed_bytes_total"), Some(metrics::Unit::Bytes));
    assert_eq!(unit("steadfast_signer_duration_seconds"), Some(metrics::Unit::Seconds));
    assert_eq!(unit("steadfast_ready"), None);
    assert!(telemetry::metric("steadfast_invented").is_none());
}
