//! The page over which the order path asks and the signer process answers: no system call carries a frame.
//!
//! It stands beside the order socket, which carries nothing after the greeting and tells each end that the other is
//! gone. One question is under way at a time. Layout, in words of 32 bits: the number of the question under way, its
//! length in bytes, the number of the question that was answered, the answer's length, then both frames.
//!
//! Invariants: a frame is copied once, whole, into memory that the other process cannot reach, and only the copy is
//! looked at; a length from the page is believed up to its room alone; an answer is overwritten by whoever takes it.

use super::socket::{Packets, SocketError};
use rustix::io::Errno;
use rustix::thread::Timespec;
use rustix::thread::futex::{Flags, wait, wake};
use secrets::{SharedError, SharedWords};
use signing::frames::FRAME_MAX;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a word.
const WORD: usize = size_of::<u32>();
/// Words between things that different processes write: a line of the processor's cache.
const LINE: usize = 16;
/// Where the number of the question stands, and beside it its length.
const ASKED: usize = 0;
/// Where the number of the answered question stands, and beside it the answer's length.
const ANSWERED: usize = LINE;
/// Where the question stands.
const QUESTION: usize = 2 * LINE;
/// Words that a frame may take: whole lines.
const FRAME_WORDS: usize = FRAME_MAX.div_ceil(WORD).next_multiple_of(LINE);
/// Where the answer stands.
const ANSWER: usize = QUESTION + FRAME_WORDS;
/// Words of the page.
const WORDS: usize = ANSWER + FRAME_WORDS;

/// How often a page is looked at before the socket is: a fraction of a millisecond.
const LOOKS: u32 = 8_192;

/// One end of the page.
#[derive(Debug)]
pub struct OrderPage {
    shared: SharedWords,
    /// The question that this end has asked last, or has taken last.
    turn: u32,
}

impl OrderPage {
    /// Longest sleep before the socket is looked at, 20 ms: so long one end may outlive the other.
    const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

    /// A page, and the descriptor that is sent to the process that is to answer.
    ///
    /// # Errors
    /// [`SharedError::System`].
    pub fn create() -> Result<(Self, OwnedFd), SharedError> {
        let (shared, file) = SharedWords::create(WORDS)?;
        Ok((Self { shared, turn: 0 }, file))
    }

    /// The other end of the page, from the descriptor that was received.
    ///
    /// # Errors
    /// [`SharedError::Unsound`] when whoever sent it could take the page away.
    pub fn open(file: impl AsFd) -> Result<Self, SharedError> {
        Ok(Self { shared: SharedWords::open(file, WORDS)?, turn: 0 })
    }

    /// Asks. `spin`: whoever answers does not sleep.
    ///
    /// # Errors
    /// [`SocketError::TooLarge`].
    pub fn ask(&mut self, question: &[u8], spin: bool) -> Result<(), SocketError> {
        self.write(ASKED, QUESTION, question)?;
        self.turn = self.turn.wrapping_add(1);
        self.publish(ASKED, self.turn, spin);
        Ok(())
    }

    /// Waits for the answer and takes it away; `late` says when no longer.
    ///
    /// # Errors
    /// [`SocketError::Late`], [`SocketError::Gone`], [`SocketError::TooLarge`].
    pub fn answer(
        &mut self,
        into: &mut [u8],
        socket: &Packets,
        spin: bool,
        late: impl Fn() -> bool,
    ) -> Result<usize, SocketError> {
        let turn = self.turn;
        self.until(ANSWERED, socket, spin, |number| number == turn, late)?;
        let len = self.read(ANSWERED, ANSWER, into)?;
        for word in self.frame(ANSWER).iter().take(len.div_ceil(WORD)) {
            word.store(0, Ordering::Relaxed);
        }
        Ok(len)
    }

    /// Waits for the next question.
    ///
    /// # Errors
    /// [`SocketError::Gone`] when nobody will ask any more; [`SocketError::TooLarge`]: it is to be refused.
    pub fn question(&mut self, into: &mut [u8], socket: &Packets, spin: bool) -> Result<usize, SocketError> {
        let before = self.turn;
        self.turn = self.until(ASKED, socket, spin, |number| number != before, || false)?;
        self.read(ASKED, QUESTION, into)
    }

    /// Answers the question taken last. `spin`: whoever asked does not sleep.
    ///
    /// # Errors
    /// [`SocketError::TooLarge`].
    pub fn reply(&self, answer: &[u8], spin: bool) -> Result<(), SocketError> {
        self.write(ANSWERED, ANSWER, answer)?;
        self.publish(ANSWERED, self.turn, spin);
        Ok(())
    }

