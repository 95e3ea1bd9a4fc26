//! How often a dead actor is made anew, and how long to wait before; pure.

use domain::MonoNanos;
use std::collections::VecDeque;
use std::time::Duration;

/// Whether an actor may be made anew after its death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// Never: for actors in the path of money. The first death escalates.
    Never,
    /// From its factory, with back-off, up to a limit; then it escalates.
    Limited(RestartLimit),
}

/// At most `restarts` new lives within `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartLimit {
    /// New lives allowed within the window.
    pub restarts: u32,
    /// Length of the sliding window.
    pub window: Duration,
    /// Wait before the first new life; doubles with each further one in the window.
    pub back_off_min: Duration,
    /// The wait never grows beyond this.
    pub back_off_max: Duration,
}

impl Default for RestartLimit {
    fn default() -> Self {
        Self {
            restarts: 5,
            window: Duration::from_secs(60),
            back_off_min: Duration::from_millis(100),
            back_off_max: Duration::from_secs(5),
        }
    }
}

/// Remembers deaths and decides what follows each.
#[derive(Debug)]
pub struct RestartWindow {
    rebuild: Rebuild,
    rebuilt_at: VecDeque<MonoNanos>,
}

impl RestartWindow {
    /// No death yet.
    #[must_use]
    pub const fn new(rebuild: Rebuild) -> Self {
        Self { rebuild, rebuilt_at: VecDeque::new() }
    }

    /// New lives within the window that ended at the last death.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.rebuilt_at.len()).unwrap_or(u32::MAX)
    }

    /// The actor died at `now`: how long to wait before its next life, or `None` to escalate.
    pub fn died(&mut self, now: MonoNanos) -> Option<Duration> {
        let Rebuild::Limited(limit) = self.rebuild else { return None };
        while self.rebuilt_at.front().is_some_and(|at| now.since(*at) >= limit.window) {
            self.rebuilt_at.pop_front();
        }
        let used = self.count();
        if used >= limit.restarts {
            return None;
        }
        self.rebuilt_at.push_back(now);
        Some(limit.back_off_min.saturating_mul(1_u32 << used.min(30)).min(limit.back_off_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonoNanos {
        MonoNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn sixth_death_within_the_window_escalates() {
        let mut window = RestartWindow::new(Rebuild::Limited(RestartLimit::default()));
        let waits: Vec<_> = (0..5).map(|second| window.died(at(second)).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600]);
        assert_eq!(window.died(at(5)), None);
    }

    #[test]
    fn deaths_that_left_the_window_do_not_count() {
        let mut window = RestartWindow::new(Rebuild::Limited(RestartLimit::default()));
        for life in 0..100 {
            let wait = window.died(at(life * 13));
            assert!(wait.is_some_and(|wait| wait <= Duration::from_millis(1_600)), "life {life}");
        }
        assert!(window.count() <= 5, "memory is bounded by the limit");
    }

    #[test]
    fn wait_stops_growing_at_its_maximum() {
        let limit = RestartLimit { restarts: 40, window: Duration::from_secs(1_000_000), ..RestartLimit::default() };
        let mut window = RestartWindow::new(Rebuild::Limited(limit));
        let last = (0..40).filter_map(|second| window.died(at(second))).last();
        assert_eq!(last, Some(limit.back_off_max));
    }

    #[test]
    fn actor_that_is_never_rebuilt_escalates_at_its_first_death() {
        assert_eq!(RestartWindow::new(Rebuild::Never).died(at(0)), None);
    }
}
