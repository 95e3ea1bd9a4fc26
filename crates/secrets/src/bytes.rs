//! Secret byte strings: of any length, and of a length fixed by their type.

use crate::{
    SecretError,
    arena::{GLOBAL, Slot},
    fill_random,
};

/// A secret byte string in locked memory. Wiped on drop; cannot be printed, cloned or serialised.
pub struct SecretBytes {
    slot: Slot,
}

impl SecretBytes {
    /// A secret of `len` zero bytes, to be filled through [`Self::expose_mut`].
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for it.
    pub fn zeroed(len: usize) -> Result<Self, SecretError> {
        Ok(Self { slot: GLOBAL.allocate(len)? })
    }

    /// Copies `bytes` into locked memory. Wiping the original is the caller's task.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for it.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SecretError> {
        let mut secret = Self::zeroed(bytes.len())?;
        secret.expose_mut().copy_from_slice(bytes);
        Ok(secret)
    }

    /// Copies `bytes` into locked memory and overwrites the original, whether or not there was room.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for it.
    pub fn take_from(bytes: &mut [u8]) -> Result<Self, SecretError> {
        let taken = Self::from_slice(bytes);
        zeroize::Zeroize::zeroize(bytes);
        taken
    }

    /// A random secret of `len` bytes.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory or no randomness.
    pub fn random(len: usize) -> Result<Self, SecretError> {
        let mut secret = Self::zeroed(len)?;
        fill_random(secret.expose_mut())?;
        Ok(secret)
    }

    /// A second secret with the same bytes, where one really is needed; named so that it is seen.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for it.
    pub fn duplicate(&self) -> Result<Self, SecretError> {
        Self::from_slice(self.expose())
    }

    /// Length in bytes; not secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slot.as_slice().len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes. Do not copy them into ordinary memory.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.slot.as_slice()
    }

    /// The bytes, to be written.
    #[must_use]
    pub fn expose_mut(&mut self) -> &mut [u8] {
        self.slot.as_mut_slice()
    }

    /// The bytes as text; `None` if they are not UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(self.expose()).ok()
    }
}

/// A secret of exactly `N` bytes in locked memory, such as a 256-bit key.
pub struct Secret<const N: usize> {
    bytes: SecretBytes,
}

impl<const N: usize> Secret<N> {
    /// `N` random bytes from the operating system.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory or no randomness.
    pub fn random() -> Result<Self, SecretError> {
        Ok(Self { bytes: SecretBytes::random(N)? })
    }

    /// `N` zero bytes, to be filled through [`Self::expose_mut`].
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for it.
    pub fn zeroed() -> Result<Self, SecretError> {
        Ok(Self { bytes: SecretBytes::zeroed(N)? })
    }

    /// Takes over a secret whose length is `N`.
    ///
    /// # Errors
    /// [`SecretError::WrongLength`] if it has another length; the secret is then wiped.
    pub fn from_bytes(bytes: SecretBytes) -> Result<Self, SecretError> {
        if bytes.len() == N {
            Ok(Self { bytes })
        } else {
            Err(SecretError::WrongLength { expected: N, found: bytes.len() })
        }
    }

    /// A second secret with the same bytes, where one really is needed; named so that it is seen.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for it.
    pub fn duplicate(&self) -> Result<Self, SecretError> {
        Ok(Self { bytes: self.bytes.duplicate()? })
    }

    /// The `N` bytes. Do not copy them into ordinary memory.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// The `N` bytes, to be written.
    #[must_use]
    pub fn expose_mut(&mut self) -> &mut [u8] {
        self.bytes.expose_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_secret_overwrites_the_original() {
        let mut original = *b"an invented secret";
        let secret = SecretBytes::take_from(&mut original).unwrap();
        assert_eq!(original, [0; 18]);
        assert_eq!(secret.expose_text(), Some("an invented secret"));
    }

    #[test]
    fn secret_of_another_length_is_refused() {
        let short = SecretBytes::from_slice(b"short").unwrap();
        assert_eq!(Secret::<32>::from_bytes(short).err(), Some(SecretError::WrongLength { expected: 32, found: 5 }));
    }

    #[test]
    fn random_secrets_differ() {
        let (left, right) = (Secret::<32>::random().unwrap(), Secret::<32>::random().unwrap());
        assert_ne!(left.expose(), right.expose());
        assert_eq!(left.duplicate().unwrap().expose(), left.expose());
    }

    #[test]
    fn empty_secret_is_possible_and_empty() {
        let empty = SecretBytes::from_slice(b"").unwrap();
        assert!(empty.is_empty());
        assert_eq!(empty.expose(), b"");
    }

    #[test]
    fn bytes_that_are_not_text_are_not_exposed_as_text() {
        assert_eq!(SecretBytes::from_slice(&[0xFF, 0xFE]).unwrap().expose_text(), None);
    }
}
