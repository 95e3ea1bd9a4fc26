//! Signer, key manager and gateway below the risk guard, trading on the embedded exchange while keys change.
//!
//! The signer stands behind its real sockets, order thread and custody thread apart; keys are changed by the key
//! manager as in the daemon. The lab alone paces the orders, signs each once more when its answer is lost, and keeps
//! a list of which key signed what.

use clock::SystemClock;
use domain::{ClientOrderId, Clock, MonoNanos, Scaled, Sequence, Side, StrategyTag, Symbol, TimeInForce, VenueId};
use hot_actor::{OutboxSender, outbox};
use key_manager::{KeyManager, KeyMessage, RotationNews, is_about_the_key};
use messages::{
    Control, CouldNotAsk, KeyAlias, KeyDuty, KeyRole, KeyState, PlaceOrder, QueryAnswer, QueryId, QueryPurpose,
    ReportBody, SignIntent, SignQuery,
};
use net::Plaintext;
use order_gateway::{Doorbell, Gateway, GatewayHandle, Limits, LinkConfig, Outlets, Renewals, WireLog, WireLogBounds};
use order_signer::process::{
    LinkWait, OrderPage, ProcessSeat, RemoteStore, SignerLink, pair, serve_custody, serve_orders,
};
use order_signer::{Custody, CustodyDesk, DeskPlace, EpochStore, KeySecrets, KeyStore, NewKey};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use secrets::SecretBytes;
use signing::{Isolation, MemoryKind, Outbound, Route, SignerHello, SignerPort};
use sim_venue::{
    ApiKeyMaterial, Environment, FaultKind, FaultPlan, FaultTime, KeyConfig, Market, Permission, PlannedFault,
    RateLimits, RunningSim, SimConfig, SimVenue,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use steadfast::key_book::{self, KeyOf, KeyWires};

const VENUE: VenueId = VenueId(0);
/// Between two intents: 200 a second.
const EVERY: Duration = Duration::from_millis(5);
/// One in so many answers is lost.
const LOST_ONE_IN: u64 = 100;
/// Longest that anything may take.
const DEADLINE: Duration = Duration::from_secs(90);

/// The name of the key with this number; number 0 is at work at the beginning.
pub(crate) fn alias(number: usize) -> KeyAlias {
    KeyAlias::from(&format!("key-{number}")).unwrap()
}

/// What the exchange and the vault are told of one key.
pub(crate) struct Key {
    pub(crate) venue: KeyConfig,
    /// The secret in the vault, where it is not the exchange's.
    pub(crate) mistyped: bool,
}

impl Key {
    pub(crate) fn good() -> Self {
        let venue = KeyConfig {
            material: ApiKeyMaterial::generate().unwrap(),
            permissions: vec![Permission::Read, Permission::Trade],
            ips: vec!["127.0.0.1".parse().unwrap()],
            environment: Environment::Production,
            account: 0,
        };
        Self { venue, mistyped: false }
    }
}

/// What the lab hears.
enum Heard {
    Ask(SignQuery),
    Report(ReportBody),
    Offset(i64),
    Duty(KeyDuty),
    Rotation(RotationNews),
}

/// One signature: which key, for which order, and whether the order was new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed {
    pub(crate) key: usize,
    pub(crate) sequence: u64,
    pub(crate) new: bool,
}

/// What an order without a good answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The exchange is asked what became of it.
    Ask,
    /// It is signed again, under its old id.
    SignAgain,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) intents: u64,
    /// Orders whose receipt is known.
    pub(crate) accepted: BTreeSet<u64>,
    /// Questions about orders whose answer was lost.
    pub(crate) asked: u64,
    /// Orders signed again under their old id.
    pub(crate) again: u64,
    pub(crate) auth_rejects: u64,
    pub(crate) signed: Vec<Signed>,
    /// After which sequence which key signed.
    pub(crate) cut_overs: Vec<(usize, u64)>,
    pub(crate) news: Vec<RotationNews>,
    /// Nanoseconds that a signature took, outside and inside a change of keys.
    pub(crate) quiet: Vec<u64>,
    pub(crate) changing: Vec<u64>,
}

