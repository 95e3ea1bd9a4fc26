//! Names and numbers that identify things.
//!
//! On the hot path a thing is a small number into a table made at start-up;
//! its text is looked up only for people, files and venues.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The venue's spelling of an instrument, such as `BTCUSDT`.
pub type Symbol = ArrayString<24>;
/// The code of a currency or coin, upper case, such as `USDT`.
pub type Asset = ArrayString<12>;
/// A venue order id: theirs, opaque text (Bitget: 19 decimal digits).
pub type VenueOrderId = ArrayString<40>;
/// A venue's id of one fill, unique within the venue and instrument.
pub type VenueTradeId = ArrayString<40>;

macro_rules! small_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// This id as an index into its table.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

small_id! {
    /// One configured venue account, in the order of the configuration.
    VenueId(u8)
}
small_id! {
    /// One instrument of one venue, in the order of the instrument table.
    InstrumentId(u16)
}
small_id! {
    /// One strategy; kept in the journal, so its number never changes meaning
    /// (0 is reserved for operator orders such as flatten).
    StrategyTag(u16)
}

/// Four characters that mark the orders of one data directory: `s` and three base-36 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceTag([u8; 4]);

/// Number of starts of the signer of this data directory; 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u32);

/// Number of an order within its epoch; 48 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(u64);

/// Our id of an order: instance tag (4 characters) and 14 base-36 digits of (epoch, sequence).
///
/// 18 characters of `[0-9a-z]`, which fits every venue. It is no retry key:
/// most venues enforce uniqueness among open orders only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId([u8; 18]);

/// Why a text is not one of our ids.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The text has another length.
    #[error("expected {expected} characters, found {found}")]
    Length {
        /// Characters of a valid id.
        expected: usize,
        /// Characters of the text.
        found: usize,
    },
    /// A character outside `[0-9a-z]`, or a tag that does not begin with `s`.
    #[error("not made of `s` and base-36 digits")]
    Alphabet,
    /// The number does not fit its field.
    #[error("number {number} exceeds {max}")]
    Range {
        /// The number given.
        number: u64,
        /// The largest allowed.
        max: u64,
    },
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Digits of (epoch, sequence) in a client order id; written and read in two halves that fit 64 bits each.
const NUMBER_DIGITS: usize = 14;
/// Base-36 digits of one half.
const HALF_DIGITS: usize = NUMBER_DIGITS / 2;
/// 36^7: one more than the largest half.
const HALF: u64 = 36_u64.pow(7);

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z')
}

/// The value of a digit; of a byte that is none, some number below 256.
const fn digit_value(byte: u8) -> u8 {
    if byte <= b'9' { byte.wrapping_sub(b'0') } else { byte.wrapping_sub(b'a' - 10) }
}

fn write_base36(mut value: u64, out: &mut [u8]) {
    for slot in out.iter_mut().rev() {
        let digit = usize::try_from(value % 36).unwrap_or(0);
        *slot = DIGITS.get(digit).copied().unwrap_or(b'0');
        value /= 36;
    }
}

fn read_base36(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(36).wrapping_add(u64::from(digit_value(*byte))))
}

/// (epoch, sequence) as quotient and rest of their 72-bit number by 36^7, without arithmetic in 128 bits.
const fn to_halves(epoch: u32, sequence: u64) -> (u64, u64) {
    const QUOTIENT: u64 = (1 << 48) / HALF;
    const REST: u64 = (1 << 48) % HALF;
    // 24 bits times less than 37 bits, and 48 bits: below 2^62.
    let rests = epoch as u64 * REST + sequence;
    (epoch as u64 * QUOTIENT + rests / HALF, rests % HALF)
}

impl InstanceTag {
    /// The tag with the three digits of `number` (0 to 46 655); larger numbers wrap.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        let mut tag = *b"s000";
        write_base36(u64::from(number) % 46_656, tag.get_mut(1..).unwrap_or(&mut []));
        Self(tag)
    }

    /// The four characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl FromStr for InstanceTag {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; 4] =
            text.as_bytes().try_into().map_err(|_| IdError::Length { expected: 4, found: text.len() })?;
        if bytes.first() != Some(&b's') || !bytes.iter().all(|byte| is_digit(*byte)) {
            return Err(IdError::Alphabet);
        }
        Ok(Self(bytes))
    }
}

impl Epoch {
    /// Largest epoch: 24 bits.
    pub const MAX: u32 = (1 << 24) - 1;

