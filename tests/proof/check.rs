//! What a signed request must be, judged from the venue's description and the intent alone. It shares no code with the
//! signer or its codec.

use super::client::{Intent, Number, Text};
use super::rig::Values;
use hmac::{Hmac, KeyInit as _, Mac as _};
use order_signer::process::ReadySigner;
use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sign_policy::PolicyDocument;
use std::collections::{HashMap, VecDeque};

/// Method, path, and what it is for: spot orders and questions of the venue's description. Nothing else may be signed.
const ALLOWED: [(u8, u8, &str); 9] = [
    (0, 1, "/api/v2/spot/trade/place-order"),
    (1, 1, "/api/v2/spot/trade/cancel-order"),
    (2, 1, "/api/v2/spot/trade/cancel-symbol-order"),
    (3, 0, "/api/v2/spot/trade/orderInfo"),
    (4, 0, "/api/v2/spot/trade/unfilled-orders"),
    (5, 0, "/api/v2/spot/trade/history-orders"),
    (6, 0, "/api/v2/spot/trade/fills"),
    (7, 0, "/api/v2/spot/account/assets"),
    (8, 0, "/api/v2/spot/account/info"),
];
const METHODS: [&str; 4] = ["GET", "POST", "DELETE", ""];
const LOGIN: (u8, u8) = (9, 3);
const FORCES: [&str; 4] = ["gtc", "ioc", "fok", "post_only"];
/// Words of endpoints that move money or manage keys.
const NEVER: [&str; 9] =
    ["withdraw", "transfer", "sub-account", "subaccount", "sub_account", "apikey", "api-key", "/user/", "/convert"];
/// The verbs that cancel, by their numbers.
const CANCELS: [u8; 2] = [1, 2];
/// Largest difference to real time of what is no cancel, in milliseconds.
const ORDER_TIME_MAX: i128 = 5_000;
/// By which the clocks of two processes may differ, in milliseconds.
const CLOCKS: i128 = 50;

/// The bytes of a signed request.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) verb: u8,
    pub(crate) method: u8,
    pub(crate) target: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// When it was asked for and answered, in milliseconds since 1970, and over which socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) emergency: bool,
}

/// JSON that is one object of texts, repeated fields included.
#[derive(Debug, PartialEq)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Pairs;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object of texts")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                pairs.sort();
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Texts)
    }
}

/// What an order is worth: side, price and quantity as they were signed.
type Economic = (String, String, String, Decimal, Decimal);
/// When an order was signed at the earliest and at the latest, its notional and quantity.
type Dated = (u64, u64, Decimal, Decimal);

/// Judges what is signed, and remembers it.
pub(crate) struct Checker {
    key: String,
    secret: Vec<u8>,
    passphrase: String,
    tag: String,
    pub(crate) epoch: u32,
    /// As last told over the order socket and the emergency socket, in nanoseconds.
    offsets: [i64; 2],
    orders: HashMap<String, Economic>,
    /// The limits that the signer was given, and what was signed within them, by symbol, side and window.
    policy: PolicyDocument,
    spent: HashMap<(String, String, u64), VecDeque<Dated>>,
}

fn text(bytes: &Text) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Digits that mean what mantissa and decimals mean, in the venue's spelling.
fn is_number(written: &str, (mantissa, decimals): Number) -> Result<Decimal, String> {
    let plain = written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    demand(plain && !written.is_empty() && mantissa > 0, "no positive number in plain digits")?;
    let (whole, part) = written.split_once('.').unwrap_or((written, ""));
    let missing = usize::from(decimals).checked_sub(part.trim_end_matches('0').len());
    let missing = missing.ok_or("digits that nobody asked for")?;
    let part = part.trim_end_matches('0');
    let digits: i128 = format!("{whole}{part}{}", "0".repeat(missing)).parse().map_err(|_| "too many digits")?;
    demand(digits == i128::from(mantissa), "another number than was asked for")?;
    Decimal::try_from_i128_with_scale(i128::from(mantissa), u32::from(decimals)).map_err(|error| error.to_string())
}

