//! Whatever is lost, late, doubled or out of order between us and a venue: in the end the order path knows
//! exactly the orders and fills that the venue has, and nothing is unknown.
#![expect(clippy::expect_used, reason = "a suite in tests/ fails by panicking")]

use domain::{
    Amount, ClientOrderId, Epoch, Fee, InstanceTag, Instrument, InstrumentId, InstrumentStatus, InstrumentVersion,
    Liquidity, MonoNanos, Notional, OrderState, Price, Qty, Rounding, Scaled, Side, StrategyTag, TimeInForce,
    UnixNanos, VenueId, VenueOrderId, VenueOrderStatus,
};
use messages::{
    BalanceReport, ClientIdText, Control, CouldNotAsk, EndpointGroup, EventBody, FillReport, HaltReason, KeyDuty, Note,
    OrderEvent, OrderIntent, OrderUpdate, QueryAnswer, QueryId, ReportBody, SignIntent, TopUsed, VenueError,
    VenueErrorClass, VenueReason, VenueReport, Verb,
};
use order_path::{Core, Effects, Now, Setup, SignJob, SignOutcome, VenueSetup};
use proptest::prelude::*;
use risk_guard::{Limits, StrategyLimits};
use signing::Route;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const VENUE: VenueId = VenueId(0);
const STRATEGY: StrategyTag = StrategyTag(1);

#[derive(Default)]
struct Recorder {
    events: Vec<OrderEvent>,
    halts: Vec<HaltReason>,
}

impl Effects for Recorder {
    fn publish(&mut self, event: OrderEvent) {
        self.events.push(event);
    }
    fn store_halt(&mut self, halt: Option<(HaltReason, Note)>) {
        self.halts.extend(halt.map(|(reason, _)| reason));
    }
}

#[derive(Clone)]
struct VenueOrder {
    venue_id: VenueOrderId,
    side: Side,
    price: Scaled,
    qty: i64,
    filled: i64,
    status: VenueOrderStatus,
    created: UnixNanos,
}

/// A venue that is right about itself and reached through a bad line.
#[derive(Default)]
struct Venue {
    orders: BTreeMap<ClientOrderId, VenueOrder>,
    fills: Vec<FillReport>,
    next: u64,
    pushes: VecDeque<ReportBody>,
}

fn scaled(mantissa: i64) -> Scaled {
    Scaled { mantissa, decimals: 6 }
}

impl Venue {
    fn id(&mut self) -> VenueOrderId {
        self.next += 1;
        VenueOrderId::from(&format!("{:019}", 1_300_000_000_000_000_000_u64 + self.next)).expect("it fits")
    }

    fn update(id: ClientOrderId, order: &VenueOrder) -> OrderUpdate {
        OrderUpdate {
            symbol: "BTCUSDT".try_into().expect("it fits"),
            client_id: ClientIdText::from(id.as_str()).expect("it fits"),
            venue_order_id: order.venue_id,
            side: order.side,
            price: Some(order.price),
            qty: scaled(order.qty),
            filled: scaled(order.filled),
            status: order.status,
            created: order.created,
            updated: order.created,
        }
    }

    fn push(&mut self, id: ClientOrderId) {
        if let Some(order) = self.orders.get(&id) {
            self.pushes.push_back(ReportBody::Order(Self::update(id, order)));
        }
    }

    fn accept(&mut self, id: ClientOrderId, side: Side, price: Scaled, qty: i64, now: UnixNanos) -> VenueOrderId {
        let venue_id = self.id();
        let order = VenueOrder { venue_id, side, price, qty, filled: 0, status: VenueOrderStatus::Live, created: now };
        assert!(self.orders.insert(id, order).is_none(), "an order is placed once");
        self.push(id);
        venue_id
    }

