//! The public stream: subscriptions out, books, trades, tickers and candles in.
//!
//! Facts: sheet sections 5.1, 5.2 and 9. Both generations are read by one reader, which knows the words of both; they
//! differ in what is written. Books are read in one pass, digits straight into [`Scaled`], into lists that are reused.
//! Invariants: a frame of a channel that we know is read whole or is an error; nothing else is an error; text keeps the
//! decimals that the venue wrote, because its checksum covers them.

use crate::errors::{self, CLOSING_SOON};
use crate::frame::{PONG, frames};
use crate::loose::Loose;
use crate::symbols::{VenueMarket as _, venue_name};
use crate::v2::Classic;
use crate::v3::Unified;
use crate::{PING_EVERY, fast, market_rows};
use domain::{Market, Scaled, Side, UnixNanos};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::time::Duration;
use venue_api::{
    BookPush, CandleInterval, Channel, FeedCodec, FeedFrame, FeedFrameKind, FrameError, Subscription, TradePush,
    WireLevel,
};

impl FeedCodec for Classic {
    fn has(&self, channel: Channel) -> bool {
        channel != Channel::Book50
    }

    fn subscribe(&self, wanted: &[Subscription]) -> Vec<String> {
        frames("subscribe", wanted.iter().filter(|wanted| self.has(wanted.channel)).map(classic_argument))
    }

    fn unsubscribe(&self, ended: &[Subscription]) -> Vec<String> {
        frames("unsubscribe", ended.iter().filter(|ended| self.has(ended.channel)).map(classic_argument))
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", PING_EVERY)
    }

    fn decode(&self, frame: &[u8], out: &mut FeedFrame) -> Result<(), FrameError> {
        decode(frame, out)
    }
}

impl FeedCodec for Unified {
    fn has(&self, channel: Channel) -> bool {
        channel != Channel::Book15
    }

    fn subscribe(&self, wanted: &[Subscription]) -> Vec<String> {
        frames("subscribe", wanted.iter().filter(|wanted| self.has(wanted.channel)).map(unified_argument))
    }

    fn unsubscribe(&self, ended: &[Subscription]) -> Vec<String> {
        frames("unsubscribe", ended.iter().filter(|ended| self.has(ended.channel)).map(unified_argument))
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", PING_EVERY)
    }

    fn decode(&self, frame: &[u8], out: &mut FeedFrame) -> Result<(), FrameError> {
        decode(frame, out)
    }
}

/// Reads one frame of either generation.
fn decode(frame: &[u8], out: &mut FeedFrame) -> Result<(), FrameError> {
    out.clear();
    if frame == PONG {
        out.kind = FeedFrameKind::Pong;
        return Ok(());
    }
    if fast::book(frame, out).is_some() {
        return Ok(());
    }
    out.clear();
    general(frame, out)
}

/// Reads any frame. `out` is empty before.
pub(crate) fn general(frame: &[u8], out: &mut FeedFrame) -> Result<(), FrameError> {
    let text = std::str::from_utf8(frame).map_err(|_| FrameError("not UTF-8"))?;
    let mut head = read_frame(text, out, None)?;
    if head.data_came_first {
        // JSON has no order of members: now that the channel is known, read again.
        let topic = head.topic;
        head = read_frame(text, out, topic)?;
    }
    settle(&head, out)
}

/// The venue's words for books; `None` for other channels.
const fn book_word(channel: Channel) -> Option<&'static str> {
    match channel {
        Channel::Book => Some("books"),
        Channel::Book1 => Some("books1"),
        Channel::Book5 => Some("books5"),
        Channel::Book15 => Some("books15"),
        Channel::Book50 => Some("books50"),
        Channel::Trade | Channel::Ticker | Channel::Candle(_) => None,
    }
}

