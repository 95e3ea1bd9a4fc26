//! What the records say at a start: the journal has the last word on every order that it knows, however long ago that
//! order ended; the wire log adds only what came after the journal's end.

#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use domain::{
    Amount, CancelState, ClientOrderId, Epoch, Fee, Fill, InstanceTag, Instrument, InstrumentId, InstrumentStatus,
    InstrumentVersion, Liquidity, MonoNanos, Notional, Order, OrderState, Pnl, Price, Qty, Scaled, Sequence, Side,
    StrategyTag, TimeInForce, UnixNanos, VenueId, VenueOrderId, VenueOrderStatus, VenueTradeId,
};
use messages::{
    ClientIdText, Control, EndpointGroup, EventBody, KeyDuty, OrderEvent, OrderUpdate, PositionAfter, ReportBody,
    SignIntent, VenueReport,
};
use order_path::{Core, Effects, Now, Setup, VenueSetup};
use risk_guard::{Limits, StrategyLimits};
use std::time::Duration;

/// More ended orders than are remembered.
const MANY: u64 = 5_000;
const NOW: Now = Now { mono: MonoNanos(1), unix: UnixNanos(1_700_000_000_000_000_000) };

#[derive(Default)]
struct Published(Vec<EventBody>);

impl Effects for Published {
    fn publish(&mut self, event: OrderEvent) {
        self.0.push(event.body);
    }
    fn store_halt(&mut self, _: Option<(messages::HaltReason, messages::Note)>) {}
}

fn instrument(number: u16, symbol: &str) -> Instrument {
    let version = InstrumentVersion {
        id: InstrumentId(number),
        version: 1,
        price_decimals: 2,
        qty_decimals: 6,
        tick: 1,
        lot: 1,
        min_qty: Qty(0),
        max_qty: Qty(0),
        min_notional: Notional::ZERO,
        status: InstrumentStatus::Online,
        valid_from: UnixNanos(0),
    };
    Instrument {
        id: InstrumentId(number),
        venue: VenueId(0),
        symbol: symbol.try_into().unwrap(),
        market: domain::Market::Spot,
        base: "BTC".try_into().unwrap(),
        quote: "USDT".try_into().unwrap(),
        version,
    }
}

fn empty() -> Core {
    let setup = Setup {
        venues: vec![VenueSetup {
            tag: InstanceTag::from_number(1),
            epoch: Epoch::new(2).unwrap(),
            rates: EndpointGroup::ALL.map(|group| (group, 10)).to_vec(),
            account: messages::AccountMode::Classic,
            futures: None,
        }],
        instruments: vec![instrument(0, "BTCUSDT"), instrument(1, "ETHUSDT")],
        strategies: vec![(StrategyTag(1), StrategyLimits::default())],
        account: "test".to_owned(),
        limits: Limits::default(),
        index_delay: Duration::from_secs(5),
        cancel_on_disconnect_after: Duration::from_secs(10),
        hold_on_foreign: false,
        halted: None,
    };
    Core::new(setup, NOW)
}

fn core() -> Core {
    let mut core = empty();
    for number in 1..=MANY {
        let body = EventBody::Order { order: order(number), from: OrderState::Acked, at: MonoNanos(0), error: None };
        core.restore(&OrderEvent { seq: number, at: NOW.unix, body });
    }
    core
}

/// An order of the epoch before, filled whole.
fn order(number: u64) -> Order {
    Order {
        id: ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(number).unwrap()),
        strategy: StrategyTag(1),
        reference: 7,
        instrument: InstrumentId(0),
        version: 1,
        side: Side::Buy,
        price: Price(10_000),
        qty: Qty(1_000),
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
        state: OrderState::Filled,
        cancel: CancelState::None,
        filled: Qty(1_000),
        filled_by_fills: Qty(1_000),
        venue_order_id: VenueOrderId::from(&number.to_string()).ok(),
        created: UnixNanos(NOW.unix.0 - 2 * MANY + number),
    }
}

fn update(number: u64, status: VenueOrderStatus) -> VenueReport {
    let order = order(number);
    let scaled = |mantissa, decimals| Scaled { mantissa, decimals };
    let filled = if status == VenueOrderStatus::Filled { 1_000 } else { 0 };
    VenueReport {
        venue: VenueId(0),
        received: NOW.unix,
        body: ReportBody::Order(OrderUpdate {
            symbol: "BTCUSDT".try_into().unwrap(),
            client_id: ClientIdText::from(order.id.as_str()).unwrap(),
            venue_order_id: order.venue_order_id.unwrap(),
            side: order.side,
            price: Some(scaled(10_000, 2)),
            qty: scaled(1_000, 6),
            filled: scaled(filled, 6),
            status,
            created: order.created,
            updated: order.created,
        }),
    }
}

