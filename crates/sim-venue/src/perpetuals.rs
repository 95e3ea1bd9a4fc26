//! The market side of perpetuals: index, mark price, funding, liquidation.
//!
//! The index is the middle of the spot book of the same symbol. The mark price is the index plus the
//! smoothed distance between the perpetual's own middle and it, so that neither a thin book nor a
//! single trade moves it far. All of it is whole numbers and depends on the books alone.

use crate::config::PerpetualConfig;
use crate::population::Population;
use crate::venue::Venue;
use domain::{InstrumentId, Price};
use matching::{FeeRate, Listing};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::VecDeque;

/// Mark prices are smoothed in thousandths of the smallest step of a price.
const FINE: i64 = 1_000;
/// Share of a new sample in the smoothed distance: one in this many.
const SMOOTHING: i64 = 40;
/// How far the funding rate may leave the premium towards the interest rate, in millionths.
const CLAMP_PPM: i64 = 500;
/// Largest funding rate in either direction, in millionths: 0.3 %.
const RATE_MAX_PPM: i64 = 3_000;

/// A funding rate that was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FundingRate {
    pub(crate) at_ms: u64,
    pub(crate) rate: Decimal,
}

/// What makes an instrument a perpetual, and where its prices stand.
#[derive(Debug)]
pub(crate) struct Perpetual {
    pub(crate) config: PerpetualConfig,
    /// The spot instrument of the same symbol.
    pub(crate) twin: Option<InstrumentId>,
    pub(crate) mark: Decimal,
    pub(crate) index: Decimal,
    /// The rate that would be settled now.
    pub(crate) rate: Decimal,
    pub(crate) interval_ms: u64,
    pub(crate) next_funding_ms: u64,
    /// Rates that were settled, newest last.
    pub(crate) history: VecDeque<FundingRate>,
    /// A mark price that the market does not move.
    pub(crate) pinned: Option<Price>,
    interest_ppm: i64,
    /// Smoothed distance of the own middle from the index, in [`FINE`] steps.
    distance: i64,
    /// The index, in [`FINE`] steps; once known, it stays while the spot book has only one side.
    index_fine: i64,
    has_index: bool,
    premium_ppm_sum: i64,
    samples: i64,
}

impl Perpetual {
    /// Settled rates remembered.
    const HISTORY_MAX: usize = 1_000;

    pub(crate) fn new(
        config: PerpetualConfig,
        twin: Option<InstrumentId>,
        interval_ms: u64,
        interest_ppm: i64,
        now_ms: u64,
    ) -> Self {
        let start = config.instrument.start_price;
        let mut perpetual = Self {
            config,
            twin,
            mark: start,
            index: start,
            rate: Decimal::ZERO,
            interval_ms,
            next_funding_ms: 0,
            history: VecDeque::new(),
            pinned: None,
            interest_ppm,
            distance: 0,
            index_fine: fine(start, config.instrument.price_decimals),
            has_index: false,
            premium_ppm_sum: 0,
            samples: 0,
        };
        perpetual.rate = Decimal::new(perpetual.predicted_ppm(), FeeRate::DECIMALS).normalize();
        perpetual.next_funding_ms = next_multiple(now_ms, interval_ms);
        perpetual
    }

    /// Takes in where the books stand now; the mark price that follows.
    fn observe(&mut self, index: Option<Decimal>, middle: Option<Decimal>, decimals: u8) -> Price {
        if let Some(index) = index {
            (self.index_fine, self.has_index) = (fine(index, decimals), true);
        }
        if let Some(middle) = middle.map(|middle| fine(middle, decimals)) {
            let distance = middle.saturating_sub(self.index_fine);
            self.distance += distance.saturating_sub(self.distance) / SMOOTHING;
            if !self.has_index {
                // Without a spot market the perpetual's own middle, smoothed, is all there is.
                self.index_fine = self.index_fine.saturating_add(self.distance);
                self.distance = 0;
            }
            let premium = i128::from(distance) * 1_000_000 / i128::from(self.index_fine.max(1));
            self.premium_ppm_sum = self.premium_ppm_sum.saturating_add(i64::try_from(premium).unwrap_or(0));
            self.samples += 1;
        }
        let smoothed = self.index_fine.saturating_add(self.distance).max(FINE);
        let mark = self.pinned.unwrap_or(Price((smoothed + FINE / 2) / FINE));
        let scale = u32::from(decimals);
        self.mark = Decimal::new(mark.0, scale).normalize();
        self.index = Decimal::new(self.index_fine, scale + 3).round_dp(scale).normalize();
        self.rate = Decimal::new(self.predicted_ppm(), FeeRate::DECIMALS).normalize();
        mark
    }

