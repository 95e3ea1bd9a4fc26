//! The order book of one instrument, built from a snapshot and updates.
//!
//! Invariants: a price can be read only through a [`ValidBook`], which exists
//! only while the sequence has no gap, the venue's checksum agrees (where it
//! sends one), the book is not crossed, the levels near the top are complete
//! and the last message is younger than the limit. A fault stays until the next
//! snapshot. Neither applying a message nor checking it allocates once the
//! sides have grown to their usual length.

mod checksum;
mod ladder;

pub use checksum::ChecksumRule;

use crate::{MonoNanos, NumberError, Price, Qty, Scaled};
use ladder::Ladder;
use rust_decimal::Decimal;
use std::time::Duration;

/// Most levels kept on one side; those nearest to the top stay.
///
/// Wide enough that a fast market does not walk out of the kept part at once: with 1,000 levels a
/// recording of a liquid spot market did so after four minutes. 24 bytes a level, taken when needed.
pub const LEVELS_MAX: usize = 4_000;

/// One price with the quantity resting there, and how the venue wrote both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// The price, in the price decimals of the book.
    pub price: Price,
    /// The quantity, in the quantity decimals of the book; zero in an update deletes the level.
    pub qty: Qty,
    /// Decimals the venue wrote behind the price's point, 0 to 18 (its checksum covers the text).
    pub price_shown: u8,
    /// Decimals the venue wrote behind the quantity's point, 0 to 18.
    pub qty_shown: u8,
}

impl Level {
    /// A level from two numbers as the venue wrote them.
    ///
    /// # Errors
    /// [`NumberError::TooPrecise`] when a number has more non-zero decimals than the book;
    /// [`NumberError::Range`] when one does not fit, the price is not positive or the quantity is negative.
    #[inline]
    pub fn from_scaled(price: Scaled, qty: Scaled, price_decimals: u8, qty_decimals: u8) -> Result<Self, NumberError> {
        let level = Self {
            price: Price(price.rescaled(price_decimals)?),
            qty: Qty(qty.rescaled(qty_decimals)?),
            price_shown: price.decimals,
            qty_shown: qty.decimals,
        };
        if level.price.0 <= 0 || level.qty.0 < 0 {
            return Err(NumberError::Range);
        }
        Ok(level)
    }

    /// A level from the venue's text.
    ///
    /// # Errors
    /// As [`Level::from_scaled`], and [`NumberError::Malformed`] for anything but plain decimal text.
    pub fn parse(price: &[u8], qty: &[u8], price_decimals: u8, qty_decimals: u8) -> Result<Self, NumberError> {
        Self::from_scaled(Scaled::parse(price)?, Scaled::parse(qty)?, price_decimals, qty_decimals)
    }
}

/// One message about a book: a snapshot or an update, its numbers already parsed.
#[derive(Debug, Clone, Copy)]
pub struct BookMessage<'a> {
    /// Bid levels in any order; usually best first.
    pub bids: &'a [Level],
    /// Ask levels in any order; usually best first.
    pub asks: &'a [Level],
    /// The venue's sequence number of this message; 0 where the venue has none.
    pub seq: u64,
    /// The sequence number this message follows on; `None` where the venue does not say.
    pub prev_seq: Option<u64>,
    /// The venue's checksum of the book after this message, by the book's rule; `None` or 0: not offered.
    pub checksum: Option<i32>,
}

/// Why no price can be read from a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookFault {
    /// No snapshot has arrived since the start, or since the book was discarded.
    #[error("no snapshot yet")]
    NoSnapshot,
    /// A message is missing or out of order.
    #[error("sequence gap: expected {expected}, found {found}")]
    Gap {
        /// Sequence number of the last message applied.
        expected: u64,
        /// The number the new message claims to follow on (or its own, where it names no predecessor).
        found: u64,
    },
    /// The venue's checksum differs from that of the levels held.
    #[error("checksum differs: ours {ours}, the venue's {venue}")]
    Checksum {
        /// Over the levels held here.
        ours: i32,
        /// As the venue sent it.
        venue: i32,
    },
    /// The best bid is at or above the best ask.
    #[error("crossed")]
    Crossed,
    /// So many levels went that dropped ones would now stand near the top.
    #[error("too few of the kept levels remain")]
    Depleted,
    /// The last message is too old.
    #[error("stale: last message {} ms ago", .age.as_millis())]
    Stale {
        /// Time since the last message.
        age: Duration,
    },
}

impl BookFault {
    /// The fault as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSnapshot => "no_snapshot",
            Self::Gap { .. } => "gap",
            Self::Checksum { .. } => "checksum",
            Self::Crossed => "crossed",
            Self::Depleted => "depleted",
            Self::Stale { .. } => "stale",
        }
    }

    /// Whether only a new snapshot helps; a stale book recovers with the next message.
    #[must_use]
    pub const fn needs_snapshot(self) -> bool {
        !matches!(self, Self::Stale { .. })
    }
}

