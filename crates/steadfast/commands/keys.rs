//! `steadfast keys`: linking, listing and testing exchange API keys while the daemon is stopped.

use crate::caretaker::{CareNews, CareWires, Caretaker, KeyOf, role_word};
use crate::cli::{Global, KeysAddArgs, KeysCommand, Role};
use crate::data_dir::DataDir;
use crate::plan::{self, VenuePlan};
use crate::report::{Exit, Trouble, causes};
use crate::station::{Ears, InlineSeat, Parts, Station};
use crate::{commands, term, unlock};
use clock::SystemClock;
use domain::{Clock, InstrumentId, VenueId};
use hot_actor::HotConfig;
use key_manager::KeyCare;
use messages::{Control, KeyAlias, KeyRole, KeyState, RefuseReason, SignQuery, TopUsed};
use order_gateway::{LinkConfig, WireLog, WireLogBounds};
use order_path::{Core, Now, Setup, VenueSetup};
use order_signer::{Custody, CustodyError, EpochStore, KeyRecord, KeySecrets, NewKey};
use secrets::SecretBytes;
use settings::{IpBinding, Settings};
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const VENUE: VenueId = VenueId(0);
/// Longest wait for a verification, retries included.
const VERIFY_MAX: Duration = Duration::from_secs(60);

/// `steadfast keys ...`
///
/// # Errors
/// [`Trouble`] that names which of key, signature, passphrase, address, permission, clock or environment failed.
pub fn run(global: &Global, command: &KeysCommand) -> Result<(), Trouble> {
    match command {
        KeysCommand::Add(args) => add(global, args),
        KeysCommand::List => list(global),
        KeysCommand::Test(args) => test(global, &args.alias),
    }
}

struct Place {
    settings: Settings,
    dir: DataDir,
    clock: Arc<dyn Clock>,
}

fn place(global: &Global) -> Result<Place, Trouble> {
    let loaded = commands::check::load(global, &[]).map_err(|problems| commands::check::trouble(&problems))?;
    let settings = loaded.settings;
    let dir = DataDir::open(settings.data_dir()).map_err(|trouble| {
        if trouble.what.ends_with("is in use") {
            trouble.fix("stop the daemon first: keys can be linked beside a running daemon once sealed entry exists")
        } else {
            trouble
        }
    })?;
    Ok(Place { settings, dir, clock: Arc::new(SystemClock) })
}

fn add(global: &Global, args: &KeysAddArgs) -> Result<(), Trouble> {
    let place = place(global)?;
    let alias = KeyAlias::from(&args.alias).map_err(|_| {
        Trouble::new(Exit::Failure, "the key's name is too long").fix("at most 32 characters, such as bitget-main")
    })?;
    let (account, mut venue) = account_of(&place.settings, &args.alias, args)?;
    if args.allow_unbound {
        venue.ip_binding = IpBinding::Warn;
    }
    let secrets = read_secrets(global, args)?;
    let wallets = choose_wallets(global, args)?;
    let custody_dir = place.settings.vault_dir();
    let mut custody = if Custody::exists(&custody_dir) {
        unlock::open(global, &custody_dir, &place.settings.vault.unlock)?
    } else {
        let cost = vault::KdfParams::DEFAULT;
        unlock::create(global, &custody_dir, &place.settings.vault.unlock, cost, place.clock.unix())?
    };
    let environment = place.settings.venue.get(&account).map_or("sim", |venue| venue.environment.word());
    let new = NewKey {
        alias,
        venue: args.venue.clone(),
        environment: environment.to_owned(),
        account: account.clone(),
        role: if args.role == Role::Trade { KeyRole::Trade } else { KeyRole::Stream },
        wallets,
        stream_login_confirmed: true,
    };
    let added = custody.add(new, &secrets, place.clock.unix()).map(|_| ());
    match added {
        Ok(()) => term::say(global, &format!("key `{alias}` linked; verifying it with the exchange")),
        Err(CustodyError::AliasTaken { .. }) if can_be_tried_again(&custody, &args.alias) => {
            return Err(Trouble::new(Exit::Key, format!("there is a key `{alias}` already"))
                .why("it was linked before and is not Active")
                .fix(format!("steadfast keys test {alias}, or link the new key under another name")));
        }
        Err(error) => return Err(custody_trouble(&error)),
    }
    drop(secrets);
    let verified = verify(global, &place, custody, venue, alias)?;
    finish(global, &verified)
}

