//! Scalars of public frames, read without allocation: words, whole numbers, decimals.

use domain::Scaled;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Text without escapes, borrowed from the frame; anything else is nothing (our words have no escapes).
pub(crate) struct Word<'a>(pub(crate) Option<&'a str>);

impl<'de> Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl<'de> Visitor<'de> for WordVisitor {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Some(text)))
            }

            fn visit_str<E>(self, _: &str) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_unit<E>(self) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Word(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Word<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Word(None))
            }
        }
        deserializer.deserialize_any(WordVisitor)
    }
}

/// A whole number as text or number; empty and `null` are none.
#[derive(Clone, Copy)]
pub(crate) struct Whole(pub(crate) Option<i128>);

impl Whole {
    /// As a count or time; zero counts as none.
    pub(crate) fn positive(self) -> Option<u64> {
        self.0.and_then(|number| u64::try_from(number).ok()).filter(|number| *number != 0)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Whole, E> {
                if text.is_empty() {
                    return Ok(Whole(None));
                }
                // Up to 19 digits need no wide arithmetic.
                let number = match text.parse::<i64>() {
                    Ok(number) => i128::from(number),
                    Err(_) => text.parse().map_err(|_| E::custom("whole number"))?,
                };
                Ok(Whole(Some(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(Some(i128::from(number))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(Some(i128::from(number))))
            }

            fn visit_unit<E>(self) -> Result<Whole, E> {
                Ok(Whole(None))
            }
        }
        deserializer.deserialize_any(WholeVisitor)
    }
}

/// A decimal as text, its digits going straight into an integer. A JSON number with a fraction is an
/// error: it would come through binary, where digits may be lost unseen.
pub(crate) struct Digits(pub(crate) Scaled);

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DigitsVisitor;
        impl Visitor<'_> for DigitsVisitor {
            type Value = Digits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number")
            }

            #[inline]
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digits, E> {
                Scaled::parse(text.as_bytes()).map(Digits).map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Digits, E> {
                let mantissa = i64::try_from(number).map_err(E::custom)?;
                Ok(Digits(Scaled { mantissa, decimals: 0 }))
            }
        }
        deserializer.deserialize_any(DigitsVisitor)
    }
}
