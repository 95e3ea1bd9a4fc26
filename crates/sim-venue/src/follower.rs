//! A market that follows a recording: its levels are one participant's orders, its trades another's.
//!
//! Each recorded level is one resting order, each recorded trade a marketable order at its price and
//! size. Clients' orders queue by price and time among them; the recording asserts a level again at
//! its next change.

use crate::{SimError, TapeEnd};
use domain::{InstrumentId, MonoNanos, Price, Qty, Side, Symbol, TimeInForce, UnixNanos};
use matching::{AccountId, Engine, Event, Listing, NewOrder, OrderId, OrderSize, SelfTrade};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tape::{EventKind, TapeEvent, TapeLevel, TapeReader};

/// Two participants who do what a recording says, on one instrument.
#[derive(Debug)]
pub(crate) struct Follower {
    instrument: InstrumentId,
    resting: AccountId,
    taking: AccountId,
    bids: BTreeMap<Price, OrderId>,
    asks: BTreeMap<Price, OrderId>,
    /// Whether a snapshot has been seen; what came before it cannot be placed.
    pub(crate) has_book: bool,
    /// Recorded numbers that do not fit the instrument's decimals.
    pub(crate) unfit: u64,
}

impl Follower {
    pub(crate) fn new(instrument: InstrumentId, resting: AccountId, taking: AccountId) -> Self {
        Self { instrument, resting, taking, bids: BTreeMap::new(), asks: BTreeMap::new(), has_book: false, unfit: 0 }
    }

    /// Does what one recorded event says.
    pub(crate) fn apply(&mut self, kind: &EventKind, engine: &mut Engine, now: UnixNanos, events: &mut Vec<Event>) {
        let Some(listing) = engine.listing(self.instrument).copied() else { return };
        match kind {
            EventKind::DepthSnapshot { bids, asks, .. } => {
                let wanted = |levels: &[TapeLevel]| {
                    levels.iter().filter_map(|level| price_of(level, &listing)).collect::<Vec<_>>()
                };
                self.withdraw_except(Side::Buy, &wanted(bids), engine, events);
                self.withdraw_except(Side::Sell, &wanted(asks), engine, events);
                self.has_book = true;
                self.assert_levels(bids, asks, &listing, engine, now, events);
            }
            _ if !self.has_book => {}
            EventKind::DepthUpdate { bids, asks, .. } => self.assert_levels(bids, asks, &listing, engine, now, events),
            EventKind::BookTicker { bid, ask, .. } => {
                self.withdraw_better_than(bid, ask, &listing, engine, events);
                self.assert_levels(&[*bid], &[*ask], &listing, engine, now, events);
            }
            EventKind::Trade { price, qty, aggressor, .. } => {
                let level = TapeLevel { price: *price, qty: *qty };
                let (Some(price), Some(qty)) = (price_of(&level, &listing), qty_of(&level, &listing)) else {
                    self.unfit += 1;
                    return;
                };
                let _ = engine.place(self.order(self.taking, *aggressor, price, qty, TimeInForce::Ioc), now, events);
            }
            // What rests stays until the next snapshot says otherwise.
            EventKind::Break => {}
        }
    }

    fn order(&self, account: AccountId, side: Side, price: Price, qty: Qty, time_in_force: TimeInForce) -> NewOrder {
        NewOrder {
            account,
            instrument: self.instrument,
            side,
            size: OrderSize::Limit { price, qty },
            time_in_force,
            // A level that crosses the other side's older ones: those are history.
            self_trade: SelfTrade::CancelMaker,
        }
    }

