//! The second look at what is about to be signed: the bytes are read back by a parser that shares nothing with the
//! codec that wrote them, and compared with the intent.
//!
//! Invariants: only a method and path of the list below is signed, each for one verb; every field of the request is
//! one that the intent asks for, with its value, once; the signed text is time, method, target and body, nothing else.

use domain::{Scaled, Side, TimeInForce, UnixNanos};
use messages::{SignIntent, Verb};
use venue_api::{Draft, Method};

/// What a venue's requests may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VenueRules {
    /// Bitget's second version of spot (sheet sections 2 and 6.1).
    BitgetSpot,
}

impl VenueRules {
    /// The rules for a kind of venue; `None`: nothing is signed for it.
    #[must_use]
    pub fn of(venue: &str) -> Option<Self> {
        (venue == "bitget").then_some(Self::BitgetSpot)
    }

    /// Whether `draft` is what `intent` asks for at `at`, and nothing more.
    #[must_use]
    pub fn allow(self, intent: &SignIntent, at: UnixNanos, draft: &Draft) -> bool {
        match self {
            Self::BitgetSpot => bitget_spot(intent, at, draft).is_some(),
        }
    }
}

/// The endpoints, one for each verb. There is none that withdraws, transfers or manages keys.
const fn bitget_endpoint(verb: Verb) -> Option<(Method, &'static str)> {
    Some(match verb {
        Verb::Place => (Method::Post, "/api/v2/spot/trade/place-order"),
        Verb::Cancel => (Method::Post, "/api/v2/spot/trade/cancel-order"),
        Verb::CancelAll => (Method::Post, "/api/v2/spot/trade/cancel-symbol-order"),
        Verb::QueryOrder => (Method::Get, "/api/v2/spot/trade/orderInfo"),
        Verb::OpenOrders => (Method::Get, "/api/v2/spot/trade/unfilled-orders"),
        Verb::OrderHistory => (Method::Get, "/api/v2/spot/trade/history-orders"),
        Verb::Fills => (Method::Get, "/api/v2/spot/trade/fills"),
        Verb::Balances => (Method::Get, "/api/v2/spot/account/assets"),
        Verb::KeyInfo => (Method::Get, "/api/v2/spot/account/info"),
        Verb::StreamLogin => (Method::Frame, "/user/verify"),
        Verb::Positions
        | Verb::FuturesSettings
        | Verb::Bills
        | Verb::SetLeverage
        | Verb::SetMarginMode
        | Verb::SetPositionMode => return None,
    })
}

/// What a field must say.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Text(&'a str),
    Number(Scaled),
    Millis(u64),
}

impl Wanted<'_> {
    fn is(self, value: &str) -> bool {
        match self {
            Self::Text(text) => value == text,
            Self::Number(number) => same_number(value, number),
            Self::Millis(millis) => digits(value) == Some(millis),
        }
    }
}

fn bitget_spot(intent: &SignIntent, at: UnixNanos, draft: &Draft) -> Option<()> {
    let verb = intent.verb();
    let (method, path) = bitget_endpoint(verb)?;
    if let SignIntent::Place(order) = intent
        && !order.effect.is_default()
    {
        // There is no field that would say so, and an order that was to reduce would be one that adds.
        return None;
    }
    let millis = at.as_millis();
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (time, target) = (text(&draft.timestamp)?, text(&draft.target)?);
    let (body, prehash) = (text(&draft.body)?, text(&draft.prehash)?);
    if draft.method != method {
        return None;
    }
    if verb == Verb::StreamLogin {
        let sound = target.is_empty() && body.is_empty() && digits(time) == Some(millis / 1_000);
        return (sound && prehash.strip_prefix(time)? == "GET/user/verify").then_some(());
    }
    let signed = prehash.strip_prefix(time)?.strip_prefix(if method == Method::Post { "POST" } else { "GET" })?;
    if digits(time)? != millis || signed.strip_prefix(target)? != body {
        return None;
    }
    let rest = target.strip_prefix(path)?;
    match method {
        Method::Post if rest.is_empty() => compare(intent, Fields::Json(body.strip_prefix('{')?.strip_suffix('}')?)),
        Method::Get if body.is_empty() && rest.is_empty() => compare(intent, Fields::Query("")),
        Method::Get if body.is_empty() => compare(intent, Fields::Query(rest.strip_prefix('?')?)),
        _ => None,
    }
}

/// Each wanted field is there once, and no other is.
fn compare(intent: &SignIntent, mut fields: Fields<'_>) -> Option<()> {
    let wanted = wanted(intent);
    let mut seen = 0_u16;
    while let Some(field) = fields.next()? {
        let (name, value) = field;
        let at = wanted.iter().position(|(known, wanted)| *known == name && wanted.is_some())?;
        let bit = 1_u16 << at;
        let right = wanted.get(at).and_then(|(_, wanted)| *wanted).is_some_and(|wanted| wanted.is(value));
        if seen & bit != 0 || !right {
            return None;
        }
        seen |= bit;
    }
    let all =
        wanted.iter().enumerate().filter(|(_, (_, wanted))| wanted.is_some()).fold(0, |all, (at, _)| all | 1 << at);
    (seen == all).then_some(())
}

