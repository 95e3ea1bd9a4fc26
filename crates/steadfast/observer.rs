//! The thread that reads the order path's events: portfolio, metrics, strategies and messages to people live off it.
//!
//! It is behind a bounded ring and may be slow; the order path never waits for it.

use crate::key_watch::KeyWatch;
use crate::shared::{Shared, Stretch};
use alerts::{Alert, Alerts, Event};
use crossbeam_channel::{Receiver, TryRecvError};
use domain::{ClientOrderId, InstrumentId, MonoNanos, OrderState, StrategyTag, UnixNanos, VenueId};
use keeper::Outlet;
use key_manager::KeyMessage;
use messages::{DifferenceKind, EventBody, HaltReason, OrderEvent, RefuseReason, TradingState};
use order_path::{EventRing, Urgent};
use portfolio::PortfolioMetrics;
use rust_decimal::prelude::ToPrimitive as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use strategy::StartStrategy;
use telemetry::Hop;

/// Longest sleep between two looks at the ring.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Gauges are published this often.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the order path to say what a strategy owns.
const RESTORE_MAX: Duration = Duration::from_secs(5);
/// Orders whose times are remembered.
const TIMES_MAX: usize = 4_096;

/// The strategies of one venue account, as the observer reaches them.
#[derive(Clone)]
pub struct StrategySeat {
    /// The venue account.
    pub venue: VenueId,
    /// Their numbers, and the instrument that each trades.
    pub tags: Vec<(StrategyTag, InstrumentId)>,
    /// Where a start goes.
    pub start: Outlet<StartStrategy>,
    /// Where order events go.
    pub events: Outlet<OrderEvent>,
}

/// When one order passed each hop.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    caused: MonoNanos,
    signed: MonoNanos,
    sent: Option<MonoNanos>,
    acked: Option<UnixNanos>,
    filled: bool,
}

/// A running observer.
pub struct ObserverHandle {
    thread: Option<JoinHandle<()>>,
    unpark: Thread,
    stop: Arc<AtomicBool>,
}

impl ObserverHandle {
    /// Wakes it; called by the order path when its lanes have run empty.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let thread = self.unpark.clone();
        Arc::new(move || thread.unpark())
    }

    /// Reads what is left in the ring and ends.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.unpark.unpark();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the observer works with.
pub struct Observer {
    /// The ring.
    pub events: Receiver<OrderEvent>,
    /// Where it writes.
    pub shared: Arc<Shared>,
    /// Strategies.
    pub seats: Vec<StrategySeat>,
    /// The order path, for what strategies own.
    pub urgent: hot_actor::Lane<Urgent>,
    /// Messages to people.
    pub alerts: Option<Alerts>,
    /// The data directory, for the space that is left.
    pub data_dir: PathBuf,
    /// Reads events for the key manager.
    pub key_watch: KeyWatch,
    /// The key manager.
    pub keys: Box<dyn Fn(KeyMessage) + Send>,
}

struct Running {
    parts: Observer,
    times: BTreeMap<ClientOrderId, Times>,
    started: BTreeSet<StrategyTag>,
    deliver_from: BTreeMap<StrategyTag, u64>,
    turnover: telemetry::WholeUnits,
    fees: telemetry::WholeUnits,
    gauges: PortfolioMetrics,
    last_publish: MonoNanos,
}

impl Observer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's error when it gives no thread.
    pub fn start(self) -> std::io::Result<ObserverHandle> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let gauges = PortfolioMetrics::new(self.shared.names.account(), &self.shared.names.quote);
        let running = Running {
            last_publish: self.shared.clock.mono(),
            parts: self,
            times: BTreeMap::new(),
            started: BTreeSet::new(),
            deliver_from: BTreeMap::new(),
            turnover: telemetry::WholeUnits::default(),
            fees: telemetry::WholeUnits::default(),
            gauges,
        };
        let thread = std::thread::Builder::new().name("observer".to_owned()).spawn(move || running.run(&asked))?;
        let unpark = thread.thread().clone();
        Ok(ObserverHandle { thread: Some(thread), unpark, stop })
    }
}

