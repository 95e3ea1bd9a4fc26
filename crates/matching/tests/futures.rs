//! What the engine promises on perpetuals, case by case.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not recognised as tests")]

use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use matching::{
    AccountId, Atoms, CancelReason, Collateral, Engine, Event, FeeRate, FeeSchedule, FuturesError, Intent, Leg,
    Listing, ListingError, NewOrder, OrderId, OrderSize, PerpetualTerms, PlaceError, Position, PositionMode,
    PositionSide, Removal, SelfTrade,
};

const SPOT: InstrumentId = InstrumentId(0);
const PERP: InstrumentId = InstrumentId(1);
const NET: Intent = Intent::OneWay { reduce_only: false };
const REDUCE: Intent = Intent::OneWay { reduce_only: true };

fn asset(code: &str) -> Asset {
    Asset::from(code).unwrap()
}

fn amount(text: &str) -> Atoms {
    Atoms::from_decimal(text.parse().unwrap()).unwrap()
}

fn rate(ppm: i64) -> FeeRate {
    FeeRate::from_ppm(ppm).unwrap()
}

fn terms() -> PerpetualTerms {
    PerpetualTerms {
        leverage_max: 100,
        leverage_default: 10,
        maintenance: rate(4_000),
        fees: FeeSchedule { maker: rate(200), taker: rate(600) },
    }
}

/// Spot and perpetual BTC in whole dollars and thousandths; the mark price is 100.
struct Venue {
    engine: Engine,
    events: Vec<Event>,
    crowd: AccountId,
    insurance: AccountId,
}

impl Venue {
    fn new() -> Self {
        let mut engine = Engine::new(0, 0);
        let listing =
            Listing { base: asset("BTC"), quote: asset("USDT"), price_decimals: 0, qty_decimals: 3, tick: 1, lot: 1 };
        assert_eq!(engine.list(listing), Ok(SPOT));
        assert_eq!(engine.list_perpetual(listing, terms()), Ok(PERP));
        assert!(engine.set_mark(PERP, Price(100)));
        let free = FeeSchedule { maker: rate(0), taker: rate(0) };
        let (crowd, insurance) = (engine.open_account(free), engine.open_account(free));
        for account in [crowd, insurance] {
            assert!(engine.open_futures(account, Collateral::Unlimited));
        }
        Self { engine, events: Vec::new(), crowd, insurance }
    }

    fn account(&mut self, wallet: &str) -> AccountId {
        let account = self.engine.open_account(FeeSchedule { maker: rate(1_000), taker: rate(1_000) });
        assert!(self.engine.open_futures(account, Collateral::Separate));
        assert!(self.engine.deposit_futures(account, amount(wallet)));
        account
    }

    fn unified(&mut self, usdt: &str) -> AccountId {
        let account = self.engine.open_account(FeeSchedule { maker: rate(1_000), taker: rate(1_000) });
        assert!(self.engine.open_futures(account, Collateral::Shared));
        assert!(self.engine.deposit(account, asset("USDT"), amount(usdt)));
        account
    }

    fn order(
        &mut self,
        account: AccountId,
        side: Side,
        size: OrderSize,
        intent: Intent,
        tif: TimeInForce,
    ) -> Result<OrderId, PlaceError> {
        self.events.clear();
        let order =
            NewOrder { account, instrument: PERP, side, size, time_in_force: tif, self_trade: SelfTrade::Allow };
        self.engine.place_perpetual(order, intent, UnixNanos(1), &mut self.events)
    }

    fn limit(
        &mut self,
        account: AccountId,
        side: Side,
        price: i64,
        qty: i64,
        intent: Intent,
    ) -> Result<OrderId, PlaceError> {
        let size = OrderSize::Limit { price: Price(price), qty: Qty(qty) };
        self.order(account, side, size, intent, TimeInForce::Gtc)
    }

    fn market(&mut self, account: AccountId, side: Side, qty: i64, intent: Intent) -> Result<OrderId, PlaceError> {
        self.order(account, side, OrderSize::MarketBase { qty: Qty(qty) }, intent, TimeInForce::Ioc)
    }

    /// The crowd offers (or asks for) `qty` at `price`.
    fn quote(&mut self, side: Side, price: i64, qty: i64) {
        self.limit(self.crowd, side, price, qty, NET).unwrap();
    }

