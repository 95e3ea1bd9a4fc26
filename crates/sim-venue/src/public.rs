//! Public REST answers: time, instruments and market data.

use crate::call::{Answer, Call};
use crate::depth::{price_text, qty_text};
use crate::feed::candle_row;
use crate::intervals::Interval;
use crate::reject::Reject;
use crate::venue::{Instrument, Venue};
use domain::{Price, Qty, Side};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) fn time(venue: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!({"serverTime": venue.now_ms().to_string()}).into())
}

/// Lists that exist and are empty here: margin coins and futures.
pub(crate) fn nothing(_: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!([]).into())
}

pub(crate) fn coins(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let mut names = BTreeSet::new();
    for instrument in &venue.instruments {
        names.extend([instrument.config.base, instrument.config.quote]);
    }
    let wanted = call.query.get("coin");
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

/// The instrument a request names, or the venue's complaint.
fn named<'a>(venue: &'a Venue, call: &Call) -> Result<&'a Instrument, Reject> {
    let symbol = call.needed("symbol")?;
    venue.instrument(symbol).ok_or_else(|| Reject::unknown_symbol(symbol))
}

/// All instruments, or the one a request names.
fn one_or_all<'a>(venue: &'a Venue, call: &Call) -> Result<Vec<&'a Instrument>, Reject> {
    if call.given("symbol").is_some() {
        return named(venue, call).map(|instrument| vec![instrument]);
    }
    Ok(venue.instruments.iter().collect())
}

/// Open orders of one account and instrument.
pub(crate) const OPEN_ORDERS_MAX: usize = 200;
/// How far a limit price may be beyond the market, in hundredths.
pub(crate) const PRICE_BAND_PERCENT: i64 = 5;

pub(crate) fn symbols(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (maker, taker) = (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string());
    let band = format!("0.{PRICE_BAND_PERCENT:02}");
    let items = one_or_all(venue, call)?.into_iter().map(|instrument| {
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

pub(crate) fn tickers(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let items = one_or_all(venue, call)?.into_iter().map(|instrument| venue.ticker(instrument));
    Ok(Value::Array(items.collect()).into())
}

pub(crate) fn order_book(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    const DEPTH_MAX: usize = 150;
    let count = call.limit(DEPTH_MAX, DEPTH_MAX)?;
    // `step0` is every price; coarser steps merge prices, each ten times as wide.
    let step = match call.query.get("type").map_or("step0", String::as_str) {
        "step0" => 0,
        other => other
            .strip_prefix("step")
            .and_then(|step| step.parse::<u32>().ok())
            .filter(|step| *step <= 5)
            .ok_or_else(|| Reject::invalid("type"))?,
    };
    let width = 10_i64.pow(step);
    let instrument = named(venue, call)?;
    let side = |side: Side| -> Vec<Value> {
        let mut merged: Vec<(i64, i64)> = Vec::new();
        let book = venue.engine.book(instrument.id);
        for depth in book.into_iter().flat_map(|book| book.depth(side)) {
            let down = depth.price.0 - depth.price.0 % width;
            let price = if side == Side::Sell && down != depth.price.0 { down + width } else { down };
            let full = merged.len() == count;
            match merged.last_mut().filter(|last| last.0 == price) {
                Some(last) => last.1 += depth.qty.0,
                None if full => break,
                None => merged.push((price, depth.qty.0)),
            }
        }
        let text = |(price, qty): &(i64, i64)| {
            json!([price_text(Price(*price), &instrument.listing), qty_text(Qty(*qty), &instrument.listing)])
        };
        merged.iter().map(text).collect()
    };
    Ok(json!({"asks": side(Side::Sell), "bids": side(Side::Buy), "ts": venue.now_ms().to_string()}).into())
}

pub(crate) fn candles(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let count = call.limit(100, 1_000)?;
    let granularity = call.needed("granularity")?;
    let interval = Interval::of_spot(granularity)
        .ok_or_else(|| Reject::new("400171", "Parameter verification failed granularity"))?;
    let range = call.span_ms()?;
    let instrument = named(venue, call)?;
    let rows = instrument.prints.candles(interval, range, count);
    Ok(Value::Array(rows.iter().map(|candle| candle_row(candle, &instrument.listing)).collect()).into())
}

pub(crate) fn trades(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let count = call.limit(100, 1_000)?;
    let instrument = named(venue, call)?;
    let items = instrument.prints.recent(count).map(|print| {
        json!({
            "symbol": instrument.config.symbol, "tradeId": print.id.to_string(), "side": print.side.as_str(),
            "price": price_text(print.price, &instrument.listing), "size": qty_text(print.qty, &instrument.listing),
            "ts": print.at_ms.to_string(),
        })
    });
    Ok(Value::Array(items.collect()).into())
}
