//! Writing requests: bodies, queries, headers and the log-in frame, the same for both generations of the interface.
//!
//! Facts (sheet section 2, checked with the vectors in section 2.1): the text to be signed is
//! `timestamp + METHOD + path[?query] + body`, with `timestamp` byte for byte as in the header. Query keys are in
//! ascending order and values hold URL-safe characters only, so that all ways in which the venue may canonicalise a
//! request give the same bytes.
//!
//! Invariants: nothing is allocated; every value written into a body or target was checked to need no escaping, so a
//! venue's text cannot add a field.

use crate::Environment;
use arrayvec::ArrayVec;
use domain::{Scaled, UnixNanos};
use messages::{PlaceOrder, SignIntent, SignRefusal};
use venue_api::{Credentials, Draft, HeaderSink, Method, TARGET_MAX, append};

/// Rows asked for in one page: the venue's default and maximum.
pub(crate) const PAGE_ROWS: usize = 100;
/// The same as it is written.
pub(crate) const PAGE_ROWS_TEXT: &str = "100";

/// The text that is signed, in parts: time stamp as in the header, method in upper case, path with its query, body.
#[must_use]
pub fn signed_text<'a>(timestamp: &'a [u8], method: Method, target: &'a [u8], body: &'a [u8]) -> [&'a [u8]; 4] {
    [timestamp, method.as_str().as_bytes(), target, body]
}

/// Builds a draft: the log-in itself, every other request with `write`, which sets method, target and body.
pub(crate) fn draft(
    intent: &SignIntent,
    at: UnixNanos,
    draft: &mut Draft,
    write: fn(&SignIntent, &mut Draft) -> Result<(), SignRefusal>,
) -> Result<(), SignRefusal> {
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
    write(intent, draft)?;
    for part in signed_text(&draft.timestamp, draft.method, &draft.target, &draft.body) {
        append(&mut draft.prehash, part)?;
    }
    Ok(())
}

/// The headers that are the same in every request of a method.
pub(crate) fn standing_headers(
    environment: Environment,
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
    if environment == Environment::Demo {
        // Not part of the signed text (sheet section 1).
        headers.header("paptrading", b"1")?;
    }
    Ok(())
}

/// Puts the signature where it belongs: two headers, or the log-in frame.
pub(crate) fn finish(
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

/// A flat JSON object on its way into a body.
pub(crate) struct Json<'d, const N: usize>(&'d mut ArrayVec<u8, N>);

impl<'d, const N: usize> Json<'d, N> {
    /// Opens an object behind what is there.
    pub(crate) fn open(out: &'d mut ArrayVec<u8, N>) -> Result<Self, SignRefusal> {
        append(out, b"{")?;
        Ok(Self(out))
    }

    fn name(&mut self, name: &str) -> Result<(), SignRefusal> {
        if self.0.last() != Some(&b'{') {
            append(self.0, b",")?;
        }
        append(self.0, b"\"")?;
        append(self.0, name.as_bytes())?;
        append(self.0, b"\":\"")
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> Result<(), SignRefusal> {
        self.name(name)?;
        plain(self.0, value)?;
        append(self.0, b"\"")
    }

    /// Adds a whole number above zero, as text.
    pub(crate) fn count(&mut self, name: &str, value: u16) -> Result<(), SignRefusal> {
        if value == 0 {
            return Err(SignRefusal::Malformed);
        }
        self.text(name, itoa::Buffer::new().format(value))
    }

    /// Closes the object.
    pub(crate) fn close(self) -> Result<(), SignRefusal> {
        append(self.0, b"}")
    }
}

/// A query on its way into a target. The caller adds its keys in ascending order.
pub(crate) struct Query<'d> {
    out: &'d mut ArrayVec<u8, TARGET_MAX>,
    first: bool,
}

impl<'d> Query<'d> {
    /// Begins the query of a path.
    pub(crate) fn of(draft: &'d mut Draft, path: &str) -> Result<Self, SignRefusal> {
        append(&mut draft.target, path.as_bytes())?;
        Ok(Self { out: &mut draft.target, first: true })
    }

    fn name(&mut self, name: &str) -> Result<(), SignRefusal> {
        append(self.out, if self.first { b"?" } else { b"&" })?;
        self.first = false;
        append(self.out, name.as_bytes())?;
        append(self.out, b"=")
    }

    /// Adds a text.
    pub(crate) fn text(mut self, name: &str, value: &str) -> Result<Self, SignRefusal> {
        self.name(name)?;
        plain(self.out, value)?;
        Ok(self)
    }

    /// Adds a text where there is one.
    pub(crate) fn optional(self, name: &str, value: Option<&str>) -> Result<Self, SignRefusal> {
        match value {
            Some(value) => self.text(name, value),
            None => Ok(self),
        }
    }

    /// Adds a time in milliseconds where there is one.
    pub(crate) fn millis(self, name: &str, at: Option<UnixNanos>) -> Result<Self, SignRefusal> {
        match at {
            Some(at) => self.text(name, itoa::Buffer::new().format(at.as_millis())),
            None => Ok(self),
        }
    }
}

/// What an order does in hedge mode: opens (`true`) or closes its position. `None` in one-way mode.
///
/// # Errors
/// [`SignRefusal::Malformed`] for an order that would open a position and may only reduce it, which is a contradiction.
pub(crate) const fn hedge_opens(order: &PlaceOrder) -> Result<Option<bool>, SignRefusal> {
    match order.effect.opens(order.side) {
        Some(true) if order.effect.reduce_only => Err(SignRefusal::Malformed),
        opens => Ok(opens),
    }
}

/// Refuses what only futures have.
pub(crate) fn no_effect(order: &PlaceOrder) -> Result<(), SignRefusal> {
    if order.effect.is_default() { Ok(()) } else { Err(SignRefusal::Malformed) }
}

/// Makes it a POST to a path.
pub(crate) fn post(draft: &mut Draft, path: &str) -> Result<(), SignRefusal> {
    draft.method = Method::Post;
    append(&mut draft.target, path.as_bytes())
}

/// Appends text that needs no escaping in JSON or a URL; anything else is refused.
pub(crate) fn plain<const N: usize>(out: &mut ArrayVec<u8, N>, text: &str) -> Result<(), SignRefusal> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.is_empty() || !text.bytes().all(safe) {
        return Err(SignRefusal::Malformed);
    }
    append(out, text.as_bytes())
}

/// Appends a positive number with all its decimals.
pub(crate) fn positive<const N: usize>(out: &mut ArrayVec<u8, N>, number: Scaled) -> Result<(), SignRefusal> {
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
fn json_text<const N: usize>(out: &mut ArrayVec<u8, N>, text: &str) -> Result<(), SignRefusal> {
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
