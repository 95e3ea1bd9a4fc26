//! Recordings of the cryptofeed project: JSON lines with raw frames and their times of receipt.
//!
//! A line is an object of `kind` (`server_sent`, `client_sent`, `connect`, `http_response`,
//! `recorder_config`), `ts` (unix seconds of receipt) and `data` (the exact text of the frame).
//! Books and trades of all instruments are taken over; tickers are left out, because they are told
//! later than the books and would contradict them.

use super::lines::Lines;
use super::wire::LineFault;
use super::{ImportError, ImportStats, PROGRESS_LINES, bitget, kraken, okx};
use crate::{EventKind, TapeEvent};
use domain::{Scaled, Symbol, UnixNanos};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::Read;

/// Decimals of a time in seconds that is kept in nanoseconds.
const NANO_DECIMALS: u8 = 9;

/// The venues whose frames can be read from a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedVenue {
    /// Bitget, API v1 and v2: channels `books` and `trade`.
    Bitget,
    /// OKX v5: channels `books` and `trades`.
    Okx,
    /// Kraken v1: channels `book-N` and `trade`.
    Kraken,
}

impl RecordedVenue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bitget, Self::Okx, Self::Kraken];

    /// The name, as people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bitget => "bitget",
            Self::Okx => "okx",
            Self::Kraken => "kraken",
        }
    }

    /// The venue of this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|venue| venue.as_str() == word)
    }

    fn read(self, frame: &str, found: &mut Found) -> Result<(), LineFault> {
        match self {
            Self::Bitget => bitget::read(frame, found),
            Self::Okx => okx::read(frame, found),
            Self::Kraken => kraken::read(frame, found),
        }
    }
}

/// What one frame holds, in the order in which it happened.
pub(super) type Found = Vec<(Symbol, EventKind)>;

/// One line.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    /// Absent on lines that are no event.
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    /// Absent on lines without text.
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// Reads a recording; an iterator over tape events in the order of receipt. The first error ends it.
pub struct CryptofeedImport<P> {
    input: Lines,
    venue: RecordedVenue,
    only: Option<Symbol>,
    progress: P,
    stats: ImportStats,
    last_received: UnixNanos,
    found: Found,
    ready: VecDeque<TapeEvent>,
    done: bool,
}

/// Reads a recording of `venue` in the format of the cryptofeed project, plain or gzip.
///
/// `only` leaves out all other instruments; `progress` is called every 10,000 lines. Memory stays
/// bounded whatever the length of the recording.
///
/// # Errors
/// [`ImportError::Read`] when not even the first bytes can be read.
pub fn cryptofeed<R, P>(
    reader: R,
    venue: RecordedVenue,
    only: Option<Symbol>,
    progress: P,
) -> Result<CryptofeedImport<P>, ImportError>
where
    R: Read + 'static,
    P: FnMut(&ImportStats),
{
    Ok(CryptofeedImport {
        input: Lines::new(reader)?,
        venue,
        only,
        progress,
        stats: ImportStats::default(),
        last_received: UnixNanos(0),
        found: Found::new(),
        ready: VecDeque::new(),
        done: false,
    })
}

impl<P: FnMut(&ImportStats)> CryptofeedImport<P> {
    /// What was seen and done so far.
    #[must_use]
    pub const fn stats(&self) -> ImportStats {
        self.stats
    }

    fn step(&mut self) -> Result<Option<TapeEvent>, ImportError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.stats.events += 1;
                return Ok(Some(event));
            }
            let more = self.input.advance()?;
            self.stats.lines = self.input.count();
            if !more {
                (self.progress)(&self.stats);
                return Ok(None);
            }
            let line = self.input.take();
            let outcome = self.take_line(line.trim_ascii());
            self.input.give_back(line);
            outcome?;
            if self.stats.lines.is_multiple_of(PROGRESS_LINES) {
                (self.progress)(&self.stats);
            }
        }
    }

    fn take_line(&mut self, text: &[u8]) -> Result<(), ImportError> {
        let line = self.stats.lines;
        if text.is_empty() {
            return Ok(());
        }
        let message = |what: String| ImportError::Message { line, what };
        let outer: Outer<'_> = serde_json::from_slice(text)
            .map_err(|error| message(format!("no line of a cryptofeed recording: {error}")))?;
        if outer.kind != "server_sent" {
            self.stats.other += 1;
            return Ok(());
        }
        let (Some(ts), Some(frame)) = (outer.ts, outer.data) else {
            return Err(message("frame without `ts` or `data`".to_owned()));
        };
        let received = time(ts.get()).ok_or_else(|| message(format!("`{:.40}` is no time in seconds", ts.get())))?;
        if received < self.last_received {
            return Err(ImportError::TimeRunsBack { line });
        }
        self.last_received = received;
        let mut found = std::mem::take(&mut self.found);
        let outcome = self.venue.read(&frame, &mut found).map_err(|LineFault(what)| message(what));
        if outcome.is_ok() && found.is_empty() {
            self.stats.other += 1;
        }
        for (symbol, kind) in found.drain(..) {
            self.take(received, symbol, kind);
        }
        self.found = found;
        outcome
    }

    fn take(&mut self, received: UnixNanos, symbol: Symbol, kind: EventKind) {
        if self.only.is_some_and(|only| only != symbol) {
            self.stats.other += 1;
            return;
        }
        match &kind {
            EventKind::DepthSnapshot { checksum, .. } => {
                self.stats.depth_snapshots += 1;
                self.stats.checksums += u64::from(checksum.is_some());
            }
            EventKind::DepthUpdate { checksum, .. } => {
                self.stats.depth_updates += 1;
                self.stats.checksums += u64::from(checksum.is_some());
            }
            EventKind::Trade { .. } => self.stats.trades += 1,
            EventKind::BookTicker { .. } => self.stats.book_tickers += 1,
            EventKind::Break => self.stats.other += 1,
        }
        self.ready.push_back(TapeEvent { received, symbol, kind });
    }
}

impl<P: FnMut(&ImportStats)> Iterator for CryptofeedImport<P> {
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

/// Unix seconds with a fraction, exactly, as nanoseconds.
fn time(text: &str) -> Option<UnixNanos> {
    let nanos = Scaled::parse(text.as_bytes()).ok()?.rescaled(NANO_DECIMALS).ok()?;
    u64::try_from(nanos).ok().map(UnixNanos)
}

/// The venue's spelling as a symbol.
pub(super) fn symbol(text: &str) -> Result<Symbol, LineFault> {
    Symbol::from(text).map_err(|_| LineFault(format!("instrument `{text:.40}` is longer than any name")))
}
