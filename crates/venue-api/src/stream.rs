//! Streams: public market data and private reports.

use domain::{Scaled, Side, Symbol, UnixNanos};
use messages::{ReportBody, VenueError};

/// A kind of public data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Whole book: snapshot, then deltas.
    Book,
    /// The best five levels, each push whole.
    Book5,
    /// Public trades.
    Trade,
}

impl Channel {
    /// The name used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Book5 => "book5",
            Self::Trade => "trade",
        }
    }
}

/// One channel of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription {
    /// The channel.
    pub channel: Channel,
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
}

/// One level as the venue wrote it: its text is `mantissa / 10^decimals` with all decimals shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLevel {
    /// Price.
    pub price: Scaled,
    /// Quantity; zero deletes the level.
    pub qty: Scaled,
}

/// A book push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookPush {
    /// Whether it replaces the book.
    pub snapshot: bool,
    /// Bids, in the venue's order.
    pub bids: Vec<WireLevel>,
    /// Asks, in the venue's order.
    pub asks: Vec<WireLevel>,
    /// Its sequence number, where the venue sends one.
    pub seq: Option<u64>,
    /// The sequence number before it, where the venue sends one; zero counts as none.
    pub prev_seq: Option<u64>,
    /// Its checksum, where the venue sends one; zero counts as none.
    pub checksum: Option<i32>,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// A public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradePush {
    /// Price.
    pub price: Scaled,
    /// Quantity, in base.
    pub qty: Scaled,
    /// The side of the taker.
    pub aggressor: Side,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// What a public frame says. Reused from frame to frame, so that the lists keep their room.
#[derive(Debug, Clone, Default)]
pub struct FeedFrame {
    /// What the frame is.
    pub kind: FeedFrameKind,
    /// For data and acknowledgements: which subscription.
    pub subscription: Option<Subscription>,
    /// For a book push.
    pub book: BookPush,
    /// For a trade push, oldest first.
    pub trades: Vec<TradePush>,
    /// For an error.
    pub error: Option<VenueError>,
}

/// Kinds of public frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeedFrameKind {
    /// Nothing that matters (an unknown event or channel).
    #[default]
    Ignored,
    /// Answer to our text ping.
    Pong,
    /// A subscription was accepted.
    Subscribed,
    /// A subscription was ended.
    Unsubscribed,
    /// Data of a book channel.
    Book,
    /// Data of the trade channel.
    Trades,
    /// An error about a subscription or the connection.
    Error,
    /// The venue will close the connection soon.
    ClosingSoon,
}

impl FeedFrame {
    /// Empties it for the next frame, keeping the room of its lists.
    pub fn clear(&mut self) {
        self.kind = FeedFrameKind::Ignored;
        self.subscription = None;
        self.book.snapshot = false;
        self.book.bids.clear();
        self.book.asks.clear();
        self.book.seq = None;
        self.book.prev_seq = None;
        self.book.checksum = None;
        self.book.venue_time = UnixNanos(0);
        self.trades.clear();
        self.error = None;
    }
}

/// A frame could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frame unreadable: {0}")]
pub struct FrameError(
    /// What was wrong, from a closed list of words.
    pub &'static str,
);

/// Speaks a venue's public stream.
pub trait FeedCodec: Send + Sync {
    /// Frames that subscribe to all of `wanted`, each within the venue's frame size.
    fn subscribe(&self, wanted: &[Subscription]) -> Vec<String>;

    /// Frames that end the subscriptions.
    fn unsubscribe(&self, ended: &[Subscription]) -> Vec<String>;

    /// The text to send as a sign of life, and how often.
    fn ping(&self) -> (&'static str, std::time::Duration);

    /// Reads one frame into `out`, which is cleared first. Unknown fields, events and channels are no errors.
    ///
    /// # Errors
    /// [`FrameError`] when a frame of a known channel cannot be read; its book must be discarded.
    fn decode(&self, frame: &[u8], out: &mut FeedFrame) -> Result<(), FrameError>;
}

/// What a private frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivateFrame {
    /// Nothing that matters.
    Ignored,
    /// Answer to our text ping.
    Pong,
    /// Logged in.
    LoggedIn,
    /// Log-in refused.
    LoginFailed(VenueError),
    /// A channel was accepted; its name.
    Subscribed(&'static str),
    /// An error.
    Error(VenueError),
    /// Orders, fills and balances, in the order of the frame.
    Reports(Vec<ReportBody>),
}

/// Speaks a venue's private stream; the log-in frame is made by the signer.
pub trait PrivateCodec: Send + Sync {
    /// Where the stream is, from the address in the settings or the venue's table.
    fn address(&self, base: &str) -> String {
        base.to_owned()
    }

    /// Frames to send after log-in.
    fn subscribe(&self, symbols: &[Symbol]) -> Vec<String>;

    /// The channels that must be acknowledged before the stream counts as live.
    fn channels(&self) -> &'static [&'static str];

    /// The text to send as a sign of life, and how often.
    fn ping(&self) -> (&'static str, std::time::Duration);

    /// Reads one frame. Unknown fields, events and channels are no errors.
    ///
    /// # Errors
    /// [`FrameError`] when a frame of a known channel cannot be read: orders and fills must then be asked for by REST.
    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError>;
}