impl Outcome {
    /// New orders up to a cut-over are of the one key, later ones of the next; no key signs anything after its end.
    pub(crate) fn check_signatures(&self) {
        for Signed { key, sequence, new } in self.signed.iter().filter(|signed| signed.new) {
            let expected =
                self.cut_overs.iter().filter(|(_, after)| sequence > after).map(|(next, _)| *next).next_back();
            assert_eq!(*key, expected.unwrap_or(0), "order {sequence}, new: {new}");
        }
        let late = self.signed.windows(2).find(|pair| pair[1].key < pair[0].key);
        assert!(late.is_none(), "a replaced key signed: {late:?}");
    }
}

pub(crate) fn percentile(values: &[u64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |ns| *ns as f64 / 1e6)
}

/// Everything under test, running.
pub(crate) struct Lab {
    pub(crate) sim: RunningSim,
    pub(crate) outcome: Outcome,
    seat: ProcessSeat,
    outbox: OutboxSender<Outbound>,
    heard: Receiver<Heard>,
    keys: SyncSender<KeyMessage>,
    store: RemoteStore,
    identity: order_signer::Identity,
    by_key: BTreeMap<String, usize>,
    orders: BTreeMap<u64, PlaceOrder>,
    due_again: Vec<(MonoNanos, u64, Next)>,
    /// Orders asked about, by the number of the question.
    asked: BTreeMap<QueryId, u64>,
    next_query: u64,
    next_order: u64,
    next_at: MonoNanos,
    changing: bool,
    duty: KeyDuty,
    /// The exchange leaves the candidate's questions without an answer.
    pub(crate) deaf_to_candidate: bool,
    gateway: GatewayHandle,
    _home: tempfile::TempDir,
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::from_slice(text.as_bytes()).unwrap()
}

fn vault_of(home: &std::path::Path, keys: &[Key], now: domain::UnixNanos) -> Custody {
    let passphrase = vault::Passphrase::from_text("an invented passphrase of many words").unwrap();
    let mut custody = Custody::create(home, &passphrase, vault::KdfParams::FLOOR, now).unwrap();
    for (number, key) in keys.iter().enumerate() {
        let material = &key.venue.material;
        let secret_text = if key.mistyped { material.secret.replace('a', "b") + "0" } else { material.secret.clone() };
        let secrets = KeySecrets {
            key: secret(&material.key),
            secret: secret(&secret_text),
            passphrase: secret(&material.passphrase),
        };
        let new = NewKey {
            alias: alias(number),
            venue: "bitget".to_owned(),
            environment: "sim".to_owned(),
            account: "bitget-main".to_owned(),
            role: KeyRole::Trade,
            wallets: vec!["spot".to_owned()],
            stream_login_confirmed: true,
        };
        custody.add(new, &secrets, now).unwrap();
    }
    custody.set_state(&alias(0), KeyState::Verifying, "test", now).unwrap();
    custody.set_state(&alias(0), KeyState::Active, "test", now).unwrap();
    custody
}

fn exchange(seed: u64, keys: &[Key], orders_max: u64) -> RunningSim {
    let mut random = SmallRng::seed_from_u64(seed);
    let lost = (1..orders_max).filter(|_| random.random_range(0..LOST_ONE_IN) == 0);
    let faults = lost.map(|at| PlannedFault::new(FaultKind::AckLost, FaultTime::PlaceRequest(at))).collect();
    let config = SimConfig {
        market: Market::Quiet,
        seed,
        faults: FaultPlan { faults, seed: 0 },
        latency: (Duration::from_millis(1), Duration::from_millis(80)),
        rate_limits: RateLimits { enforced: false, ..RateLimits::default() },
        extra_accounts: vec![sim_venue::AccountConfig::default()],
        extra_keys: keys.iter().map(|key| key.venue.clone()).collect(),
        ..SimConfig::default()
    };
    SimVenue::start(config, Arc::new(SystemClock)).unwrap()
}

