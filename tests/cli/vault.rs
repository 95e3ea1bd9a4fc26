//! The vault's own commands: every way in, every change, copies, roll-backs; and an opener that shares no code with it.

use crate::support::{Home, Said, Sim, VAULT_PASSPHRASE, set_mode};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VAULT: &str = "data/custody/keys.vault";
const NEW_PASSPHRASE: &str = "five other words open it now";

fn linked(sim: &Sim) -> Home {
    let home = Home::new(Some(sim));
    let said = home.run(&["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home
}

/// What `vault unlock` says of the keys, without the numbers that every save changes.
fn fingerprints(said: &Said) -> serde_json::Value {
    assert_eq!(said.code, Some(0), "{}", said.err);
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("the report is JSON");
    let keys = report.get("keys").expect("keys").clone();
    assert_eq!(keys.as_array().map(Vec::len), Some(1));
    keys
}

fn keys(home: &Home) -> serde_json::Value {
    fingerprints(&home.run(&["vault", "unlock", "--json"]))
}

fn generation(home: &Home) -> u64 {
    let said = home.run(&["vault", "unlock", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("the report is JSON");
    report.get("generation").and_then(serde_json::Value::as_u64).expect("a generation")
}

fn verbs(home: &Home) -> String {
    let said = home.run(&["audit", "tail", "-n", "1000"]);
    assert_eq!(home.run(&["audit", "verify", "--quiet"]).code, Some(0));
    said.out
}

/// A Python that has the opener's two libraries. Without one the check is left out, except where nothing may be.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("target/tools/venv/bin/python");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let found = Command::new(&python)
        .args(["-c", "import argon2, nacl"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "no Python with argon2-cffi and pynacl: .ci/run installs them");
    found.then_some(python)
}

/// What `tools/vault_open.py` makes of a vault: exit code and output.
fn independent(python: &Path, vault: &Path, opener: &str) -> (Option<i32>, String) {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/vault_open.py");
    let mut child = Command::new(python)
        .arg(tool)
        .arg(vault)
        .args(["--passphrase-fd", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("its standard input");
    writeln!(input, "{opener}").expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn copy_put_back_after_everything_was_lost_holds_the_same_keys_and_tells_what_it_replaced() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = keys(&home);
    let said = home.run(&["vault", "backup", "copy.vault"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = home.run(&["vault", "backup", "copy.vault"]);
    assert_eq!(said.code, Some(1), "a copy is never written over");
    home.reads("vault_backup_twice", &said);
    let said = home.run(&["vault", "restore", "copy.vault"]);
    assert_eq!(said.code, Some(6));
    home.reads("vault_restore_over", &said);

    fs::remove_dir_all(home.path("data")).expect("everything is lost");
    home.write("wrong", "these words are not the ones\n", 0o600);
    let said =
        home.run_with(&["vault", "restore", "copy.vault", "--passphrase-fd", "0"], "not the words of this vault\n");
    assert_eq!(said.code, Some(6), "{}", said.err);
    assert!(!home.path(VAULT).exists(), "what does not open is not put in place");
    let said = home.run(&["vault", "restore", "copy.vault", "--json"]);
    assert_eq!(fingerprints(&said), before);
    assert_eq!(keys(&home), before);
    assert!(verbs(&home).contains("vault_restored"));
    let said = home.run(&["keys", "test", "bitget-main"]);
    assert_eq!(said.code, Some(0), "the key still signs: {}", said.err);
}

#[test]
fn older_vault_is_refused_recorded_and_taken_only_by_its_number() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = keys(&home);
    fs::copy(home.path(VAULT), home.path("older")).expect("a thief's copy");
    let old = generation(&home);
    assert_eq!(home.run(&["keys", "test", "bitget-main"]).code, Some(0));
    let newest = generation(&home);
    assert!(newest > old);
    fs::copy(home.path(VAULT), home.path("newest")).expect("the newest");
    fs::copy(home.path("older"), home.path(VAULT)).expect("the old one is put back");
    set_mode(&home.path(VAULT), 0o600);
    for args in [&["keys", "list"][..], &["run"], &["vault", "unlock"], &["vault", "rotate-dek"]] {
        let said = home.run(args);
        assert_eq!(said.code, Some(6), "{args:?}: {}", said.err);
        assert!(said.err.contains("accept-rollback"), "{}", said.err);
    }
    assert_eq!(verbs(&home).matches("rollback_refused refused").count(), 4);
    let (number, other) = (old.to_string(), newest.to_string());
    assert_eq!(home.run(&["vault", "accept-rollback", "--generation", &other]).code, Some(6));
    let said = home.run(&["vault", "accept-rollback", "--generation", &number]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(keys(&home), before);
    assert!(verbs(&home).contains("rollback_accepted allowed"));
    let said = home.run(&["vault", "accept-rollback", "--generation", &number]);
    assert_eq!(said.code, Some(8), "once is enough");
    // What was the newest is the older one now.
    fs::copy(home.path("newest"), home.path(VAULT)).expect("the former newest is put back");
    assert_eq!(home.run(&["keys", "list"]).code, Some(6));
}

#[test]
fn changed_passphrase_and_data_key_open_here_and_in_the_independent_opener() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = keys(&home);
    let python = python();
    let opens = |passphrase: &str, wanted: bool| {
        let Some(python) = &python else { return };
        let (code, text) = independent(python, &home.path(VAULT), passphrase);
        assert_eq!(code, Some(if wanted { 0 } else { 1 }), "{text}");
        assert!(!wanted || text.matches("record ").count() == 2, "a key and the audit log's seed: {text}");
    };
    opens(VAULT_PASSPHRASE, true);
    opens(NEW_PASSPHRASE, false);
    home.write("vault-passphrase", &format!("{VAULT_PASSPHRASE}\n"), 0o600);
    let dir = tempfile::tempdir().expect("a directory elsewhere");
    let file = dir.path().join("new");
    fs::write(&file, format!("{NEW_PASSPHRASE}\n")).expect("a file is written");
    set_mode(&file, 0o600);
    let file = file.to_str().expect("a path");
    let said = home.run(&["vault", "change-passphrase", "--new-passphrase-file", file]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("vault_change_passphrase", &said);
    opens(VAULT_PASSPHRASE, false);
    opens(NEW_PASSPHRASE, true);
    assert_eq!(home.run(&["keys", "list"]).code, Some(6), "the old passphrase is out of force");
    let by_fd =
        |args: &[&str]| home.run_with(&[args, &["--passphrase-fd", "0"]].concat(), &format!("{NEW_PASSPHRASE}\n"));
    assert_eq!(fingerprints(&by_fd(&["vault", "unlock", "--json"])), before);
    let earlier =
        || home.files("data/custody").keys().filter(|path| path.to_string_lossy().contains("vault.g")).count();
    assert!(earlier() > 0);
    let said = by_fd(&["vault", "rotate-dek", "--forget-old"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(earlier(), 0);
    opens(NEW_PASSPHRASE, true);
    assert_eq!(fingerprints(&by_fd(&["vault", "unlock", "--json"])), before);
    let said = verbs(&home);
    assert!(said.contains("passphrase_changed allowed") && said.contains("data_key_rotated allowed"), "{said}");
}

#[test]
fn every_source_of_the_passphrase_opens_the_vault() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = keys(&home); // from a file
    let unlock = ["vault", "unlock", "--json"];
    let typed = format!("{VAULT_PASSPHRASE}\n");
    let said = home.run_with(&["vault", "unlock", "--json", "--passphrase-fd", "0"], &typed);
    assert_eq!(fingerprints(&said), before);
    let said = home.run(&["vault", "unlock", "--passphrase-fd", "99"]);
    assert_eq!(said.code, Some(6));
    home.reads("vault_no_descriptor", &said);

    home.edit("config/conf.d/local.toml", "file:vault-passphrase", "credential:vault-passphrase");
    fs::create_dir(home.path("credentials")).expect("a directory");
    fs::rename(home.path("vault-passphrase"), home.path("credentials/vault-passphrase")).expect("a credential");
    set_mode(&home.path("credentials/vault-passphrase"), 0o440);
    let said = home.run_with_variable("CREDENTIALS_DIRECTORY", &home.path("credentials"), &unlock);
    assert_eq!(fingerprints(&said), before);
    let said = home.run(&unlock);
    assert_eq!(said.code, Some(6));
    home.reads("vault_no_credential", &said);

    home.edit("config/conf.d/local.toml", "credential:vault-passphrase", "prompt");
    let said = home.run_on_terminal(&unlock, &typed);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert!(said.out.contains("bitget-main"), "{}", said.out);
}

#[test]
fn machine_key_and_recovery_code_open_the_vault_until_they_are_removed() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = keys(&home);
    let said = home.run(&["vault", "add-slot", "machine", "--key-file", "machine.key"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let machine = fs::read_to_string(home.path("machine.key")).expect("the machine's key");
    let said = home.run(&["vault", "add-slot", "recovery"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let recovery = said.out.trim().to_owned();
    let unlock = ["vault", "unlock", "--json", "--passphrase-fd", "0"];
    for opener in [machine.trim(), &recovery] {
        assert_eq!(fingerprints(&home.run_with(&unlock, &format!("{opener}\n"))), before);
        if let Some(python) = python() {
            let (code, text) = independent(&python, &home.path(VAULT), opener);
            assert_eq!(code, Some(0), "{text}");
        }
        let wrong = opener.replace(['0', '1', '2', '3'], "f");
        assert_eq!(home.run_with(&unlock, &format!("{wrong}\n")).code, Some(6));
    }
    // A daemon that reads the machine's key where it would read a passphrase.
    home.edit("config/conf.d/local.toml", "file:vault-passphrase", "file:machine.key");
    assert_eq!(keys(&home), before);
    home.edit("config/conf.d/local.toml", "file:machine.key", "file:vault-passphrase");
    let said = home.run(&["vault", "rotate-dek"]);
    assert_eq!(said.code, Some(6));
    home.reads("vault_rotate_with_slots", &said);
    for slot in ["machine", "recovery"] {
        let said = home.run(&["vault", "remove-slot", slot, "--forget-old"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    for opener in [machine.trim(), &recovery] {
        assert_eq!(home.run_with(&unlock, &format!("{opener}\n")).code, Some(6));
    }
    assert_eq!(home.run(&["vault", "rotate-dek"]).code, Some(0));
    assert_eq!(keys(&home), before);
}

#[test]
fn new_vault_says_what_opening_it_costs_and_is_made_once() {
    let home = Home::new(None);
    fs::remove_dir_all(home.path("data/custody")).expect("the prepared vault goes");
    let said = home.run(&["vault", "init"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("Argon2id, 256 MiB, 3 passes, 1 lane(s); it took"), "{}", said.err);
    assert!(verbs(&home).contains("vault_created done"));
    let said = home.run(&["vault", "init"]);
    assert_eq!(said.code, Some(6));
    home.reads("vault_init_twice", &said);
}

#[cfg(feature = "age-export")]
#[test]
fn export_opens_with_its_identity_alone_and_holds_the_keys_with_their_fingerprints() {
    use age::secrecy::ExposeSecret as _;
    use base64::Engine as _;
    use sha2::Digest as _;
    use std::io::Read as _;

    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = keys(&home);
    let (identity, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let recipient = identity.to_public().to_string();
    let said = home.run(&["vault", "export", "--age", "age1nonsense", "export.age"]);
    assert_eq!(said.code, Some(2));
    let said = home.run(&["vault", "export", "--age", &recipient, "export.age"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!said.out.contains(identity.to_string().expose_secret()));
    assert!(verbs(&home).contains("vault_exported allowed"));
    let bytes = fs::read(home.path("export.age")).expect("the export");
    let open = |identity: &age::x25519::Identity| {
        let decryptor = age::Decryptor::new(&bytes[..]).expect("an age file");
        decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok().map(|mut reader| {
            let mut text = String::new();
            reader.read_to_string(&mut text).expect("text");
            text
        })
    };
    assert_eq!(open(&other), None);
    let text = open(&identity).expect("its own identity opens it");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(rows.len(), 1, "the keys, and not the audit log's seed");
    let key = rows[0].get("key").and_then(serde_json::Value::as_str).expect("a key");
    let key = base64::engine::general_purpose::STANDARD.decode(key).expect("base64");
    assert_eq!(key, crate::support::KEY.as_bytes());
    let fingerprint = &hex::encode(sha2::Sha256::digest(&key))[..16];
    assert_eq!(before[0].get("fingerprint").and_then(serde_json::Value::as_str), Some(fingerprint));
}
