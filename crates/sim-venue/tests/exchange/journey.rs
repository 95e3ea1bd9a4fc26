//! From signing up to a working key, as a newcomer and as a script walk it.

use crate::client::{PATIENCE, Rest, Stream, limit, quiet, start};
use serde_json::{Value, json};
use sim_venue::{ApiKeyMaterial, RunningSim};

const ASSETS: &str = "/api/v2/spot/account/assets";

/// A member with a session.
pub(crate) struct Member {
    http: reqwest::Client,
    base: String,
    session: String,
}

impl Member {
    pub(crate) async fn sign_up(sim: &RunningSim, email: &str) -> Self {
        let http = Rest::new(sim).http;
        let mut member = Self { http, base: format!("{}api/", sim.web), session: String::new() };
        let answer = member.post("sign-up", json!({"email": email, "password": "correct horse"})).await;
        member.session = answer.1["session"].as_str().unwrap().to_owned();
        member
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let request = if self.session.is_empty() { request } else { request.bearer_auth(&self.session) };
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.answer(self.http.get(format!("{}{path}", self.base))).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.base));
        self.answer(request.header("Content-Type", "application/json").body(body.to_string())).await
    }

    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    async fn refusal(&self, path: &str, body: Value) -> String {
        let (status, answer) = self.post(path, body).await;
        assert!(status >= 400, "{path}: {answer}");
        answer["error"]["code"].as_str().unwrap().to_owned()
    }

    /// Asks for a key, reads the letter, opens its link.
    pub(crate) async fn make_key(&self, wish: Value) -> ApiKeyMaterial {
        let passphrase = wish["passphrase"].as_str().unwrap().to_owned();
        self.done("keys", wish).await;
        let mail = self.get("mail").await;
        let link = mail[0]["link"].as_str().expect("a letter with a link");
        let token = link.split_once("/web/#confirm=").unwrap().1;
        let made = self.done("keys/confirm", json!({"token": token})).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        ApiKeyMaterial { key: text("key"), secret: text("secret"), passphrase }
    }
}

fn wish() -> Value {
    json!({"note": "my bot", "passphrase": "Passw0rd1", "permissions": ["read", "trade"], "ips": ["127.0.0.1"]})
}

#[tokio::test]
async fn a_newcomer_signs_up_takes_coins_makes_a_key_confirms_it_and_trades_with_it() {
    let sim = start(quiet());
    let ada = Member::sign_up(&sim, "ada@example.org").await;
    ada.done("faucet", json!({"coin": "USDT", "amount": "1000"})).await;
    ada.done("keys", wish()).await;
    let listed = ada.get("keys").await;
    assert_eq!(listed["keys"][0]["state"], "waits for confirmation");
    let key = ada.make_key(wish()).await;
    let rest = Rest { key: key.clone(), ..Rest::new(&sim) };
    assert_eq!(rest.get(ASSETS).await.data()[0]["available"], "1000");
    rest.place(&limit("buy", "50000", "0.001", "gtc", "first")).await.data();
    let info = rest.get("/api/v2/spot/account/info").await.data().clone();
    assert_eq!((&info["authorities"], &info["ips"]), (&json!(["stow"]), &json!("127.0.0.1")));
    assert_eq!(ada.get("me").await["uid"], info["userId"]);
    assert_eq!(sim.control().orders(0), [], "the main account has nothing to do with it");
    let listed = ada.get("keys").await;
    let made = listed["keys"].as_array().unwrap().iter().find(|item| item["key"] == key.key.as_str()).unwrap();
    assert_eq!((&made["state"], &made["note"]), (&json!("active"), &json!("my bot")));
    assert!(!listed.to_string().contains(&key.secret) && !ada.get("mail").await.to_string().contains(&key.secret));
}

