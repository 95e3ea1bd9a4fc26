//! The futures desk: orders on perpetuals, settings, transfers; what dialects call, in no dialect.

use crate::config::PerpetualConfig;
use crate::records::{Bill, BillKind, OrderFutures};
use crate::venue::{Instrument, Ticket, Venue};
use crate::{AccountMode, Category};
use domain::{Asset, InstrumentId, Price, Side, TimeInForce};
use matching::{
    Atoms, Collateral, FuturesError, Intent, OrderId, OrderSize, PlaceError, Position, PositionMode, PositionSide,
    SelfTrade,
};
use rust_decimal::Decimal;

/// Open orders of one account on one perpetual (`maxSymbolOrderNum`).
pub(crate) const OPEN_ORDERS_MAX: usize = 200;
/// How far a limit price may be beyond the mark price, in hundredths (`buyLimitPriceRatio`).
pub(crate) const PRICE_BAND_PERCENT: i64 = 5;

/// How margin is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarginMode {
    /// All positions share the account's margin.
    Crossed,
    /// Each position has its own; not offered here.
    Isolated,
}

/// One of a classic account's wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wallet {
    Spot,
    UsdtFutures,
}

/// Why the desk did not do what it was asked; nothing has changed. A dialect has a code for each.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DeskRefusal {
    #[error("an open order has this client id")]
    DuplicateClientOid,
    #[error("too many open orders")]
    TooManyOrders,
    #[error("less than the minimum value {minimum}")]
    BelowMinimum { minimum: Decimal },
    #[error("more than an order may be worth")]
    TooLarge,
    #[error("the price is above {limit}")]
    AboveBand { limit: Decimal },
    #[error("the price is below {limit}")]
    BelowBand { limit: Decimal },
    #[error("the price is not a positive multiple of the tick size")]
    Price,
    #[error("the quantity is not a positive multiple of the lot size")]
    Quantity,
    #[error("needs {needed} of margin, {available} available")]
    Margin { needed: Decimal, available: Decimal },
    #[error("there is no position to close")]
    NoPosition,
    #[error("the position has only {available} left to close")]
    NotEnoughPosition { available: Decimal },
    #[error("the order does not fit the position mode")]
    WrongMode,
    #[error("leverage must be 1 to {max}")]
    Leverage { max: u32 },
    #[error("positions or open orders stand in the way")]
    NotFlat,
    #[error("isolated margin is not offered")]
    Isolated,
    #[error("no such perpetual")]
    UnknownInstrument,
    #[error("no such account")]
    UnknownAccount,
    #[error("the book is full")]
    BookFull,
    #[error("the amount is zero, negative or too precise")]
    Amount,
    #[error("only {coin} can be moved there")]
    Coin { coin: Asset },
    #[error("the account has one balance for spot and futures")]
    OneWallet,
    #[error("{0}")]
    Other(String),
}

impl From<PlaceError> for DeskRefusal {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::UnknownInstrument | PlaceError::Kind => Self::UnknownInstrument,
            PlaceError::UnknownAccount => Self::UnknownAccount,
            PlaceError::Price => Self::Price,
            PlaceError::Quantity => Self::Quantity,
            PlaceError::Intent => Self::WrongMode,
            PlaceError::NoPosition => Self::NoPosition,
            PlaceError::NotEnoughPosition { available } => Self::NotEnoughPosition { available },
            PlaceError::Margin { needed, available } => Self::Margin { needed, available },
            PlaceError::BookFull => Self::BookFull,
            PlaceError::Range => Self::TooLarge,
            PlaceError::Size | PlaceError::Balance { .. } | PlaceError::NoMark => Self::Other(error.to_string()),
        }
    }
}

impl From<FuturesError> for DeskRefusal {
    fn from(error: FuturesError) -> Self {
        match error {
            FuturesError::UnknownAccount => Self::UnknownAccount,
            FuturesError::UnknownInstrument => Self::UnknownInstrument,
            FuturesError::Leverage { max } => Self::Leverage { max },
            FuturesError::NotFlat => Self::NotFlat,
            FuturesError::Margin { needed, available } => Self::Margin { needed, available },
            FuturesError::OneWallet => Self::OneWallet,
            FuturesError::Amount => Self::Amount,
        }
    }
}

/// What became of one position that was to be closed at once.
pub(crate) struct Closing {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: PositionSide,
    pub(crate) outcome: Result<(OrderId, String), DeskRefusal>,
}

impl Venue {
    fn perpetual_of(&self, id: InstrumentId) -> Result<(&Instrument, &PerpetualConfig), DeskRefusal> {
        let instrument = self.by_id(id).ok_or(DeskRefusal::UnknownInstrument)?;
        let perpetual = instrument.perpetual.as_ref().ok_or(DeskRefusal::UnknownInstrument)?;
        Ok((instrument, &perpetual.config))
    }

