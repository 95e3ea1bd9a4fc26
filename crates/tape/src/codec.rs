//! The bytes of a tape.
//!
//! ```text
//! header   "sf-tape\n"  version u32  source length u32  source  crc u32
//! segment  "SEGM"  events u32  raw length u32  packed length u32  packed  crc u32
//! end      "END."  events u64  crc u32
//! ```
//! Whole numbers are little-endian; each crc (CRC-32) covers everything of its
//! part before it. `packed` is raw deflate of the events. An event: kind u8,
//! time since the event before (signed), number of the symbol (a new one is
//! followed by its text), fields. Inside events whole numbers are variable
//! length, seven bits a byte, signed ones folded; a decimal is mantissa, decimals.
//! Version 2 added three kinds: a snapshot and an update with what checks them, and
//! the break of a stream; the kinds of version 1 are written and read as before.
//! Each segment begins anew, so one can be read without those before it.

use crate::{EventKind, TapeChecksum, TapeEvent, TapeLevel};
use domain::{ChecksumRule, Scaled, Side, Symbol, UnixNanos, VenueTradeId};

pub(crate) const MAGIC: &[u8; 8] = b"sf-tape\n";
pub(crate) const VERSION: u32 = 2;
pub(crate) const SEGMENT: &[u8; 4] = b"SEGM";
pub(crate) const END: &[u8; 4] = b"END.";
/// Longest description of where a tape comes from, in bytes.
pub(crate) const SOURCE_BYTES_MAX: usize = 256;
/// A segment is closed when its events reach this size.
pub(crate) const SEGMENT_BYTES: usize = 256 * 1024;
/// Largest event: a snapshot of 100,000 levels a side fits.
pub(crate) const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest segment a reader accepts: one event beyond the closing size.
pub(crate) const SEGMENT_BYTES_MAX: usize = SEGMENT_BYTES + EVENT_BYTES_MAX;

const SNAPSHOT: u8 = 1;
const UPDATE: u8 = 2;
const TRADE: u8 = 3;
const TICKER: u8 = 4;
/// Since version 2.
const CHECKED_SNAPSHOT: u8 = 5;
/// Since version 2.
const CHECKED_UPDATE: u8 = 6;
/// Since version 2.
const BREAK: u8 = 7;

const NO_CHECKSUM: u8 = 0;
const SIDES_IN_TURN: u8 = 1;
const ASKS_THEN_BIDS: u8 = 2;

/// Turns events into the raw bytes of one segment.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: u32,
    symbols: Vec<Symbol>,
    last: u64,
}

impl Encoder {
    /// Begins the next segment.
    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        self.symbols.clear();
        self.events = 0;
        self.last = 0;
    }

    /// Appends one event; if it is too large it is taken back and its size returned.
    pub(crate) fn event(&mut self, event: &TapeEvent) -> Result<(), usize> {
        let (start, known, last) = (self.bytes.len(), self.symbols.len(), self.last);
        self.encode(event);
        let size = self.bytes.len() - start;
        if size > EVENT_BYTES_MAX {
            self.bytes.truncate(start);
            self.symbols.truncate(known);
            self.last = last;
            return Err(size);
        }
        self.events += 1;
        Ok(())
    }

    fn encode(&mut self, event: &TapeEvent) {
        self.bytes.push(match event.kind {
            EventKind::DepthSnapshot { levels_max: None, checksum: None, .. } => SNAPSHOT,
            EventKind::DepthSnapshot { .. } => CHECKED_SNAPSHOT,
            EventKind::DepthUpdate { checksum: None, .. } => UPDATE,
            EventKind::DepthUpdate { .. } => CHECKED_UPDATE,
            EventKind::Trade { .. } => TRADE,
            EventKind::BookTicker { .. } => TICKER,
            EventKind::Break => BREAK,
        });
        self.signed(event.received.0.wrapping_sub(self.last).cast_signed());
        self.last = event.received.0;
        let known = self.symbols.iter().position(|symbol| *symbol == event.symbol);
        self.count(known.unwrap_or(self.symbols.len()));
        if known.is_none() {
            self.symbols.push(event.symbol);
            self.text(event.symbol.as_bytes());
        }
        match &event.kind {
            EventKind::DepthSnapshot { bids, asks, seq, levels_max, checksum } => {
                if levels_max.is_some() || checksum.is_some() {
                    self.checksum(*checksum);
                    // One more than the number, so that zero is free for none.
                    self.unsigned(levels_max.map_or(0, |levels| u64::from(levels) + 1));
                }
                self.unsigned(*seq);
                self.levels(bids);
                self.levels(asks);
            }
            EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum } => {
                if checksum.is_some() {
                    self.checksum(*checksum);
                }
                self.unsigned(*seq);
                self.signed(seq.wrapping_sub(*first_seq).cast_signed());
                self.levels(bids);
                self.levels(asks);
            }
            EventKind::Trade { price, qty, aggressor, id } => {
                self.decimal(*price);
                self.decimal(*qty);
                self.bytes.push(match aggressor {
                    Side::Buy => 0,
                    Side::Sell => 1,
                });
                self.text(id.as_bytes());
            }
            EventKind::BookTicker { bid, ask, seq } => {
                self.unsigned(*seq);
                self.level(bid);
                self.level(ask);
            }
            EventKind::Break => {}
        }
    }

    fn checksum(&mut self, checksum: Option<TapeChecksum>) {
        let Some(TapeChecksum { rule, value }) = checksum else {
            self.bytes.push(NO_CHECKSUM);
            return;
        };
        self.bytes.push(match rule {
            ChecksumRule::SidesInTurn => SIDES_IN_TURN,
            ChecksumRule::AsksThenBids => ASKS_THEN_BIDS,
        });
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn unsigned(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.bytes.push(low & 0x7f);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }

    fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn count(&mut self, count: usize) {
        self.unsigned(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &[u8]) {
        self.count(text.len());
        self.bytes.extend_from_slice(text);
    }

    fn decimal(&mut self, number: Scaled) {
        self.signed(number.mantissa);
        self.bytes.push(number.decimals);
    }

    fn level(&mut self, level: &TapeLevel) {
        self.decimal(level.price);
        self.decimal(level.qty);
    }

    fn levels(&mut self, levels: &[TapeLevel]) {
        self.count(levels.len());
        for level in levels {
            self.level(level);
        }
    }
}

/// What does not agree inside a segment.
type Fault = &'static str;

/// Walks through the raw bytes of one segment.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pub(crate) bytes: Vec<u8>,
    at: usize,
    symbols: Vec<Symbol>,
    last: u64,
}

