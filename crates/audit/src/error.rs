//! What can go wrong with the log, and what a verification can find.

use secrets::SecretError;
use std::io;

/// Why the log could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The operating system refused a step; nothing was confirmed, and the next call tries again.
    #[error("cannot {step}")]
    Io {
        /// Which step.
        step: AuditStep,
        /// What the system said.
        source: io::Error,
    },
    /// There is a log already where a new one was to be made.
    #[error("there is an audit log already")]
    AlreadyThere,
    /// The state file is missing, damaged, of another vault, or was put there by somebody else.
    #[error("the state of the audit log is missing or does not belong to this vault")]
    StateUnusable,
    /// Something before the last seal is not as it was written: keep the directory as evidence.
    #[error("the audit log is not whole: {0}")]
    Broken(BadRecord),
    /// The bytes of the seed are not a seed.
    #[error("the seed of the audit log is malformed")]
    BadSeed,
    /// A record that was asked for is not in the log, or no checkpoint seals it yet.
    #[error("record {seq} is not sealed in this log")]
    NotSealed {
        /// The record's number.
        seq: u64,
    },
    /// A proof does not prove what it says.
    #[error("the proof does not hold: {what}")]
    BadProof {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A line could not be made; never expected.
    #[error("a record could not be written as text")]
    Unwritable,
    /// Another thread died while it wrote: nothing is recorded any more.
    #[error("the writer of the audit log has died")]
    WriterDied,
    /// The process that writes the log refused, or does not answer.
    #[error("{why}")]
    Elsewhere {
        /// What it said, or why it did not.
        why: String,
    },
    /// No memory for secrets, or no randomness.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// A step in the handling of the log's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditStep {
    /// Opening the directory.
    #[error("open the directory of the audit log")]
    OpenDirectory,
    /// Reading.
    #[error("read the audit log")]
    Read,
    /// Making a file.
    #[error("make a file of the audit log")]
    Create,
    /// Writing a record.
    #[error("write a record of the audit log")]
    Write,
    /// Making records last.
    #[error("make a record of the audit log durable")]
    Sync,
    /// Removing what a failed write has left.
    #[error("repair the end of the audit log")]
    Repair,
    /// Writing the state.
    #[error("write the state of the audit log")]
    State,
}

/// The first record that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {wrong}")]
pub struct BadRecord {
    /// Its number: the one that belongs at this place.
    pub seq: u64,
    /// What is wrong there.
    pub wrong: Wrong,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The line is not one that this log writes.
    #[error("it is damaged or was edited")]
    Malformed,
    /// Its MAC, or the next record's hash of it, does not fit.
    #[error("it was edited")]
    Altered,
    /// Another record, with a higher number, stands in its place.
    #[error("it is missing; record {found} stands in its place")]
    Missing {
        /// The number that was found.
        found: u64,
    },
    /// An earlier record stands in its place.
    #[error("record {found} stands in its place once more")]
    Repeated {
        /// The number that was found.
        found: u64,
    },
    /// The log ends before it.
    #[error("the log ends before it, though record {seen} was seen")]
    CutOff {
        /// The highest number known to have been written.
        seen: u64,
    },
    /// A seal does not fit what stands before it; without the vault's seed it cannot be said which record it is.
    #[error("the seal at record {to} does not fit; one of the records from here on was rewritten")]
    SealBroken {
        /// The checkpoint.
        to: u64,
    },
    /// The log does not begin with the key that was given.
    #[error("the log begins with another key than the one given")]
    OtherAnchor,
}