#[tokio::test]
async fn freezing_changing_ending_and_deleting_a_key_hold_at_once_for_requests_and_streams() {
    let sim = start(quiet());
    let ada = Member::sign_up(&sim, "ada@example.org").await;
    let key = ada.make_key(wish()).await;
    let name = json!({"key": key.key});
    let rest = Rest { key: key.clone(), ..Rest::new(&sim) };
    let mut stream = Stream::connect(&sim.ws_private).await;
    assert_eq!(stream.log_in(&key).await["code"], 0);
    ada.done("keys/change", json!({"key": key.key, "permissions": ["read"]})).await;
    assert_eq!(rest.place(&limit("buy", "50000", "0.001", "gtc", "a")).await.failure(), (400, "40014"));
    ada.done("keys/freeze", name.clone()).await;
    assert_eq!(stream.find(|frame| frame["event"] == "error").await["code"], 30_005);
    assert_eq!(stream.text().await, None);
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40024"));
    ada.done("keys/thaw", name.clone()).await;
    rest.get(ASSETS).await.data();
    ada.done("keys/change", json!({"key": key.key, "ips": ["10.1.2.3"]})).await;
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40018"));
    ada.done("keys/delete", name.clone()).await;
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40037"));
    assert_eq!(ada.refusal("keys/thaw", name).await, "40037", "a deleted key does not come back");
    let short = json!({"note": "brief", "passphrase": "Passw0rd1", "permissions": ["read"], "expires_in_s": "1"});
    let brief = Rest { key: ada.make_key(short).await, ..Rest::new(&sim) };
    brief.get(ASSETS).await.data();
    for _ in 0..400 {
        if brief.get(ASSETS).await.status != 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(brief.get(ASSETS).await.failure(), (400, "40037"));
    assert_eq!(ada.get("keys").await["keys"][0]["state"], "expired");
    ada.done("accounts/freeze", json!({})).await;
    let other = Rest { key: ada.make_key(wish()).await, ..Rest::new(&sim) };
    assert_eq!(other.get(ASSETS).await.failure(), (400, "40024"));
}

#[tokio::test]
async fn wishes_that_break_a_rule_are_refused_with_the_venues_code() {
    let sim = start(quiet());
    let ada = Member::sign_up(&sim, "ada@example.org").await;
    let with = |name: &str, value: Value| {
        let mut wish = wish();
        wish[name] = value;
        wish
    };
    assert_eq!(ada.refusal("keys", with("passphrase", json!("short"))).await, "40070");
    assert_eq!(ada.refusal("keys", with("note", json!(""))).await, "40056");
    assert_eq!(ada.refusal("keys", with("permissions", json!(["fly"]))).await, "40017");
    assert_eq!(ada.refusal("keys", with("ips", json!(["everywhere"]))).await, "40017");
    assert_eq!(ada.refusal("keys", with("expires_in_s", json!("never"))).await, "40017");
    assert_eq!(ada.refusal("keys", with("uid", json!("7264631750"))).await, "40029", "somebody else's account");
    let unbound = json!({"note": "w", "passphrase": "Passw0rd1", "permissions": ["withdraw"]});
    assert_eq!(ada.refusal("keys", unbound).await, "22010");
    for _ in 0..10 {
        ada.make_key(wish()).await;
    }
    assert_eq!(ada.refusal("keys", wish()).await, "40063");
    assert_eq!(ada.refusal("keys/confirm", json!({"token": "00"})).await, "40017");
    assert_eq!(ada.refusal("keys/freeze", json!({"key": sim.key.key})).await, "40037", "not hers");
}

#[tokio::test]
async fn sub_accounts_have_wallets_and_keys_of_their_own_and_freeze_with_their_main_account() {
    let sim = start(quiet());
    let ada = Member::sign_up(&sim, "ada@example.org").await;
    ada.done("faucet", json!({"coin": "USDT", "amount": "500"})).await;
    assert_eq!(ada.refusal("subs", json!({"name": "short"})).await, "40017");
    let sub = ada.done("subs", json!({"name": "eightltr"})).await[0]["uid"].as_str().unwrap().to_owned();
    let way = json!({"from": "spot", "to": "spot", "to_uid": sub, "coin": "USDT", "amount": "200"});
    ada.done("transfer", way.clone()).await;
    let mut wish = wish();
    wish["uid"] = json!(sub);
    let rest = Rest { key: ada.make_key(wish).await, ..Rest::new(&sim) };
    assert_eq!(rest.get(ASSETS).await.data()[0]["available"], "200");
    let info = rest.get("/api/v2/spot/account/info").await.data().clone();
    assert_eq!(info["userId"], sub.as_str());
    assert_eq!(info["parentId"].to_string(), ada.get("me").await["uid"].as_str().unwrap());
    let bob = Member::sign_up(&sim, "bob@example.org").await;
    assert_eq!(bob.refusal("transfer", way).await, "40029", "to nobody else's account");
    assert_eq!(bob.refusal("accounts/freeze", json!({"uid": sub})).await, "40029");
    ada.done("accounts/freeze", json!({"uid": sub})).await;
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40024"));
    ada.done("accounts/thaw", json!({"uid": sub})).await;
    rest.get(ASSETS).await.data();
    ada.done("accounts/freeze", json!({})).await;
    assert_eq!(rest.get(ASSETS).await.failure(), (400, "40024"));
}

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy_to_this_machine_only() {
    let sim = start(quiet());
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let http = http.unwrap_or_else(|_| Rest::new(&sim).http);
    let bare = http.get(format!("{}/", sim.rest)).send().await.unwrap();
    assert_eq!((bare.status().as_u16(), bare.headers()["location"].to_str().unwrap()), (303, "/web/"));
    for file in ["", "page.js", "page.css", "icon.svg"] {
        let answer = http.get(format!("{}{file}", sim.web)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{file}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    assert_eq!(http.get(format!("{}secrets", sim.web)).send().await.unwrap().status(), 404);
    let foreign = http.get(&sim.web).header("Host", "example.org").send().await.unwrap();
    assert_eq!(foreign.status(), 403, "a name that only looks like this machine");
}

#[tokio::test]
async fn no_other_page_can_act_through_a_members_browser() {
    let sim = start(quiet());
    let http = Rest::new(&sim).http;
    let url = format!("{}api/sign-up", sim.web);
    let body = json!({"email": "ada@example.org", "password": "correct horse"}).to_string();
    let plain = || http.post(&url).header("Content-Type", "application/json").body(body.clone());
    assert_eq!(plain().header("Origin", "http://example.org").send().await.unwrap().status(), 403);
    assert_eq!(
        http.post(&url).header("Content-Type", "text/plain").body(body.clone()).send().await.unwrap().status(),
        400
    );
    let answer = plain().header("Origin", &sim.rest).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/web"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let me = |cookie: &str| http.get(format!("{}api/me", sim.web)).header("Cookie", cookie.to_owned()).send();
    assert_eq!(me(pair).await.unwrap().status(), 200);
    assert_eq!(me("sim_session_1=x").await.unwrap().status(), 401);
    let out = http.post(format!("{}api/sign-out", sim.web)).header("Cookie", pair).body("{}");
    assert_eq!(out.header("Content-Type", "application/json").send().await.unwrap().status(), 200);
    assert_eq!(me(pair).await.unwrap().status(), 401);
}
