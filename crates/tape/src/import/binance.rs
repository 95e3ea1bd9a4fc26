//! The messages of Binance spot streams, as far as a tape needs them.
//!
//! Source: the vendor's web socket stream documentation, state of 2026-07.

use super::wire::{LineFault, json, level, levels};
use crate::{EventKind, TapeLevel};
use domain::{Side, VenueTradeId};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt::Write as _;

/// One message.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Snapshot { bids: Vec<TapeLevel>, asks: Vec<TapeLevel>, seq: u64 },
    Update { symbol: &'a str, bids: Vec<TapeLevel>, asks: Vec<TapeLevel>, first_seq: u64, seq: u64 },
    Trade { symbol: &'a str, kind: EventKind },
    Ticker { symbol: &'a str, kind: EventKind },
    Other,
}

/// A stream message in its wrapper, or the bare answer of `GET /api/v3/depth`.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    stream: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
    #[serde(borrow)]
    bids: Option<Vec<(&'a str, &'a str)>>,
    #[serde(borrow)]
    asks: Option<Vec<(&'a str, &'a str)>>,
}

#[derive(Deserialize)]
struct Depth<'a> {
    s: &'a str,
    #[serde(rename = "U")]
    first: u64,
    u: u64,
    /// Only futures have it.
    pu: Option<u64>,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    /// Whether the buyer's order was resting.
    m: bool,
}

#[derive(Deserialize)]
struct Ticker<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    bid_qty: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_qty: &'a str,
}

/// Reads one message.
pub(super) fn parse(text: &[u8]) -> Result<Line<'_>, LineFault> {
    let outer: Outer<'_> = json(text, "message")?;
    if let (Some(seq), Some(bids), Some(asks)) = (outer.last_update_id, &outer.bids, &outer.asks) {
        return Ok(Line::Snapshot { bids: levels(bids, false)?, asks: levels(asks, false)?, seq });
    }
    let (Some(stream), Some(data)) = (outer.stream, outer.data) else {
        return Err(LineFault("neither a stream message nor a book snapshot".to_owned()));
    };
    let data = data.get().as_bytes();
    match stream.split_once('@').map(|(_, channel)| channel) {
        Some(channel) if channel == "depth" || channel.starts_with("depth@") => depth(data),
        Some("trade") => trade(data),
        Some("bookTicker") => ticker(data),
        Some(_) => Ok(Line::Other),
        None => Err(LineFault(format!("stream `{stream}` has no channel"))),
    }
}

fn depth(data: &[u8]) -> Result<Line<'_>, LineFault> {
    let depth: Depth<'_> = json(data, "depth update")?;
    if depth.pu.is_some() {
        return Err(LineFault("depth update of a futures market; only spot can be imported".to_owned()));
    }
    if depth.first > depth.u {
        return Err(LineFault(format!("depth update from {} to {}", depth.first, depth.u)));
    }
    Ok(Line::Update {
        symbol: depth.s,
        bids: levels(&depth.b, true)?,
        asks: levels(&depth.a, true)?,
        first_seq: depth.first,
        seq: depth.u,
    })
}

fn trade(data: &[u8]) -> Result<Line<'_>, LineFault> {
    let trade: Trade<'_> = json(data, "trade")?;
    let TapeLevel { price, qty } = level(trade.p, trade.q, false)?;
    let mut id = VenueTradeId::new();
    // Twenty digits always fit.
    let _ = write!(id, "{}", trade.t);
    let aggressor = if trade.m { Side::Sell } else { Side::Buy };
    Ok(Line::Trade { symbol: trade.s, kind: EventKind::Trade { price, qty, aggressor, id } })
}

fn ticker(data: &[u8]) -> Result<Line<'_>, LineFault> {
    let ticker: Ticker<'_> = json(data, "book ticker")?;
    let (bid, ask) = (level(ticker.b, ticker.bid_qty, false)?, level(ticker.a, ticker.ask_qty, false)?);
    Ok(Line::Ticker { symbol: ticker.s, kind: EventKind::BookTicker { bid, ask, seq: ticker.u } })
}
