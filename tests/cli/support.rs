//! A directory to live in, an exchange to talk to, and what the program said.

use clock::SystemClock;
use domain::Clock as _;
use order_signer::Custody;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use vault::{KdfParams, Passphrase};

/// The program.
pub(crate) const STEADFAST: &str = env!("CARGO_BIN_EXE_steadfast");
/// An invented API key and its values; nothing of it may ever be shown.
pub(crate) const KEY: &str = "bg_0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// Its secret.
pub(crate) const SECRET: &str = "9a8b7c6d5e4f30211203f4e5d6c7b8a90918273645546372819aabbccddeeff0";
/// Its passphrase.
pub(crate) const PASSPHRASE: &str = "Quiet0rchard7";
/// The vault's passphrase.
pub(crate) const VAULT_PASSPHRASE: &str = "six plain words guard this vault";
/// The secrets that a person types; the API key itself is not shown whole either.
const SECRETS: [&str; 4] = [KEY, SECRET, PASSPHRASE, VAULT_PASSPHRASE];
/// Longest run of one command.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a command came to.
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

/// A directory with settings, a vault and a key file, as a person would have it.
pub(crate) struct Home {
    dir: TempDir,
    /// The control interface's port.
    pub(crate) port: u16,
}

impl Home {
    /// Settings by `init`, an empty vault (made once for all tests), addresses of `sim` if one is named.
    pub(crate) fn new(sim: Option<&Sim>) -> Self {
        let home = Self { dir: TempDir::new().expect("a temporary directory"), port: free_port() };
        let made = home.run(&["init", "--quiet"]);
        assert_eq!(made.code, Some(0), "{}", made.err);
        let mut local = format!(
            "[vault]\nunlock = \"file:vault-passphrase\"\n[control]\nlisten = \"127.0.0.1:{}\"\n[log]\nfile = {{ rotate = \"daily\" }}\n",
            home.port
        );
        let addresses = sim.map_or_else(Addresses::nobody, |sim| sim.addresses.clone());
        local.push_str(&format!(
            "[venue.bitget-main]\nrest = \"{}\"\nws_public = \"{}\"\nws_private = \"{}\"\n",
            addresses.rest, addresses.ws_public, addresses.ws_private
        ));
        home.write("config/conf.d/local.toml", &local, 0o644);
        home.write("vault-passphrase", &format!("{VAULT_PASSPHRASE}\n"), 0o600);
        home.write("key.txt", &format!("{KEY}\n{SECRET}\n{PASSPHRASE}\n"), 0o600);
        fs::create_dir(home.path("data")).expect("a data directory");
        set_mode(&home.path("data"), 0o700);
        copy(prepared_custody(), &home.path("data/custody"));
        home
    }

    /// A path below the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file with a mode.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).expect("a file is written");
        set_mode(&self.path(name), mode);
    }

    /// Replaces text in a file that holds it.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).expect("a file is read");
        assert!(text.contains(from), "{name} holds no `{from}`");
        fs::write(self.path(name), text.replacen(from, to, 1)).expect("a file is written");
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "")
    }

    /// Runs a command to its end with something on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Said {
        self.finish(assert_cmd::Command::new(STEADFAST).args(args), input)
    }

    /// Runs a line in a shell.
    pub(crate) fn run_shell(&self, line: &str) -> Said {
        self.finish(assert_cmd::Command::new("sh").args(["-c", line]), "")
    }

    /// Runs a command with one more variable in its environment.
    pub(crate) fn run_with_variable(&self, name: &str, value: &Path, args: &[&str]) -> Said {
        let mut command = assert_cmd::Command::new("env");
        command.arg(format!("{name}={}", value.display())).arg(STEADFAST).args(args);
        self.finish(&mut command, "")
    }

    /// Runs a command on a terminal, at which a person types these lines.
    pub(crate) fn run_on_terminal(&self, args: &[&str], typed: &str) -> Said {
        let mut command = assert_cmd::Command::new("script");
        let line = [&[STEADFAST], args].concat().join(" ");
        command.args(["--quiet", "--return", "--echo", "never", "--command", &line, "/dev/null"]);
        self.finish(&mut command, typed)
    }

    /// Runs a command on a disk that takes no byte more.
    pub(crate) fn run_on_full_disk(&self, args: &[&str]) -> Said {
        let mut command = assert_cmd::Command::new("sh");
        command.args(["-c", &format!("{DEAF}; ulimit -f 0; exec \"$@\""), "sh", STEADFAST]).args(args);
        self.finish(&mut command, "")
    }

    fn finish(&self, command: &mut assert_cmd::Command, input: &str) -> Said {
        let output = command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .write_stdin(input)
            .timeout(PATIENCE)
            .output()
            .expect("the program runs");
        let said = Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        self.shows_no_secret(&said.out, &said.err);
        said
    }

    /// Starts the daemon and waits until it says that it runs.
    pub(crate) fn daemon(&self) -> Daemon {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{DEAF}; exec \"$@\""), "sh", STEADFAST, "run"])
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.path("daemon.out")).expect("a file for its log"))
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the daemon starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error"));
        let mut seen = String::new();
        while !seen.contains("steadfast runs") {
            let read = lines.read_line(&mut seen).expect("its standard error is text");
            assert!(read > 0, "the daemon ended: {seen}");
        }
        Daemon { child: Reaped(child), lines, seen }
    }

    /// What `status --json` says; `None` when nobody answers.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        let said = self.run(&["status", "--json"]);
        (said.code == Some(0)).then(|| serde_json::from_str(&said.out).expect("status is JSON"))
    }

    /// Asks for the status until it is as wanted, for a minute at most.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let clock = SystemClock;
        let begun = clock.mono();
        loop {
            let status = self.status();
            if let Some(status) = &status
                && wanted(status)
            {
                return status.clone();
            }
            assert!(clock.mono().since(begun) < PATIENCE, "waited in vain until {what}: {status:?}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// All files below a directory with their content, except the lock.
    pub(crate) fn files(&self, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.path(below)];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).expect("a directory is listed") {
                let path = entry.expect("an entry is read").path();
                if path.is_dir() {
                    open.push(path);
                } else if path.is_file() && !path.ends_with("lock") {
                    found.insert(path.clone(), fs::read(&path).expect("a file is read"));
                }
            }
        }
        found
    }

    /// No secret is on the terminal or in any file but the two in which the person put them.
    pub(crate) fn shows_no_secret(&self, out: &str, err: &str) {
        for secret in SECRETS {
            assert!(!out.contains(secret) && !err.contains(secret), "a secret is on the terminal");
        }
        if !self.path("data").exists() {
            return;
        }
        for (path, bytes) in self.files(".") {
            if path.ends_with("vault-passphrase") || path.ends_with("key.txt") {
                continue;
            }
            for secret in SECRETS {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "a secret is in {}", path.display());
            }
        }
    }

    /// The text of a snapshot: paths, ports and measured times replaced; what this machine's memory can do left out.
    pub(crate) fn plain(&self, text: &str) -> String {
        let text = text.split_inclusive('\n').filter(|line| !line.starts_with("signer: ")).collect::<String>();
        let mut text = text.replace(&self.dir.path().display().to_string(), "HOME");
        text = number_after(&text, "127.0.0.1:", "PORT");
        number_before(&text, " ms", "N")
    }

    /// Compares what a command said with its snapshot.
    pub(crate) fn reads(&self, name: &str, said: &Said) {
        let code = said.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let text = format!("exit code: {code}\n--- stdout\n{}--- stderr\n{}", said.out, said.err);
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, self.plain(&text));
        });
    }
}

