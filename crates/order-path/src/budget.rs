//! Request budgets: one GCRA bucket for each endpoint group, driven by the time that it is given.

use domain::MonoNanos;
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use messages::EndpointGroup;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time that somebody else tells: the owner of the budget sets it before each question.
#[derive(Debug, Clone, Default)]
struct ToldClock(Arc<AtomicU64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ToldInstant(u64);

impl std::ops::Add<Nanos> for ToldInstant {
    type Output = Self;
    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for ToldInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::from(Duration::from_nanos(self.0.saturating_sub(earlier.0)))
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}

impl Clock for ToldClock {
    type Instant = ToldInstant;
    fn now(&self) -> ToldInstant {
        ToldInstant(self.0.load(Ordering::Relaxed))
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, ToldClock, NoOpMiddleware<ToldInstant>>;

struct Group {
    bucket: Bucket,
    /// Set by the venue's own word (429 or a ban): nothing before this.
    banned_until: MonoNanos,
}

/// The requests that one account may still make, by endpoint group. Owned by one thread.
pub(crate) struct RateBudget {
    clock: ToldClock,
    groups: [Group; EndpointGroup::ALL.len()],
}

/// Why a request may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BudgetDenied {
    /// Our own bucket is empty for this long.
    Empty(Duration),
    /// The venue told us to wait for this long.
    Banned(Duration),
}

impl RateBudget {
    /// Rate for a group that the table does not name: one request a second.
    const RATE_DEFAULT: NonZeroU32 = NonZeroU32::MIN;

    /// A full budget from a table of requests a second. Cancels have a group, and so a reserve, of their own.
    #[must_use]
    pub(crate) fn new(rates: &[(EndpointGroup, u32)]) -> Self {
        let clock = ToldClock::default();
        let groups = EndpointGroup::ALL.map(|group| {
            let rate = rates.iter().find(|(named, _)| *named == group).and_then(|(_, rate)| NonZeroU32::new(*rate));
            let quota = Quota::per_second(rate.unwrap_or(Self::RATE_DEFAULT));
            Group { bucket: RateLimiter::direct_with_clock(quota, clock.clone()), banned_until: MonoNanos(0) }
        });
        Self { clock, groups }
    }

    /// Takes one request from a group's budget.
    ///
    /// # Errors
    /// [`BudgetDenied`] with the time to wait; nothing was taken.
    pub(crate) fn take(&mut self, group: EndpointGroup, now: MonoNanos) -> Result<(), BudgetDenied> {
        self.clock.0.store(now.0, Ordering::Relaxed);
        let Some(state) = self.groups.get(group as usize) else {
            return Err(BudgetDenied::Empty(Duration::from_secs(1)));
        };
        if state.banned_until > now {
            return Err(BudgetDenied::Banned(state.banned_until.since(now)));
        }
        state.bucket.check().map_err(|until| BudgetDenied::Empty(until.wait_time_from(ToldInstant(now.0))))
    }

    /// Obeys the venue's word: nothing of this group before `wait` has passed.
    pub(crate) fn ban(&mut self, group: EndpointGroup, wait: Duration, now: MonoNanos) {
        if let Some(state) = self.groups.get_mut(group as usize) {
            state.banned_until = state.banned_until.max(now.after(wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gives_its_rate_and_refills_with_the_time_it_is_told() {
        let mut budget = RateBudget::new(&[(EndpointGroup::Place, 10)]);
        let start = MonoNanos(1_000_000_000);
        let granted = (0..20).filter(|_| budget.take(EndpointGroup::Place, start).is_ok()).count();
        assert_eq!(granted, 10);
        let later = start.after(Duration::from_millis(250));
        assert!(budget.take(EndpointGroup::Place, later).is_ok());
        assert!(budget.take(EndpointGroup::Place, later).is_ok());
        assert!(matches!(budget.take(EndpointGroup::Place, later), Err(BudgetDenied::Empty(_))));
    }

    #[test]
    fn an_empty_place_budget_leaves_cancels_alone() {
        let mut budget = RateBudget::new(&[(EndpointGroup::Place, 1), (EndpointGroup::Cancel, 10)]);
        let now = MonoNanos(5);
        while budget.take(EndpointGroup::Place, now).is_ok() {}
        assert!(budget.take(EndpointGroup::Cancel, now).is_ok());
    }

    #[test]
    fn a_ban_is_a_countdown_that_ends() {
        let mut budget = RateBudget::new(&[(EndpointGroup::Place, 10)]);
        let now = MonoNanos(7);
        budget.ban(EndpointGroup::Place, Duration::from_secs(3), now);
        assert_eq!(budget.take(EndpointGroup::Place, now), Err(BudgetDenied::Banned(Duration::from_secs(3))));
        assert!(budget.take(EndpointGroup::Place, now.after(Duration::from_secs(3))).is_ok());
    }
}
