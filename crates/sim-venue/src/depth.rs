//! What the venue publishes of a book: numbered snapshots and updates with their checksum.

use domain::{Price, Qty, Scaled, Side};
use matching::{Book, Depth, Listing};
use std::fmt::Write as _;

/// One price of a published book.
type Rung = (Price, Qty);

/// The book as the clients know it.
#[derive(Debug, Default)]
pub(crate) struct PublishedBook {
    bids: Vec<Rung>,
    asks: Vec<Rung>,
    seq: u64,
}

/// What changed since the last publication.
pub(crate) struct Update {
    bids: Vec<Rung>,
    asks: Vec<Rung>,
    seq: u64,
    previous: u64,
    checksum: i32,
    now_ms: u64,
    /// Whether the best prices of the short channels changed, in the order of [`SHORT_DEPTHS`].
    pub(crate) changed_within: [bool; 4],
}

/// Depths of the short channels: v2 has 15, 5 and 1, v3 has 50, 5 and 1.
pub(crate) const SHORT_DEPTHS: [usize; 4] = [50, 15, 5, 1];

impl Update {
    /// The `data` of a frame of v2.
    pub(crate) fn data(&self, listing: &Listing) -> String {
        let mut data = String::from("{\"asks\":");
        write_rungs(&mut data, &self.asks, listing);
        data.push_str(",\"bids\":");
        write_rungs(&mut data, &self.bids, listing);
        let Self { seq, previous, checksum, now_ms, .. } = self;
        let _ = write!(data, ",\"checksum\":{checksum},\"seq\":{seq},\"pseq\":{previous},\"ts\":\"{now_ms}\"}}");
        data
    }

    /// The `data` of a frame of v3, which has no checksum.
    pub(crate) fn unified_data(&self, listing: &Listing) -> String {
        unified(&self.bids, &self.asks, listing, (self.previous, self.seq), self.now_ms)
    }
}

fn unified(bids: &[Rung], asks: &[Rung], listing: &Listing, (pseq, seq): (u64, u64), now_ms: u64) -> String {
    let mut data = String::from("{\"a\":");
    write_rungs(&mut data, asks, listing);
    data.push_str(",\"b\":");
    write_rungs(&mut data, bids, listing);
    let max = PublishedBook::DEPTH_MAX;
    let _ = write!(data, ",\"pseq\":{pseq},\"seq\":{seq},\"maxDepth\":\"{max}\",\"ts\":\"{now_ms}\"}}");
    data
}

impl PublishedBook {
    /// Prices of each side that are published; what is deeper is not known outside.
    pub(crate) const DEPTH_MAX: usize = 400;
    /// Prices of each side that the checksum covers.
    const CHECKSUM_DEPTH: usize = 25;

    /// Takes over the engine's book; the update that leads to it, if anything changed.
    pub(crate) fn advance(&mut self, book: &Book, listing: &Listing, now_ms: u64) -> Option<Update> {
        let bids = side(book, Side::Buy);
        let asks = side(book, Side::Sell);
        if bids == self.bids && asks == self.asks {
            return None;
        }
        let (bid_changes, ask_changes) =
            (changes(&self.bids, &bids, Side::Buy), changes(&self.asks, &asks, Side::Sell));
        let changed_within = SHORT_DEPTHS
            .map(|depth| top(&bids, depth) != top(&self.bids, depth) || top(&asks, depth) != top(&self.asks, depth));
        let previous = self.seq;
        (self.bids, self.asks, self.seq) = (bids, asks, previous + 1);
        let (checksum, seq) = (self.checksum(listing), self.seq);
        Some(Update { bids: bid_changes, asks: ask_changes, seq, previous, checksum, now_ms, changed_within })
    }

    /// The whole published book as the `data` of a frame, or its first `depth` prices.
    pub(crate) fn snapshot(&self, listing: &Listing, depth: usize, now_ms: u64) -> String {
        let mut data = String::from("{\"asks\":");
        write_rungs(&mut data, top(&self.asks, depth), listing);
        data.push_str(",\"bids\":");
        write_rungs(&mut data, top(&self.bids, depth), listing);
        let (checksum, seq) = (self.checksum(listing), self.seq);
        let _ = write!(data, ",\"checksum\":{checksum},\"seq\":{seq},\"pseq\":0,\"ts\":\"{now_ms}\"}}");
        data
    }

    /// The same in v3.
    pub(crate) fn unified_snapshot(&self, listing: &Listing, depth: usize, now_ms: u64) -> String {
        unified(top(&self.bids, depth), top(&self.asks, depth), listing, (0, self.seq), now_ms)
    }

