//! The cells of a grid: levels, what each cell holds, and how both are found again after a restart.
//!
//! Invariant: what the cells hold together never exceeds the strategy's position.
//!
//! A cell is long (it buys at its lower level and sells that at its upper one) or short (the other way round). On spot
//! all are long; on the short side of hedge mode all are short; around zero those below the start are long and those
//! above it short. Where the start was follows after a restart from the position: each level away from it is one order.

use super::{GridLevels, GridParams, on_tick};
use crate::kinds::Stance;
use crate::placer::closes;
use domain::{Asset, InstrumentVersion, Market, Order, Price, Qty, Rounding, Side};
use messages::Restored;
use rust_decimal::Decimal;

/// What an order's reference says: bits 0 to 9 the cell, bit 10 the side, bits 11 to 31 the step in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    /// Cell, from the lowest.
    pub(super) cell: usize,
    pub(super) side: Side,
    /// Distance of levels in ticks; zero for a grid over a range, whose levels follow from its parameters.
    pub(super) step: i64,
}

impl Reference {
    const CELL_BITS: u32 = 10;
    const STEP_BITS: u32 = 21;
    /// Largest step in ticks that a reference can say; 2^21 - 1 is left out so that the opening's reference is free.
    pub(super) const STEP_MAX: i64 = (1 << Self::STEP_BITS) - 2;

    pub(super) fn encode(self) -> u32 {
        let cell = u32::try_from(self.cell).unwrap_or(0) & ((1 << Self::CELL_BITS) - 1);
        let step = u32::try_from(self.step.clamp(0, Self::STEP_MAX)).unwrap_or(0);
        cell | (u32::from(self.side == Side::Sell) << Self::CELL_BITS) | (step << (Self::CELL_BITS + 1))
    }

    pub(super) fn decode(reference: u32) -> Self {
        let cell = reference & ((1 << Self::CELL_BITS) - 1);
        let side = if reference & (1 << Self::CELL_BITS) == 0 { Side::Buy } else { Side::Sell };
        Self { cell: usize::try_from(cell).unwrap_or(0), side, step: i64::from(reference >> (Self::CELL_BITS + 1)) }
    }
}

/// The stretch between two neighbouring levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// Where it buys.
    pub(super) lower: Price,
    /// Where it sells.
    pub(super) upper: Price,
    /// Whether it sells first and buys that back.
    pub(super) short: bool,
    /// What it holds (of a short cell: owes), in base, after fees; may have a rest below the lot.
    pub(super) held: Decimal,
    /// What it still opens in this round, in base.
    pub(super) open_left: Decimal,
}

/// All cells, lowest first.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    /// See [`Reference::step`].
    step: i64,
    /// Where it is traded.
    market: Market,
    /// The rules whose decimals the levels are in.
    version: InstrumentVersion,
    size: Decimal,
    /// The smallest quantity that can be sold.
    sellable_min: Decimal,
    /// Held by the strategy (negative: owed), but by no cell: there is no level for it.
    spare: Decimal,
}

impl Cells {
    /// The levels of this grid: from its parameters, from an order of an earlier life, or around the mid.
    pub(super) fn found(
        params: &GridParams,
        version: &InstrumentVersion,
        (market, stance): (Market, Stance),
        restored: &Restored,
        doubled_mid: i64,
    ) -> Option<Self> {
        let (levels, step) = match params.at {
            GridLevels::Range { .. } => (range_levels(params, version)?, 0),
            GridLevels::Step { ratio } => {
                let per_side = i64::from(params.levels);
                let tick = version.tick.max(1);
                let (lowest, step) = recovered(params, version, market, &restored.orders).or_else(|| {
                    let mid = version.price_decimal(Price(doubled_mid)).checked_div(Decimal::TWO)?;
                    let step = version.price_rounded(mid.checked_mul(ratio)?, Rounding::Down).ok()?.0 / tick;
                    let step = step.clamp(1, Reference::STEP_MAX);
                    let lowest =
                        on_tick(version, mid)?.0.checked_sub(per_side.checked_mul(step.checked_mul(tick)?)?)?;
                    Some((lowest, step))
                })?;
                let level = |index: i64| Some(Price(lowest.checked_add(index.checked_mul(step.checked_mul(tick)?)?)?));
                ((0..=2 * per_side).map(level).collect::<Option<Vec<_>>>()?, step)
            }
        };
        let size = params.order_size.0;
        let cells = levels
            .windows(2)
            .filter_map(|pair| match pair {
                [lower, upper] if lower < upper && lower.0 > 0 => {
                    let (held, short) = (Decimal::ZERO, stance == Stance::Short);
                    Some(Cell { lower: *lower, upper: *upper, short, held, open_left: size })
                }
                _ => None,
            })
            .collect::<Vec<_>>();
        let sellable_min = smallest(version);
        let spare = Decimal::ZERO;
        let mut cells = (!cells.is_empty()).then_some(Self {
            cells,
            step,
            market,
            version: *version,
            size,
            sellable_min,
            spare,
        })?;
        if stance == Stance::Both {
            cells.orient(restored, doubled_mid);
        }
        Some(cells)
    }

