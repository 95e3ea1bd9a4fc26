//! The life of a key as a table. Everything that is not in it is refused.

use domain::MonoNanos;
use messages::{KeyDuty, KeyState};
use std::time::Duration;

/// What moves a key from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// Verification begins: after linking, by a person, or when the venue shows a prolonged date.
    Verify,
    /// The program has started: an Active key is verified again before it may place orders.
    Restart,
    /// All probes passed and the account has no other Active key.
    Passed,
    /// All probes passed while another key of the account is Active.
    PassedBeside,
    /// The key has a right it must not have.
    ForbiddenRight,
    /// The key belongs to another account than expected.
    WrongAccount,
    /// The venue could not be asked often enough.
    VenueSilent,
    /// Something a person must correct at the venue or here.
    NeedsPerson,
    /// Rotation begins.
    Rotate,
    /// Rotation is over and this key takes over, or it is taken back.
    CutOver,
    /// Too many authentication failures in a row.
    AuthFailures,
    /// The venue does not know the key any more.
    KeyGone,
    /// A later check found rights or account changed for the worse.
    Worse,
    /// A person doubts the key.
    Doubted,
    /// The date at which it ends has come.
    Ended,
    /// A person revokes it, or rotation replaced it.
    Revoke,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 16] = [
        Self::Verify,
        Self::Restart,
        Self::Passed,
        Self::PassedBeside,
        Self::ForbiddenRight,
        Self::WrongAccount,
        Self::VenueSilent,
        Self::NeedsPerson,
        Self::Rotate,
        Self::CutOver,
        Self::AuthFailures,
        Self::KeyGone,
        Self::Worse,
        Self::Doubted,
        Self::Ended,
        Self::Revoke,
    ];
}

/// One row: from a state, by a trigger, to a state.
pub type Row = (KeyState, Trigger, KeyState);

/// The whole life.
pub const TABLE: [Row; 26] = {
    use KeyState::{Active, Expired, Linked, Quarantined, Revoked, Rotating, Standby, Verifying};
    use Trigger as T;
    [
        (Linked, T::Verify, Verifying),
        (Verifying, T::Passed, Active),
        (Verifying, T::PassedBeside, Standby),
        (Verifying, T::ForbiddenRight, Quarantined),
        (Verifying, T::WrongAccount, Quarantined),
        (Verifying, T::VenueSilent, Linked),
        (Verifying, T::NeedsPerson, Linked),
        (Active, T::Restart, Verifying),
        (Active, T::Rotate, Rotating),
        (Active, T::AuthFailures, Quarantined),
        (Active, T::KeyGone, Quarantined),
        (Active, T::Worse, Quarantined),
        (Active, T::Doubted, Quarantined),
        (Active, T::Ended, Expired),
        (Standby, T::Verify, Verifying),
        (Standby, T::CutOver, Active),
        (Rotating, T::CutOver, Active),
        (Quarantined, T::Verify, Verifying),
        (Expired, T::Verify, Verifying),
        (Linked, T::Revoke, Revoked),
        (Verifying, T::Revoke, Revoked),
        (Active, T::Revoke, Revoked),
        (Standby, T::Revoke, Revoked),
        (Rotating, T::Revoke, Revoked),
        (Quarantined, T::Revoke, Revoked),
        (Expired, T::Revoke, Revoked),
    ]
};

/// The state that follows; `None`: the life of a key has no such step, count and refuse it.
#[must_use]
pub fn next(from: KeyState, trigger: Trigger) -> Option<KeyState> {
    TABLE.iter().find(|(state, by, _)| *state == from && *by == trigger).map(|(_, _, to)| *to)
}

/// How long a key that lost its trust may still cancel.
pub const FLATTEN_WINDOW: Duration = Duration::from_secs(60);