fn can_be_tried_again(custody: &Custody, alias: &str) -> bool {
    custody.show(alias).is_ok_and(|record| record.state != KeyState::Active)
}

fn test(global: &Global, alias: &str) -> Result<(), Trouble> {
    let place = place(global)?;
    let custody = unlock::open(global, &place.settings.vault_dir(), &place.settings.vault.unlock)?;
    let record = custody.show(alias).map_err(|error| custody_trouble(&error))?;
    if record.state == KeyState::Revoked {
        return Err(Trouble::new(Exit::Key, format!("key `{alias}` is revoked")).fix("link a new key"));
    }
    let name = record.account.clone();
    let account = place.settings.venue.get(&name).ok_or_else(|| unknown_account(&name))?;
    let venue = plan::venue(&name, account);
    let alias = record.alias;
    let verified = verify(global, &place, custody, venue, alias)?;
    finish(global, &verified)
}

fn list(global: &Global) -> Result<(), Trouble> {
    let place = place(global)?;
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
    let custody = unlock::open(global, &dir, &place.settings.vault.unlock)?;
    if global.json {
        let rows: Vec<_> = custody.list().map(as_json).collect();
        term::data(&serde_json::Value::from(rows).to_string());
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["key", "venue", "role", "status", "rights", "address-bound", "age", "rotation due"]);
    for record in custody.list() {
        let rights: Vec<&str> = record.rights.iter().map(|right| right.as_str()).collect();
        table.add_row([
            record.alias.to_string(),
            format!("{} ({})", record.venue, record.environment),
            role_word(record.role).to_owned(),
            record.state.as_str().to_owned(),
            if rights.is_empty() { "not read yet".to_owned() } else { rights.join(", ") },
            if record.bound_addresses == 0 {
                "no".to_owned()
            } else {
                format!("{} address(es)", record.bound_addresses)
            },
            format!("{} d", place.clock.unix().0.saturating_sub(record.created.0) / DAY_NS),
            date(record.rotation_due()),
        ]);
    }
    term::data(&table.to_string());
    Ok(())
}

const DAY_NS: u64 = 86_400 * 1_000_000_000;

