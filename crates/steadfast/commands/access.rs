//! `steadfast access`: API keys of the control interface, through the running daemon or, without one, in their file.

use crate::audit_trail::{Trail, by_person};
use crate::cli::{AccessAddArgs, AccessCommand, AccessRole, Global};
use crate::commands::client::{Client, Target, plain, table};
use crate::data_dir::DataDir;
use crate::report::{Exit, Trouble, causes};
use crate::term::{data, say};
use crate::{commands, unlock};
use access::{AccessError, ApiKey, ApiKeys, FileError, Role};
use audit::{AuditVerb, Decision, Name};
use clock::SystemClock;
use control_plane::{AccessView, KeyMade, NewKey};
use domain::Clock as _;
use jiff::Timestamp;
use order_signer::Custody;
use std::sync::Arc;

/// Whoever has the keys now.
enum Keeper {
    /// The running daemon.
    Daemon(Box<Client>),
    /// Nobody: their file is ours while the data directory is locked.
    Nobody(Box<ApiKeys>, DataDir),
}

/// `steadfast access ...`
///
/// # Errors
/// [`Trouble`]: not done, and why.
pub fn run(global: &Global, command: &AccessCommand, target: &Target) -> Result<(), Trouble> {
    let keeper = keeper(global, target)?;
    match command {
        AccessCommand::Add(args) => add(global, args, keeper),
        AccessCommand::List => list(global, keeper),
        AccessCommand::Revoke(args) => revoke(global, &args.name, keeper),
    }
}

fn keeper(global: &Global, target: &Target) -> Result<Keeper, Trouble> {
    if global.endpoint.is_some() {
        return Client::open(target).map(|client| Keeper::Daemon(Box::new(client)));
    }
    match DataDir::open(&target.data_dir) {
        Ok(dir) => {
            let keys = ApiKeys::open(&dir.root().join(ApiKeys::FILE)).map_err(|error| file_trouble(&error))?;
            Ok(Keeper::Nobody(Box::new(keys), dir))
        }
        Err(trouble) if trouble.what.ends_with("is in use") => {
            Client::open(target).map(|client| Keeper::Daemon(Box::new(client)))
        }
        Err(trouble) => Err(trouble),
    }
}

fn add(global: &Global, args: &AccessAddArgs, keeper: Keeper) -> Result<(), Trouble> {
    let wish = NewKey {
        name: args.name.clone(),
        role: args.role.map(|role| match role {
            AccessRole::Viewer => Role::Viewer,
            AccessRole::Operator => Role::Operator,
            AccessRole::Admin => Role::Admin,
        }),
        scopes: args.scopes.clone(),
        days: Some(args.expires),
        from: args.from.clone(),
        totp: None,
    };
    let made = match keeper {
        Keeper::Daemon(client) => {
            let body = serde_json::json!(wish).to_string();
            client.change(global, "/api/v1/access/add", &body, args.totp.as_deref()).map_err(not_risk)?
        }
        Keeper::Nobody(mut keys, _dir) => {
            allow_without_daemon(global, args)?;
            let (key, token) = keys.add(wish.wanted(), now()).map_err(|error| trouble(&error))?;
            KeyMade { key, token: (*token).clone() }
        }
    };
    if global.json {
        data(&serde_json::json!(made).to_string());
        return Ok(());
    }
    let key = &made.key;
    say(global, &format!("API key `{}`: {}", plain(&key.name), scopes(key)));
    say(global, &format!("good until {} from {}; it is shown this once:", day(key.expires), from(key)));
    data(&plain(&made.token));
    Ok(())
}

