//! The shell of the private stream: socket frames in, reports out.

use crate::Outlets;
use crate::departure::Departure;
use crate::stream_core::{StreamAct, StreamCore};
use domain::{Clock, MonoNanos, Symbol, UnixNanos, VenueId};
use messages::{Control, QueryId, QueryPurpose, SignIntent, SignQuery, VenueReport};
use net::{AddressError, Ping, Plaintext, WsConfig, WsEnd, WsEvent, WsHandle, WsSession};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use venue_api::PrivateCodec;

/// What one private stream needs.
pub(crate) struct StreamParts {
    /// Whose reports come over it.
    pub(crate) venue: VenueId,
    /// Whose key logs in.
    pub(crate) login: VenueId,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) plaintext: Plaintext,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) codec: Arc<dyn PrivateCodec>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outlets: Outlets,
}

/// The answer of every venue so far to a text ping.
const PONG: &str = "pong";
/// Frames read ahead of this task; beyond it the socket is not read and the venue waits.
const EVENTS_MAX: usize = 256;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// The name of the stream in metrics.
const CHANNEL: &str = "private";

/// One private stream.
pub(crate) struct PrivateStream<D> {
    parts: StreamParts,
    core: StreamCore,
    handle: WsHandle,
    events: mpsc::Receiver<WsEvent>,
    signed: mpsc::Receiver<D>,
    /// Rung when a log-in with the present key is wanted.
    renew: Arc<Notify>,
    /// A second connection that logs in while the first one stays up.
    next: Option<Next>,
}

/// A connection that is to take the place of the one in use.
struct Next {
    core: StreamCore,
    handle: WsHandle,
    events: mpsc::Receiver<WsEvent>,
    give_up: MonoNanos,
}

/// Longest time in which a second connection must be as good as the first.
const RENEW_PATIENCE: Duration = Duration::from_secs(30);

impl<D: Departure> PrivateStream<D> {
    /// Starts connecting. `signed` brings the log-in frames that were asked for.
    pub(crate) fn start(
        parts: StreamParts,
        signed: mpsc::Receiver<D>,
        renew: Arc<Notify>,
    ) -> Result<Self, AddressError> {
        let (handle, events) = Self::connect(&parts)?;
        let core = StreamCore::new(parts.codec.channels(&parts.symbols));
        Ok(Self { parts, core, handle, events, signed, renew, next: None })
    }

    fn connect(parts: &StreamParts) -> Result<(WsHandle, mpsc::Receiver<WsEvent>), AddressError> {
        let (ping, every) = parts.codec.ping();
        let url = parts.codec.address(&parts.url);
        let mut config = WsConfig::new(&url, Ping::Text { ping: ping.to_owned(), pong: PONG.to_owned() });
        config.plaintext = parts.plaintext;
        config.ping_every = every;
        // Two unanswered pings; a quiet account sends nothing else.
        config.silence_max = every * 2 + Duration::from_secs(5);
        WsSession::channel(config, Arc::clone(&parts.clock), EVENTS_MAX)
    }

