//! Which messages go out on one channel; pure.

use crate::event::{Event, Severity};
use domain::MonoNanos;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The same event about the same subject is news again after this.
pub(crate) const REPEAT_AFTER: Duration = Duration::from_secs(600);
/// Subjects remembered per channel; the oldest is forgotten first, which at worst repeats a message.
const SUBJECTS_MAX: usize = 1_024;

/// What a channel wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The least severity that is sent.
    pub(crate) min_severity: Severity,
    /// Events switched on (`true`) or off whatever their severity.
    pub(crate) switches: BTreeMap<Event, bool>,
    /// The most messages in `rate_per`, at least 1.
    pub(crate) rate_count: u32,
    /// The span that `rate_count` is about.
    pub(crate) rate_per: Duration,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is sent, and tells of those before it that were not.
    Send {
        /// How often the same was left out since it was last sent.
        repeated: u32,
        /// How many messages the rate limit has left out since the last one sent.
        left_out: u32,
    },
    /// The channel does not want it.
    Unwanted,
    /// The same was sent a short while ago.
    Repeated,
    /// Too many were sent.
    TooMany,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at: MonoNanos,
    repeated: u32,
}

/// The memory of one channel.
#[derive(Debug)]
pub(crate) struct Gate {
    wishes: Wishes,
    told: BTreeMap<(Event, Option<String>), Told>,
    sent: VecDeque<MonoNanos>,
    left_out: u32,
}

impl Gate {
    pub(crate) fn new(wishes: Wishes) -> Self {
        Self { wishes, told: BTreeMap::new(), sent: VecDeque::new(), left_out: 0 }
    }

    /// Decides about one event; what is decided counts as done.
    pub(crate) fn decide(&mut self, event: Event, account: Option<&str>, now: MonoNanos) -> Verdict {
        let subject = account.map(str::to_owned);
        if let Some(ended) = event.ends() {
            self.told.retain(|(told, about), _| !(*told == ended && (subject.is_none() || *about == subject)));
        }
        if !self.wants(event) {
            return Verdict::Unwanted;
        }
        let key = (event, subject);
        let mut repeated = 0;
        if let Some(told) = self.told.get_mut(&key) {
            if now.since(told.at) < REPEAT_AFTER {
                told.repeated = told.repeated.saturating_add(1);
                return Verdict::Repeated;
            }
            repeated = told.repeated;
        }
        if !self.has_room(event.severity(), now) {
            self.left_out = self.left_out.saturating_add(1);
            return Verdict::TooMany;
        }
        self.sent.push_back(now);
        self.remember(key, now);
        Verdict::Send { repeated, left_out: std::mem::take(&mut self.left_out) }
    }

    fn wants(&self, event: Event) -> bool {
        match self.wishes.switches.get(&event) {
            Some(on) => *on,
            None => !event.only_on_request() && event.severity() >= self.wishes.min_severity,
        }
    }

    fn has_room(&mut self, severity: Severity, now: MonoNanos) -> bool {
        while self.sent.front().is_some_and(|sent| now.since(*sent) >= self.wishes.rate_per) {
            self.sent.pop_front();
        }
        let all = self.wishes.rate_count.max(1);
        // The last quarter is for what must be acted on now.
        let room = if severity == Severity::Critical { all } else { all.saturating_sub(all / 4).max(1) };
        u32::try_from(self.sent.len()).unwrap_or(u32::MAX) < room
    }

