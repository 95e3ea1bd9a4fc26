//! Who calls: keys, signatures, passphrase, time window, address, environment and permissions.
//!
//! The order of the checks follows the venue as far as it is known: the account's generation is
//! judged before passphrase and signature.

use crate::reject::Reject;
use crate::{AccountMode, Environment, KeyConfig, Permission};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// How far a request's time may be from the venue's, in milliseconds.
const WINDOW_MS: u64 = 30_000;

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyState {
    /// It works.
    #[default]
    Active,
    /// It is kept and does not work until it is thawed.
    Frozen,
    /// It was deleted by its owner.
    Deleted,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) config: KeyConfig,
    pub(crate) state: KeyState,
    /// What its owner calls it.
    pub(crate) note: String,
    /// When it was made, in milliseconds of the venue's clock; 0 for keys of the start.
    pub(crate) created_ms: u64,
    /// When it stops to work, in milliseconds of the venue's clock; `None`: never.
    pub(crate) expires_ms: Option<u64>,
}

impl Key {
    /// Why the key does not work at `now_ms`, whoever uses it.
    fn dead(&self, now_ms: u64) -> Option<Dead> {
        match self.state {
            KeyState::Deleted => Some(Dead::Gone),
            // An expired key is gone like a deleted one; the venue documents no code of its own for it.
            _ if self.expires_ms.is_some_and(|end| now_ms >= end) => Some(Dead::Gone),
            KeyState::Frozen => Some(Dead::Frozen),
            KeyState::Active => None,
        }
    }
}

/// Why a key does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dead {
    Gone,
    Frozen,
}

/// What an open stream of a key is told before it is closed: code and words.
pub(crate) type Closing = (u32, &'static str);

/// All keys of the venue.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    keys: BTreeMap<String, Key>,
}

/// The parts of a request that authentication looks at.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query exactly as they came.
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) address: IpAddr,
    pub(crate) key: Option<&'a str>,
    pub(crate) sign: Option<&'a str>,
    pub(crate) timestamp: Option<&'a str>,
    pub(crate) passphrase: Option<&'a str>,
    pub(crate) paper: bool,
}

/// Who may call what: set of the interface's generation and the right that is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    pub(crate) unified: bool,
    /// Rights of which one is enough.
    pub(crate) any_of: &'static [Permission],
}

impl KeyRing {
    pub(crate) fn insert(&mut self, config: KeyConfig) {
        let name = config.material.key.clone();
        let key = Key { config, state: KeyState::Active, note: String::new(), created_ms: 0, expires_ms: None };
        self.keys.insert(name, key);
    }

