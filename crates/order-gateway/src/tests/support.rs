//! A venue on loopback that does what a test says, and a gateway in front of it.

use crate::actor::Engine;
use crate::core::Queued;
use crate::departure::Departure;
use crate::{Doorbell, GatewayHandle, LinkCodecs, LinkConfig, Outlets, Recorder, WireLog, WireLogBounds};
use clock::SystemClock;
use domain::{
    ClientOrderId, Clock, Epoch, InstanceTag, MonoNanos, Scaled, Sequence, Side, StrategyTag, Symbol, TimeInForce,
    UnixNanos, VenueId, VenueOrderId,
};
use hot_actor::{OutboxSender, outbox};
use messages::{
    Control, PlaceOrder, QueryAnswer, QueryId, ReportBody, SignIntent, SignQuery, VenueError, VenueErrorClass,
    VenueReason,
};
use signing::Route;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use venue_api::{
    ActAnswer, FrameError, ListedInstrument, Method, PrivateCodec, PrivateFrame, PublicAnswerError, PublicRestCodec,
    RestCodec,
};

pub(super) const VENUE: VenueId = VenueId(0);
/// Longest wait for something that must happen; far above what it takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn id(sequence: u64) -> ClientOrderId {
    ClientOrderId::new(InstanceTag::from_number(7), Epoch::new(3).unwrap(), Sequence::new(sequence).unwrap())
}

pub(super) fn symbol() -> Symbol {
    Symbol::from("BTCUSDT").unwrap()
}

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A request as the order path hands it over, without a signer.
pub(super) struct Parcel {
    intent: SignIntent,
    route: Route,
    method: Method,
    target: String,
    body: String,
    signed: MonoNanos,
    pub(super) send_by: MonoNanos,
}

impl Queued for Parcel {
    fn intent(&self) -> &SignIntent {
        &self.intent
    }
    fn send_by(&self) -> MonoNanos {
        self.send_by
    }
}

impl Departure for Parcel {
    fn venue(&self) -> VenueId {
        VENUE
    }
    fn route(&self) -> Route {
        self.route
    }
    fn strategy(&self) -> StrategyTag {
        StrategyTag(4)
    }
    fn version(&self) -> u32 {
        2
    }
    fn signed(&self) -> MonoNanos {
        self.signed
    }
    fn method(&self) -> Method {
        self.method
    }
    fn target(&self) -> &str {
        &self.target
    }
    fn headers(&self) -> Vec<(&str, &str)> {
        vec![("ACCESS-KEY", "bg_invented"), ("Content-Type", "application/json")]
    }
    fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }
}

fn parcel(clock: &dyn Clock, intent: SignIntent, route: Route, method: Method, target: &str, body: &str) -> Parcel {
    let signed = clock.mono();
    let send_by = signed.after(Duration::from_secs(30));
    Parcel { intent, route, method, target: target.to_owned(), body: body.to_owned(), signed, send_by }
}

pub(super) fn place(clock: &dyn Clock, sequence: u64) -> Parcel {
    let order = PlaceOrder {
        id: id(sequence),
        symbol: symbol(),
        side: Side::Buy,
        price: Scaled { mantissa: 6_000_000, decimals: 2 },
        qty: Scaled { mantissa: 1_000, decimals: 6 },
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    };
    let body = format!("{{\"n\":{sequence}}}");
    parcel(
        clock,
        SignIntent::Place(order),
        Route::Order(id(sequence)),
        Method::Post,
        &format!("/place/{sequence}"),
        &body,
    )
}

pub(super) fn cancel(clock: &dyn Clock, sequence: u64) -> Parcel {
    let intent = SignIntent::Cancel { symbol: symbol(), id: id(sequence), venue_order_id: None };
    parcel(clock, intent, Route::Order(id(sequence)), Method::Post, &format!("/cancel/{sequence}"), "{}")
}

pub(super) fn query(clock: &dyn Clock, purpose: messages::QueryPurpose, number: u64) -> Parcel {
    parcel(clock, SignIntent::Balances, Route::Query(QueryId(number), purpose), Method::Get, "/balances?x=1", "")
}

pub(super) fn login(clock: &dyn Clock, query: QueryId) -> Parcel {
    let route = Route::Query(query, messages::QueryPurpose::Stream);
    parcel(clock, SignIntent::StreamLogin, route, Method::Frame, "", &format!("login {}", query.0))
}

/// Reads bodies of one word.
pub(super) struct WordCodec;

