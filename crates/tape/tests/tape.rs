//! A tape gives back what was written, and says exactly where it cannot.

#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use domain::{ChecksumRule, Scaled, Side, Symbol, UnixNanos, VenueTradeId};
use proptest::prelude::*;
use tape::{EventKind, TapeChecksum, TapeError, TapeEvent, TapeLevel, TapeReader, TapeWriter};

fn scaled() -> impl Strategy<Value = Scaled> {
    (any::<i64>(), 0_u8..=18).prop_map(|(mantissa, decimals)| Scaled { mantissa, decimals })
}

fn level() -> impl Strategy<Value = TapeLevel> {
    (scaled(), scaled()).prop_map(|(price, qty)| TapeLevel { price, qty })
}

fn levels() -> impl Strategy<Value = Vec<TapeLevel>> {
    proptest::collection::vec(level(), 0..6)
}

fn checksum() -> impl Strategy<Value = Option<TapeChecksum>> {
    let rule = prop_oneof![Just(ChecksumRule::SidesInTurn), Just(ChecksumRule::AsksThenBids)];
    proptest::option::of((rule, any::<i32>()).prop_map(|(rule, value)| TapeChecksum { rule, value }))
}

fn kind() -> impl Strategy<Value = EventKind> {
    let id = "[0-9a-f-]{0,40}".prop_map(|id| VenueTradeId::from(&id).unwrap());
    let aggressor = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        (levels(), levels(), any::<u64>(), any::<Option<u32>>(), checksum()).prop_map(
            |(bids, asks, seq, levels_max, checksum)| EventKind::DepthSnapshot {
                bids,
                asks,
                seq,
                levels_max,
                checksum
            }
        ),
        (levels(), levels(), any::<u64>(), any::<u64>(), checksum()).prop_map(
            |(bids, asks, first_seq, seq, checksum)| EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum }
        ),
        Just(EventKind::Break),
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
    bytes[8] = 3;
    assert!(matches!(TapeReader::new(&bytes[..]), Err(TapeError::NewerVersion { found: 3, supported: 2 })));
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
        kind: EventKind::DepthSnapshot {
            bids: vec![wide; 250_000],
            asks: Vec::new(),
            seq: 1,
            levels_max: None,
            checksum: None,
        },
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
    let kind = EventKind::DepthSnapshot {
        bids: vec![level; 150_000],
        asks: vec![level; 150_000],
        seq: 9,
        levels_max: None,
        checksum: None,
    };
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

/// A part of a tape with its checksum behind it.
fn part(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat()
}

/// A tape of version 1 with one segment of these raw events, written as that version's documentation says.
fn version_1(raw: &[u8], count: u32) -> Vec<u8> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut deflate, raw).unwrap();
    let packed = deflate.finish().unwrap();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let header = [b"sf-tape\n".as_slice(), &1_u32.to_le_bytes(), &3_u32.to_le_bytes(), b"old"].concat();
    let segment = [b"SEGM".as_slice(), &count.to_le_bytes(), &length(raw), &length(&packed), &packed].concat();
    let end = [b"END.".as_slice(), &u64::from(count).to_le_bytes()].concat();
    [part(&header), part(&segment), part(&end)].concat()
}

#[test]
fn tape_of_the_first_version_is_read_as_it_was_written() {
    // Kind, time (+5), symbol 0 with its text, update id, one bid of 1.5 x 2, no ask.
    let snapshot = [1, 10, 0, 1, b'A', 7, 1, 30, 1, 4, 0, 0];
    // Kind, time (+1), symbol 0, update id 9, first one 8, no bid, one ask of 1.6 x 0.
    let update = [2, 2, 0, 9, 2, 0, 1, 32, 1, 0, 0];
    let (events, fault) = read(&version_1(&[snapshot.as_slice(), &update].concat(), 2));
    assert!(fault.is_none(), "{fault:?}");
    let level = |price, qty| TapeLevel {
        price: Scaled { mantissa: price, decimals: 1 },
        qty: Scaled { mantissa: qty, decimals: 0 },
    };
    let event = |received, kind| TapeEvent { received: UnixNanos(received), symbol: Symbol::from("A").unwrap(), kind };
    let whole = EventKind::DepthSnapshot {
        bids: vec![level(15, 2)],
        asks: Vec::new(),
        seq: 7,
        levels_max: None,
        checksum: None,
    };
    let change =
        EventKind::DepthUpdate { bids: Vec::new(), asks: vec![level(16, 0)], first_seq: 8, seq: 9, checksum: None };
    assert_eq!(events, [event(5, whole), event(6, change)]);
}

#[test]
fn checksum_by_an_unknown_rule_is_damage_and_not_taken_for_another() {
    let bytes = version_1(&[6, 10, 0, 1, b'A', 9, 1, 2, 3, 4, 7, 0, 0, 0], 1);
    let (events, fault) = read(&bytes);
    assert!(events.is_empty());
    assert!(matches!(fault, Some(TapeError::Damaged { what: "unknown rule of a checksum", .. })), "{fault:?}");
}
