//! The command line: every command, flag and its help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Trades crypto around the clock through exchange API keys, and can be left alone.
#[derive(Debug, Parser)]
#[command(name = "steadfast", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  steadfast demo                          trade on the embedded exchange: no file, no account, no question
  steadfast demo --for 60s --json         the same for a minute, with a summary for programs
  steadfast init && steadfast check       write a commented config/ and check it
  steadfast sim --listen 127.0.0.1:7450   serve the embedded exchange alone
  steadfast keys add bitget-main --venue bitget
  steadfast run                           the daemon
  steadfast status --json | steadfast halt --reason 'going to bed'";

/// Options that every command takes.
#[derive(Debug, Args, Clone, Default)]
pub struct Global {
    /// Directory of the settings files.
    #[arg(long, global = true, default_value = "config", value_name = "DIR")]
    pub config: PathBuf,
    /// Directory of journal, vault and state; wins over `process.data_dir`.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print data as JSON on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors and data.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// More log lines; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// No colours (also: NO_COLOR).
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Never ask; fail instead.
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Read the vault's passphrase from this open descriptor, whatever the settings say.
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// Address of the running daemon's control API.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// File that holds the token for the control API.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trade on the embedded exchange with a grid and a market maker; no file, no account
    Demo(DemoArgs),
    /// Run the daemon from the settings in config/
    Run(RunArgs),
    /// Check all settings and say every problem at once; no network
    Check(CheckArgs),
    /// Write a commented config/ to start from
    Init(InitArgs),
    /// Link, list and test exchange API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show mode, health, equity, orders and keys of the running daemon
    Status(StatusArgs),
    /// Only orders that reduce a position from now on
    Pause(ReasonArgs),
    /// Back to normal from a pause
    Resume(ReasonArgs),
    /// Kill switch: cancel all, block new orders; survives a restart
    Halt(ReasonArgs),
    /// Lift a halt
    Unhalt(UnhaltArgs),
    /// Make, list and revoke API keys of the control interface
    #[command(subcommand)]
    Access(AccessCommand),
    /// One-time codes that confirm what raises a risk
    #[command(subcommand)]
    Totp(TotpCommand),
    /// Serve the embedded exchange alone, for this bot or anybody's
    Sim(Box<SimArgs>),
    /// Measure the order path on this machine
    Bench(BenchArgs),
    /// Import, check and make recordings of market data
    #[command(subcommand)]
    Tape(TapeCommand),
    /// Show what each venue can do and what of it is used here
    Venues,
    /// Verify the journal's hash chain
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Make, open, copy and change the encrypted file that holds the keys
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Check, show or prove what was done to keys and to trading
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// `steadfast demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End by itself after this time, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub run_for: Option<std::time::Duration>,
    /// Let the market follow this recording.
    #[arg(long, value_name = "FILE")]
    pub tape: Option<PathBuf>,
    /// Seed of the embedded exchange's market.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Address of the dashboard; when absent 127.0.0.1:7447, or any free port if that is taken.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Make something fail: NAME@N at the N-th place request, NAME@Ns after N seconds.
    #[arg(long, value_name = "NAME@N")]
    pub fault: Vec<String>,
}

/// `steadfast run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Allow orders on a real exchange (with mode = "live").
    #[arg(long)]
    pub live: bool,
    /// Override one setting, such as risk.max_open_orders=10.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `steadfast check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Warnings fail too.
    #[arg(long)]
    pub strict: bool,
    /// Override one setting.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `steadfast init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where to write; the directory must not hold settings yet.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Which exchange.
    #[arg(long, default_value = "bitget")]
    pub venue: String,
    /// Use the exchange's demo environment instead of the embedded exchange.
    #[arg(long)]
    pub demo: bool,
    /// Which strategy to begin with.
    #[arg(long, default_value = "grid")]
    pub strategy: String,
    /// Ask nothing.
    #[arg(long)]
    pub yes: bool,
}

/// `steadfast keys`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Link a key: hidden prompts for key, secret and passphrase, then verification until Active
    Add(KeysAddArgs),
    /// Show every key's state
    List,
    /// Show everything about a key but its values
    Show(KeyAliasArgs),
    /// Verify a key and name what fails
    Test(KeyAliasArgs),
    /// Place nothing new with a key from now on
    Disable(KeyDisableArgs),
    /// Trust a disabled or quarantined key again, once it is verified
    Enable(KeyEnableArgs),
    /// Let a new key take the place of one, without a missed order
    Rotate(KeyRotateArgs),
    /// Wipe a key for good
    Revoke(KeyRevokeArgs),
    /// What happened to each key, and why
    Audit(KeysAuditArgs),
    /// What the signer signs with a key
    #[command(subcommand)]
    Policy(KeysPolicyCommand),
}