impl RestCodec for WordCodec {
    fn act_answer(&self, _: &SignIntent, status: u16, body: &[u8]) -> ActAnswer {
        match (status, body) {
            (200, b"ok") => ActAnswer::Accepted(VenueOrderId::from("77").unwrap()),
            (_, b"no") => ActAnswer::Failed(self.classify(status, "43012", "")),
            _ => ActAnswer::Unclear,
        }
    }
    fn query_answer(&self, _: &SignIntent, _: u16, _: &[u8]) -> QueryAnswer {
        QueryAnswer::Balances(Vec::new())
    }
    fn classify(&self, _: u16, code: &str, _: &str) -> VenueError {
        VenueError {
            code: arrayvec::ArrayString::from(code).unwrap(),
            class: VenueErrorClass::Refused,
            reason: VenueReason::Balance,
            text: arrayvec::ArrayString::new(),
        }
    }
}

impl PublicRestCodec for WordCodec {
    fn server_time_target(&self) -> &str {
        "/time"
    }
    fn server_time(&self, status: u16, body: &[u8]) -> Result<UnixNanos, PublicAnswerError> {
        let unreadable = || PublicAnswerError { detail: "not a number".to_owned() };
        if status != 200 {
            return Err(unreadable());
        }
        std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).map(UnixNanos).ok_or_else(unreadable)
    }
    fn instruments_targets(&self) -> &'static [&'static str] {
        &["/instruments"]
    }
    fn instruments(&self, status: u16, body: &[u8]) -> Result<Vec<ListedInstrument>, PublicAnswerError> {
        if status == 200 && body == b"[]" {
            Ok(Vec::new())
        } else {
            Err(PublicAnswerError { detail: "no list".to_owned() })
        }
    }
}

impl PrivateCodec for WordCodec {
    fn subscribe(&self, symbols: &[Symbol]) -> Vec<String> {
        symbols.iter().map(|symbol| format!("subscribe {symbol}")).collect()
    }
    fn channels(&self, _symbols: &[Symbol]) -> &'static [&'static str] {
        &["orders", "fill"]
    }
    fn ping(&self) -> (&'static str, Duration) {
        ("ping", Duration::from_secs(20))
    }
    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError> {
        Ok(match frame {
            b"welcome" => PrivateFrame::LoggedIn,
            b"go away" => PrivateFrame::LoginFailed(self.classify(200, "30005", "")),
            b"ack orders" => PrivateFrame::Subscribed("orders"),
            b"ack fill" => PrivateFrame::Subscribed("fill"),
            b"push" => PrivateFrame::Reports(vec![ReportBody::CancelAllDone { symbol: symbol(), accepted: true }]),
            b"broken" => return Err(FrameError("push")),
            _ => PrivateFrame::Ignored,
        })
    }
}

pub(super) fn codecs() -> LinkCodecs {
    LinkCodecs { rest: Arc::new(WordCodec), private: Arc::new(WordCodec), public: Arc::new(WordCodec) }
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// What the venue does with a request.
pub(super) enum Action {
    Answer(u16, &'static str),
    AnswerAndClose(u16, &'static str),
    AnswerWith(u16, &'static str, &'static str),
    AnswerAfter(Arc<Notify>, u16, &'static str),
    CloseUnanswered,
    NeverAnswer,
}

type Script = Arc<dyn Fn(&Seen) -> Action + Send + Sync>;

/// A venue on loopback.
pub(super) struct FakeVenue {
    pub(super) base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    news: Arc<Notify>,
}

impl FakeVenue {
    /// Begins to listen; requests for the time are answered with the machine's and not recorded.
    pub(super) async fn start(script: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, news) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let script: Script = Arc::new(script);
        let (their_seen, their_news) = (Arc::clone(&seen), Arc::clone(&news));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&script), Arc::clone(&their_seen), Arc::clone(&their_news)));
            }
        });
        Self { base_url, seen, news }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.target).collect()
    }

    /// Waits until a request for `target` has arrived.
    pub(super) async fn has_seen(&self, target: &str) {
        tokio::time::timeout(DEADLINE, async {
            loop {
                let more = self.news.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if self.targets().iter().any(|seen| seen == target) {
                    return;
                }
                more.await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{target} never arrived: {:?}", self.targets()));
    }
}

async fn serve(mut socket: TcpStream, script: Script, seen: Arc<Mutex<Vec<Seen>>>, news: Arc<Notify>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut buffer).await {
        if request.target == "/time" {
            let body = SystemClock.unix().0.to_string();
            respond(&mut socket, 200, "", &body).await;
            continue;
        }
        seen.lock().unwrap().push(request.clone());
        let action = script(&request);
        news.notify_waiters();
        match action {
            Action::Answer(status, body) => respond(&mut socket, status, "", body).await,
            Action::AnswerWith(status, header, body) => respond(&mut socket, status, header, body).await,
            Action::AnswerAfter(go, status, body) => {
                go.notified().await;
                respond(&mut socket, status, "", body).await;
            }
            Action::AnswerAndClose(status, body) => {
                respond(&mut socket, status, "", body).await;
                return;
            }
            Action::CloseUnanswered => return,
            Action::NeverAnswer => std::future::pending().await,
        }
    }
}

async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let mut lines = head.split("\r\n");
            let mut first = lines.next().unwrap().split(' ');
            let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
            let headers: Vec<(String, String)> =
                lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
            let length: usize = headers
                .iter()
                .find(|(name, _)| name == "content-length")
                .map_or(0, |(_, value)| value.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                buffer.drain(..end + 4 + length);
                return Some(Seen { method, target, headers, body });
            }
        }
        let mut chunk = [0; 4096];
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

