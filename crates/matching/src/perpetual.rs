//! Words of perpetual futures: which way an order works, what a position is, what margin says.
//!
//! A linear perpetual is sized in its base and settled in its quote; a long position gains what a
//! short one of the same size loses.

use crate::{AccountId, Atoms, FeeRate, FeeSchedule, Listing, OrderId};
use domain::{InstrumentId, Price, Qty, Side, UnixNanos};
use rust_decimal::Decimal;

/// Whether an account keeps one position for each perpetual, or a long and a short one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PositionMode {
    /// One position, which orders enlarge, shrink or turn round.
    #[default]
    OneWay,
    /// A long and a short one; each order says which, and whether it opens or closes.
    Hedge,
}

/// Which way a position looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PositionSide {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
}

impl PositionSide {
    /// The side of the orders that enlarge it.
    #[must_use]
    pub const fn opens(self) -> Side {
        match self {
            Self::Long => Side::Buy,
            Self::Short => Side::Sell,
        }
    }

    /// The side of the orders that shrink it.
    #[must_use]
    pub const fn closes(self) -> Side {
        self.opens().opposite()
    }

    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Long => Self::Short,
            Self::Short => Self::Long,
        }
    }

    /// The position that an order of `side` opens.
    #[must_use]
    pub const fn opened_by(side: Side) -> Self {
        match side {
            Side::Buy => Self::Long,
            Side::Sell => Self::Short,
        }
    }

    /// 1 for long, -1 for short.
    pub(crate) const fn sign(self) -> i128 {
        match self {
            Self::Long => 1,
            Self::Short => -1,
        }
    }
}

/// Which of an account's positions on one perpetual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// The only one, in one-way mode.
    Net,
    /// The long one, in hedge mode.
    Long,
    /// The short one, in hedge mode.
    Short,
}

/// What an order is meant to do to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intent {
    /// One-way mode: works on the only position.
    OneWay {
        /// It may shrink the position and nothing else.
        reduce_only: bool,
    },
    /// Hedge mode: enlarges this position.
    Open(PositionSide),
    /// Hedge mode: shrinks this position.
    Close(PositionSide),
}

impl Intent {
    /// The position that it works on.
    #[must_use]
    pub const fn leg(self) -> Leg {
        match self {
            Self::OneWay { .. } => Leg::Net,
            Self::Open(PositionSide::Long) | Self::Close(PositionSide::Long) => Leg::Long,
            Self::Open(PositionSide::Short) | Self::Close(PositionSide::Short) => Leg::Short,
        }
    }

    /// Whether it can only shrink a position.
    #[must_use]
    pub const fn reduces(self) -> bool {
        matches!(self, Self::OneWay { reduce_only: true } | Self::Close(_))
    }

    /// Whether an order of `side` in an account of `mode` can mean this.
    pub(crate) fn fits(self, mode: PositionMode, side: Side) -> bool {
        match (self, mode) {
            (Self::OneWay { .. }, PositionMode::OneWay) => true,
            (Self::Open(position), PositionMode::Hedge) => side == position.opens(),
            (Self::Close(position), PositionMode::Hedge) => side == position.closes(),
            _ => false,
        }
    }
}

/// What trading a perpetual asks for, beyond its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerpetualTerms {
    /// Largest leverage; at least 1.
    pub leverage_max: u32,
    /// Leverage of an account that has chosen none; 1 to `leverage_max`.
    pub leverage_default: u32,
    /// Fraction of a position's value at the mark price below which equity must not fall.
    pub maintenance: FeeRate,
    /// Fees, as fractions of a trade's value, in the settle coin.
    pub fees: FeeSchedule,
}

impl PerpetualTerms {
    /// Whether an account could open a position and not be liquidated by that alone.
    pub(crate) fn is_sound(&self) -> bool {
        let leverage = i64::from(self.leverage_max);
        self.leverage_max >= 1
            && (1..=self.leverage_max).contains(&self.leverage_default)
            && self.maintenance.ppm() >= 0
            && self.maintenance.ppm().saturating_mul(leverage) < 1_000_000
    }
}

/// Where an account's margin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collateral {
    /// A futures wallet beside the spot balances.
    Separate,
    /// The spot balance of the settle coin is margin too.
    Shared,
    /// The venue's own participants: no margin, no fees, never liquidated; the wallet may go below zero.
    Unlimited,
}

