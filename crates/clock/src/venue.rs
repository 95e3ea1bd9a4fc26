//! How far a venue's clock is from ours, and how sure that is.

use crate::wall::{WallJump, WallWatch};
use domain::{MonoNanos, UnixNanos};
use std::collections::VecDeque;
use std::time::Duration;

/// One question for the venue's time and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetSample {
    /// When the question left.
    pub sent_mono: MonoNanos,
    /// When the answer was here.
    pub received_mono: MonoNanos,
    /// Our wall clock at the same moment as `received_mono`.
    pub local_unix_at_receipt: UnixNanos,
    /// The time in the answer.
    pub venue_unix: UnixNanos,
}

impl OffsetSample {
    const fn round_trip(&self) -> Duration {
        self.received_mono.since(self.sent_mono)
    }

    /// Venue time minus our time in nanoseconds, the answer taken as made half-way.
    fn offset_ns(&self) -> i64 {
        let half = i64::try_from(self.round_trip().as_nanos() / 2).unwrap_or(i64::MAX);
        self.venue_unix.signed_since(self.local_unix_at_receipt).saturating_add(half)
    }
}

/// Venue time as known at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetEstimate {
    /// Nanoseconds to add to our wall clock to get the venue's; negative: ours is ahead.
    pub offset_ns: i64,
    /// The truth lies within this much of `offset_ns`.
    pub uncertainty: Duration,
}

impl OffsetEstimate {
    /// The venue's time when our wall clock shows `local`.
    #[must_use]
    pub const fn venue_time(&self, local: UnixNanos) -> UnixNanos {
        local.shifted(self.offset_ns)
    }
}

/// Why no new order may be signed on this venue's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    /// There is no sample yet, or none since the wall clock jumped.
    #[error("the venue's time has not been measured")]
    Unmeasured,
    /// Round trips are too slow or the last sample is too old.
    #[error("the venue's time is known only to within {} ms", .uncertainty.as_millis())]
    Uncertain {
        /// How far the truth may be away.
        uncertainty: Duration,
    },
}

/// Why a sample was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The answer is older than the question: the times were mixed up.
    #[error("the answer was received before the question was sent")]
    Backwards,
    /// Says nothing useful about the venue's time.
    #[error("the round trip took {} ms", .round_trip.as_millis())]
    TooSlow {
        /// Time between question and answer.
        round_trip: Duration,
    },
}

/// Estimates one venue's clock offset: the median over the samples with the
/// shortest round trips among the newest ones.
#[derive(Debug, Clone)]
pub struct VenueOffset {
    samples: VecDeque<OffsetSample>,
    /// The sample whose offset is the median; chosen when a sample arrives, so
    /// that asking for the estimate costs nothing.
    median: Option<OffsetSample>,
    wall: WallWatch,
}

impl Default for VenueOffset {
    fn default() -> Self {
        Self::new()
    }
}

