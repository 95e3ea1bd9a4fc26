//! What holds on perpetuals for every order flow: money, positions, margin, reduce-only, priority.
//!
//! `PROPTEST_CASES=100000` makes a long run of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not recognised as tests")]

use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use matching::{
    AccountId, Atoms, Collateral, Engine, Event, FeeRate, FeeSchedule, Intent, Leg, Listing, NewOrder, OrderId,
    OrderSize, PerpetualTerms, PositionMode, PositionSide, Resting, SelfTrade, Trade,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SPOT: InstrumentId = InstrumentId(0);
const PERP: InstrumentId = InstrumentId(1);
const OTHER: InstrumentId = InstrumentId(2);
/// Margined accounts: two one-way, one hedged, one with a shared balance; the next number is the venue's own crowd.
const CLIENTS: u32 = 4;
const HEDGED: AccountId = AccountId(2);
const SHARED: AccountId = AccountId(3);
const INSURANCE: AccountId = AccountId(5);
const MARK: i64 = 10_000;
const WALLET: i128 = 40;
const UNIT: i128 = 1_000_000_000_000_000_000;
const MAKER_PPM: i128 = 200;
const TAKER_PPM: i128 = 600;

#[derive(Debug, Clone)]
enum Act {
    Place { account: u32, on: InstrumentId, side: Side, size: OrderSize, meaning: u8, tif: TimeInForce, stp: SelfTrade },
    Cancel { on: InstrumentId, nth: usize },
    Reduce { on: InstrumentId, nth: usize, to: i64 },
    Mark { on: InstrumentId, price: i64 },
    Fund { on: InstrumentId, ppm: i64 },
    Liquidate,
    Leverage { account: u32, on: InstrumentId, leverage: u32 },
    Transfer { account: u32, tenths: i128, out: bool },
}

fn cases(default: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(wanted.unwrap_or(default))
}

fn order() -> impl Strategy<Value = Act> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let tif = prop_oneof![
        5 => Just(TimeInForce::Gtc),
        1 => Just(TimeInForce::Ioc),
        1 => Just(TimeInForce::Fok),
        1 => Just(TimeInForce::PostOnly)
    ];
    let stp = prop_oneof![
        Just(SelfTrade::Allow),
        Just(SelfTrade::CancelTaker),
        Just(SelfTrade::CancelMaker),
        Just(SelfTrade::CancelBoth)
    ];
    let limit = (90_i64..=110, 1_i64..=3_000)
        .prop_map(|(percent, qty)| OrderSize::Limit { price: Price(percent * 100 + 7), qty: Qty(qty) });
    let market = (1_i64..=3_000).prop_map(|qty| OrderSize::MarketBase { qty: Qty(qty) });
    let size = prop_oneof![5 => limit, 1 => market];
    let on = prop_oneof![5 => Just(PERP), 1 => Just(OTHER), 1 => Just(SPOT)];
    (0..=CLIENTS, on, side, size, 0_u8..4, tif, stp).prop_map(|(account, on, side, size, meaning, tif, stp)| {
        Act::Place { account, on, side, size, meaning, tif, stp }
    })
}

fn on() -> impl Strategy<Value = InstrumentId> {
    prop_oneof![4 => Just(PERP), 1 => Just(OTHER), 1 => Just(SPOT)]
}

/// Orders and nothing that comes from outside them.
fn trading() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => order(),
        2 => (on(), 0_usize..40).prop_map(|(on, nth)| Act::Cancel { on, nth }),
        1 => (on(), 0_usize..40, 1_i64..2_000).prop_map(|(on, nth, to)| Act::Reduce { on, nth, to }),
    ]
}

fn anything() -> impl Strategy<Value = Act> {
    let perpetual = || prop_oneof![3 => Just(PERP), 1 => Just(OTHER)];
    prop_oneof![
        12 => trading(),
        2 => (perpetual(), 8_000_i64..12_500).prop_map(|(on, price)| Act::Mark { on, price }),
        1 => (perpetual(), -3_000_i64..3_000).prop_map(|(on, ppm)| Act::Fund { on, ppm }),
        1 => Just(Act::Liquidate),
        1 => (0..CLIENTS, perpetual(), 1_u32..30).prop_map(|(account, on, leverage)| Act::Leverage { account, on, leverage }),
        1 => (0..CLIENTS, 1_i128..200, proptest::bool::ANY).prop_map(|(account, tenths, out)| Act::Transfer { account, tenths, out }),
    ]
}

