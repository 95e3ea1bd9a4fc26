//! `kill -9` at named points of the way from decision to journal, while the daemon trades on an exchange in a process
//! of its own: after the restart nothing is lost, nothing doubled, positions agree.
//!
//! Built with the feature `fail-points`. `cargo test --features fail-points --test long_kill9` kills once at each
//! point; `cargo xtask long kill9` four times.

#![cfg(feature = "fail-points")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

#[path = "system/books.rs"]
mod books;
#[path = "system/crash.rs"]
mod crash;
#[path = "system/http.rs"]
mod http;
#[path = "system/lab.rs"]
mod lab;
#[path = "system/spot.rs"]
mod spot;

use crash::{Seen, survive};
use lab::{Exchange, Home};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// The points, and how often each is passed in a few seconds of trading.
const POINTS: [(&str, std::ops::Range<u32>); 5] = [
    ("before-wire-record", 12..60),
    ("after-wire-record", 12..60),
    ("after-socket", 12..60),
    ("after-answer", 12..60),
    ("before-commit", 20..120),
];

fn seed() -> u64 {
    std::env::var("STEADFAST_LONG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(9)
}

/// Runs a daemon until it has died at this point.
fn die_at(point: &str, home: &Home) {
    let mut daemon = home.run(Some(point));
    let status = daemon.death();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert!(signal.is_some(), "{point}: it ended by itself ({status}): {}", daemon.said());
}

/// Kills `times` at each point, two scenarios at a time: they mostly wait.
fn kill_at_every_point(times: u64) {
    let seed = seed();
    let scenarios: Vec<(u64, String)> = (0..times)
        .flat_map(|round| POINTS.iter().map(move |(name, passes)| (round, name, passes)))
        .enumerate()
        .map(|(index, (round, name, passes))| {
            let seed = seed.wrapping_add(1_000 * round).wrapping_add(index as u64);
            let nth = SmallRng::seed_from_u64(seed).random_range(passes.clone());
            (seed, format!("{name}@{nth}"))
        })
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let run = || {
        let mut seen: Vec<(String, Seen)> = Vec::new();
        while let Some((seed, point)) = scenarios.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
            println!("seed {seed}: {point}");
            seen.push((point.clone(), survive(*seed, |_: &Exchange, home| die_at(point, home))));
        }
        seen
    };
    let seen: Vec<(String, Seen)> = std::thread::scope(|scope| {
        let workers = [scope.spawn(run), scope.spawn(run), scope.spawn(run)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(seen.len(), scenarios.len());
    for (point, seen) in &seen {
        println!("{point}: {seen:?}");
    }
    let seen: Vec<Seen> = seen.into_iter().map(|(_, seen)| seen).collect();
    crash::measure(&seen);
}

#[test]
fn one_kill_at_each_point_loses_nothing_and_doubles_nothing() {
    kill_at_every_point(1);
}

#[test]
#[ignore = "four kills at each point take minutes: cargo xtask long kill9"]
fn four_kills_at_each_point_lose_nothing_and_double_nothing() {
    kill_at_every_point(4);
}
