//! A server on loopback with a backend that remembers what it was asked to do, and a client that sends exact bytes.

use access::{ApiKeys, NewApiKey, Scopes, StepUp, StepUpRefusal, TotpRecord};
use clock::ManualClock;
use control_plane::{
    AccessSetup, Act, ActDone, ActRefused, ActVerb, Backend, BalanceView, BookView, ControlPlane, EquityPoint,
    FillView, KeyDetail, KeyDone, KeyWish, LevelView, OrderView, Page, PositionView, SealingKeyView, Setup, Status,
    StrategyView, Tls, Token, start, token,
};
use domain::Clock as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use messages::{NotReadyReason, TradingState};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Text that would be dangerous if it were read as markup.
pub(crate) const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) acts: Mutex<Vec<Act>>,
    pub(crate) wishes: Mutex<Vec<KeyWish>>,
    pub(crate) reasons: Mutex<Vec<NotReadyReason>>,
    pub(crate) asked: Mutex<Vec<(Option<u64>, usize)>>,
    pub(crate) refused: Mutex<Vec<(&'static str, String)>>,
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

impl Backend for Fake {
    fn authentication_refused(&self, kind: &'static str, source: &str) {
        self.refused.lock().unwrap().push((kind, source.to_owned()));
    }

    fn status(&self) -> Status {
        let now = Timestamp::from_millisecond(1_790_000_000_123).unwrap();
        Status {
            mode: "sim".to_owned(),
            version: "0.1.0".to_owned(),
            time: now,
            uptime_seconds: 61,
            trading: TradingState::Active,
            since: now,
            halt: None,
            not_ready: self.ready().into_iter().map(Into::into).collect(),
            quote: "USDT".to_owned(),
            equity: Some(decimal("100000.10")),
            day_pnl: decimal("-0.5"),
            fees: decimal("0.25"),
            open_orders: 1,
            unknown_orders: 0,
            strategies: BTreeMap::from([("grid".to_owned(), StrategyView { orders: 3, ..StrategyView::default() })]),
            feeds: Vec::new(),
            keys: Vec::new(),
            clocks: Vec::new(),
            hops: BTreeMap::new(),
            actors: Vec::new(),
            addresses: BTreeMap::new(),
        }
    }

    fn orders(&self, cursor: Option<u64>, limit: usize) -> Page<OrderView> {
        self.asked.lock().unwrap().push((cursor, limit));
        let order = OrderView {
            client_order_id: "s0000000000000001".to_owned(),
            venue_order_id: None,
            venue: "bitget-main".to_owned(),
            instrument: HOSTILE.to_owned(),
            strategy: "grid".to_owned(),
            side: "buy".to_owned(),
            price: decimal("64000.50"),
            quantity: decimal("0.0010"),
            filled: Decimal::ZERO,
            state: "acked".to_owned(),
            open: true,
            note: Some(HOSTILE.to_owned()),
            created: Timestamp::UNIX_EPOCH,
        };
        Page { items: vec![order], next: Some(7) }
    }

    fn fills(&self, _cursor: Option<u64>, _limit: usize) -> Page<FillView> {
        Page { items: Vec::new(), next: None }
    }

    fn positions(&self) -> Vec<PositionView> {
        vec![PositionView {
            venue: "bitget-main".to_owned(),
            instrument: "BTCUSDT".to_owned(),
            strategy: "grid".to_owned(),
            quantity: decimal("0.001"),
            entry: Some(decimal("64000")),
            mark: None,
            unrealised: None,
            realised: Decimal::ZERO,
            futures: None,
        }]
    }

    fn balances(&self) -> Vec<BalanceView> {
        Vec::new()
    }

    fn equity(&self) -> Vec<EquityPoint> {
        (0..5_000).map(|time_ms| EquityPoint { time_ms, equity: decimal("1.50") }).collect()
    }

    fn book(&self) -> Vec<BookView> {
        let level = LevelView { price: decimal("64000.1"), quantity: decimal("1.5") };
        vec![BookView {
            venue: "bitget-main".to_owned(),
            instrument: "BTCUSDT".to_owned(),
            valid: true,
            bids: vec![level],
            asks: Vec::new(),
            age_ms: Some(3),
        }]
    }

    fn ready(&self) -> Vec<NotReadyReason> {
        self.reasons.lock().unwrap().clone()
    }

    fn act(&self, act: &Act) -> Result<ActDone, ActRefused> {
        self.acts.lock().unwrap().push(act.clone());
        match act.verb {
            ActVerb::Unhalt => Err(ActRefused {
                code: "not_halted",
                why: "trading is not halted".to_owned(),
                fix: "nothing is to be lifted".to_owned(),
            }),
            ActVerb::Halt => {
                Ok(ActDone { trading: TradingState::Halted, done: vec!["cancelled 1 resting order".to_owned()] })
            }
            _ => Ok(ActDone { trading: TradingState::Active, done: Vec::new() }),
        }
    }

    fn keys(&self) -> Result<Vec<KeyDetail>, ActRefused> {
        Ok(Vec::new())
    }

    fn sealing_key(&self) -> Result<SealingKeyView, ActRefused> {
        Ok(SealingKeyView { key: "00".to_owned(), boot: "11".to_owned() })
    }

    fn key_act(&self, wish: &KeyWish) -> Result<KeyDone, ActRefused> {
        if wish.alias.as_str() == "nobody" {
            let (why, fix) = ("there is no such key".to_owned(), "look at the list".to_owned());
            return Err(ActRefused { code: "no_such_key", why, fix });
        }
        self.wishes.lock().unwrap().push(wish.clone());
        Ok(KeyDone { status: "Active".to_owned(), done: Vec::new() })
    }
}

/// The program's one recorder.
pub(crate) fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let mut builder = PrometheusBuilder::new();
            for (name, edges) in telemetry::buckets() {
                let matcher = metrics_exporter_prometheus::Matcher::Full(name.to_owned());
                builder = builder.set_buckets_for_metric(matcher, edges).unwrap();
            }
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).unwrap();
            telemetry::describe_all();
            telemetry::start_at_zero();
            handle
        })
        .clone()
}

