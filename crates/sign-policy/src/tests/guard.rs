//! The guard log: what is released is recorded, whatever fails; what was altered is named.

use super::{MemoryDisk, client_id, epoch, order};
use crate::guard_record::{PLACES, offset, segment_name};
use crate::{
    GuardDamage, GuardError, GuardLog, GuardReader, GuardRecord, IdGuard, Identity, Opening, Retention, SyncMode,
    economic_digest,
};
use domain::{InstanceTag, MonoNanos, Scaled, Sequence, Side, UnixNanos};
use messages::PlaceOrder;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

fn record(run: u32, sequence: u64) -> GuardRecord {
    GuardRecord {
        epoch: epoch(run),
        sequence: Sequence::new(sequence).unwrap(),
        kid: [1; 16],
        digest: [2; 32],
        at: UnixNanos(sequence),
        again: false,
    }
}

fn dir() -> &'static Path {
    Path::new("/custody")
}

fn open(disk: &MemoryDisk, run: u32, mode: SyncMode, boot: &str) -> Result<GuardLog, GuardError> {
    GuardLog::open_on(Arc::new(disk.clone()), dir(), epoch(run), mode, boot)
}

/// Every record up to the first damage, and that.
fn read(disk: &MemoryDisk) -> (Vec<GuardRecord>, Option<GuardDamage>) {
    let mut records = Vec::new();
    for item in GuardReader::open_on(Arc::new(disk.clone()), dir()).unwrap() {
        match item {
            Ok(record) => records.push(record),
            Err(damage) => return (records, Some(damage)),
        }
    }
    (records, None)
}

#[test]
fn of_many_threads_with_one_id_and_different_contents_exactly_one_is_signed() {
    const THREADS: i64 = 32;
    let home = tempfile::tempdir().unwrap();
    let identity = Identity { tag: InstanceTag::from_number(7), epoch: epoch(1) };
    let log = GuardLog::open(home.path(), epoch(1), SyncMode::Group, "boot").unwrap();
    let guarded = Mutex::new((IdGuard::new(identity), log));
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    const ROUNDS: u64 = 20;
    let signed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (guarded, barrier, signed) = (&guarded, &barrier, &signed);
            scope.spawn(move || {
                for sequence in 1..=ROUNDS {
                    barrier.wait();
                    let content = PlaceOrder {
                        id: client_id(1, sequence),
                        price: Scaled { mantissa: 1_000 + thread, decimals: 1 },
                        ..order(Side::Buy, "1", "1")
                    };
                    let mut guarded = guarded.lock().unwrap();
                    let (guard, log) = &mut *guarded;
                    if guard.admit(&content, MonoNanos(1)).is_ok() {
                        let digest = economic_digest(&content);
                        log.append(&GuardRecord { digest, ..record(1, sequence) }).unwrap();
                        signed.lock().unwrap().push((sequence, digest));
                    }
                }
            });
        }
    });
    let signed = signed.into_inner().unwrap();
    assert_eq!(signed.len() as u64, ROUNDS);
    let recorded: Vec<_> = GuardReader::open(home.path())
        .unwrap()
        .map(|item| item.map(|record| (record.sequence.get(), record.digest)).unwrap())
        .collect();
    assert_eq!(recorded, signed);
}

#[test]
fn log_says_how_the_run_before_ended() {
    let disk = MemoryDisk::default();
    let log = open(&disk, 1, SyncMode::Group, "boot a\n").unwrap();
    assert_eq!(log.opening(), Opening::Clean);
    log.close().unwrap();
    let log = open(&disk, 2, SyncMode::Group, "boot b").unwrap();
    assert_eq!(log.opening(), Opening::Clean);
    drop(log);
    let log = open(&disk, 3, SyncMode::Group, "boot b").unwrap();
    assert_eq!(log.opening(), Opening::KilledProcess);
    drop(log);
    let log = open(&disk, 4, SyncMode::Group, "boot c").unwrap();
    assert_eq!(log.opening(), Opening::MachineWentDown);
    log.close().unwrap();
    // Still not reconciled, whatever happened since.
    let mut log = open(&disk, 5, SyncMode::Group, "boot c").unwrap();
    assert_eq!(log.opening(), Opening::MachineWentDown);
    assert!(matches!(log.append(&record(5, 1)), Err(GuardError::NotReconciled)));
    log.reconciled().unwrap();
    log.append(&record(5, 1)).unwrap();
    drop(log);
    assert_eq!(open(&disk, 6, SyncMode::Group, "boot c").unwrap().opening(), Opening::KilledProcess);
    // No boot id, a damaged state or none beside signatures: nobody can tell.
    assert_eq!(open(&disk, 7, SyncMode::Group, "").unwrap().opening(), Opening::MachineWentDown);
    open(&disk, 8, SyncMode::Group, "d").unwrap().reconciled().unwrap();
    disk.edit(&dir().join(GuardLog::STATE), |text| text[20] ^= 1);
    assert_eq!(open(&disk, 9, SyncMode::Group, "d").unwrap().opening(), Opening::MachineWentDown);
}