/// `steadfast keys policy`
#[derive(Debug, Subcommand)]
pub enum KeysPolicyCommand {
    /// Show it in words, or whole with --json
    Show(KeyAliasArgs),
    /// Let less be signed, at once
    Tighten(KeysPolicyArgs),
    /// Let more be signed, after the policy's own delay
    Loosen(KeysPolicyArgs),
}

/// A change of a policy.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).args(["from_file", "set"]))]
pub struct KeysPolicyArgs {
    /// The key's name.
    pub alias: String,
    /// The whole new policy, as `show --json` prints it under `policy`.
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// One field, such as BTCUSDT.order_notional=100; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
    /// Why; it is kept with the key.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// One-time or recovery code for a loosening, once codes are set up; asked for when absent.
    #[arg(long, value_name = "CODE")]
    pub totp: Option<String>,
}

/// `steadfast keys disable`
#[derive(Debug, Args)]
pub struct KeyDisableArgs {
    /// The key's name.
    pub alias: String,
    /// Why; it is kept with the key.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `steadfast keys enable`
#[derive(Debug, Args)]
pub struct KeyEnableArgs {
    /// The key's name.
    pub alias: String,
    /// Why it deserves trust again; it is kept with the key.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// One-time or recovery code, once codes are set up; asked for when absent.
    #[arg(long, value_name = "CODE")]
    pub totp: Option<String>,
}

/// `steadfast keys rotate`
#[derive(Debug, Args)]
pub struct KeyRotateArgs {
    /// The key at work.
    pub alias: String,
    /// The key that takes over: one that waits, or the name for a new one.
    #[arg(long, value_name = "ALIAS")]
    pub to: Option<String>,
    /// Read key, secret and passphrase of the new key from standard input, a line each.
    #[arg(long, conflicts_with = "from_file")]
    pub stdin: bool,
    /// Read key, secret and passphrase of the new key from a file (mode 0600), a line each.
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// One-time or recovery code, once codes are set up; asked for when absent.
    #[arg(long, value_name = "CODE")]
    pub totp: Option<String>,
}

/// `steadfast keys revoke`
#[derive(Debug, Args)]
pub struct KeyRevokeArgs {
    /// The key's name.
    pub alias: String,
    /// Why; it is kept with the tombstone.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Ask nothing.
    #[arg(long)]
    pub yes: bool,
}

/// `steadfast keys audit`
#[derive(Debug, Args)]
pub struct KeysAuditArgs {
    /// Only this key.
    pub alias: Option<String>,
}

/// `steadfast keys add`
#[derive(Debug, Args)]
pub struct KeysAddArgs {
    /// The name under which settings refer to the key.
    pub alias: String,
    /// Which exchange the key belongs to.
    #[arg(long)]
    pub venue: String,
    /// The key belongs to the exchange's demo environment.
    #[arg(long)]
    pub demo: bool,
    /// What the key is for.
    #[arg(long, value_enum, default_value_t = Role::Trade)]
    pub role: Role,
    /// Read key, secret and passphrase from standard input, a line each.
    #[arg(long, conflicts_with = "from_file")]
    pub stdin: bool,
    /// Read key, secret and passphrase from a file (mode 0600), a line each.
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// Wallets to follow, comma-separated: spot, margin, futures, funding.
    #[arg(long, value_delimiter = ',')]
    pub wallets: Vec<String>,
    /// Accept a key that is not bound to an address.
    #[arg(long)]
    pub allow_unbound: bool,
    /// Confirm the proposed policy without a question.
    #[arg(long)]
    pub yes: bool,
    /// One-time or recovery code for a running daemon, once codes are set up; asked for when absent.
    #[arg(long, value_name = "CODE")]
    pub totp: Option<String>,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Role {
    /// Places orders.
    Trade,
    /// Reads only.
    Stream,
}

/// A command about one key.
#[derive(Debug, Args)]
pub struct KeyAliasArgs {
    /// The key's name.
    pub alias: String,
}

/// `steadfast status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Refresh every second.
    #[arg(long)]
    pub watch: bool,
}

/// A command with an optional reason.
#[derive(Debug, Args)]
pub struct ReasonArgs {
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `steadfast unhalt`
#[derive(Debug, Args)]
pub struct UnhaltArgs {
    /// Why it is safe again, for the journal.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// One-time or recovery code, once codes are set up; asked for when absent.
    #[arg(long, value_name = "CODE")]
    pub totp: Option<String>,
}

/// `steadfast access`
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Make an API key; its text is shown this once
    Add(AccessAddArgs),
    /// Show every API key, without its secret
    List,
    /// End an API key at once
    Revoke(AccessRevokeArgs),
}

/// `steadfast access add`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rights").required(true).multiple(true).args(["role", "scopes"]))]
pub struct AccessAddArgs {
    /// What to call it: a-z, 0-9, `-`, `_`, `.`.
    pub name: String,
    /// A bundle of scopes.
    #[arg(long, value_enum)]
    pub role: Option<AccessRole>,
    /// Single scopes, comma-separated or repeated, such as read,trade.pause.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = scope)]
    pub scopes: Vec<access::Scope>,
    /// How long it lives, in days: 1d to 365d.
    #[arg(long, value_name = "DAYS", default_value = "90d", value_parser = days)]
    pub expires: u32,
    /// Addresses that may use it, comma-separated or repeated, such as 10.0.0.0/8; none: any.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = range)]
    pub from: Vec<access::IpNet>,
    /// One-time or recovery code, once codes are set up; asked for when absent.
    #[arg(long, value_name = "CODE")]
    pub totp: Option<String>,
}

/// A bundle of scopes.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum AccessRole {
    /// Sees.
    Viewer,
    /// Sees; pauses, resumes, halts; lowers limits; revokes exchange keys.
    Operator,
    /// Everything.
    Admin,
}