    /// # Errors
    /// [`IdError::Range`] above [`Epoch::MAX`]: the data directory has been started 16.7 million times.
    pub fn new(number: u32) -> Result<Self, IdError> {
        if number > Self::MAX {
            return Err(IdError::Range { number: u64::from(number), max: u64::from(Self::MAX) });
        }
        Ok(Self(number))
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Sequence {
    /// Largest sequence: 48 bits.
    pub const MAX: u64 = (1 << 48) - 1;

    /// # Errors
    /// [`IdError::Range`] above [`Sequence::MAX`].
    pub const fn new(number: u64) -> Result<Self, IdError> {
        if number > Self::MAX {
            return Err(IdError::Range { number, max: Self::MAX });
        }
        Ok(Self(number))
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl ClientOrderId {
    /// Characters of every client order id.
    pub const LEN: usize = 18;

    /// The id of order `sequence` of `epoch` under `tag`.
    #[must_use]
    pub fn new(tag: InstanceTag, epoch: Epoch, sequence: Sequence) -> Self {
        let (high, low) = to_halves(epoch.0, sequence.0);
        let mut bytes = [b'0'; Self::LEN];
        let [a, b, c, d, number @ ..] = &mut bytes;
        [*a, *b, *c, *d] = tag.0;
        let (head, tail) = number.split_at_mut(HALF_DIGITS);
        write_base36(high, head);
        write_base36(low, tail);
        Self(bytes)
    }

    /// The 18 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The 18 characters, all ASCII.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The tag of the data directory that made this id.
    #[must_use]
    pub fn tag(&self) -> InstanceTag {
        let [a, b, c, d, ..] = self.0;
        InstanceTag([a, b, c, d])
    }

    /// The 72-bit number of epoch and sequence; larger than that for digits that no id has.
    fn bits(&self) -> u128 {
        let [_, _, _, _, number @ ..] = &self.0;
        let (head, tail) = number.split_at(HALF_DIGITS);
        u128::from(read_base36(head)) * u128::from(HALF) + u128::from(read_base36(tail))
    }

    /// The epoch in which this id was made, and the sequence within it.
    #[must_use]
    pub fn number(&self) -> (Epoch, Sequence) {
        let bits = self.bits();
        let epoch = u32::try_from((bits >> 48) & u128::from(Epoch::MAX)).unwrap_or(0);
        let sequence = u64::try_from(bits & u128::from(Sequence::MAX)).unwrap_or(0);
        (Epoch(epoch), Sequence(sequence))
    }

    /// The epoch in which this id was made.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.number().0
    }

    /// The sequence within its epoch.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.number().1
    }

    /// Whether a venue's text has the form of this program's ids, whatever the instance.
    #[must_use]
    pub fn looks_like_ours(text: &str) -> bool {
        Self::from_str(text).is_ok()
    }
}

impl FromStr for ClientOrderId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; Self::LEN] =
            text.as_bytes().try_into().map_err(|_| IdError::Length { expected: Self::LEN, found: text.len() })?;
        if bytes.first() != Some(&b's') || !bytes.iter().all(|byte| is_digit(*byte)) {
            return Err(IdError::Alphabet);
        }
        let id = Self(bytes);
        let max = (1_u128 << 72) - 1;
        if id.bits() > max {
            return Err(IdError::Range { number: u64::MAX, max: u64::MAX });
        }
        Ok(id)
    }
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
text_form!(InstanceTag);
text_form!(ClientOrderId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn client_order_id_gives_back_its_parts(tag in 0_u16..46_656, epoch in 0_u32..=Epoch::MAX, sequence in 0_u64..=Sequence::MAX) {
            let tag = InstanceTag::from_number(tag);
            let id = ClientOrderId::new(tag, Epoch::new(epoch).unwrap(), Sequence::new(sequence).unwrap());
            prop_assert_eq!(id.tag(), tag);
            prop_assert_eq!(id.epoch().get(), epoch);
            prop_assert_eq!(id.sequence().get(), sequence);
            prop_assert_eq!(id.as_str().parse::<ClientOrderId>().unwrap(), id);
        }
    }

    #[test]
    fn digits_are_those_of_the_number_in_base_36() {
        let tag = InstanceTag::from_number(7);
        for (epoch, sequence) in
            [(0, 0), (0, 35), (1, 0), (3, 77), (Epoch::MAX, 0), (0, Sequence::MAX), (Epoch::MAX, Sequence::MAX)]
        {
            let id = ClientOrderId::new(tag, Epoch::new(epoch).unwrap(), Sequence::new(sequence).unwrap());
            let mut number = (u128::from(epoch) << 48) | u128::from(sequence);
            let mut text = Vec::new();
            for _ in 0..NUMBER_DIGITS {
                text.push(DIGITS[usize::try_from(number % 36).unwrap()]);
                number /= 36;
            }
            text.reverse();
            assert_eq!(id.as_str().as_bytes(), [tag.as_str().as_bytes(), &text].concat(), "{epoch} {sequence}");
        }
    }

    #[test]
    fn later_ids_of_an_epoch_sort_later() {
        let tag = InstanceTag::from_number(7);
        let id = |n| ClientOrderId::new(tag, Epoch::new(3).unwrap(), Sequence::new(n).unwrap());
        assert!(id(9) < id(10) && id(35) < id(36) && id(1_295) < id(1_296));
    }

    #[test]
    fn foreign_texts_are_not_ours() {
        for text in
            ["", "blk-0001", "S00000000000000000", "x00000000000000000", "szzzzzzzzzzzzzzzzz", "s0000000000000000ü"]
        {
            assert!(!ClientOrderId::looks_like_ours(text), "{text}");
        }
    }
}
