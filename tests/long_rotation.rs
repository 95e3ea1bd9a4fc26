//! A hundred changes of keys under load, and one at full length: no order missed, none doubled, none signed by a
//! replaced key.
//!
//! `cargo xtask long rotation`. `STEADFAST_ROTATIONS` sets another count.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a failed assumption fails the test"
)]

#[path = "rotation/lab.rs"]
mod lab;

use key_manager::RotationNews;
use lab::{Key, Lab, percentile};
use messages::KeyState;
use std::time::Duration;

/// Changes on one seed; the exchange remembers the orders of so many.
const PER_SEED: usize = 20;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn measure(name: &str, value: f64, unit: &str) {
    println!("measure: {{\"name\": \"{name}\", \"value\": {value}, \"unit\": \"{unit}\"}}");
}

fn changes(seed: u64, count: usize, drain: Duration) -> Lab {
    let keys: Vec<Key> = (0..=count).map(|_| Key::good()).collect();
    let mut lab = Lab::start(seed, &keys, drain, 20_000);
    lab.trade(200);
    for next in 1..=count {
        let end = lab.rotate(next);
        assert!(matches!(end, RotationNews::Done { .. }), "seed {seed}: {end:?}");
        lab.trade(20);
    }
    lab.settle();
    lab.check_exchange();
    lab.outcome.check_signatures();
    assert_eq!((lab.outcome.cut_overs.len(), lab.state(count)), (count, KeyState::Active));
    lab
}

#[test]
#[ignore = "some minutes; run by cargo xtask long rotation"]
fn a_hundred_changes_of_keys_miss_no_order_and_double_none() {
    let (seed, count) = (number("STEADFAST_LONG_SEED", 1), number("STEADFAST_ROTATIONS", 100) as usize);
    let (mut quiet, mut changing) = (Vec::new(), Vec::new());
    let (mut orders, mut lost) = (0, 0);
    for (round, done) in (0..count).step_by(PER_SEED).enumerate() {
        let lab = changes(seed + round as u64, PER_SEED.min(count - done), Duration::from_millis(300));
        quiet.extend_from_slice(&lab.outcome.quiet);
        changing.extend_from_slice(&lab.outcome.changing);
        orders += lab.outcome.intents;
        lost += lab.outcome.asked;
    }
    measure("changes of keys", count as f64, "");
    measure("orders", orders as f64, "");
    measure("answers lost", lost as f64, "");
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        measure(&format!("signature {name}, quiet"), percentile(&quiet, part), "ms");
        measure(&format!("signature {name}, while keys change"), percentile(&changing, part), "ms");
    }
    measure("added p99", percentile(&changing, 0.99) - percentile(&quiet, 0.99), "ms");
}

#[test]
#[ignore = "a minute; run by cargo xtask long rotation"]
fn one_change_at_full_length_misses_no_order_and_doubles_none() {
    // The receive window of the exchange and five seconds.
    let lab = changes(number("STEADFAST_LONG_SEED", 1), 1, Duration::from_secs(35));
    measure("orders at full length", lab.outcome.intents as f64, "");
}
