//! The feed as a pure state machine: frames, connections and time in; sends, events and tops out.

use crate::budget::{Need, RequestBudget};
use crate::line::{Due, Line, LineLimits};
use crate::top::Top;
use arrayvec::ArrayVec;
use domain::{Book, BookFault, BookMessage, Instrument, InstrumentId, InstrumentVersion, Level, MonoNanos, UnixNanos};
use messages::{BookFaultKind, BookStatus, BookView, MarketEvent, MarketEventKind, VIEW_LEVELS, ViewLevel};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use venue_api::{Channel, FeedCodec, FeedFrame, FeedFrameKind, Subscription, WireLevel};

/// A connection on which no book has spoken for so long is given up in any case.
const QUIET_MAX: Duration = Duration::from_secs(300);

/// Which channel an instrument's book comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BookSource {
    /// The whole book: snapshot, then changes, with sequence numbers and checksum where the venue has them.
    #[default]
    Full,
    /// The best five levels, whole with each push.
    Five,
}

/// One instrument to be fed.
#[derive(Debug, Clone)]
pub struct FeedInstrument {
    /// The instrument with its trading rules in force.
    pub instrument: Instrument,
    /// Where its book comes from.
    pub book: BookSource,
    /// Whether public trades are wanted too.
    pub trades: bool,
}

/// Bounds of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedSettings {
    /// A book whose last message is older cannot be read.
    pub book_age_max: Duration,
    /// A book channel without data for so long is asked for again; longer than `book_age_max`.
    pub book_silence_max: Duration,
    /// A subscription without acknowledgement for so long is asked for again.
    pub ack_wait_max: Duration,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            book_age_max: Duration::from_secs(5),
            book_silence_max: Duration::from_secs(30),
            ack_wait_max: Duration::from_secs(10),
        }
    }
}

/// When a frame was received, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTime {
    /// Monotonic.
    pub mono: MonoNanos,
    /// Wall.
    pub unix: UnixNanos,
}

/// What the feed wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedOutput {
    /// Send this text on the present connection.
    Send(String),
    /// Overwrite the top of book of an instrument. Always before the event about the same change.
    Top(InstrumentId, Top),
    /// Tell the strategies.
    Event(MarketEvent),
    /// Give up this connection and make a new one, for this reason.
    Reconnect(&'static str),
    /// The venue will close this connection soon: have another one ready.
    ClosingSoon,
    /// Whether every subscription is acknowledged and every book valid; told when it changes.
    Live(bool),
}

/// What has happened since the last look, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedTally {
    /// Bytes received.
    pub bytes: u64,
    /// Frames with data: whole book, five levels, trades.
    pub frames: [u64; 3],
    /// Frames that could not be read or whose numbers do not fit, by channel (unknown channel: whole book).
    pub unreadable: [u64; 3],
    /// Books discarded for a gap, a wrong checksum or a crossed top, by channel.
    pub faults: [u64; 3],
    /// Subscriptions asked for again.
    pub resubscribed: u64,
    /// Errors that the venue told.
    pub errors: u64,
    /// Wall time of the last data, by channel.
    pub last: [Option<UnixNanos>; 3],
    /// Receive time minus venue time of the last data, in nanoseconds.
    pub lag_ns: Option<i64>,
}

impl FeedTally {
    /// The channels in the order of the lists above.
    pub const CHANNELS: [Channel; 3] = [Channel::Book, Channel::Book5, Channel::Trade];
}

fn bump(list: &mut [u64; 3], channel: Channel) {
    if let Some(count) = list.get_mut(place(channel)) {
        *count += 1;
    }
}

const fn place(channel: Channel) -> usize {
    match channel {
        // Deeper or shallower books count like the five best levels: each push is whole.
        Channel::Book => 0,
        Channel::Book1 | Channel::Book5 | Channel::Book15 | Channel::Book50 => 1,
        // What else is published is not subscribed here; if it comes, it counts like trades: it changes no book.
        Channel::Trade | Channel::Ticker | Channel::Candle(_) => 2,
    }
}

