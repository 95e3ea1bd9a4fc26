//! The opening position: bought (in hedge mode on the short side: sold) once, at the very start, by one marketable
//! limit order.

use crate::api::{Commands, Context};
use crate::placer::{News, Placer, Want};
use domain::{Amount, PositionEffect, PositionSide, Qty, Rounding, Side, TimeInForce};
use rust_decimal::Decimal;

/// The reference of the opening order; no kind uses it for anything else.
pub(super) const OPENING: u32 = u32::MAX;

/// How far above the best ask the opening order may buy (below the best bid sell), as a fraction.
const COLLAR: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

/// Whether the opening position is still to be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// It is, this much.
    Due(Amount),
    /// Some of it was bought; its one order may still be alive.
    Begun,
    /// It is not: bought, not wanted, or bought in an earlier life.
    Done,
}

impl Opening {
    /// What is to be bought at a start with this history.
    pub(super) fn at_start(amount: Amount, has_history: bool) -> Self {
        if has_history || amount.0 <= Decimal::ZERO { Self::Done } else { Self::Due(amount) }
    }

    /// Notes what happened to its order.
    pub(super) fn note(&mut self, news: News) {
        let begun = matches!(
            news,
            News::Filled { reference: Some(OPENING), .. } | News::Ended { reference: OPENING, filled: true }
        );
        if begun && *self != Self::Done {
            *self = Self::Begun;
        }
    }

    /// Whether the kind's other orders wait: its order is alive, or still has to be made. One order is all there is:
    /// when it has ended with a fill, the opening is over.
    pub(super) fn holds(&mut self, placer: &Placer) -> bool {
        if *self == Self::Begun && !placer.has(OPENING) {
            *self = Self::Done;
        }
        *self != Self::Done
    }

    /// Asks for its order, unless one is alive.
    pub(super) fn pursue(self, context: &Context<'_>, effect: PositionEffect, placer: &mut Placer, out: &mut Commands) {
        if placer.has(OPENING) {
            return;
        }
        if let Some(want) = self.want(context, effect) {
            placer.settle(context, &[want], out);
        }
    }

    /// The order that buys it, at the present book.
    fn want(self, context: &Context<'_>, effect: PositionEffect) -> Option<Want> {
        let Self::Due(amount) = self else { return None };
        let version = &context.instrument.version;
        let book = context.book?;
        let (side, best, factor, rounding) = if effect.side == PositionSide::Short {
            (Side::Sell, book.bids.first()?.price, Decimal::ONE.checked_sub(COLLAR)?, Rounding::Down)
        } else {
            (Side::Buy, book.asks.first()?.price, Decimal::ONE.checked_add(COLLAR)?, Rounding::Up)
        };
        let limit = version.price_decimal(best).checked_mul(factor)?;
        let price = version.price_rounded(limit, rounding).ok()?;
        let qty: Qty = version.qty_rounded(amount.0, Rounding::Down).ok()?;
        Some(Want {
            reference: OPENING,
            side,
            effect,
            price: version.order_price(price, rounding).ok()?.price(),
            qty: version.order_qty(qty, Rounding::Down).ok()?.qty(),
            time_in_force: TimeInForce::Ioc,
            better_may_stay: true,
            top_up: false,
        })
    }
}
