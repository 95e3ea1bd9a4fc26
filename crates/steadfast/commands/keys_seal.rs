//! `steadfast keys add` beside a running daemon: the values are sealed here to the daemon's signer, and the daemon
//! passes them on without being able to read them.

use crate::cli::{Global, KeysAddArgs, Role};
use crate::commands::client::{Client, plain};
use crate::commands::{check, keys, keys_life, keys_policy};
use crate::plan;
use crate::report::{Exit, Trouble};
use crate::term::say;
use clock::SystemClock;
use control_plane::{KeyDetail, NewExchangeKey, SealingKeyView};
use domain::Clock;
use messages::{KeyAlias, KeyRole, KeyState};
use order_signer::{CustodyError, SealError, SealedKey, SealingPublic, seal};
use std::sync::Arc;

/// Links a key in a running daemon.
///
/// # Errors
/// [`Trouble`]: what failed; whether the key is stored is said with it.
pub(crate) fn add(global: &Global, args: &KeysAddArgs, client: &Client) -> Result<(), Trouble> {
    let settings = check::load(global, &[]).map_err(|problems| check::trouble(&problems))?.settings;
    let alias = KeyAlias::from(&args.alias).map_err(|_| {
        Trouble::new(Exit::Failure, "the key's name is too long").fix("at most 32 characters, such as bitget-main")
    })?;
    let (account, venue) = keys::account_of(&settings, &args.alias, args)?;
    let role = if args.role == Role::Trade { KeyRole::Trade } else { KeyRole::Stream };
    // Nobody types a key only to hear that its name is taken.
    let living = |key: &KeyDetail| key.status != KeyState::Revoked.as_str();
    let there = keys_life::find(keys_life::all(client)?, &alias).ok().filter(living);
    if let Some(key) = there.as_ref().filter(|key| key.verified.is_some()) {
        return Err(taken(key));
    }
    let SealingKeyView { key, boot } = client.get("/api/v1/keys/sealing-key")?;
    let secrets = keys::read_secrets(global, args)?;
    if let Some(fault) = secrets.fault() {
        return Err(keys::custody_trouble(&CustodyError::BadValues { fault }));
    }
    // A key that never worked is replaced only by its own values typed anew.
    if let Some(key) = there.filter(|key| key.fingerprint != secrets.fingerprint()) {
        return Err(taken(&key));
    }
    let wallets = keys::choose_wallets(global, args)?;
    let described =
        SealedKey { alias, venue: args.venue.clone(), account: account.clone(), role, wallets, sealed: String::new() };
    let sealed = seal(&SealingPublic { key, boot }, described, &secrets).map_err(|error| unsealed(&error))?;
    drop(secrets);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let policy = match role {
        KeyRole::Trade => keys_policy::proposed_now(&plan::limits(&settings), &venue, &clock),
        KeyRole::Stream => None,
    };
    if let Some(policy) = &policy {
        keys_policy::confirmed(global, &alias, args.yes, policy)?;
    }
    let SealedKey { alias, venue, account, role, wallets, sealed } = sealed;
    let policy = policy.map(|policy| policy.to_text());
    let new = NewExchangeKey { alias, venue, account, role, wallets, sealed, policy, totp: None };
    let done = keys_life::wish(global, client, "", &serde_json::json!(new), args.totp.as_deref())?;
    for line in &done.done {
        say(global, &plain(line));
    }
    keys_life::follow(global, client, &alias)
}

fn taken(key: &KeyDetail) -> Trouble {
    let alias = plain(&key.alias);
    Trouble::new(Exit::Key, format!("there is a key `{alias}` already"))
        .why(format!("it is {}", plain(&key.status)))
        .fix(format!("steadfast keys test {alias}; or, to put another in its place now, steadfast keys revoke {alias}"))
}

/// Links a key that is to take over from the one of `beside`, sealed, with the policy that is confirmed for that one.
///
/// # Errors
/// [`Trouble`]: nothing is stored.
pub(crate) fn add_beside(
    global: &Global,
    values: &KeysAddArgs,
    beside: &control_plane::KeyDetail,
    client: &Client,
) -> Result<(), Trouble> {
    let alias = KeyAlias::from(&values.alias)
        .map_err(|_| Trouble::new(Exit::Usage, "the key's name is too long").fix("at most 32 characters"))?;
    let SealingKeyView { key, boot } = client.get("/api/v1/keys/sealing-key")?;
    let secrets = keys::read_secrets(global, values)?;
    if let Some(fault) = secrets.fault() {
        return Err(keys::custody_trouble(&CustodyError::BadValues { fault }));
    }
    let role = if values.role == Role::Trade { KeyRole::Trade } else { KeyRole::Stream };
    let described = SealedKey {
        alias,
        venue: beside.venue.clone(),
        account: beside.account.clone(),
        role,
        wallets: beside.wallets.clone(),
        sealed: String::new(),
    };
    let sealed = seal(&SealingPublic { key, boot }, described, &secrets).map_err(|error| unsealed(&error))?;
    drop(secrets);
    let SealedKey { alias, venue, account, role, wallets, sealed } = sealed;
    let new = NewExchangeKey { alias, venue, account, role, wallets, sealed, policy: None, totp: None };
    let done = keys_life::wish(global, client, "", &serde_json::json!(new), None)?;
    for line in &done.done {
        say(global, &plain(line));
    }
    Ok(())
}

fn unsealed(error: &SealError) -> Trouble {
    Trouble::new(Exit::Key, "the key cannot be sealed").why(error).fix("nothing was sent; use the daemon's own version")
}
