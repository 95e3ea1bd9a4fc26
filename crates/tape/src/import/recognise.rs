//! Tells by its first bytes what a file is.

use super::lines::unpacked;
use crate::codec::MAGIC;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Bytes that are looked at.
const LOOK_BYTES: u64 = 64;

/// What a file seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingKind {
    /// A tape.
    Tape,
    /// JSON lines, as the cryptofeed project writes them.
    Cryptofeed,
    /// Lines of a time in nanoseconds and a message, as the hftbacktest project writes them.
    Hftbacktest,
    /// None of these.
    Unknown,
}

/// Looks at the beginning of a file, plain or gzip.
///
/// # Errors
/// What the file system or the decompressor said.
pub fn recognise(path: &Path) -> std::io::Result<RecordingKind> {
    let mut input = unpacked(File::open(path)?)?;
    let mut first = Vec::new();
    input.by_ref().take(LOOK_BYTES).read_to_end(&mut first)?;
    let text = first.trim_ascii_start();
    Ok(if first.starts_with(MAGIC) {
        RecordingKind::Tape
    } else if text.starts_with(b"{") {
        RecordingKind::Cryptofeed
    } else if text.iter().take_while(|byte| byte.is_ascii_digit()).count() == 19 {
        RecordingKind::Hftbacktest
    } else {
        RecordingKind::Unknown
    })
}