#[test]
fn a_wire_record_of_an_order_that_ended_long_ago_is_not_taken_for_an_unknown_order() {
    let mut core = core();
    assert!(core.order(&order(1).id).is_none(), "the oldest are remembered no more");
    let taken = (1..=MANY + 2).filter(|number| core.restore_wire_order(order(*number))).count();
    assert_eq!(taken, 2, "only what came after the end of the journal");
    let mut out = Published::default();
    core.restored(NOW, &mut out);
    assert_eq!(core.live_orders().count(), 2);
    assert!(core.live_orders().all(|order| order.state == OrderState::Unknown && order.strategy == StrategyTag(1)));
}

#[test]
fn an_order_that_was_counted_and_forgotten_is_not_adopted_again_from_the_venues_history() {
    let mut core = core();
    let mut out = Published::default();
    core.report(&update(1, VenueOrderStatus::Filled), NOW, &mut out);
    assert!(out.0.is_empty(), "{:?}", out.0);
    assert_eq!(core.live_orders().count(), 0);
}

#[test]
fn an_order_that_no_record_knows_is_adopted_and_shown() {
    let mut core = core();
    let mut out = Published::default();
    core.report(&update(MANY + 9, VenueOrderStatus::Live), NOW, &mut out);
    let told = |body: &EventBody| {
        matches!(body, EventBody::Difference { kind: messages::DifferenceKind::UnknownOwnOrder, .. })
    };
    assert!(out.0.iter().any(told), "{:?}", out.0);
    assert_eq!(core.live_orders().count(), 1);
}

/// The fill of one whole order, on an instrument.
fn filled(order: Order) -> EventBody {
    let fill = Fill {
        trade_id: VenueTradeId::from(&order.id.to_string()).unwrap(),
        order: order.id,
        strategy: order.strategy,
        instrument: order.instrument,
        version: 1,
        side: order.side,
        position_side: order.effect.side,
        price: order.price,
        qty: order.qty,
        fee: Fee { asset: "USDT".try_into().unwrap(), amount: Amount::ZERO },
        liquidity: Liquidity::Maker,
        venue_time: order.created,
    };
    let position = PositionAfter { qty: Amount::ZERO, realised: Pnl::ZERO };
    EventBody::Filled { fill, state: OrderState::Filled, filled: order.qty, position }
}

#[test]
fn strategy_gets_what_it_did_on_its_own_instrument_and_the_rest_is_cancelled() {
    let mut core = empty();
    let at = |number: u16, order: Order| Order { instrument: InstrumentId(number), ..order };
    let rests =
        |order: Order| Order { state: OrderState::Acked, filled: Qty::ZERO, filled_by_fills: Qty::ZERO, ..order };
    let bought = [at(0, order(1)), Order { qty: Qty(3_000), filled: Qty(3_000), ..at(1, order(2)) }];
    let resting = [rests(at(0, order(3))), rests(at(1, order(4)))];
    let mut seq = 0;
    let mut restore = |core: &mut Core, body| {
        seq += 1;
        core.restore(&OrderEvent { seq, at: NOW.unix, body });
    };
    for order in bought {
        restore(&mut core, EventBody::Order { order: rests(order), from: OrderState::Sent, at: NOW.mono, error: None });
        restore(&mut core, filled(order));
    }
    for order in resting {
        restore(&mut core, EventBody::Order { order, from: OrderState::Sent, at: NOW.mono, error: None });
    }
    let mut out = Published::default();
    core.control(Control::KeyDuty(VenueId(0), KeyDuty::Full), NOW, &mut out);
    let restored = core.restored_for(StrategyTag(1), InstrumentId(1));
    assert_eq!(restored.position.0.to_string(), "0.003000", "not what it once bought of another one");
    assert_eq!(restored.orders.iter().map(|order| order.id).collect::<Vec<_>>(), [resting[1].id]);
    assert_eq!(restored.fills.iter().map(|fill| fill.order).collect::<Vec<_>>(), [bought[1].id]);
    let job = core.next_job(NOW, &mut out).unwrap();
    let SignIntent::Cancel { id, .. } = job.intent else { unreachable!("{:?}", job.intent) };
    assert_eq!(id, resting[0].id);
}
