//! Perpetual futures between order path and venue: leverage before the first order, positions compared, funding once.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed assumption fails the test")]

use domain::{
    Amount, ClientOrderId, Epoch, Fee, InstanceTag, Instrument, InstrumentId, InstrumentStatus, InstrumentVersion,
    Liquidity, Market, MonoNanos, Notional, OrderState, PositionEffect, PositionSide, Price, Qty, Rounding, Scaled,
    Side, StrategyTag, Symbol, TimeInForce, UnixNanos, VenueId, VenueOrderId, VenueOrderStatus,
};
use messages::{
    AccountMode, BalanceReport, BillKind, BillReport, ClientIdText, Control, DifferenceKind, EndpointGroup, EventBody,
    FillReport, FuturesSettings, HaltReason, KeyDuty, MarginMode, Note, OrderEvent, OrderIntent, OrderUpdate,
    PositionMode, PositionReport, QueryAnswer, RefuseReason, ReportBody, SignIntent, TopUsed, VenueError,
    VenueErrorClass, VenueReason, VenueReport, Verb,
};
use order_path::{Core, Effects, FuturesWish, Now, Setup, SignJob, SignOutcome, VenueSetup};
use risk_guard::{Limits, StrategyLimits};
use signing::Route;
use std::time::Duration;

const VENUE: VenueId = VenueId(0);
const STRATEGY: StrategyTag = StrategyTag(1);
const PERP: InstrumentId = InstrumentId(1);
const START: u64 = 1_700_000_000_000_000_000;

#[derive(Default)]
struct Recorder(Vec<OrderEvent>);

impl Effects for Recorder {
    fn publish(&mut self, event: OrderEvent) {
        self.0.push(event);
    }
    fn store_halt(&mut self, _: Option<(HaltReason, Note)>) {}
}

fn version(id: u16) -> InstrumentVersion {
    InstrumentVersion {
        id: InstrumentId(id),
        version: 1,
        price_decimals: 1,
        qty_decimals: 3,
        tick: 1,
        lot: 1,
        min_qty: Qty(0),
        max_qty: Qty(0),
        min_notional: Notional::ZERO,
        status: InstrumentStatus::Online,
        valid_from: UnixNanos(0),
    }
}

fn instrument(id: u16, symbol: &str) -> Instrument {
    Instrument {
        id: InstrumentId(id),
        venue: VENUE,
        symbol: symbol.try_into().unwrap(),
        market: Market::of(symbol),
        base: "BTC".try_into().unwrap(),
        quote: "USDT".try_into().unwrap(),
        version: version(id),
    }
}

fn amount(text: &str) -> Amount {
    Amount(text.parse().unwrap())
}

fn symbol() -> Symbol {
    "BTCUSDT-PERP".try_into().unwrap()
}

/// The account at the venue.
struct Venue {
    settings: FuturesSettings,
    /// Says no to every change.
    stubborn: bool,
    /// Net position, in thousandths.
    position: i64,
    liquidation: Option<Amount>,
    bills: Vec<BillReport>,
    /// Rows of a page of bills.
    page: usize,
    fills: Vec<FillReport>,
    orders: Vec<OrderUpdate>,
    /// In maintenance: nothing is answered.
    closed: bool,
}

struct World {
    core: Core,
    out: Recorder,
    venue: Venue,
    now: Now,
    asked: Vec<Verb>,
    ids: u64,
}

fn setup(epoch: u32, instruments: Vec<Instrument>) -> Setup {
    Setup {
        venues: vec![VenueSetup {
            tag: InstanceTag::from_number(1),
            epoch: Epoch::new(epoch).unwrap(),
            rates: EndpointGroup::ALL.map(|group| (group, 1_000)).to_vec(),
            account: AccountMode::Classic,
            futures: Some(FuturesWish {
                leverage: 3,
                margin_mode: MarginMode::Crossed,
                position_mode: PositionMode::OneWay,
            }),
        }],
        instruments,
        strategies: vec![(STRATEGY, StrategyLimits::default())],
        account: "test".to_owned(),
        limits: Limits { duplicate_window: Duration::ZERO, ..Limits::default() },
        index_delay: Duration::from_secs(5),
        cancel_on_disconnect_after: Duration::from_secs(10),
        hold_on_foreign: true,
        halted: None,
    }
}