    fn levels(&mut self, side: Side) -> &mut BTreeMap<Price, OrderId> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Takes away what shrank or went before anything is added, so that old levels do not trade.
    fn assert_levels(
        &mut self,
        bids: &[TapeLevel],
        asks: &[TapeLevel],
        listing: &Listing,
        engine: &mut Engine,
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) {
        let mut grown = Vec::new();
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for level in levels {
                let (Some(price), Some(qty)) = (price_of(level, listing), qty_of(level, listing)) else {
                    self.unfit += 1;
                    continue;
                };
                if !self.shrink(side, price, qty, engine, events) {
                    grown.push((side, price, qty));
                }
            }
        }
        for (side, price, qty) in grown {
            if let Ok(id) = engine.place(self.order(self.resting, side, price, qty, TimeInForce::Gtc), now, events)
                && engine.book(self.instrument).is_some_and(|book| book.order(id).is_some())
            {
                self.levels(side).insert(price, id);
            }
        }
    }

    /// Makes a level as small as recorded; true when nothing is left to add.
    fn shrink(&mut self, side: Side, price: Price, qty: Qty, engine: &mut Engine, events: &mut Vec<Event>) -> bool {
        let Some(id) = self.levels(side).get(&price).copied() else { return qty == Qty::ZERO };
        let resting = engine.book(self.instrument).and_then(|book| book.order(id)).map(|order| order.remaining);
        match resting {
            Some(now) if now == qty => return true,
            // Less of the same order keeps its place; more is a new order at the end of the queue.
            Some(now) if qty > Qty::ZERO && qty < now => return engine.reduce(self.resting, self.instrument, id, qty),
            Some(_) => {
                engine.cancel(self.resting, self.instrument, id, events);
            }
            None => {}
        }
        self.levels(side).remove(&price);
        qty == Qty::ZERO
    }

    fn withdraw(&mut self, side: Side, gone: &[Price], engine: &mut Engine, events: &mut Vec<Event>) {
        for price in gone {
            if let Some(id) = self.levels(side).remove(price) {
                engine.cancel(self.resting, self.instrument, id, events);
            }
        }
    }

    fn withdraw_except(&mut self, side: Side, wanted: &[Price], engine: &mut Engine, events: &mut Vec<Event>) {
        let mut sorted = wanted.to_vec();
        sorted.sort_unstable();
        let gone: Vec<Price> =
            self.levels(side).keys().filter(|price| sorted.binary_search(price).is_err()).copied().collect();
        self.withdraw(side, &gone, engine, events);
    }

    fn withdraw_better_than(
        &mut self,
        bid: &TapeLevel,
        ask: &TapeLevel,
        listing: &Listing,
        engine: &mut Engine,
        events: &mut Vec<Event>,
    ) {
        if let Some(best) = price_of(bid, listing) {
            let gone: Vec<Price> = self.bids.keys().rev().take_while(|price| **price > best).copied().collect();
            self.withdraw(Side::Buy, &gone, engine, events);
        }
        if let Some(best) = price_of(ask, listing) {
            let gone: Vec<Price> = self.asks.keys().take_while(|price| **price < best).copied().collect();
            self.withdraw(Side::Sell, &gone, engine, events);
        }
    }
}

fn price_of(level: &TapeLevel, listing: &Listing) -> Option<Price> {
    level.price.rescaled(listing.price_decimals).ok().filter(|mantissa| *mantissa > 0).map(Price)
}

fn qty_of(level: &TapeLevel, listing: &Listing) -> Option<Qty> {
    level.qty.rescaled(listing.qty_decimals).ok().filter(|mantissa| *mantissa >= 0).map(Qty)
}

/// Plays a recording at the pace at which it was made.
pub(crate) struct Playback {
    path: PathBuf,
    at_end: TapeEnd,
    reader: Option<Box<dyn Iterator<Item = Result<TapeEvent, tape::TapeError>> + Send>>,
    next: Option<TapeEvent>,
    /// Recorded time and the moment at which it plays.
    origin: Option<(UnixNanos, MonoNanos)>,
    rounds: u64,
}

impl Playback {
    /// Events played in one call at most, so that a burst does not hold up the venue.
    const BURST_MAX: usize = 4_096;

    pub(crate) fn open(path: &Path, at_end: TapeEnd) -> Result<Self, SimError> {
        let mut playback = Self { path: path.to_owned(), at_end, reader: None, next: None, origin: None, rounds: 0 };
        playback.rewind()?;
        if playback.next.is_none() {
            return Err(SimError::Tape { path: path.to_owned(), what: "it holds no events", source: None });
        }
        Ok(playback)
    }

    fn rewind(&mut self) -> Result<(), SimError> {
        let broken = |error: tape::TapeError, path: &Path| SimError::Tape {
            path: path.to_owned(),
            what: "it cannot be read",
            source: Some(error),
        };
        let mut reader = TapeReader::open(&self.path).map_err(|error| broken(error, &self.path))?;
        self.next = reader.next().transpose().map_err(|error| broken(error, &self.path))?;
        self.reader = Some(Box::new(reader));
        Ok(())
    }

