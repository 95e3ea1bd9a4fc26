//! Public v2 answers about spot: time, coins, instruments and market data.

use crate::Category::Spot;
use crate::call::{Answer, Call};
use crate::depth::{price_text, qty_text};
use crate::intervals::Interval;
use crate::quotes::{CandleTexts, as_texts, merged_limit, scale};
use crate::reject::Reject;
use crate::ticket::{OPEN_ORDERS_MAX, price_band};
use crate::venue::{Instrument, Venue};
use domain::{Asset, Side};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Prices of a book that REST shows.
const DEPTH_MAX: usize = 150;
/// Rows of `candles`.
const CANDLES_MAX: usize = 1_000;
/// Rows of `history-candles`.
const HISTORY_CANDLES_MAX: usize = 200;

pub(crate) fn time(venue: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!({"serverTime": venue.now_ms().to_string()}).into())
}

/// A list that exists and is empty here.
pub(crate) fn nothing(_: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!([]).into())
}

/// Every coin that is traded, in the order of their codes.
pub(crate) fn all_coins(venue: &Venue) -> BTreeSet<Asset> {
    venue.instruments.iter().flat_map(|instrument| [instrument.config.base, instrument.config.quote]).collect()
}

pub(crate) fn coins(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let names = all_coins(venue);
    let wanted = call.given("coin");
    let items =
        names.iter().enumerate().filter(|(_, name)| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name)));
    let items: Vec<Value> = items
        .map(|(position, name)| {
            json!({"coinId": (position + 1).to_string(), "coin": name, "transfer": "true", "areaCoin": "no", "chains": [{
                "chain": name, "needTag": "false", "withdrawable": "false", "rechargeable": "false", "withdrawFee": "0",
                "extraWithdrawFee": "0", "depositConfirm": "1", "withdrawConfirm": "1", "minDepositAmount": "0",
                "minWithdrawAmount": "0", "browserUrl": "", "contractAddress": null, "withdrawStep": "0",
                "withdrawMinScale": "8", "congestion": "normal"}]})
        })
        .collect();
    Ok(Value::Array(items).into())
}

pub(crate) fn symbols(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (maker, taker) = (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string());
    let band = price_band();
    let items = venue.asked_or_all(Spot, call)?.into_iter().map(|instrument| {
        let config = &instrument.config;
        json!({
            "symbol": config.symbol, "baseCoin": config.base, "quoteCoin": config.quote, "minTradeAmount": "0",
            "maxTradeAmount": "900000000000000000000", "takerFeeRate": taker, "makerFeeRate": maker,
            "pricePrecision": config.price_decimals.to_string(), "quantityPrecision": config.qty_decimals.to_string(),
            "quotePrecision": "8", "status": "online", "minTradeUSDT": config.min_notional.to_string(),
            "buyLimitPriceRatio": band, "sellLimitPriceRatio": band, "areaSymbol": "no",
            "orderQuantity": OPEN_ORDERS_MAX.to_string(), "openTime": "1532454360000", "offTime": "",
        })
    });
    Ok(Value::Array(items.collect()).into())
}

/// Margin lending is not offered: every coin is listed, and none can be borrowed.
pub(crate) fn margin_currencies(venue: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    let (maker, taker) = (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string());
    let items = venue.listed(Spot).map(|instrument| {
        let config = &instrument.config;
        json!({
            "symbol": config.symbol, "baseCoin": config.base, "quoteCoin": config.quote, "maxCrossedLeverage": "3",
            "maxIsolatedLeverage": "10", "warningRiskRatio": "0.80000000", "liquidationRiskRatio": "1.00000000",
            "minTradeAmount": "0", "maxTradeAmount": "900000000000000000000", "takerFeeRate": taker,
            "makerFeeRate": maker, "pricePrecision": config.price_decimals.to_string(),
            "quantityPrecision": config.qty_decimals.to_string(), "minTradeUSDT": config.min_notional.to_string(),
            "isBorrowable": false, "userMinBorrow": "0.00000001", "status": "1", "isIsolatedBaseBorrowable": false,
            "isIsolatedQuoteBorrowable": false, "isCrossBorrowable": false,
        })
    });
    Ok(Value::Array(items.collect()).into())
}

