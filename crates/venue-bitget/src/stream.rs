//! The public stream: subscriptions out, books, trades, tickers and candles in.
//!
//! Facts: sheet sections 5.1, 5.2 and 9. Both generations are read by one reader, which knows the words of both; they
//! differ in what is written. Invariants: a frame of a channel that we know is read whole or is an error; nothing else is an error; text keeps the
//! decimals that the venue wrote, because its checksum covers them.

use crate::book_rows::{Books, Trades};
use crate::errors::{self, CLOSING_SOON};
use crate::frame::{PONG, frames};
use crate::loose::Loose;
use crate::scalars::{Whole, Word};
use crate::symbols::{VenueMarket as _, venue_name};
use crate::v2::Classic;
use crate::v3::Unified;
use crate::{PING_EVERY, fast, market_rows};
use domain::{Market, UnixNanos};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use std::time::Duration;
use venue_api::{CandleInterval, Channel, FeedCodec, FeedFrame, FeedFrameKind, FrameError, Subscription};

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
