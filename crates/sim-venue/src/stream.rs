//! One task for each WebSocket client: reads its frames, writes its queue, keeps its time limits.

use crate::hub::{Out, Socket};
use crate::limits::Budget;
use crate::server::Shared;
use crate::session::Verdict;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Session};
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
                message = messages.recv() => Wake::Message(message),
                frame = frames.recv() => Wake::Frame(frame),
                () = &mut death => Wake::TooOld,
                () = &mut silence => Wake::TooQuiet,
            };
            match wake {
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
