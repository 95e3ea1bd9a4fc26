//! Open orders at their worst.

use super::Exposure;
use crate::fixed::Atto;
use domain::{ClientOrderId, InstrumentId, Order, OrderState, PositionEffect, Price, Qty, Side, StrategyTag};

/// What one order counts for now.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenOrder {
    id: ClientOrderId,
    counted: Counted,
    instrument: InstrumentId,
    row: usize,
    side: Side,
    /// It may rest at the venue; otherwise it has ended and only an announced fill is missing.
    rests: bool,
    unknown: bool,
    /// On the scale that all versions share.
    price: Atto,
    /// What may still reach the position, in base.
    pending: Atto,
    /// The same at the limit price, in quote.
    notional: Atto,
}

/// All of an order that decides what it counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    strategy: StrategyTag,
    instrument: InstrumentId,
    version: u32,
    side: Side,
    effect: PositionEffect,
    price: Price,
    pending: Qty,
    rests: bool,
    unknown: bool,
}

impl Counted {
    fn of(order: &Order) -> Self {
        Self {
            strategy: order.strategy,
            instrument: order.instrument,
            version: order.version,
            side: order.side,
            effect: order.effect,
            price: order.price,
            pending: pending(order),
            rests: order.state.may_rest(),
            unknown: order.state == OrderState::Unknown,
        }
    }
}

/// What may still reach the position: all that rests, and of an ended order what was announced but not seen as fills.
fn pending(order: &Order) -> Qty {
    let reach = if order.state.may_rest() { order.qty } else { order.filled };
    reach.saturating_minus(order.filled_by_fills)
}

fn last_digits(id: &ClientOrderId) -> Option<u64> {
    id.as_bytes().last_chunk().map(|digits| u64::from_le_bytes(*digits))
}

impl Exposure {
    /// Takes back what the order counted for and counts it as it is now; `first`: it surely counted for nothing.
    pub(super) fn recount(&mut self, order: &Order, first: bool) -> Option<()> {
        let counted = Counted::of(order);
        // The order that changes is mostly one of the latest. Ids that differ mostly do so in their last digits.
        let tail = last_digits(&order.id);
        let is_it = |open: &OpenOrder| last_digits(&open.id) == tail && open.id == order.id;
        debug_assert!(!first || !self.open.iter().any(is_it), "an order that was only checked counts for nothing");
        let place = if first { None } else { self.open.iter().rposition(is_it) };
        if let Some(place) = place {
            if self.open.get(place).is_some_and(|open| open.counted == counted) {
                return Some(());
            }
            let before = self.open.swap_remove(place);
            self.count(&before, -1)?;
            self.restore_best(&before);
        }
        let Counted { pending, rests, unknown, .. } = counted;
        if pending > Qty::ZERO || rests {
            let row = self.row_or_new(order.strategy)?;
            let scale = *self.slot(order.instrument)?.scale(order.version)?;
            let now = OpenOrder {
                id: order.id,
                counted,
                instrument: order.instrument,
                row,
                side: order.side,
                rests,
                unknown,
                price: scale.price(order.price)?,
                pending: scale.qty(pending)?,
                notional: scale.notional(order.price, pending)?,
            };
            if self.open.len() >= Self::ORDERS_MAX {
                return None;
            }
            self.open.push(now);
            self.count(&now, 1)?;
            self.raise_best(&now);
        }
        Some(())
    }

    fn count(&mut self, order: &OpenOrder, sign: i128) -> Option<()> {
        let (pending, notional) = (order.pending * sign, order.notional * sign);
        let step = |count: u32, counts: bool| match (counts, sign > 0) {
            (false, _) => Some(count),
            (true, true) => count.checked_add(1),
            (true, false) => count.checked_sub(1),
        };
        self.open_orders = step(self.open_orders, order.rests)?;
        self.unknown_orders = step(self.unknown_orders, order.unknown)?;
        let slots = self.slots.len();
        let row = self.rows.get_mut(order.row)?;
        row.open_orders = step(row.open_orders, order.rests)?;
        let slot = self.slots.get_mut(order.instrument.index())?.as_mut()?;
        slot.unknown = step(slot.unknown, order.unknown)?;
        let cell = self.cells.get_mut(order.row * slots + order.instrument.index())?;
        if let Some(futures) = &mut slot.futures {
            futures.count(order.side, order.counted.effect, pending)?;
            let open = if order.side == Side::Buy { &mut cell.open_buy } else { &mut cell.open_sell };
            *open = open.checked_add(pending)?;
            return self.reweigh(order.instrument);
        }
        match order.side {
            Side::Buy => {
                slot.open_buy_notional = slot.open_buy_notional.checked_add(notional)?;
                slot.gross = slot.gross.checked_add(notional)?;
                self.gross = self.gross.checked_add(notional)?;
                cell.open_buy = cell.open_buy.checked_add(pending)?;
                let balance = self.balances.get_mut(slot.quote)?;
                balance.committed = balance.committed.checked_add(notional)?;
            }
            Side::Sell => {
                cell.open_sell = cell.open_sell.checked_add(pending)?;
                let balance = self.balances.get_mut(slot.base)?;
                balance.committed = balance.committed.checked_add(pending)?;
            }
        }
        Some(())
    }

    fn raise_best(&mut self, order: &OpenOrder) {
        if !order.rests {
            return;
        }
        let Some(slot) = self.slot_mut(order.instrument) else { return };
        match order.side {
            Side::Buy => slot.best_buy = slot.best_buy.max(Some(order.price)),
            Side::Sell => slot.best_sell = Some(slot.best_sell.map_or(order.price, |best| best.min(order.price))),
        }
    }

    /// Looks for the best own price anew if the order that was taken out may have been it.
    fn restore_best(&mut self, gone: &OpenOrder) {
        let Some(slot) = self.slot(gone.instrument) else { return };
        let was_best = match gone.side {
            Side::Buy => slot.best_buy == Some(gone.price),
            Side::Sell => slot.best_sell == Some(gone.price),
        };
        if !gone.rests || !was_best {
            return;
        }
        let prices = self
            .open
            .iter()
            .filter(|open| open.rests && open.instrument == gone.instrument && open.side == gone.side)
            .map(|open| open.price);
        match gone.side {
            Side::Buy => {
                let best = prices.max();
                if let Some(slot) = self.slot_mut(gone.instrument) {
                    slot.best_buy = best;
                }
            }
            Side::Sell => {
                let best = prices.min();
                if let Some(slot) = self.slot_mut(gone.instrument) {
                    slot.best_sell = best;
                }
            }
        }
    }
}
