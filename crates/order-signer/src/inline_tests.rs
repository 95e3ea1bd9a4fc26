//! What the inline signer signs, refuses and allocates.

use crate::record::tests::secrets;
use crate::{CancelOnlySigner, Identity, InlineSigner, LoadedKey, SignerTally, duty_allows};
use clock::ManualClock;
use domain::{ClientOrderId, Epoch, InstanceTag, MonoNanos, Scaled, Sequence, Side, Symbol, TimeInForce, UnixNanos};
use messages::{KeyDuty, PlaceOrder, SignIntent, SignRefusal, Verb};
use signing::{Isolation, SignedRequest, SignerPort};
use std::sync::Arc;
use std::time::Duration;
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding, SigningCodec, append};

/// 2023-11-14T22:13:20Z, the time of the vectors.
const WALL: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

/// Signs `time + METHOD + target + body` as the vectors do; the target is set by the test.
struct PlainCodec {
    encoding: SignatureEncoding,
    method: Method,
    target: &'static str,
    body: &'static str,
    millis_offset: u64,
}

impl Default for PlainCodec {
    fn default() -> Self {
        Self {
            encoding: SignatureEncoding::Base64,
            method: Method::Get,
            target: "/api/v2/spot/account/info",
            body: "",
            millis_offset: 0,
        }
    }
}

impl SigningCodec for PlainCodec {
    fn encoding(&self) -> SignatureEncoding {
        self.encoding
    }

    fn draft(&self, intent: &SignIntent, at: UnixNanos, draft: &mut Draft) -> Result<(), SignRefusal> {
        use std::io::Write as _;
        draft.method = self.method;
        let millis = at.as_millis() + self.millis_offset;
        write!(draft.timestamp, "{millis}").map_err(|_| SignRefusal::Malformed)?;
        if self.method != Method::Frame {
            append(&mut draft.target, self.target.as_bytes())?;
            append(&mut draft.body, self.body.as_bytes())?;
        }
        if let SignIntent::Place(order) = intent {
            append(&mut draft.body, order.id.as_str().as_bytes())?;
        }
        append(&mut draft.prehash, &draft.timestamp)?;
        append(&mut draft.prehash, if self.method == Method::Post { b"POST" } else { b"GET" })?;
        append(&mut draft.prehash, self.target.as_bytes())?;
        append(&mut draft.prehash, &draft.body)
    }

    fn finish(
        &self,
        draft: &mut Draft,
        signature: &str,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        if draft.method == Method::Frame {
            append(&mut draft.body, credentials.key.as_bytes())?;
            append(&mut draft.body, b" ")?;
            append(&mut draft.body, credentials.passphrase.as_bytes())?;
            append(&mut draft.body, b" ")?;
            return append(&mut draft.body, signature.as_bytes());
        }
        headers.header("ACCESS-KEY", credentials.key.as_bytes())?;
        headers.header("ACCESS-SIGN", signature.as_bytes())?;
        headers.header("ACCESS-TIMESTAMP", &draft.timestamp)?;
        headers.header("ACCESS-PASSPHRASE", credentials.passphrase.as_bytes())
    }
}

fn identity() -> Identity {
    Identity { tag: InstanceTag::from_number(77), epoch: Epoch::new(9).unwrap() }
}

fn signer_at(codec: PlainCodec, duty: KeyDuty) -> (InlineSigner, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(WALL, MonoNanos(1_000_000_000)));
    let values = secrets("bg_0123456789abcdef", "sk_test_secret_0001", "Passw0rd1");
    let key = LoadedKey::new(values.key, values.secret, values.passphrase).unwrap();
    let shared: Arc<dyn domain::Clock> = Arc::clone(&clock) as _;
    let mut signer = InlineSigner::new(key, Arc::new(codec), shared, identity(), duty);
    signer.set_clock_offset(0).unwrap();
    (signer, clock)
}

fn signer(duty: KeyDuty) -> InlineSigner {
    signer_at(PlainCodec::default(), duty).0
}

fn place(sequence: u64) -> SignIntent {
    SignIntent::Place(PlaceOrder {
        id: ClientOrderId::new(identity().tag, identity().epoch, Sequence::new(sequence).unwrap()),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        side: Side::Buy,
        price: Scaled { mantissa: 6_000_000, decimals: 2 },
        qty: Scaled { mantissa: 1_000, decimals: 6 },
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    })
}

