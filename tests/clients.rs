//! Unmodified third-party clients against `steadfast sim` in a process of its own.
//!
//! ccxt for Python and for JavaScript and bitget-api (npm) go through every step of a trader, on a
//! classic and on a unified account, spot and futures, REST and streams; the programs are in
//! `tests/clients/`. `.ci/run` installs the packages; where they are missing the tests say "skipped",
//! and fail where `CI` is set.

#![expect(clippy::expect_used, reason = "a failed assumption fails the test")]

use clock::SystemClock;
use domain::Clock as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than any program here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(150);

/// A running exchange; it ends with its owner.
struct Exchange {
    process: Child,
    /// The line it printed: addresses and keys.
    ready: String,
}

impl Exchange {
    fn start(account: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .args(["sim", "--listen", "127.0.0.1:0", "--quiet", "--account", account, "--no-rate-limits"])
            .args(["--permissions", "read,trade,transfer", "--read-only-key", "bg_0123456789abcdef"])
            .args(["--read-only-secret", "only for this test", "--read-only-passphrase", "Passw0rd1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut ready = String::new();
        let output = process.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut ready).expect("a line with its addresses");
        Self { process, ready: ready.trim().to_owned() }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Whether a command runs and succeeds.
fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// True: leave the test out. Where the packages must be there, a missing one is a failure.
fn skipped(what: &str, there: bool) -> bool {
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{what} is not installed; .ci/run installs it");
        println!("skipped: {what} is not installed; .ci/run installs it");
    }
    !there
}

/// Runs a program to its end, within the time that all of them have.
fn run(mut command: Command, name: &str) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter was there a moment ago");
    let output = child.stdout.take().expect("its output is piped");
    let errors = child.stderr.take().expect("its errors are piped");
    let read = |stream: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let lines = BufReader::new(stream).lines();
            lines.map_while(Result::ok).collect::<Vec<String>>()
        })
    };
    let (output, errors) = (read(Box::new(output)), read(Box::new(errors)));
    let begun = SystemClock.mono();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break Some(status);
        }
        if SystemClock.mono().since(begun) > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let output = output.join().expect("the reader ends").join("\n");
    let errors = errors.join().expect("the reader ends").join("\n");
    assert!(status.is_some_and(|status| status.success()), "{name}: {status:?}\n{output}\n{errors}");
    let last = output.lines().last().unwrap_or_default();
    assert!(last.starts_with("passed "), "{name} did not say that it passed:\n{output}\n{errors}");
    println!("{name}: {last}");
}

fn python(account: &str) {
    let interpreter = root().join("target/tools/venv/bin/python");
    if skipped("ccxt for Python", works(Command::new(&interpreter).args(["-c", "import ccxt.pro"]))) {
        return;
    }
    let exchange = Exchange::start(account);
    let mut command = Command::new(interpreter);
    command.arg(root().join("tests/clients/ccxt_steps.py")).args([&exchange.ready, account]);
    run(command, "ccxt (Python)");
}

fn node(account: &str, package: &str, program: &str) {
    let packages = root().join("target/tools/node");
    let there = packages.join("node_modules").join(package).is_dir() && works(Command::new("node").arg("--version"));
    if skipped(&format!("{package} for Node"), there) {
        return;
    }
    let exchange = Exchange::start(account);
    let mut command = Command::new("node");
    command.arg(root().join("tests/clients").join(program)).args([&exchange.ready, account]);
    command.env("CLIENT_PACKAGES", packages);
    run(command, &format!("{package} (Node)"));
}

#[test]
fn ccxt_for_python_trades_on_a_classic_account() {
    python("classic");
}

#[test]
fn ccxt_for_python_trades_on_a_unified_account() {
    python("uta");
}

#[test]
fn ccxt_for_javascript_trades_on_a_classic_account() {
    node("classic", "ccxt", "ccxt_steps.mjs");
}

#[test]
fn ccxt_for_javascript_trades_on_a_unified_account() {
    node("uta", "ccxt", "ccxt_steps.mjs");
}

#[test]
fn bitget_api_trades_on_a_classic_account() {
    node("classic", "bitget-api", "bitget_api_steps.mjs");
}

#[test]
fn bitget_api_trades_on_a_unified_account() {
    node("uta", "bitget-api", "bitget_api_steps.mjs");
}
