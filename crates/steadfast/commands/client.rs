//! The commands that speak to the running daemon over its control interface.
//!
//! Invariants: plain text goes to the daemon's private socket or to literal loopback addresses only and no redirect is followed, so the token reaches
//! nobody else; what the daemon sends is cleaned of control characters before it reaches the terminal; `halt` works
//! without a daemon.

use crate::cli::{Global, ReasonArgs, StatusArgs, UnhaltArgs};
use crate::report::{Exit, Trouble, causes};
use crate::term::{ask_secret, can_ask, data, say};
use clock::SystemClock;
use comfy_table::{CellAlignment, Table, presets};
use control_plane::{ActDone, ActVerb, PositionView, Problem, Status, Token, TokenError, token};
use domain::Clock as _;
use messages::{HaltReason, TradingState};
use net::{Cause, HttpAnswer, HttpClient, HttpConfig, HttpFailure, HttpMethod, HttpRequest, Plaintext};
use risk_guard::{HaltFlag, HaltRecord};
use std::fmt::Write as _;
use std::fs::{OpenOptions, TryLockError};
use std::io::{ErrorKind, IsTerminal as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection to this machine.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait for an answer; longer than the daemon's own limit for a halt.
const ANSWER_PATIENCE: Duration = Duration::from_secs(12);
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Between two looks of `status --watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Moves the cursor to the top left and clears the terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The daemon that is meant.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address, such as `http://127.0.0.1:7447`.
    pub endpoint: String,
    /// Its Unix socket, used instead of the address while somebody listens there.
    pub socket: Option<PathBuf>,
    /// The file that holds its token.
    pub token: PathBuf,
    /// Its data directory.
    pub data_dir: PathBuf,
}

impl Target {
    /// The address, or the socket if somebody listens on it: one that a killed daemon left does not keep a person from
    /// the address.
    fn way(&self) -> String {
        match &self.socket {
            Some(path) if UnixStream::connect(path).is_ok() => format!("unix:{}", path.display()),
            _ => self.endpoint.trim_end_matches('/').to_owned(),
        }
    }
}

