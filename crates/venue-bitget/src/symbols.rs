//! The venue's list of spot instruments, and its spelling of names.

use crate::loose::{Loose, fixed};
use domain::{Amount, Asset, InstrumentStatus, NumberError, Scaled, Symbol};
use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;
use venue_api::ListedInstrument;

/// One row of `GET /api/v2/spot/public/symbols` (sheet section 6.1). Precisions are counts of decimals.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SymbolRow<'a> {
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    base_coin: Loose<'a>,
    #[serde(borrow)]
    quote_coin: Loose<'a>,
    #[serde(borrow)]
    min_trade_amount: Loose<'a>,
    #[serde(borrow)]
    max_trade_amount: Loose<'a>,
    #[serde(borrow)]
    taker_fee_rate: Loose<'a>,
    #[serde(borrow)]
    maker_fee_rate: Loose<'a>,
    #[serde(borrow)]
    price_precision: Loose<'a>,
    #[serde(borrow)]
    quantity_precision: Loose<'a>,
    #[serde(borrow, rename = "minTradeUSDT")]
    min_trade_usdt: Loose<'a>,
    #[serde(borrow)]
    status: Loose<'a>,
}

/// Quote assets whose unit is the one in which the venue states its minimum notional (`minTradeUSDT`).
const DOLLAR_QUOTES: [&str; 4] = ["USDT", "USDC", "USD", "USDE"];

impl SymbolRow<'_> {
    /// The row as an instrument, or nothing when it cannot be traded here (names too long, numbers unreadable).
    pub(crate) fn listed(&self) -> Option<ListedInstrument> {
        let price_decimals = decimals(self.price_precision)?;
        let qty_decimals = decimals(self.quantity_precision)?;
        let quote = asset(&self.quote_coin.text()?)?;
        let min_notional = self.min_trade_usdt.decimal().ok()?.unwrap_or_default();
        Some(ListedInstrument {
            market: domain::Market::Spot,
            leverage_max: 0,
            symbol: symbol(&self.symbol.text()?)?,
            base: asset(&self.base_coin.text()?)?,
            quote,
            price_decimals,
            qty_decimals,
            tick: 1,
            lot: 1,
            min_qty: mantissa_up(self.min_trade_amount.decimal().ok()?.unwrap_or_default(), qty_decimals)?,
            // Far beyond 64 bits on most instruments: then there is no limit.
            max_qty: max_qty(self.max_trade_amount, qty_decimals),
            // Stated in USDT whatever the quote asset; elsewhere the venue's own check has to do.
            min_notional: Amount(if DOLLAR_QUOTES.contains(&quote.as_str()) { min_notional } else { Decimal::ZERO }),
            status: status(self.status.text().as_deref().unwrap_or("")),
            maker_fee: Amount(self.maker_fee_rate.decimal().ok()?.unwrap_or_default()),
            taker_fee: Amount(self.taker_fee_rate.decimal().ok()?.unwrap_or_default()),
        })
    }
}

/// The venue's spelling of an instrument, upper case (old answers have lower case).
pub(crate) fn symbol(text: &str) -> Option<Symbol> {
    let mut symbol: Symbol = fixed(text)?;
    symbol.make_ascii_uppercase();
    Some(symbol)
}

/// A coin's code, upper case (old answers have lower case).
pub(crate) fn asset(text: &str) -> Option<Asset> {
    let mut asset: Asset = fixed(text)?;
    asset.make_ascii_uppercase();
    Some(asset)
}

/// `gray` is open to chosen accounts only, so it counts as halted, like every word that is not known.
fn status(word: &str) -> InstrumentStatus {
    match word {
        "online" => InstrumentStatus::Online,
        "offline" => InstrumentStatus::Delisted,
        _ => InstrumentStatus::Halted,
    }
}

fn decimals(field: Loose<'_>) -> Option<u8> {
    field.text()?.parse().ok().filter(|decimals| *decimals <= Scaled::DECIMALS_MAX)
}

/// A minimum as a mantissa; a minimum between two steps is the upper one.
fn mantissa_up(number: Decimal, decimals: u8) -> Option<i64> {
    let rounded = number.round_dp_with_strategy(u32::from(decimals), RoundingStrategy::AwayFromZero);
    rounded.checked_mul(Decimal::from(domain::pow10(decimals)?))?.to_i64()
}

fn max_qty(field: Loose<'_>, decimals: u8) -> i64 {
    let exact = |number: Scaled| match number.rescaled(decimals) {
        Err(NumberError::TooPrecise { .. }) => number.decimal().trunc_with_scale(u32::from(decimals)).try_into(),
        _ => Ok(number),
    };
    let number = field.scaled().ok().flatten().and_then(|number| exact(number).ok());
    number.and_then(|number: Scaled| number.rescaled(decimals).ok()).unwrap_or(0).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: &str) -> Option<ListedInstrument> {
        serde_json::from_str::<SymbolRow<'_>>(json).unwrap().listed()
    }

    const BTCUSDT: &str = r#"{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","minTradeAmount":"0","maxTradeAmount":"900000000000000000000","takerFeeRate":"0.002","makerFeeRate":"0.001","pricePrecision":"2","quantityPrecision":"6","quotePrecision":"8","status":"online","minTradeUSDT":"1"}"#;

    #[test]
    fn a_listed_instrument_has_the_rules_of_its_row() {
        let btc = listed(BTCUSDT).unwrap();
        assert_eq!((btc.symbol.as_str(), btc.base.as_str(), btc.quote.as_str()), ("BTCUSDT", "BTC", "USDT"));
        assert_eq!((btc.price_decimals, btc.qty_decimals, btc.tick, btc.lot), (2, 6, 1, 1));
        assert_eq!((btc.min_qty, btc.max_qty), (0, 0));
        assert_eq!(btc.min_notional.0, Decimal::ONE);
        assert_eq!((btc.maker_fee.to_string(), btc.taker_fee.to_string()), ("0.001".to_owned(), "0.002".to_owned()));
        assert_eq!(btc.status, InstrumentStatus::Online);
    }

    #[test]
    fn a_minimum_between_two_steps_is_the_upper_one_and_a_maximum_the_lower_one() {
        let row = BTCUSDT
            .replace(r#""minTradeAmount":"0""#, r#""minTradeAmount":0.0000015"#)
            .replace("900000000000000000000", "12.3456789");
        let btc = listed(&row).unwrap();
        assert_eq!((btc.min_qty, btc.max_qty), (2, 12_345_678));
    }

    #[test]
    fn a_minimum_in_dollars_is_no_minimum_in_bitcoin() {
        let row = BTCUSDT.replace(r#""quoteCoin":"USDT""#, r#""quoteCoin":"BTC""#);
        assert_eq!(listed(&row).unwrap().min_notional, Amount::ZERO);
    }

    #[test]
    fn only_online_instruments_take_orders() {
        for (word, expected) in [
            ("gray", InstrumentStatus::Halted),
            ("halt", InstrumentStatus::Halted),
            ("offline", InstrumentStatus::Delisted),
            ("brand_new_word", InstrumentStatus::Halted),
        ] {
            assert_eq!(listed(&BTCUSDT.replace("online", word)).unwrap().status, expected, "{word}");
        }
    }

    #[test]
    fn a_row_without_precisions_is_left_out() {
        assert!(listed(&BTCUSDT.replace("pricePrecision", "other")).is_none());
        assert!(listed(&BTCUSDT.replace(r#""quantityPrecision":"6""#, r#""quantityPrecision":"19""#)).is_none());
    }
}
