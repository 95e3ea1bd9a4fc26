//! Runs the strategies of one venue: hands them events, hands on what they ask for, and stops one that fails.
//!
//! Invariants: a strategy is called only between its start and its stop; it gets events of its own orders only; a
//! panic inside one stops that one, cancels what it had resting, and touches no other.

use crate::api::{Commands, Context, Strategy};
use domain::{Amount, ClientOrderId, Clock, Instrument, InstrumentId, MonoNanos, StrategyTag};
use messages::{
    BookStatus, BookView, EventBody, MarketEvent, MarketEventKind, OrderEvent, OrderIntent, RefuseReason, Restored,
    StrategyCommand,
};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Where commands go: the lanes of the order path, given by the wiring.
pub trait CommandPort: Send + Sync {
    /// Hands an intent on.
    ///
    /// # Errors
    /// Why it could not even be handed on; the strategy is told.
    fn place(&self, intent: OrderIntent) -> Result<(), RefuseReason>;

    /// Asks for a cancel of an own order.
    fn cancel(&self, strategy: StrategyTag, order: ClientOrderId);
}

/// A strategy as it is given to the host.
pub struct Hosted {
    /// Its number in journal and order ids.
    pub tag: StrategyTag,
    /// Its name in settings and metrics.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// What it trades.
    pub instrument: Instrument,
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
}

impl std::fmt::Debug for Hosted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hosted").field("tag", &self.tag).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a hosted strategy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyStatus {
    /// It waits for its start: reconciliation is not finished.
    Waiting,
    /// It runs.
    Running,
    /// It was stopped by an operator or at shutdown.
    Stopped,
    /// It panicked and stays stopped.
    Failed,
}

/// The host of one venue's strategies.
pub struct StrategyHost {
    clock: Arc<dyn Clock>,
    port: Arc<dyn CommandPort>,
    running: Vec<Running>,
    commands: Commands,
}

struct Running {
    hosted: Hosted,
    status: StrategyStatus,
    position: Amount,
    book: Option<BookView>,
    received: MonoNanos,
    open: BTreeSet<ClientOrderId>,
    metrics: StrategyMetrics,
}

struct StrategyMetrics {
    up: metrics::Gauge,
    duration: metrics::Histogram,
    places: metrics::Counter,
    cancels: metrics::Counter,
    over_budget: metrics::Counter,
    panics: metrics::Counter,
}

impl StrategyMetrics {
    fn of(name: &str) -> Self {
        Self {
            up: telemetry::strategy_up(name),
            duration: telemetry::strategy_event_duration_seconds(name),
            places: telemetry::strategy_signals_total(name, "place"),
            cancels: telemetry::strategy_signals_total(name, "cancel"),
            over_budget: telemetry::strategy_errors_total(name, "over_budget"),
            panics: telemetry::strategy_errors_total(name, "panic"),
        }
    }
}

impl std::fmt::Debug for StrategyHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosted: Vec<_> = self.running.iter().map(|running| (&running.hosted.name, running.status)).collect();
        formatter.debug_struct("StrategyHost").field("running", &hosted).finish_non_exhaustive()
    }
}

impl StrategyHost {
    /// A strategy may take this long for one event; longer is counted, and delays the others of its venue.
    pub const EVENT_BUDGET: Duration = Duration::from_millis(1);
    /// Open orders remembered per strategy, so that they can be cancelled when it fails.
    pub const OPEN_MAX: usize = 1_024;

    /// A host whose strategies wait for their start.
    #[must_use]
    pub fn new(strategies: Vec<Hosted>, port: Arc<dyn CommandPort>, clock: Arc<dyn Clock>) -> Self {
        let running = strategies
            .into_iter()
            .map(|hosted| {
                let metrics = StrategyMetrics::of(&hosted.name);
                metrics.up.set(0.0);
                Running {
                    hosted,
                    status: StrategyStatus::Waiting,
                    position: Amount::ZERO,
                    book: None,
                    received: MonoNanos(0),
                    open: BTreeSet::new(),
                    metrics,
                }
            })
            .collect();
        Self { clock, port, running, commands: Commands::new() }
    }

    /// Every strategy with what it is doing.
    pub fn statuses(&self) -> impl Iterator<Item = (StrategyTag, &str, &'static str, StrategyStatus)> {
        self.running
            .iter()
            .map(|running| (running.hosted.tag, running.hosted.name.as_str(), running.hosted.kind, running.status))
    }

    /// Every strategy with the instrument that it trades.
    pub fn trades(&self) -> impl Iterator<Item = (StrategyTag, InstrumentId)> {
        self.running.iter().map(|running| (running.hosted.tag, running.hosted.instrument.id))
    }

    /// The instruments whose market events are wanted.
    #[must_use]
    pub fn instruments(&self) -> BTreeSet<InstrumentId> {
        self.running.iter().map(|running| running.hosted.instrument.id).collect()
    }

    /// Starts a strategy from what is known of its earlier life. A running one is left alone.
    pub fn start(&mut self, restored: &Restored) {
        self.call(
            |running| running.hosted.tag == restored.strategy && running.status == StrategyStatus::Waiting,
            |running| {
                running.status = StrategyStatus::Running;
                running.position = restored.position;
                running.open = restored.orders.iter().map(|order| order.id).collect();
                running.metrics.up.set(1.0);
            },
            |strategy, context, out| strategy.on_start(context, restored, out),
        );
    }

    /// Stops a strategy and cancels what it has resting.
    pub fn stop(&mut self, tag: StrategyTag) {
        for running in self.running.iter_mut().filter(|running| running.hosted.tag == tag) {
            running.end(StrategyStatus::Stopped, self.port.as_ref());
        }
    }

