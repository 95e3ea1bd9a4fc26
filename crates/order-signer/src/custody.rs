//! The keys of one custody directory: linked, shown, moved through their life, loaded into signers, wiped.
//!
//! Invariants: every change is saved before it is reported; a state changes only along
//! [`allowed_transition`]; of each account and role at most one key is Active; a revoked key's secrets
//! are gone from the vault and its kept generations before the revocation is confirmed.

use crate::bounds::{BoundKey, Bounds, SignatureRecords};
use crate::guard::Identity;
use crate::inline::{CancelOnlySigner, InlineSigner, LoadedKey};
use crate::record::{KeyRecord, KeySecrets, KeyStep, RecordError, is_step_up, read_info, read_secrets, write_record};
use crate::sealing::SealError;
use domain::{Clock, UnixNanos};
use fail_point::{FailPoint, pass};
use messages::{AccountMode, KeyAlias, KeyDuty, KeyInfo, KeyRole, KeyState, SignRefusal};
use secrets::SecretBytes;
use sign_policy::{PolicyDocument, PolicyError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::{KdfParams, Passphrase, RecordId, SlotKind, Vault, VaultError};
use venue_api::SigningCodec;

/// What a user says of a key when linking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The name to give it.
    pub alias: KeyAlias,
    /// Kind of venue, such as `bitget`.
    pub venue: String,
    /// `production`, `demo` or `sim`.
    pub environment: String,
    /// The account as the settings name it.
    pub account: String,
    /// What it is for.
    pub role: KeyRole,
    /// The wallets to follow.
    pub wallets: Vec<String>,
    /// Whether the user confirmed that orders cannot be entered over the key's log-in.
    pub stream_login_confirmed: bool,
}

/// Why custody did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A record of the vault cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No key has this name.
    #[error("there is no key `{alias}`")]
    NoSuchKey {
        /// The name.
        alias: KeyAlias,
    },
    /// A key with this name is there.
    #[error("there is a key `{alias}` already")]
    AliasTaken {
        /// The name.
        alias: KeyAlias,
    },
    /// The same API key is there under a name, or was revoked here before.
    #[error("this API key was linked before as `{alias}` ({})", .state.as_str())]
    KnownKey {
        /// Its name.
        alias: KeyAlias,
        /// Its state.
        state: KeyState,
    },
    /// The values cannot be those of an API key.
    #[error("{fault}")]
    BadValues {
        /// What is wrong with them.
        fault: &'static str,
    },
    /// The life of a key has no such step.
    #[error("key `{alias}` cannot go from {} to {}", .from.as_str(), .to.as_str())]
    Transition {
        /// The key.
        alias: KeyAlias,
        /// Its state.
        from: KeyState,
        /// The state asked for.
        to: KeyState,
    },
    /// Another key of the account is Active.
    #[error("key `{active}` is Active for this account already")]
    OtherActive {
        /// The Active key.
        active: KeyAlias,
    },
    /// There is no key that could be replaced, or come back.
    #[error("the account has no key in the state that this needs")]
    NothingToReplace,
    /// The key cannot take over there.
    #[error("key `{alias}` is not waiting for this account and role")]
    NotOfSeat {
        /// The key.
        alias: KeyAlias,
    },
    /// The key has no secrets any more, or they cannot be used.
    #[error("key `{alias}` cannot sign: {refusal}")]
    NotLoaded {
        /// The key.
        alias: KeyAlias,
        /// Why.
        refusal: SignRefusal,
    },
    /// What was asked for raises a risk, and no one-time code was accepted for it.
    #[error("a one-time code is needed for this")]
    CodeNeeded,
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The change of the policy is not what it is said to be.
    #[error("{why}")]
    PolicyChange {
        /// Why not.
        why: &'static str,
    },
    /// Sealed values cannot be opened.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// Whoever keeps the keys does not answer.
    #[error("the signer process does not answer: {why}")]
    Away {
        /// Why.
        why: String,
    },
    /// The signer process refused.
    #[error("{why}")]
    Refused {
        /// What it said.
        why: String,
    },
    /// A file beside the vault could not be read or written.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The open vault of one custody directory and what is in it. Whoever opens it holds the directory's lock.
pub struct Custody {
    vault: Vault,
    dir: PathBuf,
    keys: Vec<(RecordId, KeyRecord)>,
    step_up: Option<RecordId>,
    /// When a one-time code was accepted that no step has used yet.
    confirmed: Option<UnixNanos>,
}