    /// The account gets `qty` at `price` from the crowd.
    fn trade(&mut self, account: AccountId, side: Side, price: i64, qty: i64, intent: Intent) {
        self.quote(side.opposite(), price, qty);
        self.limit(account, side, price, qty, intent).unwrap();
    }

    fn net(&self, account: AccountId) -> Option<Position> {
        self.engine.position(account, PERP, Leg::Net).copied()
    }

    fn wallet(&self, account: AccountId) -> String {
        self.engine.margin(account).unwrap().wallet.to_string()
    }

    fn resting(&self, id: OrderId) -> Option<i64> {
        self.engine.book(PERP).unwrap().order(id).map(|order| order.remaining.0)
    }

    fn removal(&self, id: OrderId) -> Option<Removal> {
        self.events.iter().find_map(|event| match event {
            Event::Removed { order, how, .. } if *order == id => Some(*how),
            _ => None,
        })
    }
}

#[test]
fn a_round_trip_pays_the_difference_and_the_fees_in_the_settle_coin() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.trade(account, Side::Buy, 100, 2_000, NET);
    let position = venue.net(account).unwrap();
    assert_eq!((position.side, position.qty, position.cost), (PositionSide::Long, Qty(2_000), amount("200")));
    // Arrived: 0.06 % of 200.
    assert_eq!(venue.wallet(account), "999.88");
    venue.engine.set_mark(PERP, Price(110));
    let margin = venue.engine.margin(account).unwrap();
    assert_eq!((margin.unrealised, margin.equity), (amount("20"), amount("1019.88")));
    assert_eq!((margin.position_margin, margin.maintenance), (amount("20"), amount("0.88")));
    venue.trade(account, Side::Sell, 110, 500, NET);
    assert_eq!(venue.net(account).map(|position| (position.qty, position.realised)), Some((Qty(1_500), amount("5"))));
    assert_eq!(venue.wallet(account), "1004.847");
    venue.trade(account, Side::Sell, 90, 1_500, REDUCE);
    assert_eq!(venue.net(account), None);
    assert_eq!(venue.wallet(account), "989.766");
    let ended = venue.events.iter().find_map(|event| match event {
        Event::Closed { position, .. } => Some(*position),
        _ => None,
    });
    let ended = ended.unwrap();
    assert_eq!((ended.realised, ended.entered, ended.left), (amount("-10"), Qty(2_000), Qty(2_000)));
    assert_eq!((ended.open_fee, ended.close_fee), (amount("0.12"), amount("0.114")));
    assert_eq!(venue.engine.fees_collected(asset("USDT")), amount("0.234"));
}

#[test]
fn an_order_larger_than_the_position_turns_it_round_in_one_way_mode() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.trade(account, Side::Buy, 100, 1_000, NET);
    venue.trade(account, Side::Sell, 120, 3_000, NET);
    let position = venue.net(account).unwrap();
    assert_eq!((position.side, position.qty, position.cost), (PositionSide::Short, Qty(2_000), amount("240")));
    assert_eq!(position.realised, Atoms::ZERO, "what the long one gained is not the short one's");
    assert_eq!(venue.engine.margin(account).unwrap().wallet, amount("1019.724"));
}

#[test]
fn hedge_mode_keeps_a_long_and_a_short_position_side_by_side() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.engine.set_position_mode(account, PositionMode::Hedge).unwrap();
    venue.trade(account, Side::Buy, 100, 1_000, Intent::Open(PositionSide::Long));
    venue.trade(account, Side::Sell, 100, 400, Intent::Open(PositionSide::Short));
    let qty = |venue: &Venue, leg| venue.engine.position(account, PERP, leg).map(|position| position.qty.0);
    assert_eq!((qty(&venue, Leg::Long), qty(&venue, Leg::Short)), (Some(1_000), Some(400)));
    assert_eq!(venue.limit(account, Side::Buy, 100, 1, NET), Err(PlaceError::Intent));
    assert_eq!(
        venue.limit(account, Side::Buy, 100, 1, Intent::Close(PositionSide::Long)),
        Err(PlaceError::Intent),
        "a long position is closed by selling"
    );
    venue.trade(account, Side::Buy, 90, 400, Intent::Close(PositionSide::Short));
    assert_eq!((qty(&venue, Leg::Long), qty(&venue, Leg::Short)), (Some(1_000), None));
    assert_eq!(venue.engine.set_position_mode(account, PositionMode::OneWay), Err(FuturesError::NotFlat));
}

