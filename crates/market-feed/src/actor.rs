//! The shell around [`FeedState`]: sockets, timers, slots and metrics.
//!
//! Frames go from the session's task through the actor's own bounded mailbox. One that finds no
//! room marks the connection as broken, because no book may go on without it.

use crate::core::{FeedInstrument, FeedOutput, FeedSettings, FeedState, FeedTally, FrameTime};
use crate::top::{Top, TopWriters};
use actix::AsyncContext as _;
use domain::{Clock, InstrumentVersion, MonoNanos, VenueId};
use keeper::{Ctx, Handle, KeptActor, Mailbox, MailboxBound, Outlet, Policy};
use messages::{BookFaultKind, FeedStatus, MarketEvent};
use net::{Stamp, WsConfig, WsEnd, WsEvent, WsHandle, WsSession};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use venue_api::{Channel, FeedCodec};

/// An event of one of the feed's sockets.
#[derive(Debug)]
pub struct SocketEvent {
    /// Which socket; events of sockets that were left count for nothing.
    socket: u64,
    /// What it told.
    event: WsEvent,
}

/// New trading rules of an instrument of this venue.
#[derive(Debug, Clone, Copy)]
pub struct InstrumentChanged(pub InstrumentVersion);

/// What one feed is made of.
#[derive(Clone)]
pub struct FeedConfig {
    /// The venue account.
    pub venue: VenueId,
    /// Its configured name, for metrics and logs.
    pub venue_name: String,
    /// The public stream: address, ping, patience.
    pub socket: WsConfig,
    /// Bounds.
    pub settings: FeedSettings,
    /// What to feed.
    pub instruments: Vec<FeedInstrument>,
    /// A connection is replaced when it is about so old (up to a tenth younger, by chance), before
    /// the venue ends it; Bitget does so after 24 h.
    pub lifetime: Duration,
}

impl FeedConfig {
    /// The usual age at which a connection is replaced: an hour before 24 h.
    pub const LIFETIME: Duration = Duration::from_secs(23 * 3_600);
}

/// Where market events go, called on the feed's thread for each of them, in order.
pub type EventSink = Box<dyn FnMut(MarketEvent)>;
/// Where changes of the feed's status go.
pub type StatusSink = Box<dyn FnMut(FeedStatus)>;

/// One connection with the state that was built from it.
struct Connection {
    socket: u64,
    /// Held so that the session lives as long as this.
    handle: WsHandle,
    state: FeedState,
    /// Set by the session's task when a frame found no room.
    lost: Rc<Cell<bool>>,
    connected: Option<MonoNanos>,
    opened: MonoNanos,
}

/// Feeds one venue's market data to its strategies and to the board of tops.
pub struct MarketFeed {
    config: FeedConfig,
    codec: Arc<dyn FeedCodec>,
    clock: Arc<dyn Clock>,
    own: Outlet<SocketEvent>,
    writers: Arc<Mutex<TopWriters>>,
    events: EventSink,
    status: StatusSink,
    meters: Meters,
    active: Option<Connection>,
    /// Being made complete while the active one goes on.
    standby: Option<Connection>,
    sockets: u64,
    replace_at: MonoNanos,
    random: SmallRng,
    outputs: Vec<FeedOutput>,
}

impl MarketFeed {
    /// Room of the mailbox: about 50 ms of frames at 20 000 a second.
    pub const MAILBOX: MailboxBound = MailboxBound { messages_max: 1_024, reserve: 64 };
    /// How often time is looked at: a stale book shows in its slot at most so much later.
    const TICK: Duration = Duration::from_millis(100);
    /// A second connection that is not complete by then is given up; another one is tried later.
    const STANDBY_PATIENCE: Duration = Duration::from_secs(60);
    const STANDBY_RETRY: Duration = Duration::from_secs(300);

    /// A feed for one life; called by the keeper's factory. `own` is the mailbox it will run behind,
    /// `writers` are shared by all its lives, of which one is alive at a time.
    #[must_use]
    pub fn new(
        config: FeedConfig,
        codec: Arc<dyn FeedCodec>,
        clock: Arc<dyn Clock>,
        own: &Mailbox<Self>,
        writers: Arc<Mutex<TopWriters>>,
        events: EventSink,
        status: StatusSink,
    ) -> Self {
        let random = SmallRng::seed_from_u64(clock.unix().0);
        let meters = Meters::new(&config.venue_name);
        let replace_at = MonoNanos(u64::MAX);
        Self {
            config,
            codec,
            clock,
            own: own.outlet(Policy::Never),
            writers,
            events,
            status,
            meters,
            active: None,
            standby: None,
            sockets: 0,
            replace_at,
            random,
            outputs: Vec::new(),
        }
    }

