//! The quick way through a book push: one pass over the bytes in the form that the venue sends.
//!
//! It reads compact JSON with plain text and knows only the members of a book push. Whatever it
//! does not expect makes it give up, and the general reader in `stream.rs` decides. Invariant: what
//! it does read, the general reader reads the same (a property test compares them).

use domain::{Scaled, Symbol, UnixNanos};
use venue_api::{BookPush, Channel, FeedFrame, FeedFrameKind, Subscription, WireLevel};

/// Reads a book push into `out`; `None` leaves `out` in disorder, for the general reader to clear.
pub(crate) fn book(frame: &[u8], out: &mut FeedFrame) -> Option<()> {
    let mut cursor = Cursor { rest: without_trailing_space(frame) };
    let mut snapshot = None;
    cursor.eat(b'{')?;
    loop {
        match cursor.key()? {
            b"action" => {
                snapshot = match cursor.text()? {
                    b"snapshot" => Some(true),
                    b"update" => Some(false),
                    _ => return None,
                }
            }
            b"arg" => out.subscription = Some(cursor.subscription()?),
            b"data" => {
                // Without the channel before it, nobody knows what the data is.
                out.subscription?;
                cursor.eat(b'[')?;
                cursor.book(&mut out.book)?;
                cursor.eat(b']')?;
                out.kind = FeedFrameKind::Book;
            }
            b"ts" => {
                cursor.whole()?;
            }
            _ => return None,
        }
        if !cursor.more(b'}')? {
            break;
        }
    }
    out.book.snapshot = snapshot?;
    (out.kind == FeedFrameKind::Book && cursor.rest.is_empty()).then_some(())
}

