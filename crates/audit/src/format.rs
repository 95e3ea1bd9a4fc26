//! The files of the log, byte by byte.
//!
//! ```text
//! audit-NNNNNN.log   segments in order; lines that end with "\n", each one JSON object without spaces
//! anchor.pub         the first public key, 64 hexadecimal digits
//! state              two slots of 512 bytes, see `state.rs`; secret but for its numbers
//! damaged-*          ends that were set aside, as they were found
//!
//! record     : {"seq":N,"time":ns since 1970,"boot":T,"actor":T,"source":T,"verb":T,"target":T,"decision":T,
//!               "reason":T,"request":null or H32,"prev":H32,"mac":H32}
//! checkpoint : {"seq":N,"time":N,"boot":T,"checkpoint":J,"chain":H16,"key":H32,"next_key":H32,"prev":H32,
//!               "mac":H32,"signature":H64}
//!
//! seq  counts every line from 1. Line 1 is checkpoint 0. Hn is n bytes in lower-case hexadecimal.
//! prev = SHA-256 of the line before without its line end; of line 1: zeros
//! mac  = HMAC-SHA256(k[seq], the line up to, not including, `,"mac":`)
//! k[1] = HMAC-SHA256(seed, "mac" | chain)    k[n+1] = SHA-256("ratchet" | k[n])
//! signature = Ed25519(key, the line up to, not including, `,"signature":`)
//! key of checkpoint 0 = anchor               key of checkpoint j+1 = next_key of checkpoint j
//! hidden name = "hmac:" | first 16 bytes of HMAC-SHA256(HMAC-SHA256(seed, "salt" | chain), name) in hexadecimal
//! ```

use crate::AuditError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A line longer than this is not ours, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;
const MAC_KEY: &str = ",\"mac\":\"";
const SIGNATURE_KEY: &str = "\",\"signature\":\"";
const END: &str = "\"}";
const MAC_DIGITS: usize = 64;
const SIGNATURE_DIGITS: usize = 128;

/// A record as it stands in the log, without its MAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number, from 1.
    pub seq: u64,
    /// When, in nanoseconds since 1970 by the machine's clock.
    pub time: u64,
    /// Which boot of the machine.
    pub boot: String,
    /// Who.
    pub actor: String,
    /// Where from.
    pub source: String,
    /// What.
    pub verb: String,
    /// To what.
    pub target: String,
    /// How it ended.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// SHA-256 of the request, in hexadecimal.
    pub request: Option<String>,
    /// SHA-256 of the line before, in hexadecimal.
    pub prev: String,
}

/// A signed checkpoint as it stands in the log, without MAC and signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its number among the records.
    pub seq: u64,
    /// When, in nanoseconds since 1970.
    pub time: u64,
    /// Which boot of the machine.
    pub boot: String,
    /// Its number among the checkpoints, from 0.
    pub checkpoint: u64,
    /// Which log this is, in hexadecimal.
    pub chain: String,
    /// The public key that it is signed with, in hexadecimal.
    pub key: String,
    /// The public key of the next checkpoint, in hexadecimal.
    pub next_key: String,
    /// SHA-256 of the line before, in hexadecimal.
    pub prev: String,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A record.
    Record(Record),
    /// A checkpoint.
    Checkpoint(Checkpoint),
}

impl Line {
    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        match self {
            Self::Record(record) => record.seq,
            Self::Checkpoint(checkpoint) => checkpoint.seq,
        }
    }

    /// The hash of the line before, in hexadecimal.
    #[must_use]
    pub fn prev(&self) -> &str {
        match self {
            Self::Record(record) => &record.prev,
            Self::Checkpoint(checkpoint) => &checkpoint.prev,
        }
    }
}

/// A line taken apart.
pub(crate) struct Parsed<'a> {
    pub(crate) line: Line,
    /// What the MAC covers.
    pub(crate) body: &'a [u8],
    pub(crate) mac: [u8; 32],
    /// What the signature covers, and the signature.
    pub(crate) signed: Option<(&'a [u8], [u8; 64])>,
}

pub(crate) fn digest(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

/// The text that the MAC covers.
pub(crate) fn body(fields: &impl Serialize) -> Result<String, AuditError> {
    let mut text = serde_json::to_string(fields).map_err(|_| AuditError::Unwritable)?;
    text.pop(); // the closing brace; the MAC follows inside
    Ok(text)
}

pub(crate) fn with_mac(mut body: String, mac: &[u8; 32]) -> String {
    body.push_str(MAC_KEY);
    body.push_str(&hex::encode(mac));
    body
}

pub(crate) fn closed(mut text: String) -> String {
    text.push_str(END);
    text
}

pub(crate) fn with_signature(mut text: String, signature: &[u8; 64]) -> String {
    text.push_str(SIGNATURE_KEY);
    text.push_str(&hex::encode(signature));
    closed(text)
}

/// What a signature covers: the text up to the MAC's last digit and its quotation mark.
pub(crate) fn signed_part(text: &str) -> Vec<u8> {
    let mut part = text.as_bytes().to_vec();
    part.push(b'"');
    part
}

/// Takes a line apart; `None` if it is not exactly as this log writes lines.
pub(crate) fn parse(raw: &[u8]) -> Option<Parsed<'_>> {
    if raw.len() > LINE_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(raw).ok()?;
    let open = text.strip_suffix(END)?;
    let (before, digits) = split_end(open, MAC_DIGITS)?;
    if let Some(body) = before.strip_suffix(MAC_KEY) {
        let record: Record = exact(body)?;
        return Some(Parsed { line: Line::Record(record), body: body.as_bytes(), mac: bytes(digits)?, signed: None });
    }
    let (before, digits) = split_end(open, SIGNATURE_DIGITS)?;
    let signature = bytes(digits)?;
    let with_mac = before.strip_suffix(SIGNATURE_KEY)?;
    let (before, digits) = split_end(with_mac, MAC_DIGITS)?;
    let body = before.strip_suffix(MAC_KEY)?;
    let checkpoint: Checkpoint = exact(body)?;
    let signed = raw.get(..with_mac.len() + 1)?;
    Some(Parsed {
        line: Line::Checkpoint(checkpoint),
        body: body.as_bytes(),
        mac: bytes(digits)?,
        signed: Some((signed, signature)),
    })
}

/// Parses a body and insists that writing it again gives the same text.
fn exact<T: Serialize + for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let fields: T = serde_json::from_str(&format!("{text}}}")).ok()?;
    (body(&fields).ok()? == text).then_some(fields)
}

fn split_end(text: &str, digits: usize) -> Option<(&str, &str)> {
    text.split_at_checked(text.len().checked_sub(digits)?)
}

/// Lower-case hexadecimal of exactly `N` bytes.
pub(crate) fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

/// Name of a segment.
pub(crate) fn segment_name(number: u32) -> String {
    format!("audit-{number:06}.log")
}

/// The number, if `name` is that of a segment.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("audit-")?.strip_suffix(".log")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}
