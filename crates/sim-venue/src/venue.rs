//! The venue itself: accounts, orders, market, publications; one owner of all state.

use crate::auth::KeyRing;
use crate::depth::PublishedBook;
use crate::fault_desk::Faults;
use crate::follower::{Followers, Playback};
use crate::hub::Hub;
use crate::limits::Limits;
use crate::members::Members;
use crate::mishaps::Mishaps;
use crate::orders::{Order, OrderStore};
use crate::outgoing::Outgoing;
use crate::perpetuals::{Perpetual, PerpetualCrowd};
use crate::population::{Population, STEP_MS};
use crate::prints::Prints;
use crate::records::FuturesRecords;
use crate::{AccountMode, ApiKeyMaterial, Category, InstrumentConfig, KeyConfig, SimConfig, SimError};
use crate::{history, opening};
use domain::{Asset, Clock, InstrumentId, MonoNanos, Side, TimeInForce, UnixNanos};
use matching::{AccountId, Engine, FeeSchedule, Intent, Listing, OrderId, OrderSize, SelfTrade};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One instrument and what is known of its market.
pub(crate) struct Instrument {
    pub(crate) id: InstrumentId,
    pub(crate) category: Category,
    pub(crate) config: InstrumentConfig,
    pub(crate) listing: Listing,
    /// `None` on spot.
    pub(crate) perpetual: Option<Perpetual>,
    pub(crate) published: PublishedBook,
    pub(crate) prints: Prints,
    /// The ticker's data have changed since it was published.
    pub(crate) ticker_changed: bool,
    /// The running candle has changed since it was published.
    pub(crate) candle_changed: bool,
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
    /// Spot orders and fills.
    pub(crate) store: OrderStore,
    /// What it did on perpetuals.
    pub(crate) futures: FuturesRecords,
    /// Answers that have not left yet, and what waits behind them.
    pub(crate) outgoing: Outgoing,
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
            futures: FuturesRecords::default(),
            outgoing: Outgoing::default(),
            cancel_at: None,
        }
    }

    /// One of its orders, on spot or on a perpetual.
    pub(crate) fn order(&self, id: OrderId) -> Option<&Order> {
        self.store.get(id).or_else(|| self.futures.store.get(id))
    }
}

/// Who moves the spot market.
pub(crate) enum Crowd {
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
    /// What it is to do to a position, on a perpetual; `None` on spot.
    pub(crate) intent: Option<Intent>,
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
    /// What perpetuals settle in; `None` where there are none.
    pub(crate) settle: Option<Asset>,
    crowd: Crowd,
    /// Those who trade the perpetuals, where they are not the recording's.
    pub(crate) perpetual_crowds: Vec<PerpetualCrowd>,
    steps: u64,
    pub(crate) house: AccountId,
    /// Takes over what liquidation leaves.
    pub(crate) insurance: AccountId,
    /// Number of the last bill.
    pub(crate) last_bill: u64,
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
        let instruments = opening::list(config, &mut engine, now.as_millis())?;
        let fees = opening::fees(config.maker_fee, config.taker_fee)?;
        let settle = instruments.iter().find(|it| it.perpetual.is_some()).map(|it| it.config.quote);
        let accounts = opening::accounts(config, &mut engine, settle)?;
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
        let mut rich = || opening::rich(&mut engine, &instruments);
        let (house, resting, taking, insurance) = (rich()?, rich()?, rich()?, rich()?);
        let (crowd, perpetual_crowds) = opening::crowds(config, &instruments, (resting, taking))?;
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
            settle,
            crowd,
            perpetual_crowds,
            steps: 0,
            house,
            insurance,
            last_bill: first_id,
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
            Crowd::Tape(..) => {
                self.play(true);
                (0..WARM_UP_STEPS).for_each(|_| self.step());
            }
            Crowd::Quiet => self.mark_perpetuals(),
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
        if matches!(self.crowd, Crowd::Tape(..)) {
            self.play(false);
        }
        let due = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / STEP_MS;
        let behind = due.saturating_sub(self.steps);
        (0..behind.min(CATCH_UP_MAX)).for_each(|_| self.step());
        self.steps = due;
        self.settle_funding();
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

    /// One step of all seeded participants, and the mark prices that follow from it.
    fn step(&mut self) {
        let now = self.now();
        let mut events = Vec::new();
        if let Crowd::Seeded(populations) = &mut self.crowd {
            for population in populations {
                population.step(&mut self.engine, now, &mut events);
            }
        }
        self.digest(&events);
        self.step_perpetuals();
        self.mark_perpetuals();
    }

    /// What a spot instrument is taken to be worth, in quote: by its seeded participants, or by its book.
    pub(crate) fn fair(&self, id: InstrumentId) -> Option<f64> {
        if let Crowd::Seeded(populations) = &self.crowd {
            return populations.iter().find(|it| it.instrument() == id).map(Population::fair_price);
        }
        self.mid(id).and_then(|price| price.to_f64())
    }

    fn play(&mut self, to_first_book: bool) {
        let (now, moment) = (self.now(), self.clock.mono());
        let mut events = Vec::new();
        if let Crowd::Tape(playback, followers) = &mut self.crowd {
            let engine = &mut self.engine;
            let apply = |event: &tape::TapeEvent| {
                for follower in followers.get_mut(&event.symbol).into_iter().flatten() {
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
    use crate::desk::tests::{bid, venue};
    use crate::{Market, TapeEnd};
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
        assert_eq!(followers.values().flatten().map(|follower| follower.unfit).sum::<u64>(), 0);
    }
}
