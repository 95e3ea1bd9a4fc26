//! Named points at which the crash suites kill the process. Without the feature `fail-points` nothing is left of them.
//!
//! `STEADFAST_FAIL_POINT=name@N` ends the process, as `kill -9` would, when the named point is passed for the
//! N-th time, counted from 1.

/// Where a request can be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailPoint {
    /// Nothing of it is on record, nothing has left.
    BeforeWireRecord,
    /// On record, nothing has left.
    AfterWireRecord,
    /// It has left; no answer has been looked at.
    AfterSocket,
    /// Its answer was read; nobody was told.
    AfterAnswer,
}

impl FailPoint {
    #[cfg(any(feature = "fail-points", test))]
    const fn name(self) -> &'static str {
        match self {
            Self::BeforeWireRecord => "before-wire-record",
            Self::AfterWireRecord => "after-wire-record",
            Self::AfterSocket => "after-socket",
            Self::AfterAnswer => "after-answer",
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
    let known =
        [FailPoint::BeforeWireRecord, FailPoint::AfterWireRecord, FailPoint::AfterSocket, FailPoint::AfterAnswer];
    let name = known.iter().find(|point| point.name() == name)?.name().to_owned();
    Some((name, at.parse().ok().filter(|at| *at > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_points_and_counts_from_one_are_armed() {
        assert_eq!(parse("after-socket@3"), Some(("after-socket".to_owned(), 3)));
        for text in ["", "after-socket", "after-socket@0", "after-sokcet@1", "after-socket@x"] {
            assert_eq!(parse(text), None, "{text}");
        }
        pass(FailPoint::AfterAnswer);
    }
}
