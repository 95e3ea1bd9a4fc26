//! The signers of a run: on the order path's thread, or in a sandboxed process of their own.

#[cfg(target_os = "linux")]
pub mod child;
#[cfg(target_os = "linux")]
pub mod parent;

#[cfg(target_os = "linux")]
pub use parent::{KeeperWires, SignerKeeper};

use crate::audit_trail::Trail;
use crate::commands;
use crate::data_dir::DataDir;
use crate::plan::{Plan, VenuePlan};
use crate::registry::Registry;
use crate::report::{Exit, Trouble, causes};
use crate::station::{EmptySeat, SharedCancels, SharedSeat};
use audit::{AuditSink, SharedAudit};
use domain::{Clock, VenueId};
use messages::KeyAlias;
use order_path::SignerSeat;
#[cfg(target_os = "linux")]
use order_signer::process::RemoteStore;
use order_signer::{Custody, CustodyDesk, DeskPlace, Identity, KeyRecord, KeyStore, LocalStore, SignatureRecords};
use serde::{Deserialize, Serialize};
use sign_policy::SyncMode;
use signing::{Isolation, MemoryKind, SignerHello, SignerPort};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Which key signs for a venue account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyPlace {
    /// The venue account.
    pub seat: VenueId,
    /// The key's name.
    pub alias: KeyAlias,
    /// The venue's environment, which its headers depend on: `sim`, `demo` or `production`.
    pub environment: String,
    /// Whether it is certain that no order can be entered over the log-in of its trading key.
    pub login_confirmed: bool,
}

/// How a signer is kept apart, as it was really reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsolationReached {
    /// `inline` or `process`.
    pub level: &'static str,
    /// `full`, `partial` or `none`.
    pub landlock: &'static str,
    /// Whether the list of system calls is in force.
    pub seccomp: bool,
    /// `memfd_secret`, `mlock` or `plain`.
    pub memory: &'static str,
}

impl IsolationReached {
    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        match self.level {
            "process" => format!(
                "signer: process of its own; landlock {}, seccomp {}, secrets in {} memory",
                self.landlock,
                if self.seccomp { "on" } else { "off" },
                self.memory
            ),
            _ => format!("signer: inline, on the order path's thread; secrets in {} memory", self.memory),
        }
    }

    /// Into the metrics.
    pub fn publish(&self) {
        let on = if self.seccomp { "on" } else { "off" };
        telemetry::signer_isolation_info(self.level, self.landlock, on, self.memory).set(1.0);
    }
}

/// The signers of a run.
pub enum Signers {
    /// On the order path's thread.
    Inline {
        /// The open vault and the signers made from it.
        desk: Box<Mutex<CustodyDesk>>,
        /// Tag and epoch of this run.
        identity: Identity,
        /// The audit log, open for writing.
        audit: Arc<SharedAudit>,
    },
    /// In a process of their own.
    #[cfg(target_os = "linux")]
    Process(Box<parent::SignerProcess>),
}

impl Signers {
    /// Signers on the order path's thread; begins the next epoch of the custody directory. `failed_before`: wrong
    /// passphrases before the vault opened. `strict`: a signature waits until the disk has its record.
    ///
    /// # Errors
    /// [`Trouble`] when there is no epoch to sign under, or when nothing can be recorded.
    pub fn inline(
        mut custody: Custody,
        dir: &std::path::Path,
        failed_before: u32,
        clock: &Arc<dyn Clock>,
        strict: bool,
    ) -> Result<Self, Trouble> {
        let trail = Trail::open(&mut custody, dir, Arc::clone(clock))?;
        trail.unlocked(failed_before)?;
        let identity = commands::keys::epoch(dir)?;
        let records = records(dir, &custody, identity, &**clock, &boot_id(), strict)?;
        let mut desk = CustodyDesk::without_seats(custody, Arc::clone(clock));
        desk.records = Some(records);
        Ok(Self::Inline { desk: Box::new(Mutex::new(desk)), identity, audit: trail.log() })
    }

