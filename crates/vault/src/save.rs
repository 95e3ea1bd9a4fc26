//! Saving: the new vault is written and proven beside the old one, then takes its place in one step.
//!
//! At every moment the vault's name leads to a complete vault, the old or the new one.

use secrets::Secret;

use crate::{
    KdfParams, Passphrase, Vault, VaultError, VaultStep,
    crypto::{self, Binding, DataKey},
    format::{self, FILE_BYTES_MAX, Header, Slot, TAG_BYTES},
    store::{decrypt, new_passphrase_slot},
};

/// How many generations before the current one are kept beside the vault.
const GENERATIONS_KEPT: usize = 5;

impl Vault {
    /// Writes the vault as its next generation and returns that generation's number, which the
    /// caller remembers outside the vault. The old file is kept as `NAME.gN`, five of them in all.
    ///
    /// # Errors
    /// [`VaultError::ChangedOnDisk`] if somebody else saved in between; [`VaultError::Io`] with the
    /// step that failed. Before [`VaultStep::Replace`] has succeeded the old vault is in place. After
    /// [`VaultStep::SyncDirectory`] failed the new one is, and [`Self::generation`] has advanced.
    /// In both cases the records in memory are unchanged and saving may be tried again.
    pub fn save(&mut self) -> Result<u64, VaultError> {
        self.commit(self.slots.clone(), None)
    }

    /// As [`Self::save`], as a generation above `seen`: ends a roll-back that a person has accepted, so that the
    /// vault which was seen before is older from now on.
    ///
    /// # Errors
    /// As [`Self::save`]; the generation in memory is unchanged then.
    pub fn save_beyond(&mut self, seen: u64) -> Result<u64, VaultError> {
        self.commit_beyond(self.slots.clone(), None, seen)
    }

    /// Gives the passphrase slot a new passphrase and cost, and saves, other changes included.
    /// Kept generations still open with the old passphrase: see [`Self::remove_old_generations`].
    ///
    /// # Errors
    /// [`VaultError::PassphraseTooShort`], [`VaultError::KdfTooCheap`], or as [`Self::save`]. As long
    /// as the old vault is in place the old passphrase stays in force.
    pub fn change_passphrase(&mut self, new: &Passphrase, params: KdfParams) -> Result<u64, VaultError> {
        self.kdf.accepts(params)?;
        new.check_for_new_slot()?;
        let slot = new_passphrase_slot(self.kdf.as_ref(), &self.vault_id, new, params, &self.key)?;
        let mut slots: Vec<Slot> =
            self.slots.iter().filter(|slot| !matches!(slot, Slot::Passphrase(_))).cloned().collect();
        slots.insert(0, Slot::Passphrase(slot));
        self.commit(slots, None)
    }

    /// Makes a new data key, encrypts everything again under it and saves. `passphrase` is the one
    /// in force or a new one; it opens the vault afterwards, at the cost that the slot had.
    ///
    /// # Errors
    /// [`VaultError::SlotBlocksRotation`] if there is a slot of another kind; otherwise as
    /// [`Self::change_passphrase`].
    pub fn rotate_dek(&mut self, passphrase: &Passphrase) -> Result<u64, VaultError> {
        if let Some(other) = self.slots.iter().find(|slot| !matches!(slot, Slot::Passphrase(_))) {
            return Err(VaultError::SlotBlocksRotation { kind: other.kind() });
        }
        passphrase.check_for_new_slot()?;
        let params = self.kdf_params().ok_or(VaultError::NoPassphraseSlot)?;
        let key = Secret::random()?;
        let slot = new_passphrase_slot(self.kdf.as_ref(), &self.vault_id, passphrase, params, &key)?;
        self.commit(vec![Slot::Passphrase(slot)], Some(key))
    }

    /// Removes all kept generations, so that an old passphrase or a removed record is gone from this
    /// directory. Says how many there were. Bytes on the storage medium are not overwritten.
    ///
    /// # Errors
    /// [`VaultError::Io`] at the first that cannot be removed.
    pub fn remove_old_generations(&mut self) -> Result<usize, VaultError> {
        let step = |source| VaultError::Io { step: VaultStep::RemoveOld, source };
        let names = self.place.files.names().map_err(step)?;
        let mut removed = 0;
        for name in names.iter().filter(|name| self.place.kept_generation(name).is_some()) {
            self.place.files.remove(name).map_err(step)?;
            removed += 1;
        }
        self.place.files.sync_directory().map_err(step)?;
        Ok(removed)
    }

    /// Writes the next generation with these slots and, if given, under this key; both take force
    /// in memory at the moment they take force on disk.
    pub(crate) fn commit(&mut self, slots: Vec<Slot>, key: Option<DataKey>) -> Result<u64, VaultError> {
        self.commit_beyond(slots, key, 0)
    }

    fn commit_beyond(&mut self, slots: Vec<Slot>, key: Option<DataKey>, beyond: u64) -> Result<u64, VaultError> {
        let on_disk = self.place.read_checked().map_err(|error| match error {
            VaultError::NotFound { .. } => VaultError::ChangedOnDisk,
            other => other,
        })?;
        if crypto::digest(&on_disk) != self.file_digest {
            return Err(VaultError::ChangedOnDisk);
        }
        let next = self.generation.max(beyond).checked_add(1).ok_or(VaultError::GenerationsUsedUp)?;
        let image = self.image(next, &slots, key.as_ref().unwrap_or(&self.key))?;
        self.write_temporary(&image, key.as_ref().unwrap_or(&self.key))?;
        if let Err(error) = self.keep_old().and_then(|()| self.put_in_place()) {
            self.discard_temporary();
            return Err(error);
        }
        self.generation = next;
        self.slots = slots;
        self.file_digest = crypto::digest(&image);
        if let Some(key) = key {
            self.key = key;
        }
        let durable = self.place.files.sync_directory();
        durable.map_err(|source| VaultError::Io { step: VaultStep::SyncDirectory, source })?;
        self.drop_surplus_generations();
        Ok(next)
    }

