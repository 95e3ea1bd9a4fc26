//! What can be wrong with a journal.

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database said no (missing, damaged, full, locked).
    #[error("journal database")]
    Database(#[from] rusqlite::Error),
    /// A newer program wrote it.
    #[error("journal version {found} is newer than {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest version this program reads.
        known: i64,
    },
    /// A record's hash does not fit its content and the record before it.
    #[error("record {seq} does not fit the hash chain")]
    Chain {
        /// The first bad record.
        seq: u64,
    },
    /// A record is missing.
    #[error("record {expected} is missing; the next one is {found}")]
    Hole {
        /// The number that should follow.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// The last records have been cut off.
    #[error("the journal ends at record {last}; its head says {head}")]
    CutOff {
        /// The last record found.
        last: u64,
        /// The last record that was committed.
        head: u64,
    },
    /// A record cannot be read back.
    #[error("record {seq} is unreadable")]
    Unreadable {
        /// The record.
        seq: u64,
        /// What the parser said.
        #[source]
        cause: serde_json::Error,
    },
    /// An event cannot be written down: its instrument version was never announced.
    #[error("event {seq} names an instrument version that was never announced")]
    UnknownVersion {
        /// The event.
        seq: u64,
    },
    /// The writer thread could not be started.
    #[error("no thread for the journal")]
    Thread(#[source] std::io::Error),
}
