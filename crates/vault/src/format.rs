//! The vault file, byte by byte. Numbers are little-endian; there is no padding.
//!
//! ```text
//! magic "SFVAULT\0" (8) | version u16 = 1 | header_len u32 | header | header_mac (32) | record*
//!
//! header : vault_id (16) | generation u64 | created u64, unix seconds
//!        | slot_count u8  | slot*
//!        | record_count u16 | (record_id (16) | len u32)*       ids ascending
//! slot   : kind u8 {1 passphrase, 2 machine, 3 recovery, 4 transit} | body_len u16 | body
//! body of a passphrase slot, 101 bytes:
//!          algorithm u8 {1 Argon2id 1.3} | memory_kib u32 | passes u32 | lanes u32 | salt (16)
//!        | nonce (24) | wrapped_dek (48)
//! body of a machine or recovery slot, 89 bytes:
//!          algorithm u8 {1 HKDF-SHA256 of a random secret} | salt (16) | nonce (24) | wrapped_dek (48)
//! record : nonce (24) | len u32 | ciphertext (len, the last 16 bytes are the tag); order of the index
//!
//! kek         = Argon2id(NFKC(passphrase), salt, memory, passes, lanes), 32 bytes
//! wrapped_dek = XChaCha20-Poly1305(kek, nonce, dek, aad = "dek" | version | vault_id | kind | algorithm .. salt)
//!               in a machine or recovery slot: kek = HKDF-SHA256(secret, no salt, "slot" | kind | vault_id | salt),
//!               and algorithm .. salt are those 17 bytes
//! header_mac  = HMAC-SHA256(HKDF-SHA256(dek, no salt, "header"), magic .. header)
//! ciphertext  = XChaCha20-Poly1305(HKDF-SHA256(dek, no salt, "rec" | record_id), nonce, record,
//!                                  aad = version | vault_id | generation | record_id | SHA-256(header))
//! ```
//! The body of a transit slot belongs to whoever makes it; it is carried along unchanged. A reader refuses everything that it does not know, and every byte too many.

use std::fmt;

use crate::{KdfParams, VaultError};

/// First bytes of every vault file.
pub const MAGIC: [u8; 8] = *b"SFVAULT\0";
/// The version that is written, and the newest that is read.
pub const VERSION: u16 = 1;
/// Most slots in one vault.
pub const SLOTS_MAX: usize = 8;
/// Most records in one vault: far more keys than accounts.
pub const RECORDS_MAX: usize = 512;
/// Largest record before encryption, in bytes: room for a policy with many instruments.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Largest vault file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Length of the tag of one record, in bytes.
pub(crate) const TAG_BYTES: usize = 16;
const HEADER_BYTES_MAX: usize = 64 * 1024;
const PASSPHRASE_BODY_BYTES: usize = 101;
const ALGORITHM_ARGON2ID: u8 = 1;

pub(crate) type Salt = [u8; 16];
pub(crate) type Nonce = [u8; 24];

/// Names one record; random, not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// A new id that no other record has.
    ///
    /// # Errors
    /// [`VaultError::Secret`] if the operating system gives no random bytes.
    pub fn random() -> Result<Self, VaultError> {
        let mut id = [0; 16];
        secrets::fill_random(&mut id)?;
        Ok(Self(id))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecordId({self})")
    }
}

/// What opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// A passphrase that a person knows.
    Passphrase,
    /// A credential that is bound to the machine.
    Machine,
    /// A key kept elsewhere for the day the passphrase is lost.
    Recovery,
    /// A service that unwraps the data key.
    Transit,
}

impl SlotKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::Machine => 2,
            Self::Recovery => 3,
            Self::Transit => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Passphrase),
            2 => Some(Self::Machine),
            3 => Some(Self::Recovery),
            4 => Some(Self::Transit),
            _ => None,
        }
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::Machine => "machine",
            Self::Recovery => "recovery",
            Self::Transit => "transit",
        })
    }
}

/// One way to the data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    Passphrase(PassphraseSlot),
    /// Carried along unchanged.
    Other {
        kind: SlotKind,
        body: Vec<u8>,
    },
}

impl Slot {
    pub(crate) const fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::Other { kind, .. } => *kind,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassphraseSlot {
    pub(crate) params: KdfParams,
    pub(crate) salt: Salt,
    pub(crate) nonce: Nonce,
    pub(crate) wrapped: [u8; 48],
}

impl PassphraseSlot {
    /// What the wrapped key is bound to; see the module's description.
    pub(crate) fn associated_data(vault_id: &[u8; 16], params: KdfParams, salt: &Salt) -> Vec<u8> {
        let mut data = b"dek".to_vec();
        data.extend_from_slice(&VERSION.to_le_bytes());
        data.extend_from_slice(vault_id);
        data.push(SlotKind::Passphrase.code());
        put_kdf(&mut data, params, salt);
        data
    }
}

/// A slot that a random secret of at least [`SECRET_BYTES_MIN`] bytes opens, without a costly derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretSlot {
    pub(crate) salt: Salt,
    pub(crate) nonce: Nonce,
    pub(crate) wrapped: [u8; 48],
}

