//! Every reason for which this program refuses, halts or holds, as closed lists.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every reason, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The reason code used in metrics, journal and API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// One sentence for people: what happened and what to do.
            #[must_use]
            pub const fn explain(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// Its index in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

reasons! {
    /// Why an order was refused by us, before it was sent.
    RefuseReason {
        /// Trading is halted.
        Halted = "halted", "trading is halted; `steadfast unhalt` lifts it";
        /// Only reducing orders are taken.
        ReduceOnly = "reduce_only", "trading is paused; `steadfast resume` ends it";
        /// Start-up reconciliation has not finished.
        NotReconciled = "not_reconciled", "the venue is still being asked what rests there";
        /// The instrument does not take orders.
        InstrumentHalted = "instrument_halted", "the venue takes no orders on this instrument now";
        /// The intent was made for older trading rules.
        OldInstrumentVersion = "old_instrument_version", "tick or lot size changed; the strategy will ask again";
        /// Price or quantity off the grid.
        OffGrid = "off_grid", "price or quantity is not on the instrument's grid";
        /// Below the venue's minimum notional.
        BelowMinimum = "below_minimum", "raise the order size: the venue has a minimum notional";
        /// Too far from mid.
        PriceCollar = "price_collar", "the price is further from mid than risk.price_collar allows";
        /// One order too valuable.
        OrderNotional = "order_notional", "the order exceeds risk.max_order_notional";
        /// Position or its worst case too large.
        PositionNotional = "position_notional", "the position would exceed its limit if every open order filled";
        /// Gross exposure too large.
        GrossExposure = "gross_exposure", "exposure over all instruments would exceed risk.max_gross_exposure";
        /// Too many open orders.
        OpenOrders = "open_orders", "too many open orders; see risk.max_open_orders";
        /// Too many orders a second.
        OrderRate = "order_rate", "too many orders a second; see risk.max_orders_per_second";
        /// Too many cancels a second.
        CancelRate = "cancel_rate", "too many cancels a second";
        /// It could trade with an own resting order.
        SelfTrade = "self_trade", "it could trade with an own resting order";
        /// The same intent again within a moment.
        Duplicate = "duplicate", "the same order was asked for a moment ago";
        /// Loss of the day reached.
        DailyLoss = "daily_loss", "the loss of the day reached risk.max_daily_loss";
        /// Drawdown reached.
        Drawdown = "drawdown", "the drawdown reached risk.max_drawdown";
        /// Too many rejects.
        RejectRatio = "reject_ratio", "the venue rejects too many orders; see its reasons, then resume";
        /// No fresh book.
        StaleBook = "stale_book", "market data is older than risk.max_feed_age";
        /// The book cannot be read.
        InvalidBook = "invalid_book", "the order book is not valid now";
        /// The book was being written while read, too often.
        BookBusy = "book_busy", "the top of book could not be read in a bounded number of attempts";
        /// Venue time not known well enough.
        ClockUncertain = "clock_uncertain", "venue time is not known well enough; check NTP";
        /// The strategy's own budget.
        StrategyBudget = "strategy_budget", "the strategy's own [limits] are reached";
        /// More than the bot bought.
        NotOwned = "not_owned", "a spot strategy sells only what it bought";
        /// Free balance too small.
        Balance = "balance", "the free balance does not cover the order";
        /// A reduce-only order without a position that it could make smaller.
        NothingToReduce = "nothing_to_reduce", "there is no such position left that it could make smaller";
        /// Free margin too small.
        Margin = "margin", "the free margin does not cover the order at the leverage in force";
        /// Leverage not known or too high.
        Leverage = "leverage", "the leverage at the venue is not known or above risk.max_leverage";
        /// Liquidation too near.
        Liquidation = "liquidation", "the liquidation price is nearer than risk.min_liquidation_distance";
        /// The order's position side does not fit.
        PositionMode = "position_mode", "the order's position side does not fit the account's position mode (one-way or hedge)";
        /// Venue and records disagree about the position.
        PositionMismatch = "position_mismatch", "the venue's position differs from our fills on this instrument; only reducing orders until they agree";
        /// An order of unknown outcome on this instrument.
        UnknownOrder = "unknown_order", "an order's outcome is unknown on this instrument; no new risk until the venue answers";
        /// The request budget of the venue is used up.
        RateBudget = "rate_budget", "the venue's request budget is used up for now";
        /// The venue has banned us for a while.
        RateBan = "rate_ban", "the venue asked us to wait";
        /// The outbox to the gateway is full.
        OutboxFull = "outbox_full", "the gateway is behind; the order was not sent";
        /// The table of open orders is full.
        TableFull = "table_full", "too many orders are being tracked";
        /// The signer said no.
        SignerRefused = "signer_refused", "the signer's policy refused it";
        /// The signer did not answer in time.
        SignerSilent = "signer_silent", "the signer did not answer in time; its id is burned";
        /// The key may not place orders now.
        KeyNotActive = "key_not_active", "the key is not Active; `steadfast keys list` says why";
        /// The private stream is down, so fills would go unseen.
        StreamDown = "stream_down", "the private stream is down; fills would go unseen";
        /// Journal or wire.log cannot be written.
        NotDurable = "not_durable", "the disk does not take records; only cancels go out";
        /// An amount left the range of the arithmetic.
        Arithmetic = "arithmetic", "an amount left the range of exact arithmetic";
        /// Shutting down.
        Stopping = "stopping", "the program is stopping";
    }
}

reasons! {
    /// Why trading was halted.
    HaltReason {
        /// A person did it.
        Operator = "operator", "halted by an operator";
        /// Daily loss limit.
        DailyLoss = "daily_loss", "the loss of the day reached risk.max_daily_loss";
        /// Drawdown limit.
        Drawdown = "drawdown", "the drawdown reached risk.max_drawdown";
        /// A difference that cannot be explained.
        Reconciliation = "reconciliation", "venue and records disagree; compare them before `unhalt`";
        /// The event ring was full: an event could have been lost.
        EventRingFull = "event_ring_full", "the journal could not keep up with events";
        /// An actor could not be kept alive.
        ActorEscalated = "actor_escalated", "a part of the program failed again and again";
        /// The venue rejected the key.
        KeyRejected = "key_rejected", "the venue rejected the key";
        /// The venue said something that must stop trading.
        VenueFatal = "venue_fatal", "the venue answered with an error that a person must look at";
        /// The signer died or is silent.
        SignerLost = "signer_lost", "the signer died or does not answer";
        /// A stored halt flag was found at start.
        Restored = "restored", "a halt from before the restart is still in force";
        /// Our own orders of another instance were found.
        ForeignInstance = "foreign_instance", "another instance trades on this account";
    }
}

reasons! {
    /// Why the program may not trade now; each is a line of `/-/ready`.
    NotReadyReason {
        /// Starting.
        Starting = "starting", "start-up has not finished";
        /// Vault locked.
        VaultLocked = "vault_locked", "the vault is locked";
        /// Key not active.
        KeyNotActive = "key_not_active", "no Active key";
        /// Feed down or stale.
        FeedStale = "feed_stale", "market data is missing or old";
        /// Private stream down.
        PrivateStream = "private_stream", "the private stream is down";
        /// Not reconciled.
        NotReconciled = "not_reconciled", "the venue has not been reconciled";
        /// Halted.
        Halted = "halted", "trading is halted";
        /// Clock.
        ClockUncertain = "clock_uncertain", "venue time is not known well enough";
        /// Journal.
        JournalFailed = "journal_failed", "the journal cannot be written";
        /// Stopping.
        Stopping = "stopping", "the program is stopping";
    }
}

/// What a venue's error means for what comes next; the class decides, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueErrorClass {
    /// Nothing happened; the same request may be made again after a pause, a bounded number of times.
    Retry,
    /// Nothing happened, and the same request will fail again.
    Refused,
    /// A person must look: key dead, account frozen, region, address.
    Fatal,
    /// It may or may not have happened: ask before anything else, never send again blindly.
    OutcomeUnknown,
}

