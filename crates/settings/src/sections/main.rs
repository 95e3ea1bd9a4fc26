//! `steadfast.toml`: the process itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Notify, Risk, Strategy, Venue};
use crate::check::{Check, between, not_empty};
use crate::forms::Unlock;
use crate::{absent, empty};

section! {
    /// Everything that can be set. The tables come from the files of the settings directory: `steadfast.toml`, `venues/*.toml`, `strategies/*.toml` (each becomes `strategy.FILE-NAME`), `risk.toml`, `notify.toml`, `conf.d/*.toml`.
    pub Settings {
        /// Version of the layout of these files.
        schema_version: u32 = 1, check Check::new("1, the only version that this program reads", |version| *version == 1);
        /// What orders are: `sim` sends them to an embedded exchange on this machine, `live` sends real orders and also needs the flag `--live`.
        mode: Mode = "sim";
        /// The running program.
        process: Process = empty();
        /// The control interface: API, live page, `/metrics`, `/-/healthy`, `/-/ready`.
        control: Control = empty();
        /// Metrics for Prometheus.
        metrics: Metrics = empty();
        /// The program's log.
        log: Log = empty();
        /// The clock that orders are signed with.
        clock: Clock = empty();
        /// The part that holds the keys.
        signer: Signer = empty();
        /// The thread that checks and signs orders.
        order_path: OrderPath = empty();
        /// The encrypted file of the keys.
        vault: Vault = empty();
        /// Limits that no order may cross.
        risk: Risk = empty();
        /// Messages to people.
        notify: Notify = empty();
        /// Venue accounts, by name.
        venue: BTreeMap<String, Venue> = empty();
        /// Strategies, by id.
        strategy: BTreeMap<String, Strategy> = empty();
    }
}

impl Settings {
    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        Path::new(&self.process.data_dir)
    }

    /// The control socket: as set, otherwise `control.sock` in the data directory.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.or_in_data_dir(self.control.socket.as_deref(), "control.sock")
    }

    /// The file with the access token: as set, otherwise `control.token` in the data directory.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.or_in_data_dir(self.control.token_file.as_deref(), "control.token")
    }

    /// The directory of log files: as set, otherwise `log` in the data directory.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.or_in_data_dir(self.log.file.path.as_deref(), "log")
    }

    /// The directory of the vault: as set, otherwise `custody` in the data directory.
    #[must_use]
    pub fn vault_dir(&self) -> PathBuf {
        self.or_in_data_dir(self.vault.path.as_deref(), "custody")
    }

    fn or_in_data_dir(&self, set: Option<&str>, name: &str) -> PathBuf {
        set.map_or_else(|| self.data_dir().join(name), PathBuf::from)
    }
}

words! {
    /// What orders are.
    pub Mode {
        /// Simulated: every venue is an embedded exchange on this machine.
        Sim = "sim",
        /// Real.
        Live = "live",
    }
    not yet {
        "paper" => "(live market data with simulated fills) does not exist yet",
    }
}

section! {
    /// The running program.
    pub Process {
        /// Journal, database and vault. Made with mode 0700. Relative to the working directory.
        data_dir: String = "data", check not_empty();
        /// How long an orderly stop may take before the program exits anyway.
        shutdown_timeout: Duration = "20s", check between(Duration::from_secs(1), Duration::from_secs(600));
        /// What happens to resting orders when the program stops.
        on_shutdown: OnShutdown = "cancel";
    }
}

words! {
    /// What happens to resting orders when the program stops.
    pub OnShutdown {
        /// They are cancelled.
        Cancel = "cancel",
        /// They keep resting at the venue.
        Leave = "leave",
    }
}

section! {
    /// The control interface: API, live page, `/metrics`, `/-/healthy`, `/-/ready`.
    pub Control {
        /// Address and port. One that other machines reach needs `tls`, `hosts` and an API key (`steadfast access add`).
        listen: SocketAddr = "127.0.0.1:7447";
        /// The certificate of the control interface: `tls = { cert = "cert.pem", key = "key.pem" }`. When absent: plain HTTP, on loopback only.
        tls: Option<Tls> = absent();
        /// Names under which the control interface is reached beside those of loopback, each `NAME` or `NAME:PORT`. Requests under any other name are refused; those under these names need an API key, as they may come from elsewhere through a proxy.
        hosts: Vec<String> = Vec::<serde_json::Value>::new(), check host_names();
        /// The Unix socket of the command line. When absent: `control.sock` in the data directory.
        socket: Option<String> = absent(), check not_empty().if_present();
        /// The file with the access token, made with mode 0600. When absent: `control.token` in the data directory.
        token_file: Option<String> = absent(), check not_empty().if_present();
        /// How long a log-in lasts.
        session_ttl: Duration = "12h", check between(Duration::from_secs(60), Duration::from_secs(30 * 86_400));
    }
}

section! {
    /// The certificate of the control interface. When absent: plain HTTP, on loopback only.
    pub Tls, without default {
        /// File with the certificate and those that lead to its root, in PEM form, the own one first.
        cert: String, check not_empty();
        /// File with its private key, in PEM form, which only its owner may read.
        key: String, check not_empty();
    }
}

fn host_names() -> Check<Vec<String>> {
    Check::new(
        "names such as \"bot.example.org\" or \"bot.example.org:443\", without scheme and path",
        |names: &Vec<String>| names.iter().all(|name| is_host_name(name)),
    )
}