/// `steadfast status`
///
/// # Errors
/// [`Trouble`]: the daemon does not answer, or not to this token.
pub fn status(global: &Global, args: &StatusArgs, target: &Target) -> Result<(), Trouble> {
    let client = Client::open(target)?;
    let redraw = args.watch && !global.json && std::io::stdout().is_terminal();
    loop {
        let mut status: serde_json::Value = client.get("/api/v1/status")?;
        let positions: serde_json::Value = client.get("/api/v1/positions")?;
        if global.json {
            if let Some(fields) = status.as_object_mut() {
                fields.insert("positions".to_owned(), positions);
            }
            data(&status.to_string());
        } else {
            let text = render(&client.understand(status)?, &client.understand::<Vec<PositionView>>(positions)?);
            data(&format!("{}{text}", if redraw { CLEAR } else { "" }));
        }
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// `steadfast pause`
///
/// # Errors
/// [`Trouble`]: not done.
pub fn pause(global: &Global, args: &ReasonArgs, target: &Target) -> Result<(), Trouble> {
    act(global, ActVerb::Pause, args.reason.as_deref(), None, &Client::open(target)?)
}

/// `steadfast resume`
///
/// # Errors
/// [`Trouble`]: not done.
pub fn resume(global: &Global, args: &ReasonArgs, target: &Target) -> Result<(), Trouble> {
    act(global, ActVerb::Resume, args.reason.as_deref(), None, &Client::open(target)?)
}

/// `steadfast unhalt`
///
/// # Errors
/// [`Trouble`]: not done.
pub fn unhalt(global: &Global, args: &UnhaltArgs, target: &Target) -> Result<(), Trouble> {
    act(global, ActVerb::Unhalt, Some(&args.reason), args.totp.as_deref(), &Client::open(target)?)
}

/// `steadfast halt`: by the daemon if one answers; otherwise the halt flag is written, which the next start finds.
///
/// # Errors
/// [`Trouble`]: not halted, or not known to be.
pub fn halt(global: &Global, args: &ReasonArgs, target: &Target) -> Result<(), Trouble> {
    let reason = args.reason.as_deref();
    let result = match Client::open(target) {
        Ok(client) => act(global, ActVerb::Halt, reason, None, &client),
        // Without a token it is still worth knowing whether anybody listens.
        Err(trouble) => match Client::bare(target)?.get::<serde_json::Value>("/-/ready") {
            Err(silence) if silence.exit == Exit::NotReachable => Err(silence),
            _ => Err(trouble),
        },
    };
    match result {
        Err(trouble) if trouble.exit == Exit::NotReachable => halt_without_daemon(global, reason, target),
        result => result,
    }
}

fn halt_without_daemon(global: &Global, reason: Option<&str>, target: &Target) -> Result<(), Trouble> {
    let directory = target.data_dir.display();
    if !target.data_dir.is_dir() {
        return Err(Trouble::new(Exit::NotFound, format!("there is no data directory {directory} to halt"))
            .why(format!("no daemon answers at {}, and nothing was started here yet", target.endpoint))
            .fix("name the data directory with --data-dir, or the daemon with --endpoint"));
    }
    let flag = HaltFlag::new(target.data_dir.join("halt.json"));
    let note = reason.unwrap_or_default().to_owned();
    let record = HaltRecord { reason: HaltReason::Operator, note, at: SystemClock.unix() };
    flag.set(&record).map_err(|error| {
        Trouble::new(Exit::Failure, "the halt could not be written")
            .why(causes(&error))
            .fix("make the data directory writable, or stop the daemon and cancel on the exchange's own page")
    })?;
    let held = is_held(target);
    let done = if held {
        "wrote the halt flag, but a daemon that does not answer holds the data directory: it may go on trading"
    } else {
        "wrote the halt flag: no daemon runs, and the next one will start halted"
    };
    if global.json {
        data(&serde_json::json!({ "trading": TradingState::Halted, "daemon": held, "done": [done] }).to_string());
    } else {
        data(done);
    }
    if held {
        return Err(Trouble::new(Exit::NotReachable, "a daemon holds the data directory and does not answer")
            .why(format!("nothing answers at {}", target.endpoint))
            .fix("end it (`systemctl stop steadfast`); look on the exchange's own page for resting orders"));
    }
    say(
        global,
        "orders that rest at the exchange are not cancelled by this; `steadfast unhalt` needs a running daemon",
    );
    Ok(())
}

/// Whether a process holds the data directory.
fn is_held(target: &Target) -> bool {
    let lock = OpenOptions::new().write(true).open(target.data_dir.join("lock"));
    lock.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn act(
    global: &Global,
    verb: ActVerb,
    reason: Option<&str>,
    totp: Option<&str>,
    client: &Client,
) -> Result<(), Trouble> {
    let body = serde_json::json!({ "reason": reason.unwrap_or_default() }).to_string();
    let done: ActDone = client.change(global, &format!("/api/v1/{}", verb.as_str()), &body, totp)?;
    if global.json {
        data(&serde_json::json!(done).to_string());
        return Ok(());
    }
    for step in &done.done {
        data(&plain(step));
    }
    data(&format!("trading is {} now", said(done.trading)));
    if done.trading == TradingState::Halted {
        say(global, "lift it with: steadfast unhalt --reason '...'");
    }
    Ok(())
}

const fn said(trading: TradingState) -> &'static str {
    match trading {
        TradingState::Active => "active",
        TradingState::ReduceOnly => "paused (only reducing orders)",
        TradingState::Halted => "HALTED",
    }
}

/// One connection to the daemon.
pub(crate) struct Client {
    /// As a person names it.
    endpoint: String,
    /// What requests begin with.
    base: String,
    authorization: Option<zeroize::Zeroizing<String>>,
    http: HttpClient,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(crate) fn open(target: &Target) -> Result<Self, Trouble> {
        let token = token::read(&target.token).map_err(|error| no_token(&error, target))?;
        Self::with(target, Some(&token))
    }

    fn bare(target: &Target) -> Result<Self, Trouble> {
        Self::with(target, None)
    }

    fn with(target: &Target, token: Option<&Token>) -> Result<Self, Trouble> {
        let cannot = |why: String| Trouble::new(Exit::Failure, "cannot speak to the daemon").why(why);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| cannot(error.to_string()))?;
        let endpoint = target.way();
        let config = HttpConfig {
            plaintext: Plaintext::Loopback,
            connect_patience: CONNECT_PATIENCE,
            answer_patience: ANSWER_PATIENCE,
            idle_connections: 1,
            answer_bytes_max: ANSWER_BYTES_MAX,
            kept_headers: &[],
            unix_socket: endpoint.strip_prefix("unix:").map(PathBuf::from),
        };
        let base = match config.unix_socket {
            Some(_) => "http://localhost".to_owned(),
            None => endpoint.clone(),
        };
        let http = HttpClient::new(config, Arc::new(SystemClock)).map_err(|error| cannot(causes(&error)))?;
        let authorization = token.map(|token| zeroize::Zeroizing::new(format!("Bearer {}", token.expose())));
        Ok(Self { endpoint, base, authorization, http, runtime })
    }

    pub(crate) fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        self.read(&self.send(HttpMethod::Get, path, String::new(), &[])?)
    }

    /// Asks for a change, once: what is asked again after a question for a code is the same request. A person at the
    /// terminal is asked for the code when the daemon wants one.
    pub(crate) fn change<T: serde::de::DeserializeOwned>(
        &self,
        global: &Global,
        path: &str,
        body: &str,
        totp: Option<&str>,
    ) -> Result<T, Trouble> {
        let mut once = [0_u8; 16];
        getrandom::fill(&mut once).map_err(|_| Trouble::new(Exit::Failure, "the machine gives no randomness"))?;
        let once = hex::encode(once);
        let send = |code: Option<&str>| {
            let mut headers = vec![("idempotency-key", once.as_str())];
            headers.extend(code.map(|code| ("x-totp", code)));
            self.send(HttpMethod::Post, path, body.to_owned(), &headers)
        };
        let mut answer = send(totp)?;
        let wants_code = |answer: &HttpAnswer| {
            answer.status == 403
                && serde_json::from_slice::<Problem>(&answer.body).is_ok_and(|problem| problem.code == "step_up_needed")
        };
        if wants_code(&answer) && totp.is_none() && can_ask(global) {
            let code = ask_secret(global, "one-time code: ", "give it by --totp CODE")?;
            answer = send(Some(code.trim()))?;
        }
        self.read(&answer)
    }

    fn send(&self, method: HttpMethod, path: &str, body: String, more: &[(&str, &str)]) -> Result<HttpAnswer, Trouble> {
        let url = format!("{}{path}", self.base);
        let mut headers = vec![("accept", "application/json")];
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", authorization.as_str()));
        }
        if method == HttpMethod::Post {
            headers.push(("content-type", "application/json"));
        }
        headers.extend_from_slice(more);
        let request = HttpRequest { method, url: &url, headers: &headers, body: body.into(), send_by: None };
        self.runtime.block_on(self.http.send(request)).map_err(|failure| self.unanswered(&failure))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, answer: &HttpAnswer) -> Result<T, Trouble> {
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body).map_err(|error| self.misunderstood(&error));
        }
        Err(self.refused(answer))
    }

    fn understand<T: serde::de::DeserializeOwned>(&self, value: serde_json::Value) -> Result<T, Trouble> {
        serde_json::from_value(value).map_err(|error| self.misunderstood(&error))
    }

    fn misunderstood(&self, error: &serde_json::Error) -> Trouble {
        Trouble::new(Exit::Failure, format!("the answer from {} is not understood", self.endpoint))
            .why(plain(&error.to_string()))
            .fix("use the same version of steadfast for the daemon and for this command")
    }

    fn unanswered(&self, failure: &HttpFailure) -> Trouble {
        let (HttpFailure::NotSent(cause) | HttpFailure::OutcomeUnknown(cause)) = failure;
        let endpoint = &self.endpoint;
        match cause {
            Cause::Address(error) => Trouble::new(Exit::NotReachable, format!("the address {endpoint} is not used"))
                .why(error)
                .fix("name a loopback address, such as --endpoint http://127.0.0.1:7447; for another machine use a tunnel"),
            Cause::Connect(why) => Trouble::new(Exit::NotReachable, format!("no daemon answers at {endpoint}"))
                .why(why)
                .fix("start it with `steadfast run`, or name its address with --endpoint"),
            Cause::NoAnswerInTime => Trouble::new(Exit::Timeout, format!("the daemon at {endpoint} gave no answer in time"))
                .why("what was asked for may still happen")
                .fix("look at `steadfast status`; if that is silent too, end the daemon and look at the exchange's own page"),
            other => Trouble::new(Exit::NotReachable, format!("the daemon at {endpoint} broke off"))
                .why(other)
                .fix("look at its log; it may be stopping"),
        }
    }

    fn refused(&self, answer: &HttpAnswer) -> Trouble {
        let exit = match answer.status {
            401 | 403 => Exit::Key,
            404 => Exit::NotFound,
            409 => Exit::Refused,
            408 | 429 | 504 => Exit::Timeout,
            _ => Exit::Failure,
        };
        match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) if answer.status == 409 => {
                Trouble::new(exit, plain(&problem.title)).fix(plain(&problem.detail))
            }
            // A daemon that is alive but not ready answers 503 with a list, which is no problem document.
            Ok(problem) => Trouble::new(exit, format!("the daemon refused: {}", plain(&problem.title))).why(format!(
                "{} ({})",
                plain(&problem.detail),
                plain(&problem.code)
            )),
            Err(_) => Trouble::new(exit, format!("{} answered with status {}", self.endpoint, answer.status))
                .why("the answer is not one of a steadfast daemon")
                .fix("look which program listens there"),
        }
    }
}