fn one_of_each() -> Vec<SignIntent> {
    let symbol = Symbol::from("BTCUSDT").unwrap();
    let id = ClientOrderId::new(identity().tag, identity().epoch, Sequence::new(1).unwrap());
    vec![
        place(1),
        SignIntent::Cancel { symbol, id, venue_order_id: None },
        SignIntent::CancelAll { symbol },
        SignIntent::QueryOrder { symbol, id },
        SignIntent::OpenOrders { symbol, older_than: None },
        SignIntent::OrderHistory { symbol, since: WALL, older_than: None },
        SignIntent::Fills { symbol, since: WALL, older_than: None },
        SignIntent::Balances,
        SignIntent::KeyInfo,
        SignIntent::StreamLogin,
    ]
}

fn header(request: &SignedRequest, name: &str) -> String {
    request.headers().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
}

/// From the venue's fact sheet: time offset in milliseconds, method, target, body, signature.
const VECTORS: [(u64, Method, &str, &str, &str); 7] = [
    (0, Method::Get, "/api/v2/spot/account/info", "", "ojFao0h6BLGxS0wXMzGVqurV01wQAF+i43Zcn4cM0y0="),
    (0, Method::Get, "/api/v2/spot/account/assets?coin=USDT", "", "gkJteffQp5jz2jEndwahmzB1SmA1I37Yyj+nuYX7rGQ="),
    (
        1,
        Method::Get,
        "/api/v2/mix/position/all-position?marginCoin=USDT&productType=USDT-FUTURES",
        "",
        "IFj9SskY1YwFAprlx3XnQVTVJOh0CZP/vnIldMxHEcQ=",
    ),
    (
        2,
        Method::Post,
        "/api/v2/spot/trade/place-order",
        r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000","size":"0.001","clientOid":"blk-0001"}"#,
        "86rryOLHP+xAGiSFRLHpLyBeTmUuwZJdqbStlYmmQ/M=",
    ),
    (3, Method::Post, "/api/v2/spot/trade/cancel-symbol-order", "{}", "B4LImezc1vj+GgOLasgsC5yMce0eaM72A+Z5Fkf4+Sk="),
    (3, Method::Post, "/api/v2/spot/trade/cancel-symbol-order", "", "WqAORZLf6CK2kF5Wg/5BXwO7DOW6KGSo7DJuLh8jItg="),
    (
        4,
        Method::Get,
        "/api/v2/spot/trade/orderInfo?clientOid=a%2Bb%20c",
        "",
        "faQoqsmfDbq8awFTOUWcM5iXlsa0yoLlt/TYmdJOPKg=",
    ),
];

#[test]
fn signatures_are_those_of_the_venues_vectors() {
    for (millis_offset, method, target, body, expected) in VECTORS {
        let codec = PlainCodec { method, target, body, millis_offset, ..PlainCodec::default() };
        let (mut signer, _) = signer_at(codec, KeyDuty::Full);
        let request = signer.sign(&SignIntent::Balances).unwrap();
        assert_eq!(header(&request, "ACCESS-SIGN"), expected, "{target}");
        assert_eq!(header(&request, "ACCESS-KEY"), "bg_0123456789abcdef");
        assert_eq!(header(&request, "ACCESS-PASSPHRASE"), "Passw0rd1");
        assert_eq!((request.method(), request.target(), request.body()), (method, target, body.as_bytes()));
    }
}

