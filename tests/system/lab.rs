//! One exchange and one daemon, each in a process of its own, as the scenarios start, kill and question them.

use clock::SystemClock;
use domain::Clock as _;
use order_signer::{Custody, KeySecrets, NewKey};
use secrets::SecretBytes;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::http::{self, Account};

/// The account's name in the settings, and its key's.
const ACCOUNT: &str = "lab";
/// The alias of the key that only reads.
const READER: &str = "lab-stream";
/// What is traded.
pub(crate) const SYMBOL: &str = "BTCUSDT";
/// The perpetual future beside it.
pub(crate) const PERPETUAL: &str = "BTCUSDT-PERP";
/// What the account owns before the first order.
pub(crate) const OPENING: [(&str, i64); 2] = [("BTC", 2), ("USDT", 100_000)];
/// Longest wait for anything that is said to happen soon.
const SOON: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn steadfast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
    command.stdin(Stdio::null()).env_remove("STEADFAST_FAIL_POINT").env("NO_COLOR", "1");
    command
}

/// Looks every 20 ms until there is an answer; fails with `what` when there is none for a minute.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = SystemClock.mono();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(SystemClock.mono().since(begun) < SOON, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The exchange's key. It guards play money on loopback only.
pub(crate) fn account() -> Account {
    Account {
        key: "bg_5d1c0f6a9be84c27a3e2f4b86c90d713".to_owned(),
        secret: "3f1c9a7e52b84d06bb17e4c8a92d60f5e6a3817c4f9b2d05a8c1e7463b90fd28".to_owned(),
        passphrase: "loopbackonly".to_owned(),
    }
}

/// The exchange's second key: it reads, and logs in to the private stream of a unified account.
pub(crate) fn reader() -> Account {
    Account {
        key: "bg_9f27d3b18c6e4a50b7d1e8f3a2c40596".to_owned(),
        secret: "b8e04d7f1a6c29350e9b4f83d7a61c52f0e8d3b6a94c7125e8f0b3d6a1c94e72".to_owned(),
        passphrase: "readingonly".to_owned(),
    }
}

/// A vault that holds the exchange's keys, made once for the whole test program: its key derivation takes seconds.
fn vault() -> &'static Path {
    static VAULT: OnceLock<PathBuf> = OnceLock::new();
    VAULT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vault-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let passphrase = vault::Passphrase::from_text(PASSPHRASE).unwrap();
        let now = SystemClock.unix();
        let mut custody = Custody::create(&dir, &passphrase, vault::KdfParams::FLOOR, now).unwrap();
        let locked = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
        let keys = [(ACCOUNT, account(), messages::KeyRole::Trade), (READER, reader(), messages::KeyRole::Stream)];
        for (alias, Account { key, secret, passphrase }, role) in keys {
            let secrets = KeySecrets { key: locked(&key), secret: locked(&secret), passphrase: locked(&passphrase) };
            let new = NewKey {
                alias: messages::KeyAlias::from(alias).unwrap(),
                venue: "bitget".to_owned(),
                environment: "sim".to_owned(),
                account: ACCOUNT.to_owned(),
                role,
                wallets: vec!["spot".to_owned()],
                stream_login_confirmed: true,
            };
            custody.add(new, &secrets, now).unwrap();
        }
        custody.set_policy(ACCOUNT, &policy(now)).unwrap();
        dir
    })
}

/// The policy that a person would be shown for the settings of [`Home::new`].
fn policy(at: domain::UnixNanos) -> sign_policy::PolicyDocument {
    let whole = |mantissa| domain::Scaled { mantissa, decimals: 0 };
    let facts = sign_policy::DeriveFacts {
        symbol: domain::Symbol::from(SYMBOL).unwrap(),
        price: whole(PRICE),
        max_order_notional: whole(1_000),
        max_order_quantity: None,
        max_open_orders: 100,
        max_orders_per_second: 8,
        max_cancels_per_second: 20,
        placements_per_minute: 240,
        futures: None,
    };
    let futures = sign_policy::FuturesFacts { leverage: 3, margin_mode: messages::MarginMode::Crossed };
    let symbol = domain::Symbol::from(PERPETUAL).unwrap();
    let perpetual = sign_policy::DeriveFacts { symbol, futures: Some(futures), ..facts };
    sign_policy::PolicyDocument::derive(&[facts, perpetual], at)
}

