//! The endpoints for virtual sub-accounts and their keys, v2 and v3.
//!
//! The venue lets only a key of a main account call them, and only one that is bound to addresses.
//! v2 cannot delete a key: an empty list of permissions makes it harmless. v3 can.

use crate::Permission;
use crate::auth::{Key, KeyState, Need};
use crate::call::{Access, Answer, Call, Route, get, post};
use crate::key_desk::{KeyChange, KeyDraft, addresses};
use crate::reject::Reject;
use crate::ticket::{required, text};
use crate::venue::{Account, Venue};
use serde_json::{Value, json};

const V2: Access = Access::Private(Need { unified: false, any_of: &[Permission::SubAccounts] });
const V3: Access = Access::Private(Need { unified: true, any_of: &[Permission::SubAccounts] });

/// Every path, with the documented budget per second.
pub(crate) const ROUTES: &[Route] = &[
    post("/api/v2/user/create-virtual-subaccount", 5, V2, create_subs),
    post("/api/v2/user/modify-virtual-subaccount", 5, V2, modify_sub),
    get("/api/v2/user/virtual-subaccount-list", 10, V2, sub_list),
    post("/api/v2/user/create-virtual-subaccount-apikey", 5, V2, create_key),
    post("/api/v2/user/modify-virtual-subaccount-apikey", 5, V2, modify_key),
    get("/api/v2/user/virtual-subaccount-apikey-list", 10, V2, key_list),
    post("/api/v2/user/batch-create-subaccount-and-apikey", 1, V2, create_with_keys),
    post("/api/v3/user/create-sub", 5, V3, create_sub_v3),
    post("/api/v3/user/freeze-sub", 5, V3, freeze_sub_v3),
    get("/api/v3/user/sub-list", 10, V3, sub_list_v3),
    post("/api/v3/user/create-sub-api", 5, V3, create_key_v3),
    post("/api/v3/user/update-sub-api", 5, V3, update_key_v3),
    post("/api/v3/user/delete-sub-api", 5, V3, delete_key_v3),
    get("/api/v3/user/sub-api-list", 10, V3, key_list_v3),
];

/// Sub-accounts of one request.
const BATCH_MAX: usize = 20;

/// The words for rights on v2, and what each of them gives.
const WORDS: [(&str, &[Permission]); 5] = [
    ("read", &[Permission::Read, Permission::FuturesRead]),
    ("spot_trade", &[Permission::Trade]),
    ("contract_trade", &[Permission::FuturesTrade]),
    ("margin_trade", &[Permission::Margin]),
    ("transfer", &[Permission::Transfer]),
];

/// The main account that may manage sub-accounts with this call.
fn main_account(venue: &Venue, call: &Call) -> Result<usize, Reject> {
    let bound = venue.keys.get(&call.key).is_some_and(|key| !key.config.ips.is_empty());
    if !bound {
        return Err(Reject::bind_an_address());
    }
    match venue.accounts.get(call.account).map(|account| account.parent) {
        Some(None) => Ok(call.account),
        _ => Err(Reject::new("40014", "Incorrect permissions, need main account permissions")),
    }
}

fn owner(venue: &Venue, account: usize) -> Result<&Account, Reject> {
    venue.accounts.get(account).ok_or_else(|| Reject::new("40013", "Account abnormal"))
}

/// A list of texts in a body; `None` when it is absent.
fn list<'a>(body: &'a Value, name: &str) -> Result<Option<Vec<&'a str>>, Reject> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().ok_or_else(|| Reject::invalid(name)))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(Reject::invalid(name)),
    }
}

fn rights(words: &[&str]) -> Result<Vec<Permission>, Reject> {
    let mut rights = Vec::new();
    for word in words {
        let found = WORDS.iter().find(|(name, _)| name == word);
        rights.extend_from_slice(found.ok_or_else(|| Reject::invalid("permList"))?.1);
    }
    Ok(rights)
}

/// The words that a key's rights amount to.
fn words_of(key: &Key) -> Vec<&'static str> {
    let has = |right: &Permission| key.config.permissions.contains(right);
    WORDS.iter().filter(|(_, rights)| rights.iter().all(has)).map(|(name, _)| *name).collect()
}