/// One open position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which of the account's positions it is.
    pub leg: Leg,
    /// Which way it looks.
    pub side: PositionSide,
    /// Its size in base; zero only in the report of its end.
    pub qty: Qty,
    /// What that size was worth when it was entered.
    pub cost: Atoms,
    /// Gain of what has been closed, fees and funding not counted.
    pub realised: Atoms,
    /// Funding received; negative was paid.
    pub funding: Atoms,
    /// Fees of the trades that enlarged it.
    pub open_fee: Atoms,
    /// Fees of the trades that shrank it.
    pub close_fee: Atoms,
    /// Base entered in all.
    pub entered: Qty,
    /// What that was worth.
    pub entered_value: Atoms,
    /// Base closed so far.
    pub left: Qty,
    /// What that was worth.
    pub left_value: Atoms,
    /// Order that began it: a number of its own.
    pub opened_by: OrderId,
    /// When it began.
    pub opened_at: UnixNanos,
    /// When a trade last changed it.
    pub updated_at: UnixNanos,
}

impl Position {
    /// Value at `price`; `None` beyond the range.
    #[must_use]
    pub fn value(&self, listing: &Listing, price: Price) -> Option<Atoms> {
        listing.notional(price, self.qty)
    }

    /// Gain if it were closed at `price`; `None` beyond the range.
    #[must_use]
    pub fn unrealised(&self, listing: &Listing, price: Price) -> Option<Atoms> {
        Some(Atoms((self.value(listing, price)?.0 - self.cost.0) * self.side.sign()))
    }

    /// The cost, positive when long and negative when short.
    pub(crate) const fn signed_cost(&self) -> i128 {
        self.cost.0 * self.side.sign()
    }
}

/// What a futures account has and holds, at the mark prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MarginState {
    /// The settle coin in the wallet, with realised gains and losses; with shared collateral, all of it.
    pub wallet: Atoms,
    /// The part of it that resting spot orders hold; zero with a wallet of its own.
    pub frozen: Atoms,
    /// Gain of all positions if they were closed at the mark prices.
    pub unrealised: Atoms,
    /// Wallet and unrealised gain together.
    pub equity: Atoms,
    /// Initial margin of the positions.
    pub position_margin: Atoms,
    /// Margin, fees and losses against the mark price that open orders could bring.
    pub order_margin: Atoms,
    /// Equity at or below this is liquidated.
    pub maintenance: Atoms,
    /// What new orders may use: equity less all that is held. Below zero after losses.
    pub free: Atoms,
}

impl MarginState {
    /// What new orders may use, never below zero.
    #[must_use]
    pub fn available(&self) -> Atoms {
        self.free.max(Atoms::ZERO)
    }

    /// What may be moved out: unrealised gains may not.
    #[must_use]
    pub fn transferable(&self) -> Atoms {
        Atoms(self.free.0.min(self.wallet.0 - self.frozen.0).max(0))
    }
}

/// One account's part of a funding settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FundingPayment {
    /// Whose position.
    pub account: AccountId,
    /// The perpetual.
    pub instrument: InstrumentId,
    /// Which of its positions.
    pub leg: Leg,
    /// Which way it looks.
    pub side: PositionSide,
    /// Its size.
    pub qty: Qty,
    /// Received; negative is paid.
    pub amount: Atoms,
}

/// Why a futures setting or transfer was refused; nothing has changed.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum FuturesError {
    /// No such account, or one without futures.
    #[error("no such futures account")]
    UnknownAccount,
    /// No such perpetual.
    #[error("no such perpetual")]
    UnknownInstrument,
    /// Leverage outside what the instrument allows.
    #[error("leverage must be 1 to {max}")]
    Leverage {
        /// The largest allowed.
        max: u32,
    },
    /// Positions or open orders stand in the way.
    #[error("positions or open orders stand in the way")]
    NotFlat,
    /// There is not enough margin for it.
    #[error("needs {needed}, {available} available")]
    Margin {
        /// What is needed.
        needed: Decimal,
        /// What there is.
        available: Decimal,
    },
    /// Both sides of the transfer are the same balance.
    #[error("the account has one balance for both")]
    OneWallet,
    /// An amount below zero or out of range.
    #[error("amount out of range")]
    Amount,
}
