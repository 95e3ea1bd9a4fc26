//! Perpetual futures beside spot, on the same books: margin, positions, fees and funding.
//!
//! Invariants: the positions on a perpetual sum to zero; what is deposited equals wallets plus fees
//! plus what positions have gained among themselves, to the last unit; funding moves money and
//! makes none; an order that may only shrink a position never enlarges one; an order that would
//! open more than there is margin for is not taken.

use crate::engine::{Market, Perpetual, Taker};
use crate::margin::{Arriving, Futures, OpenOrder, Part, Ruler, share};
use crate::perpetual::{Intent, Leg, PositionMode, PositionSide};
use crate::{
    AccountId, Atoms, Book, CancelReason, Collateral, Engine, Event, FeeRate, FundingPayment, FuturesError, Listing,
    ListingError, MarginState, NewOrder, OrderId, OrderSize, Party, PerpetualTerms, PlaceError, Position, Resting,
    SelfTrade,
};
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce, UnixNanos};
use rust_decimal::Decimal;

/// What one account trades on a perpetual.
#[derive(Clone, Copy)]
pub(crate) struct Deal {
    pub(crate) instrument: InstrumentId,
    pub(crate) order: OrderId,
    pub(crate) side: Side,
    pub(crate) intent: Intent,
    pub(crate) price: Price,
    pub(crate) qty: Qty,
    pub(crate) value: Atoms,
    pub(crate) fee: Atoms,
    pub(crate) now: UnixNanos,
}

/// What a trade did to a position.
#[derive(Clone, Copy, Default)]
pub(crate) struct Effect {
    pub(crate) pnl: Atoms,
    pub(crate) closed: Qty,
    /// The position that ended by it.
    pub(crate) ended: Option<Position>,
}

/// Largest quantity of one order, as a mantissa: a thousand of them still fit a position.
const ORDER_QTY_MAX: i64 = i64::MAX / 1_024;

fn decimal(amount: i128) -> Decimal {
    Atoms(amount).to_decimal().unwrap_or_default()
}

impl Engine {
    /// Adds a perpetual that settles in the listing's quote; ids go on from the ones before.
    ///
    /// # Errors
    /// [`ListingError`] when its amounts could not be kept exactly, its terms contradict each other
    /// or it settles in another coin than the perpetuals before it.
    pub fn list_perpetual(&mut self, listing: Listing, terms: PerpetualTerms) -> Result<InstrumentId, ListingError> {
        if !terms.is_sound() {
            return Err(ListingError::Terms);
        }
        if let Some(settle) = self.settle.filter(|settle| *settle != listing.quote) {
            return Err(ListingError::Settle { settle });
        }
        let id = self.add(listing, Some(Perpetual { terms, mark: None }))?;
        self.settle = Some(listing.quote);
        Ok(id)
    }

    /// What makes the instrument a perpetual; `None` on spot.
    pub(crate) fn perpetual(&self, instrument: InstrumentId) -> Option<&Perpetual> {
        self.markets.get(instrument.index()).and_then(|market| market.perpetual.as_ref())
    }

    /// The terms of a perpetual.
    #[must_use]
    pub fn terms(&self, instrument: InstrumentId) -> Option<&PerpetualTerms> {
        self.perpetual(instrument).map(|perpetual| &perpetual.terms)
    }

    /// The mark price that was set last.
    #[must_use]
    pub fn mark(&self, instrument: InstrumentId) -> Option<Price> {
        self.perpetual(instrument).and_then(|perpetual| perpetual.mark)
    }

    /// Sets the mark price; false for no perpetual or a price at or below zero. Liquidates nobody by itself.
    pub fn set_mark(&mut self, instrument: InstrumentId, mark: Price) -> bool {
        let perpetual = self.markets.get_mut(instrument.index()).and_then(|market| market.perpetual.as_mut());
        let Some(perpetual) = perpetual.filter(|_| mark.0 > 0) else { return false };
        perpetual.mark = Some(mark);
        true
    }

