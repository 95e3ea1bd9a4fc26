//! What a WebSocket session is told and what it tells.

use crate::address::{AddressError, Plaintext, check_address};
use crate::back_off::BackOffSettings;
use crate::ws_session::{Control, Inbound, Outgoing, Session};
use bytes::Bytes;
use domain::{Clock, MonoNanos, UnixNanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// How a session keeps the venue's end awake; the codec knows what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ping {
    /// A text frame, answered by another text frame.
    Text {
        /// What is sent.
        ping: String,
        /// What comes back; told as [`WsEvent::Pong`], not as text.
        pong: String,
    },
    /// The protocol's own ping frame.
    Frame,
}

/// One session's address, bounds and manners.
#[derive(Debug, Clone)]
pub struct WsConfig {
    /// The whole address.
    pub url: String,
    /// Whether plain text to loopback is allowed.
    pub plaintext: Plaintext,
    /// Longest wait for TCP, TLS and the WebSocket handshake together.
    pub connect_patience: Duration,
    /// A connection on which nothing at all arrives for so long is given up;
    /// must be longer than `ping_every`, or a quiet venue looks dead.
    pub silence_max: Duration,
    /// Longest wait for one frame to leave.
    pub send_patience: Duration,
    /// Time between two pings.
    pub ping_every: Duration,
    /// What a ping is.
    pub ping: Ping,
    /// Frames that may wait to be sent.
    pub outgoing_max: usize,
    /// Waits between two connections.
    pub back_off: BackOffSettings,
    /// A connection that lived so long counts as a success for the back-off.
    pub stable_after: Duration,
}

impl WsConfig {
    /// Largest message taken from a venue: 4 MiB.
    pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// Most bytes waiting to be written: 1 MiB.
    pub const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;
    /// The read buffer: 64 KiB.
    pub const READ_BUFFER_BYTES: usize = 64 * 1024;

    /// The usual manners for the venue at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, ping: Ping) -> Self {
        Self {
            url: url.into(),
            plaintext: Plaintext::Never,
            connect_patience: Duration::from_secs(10),
            silence_max: Duration::from_secs(45),
            send_patience: Duration::from_secs(5),
            ping_every: Duration::from_secs(20),
            ping,
            outgoing_max: 256,
            back_off: BackOffSettings::default(),
            stable_after: Duration::from_secs(30),
        }
    }
}

/// The two times at which something happened, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// On the monotonic clock.
    pub mono: MonoNanos,
    /// On the wall clock.
    pub unix: UnixNanos,
}

impl Stamp {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { mono: clock.mono(), unix: clock.unix() }
    }
}

/// Why a connection ended or was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WsEnd {
    /// TCP, TLS or the handshake did not complete in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The venue could not be reached or refused.
    #[error("connecting failed: {0}")]
    ConnectFailed(String),
    /// Nothing arrived for `silence_max`: the other end is gone without a word.
    #[error("silent for {} ms", .silence.as_millis())]
    Silent {
        /// How long nothing had arrived.
        silence: Duration,
    },
    /// A frame could not be sent in time.
    #[error("sending got stuck")]
    SendStuck,
    /// The venue closed the connection.
    #[error("closed by the venue{}", .code.map(|code| format!(" with code {code}")).unwrap_or_default())]
    ClosedByVenue {
        /// Its close code, if it gave one.
        code: Option<u16>,
        /// Its text, at most 123 bytes.
        text: String,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// [`WsHandle::reconnect`] was called, for this reason.
    #[error("asked to reconnect: {0}")]
    Asked(&'static str),
}

/// What a session tells, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WsEvent {
    /// A new connection: nothing is subscribed on it.
    Connected {
        /// Counts the connections of this session, from 1.
        connection: u64,
        /// When.
        at: Stamp,
    },
    /// A text frame.
    Text {
        /// The frame.
        text: Utf8Bytes,
        /// When it was received.
        at: Stamp,
    },
    /// A binary frame.
    Binary {
        /// The frame.
        bytes: Bytes,
        /// When it was received.
        at: Stamp,
    },
    /// The answer to a ping.
    Pong {
        /// When it was received.
        at: Stamp,
    },
    /// The connection ended, or one more try to connect failed.
    Disconnected {
        /// Why.
        reason: WsEnd,
        /// The next try begins after this wait.
        retry_in: Duration,
        /// When.
        at: Stamp,
    },
}

