//! A signer process as the daemon starts it, with its three sockets and its page in the hands of a test.

use clock::SystemClock;
use domain::{Clock as _, VenueId};
use messages::{KeyAlias, KeyDuty, KeyRole, KeyState, MarginMode, PositionMode};
use order_signer::process::{Greeting, OrderPage, Packets, ReadySigner, RemoteStore, pair};
use order_signer::{Custody, KeySecrets, KeyStore as _, NewKey};
use secrets::SecretBytes;
use sign_policy::{
    FuturesPolicy, InstrumentPolicy, PolicyDocument, RateLimit, ReduceLimits, RoleVerbs, SideLimits, Turnover,
};
use std::cell::RefCell;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use steadfast::signers::{Boot, KeyPlace, UnlockFrom};

/// The account's number, and its key's name.
pub(crate) const SEAT: VenueId = VenueId(1);
const ALIAS: &str = "proof";
/// The highest leverage that [`policy`] lets be set.
pub(crate) const LEVERAGE_MAX: u16 = 5;
/// Longest wait for any answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Random values in the place of everything that is secret.
#[derive(Clone)]
pub(crate) struct Values {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) passphrase: String,
    pub(crate) vault: String,
}

/// Text of so many random bytes.
pub(crate) fn random_text(bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    getrandom::fill(&mut random).unwrap();
    hex::encode(random)
}

impl Values {
    pub(crate) fn random() -> Self {
        Self {
            key: format!("bg_{}", random_text(16)),
            secret: random_text(32),
            // Characters that URLs escape.
            passphrase: format!("{}/+%&={}", random_text(5), random_text(5)),
            vault: format!("{} \"{}\" \\ {}", random_text(6), random_text(6), random_text(6)),
        }
    }
}

/// A policy for a spot pair and its perpetual future around a price of 65 000, with so much notional and a hundredth part
/// of so much quantity for each side of each in a minute, and that quantity again for what only reduces.
pub(crate) fn policy(notional: i64, quantity: i64) -> PolicyDocument {
    let number = |mantissa, decimals| domain::Scaled { mantissa, decimals };
    let turnover = |times| Turnover { notional: number(notional * times, 0), quantity: number(quantity * times, 2) };
    let side = SideLimits { minute: turnover(1), hour: turnover(2), day: turnover(3) };
    let rate = RateLimit { per_second: RateLimit::MAX, burst: RateLimit::MAX };
    let spot = InstrumentPolicy {
        symbol: domain::Symbol::from("BTCUSDT").unwrap(),
        low: number(40_000, 0),
        high: number(110_000, 0),
        order_notional: number(100, 0),
        order_quantity: number(2, 3),
        open_orders: InstrumentPolicy::OPEN_ORDERS_MAX,
        buy: side,
        sell: side,
        leverage_max: None,
        reduce: None,
    };
    let reduce = [1, 2, 3].map(|times| number(quantity * times, 2));
    let perpetual = InstrumentPolicy {
        symbol: domain::Symbol::from("BTCUSDT-PERP").unwrap(),
        leverage_max: Some(LEVERAGE_MAX),
        reduce: Some(ReduceLimits { minute: reduce[0], hour: reduce[1], day: reduce[2] }),
        ..spot
    };
    PolicyDocument {
        version: PolicyDocument::VERSION,
        derived_at: None,
        roles: RoleVerbs::default(),
        orders: rate,
        cancels: rate,
        loosening_delay_seconds: None,
        futures: Some(FuturesPolicy {
            settings: RateLimit { per_second: FuturesPolicy::RATE_MAX, burst: FuturesPolicy::RATE_MAX },
            margin_modes: vec![MarginMode::Crossed],
            position_modes: vec![PositionMode::OneWay],
        }),
        instruments: vec![spot, perpetual],
    }
}

/// A running signer process. Ends with its owner.
pub(crate) struct Rig {
    child: Child,
    pub(crate) orders: Packets,
    /// Where questions of the order path are asked; its socket only tells who is gone.
    pub(crate) page: RefCell<OrderPage>,
    pub(crate) cancels: Packets,
    /// What the key manager holds: the process ends with it.
    pub(crate) _store: RemoteStore,
    pub(crate) ready: ReadySigner,
    pub(crate) values: Values,
    /// The limits that the key is under.
    pub(crate) policy: PolicyDocument,
    pub(crate) dir: tempfile::TempDir,
}

impl Rig {
    /// Links a key with random values, under a policy that lets much be signed, and starts the process.
    pub(crate) fn start() -> Self {
        Self::within(policy(1_000_000, 1_000_000))
    }