fn date(at: domain::UnixNanos) -> String {
    let seconds = i64::try_from(at.0 / 1_000_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "never".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

fn as_json(record: &KeyRecord) -> serde_json::Value {
    serde_json::json!({
        "alias": record.alias.as_str(), "venue": record.venue, "environment": record.environment,
        "account": record.account, "role": role_word(record.role), "status": record.state.as_str(),
        "reason": record.reason, "rights": record.rights, "bound_addresses": record.bound_addresses,
        "fingerprint": record.fingerprint, "wallets": record.wallets,
        "created": date(record.created), "rotation_due": date(record.rotation_due()),
        "verified": record.verified.map(date),
    })
}

/// The venue account of the settings that uses a key of this name.
fn account_of(settings: &Settings, alias: &str, args: &KeysAddArgs) -> Result<(String, VenuePlan), Trouble> {
    if args.venue != "bitget" {
        return Err(Trouble::new(Exit::NotFound, format!("unknown venue `{}`", args.venue)).fix("known: bitget"));
    }
    let (name, account) = settings.venue.iter().find(|(_, venue)| venue.key == alias).ok_or_else(|| {
        let known: Vec<&str> = settings.venue.values().map(|venue| venue.key.as_str()).collect();
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
    Ok((name.clone(), plan::venue(name, account)))
}

fn unknown_account(name: &str) -> Trouble {
    Trouble::new(Exit::Settings, format!("the settings have no venue account `{name}`"))
        .why("the key was linked for it")
        .fix("restore the account in config/venues/")
}

/// Asks for, or reads, the three values of a key.
fn read_secrets(global: &Global, args: &KeysAddArgs) -> Result<KeySecrets, Trouble> {
    let (key, secret, passphrase) = if args.stdin {
        three_lines(&mut std::io::stdin().lock())?
    } else if let Some(path) = &args.from_file {
        let text = unlock::read_secret_file(path)?;
        three_lines(&mut text.as_bytes())?
    } else {
        (
            term::ask_secret(global, "API key: ")?,
            term::ask_secret(global, "secret: ")?,
            term::ask_secret(global, "passphrase of the key: ")?,
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
                .why("three lines are expected: API key, secret, passphrase"));
        }
        Ok(line)
    };
    Ok((next()?, next()?, next()?))
}

fn choose_wallets(global: &Global, args: &KeysAddArgs) -> Result<Vec<String>, Trouble> {
    const KNOWN: [&str; 4] = ["spot", "margin", "futures", "funding"];
    let asks = args.wallets.is_empty() && !global.no_input && !args.stdin && std::io::stdin().is_terminal();
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
        Some(unknown) => Err(Trouble::new(Exit::Failure, format!("unknown wallet `{unknown}`"))
            .fix("known: spot, margin, futures, funding")),
        None => Ok(wallets),
    }
}

struct NoBoard;

impl order_path::Board for NoBoard {
    fn top(&self, _instrument: InstrumentId) -> Result<TopUsed, RefuseReason> {
        Err(RefuseReason::InvalidBook)
    }
}

/// What a verification came to.
struct Verified {
    alias: KeyAlias,
    state: KeyState,
    reason: String,
    lines: Vec<key_manager::ProbeLine>,
}

/// Wires order path, signer and gateway for one account, without feed or strategies, and verifies its key.
fn verify(
    global: &Global,
    place: &Place,
    custody: Custody,
    venue: VenuePlan,
    alias: KeyAlias,
) -> Result<Verified, Trouble> {
    net::install_tls_provider();
    actix_rt::System::new().block_on(verify_on(global, place, custody, venue, alias))
}

async fn verify_on(
    global: &Global,
    place: &Place,
    custody: Custody,
    venue: VenuePlan,
    alias: KeyAlias,
) -> Result<Verified, Trouble> {
    let (news_sender, mut news) = tokio::sync::mpsc::channel::<CareNews>(64);
    let station = station(place, &custody, &venue, alias, &news_sender)?;
    let lines = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (seen, asks, controls) =
        (std::rc::Rc::clone(&lines), station.lanes().queries.clone(), station.lanes().urgent.clone());
    let shows = !global.json && !global.quiet;
    let wires = CareWires {
        ask: Box::new(move |query: SignQuery| asks.try_post(query).is_ok()),
        control: Box::new(move |control| drop(controls.post_wait(order_path::Urgent::Control(control)))),
        line: Box::new(move |_, line| {
            if shows {
                let mark = if line.ok { "ok  " } else { "FAIL" };
                eprintln!("  {mark} {}: {}", line.what, line.detail);
            }
            seen.borrow_mut().push(line.clone());
        }),
        moved: Box::new(|_, _, _| {}),
    };
    let keys = [KeyOf { venue: VENUE, alias, allow_unbound: venue.ip_binding != IpBinding::Required }];
    let mut caretaker =
        Caretaker::start(custody, &keys, wires, Arc::clone(&place.clock)).map_err(|error| custody_trouble(&error))?;
    if !caretaker.verifying(VENUE) && caretaker.state(VENUE).is_some_and(|state| state != KeyState::Active) {
        let state = caretaker.state(VENUE).unwrap_or(KeyState::Linked);
        station.stop(Duration::from_secs(2)).await;
        return Err(Trouble::new(Exit::Key, format!("key `{alias}` is {}", state.as_str()))
            .why("a key in this state is not verified again without a person's written reason")
            .fix("link a new key under another name"));
    }
    let mut tick = tokio::time::interval(KeyCare::tick_every());
    let deadline = tokio::time::sleep(VERIFY_MAX);
    tokio::pin!(deadline);
    while caretaker.verifying(VENUE) {
        tokio::select! {
            Some(heard) = news.recv() => caretaker.hear(heard),
            _ = tick.tick() => caretaker.tick(),
            () = &mut deadline => break,
        }
    }
    station.stop(Duration::from_secs(2)).await;
    if let Some(error) = caretaker.troubles().first() {
        return Err(custody_trouble(error));
    }
    let record = caretaker.records().find(|record| record.alias == alias);
    let reason = record.map(|record| record.reason.clone()).unwrap_or_default();
    let state = caretaker.state(VENUE).unwrap_or(KeyState::Linked);
    let failed = caretaker.failed(VENUE);
    drop(caretaker);
    let lines = lines.borrow().clone();
    if failed && state == KeyState::Active {
        return Ok(Verified {
            alias,
            state: KeyState::Verifying,
            reason: "the last verification failed".to_owned(),
            lines,
        });
    }
    Ok(Verified { alias, state, reason, lines })
}

fn station(
    place: &Place,
    custody: &Custody,
    venue: &VenuePlan,
    alias: KeyAlias,
    news: &tokio::sync::mpsc::Sender<CareNews>,
) -> Result<Station, Trouble> {
    let clock = Arc::clone(&place.clock);
    let identity = epoch(&place.settings.vault_dir())?;
    let signer = custody
        .load_signer(&alias, Arc::clone(&venue.codecs.signing), Arc::clone(&clock), identity)
        .map_err(|error| custody_trouble(&error))?;
    let setup = Setup {
        venues: vec![VenueSetup {
            tag: identity.tag,
            epoch: identity.epoch,
            rates: venue.codecs.capabilities.budgets.to_vec(),
        }],
        instruments: Vec::new(),
        strategies: Vec::new(),
        account: venue.name.clone(),
        limits: plan::limits(&place.settings),
        index_delay: place.settings.order_path.index_delay,
        hold_on_other_instance: false,
        halted: None,
    };
    let mut link = LinkConfig::new(VENUE, venue.name.clone(), venue.rest.clone(), (&venue.codecs).into());
    link.plaintext = venue.plaintext;
    link.answer_patience = venue.rest_timeout;
    let recorder = WireLog::open(&place.dir.wire(), WireLogBounds::default())
        .map_err(|error| Trouble::new(Exit::Failure, "the wire log cannot be opened").why(causes(&error)))?;
    let (answers, clocks) = (news.clone(), news.clone());
    Station::start(Parts {
        core: Core::new(setup, Now { mono: clock.mono(), unix: clock.unix() }),
        signers: vec![Box::new(InlineSeat(signer))],
        board: Box::new(NoBoard),
        rings: Vec::new(),
        wake_consumers: Arc::new(|| {}),
        halt_store: Box::new(|_| {}),
        recorder: Box::new(recorder),
        links: vec![link],
        config: HotConfig { tick_every: Duration::from_millis(50), ..HotConfig::default() },
        send_by: place.settings.order_path.send_by,
        on_tally: Box::new(|_| {}),
        ears: Ears {
            verify: Arc::new(move |venue, query, answer| {
                drop(answers.try_send(CareNews::Answer(venue, query, answer)))
            }),
            login_failed: Arc::new(|_, _| {}),
            control: Arc::new(move |control| {
                let heard = match control {
                    Control::ClockMeasured { venue, offset_ns, uncertainty_ns, .. } => {
                        CareNews::Clock { venue: *venue, offset_ns: *offset_ns, uncertainty_ns: *uncertainty_ns }
                    }
                    Control::ClockLost(venue) => CareNews::ClockLost(*venue),
                    _ => return,
                };
                drop(clocks.try_send(heard));
            }),
            died: Arc::new(|_| {}),
        },
        clock,
    })
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
            if let Some(fix) = line.fix {
                term::say(global, &format!("note: {fix}"));
            }
        }
        return Ok(());
    }
    let failed = verified.lines.iter().rev().find(|line| !line.ok);
    let what = failed.map_or_else(
        || format!("key `{alias}` is {}", verified.state.as_str()),
        |line| format!("key `{alias}` is {}: {} failed", verified.state.as_str(), line.what),
    );
    let mut trouble = Trouble::new(Exit::Key, what);
    trouble = trouble.why(failed.map_or(verified.reason.clone(), |line| line.detail.clone()));
    if let Some(fix) = failed.and_then(|line| line.fix) {
        trouble = trouble.fix(format!("{fix}\nthen: steadfast keys test {alias}"));
    }
    Err(trouble)
}

/// What a person reads about a vault or key that cannot be used.
#[must_use]
pub fn custody_trouble(error: &CustodyError) -> Trouble {
    let trouble = Trouble::new(Exit::Key, "the key cannot be used").why(causes(error));
    match error {
        CustodyError::NoSuchKey { alias } => Trouble::new(Exit::Key, format!("there is no key `{alias}` in the vault"))
            .fix(format!("steadfast keys add {alias} --venue bitget")),
        CustodyError::AliasTaken { alias } => Trouble::new(Exit::Key, format!("there is a key `{alias}` already"))
            .fix("link the new key under another name"),
        CustodyError::KnownKey { .. } => trouble.fix("use the key under its name, or create a new one on the exchange"),
        CustodyError::OtherActive { active } => {
            trouble.fix(format!("the account's key `{active}` is Active; a second one waits for rotation"))
        }
        _ => trouble,
    }
}
