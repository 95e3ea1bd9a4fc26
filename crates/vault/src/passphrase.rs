//! The passphrase as it is used: normalised once, so that it does not depend on the keyboard.

use secrets::SecretBytes;
use unicode_normalization::UnicodeNormalization;

use crate::VaultError;

/// A passphrase in Unicode normalisation form NFKC, never changed in any other way.
pub struct Passphrase {
    bytes: SecretBytes,
    characters: usize,
}

impl Passphrase {
    /// Fewest characters of a new passphrase, after normalisation.
    pub const CHARACTERS_MIN: usize = 15;
    /// Longest passphrase after normalisation, in bytes: bounds the work on what is pasted by mistake.
    pub const BYTES_MAX: usize = 1024;

    /// Takes a passphrase as it was typed, without the line end. Wiping `text` is the caller's task.
    ///
    /// # Errors
    /// [`VaultError::PassphraseTooLong`], or no memory for it. A short one is refused only where a
    /// slot is made with it.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let too_long = || VaultError::PassphraseTooLong { most_bytes: Self::BYTES_MAX };
        if text.len() > Self::BYTES_MAX {
            return Err(too_long());
        }
        let len = text.nfkc().map(char::len_utf8).sum();
        if len > Self::BYTES_MAX {
            return Err(too_long());
        }
        let mut bytes = SecretBytes::zeroed(len)?;
        let mut rest = bytes.expose_mut();
        let mut characters = 0;
        for character in text.nfkc() {
            let (head, tail) = rest.split_at_mut_checked(character.len_utf8()).ok_or_else(too_long)?;
            character.encode_utf8(head);
            rest = tail;
            characters += 1;
        }
        Ok(Self { bytes, characters })
    }

    /// As [`Self::from_text`], from bytes that already lie in locked memory.
    ///
    /// # Errors
    /// [`VaultError::PassphraseNotText`] if they are not UTF-8; otherwise as [`Self::from_text`].
    pub fn from_secret(typed: &SecretBytes) -> Result<Self, VaultError> {
        Self::from_text(typed.expose_text().ok_or(VaultError::PassphraseNotText)?)
    }

    /// Whether it may protect a new slot; lets a prompt refuse it before anything else is asked.
    ///
    /// # Errors
    /// [`VaultError::PassphraseTooShort`].
    pub fn check_for_new_slot(&self) -> Result<(), VaultError> {
        if self.characters < Self::CHARACTERS_MIN {
            return Err(VaultError::PassphraseTooShort { characters: self.characters, least: Self::CHARACTERS_MIN });
        }
        Ok(())
    }

    /// Whether two passphrases are the same, for a prompt that asks twice.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        secrets::equal_in_constant_time(self.expose(), other.expose())
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_the_same_text_are_the_same_passphrase() {
        let composed = Passphrase::from_text("caf\u{e9} \u{fb01}ve \u{2167} seven words").unwrap();
        let decomposed = Passphrase::from_text("cafe\u{301} five VIII seven words").unwrap();
        assert!(composed.is_same_as(&decomposed));
        assert!(!composed.is_same_as(&Passphrase::from_text("caf\u{e9} five VIII Seven words").unwrap()));
    }

    #[test]
    fn spaces_and_case_are_kept() {
        let kept = Passphrase::from_text("  Two  Spaces  ").unwrap();
        assert_eq!(kept.expose(), b"  Two  Spaces  ");
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        let fourteen = Passphrase::from_text(&"\u{e9}".repeat(14)).unwrap();
        assert!(matches!(
            fourteen.check_for_new_slot(),
            Err(VaultError::PassphraseTooShort { characters: 14, least: 15 })
        ));
        assert!(Passphrase::from_text(&"\u{e9}".repeat(15)).unwrap().check_for_new_slot().is_ok());
    }

    #[test]
    fn passphrase_without_end_is_refused_also_when_only_its_normal_form_is_long() {
        assert!(matches!(Passphrase::from_text(&"x".repeat(1025)), Err(VaultError::PassphraseTooLong { .. })));
        // One character of 3 bytes whose normal form has 33.
        assert!(matches!(Passphrase::from_text(&"\u{fdfa}".repeat(40)), Err(VaultError::PassphraseTooLong { .. })));
        assert!(Passphrase::from_text(&"x".repeat(1024)).is_ok());
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        let bytes = SecretBytes::from_slice(&[0xC0, 0x80]).unwrap();
        assert!(matches!(Passphrase::from_secret(&bytes), Err(VaultError::PassphraseNotText)));
    }
}
