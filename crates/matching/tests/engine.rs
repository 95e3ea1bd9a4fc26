//! What the engine promises, case by case.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not recognised as tests")]

use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use matching::{
    AccountId, Atoms, CancelReason, Engine, Event, FeeRate, FeeSchedule, Listing, NewOrder, OrderId, OrderSize,
    PlaceError, Removal, SelfTrade, Trade,
};

const BTCUSDT: InstrumentId = InstrumentId(0);

struct Venue {
    engine: Engine,
    events: Vec<Event>,
}

fn asset(code: &str) -> Asset {
    Asset::from(code).unwrap()
}

fn amount(text: &str) -> Atoms {
    Atoms::from_decimal(text.parse().unwrap()).unwrap()
}

impl Venue {
    fn new() -> Self {
        let mut engine = Engine::new(0, 0);
        let listing =
            Listing { base: asset("BTC"), quote: asset("USDT"), price_decimals: 2, qty_decimals: 6, tick: 1, lot: 1 };
        assert_eq!(engine.list(listing), Ok(BTCUSDT));
        Self { engine, events: Vec::new() }
    }

    fn account(&mut self) -> AccountId {
        let fees = FeeSchedule { maker: FeeRate::from_ppm(1_000).unwrap(), taker: FeeRate::from_ppm(2_000).unwrap() };
        let account = self.engine.open_account(fees);
        assert!(self.engine.deposit(account, asset("USDT"), amount("1000000")));
        assert!(self.engine.deposit(account, asset("BTC"), amount("10")));
        account
    }

    fn place(
        &mut self,
        account: AccountId,
        side: Side,
        size: OrderSize,
        tif: TimeInForce,
        stp: SelfTrade,
    ) -> Result<OrderId, PlaceError> {
        self.events.clear();
        let order = NewOrder { account, instrument: BTCUSDT, side, size, time_in_force: tif, self_trade: stp };
        self.engine.place(order, UnixNanos(1), &mut self.events)
    }

    fn limit(&mut self, account: AccountId, side: Side, price: i64, qty: i64, tif: TimeInForce) -> OrderId {
        let size = OrderSize::Limit { price: Price(price), qty: Qty(qty) };
        self.place(account, side, size, tif, SelfTrade::Allow).unwrap()
    }

    fn trades(&self) -> Vec<Trade> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Traded(trade) = event { Some(*trade) } else { None })
            .collect()
    }

    fn ending(&self, id: OrderId) -> Option<Removal> {
        self.events.iter().find_map(|event| match event {
            Event::Removed { order, how, .. } if *order == id => Some(*how),
            _ => None,
        })
    }

    fn available(&self, account: AccountId, code: &str) -> String {
        self.engine.balance(account, asset(code)).available.to_string()
    }

    fn frozen(&self, account: AccountId, code: &str) -> String {
        self.engine.balance(account, asset(code)).frozen.to_string()
    }
}

#[test]
fn better_price_trades_first_then_the_earlier_order() {
    let mut venue = Venue::new();
    let (maker, taker) = (venue.account(), venue.account());
    let worse = venue.limit(maker, Side::Sell, 6_000_100, 1_000, TimeInForce::Gtc);
    let early = venue.limit(maker, Side::Sell, 6_000_000, 1_000, TimeInForce::Gtc);
    let late = venue.limit(maker, Side::Sell, 6_000_000, 1_000, TimeInForce::Gtc);
    venue.limit(taker, Side::Buy, 6_000_100, 2_500, TimeInForce::Gtc);
    let met: Vec<OrderId> = venue.trades().iter().map(|trade| trade.maker.order).collect();
    assert_eq!(met, [early, late, worse]);
    let book = venue.engine.book(BTCUSDT).unwrap();
    assert_eq!(book.order(worse).unwrap().remaining, Qty(500));
    assert!(book.is_consistent());
}

#[test]
fn fees_are_taken_from_the_received_coin_exactly() {
    let mut venue = Venue::new();
    let (maker, taker) = (venue.account(), venue.account());
    venue.limit(maker, Side::Sell, 6_000_001, 400, TimeInForce::Gtc);
    venue.limit(taker, Side::Buy, 6_000_500, 400, TimeInForce::Ioc);
    // 0.0004 BTC at 60000.01 = 24.000004 USDT; maker pays 0.1 % of it, the taker 0.2 % of the BTC.
    assert_eq!(venue.available(maker, "USDT"), "1000023.976003996");
    assert_eq!(venue.available(taker, "BTC"), "10.0003992");
    assert_eq!(venue.available(taker, "USDT"), "999975.999996");
    assert_eq!(venue.frozen(taker, "USDT"), "0");
    assert_eq!(venue.engine.fees_collected(asset("USDT")).to_string(), "0.024000004");
    assert_eq!(venue.engine.fees_collected(asset("BTC")).to_string(), "0.0000008");
}

