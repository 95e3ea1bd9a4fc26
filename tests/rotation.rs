//! Keys are changed while orders go out: none is missed, none is doubled, and a key that does not work never signs.
//!
//! A few changes for every run of the tests; `cargo xtask long rotation` makes a hundred, and one at full length.

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
use sim_venue::Permission;
use std::time::Duration;

const DRAIN: Duration = Duration::from_millis(300);

#[test]
fn no_order_is_missed_doubled_or_signed_by_a_replaced_key_while_keys_change() {
    const CHANGES: usize = 6;
    let keys: Vec<Key> = (0..=CHANGES).map(|_| Key::good()).collect();
    let mut lab = Lab::start(11, &keys, DRAIN, 5_000);
    lab.trade(100);
    for next in 1..=CHANGES {
        let end = lab.rotate(next);
        assert!(matches!(end, RotationNews::Done { .. }), "{end:?}");
        lab.trade(40);
    }
    lab.settle();
    lab.check_exchange();
    lab.outcome.check_signatures();
    assert_eq!(lab.outcome.cut_overs.len(), CHANGES);
    assert!(lab.outcome.asked > 0, "answers were lost");
    for number in 0..CHANGES {
        assert_eq!(lab.state(number), KeyState::Revoked);
    }
    assert_eq!(lab.state(CHANGES), KeyState::Active);
    let (quiet, changing) = (&lab.outcome.quiet, &lab.outcome.changing);
    println!(
        "{} orders, {} answers lost; signature p99 {:.3} ms quiet, {:.3} ms while keys change, longest {:.3} ms",
        lab.outcome.intents,
        lab.outcome.asked,
        percentile(quiet, 0.99),
        percentile(changing, 0.99),
        percentile(changing, 1.0),
    );
}

/// Six ways in which a next key does not work.
fn broken() -> [(&'static str, Key); 6] {
    let with = |change: fn(&mut Key)| {
        let mut key = Key::good();
        change(&mut key);
        key
    };
    [
        ("it may withdraw", with(|key| key.venue.permissions.push(Permission::Withdraw))),
        ("another address", with(|key| key.venue.ips = vec!["192.0.2.7".parse().unwrap()])),
        ("ended at the exchange", with(|_| ())),
        ("another account", with(|key| key.venue.account = 1)),
        ("a wrong secret", with(|key| key.mistyped = true)),
        ("the exchange is down for it", with(|_| ())),
    ]
}

#[test]
fn next_key_that_is_broken_in_any_of_six_ways_never_signs_an_order_and_the_one_at_work_goes_on() {
    let (ways, mut keys): (Vec<&str>, Vec<Key>) = broken().into_iter().unzip();
    keys.insert(0, Key::good());
    let mut lab = Lab::start(12, &keys, DRAIN, 8_000);
    let ended = &keys[3].venue.material.key;
    assert!(lab.sim.control().set_key_state(ended, sim_venue::KeyState::Deleted));
    lab.trade(20);
    for (next, way) in (1..).zip(&ways) {
        lab.deaf_to_candidate = next == 6;
        let end = lab.rotate(next);
        let RotationNews::Refused { why } = end else { panic!("{way}: {end:?}") };
        println!("{way}: {why}");
        assert_eq!(lab.state(0), KeyState::Active, "{way}");
        let state = lab.state(next);
        assert!(matches!(state, KeyState::Linked | KeyState::Quarantined), "{way}: {}", state.as_str());
        lab.trade(20);
    }
    lab.settle();
    lab.check_exchange();
    lab.outcome.check_signatures();
    assert_eq!(lab.outcome.cut_overs, []);
}

#[test]
fn key_that_stops_working_within_the_drain_gives_way_to_the_former_one() {
    let keys = [Key::good(), Key::good()];
    let mut lab = Lab::start(13, &keys, Duration::from_secs(60), 3_000);
    lab.trade(20);
    lab.begin(1);
    lab.trade_until("the cut-over", |lab| !lab.outcome.cut_overs.is_empty());
    assert!(lab.sim.control().set_key_state(&keys[1].venue.material.key, sim_venue::KeyState::Deleted));
    let back = |news: &RotationNews| matches!(news, RotationNews::TakenBack { .. });
    lab.trade_until("the former key", |lab| lab.outcome.news.iter().any(back));
    lab.trade(40);
    lab.settle();
    assert!(lab.outcome.auth_rejects > 0, "that is how it was noticed");
    assert!(lab.outcome.again >= lab.outcome.auth_rejects, "no order is lost with the key that signed it");
    lab.check_books();
    assert_eq!((lab.state(0), lab.state(1)), (KeyState::Active, KeyState::Quarantined));
    assert_eq!(lab.outcome.signed.last().unwrap().key, 0);
}
