//! The way of every order and of every frame, in both generations, takes nothing from the allocator.

#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

#[path = "suite/common.rs"]
mod common;

use domain::{PositionEffect, PositionSide, Side, UnixNanos};
use messages::{AccountMode, SignIntent};
use venue_api::{Draft, FeedFrame};

const AT: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

/// Frames of the public stream, of both generations.
const FRAMES: [&str; 9] = [
    include_str!("../fixtures/feed_books5.json"),
    include_str!("../fixtures/feed_books_snapshot.json"),
    include_str!("../fixtures/feed_books_update.json"),
    include_str!("../fixtures/feed_trade.json"),
    include_str!("../fixtures/feed_candle.json"),
    include_str!("../fixtures/v3_feed_books1.json"),
    include_str!("../fixtures/v3_feed_books_update.json"),
    include_str!("../fixtures/v3_feed_ticker.json"),
    include_str!("../fixtures/v3_feed_kline.json"),
];

#[test]
fn writing_a_request_allocates_nothing() {
    let hedge = PositionEffect { side: PositionSide::Long, reduce_only: false };
    let mut draft = Draft::default();
    for mode in AccountMode::ALL {
        let signing = common::all_of(mode).signing;
        let mut intents = common::every_intent();
        intents.push(SignIntent::Place(common::futures_order(Side::Sell, hedge)));
        if mode == AccountMode::Classic {
            intents.extend(common::classic_intents());
        }
        let counted = allocation_counter::measure(|| {
            for intent in &intents {
                assert_eq!(signing.draft(intent, AT, &mut draft), Ok(()));
            }
        });
        assert_eq!(counted.count_total, 0, "{mode:?}");
    }
}

#[test]
fn reading_a_public_frame_allocates_nothing_once_its_lists_have_grown() {
    let mut frame = FeedFrame::default();
    for mode in AccountMode::ALL {
        let feed = common::all_of(mode).feed;
        let mut read = || {
            for text in FRAMES {
                assert_eq!(feed.decode(text.as_bytes(), &mut frame), Ok(()), "{text}");
            }
        };
        read();
        assert_eq!(allocation_counter::measure(read).count_total, 0, "{mode:?}");
    }
}

/// Without this the other tests could pass because nothing is counted.
#[test]
fn an_allocation_is_seen() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8]))).count_total, 1);
}