fn rate(ppm: i64) -> FeeRate {
    FeeRate::from_ppm(ppm).unwrap()
}

fn assets() -> (Asset, Asset) {
    (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap())
}

/// An engine, and what every order of it was meant to do.
struct World {
    engine: Engine,
    intents: BTreeMap<OrderId, Intent>,
}

impl World {
    fn new() -> Self {
        let (base, quote) = assets();
        let mut engine = Engine::new(0, 0);
        let listing = Listing { base, quote, price_decimals: 2, qty_decimals: 3, tick: 1, lot: 1 };
        let terms = PerpetualTerms {
            leverage_max: 50,
            leverage_default: 10,
            maintenance: rate(5_000),
            fees: FeeSchedule { maker: rate(200), taker: rate(600) },
        };
        engine.list(listing).unwrap();
        assert_eq!(engine.list_perpetual(listing, terms), Ok(PERP));
        assert_eq!(engine.list_perpetual(Listing { base: Asset::from("ETH").unwrap(), ..listing }, terms), Ok(OTHER));
        for instrument in [PERP, OTHER] {
            assert!(engine.set_mark(instrument, Price(MARK)));
        }
        for number in 0..CLIENTS + 2 {
            let account = engine.open_account(FeeSchedule { maker: rate(0), taker: rate(0) });
            assert!(engine.deposit(account, base, Atoms(UNIT)));
            assert!(engine.deposit(account, quote, Atoms(WALLET * UNIT)));
            let collateral = match account {
                SHARED => Collateral::Shared,
                _ if number >= CLIENTS => Collateral::Unlimited,
                _ => Collateral::Separate,
            };
            assert!(engine.open_futures(account, collateral));
            if collateral == Collateral::Separate {
                assert!(engine.deposit_futures(account, Atoms(WALLET * UNIT)));
            }
        }
        engine.set_position_mode(HEDGED, PositionMode::Hedge).unwrap();
        Self { engine, intents: BTreeMap::new() }
    }

    fn nth(&self, on: InstrumentId, nth: usize) -> Option<Resting> {
        self.engine.book(on).unwrap().orders().nth(nth).copied()
    }

    fn intent(account: AccountId, side: Side, meaning: u8) -> Intent {
        if account != HEDGED {
            return Intent::OneWay { reduce_only: meaning == 0 };
        }
        let opens = PositionSide::opened_by(side);
        if meaning < 2 { Intent::Close(opens.opposite()) } else { Intent::Open(opens) }
    }

    fn apply(&mut self, act: &Act, events: &mut Vec<Event>) {
        let now = UnixNanos(7);
        match *act {
            Act::Place { account, on, side, size, meaning, tif, stp } => {
                let account = AccountId(account);
                let order = NewOrder { account, instrument: on, side, size, time_in_force: tif, self_trade: stp };
                if on == SPOT {
                    let _ = self.engine.place(order, now, events);
                    return;
                }
                let intent = Self::intent(account, side, meaning);
                if let Ok(id) = self.engine.place_perpetual(order, intent, now, events) {
                    self.intents.insert(id, intent);
                }
            }
            Act::Cancel { on, nth } => {
                if let Some(order) = self.nth(on, nth) {
                    self.engine.cancel(order.account, on, order.id, events);
                }
            }
            Act::Reduce { on, nth, to } => {
                if let Some(order) = self.nth(on, nth) {
                    self.engine.reduce(order.account, on, order.id, Qty(to));
                }
            }
            Act::Mark { on, price } => assert!(self.engine.set_mark(on, Price(price))),
            Act::Fund { on, ppm } => assert!(self.engine.fund(on, rate(ppm), events)),
            Act::Liquidate => {
                self.engine.liquidate_due(INSURANCE, now, events);
            }
            Act::Leverage { account, on, leverage } => {
                let _ = self.engine.set_leverage(AccountId(account), on, leverage);
            }
            Act::Transfer { account, tenths, out } => {
                let (account, amount) = (AccountId(account), Atoms(tenths * UNIT / 10));
                let _ = if out {
                    self.engine.move_from_futures(account, amount)
                } else {
                    self.engine.move_to_futures(account, amount)
                };
            }
        }
    }

