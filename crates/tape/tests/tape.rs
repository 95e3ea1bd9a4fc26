//! A tape gives back what was written, and says exactly where it cannot.

#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use domain::{Scaled, Side, Symbol, UnixNanos, VenueTradeId};
use proptest::prelude::*;
use tape::{EventKind, TapeError, TapeEvent, TapeLevel, TapeReader, TapeWriter};

fn scaled() -> impl Strategy<Value = Scaled> {
    (any::<i64>(), 0_u8..=18).prop_map(|(mantissa, decimals)| Scaled { mantissa, decimals })
}

fn level() -> impl Strategy<Value = TapeLevel> {
    (scaled(), scaled()).prop_map(|(price, qty)| TapeLevel { price, qty })
}

fn levels() -> impl Strategy<Value = Vec<TapeLevel>> {
    proptest::collection::vec(level(), 0..6)
}

fn kind() -> impl Strategy<Value = EventKind> {
    let id = "[0-9a-f-]{0,40}".prop_map(|id| VenueTradeId::from(&id).unwrap());
    let aggressor = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        (levels(), levels(), any::<u64>()).prop_map(|(bids, asks, seq)| EventKind::DepthSnapshot { bids, asks, seq }),
        (levels(), levels(), any::<u64>(), any::<u64>())
            .prop_map(|(bids, asks, first_seq, seq)| EventKind::DepthUpdate { bids, asks, first_seq, seq }),
        (scaled(), scaled(), aggressor, id).prop_map(|(price, qty, aggressor, id)| EventKind::Trade {
            price,
            qty,
            aggressor,
            id
        }),
        (level(), level(), any::<u64>()).prop_map(|(bid, ask, seq)| EventKind::BookTicker { bid, ask, seq }),
    ]
}

fn event() -> impl Strategy<Value = TapeEvent> {
    (any::<u64>(), prop_oneof![Just("BTCUSDT"), Just("ETHUSDT"), Just("１２３４５６")], kind()).prop_map(
        |(received, symbol, kind)| TapeEvent {
            received: UnixNanos(received),
            symbol: Symbol::from(symbol).unwrap(),
            kind,
        },
    )
}

/// A tape in memory; a segment is closed behind every event whose flag is set.
fn written(events: &[(TapeEvent, bool)]) -> Vec<u8> {
    let mut writer = TapeWriter::new(Vec::new(), "made by a test").unwrap();
    for (event, flush) in events {
        writer.write(event).unwrap();
        if *flush {
            writer.flush().unwrap();
        }
    }
    let (bytes, stats) = writer.finish().unwrap();
    assert_eq!((stats.events, stats.bytes), (events.len() as u64, bytes.len() as u64));
    bytes
}

/// Everything whole, and the error at the end, if any.
fn read(bytes: &[u8]) -> (Vec<TapeEvent>, Option<TapeError>) {
    let mut reader = match TapeReader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut events, mut fault) = (Vec::new(), None);
    for event in reader.by_ref() {
        match event {
            Ok(event) => events.push(event),
            Err(error) => fault = Some(error),
        }
    }
    assert!(reader.next().is_none(), "the first error ends it");
    (events, fault)
}

fn trade(received: u64) -> TapeEvent {
    let number = |mantissa| Scaled { mantissa, decimals: 2 };
    let kind = EventKind::Trade {
        price: number(6_183_763),
        qty: number(200),
        aggressor: Side::Sell,
        id: VenueTradeId::from("17").unwrap(),
    };
    TapeEvent { received: UnixNanos(received), symbol: Symbol::from("BTCUSDT").unwrap(), kind }
}