    fn fill(&mut self, id: ClientOrderId, part: i64, now: UnixNanos) {
        let trade_id = self.id();
        let Some(order) = self.orders.get_mut(&id) else { return };
        let left = order.qty - order.filled;
        let part = part.min(left);
        if part <= 0 || !matches!(order.status, VenueOrderStatus::Live | VenueOrderStatus::PartlyFilled) {
            return;
        }
        order.filled += part;
        order.status =
            if order.filled == order.qty { VenueOrderStatus::Filled } else { VenueOrderStatus::PartlyFilled };
        let report = FillReport {
            symbol: "BTCUSDT".try_into().expect("it fits"),
            trade_id,
            venue_order_id: order.venue_id,
            client_id: None,
            side: order.side,
            price: order.price,
            qty: scaled(part),
            fee: Fee { amount: Amount("0.01".parse().expect("a number")), asset: "USDT".try_into().expect("it fits") },
            liquidity: Liquidity::Maker,
            venue_time: now,
        };
        self.fills.push(report);
        self.pushes.push_back(ReportBody::Fill(report));
        self.push(id);
    }

    fn cancel(&mut self, id: ClientOrderId) -> bool {
        let Some(order) = self.orders.get_mut(&id) else { return false };
        if !matches!(order.status, VenueOrderStatus::Live | VenueOrderStatus::PartlyFilled) {
            return false;
        }
        order.status = VenueOrderStatus::Cancelled;
        self.push(id);
        true
    }

    fn answer(&self, intent: &SignIntent) -> QueryAnswer {
        let resting =
            |order: &VenueOrder| matches!(order.status, VenueOrderStatus::Live | VenueOrderStatus::PartlyFilled);
        match intent {
            SignIntent::QueryOrder { id, .. } => {
                QueryAnswer::Order(self.orders.get(id).map(|order| Self::update(*id, order)))
            }
            SignIntent::OpenOrders { .. } => QueryAnswer::Orders {
                page: self.orders.iter().filter(|(_, o)| resting(o)).map(|(id, o)| Self::update(*id, o)).collect(),
                next: None,
            },
            SignIntent::OrderHistory { .. } => QueryAnswer::Orders {
                page: self.orders.iter().filter(|(_, o)| !resting(o)).map(|(id, o)| Self::update(*id, o)).collect(),
                next: None,
            },
            SignIntent::Fills { .. } => {
                QueryAnswer::Fills { page: self.fills.iter().rev().copied().collect(), next: None }
            }
            _ => QueryAnswer::Balances(vec![balance("USDT", "1000000"), balance("BTC", "1000")]),
        }
    }
}

fn balance(asset: &str, amount: &str) -> BalanceReport {
    BalanceReport {
        wallet: domain::Market::Spot,
        asset: asset.try_into().expect("it fits"),
        available: Amount(amount.parse().expect("a number")),
        held: Amount::ZERO,
        venue_time: UnixNanos(0),
    }
}

fn version() -> InstrumentVersion {
    InstrumentVersion {
        id: InstrumentId(0),
        version: 1,
        price_decimals: 6,
        qty_decimals: 6,
        tick: 1,
        lot: 1,
        min_qty: Qty(0),
        max_qty: Qty(0),
        min_notional: Notional::ZERO,
        status: InstrumentStatus::Online,
        valid_from: UnixNanos(0),
    }
}

struct World {
    core: Core,
    venue: Venue,
    out: Recorder,
    now: Now,
    line_up: bool,
    queries: Vec<(QueryId, SignIntent)>,
    step: u32,
}

