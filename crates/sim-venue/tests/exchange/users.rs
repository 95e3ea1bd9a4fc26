//! Virtual sub-accounts and their keys over the venue's own interface.

use crate::client::{Rest, limit, quiet, start};
use serde_json::{Value, json};
use sim_venue::{AccountMode, ApiKeyMaterial, Permission, RunningSim, SimConfig};

const V2: &str = "/api/v2/user";
const V3: &str = "/api/v3/user";

/// An exchange whose main key may manage sub-accounts from this machine.
fn managed(account: AccountMode) -> RunningSim {
    let permissions = vec![Permission::Trade, Permission::SubAccounts];
    start(SimConfig { permissions, ips: vec!["127.0.0.1".parse().unwrap()], account, ..quiet() })
}

fn with(rest: &Rest, item: &Value, key: &str, secret: &str, passphrase: &str) -> Rest {
    let text = |name: &str| item[name].as_str().unwrap().to_owned();
    let material = ApiKeyMaterial { key: text(key), secret: text(secret), passphrase: passphrase.into() };
    Rest { key: material, ..rest.clone() }
}

async fn open_sub(rest: &Rest, name: &str) -> String {
    let made = rest.post(&format!("{V2}/create-virtual-subaccount"), &json!({"subAccountList": [name]})).await;
    made.data()["successList"][0]["subaAccountUid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_a_key_of_the_main_account_that_is_bound_to_addresses_may_manage_sub_accounts() {
    let sim = start(SimConfig { permissions: vec![Permission::SubAccounts], ..quiet() });
    let rest = Rest::new(&sim);
    let wish = json!({"subAccountList": ["eightltr"]});
    assert_eq!(rest.post(&format!("{V2}/create-virtual-subaccount"), &wish).await.failure(), (400, "22010"));
    assert!(sim.control().set_ips(&sim.key.key, vec!["127.0.0.1".parse().unwrap()]));
    let uid = open_sub(&rest, "eightltr").await;
    assert!(sim.control().set_permissions(&sim.key.key, vec![Permission::Trade]));
    assert_eq!(rest.post(&format!("{V2}/create-virtual-subaccount"), &wish).await.failure(), (400, "40014"));
    let sub = sim.control().open_account(AccountMode::Classic, Some(0)).unwrap();
    let material = ApiKeyMaterial::generate().unwrap();
    assert!(sim.control().add_key(sim_venue::KeyConfig {
        material: material.clone(),
        permissions: vec![Permission::SubAccounts],
        ips: vec!["127.0.0.1".parse().unwrap()],
        environment: sim_venue::Environment::Production,
        account: sub,
    }));
    let below = Rest { key: material, ..rest };
    let list = format!("{V2}/virtual-subaccount-apikey-list?subAccountUid={uid}");
    assert_eq!(below.get(&list).await.failure(), (400, "40014"), "a sub-account manages nobody");
}

#[tokio::test]
async fn a_v2_key_is_made_used_neutralised_and_never_listed_with_its_secret() {
    let sim = managed(AccountMode::Classic);
    let rest = Rest::new(&sim);
    let names = json!({"subAccountList": ["eightltr", "bad"]});
    let made = rest.post(&format!("{V2}/create-virtual-subaccount"), &names).await.data().clone();
    assert_eq!(made["failureList"], json!([{"subaAccountName": "bad"}]));
    let uid = made["successList"][0]["subaAccountUid"].as_str().unwrap().to_owned();
    let account = sim.control().keys().iter().map(|key| key.account).max().unwrap() + 1;
    assert!(sim.control().deposit(account, domain::Asset::from("USDT").unwrap(), 1_000.into()));
    let create = |passphrase: &str, perms: Value| json!({"subAccountUid": uid, "passphrase": passphrase, "label": "bot", "ipList": ["127.0.0.1"], "permList": perms});
    let path = format!("{V2}/create-virtual-subaccount-apikey");
    assert_eq!(rest.post(&path, &create("short", json!(["read"]))).await.failure(), (400, "40070"));
    assert_eq!(rest.post(&path, &create("Passw0rd1", json!(["withdraw"]))).await.failure(), (400, "40017"));
    let mut foreign = create("Passw0rd1", json!(["read"]));
    foreign["subAccountUid"] = json!("1");
    assert_eq!(rest.post(&path, &foreign).await.failure(), (400, "40029"));
    let key = rest.post(&path, &create("Passw0rd1", json!(["read", "spot_trade"]))).await.data().clone();
    assert_eq!((&key["label"], &key["permList"]), (&json!("bot"), &json!(["read", "spot_trade"])));
    let bot = with(&rest, &key, "subAccountApiKey", "secretKey", "Passw0rd1");
    bot.place(&limit("buy", "50000", "0.001", "gtc", "a")).await.data();
    let list = format!("{V2}/virtual-subaccount-apikey-list?subAccountUid={uid}");
    let listed = rest.get(&list).await;
    assert_eq!(listed.data()[0]["subAccountApiKey"], key["subAccountApiKey"]);
    assert!(!listed.text.contains(key["secretKey"].as_str().unwrap()));
    let modify = format!("{V2}/modify-virtual-subaccount-apikey");
    let change = |passphrase: &str, more: Value| {
        let mut body =
            json!({"subAccountUid": uid, "subAccountApiKey": key["subAccountApiKey"], "passphrase": passphrase});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(rest.post(&modify, &change("Wrong0001", json!({}))).await.failure(), (400, "40036"));
    let kept = rest.post(&modify, &change("Passw0rd1", json!({}))).await.data().clone();
    assert_eq!(kept["permList"], json!(["read", "spot_trade"]), "rights that are left out stay");
    assert_eq!(kept["ipList"], json!([]), "addresses that are left out are gone");
    rest.post(&modify, &change("Passw0rd1", json!({"permList": []}))).await.data();
    assert_eq!(bot.place(&limit("buy", "50000", "0.001", "gtc", "b")).await.failure(), (400, "40014"));
    assert_eq!(bot.get("/api/v2/spot/account/assets").await.failure(), (400, "40014"));
    let subs = rest.get(&format!("{V2}/virtual-subaccount-list")).await.data().clone();
    assert_eq!((&subs["subAccountList"][0]["subAccountName"], &subs["endId"]), (&json!("eightltr"), &json!(uid)));
    let freeze = json!({"subAccountUid": uid, "status": "freeze"});
    rest.post(&format!("{V2}/modify-virtual-subaccount"), &freeze).await.data();
    assert_eq!(bot.get("/api/v2/spot/account/assets").await.failure().1, "40014", "rights are judged with the key");
    let subs = rest.get(&format!("{V2}/virtual-subaccount-list?status=freeze")).await.data().clone();
    assert_eq!(subs["subAccountList"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_account_and_its_key_are_made_in_one_v2_request_or_not_at_all() {
    let sim = managed(AccountMode::Classic);
    let rest = Rest::new(&sim);
    let path = format!("{V2}/batch-create-subaccount-and-apikey");
    let item = |name: &str, passphrase: &str| json!({"subAccountName": name, "passphrase": passphrase, "label": "bot", "ipList": [], "permList": ["read"]});
    assert_eq!(rest.post(&path, &json!([item("eightltr", "short")])).await.failure(), (400, "40070"));
    let subs = rest.get(&format!("{V2}/virtual-subaccount-list")).await.data().clone();
    assert_eq!(subs["subAccountList"], json!([]), "no account without its key");
    let made = rest.post(&path, &json!([item("eightltr", "Passw0rd1")])).await.data().clone();
    assert_eq!((&made[0]["subAccountName"], &made[0]["apiKey"]), (&json!("eightltr"), &made[0]["subAccountApiKey"]));
    let bot = with(&rest, &made[0], "apiKey", "secretKey", "Passw0rd1");
    bot.get("/api/v2/spot/account/assets").await.data();
}

#[tokio::test]
async fn eleven_keys_are_too_many_for_one_sub_account() {
    let sim = managed(AccountMode::Classic);
    let rest = Rest::new(&sim);
    let uid = open_sub(&rest, "eightltr").await;
    let wish = json!({"subAccountUid": uid, "passphrase": "Passw0rd1", "label": "bot", "permList": ["read"]});
    for _ in 0..10 {
        rest.post(&format!("{V2}/create-virtual-subaccount-apikey"), &wish).await.data();
    }
    let last = rest.post(&format!("{V2}/create-virtual-subaccount-apikey"), &wish).await;
    assert_eq!(last.failure(), (400, "40063"));
}

#[tokio::test]
async fn a_v3_key_is_made_changed_and_deleted_and_its_account_frozen() {
    let sim = managed(AccountMode::Unified);
    let rest = Rest::new(&sim);
    let sub = rest.post(&format!("{V3}/create-sub"), &json!({"username": "eightltr"})).await.data().clone();
    let uid = sub["subUid"].clone();
    assert_eq!((&sub["username"], &sub["status"]), (&json!("eightltr"), &json!("normal")));
    let wish = json!({"subUid": uid, "note": "bot", "type": "read_write", "passphrase": "Passw0rd1",
                      "permissions": ["uta_trade"], "ips": ["127.0.0.1"]});
    let key = rest.post(&format!("{V3}/create-sub-api"), &wish).await.data().clone();
    assert_eq!((&key["type"], &key["permissions"]), (&json!("read_write"), &json!(["uta_trade"])));
    let bot = with(&rest, &key, "apiKey", "secret", "Passw0rd1");
    let info = bot.get("/api/v3/account/info").await.data().clone();
    assert_eq!((&info["userId"], &info["permType"]), (&uid, &json!("read-and-write")));
    let list = format!("{V3}/sub-api-list?subUid={}", uid.as_str().unwrap());
    let listed = rest.get(&list).await;
    assert_eq!(listed.data()["items"][0]["apiKey"], key["apiKey"]);
    assert!(!listed.text.contains(key["secret"].as_str().unwrap()));
    let change =
        json!({"apiKey": key["apiKey"], "passphrase": "Passw0rd1", "type": "read_only", "permissions": ["uta_trade"]});
    let changed = rest.post(&format!("{V3}/update-sub-api"), &change).await.data().clone();
    assert_eq!((&changed["type"], &changed["ips"]), (&json!("read_only"), &json!(["127.0.0.1"])));
    let freeze = |operation: &str| json!({"subUid": uid, "operation": operation});
    rest.post(&format!("{V3}/freeze-sub"), &freeze("freeze")).await.data();
    assert_eq!(bot.get("/api/v3/account/info").await.failure(), (400, "40024"));
    rest.post(&format!("{V3}/freeze-sub"), &freeze("unfreeze")).await.data();
    bot.get("/api/v3/account/info").await.data();
    rest.post(&format!("{V3}/delete-sub-api"), &json!({"apiKey": key["apiKey"]})).await.data();
    assert_eq!(bot.get("/api/v3/account/info").await.failure(), (400, "40037"));
    assert_eq!(rest.get(&list).await.data()["items"], json!([]));
    assert_eq!(
        rest.post(&format!("{V3}/delete-sub-api"), &json!({"apiKey": key["apiKey"]})).await.failure(),
        (400, "40065")
    );
    let subs = rest.get(&format!("{V3}/sub-list")).await.data().clone();
    assert_eq!((&subs["list"][0]["subUid"], &subs["hasNext"]), (&uid, &json!(false)));
    assert_eq!(rest.get(&format!("{V2}/virtual-subaccount-list")).await.failure(), (400, "40085"));
}
