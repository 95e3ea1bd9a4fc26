//! `steadfast keys rotate`: one key in the place of another; by the running daemon without a missed order, or on the
//! vault when none runs.

use crate::cli::{Global, KeyRotateArgs, KeysAddArgs, Role};
use crate::commands::client::{Client, plain};
use crate::commands::keys::{self, Place};
use crate::commands::keys_life::{self, Keeper};
use crate::commands::keys_seal;
use crate::plan;
use crate::report::{Exit, Trouble};
use crate::term::{data, say};
use clock::SystemClock;
use domain::Clock as _;
use messages::{KeyAlias, KeyRole, KeyState};
use order_signer::NewKey;
use std::time::Duration;

/// Between two looks at how it goes on.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest that a change may take: a verification with its retries, and the drain.
const OVER_WITHIN: Duration = Duration::from_secs(180);
/// What is left for the person.
const LEFT: &str = "delete the former key on the exchange, which still knows it";

/// `steadfast keys rotate ALIAS`
///
/// # Errors
/// [`Trouble`]: the key at work is as it was, or back at work.
pub(crate) fn run(global: &Global, args: &KeyRotateArgs, keeper: Keeper) -> Result<(), Trouble> {
    match keeper {
        Keeper::Daemon(client) => by_daemon(global, args, &client),
        Keeper::Nobody(place) => on_vault(global, args, &place),
    }
}

fn by_daemon(global: &Global, args: &KeyRotateArgs, client: &Client) -> Result<(), Trouble> {
    let keys = keys_life::all(client)?;
    if let Some(to) = &args.to
        && !keys.iter().any(|key| key.alias == *to && key.status != KeyState::Revoked.as_str())
    {
        let beside = keys_life::find(keys, &args.alias)?;
        let role = if beside.role == "trade" { KeyRole::Trade } else { KeyRole::Stream };
        keys_seal::add_beside(global, &values(args, to, &beside.venue, role, &beside.wallets), &beside, client)?;
    }
    let body = serde_json::json!({ "alias": args.alias, "to": args.to });
    keys_life::wish(global, client, "rotate", &body, args.totp.as_deref())?;
    let begun = SystemClock.mono();
    let mut shown = 0;
    loop {
        let detail = keys_life::find(keys_life::all(client)?, &args.alias)?;
        if let Some(rotation) = detail.rotation {
            for line in rotation.lines.iter().skip(shown) {
                say(global, &plain(line));
            }
            shown = rotation.lines.len();
            let last = rotation.lines.last().map(|line| plain(line)).unwrap_or_default();
            match rotation.stage.as_str() {
                "done" => {
                    done(global, &args.alias, &plain(&rotation.next));
                    return Ok(());
                }
                "taken_back" | "refused" => {
                    return Err(Trouble::new(Exit::Key, format!("key `{}` was not replaced", plain(&args.alias)))
                        .why(last)
                        .fix(format!("it goes on signing; steadfast keys show {}", plain(&rotation.next))));
                }
                _ => {}
            }
        }
        if SystemClock.mono().since(begun) > OVER_WITHIN {
            return Err(Trouble::new(Exit::Timeout, "the change of keys is not over")
                .fix(format!("it goes on in the daemon; steadfast keys show {}", plain(&args.alias))));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn done(global: &Global, former: &str, next: &str) {
    if global.json {
        let line = serde_json::json!({ "alias": former, "status": "Revoked", "next": next, "next_status": "Active" });
        data(&line.to_string());
    } else {
        data(&format!("status: Active (key `{next}`); `{former}` is wiped here"));
    }
    say(global, LEFT);
}

/// Where the values of the new key come from.
fn values(args: &KeyRotateArgs, to: &str, venue: &str, role: KeyRole, wallets: &[String]) -> KeysAddArgs {
    KeysAddArgs {
        alias: to.to_owned(),
        venue: venue.to_owned(),
        demo: false,
        role: if role == KeyRole::Trade { Role::Trade } else { Role::Stream },
        stdin: args.stdin,
        from_file: args.from_file.clone(),
        wallets: wallets.to_vec(),
        allow_unbound: false,
        yes: true,
        totp: None,
    }
}

/// No order can be under way: what the drain would show, the verification has shown.
fn on_vault(global: &Global, args: &KeyRotateArgs, place: &Place) -> Result<(), Trouble> {
    let mut custody = keys_life::open(global, place)?;
    let trouble = |error| keys::custody_trouble(&error);
    let former = custody.show(&args.alias).map_err(trouble)?.clone();
    if former.state != KeyState::Active {
        return Err(Trouble::new(Exit::Key, format!("key `{}` is {}", former.alias, former.state.as_str()))
            .fix("only an Active key is replaced; steadfast keys add links the first one of an account"));
    }
    let Some(to) = &args.to else {
        return Err(Trouble::new(Exit::Usage, "the new key has no name").fix("steadfast keys rotate ALIAS --to NAME"));
    };
    let alias = KeyAlias::from(to).map_err(|_| Trouble::new(Exit::Usage, "the key's name is too long"))?;
    let (name, account) = place.settings.venue.get_key_value(&former.account).ok_or_else(|| {
        Trouble::new(Exit::Settings, format!("the settings have no venue account `{}`", former.account))
    })?;
    let secrets = keys::read_secrets(global, &values(args, to, &former.venue, former.role, &former.wallets))?;
    let new = NewKey {
        alias,
        venue: former.venue.clone(),
        environment: former.environment.clone(),
        account: former.account.clone(),
        role: former.role,
        wallets: former.wallets.clone(),
        stream_login_confirmed: former.stream_login_confirmed,
    };
    say(global, &format!("verifying key {alias} with the exchange"));
    let info = keys::try_next(global, place, plan::venue(name, account), &new, &secrets)?;
    if former.venue_account.as_deref().is_some_and(|account| account != info.account.as_str()) {
        return Err(Trouble::new(
            Exit::Key,
            format!("key `{alias}` belongs to another account than `{}`", former.alias),
        )
        .why("orders and positions of the one could not be seen with the other")
        .fix("nothing was stored; create the new key in the same account"));
    }
    let now = place.clock.unix();
    custody.add(new, &secrets, now).map_err(trouble)?;
    drop(secrets);
    custody.set_state(&alias, KeyState::Verifying, "being verified", now).map_err(trouble)?;
    custody.learn(&alias, &info, true, now).map_err(trouble)?;
    custody.set_state(&alias, KeyState::Standby, "verified", now).map_err(trouble)?;
    custody.cut_over(&alias, 0, now).map_err(trouble)?;
    say(global, &format!("{alias} signs from the next start on"));
    custody.set_state(&former.alias, KeyState::Revoked, &format!("replaced by {alias}"), now).map_err(trouble)?;
    done(global, &former.alias, &alias);
    Ok(())
}
