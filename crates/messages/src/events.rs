//! Numbered events of the order path: the only news that journal, portfolio, strategies and control plane see.

use crate::{
    CouldNotAsk, FuturesSettings, HaltReason, Note, PositionReport, RefuseReason, TradingState, VenueError, Verb,
};
use arrayvec::ArrayString;
use domain::{
    Amount, Asset, CancelState, ClientOrderId, Fill, InstrumentId, InstrumentVersion, Market, MonoNanos, Order,
    OrderState, Pnl, Price, Qty, Side, StrategyTag, UnixNanos, VenueId, VenueOrderId,
};

/// The top of book that a check used, so that the decision can be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopUsed {
    /// Best bid.
    pub bid: Price,
    /// Best ask.
    pub ask: Price,
    /// When its frame was received.
    pub received: MonoNanos,
}

/// Position of one strategy on one instrument after a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionAfter {
    /// What the strategy bought minus what it sold minus fees taken in base; in `fee_exact` decimals.
    pub qty: Amount,
    /// Realised profit or loss of this fill, after fees, in quote.
    pub realised: Pnl,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EventBody {
    /// The order path has started: under this tag and epoch.
    Started {
        /// Instance tag.
        tag: domain::InstanceTag,
        /// Epoch of the signer.
        epoch: domain::Epoch,
    },
    /// An instrument version came into force; prices and quantities of later events are in its decimals.
    Instrument(InstrumentVersion),
    /// An intent passed the guard, got its id, and was signed and handed to the gateway.
    Placed {
        /// The whole order (state [`OrderState::Signed`]).
        order: Order,
        /// The book it was checked against.
        top: Option<TopUsed>,
        /// When the market frame that led to it was received.
        caused: MonoNanos,
        /// When the strategy decided.
        decided: MonoNanos,
        /// When the check was done.
        checked: MonoNanos,
        /// When it was signed.
        signed: MonoNanos,
    },
    /// An intent was refused; nothing left.
    Refused {
        /// The id, where one had been given (then it is burned).
        id: Option<ClientOrderId>,
        /// Who asked.
        strategy: StrategyTag,
        /// Its reference.
        reference: u32,
        /// The instrument.
        instrument: InstrumentId,
        /// Buy or sell.
        side: Side,
        /// Price asked.
        price: Price,
        /// Quantity asked.
        qty: Qty,
        /// Why.
        reason: RefuseReason,
        /// The book it was checked against.
        top: Option<TopUsed>,
    },
    /// An order's state, cancel state, venue id or filled quantity changed.
    Order {
        /// The order after the change.
        order: Order,
        /// Its state before.
        from: OrderState,
        /// When it happened on the monotonic clock (first byte, answer read, push read).
        at: MonoNanos,
        /// What the venue said, when it was an error.
        error: Option<VenueError>,
    },
    /// A fill, counted for the first time.
    Filled {
        /// The fill.
        fill: Fill,
        /// The order's state after it.
        state: OrderState,
        /// Cumulative filled quantity of the order after it.
        filled: Qty,
        /// The strategy's position after it.
        position: PositionAfter,
    },
    /// A cancel was handed to the gateway.
    CancelSent {
        /// The order.
        id: ClientOrderId,
        /// Its cancel state.
        cancel: CancelState,
    },
    /// A cancel could not be made now.
    CancelRefused {
        /// The order.
        id: ClientOrderId,
        /// Why.
        reason: RefuseReason,
    },
    /// A balance at the venue.
    Balance {
        /// The venue account.
        venue: VenueId,
        /// The wallet, as in [`crate::BalanceReport::wallet`].
        wallet: Market,
        /// The asset.
        asset: Asset,
        /// Free.
        available: Amount,
        /// In open orders or otherwise held.
        held: Amount,
    },
    /// A futures position as the venue tells it, when it has changed.
    Position {
        /// The venue account.
        venue: VenueId,
        /// The instrument.
        instrument: InstrumentId,
        /// What the venue said.
        report: PositionReport,
    },
    /// Leverage and modes that hold at the venue for an instrument, when they have changed.
    FuturesSettings {
        /// The venue account.
        venue: VenueId,
        /// The instrument.
        instrument: InstrumentId,
        /// What the venue said.
        settings: FuturesSettings,
    },
    /// Funding of a futures position, counted for the first time.
    Funding {
        /// The venue account.
        venue: VenueId,
        /// The instrument, where the venue names one that is followed.
        instrument: Option<InstrumentId>,
        /// The venue's id of the bill.
        bill: VenueOrderId,
        /// The asset.
        asset: Asset,
        /// Change of the balance; negative: paid.
        amount: Amount,
        /// The venue's time of it.
        venue_time: UnixNanos,
    },
    /// Money moved into or out of the wallet that margins futures, counted for the first time.
    Transfer {
        /// The venue account.
        venue: VenueId,
        /// The wallet, as in [`crate::BalanceReport::wallet`].
        wallet: Market,
        /// The venue's id of the bill.
        bill: VenueOrderId,
        /// The asset.
        asset: Asset,
        /// Change of the balance; negative: moved out.
        amount: Amount,
        /// The venue's time of it.
        venue_time: UnixNanos,
    },
    /// An order at the venue that is not ours; shown and left alone.
    ForeignOrder {
        /// The venue account.
        venue: VenueId,
        /// The venue's id.
        venue_order_id: VenueOrderId,
        /// Whether it has the form of this program's ids (another instance).
        other_instance: bool,
    },
    /// Trading state changed.
    Trading {
        /// Now.
        state: TradingState,
        /// Why it was halted, if it was.
        halt: Option<HaltReason>,
        /// What the operator or program noted.
        note: Note,
    },
    /// Reconciliation of a venue has ended.
    Reconciled {
        /// The venue account.
        venue: VenueId,
        /// Own orders found resting.
        open_orders: u32,
        /// Fills that had been missed and are now counted.
        missed_fills: u32,
        /// Differences that could not be explained.
        differences: u32,
    },
    /// Venue and records disagree.
    Difference {
        /// The venue account.
        venue: VenueId,
        /// The order it is about, if it is about one.
        order: Option<ClientOrderId>,
        /// What kind, from a closed list.
        kind: DifferenceKind,
    },
    /// A question of reconciliation could not be asked; it is asked again.
    AskFailed {
        /// The venue account.
        venue: VenueId,
        /// What was asked.
        verb: Verb,
        /// Why not.
        cause: CouldNotAsk,
    },
    /// An operator's or the program's act, for the journal: settings loaded, key state, start, stop.
    Act {
        /// Who.
        who: ArrayString<24>,
        /// What, in a few words.
        what: Note,
    },
    /// The order path has stopped; everything before is complete.
    Stopped,
}