/// What a key may be used for. `was_active`: orders of it may rest at the venue. `since`: when the state began.
#[must_use]
pub fn duty(state: KeyState, was_active: bool, since: MonoNanos, now: MonoNanos) -> KeyDuty {
    match state {
        KeyState::Active => KeyDuty::Full,
        // An old key drains; what it placed must be cancellable until the end of the rotation.
        KeyState::Rotating => KeyDuty::CancelOnly,
        KeyState::Linked | KeyState::Verifying | KeyState::Standby => {
            if was_active {
                KeyDuty::CancelOnly
            } else {
                KeyDuty::VerifyOnly
            }
        }
        KeyState::Quarantined | KeyState::Expired => {
            if was_active && now.since(since) < FLATTEN_WINDOW {
                KeyDuty::CancelOnly
            } else {
                KeyDuty::None
            }
        }
        KeyState::Revoked => KeyDuty::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeyState::{Active, Expired, Linked, Quarantined, Revoked, Rotating, Standby, Verifying};
    use std::collections::BTreeSet;

    #[test]
    fn every_state_takes_its_triggers_and_no_others() {
        let taken = |state: KeyState| -> BTreeSet<(Trigger, &'static str)> {
            Trigger::ALL.iter().filter_map(|by| next(state, *by).map(|to| (*by, to.as_str()))).collect()
        };
        use Trigger as T;
        let expected: [(KeyState, &[(T, KeyState)]); 8] = [
            (Linked, &[(T::Verify, Verifying), (T::Revoke, Revoked)]),
            (
                Verifying,
                &[
                    (T::Passed, Active),
                    (T::PassedBeside, Standby),
                    (T::ForbiddenRight, Quarantined),
                    (T::WrongAccount, Quarantined),
                    (T::VenueSilent, Linked),
                    (T::NeedsPerson, Linked),
                    (T::Revoke, Revoked),
                ],
            ),
            (
                Active,
                &[
                    (T::Restart, Verifying),
                    (T::Rotate, Rotating),
                    (T::AuthFailures, Quarantined),
                    (T::KeyGone, Quarantined),
                    (T::Worse, Quarantined),
                    (T::Doubted, Quarantined),
                    (T::Ended, Expired),
                    (T::Revoke, Revoked),
                ],
            ),
            (Standby, &[(T::Verify, Verifying), (T::CutOver, Active), (T::Revoke, Revoked)]),
            (Rotating, &[(T::CutOver, Active), (T::Revoke, Revoked)]),
            (Quarantined, &[(T::Verify, Verifying), (T::Revoke, Revoked)]),
            (Expired, &[(T::Verify, Verifying), (T::Revoke, Revoked)]),
            (Revoked, &[]),
        ];
        for (state, rows) in expected {
            let rows: BTreeSet<_> = rows.iter().map(|(by, to)| (*by, to.as_str())).collect();
            assert_eq!(taken(state), rows, "{state:?}");
        }
    }

    #[test]
    fn table_has_no_row_twice_and_revoked_is_final() {
        let rows: BTreeSet<_> = TABLE.iter().map(|(from, by, _)| (from.as_str(), *by)).collect();
        assert_eq!(rows.len(), TABLE.len());
        assert!(TABLE.iter().all(|(from, ..)| *from != Revoked));
        for state in KeyState::ALL {
            assert_eq!(next(state, Trigger::Revoke).is_some(), state != Revoked);
        }
    }

    #[test]
    fn only_active_keys_place_and_distrusted_ones_cancel_for_a_minute() {
        let start = MonoNanos(1_000);
        for state in KeyState::ALL {
            for was_active in [false, true] {
                assert_eq!(duty(state, was_active, start, start) == KeyDuty::Full, state == Active);
            }
        }
        for state in [Quarantined, Expired] {
            assert_eq!(duty(state, true, start, start), KeyDuty::CancelOnly);
            assert_eq!(duty(state, true, start, start.after(FLATTEN_WINDOW)), KeyDuty::None);
            assert_eq!(duty(state, false, start, start), KeyDuty::None, "it never placed anything");
        }
        assert_eq!(duty(Verifying, true, start, start), KeyDuty::CancelOnly, "cancels pass while it is verified anew");
        assert_eq!(duty(Verifying, false, start, start), KeyDuty::VerifyOnly);
        assert_eq!(duty(Revoked, true, start, start), KeyDuty::None);
    }
}