#[test]
fn epoch_that_was_used_and_records_of_another_are_refused() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 5, SyncMode::Group, "boot").unwrap();
    assert!(matches!(log.append(&record(4, 1)), Err(GuardError::OtherEpoch)));
    log.append(&record(5, 1)).unwrap();
    log.close().unwrap();
    for used in [4, 5] {
        assert!(matches!(open(&disk, used, SyncMode::Group, "boot"), Err(GuardError::EpochUsed { .. })));
    }
    disk.edit(&dir().join(GuardLog::STATE), Vec::clear);
    assert!(matches!(open(&disk, 5, SyncMode::Group, "boot"), Err(GuardError::EpochUsed { .. })));
}

#[test]
fn records_go_over_segments_and_runs_in_order_and_old_segments_can_be_pruned() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1, SyncMode::Group, "boot").unwrap();
    let count = 2 * PLACES + 10;
    for sequence in 1..=count {
        log.append(&record(1, sequence)).unwrap();
    }
    log.close().unwrap();
    let mut log = open(&disk, 2, SyncMode::Group, "boot").unwrap();
    log.append(&record(2, 1)).unwrap();
    let (records, damage) = read(&disk);
    assert!(damage.is_none(), "{damage:?}");
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence.get()).collect();
    assert_eq!(sequences, (1..=count).chain([1]).collect::<Vec<_>>());

    let sealed = log.sealed_segments().unwrap();
    assert_eq!(sealed.iter().map(|one| one.records).collect::<Vec<_>>(), [PLACES - 1, PLACES - 1, 12]);
    assert_eq!(sealed[1].first, PLACES - 1);
    let hashes: std::collections::BTreeSet<_> = sealed.iter().map(|one| one.sha256).collect();
    assert_eq!(hashes.len(), 3);

    let forever = Retention { segments_max: 100, age_max: Duration::from_secs(1) };
    assert_eq!(log.prune(forever, UnixNanos(1_000_000_000)).unwrap(), 0);
    let aged = UnixNanos(1_000_000_000 + PLACES);
    assert_eq!(log.prune(forever, aged).unwrap(), 1, "the last record of the first is older than a second");
    assert_eq!(log.prune(Retention { segments_max: 1, ..forever }, UnixNanos(0)).unwrap(), 1);
    assert_eq!(log.sealed_segments().unwrap(), sealed[2..]);
    assert_eq!(read(&disk).0.len(), 13);
}

#[test]
fn the_first_altered_missing_or_moved_record_is_named() {
    let written = || {
        let disk = MemoryDisk::default();
        for run in 1..=3 {
            let mut log = open(&disk, run, SyncMode::Group, "boot").unwrap();
            for sequence in 1..=20 {
                log.append(&record(run, sequence)).unwrap();
            }
            log.close().unwrap();
        }
        disk
    };
    let sound = written();
    assert!(read(&sound).1.is_none());
    let names: Vec<u64> = crate::guard_reader::segments(&sound, dir()).unwrap();
    assert_eq!(names.len(), 3);
    let path = |at: usize| dir().join(segment_name(names[at]));
    let place = |place: u64| usize::try_from(offset(place)).unwrap();

    for at in 1..=20 {
        let disk = written();
        disk.edit(&path(1), |bytes| bytes[place(at) + 50] ^= 4);
        let (records, damage) = read(&disk);
        let named =
            matches!(damage, Some(GuardDamage::Record { segment, place }) if segment == names[1] && place == at);
        // The last one of a segment may also be a write that failed; then the next segment tells.
        let gap = matches!(damage, Some(GuardDamage::Gap { expected, .. }) if at == 20 && expected == 39);
        assert!(named || gap, "{at}: {damage:?}");
        assert_eq!(records.len() as u64, 20 + at - 1);
    }
    let disk = written();
    disk.edit(&path(0), |bytes| bytes.copy_within(place(3)..place(4), place(5)));
    assert!(matches!(read(&disk).1, Some(GuardDamage::Record { place: 5, .. })));
    let disk = written();
    disk.edit(&path(0), |bytes| bytes[9] ^= 1);
    assert!(matches!(read(&disk).1, Some(GuardDamage::Record { place: 0, .. })));
    let disk = written();
    crate::Disk::remove(&disk, &path(1)).unwrap();
    assert!(matches!(read(&disk).1, Some(GuardDamage::Gap { expected: 20, found: 40, .. })));
    let disk = written();
    disk.edit(&path(2), |bytes| bytes[place(20)] ^= 1);
    assert!(matches!(read(&disk).1, Some(GuardDamage::Record { place: 20, .. })));
}

