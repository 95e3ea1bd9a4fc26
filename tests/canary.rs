//! The whole product at `trace` with a random value in the place of every secret, and a search for these values, in
//! every form, in everything that came out of it.
//!
//! With the feature `leak-for-test` one leak is planted in each channel, and all must be found.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

#[path = "proof/scan.rs"]
mod scan;
#[path = "proof/stage.rs"]
mod stage;
#[path = "proof/vault_keys.rs"]
mod vault_keys;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use scan::{Needles, may_read_others, nothing};
use stage::{Reaped, Stage, family, until};
use std::process::ExitStatus;

/// Everything that must not come out.
fn everything(stage: &Stage) -> Needles {
    let mut needles = custody(stage);
    needles.add_secret("API key", &stage.secrets.key);
    needles.add_secret("API passphrase", &stage.secrets.passphrase);
    needles.add_secret("control token", &stage.secrets.token);
    needles.add_secret("API key of the control interface", &stage.secrets.access);
    needles
}

/// What nobody but the signer ever holds.
fn custody(stage: &Stage) -> Needles {
    let mut needles = Needles::new();
    needles.add_secret("API secret", &stage.secrets.secret);
    needles.add_mac_states("API secret", stage.secrets.secret.as_bytes());
    needles.add_secret("vault passphrase", &stage.secrets.vault);
    needles.add_secret("API secret of a refused key", &stage.secrets.unused);
    vault_keys::add(&mut needles, &stage.path("data/custody/keys.vault"), &stage.secrets.vault);
    if !stage.secrets.seed.is_empty() {
        needles.add_secret("TOTP seed", &stage.secrets.seed);
        let bytes = data_encoding::BASE32_NOPAD.decode(stage.secrets.seed.as_bytes()).unwrap();
        needles.add("TOTP seed", "raw", &bytes, 10);
        needles.add("TOTP seed", "hex", hex::encode(&bytes).as_bytes(), 24);
    }
    needles
}

fn signal(daemon: &Reaped, signal: Signal) {
    kill_process(Pid::from_child(&daemon.0), signal).unwrap();
}

fn end(mut daemon: Reaped, by: Signal) -> ExitStatus {
    signal(&daemon, by);
    daemon.0.wait().unwrap()
}

/// Links the key, after everything that can go wrong with that.
fn link(stage: &mut Stage) {
    let lines =
        |secret: &str, stage: &Stage| format!("{}\n{secret}\n{}\n", stage.secrets.key, stage.secrets.passphrase);
    let add = ["keys", "add", "main", "--venue", "bitget", "--stdin"];
    let wrong = stage.secrets.secret.chars().rev().collect::<String>();
    let input = lines(&wrong, stage);
    assert_eq!(stage.run(&add, &input).0, 6, "a wrong secret");
    let swapped = format!("{}\n{}\n{}\n", stage.secrets.secret, stage.secrets.key, stage.secrets.passphrase);
    assert_eq!(stage.run(&add, &swapped).0, 6, "values in the wrong order");
    let blank = format!("{} {}\n\n", stage.secrets.key, stage.secrets.secret);
    assert_ne!(stage.run(&add, &blank).0, 0, "values on one line");
    let unlock = [("STEADFAST__VAULT__UNLOCK", "file:wrong-passphrase")];
    let input = lines(&stage.secrets.secret, stage);
    assert_eq!(stage.run_with(&add, &input, &unlock).0, 6, "a wrong passphrase");
    let (code, said) = stage.run(&add, &input);
    assert_eq!(code, 0, "{said}");
    assert_ne!(stage.run(&add, &input).0, 0, "linked twice");
    for words in [&["keys", "list"][..], &["keys", "test", "main"], &["keys", "list", "--json"], &["check"]] {
        let (code, said) = stage.run(words, "");
        assert_eq!(code, 0, "{words:?}: {said}");
    }
    assert_ne!(stage.run(&["keys", "test", "nobody"], "").0, 0);
}