fn setup(epoch: u32) -> Setup {
    let instrument = Instrument {
        id: InstrumentId(0),
        venue: VENUE,
        symbol: "BTCUSDT".try_into().expect("it fits"),
        market: domain::Market::Spot,
        base: "BTC".try_into().expect("it fits"),
        quote: "USDT".try_into().expect("it fits"),
        version: version(),
    };
    let large = "1000000000".parse().expect("a number");
    let limits = Limits {
        max_order_notional: Notional(large),
        max_position_notional: Notional(large),
        max_gross_exposure: Notional(large),
        max_open_orders: 900,
        max_orders_per_second: 100_000,
        max_cancels_per_second: 100_000,
        max_daily_loss: Notional(large),
        max_reject_ratio: "1".parse().expect("a number"),
        duplicate_window: Duration::ZERO,
        ..Limits::default()
    };
    let rates = EndpointGroup::ALL.map(|group| (group, 1_000)).to_vec();
    Setup {
        venues: vec![VenueSetup {
            tag: InstanceTag::from_number(1),
            epoch: Epoch::new(epoch).expect("it fits"),
            rates,
            account: messages::AccountMode::Classic,
            futures: None,
        }],
        instruments: vec![instrument],
        strategies: vec![(STRATEGY, StrategyLimits::default())],
        account: "test".to_owned(),
        limits,
        index_delay: Duration::from_secs(5),
        cancel_on_disconnect_after: Duration::from_secs(10),
        hold_on_foreign: true,
        halted: None,
    }
}

impl World {
    fn new() -> Self {
        let now = Now { mono: MonoNanos(1_000_000_000), unix: UnixNanos(1_700_000_000_000_000_000) };
        let mut out = Recorder::default();
        let mut core = Core::new(setup(1), now);
        core.start(now, &mut out);
        let mut world = Self { core, venue: Venue::default(), out, now, line_up: false, queries: Vec::new(), step: 0 };
        world.come_up();
        world
    }

    fn come_up(&mut self) {
        let (now, out) = (self.now, &mut self.out);
        self.core.control(Control::KeyDuty(VENUE, KeyDuty::Full), now, out);
        self.line(true);
        self.settle();
    }

    fn line(&mut self, up: bool) {
        self.line_up = up;
        if !up {
            self.venue.pushes.clear(); // what is pushed while nobody listens is lost
        }
        let (now, out) = (self.now, &mut self.out);
        self.core.control(Control::PrivateStream { venue: VENUE, live: up }, now, out);
    }