impl Lab {
    /// Starts everything and waits until the first key may place orders.
    pub(crate) fn start(seed: u64, keys: &[Key], drain: Duration, orders_max: u64) -> Self {
        net::install_tls_provider();
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sim = exchange(seed, keys, orders_max);
        let custody = vault_of(home.path(), keys, clock.unix());
        let identity = EpochStore::open(home.path()).unwrap().identity();
        let codecs = venue_bitget::codecs(venue_bitget::Environment::Production);
        let place =
            DeskPlace { seat: VENUE, alias: alias(0), codec: Arc::clone(&codecs.signing), login_confirmed: true };
        let desk = CustodyDesk::open(custody, vec![place], None, identity, Arc::clone(&clock)).unwrap();

        let (orders_end, orders_served) = pair().unwrap();
        let (custody_end, custody_served) = pair().unwrap();
        let (page, page_file) = OrderPage::create().unwrap();
        let served_page = OrderPage::open(page_file).unwrap();
        let (seats, candidates) = (desk.seats.clone(), desk.candidates.clone());
        std::thread::spawn(move || serve_orders(&orders_served, Some(served_page), &seats, &candidates, false));
        std::thread::spawn(move || serve_custody(&custody_served, desk));
        let hello = SignerHello {
            tag: identity.tag,
            epoch: identity.epoch,
            isolation: Isolation::Process,
            memory: MemoryKind::Plain,
        };
        let lost = Box::new(|how: &'static str| panic!("the signer is {how}"));
        let link = SignerLink::new(orders_end, LinkWait::Block, hello, Arc::clone(&clock), lost).unwrap();
        link.lock().unwrap().over(page);
        let store = RemoteStore::new(custody_end).unwrap();

        let (tell, heard) = sync_channel(65_536);
        let (keys_in, keys_out) = sync_channel(65_536);
        let mut link_config = LinkConfig::new(VENUE, "bitget-main", sim.rest.clone(), (&codecs).into());
        link_config.ws_private = Some(sim.ws_private.clone());
        link_config.plaintext = Plaintext::Loopback;
        link_config.symbols = vec![symbol()];
        link_config.limits = Limits { in_flight_max: 48, for_cancels: 2, queries_max: 6, waiting_max: 512 };
        let (outbox, gateway) = gateway(link_config, home.path(), &tell, &keys_in, &clock);
        manager(&tell, keys_out, store.clone(), gateway.renewals(), drain, &clock);
        let by_key = keys.iter().enumerate().map(|(number, key)| (key.venue.material.key.clone(), number)).collect();
        let next_at = clock.mono();
        let mut lab = Self {
            sim,
            outcome: Outcome::default(),
            seat: ProcessSeat::new(link, VENUE),
            outbox,
            heard,
            keys: keys_in,
            store,
            identity,
            by_key,
            orders: BTreeMap::new(),
            due_again: Vec::new(),
            asked: BTreeMap::new(),
            next_query: 1,
            next_order: 1,
            next_at,
            changing: false,
            duty: KeyDuty::None,
            deaf_to_candidate: false,
            gateway,
            _home: home,
        };
        lab.turn_until("the first key is at work", false, |lab| lab.duty == KeyDuty::Full);
        lab.next_at = SystemClock.mono();
        lab
    }

    /// Trades until something is so.
    pub(crate) fn trade_until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        self.turn_until(what, true, wanted);
    }

    /// Trades for some orders.
    pub(crate) fn trade(&mut self, orders: u64) {
        let until = self.outcome.intents + orders;
        self.trade_until("orders", |lab| lab.outcome.intents >= until);
    }

    /// Asks for a change of keys.
    pub(crate) fn begin(&mut self, next: usize) {
        let drain = DRAIN.with(std::cell::Cell::get);
        self.keys.send(KeyMessage::Rotate { venue: VENUE, next: Some(alias(next)), drain }).unwrap();
    }