    /// Says which cells are long and which are short: the boundary lies as many orders above the cell of the mid as
    /// the position is long, within what resting orders say of their cells.
    fn orient(&mut self, restored: &Restored, doubled_mid: i64) {
        let middle = |cell: &Cell| cell.lower.0.saturating_add(cell.upper.0);
        let here = self.cells.partition_point(|cell| middle(cell) <= doubled_mid);
        let orders = restored.position.0.checked_div(self.size).unwrap_or(Decimal::ZERO).round();
        let index = |number: Decimal| usize::try_from(number.max(Decimal::ZERO)).unwrap_or(0);
        let mut boundary = index(Decimal::from(here).saturating_add(orders));
        let version = self.version;
        let (mut lowest, mut highest) = (0, self.cells.len());
        for order in &restored.orders {
            let Some(reference) = self.placed(order, &version).map(Reference::decode) else { continue };
            let closing = closes(self.market, order.side, order.effect);
            // A long cell opens with a buy and closes with a sell.
            if (order.side == Side::Buy) != closing {
                lowest = lowest.max(reference.cell.saturating_add(1));
            } else {
                highest = highest.min(reference.cell);
            }
        }
        if lowest <= highest {
            boundary = boundary.clamp(lowest, highest);
        }
        for (index, cell) in self.cells.iter_mut().enumerate() {
            cell.short = index >= boundary;
        }
    }

    pub(super) const fn step(&self) -> i64 {
        self.step
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Cell)> {
        self.cells.iter().enumerate()
    }

    /// Whether an order of an earlier life stands where this grid would have placed it.
    pub(super) fn fits(&self, order: &Order, version: &InstrumentVersion) -> bool {
        let reference = Reference::decode(order.reference);
        let Some(cell) = self.cells.get(reference.cell) else { return false };
        // What closes may rest beyond its level, where the level itself would have crossed.
        let closing = closes(self.market, order.side, order.effect);
        let in_place = match order.side {
            Side::Buy => order.price == cell.lower || (closing && order.price < cell.lower),
            Side::Sell => order.price == cell.upper || (closing && order.price > cell.upper),
        };
        order.version == version.version && reference.step == self.step && reference.side == order.side && in_place
    }

    /// The reference that an order of an earlier life would carry if this grid had placed it. A record that survived
    /// without its reference (only the wire log knew the order) still says side and price, which is enough.
    pub(super) fn placed(&self, order: &Order, version: &InstrumentVersion) -> Option<u32> {
        if self.fits(order, version) {
            return Some(order.reference);
        }
        let lost = Reference::decode(order.reference).step != self.step || order.reference == 0;
        let cell = self.cells.iter().position(|cell| match order.side {
            Side::Buy => cell.lower == order.price,
            Side::Sell => cell.upper == order.price,
        })?;
        let reference = Reference { cell, side: order.side, step: self.step }.encode();
        (lost && order.version == version.version).then_some(reference)
    }

