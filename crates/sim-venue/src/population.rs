//! A seeded market: makers and takers around a random walk.
//!
//! Each step moves a fair price, lets makers pull what has become wrong and quote anew, and now and
//! then sends a taker that sweeps some way into the book. The walk and every choice come from the
//! seed and the number of the step alone, never from what clients do or from the time.

use crate::InstrumentConfig;
use domain::{InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use matching::{AccountId, Book, Engine, Event, Listing, NewOrder, OrderId, OrderSize, SelfTrade};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::prelude::ToPrimitive;

/// Milliseconds of one step.
pub(crate) const STEP_MS: u64 = 25;

/// Everything below is in units of a hundred-thousandth of the price (0.001 %).
const UNIT: f64 = 0.000_01;
/// How far the fair price moves in a second, one standard deviation.
const MOVE_PER_SECOND: f64 = 3.0;
/// How strongly it is pulled back to its anchor, per second.
const PULL_PER_SECOND: f64 = 1.0 / 90.0;
/// Distance of the best quotes from the fair price.
const BEST_DISTANCE: f64 = 0.4;
/// Distance between two makers' quotes.
const QUOTE_GAP: f64 = 0.8;
/// Quotes near the price, on each side.
const NEAR_QUOTES: u32 = 24;
/// Quotes far from it, on each side, each three times as far as the one before.
const FAR_QUOTES: u32 = 4;
/// Takers in a second.
const TAKERS_PER_SECOND: f64 = 4.0;
/// How far a taker reaches beyond the best quote on average.
const TAKER_REACH: f64 = 2.5;
/// What one quote is worth in quote currency on average.
const QUOTE_VALUE: f64 = 2_500.0;
/// Chance that a pulled or eaten quote is replaced in a step.
const REPLACE_CHANCE: f64 = 0.35;

/// One maker's place: always the same rank, again and again a new order.
#[derive(Debug, Clone, Copy)]
struct Slot {
    side: Side,
    rank: u32,
    order: Option<(OrderId, Price)>,
}

/// Makers and takers of one instrument.
#[derive(Debug)]
pub(crate) struct Population {
    instrument: InstrumentId,
    makers: AccountId,
    takers: AccountId,
    rng: ChaCha8Rng,
    /// Mantissa of a price of one.
    scale: f64,
    /// Where the walk is pulled to, as a mantissa.
    anchor: f64,
    /// Logarithm of fair price over anchor.
    displacement: f64,
    slots: Vec<Slot>,
}

impl Population {
    pub(crate) fn new(
        seed: u64,
        instrument: InstrumentId,
        config: &InstrumentConfig,
        makers: AccountId,
        takers: AccountId,
    ) -> Self {
        let scale = 10_f64.powi(i32::from(config.price_decimals));
        let ranks = 0..NEAR_QUOTES + FAR_QUOTES;
        let slots =
            ranks.flat_map(|rank| [Side::Buy, Side::Sell].map(|side| Slot { side, rank, order: None })).collect();
        Self {
            instrument,
            makers,
            takers,
            rng: ChaCha8Rng::seed_from_u64(seed ^ (u64::from(instrument.0) << 48)),
            scale,
            anchor: config.start_price.to_f64().unwrap_or(1.0) * scale,
            displacement: 0.0,
            slots,
        }
    }

    fn fair(&self) -> f64 {
        self.anchor * self.displacement.exp()
    }

    /// The instrument it trades.
    pub(crate) const fn instrument(&self) -> InstrumentId {
        self.instrument
    }

    /// What it takes the instrument to be worth, in quote.
    pub(crate) fn fair_price(&self) -> f64 {
        self.fair() / self.scale
    }

    /// Pulls the walk to a price, in quote, from now on.
    pub(crate) fn stand_around(&mut self, price: f64) {
        self.anchor = price * self.scale;
    }

    /// One step of the market.
    pub(crate) fn step(&mut self, engine: &mut Engine, now: UnixNanos, events: &mut Vec<Event>) {
        let Some(listing) = engine.listing(self.instrument).copied() else { return };
        self.walk();
        self.pull_wrong(engine, events);
        self.quote(engine, &listing, now, events);
        self.take(engine, &listing, now, events);
    }

    fn walk(&mut self) {
        let seconds = STEP_MS as f64 / 1_000.0;
        // The sum of twelve uniform numbers is close enough to normal, and the same on every machine.
        let normal: f64 = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
        self.displacement -= self.displacement * PULL_PER_SECOND * seconds;
        self.displacement += normal * MOVE_PER_SECOND * UNIT * seconds.sqrt();
        self.anchor *= 1.0 + (self.rng.random::<f64>() - 0.5) * UNIT * 0.1;
    }

    /// Where a maker of this rank wants to stand now.
    fn target(&mut self, slot: Slot) -> Price {
        let jitter = self.rng.random::<f64>() * QUOTE_GAP;
        let distance = match slot.rank.checked_sub(NEAR_QUOTES) {
            None => BEST_DISTANCE + f64::from(slot.rank) * QUOTE_GAP + jitter,
            Some(far) => 30.0 * 3_f64.powi(i32::try_from(far).unwrap_or(0)) + jitter,
        };
        let away = self.fair() * distance * UNIT;
        let price = if slot.side == Side::Buy { self.fair() - away } else { self.fair() + away };
        Price((price.round() as i64).max(1))
    }

    /// Makers cancel quotes that the fair price has passed, and one quote of their own accord.
    fn pull_wrong(&mut self, engine: &mut Engine, events: &mut Vec<Event>) {
        let fair = self.fair();
        let margin = fair * BEST_DISTANCE * UNIT * 0.5;
        let restless = self.rng.random_range(0..self.slots.len().max(1));
        for (position, slot) in self.slots.iter_mut().enumerate() {
            let Some((order, price)) = slot.order else { continue };
            let resting = engine.book(self.instrument).is_some_and(|book| book.order(order).is_some());
            let wrong = match slot.side {
                Side::Buy => price.0 as f64 > fair - margin,
                Side::Sell => (price.0 as f64) < fair + margin,
            };
            if resting && !wrong && position != restless {
                continue;
            }
            if resting {
                engine.cancel(self.makers, self.instrument, order, events);
            }
            slot.order = None;
        }
    }

    fn quote(&mut self, engine: &mut Engine, listing: &Listing, now: UnixNanos, events: &mut Vec<Event>) {
        for position in 0..self.slots.len() {
            // Drawn whether used or not: the walk must not depend on what clients do.
            let (chance, value) = (self.rng.random::<f64>(), 0.2 + 1.6 * self.rng.random::<f64>());
            let Some(slot) = self.slots.get(position).copied() else { continue };
            let price = self.target(slot);
            if slot.order.is_some() || chance > REPLACE_CHANCE {
                continue;
            }
            let qty = quantity(value * QUOTE_VALUE * (1.0 + f64::from(slot.rank) * 0.1), price, listing);
            let order = NewOrder {
                account: self.makers,
                instrument: self.instrument,
                side: slot.side,
                size: OrderSize::Limit { price, qty },
                time_in_force: TimeInForce::Gtc,
                self_trade: SelfTrade::CancelTaker,
            };
            if let (Ok(id), Some(slot)) = (engine.place(order, now, events), self.slots.get_mut(position)) {
                slot.order = Some((id, price));
            }
        }
    }

    fn take(&mut self, engine: &mut Engine, listing: &Listing, now: UnixNanos, events: &mut Vec<Event>) {
        let seconds = STEP_MS as f64 / 1_000.0;
        let comes = self.rng.random::<f64>() < TAKERS_PER_SECOND * seconds;
        let side = if self.rng.random::<bool>() { Side::Buy } else { Side::Sell };
        let reach = -TAKER_REACH * (1.0 - self.rng.random::<f64>()).ln();
        let share = 0.5 + 0.5 * self.rng.random::<f64>();
        let Some(book) = engine.book(self.instrument).filter(|_| comes) else { return };
        let best = match side {
            Side::Buy => book.best_ask(),
            Side::Sell => book.best_bid(),
        };
        let Some(best) = best else { return };
        let far = (self.fair() * reach * UNIT).round() as i64;
        let limit = Price(if side == Side::Buy { best.price.0 + far } else { (best.price.0 - far).max(1) });
        let within = volume_within(book, side, limit) as f64 * share;
        let qty = Qty(((within as i64) / listing.lot.max(1)).max(1) * listing.lot.max(1));
        let order = NewOrder {
            account: self.takers,
            instrument: self.instrument,
            side,
            size: OrderSize::Limit { price: limit, qty },
            time_in_force: TimeInForce::Ioc,
            self_trade: SelfTrade::Allow,
        };
        // A participant this rich is never refused for funds; anything else would only skip one taker.
        let _ = engine.place(order, now, events);
    }
}

/// Quantity that an order of `side` would meet up to `limit`, at most a hundred prices deep.
fn volume_within(book: &Book, side: Side, limit: Price) -> i64 {
    book.depth(side.opposite())
        .take(100)
        .take_while(|depth| if side == Side::Buy { depth.price <= limit } else { depth.price >= limit })
        .fold(0_i64, |sum, depth| sum.saturating_add(depth.qty.0))
}

fn quantity(value: f64, price: Price, listing: &Listing) -> Qty {
    let scale = 10_f64.powi(i32::from(listing.price_decimals) + i32::from(listing.qty_decimals));
    let mantissa = (value * scale / price.0.max(1) as f64) as i64;
    let lot = listing.lot.max(1);
    Qty((mantissa / lot).max(1) * lot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Asset;
    use matching::{Atoms, FeeRate, FeeSchedule};

    struct World {
        engine: Engine,
        population: Population,
        client: AccountId,
    }

    fn world(seed: u64) -> World {
        let config = InstrumentConfig::defaults()[0];
        let mut engine = Engine::new(0, 0);
        let (base, quote) = (config.base, config.quote);
        let listing = Listing { base, quote, price_decimals: 2, qty_decimals: 6, tick: 1, lot: 1 };
        let instrument = engine.list(listing).unwrap();
        let free = FeeSchedule { maker: FeeRate::from_ppm(0).unwrap(), taker: FeeRate::from_ppm(0).unwrap() };
        let accounts = [engine.open_account(free), engine.open_account(free), engine.open_account(free)];
        for account in accounts {
            for asset in [base, quote] {
                assert!(engine.deposit(account, asset, Atoms::MAX));
            }
        }
        let population = Population::new(seed, instrument, &config, accounts[0], accounts[1]);
        World { engine, population, client: accounts[2] }
    }

    fn run(world: &mut World, steps: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..steps {
            world.population.step(&mut world.engine, UnixNanos(0), &mut events);
        }
        events
    }

    fn trades(events: &[Event]) -> usize {
        events.iter().filter(|event| matches!(event, Event::Traded(_))).count()
    }

    #[test]
    fn the_same_seed_gives_the_same_market_and_another_seed_another() {
        let of = |seed| run(&mut world(seed), 400);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn the_walk_does_not_depend_on_clients() {
        let (mut alone, mut visited) = (world(3), world(3));
        run(&mut alone, 100);
        run(&mut visited, 100);
        let base = Asset::from("BTC").unwrap();
        assert!(visited.engine.balance(visited.client, base).available > Atoms::ZERO);
        let bid = visited.engine.book(InstrumentId(0)).unwrap().best_bid().unwrap();
        let order = NewOrder {
            account: visited.client,
            instrument: InstrumentId(0),
            side: Side::Sell,
            size: OrderSize::Limit { price: Price(bid.price.0 - 10_000), qty: Qty(50_000_000) },
            time_in_force: TimeInForce::Ioc,
            self_trade: SelfTrade::Allow,
        };
        visited.engine.place(order, UnixNanos(0), &mut Vec::new()).unwrap();
        run(&mut alone, 200);
        run(&mut visited, 200);
        assert_eq!(alone.population.fair().to_bits(), visited.population.fair().to_bits());
    }

    #[test]
    fn the_market_is_busy_and_its_book_is_whole() {
        for seed in 1..=5 {
            let mut world = world(seed);
            run(&mut world, 200);
            let minute = run(&mut world, 60 * 40);
            assert!(trades(&minute) > 120, "seed {seed}: several trades a second, {}", trades(&minute));
            let book = world.engine.book(InstrumentId(0)).unwrap();
            assert!(book.is_consistent());
            let (bid, ask) = (book.best_bid().unwrap().price.0, book.best_ask().unwrap().price.0);
            assert!(ask - bid < bid / 10_000, "seed {seed}: spread below 0.01 %: {bid} {ask}");
        }
    }

    #[test]
    fn a_quote_close_to_the_middle_trades_within_seconds_on_either_side() {
        let mut waits = Vec::new();
        for seed in 1..=20 {
            for side in [Side::Buy, Side::Sell] {
                let mut world = world(seed);
                run(&mut world, 200);
                let book = world.engine.book(InstrumentId(0)).unwrap();
                let mid = (book.best_bid().unwrap().price.0 + book.best_ask().unwrap().price.0) / 2;
                let away = mid / 20_000;
                let price = Price(if side == Side::Buy { mid - away } else { mid + away });
                let order = NewOrder {
                    account: world.client,
                    instrument: InstrumentId(0),
                    side,
                    size: OrderSize::Limit { price, qty: Qty(1_000) },
                    time_in_force: TimeInForce::PostOnly,
                    self_trade: SelfTrade::Allow,
                };
                let id = world.engine.place(order, UnixNanos(0), &mut Vec::new()).unwrap();
                let mut steps = 0;
                while world.engine.book(InstrumentId(0)).unwrap().order(id).is_some() && steps < 60 * 40 {
                    run(&mut world, 1);
                    steps += 1;
                }
                waits.push(steps);
            }
        }
        waits.sort_unstable();
        assert!(waits[waits.len() / 2] < 8 * 40, "half within eight seconds: {waits:?}");
        assert!(waits[waits.len() * 9 / 10] < 60 * 40, "nine of ten within a minute: {waits:?}");
    }
}