impl Checker {
    pub(crate) fn new(values: &Values, ready: &ReadySigner, policy: &PolicyDocument) -> Self {
        Self {
            key: values.key.clone(),
            secret: values.secret.clone().into_bytes(),
            passphrase: values.passphrase.clone(),
            tag: ready.tag.clone(),
            epoch: ready.epoch,
            offsets: [0; 2],
            orders: HashMap::new(),
            policy: policy.clone(),
            spent: HashMap::new(),
        }
    }

    /// Another process over the same files: what was signed stays signed.
    pub(crate) fn next_run(&mut self, ready: &ReadySigner) {
        assert!(ready.tag == self.tag && ready.epoch > self.epoch, "a later run of the same instance");
        self.epoch = ready.epoch;
        self.offsets = [0; 2];
    }

    /// Notional and quantity of a side that were signed in all.
    pub(crate) fn spent_on(&self, side: &str) -> (Decimal, Decimal) {
        let own = self.orders.values().filter(|order| order.1 == side);
        own.fold((Decimal::ZERO, Decimal::ZERO), |sum, order| (sum.0 + order.3 * order.4, sum.1 + order.4))
    }

    /// The venue's time as somebody told it.
    pub(crate) fn offset_told(&mut self, offset_ns: i64, emergency: bool) {
        self.offsets[usize::from(emergency)] = offset_ns;
    }

    /// Whether this request may exist as the answer to this intent.
    pub(crate) fn judge(&mut self, intent: &Intent, signed: &Signed, told: &Told) -> Result<(), String> {
        demand(signed.verb == intent.verb(), "another verb")?;
        let (path, query) = signed.target.split_once('?').unwrap_or((&signed.target, ""));
        let lower = path.to_ascii_lowercase();
        demand(!NEVER.iter().any(|word| lower.contains(word)), "it moves money or manages keys")?;
        if told.emergency {
            demand((1..=4).contains(&signed.verb), "the emergency socket signs cancels and looks at orders")?;
        }
        if (signed.verb, signed.method) == LOGIN {
            return self.login(signed, told);
        }
        let allowed = ALLOWED.contains(&(signed.verb, signed.method, path));
        demand(allowed, "a method or path that is not on the list")?;
        self.sealed(signed, told)?;
        let expected = expected(intent)?;
        let found = if signed.method == 1 {
            demand(query.is_empty(), "a query beside a body")?;
            serde_json::from_str::<Pairs>(&signed.body).map_err(|error| error.to_string())?
        } else {
            demand(signed.body.is_empty(), "a body beside a query")?;
            let pairs = query.split('&').filter(|pair| !pair.is_empty());
            let pairs = pairs.map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
            let mut pairs: Vec<_> = pairs.collect::<Option<_>>().ok_or("a query without values")?;
            demand(pairs.iter().all(|(_, value)| !value.contains('%')), "something that is written in two ways")?;
            pairs.sort();
            Pairs(pairs)
        };
        let Intent::Place { price, qty, id, .. } = intent else {
            return demand(found == expected, "other fields than were asked for");
        };
        let field = |name: &str| found.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        let (price_text, size_text) = (field("price").ok_or("no price")?, field("size").ok_or("no size")?);
        let (price, qty) = (is_number(&price_text, *price)?, is_number(&size_text, *qty)?);
        let mut whole = expected;
        whole.0.extend([("price".to_owned(), price_text), ("size".to_owned(), size_text)]);
        whole.0.sort();
        demand(found == whole, "other fields than were asked for")?;
        let own = text(id)?.strip_prefix(self.tag.as_str()).ok_or("an id of another instance")?;
        let number = u128::from_str_radix(own, 36).map_err(|error| error.to_string())?;
        demand(number >> 48 == u128::from(self.epoch), "an id of another run")?;
        let get = |name| field(name).unwrap_or_default();
        let economic = (get("symbol"), get("side"), get("force"), price.normalize(), qty.normalize());
        match self.orders.get(text(id)?) {
            Some(before) => demand(*before == economic, "one id for two different orders"),
            None => {
                self.within_policy(&economic, told)?;
                self.orders.insert(text(id)?.to_owned(), economic);
                Ok(())
            }
        }
    }

