//! The frames of OKX's public streams, API v5, as far as a tape needs them.
//!
//! Source: the vendor's web socket documents, state of 2026-07. The checksum is filled in recordings
//! made before June 2026; since then it is zero and `seqId`, `prevSeqId` tell of gaps.

use super::bitget::side_of;
use super::cryptofeed::{Found, symbol};
use super::wire::{LineFault, json, level, long_rows};
use crate::{EventKind, TapeChecksum, TapeLevel};
use domain::{ChecksumRule, Symbol, VenueTradeId};
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
    channel: &'a str,
    #[serde(rename = "instId", borrow)]
    inst_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Book<'a> {
    /// Rows of price, quantity, an old field, number of orders.
    #[serde(borrow)]
    bids: Vec<Vec<&'a str>>,
    #[serde(borrow)]
    asks: Vec<Vec<&'a str>>,
    checksum: Option<i32>,
    #[serde(rename = "seqId")]
    seq_id: Option<i64>,
    #[serde(rename = "prevSeqId")]
    prev_seq_id: Option<i64>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(rename = "tradeId")]
    trade_id: &'a str,
    px: &'a str,
    sz: &'a str,
    side: &'a str,
}

/// Adds what one frame holds.
pub(super) fn read(text: &str, found: &mut Found) -> Result<(), LineFault> {
    if text == "pong" {
        return Ok(());
    }
    let frame: Frame<'_> = json(text.as_bytes(), "frame")?;
    let (Some(arg), Some(data)) = (frame.arg, frame.data) else { return Ok(()) };
    let Some(inst_id) = arg.inst_id else { return Ok(()) };
    match (arg.channel, frame.action) {
        ("books" | "books-l2-tbt" | "books50-l2-tbt", Some(action @ ("snapshot" | "update"))) => {
            book(symbol(inst_id)?, action == "snapshot", data, found)
        }
        ("trades", None) => trades(symbol(inst_id)?, data, found),
        _ => Ok(()),
    }
}

fn book(symbol: Symbol, snapshot: bool, data: &RawValue, found: &mut Found) -> Result<(), LineFault> {
    let books: Vec<Book<'_>> = json(data.get().as_bytes(), "book")?;
    for book in &books {
        let (bids, asks) = (long_rows(&book.bids, true)?, long_rows(&book.asks, true)?);
        let checksum = book.checksum.filter(|value| *value != 0);
        let checksum = checksum.map(|value| TapeChecksum { rule: ChecksumRule::SidesInTurn, value });
        let seq = book.seq_id.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0);
        let kind = if snapshot {
            EventKind::DepthSnapshot { bids, asks, seq, levels_max: None, checksum }
        } else {
            let before = book.prev_seq_id.and_then(|seq| u64::try_from(seq).ok());
            let first_seq = before.map_or(0, |before| before.saturating_add(1));
            EventKind::DepthUpdate { bids, asks, first_seq, seq, checksum }
        };
        found.push((symbol, kind));
    }
    Ok(())
}

fn trades(symbol: Symbol, data: &RawValue, found: &mut Found) -> Result<(), LineFault> {
    let trades: Vec<Trade<'_>> = json(data.get().as_bytes(), "trades")?;
    for trade in &trades {
        let TapeLevel { price, qty } = level(trade.px, trade.sz, false)?;
        let id = VenueTradeId::from(trade.trade_id).map_err(|_| LineFault("trade id too long".to_owned()))?;
        found.push((symbol, EventKind::Trade { price, qty, aggressor: side_of(trade.side)?, id }));
    }
    Ok(())
}
