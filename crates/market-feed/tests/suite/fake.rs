//! A venue with two-decimal books that speaks a line protocol, and its codec.
//!
//! `sub book A`, `unsub book A` | `ack book A`, `err book A`, `snap book A <seq> <prev> <sum> <bids> <asks>`,
//! `upd ...` alike, `trades A <price>,<qty>,<ms> ...`, `hist ...` alike, `closing`.

use domain::{Book, BookMessage, Instrument, InstrumentId, InstrumentStatus, InstrumentVersion, Level, MonoNanos};
use domain::{Notional, Price, Qty, Scaled, Side, Symbol, TopOfBook, UnixNanos, VenueId};
use market_feed::{BookSource, FeedInstrument};
use messages::{VenueError, VenueErrorClass, VenueReason};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;
use venue_api::{Channel, FeedCodec, FeedFrame, FeedFrameKind, FrameError, Subscription, TradePush, WireLevel};

pub(crate) fn symbol(name: &str) -> Symbol {
    Symbol::from(name).unwrap()
}

pub(crate) fn version(id: u16) -> InstrumentVersion {
    InstrumentVersion {
        id: InstrumentId(id),
        version: 1,
        price_decimals: 2,
        qty_decimals: 2,
        tick: 1,
        lot: 1,
        min_qty: Qty::ZERO,
        max_qty: Qty::ZERO,
        min_notional: Notional::ZERO,
        status: InstrumentStatus::Online,
        valid_from: UnixNanos(0),
    }
}

pub(crate) fn instrument(id: u16, name: &str, book: BookSource, trades: bool) -> FeedInstrument {
    let asset = |text| domain::Asset::from(text).unwrap();
    let instrument = Instrument {
        id: InstrumentId(id),
        venue: VenueId(0),
        symbol: symbol(name),
        market: domain::Market::Spot,
        base: asset(name),
        quote: asset("USD"),
        version: version(id),
    };
    FeedInstrument { instrument, book, trades }
}

/// Codec of the line protocol.
pub(crate) struct Lines;

fn spell(operation: &str, list: &[Subscription]) -> Vec<String> {
    list.iter().map(|one| format!("{operation} {} {}", one.channel.as_str(), one.symbol)).collect()
}

pub(crate) fn subscription(channel: &str, name: &str) -> Option<Subscription> {
    let channel = [Channel::Book, Channel::Book5, Channel::Trade].into_iter().find(|one| one.as_str() == channel)?;
    Some(Subscription { channel, symbol: Symbol::from(name).ok()? })
}

fn levels(text: &str, out: &mut Vec<WireLevel>) -> Result<(), FrameError> {
    for level in text.split(';').filter(|level| !level.is_empty() && *level != "-") {
        let (price, qty) = level.split_once(',').ok_or(FrameError("level"))?;
        let number = |text: &str| Scaled::parse(text.as_bytes()).map_err(|_| FrameError("number"));
        out.push(WireLevel { price: number(price)?, qty: number(qty)? });
    }
    Ok(())
}

impl FeedCodec for Lines {
    fn subscribe(&self, wanted: &[Subscription]) -> Vec<String> {
        spell("sub", wanted)
    }

    fn unsubscribe(&self, ended: &[Subscription]) -> Vec<String> {
        spell("unsub", ended)
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", Duration::from_secs(15))
    }

    fn decode(&self, frame: &[u8], out: &mut FeedFrame) -> Result<(), FrameError> {
        out.clear();
        let text = std::str::from_utf8(frame).map_err(|_| FrameError("text"))?;
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            [] | ["broken", ..] => return Err(FrameError("broken")),
            ["ack", channel, name] => {
                out.kind = FeedFrameKind::Subscribed;
                out.subscription = subscription(channel, name);
            }
            ["err", channel, name] => {
                out.kind = FeedFrameKind::Error;
                out.subscription = subscription(channel, name);
                let (code, text) = Default::default();
                out.error =
                    Some(VenueError { code, class: VenueErrorClass::Refused, reason: VenueReason::BadRequest, text });
            }
            [kind @ ("snap" | "upd"), channel, name, seq, previous, sum, bids, asks] => {
                out.kind = FeedFrameKind::Book;
                out.subscription = subscription(channel, name);
                out.book.snapshot = *kind == "snap";
                out.book.seq = seq.parse().ok().filter(|seq| *seq != 0);
                out.book.prev_seq = previous.parse().ok().filter(|seq| *seq != 0);
                out.book.checksum = sum.parse().ok().filter(|sum| *sum != 0);
                levels(bids, &mut out.book.bids)?;
                levels(asks, &mut out.book.asks)?;
            }
            [kind @ ("trades" | "hist"), name, trades @ ..] => {
                out.kind = FeedFrameKind::Trades;
                out.subscription = subscription("trade", name);
                out.book.snapshot = *kind == "hist";
                for trade in trades {
                    let mut parts = trade.split(',');
                    let mut number = || Scaled::parse(parts.next()?.as_bytes()).ok();
                    let (Some(price), Some(qty)) = (number(), number()) else { return Err(FrameError("trade")) };
                    let ms = parts.next().and_then(|ms| ms.parse().ok()).unwrap_or(0);
                    let venue_time = UnixNanos::from_millis(ms);
                    out.trades.push(TradePush { price, qty, aggressor: Side::Buy, venue_time });
                }
            }
            ["closing"] => out.kind = FeedFrameKind::ClosingSoon,
            _ => {}
        }
        Ok(())
    }
}

