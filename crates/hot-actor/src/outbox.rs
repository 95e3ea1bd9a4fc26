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

impl<T> OutboxSender<T> {
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
        if let Some(item) = self.shared.queue.pop() {
            return Some(item);
        }
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
        const ITEMS: u64 = 100_000;
        let (wake_sender, wake_receiver) = crossbeam_channel::bounded::<()>(1);
        let (sender, receiver) = outbox::<u64>(
            64,
            Arc::new(move || {
                let _ = wake_sender.try_send(());
            }),
        );
        let producer = std::thread::spawn(move || {
            for item in 0..ITEMS {
                let mut item = item;
                while let Err(back) = sender.push_or_refuse(item) {
                    item = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while expected < ITEMS {
            wake_receiver
                .recv_timeout(std::time::Duration::from_secs(20))
                .expect("a push into an outbox that was seen empty wakes the consumer");
            while let Some(item) = receiver.pop() {
                assert_eq!(item, expected, "first in, first out");
                expected += 1;
            }
        }
        producer.join().unwrap();
    }
}
