//! Prices and quantities: integer mantissas in the decimals of an instrument.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write as _;

/// A price as a mantissa in the price decimals of an instrument version; may be off the tick grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub i64);

/// A quantity of the base asset as a mantissa in the quantity decimals of an instrument version; may be off the lot grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Qty(pub i64);

impl Qty {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Sum, or `None` beyond the range.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Difference, or `None` beyond the range.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// Difference, never below zero.
    #[must_use]
    pub const fn saturating_minus(self, other: Self) -> Self {
        let difference = self.0.saturating_sub(other.0);
        Self(if difference < 0 { 0 } else { difference })
    }
}

/// An exact decimal number in the form in which it travels: `mantissa / 10^decimals`.
///
/// Signer frames, journal, `wire.log` and tape carry this, never a bare mantissa.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scaled {
    /// The digits.
    pub mantissa: i64,
    /// How many of them stand behind the decimal point, 0 to 18.
    pub decimals: u8,
}

/// Why a text or number is not a decimal of the wanted precision.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum NumberError {
    /// The text holds something other than digits, one point and a sign.
    #[error("not a plain decimal number")]
    Malformed,
    /// The number has more decimals than the instrument.
    #[error("more than {decimals} decimals")]
    TooPrecise {
        /// Decimals of the instrument.
        decimals: u8,
    },
    /// The number does not fit 64 bits in these decimals.
    #[error("number out of range")]
    Range,
}

impl Scaled {
    /// Most decimals a number may have here.
    pub const DECIMALS_MAX: u8 = 18;

    /// Parses plain decimal text (`-12.340`), keeping the decimals as written.
    ///
    /// # Errors
    /// [`NumberError::Malformed`] for anything but digits, one point and a leading minus;
    /// [`NumberError::Range`] when the digits exceed 64 bits.
    pub fn parse(text: &[u8]) -> Result<Self, NumberError> {
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let mut mantissa: i64 = 0;
        let mut decimals: u8 = 0;
        let mut point = false;
        let mut any = false;
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    mantissa = mantissa
                        .checked_mul(10)
                        .and_then(|m| m.checked_add(i64::from(byte - b'0')))
                        .ok_or(NumberError::Range)?;
                    decimals = decimals.saturating_add(u8::from(point));
                    any = true;
                }
                b'.' if !point && any => point = true,
                _ => return Err(NumberError::Malformed),
            }
        }
        if !any || (point && decimals == 0) {
            return Err(NumberError::Malformed);
        }
        if decimals > Self::DECIMALS_MAX {
            return Err(NumberError::Range);
        }
        Ok(Self { mantissa: if negative { -mantissa } else { mantissa }, decimals })
    }

    /// The mantissa of this number in `decimals`; exact or an error.
    ///
    /// # Errors
    /// [`NumberError::TooPrecise`] when digits would be lost, [`NumberError::Range`] when it does not fit.
    #[inline]
    pub fn rescaled(self, decimals: u8) -> Result<i64, NumberError> {
        if self.decimals == decimals {
            return Ok(self.mantissa);
        }
        if self.decimals <= decimals {
            let factor = pow10(decimals - self.decimals).ok_or(NumberError::Range)?;
            return self.mantissa.checked_mul(factor).ok_or(NumberError::Range);
        }
        let factor = pow10(self.decimals - decimals).ok_or(NumberError::Range)?;
        if self.mantissa % factor != 0 {
            return Err(NumberError::TooPrecise { decimals });
        }
        Ok(self.mantissa / factor)
    }

    /// The same number as a [`Decimal`].
    #[must_use]
    pub fn decimal(self) -> Decimal {
        Decimal::new(self.mantissa, u32::from(self.decimals))
    }

    /// Writes the plain decimal text, with all its decimals, into `out`; returns the written part.
    #[must_use]
    pub fn write_text(self, out: &mut [u8; 24]) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let text = digits.format(self.mantissa.unsigned_abs()).as_bytes();
        let decimals = usize::from(self.decimals.min(Self::DECIMALS_MAX));
        let mut cursor: &mut [u8] = out;
        let room = cursor.len();
        if self.mantissa < 0 {
            let _ = cursor.write(b"-");
        }
        let whole = text.len().saturating_sub(decimals);
        let (head, tail) = text.split_at(whole);
        let _ = cursor.write(if head.is_empty() { b"0" } else { head });
        if decimals > 0 {
            let _ = cursor.write(b".");
            for _ in tail.len()..decimals {
                let _ = cursor.write(b"0");
            }
            let _ = cursor.write(tail);
        }
        let written = room - cursor.len();
        out.get(..written).unwrap_or(&[])
    }
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0_u8; 24];
        f.write_str(std::str::from_utf8(self.write_text(&mut buffer)).unwrap_or(""))
    }
}

impl TryFrom<Decimal> for Scaled {
    type Error = NumberError;

    fn try_from(number: Decimal) -> Result<Self, NumberError> {
        let decimals = u8::try_from(number.scale()).map_err(|_| NumberError::Range)?;
        if decimals > Self::DECIMALS_MAX {
            return Err(NumberError::Range);
        }
        Ok(Self { mantissa: i64::try_from(number.mantissa()).map_err(|_| NumberError::Range)?, decimals })
    }
}

impl Serialize for Scaled {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scaled {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

/// Ten to the power of `exponent`, up to 10^18.
#[must_use]
pub fn pow10(exponent: u8) -> Option<i64> {
    10_i64.checked_pow(u32::from(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_survives_a_round_trip(mantissa in any::<i64>().prop_filter("has a negation", |m| *m != i64::MIN), decimals in 0_u8..=18) {
            let number = Scaled { mantissa, decimals };
            prop_assert_eq!(Scaled::parse(number.to_string().as_bytes()), Ok(number));
            prop_assert_eq!(number.to_string().parse::<Decimal>().unwrap(), number.decimal());
        }

        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Scaled::parse(&bytes);
        }
    }

    #[test]
    fn odd_texts_are_refused() {
        for text in ["", "-", ".", ".5", "5.", "1.2.3", "+1", "1e3", " 1", "0x1", "99999999999999999999"] {
            assert!(Scaled::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn rescaling_is_exact_or_an_error() {
        let number = Scaled::parse(b"1.250").unwrap();
        assert_eq!(number.rescaled(2), Ok(125));
        assert_eq!(number.rescaled(4), Ok(12_500));
        assert_eq!(number.rescaled(1), Err(NumberError::TooPrecise { decimals: 1 }));
    }
}
