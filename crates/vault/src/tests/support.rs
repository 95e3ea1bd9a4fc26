//! A directory of its own for each test, and a key derivation that is quick and counted.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use secrets::{Secret, SecretBytes};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    DiskFiles, FileFacts, KdfParams, Passphrase, RecordId, SlotKind, Vault, VaultError, VaultFiles, format::Salt,
    kdf::Kdf, store::Place,
};

pub(super) const PASSPHRASE: &str = "an invented passphrase";
pub(super) const OTHER_PASSPHRASE: &str = "another invented passphrase";
pub(super) const CREATED: u64 = 1_700_000_000;
pub(super) const FIRST: RecordId = RecordId([1; 16]);
pub(super) const SECOND: RecordId = RecordId([2; 16]);
pub(super) const NAME: &str = "keys.vault";

pub(super) fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_text(text).unwrap()
}

pub(super) fn contents(vault: &Vault) -> Vec<(RecordId, Vec<u8>)> {
    vault.ids().map(|id| (id, vault.get(id).unwrap().expose().to_vec())).collect()
}

/// One hash in place of Argon2id; bounds and floor are the real ones.
pub(super) struct QuickKdf(Arc<AtomicU32>);

impl Kdf for QuickKdf {
    fn accepts(&self, params: KdfParams) -> Result<(), VaultError> {
        params.check_for_new_slot()
    }

    fn derive(&self, passphrase: &Passphrase, salt: &Salt, params: KdfParams) -> Result<Secret<32>, VaultError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let costs = [params.memory_kib, params.passes, params.lanes].map(u32::to_le_bytes).concat();
        let key = Sha256::new().chain_update(passphrase.expose()).chain_update(salt).chain_update(costs).finalize();
        Ok(Secret::from_bytes(SecretBytes::from_slice(&key)?)?)
    }
}

pub(super) struct Bench {
    directory: TempDir,
    runs: Arc<AtomicU32>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Self { directory, runs: Arc::default() }
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory().join(NAME)
    }

    pub(super) fn kept(&self, generation: u64) -> PathBuf {
        self.directory().join(format!("{NAME}.g{generation}"))
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub(super) fn kdf_runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    pub(super) fn disk(&self) -> DiskFiles {
        DiskFiles::open(self.directory()).unwrap()
    }

    fn kdf(&self) -> Box<QuickKdf> {
        Box::new(QuickKdf(Arc::clone(&self.runs)))
    }

    pub(super) fn create(&self) -> Vault {
        self.try_create().unwrap()
    }

    /// Generation 2 with [`FIRST`] and [`SECOND`].
    pub(super) fn create_with_two(&self) -> Vault {
        let mut vault = self.create();
        vault.put(FIRST, SecretBytes::from_slice(b"first").unwrap()).unwrap();
        vault.put(SECOND, SecretBytes::from_slice(b"second!").unwrap()).unwrap();
        vault.save().unwrap();
        vault
    }

    pub(super) fn try_create(&self) -> Result<Vault, VaultError> {
        self.try_create_with(&passphrase(PASSPHRASE), KdfParams::FLOOR)
    }

    pub(super) fn try_create_with(&self, passphrase: &Passphrase, params: KdfParams) -> Result<Vault, VaultError> {
        let place = Place::new(Box::new(self.disk()), NAME)?;
        Vault::create_in(place, self.kdf(), passphrase, params, CREATED)
    }

    pub(super) fn create_on(&self, files: Box<dyn VaultFiles>) -> Result<Vault, VaultError> {
        let place = Place::new(files, NAME)?;
        Vault::create_in(place, self.kdf(), &passphrase(PASSPHRASE), KdfParams::FLOOR, CREATED)
    }

    pub(super) fn open(&self, seen: u64) -> Result<Vault, VaultError> {
        self.open_with(PASSPHRASE, seen)
    }

    pub(super) fn open_with(&self, text: &str, seen: u64) -> Result<Vault, VaultError> {
        self.open_on(Box::new(self.disk()), text, seen)
    }

    pub(super) fn open_on(&self, files: Box<dyn VaultFiles>, text: &str, seen: u64) -> Result<Vault, VaultError> {
        Vault::open_in(Place::new(files, NAME)?, self.kdf(), &passphrase(text), seen)
    }

    pub(super) fn open_by_secret(&self, kind: SlotKind, secret: &SecretBytes) -> Result<Vault, VaultError> {
        Vault::open_by_secret_in(Place::new(Box::new(self.disk()), NAME)?, self.kdf(), kind, secret, 0)
    }

    /// As if this process belonged to another user, and the directory to root.
    pub(super) fn open_as_user(&self, user: u32) -> Result<Vault, VaultError> {
        self.open_on(Box::new(AsUser { disk: self.disk(), user }), PASSPHRASE, 0)
    }
}

struct AsUser {
    disk: DiskFiles,
    user: u32,
}

impl VaultFiles for AsUser {
    fn user(&self) -> u32 {
        self.user
    }
    fn directory(&self) -> io::Result<FileFacts> {
        Ok(FileFacts { owner: 0, ..self.disk.directory()? })
    }
    fn facts(&self, name: &str) -> io::Result<Option<FileFacts>> {
        self.disk.facts(name)
    }
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<(FileFacts, Vec<u8>)> {
        self.disk.read(name, bytes_max)
    }
    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_new(name, bytes)
    }
    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        self.disk.link(name, second)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}