    /// Lets an account trade perpetuals; false for an unknown account or one that may already.
    pub fn open_futures(&mut self, account: AccountId, collateral: Collateral) -> bool {
        let Some(account) = self.account_mut(account).filter(|account| account.futures.is_none()) else {
            return false;
        };
        account.futures = Some(Futures::new(collateral));
        true
    }

    pub(crate) fn futures(&self, account: AccountId) -> Option<&Futures> {
        self.account(account).and_then(|account| account.futures.as_ref())
    }

    pub(crate) fn futures_mut(&mut self, account: AccountId) -> Option<&mut Futures> {
        self.account_mut(account).and_then(|account| account.futures.as_mut())
    }

    /// Adds the settle coin to a futures wallet from outside; false where there is none, or for an amount below zero.
    pub fn deposit_futures(&mut self, account: AccountId, amount: Atoms) -> bool {
        let Some(futures) = self.futures_mut(account) else { return false };
        if futures.collateral == Collateral::Shared || amount < Atoms::ZERO || amount > Atoms::MAX {
            return false;
        }
        futures.wallet.0 += amount.0;
        true
    }

    /// Moves the settle coin from the spot balance to the futures wallet.
    ///
    /// # Errors
    /// [`FuturesError`]; nothing has moved.
    pub fn move_to_futures(&mut self, account: AccountId, amount: Atoms) -> Result<(), FuturesError> {
        let settle = self.separate(account, amount)?;
        let available = self.balance(account, settle).available;
        let owner = self.account_mut(account).ok_or(FuturesError::UnknownAccount)?;
        if available < amount {
            return Err(FuturesError::Margin { needed: decimal(amount.0), available: decimal(available.0) });
        }
        owner.ledger.credit(settle, amount.negated());
        if let Some(futures) = owner.futures.as_mut() {
            futures.wallet.0 += amount.0;
        }
        Ok(())
    }

    /// Moves the settle coin from the futures wallet to the spot balance: at most what no position or order holds.
    ///
    /// # Errors
    /// [`FuturesError`]; nothing has moved.
    pub fn move_from_futures(&mut self, account: AccountId, amount: Atoms) -> Result<(), FuturesError> {
        let settle = self.separate(account, amount)?;
        let most = self.margin(account).ok_or(FuturesError::UnknownAccount)?.transferable();
        let owner = self.account_mut(account).ok_or(FuturesError::UnknownAccount)?;
        if most < amount {
            return Err(FuturesError::Margin { needed: decimal(amount.0), available: decimal(most.0) });
        }
        if let Some(futures) = owner.futures.as_mut() {
            futures.wallet.0 -= amount.0;
        }
        owner.ledger.credit(settle, amount);
        Ok(())
    }

    fn separate(&self, account: AccountId, amount: Atoms) -> Result<Asset, FuturesError> {
        let futures = self.futures(account).ok_or(FuturesError::UnknownAccount)?;
        if futures.collateral == Collateral::Shared {
            return Err(FuturesError::OneWallet);
        }
        if amount <= Atoms::ZERO || amount > Atoms::MAX {
            return Err(FuturesError::Amount);
        }
        self.settle.ok_or(FuturesError::UnknownInstrument)
    }

    /// How much of a coin the account may spend: with shared collateral, not what futures hold.
    pub(crate) fn spendable(&self, account: AccountId, asset: Asset) -> Atoms {
        let available = self.balance(account, asset).available;
        let shared = self.futures(account).is_some_and(|futures| futures.collateral == Collateral::Shared);
        if !shared || self.settle != Some(asset) {
            return available;
        }
        self.margin(account).map_or(available, |margin| available.min(margin.free))
    }

    /// Position mode of an account; one-way for one without futures.
    #[must_use]
    pub fn position_mode(&self, account: AccountId) -> PositionMode {
        self.futures(account).map(|futures| futures.mode).unwrap_or_default()
    }

    /// Changes the position mode of an account that has neither positions nor open orders on perpetuals.
    ///
    /// # Errors
    /// [`FuturesError::NotFlat`] or [`FuturesError::UnknownAccount`].
    pub fn set_position_mode(&mut self, account: AccountId, mode: PositionMode) -> Result<(), FuturesError> {
        let futures = self.futures_mut(account).ok_or(FuturesError::UnknownAccount)?;
        if futures.mode != mode && !(futures.positions.is_empty() && futures.orders.is_empty()) {
            return Err(FuturesError::NotFlat);
        }
        futures.mode = mode;
        Ok(())
    }