#[test]
fn closing_orders_of_hedge_mode_share_the_position_and_a_market_close_takes_it_from_resting_ones() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.engine.set_position_mode(account, PositionMode::Hedge).unwrap();
    let close = Intent::Close(PositionSide::Long);
    assert_eq!(venue.limit(account, Side::Sell, 120, 1, close), Err(PlaceError::NoPosition));
    venue.trade(account, Side::Buy, 100, 1_000, Intent::Open(PositionSide::Long));
    let older = venue.limit(account, Side::Sell, 120, 600, close).unwrap();
    let refused = venue.limit(account, Side::Sell, 121, 401, close);
    assert!(matches!(refused, Err(PlaceError::NotEnoughPosition { available }) if available.to_string() == "0.4"));
    let newer = venue.limit(account, Side::Sell, 121, 400, close).unwrap();
    venue.quote(Side::Buy, 99, 1_000);
    let taken = venue.market(account, Side::Sell, 500, close).unwrap();
    assert_eq!(venue.removal(taken), Some(Removal::Filled));
    assert_eq!((venue.resting(older), venue.resting(newer)), (None, Some(400)));
    assert_eq!(venue.removal(older), Some(Removal::Cancelled(CancelReason::ReduceOnly)));
}

#[test]
fn a_reduce_only_order_is_cut_to_the_position_and_refused_without_one() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    assert_eq!(venue.limit(account, Side::Sell, 100, 10, REDUCE), Err(PlaceError::NoPosition));
    venue.trade(account, Side::Buy, 100, 1_000, NET);
    assert_eq!(venue.limit(account, Side::Buy, 90, 10, REDUCE), Err(PlaceError::NoPosition), "it would enlarge");
    let id = venue.limit(account, Side::Sell, 120, 5_000, REDUCE).unwrap();
    assert_eq!(venue.resting(id), Some(1_000));
    assert!(
        venue
            .events
            .iter()
            .any(|event| matches!(event, Event::Cut { order, remaining: Qty(1_000), .. } if *order == id))
    );
}

#[test]
fn too_many_reduce_only_orders_cancel_the_older_ones() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.trade(account, Side::Buy, 100, 1_000, NET);
    let first = venue.limit(account, Side::Sell, 120, 600, REDUCE).unwrap();
    let second = venue.limit(account, Side::Sell, 121, 400, REDUCE).unwrap();
    let third = venue.limit(account, Side::Sell, 122, 100, REDUCE).unwrap();
    assert_eq!((venue.resting(first), venue.resting(second), venue.resting(third)), (None, Some(400), Some(100)));
}

#[test]
fn resting_reduce_only_orders_shrink_with_the_position() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.trade(account, Side::Buy, 100, 1_000, NET);
    let first = venue.limit(account, Side::Sell, 120, 600, REDUCE).unwrap();
    let second = venue.limit(account, Side::Sell, 121, 400, REDUCE).unwrap();
    venue.trade(account, Side::Sell, 99, 700, NET);
    assert_eq!((venue.resting(first), venue.resting(second)), (None, Some(300)));
    assert!(
        venue
            .events
            .iter()
            .any(|event| matches!(event, Event::Cut { order, remaining: Qty(300), .. } if *order == second))
    );
    // Another's order that is larger than both takes only what the position still has.
    let taker = venue.account("1000000");
    venue.limit(taker, Side::Buy, 130, 5_000, NET).unwrap();
    assert_eq!((venue.net(account), venue.resting(second)), (None, None));
}

#[test]
fn an_order_that_would_open_more_than_the_margin_allows_is_refused_and_one_that_closes_is_not() {
    let mut venue = Venue::new();
    let account = venue.account("11");
    // Ten times leverage: 10.6 with the fee, for a value of 100.
    venue.trade(account, Side::Buy, 100, 1_000, NET);
    let refused = venue.limit(account, Side::Buy, 100, 1_000, NET);
    assert!(matches!(refused, Err(PlaceError::Margin { .. })), "{refused:?}");
    let resting = venue.limit(account, Side::Buy, 10, 700, NET).unwrap();
    let margin = venue.engine.margin(account).unwrap();
    assert_eq!(margin.order_margin, amount("0.7042"));
    assert_eq!(margin.available(), amount("0.2358"));
    assert!(venue.engine.cancel(account, PERP, resting, &mut Vec::new()));
    assert_eq!(venue.engine.margin(account).unwrap().order_margin, Atoms::ZERO);
    venue.limit(account, Side::Sell, 120, 1_000, NET).unwrap();
    assert_eq!(venue.engine.margin(account).unwrap().order_margin, Atoms::ZERO, "it only closes");
    assert!(matches!(venue.limit(account, Side::Sell, 121, 1_000, NET), Err(PlaceError::Margin { .. })));
}