/// `steadfast access revoke`
#[derive(Debug, Args)]
pub struct AccessRevokeArgs {
    /// Its name or id.
    pub name: String,
}

/// `steadfast totp`
#[derive(Debug, Subcommand)]
pub enum TotpCommand {
    /// Set codes up: shows a QR code for an authenticator and asks for its first code
    Enroll,
    /// Try a code; it is spent by that
    Verify(TotpCodeArgs),
    /// Do without codes again; needs one more
    Disable(TotpCodeArgs),
    /// Make new recovery codes in place of the former ones
    Recovery(TotpCodeArgs),
}

/// A command that needs a code.
#[derive(Debug, Args)]
pub struct TotpCodeArgs {
    /// One-time or recovery code; asked for when absent.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// `steadfast sim`
#[derive(Debug, Args)]
pub struct SimArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7450")]
    pub listen: SocketAddr,
    /// API key to accept; made up when absent.
    #[arg(long)]
    pub key: Option<String>,
    /// Its secret.
    #[arg(long, requires = "key")]
    pub secret: Option<String>,
    /// Its passphrase.
    #[arg(long, requires = "key")]
    pub passphrase: Option<String>,
    /// A second API key of the same account, with the same secret and passphrase.
    #[arg(long, requires_all = ["secret", "passphrase"])]
    pub second_key: Option<String>,
    /// A key of the same account that may only read.
    #[arg(long, value_name = "KEY", requires_all = ["read_only_secret", "read_only_passphrase"])]
    pub read_only_key: Option<String>,
    /// Its secret.
    #[arg(long, value_name = "SECRET", requires = "read_only_key")]
    pub read_only_secret: Option<String>,
    /// Its passphrase.
    #[arg(long, value_name = "PASSPHRASE", requires = "read_only_key")]
    pub read_only_passphrase: Option<String>,
    /// Permissions of the key, comma-separated: read and trade (spot and futures; spot-read, spot-trade,
    /// futures-read and futures-trade for one of them), margin, transfer, withdraw, sub-accounts.
    #[arg(long, value_delimiter = ',', default_value = "read,trade")]
    pub permissions: Vec<String>,
    /// Addresses that may use it; none: any.
    #[arg(long = "ip", value_name = "ADDRESS")]
    pub ips: Vec<std::net::IpAddr>,
    /// Which environment the key belongs to.
    #[arg(long, default_value = "production")]
    pub environment: String,
    /// Classic or unified account.
    #[arg(long, default_value = "classic")]
    pub account: String,
    /// Opening balances, such as USDT=100000.
    #[arg(long = "balance", value_name = "ASSET=AMOUNT")]
    pub balances: Vec<String>,
    /// What is listed, comma-separated: spot, usdt-futures.
    #[arg(long, value_delimiter = ',', default_value = "spot,usdt-futures", value_name = "CATEGORY")]
    pub categories: Vec<String>,
    /// USDT in the futures wallet of a classic account; as much as on spot when absent.
    #[arg(long, value_name = "AMOUNT")]
    pub futures_balance: Option<rust_decimal::Decimal>,
    /// Time between two settlements of funding, such as 8h or 1m.
    #[arg(long, value_name = "TIME", default_value = "8h", value_parser = duration)]
    pub funding_interval: std::time::Duration,
    /// Seed of the market.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Let the market follow this recording.
    #[arg(long, value_name = "FILE")]
    pub tape: Option<PathBuf>,
    /// No market of its own: an empty book that clients fill.
    #[arg(long)]
    pub quiet_market: bool,
    /// Answer any number of requests; otherwise the documented budgets hold.
    #[arg(long)]
    pub no_rate_limits: bool,
    /// How far the exchange's clock is ahead, such as 40s or -40s.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub clock_offset: Option<String>,
    /// Make something fail: NAME@N at the N-th place request, NAME@Ns after N seconds.
    #[arg(long, value_name = "NAME@N")]
    pub fault: Vec<String>,
    /// Make much fail: a TOML file of faults; docs/sim.md describes it.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
}

