//! `steadfast keys show|test|disable|enable|revoke|audit`: by the running daemon, or on the vault when none runs.

use crate::cli::{Global, KeyDisableArgs, KeyEnableArgs, KeyRevokeArgs, KeysAuditArgs};
use crate::commands::client::{Client, Target, plain, table};
use crate::commands::keys::{self, Place, custody_trouble};
use crate::report::{Exit, Trouble};
use crate::term::{can_ask, data, say, tell};
use crate::{key_desk, unlock};
use clock::SystemClock;
use control_plane::{KeyDetail, KeyDone, KeyHistory, KeyStepView};
use domain::Clock as _;
use messages::KeyState;
use order_signer::{Custody, CustodyError};
use sign_policy::PolicyDocument;
use std::io::BufRead as _;
use std::time::Duration;

/// Between two looks at a verification of the daemon.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Longest wait for a verification, retries included.
const VERIFY_MAX: Duration = Duration::from_secs(60);

/// Whoever has the keys now.
pub(crate) enum Keeper {
    /// The running daemon.
    Daemon(Box<Client>),
    /// Nobody: the vault is ours while the data directory is locked.
    Nobody(Box<Place>),
}

/// Whoever has the keys: the daemon that is named or that holds the data directory, else this command.
///
/// # Errors
/// [`Trouble`]: the settings cannot be read, or the daemon does not answer.
pub(crate) fn keeper(global: &Global, target: &Target) -> Result<Keeper, Trouble> {
    if global.endpoint.is_some() {
        return Client::open(target).map(|client| Keeper::Daemon(Box::new(client)));
    }
    match keys::place(global) {
        Ok(place) => Ok(Keeper::Nobody(Box::new(place))),
        Err(trouble) if trouble.what.ends_with("is in use") => {
            // Somebody holds it and is no daemon that can be asked: another command, or one that is still starting.
            Client::open(target).map(|client| Keeper::Daemon(Box::new(client))).map_err(|unreachable| {
                trouble.fix(format!(
                    "wait until it is done, or stop it; no daemon can be asked there: {}",
                    unreachable.what
                ))
            })
        }
        Err(trouble) => Err(trouble),
    }
}

/// `steadfast keys show`
pub(crate) fn show(global: &Global, alias: &str, keeper: Keeper) -> Result<(), Trouble> {
    let detail = match keeper {
        Keeper::Daemon(client) => find(all(&client)?, alias)?,
        Keeper::Nobody(place) => {
            let custody = open(global, &place)?;
            let record = custody.show(alias).map_err(|error| not_found(&error))?;
            key_desk::detail(record, keys::rotation_due(&place.settings, record))
        }
    };
    if global.json {
        data(&serde_json::json!(detail).to_string());
    } else {
        data(&describe(&detail));
    }
    Ok(())
}

/// The keys as the daemon knows them.
pub(crate) fn all(client: &Client) -> Result<Vec<KeyDetail>, Trouble> {
    client.get("/api/v1/keys")
}

/// The key of a name; a revoked one only when no other has it.
pub(crate) fn find(keys: Vec<KeyDetail>, alias: &str) -> Result<KeyDetail, Trouble> {
    let revoked = KeyState::Revoked.as_str();
    let (gone, living): (Vec<_>, Vec<_>) =
        keys.into_iter().filter(|key| key.alias == alias).partition(|key| key.status == revoked);
    let none =
        || Trouble::new(Exit::NotFound, format!("there is no key `{}`", plain(alias))).fix("steadfast keys list");
    living.into_iter().next().or_else(|| gone.into_iter().next_back()).ok_or_else(none)
}