    /// Runs until the gateway drops its end of the log-in frames.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        telemetry::feed_connected(&self.parts.name, CHANNEL).set(0.0);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.event(event),
                    None => break,
                },
                event = next_event(&mut self.next) => self.event_of_next(event),
                () = self.renew.notified() => self.renew(),
                departure = self.signed.recv() => match departure {
                    Some(departure) => self.login(&departure),
                    None => break,
                },
                _ = ticks.tick() => {
                    let acts = self.core.tick(self.parts.clock.mono());
                    self.act(acts);
                    self.tick_next();
                }
            }
        }
        self.drop_next();
        let acts = self.core.disconnected();
        self.act(acts);
        self.handle.close();
    }

    fn event(&mut self, event: WsEvent) {
        match event {
            WsEvent::Connected { at, .. } => {
                let acts = self.core.connected(at.mono);
                self.act(acts);
            }
            WsEvent::Text { text, at } => self.frame(text.as_bytes(), at),
            WsEvent::Binary { bytes, at } => self.frame(&bytes, at),
            WsEvent::Pong { .. } => {}
            WsEvent::Disconnected { reason, retry_in, .. } => {
                tracing::warn!(venue = %self.parts.name, %reason, retry_ms = retry_in.as_millis() as u64, "private stream down");
                telemetry::feed_reconnects_total(&self.parts.name, end_word(&reason)).increment(1);
                let acts = self.core.disconnected();
                self.act(acts);
            }
        }
    }

    fn frame(&mut self, frame: &[u8], at: net::Stamp) {
        telemetry::feed_messages_total(&self.parts.name, CHANNEL).increment(1);
        telemetry::feed_last_message_timestamp_seconds(&self.parts.name, CHANNEL)
            .set((at.unix.0 / 1_000_000_000) as f64);
        let read = self.parts.codec.decode(frame);
        if let Err(fault) = &read {
            telemetry::feed_decode_errors_total(&self.parts.name, CHANNEL).increment(1);
            tracing::error!(venue = %self.parts.name, what = fault.0, "private frame unreadable");
        }
        let acts = self.core.frame(read, at.mono);
        self.act_at(acts, at.unix);
    }

    fn login(&mut self, departure: &D) {
        let signing::Route::Query(query, QueryPurpose::Stream) = departure.route() else { return };
        let now = self.parts.clock.mono();
        let handle = if self.core.signed(query, now) {
            &self.handle
        } else {
            let Some(next) = &mut self.next else { return };
            if !next.core.signed(query, now) {
                return;
            }
            &next.handle
        };
        let sent = std::str::from_utf8(departure.body()).map(|frame| handle.send(frame.to_owned()));
        if !matches!(sent, Ok(Ok(()))) {
            handle.reconnect("log-in not sent");
        }
    }

    /// Begins a second connection, which logs in with the present key. The first one stays until it is as good.
    fn renew(&mut self) {
        self.drop_next();
        match Self::connect(&self.parts) {
            Ok((handle, events)) => {
                let give_up = self.parts.clock.mono().after(RENEW_PATIENCE);
                self.next = Some(Next {
                    core: self.core.successor(self.parts.codec.channels(&self.parts.symbols)),
                    handle,
                    events,
                    give_up,
                });
            }
            Err(error) => tracing::error!(venue = %self.parts.name, %error, "no second private stream"),
        }
    }

    fn drop_next(&mut self) {
        if let Some(next) = self.next.take() {
            next.handle.close();
        }
    }

    fn tick_next(&mut self) {
        let now = self.parts.clock.mono();
        let Some(next) = &mut self.next else { return };
        if now >= next.give_up {
            tracing::warn!(venue = %self.parts.name, "the private stream keeps its former log-in: no new one in time");
            return self.drop_next();
        }
        let acts = next.core.tick(now);
        self.act_of_next(acts, self.parts.clock.unix());
    }

    fn event_of_next(&mut self, event: Option<WsEvent>) {
        let Some(next) = &mut self.next else { return };
        let (acts, at) = match event {
            Some(WsEvent::Connected { at, .. }) => (next.core.connected(at.mono), at.unix),
            Some(WsEvent::Text { text, at }) => {
                (next.core.frame(self.parts.codec.decode(text.as_bytes()), at.mono), at.unix)
            }
            Some(WsEvent::Binary { bytes, at }) => (next.core.frame(self.parts.codec.decode(&bytes), at.mono), at.unix),
            Some(WsEvent::Pong { .. }) => return,
            Some(WsEvent::Disconnected { .. }) => (next.core.disconnected(), self.parts.clock.unix()),
            None => return self.drop_next(),
        };
        self.act_of_next(acts, at);
    }

    /// What both connections push is told twice, which the order path takes for once.
    fn act_of_next(&mut self, acts: Vec<StreamAct>, received: UnixNanos) {
        for act in acts {
            match act {
                StreamAct::Live(true) => self.promote(),
                StreamAct::Live(false) => {}
                StreamAct::Subscribe => {
                    if let Some(next) = &self.next {
                        self.subscribe_on(&next.handle);
                    }
                }
                StreamAct::Reconnect(why) => {
                    if let Some(next) = &self.next {
                        next.handle.reconnect(why);
                    }
                }
                StreamAct::LoginFailed(_) => {
                    self.act_at(vec![act], received);
                    self.drop_next();
                }
                StreamAct::AskLogin(_) | StreamAct::Report(_) => self.act_at(vec![act], received),
            }
        }
    }

    /// The second connection takes the place of the first, without a moment in which there is none.
    fn promote(&mut self) {
        let Some(next) = self.next.take() else { return };
        let was_live = self.core.told_live();
        self.core = next.core;
        self.events = next.events;
        std::mem::replace(&mut self.handle, next.handle).close();
        tracing::info!(venue = %self.parts.name, "private stream: logged in anew");
        if !was_live {
            self.act(vec![StreamAct::Live(true)]);
        }
    }

    fn act(&mut self, acts: Vec<StreamAct>) {
        let now = self.parts.clock.unix();
        self.act_at(acts, now);
    }

    fn act_at(&mut self, acts: Vec<StreamAct>, received: UnixNanos) {
        let venue = self.parts.venue;
        for act in acts {
            match act {
                StreamAct::AskLogin(id) => self.ask(id),
                StreamAct::Subscribe => self.subscribe(),
                StreamAct::Live(live) => {
                    telemetry::feed_connected(&self.parts.name, CHANNEL).set(f64::from(u8::from(live)));
                    tracing::info!(venue = %self.parts.name, live, "private stream");
                    (self.parts.outlets.control)(Control::PrivateStream { venue, live });
                }
                StreamAct::Report(reports) => {
                    for body in reports {
                        (self.parts.outlets.report)(VenueReport { venue, received, body });
                    }
                }
                StreamAct::Reconnect(why) => self.handle.reconnect(why),
                StreamAct::LoginFailed(error) => {
                    tracing::error!(venue = %self.parts.name, code = %error.code, text = %error.text, "log-in to the private stream refused");
                    (self.parts.outlets.login_failed)(self.parts.login, error);
                }
            }
        }
    }

    fn ask(&self, id: QueryId) {
        let venue = self.parts.login;
        let query = SignQuery { id, purpose: QueryPurpose::Stream, venue, intent: SignIntent::StreamLogin };
        if !(self.parts.outlets.ask)(query) {
            tracing::warn!(venue = %self.parts.name, "no room to ask for a log-in; asked again soon");
        }
    }

    fn subscribe(&self) {
        self.subscribe_on(&self.handle);
    }

    fn subscribe_on(&self, handle: &WsHandle) {
        for frame in self.parts.codec.subscribe(&self.parts.symbols) {
            if handle.send(frame).is_err() {
                handle.reconnect("subscription not sent");
                return;
            }
        }
    }
}

/// What the second connection tells; never anything while there is none.
async fn next_event(next: &mut Option<Next>) -> Option<WsEvent> {
    match next {
        Some(next) => next.events.recv().await,
        None => std::future::pending().await,
    }
}

/// The reason of a reconnect in metrics.
const fn end_word(end: &WsEnd) -> &'static str {
    match end {
        WsEnd::ConnectTimeout | WsEnd::ConnectFailed(_) => "connect",
        WsEnd::Silent { .. } => "silent",
        WsEnd::SendStuck => "send_stuck",
        WsEnd::ClosedByVenue { .. } => "closed",
        WsEnd::Broken(_) => "broken",
        WsEnd::Asked(_) => "asked",
    }
}
