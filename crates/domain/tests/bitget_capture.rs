//! Rebuilds a recorded Bitget session of 2022 and compares every checksum.
//!
//! The recording uses the older API: channel `books` with `instType` `sp` and
//! `mc`, no sequence numbers. Its checksum is the one of today's `books`.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failed assumption fails the test, a skip is said")]

use domain::{Book, BookMessage, Level, MonoNanos, Scaled};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

/// Enough for every instrument in the recording.
const DECIMALS: u8 = 10;

fn levels(rows: &Value) -> Vec<Level> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let number = |index: usize| Scaled::parse(row.get(index).unwrap().as_str().unwrap().as_bytes()).unwrap();
            Level::from_scaled(number(0), number(1), DECIMALS, 6).unwrap()
        })
        .collect()
}

#[test]
fn every_checksum_of_a_recorded_session_agrees() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ws_captures/cryptofeed/bitget.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return;
    };
    let mut books: BTreeMap<String, Book> = BTreeMap::new();
    let (mut agreed, mut snapshots) = (0, 0);
    for (index, line) in BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines().enumerate() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if event["kind"] != "server_sent" {
            continue;
        }
        let Ok(frame) = serde_json::from_str::<Value>(event["data"].as_str().unwrap()) else { continue };
        if frame["arg"]["channel"] != "books" || frame["action"].is_null() {
            continue;
        }
        let data = &frame["data"][0];
        let (bids, asks) = (levels(&data["bids"]), levels(&data["asks"]));
        let checksum = Some(i32::try_from(data["checksum"].as_i64().unwrap()).unwrap());
        assert_ne!(checksum, Some(0), "every frame of the recording offers a checksum");
        let message = BookMessage { bids: &bids, asks: &asks, seq: 0, prev_seq: None, checksum };
        let book =
            books.entry(frame["arg"].to_string()).or_insert_with(|| Book::new(DECIMALS, 6, Duration::from_secs(60)));
        let now = MonoNanos(index as u64);
        let outcome = if frame["action"] == "snapshot" {
            snapshots += 1;
            book.apply_snapshot(&message, now)
        } else {
            book.apply_update(&message, now)
        };
        assert_eq!(outcome, Ok(()), "line {} of {}", index + 1, frame["arg"]);
        assert!(book.valid(now).is_ok());
        agreed += 1;
    }
    assert_eq!((books.len(), snapshots, agreed), (10, 10, 637));
}