    /// The whole file of generation `generation`.
    fn image(&self, generation: u64, slots: &[Slot], key: &DataKey) -> Result<Vec<u8>, VaultError> {
        let too_long = || VaultError::Malformed { what: "the vault would be too long" };
        let mut index = Vec::with_capacity(self.records.len());
        for (id, plain) in &self.records {
            index.push((*id, u32::try_from(plain.len() + TAG_BYTES).map_err(|_| too_long())?));
        }
        let header =
            Header { vault_id: self.vault_id, generation, created: self.created, slots: slots.to_vec(), index };
        let header = header.encode()?;
        let mut image = format::with_preamble(&header)?;
        let mac = crypto::header_mac(key, &image)?;
        image.extend_from_slice(&mac);
        let binding = Binding::new(self.vault_id, generation, &header);
        for (id, plain) in &self.records {
            let (nonce, sealed) = crypto::seal_record(key, &binding, *id, plain)?;
            image.extend_from_slice(&nonce);
            image.extend_from_slice(&u32::try_from(sealed.len()).map_err(|_| too_long())?.to_le_bytes());
            image.extend_from_slice(&sealed);
        }
        if image.len() > FILE_BYTES_MAX { Err(too_long()) } else { Ok(image) }
    }

    /// Writes the new file beside the old one and proves that it can be read and decrypted.
    fn write_temporary(&self, image: &[u8], key: &DataKey) -> Result<(), VaultError> {
        let files = &self.place.files;
        let name = self.place.temporary();
        let clear = |source| VaultError::Io { step: VaultStep::ClearTemporary, source };
        if files.facts(&name).map_err(clear)?.is_some() {
            files.remove(&name).map_err(clear)?;
        }
        let written = files
            .write_new(&name, image)
            .map_err(|source| VaultError::Io { step: VaultStep::Write, source })
            .and_then(|()| self.prove_temporary(image, key));
        if written.is_err() {
            self.discard_temporary();
        }
        written
    }

    fn prove_temporary(&self, image: &[u8], key: &DataKey) -> Result<(), VaultError> {
        let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let (_, read) = self
            .place
            .files
            .read(&self.place.temporary(), limit)
            .map_err(|source| VaultError::Io { step: VaultStep::ReadBack, source })?;
        if read != image {
            return Err(VaultError::ReadBackDiffers);
        }
        let records = decrypt(&format::parse(&read)?, key)?;
        let same = records.len() == self.records.len()
            && records.iter().zip(&self.records).all(|((id, plain), (own_id, own))| {
                id == own_id && secrets::equal_in_constant_time(plain.expose(), own.expose())
            });
        if same { Ok(()) } else { Err(VaultError::ReadBackDiffers) }
    }

    /// Gives the file in place a second name, that of its generation.
    fn keep_old(&self) -> Result<(), VaultError> {
        let keep = |source| VaultError::Io { step: VaultStep::KeepOld, source };
        let files = &self.place.files;
        let kept = self.place.kept(self.generation);
        let current = self.place.facts(VaultStep::KeepOld)?.ok_or(VaultError::ChangedOnDisk)?;
        match files.facts(&kept).map_err(keep)? {
            // An interrupted save came this far.
            Some(facts) if facts.identity == current.identity => return Ok(()),
            // Of the same number but another history: an old vault was put back on purpose.
            Some(_) => files.remove(&kept).map_err(keep)?,
            None => {}
        }
        files.link(&self.place.name, &kept).map_err(keep)
    }

    fn put_in_place(&self) -> Result<(), VaultError> {
        let renamed = self.place.files.rename(&self.place.temporary(), &self.place.name);
        renamed.map_err(|source| VaultError::Io { step: VaultStep::Replace, source })
    }

    /// Best effort: what is left is removed by the next save.
    fn discard_temporary(&self) {
        let _ = self.place.files.remove(&self.place.temporary());
    }

    /// Best effort: a surplus generation costs a little space and is tried again at the next save.
    fn drop_surplus_generations(&self) {
        let Ok(names) = self.place.files.names() else { return };
        let mut kept: Vec<u64> = names.iter().filter_map(|name| self.place.kept_generation(name)).collect();
        kept.retain(|generation| *generation < self.generation);
        kept.sort_unstable_by(|left, right| right.cmp(left));
        for generation in kept.into_iter().skip(GENERATIONS_KEPT) {
            let _ = self.place.files.remove(&self.place.kept(generation));
        }
    }
}

/// Writes generation 1 of a vault that has no file yet; never replaces anything.
pub(crate) fn write_first(vault: &mut Vault) -> Result<(), VaultError> {
    let image = vault.image(1, &vault.slots, &vault.key)?;
    vault.write_temporary(&image, &vault.key)?;
    let place = &vault.place;
    let linked = place.files.link(&place.temporary(), &place.name);
    // Also when it was linked: the vault has its own name now.
    vault.discard_temporary();
    linked.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => VaultError::AlreadyExists { path: place.path.clone() },
        _ => VaultError::Io { step: VaultStep::Replace, source },
    })?;
    let durable = place.files.sync_directory();
    durable.map_err(|source| VaultError::Io { step: VaultStep::SyncDirectory, source })?;
    vault.generation = 1;
    vault.file_digest = crypto::digest(&image);
    Ok(())
}
