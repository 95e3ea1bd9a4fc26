//! Tapes and recordings of other programs.

use std::io::{Cursor, Write as _};
use tape::check::{Check, Survey};
use tape::import::{RecordedVenue, cryptofeed, hftbacktest};
use tape::{TapeEvent, TapeReader, TapeWriter};

/// Raw bytes of events, in a tape whose checksums agree: what lies behind the checksums is reached.
pub(crate) fn tape_events(data: &[u8]) {
    let Some((count, raw)) = data.split_first() else { return };
    let tape = tape_of(raw, u32::from(*count));
    read_again(&tape);
}

/// A whole file, its checksums as they come.
pub(crate) fn tape_file(data: &[u8]) {
    read_again(data);
}

fn part(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat()
}

fn tape_of(raw: &[u8], count: u32) -> Vec<u8> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(raw).unwrap();
    let packed = deflate.finish().unwrap();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let header = [b"sf-tape\n".as_slice(), &2_u32.to_le_bytes(), &0_u32.to_le_bytes()].concat();
    let segment = [b"SEGM".as_slice(), &count.to_le_bytes(), &length(raw), &length(&packed), &packed].concat();
    let end = [b"END.".as_slice(), &u64::from(count).to_le_bytes()].concat();
    [part(&header), part(&segment), part(&end)].concat()
}

/// What is read from a tape can be written, and is read again as it was.
fn read_again(bytes: &[u8]) {
    let Ok(reader) = TapeReader::new(bytes) else { return };
    let events: Vec<TapeEvent> = reader.map_while(Result::ok).collect();
    assert!(events.len() <= bytes.len().saturating_mul(2_000), "not more than deflate can hold");
    round_trip(&events);
    check(&events);
}

fn round_trip(events: &[TapeEvent]) {
    let mut writer = TapeWriter::new(Vec::new(), "fuzz").unwrap();
    for event in events {
        writer.write(event).unwrap();
    }
    let (bytes, stats) = writer.finish().unwrap();
    assert_eq!(stats.events, u64::try_from(events.len()).unwrap());
    let again: Vec<TapeEvent> = TapeReader::new(bytes.as_slice()).unwrap().map(Result::unwrap).collect();
    assert_eq!(again, events, "a tape gives back what was written");
}

/// A check of anything ends, and never confirms more than was offered.
fn check(events: &[TapeEvent]) {
    let mut survey = Survey::default();
    if events.iter().any(|event| survey.look(event).is_err()) {
        return;
    }
    let mut check = Check::new(survey);
    for event in events {
        if check.take(event).is_err() {
            return;
        }
    }
    assert!(check.report().confirmed() <= check.report().checksums());
}

/// Recordings of all forms: the times of events never fall, and a tape holds them.
pub(crate) fn captures(data: &[u8]) {
    for venue in RecordedVenue::ALL {
        let import = cryptofeed(Cursor::new(data.to_vec()), venue, None, |_| {})
            .map(|import| import.map_while(Result::ok).collect());
        kept(import.unwrap_or_default());
    }
    let import =
        hftbacktest(Cursor::new(data.to_vec()), None, |_| {}).map(|import| import.map_while(Result::ok).collect());
    kept(import.unwrap_or_default());
}

fn kept(events: Vec<TapeEvent>) {
    assert!(events.is_sorted_by_key(|event| event.received), "times never fall");
    round_trip(&events);
    check(&events);
}

pub(crate) fn tape_seeds() -> Vec<Vec<u8>> {
    vec![
        // Two events: a snapshot with a bid, an update with an ask.
        vec![2, 1, 10, 0, 1, b'A', 7, 1, 30, 1, 4, 0, 0, 2, 2, 0, 9, 2, 0, 1, 32, 1, 0, 0],
        // A trade, a ticker, an update with a checksum, a break.
        vec![1, 3, 10, 0, 1, b'A', 30, 1, 4, 0, 1, 1, b'7'],
        vec![1, 4, 10, 0, 1, b'A', 7, 30, 1, 4, 0, 32, 1, 4, 0],
        vec![2, 6, 10, 0, 1, b'A', 1, 9, 9, 9, 9, 7, 0, 0, 0, 7, 2, 0],
    ]
}

pub(crate) fn file_seeds() -> Vec<Vec<u8>> {
    tape_seeds()
        .iter()
        .filter_map(|seed| seed.split_first().map(|(count, raw)| tape_of(raw, u32::from(*count))))
        .collect()
}

pub(crate) fn capture_seeds() -> Vec<Vec<u8>> {
    let line =
        |data: &str| serde_json::json!({ "src": "s", "kind": "server_sent", "ts": 1.5, "data": data }).to_string();
    let bitget = line(
        r#"{"action":"snapshot","arg":{"instType":"sp","channel":"books","instId":"AUSDT"},"data":[{"asks":[["11.0","1"]],"bids":[["10.0","1"]],"checksum":5,"ts":"1"}]}"#,
    );
    let trades = line(
        r#"{"action":"update","arg":{"instType":"mc","channel":"trade","instId":"AUSDT"},"data":[["1","2","3","buy"]]}"#,
    );
    let okx = line(
        r#"{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[{"asks":[["2","3","0","1"]],"bids":[],"ts":"1","checksum":7,"seqId":5,"prevSeqId":4}]}"#,
    );
    let kraken = line(r#"[7,{"a":[["2.0","3.0","1.0"]]},{"b":[["1.0","3.0","1.0"]],"c":"77"},"book-10","A/B"]"#);
    let binance = r#"1723161253000000001 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"b":[["1","2"]],"a":[]}}"#;
    let snapshot = r#"1723161253000000002 {"lastUpdateId":2,"bids":[["10.00","1.0"]],"asks":[["11.00","2.0"]]}"#;
    vec![
        bitget.into_bytes(),
        trades.into_bytes(),
        okx.into_bytes(),
        kraken.into_bytes(),
        format!("{binance}\n{snapshot}\n").into_bytes(),
    ]
}
