//! Books and trades of the public stream, in both generations' words, read in one pass into lists that are reused.
//!
//! Facts: sheet sections 5.2 and 9. Text keeps the decimals that the venue wrote, because its checksum covers them.

use crate::scalars::{Digits, Whole, Word};
use domain::{Side, UnixNanos};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use venue_api::{BookPush, TradePush, WireLevel};

/// `data` of a book channel: exactly one book, read in place.
pub(crate) struct Books<'o>(pub(crate) &'o mut BookPush);

impl<'de> DeserializeSeed<'de> for Books<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Books<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of one book")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let present = seq.next_element_seed(OneBook(self.0))?.is_some();
        if seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(serde::de::Error::custom("more than one book"));
        }
        Ok(present)
    }
}

struct OneBook<'o>(&'o mut BookPush);

impl<'de> DeserializeSeed<'de> for OneBook<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneBook<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a book")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let book = self.0;
        let (mut bids, mut asks) = (false, false);
        while let Some(Word(key)) = map.next_key()? {
            match key {
                Some("asks" | "a") => {
                    book.asks.clear();
                    map.next_value_seed(Levels(&mut book.asks))?;
                    asks = true;
                }
                Some("bids" | "b") => {
                    book.bids.clear();
                    map.next_value_seed(Levels(&mut book.bids))?;
                    bids = true;
                }
                Some("seq") => book.seq = map.next_value::<Whole>()?.positive(),
                Some("pseq") => book.prev_seq = map.next_value::<Whole>()?.positive(),
                Some("checksum") => book.checksum = checksum(map.next_value::<Whole>()?)?,
                Some("ts") => {
                    let millis = map.next_value::<Whole>()?.positive().unwrap_or(0);
                    book.venue_time = UnixNanos::from_millis(millis);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // A side that is missing is not the same as an empty one.
        if bids && asks { Ok(()) } else { Err(serde::de::Error::custom("a side is missing")) }
    }
}

/// Signed 32 bits; some write them unsigned. Zero counts as none.
fn checksum<E: serde::de::Error>(number: Whole) -> Result<Option<i32>, E> {
    let Some(number) = number.0.filter(|number| *number != 0) else { return Ok(None) };
    let signed = i32::try_from(number).ok().or_else(|| u32::try_from(number).ok().map(u32::cast_signed));
    signed.map(Some).ok_or_else(|| E::custom("checksum"))
}

/// One side of a book.
struct Levels<'o>(&'o mut Vec<WireLevel>);

impl<'de> DeserializeSeed<'de> for Levels<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Levels<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("levels")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(OneLevel(level)) = seq.next_element()? {
            self.0.push(level);
        }
        Ok(())
    }
}

struct OneLevel(WireLevel);

impl<'de> Deserialize<'de> for OneLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LevelVisitor;
        impl<'de> Visitor<'de> for LevelVisitor {
            type Value = OneLevel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("price and quantity")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneLevel, A::Error> {
                let missing = || serde::de::Error::custom("price or quantity is missing");
                let Digits(price) = seq.next_element()?.ok_or_else(missing)?;
                let Digits(qty) = seq.next_element()?.ok_or_else(missing)?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(OneLevel(WireLevel { price, qty }))
            }
        }
        deserializer.deserialize_seq(LevelVisitor)
    }
}

/// `data` of the trade channel.
pub(crate) struct Trades<'o>(pub(crate) &'o mut Vec<TradePush>);

impl<'de> DeserializeSeed<'de> for Trades<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Trades<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("trades")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while let Some(OneTrade(trade)) = seq.next_element()? {
            self.0.push(trade);
        }
        // Pushes of several trades come newest first or oldest first; we hand them out oldest first.
        if let (Some(first), Some(last)) = (self.0.first(), self.0.last())
            && first.venue_time > last.venue_time
        {
            self.0.reverse();
        }
        Ok(true)
    }
}

struct OneTrade(TradePush);

impl<'de> Deserialize<'de> for OneTrade {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TradeVisitor;
        impl<'de> Visitor<'de> for TradeVisitor {
            type Value = OneTrade;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a trade")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OneTrade, A::Error> {
                let (mut price, mut qty, mut aggressor, mut millis) = (None, None, None, 0);
                while let Some(Word(key)) = map.next_key()? {
                    match key {
                        Some("price" | "p") => price = Some(map.next_value::<Digits>()?.0),
                        Some("size" | "v") => qty = Some(map.next_value::<Digits>()?.0),
                        Some("side" | "S") => aggressor = side(map.next_value::<Word<'de>>()?.0),
                        Some("ts" | "T") => millis = map.next_value::<Whole>()?.positive().unwrap_or(0),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let (Some(price), Some(qty), Some(aggressor)) = (price, qty, aggressor) else {
                    return Err(serde::de::Error::custom("a part of the trade is missing"));
                };
                let venue_time = UnixNanos::from_millis(millis);
                Ok(OneTrade(TradePush { price, qty, aggressor, venue_time }))
            }
        }
        deserializer.deserialize_map(TradeVisitor)
    }
}

fn side(word: Option<&str>) -> Option<Side> {
    let word = word?;
    if word.eq_ignore_ascii_case("buy") {
        Some(Side::Buy)
    } else if word.eq_ignore_ascii_case("sell") {
        Some(Side::Sell)
    } else {
        None
    }
}