    /// The average premium since the last settlement, drawn towards the interest rate.
    fn predicted_ppm(&self) -> i64 {
        let premium = self.premium_ppm_sum / self.samples.max(1);
        let drawn = premium + (self.interest_ppm - premium).clamp(-CLAMP_PPM, CLAMP_PPM);
        drawn.clamp(-RATE_MAX_PPM, RATE_MAX_PPM)
    }

    fn settled(&mut self, rate: FeeRate, at_ms: u64) {
        if self.history.len() >= Self::HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(FundingRate { at_ms, rate: rate.fraction() });
    }

    fn begin_interval(&mut self, now_ms: u64) {
        (self.premium_ppm_sum, self.samples) = (0, 0);
        self.next_funding_ms = next_multiple(now_ms, self.interval_ms);
    }
}

/// Funding is settled at whole multiples of the interval, as venues do.
fn next_multiple(now_ms: u64, interval_ms: u64) -> u64 {
    let interval = interval_ms.max(1);
    (now_ms / interval).saturating_add(1).saturating_mul(interval)
}

fn fine(price: Decimal, decimals: u8) -> i64 {
    let scale = i64::pow(10, u32::from(decimals).min(12)).saturating_mul(FINE);
    price.checked_mul(Decimal::from(scale)).and_then(|price| price.round().to_i64()).unwrap_or(FINE)
}

/// The makers and takers of one perpetual, who walk around the spot price.
#[derive(Debug)]
pub(crate) struct PerpetualCrowd {
    pub(crate) population: Population,
    pub(crate) twin: Option<InstrumentId>,
}

impl Venue {
    /// One step of the perpetuals' own participants; they stand around where spot is.
    pub(crate) fn step_perpetuals(&mut self) {
        let now = self.now();
        let mut events = Vec::new();
        let mut crowds = std::mem::take(&mut self.perpetual_crowds);
        for crowd in &mut crowds {
            if let Some(price) = crowd.twin.and_then(|twin| self.fair(twin)) {
                crowd.population.stand_around(price);
            }
            crowd.population.step(&mut self.engine, now, &mut events);
        }
        self.perpetual_crowds = crowds;
        self.digest(&events);
    }

    /// Sets every mark price by the books, and liquidates whom it leaves without margin.
    pub(crate) fn mark_perpetuals(&mut self) {
        let mut marked = false;
        for position in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get(position) else { continue };
            let Some(perpetual) = &instrument.perpetual else { continue };
            let (id, decimals) = (instrument.id, instrument.listing.price_decimals);
            let (index, middle) = (perpetual.twin.and_then(|twin| self.mid(twin)), self.mid(id));
            let perpetual = self.instruments.get_mut(position).and_then(|instrument| instrument.perpetual.as_mut());
            let Some(mark) = perpetual.map(|perpetual| perpetual.observe(index, middle, decimals)) else { continue };
            marked |= self.engine.set_mark(id, mark);
        }
        if marked {
            let mut events = Vec::new();
            let now = self.now();
            self.engine.liquidate_due(self.insurance, now, &mut events);
            self.digest(&events);
        }
    }

    /// Settles the funding that is due.
    pub(crate) fn settle_funding(&mut self) {
        let now_ms = self.now_ms();
        let due: Vec<(InstrumentId, Decimal)> = self
            .instruments
            .iter()
            .filter_map(|instrument| Some((instrument.id, instrument.perpetual.as_ref()?)))
            .filter(|(_, perpetual)| now_ms >= perpetual.next_funding_ms)
            .map(|(id, perpetual)| (id, perpetual.rate))
            .collect();
        for (id, rate) in due {
            self.fund(id, rate);
            let perpetual = self.instruments.get_mut(id.index()).and_then(|instrument| instrument.perpetual.as_mut());
            if let Some(perpetual) = perpetual {
                perpetual.begin_interval(now_ms);
            }
        }
    }

    /// Settles funding at `rate` now; false for a rate that is none, or no perpetual.
    pub(crate) fn fund(&mut self, id: InstrumentId, rate: Decimal) -> bool {
        let Ok(rate) = FeeRate::from_decimal(rate) else { return false };
        let mut events = Vec::new();
        if !self.engine.fund(id, rate, &mut events) {
            return false;
        }
        let (now, now_ms) = (self.now(), self.now_ms());
        let perpetual = self.instruments.get_mut(id.index()).and_then(|instrument| instrument.perpetual.as_mut());
        if let Some(perpetual) = perpetual {
            perpetual.settled(rate, now_ms);
        }
        // Paying can leave somebody without margin.
        self.engine.liquidate_due(self.insurance, now, &mut events);
        self.digest(&events);
        true
    }

    /// Lets a mark price stand still, or follow the market again; false for no such perpetual or price.
    pub(crate) fn pin_mark(&mut self, id: InstrumentId, mark: Option<Price>) -> bool {
        let perpetual = self.instruments.get_mut(id.index()).and_then(|instrument| instrument.perpetual.as_mut());
        let Some(perpetual) = perpetual.filter(|_| mark.is_none_or(|mark| mark.0 > 0)) else { return false };
        perpetual.pinned = mark;
        self.mark_perpetuals();
        true
    }
}

