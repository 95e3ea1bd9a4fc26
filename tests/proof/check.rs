//! What a signed request must be, judged from the venue's description and the intent alone. It shares no code with the
//! signer or its codec.

use super::client::Intent;
use super::rig::Values;
use super::venue::{self, Dialect, Fields, Order, demand, field, text};
use hmac::{Hmac, KeyInit as _, Mac as _};
use order_signer::process::ReadySigner;
use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sign_policy::PolicyDocument;
use std::collections::{HashMap, VecDeque};

const METHODS: [&str; 4] = ["GET", "POST", "DELETE", ""];
const LOGIN: (u8, u8) = (9, 3);
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
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Texts)
    }
}

/// A notional and a quantity.
type Amount = (Decimal, Decimal);

/// Which budget an order may draw on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draws {
    /// That of every order.
    Common,
    /// That, or the one of orders that only reduce.
    Any,
    /// The one of orders that only reduce: its price lies outside the band.
    Reserve,
}

/// What was signed on one side of an instrument within one window.
#[derive(Debug, Default)]
struct Spent {
    /// When each was signed at the earliest, what it was worth, and on what it may draw.
    orders: VecDeque<(u64, Amount, Draws)>,
    /// Sums over the budgets.
    common: Amount,
    any: Amount,
    reserve: Amount,
}

impl Spent {
    fn add(&mut self, (notional, qty): Amount, draws: Draws) {
        let sum = match draws {
            Draws::Common => &mut self.common,
            Draws::Any => &mut self.any,
            Draws::Reserve => &mut self.reserve,
        };
        *sum = (sum.0 + notional, sum.1 + qty);
    }
}

/// Judges what is signed, and remembers it.
pub(crate) struct Checker {
    key: String,
    secret: Vec<u8>,
    passphrase: String,
    tag: String,
    pub(crate) epoch: u32,
    /// As last told over the order socket and the emergency socket, in nanoseconds.
    offsets: [i64; 2],
    /// How the account is kept, as one or as wallets: as last told over either socket, which decides what requests are
    /// written in, and as last told over the order socket, which decides who may log in.
    unified: Option<bool>,
    login_to_unified: Option<bool>,
    orders: HashMap<String, Order>,
    /// The limits that the signer was given, and what was signed within them, by symbol, side and window.
    policy: PolicyDocument,
    spent: HashMap<(String, usize, u64), Spent>,
}