/// Every command beside a running daemon, with and without what it needs.
fn command_it(stage: &mut Stage, recovery: &mut Vec<String>) {
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["pause", "--reason", "a rehearsal"],
        &["resume"],
        &["halt", "--reason", "a rehearsal"],
        &["unhalt", "--reason", "no code"],
        &["unhalt", "--reason", "a wrong code", "--totp", "000000"],
        &["unhalt", "--reason", "a wrong code", "--totp", "aaaa-aaaa-aaaa-aaaa"],
        &["access", "list"],
        &["access", "add", "tablet", "--role", "viewer"],
        &["access", "revoke", "nobody"],
        &["keys", "list"],
        &["keys", "test", "main"],
        &["keys", "show", "main"],
        &["keys", "policy", "show", "main"],
        &["keys", "policy", "loosen", "main"],
        &["keys", "enable", "main", "--reason", "no code"],
        &["keys", "audit"],
        &["audit", "verify"],
        &["audit", "tail"],
        &["audit", "prove", "1"],
        &["vault", "change-passphrase"],
        &["totp", "verify", "123456"],
        &["run"],
        &["journal", "verify"],
        &["status", "--endpoint", "http://127.0.0.1:1"],
    ] {
        stage.run(words, "");
    }
    // A key for which the running daemon has no place: its values go nowhere.
    let code = recovery.pop().unwrap();
    let unused = stage.secrets.unused.clone();
    let lines = format!("bg_{}\n{unused}\n{unused}\n", &unused[..32]);
    let add = ["keys", "add", "second", "--venue", "bitget", "--stdin", "--totp", &code];
    assert_ne!(stage.run(&add, &lines).0, 0, "a key that no account uses");
    let code = recovery.pop().unwrap();
    let (ended, said) = stage.run(&["unhalt", "--reason", "over", "--totp", &code], "");
    assert_eq!(ended, 0, "{said}");
    stage.run(&["unhalt", "--reason", "twice", "--totp", &code], "");
}

/// Every page, with and without what it needs, and requests that are none.
fn browse(stage: &mut Stage) {
    let token = format!("authorization: Bearer {}\r\n", stage.secrets.token);
    let access = format!("authorization: Bearer {}\r\n", stage.secrets.access_whole);
    let json = "content-type: application/json\r\nx-steadfast: 1\r\n";
    let mut seen = std::collections::BTreeSet::new();
    let pages = ["/", "/page.js", "/page.css", "/icon.svg", "/metrics", "/-/healthy", "/-/ready"];
    let reads = ["status", "orders", "fills", "positions", "balances", "equity", "book", "stream", "access", "nothing"];
    let acts = ["pause", "resume", "halt", "unhalt", "access/add", "access/revoke"];
    for path in pages.iter().map(|page| (*page).to_owned()).chain(reads.iter().map(|read| format!("/api/v1/{read}"))) {
        for headers in [&token, &access, "", "host: evil.test\r\n"] {
            seen.insert(stage.http("GET", &path, headers, ""));
        }
        seen.insert(stage.http("POST", &path, &token, "{}"));
        seen.insert(stage.http("BREW", &path, &token, ""));
    }
    for act in acts {
        let path = format!("/api/v1/{act}");
        for (headers, body) in [
            (format!("{token}{json}"), "{\"reason\":\"a rehearsal\"}"),
            (format!("{access}{json}"), "{\"reason\":\"a rehearsal\"}"),
            (format!("{token}{json}"), "{\"reason\":"),
            (format!("{token}{json}"), "{\"reason\":\"a\",\"totp\":\"123456\",\"more\":1}"),
            (format!("{token}{json}origin: http://evil.test\r\nsec-fetch-site: cross-site\r\n"), "{}"),
            (format!("{token}content-type: text/plain\r\n"), "reason=a"),
            (json.to_owned(), "{}"),
        ] {
            seen.insert(stage.http("POST", &path, &headers, body));
        }
    }
    // Credentials where they do not belong: what was sent is not said again, here or in a log.
    let (own, other) = (stage.secrets.token.clone(), stage.secrets.access_whole.clone());
    seen.insert(stage.http("GET", &format!("/{own}"), "", ""));
    seen.insert(stage.http("GET", &format!("/api/v1/status?token={own}"), "", ""));
    seen.insert(stage.http("GET", &format!("/api/v1/orders?cursor={other}"), &token, ""));
    seen.insert(stage.http("GET", "/api/v1/status", &format!("cookie: token={own}\r\n"), ""));
    seen.insert(stage.http("GET", "/api/v1/status", &format!("authorization: Basic {own}\r\n"), ""));
    seen.insert(stage.http("GET", "/api/v1/status", &format!("authorization: Bearer {own}x\r\n"), ""));
    seen.insert(stage.http("POST", "/api/v1/pause", &format!("{token}{json}"), &format!("{{\"{own}\":1}}")));
    seen.insert(stage.http("POST", "/api/v1/pause", &format!("{token}{json}idempotency-key: {own}\r\n"), "{}"));
    seen.insert(stage.http("GET", "/api/v1/status", &format!("x-large: {}\r\n", "a".repeat(20_000)), ""));
    let large = "a".repeat(100_000);
    seen.insert(stage.http("POST", "/api/v1/pause", &format!("{token}{json}"), &large));
    for _ in 0..30 {
        seen.insert(stage.http("GET", "/api/v1/status", "authorization: Bearer wrong\r\n", ""));
    }
    println!("statuses: {seen:?}");
    for status in [200, 400, 401, 403, 404, 405, 421] {
        assert!(seen.contains(&status), "no answer with status {status}: {seen:?}");
    }
}