    /// Gives the restored position to the cells: first what rests for sale, then by the latest buys that were not sold
    /// again, then upwards from the mid.
    pub(super) fn fill_in(&mut self, restored: &Restored, base: Asset, doubled_mid: i64) {
        // A short position belongs to short cells, which close with a buy.
        let short = restored.position.0 < Decimal::ZERO;
        let (opens, closes) = if short { (Side::Sell, Side::Buy) } else { (Side::Buy, Side::Sell) };
        let long_only = self.cells.iter().all(|cell| !cell.short);
        let mut left = if short && long_only { Decimal::ZERO } else { restored.position.0.abs() };
        let version = self.version;
        for order in restored.orders.iter().filter(|order| order.side == closes && order.version == version.version) {
            let reference = Reference::decode(self.placed(order, &version).unwrap_or(order.reference));
            if let Some(cell) = self.cells.get_mut(reference.cell).filter(|cell| cell.short == short) {
                let taken = version.qty_decimal(order.remaining()).min(left);
                cell.held = cell.held.saturating_add(taken);
                left = left.saturating_sub(taken);
            }
        }
        let mut closed = vec![Decimal::ZERO; self.cells.len()];
        for fill in restored.fills.iter().rev().filter(|fill| fill.version == version.version) {
            let fee = if fill.fee.asset == base { fill.fee.amount.0 } else { Decimal::ZERO };
            // What a buy brought and what a sell took, so that a round trip is even.
            let qty = match fill.side {
                Side::Buy => version.qty_decimal(fill.qty).saturating_sub(fee),
                Side::Sell => version.qty_decimal(fill.qty).saturating_add(fee),
            };
            let index = self.index_of(fill.side, fill.price);
            let (Some(cell), Some(closed)) = (self.cells.get_mut(index), closed.get_mut(index)) else { continue };
            if cell.short != short {
                continue;
            }
            if fill.side != opens {
                *closed = closed.saturating_add(qty);
                continue;
            }
            let kept = qty.saturating_sub(*closed).max(Decimal::ZERO);
            *closed = closed.saturating_sub(qty).max(Decimal::ZERO);
            let room = self.size.saturating_sub(cell.held).max(Decimal::ZERO);
            let taken = kept.min(room).min(left);
            cell.held = cell.held.saturating_add(taken);
            left = left.saturating_sub(taken);
        }
        self.spread(if short { -left } else { left }, Some(doubled_mid));
        for cell in &mut self.cells {
            cell.begin_round(self.size, self.sellable_min);
        }
    }

    /// The cell in which a fill at this price happened: a buy fills at its level or below, a sell at its level or above.
    fn index_of(&self, side: Side, price: Price) -> usize {
        let last = self.cells.len().saturating_sub(1);
        match side {
            Side::Buy => self.cells.partition_point(|cell| cell.lower < price).min(last),
            Side::Sell => self.cells.partition_point(|cell| cell.upper <= price).saturating_sub(1),
        }
    }

    /// A fill of a cell's own order moved `base` in (positive) or out.
    pub(super) fn moved(&mut self, cell: usize, base: Decimal) {
        let (size, sellable_min) = (self.size, self.sellable_min);
        let Some(cell) = self.cells.get_mut(cell) else {
            self.spread(base, None);
            return;
        };
        let base = if cell.short { -base } else { base };
        cell.held = cell.held.saturating_add(base);
        if base > Decimal::ZERO {
            cell.open_left = cell.open_left.saturating_sub(base).max(Decimal::ZERO);
            // A fee in base leaves a rest that is no order.
            if cell.open_left < sellable_min || cell.open_left.saturating_mul(Decimal::ONE_HUNDRED) < size {
                cell.open_left = Decimal::ZERO;
            }
        } else if cell.held < sellable_min {
            cell.held = cell.held.max(Decimal::ZERO);
            cell.open_left = size;
        }
    }

    /// Gives cells what came without a cell of its own, from the mid away; what went that way is taken from the cells
    /// that hold it, the lowest first (of short ones the highest).
    pub(super) fn spread(&mut self, base: Decimal, doubled_mid: Option<i64>) {
        let moved = base.saturating_add(self.spare);
        let long_only = self.cells.iter().all(|cell| !cell.short);
        let (mut left, up) = (moved.abs(), moved > Decimal::ZERO);
        let (size, sellable_min) = (self.size, self.sellable_min);
        // First what closes cells of the other kind, then what opens cells of this one.
        for cell in ordered(&mut self.cells, up).filter(|cell| cell.short == up) {
            let taken = cell.held.min(left);
            cell.held = cell.held.saturating_sub(taken);
            left = left.saturating_sub(taken);
        }
        for cell in ordered(&mut self.cells, !up).filter(|cell| cell.short != up) {
            let beyond = doubled_mid.is_some_and(|mid| match up {
                true => cell.upper.0.saturating_mul(2) > mid,
                false => cell.lower.0.saturating_mul(2) < mid,
            });
            let taken =
                if beyond { size.saturating_sub(cell.held).max(Decimal::ZERO).min(left) } else { Decimal::ZERO };
            cell.held = cell.held.saturating_add(taken);
            left = left.saturating_sub(taken);
            if taken > Decimal::ZERO {
                cell.begin_round(size, sellable_min);
            }
        }
        self.spare = match up {
            true => left,
            // What was sold beyond what cells held was never theirs.
            false if long_only => Decimal::ZERO,
            false => -left,
        };
    }

