//! Lines of a recording, plain or gzip, one at a time and bounded.

use super::ImportError;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};

/// Longest line: a snapshot of 100,000 levels a side fits.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The two bytes with which gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads line after line; holds one of them.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    /// Lines read, empty ones included.
    count: u64,
}

impl Lines {
    /// Opens a recording and looks whether it is compressed.
    pub(super) fn new<R: Read + 'static>(reader: R) -> Result<Self, ImportError> {
        let input = unpacked(reader).map_err(|source| ImportError::Read { line: 1, source })?;
        Ok(Self { input, line: Vec::new(), count: 0 })
    }

    /// Lines read so far.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Reads the next line; `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool, ImportError> {
        self.line.clear();
        let line = self.count + 1;
        let count = (&mut self.input)
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(|source| ImportError::Read { line, source })?;
        if count == 0 {
            return Ok(false);
        }
        if u64::try_from(count).is_ok_and(|count| count > LINE_BYTES_MAX) {
            return Err(ImportError::LineTooLong { line, bytes_max: LINE_BYTES_MAX });
        }
        self.count = line;
        Ok(true)
    }

    /// Takes the line that was read, [`Lines::give_back`] keeps its room.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.line)
    }

    /// Gives the room of a line back.
    pub(super) fn give_back(&mut self, line: Vec<u8>) {
        self.line = line;
    }
}

/// A reader of the plain text, whether or not it is packed.
pub(super) fn unpacked<R: Read + 'static>(reader: R) -> std::io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    if reader.fill_buf()?.starts_with(&GZIP) {
        Ok(Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(reader))))
    } else {
        Ok(Box::new(reader))
    }
}
