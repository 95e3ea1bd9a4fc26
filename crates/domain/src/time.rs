//! Time as the program measures it: wall time for venues, journal and people,
//! monotonic time for durations.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z on some wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

/// Nanoseconds on this process's monotonic clock; zero is an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MonoNanos(pub u64);

impl UnixNanos {
    /// A time from whole milliseconds since the epoch; saturates at the end of the range.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Whole milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This time moved by `offset_ns` nanoseconds (negative: earlier); saturates.
    #[must_use]
    pub const fn shifted(self, offset_ns: i64) -> Self {
        Self(self.0.saturating_add_signed(offset_ns))
    }

    /// Signed nanoseconds from `earlier` to this time; saturates at the range of `i64`.
    #[must_use]
    pub fn signed_since(self, earlier: Self) -> i64 {
        let difference = i128::from(self.0) - i128::from(earlier.0);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }
}

impl MonoNanos {
    /// The time that has passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Where every crate gets its time from; only the `clock` crate reads the machine's.
pub trait Clock: Send + Sync + 'static {
    /// The machine's wall time.
    fn unix(&self) -> UnixNanos;
    /// The machine's monotonic time.
    fn mono(&self) -> MonoNanos;
    /// The wall time at a monotonic time that was read a moment ago; saves a reading where a clock can derive it.
    fn unix_at(&self, _mono: MonoNanos) -> UnixNanos {
        self.unix()
    }
}
