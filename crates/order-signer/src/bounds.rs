//! What stands between a key and its signatures: its policy with its budgets, the second look at the bytes, and the
//! record of every signature.

use crate::custody::{Custody, kid_bytes};
use crate::self_check::VenueRules;
use domain::{Clock, Epoch, MonoNanos, UnixNanos};
use messages::{KeyRole, PlaceOrder, SignIntent};
use sign_policy::{
    BudgetFile, BudgetStore, Disk, GuardError, GuardLog, GuardRecord, Identity, Opening, PolicyDocument, PolicyGate,
    PolicyRefusal, RealDisk, Reservation, SavedBudgets, SyncMode, economic_digest,
};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The records of all signatures of a custody directory, shared by the signers of its keys.
#[derive(Clone)]
pub struct SignatureRecords {
    dir: PathBuf,
    epoch: Epoch,
    log: Arc<Mutex<Option<GuardLog>>>,
    budgets: Arc<Mutex<BTreeMap<String, Budgets>>>,
    opening: Opening,
    changed: Arc<ChangedPolicies>,
}

/// Policies on their way to the signers that they bound.
#[derive(Default)]
struct ChangedPolicies {
    /// Counts up with each change, so that a signer looks into the table only when there is something new.
    number: AtomicU64,
    by_key: Mutex<BTreeMap<[u8; 16], PolicyDocument>>,
}

/// What is known of an account's budgets.
enum Budgets {
    /// Its file, and what earlier runs used.
    Open(BudgetFile, SavedBudgets),
    /// Its file is damaged or cannot be read: no order until an operator acts.
    Lost,
}

impl SignatureRecords {
    /// Opens the records for the run of `identity`. `accounts` are those whose budgets are to be known; `boot_id` is
    /// the machine's, and tells a killed process from a machine that went down. Begins threads: call it before a
    /// sandbox closes.
    ///
    /// # Errors
    /// [`GuardError`]: no order may be signed.
    pub fn open(
        dir: &Path,
        identity: Identity,
        accounts: &[String],
        mode: SyncMode,
        boot_id: &str,
        now: UnixNanos,
    ) -> Result<Self, GuardError> {
        Self::open_on(Arc::new(RealDisk), dir, identity, accounts, mode, boot_id, now)
    }

    /// [`Self::open`] with the records of signatures on a given file system.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        identity: Identity,
        accounts: &[String],
        mode: SyncMode,
        boot_id: &str,
        now: UnixNanos,
    ) -> Result<Self, GuardError> {
        let open = |account: &String| {
            let budgets = match BudgetFile::open(dir, account, identity.epoch, now) {
                Ok((file, saved)) => Budgets::Open(file, saved),
                Err(_) => Budgets::Lost,
            };
            (account.clone(), budgets)
        };
        let budgets = accounts.iter().map(open).collect();
        let log = GuardLog::open_on(disk, dir, identity.epoch, mode, boot_id)?;
        let opening = log.opening();
        Ok(Self {
            dir: dir.to_owned(),
            epoch: identity.epoch,
            log: Arc::new(Mutex::new(Some(log))),
            budgets: Arc::new(Mutex::new(budgets)),
            opening,
            changed: Arc::default(),
        })
    }

    /// How the last run ended, as far as the records tell.
    #[must_use]
    pub const fn opening(&self) -> Opening {
        self.opening
    }

    /// Open orders and fills of the last run have been asked for: after a machine that went down, orders may be
    /// signed again.
    ///
    /// # Errors
    /// [`GuardError`]: it could not be noted; orders stay refused.
    pub fn reconciled(&self) -> Result<(), GuardError> {
        match self.log.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(log) if log.reconcile_due() => log.reconciled(),
            _ => Ok(()),
        }
    }

    /// Puts another policy of a key in force, from its next signature on, wherever its signer is.
    pub fn enforce(&self, kid: [u8; 16], policy: PolicyDocument) {
        self.changed.by_key.lock().unwrap_or_else(PoisonError::into_inner).insert(kid, policy);
        self.changed.number.fetch_add(1, Ordering::Release);
    }

    /// Ends the records in order: the next run finds them complete.
    ///
    /// # Errors
    /// [`GuardError`]: the next run counts as one after a kill.
    pub fn close(&self) -> Result<(), GuardError> {
        match self.log.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(log) => log.close(),
            None => Ok(()),
        }
    }

    fn append(&self, record: &GuardRecord) -> Result<(), PolicyRefusal> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let written = log.as_mut().map(|log| log.append(record));
        match written {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(PolicyRefusal::BudgetStore),
        }
    }

    fn take_budgets(&self, account: &str, now: UnixNanos) -> (Store, SavedBudgets) {
        let taken = self.budgets.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
        match taken {
            Some(Budgets::Open(file, saved)) => (Store(Some(file)), saved),
            Some(Budgets::Lost) => (Store(None), SavedBudgets::unknown()),
            // Linked in this run: nothing has been used yet.
            None => match BudgetFile::begin_anew(&self.dir, account, self.epoch, now) {
                Ok((file, saved)) => (Store(Some(file)), saved),
                Err(_) => (Store(None), SavedBudgets::unknown()),
            },
        }
    }
}