/// How the venue lets a receiver notice a missing message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Sequence numbers with their predecessor.
    Sequence,
    /// A checksum over the book, and nothing else.
    Checksum,
}

#[derive(Debug, Default, Clone)]
struct Sides {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    seq: u64,
}

/// The true books, and what each looked like after each of its changes.
#[derive(Debug)]
pub(crate) struct FakeVenue {
    proof: Proof,
    books: BTreeMap<String, Sides>,
    subscribed: BTreeSet<String>,
    /// Best bid and ask price by instrument and sequence number.
    pub(crate) history: BTreeMap<(String, u64), (i64, i64)>,
}

fn two(mantissa: i64) -> String {
    Scaled { mantissa, decimals: 2 }.to_string()
}

fn list<'a>(levels: impl Iterator<Item = (&'a i64, &'a i64)>) -> String {
    let text = levels.fold(String::new(), |mut text, (price, qty)| {
        let _ = write!(text, "{},{};", two(*price), two(*qty));
        text
    });
    if text.is_empty() { "-".to_owned() } else { text }
}

impl FakeVenue {
    pub(crate) fn new(proof: Proof, names: &[&str]) -> Self {
        let mut venue = Self { proof, books: BTreeMap::new(), subscribed: BTreeSet::new(), history: BTreeMap::new() };
        for name in names {
            let bids = (0..5).map(|step| (9_990 - step, 100 + step)).collect();
            let asks = (0..5).map(|step| (10_010 + step, 200 + step)).collect();
            venue.books.insert((*name).to_owned(), Sides { bids, asks, seq: 1 });
            venue.remember(name);
        }
        venue
    }

    fn remember(&mut self, name: &str) {
        let sides = &self.books[name];
        let (bid, ask) = (sides.bids.keys().next_back().unwrap(), sides.asks.keys().next().unwrap());
        self.history.insert((name.to_owned(), sides.seq), (*bid, *ask));
    }

    pub(crate) fn seq(&self, name: &str) -> u64 {
        self.books[name].seq
    }

    pub(crate) fn cut(&mut self) {
        self.subscribed.clear();
    }

    /// What the venue answers to a request.
    pub(crate) fn receive(&mut self, text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["sub", channel, name] if self.books.contains_key(*name) => {
                self.subscribed.insert(format!("{channel} {name}"));
                let mut answers = vec![format!("ack {channel} {name}")];
                if *channel != "trade" {
                    answers.push(self.snapshot(channel, name));
                }
                answers
            }
            ["unsub", channel, name] => {
                self.subscribed.remove(&format!("{channel} {name}"));
                Vec::new()
            }
            _ => vec![words.join(" ").replace("sub", "err")],
        }
    }

    pub(crate) fn snapshot(&self, channel: &str, name: &str) -> String {
        let sides = &self.books[name];
        self.frame("snap", channel, name, 0, &list(sides.bids.iter().rev()), &list(sides.asks.iter()))
    }

    fn frame(&self, kind: &str, channel: &str, name: &str, previous: u64, bids: &str, asks: &str) -> String {
        let (seq, previous, sum) = match self.proof {
            Proof::Sequence => (self.books[name].seq, previous, 0),
            Proof::Checksum => (0, 0, self.checksum(name)),
        };
        format!("{kind} {channel} {name} {seq} {previous} {sum} {bids} {asks}")
    }

    fn checksum(&self, name: &str) -> i32 {
        let level =
            |(price, qty): (&i64, &i64)| Level { price: Price(*price), qty: Qty(*qty), price_shown: 2, qty_shown: 2 };
        let sides = &self.books[name];
        let bids: Vec<Level> = sides.bids.iter().rev().map(level).collect();
        let asks: Vec<Level> = sides.asks.iter().map(level).collect();
        let mut book = Book::new(2, 2, Duration::from_secs(1));
        let message = BookMessage { bids: &bids, asks: &asks, seq: 1, prev_seq: None, checksum: None };
        book.apply_snapshot(&message, MonoNanos(0)).unwrap();
        book.checksum()
    }

    /// Changes one level; keeps the book uncrossed and its sides filled. The push, if somebody listens.
    pub(crate) fn change(&mut self, name: &str, bid: bool, offset: i64, qty: i64) -> Option<String> {
        let sides = self.books.get_mut(name).unwrap();
        let (price, side) = if bid { (9_990 + offset, &mut sides.bids) } else { (10_010 - offset, &mut sides.asks) };
        let removes_last = qty == 0 && side.len() == 1;
        let qty = if removes_last { 1 } else { qty };
        if qty == 0 {
            side.remove(&price);
        } else {
            side.insert(price, qty);
        }
        let previous = sides.seq;
        sides.seq += 1;
        self.remember(name);
        let level = format!("{},{};", two(price), two(qty));
        let (bids, asks) = if bid { (level.as_str(), "-") } else { ("-", level.as_str()) };
        self.subscribed.contains(&format!("book {name}")).then(|| self.frame("upd", "book", name, previous, bids, asks))
    }

    pub(crate) fn is_true_top(&self, name: &str, seq: u64, top: &TopOfBook) -> bool {
        let prices = (top.bid.map(|quote| quote.price.0), top.ask.map(|quote| quote.price.0));
        self.history.get(&(name.to_owned(), seq)).is_some_and(|(bid, ask)| prices == (Some(*bid), Some(*ask)))
    }
}