impl Decoder {
    /// Begins a new segment, whose bytes the caller has put into `bytes`.
    pub(crate) fn reset(&mut self) {
        self.at = 0;
        self.symbols.clear();
        self.last = 0;
    }

    /// Whether all bytes of the segment were read.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Result<TapeEvent, Fault> {
        let kind = self.byte()?;
        let received = self.last.wrapping_add(self.signed()?.cast_unsigned());
        self.last = received;
        let symbol = self.symbol()?;
        let kind = match kind {
            SNAPSHOT | CHECKED_SNAPSHOT => {
                let (checksum, levels_max) =
                    if kind == SNAPSHOT { (None, None) } else { (self.checksum()?, self.levels_max()?) };
                let seq = self.unsigned()?;
                EventKind::DepthSnapshot { bids: self.levels()?, asks: self.levels()?, seq, levels_max, checksum }
            }
            UPDATE | CHECKED_UPDATE => {
                let checksum = if kind == UPDATE { None } else { self.checksum()? };
                let seq = self.unsigned()?;
                let first_seq = seq.wrapping_sub(self.signed()?.cast_unsigned());
                EventKind::DepthUpdate { bids: self.levels()?, asks: self.levels()?, first_seq, seq, checksum }
            }
            BREAK => EventKind::Break,
            TRADE => EventKind::Trade {
                price: self.decimal()?,
                qty: self.decimal()?,
                aggressor: match self.byte()? {
                    0 => Side::Buy,
                    1 => Side::Sell,
                    _ => return Err("unknown side"),
                },
                id: VenueTradeId::from(self.text()?).map_err(|_| "trade id too long")?,
            },
            TICKER => {
                let seq = self.unsigned()?;
                EventKind::BookTicker { bid: self.level()?, ask: self.level()?, seq }
            }
            _ => return Err("unknown kind of event"),
        };
        Ok(TapeEvent { received: UnixNanos(received), symbol, kind })
    }

    fn checksum(&mut self) -> Result<Option<TapeChecksum>, Fault> {
        let rule = match self.byte()? {
            NO_CHECKSUM => return Ok(None),
            SIDES_IN_TURN => ChecksumRule::SidesInTurn,
            ASKS_THEN_BIDS => ChecksumRule::AsksThenBids,
            _ => return Err("unknown rule of a checksum"),
        };
        let value = i32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]);
        Ok(Some(TapeChecksum { rule, value }))
    }

    fn levels_max(&mut self) -> Result<Option<u32>, Fault> {
        match self.unsigned()? {
            0 => Ok(None),
            more => u32::try_from(more - 1).map(Some).map_err(|_| "impossible number of levels"),
        }
    }

    fn symbol(&mut self) -> Result<Symbol, Fault> {
        let number = self.count()?;
        if let Some(symbol) = self.symbols.get(number) {
            return Ok(*symbol);
        }
        if number != self.symbols.len() {
            return Err("symbol that was not introduced");
        }
        let symbol = Symbol::from(self.text()?).map_err(|_| "symbol too long")?;
        self.symbols.push(symbol);
        Ok(symbol)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = self.bytes.get(self.at).ok_or("event beyond the segment")?;
        self.at += 1;
        Ok(*byte)
    }

    fn unsigned(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err("number beyond 64 bits");
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("number beyond 64 bits")
    }

    fn signed(&mut self) -> Result<i64, Fault> {
        let folded = self.unsigned()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    fn count(&mut self) -> Result<usize, Fault> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| "count beyond the segment")?;
        // Everything counted takes at least one byte, so a count can be checked before room is made.
        if count > self.bytes.len() { Err("count beyond the segment") } else { Ok(count) }
    }

    fn text(&mut self) -> Result<&str, Fault> {
        let length = self.count()?;
        let bytes = self.bytes.get(self.at..self.at + length).ok_or("text beyond the segment")?;
        self.at += length;
        std::str::from_utf8(bytes).map_err(|_| "text that is not UTF-8")
    }

    fn decimal(&mut self) -> Result<Scaled, Fault> {
        let (mantissa, decimals) = (self.signed()?, self.byte()?);
        if decimals > Scaled::DECIMALS_MAX {
            return Err("number with too many decimals");
        }
        Ok(Scaled { mantissa, decimals })
    }

    fn level(&mut self) -> Result<TapeLevel, Fault> {
        Ok(TapeLevel { price: self.decimal()?, qty: self.decimal()? })
    }

    fn levels(&mut self) -> Result<Vec<TapeLevel>, Fault> {
        let count = self.count()?;
        (0..count).map(|_| self.level()).collect()
    }
}