#[test]
fn a_price_worse_than_the_mark_price_holds_the_loss_that_filling_it_brings() {
    let mut venue = Venue::new();
    let account = venue.account("1000");
    venue.limit(account, Side::Buy, 150, 1_000, NET).unwrap();
    // 150 / 10 of margin, 50 of loss at the mark price of 100, 0.09 of fee.
    assert_eq!(venue.engine.margin(account).unwrap().order_margin, amount("65.09"));
    venue.limit(venue.crowd, Side::Sell, 150, 1_000, NET).unwrap();
    let margin = venue.engine.margin(account).unwrap();
    assert_eq!((margin.order_margin, margin.position_margin), (Atoms::ZERO, amount("15")));
    assert_eq!(margin.free, amount("934.97"), "a maker's fee is less than what was held for a taker's");
}

#[test]
fn leverage_is_bounded_and_lowering_it_needs_the_margin() {
    let mut venue = Venue::new();
    let account = venue.account("30");
    assert_eq!(venue.engine.set_leverage(account, PERP, 101), Err(FuturesError::Leverage { max: 100 }));
    assert_eq!(venue.engine.set_leverage(account, SPOT, 5), Err(FuturesError::UnknownInstrument));
    venue.engine.set_leverage(account, PERP, 50).unwrap();
    venue.trade(account, Side::Buy, 100, 1_000, NET);
    assert_eq!(venue.engine.margin(account).unwrap().position_margin, amount("2"));
    assert!(matches!(venue.engine.set_leverage(account, PERP, 3), Err(FuturesError::Margin { .. })));
    assert_eq!(venue.engine.leverage(account, PERP), Some(50));
    venue.engine.set_leverage(account, PERP, 4).unwrap();
    assert_eq!(venue.engine.margin(account).unwrap().position_margin, amount("25"));
}

#[test]
fn longs_pay_shorts_when_the_rate_is_positive_and_the_sum_is_zero() {
    let mut venue = Venue::new();
    let (long, short) = (venue.account("1000"), venue.account("1000"));
    venue.limit(long, Side::Buy, 100, 3_000, NET).unwrap();
    venue.limit(short, Side::Sell, 100, 2_000, NET).unwrap();
    venue.quote(Side::Sell, 100, 1_000);
    let before = venue.engine.total(asset("USDT"));
    let mut events = Vec::new();
    assert!(venue.engine.fund(PERP, rate(123), &mut events));
    let paid: Vec<(AccountId, String)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Funding(payment) => Some((payment.account, payment.amount.to_string())),
            _ => None,
        })
        .collect();
    let expected = [(venue.crowd, "0.0123"), (long, "-0.0369"), (short, "0.0246")];
    assert_eq!(paid, expected.map(|(account, text)| (account, text.to_owned())));
    assert_eq!(venue.engine.total(asset("USDT")), before);
    assert_eq!(venue.net(long).unwrap().funding, amount("-0.0369"));
    assert!(!venue.engine.fund(SPOT, rate(123), &mut events));
}

#[test]
fn the_liquidation_price_is_the_first_at_which_the_account_is_due() {
    for (side, worse) in [(Side::Buy, -1), (Side::Sell, 1)] {
        let mut venue = Venue::new();
        let account = venue.account("30");
        venue.trade(account, side, 100, 2_000, NET);
        let price = venue.engine.liquidation_price(account, PERP).unwrap();
        venue.engine.set_mark(PERP, Price(price.0 - worse));
        assert!(!venue.engine.is_due_for_liquidation(account), "{side} at {price:?}");
        assert_eq!(venue.engine.liquidation_price(account, PERP), Some(price), "it does not move with the mark price");
        venue.engine.set_mark(PERP, price);
        assert!(venue.engine.is_due_for_liquidation(account), "{side} at {price:?}");
    }
    let mut venue = Venue::new();
    let rich = venue.account("1000");
    venue.trade(rich, Side::Buy, 100, 2_000, NET);
    assert_eq!(venue.engine.liquidation_price(rich, PERP), None, "its long position cannot lose that much");
}

