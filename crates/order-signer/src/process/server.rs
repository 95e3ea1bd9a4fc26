//! The signer's end of the order socket and of the emergency socket.
//!
//! Invariants: a frame that is not exactly one question is refused and signs nothing; the emergency socket signs
//! cancels and questions about orders only, whatever it is asked; both end, and wipe, when the daemon is gone.

use super::socket::{Packets, SocketError};
use crate::inline::{CancelOnlySigner, InlineSigner};
use domain::VenueId;
use messages::SignRefusal;
use signing::SignerPort;
use signing::frames::{Frame, Question, read_question, wipe, write_answer};
use std::sync::{Arc, Mutex, PoisonError};

/// Largest frame that is looked at, in bytes.
const FRAME_BYTES_MAX: usize = 8 * 1024;

/// The signers of all venue accounts, by their ids; shared with the custody thread, which takes them away.
pub struct Seats<S>(Arc<Vec<Mutex<Option<S>>>>);

impl<S> Clone for Seats<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Seats<S> {
    /// Seats for the venue accounts from 0 on; `None` signs nothing.
    #[must_use]
    pub fn new(signers: Vec<Option<S>>) -> Self {
        Self(Arc::new(signers.into_iter().map(Mutex::new).collect()))
    }

    /// Does something with the signer of a venue account, between two signatures; `None`: there is no such seat.
    pub fn with<T>(&self, seat: VenueId, act: impl FnOnce(&mut Option<S>) -> T) -> Option<T> {
        let mut signer = self.0.get(seat.index())?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut signer))
    }
}

impl<S: SignerPort> Seats<S> {
    fn on(&self, seat: VenueId, act: Act<'_>) -> Done {
        self.with(seat, |signer| signer.as_mut().map_or(Err(SignRefusal::NoKey), |signer| act(signer)))
            .unwrap_or(Err(SignRefusal::NoKey))
    }
}

/// Serves the order path until the daemon is gone.
pub fn serve_orders(socket: &Packets, seats: &Seats<InlineSigner>, spin: bool) {
    serve(socket, spin, |seat, act| seats.on(seat, act));
}

/// Serves the emergency thread until the daemon is gone.
pub fn serve_cancels(socket: &Packets, seats: &Seats<CancelOnlySigner>) {
    serve(socket, false, |seat, act| seats.on(seat, act));
}

type Done = Result<Option<signing::SignedRequest>, SignRefusal>;
type Act<'a> = &'a mut dyn FnMut(&mut dyn SignerPort) -> Done;

fn serve(socket: &Packets, spin: bool, on_seat: impl Fn(VenueId, Act<'_>) -> Done) {
    let mut inward = vec![0_u8; FRAME_BYTES_MAX];
    let mut out = Frame::new();
    loop {
        let received = if spin { wait_spinning(socket, &mut inward) } else { socket.receive(&mut inward) };
        let question = match received {
            Ok(len) => inward.get(..len).and_then(|frame| read_question(frame).ok()),
            Err(SocketError::TooLarge) => None,
            Err(SocketError::Late) => continue,
            Err(SocketError::Gone | SocketError::System(_)) => break,
        };
        let (nonce, done) = match question {
            None => (0, Err(SignRefusal::Malformed)),
            Some(Question::Sign { seat, nonce, intent }) => {
                (nonce, on_seat(seat, &mut |signer| signer.sign(&intent).map(Some)))
            }
            Some(Question::Offset { seat, nonce, offset_ns }) => {
                (nonce, on_seat(seat, &mut |signer| signer.set_clock_offset(offset_ns).map(|()| None)))
            }
        };
        let answer = match &done {
            Ok(request) => Ok(request.as_ref()),
            Err(refusal) => Err(*refusal),
        };
        let written = write_answer(nonce, &answer, &mut out);
        let sent = if written.is_ok() { socket.send(&out) } else { Ok(()) };
        wipe(&mut out);
        if sent.is_err() {
            break;
        }
    }
}

fn wait_spinning(socket: &Packets, inward: &mut [u8]) -> Result<usize, SocketError> {
    loop {
        if let Some(len) = socket.look(inward)? {
            return Ok(len);
        }
        std::hint::spin_loop();
    }
}