#[test]
fn a_resting_buy_holds_its_cost_and_a_cancel_gives_it_back() {
    let mut venue = Venue::new();
    let account = venue.account();
    let id = venue.limit(account, Side::Buy, 5_000_000, 1_000_000, TimeInForce::Gtc);
    assert_eq!((venue.available(account, "USDT"), venue.frozen(account, "USDT")), ("950000".into(), "50000".into()));
    assert!(!venue.engine.cancel(AccountId(9), BTCUSDT, id, &mut Vec::new()), "only the owner cancels");
    let mut events = Vec::new();
    assert!(venue.engine.cancel(account, BTCUSDT, id, &mut events));
    assert_eq!(events.len(), 1);
    assert_eq!((venue.available(account, "USDT"), venue.frozen(account, "USDT")), ("1000000".into(), "0".into()));
    assert!(!venue.engine.cancel(account, BTCUSDT, id, &mut events), "a cancelled order is gone");
}

#[test]
fn post_only_that_would_take_is_accepted_then_cancelled() {
    let mut venue = Venue::new();
    let (maker, taker) = (venue.account(), venue.account());
    venue.limit(maker, Side::Sell, 6_000_000, 1_000, TimeInForce::Gtc);
    let id = venue.limit(taker, Side::Buy, 6_000_000, 1_000, TimeInForce::PostOnly);
    assert!(matches!(venue.events.first(), Some(Event::Accepted { order, .. }) if *order == id));
    assert_eq!(venue.ending(id), Some(Removal::Cancelled(CancelReason::WouldTake)));
    assert!(venue.trades().is_empty());
    let resting = venue.limit(taker, Side::Buy, 5_999_999, 1_000, TimeInForce::PostOnly);
    assert!(venue.engine.book(BTCUSDT).unwrap().order(resting).is_some());
}

#[test]
fn immediate_or_cancel_never_rests_and_fill_or_kill_is_all_or_nothing() {
    let mut venue = Venue::new();
    let (maker, taker) = (venue.account(), venue.account());
    venue.limit(maker, Side::Sell, 6_000_000, 1_000, TimeInForce::Gtc);
    let kill = venue.limit(taker, Side::Buy, 6_000_000, 1_001, TimeInForce::Fok);
    assert_eq!(venue.ending(kill), Some(Removal::Cancelled(CancelReason::NotFillable)));
    assert!(venue.trades().is_empty());
    let part = venue.limit(taker, Side::Buy, 6_000_000, 1_500, TimeInForce::Ioc);
    assert_eq!(venue.trades().len(), 1);
    assert_eq!(venue.ending(part), Some(Removal::Cancelled(CancelReason::Unfilled)));
    assert!(venue.engine.book(BTCUSDT).unwrap().is_empty());
    assert_eq!(venue.frozen(taker, "USDT"), "0");
}

#[test]
fn market_buy_spends_its_quote_and_returns_what_buys_less_than_a_lot() {
    let mut venue = Venue::new();
    let (maker, taker) = (venue.account(), venue.account());
    venue.limit(maker, Side::Sell, 6_000_000, 500, TimeInForce::Gtc);
    venue.limit(maker, Side::Sell, 6_100_000, 10_000, TimeInForce::Gtc);
    let id = venue
        .place(taker, Side::Buy, OrderSize::MarketQuote { budget: amount("60") }, TimeInForce::Gtc, SelfTrade::Allow)
        .unwrap();
    // 0.0005 at 60000 = 30, then 30 / 61000 = 0.000491 (29.951).
    let quantities: Vec<i64> = venue.trades().iter().map(|trade| trade.qty.0).collect();
    assert_eq!(quantities, [500, 491]);
    assert_eq!(venue.ending(id), Some(Removal::Filled));
    assert_eq!(venue.available(taker, "USDT"), "999940.049");
    assert_eq!(venue.frozen(taker, "USDT"), "0");
}

