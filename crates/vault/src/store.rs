//! An open vault: its records in locked memory, and the way from a file to it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrets::{Secret, SecretBytes};

use crate::{
    DamagedPart, DiskFiles, FileRefusal, KdfParams, Passphrase, RecordId, SlotKind, VaultError, VaultFiles, VaultStep,
    crypto::{self, Binding, DataKey},
    files::{check_directory, check_file},
    format::{self, FILE_BYTES_MAX, Header, Parsed, PassphraseSlot, RECORD_BYTES_MAX, RECORDS_MAX, Slot},
    kdf::{Argon2id, Kdf},
    save,
};

/// An open vault. Changes are made in memory and reach the disk with [`Vault::save`].
pub struct Vault {
    pub(crate) place: Place,
    pub(crate) kdf: Box<dyn Kdf>,
    pub(crate) vault_id: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) created: u64,
    pub(crate) slots: Vec<Slot>,
    pub(crate) key: DataKey,
    pub(crate) records: BTreeMap<RecordId, SecretBytes>,
    /// SHA-256 of the file that this vault was read from or written to last.
    pub(crate) file_digest: [u8; 32],
}

impl Vault {
    /// Makes a new vault with one passphrase slot and writes it. `created_unix_s` is the time now,
    /// in seconds since 1970. Runs the key derivation once.
    ///
    /// # Errors
    /// [`VaultError::PassphraseTooShort`], [`VaultError::KdfTooCheap`], [`VaultError::AlreadyExists`],
    /// [`VaultError::UnsafeFile`] for the directory, or a failed step; there is then no vault, unless
    /// the step was [`VaultStep::SyncDirectory`].
    pub fn create(
        path: impl AsRef<Path>,
        passphrase: &Passphrase,
        params: KdfParams,
        created_unix_s: u64,
    ) -> Result<Self, VaultError> {
        let place = Place::on_disk(path.as_ref())?;
        Self::create_in(place, Box::new(Argon2id::REAL), passphrase, params, created_unix_s)
    }

    /// As [`Self::create`], with the cheapest key derivation that a file may ask for.
    ///
    /// # Errors
    /// As [`Self::create`].
    #[cfg(any(test, feature = "test-support"))]
    #[doc(hidden)]
    pub fn create_cheap(
        path: impl AsRef<Path>,
        passphrase: &Passphrase,
        created_unix_s: u64,
    ) -> Result<Self, VaultError> {
        let params = KdfParams { memory_kib: 19 * 1024, passes: 1, lanes: 1 };
        Self::create_in(Place::on_disk(path.as_ref())?, Box::new(Argon2id::CHEAP), passphrase, params, created_unix_s)
    }

    /// Opens a vault. `seen_generation` is the highest generation that the caller has seen of it,
    /// kept outside the vault; 0 if it has seen none. Runs the key derivation once, after the file
    /// has been judged.
    ///
    /// # Errors
    /// [`VaultError::CannotUnlock`] for a wrong passphrase or a damaged slot; [`VaultError::RolledBack`]
    /// for a genuine but older vault; [`VaultError::Damaged`], [`VaultError::UnsafeFile`] and others.
    pub fn open(path: impl AsRef<Path>, passphrase: &Passphrase, seen_generation: u64) -> Result<Self, VaultError> {
        Self::open_in(Place::on_disk(path.as_ref())?, Box::new(Argon2id::REAL), passphrase, seen_generation)
    }