impl VenueOffset {
    /// Samples remembered.
    pub const SAMPLES_MAX: usize = 16;
    /// Samples with the shortest round trips whose median counts.
    pub const BEST_MAX: usize = 5;
    /// Slower answers are not taken.
    pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);
    /// Samples older than this give way to any younger one.
    pub const AGE_MAX: Duration = Duration::from_secs(600);
    /// How fast two clocks may part, in parts per million: two poor crystals.
    pub const DRIFT_PPM: u32 = 100;
    /// Beyond this uncertainty no new order is signed.
    pub const UNCERTAINTY_MAX: Duration = Duration::from_millis(500);

    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self { samples: VecDeque::with_capacity(Self::SAMPLES_MAX), median: None, wall: WallWatch::default() }
    }

    /// Takes one answer of the venue.
    ///
    /// # Errors
    /// [`SampleError`]; the estimate stays as it was. Ask again.
    pub fn add(&mut self, sample: OffsetSample) -> Result<(), SampleError> {
        if sample.received_mono < sample.sent_mono {
            return Err(SampleError::Backwards);
        }
        let round_trip = sample.round_trip();
        if round_trip > Self::ROUND_TRIP_MAX {
            return Err(SampleError::TooSlow { round_trip });
        }
        if self.samples.len() >= Self::SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.median = self.choose(sample.received_mono);
        Ok(())
    }

    /// Compares our wall clock with the monotonic one; call about once a second.
    /// After a jump every sample is forgotten, since all were against the old wall clock.
    pub fn look_at_wall(&mut self, unix: UnixNanos, mono: MonoNanos) -> Option<WallJump> {
        let jump = self.wall.look(unix, mono);
        if jump.is_some() {
            self.samples.clear();
            self.median = None;
        }
        jump
    }

    /// The median among the best samples that are not too old at `newest`.
    fn choose(&self, newest: MonoNanos) -> Option<OffsetSample> {
        let young = |sample: &&OffsetSample| newest.since(sample.received_mono) <= Self::AGE_MAX;
        let mut best: Vec<&OffsetSample> = self.samples.iter().filter(young).collect();
        best.sort_by_key(|sample| sample.round_trip());
        best.truncate(Self::BEST_MAX);
        best.sort_by_key(|sample| sample.offset_ns());
        best.get(best.len() / 2).copied().copied()
    }

    /// What is known at `now`; `None` before the first sample.
    #[must_use]
    pub fn estimate(&self, now: MonoNanos) -> Option<OffsetEstimate> {
        let median = self.median?;
        let age = now.since(median.received_mono);
        let drift = age.saturating_mul(Self::DRIFT_PPM) / 1_000_000;
        let uncertainty = (median.round_trip() / 2).saturating_add(drift);
        Some(OffsetEstimate { offset_ns: median.offset_ns(), uncertainty })
    }

    /// The estimate if it is good enough to sign new orders with.
    ///
    /// # Errors
    /// [`ClockDoubt`]: pause new orders until measured again.
    pub fn usable(&self, now: MonoNanos) -> Result<OffsetEstimate, ClockDoubt> {
        let estimate = self.estimate(now).ok_or(ClockDoubt::Unmeasured)?;
        if estimate.uncertainty > Self::UNCERTAINTY_MAX {
            return Err(ClockDoubt::Uncertain { uncertainty: estimate.uncertainty });
        }
        Ok(estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;
    const WALL: u64 = 1_800_000_000 * SECOND;

    /// A sample at `at_ms` whose two ways took `out_ms` and `back_ms`, for a venue ahead by `ahead_ms`.
    fn sample(at_ms: u64, out_ms: u64, back_ms: u64, ahead_ms: i64) -> OffsetSample {
        let local = UnixNanos(WALL + (at_ms + out_ms + back_ms) * MS);
        OffsetSample {
            sent_mono: MonoNanos(at_ms * MS),
            received_mono: MonoNanos((at_ms + out_ms + back_ms) * MS),
            local_unix_at_receipt: local,
            venue_unix: local.shifted(ahead_ms * MS as i64 - (back_ms * MS) as i64),
        }
    }

    #[test]
    fn nothing_is_known_before_the_first_sample() {
        let offset = VenueOffset::new();
        assert_eq!(offset.estimate(MonoNanos(0)), None);
        assert_eq!(offset.usable(MonoNanos(0)), Err(ClockDoubt::Unmeasured));
    }

    #[test]
    fn symmetric_answer_gives_the_offset_and_half_the_round_trip() {
        let mut offset = VenueOffset::new();
        offset.add(sample(0, 20, 20, -1_250)).unwrap();
        let known = offset.usable(MonoNanos(40 * MS)).unwrap();
        assert_eq!(known.offset_ns, -1_250 * MS as i64);
        assert_eq!(known.uncertainty, Duration::from_millis(20));
        assert_eq!(known.venue_time(UnixNanos(2_000 * MS)), UnixNanos(750 * MS));
    }

    #[test]
    fn truth_stays_within_the_uncertainty_however_lopsided_the_ways_are() {
        for (out, back) in [(0, 80), (80, 0), (10, 70), (33, 34)] {
            let mut offset = VenueOffset::new();
            offset.add(sample(0, out, back, 300)).unwrap();
            let known = offset.estimate(MonoNanos((out + back) * MS)).unwrap();
            let error = (known.offset_ns - 300 * MS as i64).unsigned_abs();
            assert!(Duration::from_nanos(error) <= known.uncertainty, "{out} {back}");
        }
    }

    #[test]
    fn slow_answers_do_not_move_the_estimate() {
        let mut offset = VenueOffset::new();
        for index in 0..5 {
            offset.add(sample(index * 1_000, 5, 5, 100)).unwrap();
        }
        let before = offset.estimate(MonoNanos(10 * SECOND)).unwrap().offset_ns;
        for index in 5..14 {
            offset.add(sample(index * 1_000, 2, 900, 100)).unwrap();
        }
        assert_eq!(offset.estimate(MonoNanos(15 * SECOND)).unwrap().offset_ns, before);
    }

    #[test]
    fn fast_answers_count_even_after_many_slow_ones() {
        let mut offset = VenueOffset::new();
        for index in 0..10 {
            offset.add(sample(index * 1_000, 2, 900, 100)).unwrap();
        }
        for index in 10..15 {
            offset.add(sample(index * 1_000, 5, 5, 100)).unwrap();
        }
        let known = offset.estimate(MonoNanos(15 * SECOND)).unwrap();
        assert_eq!(known.offset_ns, 100 * MS as i64);
        assert!(known.uncertainty < Duration::from_millis(6));
    }

    #[test]
    fn one_lying_answer_among_the_fast_ones_is_outvoted() {
        let mut offset = VenueOffset::new();
        for index in 0..4 {
            offset.add(sample(index * 1_000, 5, 5, 100)).unwrap();
        }
        offset.add(sample(4_000, 1, 1, 90_000)).unwrap();
        assert_eq!(offset.estimate(MonoNanos(5 * SECOND)).unwrap().offset_ns, 100 * MS as i64);
    }

    #[test]
    fn uncertainty_grows_with_age_until_orders_pause() {
        let mut offset = VenueOffset::new();
        offset.add(sample(0, 50, 50, 0)).unwrap();
        let fresh = offset.usable(MonoNanos(SECOND)).unwrap().uncertainty;
        let later = offset.usable(MonoNanos(1_000 * SECOND)).unwrap().uncertainty;
        assert!(later > fresh);
        let doubt = offset.usable(MonoNanos(10_000 * SECOND)).unwrap_err();
        assert!(matches!(doubt, ClockDoubt::Uncertain { uncertainty } if uncertainty > Duration::from_secs(1)));
    }

    #[test]
    fn slow_round_trip_alone_pauses_orders() {
        let mut offset = VenueOffset::new();
        offset.add(sample(0, 600, 600, 0)).unwrap();
        assert!(matches!(offset.usable(MonoNanos(1_200 * MS)), Err(ClockDoubt::Uncertain { .. })));
        offset.add(sample(2_000, 10, 10, 0)).unwrap();
        offset.add(sample(3_000, 10, 10, 0)).unwrap();
        assert!(offset.usable(MonoNanos(4 * SECOND)).is_ok());
    }

    #[test]
    fn wall_jump_forgets_every_sample_until_measured_again() {
        let mut offset = VenueOffset::new();
        offset.look_at_wall(UnixNanos(WALL), MonoNanos(0));
        offset.add(sample(0, 5, 5, 0)).unwrap();
        assert!(offset.usable(MonoNanos(SECOND)).is_ok());
        let jump = offset.look_at_wall(UnixNanos(WALL + 4 * SECOND), MonoNanos(SECOND));
        assert_eq!(jump, Some(WallJump { by_ns: 3 * SECOND as i64 }));
        assert_eq!(offset.usable(MonoNanos(SECOND)), Err(ClockDoubt::Unmeasured));
        offset.add(sample(1_500, 5, 5, 0)).unwrap();
        assert!(offset.usable(MonoNanos(2 * SECOND)).is_ok());
    }

    #[test]
    fn impossible_and_useless_samples_are_refused() {
        let mut offset = VenueOffset::new();
        let mut backwards = sample(1_000, 5, 5, 0);
        backwards.received_mono = MonoNanos(0);
        assert_eq!(offset.add(backwards), Err(SampleError::Backwards));
        let slow = offset.add(sample(0, 3_000, 3_000, 0));
        assert_eq!(slow, Err(SampleError::TooSlow { round_trip: Duration::from_secs(6) }));
        assert_eq!(offset.estimate(MonoNanos(0)), None);
    }

    #[test]
    fn memory_is_bounded_and_old_samples_give_way() {
        let mut offset = VenueOffset::new();
        offset.add(sample(0, 1, 1, 5_000)).unwrap();
        offset.add(sample(700_000, 40, 40, 0)).unwrap();
        assert_eq!(offset.estimate(MonoNanos(701 * SECOND)).unwrap().offset_ns, 0, "the fast sample is too old");
        for index in 0..100 {
            offset.add(sample(800_000 + index * 1_000, 5, 5, 0)).unwrap();
        }
        assert_eq!(offset.samples.len(), VenueOffset::SAMPLES_MAX);
    }
}
