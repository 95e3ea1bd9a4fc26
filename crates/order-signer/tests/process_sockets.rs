//! Both ends of the order socket, in one process: the same bytes as the inline signer makes, and what happens when an
//! end is late, lies or goes.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use clock::{ManualClock, SystemClock};
use domain::{
    ClientOrderId, Clock as _, Epoch, InstanceTag, Scaled, Sequence, Side, Symbol, TimeInForce, UnixNanos, VenueId,
};
use messages::{KeyDuty, PlaceOrder, SignIntent, SignRefusal};
use order_signer::process::{LinkWait, OrderPage, Packets, ProcessSeat, Seats, SignerLink, pair, serve_orders};
use order_signer::{Identity, InlineSigner, LoadedKey};
use secrets::SecretBytes;
use signing::{Isolation, MemoryKind, SignedRequest, SignerHello, SignerPort};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SEAT: VenueId = VenueId(1);

fn identity() -> Identity {
    Identity { tag: InstanceTag::from_number(5), epoch: Epoch::new(3).unwrap() }
}

fn signer() -> InlineSigner {
    let bytes = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
    let key = LoadedKey::new(bytes("bg_invented"), bytes("invented secret"), bytes("invented")).unwrap();
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
    // Time stands still, so that both signers sign for the same millisecond.
    let clock = Arc::new(ManualClock::new(UnixNanos(1_700_000_000_000_000_000), domain::MonoNanos(1)));
    InlineSigner::new(key, codec, clock, identity(), KeyDuty::Full)
}

fn hello() -> SignerHello {
    let Identity { tag, epoch } = identity();
    SignerHello { tag, epoch, isolation: Isolation::Process, memory: MemoryKind::Plain }
}

fn place(sequence: u64) -> SignIntent {
    SignIntent::Place(PlaceOrder {
        id: ClientOrderId::new(identity().tag, identity().epoch, Sequence::new(sequence).unwrap()),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        side: Side::Sell,
        price: Scaled { mantissa: 6_512_345, decimals: 2 },
        qty: Scaled { mantissa: 1_500, decimals: 6 },
        time_in_force: TimeInForce::PostOnly,
        effect: domain::PositionEffect::default(),
    })
}

fn intents() -> Vec<SignIntent> {
    let symbol = Symbol::from("BTCUSDT").unwrap();
    let SignIntent::Place(order) = place(9) else { unreachable!() };
    vec![
        place(9),
        SignIntent::Cancel { symbol, id: order.id, venue_order_id: None },
        SignIntent::CancelAll { symbol },
        SignIntent::QueryOrder { symbol, id: order.id },
        SignIntent::OpenOrders { symbol, older_than: None },
        SignIntent::Fills { symbol, since: UnixNanos(5_000_000), older_than: None },
        SignIntent::Balances,
        SignIntent::KeyInfo,
        SignIntent::StreamLogin,
    ]
}

struct Rig {
    seat: ProcessSeat,
    lost: Arc<AtomicUsize>,
}

fn rig(socket: Packets, wait: LinkWait) -> Rig {
    rig_over(socket, None, wait)
}

fn rig_over(socket: Packets, page: Option<OrderPage>, wait: LinkWait) -> Rig {
    let lost = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&lost);
    let heard = Box::new(move |_: &'static str| {
        counts.fetch_add(1, Ordering::SeqCst);
    });
    let link = SignerLink::new(socket, wait, hello(), Arc::new(SystemClock), heard).unwrap();
    if let Some(page) = page {
        link.lock().unwrap().over(page);
    }
    Rig { seat: ProcessSeat::new(link, SEAT), lost }
}

/// Both ends of a page, where one is wanted.
fn page(wanted: bool) -> (Option<OrderPage>, Option<OrderPage>) {
    if !wanted {
        return (None, None);
    }
    let (near, file) = OrderPage::create().unwrap();
    (Some(near), Some(OrderPage::open(file).unwrap()))
}

fn bytes_of(request: &SignedRequest) -> (String, Vec<(String, String)>, Vec<u8>) {
    let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (request.target().to_owned(), headers, request.body().to_vec())
}

