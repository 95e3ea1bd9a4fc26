//! The API keys over the API: what is asked and what is answered.

use crate::problem::Problem;
use access::{AccessError, ApiKey, ApiKeys, IpNet, NewApiKey, Role, Scope, Scopes};
use serde::{Deserialize, Serialize};

/// A wish for a new API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What a person calls it.
    pub name: String,
    /// A bundle of scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Scopes beside those of the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// How long it lives, in days; none: 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// The addresses that may use it; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<IpNet>,
    /// The one-time code, when it is not sent as a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<String>,
}

impl NewKey {
    /// The key that is to be made.
    #[must_use]
    pub fn wanted(&self) -> NewApiKey {
        let scopes: Scopes =
            self.role.map(Role::scopes).unwrap_or_default().iter().chain(self.scopes.iter().copied()).collect();
        NewApiKey {
            name: self.name.clone(),
            scopes,
            from: self.from.clone(),
            days: self.days.unwrap_or(NewApiKey::DAYS_DEFAULT),
        }
    }
}

/// A new API key with its secret, which is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyMade {
    /// What is kept of it.
    #[serde(flatten)]
    pub key: ApiKey,
    /// `id.secret`.
    pub token: String,
}

/// All API keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessView {
    /// Grows with every key made or revoked; also the ETag.
    pub revision: u64,
    /// Oldest first, without secrets.
    pub keys: Vec<ApiKey>,
}

impl AccessView {
    /// What is kept now.
    #[must_use]
    pub fn of(keys: &ApiKeys) -> Self {
        Self { revision: keys.revision(), keys: keys.list().cloned().collect() }
    }
}

pub(crate) fn refused(error: &AccessError) -> Problem {
    let (status, code) = match error {
        AccessError::File(_) | AccessError::NoRandomness => (500, "not_stored"),
        AccessError::BadName { .. } => (400, "bad_name"),
        AccessError::NoScope => (400, "no_scope"),
        AccessError::BadLife => (400, "bad_life"),
        AccessError::NameTaken { .. } => (409, "name_taken"),
        AccessError::TooMany { .. } => (409, "too_many"),
        AccessError::NoSuchKey { .. } => (404, "no_such_key"),
    };
    Problem::new(status, code, error.to_string(), "nothing was changed; `steadfast access list` shows all API keys")
}