/// Ignores the signal of the file size limit, so that a write beyond it fails like one to a full disk.
const DEAF: &str = "trap '' XFSZ";

/// A child that does not outlive its test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Reaped,
    lines: BufReader<ChildStderr>,
    /// What it wrote to standard error until it ran.
    pub(crate) seen: String,
}

impl Daemon {
    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the daemon is signalled");
    }

    /// Waits for its end; what it said last, and its exit code.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("its standard error is text");
        let status = self.child.0.wait().expect("the daemon is waited for");
        (status.code(), rest)
    }
}

/// Where an exchange listens.
#[derive(Clone)]
pub(crate) struct Addresses {
    pub(crate) rest: String,
    ws_public: String,
    ws_private: String,
}

impl Addresses {
    /// An address at which nobody listens.
    fn nobody() -> Self {
        let port = free_port();
        Self {
            rest: format!("http://127.0.0.1:{port}"),
            ws_public: format!("ws://127.0.0.1:{port}/v2/ws/public"),
            ws_private: format!("ws://127.0.0.1:{port}/v2/ws/private"),
        }
    }
}

/// `steadfast sim` in a process of its own, with the invented key.
pub(crate) struct Sim {
    _child: Reaped,
    pub(crate) addresses: Addresses,
    /// Its first line.
    pub(crate) ready: serde_json::Value,
}

impl Sim {
    /// Starts it with options beside the key's, and waits for its addresses.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut child = Command::new(STEADFAST)
            .args(["sim", "--quiet", "--listen", "127.0.0.1:0", "--key", KEY, "--secret", SECRET])
            .args(["--passphrase", PASSPHRASE])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the exchange starts");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("its standard output"));
        lines.read_line(&mut line).expect("its first line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("its first line is JSON");
        let field = |name: &str| ready.get(name).and_then(|value| value.as_str()).expect("an address").to_owned();
        let addresses =
            Addresses { rest: field("rest"), ws_public: field("ws_public"), ws_private: field("ws_private") };
        Self { _child: Reaped(child), addresses, ready }
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Sets a file's mode.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode is set");
}

/// An empty vault at the cheapest cost that a new one may have; a test copies it.
fn prepared_custody() -> &'static Path {
    static PREPARED: OnceLock<TempDir> = OnceLock::new();
    let dir = PREPARED.get_or_init(|| {
        let dir = TempDir::new().expect("a temporary directory");
        let passphrase = Passphrase::from_text(VAULT_PASSPHRASE).expect("a passphrase");
        Custody::create(&dir.path().join("custody"), &passphrase, KdfParams::FLOOR, SystemClock.unix())
            .map(drop)
            .expect("a vault is made");
        dir
    });
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| dir.path().join("custody"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory is made");
    set_mode(to, 0o700);
    for entry in fs::read_dir(from).expect("a directory is listed") {
        let entry = entry.expect("an entry is read");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file is copied");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces the digits that follow each `mark`.
fn number_after(text: &str, mark: &str, by: &str) -> String {
    let mut parts = text.split(mark);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        plain.push_str(mark);
        plain.push_str(if rest.len() < part.len() { by } else { "" });
        plain.push_str(rest);
    }
    plain
}

/// Replaces the number that stands before each `mark`.
fn number_before(text: &str, mark: &str, by: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    let last = parts.len().saturating_sub(1);
    let mut plain = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        let kept = part.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        if index < last && kept.len() < part.len() {
            plain.push_str(kept);
            plain.push_str(by);
        } else {
            plain.push_str(part);
        }
        if index < last {
            plain.push_str(mark);
        }
    }
    plain
}
