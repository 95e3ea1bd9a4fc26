//! Reads tapes.

use crate::codec::{Decoder, END, MAGIC, SEGMENT, SEGMENT_BYTES_MAX, SOURCE_BYTES_MAX, VERSION};
use crate::{TapeError, TapeEvent};
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Reads one tape: an iterator over its events, in the order of their recording.
///
/// The first error ends it; everything before the error was whole. A tape
/// without its end mark ends with [`TapeError::CutOff`].
#[derive(Debug)]
pub struct TapeReader<R: Read> {
    input: Part<R>,
    source: String,
    decoder: Decoder,
    /// Events of the open segment not returned yet.
    pending: u32,
    events: u64,
    /// Where the open part begins.
    part_at: u64,
    done: bool,
}

/// Counts and hashes what is read.
#[derive(Debug)]
struct Part<R: Read> {
    input: R,
    position: u64,
    hasher: crc32fast::Hasher,
}

/// Why a part could not be read.
enum PartFault {
    Io(std::io::Error),
    CutOff,
    Damaged(&'static str),
}

impl<R: Read> Part<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), PartFault> {
        match self.input.read_exact(bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(PartFault::CutOff),
            Err(error) => return Err(PartFault::Io(error)),
        }
        self.position += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.hasher.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PartFault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn length(&mut self, length_max: usize) -> Result<usize, PartFault> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).unwrap_or(usize::MAX);
        if length > length_max { Err(PartFault::Damaged("impossible length")) } else { Ok(length) }
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, PartFault> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Compares the checksum that follows with what was read since the last one.
    fn end(&mut self) -> Result<(), PartFault> {
        let ours = std::mem::take(&mut self.hasher).finalize();
        let found = u32::from_le_bytes(self.array()?);
        self.hasher.reset();
        if ours == found { Ok(()) } else { Err(PartFault::Damaged("checksum differs")) }
    }
}

impl TapeReader<BufReader<File>> {
    /// Opens a tape file and checks its header.
    ///
    /// # Errors
    /// [`TapeError::Io`], [`TapeError::NotATape`], [`TapeError::NewerVersion`],
    /// [`TapeError::CutOff`] or [`TapeError::Damaged`] for a broken header.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        let file = File::open(path).map_err(|source| TapeError::Io { position: 0, source })?;
        Self::new(BufReader::new(file))
    }
}

impl<R: Read> TapeReader<R> {
    /// Reads a tape from any source; wrap files in a `BufReader`.
    ///
    /// # Errors
    /// As [`TapeReader::open`].
    pub fn new(input: R) -> Result<Self, TapeError> {
        let mut reader = Self {
            input: Part { input, position: 0, hasher: crc32fast::Hasher::new() },
            source: String::new(),
            decoder: Decoder::default(),
            pending: 0,
            events: 0,
            part_at: 0,
            done: false,
        };
        match reader.header() {
            Ok(()) => Ok(reader),
            Err(HeaderFault::Part(fault)) => Err(reader.error(fault)),
            Err(HeaderFault::Told(error)) => Err(error),
        }
    }

    /// Where the data comes from, in the words of its recorder.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Events returned so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    fn header(&mut self) -> Result<(), HeaderFault> {
        match self.input.array() {
            Ok(magic) if magic == *MAGIC => {}
            Ok(_) | Err(PartFault::CutOff) => return Err(HeaderFault::Told(TapeError::NotATape)),
            Err(fault) => return Err(HeaderFault::Part(fault)),
        }
        let version = u32::from_le_bytes(self.input.array()?);
        if version > VERSION {
            return Err(HeaderFault::Told(TapeError::NewerVersion { found: version, supported: VERSION }));
        }
        let length = self.input.length(SOURCE_BYTES_MAX)?;
        let source = self.input.bytes(length)?;
        self.input.end()?;
        self.source = String::from_utf8(source).map_err(|_| PartFault::Damaged("source that is not UTF-8"))?;
        Ok(())
    }

    /// Reads the next segment into the decoder; `false`: the end mark was read.
    fn segment(&mut self) -> Result<bool, PartFault> {
        self.part_at = self.input.position;
        let mark: [u8; 4] = self.input.array()?;
        if mark == *END {
            let events = u64::from_le_bytes(self.input.array()?);
            self.input.end()?;
            return if events == self.events { Ok(false) } else { Err(PartFault::Damaged("count of events differs")) };
        }
        if mark != *SEGMENT {
            return Err(PartFault::Damaged("neither a segment nor the end mark"));
        }
        let events = u32::from_le_bytes(self.input.array()?);
        let raw_length = self.input.length(SEGMENT_BYTES_MAX)?;
        // Deflate grows what it cannot shrink by less than a thousandth.
        let packed_length = self.input.length(SEGMENT_BYTES_MAX + SEGMENT_BYTES_MAX / 512)?;
        let packed = self.input.bytes(packed_length)?;
        self.input.end()?;
        let bytes = &mut self.decoder.bytes;
        bytes.clear();
        let limit = u64::try_from(raw_length).unwrap_or(u64::MAX).saturating_add(1);
        DeflateDecoder::new(packed.as_slice())
            .take(limit)
            .read_to_end(bytes)
            .map_err(|_| PartFault::Damaged("compressed data"))?;
        if bytes.len() != raw_length {
            return Err(PartFault::Damaged("length of the events differs"));
        }
        self.decoder.reset();
        self.pending = events;
        Ok(true)
    }

    fn step(&mut self) -> Result<Option<TapeEvent>, PartFault> {
        while self.pending == 0 {
            if !self.decoder.is_done() {
                return Err(PartFault::Damaged("bytes behind the last event of a segment"));
            }
            if !self.segment()? {
                return Ok(None);
            }
        }
        let event = self.decoder.event().map_err(PartFault::Damaged)?;
        self.pending -= 1;
        self.events += 1;
        Ok(Some(event))
    }

    fn error(&self, fault: PartFault) -> TapeError {
        let (position, events) = (self.part_at, self.events);
        match fault {
            PartFault::Io(source) => TapeError::Io { position: self.input.position, source },
            PartFault::CutOff => TapeError::CutOff { position, events },
            PartFault::Damaged(what) => TapeError::Damaged { position, events, what },
        }
    }
}

/// Why a header could not be read.
enum HeaderFault {
    Part(PartFault),
    Told(TapeError),
}

impl From<PartFault> for HeaderFault {
    fn from(fault: PartFault) -> Self {
        Self::Part(fault)
    }
}

impl<R: Read> Iterator for TapeReader<R> {
    type Item = Result<TapeEvent, TapeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let event = self.step().map_err(|fault| self.error(fault)).transpose();
        self.done = !matches!(event, Some(Ok(_)));
        event
    }
}
