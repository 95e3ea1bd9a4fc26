//! `steadfast keys`: linking, listing and testing exchange API keys.

use crate::audit_trail::Trail;
use crate::cli::{Global, KeysAddArgs, KeysCommand, Role};
use crate::commands::client::Target;
use crate::commands::keys_life::{self, Keeper};
use crate::commands::keys_rotate;
use crate::commands::keys_verify::{Verified, try_out, verify};
use crate::commands::{keys_policy, keys_seal};
use crate::data_dir::DataDir;
use crate::key_book::role_word;
use crate::plan::{self, VenuePlan};
use crate::report::{Exit, Trouble, causes};
use crate::{commands, key_desk, term, unlock};
use clock::SystemClock;
use control_plane::KeyDetail;
use domain::Clock;
use key_manager::KeyDates;
use messages::{KeyAlias, KeyRole, KeyState};
use order_signer::{Custody, CustodyError, EpochStore, KeyRecord, KeySecrets, NewKey};
use secrets::SecretBytes;
use settings::{IpBinding, Settings};
use std::io::BufRead as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How a key gets here without a terminal.
const UNATTENDED: &str = "give key, secret and passphrase, a line each, by --stdin or --from-file FILE (mode 0600)";
/// `steadfast keys ...`
///
/// # Errors
/// [`Trouble`] that names which of key, signature, passphrase, address, permission, clock or environment failed.
pub fn run(global: &Global, command: &KeysCommand, target: &Target) -> Result<(), Trouble> {
    let keeper = keys_life::keeper(global, target)?;
    match (command, keeper) {
        (KeysCommand::Add(args), Keeper::Nobody(place)) => add(global, args, *place),
        (KeysCommand::Add(args), Keeper::Daemon(client)) => keys_seal::add(global, args, &client),
        (KeysCommand::Policy(command), keeper) => keys_policy::run(global, command, keeper),
        (KeysCommand::List, keeper) => list(global, keeper),
        (KeysCommand::Test(args), Keeper::Nobody(place)) => test(global, &args.alias, &place),
        (KeysCommand::Test(args), Keeper::Daemon(client)) => keys_life::test(global, &args.alias, &client),
        (KeysCommand::Show(args), keeper) => keys_life::show(global, &args.alias, keeper),
        (KeysCommand::Disable(args), keeper) => keys_life::disable(global, args, keeper),
        (KeysCommand::Enable(args), keeper) => keys_life::enable(global, args, keeper),
        (KeysCommand::Rotate(args), keeper) => keys_rotate::run(global, args, keeper),
        (KeysCommand::Revoke(args), keeper) => keys_life::revoke(global, args, keeper),
        (KeysCommand::Audit(args), keeper) => keys_life::audit(global, args, keeper),
    }
}

