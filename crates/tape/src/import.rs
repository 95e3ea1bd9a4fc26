//! Turns recordings of other programs into tape events.

mod binance;
mod bitget;
mod cryptofeed;
mod kraken;
mod lines;
mod okx;
mod recognise;
mod wire;

pub use cryptofeed::{CryptofeedImport, RecordedVenue, cryptofeed};
pub use recognise::{RecordingKind, recognise};

use crate::{EventKind, TapeEvent};
use binance::Line;
use domain::{Symbol, UnixNanos};
use lines::Lines;
use std::collections::VecDeque;
use std::io::Read;
use wire::LineFault;

/// Depth updates kept while the snapshot is awaited: about 16 minutes at ten a second.
const WAITING_MAX: usize = 10_000;
/// How often progress is reported.
const PROGRESS_LINES: u64 = 10_000;

/// What an import has seen and done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportStats {
    /// Lines read, empty ones included.
    pub lines: u64,
    /// Depth updates read.
    pub depth_updates: u64,
    /// Of those, left out because a snapshot already contained them.
    pub depth_updates_outdated: u64,
    /// Book snapshots read.
    pub depth_snapshots: u64,
    /// Of those, left out: older than the first update known, or than the book already built.
    pub depth_snapshots_unusable: u64,
    /// Trades read.
    pub trades: u64,
    /// Book tickers read.
    pub book_tickers: u64,
    /// Checksums of books that came with them.
    pub checksums: u64,
    /// Lines and messages of other streams, left out.
    pub other: u64,
    /// Events returned.
    pub events: u64,
}