/// `steadfast bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Fewer rounds.
    #[arg(long)]
    pub quick: bool,
}

/// `steadfast tape`
#[derive(Debug, Subcommand)]
pub enum TapeCommand {
    /// Read a recording of another program into a tape
    Import(TapeImportArgs),
    /// Rebuild the books of a recording or a tape and compare every checksum of the venue
    Check(TapeCheckArgs),
    /// Write what a venue's public streams send into a tape, without a key
    Record(TapeRecordArgs),
}

/// `steadfast tape import`
#[derive(Debug, Args)]
pub struct TapeImportArgs {
    /// The recording.
    pub file: PathBuf,
    /// Whose format it is in: hftbacktest or cryptofeed.
    #[arg(long, value_name = "FORMAT")]
    pub from: String,
    /// Whose frames it holds, where the format is the same for several: bitget, okx or kraken.
    #[arg(long, value_name = "VENUE")]
    pub venue: Option<String>,
    /// The tape to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The instrument: the one of a recording that does not say it, or the only one wanted of several.
    #[arg(long)]
    pub symbol: Option<String>,
}

/// `steadfast tape check`
#[derive(Debug, Args)]
pub struct TapeCheckArgs {
    /// A tape, or a recording as `tape import` takes it.
    pub file: PathBuf,
    /// Whose frames a cryptofeed recording holds: bitget, okx or kraken.
    #[arg(long, value_name = "VENUE")]
    pub venue: Option<String>,
}

/// `steadfast tape record`
#[derive(Debug, Args)]
pub struct TapeRecordArgs {
    /// The venue account of the settings, such as bitget-main.
    #[arg(long, value_name = "NAME")]
    pub venue: String,
    /// An instrument in the venue's spelling; may be named several times. When absent: those of the account.
    #[arg(long = "instrument", value_name = "SYMBOL")]
    pub instruments: Vec<String>,
    /// End by itself after this time, such as 60s or 8h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub record_for: Option<std::time::Duration>,
    /// The tape to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `steadfast journal`
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Recompute the hash chain and name the first record that does not fit
    Verify,
}

/// A scope by its word.
fn scope(text: &str) -> Result<access::Scope, String> {
    access::Scope::from_word(text).ok_or_else(|| {
        let words: Vec<&str> = access::Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("there is no scope `{text}`; there are {}", words.join(", "))
    })
}

/// A number of days, such as `90d`.
fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or(text).parse().ok();
    number.filter(|days| (1..=365).contains(days)).ok_or_else(|| format!("`{text}` is not 1d to 365d"))
}

/// One address or a range of them.
fn range(text: &str) -> Result<access::IpNet, String> {
    let one = || text.parse::<std::net::IpAddr>().ok().map(access::IpNet::from);
    text.parse()
        .ok()
        .or_else(one)
        .ok_or_else(|| format!("`{text}` is no address or range; write 192.0.2.7 or 10.0.0.0/8"))
}

