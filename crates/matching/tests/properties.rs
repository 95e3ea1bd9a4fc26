//! What holds for every order flow: conservation, an uncrossed book, price-time priority, exact fees.
//!
//! `PROPTEST_CASES=100000` makes a long run of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not recognised as tests")]

use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use matching::{
    AccountId, Atoms, Engine, Event, FeeRate, FeeSchedule, Listing, NewOrder, OrderId, OrderSize, Removal, Resting,
    SelfTrade, Trade,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ACCOUNTS: u32 = 4;
const INSTRUMENT: InstrumentId = InstrumentId(0);
const MAKER_PPM: i64 = 800;
const TAKER_PPM: i64 = 1_000;

#[derive(Debug, Clone)]
enum Act {
    Place { account: u32, side: Side, size: OrderSize, tif: TimeInForce, stp: SelfTrade },
    Cancel { account: u32, nth: usize },
    Reduce { account: u32, nth: usize, to: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let tif = prop_oneof![
        Just(TimeInForce::Gtc),
        Just(TimeInForce::Ioc),
        Just(TimeInForce::Fok),
        Just(TimeInForce::PostOnly)
    ];
    let stp = prop_oneof![
        Just(SelfTrade::Allow),
        Just(SelfTrade::CancelTaker),
        Just(SelfTrade::CancelMaker),
        Just(SelfTrade::CancelBoth)
    ];
    let limit = (95_i64..=105, 1_i64..=50)
        .prop_map(|(price, qty)| OrderSize::Limit { price: Price(price * 101), qty: Qty(qty) });
    let market = prop_oneof![
        (1_i64..=80).prop_map(|qty| OrderSize::MarketBase { qty: Qty(qty) }),
        (1_i128..=900_000).prop_map(|units| OrderSize::MarketQuote { budget: Atoms(units * 1_000_000_000_000_000) }),
    ];
    let size = prop_oneof![6 => limit, 1 => market];
    prop_oneof![
        8 => (0..ACCOUNTS, side, size, tif, stp).prop_map(|(account, side, size, tif, stp)| Act::Place { account, side, size, tif, stp }),
        2 => (0..ACCOUNTS, 0_usize..40).prop_map(|(account, nth)| Act::Cancel { account, nth }),
        1 => (0..ACCOUNTS, 0_usize..40, 1_i64..40).prop_map(|(account, nth, to)| Act::Reduce { account, nth, to }),
    ]
}

fn cases(default: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(wanted.unwrap_or(default))
}

fn assets() -> (Asset, Asset) {
    (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap())
}

fn engine() -> Engine {
    let (base, quote) = assets();
    let mut engine = Engine::new(0, 0);
    engine.list(Listing { base, quote, price_decimals: 2, qty_decimals: 3, tick: 1, lot: 1 }).unwrap();
    for _ in 0..ACCOUNTS {
        let fees =
            FeeSchedule { maker: FeeRate::from_ppm(MAKER_PPM).unwrap(), taker: FeeRate::from_ppm(TAKER_PPM).unwrap() };
        let account = engine.open_account(fees);
        assert!(engine.deposit(account, base, Atoms(500_000_000_000_000_000)));
        assert!(engine.deposit(account, quote, Atoms(50_000_000_000_000_000_000)));
    }
    engine
}

fn nth_order(engine: &Engine, nth: usize) -> Option<Resting> {
    engine.book(INSTRUMENT).unwrap().orders().nth(nth).copied()
}

fn apply(engine: &mut Engine, act: &Act, events: &mut Vec<Event>) {
    match act {
        Act::Place { account, side, size, tif, stp } => {
            let order = NewOrder {
                account: AccountId(*account),
                instrument: INSTRUMENT,
                side: *side,
                size: *size,
                time_in_force: *tif,
                self_trade: *stp,
            };
            let _ = engine.place(order, UnixNanos(7), events);
        }
        Act::Cancel { account, nth } => {
            if let Some(order) = nth_order(engine, *nth) {
                engine.cancel(AccountId(*account), INSTRUMENT, order.id, events);
            }
        }
        Act::Reduce { account, nth, to } => {
            if let Some(order) = nth_order(engine, *nth) {
                engine.reduce(AccountId(*account), INSTRUMENT, order.id, Qty(*to));
            }
        }
    }
}

/// What resting orders must hold, recomputed from the book alone.
fn held(engine: &Engine, account: AccountId, asset: Asset) -> Atoms {
    let listing = *engine.listing(INSTRUMENT).unwrap();
    let sum =
        engine.book(INSTRUMENT).unwrap().orders().filter(|order| order.account == account).map(|order| {
            match order.side {
                Side::Buy if asset == listing.quote => listing.notional(order.price, order.remaining).unwrap().0,
                Side::Sell if asset == listing.base => listing.base_amount(order.remaining).unwrap().0,
                _ => 0,
            }
        });
    Atoms(sum.sum())
}

/// Resting orders in the order in which a taker of `side` must meet them, from the book before the call.
fn priority(before: &[Resting], taker_side: Side) -> Vec<OrderId> {
    let mut orders: Vec<&Resting> = before.iter().filter(|order| order.side != taker_side).collect();
    orders.sort_by_key(|order| {
        let price = if taker_side == Side::Buy { order.price.0 } else { -order.price.0 };
        (price, order.id)
    });
    orders.iter().map(|order| order.id).collect()
}

fn fee_is_exact(trade: &Trade, base: Asset, notional: Atoms, qty_amount: Atoms) -> bool {
    let fee = |asset: Asset, ppm: i64| (if asset == base { qty_amount.0 } else { notional.0 }) * i128::from(ppm);
    trade.maker.fee.0 * 1_000_000 == fee(trade.maker.fee_asset, MAKER_PPM)
        && trade.taker.fee.0 * 1_000_000 == fee(trade.taker.fee_asset, TAKER_PPM)
        && trade.maker.fee_asset != trade.taker.fee_asset
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_order_flow_conserves_every_coin_and_never_crosses_the_book(acts in proptest::collection::vec(act(), 1..120)) {
        let mut engine = engine();
        let (base, quote) = assets();
        let deposited = (engine.total(base), engine.total(quote));
        let mut fees: BTreeMap<Asset, i128> = BTreeMap::new();
        for act in &acts {
            let mut events = Vec::new();
            apply(&mut engine, act, &mut events);
            prop_assert!(engine.book(INSTRUMENT).unwrap().is_consistent(), "after {:?}", act);
            prop_assert_eq!((engine.total(base), engine.total(quote)), deposited);
            for number in 0..ACCOUNTS {
                for asset in [base, quote] {
                    let balance = engine.balance(AccountId(number), asset);
                    prop_assert!(balance.available >= Atoms::ZERO);
                    prop_assert_eq!(balance.frozen, held(&engine, AccountId(number), asset), "frozen is what rests");
                }
            }
            for event in &events {
                if let Event::Traded(trade) = event {
                    *fees.entry(trade.maker.fee_asset).or_default() += trade.maker.fee.0;
                    *fees.entry(trade.taker.fee_asset).or_default() += trade.taker.fee.0;
                }
            }
        }
        for asset in [base, quote] {
            prop_assert_eq!(engine.fees_collected(asset).0, fees.get(&asset).copied().unwrap_or(0));
        }
    }

    #[test]
    fn every_trade_follows_price_then_time_at_the_makers_price_with_exact_fees(acts in proptest::collection::vec(act(), 1..120)) {
        let mut engine = engine();
        let listing = *engine.listing(INSTRUMENT).unwrap();
        for act in &acts {
            // A reduced order keeps its place, and ids grow with arrival, so id order is time order.
            let before: Vec<Resting> = engine.book(INSTRUMENT).unwrap().orders().copied().collect();
            let mut events = Vec::new();
            apply(&mut engine, act, &mut events);
            let trades: Vec<Trade> = events.iter().filter_map(|event| if let Event::Traded(trade) = event { Some(*trade) } else { None }).collect();
            let Some(first) = trades.first() else { continue };
            let gone: Vec<OrderId> = events.iter().filter_map(|event| match event {
                Event::Removed { order, how: Removal::Cancelled(_), .. } => Some(*order),
                _ => None,
            }).collect();
            let expected: Vec<OrderId> = priority(&before, first.taker_side).into_iter().filter(|id| !gone.contains(id)).take(trades.len()).collect();
            let met: Vec<OrderId> = trades.iter().map(|trade| trade.maker.order).collect();
            prop_assert_eq!(met, expected);
            for (position, trade) in trades.iter().enumerate() {
                let maker = before.iter().find(|order| order.id == trade.maker.order).unwrap();
                prop_assert_eq!(trade.price, maker.price);
                if position + 1 < trades.len() {
                    prop_assert_eq!(trade.qty, maker.remaining, "an order is used up before the next one trades");
                }
                let notional = listing.notional(trade.price, trade.qty).unwrap();
                prop_assert_eq!(trade.notional, notional);
                prop_assert!(fee_is_exact(trade, listing.base, notional, listing.base_amount(trade.qty).unwrap()));
            }
        }
    }

    #[test]
    fn the_same_calls_give_the_same_events(acts in proptest::collection::vec(act(), 1..60)) {
        let run = || {
            let mut engine = engine();
            let mut events = Vec::new();
            for act in &acts {
                apply(&mut engine, act, &mut events);
            }
            events
        };
        prop_assert_eq!(run(), run());
    }
}