    fn accounts() -> impl Iterator<Item = AccountId> {
        (0..CLIENTS + 2).map(AccountId)
    }

    fn free(&self) -> Vec<i128> {
        (0..CLIENTS).map(|number| self.engine.margin(AccountId(number)).unwrap().free.0).collect()
    }

    /// Signed sizes of an account's positions on one perpetual.
    fn exposure(&self, account: AccountId, on: InstrumentId) -> i128 {
        let positions = self.engine.positions(account).filter(|(instrument, _)| *instrument == on);
        positions
            .map(|(_, it)| if it.side == PositionSide::Long { i128::from(it.qty.0) } else { -i128::from(it.qty.0) })
            .sum()
    }

    /// Resting orders that may only shrink a position, against what there is to shrink.
    fn reduce_only_fits(&self) -> bool {
        let mut sums: BTreeMap<(AccountId, InstrumentId, Leg, Side), i64> = BTreeMap::new();
        for on in [PERP, OTHER] {
            for order in self.engine.book(on).unwrap().orders() {
                if let Some(intent) = self.intents.get(&order.id).filter(|intent| intent.reduces()) {
                    *sums.entry((order.account, on, intent.leg(), order.side)).or_default() += order.remaining.0;
                }
            }
        }
        sums.into_iter().filter(|((account, ..), _)| account.0 < CLIENTS).all(|((account, on, leg, side), sum)| {
            self.engine.position(account, on, leg).is_some_and(|it| it.side.closes() == side && it.qty.0 >= sum)
        })
    }
}

fn trades(events: &[Event]) -> Vec<Trade> {
    events.iter().filter_map(|event| if let Event::Traded(trade) = event { Some(*trade) } else { None }).collect()
}

/// An account's money by its receipts alone: what it paid and received at every trade, without costs or averages.
#[derive(Debug, Clone, Default)]
struct Receipts {
    cash: i128,
}