type Field<'a> = (&'static str, Option<Wanted<'a>>);

/// The most fields that a request has.
const FIELDS_MAX: usize = 7;

fn wanted(intent: &SignIntent) -> [Field<'_>; FIELDS_MAX] {
    let none = ("", None);
    let text = |name, value| (name, Some(Wanted::Text(value)));
    let page = text("limit", "100");
    match intent {
        SignIntent::Place(order) => [
            text("symbol", order.symbol.as_str()),
            text("side", if order.side == Side::Buy { "buy" } else { "sell" }),
            text("orderType", "limit"),
            text(
                "force",
                match order.time_in_force {
                    TimeInForce::Gtc => "gtc",
                    TimeInForce::Ioc => "ioc",
                    TimeInForce::Fok => "fok",
                    TimeInForce::PostOnly => "post_only",
                },
            ),
            ("price", Some(Wanted::Number(order.price))),
            ("size", Some(Wanted::Number(order.qty))),
            text("clientOid", order.id.as_str()),
        ],
        SignIntent::Cancel { symbol, id, venue_order_id } => {
            let order = match venue_order_id {
                Some(venue_order_id) => text("orderId", venue_order_id.as_str()),
                None => text("clientOid", id.as_str()),
            };
            [text("symbol", symbol.as_str()), order, none, none, none, none, none]
        }
        SignIntent::CancelAll { symbol } => [text("symbol", symbol.as_str()), none, none, none, none, none, none],
        SignIntent::QueryOrder { id, .. } => [text("clientOid", id.as_str()), none, none, none, none, none, none],
        SignIntent::OpenOrders { symbol, older_than } => {
            let cursor = ("idLessThan", older_than.as_ref().map(|id| Wanted::Text(id.as_str())));
            [text("symbol", symbol.as_str()), page, cursor, none, none, none, none]
        }
        SignIntent::OrderHistory { symbol, since, older_than } | SignIntent::Fills { symbol, since, older_than } => {
            let cursor = ("idLessThan", older_than.as_ref().map(|id| Wanted::Text(id.as_str())));
            let start = ("startTime", older_than.is_none().then_some(Wanted::Millis(since.as_millis())));
            [text("symbol", symbol.as_str()), page, cursor, start, none, none, none]
        }
        SignIntent::Balances
        | SignIntent::KeyInfo
        | SignIntent::StreamLogin
        | SignIntent::Positions
        | SignIntent::FuturesSettings { .. }
        | SignIntent::Bills { .. }
        | SignIntent::SetLeverage { .. }
        | SignIntent::SetMarginMode { .. }
        | SignIntent::SetPositionMode { .. } => [none; FIELDS_MAX],
    }
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
mod tests {
    use super::*;
    use domain::{ClientOrderId, Epoch, InstanceTag, Sequence, Symbol};
    use messages::PlaceOrder;

    const AT: UnixNanos = UnixNanos(1_700_000_000_123_000_000);

    fn order() -> PlaceOrder {
        PlaceOrder {
            id: ClientOrderId::new(InstanceTag::from_number(3), Epoch::new(1).unwrap(), Sequence::new(2).unwrap()),
            symbol: Symbol::from("BTCUSDT").unwrap(),
            side: Side::Buy,
            price: Scaled { mantissa: 6_512_340, decimals: 2 },
            qty: Scaled { mantissa: 1_500, decimals: 6 },
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
        }
    }

    fn intents() -> Vec<SignIntent> {
        let (symbol, id) = (order().symbol, order().id);
        let cursor = Some(domain::VenueOrderId::from("1234567890").unwrap());
        vec![
            SignIntent::Place(order()),
            SignIntent::Cancel { symbol, id, venue_order_id: None },
            SignIntent::Cancel { symbol, id, venue_order_id: cursor },
            SignIntent::CancelAll { symbol },
            SignIntent::QueryOrder { symbol, id },
            SignIntent::OpenOrders { symbol, older_than: None },
            SignIntent::OpenOrders { symbol, older_than: cursor },
            SignIntent::OrderHistory { symbol, since: AT, older_than: None },
            SignIntent::Fills { symbol, since: AT, older_than: None },
            SignIntent::Fills { symbol, since: AT, older_than: cursor },
            SignIntent::Balances,
            SignIntent::KeyInfo,
            SignIntent::StreamLogin,
        ]
    }

    fn drafted(intent: &SignIntent) -> Box<Draft> {
        let mut draft = Box::<Draft>::default();
        let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
        codec.draft(intent, AT, &mut draft).unwrap();
        draft
    }

    #[test]
    fn what_the_codec_writes_is_allowed_for_its_own_intent_and_moment_alone() {
        for (at, intent) in intents().iter().enumerate() {
            let draft = drafted(intent);
            for (other, wanted) in intents().iter().enumerate() {
                assert_eq!(VenueRules::BitgetSpot.allow(wanted, AT, &draft), at == other, "{wanted:?} as {intent:?}");
            }
            let later = UnixNanos(AT.0 + 1_000_000_000);
            assert!(!VenueRules::BitgetSpot.allow(intent, later, &draft), "another moment: {intent:?}");
        }
    }

    #[test]
    fn a_spot_order_that_was_to_reduce_or_to_hedge_is_refused_whatever_was_written() {
        let draft = drafted(&SignIntent::Place(order()));
        for effect in domain::PositionEffect::ALL.into_iter().filter(|effect| !effect.is_default()) {
            let intent = SignIntent::Place(PlaceOrder { effect, ..order() });
            assert!(!VenueRules::BitgetSpot.allow(&intent, AT, &draft), "{effect:?}");
        }
    }

    #[test]
    fn any_changed_missing_or_added_byte_is_refused() {
        for intent in intents() {
            let good = drafted(&intent);
            let refused = |draft: &Draft, what: &str| {
                assert!(!VenueRules::BitgetSpot.allow(&intent, AT, draft), "{what}: {intent:?}");
            };
            for at in 0..good.prehash.len() {
                for byte in [b'0', b'"', b'&', b'/', b'x', 0xff] {
                    if good.prehash[at] != byte {
                        let mut draft = drafted(&intent);
                        draft.prehash[at] = byte;
                        refused(&draft, "prehash");
                    }
                }
            }
            // A codec gone wrong changes what is sent and what is signed alike.
            for (at, byte) in (0..good.body.len()).flat_map(|at| [b'9', b',', b' '].map(|byte| (at, byte))) {
                if good.body[at] != byte && !(good.body[at] == b'0' && byte == b'.') {
                    let mut draft = drafted(&intent);
                    draft.body[at] = byte;
                    rehash(&mut draft);
                    refused(&draft, "body");
                }
            }
            for (at, byte) in (0..good.target.len()).flat_map(|at| [b'9', b'?', b'%'].map(|byte| (at, byte))) {
                if good.target[at] != byte {
                    let mut draft = drafted(&intent);
                    draft.target[at] = byte;
                    rehash(&mut draft);
                    refused(&draft, "target");
                }
            }
        }
    }

    fn rehash(draft: &mut Draft) {
        draft.prehash.clear();
        for part in [&draft.timestamp[..], draft.method.as_str().as_bytes(), &draft.target[..], &draft.body[..]] {
            draft.prehash.try_extend_from_slice(part).unwrap();
        }
    }

    #[test]
    fn added_fields_doubled_fields_and_other_paths_are_refused() {
        let place = SignIntent::Place(order());
        for body in [
            r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID","triggerPrice":"1"}"#,
            r#"{"symbol":"BTCUSDT","symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"}"#,
            r#"{"symbol":"BTCUSDT","side":"buy","orderType":"market","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"}"#,
            r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"651234.0","size":"0.001500","clientOid":"ID"}"#,
            r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","size":"0.001500","clientOid":"ID"}"#,
            r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"},"#,
            r#"{"symbol":"BTCUSDT","side":"b\u0075y","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"}"#,
        ] {
            let mut draft = drafted(&place);
            draft.body.clear();
            draft.body.try_extend_from_slice(body.replace("ID", order().id.as_str()).as_bytes()).unwrap();
            rehash(&mut draft);
            assert!(!VenueRules::BitgetSpot.allow(&place, AT, &draft), "{body}");
        }
        for target in
            ["/api/v2/spot/wallet/transfer", "/api/v2/spot/trade/place-order/", "/api/v2/spot/trade/place-order?a=b"]
        {
            let mut draft = drafted(&place);
            draft.target.clear();
            draft.target.try_extend_from_slice(target.as_bytes()).unwrap();
            rehash(&mut draft);
            assert!(!VenueRules::BitgetSpot.allow(&place, AT, &draft), "{target}");
        }
    }

    #[test]
    fn a_number_is_the_same_in_every_spelling_and_no_other_number_is() {
        let number = Scaled { mantissa: 150, decimals: 2 };
        for same in ["1.5", "1.50", "1.500", "01.5"] {
            assert!(same_number(same, number), "{same}");
        }
        for other in ["15", "1.51", "", ".", "1.", "-1.5", "1.5.0", "1,5", "1e0", &"9".repeat(40)] {
            assert!(!same_number(other, number), "{other}");
        }
        assert!(!same_number("0", Scaled { mantissa: 0, decimals: 0 }), "nothing is not an order");
    }
}
