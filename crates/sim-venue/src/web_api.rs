//! What the page and scripts may ask of the exchange as a member: one table of paths, JSON in and out.

use crate::auth::{Key, KeyState};
use crate::key_desk::{KEYS_PER_ACCOUNT, KeyChange, KeyDraft, addresses};
use crate::reject::Reject;
use crate::ticket::{required, text};
use crate::venue::Venue;
use crate::wallets::{amount, wallet};
use crate::{Environment, Permission};
use serde_json::{Value, json};

/// One request of a member.
pub(crate) struct Ask<'a> {
    pub(crate) member: usize,
    /// The member's main account.
    pub(crate) main: usize,
    pub(crate) body: &'a Value,
    /// Where the page was reached, for links in letters.
    pub(crate) origin: &'a str,
}

type Act = fn(&mut Venue, &Ask<'_>) -> Result<Value, Reject>;

/// Every path below `/web/api/` that needs a session.
const TABLE: [(&str, &str, Act); 17] = [
    ("GET", "me", me),
    ("GET", "wallets", wallets),
    ("POST", "faucet", faucet),
    ("POST", "transfer", transfer),
    ("GET", "keys", keys),
    ("POST", "keys", ask_for_key),
    ("POST", "keys/confirm", confirm),
    ("POST", "keys/change", change),
    ("POST", "keys/freeze", |venue, ask| move_key(venue, ask, KeyState::Frozen)),
    ("POST", "keys/thaw", |venue, ask| move_key(venue, ask, KeyState::Active)),
    ("POST", "keys/delete", |venue, ask| move_key(venue, ask, KeyState::Deleted)),
    ("GET", "mail", mail),
    ("GET", "subs", subs),
    ("POST", "subs", open_sub),
    ("POST", "accounts/freeze", |venue, ask| freeze(venue, ask, true)),
    ("POST", "accounts/thaw", |venue, ask| freeze(venue, ask, false)),
    ("GET", "permissions", permissions),
];

/// What answers a path, if there is such a path.
pub(crate) fn find(method: &str, path: &str) -> Option<Act> {
    TABLE.iter().find(|(its, name, _)| *its == method && *name == path).map(|(_, _, act)| *act)
}

/// Longest life of a key, in seconds: ten years.
const LIFE_MAX_S: u64 = 315_360_000;

/// The account that a request names by `uid`, or the main account.
fn account(venue: &Venue, ask: &Ask<'_>, name: &str) -> Result<usize, Reject> {
    match text(ask.body, name) {
        Some(user) => venue.own_account(ask.main, &user),
        None => Ok(ask.main),
    }
}

/// The main account and its sub-accounts.
fn own(venue: &Venue, ask: &Ask<'_>) -> Vec<usize> {
    let mut all = vec![ask.main];
    all.extend(venue.subs_of(ask.main));
    all
}

fn list<'a>(body: &'a Value, name: &str) -> Result<Option<Vec<&'a str>>, Reject> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().ok_or_else(|| Reject::invalid(name)))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(Reject::new("40017", format!("{name} is a list of texts"))),
    }
}

fn rights(body: &Value) -> Result<Option<Vec<Permission>>, Reject> {
    let Some(words) = list(body, "permissions")? else { return Ok(None) };
    let read = |word: &&str| word.parse::<Permission>().map_err(|error| Reject::new("40017", error.to_string()));
    words.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn me(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let email = venue.members.get(ask.member).map(|member| member.email.clone());
    let account = venue.accounts.get(ask.main).ok_or_else(|| Reject::new("40013", "Account abnormal"))?;
    Ok(json!({"email": email, "uid": account.user.to_string(), "frozen": account.frozen,
              "coins": venue.coins(), "now_ms": venue.now_ms(), "rest": ask.origin}))
}

fn permissions(_: &mut Venue, _: &Ask<'_>) -> Result<Value, Reject> {
    let shown = Permission::ALL.map(|permission| json!({"name": permission.name(), "words": words(permission)}));
    Ok(json!(shown))
}

const fn words(permission: Permission) -> &'static str {
    match permission {
        Permission::Read => "read spot orders and balances",
        Permission::Trade => "place and cancel spot orders",
        Permission::FuturesRead => "read futures orders and positions",
        Permission::FuturesTrade => "place and cancel futures orders",
        Permission::Margin => "borrow and trade on margin",
        Permission::Transfer => "move coins between wallets",
        Permission::Withdraw => "move coins out of the exchange",
        Permission::SubAccounts => "manage sub-accounts and their keys",
    }
}

fn wallets(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    Ok(own(venue, ask).into_iter().map(|account| venue.wallets(account)).collect())
}

fn faucet(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let account = account(venue, ask, "uid")?;
    let (coin, amount) = (venue.coin(&required(ask.body, "coin")?)?, amount(&required(ask.body, "amount")?)?);
    venue.faucet(account, coin, amount)?;
    Ok(venue.wallets(account))
}

fn transfer(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let from = (account(venue, ask, "from_uid")?, wallet(&required(ask.body, "from")?)?);
    let to = (account(venue, ask, "to_uid")?, wallet(&required(ask.body, "to")?)?);
    let (coin, amount) = (venue.coin(&required(ask.body, "coin")?)?, amount(&required(ask.body, "amount")?)?);
    venue.move_coins(from, to, coin, amount)?;
    wallets(venue, ask)
}