/// Whether prices can be read from a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookState {
    /// Prices can be read.
    Valid,
    /// They cannot, for this reason.
    Invalid(BookFault),
}

/// The order book of one instrument.
#[derive(Debug, Clone)]
pub struct Book {
    bids: Ladder<true>,
    asks: Ladder<false>,
    price_decimals: u8,
    qty_decimals: u8,
    rule: ChecksumRule,
    /// Levels of each side that the venue keeps its clients told of; `None`: all.
    depth_max: Option<usize>,
    age_max: Duration,
    fault: Option<BookFault>,
    seq: u64,
    version: u64,
    at: MonoNanos,
}

impl Book {
    /// An empty book that waits for its snapshot.
    ///
    /// The decimals are those of the instrument version (every [`Level`] given later must be in
    /// them); `age_max` is how old the last message may be before the book counts as stale.
    #[must_use]
    pub fn new(price_decimals: u8, qty_decimals: u8, age_max: Duration) -> Self {
        Self {
            bids: Ladder::default(),
            asks: Ladder::default(),
            price_decimals,
            qty_decimals,
            rule: ChecksumRule::default(),
            depth_max: None,
            age_max,
            fault: Some(BookFault::NoSnapshot),
            seq: 0,
            version: 0,
            at: MonoNanos(0),
        }
    }

    /// The same book under another venue's checksum.
    #[must_use]
    pub const fn checked_by(mut self, rule: ChecksumRule) -> Self {
        self.rule = rule;
        self
    }

    /// The same book of a subscription to `levels` levels a side, for venues that do not say which
    /// levels were pushed out (Kraken): after each message what is beyond is forgotten, and comes
    /// again when it is told again. More than [`LEVELS_MAX`] are never kept.
    #[must_use]
    pub const fn holding_at_most(mut self, levels: usize) -> Self {
        self.depth_max = Some(levels);
        self
    }

    /// Replaces all levels; ends every fault that the snapshot does not show itself.
    ///
    /// # Errors
    /// [`BookFault::Checksum`] or [`BookFault::Crossed`]: the snapshot contradicts itself;
    /// the caller asks for another one.
    pub fn apply_snapshot(&mut self, snapshot: &BookMessage<'_>, now: MonoNanos) -> Result<(), BookFault> {
        self.bids.replace(snapshot.bids);
        self.asks.replace(snapshot.asks);
        self.fault = None;
        self.settle(snapshot, now)
    }

    /// Applies changed levels; quantity zero deletes.
    ///
    /// # Errors
    /// The fault that makes the book unreadable: the caller asks for a snapshot. While a fault
    /// lasts, updates are ignored and answered with the same fault.
    pub fn apply_update(&mut self, update: &BookMessage<'_>, now: MonoNanos) -> Result<(), BookFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let gap = match update.prev_seq {
            Some(previous) => (previous != self.seq).then_some(previous),
            None => (update.seq < self.seq).then_some(update.seq),
        };
        if let Some(found) = gap {
            return Err(self.fail(BookFault::Gap { expected: self.seq, found }));
        }
        for level in update.bids {
            self.bids.apply(*level);
        }
        for level in update.asks {
            self.asks.apply(*level);
        }
        self.settle(update, now)
    }

    /// Forgets all levels, after a disconnect or when the instrument's decimals changed.
    pub fn discard(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.fault = Some(BookFault::NoSnapshot);
    }

    /// Whether prices can be read at `now`.
    #[must_use]
    pub fn state(&self, now: MonoNanos) -> BookState {
        match self.valid(now) {
            Ok(_) => BookState::Valid,
            Err(fault) => BookState::Invalid(fault),
        }
    }

    /// The readable book, if there is one at `now`.
    ///
    /// # Errors
    /// Why it cannot be read; the caller takes no decision on this instrument.
    pub fn valid(&self, now: MonoNanos) -> Result<ValidBook<'_>, BookFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let age = now.since(self.at);
        if age > self.age_max {
            return Err(BookFault::Stale { age });
        }
        Ok(ValidBook { book: self })
    }

    /// Sequence number of the last message applied; 0 before the first, and where the venue has none.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Messages applied since the start; grows with each one.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Levels held: bids, asks. A figure for metrics; it says nothing about validity.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    /// Decimals of the levels: price, quantity.
    #[must_use]
    pub const fn decimals(&self) -> (u8, u8) {
        (self.price_decimals, self.qty_decimals)
    }

    /// The checksum of the levels held, by this book's rule.
    #[must_use]
    pub fn checksum(&self) -> i32 {
        checksum::checksum(self.rule, self.bids.iter(), self.asks.iter(), self.price_decimals, self.qty_decimals)
    }

    /// Notes the message as applied and looks whether the book it leaves can be true.
    fn settle(&mut self, message: &BookMessage<'_>, now: MonoNanos) -> Result<(), BookFault> {
        self.seq = message.seq;
        self.at = now;
        self.version += 1;
        if let Some(depth_max) = self.depth_max {
            self.bids.keep_best(depth_max);
            self.asks.keep_best(depth_max);
        }
        if let Some(venue) = message.checksum.filter(|venue| *venue != 0) {
            let ours = self.checksum();
            if ours != venue {
                return Err(self.fail(BookFault::Checksum { ours, venue }));
            }
        }
        if let (Some(bid), Some(ask)) = (self.bids.best(), self.asks.best())
            && bid.price >= ask.price
        {
            return Err(self.fail(BookFault::Crossed));
        }
        let depleted = |cut: bool, held: usize| cut && held < checksum::DEPTH;
        if depleted(self.bids.is_cut(), self.bids.len()) || depleted(self.asks.is_cut(), self.asks.len()) {
            return Err(self.fail(BookFault::Depleted));
        }
        Ok(())
    }

    fn fail(&mut self, fault: BookFault) -> BookFault {
        self.fault = Some(fault);
        fault
    }
}

