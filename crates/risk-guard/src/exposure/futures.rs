//! Perpetual futures: positions on either side, what open orders may make of them, and the margin that this binds.
//!
//! Invariants: the worst case covers every order in which fills may come; no fill of a counted order makes it larger;
//! an order that the venue lets only reduce never counts beyond the position that is there.

use super::{Balance, Exposure, Position, from_atto};
use crate::fixed::{Atto, atto};
use domain::{Amount, InstrumentId, Market, PositionEffect, PositionSide, Side, UnixNanos, VenueId};
use messages::{FuturesSettings, PositionMode, RefuseReason};
use rust_decimal::Decimal;

/// One position of the account on an instrument with everything that may still reach it, in base.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leg {
    /// Quantity (negative: short) and average cost over all strategies, as the venue keeps it.
    book: Position,
    position: Atto,
    /// Open buys and sells that may open or turn the position.
    buys: Atto,
    sells: Atto,
    /// Open buys and sells that the venue lets only make it smaller.
    reducing_buys: Atto,
    reducing_sells: Atto,
}

impl Leg {
    /// The lowest that fills can take the position to, in whatever order they come.
    fn lowest(&self) -> Option<Atto> {
        let closed = self.reducing_sells.min(self.position.max(0));
        self.position.checked_sub(closed)?.checked_sub(self.sells)
    }

    /// The highest that fills can take the position to.
    fn highest(&self) -> Option<Atto> {
        let closed = self.reducing_buys.min(self.position.min(0).checked_neg()?);
        self.position.checked_add(closed)?.checked_add(self.buys)
    }

    fn worst(&self) -> Option<Atto> {
        Some(self.lowest()?.checked_abs()?.max(self.highest()?.checked_abs()?))
    }

    /// What an order of `side` could still make smaller, beside the orders that only reduce.
    fn reducible(&self, side: Side) -> Option<Atto> {
        match side {
            Side::Sell => self.position.max(0).checked_sub(self.reducing_sells),
            Side::Buy => self.position.min(0).checked_neg()?.checked_sub(self.reducing_buys),
        }
    }

    const fn open(&mut self, side: Side, only_reduces: bool) -> &mut Atto {
        match (side, only_reduces) {
            (Side::Buy, false) => &mut self.buys,
            (Side::Sell, false) => &mut self.sells,
            (Side::Buy, true) => &mut self.reducing_buys,
            (Side::Sell, true) => &mut self.reducing_sells,
        }
    }
}

/// Whether the venue itself keeps an order from making a position larger.
fn only_reduces(effect: PositionEffect, side: Side) -> bool {
    effect.reduce_only || effect.opens(side) == Some(false)
}

/// What is known of a perpetual future beside what spot has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Futures {
    /// Net, long, short.
    legs: [Leg; 3],
    pub(super) settings: Option<FuturesSettings>,
    /// The liquidation price of each leg, where told, on the scale that all versions share.
    liquidation: [Option<Atto>; 3],
    /// Venue and records disagree about the position.
    pub(crate) mismatch: bool,
    /// Initial margin of the worst case at the latest mark.
    pub(super) margin: Atto,
    /// Result of the positions at the latest mark, by the venue's average cost.
    pub(super) unrealised: Decimal,
}

const fn index(side: PositionSide) -> usize {
    match side {
        PositionSide::Net => 0,
        PositionSide::Long => 1,
        PositionSide::Short => 2,
    }
}

impl Futures {
    fn leg(&self, side: PositionSide) -> Leg {
        self.legs.get(index(side)).copied().unwrap_or_default()
    }

    fn leg_mut(&mut self, side: PositionSide) -> Option<&mut Leg> {
        self.legs.get_mut(index(side))
    }

    /// The largest quantity at stake over all legs.
    pub(crate) fn worst(&self) -> Option<Atto> {
        self.legs.iter().try_fold(0_i128, |sum, leg| sum.checked_add(leg.worst()?))
    }

    /// The same with one order more.
    pub(crate) fn worst_with(&self, side: Side, effect: PositionEffect, qty: Atto) -> Option<Atto> {
        let mut after = *self;
        after.count(side, effect, qty)?;
        after.worst()
    }

    /// Counts `pending` more (negative: less) of an open order.
    pub(super) fn count(&mut self, side: Side, effect: PositionEffect, pending: Atto) -> Option<()> {
        let open = self.leg_mut(effect.side)?.open(side, only_reduces(effect, side));
        *open = open.checked_add(pending)?;
        Some(())
    }