    /// As [`Self::start`], under another policy.
    pub(crate) fn within(policy: PolicyDocument) -> Self {
        let (dir, values) = (tempfile::tempdir().unwrap(), Values::random());
        let file = dir.path().join("passphrase");
        steadfast::data_dir::write_private(&file, values.vault.as_bytes()).unwrap();
        let custody_dir = dir.path().join("custody");
        link(&custody_dir, &values, &policy);
        Self::over(dir, values, policy)
    }

    /// Ends the process as `kill -9` does and starts another one over the same files.
    pub(crate) fn after_a_kill(mut self) -> Self {
        let _ = self.child.kill();
        self.another()
    }

    /// Ends the process as a daemon that goes does, and starts another one over the same files.
    pub(crate) fn after_an_end(mut self) -> Self {
        for socket in [&mut self.orders, &mut self.cancels] {
            *socket = pair().unwrap().0;
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the signer ended with {status}");
        self.another()
    }

    fn another(mut self) -> Self {
        let _ = self.child.wait();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        Self::over(dir, self.values.clone(), self.policy.clone())
    }

    fn over(dir: tempfile::TempDir, values: Values, policy: PolicyDocument) -> Self {
        let alias = KeyAlias::from(ALIAS).unwrap();
        let boot = Boot {
            custody: dir.path().join("custody"),
            unlock: UnlockFrom::File(dir.path().join("passphrase")),
            lock_after: u32::MAX,
            spin: false,
            places: vec![KeyPlace { seat: SEAT, alias, environment: "sim".to_owned(), login_confirmed: true }],
            may_ask: false,
            strict: false,
        };
        let (orders, inherited) = pair().unwrap();
        let (custody, custody_end) = pair().unwrap();
        let (cancels, cancels_end) = pair().unwrap();
        let (page, page_end) = OrderPage::create().unwrap();
        close_on_exec();
        let child = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .arg(steadfast::signers::child::ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(inherited.into_descriptor()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let frame = serde_json::to_vec(&boot).unwrap();
        orders.send_with(&frame, &[custody_end.descriptor(), cancels_end.descriptor(), page_end.as_fd()]).unwrap();
        for socket in [&orders, &cancels] {
            socket.wait_at_most(Some(PATIENCE)).unwrap();
        }
        let mut greeting = vec![0_u8; 64 * 1024];
        let len = orders.receive(&mut greeting).unwrap();
        let ready = match serde_json::from_slice(&greeting[..len]).unwrap() {
            Greeting::Ready(ready) => ready,
            Greeting::Failed(failure) => panic!("the signer did not start: {failure:?}"),
        };
        let mut store = RemoteStore::new(custody).unwrap();
        store.set_duty(SEAT, KeyDuty::Full).unwrap();
        Self { child, orders, page: RefCell::new(page), cancels, _store: store, ready, values, policy, dir }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the process has ended.
    pub(crate) fn is_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the signer process ended: {status}");
        }
    }

    /// Ends it by a signal and says how it ended.
    pub(crate) fn end_by(mut self, signal: rustix::process::Signal) -> (std::process::ExitStatus, tempfile::TempDir) {
        let process = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(process, signal).unwrap();
        let status = self.child.wait().unwrap();
        (status, std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this process was itself given is not for the signer, which refuses to start with it.
fn close_on_exec() {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let number: i32 = entry.unwrap().file_name().to_str().unwrap().parse().unwrap();
        if number > 2 {
            let _ = fcntl(number, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
}

/// Makes a vault with an Active key.
fn link(dir: &Path, values: &Values, policy: &PolicyDocument) {
    let passphrase = vault::Passphrase::from_text(&values.vault).unwrap();
    let now = SystemClock.unix();
    let mut custody = Custody::create(dir, &passphrase, vault::KdfParams::FLOOR, now).unwrap();
    let locked = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
    let secrets =
        KeySecrets { key: locked(&values.key), secret: locked(&values.secret), passphrase: locked(&values.passphrase) };
    let new = NewKey {
        alias: KeyAlias::from(ALIAS).unwrap(),
        venue: "bitget".to_owned(),
        environment: "sim".to_owned(),
        account: ALIAS.to_owned(),
        role: KeyRole::Trade,
        wallets: vec!["spot".to_owned()],
        stream_login_confirmed: true,
    };
    custody.add(new, &secrets, now).unwrap();
    custody.set_policy(ALIAS, policy).unwrap();
    for state in [KeyState::Verifying, KeyState::Active] {
        custody.set_state(ALIAS, state, "for the proof", now).unwrap();
    }
}
