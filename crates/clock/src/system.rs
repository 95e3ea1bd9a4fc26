//! The machine's clocks, read without a call into the kernel.
//!
//! An order takes some nine readings on its way, and each costs the kernel's clock up to 50 ns. So monotonic time comes
//! from the processor's time stamp counter where the kernel itself goes by it, and wall time is carried on by
//! monotonic time for [`SystemClock::WALL_CARRIED`]. Invariants: all readings of one process share one zero and one
//! source; where the kernel does not go by the counter, its own clock is read every time.

use domain::{Clock, MonoNanos, UnixNanos};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The machine's wall and monotonic time. All values of this type share one zero.
///
/// The first reading in a process measures the counter's rate, for about a millisecond, and opens a file: a process
/// that locks itself in takes it before.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static SOURCE: OnceLock<Source> = OnceLock::new();
static WALL: Wall = Wall { ahead: AtomicU64::new(0), good_until: AtomicU64::new(0) };

impl SystemClock {
    /// A step of the wall clock shows after so long at the latest.
    pub const WALL_CARRIED: Duration = Duration::from_millis(10);
}

impl Clock for SystemClock {
    #[inline]
    fn unix(&self) -> UnixNanos {
        WALL.at(self.mono().0)
    }

    #[inline]
    fn unix_at(&self, mono: MonoNanos) -> UnixNanos {
        WALL.at(mono.0)
    }

    #[inline]
    fn mono(&self) -> MonoNanos {
        MonoNanos(SOURCE.get_or_init(Source::choose).nanos())
    }
}

/// Where monotonic time comes from, with its reading at zero.
enum Source {
    Counter(quanta::Clock, u64),
    Kernel(Instant),
}

impl Source {
    fn choose() -> Self {
        if kernel_goes_by_the_counter() {
            let clock = quanta::Clock::new();
            let start = clock.raw();
            return Self::Counter(clock, start);
        }
        Self::Kernel(kernel_mono())
    }

    #[inline]
    fn nanos(&self) -> u64 {
        match self {
            Self::Counter(clock, start) => clock.delta_as_nanos(*start, clock.raw()),
            Self::Kernel(start) => nanos(kernel_mono().saturating_duration_since(*start)),
        }
    }
}

/// The kernel leaves a counter that is not steady, or not the same on all cores.
fn kernel_goes_by_the_counter() -> bool {
    let counter = if cfg!(target_arch = "x86_64") { "tsc" } else { "arch_sys_counter" };
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|current| current.trim_end() == counter)
}

/// Wall time as an addition to monotonic time, compared with the kernel's now and then.
struct Wall {
    /// Nanoseconds that wall time is ahead of monotonic time.
    ahead: AtomicU64,
    /// The monotonic time until which that holds.
    good_until: AtomicU64,
}

impl Wall {
    /// A comparison that took longer was interrupted, and is not kept.
    const COMPARED_WITHIN_NS: u64 = 10_000;

    #[inline]
    fn at(&self, mono: u64) -> UnixNanos {
        // Whoever sees the new limit sees what it belongs to; what is newer does no harm.
        if mono < self.good_until.load(Ordering::Acquire) {
            return UnixNanos(mono.saturating_add(self.ahead.load(Ordering::Relaxed)));
        }
        self.compare(mono)
    }

    /// Asks the kernel. `mono` may have been read some time ago, so it is not what is compared.
    #[cold]
    fn compare(&self, mono: u64) -> UnixNanos {
        let before = SystemClock.mono().0;
        let unix = kernel_unix();
        self.keep(before, unix, SystemClock.mono().0);
        UnixNanos(unix.saturating_sub(before.saturating_sub(mono)))
    }

    /// Keeps what the kernel said between two readings of monotonic time.
    fn keep(&self, before: u64, unix: u64, after: u64) {
        if after.saturating_sub(before) <= Self::COMPARED_WITHIN_NS {
            self.ahead.store(unix.saturating_sub(before), Ordering::Relaxed);
            self.good_until.store(before.saturating_add(nanos(SystemClock::WALL_CARRIED)), Ordering::Release);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn kernel_unix() -> u64 {
    // A machine set to before 1970 reads as zero: every venue then refuses, and the offset check says why.
    nanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
fn kernel_mono() -> Instant {
    Instant::now()
}

/// In 64 bits, which last for 584 years.
fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_never_goes_back_and_is_shared_by_all_clocks() {
        let mut last = SystemClock.mono();
        for _ in 0..10_000 {
            let now = SystemClock.mono();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn wall_time_is_after_this_code_was_written() {
        assert!(SystemClock.unix() > UnixNanos::from_millis(1_767_225_600_000), "2026-01-01");
    }

    #[test]
    fn wall_time_at_a_reading_lies_between_those_around_it() {
        for _ in 0..1_000 {
            let (before, mono) = (kernel_unix(), SystemClock.mono());
            let at = SystemClock.unix_at(mono).0;
            // The counter's pace may differ a little from the kernel's since both were last compared.
            let slack = nanos(SystemClock::WALL_CARRIED) / 100;
            assert!((before.saturating_sub(slack)..=kernel_unix() + slack).contains(&at), "{before} {at}");
        }
    }

    #[test]
    fn both_sources_run_at_the_kernels_pace() {
        for source in [Source::choose(), Source::Kernel(kernel_mono())] {
            let (from, kernel_from) = (source.nanos(), kernel_mono());
            while kernel_mono().duration_since(kernel_from) < Duration::from_millis(30) {}
            let (passed, kernel_passed) = (source.nanos() - from, nanos(kernel_mono().duration_since(kernel_from)));
            // Bounds beyond any interruption between two readings, and far below a wrong rate.
            assert!((kernel_passed / 2..kernel_passed * 2).contains(&passed), "{passed} {kernel_passed}");
        }
    }

    #[test]
    fn wall_time_follows_a_step_of_the_kernels_once_it_is_asked_again() {
        let wall = Wall { ahead: AtomicU64::new(7), good_until: AtomicU64::new(u64::MAX) };
        let mono = SystemClock.mono().0;
        assert_eq!(wall.at(mono), UnixNanos(mono + 7), "carried on from what was known");
        wall.good_until.store(0, Ordering::Relaxed);
        let (before, mono) = (kernel_unix(), SystemClock.mono().0);
        let told = wall.at(mono).0;
        let slack = 1_000_000;
        assert!((before - slack..=kernel_unix() + slack).contains(&told), "asked again");
    }

    #[test]
    fn only_a_comparison_that_was_not_interrupted_is_kept() {
        let wall = Wall { ahead: AtomicU64::new(7), good_until: AtomicU64::new(0) };
        let kept = || (wall.ahead.load(Ordering::Relaxed), wall.good_until.load(Ordering::Relaxed));
        wall.keep(1_000, 500_000, 1_001 + Wall::COMPARED_WITHIN_NS);
        assert_eq!(kept(), (7, 0));
        wall.keep(1_000, 500_000, 1_000 + Wall::COMPARED_WITHIN_NS);
        assert_eq!(kept(), (499_000, 1_000 + nanos(SystemClock::WALL_CARRIED)));
    }
}
