//! The audit log as a person meets it: what it shows, what it proves, and what it says when somebody changed it.

use crate::support::{Home, Said, Sim, VAULT_PASSPHRASE};
use rustix::process::Signal;
use std::fs;

const LOG: &str = "data/custody/audit/audit-000001.log";

fn linked(sim: &Sim) -> Home {
    let home = Home::new(Some(sim));
    let said = home.run(&["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home
}

/// Verbs and decisions in the log, oldest first.
fn verbs(home: &Home) -> Vec<String> {
    let said = home.run(&["audit", "tail", "-n", "1000", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let rows = said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON"));
    let words =
        |row: serde_json::Value| Some(format!("{} {}", row.get("verb")?.as_str()?, row.get("decision")?.as_str()?));
    rows.filter_map(words).collect()
}

fn verified(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.out).expect("the report is JSON")
}

#[test]
fn run_with_a_halt_leaves_its_records_and_every_one_is_proven() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let daemon = home.daemon();
    home.wait_for("it is ready", |status| status["not_ready"].as_array().is_some_and(std::vec::Vec::is_empty));
    assert_eq!(home.run(&["pause", "--reason", "a look"]).code, Some(0));
    assert_eq!(home.run(&["resume", "--reason", "all well"]).code, Some(0));
    assert_eq!(home.run(&["halt", "--reason", "a drill"]).code, Some(0));
    assert_eq!(home.run(&["unhalt", "--reason", "the drill is over"]).code, Some(0));
    home.write("wrong.token", &format!("{}\n", "0".repeat(64)), 0o600);
    let url = format!("http://127.0.0.1:{}", home.port);
    assert_ne!(home.run(&["status", "--endpoint", &url, "--token-file", "wrong.token"]).code, Some(0));
    // Beside the running daemon: the chain without the vault, every record with it.
    let said = home.run(&["audit", "verify", "--json"]);
    assert_eq!((said.code, verified(&said)["ok"].as_bool()), (Some(0), Some(true)), "{}", said.err);
    let said = home.run(&["audit", "verify", "--unlock", "--json"]);
    assert_eq!((said.code, verified(&said)["macs_checked"].as_bool()), (Some(0), Some(true)), "{}", said.err);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));

    let found = verbs(&home);
    for expected in [
        "key_linked allowed",
        "vault_unlocked done",
        "start allowed",
        "pause allowed",
        "resume allowed",
        "halt allowed",
        "halt done",
        "unhalt allowed",
        "authentication_refused refused",
        "stop done",
    ] {
        assert!(found.iter().any(|verb| verb == expected), "{expected} is not in {found:?}");
    }
    let said = home.run(&["audit", "verify", "--json"]);
    let report = verified(&said);
    assert_eq!(report["last"], report["sealed"], "an orderly end seals everything");

    let halt = home.run(&["audit", "tail", "-n", "1000", "--json"]);
    let halt = halt.out.lines().find(|line| line.contains("a drill")).expect("the halt is recorded");
    let seq = serde_json::from_str::<serde_json::Value>(halt).expect("JSON")["seq"].to_string();
    let proof = home.run(&["audit", "prove", &seq]);
    assert_eq!(proof.code, Some(0), "{}", proof.err);
    home.write("proof.json", &proof.out, 0o600);
    fs::copy(home.path("data/custody/audit/anchor.pub"), home.path("anchor.pub")).expect("a copy of the first key");
    // Somebody without log and vault, and without settings.
    let check = ["audit", "verify", "--proof", "proof.json", "--anchor", "anchor.pub"];
    let said = home.run(&check);
    assert!(said.code == Some(0) && said.out.contains("halt") && said.out.contains("a drill"), "{}", said.err);
    home.edit("proof.json", "a drill", "no drill");
    let said = home.run(&check);
    assert_eq!(said.code, Some(1));
    home.reads("audit_false_proof", &said);
}

#[test]
fn edited_record_is_named_and_no_daemon_starts_on_a_log_that_was_cut() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let said = home.run(&["audit", "verify"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("audit_ok", &said);
    let genuine = fs::read_to_string(home.path(LOG)).expect("the log is text");
    assert!(!genuine.contains(VAULT_PASSPHRASE));

    home.edit(LOG, "trade key", "other key");
    let said = home.run(&["audit", "verify"]);
    assert_eq!(said.code, Some(1));
    home.reads("audit_edited", &said);
    let said = home.run(&["audit", "verify", "--unlock"]);
    assert_eq!(said.code, Some(1));
    home.reads("audit_edited_unlock", &said);

    let first = genuine.lines().next().expect("a first line");
    home.write(LOG, &format!("{first}\n"), 0o600);
    let said = home.run(&["audit", "verify"]);
    assert_eq!(said.code, Some(1));
    home.reads("audit_cut", &said);
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(1));
    home.reads("audit_cut_run", &said);

    home.write(LOG, &genuine, 0o600);
    let said = home.run(&["audit", "verify", "--seen", "1000"]);
    assert_eq!(said.code, Some(1), "the number that was exported is higher");
}

#[test]
fn log_that_is_not_there_is_said() {
    let home = Home::new(None);
    let said = home.run(&["audit", "tail"]);
    assert_eq!(said.code, Some(8));
    home.reads("audit_none", &said);
}