fn classic_argument(subscription: &Subscription) -> String {
    let (market, name) = venue_name(&subscription.symbol);
    let (channel, interval) = match subscription.channel {
        Channel::Trade => ("trade", ""),
        Channel::Ticker => ("ticker", ""),
        Channel::Candle(interval) => ("candle", interval_word(interval, true)),
        book => (book_word(book).unwrap_or_default(), ""),
    };
    format!(r#"{{"instType":"{}","channel":"{channel}{interval}","instId":"{name}"}}"#, market.word())
}

fn unified_argument(subscription: &Subscription) -> String {
    let (market, name) = venue_name(&subscription.symbol);
    let market = market.stream_word();
    let topic = match subscription.channel {
        Channel::Trade => "publicTrade",
        Channel::Ticker => "ticker",
        Channel::Candle(interval) => {
            let interval = interval_word(interval, false);
            return format!(r#"{{"instType":"{market}","topic":"kline","symbol":"{name}","interval":"{interval}"}}"#);
        }
        book => book_word(book).unwrap_or_default(),
    };
    format!(r#"{{"instType":"{market}","topic":"{topic}","symbol":"{name}"}}"#)
}

/// The venue's word for a length. Where it offers both, the longer ones begin by UTC and not by the venue's own day.
const fn interval_word(interval: CandleInterval, utc: bool) -> &'static str {
    match (interval, utc) {
        (CandleInterval::Min1, _) => "1m",
        (CandleInterval::Min5, _) => "5m",
        (CandleInterval::Min15, _) => "15m",
        (CandleInterval::Min30, _) => "30m",
        (CandleInterval::Hour1, _) => "1H",
        (CandleInterval::Hour4, _) => "4H",
        (CandleInterval::Hour6, true) => "6Hutc",
        (CandleInterval::Hour6, false) => "6H",
        (CandleInterval::Hour12, true) => "12Hutc",
        (CandleInterval::Hour12, false) => "12H",
        (CandleInterval::Day1, true) => "1Dutc",
        (CandleInterval::Day1, false) => "1D",
    }
}

/// Reads a length in either spelling.
fn interval(word: &str) -> Option<CandleInterval> {
    let word = word.strip_suffix("utc").unwrap_or(word);
    CandleInterval::ALL.into_iter().find(|interval| interval_word(*interval, false) == word)
}

/// Reads the name of a channel or topic; `interval` belongs to candles of v3.
fn channel(word: &str, given: Option<&str>) -> Option<Channel> {
    match word {
        "trade" | "publicTrade" => Some(Channel::Trade),
        "ticker" => Some(Channel::Ticker),
        "kline" => interval(given?).map(Channel::Candle),
        _ => match word.strip_prefix("candle") {
            Some(length) => interval(length).map(Channel::Candle),
            None => book_channel(word),
        },
    }
}

/// Reads the name of a book channel.
pub(crate) fn book_channel(word: &str) -> Option<Channel> {
    [Channel::Book, Channel::Book1, Channel::Book5, Channel::Book15, Channel::Book50]
        .into_iter()
        .find(|channel| book_word(*channel) == Some(word))
}

/// Gives the frame its kind from what its head says.
fn settle(head: &Head<'_>, out: &mut FeedFrame) -> Result<(), FrameError> {
    out.subscription = head.topic.and_then(Topic::subscription);
    match head.event {
        Some("subscribe") => out.kind = FeedFrameKind::Subscribed,
        Some("unsubscribe") => out.kind = FeedFrameKind::Unsubscribed,
        Some("error") => {
            let code = head.code.text().unwrap_or_default();
            out.kind = if code == CLOSING_SOON { FeedFrameKind::ClosingSoon } else { FeedFrameKind::Error };
            out.error = Some(errors::stream(&code, &head.message.text().unwrap_or_default()));
        }
        Some(_) => {}
        None => {
            let Some(subscription) = out.subscription else { return Ok(()) };
            let snapshot = match (head.action, subscription.channel) {
                (Some("snapshot"), _) => true,
                (Some("update"), _) => false,
                _ => return Err(FrameError("action")),
            };
            if !head.data {
                return Err(FrameError("no data"));
            }
            // Of trades and candles, the first push after a subscription is history, not news.
            out.book.snapshot = snapshot;
            out.kind = match subscription.channel {
                Channel::Trade => FeedFrameKind::Trades,
                Channel::Ticker => FeedFrameKind::Ticker,
                Channel::Candle(_) => FeedFrameKind::Candles,
                _ => FeedFrameKind::Book,
            };
            if out.kind == FeedFrameKind::Ticker && out.ticker.venue_time == UnixNanos(0) {
                out.ticker.venue_time = UnixNanos::from_millis(head.millis.unwrap_or(0));
            }
        }
    }
    if matches!(out.kind, FeedFrameKind::Subscribed | FeedFrameKind::Unsubscribed) && out.subscription.is_none() {
        out.kind = FeedFrameKind::Ignored;
    }
    Ok(())
}

/// The members of a frame around its data.
#[derive(Default)]
struct Head<'a> {
    event: Option<&'a str>,
    action: Option<&'a str>,
    code: Loose<'a>,
    message: Loose<'a>,
    /// When the venue sent it.
    millis: Option<u64>,
    topic: Option<Topic<'a>>,
    /// Whether data was read into the frame.
    data: bool,
    /// Whether data was skipped because its channel was not known yet.
    data_came_first: bool,
}

/// What `arg` says a frame is about.
#[derive(Clone, Copy, Default)]
struct Topic<'a> {
    market: Option<Market>,
    channel: Option<&'a str>,
    interval: Option<&'a str>,
    symbol: Option<&'a str>,
}

impl Topic<'_> {
    /// The subscription, if it is one of ours.
    fn subscription(self) -> Option<Subscription> {
        let channel = channel(self.channel?, self.interval)?;
        Some(Subscription { channel, symbol: self.market?.symbol(self.symbol?)? })
    }
}

fn read_frame<'a>(text: &'a str, out: &mut FeedFrame, known: Option<Topic<'a>>) -> Result<Head<'a>, FrameError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let visitor = FrameVisitor { out, known };
    let head = json.deserialize_map(visitor).map_err(|_| FrameError("json"))?;
    json.end().map_err(|_| FrameError("json"))?;
    Ok(head)
}

