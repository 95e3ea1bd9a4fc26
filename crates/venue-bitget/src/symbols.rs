//! The venue's spelling of names.
//!
//! The venue calls the spot pair and the perpetual future of a coin by one name (`BTCUSDT`) and tells them apart by a
//! category beside it. Everywhere else in the program a name stands for one instrument: a perpetual future has the
//! suffix `-PERP`. This file alone adds and strips it.

use crate::loose::fixed;
use domain::{Asset, Market, Symbol};

/// The venue's words for a market.
pub(crate) trait VenueMarket: Sized {
    /// `category` of v3, `productType` and `instType` of v2.
    fn word(self) -> &'static str;
    /// `instType` on v3 streams.
    fn stream_word(self) -> &'static str;
    /// Reads the venue's word in whatever case (sheet trap 7); other products are none of ours.
    fn read(word: &str) -> Option<Self>;
    /// Our name of an instrument of this market, upper case (old answers have lower case).
    fn symbol(self, name: &str) -> Option<Symbol>;
}

impl VenueMarket for Market {
    fn word(self) -> &'static str {
        match self {
            Self::Spot => "SPOT",
            Self::UsdtFutures => "USDT-FUTURES",
        }
    }

    fn stream_word(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::UsdtFutures => "usdt-futures",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|market| word.eq_ignore_ascii_case(market.word()))
    }

    fn symbol(self, name: &str) -> Option<Symbol> {
        let mut symbol: Symbol = fixed(name)?;
        symbol.make_ascii_uppercase();
        if self == Self::UsdtFutures {
            symbol.try_push_str(Self::PERPETUAL_SUFFIX).ok()?;
        }
        Some(symbol)
    }
}

/// Market and venue's name of an instrument.
pub(crate) fn venue_name(symbol: &Symbol) -> (Market, &str) {
    match symbol.strip_suffix(Market::PERPETUAL_SUFFIX) {
        Some(name) => (Market::UsdtFutures, name),
        None => (Market::Spot, symbol),
    }
}

/// A coin's code, upper case (old answers have lower case).
pub(crate) fn asset(text: &str) -> Option<Asset> {
    let mut asset: Asset = fixed(text)?;
    asset.make_ascii_uppercase();
    Some(asset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_product_come_back_from_our_name() {
        for (market, name, ours) in
            [(Market::Spot, "btcusdt", "BTCUSDT"), (Market::UsdtFutures, "BTCUSDT", "BTCUSDT-PERP")]
        {
            let symbol = market.symbol(name).unwrap();
            assert_eq!(symbol.as_str(), ours);
            assert_eq!(venue_name(&symbol), (market, "BTCUSDT"));
            assert_eq!(Market::read(market.word()), Some(market));
            assert_eq!(Market::read(market.stream_word()), Some(market));
        }
        assert_eq!(Market::UsdtFutures.symbol("ABCDEFGHIJKLMNOPQRSTU"), None, "too long with its suffix");
        assert_eq!(Market::read("MARGIN"), None);
    }
}
