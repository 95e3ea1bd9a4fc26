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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CommandPort, Hosted, StrategyStatus};
    use crate::kinds::{GridLevels, GridParams, KindSetup};
    use crate::testing::{TAG, instrument};
    use clock::ManualClock;
    use domain::*;
    use keeper::{Keeper, MailboxBound, Rebuild, Silent};
    use messages::{BookStatus, BookView, OrderIntent, RefuseReason, ViewLevel};
    use rust_decimal::Decimal;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    struct Port(mpsc::Sender<OrderIntent>);

    impl CommandPort for Port {
        fn place(&self, intent: OrderIntent) -> Result<(), RefuseReason> {
            self.0.try_send(intent).map_err(|_| RefuseReason::TableFull)
        }

        fn cancel(&self, _strategy: StrategyTag, _order: ClientOrderId) {}
    }

    fn host(port: mpsc::Sender<OrderIntent>) -> StrategyHost {
        let params = GridParams {
            at: GridLevels::Range { lower: Decimal::from(90), upper: Decimal::from(110) },
            levels: 3,
            order_size: Amount(Decimal::ONE),
            opening_position: Amount::ZERO,
            post_only: true,
        };
        let strategy = Box::new(crate::kinds::Grid::new(
            params,
            KindSetup { orders_per_second: 5, market: domain::Market::Spot, position_side: domain::PositionSide::Net },
        ));
        let hosted = Hosted { tag: TAG, name: "grid".to_owned(), kind: "grid", instrument: instrument(), strategy };
        let clock = Arc::new(ManualClock::new(UnixNanos(0), MonoNanos(0)));
        let host = StrategyHost::new(vec![hosted], Arc::new(Port(port)), clock);
        assert!(host.statuses().all(|(_, _, _, status)| status == StrategyStatus::Waiting));
        host
    }

    #[test]
    fn a_book_posted_to_the_actor_becomes_intents_at_the_port() {
        actix::System::new().block_on(async {
            let (sender, mut placed) = mpsc::channel(16);
            let clock = Arc::new(ManualClock::new(UnixNanos(0), MonoNanos(0)));
            let keeper = Keeper::new(clock, Arc::new(Silent));
            let mailbox = keeper.mailbox::<StrategyActor>("strategy", MailboxBound::default());
            let factory = move || StrategyActor::new(host(sender.clone()));
            keeper.supervise(&mailbox, factory, Rebuild::Never, |_| {});
            tokio::task::yield_now().await;
            let restored =
                Restored { strategy: TAG, orders: vec![], fills: vec![], position: Amount::ZERO, has_history: false };
            mailbox.post(StartStrategy(restored)).expect("the actor runs");
            let level = |price| [ViewLevel { price: Price(price), qty: Qty(1) }].into_iter().collect();
            let view = BookView { bids: level(10_049), asks: level(10_051) };
            let kind = MarketEventKind::Book(BookStatus::Valid(view));
            let book = MarketEvent { instrument: InstrumentId(0), received: MonoNanos(1), kind };
            mailbox.outlet(market_policy(1)).post(book).expect("the actor runs");
            let deadline = Duration::from_secs(10);
            let first =
                tokio::time::timeout(deadline, placed.recv()).await.expect("an intent in time").expect("a port");
            assert_eq!((first.side, first.price.price(), first.caused), (Side::Buy, Price(9_000), MonoNanos(1)));
            mailbox.finish().await;
        });
    }
}