/// Why a recording cannot be imported; all but the first name the line.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Depth updates were found, but no snapshot that they can follow.
    #[error("no book snapshot that the depth updates follow, in {lines} lines")]
    NoSnapshot {
        /// Lines read.
        lines: u64,
    },
    /// The file cannot be read, or its compression is broken.
    #[error("line {line}: cannot be read")]
    Read {
        /// Counted from 1.
        line: u64,
        /// What the file system or the decompressor said.
        source: std::io::Error,
    },
    /// The line is longer than any market message.
    #[error("line {line}: longer than {bytes_max} bytes")]
    LineTooLong {
        /// Counted from 1.
        line: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The line does not begin with a receive time in nanoseconds and a space.
    #[error("line {line}: does not begin with a receive time in nanoseconds")]
    ReceiveTime {
        /// Counted from 1.
        line: u64,
    },
    /// The receive time is before that of the line above.
    #[error("line {line}: received before the line above it")]
    TimeRunsBack {
        /// Counted from 1.
        line: u64,
    },
    /// The message is not what its stream carries.
    #[error("line {line}: {what}")]
    Message {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A second instrument: a recording is imported for one.
    #[error("line {line}: instrument {found}, but this import is for {expected}")]
    OtherInstrument {
        /// Counted from 1.
        line: u64,
        /// The instrument of the import.
        expected: Symbol,
        /// The one on the line.
        found: String,
    },
    /// Depth updates are missing; cut the recording here.
    #[error("line {line}: depth updates are missing between {last} and {first}")]
    Gap {
        /// Counted from 1.
        line: u64,
        /// Last update id known.
        last: u64,
        /// First update id of the line.
        first: u64,
    },
    /// No usable snapshot in time.
    #[error("line {line}: still no usable book snapshot after {updates} depth updates")]
    SnapshotTooLate {
        /// Counted from 1.
        line: u64,
        /// Depth updates waiting for it.
        updates: usize,
    },
}

/// A depth update whose book is not known yet.
type Waiting = (EventKind, u64, u64);

/// Reads a recording; an iterator over tape events in the order of receipt.
///
/// The first error ends it. The book is stitched by the venue's own rule: the
/// snapshot first, then every update that goes beyond it, without a hole.
/// Updates received before the snapshot that still count come right behind it,
/// at its receive time.
pub struct Import<P> {
    input: Lines,
    progress: P,
    symbol: Option<Symbol>,
    stats: ImportStats,
    last_received: UnixNanos,
    /// Last update id of the book; `None`: no usable snapshot yet.
    book: Option<u64>,
    waiting: VecDeque<Waiting>,
    ready: VecDeque<TapeEvent>,
    done: bool,
}

/// Reads a Binance spot recording in the format of the hftbacktest project: lines of
/// `<receive time in ns> <raw message>`, plain or gzip; depth diffs, trades, book
/// tickers, and the REST snapshot of the book.
///
/// `symbol` is the instrument, or `None`: the one of the first message. `progress` is called
/// every 10,000 lines. Memory stays bounded whatever the length of the recording.
///
/// # Errors
/// [`ImportError::Read`] when not even the first bytes can be read.
pub fn hftbacktest<R, P>(reader: R, symbol: Option<Symbol>, progress: P) -> Result<Import<P>, ImportError>
where
    R: Read + 'static,
    P: FnMut(&ImportStats),
{
    Ok(Import {
        input: Lines::new(reader)?,
        progress,
        symbol,
        stats: ImportStats::default(),
        last_received: UnixNanos(0),
        book: None,
        waiting: VecDeque::new(),
        ready: VecDeque::new(),
        done: false,
    })
}

impl<P: FnMut(&ImportStats)> Import<P> {
    /// What was seen and done so far.
    #[must_use]
    pub const fn stats(&self) -> ImportStats {
        self.stats
    }

    /// The instrument; `None` before the first message that names one.
    #[must_use]
    pub const fn symbol(&self) -> Option<Symbol> {
        self.symbol
    }

    /// Reads lines until an event is ready; `None` at the end.
    fn step(&mut self) -> Result<Option<TapeEvent>, ImportError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.stats.events += 1;
                return Ok(Some(event));
            }
            let more = self.input.advance()?;
            self.stats.lines = self.input.count();
            if !more {
                if self.book.is_none() && self.stats.depth_updates > 0 {
                    return Err(ImportError::NoSnapshot { lines: self.stats.lines });
                }
                (self.progress)(&self.stats);
                return Ok(None);
            }
            let line = self.input.take();
            let outcome = self.take_line(&line);
            self.input.give_back(line);
            outcome?;
            if self.stats.lines.is_multiple_of(PROGRESS_LINES) {
                (self.progress)(&self.stats);
            }
        }
    }

    fn take_line(&mut self, text: &[u8]) -> Result<(), ImportError> {
        let line = self.stats.lines;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        let (received, message) = split_time(text).ok_or(ImportError::ReceiveTime { line })?;
        if received < self.last_received {
            return Err(ImportError::TimeRunsBack { line });
        }
        self.last_received = received;
        let parsed = match binance::parse(message) {
            Ok(parsed) => parsed,
            Err(LineFault(what)) => return Err(ImportError::Message { line, what }),
        };
        match parsed {
            Line::Other => self.stats.other += 1,
            Line::Snapshot { bids, asks, seq } => {
                self.stats.depth_snapshots += 1;
                let kind = EventKind::DepthSnapshot { bids, asks, seq, levels_max: None, checksum: None };
                self.take_snapshot(kind, seq, received)?;
            }
            Line::Update { symbol, bids, asks, first_seq, seq } => {
                self.check_symbol(symbol)?;
                self.stats.depth_updates += 1;
                let kind = EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum: None };
                self.take_update((kind, first_seq, seq), received)?;
            }
            Line::Trade { symbol, kind } => {
                self.check_symbol(symbol)?;
                self.stats.trades += 1;
                self.emit(received, kind);
            }
            Line::Ticker { symbol, kind } => {
                self.check_symbol(symbol)?;
                self.stats.book_tickers += 1;
                self.emit(received, kind);
            }
        }
        Ok(())
    }

    fn check_symbol(&mut self, found: &str) -> Result<(), ImportError> {
        let line = self.stats.lines;
        match self.symbol {
            Some(expected) if expected.as_str() == found => Ok(()),
            Some(expected) => Err(ImportError::OtherInstrument { line, expected, found: found.to_owned() }),
            None => {
                let symbol = Symbol::from(found)
                    .map_err(|_| ImportError::Message { line, what: "instrument name is too long".to_owned() })?;
                self.symbol = Some(symbol);
                Ok(())
            }
        }
    }

    /// Puts an event of the known instrument on the tape.
    fn emit(&mut self, received: UnixNanos, kind: EventKind) {
        if let Some(symbol) = self.symbol {
            self.ready.push_back(TapeEvent { received, symbol, kind });
        }
    }

    fn take_snapshot(&mut self, kind: EventKind, seq: u64, received: UnixNanos) -> Result<(), ImportError> {
        let line = self.stats.lines;
        if self.symbol.is_none() {
            let what = "book snapshot before any message that names its instrument".to_owned();
            return Err(ImportError::Message { line, what });
        }
        let precedes_the_updates = self.waiting.front().is_some_and(|(_, first_seq, _)| *first_seq > seq + 1);
        if precedes_the_updates || self.book.is_some_and(|book| seq < book) {
            self.stats.depth_snapshots_unusable += 1;
            return Ok(());
        }
        self.book = Some(seq);
        self.emit(received, kind);
        while let Some(update) = self.waiting.pop_front() {
            self.take_update(update, received)?;
        }
        Ok(())
    }

    fn take_update(&mut self, update: Waiting, received: UnixNanos) -> Result<(), ImportError> {
        let line = self.stats.lines;
        let Some(last) = self.book else {
            // Updates among themselves may have no hole either, or no snapshot could ever fit.
            if let Some((_, _, before)) = self.waiting.back()
                && update.1 > before + 1
            {
                return Err(ImportError::Gap { line, last: *before, first: update.1 });
            }
            self.waiting.push_back(update);
            if self.waiting.len() > WAITING_MAX {
                return Err(ImportError::SnapshotTooLate { line, updates: self.waiting.len() });
            }
            return Ok(());
        };
        let (kind, first_seq, seq) = update;
        if seq <= last {
            self.stats.depth_updates_outdated += 1;
            return Ok(());
        }
        if first_seq > last + 1 {
            return Err(ImportError::Gap { line, last, first: first_seq });
        }
        self.book = Some(seq);
        self.emit(received, kind);
        Ok(())
    }
}

impl<P: FnMut(&ImportStats)> Iterator for Import<P> {
    type Item = Result<TapeEvent, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let event = self.step().transpose();
        self.done = !matches!(event, Some(Ok(_)));
        event
    }
}

/// Splits `<nanoseconds> <message>`.
fn split_time(text: &[u8]) -> Option<(UnixNanos, &[u8])> {
    let space = text.iter().position(|byte| *byte == b' ')?;
    let (time, message) = text.split_at(space);
    // Nineteen digits are the years 2001 to 2286; anything else is another unit or not a time.
    if time.len() != 19 || !time.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = std::str::from_utf8(time).ok()?.parse().ok()?;
    Some((UnixNanos(nanos), message.trim_ascii_start()))
}
