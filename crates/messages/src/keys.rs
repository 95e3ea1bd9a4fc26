//! The life of a key as other actors see it. No message holds a secret.

use arrayvec::{ArrayString, ArrayVec};
use domain::UnixNanos;
use serde::{Deserialize, Serialize};

/// The name a user gave a key.
pub type KeyAlias = ArrayString<32>;

/// Where a key is in its life (CUSTODY section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Stored, not yet verified.
    Linked,
    /// Being verified.
    Verifying,
    /// In use.
    Active,
    /// Verified and waiting for its cut-over.
    Standby,
    /// Being replaced.
    Rotating,
    /// Must not sign anything that adds risk.
    Quarantined,
    /// Past its date.
    Expired,
    /// Wiped; final.
    Revoked,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Linked,
        Self::Verifying,
        Self::Active,
        Self::Standby,
        Self::Rotating,
        Self::Quarantined,
        Self::Expired,
        Self::Revoked,
    ];

    /// The word in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Verifying => "verifying",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Rotating => "rotating",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The word shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linked => "Linked",
            Self::Verifying => "Verifying",
            Self::Active => "Active",
            Self::Standby => "Standby",
            Self::Rotating => "Rotating",
            Self::Quarantined => "Quarantined",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
        }
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Places and cancels orders.
    Trade,
    /// Only logs in to private streams and reads.
    Stream,
}

/// What the key of a venue account may be used for now; each allows all that the one before allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyDuty {
    /// Nothing.
    None,
    /// Questions about the key and account only.
    VerifyOnly,
    /// Cancels and questions.
    CancelOnly,
    /// Everything that policy allows.
    Full,
}

/// How a venue keeps an account: each product on its own, or all as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountMode {
    /// A wallet for each product (Bitget: classic, API v2).
    Classic,
    /// One account that is collateral for all products (Bitget: unified, API v3).
    Unified,
}

impl AccountMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Classic, Self::Unified];

    /// The word in settings, journal and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Unified => "unified",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Classic => Self::Unified,
            Self::Unified => Self::Classic,
        }
    }
}

/// One right of a key, in words common to all venues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRight {
    /// Reads spot orders and balances.
    SpotRead,
    /// Places and cancels spot orders.
    SpotTrade,
    /// Reads futures.
    FuturesRead,
    /// Trades futures.
    FuturesTrade,
    /// Reads or trades margin.
    Margin,
    /// Copy trading.
    CopyTrading,
    /// Moves money between wallets. Refused.
    Transfer,
    /// Moves money out. Refused.
    Withdraw,
    /// Manages sub-accounts or keys. Refused.
    ManageAccounts,
    /// Manages a unified account: leverage and modes, and moves between the owner's own wallets. The venue cannot give
    /// the first without the second.
    UnifiedManagement,
    /// Something this program does not know; not proof of anything good.
    Unknown,
}

impl KeyRight {
    /// The word shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SpotRead => "spot read",
            Self::SpotTrade => "spot trade",
            Self::FuturesRead => "futures read",
            Self::FuturesTrade => "futures trade",
            Self::Margin => "margin",
            Self::CopyTrading => "copy trading",
            Self::Transfer => "transfer",
            Self::Withdraw => "withdraw",
            Self::ManageAccounts => "manage accounts",
            Self::UnifiedManagement => "unified account management",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a key with it is never made Active.
    #[must_use]
    pub const fn is_forbidden(self) -> bool {
        matches!(self, Self::Transfer | Self::Withdraw | Self::ManageAccounts)
    }
}

/// What the venue says about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// The venue's id of the account.
    pub account: ArrayString<32>,
    /// The account that this one is a sub-account of; `None`: it is a main account, or the venue does not tell.
    #[serde(default)]
    pub parent: Option<ArrayString<32>>,
    /// Its rights.
    pub rights: ArrayVec<KeyRight, 24>,
    /// How many addresses it is bound to; zero: any address.
    pub bound_addresses: u16,
    /// When it ends, where the venue says so.
    pub expires: Option<UnixNanos>,
    /// How the venue keeps the account, where it has more than one way: the one in which it answered.
    #[serde(default)]
    pub account_mode: Option<AccountMode>,
}

/// What was found when a key was tried, one line for each probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeFault {
    /// The venue does not know the key.
    Key,
    /// The secret does not fit the key.
    Signature,
    /// The passphrase does not fit.
    Passphrase,
    /// This machine's address is not on the key's list.
    Ip,
    /// The key lacks a right it needs.
    Permission,
    /// The key has a right it must not have.
    ForbiddenRight,
    /// Own clock too far from the venue's.
    Clock,
    /// Demo key on production or the reverse.
    Environment,
    /// A unified account, not supported yet, or the reverse.
    AccountMode,
    /// The account is frozen or restricted.
    Account,
    /// The venue could not be reached or did not answer.
    Venue,
    /// Policy wants an address binding and there is none.
    IpUnbound,
}
