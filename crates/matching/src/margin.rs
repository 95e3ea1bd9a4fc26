//! What one account has on perpetuals, and what its positions and open orders hold.
//!
//! An open order holds what filling it could cost: initial margin, the taker's fee, and the loss
//! against the mark price. What only shrinks a position holds nothing. Within one account, orders of
//! one side fill in the order of their prices, so that the first of them close and the rest open.

use crate::perpetual::{Intent, Leg, PerpetualTerms, Position, PositionMode};
use crate::{Atoms, Collateral, Listing, OrderId};
use domain::{InstrumentId, Price, Qty, Side};
use std::collections::BTreeMap;

/// A resting order of a margined account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenOrder {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) price: Price,
    pub(crate) remaining: Qty,
    pub(crate) intent: Intent,
}

/// A part of an order, at the price at which it would be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) price: Price,
    pub(crate) qty: Qty,
    pub(crate) intent: Intent,
}

/// An order that is not taken yet: what it would take at once, and what of it would rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arriving {
    pub(crate) side: Option<Side>,
    pub(crate) taking: Vec<Part>,
    pub(crate) resting: Option<Part>,
}

/// By what margin on one perpetual is measured.
#[derive(Clone, Copy)]
pub(crate) struct Ruler<'a> {
    pub(crate) listing: &'a Listing,
    pub(crate) terms: &'a PerpetualTerms,
    pub(crate) mark: Price,
    pub(crate) leverage: u32,
}

/// What opening orders hold: their value, still to be divided by the leverage, and what comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) value: i128,
    pub(crate) extra: i128,
}

impl Ruler<'_> {
    /// Initial margin of a value, rounded up to the last unit.
    pub(crate) fn margin(&self, value: i128) -> i128 {
        let leverage = i128::from(self.leverage.max(1));
        value / leverage + i128::from(value % leverage > 0)
    }

    /// Adds an opening quantity at its price; `None` beyond the range.
    fn add(&self, held: &mut Held, side: Side, price: Price, qty: Qty) -> Option<()> {
        if qty == Qty::ZERO {
            return Some(());
        }
        let value = self.listing.notional(price, qty)?;
        let worse = match side {
            Side::Buy => price.0.saturating_sub(self.mark.0),
            Side::Sell => self.mark.0.saturating_sub(price.0),
        };
        let loss = if worse > 0 { self.listing.notional(Price(worse), qty)? } else { Atoms::ZERO };
        let fee = self.terms.fees.taker.of(value)?.max(self.terms.fees.maker.of(value)?).max(Atoms::ZERO);
        held.value += value.0;
        held.extra += loss.0 + fee.0;
        Some(())
    }
}

/// One account's futures.
#[derive(Debug, Clone)]
pub(crate) struct Futures {
    pub(crate) collateral: Collateral,
    /// The settle coin, where the account keeps it apart from its spot balances.
    pub(crate) wallet: Atoms,
    pub(crate) mode: PositionMode,
    pub(crate) leverage: BTreeMap<InstrumentId, u32>,
    pub(crate) positions: BTreeMap<(InstrumentId, Leg), Position>,
    /// Resting orders, oldest first; kept for margined accounts only.
    pub(crate) orders: BTreeMap<OrderId, OpenOrder>,
}

impl Futures {
    pub(crate) const fn new(collateral: Collateral) -> Self {
        Self {
            collateral,
            wallet: Atoms::ZERO,
            mode: PositionMode::OneWay,
            leverage: BTreeMap::new(),
            positions: BTreeMap::new(),
            orders: BTreeMap::new(),
        }
    }

    pub(crate) fn is_margined(&self) -> bool {
        self.collateral != Collateral::Unlimited
    }

    pub(crate) fn position(&self, instrument: InstrumentId, leg: Leg) -> Option<&Position> {
        self.positions.get(&(instrument, leg))
    }