/// Looks through the memory of the daemon and its signer. A signer that is replaced meanwhile is followed by the next.
fn look_into_memory(stage: &Stage, daemon: &Reaped, when: &str) {
    if !may_read_others("the scan of the daemon's memory") {
        return;
    }
    let needles = custody(stage);
    let look = |who: &str, process: u32| {
        let (hits, looked_at) = needles.find_in_process(who, process).ok()?;
        nothing(&format!("{who}, {when}"), &hits);
        println!("{when}: looked at {looked_at} bytes of the {who}");
        (looked_at > 4 << 20).then_some(())
    };
    assert!(look("daemon", daemon.0.id()).is_some(), "the daemon has ended");
    until("a signer whose memory can be read", || look("signer", *family(daemon.0.id()).get(1)?));
}

#[test]
fn no_secret_comes_out_of_the_whole_product_at_trace() {
    // Core files are allowed to all that is started here, as far as this process may allow it.
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let mut stage = Stage::new();
    link(&mut stage);
    let mut recovery = stage.enroll();
    let code = recovery.pop().unwrap();
    stage.add_access(&code);
    let code = stage.code();
    stage.run(&["totp", "verify", &code], "");
    stage.run(&["totp", "verify", &code], "");

    let mut daemon = stage.daemon(&[]);
    stage.ready(&mut daemon);
    look_into_memory(&stage, &daemon, "at the start");
    until("orders", || {
        let (_, said) = stage.run(&["status", "--json"], "");
        let status: serde_json::Value = serde_json::from_str(said.get(said.find('{')?..)?.trim()).ok()?;
        let orders = status["strategies"]["grid"]["orders"].as_u64();
        assert!(status["strategies"].is_object(), "{status}");
        (orders? >= 5).then_some(())
    });
    command_it(&mut stage, &mut recovery);
    let proc = stage.search_proc(&everything(&stage), daemon.0.id());
    nothing("what everybody may read of the processes", &proc);
    look_into_memory(&stage, &daemon, "after the commands");
    // The signer dies, and another takes its place.
    let signer = family(daemon.0.id())[1];
    kill_process(Pid::from_raw(i32::try_from(signer).unwrap()).unwrap(), Signal::KILL).unwrap();
    until("another signer", || family(daemon.0.id()).get(1).is_some_and(|process| *process != signer).then_some(()));
    stage.run(&["status"], "");
    browse(&mut stage);
    look_into_memory(&stage, &daemon, "after the loss of a signer");
    assert!(end(daemon, Signal::TERM).success());

    let mut daemon = stage.daemon(&[]);
    stage.ready_or_halted(&mut daemon);
    let aborted = end(daemon, Signal::ABORT);
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&aborted), "{aborted}");
    let mut daemon = stage.daemon(&[("STEADFAST__VAULT__UNLOCK", "file:wrong-passphrase".to_owned())]);
    assert!(!daemon.0.wait().unwrap().success());
    if cfg!(feature = "fail-points") {
        let recovery = recovery.pop().unwrap();
        let mut daemon = stage.daemon(&[("STEADFAST_FAIL_POINT", "after-socket@3".to_owned())]);
        stage.ready_or_halted(&mut daemon);
        stage.run(&["unhalt", "--reason", "to be ended", "--totp", &recovery], "");
        assert!(!daemon.0.wait().unwrap().success());
    }

    let (hits, files) = stage.search(&everything(&stage));
    println!("searched {files} files and {} answers and outputs", stage.said.len());
    assert!(files > 15 && stage.said.len() > 150, "the run came to something: {files} files");
    nothing("everything that came out", &hits);
    // The same search finds what a person put into a file.
    stage.write("a-note", &format!("my secret is {}", hex::encode(&stage.secrets.secret)));
    let (hits, _) = stage.search(&everything(&stage));
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.secret == "API secret"), "the control: {hits:?}");
}

