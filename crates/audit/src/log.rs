//! The writer: appends records, seals them, goes on after a restart or a failing disk.

use crate::entry::tame;
use crate::format::{self, Checkpoint, Record, digest, segment_name, segment_number};
use crate::keys::{Ratchet, Salt, Sealer};
use crate::state::{self, STATE_FILE};
use crate::walk::{Step, Walk, lines};
use crate::{
    ANCHOR_FILE, AuditEntry, AuditError, AuditFiles, AuditSeed, AuditStep, AuditVerb, BadRecord, Decision, DiskFiles,
    Name, PublicKey, Wrong,
};
use domain::UnixNanos;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Bounds of a log.
#[derive(Debug, Clone, Copy)]
pub struct AuditBounds {
    /// Records after which a checkpoint is made.
    pub records_per_checkpoint: u64,
    /// Time after which a checkpoint is made, if there are records that none seals.
    pub checkpoint_every: Duration,
    /// Size at which a segment is closed, in bytes.
    pub segment_bytes: u64,
    /// Records that may wait for one sync.
    pub group_max: usize,
}

impl Default for AuditBounds {
    fn default() -> Self {
        Self {
            records_per_checkpoint: 1_000,
            checkpoint_every: Duration::from_secs(600),
            segment_bytes: 8 * 1024 * 1024,
            group_max: 64,
        }
    }
}

/// A log that is open for writing. One writer at a time: the caller holds the lock of the directory.
pub struct AuditLog {
    files: Box<dyn AuditFiles>,
    bounds: AuditBounds,
    boot: String,
    chain: [u8; 16],
    salt: Salt,
    seq: u64,
    head: [u8; 32],
    mac_key: Ratchet,
    sealer: Sealer,
    next_sealer: Sealer,
    /// Number of the next checkpoint.
    index: u64,
    /// Seals the next state.
    state_key: Ratchet,
    /// The state on disk is of an earlier checkpoint than the log.
    state_due: bool,
    segment: u32,
    /// What lasts of the segment, in bytes.
    durable: u64,
    /// What was written after it and may not last yet.
    pending: Vec<u8>,
    pending_records: usize,
    /// The segment may hold more than `durable` and `pending` say.
    dirty_end: bool,
    unsealed: u64,
    sealed_at: u64,
}

impl AuditLog {
    /// Makes a log in a directory that holds none, and the seed of it, which the caller keeps in the vault.
    /// `boot` names the boot of the machine; `now` is the time.
    ///
    /// # Errors
    /// [`AuditError::AlreadyThere`], or a failed step: the directory is then to be moved away before another try.
    pub fn create(
        dir: &Path,
        boot: &str,
        now: UnixNanos,
        bounds: AuditBounds,
    ) -> Result<(Self, AuditSeed), AuditError> {
        let files = DiskFiles::open(dir);
        let files = files.map_err(|source| AuditError::Io { step: AuditStep::OpenDirectory, source })?;
        Self::create_in(Box::new(files), boot, now, bounds)
    }

