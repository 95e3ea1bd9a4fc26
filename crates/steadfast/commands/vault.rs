//! `steadfast vault`: making, opening, copying and changing the encrypted file that holds the keys, while the daemon
//! is stopped. Every change is recorded before it is made.

use crate::audit_trail::{Trail, by_person};
use crate::cli::{
    Global, VaultAcceptArgs, VaultAddSlotArgs, VaultCommand, VaultFileArgs, VaultForgetArgs, VaultPassphraseArgs,
    VaultRemoveSlotArgs, VaultSlot,
};
use crate::data_dir::DataDir;
use crate::report::{Exit, Trouble, causes};
use crate::signers::UnlockFrom;
use crate::unlock::{self, Opener};
use crate::{audit_trail, commands, term};
use ::vault::{KdfParams, SlotKind, Vault, VaultError};
use audit::{AuditEntry, AuditVerb, Decision, Name};
use clock::SystemClock;
use domain::Clock as _;
use order_signer::{Custody, CustodyError};
use secrets::SecretBytes;
use settings::Settings;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// `steadfast vault ...`
///
/// # Errors
/// [`Trouble`]: what a person needs to read; the vault is then as it was, unless it says otherwise.
pub fn run(global: &Global, command: &VaultCommand) -> Result<(), Trouble> {
    let place = Place::of(global)?;
    match command {
        VaultCommand::Init => init(global, &place),
        VaultCommand::Unlock => show(global, &place),
        VaultCommand::ChangePassphrase(args) => change_passphrase(global, &place, args),
        VaultCommand::RotateDek(args) => rotate_dek(global, &place, args),
        VaultCommand::Backup(args) => backup(global, &place, args),
        VaultCommand::Restore(args) => restore(global, &place, args),
        VaultCommand::AcceptRollback(args) => accept_rollback(global, &place, args),
        VaultCommand::AddSlot(args) => add_slot(global, &place, args),
        VaultCommand::RemoveSlot(args) => remove_slot(global, &place, args),
        #[cfg(feature = "age-export")]
        VaultCommand::Export(args) => super::vault_export::export(global, &place, args),
    }
}

/// Where the vault is, with the data directory locked.
pub(super) struct Place {
    custody: PathBuf,
    settings: settings::Vault,
    from: UnlockFrom,
    _dir: DataDir,
}

impl Place {
    fn of(global: &Global) -> Result<Self, Trouble> {
        let loaded = commands::check::load(global, &[]).map_err(|problems| commands::check::trouble(&problems))?;
        let settings: Settings = loaded.settings;
        let dir = DataDir::open(settings.data_dir()).map_err(|trouble| {
            if trouble.what.ends_with("is in use") {
                trouble.fix("stop the daemon first: the vault cannot be changed beside a running one")
            } else {
                trouble
            }
        })?;
        let from = unlock::source_of(global, &settings.vault.unlock)?;
        Ok(Self { custody: settings.vault_dir(), settings: settings.vault, from, _dir: dir })
    }

    fn trouble(&self, error: &CustodyError) -> Trouble {
        unlock::vault_trouble(&self.custody, &self.from, error)
    }

    /// Opens vault and audit log.
    pub(super) fn open(&self, global: &Global) -> Result<(Custody, Opener, Trail), Trouble> {
        let (mut custody, opener) = unlock::open_with_opener(global, &self.custody, &self.settings)?;
        let trail = Trail::open(&mut custody, &self.custody, Arc::new(SystemClock))?;
        Ok((custody, opener, trail))
    }

    /// Records, changes, and records it when the change failed.
    fn change<T>(
        &self,
        custody: &mut Custody,
        trail: &Trail,
        entry: AuditEntry,
        change: impl FnOnce(&mut Vault) -> Result<T, VaultError>,
    ) -> Result<T, Trouble> {
        trail.record(entry.clone())?;
        custody.change_vault(change).map_err(|error| {
            let failed = AuditEntry { decision: Decision::Failed, ..entry }.because(causes(&error));
            let _ = trail.record(failed);
            self.trouble(&error)
        })
    }
}

