//! The signer as a process of its own: how it is kept apart, and what happens when it dies or falls silent.

use super::books::Books;
use super::lab::{Daemon, Exchange, Home, until};
use super::{orders, stop_and_agree};
use messages::HaltReason;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Command;

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// The signer process of a daemon: its only child.
fn signer_of(daemon: &Daemon) -> Option<u32> {
    let daemon = daemon.child.id();
    let tasks = fs::read_dir(format!("/proc/{daemon}/task")).ok()?;
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .find_map(|children| children.split_whitespace().next().and_then(|number| number.parse().ok()))
}

fn is_there(process: u32) -> bool {
    // A process that has ended and that nobody has asked about is a zombie.
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

#[test]
fn what_stops_the_daemon_does_not_stop_its_signer_before_the_last_cancel() {
    let exchange = Exchange::start(36, &[]);
    let home = Home::new(&exchange);
    let mut daemon = home.run(None);
    daemon.ready();
    orders(&exchange, 8);
    let signer = pid(signer_of(&daemon).unwrap());
    // As Ctrl-C in a terminal and a service manager do: everybody is told at once.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill_process(signer, signal).unwrap();
    }
    stop_and_agree(daemon, &exchange, &home);
}

#[test]
fn signer_has_no_environment_no_other_descriptor_and_no_file_open_to_others_and_goes_with_its_daemon() {
    let exchange = Exchange::start(31, &[]);
    let home = Home::new(&exchange);
    let mut daemon = home.run(None);
    daemon.ready();
    let signer = signer_of(&daemon).unwrap();
    let proc = |what: &str| format!("/proc/{signer}/{what}");
    // The superuser may read what is hidden from everybody else.
    if rustix::process::geteuid().is_root() {
        assert_eq!(fs::read(proc("environ")).unwrap(), b"");
        let open = fs::read_dir(proc("fd")).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        for place in open {
            let place = place.to_string_lossy().into_owned();
            let sound = place.starts_with("socket:")
                || place == "/dev/null"
                || place.contains("/out-")
                || place.ends_with("/custody")
                || place.contains("/custody/");
            assert!(sound, "the signer has {place} open");
        }
        let as_other = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "cat", &proc("environ")])
            .output();
        match as_other {
            Ok(output) => assert!(!output.status.success(), "another user may read it"),
            Err(error) => println!("skipped: setpriv cannot be run: {error}"),
        }
    } else {
        assert!(fs::read(proc("environ")).is_err(), "processes of the same user may not read it");
    }
    let status = fs::read_to_string(proc("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or("");
        line.rsplit('\t').next().unwrap_or("").to_owned()
    };
    assert_eq!((field("Seccomp:").as_str(), field("NoNewPrivs:").as_str()), ("2", "1"));
    let (address, token) = daemon.control();
    let metrics = super::http::bearer(&address, &token, "/metrics").1;
    let level = metrics.lines().find(|line| line.starts_with("steadfast_signer_isolation_info")).unwrap();
    assert!(level.contains("level=\"process\"") && level.contains("seccomp=\"on\""), "{level}");
    drop(daemon);
    until("the end of a signer without its daemon", || (!is_there(signer)).then_some(()));
}

/// The records of the audit log, without the seals.
fn recorded(home: &Home) -> Vec<serde_json::Value> {
    let output = home.command(&["audit", "tail", "-n", "200", "--json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let records = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    records.filter(|record| record["verb"].is_string()).collect()
}

#[test]
fn lost_signer_is_replaced_and_trading_stays_halted_until_a_person_lifts_it() {
    for (seed, how) in [(32, Signal::KILL), (33, Signal::STOP)] {
        let exchange = Exchange::start(seed, &[]);
        let home = Home::new(&exchange);
        let mut daemon = home.run(None);
        daemon.ready();
        super::orders(&exchange, 12);
        let first = signer_of(&daemon).unwrap();
        kill_process(pid(first), how).unwrap();
        until("the halt", || {
            let status = daemon.api("/api/v1/status");
            (status["halt"]["reason"] == "signer_lost").then_some(())
        });
        let second = until("a new signer", || signer_of(&daemon).filter(|process| *process != first));
        assert!(!is_there(first), "a silent signer must not wake up beside its successor");
        until("cancels by the new signer", || exchange.truth().resting.is_empty().then_some(()));
        let placed = exchange.truth().ended.len();
        let endpoint = format!("http://{}", daemon.control().0);
        let lifted = home.command(&["unhalt", "--reason", "looked at it", "--endpoint", &endpoint]).output().unwrap();
        assert!(lifted.status.success(), "{}", String::from_utf8_lossy(&lifted.stderr));
        daemon.ready();
        super::orders(&exchange, placed + 6);
        assert_eq!(signer_of(&daemon), Some(second));
        let (status, _) = daemon.stop();
        assert!(status.success());
        let (books, truth) = (Books::read(&home), exchange.truth());
        books.agree(&truth);
        assert_eq!(truth.resting.len(), 0);
        let reasons: Vec<_> = books.halts.iter().flatten().copied().collect();
        assert_eq!(reasons, [HaltReason::SignerLost], "by {how:?}");
        let epochs = truth.ended.iter().map(|order| order.client_id.parse::<domain::ClientOrderId>().unwrap().epoch());
        let epochs: std::collections::BTreeSet<_> = epochs.collect();
        assert_eq!(epochs.len(), 2, "each signer signs under an epoch of its own");
        let verified = home.command(&["audit", "verify", "--unlock"]).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let records = recorded(&home);
        let count = |verb: &str, words: &str| {
            records
                .iter()
                .filter(|record| record["verb"] == verb && record["reason"].as_str().unwrap().contains(words))
                .count()
        };
        assert_eq!(count("vault_unlocked", ""), 2, "{records:#?}");
        assert_eq!((count("start", ""), count("stop", "asked to")), (1, 1), "{records:#?}");
        assert!(
            count("halt", "signer_lost") >= 1,
            "a halt is recorded though nobody could record it then: {records:#?}"
        );
        assert_eq!(count("unhalt", "looked at it"), 1, "{records:#?}");
        assert!(count("key_moved", "") >= 1, "{records:#?}");
    }
}
