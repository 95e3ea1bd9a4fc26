//! The frames of Kraken's public streams, API v1, as far as a tape needs them.
//!
//! Source: the vendor's web socket documents, state of 2021-04 and 2026-07. Data are arrays of channel number,
//! one or two objects or a list, channel name, instrument; everything else is an object. A book is
//! told to a depth that the channel's name carries, and levels beyond it go without a word.

use super::cryptofeed::{Found, symbol};
use super::wire::{LineFault, json, level, long_rows};
use crate::{EventKind, TapeChecksum, TapeLevel};
use domain::{ChecksumRule, Side, Symbol, VenueTradeId};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One of the objects of a book frame; a frame about both sides has two.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "as", borrow)]
    all_asks: Option<Vec<Vec<&'a str>>>,
    #[serde(rename = "bs", borrow)]
    all_bids: Option<Vec<Vec<&'a str>>>,
    #[serde(borrow)]
    a: Option<Vec<Vec<&'a str>>>,
    #[serde(borrow)]
    b: Option<Vec<Vec<&'a str>>>,
    /// The checksum, in the last object.
    #[serde(borrow)]
    c: Option<&'a str>,
}

/// Adds what one frame holds.
pub(super) fn read(text: &str, found: &mut Found) -> Result<(), LineFault> {
    if text.trim_ascii_start().starts_with('{') {
        // Status, heartbeat, acknowledgement.
        return json::<serde::de::IgnoredAny>(text.as_bytes(), "frame").map(|_| ());
    }
    let frame: Vec<&RawValue> = json(text.as_bytes(), "frame")?;
    let [_, parts @ .., channel, pair] = frame.as_slice() else {
        return Err(LineFault("frame with fewer than three parts".to_owned()));
    };
    let channel: &str = json(channel.get().as_bytes(), "channel")?;
    let pair: &str = json(pair.get().as_bytes(), "instrument")?;
    if channel == "trade" {
        return parts.iter().try_for_each(|rows| trades(symbol(pair)?, rows, found));
    }
    let Some(depth) = channel.strip_prefix("book-") else { return Ok(()) };
    let depth = depth.parse().map_err(|_| LineFault(format!("channel `{channel:.40}` without its depth")))?;
    let parts = parts.iter().map(|part| json(part.get().as_bytes(), "book")).collect::<Result<Vec<Part<'_>>, _>>()?;
    found.push((symbol(pair)?, book(&parts, depth)?));
    Ok(())
}

fn book(parts: &[Part<'_>], depth: u32) -> Result<EventKind, LineFault> {
    let (mut bids, mut asks, mut checksum, mut whole) = (Vec::new(), Vec::new(), None, false);
    for part in parts {
        whole |= part.all_asks.is_some() || part.all_bids.is_some();
        for rows in [&part.all_asks, &part.a].into_iter().flatten() {
            asks.extend(long_rows(rows, true)?);
        }
        for rows in [&part.all_bids, &part.b].into_iter().flatten() {
            bids.extend(long_rows(rows, true)?);
        }
        if let Some(text) = part.c {
            let value: u32 = text.parse().map_err(|_| LineFault(format!("checksum `{text:.40}` is no number")))?;
            checksum = Some(TapeChecksum { rule: ChecksumRule::AsksThenBids, value: value.cast_signed() });
        }
    }
    Ok(if whole {
        EventKind::DepthSnapshot { bids, asks, seq: 0, levels_max: Some(depth), checksum }
    } else {
        EventKind::DepthUpdate { bids, asks, first_seq: 0, seq: 0, checksum }
    })
}

/// Rows of price, quantity, time, side (`b`, `s`), kind of order, nothing.
fn trades(symbol: Symbol, rows: &RawValue, found: &mut Found) -> Result<(), LineFault> {
    let rows: Vec<Vec<&str>> = json(rows.get().as_bytes(), "trades")?;
    for row in &rows {
        let [price, qty, _, side, ..] = row.as_slice() else {
            return Err(LineFault("trade without its side".to_owned()));
        };
        let aggressor = match *side {
            "b" => Side::Buy,
            "s" => Side::Sell,
            other => return Err(LineFault(format!("unknown side `{other:.40}`"))),
        };
        let TapeLevel { price, qty } = level(price, qty, false)?;
        found.push((symbol, EventKind::Trade { price, qty, aggressor, id: VenueTradeId::new() }));
    }
    Ok(())
}
