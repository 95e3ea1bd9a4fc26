//! The one task of a session: connect, listen, ping, send, notice the end, wait, again.

use crate::back_off::BackOff;
use crate::tls;
use crate::ws::{Ping, Stamp, WsConfig, WsEnd, WsEvent};
use domain::{Clock, MonoNanos};
use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use std::future::pending;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

/// Longest wait for a polite close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A frame for one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) connection: u64,
    pub(crate) text: Utf8Bytes,
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Go on; each growth of `reconnects` asks for a new connection.
    Run { reconnects: u64, reason: &'static str },
    /// End.
    Close,
}

/// Where events go.
pub(crate) enum Inbound {
    Call(Box<dyn FnMut(WsEvent)>),
    Queue(mpsc::Sender<WsEvent>),
}

impl Inbound {
    /// Breaks when nobody listens any more.
    async fn tell(&mut self, event: WsEvent) -> ControlFlow<()> {
        match self {
            Self::Call(call) => {
                call(event);
                ControlFlow::Continue(())
            }
            Self::Queue(queue) => match queue.send(event).await {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        }
    }

    /// Completes when nobody listens any more.
    async fn deaf(queue: Option<mpsc::Sender<WsEvent>>) {
        match queue {
            Some(queue) => queue.closed().await,
            None => pending().await,
        }
    }
}

/// Why listening on a connection stopped.
enum Stop {
    /// Make a new connection.
    Lost(WsEnd),
    /// End the session.
    Deaf,
}

pub(crate) struct Session {
    config: WsConfig,
    url: Url,
    clock: Arc<dyn Clock>,
    inbound: Inbound,
    outbox: mpsc::Receiver<Outgoing>,
    control: watch::Receiver<Control>,
    /// Number of the present connection; 0 without one.
    present: Arc<AtomicU64>,
    connections: u64,
    socket: Option<Socket>,
    back_off: BackOff,
}

impl Session {
    pub(crate) fn new(
        config: WsConfig,
        url: Url,
        clock: Arc<dyn Clock>,
        inbound: Inbound,
        outbox: mpsc::Receiver<Outgoing>,
        control: watch::Receiver<Control>,
        present: Arc<AtomicU64>,
    ) -> Self {
        let back_off = BackOff::new(config.back_off);
        Self { config, url, clock, inbound, outbox, control, present, connections: 0, socket: None, back_off }
    }

    /// Runs until the owner closes or drops its handle, or nobody listens.
    pub(crate) async fn run(mut self) {
        let mut control = self.control.clone();
        let queue = match &self.inbound {
            Inbound::Queue(queue) => Some(queue.clone()),
            Inbound::Call(_) => None,
        };
        tokio::select! {
            biased;
            // An error means that every handle was dropped.
            _ = control.wait_for(|control| *control == Control::Close) => {}
            () = Inbound::deaf(queue) => {}
            () = self.connect_forever() => {}
        }
        self.present.store(0, Ordering::SeqCst);
        if let Some(mut socket) = self.socket.take() {
            // Whether the venue answers is its own affair.
            let _ = timeout(CLOSE_PATIENCE, socket.close(None)).await;
        }
    }

    async fn connect_forever(&mut self) {
        loop {
            let reason = match self.one_connection().await {
                Stop::Lost(reason) => reason,
                Stop::Deaf => return,
            };
            self.present.store(0, Ordering::SeqCst);
            self.socket = None;
            let retry_in = self.back_off.failed();
            let at = Stamp::now(self.clock.as_ref());
            if self.inbound.tell(WsEvent::Disconnected { reason, retry_in, at }).await.is_break() {
                return;
            }
            sleep(retry_in).await;
        }
    }