#[test]
fn process_and_inline_sign_the_same_bytes() {
    let ways = [(LinkWait::Block, false), (LinkWait::Spin, true)];
    for ((wait, spin), over_page) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (ours, theirs) = pair().unwrap();
        let (near, far) = page(over_page);
        let seats = Seats::new(vec![None, Some(signer())]);
        let server = std::thread::spawn(move || serve_orders(&theirs, far, &seats, &Seats::new(Vec::new()), spin));
        let Rig { mut seat, lost } = rig_over(ours, near, wait);
        let mut inline = signer();
        assert_eq!(seat.sign(&place(1)).err(), Some(SignRefusal::Clock), "no order before venue time is known");
        seat.set_clock_offset(1_000_000).unwrap();
        inline.set_clock_offset(1_000_000).unwrap();
        for intent in intents() {
            let (by_process, by_inline) = (seat.sign(&intent).unwrap(), inline.sign(&intent).unwrap());
            assert_eq!(bytes_of(&by_process), bytes_of(&by_inline), "{intent:?}");
        }
        assert_eq!(seat.set_clock_offset(6_000_000_000), Err(SignRefusal::Clock));
        assert_eq!(seat.sign(&place(10)).err(), Some(SignRefusal::Clock));
        assert_eq!(lost.load(Ordering::SeqCst), 0);
        drop(seat);
        server.join().unwrap();
    }
}

#[test]
fn seat_without_a_key_signs_nothing_and_garbage_is_refused_while_signing_goes_on() {
    let (ours, theirs) = pair().unwrap();
    let seats = Seats::new(vec![None, Some(signer())]);
    let server = std::thread::spawn(move || serve_orders(&theirs, None, &seats, &Seats::new(Vec::new()), false));
    let mut inward = vec![0_u8; 10_000];
    for garbage in [&b"x"[..], &[1; 20], &[0; 8_192], &[9; 9_000]] {
        ours.send(garbage).unwrap();
        let len = ours.receive(&mut inward).unwrap();
        assert_eq!(inward[..len], [0, 0, 0, 0, 0, 0, 0, 0, 18], "nonce 0, refused as malformed");
    }
    let link = SignerLink::new(ours, LinkWait::Block, hello(), Arc::new(SystemClock), Box::new(|_| ())).unwrap();
    for (seat, expected) in [(0, Some(SignRefusal::NoKey)), (7, Some(SignRefusal::NoKey)), (1, None)] {
        let mut seat = ProcessSeat::new(Arc::clone(&link), VenueId(seat));
        assert_eq!(seat.sign(&SignIntent::Balances).err(), expected);
    }
    drop(link);
    server.join().unwrap();
}

#[test]
fn garbage_over_the_page_is_refused_while_signing_goes_on_and_the_socket_beside_it_asks_nothing() {
    let (ours, theirs) = pair().unwrap();
    let (near, far) = page(true);
    let mut near = near.unwrap();
    let seats = Seats::new(vec![None, Some(signer())]);
    let server = std::thread::spawn(move || serve_orders(&theirs, far, &seats, &Seats::new(Vec::new()), false));
    let mut inward = vec![0_u8; 10_000];
    for garbage in [&b"x"[..], &[], &[1; 20], &[9; 1_400]] {
        near.ask(garbage, false).unwrap();
        let len = near.answer(&mut inward, &ours, false, || false).unwrap();
        assert_eq!(inward[..len], [0, 0, 0, 0, 0, 0, 0, 0, 18], "nonce 0, refused as malformed");
    }
    ours.send(&[1, 1, 1]).unwrap();
    let Rig { mut seat, lost } = rig_over(ours, Some(near), LinkWait::Block);
    for _ in 0..3 {
        assert_eq!(seat.sign(&SignIntent::Balances).unwrap().verb(), messages::Verb::Balances);
    }
    assert_eq!(lost.load(Ordering::SeqCst), 0);
    drop(seat);
    server.join().unwrap();
}

#[test]
fn silent_signer_is_given_up_after_a_quarter_second_and_its_late_answer_is_never_taken() {
    for over_page in [false, true] {
        let (ours, theirs) = pair().unwrap();
        let (near, far) = page(over_page);
        let Rig { mut seat, lost } = rig_over(ours, near, LinkWait::Block);
        let begun = SystemClock.mono();
        assert_eq!(seat.sign(&SignIntent::Balances).err(), Some(SignRefusal::Silent));
        assert!(SystemClock.mono().since(begun) >= SignerLink::PATIENCE);
        assert_eq!(lost.load(Ordering::SeqCst), 1);
        assert_eq!(seat.sign(&SignIntent::Balances).err(), Some(SignRefusal::Silent), "and it stays so");
        assert_eq!(lost.load(Ordering::SeqCst), 1, "told once");
        drop((theirs, far));
    }
}

#[test]
fn answer_to_another_question_is_dropped() {
    let (ours, theirs) = pair().unwrap();
    let seats = Seats::new(vec![None, Some(signer())]);
    let liar = std::thread::spawn(move || {
        // An answer that nobody asked for comes first: `done`, for question 77.
        let mut stale = 77_u64.to_le_bytes().to_vec();
        stale.push(1);
        theirs.send(&stale).unwrap();
        serve_orders(&theirs, None, &seats, &Seats::new(Vec::new()), false);
    });
    let Rig { mut seat, .. } = rig(ours, LinkWait::Block);
    assert_eq!(seat.sign(&SignIntent::Balances).unwrap().verb(), messages::Verb::Balances);
    drop(seat);
    liar.join().unwrap();
}

