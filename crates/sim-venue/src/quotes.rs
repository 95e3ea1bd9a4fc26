//! Market data as texts, before a dialect puts names on them.

use crate::Category;
use crate::call::Call;
use crate::depth::{price_text, qty_text};
use crate::prints::{Candle, Day};
use crate::reject::Reject;
use crate::venue::{Instrument, Venue};
use domain::{Price, Qty, Side};
use matching::{Atoms, Depth, Listing};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

/// The figures of a ticker.
pub(crate) struct Figures {
    pub(crate) last: String,
    pub(crate) open: String,
    pub(crate) high: String,
    pub(crate) low: String,
    /// The first price since midnight in Greenwich.
    pub(crate) open_utc: String,
    pub(crate) bid: String,
    pub(crate) bid_size: String,
    pub(crate) ask: String,
    pub(crate) ask_size: String,
    /// Volume of 24 hours in base.
    pub(crate) base: String,
    /// Volume of 24 hours in quote.
    pub(crate) quote: String,
    /// Change in 24 hours, a fraction.
    pub(crate) change: String,
    /// Change since midnight in Greenwich, a fraction.
    pub(crate) change_utc: String,
    pub(crate) ts: String,
}

/// A candle as texts.
pub(crate) struct CandleTexts {
    pub(crate) start: String,
    pub(crate) open: String,
    pub(crate) high: String,
    pub(crate) low: String,
    pub(crate) close: String,
    pub(crate) base: String,
    pub(crate) quote: String,
}

/// One side of a book, merged to a price step: price and quantity mantissas, best first.
type Merged = Vec<(Price, Qty)>;

fn volume(mantissa: i128, decimals: u8) -> String {
    Atoms::from_mantissa(mantissa, u32::from(decimals)).unwrap_or_default().to_string()
}

impl CandleTexts {
    pub(crate) fn of(candle: &Candle, listing: &Listing) -> Self {
        let price = |mantissa: i64| price_text(Price(mantissa), listing).to_string();
        Self {
            start: candle.start_ms.to_string(),
            open: price(candle.open),
            high: price(candle.high),
            low: price(candle.low),
            close: price(candle.close),
            base: volume(candle.base, listing.qty_decimals),
            quote: volume(candle.quote, listing.price_decimals + listing.qty_decimals),
        }
    }

    /// Eight texts, as v2 shows spot candles and streams all of them.
    pub(crate) fn eight(self) -> Value {
        let quote = self.quote.clone();
        json!([self.start, self.open, self.high, self.low, self.close, self.base, self.quote, quote])
    }

    /// Seven texts, as v2 shows futures candles and v3 all of them.
    pub(crate) fn seven(self) -> Value {
        json!([self.start, self.open, self.high, self.low, self.close, self.base, self.quote])
    }
}

impl Venue {
    /// The ticker of an instrument.
    pub(crate) fn figures(&self, instrument: &Instrument) -> Figures {
        let (listing, now_ms) = (&instrument.listing, self.now_ms());
        let book = self.engine.book(instrument.id);
        let (bid, ask) = (book.and_then(matching::Book::best_bid), book.and_then(matching::Book::best_ask));
        let price = |mantissa: i64| price_text(Price(mantissa), listing).to_string();
        let qty = |depth: Option<Depth>| qty_text(depth.map_or(Qty::ZERO, |depth| depth.qty), listing).to_string();
        let side = |depth: Option<Depth>| price(depth.map_or(0, |depth| depth.price.0));
        let day = instrument.prints.day(now_ms);
        let since = |first: fn(Day) -> i64| {
            let pair = day.map(|day| (first(day), day.last)).filter(|(first, _)| *first > 0);
            let change = pair.map_or(Decimal::ZERO, |(first, last)| Decimal::from(last - first) / Decimal::from(first));
            change.round_dp(5).to_string()
        };
        // Before its first trade an instrument of a recording has a book and no price; the middle of the book stands in.
        let middle = bid.zip(ask).map_or(0, |(bid, ask)| i64::midpoint(bid.price.0, ask.price.0));
        let figure = |pick: fn(Day) -> i64| price(day.map_or(middle, pick));
        Figures {
            last: figure(|day| day.last),
            open: figure(|day| day.open),
            high: figure(|day| day.high),
            low: figure(|day| day.low),
            open_utc: figure(|day| day.open_utc),
            bid: side(bid),
            bid_size: qty(bid),
            ask: side(ask),
            ask_size: qty(ask),
            base: volume(day.map_or(0, |day| day.base), listing.qty_decimals),
            quote: volume(day.map_or(0, |day| day.quote), listing.price_decimals + listing.qty_decimals),
            change: since(|day| day.open),
            change_utc: since(|day| day.open_utc),
            ts: now_ms.to_string(),
        }
    }