    /// As [`Self::open`], inside a directory given by `files`; `name` is the file's name there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_at(
        files: Box<dyn VaultFiles>,
        name: &str,
        passphrase: &Passphrase,
        seen_generation: u64,
    ) -> Result<Self, VaultError> {
        Self::open_in(Place::new(files, name)?, Box::new(Argon2id::REAL), passphrase, seen_generation)
    }

    /// Number of saves of this vault, counted from 1. Remember it outside the vault after each save.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether these are the bytes of the file that it was read from or written to last.
    #[must_use]
    pub fn is_saved_as(&self, file: &[u8]) -> bool {
        crypto::digest(file) == self.file_digest
    }

    /// Identity of this vault; stays the same for its life.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.vault_id
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub fn created_unix_s(&self) -> u64 {
        self.created
    }

    /// The kinds of its slots, in the order of the file.
    pub fn slot_kinds(&self) -> impl Iterator<Item = SlotKind> {
        self.slots.iter().map(Slot::kind)
    }

    /// Cost of the key derivation of its passphrase slot, if it has one.
    #[must_use]
    pub fn kdf_params(&self) -> Option<KdfParams> {
        self.slots.iter().find_map(|slot| match slot {
            Slot::Passphrase(slot) => Some(slot.params),
            Slot::Other { .. } => None,
        })
    }

    /// Ids of all records, ascending.
    pub fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.records.keys().copied()
    }

    /// The bytes of one record, where they lie; `None` if there is none with this id.
    #[must_use]
    pub fn get(&self, id: RecordId) -> Option<&SecretBytes> {
        self.records.get(&id)
    }

    /// Adds a record or replaces it; the bytes that were replaced are wiped. Save afterwards.
    ///
    /// # Errors
    /// [`VaultError::RecordTooLarge`] or [`VaultError::TooManyRecords`]; the vault is then unchanged.
    pub fn put(&mut self, id: RecordId, bytes: SecretBytes) -> Result<(), VaultError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(VaultError::RecordTooLarge { bytes: bytes.len(), most: RECORD_BYTES_MAX });
        }
        if self.records.len() >= RECORDS_MAX && !self.records.contains_key(&id) {
            return Err(VaultError::TooManyRecords { most: RECORDS_MAX });
        }
        self.records.insert(id, bytes);
        Ok(())
    }

    /// Removes a record and wipes it; says whether there was one. Save afterwards; the record stays
    /// in the kept generations until [`Self::remove_old_generations`].
    pub fn remove(&mut self, id: RecordId) -> bool {
        self.records.remove(&id).is_some()
    }

    pub(crate) fn create_in(
        place: Place,
        kdf: Box<dyn Kdf>,
        passphrase: &Passphrase,
        params: KdfParams,
        created: u64,
    ) -> Result<Self, VaultError> {
        kdf.accepts(params)?;
        passphrase.check_for_new_slot()?;
        place.check_directory()?;
        if place.facts(VaultStep::Examine)?.is_some() {
            return Err(VaultError::AlreadyExists { path: place.path });
        }
        let mut vault_id = [0; 16];
        secrets::fill_random(&mut vault_id)?;
        let key = Secret::random()?;
        let slot = new_passphrase_slot(kdf.as_ref(), &vault_id, passphrase, params, &key)?;
        let mut vault = Self {
            place,
            kdf,
            vault_id,
            generation: 0,
            created,
            slots: vec![Slot::Passphrase(slot)],
            key,
            records: BTreeMap::new(),
            file_digest: [0; 32],
        };
        save::write_first(&mut vault)?;
        Ok(vault)
    }

    pub(crate) fn open_in(
        place: Place,
        kdf: Box<dyn Kdf>,
        passphrase: &Passphrase,
        seen_generation: u64,
    ) -> Result<Self, VaultError> {
        let file = place.read_checked()?;
        let parsed = format::parse(&file)?;
        let slot = parsed.header.slots.iter().find_map(|slot| match slot {
            Slot::Passphrase(slot) => Some(slot),
            Slot::Other { .. } => None,
        });
        let slot = slot.ok_or(VaultError::NoPassphraseSlot)?;
        let kek = kdf.derive(passphrase, &slot.salt, slot.params)?;
        let bound_to = PassphraseSlot::associated_data(&parsed.header.vault_id, slot.params, &slot.salt);
        let key = crypto::unwrap(&kek, &bound_to, &slot.nonce, &slot.wrapped)?;
        let key = key.map_err(|_| VaultError::CannotUnlock)?;
        Self::unlocked(place, kdf, &file, parsed, key, seen_generation)
    }

    /// The vault under a data key that a slot gave.
    pub(crate) fn unlocked(
        place: Place,
        kdf: Box<dyn Kdf>,
        file: &[u8],
        parsed: Parsed<'_>,
        key: DataKey,
        seen_generation: u64,
    ) -> Result<Self, VaultError> {
        let records = decrypt(&parsed, &key)?;
        let Header { vault_id, generation, created, slots, .. } = parsed.header;
        if generation < seen_generation {
            return Err(VaultError::RolledBack { found: generation, seen: seen_generation });
        }
        let file_digest = crypto::digest(file);
        Ok(Self { place, kdf, vault_id, generation, created, slots, key, records, file_digest })
    }
}

/// Checks everything that the data key can check, and decrypts all records.
pub(crate) fn decrypt(parsed: &Parsed<'_>, key: &DataKey) -> Result<BTreeMap<RecordId, SecretBytes>, VaultError> {
    if !secrets::equal_in_constant_time(&crypto::header_mac(key, parsed.covered)?, &parsed.mac) {
        return Err(VaultError::Damaged { part: DamagedPart::Header });
    }
    let binding = Binding::new(parsed.header.vault_id, parsed.header.generation, parsed.header_bytes);
    let mut records = BTreeMap::new();
    for record in &parsed.records {
        let opened = crypto::open_record(key, &binding, record.id, &record.nonce, record.ciphertext)?;
        let plain = opened.map_err(|_| VaultError::Damaged { part: DamagedPart::Record(record.id) })?;
        records.insert(record.id, plain);
    }
    Ok(records)
}

