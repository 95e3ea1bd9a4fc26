//! The journal: every numbered event of the order path, durable, hash-chained, readable by any SQL tool.
//!
//! One writer thread takes events from a bounded ring and commits them in groups; nothing in the money path
//! waits for it. Invariants: events are written in the order of their numbers, without a hole; each record's
//! hash covers the one before it; numbers are written as decimals, never as mantissas.

mod error;
mod position;
mod reader;
mod record;
mod writer;

pub use error::JournalError;
pub use position::PositionRecord;
pub use reader::{Chain, JournalReader, Stored};
pub use record::{Encoder, Record, decode};
pub use writer::{Health, Journal, JournalHandle};

/// Version of the database layout that this crate writes (`PRAGMA user_version`).
pub const VERSION: i64 = 1;