fn key_item(venue: &Venue, key: &Key) -> Value {
    let expired = key.expires_ms.is_some_and(|end| venue.now_ms() >= end);
    let state = match key.state {
        _ if expired => "expired",
        KeyState::Frozen => "frozen",
        _ if venue.frozen(key.config.account) => "account frozen",
        _ => "active",
    };
    let names: Vec<&str> = key.config.permissions.iter().map(|permission| permission.name()).collect();
    json!({
        "key": key.config.material.key, "uid": venue.accounts.get(key.config.account).map(|it| it.user.to_string()),
        "note": key.note, "state": state, "permissions": names, "ips": key.config.ips,
        "created_ms": key.created_ms, "expires_ms": key.expires_ms,
        "demo": key.config.environment == Environment::Demo,
    })
}

fn keys(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let mut items = Vec::new();
    for account in own(venue, ask) {
        items.extend(venue.keys_of(account).map(|key| key_item(venue, key)));
    }
    let waiting = venue.members.pending_of(ask.member, venue.elapsed()).map(|pending| {
        let names: Vec<&str> = pending.draft.permissions.iter().map(|permission| permission.name()).collect();
        json!({"key": null, "uid": venue.accounts.get(pending.draft.account).map(|it| it.user.to_string()),
               "note": pending.draft.note, "state": "waits for confirmation", "permissions": names,
               "ips": pending.draft.ips, "created_ms": pending.made_ms, "expires_ms": pending.draft.expires_ms,
               "demo": pending.draft.environment == Environment::Demo})
    });
    items.extend(waiting);
    Ok(json!({"keys": items, "keys_max": KEYS_PER_ACCOUNT}))
}

fn ask_for_key(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let expires_ms = match text(ask.body, "expires_in_s") {
        None => None,
        Some(given) => {
            let life: Option<u64> = given.parse().ok().filter(|life| (1..=LIFE_MAX_S).contains(life));
            let words = || Reject::new("40017", format!("expires_in_s is a number from 1 to {LIFE_MAX_S}"));
            Some(venue.now_ms().saturating_add(life.ok_or_else(words)?.saturating_mul(1_000)))
        }
    };
    let demo = ask.body.get("demo").and_then(Value::as_bool).unwrap_or(false);
    let draft = KeyDraft {
        account: account(venue, ask, "uid")?,
        note: text(ask.body, "note").unwrap_or_default(),
        passphrase: text(ask.body, "passphrase").unwrap_or_default(),
        permissions: rights(ask.body)?.unwrap_or_default(),
        ips: addresses(list(ask.body, "ips")?.unwrap_or_default().into_iter())?,
        environment: if demo { Environment::Demo } else { Environment::Production },
        expires_ms,
    };
    venue.ask_for_key(ask.member, draft, ask.origin)?;
    Ok(json!({"waits": true, "next": "confirm it with the link in your mailbox"}))
}

fn confirm(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let (material, draft) = venue.confirm_key(ask.member, &required(ask.body, "token")?)?;
    let names: Vec<&str> = draft.permissions.iter().map(|permission| permission.name()).collect();
    Ok(json!({"key": material.key, "secret": material.secret, "note": draft.note, "permissions": names,
              "next": "the secret is shown this once; the passphrase is the one you chose"}))
}

fn change(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let owners = own(venue, ask);
    let ips = list(ask.body, "ips")?.map(|ips| addresses(ips.into_iter())).transpose()?;
    let change = KeyChange { note: text(ask.body, "note"), permissions: rights(ask.body)?, ips };
    let key = venue.change_key(&owners, &required(ask.body, "key")?, change)?.clone();
    Ok(key_item(venue, &key))
}

fn move_key(venue: &mut Venue, ask: &Ask<'_>, state: KeyState) -> Result<Value, Reject> {
    let owners = own(venue, ask);
    venue.move_key(&owners, &required(ask.body, "key")?, state)?;
    keys(venue, ask)
}

fn mail(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let letters = venue.members.mail_of(ask.member);
    Ok(letters
        .map(|mail| {
            json!({"id": mail.id, "subject": mail.subject, "text": mail.text, "link": mail.link, "at_ms": mail.at_ms})
        })
        .collect())
}

fn subs(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    let items = venue.subs_of(ask.main).into_iter().filter_map(|index| {
        let account = venue.accounts.get(index)?;
        Some(json!({"uid": account.user.to_string(), "name": account.name, "frozen": account.frozen,
                    "created_ms": account.created_ms, "keys": venue.keys_of(index).count()}))
    });
    Ok(items.collect())
}

fn open_sub(venue: &mut Venue, ask: &Ask<'_>) -> Result<Value, Reject> {
    venue.open_sub(ask.main, &required(ask.body, "name")?)?;
    subs(venue, ask)
}

fn freeze(venue: &mut Venue, ask: &Ask<'_>, frozen: bool) -> Result<Value, Reject> {
    let account = account(venue, ask, "uid")?;
    venue.set_frozen(account, frozen);
    Ok(json!({"uid": venue.accounts.get(account).map(|it| it.user.to_string()), "frozen": frozen}))
}
