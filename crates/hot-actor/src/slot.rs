//! One overwritten value, written by one thread and read by any number.
//!
//! A sequence lock over atomic words: the writer makes the sequence odd, writes
//! the words, makes it even. A reader takes the words between two equal, even
//! sequences or tries again, a bounded number of times. The writer never waits
//! for a reader; only the last value is ever there, so a flood cannot queue.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A plain value that can be laid out as `N` words.
pub trait SlotWords<const N: usize>: Copy + Send + 'static {
    /// The value as words.
    fn to_words(&self) -> [u64; N];
    /// The value from words that [`Self::to_words`] made.
    fn from_words(words: [u64; N]) -> Self;
}

/// The value was being overwritten at each of the allowed read attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the slot was being written at every read attempt")]
pub struct BookBusy;

#[derive(Debug)]
struct Shared<const N: usize> {
    /// Even: the words are whole. Odd: they are being written. Grows by 2 per value.
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

/// The only writer of a slot.
#[derive(Debug)]
pub struct SlotWriter<T, const N: usize> {
    shared: Arc<Shared<N>>,
    value: PhantomData<fn(T)>,
}

/// A reader of a slot; cloneable.
#[derive(Debug)]
pub struct SlotReader<T, const N: usize> {
    shared: Arc<Shared<N>>,
    value: PhantomData<fn() -> T>,
}

impl<T, const N: usize> Clone for SlotReader<T, N> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), value: PhantomData }
    }
}

/// A slot that holds `initial` until the first value is published.
#[must_use]
pub fn slot<T: SlotWords<N>, const N: usize>(initial: T) -> (SlotWriter<T, N>, SlotReader<T, N>) {
    let shared = Arc::new(Shared { sequence: AtomicU64::new(0), words: initial.to_words().map(AtomicU64::new) });
    (SlotWriter { shared: Arc::clone(&shared), value: PhantomData }, SlotReader { shared, value: PhantomData })
}

impl<T: SlotWords<N>, const N: usize> SlotWriter<T, N> {
    /// Overwrites the value. Never waits, never allocates.
    pub fn publish(&mut self, value: T) {
        let sequence = self.shared.sequence.load(Ordering::Relaxed);
        self.shared.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // No word may become visible before the odd sequence.
        fence(Ordering::Release);
        for (cell, word) in self.shared.words.iter().zip(value.to_words()) {
            cell.store(word, Ordering::Relaxed);
        }
        self.shared.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Another reader of this slot.
    #[must_use]
    pub fn reader(&self) -> SlotReader<T, N> {
        SlotReader { shared: Arc::clone(&self.shared), value: PhantomData }
    }
}

impl<T: SlotWords<N>, const N: usize> SlotReader<T, N> {
    /// Tries before giving up: a whole write takes a few nanoseconds, so more
    /// failures mean that the writer lost its core in the middle.
    pub const ATTEMPTS_MAX: u32 = 64;

    /// The newest whole value.
    ///
    /// # Errors
    /// [`BookBusy`] when every attempt met a write; treat the value as unknown.
    pub fn read(&self) -> Result<T, BookBusy> {
        self.read_counted().map(|(value, _)| value)
    }

    /// The newest whole value and how many values were published up to it (the initial one not counted).
    ///
    /// # Errors
    /// [`BookBusy`] when every attempt met a write.
    pub fn read_counted(&self) -> Result<(T, u64), BookBusy> {
        for _ in 0..Self::ATTEMPTS_MAX {
            let before = self.shared.sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let words = self.shared.words.each_ref().map(|cell| cell.load(Ordering::Relaxed));
                // No word may be read after the second look at the sequence.
                fence(Ordering::Acquire);
                if self.shared.sequence.load(Ordering::Relaxed) == before {
                    return Ok((T::from_words(words), before / 2));
                }
            }
            std::hint::spin_loop();
        }
        Err(BookBusy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// A value whose words all depend on one number, so that a mixture shows.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Woven {
        seed: u64,
        words: [u64; 7],
    }

    impl Woven {
        fn new(seed: u64) -> Self {
            Self { seed, words: std::array::from_fn(|index| seed.wrapping_mul(2 * index as u64 + 3)) }
        }
    }

    impl SlotWords<8> for Woven {
        fn to_words(&self) -> [u64; 8] {
            std::array::from_fn(|index| if index == 0 { self.seed } else { self.words[index - 1] })
        }
        fn from_words(words: [u64; 8]) -> Self {
            Self { seed: words[0], words: std::array::from_fn(|index| words[index + 1]) }
        }
    }

    #[test]
    fn reader_sees_the_last_value_only() {
        let (mut writer, reader) = slot(Woven::new(1));
        assert_eq!(reader.read_counted(), Ok((Woven::new(1), 0)));
        writer.publish(Woven::new(2));
        writer.publish(Woven::new(3));
        assert_eq!(reader.read_counted(), Ok((Woven::new(3), 2)));
    }

    #[test]
    fn value_under_write_is_busy_after_a_bounded_number_of_attempts() {
        let (mut writer, reader) = slot(Woven::new(1));
        // As a writer that lost its core in the middle of `publish`.
        writer.shared.sequence.store(1, Ordering::SeqCst);
        assert_eq!(reader.read(), Err(BookBusy));
        writer.shared.sequence.store(2, Ordering::SeqCst);
        writer.publish(Woven::new(9));
        assert_eq!(reader.read(), Ok(Woven::new(9)));
    }

    #[test]
    fn no_reader_ever_sees_a_mixture_of_two_values() {
        const VALUES: u64 = 400_000;
        let (mut writer, reader) = slot(Woven::new(0));
        let done = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&done);
        let watcher = std::thread::spawn(move || {
            let (mut whole, mut last_count) = (0_u64, 0_u64);
            loop {
                let ended = finished.load(Ordering::Acquire);
                if let Ok((value, count)) = reader.read_counted() {
                    assert_eq!(value, Woven::new(value.seed), "all words are of one value");
                    assert_eq!(value.seed, count, "the count belongs to the value");
                    assert!(count >= last_count, "values never go back");
                    last_count = count;
                    whole += 1;
                }
                if ended {
                    return (whole, last_count);
                }
            }
        });
        for seed in 1..=VALUES {
            writer.publish(Woven::new(seed));
        }
        done.store(true, Ordering::Release);
        let (whole, last) = watcher.join().unwrap();
        assert!(whole > 0);
        assert_eq!(last, VALUES);
    }
}