#[test]
fn market_order_into_an_exhausted_book_is_cancelled_with_its_rest() {
    let mut venue = Venue::new();
    let (maker, taker) = (venue.account(), venue.account());
    venue.limit(maker, Side::Sell, 6_000_000, 500, TimeInForce::Gtc);
    let buy = venue
        .place(taker, Side::Buy, OrderSize::MarketQuote { budget: amount("600") }, TimeInForce::Gtc, SelfTrade::Allow)
        .unwrap();
    assert_eq!(venue.ending(buy), Some(Removal::Cancelled(CancelReason::Unfilled)));
    let sell = venue
        .place(taker, Side::Sell, OrderSize::MarketBase { qty: Qty(5) }, TimeInForce::Gtc, SelfTrade::Allow)
        .unwrap();
    assert_eq!(venue.ending(sell), Some(Removal::Cancelled(CancelReason::Unfilled)));
    assert_eq!((venue.frozen(taker, "USDT"), venue.frozen(taker, "BTC")), ("0".into(), "0".into()));
}

#[test]
fn self_trade_policies_cancel_what_they_name() {
    for (policy, maker_stays, taker_ends) in [
        (SelfTrade::CancelTaker, true, Some(Removal::Cancelled(CancelReason::SelfTrade))),
        (SelfTrade::CancelMaker, false, None),
        (SelfTrade::CancelBoth, false, Some(Removal::Cancelled(CancelReason::SelfTrade))),
    ] {
        let mut venue = Venue::new();
        let account = venue.account();
        let maker = venue.limit(account, Side::Sell, 6_000_000, 500, TimeInForce::Gtc);
        let size = OrderSize::Limit { price: Price(6_000_000), qty: Qty(500) };
        let taker = venue.place(account, Side::Buy, size, TimeInForce::Gtc, policy).unwrap();
        assert!(venue.trades().is_empty(), "{policy:?}");
        assert_eq!(venue.ending(taker), taker_ends, "{policy:?}");
        assert_eq!(venue.engine.book(BTCUSDT).unwrap().order(maker).is_some(), maker_stays, "{policy:?}");
    }
    let mut venue = Venue::new();
    let account = venue.account();
    venue.limit(account, Side::Sell, 6_000_000, 500, TimeInForce::Gtc);
    venue.limit(account, Side::Buy, 6_000_000, 500, TimeInForce::Gtc);
    assert_eq!(venue.trades().len(), 1, "allowed self-trades happen");
}

#[test]
fn an_order_that_cannot_be_paid_changes_nothing() {
    let mut venue = Venue::new();
    let account = venue.account();
    let size = OrderSize::Limit { price: Price(6_000_000), qty: Qty(17_000_000) };
    let refused = venue.place(account, Side::Buy, size, TimeInForce::Gtc, SelfTrade::Allow);
    assert!(matches!(refused, Err(PlaceError::Balance { .. })));
    assert!(venue.events.is_empty());
    assert_eq!(venue.available(account, "USDT"), "1000000");
    for (price, qty, error) in [(0, 1, PlaceError::Price), (-5, 1, PlaceError::Price), (1, 0, PlaceError::Quantity)] {
        let size = OrderSize::Limit { price: Price(price), qty: Qty(qty) };
        assert_eq!(venue.place(account, Side::Buy, size, TimeInForce::Gtc, SelfTrade::Allow), Err(error));
    }
}

#[test]
fn a_reduced_order_keeps_its_place() {
    let mut venue = Venue::new();
    let (first, second, taker) = (venue.account(), venue.account(), venue.account());
    let early = venue.limit(first, Side::Sell, 6_000_000, 1_000, TimeInForce::Gtc);
    let late = venue.limit(second, Side::Sell, 6_000_000, 1_000, TimeInForce::Gtc);
    assert!(venue.engine.reduce(first, BTCUSDT, early, Qty(300)));
    assert!(!venue.engine.reduce(first, BTCUSDT, early, Qty(300)), "only downwards");
    assert_eq!(venue.engine.book(BTCUSDT).unwrap().ahead_of(late), Some(Qty(300)));
    assert_eq!(venue.frozen(first, "BTC"), "0.0003");
    venue.limit(taker, Side::Buy, 6_000_000, 400, TimeInForce::Ioc);
    let met: Vec<(OrderId, i64)> = venue.trades().iter().map(|trade| (trade.maker.order, trade.qty.0)).collect();
    assert_eq!(met, [(early, 300), (late, 100)]);
}

#[test]
fn a_listing_that_would_round_fees_is_refused() {
    let mut engine = Engine::new(0, 0);
    let listing = Listing { base: asset("A"), quote: asset("B"), price_decimals: 7, qty_decimals: 6, tick: 1, lot: 1 };
    assert!(engine.list(listing).is_err());
    assert!(engine.list(Listing { price_decimals: 6, ..listing }).is_ok());
    assert!(engine.list(Listing { price_decimals: 6, quote: asset("A"), ..listing }).is_err());
}
