//! The frames of Bitget's public streams, API v1 and v2, as far as a tape needs them.
//!
//! Source: the vendor's web socket documents of 2022 (v1) and 2026-10 (v2). Both write books alike;
//! v2 adds `seq` and `pseq`, and tells trades as objects instead of rows.

use super::cryptofeed::{Found, symbol};
use super::wire::{LineFault, json, level, levels};
use crate::{EventKind, TapeChecksum, TapeLevel};
use domain::{ChecksumRule, Market, Side, Symbol, VenueTradeId};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    action: Option<&'a str>,
    #[serde(borrow)]
    arg: Option<Arg<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Arg<'a> {
    #[serde(rename = "instType")]
    inst_type: &'a str,
    channel: &'a str,
    #[serde(rename = "instId")]
    inst_id: &'a str,
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow)]
    bids: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    asks: Vec<(&'a str, &'a str)>,
    checksum: Option<i32>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
    #[serde(borrow)]
    pseq: Option<&'a RawValue>,
}

/// A trade as v1 tells it: time, price, quantity, side.
#[derive(Deserialize)]
struct Row<'a>(serde::de::IgnoredAny, &'a str, &'a str, &'a str);

/// A trade as v2 tells it.
#[derive(Deserialize)]
struct Object<'a> {
    price: &'a str,
    size: &'a str,
    side: &'a str,
    #[serde(rename = "tradeId")]
    trade_id: &'a str,
}

/// Adds what one frame holds.
pub(super) fn read(text: &str, found: &mut Found) -> Result<(), LineFault> {
    if text == "pong" {
        return Ok(());
    }
    let frame: Frame<'_> = json(text.as_bytes(), "frame")?;
    let (Some(action), Some(arg), Some(data)) = (frame.action, frame.arg, frame.data) else { return Ok(()) };
    match (arg.channel, action) {
        ("books", "snapshot" | "update") => book(name(&arg)?, action == "snapshot", data, found),
        // A snapshot of trades tells what happened before the recording began.
        ("trade", "update") => trades(name(&arg)?, data, found),
        _ => Ok(()),
    }
}

/// The instrument, with the suffix of its market: the venue spells perpetual futures like the spot instrument.
fn name(arg: &Arg<'_>) -> Result<Symbol, LineFault> {
    let ending = match arg.inst_type {
        "sp" | "SP" | "SPOT" => "",
        "mc" | "MC" | "USDT-FUTURES" | "COIN-FUTURES" | "USDC-FUTURES" => Market::PERPETUAL_SUFFIX,
        other => return Err(LineFault(format!("unknown kind of instrument `{other:.40}`"))),
    };
    symbol(&format!("{}{ending}", arg.inst_id))
}

fn book(symbol: Symbol, snapshot: bool, data: &RawValue, found: &mut Found) -> Result<(), LineFault> {
    let books: Vec<Book<'_>> = json(data.get().as_bytes(), "book")?;
    for book in &books {
        let (bids, asks) = (levels(&book.bids, true)?, levels(&book.asks, true)?);
        let checksum = book.checksum.filter(|value| *value != 0);
        let checksum = checksum.map(|value| TapeChecksum { rule: ChecksumRule::SidesInTurn, value });
        let seq = number(book.seq, "seq")?;
        let kind = if snapshot {
            EventKind::DepthSnapshot { bids, asks, seq, levels_max: None, checksum }
        } else {
            let before = number(book.pseq, "pseq")?;
            let first_seq = if before == 0 { 0 } else { before.saturating_add(1) };
            EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum }
        };
        found.push((symbol, kind));
    }
    Ok(())
}

/// A number that the venue writes bare or in quotes; zero where there is none.
fn number(value: Option<&RawValue>, what: &str) -> Result<u64, LineFault> {
    let Some(value) = value else { return Ok(0) };
    let text = value.get().trim_matches('"');
    text.parse().map_err(|_| LineFault(format!("{what} `{text:.40}` is no number")))
}

fn trades(symbol: Symbol, data: &RawValue, found: &mut Found) -> Result<(), LineFault> {
    let told: Vec<&RawValue> = json(data.get().as_bytes(), "trades")?;
    // The venue writes the newest first.
    for trade in told.iter().rev() {
        let text = trade.get().as_bytes();
        let (TapeLevel { price, qty }, aggressor, id) = if text.starts_with(b"[") {
            let Row(_, price, qty, side) = json(text, "trade")?;
            (level(price, qty, false)?, side_of(side)?, VenueTradeId::new())
        } else {
            let object: Object<'_> = json(text, "trade")?;
            let id = VenueTradeId::from(object.trade_id).map_err(|_| LineFault("trade id too long".to_owned()))?;
            (level(object.price, object.size, false)?, side_of(object.side)?, id)
        };
        found.push((symbol, EventKind::Trade { price, qty, aggressor, id }));
    }
    Ok(())
}

/// The side of the taker.
pub(super) fn side_of(word: &str) -> Result<Side, LineFault> {
    match word {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        other => Err(LineFault(format!("unknown side `{other:.40}`"))),
    }
}