struct FrameVisitor<'o, 'k> {
    out: &'o mut FeedFrame,
    known: Option<Topic<'k>>,
}

impl<'de> Visitor<'de> for FrameVisitor<'_, 'de> {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut head = Head { topic: self.known, ..Head::default() };
        while let Some(Word(key)) = map.next_key()? {
            match key {
                Some("event") => head.event = map.next_value::<Word<'de>>()?.0,
                Some("action") => head.action = map.next_value::<Word<'de>>()?.0,
                Some("code") => head.code = map.next_value()?,
                Some("msg") => head.message = map.next_value()?,
                Some("arg") => {
                    let topic: Topic<'de> = map.next_value()?;
                    // Said before the data is read, so that a frame that fails names its book.
                    self.out.subscription = topic.subscription();
                    head.topic = Some(topic);
                }
                Some("data") => match head.topic {
                    None => {
                        map.next_value::<IgnoredAny>()?;
                        head.data_came_first = true;
                    }
                    Some(topic) => match topic.subscription().map(|subscription| subscription.channel) {
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        Some(Channel::Trade) => {
                            head.data = map.next_value_seed(Trades(&mut self.out.trades))?;
                        }
                        Some(Channel::Ticker) => {
                            head.data = map.next_value_seed(market_rows::Tickers(&mut self.out.ticker))?;
                        }
                        Some(Channel::Candle(_)) => {
                            head.data = map.next_value_seed(market_rows::Candles(&mut self.out.candles))?;
                        }
                        Some(_) => head.data = map.next_value_seed(Books(&mut self.out.book))?,
                    },
                },
                Some("ts") => head.millis = map.next_value::<Whole>()?.positive(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        head.data_came_first &= head.topic.is_some();
        Ok(head)
    }
}

impl<'de> Deserialize<'de> for Topic<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopicVisitor;
        impl<'de> Visitor<'de> for TopicVisitor {
            type Value = Topic<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an arg")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Topic<'de>, A::Error> {
                let mut topic = Topic::default();
                while let Some(Word(key)) = map.next_key()? {
                    let word = map.next_value::<Word<'de>>()?.0;
                    match key {
                        Some("instType") => topic.market = word.and_then(Market::read),
                        Some("channel" | "topic") => topic.channel = word,
                        Some("instId" | "symbol") => topic.symbol = word,
                        Some("interval") => topic.interval = word,
                        _ => {}
                    }
                }
                Ok(topic)
            }

            fn visit_unit<E>(self) -> Result<Topic<'de>, E> {
                Ok(Topic::default())
            }
        }
        deserializer.deserialize_any(TopicVisitor)
    }
}

/// Text without escapes, borrowed from the frame; anything else is nothing (our words have no escapes).
struct Word<'a>(Option<&'a str>);

impl<'de> Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl<'de> Visitor<'de> for WordVisitor {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Some(text)))
            }

            fn visit_str<E>(self, _: &str) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_unit<E>(self) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Word(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Word<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Word(None))
            }
        }
        deserializer.deserialize_any(WordVisitor)
    }
}

/// `data` of a book channel: exactly one book, read in place.
struct Books<'o>(&'o mut BookPush);

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

/// A whole number as text or number; empty and `null` are none.
#[derive(Clone, Copy)]
struct Whole(Option<i128>);

impl Whole {
    /// As a count or time; zero counts as none.
    fn positive(self) -> Option<u64> {
        self.0.and_then(|number| u64::try_from(number).ok()).filter(|number| *number != 0)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Whole, E> {
                if text.is_empty() {
                    return Ok(Whole(None));
                }
                // Up to 19 digits need no wide arithmetic.
                let number = match text.parse::<i64>() {
                    Ok(number) => i128::from(number),
                    Err(_) => text.parse().map_err(|_| E::custom("whole number"))?,
                };
                Ok(Whole(Some(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(Some(i128::from(number))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(Some(i128::from(number))))
            }

            fn visit_unit<E>(self) -> Result<Whole, E> {
                Ok(Whole(None))
            }
        }
        deserializer.deserialize_any(WholeVisitor)
    }
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

/// A decimal as text, its digits going straight into an integer. A JSON number with a fraction is an
/// error: it would come through binary, where digits may be lost unseen.
struct Digits(Scaled);

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DigitsVisitor;
        impl Visitor<'_> for DigitsVisitor {
            type Value = Digits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number")
            }

            #[inline]
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digits, E> {
                Scaled::parse(text.as_bytes()).map(Digits).map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Digits, E> {
                let mantissa = i64::try_from(number).map_err(E::custom)?;
                Ok(Digits(Scaled { mantissa, decimals: 0 }))
            }
        }
        deserializer.deserialize_any(DigitsVisitor)
    }
}

/// `data` of the trade channel.
struct Trades<'o>(&'o mut Vec<TradePush>);

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
