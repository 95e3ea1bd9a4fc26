//! Named points at which the crash suites kill the process. Without the feature `fail-points` nothing is left of them.
//!
//! `STEADFAST_FAIL_POINT=name@N` ends the process, as `kill -9` would, when the named point is passed for the N-th
//! time, counted from 1.

/// Where the change of an account's keys can be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailPoint {
    /// A vault is on disk; the number of its generation is not.
    AfterVaultSave,
    /// The next key is verified; nothing says yet that it takes over.
    BeforeCutOver,
    /// It is on disk that the next key takes over; the former one still signs.
    AfterCutOverSave,
    /// The next key signs.
    AfterCutOver,
    /// The next key does not work; nothing says yet that the former one comes back.
    BeforeTakeBack,
    /// It is on disk that the former key is back; it does not sign yet.
    AfterTakeBackSave,
    /// The former key signs again.
    AfterTakeBack,
    /// The former key signs nothing any more; its secrets are still there.
    BeforeRevoke,
    /// Its secrets are gone from the vault, not from the vault's kept generations.
    AfterRevokeSave,
    /// Its secrets are gone.
    AfterRevoke,
}

#[cfg(any(feature = "fail-points", test))]
impl FailPoint {
    const ALL: [Self; 10] = [
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

    const fn name(self) -> &'static str {
        match self {
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

/// Passes a point; with the feature `fail-points` this may be the end.
#[cfg(not(feature = "fail-points"))]
pub(crate) const fn pass(_point: FailPoint) {}

/// Passes a point; this may be the end.
#[cfg(feature = "fail-points")]
pub(crate) fn pass(point: FailPoint) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let armed = ARMED.get_or_init(|| std::env::var("STEADFAST_FAIL_POINT").ok().as_deref().and_then(parse));
    if let Some((name, at)) = armed
        && name == point.name()
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *at
    {
        std::process::abort();
    }
}

#[cfg(any(feature = "fail-points", test))]
fn parse(text: &str) -> Option<(String, u64)> {
    let (name, at) = text.split_once('@')?;
    let name = FailPoint::ALL.iter().find(|point| point.name() == name)?.name().to_owned();
    Some((name, at.parse().ok().filter(|at| *at > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_points_and_counts_from_one_are_armed() {
        assert_eq!(parse("after-cut-over@3"), Some(("after-cut-over".to_owned(), 3)));
        for text in ["", "after-cut-over", "after-cut-over@0", "after-cutover@1", "after-cut-over@x"] {
            assert_eq!(parse(text), None, "{text}");
        }
        pass(FailPoint::AfterRevoke);
    }
}
