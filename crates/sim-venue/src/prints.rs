//! What was traded: the last trades, candles by the minute and by the hour, and the day's figures of one instrument.

use crate::intervals::{DAY_MS, Interval};
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

/// One candle; volumes are mantissas (quote: in price and quantity decimals together).
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
    /// The first price of the running day in Greenwich.
    pub(crate) open_utc: i64,
}

/// Trades of one instrument.
#[derive(Debug, Default)]
pub(crate) struct Prints {
    recent: VecDeque<Print>,
    minutes: VecDeque<Candle>,
    hours: VecDeque<Candle>,
}

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: u64 = 60_000;
/// Milliseconds of an hour.
pub(crate) const HOUR_MS: u64 = 60 * MINUTE_MS;

impl Prints {
    /// Trades remembered.
    const RECENT_MAX: usize = 1_000;
    /// Minutes remembered: three days.
    pub(crate) const MINUTES_MAX: usize = 3 * 1_440;
    /// Hours remembered: a hundred days.
    pub(crate) const HOURS_MAX: usize = 100 * 24;

    /// Puts candles before the first trade: what the instrument did before the venue opened.
    pub(crate) fn precede(&mut self, minutes: Vec<Candle>, hours: Vec<Candle>) {
        put_before(&mut self.minutes, minutes, Self::MINUTES_MAX);
        put_before(&mut self.hours, hours, Self::HOURS_MAX);
    }

    pub(crate) fn record(&mut self, trade: &Trade, now_ms: u64) -> Print {
        let print = Print { id: trade.id.0, price: trade.price, qty: trade.qty, side: trade.taker_side, at_ms: now_ms };
        if self.recent.len() >= Self::RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(print);
        add(&mut self.minutes, &print, MINUTE_MS, Self::MINUTES_MAX);
        add(&mut self.hours, &print, HOUR_MS, Self::HOURS_MAX);
        print
    }

    /// The last trades, newest first.
    pub(crate) fn recent(&self, count: usize) -> impl Iterator<Item = &Print> + '_ {
        self.recent.iter().rev().take(count)
    }

    /// The price of the first trade.
    pub(crate) fn first(&self) -> Option<Price> {
        self.minutes.front().map(|minute| Price(minute.open))
    }

    pub(crate) fn day(&self, now_ms: u64) -> Option<Day> {
        let since = now_ms.saturating_sub(DAY_MS);
        let midnight = now_ms - now_ms % DAY_MS;
        let recent = self.minutes.iter().rev().take_while(|minute| minute.start_ms + MINUTE_MS > since);
        let mut sum: Option<Candle> = None;
        let mut open_utc = None;
        for minute in recent {
            match &mut sum {
                None => sum = Some(*minute),
                Some(sum) => merge_before(sum, minute),
            }
            if minute.start_ms >= midnight {
                open_utc = Some(minute.open);
            }
        }
        let sum = sum?;
        Some(Day {
            open: sum.open,
            high: sum.high,
            low: sum.low,
            last: sum.close,
            base: sum.base,
            quote: sum.quote,
            open_utc: open_utc.unwrap_or(sum.close),
        })
    }

    /// Candles, oldest first: the last `count` of those that begin in the range.
    pub(crate) fn candles(&self, interval: Interval, range_ms: (u64, u64), count: usize) -> Vec<Candle> {
        let parts = if interval.is_short() { &self.minutes } else { &self.hours };
        let mut candles: Vec<Candle> = Vec::new();
        for part in parts.iter().rev() {
            let start_ms = interval.start(part.start_ms);
            if start_ms >= range_ms.1 {
                continue;
            }
            if start_ms < range_ms.0 {
                break;
            }
            let full = candles.len() == count;
            match candles.last_mut().filter(|last| last.start_ms == start_ms) {
                Some(last) => {
                    merge_before(last, part);
                    last.start_ms = start_ms;
                }
                None if full => break,
                None => candles.push(Candle { start_ms, ..*part }),
            }
        }
        candles.reverse();
        candles
    }
}

fn put_before(candles: &mut VecDeque<Candle>, earlier: Vec<Candle>, max: usize) {
    for candle in earlier.into_iter().rev() {
        if candles.len() >= max {
            return;
        }
        match candles.front_mut() {
            Some(first) if first.start_ms == candle.start_ms => merge_before(first, &candle),
            Some(first) if first.start_ms < candle.start_ms => {}
            _ => candles.push_front(candle),
        }
    }
}