#[test]
fn liquidation_cancels_orders_closes_against_the_book_and_leaves_the_rest_to_the_account() {
    let mut venue = Venue::new();
    let account = venue.account("30");
    venue.trade(account, Side::Buy, 100, 2_000, NET);
    let resting = venue.limit(account, Side::Buy, 50, 100, NET).unwrap();
    venue.engine.set_mark(PERP, Price(85));
    venue.quote(Side::Buy, 86, 2_000);
    let total = venue.engine.total(asset("USDT"));
    venue.events.clear();
    assert_eq!(venue.engine.liquidate_due(venue.insurance, UnixNanos(2), &mut venue.events), 1);
    assert_eq!(venue.removal(resting), Some(Removal::Cancelled(CancelReason::Liquidation)));
    assert_eq!(venue.net(account), None);
    // 30 - 0.12 entering, 28 lost, 0.1032 leaving.
    assert_eq!(venue.wallet(account), "1.7768");
    assert!(!venue.events.iter().any(|event| matches!(event, Event::TakenOver { .. } | Event::Covered { .. })));
    assert_eq!(venue.engine.total(asset("USDT")), total);
    assert_eq!(venue.engine.liquidate_due(venue.insurance, UnixNanos(3), &mut venue.events), 0);
}

#[test]
fn what_the_book_does_not_take_goes_to_the_insurance_account_which_pays_what_is_missing() {
    let mut venue = Venue::new();
    let account = venue.account("30");
    venue.trade(account, Side::Buy, 100, 2_000, NET);
    venue.quote(Side::Buy, 60, 500);
    venue.engine.set_mark(PERP, Price(70));
    let total = venue.engine.total(asset("USDT"));
    venue.events.clear();
    assert_eq!(venue.engine.liquidate_due(venue.insurance, UnixNanos(2), &mut venue.events), 1);
    assert_eq!((venue.net(account), venue.wallet(account)), (None, "0".into()));
    let taken = venue.net(venue.insurance).unwrap();
    assert_eq!((taken.side, taken.qty, taken.cost), (PositionSide::Long, Qty(1_500), amount("105")));
    // 29.88 in the wallet, 20 and 45 lost, 0.018 of fee.
    assert_eq!(venue.wallet(venue.insurance), "-35.138");
    assert!(
        venue
            .events
            .iter()
            .any(|event| matches!(event, Event::Covered { amount: paid, .. } if *paid == amount("35.138")))
    );
    assert_eq!(venue.engine.total(asset("USDT")), total);
    let clients = [account];
    assert_eq!(
        venue.engine.liquidate_due(clients[0], UnixNanos(3), &mut venue.events),
        0,
        "only an unlimited account insures"
    );
}

#[test]
fn a_shared_balance_is_spent_once_on_spot_and_futures_together() {
    let mut venue = Venue::new();
    let account = venue.unified("100");
    venue.trade(account, Side::Buy, 100, 8_000, NET);
    let spot = |price: i64, qty: i64| NewOrder {
        account,
        instrument: SPOT,
        side: Side::Buy,
        size: OrderSize::Limit { price: Price(price), qty: Qty(qty) },
        time_in_force: TimeInForce::Gtc,
        self_trade: SelfTrade::Allow,
    };
    // 80 of margin and 0.48 of fee leave 19.52.
    let refused = venue.engine.place(spot(20, 1_000), UnixNanos(1), &mut Vec::new());
    assert!(matches!(refused, Err(PlaceError::Balance { available, .. }) if available.to_string() == "19.52"));
    assert!(!venue.engine.withdraw(account, asset("USDT"), amount("19.53")));
    venue.engine.place(spot(19, 1_000), UnixNanos(1), &mut Vec::new()).unwrap();
    let margin = venue.engine.margin(account).unwrap();
    assert_eq!((margin.frozen, margin.free, margin.equity), (amount("19"), amount("0.52"), amount("99.52")));
    assert!(matches!(venue.limit(account, Side::Buy, 100, 100, NET), Err(PlaceError::Margin { .. })));
    assert_eq!(venue.engine.move_to_futures(account, amount("1")), Err(FuturesError::OneWallet));
    // What spot orders hold saves no position: they are cancelled first.
    venue.engine.set_mark(PERP, Price(87));
    let mut events = Vec::new();
    assert_eq!(venue.engine.liquidate_due(venue.insurance, UnixNanos(2), &mut events), 1);
    assert!(venue.engine.book(SPOT).unwrap().is_empty());
    assert!(venue.engine.balance(account, asset("USDT")).available >= Atoms::ZERO);
}

