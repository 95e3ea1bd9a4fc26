//! Futures positions of the accounts: what the venue tells of them, average cost over all strategies, funding.

use crate::core::Portfolio;
use crate::position::{Position, Trade};
use crate::view::FuturesView;
use domain::{Amount, Asset, Fill, InstrumentId, PositionSide, VenueId};
use messages::PositionReport;
use rust_decimal::Decimal;

/// One position of an account on an instrument, over all strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leg {
    /// By our fills, at the venue's average cost.
    book: Position,
    /// As the venue last told it.
    told: Option<PositionReport>,
    /// Funding received, in quote; negative: paid.
    pub(crate) funding: Amount,
}

impl Portfolio {
    /// Books a fill on the account's position; what it brought to the wallet, fee taken off.
    pub(crate) fn close_leg(&mut self, fill: &Fill, trade: &Trade) -> Option<Decimal> {
        let leg = self.legs.entry((fill.instrument, fill.position_side)).or_default();
        let after = leg.book.after(trade)?;
        let gain = after.realised.0.checked_sub(leg.book.realised.0)?;
        leg.book = after;
        Some(gain)
    }

    pub(crate) fn take_position(&mut self, instrument: InstrumentId, report: &PositionReport) {
        self.legs.entry((instrument, report.side)).or_default().told = Some(*report);
    }

    /// Funding changes a wallet and belongs to the instrument, and to the strategy that holds the position alone.
    pub(crate) fn take_funding(
        &mut self,
        venue: VenueId,
        instrument: Option<InstrumentId>,
        asset: Asset,
        amount: Decimal,
    ) -> Option<()> {
        self.note_traded((venue, self.futures_wallet(venue, asset), asset), amount)?;
        let Some(instrument) = instrument else { return Some(()) };
        let here = |side: PositionSide| (instrument, side);
        let held =
            [PositionSide::Long, PositionSide::Short].map(here).into_iter().find(|key| self.legs.contains_key(key));
        let leg = self.legs.entry(held.unwrap_or(here(PositionSide::Net))).or_default();
        leg.funding = Amount(leg.funding.0.checked_add(amount)?);
        self.add_funding(instrument, amount)
    }

    /// Result of all futures positions at the latest mids; where there is none, at the venue's mark.
    pub(crate) fn futures_unrealised(&self) -> Decimal {
        self.legs.iter().fold(Decimal::ZERO, |sum, ((instrument, _), leg)| {
            let told = leg.told.and_then(|told| told.mark).map(|mark| mark.0);
            let open = self.mark_of(*instrument).or(told).map_or(Decimal::ZERO, |mark| leg.book.unrealised(mark).0);
            sum.saturating_add(open)
        })
    }

    /// Funding of an instrument, all strategies and sides together.
    pub(crate) fn funding_of(&self, instrument: InstrumentId) -> Decimal {
        let of = |((id, _), leg): (&(InstrumentId, PositionSide), &Leg)| (*id == instrument).then_some(leg.funding.0);
        self.legs.iter().filter_map(of).fold(Decimal::ZERO, Decimal::saturating_add)
    }

    /// The liquidation price of an instrument that is nearest to a price, as a fraction of it.
    pub(crate) fn liquidation_distance(&self, instrument: InstrumentId, mark: Decimal) -> Option<Decimal> {
        let told = |side: &PositionSide| self.legs.get(&(instrument, *side))?.told?.liquidation;
        let sides = [PositionSide::Net, PositionSide::Long, PositionSide::Short];
        let distances =
            sides.iter().filter_map(told).filter_map(|price| price.0.checked_sub(mark)?.abs().checked_div(mark));
        distances.min()
    }

    /// What a strategy's position has beside what spot has.
    pub(crate) fn futures_view(&self, instrument: InstrumentId, position: &Position) -> Option<FuturesView> {
        if !self.instrument(instrument)?.market.has_positions() {
            return None;
        }
        let (first, second) = if position.qty.0.is_sign_negative() {
            (PositionSide::Short, PositionSide::Long)
        } else {
            (PositionSide::Long, PositionSide::Short)
        };
        let hedged = [first, second].into_iter().find(|side| self.legs.contains_key(&(instrument, *side)));
        let side = hedged.unwrap_or(PositionSide::Net);
        let told = self.legs.get(&(instrument, side)).and_then(|leg| leg.told);
        Some(FuturesView {
            side,
            leverage: told.map(|told| told.leverage).filter(|times| *times > 0),
            margin_mode: told.map(|told| told.margin_mode),
            margin: told.and_then(|told| told.margin),
            liquidation: told.and_then(|told| told.liquidation),
            funding: position.funding,
        })
    }
}