fn both() -> Vec<Instrument> {
    vec![instrument(0, "BTCUSDT"), instrument(1, "BTCUSDT-PERP")]
}

impl World {
    fn new() -> Self {
        Self::with(both(), |_| {})
    }

    /// A world in which the venue was changed before the program came up.
    fn with(instruments: Vec<Instrument>, change: impl FnOnce(&mut Venue)) -> Self {
        let now = Now { mono: MonoNanos(1_000_000_000), unix: UnixNanos(START) };
        let mut out = Recorder::default();
        let mut core = Core::new(setup(1, instruments), now);
        core.start(now, &mut out);
        let mut venue = Venue {
            settings: FuturesSettings {
                leverage_long: 20,
                leverage_short: 20,
                margin_mode: MarginMode::Isolated,
                position_mode: PositionMode::OneWay,
            },
            stubborn: false,
            position: 0,
            liquidation: None,
            bills: Vec::new(),
            page: 2,
            fills: Vec::new(),
            orders: Vec::new(),
            closed: false,
        };
        change(&mut venue);
        let mut world = Self { core, out, venue, now, asked: Vec::new(), ids: 0 };
        world.come_up();
        world
    }

    fn come_up(&mut self) {
        self.core.control(Control::KeyDuty(VENUE, KeyDuty::Full), self.now, &mut self.out);
        self.core.control(Control::PrivateStream { venue: VENUE, live: true }, self.now, &mut self.out);
        self.pass(20_000);
    }

    /// Kill -9: what was published is on disk, everything else is gone.
    fn restart(&mut self) {
        let mut core = Core::new(setup(2, both()), self.now);
        self.out.0.iter().for_each(|event| core.restore(event));
        self.core = core;
        self.core.start(self.now, &mut self.out);
        self.core.restored(self.now, &mut self.out);
        self.come_up();
    }

    fn top(&self) -> TopUsed {
        TopUsed { bid: Price(9_999), ask: Price(10_001), received: self.now.mono }
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(250) {
            self.now = Now {
                mono: self.now.mono.after(Duration::from_millis(250)),
                unix: UnixNanos(self.now.unix.0 + 250_000_000),
            };
            let at = self.now.mono;
            let measured = Control::ClockMeasured { venue: VENUE, offset_ns: 0, uncertainty_ns: 1_000, at };
            self.core.control(measured, self.now, &mut self.out);
            let top = self.top();
            self.core.tick(self.now, std::iter::once((PERP, top)), &mut self.out);
            while let Some(job) = self.core.next_job(self.now, &mut self.out) {
                self.carry(&job);
            }
        }
    }

    fn carry(&mut self, job: &SignJob) {
        self.asked.push(job.intent.verb());
        self.core.signed(job, SignOutcome::Queued(self.now.mono), self.now, &mut self.out);
        match (job.route, job.intent) {
            (Route::Query(query, _), intent) => {
                let answer = self.answer(&intent);
                self.report(ReportBody::Answer { query, answer });
            }
            (Route::Setting, intent) => {
                let error = self.venue.stubborn.then(|| VenueError {
                    code: "40920".try_into().unwrap(),
                    class: VenueErrorClass::Refused,
                    reason: VenueReason::Other,
                    text: "there is a position".try_into().unwrap(),
                });
                let settings = &mut self.venue.settings;
                match intent {
                    _ if error.is_some() => {}
                    SignIntent::SetLeverage { leverage, .. } => {
                        (settings.leverage_long, settings.leverage_short) = (leverage, leverage);
                    }
                    SignIntent::SetMarginMode { mode, .. } => settings.margin_mode = mode,
                    other => panic!("{other:?} is never sent"),
                }
                self.report(ReportBody::SettingAnswered { verb: intent.verb(), symbol: symbol(), error });
            }
            (Route::Order(id), SignIntent::Place(order)) => {
                let at = self.now.mono;
                let venue_order_id = self.id();
                self.venue.orders.push(OrderUpdate {
                    symbol: symbol(),
                    client_id: ClientIdText::from(id.as_str()).unwrap(),
                    venue_order_id,
                    side: order.side,
                    price: Some(order.price),
                    qty: order.qty,
                    filled: Scaled { mantissa: 0, decimals: 3 },
                    status: VenueOrderStatus::Live,
                    created: self.now.unix,
                    updated: self.now.unix,
                });
                self.report(ReportBody::Accepted { id, verb: Verb::Place, venue_order_id, at });
            }
            (route, intent) => panic!("{route:?} {intent:?}"),
        }
    }