    /// What may be shown of the keys.
    ///
    /// # Errors
    /// [`Trouble`] when the signer process does not answer.
    pub fn records(&self) -> Result<Vec<KeyRecord>, Trouble> {
        match self {
            Self::Inline { desk, .. } => {
                Ok(desk.lock().unwrap_or_else(PoisonError::into_inner).custody.list().cloned().collect())
            }
            #[cfg(target_os = "linux")]
            Self::Process(process) => process.store().list().map_err(|error| commands::keys::custody_trouble(&error)),
        }
    }

    /// Where the run records: beside the open vault.
    #[must_use]
    pub fn audit(&self) -> Arc<dyn AuditSink> {
        match self {
            Self::Inline { audit, .. } => Arc::clone(audit) as Arc<dyn AuditSink>,
            #[cfg(target_os = "linux")]
            Self::Process(process) => Arc::new(process.store()),
        }
    }

    /// Tag and epoch of this run.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        match self {
            Self::Inline { identity, .. } => *identity,
            #[cfg(target_os = "linux")]
            Self::Process(process) => process.identity(),
        }
    }

    /// How they are kept apart.
    #[must_use]
    pub fn isolation(&self) -> IsolationReached {
        match self {
            Self::Inline { .. } => IsolationReached {
                level: "inline",
                landlock: "none",
                seccomp: false,
                memory: secrets::memory_level().map_or("plain", secrets::MemoryLevel::as_str),
            },
            #[cfg(target_os = "linux")]
            Self::Process(process) => process.isolation(),
        }
    }

    /// The order path's seats, for all venue accounts ever seen; those that the settings no longer name sign nothing.
    ///
    /// # Errors
    /// [`Trouble`] when a key is not there or cannot be loaded.
    pub fn seats(&self, count: usize, venues: &[(VenueId, VenuePlan)]) -> Result<Vec<Box<dyn SignerSeat>>, Trouble> {
        if let Self::Inline { desk, identity, .. } = self {
            let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
            let places = venues.iter().map(|(id, venue)| desk_place(*id, venue)).collect::<Result<Vec<_>, _>>()?;
            desk.seat_all(places, *identity).map_err(|error| commands::keys::custody_trouble(&error))?;
            for (_, venue) in venues {
                desk.custody.show(&venue.key).map_err(|error| commands::keys::custody_trouble(&error))?;
            }
        }
        let identity = self.identity();
        let empty = inline_hello(identity);
        (0..count)
            .map(|index| {
                let Some((id, _)) = venues.iter().find(|(id, _)| id.index() == index) else {
                    return Ok(Box::new(EmptySeat(empty)) as Box<dyn SignerSeat>);
                };
                match self {
                    Self::Inline { desk, .. } => {
                        let desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                        Ok(Box::new(SharedSeat::new(&desk, *id, empty)) as Box<dyn SignerSeat>)
                    }
                    #[cfg(target_os = "linux")]
                    Self::Process(process) => Ok(process.seat(*id)),
                }
            })
            .collect()
    }

    /// A signer of its own for the emergency thread, for one venue account: it cancels, and nothing can widen it.
    ///
    /// # Errors
    /// [`Trouble`] when the key is not there or cannot be loaded.
    pub fn emergency(&self, id: VenueId) -> Box<dyn SignerPort> {
        match self {
            Self::Inline { desk, identity, .. } => {
                let desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                Box::new(SharedCancels { cancels: desk.cancels.clone(), seat: id, hello: inline_hello(*identity) })
            }
            #[cfg(target_os = "linux")]
            Self::Process(process) => process.emergency(id),
        }
    }

    /// The keys, for the key manager; and, of a process, what keeps it alive.
    ///
    /// # Errors
    /// [`Trouble`] when the system gives no thread.
    pub fn into_store(
        self,
        wires: KeeperWires,
        clock: &Arc<dyn Clock>,
    ) -> Result<(SharedStore, Option<SignerKeeper>), Trouble> {
        match self {
            Self::Inline { desk, .. } => {
                let desk = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
                Ok((SharedStore::Local(LocalStore::seated(desk)), None))
            }
            #[cfg(target_os = "linux")]
            Self::Process(process) => Ok((SharedStore::Remote(process.store()), Some(process.keep(wires, clock)?))),
        }
    }
}