    pub(crate) fn positions_on(&self, instrument: InstrumentId) -> impl Iterator<Item = &Position> + '_ {
        self.positions.range((instrument, Leg::Net)..=(instrument, Leg::Short)).map(|(_, position)| position)
    }

    pub(crate) fn orders_on(&self, instrument: InstrumentId) -> impl Iterator<Item = (OrderId, &OpenOrder)> + '_ {
        self.orders.iter().filter(move |(_, order)| order.instrument == instrument).map(|(id, order)| (*id, order))
    }

    /// How much of the position of `leg` orders of `side` could close.
    pub(crate) fn closable(&self, instrument: InstrumentId, leg: Leg, side: Side) -> Qty {
        let position = self.position(instrument, leg).filter(|position| position.side.closes() == side);
        position.map_or(Qty::ZERO, |position| position.qty)
    }

    /// Sum of the resting orders of `leg` and `side` that can only shrink it.
    pub(crate) fn reducing(&self, instrument: InstrumentId, leg: Leg, side: Side) -> Qty {
        let orders = self
            .orders_on(instrument)
            .filter(|(_, order)| order.side == side && order.intent.reduces() && order.intent.leg() == leg);
        Qty(orders.fold(0_i64, |sum, (_, order)| sum.saturating_add(order.remaining.0)))
    }

    /// Sum of the entry values of the positions on one perpetual.
    pub(crate) fn cost(&self, instrument: InstrumentId) -> i128 {
        self.positions_on(instrument).map(|position| position.cost.0).sum()
    }

    /// What the orders on one perpetual hold, an arriving one among them; `None` beyond the range.
    pub(crate) fn held(&self, instrument: InstrumentId, ruler: Ruler<'_>, arriving: &Arriving) -> Option<Held> {
        let mut held = Held::default();
        if self.orders.is_empty() && arriving.side.is_none() {
            return Some(held);
        }
        for side in [Side::Buy, Side::Sell] {
            let mut parts: Vec<Part> = self
                .orders_on(instrument)
                .filter(|(_, order)| order.side == side)
                .map(|(_, order)| Part { price: order.price, qty: order.remaining, intent: order.intent })
                .collect();
            let arrives = arriving.side == Some(side);
            parts.extend(arriving.resting.filter(|_| arrives));
            // Stable: at one price the older order is met first.
            parts.sort_by_key(|part| if side == Side::Buy { part.price.0.saturating_neg() } else { part.price.0 });
            let first = arriving.taking.iter().filter(|_| arrives);
            let mut closable = self.closable(instrument, Leg::Net, side);
            for part in first.chain(&parts) {
                let opening = match part.intent {
                    Intent::Open(_) => part.qty,
                    Intent::Close(_) => Qty::ZERO,
                    Intent::OneWay { reduce_only } => {
                        let closing = closable.min(part.qty);
                        closable = closable.saturating_minus(closing);
                        if reduce_only { Qty::ZERO } else { part.qty.saturating_minus(closing) }
                    }
                };
                ruler.add(&mut held, side, part.price, opening)?;
            }
        }
        Some(held)
    }

    /// Which way the net exposure of one perpetual looks, as a signed quantity.
    pub(crate) fn exposure(&self, instrument: InstrumentId) -> i128 {
        self.positions_on(instrument).map(|position| i128::from(position.qty.0) * position.side.sign()).sum()
    }
}

/// `whole * part / all`, rounded down, without leaving 127 bits; `part` is at most `all`.
pub(crate) fn share(whole: Atoms, part: Qty, all: Qty) -> Atoms {
    if part >= all || all.0 <= 0 {
        return whole;
    }
    let (part, all) = (i128::from(part.0), i128::from(all.0));
    Atoms((whole.0 / all) * part + (whole.0 % all) * part / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_where_it_can_be_and_rounded_down_elsewhere() {
        assert_eq!(share(Atoms(100), Qty(1), Qty(4)), Atoms(25));
        assert_eq!(share(Atoms(100), Qty(1), Qty(3)), Atoms(33));
        assert_eq!(share(Atoms(100), Qty(3), Qty(3)), Atoms(100));
        let large = Atoms(Atoms::MAX.0 - 1);
        let half = share(large, Qty(i64::MAX / 2), Qty(i64::MAX));
        assert!((half.0 * 2 - large.0).abs() < Atoms::MAX.0 / 1_000_000_000);
    }
}
