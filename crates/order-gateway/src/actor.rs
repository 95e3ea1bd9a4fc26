//! The shell of the gateway: outbox in; wire record, socket, reports out.

use crate::answers::{Ticket, Told, Waits, answered, failed, not_sent};
use crate::core::{Dispatch, Limits};
use crate::departure::Departure;
use crate::stream::{PrivateStream, StreamParts};
use crate::venue_time::{TimeSource, keep_venue_time};
use crate::wire_file::Recorder;
use crate::wire_log::{WireLogError, WireRecord};
use domain::{Clock, MonoNanos, Symbol, VenueId};
use fail_point::{FailPoint, pass};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use hot_actor::{OutboxReceiver, Wake};
use messages::{
    Control, EndpointGroup, QueryAnswer, QueryId, QueryPurpose, ReportBody, SignQuery, VenueError, VenueReport, Verb,
};
use net::{
    AddressError, FirstByte, HttpAnswer, HttpClient, HttpConfig, HttpFailure, HttpMethod, HttpRequest, Plaintext,
};
use signing::{Outbound, Route};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use telemetry::{Actor, Hop};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use venue_api::{Method, PrivateCodec, PublicRestCodec, RestCodec, VenueCodecs};

/// Where the gateway's news go. Called on the gateway's thread.
#[derive(Clone)]
pub struct Outlets {
    /// To the order path's urgent lane; waits while it is full, and so the sockets are not read.
    pub report: Arc<dyn Fn(VenueReport) + Send + Sync>,
    /// Venue time, private stream and wire log, to the order path's urgent lane.
    pub control: Arc<dyn Fn(Control) + Send + Sync>,
    /// Answers to the key manager's questions, with what each was for.
    pub verify: Arc<dyn Fn(VenueId, QueryPurpose, QueryId, QueryAnswer) + Send + Sync>,
    /// Asks the order path for a signature; false: no room now, it is asked for again.
    pub ask: Arc<dyn Fn(SignQuery) -> bool + Send + Sync>,
    /// The venue refused a log-in to the private stream.
    pub login_failed: Arc<dyn Fn(VenueId, VenueError) + Send + Sync>,
    /// The gateway has died; the emergency thread must take over.
    pub died: Arc<dyn Fn() + Send + Sync>,
}

/// The codecs of one venue that the gateway uses.
#[derive(Clone)]
pub struct LinkCodecs {
    /// Reads answers.
    pub rest: Arc<dyn RestCodec>,
    /// Speaks the private stream.
    pub private: Arc<dyn PrivateCodec>,
    /// Reads the server time.
    pub public: Arc<dyn PublicRestCodec>,
}

impl From<&VenueCodecs> for LinkCodecs {
    fn from(codecs: &VenueCodecs) -> Self {
        Self {
            rest: Arc::clone(&codecs.rest),
            private: Arc::clone(&codecs.private),
            public: Arc::clone(&codecs.public),
        }
    }
}

/// One venue account.
#[derive(Clone)]
pub struct LinkConfig {
    /// Its number.
    pub venue: VenueId,
    /// Its name in metrics and logs.
    pub name: String,
    /// REST base URL, without a trailing slash.
    pub rest: String,
    /// Private stream URL; `None`: no private stream, as for verifying a key.
    pub ws_private: Option<String>,
    /// The venue account whose private stream this is, where it is logged in with another key than that account's:
    /// this link's own account is then the place of that key.
    pub speaks_for: Option<VenueId>,
    /// Whether plain text to loopback is allowed.
    pub plaintext: Plaintext,
    /// The instruments to follow on the private stream.
    pub symbols: Vec<Symbol>,
    /// Bounds of what is under way.
    pub limits: Limits,
    /// Longest wait for a connection.
    pub connect_patience: Duration,
    /// Longest wait for a whole answer.
    pub answer_patience: Duration,
    /// Its codecs.
    pub codecs: LinkCodecs,
}

