//! Tests of the whole vault: tampering, roll-back, file safety, key changes. Failing disks are in
//! [`failing`].

mod failing;
mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use proptest::prelude::*;
use secrets::SecretBytes;

use crate::{
    DamagedPart, FileRefusal, KdfBound, KdfParams, RecordId, SlotKind, Vault, VaultError,
    format::{self, FILE_BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX, Slot},
};
use support::{Bench, CREATED, FIRST, OTHER_PASSPHRASE, PASSPHRASE, SECOND, contents, passphrase};

#[test]
fn records_come_back_after_save_and_open() {
    let bench = Bench::new();
    let mut vault = bench.create();
    vault.put(FIRST, SecretBytes::from_slice(b"first").unwrap()).unwrap();
    vault.put(SECOND, SecretBytes::from_slice(b"").unwrap()).unwrap();
    assert_eq!(vault.save().unwrap(), 2);
    let opened = bench.open(2).unwrap();
    assert_eq!(contents(&opened), [(FIRST, b"first".to_vec()), (SECOND, Vec::new())]);
    assert_eq!((opened.id(), opened.created_unix_s(), opened.generation()), (vault.id(), CREATED, 2));
    assert_eq!(opened.slot_kinds().collect::<Vec<_>>(), [SlotKind::Passphrase]);
}

#[test]
fn removed_and_replaced_records_are_gone_after_the_next_save() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    assert!(vault.remove(FIRST));
    assert!(!vault.remove(FIRST));
    vault.put(SECOND, SecretBytes::from_slice(b"replaced").unwrap()).unwrap();
    vault.save().unwrap();
    assert_eq!(contents(&bench.open(0).unwrap()), [(SECOND, b"replaced".to_vec())]);
}

#[test]
fn new_vault_file_is_for_its_owner_alone_and_shows_nothing_of_a_record() {
    let bench = Bench::new();
    let mut vault = bench.create();
    let secret = b"an invented secret that must not be seen";
    vault.put(FIRST, SecretBytes::from_slice(secret).unwrap()).unwrap();
    vault.save().unwrap();
    assert_eq!(fs::metadata(bench.path()).unwrap().permissions().mode() & 0o7777, 0o600);
    let file = fs::read(bench.path()).unwrap();
    assert!(secret.windows(6).all(|part| !file.windows(6).any(|seen| seen == part)));
}

#[test]
fn every_flipped_bit_is_refused() {
    let bench = Bench::new();
    drop(bench.create_with_two());
    let genuine = fs::read(bench.path()).unwrap();
    for bit in 0..genuine.len() * 8 {
        let mut file = genuine.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        fs::write(bench.path(), &file).unwrap();
        assert!(bench.open(0).is_err(), "bit {} of byte {} is not covered", bit % 8, bit / 8);
    }
    fs::write(bench.path(), &genuine).unwrap();
    assert!(bench.open(0).is_ok(), "the unchanged file opens");
}

#[test]
fn every_truncation_and_every_added_byte_is_refused() {
    let bench = Bench::new();
    drop(bench.create_with_two());
    let genuine = fs::read(bench.path()).unwrap();
    let runs = bench.kdf_runs();
    for len in 0..genuine.len() {
        fs::write(bench.path(), &genuine[..len]).unwrap();
        assert!(bench.open(0).is_err(), "{len} bytes of {} are refused", genuine.len());
    }
    fs::write(bench.path(), [genuine.as_slice(), &[0]].concat()).unwrap();
    assert!(bench.open(0).is_err());
    assert_eq!(bench.kdf_runs(), runs, "none of them was worth a key derivation");
}

#[test]
fn swapped_records_are_refused() {
    let bench = Bench::new();
    let mut vault = bench.create();
    vault.put(FIRST, SecretBytes::from_slice(b"12345").unwrap()).unwrap();
    vault.put(SECOND, SecretBytes::from_slice(b"67890").unwrap()).unwrap();
    vault.save().unwrap();
    let mut file = fs::read(bench.path()).unwrap();
    let record = 24 + 4 + 5 + 16;
    let start = file.len() - 2 * record;
    let (left, right) = file[start..].split_at_mut(record);
    left.swap_with_slice(right);
    fs::write(bench.path(), &file).unwrap();
    assert!(matches!(bench.open(0), Err(VaultError::Damaged { part: DamagedPart::Record(FIRST) })));
}

