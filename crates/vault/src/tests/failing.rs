//! Whatever operation fails, and however: the old or the new vault stays readable.

use std::{
    io,
    sync::{Arc, Mutex},
};

use secrets::SecretBytes;

use super::support::{Bench, FIRST, NAME, OTHER_PASSPHRASE, PASSPHRASE, SECOND, contents, passphrase};
use crate::{DiskFiles, FileFacts, KdfParams, SlotKind, Vault, VaultError, VaultFiles, VaultStep};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// An error, and nothing was done.
    Before,
    /// Half of the bytes were written or read; a write reports an error, a read does not.
    Torn,
    /// One bit of what was written is wrong, and nothing reports it.
    Corrupt,
    /// Everything was done, but an error is reported.
    After,
}

#[derive(Default)]
struct Plan {
    log: Vec<&'static str>,
    /// Number of the operation that fails, from 1; none if 0.
    fail_at: usize,
    fault: Option<Fault>,
    /// Whether everything after it fails too, as when the process died or the disk went away.
    lasting: bool,
}

struct FailingFiles {
    disk: DiskFiles,
    plan: Arc<Mutex<Plan>>,
}

impl FailingFiles {
    /// Counts the operation and says how it fails.
    fn count(&self, operation: &'static str) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        plan.log.push(operation);
        let number = plan.log.len();
        let armed = plan.fail_at > 0;
        match plan.fault {
            Some(fault) if armed && number == plan.fail_at => Some(fault),
            Some(_) if armed && plan.lasting && number > plan.fail_at => Some(Fault::Before),
            _ => None,
        }
    }

    fn run<T>(&self, operation: &'static str, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.count(operation) {
            None | Some(Fault::Corrupt) => action(),
            Some(Fault::Before | Fault::Torn) => Err(failure()),
            Some(Fault::After) => action().and(Err(failure())),
        }
    }
}

fn failure() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl VaultFiles for FailingFiles {
    fn user(&self) -> u32 {
        self.disk.user()
    }
    fn directory(&self) -> io::Result<FileFacts> {
        self.run("directory", || self.disk.directory())
    }
    fn facts(&self, name: &str) -> io::Result<Option<FileFacts>> {
        self.run("facts", || self.disk.facts(name))
    }
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<(FileFacts, Vec<u8>)> {
        let fault = self.count(if name == NAME { "read" } else { "read back" });
        let (facts, mut bytes) = self.disk.read(name, bytes_max)?;
        match fault {
            Some(Fault::Before | Fault::After) => Err(failure()),
            Some(Fault::Torn) => {
                bytes.truncate(bytes.len() / 2);
                Ok((facts, bytes))
            }
            Some(Fault::Corrupt) => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                Ok((facts, bytes))
            }
            None => Ok((facts, bytes)),
        }
    }
    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self.count("write") {
            None => self.disk.write_new(name, bytes),
            Some(Fault::Before) => Err(failure()),
            Some(Fault::Torn) => self.disk.write_new(name, &bytes[..bytes.len() / 2]).and(Err(failure())),
            Some(Fault::Corrupt) => {
                let mut wrong = bytes.to_vec();
                wrong[bytes.len() / 2] ^= 1;
                self.disk.write_new(name, &wrong)
            }
            Some(Fault::After) => self.disk.write_new(name, bytes).and(Err(failure())),
        }
    }
    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        self.run("link", || self.disk.link(name, second))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.run("rename", || self.disk.rename(from, to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.run("remove", || self.disk.remove(name))
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.run("names", || self.disk.names())
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.run("sync directory", || self.disk.sync_directory())
    }
}

fn failing(bench: &Bench) -> (Box<FailingFiles>, Arc<Mutex<Plan>>) {
    let plan = Arc::new(Mutex::new(Plan::default()));
    (Box::new(FailingFiles { disk: bench.disk(), plan: Arc::clone(&plan) }), plan)
}

fn arm(plan: &Mutex<Plan>, fail_at: usize, fault: Fault, lasting: bool) {
    *plan.lock().unwrap() = Plan { log: Vec::new(), fail_at, fault: Some(fault), lasting };
}

fn disarm(plan: &Mutex<Plan>) -> Vec<&'static str> {
    let mut plan = plan.lock().unwrap();
    plan.fail_at = 0;
    std::mem::take(&mut plan.log)
}