/// `steadfast vault`
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Make an empty vault
    Init,
    /// Open the vault and say what is in it; nothing is changed
    Unlock,
    /// Choose another passphrase; the keys are not encrypted anew
    ChangePassphrase(VaultPassphraseArgs),
    /// Encrypt everything anew under another data key
    RotateDek(VaultForgetArgs),
    /// Copy the vault, encrypted as it is
    Backup(VaultFileArgs),
    /// Put a copy in place where no vault is
    Restore(VaultFileArgs),
    /// Accept a vault that is older than one that was seen
    AcceptRollback(VaultAcceptArgs),
    /// Add another way to open the vault
    AddSlot(VaultAddSlotArgs),
    /// Remove a way to open the vault
    RemoveSlot(VaultRemoveSlotArgs),
    /// Write the keys out, encrypted for an age recipient, for the day this program is gone
    #[cfg(feature = "age-export")]
    Export(VaultExportArgs),
}

/// `steadfast vault export`
#[cfg(feature = "age-export")]
#[derive(Debug, Args)]
pub struct VaultExportArgs {
    /// Who will be able to read it, such as age1...; several may be named.
    #[arg(long = "age", value_name = "RECIPIENT", required = true)]
    pub recipients: Vec<String>,
    /// The file to write.
    pub file: PathBuf,
}

/// `steadfast vault change-passphrase`
#[derive(Debug, Args)]
pub struct VaultPassphraseArgs {
    /// Read the new passphrase from this file (mode 0600) instead of asking twice.
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// What is done with earlier copies.
    #[command(flatten)]
    pub forget: VaultForgetArgs,
}

/// What is done with the earlier generations beside the vault.
#[derive(Debug, Args)]
pub struct VaultForgetArgs {
    /// Remove the earlier generations, which what opened them still opens.
    #[arg(long)]
    pub forget_old: bool,
}

/// A command with a copy of the vault.
#[derive(Debug, Args)]
pub struct VaultFileArgs {
    /// The copy.
    pub file: PathBuf,
}

/// `steadfast vault accept-rollback`
#[derive(Debug, Args)]
pub struct VaultAcceptArgs {
    /// The generation of the vault in place, as the refusal named it.
    #[arg(long, value_name = "NUMBER")]
    pub generation: u64,
}

/// A way to open the vault beside the passphrase.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum VaultSlot {
    /// A secret that stays on this machine, in a file or an encrypted credential.
    Machine,
    /// A code that is printed once and kept elsewhere.
    Recovery,
}

/// `steadfast vault add-slot`
#[derive(Debug, Args)]
pub struct VaultAddSlotArgs {
    /// Which.
    #[arg(value_enum)]
    pub slot: VaultSlot,
    /// Where the machine's secret is written; give it to the daemon as its passphrase file or credential.
    #[arg(long, value_name = "FILE", required_if_eq("slot", "machine"))]
    pub key_file: Option<PathBuf>,
}

/// `steadfast vault remove-slot`
#[derive(Debug, Args)]
pub struct VaultRemoveSlotArgs {
    /// Which.
    #[arg(value_enum)]
    pub slot: VaultSlot,
    /// What is done with earlier copies.
    #[command(flatten)]
    pub forget: VaultForgetArgs,
}

/// `steadfast audit`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the chain, every seal, and with --unlock every record; name the first record that does not fit
    Verify(AuditVerifyArgs),
    /// Show the last records
    Tail(AuditTailArgs),
    /// Print a proof that a record stands in the log, for people who have neither log nor vault
    Prove(AuditProveArgs),
}

/// `steadfast audit verify`
#[derive(Debug, Args)]
pub struct AuditVerifyArgs {
    /// Open the vault, whose seed checks every single record.
    #[arg(long)]
    pub unlock: bool,
    /// A copy of anchor.pub that was kept elsewhere; when absent the vault's (--unlock) or the one beside the log.
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
    /// The highest record number known to have been written, such as a stored value of the metric audit_seq.
    #[arg(long, value_name = "NUMBER")]
    pub seen: Option<u64>,
    /// Check this proof instead of the log.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["unlock", "seen"])]
    pub proof: Option<PathBuf>,
}

/// `steadfast audit tail`
#[derive(Debug, Args)]
pub struct AuditTailArgs {
    /// How many records.
    #[arg(short = 'n', long, default_value_t = 20)]
    pub lines: usize,
}

/// `steadfast audit prove`
#[derive(Debug, Args)]
pub struct AuditProveArgs {
    /// The record's number.
    pub seq: u64,
    /// A copy of anchor.pub that was kept elsewhere; when absent the one beside the log.
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
}

/// A span of time as people write it: `500ms`, `30s`, `5m`, `2h`.
///
/// # Errors
/// A sentence for the terminal.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time; write 30s, 5m or 2h"))?;
    let ms = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    ms.map(std::time::Duration::from_millis).ok_or_else(|| format!("`{text}` is no time; write 30s, 5m or 2h"))
}
