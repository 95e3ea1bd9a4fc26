//! Writes tapes.

use crate::codec::{END, EVENT_BYTES_MAX, Encoder, MAGIC, SEGMENT, SEGMENT_BYTES, SOURCE_BYTES_MAX, VERSION};
use crate::{TapeError, TapeEvent};
use domain::UnixNanos;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A segment is closed when its events span this much time: what a crash of the recorder can lose.
const SEGMENT_SPAN_NS: u64 = 5_000_000_000;

/// Packs well at about 100 MB a second.
const COMPRESSION: Compression = Compression::new(4);

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TapeStats {
    /// Events written.
    pub events: u64,
    /// Segments written.
    pub segments: u64,
    /// Bytes of the file so far.
    pub bytes: u64,
}

/// Writes one tape; [`TapeWriter::finish`] sets the end mark.
#[derive(Debug)]
pub struct TapeWriter<W: Write> {
    out: W,
    encoder: Encoder,
    packed: Vec<u8>,
    began: Option<UnixNanos>,
    stats: TapeStats,
}

impl TapeWriter<BufWriter<File>> {
    /// Creates a new tape file; `source` says in words where the data comes from.
    ///
    /// # Errors
    /// [`TapeError::Io`], also when the file exists: a recording is never overwritten;
    /// [`TapeError::SourceTooLong`] above 256 bytes.
    pub fn create(path: &Path, source: &str) -> Result<Self, TapeError> {
        let file = File::create_new(path).map_err(|source| TapeError::Io { position: 0, source })?;
        Self::new(BufWriter::new(file), source)
    }

    /// Writes what is pending and the end mark, and waits until the disk has them.
    ///
    /// # Errors
    /// [`TapeError::Io`]; the tape then counts as cut off.
    pub fn finish_on_disk(self) -> Result<TapeStats, TapeError> {
        let (out, stats) = self.finish()?;
        let failed = |source| TapeError::Io { position: stats.bytes, source };
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(stats)
    }
}

impl<W: Write> TapeWriter<W> {
    /// Begins a tape on any sink.
    ///
    /// # Errors
    /// As [`TapeWriter::create`].
    pub fn new(out: W, source: &str) -> Result<Self, TapeError> {
        let (bytes, bytes_max) = (source.len(), SOURCE_BYTES_MAX);
        let length = match u32::try_from(bytes) {
            Ok(length) if bytes <= bytes_max => length,
            _ => return Err(TapeError::SourceTooLong { bytes, bytes_max }),
        };
        let mut writer =
            Self { out, encoder: Encoder::default(), packed: Vec::new(), began: None, stats: TapeStats::default() };
        let parts: [&[u8]; 4] = [MAGIC, &VERSION.to_le_bytes(), &length.to_le_bytes(), source.as_bytes()];
        writer.part(&parts)?;
        Ok(writer)
    }

    /// Appends one event.
    ///
    /// # Errors
    /// [`TapeError::EventTooLarge`]: the event is left out, the tape stays good;
    /// [`TapeError::Io`]: stop recording, the tape is cut off at its last whole segment.
    pub fn write(&mut self, event: &TapeEvent) -> Result<(), TapeError> {
        self.encoder.event(event).map_err(|bytes| TapeError::EventTooLarge { bytes, bytes_max: EVENT_BYTES_MAX })?;
        let began = *self.began.get_or_insert(event.received);
        let span_ns = event.received.0.saturating_sub(began.0);
        if self.encoder.bytes.len() >= SEGMENT_BYTES || span_ns >= SEGMENT_SPAN_NS {
            self.close_segment()?;
        }
        Ok(())
    }

    /// Writes pending events as a segment and hands them to the sink.
    ///
    /// # Errors
    /// [`TapeError::Io`].
    pub fn flush(&mut self) -> Result<(), TapeError> {
        self.close_segment()?;
        self.out.flush().map_err(|source| TapeError::Io { position: self.stats.bytes, source })
    }

    /// Writes what is pending and the end mark; returns the sink.
    ///
    /// # Errors
    /// [`TapeError::Io`]; the tape then counts as cut off.
    pub fn finish(mut self) -> Result<(W, TapeStats), TapeError> {
        self.close_segment()?;
        self.part(&[END, &self.stats.events.to_le_bytes()])?;
        self.out.flush().map_err(|source| TapeError::Io { position: self.stats.bytes, source })?;
        Ok((self.out, self.stats))
    }

    /// What was written so far; events of the open segment are not counted yet.
    #[must_use]
    pub const fn stats(&self) -> TapeStats {
        self.stats
    }

    fn close_segment(&mut self) -> Result<(), TapeError> {
        if self.encoder.events == 0 {
            return Ok(());
        }
        self.packed.clear();
        let failed = |position, source| TapeError::Io { position, source };
        let mut deflate = DeflateEncoder::new(&mut self.packed, COMPRESSION);
        deflate
            .write_all(&self.encoder.bytes)
            .and_then(|()| deflate.finish().map(|_| ()))
            .map_err(|source| failed(self.stats.bytes, source))?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let (events, raw) = (self.encoder.events, length(&self.encoder.bytes));
        let packed = std::mem::take(&mut self.packed);
        self.part(&[SEGMENT, &events.to_le_bytes(), &raw, &length(&packed), &packed])?;
        self.packed = packed;
        self.stats.events += u64::from(events);
        self.stats.segments += 1;
        self.encoder.reset();
        self.began = None;
        Ok(())
    }

    /// Writes one part of the file with its checksum behind it.
    fn part(&mut self, pieces: &[&[u8]]) -> Result<(), TapeError> {
        let mut hasher = crc32fast::Hasher::new();
        let position = self.stats.bytes;
        for piece in pieces {
            hasher.update(piece);
        }
        let crc = hasher.finalize().to_le_bytes();
        for piece in pieces.iter().copied().chain([crc.as_slice()]) {
            self.out.write_all(piece).map_err(|source| TapeError::Io { position, source })?;
            self.stats.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }
}
