//! What a person reads when a key is tried: one line for each thing that was found, and what to do.

use messages::{CouldNotAsk, KeyAlias, ProbeFault, VenueError, VenueErrorClass, VenueReason};
use serde::Serialize;
use std::borrow::Cow;

/// The command that tries a key again, as the sentences below name it.
const TEST: &str = "`steadfast keys test`";

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeLine {
    /// What was tried, such as `signature`.
    pub what: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found, in the venue's code where there is one.
    pub detail: String,
    /// What to do; set when `ok` is false, or when something should be better.
    pub fix: Option<Cow<'static, str>>,
}

impl ProbeLine {
    pub(crate) fn good(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, ok: true, detail: detail.into(), fix: None }
    }

    pub(crate) fn bad(what: &'static str, detail: impl Into<String>, fix: &'static str) -> Self {
        Self { what, ok: false, detail: detail.into(), fix: Some(Cow::Borrowed(fix)) }
    }

    /// The line with the command that tries the key again written out for this key.
    #[must_use]
    pub(crate) fn about(mut self, alias: KeyAlias) -> Self {
        self.fix = self.fix.map(|fix| Cow::Owned(fix.replace(TEST, &format!("`steadfast keys test {alias}`"))));
        self
    }

    /// The line of a fault that the venue, or its silence, showed.
    #[must_use]
    pub fn of_fault(fault: ProbeFault, detail: impl Into<String>) -> Self {
        Self::bad(what(fault), detail, fix(fault))
    }
}

/// The name of what a fault is about.
#[must_use]
pub const fn what(fault: ProbeFault) -> &'static str {
    match fault {
        ProbeFault::Key => "key",
        ProbeFault::Signature => "signature",
        ProbeFault::Passphrase => "passphrase",
        ProbeFault::Ip => "address",
        ProbeFault::Permission => "permissions",
        ProbeFault::ForbiddenRight => "forbidden rights",
        ProbeFault::Clock => "clock",
        ProbeFault::Environment => "environment",
        ProbeFault::AccountMode => "account mode",
        ProbeFault::Account => "account",
        ProbeFault::Venue => "venue",
        ProbeFault::IpUnbound => "address binding",
    }
}

/// One sentence: what to do.
#[must_use]
pub const fn fix(fault: ProbeFault) -> &'static str {
    match fault {
        ProbeFault::Key => {
            "compare the API key with the exchange's list; if it was deleted or has ended, create a new one and link that"
        }
        ProbeFault::Signature => {
            "the secret does not belong to this API key: link the key again and paste the secret as shown when the key was created"
        }
        ProbeFault::Passphrase => {
            "link the key again with the passphrase that was chosen when the key was created; the exchange cannot show it"
        }
        ProbeFault::Ip => {
            "add this machine's public address to the key's list on the exchange, then run `steadfast keys test`"
        }
        ProbeFault::Permission => {
            "on the exchange give the key what its role needs: spot read and trade for `trade`, read alone for `stream`; then run `steadfast keys test`"
        }
        ProbeFault::ForbiddenRight => {
            "create a key without withdrawal, transfer and account management, link that, and delete this one on the exchange"
        }
        ProbeFault::Clock => {
            "correct this machine's clock with NTP (`timedatectl set-ntp true`), then run `steadfast keys test`"
        }
        ProbeFault::Environment => {
            "a demo key works only with `--demo`, a production key only without it: link the key again for the right environment"
        }
        ProbeFault::AccountMode => {
            "the exchange refuses this account in classic and in unified mode: finish the change of mode on the exchange, then run `steadfast keys test`"
        }
        ProbeFault::Account => {
            "the exchange restricts this account: look for its message there, then run `steadfast keys test`"
        }
        ProbeFault::Venue => {
            "nothing to do: the key is tried again by itself; see the exchange's status page if it lasts"
        }
        ProbeFault::IpUnbound => {
            "bind the key to this machine's public address on the exchange, or allow unbound keys in the settings"
        }
    }
}

/// What a venue's error says about a key.
#[must_use]
pub const fn fault_of(error: &VenueError) -> ProbeFault {
    match error.reason {
        VenueReason::KeyUnknown => ProbeFault::Key,
        VenueReason::Signature => ProbeFault::Signature,
        VenueReason::Passphrase => ProbeFault::Passphrase,
        VenueReason::IpNotAllowed => ProbeFault::Ip,
        VenueReason::Permission => ProbeFault::Permission,
        VenueReason::Clock => ProbeFault::Clock,
        VenueReason::Environment => ProbeFault::Environment,
        VenueReason::AccountMode => ProbeFault::AccountMode,
        VenueReason::AccountRestricted => ProbeFault::Account,
        _ => ProbeFault::Venue,
    }
}

