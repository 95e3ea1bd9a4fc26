//! What was traded: the last trades, minute candles and the day's figures of one instrument.

use domain::{Price, Qty, Side};
use matching::Trade;
use std::collections::VecDeque;

/// One public trade.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Print {
    pub(crate) id: u64,
    pub(crate) price: Price,
    pub(crate) qty: Qty,
    pub(crate) side: Side,
    pub(crate) at_ms: u64,
}

/// One minute, or several merged; volumes are mantissas (quote: in price and quantity decimals together).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candle {
    pub(crate) start_ms: u64,
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) base: i128,
    pub(crate) quote: i128,
}

/// The last 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) last: i64,
    pub(crate) base: i128,
    pub(crate) quote: i128,
}

/// Trades of one instrument.
#[derive(Debug, Default)]
pub(crate) struct Prints {
    recent: VecDeque<Print>,
    minutes: VecDeque<Candle>,
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

impl Prints {
    /// Trades remembered.
    const RECENT_MAX: usize = 1_000;
    /// Minutes remembered: one day.
    const MINUTES_MAX: usize = 1_440;

    pub(crate) fn record(&mut self, trade: &Trade, now_ms: u64) -> Print {
        let print = Print { id: trade.id.0, price: trade.price, qty: trade.qty, side: trade.taker_side, at_ms: now_ms };
        if self.recent.len() >= Self::RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(print);
        let (price, base) = (trade.price.0, i128::from(trade.qty.0));
        let quote = i128::from(price) * base;
        let start_ms = now_ms - now_ms % MINUTE_MS;
        let minute = Candle { start_ms, open: price, high: price, low: price, close: price, base, quote };
        match self.minutes.back_mut().filter(|last| last.start_ms >= start_ms) {
            Some(last) => merge(last, &minute),
            None => {
                if self.minutes.len() >= Self::MINUTES_MAX {
                    self.minutes.pop_front();
                }
                self.minutes.push_back(minute);
            }
        }
        print
    }

    /// The last trades, newest first.
    pub(crate) fn recent(&self, count: usize) -> impl Iterator<Item = &Print> + '_ {
        self.recent.iter().rev().take(count)
    }

    pub(crate) fn day(&self, now_ms: u64) -> Option<Day> {
        let since = now_ms.saturating_sub(DAY_MS);
        let mut minutes = self.minutes.iter().filter(|minute| minute.start_ms + MINUTE_MS > since);
        let mut sum = *minutes.next()?;
        for minute in minutes {
            merge(&mut sum, minute);
        }
        Some(Day { open: sum.open, high: sum.high, low: sum.low, last: sum.close, base: sum.base, quote: sum.quote })
    }

    /// Candles of `minutes` each, oldest first, the last `count` of those that begin in the range.
    pub(crate) fn candles(&self, minutes: u64, range_ms: (u64, u64), count: usize) -> Vec<Candle> {
        let length = minutes.max(1) * MINUTE_MS;
        let mut candles: Vec<Candle> = Vec::new();
        for minute in &self.minutes {
            let start_ms = minute.start_ms - minute.start_ms % length;
            match candles.last_mut().filter(|last| last.start_ms == start_ms) {
                Some(last) => merge(last, minute),
                None => candles.push(Candle { start_ms, ..*minute }),
            }
        }
        candles.retain(|candle| candle.start_ms >= range_ms.0 && candle.start_ms < range_ms.1);
        candles.split_off(candles.len().saturating_sub(count))
    }
}

fn merge(into: &mut Candle, later: &Candle) {
    into.high = into.high.max(later.high);
    into.low = into.low.min(later.low);
    into.close = later.close;
    into.base += later.base;
    into.quote += later.quote;
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Asset, InstrumentId, UnixNanos};
    use matching::{AccountId, Atoms, OrderId, Party, TradeId};

    fn trade(id: u64, price: i64, qty: i64) -> Trade {
        let party = |order| Party {
            order: OrderId(order),
            account: AccountId(0),
            fee: Atoms::ZERO,
            fee_asset: Asset::from("BTC").unwrap(),
        };
        Trade {
            id: TradeId(id),
            instrument: InstrumentId(0),
            price: Price(price),
            qty: Qty(qty),
            notional: Atoms::ZERO,
            taker_side: Side::Buy,
            maker: party(1),
            taker: party(2),
            at: UnixNanos(0),
        }
    }

    #[test]
    fn candles_merge_minutes_and_the_day_merges_all() {
        let mut prints = Prints::default();
        for (number, (minute, price)) in [(0_u64, 100), (0, 110), (1, 90), (5, 95)].into_iter().enumerate() {
            prints.record(&trade(number as u64, price, 2), minute * MINUTE_MS + 7);
        }
        let fives = prints.candles(5, (0, u64::MAX), 10);
        assert_eq!(fives.len(), 2);
        assert_eq!((fives[0].open, fives[0].high, fives[0].low, fives[0].close, fives[0].base), (100, 110, 90, 90, 6));
        assert_eq!(prints.candles(1, (0, u64::MAX), 2).len(), 2);
        let day = prints.day(6 * MINUTE_MS).unwrap();
        assert_eq!((day.open, day.high, day.low, day.last, day.base, day.quote), (100, 110, 90, 95, 8, 790));
    }

    #[test]
    fn only_the_last_trades_are_kept() {
        let mut prints = Prints::default();
        for id in 0..2_000 {
            prints.record(&trade(id, 100, 1), 1);
        }
        assert_eq!(prints.recent(usize::MAX).count(), Prints::RECENT_MAX);
        assert_eq!(prints.recent(1).next().unwrap().id, 1_999);
    }
}
