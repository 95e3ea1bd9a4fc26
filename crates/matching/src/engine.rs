//! The engine: takes, matches and cancels orders, and settles every trade between two ledgers.

use crate::amount::pow10;
use crate::ledger::Ledger;
use crate::margin::Futures;
use crate::{
    AccountId, Atoms, Balance, Book, CancelReason, Event, FeeRate, Intent, NewOrder, OrderId, OrderSize, Party,
    PerpetualTerms, PlaceError, Removal, Resting, SelfTrade, Trade, TradeId,
};
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use std::collections::BTreeMap;

/// What the engine must know of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// What is bought and sold.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// Decimals of a price mantissa.
    pub price_decimals: u8,
    /// Decimals of a quantity mantissa.
    pub qty_decimals: u8,
    /// Smallest step of a price, as a mantissa; at least 1.
    pub tick: i64,
    /// Smallest step of a quantity, as a mantissa; at least 1.
    pub lot: i64,
}

/// Why a listing cannot be traded exactly.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum ListingError {
    /// Fees of such fine amounts would have to be rounded.
    #[error("price and quantity decimals together exceed {max}", max = Listing::DECIMALS_MAX)]
    TooFine,
    /// Tick or lot below 1, or base and quote the same.
    #[error("tick and lot must be at least 1 and the two assets different")]
    Malformed,
    /// More instruments than an id can name.
    #[error("too many instruments")]
    TooMany,
    /// Leverage below 1, or so high that a new position would be liquidated at once.
    #[error("leverage and maintenance margin do not fit each other")]
    Terms,
    /// A perpetual that settles in another coin than the ones before it.
    #[error("all perpetuals settle in one coin, {settle}")]
    Settle {
        /// The coin of the ones before.
        settle: Asset,
    },
}

/// What an account pays on trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeSchedule {
    /// For resting orders.
    pub maker: FeeRate,
    /// For arriving orders.
    pub taker: FeeRate,
}

impl Listing {
    /// Most decimals of price and quantity together: leaves six for the fee in 18.
    pub const DECIMALS_MAX: u32 = Atoms::DECIMALS - FeeRate::DECIMALS;

    /// Price times quantity in quote; `None` beyond the range.
    #[must_use]
    pub fn notional(&self, price: Price, qty: Qty) -> Option<Atoms> {
        let decimals = u32::from(self.price_decimals) + u32::from(self.qty_decimals);
        let product = i128::from(price.0).checked_mul(i128::from(qty.0))?;
        Atoms::from_mantissa(product, decimals).filter(|amount| *amount <= Atoms::MAX)
    }

    /// A quantity of base as an amount; `None` beyond the range.
    #[must_use]
    pub fn base_amount(&self, qty: Qty) -> Option<Atoms> {
        Atoms::from_mantissa(i128::from(qty.0), u32::from(self.qty_decimals)).filter(|amount| *amount <= Atoms::MAX)
    }

    /// The largest quantity on the lot grid that `budget` pays for at `price`.
    fn affordable(&self, budget: Atoms, price: Price) -> Qty {
        let decimals = u32::from(self.price_decimals) + u32::from(self.qty_decimals);
        let unit = pow10(Atoms::DECIMALS.saturating_sub(decimals)).unwrap_or(1);
        let per_mantissa = i128::from(price.0.max(1)).saturating_mul(unit);
        let mantissa = i64::try_from(budget.0.max(0) / per_mantissa).unwrap_or(i64::MAX);
        Qty(mantissa - mantissa % self.lot.max(1))
    }
}

/// What makes a market a perpetual.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Perpetual {
    pub(crate) terms: PerpetualTerms,
    pub(crate) mark: Option<Price>,
}

#[derive(Debug, Clone)]
pub(crate) struct Market {
    pub(crate) listing: Listing,
    pub(crate) book: Book,
    /// `None`: spot.
    pub(crate) perpetual: Option<Perpetual>,
}

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) ledger: Ledger,
    fees: FeeSchedule,
    pub(crate) futures: Option<Futures>,
}

