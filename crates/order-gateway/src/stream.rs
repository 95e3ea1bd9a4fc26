//! The shell of the private stream: socket frames in, reports out.

use crate::Outlets;
use crate::departure::Departure;
use crate::stream_core::{StreamAct, StreamCore};
use domain::{Clock, Symbol, UnixNanos, VenueId};
use messages::{Control, QueryId, QueryPurpose, SignIntent, SignQuery, VenueReport};
use net::{AddressError, Ping, Plaintext, WsConfig, WsEnd, WsEvent, WsHandle, WsSession};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use venue_api::PrivateCodec;

/// What one private stream needs.
pub(crate) struct StreamParts {
    pub(crate) venue: VenueId,
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
}

impl<D: Departure> PrivateStream<D> {
    /// Starts connecting. `signed` brings the log-in frames that were asked for.
    pub(crate) fn start(parts: StreamParts, signed: mpsc::Receiver<D>) -> Result<Self, AddressError> {
        let (ping, every) = parts.codec.ping();
        let mut config = WsConfig::new(&parts.url, Ping::Text { ping: ping.to_owned(), pong: PONG.to_owned() });
        config.plaintext = parts.plaintext;
        config.ping_every = every;
        // Two unanswered pings; a quiet account sends nothing else.
        config.silence_max = every * 2 + Duration::from_secs(5);
        let (handle, events) = WsSession::channel(config, Arc::clone(&parts.clock), EVENTS_MAX)?;
        let core = StreamCore::new(parts.codec.channels());
        Ok(Self { parts, core, handle, events, signed })
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
                departure = self.signed.recv() => match departure {
                    Some(departure) => self.login(&departure),
                    None => break,
                },
                _ = ticks.tick() => {
                    let acts = self.core.tick(self.parts.clock.mono());
                    self.act(acts);
                }
            }
        }
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
        if !self.core.signed(query, self.parts.clock.mono()) {
            return;
        }
        let sent = std::str::from_utf8(departure.body()).map(|frame| self.handle.send(frame.to_owned()));
        if !matches!(sent, Ok(Ok(()))) {
            self.handle.reconnect("log-in not sent");
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
                    (self.parts.outlets.login_failed)(venue, error);
                }
            }
        }
    }

    fn ask(&self, id: QueryId) {
        let venue = self.parts.venue;
        let query = SignQuery { id, purpose: QueryPurpose::Stream, venue, intent: SignIntent::StreamLogin };
        if !(self.parts.outlets.ask)(query) {
            tracing::warn!(venue = %self.parts.name, "no room to ask for a log-in; asked again soon");
        }
    }

    fn subscribe(&self) {
        for frame in self.parts.codec.subscribe(&self.parts.symbols) {
            if self.handle.send(frame).is_err() {
                self.handle.reconnect("subscription not sent");
                return;
            }
        }
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
