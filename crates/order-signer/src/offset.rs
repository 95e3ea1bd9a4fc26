//! Which venue time the signer believes: its own clock plus an offset that it accepts only within limits.
//!
//! The caller measures the offset; a wrong or hostile caller can move it by no more than the limits here,
//! so that nothing can be signed for a time far from now.

use domain::MonoNanos;

/// The offset between a venue's clock and ours, as far as the signer accepts it.
#[derive(Debug, Clone, Copy, Default)]
pub struct AcceptedOffset {
    /// The last accepted offset and when it was accepted.
    accepted: Option<(i64, MonoNanos)>,
    /// How far it may move at once from `accepted`, in nanoseconds, on top of what time allows.
    allowance_ns: i64,
    /// The last offset told, accepted or not: cancels are stamped with it, questions within the limit.
    told_ns: i64,
    /// Whether the last offset told was accepted.
    trusted: bool,
}

/// An offset was told that is not accepted; no order is signed until a better one comes, and beyond the limit only
/// cancels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OffsetDoubt {
    /// Further from the own clock than [`AcceptedOffset::OFFSET_NS_MAX`].
    #[error("venue time is {} ms from the own clock, more than {} ms; correct the own clock with NTP", .offset_ns / 1_000_000, AcceptedOffset::OFFSET_NS_MAX / 1_000_000)]
    TooFar {
        /// Venue time minus own time, in nanoseconds.
        offset_ns: i64,
    },
    /// It moved faster than [`AcceptedOffset::MOVE_NS_PER_SECOND`].
    #[error("venue time moved by {} ms against the own clock at once", .move_ns / 1_000_000)]
    TooFast {
        /// How far it moved, in nanoseconds.
        move_ns: i64,
    },
}

impl AcceptedOffset {
    /// Largest difference to the own clock: 5 s, in nanoseconds.
    pub const OFFSET_NS_MAX: i64 = 5_000_000_000;
    /// Fastest movement: 100 ms a second, in nanoseconds a second.
    pub const MOVE_NS_PER_SECOND: i64 = 100_000_000;
    /// What may be saved up for one movement while offsets are being accepted: ten seconds' worth.
    const ALLOWANCE_NS_MAX: i64 = 10 * Self::MOVE_NS_PER_SECOND;

    /// Takes a measured offset: venue time minus own time.
    ///
    /// # Errors
    /// [`OffsetDoubt`]: it is remembered for cancels, and no order is signed with it.
    pub fn tell(&mut self, offset_ns: i64, now: MonoNanos) -> Result<(), OffsetDoubt> {
        self.told_ns = offset_ns;
        self.trusted = false;
        if offset_ns.unsigned_abs() > Self::OFFSET_NS_MAX.unsigned_abs() {
            return Err(OffsetDoubt::TooFar { offset_ns });
        }
        if let Some((before_ns, since)) = self.accepted {
            let move_ns = offset_ns.saturating_sub(before_ns).saturating_abs();
            let passed_ns = i64::try_from(now.since(since).as_nanos()).unwrap_or(i64::MAX);
            let earned_ns = passed_ns / (1_000_000_000 / Self::MOVE_NS_PER_SECOND);
            let room_ns = self.allowance_ns.saturating_add(earned_ns);
            if move_ns > room_ns {
                return Err(OffsetDoubt::TooFast { move_ns });
            }
            self.allowance_ns = room_ns.saturating_sub(move_ns).min(Self::ALLOWANCE_NS_MAX);
        } else {
            self.allowance_ns = Self::MOVE_NS_PER_SECOND;
        }
        self.accepted = Some((offset_ns, now));
        self.trusted = true;
        Ok(())
    }

    /// The offset to sign new orders with; `None` while there is none to be trusted.
    #[must_use]
    pub fn for_orders(&self) -> Option<i64> {
        self.accepted.filter(|_| self.trusted).map(|(offset_ns, _)| offset_ns)
    }