fn is_host_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    !text.is_empty() && text.len() <= 255 && text.chars().all(fits)
}

section! {
    /// Metrics for Prometheus, at `/metrics` of the control interface.
    pub Metrics {
        /// Whether they are served.
        enabled: bool = true;
        /// Whether some have a label for each instrument. Turn it off when trading more than about 200 instruments.
        per_instrument: bool = true;
    }
}

section! {
    /// The program's log.
    pub Log {
        /// `error`, `warn`, `info`, `debug` or `trace`; a part may differ: `info,market-feed=debug`.
        level: String = "info", check level_list();
        /// How lines look on standard output.
        format: LogFormat = "auto";
        /// Log files.
        file: LogFile = empty();
    }
}

fn level_list() -> Check<String> {
    Check::new("a level such as \"info\" or \"info,market-feed=debug\"", |text: &String| is_level_list(text))
}

fn is_level_list(text: &str) -> bool {
    text.split(',').all(|directive| {
        let level = directive.rsplit('=').next().unwrap_or_default();
        let target_is_named = !directive.starts_with('=') && directive.matches('=').count() <= 1;
        target_is_named && ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
    })
}

words! {
    /// How log lines look on standard output.
    pub LogFormat {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// Log files.
    pub LogFile {
        /// The directory. When absent: `log` in the data directory.
        path: Option<String> = absent(), check not_empty().if_present();
        /// When a new file is begun.
        rotate: Rotation = "daily";
        /// How many files are kept.
        keep: u32 = 14, unit "files", check between(1, 365);
    }
}

words! {
    /// When a new log file is begun.
    pub Rotation {
        /// At midnight UTC.
        Daily = "daily",
        /// At each full hour.
        Hourly = "hourly",
        /// No log files are written.
        Off = "off",
    }
}

section! {
    /// The clock that orders are signed with: this machine's, corrected by what the venue says.
    pub Clock {
        /// Largest difference between this machine's clock and the venue's; beyond it orders can only be cancelled.
        max_offset: Duration = "5s", check between(Duration::from_millis(10), Duration::from_secs(5));
        /// Largest uncertainty of that measurement; beyond it no new orders.
        max_uncertainty: Duration = "500ms", check between(Duration::from_millis(1), Duration::from_secs(5));
    }
}

section! {
    /// The part that holds the keys.
    pub Signer {
        /// Where it runs.
        mode: SignerMode = "auto";
        /// The least isolation without which the program does not start.
        require_isolation: Isolation = "none";
        /// Whether to refuse to start when memory cannot be locked against swapping.
        require_locked_memory: bool = false;
        /// When the record of an order's signature is safe enough for the signature to leave.
        guard: GuardMode = "group";
    }
}

words! {
    /// When the record of a signature counts as kept.
    pub GuardMode {
        /// When the kernel has it: it survives the end of the process, and about 5 ms later that of the machine.
        Group = "group",
        /// When the disk has it: it survives a power cut; every order waits for the disk, about 4 ms.
        Strict = "strict",
    }
}

words! {
    /// Where the signer runs.
    pub SignerMode {
        /// In a process of its own on Linux, inline elsewhere.
        Auto = "auto",
        /// On the order path's thread.
        Inline = "inline",
        /// In a sandboxed process of its own; Linux only.
        Process = "process",
    }
}

words! {
    /// The isolation of the signer that is required.
    pub Isolation {
        /// None.
        None = "none",
        /// A process of its own behind Landlock and seccomp, both whole.
        Process = "process",
    }
}

section! {
    /// The thread that checks and signs orders.
    pub OrderPath {
        /// How it waits for work.
        wait: WaitMode = "auto";
        /// Whether it is bound to one core.
        pin: bool = false;
        /// An order of which no byte was sent in this time is given up.
        send_by: Duration = "500ms", check between(Duration::from_millis(10), Duration::from_secs(10));
        /// How long the venue may take to show an order in its lists; between two rounds of asking for an unknown order.
        index_delay: Duration = "5s", check between(Duration::from_millis(100), Duration::from_secs(60));
        /// What is done about orders that another instance of this program left.
        foreign_orders: ForeignOrders = "ignore";
    }
}

words! {
    /// How the order path's thread waits for work.
    pub WaitMode {
        /// `block` below 4 cores, `spin-then-park` otherwise.
        Auto = "auto",
        /// It sleeps and is woken: least use of the processor.
        Block = "block",
        /// It asks again for a moment, then sleeps.
        SpinThenPark = "spin-then-park",
        /// It asks without end: least latency, one core in full use.
        Spin = "spin",
    }
}

words! {
    /// What is done about orders that are not ours.
    pub ForeignOrders {
        /// They are shown.
        Ignore = "ignore",
        /// They are shown, and the start waits for a person.
        Hold = "hold",
    }
}

section! {
    /// The encrypted file of the keys.
    pub Vault {
        /// The directory. When absent: `custody` in the data directory. Only the signer writes there.
        path: Option<String> = absent(), check not_empty().if_present();
        /// Where the passphrase comes from: `prompt`, `credential:NAME` of the service manager, or `file:PATH` of a file that only its owner can read.
        unlock: Unlock = "prompt";
        /// Wrong passphrases in a row after which `file:` and `credential:` are not tried again until the vault has been opened by hand, by `prompt`. From the third on, each further try waits twice as long.
        auto_lock_after_failures: u32 = 5, check between(1, 20);
    }
}
