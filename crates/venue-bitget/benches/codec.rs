//! Time of one draft and one decoded frame, single thread, best and median of batches.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench reads the clock and prints")]

use domain::{ClientOrderId, Epoch, InstanceTag, Scaled, Sequence, Side, Symbol, TimeInForce, UnixNanos};
use messages::{PlaceOrder, SignIntent};
use std::hint::black_box;
use std::time::Instant;
use venue_api::{Draft, FeedFrame};
use venue_bitget::{AccountMode, Environment, codecs_of, with_unified_public};

const BATCHES: usize = 200;
const ROUNDS: u32 = 2_000;

fn measure(name: &str, mut step: impl FnMut()) {
    let mut nanos: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                step();
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
        })
        .collect();
    nanos.sort_by(f64::total_cmp);
    let at = |share: usize| nanos.get(BATCHES * share / 100).copied().unwrap_or(f64::NAN);
    println!("{name}: best {:.0} ns, median {:.0} ns, p99 {:.0} ns", at(0), at(50), at(99));
}

fn main() {
    let codecs = codecs_of(Environment::Production, AccountMode::Classic);
    let (Ok(epoch), Ok(sequence), Ok(symbol)) = (Epoch::new(3), Sequence::new(77), Symbol::from("BTCUSDT")) else {
        return;
    };
    let order = SignIntent::Place(PlaceOrder {
        id: ClientOrderId::new(InstanceTag::from_number(9), epoch, sequence),
        symbol,
        side: Side::Buy,
        price: Scaled { mantissa: 6_000_012, decimals: 2 },
        qty: Scaled { mantissa: 1_000, decimals: 6 },
        time_in_force: TimeInForce::PostOnly,
        effect: domain::PositionEffect::default(),
    });
    let unified =
        with_unified_public(Environment::Production, codecs_of(Environment::Production, AccountMode::Unified));
    let mut draft = Draft::default();
    for (name, codecs) in [("draft of a placed order", &codecs), ("draft of a placed order, v3", &unified)] {
        measure(name, || {
            let at = UnixNanos(1_700_000_000_123_000_000);
            let _ = black_box(codecs.signing.draft(black_box(&order), at, &mut draft));
        });
    }
    let mut frame = FeedFrame::default();
    for (name, text) in [
        ("books5, 5 levels a side", include_str!("../fixtures/feed_books5.json")),
        ("books update, 1 level a side", include_str!("../fixtures/feed_books_update.json")),
        ("two trades", include_str!("../fixtures/feed_trade.json")),
        ("books1 of v3, data first", include_str!("../fixtures/v3_feed_books1.json")),
        ("books update of v3", include_str!("../fixtures/v3_feed_books_update.json")),
        ("ticker of v3", include_str!("../fixtures/v3_feed_ticker.json")),
        ("candle", include_str!("../fixtures/feed_candle.json")),
    ] {
        measure(name, || {
            let _ = black_box(codecs.feed.decode(black_box(text.trim_end().as_bytes()), &mut frame));
        });
    }
    let push = include_str!("../fixtures/push_order_fill.json");
    measure("private order push with a fill", || {
        let _ = black_box(codecs.private.decode(black_box(push.as_bytes())));
    });
}
