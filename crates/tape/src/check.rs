//! Rebuilds the books of a recording and compares every checksum of the venue.
//!
//! The books are the ones that trade live ([`domain::Book`]), so a recording that agrees proves the
//! builder and not a copy of it. Where a venue sends no checksums, its update ids are followed
//! instead; a crossed book is a fault anywhere.

use crate::{EventKind, TapeEvent, TapeLevel};
use domain::{Book, BookFault, BookMessage, ChecksumRule, Level, MonoNanos, NumberError, Scaled, Symbol, UnixNanos};
use std::collections::BTreeMap;
use std::time::Duration;

/// Books of one check: more instruments than any venue lists.
const BOOKS_MAX: usize = 10_000;
/// Messages of a recording are never too old: its own times count.
const AGE_MAX: Duration = Duration::MAX;

/// The decimals in which the books of a recording are kept, found by reading it once.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    decimals: BTreeMap<Symbol, (u8, u8)>,
}

impl Survey {
    /// Takes one event into account.
    ///
    /// # Errors
    /// [`CheckError::TooManyBooks`].
    pub fn look(&mut self, event: &TapeEvent) -> Result<(), CheckError> {
        let (EventKind::DepthSnapshot { bids, asks, .. } | EventKind::DepthUpdate { bids, asks, .. }) = &event.kind
        else {
            return Ok(());
        };
        if self.decimals.len() >= BOOKS_MAX && !self.decimals.contains_key(&event.symbol) {
            return Err(CheckError::TooManyBooks { books_max: BOOKS_MAX });
        }
        let (price, qty) = self.decimals.entry(event.symbol).or_default();
        for level in bids.iter().chain(asks) {
            *price = (*price).max(needed(level.price));
            *qty = (*qty).max(needed(level.qty));
        }
        Ok(())
    }
}

/// Decimals without which a number would lose digits.
fn needed(number: Scaled) -> u8 {
    let (mut mantissa, mut decimals) = (number.mantissa, number.decimals);
    while decimals > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        decimals -= 1;
    }
    decimals
}

/// Why a recording cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// More instruments than a check keeps books of.
    #[error("more than {books_max} instruments")]
    TooManyBooks {
        /// The limit.
        books_max: usize,
    },
    /// A number of a book does not fit 64 bits beside the others of its instrument.
    #[error("a number of {symbol} does not fit beside the others: {source}")]
    Number {
        /// The instrument.
        symbol: Symbol,
        /// What does not fit.
        source: NumberError,
    },
}

/// The first fault of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstFault {
    /// Which event of the recording, counted from 1.
    pub event: u64,
    /// When it was received.
    pub received: UnixNanos,
    /// What is wrong.
    pub fault: BookFault,
}

/// What was found about the book of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookReport {
    /// Snapshots read.
    pub snapshots: u64,
    /// Updates read.
    pub updates: u64,
    /// Messages that came with a checksum.
    pub checksums: u64,
    /// Of those, the ones after which the book has that checksum.
    pub confirmed: u64,
    /// Messages that could not be applied, or after which the book cannot be true.
    pub faults: u64,
    /// Updates before any snapshot, which nothing can be said about.
    pub unplaced: u64,
    /// The first fault.
    pub first: Option<FirstFault>,
}

/// What was found in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Events read.
    pub events: u64,
    /// Trades among them.
    pub trades: u64,
    /// Times the recorder lost a stream.
    pub breaks: u64,
    /// Each book.
    pub books: BTreeMap<Symbol, BookReport>,
}

impl CheckReport {
    /// Checksums that came with messages.
    #[must_use]
    pub fn checksums(&self) -> u64 {
        self.books.values().map(|book| book.checksums).sum()
    }

    /// Checksums that the rebuilt books have.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.books.values().map(|book| book.confirmed).sum()
    }

    /// Messages that could not be applied, or left a book that cannot be true.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.books.values().map(|book| book.faults).sum()
    }

    /// Whether every checksum was confirmed and nothing else was wrong.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.confirmed() == self.checksums() && self.faults() == 0
    }
}