/// A slot that opens to `key` with this passphrase.
pub(crate) fn new_passphrase_slot(
    kdf: &dyn Kdf,
    vault_id: &[u8; 16],
    passphrase: &Passphrase,
    params: KdfParams,
    key: &DataKey,
) -> Result<PassphraseSlot, VaultError> {
    let mut salt = [0; 16];
    secrets::fill_random(&mut salt)?;
    let kek = kdf.derive(passphrase, &salt, params)?;
    let (nonce, wrapped) = crypto::wrap(&kek, &PassphraseSlot::associated_data(vault_id, params, &salt), key)?;
    Ok(PassphraseSlot { params, salt, nonce, wrapped })
}

/// Where the vault lies: a directory and a name in it.
pub(crate) struct Place {
    pub(crate) files: Box<dyn VaultFiles>,
    pub(crate) name: String,
    /// For messages only.
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new(files: Box<dyn VaultFiles>, name: &str) -> Result<Self, VaultError> {
        let path = PathBuf::from(name);
        if path.file_name().and_then(|last| last.to_str()) != Some(name) {
            return Err(VaultError::BadPath { path });
        }
        Ok(Self { files, name: name.to_owned(), path })
    }

    pub(crate) fn on_disk(path: &Path) -> Result<Self, VaultError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(directory)) = (name, path.parent()) else {
            return Err(VaultError::BadPath { path: path.to_owned() });
        };
        let files = DiskFiles::open(directory).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => VaultError::NotFound { path: path.to_owned() },
            _ => VaultError::Io { step: VaultStep::OpenDirectory, source },
        })?;
        Ok(Self { files: Box::new(files), name: name.to_owned(), path: path.to_owned() })
    }

    pub(crate) fn temporary(&self) -> String {
        format!("{}.tmp", self.name)
    }

    pub(crate) fn kept(&self, generation: u64) -> String {
        format!("{}.g{generation}", self.name)
    }

    /// The generation, if `name` is that of a kept one.
    pub(crate) fn kept_generation(&self, name: &str) -> Option<u64> {
        let number = name.strip_prefix(self.name.as_str())?.strip_prefix(".g")?;
        number.parse().ok().filter(|generation| self.kept(*generation) == name)
    }

    pub(crate) fn facts(&self, step: VaultStep) -> Result<Option<crate::FileFacts>, VaultError> {
        self.files.facts(&self.name).map_err(|source| VaultError::Io { step, source })
    }

    pub(crate) fn check_directory(&self) -> Result<(), VaultError> {
        let facts =
            self.files.directory().map_err(|source| VaultError::Io { step: VaultStep::OpenDirectory, source })?;
        check_directory(&facts, self.files.user()).map_err(|refusal| VaultError::UnsafeFile {
            path: self
                .path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .to_owned(),
            refusal,
        })
    }

    /// The whole file, if it and its directory are safe to use.
    pub(crate) fn read_checked(&self) -> Result<Vec<u8>, VaultError> {
        let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let refused = |refusal| VaultError::UnsafeFile { path: self.path.clone(), refusal };
        self.check_directory()?;
        let Some(facts) = self.facts(VaultStep::Examine)? else {
            return Err(VaultError::NotFound { path: self.path.clone() });
        };
        check_file(&facts, self.files.user(), limit).map_err(refused)?;
        let (facts, bytes) =
            self.files.read(&self.name, limit).map_err(|source| VaultError::Io { step: VaultStep::Read, source })?;
        // Judged again, on what was really opened.
        check_file(&facts, self.files.user(), limit).map_err(refused)?;
        let known = self.known_links(&facts)?;
        if facts.links != known {
            return Err(refused(FileRefusal::ExtraLinks { links: facts.links, known }));
        }
        Ok(bytes)
    }

    /// How many names the vault itself has given to this file. More than one only after an
    /// interrupted save or creation.
    fn known_links(&self, facts: &crate::FileFacts) -> Result<u64, VaultError> {
        if facts.links == 1 {
            return Ok(1);
        }
        let examine = |source| VaultError::Io { step: VaultStep::Examine, source };
        let mut known = 1;
        for name in self.files.names().map_err(examine)? {
            let ours = name == self.temporary() || self.kept_generation(&name).is_some();
            if ours && self.files.facts(&name).map_err(examine)?.is_some_and(|of| of.identity == facts.identity) {
                known += 1;
            }
        }
        Ok(known)
    }
}