async fn respond(socket: &mut TcpStream, status: u16, header: &str, body: &str) {
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n{body}", body.len());
    let _ = socket.write_all(text.as_bytes()).await;
}

/// A gateway and everything it says.
pub(super) struct Rig {
    pub(super) outbox: OutboxSender<Parcel>,
    pub(super) handle: GatewayHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reports: mpsc::Receiver<ReportBody>,
    pub(super) controls: mpsc::Receiver<Control>,
    pub(super) verified: mpsc::Receiver<(QueryId, QueryAnswer)>,
    pub(super) asked: mpsc::Receiver<SignQuery>,
    pub(super) refused_logins: mpsc::Receiver<VenueError>,
    pub(super) died: Arc<Notify>,
}

impl Rig {
    pub(super) fn start(base_url: &str, recorder: Box<dyn Recorder>, adjust: impl FnOnce(&mut LinkConfig)) -> Self {
        let clock = clock();
        let bell = Doorbell::new();
        let (sender, receiver) = outbox(64, bell.wake());
        let (report, reports) = mpsc::channel(256);
        let (control, controls) = mpsc::channel(256);
        let (verify, verified) = mpsc::channel(256);
        let (ask, asked) = mpsc::channel(256);
        let (login_failed, refused_logins) = mpsc::channel(256);
        let died = Arc::new(Notify::new());
        let death = Arc::clone(&died);
        let outlets = Outlets {
            report: Arc::new(move |message| report.try_send(message.body).expect("room for every report")),
            control: Arc::new(move |message| control.try_send(message).expect("room")),
            verify: Arc::new(move |_, _, query, answer| verify.try_send((query, answer)).expect("room")),
            ask: Arc::new(move |query| ask.try_send(query).is_ok()),
            login_failed: Arc::new(move |_, error| login_failed.try_send(error).expect("room")),
            died: Arc::new(move || death.notify_one()),
        };
        let mut link = LinkConfig::new(VENUE, "fake", base_url, codecs());
        link.plaintext = net::Plaintext::Loopback;
        link.symbols = vec![symbol()];
        adjust(&mut link);
        let handle = Engine::start(vec![link], receiver, bell, recorder, outlets, Arc::clone(&clock)).unwrap();
        Self { outbox: sender, handle, clock, reports, controls, verified, asked, refused_logins, died }
    }

    pub(super) fn push(&self, parcel: Parcel) {
        assert!(self.outbox.push_or_refuse(parcel).is_ok());
    }

    pub(super) async fn report(&mut self) -> ReportBody {
        next(&mut self.reports).await
    }

    /// The next control message that is not a clock measurement.
    pub(super) async fn control(&mut self) -> Control {
        loop {
            match next(&mut self.controls).await {
                Control::ClockMeasured { .. } => {}
                other => return other,
            }
        }
    }
}

pub(super) async fn next<T>(receiver: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(DEADLINE, receiver.recv()).await.expect("in time").expect("the gateway lives")
}

pub(super) fn wire_log(dir: &Path) -> Box<dyn Recorder> {
    Box::new(WireLog::open(dir, WireLogBounds::default()).unwrap())
}

/// Runs a test on a thread that may spawn local tasks, as an Arbiter does.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    net::install_tls_provider();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

pub(super) fn place_verb_sent(report: &ReportBody, sequence: u64) -> bool {
    matches!(report, ReportBody::Sent { id: sent, at: MonoNanos(at), .. } if *sent == id(sequence) && *at > 0)
}