    /// Whether an order may raise the risk.
    ///
    /// # Errors
    /// [`RefuseReason::NothingToReduce`]: it is to reduce only, and there is not so much left to reduce.
    pub(super) fn raises(&self, side: Side, effect: PositionEffect, qty: Atto) -> Result<bool, RefuseReason> {
        let leg = self.leg(effect.side);
        let left = leg.reducible(side).ok_or(RefuseReason::Arithmetic)?;
        if only_reduces(effect, side) {
            let opens = effect.opens(side) == Some(true);
            return if opens || qty > left { Err(RefuseReason::NothingToReduce) } else { Ok(false) };
        }
        if effect.side != PositionSide::Net {
            return Ok(true);
        }
        // Without the venue's word every open order of this side may come first.
        let others = if side == Side::Sell { leg.sells } else { leg.buys };
        let needed = qty.checked_add(others).ok_or(RefuseReason::Arithmetic)?;
        Ok(needed > left)
    }

    /// Whether an order names a position that the account's mode has.
    pub(crate) fn mode_allows(&self, effect: PositionEffect) -> bool {
        let wanted = match effect.side {
            PositionSide::Net => PositionMode::OneWay,
            PositionSide::Long | PositionSide::Short => PositionMode::Hedge,
        };
        self.settings.is_none_or(|settings| settings.position_mode == wanted)
    }

    /// The higher of both leverages, once the venue has told them.
    pub(crate) fn leverage_max(&self) -> Option<u16> {
        self.settings.map(|settings| settings.leverage_long.max(settings.leverage_short)).filter(|times| *times > 0)
    }

    /// Margin bound by a value at the lower leverage; all of it while no leverage is known.
    pub(crate) fn margin_for(&self, value: Atto) -> Option<Atto> {
        let lower = |settings: FuturesSettings| settings.leverage_long.min(settings.leverage_short).max(1);
        let leverage = i128::from(self.settings.map_or(1, lower));
        value.checked_add(leverage - 1)?.checked_div(leverage)
    }

    /// The liquidation prices that are told.
    pub(crate) fn liquidations(&self) -> impl Iterator<Item = Atto> {
        self.liquidation.into_iter().flatten()
    }

    /// Books a fill on its leg; what closing brought, by the venue's average cost.
    pub(super) fn fill(&mut self, side: PositionSide, base: Decimal, price: Decimal) -> Option<Decimal> {
        let at = index(side);
        let leg = self.leg_mut(side)?;
        let (after, gain) = leg.book.after(base, price)?;
        leg.book = after;
        leg.position = atto(after.qty.0)?;
        if leg.position == 0
            && let Some(price) = self.liquidation.get_mut(at)
        {
            *price = None;
        }
        Some(gain)
    }

    pub(super) fn unrealised_at(&self, mark: Decimal) -> Option<Decimal> {
        self.legs.iter().try_fold(Decimal::ZERO, |sum, leg| {
            let value = leg.book.qty.0.checked_mul(mark)?.checked_sub(leg.book.cost.0)?;
            sum.checked_add(value)
        })
    }
}

impl Exposure {
    /// Leverage and modes as the venue tells them.
    pub fn on_futures_settings(&mut self, instrument: InstrumentId, settings: FuturesSettings) {
        if let Some(futures) = self.futures_mut(instrument) {
            futures.settings = Some(settings);
        }
        let done = self.reweigh(instrument);
        self.note(done);
    }

    /// From now on futures of a venue are margined by its only wallet (`unified`), or by a wallet of their own.
    pub fn set_unified(&mut self, venue: VenueId, unified: bool) {
        let wallet = if unified { Market::Spot } else { Market::UsdtFutures };
        for slot in 0..self.slots.len() {
            let done = self.move_to_wallet(slot, venue, wallet);
            self.note(done);
        }
        if unified {
            let own = |balance: &&mut Balance| balance.venue == venue && balance.wallet == Market::UsdtFutures;
            self.balances.iter_mut().filter(own).for_each(|balance| balance.known = false);
        }
        let done = self.refresh();
        self.note(done);
    }

    fn move_to_wallet(&mut self, slot: usize, venue: VenueId, wallet: Market) -> Option<()> {
        let Some(known) = self.slots.get(slot)?.as_ref() else { return Some(()) };
        let Some(futures) = &known.futures else { return Some(()) };
        let (from, asset, margin, unrealised) = (known.quote, known.quote_asset, futures.margin, futures.unrealised);
        if self.balances.get(from)?.venue != venue {
            return Some(());
        }
        let to = self.balance_index(venue, wallet, asset, None);
        for (index, sign) in [(from, -1_i128), (to, 1)] {
            let balance = self.balances.get_mut(index)?;
            balance.margin = balance.margin.checked_add(margin.checked_mul(sign)?)?;
            let moved = if sign < 0 { -unrealised } else { unrealised };
            balance.unrealised = balance.unrealised.checked_add(moved)?;
        }
        let known = self.slots.get_mut(slot)?.as_mut()?;
        (known.quote, known.base) = (to, to);
        Some(())
    }

