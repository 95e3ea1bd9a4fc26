//! The venue itself: accounts, orders, market, publications; one owner of all state.

use crate::auth::KeyRing;
use crate::depth::PublishedBook;
use crate::fault_desk::Faults;
use crate::follower::{Follower, Followers, Playback};
use crate::history;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::members::Members;
use crate::mishaps::Mishaps;
use crate::orders::OrderStore;
use crate::population::{Population, STEP_MS};
use crate::prints::Prints;
use crate::{AccountMode, ApiKeyMaterial, Category, InstrumentConfig, KeyConfig, Market, SimConfig, SimError};
use domain::{Asset, Clock, InstrumentId, MonoNanos, Side, TimeInForce, UnixNanos};
use matching::{AccountId, Atoms, Engine, FeeRate, FeeSchedule, Listing, OrderSize, SelfTrade};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// One instrument and what is known of its market.
pub(crate) struct Instrument {
    pub(crate) id: InstrumentId,
    pub(crate) category: Category,
    pub(crate) config: InstrumentConfig,
    pub(crate) listing: Listing,
    pub(crate) published: PublishedBook,
    pub(crate) prints: Prints,
    /// The ticker's data have changed since it was published.
    pub(crate) ticker_changed: bool,
    /// The running candle has changed since it was published.
    pub(crate) candle_changed: bool,
}

/// A private push that waits for an answer to leave first.
pub(crate) struct Push {
    pub(crate) topic: PushTopic,
    pub(crate) data: String,
    pub(crate) ts_ms: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum PushTopic {
    Orders(InstrumentId),
    Fills(InstrumentId),
    Balance(Asset),
}

/// One client's account.
pub(crate) struct Account {
    pub(crate) engine: AccountId,
    pub(crate) user: u64,
    /// The account this is a sub-account of.
    pub(crate) parent: Option<usize>,
    /// Nothing may be done with it.
    pub(crate) frozen: bool,
    /// What a sub-account is called; empty for main accounts.
    pub(crate) name: String,
    /// When it was opened, in milliseconds of the venue's clock; 0 for accounts of the start.
    pub(crate) created_ms: u64,
    pub(crate) mode: AccountMode,
    pub(crate) store: OrderStore,
    /// Answers that have not left yet; while there are any, pushes wait.
    pub(crate) holds: u32,
    pub(crate) waiting: VecDeque<Push>,
    /// When all its orders are cancelled unless the dead-man switch is armed again.
    pub(crate) cancel_at: Option<MonoNanos>,
}

impl Account {
    /// The user number of the engine's first account.
    const FIRST_USER: u64 = 7_264_631_750;

    pub(crate) fn new(engine: AccountId, mode: AccountMode) -> Self {
        Self {
            engine,
            user: Self::FIRST_USER + u64::from(engine.0),
            parent: None,
            frozen: false,
            name: String::new(),
            created_ms: 0,
            mode,
            store: OrderStore::default(),
            holds: 0,
            waiting: VecDeque::new(),
            cancel_at: None,
        }
    }
}

/// Who moves the market.
enum Crowd {
    Seeded(Vec<Population>),
    Tape(Box<Playback>, Followers),
    Quiet,
}

/// An order that passed every check of its request.
pub(crate) struct Ticket {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) size: OrderSize,
    pub(crate) force: TimeInForce,
    pub(crate) self_trade: SelfTrade,
    pub(crate) client_oid: Option<String>,
}

/// The venue.
pub(crate) struct Venue {
    clock: Arc<dyn Clock>,
    offset_ns: i64,
    started: MonoNanos,
    pub(crate) engine: Engine,
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) accounts: Vec<Account>,
    /// The client behind an account of the engine.
    pub(crate) clients: BTreeMap<AccountId, usize>,
    pub(crate) keys: KeyRing,
    pub(crate) limits: Limits,
    pub(crate) hub: Hub,
    pub(crate) fees: FeeSchedule,
    crowd: Crowd,
    steps: u64,
    pub(crate) house: AccountId,
    pub(crate) mishaps: Mishaps,
    pub(crate) members: Members,
    /// Name of the main key.
    pub(crate) main_key: String,
    pub(crate) place_requests: u64,
    pub(crate) accepted: u64,
    book_interval: Duration,
    next_books: MonoNanos,
    next_candles: MonoNanos,
}