    fn answer(&self, intent: &SignIntent) -> QueryAnswer {
        if self.venue.closed {
            return QueryAnswer::CouldNotAsk(messages::CouldNotAsk::Network);
        }
        let balance = |wallet| BalanceReport {
            wallet,
            asset: "USDT".try_into().unwrap(),
            available: amount("10000"),
            held: Amount::ZERO,
            venue_time: UnixNanos(0),
        };
        match intent {
            SignIntent::OpenOrders { symbol: of, .. } => {
                let rests = |order: &&OrderUpdate| order.status == VenueOrderStatus::Live && *of == symbol();
                QueryAnswer::Orders { page: self.venue.orders.iter().filter(rests).copied().collect(), next: None }
            }
            SignIntent::QueryOrder { id, .. } => {
                let order = self.venue.orders.iter().find(|order| order.client_id.as_str() == id.as_str());
                QueryAnswer::Order(order.copied())
            }
            SignIntent::Fills { .. } => {
                QueryAnswer::Fills { page: self.venue.fills.iter().rev().copied().collect(), next: None }
            }
            SignIntent::FuturesSettings { .. } => QueryAnswer::FuturesSettings(self.venue.settings),
            SignIntent::Positions => QueryAnswer::Positions(self.listed()),
            SignIntent::Bills { since, older_than } => {
                let older = |bill: &&BillReport| {
                    let number = |id: &VenueOrderId| id.parse::<u64>().unwrap();
                    older_than.is_none_or(|than| number(&bill.id) < number(&than))
                };
                let mut due = self.venue.bills.iter().rev().filter(|bill| bill.venue_time >= *since).filter(older);
                let page: Vec<BillReport> = due.by_ref().take(self.venue.page).copied().collect();
                let next = due.next().and(page.last()).map(|bill| bill.id);
                QueryAnswer::Bills { page, next }
            }
            SignIntent::Balances => QueryAnswer::Balances(vec![balance(Market::Spot)]),
            SignIntent::FuturesBalances => QueryAnswer::Balances(vec![balance(Market::UsdtFutures)]),
            other => panic!("{other:?}"),
        }
    }

    fn listed(&self) -> Vec<PositionReport> {
        let report = PositionReport {
            symbol: symbol(),
            side: PositionSide::Net,
            qty: Amount(rust_decimal::Decimal::new(self.venue.position, 3)),
            entry: Some(amount("1000")),
            mark: Some(amount("1000")),
            liquidation: self.venue.liquidation,
            leverage: 3,
            margin_mode: MarginMode::Crossed,
            unrealised: Amount::ZERO,
            margin: None,
            venue_time: self.now.unix,
        };
        if self.venue.position == 0 { Vec::new() } else { vec![report] }
    }

    fn id(&mut self) -> VenueOrderId {
        self.ids += 1;
        VenueOrderId::from(&self.ids.to_string()).expect("it fits")
    }

    fn report(&mut self, body: ReportBody) {
        let report = VenueReport { venue: VENUE, received: self.now.unix, body };
        self.core.report(&report, self.now, &mut self.out);
    }

    fn place(&mut self, side: Side, thousandths: i64, effect: PositionEffect) -> Option<ClientOrderId> {
        let price = if side == Side::Buy { 9_990 } else { 10_010 };
        let intent = OrderIntent {
            strategy: STRATEGY,
            reference: 0,
            instrument: PERP,
            side,
            price: version(1).order_price(Price(price), Rounding::Exact).unwrap(),
            qty: version(1).order_qty(Qty(thousandths), Rounding::Exact).unwrap(),
            time_in_force: TimeInForce::Gtc,
            effect,
            caused: self.now.mono,
            decided: self.now.mono,
        };
        let job = self.core.intent(&intent, Ok(self.top()), self.now, &mut self.out)?;
        let SignIntent::Place(order) = job.intent else { unreachable!() };
        assert_eq!(order.effect, effect, "the effect goes through to the signer");
        self.carry(&job);
        Some(order.id)
    }