    /// The same levels under new trading rules.
    pub(super) fn change_rules(&mut self, params: &GridParams, version: &InstrumentVersion) {
        let old = self.version;
        let moved = |price: Price| on_tick(version, old.price_decimal(price));
        for cell in &mut self.cells {
            if let (Some(lower), Some(upper)) = (moved(cell.lower), moved(cell.upper)) {
                (cell.lower, cell.upper) = (lower, upper);
            }
        }
        if let (GridLevels::Step { .. }, Some(cell)) = (params.at, self.cells.first()) {
            let distance = cell.upper.0.saturating_sub(cell.lower.0);
            self.step = (distance / version.tick.max(1)).clamp(1, Reference::STEP_MAX);
        }
        self.version = *version;
        self.sellable_min = smallest(version);
    }
}

impl Cell {
    /// What it opens in this round, from what it holds.
    fn begin_round(&mut self, size: Decimal, sellable_min: Decimal) {
        let rest = size.saturating_sub(self.held);
        self.open_left = if self.held < sellable_min {
            size
        } else if rest < sellable_min || rest.saturating_mul(Decimal::ONE_HUNDRED) < size {
            Decimal::ZERO
        } else {
            rest
        };
    }
}

/// The cells from the lowest up, or from the highest down.
fn ordered(cells: &mut [Cell], down: bool) -> impl Iterator<Item = &mut Cell> {
    let (up, back) = if down { (None, Some(cells.iter_mut().rev())) } else { (Some(cells.iter_mut()), None) };
    up.into_iter().flatten().chain(back.into_iter().flatten())
}

/// The smallest quantity that can be an order.
fn smallest(version: &InstrumentVersion) -> Decimal {
    version.qty_decimal(Qty(version.lot.max(version.min_qty.0)))
}

/// Evenly spread levels, the lowest and highest included.
fn range_levels(params: &GridParams, version: &InstrumentVersion) -> Option<Vec<Price>> {
    let GridLevels::Range { lower, upper } = params.at else { return None };
    let steps = Decimal::from(params.levels.checked_sub(1)?);
    let distance = upper.checked_sub(lower)?;
    (0..params.levels)
        .map(|index| {
            let offset = distance.checked_mul(Decimal::from(index))?.checked_div(steps)?;
            on_tick(version, lower.checked_add(offset)?)
        })
        .collect()
}

/// Lowest level and step of the grid that placed these orders, if it had about the same step as this one.
fn recovered(params: &GridParams, version: &InstrumentVersion, market: Market, orders: &[Order]) -> Option<(i64, i64)> {
    let GridLevels::Step { ratio } = params.at else { return None };
    let tick = version.tick.max(1);
    // What opens always rests on its level; a counterpart may rest beyond it, the highest sell least likely so.
    // An order that only the wire log knew carries no reference: it says nothing about the levels.
    let says = |order: &&Order| order.version == version.version && Reference::decode(order.reference).step > 0;
    let placed = orders.iter().filter(says);
    let order = placed
        .clone()
        .find(|order| !closes(market, order.side, order.effect))
        .or_else(|| placed.max_by_key(|order| order.price))?;
    let reference = Reference::decode(order.reference);
    let expected = version.price_decimal(order.price).checked_mul(ratio)?;
    let expected = version.price_rounded(expected, Rounding::Down).ok()?.0 / tick;
    let near = (reference.step - expected).abs() <= expected / 10 + 1;
    let level = i64::try_from(reference.cell).ok()?.checked_add(i64::from(order.side == Side::Sell))?;
    let lowest = order.price.0.checked_sub(level.checked_mul(reference.step.checked_mul(tick)?)?)?;
    (reference.step > 0 && near && lowest > 0).then_some((lowest, reference.step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::opening::OPENING;

    #[test]
    fn a_reference_gives_back_its_parts_and_is_never_the_openings() {
        for cell in [0, 1, 799] {
            for side in [Side::Buy, Side::Sell] {
                for step in [0, 300, Reference::STEP_MAX] {
                    let reference = Reference { cell, side, step };
                    assert_eq!(Reference::decode(reference.encode()), reference);
                    assert_ne!(reference.encode(), OPENING);
                }
            }
        }
    }
}
