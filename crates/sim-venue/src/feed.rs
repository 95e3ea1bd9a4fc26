//! Market data as the venue publishes it: books, tickers, trades and candles.

use crate::depth::{SHORT_DEPTHS, price_text, qty_text};
use crate::hub::Topic;
use crate::intervals::INTERVALS;
use crate::prints::{Candle, Day, Print};
use crate::venue::{Instrument, Venue};
use domain::{Price, Qty};
use matching::{Atoms, Depth, Listing};
use rust_decimal::Decimal;
use serde_json::{Value, json};

impl Venue {
    pub(crate) fn publish_books(&mut self) {
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            let Some(book) = self.engine.book(instrument.id) else { continue };
            let Some(update) = instrument.published.advance(book, &instrument.listing, now_ms) else {
                continue;
            };
            instrument.ticker_changed = true;
            self.hub.publish(Topic::Books(instrument.id), "update", &update.data, now_ms);
            for (depth, changed) in SHORT_DEPTHS.into_iter().zip(update.changed_within) {
                let topic = Topic::ShortBook(instrument.id, depth);
                if changed && self.hub.has_listener(topic) {
                    let data = instrument.published.snapshot(&instrument.listing, depth, now_ms);
                    self.hub.publish(topic, "snapshot", &data, now_ms);
                }
            }
        }
    }

    pub(crate) fn publish_tickers(&mut self) {
        let now_ms = self.now_ms();
        for position in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get_mut(position) else { continue };
            let topic = Topic::Ticker(instrument.id);
            if std::mem::take(&mut instrument.ticker_changed) && self.hub.has_listener(topic) {
                let data = self.instruments.get(position).map(|instrument| self.ticker_push(instrument));
                self.hub.publish(topic, "snapshot", &data.unwrap_or_default(), now_ms);
            }
        }
    }

    pub(crate) fn publish_candles(&mut self) {
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            if !std::mem::take(&mut instrument.candle_changed) {
                continue;
            }
            for (_, _, interval) in INTERVALS {
                let topic = Topic::Candle(instrument.id, interval);
                if self.hub.has_listener(topic) {
                    let last = instrument.prints.candles(interval, (0, u64::MAX), 1);
                    let rows: Vec<String> =
                        last.iter().map(|candle| candle_row(candle, &instrument.listing).to_string()).collect();
                    self.hub.publish(topic, "update", &rows.join(","), now_ms);
                }
            }
        }
    }

    /// The ticker as its channel shows it.
    pub(crate) fn ticker_push(&self, instrument: &Instrument) -> String {
        let mut ticker = self.ticker(instrument);
        if let Some(members) = ticker.as_object_mut() {
            members.remove("symbol");
            members.remove("usdtVolume");
            let open = members.remove("open");
            members.insert("open24h".into(), open.unwrap_or_default());
            members.insert("instId".into(), json!(instrument.config.symbol));
        }
        ticker.to_string()
    }

    /// The ticker as REST shows it.
    pub(crate) fn ticker(&self, instrument: &Instrument) -> Value {
        let (listing, now_ms) = (&instrument.listing, self.now_ms());
        let book = self.engine.book(instrument.id);
        let (bid, ask) = (book.and_then(matching::Book::best_bid), book.and_then(matching::Book::best_ask));
        let price = |mantissa: i64| price_text(Price(mantissa), listing).to_string();
        let qty = |depth: Option<Depth>| qty_text(depth.map_or(Qty::ZERO, |depth| depth.qty), listing).to_string();
        let side = |depth: Option<Depth>| price(depth.map_or(0, |depth| depth.price.0));
        let day = instrument.prints.day(now_ms);
        let volume = |mantissa: i128, decimals: u8| {
            Atoms::from_mantissa(mantissa, u32::from(decimals)).unwrap_or_default().to_string()
        };
        let quote_decimals = listing.price_decimals + listing.qty_decimals;
        let since = |first: fn(Day) -> i64| {
            let change = day.map(|day| (first(day), day.last)).filter(|(first, _)| *first > 0);
            change
                .map_or(Decimal::ZERO, |(first, last)| (Decimal::from(last - first) / Decimal::from(first)).round_dp(5))
                .to_string()
        };
        let figure = |pick: fn(Day) -> i64| price(day.map_or(0, pick));
        let quote = volume(day.map_or(0, |day| day.quote), quote_decimals);
        json!({
            "symbol": instrument.config.symbol, "high24h": figure(|day| day.high), "open": figure(|day| day.open),
            "low24h": figure(|day| day.low), "lastPr": figure(|day| day.last), "quoteVolume": quote,
            "baseVolume": volume(day.map_or(0, |day| day.base), listing.qty_decimals), "usdtVolume": quote,
            "bidPr": side(bid), "askPr": side(ask), "bidSz": qty(bid), "askSz": qty(ask),
            "openUtc": figure(|day| day.open_utc), "ts": now_ms.to_string(),
            "changeUtc24h": since(|day| day.open_utc), "change24h": since(|day| day.open),
        })
    }
}

/// A public trade as the `trade` channel shows it.
pub(crate) fn trade_item(print: &Print, listing: &Listing) -> String {
    let (price, size) = (price_text(print.price, listing), qty_text(print.qty, listing));
    let (at, side, id) = (print.at_ms, print.side, print.id);
    format!("{{\"ts\":\"{at}\",\"price\":\"{price}\",\"size\":\"{size}\",\"side\":\"{side}\",\"tradeId\":\"{id}\"}}")
}

/// A candle as the venue shows it: eight texts.
pub(crate) fn candle_row(candle: &Candle, listing: &Listing) -> Value {
    let price = |mantissa: i64| price_text(Price(mantissa), listing).to_string();
    let volume = |mantissa: i128, decimals: u8| {
        Atoms::from_mantissa(mantissa, u32::from(decimals)).unwrap_or_default().to_string()
    };
    let quote = volume(candle.quote, listing.price_decimals + listing.qty_decimals);
    json!([
        candle.start_ms.to_string(),
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        volume(candle.base, listing.qty_decimals),
        quote,
        quote,
    ])
}
