//! A disk on which the n-th operation fails, for every n: before it, in the middle, after it, once or from then on;
//! and a power cut that loses what was not synced.

use super::support::{BOOT, NOW, SMALL, entry};
use crate::*;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing of it happens.
    Before,
    /// Half of what was to be written is written.
    Torn,
    /// All of it happens, and an error is reported.
    After,
}

#[derive(Default)]
struct Plan {
    armed: Option<(usize, Fault, bool)>,
    count: usize,
    hit: bool,
}

/// Files in memory that know what a power cut leaves.
#[derive(Default)]
struct Disk {
    now: BTreeMap<String, Vec<u8>>,
    synced: BTreeMap<String, Vec<u8>>,
    plan: Plan,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Disk>>);

impl Memory {
    fn arm(&self, fail_at: usize, fault: Fault, lasting: bool) {
        self.0.lock().unwrap().plan = Plan { armed: Some((fail_at, fault, lasting)), ..Plan::default() };
    }

    /// Works again from now on; says whether the fault was met.
    fn disarm(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap().plan).hit
    }

    /// The machine as it starts again: everything written is there, or only what was synced.
    fn restarted(&self, power_cut: bool) -> Self {
        let disk = self.0.lock().unwrap();
        let left = if power_cut { disk.synced.clone() } else { disk.now.clone() };
        Self(Arc::new(Mutex::new(Disk { now: left.clone(), synced: left, plan: Plan::default() })))
    }

    fn step(&self, act: impl Fn(&mut Disk, bool)) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.plan.count += 1;
        let due =
            disk.plan.armed.filter(|(at, _, lasting)| disk.plan.count == *at || (*lasting && disk.plan.count > *at));
        let Some((_, fault, _)) = due else {
            act(&mut disk, true);
            return Ok(());
        };
        disk.plan.hit = true;
        match fault {
            Fault::Before => {}
            Fault::Torn => act(&mut disk, false),
            Fault::After => act(&mut disk, true),
        }
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

impl AuditFiles for Memory {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().now.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().now.get(name).cloned())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        if self.0.lock().unwrap().now.contains_key(name) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        self.step(|disk, whole| {
            disk.now.insert(name.to_owned(), Vec::new());
            if whole {
                disk.synced.insert(name.to_owned(), Vec::new());
            }
        })
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(|disk, whole| {
            let file = disk.now.get_mut(name).expect("the file is there");
            let part = if whole { bytes } else { &bytes[..bytes.len() / 2] };
            let end = offset as usize + part.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[offset as usize..end].copy_from_slice(part);
        })
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.step(|disk, whole| {
            if whole {
                disk.now.get_mut(name).expect("the file is there").resize(length as usize, 0);
            }
        })
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.step(|disk, whole| {
            if whole {
                let file = disk.now.get(name).expect("the file is there").clone();
                disk.synced.insert(name.to_owned(), file);
            }
        })
    }
}

const BOUNDS: AuditBounds = AuditBounds { records_per_checkpoint: 5, segment_bytes: 2_500, group_max: 3, ..SMALL };

/// What one run does; gives the numbers that were confirmed, with whether they last.
fn script(log: &mut AuditLog) -> Vec<(u64, String, bool)> {
    let mut confirmed = Vec::new();
    for number in 0..14 {
        let verb = if number % 3 == 0 { AuditVerb::Resume } else { AuditVerb::Halt };
        let entry = AuditEntry { verb, ..entry(number) };
        if let Ok(seq) = log.append(&entry, NOW) {
            confirmed.push((seq, entry.reason.clone(), verb.raises_risk()));
        }
        if number % 6 == 5 {
            let _ = log.tick(NOW);
        }
        if number == 11 {
            let _ = log.checkpoint(NOW);
        }
    }
    confirmed
}

fn reasons(disk: &Memory) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    for name in disk.names().unwrap().iter().filter(|name| name.starts_with("audit-")) {
        for line in String::from_utf8(disk.read(name).unwrap().unwrap()).unwrap().lines() {
            if let Some(parsed) = format::parse(line.as_bytes())
                && let Line::Record(record) = parsed.line
            {
                found.insert(record.seq, record.reason);
            }
        }
    }
    found
}

