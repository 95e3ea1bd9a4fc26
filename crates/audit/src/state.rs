//! The state file: what the writer needs to go on after a restart, sealed under keys that are used up too.
//!
//! ```text
//! slot : magic "SFAS" | version u16 = 1 | index u64 | seq u64 | nonce (24) | ciphertext (164), zeros up to 512 bytes
//! plain: mac key (32) | this sealer (32) | next sealer (32) | head (32) | segment u32 | offset u64 | time u64
//! key  = s[index]      s[0] = HMAC-SHA256(seed, "state" | chain)      s[j+1] = SHA-256("ratchet" | s[j])
//! aad  = magic .. seq | chain
//! ```
//! `index` is the number of the checkpoint that these keys will sign; slot `index % 2` holds it. The writer holds
//! only the key of the next state, so that its memory does not open a state that lies on disk. The slot of the state
//! before is overwritten with zeros as soon as the new one lasts.

use crate::keys::{Ratchet, Sealer};
use crate::{AuditError, AuditFiles, AuditSeed, AuditStep};
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce, aead::inout::InOutBuf};
use secrets::{Secret, SecretBytes};

/// Name of the state file.
pub(crate) const STATE_FILE: &str = "state";
const SLOT_BYTES: usize = 512;
const MAGIC: [u8; 4] = *b"SFAS";
const VERSION: u16 = 1;
const PLAIN_BYTES: usize = 148;
const HEAD_BYTES: usize = 4 + 2 + 8 + 8;
const SEALED_BYTES: usize = HEAD_BYTES + 24 + PLAIN_BYTES + 16;
/// Most checkpoints of one log: a hundred years of one every three minutes; bounds the work on a forged number.
const INDEX_MAX: u64 = 1 << 24;

/// Where the writer stands.
pub(crate) struct State {
    /// Number of the next checkpoint.
    pub(crate) index: u64,
    /// Number of the last record.
    pub(crate) seq: u64,
    pub(crate) mac_key: Ratchet,
    pub(crate) sealer: Sealer,
    pub(crate) next_sealer: Sealer,
    /// Hash of the last record.
    pub(crate) head: [u8; 32],
    pub(crate) segment: u32,
    /// End of the last record in its segment, in bytes.
    pub(crate) offset: u64,
    /// When the last checkpoint was made, in nanoseconds since 1970.
    pub(crate) time: u64,
}

/// What can be read of the state without the seed; anybody may have written it.
pub(crate) fn claimed_seq(file: &[u8]) -> Option<u64> {
    slots(file).map(|slot| slot.seq).max()
}

struct Slot<'a> {
    index: u64,
    seq: u64,
    associated: &'a [u8],
    nonce: [u8; 24],
    sealed: &'a [u8],
    tag: [u8; 16],
}

fn slots(file: &[u8]) -> impl Iterator<Item = Slot<'_>> {
    file.chunks(SLOT_BYTES).take(2).filter_map(parse_slot)
}

fn parse_slot(bytes: &[u8]) -> Option<Slot<'_>> {
    let bytes = bytes.get(..SEALED_BYTES)?;
    let (associated, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (magic, fields) = associated.split_first_chunk::<4>()?;
    let (version, fields) = fields.split_first_chunk::<2>()?;
    let (index, fields) = fields.split_first_chunk::<8>()?;
    let seq = u64::from_le_bytes(fields.try_into().ok()?);
    let (nonce, rest) = rest.split_first_chunk::<24>()?;
    let (sealed, tag) = rest.split_last_chunk::<16>()?;
    let index = u64::from_le_bytes(*index);
    (*magic == MAGIC && u16::from_le_bytes(*version) == VERSION && index <= INDEX_MAX).then_some(Slot {
        index,
        seq,
        associated,
        nonce: *nonce,
        sealed,
        tag: *tag,
    })
}

/// The newest state that this seed opens, and the key of the state after it.
pub(crate) fn read(files: &dyn AuditFiles, seed: &AuditSeed) -> Result<(State, Ratchet), AuditError> {
    let file = files.read(STATE_FILE).map_err(|source| AuditError::Io { step: AuditStep::Read, source })?;
    let file = file.ok_or(AuditError::StateUnusable)?;
    let mut found: Vec<Slot<'_>> = slots(&file).collect();
    found.sort_by_key(|slot| slot.index);
    let mut key = seed.first_state_key()?;
    let mut at = 0;
    let mut newest = None;
    for slot in found {
        while at < slot.index {
            key = key.next()?;
            at += 1;
        }
        if let Some(state) = open(&slot, &key, seed.chain())? {
            newest = Some((state, key.next()?));
        }
    }
    newest.ok_or(AuditError::StateUnusable)
}

fn cipher(key: &Secret<32>) -> Result<XChaCha20Poly1305, AuditError> {
    XChaCha20Poly1305::new_from_slice(key.expose()).map_err(|_| AuditError::StateUnusable)
}

fn associated(head: &[u8], chain: [u8; 16]) -> Vec<u8> {
    [head, &chain].concat()
}

