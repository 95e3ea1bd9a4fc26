//! Whether the core keeps up: many clients at once, and not one private event lost or out of order.
//!
//! By default a short run. `SIM_LOAD_SECONDS=60 SIM_LOAD_RATE=2000 cargo test --release -p sim-venue
//! --lib load_tests -- --nocapture` makes a long one at a rate, `SIM_LOAD_RATE=0` as fast as it goes.

use crate::desk::tests::bid;
use crate::hub::{Out, Topic};
use crate::venue::{Ticket, Venue};
use crate::{AccountConfig, AccountMode, ApiKeyMaterial, Category, SimConfig};
use clock::SystemClock;
use domain::{Asset, Clock, InstrumentId, MonoNanos, Price, Qty, Side};
use matching::{Intent, OrderId, OrderSize};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};

const CLIENTS: usize = 20;
/// Orders that each client lets rest before it cancels the oldest.
const RESTING: usize = 50;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What one client did and heard.
#[derive(Default)]
struct Report {
    placed: Vec<OrderId>,
    refused: u64,
    /// States of each order, in the order of hearing.
    heard: BTreeMap<u64, Vec<String>>,
    /// Orders in the order in which they were told to be live.
    live: Vec<u64>,
    fills: BTreeMap<String, u32>,
    worst: Duration,
}

struct Client {
    number: usize,
    venue: Arc<Mutex<Venue>>,
    clock: Arc<SystemClock>,
    frames: Receiver<Out>,
    resting: VecDeque<OrderId>,
    report: Report,
}