fn init(global: &Global, place: &Place) -> Result<(), Trouble> {
    if Custody::exists(&place.custody) {
        let name = Custody::vault_path(&place.custody);
        return Err(Trouble::new(Exit::Key, format!("there is a vault at {}", name.display()))
            .fix("steadfast vault unlock says what is in it; another data directory (--data-dir) can hold another"));
    }
    let clock = SystemClock;
    let begun = clock.mono();
    let mut custody = unlock::create(global, &place.custody, &place.settings.unlock, KdfParams::DEFAULT, clock.unix())?;
    let took = clock.mono().since(begun);
    let trail = Trail::open(&mut custody, &place.custody, Arc::new(SystemClock))?;
    trail.vault_created()?;
    trail.seal();
    tell(global, &custody, Some(took))
}

fn show(global: &Global, place: &Place) -> Result<(), Trouble> {
    let clock = SystemClock;
    let begun = clock.mono();
    let custody = unlock::open(global, &place.custody, &place.settings)?;
    tell(global, &custody, Some(clock.mono().since(begun)))
}

/// What is in the vault, without its secrets.
fn tell(global: &Global, custody: &Custody, took: Option<Duration>) -> Result<(), Trouble> {
    let vault = custody.vault();
    let slots: Vec<String> = vault.slot_kinds().map(|kind| kind.to_string()).collect();
    let keys: Vec<_> = custody
        .list()
        .map(|key| serde_json::json!({ "alias": key.alias.as_str(), "fingerprint": key.fingerprint, "status": key.state.as_str() }))
        .collect();
    if global.json {
        let line = serde_json::json!({
            "vault": hex::encode(vault.id()), "generation": vault.generation(), "slots": slots, "keys": keys,
            "kdf": vault.kdf_params().map(|kdf| serde_json::json!({ "memory_kib": kdf.memory_kib, "passes": kdf.passes, "lanes": kdf.lanes })),
        });
        term::data(&line.to_string());
        return Ok(());
    }
    term::data(&format!(
        "vault {}: generation {}, opened by {}",
        hex::encode(vault.id()),
        vault.generation(),
        slots.join(", ")
    ));
    for key in custody.list() {
        term::data(&format!("key {}: {}, fingerprint {}", key.alias, key.state.as_str(), key.fingerprint));
    }
    if let (Some(kdf), Some(took)) = (vault.kdf_params(), took) {
        term::say(
            global,
            &format!(
                "key derivation: Argon2id, {} MiB, {} passes, {} lane(s); it took {:.1} s here, once per start",
                kdf.memory_kib / 1024,
                kdf.passes,
                kdf.lanes,
                took.as_secs_f64()
            ),
        );
    }
    Ok(())
}

fn change_passphrase(global: &Global, place: &Place, args: &VaultPassphraseArgs) -> Result<(), Trouble> {
    let (mut custody, _, trail) = place.open(global)?;
    let chosen = unlock::choose(global, args.new_passphrase_file.as_deref())?;
    let cost = custody.vault().kdf_params().unwrap_or(KdfParams::DEFAULT);
    let entry = by_person(AuditVerb::PassphraseChanged, Decision::Allowed);
    place.change(&mut custody, &trail, entry, |vault| vault.change_passphrase(&chosen, cost))?;
    term::data("the passphrase was changed");
    if !matches!(place.from, UnlockFrom::Prompt) {
        term::say(global, "next: give the daemon the new one, where it reads it");
    }
    forget(global, place, &mut custody, &args.forget, "the old passphrase")
}

fn rotate_dek(global: &Global, place: &Place, args: &VaultForgetArgs) -> Result<(), Trouble> {
    let (mut custody, opener, trail) = place.open(global)?;
    let Opener::Passphrase(passphrase) = opener else {
        return Err(Trouble::new(Exit::Key, "the data key can be changed with the passphrase alone")
            .why("the vault was opened by another slot, and everything is wrapped anew under the passphrase")
            .fix("give the passphrase with --passphrase-fd"));
    };
    let other = custody.vault().slot_kinds().find(|kind| *kind != SlotKind::Passphrase);
    if let Some(kind) = other {
        return Err(Trouble::new(Exit::Key, format!("the {kind} slot stands in the way of another data key"))
            .why("its secret is not at hand to wrap the new key under it")
            .fix(format!("steadfast vault remove-slot {kind}, rotate, then add the slot anew")));
    }
    let entry = by_person(AuditVerb::DataKeyRotated, Decision::Allowed);
    place.change(&mut custody, &trail, entry, |vault| vault.rotate_dek(&passphrase))?;
    term::data("everything is encrypted under a new data key");
    forget(global, place, &mut custody, args, "what opened the vault before")
}

