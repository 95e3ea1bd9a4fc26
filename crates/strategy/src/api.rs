//! What a strategy is: what it sees and what it may ask for. It never sees a key, a socket or somebody else's order.

use domain::{Amount, ClientOrderId, Instrument, MonoNanos, StrategyTag, UnixNanos};
use messages::{BookView, MarketEvent, OrderEvent, OrderIntent, RefuseReason, Restored, StrategyCommand};

/// What a strategy knows at the moment it is called.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Now, for durations.
    pub now: MonoNanos,
    /// Now, by own wall clock.
    pub unix: UnixNanos,
    /// The strategy.
    pub strategy: StrategyTag,
    /// Its instrument, with the trading rules in force.
    pub instrument: &'a Instrument,
    /// What it bought minus what it sold minus fees taken in base; negative: short, on perpetual futures.
    pub position: Amount,
    /// The book, while it is valid.
    pub book: Option<&'a BookView>,
    /// When the latest market frame was received.
    pub received: MonoNanos,
}

/// What a strategy asks for during one call; handed on when the call ends.
#[derive(Debug, Default)]
pub struct Commands {
    list: Vec<StrategyCommand>,
}

impl Commands {
    /// Most commands of one call: a whole grid placed or cancelled at once. The rest is asked for at the next call.
    pub const MAX: usize = 512;

    /// Room for [`Commands::MAX`], taken once.
    #[must_use]
    pub fn new() -> Self {
        Self { list: Vec::with_capacity(Self::MAX) }
    }

    /// Asks for an order; `false` when this call has asked for too much.
    #[must_use]
    pub fn place(&mut self, intent: OrderIntent) -> bool {
        self.add(StrategyCommand::Place(intent))
    }

    /// Asks for a cancel; `false` when this call has asked for too much.
    #[must_use]
    pub fn cancel(&mut self, strategy: StrategyTag, order: ClientOrderId) -> bool {
        self.add(StrategyCommand::Cancel { strategy, order })
    }

    fn add(&mut self, command: StrategyCommand) -> bool {
        let room = self.list.len() < Self::MAX;
        if room {
            self.list.push(command);
        }
        room
    }

    /// Everything asked for, in order.
    #[must_use]
    pub fn list(&self) -> &[StrategyCommand] {
        &self.list
    }

    /// Takes everything asked for, keeping the room.
    pub fn drain(&mut self) -> impl Iterator<Item = StrategyCommand> + '_ {
        self.list.drain(..)
    }
}

/// A trading strategy: a pure core that is told what happens and asks for orders.
///
/// Every method may ask for orders through `out`. None may wait, read a clock or keep anything outside itself.
pub trait Strategy: Send {
    /// Called once, before anything else: everything that is known of an earlier life. It rebuilds itself from this
    /// alone.
    fn on_start(&mut self, context: &Context<'_>, restored: &Restored, out: &mut Commands);

    /// The market of its instrument has moved, its book has become invalid, or its trading rules changed.
    fn on_market(&mut self, context: &Context<'_>, event: &MarketEvent, out: &mut Commands);

    /// One of its own orders changed, was filled or refused.
    fn on_order(&mut self, context: &Context<'_>, event: &OrderEvent, out: &mut Commands);

    /// An order never reached the order path (its lane was full).
    fn on_refused(&mut self, context: &Context<'_>, intent: &OrderIntent, reason: RefuseReason, out: &mut Commands);

    /// Every 100 ms.
    fn on_tick(&mut self, context: &Context<'_>, out: &mut Commands);
}
