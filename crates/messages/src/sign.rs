//! What may be signed: typed intents. None carries a path, a header, a time stamp or a free body.
//!
//! Withdrawing, transferring and key management do not exist in this vocabulary.

use domain::{ClientOrderId, PositionEffect, Scaled, Side, Symbol, TimeInForce, UnixNanos, VenueOrderId};
use serde::{Deserialize, Serialize};

/// One limit order to be placed, in travelling decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Our id.
    pub id: ClientOrderId,
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: Scaled,
    /// Quantity, in base.
    pub qty: Scaled,
    /// How long it may rest.
    pub time_in_force: TimeInForce,
    /// Which position it works on, and how; the default on spot.
    pub effect: PositionEffect,
}

/// What margin a position draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginMode {
    /// All of the account's margin.
    #[default]
    Crossed,
    /// Its own margin alone.
    Isolated,
}

impl MarginMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Crossed, Self::Isolated];

    /// The word in settings and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crossed => "crossed",
            Self::Isolated => "isolated",
        }
    }
}

/// How many positions an account holds on one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionMode {
    /// One, long or short.
    #[default]
    OneWay,
    /// A long one and a short one.
    Hedge,
}

impl PositionMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::OneWay, Self::Hedge];

    /// The word in settings and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneWay => "one_way",
            Self::Hedge => "hedge",
        }
    }
}

/// A request that the signer knows how to build and sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIntent {
    /// Place one order.
    Place(PlaceOrder),
    /// Cancel one order, by the venue's id when it is known, else by ours.
    Cancel {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// Our id.
        id: ClientOrderId,
        /// The venue's id.
        venue_order_id: Option<VenueOrderId>,
    },
    /// Cancel everything that rests on an instrument.
    CancelAll {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
    },
    /// What is this order?
    QueryOrder {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// Our id.
        id: ClientOrderId,
    },
    /// What rests on this instrument?
    OpenOrders {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// Only orders older than this venue id (paging).
        older_than: Option<VenueOrderId>,
    },
    /// Which orders have ended on this instrument since a time?
    OrderHistory {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// From this venue time on.
        since: UnixNanos,
        /// Only orders older than this venue id (paging).
        older_than: Option<VenueOrderId>,
    },
    /// Which fills happened on this instrument since a time?
    Fills {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// From this venue time on.
        since: UnixNanos,
        /// Only fills older than this trade id (paging).
        older_than: Option<VenueOrderId>,
    },
    /// The account's futures positions, all of them.
    Positions,
    /// Leverage, margin mode and position mode that hold for an instrument.
    FuturesSettings {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
    },
    /// Funding payments, fees and transfers of the account since a time.
    Bills {
        /// From this venue time on.
        since: UnixNanos,
        /// Only bills older than this id (paging).
        older_than: Option<VenueOrderId>,
    },
    /// Use this leverage on an instrument.
    SetLeverage {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// Times the margin, from 1.
        leverage: u16,
    },
    /// Use this margin mode on an instrument.
    SetMarginMode {
        /// The venue's spelling of the instrument.
        symbol: Symbol,
        /// Crossed or isolated.
        mode: MarginMode,
    },
    /// Hold one position for each instrument, or a long and a short one; for the whole account.
    SetPositionMode {
        /// One-way or hedge.
        mode: PositionMode,
    },
    /// The account's balances.
    Balances,
    /// The balances of the futures wallet of an account that has one of its own; nothing on others.
    FuturesBalances,
    /// The key's rights, addresses and account.
    KeyInfo,
    /// Log in to the private stream.
    StreamLogin,
}

/// What a signed request does; the coarse form of [`SignIntent`] that outlives its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Place an order.
    Place,
    /// Cancel an order.
    Cancel,
    /// Cancel everything on an instrument.
    CancelAll,
    /// Query one order.
    QueryOrder,
    /// List open orders.
    OpenOrders,
    /// List ended orders.
    OrderHistory,
    /// List fills.
    Fills,
    /// List balances.
    Balances,
    /// Read the key's rights.
    KeyInfo,
    /// Log in to the private stream.
    StreamLogin,
    /// List futures positions.
    Positions,
    /// Read leverage and modes.
    FuturesSettings,
    /// List funding, fees and transfers.
    Bills,
    /// Change the leverage of an instrument.
    SetLeverage,
    /// Change the margin mode of an instrument.
    SetMarginMode,
    /// Change the position mode of the account.
    SetPositionMode,
    /// List the balances of a futures wallet.
    FuturesBalances,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 17] = [
        Self::Place,
        Self::Cancel,
        Self::CancelAll,
        Self::QueryOrder,
        Self::OpenOrders,
        Self::OrderHistory,
        Self::Fills,
        Self::Balances,
        Self::KeyInfo,
        Self::StreamLogin,
        Self::Positions,
        Self::FuturesSettings,
        Self::Bills,
        Self::SetLeverage,
        Self::SetMarginMode,
        Self::SetPositionMode,
        Self::FuturesBalances,
    ];

    /// The name used in metrics, `wire.log` and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Cancel => "cancel",
            Self::CancelAll => "cancel_all",
            Self::QueryOrder => "query_order",
            Self::OpenOrders => "open_orders",
            Self::OrderHistory => "order_history",
            Self::Fills => "fills",
            Self::Balances => "balances",
            Self::KeyInfo => "key_info",
            Self::StreamLogin => "stream_login",
            Self::Positions => "positions",
            Self::FuturesSettings => "futures_settings",
            Self::Bills => "bills",
            Self::SetLeverage => "set_leverage",
            Self::SetMarginMode => "set_margin_mode",
            Self::SetPositionMode => "set_position_mode",
            Self::FuturesBalances => "futures_balances",
        }
    }

    /// Whether it only asks and changes nothing at the venue.
    #[must_use]
    pub const fn only_asks(self) -> bool {
        !matches!(self, Self::Place | Self::Cancel | Self::CancelAll) && !self.sets()
    }

    /// Whether it changes how futures of the account are margined, and no order.
    #[must_use]
    pub const fn sets(self) -> bool {
        matches!(self, Self::SetLeverage | Self::SetMarginMode | Self::SetPositionMode)
    }
}