fn open(slot: &Slot<'_>, key: &Ratchet, chain: [u8; 16]) -> Result<Option<State>, AuditError> {
    let mut plain = SecretBytes::zeroed(slot.sealed.len())?;
    let Ok(buffer) = InOutBuf::new(slot.sealed, plain.expose_mut()) else { return Ok(None) };
    let bound_to = associated(slot.associated, chain);
    let opened = cipher(key.secret())?.decrypt_inout_detached(
        &XNonce::from(slot.nonce),
        &bound_to,
        buffer,
        &Tag::from(slot.tag),
    );
    secrets::scrub_stack();
    if opened.is_err() {
        return Ok(None);
    }
    let mut rest = plain.expose();
    let mut secret = || -> Result<Secret<32>, AuditError> {
        let (head, tail) = rest.split_at_checked(32).ok_or(AuditError::StateUnusable)?;
        rest = tail;
        Ok(Secret::from_bytes(SecretBytes::from_slice(head)?)?)
    };
    let (mac_key, sealer, next_sealer) = (secret()?, secret()?, secret()?);
    let (head, rest) = rest.split_first_chunk::<32>().ok_or(AuditError::StateUnusable)?;
    let (segment, rest) = rest.split_first_chunk::<4>().ok_or(AuditError::StateUnusable)?;
    let (offset, rest) = rest.split_first_chunk::<8>().ok_or(AuditError::StateUnusable)?;
    let (time, _) = rest.split_first_chunk::<8>().ok_or(AuditError::StateUnusable)?;
    Ok(Some(State {
        index: slot.index,
        seq: slot.seq,
        mac_key: Ratchet::from_secret(mac_key),
        sealer: Sealer::from_secret(sealer),
        next_sealer: Sealer::from_secret(next_sealer),
        head: *head,
        segment: u32::from_le_bytes(*segment),
        offset: u64::from_le_bytes(*offset),
        time: u64::from_le_bytes(*time),
    }))
}

/// The bytes of one slot.
pub(crate) fn seal(state: &Parts<'_>, key: &Ratchet, chain: [u8; 16]) -> Result<Vec<u8>, AuditError> {
    let mut plain = SecretBytes::zeroed(PLAIN_BYTES)?;
    let mut rest = plain.expose_mut();
    let (segment, offset, time) = (state.segment.to_le_bytes(), state.offset.to_le_bytes(), state.time.to_le_bytes());
    let fields: [&[u8]; 7] = [
        state.mac_key.expose(),
        state.sealer.expose(),
        state.next_sealer.expose(),
        &state.head,
        &segment,
        &offset,
        &time,
    ];
    for field in fields {
        let (head, tail) = rest.split_at_mut_checked(field.len()).ok_or(AuditError::Unwritable)?;
        head.copy_from_slice(field);
        rest = tail;
    }
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(&MAGIC);
    slot.extend_from_slice(&VERSION.to_le_bytes());
    slot.extend_from_slice(&state.index.to_le_bytes());
    slot.extend_from_slice(&state.seq.to_le_bytes());
    let bound_to = associated(&slot, chain);
    let mut nonce = [0; 24];
    secrets::fill_random(&mut nonce)?;
    let mut sealed = vec![0; PLAIN_BYTES];
    let buffer = InOutBuf::new(plain.expose(), &mut sealed).map_err(|_| AuditError::Unwritable)?;
    let tag = cipher(key.secret())?.encrypt_inout_detached(&XNonce::from(nonce), &bound_to, buffer);
    secrets::scrub_stack();
    slot.extend_from_slice(&nonce);
    slot.extend_from_slice(&sealed);
    slot.extend_from_slice(&tag.map_err(|_| AuditError::Unwritable)?);
    slot.resize(SLOT_BYTES, 0);
    Ok(slot)
}

/// What a state is made of, borrowed from the writer.
pub(crate) struct Parts<'a> {
    pub(crate) index: u64,
    pub(crate) seq: u64,
    pub(crate) mac_key: &'a Ratchet,
    pub(crate) sealer: &'a Sealer,
    pub(crate) next_sealer: &'a Sealer,
    pub(crate) head: [u8; 32],
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) time: u64,
}

/// Writes a state so that it lasts, then destroys the one before.
pub(crate) fn write(files: &mut dyn AuditFiles, index: u64, slot: &[u8]) -> Result<(), AuditError> {
    let failed = |source| AuditError::Io { step: AuditStep::State, source };
    let length = u64::try_from(SLOT_BYTES).unwrap_or(u64::MAX);
    let (own, other) = if index.is_multiple_of(2) { (0, length) } else { (length, 0) };
    files.write_at(STATE_FILE, own, slot).map_err(failed)?;
    files.sync(STATE_FILE).map_err(failed)?;
    // Best effort: what stays is overwritten by the state after the next.
    if files.write_at(STATE_FILE, other, &[0; SLOT_BYTES]).is_ok() {
        let _ = files.sync(STATE_FILE);
    }
    Ok(())
}
