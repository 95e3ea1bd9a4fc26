//! How often a venue may be asked for subscriptions; pure.
//!
//! Bitget takes 240 requests an hour. With many instruments that nobody trades, asking again for every silent book
//! would use that up, and then a book that really broke could not be asked for.

use domain::MonoNanos;
use std::collections::VecDeque;
use std::time::Duration;

/// Why a subscription is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Its book is gone, or it was never acknowledged: nothing can be read until it is asked for.
    Broken,
    /// It only said nothing for long; if it speaks again its book is good.
    Silent,
}

/// The requests of the last hour, over all connections.
#[derive(Debug, Default)]
pub(crate) struct RequestBudget {
    sent: VecDeque<MonoNanos>,
}

impl RequestBudget {
    const WINDOW: Duration = Duration::from_secs(3_600);
    /// Requests in the window; below the venue's own limit, because its hour may begin at another moment.
    pub(crate) const MAX: usize = 220;
    /// Of those, the most that silence alone may use.
    const SILENT_MAX: usize = 120;

    /// Counts a request that is sent in any case: the first ones of a connection.
    pub(crate) fn note(&mut self, now: MonoNanos) {
        self.forget(now);
        if self.sent.len() >= Self::MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// Whether a request is left for this need.
    pub(crate) fn is_left(&mut self, need: Need, now: MonoNanos) -> bool {
        self.forget(now);
        let max = match need {
            Need::Broken => Self::MAX,
            Need::Silent => Self::SILENT_MAX,
        };
        self.sent.len() < max
    }

    /// Takes one request, if there is one left for this need.
    pub(crate) fn take(&mut self, need: Need, now: MonoNanos) -> bool {
        let is_left = self.is_left(need, now);
        if is_left {
            self.sent.push_back(now);
        }
        is_left
    }

    /// When the next request is free again.
    pub(crate) fn free_at(&self, now: MonoNanos) -> MonoNanos {
        self.sent.front().map_or(now, |oldest| oldest.after(Self::WINDOW))
    }

    fn forget(&mut self, now: MonoNanos) {
        while self.sent.front().is_some_and(|oldest| now.since(*oldest) >= Self::WINDOW) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64) -> MonoNanos {
        MonoNanos(number * 1_000_000_000)
    }

    #[test]
    fn silence_leaves_requests_for_what_broke_and_an_hour_gives_them_back() {
        let mut budget = RequestBudget::default();
        let silent = (0..600).filter(|at| budget.take(Need::Silent, second(*at))).count();
        assert_eq!(silent, 120);
        let broken = (600..1_200).filter(|at| budget.take(Need::Broken, second(*at))).count();
        assert_eq!(broken, 100);
        assert_eq!(budget.free_at(second(1_200)), second(3_600));
        assert!(!budget.take(Need::Broken, second(3_599)) && budget.take(Need::Broken, second(3_600)));
    }

    #[test]
    fn requests_of_a_new_connection_are_counted_and_bounded() {
        let mut budget = RequestBudget::default();
        (0..1_000).for_each(|_| budget.note(second(1)));
        assert_eq!(budget.sent.len(), RequestBudget::MAX);
        assert!(!budget.take(Need::Broken, second(2)));
    }
}
