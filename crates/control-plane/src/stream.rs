//! The live stream: one snapshot four times a second for all clients; a slow client gets the newest and misses others.

use crate::backend::Backend;
use crate::checks::STREAM_PROTOCOL;
use crate::gate::Caller;
use crate::limits::{
    FRAME_FILLS, FRAME_INTERVAL, FRAME_ORDERS, FRAME_PATIENCE, PING_INTERVAL, SILENCE_MAX, STREAM_FRAME_BYTES_MAX,
    STREAMS_MAX,
};
use crate::problem::Problem;
use crate::server::Shared;
use crate::view::Snapshot;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{Message, MessageStream, Session};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What the clients of the stream wait for.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// Nothing yet.
    Empty,
    /// The newest snapshot, as JSON.
    Snapshot(Arc<str>),
    /// The server stops.
    End,
}

/// The sending side, shared by all.
pub(crate) struct Streams {
    frames: watch::Sender<Frame>,
    open: AtomicUsize,
}

/// One of the places for a stream; free again when dropped.
struct Place(Arc<Streams>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { frames: watch::Sender::new(Frame::Empty), open: AtomicUsize::new(0) })
    }

    /// Closes every stream.
    pub(crate) fn end(&self) {
        self.frames.send_replace(Frame::End);
    }

    fn place(self: &Arc<Self>) -> Option<Place> {
        let taken = |open: usize| (open < STREAMS_MAX).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).ok().map(|_| Place(Arc::clone(self)))
    }
}

/// Makes snapshots for as long as somebody listens. Ends with the runtime.
pub(crate) async fn publish(streams: Arc<Streams>, backend: Arc<dyn Backend>) {
    let mut ticks = interval(FRAME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 0_u64;
    loop {
        ticks.tick().await;
        if streams.frames.receiver_count() == 0 {
            continue;
        }
        sequence = sequence.saturating_add(1);
        // A panic in the backend must not silence the stream for good: the next tick tries again.
        match catch_unwind(AssertUnwindSafe(|| snapshot(&*backend, sequence))) {
            Ok(text) => {
                streams.frames.send_if_modified(|frame| {
                    let going = !matches!(frame, Frame::End);
                    if going {
                        *frame = Frame::Snapshot(text.into());
                    }
                    going
                });
            }
            Err(_) => tracing::error!(sequence, "a snapshot could not be made"),
        }
    }
}

fn snapshot(backend: &dyn Backend, sequence: u64) -> String {
    let snapshot = Snapshot {
        sequence,
        status: backend.status(),
        positions: backend.positions(),
        balances: backend.balances(),
        orders: backend.orders(None, FRAME_ORDERS).items,
        fills: backend.fills(None, FRAME_FILLS).items,
        book: backend.book(),
    };
    // Maps with text keys only; cannot fail.
    serde_json::to_string(&snapshot).unwrap_or_default()
}

/// Turns a checked request into a stream of this caller.
pub(crate) fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &web::Data<Shared>,
    caller: Caller,
) -> Result<HttpResponse, Problem> {
    let Some(place) = shared.streams.place() else {
        return Err(Problem::new(503, "too_many_streams", "too many live streams", "close another page first"));
    };
    let (response, session, messages) = actix_ws::handle_with_protocols(request, payload, &[STREAM_PROTOCOL])
        .map_err(|_| Problem::new(400, "not_a_websocket", "bad request", "this address takes a WebSocket handshake"))?;
    let messages = messages.max_frame_size(STREAM_FRAME_BYTES_MAX);
    let frames = shared.streams.frames.subscribe();
    actix_web::rt::spawn(serve(session, messages, frames, shared.clone(), caller, place));
    Ok(response)
}

async fn serve(
    mut session: Session,
    mut messages: MessageStream,
    mut frames: watch::Receiver<Frame>,
    shared: web::Data<Shared>,
    caller: Caller,
    _place: Place,
) {
    let clock = Arc::clone(&shared.clock);
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = clock.mono();
    // A snapshot that is there already is shown at once.
    frames.mark_changed();
    loop {
        tokio::select! {
            changed = frames.changed() => {
                if changed.is_err() {
                    break;
                }
                let frame = frames.borrow_and_update().clone();
                match frame {
                    Frame::Empty => {}
                    Frame::End => break,
                    // Its key was revoked or has ended meanwhile.
                    Frame::Snapshot(_) if !shared.gate.still_allows(&caller) => break,
                    Frame::Snapshot(text) => match timeout(FRAME_PATIENCE, session.text(&*text)).await {
                        Ok(Ok(())) => {}
                        _ => break,
                    },
                }
            }
            message = messages.recv() => match message {
                Some(Ok(Message::Ping(bytes))) => {
                    heard = clock.mono();
                    if !matches!(timeout(FRAME_PATIENCE, session.pong(&bytes)).await, Ok(Ok(()))) {
                        break;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                // What clients say is not looked at; it shows that they live.
                Some(Ok(_)) => heard = clock.mono(),
            },
            _ = pings.tick() => {
                let gone = clock.mono().since(heard) > SILENCE_MAX;
                if gone || !matches!(timeout(FRAME_PATIENCE, session.ping(b"")).await, Ok(Ok(()))) {
                    break;
                }
            }
        }
    }
    // An error means that the client is gone already.
    let _ = timeout(FRAME_PATIENCE, session.close(None)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_free_again_when_dropped() {
        let streams = Streams::new();
        let mut places: Vec<_> = (0..STREAMS_MAX).map(|_| streams.place().unwrap()).collect();
        assert!(streams.place().is_none());
        places.pop();
        assert!(streams.place().is_some());
    }
}