#[test]
fn a_transfer_moves_what_nothing_holds_and_no_unrealised_gain() {
    let mut venue = Venue::new();
    let account = venue.account("0");
    assert!(venue.engine.deposit(account, asset("USDT"), amount("50")));
    assert!(matches!(venue.engine.move_to_futures(account, amount("51")), Err(FuturesError::Margin { .. })));
    venue.engine.move_to_futures(account, amount("50")).unwrap();
    venue.trade(account, Side::Buy, 100, 2_000, NET);
    venue.engine.set_mark(PERP, Price(200));
    assert!(matches!(venue.engine.move_from_futures(account, amount("49.89")), Err(FuturesError::Margin { .. })));
    venue.engine.move_from_futures(account, amount("49.88")).unwrap();
    assert_eq!(venue.engine.balance(account, asset("USDT")).available, amount("49.88"));
    assert_eq!(venue.engine.move_from_futures(account, Atoms::ZERO), Err(FuturesError::Amount));
}

#[test]
fn what_is_no_order_on_a_perpetual_is_refused() {
    let mut venue = Venue::new();
    let (account, stranger) = (venue.account("1000"), venue.engine.open_account(terms().fees));
    let quote = OrderSize::MarketQuote { budget: amount("10") };
    assert_eq!(venue.order(account, Side::Buy, quote, NET, TimeInForce::Ioc), Err(PlaceError::Kind));
    assert_eq!(venue.limit(stranger, Side::Buy, 100, 1, NET), Err(PlaceError::UnknownAccount));
    assert_eq!(venue.limit(account, Side::Buy, 0, 1, NET), Err(PlaceError::Price));
    assert_eq!(venue.limit(account, Side::Buy, 100, 0, NET), Err(PlaceError::Quantity));
    assert_eq!(venue.limit(account, Side::Buy, 100, i64::MAX, NET), Err(PlaceError::Range));
    let listing = *venue.engine.listing(PERP).unwrap();
    let other = Listing { quote: asset("USDC"), ..listing };
    assert_eq!(venue.engine.list_perpetual(other, terms()), Err(ListingError::Settle { settle: asset("USDT") }));
    let reckless = PerpetualTerms { leverage_max: 250, ..terms() };
    assert_eq!(venue.engine.list_perpetual(listing, reckless), Err(ListingError::Terms));
    let fresh = venue.engine.list_perpetual(listing, terms()).unwrap();
    let order = NewOrder {
        account,
        instrument: fresh,
        side: Side::Buy,
        size: OrderSize::Limit { price: Price(1), qty: Qty(1) },
        time_in_force: TimeInForce::Gtc,
        self_trade: SelfTrade::Allow,
    };
    assert_eq!(venue.engine.place(order, UnixNanos(1), &mut Vec::new()), Err(PlaceError::NoMark));
}

#[test]
fn an_order_whose_cheap_counterparts_vanish_while_it_trades_stops_where_its_margin_ends() {
    let mut venue = Venue::new();
    let holder = venue.account("1000");
    venue.trade(holder, Side::Buy, 100, 1_000, NET);
    venue.limit(holder, Side::Sell, 100, 1_000, NET).unwrap();
    let vanishing = venue.limit(holder, Side::Sell, 101, 1_000, REDUCE).unwrap();
    venue.quote(Side::Sell, 140, 1_000);
    // Enough for one at 100 and one at 101; not for one at 140, which is 40 worse than the mark price.
    let account = venue.account("30");
    let taken = venue.market(account, Side::Buy, 2_000, NET).unwrap();
    assert_eq!(venue.removal(vanishing), Some(Removal::Cancelled(CancelReason::ReduceOnly)));
    assert_eq!(venue.removal(taken), Some(Removal::Cancelled(CancelReason::Margin)));
    assert_eq!(venue.net(account).map(|position| position.qty), Some(Qty(1_000)));
    assert!(venue.engine.margin(account).unwrap().free >= Atoms::ZERO);
}
