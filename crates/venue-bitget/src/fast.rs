//! The quick way through a book push: one pass over the bytes in the form that the venue sends.
//!
//! It reads compact JSON with plain text and knows only the members of a book push. Whatever it
//! does not expect makes it give up, and the general reader in `stream.rs` decides. Invariant: what
//! it does read, the general reader reads the same (a property test compares them).

use crate::stream::book_channel;
use crate::symbols::VenueMarket as _;
use domain::{Market, Scaled, UnixNanos};
use venue_api::{BookPush, FeedFrame, FeedFrameKind, Subscription, WireLevel};

/// Reads a book push into `out`; `None` leaves `out` in disorder, for the general reader to clear.
pub(crate) fn book(frame: &[u8], out: &mut FeedFrame) -> Option<()> {
    let mut cursor = Cursor { rest: without_trailing_space(frame) };
    let mut snapshot = None;
    cursor.eat(b'{')?;
    loop {
        if cursor.takes(b"\"action\":\"") {
            let whole = cursor.takes(b"snapshot\"");
            if !whole && !cursor.takes(b"update\"") {
                return None;
            }
            snapshot = Some(whole);
        } else if cursor.takes(b"\"arg\":") {
            out.subscription = Some(cursor.subscription()?);
        } else if cursor.takes(b"\"data\":[") {
            // v3 may say what it is behind it; what reads like a book and is none fails there.
            cursor.book(&mut out.book)?;
            cursor.eat(b']')?;
            out.kind = FeedFrameKind::Book;
        } else if cursor.takes(b"\"ts\":") {
            cursor.whole()?;
        } else {
            return None;
        }
        if !cursor.more(b'}')? {
            break;
        }
    }
    out.book.snapshot = snapshot?;
    out.subscription?;
    (out.kind == FeedFrameKind::Book && cursor.rest.is_empty()).then_some(())
}

/// White space after the frame means nothing to JSON.
fn without_trailing_space(mut frame: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\r' | b'\n', rest)) = frame.split_last() {
        frame = rest;
    }
    frame
}

/// Bytes that are looked at together for digits.
const CHUNK: usize = 8;

