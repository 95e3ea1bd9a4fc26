//! What is recorded: an entry as its author makes it, and what to do when it cannot be recorded.

use crate::AuditError;
use serde::{Deserialize, Serialize};

/// Longest text of one field, in bytes; what is longer is cut.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// One thing that was done, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Who did it: an API key's id, a session, or `system`.
    pub actor: Name,
    /// Where from: an address, `terminal`, `daemon`.
    pub source: Name,
    /// What was done.
    pub verb: AuditVerb,
    /// To what: a key's name, an account; empty if there is nothing to name.
    pub target: Name,
    /// How it ended.
    pub decision: Decision,
    /// Why: a code, or the words that a person gave.
    pub reason: String,
    /// SHA-256 of the request that asked for it, if there was one.
    pub request: Option<[u8; 32]>,
}

impl AuditEntry {
    /// An entry of the program itself, without target or reason.
    #[must_use]
    pub fn by_system(verb: AuditVerb, decision: Decision) -> Self {
        Self {
            actor: Name::clear("system"),
            source: Name::clear("daemon"),
            verb,
            target: Name::clear(""),
            decision,
            reason: String::new(),
            request: None,
        }
    }

    /// The same by this actor from this source.
    #[must_use]
    pub fn from(self, actor: Name, source: Name) -> Self {
        Self { actor, source, ..self }
    }

    /// The same about this target.
    #[must_use]
    pub fn about(self, target: Name) -> Self {
        Self { target, ..self }
    }

    /// The same for this reason.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }
}

/// An identifier in an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Name {
    /// Written as it is.
    Clear(String),
    /// Written as a keyed hash: the same name is seen to be the same, and is not told.
    Hidden(String),
}

impl Name {
    /// A name that may be read by everybody who may read the log.
    pub fn clear(text: impl Into<String>) -> Self {
        Self::Clear(text.into())
    }

    /// A name that is not needed in clear.
    pub fn hidden(text: impl Into<String>) -> Self {
        Self::Hidden(text.into())
    }
}

/// Text as it may stand in the log: no control or direction-changing character, no more than the bound.
pub(crate) fn tame(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    for character in text.chars() {
        let hostile = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        let shown = if hostile { '?' } else { character };
        if out.len() + shown.len_utf8() > TEXT_BYTES_MAX {
            break;
        }
        out.push(shown);
    }
    out
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $raises:literal;)*) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum AuditVerb {
            $($(#[$doc])* $name,)*
        }

        impl AuditVerb {
            /// Every verb.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Whether it can make a loss possible that was impossible before. Such a verb is on disk before it
            /// is confirmed, and is refused while nothing can be recorded.
            #[must_use]
            pub const fn raises_risk(self) -> bool {
                match self {
                    $(Self::$name => $raises,)*
                }
            }
        }
    };
}

verbs! {
    /// The program started.
    Start = "start", true;
    /// The program stopped.
    Stop = "stop", false;
    /// A vault was made.
    VaultCreated = "vault_created", true;
    /// The vault was opened, or was not.
    VaultUnlocked = "vault_unlocked", true;
    /// The passphrase was changed.
    PassphraseChanged = "passphrase_changed", true;
    /// The data key was changed and everything encrypted again.
    DataKeyRotated = "data_key_rotated", true;
    /// A way to open the vault was added.
    SlotAdded = "slot_added", true;
    /// A way to open the vault was removed.
    SlotRemoved = "slot_removed", true;
    /// A copy of the vault was made.
    VaultBackedUp = "vault_backed_up", true;
    /// A copy of the vault was put in its place.
    VaultRestored = "vault_restored", true;
    /// Keys were written out for another program.
    VaultExported = "vault_exported", true;
    /// An older vault was put back, and refused.
    RollbackRefused = "rollback_refused", false;
    /// An older vault was accepted by a person.
    RollbackAccepted = "rollback_accepted", true;
    /// A key was linked.
    KeyLinked = "key_linked", true;
    /// A key moved from one state to another, towards use.
    KeyMoved = "key_moved", true;
    /// A key was taken out of use.
    KeyWithdrawn = "key_withdrawn", false;
    /// What a key may do was narrowed.
    PolicyTightened = "policy_tightened", false;
    /// What a key may do was widened.
    PolicyLoosened = "policy_loosened", true;
    /// Trading was halted.
    Halt = "halt", false;
    /// A halt was lifted.
    Unhalt = "unhalt", true;
    /// Trading was paused.
    Pause = "pause", false;
    /// A pause was ended.
    Resume = "resume", true;
    /// Somebody could not prove who they are.
    AuthenticationRefused = "authentication_refused", false;
    /// A credential of the control interface was made or widened.
    CredentialGranted = "credential_granted", true;
    /// A credential of the control interface was taken away.
    CredentialRevoked = "credential_revoked", false;
    /// One-time codes of the operator were set up.
    CodesEnrolled = "codes_enrolled", true;
    /// One-time codes of the operator are asked for no more.
    CodesDisabled = "codes_disabled", true;
    /// The operator's recovery codes were replaced.
    RecoveryRenewed = "recovery_renewed", true;
    /// A closed segment of the signatures' own record, by its hash.
    GuardSegment = "guard_segment", false;
    /// The end of this log was damaged and has been set aside.
    LogRepaired = "log_repaired", false;
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// It was done.
    Done,
    /// It may be done, and is about to be.
    Allowed,
    /// It was refused.
    Refused,
    /// It was tried and did not work.
    Failed,
}

impl Decision {
    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What follows from an attempt to record.
#[derive(Debug)]
pub enum Permission {
    /// Recorded under this number: go on.
    Recorded(u64),
    /// Not recorded, and it lowers risk: go on, and tell somebody.
    GoOnUnrecorded(AuditError),
    /// Not recorded, and it raises risk: do not do it.
    Refuse(AuditError),
}

/// The rule: what raises risk is not done unrecorded; a cancel or a halt never waits for a record.
#[must_use]
pub fn fail_closed(appended: Result<u64, AuditError>, raises_risk: bool) -> Permission {
    match appended {
        Ok(seq) => Permission::Recorded(seq),
        Err(error) if raises_risk => Permission::Refuse(error),
        Err(error) => Permission::GoOnUnrecorded(error),
    }
}
