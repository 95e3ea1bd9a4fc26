//! The signer's end of the order socket and of the emergency socket.
//!
//! Invariants: a frame that is not exactly one question is refused and signs nothing; the emergency socket signs
//! cancels and questions about orders only, whatever it is asked; both end, and wipe, when the daemon is gone. Over a
//! page the same holds.

use super::page::OrderPage;
use super::socket::{Packets, SocketError};
use crate::inline::{CancelOnlySigner, InlineSigner};
use crate::seats::Seats;
use domain::VenueId;
use messages::SignRefusal;
use signing::SignerPort;
use signing::frames::{Frame, Question, read_question, wipe, write_answer};

/// Largest frame that is looked at, in bytes.
const FRAME_BYTES_MAX: usize = 8 * 1024;

impl<S: SignerPort> Seats<S> {
    fn on(&self, seat: VenueId, act: Act<'_>) -> Done {
        self.with(seat, |signer| signer.as_mut().map_or(Err(SignRefusal::NoKey), |signer| act(signer)))
            .unwrap_or(Err(SignRefusal::NoKey))
    }
}

/// Serves the order path until the daemon is gone. With a page, questions are heard over it and the socket only tells
/// that the daemon is gone.
///
/// `candidates`: the signers of keys that are to take over; their keys are verified with their own signatures.
pub fn serve_orders(
    socket: &Packets,
    page: Option<OrderPage>,
    seats: &Seats<InlineSigner>,
    candidates: &Seats<InlineSigner>,
    spin: bool,
) {
    serve(Line { socket, page, spin }, |seat, of, act| match of {
        Of::AtWork => seats.on(seat, act),
        Of::Candidate => candidates.on(seat, act),
    });
}

/// Serves the emergency thread until the daemon is gone.
pub fn serve_cancels(socket: &Packets, seats: &Seats<CancelOnlySigner>) {
    serve(Line { socket, page: None, spin: false }, |seat, of, act| match of {
        Of::AtWork => seats.on(seat, act),
        Of::Candidate => Err(SignRefusal::NoKey),
    });
}

/// Which of a venue account's signers is asked.
#[derive(Clone, Copy)]
enum Of {
    AtWork,
    Candidate,
}

type Done = Result<Option<signing::SignedRequest>, SignRefusal>;
type Act<'a> = &'a mut dyn FnMut(&mut dyn SignerPort) -> Done;

/// Where frames come and go.
struct Line<'a> {
    socket: &'a Packets,
    page: Option<OrderPage>,
    spin: bool,
}

impl Line<'_> {
    fn question(&mut self, inward: &mut [u8]) -> Result<usize, SocketError> {
        match &mut self.page {
            Some(page) => page.question(inward, self.socket, self.spin),
            None if self.spin => wait_spinning(self.socket, inward),
            None => self.socket.receive(inward),
        }
    }

    fn answer(&self, frame: &[u8]) -> Result<(), SocketError> {
        match &self.page {
            Some(page) => page.reply(frame, self.spin),
            None => self.socket.send(frame),
        }
    }
}

fn serve(mut line: Line<'_>, on_seat: impl Fn(VenueId, Of, Act<'_>) -> Done) {
    let mut inward = vec![0_u8; FRAME_BYTES_MAX];
    let mut out = Frame::new();
    loop {
        let question = match line.question(&mut inward) {
            Ok(len) => inward.get(..len).and_then(|frame| read_question(frame).ok()),
            Err(SocketError::TooLarge) => None,
            Err(SocketError::Late) => continue,
            Err(SocketError::Gone | SocketError::System(_)) => break,
        };
        let (nonce, done) = match question {
            None => (0, Err(SignRefusal::Malformed)),
            Some(Question::Sign { seat, nonce, intent }) => {
                (nonce, on_seat(seat, Of::AtWork, &mut |signer| signer.sign(&intent).map(Some)))
            }
            Some(Question::SignCandidate { seat, nonce, intent }) => {
                let sign = &mut |signer: &mut dyn SignerPort| match intent.verb().only_asks() {
                    true => signer.sign(&intent).map(Some),
                    false => Err(SignRefusal::KeyState),
                };
                (nonce, on_seat(seat, Of::Candidate, sign))
            }
            Some(Question::Mode { seat, nonce, mode }) => {
                (nonce, on_seat(seat, Of::AtWork, &mut |signer| signer.set_account_mode(mode).map(|()| None)))
            }
            Some(Question::Offset { seat, nonce, offset_ns }) => {
                (nonce, on_seat(seat, Of::AtWork, &mut |signer| signer.set_clock_offset(offset_ns).map(|()| None)))
            }
        };
        let answer = match &done {
            Ok(request) => Ok(request.as_ref()),
            Err(refusal) => Err(*refusal),
        };
        let written = write_answer(nonce, &answer, &mut out);
        let sent = if written.is_ok() { line.answer(&out) } else { Ok(()) };
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
