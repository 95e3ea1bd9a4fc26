//! Named points at which suites kill the process, and at which they make an actor panic. Without the feature `armed`
//! nothing is left of either.
//!
//! `STEADFAST_FAIL_POINT=name@N` ends the process, as `kill -9` would, when the named point is passed for the N-th
//! time, counted from 1. `STEADFAST_PANIC_POINT=actor@N` makes the named actor panic at its N-th step; the panic carries
//! the text of the file that `STEADFAST_PANIC_TEXT` names, as a careless `expect` would carry what it stumbled over.
//!
//! Invariant: all points are listed here, so that a name that is spelled wrongly arms nothing and is seen.

/// Where a process can be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailPoint {
    /// order-gateway: nothing of a request is on record, nothing has left.
    BeforeWireRecord,
    /// order-gateway: on record, nothing has left.
    AfterWireRecord,
    /// order-gateway: it has left; no answer has been looked at.
    AfterSocket,
    /// order-gateway: its answer was read; nobody was told.
    AfterAnswer,
    /// journal: events are gathered; nothing of them is written.
    BeforeJournalCommit,
    /// order-signer: a vault is on disk; the number of its generation is not.
    AfterVaultSave,
    /// order-signer: the next key is verified; nothing says yet that it takes over.
    BeforeCutOver,
    /// order-signer: it is on disk that the next key takes over; the former one still signs.
    AfterCutOverSave,
    /// order-signer: the next key signs.
    AfterCutOver,
    /// order-signer: the next key does not work; nothing says yet that the former one comes back.
    BeforeTakeBack,
    /// order-signer: it is on disk that the former key is back; it does not sign yet.
    AfterTakeBackSave,
    /// order-signer: the former key signs again.
    AfterTakeBack,
    /// order-signer: the former key signs nothing any more; its secrets are still there.
    BeforeRevoke,
    /// order-signer: its secrets are gone from the vault, not from the vault's kept generations.
    AfterRevokeSave,
    /// order-signer: its secrets are gone.
    AfterRevoke,
}

impl FailPoint {
    /// Every point.
    pub const ALL: [Self; 15] = [
        Self::BeforeWireRecord,
        Self::AfterWireRecord,
        Self::AfterSocket,
        Self::AfterAnswer,
        Self::BeforeJournalCommit,
        Self::AfterVaultSave,
        Self::BeforeCutOver,
        Self::AfterCutOverSave,
        Self::AfterCutOver,
        Self::BeforeTakeBack,
        Self::AfterTakeBackSave,
        Self::AfterTakeBack,
        Self::BeforeRevoke,
        Self::AfterRevokeSave,
        Self::AfterRevoke,
    ];

    /// Its name in `STEADFAST_FAIL_POINT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeWireRecord => "before-wire-record",
            Self::AfterWireRecord => "after-wire-record",
            Self::AfterSocket => "after-socket",
            Self::AfterAnswer => "after-answer",
            Self::BeforeJournalCommit => "before-commit",
            Self::AfterVaultSave => "after-vault-save",
            Self::BeforeCutOver => "before-cut-over",
            Self::AfterCutOverSave => "after-cut-over-save",
            Self::AfterCutOver => "after-cut-over",
            Self::BeforeTakeBack => "before-take-back",
            Self::AfterTakeBackSave => "after-take-back-save",
            Self::AfterTakeBack => "after-take-back",
            Self::BeforeRevoke => "before-revoke",
            Self::AfterRevokeSave => "after-revoke-save",
            Self::AfterRevoke => "after-revoke",
        }
    }
}

/// Passes a point; with the feature `armed` this may be the end.
#[cfg(not(feature = "armed"))]
#[inline]
pub const fn pass(_point: FailPoint) {}

/// A step of an actor; with the feature `armed` it may panic here.
#[cfg(not(feature = "armed"))]
#[inline]
pub const fn step(_actor: &str) {}

#[cfg(feature = "armed")]
pub use armed::{pass, step};

#[cfg(feature = "armed")]
mod armed {
    use super::{FailPoint, armed_at, armed_point, last_word};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Passes a point; this may be the end.
    pub fn pass(point: FailPoint) {
        static ARMED: OnceLock<Option<(FailPoint, u64)>> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);
        let text = || std::env::var("STEADFAST_FAIL_POINT").ok();
        let armed = ARMED.get_or_init(|| text().as_deref().and_then(armed_point));
        if let Some((armed, at)) = armed
            && *armed == point
            && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *at
        {
            std::process::abort();
        }
    }

    /// A step of an actor; it may panic here.
    #[expect(clippy::panic, reason = "a panic is what a suite asks for here")]
    pub fn step(actor: &str) {
        static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
        static STEPS: AtomicU64 = AtomicU64::new(0);
        let armed = ARMED.get_or_init(|| std::env::var("STEADFAST_PANIC_POINT").ok().as_deref().and_then(armed_at));
        if let Some((armed, at)) = armed
            && armed == last_word(actor)
            && STEPS.fetch_add(1, Ordering::SeqCst) + 1 == *at
        {
            let place = std::env::var_os("STEADFAST_PANIC_TEXT");
            let text = place.and_then(|place| std::fs::read_to_string(place).ok()).unwrap_or_default();
            std::panic::panic_any(text);
        }
    }
}

/// The name of a type without the modules that it is in, and without its parameters; other names as they are.
#[cfg(any(feature = "armed", test))]
fn last_word(name: &str) -> &str {
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit("::").next().unwrap_or(plain)
}

/// `name@N`, with N from 1 on.
#[cfg(any(feature = "armed", test))]
fn armed_at(text: &str) -> Option<(String, u64)> {
    let (name, at) = text.split_once('@')?;
    Some((name.to_owned(), at.parse().ok().filter(|at| *at > 0)?))
}

/// `name@N` of a point that exists.
#[cfg(any(feature = "armed", test))]
fn armed_point(text: &str) -> Option<(FailPoint, u64)> {
    let (name, at) = armed_at(text)?;
    Some((FailPoint::ALL.into_iter().find(|point| point.name() == name)?, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_points_and_counts_from_one_are_armed() {
        assert_eq!(armed_point("after-socket@3"), Some((FailPoint::AfterSocket, 3)));
        for text in ["", "after-socket", "after-socket@0", "after-sokcet@1", "after-socket@x", "@1"] {
            assert_eq!(armed_point(text), None, "{text}");
        }
        for (name, word) in [("order-path", "order-path"), ("a::b::Feed", "Feed"), ("a::Host<b::C>", "Host")] {
            assert_eq!(last_word(name), word);
        }
        assert_eq!(armed_at("order-path@2"), Some(("order-path".to_owned(), 2)));
        pass(FailPoint::AfterAnswer);
        step("order-path");
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = FailPoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), FailPoint::ALL.len());
    }
}
