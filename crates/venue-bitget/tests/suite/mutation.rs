//! What the codecs promise on mutated input.

use crate::common;
use messages::AccountMode;
use proptest::prelude::*;
use venue_api::FeedFrame;

const FRAMES: &[&str] = &[
    include_str!("../../fixtures/feed_books5.json"),
    include_str!("../../fixtures/feed_books_snapshot.json"),
    include_str!("../../fixtures/feed_books_update.json"),
    include_str!("../../fixtures/feed_trade.json"),
    include_str!("../../fixtures/push_order_fill.json"),
    include_str!("../../fixtures/push_order_live.json"),
    include_str!("../../fixtures/push_fill.json"),
    include_str!("../../fixtures/push_account.json"),
    include_str!("../../fixtures/rest_order_info.json"),
    include_str!("../../fixtures/rest_unfilled.json"),
    include_str!("../../fixtures/rest_history.json"),
    include_str!("../../fixtures/rest_fills.json"),
    include_str!("../../fixtures/rest_assets.json"),
    include_str!("../../fixtures/rest_symbols.json"),
    include_str!("../../fixtures/v3_feed_books1.json"),
    include_str!("../../fixtures/v3_feed_books_update.json"),
    include_str!("../../fixtures/v3_feed_ticker.json"),
    include_str!("../../fixtures/v3_feed_kline.json"),
    include_str!("../../fixtures/feed_candle.json"),
    include_str!("../../fixtures/v3_push_order.json"),
    include_str!("../../fixtures/v3_push_fill.json"),
    include_str!("../../fixtures/v3_push_account.json"),
    include_str!("../../fixtures/v3_push_position.json"),
    include_str!("../../fixtures/push_positions.json"),
    include_str!("../../fixtures/v3_rest_orders.json"),
    include_str!("../../fixtures/v3_rest_fills.json"),
    include_str!("../../fixtures/mix_rest_orders.json"),
];

fn read_as_everything(bytes: &[u8]) {
    let mut frame = FeedFrame::default();
    for codecs in AccountMode::ALL.map(common::all_of) {
        let _ = codecs.feed.decode(bytes, &mut frame);
        let _ = codecs.private.decode(bytes);
        let _ = codecs.public.server_time(200, bytes);
        let _ = codecs.public.instruments(200, bytes);
        let _ = codecs.public.prices(200, bytes);
        for intent in common::every_intent().into_iter().chain(common::classic_intents()) {
            let _ = codecs.rest.query_answer(&intent, 200, bytes);
            let _ = codecs.rest.act_answer(&intent, 200, bytes);
        }
    }
}

proptest! {
    #[test]
    fn no_decoder_panics_on_a_mutated_payload(
        which in 0..FRAMES.len(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let mut bytes = FRAMES[which].as_bytes().to_vec();
        for (place, byte, kind) in cuts {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        read_as_everything(&bytes);
    }

    #[test]
    fn no_decoder_panics_on_numbers_of_any_form(
        which in 0..FRAMES.len(),
        number in prop_oneof![
            Just("null".to_owned()), Just("\"\"".to_owned()), Just("\"-1\"".to_owned()), Just("1e999".to_owned()),
            Just("\"NaN\"".to_owned()), Just("true".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()),
            any::<f64>().prop_map(|number| number.to_string()), any::<u64>().prop_map(|number| format!("\"{number}\"")),
            any::<i64>().prop_map(|number| number.to_string()),
        ],
        place in any::<prop::sample::Index>(),
    ) {
        // Replaces one value behind a colon.
        let text = FRAMES[which];
        let colons: Vec<usize> = text.match_indices("\":\"").map(|(at, _)| at).collect();
        let at = colons[place.index(colons.len())] + 2;
        let end = at + 2 + text[at + 1..].find('"').unwrap();
        read_as_everything(format!("{}{number}{}", &text[..at], &text[end..]).as_bytes());
    }
}
