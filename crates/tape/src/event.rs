//! What a tape holds: market events with the time of their receipt.

use domain::{ChecksumRule, Scaled, Side, Symbol, UnixNanos, VenueTradeId};

/// One price and quantity as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapeLevel {
    /// The price.
    pub price: Scaled,
    /// The quantity resting there; zero in a depth update: the level is gone.
    pub qty: Scaled,
}

/// The venue's checksum of a book after an event, with the rule by which it was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapeChecksum {
    /// The rule.
    pub rule: ChecksumRule,
    /// The checksum; unsigned ones as the signed number of the same bits.
    pub value: i32,
}

/// One market event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeEvent {
    /// Wall time of receipt; on an imported tape it never falls, on a live one the clock may step.
    pub received: UnixNanos,
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// What happened.
    pub kind: EventKind,
}

/// What happened in a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The whole book, or as much of it as the venue gives; replaces what was known.
    DepthSnapshot {
        /// Bids, best first.
        bids: Vec<TapeLevel>,
        /// Asks, best first.
        asks: Vec<TapeLevel>,
        /// Update id up to which the book is told; 0: the venue has none.
        seq: u64,
        /// Levels of each side that the venue keeps telling of; what is pushed out beyond them it does not
        /// delete. `None`: every level is deleted explicitly.
        levels_max: Option<u32>,
        /// The venue's checksum, where it sends one.
        checksum: Option<TapeChecksum>,
    },
    /// Changed levels of the book.
    DepthUpdate {
        /// Changed bids, in the venue's order.
        bids: Vec<TapeLevel>,
        /// Changed asks, in the venue's order.
        asks: Vec<TapeLevel>,
        /// First update id told here. At or below the book's id plus one; above it, something is missing.
        /// 0: the venue does not say.
        first_seq: u64,
        /// Last update id told here: the book's id afterwards; 0: the venue has none.
        seq: u64,
        /// The venue's checksum of the book afterwards, where it sends one.
        checksum: Option<TapeChecksum>,
    },
    /// A public trade.
    Trade {
        /// Its price.
        price: Scaled,
        /// Its quantity.
        qty: Scaled,
        /// The side of the order that took.
        aggressor: Side,
        /// The venue's id of the trade; empty: it tells none.
        id: VenueTradeId,
    },
    /// Best bid and ask, told apart from the book.
    BookTicker {
        /// The best bid.
        bid: TapeLevel,
        /// The best ask.
        ask: TapeLevel,
        /// Update id of the book it was taken from; 0: the venue has none.
        seq: u64,
    },
    /// The recorder lost the stream: what happens until the next snapshot is not on the tape.
    Break,
}
