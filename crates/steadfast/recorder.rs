//! Puts what a feed receives on a tape, exactly as the venue wrote it.

use domain::{ChecksumRule, Symbol, UnixNanos, VenueTradeId};
use std::collections::BTreeSet;
use std::io::Write;
use tape::{EventKind, TapeChecksum, TapeError, TapeEvent, TapeLevel, TapeStats, TapeWriter};
use venue_api::{BookPush, FeedFrame, FeedFrameKind, WireLevel};

/// What was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Book snapshots.
    pub snapshots: u64,
    /// Book updates.
    pub updates: u64,
    /// Trades.
    pub trades: u64,
    /// Books that were lost with their connection.
    pub breaks: u64,
    /// Events larger than any market event can be; the stream counts as broken there.
    pub too_large: u64,
}

/// Writes frames to a tape.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    writer: TapeWriter<W>,
    /// Instruments whose books are being told.
    told: BTreeSet<Symbol>,
    recorded: Recorded,
}

impl<W: Write> Recorder<W> {
    /// A recorder onto this tape.
    pub const fn new(writer: TapeWriter<W>) -> Self {
        Self {
            writer,
            told: BTreeSet::new(),
            recorded: Recorded { snapshots: 0, updates: 0, trades: 0, breaks: 0, too_large: 0 },
        }
    }

    /// What was recorded so far.
    pub const fn recorded(&self) -> Recorded {
        self.recorded
    }

    /// Writes what a decoded frame holds.
    ///
    /// # Errors
    /// [`TapeError`]: stop recording; what is whole on the tape stays readable.
    pub fn frame(&mut self, frame: &FeedFrame, received: UnixNanos) -> Result<(), TapeError> {
        let Some(subscription) = frame.subscription else { return Ok(()) };
        let symbol = subscription.symbol;
        match frame.kind {
            FeedFrameKind::Book => {
                let kind = book(&frame.book);
                let snapshot = matches!(kind, EventKind::DepthSnapshot { .. });
                if self.write(symbol, received, kind)? {
                    self.told.insert(symbol);
                    self.recorded.snapshots += u64::from(snapshot);
                    self.recorded.updates += u64::from(!snapshot);
                }
            }
            FeedFrameKind::Trades => {
                for trade in &frame.trades {
                    // The feed's words for a trade carry no venue id.
                    let id = VenueTradeId::new();
                    let (price, qty, aggressor) = (trade.price, trade.qty, trade.aggressor);
                    if self.write(symbol, received, EventKind::Trade { price, qty, aggressor, id })? {
                        self.recorded.trades += 1;
                    }
                }
            }
            // Answers, and channels that no tape holds.
            _ => {}
        }
        Ok(())
    }

    /// Notes that the stream broke: every book that was told is unknown from here to its next snapshot.
    ///
    /// # Errors
    /// [`TapeError`], as [`Recorder::frame`].
    pub fn broken(&mut self, received: UnixNanos) -> Result<(), TapeError> {
        for symbol in std::mem::take(&mut self.told) {
            if self.write(symbol, received, EventKind::Break)? {
                self.recorded.breaks += 1;
            }
        }
        self.flush()
    }