/// Why a frame was not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WsSendError {
    /// There is no connection now. Nothing is kept for the next one.
    #[error("not connected")]
    NotConnected,
    /// `outgoing_max` frames are waiting.
    #[error("too many frames wait to be sent")]
    Full,
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
}

/// The hold on a session. Cloneable; when the last clone is dropped the session ends.
#[derive(Debug, Clone)]
pub struct WsHandle {
    outgoing: mpsc::Sender<Outgoing>,
    control: Arc<watch::Sender<Control>>,
    connection: Arc<AtomicU64>,
}

impl WsHandle {
    /// Hands over a text frame for the present connection, and only for this one.
    ///
    /// # Errors
    /// [`WsSendError`]; the frame was not and will not be sent.
    pub fn send(&self, text: impl Into<Utf8Bytes>) -> Result<(), WsSendError> {
        let connection = self.connection.load(Ordering::SeqCst);
        if self.outgoing.is_closed() {
            return Err(WsSendError::Ended);
        }
        if connection == 0 {
            return Err(WsSendError::NotConnected);
        }
        self.outgoing.try_send(Outgoing { connection, text: text.into() }).map_err(|refusal| match refusal {
            mpsc::error::TrySendError::Full(_) => WsSendError::Full,
            mpsc::error::TrySendError::Closed(_) => WsSendError::Ended,
        })
    }

    /// Gives up the present connection and makes a new one. Without one: no effect.
    pub fn reconnect(&self, reason: &'static str) {
        self.control.send_modify(|control| {
            if let Control::Run { reconnects, reason: last } = control {
                *reconnects += 1;
                *last = reason;
            }
        });
    }

    /// Ends the session; a polite close frame is tried for a second.
    pub fn close(&self) {
        self.control.send_replace(Control::Close);
    }

    /// True while there is a connection.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connection.load(Ordering::SeqCst) != 0
    }

    /// Completes when the session's task has ended.
    pub async fn ended(&self) {
        self.outgoing.closed().await;
    }
}

/// Starts sessions.
#[derive(Debug)]
pub struct WsSession;

impl WsSession {
    /// Starts a session on the present thread's runtime; `inbound` is called
    /// there for each event and must not block.
    ///
    /// # Errors
    /// [`AddressError`] before anything is resolved or connected.
    pub fn spawn(
        config: WsConfig,
        clock: Arc<dyn Clock>,
        inbound: impl FnMut(WsEvent) + 'static,
    ) -> Result<WsHandle, AddressError> {
        Self::start(config, clock, Inbound::Call(Box::new(inbound)))
    }

    /// As [`Self::spawn`], into a queue of `events_max`. While the queue is full
    /// the socket is not read, so the venue waits; dropping the receiver ends the session.
    ///
    /// # Errors
    /// [`AddressError`] before anything is resolved or connected.
    pub fn channel(
        config: WsConfig,
        clock: Arc<dyn Clock>,
        events_max: usize,
    ) -> Result<(WsHandle, mpsc::Receiver<WsEvent>), AddressError> {
        let (events, receiver) = mpsc::channel(events_max.max(1));
        Ok((Self::start(config, clock, Inbound::Queue(events))?, receiver))
    }

    fn start(config: WsConfig, clock: Arc<dyn Clock>, inbound: Inbound) -> Result<WsHandle, AddressError> {
        let url = check_address(&config.url, "wss", "ws", config.plaintext)?;
        let (outgoing, outbox) = mpsc::channel(config.outgoing_max.max(1));
        let (control, controlled) = watch::channel(Control::Run { reconnects: 0, reason: "" });
        let connection = Arc::new(AtomicU64::new(0));
        let session = Session::new(config, url, clock, inbound, outbox, controlled, Arc::clone(&connection));
        tokio::task::spawn_local(session.run());
        Ok(WsHandle { outgoing, control: Arc::new(control), connection })
    }
}
