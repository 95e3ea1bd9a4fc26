//! What strategies and operators ask of the order path.

use crate::{AccountMode, HaltReason, KeyDuty};
use arrayvec::ArrayString;
use domain::{
    ClientOrderId, Epoch, InstrumentId, InstrumentVersion, MonoNanos, OrderPrice, OrderQty, PositionEffect, Side,
    StrategyTag, TimeInForce, VenueId,
};

/// A strategy's wish to place one limit order, on the grid of the instrument version it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderIntent {
    /// Who asks.
    pub strategy: StrategyTag,
    /// The strategy's own reference, echoed in every event about the order and kept in the journal.
    pub reference: u32,
    /// The instrument.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: OrderPrice,
    /// Quantity, in base.
    pub qty: OrderQty,
    /// How long it may rest.
    pub time_in_force: TimeInForce,
    /// Which position it works on, and how; the default on spot.
    pub effect: PositionEffect,
    /// When the market frame that led to it was received.
    pub caused: MonoNanos,
    /// When the strategy decided.
    pub decided: MonoNanos,
}

/// A strategy's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyCommand {
    /// Place an order.
    Place(OrderIntent),
    /// Cancel one of its own orders.
    Cancel {
        /// Who asks.
        strategy: StrategyTag,
        /// Which order.
        order: ClientOrderId,
    },
}

/// Short free text from an operator, for the journal.
pub type Note = ArrayString<120>;

/// What operators, the feed and the program itself tell the order path; urgent, before intents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Control {
    /// Cancel one order of a strategy (cancels overtake intents).
    Cancel {
        /// Who asks; the order must be its own.
        strategy: StrategyTag,
        /// Which order.
        order: ClientOrderId,
    },
    /// Cancel everything of this program that may rest.
    CancelAll,
    /// Only orders that reduce a position from now on.
    Pause(Note),
    /// Back to normal from a pause.
    Resume(Note),
    /// Cancel all, nothing new, survives a restart.
    Halt(HaltReason, Note),
    /// Lift a halt.
    Unhalt(Note),
    /// New trading rules.
    InstrumentChanged(InstrumentVersion),
    /// The venue clock as measured: offset of the venue against ours, and its uncertainty; nanoseconds.
    ClockMeasured {
        /// The venue.
        venue: VenueId,
        /// Venue time minus own wall time.
        offset_ns: i64,
        /// Half the round trip plus drift.
        uncertainty_ns: u64,
        /// When it was measured.
        at: MonoNanos,
    },
    /// The wall clock jumped, or the offset is beyond use: no new orders until measured again.
    ClockLost(VenueId),
    /// The private stream of a venue is logged in and subscribed (true), or not.
    PrivateStream {
        /// The venue.
        venue: VenueId,
        /// Whether pushes arrive.
        live: bool,
    },
    /// What the key of a venue may do now, from the key manager.
    KeyDuty(VenueId, KeyDuty),
    /// How the venue keeps the account, from the key manager: requests are written in that way from now on.
    AccountMode(VenueId, AccountMode),
    /// A new signer process has taken the place of one that died or fell silent; it signs under this epoch.
    SignerBack(Epoch),
    /// The journal can no longer be written (disk full, fsync error): no new risk, cancels pass.
    JournalFailed,
    /// The journal writes again.
    JournalHealed,
    /// The `wire.log` can no longer be written: only cancels go out.
    WireLogFailed,
    /// Stop taking intents, cancel what rests if `cancel`, then end.
    Shutdown {
        /// Whether resting orders are cancelled first.
        cancel: bool,
    },
}