    /// Hands what is pending to the system, so that a crash loses at most what comes after.
    ///
    /// # Errors
    /// [`TapeError`], as [`Recorder::frame`].
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.writer.flush()
    }

    /// Gives the tape back, to be finished.
    pub fn into_tape(self) -> (TapeWriter<W>, Recorded) {
        (self.writer, self.recorded)
    }

    /// What the tape holds by now.
    pub const fn stats(&self) -> TapeStats {
        self.writer.stats()
    }

    /// `false`: the event was too large, and a break stands in its place.
    fn write(&mut self, symbol: Symbol, received: UnixNanos, kind: EventKind) -> Result<bool, TapeError> {
        match self.writer.write(&TapeEvent { received, symbol, kind }) {
            Ok(()) => Ok(true),
            Err(TapeError::EventTooLarge { .. }) => {
                self.recorded.too_large += 1;
                self.writer.write(&TapeEvent { received, symbol, kind: EventKind::Break })?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// A book push as the tape tells it.
fn book(push: &BookPush) -> EventKind {
    let levels = |levels: &[WireLevel]| {
        levels.iter().map(|level| TapeLevel { price: level.price, qty: level.qty }).collect::<Vec<_>>()
    };
    let (bids, asks) = (levels(&push.bids), levels(&push.asks));
    let seq = push.seq.unwrap_or(0);
    let value = push.checksum.filter(|value| *value != 0);
    // The only rule of the venues that have a codec here.
    let checksum = value.map(|value| TapeChecksum { rule: ChecksumRule::SidesInTurn, value });
    if push.snapshot {
        return EventKind::DepthSnapshot { bids, asks, seq, levels_max: None, checksum };
    }
    let first_seq = push.prev_seq.filter(|before| *before != 0).map_or(0, |before| before.saturating_add(1));
    EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Scaled, Side};
    use tape::TapeReader;
    use venue_api::{Channel, Subscription, TradePush};

    fn level(price: i64, qty: i64) -> WireLevel {
        WireLevel { price: Scaled { mantissa: price, decimals: 2 }, qty: Scaled { mantissa: qty, decimals: 3 } }
    }

    fn frame(kind: FeedFrameKind, channel: Channel) -> FeedFrame {
        let symbol = Symbol::from("BTCUSDT").unwrap();
        FeedFrame { kind, subscription: Some(Subscription { channel, symbol }), ..FeedFrame::default() }
    }

    fn recorder() -> Recorder<Vec<u8>> {
        Recorder::new(TapeWriter::new(Vec::new(), "test").unwrap())
    }

    fn events(recorder: Recorder<Vec<u8>>) -> Vec<EventKind> {
        let (bytes, _) = recorder.into_tape().0.finish().unwrap();
        TapeReader::new(&bytes[..]).unwrap().map(|event| event.unwrap().kind).collect()
    }

    #[test]
    fn numbers_sequence_and_checksum_stand_on_the_tape_as_the_venue_wrote_them() {
        let mut recorder = recorder();
        let mut update = frame(FeedFrameKind::Book, Channel::Book);
        update.book = BookPush {
            bids: vec![level(10_010, 1_500)],
            asks: vec![level(10_020, 0)],
            seq: Some(8),
            prev_seq: Some(6),
            checksum: Some(-5),
            ..BookPush::default()
        };
        recorder.frame(&update, UnixNanos(1)).unwrap();
        let mut trades = frame(FeedFrameKind::Trades, Channel::Trade);
        let trade = TradePush {
            price: level(10_010, 0).price,
            qty: level(1, 20).qty,
            aggressor: Side::Sell,
            venue_time: UnixNanos(1),
        };
        trades.trades = vec![trade];
        recorder.frame(&trades, UnixNanos(2)).unwrap();
        assert_eq!((recorder.recorded().updates, recorder.recorded().trades), (1, 1));
        let events = events(recorder);
        let [EventKind::DepthUpdate { bids, asks, first_seq: 7, seq: 8, checksum: Some(sum) }, EventKind::Trade { .. }] =
            events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!(
            (sum.value, bids[0].price.to_string(), asks[0].qty.to_string()),
            (-5, "100.10".into(), "0.000".into())
        );
    }

    #[test]
    fn lost_connection_is_noted_once_for_each_book_that_was_told() {
        let mut recorder = recorder();
        recorder.broken(UnixNanos(1)).unwrap();
        let mut whole = frame(FeedFrameKind::Book, Channel::Book);
        whole.book = BookPush { snapshot: true, ..BookPush::default() };
        recorder.frame(&whole, UnixNanos(2)).unwrap();
        recorder.broken(UnixNanos(3)).unwrap();
        recorder.broken(UnixNanos(4)).unwrap();
        assert_eq!(recorder.recorded().breaks, 1);
        assert!(matches!(events(recorder).as_slice(), [EventKind::DepthSnapshot { .. }, EventKind::Break]));
    }

    #[test]
    fn event_that_is_too_large_leaves_a_break_and_the_tape_good() {
        let mut recorder = recorder();
        let mut huge = frame(FeedFrameKind::Book, Channel::Book);
        huge.book = BookPush { snapshot: true, bids: vec![level(i64::MAX, i64::MAX); 250_000], ..BookPush::default() };
        recorder.frame(&huge, UnixNanos(2)).unwrap();
        assert_eq!((recorder.recorded().too_large, recorder.recorded().snapshots), (1, 0));
        assert_eq!(events(recorder), [EventKind::Break]);
    }
}
