//! The whole product with a random value in the place of every secret: an exchange, a daemon that trades, every
//! command, every page; and all that came out of it.

use super::scan::{Hit, Needles};
use clock::SystemClock;
use domain::Clock as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use order_signer::Custody;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Files into which a person, or the program for its own user, puts a secret on purpose.
const KEPT: [&str; 4] = ["vault-passphrase", "leaks", "data/control.token", "exchange"];

/// Random values, and what the program makes up for itself.
pub(crate) struct Secrets {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) passphrase: String,
    pub(crate) vault: String,
    /// Of a key that no account uses.
    pub(crate) unused: String,
    /// As the authenticator is given it, in base 32.
    pub(crate) seed: String,
    /// The secret half of an API key of the control interface.
    pub(crate) access: String,
    pub(crate) access_whole: String,
    pub(crate) token: String,
}

pub(crate) fn random_text(bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    getrandom::fill(&mut random).unwrap();
    hex::encode(random)
}

/// Looks every 50 ms until there is an answer; fails with `what` when there is none for a minute.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = SystemClock.mono();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(SystemClock.mono().since(begun).as_secs() < 60, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A child that does not outlive its test.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The stage, with all that was said on it.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) secrets: Secrets,
    /// What was said, by whom.
    pub(crate) said: Vec<(String, Vec<u8>)>,
    _exchange: Reaped,
    lives: u32,
    codes: u64,
}