fn ip_list(body: &Value, name: &str) -> Result<Option<Vec<std::net::IpAddr>>, Reject> {
    list(body, name)?.map(|ips| addresses(ips.into_iter())).transpose()
}

fn status(account: &Account) -> &'static str {
    if account.frozen { "freeze" } else { "normal" }
}

fn paged(call: &Call) -> Result<(usize, u64), Reject> {
    Ok((call.limit(100, 500)?, call.whole("idLessThan")?.unwrap_or(u64::MAX)))
}

// ---- v2: sub-accounts -------------------------------------------------------------------------

fn create_subs(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let names = list(&call.body, "subAccountList")?.filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| Reject::empty("subAccountList"))?;
    if names.len() > BATCH_MAX {
        return Err(Reject::invalid("subAccountList"));
    }
    let (mut opened, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        match venue.open_sub(main, name).and_then(|index| owner(venue, index)) {
            // The venue spells these members so.
            Ok(sub) => opened.push(json!({
                "subaAccountUid": sub.user.to_string(), "subaAccountName": sub.name, "status": status(sub), "label": "",
                "permList": [], "cTime": sub.created_ms.to_string(), "uTime": sub.created_ms.to_string(),
            })),
            Err(_) => failed.push(json!({"subaAccountName": name})),
        }
    }
    Ok(json!({"successList": opened, "failureList": failed}).into())
}

fn modify_sub(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, &required(&call.body, "subAccountUid")?)?;
    match required(&call.body, "status")?.as_str() {
        "normal" => venue.set_frozen(sub, false),
        "freeze" => venue.set_frozen(sub, true),
        _ => return Err(Reject::invalid("status")),
    }
    Ok(json!({"result": "success"}).into())
}

fn sub_list(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let (count, below) = paged(call)?;
    let wanted = call.given("status");
    let items: Vec<Value> = venue
        .subs_of(main)
        .into_iter()
        .rev()
        .filter_map(|index| venue.accounts.get(index))
        .filter(|sub| sub.user < below && wanted.is_none_or(|wanted| wanted == status(sub)))
        .take(count)
        .map(|sub| {
            let at = sub.created_ms.to_string();
            json!({"subAccountUid": sub.user.to_string(), "subAccountName": sub.name, "status": status(sub),
                   "permList": [], "label": "", "accountType": "virtual", "bindingTime": at, "cTime": at, "uTime": at})
        })
        .collect();
    let end = items.last().map(|item| item["subAccountUid"].clone());
    Ok(json!({"endId": end, "subAccountList": items}).into())
}

// ---- v2: keys ---------------------------------------------------------------------------------

fn draft(venue: &Venue, call: &Call, account: usize, body: &Value) -> Result<KeyDraft, Reject> {
    let environment = venue.keys.get(&call.key).map(|key| key.config.environment).unwrap_or_default();
    Ok(KeyDraft {
        account,
        note: text(body, "label").unwrap_or_default(),
        passphrase: required(body, "passphrase")?,
        permissions: rights(&list(body, "permList")?.unwrap_or_default())?,
        ips: ip_list(body, "ipList")?.unwrap_or_default(),
        environment,
        expires_ms: None,
    })
}

fn key_item(venue: &Venue, key: &Key) -> Value {
    let sub = venue.accounts.get(key.config.account);
    json!({"subAccountUid": sub.map(|sub| sub.user.to_string()), "label": key.note,
           "subAccountApiKey": key.config.material.key, "permList": words_of(key), "ipList": key.config.ips})
}

/// The item of a key with its secret: the answer to whoever has just made or changed it.
fn with_secret(venue: &Venue, name: &str) -> Result<Value, Reject> {
    let key = venue.keys.get(name).ok_or_else(Reject::no_such_key)?;
    let mut item = key_item(venue, key);
    if let Some(members) = item.as_object_mut() {
        members.insert("secretKey".into(), json!(key.config.material.secret));
    }
    Ok(item)
}

