//! The data directory: full disks, cut journals, newer versions, two owners. Nothing is lost.

use crate::support::{Home, Sim};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};
use std::fs::OpenOptions;

fn linked(sim: &Sim) -> Home {
    let home = Home::new(Some(sim));
    let said = home.run(&["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home
}

fn orders(status: &serde_json::Value) -> u64 {
    let strategies = status["strategies"].as_object().expect("strategies by name");
    strategies.values().filter_map(|strategy| strategy["orders"].as_u64()).sum()
}

#[test]
fn daemon_on_a_full_disk_takes_no_new_risk_and_loses_nothing() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let daemon = home.daemon();
    home.wait_for("it trades", |status| orders(status) > 0);
    // From now on no file can grow: what a full disk does, without needing one.
    let all = getrlimit(Resource::Fsize);
    prlimit(Some(daemon.pid()), Resource::Fsize, Rlimit { current: Some(1), ..all }).expect("the disk is full");
    let full =
        home.wait_for("it notices", |status| status["not_ready"].as_array().is_some_and(|reasons| !reasons.is_empty()));
    let said = home.run(&["status"]);
    assert_eq!(said.code, Some(0));
    let told: Vec<&str> = said.out.lines().filter(|line| line.starts_with("not ready")).collect();
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("full_disk_status", home.plain(&told.join("\n")));
    });
    let later = home.status().expect("it still answers");
    assert_eq!(orders(&later), orders(&full), "no order leaves while it cannot be written down");
    prlimit(Some(daemon.pid()), Resource::Fsize, all).expect("the disk has room again");
    home.wait_for("it is ready again", |status| status["not_ready"].as_array().is_some_and(std::vec::Vec::is_empty));
    daemon.signal(Signal::INT);
    let (code, rest) = daemon.end();
    assert_eq!(code, Some(0), "{rest}");
    let said = home.run(&["journal", "verify"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.shows_no_secret(&rest, "");
}

#[test]
fn key_is_not_linked_on_a_full_disk() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    assert_eq!(home.run(&["keys", "list"]).code, Some(0));
    let before = home.files("data/custody");
    let said = home.run_on_full_disk(&["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    home.reads("full_disk_keys", &said);
    assert_eq!(home.files("data/custody"), before);
}

#[test]
fn daemon_does_not_start_on_a_full_disk() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let before = home.files("data/custody");
    // Inline: the limit that stands in for a full disk would also keep memory from being shared with a signer process.
    let said = home.run_on_full_disk(&["run", "--set", "signer.mode=inline"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    home.reads("full_disk_run", &said);
    assert_eq!(home.files("data/custody"), before);
}

#[test]
fn cut_journal_is_named_and_left_as_it_is() {
    let sim = Sim::start(&[]);
    let home = linked(&sim);
    let daemon = home.daemon();
    home.wait_for("it trades", |status| orders(status) > 0);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
    let journal = home.path("data/journal.db");
    let length = std::fs::metadata(&journal).expect("a journal").len();
    let file = OpenOptions::new().write(true).open(&journal).expect("the journal opens");
    file.set_len(length / 2).expect("the journal is cut");
    let before = std::fs::read(&journal).expect("the journal is read");
    let verified = home.run(&["journal", "verify"]);
    assert_eq!(verified.code, Some(1));
    home.reads("cut_journal_verify", &verified);
    let ran = home.run(&["run"]);
    assert_eq!(ran.code, Some(1));
    home.reads("cut_journal_run", &ran);
    assert!(std::fs::read(&journal).expect("the journal is read") == before, "the evidence is left as it was");
}

#[test]
fn data_directory_of_a_newer_program_is_left_alone() {
    let home = Home::new(None);
    home.write("data/version", "99\n", 0o600);
    let before = home.files("data");
    for args in [&["run"][..], &["keys", "list"]] {
        let said = home.run(args);
        assert_eq!(said.code, Some(1));
        home.reads("newer_data_directory", &said);
    }
    assert_eq!(home.files("data"), before);
}

#[test]
fn data_directory_that_others_may_read_is_not_used() {
    let home = Home::new(None);
    crate::support::set_mode(&home.path("data"), 0o755);
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(6));
    home.reads("open_data_directory", &said);
}

#[test]
fn data_directory_has_one_owner_at_a_time() {
    let home = Home::new(None);
    let owner = steadfast::data_dir::DataDir::open(&home.path("data")).expect("the directory is taken");
    let before = home.files("data");
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(1));
    home.reads("in_use_run", &said);
    let said = home.run(&["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(said.code, Some(1));
    home.reads("in_use_keys", &said);
    assert_eq!(home.files("data"), before);
    drop(owner);
}