/// How venue and records can disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The venue's word contradicts the order's state.
    OrderState,
    /// A fill for an order that was proven absent, refused or rejected, or beyond its quantity.
    Fill,
    /// An own order rests that no record knows.
    UnknownOwnOrder,
    /// A number cannot be represented in the instrument's decimals.
    Number,
    /// Balances do not add up with fills.
    Balance,
    /// More is filled than the fills seen add up to.
    MissingFill,
    /// A futures position at the venue is not the sum of our fills, and stays so.
    Position,
    /// The account's position mode is not the configured one.
    PositionMode,
}

impl DifferenceKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::OrderState,
        Self::Fill,
        Self::UnknownOwnOrder,
        Self::Number,
        Self::Balance,
        Self::MissingFill,
        Self::Position,
        Self::PositionMode,
    ];

    /// The name used in metrics and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderState => "order_state",
            Self::Fill => "fill",
            Self::UnknownOwnOrder => "unknown_own_order",
            Self::Number => "number",
            Self::Balance => "balance",
            Self::MissingFill => "missing_fill",
            Self::Position => "position",
            Self::PositionMode => "position_mode",
        }
    }
}

/// One numbered event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrderEvent {
    /// Counts from 1 over the life of the data directory, without a hole.
    pub seq: u64,
    /// When, by own wall clock.
    pub at: UnixNanos,
    /// What.
    pub body: EventBody,
}

/// What a strategy gets at start of what it did on the instrument that it trades, and rebuilds itself from alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The strategy.
    pub strategy: StrategyTag,
    /// Its orders of that instrument that may rest, as reconciled.
    pub orders: Vec<Order>,
    /// Its latest fills of that instrument, oldest first; at most [`Restored::FILLS_MAX`].
    pub fills: Vec<Fill>,
    /// Its position in the instrument that it trades: bought minus sold minus fees taken in base; negative: short.
    pub position: Amount,
    /// Whether it has ever traded (then no opening position is bought again).
    pub has_history: bool,
}

impl Restored {
    /// Most fills handed to a strategy at start.
    pub const FILLS_MAX: usize = 1_000;
}
