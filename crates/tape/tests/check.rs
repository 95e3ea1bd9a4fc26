//! Checking recordings: every checksum of real sessions, and none of a session in which one digit is wrong.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failed assumption fails the test, a skip is said"
)]

use domain::{BookFault, ChecksumRule, Scaled, Symbol, UnixNanos};
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use tape::check::{Check, CheckError, CheckReport, Survey};
use tape::import::{ImportError, ImportStats, RecordedVenue, RecordingKind, cryptofeed, recognise};
use tape::{EventKind, TapeChecksum, TapeEvent, TapeLevel, TapeReader, TapeWriter};

fn path(venue: RecordedVenue) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ws_captures/cryptofeed");
    let path = folder.join(format!("{}.jsonl.gz", venue.as_str()));
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}

fn import(
    bytes: Vec<u8>,
    venue: RecordedVenue,
    only: Option<Symbol>,
) -> (Vec<TapeEvent>, ImportStats, Option<ImportError>) {
    let mut import = cryptofeed(Cursor::new(bytes), venue, only, |_: &ImportStats| {}).unwrap();
    let (mut events, mut fault) = (Vec::new(), None);
    for event in import.by_ref() {
        match event {
            Ok(event) => events.push(event),
            Err(error) => fault = Some(error),
        }
    }
    (events, import.stats(), fault)
}

fn check(events: &[TapeEvent]) -> CheckReport {
    let mut survey = Survey::default();
    events.iter().for_each(|event| survey.look(event).unwrap());
    let mut check = Check::new(survey);
    events.iter().for_each(|event| check.take(event).unwrap());
    check.report().clone()
}

