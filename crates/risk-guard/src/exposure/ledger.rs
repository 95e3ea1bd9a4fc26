//! Positions, cost, profit and loss, and what balances become between two words of the venue.

use super::{Exposure, Position, from_atto};
use crate::fixed::{BILLION, atto};
use domain::{Amount, Fill, InstrumentId, Pnl, Side};
use messages::PositionAfter;
use rust_decimal::Decimal;

/// What one fill changes, computed before anything is changed.
struct Change {
    /// Base received (positive) or given, fee in base included.
    base: Decimal,
    /// Quote received (positive) or given, fee in quote included.
    quote: Decimal,
    price: Decimal,
    /// The fee, in quote.
    fee: Decimal,
}

impl Position {
    /// This position after `base` more at `price`, by average cost, and what closing a part of it brought.
    pub(super) fn after(&self, base: Decimal, price: Decimal) -> Option<(Self, Decimal)> {
        let (qty, cost) = (self.qty.0, self.cost.0);
        let opens = qty.is_zero() || base.is_zero() || qty.is_sign_negative() == base.is_sign_negative();
        if opens {
            let cost = cost.checked_add(base.checked_mul(price)?)?;
            return Some((Self { qty: Amount(qty.checked_add(base)?), cost: Amount(cost), ..*self }, Decimal::ZERO));
        }
        if base.abs() <= qty.abs() {
            // Closing everything takes the whole cost, so that no digit of a division stays behind.
            let cost_out =
                if base.abs() == qty.abs() { cost } else { cost.checked_mul(base.abs())?.checked_div(qty.abs())? };
            let gain = base.checked_neg_mul(price)?.checked_sub(cost_out)?;
            let left = Self { qty: Amount(qty.checked_add(base)?), cost: Amount(cost.checked_sub(cost_out)?), ..*self };
            return Some((left, gain));
        }
        // Beyond the position: close it, then open the other way.
        let (closed, gain) = self.after(-qty, price)?;
        let (opened, _) = closed.after(base.checked_add(qty)?, price)?;
        Some((opened, gain))
    }
}

trait NegatedProduct {
    fn checked_neg_mul(self, other: Decimal) -> Option<Decimal>;
}

impl NegatedProduct for Decimal {
    fn checked_neg_mul(self, other: Decimal) -> Option<Decimal> {
        (-self).checked_mul(other)
    }
}

impl Exposure {
    pub(super) fn book_fill(&mut self, fill: &Fill) -> Option<PositionAfter> {
        let change = self.change(fill)?;
        let row_index = self.row_or_new(fill.strategy)?;
        let cell_index = row_index * self.slots.len() + fill.instrument.index();
        let before = self.cells.get(cell_index)?.position;
        let (mut after, gain) = before.after(change.base, change.price)?;
        let realised = gain.checked_sub(change.fee)?;
        after.realised = Pnl(before.realised.0.checked_add(realised)?);
        after.fees_quote = Amount(before.fees_quote.0.checked_add(change.fee)?);

        let slot = self.slots.get_mut(fill.instrument.index())?.as_mut()?;
        slot.position = slot.position.checked_add(atto(change.base)?)?;
        slot.position_steps = slot.current.steps_up(slot.position)?;
        if slot.doubled_mid == 0 {
            slot.mark = change.price;
        }
        let moves = match &mut slot.futures {
            // The wallet of the account gains by the venue's average cost, whatever each strategy's is.
            Some(futures) => {
                let gain = futures.fill(fill.position_side, change.base, change.price)?;
                [(slot.quote, gain.checked_sub(change.fee)?), (slot.quote, Decimal::ZERO)]
            }
            None => [(slot.base, change.base), (slot.quote, change.quote)],
        };
        self.cells.get_mut(cell_index)?.position = after;
        let earlier_day = fill.venue_time.0 / Self::NANOS_PER_DAY < self.day;
        let row = self.rows.get_mut(row_index)?;
        for pnl in [&mut row.pnl, &mut self.pnl] {
            pnl.realised = pnl.realised.checked_add(realised)?;
            if earlier_day {
                pnl.day_start = pnl.day_start.checked_add(realised)?;
            }
        }
        self.move_balances(moves)?;
        self.revalue(fill.instrument)?;
        Some(PositionAfter { qty: after.qty, realised: Pnl(realised) })
    }