/// A book whose prices may be read; obtained from [`Book::valid`] for one moment.
#[derive(Debug, Clone, Copy)]
pub struct ValidBook<'a> {
    book: &'a Book,
}

impl<'a> ValidBook<'a> {
    /// The best bid with how it was written; `None`: nobody bids.
    #[must_use]
    pub fn best_bid(&self) -> Option<Level> {
        self.book.bids.best().copied()
    }

    /// The best ask with how it was written; `None`: nobody offers.
    #[must_use]
    pub fn best_ask(&self) -> Option<Level> {
        self.book.asks.best().copied()
    }

    /// Best bid and ask together, in the form that travels through the top-of-book slots.
    #[must_use]
    pub fn best(&self) -> TopOfBook {
        let quote = |level: Option<&Level>| level.map(|level| Quote { price: level.price, qty: level.qty });
        TopOfBook {
            bid: quote(self.book.bids.best()),
            ask: quote(self.book.asks.best()),
            at: self.book.at,
            version: self.book.version,
        }
    }

    /// Bid levels, best first.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = &'a Level> + use<'a> {
        self.book.bids.iter()
    }

    /// Ask levels, best first.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = &'a Level> + use<'a> {
        self.book.asks.iter()
    }

    /// Messages applied since the start; grows with each one.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.book.version
    }

    /// When the last message was applied.
    #[must_use]
    pub const fn at(&self) -> MonoNanos {
        self.book.at
    }
}

/// One side of the top of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The best price.
    pub price: Price,
    /// The quantity resting there; above zero.
    pub qty: Qty,
}

/// Best bid and ask of one instrument at one moment; one cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopOfBook {
    /// Highest price somebody buys at; `None`: nobody bids.
    pub bid: Option<Quote>,
    /// Lowest price somebody sells at; `None`: nobody offers.
    pub ask: Option<Quote>,
    /// When the message behind it was applied.
    pub at: MonoNanos,
    /// Grows with each message applied to the book.
    pub version: u64,
}

impl TopOfBook {
    /// Words of the form that fits a slot of atomics.
    pub const WORDS: usize = 6;

    /// Bid price plus ask price: twice the mid, as a mantissa in the price decimals; exact.
    #[must_use]
    pub fn mid_doubled(&self) -> Option<i64> {
        self.bid?.price.0.checked_add(self.ask?.price.0)
    }

    /// The mid price; exact, so it has one decimal more than the prices.
    #[must_use]
    pub fn mid(&self, price_decimals: u8) -> Option<Decimal> {
        let ten_halves = i128::from(self.mid_doubled()?) * 5;
        Decimal::try_from_i128_with_scale(ten_halves, u32::from(price_decimals) + 1).ok()
    }

    /// Ask price minus bid price, as a mantissa in the price decimals.
    #[must_use]
    pub fn spread(&self) -> Option<i64> {
        self.ask?.price.0.checked_sub(self.bid?.price.0)
    }

    /// Time since the message behind it.
    #[must_use]
    pub const fn age(&self, now: MonoNanos) -> Duration {
        now.since(self.at)
    }

    /// This as plain words, for a slot of atomics; a missing side is two zeros.
    #[must_use]
    pub fn to_words(self) -> [u64; Self::WORDS] {
        let words = |quote: Option<Quote>| {
            quote.map_or((0, 0), |quote| (quote.price.0.cast_unsigned(), quote.qty.0.cast_unsigned()))
        };
        let ((bid_price, bid_qty), (ask_price, ask_qty)) = (words(self.bid), words(self.ask));
        [bid_price, bid_qty, ask_price, ask_qty, self.at.0, self.version]
    }

    /// The reverse of [`TopOfBook::to_words`].
    #[must_use]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        const fn quote(price: u64, qty: u64) -> Option<Quote> {
            if qty == 0 {
                return None;
            }
            Some(Quote { price: Price(price.cast_signed()), qty: Qty(qty.cast_signed()) })
        }
        let [bid_price, bid_qty, ask_price, ask_qty, at, version] = words;
        Self { bid: quote(bid_price, bid_qty), ask: quote(ask_price, ask_qty), at: MonoNanos(at), version }
    }
}
