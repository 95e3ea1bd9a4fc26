//! The checksums of a book, as venues define them: CRC-32 over the best levels in
//! the venue's own text.

use super::Level;

/// How a venue computes the checksum of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChecksumRule {
    /// Bitget, and OKX until June 2026: the best 25 levels of both sides in turn, bid first, price and
    /// quantity as written, joined by colons; read as a signed number.
    #[default]
    SidesInTurn,
    /// Kraken: the best ten asks, then the best ten bids, price and quantity as written without the
    /// point and without zeros in front, joined by nothing; an unsigned number, carried here as the
    /// signed one of the same bits.
    AsksThenBids,
}

/// Levels of each side that a checksum covers at most.
pub(super) const DEPTH: usize = 25;

/// Levels of each side that Kraken's checksum covers.
const DEPTH_ASKS_THEN_BIDS: usize = 10;

/// Bytes gathered before they are hashed; long runs hash faster than short ones.
const ROOM: usize = 1_024;

/// Bytes of one number at most: 20 digits, a sign, a point, 18 padding zeros and a colon.
const NUMBER_MAX: usize = 48;

const ZEROS: [u8; 20] = [b'0'; 20];

/// Hashes numbers as text, joined by colons, without allocating.
struct Text {
    hasher: crc32fast::Hasher,
    bytes: [u8; ROOM],
    used: usize,
    first: bool,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.used..self.used + bytes.len()) {
            room.copy_from_slice(bytes);
            self.used += bytes.len();
        }
    }

    fn flush(&mut self) {
        self.hasher.update(self.bytes.get(..self.used).unwrap_or(&[]));
        self.used = 0;
    }

    /// Appends the digits of `mantissa / 10^decimals`, written with `shown` decimals, without point and leading zeros.
    fn digits(&mut self, mantissa: i64, decimals: u8, shown: u8) {
        if self.used + NUMBER_MAX > ROOM {
            self.flush();
        }
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(mantissa.unsigned_abs()).as_bytes();
        let (decimals, shown) = (usize::from(decimals.min(18)), usize::from(shown.min(18)));
        // Digits beyond `shown` are zero; fewer than `shown` want zeros behind.
        let kept = digits.len().saturating_sub(decimals.saturating_sub(shown));
        self.push(digits.get(..kept).unwrap_or(&[]));
        if mantissa != 0 {
            self.push(ZEROS.get(..shown.saturating_sub(decimals)).unwrap_or(&[]));
        }
    }

    /// Appends `mantissa / 10^decimals`, written with `shown` decimals.
    ///
    /// Digits beyond `shown` are zero, since the venue wrote the number with that many.
    fn number(&mut self, mantissa: i64, decimals: u8, shown: u8) {
        if self.used + NUMBER_MAX > ROOM {
            self.flush();
        }
        if self.first {
            self.first = false;
        } else {
            self.push(b":");
        }
        if mantissa < 0 {
            self.push(b"-");
        }
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(mantissa.unsigned_abs()).as_bytes();
        let decimals = usize::from(decimals.min(18));
        let shown = usize::from(shown.min(18));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
        self.push(if whole.is_empty() { b"0" } else { whole });
        if shown == 0 {
            return;
        }
        self.push(b".");
        let leading = (decimals - fraction.len()).min(shown);
        self.push(ZEROS.get(..leading).unwrap_or(&[]));
        let kept = fraction.len().min(shown - leading);
        self.push(fraction.get(..kept).unwrap_or(&[]));
        self.push(ZEROS.get(..shown - leading - kept).unwrap_or(&[]));
    }
}

/// The checksum over two sides, each best first.
pub(super) fn checksum<'a>(
    rule: ChecksumRule,
    bids: impl Iterator<Item = &'a Level>,
    asks: impl Iterator<Item = &'a Level>,
    price_decimals: u8,
    qty_decimals: u8,
) -> i32 {
    let mut text = Text { hasher: crc32fast::Hasher::new(), bytes: [0; ROOM], used: 0, first: true };
    match rule {
        ChecksumRule::SidesInTurn => {
            let (mut bids, mut asks) = (bids.take(DEPTH), asks.take(DEPTH));
            loop {
                let (bid, ask) = (bids.next(), asks.next());
                if bid.is_none() && ask.is_none() {
                    break;
                }
                for level in [bid, ask].into_iter().flatten() {
                    text.number(level.price.0, price_decimals, level.price_shown);
                    text.number(level.qty.0, qty_decimals, level.qty_shown);
                }
            }
        }
        ChecksumRule::AsksThenBids => {
            for level in asks.take(DEPTH_ASKS_THEN_BIDS).chain(bids.take(DEPTH_ASKS_THEN_BIDS)) {
                text.digits(level.price.0, price_decimals, level.price_shown);
                text.digits(level.qty.0, qty_decimals, level.qty_shown);
            }
        }
    }
    text.flush();
    text.hasher.finalize().cast_signed()
}
