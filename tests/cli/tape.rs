//! Recordings at the terminal: made, imported, checked, and refused with what to do.

use crate::support::{Home, Sim};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A session of two frames with the venue's documented checksums.
const SESSION: &str = concat!(
    r#"{"src":"s","kind":"connect","ts":1700000000.5,"url":"wss://ws.bitget.com/v2/ws/public","data":null}"#,
    "\n",
    r#"{"src":"s","kind":"server_sent","ts":1700000001.25,"data":"{\"action\":\"snapshot\",\"arg\":{\"instType\":\"SPOT\",\"channel\":\"books\",\"instId\":\"BTCUSDT\"},\"data\":[{\"asks\":[[\"27000.5\",\"8.760\"],[\"27001.0\",\"0.400\"]],\"bids\":[[\"27000.0\",\"2.710\"],[\"26999.5\",\"1.460\"]],\"checksum\":-1751492126,\"seq\":100,\"ts\":\"1700000000000\"}],\"ts\":1700000000001}"}"#,
    "\n",
    r#"{"src":"s","kind":"server_sent","ts":1700000001.5,"data":"{\"action\":\"update\",\"arg\":{\"instType\":\"SPOT\",\"channel\":\"books\",\"instId\":\"BTCUSDT\"},\"data\":[{\"asks\":[[\"27000.5\",\"0\"]],\"bids\":[[\"27000.0\",\"3.000\"]],\"checksum\":-603101740,\"seq\":101,\"pseq\":100,\"ts\":\"1700000000200\"}],\"ts\":1700000000201}"}"#,
    "\n",
    r#"{"src":"s","kind":"server_sent","ts":1700000001.75,"data":"{\"action\":\"update\",\"arg\":{\"instType\":\"SPOT\",\"channel\":\"trade\",\"instId\":\"BTCUSDT\"},\"data\":[{\"ts\":\"1700000000300\",\"price\":\"27000.0\",\"size\":\"0.5\",\"side\":\"sell\",\"tradeId\":\"7\"}],\"ts\":1700000000301}"}"#,
    "\n",
);

fn capture(venue: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/ws_captures/cryptofeed");
    let path = folder.join(format!("{venue}.jsonl.gz"));
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is absent", path.display());
    None
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

#[test]
fn every_checksum_of_three_recorded_sessions_is_confirmed_and_one_altered_byte_is_found() {
    let home = Home::new(None);
    for (venue, count) in [("bitget", 637), ("okx", 290), ("kraken", 4_269)] {
        let Some(path) = capture(venue) else { continue };
        let file = path.to_str().expect("a path in UTF-8");
        let said = home.run(&["tape", "check", file, "--venue", venue]);
        assert_eq!((said.code, last_line(&said.out)), (Some(0), &*format!("checksums confirmed {count} of {count}")));

        let mut text = String::new();
        let packed = std::fs::File::open(&path).expect("the recording is there");
        flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).expect("it is text");
        // One digit of the last price of a snapshot's first level, from the middle of the recording's books on.
        let mark =
            text.find(if venue == "kraken" { "\\\"bs\\\":[[\\\"" } else { "\\\"bids\\\":[[\\\"" }).expect("a book");
        let digit = mark + text[mark..].find(|c: char| c.is_ascii_digit()).expect("a number");
        let other = if &text[digit..=digit] == "1" { "2" } else { "1" };
        text.replace_range(digit..=digit, other);
        home.write("altered.jsonl", &text, 0o644);
        let said = home.run(&["tape", "check", "altered.jsonl", "--venue", venue]);
        let confirmed: u64 =
            last_line(&said.out).split(' ').nth(2).and_then(|word| word.parse().ok()).expect("a count");
        assert!(said.code == Some(1) && confirmed < count, "{venue}: {}", said.out);
        assert!(said.err.starts_with("error: the books of altered.jsonl do not hold"), "{}", said.err);
    }
}

