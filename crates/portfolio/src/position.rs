//! Position, average cost and result of one strategy on one instrument.

use domain::{Amount, Pnl, Side};
use rust_decimal::Decimal;

/// Position of one strategy on one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bought minus sold minus fees taken in base; negative: short, on perpetual futures.
    pub qty: Amount,
    /// What the quantity held has cost, in quote, by average cost; before fees.
    pub cost: Amount,
    /// Result of what was closed, after fees, in quote.
    pub realised: Pnl,
    /// Fees in quote; those taken in base at the price of their fill. Fees in a third asset are not contained.
    pub fees: Amount,
    /// Value of all fills, in quote.
    pub turnover: Amount,
    /// Funding received, in quote; negative: paid. Not contained in `realised`.
    pub funding: Amount,
}

/// One fill in decimals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trade {
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) qty: Decimal,
    /// The fee, if it was taken in base.
    pub(crate) fee_base: Decimal,
    /// The fee, if it was taken in quote.
    pub(crate) fee_quote: Decimal,
}

impl Trade {
    /// What came into the base balance (negative: went out), fee included.
    pub(crate) fn base(&self) -> Option<Decimal> {
        let signed = if self.side == Side::Buy { self.qty } else { -self.qty };
        signed.checked_sub(self.fee_base)
    }

    /// What came into the quote balance (negative: went out), fee included.
    pub(crate) fn quote(&self) -> Option<Decimal> {
        let value = self.price.checked_mul(self.qty)?;
        let signed = if self.side == Side::Buy { -value } else { value };
        signed.checked_sub(self.fee_quote)
    }

    /// The fee in quote.
    pub(crate) fn fee(&self) -> Option<Decimal> {
        self.fee_base.checked_mul(self.price)?.checked_add(self.fee_quote)
    }
}

impl Position {
    /// This position after a trade; `None` beyond exact arithmetic.
    pub(crate) fn after(&self, trade: &Trade) -> Option<Self> {
        let (base, fee) = (trade.base()?, trade.fee()?);
        let (held, cost) = (self.qty.0, self.cost.0);
        let closing = if held.is_zero() || base.is_zero() || held.is_sign_negative() == base.is_sign_negative() {
            Decimal::ZERO
        } else {
            base.abs().min(held.abs())
        };
        // The whole cost goes with the last unit, so that no digit of a division stays behind.
        let cost_out = match closing {
            none if none.is_zero() => Decimal::ZERO,
            all if all == held.abs() => cost,
            part => cost.checked_mul(part)?.checked_div(held.abs())?,
        };
        let sign = if held.is_sign_negative() { -Decimal::ONE } else { Decimal::ONE };
        let gain = if closing.is_zero() {
            Decimal::ZERO
        } else {
            closing.checked_mul(trade.price)?.checked_mul(sign)?.checked_sub(cost_out)?
        };
        let opened = base.checked_add(closing.checked_mul(sign)?)?;
        let cost = cost.checked_sub(cost_out)?.checked_add(opened.checked_mul(trade.price)?)?;
        Some(Self {
            qty: Amount(held.checked_add(base)?),
            cost: Amount(cost),
            realised: Pnl(self.realised.0.checked_add(gain)?.checked_sub(fee)?),
            fees: Amount(self.fees.0.checked_add(fee)?),
            turnover: Amount(self.turnover.0.checked_add(trade.price.checked_mul(trade.qty)?)?),
            funding: self.funding,
        })
    }

    /// What selling everything at `price` would bring beyond its cost.
    #[must_use]
    pub fn unrealised(&self, price: Decimal) -> Pnl {
        Pnl(self.qty.0.saturating_mul(price).saturating_sub(self.cost.0))
    }
}