    fn pass(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).expect("it fits");
        self.now = Now { mono: self.now.mono.after(time), unix: UnixNanos(self.now.unix.0 + ns) };
        let measured = Control::ClockMeasured { venue: VENUE, offset_ns: 0, uncertainty_ns: 1_000, at: self.now.mono };
        let top = TopUsed { bid: Price(59_999_000_000), ask: Price(60_001_000_000), received: self.now.mono };
        let (now, out) = (self.now, &mut self.out);
        self.core.control(measured, now, out);
        self.core.tick(now, std::iter::once((InstrumentId(0), top)), out);
    }

    fn report(&mut self, body: ReportBody) {
        let report = VenueReport { venue: VENUE, received: self.now.unix, body };
        self.core.report(&report, self.now, &mut self.out);
    }

    fn place(&mut self, side: Side, offset: i64, qty: i64, fate: u8) {
        let top = TopUsed { bid: Price(59_999_000_000), ask: Price(60_001_000_000), received: self.now.mono };
        let away = if side == Side::Buy { -1_000_000 - offset } else { 1_000_000 + offset };
        let intent = OrderIntent {
            strategy: STRATEGY,
            reference: self.step,
            instrument: InstrumentId(0),
            side,
            price: version().order_price(Price(60_000_000_000 + away), Rounding::Exact).expect("on the grid"),
            qty: version().order_qty(Qty(qty), Rounding::Exact).expect("on the grid"),
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
            caused: self.now.mono,
            decided: self.now.mono,
        };
        let now = self.now;
        if let Some(job) = self.core.intent(&intent, Ok(top), now, &mut self.out) {
            self.carry(&job, fate);
        }
    }

    /// Takes a signed job over the line, with the fate that is drawn for it.
    fn carry(&mut self, job: &SignJob, fate: u8) {
        let now = self.now;
        if fate % 16 == 15 && job.intent.verb() == Verb::Place {
            self.core.signed(job, SignOutcome::OutboxFull, now, &mut self.out);
            return;
        }
        self.core.signed(job, SignOutcome::Queued(now.mono), now, &mut self.out);
        match (&job.intent, job.route) {
            (SignIntent::Place(order), Route::Order(id)) => {
                let reaches = !matches!(fate % 16, 1..=3);
                if fate % 16 == 1 {
                    self.report(ReportBody::NotSent { id, verb: Verb::Place });
                    return;
                }
                self.report(ReportBody::Sent { id, verb: Verb::Place, at: now.mono });
                let rejects = fate % 16 == 4;
                if !reaches {
                    self.report(ReportBody::AnswerMissing { id, verb: Verb::Place });
                } else if rejects {
                    self.report(ReportBody::Failed { id, verb: Verb::Place, error: error(VenueErrorClass::Refused) });
                } else {
                    let venue_order_id = self.venue.accept(id, order.side, order.price, order.qty.mantissa, now.unix);
                    match fate % 16 {
                        5 => self.report(ReportBody::AnswerMissing { id, verb: Verb::Place }),
                        6 => {
                            let error = error(VenueErrorClass::OutcomeUnknown);
                            self.report(ReportBody::Failed { id, verb: Verb::Place, error });
                        }
                        7 => {
                            self.venue.fill(id, order.qty.mantissa, now.unix);
                            self.deliver(usize::MAX, false);
                            self.report(ReportBody::Accepted { id, verb: Verb::Place, venue_order_id, at: now.mono });
                        }
                        _ => self.report(ReportBody::Accepted { id, verb: Verb::Place, venue_order_id, at: now.mono }),
                    }
                }
            }
            (SignIntent::Cancel { .. }, Route::Order(id)) => {
                self.report(ReportBody::Sent { id, verb: Verb::Cancel, at: now.mono });
                if fate % 16 == 1 {
                    self.report(ReportBody::NotSent { id, verb: Verb::Cancel });
                    return;
                }
                let known = self.venue.orders.get(&id).map(|order| order.venue_id);
                let done = fate % 16 != 2 && self.venue.cancel(id);
                match (done, fate % 16, known) {
                    (_, 2 | 3, _) => self.report(ReportBody::AnswerMissing { id, verb: Verb::Cancel }),
                    (true, _, Some(venue_order_id)) => {
                        self.report(ReportBody::Accepted { id, verb: Verb::Cancel, venue_order_id, at: now.mono });
                    }
                    _ => {
                        let error =
                            VenueError { reason: VenueReason::OrderNotFound, ..error(VenueErrorClass::Refused) };
                        self.report(ReportBody::Failed { id, verb: Verb::Cancel, error });
                    }
                }
            }
            (intent, Route::Query(query, _)) => self.queries.push((query, *intent)),
            _ => {}
        }
    }

    fn jobs(&mut self, fates: &mut dyn FnMut() -> u8) {
        while let Some(job) = self.core.next_job(self.now, &mut self.out) {
            let fate = fates();
            self.carry(&job, fate);
        }
    }

    fn answers(&mut self, fates: &mut dyn FnMut() -> u8) {
        for (query, intent) in std::mem::take(&mut self.queries) {
            let fate = fates();
            let answer = match fate % 8 {
                0 => QueryAnswer::CouldNotAsk(CouldNotAsk::Network),
                1 => continue, // lost without a word
                _ => self.venue.answer(&intent),
            };
            self.report(ReportBody::Answer { query, answer });
        }
    }

    fn deliver(&mut self, most: usize, doubled: bool) {
        for _ in 0..most.min(self.venue.pushes.len()) {
            let Some(push) = self.venue.pushes.pop_front() else { return };
            if self.line_up {
                if doubled {
                    self.report(push.clone());
                }
                self.report(push);
            }
        }
    }

    /// A good line for as long as it takes: everything comes to rest.
    fn settle(&mut self) {
        for _ in 0..400 {
            self.pass(Duration::from_millis(250));
            self.jobs(&mut || 10);
            self.answers(&mut || 10);
            self.deliver(usize::MAX, false);
        }
    }

    fn agrees(&self) {
        for (id, theirs) in &self.venue.orders {
            let ours = self.core.order(id).expect("every order at the venue is known");
            let expected = match theirs.status {
                VenueOrderStatus::Live => OrderState::Acked,
                VenueOrderStatus::PartlyFilled => OrderState::PartlyFilled,
                VenueOrderStatus::Filled => OrderState::Filled,
                _ => OrderState::Cancelled,
            };
            assert_eq!((ours.state, ours.filled.0), (expected, theirs.filled), "order {id}");
            assert_eq!(ours.filled_by_fills, ours.filled, "every fill of {id} has been counted");
        }
        for order in self.core.live_orders() {
            assert!(self.venue.orders.contains_key(&order.id), "{} rests nowhere", order.id);
        }
        assert_eq!(self.core.exposure().unknown_orders(), 0);
        let sum: i64 =
            self.venue.fills.iter().map(|f| if f.side == Side::Buy { f.qty.mantissa } else { -f.qty.mantissa }).sum();
        assert_eq!(self.core.exposure().position(STRATEGY, InstrumentId(0)).qty.0, scaled(sum).decimal());
        assert!(self.out.halts.is_empty(), "nothing here justifies a halt: {:?}", self.out.halts);
        let counted = self.out.events.iter().filter(|e| matches!(e.body, EventBody::Filled { .. })).count();
        assert_eq!(counted, self.venue.fills.len(), "each fill is published once");
        for (expected, event) in (1..).zip(&self.out.events) {
            assert_eq!(event.seq, expected, "events are numbered without a hole");
        }
    }

    /// kill -9: everything in memory is gone; what was published is on disk.
    fn restart(&mut self, epoch: u32) {
        let mut core = Core::new(setup(epoch), self.now);
        self.out.events.iter().for_each(|event| core.restore(event));
        self.core = core;
        self.queries.clear();
        self.venue.pushes.clear();
        self.core.start(self.now, &mut self.out);
        self.core.restored(self.now, &mut self.out);
        self.come_up();
    }
}