/// Why an answer did not come: the fault, its detail for people, and whether asking again may help.
#[must_use]
pub fn fault_of_silence(cause: &CouldNotAsk) -> (ProbeFault, String, bool) {
    match cause {
        CouldNotAsk::Network => (ProbeFault::Venue, "no answer from the exchange".to_owned(), true),
        CouldNotAsk::NotSent => (ProbeFault::Venue, "the exchange could not be reached".to_owned(), true),
        CouldNotAsk::Unreadable => (ProbeFault::Venue, "the exchange's answer could not be read".to_owned(), true),
        CouldNotAsk::Venue(error) => {
            let fault = fault_of(error);
            // Whatever says nothing about the key may pass by itself.
            let again = matches!(error.class, VenueErrorClass::Retry) || matches!(fault, ProbeFault::Venue);
            (fault, venue_words(error), again)
        }
    }
}

/// The venue's code and words.
#[must_use]
pub fn venue_words(error: &VenueError) -> String {
    match (error.code.is_empty(), error.text.is_empty()) {
        (false, false) => format!("{}: {}", error.code, error.text),
        (false, true) => error.code.to_string(),
        (true, false) => error.text.to_string(),
        (true, true) => error.reason.as_str().to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const FAULTS: [ProbeFault; 12] = [
        ProbeFault::Key,
        ProbeFault::Signature,
        ProbeFault::Passphrase,
        ProbeFault::Ip,
        ProbeFault::Permission,
        ProbeFault::ForbiddenRight,
        ProbeFault::Clock,
        ProbeFault::Environment,
        ProbeFault::AccountMode,
        ProbeFault::Account,
        ProbeFault::Venue,
        ProbeFault::IpUnbound,
    ];

    pub(crate) fn error(reason: VenueReason, class: VenueErrorClass) -> VenueError {
        VenueError {
            code: arrayvec::ArrayString::from("40012").unwrap(),
            class,
            reason,
            text: arrayvec::ArrayString::from("in the venue's words").unwrap(),
        }
    }

    #[test]
    fn every_fault_has_its_own_name_and_its_own_advice() {
        let names: std::collections::BTreeSet<_> = FAULTS.map(what).into();
        let fixes: std::collections::BTreeSet<_> = FAULTS.map(fix).into();
        assert_eq!((names.len(), fixes.len()), (FAULTS.len(), FAULTS.len()));
    }

    #[test]
    fn command_in_the_advice_names_the_key() {
        let alias = KeyAlias::from("bitget-main").unwrap();
        let line = ProbeLine::of_fault(ProbeFault::Ip, "40018").about(alias);
        assert!(line.fix.unwrap().ends_with("then run `steadfast keys test bitget-main`"));
        let named = FAULTS.map(|fault| ProbeLine::of_fault(fault, "").about(alias).fix.unwrap());
        assert!(named.iter().all(|fix| !fix.contains(TEST)), "{named:?}");
    }

    #[test]
    fn venue_errors_name_their_fault_with_the_venues_code() {
        for (reason, fault) in [
            (VenueReason::KeyUnknown, ProbeFault::Key),
            (VenueReason::Signature, ProbeFault::Signature),
            (VenueReason::Passphrase, ProbeFault::Passphrase),
            (VenueReason::IpNotAllowed, ProbeFault::Ip),
            (VenueReason::Permission, ProbeFault::Permission),
            (VenueReason::Clock, ProbeFault::Clock),
            (VenueReason::Environment, ProbeFault::Environment),
            (VenueReason::AccountMode, ProbeFault::AccountMode),
            (VenueReason::AccountRestricted, ProbeFault::Account),
            (VenueReason::Maintenance, ProbeFault::Venue),
            (VenueReason::Other, ProbeFault::Venue),
        ] {
            let cause = CouldNotAsk::Venue(error(reason, VenueErrorClass::Fatal));
            let (found, detail, again) = fault_of_silence(&cause);
            assert_eq!((found, detail.as_str()), (fault, "40012: in the venue's words"));
            assert_eq!(again, fault == ProbeFault::Venue);
        }
    }
}
