//! The signer's requests against a second implementation in another language, on random intents: classic and unified
//! accounts, spot and perpetual futures.
//!
//! `cargo xtask long differential` compares 100,000; every run of the tests 2,000.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

use clock::ManualClock;
use domain::{
    ClientOrderId, Epoch, InstanceTag, MonoNanos, PositionEffect, Scaled, Sequence, Side, Symbol, TimeInForce,
    UnixNanos,
};
use messages::{AccountMode, KeyDuty, MarginMode, PlaceOrder, PositionMode, SignIntent};
use order_signer::{Identity, InlineSigner, LoadedKey};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use secrets::SecretBytes;
use serde_json::{Value, json};
use signing::SignerPort as _;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const KEY: [&str; 3] = ["bg_invented_key", "invented/secret+with=signs", "Invented0Passphrase"];

fn identity() -> Identity {
    Identity { tag: InstanceTag::from_number(41), epoch: Epoch::new(77).unwrap() }
}

fn seed() -> u64 {
    std::env::var("STEADFAST_LONG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121)
}

struct Random(SmallRng);

impl Random {
    fn id(&mut self, sequence: u64) -> ClientOrderId {
        ClientOrderId::new(identity().tag, identity().epoch, Sequence::new(sequence).unwrap())
    }

    fn symbol(&mut self, futures: bool) -> Symbol {
        let length = self.0.random_range(1..=19);
        let letter = |random: &mut SmallRng| char::from(b'A' + random.random_range(0..26));
        let name: String = (0..length).map(|_| letter(&mut self.0)).collect();
        let ending = if futures { domain::Market::PERPETUAL_SUFFIX } else { "" };
        format!("{name}{ending}").as_str().try_into().unwrap()
    }

    /// What an order may do to a position, on a market with positions.
    fn effect(&mut self, futures: bool, side: Side) -> PositionEffect {
        if !futures {
            return PositionEffect::default();
        }
        let effect = PositionEffect::ALL[self.0.random_range(0..PositionEffect::ALL.len())];
        if effect.opens(side) == Some(true) { PositionEffect { reduce_only: false, ..effect } } else { effect }
    }

    fn mode(&mut self) -> AccountMode {
        AccountMode::ALL[self.0.random_range(0..2)]
    }

    fn positive(&mut self) -> Scaled {
        let bits = self.0.random_range(1..=62);
        Scaled { mantissa: self.0.random_range(1..1_i64 << bits), decimals: self.0.random_range(0..=18) }
    }

    fn venue_id(&mut self) -> Option<domain::VenueOrderId> {
        self.0.random_bool(0.5).then(|| self.0.random::<u64>().to_string().as_str().try_into().unwrap())
    }

    /// An intent for an account of this mode, and what the other side is told of it.
    fn intent(&mut self, sequence: u64, mode: AccountMode) -> (SignIntent, Value) {
        let (intent, mut told) = match self.0.random_range(0..12) {
            0..=3 => self.order(sequence),
            4..=9 => self.about_an_instrument(sequence),
            _ => self.about_the_account(mode),
        };
        told["mode_of_account"] = json!(mode.as_str());
        (intent, told)
    }

    fn order(&mut self, sequence: u64) -> (SignIntent, Value) {
        let futures = self.0.random();
        let (symbol, id) = (self.symbol(futures), self.id(sequence));
        let side = if self.0.random() { Side::Buy } else { Side::Sell };
        let (time_in_force, force) = [
            (TimeInForce::Gtc, "gtc"),
            (TimeInForce::Ioc, "ioc"),
            (TimeInForce::Fok, "fok"),
            (TimeInForce::PostOnly, "post_only"),
        ][self.0.random_range(0..4)];
        let (price, qty, effect) = (self.positive(), self.positive(), self.effect(futures, side));
        let scaled = |value: Scaled| json!([value.mantissa, value.decimals]);
        let told = json!({
            "kind": "place", "symbol": symbol.as_str(), "side": if side == Side::Buy { "buy" } else { "sell" },
            "force": force, "price": scaled(price), "qty": scaled(qty), "id": id.as_str(),
            "position": effect.side.as_str(), "reduce_only": effect.reduce_only,
        });
        (SignIntent::Place(PlaceOrder { id, symbol, side, price, qty, time_in_force, effect }), told)
    }

    fn about_an_instrument(&mut self, sequence: u64) -> (SignIntent, Value) {
        let futures = self.0.random();
        let (symbol, id, venue_id) = (self.symbol(futures), self.id(sequence), self.venue_id());
        let since = UnixNanos(self.0.random_range(1..4_000_000_000_000) * 1_000_000);
        let (intent, kind) = match self.0.random_range(0..7) {
            0 | 1 => (SignIntent::Cancel { symbol, id, venue_order_id: venue_id }, "cancel"),
            2 => (SignIntent::CancelAll { symbol }, "cancel_all"),
            3 => (SignIntent::QueryOrder { symbol, id }, "query_order"),
            4 => (SignIntent::OpenOrders { symbol, older_than: venue_id }, "open_orders"),
            5 => (SignIntent::OrderHistory { symbol, since, older_than: venue_id }, "order_history"),
            _ => (SignIntent::Fills { symbol, since, older_than: venue_id }, "fills"),
        };
        let told = json!({
            "kind": kind, "symbol": symbol.as_str(), "id": id.as_str(), "since_ms": since.as_millis(),
            "venue_id": venue_id.map(|id| id.to_string()),
        });
        (intent, told)
    }

    fn about_the_account(&mut self, mode: AccountMode) -> (SignIntent, Value) {
        let (symbol, venue_id) = (self.symbol(true), self.venue_id());
        let since = UnixNanos(self.0.random_range(1..4_000_000_000_000) * 1_000_000);
        let leverage = self.0.random_range(1..=150);
        let position = PositionMode::ALL[self.0.random_range(0..2)];
        let classic = mode == AccountMode::Classic;
        let (intent, kind) = match self.0.random_range(0..10) {
            0 => (SignIntent::KeyInfo, "key_info"),
            1 => (SignIntent::Positions, "positions"),
            2 => (SignIntent::FuturesSettings { symbol }, "futures_settings"),
            3 | 4 => (SignIntent::Bills { since, older_than: venue_id }, "bills"),
            5 => (SignIntent::SetLeverage { symbol, leverage }, "set_leverage"),
            6 => (SignIntent::SetPositionMode { mode: position }, "set_position_mode"),
            7 if classic => (SignIntent::FuturesBalances, "futures_balances"),
            8 if classic => (SignIntent::SetMarginMode { symbol, mode: MarginMode::Crossed }, "set_margin_mode"),
            // A trading key is not logged in to a unified account.
            9 if classic => (SignIntent::StreamLogin, "stream_login"),
            _ => (SignIntent::Balances, "balances"),
        };
        let told = json!({
            "kind": kind, "symbol": symbol.as_str(), "since_ms": since.as_millis(), "leverage": leverage,
            "mode": position.as_str(), "venue_id": venue_id.map(|id| id.to_string()),
        });
        (intent, told)
    }
}

fn signer(clock: Arc<ManualClock>) -> InlineSigner {
    let [key, secret, passphrase] = KEY.map(|text| SecretBytes::from_slice(text.as_bytes()).unwrap());
    let key = LoadedKey::new(key, secret, passphrase).unwrap();
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
    let mut signer = InlineSigner::new(key, codec, clock, identity(), KeyDuty::Full);
    signer.set_clock_offset(0).unwrap();
    signer
}

#[test]
fn every_request_is_the_one_that_a_second_implementation_builds() {
    agree(2_000);
}

#[test]
#[ignore = "the long form: cargo xtask long differential"]
fn a_hundred_thousand_requests_are_those_that_a_second_implementation_builds() {
    agree(100_000);
    println!("measure: {{\"name\": \"requests\", \"value\": 100000, \"unit\": \"requests\"}}");
}

fn agree(count: u64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/bitget_second_signer.py");
    let child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3 is missing: {error}");
            println!("skipped: python3 cannot be run: {error}");
            return;
        }
    };
    let mut lines = std::io::BufWriter::new(child.stdin.take().unwrap());
    let clock = Arc::new(ManualClock::new(UnixNanos(1_700_000_000_000_000_000), MonoNanos(1)));
    let mut signer = signer(Arc::clone(&clock));
    let mut random = Random(SmallRng::seed_from_u64(seed()));
    for sequence in 1..=count {
        clock.advance(std::time::Duration::from_micros(random.0.random_range(1..5_000)));
        let mode = random.mode();
        signer.set_account_mode(mode).unwrap();
        let (intent, told) = random.intent(sequence, mode);
        let request = signer.sign(&intent).unwrap_or_else(|refusal| panic!("{refusal}: {intent:?}"));
        let headers: BTreeMap<&str, &str> = request.headers().collect();
        let [key, secret, passphrase] = KEY;
        let at_ms = domain::Clock::unix(&*clock).as_millis();
        let made = json!({
            "method": request.method().as_str(), "target": request.target(), "headers": headers,
            "body": std::str::from_utf8(request.body()).unwrap(),
        });
        let case = json!({
            "intent": told, "at_ms": at_ms, "key": key, "secret": secret, "passphrase": passphrase, "made": made,
        });
        writeln!(lines, "{case}").unwrap_or_else(|error| panic!("the second implementation has ended: {error}"));
    }
    drop(lines);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.trim(), format!("{count} requests agree"));
}