#[test]
fn whatever_operation_fails_what_was_confirmed_stays_and_the_log_goes_on() {
    let mut failures = 0;
    for fault in [Fault::Before, Fault::Torn, Fault::After] {
        for lasting in [false, true] {
            for fail_at in 1..500 {
                let at = format!("operation {fail_at}, {fault:?}, lasting {lasting}");
                let disk = Memory::default();
                let (mut log, seed) = AuditLog::create_in(Box::new(disk.clone()), BOOT, NOW, BOUNDS).unwrap();
                disk.arm(fail_at, fault, lasting);
                let confirmed = script(&mut log);
                if !disk.disarm() {
                    assert!(fail_at > 30, "{at}");
                    break;
                }
                failures += 1;
                assert!(lasting || confirmed.len() >= 12, "{at}: one failure costs few records");
                // The process dies here: by a kill, or with the power.
                for power_cut in [false, true] {
                    let disk = disk.restarted(power_cut);
                    let mut log = AuditLog::open_in(Box::new(disk.clone()), &seed, BOOT, NOW, BOUNDS)
                        .unwrap_or_else(|error| panic!("{at}, power cut {power_cut}: {error:?}"));
                    let found = reasons(&disk);
                    for (seq, reason, lasts) in &confirmed {
                        if *lasts || !power_cut {
                            assert_eq!(found.get(seq), Some(reason), "{at}, power cut {power_cut}: record {seq}");
                        }
                    }
                    script(&mut log);
                    log.checkpoint(NOW).unwrap();
                    let report = verify_files(&disk, seed.anchor(), Some(&seed), Some(log.seq())).unwrap();
                    assert_eq!(report.first_bad, None, "{at}, power cut {power_cut}");
                }
                // Or it lives on, the disk works again, and the next records go through.
                let before = confirmed.len();
                let again = script(&mut log);
                assert_eq!(again.len(), 14, "{at}");
                log.checkpoint(NOW).unwrap();
                let found = reasons(&disk);
                for (seq, reason, _) in confirmed.iter().chain(&again) {
                    assert_eq!(found.get(seq), Some(reason), "{at}: record {seq} of {before} before");
                }
                let report = verify_files(&disk, seed.anchor(), Some(&seed), Some(log.seq())).unwrap();
                assert_eq!(report.first_bad, None, "{at}");
            }
        }
    }
    assert!(failures > 200, "{failures} failures were tried");
}

#[test]
fn opening_that_fails_at_any_operation_loses_nothing() {
    for fault in [Fault::Before, Fault::Torn, Fault::After] {
        for fail_at in 1..100 {
            let at = format!("operation {fail_at}, {fault:?}");
            let disk = Memory::default();
            let (mut log, seed) = AuditLog::create_in(Box::new(disk.clone()), BOOT, NOW, BOUNDS).unwrap();
            let confirmed = script(&mut log);
            drop(log);
            // Half a line at the end, so that there is something to repair.
            let name = disk.names().unwrap().into_iter().rfind(|name| name.starts_with("audit-")).unwrap();
            disk.0.lock().unwrap().now.get_mut(&name).unwrap().extend_from_slice(b"{\"seq\":");
            disk.arm(fail_at, fault, false);
            let opened = AuditLog::open_in(Box::new(disk.clone()), &seed, BOOT, NOW, BOUNDS);
            if !disk.disarm() {
                assert!(fail_at > 8 && opened.is_ok(), "{at}");
                break;
            }
            drop(opened);
            for power_cut in [false, true] {
                let disk = disk.restarted(power_cut);
                let log = AuditLog::open_in(Box::new(disk.clone()), &seed, BOOT, NOW, BOUNDS)
                    .unwrap_or_else(|error| panic!("{at}, power cut {power_cut}: {error:?}"));
                let found = reasons(&disk);
                for (seq, reason, lasts) in &confirmed {
                    if *lasts || !power_cut {
                        assert_eq!(found.get(seq), Some(reason), "{at}, power cut {power_cut}");
                    }
                }
                let report = verify_files(&disk, seed.anchor(), Some(&seed), Some(log.seq())).unwrap();
                assert_eq!(report.first_bad, None, "{at}, power cut {power_cut}");
            }
        }
    }
}

#[test]
fn nothing_is_recorded_on_a_disk_without_room_and_risk_is_refused() {
    let disk = Memory::default();
    let (mut log, seed) = AuditLog::create_in(Box::new(disk.clone()), BOOT, NOW, BOUNDS).unwrap();
    disk.arm(1, Fault::Torn, true);
    let raising = AuditEntry { verb: AuditVerb::Unhalt, ..entry(1) };
    let permission = fail_closed(log.append(&raising, NOW), AuditVerb::Unhalt.raises_risk());
    assert!(matches!(permission, Permission::Refuse(AuditError::Io { .. })));
    let permission = fail_closed(log.append(&entry(2), NOW), AuditVerb::Halt.raises_risk());
    assert!(matches!(permission, Permission::GoOnUnrecorded(_)));
    disk.disarm();
    assert_eq!(log.append(&raising, NOW).unwrap(), 2);
    assert_eq!(verify_files(&disk, seed.anchor(), Some(&seed), Some(2)).unwrap().first_bad, None);
}
