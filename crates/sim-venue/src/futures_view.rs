//! An account's futures as they stand: what it has and holds, and its open positions.

use crate::venue::Venue;
use domain::{Asset, InstrumentId, Qty};
use matching::{Atoms, Leg, Listing, MarginState, Position, PositionMode, PositionSide};
use rust_decimal::Decimal;

/// What an account has and holds on perpetuals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccountSnapshot {
    /// What everything here is counted in.
    pub(crate) coin: Asset,
    pub(crate) margin: MarginState,
    pub(crate) mode: PositionMode,
    pub(crate) at_ms: u64,
}

impl AccountSnapshot {
    /// Maintenance margin over equity: at one the account is liquidated. Zero without positions.
    pub(crate) fn risk_rate(&self) -> Decimal {
        risk_rate(&self.margin)
    }
}

fn decimal(amount: Atoms) -> Decimal {
    amount.to_decimal().unwrap_or_default()
}

/// Decimals of rates and averages that are no exact amounts.
const RATIO_DECIMALS: u32 = 8;

fn ratio(part: Decimal, whole: Decimal) -> Decimal {
    part.checked_div(whole).unwrap_or_default().round_dp(RATIO_DECIMALS).normalize()
}

fn risk_rate(margin: &MarginState) -> Decimal {
    if margin.maintenance == Atoms::ZERO {
        return Decimal::ZERO;
    }
    if margin.equity <= Atoms::ZERO {
        return Decimal::ONE;
    }
    ratio(decimal(margin.maintenance), decimal(margin.equity)).min(Decimal::ONE)
}

/// One open position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PositionSnapshot {
    pub(crate) instrument: InstrumentId,
    /// A number of its own.
    pub(crate) id: u64,
    pub(crate) leg: Leg,
    pub(crate) side: PositionSide,
    pub(crate) mode: PositionMode,
    pub(crate) total: Qty,
    /// What no closing order holds.
    pub(crate) available: Qty,
    /// What closing orders hold.
    pub(crate) frozen: Qty,
    /// What open orders would add to it.
    pub(crate) opening: Qty,
    /// Average price of what is open, in quote.
    pub(crate) average: Decimal,
    pub(crate) mark: Decimal,
    /// Value at the mark price.
    pub(crate) value: Decimal,
    /// Initial margin.
    pub(crate) margin: Decimal,
    pub(crate) leverage: u32,
    pub(crate) unrealised: Decimal,
    /// What closing parts of it realised, fees and funding not counted.
    pub(crate) realised: Decimal,
    /// Received; negative was paid.
    pub(crate) funding: Decimal,
    pub(crate) open_fee: Decimal,
    pub(crate) close_fee: Decimal,
    /// Mark price at which the account is liquidated, if any is.
    pub(crate) liquidation: Option<Decimal>,
    /// Fraction of its value that equity must exceed.
    pub(crate) maintenance_rate: Decimal,
    /// Maintenance margin over equity, of the whole account.
    pub(crate) margin_rate: Decimal,
    /// Price at which closing it would leave neither gain nor loss, its fees counted.
    pub(crate) break_even: Decimal,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

/// An average price: value over base.
pub(crate) fn average(value: Atoms, qty: Qty, listing: &Listing) -> Decimal {
    ratio(decimal(value), Decimal::new(qty.0, u32::from(listing.qty_decimals)))
}

impl Venue {
    /// What the account has and holds on perpetuals; `None` for an unknown account or an exchange without them.
    pub(crate) fn futures_account(&self, account: usize) -> Option<AccountSnapshot> {
        let owner = self.accounts.get(account)?.engine;
        let margin = self.engine.margin(owner)?;
        let mode = self.engine.position_mode(owner);
        Some(AccountSnapshot { coin: self.settle?, margin, mode, at_ms: self.now_ms() })
    }

    /// The account's open positions, by instrument, a long one before a short one.
    pub(crate) fn positions(&self, account: usize) -> Vec<PositionSnapshot> {
        let Some(owner) = self.accounts.get(account).map(|account| account.engine) else { return Vec::new() };
        let Some(margin) = self.engine.margin(owner) else { return Vec::new() };
        let positions = self.engine.positions(owner);
        positions
            .filter_map(|(instrument, position)| self.shown_position(account, instrument, position, &margin))
            .collect()
    }

