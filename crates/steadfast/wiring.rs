//! Who talks to whom. Nothing else in the program knows it.

mod keys;
mod market;
mod running;
mod wire;

use crate::audit_queue::AuditQueue;
use crate::backend::Desk;
use crate::data_dir::DataDir;
use crate::emergency::{Emergency, EmergencyVenue};
use crate::key_desk::Settled;
use crate::key_watch::KeyWatch;
use crate::observer::{Observer, ObserverHandle};
use crate::plan::{Plan, StrategyPlan, VenuePlan};
use crate::refusals::RefusalWatch;
use crate::registry::{KnownInstrument, Registry};
use crate::report::{Exit, Trouble, causes};
use crate::shared::{Names, OrderList, Shared};
use crate::signers::{KeeperWires, SignerKeeper, Signers};
use crate::station::{Ears, Parts, Station};
use crate::step_up::VaultCodes;
use crate::{commands, restore};
use access::ApiKeys;
use actix_rt::Arbiter;
use alerts::Alerts;
use clock::SystemClock;
use control_plane::{AccessSetup, ControlPlane};
use domain::{Clock, Instrument, InstrumentId, StrategyTag, Symbol, VenueId};
use hot_actor::{HotConfig, Lane};
use journal::{Health, Journal, JournalHandle};
use keeper::{Keeper, KeeperObserver, Mailbox, MailboxBound};
use key_manager::{KeyManager, KeyMessage};
use market::Market;
use market_feed::{TopBoard, tops};
use messages::{AccountMode, Control, QueryPurpose, RefuseReason};
use metrics_exporter_prometheus::PrometheusHandle;
use net::{HttpClient, HttpConfig};
use order_gateway::{LinkConfig, WireLog, WireLogBounds, fetch_instruments};
use order_path::{Core, EventRing, Now, Setup, Urgent, VenueSetup};
use order_signer::{Identity, KeyStore};
use portfolio::Portfolio;
use risk_guard::{HaltFlag, HaltRecord};
use settings::KeyPath;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use venue_api::ListedInstrument;

/// Order events that may wait for the strategies of one venue.
const STRATEGY_BOUND: MailboxBound = MailboxBound { messages_max: 1_024, reserve: 8_192 };
/// A book without any message for so long cannot be read; the risk guard's own limit is shorter.
const BOOK_AGE_MAX: Duration = Duration::from_secs(5);
/// A book without any message for so long is asked for again: the connection may be open and dead.
const BOOK_SILENCE_MAX: Duration = Duration::from_secs(12);
/// A subscription that nobody acknowledges for so long is asked for again, then on a new connection.
const ACK_WAIT_MAX: Duration = Duration::from_secs(4);

/// Makes a problem of a setting, with file and line where they are known.
pub type Locate = Box<dyn Fn(&KeyPath, String, String) -> settings::Problem>;

/// What a run is started with.
pub struct Start {
    /// What it is made of.
    pub plan: Plan,
    /// Its data directory, locked.
    pub dir: DataDir,
    /// Its signers, their vault unlocked.
    pub signers: Signers,
    /// The control interface's socket, bound.
    pub listener: TcpListener,
    /// The control interface's Unix socket.
    pub socket: Option<std::path::PathBuf>,
    /// Names under which the control interface is reached beside those of loopback.
    pub hosts: Vec<String>,
    /// The control interface's certificate.
    pub tls: Option<control_plane::Tls>,
    /// Where metrics are rendered.
    pub metrics: PrometheusHandle,
    /// Messages to people.
    pub alerts: Option<Alerts>,
    /// Says where a setting stands, for problems that only the venue can show.
    pub locate: Locate,
    /// Whether findings about keys are shown on the terminal.
    pub show_probes: bool,
}