    /// Waits until the number at `place` is the one that is waited for.
    fn until(
        &self,
        place: usize,
        socket: &Packets,
        spin: bool,
        is_it: impl Fn(u32) -> bool,
        late: impl Fn() -> bool,
    ) -> Result<u32, SocketError> {
        let word = self.word(place)?;
        loop {
            let mut number = word.load(Ordering::Acquire);
            if spin {
                for _ in 0..LOOKS {
                    if is_it(number) {
                        return Ok(number);
                    }
                    std::hint::spin_loop();
                    number = word.load(Ordering::Acquire);
                }
            } else if !is_it(number) {
                match wait(word, Flags::empty(), number, Some(&Self::LOOK_EVERY)) {
                    // Somebody woke this thread, or there was something new before it slept.
                    Ok(()) | Err(Errno::AGAIN | Errno::INTR) => continue,
                    Err(Errno::TIMEDOUT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if is_it(word.load(Ordering::Acquire)) {
                return Ok(word.load(Ordering::Acquire));
            }
            if late() {
                return Err(SocketError::Late);
            }
            if socket.is_gone()? {
                return Err(SocketError::Gone);
            }
        }
    }

    fn publish(&self, place: usize, number: u32, spin: bool) {
        let Ok(word) = self.word(place) else { return };
        word.store(number, Ordering::Release);
        if !spin {
            // Nobody sleeping is no error, and there is no other one.
            let _ = wake(word, Flags::empty(), 1);
        }
    }

    fn write(&self, place: usize, frame: usize, bytes: &[u8]) -> Result<(), SocketError> {
        if bytes.len() > FRAME_MAX {
            return Err(SocketError::TooLarge);
        }
        let len = u32::try_from(bytes.len()).map_err(|_| SocketError::TooLarge)?;
        let (whole, rest) = bytes.as_chunks::<WORD>();
        let mut last = [0_u8; WORD];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let words = whole.iter().copied().chain((!rest.is_empty()).then_some(last));
        for (word, bytes) in self.frame(frame).iter().zip(words) {
            word.store(u32::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.word(place + 1)?.store(len, Ordering::Relaxed);
        Ok(())
    }

    /// Copies a frame. Its length is read once: what the other process writes meanwhile changes what was copied at
    /// most, never how much.
    fn read(&self, place: usize, frame: usize, into: &mut [u8]) -> Result<usize, SocketError> {
        let len = usize::try_from(self.word(place + 1)?.load(Ordering::Relaxed)).map_err(|_| SocketError::TooLarge)?;
        if len > FRAME_MAX {
            return Err(SocketError::TooLarge);
        }
        let into = into.get_mut(..len).ok_or(SocketError::TooLarge)?;
        for (to, word) in into.chunks_mut(WORD).zip(self.frame(frame)) {
            let bytes = word.load(Ordering::Relaxed).to_le_bytes();
            to.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        Ok(len)
    }

    fn word(&self, at: usize) -> Result<&AtomicU32, SocketError> {
        self.shared.words().get(at).ok_or(SocketError::TooLarge)
    }

    fn frame(&self, at: usize) -> &[AtomicU32] {
        self.shared.words().get(at..at + FRAME_WORDS).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::pair;
    use super::*;

    fn ends() -> (OrderPage, OrderPage, Packets, Packets) {
        let (near, file) = OrderPage::create().unwrap();
        let far = OrderPage::open(file).unwrap();
        let (ours, theirs) = pair().unwrap();
        (near, far, ours, theirs)
    }

    #[test]
    fn frames_of_every_length_come_whole_and_no_answer_is_left_behind() {
        for spin in [false, true] {
            let (mut near, mut far, ours, theirs) = ends();
            let (mut asked, mut answered) = ([0_u8; FRAME_MAX], [0_u8; FRAME_MAX]);
            for len in (0..70).chain([FRAME_MAX - 1, FRAME_MAX]) {
                let frame: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap() + 1).collect();
                near.ask(&frame, spin).unwrap();
                assert_eq!(far.question(&mut asked, &theirs, spin), Ok(len));
                assert_eq!(asked[..len], frame);
                far.reply(&asked[..len], spin).unwrap();
                assert_eq!(near.answer(&mut answered, &ours, spin, || false), Ok(len));
                assert_eq!(answered[..len], frame);
                assert!(far.frame(ANSWER).iter().all(|word| word.load(Ordering::Relaxed) == 0), "wiped: {len}");
            }
        }
    }

    #[test]
    fn a_length_beyond_the_room_is_refused_and_the_next_question_is_heard() {
        let (mut near, mut far, _ours, theirs) = ends();
        let mut asked = [0_u8; 8 * 1024];
        assert_eq!(near.ask(&[1; FRAME_MAX + 1], false), Err(SocketError::TooLarge));
        for len in [u32::try_from(FRAME_MAX).unwrap() + 1, u32::MAX] {
            near.ask(&[1; 8], false).unwrap();
            near.word(ASKED + 1).unwrap().store(len, Ordering::Relaxed);
            assert_eq!(far.question(&mut asked, &theirs, false), Err(SocketError::TooLarge), "{len}");
        }
        near.ask(&[2; 8], false).unwrap();
        assert_eq!(far.question(&mut asked, &theirs, false), Ok(8));
    }

    #[test]
    fn whoever_waits_learns_that_the_other_is_gone_or_late() {
        for spin in [false, true] {
            let (mut near, mut far, ours, theirs) = ends();
            let mut frame = [0_u8; FRAME_MAX];
            near.ask(&[1], spin).unwrap();
            assert_eq!(near.answer(&mut frame, &ours, spin, || true), Err(SocketError::Late));
            drop(theirs);
            assert_eq!(near.answer(&mut frame, &ours, spin, || false), Err(SocketError::Gone));
            let (end, other) = pair().unwrap();
            drop(other);
            assert_eq!(far.question(&mut frame, &end, spin), Ok(1), "what was asked is heard first");
            assert_eq!(far.question(&mut frame, &end, spin), Err(SocketError::Gone));
        }
    }

    #[test]
    fn a_sleeper_is_woken_by_the_question() {
        let (mut near, mut far, _ours, theirs) = ends();
        let sleeper = std::thread::spawn(move || {
            let mut frame = [0_u8; FRAME_MAX];
            (0..1_000).map(|_| far.question(&mut frame, &theirs, false).unwrap()).sum::<usize>()
        });
        // Some overtake the sleeper, which then hears the latest: what counts is that it never sleeps through one.
        while !sleeper.is_finished() {
            near.ask(&[1], false).unwrap();
            std::thread::yield_now();
        }
        assert_eq!(sleeper.join().unwrap(), 1_000);
    }
}
