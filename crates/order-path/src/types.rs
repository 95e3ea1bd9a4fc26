//! What goes into and comes out of the core: moments, effects, requests to be signed, set-up.

use domain::{Epoch, InstanceTag, Instrument, MonoNanos, StrategyTag, UnixNanos, VenueId};
use messages::{
    AccountMode, EndpointGroup, HaltReason, MarginMode, Note, OrderEvent, PositionMode, SignIntent, SignRefusal,
    TopUsed,
};
use risk_guard::{Limits, StrategyLimits};
use signing::Route;
use std::time::Duration;

/// Both readings of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub mono: MonoNanos,
    /// Wall time.
    pub unix: UnixNanos,
}

/// What the core makes happen outside itself.
pub trait Effects {
    /// Hands an event to journal, portfolio, strategies and control plane.
    fn publish(&mut self, event: OrderEvent);
    /// Stores the halt flag durably (`Some`) or removes it (`None`), before the event about it is published.
    fn store_halt(&mut self, halt: Option<(HaltReason, Note)>);
}

/// A request that the shell has signed and put into the outbox, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignJob {
    /// The venue account.
    pub venue: VenueId,
    /// What to sign.
    pub intent: SignIntent,
    /// Where the answer goes.
    pub route: Route,
    /// The strategy, for the wire record.
    pub strategy: StrategyTag,
    /// The instrument version, for the wire record.
    pub version: u32,
    /// Times to be published with a placed order.
    pub timing: Timing,
}

/// When an intent passed each hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// The market frame that led to it.
    pub caused: MonoNanos,
    /// The strategy's decision.
    pub decided: MonoNanos,
    /// The end of the risk check.
    pub checked: MonoNanos,
    /// The top of book that the check used.
    pub top: Option<TopUsed>,
}

/// What became of a [`SignJob`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignOutcome {
    /// Signed at this time and in the outbox.
    Queued(MonoNanos),
    /// Signed, but the outbox was full; nothing left.
    OutboxFull,
    /// Not signed.
    Refused(SignRefusal),
}

/// One venue account as the order path needs to know it.
#[derive(Debug, Clone)]
pub struct VenueSetup {
    /// Marks our ids.
    pub tag: InstanceTag,
    /// The signer's epoch.
    pub epoch: Epoch,
    /// Requests a second by endpoint group.
    pub rates: Vec<(EndpointGroup, u32)>,
    /// Whether futures have a wallet of their own.
    pub account: AccountMode,
    /// How perpetual futures are to be margined; `None`: as the venue has them.
    pub futures: Option<FuturesWish>,
}

/// How perpetual futures of a venue account are to be margined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuturesWish {
    /// Times the margin; set at the venue before the first order.
    pub leverage: u16,
    /// Set at the venue before the first order.
    pub margin_mode: MarginMode,
    /// Never set: where the account has another, its orders are refused.
    pub position_mode: PositionMode,
}

/// Everything the order path is told at construction.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Venue accounts, in the order of their ids.
    pub venues: Vec<VenueSetup>,
    /// Instruments, in the order of their ids.
    pub instruments: Vec<Instrument>,
    /// Strategies with their own limits.
    pub strategies: Vec<(StrategyTag, StrategyLimits)>,
    /// Name of the account in metrics.
    pub account: String,
    /// Account limits.
    pub limits: Limits,
    /// Resting orders are cancelled when a venue's private stream has been down for so long.
    pub cancel_on_disconnect_after: Duration,
    /// How long a venue's index may lag behind its matching engine.
    pub index_delay: Duration,
    /// Whether orders that nobody's tag marks hold trading; those of other instances of this program always do.
    pub hold_on_foreign: bool,
    /// The halt found at start, if any.
    pub halted: Option<HaltReason>,
}