/// White space after the frame means nothing to JSON.
fn without_trailing_space(mut frame: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\r' | b'\n', rest)) = frame.split_last() {
        frame = rest;
    }
    frame
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Whether another element follows; takes the comma, or the closing byte.
    #[inline]
    fn more(&mut self, close: u8) -> Option<bool> {
        match self.next()? {
            b',' => Some(true),
            byte if byte == close => Some(false),
            _ => None,
        }
    }

    /// Text between quotes: printable ASCII without escapes.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        self.eat(b'"')?;
        let end = self.rest.iter().position(|byte| !matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~'))?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.eat(b'"')?;
        Some(text)
    }

    #[inline]
    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.text()?;
        self.eat(b':')?;
        Some(key)
    }

    /// A whole number with or without quotes: sign and up to 18 digits' worth, or 19 of a sequence number.
    #[inline]
    fn whole(&mut self) -> Option<(bool, u64)> {
        let quoted = self.rest.first() == Some(&b'"');
        if quoted {
            self.next();
        }
        let negative = self.rest.first() == Some(&b'-');
        if negative {
            self.next();
        }
        let leading_zero = self.rest.first() == Some(&b'0');
        let (number, digits) = self.digits(0);
        if quoted {
            self.eat(b'"')?;
        } else if leading_zero && (digits > 1 || negative) {
            // No whole number of JSON.
            return None;
        }
        // 19 digits always fit 64 bits.
        (1..=19).contains(&digits).then_some((negative, number))
    }

    #[inline]
    fn count(&mut self) -> Option<Option<u64>> {
        match self.whole()? {
            (false, number) => Some((number != 0).then_some(number)),
            (true, _) => None,
        }
    }

    /// Takes the digits that come next: `number` with them behind it (wrapping), and how many they were.
    #[inline]
    fn digits(&mut self, mut number: u64) -> (u64, usize) {
        let mut count = 0;
        for byte in self.rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.rest = self.rest.get(count..).unwrap_or(&[]);
        (number, count)
    }

    /// A decimal between quotes: digits, perhaps a point and more digits; up to 18 digits.
    #[inline]
    fn scaled(&mut self) -> Option<Scaled> {
        self.eat(b'"')?;
        let (mut mantissa, whole) = self.digits(0);
        let mut decimals = 0;
        let mut next = self.next()?;
        if next == b'.' {
            (mantissa, decimals) = self.digits(mantissa);
            next = self.next()?;
            if decimals == 0 {
                return None;
            }
        }
        // 18 digits always fit 63 bits, so nothing wrapped.
        if next != b'"' || whole == 0 || whole + decimals > 18 {
            return None;
        }
        Some(Scaled { mantissa: i64::try_from(mantissa).ok()?, decimals: u8::try_from(decimals).ok()? })
    }

    fn subscription(&mut self) -> Option<Subscription> {
        self.eat(b'{')?;
        let (mut spot, mut channel, mut symbol) = (false, None, None);
        loop {
            match self.key()? {
                b"instType" => spot = self.text()? == b"SPOT",
                b"channel" => {
                    channel = match self.text()? {
                        b"books" => Some(Channel::Book),
                        b"books5" => Some(Channel::Book5),
                        _ => return None,
                    }
                }
                b"instId" => symbol = Some(Symbol::from(std::str::from_utf8(self.text()?).ok()?).ok()?),
                _ => return None,
            }
            if !self.more(b'}')? {
                break;
            }
        }
        spot.then_some(Subscription { channel: channel?, symbol: symbol? })
    }

    fn book(&mut self, book: &mut BookPush) -> Option<()> {
        self.eat(b'{')?;
        let (mut bids, mut asks) = (false, false);
        loop {
            match self.key()? {
                b"asks" => {
                    self.levels(&mut book.asks)?;
                    asks = true;
                }
                b"bids" => {
                    self.levels(&mut book.bids)?;
                    bids = true;
                }
                b"checksum" => {
                    let (negative, number) = self.whole()?;
                    let number = i64::try_from(number).ok()?;
                    let number = i32::try_from(if negative { -number } else { number }).ok()?;
                    book.checksum = (number != 0).then_some(number);
                }
                b"seq" => book.seq = self.count()?,
                b"pseq" => book.prev_seq = self.count()?,
                b"ts" => book.venue_time = UnixNanos::from_millis(self.count()?.unwrap_or(0)),
                _ => return None,
            }
            if !self.more(b'}')? {
                break;
            }
        }
        (bids && asks).then_some(())
    }

    fn levels(&mut self, levels: &mut Vec<WireLevel>) -> Option<()> {
        levels.clear();
        self.eat(b'[')?;
        if self.rest.first() == Some(&b']') {
            self.next();
            return Some(());
        }
        loop {
            self.eat(b'[')?;
            let price = self.scaled()?;
            self.eat(b',')?;
            let qty = self.scaled()?;
            self.eat(b']')?;
            levels.push(WireLevel { price, qty });
            if !self.more(b']')? {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::general;
    use proptest::prelude::*;

    const FRAMES: [&str; 3] = [
        include_str!("../fixtures/feed_books5.json"),
        include_str!("../fixtures/feed_books_snapshot.json"),
        include_str!("../fixtures/feed_books_update.json"),
    ];

    fn assert_agrees(bytes: &[u8]) {
        let mut quick = FeedFrame::default();
        if book(bytes, &mut quick).is_some() {
            let mut slow = FeedFrame::default();
            assert_eq!(general(bytes, &mut slow), Ok(()), "{}", String::from_utf8_lossy(bytes));
            assert_eq!((quick.kind, quick.subscription, quick.book), (slow.kind, slow.subscription, slow.book));
        }
    }

    #[test]
    fn the_venues_own_form_takes_the_quick_way() {
        for frame in FRAMES {
            assert!(book(frame.as_bytes(), &mut FeedFrame::default()).is_some(), "{frame}");
            assert_agrees(frame.as_bytes());
            for (after, quick) in [(" \t\r\n", true), ("\u{c}", false), ("{}", false)] {
                let followed = [frame, after].concat();
                assert_eq!(book(followed.as_bytes(), &mut FeedFrame::default()).is_some(), quick, "{followed}");
                assert_agrees(followed.as_bytes());
            }
        }
    }

    proptest! {
        #[test]
        fn what_the_quick_way_reads_the_general_reader_reads_the_same(
            which in 0..FRAMES.len(),
            changes in proptest::collection::vec(
                (any::<prop::sample::Index>(), prop_oneof![Just(b'0'), Just(b'.'), Just(b'"'), Just(b'-'), Just(b','), b'0'..=b'9', any::<u8>()], 0_u8..3),
                0..4,
            ),
        ) {
            let mut bytes = FRAMES[which].as_bytes().to_vec();
            for (place, byte, kind) in changes {
                if bytes.is_empty() {
                    break;
                }
                let at = place.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => { bytes.remove(at); }
                    _ => bytes.insert(at, byte),
                }
            }
            assert_agrees(&bytes);
        }
    }
}
