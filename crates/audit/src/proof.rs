//! A proof that one record stands in the log: for people who have neither the log nor the vault.

use crate::format::{Line, digest, segment_name};
use crate::verify::{open, segments};
use crate::walk::{Step, Walk, lines};
use crate::{AuditError, AuditFiles as _, AuditStep, PublicKey, Record, format};
use serde::{Deserialize, Serialize};
use std::path::Path;

const FORMAT: &str = "steadfast-audit-proof-1";

/// A record, the lines from it to the next checkpoint, and all checkpoints before, which hand the key on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// `steadfast-audit-proof-1`.
    pub format: String,
    /// The record's number.
    pub seq: u64,
    /// The log's first public key. Compare it with a copy that you trust.
    pub anchor: String,
    /// The lines of the checkpoints before the record, from the first on.
    pub checkpoints: Vec<String>,
    /// The lines from the record to the checkpoint that seals it.
    pub lines: Vec<String>,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The record.
    pub record: Record,
    /// Its line, exactly.
    pub line: String,
    /// Number of the checkpoint that seals it, among the lines.
    pub sealed_by: u64,
    /// When it was sealed by the machine's clock, in nanoseconds since 1970.
    pub sealed_at: u64,
}

/// Makes the proof of record `seq` of the log in `dir`.
///
/// # Errors
/// [`AuditError::NotSealed`] when there is no such record, or no checkpoint after it yet; [`AuditError::Broken`] when
/// the log is not whole up to there.
pub fn prove(dir: &Path, anchor: PublicKey, seq: u64) -> Result<Proof, AuditError> {
    let read = |source| AuditError::Io { step: AuditStep::Read, source };
    let files = open(dir)?;
    let names = files.names().map_err(read)?;
    let mut walk = Walk::from_start(anchor, None);
    let (mut checkpoints, mut chosen) = (Vec::new(), Vec::new());
    for number in segments(&names) {
        let Some(segment) = files.read(&segment_name(number)).map_err(read)? else { continue };
        for (_, raw, whole) in lines(&segment, 0) {
            if !whole {
                break;
            }
            let step = walk.step(raw)?.map_err(AuditError::Broken)?;
            let text = || String::from_utf8_lossy(raw).into_owned();
            match step {
                Step::Checkpoint { .. } if walk.seq == seq => return Err(AuditError::NotSealed { seq }),
                Step::Checkpoint { .. } if walk.seq > seq => {
                    chosen.push(text());
                    let anchor = anchor.to_hex();
                    return Ok(Proof { format: FORMAT.to_owned(), seq, anchor, checkpoints, lines: chosen });
                }
                Step::Checkpoint { .. } => checkpoints.push(text()),
                Step::Record if walk.seq >= seq => chosen.push(text()),
                Step::Record => {}
            }
        }
    }
    Err(AuditError::NotSealed { seq })
}

/// Checks a proof against the log's first public key as you know it.
///
/// # Errors
/// [`AuditError::BadProof`] that says what does not hold.
pub fn verify_proof(proof: &Proof, anchor: PublicKey) -> Result<Proven, AuditError> {
    let bad = |what| AuditError::BadProof { what };
    if proof.format != FORMAT {
        return Err(bad("its format is not known"));
    }
    if PublicKey::from_hex(&proof.anchor) != Some(anchor) {
        return Err(bad("it belongs to a log with another key"));
    }
    let (mut key, mut chain, mut index, mut last) = (anchor, None, 0_u64, 0_u64);
    let mut accept = |raw: &str| -> Option<(u64, u64)> {
        let parsed = format::parse(raw.as_bytes())?;
        let (Line::Checkpoint(checkpoint), Some((signed, signature))) = (&parsed.line, parsed.signed) else {
            return None;
        };
        let fits = checkpoint.checkpoint == index
            && checkpoint.seq > last
            && PublicKey::from_hex(&checkpoint.key) == Some(key)
            && chain.as_ref().is_none_or(|chain| *chain == checkpoint.chain)
            && key.verifies(signed, &signature);
        if !fits {
            return None;
        }
        key = PublicKey::from_hex(&checkpoint.next_key)?;
        chain = Some(checkpoint.chain.clone());
        index = index.checked_add(1)?;
        last = checkpoint.seq;
        Some((checkpoint.seq, checkpoint.time))
    };
    for raw in &proof.checkpoints {
        let (seq, _) = accept(raw).ok_or_else(|| bad("a checkpoint before the record does not hold"))?;
        if seq >= proof.seq {
            return Err(bad("a checkpoint stands in the wrong place"));
        }
    }
    let (first, _) = proof.lines.split_first().ok_or_else(|| bad("it holds no record"))?;
    let (seal, _) = proof.lines.split_last().ok_or_else(|| bad("it holds no seal"))?;
    let parsed = format::parse(first.as_bytes()).ok_or_else(|| bad("its record is damaged"))?;
    let Line::Record(record) = parsed.line else { return Err(bad("what it names is not a record")) };
    if record.seq != proof.seq {
        return Err(bad("its record has another number"));
    }
    for (raw, following) in proof.lines.iter().zip(proof.lines.iter().skip(1)) {
        let (seq, next) = match (format::parse(raw.as_bytes()), format::parse(following.as_bytes())) {
            (Some(line), Some(next)) => (line.line.seq(), next.line),
            _ => return Err(bad("a line between the record and the seal is damaged")),
        };
        let follows = next.prev() == hex::encode(digest(raw.as_bytes())) && Some(next.seq()) == seq.checked_add(1);
        if !follows {
            return Err(bad("the lines from the record to the seal are not one chain"));
        }
    }
    let (sealed_by, sealed_at) = accept(seal).ok_or_else(|| bad("the seal does not hold"))?;
    Ok(Proven { record, line: first.clone(), sealed_by, sealed_at })
}
