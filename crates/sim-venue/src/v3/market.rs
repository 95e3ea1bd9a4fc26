//! Public v3 answers: instruments and market data of every category.

use crate::Category;
use crate::call::{Answer, Call};
use crate::depth::{price_text, qty_text};
use crate::intervals::Interval;
use crate::perpetuals::Perpetual;
use crate::quotes::{CandleTexts, as_numbers};
use crate::reject::Reject;
use crate::ticket::{OPEN_ORDERS_MAX, price_band};
use crate::v2::mix_market::{funding_item, hours};
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

fn perpetual_instrument(instrument: &Instrument, perpetual: &Perpetual) -> Value {
    let (config, terms) = (&instrument.config, &perpetual.config);
    json!({
        "symbol": config.symbol, "category": category_name(instrument.category), "baseCoin": config.base,
        "quoteCoin": config.quote, "isRwa": "NO", "buyLimitPriceRatio": price_band(),
        "sellLimitPriceRatio": price_band(), "feeRateUpRatio": "0.005", "makerFeeRate": terms.maker_fee.to_string(),
        "takerFeeRate": terms.taker_fee.to_string(), "openCostUpRatio": "0.01",
        "minOrderQty": step(config.qty_decimals), "maxOrderQty": "1200", "maxMarketOrderQty": "220",
        "pricePrecision": config.price_decimals.to_string(), "quantityPrecision": config.qty_decimals.to_string(),
        "quotePrecision": "", "priceMultiplier": step(config.price_decimals),
        "quantityMultiplier": step(config.qty_decimals), "type": "perpetual",
        "minOrderAmount": config.min_notional.to_string(), "maxSymbolOrderNum": OPEN_ORDERS_MAX.to_string(),
        "maxProductOrderNum": OPEN_ORDERS_MAX.to_string(), "maxPositionNum": "200", "status": "online",
        "offTime": "-1", "limitOpenTime": "-1", "deliveryTime": "", "deliveryStartTime": "", "deliveryPeriod": "",
        "launchTime": "0", "fundInterval": hours(perpetual), "minLeverage": "1",
        "maxLeverage": terms.leverage_max.to_string(), "maintainTime": "", "symbolType": "crypto",
    })
}

pub(crate) fn instruments(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = some(venue, call)?.into_iter().map(|instrument| match &instrument.perpetual {
        Some(perpetual) => perpetual_instrument(instrument, perpetual),
        None => spot_instrument(venue, instrument),
    });
    Ok(Value::Array(items.collect()).into())
}

fn ticker(venue: &Venue, instrument: &Instrument) -> Value {
    let it = venue.figures(instrument);
    let mut ticker = json!({
        "category": category_name(instrument.category), "symbol": instrument.config.symbol, "ts": it.ts,
        "lastPrice": it.last, "openPrice24h": it.open, "highPrice24h": it.high, "lowPrice24h": it.low,
        "ask1Price": it.ask, "bid1Price": it.bid, "bid1Size": it.bid_size, "ask1Size": it.ask_size,
        "price24hPcnt": it.change, "volume24h": it.base, "turnover24h": it.quote,
    });
    if let (Some(members), Some(perpetual)) = (ticker.as_object_mut(), &instrument.perpetual) {
        let more = [
            ("indexPrice", perpetual.index.to_string()),
            ("markPrice", perpetual.mark.to_string()),
            ("fundingRate", perpetual.rate.to_string()),
            ("openInterest", venue.open_interest(instrument.id).to_string()),
            ("deliveryStartTime", String::new()),
            ("deliveryTime", String::new()),
            ("deliveryStatus", String::new()),
        ];
        members.extend(more.map(|(name, value)| (name.to_owned(), Value::String(value))));
    }
    ticker
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
    let asked = one(venue, call)?;
    // Mark prices are taken to follow the perpetual's own trades; the index is that of spot.
    let index = call.given("type").is_some_and(|kind| kind.eq_ignore_ascii_case("INDEX"));
    let twin = asked.perpetual.as_ref().filter(|_| index).and_then(|perpetual| perpetual.twin);
    let instrument = twin.and_then(|id| venue.by_id(id)).unwrap_or(asked);
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

/// The perpetual of a query, whose category goes without saying.
fn perpetual<'a>(venue: &'a Venue, call: &Call) -> Result<(&'a Instrument, &'a Perpetual), Reject> {
    let instrument = venue.asked(Category::UsdtFutures, call).map_err(code)?;
    let perpetual = instrument.perpetual.as_ref().ok_or_else(|| code(Reject::unknown_symbol("symbol")))?;
    Ok((instrument, perpetual))
}

pub(crate) fn open_interest(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = some(venue, call)?.into_iter().map(|instrument| {
        json!({"symbol": instrument.config.symbol, "openInterest": venue.open_interest(instrument.id).to_string()})
    });
    let items: Vec<Value> = items.collect();
    Ok(json!({"list": items, "ts": venue.now_ms().to_string()}).into())
}

pub(crate) fn current_fund_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, perpetual) = perpetual(venue, call)?;
    Ok(json!([funding_item(instrument, perpetual)]).into())
}

pub(crate) fn history_fund_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, perpetual) = perpetual(venue, call)?;
    let size = call.limit(100, 100).map_err(code)?;
    let page = usize::try_from(call.whole("cursor").map_err(code)?.unwrap_or(1)).unwrap_or(1).max(1);
    let wanted = perpetual.history.iter().rev().skip((page - 1).saturating_mul(size)).take(size);
    let items = wanted.map(|settled| {
        json!({"symbol": instrument.config.symbol, "fundingRate": settled.rate.to_string(),
               "fundingRateTimestamp": settled.at_ms.to_string()})
    });
    let items: Vec<Value> = items.collect();
    Ok(json!({"resultList": items}).into())
}

/// One tier: the same leverage and maintenance margin for positions of every size.
pub(crate) fn position_tier(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = some(venue, call)?.into_iter().filter_map(|instrument| instrument.perpetual.as_ref());
    let items = items.map(|perpetual| {
        json!({"tier": "1", "minTierValue": "0", "maxTierValue": "1000000000",
               "leverage": perpetual.config.leverage_max.to_string(),
               "mmr": perpetual.config.maintenance_rate.to_string()})
    });
    Ok(Value::Array(items.take(1).collect()).into())
}

pub(crate) fn interest_limit(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = some(venue, call)?.into_iter().map(|instrument| {
        json!({"symbol": instrument.config.symbol, "notionalValue": "1000000000", "totalNotionalValue": "1000000000"})
    });
    Ok(Value::Array(items.collect()).into())
}