/// About where the exchange's market begins.
const PRICE: i64 = 60_000;

const PASSPHRASE: &str = "correct horse battery staple";

/// Scenarios at once: each is three processes, and one that gets no time to run is taken for one that hangs.
const SCENARIOS_MAX: usize = 3;

/// Leave to run a scenario; given back when it is dropped.
struct Turn;

static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Turn {
    fn wait() -> Self {
        let (running, ended) = &RUNNING;
        let mut count = running.lock().unwrap_or_else(PoisonError::into_inner);
        while *count >= SCENARIOS_MAX {
            count = ended.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        *count += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (running, ended) = &RUNNING;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ended.notify_one();
    }
}

/// A running `steadfast sim`; ends with its owner.
pub(crate) struct Exchange {
    child: Child,
    _turn: Turn,
    pub(crate) rest: String,
    /// The line it printed: its addresses and tokens.
    ready: Value,
    /// The exchange as its account holder sees it.
    pub(crate) account: Account,
}

impl Exchange {
    /// Starts one with a seeded market and these further options.
    pub(crate) fn start(seed: u64, options: &[&str]) -> Self {
        let turn = Turn::wait();
        let account = account();
        let mut command = steadfast();
        command.args(["sim", "--quiet", "--listen", "127.0.0.1:0", "--seed", &seed.to_string()]);
        command.args(["--key", &account.key, "--secret", &account.secret, "--passphrase", &account.passphrase]);
        let reader = reader();
        command.args(["--read-only-key", &reader.key, "--read-only-secret", &reader.secret]);
        command.args(["--read-only-passphrase", &reader.passphrase]);
        for (asset, amount) in OPENING {
            command.args(["--balance", &format!("{asset}={amount}")]);
        }
        let mut child = command.args(options).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let rest = ready["rest"].as_str().unwrap().to_owned();
        Self { child, _turn: turn, rest, ready, account }
    }

    /// What it said of itself under this name.
    pub(crate) fn word(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings and data of one daemon, which outlive its processes.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// Settings with these products, instruments and strategies (by kind and instrument); `streams`: the private
    /// stream is logged in to by the key that only reads.
    pub(crate) fn with(
        exchange: &Exchange,
        products: &[&str],
        instruments: &[&str],
        strategies: &[(&str, &str)],
        streams: bool,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join("config").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let passphrase = dir.path().join("passphrase");
        fs::write(&passphrase, PASSPHRASE).unwrap();
        let private = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        fs::set_permissions(&passphrase, private).unwrap();
        let passphrase = passphrase.display();
        write(
            "steadfast.toml",
            &format!(
                "schema_version = 1\nmode = \"sim\"\n[process]\nshutdown_timeout = \"5s\"\n\
                 [control]\nlisten = \"127.0.0.1:0\"\n[vault]\nunlock = \"file:{passphrase}\"\n\
                 [order_path]\nindex_delay = \"500ms\"\n"
            ),
        );
        write(
            "risk.toml",
            "[risk]\nmax_order_notional = \"1000\"\nmax_position_notional = \"5000\"\nmax_gross_exposure = \"5000\"\n\
             max_orders_per_second = 8\nmax_daily_loss = \"500\"\n",
        );
        let (rest, ws_public, ws_private) = (&exchange.rest, exchange.word("ws_public"), exchange.word("ws_private"));
        let stream = if streams { format!("stream_key = \"{READER}\"\n") } else { String::new() };
        write(
            "venues/lab.toml",
            &format!(
                "[venue.{ACCOUNT}]\nkind = \"bitget\"\nenvironment = \"sim\"\nrest = \"{rest}\"\n\
                 ws_public = \"{ws_public}\"\nws_private = \"{ws_private}\"\nkey = \"{ACCOUNT}\"\n\
                 products = {products:?}\ninstruments = {instruments:?}\n{stream}"
            ),
        );
        for (kind, instrument) in strategies {
            let perpetual = instrument.ends_with("-PERP");
            let opening = if perpetual { "" } else { "opening_position = \"0.005\"\n" };
            let (full, params) = match *kind {
                "grid" => ("grid", "step = \"0.005%\"\nlevels = 5\norder_size = \"0.001\"\npost_only = true\n"),
                _ => (
                    "market-maker",
                    "half_spread = \"0.005%\"\norder_size = \"0.001\"\nmax_position = \"0.01\"\nskew = \"0.5\"\n\
                     refresh = \"1s\"\n",
                ),
            };
            let name = if perpetual { format!("{kind}-perp") } else { (*kind).to_owned() };
            write(
                &format!("strategies/{name}.toml"),
                &format!(
                    "kind = \"{full}\"\nvenue = \"{ACCOUNT}\"\ninstrument = \"{instrument}\"\n[params]\n{params}{opening}"
                ),
            );
        }
        let home = Self { dir };
        copy_private(vault(), &home.data().join("custody"));
        home
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.data().join("journal.db")
    }

    /// A command that works on this home.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = steadfast();
        command.args(words).arg("--config").arg(self.dir.path().join("config"));
        command.arg("--data-dir").arg(self.data()).current_dir(self.dir.path());
        command
    }

    /// Starts the daemon; `fail_point` is where it is to die.
    pub(crate) fn run(&self, fail_point: Option<&str>) -> Daemon {
        let mut command = self.command(&["run"]);
        if let Some(point) = fail_point {
            command.env("STEADFAST_FAIL_POINT", point);
        }
        self.spawn(command)
    }

    /// Starts a command that becomes a daemon.
    pub(crate) fn spawn(&self, mut command: Command) -> Daemon {
        let out = self.dir.path().join(format!("out-{}", fs::read_dir(self.dir.path()).unwrap().count()));
        let file = File::create(&out).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Daemon { child: command.spawn().unwrap(), out, token: self.data().join("control.token") }
    }
}

/// Copies a directory whose files only their owner may read.
fn copy_private(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A running `steadfast run`. Dropping it is `kill -9`.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    out: PathBuf,
    token: PathBuf,
}

impl Daemon {
    /// What it has printed so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Its control interface, once it is there: address and token.
    pub(crate) fn control(&mut self) -> (String, String) {
        let (out, token) = (self.out.clone(), self.token.clone());
        until("the dashboard's address", || {
            let text = fs::read_to_string(&out).unwrap_or_default();
            assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended at its start: {text}");
            let (address, _) = text.split_once("http://")?.1.split_once('/')?;
            Some((address.to_owned(), fs::read_to_string(&token).ok()?.trim().to_owned()))
        })
    }

    /// One page of its API.
    pub(crate) fn api(&mut self, path: &str) -> Value {
        let (address, token) = self.control();
        let (status, body) = http::bearer(&address, &token, path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until nothing holds trading up.
    pub(crate) fn ready(&mut self) {
        let (address, token) = self.control();
        let begun = SystemClock.mono();
        until("readiness", || {
            assert!(self.child.try_wait().unwrap().is_none(), "{}", self.said());
            let (status, why) = http::bearer(&address, &token, "/-/ready");
            let late = SystemClock.mono().since(begun) + Duration::from_secs(2) > SOON;
            assert!(status == 200 || !late, "not ready: {why}\n{}", self.said());
            (status == 200).then_some(())
        });
    }

    /// Waits until it dies by itself.
    pub(crate) fn death(&mut self) -> ExitStatus {
        until("the death of the daemon", || self.child.try_wait().unwrap())
    }

    /// Asks it to stop and waits for its end: how it ended and how long that took.
    pub(crate) fn stop(mut self) -> (ExitStatus, Duration) {
        let begun = SystemClock.mono();
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = self.death();
        (status, SystemClock.mono().since(begun))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
