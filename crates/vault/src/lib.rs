//! The vault: one encrypted file that holds all keys, opened by a passphrase.
//!
//! Records are opaque bytes under a 16-byte id; what they mean is the business of `order-signer`.
//! The file format is written down in [`mod@format`], which an independent opener in `tools/` follows too.
//!
//! Invariants, each with tests beside the code:
//! - Any changed bit of the file is refused.
//! - Whatever fails while a vault is saved, at every step, the old or the new vault stays readable.
//! - The cost of key derivation is judged before it is paid.
//! - A wrong passphrase and a damaged slot cannot be told apart.
//! - Decrypted bytes lie in locked memory only ([`secrets`]).
//!
//! Two processes must not change one vault: the caller holds the lock of the directory. As a second
//! line, a save refuses to replace a file that is not the one that was opened.
//!
//! ```no_run
//! use vault::{KdfParams, Passphrase, RecordId, Vault};
//!
//! # fn main() -> Result<(), vault::VaultError> {
//! let passphrase = Passphrase::from_text("an invented passphrase of many words")?;
//! let mut vault = Vault::create("custody/keys.vault", &passphrase, KdfParams::DEFAULT, 1_700_000_000)?;
//! vault.put(RecordId::random()?, secrets::SecretBytes::from_slice(b"an invented secret")?)?;
//! let generation = vault.save()?; // remembered by the caller, outside the vault
//! let vault = Vault::open("custody/keys.vault", &passphrase, generation)?;
//! assert_eq!(vault.ids().count(), 1);
//! # Ok(())
//! # }
//! ```

mod crypto;
mod error;
mod files;
pub mod format;
mod kdf;
mod passphrase;
mod save;
mod slots;
mod store;

#[cfg(test)]
mod tests;

pub use error::{DamagedPart, FileRefusal, KdfBound, VaultError, VaultStep};
pub use files::{DiskFiles, FileFacts, VaultFiles};
pub use format::{RecordId, SECRET_BYTES_MIN, SlotKind};
pub use kdf::KdfParams;
pub use passphrase::Passphrase;
pub use store::Vault;
