//! Following the chain: each line must be the one that belongs at its place. Pure; used at start and to verify.

use crate::format::{self, Line, bytes, digest};
use crate::keys::Ratchet;
use crate::{AuditError, BadRecord, PublicKey, Wrong};

/// Where a walk stands.
pub(crate) struct Walk {
    /// Number of the last line.
    pub(crate) seq: u64,
    /// Hash of the last line.
    pub(crate) head: [u8; 32],
    /// Key of the next line's MAC, if MACs can be checked.
    pub(crate) mac_key: Option<Ratchet>,
    /// Number of the next checkpoint.
    pub(crate) checkpoint: u64,
    /// Key of the next checkpoint.
    pub(crate) key: PublicKey,
    /// Which log this is; known after its first line.
    pub(crate) chain: Option<[u8; 16]>,
    /// Number of the last checkpoint among the lines.
    pub(crate) sealed: u64,
}

/// What a line was.
pub(crate) enum Step {
    Record,
    Checkpoint { time: u64 },
}

impl Walk {
    /// From the first line on.
    pub(crate) fn from_start(anchor: PublicKey, mac_key: Option<Ratchet>) -> Self {
        Self { seq: 0, head: [0; 32], mac_key, checkpoint: 0, key: anchor, chain: None, sealed: 0 }
    }

    fn bad(&self, wrong: Wrong) -> BadRecord {
        BadRecord { seq: self.seq.saturating_add(1), wrong }
    }

    /// Takes the next line, without its line end.
    pub(crate) fn step(&mut self, raw: &[u8]) -> Result<Result<Step, BadRecord>, AuditError> {
        let expected = self.seq.saturating_add(1);
        let Some(parsed) = format::parse(raw) else { return Ok(Err(self.bad(Wrong::Malformed))) };
        let found = parsed.line.seq();
        if found > expected {
            return Ok(Err(self.bad(Wrong::Missing { found })));
        }
        if found < expected {
            return Ok(Err(self.bad(Wrong::Repeated { found })));
        }
        let next_key = match &self.mac_key {
            Some(key) => {
                if !secrets::equal_in_constant_time(&key.mac(parsed.body)?, &parsed.mac) {
                    return Ok(Err(self.bad(Wrong::Altered)));
                }
                Some(key.next()?)
            }
            None => None,
        };
        if bytes(parsed.line.prev()) != Some(self.head) {
            // Its MAC holds or cannot be checked: the line before is the one that was changed.
            return Ok(Err(BadRecord { seq: self.seq.max(1), wrong: Wrong::Altered }));
        }
        let step = match (&parsed.line, parsed.signed) {
            (Line::Checkpoint(checkpoint), Some((signed, signature))) => {
                let chain = bytes(&checkpoint.chain);
                if bytes(&checkpoint.key) != Some(self.key.0) && self.checkpoint == 0 {
                    return Ok(Err(self.bad(Wrong::OtherAnchor)));
                }
                let fits = checkpoint.checkpoint == self.checkpoint
                    && bytes(&checkpoint.key) == Some(self.key.0)
                    && chain.is_some()
                    && (self.chain.is_none() || self.chain == chain)
                    && self.key.verifies(signed, &signature);
                let (true, Some(next)) = (fits, PublicKey::from_hex(&checkpoint.next_key)) else {
                    return Ok(Err(if self.mac_key.is_some() {
                        self.bad(Wrong::Altered)
                    } else {
                        BadRecord { seq: self.sealed.saturating_add(1), wrong: Wrong::SealBroken { to: found } }
                    }));
                };
                self.chain = chain;
                self.key = next;
                self.checkpoint = self.checkpoint.saturating_add(1);
                self.sealed = found;
                Step::Checkpoint { time: checkpoint.time }
            }
            // Line 1 is a checkpoint: without it nothing says which log this is.
            _ if expected == 1 => return Ok(Err(self.bad(Wrong::Malformed))),
            _ => Step::Record,
        };
        self.seq = found;
        self.head = digest(raw);
        self.mac_key = next_key;
        Ok(Ok(step))
    }
}

/// The lines of a segment with the offset of each; the last one may lack its line end, which is said.
pub(crate) fn lines(segment: &[u8], from: usize) -> impl Iterator<Item = (usize, &[u8], bool)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = segment.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                at += end + 1;
                Some((start, rest.get(..end).unwrap_or_default(), true))
            }
            None => {
                at += rest.len();
                Some((start, rest, false))
            }
        }
    })
}