/// Pushes that may wait for an answer; more are a client that never reads its answers.
pub(crate) const WAITING_MAX: usize = 10_000;
/// Steps of the seeded market before the first client is served.
const WARM_UP_STEPS: u64 = 240;
/// Steps caught up at once after the process was held up.
const CATCH_UP_MAX: u64 = 80;
/// Time between two candle pushes.
const CANDLE_INTERVAL: Duration = Duration::from_secs(1);
impl Venue {
    pub(crate) fn new(config: &SimConfig, main: ApiKeyMaterial, clock: Arc<dyn Clock>) -> Result<Self, SimError> {
        let now = clock.unix();
        // Nineteen digits that grow with time, so that a restarted exchange does not repeat its ids.
        let first_id = now.as_millis().saturating_mul(1_000_000);
        let mut engine = Engine::new(first_id, first_id);
        let setting = |what: String| SimError::Setting { what };
        let mut instruments = Vec::new();
        for config in &config.instruments {
            let listing = Listing {
                base: config.base,
                quote: config.quote,
                price_decimals: config.price_decimals,
                qty_decimals: config.qty_decimals,
                tick: 1,
                lot: 1,
            };
            let id = engine.list(listing).map_err(|error| setting(format!("instrument {}: {error}", config.symbol)))?;
            let (published, prints) = (PublishedBook::default(), Prints::default());
            let config = *config;
            instruments.push(Instrument {
                id,
                category: Category::Spot,
                config,
                listing,
                published,
                prints,
                ticker_changed: false,
                candle_changed: false,
            });
        }
        let rate = |fee: Decimal| FeeRate::from_decimal(fee).map_err(|error| setting(format!("fee {fee}: {error}")));
        let fees = FeeSchedule { maker: rate(config.maker_fee)?, taker: rate(config.taker_fee)? };
        let mut accounts = Vec::new();
        let extra = config.extra_accounts.iter().map(|account| (account.mode, account.balances.as_slice()));
        for (mode, balances) in std::iter::once((config.account, config.balances.as_slice())).chain(extra) {
            let account = engine.open_account(fees);
            for (asset, amount) in balances {
                let atoms = Atoms::from_decimal(*amount)
                    .map_err(|error| setting(format!("balance {asset}={amount}: {error}")))?;
                if !engine.deposit(account, *asset, atoms) {
                    return Err(setting(format!("balance {asset}={amount} is not a positive amount")));
                }
            }
            accounts.push(Account::new(account, mode));
        }
        let main_key = main.key.clone();
        let mut keys = KeyRing::default();
        keys.insert(KeyConfig {
            material: main,
            permissions: config.permissions.clone(),
            ips: config.ips.clone(),
            environment: config.environment,
            account: 0,
        });
        for key in &config.extra_keys {
            if key.account >= accounts.len() {
                return Err(setting(format!(
                    "key {} belongs to account {}, which does not exist",
                    key.material.key, key.account
                )));
            }
            keys.insert(key.clone());
        }
        let free = FeeRate::from_ppm(0)
            .map(|rate| FeeSchedule { maker: rate, taker: rate })
            .map_err(|e| setting(e.to_string()))?;
        let mut rich = || {
            let account = engine.open_account(free);
            for instrument in &instruments {
                for asset in [instrument.config.base, instrument.config.quote] {
                    if engine.balance(account, asset).available == Atoms::ZERO {
                        engine.deposit(account, asset, Atoms::MAX);
                    }
                }
            }
            account
        };
        let house = rich();
        let (resting, taking) = (rich(), rich());
        let crowd = match &config.market {
            Market::Quiet => Crowd::Quiet,
            Market::Seeded => Crowd::Seeded(
                instruments.iter().map(|it| Population::new(config.seed, it.id, &it.config, resting, taking)).collect(),
            ),
            Market::Tape { path, at_end } => {
                let followers = instruments.iter().map(|it| (it.config.symbol, Follower::new(it.id, resting, taking)));
                Crowd::Tape(Box::new(Playback::open(path, *at_end)?), followers.collect())
            }
        };
        let started = clock.mono();
        let clients = accounts.iter().enumerate().map(|(index, account)| (account.engine, index)).collect();
        let limits = Limits::new(Arc::clone(&clock), config.rate_limits, config.stream_limits);
        let mut venue = Self {
            offset_ns: config.clock_offset_ms.saturating_mul(1_000_000),
            started,
            engine,
            instruments,
            accounts,
            clients,
            keys,
            limits,
            hub: Hub::with_faults(Faults::new(config.faults.clone())),
            fees,
            crowd,
            steps: 0,
            house,
            mishaps: Mishaps::default(),
            members: Members::default(),
            main_key,
            place_requests: 0,
            accepted: 0,
            book_interval: config.book_interval,
            next_books: started,
            next_candles: started,
            clock,
        };
        venue.warm_up();
        venue.remember_past(config.seed);
        Ok(venue)
    }