/// What a command works on while no daemon runs.
pub(crate) struct Place {
    /// The settings.
    pub(crate) settings: Settings,
    /// The data directory, locked.
    pub(crate) dir: DataDir,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Locks the data directory of the settings.
///
/// # Errors
/// [`Trouble`]; what is said of a directory in use ends with `is in use`.
pub(crate) fn place(global: &Global) -> Result<Place, Trouble> {
    let loaded = commands::check::load(global, &[]).map_err(|problems| commands::check::trouble(&problems))?;
    let settings = loaded.settings;
    let dir = DataDir::open(settings.data_dir())?;
    Ok(Place { settings, dir, clock: Arc::new(SystemClock) })
}

/// Links a key: tries it on the exchange from a vault of its own that goes afterwards, and stores it only when the
/// exchange knows it and it may not do what no key here may do.
fn add(global: &Global, args: &KeysAddArgs, place: Place) -> Result<(), Trouble> {
    let alias = KeyAlias::from(&args.alias).map_err(|_| {
        Trouble::new(Exit::Failure, "the key's name is too long").fix("at most 32 characters, such as bitget-main")
    })?;
    let (account, mut venue) = account_of(&place.settings, &args.alias, args)?;
    if args.allow_unbound {
        venue.ip_binding = IpBinding::Warn;
    }
    let role = if args.role == Role::Trade { KeyRole::Trade } else { KeyRole::Stream };
    let dir = place.settings.vault_dir();
    let unlock = &place.settings.vault.unlock;
    // A vault that is there is opened first: nobody types a key only to hear that its name is taken.
    let opened = if Custody::exists(&dir) { Some(unlock::open(global, &dir, &place.settings.vault)?) } else { None };
    if let Some(custody) = &opened {
        may_be_added(custody, &args.alias, &account, role)?;
    }
    let secrets = read_secrets(global, args)?;
    let wallets = choose_wallets(global, args)?;
    let existed = opened.is_some();
    let mut custody = match opened {
        Some(custody) => custody,
        None => unlock::create(global, &dir, unlock, vault::KdfParams::DEFAULT, place.clock.unix())?,
    };
    let known = custody.list().find(|record| record.fingerprint == secrets.fingerprint());
    let again = known.is_some_and(|known| known.alias == alias && known.state == KeyState::Linked);
    if let (Some(known), false) = (known, again) {
        return Err(custody_trouble(&CustodyError::KnownKey { alias: known.alias, state: known.state }));
    }
    let environment = place.settings.venue.get(&account).map_or("sim", |venue| venue.environment.word());
    let new = NewKey {
        alias,
        venue: args.venue.clone(),
        environment: environment.to_owned(),
        account,
        role,
        wallets,
        stream_login_confirmed: role == KeyRole::Stream || venue.login_confirmed,
    };
    if !new.stream_login_confirmed && venue.stream_key.is_none() {
        ask_for_stream_key(global, &new.account);
    }
    term::say(global, &format!("verifying key `{alias}` with the exchange"));
    let mut verified = try_out(global, &place, venue, &new, &secrets)?;
    if verified.is_worth_keeping() {
        if let Some(policy) = &verified.policy {
            keys_policy::confirmed(global, &alias, args.yes, policy)?;
        }
        let trail = Trail::open(&mut custody, &dir, Arc::clone(&place.clock))?;
        if !existed {
            trail.vault_created()?;
        }
        trail.linking(&args.alias, role_word(role), &verified.state, &secrets.fingerprint())?;
        store(&mut custody, new, &secrets, &verified, place.clock.unix()).map_err(|error| custody_trouble(&error))?;
        verified.stored = true;
        if again {
            term::say(global, &format!("key `{alias}` was linked before: its secret and passphrase are replaced"));
        }
    }
    drop(secrets);
    finish(global, &verified)
}

/// Whether a key of this name may come into the vault; a key that never worked gives way to it.
fn may_be_added(custody: &Custody, alias: &str, account: &str, role: KeyRole) -> Result<(), Trouble> {
    if let Ok(record) = custody.show(alias)
        && record.state != KeyState::Revoked
        && record.verified.is_some()
    {
        return Err(Trouble::new(Exit::Key, format!("there is a key `{alias}` already"))
            .why(format!("it is {}", record.state.as_str()))
            .fix(format!("steadfast keys test {alias}, or link the new key under another name")));
    }
    let rival = custody.list().find(|other| {
        other.alias.as_str() != alias
            && other.state == KeyState::Active
            && other.account == account
            && other.role == role
    });
    match rival {
        Some(rival) => Err(Trouble::new(Exit::Key, format!("the account `{account}` has an Active key already"))
            .why(format!("it is `{}`, and two keys of one account cannot trade at once", rival.alias))
            .fix(format!(
                "keep key = \"{}\" in the account's settings, or link the new key in another data directory (--data-dir)",
                rival.alias
            ))),
        None => Ok(()),
    }
}

/// Verifies a key that is to take over, as [`try_out`]; what the exchange says of it.
pub(crate) fn try_next(
    global: &Global,
    place: &Place,
    venue: VenuePlan,
    new: &NewKey,
    secrets: &KeySecrets,
) -> Result<messages::KeyInfo, Trouble> {
    let verified = try_out(global, place, venue, new, secrets)?;
    match &verified.info {
        Some(info) if verified.state == KeyState::Active => Ok(info.clone()),
        _ => Err(finish(global, &verified).err().unwrap_or_else(|| {
            Trouble::new(Exit::Key, format!("key `{}` was not verified", new.alias)).fix("nothing was stored")
        })),
    }
}

/// Stores a key as what its trial has shown it to be.
fn store(
    custody: &mut Custody,
    new: NewKey,
    secrets: &KeySecrets,
    verified: &Verified,
    now: domain::UnixNanos,
) -> Result<(), CustodyError> {
    let alias = new.alias;
    let another = |record: &KeyRecord| record.fingerprint != secrets.fingerprint();
    if custody.show(&alias).is_ok_and(|record| record.state != KeyState::Revoked && another(record)) {
        custody.set_state(&alias, KeyState::Revoked, "another key was linked under its name", now)?;
    }
    custody.add(new, secrets, now)?;
    if let Some(policy) = &verified.policy {
        custody.begin_policy(&alias, &policy.to_text(), now)?;
    }
    let active = verified.state == KeyState::Active;
    if let Some(info) = &verified.info {
        custody.learn(&alias, info, active, now)?;
    }
    if active {
        custody.set_state(&alias, KeyState::Verifying, "being verified", now)?;
        custody.set_state(&alias, KeyState::Active, &verified.reason, now)?;
    }
    Ok(())
}

fn test(global: &Global, alias: &str, place: &Place) -> Result<(), Trouble> {
    let custody = unlock::open(global, &place.settings.vault_dir(), &place.settings.vault)?;
    let record = custody.show(alias).map_err(|error| Trouble { exit: Exit::NotFound, ..custody_trouble(&error) })?;
    if record.state == KeyState::Revoked {
        return Err(Trouble::new(Exit::Key, format!("key `{alias}` is revoked")).fix("link a new key"));
    }
    verify_and_finish(global, place, custody, alias)
}

/// Verifies a key of the vault and says how it ended.
///
/// # Errors
/// [`Trouble`]: it is not Active.
pub(crate) fn verify_and_finish(
    global: &Global,
    place: &Place,
    mut custody: Custody,
    alias: &str,
) -> Result<(), Trouble> {
    let record = custody.show(alias).map_err(|error| keys_life::not_found(&error))?;
    let name = record.account.clone();
    let unbound = record.policy.is_empty() && record.state == KeyState::Linked && record.verified.is_none();
    let account = place.settings.venue.get(&name).ok_or_else(|| unknown_account(&name))?;
    let venue = plan::venue(&name, account);
    let alias = record.alias;
    // One that was linked while the exchange was silent has no policy yet, and would place nothing.
    if unbound && let Some(policy) = keys_policy::proposed_now(&plan::limits(&place.settings), &venue, &place.clock) {
        keys_policy::confirmed(global, &alias, false, &policy)?;
        custody.begin_policy(&alias, &policy.to_text(), place.clock.unix()).map_err(|error| custody_trouble(&error))?;
    }
    let trail = Trail::open(&mut custody, &place.settings.vault_dir(), Arc::clone(&place.clock))?;
    let verified = verify(global, place, &place.settings.vault_dir(), custody, venue, alias, trail.sink())?;
    trail.seal();
    finish(global, &Verified { stored: true, ..verified })
}

fn list(global: &Global, keeper: Keeper) -> Result<(), Trouble> {
    let place = match keeper {
        Keeper::Daemon(client) => return show_list(global, &keys_life::all(&client)?, SystemClock.unix()),
        Keeper::Nobody(place) => place,
    };
    let dir = place.settings.vault_dir();
    if !Custody::exists(&dir) {
        if global.json {
            term::data("[]");
        } else {
            term::data("no key has been linked yet");
            term::say(global, "next: steadfast keys add bitget-main --venue bitget");
        }
        return Ok(());
    }
    let custody = unlock::open(global, &dir, &place.settings.vault)?;
    let details: Vec<KeyDetail> =
        custody.list().map(|record| key_desk::detail(record, rotation_due(&place.settings, record))).collect();
    show_list(global, &details, place.clock.unix())
}

fn show_list(global: &Global, keys: &[KeyDetail], now: domain::UnixNanos) -> Result<(), Trouble> {
    let date = |at: jiff::Timestamp| at.strftime("%Y-%m-%d").to_string();
    if global.json {
        let row = |key: &KeyDetail| {
            serde_json::json!({
                "alias": key.alias, "venue": key.venue, "environment": key.environment, "account": key.account,
                "role": key.role, "status": key.status, "reason": key.reason, "rights": key.rights,
                "bound_addresses": key.bound_addresses, "fingerprint": key.fingerprint, "wallets": key.wallets,
                "created": date(key.created), "rotation_due": date(key.rotation_due),
                "verified": key.verified.map(date),
            })
        };
        term::data(&serde_json::Value::from(keys.iter().map(row).collect::<Vec<_>>()).to_string());
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["key", "venue", "role", "status", "rights", "address-bound", "age", "rotation due"]);
    for key in keys {
        let age = key_desk::time(now).as_second().saturating_sub(key.created.as_second()).max(0) / 86_400;
        let bound = match key.bound_addresses {
            0 => "no".to_owned(),
            count => format!("{count} address(es)"),
        };
        let row = [
            key.alias.clone(),
            format!("{} ({})", key.venue, key.environment),
            key.role.clone(),
            key.status.clone(),
            if key.rights.is_empty() { "not read yet".to_owned() } else { key.rights.join(", ") },
            bound,
            format!("{age} d"),
            date(key.rotation_due),
        ];
        table.add_row(row.map(|text| commands::client::plain(&text)));
    }
    term::data(&table.to_string());
    Ok(())
}

/// When a key should be replaced, by the settings of its account where they still have it.
pub(crate) fn rotation_due(settings: &Settings, record: &KeyRecord) -> domain::UnixNanos {
    let policy = settings.venue.get(&record.account).map(|venue| venue.key_policy.clone()).unwrap_or_default();
    let (rotate_after, warn_before) = (policy.rotate_after, policy.warn_before);
    KeyDates { created: record.created, expires: record.expires, rotate_after, warn_before }.rotation_due()
}

/// The venue account of the settings that uses a key of this name.
pub(crate) fn account_of(settings: &Settings, alias: &str, args: &KeysAddArgs) -> Result<(String, VenuePlan), Trouble> {
    if args.venue != "bitget" {
        return Err(Trouble::new(Exit::Usage, format!("unknown venue `{}`", args.venue)).fix("known: bitget"));
    }
    let (name, account) =
        settings.venue.iter().find(|(_, venue)| names_of(venue).any(|name| name == alias)).ok_or_else(|| {
            let known: Vec<&str> = settings.venue.values().flat_map(names_of).collect();
            Trouble::new(Exit::Settings, format!("no venue account of the settings uses a key named `{alias}`"))
                .why(if known.is_empty() {
                    "there is no venue account".to_owned()
                } else {
                    format!("they use: {}", known.join(", "))
                })
                .fix(format!("set key = \"{alias}\" in config/venues/bitget.toml, or use one of those names"))
        })?;
    if args.demo && account.environment != settings::Environment::Demo {
        return Err(Trouble::new(
            Exit::Key,
            format!("`{alias}` is said to be a demo key, but the account `{name}` is not a demo account"),
        )
        .why(format!("its environment is \"{}\"", account.environment.word()))
        .fix("leave out --demo, or set environment = \"demo\" in config/venues/bitget.toml"));
    }
    let found = plan::venue(name, account);
    if (account.stream_key.as_deref() == Some(alias)) != (args.role == Role::Stream) {
        let (place, role) = if args.role == Role::Stream { ("key", "stream") } else { ("stream_key", "trade") };
        return Err(Trouble::new(Exit::Usage, format!("`{alias}` cannot be linked with --role {role}"))
            .why(format!("the account `{name}` names it as its `{place}`"))
            .fix("link read-only keys with --role stream, and name them as `stream_key` in the account's settings"));
    }
    Ok((name.clone(), found))
}

/// The keys that an account of the settings names.
fn names_of(venue: &settings::Venue) -> impl Iterator<Item = &str> {
    std::iter::once(venue.key.as_str()).chain(venue.stream_key.as_deref())
}

fn unknown_account(name: &str) -> Trouble {
    Trouble::new(Exit::Settings, format!("the settings have no venue account `{name}`"))
        .why("the key was linked for it")
        .fix("restore the account in config/venues/")
}

/// Asks for, or reads, the three values of a key.
pub(crate) fn read_secrets(global: &Global, args: &KeysAddArgs) -> Result<KeySecrets, Trouble> {
    let (key, secret, passphrase) = if args.stdin {
        three_lines(&mut std::io::stdin().lock())?
    } else if let Some(path) = &args.from_file {
        let text = unlock::read_secret_file(path)?;
        three_lines(&mut text.as_bytes())?
    } else {
        (
            term::ask_secret(global, "API key: ", UNATTENDED)?,
            term::ask_secret(global, "secret: ", UNATTENDED)?,
            term::ask_secret(global, "passphrase of the key: ", UNATTENDED)?,
        )
    };
    let locked = |text: &Zeroizing<String>| {
        SecretBytes::from_slice(text.trim().as_bytes())
            .map_err(|error| Trouble::new(Exit::Key, "no safe memory for the key").why(causes(&error)))
    };
    Ok(KeySecrets { key: locked(&key)?, secret: locked(&secret)?, passphrase: locked(&passphrase)? })
}

type Three = (Zeroizing<String>, Zeroizing<String>, Zeroizing<String>);

fn three_lines(input: &mut dyn std::io::BufRead) -> Result<Three, Trouble> {
    let mut next = || -> Result<Zeroizing<String>, Trouble> {
        let mut line = Zeroizing::new(String::with_capacity(512));
        std::io::Read::take(&mut *input, 512)
            .read_line(&mut line)
            .map_err(|error| Trouble::new(Exit::Key, "the key could not be read").why(error))?;
        if line.trim().is_empty() {
            return Err(Trouble::new(Exit::Key, "the key could not be read")
                .why("three lines are expected: API key, secret, passphrase")
                .fix("nothing was stored; give the three lines again"));
        }
        Ok(line)
    };
    Ok((next()?, next()?, next()?))
}

pub(crate) fn choose_wallets(global: &Global, args: &KeysAddArgs) -> Result<Vec<String>, Trouble> {
    const KNOWN: [&str; 4] = ["spot", "margin", "futures", "funding"];
    let asks = args.wallets.is_empty() && !args.stdin && args.from_file.is_none() && term::can_ask(global);
    let mut wallets = args.wallets.clone();
    if asks {
        eprint!("wallets to follow (spot, margin, futures, funding) [spot]: ");
        let mut line = String::new();
        let _ = std::io::stdin().lock().read_line(&mut line);
        wallets = line.split([',', ' ', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    }
    if wallets.is_empty() {
        wallets.push("spot".to_owned());
    }
    match wallets.iter().find(|wallet| !KNOWN.contains(&wallet.as_str())) {
        Some(unknown) => Err(Trouble::new(Exit::Usage, format!("unknown wallet `{unknown}`"))
            .fix("known: spot, margin, futures, funding")),
        None => Ok(wallets),
    }
}

/// The account's private stream has nobody to log in.
fn ask_for_stream_key(global: &Global, account: &str) {
    term::say(
        global,
        &format!(
            "note: this key will not log in to the private stream: where the exchange has granted order entry over\n\
             WebSocket, a log-in is a right to place orders. Either link a read-only key and name it as\n\
             stream_key in [venue.{account}], or, if order entry was never requested for this account,\n\
             set ws_order_entry = \"none\" there"
        ),
    );
}

/// Begins the next epoch of a custody directory.
///
/// # Errors
/// [`Trouble`]: nothing may be signed.
pub fn epoch(dir: &Path) -> Result<order_signer::Identity, Trouble> {
    EpochStore::open(dir).map(|store| store.identity()).map_err(|error| {
        Trouble::new(Exit::Failure, "no epoch to sign under")
            .why(causes(&error))
            .fix("check the disk and the custody directory's permissions")
    })
}

fn finish(global: &Global, verified: &Verified) -> Result<(), Trouble> {
    let alias = verified.alias;
    if global.json {
        let line = serde_json::json!({
            "alias": alias.as_str(), "status": verified.state.as_str(), "reason": verified.reason, "probes": verified.lines,
        });
        term::data(&line.to_string());
    }
    if verified.state == KeyState::Active {
        if !global.json {
            term::data(&format!("status: Active (key `{alias}`)"));
        }
        for line in verified.lines.iter().filter(|line| line.ok) {
            if let Some(fix) = &line.fix {
                term::say(global, &format!("note: {fix}"));
            }
        }
        return Ok(());
    }
    let failed = verified.failed();
    let exit = if failed.is_some_and(|line| line.what == key_manager::what(messages::ProbeFault::Venue)) {
        Exit::Failure
    } else {
        Exit::Key
    };
    let state = if verified.stored { verified.state.as_str() } else { "not linked" };
    let what = failed.map_or_else(
        || format!("key `{alias}` is {state}"),
        |line| format!("key `{alias}` is {state}: {} failed", line.what),
    );
    let why = failed.map_or(verified.reason.clone(), |line| line.detail.clone());
    let test = format!("`steadfast keys test {alias}`");
    let fix = match failed.and_then(|line| line.fix.as_deref()) {
        // The daemon would try again by itself; this command has ended.
        Some(_) if exit == Exit::Failure => Some("check the address in config/venues/ and the network".to_owned()),
        fix => fix.map(str::to_owned),
    };
    let then = match (verified.stored, &fix) {
        (false, _) => "nothing was stored".to_owned(),
        (true, Some(fix)) if fix.contains(&test) => format!("the key is stored as {state} meanwhile"),
        (true, _) => format!("the key is stored as {state}; try it again with {test}"),
    };
    Err(Trouble::new(exit, what).why(why).fix(fix.map_or(then.clone(), |fix| format!("{fix}\n{then}"))))
}

/// What a person reads about a vault or key that cannot be used.
#[must_use]
pub fn custody_trouble(error: &CustodyError) -> Trouble {
    let trouble = Trouble::new(Exit::Key, "the key cannot be used").why(causes(error));
    match error {
        CustodyError::Io { .. } | CustodyError::Vault(vault::VaultError::Io { .. }) => {
            Trouble { exit: Exit::Failure, what: "the vault cannot be read or written".to_owned(), ..trouble }
                .fix("check the disk's room and the directory's permissions; the vault is as it was")
        }
        CustodyError::NoSuchKey { alias } => Trouble::new(Exit::Key, format!("there is no key `{alias}` in the vault"))
            .fix(format!("steadfast keys add {alias} --venue bitget")),
        CustodyError::AliasTaken { alias } => Trouble::new(Exit::Key, format!("there is a key `{alias}` already"))
            .fix("link the new key under another name"),
        CustodyError::KnownKey { state: KeyState::Active, .. } => {
            trouble.fix("use the key under that name, or create a new one on the exchange")
        }
        CustodyError::KnownKey { alias, state: KeyState::Linked } => {
            trouble.fix(format!("steadfast keys test {alias}, or link it again under that name to replace its values"))
        }
        CustodyError::KnownKey { alias, .. } => trouble.fix(format!(
            "steadfast keys test {alias}; if its values were wrong, create a new key on the exchange and link that"
        )),
        CustodyError::BadValues { .. } => {
            trouble.fix("paste the three values as the exchange shows them; nothing was stored")
        }
        CustodyError::OtherActive { active } => {
            trouble.fix(format!("the account's key `{active}` is Active; a second one waits for rotation"))
        }
        _ => trouble,
    }
}
