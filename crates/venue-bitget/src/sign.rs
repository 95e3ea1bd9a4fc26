//! Which bytes are signed and where the signature goes; the MAC itself is made elsewhere.
//!
//! Facts (sheet section 2, checked with the vectors in section 2.1): the text to be signed is
//! `timestamp + METHOD + path[?query] + body`, with `timestamp` byte for byte as in the header.
//! Query keys are in ascending order and values hold URL-safe characters only, so that all ways in
//! which the venue may canonicalise a request give the same bytes.
//!
//! Invariants: nothing is allocated; every value written into a body or target was checked to need
//! no escaping, so a venue's text cannot add a field.

use crate::{Bitget, Environment};
use domain::{ClientOrderId, Scaled, Side, TimeInForce, UnixNanos};
use messages::{PlaceOrder, SignIntent, SignRefusal};
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding, SigningCodec, append};

const PLACE: &[u8] = b"/api/v2/spot/trade/place-order";
const CANCEL: &[u8] = b"/api/v2/spot/trade/cancel-order";
const CANCEL_SYMBOL: &[u8] = b"/api/v2/spot/trade/cancel-symbol-order";
const ORDER_INFO: &[u8] = b"/api/v2/spot/trade/orderInfo";
const UNFILLED: &[u8] = b"/api/v2/spot/trade/unfilled-orders";
const HISTORY: &[u8] = b"/api/v2/spot/trade/history-orders";
const FILLS: &[u8] = b"/api/v2/spot/trade/fills";
const ASSETS: &[u8] = b"/api/v2/spot/account/assets";
const ACCOUNT_INFO: &[u8] = b"/api/v2/spot/account/info";

/// Rows asked for in one page: the venue's default and maximum.
pub(crate) const PAGE_ROWS: usize = 100;
const PAGE_ROWS_TEXT: &[u8] = b"100";

impl SigningCodec for Bitget {
    fn encoding(&self) -> SignatureEncoding {
        SignatureEncoding::Base64
    }

    fn draft(&self, intent: &SignIntent, at: UnixNanos, draft: &mut Draft) -> Result<(), SignRefusal> {
        draft.clear();
        let mut digits = itoa::Buffer::new();
        if matches!(intent, SignIntent::StreamLogin) {
            draft.method = Method::Frame;
            // Seconds as text: what every known client sends (sheet section 5.1).
            append(&mut draft.timestamp, digits.format(at.as_millis() / 1_000).as_bytes())?;
            append(&mut draft.prehash, &draft.timestamp)?;
            return append(&mut draft.prehash, b"GET/user/verify");
        }
        append(&mut draft.timestamp, digits.format(at.as_millis()).as_bytes())?;
        write_request(intent, draft)?;
        for part in signed_text(&draft.timestamp, draft.method, &draft.target, &draft.body) {
            append(&mut draft.prehash, part)?;
        }
        Ok(())
    }

    fn standing_headers(
        &self,
        method: Method,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        if method == Method::Frame {
            return Ok(());
        }
        headers.header("ACCESS-KEY", credentials.key.as_bytes())?;
        headers.header("ACCESS-PASSPHRASE", credentials.passphrase.as_bytes())?;
        if method == Method::Post {
            headers.header("Content-Type", b"application/json")?;
        }
        headers.header("locale", b"en-US")?;
        if self.environment == Environment::Demo {
            // Not part of the signed text (sheet section 1).
            headers.header("paptrading", b"1")?;
        }
        Ok(())
    }

    fn finish(
        &self,
        draft: &mut Draft,
        signature: &str,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        if draft.method == Method::Frame {
            return write_login(draft, signature, credentials);
        }
        headers.header("ACCESS-SIGN", signature.as_bytes())?;
        headers.header("ACCESS-TIMESTAMP", &draft.timestamp)
    }
}

/// The text that is signed, in parts: time stamp as in the header, method in upper case, path with its query, body.
#[must_use]
pub fn signed_text<'a>(timestamp: &'a [u8], method: Method, target: &'a [u8], body: &'a [u8]) -> [&'a [u8]; 4] {
    [timestamp, method.as_str().as_bytes(), target, body]
}

fn write_request(intent: &SignIntent, draft: &mut Draft) -> Result<(), SignRefusal> {
    match intent {
        SignIntent::Place(order) => write_place(order, draft),
        SignIntent::Cancel { symbol, id, venue_order_id } => {
            post(draft, CANCEL)?;
            append(&mut draft.body, b"{\"symbol\":\"")?;
            plain(&mut draft.body, symbol)?;
            match venue_order_id {
                Some(venue_order_id) => {
                    append(&mut draft.body, b"\",\"orderId\":\"")?;
                    plain(&mut draft.body, venue_order_id)?;
                }
                None => {
                    append(&mut draft.body, b"\",\"clientOid\":\"")?;
                    plain(&mut draft.body, id.as_str())?;
                }
            }
            append(&mut draft.body, b"\"}")
        }
        SignIntent::CancelAll { symbol } => {
            post(draft, CANCEL_SYMBOL)?;
            append(&mut draft.body, b"{\"symbol\":\"")?;
            plain(&mut draft.body, symbol)?;
            append(&mut draft.body, b"\"}")
        }
        SignIntent::QueryOrder { id, .. } => query_order(draft, id),
        SignIntent::OpenOrders { symbol, older_than } => {
            list(draft, UNFILLED, symbol, None, older_than.as_ref().map(|id| id.as_str()))
        }
        SignIntent::OrderHistory { symbol, since, older_than } => {
            list(draft, HISTORY, symbol, Some(*since), older_than.as_ref().map(|id| id.as_str()))
        }
        SignIntent::Fills { symbol, since, older_than } => {
            list(draft, FILLS, symbol, Some(*since), older_than.as_ref().map(|id| id.as_str()))
        }
        SignIntent::Balances => append(&mut draft.target, ASSETS),
        SignIntent::KeyInfo => append(&mut draft.target, ACCOUNT_INFO),
        SignIntent::StreamLogin
        | SignIntent::Positions
        | SignIntent::FuturesSettings { .. }
        | SignIntent::Bills { .. }
        | SignIntent::SetLeverage { .. }
        | SignIntent::SetMarginMode { .. }
        | SignIntent::SetPositionMode { .. } => Err(SignRefusal::Unsupported),
    }
}