    fn open(&mut self) -> Option<Connection> {
        self.sockets += 1;
        let socket = self.sockets;
        let lost = Rc::new(Cell::new(false));
        let (own, noticed) = (self.own.clone(), Rc::clone(&lost));
        let inbound = move |event| {
            if own.post(SocketEvent { socket, event }).is_err() {
                noticed.set(true);
            }
        };
        let mut config = self.config.socket.clone();
        config.back_off.seed = self.random.random();
        match WsSession::spawn(config, Arc::clone(&self.clock), inbound) {
            Ok(handle) => {
                let state = FeedState::new(Arc::clone(&self.codec), self.config.settings, &self.config.instruments);
                Some(Connection { socket, handle, state, lost, connected: None, opened: self.clock.mono() })
            }
            Err(error) => {
                tracing::error!(venue = %self.config.venue_name, %error, "public stream address refused");
                None
            }
        }
    }

    /// Does what a connection's state asked for. Only the active one reaches slots and strategies.
    fn perform(&mut self, active: bool) {
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut replace = false;
        for output in outputs.drain(..) {
            let connection = if active { self.active.as_ref() } else { self.standby.as_ref() };
            match output {
                FeedOutput::Send(text) => {
                    if let Some(connection) = connection
                        && connection.handle.send(text).is_err()
                        && connection.handle.connected()
                    {
                        // A request that cannot even be queued: the connection does not write.
                        connection.handle.reconnect("send_queue_full");
                    }
                }
                FeedOutput::Reconnect(reason) => {
                    if let Some(connection) = connection {
                        tracing::warn!(venue = %self.config.venue_name, reason, "reconnecting the public stream");
                        connection.handle.reconnect(reason);
                    }
                }
                FeedOutput::ClosingSoon => replace = active,
                FeedOutput::Top(instrument, top) if active => self.publish(instrument, top),
                FeedOutput::Event(event) if active => (self.events)(event),
                FeedOutput::Live(live) if active => (self.status)(FeedStatus { venue: self.config.venue, live }),
                FeedOutput::Top(..) | FeedOutput::Event(_) | FeedOutput::Live(_) => {}
            }
        }
        self.outputs = outputs;
        if replace {
            self.replace_at = self.clock.mono();
        }
    }

    fn publish(&self, instrument: domain::InstrumentId, top: Top) {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).publish(instrument, top);
    }

    /// Runs one step of the connection that `socket` belongs to.
    fn step(&mut self, socket: u64, step: impl FnOnce(&mut Connection, &mut Vec<FeedOutput>)) {
        let is = |connection: &Option<Connection>| connection.as_ref().is_some_and(|one| one.socket == socket);
        let active = is(&self.active);
        let connection = if active {
            self.active.as_mut()
        } else if is(&self.standby) {
            self.standby.as_mut()
        } else {
            // A socket that was left.
            None
        };
        if let Some(connection) = connection {
            step(connection, &mut self.outputs);
            self.perform(active);
        }
    }

    fn on_tick(&mut self) {
        let now = self.clock.mono();
        for socket in [&self.active, &self.standby].into_iter().flatten().map(|one| one.socket).collect::<Vec<_>>() {
            self.step(socket, |connection, out| {
                connection.notice_loss(now, out);
                connection.state.on_tick(now, out);
            });
        }
        self.rotate(now);
        if let Some(active) = &mut self.active {
            self.meters.publish(&mut active.state, now);
        }
    }

    /// Make before break: a second connection is opened in time, completed, and takes over.
    fn rotate(&mut self, now: MonoNanos) {
        if let Some(standby) = &mut self.standby {
            if standby.state.complete(now) {
                let standby = self.standby.take();
                self.active = standby;
                self.replace_at = self.next_replacement(now);
                if let Some(active) = &mut self.active {
                    active.state.republish(now, &mut self.outputs);
                }
                self.perform(true);
                tracing::info!(venue = %self.config.venue_name, "public stream replaced by a fresh connection");
            } else if now.since(standby.opened) > Self::STANDBY_PATIENCE {
                self.standby = None;
                self.replace_at = now.after(Self::STANDBY_RETRY);
            }
        } else if now >= self.replace_at && self.active.as_ref().is_some_and(|active| active.connected.is_some()) {
            self.standby = self.open();
            self.replace_at = MonoNanos(u64::MAX);
        }
    }

    fn next_replacement(&mut self, now: MonoNanos) -> MonoNanos {
        let share = self.random.random_range(0.9..=1.0);
        now.after(self.config.lifetime.mul_f64(share))
    }
}

impl Connection {
    fn notice_loss(&mut self, now: MonoNanos, out: &mut Vec<FeedOutput>) {
        if self.lost.replace(false) {
            self.state.on_frame_lost(now, out);
        }
    }

    fn on_event(&mut self, event: WsEvent, out: &mut Vec<FeedOutput>) {
        match event {
            WsEvent::Connected { at, .. } => {
                self.lost.set(false);
                self.connected = Some(at.mono);
                self.state.on_connected(at.mono, out);
            }
            WsEvent::Disconnected { at, .. } => {
                self.connected = None;
                self.state.on_disconnected(at.mono, out);
            }
            WsEvent::Text { text, at } => {
                self.notice_loss(at.mono, out);
                self.state.on_frame(text.as_bytes(), time(at), out);
            }
            WsEvent::Binary { bytes, at } => {
                self.notice_loss(at.mono, out);
                self.state.on_frame(&bytes, time(at), out);
            }
            WsEvent::Pong { .. } => {}
        }
    }
}

