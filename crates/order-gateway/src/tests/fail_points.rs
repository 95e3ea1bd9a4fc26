//! Each fail point kills the process where it says: what is on record and what has left is then as its name claims.
//! Built with the feature `fail-points` only.

use super::support::{Action, FakeVenue, Rig, place, run, wire_log};
use crate::wire_log::read_all;
use std::path::PathBuf;
use std::process::Command;

const VENUE_URL: &str = "STEADFAST_TEST_VENUE";
const WIRE_DIR: &str = "STEADFAST_TEST_WIRE";

/// The process that is killed; does nothing unless started by the test below.
#[test]
fn child_sends_two_orders() {
    let (Ok(url), Ok(dir)) = (std::env::var(VENUE_URL), std::env::var(WIRE_DIR)) else { return };
    run(async move {
        let mut rig = Rig::start(&url, wire_log(&PathBuf::from(dir)), |_| {});
        for sequence in 1..=2 {
            rig.push(place(rig.clock.as_ref(), sequence));
            rig.report().await;
            rig.report().await;
        }
    });
}

#[test]
fn process_dies_exactly_where_the_point_says() {
    // Point, records and requests that are left behind when the second order passes it.
    let cases = [
        ("before-wire-record@2", 1, 1),
        ("after-wire-record@2", 2, 1),
        ("after-socket@2", 2, 2),
        ("after-answer@2", 2, 2),
        ("after-answer@3", 2, 2),
    ];
    for (point, records, requests) in cases {
        run(async move {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().to_owned();
            let venue = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
            let url = venue.base_url.clone();
            let wire = dir.clone();
            let child = tokio::task::spawn_blocking(move || {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "tests::fail_points::child_sends_two_orders", "--test-threads=1"])
                    .env(VENUE_URL, url)
                    .env(WIRE_DIR, wire)
                    .env("STEADFAST_FAIL_POINT", point)
                    .output()
                    .unwrap()
            });
            let output = child.await.unwrap();
            assert_eq!(output.status.success(), point.ends_with("@3"), "{point}: {output:?}");
            assert_eq!(read_all(&dir).unwrap().records.len(), records, "{point}");
            assert_eq!(venue.targets().len(), requests, "{point}");
        });
    }
}