/// Runs `case(fail_at, fault, lasting)` for the first operation, the second and so on, until the
/// case says that it ran through without reaching the operation. Returns how many operations failed.
fn each_failure(mut case: impl FnMut(usize, Fault, bool) -> bool) -> usize {
    /// More operations than any save has; reaching it means that the end is never reported.
    const OPERATIONS_MAX: usize = 100;
    let mut failures = 0;
    for fault in [Fault::Before, Fault::Torn, Fault::Corrupt, Fault::After] {
        for lasting in [false, true] {
            let reached = (1..=OPERATIONS_MAX).take_while(|fail_at| case(*fail_at, fault, lasting)).count();
            assert!((5..OPERATIONS_MAX).contains(&reached), "{fault:?}: {reached} operations");
            failures += reached;
        }
    }
    failures
}

#[test]
fn save_that_fails_at_any_operation_leaves_the_old_or_the_new_vault() {
    let (old, new) = (b"old".to_vec(), b"new".to_vec());
    let failures = each_failure(|fail_at, fault, lasting| {
        let at = format!("operation {fail_at}, {fault:?}, lasting {lasting}");
        let bench = Bench::new();
        let mut vault = bench.create();
        vault.put(FIRST, SecretBytes::from_slice(&old).unwrap()).unwrap();
        for _ in 0..7 {
            vault.save().unwrap(); // generations to drop
        }
        let (files, plan) = failing(&bench);
        let mut vault = bench.open_on(files, PASSPHRASE, 8).unwrap();
        vault.put(FIRST, SecretBytes::from_slice(&new).unwrap()).unwrap();
        vault.put(SECOND, SecretBytes::from_slice(b"second").unwrap()).unwrap();
        arm(&plan, fail_at, fault, lasting);
        let saved = vault.save();
        let reached = disarm(&plan).len() >= fail_at;

        let found = bench.open(8).unwrap_or_else(|error| panic!("{at}: {error}"));
        match found.generation() {
            8 => assert_eq!(contents(&found), [(FIRST, old.clone())], "{at}"),
            9 => assert_eq!(contents(&found), [(FIRST, new.clone()), (SECOND, b"second".to_vec())], "{at}"),
            other => panic!("{at}: generation {other}"),
        }
        match &saved {
            Ok(generation) => assert_eq!((*generation, found.generation()), (9, 9), "{at}"),
            Err(VaultError::Io { step: VaultStep::SyncDirectory, .. }) => {
                assert_eq!((vault.generation(), found.generation()), (9, 9), "{at}");
            }
            Err(_) => assert_eq!(vault.generation(), 8, "{at}"),
        }
        // The disk works again: saving goes through, or says that the file moved on.
        match vault.save() {
            Ok(generation) => assert_eq!(generation, vault.generation(), "{at}"),
            Err(VaultError::ChangedOnDisk) => assert_eq!((fault, found.generation()), (Fault::After, 9), "{at}"),
            Err(other) => panic!("{at}: {other}"),
        }
        let mut last = bench.open(9).unwrap();
        assert_eq!(contents(&last), [(FIRST, new.clone()), (SECOND, b"second".to_vec())], "{at}");
        last.save().unwrap();
        let names = bench.names();
        assert!(names.len() == 6 && !names.contains(&format!("{NAME}.tmp")), "{at}: {names:?}");
        reached
    });
    assert!(failures > 80, "{failures} failures were tried");
}

#[test]
fn creation_that_fails_at_any_operation_leaves_no_vault_or_a_readable_one() {
    each_failure(|fail_at, fault, lasting| {
        let at = format!("operation {fail_at}, {fault:?}, lasting {lasting}");
        let bench = Bench::new();
        let (files, plan) = failing(&bench);
        arm(&plan, fail_at, fault, lasting);
        let created = bench.create_on(files).map(|vault| vault.generation());
        let reached = disarm(&plan).len() >= fail_at;
        match (bench.open(0), created) {
            (Ok(found), _) => assert_eq!(found.generation(), 1, "{at}"),
            (Err(VaultError::NotFound { .. }), Err(_)) => {
                assert!(bench.try_create().is_ok(), "{at}: what was left stands in the way");
            }
            (Err(error), created) => panic!("{at}: {error} after {created:?}"),
        }
        let mut vault = bench.open(1).unwrap();
        vault.save().unwrap();
        let mut names = bench.names();
        names.sort();
        assert_eq!(names, [NAME.to_owned(), format!("{NAME}.g1")], "{at}");
        reached
    });
}