#[test]
fn dead_signer_is_noticed_at_once() {
    for (wait, over_page) in [(LinkWait::Spin, false), (LinkWait::Spin, true), (LinkWait::Block, true)] {
        let (ours, theirs) = pair().unwrap();
        let (near, far) = page(over_page);
        drop((theirs, far));
        let Rig { mut seat, lost } = rig_over(ours, near, wait);
        let begun = SystemClock.mono();
        assert_eq!(seat.sign(&SignIntent::Balances).err(), Some(SignRefusal::Silent));
        assert!(SystemClock.mono().since(begun) < SignerLink::PATIENCE, "it is gone, not late");
        assert_eq!(lost.load(Ordering::SeqCst), 1);
    }
}

mod records {
    use super::*;
    use audit::{AuditBounds, AuditEntry, AuditError, AuditLog, AuditSink, AuditVerb, Decision, SharedAudit};
    use order_signer::CustodyDesk;
    use order_signer::process::{RemoteStore, serve_custody};
    use order_signer::{Custody, SignatureRecords};
    use sign_policy::SyncMode;

    /// Refuses, with a cause.
    struct FullDisk;

    impl AuditSink for FullDisk {
        fn append(&self, _entry: AuditEntry) -> Result<u64, AuditError> {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            Err(AuditError::Io { step: audit::AuditStep::Write, source })
        }
        fn tick(&self) -> Result<u64, AuditError> {
            Err(AuditError::WriterDied)
        }
        fn seal(&self) -> Result<u64, AuditError> {
            Err(AuditError::WriterDied)
        }
    }

    fn serve(dir: &std::path::Path, audit: Arc<dyn AuditSink>) -> RemoteStore {
        let clock = Arc::new(SystemClock);
        let passphrase = vault::Passphrase::from_text("an invented passphrase").unwrap();
        let custody = Custody::create(dir, &passphrase, vault::KdfParams::FLOOR, clock.unix()).unwrap();
        let records = SignatureRecords::open(dir, identity(), &[], SyncMode::Group, "this boot", clock.unix()).unwrap();
        let (near, far) = pair().unwrap();
        let mut desk = CustodyDesk::without_seats(custody, clock);
        (desk.records, desk.audit) = (Some(records), Some(audit));
        std::thread::spawn(move || serve_custody(&far, desk));
        RemoteStore::new(near).unwrap()
    }

    #[test]
    fn entry_crosses_the_custody_socket_and_stands_in_the_log() {
        let home = tempfile::tempdir().unwrap();
        let (dir, log_dir) = (home.path().join("custody"), home.path().join("audit"));
        let (log, seed) = AuditLog::create(&log_dir, "this boot", SystemClock.unix(), AuditBounds::default()).unwrap();
        let store = serve(&dir, Arc::new(SharedAudit::new(log, Arc::new(SystemClock))));
        let entry = AuditEntry::by_system(AuditVerb::Unhalt, Decision::Allowed).because("it is safe again");
        let seq = store.append(entry).unwrap();
        assert_eq!(store.tick().unwrap(), seq);
        assert_eq!(order_signer::KeyStore::refusals(&store).unwrap(), [], "no signer, no refusals");
        assert!(store.seal().unwrap() > seq, "the seal is a record of its own");
        let report = audit::verify(&log_dir, seed.anchor(), Some(&seed), Some(seq)).unwrap();
        assert_eq!(report.first_bad, None);
        let lines = audit::tail(&log_dir, 10).unwrap();
        let has = |line: &audit::Line| matches!(line, audit::Line::Record(record) if record.seq == seq && record.verb == "unhalt" && record.reason == "it is safe again");
        assert!(lines.iter().any(has));
    }

    #[test]
    fn refusal_to_record_comes_back_with_its_cause_and_a_lost_signer_records_nothing() {
        let home = tempfile::tempdir().unwrap();
        let store = serve(&home.path().join("custody"), Arc::new(FullDisk));
        let entry = AuditEntry::by_system(AuditVerb::Unhalt, Decision::Allowed);
        let error = store.append(entry.clone()).unwrap_err().to_string();
        assert!(error.starts_with("cannot write a record of the audit log: "), "{error}");
        let (near, far) = pair().unwrap();
        drop(far);
        assert!(RemoteStore::new(near).unwrap().append(entry).is_err());
    }
}