/// Offsets of the file, from the description of the format: the slot's body begins after magic,
/// version, header length, vault id, generation, created, slot count, kind and body length.
const SLOT_COUNT: usize = 8 + 2 + 4 + 16 + 8 + 8;
const SLOT_KIND: usize = SLOT_COUNT + 1;
const SLOT_BODY: usize = SLOT_KIND + 3;

#[test]
fn bad_headers_are_refused_before_the_key_derivation_runs() {
    let bench = Bench::new();
    drop(bench.create_with_two());
    let genuine = fs::read(bench.path()).unwrap();
    let runs = bench.kdf_runs();
    let set = |at: usize, bytes: &[u8]| (at, bytes.to_vec());
    let memory = |kib: u32| set(SLOT_BODY + 1, &kib.to_le_bytes());
    let passes = |passes: u32| set(SLOT_BODY + 5, &passes.to_le_bytes());
    let lanes = |lanes: u32| set(SLOT_BODY + 9, &lanes.to_le_bytes());
    let out_of = |bound| format!("{:?}", Some(bound));
    let table = [
        ("64 GiB", memory(64 << 20), out_of(KdfBound::MemoryKib)),
        ("1 GiB and 1 KiB", memory((1 << 20) + 1), out_of(KdfBound::MemoryKib)),
        ("8 KiB", memory(8), out_of(KdfBound::MemoryKib)),
        ("19 MiB less 1 KiB", memory(19 * 1024 - 1), out_of(KdfBound::MemoryKib)),
        ("no pass", passes(0), out_of(KdfBound::Passes)),
        ("11 passes", passes(11), out_of(KdfBound::Passes)),
        ("no lane", lanes(0), out_of(KdfBound::Lanes)),
        ("9 lanes", lanes(9), out_of(KdfBound::Lanes)),
        ("other magic", set(0, b"X"), "NotAVault".into()),
        ("version 0", set(8, &[0, 0]), "UnsupportedVersion(0)".into()),
        ("version 2", set(8, &[2, 0]), "UnsupportedVersion(2)".into()),
        ("header of 4 GiB", set(10, &[0xFF; 4]), "Malformed".into()),
        ("header of 0 bytes", set(10, &[0; 4]), "Malformed".into()),
        ("generation 0", set(30, &[0; 8]), "Malformed".into()),
        ("no slot", set(SLOT_COUNT, &[0]), "Malformed".into()),
        ("9 slots", set(SLOT_COUNT, &[9]), "Malformed".into()),
        ("slot of kind 0", set(SLOT_KIND, &[0]), "Malformed".into()),
        ("slot of kind 5", set(SLOT_KIND, &[5]), "Malformed".into()),
        ("slot of another length", set(SLOT_KIND + 1, &[100, 0]), "Malformed".into()),
        ("another key derivation", set(SLOT_BODY, &[2]), "Malformed".into()),
        ("machine slot alone", set(SLOT_KIND, &[2]), "NoPassphraseSlot".into()),
    ];
    for (name, (at, bytes), expected) in table {
        let mut file = genuine.clone();
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        fs::write(bench.path(), &file).unwrap();
        let found = match bench.open(0).err().unwrap() {
            VaultError::KdfOutOfBounds { bound, .. } => out_of(bound),
            VaultError::UnsupportedVersion { found, .. } => format!("UnsupportedVersion({found})"),
            VaultError::NotAVault => "NotAVault".into(),
            VaultError::NoPassphraseSlot => "NoPassphraseSlot".into(),
            VaultError::Malformed { .. } => "Malformed".into(),
            other => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(bench.kdf_runs(), runs, "the key derivation never ran");
    fs::write(bench.path(), &genuine).unwrap();
    assert!(bench.open(0).is_ok());
    assert_eq!(bench.kdf_runs(), runs + 1, "and the count would have shown it");
}

#[test]
fn file_larger_than_any_vault_is_not_read() {
    let bench = Bench::new();
    drop(bench.create());
    fs::OpenOptions::new().write(true).open(bench.path()).unwrap().set_len(FILE_BYTES_MAX as u64 + 1).unwrap();
    let error = bench.open(0).err().unwrap();
    assert!(matches!(error, VaultError::UnsafeFile { refusal: FileRefusal::TooLarge { .. }, .. }), "{error}");
}

#[test]
fn wrong_passphrase_and_damaged_slot_give_the_same_error() {
    let bench = Bench::new();
    drop(bench.create_with_two());
    let wrong = bench.open_with(OTHER_PASSPHRASE, 0).err().unwrap();
    let mut file = fs::read(bench.path()).unwrap();
    file[SLOT_BODY + 13 + 16 + 24] ^= 1; // first byte of the wrapped key
    fs::write(bench.path(), &file).unwrap();
    let damaged = bench.open(0).err().unwrap();
    assert_eq!(format!("{wrong:?} {wrong}"), format!("{damaged:?} {damaged}"));
    assert!(matches!(wrong, VaultError::CannotUnlock));
}

#[test]
fn genuine_but_older_vault_is_refused() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    let seen = vault.save().unwrap();
    fs::rename(bench.kept(seen - 1), bench.path()).unwrap();
    match bench.open(seen) {
        Err(VaultError::RolledBack { found, seen: known }) => assert_eq!((found, known), (seen - 1, seen)),
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(bench.open(seen - 1).unwrap().generation(), seen - 1, "it opens when it is accepted on purpose");
}

#[test]
fn roll_back_is_reported_only_to_who_has_the_passphrase() {
    let bench = Bench::new();
    drop(bench.create());
    assert!(matches!(bench.open_with(OTHER_PASSPHRASE, 99), Err(VaultError::CannotUnlock)));
}

#[test]
fn saving_goes_on_after_an_older_vault_was_accepted() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    vault.save().unwrap();
    fs::rename(bench.kept(2), bench.path()).unwrap();
    let mut older = bench.open(2).unwrap();
    older.put(FIRST, SecretBytes::from_slice(b"another history").unwrap()).unwrap();
    assert_eq!(older.save().unwrap(), 3);
    assert_eq!(older.save().unwrap(), 4);
    assert_eq!(bench.open(4).unwrap().get(FIRST).unwrap().expose(), b"another history");
}

#[test]
fn file_that_others_may_reach_is_refused() {
    for mode in [0o640, 0o604, 0o644, 0o660, 0o610, 0o601] {
        let bench = Bench::new();
        drop(bench.create());
        fs::set_permissions(bench.path(), fs::Permissions::from_mode(mode)).unwrap();
        match bench.open(0).err().unwrap() {
            VaultError::UnsafeFile { refusal: FileRefusal::OpenToOthers { mode: found }, .. } => {
                assert_eq!(found, mode)
            }
            other => panic!("{other}"),
        }
        fs::set_permissions(bench.path(), fs::Permissions::from_mode(0o400)).unwrap();
        assert!(bench.open(0).is_ok());
    }
}

#[test]
fn directory_that_others_may_write_is_refused_for_opening_creating_and_saving() {
    let bench = Bench::new();
    let mut vault = bench.create();
    fs::set_permissions(bench.directory(), fs::Permissions::from_mode(0o730)).unwrap();
    let refused = |error: Option<VaultError>| match error.unwrap() {
        VaultError::UnsafeFile { refusal: FileRefusal::DirectoryWritable { mode }, .. } => assert_eq!(mode, 0o730),
        other => panic!("{other}"),
    };
    refused(bench.open(0).err());
    refused(vault.save().err());
    fs::remove_file(bench.path()).unwrap();
    refused(bench.try_create().err());
    fs::set_permissions(bench.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(bench.try_create().is_ok());
}

#[test]
fn link_directory_and_pipe_in_place_of_the_vault_are_refused() {
    let bench = Bench::new();
    drop(bench.create());
    let elsewhere = bench.directory().join("elsewhere");
    let not_regular = |bench: &Bench| {
        let error = bench.open(0).err().unwrap();
        assert!(matches!(error, VaultError::UnsafeFile { refusal: FileRefusal::NotRegular, .. }), "{error}");
    };
    fs::rename(bench.path(), &elsewhere).unwrap();
    symlink(&elsewhere, bench.path()).unwrap();
    not_regular(&bench);
    fs::remove_file(bench.path()).unwrap();
    fs::create_dir(bench.path()).unwrap();
    not_regular(&bench);
    fs::remove_dir(bench.path()).unwrap();
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, bench.path(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        not_regular(&bench);
        fs::remove_file(bench.path()).unwrap();
    }
    fs::rename(&elsewhere, bench.path()).unwrap();
    assert!(bench.open(0).is_ok());
}

#[test]
fn second_name_elsewhere_is_refused_but_one_of_an_interrupted_save_is_not() {
    let bench = Bench::new();
    drop(bench.create());
    let elsewhere = bench.directory().join("copy");
    fs::hard_link(bench.path(), &elsewhere).unwrap();
    match bench.open(0).err().unwrap() {
        VaultError::UnsafeFile { refusal: FileRefusal::ExtraLinks { links, known }, .. } => {
            assert_eq!((links, known), (2, 1));
        }
        other => panic!("{other}"),
    }
    fs::rename(&elsewhere, bench.kept(1)).unwrap();
    let mut vault = bench.open(0).unwrap();
    assert_eq!(vault.save().unwrap(), 2, "the interrupted save is taken up");
    assert_eq!(fs::metadata(bench.kept(1)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn vault_of_another_user_is_refused() {
    let bench = Bench::new();
    drop(bench.create());
    let error = bench.open_as_user(4_242).err().unwrap();
    assert!(
        matches!(error, VaultError::UnsafeFile { refusal: FileRefusal::WrongOwner { expected: 4_242, .. }, .. }),
        "{error}"
    );
}

#[test]
fn missing_vault_and_missing_directory_are_not_found() {
    let bench = Bench::new();
    assert!(matches!(bench.open(0), Err(VaultError::NotFound { .. })));
    let nowhere = bench.directory().join("nowhere/keys.vault");
    assert!(matches!(Vault::open(&nowhere, &passphrase(PASSPHRASE), 0), Err(VaultError::NotFound { .. })));
    assert!(matches!(Vault::open("/", &passphrase(PASSPHRASE), 0), Err(VaultError::BadPath { .. })));
}

#[test]
fn existing_file_is_never_overwritten_by_a_new_vault() {
    let bench = Bench::new();
    fs::write(bench.path(), b"precious").unwrap();
    assert!(matches!(bench.try_create(), Err(VaultError::AlreadyExists { .. })));
    assert_eq!(fs::read(bench.path()).unwrap(), b"precious");
}

#[test]
fn file_saved_by_somebody_else_in_between_is_not_replaced() {
    let bench = Bench::new();
    let mut mine = bench.create();
    let mut theirs = bench.open(0).unwrap();
    theirs.put(FIRST, SecretBytes::from_slice(b"theirs").unwrap()).unwrap();
    theirs.save().unwrap();
    assert!(matches!(mine.save(), Err(VaultError::ChangedOnDisk)));
    assert_eq!(contents(&bench.open(2).unwrap()), [(FIRST, b"theirs".to_vec())]);
    fs::remove_file(bench.path()).unwrap();
    assert!(matches!(theirs.save(), Err(VaultError::ChangedOnDisk)));
}

#[test]
fn five_generations_are_kept_and_each_of_them_opens() {
    let bench = Bench::new();
    let mut vault = bench.create();
    for generation in 2..=9_u8 {
        vault.put(FIRST, SecretBytes::from_slice(&[generation]).unwrap()).unwrap();
        assert_eq!(vault.save().unwrap(), u64::from(generation));
    }
    let mut names = bench.names();
    names.sort();
    assert_eq!(
        names,
        ["keys.vault", "keys.vault.g4", "keys.vault.g5", "keys.vault.g6", "keys.vault.g7", "keys.vault.g8"]
    );
    for generation in [8_u8, 4] {
        fs::rename(bench.kept(generation.into()), bench.path()).unwrap();
        assert_eq!(contents(&bench.open(0).unwrap()), [(FIRST, vec![generation])]);
    }
}

#[test]
fn old_generations_can_be_removed() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    vault.save().unwrap();
    fs::write(bench.directory().join("keys.vault.gx"), b"not ours").unwrap();
    assert_eq!(vault.remove_old_generations().unwrap(), 2);
    let mut names = bench.names();
    names.sort();
    assert_eq!(names, ["keys.vault", "keys.vault.gx"]);
}

#[test]
fn changed_passphrase_opens_the_vault_and_the_old_one_does_not() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    let before = contents(&vault);
    vault.change_passphrase(&passphrase(OTHER_PASSPHRASE), KdfParams::DEFAULT).unwrap();
    assert!(matches!(bench.open(0), Err(VaultError::CannotUnlock)));
    let opened = bench.open_with(OTHER_PASSPHRASE, 0).unwrap();
    assert_eq!(contents(&opened), before);
    assert_eq!(opened.kdf_params(), Some(KdfParams::DEFAULT));
}

#[test]
fn rotated_data_key_leaves_the_records_and_nothing_of_the_old_key() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    let before = contents(&vault);
    let old_key = vault.key.duplicate().unwrap();
    vault.rotate_dek(&passphrase(PASSPHRASE)).unwrap();
    assert_ne!(vault.key.expose(), old_key.expose());
    let opened = bench.open(0).unwrap();
    assert_eq!(contents(&opened), before);
    assert_eq!(opened.key.expose(), vault.key.expose());
    let file = fs::read(bench.path()).unwrap();
    assert!(crate::store::decrypt(&format::parse(&file).unwrap(), &old_key).is_err());
}

#[test]
fn short_passphrase_is_refused_for_every_new_slot_but_may_be_tried() {
    let bench = Bench::new();
    let short = passphrase("fourteen chars");
    let refused = |error: VaultError| assert!(matches!(error, VaultError::PassphraseTooShort { characters: 14, .. }));
    refused(bench.try_create_with(&short, KdfParams::DEFAULT).err().unwrap());
    let mut vault = bench.create();
    refused(vault.change_passphrase(&short, KdfParams::DEFAULT).err().unwrap());
    refused(vault.rotate_dek(&short).err().unwrap());
    assert!(matches!(bench.open_with("fourteen chars", 0), Err(VaultError::CannotUnlock)));
}

#[test]
fn cheap_key_derivation_is_refused_for_every_new_slot() {
    let bench = Bench::new();
    let cheap = KdfParams { memory_kib: 32 * 1024, passes: 3, lanes: 1 };
    let error = bench.try_create_with(&passphrase(PASSPHRASE), cheap).err().unwrap();
    assert!(matches!(error, VaultError::KdfTooCheap { bound: KdfBound::MemoryKib, .. }));
    let error = bench.create().change_passphrase(&passphrase(OTHER_PASSPHRASE), cheap).err().unwrap();
    assert!(matches!(error, VaultError::KdfTooCheap { .. }));
}

#[test]
fn too_large_and_too_many_records_are_refused_and_the_vault_is_unchanged() {
    let bench = Bench::new();
    let mut vault = bench.create();
    let large = SecretBytes::zeroed(RECORD_BYTES_MAX + 1).unwrap();
    assert!(matches!(vault.put(FIRST, large), Err(VaultError::RecordTooLarge { .. })));
    assert_eq!(vault.ids().count(), 0);
    let id = |number: usize| RecordId(u128::try_from(number).unwrap().to_be_bytes());
    for number in 0..RECORDS_MAX {
        vault.put(id(number), SecretBytes::from_slice(b"x").unwrap()).unwrap();
    }
    let one_more = SecretBytes::from_slice(b"x").unwrap();
    assert!(matches!(vault.put(id(RECORDS_MAX), one_more), Err(VaultError::TooManyRecords { .. })));
    vault.put(id(0), SecretBytes::from_slice(b"replaced").unwrap()).unwrap();
    vault.save().unwrap();
    assert_eq!(bench.open(0).unwrap().ids().count(), RECORDS_MAX);
}

#[test]
fn slots_of_other_kinds_are_carried_along_and_block_a_new_data_key() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    for (kind, len) in [(SlotKind::Machine, 72), (SlotKind::Recovery, 0), (SlotKind::Transit, 300)] {
        vault.slots.push(Slot::Other { kind, body: vec![7; len] });
    }
    vault.save().unwrap();
    let mut opened = bench.open(0).unwrap();
    let kinds = [SlotKind::Passphrase, SlotKind::Machine, SlotKind::Recovery, SlotKind::Transit];
    assert_eq!(opened.slot_kinds().collect::<Vec<_>>(), kinds);
    opened.change_passphrase(&passphrase(OTHER_PASSPHRASE), KdfParams::DEFAULT).unwrap();
    let mut opened = bench.open_with(OTHER_PASSPHRASE, 0).unwrap();
    assert_eq!(opened.slots[1..], vault.slots[1..]);
    let error = opened.rotate_dek(&passphrase(OTHER_PASSPHRASE)).err().unwrap();
    assert!(matches!(error, VaultError::SlotBlocksRotation { kind: SlotKind::Machine }));
}

#[test]
fn machine_and_recovery_slots_open_the_same_records_by_their_own_secret_alone() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    let before = contents(&vault);
    let (machine, recovery) = (SecretBytes::random(32).unwrap(), SecretBytes::random(40).unwrap());
    vault.add_secret_slot(SlotKind::Machine, &machine).unwrap();
    vault.add_secret_slot(SlotKind::Recovery, &recovery).unwrap();
    let runs = bench.kdf_runs();
    assert_eq!(contents(&bench.open_by_secret(SlotKind::Machine, &machine).unwrap()), before);
    assert_eq!(contents(&bench.open_by_secret(SlotKind::Recovery, &recovery).unwrap()), before);
    for (kind, wrong) in [(SlotKind::Machine, &recovery), (SlotKind::Recovery, &machine)] {
        assert!(matches!(bench.open_by_secret(kind, wrong), Err(VaultError::CannotUnlock)));
    }
    assert_eq!(bench.kdf_runs(), runs, "a random secret needs no costly derivation");
    assert_eq!(contents(&bench.open(4).unwrap()), before, "the passphrase opens it as before");

    let mut opened = bench.open_by_secret(SlotKind::Recovery, &recovery).unwrap();
    opened.change_passphrase(&passphrase(OTHER_PASSPHRASE), KdfParams::FLOOR).unwrap();
    assert_eq!(contents(&bench.open_with(OTHER_PASSPHRASE, 5).unwrap()), before, "a lost passphrase is replaced");
    opened.remove_slot(SlotKind::Machine).unwrap();
    let gone = bench.open_by_secret(SlotKind::Machine, &machine);
    assert!(matches!(gone, Err(VaultError::NoSlot { kind: SlotKind::Machine })));
    assert!(bench.open_by_secret(SlotKind::Recovery, &recovery).is_ok());
    opened.remove_slot(SlotKind::Recovery).unwrap();
    opened.rotate_dek(&passphrase(OTHER_PASSPHRASE)).unwrap();
    assert_eq!(contents(&bench.open_with(OTHER_PASSPHRASE, 8).unwrap()), before);
}

