//! What a seeded instrument did before the venue opened: candles of a random walk that ends at the first trade.
//!
//! It comes from the seed alone. Nobody traded it; it is there so that charts and indicators have
//! something to begin with.

use crate::intervals::DAY_MS;
use crate::prints::{Candle, HOUR_MS, MINUTE_MS, Prints};
use matching::Listing;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How far the price moves in a minute, one standard deviation, as a fraction.
const MOVE_PER_MINUTE: f64 = 0.000_4;
/// How strongly the walk is pulled to its end, per minute.
const PULL_PER_MINUTE: f64 = 1.0 / 20_000.0;
/// What is traded in a minute on average, in quote.
const VALUE_PER_MINUTE: f64 = 20_000.0;

/// Minutes and hours before `now_ms`, oldest first, ending at `last` (a price mantissa).
pub(crate) fn before(seed: u64, listing: &Listing, last: i64, now_ms: u64) -> (Vec<Candle>, Vec<Candle>) {
    let mut walk = Walk {
        rng: ChaCha8Rng::seed_from_u64(seed),
        end: last as f64,
        displacement: 0.0,
        price_scale: 10_f64.powi(i32::from(listing.price_decimals)),
        qty_scale: 10_f64.powi(i32::from(listing.qty_decimals)),
    };
    let minutes = walk.back(now_ms - now_ms % MINUTE_MS, MINUTE_MS, Prints::MINUTES_MAX);
    let mut hours: Vec<Candle> = Vec::new();
    for minute in &minutes {
        let start_ms = minute.start_ms - minute.start_ms % HOUR_MS;
        match hours.last_mut().filter(|hour| hour.start_ms == start_ms) {
            Some(hour) => {
                hour.high = hour.high.max(minute.high);
                hour.low = hour.low.min(minute.low);
                hour.close = minute.close;
                hour.base += minute.base;
                hour.quote += minute.quote;
            }
            None => hours.push(Candle { start_ms, ..*minute }),
        }
    }
    let first_ms = hours.first().map_or(now_ms, |hour| hour.start_ms);
    let mut older = walk.back(first_ms, HOUR_MS, Prints::HOURS_MAX.saturating_sub(hours.len()));
    older.append(&mut hours);
    (minutes, older)
}

/// A walk backwards in time.
struct Walk {
    rng: ChaCha8Rng,
    end: f64,
    displacement: f64,
    price_scale: f64,
    qty_scale: f64,
}

impl Walk {
    /// `count` candles that end at `until_ms`, oldest first; never before the epoch's first day.
    fn back(&mut self, until_ms: u64, length_ms: u64, count: usize) -> Vec<Candle> {
        let minutes = (length_ms / MINUTE_MS) as f64;
        let mut candles = Vec::with_capacity(count);
        let mut start_ms = until_ms;
        for _ in 0..count {
            start_ms = start_ms.saturating_sub(length_ms);
            if start_ms < DAY_MS {
                break;
            }
            let close = self.price();
            let normal: f64 = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
            self.displacement -= self.displacement * (PULL_PER_MINUTE * minutes).min(0.5);
            self.displacement += normal * MOVE_PER_MINUTE * minutes.sqrt();
            let open = self.price();
            let mut reach = || (self.rng.random::<f64>() * MOVE_PER_MINUTE * minutes.sqrt() * self.end) as i64;
            let (high, low) = (open.max(close) + reach(), (open.min(close) - reach()).max(1));
            let value = VALUE_PER_MINUTE * minutes * (0.4 + 1.2 * self.rng.random::<f64>());
            let middle = (open as f64 + close as f64) / 2.0;
            let base = ((value * self.price_scale / middle * self.qty_scale) as i128).max(1);
            let quote = base * i128::from((open + close) / 2);
            candles.push(Candle { start_ms, open, high, low, close, base, quote });
        }
        candles.reverse();
        candles
    }

    fn price(&self) -> i64 {
        ((self.end * self.displacement.exp()).round() as i64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Asset;

    fn listing() -> Listing {
        let (base, quote) = (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap());
        Listing { base, quote, price_decimals: 2, qty_decimals: 6, tick: 1, lot: 1 }
    }

    #[test]
    fn the_past_is_whole_ends_at_the_present_and_comes_from_the_seed() {
        let now_ms = 1_700_000_012_345;
        let (minutes, hours) = before(3, &listing(), 6_000_000, now_ms);
        assert_eq!((minutes.len(), hours.len()), (Prints::MINUTES_MAX, Prints::HOURS_MAX));
        assert_eq!(minutes.last().unwrap().close, 6_000_000);
        assert_eq!(minutes.last().unwrap().start_ms, now_ms - now_ms % MINUTE_MS - MINUTE_MS);
        for (rows, length) in [(&minutes, MINUTE_MS), (&hours, HOUR_MS)] {
            for pair in rows.windows(2) {
                assert_eq!(pair[0].start_ms + length, pair[1].start_ms);
                assert_eq!(pair[0].close, pair[1].open);
            }
            assert!(rows.iter().all(|row| row.low >= 1 && row.low <= row.open.min(row.close)));
            assert!(rows.iter().all(|row| row.high >= row.open.max(row.close) && row.base > 0));
        }
        let (again, _) = before(3, &listing(), 6_000_000, now_ms);
        assert_eq!(again, minutes);
        assert_ne!(before(4, &listing(), 6_000_000, now_ms).0, minutes);
    }
}