    /// The venue fills an order whole; `told`: and pushes it.
    fn fill(&mut self, id: ClientOrderId, told: bool) {
        let order = *self.core.order(&id).unwrap();
        let report = FillReport {
            symbol: symbol(),
            trade_id: self.id(),
            venue_order_id: order.venue_order_id.unwrap(),
            client_id: None,
            side: order.side,
            price: Scaled { mantissa: order.price.0, decimals: 1 },
            qty: Scaled { mantissa: order.qty.0, decimals: 3 },
            fee: Fee { amount: amount("0.01"), asset: "USDT".try_into().unwrap() },
            liquidity: Liquidity::Maker,
            venue_time: self.now.unix,
        };
        self.venue.fills.push(report);
        for order in self.venue.orders.iter_mut().filter(|order| order.venue_order_id == report.venue_order_id) {
            (order.filled, order.status) = (order.qty, VenueOrderStatus::Filled);
        }
        self.venue.position += if order.side == Side::Buy { order.qty.0 } else { -order.qty.0 };
        if told {
            self.report(ReportBody::Fill(report));
        }
    }

    fn bill(&mut self, kind: BillKind, change: &str) {
        let id = self.id();
        self.venue.bills.push(BillReport {
            id,
            kind,
            asset: "USDT".try_into().unwrap(),
            amount: amount(change),
            symbol: Some(symbol()),
            venue_time: self.now.unix,
        });
    }

    fn count(&self, is_it: impl Fn(&EventBody) -> bool) -> usize {
        self.out.0.iter().filter(|event| is_it(&event.body)).count()
    }

    fn last_refusal(&self) -> Option<RefuseReason> {
        self.out.0.iter().rev().find_map(|event| match event.body {
            EventBody::Refused { reason, .. } => Some(reason),
            _ => None,
        })
    }
}

const NET: PositionEffect = PositionEffect { side: PositionSide::Net, reduce_only: false };
const REDUCE: PositionEffect = PositionEffect { side: PositionSide::Net, reduce_only: true };

#[test]
fn margin_mode_and_leverage_are_set_and_read_back_before_the_first_order() {
    let mut world = World::new();
    let sets: Vec<_> = world.asked.iter().copied().filter(|verb| verb.sets()).collect();
    assert_eq!(sets, [Verb::SetMarginMode, Verb::SetLeverage]);
    assert!(world.core.reconciled(VENUE));
    assert_eq!(world.core.exposure().futures_settings(PERP).unwrap().leverage_long, 3);
    assert!(world.place(Side::Sell, 100, NET).is_some());
    world.pass(200_000);
    assert_eq!(world.asked.iter().filter(|verb| verb.sets()).count(), 2, "and not again");
}

#[test]
fn a_venue_without_perpetuals_is_asked_nothing_about_them() {
    let world = World::with(vec![instrument(0, "BTCUSDT")], |_| {});
    assert!(world.core.reconciled(VENUE));
    let futures = [Verb::Positions, Verb::FuturesSettings, Verb::Bills, Verb::SetLeverage, Verb::SetMarginMode];
    assert!(world.asked.iter().all(|verb| !futures.contains(verb)), "{:?}", world.asked);
}

#[test]
fn a_unified_account_has_one_wallet_which_is_asked_once_and_margins_futures() {
    let mut world = World::new();
    assert!(world.asked.contains(&Verb::FuturesBalances));
    world.core.control(Control::AccountMode(VENUE, AccountMode::Unified), world.now, &mut world.out);
    assert!(!world.core.reconciled(VENUE), "the books of the other mode are compared first");
    world.asked.clear();
    world.pass(20_000);
    assert!(world.core.reconciled(VENUE));
    assert!(world.asked.contains(&Verb::Balances) && !world.asked.contains(&Verb::FuturesBalances));
    assert_eq!(world.core.exposure().free_margin(PERP), amount("10000"));
    world.bill(BillKind::Transfer, "5");
    world.pass(90_000);
    assert_eq!(world.count(|body| matches!(body, EventBody::Transfer { wallet: Market::Spot, .. })), 1);
    assert!(world.place(Side::Sell, 100, NET).is_some());
}