#[test]
fn slot_that_makes_no_sense_is_refused_and_the_vault_is_unchanged() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    let file = fs::read(bench.path()).unwrap();
    let (short, good) = (SecretBytes::random(31).unwrap(), SecretBytes::random(32).unwrap());
    let short = vault.add_secret_slot(SlotKind::Machine, &short);
    assert!(matches!(short, Err(VaultError::SlotSecretTooShort { bytes: 31, least: 32 })));
    for kind in [SlotKind::Passphrase, SlotKind::Transit] {
        assert!(matches!(vault.add_secret_slot(kind, &good), Err(VaultError::WrongSlotKind { .. })));
        assert!(matches!(bench.open_by_secret(kind, &good), Err(VaultError::WrongSlotKind { .. })));
    }
    assert!(matches!(vault.remove_slot(SlotKind::Passphrase), Err(VaultError::WrongSlotKind { .. })));
    assert!(matches!(vault.remove_slot(SlotKind::Machine), Err(VaultError::NoSlot { .. })));
    assert_eq!(fs::read(bench.path()).unwrap(), file);
    vault.add_secret_slot(SlotKind::Machine, &good).unwrap();
    assert!(matches!(vault.add_secret_slot(SlotKind::Machine, &good), Err(VaultError::SlotTaken { .. })));
}

