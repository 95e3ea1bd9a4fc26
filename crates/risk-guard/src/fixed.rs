//! Exact integers for the check itself: amounts in units of 10^-18, so that comparing and adding cost a nanosecond.
//!
//! Invariant: every operation is checked; what leaves the range becomes `None`, and the order is refused.

use domain::{InstrumentVersion, Price, Qty};
use rust_decimal::Decimal;

/// An amount in units of 10^-18 of its asset.
pub(crate) type Atto = i128;

/// Decimals of an [`Atto`].
pub(crate) const ATTO_DECIMALS: u32 = 18;
/// Parts of a fraction of one: a collar or ratio is kept in billionths.
pub(crate) const BILLION: i128 = 1_000_000_000;

const POWERS: [i128; 39] = powers();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a wrong index is a compile error")]
const fn powers() -> [i128; 39] {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
}

/// Ten to the power of `exponent`, up to 38.
fn power(exponent: u32) -> Option<i128> {
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// The product, or `None` beyond the range. Most factors fit 64 bits, where nothing can overflow.
pub(crate) fn product(a: i128, b: i128) -> Option<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// `number` in units of 10^-18; digits beyond are cut towards zero.
pub(crate) fn atto(number: Decimal) -> Option<Atto> {
    let scale = number.scale();
    if scale <= ATTO_DECIMALS {
        return product(number.mantissa(), power(ATTO_DECIMALS - scale)?);
    }
    number.mantissa().checked_div(power(scale - ATTO_DECIMALS)?)
}

/// A limit in units of 10^-18; one too large to be written counts as the largest number.
pub(crate) fn atto_limit(number: Decimal) -> Atto {
    atto(number).unwrap_or(Atto::MAX / 4)
}

/// A fraction of one in billionths.
pub(crate) fn billionths(fraction: Decimal) -> i128 {
    atto(fraction).map_or(i128::MAX / 4, |units| units / BILLION)
}

/// How the mantissas of one instrument version become amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Its number.
    pub(crate) version: u32,
    price_decimals: u8,
    qty_decimals: u8,
    /// From (price mantissa times quantity mantissa) to atto: a factor, or a divisor when negative.
    notional_factor: i128,
    /// From a quantity mantissa to atto.
    qty_factor: i128,
    /// From a price mantissa to 18 decimals.
    price_factor: i128,
}

impl Scale {
    pub(crate) fn of(version: &InstrumentVersion) -> Option<Self> {
        let decimals = u32::from(version.price_decimals) + u32::from(version.qty_decimals);
        let notional_factor = if decimals <= ATTO_DECIMALS {
            power(ATTO_DECIMALS - decimals)?
        } else {
            power(decimals - ATTO_DECIMALS)?.checked_neg()?
        };
        Some(Self {
            version: version.version,
            price_decimals: version.price_decimals,
            qty_decimals: version.qty_decimals,
            notional_factor,
            qty_factor: power(ATTO_DECIMALS.checked_sub(u32::from(version.qty_decimals))?)?,
            price_factor: power(ATTO_DECIMALS.checked_sub(u32::from(version.price_decimals))?)?,
        })
    }

    /// Price times quantity; rounded up where the decimals exceed 18, never down.
    pub(crate) fn notional(&self, price: Price, qty: Qty) -> Option<Atto> {
        let exact = i128::from(price.0) * i128::from(qty.0);
        if self.notional_factor > 0 {
            return product(exact, self.notional_factor);
        }
        let divisor = self.notional_factor.checked_neg()?;
        let rest = exact.checked_rem(divisor)?;
        exact.checked_div(divisor)?.checked_add(i128::from(rest > 0))
    }

    /// A quantity as an amount; exact.
    pub(crate) fn qty(&self, qty: Qty) -> Option<Atto> {
        product(i128::from(qty.0), self.qty_factor)
    }

    /// An amount as a quantity, cut down to the mantissa's last digit.
    pub(crate) fn qty_down(&self, amount: Atto) -> Option<i64> {
        i64::try_from(amount.checked_div_euclid(self.qty_factor)?).ok()
    }

