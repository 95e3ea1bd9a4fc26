//! A request body that knows whether anybody has begun to read it.
//!
//! The HTTP library asks for the body only when it has a connection and is about
//! to write. So as long as nobody has asked, nothing can have reached the venue;
//! and once we have withdrawn the body nobody can ask any more.

use bytes::Bytes;
use domain::{Clock, MonoNanos};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

const UNTOUCHED: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The one fact about a body, shared between it and the sender of the request.
#[derive(Debug, Default)]
pub(crate) struct BodyWatch {
    state: AtomicU8,
    taken_at: AtomicU64,
}

impl BodyWatch {
    /// True if the body is now sure never to be sent; false if it may have been.
    pub(crate) fn withdraw(&self) -> bool {
        match self.state.compare_exchange(UNTOUCHED, WITHDRAWN, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(state) => state == WITHDRAWN,
        }
    }

    /// When the body was taken for writing, if it was.
    pub(crate) fn taken_at(&self) -> Option<MonoNanos> {
        (self.state.load(Ordering::SeqCst) == TAKEN).then(|| MonoNanos(self.taken_at.load(Ordering::SeqCst)))
    }

    fn take(&self, now: MonoNanos) -> bool {
        // Written first, so that whoever sees TAKEN also sees the time.
        self.taken_at.store(now.0, Ordering::SeqCst);
        self.state.compare_exchange(UNTOUCHED, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Called once, on the sender's thread, when the first byte is handed to the socket. It must not wait long.
pub type FirstByte = Arc<dyn Fn(MonoNanos) + Send + Sync>;

/// The body was withdrawn before it was read.
#[derive(Debug, thiserror::Error)]
#[error("the request was withdrawn before its first byte")]
pub(crate) struct Withdrawn;

pub(crate) struct WatchedBody {
    bytes: Option<Bytes>,
    watch: Arc<BodyWatch>,
    clock: Arc<dyn Clock>,
    send_by: Option<MonoNanos>,
    on_first_byte: Option<FirstByte>,
}

impl WatchedBody {
    pub(crate) fn new(bytes: Bytes, watch: Arc<BodyWatch>, clock: Arc<dyn Clock>, send_by: Option<MonoNanos>) -> Self {
        Self { bytes: Some(bytes), watch, clock, send_by, on_first_byte: None }
    }

    pub(crate) fn telling(mut self, on_first_byte: Option<FirstByte>) -> Self {
        self.on_first_byte = on_first_byte;
        self
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        let now = self.clock.mono();
        if self.send_by.is_some_and(|send_by| now >= send_by) {
            self.watch.withdraw();
        }
        if !self.watch.take(now) {
            return Poll::Ready(Some(Err(Withdrawn)));
        }
        if let Some(tell) = self.on_first_byte.take() {
            tell(now);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::ManualClock;
    use domain::UnixNanos;

    fn first_frame(body: &mut WatchedBody) -> Option<Result<Bytes, Withdrawn>> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())),
            Poll::Pending => unreachable!("all bytes are here"),
        }
    }

    fn body(send_by: Option<MonoNanos>) -> (WatchedBody, Arc<BodyWatch>) {
        let watch = Arc::new(BodyWatch::default());
        let clock = Arc::new(ManualClock::new(UnixNanos(0), MonoNanos(50)));
        (WatchedBody::new(Bytes::from_static(b"{}"), Arc::clone(&watch), clock, send_by), watch)
    }

    #[test]
    fn untouched_body_can_be_withdrawn_and_is_never_read_then() {
        let (mut body, watch) = body(None);
        assert!(watch.withdraw());
        assert!(matches!(first_frame(&mut body), Some(Err(Withdrawn))));
        assert_eq!(watch.taken_at(), None);
        assert!(watch.withdraw(), "asking again gives the same answer");
    }

    #[test]
    fn body_that_was_read_can_never_be_withdrawn() {
        let (mut body, watch) = body(None);
        assert_eq!(first_frame(&mut body).unwrap().unwrap(), Bytes::from_static(b"{}"));
        assert!(!watch.withdraw());
        assert_eq!(watch.taken_at(), Some(MonoNanos(50)));
    }

    #[test]
    fn first_byte_is_told_once_and_never_for_a_withdrawn_body() {
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let tell: FirstByte = Arc::new(move |at| {
            count.fetch_add(at.0, Ordering::SeqCst);
        });
        let (sent, _) = body(None);
        let mut sent = sent.telling(Some(Arc::clone(&tell)));
        assert!(first_frame(&mut sent).unwrap().is_ok());
        assert!(first_frame(&mut sent).is_none());
        assert_eq!(told.load(Ordering::SeqCst), 50);
        let (late, _) = body(Some(MonoNanos(50)));
        let mut late = late.telling(Some(tell));
        assert!(first_frame(&mut late).unwrap().is_err());
        assert_eq!(told.load(Ordering::SeqCst), 50);
    }

    #[test]
    fn body_asked_for_too_late_withdraws_itself() {
        let (mut body, watch) = body(Some(MonoNanos(50)));
        assert!(matches!(first_frame(&mut body), Some(Err(Withdrawn))));
        assert!(watch.withdraw());
    }
}