#[test]
fn a_leverage_that_the_venue_does_not_change_is_tried_twice_and_then_nothing_is_opened() {
    let mut world = World::with(both(), |venue| venue.stubborn = true);
    let tried = [Verb::SetMarginMode, Verb::SetMarginMode, Verb::SetLeverage, Verb::SetLeverage];
    assert_eq!(world.asked.iter().copied().filter(|verb| verb.sets()).collect::<Vec<_>>(), tried);
    assert!(world.core.reconciled(VENUE), "spot goes on");
    let told = world.count(|body| matches!(body, EventBody::AskFailed { verb: Verb::SetMarginMode, .. }));
    assert_eq!(told, 2);
    assert!(world.place(Side::Sell, 100, NET).is_none());
    assert_eq!(world.last_refusal(), Some(RefuseReason::Leverage));
    world.pass(200_000);
    assert_eq!(world.asked.iter().filter(|verb| verb.sets()).count(), 4, "no more until the stream comes up anew");
}

#[test]
fn another_position_mode_is_told_once_never_changed_and_orders_are_refused() {
    let mut world = World::with(both(), |venue| venue.settings.position_mode = PositionMode::Hedge);
    world.pass(200_000);
    let kind = DifferenceKind::PositionMode;
    assert_eq!(world.count(|body| matches!(body, EventBody::Difference { kind: of, .. } if *of == kind)), 1);
    assert!(!world.asked.contains(&Verb::SetPositionMode));
    assert!(world.place(Side::Sell, 100, NET).is_none());
    assert_eq!(world.last_refusal(), Some(RefuseReason::PositionMode));
}

#[test]
fn a_fill_that_was_missed_is_found_by_the_position_and_is_no_difference() {
    let mut world = World::new();
    let id = world.place(Side::Sell, 100, NET).unwrap();
    world.fill(id, false);
    world.pass(90_000);
    assert_eq!(world.core.exposure().leg_position(PERP, PositionSide::Net), amount("-0.1"));
    assert_eq!(world.count(|body| matches!(body, EventBody::Difference { .. })), 0);
    assert!(!world.core.exposure().mismatch(PERP));
}

#[test]
fn a_question_about_fills_alone_does_not_keep_a_venue_from_being_compared_when_its_stream_is_back() {
    let mut world = World::new();
    let id = world.place(Side::Sell, 100, NET).unwrap();
    // Filled, as the order's push says, while its fill was lost: fills are asked for, and nobody answers.
    world.venue.closed = true;
    world.fill(id, false);
    let mut filled = world.venue.orders.last().copied().unwrap();
    (filled.filled, filled.status) = (filled.qty, VenueOrderStatus::Filled);
    world.report(ReportBody::Order(filled));
    world.core.control(Control::PrivateStream { venue: VENUE, live: false }, world.now, &mut world.out);
    world.pass(10_000);
    world.core.control(Control::PrivateStream { venue: VENUE, live: true }, world.now, &mut world.out);
    world.pass(1_000);
    world.venue.closed = false;
    world.pass(30_000);
    assert!(world.core.reconciled(VENUE), "nothing new is placed until the venue has been compared");
    assert_eq!(world.core.exposure().leg_position(PERP, PositionSide::Net), amount("-0.1"));
}

#[test]
fn a_position_that_stays_different_is_told_once_and_only_reduced_until_it_agrees() {
    let mut world = World::new();
    let id = world.place(Side::Buy, 100, NET).unwrap();
    world.fill(id, true);
    world.venue.position += 50; // somebody else bought on this account
    world.pass(200_000);
    let kind = DifferenceKind::Position;
    assert_eq!(world.count(|body| matches!(body, EventBody::Difference { kind: of, .. } if *of == kind)), 1);
    assert!(world.place(Side::Buy, 10, NET).is_none());
    assert_eq!(world.last_refusal(), Some(RefuseReason::PositionMismatch));
    assert!(world.place(Side::Sell, 100, REDUCE).is_some());
    world.venue.position -= 50;
    world.pass(90_000);
    assert!(world.place(Side::Buy, 10, NET).is_some());
}

#[test]
fn a_position_that_keeps_moving_between_looks_is_not_taken_for_a_difference() {
    let mut world = World::new();
    for _ in 0..200 {
        world.venue.position += 1; // always one ahead of what was compared
        world.pass(1_000);
    }
    assert_eq!(world.count(|body| matches!(body, EventBody::Difference { .. })), 0);
}