/// Adds a trade to the running candle; spans without any trade are candles without volume.
fn add(candles: &mut VecDeque<Candle>, print: &Print, length_ms: u64, max: usize) {
    let (price, base) = (print.price.0, i128::from(print.qty.0));
    let quote = i128::from(price) * base;
    let start_ms = print.at_ms - print.at_ms % length_ms;
    let fresh = Candle { start_ms, open: price, high: price, low: price, close: price, base, quote };
    let Some(last) = candles.back_mut() else {
        candles.push_back(fresh);
        return;
    };
    if last.start_ms >= start_ms {
        merge_after(last, &fresh);
        return;
    }
    let (close, last_ms) = (last.close, last.start_ms);
    let silent = (start_ms - last_ms) / length_ms - 1;
    let silent = silent.min(u64::try_from(max).unwrap_or(u64::MAX));
    let flat = (1..=silent).rev().map(|back| Candle {
        start_ms: start_ms - back * length_ms,
        open: close,
        high: close,
        low: close,
        close,
        base: 0,
        quote: 0,
    });
    candles.extend(flat);
    candles.push_back(fresh);
    while candles.len() > max {
        candles.pop_front();
    }
}

fn merge_after(into: &mut Candle, later: &Candle) {
    into.high = into.high.max(later.high);
    into.low = into.low.min(later.low);
    into.close = later.close;
    into.base += later.base;
    into.quote += later.quote;
}

fn merge_before(into: &mut Candle, earlier: &Candle) {
    into.start_ms = earlier.start_ms;
    into.high = into.high.max(earlier.high);
    into.low = into.low.min(earlier.low);
    into.open = earlier.open;
    into.base += earlier.base;
    into.quote += earlier.quote;
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
            pnl: Atoms::ZERO,
            closed: Qty(0),
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

    fn interval(name: &str) -> Interval {
        Interval::of_general(name).unwrap()
    }

    #[test]
    fn candles_merge_minutes_and_the_day_merges_all() {
        let mut prints = Prints::default();
        for (number, (minute, price)) in [(0_u64, 100), (0, 110), (1, 90), (5, 95)].into_iter().enumerate() {
            prints.record(&trade(number as u64, price, 2), minute * MINUTE_MS + 7);
        }
        let fives = prints.candles(interval("5m"), (0, u64::MAX), 10);
        assert_eq!(fives.len(), 2);
        assert_eq!((fives[0].open, fives[0].high, fives[0].low, fives[0].close, fives[0].base), (100, 110, 90, 90, 6));
        assert_eq!(prints.candles(interval("1m"), (0, u64::MAX), 2).len(), 2);
        let day = prints.day(6 * MINUTE_MS).unwrap();
        assert_eq!((day.open, day.high, day.low, day.last, day.base, day.quote), (100, 110, 90, 95, 8, 790));
        assert_eq!(day.open_utc, 100);
        let hours = prints.candles(interval("1H"), (0, u64::MAX), 10);
        assert_eq!((hours.len(), hours[0].start_ms, hours[0].base), (1, 0, 8));
    }

    #[test]
    fn silent_minutes_are_flat_candles() {
        let mut prints = Prints::default();
        prints.record(&trade(1, 100, 2), 7);
        prints.record(&trade(2, 110, 2), 3 * MINUTE_MS);
        let rows = prints.candles(interval("1m"), (0, u64::MAX), 10);
        let told: Vec<(u64, i64, i128)> =
            rows.iter().map(|row| (row.start_ms / MINUTE_MS, row.close, row.base)).collect();
        assert_eq!(told, [(0, 100, 2), (1, 100, 0), (2, 100, 0), (3, 110, 2)]);
        prints.record(&trade(3, 120, 2), u64::from(u32::MAX) * MINUTE_MS);
        assert!(prints.candles(interval("1m"), (0, u64::MAX), usize::MAX).len() <= Prints::MINUTES_MAX);
    }

    #[test]
    fn a_range_is_cut_at_both_ends_and_the_last_rows_win() {
        let mut prints = Prints::default();
        for minute in 0..10 {
            prints.record(&trade(minute, 100, 1), minute * MINUTE_MS);
        }
        let starts = |range, count| {
            prints.candles(interval("1m"), range, count).iter().map(|row| row.start_ms / MINUTE_MS).collect::<Vec<_>>()
        };
        assert_eq!(starts((2 * MINUTE_MS, 6 * MINUTE_MS), 10), [2, 3, 4, 5]);
        assert_eq!(starts((0, u64::MAX), 3), [7, 8, 9]);
    }

    #[test]
    fn what_came_before_joins_the_first_trade() {
        let mut prints = Prints::default();
        prints.record(&trade(1, 100, 2), 5 * MINUTE_MS + 30_000);
        let candle = |minute: u64, close| Candle {
            start_ms: minute * MINUTE_MS,
            open: close,
            high: close,
            low: close,
            close,
            base: 1,
            quote: 1,
        };
        prints.precede(vec![candle(4, 90), candle(5, 95)], Vec::new());
        let rows = prints.candles(interval("1m"), (0, u64::MAX), 10);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[1].open, rows[1].close, rows[1].low, rows[1].base), (95, 100, 95, 3));
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
