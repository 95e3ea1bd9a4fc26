//! Amounts of money as whole numbers of the smallest unit, so that nothing is ever rounded.

use domain::Scaled;
use rust_decimal::Decimal;
use std::fmt;

/// An amount of one asset in units of 10^-18; the asset stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Atoms(pub i128);

/// A fee in millionths of what is received; negative is a rebate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeeRate {
    ppm: i64,
}

/// Why a number cannot be an amount or a fee rate here.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum AmountError {
    /// Digits behind the last decimal that can be kept.
    #[error("more than {decimals} decimals")]
    TooPrecise {
        /// Decimals that can be kept.
        decimals: u32,
    },
    /// Outside what the engine accepts.
    #[error("number out of range")]
    Range,
}

/// Ten to the power of `exponent`; `None` above 10^38.
pub(crate) fn pow10(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl Atoms {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Decimals of the unit.
    pub const DECIMALS: u32 = 18;
    /// Largest amount the engine takes: 10^15 whole coins. Sums of a hundred thousand of them fit 127 bits.
    pub const MAX: Self = Self(1_000_000_000_000_000 * 1_000_000_000_000_000_000);

    /// The amount `number`, exact.
    ///
    /// # Errors
    /// [`AmountError`] beyond 18 decimals or [`Atoms::MAX`].
    pub fn from_decimal(number: Decimal) -> Result<Self, AmountError> {
        let number = number.normalize();
        let missing =
            Self::DECIMALS.checked_sub(number.scale()).ok_or(AmountError::TooPrecise { decimals: Self::DECIMALS })?;
        let atoms =
            pow10(missing).and_then(|factor| number.mantissa().checked_mul(factor)).ok_or(AmountError::Range)?;
        if atoms.abs() > Self::MAX.0 {
            return Err(AmountError::Range);
        }
        Ok(Self(atoms))
    }

    /// The amount as a decimal without trailing zeros; `None` when it has more digits than a decimal holds.
    #[must_use]
    pub fn to_decimal(self) -> Option<Decimal> {
        let (mut mantissa, mut scale) = (self.0, Self::DECIMALS);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Decimal::try_from_i128_with_scale(mantissa, scale).ok()
    }

    /// The amount `mantissa / 10^decimals`; `None` beyond the range.
    #[must_use]
    pub fn from_mantissa(mantissa: i128, decimals: u32) -> Option<Self> {
        let factor = pow10(Self::DECIMALS.checked_sub(decimals)?)?;
        mantissa.checked_mul(factor).map(Self)
    }

    /// The amount of a travelling decimal; `None` beyond the range.
    #[must_use]
    pub fn from_scaled(number: Scaled) -> Option<Self> {
        Self::from_mantissa(i128::from(number.mantissa), u32::from(number.decimals))
    }

    /// Sum, or `None` beyond 127 bits.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Difference, or `None` beyond 127 bits.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The amount with the opposite sign.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(-self.0)
    }
}

impl fmt::Display for Atoms {
    /// Plain decimal text without trailing zeros: `-0.0000004`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 1_000_000_000_000_000_000_u128;
        let magnitude = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", magnitude / unit)?;
        let fraction = magnitude % unit;
        if fraction == 0 {
            return Ok(());
        }
        let digits = format!("{fraction:018}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

impl FeeRate {
    /// Decimals of a rate.
    pub const DECIMALS: u32 = 6;
    /// Largest rate in either direction: 10 %.
    pub const PPM_MAX: i64 = 100_000;

    /// A rate in millionths: 1 000 is 0.1 %.
    ///
    /// # Errors
    /// [`AmountError::Range`] beyond 10 % in either direction.
    pub const fn from_ppm(ppm: i64) -> Result<Self, AmountError> {
        if ppm > Self::PPM_MAX || ppm < -Self::PPM_MAX {
            return Err(AmountError::Range);
        }
        Ok(Self { ppm })
    }

    /// A rate as a fraction: `0.001` is 0.1 %.
    ///
    /// # Errors
    /// [`AmountError`] beyond six decimals or 10 %.
    pub fn from_decimal(fraction: Decimal) -> Result<Self, AmountError> {
        let fraction = fraction.normalize();
        let missing =
            Self::DECIMALS.checked_sub(fraction.scale()).ok_or(AmountError::TooPrecise { decimals: Self::DECIMALS })?;
        let ppm =
            pow10(missing).and_then(|factor| fraction.mantissa().checked_mul(factor)).ok_or(AmountError::Range)?;
        Self::from_ppm(i64::try_from(ppm).map_err(|_| AmountError::Range)?)
    }

    /// The rate in millionths.
    #[must_use]
    pub const fn ppm(self) -> i64 {
        self.ppm
    }

    /// The rate as a fraction.
    #[must_use]
    pub fn fraction(self) -> Decimal {
        Decimal::new(self.ppm, Self::DECIMALS).normalize()
    }

    /// The fee on `received`; `None` beyond the range or if it were not exact.
    #[must_use]
    pub fn of(self, received: Atoms) -> Option<Atoms> {
        let product = received.0.checked_mul(i128::from(self.ppm))?;
        (product % 1_000_000 == 0).then_some(Atoms(product / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_trailing_zeros_and_keeps_small_digits() {
        assert_eq!(Atoms(-400_000_000_000).to_string(), "-0.0000004");
        assert_eq!(Atoms(24_000_000_000_000_000_000).to_string(), "24");
        assert_eq!(Atoms(1).to_string(), "0.000000000000000001");
    }

    #[test]
    fn decimals_survive_a_round_trip() {
        let number: Decimal = "12345.678901234567".parse().unwrap();
        assert_eq!(Atoms::from_decimal(number).unwrap().to_decimal(), Some(number));
        assert!(Atoms::from_decimal("0.0000000000000000001".parse().unwrap()).is_err());
        assert!(Atoms::from_decimal("1000000000000001".parse().unwrap()).is_err());
    }

    #[test]
    fn a_fee_is_exact_or_absent() {
        let rate = FeeRate::from_decimal("0.001".parse().unwrap()).unwrap();
        assert_eq!(rate.of(Atoms(400_000_000_000_000)), Some(Atoms(400_000_000_000)));
        assert_eq!(rate.of(Atoms(1)), None);
        assert!(FeeRate::from_decimal("0.2".parse().unwrap()).is_err());
    }
}