/// What a daemon would ask for and record. Where there is no vault yet there are neither codes nor a log: nothing can be
/// traded either.
fn allow_without_daemon(global: &Global, args: &AccessAddArgs) -> Result<(), Trouble> {
    let loaded = commands::check::load(global, &[]).map_err(|problems| commands::check::trouble(&problems))?;
    let dir = loaded.settings.vault_dir();
    if !Custody::exists(&dir) {
        return Ok(());
    }
    let mut custody = unlock::open(global, &dir, &loaded.settings.vault)?;
    let trail = Trail::open(&mut custody, &dir, Arc::new(SystemClock))?;
    let about = Name::clear(&args.name);
    if custody.step_up().is_some() {
        let code = args.totp.as_deref().unwrap_or_default();
        if let Err(refusal) = order_signer::check_code(&mut custody, code.trim(), SystemClock.unix()) {
            let entry = by_person(AuditVerb::AuthenticationRefused, Decision::Refused).about(about);
            trail.record(entry.because(refusal.to_string()))?;
            return Err(commands::totp::refused(refusal).fix("give a fresh one: --totp CODE"));
        }
    }
    trail.record(by_person(AuditVerb::CredentialGranted, Decision::Allowed).about(about).because("without a daemon"))
}

fn list(global: &Global, keeper: Keeper) -> Result<(), Trouble> {
    let view: AccessView = match keeper {
        Keeper::Daemon(client) => client.get("/api/v1/access")?,
        Keeper::Nobody(keys, _dir) => AccessView::of(&keys),
    };
    if global.json {
        data(&serde_json::json!(view.keys).to_string());
        return Ok(());
    }
    if view.keys.is_empty() {
        say(global, "there is no API key; make one with: steadfast access add NAME --role viewer|operator|admin");
        return Ok(());
    }
    let rows = view.keys.iter().map(|key| {
        let used = key.last_used.map_or_else(|| "never".to_owned(), day);
        [key.name.clone(), key.id.clone(), scopes(key), from(key), day(key.expires), used]
    });
    data(table(["name", "id", "may", "from", "until", "last used"], rows, &[]).trim());
    Ok(())
}

fn revoke(global: &Global, name: &str, keeper: Keeper) -> Result<(), Trouble> {
    let key: ApiKey = match keeper {
        Keeper::Daemon(client) => {
            let body = serde_json::json!({ "name": name }).to_string();
            client.change(global, "/api/v1/access/revoke", &body, None).map_err(not_risk)?
        }
        Keeper::Nobody(mut keys, _dir) => keys.revoke(name).map_err(|error| trouble(&error))?,
    };
    if global.json {
        data(&serde_json::json!(key).to_string());
    } else {
        data(&format!("API key `{}` is revoked", plain(&key.name)));
    }
    Ok(())
}

fn scopes(key: &ApiKey) -> String {
    let roles = [(Role::Admin, "admin"), (Role::Operator, "operator"), (Role::Viewer, "viewer")];
    match roles.iter().find(|(role, _)| role.scopes() == key.scopes) {
        Some((_, word)) => (*word).to_owned(),
        None => key.scopes.iter().map(access::Scope::as_str).collect::<Vec<_>>().join(" "),
    }
}

fn from(key: &ApiKey) -> String {
    match key.from.as_slice() {
        [] => "any address".to_owned(),
        ranges => ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn day(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "?".to_owned(), |at| at.strftime("%F").to_string())
}

fn now() -> u64 {
    SystemClock.unix().0 / 1_000_000_000
}

/// A conflict here is no matter of risk.
fn not_risk(trouble: Trouble) -> Trouble {
    if trouble.exit == Exit::Refused { Trouble { exit: Exit::Failure, ..trouble } } else { trouble }
}

fn trouble(error: &AccessError) -> Trouble {
    let exit = match error {
        AccessError::File(file) => return file_trouble(file),
        AccessError::NoSuchKey { .. } => Exit::NotFound,
        _ => Exit::Failure,
    };
    Trouble::new(exit, error.to_string()).fix("nothing was changed; `steadfast access list` shows all API keys")
}

/// What a person reads about a file of API keys that cannot be used.
#[must_use]
pub fn file_trouble(error: &FileError) -> Trouble {
    let trouble = Trouble::new(Exit::Key, "the API keys cannot be used").why(causes(error));
    match error {
        FileError::OpenToOthers { path, .. } => trouble.fix(format!("chmod 600 {}", path.display())),
        FileError::Malformed { .. } => trouble.fix("restore the file from a backup; it is left as it is"),
        FileError::Io { .. } => Trouble { exit: Exit::Failure, ..trouble }
            .fix("check the disk's room and the directory's permissions; the file is as it was"),
    }
}
