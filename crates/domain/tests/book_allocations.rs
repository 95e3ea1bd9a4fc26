//! The book, once grown, takes nothing from the allocator.

use domain::{Book, BookMessage, Level, MonoNanos, Price, Qty};
use std::time::Duration;

fn level(price: i64, qty: i64) -> Level {
    Level { price: Price(price), qty: Qty(qty), price_shown: 2, qty_shown: 4 }
}

#[test]
fn applying_and_checking_messages_allocates_nothing() {
    let bids: Vec<Level> = (0..400).map(|i| level(1_000_000 - 2 * i, 5 + i)).collect();
    let asks: Vec<Level> = (0..400).map(|i| level(1_000_010 + 2 * i, 5 + i)).collect();
    let mut book = Book::new(2, 4, Duration::from_secs(1));
    let snapshot = BookMessage { bids: &bids, asks: &asks, seq: 0, prev_seq: None, checksum: None };
    book.apply_snapshot(&snapshot, MonoNanos(0)).unwrap();
    // Between the levels there is room for others; each is inserted, changed and deleted in turn.
    let changes: Vec<[Level; 1]> =
        (0..3_000).map(|i| [level(999_999 - 2 * (i % 20), [7, 8, 0][usize::try_from(i / 20 % 3).unwrap()])]).collect();

    let mut apply = |from: u64| {
        for (seq, bids) in (from..).zip(&changes) {
            let checksum = book.checksum();
            let update = BookMessage { bids, asks: &[], seq: seq + 1, prev_seq: Some(seq), checksum: None };
            book.apply_update(&update, MonoNanos(seq)).unwrap();
            assert!(book.valid(MonoNanos(seq)).unwrap().best().mid_doubled().is_some() && checksum != 1);
        }
    };
    apply(0); // Grows to its usual length.
    let counted = allocation_counter::measure(|| apply(3_000));
    assert_eq!(counted.count_total, 0);
}
