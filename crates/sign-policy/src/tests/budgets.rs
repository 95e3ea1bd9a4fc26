//! The file of budgets: damage, loss, and every request failing.

use super::{MemoryDisk, epoch, symbol};
use crate::{BudgetError, BudgetFile, BudgetStore, GuardLog, Reservation, SavedBudgets, SyncMode};
use domain::{Side, UnixNanos};
use std::path::Path;
use std::sync::Arc;

fn reservation(at: u64, notional: i128) -> Reservation {
    Reservation {
        symbol: symbol("BTCUSDT"),
        side: Side::Sell,
        at: UnixNanos(at),
        wall: UnixNanos(at),
        notional,
        base: 3,
        unused_notional: 1,
        unused_base: 1,
    }
}

fn total(saved: &SavedBudgets) -> i128 {
    saved.uses().iter().map(|one| one.notional).sum()
}

#[test]
fn what_was_reserved_is_found_by_the_next_run_and_counts_as_used_when_that_begins() {
    let home = tempfile::tempdir().unwrap();
    let (mut file, saved) = BudgetFile::open(home.path(), "main", epoch(1), UnixNanos(5)).unwrap();
    assert_eq!(saved.uses(), []);
    file.reserve(&reservation(10, 100)).unwrap();
    file.reserve(&reservation(20, 100)).unwrap();
    let (_, saved) = BudgetFile::open(home.path(), "main", epoch(2), UnixNanos(50)).unwrap();
    let parts: Vec<_> = saved.uses().iter().map(|one| (one.notional, one.until)).collect();
    assert_eq!(parts, [(99, Some(UnixNanos(20))), (100, Some(UnixNanos(50)))]);
    // The end is kept: the slice does not move on with every start.
    let (_, saved) = BudgetFile::open(home.path(), "main", epoch(3), UnixNanos(90)).unwrap();
    assert_eq!(saved.uses()[1].until, Some(UnixNanos(50)));
}

#[test]
fn any_flipped_bit_any_cut_and_an_older_epoch_are_refused_and_an_operator_begins_anew() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("budgets-main");
    let (mut file, _) = BudgetFile::open(home.path(), "main", epoch(4), UnixNanos(5)).unwrap();
    file.reserve(&reservation(10, 100)).unwrap();
    let good = std::fs::read(&path).unwrap();
    let opened = || BudgetFile::open(home.path(), "main", epoch(5), UnixNanos(50));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(opened(), Err(BudgetError::Damaged { .. })), "bit {bit}");
    }
    for len in 0..good.len() {
        std::fs::write(&path, &good[..len]).unwrap();
        assert!(matches!(opened(), Err(BudgetError::Damaged { .. })), "cut at {len}");
    }
    let (_, saved) = BudgetFile::begin_anew(home.path(), "main", epoch(5), UnixNanos(50)).unwrap();
    assert_eq!(total(&saved), 0);
    assert!(home.path().join("budgets-main.damaged").exists());
    std::fs::write(&path, &good).unwrap();
    assert!(matches!(BudgetFile::open(home.path(), "main", epoch(3), UnixNanos(50)), Err(BudgetError::Damaged { .. })));
    assert_eq!(total(&opened().unwrap().1), 100);
}

#[test]
fn missing_file_is_a_first_run_only_where_nothing_was_signed() {
    let home = tempfile::tempdir().unwrap();
    BudgetFile::open(home.path(), "main", epoch(1), UnixNanos(5)).unwrap();
    GuardLog::open(home.path(), epoch(1), SyncMode::Group, "boot").unwrap();
    std::fs::remove_file(home.path().join("budgets-main")).unwrap();
    assert!(matches!(BudgetFile::open(home.path(), "main", epoch(2), UnixNanos(9)), Err(BudgetError::Gone { .. })));
}

#[test]
fn after_any_failed_request_and_a_crash_no_acknowledged_reservation_is_lost() {
    let dir = Path::new("/custody");
    let mut reached_the_end = false;
    for fails_at in 0..200 {
        for power in [false, true] {
            let disk = MemoryDisk::default();
            disk.fail_after(fails_at);
            let mut acknowledged = 0;
            if let Ok((mut file, _)) = BudgetFile::open_on(Arc::new(disk.clone()), dir, "main", epoch(1), UnixNanos(1))
            {
                for at in 2..12 {
                    let one = Reservation { unused_notional: 0, unused_base: 0, ..reservation(at, 100) };
                    acknowledged += if file.reserve(&one).is_ok() { 100 } else { 0 };
                }
            }
            reached_the_end |= !disk.has_failed();
            disk.heal();
            let after = if power { disk.after_power_loss() } else { disk };
            let (_, saved) = BudgetFile::open_on(Arc::new(after), dir, "main", epoch(2), UnixNanos(20)).unwrap();
            assert!(total(&saved) >= acknowledged, "request {fails_at}, power {power}");
            assert!(total(&saved) <= acknowledged + 100);
        }
    }
    assert!(reached_the_end, "every request of the run was made to fail once");
}

#[test]
fn accounts_have_budgets_of_their_own_and_no_label_leaves_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let (mut one, _) = BudgetFile::open(home.path(), "one", epoch(1), UnixNanos(5)).unwrap();
    let (mut two, _) = BudgetFile::open(home.path(), "two", epoch(1), UnixNanos(5)).unwrap();
    one.reserve(&reservation(10, 100)).unwrap();
    two.reserve(&reservation(10, 7)).unwrap();
    assert_eq!(total(&BudgetFile::open(home.path(), "one", epoch(2), UnixNanos(20)).unwrap().1), 100);
    assert_eq!(total(&BudgetFile::open(home.path(), "two", epoch(2), UnixNanos(20)).unwrap().1), 7);
    for label in ["", "../one", "a/b", "a.b", "a b", &"x".repeat(33)] {
        assert!(matches!(BudgetFile::open(home.path(), label, epoch(3), UnixNanos(9)), Err(BudgetError::Io { .. })));
    }
}
