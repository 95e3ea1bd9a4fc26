//! What a person may ask of a key, and what becomes of it.

use messages::{KeyAlias, KeyState};

/// A person's wish about a key in care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// Comes back with the answer.
    pub id: u64,
    /// The key.
    pub alias: KeyAlias,
    /// What.
    pub act: WishAct,
}

/// What a person may wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WishAct {
    /// Verify it now.
    Test,
    /// Place nothing with it from now on, with a reason.
    Disable(String),
    /// Trust it again once it is verified, with a reason.
    Enable(String),
    /// Wipe it, with a reason; final.
    Revoke(String),
}

impl WishAct {
    /// The word in messages and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Disable(_) => "disable",
            Self::Enable(_) => "enable",
            Self::Revoke(_) => "revoke",
        }
    }
}

/// Why a wish was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishRefused {
    /// No key of this name is in care.
    #[error("no key `{0}` is in use here")]
    NotInCare(KeyAlias),
    /// The life of a key has no such step.
    #[error("a key that is {} cannot be asked for this", .0.as_str())]
    NoSuchStep(KeyState),
    /// The step could not be saved; the key signs no more than before.
    #[error("it could not be saved: {0}")]
    NotSaved(String),
}