fn create_key(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, &required(&call.body, "subAccountUid")?)?;
    let draft = draft(venue, call, sub, &call.body)?;
    let name = venue.make_key(&draft)?.key;
    with_secret(venue, &name).map(Answer::from)
}

/// A key of a sub-account, if the passphrase is the one it was made with.
fn proven(venue: &mut Venue, subs: &[usize], name: &str, passphrase: &str) -> Result<(), Reject> {
    let unknown = |_| Reject::new("40065", "This subApikey does not exist");
    let key = venue.own_key(subs, name).map_err(unknown)?;
    let fits = subtle::ConstantTimeEq::ct_eq(key.config.material.passphrase.as_bytes(), passphrase.as_bytes());
    if bool::from(fits) { Ok(()) } else { Err(Reject::new("40036", "passphrase is error")) }
}

fn modify_key(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, &required(&call.body, "subAccountUid")?)?;
    let name = required(&call.body, "subAccountApiKey")?;
    proven(venue, &[sub], &name, &required(&call.body, "passphrase")?)?;
    let change = KeyChange {
        note: text(&call.body, "label"),
        // Left out they stay; an empty list takes them all away.
        permissions: list(&call.body, "permList")?.map(|words| rights(&words)).transpose()?,
        // Left out, any address may use the key from then on.
        ips: Some(ip_list(&call.body, "ipList")?.unwrap_or_default()),
    };
    venue.change_key(&[sub], &name, change)?;
    with_secret(venue, &name).map(Answer::from)
}

fn key_list(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, call.needed("subAccountUid")?)?;
    let items: Vec<Value> = venue.keys_of(sub).map(|key| key_item(venue, key)).collect();
    Ok(Value::Array(items).into())
}

fn create_with_keys(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let wanted = call.body.as_array().filter(|items| (1..=BATCH_MAX).contains(&items.len()));
    let wanted = wanted.ok_or_else(|| Reject::new("40020", "Parameter body error"))?;
    let mut made = Vec::new();
    for item in wanted {
        // Everything about the key is judged before an account is opened for it.
        let key = draft(venue, call, usize::MAX, item)?;
        venue.judge_draft(&key)?;
        let sub = venue.open_sub(main, &required(item, "subAccountName")?)?;
        let name = venue.make_key(&KeyDraft { account: sub, ..key })?.key;
        let mut answer = with_secret(venue, &name)?;
        if let Some(members) = answer.as_object_mut() {
            members.insert("subAccountName".into(), json!(owner(venue, sub)?.name));
            // The table of the venue's document says one name, its example the other.
            members.insert("apiKey".into(), json!(name));
        }
        made.push(answer);
    }
    Ok(Value::Array(made).into())
}

// ---- v3 ---------------------------------------------------------------------------------------

fn sub_v3(sub: &Account) -> Value {
    let at = sub.created_ms.to_string();
    json!({"subUid": sub.user.to_string(), "username": sub.name, "status": status(sub), "accountMode": "unified",
           "type": "virtual", "note": "", "createdTime": at, "updatedTime": at})
}

fn create_sub_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.open_sub(main, &required(&call.body, "username")?)?;
    Ok(sub_v3(owner(venue, sub)?).into())
}

fn freeze_sub_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, &required(&call.body, "subUid")?)?;
    match required(&call.body, "operation")?.as_str() {
        "freeze" => venue.set_frozen(sub, true),
        "unfreeze" => venue.set_frozen(sub, false),
        _ => return Err(Reject::invalid("operation")),
    }
    Ok(json!({}).into())
}

fn sub_list_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let (count, below) = (call.limit(100, 100)?, call.whole("cursor")?.unwrap_or(u64::MAX));
    let subs = venue.subs_of(main);
    let mut rest = subs.iter().rev().filter_map(|index| venue.accounts.get(*index)).filter(|sub| sub.user < below);
    let items: Vec<Value> = rest.by_ref().take(count).map(sub_v3).collect();
    let cursor = items.last().map(|item| item["subUid"].clone());
    Ok(json!({"list": items, "hasNext": rest.next().is_some(), "cursor": cursor}).into())
}