#[test]
fn every_flipped_bit_of_a_machine_slot_is_refused_on_both_ways_in() {
    let bench = Bench::new();
    let mut vault = bench.create();
    let secret = SecretBytes::random(32).unwrap();
    vault.add_secret_slot(SlotKind::Machine, &secret).unwrap();
    let genuine = fs::read(bench.path()).unwrap();
    let slot = SLOT_BODY + 101;
    for bit in slot * 8..(slot + 3 + 89) * 8 {
        let mut file = genuine.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        fs::write(bench.path(), &file).unwrap();
        assert!(bench.open_by_secret(SlotKind::Machine, &secret).is_err(), "bit {bit}, by the secret");
        assert!(bench.open(0).is_err(), "bit {bit}, by the passphrase");
    }
    fs::write(bench.path(), &genuine).unwrap();
    assert!(bench.open_by_secret(SlotKind::Machine, &secret).is_ok());
}

#[test]
fn accepted_roll_back_is_saved_above_what_was_seen_so_that_the_newer_vault_is_the_older_one() {
    let bench = Bench::new();
    let mut vault = bench.create_with_two();
    for _ in 0..3 {
        vault.save().unwrap();
    }
    let newest = fs::read(bench.path()).unwrap();
    fs::rename(bench.kept(2), bench.path()).unwrap();
    assert!(matches!(bench.open(5), Err(VaultError::RolledBack { found: 2, seen: 5 })));
    let mut older = bench.open(0).unwrap();
    assert_eq!(older.save_beyond(5).unwrap(), 6);
    assert_eq!(bench.open(6).unwrap().generation(), 6);
    fs::write(bench.path(), newest).unwrap();
    assert!(matches!(bench.open(6), Err(VaultError::RolledBack { found: 5, seen: 6 })));
}

