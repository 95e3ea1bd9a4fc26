//! What can go wrong with a vault. Variants carry data; no variant carries a byte of a secret.

use std::{io, path::PathBuf};

use secrets::SecretError;

use crate::format::{RecordId, SlotKind};

/// Why a vault could not be made, opened, changed or saved.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no vault at this place: create one, or give the right directory.
    #[error("there is no vault at {path}")]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A vault, or something else, is already there; it is never overwritten.
    #[error("{path} exists already")]
    AlreadyExists {
        /// What exists.
        path: PathBuf,
    },
    /// The path has no file name, or one that is not UTF-8.
    #[error("{path} is not a usable file name")]
    BadPath {
        /// What was given.
        path: PathBuf,
    },
    /// The file or its directory is reachable by others, or is not what a vault must be.
    #[error("{path} is not safe to use: {refusal}")]
    UnsafeFile {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        refusal: FileRefusal,
    },
    /// The operating system refused a step.
    #[error("cannot {step}")]
    Io {
        /// Which step; says what state the file is in.
        step: VaultStep,
        /// What the system said; `StorageFull` means the disk is full.
        source: io::Error,
    },
    /// The file does not begin as a vault does.
    #[error("the file is not a vault")]
    NotAVault,
    /// A version of the format that this program does not know: use a newer program.
    #[error("vault format version {found} is not known, the newest known is {newest}")]
    UnsupportedVersion {
        /// Version in the file.
        found: u16,
        /// Newest version this program reads.
        newest: u16,
    },
    /// The structure of the file is broken: restore a kept generation.
    #[error("the vault file is malformed: {what}")]
    Malformed {
        /// Which rule of the format is broken.
        what: &'static str,
    },
    /// The file asks for a key derivation that is absurdly cheap or dear; it was not run.
    #[error("the vault asks for a key derivation with {bound} {found}, outside {least} to {most}")]
    KdfOutOfBounds {
        /// Which parameter.
        bound: KdfBound,
        /// Its value.
        found: u32,
        /// Smallest value accepted.
        least: u32,
        /// Largest value accepted.
        most: u32,
    },
    /// A new slot may not be cheaper than the floor.
    #[error("a key derivation with {bound} {found} is too cheap, the least is {least}")]
    KdfTooCheap {
        /// Which parameter.
        bound: KdfBound,
        /// Its value.
        found: u32,
        /// Smallest value for a new slot.
        least: u32,
    },
    /// The machine has not enough memory for the key derivation of this vault.
    #[error("no {memory_kib} KiB of memory for the key derivation")]
    KdfOutOfMemory {
        /// Memory that was asked for, in KiB.
        memory_kib: u32,
    },
    /// No slot of this vault is opened by a passphrase.
    #[error("the vault has no passphrase slot")]
    NoPassphraseSlot,
    /// The vault has no slot of this kind.
    #[error("the vault has no {kind} slot")]
    NoSlot {
        /// The kind.
        kind: SlotKind,
    },
    /// There is a slot of this kind already, or there is no room for one more.
    #[error("the vault has a {kind} slot already, or no room for one")]
    SlotTaken {
        /// The kind.
        kind: SlotKind,
    },
    /// A slot of this kind is not opened by a secret, or is the one that must stay.
    #[error("a {kind} slot cannot be used in this way")]
    WrongSlotKind {
        /// The kind.
        kind: SlotKind,
    },
    /// The secret of a machine or recovery slot must not be guessable.
    #[error("the secret of the slot has {bytes} bytes, at least {least} random bytes are needed")]
    SlotSecretTooShort {
        /// Its length, in bytes.
        bytes: usize,
        /// The least.
        least: usize,
    },
    /// The passphrase is wrong, or the slot is damaged; which of the two cannot be told.
    #[error("the passphrase does not open this vault, or the vault is damaged")]
    CannotUnlock,
    /// The passphrase is right, but a part of the file is not as it was written.
    #[error("the vault is damaged or was changed by somebody else: {part}")]
    Damaged {
        /// Which part.
        part: DamagedPart,
    },
    /// The vault is genuine but older than one that was seen before.
    #[error("the vault is generation {found}, but generation {seen} was seen before")]
    RolledBack {
        /// Generation of the file.
        found: u64,
        /// Highest generation the caller has seen.
        seen: u64,
    },
    /// The file is not the one that was opened: somebody else saved in between. Open it again.
    #[error("the vault file was changed since it was opened")]
    ChangedOnDisk,
    /// What was read back from the new file is not what was written; the old vault is untouched.
    #[error("the new vault file does not read back as it was written")]
    ReadBackDiffers,
    /// A new passphrase needs more characters.
    #[error("the passphrase has {characters} characters, at least {least} are needed")]
    PassphraseTooShort {
        /// Characters after normalisation.
        characters: usize,
        /// Smallest number accepted.
        least: usize,
    },
    /// No passphrase is that long; something else was given.
    #[error("the passphrase has more than {most_bytes} bytes")]
    PassphraseTooLong {
        /// Largest length after normalisation, in bytes.
        most_bytes: usize,
    },
    /// The passphrase is not UTF-8 text.
    #[error("the passphrase is not valid text")]
    PassphraseNotText,
    /// One record may not be larger than the format's bound.
    #[error("a record of {bytes} bytes is larger than {most} bytes")]
    RecordTooLarge {
        /// Size of the record, in bytes.
        bytes: usize,
        /// Largest size, in bytes.
        most: usize,
    },
    /// A vault may not hold more records.
    #[error("the vault is full: {most} records")]
    TooManyRecords {
        /// Largest number of records.
        most: usize,
    },
    /// The data key cannot be changed while a slot is present that only its owner can wrap again.
    #[error("the {kind} slot must be removed before the data key can be changed")]
    SlotBlocksRotation {
        /// Kind of that slot.
        kind: SlotKind,
    },
    /// The generation number is used up; this cannot happen in any lifetime.
    #[error("the vault has no further generation number")]
    GenerationsUsedUp,
    /// No memory for secrets, or no randomness.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// What makes a file or directory unsafe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileRefusal {
    /// Another user owns it.
    #[error("it belongs to user {owner}, not to user {expected}")]
    WrongOwner {
        /// User id of the owner.
        owner: u32,
        /// User id of this process.
        expected: u32,
    },
    /// Group or others may read or write it: `chmod 600`.
    #[error("its mode is {mode:04o}, it must be 0600")]
    OpenToOthers {
        /// Permission bits.
        mode: u32,
    },
    /// It is a link, a directory, a pipe or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// It has names elsewhere that the vault did not make.
    #[error("it has {links} names, of which {known} are known")]
    ExtraLinks {
        /// Number of hard links.
        links: u64,
        /// How many of them are the vault's own: the file, a kept generation, a temporary file.
        known: u64,
    },
    /// Group or others may write the directory, and so replace the vault: `chmod go-w`.
    #[error("the directory has mode {mode:04o} and can be written by others")]
    DirectoryWritable {
        /// Permission bits.
        mode: u32,
    },
    /// It is larger than any vault: something else lies there.
    #[error("it has {bytes} bytes, more than any vault")]
    TooLarge {
        /// Its size, in bytes.
        bytes: u64,
    },
}

