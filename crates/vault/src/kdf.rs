//! From a passphrase to a key: Argon2id, with bounds that are judged before it runs.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrets::Secret;
use zeroize::Zeroize;

use crate::{KdfBound, Passphrase, VaultError, format::Salt};

/// The cost of one guess at the passphrase: Argon2id, version 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfParams {
    /// Memory in KiB. For a vault in a file 19 456 (19 MiB) to 1 048 576 (1 GiB).
    pub memory_kib: u32,
    /// Passes over the memory, 1 to 10.
    pub passes: u32,
    /// Lanes, 1 to 8. They are computed one after the other.
    pub lanes: u32,
}

impl KdfParams {
    /// 256 MiB, 3 passes, 1 lane: about 1.6 s on one core of a small server, once per start.
    pub const DEFAULT: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 1 };
    /// The cheapest that a new slot may have: 64 MiB, 3 passes.
    pub const FLOOR: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// The cheapest that a file may ask for: below, the file was tampered with.
    const LEAST: Self = Self { memory_kib: 19 * 1024, passes: 1, lanes: 1 };
    /// The dearest that a file may ask for: above, it would exhaust the machine.
    const MOST: Self = Self { memory_kib: 1024 * 1024, passes: 10, lanes: 8 };

    /// Whether a file may ask for this.
    ///
    /// # Errors
    /// [`VaultError::KdfOutOfBounds`] with the first parameter that is out of bounds.
    pub fn check_bounds(self) -> Result<(), VaultError> {
        for (bound, found, least, most) in [
            (KdfBound::MemoryKib, self.memory_kib, Self::LEAST.memory_kib, Self::MOST.memory_kib),
            (KdfBound::Passes, self.passes, Self::LEAST.passes, Self::MOST.passes),
            (KdfBound::Lanes, self.lanes, Self::LEAST.lanes, Self::MOST.lanes),
        ] {
            if !(least..=most).contains(&found) {
                return Err(VaultError::KdfOutOfBounds { bound, found, least, most });
            }
        }
        Ok(())
    }

    /// Whether a new slot may be made with this.
    ///
    /// # Errors
    /// [`VaultError::KdfTooCheap`] below the floor, [`VaultError::KdfOutOfBounds`] out of bounds.
    pub fn check_for_new_slot(self) -> Result<(), VaultError> {
        self.check_bounds()?;
        for (bound, found, least) in [
            (KdfBound::MemoryKib, self.memory_kib, Self::FLOOR.memory_kib),
            (KdfBound::Passes, self.passes, Self::FLOOR.passes),
        ] {
            if found < least {
                return Err(VaultError::KdfTooCheap { bound, found, least });
            }
        }
        Ok(())
    }
}

/// Makes the key that wraps the data key. A trait so that tests can count and speed up the calls.
pub(crate) trait Kdf: Send {
    /// Whether a new slot may have this cost.
    fn accepts(&self, params: KdfParams) -> Result<(), VaultError>;
    /// The key; `params` have been checked.
    fn derive(&self, passphrase: &Passphrase, salt: &Salt, params: KdfParams) -> Result<Secret<32>, VaultError>;
}

/// The real one.
pub(crate) struct Argon2id {
    /// Whether new slots may be cheaper than the floor; for tests alone.
    cheap_allowed: bool,
}

impl Argon2id {
    pub(crate) const REAL: Self = Self { cheap_allowed: false };
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) const CHEAP: Self = Self { cheap_allowed: true };
}

impl Kdf for Argon2id {
    fn accepts(&self, params: KdfParams) -> Result<(), VaultError> {
        if self.cheap_allowed { params.check_bounds() } else { params.check_for_new_slot() }
    }

    fn derive(&self, passphrase: &Passphrase, salt: &Salt, params: KdfParams) -> Result<Secret<32>, VaultError> {
        params.check_bounds()?;
        let too_big = || VaultError::KdfOutOfMemory { memory_kib: params.memory_kib };
        let settings = Params::new(params.memory_kib, params.passes, params.lanes, Some(32)).map_err(|_| too_big())?;
        let mut key = Secret::zeroed()?;
        let mut memory: Vec<Block> = Vec::new();
        memory.try_reserve_exact(settings.block_count()).map_err(|_| too_big())?;
        memory.resize(settings.block_count(), Block::new());
        let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, settings).hash_password_into_with_memory(
            passphrase.expose(),
            salt,
            key.expose_mut(),
            memory.as_mut_slice(),
        );
        for block in &mut memory {
            block.zeroize();
        }
        secrets::scrub_stack();
        derived.map_err(|_| too_big())?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_and_floor_may_be_used_for_new_slots() {
        assert!(KdfParams::DEFAULT.check_for_new_slot().is_ok());
        assert!(KdfParams::FLOOR.check_for_new_slot().is_ok());
        assert_eq!(KdfParams::DEFAULT, KdfParams { memory_kib: 262_144, passes: 3, lanes: 1 });
        assert_eq!(KdfParams::FLOOR.memory_kib, 65_536);
    }

    #[test]
    fn new_slot_cheaper_than_the_floor_is_refused() {
        for (params, expected) in [
            (KdfParams { memory_kib: 65_535, passes: 3, lanes: 1 }, KdfBound::MemoryKib),
            (KdfParams { memory_kib: 65_536, passes: 2, lanes: 1 }, KdfBound::Passes),
        ] {
            assert!(params.check_bounds().is_ok(), "a file may still have it");
            match params.check_for_new_slot() {
                Err(VaultError::KdfTooCheap { bound, .. }) => assert_eq!(bound, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
