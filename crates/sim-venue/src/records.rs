//! The venue's memory of an account's futures: its orders and fills, what moved its money, what it closed.

use crate::orders::OrderStore;
use domain::{InstrumentId, Qty, Side};
use matching::{Atoms, Intent, Position, PositionMode, PositionSide};
use std::collections::VecDeque;

/// What an order on a perpetual is beyond an order on spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderFutures {
    pub(crate) intent: Intent,
    pub(crate) mode: PositionMode,
    /// The account's leverage when it was placed.
    pub(crate) leverage: u32,
    /// What its trades realised, fees not taken off.
    pub(crate) pnl: Atoms,
    /// The venue placed it, because the account's margin was gone.
    pub(crate) liquidation: bool,
}

/// What a fill on a perpetual is beyond one on spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FillFutures {
    pub(crate) intent: Intent,
    pub(crate) mode: PositionMode,
    /// What it realised, its fee not taken off.
    pub(crate) pnl: Atoms,
    /// The part of it that closed a position; the rest opened one.
    pub(crate) closed: Qty,
}

/// Why a futures balance changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BillKind {
    Open(PositionSide),
    Close(PositionSide),
    Funding,
    TransferIn,
    TransferOut,
    /// The insurance account took over a position.
    Liquidation,
    /// The insurance account paid a debt.
    Insurance,
}

/// One change of a futures balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bill {
    pub(crate) id: u64,
    pub(crate) at_ms: u64,
    pub(crate) instrument: Option<InstrumentId>,
    pub(crate) kind: BillKind,
    /// Received, or paid where negative; the fee stands apart.
    pub(crate) amount: Atoms,
    /// Fee paid, positive.
    pub(crate) fee: Atoms,
    /// The balance afterwards.
    pub(crate) balance: Atoms,
}

/// A position that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClosedPosition {
    pub(crate) instrument: InstrumentId,
    pub(crate) mode: PositionMode,
    /// The position, its size zero; `opened_by` is its number.
    pub(crate) position: Position,
    pub(crate) closed_ms: u64,
}

/// What one account did on perpetuals.
#[derive(Debug, Default)]
pub(crate) struct FuturesRecords {
    pub(crate) store: OrderStore,
    bills: VecDeque<Bill>,
    closed: VecDeque<ClosedPosition>,
}

impl FuturesRecords {
    /// Bills remembered.
    const BILLS_MAX: usize = 10_000;
    /// Ended positions remembered.
    const CLOSED_MAX: usize = 1_000;

    pub(crate) fn add_bill(&mut self, bill: Bill) {
        if self.bills.len() >= Self::BILLS_MAX {
            self.bills.pop_front();
        }
        self.bills.push_back(bill);
    }

    pub(crate) fn add_closed(&mut self, closed: ClosedPosition) {
        if self.closed.len() >= Self::CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(closed);
    }

    /// Newest first.
    pub(crate) fn bills(&self) -> impl Iterator<Item = &Bill> + '_ {
        self.bills.iter().rev()
    }

    /// Newest first.
    pub(crate) fn closed(&self) -> impl Iterator<Item = &ClosedPosition> + '_ {
        self.closed.iter().rev()
    }
}

/// The position that an order of `side` and `intent` opens, and the one that it closes.
pub(crate) const fn works_on(side: Side, intent: Intent) -> (PositionSide, PositionSide) {
    match intent {
        Intent::OneWay { .. } => {
            let opens = PositionSide::opened_by(side);
            (opens, opens.opposite())
        }
        Intent::Open(position) | Intent::Close(position) => (position, position),
    }
}

/// How a fee divides between the part of a trade that closed and the part that opened, to the last unit.
pub(crate) fn divided(fee: Atoms, closed: Qty, all: Qty) -> (Atoms, Atoms) {
    let (part, whole) = (i128::from(closed.0), i128::from(all.0.max(1)));
    let closing = if closed >= all { fee.0 } else { fee.0 / whole * part + fee.0 % whole * part / whole };
    (Atoms(closing), Atoms(fee.0 - closing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_divided_without_a_rest() {
        assert_eq!(divided(Atoms(100), Qty(1), Qty(3)), (Atoms(33), Atoms(67)));
        assert_eq!(divided(Atoms(100), Qty(3), Qty(3)), (Atoms(100), Atoms::ZERO));
        assert_eq!(divided(Atoms(100), Qty(0), Qty(3)), (Atoms::ZERO, Atoms(100)));
        let large = Atoms(Atoms::MAX.0);
        let (one, two) = divided(large, Qty(i64::MAX / 3), Qty(i64::MAX));
        assert_eq!(one.0 + two.0, large.0);
    }

    #[test]
    fn only_the_last_bills_are_kept_newest_first() {
        let mut records = FuturesRecords::default();
        for id in 0..12_000 {
            let (amount, fee, balance) = (Atoms::ZERO, Atoms::ZERO, Atoms::ZERO);
            records.add_bill(Bill { id, at_ms: id, instrument: None, kind: BillKind::Funding, amount, fee, balance });
        }
        assert_eq!(records.bills().count(), FuturesRecords::BILLS_MAX);
        assert_eq!(records.bills().next().map(|bill| bill.id), Some(11_999));
    }
}
