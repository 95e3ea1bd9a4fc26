//! Importing recordings: stitched by the venue's rule, refused by line.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failed assumption fails the test, a skip is said")]

use domain::{Book, BookFault, BookMessage, Level, MonoNanos, Price, Qty, Quote, Side, Symbol};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tape::import::{ImportError, ImportStats, hftbacktest};
use tape::{EventKind, TapeEvent, TapeLevel, TapeReader, TapeWriter};

const T: &str = "1723161253";

fn depth(nanos: u32, first: u64, last: u64, bid: (&str, &str)) -> String {
    format!(
        r#"{T}{nanos:09} {{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[["{}","{}"]],"a":[]}}}}"#,
        bid.0, bid.1
    )
}

fn snapshot(nanos: u32, seq: u64) -> String {
    format!(r#"{T}{nanos:09} {{"lastUpdateId":{seq},"bids":[["10.00","1.0"]],"asks":[["11.00","2.0"]]}}"#)
}

fn trade(nanos: u32, buyer_rests: bool) -> String {
    format!(
        r#"{T}{nanos:09} {{"stream":"btcusdt@trade","data":{{"e":"trade","E":1,"s":"BTCUSDT","t":77,"p":"10.50","q":"0.10","T":1,"m":{buyer_rests},"M":true}}}}"#
    )
}

fn import(lines: &[String]) -> (Vec<TapeEvent>, ImportStats, Option<ImportError>) {
    import_bytes(lines.join("\n").into_bytes(), None)
}

fn import_bytes(bytes: Vec<u8>, symbol: Option<Symbol>) -> (Vec<TapeEvent>, ImportStats, Option<ImportError>) {
    let mut import = hftbacktest(Cursor::new(bytes), symbol, |_: &ImportStats| {}).unwrap();
    let (mut events, mut fault) = (Vec::new(), None);
    for event in import.by_ref() {
        match event {
            Ok(event) => events.push(event),
            Err(error) => fault = Some(error),
        }
    }
    (events, import.stats(), fault)
}

/// What each event is, with its update id, and the nanoseconds of its receipt.
fn outline(events: &[TapeEvent]) -> Vec<(&'static str, u64, u64)> {
    let outline = |event: &TapeEvent| {
        let (name, seq) = match event.kind {
            EventKind::DepthSnapshot { seq, .. } => ("snapshot", seq),
            EventKind::DepthUpdate { seq, .. } => ("update", seq),
            EventKind::Trade { .. } => ("trade", 0),
            EventKind::BookTicker { seq, .. } => ("ticker", seq),
            EventKind::Break => ("break", 0),
        };
        (name, seq, event.received.0 % 1_000_000_000)
    };
    events.iter().map(outline).collect()
}

#[test]
fn updates_before_the_snapshot_follow_it_unless_it_contains_them() {
    let lines = [
        depth(1, 90, 95, ("9.00", "1")),
        depth(2, 96, 105, ("9.10", "1")),
        trade(3, true),
        snapshot(4, 100),
        depth(5, 106, 106, ("9.20", "0.000")),
    ];
    let (events, stats, fault) = import(&lines);
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(outline(&events), [("trade", 0, 3), ("snapshot", 100, 4), ("update", 105, 4), ("update", 106, 5)]);
    assert_eq!((stats.depth_updates, stats.depth_updates_outdated, stats.depth_snapshots), (3, 1, 1));
    assert_eq!((stats.trades, stats.lines, stats.events), (1, 5, 4));
}

#[test]
fn numbers_keep_the_decimals_in_which_they_were_written() {
    let (events, _, _) = import(&[trade(1, true), trade(2, false)]);
    let sides = events.iter().map(|event| match event.kind {
        EventKind::Trade { price, qty, aggressor, id } => {
            (price.to_string(), qty.to_string(), aggressor, id.to_string())
        }
        _ => unreachable!(),
    });
    let expected = |side| ("10.50".to_owned(), "0.10".to_owned(), side, "77".to_owned());
    assert_eq!(sides.collect::<Vec<_>>(), [expected(Side::Sell), expected(Side::Buy)]);
}

#[test]
fn snapshot_older_than_the_first_update_is_left_out_and_the_next_one_used() {
    let lines = [depth(1, 100, 105, ("9", "1")), snapshot(2, 90), snapshot(3, 104)];
    let (events, stats, fault) = import(&lines);
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(outline(&events), [("snapshot", 104, 3), ("update", 105, 3)]);
    assert_eq!(stats.depth_snapshots_unusable, 1);
}

#[test]
fn missing_updates_are_refused_with_the_line() {
    let lines = [trade(0, true), snapshot(1, 100), depth(2, 101, 103, ("9", "1")), depth(3, 105, 106, ("9", "1"))];
    let (events, _, fault) = import(&lines);
    assert_eq!(events.len(), 3, "what is whole is returned first");
    assert!(matches!(fault, Some(ImportError::Gap { line: 4, last: 103, first: 105 })), "{fault:?}");

    let (_, _, fault) = import(&[depth(1, 10, 12, ("9", "1")), depth(2, 14, 15, ("9", "1"))]);
    assert!(matches!(fault, Some(ImportError::Gap { line: 2, last: 12, first: 14 })), "{fault:?}");
}

#[test]
fn recording_without_a_snapshot_is_refused() {
    let (_, _, fault) = import(&[depth(1, 10, 12, ("9", "1")), trade(2, true)]);
    assert!(matches!(fault, Some(ImportError::NoSnapshot { lines: 2 })), "{fault:?}");
    let endless: Vec<String> = (0..10_001).map(|i| depth(i, u64::from(i) + 1, u64::from(i) + 1, ("9", "1"))).collect();
    let (_, _, fault) = import(&endless);
    assert!(matches!(fault, Some(ImportError::SnapshotTooLate { line: 10_001, .. })), "{fault:?}");
}

#[test]
fn garbage_is_refused_with_its_line_and_what_is_wrong() {
    let bad = |line: &str| {
        let (_, _, fault) = import(&[trade(1, true), String::new(), line.to_owned()]);
        fault.unwrap().to_string()
    };
    assert_eq!(bad("hello"), "line 3: does not begin with a receive time in nanoseconds");
    assert_eq!(bad("1723161253 {}"), "line 3: does not begin with a receive time in nanoseconds");
    assert_eq!(bad(&format!("{T}000000002 {{}}")), "line 3: neither a stream message nor a book snapshot");
    assert!(bad(&format!("{T}000000002 {{\"stream\":")).starts_with("line 3: message that cannot be read: EOF"));
    assert!(bad(&trade(2, true).replace("10.50", "1e5")).starts_with("line 3: number `1e5`: not a plain decimal"));
    assert!(bad(&trade(2, true).replace("10.50", "-10.50")).starts_with("line 3: impossible level"));
    assert!(bad(&depth(2, 9, 8, ("9", "1"))).starts_with("line 3: depth update from 9 to 8"));
    let futures = depth(2, 8, 9, ("9", "1")).replace(r#""b":"#, r#""pu":7,"b":"#);
    assert!(bad(&futures).starts_with("line 3: depth update of a futures market"));
    assert!(bad(&trade(0, true)).starts_with("line 3: received before"));
    assert!(bad(&trade(2, true).replace("BTCUSDT", "ETHUSDT")).starts_with("line 3: instrument ETHUSDT"));
}

#[test]
fn compressed_recording_that_is_cut_off_is_refused_after_what_is_whole() {
    let text: Vec<String> = (0..5_000).map(|i| trade(i, i % 3 == 0)).collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.join("\n").as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    assert_eq!(import_bytes(packed.clone(), None).0.len(), 5_000);

    packed.truncate(packed.len() / 2);
    let (events, stats, fault) = import_bytes(packed, None);
    assert!(events.len() > 100 && events.len() < 5_000);
    assert!(matches!(fault, Some(ImportError::Read { line, .. }) if line == stats.lines + 1), "{fault:?}");
}

#[test]
fn named_instrument_must_be_the_one_of_the_recording() {
    let eth = Symbol::from("ETHUSDT").ok();
    let (_, _, fault) = import_bytes(trade(1, true).into_bytes(), eth);
    assert!(matches!(fault, Some(ImportError::OtherInstrument { line: 1, .. })), "{fault:?}");
}

fn recording(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ws_captures/hftbacktest");
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}

fn levels(levels: &[TapeLevel]) -> Vec<Level> {
    levels.iter().map(|level| Level::from_scaled(level.price, level.qty, 2, 8).unwrap()).collect()
}

/// Plays one depth event into the book.
fn play(book: &mut Book, event: &TapeEvent) -> Result<(), BookFault> {
    let (is_snapshot, bids, asks, seq) = match &event.kind {
        EventKind::DepthSnapshot { bids, asks, seq, .. } => (true, bids, asks, *seq),
        EventKind::DepthUpdate { bids, asks, seq, .. } => (false, bids, asks, *seq),
        EventKind::BookTicker { .. } | EventKind::Trade { .. } | EventKind::Break => return Ok(()),
    };
    let (bids, asks, now) = (levels(bids), levels(asks), MonoNanos(event.received.0));
    let message = BookMessage { bids: &bids, asks: &asks, seq, prev_seq: None, checksum: None };
    if is_snapshot { book.apply_snapshot(&message, now) } else { book.apply_update(&message, now) }
}

fn quote(level: &TapeLevel) -> Quote {
    Quote { price: Price(level.price.rescaled(2).unwrap()), qty: Qty(level.qty.rescaled(8).unwrap()) }
}

#[test]
fn real_recording_is_imported_whole_and_its_book_shows_the_top_that_the_venue_told() {
    let Some(path) = recording("spot_btcusdt_20240808.gz") else { return };
    let mut reports = 0;
    let mut import = hftbacktest(std::fs::File::open(path).unwrap(), None, |_: &ImportStats| reports += 1).unwrap();
    let mut writer = TapeWriter::new(Vec::new(), "test").unwrap();
    let mut written = 0_u64;
    for event in import.by_ref() {
        writer.write(&event.unwrap()).unwrap();
        written += 1;
    }
    let stats = import.stats();
    drop(import);
    assert_eq!(
        (stats.depth_updates, stats.book_tickers, stats.trades, stats.depth_snapshots),
        (3_451, 28_040, 9_757, 1)
    );
    assert_eq!((stats.lines, stats.other, stats.depth_snapshots_unusable), (41_249, 0, 0));
    assert_eq!(written, stats.lines - stats.depth_updates_outdated);
    assert_eq!(reports, 5, "every 10,000 lines and at the end");

    let (bytes, _) = writer.finish().unwrap();
    let events: Vec<TapeEvent> = TapeReader::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
    let mut told = BTreeMap::new();
    for event in &events {
        if let EventKind::BookTicker { bid, ask, seq } = &event.kind {
            told.insert(*seq, (quote(bid), quote(ask)));
        }
    }
    let mut book = Book::new(2, 8, Duration::from_secs(10));
    let mut compared = 0;
    for event in &events {
        assert_eq!(play(&mut book, event), Ok(()), "{:?}", event.received);
        let EventKind::DepthUpdate { seq, .. } = event.kind else { continue };
        let best = book.valid(MonoNanos(event.received.0)).unwrap().best();
        if let Some((_, (bid, ask))) = told.range(..=seq).next_back() {
            assert_eq!((best.bid, best.ask), (Some(*bid), Some(*ask)), "at update {seq}");
            compared += 1;
        }
    }
    assert_eq!(compared, stats.depth_updates - stats.depth_updates_outdated);
}

#[test]
fn real_recording_without_a_snapshot_is_refused() {
    let Some(path) = recording("spot_btcusdt_20240809.gz") else { return };
    let import = hftbacktest(std::fs::File::open(path).unwrap(), None, |_: &ImportStats| {}).unwrap();
    let fault = import.filter_map(Result::err).next();
    assert!(matches!(fault, Some(ImportError::NoSnapshot { lines: 58_325 })), "{fault:?}");
}