fn post(draft: &mut Draft, path: &[u8]) -> Result<(), SignRefusal> {
    draft.method = Method::Post;
    append(&mut draft.target, path)
}

fn write_place(order: &PlaceOrder, draft: &mut Draft) -> Result<(), SignRefusal> {
    if !order.effect.is_default() {
        return Err(SignRefusal::Malformed);
    }
    post(draft, PLACE)?;
    let body = &mut draft.body;
    append(body, b"{\"symbol\":\"")?;
    plain(body, &order.symbol)?;
    append(body, side(order.side))?;
    append(body, force(order.time_in_force))?;
    positive(body, order.price)?;
    append(body, b"\",\"size\":\"")?;
    positive(body, order.qty)?;
    append(body, b"\",\"clientOid\":\"")?;
    append(body, order.id.as_bytes())?;
    append(body, b"\"}")
}

/// From the symbol to the time in force.
const fn side(side: Side) -> &'static [u8] {
    match side {
        Side::Buy => b"\",\"side\":\"buy\",\"orderType\":\"limit\",\"force\":\"",
        Side::Sell => b"\",\"side\":\"sell\",\"orderType\":\"limit\",\"force\":\"",
    }
}

/// From the time in force to the price.
const fn force(time_in_force: TimeInForce) -> &'static [u8] {
    match time_in_force {
        TimeInForce::Gtc => b"gtc\",\"price\":\"",
        TimeInForce::Ioc => b"ioc\",\"price\":\"",
        TimeInForce::Fok => b"fok\",\"price\":\"",
        TimeInForce::PostOnly => b"post_only\",\"price\":\"",
    }
}

fn query_order(draft: &mut Draft, id: &ClientOrderId) -> Result<(), SignRefusal> {
    append(&mut draft.target, ORDER_INFO)?;
    append(&mut draft.target, b"?clientOid=")?;
    plain(&mut draft.target, id.as_str())
}

/// A page of a list, keys in ascending order. Together with a start time the venue may ignore the
/// cursor (sheet section 6.1, query priority), so later pages go by the cursor alone and the reader
/// of the answer drops what is older than asked for.
fn list(
    draft: &mut Draft,
    path: &[u8],
    symbol: &str,
    since: Option<UnixNanos>,
    older_than: Option<&str>,
) -> Result<(), SignRefusal> {
    let target = &mut draft.target;
    append(target, path)?;
    append(target, b"?")?;
    if let Some(cursor) = older_than {
        append(target, b"idLessThan=")?;
        plain(target, cursor)?;
        append(target, b"&")?;
    }
    append(target, b"limit=")?;
    append(target, PAGE_ROWS_TEXT)?;
    if let (Some(since), None) = (since, older_than) {
        append(target, b"&startTime=")?;
        append(target, itoa::Buffer::new().format(since.as_millis()).as_bytes())?;
    }
    append(target, b"&symbol=")?;
    plain(target, symbol)
}

/// Appends text that needs no escaping in JSON or a URL; anything else is refused.
fn plain<const N: usize>(out: &mut arrayvec::ArrayVec<u8, N>, text: &str) -> Result<(), SignRefusal> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.is_empty() || !text.bytes().all(safe) {
        return Err(SignRefusal::Malformed);
    }
    append(out, text.as_bytes())
}

fn positive<const N: usize>(out: &mut arrayvec::ArrayVec<u8, N>, number: Scaled) -> Result<(), SignRefusal> {
    if number.mantissa <= 0 || number.decimals > Scaled::DECIMALS_MAX {
        return Err(SignRefusal::Malformed);
    }
    append(out, number.write_text(&mut [0; 24]))
}

fn write_login(draft: &mut Draft, signature: &str, credentials: Credentials<'_>) -> Result<(), SignRefusal> {
    let Draft { body, timestamp, .. } = draft;
    body.clear();
    append(body, b"{\"op\":\"login\",\"args\":[{\"apiKey\":\"")?;
    json_text(body, credentials.key)?;
    append(body, b"\",\"passphrase\":\"")?;
    json_text(body, credentials.passphrase)?;
    append(body, b"\",\"timestamp\":\"")?;
    append(body, timestamp)?;
    append(body, b"\",\"sign\":\"")?;
    json_text(body, signature)?;
    append(body, b"\"}]}")
}

/// Appends text with JSON's escapes, without a copy of a passphrase anywhere else.
fn json_text<const N: usize>(out: &mut arrayvec::ArrayVec<u8, N>, text: &str) -> Result<(), SignRefusal> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => append(out, &[b'\\', byte])?,
            0..=0x1f => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                append(out, &[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)])?;
            }
            _ => append(out, &[byte])?,
        }
    }
    Ok(())
}
