//! How much was signed lately: sums over the last minute, hour and day, and token buckets.
//!
//! Invariant: a sum covers at least its whole window, and up to one bucket more; it is never too small.

use crate::amount::Atto;
use domain::MonoNanos;

const SECOND: u64 = 1_000_000_000;

/// The windows over which a policy sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 3600 seconds.
    Hour,
    /// 86 400 seconds.
    Day,
}

impl Window {
    /// Every window, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The name used in texts and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Length in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        match self {
            Self::Minute => 60 * SECOND,
            Self::Hour => 3_600 * SECOND,
            Self::Day => 86_400 * SECOND,
        }
    }

    /// Buckets of its ring that make up one window.
    const fn buckets(self) -> u64 {
        match self {
            Self::Minute | Self::Hour => 60,
            Self::Day => 96,
        }
    }
}

/// A notional (in quote) and a quantity (in base) that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    pub(crate) notional: Atto,
    pub(crate) base: Atto,
}

impl Spent {
    /// Both sums; `None` when one does not fit.
    pub(crate) fn plus(self, more: Self) -> Option<Self> {
        Some(Self { notional: self.notional.checked_add(more.notional)?, base: self.base.checked_add(more.base)? })
    }

    /// Both differences, nothing below zero.
    pub(crate) fn minus(self, less: Self) -> Self {
        Self {
            notional: self.notional.saturating_sub(less.notional).max(0),
            base: self.base.saturating_sub(less.base).max(0),
        }
    }

    /// The larger of each.
    pub(crate) fn larger(self, other: Self) -> Self {
        Self { notional: self.notional.max(other.notional), base: self.base.max(other.base) }
    }

    /// Whether neither is above its limit.
    pub(crate) fn within(self, limit: Self) -> bool {
        self.notional <= limit.notional && self.base <= limit.base
    }
}

/// The sum of what was signed within one window, in a ring of buckets: a window's worth and the one being filled.
#[derive(Debug, Clone)]
pub(crate) struct Rolling {
    width: u64,
    ring: Box<[Spent]>,
    newest: u64,
    sum: Spent,
}

impl Rolling {
    pub(crate) fn new(window: Window) -> Self {
        let buckets = window.buckets();
        let ring = (0..=buckets).map(|_| Spent::default()).collect();
        Self { width: window.nanos() / buckets, ring, newest: 0, sum: Spent::default() }
    }

    fn place(&mut self, bucket: u64) -> Option<&mut Spent> {
        let len = u64::try_from(self.ring.len()).ok()?;
        self.ring.get_mut(usize::try_from(bucket % len).ok()?)
    }

    /// Forgets what is older than the window at `now` (nanoseconds, never running backwards).
    pub(crate) fn advance(&mut self, now: u64) {
        let bucket = now / self.width;
        if bucket <= self.newest {
            return;
        }
        let len = u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        let passed = (bucket - self.newest).min(len);
        for back in 0..passed {
            let old = self.place(bucket - back).map(std::mem::take).unwrap_or_default();
            self.sum = self.sum.minus(old);
        }
        self.newest = bucket;
    }

    /// The sum as of the last [`Self::advance`].
    pub(crate) const fn sum(&self) -> Spent {
        self.sum
    }

    /// Adds to the newest bucket; sums that would not fit stay at the end of the range, which refuses everything.
    pub(crate) fn add(&mut self, more: Spent) {
        const FULL: Spent = Spent { notional: Atto::MAX, base: Atto::MAX };
        self.sum = self.sum.plus(more).unwrap_or(FULL);
        if let Some(bucket) = self.place(self.newest) {
            *bucket = bucket.plus(more).unwrap_or(FULL);
        }
    }
}

/// Lets `burst` through at once and `per_second` in the long run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    interval: u64,
    tolerance: u64,
    /// When the bucket will be full again.
    full_at: u64,
}

impl TokenBucket {
    /// A full bucket; `per_second` and `burst` are at least 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = SECOND.div_ceil(u64::from(per_second.max(1)));
        Self { interval, tolerance: interval.saturating_mul(u64::from(burst.max(1)) - 1), full_at: 0 }
    }

    /// The same level under another rate.
    pub(crate) fn retuned(self, per_second: u32, burst: u32) -> Self {
        Self { full_at: self.full_at, ..Self::new(per_second, burst) }
    }

    /// Whether a token is there.
    pub(crate) const fn has(&self, now: MonoNanos) -> bool {
        self.full_at.saturating_sub(now.0) <= self.tolerance
    }

    /// Takes one token, which must be there.
    pub(crate) fn take(&mut self, now: MonoNanos) {
        self.full_at = self.full_at.max(now.0).saturating_add(self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ring_never_counts_less_than_the_real_window_nor_more_than_one_bucket_beyond(
            steps in proptest::collection::vec((0_u64..40_000_000_000, 1_i128..100), 1..200),
        ) {
            for window in Window::ALL {
                let mut rolling = Rolling::new(window);
                let mut all: Vec<(u64, i128)> = Vec::new();
                let mut now = 0_u64;
                for (step, amount) in &steps {
                    now += step * (window.nanos() / Window::Minute.nanos());
                    rolling.advance(now);
                    rolling.add(Spent { notional: *amount, base: 2 * *amount });
                    all.push((now, *amount));
                    let since = |span: u64| -> i128 {
                        all.iter().filter(|(at, _)| at + span >= now).map(|(_, amount)| amount).sum()
                    };
                    let sum = rolling.sum();
                    prop_assert!(sum.notional >= since(window.nanos()));
                    prop_assert!(sum.notional <= since(window.nanos() + rolling.width));
                    prop_assert_eq!(sum.base, 2 * sum.notional);
                }
            }
        }

        #[test]
        fn bucket_never_gives_more_than_burst_and_rate(
            per_second in 1_u32..50, burst in 1_u32..20, gaps in proptest::collection::vec(0_u64..200_000_000, 1..200),
        ) {
            let mut bucket = TokenBucket::new(per_second, burst);
            let mut now = 5_000_000_000_u64;
            let mut taken: Vec<u64> = Vec::new();
            for gap in gaps {
                now += gap;
                if bucket.has(MonoNanos(now)) {
                    bucket.take(MonoNanos(now));
                    taken.push(now);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let count = u64::try_from(last - first + 1).unwrap();
                    let allowed = u64::from(burst) + (to - from) * u64::from(per_second) / SECOND;
                    prop_assert!(count <= allowed, "{count} within {} ns", to - from);
                }
            }
            prop_assert!(!taken.is_empty());
        }
    }

    #[test]
    fn full_bucket_gives_its_burst_at_once_and_then_one_each_interval() {
        let mut bucket = TokenBucket::new(10, 3);
        let at = MonoNanos(SECOND);
        for _ in 0..3 {
            assert!(bucket.has(at));
            bucket.take(at);
        }
        assert!(!bucket.has(at));
        assert!(!bucket.has(MonoNanos(SECOND + 99_999_999)));
        assert!(bucket.has(MonoNanos(SECOND + 100_000_000)));
    }
}