    fn advance(&mut self) -> Option<TapeEvent> {
        let event = self.next.take()?;
        // An unreadable rest ends the recording like its regular end.
        self.next = self.reader.as_mut().and_then(Iterator::next).and_then(Result::ok);
        if self.next.is_none() && self.at_end == TapeEnd::Loop && self.rewind().is_ok() {
            self.rounds += 1;
            self.origin = None;
        }
        Some(event)
    }

    /// Gives every event up to the first book of `symbol` at once, so that the market begins open.
    pub(crate) fn up_to_first_book(&mut self, now: MonoNanos, mut apply: impl FnMut(&TapeEvent)) {
        let rounds = self.rounds;
        while let Some(event) = self.advance() {
            apply(&event);
            if matches!(event.kind, EventKind::DepthSnapshot { .. }) || self.rounds != rounds {
                self.origin = Some((event.received, now));
                return;
            }
        }
    }

    /// Gives the events whose time has come.
    pub(crate) fn due(&mut self, now: MonoNanos, mut apply: impl FnMut(&TapeEvent)) {
        for _ in 0..Self::BURST_MAX {
            let Some(next) = &self.next else { return };
            let (recorded, started) = *self.origin.get_or_insert((next.received, now));
            let after = next.received.signed_since(recorded).max(0).unsigned_abs();
            if started.0.saturating_add(after) > now.0 {
                return;
            }
            if let Some(event) = self.advance() {
                apply(&event);
            }
        }
    }
}