/// Fewest bytes of the secret of a machine or recovery slot.
pub const SECRET_BYTES_MIN: usize = 32;
const ALGORITHM_HKDF: u8 = 1;

impl SecretSlot {
    pub(crate) fn associated_data(vault_id: &[u8; 16], kind: SlotKind, salt: &Salt) -> Vec<u8> {
        let mut data = b"dek".to_vec();
        data.extend_from_slice(&VERSION.to_le_bytes());
        data.extend_from_slice(vault_id);
        data.push(kind.code());
        data.push(ALGORITHM_HKDF);
        data.extend_from_slice(salt);
        data
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        [&[ALGORITHM_HKDF][..], &self.salt, &self.nonce, &self.wrapped].concat()
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, VaultError> {
        let mut input = Reader { rest: body, what: "a machine or recovery slot is cut short" };
        let [algorithm] = input.array()?;
        if algorithm != ALGORITHM_HKDF {
            return Err(VaultError::Malformed { what: "a machine or recovery slot of unknown kind" });
        }
        let slot = Self { salt: input.array()?, nonce: input.array()?, wrapped: input.array()? };
        input.finish("bytes are left over in a machine or recovery slot")?;
        Ok(slot)
    }
}

fn put_kdf(out: &mut Vec<u8>, params: KdfParams, salt: &Salt) {
    out.push(ALGORITHM_ARGON2ID);
    out.extend_from_slice(&params.memory_kib.to_le_bytes());
    out.extend_from_slice(&params.passes.to_le_bytes());
    out.extend_from_slice(&params.lanes.to_le_bytes());
    out.extend_from_slice(salt);
}

/// Everything in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) vault_id: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) created: u64,
    pub(crate) slots: Vec<Slot>,
    /// Id and length of the ciphertext of each record, ids ascending.
    pub(crate) index: Vec<(RecordId, u32)>,
}

impl Header {
    /// The header alone, without what precedes it in the file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, VaultError> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&self.vault_id);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.push(u8::try_from(self.slots.len()).map_err(|_| VaultError::Malformed { what: "too many slots" })?);
        for slot in &self.slots {
            out.push(slot.kind().code());
            let body = match slot {
                Slot::Passphrase(slot) => {
                    let mut body = Vec::with_capacity(PASSPHRASE_BODY_BYTES);
                    put_kdf(&mut body, slot.params, &slot.salt);
                    body.extend_from_slice(&slot.nonce);
                    body.extend_from_slice(&slot.wrapped);
                    body
                }
                Slot::Other { body, .. } => body.clone(),
            };
            let len = u16::try_from(body.len()).map_err(|_| VaultError::Malformed { what: "a slot is too long" })?;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&body);
        }
        let count = u16::try_from(self.index.len()).map_err(|_| VaultError::TooManyRecords { most: RECORDS_MAX })?;
        out.extend_from_slice(&count.to_le_bytes());
        for (id, len) in &self.index {
            out.extend_from_slice(&id.0);
            out.extend_from_slice(&len.to_le_bytes());
        }
        Ok(out)
    }

    /// Strict: everything unknown, out of bounds, doubled or left over is an error.
    fn parse(bytes: &[u8]) -> Result<Self, VaultError> {
        let mut input = Reader { rest: bytes, what: "the header is cut short" };
        let vault_id = input.array()?;
        let generation = u64::from_le_bytes(input.array()?);
        if generation == 0 {
            return Err(VaultError::Malformed { what: "generation zero" });
        }
        let created = u64::from_le_bytes(input.array()?);
        let slots = Self::parse_slots(&mut input)?;
        let count = usize::from(u16::from_le_bytes(input.array()?));
        if count > RECORDS_MAX {
            return Err(VaultError::Malformed { what: "too many records" });
        }
        let mut index: Vec<(RecordId, u32)> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = RecordId(input.array()?);
            let len = u32::from_le_bytes(input.array()?);
            if index.last().is_some_and(|(last, _)| *last >= id) {
                return Err(VaultError::Malformed { what: "record ids do not ascend" });
            }
            let ciphertext = usize::try_from(len).unwrap_or(usize::MAX);
            if !(TAG_BYTES..=RECORD_BYTES_MAX + TAG_BYTES).contains(&ciphertext) {
                return Err(VaultError::Malformed { what: "the length of a record is out of bounds" });
            }
            index.push((id, len));
        }
        input.finish("bytes are left over in the header")?;
        Ok(Self { vault_id, generation, created, slots, index })
    }

    fn parse_slots(input: &mut Reader<'_>) -> Result<Vec<Slot>, VaultError> {
        let [count] = input.array()?;
        if usize::from(count) > SLOTS_MAX || count == 0 {
            return Err(VaultError::Malformed { what: "the number of slots is out of bounds" });
        }
        let mut slots = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let [code] = input.array()?;
            let len = usize::from(u16::from_le_bytes(input.array()?));
            let body = input.take(len)?;
            let kind = SlotKind::from_code(code).ok_or(VaultError::Malformed { what: "a slot of unknown kind" })?;
            let slot = match kind {
                SlotKind::Passphrase => Slot::Passphrase(parse_passphrase_slot(body)?),
                SlotKind::Machine | SlotKind::Recovery | SlotKind::Transit => Slot::Other { kind, body: body.to_vec() },
            };
            let doubled = |other: &Slot| other.kind() == SlotKind::Passphrase;
            if kind == SlotKind::Passphrase && slots.iter().any(doubled) {
                return Err(VaultError::Malformed { what: "more than one passphrase slot" });
            }
            slots.push(slot);
        }
        Ok(slots)
    }
}

