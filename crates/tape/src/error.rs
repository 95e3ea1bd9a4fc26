//! Why a tape cannot be written or read.

/// Why a tape cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The file system refused.
    #[error("tape file, at byte {position}")]
    Io {
        /// Bytes read or written before.
        position: u64,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The file does not begin like a tape.
    #[error("not a tape: the file does not begin with the tape mark")]
    NotATape,
    /// The file was written by a newer program.
    #[error("tape of version {found}; this program reads up to {supported}")]
    NewerVersion {
        /// Version in the file.
        found: u32,
        /// Newest version this program knows.
        supported: u32,
    },
    /// The file ends before its end mark; every event before this position was returned.
    #[error("tape is cut off in the segment at byte {position}, after {events} events")]
    CutOff {
        /// Where the segment that is not whole begins.
        position: u64,
        /// Events returned before.
        events: u64,
    },
    /// A checksum or a count does not agree; every event before this position was returned.
    #[error("tape is damaged in the segment at byte {position}, after {events} events: {what}")]
    Damaged {
        /// Where the damaged segment begins.
        position: u64,
        /// Events returned before.
        events: u64,
        /// What does not agree.
        what: &'static str,
    },
    /// An event is larger than any market event can be; it was not written.
    #[error("event of {bytes} bytes; the limit is {bytes_max}")]
    EventTooLarge {
        /// Its size, encoded.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The description of the source does not fit the header.
    #[error("source text of {bytes} bytes; the limit is {bytes_max}")]
    SourceTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}