    /// Asks for a change of keys and trades until it is over; what it came to.
    pub(crate) fn rotate(&mut self, next: usize) -> RotationNews {
        self.changing = true;
        let from = self.outcome.news.len();
        self.begin(next);
        let over = |news: &RotationNews| !matches!(news, RotationNews::Began { .. } | RotationNews::CutOver { .. });
        self.trade_until("the change of keys", |lab| lab.outcome.news.iter().skip(from).any(over));
        self.changing = false;
        self.outcome.news.iter().skip(from).find(|news| over(news)).cloned().unwrap()
    }

    /// Stops trading and waits until the receipt of every order is known.
    pub(crate) fn settle(&mut self) {
        self.turn_until("all answers", false, |lab| lab.outcome.accepted.len() as u64 == lab.outcome.intents);
    }

    pub(crate) fn state(&self, number: usize) -> KeyState {
        self.store.show(&alias(number)).unwrap().state
    }

    /// What the exchange says of the orders: as many as intents, none twice.
    pub(crate) fn check_exchange(&self) {
        self.check_books();
        assert_eq!(self.outcome.auth_rejects, 0, "the exchange never refused a signature");
    }

    pub(crate) fn check_books(&self) {
        let orders = self.sim.control().orders(0);
        let ids: BTreeSet<&str> = orders.iter().map(|order| order.client_oid.as_str()).collect();
        assert_eq!(ids.len(), orders.len(), "no client order id twice");
        assert_eq!(self.sim.control().orders_accepted(), self.outcome.intents, "accepted orders are the intents");
    }

    fn turn_until(&mut self, what: &str, trades: bool, wanted: impl Fn(&Self) -> bool) {
        let deadline = SystemClock.mono().after(DEADLINE);
        while !wanted(self) {
            let now = SystemClock.mono();
            assert!(
                now < deadline,
                "{what}: not within {DEADLINE:?}; {} of {}",
                self.outcome.accepted.len(),
                self.outcome.intents
            );
            if trades && now >= self.next_at {
                self.next_at = self.next_at.after(EVERY);
                self.place_next();
                continue;
            }
            let (due, later) = std::mem::take(&mut self.due_again).into_iter().partition(|(at, ..)| *at <= now);
            self.due_again = later;
            let due: Vec<(MonoNanos, u64, Next)> = due;
            for (_, order, next) in due {
                match next {
                    Next::Ask => self.ask_for(order),
                    Next::SignAgain => self.place_again(order),
                }
            }
            let wait = if trades { self.next_at.since(now).min(EVERY) } else { EVERY };
            match self.heard.recv_timeout(wait) {
                Ok(heard) => self.take(heard),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("everybody is gone"),
            }
        }
    }

    fn place_next(&mut self) {
        let sequence = self.next_order;
        self.next_order += 1;
        let order = PlaceOrder {
            id: ClientOrderId::new(self.identity.tag, self.identity.epoch, Sequence::new(sequence).unwrap()),
            symbol: symbol(),
            side: Side::Buy,
            price: Scaled { mantissa: 100_000, decimals: 2 },
            qty: Scaled { mantissa: 10_000, decimals: 6 },
            time_in_force: TimeInForce::Ioc,
            effect: domain::PositionEffect::default(),
        };
        self.orders.insert(sequence, order);
        self.outcome.intents += 1;
        self.place(sequence, order, true);
    }

    fn place_again(&mut self, sequence: u64) {
        self.outcome.again += 1;
        self.place(sequence, self.orders[&sequence], false);
    }

    fn place(&mut self, sequence: u64, order: PlaceOrder, new: bool) {
        let intent = SignIntent::Place(order);
        let begun = SystemClock.mono();
        let request = self.seat.sign(&intent).unwrap_or_else(|refusal| panic!("order {sequence}: {refusal}"));
        let took = u64::try_from(SystemClock.mono().since(begun).as_nanos()).unwrap();
        if self.changing { &mut self.outcome.changing } else { &mut self.outcome.quiet }.push(took);
        let key = request.headers().find(|(name, _)| *name == "ACCESS-KEY").map(|(_, key)| self.by_key[key]).unwrap();
        self.outcome.signed.push(Signed { key, sequence, new });
        self.send(request, intent, Route::Order(order.id));
    }

