//! Secrets in memory: locked, wiped, unprintable; and the MAC key made from them.
//!
//! Every secret lives in one process-wide arena of pages that are, as far as the machine allows,
//! out of reach of other processes, of swap, of core dumps and of child processes. What was really
//! reached is told by [`memory_level`], so that a caller can print it, export it or insist on it.
//!
//! Invariants:
//! - The bytes of a secret are overwritten before their memory can be used again.
//! - No type of this crate that holds a secret implements `Debug`, `Display`, `Clone` or `Serialize`.
//!   A secret leaves only through a method whose name begins with `expose`.
//! - This is the only crate of the project in which `unsafe` may appear, and only in `arena.rs` and `shared.rs`.
//!
//! ```
//! use secrets::{SecretBytes, SigningKey};
//!
//! # fn main() -> Result<(), secrets::SecretError> {
//! let key = SigningKey::new(SecretBytes::from_slice(b"an invented secret")?)?;
//! let mac = key.sign(&[b"1700000000000", b"GET", b"/api/v2/spot/account/assets"]);
//! assert_eq!(mac.len(), 32);
//! # Ok(())
//! # }
//! ```
//!
//! A secret cannot be printed, copied by `clone` or formatted into a message:
//! ```compile_fail,E0277
//! let secret = secrets::SecretBytes::from_slice(b"invented").unwrap();
//! println!("{secret:?}");
//! ```
//! ```compile_fail,E0599
//! let secret = secrets::Secret::<32>::random().unwrap();
//! let copy = secret.clone();
//! ```

mod arena;
mod bytes;
#[cfg(target_os = "linux")]
mod shared;
mod signing_key;

pub use bytes::{Secret, SecretBytes};
#[cfg(target_os = "linux")]
pub use shared::{SharedError, SharedWords};
pub use signing_key::SigningKey;

use subtle::ConstantTimeEq;

/// How well the pages that hold secrets are protected; the order is from weakest to strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    /// Ordinary memory: it may be swapped out. Still kept from core dumps and child processes on Linux.
    Plain,
    /// Locked into memory, never swapped; on Linux also kept from core dumps and child processes.
    Mlock,
    /// `memfd_secret` pages: locked, and unmapped from the kernel, so that neither another process
    /// nor a debugger nor a core dump can read them.
    MemfdSecret,
}

impl MemoryLevel {
    /// The name used in metrics and at start-up: `plain`, `mlock` or `memfd_secret`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Mlock => "mlock",
            Self::MemfdSecret => "memfd_secret",
        }
    }
}

impl std::fmt::Display for MemoryLevel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a secret could not be held or made. No variant carries any byte of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The system gave no memory at all, not even ordinary memory.
    #[error("no memory for a secret of {bytes} bytes")]
    OutOfMemory {
        /// Size that was asked for, in bytes.
        bytes: usize,
    },
    /// The arena was closed to growth by [`close_arena`] and what was reserved is used up.
    #[error("the reserved memory for secrets has no room for {bytes} bytes")]
    ArenaClosed {
        /// Size that was asked for, in bytes.
        bytes: usize,
    },
    /// One secret may have at most [`SECRET_BYTES_MAX`] bytes.
    #[error("a secret of {bytes} bytes is larger than {SECRET_BYTES_MAX} bytes")]
    TooLarge {
        /// Size that was asked for, in bytes.
        bytes: usize,
    },
    /// A [`Secret`] of fixed length was given another number of bytes.
    #[error("a secret of {expected} bytes was given {found} bytes")]
    WrongLength {
        /// Length of the type, in bytes.
        expected: usize,
        /// Length that was given, in bytes.
        found: usize,
    },
    /// The operating system's random source failed.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// Largest size of one secret, in bytes: far above any key, far below any limit on locked memory
/// that a server would set on purpose.
pub const SECRET_BYTES_MAX: usize = 1 << 20;

/// The weakest level of all memory that secrets may lie in now. Maps the first pages if there are none.
///
/// # Errors
/// [`SecretError::OutOfMemory`] if not even ordinary memory could be mapped: refuse to start.
pub fn memory_level() -> Result<MemoryLevel, SecretError> {
    arena::GLOBAL.level()
}

/// Maps room for `bytes` bytes of secrets in one piece and returns the weakest level now in use.
/// Call it before a sandbox closes that refuses `memfd_secret` or `mmap`. Each secret takes its
/// length rounded up to 64 bytes.
///
/// # Errors
/// [`SecretError::OutOfMemory`] or [`SecretError::ArenaClosed`].
pub fn reserve(bytes: usize) -> Result<MemoryLevel, SecretError> {
    arena::GLOBAL.reserve(bytes)
}

/// Forbids the arena to map more memory: from now on a secret that does not fit is an error and
/// not a system call. For processes whose sandbox kills on `memfd_secret`.
pub fn close_arena() {
    arena::GLOBAL.close();
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
#[must_use]
pub fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Fills `target` from the operating system's random source; for nonces, salts and ids.
///
/// # Errors
/// [`SecretError::NoRandomness`]: give up, nothing may be encrypted without it.
pub fn fill_random(target: &mut [u8]) -> Result<(), SecretError> {
    getrandom::fill(target).map_err(|_| SecretError::NoRandomness)
}

/// Overwrites the part of the stack below the caller, where finished calls may have left copies
/// of key material in registers' spill slots or moved-from values. Never inlined, so that its
/// frame really lies where theirs lay.
#[inline(never)]
pub fn scrub_stack() {
    /// More than the deepest call of HMAC, HKDF and XChaCha20-Poly1305 uses, in words of 8 bytes.
    const SCRUBBED_WORDS: usize = 2 * 1024;
    let mut area = [u64::MAX; SCRUBBED_WORDS];
    zeroize::Zeroize::zeroize(&mut area);
    std::hint::black_box(&area);
}
