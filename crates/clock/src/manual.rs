//! A clock that stands still until it is told to move.

use domain::{Clock, MonoNanos, UnixNanos};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock for tests, backtests and simulations. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct ManualClock {
    unix_ns: AtomicU64,
    mono_ns: AtomicU64,
}

impl ManualClock {
    /// A clock that shows these times.
    #[must_use]
    pub const fn new(unix: UnixNanos, mono: MonoNanos) -> Self {
        Self { unix_ns: AtomicU64::new(unix.0), mono_ns: AtomicU64::new(mono.0) }
    }

    /// Moves both times forward.
    pub fn advance(&self, duration: Duration) {
        let by = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.unix_ns.fetch_add(by, Ordering::SeqCst);
        self.mono_ns.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the wall time alone, as a jump of the machine's clock does.
    pub fn set_unix(&self, unix: UnixNanos) {
        self.unix_ns.store(unix.0, Ordering::SeqCst);
    }

    /// Moves both times to `mono`; the wall time moves by the same amount. Never back.
    pub fn advance_to(&self, mono: MonoNanos) {
        self.advance(mono.since(self.mono()));
    }
}

impl Clock for ManualClock {
    fn unix(&self) -> UnixNanos {
        UnixNanos(self.unix_ns.load(Ordering::SeqCst))
    }

    fn mono(&self) -> MonoNanos {
        MonoNanos(self.mono_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_only_when_told_and_the_wall_can_jump_alone() {
        let clock = ManualClock::new(UnixNanos(1_000), MonoNanos(5));
        assert_eq!((clock.unix(), clock.mono()), (UnixNanos(1_000), MonoNanos(5)));
        clock.advance(Duration::from_nanos(7));
        assert_eq!((clock.unix(), clock.mono()), (UnixNanos(1_007), MonoNanos(12)));
        clock.set_unix(UnixNanos(3));
        assert_eq!((clock.unix(), clock.mono()), (UnixNanos(3), MonoNanos(12)));
        clock.advance_to(MonoNanos(10));
        assert_eq!(clock.mono(), MonoNanos(12), "monotonic time never goes back");
    }
}