fn amount(scaled: domain::Scaled) -> Decimal {
    Decimal::try_from_i128_with_scale(i128::from(scaled.mantissa), u32::from(scaled.decimals)).unwrap()
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
            unified: None,
            login_to_unified: None,
            orders: HashMap::new(),
            policy: policy.clone(),
            spent: HashMap::new(),
        }
    }

    /// Another process over the same files: what was signed stays signed.
    pub(crate) fn next_run(&mut self, ready: &ReadySigner) {
        assert!(ready.tag == self.tag && ready.epoch > self.epoch, "a later run of the same instance");
        self.epoch = ready.epoch;
        (self.offsets, self.unified, self.login_to_unified) = ([0; 2], None, None);
    }

    /// Notional and quantity that were signed within a day on a side of an instrument, without what only reduces.
    pub(crate) fn spent_on(&self, instrument: &str, side: usize) -> Amount {
        self.spent.get(&(instrument.to_owned(), side, 86_400)).map_or_else(Amount::default, |spent| spent.common)
    }

    /// The venue's time as somebody told it.
    pub(crate) fn offset_told(&mut self, offset_ns: i64, emergency: bool) {
        self.offsets[usize::from(emergency)] = offset_ns;
    }

    /// How the account is kept as somebody told it.
    pub(crate) fn mode_told(&mut self, unified: bool, emergency: bool) {
        self.unified = Some(unified);
        if !emergency {
            self.login_to_unified = Some(unified);
        }
    }

    /// Whether this request may exist as the answer to this intent.
    pub(crate) fn judge(&mut self, intent: &Intent, signed: &Signed, told: &Told) -> Result<(), String> {
        demand(signed.verb == intent.verb(), "another verb")?;
        let (path, query) = signed.target.split_once('?').unwrap_or((&signed.target, ""));
        if told.emergency {
            demand((1..=4).contains(&signed.verb), "the emergency socket signs cancels and looks at orders")?;
        }
        if (signed.verb, signed.method) == LOGIN {
            demand(
                self.login_to_unified != Some(true),
                "a log-in to a unified account, over which orders may be placed",
            )?;
            return self.login(signed, told);
        }
        let dialect = venue::listed(intent, signed.method, path)?;
        let meant = self.unified.is_none_or(|unified| unified == (dialect == Dialect::Unified));
        demand(meant, "a request for another kind of account")?;
        self.sealed(signed, told)?;
        let mut found = if signed.method == 1 {
            demand(query.is_empty(), "a query beside a body")?;
            serde_json::from_str::<Pairs>(&signed.body).map_err(|error| error.to_string())?.0
        } else {
            demand(signed.body.is_empty(), "a body beside a query")?;
            let pairs = query.split('&').filter(|pair| !pair.is_empty());
            let pairs = pairs.map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
            let pairs: Vec<_> = pairs.collect::<Option<_>>().ok_or("a query without values")?;
            demand(pairs.iter().all(|(_, value)| !value.contains('%')), "something that is written in two ways")?;
            pairs
        };
        let order = match intent {
            Intent::Place { .. } => Some(venue::order(intent, dialect, path, &mut found)?),
            _ => None,
        };
        demand(venue::expected(intent, dialect)?.are(&found), "other fields than were asked for")?;
        match (intent, order) {
            (Intent::Place { id, .. }, Some(order)) => self.place(text(id)?, order, told),
            _ => self.setting(intent, &found),
        }
    }

    /// An order under an id of this run, which is no other order's, within the policy.
    fn place(&mut self, id: &str, order: Order, told: &Told) -> Result<(), String> {
        let own = id.strip_prefix(self.tag.as_str()).ok_or("an id of another instance")?;
        let number = u128::from_str_radix(own, 36).map_err(|error| error.to_string())?;
        demand(number >> 48 == u128::from(self.epoch), "an id of another run")?;
        match self.orders.get(id) {
            Some(before) => demand(before.is(&order), "one id for two different orders"),
            None => {
                self.within_policy(&order, told)?;
                self.orders.insert(id.to_owned(), order);
                Ok(())
            }
        }
    }

    /// What is changed about futures, as the signed fields say it.
    fn setting(&self, intent: &Intent, found: &Fields) -> Result<(), String> {
        if !(13..=15).contains(&intent.verb()) {
            return Ok(());
        }
        let futures = self.policy.futures.as_ref().ok_or("a change of futures that no policy allows")?;
        if let Some(name) = field(found, "symbol") {
            let limits = self.policy.instrument(&format!("{name}-PERP"));
            let limits = limits.ok_or("an instrument that the policy does not list")?;
            if let Some(leverage) = field(found, "leverage") {
                let times: u16 = leverage.parse().map_err(|_| "no leverage")?;
                let most = limits.leverage_max.ok_or("a leverage that no policy allows")?;
                demand((1..=most).contains(&times), "more leverage than the policy allows")?;
            }
        }
        if let Some(mode) = field(found, "marginMode") {
            let known = futures.margin_modes.iter().any(|known| known.as_str() == mode);
            demand(known, "a margin mode that the policy does not allow")?;
        }
        if let Some(mode) = field(found, "posMode").or(field(found, "holdMode")) {
            let known = futures.position_modes.iter().any(|known| format!("{}_mode", known.as_str()) == mode);
            demand(known, "a position mode that the policy does not allow")?;
        }
        Ok(())
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

    /// What the policy lets be signed: by itself, and with all that was signed before in each window. Where the venue
    /// may read it in two ways, either must be allowed.
    fn within_policy(&mut self, order: &Order, told: &Told) -> Result<(), String> {
        let policy = &self.policy;
        let limits = policy.instrument(&order.instrument).ok_or("an instrument that the policy does not list")?;
        let notional = order.price.checked_mul(order.qty).ok_or("more money than there is")?;
        demand(notional <= amount(limits.order_notional), "an order above the policy's notional")?;
        demand(order.qty <= amount(limits.order_quantity), "an order above the policy's quantity")?;
        // The flag lets it only reduce whatever the venue holds, and the policy may grant that apart.
        let reserve = limits.reduce.filter(|_| order.flagged);
        let sides = [Some(order.side), order.may_be_opposite.then_some(1 - order.side)];
        for side in sides.into_iter().flatten() {
            let (inside, of_side) = if side == 0 {
                (order.price <= amount(limits.high), limits.buy)
            } else {
                (order.price >= amount(limits.low), limits.sell)
            };
            let draws = match (inside, reserve) {
                (true, None) => Draws::Common,
                (true, Some(_)) => Draws::Any,
                (false, Some(_)) => Draws::Reserve,
                (false, None) => return Err(format!("a {} outside the band", ["buy", "sell"][side])),
            };
            let windows = [(60, of_side.minute), (3_600, of_side.hour), (86_400, of_side.day)];
            let reserves = reserve.map(|reserve| [reserve.minute, reserve.hour, reserve.day].map(amount));
            for (at, (seconds, most)) in windows.into_iter().enumerate() {
                let spent = self.spent.entry((order.instrument.clone(), side, seconds)).or_default();
                spent.orders.push_back((told.begun, (notional, order.qty), draws));
                spent.add((notional, order.qty), draws);
                // Only what lies within one window for certain.
                while let Some((begun, (notional, qty), draws)) = spent.orders.front().copied() {
                    if told.ended.saturating_sub(begun) <= seconds * 1_000 {
                        break;
                    }
                    spent.orders.pop_front();
                    spent.add((-notional, -qty), draws);
                }
                demand(spent.common.0 <= amount(most.notional), "more notional in a window than the policy allows")?;
                demand(spent.common.1 <= amount(most.quantity), "more quantity in a window than the policy allows")?;
                let Some(apart) = reserves.map(|reserves| reserves[at]) else { continue };
                demand(spent.reserve.1 <= apart, "more in a window that reduces than the policy allows")?;
                // An order that may draw on either draws on one of the two.
                let (all, both) = (spent.common.1 + spent.any.1 + spent.reserve.1, amount(most.quantity) + apart);
                demand(all <= both, "more quantity in a window than the policy allows in all")?;
            }
        }
        Ok(())
    }
}
