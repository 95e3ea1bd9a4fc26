//! The life of a key after it was linked: by a person, with the daemon stopped and beside a running one.

use crate::support::{Home, PASSPHRASE, SECRET, Said, Sim};
use clock::SystemClock;
use domain::Clock as _;
use rustix::process::Signal;
use serde_json::Value;

const ADD: [&str; 7] = ["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"];

fn done(said: Said) -> Said {
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    said
}

fn json(home: &Home, args: &[&str]) -> Value {
    let said = done(home.run(&[args, &["--json"]].concat()));
    serde_json::from_str(&said.out).expect("it is JSON")
}

fn status(home: &Home) -> String {
    json(home, &["keys", "show", "bitget-main"])["status"].as_str().expect("a state").to_owned()
}

/// The states that a key has gone through, and why.
fn history(home: &Home) -> Vec<(String, String)> {
    let audit = json(home, &["keys", "audit", "bitget-main"]);
    let steps = audit[0]["history"].as_array().expect("steps").iter();
    let text = |value: &Value| value.as_str().unwrap_or("policy").to_owned();
    steps.map(|step| (text(&step["status"]), text(&step["reason"]))).collect()
}

#[test]
fn key_is_disabled_enabled_and_revoked_while_the_daemon_is_stopped() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    done(home.run(&ADD));
    let disabled = home.run(&["keys", "disable", "bitget-main", "--reason", "a laptop was lost"]);
    home.reads("key_disabled", &disabled);
    assert_eq!(status(&home), "Quarantined");
    let test = home.run(&["keys", "test", "bitget-main"]);
    assert_eq!(test.code, Some(6));
    home.reads("key_disabled_test", &test);
    let again = home.run(&["keys", "disable", "bitget-main", "--reason", "once more"]);
    assert_eq!(again.code, Some(6));
    home.reads("key_disabled_twice", &again);
    assert_eq!(home.run(&["keys", "enable", "bitget-main"]).code, Some(2), "a reason is needed");
    let enabled = done(home.run(&["keys", "enable", "bitget-main", "--reason", "it was found"]));
    home.reads("key_enabled", &enabled);
    assert_eq!(status(&home), "Active");
    let asked = home.run(&["keys", "revoke", "bitget-main"]);
    assert_eq!(asked.code, Some(2));
    home.reads("key_revoke_asks", &asked);
    assert_eq!(status(&home), "Active");
    let revoked = done(home.run(&["keys", "revoke", "bitget-main", "--yes", "--reason", "no longer used"]));
    home.reads("key_revoked", &revoked);
    let states: Vec<String> = history(&home).into_iter().map(|(state, _)| state).collect();
    let expected =
        ["Linked", "policy", "Verifying", "Active", "Quarantined", "Verifying", "Active", "Revoked"].map(str::to_owned);
    assert_eq!(states, expected);
    assert!(history(&home).contains(&("Quarantined".to_owned(), "disabled: a laptop was lost".to_owned())));
    let final_ = home.run(&["keys", "enable", "bitget-main", "--reason", "please"]);
    assert_eq!(final_.code, Some(6));
    home.reads("key_revoked_is_final", &final_);
    assert_eq!(home.run(&ADD).code, Some(6), "the same API key does not come back");
    assert_eq!(home.run(&["keys", "show", "nobody"]).code, Some(8));
}