    /// Leverage of an account on a perpetual; `None` on spot.
    #[must_use]
    pub fn leverage(&self, account: AccountId, instrument: InstrumentId) -> Option<u32> {
        let terms = self.terms(instrument)?;
        let chosen = self.futures(account).and_then(|futures| futures.leverage.get(&instrument));
        Some(chosen.copied().unwrap_or(terms.leverage_default))
    }

    /// Changes it, also with positions and orders, as long as there is margin for the new one.
    ///
    /// # Errors
    /// [`FuturesError`]; the leverage is as it was.
    pub fn set_leverage(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        leverage: u32,
    ) -> Result<(), FuturesError> {
        let max = self.terms(instrument).ok_or(FuturesError::UnknownInstrument)?.leverage_max;
        let before = self.leverage(account, instrument).ok_or(FuturesError::UnknownInstrument)?;
        if !(1..=max).contains(&leverage) {
            return Err(FuturesError::Leverage { max });
        }
        let held = |margin: MarginState| margin.position_margin.0 + margin.order_margin.0;
        let old = self.margin(account).ok_or(FuturesError::UnknownAccount)?;
        self.futures_mut(account).ok_or(FuturesError::UnknownAccount)?.leverage.insert(instrument, leverage);
        let new = self.margin(account).ok_or(FuturesError::UnknownAccount)?;
        if leverage < before && new.free < Atoms::ZERO {
            if let Some(futures) = self.futures_mut(account) {
                futures.leverage.insert(instrument, before);
            }
            let needed = decimal(held(new) - held(old));
            return Err(FuturesError::Margin { needed, available: decimal(old.available().0) });
        }
        Ok(())
    }