/// One instrument's book and what was last told about it.
#[derive(Debug)]
struct Entry {
    instrument: Instrument,
    book: Book,
    /// The fault last told; `None`: told as valid.
    told: Option<BookFaultKind>,
}

/// The state of one connection's worth of market data.
pub struct FeedState {
    codec: Arc<dyn FeedCodec>,
    settings: FeedSettings,
    entries: Vec<Entry>,
    /// Places in `entries`, by instrument id.
    places: HashMap<InstrumentId, usize>,
    lines: Vec<Line>,
    /// Places in `lines`.
    by_subscription: HashMap<Subscription, usize>,
    /// Requests for subscriptions.
    budget: RequestBudget,
    connected: bool,
    /// When a book last spoke on this connection, or it was made.
    heard: MonoNanos,
    live: bool,
    tally: FeedTally,
    frame: FeedFrame,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl FeedState {
    /// A feed without a connection; no book is valid.
    #[must_use]
    pub fn new(codec: Arc<dyn FeedCodec>, settings: FeedSettings, instruments: &[FeedInstrument]) -> Self {
        let mut state = Self {
            codec,
            settings,
            entries: Vec::with_capacity(instruments.len()),
            places: HashMap::with_capacity(instruments.len()),
            lines: Vec::with_capacity(instruments.len() * 2),
            by_subscription: HashMap::with_capacity(instruments.len() * 2),
            budget: RequestBudget::default(),
            connected: false,
            heard: MonoNanos(0),
            live: false,
            tally: FeedTally::default(),
            frame: FeedFrame::default(),
            bids: Vec::new(),
            asks: Vec::new(),
        };
        for wanted in instruments {
            let (id, symbol) = (wanted.instrument.id, wanted.instrument.symbol);
            if state.places.contains_key(&id) {
                continue;
            }
            let book = empty_book(&wanted.instrument.version, settings.book_age_max);
            state.places.insert(id, state.entries.len());
            state.entries.push(Entry {
                instrument: wanted.instrument.clone(),
                book,
                told: Some(BookFaultKind::NoSnapshot),
            });
            let channel = match wanted.book {
                BookSource::Full => Channel::Book,
                BookSource::Five => Channel::Book5,
            };
            state.add_line(Subscription { channel, symbol }, id);
            if wanted.trades {
                state.add_line(Subscription { channel: Channel::Trade, symbol }, id);
            }
        }
        state
    }

    fn add_line(&mut self, subscription: Subscription, instrument: InstrumentId) {
        self.by_subscription.insert(subscription, self.lines.len());
        self.lines.push(Line::new(subscription, instrument));
    }

    /// A new connection: nothing is subscribed on it, so every book starts anew.
    pub fn on_connected(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        self.discard_all(BookFaultKind::NoSnapshot, now, out);
        self.connected = true;
        self.heard = now;
        self.lines.iter_mut().for_each(|line| line.asked(now));
        let wanted: Vec<Subscription> = self.lines.iter().map(|line| line.subscription).collect();
        for request in self.codec.subscribe(&wanted) {
            self.budget.note(now);
            out.push(FeedOutput::Send(request));
        }
    }

    /// The connection is gone.
    pub fn on_disconnected(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        self.connected = false;
        self.lines.iter_mut().for_each(Line::off);
        self.discard_all(BookFaultKind::Disconnected, now, out);
        self.tell_live(out);
    }

    /// A frame was lost between socket and here: nobody knows of which book.
    pub fn on_frame_lost(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        self.give_up("frame_lost", now, out);
    }

    /// One text frame.
    pub fn on_frame(&mut self, bytes: &[u8], at: FrameTime, out: &mut Vec<FeedOutput>) {
        if !self.connected {
            // It belongs to a connection that was given up.
            return;
        }
        self.tally.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        // Taken out while it is read, so that the lists keep their room and the state stays free to change.
        let mut frame = std::mem::take(&mut self.frame);
        let read = self.codec.decode(bytes, &mut frame);
        let line = frame.subscription.and_then(|subscription| self.by_subscription.get(&subscription).copied());
        match read {
            Ok(()) => self.on_read(&frame, line, at, out),
            Err(_) => self.on_unreadable(frame.subscription, line, at.mono, out),
        }
        self.frame = frame;
    }

    fn on_read(&mut self, frame: &FeedFrame, line: Option<usize>, at: FrameTime, out: &mut Vec<FeedOutput>) {
        match frame.kind {
            FeedFrameKind::Subscribed => {
                if let Some(line) = line.and_then(|line| self.lines.get_mut(line)) {
                    line.spoke(at.mono);
                }
            }
            FeedFrameKind::Book => {
                if let Some(line) = line {
                    self.on_book(frame, line, at, out);
                }
            }
            FeedFrameKind::Trades => {
                if let Some(line) = line {
                    self.on_trades(frame, line, at, out);
                }
            }
            FeedFrameKind::Error => {
                self.tally.errors += 1;
                if let Some(line) = line.and_then(|line| self.lines.get_mut(line)).filter(|line| !line.alive()) {
                    line.refused(at.mono);
                }
            }
            FeedFrameKind::ClosingSoon => out.push(FeedOutput::ClosingSoon),
            FeedFrameKind::Ignored
            | FeedFrameKind::Pong
            | FeedFrameKind::Unsubscribed
            | FeedFrameKind::Ticker
            | FeedFrameKind::Candles => {}
        }
    }

    fn on_unreadable(
        &mut self,
        subscription: Option<Subscription>,
        line: Option<usize>,
        now: MonoNanos,
        out: &mut Vec<FeedOutput>,
    ) {
        bump(&mut self.tally.unreadable, subscription.map_or(Channel::Book, |subscription| subscription.channel));
        match (subscription, line) {
            // A trade that cannot be read is a trade less; books are whole.
            (Some(subscription), _) if !subscription.channel.is_book() => {}
            (_, Some(line)) => self.lose_book(line, BookFaultKind::NoSnapshot, now, out),
            (Some(_), None) => {}
            // It may have been a change of any book.
            (None, None) => self.give_up("unreadable_frame", now, out),
        }
    }

    fn on_book(&mut self, frame: &FeedFrame, line: usize, at: FrameTime, out: &mut Vec<FeedOutput>) {
        let Some((channel, instrument)) = self.lines.get(line).map(|line| (line.subscription.channel, line.instrument))
        else {
            return;
        };
        self.note_data(channel, frame.book.venue_time, at);
        let Some(entry) = self.places.get(&instrument).and_then(|place| self.entries.get_mut(*place)) else { return };
        let whole = frame.book.snapshot || matches!(channel, Channel::Book1 | Channel::Book5 | Channel::Book15);
        if !whole && waits_for_snapshot(&entry.book, at.mono) {
            // Changes of a book that is gone; its snapshot is on the way.
            return;
        }
        let version = entry.instrument.version;
        if !(read_levels(&frame.book.bids, &version, &mut self.bids)
            && read_levels(&frame.book.asks, &version, &mut self.asks))
        {
            bump(&mut self.tally.unreadable, channel);
            return self.lose_book(line, BookFaultKind::NoSnapshot, at.mono, out);
        }
        let message = BookMessage {
            bids: &self.bids,
            asks: &self.asks,
            seq: frame.book.seq.unwrap_or(0),
            prev_seq: frame.book.prev_seq,
            checksum: frame.book.checksum,
        };
        let applied = if whole {
            entry.book.apply_snapshot(&message, at.mono)
        } else {
            entry.book.apply_update(&message, at.mono)
        };
        match applied {
            Ok(()) => {
                self.heard = at.mono;
                if let Some(line) = self.lines.get_mut(line) {
                    if whole { line.whole(at.mono) } else { line.spoke(at.mono) }
                }
                tell_book(entry, at.mono, out);
            }
            Err(fault) => {
                bump(&mut self.tally.faults, channel);
                self.lose_book(line, kind(fault), at.mono, out);
            }
        }
    }

    fn on_trades(&mut self, frame: &FeedFrame, line: usize, at: FrameTime, out: &mut Vec<FeedOutput>) {
        let Some(line) = self.lines.get_mut(line) else { return };
        line.spoke(at.mono);
        let instrument = line.instrument;
        if let Some(newest) = frame.trades.last() {
            self.note_data(Channel::Trade, newest.venue_time, at);
        }
        if frame.book.snapshot {
            // Trades of before the subscription: history, not news.
            return;
        }
        let Some(entry) = self.places.get(&instrument).and_then(|place| self.entries.get(*place)) else { return };
        let version = entry.instrument.version;
        for trade in &frame.trades {
            let (Ok(price), Ok(qty)) = (version.price(trade.price), version.qty(trade.qty)) else {
                bump(&mut self.tally.unreadable, Channel::Trade);
                continue;
            };
            let kind = MarketEventKind::Trade { price, qty, aggressor: trade.aggressor, venue_time: trade.venue_time };
            out.push(FeedOutput::Event(MarketEvent { instrument, received: at.mono, kind }));
        }
    }

    fn note_data(&mut self, channel: Channel, venue_time: UnixNanos, at: FrameTime) {
        bump(&mut self.tally.frames, channel);
        if let Some(last) = self.tally.last.get_mut(place(channel)) {
            *last = Some(at.unix);
        }
        if venue_time.0 > 0 {
            self.tally.lag_ns = Some(at.unix.signed_since(venue_time));
        }
    }

    /// Looks at the time: books that grew old, acknowledgements and data that did not come.
    pub fn on_tick(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        for entry in &mut self.entries {
            if entry.told.is_none()
                && let Err(fault) = entry.book.valid(now)
            {
                tell_fault(entry, kind(fault), now, out);
            }
        }
        if self.connected {
            self.check_lines(now, out);
        }
        self.tell_live(out);
    }

    fn check_lines(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        let limits =
            LineLimits { ack_wait_max: self.settings.ack_wait_max, silence_max: self.settings.book_silence_max };
        // When the venue may not be asked about silence any more, nobody would speak up: a connection that its pings
        // keep is given more time then, so that connecting does not become the way of asking.
        let patience =
            if self.budget.is_left(Need::Silent, now) { limits.silence_max + limits.ack_wait_max } else { QUIET_MAX };
        if now.since(self.heard) > patience && self.lines.iter().any(Line::is_book) {
            // No book speaks, asked again or not: the connection is dead, whatever its pings say.
            return self.give_up("stalled", now, out);
        }
        for place in 0..self.lines.len() {
            let Some(line) = self.lines.get_mut(place) else { return };
            match line.due(now, limits) {
                None => {}
                Some(Due::AskAgain) => {
                    line.asked(now);
                    if line.is_book() {
                        self.discard_book(place, BookFaultKind::NoSnapshot, now, out);
                    }
                    self.send_again(place, now, out);
                }
                // Its book is old and cannot be read; should it speak again, it is good.
                Some(Due::Silent) if !self.budget.take(Need::Silent, now) => line.put_off(now),
                Some(due @ (Due::AckMissing | Due::Silent)) => {
                    line.paid = due == Due::Silent;
                    if line.is_book() {
                        self.lose_book(place, BookFaultKind::Stale, now, out);
                    } else if line.ask_again(now) {
                        self.send_again(place, now, out);
                    }
                }
            }
        }
    }

    /// New trading rules of an instrument. Its book begins anew when its decimals changed.
    pub fn on_instrument_changed(&mut self, version: InstrumentVersion, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        let Some(entry) = self.places.get(&version.id).and_then(|place| self.entries.get_mut(*place)) else { return };
        let before = std::mem::replace(&mut entry.instrument.version, version);
        let kind = MarketEventKind::InstrumentChanged(version);
        let event = MarketEvent { instrument: version.id, received: now, kind };
        if (before.price_decimals, before.qty_decimals) == (version.price_decimals, version.qty_decimals) {
            out.push(FeedOutput::Event(event));
            return;
        }
        entry.book = empty_book(&version, self.settings.book_age_max);
        tell_fault(entry, BookFaultKind::NoSnapshot, now, out);
        out.push(FeedOutput::Event(event));
        let line = self.lines.iter().position(|line| line.is_book() && line.instrument == version.id);
        if let Some(line) = line.filter(|_| self.connected) {
            self.lose_book(line, BookFaultKind::NoSnapshot, now, out);
        }
        self.tell_live(out);
    }

    /// Tells everything again: the state becomes the one that counts.
    pub fn republish(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        for entry in &mut self.entries {
            match entry.book.valid(now) {
                Ok(_) => tell_book(entry, now, out),
                Err(fault) => {
                    entry.told = None;
                    tell_fault(entry, kind(fault), now, out);
                }
            }
        }
        self.live = self.complete(now);
        out.push(FeedOutput::Live(self.live));
    }

    /// Whether every subscription is acknowledged and every book is valid.
    #[must_use]
    pub fn complete(&self, now: MonoNanos) -> bool {
        self.connected
            && self.lines.iter().all(Line::alive)
            && self.entries.iter().all(|entry| entry.book.valid(now).is_ok())
    }

    /// Counts since the last call.
    pub fn take_tally(&mut self) -> FeedTally {
        std::mem::take(&mut self.tally)
    }

    /// Whether subscriptions of a channel are wanted, and all of them are acknowledged; for metrics.
    #[must_use]
    pub fn channel_alive(&self, channel: Channel) -> Option<bool> {
        let mut lines = self.lines.iter().filter(|line| line.subscription.channel == channel).peekable();
        lines.peek()?;
        Some(self.connected && lines.all(Line::alive))
    }

    /// Spread over mid of each valid book, for metrics; a signal, not money.
    pub fn spreads(&self, now: MonoNanos) -> impl Iterator<Item = (&Instrument, f64)> {
        self.entries.iter().filter_map(move |entry| {
            let top = entry.book.valid(now).ok()?.best();
            let (spread, doubled) = (top.spread()?, top.mid_doubled()?);
            #[expect(clippy::cast_precision_loss, reason = "a ratio for a gauge")]
            let ratio = 2.0 * spread as f64 / doubled as f64;
            Some((&entry.instrument, ratio))
        })
    }

    /// Discards one book and asks for its channel again; all others live on.
    fn lose_book(&mut self, place: usize, fault: BookFaultKind, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        self.discard_book(place, fault, now, out);
        if self.lines.get_mut(place).is_some_and(|line| line.ask_again(now)) {
            self.send_again(place, now, out);
        }
    }

    fn discard_book(&mut self, place: usize, fault: BookFaultKind, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        let Some(line) = self.lines.get(place) else { return };
        if let Some(entry) = self.places.get(&line.instrument).and_then(|place| self.entries.get_mut(*place)) {
            entry.book.discard();
            tell_fault(entry, fault, now, out);
        }
        self.set_live(false, out);
    }

    /// Asks for a subscription again, or lets it wait until the venue may be asked.
    fn send_again(&mut self, place: usize, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        let Some(line) = self.lines.get_mut(place) else { return };
        if !std::mem::take(&mut line.paid) && !self.budget.take(Need::Broken, now) {
            return line.wait_until(self.budget.free_at(now));
        }
        self.tally.resubscribed += 1;
        let subscription = [line.subscription];
        out.extend(self.codec.unsubscribe(&subscription).into_iter().map(FeedOutput::Send));
        out.extend(self.codec.subscribe(&subscription).into_iter().map(FeedOutput::Send));
    }

    /// Gives the connection up: what still arrives on it counts for nothing.
    fn give_up(&mut self, reason: &'static str, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        if !self.connected {
            return;
        }
        self.on_disconnected(now, out);
        out.push(FeedOutput::Reconnect(reason));
    }

