//! The venue itself: accounts, orders, market, publications; one owner of all state.

use crate::auth::KeyRing;
use crate::depth::{PublishedBook, SHORT_DEPTHS, price_text, qty_text};
use crate::follower::{Follower, Followers, Playback};
use crate::hub::{Hub, Topic};
use crate::limits::Limits;
use crate::orders::{Fill, Look, Order, OrderStatus, OrderStore};
use crate::population::{Population, STEP_MS};
use crate::prints::Prints;
use crate::{
    AccountMode, ApiKeyMaterial, FaultKind, FaultPlan, InstrumentConfig, KeyConfig, Market, SimConfig, SimError,
};
use domain::{Asset, Clock, InstrumentId, MonoNanos, Price, Qty, Side, TimeInForce, UnixNanos};
use matching::{
    AccountId, Atoms, Engine, Event, FeeRate, FeeSchedule, Listing, NewOrder, OrderId, OrderSize, Party, Removal,
    SelfTrade, Trade,
};
use rust_decimal::Decimal;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// One instrument and what is known of its market.
pub(crate) struct Instrument {
    pub(crate) id: InstrumentId,
    pub(crate) config: InstrumentConfig,
    pub(crate) listing: Listing,
    pub(crate) published: PublishedBook,
    pub(crate) prints: Prints,
    /// The ticker's data have changed since it was published.
    ticker_changed: bool,
    /// The running candle has changed since it was published.
    candle_changed: bool,
}

/// A private push that waits for an answer to leave first.
struct Push {
    topic: PushTopic,
    data: String,
    ts_ms: u64,
}

#[derive(Clone, Copy)]
enum PushTopic {
    Orders(InstrumentId),
    Fills(InstrumentId),
    Balance(Asset),
}

/// One client's account.
pub(crate) struct Account {
    pub(crate) engine: AccountId,
    pub(crate) user: u64,
    pub(crate) mode: AccountMode,
    pub(crate) store: OrderStore,
    /// Answers that have not left yet; while there are any, pushes wait.
    holds: u32,
    waiting: VecDeque<Push>,
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
    pub(crate) keys: KeyRing,
    pub(crate) limits: Limits,
    pub(crate) hub: Hub,
    pub(crate) fees: FeeSchedule,
    crowd: Crowd,
    steps: u64,
    house: AccountId,
    faults: FaultPlan,
    /// Faults that wait for the next order.
    armed: Vec<FaultKind>,
    pub(crate) place_requests: u64,
    pub(crate) accepted: u64,
    book_interval: Duration,
    next_books: MonoNanos,
    next_candles: MonoNanos,
}