#[test]
fn a_secret_in_a_core_file_would_be_found() {
    let dir = tempfile::tempdir().unwrap();
    let value = "9d1f6c2ab7e04835";
    let script = format!("ulimit -c unlimited 2>/dev/null; leaked={value}; kill -ABRT $$");
    let status = std::process::Command::new("sh").args(["-c", &script]).current_dir(dir.path()).status().unwrap();
    let mut needles = Needles::new();
    needles.add_secret("leaked", value);
    let mut hits = Vec::new();
    let files = needles.find_in_files(dir.path(), &mut hits);
    if files == 0 {
        println!("skipped: this system writes no core file here ({status})");
        return;
    }
    assert!(!hits.is_empty(), "a core file was written and the value in it not found");
}

/// One leak in each channel, each with a value of its own.
#[cfg(feature = "leak-for-test")]
#[test]
fn every_planted_leak_is_found() {
    const CHANNELS: [&str; 10] =
        ["log", "metric", "stderr", "file", "file-name", "memory", "cmdline", "environ", "panic", "http"];
    let mut stage = Stage::new();
    link(&mut stage);
    let values: Vec<String> = CHANNELS.iter().map(|_| stage::random_text(16)).collect();
    let lines: Vec<String> =
        CHANNELS.iter().zip(&values).map(|(channel, value)| format!("{channel} {value}")).collect();
    stage.write("leaks", &lines.join("\n"));
    let place = stage.path("leaks").display().to_string();
    let mut daemon = stage.daemon(&[("STEADFAST_LEAKS", place)]);
    stage.ready(&mut daemon);
    let token = format!("authorization: Bearer {}\r\n", stage.secrets.token);
    for page in ["/metrics", "/api/v1/status"] {
        assert_eq!(stage.http("GET", page, &token, ""), 200);
    }
    let mut needles = Needles::new();
    for (channel, value) in CHANNELS.iter().zip(&values) {
        needles.add_secret(channel, value);
    }
    let mut hits = until("both processes that carry a leak", || {
        let hits = stage.search_proc(&needles, daemon.0.id());
        let secrets: std::collections::BTreeSet<_> = hits.iter().map(|hit| hit.secret).collect();
        (secrets.len() >= 2).then_some(hits)
    });
    if may_read_others("the scan of the daemon's memory") {
        hits.extend(needles.find_in_process("daemon", daemon.0.id()).unwrap().0);
    }
    assert!(end(daemon, Signal::TERM).success());
    hits.extend(stage.search(&needles).0);
    let found = |channel: &str, place: &dyn Fn(&str) -> bool| {
        let there = hits.iter().any(|hit| hit.secret == channel && place(&hit.place));
        assert!(there, "the leak into {channel} was not found");
    };
    found("log", &|place| place.contains("/log/"));
    found("log", &|place| place.contains("daemon-"));
    found("metric", &|place| place.contains("/metrics"));
    found("http", &|place| place.contains("/api/v1/status"));
    found("stderr", &|place| place.contains("daemon-"));
    found("panic", &|place| place.contains("daemon-"));
    found("file", &|place| place.ends_with("planted+0x0") || place.contains("data/planted"));
    found("file-name", &|place| place.contains("name of"));
    found("cmdline", &|place| place.contains("/cmdline"));
    found("environ", &|place| place.contains("/environ"));
    if may_read_others("the scan of the daemon's memory") {
        let there = hits.iter().any(|hit| hit.secret == "memory" && hit.form == "UTF-16BE");
        assert!(there, "the leak into memory was not found");
    }
}