    fn shown_position(
        &self,
        account: usize,
        instrument: InstrumentId,
        position: &Position,
        margin: &MarginState,
    ) -> Option<PositionSnapshot> {
        let owner = self.accounts.get(account)?;
        let (listing, terms) = (self.engine.listing(instrument)?, self.engine.terms(instrument)?);
        let mark = self.engine.mark(instrument)?;
        let price = |mantissa: i64| Decimal::new(mantissa, u32::from(listing.price_decimals)).normalize();
        let leverage = self.engine.leverage(owner.engine, instrument)?;
        let frozen = self.engine.held_by_closing(owner.engine, instrument, position);
        let opens = |order: &&crate::orders::Order| {
            let intent = order.futures.map(|futures| futures.intent);
            order.instrument == instrument
                && order.side == position.side.opens()
                && intent.is_some_and(|intent| intent.leg() == position.leg && !intent.reduces())
        };
        let opening = owner.futures.store.open().filter(opens);
        let opening = opening.fold(0_i64, |sum, order| sum.saturating_add(order.qty.0 - order.filled.0));
        Some(PositionSnapshot {
            instrument,
            id: position.opened_by.0,
            leg: position.leg,
            side: position.side,
            mode: self.engine.position_mode(owner.engine),
            total: position.qty,
            available: position.qty.saturating_minus(frozen),
            frozen,
            opening: Qty(opening),
            average: average(position.cost, position.qty, listing),
            mark: price(mark.0),
            value: decimal(position.value(listing, mark)?),
            margin: ratio(decimal(position.cost), Decimal::from(leverage.max(1))),
            leverage,
            unrealised: decimal(position.unrealised(listing, mark)?),
            realised: decimal(position.realised),
            funding: decimal(position.funding),
            open_fee: decimal(position.open_fee),
            close_fee: decimal(position.close_fee),
            liquidation: self.engine.liquidation_price(owner.engine, instrument).map(|it| price(it.0)),
            maintenance_rate: terms.maintenance.fraction(),
            margin_rate: risk_rate(margin),
            break_even: break_even(position, listing, terms.fees.taker.fraction()),
            created_ms: position.opened_at.as_millis(),
            updated_ms: position.updated_at.as_millis(),
        })
    }

    /// Base that is long on a perpetual; as much is short.
    pub(crate) fn open_interest(&self, instrument: InstrumentId) -> Decimal {
        let decimals = self.engine.listing(instrument).map_or(0, |listing| u32::from(listing.qty_decimals));
        Decimal::try_from_i128_with_scale(self.engine.open_interest(instrument), decimals)
            .unwrap_or_default()
            .normalize()
    }
}

/// Entry value and its fees, divided by what closing at a taker's fee would leave of a price.
fn break_even(position: &Position, listing: &Listing, taker_fee: Decimal) -> Decimal {
    let entered = Decimal::from(position.entered.0.max(1));
    let fee = decimal(position.open_fee) * Decimal::from(position.qty.0) / entered;
    let qty = Decimal::new(position.qty.0, u32::from(listing.qty_decimals));
    let (value, kept) = match position.side {
        PositionSide::Long => (decimal(position.cost) + fee, Decimal::ONE - taker_fee),
        PositionSide::Short => (decimal(position.cost) - fee, Decimal::ONE + taker_fee),
    };
    let per_unit = value.checked_div(qty).unwrap_or_default();
    per_unit.checked_div(kept).unwrap_or_default().round_dp(u32::from(listing.price_decimals) + 1).normalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::UnixNanos;
    use matching::OrderId;

    #[test]
    fn the_venues_example_of_a_break_even_price_is_met() {
        let amount = |text: &str| Atoms::from_decimal(text.parse().unwrap()).unwrap();
        let (base, quote) = (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap());
        let listing = Listing { base, quote, price_decimals: 1, qty_decimals: 4, tick: 1, lot: 1 };
        let position = Position {
            leg: Leg::Long,
            side: PositionSide::Long,
            qty: Qty(100),
            cost: amount("650"),
            realised: Atoms::ZERO,
            funding: Atoms::ZERO,
            open_fee: amount("0.39"),
            close_fee: Atoms::ZERO,
            entered: Qty(100),
            entered_value: amount("650"),
            left: Qty(0),
            left_value: Atoms::ZERO,
            opened_by: OrderId(1),
            opened_at: UnixNanos(0),
            updated_at: UnixNanos(0),
        };
        let price = break_even(&position, &listing, Decimal::new(6, 4));
        // The fact sheet's position of 0.01 at 65000 with a fee of 0.39 shows 65078.1.
        assert_eq!(
            price.round_dp_with_strategy(1, rust_decimal::RoundingStrategy::AwayFromZero),
            "65078.1".parse().unwrap()
        );
    }
}