/// One-time codes as they are kept: the record's bytes on disk, read and written at each use.
pub(crate) struct Codes {
    path: PathBuf,
    clock: Arc<ManualClock>,
}

impl Codes {
    pub(crate) fn new(directory: &Path, clock: Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self { path: directory.join("codes"), clock })
    }

    fn unix(&self) -> u64 {
        self.clock.unix().0 / 1_000_000_000
    }

    fn record(&self) -> Option<TotpRecord> {
        let bytes = std::fs::read(&self.path).ok()?;
        TotpRecord::from_secret_bytes(&secrets::SecretBytes::from_slice(&bytes).unwrap()).ok()
    }

    /// Sets codes up and gives the recovery codes.
    pub(crate) fn enroll(&self) -> access::RecoveryCodes {
        let enrolled = TotpRecord::enroll(self.unix()).unwrap();
        std::fs::write(&self.path, enrolled.record.to_secret_bytes().unwrap().expose()).unwrap();
        enrolled.recovery
    }

    /// The code that an authenticator shows now, computed from the address that it was given.
    pub(crate) fn code(&self) -> String {
        let uri = self.record().unwrap().provisioning_uri("test");
        let seed = uri.split_once("secret=").unwrap().1.split_once('&').unwrap().0;
        let seed = data_encoding::BASE32_NOPAD.decode(seed.as_bytes()).unwrap();
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&seed).unwrap();
        mac.update(&(self.unix() / 30).to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let offset = usize::from(digest[19] & 15);
        let word = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", word % 1_000_000)
    }
}

impl StepUp for Codes {
    fn enrolled(&self) -> bool {
        self.path.exists()
    }

    fn verify(&self, code: &str, _purpose: &str) -> Result<(), StepUpRefusal> {
        let mut record = self.record().ok_or(StepUpRefusal::NotEnrolled)?;
        let result = record.step_up(code, self.unix());
        std::fs::write(&self.path, record.to_secret_bytes().unwrap().expose()).unwrap();
        result
    }
}

pub(crate) struct Server {
    pub(crate) fake: Arc<Fake>,
    pub(crate) token: Token,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keys: Arc<Mutex<ApiKeys>>,
    pub(crate) codes: Arc<Codes>,
    pub(crate) socket: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) plane: Option<ControlPlane>,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn server() -> Server {
    server_with(Vec::new(), None)
}

pub(crate) fn server_with(hosts: Vec<String>, tls: Option<Tls>) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let token = token::create_or_read(&directory.path().join("control.token")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fake = Arc::new(Fake::default());
    let clock = Arc::new(ManualClock::default());
    clock.advance(Duration::from_secs(1_000_000));
    let keys = Arc::new(Mutex::new(ApiKeys::open(&directory.path().join(ApiKeys::FILE)).unwrap()));
    let codes = Codes::new(directory.path(), clock.clone());
    let socket = directory.path().join("control.sock");
    let access = AccessSetup { keys: keys.clone(), step_up: codes.clone(), hosts, tls };
    let setup = Setup { socket: Some(socket.clone()), metrics: Some(recorder()), clock: clock.clone(), access };
    let plane = start(&listener, &token, setup, fake.clone()).unwrap();
    let address = plane.address();
    Server { fake, token, clock, keys, codes, socket, address, plane: Some(plane), directory }
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn has_header(&self, line: &str) -> bool {
        self.head.to_lowercase().lines().any(|have| have.starts_with(&line.to_lowercase()))
    }
}

/// Sends exact bytes and reads until the other side closes.
pub(crate) fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> Answer {
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap_or("");
    }
    text
}

impl Server {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// What a server on another listener needs to be like this one.
    pub(crate) fn access(&self) -> AccessSetup {
        AccessSetup { keys: self.keys.clone(), step_up: self.codes.clone(), hosts: Vec::new(), tls: None }
    }

    /// A new API key's header.
    pub(crate) fn key(&self, name: &str, scopes: Scopes, from: &[&str]) -> (String, String) {
        let from = from.iter().map(|range| range.parse().unwrap()).collect();
        let new = NewApiKey { name: name.to_owned(), scopes, from, days: 1 };
        let now = self.clock.unix().0 / 1_000_000_000;
        let (_, text) = self.keys.lock().unwrap().add(new, now).unwrap();
        ("Authorization".to_owned(), format!("Bearer {}", &*text))
    }

    pub(crate) fn bearer(&self) -> (String, String) {
        ("Authorization".to_owned(), format!("Bearer {}", self.token.expose()))
    }

    /// A request with these headers beside a good `Host`.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(String, String)], body: &str) -> Answer {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        exchange(self.connect(), format!("{text}\r\n{body}").as_bytes())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[self.bearer()], "")
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Answer {
        self.send("POST", target, &[self.bearer(), json()], body)
    }

    pub(crate) fn acts(&self) -> Vec<Act> {
        self.fake.acts.lock().unwrap().clone()
    }
}

pub(crate) fn json() -> (String, String) {
    ("Content-Type".to_owned(), "application/json".to_owned())
}

pub(crate) fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