    fn remember(&mut self, key: (Event, Option<String>), now: MonoNanos) {
        if self.told.len() >= SUBJECTS_MAX && !self.told.contains_key(&key) {
            let oldest = self.told.iter().min_by_key(|(_, told)| told.at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.told.remove(&oldest);
            }
        }
        self.told.insert(key, Told { at: now, repeated: 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: Verdict = Verdict::Send { repeated: 0, left_out: 0 };

    fn wishes() -> Wishes {
        Wishes {
            min_severity: Severity::Warning,
            switches: BTreeMap::new(),
            rate_count: 20,
            rate_per: Duration::from_secs(3_600),
        }
    }

    fn at(seconds: u64) -> MonoNanos {
        MonoNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn same_event_within_ten_minutes_is_counted_and_told_with_the_next() {
        let mut gate = Gate::new(wishes());
        assert_eq!(gate.decide(Event::OrderUnknown, Some("main"), at(0)), SEND);
        assert_eq!(gate.decide(Event::OrderUnknown, Some("main"), at(1)), Verdict::Repeated);
        assert_eq!(gate.decide(Event::OrderUnknown, Some("main"), at(599)), Verdict::Repeated);
        assert_eq!(gate.decide(Event::OrderUnknown, Some("other"), at(2)), SEND, "another account is other news");
        assert_eq!(gate.decide(Event::FeedLost, Some("main"), at(3)), SEND);
        let next = gate.decide(Event::OrderUnknown, Some("main"), at(600));
        assert_eq!(next, Verdict::Send { repeated: 2, left_out: 0 });
    }

    #[test]
    fn second_halt_is_news_once_the_first_was_lifted() {
        let mut gate = Gate::new(wishes());
        assert_eq!(gate.decide(Event::Halt, None, at(0)), SEND);
        assert_eq!(gate.decide(Event::Halt, None, at(1)), Verdict::Repeated);
        assert_eq!(gate.decide(Event::Unhalted, None, at(2)), Verdict::Unwanted, "not sent, but taken note of");
        assert_eq!(gate.decide(Event::Halt, None, at(3)), SEND);
    }

    #[test]
    fn severity_and_switches_decide_what_is_wanted() {
        let switches = BTreeMap::from([(Event::Started, true), (Event::Halt, false)]);
        let mut gate = Gate::new(Wishes { switches, ..wishes() });
        assert_eq!(gate.decide(Event::Started, None, at(0)), SEND);
        assert_eq!(gate.decide(Event::Halt, None, at(0)), Verdict::Unwanted);
        assert_eq!(gate.decide(Event::KeyActive, None, at(0)), Verdict::Unwanted);
        assert_eq!(gate.decide(Event::DiskLow, None, at(0)), SEND);
        let mut all = Gate::new(Wishes { min_severity: Severity::Info, ..wishes() });
        assert_eq!(all.decide(Event::KeyActive, None, at(0)), SEND);
        assert_eq!(all.decide(Event::Fill, None, at(0)), Verdict::Unwanted, "fills are sent on request only");
    }

    #[test]
    fn rate_limit_keeps_a_quarter_for_critical_messages_and_tells_what_was_left_out() {
        let mut gate = Gate::new(Wishes { rate_count: 4, ..wishes() });
        let accounts = ["a", "b", "c", "d", "e"];
        for account in &accounts[..3] {
            assert_eq!(gate.decide(Event::OrderRejected, Some(account), at(0)), SEND);
        }
        assert_eq!(gate.decide(Event::OrderRejected, Some("d"), at(1)), Verdict::TooMany);
        assert_eq!(gate.decide(Event::OrderRejected, Some("e"), at(1)), Verdict::TooMany);
        assert_eq!(gate.decide(Event::Halt, None, at(2)), Verdict::Send { repeated: 0, left_out: 2 });
        assert_eq!(gate.decide(Event::FeedLost, None, at(3)), Verdict::TooMany);
        let next = gate.decide(Event::FeedLost, None, at(3_600));
        assert_eq!(next, Verdict::Send { repeated: 0, left_out: 1 }, "what was left out does not count as told");
    }

    #[test]
    fn memory_is_bounded() {
        let mut gate = Gate::new(Wishes { rate_count: u32::MAX, ..wishes() });
        for number in 0..2 * SUBJECTS_MAX as u64 {
            assert_eq!(gate.decide(Event::DiskLow, Some(&number.to_string()), at(number)), SEND);
        }
        assert_eq!(gate.told.len(), SUBJECTS_MAX);
        assert!(gate.sent.len() <= 3_600);
    }
}