/// Ten to the power of each number of digits in a chunk.
const POWERS: [u64; CHUNK + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

const ONES: u64 = 0x0101_0101_0101_0101;

/// The bytes with the first one lowest; a digit becomes its value, 0 to 9, and any other byte becomes more than 9.
#[inline]
fn values(chunk: [u8; CHUNK]) -> u64 {
    u64::from_le_bytes(chunk) ^ (ONES * 0x30)
}

/// The high bit of each byte above 9. A carry spoils only bytes behind one above 137, which is no point and no quote.
#[inline]
const fn others(values: u64) -> u64 {
    (values.wrapping_add(ONES * 0x76) | values) & (ONES * 0x80)
}

/// The number that eight digit values make; zeros may stand before them.
#[inline]
const fn number_of(digits: u64) -> u64 {
    // Neighbours join: eight digits to four pairs to two fours to one number.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}

/// The number that the digits at the start of a chunk make, and how many they are; all bytes at once.
#[inline]
fn leading_digits(chunk: [u8; CHUNK]) -> (u64, usize) {
    let values = values(chunk);
    let bits = others(values).trailing_zeros() & !7;
    // The digits move up until they end the chunk; zeros move in before them.
    let Some(digits) = values.checked_shl(u64::BITS - bits) else { return (0, 0) };
    (number_of(digits), usize::try_from(bits / 8).unwrap_or(0))
}

/// The digits of a decimal whose point lies in this chunk, as a number, and how many stand before the point and behind
/// it; whatever ends them in the chunk is for the caller to look at.
#[inline]
fn leading_decimal(chunk: [u8; CHUNK]) -> Option<(u64, usize, usize)> {
    const POINT: u64 = (b'.' ^ b'0') as u64;
    let values = values(chunk);
    let others = others(values);
    let point = others.trailing_zeros() & !7;
    if point == 0 || values.checked_shr(point)? & 0xFF != POINT {
        return None;
    }
    // A point makes no carry, so what follows it is marked right as well.
    let end = (others & others.wrapping_sub(1)).trailing_zeros() & !7;
    let before = (1_u64 << point) - 1;
    let joined = (values & before) | ((values >> 8) & !before);
    let (whole, digits) = (point / 8, end / 8 - 1);
    let number = number_of(joined << (u64::BITS - 8 * digits));
    Some((number, usize::try_from(whole).ok()?, usize::try_from(digits - whole).ok()?))
}

/// A decimal with digits on both sides of its point.
#[inline]
fn exact(mantissa: u64, whole: usize, decimals: usize) -> Option<Scaled> {
    if whole == 0 || decimals == 0 {
        return None;
    }
    Some(Scaled { mantissa: bounded(mantissa, whole + decimals)?, decimals: u8::try_from(decimals).ok()? })
}

/// The mantissa, if so many digits surely did not wrap: 18 always fit 63 bits.
#[inline]
fn bounded(mantissa: u64, digits: usize) -> Option<i64> {
    if (1..=18).contains(&digits) { i64::try_from(mantissa).ok() } else { None }
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

    /// Takes exactly these bytes if they come next.
    #[inline]
    fn takes(&mut self, expected: &[u8]) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
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
        while let Some(chunk) = self.rest.first_chunk() {
            let (value, length) = leading_digits(*chunk);
            number = number.wrapping_mul(POWERS.get(length).copied().unwrap_or(0)).wrapping_add(value);
            count += length;
            self.rest = self.rest.get(length..).unwrap_or(&[]);
            if length < CHUNK {
                return (number, count);
            }
        }
        // Near the end of the frame.
        while let Some((byte @ b'0'..=b'9', rest)) = self.rest.split_first() {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            count += 1;
            self.rest = rest;
        }
        (number, count)
    }

    /// The rest of a decimal after its opening quote: digits, perhaps a point and more digits; up to 18 digits.
    #[inline]
    fn scaled(&mut self) -> Option<Scaled> {
        let Some((mantissa, whole, decimals)) = self.rest.first_chunk().and_then(|chunk| leading_decimal(*chunk))
        else {
            return self.scaled_without_early_point();
        };
        self.rest = self.rest.get(whole + 1 + decimals..)?;
        if self.takes(b"\"") { exact(mantissa, whole, decimals) } else { self.scaled_on(mantissa, whole, decimals) }
    }

    /// A decimal whose point lies beyond the first chunk, or nowhere.
    #[inline(never)]
    fn scaled_without_early_point(&mut self) -> Option<Scaled> {
        let (mantissa, whole) = self.digits(0);
        if self.takes(b"\"") {
            return Some(Scaled { mantissa: bounded(mantissa, whole)?, decimals: 0 });
        }
        self.eat(b'.')?;
        self.scaled_on(mantissa, whole, 0)
    }

    /// The rest of a decimal behind its point and `decimals` digits.
    #[inline(never)]
    fn scaled_on(&mut self, mantissa: u64, whole: usize, decimals: usize) -> Option<Scaled> {
        let (mantissa, more) = self.digits(mantissa);
        self.eat(b'"')?;
        exact(mantissa, whole, decimals + more)
    }

    fn subscription(&mut self) -> Option<Subscription> {
        self.eat(b'{')?;
        let (mut market, mut channel, mut name) = (None, None, None);
        loop {
            if self.takes(b"\"instType\":") {
                market = Some(self.market()?);
            } else if self.takes(b"\"channel\":") || self.takes(b"\"topic\":") {
                channel = Some(book_channel(std::str::from_utf8(self.text()?).ok()?)?);
            } else if self.takes(b"\"instId\":") || self.takes(b"\"symbol\":") {
                name = Some(std::str::from_utf8(self.text()?).ok()?);
            } else {
                return None;
            }
            if !self.more(b'}')? {
                break;
            }
        }
        Some(Subscription { channel: channel?, symbol: Market::symbol(market?, name?)? })
    }

    /// The market, in the case in which each generation writes it.
    fn market(&mut self) -> Option<Market> {
        if self.takes(b"\"SPOT\"") || self.takes(b"\"spot\"") {
            Some(Market::Spot)
        } else if self.takes(b"\"USDT-FUTURES\"") || self.takes(b"\"usdt-futures\"") {
            Some(Market::UsdtFutures)
        } else {
            None
        }
    }

    fn book(&mut self, book: &mut BookPush) -> Option<()> {
        self.eat(b'{')?;
        let (mut bids, mut asks) = (false, false);
        loop {
            if self.takes(b"\"asks\":[") || self.takes(b"\"a\":[") {
                self.levels(&mut book.asks)?;
                asks = true;
            } else if self.takes(b"\"bids\":[") || self.takes(b"\"b\":[") {
                self.levels(&mut book.bids)?;
                bids = true;
            } else if self.takes(b"\"checksum\":") {
                let (negative, number) = self.whole()?;
                let number = i64::try_from(number).ok()?;
                let number = i32::try_from(if negative { -number } else { number }).ok()?;
                book.checksum = (number != 0).then_some(number);
            } else if self.takes(b"\"seq\":") {
                book.seq = self.count()?;
            } else if self.takes(b"\"pseq\":") {
                book.prev_seq = self.count()?;
            } else if self.takes(b"\"ts\":") {
                book.venue_time = UnixNanos::from_millis(self.count()?.unwrap_or(0));
            } else if self.takes(b"\"maxDepth\":") {
                self.whole()?;
            } else {
                return None;
            }
            if !self.more(b'}')? {
                break;
            }
        }
        (bids && asks).then_some(())
    }

    fn levels(&mut self, levels: &mut Vec<WireLevel>) -> Option<()> {
        levels.clear();
        if self.takes(b"]") {
            return Some(());
        }
        loop {
            if !self.takes(b"[\"") {
                return None;
            }
            let price = self.scaled()?;
            if !self.takes(b",\"") {
                return None;
            }
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

    const FRAMES: [&str; 5] = [
        include_str!("../fixtures/feed_books5.json"),
        include_str!("../fixtures/feed_books_snapshot.json"),
        include_str!("../fixtures/feed_books_update.json"),
        include_str!("../fixtures/v3_feed_books1.json"),
        include_str!("../fixtures/v3_feed_books_update.json"),
    ];

    fn assert_agrees(bytes: &[u8]) {
        let mut quick = FeedFrame::default();
        if book(bytes, &mut quick).is_some() {
            let mut slow = FeedFrame::default();
            assert_eq!(general(bytes, &mut slow), Ok(()), "{}", String::from_utf8_lossy(bytes));
            assert_eq!((quick.kind, quick.subscription, quick.book), (slow.kind, slow.subscription, slow.book));
        }
    }

    proptest! {
        #[test]
        fn digits_at_the_start_of_a_chunk_make_their_number(
            digits in proptest::collection::vec(b'0'..=b'9', 0..=CHUNK), others in any::<[u8; CHUNK]>(),
        ) {
            let mut chunk = others;
            chunk[..digits.len()].copy_from_slice(&digits);
            let length = chunk.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = chunk[..length].iter().fold(0, |number, byte| number * 10 + u64::from(byte - b'0'));
            prop_assert_eq!(leading_digits(chunk), (number, length));
        }

        #[test]
        fn a_decimal_at_the_start_of_a_chunk_is_read_without_its_point(
            digits in proptest::collection::vec(b'0'..=b'9', CHUNK), point in 0..CHUNK, end in 0..=CHUNK, other in any::<u8>(),
        ) {
            let mut chunk = [0; CHUNK];
            chunk.copy_from_slice(&digits);
            chunk[point] = b'.';
            if let Some(byte) = chunk.get_mut(end) {
                *byte = other;
            }
            let text = String::from_utf8_lossy(&chunk).into_owned();
            let whole: String = text.chars().take_while(char::is_ascii_digit).collect();
            let fraction: Option<String> = text[whole.len()..]
                .strip_prefix('.')
                .filter(|_| !whole.is_empty())
                .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
            let expected =
                fraction.map(|tail| (format!("{whole}{tail}").parse().unwrap(), whole.len(), tail.len()));
            prop_assert_eq!(leading_decimal(chunk), expected);
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
