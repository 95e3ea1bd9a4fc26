//! Vault files of every released version of the format still open, with the real key derivation.
#![expect(clippy::expect_used, reason = "a test stops at the first thing that is not as it must be")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use secrets::SecretBytes;
use tempfile::TempDir;
use vault::{KdfParams, Passphrase, RecordId, Vault, VaultError};

/// Passphrase of the fixture; the keys in it are invented.
const PASSPHRASE: &str = "an invented passphrase for format 1";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_text(text).expect("a passphrase")
}

fn private_directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("a private directory");
    let path = directory.path().join("keys.vault");
    (directory, path)
}

#[test]
fn vault_of_format_one_opens_with_all_its_records() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/version-1.vault");
    let (_directory, path) = private_directory();
    fs::copy(fixture, &path).expect("the fixture");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a private file");

    let vault = Vault::open(&path, &passphrase(PASSPHRASE), 2).expect("an open vault");
    let records: Vec<_> = vault.ids().map(|id| (id.0, vault.get(id).expect("a record").expose().to_vec())).collect();
    let expected = [
        ([0x11; 16], b"first invented record".to_vec()),
        ([0x22; 16], Vec::new()),
        ([0xEE; 16], (0..=255).collect::<Vec<u8>>()),
    ];
    assert_eq!(records, expected);
    assert_eq!((vault.generation(), vault.created_unix_s()), (2, 1_700_000_000));
    assert_eq!(vault.kdf_params(), Some(KdfParams::FLOOR));
}

#[test]
fn vault_made_with_the_real_key_derivation_opens_again_and_refuses_another_passphrase() {
    let (_directory, path) = private_directory();
    let id = RecordId::random().expect("an id");
    let mut made =
        Vault::create(&path, &passphrase("caf\u{e9} of many words"), KdfParams::FLOOR, 1).expect("a new vault");
    made.put(id, SecretBytes::from_slice(b"an invented secret").expect("a secret")).expect("room");
    made.save().expect("a saved vault");
    let opened = Vault::open(&path, &passphrase("cafe\u{301} of many words"), 2).expect("the other spelling opens it");
    assert_eq!(opened.get(id).map(SecretBytes::expose_text), Some(Some("an invented secret")));
    let wrong = Vault::open(&path, &passphrase("cafe of many words"), 2);
    assert!(matches!(wrong, Err(VaultError::CannotUnlock)));
}
