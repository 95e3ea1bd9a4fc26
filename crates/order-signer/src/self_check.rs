//! The second look at what is about to be signed: the bytes are read back by a parser that shares nothing with the
//! codec that wrote them, and compared with the intent.
//!
//! Invariants: only a method and path of the venue's list is signed, each for one verb; every field of the request is
//! one that the intent asks for, with its value, once; the signed text is time, method, target and body, nothing else.

use crate::bitget_rules::{Generation, endpoint, wanted};
use arrayvec::ArrayVec;
use domain::{Scaled, UnixNanos, VenueOrderId};
use messages::{SignIntent, Verb};
use venue_api::{Draft, Method};

/// What a venue's requests may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VenueRules {
    /// Bitget's classic and unified accounts, spot and perpetual futures. Which of the two an account is, the venue
    /// knows: a request of the other kind does nothing there.
    Bitget,
}

impl VenueRules {
    /// The rules for a kind of venue; `None`: nothing is signed for it.
    #[must_use]
    pub fn of(venue: &str) -> Option<Self> {
        (venue == "bitget").then_some(Self::Bitget)
    }

    /// Whether `draft` is what `intent` asks for at `at`, and nothing more.
    #[must_use]
    pub fn allow(self, intent: &SignIntent, at: UnixNanos, draft: &Draft) -> bool {
        match self {
            Self::Bitget => bitget(intent, at, draft).is_some(),
        }
    }
}

/// What a field must say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// This text.
    Text(&'a str),
    /// This id of the venue.
    Id(&'a VenueOrderId),
    /// This number, in any spelling of its decimals.
    Number(Scaled),
    /// This whole number, in its one spelling.
    Count(u64),
}

/// A field by its name.
pub(crate) type Field<'a> = (&'static str, Wanted<'a>);

/// The most fields that a request has.
const FIELDS_MAX: usize = 12;

/// The fields that a request must have.
#[derive(Debug, Default)]
pub(crate) struct Wants<'a> {
    list: ArrayVec<Field<'a>, FIELDS_MAX>,
    /// A field had no room: nothing is allowed then.
    incomplete: bool,
}

impl<'a> Wants<'a> {
    /// Adds fields.
    pub(crate) fn extend(&mut self, fields: impl IntoIterator<Item = Field<'a>>) {
        for field in fields {
            self.incomplete |= self.list.try_push(field).is_err();
        }
    }
}

impl Wanted<'_> {
    fn is(self, value: &str) -> bool {
        match self {
            Self::Text(text) => value == text,
            Self::Id(id) => value == id.as_str(),
            Self::Number(number) => same_number(value, number),
            Self::Count(count) => digits(value) == Some(count),
        }
    }
}

fn bitget(intent: &SignIntent, at: UnixNanos, draft: &Draft) -> Option<()> {
    let millis = at.as_millis();
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (time, target) = (text(&draft.timestamp)?, text(&draft.target)?);
    let (body, prehash) = (text(&draft.body)?, text(&draft.prehash)?);
    if intent.verb() == Verb::StreamLogin {
        let sound = draft.method == Method::Frame
            && target.is_empty()
            && body.is_empty()
            && digits(time) == Some(millis / 1_000);
        return (sound && prehash.strip_prefix(time)? == "GET/user/verify").then_some(());
    }
    let generation = Generation::of(target)?;
    let (method, path) = endpoint(generation, intent)?;
    if draft.method != method {
        return None;
    }
    let signed = prehash.strip_prefix(time)?.strip_prefix(if method == Method::Post { "POST" } else { "GET" })?;
    if digits(time)? != millis || signed.strip_prefix(target)? != body {
        return None;
    }
    let rest = target.strip_prefix(path)?;
    let fields = match method {
        Method::Post if rest.is_empty() => Fields::Json(body.strip_prefix('{')?.strip_suffix('}')?),
        Method::Get if body.is_empty() && rest.is_empty() => Fields::Query(""),
        Method::Get if body.is_empty() => Fields::Query(rest.strip_prefix('?')?),
        _ => return None,
    };
    compare(&wanted(generation, intent)?, fields)
}

/// Each wanted field is there once, and no other is.
fn compare(wanted: &Wants<'_>, mut fields: Fields<'_>) -> Option<()> {
    if wanted.incomplete {
        return None;
    }
    let wanted = &wanted.list;
    let mut seen = 0_u16;
    while let Some((name, value)) = fields.next()? {
        let at = wanted.iter().position(|(known, _)| *known == name)?;
        let bit = 1_u16 << at;
        if seen & bit != 0 || !wanted.get(at)?.1.is(value) {
            return None;
        }
        seen |= bit;
    }
    (seen == (1 << wanted.len()) - 1).then_some(())
}

/// Fields of a query, or of a flat JSON object of plain texts. No escapes: a value that needs one is refused.
enum Fields<'a> {
    Query(&'a str),
    Json(&'a str),
}

impl<'a> Fields<'a> {
    /// The next field; the inner `None` is the end, the outer one a text that cannot be read.
    #[expect(clippy::option_option, reason = "the end is no error")]
    fn next(&mut self) -> Option<Option<(&'a str, &'a str)>> {
        match self {
            Self::Query("") | Self::Json("") => Some(None),
            Self::Query(rest) => {
                let (field, tail) = rest.split_once('&').unwrap_or((rest, ""));
                let open = rest.ends_with('&');
                *rest = tail;
                let (name, value) = field.split_once('=')?;
                (!open && plain(name) && plain(value)).then_some(Some((name, value)))
            }
            Self::Json(rest) => {
                let (name, tail) = quoted(rest)?;
                let (value, tail) = quoted(tail.strip_prefix(':')?)?;
                *rest = match tail.strip_prefix(',') {
                    Some("") => return None,
                    Some(tail) => tail,
                    None if tail.is_empty() => "",
                    None => return None,
                };
                Some(Some((name, value)))
            }
        }
    }
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let (value, tail) = text.strip_prefix('"')?.split_once('"')?;
    plain(value).then_some((value, tail))
}

fn plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn digits(text: &str) -> Option<u64> {
    // No sign, no leading zero: one spelling for each number.
    let sound = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if sound { text.parse().ok() } else { None }
}

/// Whether plain decimal text is exactly this number, which is positive.
fn same_number(text: &str, number: Scaled) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let sound = !whole.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !sound || fraction.contains('.') || text.ends_with('.') || whole.len() + fraction.len() > 36 {
        return false;
    }
    let mut value = 0_i128;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let Some(next) = value.checked_mul(10).and_then(|value| value.checked_add(i128::from(byte - b'0'))) else {
            return false;
        };
        value = next;
    }
    let mut other = i128::from(number.mantissa);
    let (mut have, want) = (fraction.len(), usize::from(number.decimals));
    while have < want {
        let Some(next) = value.checked_mul(10) else { return false };
        value = next;
        have += 1;
    }
    for _ in want..have {
        let Some(next) = other.checked_mul(10) else { return false };
        other = next;
    }
    value == other && value > 0
}

#[cfg(test)]
#[path = "self_check_tests.rs"]
mod tests;
