//! A pre-allocated queue out of a hot thread, with at most one wake per drain.
//!
//! Waking a sleeping thread is a system call of tens of microseconds; the
//! producer pays it once, until the consumer has found the queue empty again.

use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// What wakes the consumer. Called on the producer's thread: it must not wait.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

struct Shared<T> {
    queue: ArrayQueue<T>,
    /// The consumer has been woken and has not yet seen the queue empty.
    woken: AtomicBool,
    refused: AtomicU64,
}

/// The producing end.
pub struct OutboxSender<T> {
    shared: Arc<Shared<T>>,
    wake: Wake,
}

/// The consuming end; one consumer drains with [`OutboxReceiver::pop`] until `None`.
pub struct OutboxReceiver<T> {
    shared: Arc<Shared<T>>,
}

/// An outbox with room for `capacity` items (at least 1), all allocated now.
#[must_use]
pub fn outbox<T>(capacity: usize, wake: Wake) -> (OutboxSender<T>, OutboxReceiver<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity.max(1)),
        woken: AtomicBool::new(false),
        refused: AtomicU64::new(0),
    });
    (OutboxSender { shared: Arc::clone(&shared), wake }, OutboxReceiver { shared })
}

/// Reads an outbox's fill level from elsewhere, without holding either end.
pub struct OutboxMeter<T> {
    shared: Arc<Shared<T>>,
}

impl<T> OutboxMeter<T> {
    /// Items waiting now, and items the queue can hold.
    #[must_use]
    pub fn reading(&self) -> (usize, usize) {
        (self.shared.queue.len(), self.shared.queue.capacity())
    }
}

impl<T> OutboxSender<T> {
    /// A meter of this outbox.
    #[must_use]
    pub fn meter(&self) -> OutboxMeter<T> {
        OutboxMeter { shared: Arc::clone(&self.shared) }
    }

    /// Puts `item` into the queue and wakes the consumer if it may be asleep. Never waits.
    ///
    /// # Errors
    /// The item itself when the queue is full; the refusal is counted.
    pub fn push_or_refuse(&self, item: T) -> Result<(), T> {
        if let Err(item) = self.shared.queue.push(item) {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(item);
        }
        // The item must be visible before the flag is looked at: see `pop`.
        fence(Ordering::SeqCst);
        if !self.shared.woken.swap(true, Ordering::SeqCst) {
            (self.wake)();
        }
        Ok(())
    }

    /// Items waiting now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.queue.len()
    }

    /// Items the queue can hold.
    #[must_use]
    pub fn room(&self) -> usize {
        self.shared.queue.capacity()
    }

    /// Pushes refused because the queue was full, since the start.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl<T> OutboxReceiver<T> {
    /// The oldest item. `None` means: empty, and the next push will wake again.
    #[must_use]
    pub fn pop(&self) -> Option<T> {
        self.pop_after(|| {})
    }

    /// `between` is the moment in which a push is neither seen nor wakes; tests use it.
    fn pop_after(&self, between: impl FnOnce()) -> Option<T> {
        if let Some(item) = self.shared.queue.pop() {
            return Some(item);
        }
        between();
        // Declare readiness to be woken first, then look once more: a push in
        // between either sees the cleared flag and wakes, or is found here.
        self.shared.woken.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let item = self.shared.queue.pop()?;
        self.shared.woken.store(true, Ordering::SeqCst);
        Some(item)
    }

    /// Items waiting now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn counted(capacity: usize) -> (OutboxSender<u64>, OutboxReceiver<u64>, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&wakes);
        let (sender, receiver) = outbox(
            capacity,
            Arc::new(move || {
                seen.fetch_add(1, Ordering::SeqCst);
            }),
        );
        (sender, receiver, wakes)
    }

    #[test]
    fn consumer_is_woken_once_until_it_found_the_queue_empty() {
        let (sender, receiver, wakes) = counted(8);
        for item in 0..5 {
            sender.push_or_refuse(item).unwrap();
        }
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(receiver.pop(), Some(0));
        sender.push_or_refuse(5).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 1, "the consumer is still draining");
        while receiver.pop().is_some() {}
        sender.push_or_refuse(6).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn item_pushed_while_the_consumer_falls_asleep_is_found() {
        let (sender, receiver, wakes) = counted(8);
        sender.push_or_refuse(1).unwrap();
        assert_eq!(receiver.pop(), Some(1));
        let found = receiver.pop_after(|| sender.push_or_refuse(2).unwrap());
        assert_eq!(wakes.load(Ordering::SeqCst), 1, "the push saw a consumer awake and did not wake it");
        assert_eq!(found, Some(2));
        sender.push_or_refuse(3).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 1, "the consumer is awake with an item in its hand");
        assert_eq!((receiver.pop(), receiver.pop()), (Some(3), None));
        sender.push_or_refuse(4).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn full_outbox_gives_the_item_back_and_counts_it() {
        let (sender, receiver, _) = counted(2);
        sender.push_or_refuse(1).unwrap();
        sender.push_or_refuse(2).unwrap();
        assert_eq!(sender.push_or_refuse(3), Err(3));
        assert_eq!(sender.refused_total(), 1);
        assert_eq!(receiver.pop(), Some(1));
        sender.push_or_refuse(4).unwrap();
        assert_eq!(receiver.depth(), 2);
    }

    #[test]
    fn no_item_is_left_behind_asleep_across_threads() {
        const ITEMS: u64 = 20_000;
        let (wake_sender, wake_receiver) = crossbeam_channel::bounded::<()>(1);
        let (sender, receiver) = outbox::<u64>(
            64,
            Arc::new(move || {
                let _ = wake_sender.try_send(());
            }),
        );
        let taken = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&taken);
        let producer = std::thread::spawn(move || {
            for item in 0..ITEMS {
                // Each item is the last one until it was taken, so a missed wake is for ever;
                // the short waits move the push over the moment of falling asleep.
                while seen.load(Ordering::Acquire) < item {
                    std::thread::yield_now();
                }
                (0..item % 64).for_each(|_| std::hint::spin_loop());
                sender.push_or_refuse(item).unwrap();
            }
        });
        let mut expected = 0;
        while expected < ITEMS {
            // Mostly awake, so that the test is quick; the long wait is for a wake that is missing.
            let mut woken = wake_receiver.try_recv().map_err(drop);
            for _ in 0..1_000 {
                if woken.is_ok() {
                    break;
                }
                std::thread::yield_now();
                woken = wake_receiver.try_recv().map_err(drop);
            }
            let woken = woken.or_else(|()| wake_receiver.recv_timeout(std::time::Duration::from_secs(20)));
            if woken.is_err() {
                taken.store(u64::MAX, Ordering::Release);
                panic!("a push into an outbox that was seen empty wakes the consumer; item {expected} did not");
            }
            while let Some(item) = receiver.pop() {
                assert_eq!(item, expected, "first in, first out");
                expected += 1;
                taken.store(expected, Ordering::Release);
            }
        }
        producer.join().unwrap();
    }
}
