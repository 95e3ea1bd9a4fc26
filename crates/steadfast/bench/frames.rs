//! Market frames made from memory, and the feed's and strategy's part of the way: bytes in, intent out.

use super::BenchError;
use super::rig::{INSTRUMENT, STRATEGY, SYMBOL, Top, TopWriter, version};
use domain::{
    Book, BookMessage, InstrumentVersion, Level, MonoNanos, Price, Qty, Rounding, Side, TimeInForce, TopOfBook,
};
use messages::OrderIntent;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use venue_api::{FeedCodec, FeedFrame, WireLevel};

/// Frames in the ring: more than a branch predictor learns by heart.
pub(super) const FRAMES: usize = 256;
/// Levels on each side of a `books5` frame.
const LEVELS: i64 = 5;
/// The price around which the frames move, in hundredths.
pub(super) const MID: i64 = 6_500_000;

/// A number that looks like chance and is the same in every run.
pub(super) fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16
}

/// A scattered number from 0 up to `below`.
pub(super) fn scattered(number: u64, below: i64) -> i64 {
    i64::try_from(scatter(number) % below.unsigned_abs().max(1)).unwrap_or(0)
}

/// `books5` pushes of BTCUSDT in Bitget's form.
pub(super) fn books5() -> Vec<Vec<u8>> {
    (0_u64..).take(FRAMES).map(|number| books5_frame(number).into_bytes()).collect()
}

fn books5_frame(number: u64) -> String {
    let mid = MID + scattered(number, 4_000) - 2_000;
    let side = |sign: i64, salt: u64| {
        (0..LEVELS).fold(String::new(), |mut text, at| {
            let price = mid + sign * (10 + at * 15 + scattered(number * 31 + salt + at.unsigned_abs(), 10));
            let qty = 1 + scattered(number * 17 + salt + at.unsigned_abs(), 3_000_000);
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(
                text,
                r#"{comma}["{}.{:02}","{}.{:06}"]"#,
                price / 100,
                price % 100,
                qty / 1_000_000,
                qty % 1_000_000
            );
            text
        })
    };
    let (asks, bids) = (side(1, 1_000), side(-1, 2_000));
    let ms = 1_700_000_000_000 + number * 100;
    format!(
        r#"{{"action":"snapshot","arg":{{"instType":"SPOT","channel":"books5","instId":"{SYMBOL}"}},"data":[{{"asks":[{asks}],"bids":[{bids}],"checksum":0,"seq":{},"ts":"{ms}"}}],"ts":{}}}"#,
        1_304_314_508_780_744_705 + number,
        ms + 2
    )
}

/// The feed and a strategy on their common thread.
pub(super) struct Desk {
    codec: Arc<dyn FeedCodec>,
    frame: FeedFrame,
    bids: Vec<Level>,
    asks: Vec<Level>,
    book: Book,
    board: TopWriter,
    version: InstrumentVersion,
    frames: Vec<Vec<u8>>,
    next_frame: usize,
    /// When the latest frame was there.
    received: MonoNanos,
    asked: u32,
}

impl Desk {
    /// The strategy quotes this far below mid: 0.005 %, as the demo's market maker does.
    const HALF_SPREAD_DIVISOR: i64 = 20_000;

    pub(super) fn new(board: TopWriter) -> Self {
        let version = version();
        Self {
            codec: venue_bitget::codecs(venue_bitget::Environment::Production).feed,
            frame: FeedFrame::default(),
            bids: Vec::with_capacity(64),
            asks: Vec::with_capacity(64),
            book: Book::new(version.price_decimals, version.qty_decimals, Duration::from_secs(2)),
            board,
            version,
            frames: books5(),
            next_frame: 0,
            received: MonoNanos(0),
            asked: 0,
        }
    }

    /// Takes the next frame of the ring: decodes it, applies it to the book, publishes the top.
    pub(super) fn take_frame(&mut self, received: MonoNanos) -> Result<(), BenchError> {
        let unreadable = BenchError::Setup("a frame of the bench cannot be read");
        let Some(bytes) = self.frames.get(self.next_frame) else { return Err(unreadable) };
        self.next_frame = (self.next_frame + 1) % FRAMES;
        self.codec.decode(bytes, &mut self.frame).map_err(|_| unreadable)?;
        let decimals = (self.version.price_decimals, self.version.qty_decimals);
        convert(&self.frame.book.bids, &mut self.bids, decimals)?;
        convert(&self.frame.book.asks, &mut self.asks, decimals)?;
        let message = BookMessage {
            bids: &self.bids,
            asks: &self.asks,
            seq: self.frame.book.seq.unwrap_or(0),
            prev_seq: self.frame.book.prev_seq,
            checksum: self.frame.book.checksum,
        };
        self.book
            .apply_snapshot(&message, received)
            .map_err(|_| BenchError::Setup("a book of the bench is not valid"))?;
        self.received = received;
        self.board.publish(Top(self.top()?));
        Ok(())
    }

    /// Publishes the top that stands, as if a frame had just confirmed it; nothing is decoded.
    pub(super) fn confirm(&mut self, received: MonoNanos) -> Result<(), BenchError> {
        let top = self.top()?;
        self.board.publish(Top(TopOfBook { at: received, ..top }));
        Ok(())
    }

    /// The top of the book as it was when its frame came.
    fn top(&self) -> Result<TopOfBook, BenchError> {
        let book = self.book.valid(self.received).map_err(|_| BenchError::Setup("a book of the bench is not valid"))?;
        Ok(book.best())
    }

    /// What the strategy asks for on the book that stands: a bid at half a spread below mid.
    pub(super) fn decide(&mut self, caused: MonoNanos, decided: MonoNanos) -> Result<OrderIntent, BenchError> {
        let off_grid = |_| BenchError::Setup("an order of the bench is off the grid");
        let doubled_mid = self.top()?.mid_doubled().ok_or(BenchError::Setup("a book of the bench is empty"))?;
        self.asked = self.asked.wrapping_add(1);
        let wanted = Price((doubled_mid - doubled_mid / Self::HALF_SPREAD_DIVISOR) / 2);
        // Sixteen sizes, so that no order of one step of the clock looks like a doubled one.
        let qty = Qty(500 + i64::from(self.asked % 16) * 10);
        Ok(OrderIntent {
            strategy: STRATEGY,
            reference: self.asked,
            instrument: INSTRUMENT,
            side: Side::Buy,
            price: self.version.order_price(wanted, Rounding::passive(Side::Buy)).map_err(off_grid)?,
            qty: self.version.order_qty(qty, Rounding::Exact).map_err(off_grid)?,
            time_in_force: TimeInForce::PostOnly,
            effect: domain::PositionEffect::default(),
            caused,
            decided,
        })
    }
}

fn convert(wire: &[WireLevel], levels: &mut Vec<Level>, decimals: (u8, u8)) -> Result<(), BenchError> {
    levels.clear();
    for level in wire {
        let level = Level::from_scaled(level.price, level.qty, decimals.0, decimals.1);
        levels.push(level.map_err(|_| BenchError::Setup("a level of the bench does not fit"))?);
    }
    Ok(())
}