/// How a perpetual is listed in the engine.
pub(crate) const fn listing_of(config: &PerpetualConfig) -> Listing {
    let instrument = &config.instrument;
    Listing {
        base: instrument.base,
        quote: instrument.quote,
        price_decimals: instrument.price_decimals,
        qty_decimals: instrument.qty_decimals,
        tick: 1,
        lot: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perpetual() -> Perpetual {
        let config = PerpetualConfig::defaults().swap_remove(0);
        Perpetual::new(config, Some(InstrumentId(0)), 28_800_000, 100, 1_700_000_000_000)
    }

    fn price(text: &str) -> Option<Decimal> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_jump_of_the_own_book_moves_the_mark_price_by_a_fortieth_and_the_index_moves_it_at_once() {
        let mut it = perpetual();
        assert_eq!(it.observe(price("60000"), price("60000"), 1), Price(600_000));
        assert_eq!(it.observe(price("60000"), price("60400"), 1), Price(600_100));
        assert_eq!(it.observe(price("61000"), price("61400"), 1), Price(610_198));
        for _ in 0..1_000 {
            it.observe(price("61000"), price("61400"), 1);
        }
        assert_eq!(it.mark, price("61400").unwrap(), "it gets there in the end");
    }

    #[test]
    fn an_empty_book_leaves_the_last_prices_and_a_perpetual_without_spot_follows_its_own() {
        let mut it = perpetual();
        it.observe(price("61000"), price("61000"), 1);
        assert_eq!(it.observe(None, None, 1), Price(610_000));
        let mut alone = perpetual();
        alone.observe(None, price("60400"), 1);
        assert_eq!(alone.mark, price("60010").unwrap());
        for _ in 0..2_000 {
            alone.observe(None, price("60400"), 1);
        }
        assert_eq!(alone.mark, price("60400").unwrap());
    }

    #[test]
    fn the_rate_is_the_premium_drawn_towards_interest_within_its_bounds() {
        let mut it = perpetual();
        assert_eq!(it.rate, price("0.0001").unwrap(), "interest alone without samples");
        it.observe(price("60000"), price("60012"), 1);
        assert_eq!(it.rate, price("0.0001").unwrap(), "a premium of 0.02 % is within the clamp");
        let mut dear = perpetual();
        dear.observe(price("60000"), price("60120"), 1);
        assert_eq!(dear.rate, price("0.0015").unwrap(), "0.2 % less 0.05 %");
        let mut wild = perpetual();
        wild.observe(price("60000"), price("66000"), 1);
        assert_eq!(wild.rate, price("0.003").unwrap());
    }

    #[test]
    fn funding_is_due_at_whole_multiples_of_the_interval() {
        assert_eq!(next_multiple(1_700_000_000_000, 28_800_000), 1_700_006_400_000);
        assert_eq!(next_multiple(1_700_006_400_000, 28_800_000), 1_700_035_200_000);
    }
}