proptest! {
    #[test]
    fn every_event_survives_a_round_trip(events in proptest::collection::vec((event(), any::<bool>()), 0..30)) {
        let (found, fault) = read(&written(&events));
        prop_assert!(fault.is_none(), "{fault:?}");
        prop_assert_eq!(found, events.into_iter().map(|(event, _)| event).collect::<Vec<_>>());
    }

    #[test]
    fn cut_off_tape_gives_its_whole_segments_and_then_says_where_it_ends(
        events in proptest::collection::vec((event(), any::<bool>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = written(&events);
        let cut = cut.index(bytes.len());
        let (found, fault) = read(&bytes[..cut]);
        match fault {
            Some(TapeError::CutOff { position, events: count }) => {
                prop_assert!(position <= cut as u64);
                prop_assert_eq!(count, found.len() as u64);
            }
            Some(TapeError::NotATape) => prop_assert!(cut < 8),
            other => prop_assert!(false, "{other:?} after a cut at {cut}"),
        }
        prop_assert!(events.iter().map(|(event, _)| event).zip(&found).all(|(written, read)| written == read));
    }

    #[test]
    fn changed_byte_is_found_and_nothing_wrong_is_returned(
        events in proptest::collection::vec((event(), any::<bool>()), 1..20),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = written(&events);
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        let (found, fault) = read(&bytes);
        prop_assert!(fault.is_some(), "byte {place} of {}", bytes.len());
        prop_assert!(events.iter().map(|(event, _)| event).zip(&found).all(|(written, read)| written == read));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut whole = b"sf-tape\n".to_vec();
        whole.extend_from_slice(&bytes);
        prop_assert!(read(&whole).1.is_some());
    }
}

#[test]
fn tape_without_its_end_mark_counts_as_cut_off_even_between_segments() {
    let bytes = written(&[(trade(1), true), (trade(2), true)]);
    let end_mark = 4 + 8 + 4;
    let cut = bytes.len() - end_mark;
    let (found, fault) = read(&bytes[..cut]);
    assert_eq!(found.len(), 2);
    assert!(matches!(fault, Some(TapeError::CutOff { position, events: 2 }) if position == cut as u64), "{fault:?}");
}

#[test]
fn segment_is_closed_before_a_crash_could_lose_more_than_five_seconds() {
    let mut writer = TapeWriter::new(Vec::new(), "").unwrap();
    writer.write(&trade(1_000_000_000)).unwrap();
    writer.write(&trade(5_999_999_999)).unwrap();
    assert_eq!(writer.stats().segments, 0);
    writer.write(&trade(6_000_000_000)).unwrap();
    assert_eq!((writer.stats().segments, writer.stats().events), (1, 3));
}

#[test]
fn newer_tape_is_refused_by_its_version() {
    let mut bytes = written(&[(trade(1), false)]);
    bytes[8] = 2;
    assert!(matches!(TapeReader::new(&bytes[..]), Err(TapeError::NewerVersion { found: 2, supported: 1 })));
}

#[test]
fn file_that_is_no_tape_is_refused() {
    for bytes in [&b""[..], b"short", b"SQLite format 3\0 and so on"] {
        assert!(matches!(TapeReader::new(bytes), Err(TapeError::NotATape)));
    }
}

#[test]
fn event_beyond_the_limit_is_left_out_and_the_tape_stays_good() {
    let wide = TapeLevel {
        price: Scaled { mantissa: i64::MAX, decimals: 18 },
        qty: Scaled { mantissa: i64::MAX, decimals: 18 },
    };
    let huge = TapeEvent {
        kind: EventKind::DepthSnapshot { bids: vec![wide; 250_000], asks: Vec::new(), seq: 1 },
        ..trade(5)
    };
    let mut writer = TapeWriter::new(Vec::new(), "").unwrap();
    writer.write(&trade(4)).unwrap();
    assert!(matches!(writer.write(&huge), Err(TapeError::EventTooLarge { .. })));
    writer.write(&trade(6)).unwrap();
    let (bytes, _) = writer.finish().unwrap();
    let (found, fault) = read(&bytes);
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(found, [trade(4), trade(6)]);
}

#[test]
fn largest_events_fit_a_segment_that_the_reader_accepts() {
    let level =
        TapeLevel { price: Scaled { mantissa: i64::MAX, decimals: 8 }, qty: Scaled { mantissa: 1, decimals: 8 } };
    let kind = EventKind::DepthSnapshot { bids: vec![level; 150_000], asks: vec![level; 150_000], seq: 9 };
    let large = TapeEvent { kind, ..trade(2) };
    let events = [(trade(1), false), (large, false), (trade(3), false)];
    let (found, fault) = read(&written(&events));
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(found.len(), 3);
}

#[test]
fn tape_file_is_never_overwritten_and_names_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tape");
    let mut writer = TapeWriter::create(&path, "binance spot, 2024-08-08").unwrap();
    writer.write(&trade(1)).unwrap();
    assert_eq!(writer.finish_on_disk().unwrap().events, 1);
    assert!(matches!(TapeWriter::create(&path, ""), Err(TapeError::Io { .. })));

    let mut reader = TapeReader::open(&path).unwrap();
    assert_eq!(reader.source(), "binance spot, 2024-08-08");
    assert_eq!(reader.next().unwrap().unwrap(), trade(1));
    assert!(reader.next().is_none());
    assert_eq!(reader.events(), 1);
}