    /// Headers, time and signature.
    fn sealed(&self, signed: &Signed, told: &Told) -> Result<(), String> {
        let mut headers: Vec<(&str, &str)> = Vec::new();
        for line in signed.headers.lines() {
            headers.push(line.split_once(": ").ok_or("a header without a value")?);
        }
        headers.sort_unstable();
        let value =
            |name| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value).ok_or("no such header");
        let (time, signature) = (value("ACCESS-TIMESTAMP")?, value("ACCESS-SIGN")?);
        let mut expected = vec![
            ("ACCESS-KEY", self.key.as_str()),
            ("ACCESS-PASSPHRASE", self.passphrase.as_str()),
            ("ACCESS-SIGN", signature),
            ("ACCESS-TIMESTAMP", time),
            ("locale", "en-US"),
        ];
        if signed.method == 1 {
            expected.push(("Content-Type", "application/json"));
        }
        expected.sort_unstable();
        demand(headers == expected, "other headers than the venue asks for")?;
        let method = METHODS[usize::from(signed.method)];
        self.signature(&format!("{time}{method}{}{}", signed.target, signed.body), signature)?;
        self.time(time.parse().map_err(|_| "no time")?, !CANCELS.contains(&signed.verb), told)
    }

    fn signature(&self, over: &str, signature: &str) -> Result<(), String> {
        use base64::Engine as _;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&self.secret).unwrap();
        mac.update(over.as_bytes());
        let own = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        demand(own == signature, "a signature over something else")
    }

    /// Whatever was told, everything lies near real time but cancels, which carry the time as told.
    fn time(&self, time: i128, near: bool, told: &Told) -> Result<(), String> {
        let (begun, ended) = (i128::from(told.begun), i128::from(told.ended));
        if near {
            let most = ORDER_TIME_MAX + CLOCKS;
            return demand((begun - most..=ended + most).contains(&time), "a time far from the real one");
        }
        let shift = i128::from(self.offsets[usize::from(told.emergency)]) / 1_000_000;
        let (least, most) = (begun + shift - CLOCKS, ended + shift + CLOCKS);
        // What cannot be written stops at zero.
        demand((least.max(0)..=most.max(0)).contains(&time), "another time than was told")
    }

    fn login(&self, signed: &Signed, told: &Told) -> Result<(), String> {
        demand(signed.target.is_empty() && signed.headers.is_empty(), "a log-in with a path or headers")?;
        let frame: serde_json::Value = serde_json::from_str(&signed.body).map_err(|error| error.to_string())?;
        let field = |name: &str| frame["args"][0][name].as_str().ok_or("a log-in without its fields");
        let (time, signature) = (field("timestamp")?, field("sign")?);
        let own = serde_json::json!({"op": "login", "args": [{
            "apiKey": self.key, "passphrase": self.passphrase, "timestamp": time, "sign": signature}]});
        demand(frame == own, "another frame than a log-in")?;
        self.signature(&format!("{time}GET/user/verify"), signature)?;
        let time: i128 = time.parse().map_err(|_| "no time")?;
        // In seconds, cut off.
        self.time(time * 1_000, true, &Told { begun: told.begun.saturating_sub(1_000), ..*told })
    }

    /// What the policy lets be signed: by itself, and with all that was signed before in each window.
    fn within_policy(&mut self, order: &Economic, told: &Told) -> Result<(), String> {
        let policy = &self.policy;
        let (symbol, side, _, price, qty) = order;
        let limits = policy.instrument(symbol).ok_or("an instrument that the policy does not list")?;
        let amount = |scaled: domain::Scaled| {
            Decimal::try_from_i128_with_scale(i128::from(scaled.mantissa), u32::from(scaled.decimals)).unwrap()
        };
        let notional = price.checked_mul(*qty).ok_or("more money than there is")?;
        demand(notional <= amount(limits.order_notional), "an order above the policy's notional")?;
        demand(*qty <= amount(limits.order_quantity), "an order above the policy's quantity")?;
        let sides = if side == "buy" {
            demand(*price <= amount(limits.high), "a buy above the band")?;
            limits.buy
        } else {
            demand(*price >= amount(limits.low), "a sell below the band")?;
            limits.sell
        };
        for (seconds, most) in [(60, sides.minute), (3_600, sides.hour), (86_400, sides.day)] {
            let spent = self.spent.entry((symbol.clone(), side.clone(), seconds)).or_default();
            spent.push_back((told.begun, told.ended, notional, *qty));
            // Only what lies within one window for certain.
            while spent.front().is_some_and(|(begun, ..)| told.ended - begun > seconds * 1_000) {
                spent.pop_front();
            }
            let (notional, qty) =
                spent.iter().fold((Decimal::ZERO, Decimal::ZERO), |sum, one| (sum.0 + one.2, sum.1 + one.3));
            demand(notional <= amount(most.notional), "more notional in a window than the policy allows")?;
            demand(qty <= amount(most.quantity), "more quantity in a window than the policy allows")?;
        }
        Ok(())
    }
}