/// What an inline seat says of itself; where its secrets lie, [`IsolationReached`] says.
const fn inline_hello(identity: Identity) -> SignerHello {
    let Identity { tag, epoch } = identity;
    SignerHello { tag, epoch, isolation: Isolation::Inline, memory: MemoryKind::Plain }
}

fn desk_place(seat: VenueId, venue: &VenuePlan) -> Result<DeskPlace, Trouble> {
    let alias = KeyAlias::from(&venue.key)
        .map_err(|_| Trouble::new(Exit::Settings, format!("the key name `{}` is too long", venue.key)))?;
    let login_confirmed = venue.login_confirmed;
    Ok(DeskPlace { seat, alias, codec: Arc::clone(&venue.codecs.signing), login_confirmed })
}

/// The keys, for several who need them.
#[derive(Clone)]
pub enum SharedStore {
    /// In this process.
    Local(LocalStore),
    /// In the signer process.
    #[cfg(target_os = "linux")]
    Remote(RemoteStore),
}

impl SharedStore {
    /// One more way to them.
    #[must_use]
    pub fn boxed(&self) -> Box<dyn KeyStore + Send> {
        match self {
            Self::Local(store) => Box::new(store.clone()),
            #[cfg(target_os = "linux")]
            Self::Remote(store) => Box::new(store.clone()),
        }
    }
}

/// Where a signer process gets its passphrase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum UnlockFrom {
    /// Standard input, if it is a terminal.
    Prompt,
    /// The terminal, whatever standard input is: a signer process's is a socket.
    Terminal,
    /// A file that only its owner can read.
    File(PathBuf),
    /// A file of the service manager.
    Credential(PathBuf),
    /// An open descriptor of this very process, which can be read once.
    Descriptor(u32),
}

impl UnlockFrom {
    /// Whether nobody has to be asked.
    #[must_use]
    pub const fn is_unattended(&self) -> bool {
        matches!(self, Self::File(_) | Self::Credential(_))
    }
}

/// What a signer process is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Boot {
    /// The custody directory.
    pub custody: PathBuf,
    /// Where the passphrase comes from.
    pub unlock: UnlockFrom,
    /// Wrong passphrases in a row after which a file is not read any more.
    pub lock_after: u32,
    /// Whether it looks for work without end instead of sleeping.
    pub spin: bool,
    /// Which key signs for which venue account.
    pub places: Vec<KeyPlace>,
    /// Whether a person may be asked.
    pub may_ask: bool,
    /// Whether a signature waits until the disk has its record.
    pub strict: bool,
}

/// This start of the machine, by the system's name for it; empty where there is none: every start counts as one then.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Opens the records of signatures of a custody directory for this run.
pub(crate) fn records(
    dir: &std::path::Path,
    custody: &Custody,
    identity: Identity,
    clock: &dyn Clock,
    boot_id: &str,
    strict: bool,
) -> Result<SignatureRecords, Trouble> {
    let mut accounts: Vec<String> = custody.list().map(|record| record.account.clone()).collect();
    accounts.sort();
    accounts.dedup();
    let mode = if strict { SyncMode::Strict } else { SyncMode::Group };
    SignatureRecords::open(dir, identity, &accounts, mode, boot_id, clock.unix()).map_err(|error| {
        Trouble::new(Exit::Key, "the records of signatures cannot be opened")
            .why(causes(&error))
            .fix("check the disk and the custody directory's permissions; the files are left as they are")
    })
}

/// Which key signs for which venue account, by the ids that the data directory gives the accounts.
///
/// # Errors
/// [`Trouble`] when the data directory's register cannot be read, or a key's name is too long.
pub fn places(dir: &DataDir, plan: &Plan) -> Result<Vec<KeyPlace>, Trouble> {
    let mut registry = Registry::open(&dir.root().join(Registry::FILE))?;
    let mut place = |venue: &VenuePlan| {
        let alias = KeyAlias::from(&venue.key)
            .map_err(|_| Trouble::new(Exit::Settings, format!("the key name `{}` is too long", venue.key)))?;
        let (environment, login_confirmed) = (venue.environment.to_owned(), venue.login_confirmed);
        Ok(KeyPlace { seat: registry.venue(&venue.name), alias, environment, login_confirmed })
    };
    // In the order of the wiring, so that both give the same numbers: accounts first, then stream keys.
    let seats = plan.venues.iter().cloned().chain(plan.venues.iter().filter_map(VenuePlan::stream_place));
    seats.map(|venue| place(&venue)).collect()
}

