//! Reading a journal: replay at start, and verification of its chain.

use crate::record::{Record, decode};
use crate::{JournalError, VERSION};
use domain::UnixNanos;
use messages::OrderEvent;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The hash of a record: SHA-256 over the hash before it, its number, its time and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// The hash before the first record.
    pub const START: Self = Self([0; 32]);

    /// The hash of the next record.
    #[must_use]
    pub fn next(self, seq: u64, at: u64, body: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(seq.to_be_bytes());
        hash.update(at.to_be_bytes());
        hash.update(body.as_bytes());
        Self(hash.finalize().into())
    }

    /// The hash as lower-case hexadecimal.
    #[must_use]
    pub fn hex(self) -> String {
        hex::encode(self.0)
    }
}

/// How far a journal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Number of the last record; 0: none.
    pub last: u64,
    /// Its hash.
    pub head: Chain,
    /// Time of the last record.
    pub at: UnixNanos,
}

/// A journal opened for reading; the writer may be at work at the same time.
#[derive(Debug)]
pub struct JournalReader {
    db: Connection,
}

impl JournalReader {
    /// Opens an existing journal.
    ///
    /// # Errors
    /// [`JournalError::Database`] when it is missing or damaged, [`JournalError::Newer`] when a newer program wrote it.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        check_version(&db)?;
        Ok(Self { db })
    }

    /// Walks over every record in order, verifying the chain, and hands out its event.
    ///
    /// # Errors
    /// [`JournalError`]: the first record that is missing, unreadable or does not fit the chain.
    pub fn replay(&self, take: impl FnMut(&OrderEvent)) -> Result<Stored, JournalError> {
        // One moment for records and head: the writer may be at work.
        let moment = self.db.unchecked_transaction()?;
        let stored = self.walk(take);
        moment.finish()?;
        stored
    }

    fn walk(&self, mut take: impl FnMut(&OrderEvent)) -> Result<Stored, JournalError> {
        let mut statement = self.db.prepare("SELECT seq, at, body, hash FROM events ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let mut stored = Stored { last: 0, head: Chain::START, at: UnixNanos(0) };
        while let Some(row) = rows.next()? {
            let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
            let at = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            let body: String = row.get(2)?;
            let hash: Vec<u8> = row.get(3)?;
            let expected = stored.last.saturating_add(1);
            if seq != expected {
                return Err(JournalError::Hole { expected, found: seq });
            }
            let head = stored.head.next(seq, at, &body);
            if hash != head.0 {
                return Err(JournalError::Chain { seq });
            }
            let record: Record =
                serde_json::from_str(&body).map_err(|cause| JournalError::Unreadable { seq, cause })?;
            take(&decode(seq, UnixNanos(at), &record));
            stored = Stored { last: seq, head, at: UnixNanos(at) };
        }
        let head: Option<i64> = self
            .db
            .query_row("SELECT value FROM meta WHERE key = 'head'", [], |row| row.get(0))
            .map(Some)
            .or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) })?;
        let head = head.and_then(|head| u64::try_from(head).ok()).unwrap_or(0);
        if head > stored.last {
            return Err(JournalError::CutOff { last: stored.last, head });
        }
        Ok(stored)
    }

    /// Verifies the whole chain.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub fn verify(&self) -> Result<Stored, JournalError> {
        self.replay(|_| {})
    }
}

pub(crate) fn check_version(db: &Connection) -> Result<i64, JournalError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(JournalError::Newer { found, known: VERSION });
    }
    Ok(found)
}