/// The fields of a request, without an order's price and size, whose spelling is judged apart.
fn expected(intent: &Intent) -> Result<Pairs, String> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let page = |symbol: &Text, older: &Option<Text>, since: Option<u64>| -> Result<Vec<(&str, String)>, String> {
        let mut pairs = vec![("limit", "100".to_owned()), ("symbol", text(symbol)?.to_owned())];
        match (older, since) {
            (Some(older), _) => pairs.push(("idLessThan", text(older)?.to_owned())),
            (None, Some(since)) => pairs.push(("startTime", (since / 1_000_000).to_string())),
            (None, None) => {}
        }
        Ok(pairs)
    };
    match intent {
        Intent::Place { id, symbol, side, force, effect, .. } => {
            demand(*effect == 0, "a spot order that was to reduce or to hedge")?;
            let force = *FORCES.get(usize::from(*force)).ok_or("an unknown time in force")?;
            let side = *["buy", "sell"].get(usize::from(*side)).ok_or("an unknown side")?;
            pairs.extend([
                ("symbol", text(symbol)?.to_owned()),
                ("side", side.to_owned()),
                ("orderType", "limit".to_owned()),
                ("force", force.to_owned()),
                ("clientOid", text(id)?.to_owned()),
            ]);
        }
        Intent::Cancel { symbol, id, venue_id } => {
            pairs.push(("symbol", text(symbol)?.to_owned()));
            pairs.push(match venue_id {
                Some(venue_id) => ("orderId", text(venue_id)?.to_owned()),
                None => ("clientOid", text(id)?.to_owned()),
            });
        }
        Intent::CancelAll { symbol } => pairs.push(("symbol", text(symbol)?.to_owned())),
        Intent::QueryOrder { id, .. } => pairs.push(("clientOid", text(id)?.to_owned())),
        Intent::OpenOrders { symbol, older } => pairs = page(symbol, older, None)?,
        Intent::History { symbol, since, older } | Intent::Fills { symbol, since, older } => {
            pairs = page(symbol, older, Some(*since))?;
        }
        Intent::Futures { verb, .. } => return Err(format!("verb {verb} of futures with a spot key")),
        Intent::Balances | Intent::KeyInfo | Intent::Login => {}
    }
    let mut pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    pairs.sort();
    Ok(Pairs(pairs))
}