#[test]
fn after_any_failed_request_every_released_record_is_there_and_the_log_goes_on() {
    for mode in [SyncMode::Group, SyncMode::Strict] {
        let mut reached_the_end = false;
        for fails_at in 0..120 {
            let disk = MemoryDisk::default();
            disk.fail_after(fails_at);
            let mut released = Vec::new();
            let mut refused = 0;
            if let Ok(mut log) = open(&disk, 1, mode, "boot") {
                for sequence in 1..=30 {
                    match log.append(&record(1, sequence)) {
                        Ok(()) => released.push(sequence),
                        Err(_) => refused += 1,
                    }
                }
                assert!(refused <= 1, "one failed request costs one record");
            }
            reached_the_end |= !disk.has_failed();
            disk.heal();
            let images =
                if mode == SyncMode::Strict { vec![disk.clone(), disk.after_power_loss()] } else { vec![disk] };
            for image in images {
                let mut log = open(&image, 2, mode, "boot").unwrap();
                if log.reconcile_due() {
                    log.reconciled().unwrap();
                }
                log.append(&record(2, 1)).unwrap();
                let (records, damage) = read(&image);
                assert!(damage.is_none(), "{mode:?} {fails_at}: {damage:?}");
                let kept = |sequence: &u64| records.contains(&record(1, *sequence));
                assert!(released.iter().all(kept), "{mode:?} {fails_at}: {released:?} {}", records.len());
                assert!(records.contains(&record(2, 1)));
            }
        }
        assert!(reached_the_end, "{mode:?}: every request of the run was made to fail once");
    }
}

#[test]
fn failed_sync_gives_the_segment_up_and_is_told_once() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1, SyncMode::Group, "boot").unwrap();
    let first = crate::guard_reader::segments(&disk, dir()).unwrap();
    disk.fail_syncs();
    log.append(&record(1, 1)).unwrap();
    while log.unsynced() > 0 {
        std::thread::yield_now();
    }
    disk.heal();
    assert!(matches!(log.append(&record(1, 2)), Err(GuardError::SyncFailed { .. })));
    log.append(&record(1, 3)).unwrap();
    let after = crate::guard_reader::segments(&disk, dir()).unwrap();
    assert_eq!(after.len(), first.len() + 1);
    let given_up = disk.content(&dir().join(segment_name(first[0]))).unwrap();
    assert_eq!(given_up[usize::try_from(offset(2)).unwrap()..].iter().filter(|byte| **byte != 0).count(), 0);
    let sequences: Vec<u64> = read(&disk).0.iter().map(|record| record.sequence.get()).collect();
    assert_eq!(sequences, [1, 3]);
    disk.fail_syncs();
    log.append(&record(1, 4)).unwrap();
    assert!(log.close().is_err(), "a run whose records are not on the disk did not end in order");
}

#[test]
fn records_reach_the_disk_in_groups_without_being_asked() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1, SyncMode::Group, "boot").unwrap();
    for sequence in 1..=1_000 {
        log.append(&record(1, sequence)).unwrap();
    }
    while log.unsynced() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(read(&disk.after_power_loss()).0.len(), 1_000);
}

#[test]
fn appending_allocates_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut log = GuardLog::open(home.path(), epoch(1), SyncMode::Group, "boot").unwrap();
    let counted = allocation_counter::measure(|| {
        for sequence in 1..=2_000 {
            log.append(&record(1, sequence)).unwrap();
        }
    });
    assert_eq!(counted.count_total, 0);
}
