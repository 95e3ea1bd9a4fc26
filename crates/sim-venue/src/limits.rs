//! Request budgets: one per endpoint and caller, and one per address over all endpoints.

use crate::{RateLimits, StreamLimits};
use domain::{Clock, MonoNanos};
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

/// A moment as the limiter library wants it: nanoseconds of the injected clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        self.0.checked_sub(duration.as_u64()).map_or(*self, Self)
    }
}

/// The injected clock, as the limiter library wants it.
#[derive(Clone)]
struct Timebase(Arc<dyn Clock>);

impl GovernorClock for Timebase {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.mono().0)
    }
}

/// One budget.
pub(crate) struct Budget(RateLimiter<NotKeyed, InMemoryState, Timebase, StateInformationMiddleware>);

impl Budget {
    /// `count` in `period`, all of which may come at once; a count of zero is one.
    pub(crate) fn new(clock: &Arc<dyn Clock>, count: u32, period: Duration) -> Self {
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let each = (period / count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each).unwrap_or_else(|| Quota::per_second(count)).allow_burst(count);
        let limiter = RateLimiter::direct_with_clock(quota, Timebase(Arc::clone(clock)));
        Self(limiter.with_middleware())
    }

    /// Takes one; false when there is none.
    pub(crate) fn take(&self) -> bool {
        self.spend().is_some()
    }

    /// Takes one; how many are left behind it, `None` when there was none.
    fn spend(&self) -> Option<u32> {
        self.0.check().ok().map(|state| state.remaining_burst_capacity())
    }
}

/// Who a budget belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    /// An account.
    Account(usize),
    /// An address.
    Address(IpAddr),
}

/// What became of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    /// Nothing is counted.
    Unlimited,
    /// This much is left.
    Left(u32),
    /// There was nothing left.
    TooMuch,
}

/// All budgets in use.
pub(crate) struct Limits {
    clock: Arc<dyn Clock>,
    config: RateLimits,
    connects_per_5_min: u32,
    endpoints: BTreeMap<(&'static str, Caller), Budget>,
    addresses: BTreeMap<IpAddr, Budget>,
    connects: BTreeMap<IpAddr, Budget>,
    penalties: BTreeMap<IpAddr, MonoNanos>,
}

impl Limits {
    /// Callers remembered at most; beyond it everybody starts afresh.
    const CALLERS_MAX: usize = 4_096;

    pub(crate) fn new(clock: Arc<dyn Clock>, config: RateLimits, streams: StreamLimits) -> Self {
        Self {
            clock,
            config,
            connects_per_5_min: streams.connects_per_5_min,
            endpoints: BTreeMap::new(),
            addresses: BTreeMap::new(),
            connects: BTreeMap::new(),
            penalties: BTreeMap::new(),
        }
    }

    /// Counts a request of an address; false while it has none left or serves its penalty.
    pub(crate) fn address(&mut self, address: IpAddr) -> bool {
        if !self.config.enforced {
            return true;
        }
        let now = self.clock.mono();
        if self.penalties.get(&address).is_some_and(|until| now < *until) {
            return false;
        }
        forget_when_full(&mut self.addresses, Self::CALLERS_MAX);
        let (clock, per_minute) = (&self.clock, self.config.per_ip_minute);
        let budget =
            self.addresses.entry(address).or_insert_with(|| Budget::new(clock, per_minute, Duration::from_secs(60)));
        if budget.take() {
            return true;
        }
        forget_when_full(&mut self.penalties, Self::CALLERS_MAX);
        self.penalties.insert(address, now.after(self.config.ip_penalty));
        false
    }

    /// Counts a request to an endpoint; false when the caller's second is used up.
    pub(crate) fn endpoint(&mut self, path: &'static str, per_second: u32, caller: Caller) -> bool {
        self.spend(path, per_second, caller) != Spent::TooMuch
    }

    /// Counts a request to an endpoint, and tells what the caller has left of its second.
    pub(crate) fn spend(&mut self, path: &'static str, per_second: u32, caller: Caller) -> Spent {
        if !self.config.enforced {
            return Spent::Unlimited;
        }
        forget_when_full(&mut self.endpoints, Self::CALLERS_MAX);
        let (clock, count) = (&self.clock, per_second.saturating_mul(self.config.endpoint_factor));
        let budget =
            self.endpoints.entry((path, caller)).or_insert_with(|| Budget::new(clock, count, Duration::from_secs(1)));
        budget.spend().map_or(Spent::TooMuch, Spent::Left)
    }

    /// Counts a new connection of an address.
    pub(crate) fn connect(&mut self, address: IpAddr) -> bool {
        forget_when_full(&mut self.connects, Self::CALLERS_MAX);
        let (clock, count) = (&self.clock, self.connects_per_5_min);
        self.connects.entry(address).or_insert_with(|| Budget::new(clock, count, Duration::from_secs(300))).take()
    }
}

fn forget_when_full<K: Ord, V>(map: &mut BTreeMap<K, V>, max: usize) {
    if map.len() >= max {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::ManualClock;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn limits(config: RateLimits) -> (Arc<ManualClock>, Limits) {
        let clock = Arc::new(ManualClock::default());
        (Arc::clone(&clock), Limits::new(clock, config, StreamLimits::default()))
    }

    #[test]
    fn an_endpoint_refuses_beyond_its_second_and_recovers() {
        let (clock, mut limits) = limits(RateLimits::default());
        let caller = Caller::Account(0);
        assert_eq!(limits.spend("/place", 10, caller), Spent::Left(9));
        assert!((0..9).all(|_| limits.endpoint("/place", 10, caller)));
        assert_eq!(limits.spend("/place", 10, caller), Spent::TooMuch);
        assert!(limits.endpoint("/place", 10, Caller::Account(1)), "accounts do not share");
        assert!(limits.endpoint("/cancel", 10, caller), "endpoints do not share");
        clock.advance(Duration::from_secs(1));
        assert!((0..10).all(|_| limits.endpoint("/place", 10, caller)));
    }

    #[test]
    fn an_address_over_its_minute_serves_the_whole_penalty() {
        let (clock, mut limits) = limits(RateLimits { per_ip_minute: 5, ..RateLimits::default() });
        assert!((0..5).all(|_| limits.address(HERE)));
        assert!(!limits.address(HERE));
        clock.advance(Duration::from_secs(299));
        assert!(!limits.address(HERE), "a minute later it is still out");
        clock.advance(Duration::from_secs(2));
        assert!(limits.address(HERE));
    }
}