fn parse_passphrase_slot(body: &[u8]) -> Result<PassphraseSlot, VaultError> {
    let mut input = Reader { rest: body, what: "a passphrase slot is cut short" };
    let [algorithm] = input.array()?;
    if algorithm != ALGORITHM_ARGON2ID {
        return Err(VaultError::Malformed { what: "a key derivation of unknown kind" });
    }
    let params = KdfParams {
        memory_kib: u32::from_le_bytes(input.array()?),
        passes: u32::from_le_bytes(input.array()?),
        lanes: u32::from_le_bytes(input.array()?),
    };
    params.check_bounds()?;
    let slot = PassphraseSlot { params, salt: input.array()?, nonce: input.array()?, wrapped: input.array()? };
    input.finish("bytes are left over in a passphrase slot")?;
    Ok(slot)
}

/// The bytes that the header's MAC covers: everything up to the end of the header.
pub(crate) fn with_preamble(header: &[u8]) -> Result<Vec<u8>, VaultError> {
    let len = u32::try_from(header.len())
        .ok()
        .filter(|_| header.len() <= HEADER_BYTES_MAX)
        .ok_or(VaultError::Malformed { what: "the header is too long" })?;
    let mut out = Vec::with_capacity(header.len() + 14);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(header);
    Ok(out)
}

/// A file taken apart, nothing of it authenticated yet.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) header: Header,
    /// From the magic to the end of the header.
    pub(crate) covered: &'a [u8],
    pub(crate) header_bytes: &'a [u8],
    pub(crate) mac: [u8; 32],
    pub(crate) records: Vec<SealedRecord<'a>>,
}

#[derive(Debug)]
pub(crate) struct SealedRecord<'a> {
    pub(crate) id: RecordId,
    pub(crate) nonce: Nonce,
    pub(crate) ciphertext: &'a [u8],
}

/// Takes a whole file apart. Costs nothing: no key derivation, no allocation that the file can inflate.
pub(crate) fn parse(file: &[u8]) -> Result<Parsed<'_>, VaultError> {
    if file.len() > FILE_BYTES_MAX {
        return Err(VaultError::Malformed { what: "the file is too long" });
    }
    let mut input = Reader { rest: file, what: "the file is cut short" };
    if file.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(VaultError::NotAVault);
    }
    input.take(MAGIC.len())?;
    let version = u16::from_le_bytes(input.array()?);
    if version != VERSION {
        return Err(VaultError::UnsupportedVersion { found: version, newest: VERSION });
    }
    let header_len = usize::try_from(u32::from_le_bytes(input.array()?)).unwrap_or(usize::MAX);
    if header_len > HEADER_BYTES_MAX {
        return Err(VaultError::Malformed { what: "the header is too long" });
    }
    let header_bytes = input.take(header_len)?;
    let covered = file.get(..file.len().saturating_sub(input.rest.len())).unwrap_or_default();
    let header = Header::parse(header_bytes)?;
    let mac = input.array()?;
    let mut records = Vec::with_capacity(header.index.len());
    for (id, expected) in &header.index {
        let nonce = input.array()?;
        let len = u32::from_le_bytes(input.array()?);
        if len != *expected {
            return Err(VaultError::Malformed { what: "the length of a record differs from the index" });
        }
        let ciphertext = input.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        records.push(SealedRecord { id: *id, nonce, ciphertext });
    }
    input.finish("bytes are left over after the last record")?;
    Ok(Parsed { header, covered, header_bytes, mac, records })
}

/// Takes a file apart and puts its header together again: the header's bytes, and the same written anew. For programs
/// that throw bytes at it; nothing is authenticated and no secret is near.
///
/// # Errors
/// As opening such a file.
#[doc(hidden)]
pub fn header_again(file: &[u8]) -> Result<(Vec<u8>, Vec<u8>), VaultError> {
    let parsed = parse(file)?;
    Ok((parsed.header_bytes.to_vec(), parsed.header.encode()?))
}

/// Reads from the front of a byte string; what is missing is an error, never a panic.
struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], VaultError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(VaultError::Malformed { what: self.what })?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], VaultError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(VaultError::Malformed { what: self.what })?;
        self.rest = tail;
        Ok(*head)
    }

    fn finish(&self, what: &'static str) -> Result<(), VaultError> {
        if self.rest.is_empty() { Ok(()) } else { Err(VaultError::Malformed { what }) }
    }
}