fn no_token(error: &TokenError, target: &Target) -> Trouble {
    let path = target.token.display();
    let trouble = Trouble::new(Exit::Key, "there is no token for the daemon").why(causes(error));
    match error {
        TokenError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            // The daemon makes its token at the first start.
            Trouble::new(
                Exit::NotReachable,
                format!("no daemon was started with the data directory {}", target.data_dir.display()),
            )
            .why(format!("its token file {path} does not exist"))
            .fix("start it with `steadfast run`, or name --data-dir or --token-file")
        }
        TokenError::Io { .. } | TokenError::OtherOwner { .. } => {
            trouble.fix("run this command as the daemon's user, or name another file with --token-file")
        }
        TokenError::OpenToOthers { .. } => {
            trouble.fix(format!("others may have read it: delete {path} and restart the daemon, which makes a new one"))
        }
        TokenError::Malformed { .. } => {
            trouble.fix(format!("delete {path} and restart the daemon, which makes a new one"))
        }
    }
}

/// Text from elsewhere without anything that a terminal would act on.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

pub(crate) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
    numbers: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    let mut empty = true;
    for row in rows {
        empty = false;
        table.add_row(row.map(|text| plain(&text)));
    }
    if empty {
        return String::new();
    }
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("\n{}\n", table.trim_fmt())
}