/// A closed list of what venues complain about, for strategies, metrics and people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueReason {
    /// API key unknown, deleted or disabled.
    KeyUnknown,
    /// Signature wrong (wrong secret, or a defect).
    Signature,
    /// Passphrase wrong.
    Passphrase,
    /// Address not on the key's list.
    IpNotAllowed,
    /// The key lacks a right.
    Permission,
    /// Time stamp outside the window.
    Clock,
    /// Demo key on production, or the reverse.
    Environment,
    /// Classic call on a unified account, or the reverse.
    AccountMode,
    /// Account frozen or restricted.
    AccountRestricted,
    /// Too many requests.
    RateLimit,
    /// Not enough balance.
    Balance,
    /// No position, or a smaller one than the order would close.
    Position,
    /// Position mode, margin mode or leverage do not fit, or cannot change now.
    Settings,
    /// Below a minimum.
    TooSmall,
    /// Above a maximum.
    TooLarge,
    /// Price outside the band or off the step.
    Price,
    /// Client order id already used by an open order.
    DuplicateClientId,
    /// The order does not exist (any more).
    OrderNotFound,
    /// The order cannot be cancelled in its state.
    NotCancellable,
    /// Instrument suspended, in maintenance or gone.
    Instrument,
    /// Too many open orders.
    TooManyOrders,
    /// Venue maintenance or upgrade.
    Maintenance,
    /// The venue's own system error or time-out.
    System,
    /// A request that we should not have made (a defect).
    BadRequest,
    /// Anything else.
    Other,
}

impl VenueReason {
    /// The reason code used in metrics and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyUnknown => "key_unknown",
            Self::Signature => "signature",
            Self::Passphrase => "passphrase",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::Permission => "permission",
            Self::Clock => "clock",
            Self::Environment => "environment",
            Self::AccountMode => "account_mode",
            Self::AccountRestricted => "account_restricted",
            Self::RateLimit => "rate_limit",
            Self::Balance => "balance",
            Self::Position => "position",
            Self::Settings => "settings",
            Self::TooSmall => "too_small",
            Self::TooLarge => "too_large",
            Self::Price => "price",
            Self::DuplicateClientId => "duplicate_client_id",
            Self::OrderNotFound => "order_not_found",
            Self::NotCancellable => "not_cancellable",
            Self::Instrument => "instrument",
            Self::TooManyOrders => "too_many_orders",
            Self::Maintenance => "maintenance",
            Self::System => "system",
            Self::BadRequest => "bad_request",
            Self::Other => "other",
        }
    }
}

/// A venue's error, classified: its code, class and reason, with its own short text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueError {
    /// The venue's code, such as `43012`; empty when there was none (a bare HTTP status).
    pub code: arrayvec::ArrayString<16>,
    /// What it means for what comes next.
    pub class: VenueErrorClass,
    /// What it is about.
    pub reason: VenueReason,
    /// The venue's own words, cut to fit; shown to people, never parsed.
    pub text: arrayvec::ArrayString<96>,
}

/// Whether trading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradingState {
    /// Orders are taken.
    Active,
    /// Only orders that reduce a position.
    ReduceOnly,
    /// None; cancels only.
    Halted,
}

impl TradingState {
    /// The name used in API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ReduceOnly => "reduce_only",
            Self::Halted => "halted",
        }
    }
}