/// A running program.
pub struct Running {
    /// What it knows of itself.
    pub shared: Arc<Shared>,
    /// The live page's address with its token.
    pub dashboard: String,
    station: Station,
    journal: JournalHandle,
    observer: ObserverHandle,
    audit: AuditQueue,
    deaths: std::sync::mpsc::Receiver<&'static str>,
    control: Option<ControlPlane>,
    alerts: Option<Alerts>,
    emergency: Emergency,
    /// What the emergency thread knows of the venues' clocks.
    told_offsets: BTreeMap<VenueId, i64>,
    arbiters: Vec<Arbiter>,
    keeper: Keeper,
    plan: Plan,
    /// Waits to be told that every venue has been asked about the last run.
    untold: Option<Box<dyn KeyStore + Send>>,
    _refusals: RefusalWatch,
    _signer_keeper: Option<SignerKeeper>,
    _dir: DataDir,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// In order.
    Orderly {
        /// Orders that still rest at the venue.
        left: usize,
    },
    /// A part of the money path died; what the emergency thread said.
    Died(&'static str, Vec<String>),
}

struct Listed {
    instruments: Vec<Instrument>,
    by_venue: BTreeMap<VenueId, Vec<Instrument>>,
}

/// Starts everything. Must run inside an actix system.
///
/// # Errors
/// [`Trouble`]: what a person needs to read; nothing trades then.
pub async fn start(start: Start) -> Result<Running, Trouble> {
    net::install_tls_provider();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let plan = start.plan;
    let mut registry = Registry::open(&start.dir.root().join(Registry::FILE))?;
    let venues: Vec<(VenueId, VenuePlan)> =
        plan.venues.iter().map(|venue| (registry.venue(&venue.name), venue.clone())).collect();
    // A stream key has a place of its own among the keys, and no instrument.
    let mut seats = venues.clone();
    for (_, venue) in &venues {
        seats.extend(venue.stream_place().map(|place| (registry.venue(&place.name), place)));
    }
    account_modes(&start.signers, &seats)?;
    let tags: Vec<(StrategyTag, StrategyPlan)> =
        plan.strategies.iter().map(|strategy| (registry.strategy(&strategy.id), strategy.clone())).collect();

    let mut found = BTreeMap::new();
    for (id, venue) in &venues {
        found.insert(*id, list(venue, &clock, &start.locate).await?);
    }
    let history = restore::versions(&start.dir.journal())?;
    let listed = instruments(&mut registry, &venues, &found, &history, clock.as_ref());
    registry.save()?;

    let identity = start.signers.identity();
    let names = Names {
        venues: registry.venues().to_vec(),
        own: venues.iter().map(|(id, _)| *id).collect(),
        instruments: listed.instruments.clone(),
        strategies: (1..).map(StrategyTag).zip(registry.strategies().iter().cloned()).collect(),
        quote: listed.instruments.first().map_or_else(|| "USDT".to_owned(), |instrument| instrument.quote.to_string()),
    };
    let halt_flag = HaltFlag::new(start.dir.halt());
    let halted = halt_flag
        .load()
        .map_err(|error| Trouble::new(Exit::Failure, "the halt flag cannot be read").why(causes(&error)))?;
    let setup = setup(&plan, &registry, &seats, &tags, &listed, identity, halted.as_ref(), names.account());
    let mut core = Core::new(setup, Now { mono: clock.mono(), unix: clock.unix() });
    let mut portfolio = Portfolio::new(&listed.instruments, &names.strategies);
    let mut orders = OrderList::default();
    let mut newest = restore::NewestEpoch::default();
    let journal = Journal::open(&start.dir.journal(), |event| {
        newest.look(event, identity.tag);
        core.restore(event);
        portfolio.apply(event);
        orders.apply(event);
    })
    .map_err(|error| commands::journal::trouble(&start.dir.journal(), &error))?;
    telemetry::journal_chain_ok().set(1.0);
    restore::wire_orders(&start.dir.wire(), &mut core, &listed.instruments, &history, (&mut newest, identity.tag))?;
    newest.must_be_below(identity, &plan.custody)?;

    let mut board = TopBoard::default();
    let mut writers = BTreeMap::new();
    for (id, instruments) in &listed.by_venue {
        let (writer, reader) = tops(instruments.iter().map(|instrument| instrument.id));
        board = board.joined(reader);
        writers.insert(*id, Arc::new(Mutex::new(writer)));
    }

    let (died_sender, deaths) = std::sync::mpsc::sync_channel::<&'static str>(8);
    let token = control_plane::token::create_or_read(&start.dir.token())
        .map_err(|error| Trouble::new(Exit::Key, "the control token cannot be used").why(causes(&error)))?;
    let address = start
        .listener
        .local_addr()
        .map_err(|error| Trouble::new(Exit::Failure, "no address to listen on").why(error))?;
    let page = page_address(address, &start.hosts, start.tls.is_some());
    let addresses =
        BTreeMap::from([("dashboard".to_owned(), page.clone()), ("metrics".to_owned(), format!("{page}metrics"))]);
    let shared = Arc::new(Shared::new(names, plan.mode, board.clone(), Arc::clone(&clock), addresses, portfolio));
    {
        let mut state = shared.state();
        (state.trading, state.halt) = core.trading();
        state.orders = orders;
    }

    let keeper = Keeper::new(Arc::clone(&clock), Arc::new(Watch(Arc::clone(&shared))));
    let keys = keeper.mailbox::<KeyManager>(KeyManager::NAME, KeyManager::MAILBOX);
    let (journal_ring, journal_events) = EventRing::new();
    let (observer_ring, observer_events) = EventRing::new();
    let wakers: Arc<OnceLock<[hot_actor::Wake; 2]>> = Arc::new(OnceLock::new());
    let consumers = Arc::clone(&wakers);
    let recorded = start.signers.audit();
    let audit = AuditQueue::start(Arc::clone(&recorded), Arc::clone(&clock))?;
    let station = Station::start(Parts {
        core,
        signers: start.signers.seats(registry.venues().len(), &seats)?,
        board: Box::new(BoardReader(board.clone())),
        rings: vec![journal_ring, observer_ring],
        wake_consumers: Arc::new(move || {
            if let Some(wakers) = consumers.get() {
                wakers.iter().for_each(|wake| wake());
            }
        }),
        halt_store: halt_store(halt_flag, plan.persist_halt, Arc::clone(&clock), audit.clone()),
        recorder: Box::new(wire::Trimmed::new(
            WireLog::open(&start.dir.wire(), WireLogBounds::default())
                .map_err(|error| Trouble::new(Exit::Failure, "the wire log cannot be opened").why(causes(&error)))?,
            Arc::clone(&shared),
        )),
        links: links(&seats, &listed),
        config: HotConfig {
            wait: plan.wait,
            core: plan.core,
            tick_every: Duration::from_millis(50),
            ..HotConfig::default()
        },
        send_by: plan.send_by,
        on_tally: tally(shared.names.account()),
        ears: ears(&keys, &died_sender, &shared),
        clock: Arc::clone(&clock),
    })?;
    let urgent = station.lanes().urgent.clone();
    let journal = start_journal(journal, journal_events, &clock, &urgent, &shared)?;

    let mut arbiters = Vec::new();
    let mut strategy_seats = Vec::new();
    for (id, venue) in &venues {
        let instruments = listed.by_venue.get(id).cloned().unwrap_or_default();
        let Some(writers) = writers.get(id) else { continue };
        let arbiter = Arbiter::new();
        let market = Market { id: *id, venue, instruments: &instruments, tags: &tags, plan: &plan };
        let seat = market.start(&arbiter, &keeper, Arc::clone(writers), &station, &shared, &died_sender)?;
        strategy_seats.push(seat);
        arbiters.push(arbiter);
    }

    let observer = Observer {
        events: observer_events,
        shared: Arc::clone(&shared),
        seats: strategy_seats,
        urgent: urgent.clone(),
        alerts: start.alerts.clone(),
        data_dir: start.dir.root().to_path_buf(),
        key_watch: KeyWatch::new(plan.hold_on_foreign),
        keys: {
            let keys = keys.clone();
            Box::new(move |message| drop(keys.post(message)))
        },
    }
    .start()
    .map_err(|error| Trouble::new(Exit::Failure, "no thread for the observer").why(error))?;
    let _ = wakers.set([journal.waker(), observer.waker()]);

    let emergency = Emergency::start(emergency_venues(&start.signers, &venues, &listed), Arc::clone(&clock))?;
    start.signers.isolation().publish();
    let (store, signer_keeper) = start.signers.into_store(keeper_wires(&urgent, &died_sender, &shared), &clock)?;
    let step_up = VaultCodes::new(store.boxed()).map_err(|error| commands::keys::custody_trouble(&error))?;
    let api_keys =
        ApiKeys::open(&start.dir.root().join(ApiKeys::FILE)).map_err(|error| commands::access::file_trouble(&error))?;
    let untold = store.boxed();
    let accounts = seats.iter().map(|(id, venue)| (*id, venue.account.clone())).collect();
    let refusals = RefusalWatch::start(store.boxed(), accounts)?;
    let settled = Arc::new(Settled::default());
    let key_desk = keys::key_desk(&store, &keys, &settled, &seats, &shared)?;
    let told = keys::KeysTold { alerts: start.alerts.clone(), show: start.show_probes, settled };
    let manager = keys::key_manager(store, &seats, &station, &shared, told, recorded)?;
    keys::start_keys(&keeper, &keys, manager, &station, &shared, &died_sender).await;
    let desk = Arc::new(Desk {
        shared: Arc::clone(&shared),
        urgent,
        keys: key_desk,
        audit: audit.clone(),
        refusals: Mutex::default(),
    });
    let control = control_plane::start(
        &start.listener,
        &token,
        control_plane::Setup {
            socket: start.socket,
            metrics: Some(start.metrics),
            clock: Arc::clone(&clock),
            access: AccessSetup {
                keys: Arc::new(Mutex::new(api_keys)),
                step_up: Arc::new(step_up),
                hosts: start.hosts,
                tls: start.tls,
            },
        },
        desk,
    )
    .map_err(|error| control_trouble(&error))?;
    publish_constants(&plan, &shared);
    Ok(Running {
        // The token is good on this machine alone; elsewhere an API key stands in its place.
        dashboard: if address.ip().is_loopback() { format!("{page}#t={}", token.expose()) } else { page },
        shared,
        station,
        journal,
        observer,
        audit,
        deaths,
        control: Some(control),
        alerts: start.alerts,
        emergency,
        told_offsets: BTreeMap::new(),
        arbiters,
        keeper,
        plan,
        untold: Some(untold),
        _refusals: refusals,
        _signer_keeper: signer_keeper,
        _dir: start.dir,
    })
}

/// Where the live page is, as a browser asks for it.
fn page_address(address: std::net::SocketAddr, hosts: &[String], tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    match hosts.first().filter(|_| !address.ip().is_loopback()) {
        Some(host) if host.ends_with(']') || !host.contains(':') => format!("{scheme}://{host}:{}/", address.port()),
        Some(host) => format!("{scheme}://{host}/"),
        None => format!("{scheme}://{address}/"),
    }
}

fn control_trouble(error: &control_plane::StartError) -> Trouble {
    match error {
        control_plane::StartError::Exposed { .. } => {
            Trouble::new(Exit::Refused, "the control interface stays closed to other machines")
                .why(error)
                .fix("steadfast access add NAME --role operator, then start again; or listen on 127.0.0.1")
        }
        _ => Trouble::new(Exit::Failure, "the control interface cannot start").why(causes(error)),
    }
}

/// Asks a venue for its instruments and picks the wanted ones.
async fn list(
    venue: &VenuePlan,
    clock: &Arc<dyn Clock>,
    locate: &dyn Fn(&KeyPath, String, String) -> settings::Problem,
) -> Result<Vec<ListedInstrument>, Trouble> {
    let config =
        HttpConfig { plaintext: venue.plaintext, answer_patience: venue.rest_timeout, ..HttpConfig::default() };
    let unreachable = |why: String| {
        Trouble::new(Exit::Failure, format!("the exchange of `{}` does not answer at {}", venue.name, venue.rest))
            .why(why)
            .fix("check the address in config/venues/ and the network; for the embedded exchange: steadfast sim --listen 127.0.0.1:7450")
    };
    let http = HttpClient::new(config, Arc::clone(clock)).map_err(|error| unreachable(causes(&error)))?;
    let all = fetch_instruments(&http, venue.codecs.public.as_ref(), &venue.rest)
        .await
        .map_err(|error| unreachable(causes(&error)))?;
    let mut wanted = Vec::new();
    let mut problems = Vec::new();
    for symbol in &venue.symbols {
        match all.iter().find(|listed| listed.symbol.as_str() == symbol) {
            Some(listed) => wanted.push(listed.clone()),
            None => {
                let path = KeyPath::of(["venue", &venue.name, "instruments"]);
                let names = all.iter().map(|listed| listed.symbol.as_str());
                let help = settings::did_you_mean(symbol, names.take(2_000));
                problems.push(locate(&path, format!("`{}` lists no instrument `{symbol}`", venue.name), help));
            }
        }
    }
    if problems.is_empty() { Ok(wanted) } else { Err(commands::check::trouble(&settings::Problems(problems))) }
}

/// The instrument table: every instrument ever traded here, the present rules for those still configured.
fn instruments(
    registry: &mut Registry,
    venues: &[(VenueId, VenuePlan)],
    found: &BTreeMap<VenueId, Vec<ListedInstrument>>,
    history: &restore::Versions,
    clock: &dyn Clock,
) -> Listed {
    let mut current = BTreeMap::new();
    for (venue_id, venue) in venues {
        for listed in found.get(venue_id).into_iter().flatten() {
            let known = KnownInstrument {
                venue: venue.name.clone(),
                symbol: listed.symbol.to_string(),
                base: listed.base.to_string(),
                quote: listed.quote.to_string(),
            };
            let id = registry.instrument(&known);
            let version = restore::next_version(id, listed, history, clock.unix());
            let instrument = Instrument {
                id,
                venue: *venue_id,
                symbol: listed.symbol,
                market: listed.market,
                base: listed.base,
                quote: listed.quote,
                version,
            };
            current.insert(id, instrument);
        }
    }
    let known: Vec<KnownInstrument> = registry.instruments().to_vec();
    let instruments: Vec<Instrument> = known
        .iter()
        .zip(0_u16..)
        .map(|(known, number)| {
            let id = InstrumentId(number);
            current
                .get(&id)
                .cloned()
                .unwrap_or_else(|| restore::former(id, known, registry.venue(&known.venue), history))
        })
        .collect();
    let mut by_venue: BTreeMap<VenueId, Vec<Instrument>> = BTreeMap::new();
    for instrument in current.into_values() {
        by_venue.entry(instrument.venue).or_default().push(instrument);
    }
    Listed { instruments, by_venue }
}

#[expect(clippy::too_many_arguments, reason = "what the order path is made of, each used once")]
fn setup(
    plan: &Plan,
    registry: &Registry,
    venues: &[(VenueId, VenuePlan)],
    tags: &[(StrategyTag, StrategyPlan)],
    listed: &Listed,
    identity: Identity,
    halted: Option<&HaltRecord>,
    account: &str,
) -> Setup {
    let rates = |index: usize| {
        venues
            .iter()
            .find(|(id, _)| id.index() == index)
            .map(|(_, venue)| venue.codecs.capabilities.budgets.iter().map(|(group, rate)| (*group, own_rate(*rate))))
            .map(Iterator::collect)
            .unwrap_or_default()
    };
    let mut strategies: Vec<_> = (1..)
        .map(StrategyTag)
        .zip(registry.strategies())
        .map(|(tag, _)| (tag, risk_guard::StrategyLimits::default()))
        .collect();
    for (tag, strategy) in tags {
        if let Some(entry) = strategies.iter_mut().find(|(known, _)| known == tag) {
            entry.1 = strategy.limits;
        }
    }
    let of = |index: usize| venues.iter().find(|(id, _)| id.index() == index).map(|(_, venue)| venue);
    Setup {
        venues: (0..registry.venues().len())
            .map(|index| VenueSetup {
                tag: identity.tag,
                epoch: identity.epoch,
                rates: rates(index),
                account: of(index).map_or(AccountMode::Classic, |venue| venue.codecs.mode.get()),
                futures: of(index).and_then(|venue| venue.futures),
            })
            .collect(),
        instruments: listed.instruments.clone(),
        strategies,
        account: account.to_owned(),
        limits: plan.limits.clone(),
        index_delay: plan.index_delay,
        cancel_on_disconnect_after: plan.cancel_on_disconnect_after,
        hold_on_foreign: plan.hold_on_foreign,
        halted: halted.map(|halt| halt.reason),
    }
}

/// What is used of a venue's rate. Requests that were spaced here may arrive bunched there: without a margin the venue
/// refuses what this program's own budget had granted.
fn own_rate(venue: u32) -> u32 {
    venue.saturating_mul(4).checked_div(5).unwrap_or(venue).max(1)
}

struct BoardReader(TopBoard);

impl order_path::Board for BoardReader {
    fn top(&self, instrument: InstrumentId) -> Result<messages::TopUsed, RefuseReason> {
        self.0.top(instrument)
    }
}

fn halt_store(flag: HaltFlag, persist: bool, clock: Arc<dyn Clock>, audit: AuditQueue) -> order_path::HaltStore {
    Box::new(move |halt| {
        if let Some((reason, note)) = halt {
            crate::audit_trail::halted(&audit, reason, note.as_str());
        }
        let stored = match halt {
            Some(_) if !persist => Ok(()),
            Some((reason, note)) => flag.set(&HaltRecord { reason, note: note.to_string(), at: clock.unix() }),
            None => flag.lift(),
        };
        if let Err(error) = stored {
            tracing::error!(error = %causes(&error), "the halt flag could not be stored; a halt may not survive a restart");
        }
    })
}

/// Turns each account's codecs to the way in which its key's account was found to be kept.
fn account_modes(signers: &Signers, seats: &[(VenueId, VenuePlan)]) -> Result<(), Trouble> {
    let records = signers.records()?;
    for (_, venue) in seats {
        let named = records.iter().find(|record| record.alias.as_str() == venue.key);
        let at_work = named.and_then(|named| order_signer::signing_key(records.iter(), &named.alias)).or(named);
        let Some(record) = at_work else { continue };
        venue.codecs.mode.set(record.account_mode());
        let trades = !venue.is_stream_place() && !venue.symbols.is_empty();
        // Of a key that was never verified nobody knows yet.
        if trades && record.account_mode == Some(AccountMode::Unified) && venue.stream_key.is_none() {
            let account = &venue.account;
            return Err(Trouble::new(Exit::Key, format!("the unified account `{account}` needs a stream key"))
                .why("orders can be placed over the private stream of a unified account without a signature for each, so a trading key is not logged in there")
                .fix(format!(
                    "make a read-only key on the exchange, set stream_key = \"{account}-stream\" in [venue.{account}], then: steadfast keys add {account}-stream --venue bitget --role stream"
                )));
        }
    }
    Ok(())
}

fn links(seats: &[(VenueId, VenuePlan)], listed: &Listed) -> Vec<LinkConfig> {
    let of_account = |wanted: &VenuePlan| {
        seats.iter().find(|(_, venue)| !venue.is_stream_place() && venue.account == wanted.account).map(|(id, _)| *id)
    };
    seats
        .iter()
        .map(|(id, venue)| {
            let mut link = LinkConfig::new(*id, venue.name.clone(), venue.rest.clone(), (&venue.codecs).into());
            link.speaks_for = if venue.is_stream_place() { of_account(venue) } else { None };
            link.ws_private = venue.stream_key.is_none().then(|| venue.ws_private.clone());
            link.plaintext = venue.plaintext;
            link.answer_patience = venue.rest_timeout;
            let followed = link.speaks_for.unwrap_or(*id);
            link.symbols =
                listed.by_venue.get(&followed).into_iter().flatten().map(|instrument| instrument.symbol).collect();
            link
        })
        .collect()
}

fn tally(account: &str) -> Box<dyn FnMut(order_path::Tally) + Send> {
    let signed = telemetry::signer_requests_total(account, "signed");
    let refused = telemetry::signer_requests_total(account, "refused");
    Box::new(move |tally| {
        signed.absolute(tally.signed);
        refused.absolute(tally.sign_refused);
    })
}

fn ears(keys: &Mailbox<KeyManager>, died: &std::sync::mpsc::SyncSender<&'static str>, shared: &Arc<Shared>) -> Ears {
    let (answers, rejected, clocks) = (keys.clone(), keys.clone(), keys.clone());
    let (overheard, died, seen) = (Arc::clone(shared), died.clone(), Arc::clone(shared));
    // A message for which there is no room is counted by the mailbox; an answer is asked for again.
    Ears {
        verify: Arc::new(move |venue, purpose, query, answer| {
            drop(answers.post(match purpose {
                QueryPurpose::VerifyCandidate => KeyMessage::CandidateAnswer(venue, query, answer),
                _ => KeyMessage::Answer(venue, query, answer),
            }));
        }),
        login_failed: Arc::new(move |venue, error| drop(rejected.post(KeyMessage::Rejected(venue, error)))),
        control: Arc::new(move |control| match control {
            Control::ClockMeasured { venue, offset_ns, uncertainty_ns, at } => {
                overheard.state().clocks.insert(*venue, (*offset_ns, *uncertainty_ns, *at));
                drop(clocks.post(clock_measured(*venue, *offset_ns, *uncertainty_ns)));
            }
            Control::ClockLost(venue) => {
                overheard.state().clocks.remove(venue);
                drop(clocks.post(KeyMessage::ClockLost(*venue)));
            }
            Control::PrivateStream { venue, live } => {
                let mut state = overheard.state();
                state.streams.insert(*venue, *live);
                if *live {
                    drop(clocks.post(KeyMessage::Worked(*venue)));
                } else {
                    state.reconciled.insert(*venue, false);
                }
            }
            _ => {}
        }),
        died: Arc::new(move |part| {
            seen.state().dead.push(part);
            Watch(Arc::clone(&seen)).actor_up(part, false);
            let _ = died.try_send(part);
        }),
    }
}

fn keeper_wires(
    urgent: &Lane<Urgent>,
    died: &std::sync::mpsc::SyncSender<&'static str>,
    shared: &Arc<Shared>,
) -> KeeperWires {
    let (urgent, died, seen, told) = (urgent.clone(), died.clone(), Arc::clone(shared), Arc::clone(shared));
    KeeperWires {
        control: Box::new(move |control| drop(urgent.post_wait(Urgent::Control(control)))),
        up: Box::new(move |up| {
            telemetry::actor_up("order-signer").set(if up { 1.0 } else { 0.0 });
            seen.state().actors.entry("order-signer").or_default().0 = up;
        }),
        gone: Box::new(move |why| {
            tracing::error!(why, "there is no signer any more");
            told.state().dead.push("order-signer");
            let _ = died.try_send("order-signer");
        }),
    }
}

fn start_journal(
    journal: Journal,
    events: crossbeam_channel::Receiver<messages::OrderEvent>,
    clock: &Arc<dyn Clock>,
    urgent: &Lane<Urgent>,
    shared: &Arc<Shared>,
) -> Result<JournalHandle, Trouble> {
    let (urgent, shared) = (urgent.clone(), Arc::clone(shared));
    journal
        .start(events, Arc::clone(clock), move |health| {
            let (ok, control) = match health {
                Health::Failed(why) => {
                    tracing::error!(why, "the journal cannot be written; no new orders");
                    (false, Control::JournalFailed)
                }
                Health::Healed => (true, Control::JournalHealed),
            };
            shared.state().journal_ok = ok;
            let _ = urgent.post_wait(Urgent::Control(control));
        })
        .map_err(|error| Trouble::new(Exit::Failure, "the journal cannot start").why(causes(&error)))
}

fn emergency_venues(signers: &Signers, venues: &[(VenueId, VenuePlan)], listed: &Listed) -> Vec<EmergencyVenue> {
    venues
        .iter()
        .map(|(id, venue)| {
            let signer = signers.emergency(*id);
            let symbols: Vec<Symbol> =
                listed.by_venue.get(id).into_iter().flatten().map(|instrument| instrument.symbol).collect();
            EmergencyVenue {
                id: *id,
                name: venue.name.clone(),
                rest: venue.rest.clone(),
                plaintext: venue.plaintext,
                symbols,
                signer,
                codec: Arc::clone(&venue.codecs.rest),
            }
        })
        .collect()
}

const fn clock_measured(venue: VenueId, offset_ns: i64, uncertainty_ns: u64) -> KeyMessage {
    KeyMessage::ClockMeasured { venue, offset_ns, uncertainty_ns }
}

/// Actor lives, into metrics and the shared state.
struct Watch(Arc<Shared>);

impl KeeperObserver for Watch {
    fn actor_up(&self, actor: &'static str, up: bool) {
        telemetry::actor_up(actor).set(if up { 1.0 } else { 0.0 });
        self.0.state().actors.entry(actor).or_default().0 = up;
    }