/// One level: everybody pays the same here. The level is a number on spot.
pub(crate) fn vip_fee_rate(venue: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    let (maker, taker) = (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string());
    Ok(json!([{
        "level": 1, "dealAmount": "1000000", "assetAmount": "50000", "takerFeeRate": taker, "makerFeeRate": maker,
        "btcWithdrawAmount": "300", "usdtWithdrawAmount": "5000000",
    }])
    .into())
}

/// The ticker as REST shows it.
fn ticker(venue: &Venue, instrument: &Instrument) -> Value {
    let it = venue.figures(instrument);
    json!({
        "symbol": instrument.config.symbol, "high24h": it.high, "open": it.open, "low24h": it.low, "lastPr": it.last,
        "quoteVolume": it.quote, "baseVolume": it.base, "usdtVolume": it.quote, "bidPr": it.bid, "askPr": it.ask,
        "bidSz": it.bid_size, "askSz": it.ask_size, "openUtc": it.open_utc, "ts": it.ts,
        "changeUtc24h": it.change_utc, "change24h": it.change,
    })
}

pub(crate) fn tickers(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = venue.asked_or_all(Spot, call)?.into_iter().map(|instrument| ticker(venue, instrument));
    Ok(Value::Array(items.collect()).into())
}

pub(crate) fn order_book(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let count = call.limit(DEPTH_MAX, DEPTH_MAX)?;
    // `step0` is every price; coarser steps merge prices, each ten times as wide.
    let word = call.given("type").unwrap_or("step0").to_ascii_lowercase();
    let step = word.strip_prefix("step").and_then(|step| step.parse::<u32>().ok()).filter(|step| *step <= 5);
    let width = 10_i64.pow(step.ok_or_else(|| Reject::invalid("type"))?);
    let instrument = venue.asked(Spot, call)?;
    let side = |side: Side| as_texts(&venue.merged(instrument, side, width, count), &instrument.listing);
    Ok(json!({"asks": side(Side::Sell), "bids": side(Side::Buy), "ts": venue.now_ms().to_string()}).into())
}

pub(crate) fn merge_depth(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let instrument = venue.asked(Spot, call)?;
    let (step, width, text) = scale(call, &instrument.listing)?;
    let count = merged_limit(call, DEPTH_MAX)?;
    let side = |side: Side| as_texts(&venue.merged(instrument, side, width, count), &instrument.listing);
    Ok(json!({
        "asks": side(Side::Sell), "bids": side(Side::Buy), "ts": venue.now_ms().to_string(), "scale": text,
        "precision": format!("scale{step}"), "isMaxPrecision": if step == 3 { "YES" } else { "NO" },
    })
    .into())
}

fn rows(venue: &Venue, call: &Call, max: usize) -> Result<Answer, Reject> {
    let count = call.limit(100, max)?;
    let interval = Interval::of_spot(call.needed("granularity")?)
        .ok_or_else(|| Reject::new("400171", "Parameter verification failed granularity"))?;
    let instrument = venue.asked(Spot, call)?;
    let candles = instrument.prints.candles(interval, call.span_ms()?, count);
    let rows = candles.iter().map(|candle| CandleTexts::of(candle, &instrument.listing).eight());
    Ok(Value::Array(rows.collect()).into())
}

pub(crate) fn candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    rows(venue, call, CANDLES_MAX)
}

pub(crate) fn history_candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    rows(venue, call, HISTORY_CANDLES_MAX)
}

/// Public trades, newest first, below an id and within a span.
pub(crate) fn prints(call: &Call, instrument: &Instrument, limits: (usize, usize)) -> Result<Value, Reject> {
    let count = call.limit(limits.0, limits.1)?;
    let (since, until) = call.span_ms()?;
    let below = call.whole("idLessThan")?.unwrap_or(u64::MAX);
    let wanted = instrument
        .prints
        .recent(usize::MAX)
        .filter(|print| print.id < below && (since..=until).contains(&print.at_ms))
        .take(count);
    let items = wanted.map(|print| {
        json!({
            "symbol": instrument.config.symbol, "tradeId": print.id.to_string(), "side": print.side.as_str(),
            "price": price_text(print.price, &instrument.listing), "size": qty_text(print.qty, &instrument.listing),
            "ts": print.at_ms.to_string(),
        })
    });
    Ok(Value::Array(items.collect()))
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let instrument = venue.asked(Spot, call)?;
    prints(call, instrument, (100, 500)).map(Answer::from)
}

pub(crate) fn fills_history(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let instrument = venue.asked(Spot, call)?;
    prints(call, instrument, (500, 1_000)).map(Answer::from)
}