impl Stage {
    /// Starts an exchange, writes settings and makes an empty vault.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets {
            key: format!("bg_{}", random_text(16)),
            secret: random_text(32),
            passphrase: format!("{}+%&={}", random_text(5), random_text(5)),
            vault: format!("{} \"{}\" \\ {}", random_text(6), random_text(6), random_text(6)),
            unused: random_text(32),
            seed: String::new(),
            access: String::new(),
            access_whole: String::new(),
            token: String::new(),
        };
        let mut exchange = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .args(["sim", "--quiet", "--listen", "127.0.0.1:0", "--seed", "41"])
            .args(["--key", &secrets.key, "--secret", &secrets.secret, "--passphrase", &secrets.passphrase])
            .args(["--balance", "BTC=2", "--balance", "USDT=100000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(exchange.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let stage = Self { dir, port, secrets, said: Vec::new(), _exchange: Reaped(exchange), lives: 0, codes: 0 };
        stage.settings(&ready);
        let passphrase = vault::Passphrase::from_text(&stage.secrets.vault).unwrap();
        fs::create_dir(stage.path("data")).unwrap();
        fs::create_dir(stage.path("tmp")).unwrap();
        fs::set_permissions(stage.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
        let now = SystemClock.unix();
        Custody::create(&stage.path("data/custody"), &passphrase, vault::KdfParams::FLOOR, now).unwrap();
        stage
    }

    fn settings(&self, ready: &Value) {
        let port = self.port;
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let (rest, public, private) = (text("rest"), text("ws_public"), text("ws_private"));
        self.write(
            "config/steadfast.toml",
            &format!(
                "schema_version = 1\nmode = \"sim\"\n[process]\nshutdown_timeout = \"5s\"\n[control]\nlisten = \
                 \"127.0.0.1:{port}\"\n[vault]\nunlock = \"file:vault-passphrase\"\n[order_path]\nindex_delay = \
                 \"500ms\"\n[log]\nfile = {{ rotate = \"daily\" }}\n"
            ),
        );
        self.write(
            "config/risk.toml",
            "[risk]\nmax_order_notional = \"1000\"\nmax_position_notional = \"5000\"\nmax_gross_exposure = \"5000\"\n\
             max_orders_per_second = 8\nmax_daily_loss = \"500\"\n",
        );
        self.write(
            "config/venues/main.toml",
            &format!(
                "[venue.main]\nkind = \"bitget\"\nenvironment = \"sim\"\nrest = \"{rest}\"\nws_public = \
                 \"{public}\"\nws_private = \"{private}\"\nkey = \"main\"\ninstruments = [\"BTCUSDT\"]\n"
            ),
        );
        self.write(
            "config/strategies/grid.toml",
            "kind = \"grid\"\nvenue = \"main\"\ninstrument = \"BTCUSDT\"\n[params]\nstep = \"0.005%\"\nlevels = \
             5\norder_size = \"0.001\"\nopening_position = \"0.005\"\npost_only = true\n",
        );
        self.write("vault-passphrase", &self.secrets.vault);
        // One that opens nothing; it is searched for as well.
        self.write("wrong-passphrase", "these words open no vault at all");
    }

    /// A path below the stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
        command.arg("-vv").args(words).current_dir(self.dir.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("TMPDIR", self.path("tmp"));
        command
    }

    /// Runs a command to its end; what it said is kept and searched.
    pub(crate) fn run(&mut self, words: &[&str], input: &str) -> (i32, String) {
        self.run_with(words, input, &[])
    }

    /// As [`Self::run`], with variables in the environment.
    pub(crate) fn run_with(&mut self, words: &[&str], input: &str, env: &[(&str, &str)]) -> (i32, String) {
        let (code, out, err) = self.finish(words, input, env);
        self.said.push((format!("{words:?} standard output"), out.clone().into_bytes()));
        self.said.push((format!("{words:?} standard error"), err.clone().into_bytes()));
        (code, format!("{out}{err}"))
    }

    fn finish(&self, words: &[&str], input: &str, env: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = self.command(words);
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Sets one-time codes up; its words, which show the seed, are nobody else's to see.
    pub(crate) fn enroll(&mut self) -> Vec<String> {
        let mut child = self
            .command(&["totp", "enroll", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let first: Value = serde_json::from_str(&line).unwrap();
        let uri = first["uri"].as_str().unwrap();
        self.secrets.seed = uri.split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
        let code = self.code();
        writeln!(child.stdin.take().unwrap(), "{code}").unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert!(child.wait().unwrap().success());
        let last: Value = serde_json::from_str(&rest).unwrap();
        last["recovery"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    }

    /// What the authenticator shows now; each later call is one step later, of which few are accepted.
    pub(crate) fn code(&mut self) -> String {
        let seed = data_encoding::BASE32_NOPAD.decode(self.secrets.seed.as_bytes()).unwrap();
        let step = SystemClock.unix().0 / 30_000_000_000 + self.codes;
        self.codes += 1;
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&seed).unwrap();
        mac.update(&step.to_be_bytes());
        let digest: [u8; 20] = mac.finalize().into_bytes().into();
        let offset = usize::from(digest[19] & 15);
        let word = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap());
        format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
    }

    /// Makes an API key of the control interface; its words, which show it, are nobody else's to see.
    pub(crate) fn add_access(&mut self, code: &str) {
        let words = ["access", "add", "phone", "--role", "operator", "--json", "--totp", code];
        let (code, out, err) = self.finish(&words, "", &[]);
        assert_eq!(code, 0, "{err}");
        let made: Value = serde_json::from_str(&out).unwrap();
        self.secrets.access_whole = made["token"].as_str().unwrap().to_owned();
        self.secrets.access = self.secrets.access_whole.split_once('.').unwrap().1.to_owned();
    }

    /// Starts the daemon; its words go to a file of the stage.
    pub(crate) fn daemon(&mut self, env: &[(&str, String)]) -> Reaped {
        self.lives += 1;
        let file = File::create(self.path(&format!("daemon-{}.out", self.lives))).unwrap();
        let mut command = self.command(&["run"]);
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Reaped(command.spawn().unwrap())
    }

    /// Waits until the daemon of this life trades.
    pub(crate) fn ready(&mut self, daemon: &mut Reaped) {
        let place = self.path(&format!("daemon-{}.out", self.lives));
        until("readiness", || {
            let status = daemon.0.try_wait().unwrap();
            assert!(status.is_none(), "it ended: {}", fs::read_to_string(&place).unwrap());
            let answer = self.ask("GET /-/ready HTTP/1.1\r\n", "", "")?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        });
        self.secrets.token = fs::read_to_string(self.path("data/control.token")).unwrap().trim().to_owned();
    }

    /// Waits until the daemon of this life answers, whatever it is that holds trading up.
    pub(crate) fn ready_or_halted(&mut self, daemon: &mut Reaped) {
        until("an answer", || {
            assert!(daemon.0.try_wait().unwrap().is_none(), "it ended");
            self.ask("GET /-/healthy HTTP/1.1\r\n", "", "").filter(|answer| answer.starts_with("HTTP/1.1 200"))
        });
    }

    /// One request with its own host; nothing when nobody listens.
    fn ask(&self, first: &str, headers: &str, body: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let host = if headers.contains("host:") { String::new() } else { format!("host: 127.0.0.1:{}\r\n", self.port) };
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let request = format!("{first}{host}connection: close\r\n{headers}{length}\r\n{body}");
        socket.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        // The stream of a live page does not end; what it says in two seconds is enough.
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let _ = socket.read_to_end(&mut answer);
        Some(String::from_utf8_lossy(&answer).into_owned())
    }

    /// One request whose answer is kept and searched; its status.
    pub(crate) fn http(&mut self, method: &str, target: &str, headers: &str, body: &str) -> u16 {
        let answer = self.ask(&format!("{method} {target} HTTP/1.1\r\n"), headers, body).unwrap_or_default();
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let path = target.split('?').next().unwrap_or("");
        self.said.push((format!("answer {status} to {method} {path}"), answer.into_bytes()));
        status
    }

    /// Looks through everything that came out: what was said, all files but those that are for secrets.
    pub(crate) fn search(&self, needles: &Needles) -> (Vec<Hit>, usize) {
        let (mut hits, mut files) = (Vec::new(), 0);
        for (who, what) in &self.said {
            hits.extend(needles.find(who, what));
        }
        files += needles.find_in_files(self.dir.path(), &mut hits);
        let kept: Vec<String> = KEPT.iter().map(|name| self.path(name).display().to_string()).collect();
        hits.retain(|hit| !kept.iter().any(|name| hit.place.starts_with(name.as_str())));
        (hits, files)
    }

    /// Looks through what everybody may read of a process and of those that it started.
    pub(crate) fn search_proc(&self, needles: &Needles, process: u32) -> Vec<Hit> {
        let mut hits = Vec::new();
        for process in family(process) {
            for what in ["cmdline", "environ", "comm", "status"] {
                let place = format!("/proc/{process}/{what}");
                hits.extend(needles.find(&place, &fs::read(&place).unwrap_or_default()));
            }
        }
        hits
    }
}

/// A process and all that it started.
pub(crate) fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    for task in tasks {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().flat_map(|number| family(number.parse().unwrap())));
    }
    all
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the daemons said last tells what went wrong.
            for life in 1..=self.lives {
                let said = fs::read_to_string(self.path(&format!("daemon-{life}.out"))).unwrap_or_default();
                let lines: Vec<&str> = said.lines().filter(|line| !line.contains("TRACE")).collect();
                println!("life {life}:\n{}", lines[lines.len().saturating_sub(25)..].join("\n"));
            }
        }
    }
}
