//! The host: who is called, what is handed on, and what a failure touches.

use crate::api::{Commands, Context, Strategy};
use crate::host::{CommandPort, Hosted, StrategyHost, StrategyStatus};
use crate::testing::instrument;
use clock::ManualClock;
use domain::*;
use messages::*;
use std::sync::{Arc, Mutex};

/// Places one order per market event, or fails; counts its calls.
struct Probe {
    calls: Arc<Mutex<Vec<&'static str>>>,
    panics: bool,
}

impl Probe {
    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

fn intent(context: &Context<'_>) -> OrderIntent {
    let version = context.instrument.version;
    OrderIntent {
        strategy: context.strategy,
        reference: 7,
        instrument: context.instrument.id,
        side: Side::Buy,
        price: version.order_price(Price(9_000), Rounding::Exact).unwrap(),
        qty: version.order_qty(Qty(100_000), Rounding::Exact).unwrap(),
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
        caused: context.received,
        decided: context.now,
    }
}

impl Strategy for Probe {
    fn on_start(&mut self, _context: &Context<'_>, _restored: &Restored, _out: &mut Commands) {
        self.note("start");
    }

    fn on_market(&mut self, context: &Context<'_>, _event: &MarketEvent, out: &mut Commands) {
        self.note("market");
        assert!(!self.panics, "planted");
        assert!(out.place(intent(context)));
    }

    fn on_order(&mut self, _context: &Context<'_>, _event: &OrderEvent, _out: &mut Commands) {
        self.note("order");
    }

    fn on_refused(&mut self, _context: &Context<'_>, intent: &OrderIntent, reason: RefuseReason, out: &mut Commands) {
        assert_eq!((intent.reference, reason), (7, RefuseReason::TableFull));
        self.note("refused");
        assert!(out.place(*intent)); // must not go round
    }

    fn on_tick(&mut self, _context: &Context<'_>, _out: &mut Commands) {
        self.note("tick");
    }
}

#[derive(Default)]
struct Port {
    placed: Mutex<Vec<OrderIntent>>,
    cancelled: Mutex<Vec<(StrategyTag, ClientOrderId)>>,
    full: bool,
}

impl CommandPort for Port {
    fn place(&self, intent: OrderIntent) -> Result<(), RefuseReason> {
        self.placed.lock().unwrap().push(intent);
        if self.full { Err(RefuseReason::TableFull) } else { Ok(()) }
    }

    fn cancel(&self, strategy: StrategyTag, order: ClientOrderId) {
        self.cancelled.lock().unwrap().push((strategy, order));
    }
}

type Calls = Arc<Mutex<Vec<&'static str>>>;

/// Two probes, the first of which may fail.
fn host(port: &Arc<Port>, first_panics: bool) -> (StrategyHost, [Calls; 2]) {
    let calls: [Calls; 2] = Default::default();
    let hosted = |index: usize, panics| Hosted {
        tag: StrategyTag(u16::try_from(index).unwrap() + 1),
        name: format!("probe-{index}"),
        kind: "probe",
        instrument: instrument(),
        strategy: Box::new(Probe { calls: Arc::clone(&calls[index]), panics }),
    };
    let strategies = vec![hosted(0, first_panics), hosted(1, false)];
    let clock = Arc::new(ManualClock::new(UnixNanos(0), MonoNanos(0)));
    let host = StrategyHost::new(strategies, Arc::clone(port) as Arc<dyn CommandPort>, clock);
    (host, calls)
}

fn restored(tag: u16, orders: Vec<Order>) -> Restored {
    Restored { strategy: StrategyTag(tag), orders, fills: vec![], position: Amount::ZERO, has_history: false }
}

fn invalid_book() -> MarketEvent {
    let kind = MarketEventKind::Book(BookStatus::Invalid(BookFaultKind::Gap));
    MarketEvent { instrument: InstrumentId(0), received: MonoNanos(1), kind }
}

fn order(tag: u16, number: u64) -> Order {
    Order {
        id: ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(number).unwrap()),
        strategy: StrategyTag(tag),
        reference: 7,
        instrument: InstrumentId(0),
        version: 1,
        side: Side::Buy,
        price: Price(9_000),
        qty: Qty(100_000),
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
        state: OrderState::Acked,
        cancel: CancelState::None,
        filled: Qty::ZERO,
        filled_by_fills: Qty::ZERO,
        venue_order_id: None,
        created: UnixNanos(0),
    }
}

fn changed(order: Order) -> OrderEvent {
    let body = EventBody::Order { order, from: OrderState::Sent, at: MonoNanos(1), error: None };
    OrderEvent { seq: 1, at: UnixNanos(0), body }
}

#[test]
fn a_strategy_is_called_only_between_its_start_and_its_stop() {
    let port = Arc::new(Port::default());
    let (mut host, calls) = host(&port, false);
    host.on_market(&invalid_book());
    host.on_tick();
    host.start(&restored(1, vec![]));
    host.start(&restored(1, vec![]));
    host.on_market(&invalid_book());
    host.stop(StrategyTag(1));
    host.on_tick();
    assert_eq!(*calls[0].lock().unwrap(), ["start", "market"]);
    assert!(calls[1].lock().unwrap().is_empty());
    assert_eq!(port.placed.lock().unwrap().len(), 1);
}

#[test]
fn an_order_event_reaches_its_own_strategy_alone() {
    let port = Arc::new(Port::default());
    let (mut host, calls) = host(&port, false);
    host.start(&restored(1, vec![]));
    host.start(&restored(2, vec![]));
    host.on_order(&changed(order(2, 1)));
    assert_eq!(*calls[0].lock().unwrap(), ["start"]);
    assert_eq!(*calls[1].lock().unwrap(), ["start", "order"]);
}

#[test]
fn a_panic_stops_that_strategy_cancels_its_orders_and_touches_no_other() {
    let port = Arc::new(Port::default());
    let (mut host, calls) = host(&port, true);
    host.start(&restored(1, vec![order(1, 5)]));
    host.start(&restored(2, vec![order(2, 6)]));
    host.on_order(&changed(order(1, 8)));
    host.on_market(&invalid_book());
    host.on_market(&invalid_book());
    let statuses: Vec<_> = host.statuses().map(|(_, _, _, status)| status).collect();
    assert_eq!(statuses, [StrategyStatus::Failed, StrategyStatus::Running]);
    assert_eq!(*calls[0].lock().unwrap(), ["start", "order", "market"]);
    assert_eq!(*calls[1].lock().unwrap(), ["start", "market", "market"]);
    let cancelled = port.cancelled.lock().unwrap();
    assert_eq!(*cancelled, [(StrategyTag(1), order(1, 5).id), (StrategyTag(1), order(1, 8).id)]);
}

#[test]
fn an_intent_that_could_not_be_handed_on_comes_back_once() {
    let port = Arc::new(Port { full: true, ..Port::default() });
    let (mut host, calls) = host(&port, false);
    host.start(&restored(1, vec![]));
    host.on_market(&invalid_book());
    assert_eq!(*calls[0].lock().unwrap(), ["start", "market", "refused"]);
    assert_eq!(port.placed.lock().unwrap().len(), 1);
}