/// The status as a person reads it.
fn render(status: &Status, positions: &[PositionView]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "steadfast {}  mode {}  trading is {} since {}  up {}",
        plain(&status.version),
        plain(&status.mode).to_uppercase(),
        said(status.trading),
        status.since.strftime("%F %T UTC"),
        span(status.uptime_seconds),
    );
    if let Some(halt) = &status.halt {
        let note = if halt.note.is_empty() { String::new() } else { format!(" ({})", plain(&halt.note)) };
        let _ = writeln!(text, "halted: {}{note}; lift it with: steadfast unhalt --reason '...'", plain(&halt.explain));
    }
    for reason in &status.not_ready {
        let _ = writeln!(text, "not ready: {} [{}]", plain(&reason.explain), plain(&reason.reason));
    }
    if status.not_ready.is_empty() && status.halt.is_none() {
        let _ = writeln!(text, "ready");
    }
    let _ = writeln!(
        text,
        "equity {} {}  today {}  fees {}  open orders {}  unknown {}",
        status.equity.map_or_else(|| "-".to_owned(), |equity| equity.to_string()),
        plain(&status.quote),
        status.day_pnl,
        status.fees,
        status.open_orders,
        status.unknown_orders,
    );
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    text += &table(
        ["position", "strategy", "size", "entry", "mark", "unrealised", "realised"],
        positions.iter().map(|p| {
            let decimal = |value: Option<rust_decimal::Decimal>| or_dash(value.map(|value| value.to_string()));
            let strategy = p.strategy.clone();
            let size = p.quantity.to_string();
            [
                p.instrument.clone(),
                strategy,
                size,
                decimal(p.entry),
                decimal(p.mark),
                decimal(p.unrealised),
                p.realised.to_string(),
            ]
        }),
        &[2, 3, 4, 5, 6],
    );
    let perpetuals = || positions.iter().filter_map(|position| position.futures.as_ref().map(|of| (position, of)));
    text += &table(
        ["perpetual", "strategy", "side", "leverage", "margin", "liquidation", "funding"],
        perpetuals().map(|(position, of)| {
            let decimal = |value: Option<rust_decimal::Decimal>| or_dash(value.map(|value| value.to_string()));
            [
                position.instrument.clone(),
                position.strategy.clone(),
                of.side.clone(),
                or_dash(of.leverage.map(|times| format!("{times}x"))),
                decimal(of.margin),
                decimal(of.liquidation),
                of.funding.to_string(),
            ]
        }),
        &[3, 4, 5, 6],
    );
    text += &table(
        ["strategy", "orders", "fills", "maker fills", "refused"],
        status.strategies.iter().map(|(id, s)| {
            [id.clone(), s.orders.to_string(), s.fills.to_string(), s.maker_fills.to_string(), s.refused.to_string()]
        }),
        &[1, 2, 3, 4],
    );
    text += &table(
        ["feed", "channel", "instrument", "state", "age"],
        status.feeds.iter().map(|f| {
            let state = if f.valid { "up" } else { "DOWN" };
            let age = or_dash(f.age_ms.map(|ms| format!("{ms} ms")));
            [f.venue.clone(), f.channel.clone(), or_dash(f.instrument.clone()), state.to_owned(), age]
        }),
        &[4],
    );
    text += &table(
        ["clock against", "skew", "within"],
        status.clocks.iter().map(|c| {
            let skew = or_dash(c.skew_us.map(|us| format!("{:.1} ms", us as f64 / 1_000.0)));
            [c.venue.clone(), skew, or_dash(c.uncertainty_us.map(|us| format!("{:.1} ms", us as f64 / 1_000.0)))]
        }),
        &[1, 2],
    );
    text += &table(
        ["key", "venue", "status", "may", "address-bound", "rotate by"],
        status.keys.iter().map(|k| {
            let bound = k.ip_bound.map_or("?", |bound| if bound { "yes" } else { "no" }).to_owned();
            let due = or_dash(k.rotation_due.map(|due| due.strftime("%F").to_string()));
            [k.alias.clone(), k.venue.clone(), k.status.clone(), k.permissions.join(", "), bound, due]
        }),
        &[],
    );
    text += &table(
        ["hop", "orders", "p50", "p99"],
        status.hops.iter().map(|(name, h)| [name.clone(), h.count.to_string(), nanos(h.p50_ns), nanos(h.p99_ns)]),
        &[1, 2, 3],
    );
    text += &table(
        ["actor", "state", "restarts", "waiting"],
        status.actors.iter().map(|a| {
            let state = if a.up { "up" } else { "DOWN" };
            // Who is called within another actor's turn has no mailbox.
            let waiting = match a.mailbox_capacity {
                0 => "-".to_owned(),
                capacity => format!("{}/{capacity}", a.mailbox_depth),
            };
            [a.name.clone(), state.to_owned(), a.restarts.to_string(), waiting]
        }),
        &[2, 3],
    );
    for (name, address) in &status.addresses {
        let _ = write!(text, "\n{}: {}", plain(name), plain(address));
    }
    text.trim_end().to_owned()
}