fn error(class: VenueErrorClass) -> VenueError {
    VenueError {
        code: "43012".try_into().expect("it fits"),
        class,
        reason: VenueReason::Balance,
        text: "invented".try_into().expect("it fits"),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Place { sell: bool, offset: i64, qty: i64, fate: u8 },
    Cancel { nth: usize, fates: Vec<u8> },
    Fill { nth: usize, part: i64 },
    Deliver { most: usize, doubled: bool },
    Pass { ms: u64 },
    Line { up: bool },
    Work { fates: Vec<u8> },
    Calm,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let fates = || proptest::collection::vec(any::<u8>(), 16);
    prop_oneof![
        8 => (any::<bool>(), 0_i64..1_000_000, 1_i64..1_000, any::<u8>())
            .prop_map(|(sell, offset, qty, fate)| Step::Place { sell, offset, qty, fate }),
        2 => (0_usize..32, fates()).prop_map(|(nth, fates)| Step::Cancel { nth, fates }),
        5 => (0_usize..32, 1_i64..1_000).prop_map(|(nth, part)| Step::Fill { nth, part }),
        3 => (1_usize..6, any::<bool>()).prop_map(|(most, doubled)| Step::Deliver { most, doubled }),
        3 => (1_u64..4_000).prop_map(|ms| Step::Pass { ms }),
        1 => any::<bool>().prop_map(|up| Step::Line { up }),
        2 => Just(Step::Calm),
        3 => fates().prop_map(|fates| Step::Work { fates }),
        1 => Just(Step::Restart),
    ]
}

fn run(steps: Vec<Step>) -> World {
    let mut world = World::new();
    let mut epoch = 1;
    for step in steps {
        world.step += 1;
        match step {
            Step::Place { sell, offset, qty, fate } => {
                // A spot strategy sells only what it bought: the guard refuses the rest.
                world.place(if sell { Side::Sell } else { Side::Buy }, offset, qty, fate);
            }
            Step::Cancel { nth, fates } => {
                let id = world.core.live_orders().nth(nth).map(|order| order.id);
                if let Some(order) = id {
                    let (now, out) = (world.now, &mut world.out);
                    world.core.control(Control::Cancel { strategy: STRATEGY, order }, now, out);
                }
                let mut fates = fates.into_iter().cycle();
                world.jobs(&mut || fates.next().unwrap_or(10));
            }
            Step::Fill { nth, part } => {
                let id = world.venue.orders.keys().nth(nth).copied();
                let now = world.now.unix;
                if let Some(id) = id {
                    world.venue.fill(id, part, now);
                }
            }
            Step::Deliver { most, doubled } => world.deliver(most, doubled),
            Step::Pass { ms } => world.pass(Duration::from_millis(ms)),
            Step::Line { up } => world.line(up),
            Step::Work { fates } => {
                let mut fates = fates.into_iter().cycle();
                let mut next = move || fates.next().unwrap_or(10);
                world.jobs(&mut next);
                world.answers(&mut next);
            }
            Step::Calm => {
                world.line(true);
                world.settle();
            }
            Step::Restart => {
                epoch += 1;
                world.restart(epoch);
            }
        }
    }
    if !world.line_up {
        world.line(true);
    }
    world.settle();
    world.agrees();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn we_agree_with_the_venue_after_every_fault(steps in proptest::collection::vec(step(), 1..80)) {
        run(steps);
    }
}

#[test]
fn the_faults_above_really_meet_orders_fills_and_unknowns() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut orders, mut fills, mut unknown) = (0, 0, 0);
    for _ in 0..32 {
        let steps = proptest::collection::vec(step(), 60..120).new_tree(&mut runner).expect("steps").current();
        let world = run(steps);
        orders += world.venue.orders.len();
        fills += world.venue.fills.len();
        let became_unknown =
            |e: &&OrderEvent| matches!(e.body, EventBody::Order { order, .. } if order.state == OrderState::Unknown);
        unknown += world.out.events.iter().filter(became_unknown).count();
    }
    assert!(orders > 150 && fills > 50 && unknown > 50, "{orders} orders, {fills} fills, {unknown} unknown");
}

