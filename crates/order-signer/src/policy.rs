//! What may be signed with a key, changed where the vault is open: tightened at once, loosened with a code and after
//! the delay that the policy itself names.
//!
//! Invariant: nobody without an accepted one-time code widens what may be signed, once codes are set up.

use crate::custody::{Custody, CustodyError};
use crate::record::{KeyRecord, WaitingPolicy};
use domain::UnixNanos;
use messages::KeyState;
use serde::{Deserialize, Serialize};
use sign_policy::PolicyDocument;

/// Which way a policy is said to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyMove {
    /// Less may be signed: in force at once.
    Tighten,
    /// More may be signed: needs a code, and waits as long as the policy in force says.
    Loosen,
}

/// What became of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicySet {
    /// It is in force.
    InForce,
    /// It takes effect then.
    Waits(UnixNanos),
}

impl Custody {
    /// Gives a key its first policy: free while the key has not been verified, for it signs nothing yet.
    ///
    /// # Errors
    /// [`CustodyError::PolicyChange`] for a key that has one or has worked; [`CustodyError::Policy`], or the vault's.
    pub fn begin_policy(&mut self, alias: &str, text: &str, now: UnixNanos) -> Result<(), CustodyError> {
        let record = self.show(alias)?;
        let fresh = record.state == KeyState::Linked && record.verified.is_none();
        if !fresh {
            return Err(CustodyError::PolicyChange {
                why: "the key has been verified; its policy can only be changed",
            });
        }
        let document = PolicyDocument::parse(text)?;
        let mut next = record.clone();
        next.policy = document.to_text();
        next.note(now, None, "policy confirmed at linking");
        self.replace(alias, next)
    }

    /// Changes the policy of a key, saved when this returns.
    ///
    /// # Errors
    /// [`CustodyError::PolicyChange`] when it is no change of that kind, [`CustodyError::CodeNeeded`],
    /// [`CustodyError::Policy`] for a policy that is none, or the vault's; nothing has changed then.
    pub fn change_policy(
        &mut self,
        alias: &str,
        wanted: PolicyMove,
        text: &str,
        reason: &str,
        now: UnixNanos,
    ) -> Result<PolicySet, CustodyError> {
        self.settle_policies(now)?;
        let record = self.show(alias)?.clone();
        if record.state == KeyState::Revoked {
            return Err(CustodyError::PolicyChange { why: "the key is revoked" });
        }
        let next = PolicyDocument::parse(text)?;
        let now_in_force = match record.policy.as_str() {
            "" => None,
            text => Some(PolicyDocument::parse(text)?),
        };
        // A key without a policy of its own has none to be compared with.
        let loosens = now_in_force.as_ref().is_none_or(|document| document.is_loosening(&next));
        let mut changed = record;
        match wanted {
            PolicyMove::Tighten if loosens => {
                return Err(CustodyError::PolicyChange { why: "this loosens the policy in some field" });
            }
            PolicyMove::Tighten => {
                changed.policy = next.to_text();
                // What waited was confirmed against another policy.
                changed.waiting_policy = None;
                changed.note(now, None, &format!("policy tightened: {reason}"));
                self.replace(alias, changed)?;
                Ok(PolicySet::InForce)
            }
            PolicyMove::Loosen => {
                self.take_step(now)?;
                let delay = now_in_force.and_then(|document| document.loosening_delay_seconds).unwrap_or(0);
                let set = if delay == 0 {
                    changed.policy = next.to_text();
                    changed.waiting_policy = None;
                    changed.note(now, None, &format!("policy loosened: {reason}"));
                    PolicySet::InForce
                } else {
                    let due = UnixNanos(now.0.saturating_add(delay.saturating_mul(1_000_000_000)));
                    changed.waiting_policy = Some(WaitingPolicy { policy: next.to_text(), due });
                    changed.note(now, None, &format!("policy will be loosened after {delay} s: {reason}"));
                    PolicySet::Waits(due)
                };
                self.replace(alias, changed)?;
                Ok(set)
            }
        }
    }

    /// Puts policies in force whose time has come. Gives back the keys' names.
    ///
    /// # Errors
    /// The vault's; what could not be saved waits on.
    pub fn settle_policies(&mut self, now: UnixNanos) -> Result<Vec<messages::KeyAlias>, CustodyError> {
        let is_due = |record: &&KeyRecord| {
            let due = record.waiting_policy.as_ref().is_some_and(|waiting| waiting.due <= now);
            due && record.state != KeyState::Revoked
        };
        let due: Vec<KeyRecord> = self.list().filter(is_due).cloned().collect();
        let mut settled = Vec::new();
        for mut record in due {
            let alias = record.alias;
            if let Some(waiting) = record.waiting_policy.take() {
                record.policy = waiting.policy;
                record.note(now, None, "policy loosened: its delay is over");
                self.replace(&alias, record)?;
                settled.push(alias);
            }
        }
        Ok(settled)
    }
}
