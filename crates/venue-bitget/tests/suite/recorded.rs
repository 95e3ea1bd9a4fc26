//! A recorded session of the venue, where a copy of it lies beside the workspace.

use domain::{Book, BookMessage, Level, MonoNanos};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;
use venue_api::{FeedFrame, VenueCodecs, WireLevel};
use venue_bitget::{AccountMode, Environment};

fn codecs() -> VenueCodecs {
    venue_bitget::codecs_of(Environment::Production, AccountMode::Classic)
}

/// A stored file, or nothing where there is none.
pub(crate) fn recording(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut text).unwrap();
    Some(text)
}

/// The JSON lines of a file.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = serde_json::Value> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap())
}

fn levels(wire: &[WireLevel]) -> Vec<Level> {
    wire.iter().map(|level| Level::from_scaled(level.price, level.qty, 12, 6).unwrap()).collect()
}

/// Version 1 names its spot channels `sp`; the shape of its books and their checksum are those of version 2.
#[test]
fn every_checksum_of_a_recorded_session_is_reproduced() {
    let Some(bytes) = recording("ws_captures/cryptofeed/bitget.jsonl.gz") else { return };
    let codecs = codecs();
    let mut books: BTreeMap<String, Book> = BTreeMap::new();
    let mut frame = FeedFrame::default();
    let mut checked = 0;
    for line in lines(&bytes).filter(|line| line["kind"] == "server_sent") {
        let text = line["data"].as_str().unwrap();
        if !text.contains("\"channel\":\"books\"") || !text.contains("\"action\"") {
            continue;
        }
        let text = text
            .replace("\"instType\":\"sp\"", "\"instType\":\"SPOT\"")
            .replace("\"instType\":\"mc\"", "\"instType\":\"SPOT\"");
        codecs.feed.decode(text.as_bytes(), &mut frame).unwrap();
        let key = format!("{}{}", line["src"], frame.subscription.unwrap().symbol);
        let book = books.entry(key).or_insert_with(|| Book::new(12, 6, Duration::from_secs(1)));
        let (bids, asks) = (levels(&frame.book.bids), levels(&frame.book.asks));
        let message = BookMessage {
            bids: &bids,
            asks: &asks,
            seq: frame.book.seq.unwrap_or(0),
            prev_seq: frame.book.prev_seq,
            checksum: frame.book.checksum,
        };
        let applied = if frame.book.snapshot {
            book.apply_snapshot(&message, MonoNanos(1))
        } else {
            book.apply_update(&message, MonoNanos(1))
        };
        applied.unwrap_or_else(|fault| panic!("{fault}: {text}"));
        checked += usize::from(frame.book.checksum.is_some());
    }
    assert_eq!((books.len(), checked), (10, 637));
}