#[test]
fn two_passphrase_slots_are_refused() {
    let bench = Bench::new();
    let mut vault = bench.create();
    let doubled = vault.slots.clone();
    vault.slots.extend(doubled);
    let error = vault.save().err().unwrap();
    assert!(matches!(error, VaultError::Malformed { what: "more than one passphrase slot" }), "{error}");
    assert!(bench.open(0).is_ok(), "what cannot be read back never takes the vault's place");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_at_all_make_the_parser_fail_other_than_with_an_error(tail in proptest::collection::vec(any::<u8>(), 0..400), cut in 0_usize..14) {
        let mut file = b"SFVAULT\0\x01\0\xB0\0\0\0".to_vec();
        file.truncate(cut.max(10));
        file.extend(tail);
        let _ = format::parse(&file);
    }

    #[test]
    fn any_records_come_back(records in proptest::collection::btree_map(any::<[u8; 16]>(), proptest::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let bench = Bench::new();
        let mut vault = bench.create();
        for (id, bytes) in &records {
            vault.put(RecordId(*id), SecretBytes::from_slice(bytes).unwrap()).unwrap();
        }
        vault.save().unwrap();
        let expected: Vec<_> = records.into_iter().map(|(id, bytes)| (RecordId(id), bytes)).collect();
        prop_assert_eq!(contents(&bench.open(2).unwrap()), expected);
    }
}
