//! Verification of a whole log, and reading its last records.

use crate::format::{self, segment_name, segment_number};
use crate::state::{self, STATE_FILE};
use crate::walk::{Step, Walk, lines};
use crate::{AuditError, AuditFiles, AuditSeed, AuditStep, BadRecord, DiskFiles, Line, PublicKey, Wrong};
use std::path::Path;

/// What a verification has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records that are as they were written, checkpoints not counted.
    pub records: u64,
    /// Checkpoints whose signature holds.
    pub checkpoints: u64,
    /// Number of the last line that is as it was written.
    pub last_seq: u64,
    /// Number of the last checkpoint among the lines: up to here nobody can have rewritten anything.
    pub sealed_seq: u64,
    /// Whether the MACs were checked too.
    pub macs_checked: bool,
    /// Ends that were set aside after damage.
    pub damaged_files: usize,
    /// The first record that is not as it was written.
    pub first_bad: Option<BadRecord>,
}

/// Verifies the log in `dir` from its first line. `anchor` is its first public key, from the vault or a copy kept
/// elsewhere. With `seed` the MACs are checked too, which names the very record that was edited, and covers those
/// after the last seal. `seen` is the highest number known to have been written, such as an exported `audit_seq`.
///
/// # Errors
/// [`AuditError::Io`]. What is wrong with the log is in the report.
pub fn verify(
    dir: &Path,
    anchor: PublicKey,
    seed: Option<&AuditSeed>,
    seen: Option<u64>,
) -> Result<VerifyReport, AuditError> {
    verify_files(&open(dir)?, anchor, seed, seen)
}

/// As [`verify`], in a directory given by `files`.
///
/// # Errors
/// As [`verify`].
pub fn verify_files(
    files: &dyn AuditFiles,
    anchor: PublicKey,
    seed: Option<&AuditSeed>,
    seen: Option<u64>,
) -> Result<VerifyReport, AuditError> {
    let read = |source| AuditError::Io { step: AuditStep::Read, source };
    let mac_key = seed.map(AuditSeed::first_mac_key).transpose()?;
    let mut walk = Walk::from_start(anchor, mac_key);
    let mut report = VerifyReport {
        records: 0,
        checkpoints: 0,
        last_seq: 0,
        sealed_seq: 0,
        macs_checked: seed.is_some(),
        damaged_files: 0,
        first_bad: None,
    };
    // Before the lines: while a daemon writes, its state may move on, never back.
    let claimed = files.read(STATE_FILE).map_err(read)?.and_then(|file| state::claimed_seq(&file));
    let names = files.names().map_err(read)?;
    report.damaged_files = names.iter().filter(|name| name.starts_with("damaged-")).count();
    'segments: for number in segments(&names) {
        let Some(segment) = files.read(&segment_name(number)).map_err(read)? else { continue };
        for (_, raw, whole) in lines(&segment, 0) {
            let step = if whole {
                walk.step(raw)?
            } else {
                Err(BadRecord { seq: walk.seq.saturating_add(1), wrong: Wrong::Malformed })
            };
            match step {
                Ok(Step::Record) => report.records = report.records.saturating_add(1),
                Ok(Step::Checkpoint { .. }) => report.checkpoints = report.checkpoints.saturating_add(1),
                Err(bad) => {
                    report.first_bad = Some(bad);
                    break 'segments;
                }
            }
        }
    }
    report.last_seq = walk.seq;
    report.sealed_seq = walk.sealed;
    let seen = seen.max(claimed).unwrap_or(0).max(1);
    if report.first_bad.is_none() && walk.seq < seen {
        report.first_bad = Some(BadRecord { seq: walk.seq.saturating_add(1), wrong: Wrong::CutOff { seen } });
    }
    Ok(report)
}

/// The last `count` lines of the log, oldest first, as they stand there; nothing of them is verified.
///
/// # Errors
/// [`AuditError::Io`].
pub fn tail(dir: &Path, count: usize) -> Result<Vec<Line>, AuditError> {
    let read = |source| AuditError::Io { step: AuditStep::Read, source };
    let files = open(dir)?;
    let names = files.names().map_err(read)?;
    let mut newest = Vec::new();
    for number in segments(&names).into_iter().rev() {
        let segment = files.read(&segment_name(number)).map_err(read)?.unwrap_or_default();
        let all: Vec<Line> =
            lines(&segment, 0).filter_map(|(_, raw, _)| format::parse(raw)).map(|parsed| parsed.line).collect();
        newest.extend(all.into_iter().rev().take(count.saturating_sub(newest.len())));
        if newest.len() >= count {
            break;
        }
    }
    newest.reverse();
    Ok(newest)
}

/// The first public key from the file beside the log. Who can write there can replace both: a copy kept elsewhere,
/// or the vault's, says more.
///
/// # Errors
/// [`AuditError::Io`], or [`AuditError::BadSeed`] if the file holds no key.
pub fn read_anchor(file: &Path) -> Result<PublicKey, AuditError> {
    let text = std::fs::read_to_string(file).map_err(|source| AuditError::Io { step: AuditStep::Read, source })?;
    PublicKey::from_hex(text.trim()).ok_or(AuditError::BadSeed)
}

pub(crate) fn open(dir: &Path) -> Result<DiskFiles, AuditError> {
    DiskFiles::open_existing(dir).map_err(|source| AuditError::Io { step: AuditStep::OpenDirectory, source })
}

pub(crate) fn segments(names: &[String]) -> Vec<u32> {
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    numbers
}
