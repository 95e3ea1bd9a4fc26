//! Public v3 answers: instruments and market data of every category.

use crate::Category;
use crate::call::{Answer, Call};
use crate::depth::{price_text, qty_text};
use crate::intervals::Interval;
use crate::quotes::{CandleTexts, as_numbers};
use crate::reject::Reject;
use crate::ticket::{OPEN_ORDERS_MAX, price_band};
use crate::v3::shapes::category_name;
use crate::v3::trade::{category_word, code};
use crate::venue::{Instrument, Venue};
use domain::Side;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Categories that exist and have no instruments here.
const EMPTY: [&str; 3] = ["MARGIN", "COIN-FUTURES", "USDC-FUTURES"];

/// The category of a query; `None`: one that exists and is empty.
fn asked(call: &Call) -> Result<Option<Category>, Reject> {
    let word = call.needed("category").map_err(code)?;
    if EMPTY.iter().any(|empty| word.eq_ignore_ascii_case(empty)) {
        return Ok(None);
    }
    category_word(word).map(Some).map_err(code)
}

/// The instrument of a query that must name one.
fn one<'a>(venue: &'a Venue, call: &Call) -> Result<&'a Instrument, Reject> {
    let category = asked(call)?.ok_or_else(|| code(Reject::unknown_symbol(call.given("symbol").unwrap_or(""))))?;
    venue.asked(category, call).map_err(code)
}

/// The instruments of a query that may name one.
fn some<'a>(venue: &'a Venue, call: &Call) -> Result<Vec<&'a Instrument>, Reject> {
    match asked(call)? {
        Some(category) => venue.asked_or_all(category, call).map_err(code),
        None => Ok(Vec::new()),
    }
}

fn step(decimals: u8) -> String {
    Decimal::new(1, u32::from(decimals)).to_string()
}

fn spot_instrument(venue: &Venue, instrument: &Instrument) -> Value {
    let config = &instrument.config;
    json!({
        "symbol": config.symbol, "category": category_name(instrument.category), "baseCoin": config.base,
        "quoteCoin": config.quote, "isRwa": "NO", "buyLimitPriceRatio": price_band(),
        "sellLimitPriceRatio": price_band(), "feeRateUpRatio": "", "makerFeeRate": venue.fees.maker.fraction().to_string(),
        "takerFeeRate": venue.fees.taker.fraction().to_string(), "openCostUpRatio": "", "minOrderQty": step(config.qty_decimals),
        "maxOrderQty": "900000000000000000000", "maxMarketOrderQty": "900000000000000000000",
        "pricePrecision": config.price_decimals.to_string(), "quantityPrecision": config.qty_decimals.to_string(),
        "quotePrecision": "8", "priceMultiplier": step(config.price_decimals),
        "quantityMultiplier": step(config.qty_decimals), "type": "", "minOrderAmount": config.min_notional.to_string(),
        "maxSymbolOrderNum": OPEN_ORDERS_MAX.to_string(), "maxProductOrderNum": OPEN_ORDERS_MAX.to_string(),
        "maxPositionNum": "", "status": "online", "offTime": "", "limitOpenTime": "", "deliveryTime": "",
        "deliveryStartTime": "", "deliveryPeriod": "", "launchTime": "1532454360000", "fundInterval": "",
        "minLeverage": "", "maxLeverage": "", "maintainTime": "", "symbolType": "crypto", "areaSymbol": "no",
    })
}

pub(crate) fn instruments(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = some(venue, call)?.into_iter().map(|instrument| spot_instrument(venue, instrument));
    Ok(Value::Array(items.collect()).into())
}

fn ticker(venue: &Venue, instrument: &Instrument) -> Value {
    let it = venue.figures(instrument);
    json!({
        "category": category_name(instrument.category), "symbol": instrument.config.symbol, "ts": it.ts,
        "lastPrice": it.last, "openPrice24h": it.open, "highPrice24h": it.high, "lowPrice24h": it.low,
        "ask1Price": it.ask, "bid1Price": it.bid, "bid1Size": it.bid_size, "ask1Size": it.ask_size,
        "price24hPcnt": it.change, "volume24h": it.base, "turnover24h": it.quote,
    })
}

pub(crate) fn tickers(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = some(venue, call)?.into_iter().map(|instrument| ticker(venue, instrument));
    Ok(Value::Array(items.collect()).into())
}

pub(crate) fn order_book(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let count = call.limit(5, 200).map_err(code)?;
    let instrument = one(venue, call)?;
    let side = |side: Side| as_numbers(&venue.merged(instrument, side, 1, count), &instrument.listing);
    Ok(json!({"a": side(Side::Sell), "b": side(Side::Buy), "ts": venue.now_ms().to_string()}).into())
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let count = call.limit(100, 100).map_err(code)?;
    let instrument = one(venue, call)?;
    let items = instrument.prints.recent(count).map(|print| {
        json!({
            "execId": print.id.to_string(), "execLinkId": print.id.to_string(),
            "price": price_text(print.price, &instrument.listing).to_string(),
            "size": qty_text(print.qty, &instrument.listing).to_string(), "side": print.side.as_str(),
            "ts": print.at_ms.to_string(), "isRPI": "no",
        })
    });
    Ok(Value::Array(items.collect()).into())
}

fn rows(venue: &Venue, call: &Call, max: usize) -> Result<Answer, Reject> {
    let count = call.limit(100, max).map_err(code)?;
    let word = call.needed("interval").map_err(code)?;
    let interval = Interval::of_general(word).ok_or_else(|| code(Reject::invalid("interval")))?;
    let instrument = one(venue, call)?;
    let candles = instrument.prints.candles(interval, call.span_ms().map_err(code)?, count);
    let rows = candles.iter().map(|candle| CandleTexts::of(candle, &instrument.listing).seven());
    Ok(Value::Array(rows.collect()).into())
}

pub(crate) fn candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    rows(venue, call, 1_000)
}

pub(crate) fn history_candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    rows(venue, call, 200)
}
