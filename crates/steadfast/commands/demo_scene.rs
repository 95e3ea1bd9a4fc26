//! What a demo trades: the exchange's Bitcoin market, or the busiest instrument of the recording that it follows.

use crate::commands::tape_market::Recorded;
use rust_decimal::Decimal;
use sim_venue::InstrumentConfig;

/// The instrument of a demo without a recording, and of every recording that has it.
const USUAL: &str = "BTCUSDT";
/// What a demo's strategies are paid in.
const QUOTE: &str = "USDT";
/// About what one order is worth, in quote.
const ORDER_NOTIONAL: i64 = 60;

/// The instrument and sizes that fit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scene {
    /// The venue's spelling.
    pub(super) symbol: String,
    /// What is bought and sold.
    pub(super) base: String,
    /// One order, in base.
    pub(super) order_size: Decimal,
    /// Distance of two levels and half the spread of the maker, as `0.005%`.
    pub(super) step: String,
}

impl Scene {
    /// The scene of a demo that follows these instruments of a recording; none: the usual one.
    pub(super) fn of(recorded: &[Recorded]) -> Self {
        let usual = Self {
            symbol: USUAL.to_owned(),
            base: "BTC".to_owned(),
            order_size: Decimal::new(1, 3),
            step: "0.005%".to_owned(),
        };
        let in_quote = |one: &&Recorded| one.config.quote.as_str() == QUOTE;
        if recorded.iter().any(|one| one.config.symbol.as_str() == USUAL) {
            return usual;
        }
        let busiest = recorded.iter().filter(in_quote).max_by_key(|one| one.events);
        busiest.and_then(|one| Self::sized(&one.config)).unwrap_or(usual)
    }

    fn sized(config: &InstrumentConfig) -> Option<Self> {
        let lot = Decimal::new(1, u32::from(config.qty_decimals));
        let order_size = Decimal::from(ORDER_NOTIONAL)
            .checked_div(config.start_price)?
            .round_dp(u32::from(config.qty_decimals))
            .max(lot)
            .normalize();
        // At least two ticks, or both ends of a step would be the same price.
        let two_ticks = Decimal::new(2, u32::from(config.price_decimals));
        let percent = two_ticks.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(config.start_price)?;
        let percent =
            percent.max(Decimal::new(5, 3)).round_dp_with_strategy(3, rust_decimal::RoundingStrategy::AwayFromZero);
        Some(Self {
            symbol: config.symbol.to_string(),
            base: config.base.to_string(),
            order_size,
            step: format!("{}%", percent.normalize()),
        })
    }

    /// That many orders' size.
    pub(super) fn times(&self, orders: i64) -> Decimal {
        self.order_size.saturating_mul(Decimal::from(orders)).normalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Asset, Symbol};

    fn recorded(base: &str, decimals: (u8, u8), price: Decimal, events: u64) -> Recorded {
        let config = InstrumentConfig {
            symbol: Symbol::from(&format!("{base}USDT")).unwrap(),
            base: Asset::from(base).unwrap(),
            quote: Asset::from(QUOTE).unwrap(),
            price_decimals: decimals.0,
            qty_decimals: decimals.1,
            min_notional: Decimal::ONE,
            start_price: price,
        };
        Recorded { config, events }
    }

    #[test]
    fn busiest_instrument_is_traded_in_sizes_and_steps_that_fit_it() {
        let sun = recorded("SUN", (5, 0), Decimal::new(1_505, 5), 9);
        let scene = Scene::of(&[recorded("EOS", (4, 4), Decimal::new(24_411, 4), 5), sun]);
        assert_eq!((scene.symbol.as_str(), scene.order_size), ("SUNUSDT", Decimal::from(3_987)));
        assert_eq!((scene.step.as_str(), scene.times(5)), ("0.133%", Decimal::from(19_935)));
    }

    #[test]
    fn usual_instrument_stays_wherever_it_can() {
        let usual = Scene::of(&[]);
        assert_eq!((usual.symbol.as_str(), usual.base.as_str(), usual.step.as_str()), ("BTCUSDT", "BTC", "0.005%"));
        let (btc, eos) = (recorded("BTC", (2, 6), Decimal::from(60_000), 1), recorded("EOS", (4, 4), Decimal::ONE, 99));
        assert_eq!(Scene::of(&[eos, btc]), usual);
    }
}
