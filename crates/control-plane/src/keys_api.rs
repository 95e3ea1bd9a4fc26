//! Exchange keys over the API: what is asked and what is answered. Nothing here can hold a secret: the values of a new
//! key come sealed to the signer, and no answer has a field for them.

use crate::backend::ActRefused;
use crate::limits::REASON_CHARS_MAX;
use crate::problem::Problem;
use crate::routes::Action;
use jiff::Timestamp;
use messages::{KeyAlias, KeyRole};
use serde::{Deserialize, Serialize};

/// One exchange key with everything that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDetail {
    /// Its name.
    pub alias: String,
    /// Kind of venue.
    pub venue: String,
    /// `production`, `demo` or `sim`.
    pub environment: String,
    /// The account as the settings name it.
    pub account: String,
    /// `trade` or `stream`.
    pub role: String,
    /// Its place in the life cycle, such as `Active`.
    pub status: String,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// When it was linked.
    pub created: Timestamp,
    /// When it was last verified with success.
    pub verified: Option<Timestamp>,
    /// What it may do at the venue, as last read.
    pub rights: Vec<String>,
    /// Addresses it is bound to, as last read; zero: any.
    pub bound_addresses: u16,
    /// When it ends at the venue.
    pub expires: Option<Timestamp>,
    /// When it should be replaced.
    pub rotation_due: Timestamp,
    /// The start of the digest of the API key.
    pub fingerprint: String,
    /// The wallets to follow.
    pub wallets: Vec<String>,
    /// What may be signed with it; empty: no policy of its own.
    pub policy: String,
    /// A loosened policy that waits.
    pub waiting_policy: Option<WaitingPolicyView>,
    /// Whether it is being verified now.
    pub verifying: bool,
    /// What the latest verification of this run has found.
    pub probes: Vec<ProbeView>,
    /// Its way through its life, oldest first.
    pub history: Vec<KeyStepView>,
    /// The latest change in this run of the key at work to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationView>,
}

/// One key on its way to take the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationView {
    /// The key that is to take over.
    pub next: String,
    /// `verifying`, `draining`, `done`, `taken_back` or `refused`.
    pub stage: String,
    /// What has happened, a line each.
    pub lines: Vec<String>,
}

/// A loosened policy that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingPolicyView {
    /// The policy.
    pub policy: String,
    /// When it takes effect.
    pub due: Timestamp,
}

/// One finding of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeView {
    /// What was looked at.
    pub what: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// One step of a key's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStepView {
    /// When.
    pub time: Timestamp,
    /// The state that it came to; none: its policy changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why, for people.
    pub reason: String,
}

/// What happened to one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHistory {
    /// The key's name.
    pub alias: String,
    /// The start of the digest of the API key: names are used again after a revocation.
    pub fingerprint: String,
    /// Oldest first.
    pub history: Vec<KeyStepView>,
}

/// The public half of the signer's sealing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingKeyView {
    /// The X25519 key in hexadecimal.
    pub key: String,
    /// The start of the signer that it belongs to.
    pub boot: String,
}

/// A new key whose values only the signer can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewExchangeKey {
    /// The name to give it.
    pub alias: KeyAlias,
    /// Kind of venue.
    pub venue: String,
    /// The account as the settings name it.
    pub account: String,
    /// What it is for.
    pub role: KeyRole,
    /// The wallets to follow.
    pub wallets: Vec<String>,
    /// The values, sealed.
    pub sealed: String,
    /// The policy that was confirmed for it; none: that of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The one-time code, when it is not sent as a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<String>,
}

/// A wish about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAct {
    /// Link a new one.
    Add(Box<NewExchangeKey>),
    /// Verify it now.
    Test,
    /// Place nothing with it from now on.
    Disable,
    /// Trust it again once it is verified.
    Enable,
    /// Let another key take its place: the one named, else the only one that waits.
    Rotate(Option<KeyAlias>),
    /// Wipe it; final.
    Revoke,
    /// Let it sign less.
    Tighten(String),
    /// Let it sign more.
    Loosen(String),
}