    /// What is to be done with an order, when a late answer cannot come any more.
    fn later(&mut self, order: u64, next: Next) {
        self.due_again.push((SystemClock.mono().after(Duration::from_millis(300)), order, next));
    }

    fn ask_for(&mut self, sequence: u64) {
        let query = QueryId(self.next_query);
        self.next_query += 1;
        self.asked.insert(query, sequence);
        self.outcome.asked += 1;
        let intent = SignIntent::QueryOrder { symbol: symbol(), id: self.orders[&sequence].id };
        let request = self.seat.sign(&intent).unwrap();
        self.send(request, intent, Route::Query(query, QueryPurpose::Reconcile));
    }

    fn send(&self, request: signing::SignedRequest, intent: SignIntent, route: Route) {
        let signed = SystemClock.mono();
        let outbound = Outbound {
            venue: VENUE,
            request,
            intent,
            route,
            strategy: StrategyTag(0),
            version: 0,
            signed,
            send_by: signed.after(Duration::from_secs(5)),
        };
        assert!(self.outbox.push_or_refuse(outbound).is_ok(), "the outbox has room");
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Ask(query) => self.question(query),
            Heard::Offset(offset_ns) => self.seat.set_clock_offset(offset_ns).unwrap(),
            Heard::Duty(duty) => self.duty = duty,
            Heard::Rotation(news) => {
                if let RotationNews::CutOver { next, after_sequence, .. } = &news {
                    let number = next.strip_prefix("key-").unwrap().parse().unwrap();
                    self.outcome.cut_overs.push((number, *after_sequence));
                }
                self.outcome.news.push(news);
            }
            Heard::Report(body) => self.report(body),
        }
    }

    fn question(&mut self, query: SignQuery) {
        let request = if query.purpose == QueryPurpose::VerifyCandidate {
            if self.deaf_to_candidate {
                let answer = QueryAnswer::CouldNotAsk(CouldNotAsk::Network);
                return self.keys.send(KeyMessage::CandidateAnswer(VENUE, query.id, answer)).unwrap();
            }
            self.seat.sign_candidate(&query.intent)
        } else {
            self.seat.sign(&query.intent)
        };
        // One that is not signed is asked for again.
        if let Ok(request) = request {
            self.send(request, query.intent, Route::Query(query.id, query.purpose));
        }
    }

    fn report(&mut self, body: ReportBody) {
        match body {
            ReportBody::Accepted { id, .. } => _ = self.outcome.accepted.insert(id.sequence().get()),
            ReportBody::AnswerMissing { id, .. } => self.later(id.sequence().get(), Next::Ask),
            ReportBody::NotSent { id, .. } => self.later(id.sequence().get(), Next::SignAgain),
            ReportBody::Answer { query, answer } => {
                let Some(order) = self.asked.remove(&query) else { return };
                match answer {
                    QueryAnswer::Order(Some(_)) => _ = self.outcome.accepted.insert(order),
                    QueryAnswer::Order(None) => self.later(order, Next::SignAgain),
                    _ => self.later(order, Next::Ask),
                }
            }
            ReportBody::Failed { id, error, .. } => {
                if is_about_the_key(&error) {
                    self.outcome.auth_rejects += 1;
                    self.keys.send(KeyMessage::Rejected(VENUE, error)).unwrap();
                    self.later(id.sequence().get(), Next::SignAgain);
                } else {
                    panic!("order {id}: {error:?}");
                }
            }
            _ => {}
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.gateway.stop();
    }
}

thread_local! {
    /// How long a replaced key can come back, for changes asked for on this thread.
    pub(crate) static DRAIN: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::from_millis(300)) };
}

fn symbol() -> Symbol {
    Symbol::from("BTCUSDT").unwrap()
}