/// Removes the earlier generations, or says that they are there.
fn forget(
    global: &Global,
    place: &Place,
    custody: &mut Custody,
    args: &VaultForgetArgs,
    opens: &str,
) -> Result<(), Trouble> {
    if args.forget_old {
        let removed = custody.change_vault(Vault::remove_old_generations).map_err(|error| place.trouble(&error))?;
        term::say(global, &format!("{removed} earlier generation(s) removed"));
    } else {
        term::say(
            global,
            &format!("note: {opens} still opens the earlier generations beside the vault; --forget-old removes them"),
        );
    }
    Ok(())
}

fn backup(global: &Global, place: &Place, args: &VaultFileArgs) -> Result<(), Trouble> {
    let (custody, _, trail) = place.open(global)?;
    let name = args.file.display().to_string();
    let cannot = |error: std::io::Error| {
        Trouble::new(Exit::Failure, format!("the copy {name} cannot be written"))
            .why(error)
            .fix("name a file that is not there yet, on a disk with room")
    };
    let source = Custody::vault_path(&place.custody);
    let bytes = fs::read(&source).map_err(cannot)?;
    if !custody.vault().is_saved_as(&bytes) {
        return Err(Trouble::new(Exit::Key, "the vault was changed while it was copied").fix("try again"));
    }
    trail.record(by_person(AuditVerb::VaultBackedUp, Decision::Allowed).about(Name::clear(&name)))?;
    write_new(&args.file, &bytes).map_err(cannot)?;
    if fs::read(&args.file).map_err(cannot)? != bytes {
        return Err(Trouble::new(Exit::Failure, format!("the copy {name} does not read back as it was written"))
            .fix("use another disk"));
    }
    term::say(global, &format!("copied to {name}, encrypted as it is; today's passphrase opens it"));
    tell(global, &custody, None)
}

fn restore(global: &Global, place: &Place, args: &VaultFileArgs) -> Result<(), Trouble> {
    let target = Custody::vault_path(&place.custody);
    if target.exists() {
        return Err(Trouble::new(Exit::Key, format!("there is a vault at {}", target.display()))
            .why("a copy never replaces it")
            .fix("move the custody directory away first; its audit log is evidence, keep it"));
    }
    let name = args.file.display().to_string();
    let cannot = |error: std::io::Error| {
        Trouble::new(Exit::Failure, format!("the copy {name} cannot be put in place"))
            .why(error)
            .fix("nothing was changed")
    };
    let limit = u64::try_from(::vault::format::FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = File::open(&args.file).map_err(cannot)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.custody).map_err(cannot)?;
    write_new(&target, &bytes).map_err(cannot)?;
    // It must open before it is believed; what does not open goes again.
    let opened = place.open(global);
    let (custody, _, trail) = match opened {
        Ok(opened) => opened,
        Err(trouble) if trouble.what.starts_with("an older vault") => return Err(trouble),
        Err(trouble) => {
            let _ = fs::remove_file(&target);
            return Err(trouble);
        }
    };
    trail.record(by_person(AuditVerb::VaultRestored, Decision::Done).about(Name::clear(&name)))?;
    term::say(global, &format!("restored from {name}"));
    tell(global, &custody, None)
}

fn accept_rollback(global: &Global, place: &Place, args: &VaultAcceptArgs) -> Result<(), Trouble> {
    let vault = unlock::look(global, &place.custody, &place.settings)?;
    let seen = Custody::seen_generation(&place.custody).map_err(|error| place.trouble(&error))?;
    let found = vault.generation();
    if found >= seen {
        return Err(Trouble::new(Exit::NotFound, "there is nothing to accept")
            .why(format!("the vault is generation {found}, and none above {seen} was seen")));
    }
    if found != args.generation {
        return Err(Trouble::new(
            Exit::Key,
            format!("the vault in place is generation {found}, not {}", args.generation),
        )
        .fix("name the one that you mean to accept, as the refusal named it"));
    }
    let words = format!("generation {found} in place of {seen}");
    let entry = by_person(AuditVerb::RollbackAccepted, Decision::Allowed).because(words);
    // A log that is gone has nothing to say against it; the new one that begins then says that it was gone.
    let log_is_there = place.custody.join(Custody::AUDIT_DIR).exists();
    let recorded = log_is_there && audit_trail::record_beside(&place.custody, &vault, &entry)?;
    let mut custody = Custody::accept_older(vault, &place.custody).map_err(|error| place.trouble(&error))?;
    let trail = Trail::open(&mut custody, &place.custody, Arc::new(SystemClock))?;
    if !recorded {
        trail.record(entry)?;
    }
    term::say(global, &format!("generation {found} was accepted in place of {seen}"));
    tell(global, &custody, None)
}