    /// The offset to sign questions and log-ins with: the last told, within the limit; zero before the first. A log-in
    /// opens the account's stream to whoever holds it, and an answer shows what is in it: signed for a later time either
    /// could be kept until then.
    #[must_use]
    pub const fn for_questions(&self) -> Option<i64> {
        if self.told_ns.unsigned_abs() > Self::OFFSET_NS_MAX.unsigned_abs() { None } else { Some(self.told_ns) }
    }

    /// The offset to sign cancels with: the last told, whatever it is, zero before the first. A cancel signed for a later
    /// time can only take an order away.
    #[must_use]
    pub const fn for_cancels(&self) -> i64 {
        self.told_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: i64 = 1_000_000;

    fn at(seconds: u64) -> MonoNanos {
        MonoNanos(0).after(Duration::from_secs(1_000 + seconds))
    }

    #[test]
    fn no_order_is_stamped_before_the_first_measurement() {
        let offset = AcceptedOffset::default();
        assert_eq!(offset.for_orders(), None);
        assert_eq!(offset.for_cancels(), 0);
    }

    #[test]
    fn five_seconds_are_accepted_and_a_nanosecond_more_is_not() {
        for sign in [1, -1] {
            let mut offset = AcceptedOffset::default();
            offset.tell(sign * AcceptedOffset::OFFSET_NS_MAX, at(0)).unwrap();
            assert_eq!(offset.for_orders(), Some(sign * AcceptedOffset::OFFSET_NS_MAX));
            let beyond = sign * (AcceptedOffset::OFFSET_NS_MAX + 1);
            assert_eq!(offset.tell(beyond, at(100)), Err(OffsetDoubt::TooFar { offset_ns: beyond }));
            assert_eq!(offset.for_orders(), None, "the last word counts");
            assert_eq!(offset.for_cancels(), beyond, "cancels still reach a venue whose clock differs");
        }
    }

    #[test]
    fn no_question_and_no_login_is_stamped_for_a_later_time() {
        let mut offset = AcceptedOffset::default();
        assert_eq!(offset.for_questions(), Some(0), "a stream may be opened before the venue's time is known");
        for far in [i64::MIN, i64::MAX, 3_600_000 * MS, -3_600_000 * MS, AcceptedOffset::OFFSET_NS_MAX + 1] {
            assert!(offset.tell(far, at(0)).is_err());
            assert_eq!(offset.for_questions(), None, "{far}");
        }
        offset.tell(20 * MS, at(1)).unwrap();
        assert_eq!(offset.for_questions(), Some(20 * MS));
    }

    #[test]
    fn offset_moves_by_100_ms_a_second_and_not_faster() {
        let mut offset = AcceptedOffset::default();
        offset.tell(0, at(0)).unwrap();
        assert!(offset.tell(201 * MS, at(1)).is_err());
        assert_eq!(offset.for_orders(), None);
        assert!(offset.tell(200 * MS, at(1)).is_ok(), "the start allows one second's worth");
        assert!(offset.tell(301 * MS, at(2)).is_err());
        assert!(offset.tell(300 * MS, at(2)).is_ok());
    }

    #[test]
    fn many_small_steps_at_one_moment_do_not_add_up_beyond_the_allowance() {
        let mut offset = AcceptedOffset::default();
        offset.tell(0, at(0)).unwrap();
        let moved = (1..1_000).take_while(|step| offset.tell(step * 10 * MS, at(0)).is_ok()).count();
        assert_eq!(moved, 10);
    }

    #[test]
    fn large_step_is_accepted_once_enough_time_has_passed_since_the_last_good_one() {
        let mut offset = AcceptedOffset::default();
        offset.tell(0, at(0)).unwrap();
        for second in (10..1_000).step_by(10) {
            offset.tell(0, at(second)).unwrap();
        }
        assert!(offset.tell(3_000 * MS, at(990)).is_err(), "quiet times save up one second, not three");
        assert!(offset.tell(3_000 * MS, at(1_009)).is_err());
        assert!(offset.tell(3_000 * MS, at(1_010)).is_ok());
        assert_eq!(offset.for_orders(), Some(3_000 * MS));
    }
}