    /// CRC-32 over the texts of the best prices, bid and ask in turn.
    fn checksum(&self, listing: &Listing) -> i32 {
        let mut text = String::with_capacity(1_024);
        for position in 0..Self::CHECKSUM_DEPTH {
            for (price, qty) in [self.bids.get(position), self.asks.get(position)].into_iter().flatten() {
                if !text.is_empty() {
                    text.push(':');
                }
                let _ = write!(text, "{}:{}", price_text(*price, listing), qty_text(*qty, listing));
            }
        }
        crc32fast::hash(text.as_bytes()).cast_signed()
    }
}

/// A price with all decimals of its instrument.
pub(crate) fn price_text(price: Price, listing: &Listing) -> Scaled {
    Scaled { mantissa: price.0, decimals: listing.price_decimals }
}

/// A quantity with all decimals of its instrument.
pub(crate) fn qty_text(qty: Qty, listing: &Listing) -> Scaled {
    Scaled { mantissa: qty.0, decimals: listing.qty_decimals }
}

fn side(book: &Book, side: Side) -> Vec<Rung> {
    book.depth(side).take(PublishedBook::DEPTH_MAX).map(|Depth { price, qty }| (price, qty)).collect()
}

fn top(rungs: &[Rung], depth: usize) -> &[Rung] {
    rungs.get(..depth).unwrap_or(rungs)
}

/// Merges two sorted sides into what changed; a quantity of zero deletes.
fn changes(old: &[Rung], new: &[Rung], side: Side) -> Vec<Rung> {
    let better = |one: Price, two: Price| if side == Side::Buy { one > two } else { one < two };
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut changed = Vec::new();
    loop {
        match (old.peek().copied(), new.peek().copied()) {
            (None, None) => return changed,
            (Some((price, _)), next) if next.is_none_or(|(other, _)| better(*price, *other)) => {
                changed.push((*price, Qty::ZERO));
                old.next();
            }
            (Some((price, qty)), Some(rung)) if *price == rung.0 => {
                if *qty != rung.1 {
                    changed.push(*rung);
                }
                old.next();
                new.next();
            }
            (_, Some(rung)) => {
                changed.push(*rung);
                new.next();
            }
            (Some(_), None) => return changed,
        }
    }
}

/// Writes `[["price","quantity"],...]`; a deletion's quantity is a bare zero.
pub(crate) fn write_rungs(out: &mut String, rungs: &[Rung], listing: &Listing) {
    out.push('[');
    for (position, (price, qty)) in rungs.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        let _ = write!(out, "[\"{}\",\"", price_text(*price, listing));
        if *qty == Qty::ZERO {
            out.push('0');
        } else {
            let _ = write!(out, "{}", qty_text(*qty, listing));
        }
        out.push_str("\"]");
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Asset;

    fn listing() -> Listing {
        let (base, quote) = (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap());
        Listing { base, quote, price_decimals: 1, qty_decimals: 3, tick: 1, lot: 1 }
    }

    fn rungs(pairs: &[(i64, i64)]) -> Vec<Rung> {
        pairs.iter().map(|(price, qty)| (Price(*price), Qty(*qty))).collect()
    }

    #[test]
    fn checksums_are_those_of_the_venues_worked_examples() {
        let mut book = PublishedBook {
            bids: rungs(&[(270_000, 2_710), (269_995, 1_460)]),
            asks: rungs(&[(270_005, 8_760), (270_010, 400)]),
            ..PublishedBook::default()
        };
        assert_eq!(book.checksum(&listing()), -1_751_492_126);
        book.bids = rungs(&[(270_000, 3_000), (269_995, 1_460)]);
        book.asks = rungs(&[(270_010, 400)]);
        assert_eq!(book.checksum(&listing()), -603_101_740);
    }

    #[test]
    fn changes_lead_from_one_book_to_the_next() {
        let old = rungs(&[(105, 1), (104, 2), (102, 3), (101, 4)]);
        let new = rungs(&[(106, 9), (104, 2), (103, 7), (102, 5)]);
        assert_eq!(changes(&old, &new, Side::Buy), rungs(&[(106, 9), (105, 0), (103, 7), (102, 5), (101, 0)]));
        let (old, new): (Vec<Rung>, Vec<Rung>) = (old.into_iter().rev().collect(), new.into_iter().rev().collect());
        assert_eq!(changes(&old, &new, Side::Sell), rungs(&[(101, 0), (102, 5), (103, 7), (105, 0), (106, 9)]));
        assert_eq!(changes(&[], &new, Side::Sell), new);
        assert!(changes(&new, &new, Side::Sell).is_empty());
    }
}
