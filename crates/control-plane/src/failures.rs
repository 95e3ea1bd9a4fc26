//! How long an address waits after wrong credentials: a few are free, then each doubles the wait; pure.

use crate::limits::{FAILURE_DELAY, FAILURE_DELAY_MAX, FAILURES_FORGOTTEN, FAILURES_FREE, FAILURES_MAX};
use domain::MonoNanos;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// The addresses that presented wrong credentials lately.
#[derive(Default)]
pub(crate) struct Failures(HashMap<IpAddr, Entry>);

#[derive(Clone, Copy)]
struct Entry {
    count: u32,
    last: MonoNanos,
    locked_until: MonoNanos,
}

/// The address as it is counted: of IPv6 the 64 bits that one customer has whole.
pub(crate) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

impl Failures {
    /// How many seconds this address still has to wait; `None`: it need not.
    pub(crate) fn waits(&self, address: IpAddr, now: MonoNanos) -> Option<u64> {
        let entry = self.0.get(&counted_as(address))?;
        (now < entry.locked_until)
            .then(|| entry.locked_until.since(now).as_millis().div_ceil(1_000))
            .and_then(|seconds| u64::try_from(seconds).ok())
    }

    /// Takes in wrong credentials.
    pub(crate) fn failed(&mut self, address: IpAddr, now: MonoNanos) {
        let address = counted_as(address);
        if self.0.len() >= FAILURES_MAX && !self.0.contains_key(&address) {
            let quietest = self.0.iter().min_by_key(|(_, entry)| entry.last).map(|(address, _)| *address);
            quietest.map(|address| self.0.remove(&address));
        }
        let entry = self.0.entry(address).or_insert(Entry { count: 0, last: now, locked_until: MonoNanos(0) });
        if now.since(entry.last) > FAILURES_FORGOTTEN {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        if let Some(further) = entry.count.checked_sub(FAILURES_FREE) {
            let wait = FAILURE_DELAY.saturating_mul(1_u32.checked_shl(further).unwrap_or(u32::MAX));
            entry.locked_until = now.after(wait.min(FAILURE_DELAY_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn five_are_free_then_each_doubles_the_wait_up_to_five_minutes() {
        let mut failures = Failures::default();
        let (guesser, mut now) = (address("192.0.2.1"), MonoNanos(1_000_000_000));
        for _ in 0..4 {
            failures.failed(guesser, now);
            assert_eq!(failures.waits(guesser, now), None);
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            failures.failed(guesser, now);
            assert_eq!(failures.waits(guesser, now), Some(wait));
            now = now.after(Duration::from_secs(wait));
            assert_eq!(failures.waits(guesser, now), None);
        }
    }

    #[test]
    fn thousand_guesses_take_more_than_three_days() {
        let mut failures = Failures::default();
        let (guesser, begin) = (address("192.0.2.1"), MonoNanos(0));
        let mut now = begin;
        for _ in 0..1_000 {
            now = now.after(Duration::from_secs(failures.waits(guesser, now).unwrap_or(0)));
            failures.failed(guesser, now);
        }
        assert!(now.since(begin) > Duration::from_secs(3 * 86_400));
    }

    #[test]
    fn quiet_address_starts_anew_and_others_never_wait() {
        let mut failures = Failures::default();
        let guesser = address("192.0.2.1");
        for _ in 0..6 {
            failures.failed(guesser, MonoNanos(0));
        }
        assert_eq!(failures.waits(address("192.0.2.2"), MonoNanos(0)), None);
        let later = MonoNanos(0).after(FAILURES_FORGOTTEN + Duration::from_secs(1));
        failures.failed(guesser, later);
        assert_eq!(failures.waits(guesser, later), None);
    }

    #[test]
    fn neighbours_of_an_ipv6_network_count_as_one_and_mapped_addresses_as_ipv4() {
        assert_eq!(counted_as(address("2001:db8:1:2:3::4")), counted_as(address("2001:db8:1:2:ffff::1")));
        assert_ne!(counted_as(address("2001:db8:1:2::4")), counted_as(address("2001:db8:1:3::4")));
        assert_eq!(counted_as(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        assert_eq!(counted_as(address("::1")), address("::1"));
    }

    #[test]
    fn memory_is_bounded_and_the_quietest_is_forgotten_first() {
        let mut failures = Failures::default();
        let early = address("192.0.2.1");
        (0..6).for_each(|_| failures.failed(early, MonoNanos(0)));
        for number in 0..FAILURES_MAX as u32 {
            failures.failed(IpAddr::V4((0x0a00_0000 + number).into()), MonoNanos(1 + u64::from(number)));
        }
        assert_eq!(failures.0.len(), FAILURES_MAX);
        assert_eq!(failures.waits(early, MonoNanos(1)), None, "forgotten");
    }
}