    fn discard_all(&mut self, fault: BookFaultKind, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        for entry in &mut self.entries {
            entry.book.discard();
            tell_fault(entry, fault, now, out);
        }
    }

    /// Looks whether everything is live; done with each tick, while a fault says "not live" at once.
    fn tell_live(&mut self, out: &mut Vec<FeedOutput>) {
        let live = self.connected
            && self.entries.iter().all(|entry| entry.told.is_none())
            && self.lines.iter().all(Line::alive);
        self.set_live(live, out);
    }

    fn set_live(&mut self, live: bool, out: &mut Vec<FeedOutput>) {
        if live != self.live {
            self.live = live;
            out.push(FeedOutput::Live(live));
        }
    }
}

fn empty_book(version: &InstrumentVersion, age_max: Duration) -> Book {
    Book::new(version.price_decimals, version.qty_decimals, age_max)
}

fn waits_for_snapshot(book: &Book, now: MonoNanos) -> bool {
    book.valid(now).err().is_some_and(BookFault::needs_snapshot)
}

/// Levels in the decimals of the instrument; false when one of them does not fit.
fn read_levels(wire: &[WireLevel], version: &InstrumentVersion, out: &mut Vec<Level>) -> bool {
    out.clear();
    for level in wire {
        match Level::from_scaled(level.price, level.qty, version.price_decimals, version.qty_decimals) {
            Ok(level) => out.push(level),
            Err(_) => return false,
        }
    }
    true
}

