//! The audit log: who did what to the keys and to trading, in a chain that cannot be rewritten afterwards.
//!
//! One line of JSON per record, in segment files that are kept for ever. The format is written down in
//! [`mod@format`]; reasons are in `docs/adr/0010-audit-chain.md`.
//!
//! Invariants, each with tests beside the code:
//! - Every record carries the hash of the one before and a MAC under a key that is used once and then
//!   replaced by its own hash: who takes the present key cannot make an earlier MAC.
//! - Signed checkpoints seal everything before them. Each is signed with a key of its own, named by the
//!   checkpoint before it and destroyed once used: who takes everything this machine has today cannot seal
//!   another yesterday.
//! - What was confirmed as durable is on disk; after any failure of the disk, or a kill at any write, the log
//!   opens again and goes on.
//! - A damaged end is set aside as evidence and said in the log itself; damage before the last seal is refused.
//! - [`verify`] names the first record that is not as it was written.
//!
//! What nobody can see from the log alone: that its end was cut off together with its state file. The number of
//! the last record is therefore exported (metric `audit_seq`), and [`verify`] takes it.

#![forbid(unsafe_code)]

mod entry;
mod error;
mod files;
pub mod format;
mod keys;
mod log;
mod proof;
mod sink;
mod state;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

pub use entry::{AuditEntry, AuditVerb, Decision, Name, Permission, fail_closed};
pub use error::{AuditError, AuditStep, BadRecord, Wrong};
pub use files::{AuditFiles, DiskFiles};
pub use format::{Checkpoint, Line, Record};
pub use keys::{AuditSeed, PublicKey};
pub use log::{AuditBounds, AuditLog};
pub use proof::{Proof, Proven, prove, verify_proof};
pub use sink::{AuditSink, NoAudit, SharedAudit};
pub use verify::{VerifyReport, read_anchor, tail, verify, verify_files};

/// Name of the file beside the log that holds the first public key. Keep a copy elsewhere.
pub const ANCHOR_FILE: &str = "anchor.pub";
