//! Market data on its way from the feed to strategies.

use arrayvec::ArrayVec;
use domain::{InstrumentId, InstrumentVersion, MonoNanos, Price, Qty, Side, UnixNanos, VenueId};

/// Levels of each side that a strategy sees.
pub const VIEW_LEVELS: usize = 5;

/// Price and quantity of one level of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewLevel {
    /// Price.
    pub price: Price,
    /// Quantity resting there, in base.
    pub qty: Qty,
}

/// The best levels of a book that was valid when this was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookView {
    /// Best bid first.
    pub bids: ArrayVec<ViewLevel, VIEW_LEVELS>,
    /// Best ask first.
    pub asks: ArrayVec<ViewLevel, VIEW_LEVELS>,
}

impl BookView {
    /// Twice the mid price, which is always a whole mantissa; `None` while a side is empty.
    #[must_use]
    pub fn doubled_mid(&self) -> Option<i64> {
        self.bids.first()?.price.0.checked_add(self.asks.first()?.price.0)
    }
}

/// Why no price can be read from a book now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BookFaultKind {
    /// No snapshot yet (start, reconnect, resubscribe).
    NoSnapshot,
    /// A sequence number is missing.
    Gap,
    /// The checksum disagrees.
    Checksum,
    /// Best bid at or above best ask.
    Crossed,
    /// Nothing has arrived for longer than allowed.
    Stale,
    /// The connection is down.
    Disconnected,
}

/// What a strategy can know about a book: its best levels, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookStatus {
    /// Whole and fresh.
    Valid(BookView),
    /// Not to be traded on.
    Invalid(BookFaultKind),
}

/// Something that has happened in the market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarketEventKind {
    /// The book has changed (conflated: newest wins).
    Book(BookStatus),
    /// Somebody traded.
    Trade {
        /// Price of the print.
        price: Price,
        /// Quantity, in base.
        qty: Qty,
        /// The side of the taker.
        aggressor: Side,
        /// The venue's time of it.
        venue_time: UnixNanos,
    },
    /// New trading rules are in force.
    InstrumentChanged(InstrumentVersion),
}

/// One market event of one instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketEvent {
    /// The instrument.
    pub instrument: InstrumentId,
    /// When the frame it comes from was received.
    pub received: MonoNanos,
    /// What has happened.
    pub kind: MarketEventKind,
}

/// Whether a venue's public stream is up; for health and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedStatus {
    /// The venue.
    pub venue: VenueId,
    /// Whether every subscription is acknowledged and alive.
    pub live: bool,
}