/// The file of an account's budgets, if it can be written.
struct Store(Option<BudgetFile>);

impl BudgetStore for Store {
    fn reserve(&mut self, reservation: &Reservation) -> io::Result<()> {
        match &mut self.0 {
            Some(file) => file.reserve(reservation),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the file of the budgets is lost")),
        }
    }
}

/// Whose key it is that is bounded.
pub struct BoundKey<'a> {
    /// Our id of it.
    pub kid: [u8; 16],
    /// The account as the settings name it.
    pub account: &'a str,
    /// Kind of venue.
    pub venue: &'a str,
    /// What it is for.
    pub role: KeyRole,
    /// Its policy.
    pub policy: PolicyDocument,
}

/// The bounds of one key.
pub struct Bounds {
    gate: PolicyGate,
    store: Store,
    records: SignatureRecords,
    rules: Option<VenueRules>,
    kid: [u8; 16],
    seen_changes: u64,
    clock: Arc<dyn Clock>,
}

impl Bounds {
    /// The bounds of a key whose signatures are recorded in `records`.
    #[must_use]
    pub fn new(key: BoundKey<'_>, records: &SignatureRecords, clock: Arc<dyn Clock>) -> Self {
        let now = clock.unix();
        let (store, saved) = records.take_budgets(key.account, now);
        Self {
            gate: PolicyGate::new(key.policy, records.epoch, saved, now).for_role(key.role),
            store,
            records: records.clone(),
            rules: VenueRules::of(key.venue),
            kid: key.kid,
            seen_changes: 0,
            clock,
        }
    }

    /// Bounds another key of the same account from now on; what was used of the budgets stays used.
    pub(crate) fn rebind(&mut self, kid: [u8; 16], policy: PolicyDocument) {
        self.kid = kid;
        self.gate.replace(policy);
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &PolicyDocument {
        self.gate.document()
    }

    /// Takes over what [`SignatureRecords::enforce`] left for this key; what was used stays used.
    fn take_change(&mut self) {
        let number = self.records.changed.number.load(Ordering::Acquire);
        if number == self.seen_changes {
            return;
        }
        self.seen_changes = number;
        let mut by_key = self.records.changed.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = by_key.remove(&self.kid) {
            self.gate.replace(policy);
        }
    }

    /// How often each rule has refused.
    #[must_use]
    pub const fn tally(&self) -> sign_policy::PolicyTally {
        self.gate.tally()
    }

    /// Venue time was measured and accepted at this moment.
    pub(crate) const fn clock_measured(&mut self, unix: UnixNanos, mono: MonoNanos) {
        self.gate.clock_measured(unix, mono);
    }

    pub(crate) fn admit(
        &mut self,
        intent: &SignIntent,
        again: bool,
        unix: UnixNanos,
        mono: MonoNanos,
    ) -> Result<(), PolicyRefusal> {
        self.take_change();
        self.gate.admit(intent, again, unix, mono, &mut self.store)
    }

    /// Whether the bytes are those that the intent asks for.
    pub(crate) fn allow(&self, intent: &SignIntent, at: UnixNanos, draft: &venue_api::Draft) -> bool {
        self.rules.is_some_and(|rules| rules.allow(intent, at, draft))
    }

    /// Writes the record that must be there before the signature is released.
    pub(crate) fn record(&self, order: &PlaceOrder, again: bool, at: UnixNanos) -> Result<(), PolicyRefusal> {
        let (epoch, sequence) = order.id.number();
        let record = GuardRecord { epoch, sequence, kid: self.kid, digest: economic_digest(order), at, again };
        self.records.append(&record)
    }
}

impl Drop for Bounds {
    /// Gives back what was reserved and not used.
    fn drop(&mut self) {
        let mono = self.clock.mono();
        // What could not be given back counts as used.
        let _ = self.gate.settle(self.clock.unix_at(mono), mono, &mut self.store);
    }
}

/// Puts the policies in force that custody holds for these keys.
pub(crate) fn enforce_saved(records: &SignatureRecords, custody: &Custody, aliases: &[messages::KeyAlias]) {
    for alias in aliases {
        let Ok(record) = custody.show(alias) else { continue };
        if let (Some(kid), Ok(policy)) = (kid_bytes(&record.kid), PolicyDocument::parse(&record.policy)) {
            records.enforce(kid, policy);
        }
    }
}