#[test]
fn change_of_keys_that_fails_at_any_operation_leaves_one_passphrase_in_force() {
    type Change = fn(&mut Vault) -> Result<u64, VaultError>;
    let changes: [Change; 2] = [
        |vault| vault.change_passphrase(&passphrase(OTHER_PASSPHRASE), KdfParams::FLOOR),
        |vault| vault.rotate_dek(&passphrase(OTHER_PASSPHRASE)),
    ];
    for change in changes {
        each_failure(|fail_at, fault, lasting| {
            let at = format!("operation {fail_at}, {fault:?}, lasting {lasting}");
            let bench = Bench::new();
            let before = contents(&bench.create_with_two());
            let (files, plan) = failing(&bench);
            let mut vault = bench.open_on(files, PASSPHRASE, 2).unwrap();
            arm(&plan, fail_at, fault, lasting);
            let changed = change(&mut vault);
            let reached = disarm(&plan).len() >= fail_at;
            let (by_old, by_new) = (bench.open(2), bench.open_with(OTHER_PASSPHRASE, 2));
            assert!(by_old.is_ok() != by_new.is_ok(), "{at}: exactly one opens it");
            assert!(changed.is_err() || by_new.is_ok(), "{at}");
            assert_eq!(contents(by_old.as_ref().or(by_new.as_ref()).ok().unwrap()), before, "{at}");
            // Memory and disk agree on the slot: another save does not change who can open it.
            if vault.save().is_ok() {
                assert_eq!(bench.open(3).is_ok(), by_old.is_ok(), "{at}");
            }
            reached
        });
    }
}

#[test]
fn change_of_slots_and_accepted_roll_back_that_fail_at_any_operation_leave_the_old_or_the_new_vault() {
    type Change = fn(&mut Vault) -> Result<u64, VaultError>;
    let changes: [Change; 3] = [
        |vault| vault.add_secret_slot(SlotKind::Recovery, &SecretBytes::from_slice(&[7; 32]).unwrap()),
        |vault| vault.remove_slot(SlotKind::Machine),
        |vault| vault.save_beyond(40),
    ];
    for change in changes {
        let failures = each_failure(|fail_at, fault, lasting| {
            let at = format!("operation {fail_at}, {fault:?}, lasting {lasting}");
            let bench = Bench::new();
            let mut vault = bench.create_with_two();
            vault.add_secret_slot(SlotKind::Machine, &SecretBytes::from_slice(&[9; 32]).unwrap()).unwrap();
            let before = contents(&vault);
            let old: Vec<_> = vault.slot_kinds().collect();
            let (files, plan) = failing(&bench);
            let mut vault = bench.open_on(files, PASSPHRASE, 3).unwrap();
            arm(&plan, fail_at, fault, lasting);
            let changed = change(&mut vault);
            let reached = disarm(&plan).len() >= fail_at;
            let found = bench.open(3).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(contents(&found), before, "{at}");
            let kinds: Vec<_> = found.slot_kinds().collect();
            if found.generation() == 3 {
                assert!(changed.is_err() && kinds == old, "{at}");
            } else {
                assert!(kinds != old || found.generation() == 41, "{at}");
            }
            assert!(changed.is_err() || found.generation() == changed.unwrap(), "{at}");
            reached
        });
        assert!(failures > 80, "{failures} failures were tried");
    }
}

#[test]
fn new_vault_is_written_and_read_back_before_it_takes_its_place_and_made_durable_after() {
    let bench = Bench::new();
    drop(bench.create_with_two());
    let (files, plan) = failing(&bench);
    let mut vault = bench.open_on(files, PASSPHRASE, 2).unwrap();
    disarm(&plan);
    vault.save().unwrap();
    let log = disarm(&plan);
    let steps: Vec<_> = log.into_iter().filter(|step| !["facts", "directory", "names"].contains(step)).collect();
    assert_eq!(steps, ["read", "write", "read back", "link", "rename", "sync directory"]);
}

#[test]
fn silent_corruption_while_writing_is_found_before_the_old_vault_is_touched() {
    let bench = Bench::new();
    drop(bench.create_with_two());
    let (files, plan) = failing(&bench);
    let mut vault = bench.open_on(files, PASSPHRASE, 2).unwrap();
    disarm(&plan);
    vault.save().unwrap();
    let write = disarm(&plan).iter().position(|step| *step == "write").unwrap() + 1;
    arm(&plan, write, Fault::Corrupt, false);
    assert!(matches!(vault.save(), Err(VaultError::ReadBackDiffers)));
    assert_eq!(bench.open(3).unwrap().generation(), 3);
}