fn describe(key: &KeyDetail) -> String {
    let day = |at: jiff::Timestamp| at.strftime("%F").to_string();
    let minute = |at: jiff::Timestamp| at.strftime("%F %H:%M UTC").to_string();
    let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    let policy = match PolicyDocument::parse(&key.policy) {
        _ if key.policy.is_empty() => "none: nothing is placed with it".to_owned(),
        Ok(document) => format!("{} instruments; steadfast keys policy show {}", document.instruments.len(), key.alias),
        Err(error) => error.to_string(),
    };
    let mut rows = vec![
        ("status", format!("{} since {}", key.status, minute(key.since))),
        ("reason", key.reason.clone()),
        ("venue", format!("{} ({}), account {}", key.venue, key.environment, key.account)),
        ("role", key.role.clone()),
        ("rights", or(key.rights.join(", "), "not read yet")),
        (
            "address-bound",
            if key.bound_addresses == 0 { "no".to_owned() } else { format!("{} address(es)", key.bound_addresses) },
        ),
        ("wallets", key.wallets.join(", ")),
        ("fingerprint", key.fingerprint.clone()),
        ("linked", minute(key.created)),
        ("verified", key.verified.map_or_else(|| "never".to_owned(), minute)),
        ("ends", key.expires.map_or_else(|| "not at the exchange".to_owned(), day)),
        ("rotation due", day(key.rotation_due)),
        ("policy", policy),
    ];
    if let Some(waiting) = &key.waiting_policy {
        rows.push(("waits", format!("a loosened policy, in force from {}", minute(waiting.due))));
    }
    for line in &key.probes {
        let mark = if line.ok { "ok" } else { "FAIL" };
        rows.push(("probe", format!("{mark} {}: {}", line.what, line.detail)));
    }
    let line = |(name, value): (&str, String)| format!("{name:<14} {}", plain(&value));
    format!("key {}\n{}", plain(&key.alias), rows.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// `steadfast keys audit`
pub(crate) fn audit(global: &Global, args: &KeysAuditArgs, keeper: Keeper) -> Result<(), Trouble> {
    let mut histories: Vec<KeyHistory> = match keeper {
        Keeper::Daemon(client) => client.get("/api/v1/keys/audit")?,
        Keeper::Nobody(place) if Custody::exists(&place.settings.vault_dir()) => {
            let custody = open(global, &place)?;
            let history = |record| {
                let KeyDetail { alias, fingerprint, history, .. } =
                    key_desk::detail(record, keys::rotation_due(&place.settings, record));
                KeyHistory { alias, fingerprint, history }
            };
            custody.list().map(history).collect()
        }
        Keeper::Nobody(_) => Vec::new(),
    };
    if let Some(alias) = &args.alias {
        histories.retain(|key| key.alias == *alias);
        if histories.is_empty() {
            return Err(
                Trouble::new(Exit::NotFound, format!("there is no key `{}`", plain(alias))).fix("steadfast keys list")
            );
        }
    }
    if global.json {
        data(&serde_json::json!(histories).to_string());
        return Ok(());
    }
    let mut steps: Vec<(&KeyHistory, &KeyStepView)> =
        histories.iter().flat_map(|key| key.history.iter().map(move |step| (key, step))).collect();
    steps.sort_by_key(|(_, step)| step.time);
    if steps.is_empty() {
        say(global, "nothing has happened to any key");
        return Ok(());
    }
    let rows = steps.into_iter().map(|(key, step)| {
        let status = step.status.clone().unwrap_or_else(|| "policy".to_owned());
        let at = step.time.strftime("%F %T UTC").to_string();
        [at, key.alias.clone(), key.fingerprint.clone(), status, step.reason.clone()]
    });
    data(table(["time", "key", "fingerprint", "came to", "why"], rows, &[]).trim());
    Ok(())
}

/// `steadfast keys disable`
pub(crate) fn disable(global: &Global, args: &KeyDisableArgs, keeper: Keeper) -> Result<(), Trouble> {
    let (alias, reason) = (args.alias.as_str(), said(&args.reason)?);
    match keeper {
        Keeper::Daemon(client) => {
            let body = serde_json::json!({ "alias": alias, "reason": reason });
            report(global, alias, &wish(global, &client, "disable", &body, None)?);
        }
        Keeper::Nobody(place) => {
            let mut custody = open(global, &place)?;
            step(&mut custody, alias, KeyState::Quarantined, &format!("disabled: {reason}"))?;
            let done = vec!["nothing is placed with it from the next start on".to_owned()];
            report(global, alias, &KeyDone { status: KeyState::Quarantined.as_str().to_owned(), done });
        }
    }
    say(global, &format!("trust it again with: steadfast keys enable {} --reason '...'", plain(alias)));
    Ok(())
}

/// `steadfast keys revoke`
pub(crate) fn revoke(global: &Global, args: &KeyRevokeArgs, keeper: Keeper) -> Result<(), Trouble> {
    let alias = args.alias.as_str();
    let reason = args.reason.as_deref().map_or(Ok("asked for at the terminal"), said)?;
    sure(global, args)?;
    let done = match keeper {
        Keeper::Daemon(client) => {
            let body = serde_json::json!({ "alias": alias, "reason": reason });
            wish(global, &client, "revoke", &body, None)?
        }
        Keeper::Nobody(place) => {
            let mut custody = open(global, &place)?;
            step(&mut custody, alias, KeyState::Revoked, &format!("revoked: {reason}"))?;
            let done = vec![
                "its values are wiped from the vault and the kept generations".to_owned(),
                "delete it at the exchange too: here nobody can".to_owned(),
            ];
            KeyDone { status: KeyState::Revoked.as_str().to_owned(), done }
        }
    };
    report(global, alias, &done);
    Ok(())
}

/// A revocation is final: whoever is at a terminal types the name once more.
fn sure(global: &Global, args: &KeyRevokeArgs) -> Result<(), Trouble> {
    if args.yes {
        return Ok(());
    }
    let alias = args.alias.as_str();
    let no = Trouble::new(Exit::Usage, format!("key `{}` is not revoked", plain(alias)));
    if !can_ask(global) {
        return Err(no.why("a revocation is final, and nobody can be asked").fix("add --yes"));
    }
    eprint!("this wipes the key for good; type its name to confirm: ");
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
    if line.trim() == alias { Ok(()) } else { Err(no.why("another name was typed")) }
}

/// `steadfast keys enable`
pub(crate) fn enable(global: &Global, args: &KeyEnableArgs, keeper: Keeper) -> Result<(), Trouble> {
    let (alias, reason) = (args.alias.as_str(), said(&args.reason)?);
    match keeper {
        Keeper::Daemon(client) => {
            let body = serde_json::json!({ "alias": alias, "reason": reason });
            wish(global, &client, "enable", &body, args.totp.as_deref())?;
            follow(global, &client, alias)
        }
        Keeper::Nobody(place) => {
            let mut custody = open(global, &place)?;
            let state = custody.show(alias).map_err(|error| not_found(&error))?.state;
            if state != KeyState::Quarantined {
                return Err(no_such_step(alias, state));
            }
            confirm(global, &mut custody, args.totp.as_deref())?;
            step(&mut custody, alias, KeyState::Verifying, &format!("enabled: {reason}"))?;
            keys::verify_and_finish(global, &place, custody, alias)
        }
    }
}

/// `steadfast keys test` beside a running daemon.
pub(crate) fn test(global: &Global, alias: &str, client: &Client) -> Result<(), Trouble> {
    find(all(client)?, alias)?;
    wish(global, client, "test", &serde_json::json!({ "alias": alias }), None)?;
    follow(global, client, alias)
}

/// Spends a one-time code in the open vault, where codes are set up.
pub(crate) fn confirm(global: &Global, custody: &mut Custody, code: Option<&str>) -> Result<(), Trouble> {
    if custody.step_up().is_none() {
        return Ok(());
    }
    let asked;
    let code = match code {
        Some(code) => code,
        None => {
            asked = crate::term::ask_secret(global, "one-time code: ", "give it by --totp CODE")?;
            asked.trim()
        }
    };
    order_signer::check_code(custody, code, SystemClock.unix())
        .map_err(|refusal| Trouble::new(Exit::Key, "the one-time code is not accepted").why(refusal))
}

/// Asks the daemon for something about a key.
pub(crate) fn wish(
    global: &Global,
    client: &Client,
    verb: &str,
    body: &serde_json::Value,
    totp: Option<&str>,
) -> Result<KeyDone, Trouble> {
    let path = if verb.is_empty() { "/api/v1/keys".to_owned() } else { format!("/api/v1/keys/{verb}") };
    // What stands in the way is the key's state, not a limit.
    client.change(global, &path, &body.to_string(), totp).map_err(|trouble| match trouble.exit {
        Exit::Refused => Trouble { exit: Exit::Key, ..trouble },
        _ => trouble,
    })
}

/// Shows what a verification of the daemon finds until it is over.
pub(crate) fn follow(global: &Global, client: &Client, alias: &str) -> Result<(), Trouble> {
    let clock = SystemClock;
    let begun = clock.mono();
    let mut shown = 0;
    loop {
        let key = find(all(client)?, alias)?;
        for line in key.probes.iter().skip(shown) {
            if !global.json && !global.quiet {
                let mark = if line.ok { "ok  " } else { "FAIL" };
                tell(&format!("  {mark} {}: {}", plain(&line.what), plain(&line.detail)));
            }
            shown += 1;
        }
        if !key.verifying && key.status != KeyState::Verifying.as_str() {
            return conclude(global, &key);
        }
        if clock.mono().since(begun) > VERIFY_MAX {
            return Err(Trouble::new(Exit::Timeout, format!("key `{}` is still being verified", plain(alias)))
                .fix(format!("look at it with steadfast keys show {}", plain(alias))));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn conclude(global: &Global, key: &KeyDetail) -> Result<(), Trouble> {
    let failed = key.probes.iter().rev().find(|line| !line.ok);
    if global.json {
        let line = serde_json::json!({
            "alias": key.alias, "status": key.status, "reason": key.reason, "probes": key.probes,
        });
        data(&line.to_string());
    }
    let (alias, status) = (plain(&key.alias), plain(&key.status));
    match failed {
        None if key.status == KeyState::Active.as_str() => {
            if !global.json {
                data(&format!("status: {status} (key `{alias}`)"));
            }
            Ok(())
        }
        None => Err(Trouble::new(Exit::Key, format!("key `{alias}` is {status}")).why(plain(&key.reason))),
        Some(line) => {
            let trouble = Trouble::new(Exit::Key, format!("key `{alias}` is {status}: {} failed", plain(&line.what)))
                .why(plain(&line.detail));
            Err(match &line.fix {
                Some(fix) => trouble.fix(plain(fix)),
                None => trouble,
            })
        }
    }
}

/// What was done, on the terminal.
pub(crate) fn report(global: &Global, alias: &str, done: &KeyDone) {
    if global.json {
        data(&serde_json::json!({ "alias": alias, "status": done.status, "done": done.done }).to_string());
        return;
    }
    for line in &done.done {
        data(&plain(line));
    }
    data(&format!("key `{}` is {}", plain(alias), plain(&done.status)));
}

/// A written reason: one line that says something.
pub(crate) fn said(reason: &str) -> Result<&str, Trouble> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().any(char::is_control) || reason.chars().count() > 120 {
        return Err(Trouble::new(Exit::Usage, "a reason is one line of 1 to 120 characters"));
    }
    Ok(reason)
}

/// The open vault; [`Trouble`] when there is none.
pub(crate) fn open(global: &Global, place: &Place) -> Result<Custody, Trouble> {
    unlock::open(global, &place.settings.vault_dir(), &place.settings.vault)
}

fn step(custody: &mut Custody, alias: &str, to: KeyState, reason: &str) -> Result<(), Trouble> {
    custody.set_state(alias, to, reason, SystemClock.unix()).map_err(|error| match error {
        CustodyError::Transition { from, .. } => no_such_step(alias, from),
        CustodyError::NoSuchKey { .. } => not_found(&error),
        error => custody_trouble(&error),
    })
}

fn no_such_step(alias: &str, state: KeyState) -> Trouble {
    let name = messages::KeyAlias::from(alias).unwrap_or_default();
    Trouble::new(Exit::Key, format!("a key that is {} cannot be asked for this", state.as_str()))
        .fix(key_desk::next_step(name, state))
}

pub(crate) fn not_found(error: &CustodyError) -> Trouble {
    Trouble { exit: Exit::NotFound, ..custody_trouble(error) }
}