#[test]
fn key_of_a_running_daemon_loses_its_trust_at_once_and_gets_it_back_with_a_code_alone() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    done(home.run(&ADD));
    let (_, recovery) = crate::access::enroll(&home);
    let daemon = home.daemon();
    home.wait_for("it trades", |status| status["open_orders"].as_u64() > Some(0));
    let tested = done(home.run(&["keys", "test", "bitget-main"]));
    home.reads("key_tested_beside_daemon", &tested);

    done(home.run(&["keys", "disable", "bitget-main", "--reason", "a laptop was lost"]));
    assert_eq!(status(&home), "Quarantined");
    let without = home.run(&["keys", "enable", "bitget-main", "--reason", "found"]);
    assert_eq!(without.code, Some(6));
    home.reads("key_enable_needs_code", &without);
    assert_eq!(status(&home), "Quarantined");
    let enable = ["keys", "enable", "bitget-main", "--reason", "found", "--totp", &recovery[0]];
    done(home.run(&enable));
    assert_eq!(status(&home), "Active");

    let show = done(home.run(&["keys", "policy", "show", "bitget-main"]));
    assert!(show.out.contains("BTCUSDT: no sell below"), "{}", show.out);
    let tighten = ["keys", "policy", "tighten", "bitget-main", "--set", "instrument.BTCUSDT.max_notional=100"];
    done(home.run(&tighten));
    let held = |home: &Home| json(home, &["keys", "policy", "show", "bitget-main"])["policy"]["instruments"][0].clone();
    assert_eq!(held(&home)["order_notional"], "100");
    let wrong = home.run(&["keys", "policy", "tighten", "bitget-main", "--set", "BTCUSDT.order_notional=9000"]);
    assert_eq!(wrong.code, Some(5), "{}", wrong.err);
    let loosen = ["keys", "policy", "loosen", "bitget-main", "--set", "BTCUSDT.order_notional=9000"];
    assert_eq!(home.run(&loosen).code, Some(6), "a code is needed");
    assert_eq!(held(&home)["order_notional"], "100");
    done(home.run(&[&loosen[..], &["--totp", &recovery[1]]].concat()));
    assert_eq!(held(&home)["order_notional"], "9000");

    done(home.run(&["keys", "revoke", "bitget-main", "--yes"]));
    assert_eq!(status(&home), "Revoked");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));
    assert_eq!(history(&home).last().map(|step| step.0.clone()), Some("Revoked".to_owned()), "it is on disk");
}

#[test]
fn wrong_key_of_a_running_daemon_is_replaced_by_one_that_it_never_sees_in_clear() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    // A key that nobody could try when it was linked, and that turns out to be none.
    let rest = format!("rest = \"{}\"", sim.addresses.rest);
    home.edit("config/conf.d/local.toml", &rest, "rest = \"http://127.0.0.1:9\"");
    let wrong = format!("bg_ffffffffffffffffffffffffffffffff\n{}\n{PASSPHRASE}\n", SECRET.replace('9', "8"));
    home.run_with(&["keys", "add", "bitget-main", "--venue", "bitget", "--stdin"], &wrong);
    assert_eq!(status(&home), "Linked");
    home.edit("config/conf.d/local.toml", "rest = \"http://127.0.0.1:9\"", &rest);
    let daemon = home.daemon();
    home.wait_for("its key is refused", |status| status["keys"][0]["status"] == "Linked");
    let taken = home.run(&ADD);
    assert_eq!(taken.code, Some(6), "{}", taken.err);
    home.reads("key_add_beside_daemon_taken", &taken);
    done(home.run(&["keys", "revoke", "bitget-main", "--yes"]));
    let begun = SystemClock.mono();
    let added = done(home.run(&ADD));
    let took = SystemClock.mono().since(begun);
    println!("start to Active beside a running daemon: {took:?}");
    home.reads("key_added_beside_daemon", &added);
    assert_eq!(status(&home), "Active");
    home.wait_for("it trades", |status| status["open_orders"].as_u64() > Some(0));
    // API key and passphrase stand in the header of each signed request, which the daemon sends; the secret does not.
    assert!(!in_memory_of(daemon.pid().as_raw_pid(), SECRET.as_bytes()), "the daemon holds the secret");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));
    done(home.run(&["keys", "test", "bitget-main"]));
}

/// Whether a process has these bytes in memory that can be read. Without the right to look: no.
fn in_memory_of(process: i32, wanted: &[u8]) -> bool {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let Ok(memory) = std::fs::File::open(format!("/proc/{process}/mem")) else {
        println!("skipped: this user may not read another process's memory");
        return false;
    };
    let ranges = maps.lines().filter_map(|line| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let writable = line.split(' ').nth(1)?.starts_with("rw");
        let range = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        writable.then_some(range)
    });
    let mut bytes = Vec::new();
    let mut read = 0;
    for (from, to) in ranges {
        bytes.resize(usize::try_from(to - from).unwrap_or(0), 0);
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            read += bytes.len();
            if memchr_find(&bytes, wanted) {
                return true;
            }
        }
    }
    assert!(read > 0, "nothing could be read of it");
    false
}

fn memchr_find(bytes: &[u8], wanted: &[u8]) -> bool {
    let first = wanted[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return true;
        }
        from += at + 1;
    }
    false
}

#[test]
fn memory_of_a_process_that_holds_a_value_is_found_to_hold_it() {
    let held = std::hint::black_box(format!("an invented value {}", std::process::id()));
    let own = i32::try_from(std::process::id()).expect("a process id");
    if std::fs::File::open(format!("/proc/{own}/mem")).is_ok() {
        assert!(in_memory_of(own, held.as_bytes()));
    }
}