const fn kind(fault: BookFault) -> BookFaultKind {
    match fault {
        BookFault::NoSnapshot | BookFault::Depleted => BookFaultKind::NoSnapshot,
        BookFault::Gap { .. } => BookFaultKind::Gap,
        BookFault::Checksum { .. } => BookFaultKind::Checksum,
        BookFault::Crossed => BookFaultKind::Crossed,
        BookFault::Stale { .. } => BookFaultKind::Stale,
    }
}

/// Tells a valid book: first its slot, then the event.
fn tell_book(entry: &mut Entry, now: MonoNanos, out: &mut Vec<FeedOutput>) {
    let Ok(book) = entry.book.valid(now) else { return };
    let instrument = entry.instrument.id;
    out.push(FeedOutput::Top(instrument, Top(Ok(book.best()))));
    fn side<'a>(levels: impl Iterator<Item = &'a Level>) -> ArrayVec<ViewLevel, VIEW_LEVELS> {
        levels.take(VIEW_LEVELS).map(|level| ViewLevel { price: level.price, qty: level.qty }).collect()
    }
    let view = BookView { bids: side(book.bids()), asks: side(book.asks()) };
    let kind = MarketEventKind::Book(BookStatus::Valid(view));
    out.push(FeedOutput::Event(MarketEvent { instrument, received: book.at(), kind }));
    entry.told = None;
}

/// Tells a fault, unless it is the one last told.
fn tell_fault(entry: &mut Entry, fault: BookFaultKind, now: MonoNanos, out: &mut Vec<FeedOutput>) {
    if entry.told == Some(fault) {
        return;
    }
    entry.told = Some(fault);
    let instrument = entry.instrument.id;
    out.push(FeedOutput::Top(instrument, Top(Err(fault))));
    let kind = MarketEventKind::Book(BookStatus::Invalid(fault));
    out.push(FeedOutput::Event(MarketEvent { instrument, received: now, kind }));
}
