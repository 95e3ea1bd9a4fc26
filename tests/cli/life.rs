//! A whole life at the terminal: start, look, halt, start again, lift, stop; and the ways in which it cannot start.

use crate::support::{Home, STEADFAST, Sim, free_port};
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

const ADD: [&str; 7] = ["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"];

#[test]
fn taken_port_is_named_with_the_option_that_chooses_another() {
    let home = Home::new(None);
    let taken = TcpListener::bind(("127.0.0.1", home.port)).expect("the port is taken");
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(1));
    home.reads("port_taken_run", &said);
    let address = taken.local_addr().expect("its address").to_string();
    let said = home.run(&["demo", "--listen", &address]);
    assert_eq!(said.code, Some(1));
    home.reads("port_taken_demo", &said);
    let said = home.run(&["sim", "--listen", &address]);
    assert_eq!(said.code, Some(1));
    home.reads("port_taken_sim", &said);
}

#[test]
fn silent_exchange_is_named_with_its_address() {
    let home = Home::new(None);
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(1));
    home.reads("venue_down_run", &said);
}

#[test]
fn commands_without_a_daemon_name_the_one_that_starts_it() {
    let home = Home::new(None);
    for (name, args) in [
        ("no_daemon_status", &["status"][..]),
        ("no_daemon_pause", &["pause"]),
        ("no_daemon_unhalt", &["unhalt", "--reason", "x"]),
    ] {
        let said = home.run(args);
        assert_eq!(said.code, Some(4), "{}", said.err);
        home.reads(name, &said);
    }
    let said = home.run(&["halt", "--reason", "holiday"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("halt_without_daemon", &said);
    assert!(home.path("data/halt.json").exists());
}

#[test]
fn real_orders_need_two_words() {
    let home = Home::new(None);
    let said = home.run(&["run", "--live"]);
    assert_eq!(said.code, Some(5));
    home.reads("live_in_sim", &said);
}

#[test]
fn halt_survives_a_restart_until_it_is_lifted() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    assert_eq!(home.run(&ADD).code, Some(0));
    let daemon = home.daemon();
    assert!(daemon.seen.contains("#t=TOKEN"), "no token is written where no person reads: {}", daemon.seen);
    home.wait_for("it trades", |status| status["open_orders"].as_u64() > Some(0));
    let said = home.run(&["halt", "--reason", "looking into it"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("HALTED"), "{}", said.out);
    home.wait_for("nothing rests", |status| status["open_orders"].as_u64() == Some(0));
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().0, Some(0));

    let daemon = home.daemon();
    let status = home.wait_for("it is up", |_| true);
    assert_eq!(status["trading"], "halted");
    let said = home.run(&["status"]);
    assert!(said.out.contains("steadfast unhalt --reason"), "{}", said.out);
    let said = home.run(&["unhalt", "--reason", "understood"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("unhalt", &said);
    let said = home.run(&["unhalt", "--reason", "understood"]);
    assert_eq!(said.code, Some(5));
    home.reads("unhalt_twice", &said);
    home.wait_for("it trades again", |status| status["open_orders"].as_u64() > Some(0));
    let tested = home.run(&["keys", "test", "bitget-main"]);
    assert_eq!(tested.code, Some(0), "a key is tested beside a running daemon: {}", tested.err);
    daemon.signal(Signal::INT);
    let (code, rest) = daemon.end();
    assert_eq!(code, Some(0));
    assert!(rest.contains("nothing rests at the exchange"), "{rest}");
}

#[test]
fn commands_reach_the_daemon_over_its_socket_and_over_its_address() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    assert_eq!(home.run(&ADD).code, Some(0));
    let daemon = home.daemon();
    home.wait_for("it is up", |_| true);
    let address = format!("http://127.0.0.1:{}", home.port);
    home.edit("config/conf.d/local.toml", &format!(":{}", home.port), &format!(":{}", free_port()));
    assert_eq!(home.run(&["status", "--json"]).code, Some(0), "nothing listens at the address of the settings");
    let said = home.run(&["pause", "--reason", "over the socket"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(home.run(&["status", "--endpoint", &address]).code, Some(0));
    std::fs::remove_file(home.path("data/control.sock")).expect("the socket is removed");
    assert_eq!(home.run(&["status"]).code, Some(4), "no socket, no address");
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn second_signal_ends_at_once_with_its_own_code() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    assert_eq!(home.run(&ADD).code, Some(0));
    let daemon = home.daemon();
    home.wait_for("it trades", |status| status["open_orders"].as_u64() > Some(0));
    drop(sim); // its cancels are answered by nobody: the orderly stop takes its whole patience
    daemon.signal(Signal::INT);
    home.wait_for("the stop has begun", |status| {
        status["not_ready"].as_array().into_iter().flatten().any(|reason| reason["reason"] == "stopping")
    });
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().0, Some(130));
}

#[test]
fn recording_that_cannot_be_read_is_named_with_its_cause() {
    let home = Home::new(None);
    home.write("broken.tape", "this is no recording, only a line of text", 0o644);
    let said = home.run(&["sim", "--listen", "127.0.0.1:0", "--tape", "broken.tape"]);
    assert_eq!(said.code, Some(1));
    home.reads("broken_tape", &said);
}

#[test]
fn a_file_of_faults_is_refused_with_every_problem_and_its_line() {
    let home = Home::new(None);
    home.write("faults.toml", "[[fault]]\nname = \"gap\"\n\n[[fault]]\nname = \"gep\"\nat_order = 1\n", 0o644);
    let said = home.run(&["sim", "--listen", "127.0.0.1:0", "--faults", "faults.toml"]);
    assert_eq!(said.code, Some(2));
    for part in ["line 1: fault 1 (`gap`): needs one time", "line 4: fault 2 (`gep`): no such fault", "docs/sim.md"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let said = home.run(&["sim", "--listen", "127.0.0.1:0", "--faults", "nowhere.toml"]);
    assert!(said.err.contains("nowhere.toml") && said.code.is_some_and(|code| code != 0), "{}", said.err);
}

#[test]
fn the_exchange_names_its_page_its_control_endpoint_and_a_key_that_may_only_read() {
    let sim =
        Sim::start(&["--read-only-key", "bg_ro", "--read-only-secret", "s", "--read-only-passphrase", "Passw0rd2"]);
    let text = |name: &str| sim.ready[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("web"), format!("{}/web/", sim.addresses.rest));
    assert_eq!(text("control"), format!("{}/control/faults", sim.addresses.rest));
    assert_eq!(text("control_token").len(), 64);
    assert_eq!((&sim.ready["read_only"]["key"], &sim.ready["read_only"]["secret"]), (&"bg_ro".into(), &"s".into()));
}

#[test]
fn demo_ends_with_one_json_object_though_its_usual_port_is_taken() {
    let home = Home::new(None);
    let _usual = TcpListener::bind("127.0.0.1:7447");
    let said = home.run(&["demo", "--for", "4s", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let last = said.out.lines().last().expect("a line");
    let summary: serde_json::Value = serde_json::from_str(last).expect("the last line is JSON");
    for count in ["orders", "fills", "maker_fills", "refused", "unknown", "unknown_seen"] {
        assert!(summary[count].is_u64(), "{count} in {summary}");
    }
    assert!(!said.err.contains("http://127.0.0.1:7447/"), "another port is chosen: {}", said.err);
    let position = &summary["positions"][0];
    assert_eq!(position["venue"], position["fills"]);
    assert_eq!(position["venue"], position["journal"]);
}

#[test]
fn demo_whose_reader_has_gone_ends_in_order_and_leaves_nothing() {
    let home = Home::new(None);
    let listen = format!("127.0.0.1:{}", free_port());
    let mut child = Command::new(STEADFAST)
        .args(["demo", "--listen", &listen])
        .current_dir(home.path("."))
        .env("TMPDIR", home.path("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its standard output")).read_line(&mut line).expect("a line");
    let mut err = String::new();
    child.stderr.take().expect("its standard error").read_to_string(&mut err).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{err}");
    let left: Vec<_> = home.files("data").into_keys().filter(|path| path.to_string_lossy().contains("demo")).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}

#[test]
fn another_key_takes_over_with_the_daemon_stopped_and_signs_from_the_next_start_on() {
    let sim = Sim::start(&["--second-key", "bg_invented_second_0123456789"]);
    let home = Home::new(Some(&sim));
    assert_eq!(home.run(&ADD).code, Some(0));
    let values = std::fs::read_to_string(home.path("key.txt")).expect("the key's values");
    let (_, rest) = values.split_once('\n').expect("three lines");
    home.write("key.txt", &format!("bg_invented_second_0123456789\n{rest}"), 0o600);
    let rotate = ["keys", "rotate", "bitget-main", "--to", "bitget-next", "--from-file", "key.txt"];
    let said = home.run(&rotate);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("delete the former key on the exchange"), "{}", said.err);
    let keys: serde_json::Value =
        serde_json::from_str(&home.run(&["keys", "list", "--json"]).out).expect("keys as JSON");
    let of = |alias: &str| {
        let rows = keys.as_array().expect("rows");
        rows.iter().find(|row| row["alias"] == alias).map(|row| row["status"].clone()).expect("a key")
    };
    assert_eq!((of("bitget-main"), of("bitget-next")), ("Revoked".into(), "Active".into()));
    let said = home.run(&rotate);
    assert_eq!(said.code, Some(6), "a revoked key is nobody's to replace: {}", said.err);

    let daemon = home.daemon();
    home.wait_for("it trades with the next key", |status| status["open_orders"].as_u64() > Some(0));
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().0, Some(0));
}