    /// Leverage and modes as last told.
    #[must_use]
    pub fn futures_settings(&self, instrument: InstrumentId) -> Option<FuturesSettings> {
        self.slot(instrument)?.futures.as_ref()?.settings
    }

    /// The price at which the venue would liquidate a position; `None`: there is none, or it is not told.
    pub fn on_liquidation(&mut self, instrument: InstrumentId, side: PositionSide, price: Option<Amount>) {
        let price = price.map(|price| atto(price.0));
        self.broken |= price == Some(None);
        let known = self.futures_mut(instrument).and_then(|futures| futures.liquidation.get_mut(index(side)));
        if let Some(known) = known {
            *known = price.flatten();
        }
    }

    /// Whether venue and records disagree about a position; while they do, nothing may raise its risk.
    pub fn set_mismatch(&mut self, instrument: InstrumentId, mismatch: bool) {
        if let Some(futures) = self.futures_mut(instrument) {
            futures.mismatch = mismatch;
        }
    }

    /// Whether venue and records disagree about a position.
    #[must_use]
    pub fn mismatch(&self, instrument: InstrumentId) -> bool {
        self.slot(instrument).and_then(|slot| slot.futures.as_ref()).is_some_and(|futures| futures.mismatch)
    }

    /// The account's position on one side of an instrument, in base, over all strategies; negative: short.
    #[must_use]
    pub fn leg_position(&self, instrument: InstrumentId, side: PositionSide) -> Amount {
        let futures = self.slot(instrument).and_then(|slot| slot.futures.as_ref());
        futures.map_or(Amount::ZERO, |futures| futures.leg(side).book.qty)
    }

    /// Funding of a position, counted once by the caller: part of the day's and the whole result. It belongs to the
    /// strategy that holds a position there, when that is one alone. The wallet shows it by the venue's next word.
    pub fn on_funding(&mut self, instrument: Option<InstrumentId>, amount: Amount, venue_time: UnixNanos) {
        let done = self.book_funding(instrument, amount.0, venue_time);
        self.note(done);
    }

    fn book_funding(&mut self, instrument: Option<InstrumentId>, amount: Decimal, at: UnixNanos) -> Option<()> {
        let holder = instrument.and_then(|instrument| self.only_holder(instrument));
        let earlier_day = at.0 / Self::NANOS_PER_DAY < self.day;
        let row = holder.and_then(|row| self.rows.get_mut(row)).map(|row| &mut row.pnl);
        for pnl in row.into_iter().chain([&mut self.pnl]) {
            pnl.realised = pnl.realised.checked_add(amount)?;
            if earlier_day {
                pnl.day_start = pnl.day_start.checked_add(amount)?;
            }
            pnl.refresh()?;
        }
        self.refresh()
    }

    /// The row of the strategy that alone holds a position on the instrument.
    fn only_holder(&self, instrument: InstrumentId) -> Option<usize> {
        let width = self.slots.len();
        let holds = |row: &usize| {
            self.cells.get(row * width + instrument.index()).is_some_and(|cell| !cell.position.qty.0.is_zero())
        };
        let mut holders = (0..self.rows.len()).filter(holds);
        let first = holders.next()?;
        holders.next().is_none().then_some(first)
    }

    fn futures_mut(&mut self, instrument: InstrumentId) -> Option<&mut Futures> {
        self.slot_mut(instrument)?.futures.as_mut()
    }

    /// Brings gross exposure, margin and unrealised result of an instrument up to date.
    pub(super) fn reweigh(&mut self, instrument: InstrumentId) -> Option<()> {
        let Some(slot) = self.slots.get_mut(instrument.index()).and_then(Option::as_mut) else { return Some(()) };
        let worst = slot.worst()?;
        self.gross = self.gross.checked_sub(slot.gross)?.checked_add(worst)?;
        slot.gross = worst;
        if let Some(futures) = &mut slot.futures {
            let margin = futures.margin_for(worst)?;
            let unrealised = futures.unrealised_at(slot.mark)?;
            let balance = self.balances.get_mut(slot.quote)?;
            balance.margin = balance.margin.checked_sub(futures.margin)?.checked_add(margin)?;
            balance.unrealised = balance.unrealised.checked_sub(futures.unrealised)?.checked_add(unrealised)?;
            (futures.margin, futures.unrealised) = (margin, unrealised);
        }
        Some(())
    }

    /// Free margin in the wallet that margins an instrument, as an order would find it.
    #[must_use]
    pub fn free_margin(&self, instrument: InstrumentId) -> Amount {
        let free = self.slot(instrument).and_then(|slot| self.balances.get(slot.quote)).and_then(Balance::free);
        Amount(from_atto(free.unwrap_or(0)))
    }
}