    /// As [`Self::create`], in a directory given by `files`.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_in(
        mut files: Box<dyn AuditFiles>,
        boot: &str,
        now: UnixNanos,
        bounds: AuditBounds,
    ) -> Result<(Self, AuditSeed), AuditError> {
        let names = files.names().map_err(|source| AuditError::Io { step: AuditStep::Read, source })?;
        if names.iter().any(|name| segment_number(name).is_some() || name == STATE_FILE || name == ANCHOR_FILE) {
            return Err(AuditError::AlreadyThere);
        }
        let made = |source| AuditError::Io { step: AuditStep::Create, source };
        let sealer = Sealer::fresh()?;
        let anchor = sealer.public()?;
        let seed = AuditSeed::new(anchor)?;
        files.create(ANCHOR_FILE).map_err(made)?;
        files.write_at(ANCHOR_FILE, 0, format!("{}\n", anchor.to_hex()).as_bytes()).map_err(made)?;
        files.sync(ANCHOR_FILE).map_err(made)?;
        files.create(&segment_name(1)).map_err(made)?;
        files.create(STATE_FILE).map_err(made)?;
        let mut log = Self {
            files,
            bounds,
            boot: tame(boot),
            chain: seed.chain(),
            salt: seed.salt()?,
            seq: 0,
            head: [0; 32],
            mac_key: seed.first_mac_key()?,
            sealer,
            next_sealer: Sealer::fresh()?,
            index: 0,
            // The first state that is written is that of checkpoint 1.
            state_key: seed.first_state_key()?.next()?,
            state_due: false,
            segment: 1,
            durable: 0,
            pending: Vec::new(),
            pending_records: 0,
            dirty_end: false,
            unsealed: 0,
            sealed_at: now.0,
        };
        log.seal(now)?;
        log.write_state()?;
        Ok((log, seed))
    }

    /// Opens a log where it ended. What came after the last seal is checked line by line; a damaged end is set
    /// aside in a file of its own and said in the log.
    ///
    /// # Errors
    /// [`AuditError::StateUnusable`]; [`AuditError::Broken`] for damage before the last seal; or a failed step.
    pub fn open(
        dir: &Path,
        seed: &AuditSeed,
        boot: &str,
        now: UnixNanos,
        bounds: AuditBounds,
    ) -> Result<Self, AuditError> {
        let files = DiskFiles::open_existing(dir);
        let files = files.map_err(|source| AuditError::Io { step: AuditStep::OpenDirectory, source })?;
        Self::open_in(Box::new(files), seed, boot, now, bounds)
    }

    /// As [`Self::open`], in a directory given by `files`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(
        files: Box<dyn AuditFiles>,
        seed: &AuditSeed,
        boot: &str,
        now: UnixNanos,
        bounds: AuditBounds,
    ) -> Result<Self, AuditError> {
        let (state, state_key) = state::read(files.as_ref(), seed)?;
        let walk = Walk {
            seq: state.seq,
            head: state.head,
            mac_key: None,
            checkpoint: state.index,
            key: state.sealer.public()?,
            chain: Some(seed.chain()),
            sealed: state.seq,
        };
        let mut log = Self {
            files,
            bounds,
            boot: tame(boot),
            chain: seed.chain(),
            salt: seed.salt()?,
            seq: state.seq,
            head: state.head,
            mac_key: state.mac_key,
            sealer: state.sealer,
            next_sealer: state.next_sealer,
            index: state.index,
            state_key,
            state_due: false,
            segment: state.segment,
            durable: state.offset,
            pending: Vec::new(),
            pending_records: 0,
            dirty_end: false,
            unsealed: 0,
            sealed_at: state.time,
        };
        let damaged = log.catch_up(walk)?;
        if let Some((bytes, bad)) = damaged {
            let entry = AuditEntry::by_system(AuditVerb::LogRepaired, Decision::Done)
                .about(Name::clear(format!("{} bytes from record {} on", bytes, bad.seq)))
                .because(bad.wrong.to_string());
            log.append_durably(&entry, now)?;
        }
        log.checkpoint(now)?;
        Ok(log)
    }

    /// Number of the last record.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Appends a record and returns its number. When the verb raises risk the record lasts when this returns;
    /// otherwise it lasts after the next sync, which comes with the next such record or [`Self::tick`].
    ///
    /// # Errors
    /// [`AuditError`]: nothing was recorded; see [`crate::fail_closed`]. The next call tries to mend what is wrong.
    pub fn append(&mut self, entry: &AuditEntry, now: UnixNanos) -> Result<u64, AuditError> {
        let durably = entry.verb.raises_risk();
        let seq = self.write_record(entry, now, durably)?;
        if self.unsealed >= self.bounds.records_per_checkpoint {
            // The record stands; a seal that does not come about now is tried again by the next tick.
            let _ = self.checkpoint(now);
        }
        Ok(seq)
    }

    /// As [`Self::append`], durable whatever the verb is.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_durably(&mut self, entry: &AuditEntry, now: UnixNanos) -> Result<u64, AuditError> {
        self.write_record(entry, now, true)
    }

    /// Syncs what waits and makes a checkpoint when one is due. Call it about once a second.
    ///
    /// # Errors
    /// A failed step; the next call tries again.
    pub fn tick(&mut self, now: UnixNanos) -> Result<(), AuditError> {
        if self.dirty_end || self.pending_records > 0 {
            self.flush()?;
        }
        let due = u64::try_from(self.bounds.checkpoint_every.as_nanos()).unwrap_or(u64::MAX);
        if self.unsealed >= self.bounds.records_per_checkpoint || now.0.saturating_sub(self.sealed_at) >= due {
            self.checkpoint(now)?;
        }
        Ok(())
    }

    /// Seals everything before it, if there is anything that is not sealed. Returns the checkpoint's own number.
    ///
    /// # Errors
    /// A failed step; the next call tries again.
    pub fn checkpoint(&mut self, now: UnixNanos) -> Result<Option<u64>, AuditError> {
        if self.state_due {
            if self.dirty_end || self.pending_records > 0 {
                self.flush()?;
            }
            self.write_state()?;
        }
        if self.unsealed == 0 {
            return Ok(None);
        }
        let seq = self.seal(now)?;
        self.write_state()?;
        Ok(Some(seq))
    }

    fn write_record(&mut self, entry: &AuditEntry, now: UnixNanos, durably: bool) -> Result<u64, AuditError> {
        let name = |name: &Name| match name {
            Name::Clear(text) => tame(text),
            Name::Hidden(text) => self.salt.hide(text),
        };
        let record = Record {
            seq: self.seq.saturating_add(1),
            time: now.0,
            boot: self.boot.clone(),
            actor: name(&entry.actor),
            source: name(&entry.source),
            verb: entry.verb.as_str().to_owned(),
            target: name(&entry.target),
            decision: entry.decision.as_str().to_owned(),
            reason: tame(&entry.reason),
            request: entry.request.map(hex::encode),
            prev: hex::encode(self.head),
        };
        let body = format::body(&record)?;
        let mac = self.mac_key.mac(body.as_bytes())?;
        self.put(&format::closed(format::with_mac(body, &mac)), durably)?;
        self.unsealed = self.unsealed.saturating_add(1);
        Ok(self.seq)
    }

    /// Writes a checkpoint. The key that comes after the next one is made before anything is written.
    fn seal(&mut self, now: UnixNanos) -> Result<u64, AuditError> {
        let fresh = Sealer::fresh()?;
        let checkpoint = Checkpoint {
            seq: self.seq.saturating_add(1),
            time: now.0,
            boot: self.boot.clone(),
            checkpoint: self.index,
            chain: hex::encode(self.chain),
            key: self.sealer.public()?.to_hex(),
            next_key: self.next_sealer.public()?.to_hex(),
            prev: hex::encode(self.head),
        };
        let body = format::body(&checkpoint)?;
        let mac = self.mac_key.mac(body.as_bytes())?;
        let text = format::with_mac(body, &mac);
        let signature = self.sealer.sign(&format::signed_part(&text))?;
        self.put(&format::with_signature(text, &signature), true)?;
        self.sealer = std::mem::replace(&mut self.next_sealer, fresh);
        self.index = self.index.saturating_add(1);
        self.unsealed = 0;
        self.sealed_at = now.0;
        self.state_due = true;
        Ok(self.seq)
    }

    /// Writes one line; in force in memory only when it is written, and synced if asked for.
    fn put(&mut self, line: &str, durably: bool) -> Result<(), AuditError> {
        let next_key = self.mac_key.next()?;
        if self.dirty_end {
            self.flush()?;
        }
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(b'\n');
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut at = self.durable.saturating_add(length(&self.pending));
        if at > 0 && at.saturating_add(length(&bytes)) > self.bounds.segment_bytes {
            self.rotate()?;
            at = 0;
        }
        let name = segment_name(self.segment);
        let written = self.files.write_at(&name, at, &bytes);
        written.map_err(|source| {
            self.dirty_end = true;
            AuditError::Io { step: AuditStep::Write, source }
        })?;
        if durably || self.pending_records.saturating_add(1) >= self.bounds.group_max {
            self.files.sync(&name).map_err(|source| {
                self.dirty_end = true;
                AuditError::Io { step: AuditStep::Sync, source }
            })?;
            self.durable = at.saturating_add(length(&bytes));
            self.pending.clear();
            self.pending_records = 0;
        } else {
            self.pending.extend_from_slice(&bytes);
            self.pending_records = self.pending_records.saturating_add(1);
        }
        self.seq = self.seq.saturating_add(1);
        self.head = digest(line.as_bytes());
        self.mac_key = next_key;
        Ok(())
    }

    /// Makes everything that was appended last, after removing what a failed write may have left.
    fn flush(&mut self) -> Result<(), AuditError> {
        let name = segment_name(self.segment);
        let repair = |source| AuditError::Io { step: AuditStep::Repair, source };
        let end = self.durable.saturating_add(u64::try_from(self.pending.len()).unwrap_or(u64::MAX));
        if self.dirty_end {
            // A failed sync may have lost any of these pages: they are written again, over themselves.
            self.files.write_at(&name, self.durable, &self.pending).map_err(repair)?;
            self.files.truncate(&name, end).map_err(repair)?;
        }
        self.files.sync(&name).map_err(|source| {
            self.dirty_end = true;
            AuditError::Io { step: AuditStep::Sync, source }
        })?;
        self.durable = end;
        self.pending.clear();
        self.pending_records = 0;
        self.dirty_end = false;
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), AuditError> {
        if self.pending_records > 0 {
            self.flush()?;
        }
        let next = self.segment.saturating_add(1);
        let name = segment_name(next);
        match self.files.create(&name) {
            Ok(()) => {}
            // An earlier try came this far; nothing but an empty file is taken over.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found =
                    self.files.read(&name).map_err(|source| AuditError::Io { step: AuditStep::Read, source })?;
                if found.is_some_and(|bytes| !bytes.is_empty()) {
                    return Err(AuditError::Io { step: AuditStep::Create, source: error });
                }
            }
            Err(source) => return Err(AuditError::Io { step: AuditStep::Create, source }),
        }
        self.segment = next;
        self.durable = 0;
        Ok(())
    }

    fn write_state(&mut self) -> Result<(), AuditError> {
        let parts = state::Parts {
            index: self.index,
            seq: self.seq,
            mac_key: &self.mac_key,
            sealer: &self.sealer,
            next_sealer: &self.next_sealer,
            head: self.head,
            segment: self.segment,
            offset: self.durable,
            time: self.sealed_at,
        };
        let slot = state::seal(&parts, &self.state_key, self.chain)?;
        let next = self.state_key.next()?;
        state::write(self.files.as_mut(), self.index, &slot)?;
        self.state_key = next;
        self.state_due = false;
        Ok(())
    }

    /// Follows the lines after the state. Returns how many bytes of a damaged end were set aside, and why.
    fn catch_up(&mut self, mut walk: Walk) -> Result<Option<(u64, BadRecord)>, AuditError> {
        let read = |source| AuditError::Io { step: AuditStep::Read, source };
        let missing = |seq| AuditError::Broken(BadRecord { seq, wrong: Wrong::CutOff { seen: seq } });
        let names = self.files.names().map_err(read)?;
        let last = names.iter().filter_map(|name| segment_number(name)).max().unwrap_or(0);
        let begin = usize::try_from(self.durable).unwrap_or(usize::MAX);
        let first = self.files.read(&segment_name(self.segment)).map_err(read)?.ok_or_else(|| missing(self.seq))?;
        let sealed = first.get(..begin).ok_or_else(|| missing(self.seq))?;
        let sealed = sealed.strip_suffix(b"\n").unwrap_or(sealed);
        let line = sealed.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        if digest(line) != self.head {
            return Err(AuditError::Broken(BadRecord { seq: self.seq, wrong: Wrong::Altered }));
        }
        walk.mac_key = Some(Ratchet::from_secret(self.mac_key.secret().duplicate()?));
        let mut segment = first;
        let mut from = begin;
        loop {
            let length = u64::try_from(segment.len()).unwrap_or(u64::MAX);
            for (at, raw, whole) in lines(&segment, from) {
                let step = if whole {
                    walk.step(raw)?
                } else {
                    Err(BadRecord { seq: walk.seq.saturating_add(1), wrong: Wrong::Malformed })
                };
                match step {
                    Ok(Step::Record) => self.unsealed = self.unsealed.saturating_add(1),
                    Ok(Step::Checkpoint { time }) => self.pass_checkpoint(&walk, time)?,
                    Err(bad) if self.segment < last => return Err(AuditError::Broken(bad)),
                    Err(bad) => {
                        self.take_over(walk)?;
                        self.set_aside(&segment, at)?;
                        self.durable = u64::try_from(at).unwrap_or(u64::MAX);
                        return Ok(Some((length.saturating_sub(self.durable), bad)));
                    }
                }
            }
            self.durable = length;
            if self.segment >= last {
                return self.take_over(walk).map(|()| None);
            }
            self.segment = self.segment.saturating_add(1);
            let next = self.files.read(&segment_name(self.segment)).map_err(read)?;
            segment = next.ok_or_else(|| missing(walk.seq.saturating_add(1)))?;
            from = 0;
        }
    }

    fn take_over(&mut self, walk: Walk) -> Result<(), AuditError> {
        self.seq = walk.seq;
        self.head = walk.head;
        self.mac_key = walk.mac_key.ok_or(AuditError::StateUnusable)?;
        Ok(())
    }

    /// A checkpoint that was written when the state was not: only the next one's key is known.
    fn pass_checkpoint(&mut self, walk: &Walk, time: u64) -> Result<(), AuditError> {
        if self.state_due || walk.key != self.next_sealer.public()? {
            return Err(AuditError::Broken(BadRecord { seq: walk.seq, wrong: Wrong::Altered }));
        }
        self.sealer = std::mem::replace(&mut self.next_sealer, Sealer::fresh()?);
        self.index = self.index.saturating_add(1);
        self.unsealed = 0;
        self.sealed_at = time;
        self.state_due = true;
        Ok(())
    }

    /// Keeps a damaged end as it was found and cuts it off the log.
    fn set_aside(&mut self, segment: &[u8], at: usize) -> Result<(), AuditError> {
        let repair = |source| AuditError::Io { step: AuditStep::Repair, source };
        let damaged = segment.get(at..).unwrap_or_default();
        let hash = hex::encode(digest(damaged));
        let (short, _) = hash.split_at_checked(16).unwrap_or((&hash, ""));
        let name = format!("damaged-{:06}-{at}-{short}", self.segment);
        match self.files.create(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(repair(source)),
        }
        self.files.write_at(&name, 0, damaged).map_err(repair)?;
        self.files.sync(&name).map_err(repair)?;
        let own = segment_name(self.segment);
        self.files.truncate(&own, u64::try_from(at).unwrap_or(u64::MAX)).map_err(repair)?;
        self.files.sync(&own).map_err(repair)
    }

    /// The key that the next checkpoint will be signed with; for whoever wants to watch the log from outside.
    ///
    /// # Errors
    /// No memory for the key.
    pub fn next_key(&self) -> Result<PublicKey, AuditError> {
        self.sealer.public()
    }
}