/// Instruments of the recording that the venue lists, by their spelling; several of different categories share one.
pub(crate) type Followers = BTreeMap<Symbol, Vec<Follower>>;

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Asset, Scaled, VenueTradeId};
    use matching::{Atoms, FeeRate, FeeSchedule};

    const BTCUSDT: InstrumentId = InstrumentId(0);

    struct World {
        engine: Engine,
        follower: Follower,
        client: AccountId,
        events: Vec<Event>,
    }

    impl World {
        fn new() -> Self {
            let mut engine = Engine::new(0, 0);
            let (base, quote) = (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap());
            engine.list(Listing { base, quote, price_decimals: 2, qty_decimals: 6, tick: 1, lot: 1 }).unwrap();
            let free = FeeSchedule { maker: FeeRate::from_ppm(0).unwrap(), taker: FeeRate::from_ppm(0).unwrap() };
            let accounts = [engine.open_account(free), engine.open_account(free), engine.open_account(free)];
            for account in accounts {
                for asset in [base, quote] {
                    assert!(engine.deposit(account, asset, Atoms::MAX));
                }
            }
            let follower = Follower::new(BTCUSDT, accounts[0], accounts[1]);
            Self { engine, follower, client: accounts[2], events: Vec::new() }
        }

        fn apply(&mut self, kind: EventKind) {
            self.events.clear();
            self.follower.apply(&kind, &mut self.engine, UnixNanos(0), &mut self.events);
            assert!(self.engine.book(BTCUSDT).unwrap().is_consistent());
        }

        fn client_order(&mut self, side: Side, price: &str, qty: &str) -> OrderId {
            let level = level(price, qty);
            let listing = *self.engine.listing(BTCUSDT).unwrap();
            let (price, qty) = (price_of(&level, &listing).unwrap(), qty_of(&level, &listing).unwrap());
            let mut order = self.follower.order(self.client, side, price, qty, TimeInForce::Gtc);
            order.self_trade = SelfTrade::Allow;
            self.engine.place(order, UnixNanos(0), &mut Vec::new()).unwrap()
        }

        fn remaining(&self, id: OrderId) -> Option<i64> {
            self.engine.book(BTCUSDT).unwrap().order(id).map(|order| order.remaining.0)
        }

        fn shown(&self, side: Side) -> Vec<(i64, i64)> {
            self.engine.book(BTCUSDT).unwrap().depth(side).map(|depth| (depth.price.0, depth.qty.0)).collect()
        }
    }

    fn level(price: &str, qty: &str) -> TapeLevel {
        TapeLevel { price: Scaled::parse(price.as_bytes()).unwrap(), qty: Scaled::parse(qty.as_bytes()).unwrap() }
    }

    fn levels(pairs: &[(&str, &str)]) -> Vec<TapeLevel> {
        pairs.iter().map(|(price, qty)| level(price, qty)).collect()
    }

    fn snapshot(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> EventKind {
        EventKind::DepthSnapshot { bids: levels(bids), asks: levels(asks), seq: 1, levels_max: None, checksum: None }
    }

    fn update(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> EventKind {
        EventKind::DepthUpdate { bids: levels(bids), asks: levels(asks), first_seq: 2, seq: 2, checksum: None }
    }

    fn trade(price: &str, qty: &str, aggressor: Side) -> EventKind {
        let level = level(price, qty);
        EventKind::Trade { price: level.price, qty: level.qty, aggressor, id: VenueTradeId::from("1").unwrap() }
    }

    #[test]
    fn the_book_is_what_the_recording_says() {
        let mut world = World::new();
        world.apply(update(&[("100", "1")], &[]));
        assert!(world.shown(Side::Buy).is_empty(), "changes before the first book say nothing");
        world.apply(snapshot(&[("100", "1"), ("99", "2")], &[("101", "1")]));
        world.apply(update(&[("100", "0"), ("99", "0.5"), ("98", "3")], &[("101", "4"), ("102", "1")]));
        assert_eq!(world.shown(Side::Buy), [(9_900, 500_000), (9_800, 3_000_000)]);
        assert_eq!(world.shown(Side::Sell), [(10_100, 4_000_000), (10_200, 1_000_000)]);
        world.apply(snapshot(&[("97", "1")], &[("101", "4")]));
        assert_eq!(world.shown(Side::Buy), [(9_700, 1_000_000)]);
        assert_eq!(world.shown(Side::Sell), [(10_100, 4_000_000)]);
    }

    #[test]
    fn a_client_queues_behind_the_recorded_level_and_is_reached_by_recorded_trades() {
        let mut world = World::new();
        world.apply(snapshot(&[("100", "1")], &[("101", "1")]));
        let ours = world.client_order(Side::Buy, "100", "0.5");
        world.apply(trade("100", "0.8", Side::Sell));
        assert_eq!(world.remaining(ours), Some(500_000), "the recorded order was there first");
        world.apply(trade("100", "0.4", Side::Sell));
        assert_eq!(world.remaining(ours), Some(300_000));
        world.apply(update(&[("100", "2")], &[]));
        assert_eq!(world.shown(Side::Buy), [(10_000, 2_300_000)], "the recording asserts its level again");
        world.apply(trade("100", "0.3", Side::Sell));
        assert_eq!(world.remaining(ours), None, "its new order stands behind ours");
    }

    #[test]
    fn a_recorded_level_that_crosses_a_client_trades_with_it() {
        let mut world = World::new();
        world.apply(snapshot(&[("100", "1")], &[("102", "1")]));
        let ours = world.client_order(Side::Sell, "101", "0.5");
        world.apply(update(&[("101", "0.2")], &[]));
        assert_eq!(world.remaining(ours), Some(300_000));
    }

    #[test]
    fn a_level_that_crosses_the_recordings_own_older_levels_replaces_them() {
        let mut world = World::new();
        world.apply(snapshot(&[("100", "1")], &[("101", "1"), ("102", "1")]));
        world.apply(update(&[("101.50", "1")], &[]));
        assert_eq!(world.shown(Side::Sell), [(10_200, 1_000_000)]);
        assert!(!world.events.iter().any(|event| matches!(event, Event::Traded(_))));
        world.apply(EventKind::BookTicker { bid: level("99", "3"), ask: level("103", "3"), seq: 0 });
        assert_eq!(world.shown(Side::Buy), [(9_900, 3_000_000)]);
        assert_eq!(world.shown(Side::Sell), [(10_300, 3_000_000)]);
    }

    #[test]
    fn numbers_that_do_not_fit_are_counted_and_skipped() {
        let mut world = World::new();
        world.apply(snapshot(&[("100.123", "1"), ("99", "1")], &[("101", "0.0000001")]));
        assert_eq!(world.shown(Side::Buy), [(9_900, 1_000_000)]);
        assert!(world.shown(Side::Sell).is_empty());
        assert_eq!(world.follower.unfit, 2);
    }
}