    /// Checks an order on a perpetual by the venue's rules and takes it; `ticket.intent` says what it means.
    ///
    /// # Errors
    /// [`DeskRefusal`]: the order was not taken and nobody is told of it.
    pub(crate) fn place_futures(&mut self, account: usize, ticket: Ticket) -> Result<(OrderId, String), DeskRefusal> {
        let intent = ticket.intent.ok_or(DeskRefusal::WrongMode)?;
        self.within_rules(account, &ticket, intent)?;
        let owner = self.accounts.get(account).ok_or(DeskRefusal::UnknownAccount)?.engine;
        let futures = OrderFutures {
            intent,
            mode: self.engine.position_mode(owner),
            leverage: self.engine.leverage(owner, ticket.instrument).unwrap_or(1),
            pnl: Atoms::ZERO,
            liquidation: false,
        };
        Ok(self.take(account, ticket, Some(futures))?)
    }

    fn within_rules(&self, account: usize, ticket: &Ticket, intent: Intent) -> Result<(), DeskRefusal> {
        let (instrument, _) = self.perpetual_of(ticket.instrument)?;
        let store = &self.accounts.get(account).ok_or(DeskRefusal::UnknownAccount)?.futures.store;
        let named = ticket.client_oid.as_deref().and_then(|id| store.by_client_oid(id));
        if named.is_some_and(|order| order.status.is_open()) {
            return Err(DeskRefusal::DuplicateClientOid);
        }
        if store.open_count(ticket.instrument) >= OPEN_ORDERS_MAX {
            return Err(DeskRefusal::TooManyOrders);
        }
        let mark = self.engine.mark(ticket.instrument);
        let (price, qty) = match ticket.size {
            OrderSize::Limit { price, qty } => (Some(price), qty),
            OrderSize::MarketBase { qty } => (None, qty),
            OrderSize::MarketQuote { .. } => return Err(DeskRefusal::Quantity),
        };
        let value = price.or(mark).map(|price| instrument.listing.notional(price, qty).ok_or(DeskRefusal::TooLarge));
        let minimum = instrument.config.min_notional;
        // What is left of a position may be smaller than an order may be.
        if !intent.reduces()
            && value.transpose()?.is_some_and(|value| value.to_decimal().is_some_and(|it| it < minimum))
        {
            return Err(DeskRefusal::BelowMinimum { minimum });
        }
        match (price, mark) {
            (Some(price), Some(mark)) => within_band(instrument, ticket.side, price, mark),
            _ => Ok(()),
        }
    }

    /// Cancels all open orders on perpetuals, or on one of them, oldest first; those that were.
    pub(crate) fn cancel_futures(&mut self, account: usize, instrument: Option<InstrumentId>) -> Vec<OrderId> {
        let Some(owner) = self.accounts.get(account) else { return Vec::new() };
        let open = owner.futures.store.open().filter(|order| instrument.is_none_or(|it| it == order.instrument));
        let mut open: Vec<OrderId> = open.map(|order| order.id).collect();
        open.reverse();
        open.retain(|order| self.cancel(account, *order));
        open
    }

    /// Closes positions at once by market orders: all, those of one perpetual, or those of one side.
    pub(crate) fn close_positions(
        &mut self,
        account: usize,
        instrument: Option<InstrumentId>,
        side: Option<PositionSide>,
    ) -> Vec<Closing> {
        let Some(owner) = self.accounts.get(account).map(|account| account.engine) else { return Vec::new() };
        let open: Vec<(InstrumentId, Position)> = self
            .engine
            .positions(owner)
            .filter(|(id, position)| instrument.is_none_or(|it| it == *id) && side.is_none_or(|it| it == position.side))
            .map(|(id, position)| (id, *position))
            .collect();
        let mode = self.engine.position_mode(owner);
        let close = |(id, position): (InstrumentId, Position)| Closing {
            instrument: id,
            side: position.side,
            outcome: self.place_futures(account, closing_ticket(id, &position, mode)),
        };
        open.into_iter().map(close).collect()
    }

    /// Changes the leverage of an account on a perpetual.
    ///
    /// # Errors
    /// [`DeskRefusal::Leverage`] out of range, [`DeskRefusal::Margin`] when there is too little for a lower one.
    pub(crate) fn set_leverage(&mut self, account: usize, id: InstrumentId, leverage: u32) -> Result<(), DeskRefusal> {
        let owner = self.accounts.get(account).ok_or(DeskRefusal::UnknownAccount)?.engine;
        self.engine.set_leverage(owner, id, leverage)?;
        self.tell_futures(account);
        Ok(())
    }

    /// Leverage of an account on a perpetual; `None` on spot.
    pub(crate) fn leverage(&self, account: usize, id: InstrumentId) -> Option<u32> {
        self.engine.leverage(self.accounts.get(account)?.engine, id)
    }

    /// Margin is always crossed: asking for that succeeds, asking for anything else does not.
    ///
    /// # Errors
    /// [`DeskRefusal::Isolated`], or [`DeskRefusal::UnknownInstrument`].
    pub(crate) fn set_margin_mode(&self, id: InstrumentId, mode: MarginMode) -> Result<(), DeskRefusal> {
        self.perpetual_of(id)?;
        match mode {
            MarginMode::Crossed => Ok(()),
            MarginMode::Isolated => Err(DeskRefusal::Isolated),
        }
    }