    /// The venue's own time.
    pub(crate) fn now(&self) -> UnixNanos {
        self.clock.unix().shifted(self.offset_ns)
    }

    /// A moment of the clock that never jumps.
    pub(crate) fn mono(&self) -> MonoNanos {
        self.clock.mono()
    }

    /// Time since the start of the exchange.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.mono().since(self.started)
    }

    /// Moves the venue's clock.
    pub(crate) const fn shift_clock(&mut self, by_ns: i64) {
        self.offset_ns = self.offset_ns.saturating_add(by_ns);
    }

    /// The venue's own time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now().as_millis()
    }

    /// The spot instrument of a symbol, in either case.
    pub(crate) fn instrument(&self, symbol: &str) -> Option<&Instrument> {
        self.find(Category::Spot, symbol)
    }

    /// The instrument of a category and symbol, in either case.
    pub(crate) fn find(&self, category: Category, symbol: &str) -> Option<&Instrument> {
        self.listed(category).find(|instrument| instrument.config.symbol.eq_ignore_ascii_case(symbol))
    }

    /// All instruments of a category.
    pub(crate) fn listed(&self, category: Category) -> impl Iterator<Item = &Instrument> {
        self.instruments.iter().filter(move |instrument| instrument.category == category)
    }

    pub(crate) fn by_id(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index())
    }

    /// The middle of the book, in the decimals of the price and one more.
    pub(crate) fn mid(&self, id: InstrumentId) -> Option<Decimal> {
        let book = self.engine.book(id)?;
        let (bid, ask) = (book.best_bid()?.price.0, book.best_ask()?.price.0);
        let decimals = u32::from(self.by_id(id)?.listing.price_decimals);
        Some(Decimal::new((bid + ask).saturating_mul(5), decimals + 1).normalize())
    }

    fn warm_up(&mut self) {
        match &self.crowd {
            Crowd::Seeded(_) => (0..WARM_UP_STEPS).for_each(|_| self.step()),
            Crowd::Tape(..) => self.play(true),
            Crowd::Quiet => {}
        }
        self.publish_books();
    }

    /// Gives a seeded market candles from before the venue opened.
    fn remember_past(&mut self, seed: u64) {
        if !matches!(self.crowd, Crowd::Seeded(_)) {
            return;
        }
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            if let Some(first) = instrument.prints.first() {
                let seed = seed ^ (u64::from(instrument.id.0) << 32);
                let (minutes, hours) = history::before(seed, &instrument.listing, first.0, now_ms);
                instrument.prints.precede(minutes, hours);
            }
        }
    }

    /// Everything that time brings: faults, the market, publications.
    pub(crate) fn tick(&mut self) {
        let now = self.clock.mono();
        let elapsed = now.since(self.started);
        self.faults_on_time(elapsed);
        self.judge_streams();
        match &self.crowd {
            Crowd::Seeded(_) => {
                let due = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / STEP_MS;
                let behind = due.saturating_sub(self.steps);
                (0..behind.min(CATCH_UP_MAX)).for_each(|_| self.step());
                self.steps = due;
            }
            Crowd::Tape(..) => self.play(false),
            Crowd::Quiet => {}
        }
        self.expire_countdowns();
        if now >= self.next_books {
            self.next_books = now.after(self.book_interval);
            self.publish_books();
            self.publish_tickers();
        }
        if now >= self.next_candles {
            self.next_candles = now.after(CANDLE_INTERVAL);
            self.publish_candles();
        }
    }

    fn step(&mut self) {
        let now = self.now();
        let mut events = Vec::new();
        if let Crowd::Seeded(populations) = &mut self.crowd {
            for population in populations {
                population.step(&mut self.engine, now, &mut events);
            }
        }
        self.digest(&events);
    }

    fn play(&mut self, to_first_book: bool) {
        let (now, moment) = (self.now(), self.clock.mono());
        let mut events = Vec::new();
        if let Crowd::Tape(playback, followers) = &mut self.crowd {
            let engine = &mut self.engine;
            let apply = |event: &tape::TapeEvent| {
                if let Some(follower) = followers.get_mut(&event.symbol) {
                    follower.apply(&event.kind, engine, now, &mut events);
                }
            };
            if to_first_book { playback.up_to_first_book(moment, apply) } else { playback.due(moment, apply) }
        }
        self.digest(&events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TapeEnd;
    use crate::desk::tests::{bid, venue};
    use std::path::Path;

    fn import(source: &Path, path: &Path) {
        let input = std::io::BufReader::new(std::fs::File::open(source).unwrap());
        let mut writer = tape::TapeWriter::create(path, "test").unwrap();
        for event in tape::import::hftbacktest(input, None, |_| {}).unwrap() {
            writer.write(&event.unwrap()).unwrap();
        }
        writer.finish_on_disk().unwrap();
    }

    /// The real recording: a quote five thousandths of a percent from the middle trades as a maker.
    #[test]
    fn quotes_near_the_middle_of_a_real_recording_are_filled() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/ws_captures/hftbacktest/spot_btcusdt_20240808.gz");
        if !source.exists() {
            println!("skipped: {} is not here", source.display());
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("real.tape");
        import(&source, &path);
        let (clock, mut venue) = venue(Market::Tape { path, at_end: TapeEnd::Hold });
        let mut fills = [0, 0];
        for _ in 0..600 {
            let mid = venue.mid(InstrumentId(0)).unwrap();
            if venue.accounts[0].store.open().next().is_none() {
                let near = |percent: i64| i64::try_from((mid * Decimal::new(percent, 3)).trunc().mantissa()).unwrap();
                venue.place(0, bid(near(99_995), 100)).unwrap();
                let ask = Ticket { side: Side::Sell, ..bid(near(100_005), 100) };
                venue.place(0, ask).unwrap();
            }
            clock.advance(Duration::from_millis(100));
            venue.tick();
            assert!(venue.engine.book(InstrumentId(0)).unwrap().is_consistent());
        }
        for fill in venue.accounts[0].store.fills() {
            assert!(fill.maker);
            fills[usize::from(fill.side == Side::Sell)] += 1;
        }
        assert!(fills[0] >= 2 && fills[1] >= 2, "{fills:?}");
        let Crowd::Tape(_, followers) = &venue.crowd else { panic!("a tape") };
        assert_eq!(followers.values().map(|follower| follower.unfit).sum::<u64>(), 0);
    }
}
