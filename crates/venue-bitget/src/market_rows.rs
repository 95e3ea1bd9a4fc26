//! Tickers and candles of the public stream, in both generations' words.
//!
//! Facts: sheet sections 5.2 and 9. Nothing is allocated beyond the lists that are reused.

use crate::loose::Loose;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use venue_api::{CandlePush, TickerPush};

/// A ticker.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TickerRow<'a> {
    #[serde(borrow, alias = "lastPrice")]
    last_pr: Loose<'a>,
    #[serde(borrow, alias = "bid1Price")]
    bid_pr: Loose<'a>,
    #[serde(borrow, alias = "bid1Size")]
    bid_sz: Loose<'a>,
    #[serde(borrow, alias = "ask1Price")]
    ask_pr: Loose<'a>,
    #[serde(borrow, alias = "ask1Size")]
    ask_sz: Loose<'a>,
    #[serde(borrow, rename = "open24h", alias = "openPrice24h")]
    open: Loose<'a>,
    #[serde(borrow, rename = "high24h", alias = "highPrice24h")]
    high: Loose<'a>,
    #[serde(borrow, rename = "low24h", alias = "lowPrice24h")]
    low: Loose<'a>,
    #[serde(borrow, alias = "volume24h")]
    base_volume: Loose<'a>,
    #[serde(borrow, alias = "turnover24h")]
    quote_volume: Loose<'a>,
    #[serde(borrow)]
    mark_price: Loose<'a>,
    #[serde(borrow)]
    index_price: Loose<'a>,
    #[serde(borrow)]
    funding_rate: Loose<'a>,
    #[serde(borrow)]
    next_funding_time: Loose<'a>,
    #[serde(borrow, alias = "openInterest")]
    holding_amount: Loose<'a>,
    #[serde(borrow)]
    ts: Loose<'a>,
}

impl TickerRow<'_> {
    fn push<E: Error>(&self) -> Result<TickerPush, E> {
        let price = |field: Loose<'_>| field.scaled().map_err(E::custom);
        let amount = |field: Loose<'_>| field.decimal().map_err(E::custom);
        Ok(TickerPush {
            last: price(self.last_pr)?,
            bid: price(self.bid_pr)?,
            bid_qty: price(self.bid_sz)?,
            ask: price(self.ask_pr)?,
            ask_qty: price(self.ask_sz)?,
            open_24h: price(self.open)?,
            high_24h: price(self.high)?,
            low_24h: price(self.low)?,
            base_volume: amount(self.base_volume)?,
            quote_volume: amount(self.quote_volume)?,
            mark: amount(self.mark_price)?,
            index: amount(self.index_price)?,
            funding_rate: amount(self.funding_rate)?,
            next_funding: self.next_funding_time.millis().filter(|at| at.0 > 0),
            open_interest: amount(self.holding_amount)?,
            venue_time: self.ts.millis().unwrap_or_default(),
        })
    }
}

/// `data` of a ticker channel: exactly one ticker, unless it is empty.
pub(crate) struct Tickers<'o>(pub(crate) &'o mut TickerPush);

impl<'de> DeserializeSeed<'de> for Tickers<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Tickers<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of one ticker")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let Some(row) = seq.next_element::<TickerRow<'de>>()? else { return Ok(false) };
        *self.0 = row.push()?;
        if seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("more than one ticker"));
        }
        Ok(true)
    }
}

/// `data` of a candle channel.
pub(crate) struct Candles<'o>(pub(crate) &'o mut Vec<CandlePush>);

impl<'de> DeserializeSeed<'de> for Candles<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Candles<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("candles")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while let Some(OneCandle(candle)) = seq.next_element()? {
            self.0.push(candle);
        }
        Ok(true)
    }
}

/// A candle of v3.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CandleRow<'a> {
    #[serde(borrow)]
    start: Loose<'a>,
    #[serde(borrow)]
    open: Loose<'a>,
    #[serde(borrow)]
    high: Loose<'a>,
    #[serde(borrow)]
    low: Loose<'a>,
    #[serde(borrow)]
    close: Loose<'a>,
    #[serde(borrow)]
    volume: Loose<'a>,
    #[serde(borrow)]
    turnover: Loose<'a>,
}

impl CandleRow<'_> {
    fn push<E: Error>(&self) -> Result<CandlePush, E> {
        let missing = || E::custom("a part of the candle is missing");
        let price = |field: Loose<'_>| field.scaled().map_err(E::custom)?.ok_or_else(missing);
        let amount =
            |field: Loose<'_>| -> Result<Decimal, E> { field.decimal().map_err(E::custom)?.ok_or_else(missing) };
        Ok(CandlePush {
            start: self.start.millis().ok_or_else(missing)?,
            open: price(self.open)?,
            high: price(self.high)?,
            low: price(self.low)?,
            close: price(self.close)?,
            base_volume: amount(self.volume)?,
            quote_volume: amount(self.turnover)?,
        })
    }
}

/// A candle: a row of columns in v2 (start, open, high, low, close, base, quote, and on streams the volume in USDT), an
/// object in v3.
struct OneCandle(CandlePush);

impl<'de> Deserialize<'de> for OneCandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CandleVisitor;
        impl<'de> Visitor<'de> for CandleVisitor {
            type Value = OneCandle;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a candle")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneCandle, A::Error> {
                let mut column =
                    || seq.next_element::<Loose<'de>>()?.ok_or_else(|| A::Error::custom("a column is missing"));
                let row = CandleRow {
                    start: column()?,
                    open: column()?,
                    high: column()?,
                    low: column()?,
                    close: column()?,
                    volume: column()?,
                    turnover: column()?,
                };
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                row.push().map(OneCandle)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneCandle, A::Error> {
                CandleRow::deserialize(MapAccessDeserializer::new(map))?.push().map(OneCandle)
            }
        }
        deserializer.deserialize_any(CandleVisitor)
    }
}