#[test]
fn an_order_that_never_arrived_is_given_up_only_after_two_rounds_of_not_found() {
    let mut world = World::new();
    world.place(Side::Buy, 5, 10, 3);
    assert_eq!(world.core.exposure().unknown_orders(), 1);
    // Everything is asked once: order, history, fills. That is not enough.
    for _ in 0..4 {
        world.pass(Duration::from_millis(250));
        world.jobs(&mut || 10);
        world.answers(&mut || 10);
    }
    assert_eq!(world.core.exposure().unknown_orders(), 1, "one round does not prove absence");
    world.settle();
    assert_eq!(world.core.exposure().unknown_orders(), 0);
    world.agrees();
}

#[test]
fn resting_orders_are_cancelled_when_the_private_stream_stays_down() {
    let mut world = World::new();
    world.place(Side::Buy, 5, 10, 10);
    world.line(false);
    world.pass(Duration::from_secs(9));
    world.jobs(&mut || 10);
    let rests = |world: &World| world.venue.orders.values().filter(|o| o.status == VenueOrderStatus::Live).count();
    assert_eq!(rests(&world), 1, "a short cut costs nothing");
    world.pass(Duration::from_secs(2));
    world.jobs(&mut || 10);
    assert_eq!(rests(&world), 0, "nobody would see its fills");
    world.line(true);
    world.settle();
    world.agrees();
}

#[test]
fn an_unknown_order_blocks_new_risk_on_its_instrument() {
    let mut world = World::new();
    world.place(Side::Buy, 5, 10, 5);
    world.place(Side::Buy, 6, 10, 10);
    assert_eq!(world.venue.orders.len(), 1, "the second order was refused");
    world.settle();
    world.place(Side::Buy, 6, 10, 10);
    assert_eq!(world.venue.orders.len(), 2, "and is taken once the first is known");
}