/// Pushes that may wait for an answer; more are a client that never reads its answers.
const WAITING_MAX: usize = 10_000;
/// Steps of the seeded market before the first client is served.
const WARM_UP_STEPS: u64 = 240;
/// Steps caught up at once after the process was held up.
const CATCH_UP_MAX: u64 = 80;
/// Time between two candle pushes.
const CANDLE_INTERVAL: Duration = Duration::from_secs(1);
/// Minutes of each candle channel, by its name.
pub(crate) const CANDLES: [(&str, &str, u64); 8] = [
    ("1min", "candle1m", 1),
    ("3min", "candle3m", 3),
    ("5min", "candle5m", 5),
    ("15min", "candle15m", 15),
    ("30min", "candle30m", 30),
    ("1h", "candle1H", 60),
    ("4h", "candle4H", 240),
    ("1day", "candle1D", 1_440),
];

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
            let user = 7_264_631_750 + u64::from(account.0);
            accounts.push(Account {
                engine: account,
                user,
                mode,
                store: OrderStore::default(),
                holds: 0,
                waiting: VecDeque::new(),
            });
        }
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
        let limits = Limits::new(Arc::clone(&clock), config.rate_limits, config.stream_limits);
        let mut venue = Self {
            offset_ns: config.clock_offset_ms.saturating_mul(1_000_000),
            started,
            engine,
            instruments,
            accounts,
            keys,
            limits,
            hub: Hub::default(),
            fees,
            crowd,
            steps: 0,
            house,
            faults: config.faults.clone(),
            armed: Vec::new(),
            place_requests: 0,
            accepted: 0,
            book_interval: config.book_interval,
            next_books: started,
            next_candles: started,
            clock,
        };
        venue.warm_up();
        Ok(venue)
    }

    /// The venue's own time.
    pub(crate) fn now(&self) -> UnixNanos {
        self.clock.unix().shifted(self.offset_ns)
    }

    /// The venue's own time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now().as_millis()
    }

    pub(crate) fn instrument(&self, symbol: &str) -> Option<&Instrument> {
        self.instruments.iter().find(|instrument| instrument.config.symbol.eq_ignore_ascii_case(symbol))
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

    /// Everything that time brings: faults, the market, publications.
    pub(crate) fn tick(&mut self) {
        let now = self.clock.mono();
        let elapsed = now.since(self.started);
        for kind in self.faults.due_by(elapsed) {
            self.inject(kind);
        }
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

    // ---- Orders -------------------------------------------------------------------------------

    /// Counts an order that reached the exchange; what is to go wrong with its answer.
    pub(crate) fn on_place_request(&mut self) -> Vec<FaultKind> {
        self.place_requests += 1;
        let due = self.faults.due_at_order(self.place_requests);
        let (order, market): (Vec<FaultKind>, Vec<FaultKind>) =
            due.into_iter().partition(|kind| kind.concerns_an_order());
        for kind in market {
            self.inject(kind);
        }
        let mut faults = std::mem::take(&mut self.armed);
        faults.extend(order);
        faults
    }

    /// Keeps faults for the next order: the one they were meant for was not taken.
    pub(crate) fn rearm(&mut self, faults: Vec<FaultKind>) {
        self.armed.extend(faults);
    }

    /// Lets something go wrong now, or with the next order if it concerns one.
    pub(crate) fn inject(&mut self, kind: FaultKind) {
        tracing::info!(fault = kind.name(), "fault injected");
        match kind {
            FaultKind::Drop => self.hub.cut_public(),
            FaultKind::Stall => self.hub.stall_public(),
            FaultKind::Gap | FaultKind::BadChecksum => {
                // An instrument that somebody listens to; without listeners it waits for the first.
                let heard = self.instruments.iter().position(|it| self.hub.has_listener(Topic::Books(it.id)));
                if let Some(instrument) = self.instruments.get_mut(heard.unwrap_or(0)) {
                    match kind {
                        FaultKind::Gap => instrument.published.withhold_next = true,
                        _ => instrument.published.corrupt_next = true,
                    }
                }
            }
            FaultKind::ServerErrorAfterAccept | FaultKind::AckLost | FaultKind::FillBeforeAck => self.armed.push(kind),
        }
    }

    /// Takes an order into the engine and remembers it.
    pub(crate) fn place(&mut self, account: usize, ticket: Ticket) -> Result<(OrderId, String), matching::PlaceError> {
        let now = self.now();
        let owner =
            self.accounts.get(account).map(|account| account.engine).ok_or(matching::PlaceError::UnknownAccount)?;
        let order = NewOrder {
            account: owner,
            instrument: ticket.instrument,
            side: ticket.side,
            size: ticket.size,
            time_in_force: ticket.force,
            self_trade: ticket.self_trade,
        };
        let mut events = Vec::new();
        let id = self.engine.place(order, now, &mut events)?;
        self.accepted += 1;
        let client_oid = ticket.client_oid.unwrap_or_else(|| id.0.to_string());
        let (price, qty, budget) = match ticket.size {
            OrderSize::Limit { price, qty } => (Some(price), qty, None),
            OrderSize::MarketBase { qty } => (None, qty, None),
            OrderSize::MarketQuote { budget } => (None, Qty::ZERO, Some(budget)),
        };
        let fee_asset = self
            .by_id(ticket.instrument)
            .map(|it| if ticket.side == Side::Buy { it.config.base } else { it.config.quote });
        let record = Order {
            id,
            client_oid: client_oid.clone(),
            instrument: ticket.instrument,
            side: ticket.side,
            force: ticket.force,
            self_trade: ticket.self_trade,
            price,
            qty,
            budget,
            filled: Qty::ZERO,
            filled_quote: Atoms::ZERO,
            fee: Atoms::ZERO,
            fee_asset: fee_asset.unwrap_or_default(),
            status: OrderStatus::Live,
            cancel_reason: None,
            created_ms: now.as_millis(),
            updated_ms: now.as_millis(),
        };
        if let Some(account) = self.accounts.get_mut(account) {
            account.store.insert(record);
        }
        self.push_order(account, id, None);
        self.digest(&events);
        if events.len() == 1 {
            // It rests: nothing traded, but its cost is frozen now.
            self.push_balances(account, ticket.instrument);
        }
        Ok((id, client_oid))
    }

    /// Cancels an open order; false when it does not rest.
    pub(crate) fn cancel(&mut self, account: usize, id: OrderId) -> bool {
        let Some(owner) = self.accounts.get(account) else { return false };
        let (engine_id, Some(order)) = (owner.engine, owner.store.get(id)) else { return false };
        let instrument = order.instrument;
        let mut events = Vec::new();
        let cancelled = self.engine.cancel(engine_id, instrument, id, &mut events);
        self.digest(&events);
        cancelled
    }

    /// Lets the market trade with a resting order until it is filled.
    pub(crate) fn fill_now(&mut self, account: usize, id: OrderId) {
        let Some(order) = self.accounts.get(account).and_then(|account| account.store.get(id)) else { return };
        let (instrument, side) = (order.instrument, order.side.opposite());
        let Some(book) = self.engine.book(instrument) else { return };
        let (Some(resting), Some(ahead)) = (book.order(id).copied(), book.ahead_of(id)) else { return };
        let qty = Qty(ahead.0.saturating_add(resting.remaining.0));
        self.house_order(instrument, side, resting.price, qty);
    }

    /// An immediate-or-cancel order of the house; true when it was taken.
    pub(crate) fn house_order(&mut self, instrument: InstrumentId, side: Side, price: Price, qty: Qty) -> bool {
        self.house_place(instrument, side, price, qty, TimeInForce::Ioc)
    }

    /// An order of a participant who is not an API client.
    pub(crate) fn house_place(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        price: Price,
        qty: Qty,
        force: TimeInForce,
    ) -> bool {
        let order = NewOrder {
            account: self.house,
            instrument,
            side,
            size: OrderSize::Limit { price, qty },
            time_in_force: force,
            self_trade: SelfTrade::CancelMaker,
        };
        let mut events = Vec::new();
        let taken = self.engine.place(order, self.now(), &mut events).is_ok();
        self.digest(&events);
        taken
    }

    /// Takes what the engine reported into records, prints and pushes.
    fn digest(&mut self, events: &[Event]) {
        let now_ms = self.now_ms();
        let mut touched: Vec<(usize, InstrumentId)> = Vec::new();
        for (position, event) in events.iter().enumerate() {
            match event {
                Event::Accepted { .. } => {}
                Event::Traded(trade) => {
                    self.print(trade, now_ms);
                    for (party, maker) in [(&trade.maker, true), (&trade.taker, false)] {
                        let Some(account) = self.client(party.account) else { continue };
                        let last = completes(events.get(position + 1..).unwrap_or(&[]), party.order);
                        self.record_fill(account, trade, party, maker, last, now_ms);
                        touched.push((account, trade.instrument));
                    }
                }
                Event::Removed { order, account, instrument, how } => {
                    let Some(account) = self.client(*account) else { continue };
                    touched.push((account, *instrument));
                    self.record_removal(account, *order, *how, now_ms);
                }
            }
        }
        touched.sort_unstable_by_key(|(account, instrument)| (*account, instrument.0));
        touched.dedup();
        for (account, instrument) in touched {
            self.push_balances(account, instrument);
        }
    }

    /// The client behind an account of the engine; clients' accounts were opened first.
    fn client(&self, account: AccountId) -> Option<usize> {
        usize::try_from(account.0).ok().filter(|index| *index < self.accounts.len())
    }

    fn print(&mut self, trade: &Trade, now_ms: u64) {
        let Some(instrument) = self.instruments.get_mut(trade.instrument.index()) else { return };
        let print = instrument.prints.record(trade, now_ms);
        (instrument.ticker_changed, instrument.candle_changed) = (true, true);
        let topic = Topic::Trade(trade.instrument);
        if self.hub.has_listener(topic) {
            self.hub.publish(topic, "update", &trade_item(&print, &instrument.listing), now_ms);
        }
    }

    fn record_fill(&mut self, account: usize, trade: &Trade, party: &Party, maker: bool, last: bool, now_ms: u64) {
        let Some(order) = self.accounts.get_mut(account).and_then(|owner| owner.store.get_mut(party.order)) else {
            return;
        };
        order.filled = Qty(order.filled.0.saturating_add(trade.qty.0));
        order.filled_quote = Atoms(order.filled_quote.0 + trade.notional.0);
        order.fee = Atoms(order.fee.0 + party.fee.0);
        order.status = if last { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        order.updated_ms = now_ms;
        let fill = Fill {
            trade_id: trade.id.0,
            order: party.order,
            client_oid: order.client_oid.clone(),
            instrument: trade.instrument,
            market_order: order.price.is_none(),
            side: order.side,
            price: trade.price,
            qty: trade.qty,
            notional: trade.notional,
            fee: party.fee,
            fee_asset: party.fee_asset,
            maker,
            at_ms: now_ms,
        };
        self.push_order(account, party.order, Some(&fill));
        if let (Some(instrument), Some(owner)) = (self.by_id(trade.instrument), self.accounts.get(account)) {
            let look = Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user: owner.user };
            let data = fill.pushed(look).to_string();
            self.push(account, PushTopic::Fills(trade.instrument), data, now_ms);
        }
        if let Some(owner) = self.accounts.get_mut(account) {
            owner.store.add_fill(fill);
        }
    }

    fn record_removal(&mut self, account: usize, id: OrderId, how: Removal, now_ms: u64) {
        let Some(owner) = self.accounts.get_mut(account) else { return };
        let Some(order) = owner.store.get_mut(id) else { return };
        match how {
            // The trade that completed it has told so already.
            Removal::Filled => order.status = OrderStatus::Filled,
            Removal::Cancelled(reason) => {
                order.status = OrderStatus::Cancelled;
                order.cancel_reason = Some(reason);
                order.updated_ms = now_ms;
            }
        }
        owner.store.ended(id);
        if matches!(how, Removal::Cancelled(_)) {
            self.push_order(account, id, None);
        }
    }

    // ---- Pushes -------------------------------------------------------------------------------

    /// Lets the account's pushes wait until [`Self::release`].
    pub(crate) fn hold(&mut self, account: usize) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.holds += 1;
        }
    }

    /// One answer has left; when it was the last one, the pushes go.
    pub(crate) fn release(&mut self, account: usize) {
        let Some(owner) = self.accounts.get_mut(account) else { return };
        owner.holds = owner.holds.saturating_sub(1);
        if owner.holds > 0 {
            return;
        }
        for push in std::mem::take(&mut owner.waiting) {
            self.deliver(account, &push);
        }
    }

    fn push(&mut self, account: usize, topic: PushTopic, data: String, ts_ms: u64) {
        let push = Push { topic, data, ts_ms };
        match self.accounts.get_mut(account) {
            Some(owner) if owner.holds > 0 => {
                if owner.waiting.len() < WAITING_MAX {
                    owner.waiting.push_back(push);
                }
            }
            _ => self.deliver(account, &push),
        }
    }

    fn deliver(&mut self, account: usize, push: &Push) {
        let hears = |topic: Topic| match (topic, push.topic) {
            (Topic::Orders(wanted), PushTopic::Orders(it)) | (Topic::Fills(wanted), PushTopic::Fills(it)) => {
                wanted.is_none_or(|wanted| wanted == it)
            }
            (Topic::Balances(wanted), PushTopic::Balance(it)) => wanted.is_none_or(|wanted| wanted == it),
            _ => false,
        };
        self.hub.push(account, hears, &push.data, push.ts_ms);
    }

    fn push_order(&mut self, account: usize, id: OrderId, fill: Option<&Fill>) {
        let Some(owner) = self.accounts.get(account) else { return };
        let Some(order) = owner.store.get(id) else { return };
        let Some(instrument) = self.by_id(order.instrument) else { return };
        let look = Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user: owner.user };
        let (topic, data, ts_ms) =
            (PushTopic::Orders(order.instrument), order.pushed(look, fill).to_string(), self.now_ms());
        self.push(account, topic, data, ts_ms);
    }

    fn push_balances(&mut self, account: usize, instrument: InstrumentId) {
        let Some(config) = self.by_id(instrument).map(|instrument| instrument.config) else { return };
        let now_ms = self.now_ms();
        for asset in [config.base, config.quote] {
            let Some(item) = self.balance_item(account, asset) else { continue };
            self.push(account, PushTopic::Balance(asset), item, now_ms);
        }
    }

    /// One coin of an account as `account` shows it.
    pub(crate) fn balance_item(&self, account: usize, asset: Asset) -> Option<String> {
        let balance = self.engine.balance(self.accounts.get(account)?.engine, asset);
        let item = json!({
            "coin": asset, "available": balance.available.to_string(), "frozen": balance.frozen.to_string(),
            "locked": "0", "limitAvailable": "0", "uTime": self.now_ms().to_string(),
        });
        Some(item.to_string())
    }

    // ---- Publications -------------------------------------------------------------------------

    pub(crate) fn publish_books(&mut self) {
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            let Some(book) = self.engine.book(instrument.id) else { continue };
            let subscribed = self.hub.has_listener(Topic::Books(instrument.id));
            let Some(update) = instrument.published.advance(book, &instrument.listing, now_ms, subscribed) else {
                continue;
            };
            instrument.ticker_changed = true;
            if update.publish {
                self.hub.publish(Topic::Books(instrument.id), "update", &update.data, now_ms);
            }
            for (depth, changed) in SHORT_DEPTHS.into_iter().zip(update.changed_within) {
                let topic = Topic::ShortBook(instrument.id, depth);
                if changed && self.hub.has_listener(topic) {
                    let data = instrument.published.snapshot(&instrument.listing, depth, now_ms);
                    self.hub.publish(topic, "snapshot", &data, now_ms);
                }
            }
        }
    }

    fn publish_tickers(&mut self) {
        let now_ms = self.now_ms();
        for position in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get_mut(position) else { continue };
            let topic = Topic::Ticker(instrument.id);
            if std::mem::take(&mut instrument.ticker_changed) && self.hub.has_listener(topic) {
                let data = self.instruments.get(position).map(|instrument| self.ticker_push(instrument));
                self.hub.publish(topic, "snapshot", &data.unwrap_or_default(), now_ms);
            }
        }
    }

    fn publish_candles(&mut self) {
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            if !std::mem::take(&mut instrument.candle_changed) {
                continue;
            }
            for (_, _, minutes) in CANDLES {
                let topic = Topic::Candle(instrument.id, minutes);
                if self.hub.has_listener(topic) {
                    let last = instrument.prints.candles(minutes, (0, u64::MAX), 1);
                    let rows: Vec<String> =
                        last.iter().map(|candle| candle_row(candle, &instrument.listing).to_string()).collect();
                    self.hub.publish(topic, "update", &rows.join(","), now_ms);
                }
            }
        }
    }

    /// The ticker as its channel shows it.
    pub(crate) fn ticker_push(&self, instrument: &Instrument) -> String {
        let mut ticker = self.ticker(instrument);
        if let Some(members) = ticker.as_object_mut() {
            members.remove("symbol");
            members.remove("usdtVolume");
            let open = members.remove("open");
            members.insert("open24h".into(), open.unwrap_or_default());
            members.insert("instId".into(), json!(instrument.config.symbol));
        }
        ticker.to_string()
    }

    /// The ticker as REST shows it.
    pub(crate) fn ticker(&self, instrument: &Instrument) -> serde_json::Value {
        let (listing, now_ms) = (&instrument.listing, self.now_ms());
        let book = self.engine.book(instrument.id);
        let (bid, ask) = (book.and_then(matching::Book::best_bid), book.and_then(matching::Book::best_ask));
        let price = |mantissa: i64| price_text(Price(mantissa), listing).to_string();
        let qty =
            |depth: Option<matching::Depth>| qty_text(depth.map_or(Qty::ZERO, |depth| depth.qty), listing).to_string();
        let side = |depth: Option<matching::Depth>| price(depth.map_or(0, |depth| depth.price.0));
        let day = instrument.prints.day(now_ms);
        let volume = |mantissa: i128, decimals: u8| {
            Atoms::from_mantissa(mantissa, u32::from(decimals)).unwrap_or_default().to_string()
        };
        let quote_decimals = listing.price_decimals + listing.qty_decimals;
        let change = day
            .filter(|day| day.open > 0)
            .map_or(Decimal::ZERO, |day| (Decimal::from(day.last - day.open) / Decimal::from(day.open)).round_dp(5));
        let figure = |pick: fn(crate::prints::Day) -> i64| price(day.map_or(0, pick));
        let quote = volume(day.map_or(0, |day| day.quote), quote_decimals);
        json!({
            "symbol": instrument.config.symbol, "high24h": figure(|day| day.high), "open": figure(|day| day.open),
            "low24h": figure(|day| day.low), "lastPr": figure(|day| day.last), "quoteVolume": quote,
            "baseVolume": volume(day.map_or(0, |day| day.base), listing.qty_decimals), "usdtVolume": quote,
            "bidPr": side(bid), "askPr": side(ask), "bidSz": qty(bid), "askSz": qty(ask),
            "openUtc": figure(|day| day.open), "ts": now_ms.to_string(),
            "changeUtc24h": change.to_string(), "change24h": change.to_string(),
        })
    }

    /// Sessions' view of every key of an account, for the control handle.
    pub(crate) fn balances(&self, account: usize) -> BTreeMap<Asset, matching::Balance> {
        self.accounts.get(account).map(|owner| self.engine.balances(owner.engine).collect()).unwrap_or_default()
    }
}

