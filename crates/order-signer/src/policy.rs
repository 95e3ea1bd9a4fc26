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
                Err(CustodyError::PolicyChange { why: "this loosens the policy in some field" })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::{check_code, save_codes};
    use crate::custody_tests::{NOW, create, new_key, passphrase, values};
    use crate::key_store::{KeyStore as _, LocalStore, link_sealed};
    use crate::sealing::{SealedKey, SealingKey, seal};
    use access::{Enrolled, TotpRecord};
    use domain::{Scaled, Symbol};
    use messages::{KeyAlias, KeyRole};

    fn policy(order_notional: i64, delay: Option<u64>) -> String {
        let mut document = PolicyDocument::permissive_for_tests(&[Symbol::from("BTCUSDT").unwrap()]);
        document.instruments[0].order_notional = Scaled { mantissa: order_notional, decimals: 0 };
        document.loosening_delay_seconds = delay;
        document.to_text()
    }

    fn later(seconds: u64) -> UnixNanos {
        UnixNanos(NOW.0 + seconds * 1_000_000_000)
    }

    fn in_force(custody: &Custody) -> i64 {
        let document = PolicyDocument::parse(&custody.show("main").unwrap().policy).unwrap();
        document.instruments[0].order_notional.mantissa
    }

    /// Codes are set up; each of these is good once.
    fn enroll(custody: &mut Custody) -> Vec<String> {
        let Enrolled { record, recovery } = TotpRecord::enroll(NOW.0 / 1_000_000_000).unwrap();
        save_codes(custody, &record).unwrap();
        recovery.iter().map(|code| code.to_string()).collect()
    }

    fn origin() -> crate::sealing::Origin {
        crate::sealing::Origin { environment: "sim".to_owned(), login_confirmed: true }
    }

    #[test]
    fn tightening_is_at_once_and_loosening_needs_an_accepted_code_and_its_delay() {
        let home = tempfile::tempdir().unwrap();
        let mut custody = create(home.path());
        custody.add(new_key("main"), &values(1), NOW).unwrap();
        custody.begin_policy("main", &policy(1_000, Some(3_600)), NOW).unwrap();
        let codes = enroll(&mut custody);
        use PolicyMove::{Loosen, Tighten};

        let wider = policy(2_000, Some(3_600));
        let refused = custody.change_policy("main", Tighten, &wider, "", NOW);
        assert!(matches!(refused, Err(CustodyError::PolicyChange { .. })));
        let tightened = custody.change_policy("main", Tighten, &policy(500, Some(3_600)), "calm", NOW).unwrap();
        assert_eq!((tightened, in_force(&custody)), (PolicySet::InForce, 500));

        let refused = custody.change_policy("main", Loosen, &wider, "", NOW);
        assert!(matches!(refused, Err(CustodyError::CodeNeeded)));
        assert_eq!(in_force(&custody), 500);
        check_code(&mut custody, &codes[0], NOW).unwrap();
        let refused = custody.change_policy("main", Loosen, &wider, "", later(31));
        assert!(matches!(refused, Err(CustodyError::CodeNeeded)), "a code of half a minute ago is for something else");
        check_code(&mut custody, &codes[1], NOW).unwrap();
        let set = custody.change_policy("main", Loosen, &wider, "busy", NOW).unwrap();
        assert_eq!((set, in_force(&custody)), (PolicySet::Waits(later(3_600)), 500));
        let refused = custody.change_policy("main", Loosen, &wider, "", NOW);
        assert!(matches!(refused, Err(CustodyError::CodeNeeded)), "a code is good for one step");

        custody.settle_policies(later(3_599)).unwrap();
        assert_eq!(in_force(&custody), 500);
        drop(custody);
        let mut custody = Custody::open(home.path(), &passphrase()).unwrap();
        assert_eq!(custody.settle_policies(later(3_600)).unwrap(), [KeyAlias::from("main").unwrap()]);
        assert_eq!((in_force(&custody), custody.show("main").unwrap().waiting_policy.clone()), (2_000, None));
        let reasons: Vec<_> = custody.show("main").unwrap().history.iter().map(|step| step.reason.clone()).collect();
        assert_eq!(
            reasons,
            [
                "linked",
                "policy confirmed at linking",
                "policy tightened: calm",
                "policy will be loosened after 3600 s: busy",
                "policy loosened: its delay is over"
            ]
        );
    }

    #[test]
    fn first_policy_is_free_only_before_a_key_has_worked() {
        let home = tempfile::tempdir().unwrap();
        let mut custody = create(home.path());
        custody.add(new_key("main"), &values(1), NOW).unwrap();
        assert!(matches!(custody.begin_policy("main", "{}", NOW), Err(CustodyError::Policy(_))));
        custody.begin_policy("main", &policy(1_000, None), NOW).unwrap();
        custody.set_state("main", KeyState::Verifying, "", NOW).unwrap();
        custody.set_state("main", KeyState::Active, "", NOW).unwrap();
        let again = custody.begin_policy("main", &policy(9_000, None), NOW);
        assert!(matches!(again, Err(CustodyError::PolicyChange { .. })));
        assert_eq!(in_force(&custody), 1_000);
    }

    #[test]
    fn trust_that_was_taken_is_given_back_in_the_vault_with_a_code_alone() {
        let home = tempfile::tempdir().unwrap();
        let mut custody = create(home.path());
        custody.add(new_key("main"), &values(1), NOW).unwrap();
        let codes = enroll(&mut custody);
        for state in [KeyState::Verifying, KeyState::Active, KeyState::Quarantined] {
            custody.set_state("main", state, "no code is needed for this", NOW).unwrap();
        }
        let refused = custody.set_state("main", KeyState::Verifying, "please", NOW);
        assert!(matches!(refused, Err(CustodyError::CodeNeeded)));
        check_code(&mut custody, &codes[0], NOW).unwrap();
        custody.set_state("main", KeyState::Verifying, "found", NOW).unwrap();
        custody.set_state("main", KeyState::Revoked, "no code is needed for this", NOW).unwrap();
    }

    #[test]
    fn sealed_key_is_linked_with_its_policy_and_only_with_a_code() {
        let home = tempfile::tempdir().unwrap();
        let mut custody = create(home.path());
        let codes = enroll(&mut custody);
        let sealing = SealingKey::generate().unwrap();
        let described = SealedKey {
            alias: KeyAlias::from("main").unwrap(),
            venue: "bitget".to_owned(),
            account: "bitget-main".to_owned(),
            role: KeyRole::Trade,
            wallets: vec!["spot".to_owned()],
            sealed: String::new(),
        };
        let sealed = seal(sealing.public(), described, &values(1)).unwrap();
        let text = policy(1_000, None);
        let link = |custody: &mut Custody, sealed: &SealedKey, policy: &str| {
            link_sealed(custody, &sealing, sealed, &origin(), Some(policy), NOW)
        };
        assert!(matches!(link(&mut custody, &sealed, &text), Err(CustodyError::CodeNeeded)));
        check_code(&mut custody, &codes[0], NOW).unwrap();
        assert!(matches!(link(&mut custody, &sealed, "{}"), Err(CustodyError::Policy(_))));
        let other = SealedKey { account: "bitget-sub".to_owned(), ..sealed.clone() };
        assert!(matches!(link(&mut custody, &other, &text), Err(CustodyError::Sealed(_))));
        assert_eq!(custody.list().count(), 0, "what is refused leaves nothing");
        let record = link(&mut custody, &sealed, &text).unwrap();
        assert_eq!((record.state, record.environment.as_str()), (KeyState::Linked, "sim"));
        assert_eq!(in_force(&custody), 1_000);
        assert_eq!(custody.secrets_of("main").secret.expose(), values(1).secret.expose());

        // Another start has another sealing key: what was recorded on the way opens nowhere.
        let clock = std::sync::Arc::new(clock::ManualClock::new(NOW, domain::MonoNanos(1)));
        let mut store = LocalStore::new(custody, clock);
        store.check_code(&codes[1]).unwrap();
        assert!(matches!(store.link_sealed(&sealed, &origin(), None), Err(CustodyError::Sealed(_))));
        assert_eq!(store.sealing_key().unwrap(), store.sealing_key().unwrap(), "one key for each start");
    }
}
