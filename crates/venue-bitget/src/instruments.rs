//! The venue's lists of instruments, of both generations and markets.

use crate::loose::Loose;
use crate::symbols::{VenueMarket as _, asset};
use domain::{Amount, InstrumentStatus, Market, NumberError, Scaled};
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
        rules(&Rules {
            market: Market::Spot,
            names: [self.symbol, self.base_coin, self.quote_coin],
            price_decimals: decimals(self.price_precision)?,
            qty_decimals: decimals(self.quantity_precision)?,
            tick: 1,
            lot: 1,
            min_qty: self.min_trade_amount,
            max_qty: self.max_trade_amount,
            min_notional: self.min_trade_usdt,
            status: status(self.status.text().as_deref().unwrap_or("")),
            fees: [self.maker_fee_rate, self.taker_fee_rate],
            leverage_max: Loose::default(),
        })
    }
}

/// One row of `GET /api/v2/mix/market/contracts` (sheet section 6.1).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ContractRow<'a> {
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    base_coin: Loose<'a>,
    #[serde(borrow)]
    quote_coin: Loose<'a>,
    #[serde(borrow)]
    maker_fee_rate: Loose<'a>,
    #[serde(borrow)]
    taker_fee_rate: Loose<'a>,
    #[serde(borrow)]
    min_trade_num: Loose<'a>,
    #[serde(borrow)]
    max_order_qty: Loose<'a>,
    /// Smallest price step, in units of the last decimal.
    #[serde(borrow)]
    price_end_step: Loose<'a>,
    #[serde(borrow)]
    price_place: Loose<'a>,
    #[serde(borrow)]
    volume_place: Loose<'a>,
    /// Quantities are multiples of it.
    #[serde(borrow)]
    size_multiplier: Loose<'a>,
    #[serde(borrow)]
    symbol_type: Loose<'a>,
    #[serde(borrow)]
    symbol_status: Loose<'a>,
    #[serde(borrow, rename = "minTradeUSDT")]
    min_trade_usdt: Loose<'a>,
    #[serde(borrow)]
    max_lever: Loose<'a>,
}

impl ContractRow<'_> {
    /// Whether it is a row of this list, and no spot instrument.
    pub(crate) fn is_contract(&self) -> bool {
        self.price_place.text().is_some()
    }

    /// The row as an instrument; contracts with a date of delivery are none of ours.
    pub(crate) fn listed(&self) -> Option<ListedInstrument> {
        if self.symbol_type.text()? != "perpetual" {
            return None;
        }
        let (price_decimals, qty_decimals) = (decimals(self.price_place)?, decimals(self.volume_place)?);
        let tick = self.price_end_step.text()?.parse().ok().filter(|tick| *tick >= 1)?;
        let status = match self.symbol_status.text().as_deref() {
            Some("normal") => InstrumentStatus::Online,
            Some("off") => InstrumentStatus::Delisted,
            _ => InstrumentStatus::Halted,
        };
        rules(&Rules {
            market: Market::UsdtFutures,
            names: [self.symbol, self.base_coin, self.quote_coin],
            price_decimals,
            qty_decimals,
            tick,
            lot: step(self.size_multiplier, qty_decimals)?,
            min_qty: self.min_trade_num,
            max_qty: self.max_order_qty,
            min_notional: self.min_trade_usdt,
            status,
            fees: [self.maker_fee_rate, self.taker_fee_rate],
            leverage_max: self.max_lever,
        })
    }
}