    /// Changes the position mode of an account without positions and open orders on perpetuals.
    ///
    /// # Errors
    /// [`DeskRefusal::NotFlat`].
    pub(crate) fn set_position_mode(&mut self, account: usize, mode: PositionMode) -> Result<(), DeskRefusal> {
        let owner = self.accounts.get(account).ok_or(DeskRefusal::UnknownAccount)?.engine;
        Ok(self.engine.set_position_mode(owner, mode)?)
    }

    /// Position mode of an account.
    pub(crate) fn position_mode(&self, account: usize) -> PositionMode {
        self.accounts.get(account).map(|account| self.engine.position_mode(account.engine)).unwrap_or_default()
    }

    /// Moves the settle coin between the wallets of a classic account; the transfer's number.
    ///
    /// # Errors
    /// [`DeskRefusal`]; nothing has moved.
    pub(crate) fn transfer(
        &mut self,
        account: usize,
        (from, to): (Wallet, Wallet),
        coin: Asset,
        amount: Atoms,
    ) -> Result<u64, DeskRefusal> {
        let owner = self.accounts.get(account).ok_or(DeskRefusal::UnknownAccount)?.engine;
        let settle = self.settle.ok_or(DeskRefusal::UnknownInstrument)?;
        if coin != settle {
            return Err(DeskRefusal::Coin { coin: settle });
        }
        let (kind, signed) = match (from, to) {
            (Wallet::Spot, Wallet::UsdtFutures) => {
                self.engine.move_to_futures(owner, amount)?;
                (BillKind::TransferIn, amount)
            }
            (Wallet::UsdtFutures, Wallet::Spot) => {
                self.engine.move_from_futures(owner, amount)?;
                (BillKind::TransferOut, amount.negated())
            }
            _ => return Err(DeskRefusal::OneWallet),
        };
        let id = self.bill(account, None, kind, (signed, Atoms::ZERO), Atoms::ZERO);
        self.tell_balance(account, settle);
        self.tell_futures(account);
        Ok(id)
    }

    /// Notes a change of a futures balance that has happened, and another one after it; its number.
    pub(crate) fn bill(
        &mut self,
        account: usize,
        instrument: Option<InstrumentId>,
        kind: BillKind,
        (amount, fee): (Atoms, Atoms),
        later: Atoms,
    ) -> u64 {
        let at_ms = self.now_ms();
        self.last_bill += 1;
        let id = self.last_bill;
        if let Some(owner) = self.accounts.get_mut(account) {
            let balance = Atoms(self.engine.futures_wallet(owner.engine).0 - later.0);
            owner.futures.add_bill(Bill { id, at_ms, instrument, kind, amount, fee, balance });
        }
        id
    }

    /// Lets an account that was opened trade perpetuals, where the exchange has them.
    pub(crate) fn admit_to_futures(&mut self, account: matching::AccountId, mode: AccountMode) {
        if self.settle.is_some() {
            self.engine.open_futures(account, collateral_of(mode));
        }
    }
}

/// Where an account's margin comes from.
pub(crate) const fn collateral_of(mode: AccountMode) -> Collateral {
    match mode {
        AccountMode::Classic => Collateral::Separate,
        AccountMode::Unified => Collateral::Shared,
    }
}

fn closing_ticket(instrument: InstrumentId, position: &Position, mode: PositionMode) -> Ticket {
    Ticket {
        instrument,
        side: position.side.closes(),
        size: OrderSize::MarketBase { qty: position.qty },
        force: TimeInForce::Ioc,
        self_trade: SelfTrade::CancelMaker,
        client_oid: None,
        intent: Some(match mode {
            PositionMode::OneWay => Intent::OneWay { reduce_only: true },
            PositionMode::Hedge => Intent::Close(position.side),
        }),
    }
}

/// A limit price may be so far beyond the mark price, and no farther.
fn within_band(instrument: &Instrument, side: Side, price: Price, mark: Price) -> Result<(), DeskRefusal> {
    debug_assert!(instrument.category == Category::UsdtFutures, "spot has a band of its own");
    let decimals = u32::from(instrument.listing.price_decimals);
    let (price, mark) = (Decimal::new(price.0, decimals), Decimal::new(mark.0, decimals));
    let band = Decimal::new(PRICE_BAND_PERCENT, 2);
    let limit = match side {
        Side::Buy => mark * (Decimal::ONE + band),
        Side::Sell => mark * (Decimal::ONE - band),
    };
    let limit = limit.round_dp(decimals).normalize();
    match side {
        Side::Buy if price > limit => Err(DeskRefusal::AboveBand { limit }),
        Side::Sell if price < limit => Err(DeskRefusal::BelowBand { limit }),
        _ => Ok(()),
    }
}
