//! What happens to an account whose equity no longer carries its positions.
//!
//! Its open orders are cancelled; each position is closed by a market order against the book; the
//! insurance account takes over at the mark price what the book does not, and pays what the account
//! cannot. Money is moved and none is made. What the account has left is its own.

use crate::engine::Taker;
use crate::futures::Deal;
use crate::margin::Futures;
use crate::perpetual::{Intent, PositionMode};
use crate::{
    AccountId, Atoms, CancelReason, Collateral, Engine, Event, NewOrder, OrderId, OrderSize, Position, SelfTrade,
};
use domain::{InstrumentId, Price, Side, TimeInForce, UnixNanos};

impl Engine {
    /// Whether the account's equity is at or below its maintenance margin while it has a position.
    #[must_use]
    pub fn is_due_for_liquidation(&self, account: AccountId) -> bool {
        self.futures(account).is_some_and(Futures::is_margined)
            && self.solvency(account).is_some_and(|(equity, maintenance)| equity <= maintenance)
    }

    /// Liquidates every account that is due, in the order of opening; how many there were.
    ///
    /// `insurance` must have [`Collateral::Unlimited`]; without such an account nothing is done.
    pub fn liquidate_due(&mut self, insurance: AccountId, now: UnixNanos, events: &mut Vec<Event>) -> usize {
        if self.futures(insurance).is_none_or(|futures| futures.collateral != Collateral::Unlimited) {
            return 0;
        }
        let mut liquidated = 0;
        // A liquidated account has no position left, so that nobody is due twice.
        for _ in 0..self.accounts.len() {
            let mut numbers = (0_u32..).take(self.accounts.len()).map(AccountId);
            let Some(account) = numbers.find(|account| self.is_due_for_liquidation(*account)) else { break };
            self.liquidate(account, insurance, now, events);
            liquidated += 1;
        }
        liquidated
    }

    fn liquidate(&mut self, account: AccountId, insurance: AccountId, now: UnixNanos, events: &mut Vec<Event>) {
        self.cancel_for_liquidation(account, events);
        let positions: Vec<(InstrumentId, Position)> =
            self.positions(account).map(|(instrument, position)| (instrument, *position)).collect();
        for (instrument, position) in positions {
            let intent = match self.position_mode(account) {
                PositionMode::OneWay => Intent::OneWay { reduce_only: true },
                PositionMode::Hedge => Intent::Close(position.side),
            };
            self.close_at_market(account, instrument, &position, intent, now, events);
            self.take_over(account, insurance, instrument, intent, now, events);
        }
        let left = self.margin(account).map(|margin| Atoms(margin.wallet.0 - margin.frozen.0)).unwrap_or_default();
        if left < Atoms::ZERO {
            let amount = left.negated();
            self.pay(account, amount);
            self.pay(insurance, left);
            events.push(Event::Covered { account, amount });
        }
    }

    /// Cancels all orders on perpetuals, and with shared collateral the spot orders that hold it.
    fn cancel_for_liquidation(&mut self, account: AccountId, events: &mut Vec<Event>) {
        let Some(futures) = self.futures(account) else { return };
        let mut open: Vec<(InstrumentId, OrderId)> =
            futures.orders.iter().map(|(id, order)| (order.instrument, *id)).collect();
        if futures.collateral == Collateral::Shared {
            let markets = self.markets.iter().zip(0_u16..);
            let spot = markets
                .filter(|(market, _)| market.perpetual.is_none() && self.settle == Some(market.listing.quote))
                .flat_map(|(market, id)| market.book.orders().map(move |order| (InstrumentId(id), order)))
                .filter(|(_, order)| order.account == account && order.side == Side::Buy);
            open.extend(spot.map(|(instrument, order)| (instrument, order.id)));
        }
        for (instrument, order) in open {
            self.remove(instrument, order, CancelReason::Liquidation, events);
        }
    }

    fn close_at_market(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        position: &Position,
        intent: Intent,
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) {
        let Some(listing) = self.listing(instrument).copied() else { return };
        let (side, qty) = (position.side.closes(), position.qty);
        let order = NewOrder {
            account,
            instrument,
            side,
            size: OrderSize::MarketBase { qty },
            time_in_force: TimeInForce::Ioc,
            self_trade: SelfTrade::Allow,
        };
        let next = OrderId(self.last_order + 1);
        events.push(Event::LiquidationOrder { order: next, account, instrument, intent, side, qty });
        let id = self.accept(&order, events);
        self.run(Taker::new(id, order, Some(intent)), &listing, now, events);
    }

    /// Moves what is left of a position to the insurance account at the mark price.
    fn take_over(
        &mut self,
        account: AccountId,
        insurance: AccountId,
        instrument: InstrumentId,
        intent: Intent,
        now: UnixNanos,
        events: &mut Vec<Event>,
    ) {
        let (Some(listing), Some(price)) = (self.listing(instrument).copied(), self.mark(instrument)) else { return };
        let Some(position) = self.position(account, instrument, intent.leg()).copied() else { return };
        // In range because the margin could be counted.
        let value = position.value(&listing, price).unwrap_or_default();
        let (side, qty, order) = (position.side.closes(), position.qty, OrderId(self.last_order));
        let given = Deal { instrument, order, side, intent, price, qty, value, fee: Atoms::ZERO, now };
        let taken = Deal { side: side.opposite(), intent: Intent::OneWay { reduce_only: false }, ..given };
        let effect = self.change_position(account, &given, &listing);
        self.pay(account, effect.pnl);
        let gained = self.change_position(insurance, &taken, &listing).pnl;
        self.pay(insurance, gained);
        events.push(Event::TakenOver { account, instrument, side: position.side, qty, price, pnl: effect.pnl });
        events.extend(effect.ended.map(|position| Event::Closed { account, instrument, position }));
    }

    /// The mark price of `instrument` at which the account would be liquidated, all other mark prices
    /// unchanged; `None` when no price of it would do that.
    ///
    /// A long exposure is liquidated at this price or below, a short one at it or above.
    #[must_use]
    pub fn liquidation_price(&self, account: AccountId, instrument: InstrumentId) -> Option<Price> {
        let futures = self.futures(account).filter(|futures| futures.is_margined())?;
        let (listing, mark, terms) = (self.listing(instrument)?, self.mark(instrument)?, self.terms(instrument)?);
        let state = self.margin(account)?;
        let gross: i128 = futures.positions_on(instrument).map(|position| i128::from(position.qty.0)).sum();
        let (mut own, mut unit) = (0_i128, listing.notional(Price(1), domain::Qty(1))?.0);
        for position in futures.positions_on(instrument) {
            own += terms.maintenance.of(position.value(listing, mark)?)?.0;
        }
        unit = unit.max(1);
        // Equity less maintenance is a line over the price: zero at the root, rising with `slope`.
        let exposure = futures.exposure(instrument);
        let slope = exposure.checked_mul(1_000_000)? - i128::from(terms.maintenance.ppm()).checked_mul(gross)?;
        let spare = state.equity.0 - (state.maintenance.0 - own);
        let at_mark = exposure.checked_mul(i128::from(mark.0))?.checked_mul(unit)?;
        let above = at_mark.checked_sub(spare)?.checked_mul(1_000_000)?;
        let below = slope.checked_mul(unit)?;
        let root = match below {
            0 => return None,
            1.. => above.div_euclid(below),
            // Both negated, and rounded up.
            _ => -(above.div_euclid(below.checked_neg()?)),
        };
        i64::try_from(root).ok().filter(|price| *price > 0).map(Price)
    }
}