#[test]
fn check_shows_what_agrees_and_names_the_first_event_that_does_not() {
    let home = Home::new(None);
    home.write("session.jsonl", SESSION, 0o644);
    let said = home.run(&["tape", "check", "session.jsonl", "--venue", "bitget"]);
    home.reads("tape_check_good", &said);
    home.write("wrong.jsonl", &SESSION.replace("3.000", "3.001"), 0o644);
    let said = home.run(&["tape", "check", "wrong.jsonl", "--venue", "bitget"]);
    home.reads("tape_check_wrong", &said);
    home.write("gap.jsonl", &SESSION.replace(r#"\"pseq\":100"#, r#"\"pseq\":101"#), 0o644);
    let said = home.run(&["tape", "check", "gap.jsonl", "--venue", "bitget", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!((said.code, json["holds"].as_bool(), json["confirmed"].as_u64()), (Some(1), Some(false), Some(1)));
    assert_eq!(json["books"][0]["first_fault"]["fault"], "gap");
}

#[test]
fn recording_becomes_a_tape_that_keeps_its_checksums_and_is_never_written_over() {
    let home = Home::new(None);
    home.write("session.jsonl", SESSION, 0o644);
    let import = ["tape", "import", "session.jsonl", "--from", "cryptofeed", "--venue", "bitget", "--out", "s.tape"];
    home.reads("tape_import", &home.run(&import));
    let said = home.run(&["tape", "check", "s.tape"]);
    assert_eq!((said.code, last_line(&said.out)), (Some(0), "checksums confirmed 2 of 2"));
    home.reads("tape_import_again", &home.run(&import));

    let mut bytes = std::fs::read(home.path("s.tape")).expect("the tape");
    bytes.truncate(bytes.len() - 10);
    std::fs::write(home.path("cut.tape"), bytes).expect("a tape that is cut off");
    home.reads("tape_check_cut", &home.run(&["tape", "check", "cut.tape"]));
}

#[test]
fn file_that_is_something_else_is_named_with_what_to_do() {
    let home = Home::new(None);
    home.write("session.jsonl", SESSION, 0o644);
    home.write("text.txt", "this is no recording, only a line of text", 0o644);
    home.write("broken.jsonl", &SESSION.replace("27000.0", "27000,0"), 0o644);
    let out = ["--out", "x.tape"];
    for (name, args) in [
        ("tape_no_venue", &["tape", "check", "session.jsonl"][..]),
        ("tape_other_venue", &["tape", "check", "session.jsonl", "--venue", "kraken"]),
        ("tape_unknown_venue", &["tape", "check", "session.jsonl", "--venue", "nowhere"]),
        ("tape_no_recording", &["tape", "check", "text.txt"]),
        ("tape_absent", &["tape", "check", "absent.jsonl"]),
        ("tape_other_format", &[&["tape", "import", "session.jsonl", "--from", "hftbacktest"], &out[..]].concat()),
        (
            "tape_broken_line",
            &[&["tape", "import", "broken.jsonl", "--from", "cryptofeed", "--venue", "bitget"], &out[..]].concat(),
        ),
        ("tape_unknown_account", &[&["tape", "record", "--venue", "kraken-main"], &out[..]].concat()),
    ] {
        let said = home.run(args);
        assert!(said.code != Some(0), "{name}");
        home.reads(name, &said);
    }
    assert!(!home.path("x.tape").exists() && !home.path("x.partial").exists());
}

#[test]
fn what_is_recorded_is_confirmed_and_an_exchange_follows_it() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let record = ["tape", "record", "--venue", "bitget-main", "--instrument", "BTCUSDT", "--for", "4s", "--json"];
    let said = home.run(&[&record[..], &["--out", "r.tape"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert!(json["depth_updates"].as_u64() > Some(3), "{json}");
    assert_eq!(json["faults"].as_u64(), Some(0));

    let said = home.run(&["tape", "check", "r.tape", "--json"]);
    let checked: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!((said.code, &checked["events"]), (Some(0), &json["events"]));
    assert!(checked["confirmed"].as_u64() > Some(3), "{checked}");

    let path = home.path("r.tape");
    let followed = Sim::start(&["--tape", path.to_str().expect("a path in UTF-8")]);
    let home = Home::new(Some(&followed));
    let said = home.run(&[&record[..], &["--out", "again.tape"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let again: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert!(again["depth_updates"].as_u64() > Some(0), "the exchange plays what was recorded: {again}");
}

#[test]
fn recording_ends_in_order_at_a_signal_and_an_exchange_that_is_away_leaves_no_empty_tape() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let said = home.run_shell(&format!(
        // In the foreground: else the whole group is told, and it hears the signal twice.
        "timeout --foreground --preserve-status --signal INT 3 {} tape record --venue bitget-main --instrument BTCUSDT --out r.tape",
        crate::support::STEADFAST
    ));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("r.tape: "), "{}", said.out);
    assert_eq!(home.run(&["tape", "check", "r.tape"]).code, Some(0));
    let away = Home::new(None);
    let said = away.run(&["tape", "record", "--venue", "bitget-main", "--for", "1s", "--out", "r.tape"]);
    assert!(said.code == Some(1) && !away.path("r.tape").exists(), "{}", said.err);
    away.reads("tape_record_away", &said);
}