impl SignIntent {
    /// What it does.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Place(_) => Verb::Place,
            Self::Cancel { .. } => Verb::Cancel,
            Self::CancelAll { .. } => Verb::CancelAll,
            Self::QueryOrder { .. } => Verb::QueryOrder,
            Self::OpenOrders { .. } => Verb::OpenOrders,
            Self::OrderHistory { .. } => Verb::OrderHistory,
            Self::Fills { .. } => Verb::Fills,
            Self::Balances => Verb::Balances,
            Self::KeyInfo => Verb::KeyInfo,
            Self::StreamLogin => Verb::StreamLogin,
            Self::Positions => Verb::Positions,
            Self::FuturesSettings { .. } => Verb::FuturesSettings,
            Self::Bills { .. } => Verb::Bills,
            Self::SetLeverage { .. } => Verb::SetLeverage,
            Self::SetMarginMode { .. } => Verb::SetMarginMode,
            Self::SetPositionMode { .. } => Verb::SetPositionMode,
            Self::FuturesBalances => Verb::FuturesBalances,
        }
    }
}

/// Why the signer made no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignRefusal {
    /// No key is loaded for this account.
    #[error("no key is loaded for this account")]
    NoKey,
    /// The key's state does not allow this verb.
    #[error("the key's state does not allow this verb")]
    KeyState,
    /// The request does not fit its buffers or its numbers cannot be written.
    #[error("the request cannot be written")]
    Malformed,
    /// The id has a foreign tag, another epoch, or is not above the watermark.
    #[error("the client order id was not made for this run")]
    ClientId,
    /// The clock offset is beyond its limits.
    #[error("venue time is beyond the accepted offset")]
    Clock,
    /// The venue's codec does not know the verb.
    #[error("the venue has no such request")]
    Unsupported,
    /// The signer's own policy forbids it: instrument, band, notional, quantity, rate or budget.
    #[error("the signer's policy forbids it")]
    Policy,
    /// The signer did not answer in time, or is gone.
    #[error("the signer does not answer")]
    Silent,
}

/// Groups of endpoints that share one budget of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointGroup {
    /// Placing orders.
    Place,
    /// Cancelling orders (keeps a reserve).
    Cancel,
    /// Reading orders.
    OrderQuery,
    /// Reading fills.
    Fills,
    /// Reading balances, positions, settings and bills.
    Account,
    /// Changing leverage and modes.
    Settings,
    /// Reading the key's rights.
    KeyInfo,
    /// Logging in to a stream (no REST budget).
    Stream,
}

impl EndpointGroup {
    /// Every group.
    pub const ALL: [Self; 8] = [
        Self::Place,
        Self::Cancel,
        Self::OrderQuery,
        Self::Fills,
        Self::Account,
        Self::Settings,
        Self::KeyInfo,
        Self::Stream,
    ];

    /// The group that a verb draws on.
    #[must_use]
    pub const fn of(verb: Verb) -> Self {
        match verb {
            Verb::Place => Self::Place,
            Verb::Cancel | Verb::CancelAll => Self::Cancel,
            Verb::QueryOrder | Verb::OpenOrders | Verb::OrderHistory => Self::OrderQuery,
            Verb::Fills => Self::Fills,
            Verb::Balances | Verb::FuturesBalances | Verb::Positions | Verb::FuturesSettings | Verb::Bills => {
                Self::Account
            }
            Verb::SetLeverage | Verb::SetMarginMode | Verb::SetPositionMode => Self::Settings,
            Verb::KeyInfo => Self::KeyInfo,
            Verb::StreamLogin => Self::Stream,
        }
    }

    /// The name used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Cancel => "cancel",
            Self::OrderQuery => "order_query",
            Self::Fills => "fills",
            Self::Account => "account",
            Self::Settings => "settings",
            Self::KeyInfo => "key_info",
            Self::Stream => "stream",
        }
    }
}