    /// Every key, in the order of its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> + '_ {
        self.keys.values()
    }

    /// Whether a key could still log in from `address`: why an open stream of it is closed, otherwise.
    pub(crate) fn closing(&self, name: &str, address: IpAddr, now_ms: u64) -> Option<Closing> {
        const INVALID: Closing = (30_011, "Invalid ACCESS_KEY");
        let Some(key) = self.keys.get(name) else { return Some(INVALID) };
        match key.dead(now_ms) {
            Some(Dead::Gone) => return Some(INVALID),
            Some(Dead::Frozen) => return Some((30_005, "Account has been frozen")),
            None => {}
        }
        if !address_allowed(&key.config.ips, address) {
            return Some((30_005, "Invalid IP"));
        }
        let reads = may_listen(&key.config.permissions);
        (!reads).then_some((30_005, "Incorrect permissions"))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Key> {
        self.keys.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Key> {
        self.keys.get_mut(key)
    }

    /// Judges a REST request; the key on success.
    pub(crate) fn authenticate(
        &self,
        request: &Request<'_>,
        need: Need,
        mode: impl Fn(usize) -> AccountMode,
        now_ms: u64,
    ) -> Result<&Key, Reject> {
        let named = |value: Option<&'_ str>| value.filter(|text| !text.is_empty()).map(str::to_owned);
        let name = named(request.key).ok_or_else(|| Reject::new("40001", "ACCESS_KEY cannot be empty"))?;
        let sign = named(request.sign).ok_or_else(|| Reject::new("40003", "Signature cannot be empty"))?;
        let passphrase =
            named(request.passphrase).ok_or_else(|| Reject::new("40011", "ACCESS_PASSPHRASE cannot be empty"))?;
        let timestamp = request.timestamp.unwrap_or("");
        let sent_ms: u64 = timestamp.parse().map_err(|_| Reject::new("40005", "Invalid ACCESS_TIMESTAMP"))?;
        let key = self.keys.get(&name).ok_or_else(|| Reject::new("40006", "Invalid ACCESS_KEY"))?;
        match key.dead(now_ms) {
            Some(Dead::Gone) => return Err(Reject::no_such_key()),
            Some(Dead::Frozen) => return Err(Reject::frozen()),
            None => {}
        }
        if request.paper != (key.config.environment == Environment::Demo) {
            return Err(Reject::new("40099", "exchange environment is incorrect"));
        }
        judge_generation(need.unified, mode(key.config.account))?;
        if sent_ms.abs_diff(now_ms) > WINDOW_MS {
            return Err(Reject::new("40008", "Request timestamp expired"));
        }
        if !address_allowed(&key.config.ips, request.address) {
            return Err(Reject::new("40018", "Invalid IP"));
        }
        if !bool::from(passphrase.as_bytes().ct_eq(key.config.material.passphrase.as_bytes())) {
            return Err(Reject::new("40012", "apikey/password is incorrect"));
        }
        let secret = &key.config.material.secret;
        if !signature_fits(secret, timestamp, request.method, request.target, request.body, &sign) {
            return Err(Reject::new("40009", "sign signature error"));
        }
        let rights = &key.config.permissions;
        if !need.any_of.is_empty() && !need.any_of.iter().any(|right| permits(rights, *right)) {
            return Err(Reject::lacks(need.any_of.first().copied().unwrap_or(Permission::Read)));
        }
        Ok(key)
    }

    /// Judges a stream log-in; the account on success, the error frame's code and words otherwise.
    pub(crate) fn log_in(
        &self,
        login: &Login<'_>,
        mode: impl Fn(usize) -> AccountMode,
        now_ms: u64,
    ) -> Result<usize, (u32, &'static str)> {
        let key = self.keys.get(login.key).filter(|key| key.dead(now_ms) != Some(Dead::Gone));
        let key = key.ok_or((30_011, "Invalid ACCESS_KEY"))?;
        if key.dead(now_ms).is_some() {
            return Err((30_005, "Account has been frozen"));
        }
        if judge_generation(login.unified, mode(key.config.account)).is_err()
            || !address_allowed(&key.config.ips, login.address)
        {
            return Err((30_005, "error"));
        }
        // Ten digits are seconds, thirteen are milliseconds.
        let number: u64 = login.timestamp.parse().map_err(|_| (30_013, "Invalid ACCESS_TIMESTAMP"))?;
        let sent_ms = if login.timestamp.len() <= 10 { number.saturating_mul(1_000) } else { number };
        // Seconds are rounded by some clients, up to half a second into the future.
        if sent_ms.abs_diff(now_ms) > WINDOW_MS {
            return Err((30_014, "Request timestamp expired"));
        }
        if !bool::from(login.passphrase.as_bytes().ct_eq(key.config.material.passphrase.as_bytes())) {
            return Err((30_012, "Invalid ACCESS_PASSPHRASE"));
        }
        let secret = &key.config.material.secret;
        if !signature_fits(secret, login.timestamp, "GET", "/user/verify", b"", login.sign) {
            return Err((30_015, "Invalid sign"));
        }
        if !may_listen(&key.config.permissions) {
            return Err((30_005, "error"));
        }
        Ok(key.config.account)
    }
}

/// What a log-in frame says.
pub(crate) struct Login<'a> {
    pub(crate) key: &'a str,
    pub(crate) passphrase: &'a str,
    pub(crate) timestamp: &'a str,
    pub(crate) sign: &'a str,
    pub(crate) address: IpAddr,
    /// Whether it comes over an address of v3.
    pub(crate) unified: bool,
}

fn judge_generation(unified_call: bool, mode: AccountMode) -> Result<(), Reject> {
    match (unified_call, mode) {
        (false, AccountMode::Unified) => Err(Reject::new(
            "40085",
            "You are in Unified Account mode, and the Classic Account API is not supported at this time",
        )),
        (true, AccountMode::Classic) => Err(Reject::new(
            "40084",
            "You are in Classic Account mode, and the Unified Account API is not supported at this time",
        )),
        _ => Ok(()),
    }
}

fn address_allowed(list: &[IpAddr], address: IpAddr) -> bool {
    list.is_empty() || list.contains(&address)
}

/// Writing includes reading.
pub(crate) fn permits(has: &[Permission], needs: Permission) -> bool {
    has.contains(&needs) || needs.included_in().is_some_and(|wider| has.contains(&wider))
}

