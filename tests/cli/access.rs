//! API keys and one-time codes at the terminal, with and without a daemon.

use crate::support::{Home, STEADFAST, Said, Sim};
use clock::SystemClock;
use domain::Clock as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

fn json(said: &Said) -> serde_json::Value {
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON")
}

/// What an authenticator shows for an address, `ahead` steps from now.
fn code(uri: &str, ahead: u64) -> String {
    let seed = uri.split_once("secret=").expect("a seed").1.split_once('&').expect("its end").0;
    let seed = data_encoding::BASE32_NOPAD.decode(seed.as_bytes()).expect("base 32");
    let step = SystemClock.unix().0 / 30_000_000_000 + ahead;
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&seed).expect("any length");
    mac.update(&step.to_be_bytes());
    let digest: [u8; 20] = mac.finalize().into_bytes().into();
    let offset = usize::from(digest.last().expect("bytes") & 15);
    let word = digest.get(offset..offset + 4).expect("four bytes").try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

/// Sets codes up as a program would; the address and the recovery codes.
pub(crate) fn enroll(home: &Home) -> (String, Vec<String>) {
    let mut child = Command::new(STEADFAST)
        .args(["totp", "enroll", "--json"])
        .current_dir(home.path("."))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its standard output"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("text");
    let first: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let uri = first.get("uri").and_then(serde_json::Value::as_str).expect("an address").to_owned();
    let mut input = child.stdin.take().expect("its standard input");
    writeln!(input, "{}", code(&uri, 0)).expect("it reads");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("text");
    assert!(child.wait().expect("it ends").success());
    let last: serde_json::Value = serde_json::from_str(&rest).expect("JSON");
    let recovery = last.get("recovery").and_then(serde_json::Value::as_array).expect("a list").iter();
    (uri, recovery.map(|code| code.as_str().expect("text").to_owned()).collect())
}

#[test]
fn api_key_is_made_shown_once_listed_and_revoked_without_a_daemon() {
    let home = Home::new(None);
    let none = home.run(&["access", "list"]);
    assert_eq!(none.code, Some(0));
    home.reads("access_none", &none);
    let made = json(&home.run(&["access", "add", "phone", "--role", "operator", "--from", "10.0.0.0/8", "--json"]));
    let token = made["token"].as_str().expect("a token");
    let (id, secret) = token.split_once('.').expect("id and secret");
    assert_eq!((id.len(), secret.len()), (16, 64));
    let listed = home.run(&["access", "list", "--json"]);
    assert_eq!(json(&listed)[0]["name"], "phone");
    for (path, bytes) in home.files("data") {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", path.display());
    }
    let table = home.run(&["access", "list"]);
    assert!(table.out.contains("operator") && table.out.contains("10.0.0.0/8") && table.out.contains("never"));
    assert!(!table.out.contains(secret));
    let taken = home.run(&["access", "add", "phone", "--role", "viewer"]);
    assert_eq!(taken.code, Some(1));
    home.reads("access_name_taken", &taken);
    let revoked = home.run(&["access", "revoke", "phone"]);
    assert_eq!(revoked.code, Some(0));
    home.reads("access_revoked", &revoked);
    let again = home.run(&["access", "revoke", "phone"]);
    assert_eq!(again.code, Some(8));
    home.reads("access_no_such_key", &again);
}

#[test]
fn wishes_that_make_no_sense_are_usage_errors() {
    let home = Home::new(None);
    for (name, args) in [
        ("access_no_rights", &["access", "add", "phone"][..]),
        ("access_unknown_scope", &["access", "add", "phone", "--scope", "everything"]),
        ("access_bad_range", &["access", "add", "phone", "--role", "viewer", "--from", "office"]),
        ("access_bad_life", &["access", "add", "phone", "--role", "viewer", "--expires", "9y"]),
    ] {
        let said = home.run(args);
        assert_eq!(said.code, Some(2), "{}", said.err);
        home.reads(name, &said);
    }
}