/// What the settings demand of a signer.
///
/// # Errors
/// [`Trouble`] when less was reached.
pub fn demand(settings: &settings::Settings, reached: &IsolationReached) -> Result<(), Trouble> {
    let wanted = &settings.signer;
    if wanted.require_locked_memory && reached.memory == "plain" {
        return Err(Trouble::new(Exit::Key, "secrets cannot be locked into memory on this machine")
            .why("signer.require_locked_memory asks for it, and the system refuses to lock memory")
            .fix(
                "raise the limit (LimitMEMLOCK=64M in the unit, or ulimit -l), or set require_locked_memory = false",
            ));
    }
    let whole = reached.level == "process" && reached.landlock == "full" && reached.seccomp;
    if wanted.require_isolation == settings::Isolation::Process && !whole {
        return Err(Trouble::new(Exit::Key, "the signer cannot be kept apart on this machine as the settings demand")
            .why(format!(
                "signer.require_isolation = \"process\" asks for a sandboxed process; reached: {}",
                reached.line()
            ))
            .fix("use a Linux kernel from 6.12 on with Landlock and seccomp, or set require_isolation = \"none\""));
    }
    Ok(())
}

/// The signers that the settings ask for.
///
/// # Errors
/// [`Trouble`]: no vault, wrong passphrase, or less isolation than demanded.
pub fn start(
    global: &crate::cli::Global,
    settings: &settings::Settings,
    spin: bool,
    places: Vec<KeyPlace>,
    clock: &Arc<dyn Clock>,
) -> Result<Signers, Trouble> {
    #[cfg(not(target_os = "linux"))]
    drop((spin, places));
    let dir = settings.vault_dir();
    let strict = settings.signer.guard == settings::GuardMode::Strict;
    let signers = match settings.signer.mode {
        #[cfg(target_os = "linux")]
        settings::SignerMode::Auto | settings::SignerMode::Process => {
            let may_ask = crate::term::can_ask(global);
            let unlock =
                match crate::unlock::source_of(global, &settings.vault.unlock)? {
                    UnlockFrom::Prompt if may_ask => UnlockFrom::Terminal,
                    UnlockFrom::Descriptor(number) => {
                        return Err(Trouble::new(Exit::Usage, "the signer process cannot read --passphrase-fd")
                        .why(format!("it inherits no descriptor, so neither descriptor {number}"))
                        .fix("set [vault] unlock = \"file:PATH\" or \"credential:NAME\", or signer.mode = \"inline\""));
                    }
                    other => other,
                };
            let lock_after = settings.vault.auto_lock_after_failures;
            let boot = Boot { custody: dir, unlock, lock_after, spin, places, may_ask, strict };
            Signers::Process(Box::new(parent::SignerProcess::start(boot, clock)?))
        }
        #[cfg(not(target_os = "linux"))]
        settings::SignerMode::Process => {
            return Err(Trouble::new(Exit::Settings, "a signer process needs Linux")
                .fix("set signer.mode = \"auto\" or \"inline\""));
        }
        _ => {
            let failed = crate::unlock::failures(&dir);
            let mut custody = crate::unlock::open(global, &dir, &settings.vault)?;
            custody.settle_policies(clock.unix()).map_err(|error| commands::keys::custody_trouble(&error))?;
            Signers::inline(custody, &dir, failed, clock, strict)?
        }
    };
    demand(settings, &signers.isolation())?;
    Ok(signers)
}

/// What the system said, for a signer that could not be started.
fn cannot(error: &dyn std::error::Error) -> Trouble {
    Trouble::new(Exit::Failure, "the signer process cannot be started")
        .why(causes(error))
        .fix("look at the log; signer.mode = \"inline\" does without a process of its own")
}
