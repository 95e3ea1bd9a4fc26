//! Public v2 answers about futures: contracts, market data, funding.

use crate::Category::UsdtFutures;
use crate::call::{Answer, Call};
use crate::intervals::Interval;
use crate::perpetuals::Perpetual;
use crate::quotes::{CandleTexts, as_numbers, merged_limit, scale};
use crate::reject::Reject;
use crate::ticket::{OPEN_ORDERS_MAX, price_band};
use crate::v2::product_of_query;
use crate::v2::spot_market::prints;
use crate::venue::{Instrument, Venue};
use domain::Side;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Prices of a book that REST shows.
const DEPTH_MAX: usize = 500;
/// Largest funding rate in either direction, as the venue's lists show it.
pub(crate) const FUNDING_RATE_MAX: &str = "0.003";

/// An instrument and what makes it a perpetual.
type Contract<'a> = (&'a Instrument, &'a Perpetual);

/// The perpetuals of a query, or the one it names; none for products that are not offered.
fn contracts_of<'a>(venue: &'a Venue, call: &Call) -> Result<Vec<Contract<'a>>, Reject> {
    if !product_of_query(call)? {
        return Ok(Vec::new());
    }
    let asked = venue.asked_or_all(UsdtFutures, call)?;
    Ok(asked.into_iter().filter_map(|instrument| Some((instrument, instrument.perpetual.as_ref()?))).collect())
}

/// The perpetual of a query, which must name it.
fn contract_of<'a>(venue: &'a Venue, call: &Call) -> Result<Contract<'a>, Reject> {
    let symbol = call.needed("symbol")?;
    contracts_of(venue, call)?.first().copied().ok_or_else(|| Reject::unknown_symbol(symbol))
}

fn list(items: impl Iterator<Item = Value>) -> Answer {
    Value::Array(items.collect()).into()
}

/// Hours between two settlements of funding; less than an hour is shown as a fraction.
pub(crate) fn hours(perpetual: &Perpetual) -> String {
    (Decimal::from(perpetual.interval_ms) / Decimal::from(3_600_000)).normalize().to_string()
}

pub(crate) fn contracts(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let band = price_band();
    Ok(list(contracts_of(venue, call)?.into_iter().map(|(instrument, perpetual)| {
        let (config, terms) = (&instrument.config, &perpetual.config);
        let lot = Decimal::new(instrument.listing.lot, u32::from(config.qty_decimals)).normalize().to_string();
        json!({
            "symbol": config.symbol, "baseCoin": config.base, "quoteCoin": config.quote, "buyLimitPriceRatio": band,
            "sellLimitPriceRatio": band, "feeRateUpRatio": "0.005", "makerFeeRate": terms.maker_fee.to_string(),
            "takerFeeRate": terms.taker_fee.to_string(), "openCostUpRatio": "0.01", "supportMarginCoins": [config.quote],
            "minTradeNum": lot, "priceEndStep": instrument.listing.tick.to_string(),
            "volumePlace": config.qty_decimals.to_string(), "pricePlace": config.price_decimals.to_string(),
            "sizeMultiplier": lot, "symbolType": "perpetual", "minTradeUSDT": config.min_notional.to_string(),
            "maxSymbolOrderNum": OPEN_ORDERS_MAX.to_string(), "maxProductOrderNum": OPEN_ORDERS_MAX.to_string(),
            "maxPositionNum": "150", "symbolStatus": "normal", "offTime": "-1", "limitOpenTime": "-1",
            "deliveryTime": "", "deliveryStartTime": "", "deliveryPeriod": "", "launchTime": "",
            "fundInterval": hours(perpetual), "minLever": "1", "maxLever": terms.leverage_max.to_string(),
            "posLimit": "0.1", "maintainTime": "", "openTime": "", "maxMarketOrderQty": "220", "maxOrderQty": "1200",
        })
    })))
}