    /// Open positions of an account, by instrument.
    pub fn positions(&self, account: AccountId) -> impl Iterator<Item = (InstrumentId, &Position)> + '_ {
        let futures = self.futures(account).into_iter();
        futures.flat_map(|futures| futures.positions.iter().map(|((instrument, _), position)| (*instrument, position)))
    }

    /// One open position.
    #[must_use]
    pub fn position(&self, account: AccountId, instrument: InstrumentId, leg: Leg) -> Option<&Position> {
        self.futures(account).and_then(|futures| futures.position(instrument, leg))
    }

    /// How much of a position resting orders that can only shrink it hold.
    #[must_use]
    pub fn held_by_closing(&self, account: AccountId, instrument: InstrumentId, position: &Position) -> Qty {
        let futures = self.futures(account);
        futures.map_or(Qty::ZERO, |it| it.reducing(instrument, position.leg, position.side.closes()))
    }

    fn ruler<'a>(&'a self, instrument: InstrumentId, market: &'a Market, futures: &Futures) -> Option<Ruler<'a>> {
        let perpetual = market.perpetual.as_ref()?;
        let leverage = futures.leverage.get(&instrument).copied().unwrap_or(perpetual.terms.leverage_default);
        Some(Ruler { listing: &market.listing, terms: &perpetual.terms, mark: perpetual.mark?, leverage })
    }

    fn perpetuals(&self) -> impl Iterator<Item = (InstrumentId, &Market)> + '_ {
        let markets = self.markets.iter().zip(0_u16..).map(|(market, id)| (InstrumentId(id), market));
        markets.filter(|(_, market)| market.perpetual.is_some())
    }

    /// What the account has and holds at the mark prices; `None` without futures.
    #[must_use]
    pub fn margin(&self, account: AccountId) -> Option<MarginState> {
        self.margin_with(account, None)
    }

    fn margin_with(&self, account: AccountId, arriving: Option<(InstrumentId, &Arriving)>) -> Option<MarginState> {
        let futures = self.futures(account)?;
        let balance = match (futures.collateral, self.settle) {
            (Collateral::Shared, Some(settle)) => self.balance(account, settle),
            _ => crate::Balance { available: futures.wallet, frozen: Atoms::ZERO },
        };
        let mut state = MarginState { wallet: balance.total(), frozen: balance.frozen, ..MarginState::default() };
        let nothing = Arriving::default();
        for (instrument, market) in self.perpetuals() {
            let Some(ruler) = self.ruler(instrument, market, futures) else { continue };
            for position in futures.positions_on(instrument) {
                state.unrealised.0 += position.unrealised(ruler.listing, ruler.mark)?.0;
                let value = position.value(ruler.listing, ruler.mark)?;
                state.maintenance.0 += ruler.terms.maintenance.of(value)?.0;
            }
            let cost = futures.cost(instrument);
            let arriving = arriving.filter(|(id, _)| *id == instrument).map_or(&nothing, |(_, arriving)| arriving);
            let held = futures.held(instrument, ruler, arriving)?;
            // Rounded up once for both: what an order held then covers what its position will.
            let (positions, all) = (ruler.margin(cost), ruler.margin(cost + held.value));
            state.position_margin.0 += positions;
            state.order_margin.0 += all - positions + held.extra;
        }
        state.equity = Atoms(state.wallet.0 + state.unrealised.0);
        state.free = Atoms(state.equity.0 - state.frozen.0 - state.position_margin.0 - state.order_margin.0);
        Some(state)
    }

    /// The settle coin in an account's futures wallet; with shared collateral, all of it. Zero without futures.
    #[must_use]
    pub fn futures_wallet(&self, account: AccountId) -> Atoms {
        let Some(futures) = self.futures(account) else { return Atoms::ZERO };
        match (futures.collateral, self.settle) {
            (Collateral::Shared, Some(settle)) => self.balance(account, settle).total(),
            _ => futures.wallet,
        }
    }

    /// Equity and maintenance margin of an account with positions; `None` where there are none.
    pub(crate) fn solvency(&self, account: AccountId) -> Option<(Atoms, Atoms)> {
        let futures = self.futures(account).filter(|futures| !futures.positions.is_empty())?;
        let (mut equity, mut maintenance) = (self.futures_wallet(account).0, 0);
        for ((instrument, _), position) in &futures.positions {
            let (listing, terms, mark) =
                (self.listing(*instrument)?, self.terms(*instrument)?, self.mark(*instrument)?);
            equity += position.unrealised(listing, mark)?.0;
            maintenance += terms.maintenance.of(position.value(listing, mark)?)?.0;
        }
        Some((Atoms(equity), Atoms(maintenance)))
    }

    /// What futures hold of the settle coin: wallets, and what positions have gained among themselves.
    pub(crate) fn futures_total(&self) -> i128 {
        let of =
            |futures: &Futures| futures.wallet.0 - futures.positions.values().map(Position::signed_cost).sum::<i128>();
        self.accounts.iter().filter_map(|account| account.futures.as_ref()).map(of).sum()
    }

    /// Sum of all long positions on a perpetual; as much is short.
    #[must_use]
    pub fn open_interest(&self, instrument: InstrumentId) -> i128 {
        let positions = self.accounts.iter().filter_map(|account| account.futures.as_ref());
        let long = positions.flat_map(|futures| futures.positions_on(instrument));
        long.filter(|position| position.side == PositionSide::Long).map(|position| i128::from(position.qty.0)).sum()
    }

    /// Takes an order on a perpetual, matches it and lets its rest wait; what happened is appended to `events`.
    ///
    /// A reduce-only order in one-way mode is cut to the position, and older ones are cancelled so
    /// that together they do not exceed it. In hedge mode a limit order that closes takes only what
    /// other closing orders leave; a market order cancels them, oldest first, as far as it must.
    ///
    /// # Errors
    /// [`PlaceError`]: the order was not taken and nothing has changed.
    pub fn place_perpetual(
        &mut self,
        order: NewOrder,
        intent: Intent,
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) -> Result<OrderId, PlaceError> {
        let market = self.markets.get(order.instrument.index()).ok_or(PlaceError::UnknownInstrument)?;
        let perpetual = market.perpetual.as_ref().ok_or(PlaceError::Kind)?;
        let (listing, marked) = (market.listing, perpetual.mark.is_some());
        let qty = Self::on_grid(&listing, &order)?;
        if market.book.len() >= Book::ORDERS_MAX {
            return Err(PlaceError::BookFull);
        }
        let futures = self.futures(order.account).ok_or(PlaceError::UnknownAccount)?;
        if !intent.fits(futures.mode, order.side) {
            return Err(PlaceError::Intent);
        }
        if !marked {
            return Err(PlaceError::NoMark);
        }
        let taken = if intent.reduces() { self.reducible(&order, intent, qty)? } else { qty };
        let order = NewOrder { size: resized(order.size, taken), ..order };
        if futures.is_margined() {
            self.afford(&order, intent)?;
        }
        let id = self.accept(&order, events);
        if taken < qty {
            let (account, instrument) = (order.account, order.instrument);
            events.push(Event::Cut { order: id, account, instrument, remaining: taken });
        }
        if intent.reduces() {
            self.make_room(&order, intent, taken, events);
        }
        self.run(Taker::new(id, order, Some(intent)), &listing, now, events);
        Ok(id)
    }

    /// The quantity of an order that fits the grid and the range.
    fn on_grid(listing: &Listing, order: &NewOrder) -> Result<Qty, PlaceError> {
        let fits = |mantissa: i64, step: i64| mantissa > 0 && mantissa % step.max(1) == 0;
        let (price, qty) = match order.size {
            OrderSize::Limit { price, qty } => (Some(price), qty),
            OrderSize::MarketBase { qty } => (None, qty),
            OrderSize::MarketQuote { .. } => return Err(PlaceError::Kind),
        };
        if price.is_some_and(|price| !fits(price.0, listing.tick)) {
            return Err(PlaceError::Price);
        }
        if !fits(qty.0, listing.lot) {
            return Err(PlaceError::Quantity);
        }
        if qty.0 > ORDER_QTY_MAX || price.is_some_and(|price| listing.notional(price, qty).is_none()) {
            return Err(PlaceError::Range);
        }
        Ok(qty)
    }

    /// How much of an order that may only shrink a position can be taken.
    fn reducible(&self, order: &NewOrder, intent: Intent, qty: Qty) -> Result<Qty, PlaceError> {
        let futures = self.futures(order.account).ok_or(PlaceError::UnknownAccount)?;
        let (leg, side) = (intent.leg(), order.side);
        let closable = futures.closable(order.instrument, leg, side);
        if closable == Qty::ZERO {
            return Err(PlaceError::NoPosition);
        }
        if !matches!(intent, Intent::Close(_)) {
            return Ok(qty.min(closable));
        }
        let left = match order.size {
            OrderSize::Limit { .. } => closable.saturating_minus(futures.reducing(order.instrument, leg, side)),
            _ => closable,
        };
        if qty > left {
            let decimals = self.listing(order.instrument).map_or(0, |listing| u32::from(listing.qty_decimals));
            return Err(PlaceError::NotEnoughPosition { available: Decimal::new(left.0, decimals).normalize() });
        }
        Ok(qty)
    }

    /// Cancels older orders that may only shrink the position, oldest first, until `qty` more fits it.
    fn make_room(&mut self, order: &NewOrder, intent: Intent, qty: Qty, events: &mut Vec<Event>) {
        let (leg, side, instrument) = (intent.leg(), order.side, order.instrument);
        let Some(futures) = self.futures(order.account) else { return };
        let closable = futures.closable(instrument, leg, side);
        let mut sum = futures.reducing(instrument, leg, side).0.saturating_add(qty.0);
        let mut older = Vec::new();
        for (id, resting) in futures.orders_on(instrument) {
            if sum <= closable.0 {
                break;
            }
            if resting.side == side && resting.intent.reduces() && resting.intent.leg() == leg {
                older.push(id);
                sum -= resting.remaining.0;
            }
        }
        for id in older {
            self.remove(instrument, id, CancelReason::ReduceOnly, events);
        }
    }

    /// Whether there is margin for what the order would open.
    fn afford(&self, order: &NewOrder, intent: Intent) -> Result<(), PlaceError> {
        let arriving = self.arriving(order, intent);
        let before = self.margin(order.account).ok_or(PlaceError::Range)?;
        let after = self.margin_with(order.account, Some((order.instrument, &arriving))).ok_or(PlaceError::Range)?;
        let needed = after.order_margin.0 - before.order_margin.0;
        if needed > 0 && after.free < Atoms::ZERO {
            return Err(PlaceError::Margin { needed: decimal(needed), available: decimal(before.available().0) });
        }
        Ok(())
    }

    /// What the order would take from the book as it stands, and what of it would rest.
    fn arriving(&self, order: &NewOrder, intent: Intent) -> Arriving {
        let (limit, mut wanted) = match order.size {
            OrderSize::Limit { price, qty } => (Some(price), qty),
            OrderSize::MarketBase { qty } => (None, qty),
            OrderSize::MarketQuote { .. } => (None, Qty::ZERO),
        };
        let mut arriving = Arriving { side: Some(order.side), ..Arriving::default() };
        // A market order takes whatever its time in force says.
        let takes = limit.is_none() || order.time_in_force != TimeInForce::PostOnly;
        let book = self.book(order.instrument).filter(|_| takes);
        for maker in book.into_iter().flat_map(|book| book.against(order.side)) {
            let fits = limit.is_none_or(|limit| match order.side {
                Side::Buy => maker.price <= limit,
                Side::Sell => maker.price >= limit,
            });
            if !fits || wanted == Qty::ZERO {
                break;
            }
            if maker.account == order.account {
                match order.self_trade {
                    SelfTrade::Allow => {}
                    SelfTrade::CancelMaker => continue,
                    SelfTrade::CancelTaker | SelfTrade::CancelBoth => break,
                }
            }
            let qty = maker.remaining.min(wanted);
            wanted = wanted.saturating_minus(qty);
            arriving.taking.push(Part { price: maker.price, qty, intent });
        }
        let rests = matches!(order.time_in_force, TimeInForce::Gtc | TimeInForce::PostOnly) && wanted > Qty::ZERO;
        arriving.resting = limit.filter(|_| rests).map(|price| Part { price, qty: wanted, intent });
        arriving
    }

    /// Remembers the rest of an order that begins to rest.
    pub(crate) fn track(&mut self, taker: &Taker, price: Price) {
        let Some(intent) = taker.intent else { return };
        let order = OpenOrder {
            instrument: taker.order.instrument,
            side: taker.order.side,
            price,
            remaining: taker.wanted,
            intent,
        };
        if let Some(futures) = self.futures_mut(taker.order.account).filter(|futures| futures.is_margined()) {
            futures.orders.insert(taker.id, order);
        }
    }

    /// Takes `qty` off what is remembered of a resting order.
    pub(crate) fn untrack(&mut self, account: AccountId, id: OrderId, qty: Qty) {
        let Some(futures) = self.futures_mut(account) else { return };
        let Some(order) = futures.orders.get_mut(&id) else { return };
        order.remaining = order.remaining.saturating_minus(qty);
        if order.remaining == Qty::ZERO {
            futures.orders.remove(&id);
        }
    }

    /// Books both sides of a trade on a perpetual.
    #[expect(clippy::too_many_arguments, reason = "the spot twin's arguments and what the order means")]
    pub(crate) fn settle_perpetual(
        &mut self,
        taker: &mut Taker,
        taker_intent: Intent,
        maker: &Resting,
        listing: &Listing,
        (qty, value): (Qty, Atoms),
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) {
        let instrument = taker.order.instrument;
        let Some(fees) = self.terms(instrument).map(|terms| terms.fees) else { return };
        let tracked = self.futures(maker.account).and_then(|futures| futures.orders.get(&maker.id));
        let maker_intent = tracked.map_or(Intent::OneWay { reduce_only: false }, |order| order.intent);
        let deal = |order: OrderId, side: Side, intent: Intent, rate: FeeRate| Deal {
            instrument,
            order,
            side,
            intent,
            price: maker.price,
            qty,
            value,
            // Exact by construction: `Listing::DECIMALS_MAX` leaves room for the rate's decimals.
            fee: rate.of(value).unwrap_or_default(),
            now,
        };
        let made = deal(maker.id, maker.side, maker_intent, fees.maker);
        let took = deal(taker.id, taker.order.side, taker_intent, fees.taker);
        self.untrack(maker.account, maker.id, qty);
        let (maker_party, maker_end) = self.book_deal(maker.account, &made, listing);
        let (taker_party, taker_end) = self.book_deal(taker.order.account, &took, listing);
        self.report(taker, maker, (qty, value), (maker_party, taker_party), now, events);
        for (account, ended) in [(maker.account, maker_end), (taker.order.account, taker_end)] {
            events.extend(ended.map(|position| Event::Closed { account, instrument, position }));
            // Orders that the arriving one was counted against may be gone: what follows can be dearer.
            taker.recount |= self.trim(account, instrument, events);
        }
    }

    /// Whether there is still margin for the rest of an arriving order whose book has changed under it.
    pub(crate) fn still_affords(&mut self, taker: &mut Taker) -> bool {
        let Some(intent) = taker.intent.filter(|_| std::mem::take(&mut taker.recount)) else { return true };
        if self.futures(taker.order.account).is_none_or(|futures| !futures.is_margined()) {
            return true;
        }
        let rest = NewOrder { size: resized(taker.order.size, taker.wanted), ..taker.order };
        taker.refused = self.afford(&rest, intent).is_err();
        !taker.refused
    }

    fn book_deal(&mut self, account: AccountId, deal: &Deal, listing: &Listing) -> (Party, Option<Position>) {
        let margined = self.futures(account).is_some_and(Futures::is_margined);
        let deal = Deal { fee: if margined { deal.fee } else { Atoms::ZERO }, ..*deal };
        let effect = self.change_position(account, &deal, listing);
        let settle = listing.quote;
        self.pay(account, Atoms(effect.pnl.0 - deal.fee.0));
        self.fees_collected.entry(settle).or_default().0 += deal.fee.0;
        let party = Party {
            order: deal.order,
            account,
            fee: deal.fee,
            fee_asset: settle,
            pnl: effect.pnl,
            closed: effect.closed,
        };
        (party, effect.ended.filter(|_| margined))
    }

    /// Adds to (or, negative, takes from) what the account's futures settle in.
    pub(crate) fn pay(&mut self, account: AccountId, amount: Atoms) {
        let settle = self.settle;
        let Some(owner) = self.account_mut(account) else { return };
        match (owner.futures.as_mut(), settle) {
            (Some(futures), _) if futures.collateral != Collateral::Shared => futures.wallet.0 += amount.0,
            (Some(_), Some(settle)) => owner.ledger.credit(settle, amount),
            _ => {}
        }
    }

    /// Shrinks, enlarges or turns round a position; the wallet is the caller's.
    pub(crate) fn change_position(&mut self, account: AccountId, deal: &Deal, listing: &Listing) -> Effect {
        let Some(futures) = self.futures_mut(account) else { return Effect::default() };
        let key = (deal.instrument, deal.intent.leg());
        let closed = futures.closable(deal.instrument, key.1, deal.side).min(deal.qty);
        let mut effect = Effect { closed, ..Effect::default() };
        let closed_value = if closed == deal.qty {
            deal.value
        } else {
            // In range because the whole trade is.
            listing.notional(deal.price, closed).unwrap_or_default()
        };
        let closing_fee = share(deal.fee, closed, deal.qty);
        if let Some(position) = futures.positions.get_mut(&key).filter(|_| closed > Qty::ZERO) {
            let cost = share(position.cost, closed, position.qty);
            effect.pnl = Atoms((closed_value.0 - cost.0) * position.side.sign());
            position.qty = position.qty.saturating_minus(closed);
            position.cost.0 -= cost.0;
            position.realised.0 += effect.pnl.0;
            position.close_fee.0 += closing_fee.0;
            position.left = Qty(position.left.0.saturating_add(closed.0));
            position.left_value.0 += closed_value.0;
            position.updated_at = deal.now;
            if position.qty == Qty::ZERO {
                effect.ended = futures.positions.remove(&key);
            }
        }
        let opened = deal.qty.saturating_minus(closed);
        if opened > Qty::ZERO {
            let (value, fee) = (deal.value.0 - closed_value.0, deal.fee.0 - closing_fee.0);
            let position = futures.positions.entry(key).or_insert_with(|| begun(key.1, deal));
            position.qty = Qty(position.qty.0.saturating_add(opened.0));
            position.cost.0 += value;
            position.open_fee.0 += fee;
            position.entered = Qty(position.entered.0.saturating_add(opened.0));
            position.entered_value.0 += value;
            position.updated_at = deal.now;
        }
        effect
    }

    /// Makes resting orders that may only shrink a position no larger than it is, the oldest first; whether any was.
    fn trim(&mut self, account: AccountId, instrument: InstrumentId, events: &mut Vec<Event>) -> bool {
        let Some(futures) = self.futures(account).filter(|futures| !futures.orders.is_empty()) else { return false };
        let mut cuts = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let excess =
                futures.reducing(instrument, Leg::Net, side).0 - futures.closable(instrument, Leg::Net, side).0;
            let mut excess = Qty(excess.max(0));
            for (id, order) in futures.orders_on(instrument) {
                if excess > Qty::ZERO && order.side == side && order.intent == (Intent::OneWay { reduce_only: true }) {
                    let cut = excess.min(order.remaining);
                    excess = excess.saturating_minus(cut);
                    cuts.push((id, order.remaining.saturating_minus(cut)));
                }
            }
        }
        let trimmed = !cuts.is_empty();
        for (id, remaining) in cuts {
            if remaining == Qty::ZERO {
                self.remove(instrument, id, CancelReason::ReduceOnly, events);
            } else if self.reduce(account, instrument, id, remaining) {
                events.push(Event::Cut { order: id, account, instrument, remaining });
            }
        }
        trimmed
    }

    /// Settles funding: long positions pay `rate` of their value at the mark price to short ones; negative: the reverse.
    ///
    /// False, and nothing is paid, when the instrument is no perpetual with a mark price.
    pub fn fund(&mut self, instrument: InstrumentId, rate: FeeRate, events: &mut Vec<Event>) -> bool {
        let (Some(mark), Some(listing)) = (self.mark(instrument), self.listing(instrument).copied()) else {
            return false;
        };
        let mut payments = Vec::new();
        for (owner, number) in self.accounts.iter().zip(0_u32..) {
            for position in owner.futures.iter().flat_map(|futures| futures.positions_on(instrument)) {
                // Sides of one value pay and receive the same to the last unit: the product is exact.
                let Some(part) = position.value(&listing, mark).and_then(|value| rate.of(value)) else { return false };
                let amount = Atoms(-part.0 * position.side.sign());
                let (leg, side, qty) = (position.leg, position.side, position.qty);
                payments.push(FundingPayment { account: AccountId(number), instrument, leg, side, qty, amount });
            }
        }
        for payment in payments {
            self.pay(payment.account, payment.amount);
            let futures = self.futures_mut(payment.account);
            if let Some(position) = futures.and_then(|it| it.positions.get_mut(&(instrument, payment.leg))) {
                position.funding.0 += payment.amount.0;
            }
            events.push(Event::Funding(payment));
        }
        true
    }
}

fn resized(size: OrderSize, qty: Qty) -> OrderSize {
    match size {
        OrderSize::Limit { price, .. } => OrderSize::Limit { price, qty },
        OrderSize::MarketBase { .. } => OrderSize::MarketBase { qty },
        OrderSize::MarketQuote { budget } => OrderSize::MarketQuote { budget },
    }
}

fn begun(leg: Leg, deal: &Deal) -> Position {
    Position {
        leg,
        side: PositionSide::opened_by(deal.side),
        qty: Qty::ZERO,
        cost: Atoms::ZERO,
        realised: Atoms::ZERO,
        funding: Atoms::ZERO,
        open_fee: Atoms::ZERO,
        close_fee: Atoms::ZERO,
        entered: Qty::ZERO,
        entered_value: Atoms::ZERO,
        left: Qty::ZERO,
        left_value: Atoms::ZERO,
        opened_by: deal.order,
        opened_at: deal.now,
        updated_at: deal.now,
    }
}