impl Custody {
    /// Name of the vault in the custody directory.
    pub const VAULT_FILE: &'static str = "keys.vault";
    /// Name of the directory of the audit log in the custody directory.
    pub const AUDIT_DIR: &'static str = "audit";
    /// The vault's record that holds the seed of the audit log; it is no key.
    pub const AUDIT_SEED: RecordId = RecordId(*b"audit log's seed");
    /// Name of the file that remembers the highest generation seen of the vault.
    pub const SEEN_FILE: &'static str = "generation";

    /// Where the vault of a custody directory is.
    #[must_use]
    pub fn vault_path(dir: &Path) -> PathBuf {
        dir.join(Self::VAULT_FILE)
    }

    /// Whether a vault is there.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        Self::vault_path(dir).exists()
    }

    /// Makes the directory and a vault in it. Runs the key derivation, about a second or two.
    ///
    /// # Errors
    /// [`CustodyError::Vault`]: passphrase too short, directory not safe, vault there already.
    pub fn create(dir: &Path, passphrase: &Passphrase, cost: KdfParams, now: UnixNanos) -> Result<Self, CustodyError> {
        crate::epoch::create_dir(dir).map_err(|source| CustodyError::Io { path: dir.to_owned(), source })?;
        let vault = Vault::create(Self::vault_path(dir), passphrase, cost, now.0 / 1_000_000_000)?;
        let custody = Self::over(vault, dir)?;
        custody.remember_generation()?;
        Ok(custody)
    }

    /// Opens the vault of a directory. Runs the key derivation, about a second or two.
    ///
    /// # Errors
    /// [`CustodyError::Vault`]: wrong passphrase, damage, a roll-back to an older vault, unsafe file modes.
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, CustodyError> {
        let seen = Self::seen_generation(dir)?;
        let vault = Vault::open(Self::vault_path(dir), passphrase, seen)?;
        let custody = Self::over(vault, dir)?;
        if custody.vault.generation() > seen {
            // A save was followed by a cut before the number was written.
            custody.remember_generation()?;
        }
        Ok(custody)
    }

    /// Opens the vault through its machine or recovery slot; otherwise as [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_by_secret(dir: &Path, kind: SlotKind, secret: &SecretBytes) -> Result<Self, CustodyError> {
        let seen = Self::seen_generation(dir)?;
        let vault = Vault::open_by_secret(Self::vault_path(dir), kind, secret, seen)?;
        let custody = Self::over(vault, dir)?;
        if custody.vault.generation() > seen {
            custody.remember_generation()?;
        }
        Ok(custody)
    }

    /// Accepts a vault that is older than one that was seen: it becomes the newest. `vault` lies in `dir` and was
    /// opened as if none had been seen.
    ///
    /// # Errors
    /// The vault's; the roll-back is then not accepted.
    pub fn accept_older(vault: Vault, dir: &Path) -> Result<Self, CustodyError> {
        let seen = Self::seen_generation(dir)?;
        let mut custody = Self::over(vault, dir)?;
        custody.vault.save_beyond(seen)?;
        custody.remember_generation()?;
        Ok(custody)
    }

    /// The vault, to look at.
    #[must_use]
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Changes how the vault is opened, not what is in it.
    ///
    /// # Errors
    /// What `change` refused, or [`CustodyError::Io`].
    pub fn change_vault<T>(
        &mut self,
        change: impl FnOnce(&mut Vault) -> Result<T, VaultError>,
    ) -> Result<T, CustodyError> {
        let changed = change(&mut self.vault)?;
        self.remember_generation()?;
        Ok(changed)
    }

    /// Custody over a vault that is open already and lies in `dir`.
    ///
    /// # Errors
    /// [`CustodyError::Record`] when a record cannot be read.
    pub fn over(vault: Vault, dir: &Path) -> Result<Self, CustodyError> {
        let (mut keys, mut step_up) = (Vec::new(), None);
        for id in vault.ids().filter(|id| *id != Self::AUDIT_SEED) {
            match vault.get(id) {
                Some(bytes) if is_step_up(bytes) => step_up = Some(id),
                Some(bytes) => keys.push((id, read_info(bytes)?)),
                None => {}
            }
        }
        keys.sort_by(|(_, left), (_, right)| (left.created, &left.kid).cmp(&(right.created, &right.kid)));
        Ok(Self { vault, dir: dir.to_owned(), keys, step_up, confirmed: None })
    }

    /// The record of the operator's one-time codes, if codes are set up.
    #[must_use]
    pub fn step_up(&self) -> Option<&SecretBytes> {
        self.step_up.and_then(|id| self.vault.get(id))
    }

    /// Stores the record of one-time codes, or removes it; saved when this returns. After a removal the kept
    /// generations, which still hold the seed, are gone too.
    ///
    /// # Errors
    /// The vault's; the record is as it was then.
    pub fn set_step_up(&mut self, record: Option<SecretBytes>) -> Result<(), CustodyError> {
        let removes = record.is_none();
        let undo = self.step_up().map(SecretBytes::duplicate).transpose().map_err(RecordError::from)?;
        let id = match self.step_up {
            Some(id) => id,
            None => RecordId::random()?,
        };
        match record {
            Some(record) => self.vault.put(id, record)?,
            None => _ = self.vault.remove(id),
        }
        if let Err(error) = self.save() {
            match undo {
                Some(undo) => self.vault.put(id, undo)?,
                None => _ = self.vault.remove(id),
            }
            return Err(error);
        }
        self.step_up = (!removes).then_some(id);
        if removes {
            self.vault.remove_old_generations()?;
        }
        Ok(())
    }

    /// All keys, revoked ones included, oldest first. No secret is among it.
    pub fn list(&self) -> impl Iterator<Item = &KeyRecord> + Clone {
        self.keys.iter().map(|(_, record)| record)
    }

    /// Whether a record of the vault is a key, and neither the seed of the audit log nor the operator's codes.
    #[must_use]
    pub fn is_key(&self, id: RecordId) -> bool {
        self.keys.iter().any(|(known, _)| *known == id)
    }

    /// The key of this name; a revoked one only when no other has the name.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`].
    pub fn show(&self, alias: &str) -> Result<&KeyRecord, CustodyError> {
        self.place(alias).and_then(|place| self.keys.get(place)).map(|(_, record)| record).ok_or_else(|| no_such(alias))
    }

    /// Links a key: stores it, signs nothing with it yet. Linked again under its name before it ever left
    /// [`KeyState::Linked`], a key keeps its record and its values are replaced: they may have been mistyped.
    ///
    /// # Errors
    /// [`CustodyError::AliasTaken`], [`CustodyError::KnownKey`], [`CustodyError::BadValues`], or the vault's.
    pub fn add(&mut self, new: NewKey, secrets: &KeySecrets, now: UnixNanos) -> Result<&KeyRecord, CustodyError> {
        if let Some(fault) = secrets.fault() {
            return Err(CustodyError::BadValues { fault });
        }
        let fingerprint = secrets.fingerprint();
        let is_linked = |record: &KeyRecord| {
            record.fingerprint == fingerprint && record.alias == new.alias && record.state == KeyState::Linked
        };
        if self.list().any(is_linked) {
            return self.relink(new, secrets, now);
        }
        for record in self.list() {
            if record.fingerprint == fingerprint {
                return Err(CustodyError::KnownKey { alias: record.alias, state: record.state });
            }
            if record.alias == new.alias && record.state != KeyState::Revoked {
                return Err(CustodyError::AliasTaken { alias: new.alias });
            }
        }
        let id = RecordId::random()?;
        let record = KeyRecord {
            kid: id.to_string(),
            alias: new.alias,
            venue: new.venue,
            environment: new.environment,
            account: new.account,
            role: new.role,
            fingerprint,
            state: KeyState::Linked,
            state_since: now,
            reason: "linked".to_owned(),
            created: now,
            verified: None,
            venue_account: None,
            rights: Vec::new(),
            bound_addresses: 0,
            account_mode: None,
            expires: None,
            wallets: new.wallets,
            stream_login_confirmed: new.stream_login_confirmed,
            policy: String::new(),
            activation: 0,
            from_sequence: 0,
            predecessor: None,
            waiting_policy: None,
            history: vec![KeyStep { at: now, state: Some(KeyState::Linked), reason: "linked".to_owned() }],
        };
        let bytes = write_record(&record, Some(secrets))?;
        self.vault.put(id, bytes)?;
        if let Err(error) = self.save() {
            self.vault.remove(id);
            return Err(error);
        }
        self.keys.push((id, record));
        self.keys.last().map(|(_, record)| record).ok_or_else(|| no_such(&new.alias))
    }

    fn relink(&mut self, new: NewKey, secrets: &KeySecrets, now: UnixNanos) -> Result<&KeyRecord, CustodyError> {
        let mut next = KeyRecord {
            venue: new.venue,
            environment: new.environment,
            account: new.account,
            role: new.role,
            wallets: new.wallets,
            stream_login_confirmed: new.stream_login_confirmed,
            state_since: now,
            reason: "linked again".to_owned(),
            ..self.show(&new.alias)?.clone()
        };
        next.note(now, Some(KeyState::Linked), "linked again");
        self.store(&new.alias, next, Some(secrets))?;
        self.show(&new.alias)
    }

    /// Moves a key one step through its life, saved when this returns.
    ///
    /// # Errors
    /// [`CustodyError::Transition`] for a step that does not exist, [`CustodyError::OtherActive`] when the
    /// account has an Active key of that role, or the vault's; nothing has changed then.
    pub fn set_state(&mut self, alias: &str, to: KeyState, reason: &str, now: UnixNanos) -> Result<(), CustodyError> {
        let current = self.show(alias)?.clone();
        if !allowed_transition(current.state, to) {
            return Err(CustodyError::Transition { alias: current.alias, from: current.state, to });
        }
        if to == KeyState::Active {
            let rival = self.list().find(|other| {
                other.kid != current.kid
                    && other.state == KeyState::Active
                    && other.account == current.account
                    && other.role == current.role
            });
            if let Some(rival) = rival {
                return Err(CustodyError::OtherActive { active: rival.alias });
            }
        }
        if raises_risk(current.state, to) {
            self.take_step(now)?;
        }
        let mut next = current;
        next.state = to;
        next.state_since = now;
        reason.clone_into(&mut next.reason);
        next.note(now, Some(to), reason);
        if to == KeyState::Active {
            next.verified = Some(now);
            if next.activation == 0 {
                next.activation = self.next_activation(&next);
            }
        }
        self.replace(alias, next)?;
        if to == KeyState::Revoked {
            pass(FailPoint::AfterRevokeSave);
            // Kept generations still hold the secret; the revocation is confirmed only without them.
            self.vault.remove_old_generations()?;
        }
        Ok(())
    }

    /// Puts a key under another policy, saved when this returns.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`] or the vault's; nothing has changed then.
    pub fn set_policy(&mut self, alias: &str, policy: &PolicyDocument) -> Result<(), CustodyError> {
        let mut next = self.show(alias)?.clone();
        next.policy = policy.to_text();
        self.replace(alias, next)
    }

    /// Stores what the venue said of a key, and that it was verified when `verified`.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`] or the vault's.
    pub fn learn(&mut self, alias: &str, info: &KeyInfo, verified: bool, now: UnixNanos) -> Result<(), CustodyError> {
        let mut next = self.show(alias)?.clone();
        next.learn(info);
        if verified {
            next.verified = Some(now);
        }
        self.replace(alias, next)
    }

    /// A signer for a key. What it may sign is what the key's state allows before it has been verified in this
    /// run: an Active key signs cancels and questions until the wiring widens it through its duty handle.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`], or [`CustodyError::NotLoaded`] for a revoked key.
    pub fn load_signer(
        &self,
        alias: &str,
        codec: Arc<dyn SigningCodec>,
        clock: Arc<dyn Clock>,
        identity: Identity,
    ) -> Result<InlineSigner, CustodyError> {
        let place = self.place(alias).ok_or_else(|| no_such(alias))?;
        let (id, record) = self.keys.get(place).ok_or_else(|| no_such(alias))?;
        let not_loaded = |refusal| CustodyError::NotLoaded { alias: record.alias, refusal };
        let bytes = self.vault.get(*id).ok_or_else(|| not_loaded(SignRefusal::NoKey))?;
        let secrets = read_secrets(bytes)?.ok_or_else(|| not_loaded(SignRefusal::NoKey))?;
        let key = LoadedKey::new(secrets.key, secrets.secret, secrets.passphrase).map_err(not_loaded)?;
        let signer = InlineSigner::new(key, codec, clock, identity, duty_at_start(record.state));
        let signer = match record.account_mode {
            Some(AccountMode::Unified) => signer.of_unified_account(),
            _ => signer.of_account(record.account_mode()),
        };
        Ok(match record.role {
            KeyRole::Stream => signer.reading_only(),
            KeyRole::Trade if record.stream_login_confirmed => signer,
            KeyRole::Trade => signer.without_login(),
        })
    }

    /// As [`Self::load_signer`], within the key's policy; every order's signature is recorded in `records` before it is
    /// released.
    ///
    /// # Errors
    /// As [`Self::load_signer`], or [`CustodyError::Policy`] for a policy that cannot be read.
    pub fn load_bounded(
        &self,
        alias: &str,
        codec: Arc<dyn SigningCodec>,
        clock: Arc<dyn Clock>,
        identity: Identity,
        records: &SignatureRecords,
    ) -> Result<InlineSigner, CustodyError> {
        let signer = self.load_signer(alias, codec, Arc::clone(&clock), identity)?;
        let record = self.show(alias)?;
        // A key without a policy of its own places nothing: it has no instrument.
        let policy = match record.policy.as_str() {
            "" => PolicyDocument::derive(&[], clock.unix()),
            text => PolicyDocument::parse(text)?,
        };
        let kid = kid_bytes(&record.kid).ok_or(RecordError::Unreadable)?;
        let key = BoundKey { kid, account: &record.account, venue: &record.venue, role: record.role, policy };
        Ok(signer.bounded(Bounds::new(key, records, clock)))
    }

    /// A signer of its own for the emergency thread: it cancels, and nothing can widen it.
    ///
    /// # Errors
    /// As [`Self::load_signer`].
    pub fn load_cancel_only(
        &self,
        alias: &str,
        codec: Arc<dyn SigningCodec>,
        clock: Arc<dyn Clock>,
        identity: Identity,
    ) -> Result<CancelOnlySigner, CustodyError> {
        Ok(CancelOnlySigner::new(self.load_signer(alias, codec, clock, identity)?))
    }

    /// A one-time code was accepted: one step that raises a risk may follow.
    pub(crate) const fn confirm(&mut self, now: UnixNanos) {
        self.confirmed = Some(now);
    }

    /// Uses an accepted code up. Without codes set up, none is needed.
    pub(crate) fn take_step(&mut self, now: UnixNanos) -> Result<(), CustodyError> {
        if self.step_up.is_none() {
            return Ok(());
        }
        let confirmed = self.confirmed.take().ok_or(CustodyError::CodeNeeded)?;
        if now.0.abs_diff(confirmed.0) > STEP_WITHIN_NS { Err(CustodyError::CodeNeeded) } else { Ok(()) }
    }

    /// The seed of the audit log, if there is one yet.
    #[must_use]
    pub fn audit_seed(&self) -> Option<&SecretBytes> {
        self.vault.get(Self::AUDIT_SEED)
    }

    /// Keeps the seed of a new audit log, saved when this returns.
    ///
    /// # Errors
    /// The vault's; nothing has changed then.
    pub fn keep_audit_seed(&mut self, seed: SecretBytes) -> Result<(), CustodyError> {
        let before = self.audit_seed().map(SecretBytes::duplicate).transpose().map_err(RecordError::from)?;
        self.vault.put(Self::AUDIT_SEED, seed)?;
        let saved = self.save();
        if saved.is_err() {
            match before {
                Some(before) => self.vault.put(Self::AUDIT_SEED, before)?,
                None => drop(self.vault.remove(Self::AUDIT_SEED)),
            }
        }
        saved
    }

    fn place(&self, alias: &str) -> Option<usize> {
        let named = |(_, record): &(RecordId, KeyRecord)| record.alias.as_str() == alias;
        let living = |entry: &(RecordId, KeyRecord)| named(entry) && entry.1.state != KeyState::Revoked;
        self.keys.iter().position(living).or_else(|| self.keys.iter().rposition(named))
    }

    pub(crate) fn place_of_kid(&self, kid: &str) -> Option<usize> {
        self.keys.iter().position(|(_, record)| record.kid == kid)
    }

    pub(crate) fn replace(&mut self, alias: &str, next: KeyRecord) -> Result<(), CustodyError> {
        let place = self.place(alias).ok_or_else(|| no_such(alias))?;
        let (id, _) = *self.keys.get(place).ok_or_else(|| no_such(alias))?;
        let before = self.vault.get(id).ok_or_else(|| no_such(alias))?;
        let secrets = if next.state == KeyState::Revoked { None } else { read_secrets(before)? };
        self.store(alias, next, secrets.as_ref())
    }

    fn store(&mut self, alias: &str, next: KeyRecord, secrets: Option<&KeySecrets>) -> Result<(), CustodyError> {
        let place = self.place(alias).ok_or_else(|| no_such(alias))?;
        let (id, _) = *self.keys.get(place).ok_or_else(|| no_such(alias))?;
        let before = self.vault.get(id).ok_or_else(|| no_such(alias))?;
        let undo = before.duplicate().map_err(RecordError::from)?;
        let bytes = write_record(&next, secrets)?;
        self.vault.put(id, bytes)?;
        if let Err(error) = self.save() {
            self.vault.put(id, undo)?;
            return Err(error);
        }
        if let Some(entry) = self.keys.get_mut(place) {
            entry.1 = next;
        }
        Ok(())
    }

    /// Stores several records by one save: after a cut either all of them have changed or none.
    pub(crate) fn store_together(&mut self, changes: Vec<(usize, KeyRecord)>) -> Result<(), CustodyError> {
        let mut undo = Vec::with_capacity(changes.len());
        for (place, next) in &changes {
            let (id, _) = *self.keys.get(*place).ok_or_else(|| no_such(&next.alias))?;
            let before = self.vault.get(id).ok_or_else(|| no_such(&next.alias))?;
            let bytes = write_record(next, read_secrets(before)?.as_ref())?;
            undo.push((id, before.duplicate().map_err(RecordError::from)?, bytes));
        }
        let mut kept = Vec::with_capacity(undo.len());
        for (id, before, bytes) in undo {
            self.vault.put(id, bytes)?;
            kept.push((id, before));
        }
        if let Err(error) = self.save() {
            kept.into_iter().try_for_each(|(id, before)| self.vault.put(id, before))?;
            return Err(error);
        }
        for (place, next) in changes {
            if let Some(entry) = self.keys.get_mut(place) {
                entry.1 = next;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn secrets_of(&self, alias: &str) -> KeySecrets {
        let (id, _) = self.keys[self.place(alias).unwrap()];
        read_secrets(self.vault.get(id).unwrap()).unwrap().unwrap()
    }

    fn save(&mut self) -> Result<(), CustodyError> {
        self.vault.save()?;
        pass(FailPoint::AfterVaultSave);
        self.remember_generation()
    }

    fn remember_generation(&self) -> Result<(), CustodyError> {
        let path = self.dir.join(Self::SEEN_FILE);
        let text = format!("{}\n", self.vault.generation());
        crate::epoch::replace(&path, text.as_bytes()).map_err(|source| CustodyError::Io { path, source })
    }

    /// The highest generation that was seen of the vault in `dir`; 0 if none was.
    ///
    /// # Errors
    /// [`CustodyError::Io`] when the file that remembers it cannot be read.
    pub fn seen_generation(dir: &Path) -> Result<u64, CustodyError> {
        let path = dir.join(Self::SEEN_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| CustodyError::Io {
                path,
                source: io::Error::new(io::ErrorKind::InvalidData, "not a generation number"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(CustodyError::Io { path, source }),
        }
    }
}

pub(crate) fn kid_bytes(kid: &str) -> Option<[u8; 16]> {
    let byte = |at: usize| kid.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Vec<u8> = (0..16).map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| kid.len() == 32)
}

/// How long an accepted code is good for the step that it was asked for, in nanoseconds.
const STEP_WITHIN_NS: u64 = 30_000_000_000;

/// Whether a step gives trust back that was taken.
const fn raises_risk(from: KeyState, to: KeyState) -> bool {
    matches!((from, to), (KeyState::Quarantined, KeyState::Verifying))
}

pub(crate) fn no_such(alias: &str) -> CustodyError {
    let cut: String = alias.chars().filter(char::is_ascii).take(KeyAlias::new().capacity()).collect();
    CustodyError::NoSuchKey { alias: KeyAlias::from(&cut).unwrap_or_default() }
}

/// What a key may sign after loading, before it has been verified in this run.
#[must_use]
pub const fn duty_at_start(state: KeyState) -> KeyDuty {
    match state {
        KeyState::Linked | KeyState::Verifying | KeyState::Standby => KeyDuty::VerifyOnly,
        KeyState::Active | KeyState::Rotating => KeyDuty::CancelOnly,
        KeyState::Quarantined | KeyState::Expired | KeyState::Revoked => KeyDuty::None,
    }
}

/// Whether the life of a key has this step. Everything not named here is refused.
#[must_use]
pub const fn allowed_transition(from: KeyState, to: KeyState) -> bool {
    use KeyState::{Active, Expired, Linked, Quarantined, Revoked, Rotating, Standby, Verifying};
    matches!(
        (from, to),
        (Linked | Active | Standby | Quarantined | Expired, Verifying)
            | (Verifying, Active | Standby | Quarantined | Linked)
            | (Active, Rotating | Quarantined | Expired)
            | (Standby | Rotating, Active)
            | (Linked | Verifying | Active | Standby | Rotating | Quarantined | Expired, Revoked)
    )
}
