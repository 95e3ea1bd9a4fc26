//! Sums of money as counters.

/// Feeds a counter, which holds whole numbers, from amounts with decimals: whole units go out, the rest is carried to
/// the next amount, so that nothing is lost over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct WholeUnits {
    /// What was added and not yet given out, from 0 to 1.
    carried: f64,
}

impl WholeUnits {
    /// The largest amount taken at once; larger ones count as this much. Well inside what `f64` holds exactly.
    pub const AMOUNT_MAX: f64 = 1e15;

    /// Adds an amount and gives the whole units to increment the counter by. Negative amounts (a rebate) reduce what
    /// is carried and never make the counter fall; what is not a number is nothing.
    #[must_use]
    pub fn add(&mut self, amount: f64) -> u64 {
        if amount.is_nan() {
            return 0;
        }
        let sum = self.carried + amount.clamp(-Self::AMOUNT_MAX, Self::AMOUNT_MAX);
        if sum < 1.0 {
            self.carried = sum;
            return 0;
        }
        let whole = sum.floor();
        self.carried = sum - whole;
        // Exact: `whole` lies between 1 and about 1e15 here.
        whole as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_add_up_to_whole_units() {
        let mut tally = WholeUnits::default();
        let total: u64 = (0..1_000).map(|_| tally.add(0.25)).sum();
        assert_eq!(total, 250);
    }

    #[test]
    fn rebates_are_made_good_before_the_counter_rises_again() {
        let mut tally = WholeUnits::default();
        assert_eq!(tally.add(-3.0), 0);
        assert_eq!(tally.add(2.5), 0);
        assert_eq!(tally.add(1.5), 1);
    }

    #[test]
    fn what_is_not_a_number_counts_as_nothing() {
        let mut tally = WholeUnits::default();
        assert_eq!(tally.add(f64::NAN), 0);
        assert_eq!(tally.add(1.0), 1);
        assert_eq!(tally.add(f64::INFINITY), WholeUnits::AMOUNT_MAX as u64);
    }
}