    /// One side of a book, `width` mantissas to a step, at most `count` steps.
    pub(crate) fn merged(&self, instrument: &Instrument, side: Side, width: i64, count: usize) -> Merged {
        let width = width.max(1);
        let mut merged: Merged = Vec::new();
        let book = self.engine.book(instrument.id);
        for depth in book.into_iter().flat_map(|book| book.depth(side)) {
            let down = depth.price.0 - depth.price.0 % width;
            let price = Price(if side == Side::Sell && down != depth.price.0 { down + width } else { down });
            let full = merged.len() == count;
            match merged.last_mut().filter(|last| last.0 == price) {
                Some(last) => last.1 = Qty(last.1.0.saturating_add(depth.qty.0)),
                None if full => break,
                None => merged.push((price, depth.qty)),
            }
        }
        merged
    }

    /// The instrument that a query names.
    pub(crate) fn asked(&self, category: Category, call: &Call) -> Result<&Instrument, Reject> {
        let symbol = call.needed("symbol")?;
        self.find(category, symbol).ok_or_else(|| Reject::unknown_symbol(symbol))
    }

    /// All instruments of a category, or the one that a query names.
    pub(crate) fn asked_or_all(&self, category: Category, call: &Call) -> Result<Vec<&Instrument>, Reject> {
        if call.given("symbol").is_some() {
            return self.asked(category, call).map(|instrument| vec![instrument]);
        }
        Ok(self.listed(category).collect())
    }
}

/// Prices and quantities as texts.
pub(crate) fn as_texts(side: &Merged, listing: &Listing) -> Value {
    side.iter().map(|(price, qty)| json!([price_text(*price, listing), qty_text(*qty, listing)])).collect()
}

/// Prices and quantities as bare numbers.
pub(crate) fn as_numbers(side: &Merged, listing: &Listing) -> Value {
    let number = |mantissa: i64, decimals: u8| {
        Decimal::new(mantissa, u32::from(decimals)).to_f64().and_then(serde_json::Number::from_f64)
    };
    side.iter()
        .map(|(price, qty)| json!([number(price.0, listing.price_decimals), number(qty.0, listing.qty_decimals)]))
        .collect()
}

/// What `scale0` to `scale3` mean for an instrument: the width of a step, and its text.
pub(crate) fn scale(call: &Call, listing: &Listing) -> Result<(u32, i64, String), Reject> {
    let word = call.given("precision").unwrap_or("scale0").to_ascii_lowercase();
    let step = word.strip_prefix("scale").and_then(|step| step.parse::<u32>().ok()).filter(|step| *step <= 3);
    let step = step.ok_or_else(|| Reject::invalid("precision"))?;
    let width = listing.tick.max(1) * 10_i64.pow(step);
    let text = Decimal::new(width, u32::from(listing.price_decimals)).normalize().to_string();
    Ok((step, width, text))
}

/// How many steps of a merged book are wanted: a number, or `max`.
pub(crate) fn merged_limit(call: &Call, max: usize) -> Result<usize, Reject> {
    if call.given("limit").is_some_and(|word| word.eq_ignore_ascii_case("max")) {
        return Ok(max);
    }
    call.limit(100.min(max), max)
}
