//! The daemon's end of the order socket: a [`SignerPort`] whose signer sits in another process.
//!
//! Invariants: one question is under way at a time; an answer is taken only for the question that is under way, a
//! late one is dropped; nobody waits longer than [`SignerLink::PATIENCE`].

use super::page::OrderPage;
use super::socket::{Packets, SocketError};
use domain::{Clock, MonoNanos, VenueId};
use messages::{AccountMode, SignIntent, SignRefusal};
use signing::frames::{Answer, FRAME_MAX, Frame, Question, read_answer, wipe, write_question};
use signing::{Blanks, SignedRequest, SignerHello, SignerPort};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How the order path waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkWait {
    /// Asleep.
    Block,
    /// Looking again and again: takes the core that it runs on.
    Spin,
}

/// Called once when the other process has gone, or was silent for too long.
pub(super) type OnLost = Box<dyn Fn(&'static str) + Send>;

/// The daemon's end of the order socket, shared by the seats of all venue accounts.
pub struct SignerLink {
    socket: Option<Packets>,
    /// Where frames pass; none: over the socket.
    page: Option<OrderPage>,
    wait: LinkWait,
    clock: Arc<dyn Clock>,
    blanks: Blanks,
    out: Frame,
    inward: Box<[u8; FRAME_MAX]>,
    nonce: u64,
    hello: SignerHello,
    on_lost: OnLost,
}

impl SignerLink {
    /// Longest wait for an answer (DESIGN: the order path waits for nothing else).
    pub const PATIENCE: Duration = Duration::from_millis(250);

    /// The end of a socket whose other end is served by `serve_orders`.
    ///
    /// # Errors
    /// [`SocketError::System`] when the time limit cannot be set.
    pub fn new(
        socket: Packets,
        wait: LinkWait,
        hello: SignerHello,
        clock: Arc<dyn Clock>,
        on_lost: OnLost,
    ) -> Result<Arc<Mutex<Self>>, SocketError> {
        socket.wait_at_most(Some(Self::PATIENCE))?;
        Ok(Arc::new(Mutex::new(Self {
            socket: Some(socket),
            page: None,
            wait,
            clock,
            blanks: Blanks::new(),
            out: Frame::new(),
            inward: Box::new([0; FRAME_MAX]),
            nonce: 0,
            hello,
            on_lost,
        })))
    }

    /// Lets frames pass over a page from now on, whose other end is served by the same process as the socket's.
    pub fn over(&mut self, page: OrderPage) {
        self.page = Some(page);
    }

    /// Takes a new process in the place of one that has gone.
    ///
    /// # Errors
    /// [`SocketError::System`] when the time limit cannot be set.
    pub fn replace(&mut self, socket: Packets, page: Option<OrderPage>, hello: SignerHello) -> Result<(), SocketError> {
        socket.wait_at_most(Some(Self::PATIENCE))?;
        self.socket = Some(socket);
        self.page = page;
        self.hello = hello;
        Ok(())
    }

    fn ask(&mut self, question: impl FnOnce(u64) -> Question) -> Result<Answer, SignRefusal> {
        self.nonce = self.nonce.wrapping_add(1);
        let nonce = self.nonce;
        write_question(&question(nonce), &mut self.out).map_err(|_| SignRefusal::Malformed)?;
        let Some(socket) = self.socket.as_ref() else { return Err(SignRefusal::Silent) };
        let spin = self.wait == LinkWait::Spin;
        let sent = match &mut self.page {
            Some(page) => page.ask(&self.out, spin),
            None => socket.send_now(&self.out),
        };
        let answer = match sent {
            Ok(()) => self.await_answer(nonce),
            Err(error) => Err(error),
        };
        answer.map_err(|error| {
            // Whatever it would still say is about an id that is burned; a new process begins afresh.
            (self.socket, self.page) = (None, None);
            (self.on_lost)(if error == SocketError::Late { "silent" } else { "dead" });
            SignRefusal::Silent
        })
    }

    fn await_answer(&mut self, nonce: u64) -> Result<Answer, SocketError> {
        let begun = self.clock.mono();
        loop {
            let len = self.one_frame(begun)?;
            let frame = self.inward.get_mut(..len).ok_or(SocketError::TooLarge)?;
            let answer = read_answer(frame, &self.blanks);
            // As if somebody read them: the zeros must really be written.
            frame.fill(0);
            std::hint::black_box(&*frame);
            match answer {
                Ok((of, answer)) if of == nonce => return Ok(answer),
                Ok(_) => {}
                Err(_) => return Err(SocketError::Gone),
            }
        }
    }

    fn one_frame(&mut self, begun: MonoNanos) -> Result<usize, SocketError> {
        let socket = self.socket.as_ref().ok_or(SocketError::Gone)?;
        if let Some(page) = &mut self.page {
            let late = || self.clock.mono().since(begun) > Self::PATIENCE;
            return page.answer(self.inward.as_mut_slice(), socket, self.wait == LinkWait::Spin, late);
        }
        match self.wait {
            LinkWait::Block => socket.receive(self.inward.as_mut_slice()),
            LinkWait::Spin => loop {
                for _ in 0..64 {
                    if let Some(len) = socket.look(self.inward.as_mut_slice())? {
                        return Ok(len);
                    }
                    std::hint::spin_loop();
                }
                if self.clock.mono().since(begun) > Self::PATIENCE {
                    return Err(SocketError::Late);
                }
            },
        }
    }
}

impl Drop for SignerLink {
    fn drop(&mut self) {
        wipe(&mut self.out);
    }
}

/// The seat of one venue account.
pub struct ProcessSeat {
    link: Arc<Mutex<SignerLink>>,
    seat: VenueId,
}

impl ProcessSeat {
    /// The seat of a venue account on a link.
    #[must_use]
    pub const fn new(link: Arc<Mutex<SignerLink>>, seat: VenueId) -> Self {
        Self { link, seat }
    }

    fn request(
        &self,
        intent: &SignIntent,
        question: impl FnOnce(u64) -> Question,
    ) -> Result<SignedRequest, SignRefusal> {
        match self.link().ask(question)? {
            Answer::Signed(request) if request.verb() == intent.verb() => Ok(request),
            Answer::Refused(refusal) => Err(refusal),
            Answer::Signed(_) | Answer::Done => Err(SignRefusal::Malformed),
        }
    }

    fn link(&self) -> MutexGuard<'_, SignerLink> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignerPort for ProcessSeat {
    fn hello(&self) -> SignerHello {
        self.link().hello
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal> {
        let seat = self.seat;
        match self.link().ask(|nonce| Question::Offset { seat, nonce, offset_ns })? {
            Answer::Done => Ok(()),
            Answer::Refused(refusal) => Err(refusal),
            Answer::Signed(_) => Err(SignRefusal::Malformed),
        }
    }

    fn set_account_mode(&mut self, mode: AccountMode) -> Result<(), SignRefusal> {
        let seat = self.seat;
        match self.link().ask(|nonce| Question::Mode { seat, nonce, mode })? {
            Answer::Done => Ok(()),
            Answer::Refused(refusal) => Err(refusal),
            Answer::Signed(_) => Err(SignRefusal::Malformed),
        }
    }

    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        let (seat, intent) = (self.seat, *intent);
        self.request(&intent, |nonce| Question::Sign { seat, nonce, intent })
    }

    fn sign_candidate(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        let (seat, intent) = (self.seat, *intent);
        self.request(&intent, |nonce| Question::SignCandidate { seat, nonce, intent })
    }
}