/// The gateway on a thread of its own.
fn gateway(
    link: LinkConfig,
    home: &std::path::Path,
    tell: &SyncSender<Heard>,
    keys: &SyncSender<KeyMessage>,
    clock: &Arc<dyn Clock>,
) -> (OutboxSender<Outbound>, GatewayHandle) {
    let bell = Doorbell::new();
    let (sender, receiver) = outbox::<Outbound>(512, bell.wake());
    let wire = WireLog::open(&home.join("wire"), WireLogBounds::default()).unwrap();
    let shared = |sender: &SyncSender<Heard>| Arc::new(Mutex::new(sender.clone()));
    let (reports, controls, asks) = (shared(tell), shared(tell), shared(tell));
    let keys = Arc::new(Mutex::new(keys.clone()));
    let (clocks, rejected) = (Arc::clone(&keys), Arc::clone(&keys));
    let post = |to: &Mutex<SyncSender<KeyMessage>>, message| drop(to.lock().unwrap().send(message));
    let outlets = Outlets {
        report: Arc::new(move |report| drop(reports.lock().unwrap().send(Heard::Report(report.body)))),
        control: Arc::new(move |control| {
            if let Control::ClockMeasured { venue, offset_ns, uncertainty_ns, .. } = control {
                drop(controls.lock().unwrap().send(Heard::Offset(offset_ns)));
                post(&clocks, KeyMessage::ClockMeasured { venue, offset_ns, uncertainty_ns });
            }
        }),
        verify: Arc::new(move |venue, purpose, query: QueryId, answer| {
            let message = match purpose {
                QueryPurpose::VerifyCandidate => KeyMessage::CandidateAnswer(venue, query, answer),
                _ => KeyMessage::Answer(venue, query, answer),
            };
            drop(keys.lock().unwrap().send(message));
        }),
        ask: Arc::new(move |query| asks.lock().unwrap().send(Heard::Ask(query)).is_ok()),
        login_failed: Arc::new(move |venue, error| {
            drop(rejected.lock().unwrap().send(KeyMessage::Rejected(venue, error)));
        }),
        died: Arc::new(|| panic!("the gateway died")),
    };
    let (ready, started) = sync_channel(65_536);
    let clock = Arc::clone(clock);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let handle = Gateway::start(vec![link], receiver, bell, Box::new(wire), outlets, clock).unwrap();
            ready.send(handle.clone()).unwrap();
            handle.ended().await;
        });
    });
    (sender, started.recv().unwrap())
}

/// The key manager on a thread of its own: saving takes its time, and no order waits for it.
fn manager(
    tell: &SyncSender<Heard>,
    messages: Receiver<KeyMessage>,
    store: RemoteStore,
    renewals: Renewals,
    drain: Duration,
    clock: &Arc<dyn Clock>,
) {
    DRAIN.with(|cell| cell.set(drain));
    let (tell, clock) = (tell.clone(), Arc::clone(clock));
    std::thread::spawn(move || {
        let (asks, duties, news) = (tell.clone(), tell.clone(), tell);
        let wires = KeyWires {
            ask: Box::new(move |query| asks.send(Heard::Ask(query)).is_ok()),
            control: Box::new(move |control| {
                if let Control::KeyDuty(_, duty) = control {
                    let _ = duties.send(Heard::Duty(duty));
                }
            }),
            line: Box::new(|_, _| {}),
            probing: Box::new(|_, _| {}),
            settled: Box::new(|_, _| {}),
            changed: Box::new(|_, _, _| {}),
            dates: Box::new(|_, _| {}),
            rotation: Box::new(move |_, _, told| drop(news.send(Heard::Rotation(told.clone())))),
            new_login: Box::new(move |venue| renewals.renew(venue)),
            audit: Arc::new(audit::NoAudit),
        };
        let day = Duration::from_secs(86_400);
        let key = KeyOf {
            markets: [true, false],
            venue: VENUE,
            alias: alias(0),
            allow_unbound: false,
            rotate_after: day * 90,
            warn_before: day * 14,
            drain,
            reverify_every: day,
        };
        let (mut manager, book): (KeyManager, _) = key_book::manager(Box::new(store), &[key], wires, clock).unwrap();
        manager.tick();
        loop {
            match messages.recv_timeout(Duration::from_millis(50)) {
                Ok(message) => manager.receive(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            manager.tick();
            assert!(book.borrow_mut().troubles().is_empty(), "the vault could be saved");
        }
    });
}