/// A step in the handling of the file. Before [`Self::Replace`] has succeeded the old vault is in
/// place, afterwards the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultStep {
    /// Opening the directory.
    #[error("open the directory of the vault")]
    OpenDirectory,
    /// Looking at owner, mode and links.
    #[error("examine the vault file")]
    Examine,
    /// Reading the vault.
    #[error("read the vault file")]
    Read,
    /// Removing what an interrupted save has left.
    #[error("remove a left-over temporary file")]
    ClearTemporary,
    /// Writing the new vault beside the old one.
    #[error("write the new vault file")]
    Write,
    /// Reading the new vault back.
    #[error("read the new vault file back")]
    ReadBack,
    /// Keeping the old vault under its generation's name.
    #[error("keep the old vault file")]
    KeepOld,
    /// Putting the new vault in its place.
    #[error("put the new vault file in its place")]
    Replace,
    /// Making the change last: the new vault is in place, but a loss of power may undo it.
    #[error("make the new vault file durable")]
    SyncDirectory,
    /// Removing kept generations.
    #[error("remove kept generations of the vault")]
    RemoveOld,
}

/// A part of a vault whose authenticity is checked on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamagedPart {
    /// The header: generation, slots or record index.
    #[error("its header")]
    Header,
    /// One record.
    #[error("record {0}")]
    Record(RecordId),
}

/// A parameter of the key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KdfBound {
    /// Memory, in KiB.
    #[error("memory in KiB of")]
    MemoryKib,
    /// Passes over the memory.
    #[error("a number of passes of")]
    Passes,
    /// Lanes.
    #[error("a number of lanes of")]
    Lanes,
}
