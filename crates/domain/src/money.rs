//! Money: checked decimals, one type for each meaning.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount left the range of a decimal (96 bits of digits).
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("amount out of range")]
pub struct MoneyOverflow;

macro_rules! money {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "rust_decimal::serde::str")] pub Decimal);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(Decimal::ZERO);

            /// # Errors
            /// [`MoneyOverflow`] beyond the range of a decimal.
            pub fn plus(self, other: Self) -> Result<Self, MoneyOverflow> {
                self.0.checked_add(other.0).map(Self).ok_or(MoneyOverflow)
            }

            /// # Errors
            /// [`MoneyOverflow`] beyond the range of a decimal.
            pub fn minus(self, other: Self) -> Result<Self, MoneyOverflow> {
                self.0.checked_sub(other.0).map(Self).ok_or(MoneyOverflow)
            }

            /// # Errors
            /// [`MoneyOverflow`] beyond the range of a decimal.
            pub fn times(self, factor: Decimal) -> Result<Self, MoneyOverflow> {
                self.0.checked_mul(factor).map(Self).ok_or(MoneyOverflow)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

money! {
    /// Price times quantity, in the quote asset; never negative for an order.
    Notional
}
money! {
    /// Profit (positive) or loss (negative), in the quote asset.
    Pnl
}
money! {
    /// A balance or amount of some asset.
    Amount
}