    fn actor_died(&self, actor: &'static str, cause: &str) {
        tracing::error!(actor, cause, "an actor died");
    }

    fn actor_rebuilt(&self, actor: &'static str, _times: u32) {
        telemetry::actor_restarts_total(actor, "panic").increment(1);
        self.0.state().actors.entry(actor).or_default().1 += 1;
    }

    fn message_lost(&self, actor: &'static str, kind: &'static str) {
        if self.0.state().stopping {
            return; // an orderly stop ends the strategies first
        }
        tracing::error!(actor, kind, "a message was lost");
        telemetry::messages_dropped_total(actor, "lost").increment(1);
    }
}

fn publish_constants(plan: &Plan, shared: &Arc<Shared>) {
    telemetry::build_info(
        env!("CARGO_PKG_VERSION"),
        option_env!("STEADFAST_REVISION").unwrap_or("unknown"),
        "unknown",
        "default",
    )
    .set(1.0);
    telemetry::mode_info(telemetry::mode_word(plan.mode)).set(1.0);
    telemetry::vault_unlocked().set(1.0);
    // The actors that no keeper supervises; they run from the start to the end, or end the process.
    for actor in ["order-path", "risk-guard", "order-gateway", "order-signer", "portfolio", "journal"] {
        Watch(Arc::clone(shared)).actor_up(actor, true);
    }
}
