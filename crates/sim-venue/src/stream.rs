//! One task for each WebSocket client: reads its frames, writes its queue, keeps its time limits.

use crate::FaultSite;
use crate::hub::{Out, Socket};
use crate::limits::Budget;
use crate::server::Shared;
use crate::session::Verdict;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Item, Session};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};

/// Which address a stream connects to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    /// Public channels only; the private address takes all of them.
    pub(crate) public: bool,
    /// v3 instead of v2.
    pub(crate) unified: bool,
}

/// Accepts a stream connection.
pub(crate) async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
    path: Path,
) -> Result<HttpResponse, actix_web::Error> {
    let address = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let limits = shared.stream_limits;
    {
        let mut venue = shared.venue();
        if !venue.limits.connect(address) || venue.hub.connections_of(address) >= limits.connections_max {
            return Ok(HttpResponse::TooManyRequests().finish());
        }
    }
    let site = if path.public { FaultSite::Public } else { FaultSite::Private };
    let (slow, refused) = {
        let mut venue = shared.venue();
        let (slow, refused) = venue.hub.faults.handshake(site);
        (slow, refused.or_else(|| venue.closed().map(|_| 503)))
    };
    if let Some(delay) = slow {
        tokio::time::sleep(delay).await;
    }
    if let Some(status) = refused.and_then(|status| StatusCode::from_u16(status).ok()) {
        return Ok(HttpResponse::build(status).finish());
    }
    let (response, session, messages) = actix_ws::handle(&request, payload)?;
    let (queue, frames) = channel(limits.queue_max);
    let socket = request.conn_data::<Socket>().cloned();
    let id = {
        let hub = &mut shared.venue().hub;
        let id = hub.open(queue, socket, address, path.public);
        if let Some(session) = hub.get_mut(id) {
            session.unified = path.unified;
        }
        id
    };
    let messages = messages.max_frame_size(64 * 1_024).aggregate_continuations().max_continuation_size(64 * 1_024);
    let client = Client { id, shared: shared.into_inner(), session };
    actix_rt::spawn(client.run(messages, frames));
    Ok(response)
}

struct Client {
    id: u64,
    shared: Arc<Shared>,
    session: Session,
}

/// What woke the task.
enum Wake {
    Message(Option<Result<AggregatedMessage, actix_ws::ProtocolError>>),
    Frame(Option<Out>),
    TooOld,
    TooQuiet,
}

impl Client {
    async fn run(mut self, mut messages: actix_ws::AggregatedMessageStream, mut frames: Receiver<Out>) {
        let limits = self.shared.stream_limits;
        let rate = Budget::new(&self.shared.clock, limits.messages_per_second, Duration::from_secs(1));
        let subscribes = Budget::new(&self.shared.clock, limits.subscribes_per_hour, Duration::from_secs(3_600));
        let death = tokio::time::sleep(limits.lifetime);
        let silence = tokio::time::sleep(limits.silence_max);
        tokio::pin!(death, silence);
        loop {
            let wake = tokio::select! {
                // What the venue has to say goes first; a connection that is told to fall silent answers nothing more.
                biased;
                frame = frames.recv() => Wake::Frame(frame),
                message = messages.recv() => Wake::Message(message),
                () = &mut death => Wake::TooOld,
                () = &mut silence => Wake::TooQuiet,
            };
            match wake {
                Wake::Frame(Some(Out::HalfOpen(duration))) => return self.half_open(frames, duration).await,
                Wake::Frame(Some(Out::Split { text, parts, pause })) => {
                    if self.split(&text, parts, pause).await.is_err() {
                        break;
                    }
                }
                Wake::Frame(Some(Out::Text(text))) => {
                    if self.session.text(text).await.is_err() {
                        break;
                    }
                }
                Wake::Message(Some(Ok(message))) => {
                    silence.as_mut().reset(tokio::time::Instant::now() + limits.silence_max);
                    if self.on_message(message, &rate, &subscribes).await == Verdict::Close {
                        self.drain(&mut frames).await;
                        break;
                    }
                }
                Wake::Frame(Some(Out::Close) | None) | Wake::Message(_) | Wake::TooOld | Wake::TooQuiet => break,
            }
        }
        self.shared.venue().hub.close(self.id);
        let reason = CloseReason { code: CloseCode::Normal, description: None };
        // The peer may be gone already.
        let _ = self.session.close(Some(reason)).await;
    }

    /// Sends one message in several frames.
    async fn split(&mut self, text: &str, parts: usize, pause: Duration) -> Result<(), actix_ws::Closed> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let each = (bytes.len() / parts.max(2)).max(1);
        let mut rest = bytes;
        self.session.continuation(Item::FirstText(rest.split_to(each.min(rest.len())))).await?;
        while rest.len() > each {
            tokio::time::sleep(pause).await;
            self.session.continuation(Item::Continue(rest.split_to(each))).await?;
        }
        tokio::time::sleep(pause).await;
        self.session.continuation(Item::Last(rest)).await
    }

    /// Neither reads nor writes; the peer sees a connection that is open and dead.
    async fn half_open(self, mut frames: Receiver<Out>, duration: Option<Duration>) {
        let end = tokio::time::sleep(duration.unwrap_or(self.shared.stream_limits.lifetime));
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                frame = frames.recv() => if matches!(frame, Some(Out::Close) | None) { break },
            }
        }
        self.shared.venue().hub.drop_silently(self.id);
    }

    async fn on_message(&mut self, message: AggregatedMessage, rate: &Budget, subscribes: &Budget) -> Verdict {
        let text = match message {
            AggregatedMessage::Text(text) => text,
            AggregatedMessage::Ping(bytes) => {
                return if self.session.pong(&bytes).await.is_ok() { Verdict::Continue } else { Verdict::Close };
            }
            AggregatedMessage::Pong(_) => return Verdict::Continue,
            AggregatedMessage::Binary(_) | AggregatedMessage::Close(_) => return Verdict::Close,
        };
        if !rate.take() {
            return self.refuse(30_007, "request over limit, connection close").await;
        }
        if text == "ping" {
            // Answered here and not from behind the venue: clients give it a second.
            return if self.session.text("pong").await.is_ok() { Verdict::Continue } else { Verdict::Close };
        }
        if text.len() > self.shared.stream_limits.message_bytes_max {
            return self.refuse(30_016, "Param error, message too long").await;
        }
        if text.contains("\"subscribe\"") && !subscribes.take() {
            return self.refuse(30_006, "request too many").await;
        }
        self.shared.venue().on_client_text(self.id, &text, self.shared.stream_limits.channels_max)
    }

    async fn refuse(&mut self, code: u32, message: &str) -> Verdict {
        let frame = format!("{{\"event\":\"error\",\"code\":{code},\"msg\":\"{message}\"}}");
        let _ = self.session.text(frame).await;
        Verdict::Close
    }

    /// Writes what was queued before the decision to close.
    async fn drain(&mut self, frames: &mut Receiver<Out>) {
        while let Ok(Out::Text(text)) = frames.try_recv() {
            if self.session.text(text).await.is_err() {
                return;
            }
        }
    }
}
