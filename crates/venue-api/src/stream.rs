//! Streams: public market data and private reports.

use domain::{Scaled, Side, Symbol, UnixNanos};
use messages::{ReportBody, VenueError};
use rust_decimal::Decimal;

/// A kind of public data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Whole book: snapshot, then deltas.
    Book,
    /// The best level, each push whole.
    Book1,
    /// The best five levels, each push whole.
    Book5,
    /// The best fifteen levels, each push whole.
    Book15,
    /// The best fifty levels: a snapshot, then whatever the venue says its pushes are.
    Book50,
    /// Public trades.
    Trade,
    /// Last price, best prices and the day's figures.
    Ticker,
    /// Candles of one length.
    Candle(CandleInterval),
}

/// How long a candle lasts. Days and longer begin at midnight UTC where the venue can do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandleInterval {
    /// One minute.
    Min1,
    /// Five minutes.
    Min5,
    /// A quarter of an hour.
    Min15,
    /// Half an hour.
    Min30,
    /// One hour.
    Hour1,
    /// Four hours.
    Hour4,
    /// Six hours.
    Hour6,
    /// Twelve hours.
    Hour12,
    /// One day.
    Day1,
}

impl CandleInterval {
    /// Every length.
    pub const ALL: [Self; 9] = [
        Self::Min1,
        Self::Min5,
        Self::Min15,
        Self::Min30,
        Self::Hour1,
        Self::Hour4,
        Self::Hour6,
        Self::Hour12,
        Self::Day1,
    ];

    /// Its length.
    #[must_use]
    pub const fn length(self) -> std::time::Duration {
        let minutes = match self {
            Self::Min1 => 1,
            Self::Min5 => 5,
            Self::Min15 => 15,
            Self::Min30 => 30,
            Self::Hour1 => 60,
            Self::Hour4 => 240,
            Self::Hour6 => 360,
            Self::Hour12 => 720,
            Self::Day1 => 1_440,
        };
        std::time::Duration::from_secs(60 * minutes)
    }
}

impl Channel {
    /// The name used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Book1 => "book1",
            Self::Book5 => "book5",
            Self::Book15 => "book15",
            Self::Book50 => "book50",
            Self::Trade => "trade",
            Self::Ticker => "ticker",
            Self::Candle(_) => "candle",
        }
    }

    /// Whether its pushes are books.
    #[must_use]
    pub const fn is_book(self) -> bool {
        matches!(self, Self::Book | Self::Book1 | Self::Book5 | Self::Book15 | Self::Book50)
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

/// Best prices and the day's figures of one instrument; what a venue does not say is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TickerPush {
    /// Price of the last trade.
    pub last: Option<Scaled>,
    /// Best bid.
    pub bid: Option<Scaled>,
    /// Quantity at the best bid, in base.
    pub bid_qty: Option<Scaled>,
    /// Best ask.
    pub ask: Option<Scaled>,
    /// Quantity at the best ask, in base.
    pub ask_qty: Option<Scaled>,
    /// Price 24 hours ago.
    pub open_24h: Option<Scaled>,
    /// Highest price of 24 hours.
    pub high_24h: Option<Scaled>,
    /// Lowest price of 24 hours.
    pub low_24h: Option<Scaled>,
    /// Volume of 24 hours, in base.
    pub base_volume: Option<Decimal>,
    /// Volume of 24 hours, in quote.
    pub quote_volume: Option<Decimal>,
    /// Futures: price by which positions are valued.
    pub mark: Option<Decimal>,
    /// Futures: price of the underlying over several venues; it may have more decimals than orders can.
    pub index: Option<Decimal>,
    /// Futures: rate that longs pay to shorts when funding is next settled; negative: shorts pay.
    pub funding_rate: Option<Decimal>,
    /// Futures: when funding is next settled.
    pub next_funding: Option<UnixNanos>,
    /// Futures: open positions of all traders, in base.
    pub open_interest: Option<Decimal>,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// One candle. The last one of a push is usually not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandlePush {
    /// When it begins.
    pub start: UnixNanos,
    /// First price.
    pub open: Scaled,
    /// Highest price.
    pub high: Scaled,
    /// Lowest price.
    pub low: Scaled,
    /// Last price.
    pub close: Scaled,
    /// Volume, in base.
    pub base_volume: Decimal,
    /// Volume, in quote.
    pub quote_volume: Decimal,
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
    /// For a ticker push.
    pub ticker: TickerPush,
    /// For a candle push, oldest first.
    pub candles: Vec<CandlePush>,
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
    /// Data of the ticker channel.
    Ticker,
    /// Data of a candle channel.
    Candles,
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
        self.ticker = TickerPush::default();
        self.candles.clear();
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
    /// Whether the venue has this channel.
    fn has(&self, channel: Channel) -> bool {
        matches!(channel, Channel::Book | Channel::Book5 | Channel::Trade)
    }

    /// Frames that subscribe to all of `wanted`, each within the venue's frame size. What the venue does not have
    /// ([`Self::has`]) is left out.
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

    /// The channels that must be acknowledged before the stream of these instruments counts as live.
    fn channels(&self, symbols: &[Symbol]) -> &'static [&'static str];

    /// The text to send as a sign of life, and how often.
    fn ping(&self) -> (&'static str, std::time::Duration);

    /// Reads one frame. Unknown fields, events and channels are no errors.
    ///
    /// # Errors
    /// [`FrameError`] when a frame of a known channel cannot be read: orders and fills must then be asked for by REST.
    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError>;
}