/// A wish about a key, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// The key.
    pub alias: KeyAlias,
    /// What.
    pub act: KeyAct,
    /// Why, in the operator's words; never empty for [`KeyAct::Disable`] and [`KeyAct::Enable`].
    pub reason: String,
    /// From where: an address with port, or `socket`.
    pub origin: String,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDone {
    /// The key's state now.
    pub status: String,
    /// Each thing that was done, a sentence each.
    pub done: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    alias: KeyAlias,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    to: Option<KeyAlias>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    totp: Option<String>,
}

/// A wish as it was sent: without its origin, with its code.
pub(crate) struct Sent {
    pub(crate) alias: KeyAlias,
    pub(crate) act: KeyAct,
    pub(crate) reason: String,
    pub(crate) totp: Option<String>,
}

/// Reads the body of a wish about a key.
pub(crate) fn read(action: Action, bytes: &[u8]) -> Result<Sent, Problem> {
    let bad = |takes: &str| Problem::new(400, "bad_body", "bad request", format!("the body must be {takes}"));
    // A derived struct would take a list as well.
    let object = bytes.trim_ascii_start().starts_with(b"{");
    if action == Action::KeyAdd {
        let takes = "{\"alias\", \"venue\", \"account\", \"role\": \"trade|stream\", \"wallets\": [...], \"sealed\"}; \
                     values are taken sealed only, see GET /api/v1/keys/sealing-key";
        let mut key: NewExchangeKey =
            serde_json::from_slice(bytes).ok().filter(|_| object).ok_or_else(|| bad(takes))?;
        let (alias, totp) = (key.alias, key.totp.take());
        return Ok(Sent { alias, act: KeyAct::Add(Box::new(key)), reason: String::new(), totp });
    }
    let with_policy = matches!(action, Action::PolicyTighten | Action::PolicyLoosen);
    let takes = if with_policy {
        "{\"alias\": \"...\", \"policy\": \"...\", \"reason\": \"...\"}"
    } else {
        "{\"alias\": \"...\", \"reason\": \"...\"}"
    };
    let body: Body = serde_json::from_slice(bytes).ok().filter(|_| object).ok_or_else(|| bad(takes))?;
    let reason = body.reason.trim();
    if reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        let detail = format!("a reason is one line of at most {REASON_CHARS_MAX} characters");
        return Err(Problem::new(400, "bad_reason", "bad request", detail));
    }
    if body.to.is_some() && action != Action::KeyRotate {
        return Err(bad(takes));
    }
    let act = match (action, body.policy) {
        (Action::KeyTest, None) => KeyAct::Test,
        (Action::KeyDisable, None) => KeyAct::Disable,
        (Action::KeyEnable, None) => KeyAct::Enable,
        (Action::KeyRotate, None) => KeyAct::Rotate(body.to),
        (Action::KeyRevoke, None) => KeyAct::Revoke,
        (Action::PolicyTighten, Some(policy)) => KeyAct::Tighten(policy),
        (Action::PolicyLoosen, Some(policy)) => KeyAct::Loosen(policy),
        _ => return Err(bad(takes)),
    };
    if matches!(act, KeyAct::Disable | KeyAct::Enable) && reason.is_empty() {
        return Err(Problem::new(400, "reason_missing", "bad request", "say why"));
    }
    Ok(Sent { alias: body.alias, act, reason: reason.to_owned(), totp: body.totp })
}

/// The answer to a wish that was not fulfilled.
pub(crate) fn refused(refused: ActRefused) -> Problem {
    let status = match refused.code {
        "no_such_key" => 404,
        "code_needed" => 403,
        "away" => 503,
        _ => 409,
    };
    Problem::new(status, refused.code, refused.why, refused.fix)
}
