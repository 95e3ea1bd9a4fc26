//! What the gateway tells the order path: everything that comes from the venue, and what became of every request.

use crate::{EndpointGroup, KeyInfo, MarginMode, PositionMode, SignIntent, VenueError, Verb};
use arrayvec::ArrayString;
use domain::{
    Amount, Asset, ClientOrderId, Fee, Liquidity, Market, MonoNanos, PositionSide, Scaled, Side, Symbol, UnixNanos,
    VenueId, VenueOrderId, VenueOrderStatus, VenueTradeId,
};
use std::time::Duration;

/// A client order id as a venue spells it: ours, or anybody's.
pub type ClientIdText = ArrayString<64>;

/// Number of one signed query, so that its answer finds its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(pub u64);

/// Who wants a query's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryPurpose {
    /// The order path itself: reconciliation, unknown orders, missed fills.
    Reconcile,
    /// The key manager: verification.
    Verify,
    /// The key manager: verification of a key that is to take over, with that key's own signature.
    VerifyCandidate,
    /// The gateway: log-in to the private stream.
    Stream,
}

/// A signed question that somebody wants asked; the lowest lane of the order path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignQuery {
    /// Its number, unique within its purpose.
    pub id: QueryId,
    /// Who asks.
    pub purpose: QueryPurpose,
    /// At which venue account.
    pub venue: VenueId,
    /// What is asked; only intents whose verb only asks are taken.
    pub intent: SignIntent,
}

/// What a venue says about one order, by push or as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderUpdate {
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// The client order id it was placed with.
    pub client_id: ClientIdText,
    /// The venue's id.
    pub venue_order_id: VenueOrderId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price, where stated.
    pub price: Option<Scaled>,
    /// Quantity ordered, in base.
    pub qty: Scaled,
    /// Cumulative filled quantity, in base.
    pub filled: Scaled,
    /// Its status.
    pub status: VenueOrderStatus,
    /// When it was made, venue time.
    pub created: UnixNanos,
    /// When it last changed, venue time.
    pub updated: UnixNanos,
}

/// What a venue says about one fill, by push or as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillReport {
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// The venue's id of the fill.
    pub trade_id: VenueTradeId,
    /// The venue's id of the order.
    pub venue_order_id: VenueOrderId,
    /// The client order id, where the venue says it here.
    pub client_id: Option<ClientIdText>,
    /// Buy or sell.
    pub side: Side,
    /// Price.
    pub price: Scaled,
    /// Quantity, in base.
    pub qty: Scaled,
    /// Fee; positive: paid.
    pub fee: Fee,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// The balance of one asset in one wallet at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceReport {
    /// Which wallet: [`Market::Spot`] is the spot wallet of a classic account and the only wallet of a unified one,
    /// [`Market::UsdtFutures`] the futures wallet of a classic account. One report of an asset for each wallet.
    pub wallet: Market,
    /// The asset.
    pub asset: Asset,
    /// Free: for spot to be spent, for futures to be used as margin (what positions and orders bind, and an unrealised
    /// loss, is taken off by the venue).
    pub available: Amount,
    /// The rest of the wallet: in open orders, bound as margin, or otherwise held. `available + held` is always the
    /// money in the wallet without unrealised profit and loss; so it may be negative where a venue lends unrealised
    /// profit as margin.
    pub held: Amount,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// One futures position as the venue tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionReport {
    /// The venue's spelling of the instrument, with the suffix of its market.
    pub symbol: Symbol,
    /// Net in one-way mode; long or short in hedge mode.
    pub side: PositionSide,
    /// Size in base; negative: short (also on the short side of hedge mode). Zero: closed.
    pub qty: Amount,
    /// Average entry price; none without a position.
    pub entry: Option<Amount>,
    /// The venue's mark price, where told.
    pub mark: Option<Amount>,
    /// The price at which the venue would liquidate; none where there is none or it is not told.
    pub liquidation: Option<Amount>,
    /// Times the margin; zero: not told.
    pub leverage: u16,
    /// Margin mode.
    pub margin_mode: MarginMode,
    /// Result at the mark, in the settle asset.
    pub unrealised: Amount,
    /// Margin bound by it, in the settle asset, where told.
    pub margin: Option<Amount>,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// Leverage and modes that hold for an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuturesSettings {
    /// Times the margin of long positions (and of short ones where the venue keeps one number).
    pub leverage_long: u16,
    /// Times the margin of short positions.
    pub leverage_short: u16,
    /// Margin mode.
    pub margin_mode: MarginMode,
    /// Position mode of the account.
    pub position_mode: PositionMode,
}

/// What a bill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BillKind {
    /// Funding, paid or received.
    Funding,
    /// A trading fee.
    Fee,
    /// Profit or loss of a closed position.
    RealisedPnl,
    /// Moved between wallets, in or out.
    Transfer,
    /// Anything else.
    Other,
}