/// Whether an order ends filled, with nothing more traded for it.
fn completes(later: &[Event], order: OrderId) -> bool {
    for event in later {
        match event {
            Event::Traded(trade) if trade.maker.order == order || trade.taker.order == order => return false,
            Event::Removed { order: id, how, .. } if *id == order => return *how == Removal::Filled,
            _ => {}
        }
    }
    false
}

/// A public trade as the `trade` channel shows it.
pub(crate) fn trade_item(print: &crate::prints::Print, listing: &Listing) -> String {
    let (price, size) = (price_text(print.price, listing), qty_text(print.qty, listing));
    let (at, side, id) = (print.at_ms, print.side, print.id);
    format!("{{\"ts\":\"{at}\",\"price\":\"{price}\",\"size\":\"{size}\",\"side\":\"{side}\",\"tradeId\":\"{id}\"}}")
}

/// A candle as the venue shows it: eight texts.
pub(crate) fn candle_row(candle: &crate::prints::Candle, listing: &Listing) -> serde_json::Value {
    let price = |mantissa: i64| price_text(Price(mantissa), listing).to_string();
    let volume = |mantissa: i128, decimals: u8| {
        Atoms::from_mantissa(mantissa, u32::from(decimals)).unwrap_or_default().to_string()
    };
    let quote = volume(candle.quote, listing.price_decimals + listing.qty_decimals);
    json!([
        candle.start_ms.to_string(),
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        volume(candle.base, listing.qty_decimals),
        quote,
        quote,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TapeEnd;
    use crate::hub::Out;
    use clock::ManualClock;
    use serde_json::Value;
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::Path;
    use tokio::sync::mpsc::{Receiver, channel};

    fn venue(market: Market) -> (Arc<ManualClock>, Venue) {
        let clock = Arc::new(ManualClock::default());
        clock.set_unix(UnixNanos::from_millis(1_700_000_000_000));
        let config = SimConfig { market, ..SimConfig::default() };
        let key = ApiKeyMaterial { key: "bg_1".into(), secret: "s".into(), passphrase: "p".into() };
        let venue = Venue::new(&config, key, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        (clock, venue)
    }

    /// A logged-in client of all private channels.
    fn listener(venue: &mut Venue) -> Receiver<Out> {
        let (queue, frames) = channel(10_000);
        let id = venue.hub.open(queue, None, IpAddr::V4(Ipv4Addr::LOCALHOST), false);
        let session = venue.hub.get_mut(id).unwrap();
        session.account = Some(0);
        session.topics = [Topic::Orders(None), Topic::Fills(None), Topic::Balances(None)]
            .map(|topic| (topic, "{}".to_owned()))
            .to_vec();
        frames
    }

    fn heard(frames: &mut Receiver<Out>) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Ok(Out::Text(text)) = frames.try_recv() {
            let frame: Value = serde_json::from_str(&text).unwrap();
            heard.push(frame["data"][0].clone());
        }
        heard
    }

    fn bid(price: i64, qty: i64) -> Ticket {
        Ticket {
            instrument: InstrumentId(0),
            side: Side::Buy,
            size: OrderSize::Limit { price: Price(price), qty: Qty(qty) },
            force: TimeInForce::Gtc,
            self_trade: SelfTrade::Allow,
            client_oid: None,
        }
    }

    #[test]
    fn pushes_wait_until_every_answer_has_left_and_then_come_in_order() {
        let (_, mut venue) = venue(Market::Quiet);
        let mut frames = listener(&mut venue);
        venue.hold(0);
        venue.hold(0);
        let (id, _) = venue.place(0, bid(6_000_000, 1_000)).unwrap();
        venue.fill_now(0, id);
        assert!(heard(&mut frames).is_empty());
        venue.release(0);
        assert!(heard(&mut frames).is_empty(), "another answer is still on its way");
        venue.release(0);
        let told = heard(&mut frames);
        let states: Vec<&str> = told.iter().filter_map(|data| data["status"].as_str()).collect();
        assert_eq!(states, ["live", "filled"]);
        assert!(told.iter().any(|data| data["tradeId"].is_string() && data["symbol"] == "BTCUSDT"));
    }

    #[test]
    fn an_order_completed_by_several_trades_is_filled_with_the_last_one_only() {
        let (_, mut venue) = venue(Market::Quiet);
        for price in [6_000_000, 6_000_100, 6_000_200] {
            assert!(venue.house_place(InstrumentId(0), Side::Sell, Price(price), Qty(100), TimeInForce::Gtc));
        }
        let mut frames = listener(&mut venue);
        venue.place(0, bid(6_000_200, 300)).unwrap();
        let told = heard(&mut frames);
        let states: Vec<&str> = told.iter().filter_map(|data| data["status"].as_str()).collect();
        assert_eq!(states, ["live", "partially_filled", "partially_filled", "filled"]);
    }

    #[test]
    fn coins_are_conserved_while_a_client_trades_with_the_crowd() {
        let (clock, mut venue) = venue(Market::Seeded);
        let assets: Vec<Asset> = ["BTC", "ETH", "SOL", "USDT"].iter().map(|code| Asset::from(code).unwrap()).collect();
        let totals = |venue: &Venue| assets.iter().map(|asset| venue.engine.total(*asset)).collect::<Vec<_>>();
        let before = totals(&venue);
        for _ in 0..400 {
            let best = venue.engine.book(InstrumentId(0)).unwrap().best_bid().unwrap();
            venue.place(0, bid(best.price.0 + 50, 1_000)).unwrap();
            clock.advance(Duration::from_millis(100));
            venue.tick();
            let open: Vec<OrderId> = venue.accounts[0].store.open().map(|order| order.id).collect();
            for id in open {
                assert!(venue.cancel(0, id));
            }
        }
        assert_eq!(totals(&venue), before);
        assert!(venue.accounts[0].store.fills().count() > 20);
        assert!(venue.engine.fees_collected(assets[0]) > Atoms::ZERO);
    }

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