    fn change(&self, fill: &Fill) -> Option<Change> {
        let slot = self.slot(fill.instrument)?;
        let scale = slot.scale(fill.version)?;
        let (price, qty) = (scale.price_decimal(fill.price), scale.qty_decimal(fill.qty));
        let value = price.checked_mul(qty)?;
        let fee = fill.fee.amount.0;
        // Futures fees are taken from the margin, whatever asset that is called by.
        let in_base = fill.fee.asset == slot.base_asset && slot.futures.is_none();
        let fee_base = if in_base { fee } else { Decimal::ZERO };
        let fee_quote = if fill.fee.asset == slot.quote_asset { fee } else { Decimal::ZERO };
        let (base, quote) = match fill.side {
            Side::Buy => (qty, -value),
            Side::Sell => (-qty, value),
        };
        Some(Change {
            base: base.checked_sub(fee_base)?,
            quote: quote.checked_sub(fee_quote)?,
            price,
            fee: fee_base.checked_mul(price)?.checked_add(fee_quote)?,
        })
    }

    /// Until the venue tells the balances again, a fill has already moved them.
    fn move_balances(&mut self, moves: [(usize, Decimal); 2]) -> Option<()> {
        for (index, amount) in moves {
            let balance = self.balances.get_mut(index)?;
            let amount = atto(amount)?;
            if amount > 0 {
                balance.credited = balance.credited.checked_add(amount)?;
            } else {
                balance.debited = balance.debited.checked_sub(amount)?;
            }
        }
        Some(())
    }

    pub(super) fn mark_at(&mut self, instrument: InstrumentId, doubled_mid: i128) -> Option<()> {
        let Some(slot) = self.slots.get_mut(instrument.index()).and_then(Option::as_mut) else { return Some(()) };
        if doubled_mid <= 0 || slot.doubled_mid == doubled_mid {
            return Some(());
        }
        slot.doubled_mid = doubled_mid;
        slot.mark = slot.current.mid(doubled_mid)?;
        self.revalue(instrument)
    }

    /// Values every position on the instrument at its mark.
    fn revalue(&mut self, instrument: InstrumentId) -> Option<()> {
        let width = self.slots.len();
        self.reweigh(instrument)?;
        let mark = self.slot(instrument)?.mark;
        for (index, row) in self.rows.iter_mut().enumerate() {
            let cell = self.cells.get_mut(index * width + instrument.index())?;
            if !cell.position.qty.0.is_zero() || !cell.unrealised.is_zero() {
                let value = cell.position.qty.0.checked_mul(mark)?.checked_sub(cell.position.cost.0)?;
                let moved = value.checked_sub(cell.unrealised)?;
                cell.unrealised = value;
                row.pnl.unrealised = row.pnl.unrealised.checked_add(moved)?;
                self.pnl.unrealised = self.pnl.unrealised.checked_add(moved)?;
            }
            row.pnl.refresh()?;
        }
        self.refresh()
    }

    /// The day's result, the highest result and the drawdown from it.
    pub(super) fn refresh(&mut self) -> Option<()> {
        self.pnl.refresh()?;
        let total = self.pnl.total()?;
        self.peak = self.peak.max(total);
        let loss = self.peak.checked_sub(total)?;
        let equity = self.equity()?;
        self.drawdown = match equity {
            Some(equity) if loss > Decimal::ZERO => {
                let at_peak = equity.checked_add(loss)?;
                if at_peak > loss { loss.checked_div(at_peak)? } else { Decimal::ONE }
            }
            _ => Decimal::ZERO,
        };
        self.drawdown_billionths = atto(self.drawdown).map_or(i128::MAX, |units| units / BILLION);
        Some(())
    }

    /// All balances in quote, with what futures have won or lost on paper; `Some(None)` until one is known.
    fn equity(&self) -> Option<Option<Decimal>> {
        let mut sum = Decimal::ZERO;
        let mut known = false;
        for balance in self.balances.iter().filter(|balance| balance.known) {
            let held = balance.available.checked_add(balance.held)?;
            let held = held.checked_add(balance.credited)?.checked_sub(balance.debited)?;
            let value = match balance.valued_by {
                None => from_atto(held).checked_add(balance.unrealised)?,
                Some(slot) => {
                    let mark = self.slots.get(slot)?.as_ref()?.mark;
                    from_atto(held).checked_mul(mark)?
                }
            };
            sum = sum.checked_add(value)?;
            known = true;
        }
        Some(known.then_some(sum))
    }
}