/// One entry of the account's statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BillReport {
    /// The venue's id of it; the key by which it is counted once.
    pub id: VenueOrderId,
    /// What it is for.
    pub kind: BillKind,
    /// The asset.
    pub asset: Asset,
    /// Change of the balance; negative: paid.
    pub amount: Amount,
    /// The instrument it belongs to, where told.
    pub symbol: Option<Symbol>,
    /// The venue's time of it.
    pub venue_time: UnixNanos,
}

/// Why a question has no answer. Never the same as "not found".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CouldNotAsk {
    /// It did not leave, or no answer came.
    Network,
    /// The venue answered with an error.
    Venue(VenueError),
    /// The answer could not be read.
    Unreadable,
    /// It was not signed or not sent: budget, key, shutdown.
    NotSent,
}

/// The answer to a signed query. Lists hold one page; `next` says where another one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryAnswer {
    /// The order, or the venue's clear "not found".
    Order(Option<OrderUpdate>),
    /// Open or ended orders, newest first.
    Orders {
        /// One page, at most 100.
        page: Vec<OrderUpdate>,
        /// Where the next older page begins, for `older_than`; `None`: there is none. Usually the id of the last row,
        /// but venues may have cursors of their own, and rows that a page had may be left out of it here.
        next: Option<VenueOrderId>,
    },
    /// Fills, newest first.
    Fills {
        /// One page, at most 100.
        page: Vec<FillReport>,
        /// Where the next older page begins, for `older_than`; `None`: there is none. Usually the id of the last row,
        /// but venues may have cursors of their own, and rows that a page had may be left out of it here.
        next: Option<VenueOrderId>,
    },
    /// All balances.
    Balances(Vec<BalanceReport>),
    /// All futures positions that are not closed.
    Positions(Vec<PositionReport>),
    /// Leverage and modes of one instrument.
    FuturesSettings(FuturesSettings),
    /// Funding, fees and transfers, newest first.
    Bills {
        /// One page, at most 100.
        page: Vec<BillReport>,
        /// Where the next older page begins, for `older_than`; `None`: there is none.
        next: Option<VenueOrderId>,
    },
    /// The key's rights.
    KeyInfo(KeyInfo),
    /// The question could not be asked or its answer not read.
    CouldNotAsk(CouldNotAsk),
}

/// What happened to a request about one order, or what the venue pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportBody {
    /// The wire record is written and the first byte has gone to the socket.
    Sent {
        /// Our id.
        id: ClientOrderId,
        /// Place or cancel.
        verb: Verb,
        /// When the first byte went.
        at: MonoNanos,
    },
    /// It never left: no connection, too late, or no wire record.
    NotSent {
        /// Our id.
        id: ClientOrderId,
        /// Place or cancel.
        verb: Verb,
    },
    /// It left and no readable answer came.
    AnswerMissing {
        /// Our id.
        id: ClientOrderId,
        /// Place or cancel.
        verb: Verb,
    },
    /// The venue received it.
    Accepted {
        /// Our id.
        id: ClientOrderId,
        /// Place or cancel.
        verb: Verb,
        /// The venue's id.
        venue_order_id: VenueOrderId,
        /// When the answer was read.
        at: MonoNanos,
    },
    /// The venue answered with an error.
    Failed {
        /// Our id.
        id: ClientOrderId,
        /// Place or cancel.
        verb: Verb,
        /// What it said.
        error: VenueError,
    },
    /// An order as pushed.
    Order(OrderUpdate),
    /// A fill as pushed.
    Fill(FillReport),
    /// A balance as pushed.
    Balance(BalanceReport),
    /// A futures position as pushed.
    Position(PositionReport),
    /// The answer to a request that changes leverage or a mode.
    SettingAnswered {
        /// Which setting.
        verb: Verb,
        /// The venue's spelling of the instrument; empty for the whole account.
        symbol: Symbol,
        /// What the venue said; `None` when it took it.
        error: Option<VenueError>,
    },
    /// The answer to a query with purpose [`QueryPurpose::Reconcile`].
    Answer {
        /// Which query.
        query: QueryId,
        /// What came.
        answer: QueryAnswer,
    },
    /// The answer to cancel-all on an instrument.
    CancelAllDone {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// Whether the venue took it.
        accepted: bool,
    },
    /// The venue limits us.
    RateLimited {
        /// Which budget.
        group: EndpointGroup,
        /// How long to wait.
        wait: Duration,
    },
}

/// One report; urgent lane, in the order in which the gateway saw things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueReport {
    /// The venue account.
    pub venue: VenueId,
    /// When the gateway read it.
    pub received: UnixNanos,
    /// What it says.
    pub body: ReportBody,
}
