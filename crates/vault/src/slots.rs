//! Further ways to the data key: a secret bound to the machine, and one kept elsewhere for the day the passphrase is
//! lost. Both are random, so that no costly derivation stands before them.

use std::path::Path;

use secrets::SecretBytes;

use crate::{
    SlotKind, Vault, VaultError, crypto,
    format::{self, SECRET_BYTES_MIN, SLOTS_MAX, SecretSlot, Slot},
    kdf::{Argon2id, Kdf},
    store::Place,
};

impl Vault {
    /// Opens a vault through its machine or recovery slot; otherwise as [`Self::open`].
    ///
    /// # Errors
    /// [`VaultError::NoSlot`]; [`VaultError::CannotUnlock`] for a wrong secret or a damaged slot; otherwise as
    /// [`Self::open`].
    pub fn open_by_secret(
        path: impl AsRef<Path>,
        kind: SlotKind,
        secret: &SecretBytes,
        seen_generation: u64,
    ) -> Result<Self, VaultError> {
        let place = Place::on_disk(path.as_ref())?;
        Self::open_by_secret_in(place, Box::new(Argon2id::REAL), kind, secret, seen_generation)
    }

    pub(crate) fn open_by_secret_in(
        place: Place,
        kdf: Box<dyn Kdf>,
        kind: SlotKind,
        secret: &SecretBytes,
        seen_generation: u64,
    ) -> Result<Self, VaultError> {
        opens_by_secret(kind)?;
        let file = place.read_checked()?;
        let parsed = format::parse(&file)?;
        let body = parsed.header.slots.iter().find_map(|slot| match slot {
            Slot::Other { kind: found, body } if *found == kind => Some(body),
            _ => None,
        });
        let slot = SecretSlot::parse(body.ok_or(VaultError::NoSlot { kind })?)?;
        let vault_id = parsed.header.vault_id;
        let kek = crypto::slot_key(secret, kind.code(), &vault_id, &slot.salt)?;
        let bound_to = SecretSlot::associated_data(&vault_id, kind, &slot.salt);
        let key = crypto::unwrap(&kek, &bound_to, &slot.nonce, &slot.wrapped)?;
        let key = key.map_err(|_| VaultError::CannotUnlock)?;
        Self::unlocked(place, kdf, &file, parsed, key, seen_generation)
    }

    /// Adds a slot that this random secret opens, and saves.
    ///
    /// # Errors
    /// [`VaultError::WrongSlotKind`], [`VaultError::SlotTaken`], [`VaultError::SlotSecretTooShort`], or as
    /// [`Self::save`].
    pub fn add_secret_slot(&mut self, kind: SlotKind, secret: &SecretBytes) -> Result<u64, VaultError> {
        opens_by_secret(kind)?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err(VaultError::SlotSecretTooShort { bytes: secret.len(), least: SECRET_BYTES_MIN });
        }
        if self.slots.len() >= SLOTS_MAX || self.slots.iter().any(|slot| slot.kind() == kind) {
            return Err(VaultError::SlotTaken { kind });
        }
        let mut salt = [0; 16];
        secrets::fill_random(&mut salt)?;
        let kek = crypto::slot_key(secret, kind.code(), &self.vault_id, &salt)?;
        let bound_to = SecretSlot::associated_data(&self.vault_id, kind, &salt);
        let (nonce, wrapped) = crypto::wrap(&kek, &bound_to, &self.key)?;
        let mut slots = self.slots.clone();
        slots.push(Slot::Other { kind, body: SecretSlot { salt, nonce, wrapped }.encode() });
        self.commit(slots, None)
    }

    /// Removes all slots of a kind and saves. Kept generations still have them: see
    /// [`Self::remove_old_generations`]; who has copied the data key through the slot is locked out by
    /// [`Self::rotate_dek`] alone.
    ///
    /// # Errors
    /// [`VaultError::WrongSlotKind`] for the passphrase slot, [`VaultError::NoSlot`], or as [`Self::save`].
    pub fn remove_slot(&mut self, kind: SlotKind) -> Result<u64, VaultError> {
        if kind == SlotKind::Passphrase {
            return Err(VaultError::WrongSlotKind { kind });
        }
        let left: Vec<Slot> = self.slots.iter().filter(|slot| slot.kind() != kind).cloned().collect();
        if left.len() == self.slots.len() {
            return Err(VaultError::NoSlot { kind });
        }
        self.commit(left, None)
    }
}

fn opens_by_secret(kind: SlotKind) -> Result<(), VaultError> {
    match kind {
        SlotKind::Machine | SlotKind::Recovery => Ok(()),
        SlotKind::Passphrase | SlotKind::Transit => Err(VaultError::WrongSlotKind { kind }),
    }
}
