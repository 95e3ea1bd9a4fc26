//! The life of one subscription: asked, acknowledged, alive; or waiting to be asked again.

use domain::{InstrumentId, MonoNanos};
use std::time::Duration;
use venue_api::Subscription;

/// Bounds of one subscription's waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineLimits {
    pub(crate) ack_wait_max: Duration,
    pub(crate) silence_max: Duration,
}

/// One subscription and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) subscription: Subscription,
    pub(crate) instrument: InstrumentId,
    phase: Phase,
    /// Times it was asked for again since it last lived for [`Line::STABLE_AFTER`].
    again: u32,
    /// Its next request is counted in the budget already.
    pub(crate) paid: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Off,
    /// Asked for at this time; neither acknowledgement nor data yet.
    Asked(MonoNanos),
    /// Acknowledged or speaking; data last at, speaking since.
    Alive { last: MonoNanos, since: MonoNanos },
    /// To be asked for again at this time.
    Waiting { until: MonoNanos },
}

/// What a subscription needs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// No acknowledgement in time.
    AckMissing,
    /// No data in time.
    Silent,
    /// Its wait is over: ask again now.
    AskAgain,
}

impl Line {
    /// A line that lived so long has recovered: its next fault is its first.
    const STABLE_AFTER: Duration = Duration::from_secs(60);
    /// The wait before the second request in a row; doubled for each further one.
    const WAIT_MIN: Duration = Duration::from_secs(1);
    /// The longest wait. A venue may limit requests (Bitget: 240 an hour and connection): one line
    /// that never recovers takes at most 60 of them; `RequestBudget` bounds all lines together.
    const WAIT_MAX: Duration = Duration::from_secs(60);

    pub(crate) const fn new(subscription: Subscription, instrument: InstrumentId) -> Self {
        Self { subscription, instrument, phase: Phase::Off, again: 0, paid: false }
    }

    pub(crate) const fn is_book(&self) -> bool {
        self.subscription.channel.is_book()
    }

    pub(crate) fn off(&mut self) {
        self.phase = Phase::Off;
        self.paid = false;
    }

    pub(crate) fn asked(&mut self, now: MonoNanos) {
        self.phase = Phase::Asked(now);
    }

    /// An acknowledgement, or data (which says the same and may come first).
    pub(crate) fn spoke(&mut self, now: MonoNanos) {
        self.phase = match self.phase {
            Phase::Alive { since, .. } => {
                if now.since(since) >= Self::STABLE_AFTER {
                    self.again = 0;
                }
                Phase::Alive { last: now, since }
            }
            // What comes while waiting belongs to the subscription that was given up.
            Phase::Waiting { until } => Phase::Waiting { until },
            Phase::Off | Phase::Asked(_) => Phase::Alive { last: now, since: now },
        };
    }

    /// A whole book: whatever was wrong before, the subscription works.
    pub(crate) fn whole(&mut self, now: MonoNanos) {
        if let Phase::Waiting { .. } = self.phase {
            self.phase = Phase::Asked(now);
        }
        self.spoke(now);
    }

    /// The venue refused it: asked for again, but never at once.
    pub(crate) fn refused(&mut self, now: MonoNanos) {
        self.again = self.again.max(1);
        self.ask_again(now);
    }

    pub(crate) const fn alive(&self) -> bool {
        matches!(self.phase, Phase::Alive { .. })
    }

    /// Plans the next request: at once for the first fault, then after longer and longer waits.
    /// Returns whether it is now.
    pub(crate) fn ask_again(&mut self, now: MonoNanos) -> bool {
        let wait = match self.again {
            0 => Duration::ZERO,
            again => Self::WAIT_MIN.saturating_mul(1 << (again - 1).min(10)).min(Self::WAIT_MAX),
        };
        self.again = self.again.saturating_add(1);
        self.phase = if wait.is_zero() { Phase::Asked(now) } else { Phase::Waiting { until: now.after(wait) } };
        wait.is_zero()
    }

    /// Not asked for before this time, because the venue takes no more requests.
    pub(crate) fn wait_until(&mut self, until: MonoNanos) {
        self.phase = Phase::Waiting { until };
    }

    /// Its silence is looked at again later.
    pub(crate) fn put_off(&mut self, now: MonoNanos) {
        if let Phase::Alive { since, .. } = self.phase {
            self.phase = Phase::Alive { last: now, since };
        }
    }

    pub(crate) fn due(&self, now: MonoNanos, limits: LineLimits) -> Option<Due> {
        match self.phase {
            Phase::Asked(at) if now.since(at) > limits.ack_wait_max => Some(Due::AckMissing),
            // A market without trades is not silent, only quiet.
            Phase::Alive { last, .. } if self.is_book() && now.since(last) > limits.silence_max => Some(Due::Silent),
            Phase::Waiting { until } if now >= until => Some(Due::AskAgain),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Symbol;
    use venue_api::Channel;

    const LIMITS: LineLimits =
        LineLimits { ack_wait_max: Duration::from_secs(5), silence_max: Duration::from_secs(10) };

    fn line(channel: Channel) -> Line {
        Line::new(Subscription { channel, symbol: Symbol::from("A").unwrap() }, InstrumentId(0))
    }

    fn at(seconds: u64) -> MonoNanos {
        MonoNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_missing_acknowledgement_and_missing_data_are_noticed() {
        let mut line = line(Channel::Book);
        assert_eq!(line.due(at(100), LIMITS), None, "nothing is asked for without a connection");
        line.asked(at(100));
        assert_eq!(line.due(at(105), LIMITS), None);
        assert_eq!(line.due(at(106), LIMITS), Some(Due::AckMissing));
        line.spoke(at(106));
        assert_eq!(line.due(at(116), LIMITS), None);
        assert_eq!(line.due(at(117), LIMITS), Some(Due::Silent));
    }

    #[test]
    fn a_market_without_trades_is_no_fault() {
        let mut line = line(Channel::Trade);
        line.asked(at(0));
        assert_eq!(line.due(at(6), LIMITS), Some(Due::AckMissing));
        line.spoke(at(1));
        assert_eq!(line.due(at(9_999), LIMITS), None);
    }

    #[test]
    fn waits_grow_to_a_bound_and_end_after_a_stable_time() {
        let mut line = line(Channel::Book);
        assert!(line.ask_again(at(0)), "the first time at once");
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            assert!(!line.ask_again(at(0)));
            let wait = (0..=60).find(|second| line.due(at(*second), LIMITS) == Some(Due::AskAgain)).unwrap();
            assert!(Duration::from_secs(wait) >= last);
            last = Duration::from_secs(wait);
        }
        assert_eq!(last, Line::WAIT_MAX);
        line.asked(at(0));
        line.spoke(at(0));
        line.spoke(at(61));
        assert!(line.ask_again(at(62)), "recovered");
    }

    #[test]
    fn what_arrives_while_waiting_does_not_revive_a_line() {
        let mut line = line(Channel::Book);
        line.ask_again(at(0));
        line.ask_again(at(0));
        line.spoke(at(0));
        assert!(!line.alive());
    }
}