#[test]
fn hexadecimal_is_the_same_mac_written_otherwise() {
    use base64::Engine as _;
    let codec = PlainCodec { encoding: SignatureEncoding::Hex, ..PlainCodec::default() };
    let (mut signer, _) = signer_at(codec, KeyDuty::Full);
    let text = header(&signer.sign(&SignIntent::Balances).unwrap(), "ACCESS-SIGN");
    let expected = base64::engine::general_purpose::STANDARD.decode(VECTORS[0].4).unwrap();
    assert_eq!(text, expected.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}

#[test]
fn stream_login_is_a_frame_and_leaves_nothing_in_the_reused_buffer() {
    let codec = PlainCodec { method: Method::Frame, target: "/user/verify", ..PlainCodec::default() };
    let (mut signer, _) = signer_at(codec, KeyDuty::Full);
    let request = signer.sign(&SignIntent::StreamLogin).unwrap();
    let frame = std::str::from_utf8(request.body()).unwrap().to_owned();
    assert!(frame.starts_with("bg_0123456789abcdef Passw0rd1 "), "{frame}");
    assert_eq!((request.method(), request.target()), (Method::Frame, ""));
    assert!(!format!("{request:?}").contains("Passw0rd1"));
}

#[test]
fn each_duty_signs_its_verbs_and_no_others() {
    let allowed = |duty| -> Vec<Verb> { Verb::ALL.into_iter().filter(|verb| duty_allows(duty, *verb)).collect() };
    assert_eq!(allowed(KeyDuty::None), []);
    assert_eq!(allowed(KeyDuty::VerifyOnly), [Verb::Balances, Verb::KeyInfo]);
    let harmless = |verb: &Verb| matches!(verb, Verb::Cancel | Verb::CancelAll) || verb.only_asks();
    assert_eq!(allowed(KeyDuty::CancelOnly), Verb::ALL.into_iter().filter(harmless).collect::<Vec<_>>());
    assert_eq!(allowed(KeyDuty::Full), Verb::ALL);
    for duty in [KeyDuty::None, KeyDuty::VerifyOnly, KeyDuty::CancelOnly, KeyDuty::Full] {
        for intent in one_of_each() {
            let signed = signer(duty).sign(&intent);
            let expected = if duty_allows(duty, intent.verb()) { None } else { Some(SignRefusal::KeyState) };
            assert_eq!(signed.err(), expected, "{duty:?} {intent:?}");
        }
    }
}

#[test]
fn duty_is_set_and_work_is_counted_from_another_thread() {
    let mut signer = signer(KeyDuty::CancelOnly);
    let handle = signer.handle();
    assert_eq!(signer.sign(&place(1)).err(), Some(SignRefusal::KeyState));
    std::thread::spawn(move || handle.set_duty(KeyDuty::Full)).join().unwrap();
    assert!(signer.sign(&place(1)).is_ok());
    assert_eq!(signer.sign(&place(0)).err(), Some(SignRefusal::ClientId));
    let tally = signer.handle().tally();
    assert_eq!(tally, SignerTally { signed: 1, refused_duty: 1, refused_id: 1, ..SignerTally::default() });
}

#[test]
fn clock_beyond_the_limit_stops_all_but_cancels_which_carry_the_venues_time() {
    let (mut signer, clock) = signer_at(PlainCodec::default(), KeyDuty::Full);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(signer.set_clock_offset(40_000_000_000), Err(SignRefusal::Clock));
    for intent in one_of_each() {
        let signed = signer.sign(&intent);
        if !matches!(intent.verb(), Verb::Cancel | Verb::CancelAll) {
            assert_eq!(signed.err(), Some(SignRefusal::Clock), "{intent:?}");
        } else {
            let stamp = header(&signed.unwrap(), "ACCESS-TIMESTAMP");
            assert_eq!(stamp, (WALL.as_millis() + 3_640_000).to_string());
        }
    }
    signer.set_clock_offset(0).unwrap();
    assert!(signer.sign(&place(1)).is_ok());
}

#[test]
fn no_order_is_signed_before_venue_time_was_measured() {
    let clock = Arc::new(ManualClock::new(WALL, MonoNanos(0)));
    let values = secrets("k", "s", "p");
    let key = LoadedKey::new(values.key, values.secret, values.passphrase).unwrap();
    let mut signer = InlineSigner::new(key, Arc::new(PlainCodec::default()), clock, identity(), KeyDuty::Full);
    assert_eq!(signer.sign(&place(1)).err(), Some(SignRefusal::Clock));
    assert!(signer.sign(&SignIntent::KeyInfo).is_ok());
}

#[test]
fn paths_that_move_money_or_manage_keys_are_not_signed_whatever_the_codec_says() {
    for target in [
        "/api/v2/spot/wallet/withdrawal",
        "/api/v2/spot/wallet/transfer",
        "/api/v2/spot/wallet/subaccount-transfer",
        "/api/v2/user/create-virtual-subaccount-apikey",
        "/api/v3/account/sub-account?x=1",
    ] {
        let (mut signer, _) = signer_at(PlainCodec { target, ..PlainCodec::default() }, KeyDuty::Full);
        for intent in one_of_each() {
            assert_eq!(signer.sign(&intent).err(), Some(SignRefusal::Unsupported), "{target}");
        }
    }
}

#[test]
fn numbers_that_are_no_order_are_refused() {
    for (price, qty) in [(0, 1), (-1, 1), (1, 0), (1, -1)] {
        let SignIntent::Place(mut order) = place(1) else { unreachable!() };
        order.price.mantissa = price;
        order.qty.mantissa = qty;
        assert_eq!(signer(KeyDuty::Full).sign(&SignIntent::Place(order)).err(), Some(SignRefusal::Malformed));
    }
}

#[test]
fn key_linked_for_streams_never_places_or_cancels() {
    let mut signer = signer(KeyDuty::Full).reading_only();
    for intent in one_of_each() {
        assert_eq!(signer.sign(&intent).is_ok(), intent.verb().only_asks(), "{intent:?}");
    }
}

#[test]
fn trade_key_of_a_unified_account_does_not_log_in_and_a_key_that_only_reads_does() {
    let mut trades = signer(KeyDuty::Full);
    assert!(trades.sign(&SignIntent::StreamLogin).is_ok(), "a classic account");
    trades.set_account_mode(messages::AccountMode::Unified).unwrap();
    assert_eq!(trades.sign(&SignIntent::StreamLogin).err(), Some(SignRefusal::KeyState));
    let mut known = signer(KeyDuty::Full).of_unified_account();
    known.set_account_mode(messages::AccountMode::Classic).unwrap();
    assert_eq!(known.sign(&SignIntent::StreamLogin).err(), Some(SignRefusal::KeyState), "a caller may lie");
    let mut reads = signer(KeyDuty::Full).reading_only();
    reads.set_account_mode(messages::AccountMode::Unified).unwrap();
    assert!(reads.sign(&SignIntent::StreamLogin).is_ok());
}

#[test]
fn unconfirmed_trade_key_does_not_log_in_and_does_all_else() {
    let mut signer = signer(KeyDuty::Full).without_login();
    for intent in one_of_each() {
        assert_eq!(signer.sign(&intent).is_ok(), intent.verb() != Verb::StreamLogin, "{intent:?}");
    }
}

#[test]
fn emergency_signer_cancels_and_looks_and_nothing_widens_it() {
    let inner = signer(KeyDuty::Full);
    let handle = inner.handle();
    let mut signer = CancelOnlySigner::new(inner);
    handle.set_duty(KeyDuty::Full);
    for intent in one_of_each() {
        let expected = matches!(intent.verb(), Verb::Cancel | Verb::CancelAll | Verb::QueryOrder | Verb::OpenOrders);
        assert_eq!(signer.sign(&intent).is_ok(), expected, "{intent:?}");
    }
}

#[test]
fn hello_names_tag_epoch_and_level() {
    let hello = signer(KeyDuty::Full).hello();
    assert_eq!((hello.tag, hello.epoch, hello.isolation), (identity().tag, identity().epoch, Isolation::Inline));
}

#[test]
fn a_signature_allocates_nothing() {
    let mut signer = signer(KeyDuty::Full);
    let cancel = one_of_each()[1];
    signer.sign(&place(1)).unwrap();
    let counted = allocation_counter::measure(|| {
        for sequence in 2..200 {
            assert!(signer.sign(&place(sequence)).is_ok());
            assert!(signer.sign(&cancel).is_ok());
        }
    });
    assert_eq!(counted.count_total, 0);
    let control = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(control.count_total, 1, "the counter counts");
}

fn bitget_signer() -> InlineSigner {
    let clock = Arc::new(ManualClock::new(WALL, MonoNanos(1_000_000_000)));
    let values = secrets("bg_0123456789abcdef", "sk_test_secret_0001", "Passw0rd1");
    let key = LoadedKey::new(values.key, values.secret, values.passphrase).unwrap();
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
    let mut signer = InlineSigner::new(key, codec, clock, identity(), KeyDuty::Full);
    signer.set_clock_offset(0).unwrap();
    signer
}

#[test]
fn bitget_requests_carry_the_published_signatures() {
    let mut signer = bitget_signer();
    let key_info = signer.sign(&SignIntent::KeyInfo).unwrap();
    assert_eq!(key_info.target(), "/api/v2/spot/account/info");
    assert_eq!(header(&key_info, "ACCESS-SIGN"), VECTORS[0].4);
    assert_eq!(header(&key_info, "ACCESS-TIMESTAMP"), "1700000000000");
    let login = signer.sign(&SignIntent::StreamLogin).unwrap();
    let frame = std::str::from_utf8(login.body()).unwrap();
    assert!(frame.contains("0MHJDb7y7yJpLWb7Rw0tyFO9H2AVTUeobitKTQgJ9jg="), "{frame}");
}

#[test]
fn every_verb_is_signed_for_bitget_without_an_allocation() {
    let mut signer = bitget_signer();
    let intents = one_of_each();
    let mut signed = 0;
    let counted = allocation_counter::measure(|| {
        for intent in &intents {
            signed += u32::from(signer.sign(intent).is_ok());
        }
    });
    assert_eq!((signed, counted.count_total), (10, 0));
}
