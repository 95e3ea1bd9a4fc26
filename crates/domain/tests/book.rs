//! What the order book promises: the venue's checksums, no price without a
//! valid state, and the same levels as a plain sorted map.

#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use domain::{
    Book, BookFault, BookMessage, BookState, ChecksumRule, LEVELS_MAX, Level, MonoNanos, NumberError, Price, Qty,
    Quote, TopOfBook,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const AGE_MAX: Duration = Duration::from_secs(2);
const NOW: MonoNanos = MonoNanos(1_000);

fn levels(texts: &[(&str, &str)]) -> Vec<Level> {
    texts.iter().map(|(price, qty)| Level::parse(price.as_bytes(), qty.as_bytes(), 4, 4).unwrap()).collect()
}

fn message<'a>(bids: &'a [Level], asks: &'a [Level], seq: u64, prev_seq: Option<u64>) -> BookMessage<'a> {
    BookMessage { bids, asks, seq, prev_seq, checksum: None }
}

fn book_of(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Book {
    let mut book = Book::new(4, 4, AGE_MAX);
    book.apply_snapshot(&message(&levels(bids), &levels(asks), 100, None), NOW).unwrap();
    book
}

fn sheet_book() -> Book {
    book_of(&[("27000.0", "2.710"), ("26999.5", "1.460")], &[("27000.5", "8.760"), ("27001.0", "0.400")])
}

#[test]
fn checksums_agree_with_the_worked_examples_of_the_sheet() {
    let two = book_of(&[("43231.1", "4"), ("43231", "6")], &[("43232.8", "9"), ("43232.9", "8")]);
    assert_eq!(two.checksum(), -1_504_501_796);
    let uneven = book_of(&[("3366.1", "7")], &[("3366.8", "9"), ("3368", "8"), ("3372", "8")]);
    assert_eq!(uneven.checksum(), 831_078_360);
    assert_eq!(sheet_book().checksum(), -1_751_492_126);
}

#[test]
fn checksum_after_an_update_agrees_and_trimmed_zeros_do_not() {
    let mut book = sheet_book();
    let (bids, asks) = (levels(&[("27000.0", "3.000")]), levels(&[("27000.5", "0")]));
    let update = BookMessage { checksum: Some(-603_101_740), ..message(&bids, &asks, 101, Some(100)) };
    assert_eq!(book.apply_update(&update, NOW), Ok(()));

    let trimmed = book_of(&[("27000", "3"), ("26999.5", "1.46")], &[("27001", "0.4")]);
    assert_eq!(trimmed.checksum(), -1_579_817_588);
}

#[test]
fn checksum_of_asks_then_bids_agrees_with_the_worked_example_of_ten_levels() {
    let asks = levels_of(&[
        ("45285.2", "0.00100000"),
        ("45286.4", "1.54571953"),
        ("45286.6", "1.54571109"),
        ("45289.6", "1.54560911"),
        ("45290.2", "0.15890660"),
        ("45291.8", "1.54553491"),
        ("45294.7", "0.04454749"),
        ("45296.1", "0.35380000"),
        ("45297.5", "0.09945542"),
        ("45299.5", "0.18772827"),
        ("45300.0", "7.00000000"),
    ]);
    let bids = levels_of(&[
        ("45283.5", "0.10000000"),
        ("45283.4", "1.54582015"),
        ("45282.1", "0.10000000"),
        ("45281.0", "0.10000000"),
        ("45280.3", "1.54592586"),
        ("45279.0", "0.07990000"),
        ("45277.6", "0.03310103"),
        ("45277.5", "0.30000000"),
        ("45277.3", "1.54602737"),
        ("45276.6", "0.15445238"),
        ("45200.0", "7.00000000"),
    ]);
    let mut book = Book::new(5, 8, AGE_MAX).checked_by(ChecksumRule::AsksThenBids);
    let checksum = Some(3_310_070_434_u32.cast_signed());
    assert_eq!(book.apply_snapshot(&BookMessage { checksum, ..message(&bids, &asks, 0, None) }, NOW), Ok(()));
    let other = levels_of(&[("45283.5", "0.10000001")]);
    let wrong = BookMessage { checksum, ..message(&other, &[], 0, None) };
    assert!(matches!(book.apply_update(&wrong, NOW), Err(BookFault::Checksum { .. })));
}

fn levels_of(texts: &[(&str, &str)]) -> Vec<Level> {
    texts.iter().map(|(price, qty)| Level::parse(price.as_bytes(), qty.as_bytes(), 5, 8).unwrap()).collect()
}

#[test]
fn levels_pushed_out_of_a_bounded_subscription_are_forgotten_and_come_back_when_told() {
    let mut book = Book::new(4, 4, AGE_MAX).holding_at_most(2);
    let (bids, asks) = (levels(&[("10", "1"), ("9", "1"), ("8", "1")]), levels(&[("11", "1"), ("12", "1")]));
    book.apply_snapshot(&message(&bids, &asks, 0, None), NOW).unwrap();
    let shown = |book: &Book| book.valid(NOW).unwrap().bids().map(|level| level.price.0 / 10_000).collect::<Vec<_>>();
    let change = |book: &mut Book, price, qty| {
        let bids = levels(&[(price, qty)]);
        book.apply_update(&message(&bids, &[], 0, None), NOW).unwrap();
    };
    assert_eq!(shown(&book), [10, 9]);
    change(&mut book, "10.5", "1");
    change(&mut book, "10.5", "0");
    assert_eq!(shown(&book), [10], "the level that was pushed out is not kept in secret");
    change(&mut book, "9", "1");
    assert_eq!(shown(&book), [10, 9], "told again, it is taken again");
}

#[test]
fn numbers_are_hashed_as_written_whatever_the_decimals_of_the_book() {
    let expected = crc32fast::hash(b"0.00100:10.0:5:0.5").cast_signed();
    for decimals in [3_u8, 5, 9] {
        let level = |price: &str, qty: &str| Level::parse(price.as_bytes(), qty.as_bytes(), decimals, 6).unwrap();
        let mut book = Book::new(decimals, 6, AGE_MAX);
        let (bids, asks) = ([level("0.00100", "10.0")], [level("5", "0.5")]);
        book.apply_snapshot(&message(&bids, &asks, 1, None), NOW).unwrap();
        assert_eq!(book.checksum(), expected, "{decimals} decimals");
    }
}

#[test]
fn only_the_best_25_levels_enter_the_checksum() {
    let row = |count: i64| (0..count).map(|i| Level { price: Price(900 - i), qty: Qty(1), ..Level::default() });
    let (all, best): (Vec<_>, Vec<_>) = (row(40).collect(), row(25).collect());
    let sum = |bids: &[Level]| {
        let mut book = Book::new(0, 0, AGE_MAX);
        book.apply_snapshot(&message(bids, &[], 1, None), NOW).unwrap();
        book.checksum()
    };
    assert_eq!(sum(&all), sum(&best));
    assert_ne!(sum(&all), sum(best.get(1..).unwrap()));
}

#[test]
fn nothing_can_be_read_before_the_snapshot() {
    let mut book = Book::new(4, 4, AGE_MAX);
    assert_eq!(book.state(NOW), BookState::Invalid(BookFault::NoSnapshot));
    let bids = levels(&[("1", "1")]);
    assert_eq!(book.apply_update(&message(&bids, &[], 5, Some(4)), NOW), Err(BookFault::NoSnapshot));
    assert_eq!(book.valid(NOW).err(), Some(BookFault::NoSnapshot));
}

#[test]
fn gap_in_the_sequence_lasts_until_the_next_snapshot() {
    let mut book = sheet_book();
    let bids = levels(&[("26999.0", "1")]);
    let gap = BookFault::Gap { expected: 100, found: 101 };
    assert_eq!(book.apply_update(&message(&bids, &[], 102, Some(101)), NOW), Err(gap));
    assert_eq!(book.apply_update(&message(&bids, &[], 101, Some(100)), NOW), Err(gap), "later updates do not heal it");
    assert_eq!(book.valid(NOW).err(), Some(gap));

    let asks = levels(&[("27000.5", "1")]);
    book.apply_snapshot(&message(&bids, &asks, 200, None), NOW).unwrap();
    assert_eq!(book.valid(NOW).unwrap().best_bid(), bids.first().copied());
}

#[test]
fn sequence_that_runs_backwards_is_a_gap_even_without_predecessors() {
    let mut book = sheet_book();
    let bids = levels(&[("26999.0", "1")]);
    assert_eq!(book.apply_update(&message(&bids, &[], 103, None), NOW), Ok(()));
    let expected = BookFault::Gap { expected: 103, found: 99 };
    assert_eq!(book.apply_update(&message(&bids, &[], 99, None), NOW), Err(expected));
}

#[test]
fn wrong_checksum_makes_the_book_unreadable_and_zero_counts_as_not_offered() {
    let mut book = sheet_book();
    let bids = levels(&[("26999.0", "1")]);
    let unoffered = BookMessage { checksum: Some(0), ..message(&bids, &[], 101, Some(100)) };
    assert_eq!(book.apply_update(&unoffered, NOW), Ok(()));
    let wrong = BookMessage { checksum: Some(7), ..message(&[], &[], 102, Some(101)) };
    let fault = BookFault::Checksum { ours: book.checksum(), venue: 7 };
    assert_eq!(book.apply_update(&wrong, NOW), Err(fault));
    assert_eq!(book.state(NOW), BookState::Invalid(fault));
}

#[test]
fn crossed_or_locked_book_cannot_be_read() {
    for price in ["27000.5", "27000.6"] {
        let mut book = sheet_book();
        let bids = levels(&[(price, "1")]);
        assert_eq!(book.apply_update(&message(&bids, &[], 101, Some(100)), NOW), Err(BookFault::Crossed));
        assert_eq!(book.valid(NOW).err(), Some(BookFault::Crossed));
    }
}

#[test]
fn book_goes_stale_by_age_and_the_next_message_revives_it() {
    let mut book = sheet_book();
    let at_limit = NOW.after(AGE_MAX);
    assert_eq!(book.state(at_limit), BookState::Valid);
    let late = MonoNanos(at_limit.0 + 1);
    let stale = BookFault::Stale { age: AGE_MAX + Duration::from_nanos(1) };
    assert_eq!(book.state(late), BookState::Invalid(stale));
    assert!(!stale.needs_snapshot());
    book.apply_update(&message(&[], &[], 101, Some(100)), late).unwrap();
    assert_eq!(book.state(late), BookState::Valid);
}

#[test]
fn discarded_book_waits_for_a_snapshot() {
    let mut book = sheet_book();
    book.discard();
    assert_eq!(book.valid(NOW).err(), Some(BookFault::NoSnapshot));
    assert_eq!(book.depth(), (0, 0));
}

#[test]
fn snapshot_in_any_order_is_sorted_and_of_a_doubled_price_the_last_stays() {
    let book = book_of(
        &[("1.0", "1"), ("3.0", "3"), ("2.0", "2"), ("3.0", "9"), ("2.5", "0")],
        &[("7", "7"), ("5", "5"), ("6", "6")],
    );
    let valid = book.valid(NOW).unwrap();
    let bids: Vec<_> = valid.bids().map(|level| (level.price.0, level.qty.0)).collect();
    assert_eq!(bids, [(30_000, 90_000), (20_000, 20_000), (10_000, 10_000)]);
    let asks: Vec<_> = valid.asks().map(|level| level.price.0).collect();
    assert_eq!(asks, [50_000, 60_000, 70_000]);
}

#[test]
fn levels_that_no_instrument_can_have_are_refused() {
    let parse = |price: &str, qty: &str| Level::parse(price.as_bytes(), qty.as_bytes(), 2, 2);
    assert_eq!(parse("0", "1"), Err(NumberError::Range));
    assert_eq!(parse("-1", "1"), Err(NumberError::Range));
    assert_eq!(parse("1", "-1"), Err(NumberError::Range));
    assert_eq!(parse("1.001", "1"), Err(NumberError::TooPrecise { decimals: 2 }));
    assert!(parse("1.000", "0").is_ok());
}

#[test]
fn side_that_loses_its_kept_levels_cannot_vouch_for_its_top() {
    let row: Vec<Level> =
        (1..=6_000).map(|i| Level { price: Price(10_000 - i), qty: Qty(1), ..Level::default() }).collect();
    let mut book = Book::new(0, 0, AGE_MAX);
    book.apply_snapshot(&message(&row, &[], 1, None), NOW).unwrap();
    assert_eq!(book.depth(), (LEVELS_MAX, 0));
    let deletions: Vec<Level> =
        row.iter().take(LEVELS_MAX - 24).map(|level| Level { qty: Qty::ZERO, ..*level }).collect();
    assert_eq!(book.apply_update(&message(&deletions, &[], 2, Some(1)), NOW), Err(BookFault::Depleted));
}

#[test]
fn mid_is_exact_and_absent_when_a_side_is_empty() {
    let book = sheet_book();
    let top = book.valid(NOW).unwrap().best();
    assert_eq!(top.mid_doubled(), Some(540_005_000));
    assert_eq!(top.mid(4).unwrap().normalize().to_string(), "27000.25");
    assert_eq!(top.spread(), Some(5_000));
    let one_sided = book_of(&[("1", "1")], &[]);
    let top = one_sided.valid(NOW).unwrap().best();
    assert_eq!((top.mid_doubled(), top.ask), (None, None));
    assert!(size_of::<TopOfBook>() <= 64, "one cache line");
}

fn quote() -> impl Strategy<Value = Option<Quote>> {
    proptest::option::of((1_i64.., 1_i64..).prop_map(|(price, qty)| Quote { price: Price(price), qty: Qty(qty) }))
}

/// The best levels of both sides as a sorted map would hold them.
#[derive(Default)]
struct Model {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl Model {
    fn change(side: &mut BTreeMap<i64, i64>, level: &Level) {
        if level.qty.0 > 0 {
            side.insert(level.price.0, level.qty.0);
        } else {
            side.remove(&level.price.0);
        }
    }

    /// The book holds exactly the best part of the model's rows.
    fn agrees(&self, book: &Book) {
        let valid = book.valid(NOW).unwrap();
        let row = |level: &Level| (level.price.0, level.qty.0);
        let (bids, asks): (Vec<_>, Vec<_>) = (valid.bids().map(row).collect(), valid.asks().map(row).collect());
        let best = |count| self.bids.iter().rev().map(|(price, qty)| (*price, *qty)).take(count).collect::<Vec<_>>();
        assert_eq!(bids, best(bids.len()));
        assert_eq!(asks, self.asks.iter().map(|(price, qty)| (*price, *qty)).take(asks.len()).collect::<Vec<_>>());
        let whole = |held: usize, model: usize| held == model || held >= 25;
        assert!(whole(bids.len(), self.bids.len()) && whole(asks.len(), self.asks.len()));
    }
}

/// Deletes as often as it inserts, over few enough prices that both hit.
fn changes(prices: std::ops::Range<i64>, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Level>> {
    let level = (prices, prop_oneof![Just(0_i64), 1_i64..1_000]).prop_map(|(price, qty)| Level {
        price: Price(price),
        qty: Qty(qty),
        ..Level::default()
    });
    proptest::collection::vec(level, count)
}

fn follows_the_model(first: (Vec<Level>, Vec<Level>), updates: &[(Vec<Level>, Vec<Level>)]) {
    let (mut book, mut model) = (Book::new(0, 0, AGE_MAX), Model::default());
    for (index, (bids, asks)) in std::iter::once(&first).chain(updates).enumerate() {
        let seq = index as u64;
        let outcome = if index == 0 {
            book.apply_snapshot(&message(bids, asks, seq, None), NOW)
        } else {
            book.apply_update(&message(bids, asks, seq, Some(seq - 1)), NOW)
        };
        bids.iter().for_each(|level| Model::change(&mut model.bids, level));
        asks.iter().for_each(|level| Model::change(&mut model.asks, level));
        if outcome == Err(BookFault::Depleted) {
            return;
        }
        outcome.unwrap();
        model.agrees(&book);
    }
}

proptest! {
    #[test]
    fn top_of_book_survives_its_words(bid in quote(), ask in quote(), at in any::<u64>(), version in any::<u64>()) {
        let top = TopOfBook { bid, ask, at: MonoNanos(at), version };
        prop_assert_eq!(TopOfBook::from_words(top.to_words()), top);
    }

    #[test]
    fn book_equals_a_sorted_map(
        updates in proptest::collection::vec((changes(1..100, 0..12), changes(100..200, 0..12)), 1..40)
    ) {
        follows_the_model((Vec::new(), Vec::new()), &updates);
    }

    #[test]
    fn checksum_equals_the_joined_text(
        bids in proptest::collection::vec((1_u32..1_000_000, 1_u32..1_000_000), 0..40),
        asks in proptest::collection::vec((1_000_001_u32..2_000_000, 1_u32..1_000_000), 0..40),
    ) {
        let text = |rows: &[(u32, u32)]| -> BTreeMap<u32, (String, String)> {
            rows.iter()
                .map(|(p, q)| (*p, (format!("{}.{:03}", p / 1_000, p % 1_000), format!("{}.{:02}", q / 100, q % 100))))
                .collect()
        };
        let (bids, asks) = (text(&bids), text(&asks));
        let parsed = |rows: &BTreeMap<u32, (String, String)>| -> Vec<Level> {
            rows.values().map(|(p, q)| Level::parse(p.as_bytes(), q.as_bytes(), 5, 2).unwrap()).collect()
        };
        let mut book = Book::new(5, 2, AGE_MAX);
        book.apply_snapshot(&message(&parsed(&bids), &parsed(&asks), 1, None), NOW).unwrap();

        let (bids, asks): (Vec<_>, Vec<_>) = (bids.values().rev().collect(), asks.values().collect());
        let mut parts = Vec::new();
        for index in 0..25 {
            for (price, qty) in [bids.get(index), asks.get(index)].into_iter().flatten() {
                parts.push(price.as_str());
                parts.push(qty.as_str());
            }
        }
        prop_assert_eq!(book.checksum(), crc32fast::hash(parts.join(":").as_bytes()).cast_signed());

        let bare = |text: &String| text.replace('.', "").trim_start_matches('0').to_owned();
        let rows = asks.iter().take(10).chain(bids.iter().take(10));
        let plain: String = rows.flat_map(|(price, qty)| [bare(price), bare(qty)]).collect();
        let book = book.checked_by(ChecksumRule::AsksThenBids);
        prop_assert_eq!(book.checksum(), crc32fast::hash(plain.as_bytes()).cast_signed());
    }
}

proptest! {
    // Each case builds rows of thousands of levels.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn full_book_holds_exactly_the_best_part_of_a_sorted_map(
        updates in proptest::collection::vec((changes(1..9_000, 0..300), changes(9_000..18_000, 0..300)), 1..12)
    ) {
        let row = |prices: std::ops::Range<i64>| -> Vec<Level> {
            prices.step_by(2).map(|price| Level { price: Price(price), qty: Qty(5), ..Level::default() }).collect()
        };
        follows_the_model((row(1_001..9_000), row(9_000..16_999)), &updates);
    }
}