/// Private streams are for keys that may read something.
fn may_listen(has: &[Permission]) -> bool {
    [Permission::Read, Permission::FuturesRead].iter().any(|right| permits(has, *right))
}

/// The base64 HMAC-SHA256 of one prehash.
fn signature(secret: &str, parts: &[&[u8]]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether the signature is over the target as it came, percent-decoded, or either with sorted keys.
///
/// Every form is computed whatever the others gave, and compared in constant time.
pub(crate) fn signature_fits(
    secret: &str,
    timestamp: &str,
    method: &str,
    target: &str,
    body: &[u8],
    sign: &str,
) -> bool {
    let decoded = percent_decoded(target);
    let forms = [target.to_owned(), sorted(target), sorted(&decoded), decoded];
    let method = method.to_ascii_uppercase();
    forms.iter().fold(false, |fits, form| {
        let expected = signature(secret, &[timestamp.as_bytes(), method.as_bytes(), form.as_bytes(), body]);
        fits | expected.is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(sign.as_bytes())))
    })
}

/// Resolves `%XX`; a plus stays a plus. Bytes that are not UTF-8 are replaced.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex_digits = if *first == b'%' { tail.get(..2) } else { None };
        let value =
            hex_digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn sorted(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable_by_key(|pair| pair.split('=').next().unwrap_or(""));
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApiKeyMaterial;
    use std::net::Ipv4Addr;

    const SECRET: &str = "sk_test_secret_0001";
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const COMPACT: &str = r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000","size":"0.001","clientOid":"blk-0001"}"#;
    const SPACED: &str = r#"{"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "60000", "size": "0.001", "clientOid": "blk-0001"}"#;

    /// Method, timestamp, target, body, signature of the venue's scheme, computed outside this program.
    fn vectors() -> Vec<(&'static str, &'static str, &'static str, &'static str, &'static str)> {
        vec![
            ("GET", "1700000000000", "/api/v2/spot/account/info", "", "ojFao0h6BLGxS0wXMzGVqurV01wQAF+i43Zcn4cM0y0="),
            (
                "GET",
                "1700000000000",
                "/api/v2/spot/account/assets?coin=USDT",
                "",
                "gkJteffQp5jz2jEndwahmzB1SmA1I37Yyj+nuYX7rGQ=",
            ),
            (
                "GET",
                "1700000000001",
                "/api/v2/mix/position/all-position?marginCoin=USDT&productType=USDT-FUTURES",
                "",
                "IFj9SskY1YwFAprlx3XnQVTVJOh0CZP/vnIldMxHEcQ=",
            ),
            (
                "GET",
                "1700000000001",
                "/api/v2/mix/position/all-position?productType=USDT-FUTURES&marginCoin=USDT",
                "",
                "jbrV716ynby+ek0qRMXPZGQLa9ly0RX93EPfD1+EZgE=",
            ),
            (
                "POST",
                "1700000000002",
                "/api/v2/spot/trade/place-order",
                COMPACT,
                "86rryOLHP+xAGiSFRLHpLyBeTmUuwZJdqbStlYmmQ/M=",
            ),
            (
                "POST",
                "1700000000002",
                "/api/v2/spot/trade/place-order",
                SPACED,
                "j5sihWZvEo8txNPLaxwvOHeFqfV/IXdyogBKgTt0KgI=",
            ),
            (
                "POST",
                "1700000000003",
                "/api/v2/spot/trade/cancel-symbol-order",
                "{}",
                "B4LImezc1vj+GgOLasgsC5yMce0eaM72A+Z5Fkf4+Sk=",
            ),
            (
                "POST",
                "1700000000003",
                "/api/v2/spot/trade/cancel-symbol-order",
                "",
                "WqAORZLf6CK2kF5Wg/5BXwO7DOW6KGSo7DJuLh8jItg=",
            ),
            (
                "GET",
                "1700000000004",
                "/api/v2/spot/trade/orderInfo?clientOid=a%2Bb%20c",
                "",
                "faQoqsmfDbq8awFTOUWcM5iXlsa0yoLlt/TYmdJOPKg=",
            ),
            (
                "GET",
                "1700000000004",
                "/api/v2/spot/trade/orderInfo?clientOid=a%2Bb%20c",
                "",
                "jMhfWFhcsJqUrKQ87sqL2BVIv9jEGZwAumvsLuJVjXA=",
            ),
            ("GET", "1700000000", "/user/verify", "", "0MHJDb7y7yJpLWb7Rw0tyFO9H2AVTUeobitKTQgJ9jg="),
        ]
    }

    #[test]
    fn every_vector_of_the_signature_scheme_is_accepted() {
        for (method, timestamp, target, body, sign) in vectors() {
            assert!(signature_fits(SECRET, timestamp, method, target, body.as_bytes(), sign), "{target} {body}");
        }
    }

    #[test]
    fn a_signature_over_anything_else_is_not_accepted() {
        for (method, timestamp, target, body, sign) in vectors() {
            let fits = |secret: &str, timestamp: &str, method: &str, target: &str, body: &str| {
                signature_fits(secret, timestamp, method, target, body.as_bytes(), sign)
            };
            let other = if method == "GET" { "POST" } else { "GET" };
            assert!(!fits("sk_test_secret_0002", timestamp, method, target, body));
            assert!(!fits(SECRET, "1700000000009", method, target, body));
            assert!(!fits(SECRET, timestamp, other, target, body));
            assert!(!fits(SECRET, timestamp, method, &format!("{target}x"), body));
            assert!(!fits(SECRET, timestamp, method, target, &format!("{body} ")));
        }
    }

    #[test]
    fn sorted_and_unsorted_queries_are_both_accepted() {
        let unsorted = "/api/v2/mix/position/all-position?productType=USDT-FUTURES&marginCoin=USDT";
        assert!(signature_fits(
            SECRET,
            "1700000000001",
            "GET",
            unsorted,
            b"",
            "IFj9SskY1YwFAprlx3XnQVTVJOh0CZP/vnIldMxHEcQ="
        ));
    }

    #[test]
    fn percent_decoding_leaves_broken_escapes_alone() {
        assert_eq!(percent_decoded("a%2Bb%20c+d"), "a+b c+d");
        assert_eq!(percent_decoded("%C3%BC"), "ü");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%4"), "%zz%4");
    }

    fn ring(change: impl Fn(&mut KeyConfig)) -> KeyRing {
        let mut config = KeyConfig {
            material: ApiKeyMaterial {
                key: "bg_0123456789abcdef".into(),
                secret: SECRET.into(),
                passphrase: "Passw0rd1".into(),
            },
            permissions: vec![Permission::Trade],
            ips: Vec::new(),
            environment: Environment::Production,
            account: 0,
        };
        change(&mut config);
        let mut ring = KeyRing::default();
        ring.insert(config);
        ring
    }

    fn request() -> Request<'static> {
        Request {
            method: "GET",
            target: "/api/v2/spot/account/info",
            body: b"",
            address: HERE,
            key: Some("bg_0123456789abcdef"),
            sign: Some("ojFao0h6BLGxS0wXMzGVqurV01wQAF+i43Zcn4cM0y0="),
            timestamp: Some("1700000000000"),
            passphrase: Some("Passw0rd1"),
            paper: false,
        }
    }

    fn code(ring: &KeyRing, request: &Request<'_>, mode: AccountMode, now_ms: u64) -> &'static str {
        let need = Need { unified: false, any_of: &[Permission::Read] };
        ring.authenticate(request, need, |_| mode, now_ms).map_or_else(|reject| reject.code, |_| "00000")
    }

    #[test]
    fn each_wrong_part_has_its_own_code() {
        let now = 1_700_000_000_000;
        let classic = |request: Request<'_>| code(&ring(|_| {}), &request, AccountMode::Classic, now);
        assert_eq!(classic(request()), "00000");
        assert_eq!(classic(Request { key: None, ..request() }), "40001");
        assert_eq!(classic(Request { sign: Some(""), ..request() }), "40003");
        assert_eq!(classic(Request { passphrase: None, ..request() }), "40011");
        assert_eq!(classic(Request { timestamp: Some("yesterday"), ..request() }), "40005");
        assert_eq!(classic(Request { key: Some("bg_other"), ..request() }), "40006");
        assert_eq!(classic(Request { paper: true, ..request() }), "40099");
        assert_eq!(classic(Request { passphrase: Some("Passw0rd2"), ..request() }), "40012");
        assert_eq!(classic(Request { sign: Some("AAAA"), ..request() }), "40009");
        let demo = ring(|key| key.environment = Environment::Demo);
        assert_eq!(code(&demo, &request(), AccountMode::Classic, now), "40099");
        assert_eq!(code(&demo, &Request { paper: true, ..request() }, AccountMode::Classic, now), "00000");
        let bound = ring(|key| key.ips = vec!["10.0.0.1".parse().unwrap()]);
        assert_eq!(code(&bound, &request(), AccountMode::Classic, now), "40018");
        let powerless = ring(|key| key.permissions = vec![Permission::Withdraw]);
        assert_eq!(code(&powerless, &request(), AccountMode::Classic, now), "40014");
        let mut deleted = ring(|_| {});
        deleted.get_mut("bg_0123456789abcdef").unwrap().state = KeyState::Deleted;
        assert_eq!(code(&deleted, &request(), AccountMode::Classic, now), "40037");
        let mut frozen = ring(|_| {});
        frozen.get_mut("bg_0123456789abcdef").unwrap().state = KeyState::Frozen;
        assert_eq!(code(&frozen, &request(), AccountMode::Classic, now), "40024");
        let mut ending = ring(|_| {});
        ending.get_mut("bg_0123456789abcdef").unwrap().expires_ms = Some(now + 1);
        assert_eq!(code(&ending, &request(), AccountMode::Classic, now), "00000");
        assert_eq!(code(&ending, &request(), AccountMode::Classic, now + 1), "40037");
    }

    #[test]
    fn an_open_stream_is_closed_for_every_reason_that_refuses_a_log_in() {
        let (name, now) = ("bg_0123456789abcdef", 1_700_000_000_000);
        let closing = |change: &dyn Fn(&mut Key)| {
            let mut ring = ring(|_| {});
            change(ring.get_mut(name).unwrap());
            ring.closing(name, HERE, now).map(|(code, _)| code)
        };
        assert_eq!(closing(&|_| {}), None);
        assert_eq!(closing(&|key| key.state = KeyState::Deleted), Some(30_011));
        assert_eq!(closing(&|key| key.expires_ms = Some(now)), Some(30_011));
        assert_eq!(closing(&|key| key.state = KeyState::Frozen), Some(30_005));
        assert_eq!(closing(&|key| key.config.ips = vec!["10.0.0.1".parse().unwrap()]), Some(30_005));
        assert_eq!(closing(&|key| key.config.permissions = vec![Permission::Withdraw]), Some(30_005));
        assert_eq!(closing(&|key| key.config.permissions = vec![Permission::Read]), None);
        assert_eq!(ring(|_| {}).closing("bg_other", HERE, now).map(|(code, _)| code), Some(30_011));
    }

    #[test]
    fn the_time_window_is_thirty_seconds_on_both_sides() {
        let at = |now| code(&ring(|_| {}), &request(), AccountMode::Classic, now);
        assert_eq!(at(1_700_000_030_000), "00000");
        assert_eq!(at(1_700_000_030_001), "40008");
        assert_eq!(at(1_699_999_970_000), "00000");
        assert_eq!(at(1_699_999_969_999), "40008");
    }

    #[test]
    fn a_unified_account_is_named_before_passphrase_time_and_signature_are_judged() {
        let wrong = Request { sign: Some("AAAA"), passphrase: Some("wrong"), ..request() };
        assert_eq!(code(&ring(|_| {}), &wrong, AccountMode::Unified, 0), "40085");
    }

    #[test]
    fn a_stream_log_in_takes_seconds_and_milliseconds() {
        let ring = ring(|key| key.permissions = vec![Permission::Read]);
        let login = Login {
            key: "bg_0123456789abcdef",
            passphrase: "Passw0rd1",
            timestamp: "1700000000",
            sign: "0MHJDb7y7yJpLWb7Rw0tyFO9H2AVTUeobitKTQgJ9jg=",
            address: HERE,
            unified: false,
        };
        let judge =
            |login: &Login<'_>, now| ring.log_in(login, |_| AccountMode::Classic, now).map_err(|(code, _)| code);
        assert_eq!(judge(&login, 1_700_000_000_000), Ok(0));
        assert_eq!(judge(&login, 1_700_000_031_000), Err(30_014));
        assert_eq!(judge(&Login { key: "bg_x", ..login }, 1_700_000_000_000), Err(30_011));
        assert_eq!(judge(&Login { passphrase: "x", ..login }, 1_700_000_000_000), Err(30_012));
        assert_eq!(judge(&Login { timestamp: "x", ..login }, 1_700_000_000_000), Err(30_013));
        assert_eq!(judge(&Login { sign: "x", ..login }, 1_700_000_000_000), Err(30_015));
        let millis = signature(SECRET, &[b"1700000000000GET/user/verify"]).unwrap();
        assert_eq!(judge(&Login { timestamp: "1700000000000", sign: &millis, ..login }, 1_700_000_000_000), Ok(0));
    }
}
