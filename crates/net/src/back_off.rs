//! How long to wait before the next try; pure.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// Bounds of the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOffSettings {
    /// The first wait, before jitter.
    pub wait_min: Duration,
    /// No wait is longer.
    pub wait_max: Duration,
    /// Seed of the jitter, so that a run can be repeated.
    pub seed: u64,
}

impl Default for BackOffSettings {
    fn default() -> Self {
        Self { wait_min: Duration::from_millis(250), wait_max: Duration::from_secs(30), seed: 0 }
    }
}

/// Exponential waits with jitter: each between half and the whole of its
/// doubled step, so that many bots do not come back to a venue in one instant.
#[derive(Debug, Clone)]
pub struct BackOff {
    settings: BackOffSettings,
    tries: u32,
    random: SmallRng,
}

impl BackOff {
    /// No try has failed yet.
    #[must_use]
    pub fn new(settings: BackOffSettings) -> Self {
        Self { settings, tries: 0, random: SmallRng::seed_from_u64(settings.seed) }
    }

    /// The wait after one more failure.
    pub fn failed(&mut self) -> Duration {
        let step = self.settings.wait_min.saturating_mul(1_u32 << self.tries.min(20)).min(self.settings.wait_max);
        self.tries = self.tries.saturating_add(1);
        let whole = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.random_range(whole / 2..=whole))
    }

    /// A try succeeded for long enough: the next wait is the shortest again.
    pub const fn succeeded(&mut self) {
        self.tries = 0;
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_jitter_and_stop_at_the_maximum() {
        let settings = BackOffSettings::default();
        let mut back_off = BackOff::new(settings);
        for step in 0..40 {
            let whole = settings.wait_min.saturating_mul(1 << step.min(20)).min(settings.wait_max);
            let wait = back_off.failed();
            assert!(wait >= whole / 2 && wait <= whole, "step {step}: {wait:?}");
        }
        back_off.succeeded();
        assert!(back_off.failed() <= settings.wait_min);
    }

    #[test]
    fn same_seed_gives_the_same_waits_and_another_seed_does_not() {
        let waits = |seed| -> Vec<_> {
            let mut back_off = BackOff::new(BackOffSettings { seed, ..BackOffSettings::default() });
            (0..10).map(|_| back_off.failed()).collect()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