impl LinkConfig {
    /// The usual bounds for the venue at these addresses.
    #[must_use]
    pub fn new(venue: VenueId, name: impl Into<String>, rest: impl Into<String>, codecs: LinkCodecs) -> Self {
        let usual = HttpConfig::default();
        Self {
            venue,
            name: name.into(),
            rest: rest.into(),
            ws_private: None,
            speaks_for: None,
            plaintext: Plaintext::Never,
            symbols: Vec::new(),
            limits: Limits::default(),
            connect_patience: usual.connect_patience,
            answer_patience: usual.answer_patience,
            codecs,
        }
    }
}

/// Why a gateway could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// HTTP could not be set up.
    #[error(transparent)]
    Http(#[from] net::HttpSetupError),
    /// An address may not be spoken to.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// Rung by the order path's outbox, listened to by the gateway.
#[derive(Clone, Default)]
pub struct Doorbell(Arc<Notify>);

impl Doorbell {
    /// A bell that nobody has rung.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the outbox calls to wake the gateway; never waits.
    #[must_use]
    pub fn wake(&self) -> Wake {
        let bell = Arc::clone(&self.0);
        Arc::new(move || bell.notify_one())
    }
}

/// The hold on a running gateway, from any thread. When the last clone is dropped the gateway ends as if asked to.
#[derive(Clone)]
pub struct GatewayHandle {
    stop: Arc<watch::Sender<bool>>,
    ended: watch::Receiver<bool>,
    renewals: Renewals,
}

/// Makes private streams log in again. Does not keep the gateway alive.
#[derive(Clone, Default)]
pub struct Renewals(Arc<BTreeMap<VenueId, Arc<Notify>>>);

impl Renewals {
    /// Lets a venue account's private stream log in with the key that is at work now, on a second connection; the
    /// first one stays up until the second is live.
    pub fn renew(&self, venue: VenueId) {
        if let Some(bell) = self.0.get(&venue) {
            bell.notify_one();
        }
    }
}

impl GatewayHandle {
    /// Makes private streams log in again.
    #[must_use]
    pub fn renewals(&self) -> Renewals {
        self.renewals.clone()
    }

    /// Asks it to end: what is in the outbox is still sent, what is under way is waited for.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Completes when it has ended, by request or by dying.
    pub async fn ended(&self) {
        // An error means that the gateway is gone, which is what is waited for.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

struct Link<D> {
    config: LinkConfig,
    http: HttpClient,
    dispatch: Dispatch<D>,
    waits: Waits,
    /// Brings signed log-in frames to the private stream.
    logins: Option<mpsc::Sender<D>>,
    renew: Arc<Notify>,
}

/// A request that has come back.
struct Flown {
    venue: VenueId,
    ticket: Ticket,
    result: Result<HttpAnswer, HttpFailure>,
    /// The first byte was told when it went.
    sent_told: bool,
}

/// The last place before the wire. Everything that leaves for a venue's signed endpoints passes here.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Starts a gateway on the present thread's runtime (an actix Arbiter, or a tokio `LocalSet`).
    ///
    /// # Errors
    /// [`GatewayError`] when HTTP cannot be set up or an address may not be spoken to; nothing runs then.
    pub fn start(
        links: Vec<LinkConfig>,
        outbox: OutboxReceiver<Outbound>,
        bell: Doorbell,
        recorder: Box<dyn Recorder>,
        outlets: Outlets,
        clock: Arc<dyn Clock>,
    ) -> Result<GatewayHandle, GatewayError> {
        Engine::start(links, outbox, bell, recorder, outlets, clock)
    }
}

/// A running gateway.
pub(crate) struct Engine<D> {
    outbox: OutboxReceiver<D>,
    bell: Doorbell,
    recorder: Box<dyn Recorder>,
    outlets: Outlets,
    clock: Arc<dyn Clock>,
    links: BTreeMap<VenueId, Link<D>>,
    flying: FuturesUnordered<LocalBoxFuture<'static, Flown>>,
    helpers: Vec<JoinHandle<()>>,
    wire_failed: bool,
}

/// Calls `died` unless the gateway ended by request.
struct DeathWatch {
    died: Arc<dyn Fn() + Send + Sync>,
    ended: watch::Sender<bool>,
    orderly: bool,
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        telemetry::actor_up(Actor::OrderGateway).set(0.0);
        if !self.orderly {
            (self.died)();
        }
        self.ended.send_replace(true);
    }
}

impl<D: Departure> Engine<D> {
    /// Signed log-in frames that may wait for a stream; it asks for one at a time.
    const LOGINS_MAX: usize = 4;

    /// See [`Gateway::start`].
    pub(crate) fn start(
        links: Vec<LinkConfig>,
        outbox: OutboxReceiver<D>,
        bell: Doorbell,
        recorder: Box<dyn Recorder>,
        outlets: Outlets,
        clock: Arc<dyn Clock>,
    ) -> Result<GatewayHandle, GatewayError> {
        let mut gateway = Self {
            outbox,
            bell,
            recorder,
            outlets,
            clock,
            links: BTreeMap::new(),
            flying: FuturesUnordered::new(),
            helpers: Vec::new(),
            wire_failed: false,
        };
        for config in links {
            gateway.add_link(config)?;
        }
        let bells = gateway.links.iter().map(|(venue, link)| (*venue, Arc::clone(&link.renew)));
        let renewals = Renewals(Arc::new(bells.collect()));
        let (stop, stopped) = watch::channel(false);
        let (ended_sender, ended) = watch::channel(false);
        tokio::task::spawn_local(gateway.run(stopped, ended_sender));
        Ok(GatewayHandle { stop: Arc::new(stop), ended, renewals })
    }

    fn add_link(&mut self, config: LinkConfig) -> Result<(), GatewayError> {
        net::check_address(&config.rest, "https", "http", config.plaintext)?;
        let http_config = HttpConfig {
            plaintext: config.plaintext,
            connect_patience: config.connect_patience,
            answer_patience: config.answer_patience,
            idle_connections: config.limits.in_flight_max,
            ..HttpConfig::default()
        };
        let http = HttpClient::new(http_config, Arc::clone(&self.clock))?;
        let time = TimeSource {
            venue: config.venue,
            name: config.name.clone(),
            base_url: config.rest.clone(),
            http: http.clone(),
            codec: Arc::clone(&config.codecs.public),
            clock: Arc::clone(&self.clock),
        };
        let (mut logins, renew) = (None, Arc::new(Notify::new()));
        if let Some(url) = &config.ws_private {
            let parts = StreamParts {
                venue: config.speaks_for.unwrap_or(config.venue),
                login: config.venue,
                name: config.name.clone(),
                url: url.clone(),
                plaintext: config.plaintext,
                symbols: config.symbols.clone(),
                codec: Arc::clone(&config.codecs.private),
                clock: Arc::clone(&self.clock),
                outlets: self.outlets.clone(),
            };
            let (sender, receiver) = mpsc::channel(Self::LOGINS_MAX);
            self.helpers
                .push(tokio::task::spawn_local(PrivateStream::start(parts, receiver, Arc::clone(&renew))?.run()));
            logins = Some(sender);
        }
        self.helpers.push(tokio::task::spawn_local(keep_venue_time(time, Arc::clone(&self.outlets.control))));
        let dispatch = Dispatch::new(config.limits);
        self.links.insert(config.venue, Link { config, http, dispatch, waits: Waits::default(), logins, renew });
        Ok(())
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>, ended: watch::Sender<bool>) {
        let mut death = DeathWatch { died: Arc::clone(&self.outlets.died), ended, orderly: false };
        telemetry::actor_up(Actor::OrderGateway).set(1.0);
        if let Err(error) = self.recorder.prepare(self.clock.unix()) {
            self.wire_log_failed(&error);
        }
        let mut stopping = false;
        loop {
            fail_point::step("order-gateway");
            self.refuse_late();
            self.take_in();
            self.send_out();
            stopping |= *stop.borrow();
            if stopping && self.flying.is_empty() && self.outbox.depth() == 0 {
                break;
            }
            let expiry = self.time_to_expiry();
            tokio::select! {
                biased;
                Some(flown) = self.flying.next(), if !self.flying.is_empty() => self.came_back(&flown),
                () = self.bell.0.notified() => {}
                () = tokio::time::sleep(expiry.unwrap_or_default()), if expiry.is_some() => {}
                changed = stop.changed(), if !stopping => {
                    // Nobody holds the gateway any more: the same as being asked to end.
                    stopping = changed.is_err();
                }
                died = helper_ended(&mut self.helpers), if !self.helpers.is_empty() => {
                    tracing::error!(panicked = died, "a part of the gateway ended");
                    return;
                }
            }
        }
        for helper in &self.helpers {
            helper.abort();
        }
        death.orderly = true;
    }

    /// Takes requests from the outbox while there is room for them.
    fn take_in(&mut self) {
        telemetry::mailbox_depth(Actor::OrderGateway).set(self.outbox.depth() as f64);
        while self.links.values().all(|link| link.dispatch.has_room()) {
            let Some(departure) = self.outbox.pop() else { return };
            let Some(link) = self.links.get_mut(&departure.venue()) else {
                self.tell(departure.venue(), vec![not_sent(&Ticket::of(&departure))]);
                continue;
            };
            match (departure.route(), &link.logins) {
                (Route::Query(_, QueryPurpose::Stream), Some(logins)) => {
                    if logins.try_send(departure).is_err() {
                        tracing::warn!(venue = %link.config.name, "log-in frame dropped; asked for again");
                    }
                }
                (Route::Query(_, QueryPurpose::Stream), None) => {}
                _ => link.dispatch.offer(departure),
            }
        }
    }

    fn refuse_late(&mut self) {
        let now = self.clock.mono();
        let late: Vec<D> = self.links.values_mut().flat_map(|link| link.dispatch.expired(now)).collect();
        for departure in late {
            self.tell(departure.venue(), vec![not_sent(&Ticket::of(&departure))]);
        }
    }

    fn time_to_expiry(&self) -> Option<Duration> {
        let next = self.links.values().filter_map(|link| link.dispatch.next_expiry()).min()?;
        Some(next.since(self.clock.mono()))
    }

    fn send_out(&mut self) {
        let venues: Vec<VenueId> = self.links.keys().copied().collect();
        for venue in venues {
            while let Some(departure) = self.links.get_mut(&venue).and_then(|link| link.dispatch.next()) {
                let ticket = Ticket::of(&departure);
                if !self.send(departure) {
                    if let Some(link) = self.links.get_mut(&venue) {
                        link.dispatch.finished(&ticket.intent);
                    }
                    self.tell(venue, vec![not_sent(&ticket)]);
                }
            }
        }
    }

    /// Writes the wire record, then hands the request to the socket. False: it will not leave.
    fn send(&mut self, departure: D) -> bool {
        let ticket = Ticket::of(&departure);
        if self.clock.mono() >= departure.send_by() {
            return false;
        }
        let method = match departure.method() {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Delete => HttpMethod::Delete,
            Method::Frame => return false,
        };
        if !self.record(&departure) {
            return false;
        }
        let venue = departure.venue();
        let Some(link) = self.links.get(&venue) else { return false };
        let (http, url) = (link.http.clone(), format!("{}{}", link.config.rest, departure.target()));
        let told = Arc::new(AtomicBool::new(false));
        let on_first_byte = self.first_byte(venue, &ticket, &told);
        self.flying.push(Box::pin(async move {
            let result = fly(&http, method, &url, &departure, on_first_byte).await;
            if !ticket.intent.verb().only_asks() {
                pass(FailPoint::AfterSocket);
            }
            Flown { venue, ticket, result, sent_told: told.load(Ordering::SeqCst) }
        }));
        true
    }

    /// Tells the order path that an order's or cancel's first byte goes to the socket, at that moment.
    fn first_byte(&self, venue: VenueId, ticket: &Ticket, told: &Arc<AtomicBool>) -> Option<FirstByte> {
        let Route::Order(id) = ticket.route else { return None };
        let verb = ticket.intent.verb();
        let (report, clock, told) = (Arc::clone(&self.outlets.report), Arc::clone(&self.clock), Arc::clone(told));
        Some(Arc::new(move |at| {
            told.store(true, Ordering::SeqCst);
            report(VenueReport { venue, received: clock.unix(), body: ReportBody::Sent { id, verb, at } });
        }))
    }

    /// Whether the request may leave: its record is written, or it needs none.
    fn record(&mut self, departure: &D) -> bool {
        let Some(record) = WireRecord::of(departure, self.clock.unix()) else { return true };
        pass(FailPoint::BeforeWireRecord);
        match self.recorder.append(record) {
            Ok(_) => {
                self.wire_failed = false;
                pass(FailPoint::AfterWireRecord);
                true
            }
            Err(error) => {
                self.wire_log_failed(&error);
                // A cancel without a record is better than an order that nobody cancels.
                record.verb != Verb::Place
            }
        }
    }

    fn wire_log_failed(&mut self, error: &WireLogError) {
        if !std::mem::replace(&mut self.wire_failed, true) {
            tracing::error!(%error, "wire log cannot be written; only cancels go out");
            (self.outlets.control)(Control::WireLogFailed);
        }
    }

    fn came_back(&mut self, flown: &Flown) {
        let Flown { venue, ticket, result, sent_told } = flown;
        let Some(link) = self.links.get_mut(venue) else { return };
        link.dispatch.finished(&ticket.intent);
        let verb = ticket.intent.verb();
        let mut told = match result {
            Ok(answer) => answered(link.config.codecs.rest.as_ref(), ticket, answer),
            Err(failure) => {
                tracing::warn!(venue = %link.config.name, verb = verb.as_str(), %failure, "request failed");
                failed(ticket, failure, self.clock.mono())
            }
        };
        if *sent_told {
            told.retain(|one| !matches!(one, Told::Report(ReportBody::Sent { .. })));
        }
        if let Ok(answer) = result
            && let Some((group, wait)) = link.waits.look(verb, answer.status, answer.headers.get("retry-after"))
        {
            tracing::warn!(venue = %link.config.name, group = group.as_str(), wait_ms = wait.as_millis() as u64, "limited by the venue");
            told.push(Told::Report(ReportBody::RateLimited { group, wait }));
        }
        export(&link.config.name, ticket, result);
        if !verb.only_asks() {
            pass(FailPoint::AfterAnswer);
        }
        self.tell(*venue, told);
    }

    fn tell(&self, venue: VenueId, told: Vec<Told>) {
        for one in told {
            match one {
                Told::Report(body) => (self.outlets.report)(VenueReport { venue, received: self.clock.unix(), body }),
                Told::Verify(purpose, query, answer) => (self.outlets.verify)(venue, purpose, query, answer),
                // The stream asks again when no signature comes.
                Told::StreamLoginLost => {}
            }
        }
    }
}

async fn fly<D: Departure>(
    http: &HttpClient,
    method: HttpMethod,
    url: &str,
    departure: &D,
    on_first_byte: Option<FirstByte>,
) -> Result<HttpAnswer, HttpFailure> {
    let headers = departure.headers();
    let body = net::Bytes::copy_from_slice(departure.body());
    // Without a body there is no proof that it has not left, so the answer is waited for.
    let send_by = (!body.is_empty()).then_some(departure.send_by());
    http.send_telling(HttpRequest { method, url, headers: &headers, body, send_by }, on_first_byte).await
}

/// Completes when one of the helpers has ended, which none should; says whether it panicked.
async fn helper_ended(helpers: &mut Vec<JoinHandle<()>>) -> bool {
    let (ended, at, _) = futures_util::future::select_all(helpers.iter_mut()).await;
    helpers.swap_remove(at);
    ended.is_err_and(|error| error.is_panic())
}

fn export(name: &str, ticket: &Ticket, result: &Result<HttpAnswer, HttpFailure>) {
    let group = EndpointGroup::of(ticket.intent.verb()).as_str();
    let status = result.as_ref().map_or(0, |answer| answer.status);
    telemetry::rest_requests_total(name, group, telemetry::http_code(status)).increment(1);
    let Ok(answer) = result else { return };
    let seconds = |to: MonoNanos, from: MonoNanos| to.since(from).as_secs_f64();
    let timings = answer.timings;
    telemetry::rest_request_duration_seconds(name, group).record(seconds(timings.answered, timings.asked));
    if let (Verb::Place, Some(first_byte)) = (ticket.intent.verb(), timings.first_byte) {
        telemetry::order_hop_duration_seconds(Hop::SignSend).record(seconds(first_byte, ticket.signed));
        telemetry::order_hop_duration_seconds(Hop::SendAck).record(seconds(timings.answered, first_byte));
    }
}