/// One row of `GET /api/v3/market/instruments` (sheet section 9).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct UnifiedRow<'a> {
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    category: Loose<'a>,
    #[serde(borrow)]
    base_coin: Loose<'a>,
    #[serde(borrow)]
    quote_coin: Loose<'a>,
    #[serde(borrow)]
    maker_fee_rate: Loose<'a>,
    #[serde(borrow)]
    taker_fee_rate: Loose<'a>,
    #[serde(borrow)]
    min_order_qty: Loose<'a>,
    #[serde(borrow)]
    max_order_qty: Loose<'a>,
    #[serde(borrow)]
    price_precision: Loose<'a>,
    #[serde(borrow)]
    quantity_precision: Loose<'a>,
    /// Smallest price step, as a number; spot rows may have none.
    #[serde(borrow)]
    price_multiplier: Loose<'a>,
    /// Quantities are multiples of it; spot rows may have none.
    #[serde(borrow)]
    quantity_multiplier: Loose<'a>,
    #[serde(borrow)]
    min_order_amount: Loose<'a>,
    #[serde(borrow)]
    max_leverage: Loose<'a>,
    #[serde(borrow, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow)]
    status: Loose<'a>,
}

impl UnifiedRow<'_> {
    /// The row as an instrument; products and contracts that are none of ours are nothing.
    pub(crate) fn listed(&self) -> Option<ListedInstrument> {
        let market = Market::read(&self.category.text()?)?;
        if market == Market::UsdtFutures && self.kind.text()? != "perpetual" {
            return None;
        }
        let (price_decimals, qty_decimals) = (decimals(self.price_precision)?, decimals(self.quantity_precision)?);
        rules(&Rules {
            market,
            names: [self.symbol, self.base_coin, self.quote_coin],
            price_decimals,
            qty_decimals,
            tick: step(self.price_multiplier, price_decimals)?,
            lot: step(self.quantity_multiplier, qty_decimals)?,
            min_qty: self.min_order_qty,
            max_qty: self.max_order_qty,
            min_notional: self.min_order_amount,
            status: status(self.status.text().as_deref().unwrap_or("")),
            fees: [self.maker_fee_rate, self.taker_fee_rate],
            leverage_max: self.max_leverage,
        })
    }
}