/// The two groups of rights of a unified account; read only when `writes` is false.
fn rights_v3(words: &[&str], writes: bool) -> Result<Vec<Permission>, Reject> {
    let mut rights = Vec::new();
    for word in words {
        match (*word, writes) {
            ("uta_trade", true) => rights.extend([Permission::Trade, Permission::FuturesTrade]),
            ("uta_trade", false) => rights.extend([Permission::Read, Permission::FuturesRead]),
            ("uta_mgt", true) => rights.extend([Permission::Transfer, Permission::Read]),
            ("uta_mgt", false) => rights.push(Permission::Read),
            _ => return Err(Reject::invalid("permissions")),
        }
    }
    Ok(rights)
}

fn writes(body: &Value) -> Result<Option<bool>, Reject> {
    match text(body, "type").as_deref() {
        None => Ok(None),
        Some("read_write") => Ok(Some(true)),
        Some("read_only") => Ok(Some(false)),
        Some(_) => Err(Reject::invalid("type")),
    }
}

fn key_v3(key: &Key) -> Value {
    use Permission::{FuturesRead, FuturesTrade, Read, Trade, Transfer};
    let has = |right: Permission| key.config.permissions.contains(&right);
    let writing = has(Trade) || has(FuturesTrade) || has(Transfer);
    let groups = [("uta_trade", has(Trade) || has(FuturesTrade) || has(FuturesRead)), ("uta_mgt", has(Transfer))];
    let mut names: Vec<&str> = groups.iter().filter(|(_, held)| *held).map(|(name, _)| *name).collect();
    if names.is_empty() && has(Read) {
        names.push("uta_mgt");
    }
    json!({"apiKey": key.config.material.key, "note": key.note, "type": if writing { "read_write" } else { "read_only" },
           "permissions": names, "ips": key.config.ips, "ts": key.created_ms.to_string()})
}

fn create_key_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, &required(&call.body, "subUid")?)?;
    let writes = writes(&call.body)?.ok_or_else(|| Reject::empty("type"))?;
    let environment = venue.keys.get(&call.key).map(|key| key.config.environment).unwrap_or_default();
    let draft = KeyDraft {
        account: sub,
        note: text(&call.body, "note").unwrap_or_default(),
        passphrase: required(&call.body, "passphrase")?,
        permissions: rights_v3(&list(&call.body, "permissions")?.unwrap_or_default(), writes)?,
        ips: ip_list(&call.body, "ips")?.unwrap_or_default(),
        environment,
        expires_ms: None,
    };
    let material = venue.make_key(&draft)?;
    let mut item = key_v3(venue.keys.get(&material.key).ok_or_else(Reject::no_such_key)?);
    if let Some(members) = item.as_object_mut() {
        members.insert("secret".into(), json!(material.secret));
    }
    Ok(item.into())
}

fn update_key_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let (subs, name) = (venue.subs_of(main), required(&call.body, "apiKey")?);
    proven(venue, &subs, &name, &required(&call.body, "passphrase")?)?;
    let writes = writes(&call.body)?;
    let permissions = match list(&call.body, "permissions")? {
        Some(words) => Some(rights_v3(&words, writes.unwrap_or(false))?),
        None if writes.is_some() => return Err(Reject::empty("permissions")),
        None => None,
    };
    let change = KeyChange { note: None, permissions, ips: ip_list(&call.body, "ips")? };
    venue.change_key(&subs, &name, change).map(|key| key_v3(key).into())
}

fn delete_key_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let subs = venue.subs_of(main);
    let unknown = |_| Reject::new("40065", "This subApikey does not exist");
    venue.move_key(&subs, &required(&call.body, "apiKey")?, KeyState::Deleted).map_err(unknown)?;
    Ok(json!({}).into())
}

fn key_list_v3(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let main = main_account(venue, call)?;
    let sub = venue.own_sub(main, call.needed("subUid")?)?;
    let items: Vec<Value> = venue.keys_of(sub).map(key_v3).collect();
    // Ten keys at most are one page.
    Ok(json!({"items": items, "hasNext": false, "cursor": ""}).into())
}
