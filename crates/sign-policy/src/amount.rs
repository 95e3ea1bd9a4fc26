//! Exact amounts for comparing with limits: whole numbers of 10^-18, 128 bits wide.
//!
//! Invariant: a value that does not fit is no value, so that whoever asks refuses; a notional is never rounded down.

use domain::Scaled;

/// Prices, quantities and notionals in units of 10^-18.
pub(crate) type Atto = i128;

/// Decimals of an [`Atto`].
const DECIMALS: u8 = Scaled::DECIMALS_MAX;

fn pow10(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(u32::from(exponent))
}

/// The number in units of 10^-18; `None` when its decimals are out of range.
pub(crate) fn atto(number: Scaled) -> Option<Atto> {
    let factor = pow10(DECIMALS.checked_sub(number.decimals)?)?;
    i128::from(number.mantissa).checked_mul(factor)
}

/// Price times quantity, rounded up to 10^-18; both above zero. `None` when it does not fit.
pub(crate) fn notional(price: Scaled, qty: Scaled) -> Option<Atto> {
    if price.decimals > DECIMALS || qty.decimals > DECIMALS || price.mantissa <= 0 || qty.mantissa <= 0 {
        return None;
    }
    let product = i128::from(price.mantissa).checked_mul(i128::from(qty.mantissa))?;
    let decimals = price.decimals + qty.decimals;
    if decimals <= DECIMALS {
        return product.checked_mul(pow10(DECIMALS - decimals)?);
    }
    let divisor = pow10(decimals - DECIMALS)?;
    product.checked_add(divisor - 1)?.checked_div(divisor)
}

/// The number as people write it, rounded down to at most `digits` digits that count; `None` when it does not fit.
pub(crate) fn rounded(value: Atto, digits: u32) -> Option<Scaled> {
    let mut mantissa = value;
    let mut decimals = DECIMALS;
    let bound = 10_i128.checked_pow(digits)?;
    while decimals > 0 && (mantissa >= bound || mantissa % 10 == 0) {
        mantissa /= 10;
        decimals -= 1;
    }
    Some(Scaled { mantissa: i64::try_from(mantissa).ok()?, decimals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notional_is_exact_and_never_below_the_truth() {
        let number = |text: &str| Scaled::parse(text.as_bytes()).unwrap();
        assert_eq!(notional(number("2.5"), number("4")), atto(number("10")));
        assert_eq!(notional(number("0.000000000000000001"), number("0.5")), Some(1));
        assert_eq!(notional(number("0.1"), number("0.000000000000000011")), Some(2));
        assert_eq!(
            notional(Scaled { mantissa: i64::MAX, decimals: 0 }, Scaled { mantissa: i64::MAX, decimals: 0 }),
            None
        );
        assert_eq!(notional(number("0"), number("1")), None);
        assert_eq!(notional(number("1"), number("-1")), None);
        assert_eq!(notional(Scaled { mantissa: 1, decimals: 19 }, number("1")), None);
        assert_eq!(atto(Scaled { mantissa: 1, decimals: 19 }), None);
    }

    #[test]
    fn rounding_for_people_drops_zeros_and_never_rounds_up() {
        let number = |text: &str| Scaled::parse(text.as_bytes()).unwrap();
        assert_eq!(rounded(atto(number("0.0081999999")).unwrap(), 6), Some(number("0.00819999")));
        assert_eq!(rounded(atto(number("1500.00")).unwrap(), 6), Some(number("1500")));
        assert_eq!(rounded(atto(number("1234567.8")).unwrap(), 6), Some(number("1234567")));
    }
}