    async fn one_connection(&mut self) -> Stop {
        let socket = match timeout(self.config.connect_patience, self.connect()).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(end)) => return Stop::Lost(end),
            Err(_) => return Stop::Lost(WsEnd::ConnectTimeout),
        };
        self.connections += 1;
        self.socket = Some(socket);
        self.control.mark_unchanged();
        self.present.store(self.connections, Ordering::SeqCst);
        let at = Stamp::now(self.clock.as_ref());
        if self.inbound.tell(WsEvent::Connected { connection: self.connections, at }).await.is_break() {
            return Stop::Deaf;
        }
        let stop = self.listen(at.mono).await;
        if self.clock.mono().since(at.mono) >= self.config.stable_after {
            self.back_off.succeeded();
        }
        stop
    }

    async fn connect(&self) -> Result<Socket, WsEnd> {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(WsConfig::MESSAGE_BYTES_MAX))
            .max_frame_size(Some(WsConfig::MESSAGE_BYTES_MAX))
            .max_write_buffer_size(WsConfig::WRITE_BUFFER_BYTES_MAX)
            .read_buffer_size(WsConfig::READ_BUFFER_BYTES);
        let connector = if self.url.scheme() == "wss" {
            let tls = tls::client_config().map_err(|error| WsEnd::ConnectFailed(error.to_string()))?;
            Connector::Rustls(Arc::new(tls))
        } else {
            Connector::Plain
        };
        connect_async_tls_with_config(self.url.as_str(), Some(limits), true, Some(connector))
            .await
            .map(|(socket, _answer)| socket)
            .map_err(|error| WsEnd::ConnectFailed(error.to_string()))
    }

    async fn listen(&mut self, since: MonoNanos) -> Stop {
        let Some(socket) = self.socket.as_mut() else { return Stop::Lost(WsEnd::Broken("no socket".to_owned())) };
        let mut ping = ping_timer(self.config.ping_every);
        let mut last_heard = since;
        let silence = sleep(self.config.silence_max);
        tokio::pin!(silence);
        loop {
            let frame = tokio::select! {
                biased;
                changed = self.control.changed() => {
                    if changed.is_err() { return Stop::Deaf; }
                    match *self.control.borrow() {
                        Control::Close => return Stop::Deaf,
                        Control::Run { reason, .. } => return Stop::Lost(WsEnd::Asked(reason)),
                    }
                }
                () = &mut silence => {
                    let silent_for = self.clock.mono().since(last_heard);
                    if silent_for >= self.config.silence_max {
                        return Stop::Lost(WsEnd::Silent { silence: silent_for });
                    }
                    let remaining = self.config.silence_max.saturating_sub(silent_for);
                    silence.set(sleep(remaining));
                    continue;
                }
                _ = ping.tick() => {
                    let message = match &self.config.ping {
                        Ping::Text { ping, .. } => Message::text(ping.as_str()),
                        Ping::Frame => Message::Ping(bytes::Bytes::new()),
                    };
                    match send(socket, message, self.config.send_patience).await {
                        Ok(()) => continue,
                        Err(end) => return Stop::Lost(end),
                    }
                }
                outgoing = self.outbox.recv() => {
                    let Some(outgoing) = outgoing else { return Stop::Deaf };
                    // What was meant for an earlier connection must not reach this one.
                    if outgoing.connection != self.connections { continue; }
                    match send(socket, Message::Text(outgoing.text), self.config.send_patience).await {
                        Ok(()) => continue,
                        Err(end) => return Stop::Lost(end),
                    }
                }
                frame = socket.next() => frame,
            };
            let at = Stamp::now(self.clock.as_ref());
            last_heard = at.mono;
            let event = match read_frame(frame, &self.config.ping, at) {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(end) => return Stop::Lost(end),
            };
            if self.inbound.tell(event).await.is_break() {
                return Stop::Deaf;
            }
        }
    }
}

fn ping_timer(every: Duration) -> Interval {
    let every = every.max(Duration::from_millis(1));
    let mut timer = interval_at(tokio::time::Instant::now() + every, every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

async fn send(socket: &mut Socket, message: Message, patience: Duration) -> Result<(), WsEnd> {
    match timeout(patience, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(WsEnd::Broken(error.to_string())),
        Err(_) => Err(WsEnd::SendStuck),
    }
}

fn read_frame(frame: Option<Result<Message, Error>>, ping: &Ping, at: Stamp) -> Result<Option<WsEvent>, WsEnd> {
    match frame {
        None => Err(WsEnd::ClosedByVenue { code: None, text: String::new() }),
        Some(Err(error)) => Err(WsEnd::Broken(error.to_string())),
        Some(Ok(Message::Text(text))) => Ok(Some(match ping {
            Ping::Text { pong, .. } if text.as_str() == pong => WsEvent::Pong { at },
            _ => WsEvent::Text { text, at },
        })),
        Some(Ok(Message::Binary(bytes))) => Ok(Some(WsEvent::Binary { bytes, at })),
        Some(Ok(Message::Pong(_))) => Ok(Some(WsEvent::Pong { at })),
        // The protocol library answers pings by itself.
        Some(Ok(Message::Ping(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Close(close))) => Err(WsEnd::ClosedByVenue {
            code: close.as_ref().map(|close| close.code.into()),
            text: close.map(|close| close.reason.to_string()).unwrap_or_default(),
        }),
    }
}