const fn time(at: Stamp) -> FrameTime {
    FrameTime { mono: at.mono, unix: at.unix }
}

impl KeptActor for MarketFeed {
    fn started(&mut self, ctx: &mut Ctx<Self>) {
        self.active = self.open();
        ctx.run_interval(Self::TICK, |feed, _| feed.on_tick());
    }
}

impl Drop for MarketFeed {
    /// However this life ends, nobody may go on reading its last prices.
    fn drop(&mut self) {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).invalidate_all(BookFaultKind::Disconnected);
    }
}

impl Handle<SocketEvent> for MarketFeed {
    fn handle(&mut self, SocketEvent { socket, event }: SocketEvent, _ctx: &mut Ctx<Self>) {
        let now = self.clock.mono();
        if self.active.as_ref().is_some_and(|active| active.socket == socket) {
            match &event {
                WsEvent::Connected { .. } => self.replace_at = self.next_replacement(now),
                WsEvent::Disconnected { reason, retry_in, .. } => {
                    let retry_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(venue = %self.config.venue_name, %reason, retry_ms, "public stream down");
                    telemetry::feed_reconnects_total(&self.config.venue_name, reason_label(reason)).increment(1);
                }
                _ => {}
            }
        }
        self.step(socket, |connection, out| connection.on_event(event, out));
    }
}

impl Handle<InstrumentChanged> for MarketFeed {
    fn handle(&mut self, InstrumentChanged(version): InstrumentChanged, _ctx: &mut Ctx<Self>) {
        let now = self.clock.mono();
        for wanted in &mut self.config.instruments {
            if wanted.instrument.id == version.id {
                wanted.instrument.version = version;
            }
        }
        for socket in [&self.active, &self.standby].into_iter().flatten().map(|one| one.socket).collect::<Vec<_>>() {
            self.step(socket, |connection, out| connection.state.on_instrument_changed(version, now, out));
        }
    }
}

const fn reason_label(reason: &WsEnd) -> &'static str {
    match reason {
        WsEnd::ConnectTimeout => "connect_timeout",
        WsEnd::ConnectFailed(_) => "connect_failed",
        WsEnd::Silent { .. } => "silent",
        WsEnd::SendStuck => "send_stuck",
        WsEnd::ClosedByVenue { .. } => "closed_by_venue",
        WsEnd::Broken(_) => "broken",
        WsEnd::Asked(reason) => reason,
    }
}

/// Handles of the feed's metrics, asked for once.
struct Meters {
    venue: String,
    bytes: metrics::Counter,
    frames: [metrics::Counter; 3],
    unreadable: [metrics::Counter; 3],
    faults: [metrics::Counter; 3],
    connected: [metrics::Gauge; 3],
    last: [metrics::Gauge; 3],
    lag: metrics::Histogram,
}

impl Meters {
    fn new(venue: &str) -> Self {
        let each = FeedTally::CHANNELS.map(Channel::as_str);
        Self {
            venue: venue.to_owned(),
            bytes: telemetry::feed_bytes_total(venue),
            frames: each.map(|channel| telemetry::feed_messages_total(venue, channel)),
            unreadable: each.map(|channel| telemetry::feed_decode_errors_total(venue, channel)),
            faults: each.map(|channel| telemetry::feed_gaps_total(venue, channel)),
            connected: each.map(|channel| telemetry::feed_connected(venue, channel)),
            last: each.map(|channel| telemetry::feed_last_message_timestamp_seconds(venue, channel)),
            lag: telemetry::feed_exchange_lag_seconds(venue),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds for a gauge")]
    fn publish(&self, state: &mut FeedState, now: MonoNanos) {
        let tally = state.take_tally();
        self.bytes.increment(tally.bytes);
        for (counters, counts) in
            [(&self.frames, tally.frames), (&self.unreadable, tally.unreadable), (&self.faults, tally.faults)]
        {
            counters.iter().zip(counts).for_each(|(counter, count)| counter.increment(count));
        }
        for ((gauge, last), (connected, channel)) in
            self.last.iter().zip(tally.last).zip(self.connected.iter().zip(FeedTally::CHANNELS))
        {
            if let Some(last) = last {
                gauge.set(last.0 as f64 / 1e9);
            }
            if let Some(alive) = state.channel_alive(channel) {
                connected.set(f64::from(u8::from(alive)));
            }
        }
        if let Some(lag_ns) = tally.lag_ns {
            self.lag.record(lag_ns as f64 / 1e9);
        }
        for (instrument, spread) in state.spreads(now) {
            telemetry::book_spread_ratio(&self.venue, &instrument.symbol).set(spread);
        }
    }
}
