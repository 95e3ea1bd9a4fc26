//! What of the rolling budgets was given out, so that no restart gives it out twice.
//!
//! The gate writes a slice before it uses it. After a crash the slice counts as used whole, and as used at the moment
//! of the restart: a crash loses budget and never grants any.

use crate::amount::Atto;
use crate::window::Spent;
use domain::{Side, Symbol, UnixNanos};
use std::io;

/// The next slice of one side's budget, written before the first order that uses it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// Which side's budget.
    pub side: Side,
    /// The gate's own time, which passes with the monotonic clock and begins where the run before ended.
    pub at: UnixNanos,
    /// What the wall clock says at that moment.
    pub wall: UnixNanos,
    /// Reserved, in quote, in units of 10^-18.
    pub notional: i128,
    /// Reserved, in base, in units of 10^-18.
    pub base: i128,
    /// Left over from the slice before, in quote, in units of 10^-18; nobody will use it.
    pub unused_notional: i128,
    /// Left over from the slice before, in base, in units of 10^-18.
    pub unused_base: i128,
}

/// Keeps reservations.
pub trait BudgetStore {
    /// Writes a reservation; it outlives a crash of process and machine when this returns.
    ///
    /// # Errors
    /// What the system said: nothing may be signed under this reservation.
    fn reserve(&mut self, reservation: &Reservation) -> io::Result<()>;
}

/// A part of a budget that counts as used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedUse {
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// Which side's budget.
    pub side: Side,
    /// When it was reserved.
    pub from: UnixNanos,
    /// When it was used at the latest; `None`: it may be in use still.
    pub until: Option<UnixNanos>,
    /// In quote, in units of 10^-18.
    pub notional: i128,
    /// In base, in units of 10^-18.
    pub base: i128,
}

/// Everything that earlier runs reserved and that may still count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedBudgets {
    uses: Vec<SavedUse>,
    latest: UnixNanos,
    wall: UnixNanos,
    known: bool,
}

impl Default for SavedBudgets {
    fn default() -> Self {
        Self::none()
    }
}

impl SavedBudgets {
    /// Longer than any window with its bucket, in nanoseconds: 25 hours.
    const KEEP: u64 = 25 * 3_600 * 1_000_000_000;

    /// Nothing was ever reserved: the first run.
    #[must_use]
    pub const fn none() -> Self {
        Self { uses: Vec::new(), latest: UnixNanos(0), wall: UnixNanos(0), known: true }
    }

    /// Nobody knows what was reserved; a gate made from this places no order until it is made anew.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { uses: Vec::new(), latest: UnixNanos(0), wall: UnixNanos(0), known: false }
    }

    /// Whether it is known what was reserved.
    #[must_use]
    pub const fn known(&self) -> bool {
        self.known
    }

    /// The parts, in no particular order.
    #[must_use]
    pub fn uses(&self) -> &[SavedUse] {
        &self.uses
    }

    /// The latest of the gate's own times in it; the next run's begins no earlier.
    #[must_use]
    pub const fn latest(&self) -> UnixNanos {
        self.latest
    }

    /// What the wall clock said at [`Self::latest`].
    #[must_use]
    pub const fn wall(&self) -> UnixNanos {
        self.wall
    }

    /// Takes in one reservation: the slice before it ends here, less what was left over.
    pub fn apply(&mut self, reservation: &Reservation) {
        let at = UnixNanos(self.latest.0.max(reservation.at.0));
        self.latest = at;
        self.wall = reservation.wall;
        let open = self
            .uses
            .iter_mut()
            .find(|one| one.until.is_none() && one.symbol == reservation.symbol && one.side == reservation.side);
        if let Some(before) = open {
            let left = before
                .spent()
                .minus(Spent { notional: reservation.unused_notional.max(0), base: reservation.unused_base.max(0) });
            (before.notional, before.base) = (left.notional, left.base);
            before.until = Some(at);
        }
        if reservation.notional > 0 || reservation.base > 0 {
            self.uses.push(SavedUse {
                symbol: reservation.symbol,
                side: reservation.side,
                from: at,
                until: None,
                notional: reservation.notional,
                base: reservation.base,
            });
        }
        self.uses.retain(|one| {
            let fresh = one.until.is_none_or(|until| until.0.saturating_add(Self::KEEP) >= at.0);
            fresh && (one.notional > 0 || one.base > 0)
        });
    }

    /// Ends what may be in use still: a new run begins, and the wall clock says `now`. So much time has passed as it
    /// has gone since it was last noted; none if it went backwards.
    pub fn end_run(&mut self, now: UnixNanos) {
        self.latest = UnixNanos(self.latest.0.saturating_add(now.0.saturating_sub(self.wall.0)));
        self.wall = now;
        for one in &mut self.uses {
            one.until.get_or_insert(self.latest);
        }
    }

    pub(crate) const fn from_parts(uses: Vec<SavedUse>, latest: UnixNanos, wall: UnixNanos) -> Self {
        Self { uses, latest, wall, known: true }
    }
}

impl SavedUse {
    pub(crate) const fn spent(&self) -> Spent {
        Spent { notional: self.notional, base: self.base }
    }
}

/// What a side still holds of its last slice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slice(pub(crate) Spent);

impl Slice {
    /// Parts that a day's limit is reserved in: 5 % each.
    pub(crate) const OF_DAY: Atto = 20;
    /// Nor is it more than this part of the minute's limit: what is reserved and lost counts as used for a minute.
    pub(crate) const OF_MINUTE: Atto = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(at: u64, notional: i128, unused: i128) -> Reservation {
        Reservation {
            symbol: Symbol::from("BTCUSDT").unwrap(),
            side: Side::Buy,
            at: UnixNanos(at),
            wall: UnixNanos(at),
            notional,
            base: notional,
            unused_notional: unused,
            unused_base: unused,
        }
    }

    #[test]
    fn a_slice_ends_with_the_next_one_less_what_was_left() {
        let mut saved = SavedBudgets::none();
        saved.apply(&reservation(10, 100, 0));
        saved.apply(&reservation(20, 100, 30));
        let parts: Vec<_> = saved.uses().iter().map(|one| (one.notional, one.until)).collect();
        assert_eq!(parts, [(70, Some(UnixNanos(20))), (100, None)]);
        saved.apply(&reservation(30, 0, 100));
        assert_eq!(saved.uses().len(), 1, "a slice given back whole counts no more");
    }

    #[test]
    fn time_that_runs_backwards_ages_nothing() {
        let mut saved = SavedBudgets::none();
        saved.apply(&reservation(1_000, 100, 0));
        saved.apply(&reservation(10, 100, 0));
        saved.end_run(UnixNanos(5));
        assert!(saved.uses().iter().all(|one| one.until == Some(UnixNanos(1_000))));
    }

    #[test]
    fn what_no_window_can_see_is_forgotten() {
        let mut saved = SavedBudgets::none();
        saved.apply(&reservation(1, 100, 0));
        saved.end_run(UnixNanos(2));
        saved.apply(&reservation(2 + SavedBudgets::KEEP, 50, 0));
        assert_eq!(saved.uses().len(), 2);
        saved.apply(&reservation(3 + SavedBudgets::KEEP, 50, 0));
        assert_eq!(saved.uses().iter().map(|one| one.notional).collect::<Vec<_>>(), [50, 50]);
    }
}