    /// Hands a market event to the strategies of its instrument.
    pub fn on_market(&mut self, event: &MarketEvent) {
        self.call(
            |running| running.hosted.instrument.id == event.instrument,
            |running| {
                running.received = event.received;
                match &event.kind {
                    MarketEventKind::Book(BookStatus::Valid(view)) => running.book = Some(view.clone()),
                    MarketEventKind::Book(BookStatus::Invalid(_)) => running.book = None,
                    MarketEventKind::InstrumentChanged(version) => {
                        running.hosted.instrument.version = *version;
                        // Levels of the old rules may have other decimals.
                        running.book = None;
                    }
                    MarketEventKind::Trade { .. } => {}
                }
            },
            |strategy, context, out| strategy.on_market(context, event, out),
        );
    }

    /// Hands an order event to the strategy that it is about.
    pub fn on_order(&mut self, event: &OrderEvent) {
        self.call(
            |running| running.concerns(&event.body),
            |running| running.note(&event.body),
            |strategy, context, out| strategy.on_order(context, event, out),
        );
    }

    /// Lets time pass; every 100 ms.
    pub fn on_tick(&mut self) {
        self.call(|_| true, |_| {}, |strategy, context, out| strategy.on_tick(context, out));
    }

    /// Prepares and calls every strategy that is meant and runs.
    fn call(
        &mut self,
        meant: impl Fn(&Running) -> bool,
        prepare: impl Fn(&mut Running),
        step: impl Fn(&mut dyn Strategy, &Context<'_>, &mut Commands),
    ) {
        for running in self.running.iter_mut().filter(|running| meant(running)) {
            prepare(running);
            if running.status == StrategyStatus::Running {
                running.run(&step, self.port.as_ref(), self.clock.as_ref(), &mut self.commands);
            }
        }
    }
}

impl Running {
    fn run(
        &mut self,
        step: &impl Fn(&mut dyn Strategy, &Context<'_>, &mut Commands),
        port: &dyn CommandPort,
        clock: &dyn Clock,
        commands: &mut Commands,
    ) {
        let began = clock.mono();
        let unix = clock.unix();
        let outcome = self.guarded(began, unix, step, commands);
        let took = clock.mono().since(began);
        self.metrics.duration.record(took.as_secs_f64());
        if took > StrategyHost::EVENT_BUDGET {
            self.metrics.over_budget.increment(1);
        }
        if outcome.is_err() {
            commands.drain().for_each(drop);
            self.fail(port);
            return;
        }
        let mut refused: Vec<(OrderIntent, RefuseReason)> = Vec::new();
        for command in commands.drain() {
            match command {
                StrategyCommand::Place(intent) => {
                    self.metrics.places.increment(1);
                    if let Err(reason) = port.place(intent) {
                        refused.push((intent, reason));
                    }
                }
                StrategyCommand::Cancel { strategy, order } => {
                    self.metrics.cancels.increment(1);
                    port.cancel(strategy, order);
                }
            }
        }
        // Told after all were handed on; what it asks for now waits for its next call, so that this cannot go round.
        for (intent, reason) in refused {
            let told = self.guarded(
                began,
                unix,
                &|strategy, context, out| strategy.on_refused(context, &intent, reason, out),
                commands,
            );
            commands.drain().for_each(drop);
            if told.is_err() {
                self.fail(port);
                return;
            }
        }
    }

    fn guarded(
        &mut self,
        now: MonoNanos,
        unix: domain::UnixNanos,
        step: &impl Fn(&mut dyn Strategy, &Context<'_>, &mut Commands),
        commands: &mut Commands,
    ) -> Result<(), ()> {
        let Hosted { tag, instrument, strategy, .. } = &mut self.hosted;
        let context = Context {
            now,
            unix,
            strategy: *tag,
            instrument,
            position: self.position,
            book: self.book.as_ref(),
            received: self.received,
        };
        // The strategy is not called again after a panic, so its half-changed state is never seen.
        catch_unwind(AssertUnwindSafe(|| step(strategy.as_mut(), &context, commands))).map_err(|_| ())
    }

    fn fail(&mut self, port: &dyn CommandPort) {
        tracing::error!(strategy = %self.hosted.name, "strategy panicked; it stays stopped and its orders are cancelled");
        self.metrics.panics.increment(1);
        self.end(StrategyStatus::Failed, port);
    }

    fn end(&mut self, status: StrategyStatus, port: &dyn CommandPort) {
        self.status = status;
        self.metrics.up.set(0.0);
        for order in &self.open {
            port.cancel(self.hosted.tag, *order);
        }
    }

    /// Whether an event is about an order of this strategy.
    fn concerns(&self, body: &EventBody) -> bool {
        let tag = self.hosted.tag;
        match body {
            EventBody::Placed { order, .. } | EventBody::Order { order, .. } => order.strategy == tag,
            EventBody::Refused { strategy, .. } => *strategy == tag,
            EventBody::Filled { fill, .. } => fill.strategy == tag,
            EventBody::CancelSent { id, .. } | EventBody::CancelRefused { id, .. } => self.open.contains(id),
            _ => false,
        }
    }

    /// Keeps position and open orders, whether the strategy runs or not.
    fn note(&mut self, body: &EventBody) {
        match body {
            EventBody::Placed { order, .. } | EventBody::Order { order, .. } => {
                if order.state.is_terminal() {
                    self.open.remove(&order.id);
                } else if self.open.len() < StrategyHost::OPEN_MAX {
                    self.open.insert(order.id);
                }
            }
            EventBody::Filled { fill, state, position, .. } => {
                if fill.instrument == self.hosted.instrument.id {
                    self.position = position.qty;
                }
                if state.is_terminal() {
                    self.open.remove(&fill.order);
                }
            }
            _ => {}
        }
    }
}