/// Takes what happened on perpetuals into the receipts.
fn receive(receipts: &mut BTreeMap<AccountId, Receipts>, engine: &Engine, events: &[Event]) {
    let mut add = |account: AccountId, amount: i128| receipts.entry(account).or_default().cash += amount;
    for event in events {
        match event {
            Event::Traded(trade) if trade.instrument != SPOT => {
                let sign = if trade.taker_side == Side::Buy { 1 } else { -1 };
                add(trade.taker.account, -sign * trade.notional.0 - trade.taker.fee.0);
                add(trade.maker.account, sign * trade.notional.0 - trade.maker.fee.0);
            }
            Event::Funding(payment) => add(payment.account, payment.amount.0),
            Event::TakenOver { account, instrument, side, qty, price, .. } => {
                let value = engine.listing(*instrument).unwrap().notional(*price, *qty).unwrap().0;
                let sign = if *side == PositionSide::Long { 1 } else { -1 };
                add(*account, sign * value);
                add(INSURANCE, -sign * value);
            }
            Event::Covered { account, amount } => {
                add(*account, amount.0);
                add(INSURANCE, -amount.0);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn money_and_positions_are_conserved_through_trades_funding_and_liquidation(acts in proptest::collection::vec(anything(), 1..150)) {
        let mut world = World::new();
        let (base, quote) = assets();
        let deposited = (world.engine.total(base), world.engine.total(quote));
        for act in &acts {
            let mut events = Vec::new();
            world.apply(act, &mut events);
            prop_assert_eq!((world.engine.total(base), world.engine.total(quote)), deposited, "after {:?}", act);
            for on in [PERP, OTHER] {
                prop_assert!(world.engine.book(on).unwrap().is_consistent());
                prop_assert_eq!(World::accounts().map(|account| world.exposure(account, on)).sum::<i128>(), 0);
            }
            let funding: i128 = events.iter().map(|event| if let Event::Funding(payment) = event { payment.amount.0 } else { 0 }).sum();
            prop_assert_eq!(funding, 0, "what longs pay, shorts receive");
        }
    }

    #[test]
    fn equity_is_what_the_receipts_say_whatever_closes_a_position(acts in proptest::collection::vec(anything(), 1..150)) {
        let mut world = World::new();
        let mut receipts: BTreeMap<AccountId, Receipts> = BTreeMap::new();
        for act in &acts {
            let mut events = Vec::new();
            let before: Vec<i128> = World::accounts().map(|account| world.engine.margin(account).unwrap().wallet.0).collect();
            world.apply(act, &mut events);
            receive(&mut receipts, &world.engine, &events);
            // What does not come from perpetuals is taken as it is: transfers, and the shared account's spot trades.
            let outside = matches!(act, Act::Transfer { .. }) || matches!(act, Act::Place { on: SPOT, .. });
            for (account, before) in World::accounts().zip(before).filter(|_| outside) {
                receipts.entry(account).or_default().cash += world.engine.margin(account).unwrap().wallet.0 - before;
            }
            for account in World::accounts() {
                let start = if account.0 < CLIENTS { WALLET * UNIT } else { 0 };
                let listing = world.engine.listing(PERP).unwrap();
                let held: i128 = [PERP, OTHER].iter().map(|on| {
                    let unit = listing.notional(Price(1), Qty(1)).unwrap().0;
                    world.exposure(account, *on) * i128::from(world.engine.mark(*on).unwrap().0) * unit
                }).sum();
                let cash = receipts.get(&account).map_or(0, |it| it.cash);
                prop_assert_eq!(world.engine.margin(account).unwrap().equity.0, start + cash + held, "{:?} after {:?}", account, act);
            }
        }
    }

    #[test]
    fn orders_alone_never_use_margin_that_is_not_there(acts in proptest::collection::vec(trading(), 1..150)) {
        let mut world = World::new();
        for act in &acts {
            let before = world.free();
            let mut events = Vec::new();
            world.apply(act, &mut events);
            // Closing is always allowed, so that its loss against the mark price and its fee may go below zero.
            let mut losses = vec![0_i128; before.len()];
            for trade in trades(&events).iter().filter(|trade| trade.instrument != SPOT) {
                for (party, side) in [(trade.maker, trade.taker_side.opposite()), (trade.taker, trade.taker_side)] {
                    let Some(loss) = losses.get_mut(usize::try_from(party.account.0).unwrap()) else { continue };
                    if party.closed > Qty::ZERO {
                        let sign = if side == Side::Buy { 1 } else { -1 };
                        let unit = world.engine.listing(PERP).unwrap().notional(Price(1), Qty(1)).unwrap().0;
                        let worse = i128::from(sign * (trade.price.0 - MARK)) * i128::from(party.closed.0) * unit;
                        *loss += worse.max(0) + party.fee.0;
                    }
                }
            }
            for ((free, before), loss) in world.free().into_iter().zip(before).zip(losses) {
                prop_assert!(free >= before.min(0) - loss, "{} after {}, {} lost by closing: {:?}", free, before, loss, act);
            }
            let spot = world.engine.balance(SHARED, assets().1);
            prop_assert!(spot.frozen >= Atoms::ZERO);
        }
    }

    #[test]
    fn an_order_that_may_only_reduce_never_opens_and_never_rests_beyond_its_position(acts in proptest::collection::vec(anything(), 1..150)) {
        let mut world = World::new();
        for act in &acts {
            let mut events = Vec::new();
            let reduces = match act {
                Act::Place { account, side, meaning, .. } => World::intent(AccountId(*account), *side, *meaning).reduces(),
                _ => false,
            };
            world.apply(act, &mut events);
            for trade in trades(&events).iter().filter(|trade| trade.instrument != SPOT) {
                if world.intents.get(&trade.maker.order).is_some_and(|intent| intent.reduces()) && trade.maker.account.0 < CLIENTS {
                    prop_assert_eq!(trade.maker.closed, trade.qty);
                }
                if reduces && trade.taker.account != trade.maker.account {
                    prop_assert_eq!(trade.taker.closed, trade.qty);
                }
            }
            prop_assert!(world.reduce_only_fits(), "after {:?}", act);
        }
    }

    #[test]
    fn liquidation_ends_every_position_that_is_due_and_leaves_no_debt(acts in proptest::collection::vec(anything(), 1..150)) {
        let mut world = World::new();
        for act in &acts {
            let due: Vec<AccountId> = World::accounts().filter(|account| world.engine.is_due_for_liquidation(*account)).collect();
            let mut events = Vec::new();
            world.engine.liquidate_due(INSURANCE, UnixNanos(9), &mut events);
            for account in &due {
                prop_assert_eq!(world.engine.positions(*account).count(), 0);
                prop_assert!(world.engine.margin(*account).unwrap().wallet >= Atoms::ZERO);
                let rests = [PERP, OTHER].iter().any(|on| world.engine.book(*on).unwrap().orders().any(|order| order.account == *account));
                prop_assert!(!rests, "its orders were cancelled first");
            }
            prop_assert!(World::accounts().all(|account| !world.engine.is_due_for_liquidation(account)));
            world.apply(act, &mut events);
        }
    }

    #[test]
    fn the_liquidation_price_divides_due_from_not_due(acts in proptest::collection::vec(anything(), 1..80)) {
        let mut world = World::new();
        for act in &acts {
            world.apply(act, &mut Vec::new());
        }
        for number in 0..CLIENTS {
            let account = AccountId(number);
            let exposure = world.exposure(account, PERP);
            let Some(price) = world.engine.liquidation_price(account, PERP).filter(|price| exposure != 0 && price.0 < 1_000_000) else { continue };
            // Nearly hedged exposures may be due in the direction of their smaller leg.
            let gross: i128 = world.engine.positions(account).filter(|(on, _)| *on == PERP).map(|(_, it)| i128::from(it.qty.0)).sum();
            let below = exposure * 1_000_000 > gross * 5_000;
            let at = |price: i64| {
                let mut engine = world.engine.clone();
                engine.set_mark(PERP, Price(price)) && engine.is_due_for_liquidation(account)
            };
            prop_assert!(at(price.0), "due at {:?}", price);
            prop_assert!(!at(if below { price.0 + 1 } else { price.0 - 1 }), "not before {:?}", price);
        }
    }

    #[test]
    fn every_trade_on_a_perpetual_follows_price_then_time_with_exact_fees(acts in proptest::collection::vec(trading(), 1..150)) {
        let mut world = World::new();
        for act in &acts {
            let Act::Place { on, side, stp, .. } = act else {
                world.apply(act, &mut Vec::new());
                continue;
            };
            let before: Vec<Resting> = world.engine.book(*on).unwrap().orders().copied().collect();
            let mut events = Vec::new();
            world.apply(act, &mut events);
            for trade in trades(&events).iter().filter(|trade| trade.instrument != SPOT) {
                for (party, ppm) in [(trade.maker, MAKER_PPM), (trade.taker, TAKER_PPM)] {
                    let expected = if party.account.0 < CLIENTS { trade.notional.0 * ppm } else { 0 };
                    prop_assert_eq!(party.fee.0 * 1_000_000, expected);
                    prop_assert_eq!(party.fee_asset, assets().1);
                }
                let maker = before.iter().find(|order| order.id == trade.maker.order).unwrap();
                prop_assert_eq!(maker.price, trade.price);
                // Whoever stood before it and is still there with another owner was passed over.
                let book = world.engine.book(*on).unwrap();
                let earlier = before.iter().filter(|order| order.side == maker.side && order.id != maker.id).filter(|order| {
                    let better = if *side == Side::Buy { order.price < maker.price } else { order.price > maker.price };
                    better || (order.price == maker.price && order.id < maker.id)
                });
                for order in earlier {
                    let own = order.account == trade.taker.account && *stp != SelfTrade::Allow;
                    prop_assert!(own || book.order(order.id).is_none(), "{:?} was passed over", order);
                }
            }
        }
    }

    #[test]
    fn the_same_calls_give_the_same_events_on_perpetuals(acts in proptest::collection::vec(anything(), 1..60)) {
        let run = || {
            let (mut world, mut events) = (World::new(), Vec::new());
            for act in &acts {
                world.apply(act, &mut events);
            }
            events
        };
        prop_assert_eq!(run(), run());
    }
}