/// Books, accounts and fees of one venue.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    pub(crate) markets: Vec<Market>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) fees_collected: BTreeMap<Asset, Atoms>,
    /// What all perpetuals settle in; `None` while there are none.
    pub(crate) settle: Option<Asset>,
    pub(crate) last_order: u64,
    last_trade: u64,
}

/// The arriving order while it matches.
pub(crate) struct Taker {
    pub(crate) id: OrderId,
    pub(crate) order: NewOrder,
    /// Worst price, none for market orders.
    pub(crate) limit: Option<Price>,
    /// Base still wanted; for a market buy by quote, what the budget pays for is recomputed at each price.
    pub(crate) wanted: Qty,
    /// Quote still to spend, for a market buy by quote.
    pub(crate) budget: Option<Atoms>,
    /// What it means on a perpetual; `None` on spot.
    pub(crate) intent: Option<Intent>,
    /// Orders on the other side have gone since its margin was counted.
    pub(crate) recount: bool,
    /// There is no margin for its rest.
    pub(crate) refused: bool,
}

impl Taker {
    pub(crate) const fn new(id: OrderId, order: NewOrder, intent: Option<Intent>) -> Self {
        let (limit, wanted, budget) = match order.size {
            OrderSize::Limit { price, qty } => (Some(price), qty, None),
            OrderSize::MarketBase { qty } => (None, qty, None),
            OrderSize::MarketQuote { budget } => (None, Qty::ZERO, Some(budget)),
        };
        Self { id, order, limit, wanted, budget, intent, recount: false, refused: false }
    }

    fn accepts(&self, price: Price) -> bool {
        match (self.limit, self.order.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        }
    }

    fn wanted_at(&self, listing: &Listing, price: Price) -> Qty {
        self.budget.map_or(self.wanted, |budget| listing.affordable(budget, price))
    }
}

impl Engine {
    /// An engine without instruments and accounts, whose ids begin above the given numbers.
    #[must_use]
    pub fn new(last_order: u64, last_trade: u64) -> Self {
        Self { last_order, last_trade, ..Self::default() }
    }

    /// Adds an instrument; ids count from 0.
    ///
    /// # Errors
    /// [`ListingError`] when its amounts could not be kept exactly.
    pub fn list(&mut self, listing: Listing) -> Result<InstrumentId, ListingError> {
        self.add(listing, None)
    }

    pub(crate) fn add(&mut self, listing: Listing, perpetual: Option<Perpetual>) -> Result<InstrumentId, ListingError> {
        if u32::from(listing.price_decimals) + u32::from(listing.qty_decimals) > Listing::DECIMALS_MAX {
            return Err(ListingError::TooFine);
        }
        if listing.tick < 1 || listing.lot < 1 || listing.base == listing.quote {
            return Err(ListingError::Malformed);
        }
        let id = u16::try_from(self.markets.len()).map_err(|_| ListingError::TooMany)?;
        self.markets.push(Market { listing, book: Book::default(), perpetual });
        Ok(InstrumentId(id))
    }

    /// Opens an account without balances.
    pub fn open_account(&mut self, fees: FeeSchedule) -> AccountId {
        let id = AccountId(u32::try_from(self.accounts.len()).unwrap_or(u32::MAX));
        self.accounts.push(Account { ledger: Ledger::default(), fees, futures: None });
        id
    }

    /// Adds coins from outside; false for an unknown account or an amount below zero.
    pub fn deposit(&mut self, account: AccountId, asset: Asset, amount: Atoms) -> bool {
        let Some(account) = self.account_mut(account) else { return false };
        if amount < Atoms::ZERO || amount > Atoms::MAX {
            return false;
        }
        account.ledger.credit(asset, amount);
        true
    }

    /// Takes available coins out; false when there are not enough.
    pub fn withdraw(&mut self, account: AccountId, asset: Asset, amount: Atoms) -> bool {
        if amount < Atoms::ZERO || self.spendable(account, asset) < amount {
            return false;
        }
        let Some(account) = self.account_mut(account) else { return false };
        account.ledger.credit(asset, amount.negated());
        true
    }