/// A time in nanoseconds in the unit that fits.
fn nanos(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} ns"),
        1_000..1_000_000 => format!("{:.1} us", value as f64 / 1e3),
        _ => format!("{:.1} ms", value as f64 / 1e6),
    }
}

/// Seconds as days, hours, minutes and seconds.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if days == 0 { clock } else { format!("{days} d {clock}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_plane::{FeedView, HaltView, StrategyView};
    use std::collections::BTreeMap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, sync_channel};

    fn global() -> Global {
        use clap::Parser as _;
        crate::cli::Cli::parse_from(["steadfast", "--quiet", "status"]).global
    }

    /// A daemon that gives each caller the same answer and hands out what it was sent.
    fn daemon(status: &'static str, body: &'static str) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (got, requests) = sync_channel(100);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut piece = [0; 4_096];
                while !complete(&request) {
                    match stream.read(&mut piece).unwrap() {
                        0 => break,
                        length => request.push_str(std::str::from_utf8(&piece[..length]).unwrap()),
                    }
                }
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).unwrap();
                if got.send(request).is_err() {
                    return;
                }
            }
        });
        (endpoint, requests)
    }

    fn complete(request: &str) -> bool {
        let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        // A body without a length is chunked and ends with an empty chunk.
        let chunked = head.contains("transfer-encoding: chunked");
        if chunked { body.ends_with("0\r\n\r\n") } else { body.len() >= length.unwrap_or(0) }
    }

    fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    fn target(directory: &tempfile::TempDir, endpoint: String, with_token: bool) -> Target {
        let token = directory.path().join("control.token");
        if with_token {
            token::create_or_read(&token).unwrap();
        }
        Target { endpoint, socket: None, token, data_dir: directory.path().to_owned() }
    }

    fn why(reason: &str) -> ReasonArgs {
        ReasonArgs { reason: Some(reason.to_owned()) }
    }

    const DONE: &str = r#"{"trading":"halted","done":["cancelled 2 resting orders"]}"#;

    #[test]
    fn act_is_asked_for_with_token_reason_and_content_type() {
        let directory = tempfile::tempdir().unwrap();
        let (endpoint, requests) = daemon("200 OK", DONE);
        let target = target(&directory, endpoint, true);
        halt(&global(), &why("going to bed"), &target).unwrap();
        let request = requests.recv().unwrap();
        assert!(request.starts_with("POST /api/v1/halt HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/json"));
        let token = token::read(&target.token).unwrap();
        assert!(request.contains(&format!("authorization: Bearer {}", token.expose())));
        assert!(request.contains(r#"{"reason":"going to bed"}"#));
        assert!(!directory.path().join("halt.json").exists(), "the daemon keeps the flag itself");
    }

    #[test]
    fn halt_without_a_daemon_writes_the_flag_with_or_without_a_token() {
        for with_token in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let target = target(&directory, nobody(), with_token);
            halt(&global(), &why("storm"), &target).unwrap();
            let record = HaltFlag::new(directory.path().join("halt.json")).load().unwrap().unwrap();
            assert_eq!((record.reason, record.note.as_str()), (HaltReason::Operator, "storm"));
        }
    }

    #[test]
    fn silent_daemon_that_holds_the_directory_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let held = std::fs::File::create(directory.path().join("lock")).unwrap();
        held.try_lock().unwrap();
        let trouble = halt(&global(), &why("storm"), &target(&directory, nobody(), true)).unwrap_err();
        assert_eq!(trouble.exit, Exit::NotReachable);
        assert!(directory.path().join("halt.json").exists());
    }

    #[test]
    fn halt_refused_by_a_daemon_is_not_taken_for_done() {
        let directory = tempfile::tempdir().unwrap();
        let problem = r#"{"type":"t","title":"unauthorized","status":401,"detail":"wrong","code":"token_wrong"}"#;
        let (endpoint, _requests) = daemon("401 Unauthorized", problem);
        let trouble = halt(&global(), &why("storm"), &target(&directory, endpoint, true)).unwrap_err();
        assert_eq!(trouble.exit, Exit::Key);
        assert!(!directory.path().join("halt.json").exists());
    }

    #[test]
    fn each_failure_has_its_exit_code() {
        let directory = tempfile::tempdir().unwrap();
        let fails = |endpoint: String| pause(&global(), &why("x"), &target(&directory, endpoint, true)).unwrap_err();
        assert_eq!(fails(nobody()).exit, Exit::NotReachable);
        assert_eq!(fails("http://example.test".to_owned()).exit, Exit::NotReachable);
        let refused = r#"{"type":"t","title":"trading is not halted","status":409,"detail":"nothing to lift","code":"not_halted"}"#;
        let (endpoint, _requests) = daemon("409 Conflict", refused);
        let trouble = fails(endpoint);
        assert_eq!(trouble.to_string(), "error: trading is not halted\n  try: nothing to lift");
        assert_eq!(trouble.exit, Exit::Refused);
        let (endpoint, _requests) = daemon("200 OK", "<html>");
        assert_eq!(fails(endpoint).exit, Exit::Failure);
        let (endpoint, _requests) = daemon("302 Found\r\nLocation: http://127.0.0.1:9/", "");
        assert_eq!(fails(endpoint).exit, Exit::Failure, "a redirect is not followed");
        let empty = tempfile::tempdir().unwrap();
        let none = resume(&global(), &why("x"), &target(&empty, nobody(), false)).unwrap_err();
        assert_eq!(none.exit, Exit::NotReachable);
    }

    fn view() -> Status {
        Status {
            mode: "sim".to_owned(),
            version: "0.1.0".to_owned(),
            time: jiff::Timestamp::UNIX_EPOCH,
            uptime_seconds: 90_061,
            trading: TradingState::Halted,
            since: jiff::Timestamp::UNIX_EPOCH,
            halt: Some(HaltView {
                reason: "operator".to_owned(),
                explain: "halted by an operator".to_owned(),
                note: "bed\u{1b}[31m".to_owned(),
            }),
            not_ready: Vec::new(),
            quote: "USDT".to_owned(),
            equity: Some("100000.10".parse().unwrap()),
            day_pnl: "-0.5".parse().unwrap(),
            fees: "0.25".parse().unwrap(),
            open_orders: 0,
            unknown_orders: 1,
            strategies: BTreeMap::from([("grid".to_owned(), StrategyView { orders: 12, ..StrategyView::default() })]),
            feeds: vec![FeedView {
                venue: "bitget-main".to_owned(),
                channel: "books".to_owned(),
                instrument: Some("BTCUSDT".to_owned()),
                valid: false,
                age_ms: None,
            }],
            keys: Vec::new(),
            clocks: Vec::new(),
            hops: BTreeMap::new(),
            actors: Vec::new(),
            addresses: BTreeMap::from([("dashboard".to_owned(), "http://127.0.0.1:7447/".to_owned())]),
        }
    }

    #[test]
    fn status_says_the_state_what_to_do_and_nothing_that_a_terminal_acts_on() {
        let text = render(&view(), &[]);
        assert!(
            text.starts_with(
                "steadfast 0.1.0  mode SIM  trading is HALTED since 1970-01-01 00:00:00 UTC  up 1 d 01:01:01\n"
            ),
            "{text}"
        );
        assert!(text.contains("halted by an operator (bed\u{fffd}[31m); lift it with: steadfast unhalt"));
        assert!(text.contains("equity 100000.10 USDT  today -0.5  fees 0.25  open orders 0  unknown 1"));
        let unknown = render(&Status { equity: None, ..view() }, &[]);
        assert!(unknown.contains("equity - USDT"), "{unknown}");
        assert!(text.contains("DOWN") && text.contains("dashboard: http://127.0.0.1:7447/"));
        assert!(!text.contains("position"), "empty tables are left out");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn status_reads_what_the_daemon_serves() {
        let directory = tempfile::tempdir().unwrap();
        let (endpoint, requests) = daemon("200 OK", "[]");
        let trouble = status(&global(), &StatusArgs { watch: false }, &target(&directory, endpoint, true)).unwrap_err();
        assert!(trouble.to_string().contains("is not understood"), "{trouble}");
        assert!(requests.recv().unwrap().starts_with("GET /api/v1/status "));
        assert!(requests.recv().unwrap().starts_with("GET /api/v1/positions "));
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        assert_eq!([nanos(999), nanos(1_500), nanos(2_500_000)], ["999 ns", "1.5 us", "2.5 ms"]);
        assert_eq!([span(59), span(3_661), span(86_400)], ["00:00:59", "01:01:01", "1 d 00:00:00"]);
    }
}