/// What the rows of all lists say, in their own words.
struct Rules<'a> {
    market: Market,
    /// Symbol, base, quote.
    names: [Loose<'a>; 3],
    price_decimals: u8,
    qty_decimals: u8,
    tick: i64,
    lot: i64,
    min_qty: Loose<'a>,
    max_qty: Loose<'a>,
    min_notional: Loose<'a>,
    status: InstrumentStatus,
    /// Maker, taker.
    fees: [Loose<'a>; 2],
    leverage_max: Loose<'a>,
}

fn rules(row: &Rules<'_>) -> Option<ListedInstrument> {
    let [symbol, base, quote] = row.names;
    let quote = asset(&quote.text()?)?;
    let [maker_fee, taker_fee] = row.fees.map(|fee| fee.decimal().ok().map(Option::unwrap_or_default));
    let min_notional = row.min_notional.decimal().ok()?.unwrap_or_default();
    Some(ListedInstrument {
        market: row.market,
        leverage_max: leverage(row.leverage_max)?,
        symbol: row.market.symbol(&symbol.text()?)?,
        base: asset(&base.text()?)?,
        quote,
        price_decimals: row.price_decimals,
        qty_decimals: row.qty_decimals,
        tick: row.tick,
        lot: row.lot,
        min_qty: mantissa_up(row.min_qty.decimal().ok()?.unwrap_or_default(), row.qty_decimals)?,
        // Far beyond 64 bits on most spot instruments: then there is no limit.
        max_qty: max_qty(row.max_qty, row.qty_decimals),
        // Stated in USDT whatever the quote asset; elsewhere the venue's own check has to do.
        min_notional: Amount(if DOLLAR_QUOTES.contains(&quote.as_str()) { min_notional } else { Decimal::ZERO }),
        status: row.status,
        maker_fee: Amount(maker_fee?),
        taker_fee: Amount(taker_fee?),
    })
}

/// Largest leverage; none is stated on spot. A part of a multiple cannot be used.
fn leverage(field: Loose<'_>) -> Option<u16> {
    let stated = field.decimal().ok()?.unwrap_or_default();
    stated.trunc().to_u16()
}

/// A step as a mantissa, at least 1; where none is stated, the last decimal is the step. A step between the decimals
/// is no rule that orders can keep, so the instrument is none of ours.
fn step(field: Loose<'_>, decimals: u8) -> Option<i64> {
    match field.scaled().ok()? {
        Some(step) => step.rescaled(decimals).ok().filter(|step| *step >= 1),
        None => Some(1),
    }
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

    const PERPETUAL_V2: &str = r#"{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","makerFeeRate":"0.0002","takerFeeRate":"0.0006","supportMarginCoins":["USDT"],"minTradeNum":"0.0001","priceEndStep":"5","volumePlace":"4","pricePlace":"1","sizeMultiplier":"0.0001","symbolType":"perpetual","minTradeUSDT":"5","symbolStatus":"normal","minLever":"1","maxLever":"150","maxMarketOrderQty":"220","maxOrderQty":"1200"}"#;
    const PERPETUAL_V3: &str = r#"{"symbol":"BTCUSDT","category":"USDT-FUTURES","baseCoin":"BTC","quoteCoin":"USDT","minOrderQty":"0.0001","maxOrderQty":"1200","maxMarketOrderQty":"220","pricePrecision":"1","quantityPrecision":"4","priceMultiplier":"0.5","quantityMultiplier":"0.0001","type":"perpetual","minOrderAmount":"5","status":"online","makerFeeRate":"0.0002","takerFeeRate":"0.0006","minLeverage":"1","maxLeverage":"150","fundInterval":"8"}"#;

    #[test]
    fn both_generations_list_the_same_perpetual_future() {
        let contract: ContractRow<'_> = serde_json::from_str(PERPETUAL_V2).unwrap();
        assert!(contract.is_contract());
        let classic = contract.listed().unwrap();
        let unified = serde_json::from_str::<UnifiedRow<'_>>(PERPETUAL_V3).unwrap().listed().unwrap();
        assert_eq!(classic, unified);
        assert_eq!(classic.symbol.as_str(), "BTCUSDT-PERP");
        assert_eq!((classic.price_decimals, classic.tick, classic.qty_decimals, classic.lot), (1, 5, 4, 1));
        assert_eq!(
            (classic.min_qty, classic.max_qty, classic.min_notional.to_string()),
            (1, 12_000_000, "5".to_owned())
        );
        assert_eq!((classic.market, classic.leverage_max), (Market::UsdtFutures, 150));
    }

    #[test]
    fn contracts_that_end_and_other_products_are_left_out() {
        let v3 = |json: &str| serde_json::from_str::<UnifiedRow<'_>>(json).unwrap().listed();
        assert!(v3(&PERPETUAL_V3.replace("perpetual", "delivery")).is_none());
        assert!(v3(&PERPETUAL_V3.replace("USDT-FUTURES", "COIN-FUTURES")).is_none());
        let v2 = |json: &str| serde_json::from_str::<ContractRow<'_>>(json).unwrap().listed();
        assert!(v2(&PERPETUAL_V2.replace("perpetual", "delivery")).is_none());
    }

    #[test]
    fn a_step_that_orders_cannot_keep_leaves_the_instrument_out() {
        let row = PERPETUAL_V3.replace(r#""priceMultiplier":"0.5""#, r#""priceMultiplier":"0.25""#);
        assert!(serde_json::from_str::<UnifiedRow<'_>>(&row).unwrap().listed().is_none());
    }

    #[test]
    fn a_spot_row_of_the_unified_account_needs_no_steps() {
        let row = PERPETUAL_V3
            .replace("USDT-FUTURES", "SPOT")
            .replace(r#""priceMultiplier":"0.5","quantityMultiplier":"0.0001","type":"perpetual","#, "");
        let spot = serde_json::from_str::<UnifiedRow<'_>>(&row).unwrap().listed().unwrap();
        assert_eq!((spot.symbol.as_str(), spot.tick, spot.lot), ("BTCUSDT", 1, 1));
    }
}