impl Client {
    fn with<T>(&self, act: impl FnOnce(&mut Venue) -> T) -> T {
        act(&mut self.venue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One request: judged under the lock, answered outside it, and only then are its events told.
    fn request<T>(&mut self, act: impl FnOnce(&mut Venue, usize) -> T) -> T {
        let (account, before) = (self.number, self.clock.mono());
        let (outcome, place) = self.with(|venue| {
            let place = venue.hold(account);
            (act(venue, account), place)
        });
        self.report.worst = self.report.worst.max(self.clock.mono().since(before));
        self.with(|venue| venue.release(account, place));
        outcome
    }

    fn order(&mut self, round: u64) {
        let far = i64::try_from(round % 40).unwrap();
        let outcome = self.request(|venue, account| {
            let futures = round % 2 == 1;
            let category = if futures { Category::UsdtFutures } else { Category::Spot };
            let id = venue.find(category, "BTCUSDT").unwrap().id;
            let best = venue.engine.book(id).and_then(matching::Book::best_ask).map_or(6_000_000, |best| best.price.0);
            let step = if futures { 5 } else { 50 };
            // Every eighth takes; the rest stand below the market.
            let price = if round % 8 < 2 { best + step } else { best - (far + 1) * step };
            let (side, qty) = (Side::Buy, if futures { 2 } else { 100 });
            let size = OrderSize::Limit { price: Price(price), qty: Qty(qty) };
            if futures {
                let intent = Some(Intent::OneWay { reduce_only: false });
                venue.place_futures(account, Ticket { instrument: id, side, size, intent, ..bid(1, 1) }).ok()
            } else {
                venue.place(account, Ticket { instrument: id, side, size, ..bid(1, 1) }).ok()
            }
        });
        match outcome {
            Some((id, _)) => {
                self.report.placed.push(id);
                self.resting.push_back(id);
            }
            None => self.report.refused += 1,
        }
        if self.resting.len() > RESTING {
            self.cancel_oldest();
        }
    }

    fn cancel_oldest(&mut self) {
        if let Some(oldest) = self.resting.pop_front() {
            self.request(|venue, account| venue.cancel(account, oldest));
        }
    }

    fn read(&mut self) {
        while let Ok(Out::Text(text)) = self.frames.try_recv() {
            let frame: Value = serde_json::from_str(&text).unwrap();
            let data = &frame["data"][0];
            if let Some(state) = data["status"].as_str() {
                let id: u64 = data["orderId"].as_str().unwrap().parse().unwrap();
                if state == "live" && !self.report.heard.contains_key(&id) {
                    self.report.live.push(id);
                }
                self.report.heard.entry(id).or_default().push(state.to_owned());
            } else if let Some(trade) = data["tradeId"].as_str() {
                *self.report.fills.entry(format!("{trade} {}", data["orderId"])).or_default() += 1;
            }
        }
    }

    fn run(mut self, rate: u64, until: MonoNanos) -> (Report, usize) {
        let start = self.clock.mono();
        let mut round = 0_u64;
        while self.clock.mono() < until {
            self.order(round);
            self.read();
            round += 1;
            if let Some(ahead) = (round * 1_000_000_000 * u64::try_from(CLIENTS).unwrap()).checked_div(rate) {
                let due = start.after(Duration::from_nanos(ahead));
                let now = self.clock.mono();
                if due > now {
                    thread::sleep(due.since(now));
                }
            }
        }
        while !self.resting.is_empty() {
            self.cancel_oldest();
            self.read();
        }
        self.read();
        (self.report, self.number)
    }
}

fn config() -> SimConfig {
    let coin = |code: &str, amount: i64| (Asset::from(code).unwrap(), Decimal::from(amount));
    let account = || AccountConfig {
        mode: AccountMode::Classic,
        balances: vec![coin("USDT", 10_000_000), coin("BTC", 100)],
        futures_balance: None,
    };
    SimConfig {
        extra_accounts: (1..CLIENTS).map(|_| account()).collect(),
        balances: account().balances,
        ..SimConfig::default()
    }
}

/// Orders and fills as their owner must have heard them, against the venue's own memory.
fn judge(venue: &Venue, report: &Report, account: usize) {
    let owner = &venue.accounts[account];
    let kept = |id: u64| owner.order(OrderId(id)).is_some();
    let live: Vec<u64> = report.placed.iter().map(|id| id.0).filter(|id| kept(*id)).collect();
    let told: Vec<u64> = report.live.iter().copied().filter(|id| kept(*id)).collect();
    assert_eq!(told, live, "every order is told live, in the order of placing");
    for id in live {
        let states = &report.heard[&id];
        assert_eq!(states.iter().filter(|state| *state == "live").count(), 1, "{id}: {states:?}");
        let ended = states.iter().position(|state| ["filled", "cancelled", "canceled"].contains(&state.as_str()));
        assert_eq!(ended, Some(states.len() - 1), "{id} ends once, and last: {states:?}");
    }
    for fill in owner.store.fills().chain(owner.futures.store.fills()) {
        let name = format!("{} \"{}\"", fill.trade_id, fill.order.0);
        assert_eq!(report.fills.get(&name), Some(&1), "fill {name} is told once");
    }
}

#[test]
fn twenty_clients_at_once_hear_every_event_once_and_in_order() {
    let (seconds, rate) = (number("SIM_LOAD_SECONDS", 2), number("SIM_LOAD_RATE", 500));
    let clock = Arc::new(SystemClock);
    let key = ApiKeyMaterial { key: "bg_1".into(), secret: "s".into(), passphrase: "p".into() };
    let mut venue = Venue::new(&config(), key, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let mut queues = Vec::new();
    for account in 0..CLIENTS {
        let (queue, frames) = channel(4_096);
        let id = venue.hub.open(queue, None, IpAddr::V4(Ipv4Addr::LOCALHOST), false);
        let session = venue.hub.get_mut(id).unwrap();
        session.account = Some(account);
        let private = [
            Topic::Orders(None),
            Topic::Fills(None),
            Topic::Balances(None),
            Topic::MixOrders(None),
            Topic::MixFills(None),
            Topic::MixAccount,
            Topic::MixPositions(None),
        ];
        session.topics = private.map(|topic| (topic, "{}".to_owned())).to_vec();
        queues.push(frames);
    }
    let total = venue.engine.total(Asset::from("USDT").unwrap());
    let venue = Arc::new(Mutex::new(venue));
    let (stop, start) = (Arc::new(AtomicBool::new(false)), clock.mono());
    let until = start.after(Duration::from_secs(seconds));
    let ticking = {
        let (venue, stop, clock) = (Arc::clone(&venue), Arc::clone(&stop), Arc::clone(&clock));
        thread::spawn(move || {
            let mut worst = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(25));
                let mut venue = venue.lock().unwrap_or_else(PoisonError::into_inner);
                let before = clock.mono();
                venue.tick();
                worst = worst.max(clock.mono().since(before));
            }
            worst
        })
    };
    let clients: Vec<_> = queues
        .into_iter()
        .enumerate()
        .map(|(number, frames)| {
            let (venue, clock) = (Arc::clone(&venue), Arc::clone(&clock));
            let client = Client { number, venue, clock, frames, resting: VecDeque::new(), report: Report::default() };
            thread::spawn(move || client.run(rate, until))
        })
        .collect();
    let reports: Vec<(Report, usize)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let took = clock.mono().since(start);
    stop.store(true, Ordering::Relaxed);
    let worst_tick = ticking.join().unwrap();
    let venue = venue.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(venue.hub.slow(), 0, "nobody was cut off");
    assert_eq!(venue.engine.total(Asset::from("USDT").unwrap()), total);
    for instrument in 0..venue.instruments.len() {
        let id = InstrumentId(u16::try_from(instrument).unwrap());
        assert!(venue.engine.book(id).unwrap().is_consistent());
    }
    let mut orders = 0;
    for (report, account) in &reports {
        judge(&venue, report, *account);
        orders += report.placed.len();
    }
    let refused: u64 = reports.iter().map(|(report, _)| report.refused).sum();
    let worst = reports.iter().map(|(report, _)| report.worst).max().unwrap_or_default();
    let events: usize = reports.iter().flat_map(|(report, _)| report.heard.values()).map(Vec::len).sum();
    let per_second = u128::try_from(orders).unwrap() * 1_000 / took.as_millis().max(1);
    println!(
        "{orders} orders of {CLIENTS} clients in {took:?}: {per_second} a second, {refused} refused, {events} order \
         events; slowest request {worst:?}, slowest tick {worst_tick:?}"
    );
    assert!(orders > CLIENTS * 10 && refused == 0);
}
