//! The key manager: the life cycle of keys, without their secrets.
//!
//! In: [`KeyMessage`] - clock measurements, answers to its questions, rejections by the venue, a person's
//! wish. Out: signed questions to the order path, and [`KeyNews`] - findings for people, moves to be saved,
//! duties for order path and signer.
//!
//! Invariants:
//! - A key becomes Active only after its rights were read from the venue and a signed read succeeded.
//! - A key that may withdraw, transfer or manage accounts is never Active for longer than one check.
//! - States move only along [`lifecycle::TABLE`].
//! - No secret is ever seen here.

mod actor;
mod care;
mod core;
mod dates;
pub mod lifecycle;
mod probe;
mod rotation;
mod wish;

pub use crate::core::{Act, Policy, Verdict, Verification};
pub use actor::{KeyManager, KeyMessage, KeyNews, KeyNewsBody, KeyOutlets};
pub use care::{CareAct, KeyCare, KeySpec};
pub use dates::{DateWarning, KeyDates};
pub use probe::{ProbeLine, fault_of, fault_of_silence, fix, venue_words, what};
pub use rotation::{NoRotation, RotationDesk, RotationNews, is_about_the_key};
pub use wish::{KeyWish, WishAct, WishRefused};