/// The text of a recording.
fn text(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn confirms_all(venue: RecordedVenue, checksums: u64, books: usize) {
    let Some(path) = path(venue) else { return };
    assert_eq!(recognise(&path).unwrap(), RecordingKind::Cryptofeed);
    let (events, stats, fault) = import(std::fs::read(&path).unwrap(), venue, None);
    assert!(fault.is_none(), "{fault:?}");
    let report = check(&events);
    let faults: Vec<_> = report.books.iter().filter_map(|(symbol, book)| Some((symbol, book.first?))).collect();
    assert_eq!(faults, []);
    assert_eq!((report.confirmed(), report.checksums(), report.books.len()), (checksums, checksums, books));
    assert_eq!(stats.checksums, checksums);
    assert!(report.holds() && stats.trades > 0);

    // The same from plain text, and from a tape that was made of it.
    let (plain, _, fault) = import(text(&path).into_bytes(), venue, None);
    assert!(fault.is_none() && plain == events);
    let mut writer = TapeWriter::new(Vec::new(), "test").unwrap();
    events.iter().for_each(|event| writer.write(event).unwrap());
    let (bytes, _) = writer.finish().unwrap();
    let taped: Vec<TapeEvent> = TapeReader::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
    assert_eq!(taped, events);

    // One digit of a quantity near the top is altered: the book is wrong from there on, and found to be.
    let mut altered = events;
    let total = altered.len();
    let at = altered.iter().skip(total / 2).position(|event| changes_the_top(&event.kind)).unwrap() + total / 2;
    alter(&mut altered[at].kind);
    let wrong = check(&altered);
    assert!(wrong.confirmed() < checksums && wrong.checksums() == checksums, "{wrong:?}");
    assert!(!wrong.holds());
}

fn changes_the_top(kind: &EventKind) -> bool {
    let EventKind::DepthUpdate { bids, checksum: Some(_), .. } = kind else { return false };
    bids.first().is_some_and(|level| level.qty.mantissa > 0)
}

fn alter(kind: &mut EventKind) {
    let EventKind::DepthUpdate { bids, .. } = kind else { unreachable!() };
    // Far above every other bid it would cross; so the quantity of the first one is altered.
    bids[0].qty.mantissa += 1;
}

#[test]
fn every_checksum_of_the_recorded_bitget_session_is_confirmed_and_one_wrong_digit_is_found() {
    confirms_all(RecordedVenue::Bitget, 637, 10);
}

#[test]
fn every_checksum_of_the_recorded_okx_session_is_confirmed_and_one_wrong_digit_is_found() {
    confirms_all(RecordedVenue::Okx, 290, 3);
}

#[test]
fn every_checksum_of_the_recorded_kraken_session_is_confirmed_and_one_wrong_digit_is_found() {
    confirms_all(RecordedVenue::Kraken, 4_269, 10);
}

#[test]
fn only_the_named_instrument_is_imported() {
    let Some(path) = path(RecordedVenue::Bitget) else { return };
    let only = Symbol::from("EOSUSDT").unwrap();
    let (events, _, fault) = import(std::fs::read(path).unwrap(), RecordedVenue::Bitget, Some(only));
    assert!(fault.is_none() && events.iter().all(|event| event.symbol == only));
    assert!(events.len() > 10);
}

const BOOK: &str = r#"{"src":"x","kind":"server_sent","ts":17.25,"data":"{\"action\":\"snapshot\",\"arg\":{\"instType\":\"sp\",\"channel\":\"books\",\"instId\":\"AUSDT\"},\"data\":[{\"asks\":[[\"11.0\",\"1\"]],\"bids\":[[\"10.0\",\"1\"]],\"checksum\":5,\"ts\":\"1\"}]}"}"#;

#[test]
fn times_are_exact_and_a_contract_is_not_taken_for_the_spot_instrument_of_its_name() {
    let contract = BOOK.replace(r#"\"sp\""#, r#"\"mc\""#).replace("17.25", "17.2500000005");
    let (events, _, fault) = import(BOOK.into(), RecordedVenue::Bitget, None);
    assert!(fault.is_none());
    assert_eq!((events[0].received.0, events[0].symbol.as_str()), (17_250_000_000, "AUSDT"));
    let (_, _, fault) = import(contract.clone().into_bytes(), RecordedVenue::Bitget, None);
    assert!(fault.unwrap().to_string().contains("is no time in seconds"), "finer than a nanosecond is not rounded");
    let (events, _, _) = import(contract.replace("0000005", "").into_bytes(), RecordedVenue::Bitget, None);
    assert_eq!(events[0].symbol.as_str(), "AUSDT-PERP");
}

#[test]
fn lines_and_frames_that_are_something_else_are_refused_with_their_number() {
    let bad = |venue, line: &str| import(format!("{BOOK}\n{line}").into_bytes(), venue, None).2.unwrap().to_string();
    let bitget = |line: &str| bad(RecordedVenue::Bitget, line);
    assert!(bitget("1723161253000000001 {}").starts_with("line 2: no line of a cryptofeed recording"));
    assert!(bitget(r#"{"kind":"server_sent","ts":1}"#).starts_with("line 2: frame without"));
    assert!(bitget(&BOOK.replace("17.25", "17.24")).starts_with("line 2: received before"));
    assert!(bitget(&BOOK.replace("10.0", "1O.0")).starts_with("line 2: number `1O.0`"));
    assert!(bitget(&BOOK.replace("10.0", "-10.0")).starts_with("line 2: impossible level"));
    assert!(bitget(&BOOK.replace(r#"\"sp\""#, r#"\"zz\""#)).starts_with("line 2: unknown kind of instrument"));
    let other = import(BOOK.into(), RecordedVenue::Kraken, None);
    assert!(other.2.is_none() && other.0.is_empty() && other.1.other == 1, "another venue's frame says nothing");
}

fn event(at: u64, kind: EventKind) -> TapeEvent {
    TapeEvent { received: UnixNanos(at), symbol: Symbol::from("A").unwrap(), kind }
}

fn level(price: i64, qty: i64) -> TapeLevel {
    TapeLevel { price: Scaled { mantissa: price, decimals: 0 }, qty: Scaled { mantissa: qty, decimals: 0 } }
}

fn whole(seq: u64) -> EventKind {
    EventKind::DepthSnapshot {
        bids: vec![level(10, 1)],
        asks: vec![level(11, 1)],
        seq,
        levels_max: None,
        checksum: None,
    }
}

fn update(bids: Vec<TapeLevel>, first_seq: u64, seq: u64) -> EventKind {
    EventKind::DepthUpdate { bids, asks: Vec::new(), first_seq, seq, checksum: None }
}

#[test]
fn missing_update_ids_and_crossed_books_are_faults_where_no_checksum_tells() {
    let good = [event(1, whole(5)), event(2, update(vec![level(9, 1)], 6, 7)), event(3, update(vec![], 8, 8))];
    assert!(check(&good).holds());
    let gap = check(&[event(1, whole(5)), event(2, update(vec![level(9, 1)], 7, 7))]);
    let first = gap.books.values().next().unwrap().first.unwrap();
    assert_eq!((first.event, first.fault), (2, BookFault::Gap { expected: 5, found: 6 }));
    let crossed = check(&[event(1, whole(0)), event(2, update(vec![level(12, 1)], 0, 0))]);
    assert_eq!((crossed.faults(), crossed.holds()), (1, false));
}

#[test]
fn break_of_the_stream_is_no_fault_and_its_updates_count_for_nothing_until_the_next_snapshot() {
    let events =
        [event(1, whole(5)), event(2, EventKind::Break), event(3, update(vec![], 90, 91)), event(4, whole(100))];
    let report = check(&events);
    assert!(report.holds());
    assert_eq!((report.breaks, report.books.values().next().unwrap().unplaced), (1, 1));
}

#[test]
fn numbers_that_no_book_can_hold_together_are_an_error() {
    let fine = TapeLevel { price: Scaled { mantissa: 1, decimals: 18 }, qty: Scaled { mantissa: 1, decimals: 0 } };
    let huge = level(1_000_000, 1);
    let checksum = Some(TapeChecksum { rule: ChecksumRule::SidesInTurn, value: 1 });
    let bad = EventKind::DepthSnapshot { bids: vec![fine], asks: vec![huge], seq: 0, levels_max: None, checksum };
    let mut survey = Survey::default();
    survey.look(&event(1, bad.clone())).unwrap();
    assert!(matches!(Check::new(survey).take(&event(1, bad)), Err(CheckError::Number { .. })));
}