    /// What the account has of one asset.
    #[must_use]
    pub fn balance(&self, account: AccountId, asset: Asset) -> Balance {
        self.account(account).map(|account| account.ledger.balance(asset)).unwrap_or_default()
    }

    /// Everything the account has ever had, in the order of asset codes.
    pub fn balances(&self, account: AccountId) -> impl Iterator<Item = (Asset, Balance)> + '_ {
        self.account(account).into_iter().flat_map(|account| account.ledger.iter())
    }

    /// Fees kept by the venue so far.
    #[must_use]
    pub fn fees_collected(&self, asset: Asset) -> Atoms {
        self.fees_collected.get(&asset).copied().unwrap_or_default()
    }

    /// All that exists of an asset: every account's balance, the fees collected, and for the coin
    /// that perpetuals settle in also the futures wallets and what open positions have gained or lost
    /// among themselves.
    #[must_use]
    pub fn total(&self, asset: Asset) -> Atoms {
        let held: i128 = self.accounts.iter().map(|account| account.ledger.balance(asset).total().0).sum();
        let futures = if self.settle == Some(asset) { self.futures_total() } else { 0 };
        Atoms(held + futures + self.fees_collected(asset).0)
    }

    /// The instrument's trading rules.
    #[must_use]
    pub fn listing(&self, instrument: InstrumentId) -> Option<&Listing> {
        self.markets.get(instrument.index()).map(|market| &market.listing)
    }

    /// The instrument's book.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId) -> Option<&Book> {
        self.markets.get(instrument.index()).map(|market| &market.book)
    }

    pub(crate) fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(usize::try_from(id.0).ok()?)
    }

    pub(crate) fn account_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(usize::try_from(id.0).ok()?)
    }

    /// Takes an order, matches it and lets its rest wait; what happened is appended to `events`.
    ///
    /// # Errors
    /// [`PlaceError`]: the order was not taken and nothing has changed.
    pub fn place(&mut self, order: NewOrder, now: UnixNanos, events: &mut Vec<Event>) -> Result<OrderId, PlaceError> {
        let market = self.markets.get(order.instrument.index()).ok_or(PlaceError::UnknownInstrument)?;
        if market.perpetual.is_some() {
            return self.place_perpetual(order, Intent::OneWay { reduce_only: false }, now, events);
        }
        let listing = market.listing;
        let (asset, needed) = Self::cost(&listing, &order)?;
        if market.book.len() >= Book::ORDERS_MAX {
            return Err(PlaceError::BookFull);
        }
        let spendable = self.spendable(order.account, asset);
        let account = self.account_mut(order.account).ok_or(PlaceError::UnknownAccount)?;
        if spendable < needed || !account.ledger.freeze(asset, needed) {
            return Err(PlaceError::Balance {
                asset,
                needed: needed.to_decimal().unwrap_or_default(),
                available: spendable.to_decimal().unwrap_or_default(),
            });
        }
        let id = self.accept(&order, events);
        self.run(Taker::new(id, order, None), &listing, now, events);
        Ok(id)
    }

    /// Numbers an order that passed every check.
    pub(crate) fn accept(&mut self, order: &NewOrder, events: &mut Vec<Event>) -> OrderId {
        self.last_order += 1;
        let id = OrderId(self.last_order);
        events.push(Event::Accepted { order: id, account: order.account, instrument: order.instrument });
        id
    }

    /// What a spot order holds while it lives, after checking that it fits the grid.
    fn cost(listing: &Listing, order: &NewOrder) -> Result<(Asset, Atoms), PlaceError> {
        let on_grid = |mantissa: i64, step: i64| mantissa > 0 && mantissa % step.max(1) == 0;
        match order.size {
            OrderSize::Limit { price, qty } => {
                if !on_grid(price.0, listing.tick) {
                    return Err(PlaceError::Price);
                }
                if !on_grid(qty.0, listing.lot) {
                    return Err(PlaceError::Quantity);
                }
                let notional = listing.notional(price, qty).ok_or(PlaceError::Range)?;
                let base = listing.base_amount(qty).ok_or(PlaceError::Range)?;
                Ok(match order.side {
                    Side::Buy => (listing.quote, notional),
                    Side::Sell => (listing.base, base),
                })
            }
            OrderSize::MarketBase { qty } => {
                if !on_grid(qty.0, listing.lot) {
                    return Err(PlaceError::Quantity);
                }
                // A buy without a price has no bound on what it costs.
                if order.side == Side::Buy {
                    return Err(PlaceError::Size);
                }
                Ok((listing.base, listing.base_amount(qty).ok_or(PlaceError::Range)?))
            }
            OrderSize::MarketQuote { budget } => {
                if order.side == Side::Sell {
                    return Err(PlaceError::Size);
                }
                if budget <= Atoms::ZERO || budget > Atoms::MAX {
                    return Err(PlaceError::Quantity);
                }
                Ok((listing.quote, budget))
            }
        }
    }

    pub(crate) fn run(&mut self, mut taker: Taker, listing: &Listing, now: UnixNanos, events: &mut Vec<Event>) {
        let would_take = self
            .book(taker.order.instrument)
            .and_then(|book| book.first_against(taker.order.side))
            .is_some_and(|maker| taker.accepts(maker.price));
        match taker.order.time_in_force {
            TimeInForce::PostOnly if taker.limit.is_some() && would_take => {
                return self.finish(&taker, listing, CancelReason::WouldTake, events);
            }
            TimeInForce::Fok if taker.limit.is_some() && !self.fillable(&taker) => {
                return self.finish(&taker, listing, CancelReason::NotFillable, events);
            }
            _ => {}
        }
        let stopped = self.take(&mut taker, listing, now, events);
        let done = match taker.budget {
            // Filled when what is left pays for less than a lot at the next price.
            Some(budget) => {
                budget_used(&taker)
                    && (budget == Atoms::ZERO
                        || stopped.is_some_and(|price| listing.affordable(budget, price) == Qty::ZERO))
            }
            None => taker.wanted == Qty::ZERO,
        };
        let self_traded =
            taker.wanted > Qty::ZERO && stopped.is_some_and(|price| taker.accepts(price)) && taker.budget.is_none();
        if done {
            self.release(&taker, listing);
            events.push(removed(&taker, Removal::Filled));
        } else if taker.refused {
            self.finish(&taker, listing, CancelReason::Margin, events);
        } else if self_traded {
            self.finish(&taker, listing, CancelReason::SelfTrade, events);
        } else if let (Some(price), TimeInForce::Gtc | TimeInForce::PostOnly) = (taker.limit, taker.order.time_in_force)
        {
            let resting = Resting {
                id: taker.id,
                account: taker.order.account,
                side: taker.order.side,
                price,
                remaining: taker.wanted,
            };
            if let Some(market) = self.markets.get_mut(taker.order.instrument.index()) {
                market.book.insert(resting);
            }
            self.track(&taker, price);
        } else {
            self.finish(&taker, listing, CancelReason::Unfilled, events);
        }
    }

    /// Trades until nothing more fits; the price of the order at which it stopped, if one is left.
    fn take(&mut self, taker: &mut Taker, listing: &Listing, now: UnixNanos, events: &mut Vec<Event>) -> Option<Price> {
        loop {
            let maker = self.book(taker.order.instrument)?.first_against(taker.order.side)?;
            let wanted = taker.wanted_at(listing, maker.price);
            if !taker.accepts(maker.price) || wanted == Qty::ZERO || !self.still_affords(taker) {
                return Some(maker.price);
            }
            if maker.account == taker.order.account {
                match taker.order.self_trade {
                    SelfTrade::Allow => {}
                    SelfTrade::CancelTaker => return Some(maker.price),
                    SelfTrade::CancelMaker => {
                        self.remove(taker.order.instrument, maker.id, CancelReason::SelfTrade, events);
                        continue;
                    }
                    SelfTrade::CancelBoth => {
                        self.remove(taker.order.instrument, maker.id, CancelReason::SelfTrade, events);
                        return Some(maker.price);
                    }
                }
            }
            let qty = wanted.min(maker.remaining);
            // Both amounts were in range when the orders were taken; a part of them is too.
            let (Some(notional), Some(base)) = (listing.notional(maker.price, qty), listing.base_amount(qty)) else {
                return Some(maker.price);
            };
            self.settle(taker, &maker, listing, (qty, notional, base), now, events);
        }
    }

    fn settle(
        &mut self,
        taker: &mut Taker,
        maker: &Resting,
        listing: &Listing,
        (qty, notional, base): (Qty, Atoms, Atoms),
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) {
        self.last_trade += 1;
        if let Some(intent) = taker.intent {
            return self.settle_perpetual(taker, intent, maker, listing, (qty, notional), now, events);
        }
        let taker_side = taker.order.side;
        let taker_paid_at = match (taker_side, taker.limit) {
            (Side::Buy, Some(limit)) => listing.notional(limit, qty).unwrap_or(notional),
            _ => notional,
        };
        let maker_party =
            self.exchange(maker.account, maker.id, maker.side, listing, (notional, notional, base), false);
        let taker_party =
            self.exchange(taker.order.account, taker.id, taker_side, listing, (taker_paid_at, notional, base), true);
        taker.budget = taker.budget.map(|budget| Atoms(budget.0 - notional.0));
        self.report(taker, maker, (qty, notional), (maker_party, taker_party), now, events);
    }

    /// Takes a settled trade off the book and tells of it.
    pub(crate) fn report(
        &mut self,
        taker: &mut Taker,
        maker: &Resting,
        (qty, notional): (Qty, Atoms),
        (maker_party, taker_party): (Party, Party),
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) {
        taker.wanted = taker.wanted.saturating_minus(qty);
        if let Some(market) = self.markets.get_mut(taker.order.instrument.index()) {
            market.book.reduce(maker.id, qty);
        }
        events.push(Event::Traded(Trade {
            id: TradeId(self.last_trade),
            instrument: taker.order.instrument,
            price: maker.price,
            qty,
            notional,
            taker_side: taker.order.side,
            maker: maker_party,
            taker: taker_party,
            at: now,
        }));
        if maker.remaining == qty {
            events.push(Event::Removed {
                order: maker.id,
                account: maker.account,
                instrument: taker.order.instrument,
                how: Removal::Filled,
            });
        }
    }

    /// Books one side of a trade: gives up what was frozen, receives the other asset less the fee.
    fn exchange(
        &mut self,
        account: AccountId,
        order: OrderId,
        side: Side,
        listing: &Listing,
        (frozen, notional, base): (Atoms, Atoms, Atoms),
        taker: bool,
    ) -> Party {
        let (given, given_amount, frozen, received, received_amount) = match side {
            Side::Buy => (listing.quote, notional, frozen, listing.base, base),
            Side::Sell => (listing.base, base, base, listing.quote, notional),
        };
        let mut fee = Atoms::ZERO;
        if let Some(owner) = self.account_mut(account) {
            let rate = if taker { owner.fees.taker } else { owner.fees.maker };
            // Exact by construction: `Listing::DECIMALS_MAX` leaves room for the rate's decimals.
            fee = rate.of(received_amount).unwrap_or_default();
            owner.ledger.release(given, Atoms(frozen.0 - given_amount.0));
            owner.ledger.spend(given, given_amount);
            owner.ledger.credit(received, Atoms(received_amount.0 - fee.0));
            self.fees_collected.entry(received).or_default().0 += fee.0;
        }
        Party { order, account, fee, fee_asset: received, pnl: Atoms::ZERO, closed: Qty::ZERO }
    }

    /// Whether a fill-or-kill order would trade completely.
    fn fillable(&self, taker: &Taker) -> bool {
        let Some(book) = self.book(taker.order.instrument) else { return false };
        let mut wanted = taker.wanted;
        for maker in book.against(taker.order.side) {
            if !taker.accepts(maker.price) {
                break;
            }
            if maker.account == taker.order.account {
                match taker.order.self_trade {
                    SelfTrade::Allow => {}
                    SelfTrade::CancelMaker => continue,
                    SelfTrade::CancelTaker | SelfTrade::CancelBoth => break,
                }
            }
            wanted = wanted.saturating_minus(maker.remaining);
            if wanted == Qty::ZERO {
                return true;
            }
        }
        false
    }

    /// Gives back what the arriving order still holds.
    fn release(&mut self, taker: &Taker, listing: &Listing) {
        if taker.intent.is_some() {
            // What a perpetual's order holds is counted from the orders that rest, and this one does not.
            return;
        }
        let (asset, amount) = match (taker.budget, taker.order.side, taker.limit) {
            (Some(budget), _, _) => (listing.quote, Some(budget)),
            (None, Side::Buy, Some(limit)) => (listing.quote, listing.notional(limit, taker.wanted)),
            (None, _, _) => (listing.base, listing.base_amount(taker.wanted)),
        };
        if let (Some(account), Some(amount)) = (self.account_mut(taker.order.account), amount) {
            account.ledger.release(asset, amount);
        }
    }

    fn finish(&mut self, taker: &Taker, listing: &Listing, reason: CancelReason, events: &mut Vec<Event>) {
        self.release(taker, listing);
        events.push(removed(taker, Removal::Cancelled(reason)));
    }

    /// Cancels a resting order of `account`; false when no such order rests.
    pub fn cancel(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        order: OrderId,
        events: &mut Vec<Event>,
    ) -> bool {
        let owned =
            self.book(instrument).and_then(|book| book.order(order)).is_some_and(|resting| resting.account == account);
        owned && self.remove(instrument, order, CancelReason::Requested, events)
    }

    /// Lowers what remains of a resting order, which keeps its place; true when it then rests with `remaining`.
    ///
    /// Zero, or a quantity that is not below the present one or off the lot grid, changes nothing.
    pub fn reduce(&mut self, account: AccountId, instrument: InstrumentId, order: OrderId, remaining: Qty) -> bool {
        let Some(market) = self.markets.get_mut(instrument.index()) else { return false };
        let listing = market.listing;
        let Some(resting) = market.book.order(order).copied().filter(|resting| resting.account == account) else {
            return false;
        };
        if remaining <= Qty::ZERO || remaining >= resting.remaining || remaining.0 % listing.lot.max(1) != 0 {
            return false;
        }
        let less = resting.remaining.saturating_minus(remaining);
        market.book.reduce(order, less);
        self.unfreeze(instrument, &resting, less, &listing);
        true
    }

    fn unfreeze(&mut self, instrument: InstrumentId, resting: &Resting, qty: Qty, listing: &Listing) {
        if self.perpetual(instrument).is_some() {
            return self.untrack(resting.account, resting.id, qty);
        }
        let (asset, amount) = match resting.side {
            Side::Buy => (listing.quote, listing.notional(resting.price, qty)),
            Side::Sell => (listing.base, listing.base_amount(qty)),
        };
        if let (Some(account), Some(amount)) = (self.account_mut(resting.account), amount) {
            account.ledger.release(asset, amount);
        }
    }

    pub(crate) fn remove(
        &mut self,
        instrument: InstrumentId,
        order: OrderId,
        reason: CancelReason,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(market) = self.markets.get_mut(instrument.index()) else { return false };
        let listing = market.listing;
        let Some(resting) = market.book.remove(order) else { return false };
        self.unfreeze(instrument, &resting, resting.remaining, &listing);
        events.push(Event::Removed { order, account: resting.account, instrument, how: Removal::Cancelled(reason) });
        true
    }
}

/// Whether a market buy by quote has spent anything of its budget.
fn budget_used(taker: &Taker) -> bool {
    match (taker.budget, taker.order.size) {
        (Some(left), OrderSize::MarketQuote { budget }) => left < budget,
        _ => false,
    }
}

fn removed(taker: &Taker, how: Removal) -> Event {
    Event::Removed { order: taker.id, account: taker.order.account, instrument: taker.order.instrument, how }
}