fn ticker_item(venue: &Venue, (instrument, perpetual): Contract<'_>) -> Value {
    let it = venue.figures(instrument);
    json!({
        "symbol": instrument.config.symbol, "lastPr": it.last, "askPr": it.ask, "bidPr": it.bid, "bidSz": it.bid_size,
        "askSz": it.ask_size, "high24h": it.high, "low24h": it.low, "ts": it.ts, "change24h": it.change,
        "baseVolume": it.base, "quoteVolume": it.quote, "usdtVolume": it.quote, "openUtc": it.open_utc,
        "changeUtc24h": it.change_utc, "indexPrice": perpetual.index.to_string(),
        "fundingRate": perpetual.rate.to_string(), "holdingAmount": venue.open_interest(instrument.id).to_string(),
        "deliveryStartTime": null, "deliveryTime": null, "deliveryStatus": "delivery_normal", "open24h": it.open,
        "markPrice": perpetual.mark.to_string(),
    })
}

/// The `data` of a push on `ticker`.
pub(crate) fn ticker_push(venue: &Venue, instrument: &Instrument, perpetual: &Perpetual) -> Value {
    let it = venue.figures(instrument);
    json!({
        "instId": instrument.config.symbol, "symbol": instrument.config.symbol, "lastPr": it.last, "bidPr": it.bid,
        "askPr": it.ask, "bidSz": it.bid_size, "askSz": it.ask_size, "open24h": it.open, "high24h": it.high,
        "low24h": it.low, "change24h": it.change, "fundingRate": perpetual.rate.to_string(),
        "nextFundingTime": perpetual.next_funding_ms.to_string(), "markPrice": perpetual.mark.to_string(),
        "indexPrice": perpetual.index.to_string(), "holdingAmount": venue.open_interest(instrument.id).to_string(),
        "baseVolume": it.base, "quoteVolume": it.quote, "openUtc": it.open_utc, "symbolType": "1",
        "deliveryPrice": "0", "ts": it.ts,
    })
}

/// One ticker, in a list of one.
pub(crate) fn ticker(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let contract = contract_of(venue, call)?;
    Ok(list(std::iter::once(ticker_item(venue, contract))))
}

pub(crate) fn tickers(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    Ok(list(contracts_of(venue, call)?.into_iter().map(|contract| ticker_item(venue, contract))))
}

/// Prices and sizes are bare numbers here.
pub(crate) fn merge_depth(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, _) = contract_of(venue, call)?;
    let (step, width, text) = scale(call, &instrument.listing)?;
    let count = merged_limit(call, DEPTH_MAX)?;
    let side = |side: Side| as_numbers(&venue.merged(instrument, side, width, count), &instrument.listing);
    Ok(json!({
        "asks": side(Side::Sell), "bids": side(Side::Buy), "ts": venue.now_ms().to_string(), "scale": text,
        "precision": format!("scale{step}"), "isMaxPrecision": if step == 3 { "YES" } else { "NO" },
    })
    .into())
}

/// Whose prices candles are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// The perpetual's own trades; the mark price is taken to follow them.
    Own,
    /// The trades of spot.
    Index,
}

fn rows(venue: &Venue, call: &Call, line: Line, max: usize) -> Result<Answer, Reject> {
    let count = call.limit(100, max)?;
    let interval = Interval::of_general(call.needed("granularity")?)
        .ok_or_else(|| Reject::new("400171", "Parameter verification failed granularity"))?;
    let (own, perpetual) = contract_of(venue, call)?;
    let twin = perpetual.twin.filter(|_| line == Line::Index).and_then(|id| venue.by_id(id));
    let instrument = twin.unwrap_or(own);
    let candles = instrument.prints.candles(interval, call.span_ms()?, count);
    Ok(list(candles.iter().map(|candle| CandleTexts::of(candle, &instrument.listing).seven())))
}

pub(crate) fn candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let line = match call.given("kLineType").unwrap_or("MARKET").to_ascii_uppercase().as_str() {
        "MARKET" | "MARK" => Line::Own,
        "INDEX" => Line::Index,
        _ => return Err(Reject::invalid("kLineType")),
    };
    rows(venue, call, line, 1_000)
}

pub(crate) fn history_candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    rows(venue, call, Line::Own, 200)
}