    /// An amount in whole quantity mantissas, rounded up: what [`Self::value`] takes, so that its product fits.
    pub(crate) fn steps_up(&self, amount: Atto) -> Option<i128> {
        let down = amount.checked_div_euclid(self.qty_factor)?;
        if down.checked_mul(self.qty_factor)? == amount { Some(down) } else { down.checked_add(1) }
    }

    /// What so many quantity mantissas of base are worth at half of `doubled_mid`, in quote; rounded up.
    pub(crate) fn value(&self, steps: i128, doubled_mid: i128) -> Option<Atto> {
        let exact = product(steps, doubled_mid)?;
        let doubled = if self.notional_factor > 0 {
            product(exact, self.notional_factor)?
        } else {
            exact.checked_div_euclid(self.notional_factor.checked_neg()?)?.checked_add(1)?
        };
        doubled.checked_add(1)?.checked_div(2)
    }

    /// A price mantissa on a scale that all versions share (18 decimals), for comparing prices across versions.
    pub(crate) fn price(&self, price: Price) -> Option<Atto> {
        product(i128::from(price.0), self.price_factor)
    }

    /// A doubled mid mantissa on the scale that all versions share, still doubled.
    pub(crate) fn doubled(&self, doubled_mid: i128) -> Option<Atto> {
        product(doubled_mid, self.price_factor)
    }

    /// The mid of which `doubled` is twice the mantissa, as a decimal; exact.
    pub(crate) fn mid(&self, doubled: i128) -> Option<Decimal> {
        Decimal::try_from_i128_with_scale(doubled.checked_mul(5)?, u32::from(self.price_decimals) + 1).ok()
    }

    /// The price as a decimal.
    pub(crate) fn price_decimal(&self, price: Price) -> Decimal {
        Decimal::new(price.0, u32::from(self.price_decimals))
    }

    /// The quantity as a decimal.
    pub(crate) fn qty_decimal(&self, qty: Qty) -> Decimal {
        Decimal::new(qty.0, u32::from(self.qty_decimals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::version;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn notional_equals_the_exact_product(price in 1_i64..1_000_000_000_000, qty in 1_i64..1_000_000_000_000) {
            let version = version();
            let scale = Scale::of(&version).unwrap();
            let exact = version.notional(Price(price), Qty(qty)).unwrap();
            prop_assert_eq!(scale.notional(Price(price), Qty(qty)), atto(exact.0));
        }

        #[test]
        fn product_is_the_checked_one(a in any::<i128>(), b in any::<i128>(), shift in 0_u32..127) {
            prop_assert_eq!(product(a >> shift, b >> shift), (a >> shift).checked_mul(b >> shift));
        }

        #[test]
        fn notional_beyond_eighteen_decimals_is_never_too_small(price in 1_i64..1_000_000_000, qty in 1_i64..1_000_000_000) {
            let mut version = version();
            (version.price_decimals, version.qty_decimals) = (12, 9);
            let scale = Scale::of(&version).unwrap();
            let up = scale.notional(Price(price), Qty(qty)).unwrap();
            let product = i128::from(price) * i128::from(qty);
            prop_assert!(up * 1_000 >= product && (up - 1) * 1_000 < product);
        }

        #[test]
        fn value_at_mid_is_rounded_up_by_less_than_a_quantity_step(amount in 0_i128..1_000_000_000_000_000_000_000, mid in 2_i128..100_000_000) {
            let scale = Scale::of(&version()).unwrap();
            let value = scale.value(scale.steps_up(amount).unwrap(), mid).unwrap();
            // version(): price decimals 2, quantity decimals 6.
            let exact_times_200 = amount * mid;
            prop_assert!(value * 200 >= exact_times_200);
            prop_assert!(value * 200 - exact_times_200 <= mid * 1_000_000_000_000 + 200);
        }
    }

    #[test]
    fn what_does_not_fit_is_none_and_not_a_wrapped_number() {
        let mut version = version();
        (version.price_decimals, version.qty_decimals) = (0, 0);
        let scale = Scale::of(&version).unwrap();
        assert_eq!(scale.notional(Price(i64::MAX), Qty(i64::MAX)), None);
        assert_eq!(atto_limit(Decimal::MAX), Atto::MAX / 4);
    }
}
