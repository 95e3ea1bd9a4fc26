//! The shell around [`StrategyHost`]: mailbox, the 100 ms timer and supervision.

use crate::host::StrategyHost;
use actix::AsyncContext as _;
use domain::StrategyTag;
use keeper::{Ctx, Handle, KeptActor, Policy};
use messages::{MarketEvent, MarketEventKind, OrderEvent, Restored};
use std::time::Duration;

/// Start one strategy: reconciliation is finished, and this is all that is known of its earlier life.
#[derive(Debug, Clone, PartialEq)]
pub struct StartStrategy(pub Restored);

/// Stop one strategy and cancel what it has resting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopStrategy(pub StrategyTag);

/// The strategies of one venue, on the Arbiter of its feed.
#[derive(Debug)]
pub struct StrategyActor {
    host: StrategyHost,
}

impl StrategyActor {
    /// How often strategies are told that time has passed.
    pub const TICK: Duration = Duration::from_millis(100);

    /// Takes the host into service.
    #[must_use]
    pub const fn new(host: StrategyHost) -> Self {
        Self { host }
    }
}

impl KeptActor for StrategyActor {
    fn started(&mut self, ctx: &mut Ctx<Self>) {
        ctx.run_interval(Self::TICK, |actor, _ctx| actor.host.on_tick());
    }
}

impl Handle<StartStrategy> for StrategyActor {
    fn handle(&mut self, start: StartStrategy, _ctx: &mut Ctx<Self>) {
        self.host.start(&start.0);
    }
}

impl Handle<StopStrategy> for StrategyActor {
    fn handle(&mut self, stop: StopStrategy, _ctx: &mut Ctx<Self>) {
        self.host.stop(stop.0);
    }
}

impl Handle<MarketEvent> for StrategyActor {
    fn handle(&mut self, event: MarketEvent, _ctx: &mut Ctx<Self>) {
        self.host.on_market(&event);
    }
}

impl Handle<OrderEvent> for StrategyActor {
    fn handle(&mut self, event: OrderEvent, _ctx: &mut Ctx<Self>) {
        self.host.on_order(&event);
    }
}

/// How market events wait for strategies: the newest book, the newest trade and the newest rules of each instrument;
/// older ones are replaced and counted. Order events must be posted under [`Policy::Never`].
#[must_use]
pub fn market_policy(instruments: usize) -> Policy<MarketEvent> {
    const KINDS: usize = 3;
    Policy::Conflate { key: conflation_key, keys_max: instruments.saturating_mul(KINDS).max(KINDS) }
}

fn conflation_key(event: &MarketEvent) -> u64 {
    let kind = match event.kind {
        MarketEventKind::Book(_) => 0,
        MarketEventKind::Trade { .. } => 1,
        MarketEventKind::InstrumentChanged(_) => 2,
    };
    u64::from(event.instrument.0) * 4 + kind
}