impl Running {
    fn run(mut self, stop: &AtomicBool) {
        loop {
            fail_point::step("observer");
            match self.parts.events.try_recv() {
                Ok(event) => self.take(&event),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    self.publish();
                    std::thread::park_timeout(LOOK_EVERY);
                }
            }
        }
    }

    fn take(&mut self, event: &OrderEvent) {
        self.read_model(event);
        self.metrics(event);
        self.tell_people(event);
        self.tell_strategies(event);
        let names = &self.parts.shared.names;
        let venue_of = |id| names.instrument(id).map(|instrument| instrument.venue);
        if let Some(message) = self.parts.key_watch.look(event, venue_of) {
            (self.parts.keys)(message);
        }
        if let EventBody::Reconciled { venue, .. } = event.body {
            self.start_strategies(venue);
        }
    }

    fn read_model(&mut self, event: &OrderEvent) {
        let shared = Arc::clone(&self.parts.shared);
        let mut state = shared.state();
        state.portfolio.apply(event);
        state.orders.apply(event);
        match &event.body {
            EventBody::Order { order, from, .. }
                if order.state == OrderState::Unknown && *from != OrderState::Unknown =>
            {
                state.unknown_seen = state.unknown_seen.saturating_add(1);
            }
            EventBody::Refused { .. } => state.refused = state.refused.saturating_add(1),
            EventBody::Trading { state: trading, halt, note } => {
                state.trading = *trading;
                state.halt = *halt;
                state.note = *note;
                state.since = event.at;
                state.trading_seq = event.seq;
            }
            EventBody::Reconciled { venue, .. } => {
                state.reconciled.insert(*venue, true);
                state.compared.insert(*venue);
            }
            _ => {}
        }
    }

    fn metrics(&mut self, event: &OrderEvent) {
        let shared = Arc::clone(&self.parts.shared);
        let names = &shared.names;
        match &event.body {
            EventBody::Placed { order, caused, decided, checked, signed, .. } => {
                let Some(instrument) = names.instrument(order.instrument) else { return };
                let (venue, strategy) = (names.venue(instrument.venue), names.strategy(order.strategy));
                telemetry::orders_submitted_total(venue, venue, strategy, order.side.as_str(), "limit").increment(1);
                self.hop(Stretch::FrameSignal, *caused, *decided);
                self.hop(Stretch::SignalRisk, *decided, *checked);
                self.hop(Stretch::RiskSign, *checked, *signed);
                if self.times.len() < TIMES_MAX {
                    self.times.insert(order.id, Times { caused: *caused, signed: *signed, ..Times::default() });
                }
            }
            EventBody::Order { order, from, at, error } => {
                let Some(instrument) = names.instrument(order.instrument) else { return };
                let (venue, strategy) = (names.venue(instrument.venue), names.strategy(order.strategy));
                if order.state == OrderState::Sent && *from == OrderState::Signed {
                    self.sent(order.id, venue, *at);
                }
                if matches!(from, OrderState::Signed | OrderState::Sent)
                    && matches!(order.state, OrderState::Acked | OrderState::PartlyFilled | OrderState::Filled)
                {
                    self.acked(order.id, *at, event.at);
                }
                if order.state.is_terminal() && *from != order.state {
                    telemetry::orders_terminal_total(venue, strategy, order.state.as_str()).increment(1);
                    self.times.remove(&order.id);
                }
                if let (OrderState::Rejected, Some(error)) = (order.state, error) {
                    telemetry::orders_rejected_total(venue, error.reason.as_str()).increment(1);
                }
            }
            EventBody::Filled { fill, state, .. } => {
                let Some(instrument) = names.instrument(fill.instrument) else { return };
                let (venue, strategy) = (names.venue(instrument.venue), names.strategy(fill.strategy));
                telemetry::fills_total(venue, strategy, fill.side.as_str(), fill.liquidity.as_str()).increment(1);
                self.first_fill(fill.order, event.at);
                if state.is_terminal() {
                    telemetry::orders_terminal_total(venue, strategy, state.as_str()).increment(1);
                    self.times.remove(&fill.order);
                }
                let notional =
                    instrument.version.notional(fill.price, fill.qty).and_then(|notional| notional.0.to_f64());
                let turnover = self.turnover.add(notional.unwrap_or(0.0));
                telemetry::traded_notional_quote_total(venue, strategy, &names.quote).increment(turnover);
                let in_base = fill.fee.asset == instrument.base;
                let price =
                    if in_base { instrument.version.price_decimal(fill.price) } else { rust_decimal::Decimal::ONE };
                let fee = fill.fee.amount.0.checked_mul(price).and_then(|fee| fee.to_f64()).unwrap_or(0.0);
                let fees = self.fees.add(fee.max(0.0));
                telemetry::fees_quote_total(venue, strategy, &names.quote).increment(fees);
            }
            EventBody::Trading { state, halt, .. } => {
                let halted = *state == TradingState::Halted;
                telemetry::kill_switch_active().set(if halted { 1.0 } else { 0.0 });
                if let (true, Some(halt)) = (halted, halt) {
                    telemetry::kill_switch_activations_total(halt.as_str()).increment(1);
                }
            }
            EventBody::Reconciled { venue, differences, .. } => {
                let venue = names.venue(*venue);
                let result = if *differences == 0 { "clean" } else { "different" };
                telemetry::reconciliation_runs_total(venue, result).increment(1);
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float exactly")]
                telemetry::reconciliation_last_success_timestamp_seconds(venue)
                    .set((event.at.0 / 1_000_000_000) as f64);
            }
            EventBody::Difference { venue, kind, .. } => {
                telemetry::reconciliation_differences_total(names.venue(*venue), kind.as_str()).increment(1);
            }
            _ => {}
        }
    }

    fn hop(&self, stretch: Stretch, from: MonoNanos, to: MonoNanos) {
        let passed = to.since(from);
        self.note_hop(stretch, passed);
    }

    fn note_hop(&self, stretch: Stretch, passed: Duration) {
        let ns = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        self.parts.shared.state().hop(stretch, ns);
        let hop = match stretch {
            Stretch::SignalRisk => Hop::SignalRisk,
            Stretch::RiskSign => Hop::RiskSign,
            Stretch::AckFill => Hop::AckFill,
            // The gateway publishes the two stretches that it measures itself; the last has a metric of its own.
            Stretch::FrameSignal | Stretch::SignSend | Stretch::SendAck | Stretch::TickToWire => return,
        };
        telemetry::order_hop_duration_seconds(hop).record(passed.as_secs_f64());
    }

    fn sent(&mut self, id: ClientOrderId, venue: &str, at: MonoNanos) {
        let Some(times) = self.times.get_mut(&id) else { return };
        times.sent = Some(at);
        let Times { caused, signed, .. } = *times;
        self.hop(Stretch::SignSend, signed, at);
        self.hop(Stretch::TickToWire, caused, at);
        telemetry::order_tick_to_wire_duration_seconds(venue).record(at.since(caused).as_secs_f64());
    }

    fn acked(&mut self, id: ClientOrderId, at: MonoNanos, unix: UnixNanos) {
        let Some(times) = self.times.get_mut(&id) else { return };
        times.acked = Some(unix);
        if let Some(sent) = times.sent {
            self.hop(Stretch::SendAck, sent, at);
        }
    }

    fn first_fill(&mut self, id: ClientOrderId, at: UnixNanos) {
        let Some(times) = self.times.get_mut(&id) else { return };
        if let (Some(acked), false) = (times.acked, times.filled) {
            times.filled = true;
            self.note_hop(Stretch::AckFill, Duration::from_nanos(at.0.saturating_sub(acked.0)));
        }
    }

    fn tell_people(&self, event: &OrderEvent) {
        let Some(alerts) = &self.parts.alerts else { return };
        let names = &self.parts.shared.names;
        let account = match &event.body {
            EventBody::Order { order, .. } => {
                names.instrument(order.instrument).map_or(names.account(), |instrument| names.venue(instrument.venue))
            }
            EventBody::Difference { venue, .. } => names.venue(*venue),
            _ => names.account(),
        };
        let alert = match &event.body {
            EventBody::Trading { state: TradingState::Halted, halt, note } => {
                let why = halt.map_or("halted", HaltReason::explain);
                Alert::new(
                    Event::Halt,
                    format!("trading halted: {why} ({note})"),
                    "look at `steadfast status`, then `steadfast unhalt --reason ...`",
                )
            }
            EventBody::Trading { state: TradingState::Active, .. } => {
                Alert::new(Event::Unhalted, "trading goes on", "nothing")
            }
            EventBody::Order { order, .. } if order.state == OrderState::Unknown => Alert::new(
                Event::OrderUnknown,
                format!("the outcome of order {} is unknown; the exchange is being asked", order.id),
                "nothing now; if it stays unknown, compare with the exchange's order page",
            ),
            EventBody::Difference { kind: DifferenceKind::Position, .. } => Alert::new(
                Event::ReconciliationDifference,
                "a futures position at the exchange is not the sum of this program's fills; it may only be reduced",
                "compare `steadfast status` with the exchange; it goes on by itself once both agree",
            ),
            EventBody::Difference { kind: DifferenceKind::PositionMode, .. } => Alert::new(
                Event::ReconciliationDifference,
                "the account's position mode is not the configured one; orders on its perpetuals are refused",
                "set `position_mode` in config/venues/ to the account's, or change it at the exchange while it holds nothing",
            ),
            EventBody::Difference { kind, .. } => Alert::new(
                Event::ReconciliationDifference,
                format!("records and exchange differ: {}", kind.as_str()),
                "compare `steadfast status` with the exchange before lifting a halt",
            ),
            EventBody::Order { order, error: Some(error), .. } if order.state == OrderState::Rejected => Alert::new(
                Event::OrderRejected,
                format!("the exchange rejected order {}: {} {}", order.id, error.code, error.text),
                "look at the strategy's settings and the account's balance",
            ),
            _ => return,
        };
        alerts.tell(&alert.account(account));
    }

    /// Hands an event to the strategies that it concerns, unless their start already contained it.
    fn tell_strategies(&self, event: &OrderEvent) {
        let Some(tag) = strategy_of(&event.body, &self.parts.shared) else { return };
        if self.parts.shared.state().stopping {
            return; // strategies have ended before anything else
        }
        if self.deliver_from.get(&tag).is_none_or(|from| event.seq < *from) {
            return;
        }
        for seat in self.parts.seats.iter().filter(|seat| seat.tags.iter().any(|(own, _)| *own == tag)) {
            // A strategy host that is gone has been counted and escalated by its keeper.
            let _ = seat.events.post(*event);
        }
    }

    fn start_strategies(&mut self, venue: VenueId) {
        let seats: Vec<StrategySeat> = self.parts.seats.iter().filter(|seat| seat.venue == venue).cloned().collect();
        for seat in seats {
            for (tag, instrument) in &seat.tags {
                if self.started.contains(tag) {
                    continue;
                }
                let (sender, receiver) = crossbeam_channel::bounded(1);
                if self.parts.urgent.post_wait(Urgent::Restore(*tag, *instrument, sender)).is_err() {
                    return;
                }
                let Ok((restored, from)) = receiver.recv_timeout(RESTORE_MAX) else { return };
                if seat.start.post(StartStrategy(restored)).is_ok() {
                    self.started.insert(*tag);
                    self.deliver_from.insert(*tag, from);
                }
            }
        }
    }

    fn publish(&mut self) {
        let now = self.parts.shared.clock.mono();
        if now.since(self.last_publish) < PUBLISH_EVERY {
            return;
        }
        self.last_publish = now;
        let shared = Arc::clone(&self.parts.shared);
        let not_ready = shared.not_ready();
        telemetry::ready().set(if not_ready.is_empty() { 1.0 } else { 0.0 });
        for reason in messages::NotReadyReason::ALL {
            let is = if not_ready.contains(reason) { 1.0 } else { 0.0 };
            telemetry::not_ready_reason(reason.as_str()).set(is);
        }
        if let Ok(disk) = rustix::fs::statvfs(&self.parts.data_dir) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
            telemetry::disk_free_bytes().set(disk.f_bavail.saturating_mul(disk.f_frsize) as f64);
        }
        let tops: Vec<_> = shared
            .names
            .instruments
            .iter()
            .filter_map(|instrument| shared.board.top(instrument.id).ok().map(|top| (instrument.id, top)))
            .collect();
        let mut state = shared.state();
        for (instrument, top) in tops {
            state.portfolio.mark(instrument, top);
        }
        state.mailboxes.insert("portfolio", (self.parts.events.len(), EventRing::ROOM));
        let equity = shared.equity(&state);
        if let Some(equity) = equity {
            state.note_equity(shared.clock.unix().as_millis(), equity);
        }
        let venues: Vec<_> = shared.names.own.iter().map(|id| (*id, shared.names.venue(*id))).collect();
        self.gauges.publish(&state.portfolio, &venues, equity.is_some());
        for (venue, (offset_ns, uncertainty_ns, _)) in &state.clocks {
            let name = shared.names.venue(*venue);
            #[expect(clippy::cast_precision_loss, reason = "a gauge; microseconds are enough")]
            {
                telemetry::clock_skew_seconds(name).set(-(*offset_ns as f64) / 1e9);
                telemetry::clock_uncertainty_seconds(name).set(*uncertainty_ns as f64 / 1e9);
            }
        }
    }
}

fn strategy_of(body: &EventBody, shared: &Shared) -> Option<StrategyTag> {
    match body {
        EventBody::Placed { order, .. } | EventBody::Order { order, .. } => Some(order.strategy),
        EventBody::Refused { strategy, .. } => Some(*strategy),
        EventBody::Filled { fill, .. } => Some(fill.strategy),
        EventBody::CancelSent { id, .. } | EventBody::CancelRefused { id, .. } => shared.state().orders.strategy(id),
        _ => None,
    }
}

/// Whether a refusal is worth a line on the terminal: not when it only says that trading is stopped.
#[must_use]
pub const fn is_news(reason: RefuseReason) -> bool {
    !matches!(reason, RefuseReason::Halted | RefuseReason::Stopping | RefuseReason::NotReconciled)
}