pub(crate) fn history_index_candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    rows(venue, call, Line::Index, 200)
}

pub(crate) fn fills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, _) = contract_of(venue, call)?;
    prints(call, instrument, (100, 100)).map(Answer::from)
}

pub(crate) fn fills_history(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, _) = contract_of(venue, call)?;
    prints(call, instrument, (500, 1_000)).map(Answer::from)
}

pub(crate) fn open_interest(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, _) = contract_of(venue, call)?;
    let size = venue.open_interest(instrument.id).to_string();
    Ok(json!({
        "openInterestList": [{"symbol": instrument.config.symbol, "size": size}], "ts": venue.now_ms().to_string(),
    })
    .into())
}

pub(crate) fn funding_time(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, perpetual) = contract_of(venue, call)?;
    Ok(json!([{
        "symbol": instrument.config.symbol, "nextFundingTime": perpetual.next_funding_ms.to_string(),
        "ratePeriod": hours(perpetual),
    }])
    .into())
}

/// The rate that would be settled now.
pub(crate) fn funding_item(instrument: &Instrument, perpetual: &Perpetual) -> Value {
    json!({
        "symbol": instrument.config.symbol, "fundingRate": perpetual.rate.to_string(),
        "fundingRateInterval": hours(perpetual), "nextUpdate": perpetual.next_funding_ms.to_string(),
        "minFundingRate": format!("-{FUNDING_RATE_MAX}"), "maxFundingRate": FUNDING_RATE_MAX,
    })
}

pub(crate) fn current_fund_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let contracts = contracts_of(venue, call)?;
    Ok(list(contracts.into_iter().map(|(instrument, perpetual)| funding_item(instrument, perpetual))))
}

pub(crate) fn history_fund_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, perpetual) = contract_of(venue, call)?;
    let size = usize::try_from(call.whole("pageSize")?.unwrap_or(20)).unwrap_or(100).clamp(1, 100);
    let page = usize::try_from(call.whole("pageNo")?.unwrap_or(1)).unwrap_or(1).max(1);
    let wanted = perpetual.history.iter().rev().skip((page - 1).saturating_mul(size)).take(size);
    Ok(list(wanted.map(|settled| {
        json!({"symbol": instrument.config.symbol, "fundingRate": settled.rate.to_string(),
               "fundingTime": settled.at_ms.to_string()})
    })))
}

pub(crate) fn symbol_price(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let contract = contract_of(venue, call)?;
    let it = venue.figures(contract.0);
    Ok(json!([{
        "symbol": contract.0.config.symbol, "price": it.last, "indexPrice": contract.1.index.to_string(),
        "markPrice": contract.1.mark.to_string(), "ts": it.ts,
    }])
    .into())
}

/// One tier: the same leverage and maintenance margin for positions of every size.
pub(crate) fn position_lever(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (instrument, perpetual) = contract_of(venue, call)?;
    Ok(json!([{
        "symbol": instrument.config.symbol, "level": "1", "startUnit": "0", "endUnit": "1000000000",
        "leverage": perpetual.config.leverage_max.to_string(),
        "keepMarginRate": perpetual.config.maintenance_rate.to_string(),
    }])
    .into())
}

pub(crate) fn interest_limit(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    Ok(list(contracts_of(venue, call)?.into_iter().map(|(instrument, _)| {
        json!({"symbol": instrument.config.symbol, "notionalValue": "1000000000", "totalNotionalValue": "1000000000"})
    })))
}

/// One level: everybody pays the same here.
pub(crate) fn vip_fee_rate(venue: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    let first = venue.listed(UsdtFutures).find_map(|instrument| instrument.perpetual.as_ref());
    Ok(list(first.into_iter().map(|perpetual| {
        json!({
            "level": "1", "dealAmount": "1000000", "assetAmount": "50000",
            "takerFeeRate": perpetual.config.taker_fee.to_string(),
            "makerFeeRate": perpetual.config.maker_fee.to_string(), "btcWithdrawAmount": "300",
            "usdtWithdrawAmount": "5000000",
        })
    })))
}