const fn kind_of(slot: VaultSlot) -> SlotKind {
    match slot {
        VaultSlot::Machine => SlotKind::Machine,
        VaultSlot::Recovery => SlotKind::Recovery,
    }
}

fn add_slot(global: &Global, place: &Place, args: &VaultAddSlotArgs) -> Result<(), Trouble> {
    let kind = kind_of(args.slot);
    let (mut custody, _, trail) = place.open(global)?;
    if custody.vault().slot_kinds().any(|other| other == kind) {
        return Err(Trouble::new(Exit::Key, format!("the vault has a {kind} slot already"))
            .fix(format!("steadfast vault remove-slot {kind}, then add it anew")));
    }
    let mut bytes = Zeroizing::new([0_u8; ::vault::SECRET_BYTES_MIN]);
    getrandom::fill(&mut *bytes).map_err(|_| Trouble::new(Exit::Failure, "the machine gives no randomness"))?;
    let secret = SecretBytes::from_slice(&*bytes)
        .map_err(|error| Trouble::new(Exit::Key, "no safe memory for a secret").why(causes(&error)))?;
    let digits = Zeroizing::new(hex::encode(*bytes));
    if let Some(path) = &args.key_file {
        let name = path.display();
        let line = Zeroizing::new(format!("{} {}\n", Opener::MACHINE, *digits));
        // Before the slot: a slot whose secret nobody has would be worse than a file that opens nothing.
        write_new(path, line.as_bytes()).map_err(|error| {
            Trouble::new(Exit::Failure, format!("the key file {name} cannot be written"))
                .why(error)
                .fix("name a file that is not there yet")
        })?;
    }
    let entry = by_person(AuditVerb::SlotAdded, Decision::Allowed).about(Name::clear(kind.to_string()));
    let added = place.change(&mut custody, &trail, entry, |vault| vault.add_secret_slot(kind, &secret));
    if let (Err(_), Some(path)) = (&added, &args.key_file) {
        let _ = fs::remove_file(path);
    }
    added?;
    match &args.key_file {
        Some(path) if args.slot == VaultSlot::Machine => term::say(
            global,
            &format!(
                "the vault opens by {} too; keep it on this machine alone:\nunlock = \"file:{}\" in [vault], or systemd-creds encrypt --name=vault-passphrase {} FILE",
                path.display(),
                path.display(),
                path.display()
            ),
        ),
        _ => {
            let groups: Vec<&str> = (0..8_usize).filter_map(|group| digits.get(group * 8..group * 8 + 8)).collect();
            let code = Zeroizing::new(format!("{}-{}", Opener::RECOVERY, groups.join("-")));
            term::say(
                global,
                "recovery code, shown once: write it down, keep it away from this machine. It opens the vault where\nthe passphrase is asked for",
            );
            term::data(&code);
        }
    }
    Ok(())
}

fn remove_slot(global: &Global, place: &Place, args: &VaultRemoveSlotArgs) -> Result<(), Trouble> {
    let kind = kind_of(args.slot);
    let (mut custody, _, trail) = place.open(global)?;
    if !custody.vault().slot_kinds().any(|other| other == kind) {
        return Err(Trouble::new(Exit::NotFound, format!("the vault has no {kind} slot")));
    }
    let entry = by_person(AuditVerb::SlotRemoved, Decision::Allowed).about(Name::clear(kind.to_string()));
    place.change(&mut custody, &trail, entry, |vault| vault.remove_slot(kind))?;
    term::data(&format!("the {kind} slot was removed"));
    forget(global, place, &mut custody, &args.forget, "its secret")
}

/// Writes a file that was not there, for its owner alone, so that it lasts.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
