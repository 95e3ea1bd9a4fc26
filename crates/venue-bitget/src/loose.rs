//! Lenient JSON values: the venue writes one and the same field as text, number, empty text or `null`.
//!
//! Invariant: lenient in form, exact in value; a number that cannot be kept exactly is an error.

use domain::{NumberError, Scaled, UnixNanos};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A scalar of whatever JSON form; a missing field, `null`, `""`, an object and a list all read as nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Loose<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Loose<'a> {
    /// The scalar as text, without quotes.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let raw = self.0?.get();
        let text = match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
            Some(_) => Cow::Owned(serde_json::from_str(raw).ok()?),
            None if raw.starts_with(['{', '[']) => return None,
            None => Cow::Borrowed(raw),
        };
        (!text.is_empty()).then_some(text)
    }

    /// The scalar as an exact number that travels.
    pub(crate) fn scaled(self) -> Result<Option<Scaled>, NumberError> {
        self.text().map(|text| scaled(&text)).transpose()
    }

    /// The scalar as an exact decimal.
    pub(crate) fn decimal(self) -> Result<Option<Decimal>, NumberError> {
        self.text().map(|text| decimal(&text)).transpose()
    }

    /// Milliseconds since 1970 as a time; nothing where there is none. Some answers have seconds instead.
    pub(crate) fn millis(self) -> Option<UnixNanos> {
        /// As milliseconds this is 1973: whatever is below was meant in seconds.
        const SECONDS_BELOW: u64 = 100_000_000_000;
        let number: u64 = self.text()?.parse().ok()?;
        Some(UnixNanos::from_millis(if number < SECONDS_BELOW { number.saturating_mul(1_000) } else { number }))
    }

    /// This scalar, or `other` where this is nothing.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.text().is_some() { self } else { other }
    }

    /// The value as it stands, for parts that are read separately.
    pub(crate) const fn raw(self) -> Option<&'a RawValue> {
        self.0
    }
}

/// Reads a number exactly. `60000.0000000000000000` has more digits than 64 bits hold, so zeros at the end give way.
pub(crate) fn scaled(text: &str) -> Result<Scaled, NumberError> {
    match Scaled::parse(text.as_bytes()) {
        Err(NumberError::Range) if text.contains('.') => {
            Scaled::parse(text.trim_end_matches('0').trim_end_matches('.').as_bytes())
        }
        Err(NumberError::Malformed) if text.contains(['e', 'E']) => Scaled::try_from(decimal(text)?.normalize()),
        read => read,
    }
}

/// Reads an amount exactly, in plain or scientific notation.
pub(crate) fn decimal(text: &str) -> Result<Decimal, NumberError> {
    if text.contains(['e', 'E']) {
        return Decimal::from_scientific(text).map_err(|_| NumberError::Malformed);
    }
    // Zeros at the end carry no value but may exceed the 28 digits of a decimal.
    let plain = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    Decimal::from_str_exact(plain).map_err(|_| NumberError::Malformed)
}

/// Text of bounded length, or nothing when it is too long.
pub(crate) fn fixed<const N: usize>(text: &str) -> Option<arrayvec::ArrayString<N>> {
    arrayvec::ArrayString::from(text).ok()
}

/// As much of `text` as fits, on a character boundary, without control characters.
pub(crate) fn cut<const N: usize>(text: &str) -> arrayvec::ArrayString<N> {
    let mut out = arrayvec::ArrayString::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if out.try_push(character).is_err() {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow, default)]
        value: Loose<'a>,
    }

    fn text(json: &str) -> Option<String> {
        serde_json::from_str::<Row<'_>>(json).unwrap().value.text().map(Cow::into_owned)
    }

    #[test]
    fn a_scalar_is_read_in_any_form() {
        assert_eq!(text(r#"{"value":"12.50"}"#).as_deref(), Some("12.50"));
        assert_eq!(text(r#"{"value":12.50}"#).as_deref(), Some("12.50"));
        assert_eq!(text(r#"{"value":"a\"b"}"#).as_deref(), Some("a\"b"));
        for nothing in [r#"{"value":null}"#, r#"{"value":""}"#, r#"{"value":{}}"#, r#"{"value":[1]}"#, "{}"] {
            assert_eq!(text(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn numbers_longer_than_64_bits_are_read_when_only_zeros_are_too_many() {
        assert_eq!(scaled("60000.0000000000000000"), Ok(Scaled { mantissa: 60_000, decimals: 0 }));
        assert_eq!(scaled("1.2300"), Ok(Scaled { mantissa: 12_300, decimals: 4 }));
        assert_eq!(scaled("4e-7"), Ok(Scaled { mantissa: 4, decimals: 7 }));
        assert!(scaled("63123.1234567890123456").is_err());
        assert!(scaled("NaN").is_err());
    }

    #[test]
    fn a_cut_text_stays_whole_characters() {
        assert_eq!(cut::<5>("aé\nüx").as_str(), "aéü");
        assert_eq!(cut::<4>("aéü").as_str(), "aé");
    }
}