#[test]
fn a_key_made_without_a_daemon_stands_in_the_audit_log_and_needs_a_code_once_codes_are_set_up() {
    let home = Home::new(None);
    let verbs = |home: &Home| home.run(&["audit", "tail", "-n", "1000"]).out;
    assert_eq!(home.run(&["access", "add", "phone", "--role", "viewer"]).code, Some(0));
    assert_eq!(verbs(&home).matches("credential_granted").count(), 1, "{}", verbs(&home));
    let (_, recovery) = enroll(&home);
    let said = home.run(&["access", "add", "admin", "--role", "admin"]);
    assert_eq!(said.code, Some(6), "no code: {}", said.err);
    assert!(!home.run(&["access", "list"]).out.contains("admin"));
    assert!(verbs(&home).contains("authentication_refused"), "{}", verbs(&home));
    let said = home.run(&["access", "add", "admin", "--role", "admin", "--totp", &recovery[0]]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(verbs(&home).matches("credential_granted").count(), 2);
}

#[test]
fn file_of_keys_that_others_may_read_is_not_used() {
    let home = Home::new(None);
    assert_eq!(home.run(&["access", "add", "phone", "--role", "viewer"]).code, Some(0));
    crate::support::set_mode(&home.path("data/access.json"), 0o644);
    let said = home.run(&["access", "list"]);
    assert_eq!(said.code, Some(6));
    home.reads("access_open_file", &said);
}

#[test]
fn codes_are_set_up_used_once_and_given_up_only_with_one() {
    let home = Home::new(None);
    let early = home.run(&["totp", "verify", "123456"]);
    assert_eq!(early.code, Some(6));
    home.reads("totp_not_enrolled", &early);
    let wrong = home.run_with(&["totp", "enroll", "--json"], "1\n2\n3\n");
    assert_eq!(wrong.code, Some(6), "{}", wrong.err);
    assert_eq!(home.run(&["totp", "verify", "123456"]).err, early.err, "nothing was stored");

    let (uri, recovery) = enroll(&home);
    assert_eq!(recovery.len(), 10);
    let twice = home.run(&["totp", "enroll"]);
    assert_eq!(twice.code, Some(6));
    home.reads("totp_twice", &twice);
    let next = code(&uri, 1);
    let right = home.run(&["totp", "verify", &next]);
    assert_eq!(right.code, Some(0), "{}", right.err);
    home.reads("totp_right", &right);
    let replayed = home.run(&["totp", "verify", &next]);
    assert_eq!(replayed.code, Some(6));
    home.reads("totp_replayed", &replayed);
    let renewed = json(&home.run(&["totp", "recovery", &recovery[0], "--json"]));
    let fresh = renewed["recovery"][0].as_str().expect("a code").to_owned();
    let old = home.run(&["totp", "disable", &recovery[1]]);
    assert_eq!(old.code, Some(6), "the former codes are void");
    home.reads("totp_wrong", &old);
    let off = home.run(&["totp", "disable", &fresh]);
    assert_eq!(off.code, Some(0), "{}", off.err);
    home.reads("totp_off", &off);
    assert_eq!(home.run(&["totp", "verify", &next]).code, Some(6));
    assert_eq!(home.run(&["keys", "list"]).code, Some(0), "the vault is as it was otherwise");
}

#[test]
fn unhalt_and_new_api_keys_need_a_code_that_was_not_used_before_also_after_a_restart() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let add = ["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"];
    assert_eq!(home.run(&add).code, Some(0));
    let (_, recovery) = enroll(&home);
    let daemon = home.daemon();
    home.wait_for("it is up", |_| true);
    assert_eq!(home.run(&["halt"]).code, Some(0), "no code is needed to stop");
    let without = home.run(&["unhalt", "--reason", "fine"]);
    assert_eq!(without.code, Some(6));
    home.reads("unhalt_needs_code", &without);
    let wrong = home.run(&["unhalt", "--reason", "fine", "--totp", "aaaa-aaaa-aaaa-aaaa"]);
    assert_eq!(wrong.code, Some(6));
    home.reads("unhalt_wrong_code", &wrong);
    let lifted = home.run(&["unhalt", "--reason", "fine", "--totp", &recovery[0]]);
    assert_eq!(lifted.code, Some(0), "{}", lifted.err);
    assert_eq!(home.run(&["access", "add", "phone", "--role", "viewer"]).code, Some(6));
    let made = home.run(&["access", "add", "phone", "--role", "viewer", "--totp", &recovery[1], "--json"]);
    assert_eq!(json(&made)["name"], "phone");
    assert_eq!(json(&home.run(&["access", "list", "--json"]))[0]["name"], "phone");
    assert_eq!(home.run(&["access", "revoke", "phone"]).code, Some(0), "no code is needed to revoke");
    assert_eq!(home.run(&["halt"]).code, Some(0));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));

    let daemon = home.daemon();
    home.wait_for("it is up", |_| true);
    let replayed = home.run(&["unhalt", "--reason", "fine", "--totp", &recovery[0]]);
    assert_eq!(replayed.code, Some(6), "{}", replayed.out);
    assert_eq!(home.run(&["unhalt", "--reason", "fine", "--totp", &recovery[2]]).code, Some(0));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn address_of_other_machines_needs_an_api_key_and_the_command_line_uses_the_socket() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let add = ["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"];
    assert_eq!(home.run(&add).code, Some(0));
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["bot.example.org".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    home.write("cert.pem", &certificate.pem(), 0o644);
    home.write("key.pem", &key.serialize_pem(), 0o644);
    let port = home.port;
    home.edit(
        "config/conf.d/local.toml",
        &format!("listen = \"127.0.0.1:{port}\""),
        "listen = \"127.0.0.1:1\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\nhosts = [\"bot.example.org\"]",
    );
    let open = home.run(&["run"]);
    assert_eq!(open.code, Some(6));
    home.reads("tls_key_open", &open);
    crate::support::set_mode(&home.path("key.pem"), 0o600);
    home.edit("config/conf.d/local.toml", "127.0.0.1:1", &format!("0.0.0.0:{port}"));
    let keyless = home.run(&["run"]);
    assert_eq!(keyless.code, Some(5), "{}", keyless.err);
    home.reads("exposed_without_key", &keyless);
    assert_eq!(home.run(&["access", "add", "phone", "--role", "viewer"]).code, Some(0));
    let daemon = home.daemon();
    let status = home.wait_for("it answers over the socket", |_| true);
    assert_eq!(status["addresses"]["dashboard"], format!("https://bot.example.org:{port}/"));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));
}