/// Rebuilds books from events and counts what agrees.
#[derive(Debug)]
pub struct Check {
    survey: Survey,
    books: BTreeMap<Symbol, Book>,
    report: CheckReport,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Check {
    /// A check in the decimals that a [`Survey`] of the same events found.
    #[must_use]
    pub fn new(survey: Survey) -> Self {
        Self { survey, books: BTreeMap::new(), report: CheckReport::default(), bids: Vec::new(), asks: Vec::new() }
    }

    /// What was found so far.
    #[must_use]
    pub const fn report(&self) -> &CheckReport {
        &self.report
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`CheckError`]: the recording cannot be checked at all.
    pub fn take(&mut self, event: &TapeEvent) -> Result<(), CheckError> {
        self.report.events += 1;
        let (now, symbol) = (MonoNanos(event.received.0), event.symbol);
        let outcome = match &event.kind {
            EventKind::Trade { .. } => {
                self.report.trades += 1;
                return Ok(());
            }
            EventKind::BookTicker { .. } => return Ok(()),
            EventKind::Break => {
                self.report.breaks += 1;
                if let Some(book) = self.books.get_mut(&symbol) {
                    book.discard();
                }
                return Ok(());
            }
            EventKind::DepthSnapshot { bids, asks, seq, levels_max, checksum } => {
                self.levels(symbol, bids, asks)?;
                let (price, qty) = self.survey.decimals.get(&symbol).copied().unwrap_or_default();
                let rule =
                    checksum.map(|checksum| checksum.rule).or_else(|| levels_max.map(|_| ChecksumRule::AsksThenBids));
                let mut book = Book::new(price, qty, AGE_MAX).checked_by(rule.unwrap_or_default());
                if let Some(levels) = levels_max {
                    book = book.holding_at_most(usize::try_from(*levels).unwrap_or(usize::MAX));
                }
                let checksum = checksum.map(|checksum| checksum.value);
                let message = BookMessage { bids: &self.bids, asks: &self.asks, seq: *seq, prev_seq: None, checksum };
                let outcome = book.apply_snapshot(&message, now);
                self.books.insert(symbol, book);
                let report = self.report.books.entry(symbol).or_default();
                report.snapshots += 1;
                report.checksums += u64::from(checksum.is_some());
                report.confirmed += u64::from(checksum.is_some() && outcome.is_ok());
                outcome
            }
            EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum } => {
                self.levels(symbol, bids, asks)?;
                let report = self.report.books.entry(symbol).or_default();
                report.updates += 1;
                report.checksums += u64::from(checksum.is_some());
                let Some(book) = self.books.get_mut(&symbol) else {
                    report.unplaced += 1;
                    return Ok(());
                };
                // The book knows only exact predecessors; an id beyond the next one is told to it as one.
                let missing = *first_seq > book.seq().saturating_add(1);
                let message = BookMessage {
                    bids: &self.bids,
                    asks: &self.asks,
                    seq: *seq,
                    prev_seq: missing.then(|| first_seq - 1),
                    checksum: checksum.map(|checksum| checksum.value),
                };
                let outcome = book.apply_update(&message, now);
                if outcome == Err(BookFault::NoSnapshot) {
                    report.unplaced += 1;
                    return Ok(());
                }
                report.confirmed += u64::from(checksum.is_some() && outcome.is_ok());
                outcome
            }
        };
        if let Err(fault) = outcome {
            let event = self.report.events;
            let report = self.report.books.entry(symbol).or_default();
            report.faults += 1;
            report.first.get_or_insert(FirstFault { event, received: UnixNanos(now.0), fault });
        }
        Ok(())
    }

    /// Puts the levels into the decimals of the book.
    fn levels(&mut self, symbol: Symbol, bids: &[TapeLevel], asks: &[TapeLevel]) -> Result<(), CheckError> {
        let (price, qty) = self.survey.decimals.get(&symbol).copied().unwrap_or_default();
        for (rows, levels) in [(bids, &mut self.bids), (asks, &mut self.asks)] {
            levels.clear();
            for row in rows {
                let level = Level::from_scaled(row.price, row.qty, price, qty)
                    .map_err(|source| CheckError::Number { symbol, source })?;
                levels.push(level);
            }
        }
        Ok(())
    }
}