#[test]
fn funding_is_counted_once_over_overlaps_pages_and_a_restart() {
    let mut world = World::new();
    world.bill(BillKind::Funding, "-0.25");
    world.bill(BillKind::Fee, "-0.01");
    world.bill(BillKind::Transfer, "50");
    world.pass(200_000);
    let funding = |body: &EventBody| matches!(body, EventBody::Funding { instrument: Some(PERP), .. });
    let transfer = |body: &EventBody| matches!(body, EventBody::Transfer { wallet: Market::UsdtFutures, .. });
    assert_eq!((world.count(funding), world.count(transfer)), (1, 1));
    assert_eq!(world.core.exposure().total_pnl().0, amount("-0.25").0);
    world.restart();
    world.pass(200_000);
    assert_eq!((world.count(funding), world.count(transfer)), (1, 1));
    assert_eq!(world.core.exposure().total_pnl().0, amount("-0.25").0);
    world.bill(BillKind::Funding, "0.05");
    world.pass(90_000);
    assert_eq!(world.count(funding), 2);
    assert_eq!(world.core.exposure().total_pnl().0, amount("-0.20").0);
}

#[test]
fn bills_beyond_what_is_read_are_a_difference_and_all_pages_before_are_counted() {
    let mut world = World::new();
    world.venue.page = 1;
    (0..300).for_each(|_| world.bill(BillKind::Funding, "-0.01"));
    world.pass(200_000);
    let read = world.count(|body| matches!(body, EventBody::Funding { .. }));
    assert_eq!(read, 251);
    let kind = DifferenceKind::Balance;
    assert!(world.count(|body| matches!(body, EventBody::Difference { kind: of, .. } if *of == kind)) >= 1);
}

#[test]
fn bills_from_before_the_first_start_are_not_this_programs() {
    let world = World::with(both(), |venue| {
        venue.bills.push(BillReport {
            id: "900".try_into().unwrap(),
            kind: BillKind::Funding,
            asset: "USDT".try_into().unwrap(),
            amount: amount("-9"),
            symbol: Some(symbol()),
            venue_time: UnixNanos(START - 1),
        });
    });
    assert_eq!(world.core.exposure().total_pnl().0, Amount::ZERO.0);
}

#[test]
fn positions_are_news_when_they_change_and_marks_alone_are_none() {
    let mut world = World::new();
    let id = world.place(Side::Sell, 100, NET).unwrap();
    world.fill(id, true);
    assert_eq!(world.core.order(&id).unwrap().state, OrderState::Filled);
    let push = world.listed()[0];
    for cents in 0..20 {
        let mark = Some(Amount(rust_decimal::Decimal::new(100_000 + cents, 2)));
        world.report(ReportBody::Position(PositionReport { mark, ..push }));
    }
    let news = |body: &EventBody| matches!(body, EventBody::Position { .. });
    assert_eq!(world.count(news), 1);
    // Closed: the venue lists it no more.
    let id = world.place(Side::Buy, 100, REDUCE).unwrap();
    world.fill(id, true);
    world.pass(90_000);
    let closed = |body: &EventBody| matches!(body, EventBody::Position { report, .. } if report.qty == Amount::ZERO);
    assert_eq!(world.count(closed), 1);
    assert_eq!(world.core.exposure().position(STRATEGY, PERP).realised.0, amount("0.18").0);
}

#[test]
fn the_liquidation_price_that_the_venue_tells_stops_what_adds_risk() {
    let mut world = World::new();
    let id = world.place(Side::Sell, 100, NET).unwrap();
    world.venue.liquidation = Some(amount("1050"));
    world.fill(id, true);
    world.pass(90_000);
    assert!(world.place(Side::Sell, 10, NET).is_none());
    assert_eq!(world.last_refusal(), Some(RefuseReason::Liquidation));
    assert!(world.place(Side::Buy, 10, REDUCE).is_some());
}

#[test]
fn a_restart_gives_back_short_positions_and_their_sides() {
    let mut world = World::new();
    let id = world.place(Side::Sell, 100, NET).unwrap();
    world.fill(id, true);
    world.restart();
    assert_eq!(world.core.exposure().leg_position(PERP, PositionSide::Net), amount("-0.1"));
    assert_eq!(world.core.restored_for(STRATEGY, PERP).position, amount("-0.1"));
    assert_eq!(world.count(|body| matches!(body, EventBody::Difference { .. })), 0);
}
