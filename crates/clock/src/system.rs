//! The machine's clocks.

use domain::{Clock, MonoNanos, UnixNanos};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// The machine's wall and monotonic time. All values of this type share one zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static START: OnceLock<Instant> = OnceLock::new();

impl Clock for SystemClock {
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn unix(&self) -> UnixNanos {
        // A machine set to before 1970 reads as zero: every venue then refuses, and the offset check says why.
        UnixNanos(nanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)))
    }

    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    fn mono(&self) -> MonoNanos {
        let now = Instant::now();
        MonoNanos(nanos(now.saturating_duration_since(*START.get_or_init(|| now))))
    }
}

/// In 64 bits, which last for 584 years.
#[inline]
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
}
