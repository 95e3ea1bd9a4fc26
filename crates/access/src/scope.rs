//! Scopes, what each allows, and the roles that bundle them.

use serde::{Deserialize, Serialize};

macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// One right at the control interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant,)+
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the command line, in files and in answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

scopes! {
    /// See everything but the audit log.
    Read = "read",
    /// Cancel resting orders.
    OrdersCancel = "orders.cancel",
    /// Pause, resume from a pause, halt.
    TradePause = "trade.pause",
    /// Lift a halt.
    TradeResume = "trade.resume",
    /// Change strategies.
    StrategyWrite = "strategy.write",
    /// Make limits narrower.
    LimitsTighten = "limits.tighten",
    /// Make limits wider.
    LimitsLoosen = "limits.loosen",
    /// Link an exchange key.
    KeysLink = "keys.link",
    /// Replace an exchange key.
    KeysRotate = "keys.rotate",
    /// Revoke an exchange key.
    KeysRevoke = "keys.revoke",
    /// Change what the signer signs.
    PolicyWrite = "policy.write",
    /// See the audit log.
    AuditRead = "audit.read",
    /// Make and revoke API keys.
    Admin = "admin",
}

impl Scope {
    /// The scope of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == word)
    }
}

/// A set of scopes, in the order of [`Scope::ALL`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Scope>")]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Whether this scope is among them.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(mut scopes: Vec<Scope>) -> Self {
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().collect::<Vec<_>>().into()
    }
}

/// A bundle of scopes with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Sees, and does what lowers risk or goes on as before.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Its scopes.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        use Scope::{KeysRevoke, LimitsTighten, OrdersCancel, Read, StrategyWrite, TradePause};
        match self {
            Self::Viewer => [Read].into_iter().collect(),
            Self::Operator => {
                [Read, OrdersCancel, TradePause, StrategyWrite, LimitsTighten, KeysRevoke].into_iter().collect()
            }
            Self::Admin => Scopes::all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_nothing_else_is() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_word(scope.as_str()), Some(*scope));
            assert_eq!(serde_json::to_string(scope).unwrap(), format!("\"{}\"", scope.as_str()));
        }
        for word in ["", "READ", "trade", "trade.*", "*", "root"] {
            assert_eq!(Scope::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn operator_lowers_risk_and_can_raise_none() {
        let operator = Role::Operator.scopes();
        for scope in [
            Scope::TradeResume,
            Scope::LimitsLoosen,
            Scope::KeysLink,
            Scope::KeysRotate,
            Scope::PolicyWrite,
            Scope::Admin,
        ] {
            assert!(!operator.contains(scope), "{}", scope.as_str());
        }
        assert!(Role::Viewer.scopes().iter().all(|scope| operator.contains(scope)));
        assert!(operator.iter().all(|scope| Role::Admin.scopes().contains(scope)));
        assert_eq!(Role::Viewer.scopes().iter().collect::<Vec<_>>(), [Scope::Read]);
    }
}
