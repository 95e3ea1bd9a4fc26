//! What a key under its policy signs, refuses and records.

use crate::record::tests::secrets;
use crate::{BoundKey, Bounds, Identity, InlineSigner, LoadedKey, Refusals, SignatureRecords};
use clock::ManualClock;
use domain::{
    ClientOrderId, Clock, Epoch, InstanceTag, MonoNanos, Scaled, Sequence, Side, Symbol, TimeInForce, UnixNanos,
};
use messages::{KeyDuty, KeyRole, PlaceOrder, SignIntent, SignRefusal};
use sign_policy::{DeriveFacts, Disk, DiskFile, GuardReader, PolicyDocument, RealDisk, SyncMode, economic_digest};
use signing::SignerPort as _;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding, SigningCodec};

const WALL: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
const KID: [u8; 16] = [7; 16];

fn identity(epoch: u32) -> Identity {
    Identity { tag: InstanceTag::from_number(5), epoch: Epoch::new(epoch).unwrap() }
}

fn whole(mantissa: i64) -> Scaled {
    Scaled { mantissa, decimals: 0 }
}

fn policy() -> PolicyDocument {
    let facts = DeriveFacts {
        symbol: Symbol::from("BTCUSDT").unwrap(),
        price: whole(60_000),
        max_order_notional: whole(1_000),
        max_order_quantity: None,
        max_open_orders: 50,
        max_orders_per_second: 50,
        max_cancels_per_second: 50,
        placements_per_minute: 2,
        futures: None,
    };
    PolicyDocument::derive(&[facts], WALL)
}

fn codec() -> Arc<dyn SigningCodec> {
    venue_bitget::codecs(venue_bitget::Environment::Production).signing
}

struct Rig {
    signer: InlineSigner,
    records: SignatureRecords,
    clock: Arc<ManualClock>,
    epoch: u32,
    sequence: u64,
}

impl Rig {
    fn new(dir: &Path, epoch: u32, codec: Arc<dyn SigningCodec>) -> Self {
        Self::on(Arc::new(RealDisk), SyncMode::Group, dir, epoch, codec)
    }

    fn on(disk: Arc<dyn Disk>, mode: SyncMode, dir: &Path, epoch: u32, codec: Arc<dyn SigningCodec>) -> Self {
        let clock = Arc::new(ManualClock::new(WALL, MonoNanos(1_000_000_000)));
        let accounts = ["main".to_owned()];
        let records =
            SignatureRecords::open_on(disk, dir, identity(epoch), &accounts, mode, "this boot", WALL).unwrap();
        let values = secrets("bg_invented", "an invented secret", "invented");
        let key = LoadedKey::new(values.key, values.secret, values.passphrase).unwrap();
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let bound = BoundKey { kid: KID, account: "main", venue: "bitget", role: KeyRole::Trade, policy: policy() };
        let bounds = Bounds::new(bound, &records, Arc::clone(&shared));
        let mut signer = InlineSigner::new(key, codec, shared, identity(epoch), KeyDuty::Full).bounded(bounds);
        signer.set_clock_offset(0).unwrap();
        Self { signer, records, clock, epoch, sequence: 0 }
    }

    fn order(&mut self, side: Side, price: i64, qty_millis: i64) -> PlaceOrder {
        self.sequence += 1;
        let Identity { tag, epoch } = identity(self.epoch);
        PlaceOrder {
            id: ClientOrderId::new(tag, epoch, Sequence::new(self.sequence).unwrap()),
            symbol: Symbol::from("BTCUSDT").unwrap(),
            side,
            price: whole(price),
            qty: Scaled { mantissa: qty_millis, decimals: 3 },
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
        }
    }

    fn place(&mut self, side: Side, price: i64, qty_millis: i64) -> Result<(), SignRefusal> {
        let order = self.order(side, price, qty_millis);
        self.signer.sign(&SignIntent::Place(order)).map(drop)
    }
}

#[test]
fn orders_within_the_policy_are_signed_and_recorded_before_they_leave() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, codec());
    let order = rig.order(Side::Buy, 60_000, 10);
    for _ in 0..2 {
        rig.signer.sign(&SignIntent::Place(order)).unwrap();
    }
    let read: Vec<_> = GuardReader::open(dir.path()).unwrap().map(Result::unwrap).collect();
    let digests: Vec<_> = read.iter().map(|record| (record.kid, record.digest, record.again)).collect();
    assert_eq!(digests, [(KID, economic_digest(&order), false), (KID, economic_digest(&order), true)]);
}

#[test]
fn refusals_are_told_by_the_rule_that_was_broken() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, codec());
    for _ in 0..2 {
        assert!(rig.place(Side::Sell, 29_000, 10).is_err());
    }
    assert!(rig.place(Side::Buy, 60_000, 34).is_err());
    rig.sequence = 0;
    rig.place(Side::Buy, 60_000, 10).unwrap();
    rig.sequence = 0;
    assert!(rig.place(Side::Buy, 60_001, 10).is_err(), "one id for two contents");
    rig.signer.set_clock_offset(60_000_000_000).unwrap_err();
    assert!(rig.signer.sign(&SignIntent::Balances).is_err());
    let told = Refusals::of(domain::VenueId(3), &mut rig.signer);
    assert_eq!(told.counts.len(), Refusals::rules().count());
    let counted: Vec<_> = Refusals::rules().zip(told.counts).filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("venue_time", 1), ("client_id", 1), ("order_notional", 1), ("sell_below_band", 2)]);
}

/// The machine's file system, of which syncing can be made to fail, and what was done with its open files.
#[derive(Default)]
struct WatchedDisk {
    sync_fails: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<&'static str>>>,
}

struct WatchedFile(Arc<dyn DiskFile>, Arc<AtomicBool>, Arc<Mutex<Vec<&'static str>>>);

impl DiskFile for WatchedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.2.lock().unwrap().push("written");
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0.sync()?;
        self.2.lock().unwrap().push("synced");
        Ok(())
    }
}

impl Disk for WatchedDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }
    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = RealDisk.create(path, len)?;
        Ok(Arc::new(WatchedFile(file, Arc::clone(&self.sync_fails), Arc::clone(&self.done))))
    }
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        RealDisk.read(path, len_max)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

#[test]
fn in_strict_mode_the_disk_has_the_record_before_the_signature_leaves() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), WatchedDisk::default());
    let (fails, done) = (Arc::clone(&disk.sync_fails), Arc::clone(&disk.done));
    let mut rig = Rig::on(Arc::new(disk), SyncMode::Strict, dir.path(), 1, codec());
    for _ in 0..2 {
        done.lock().unwrap().clear();
        rig.place(Side::Buy, 60_000, 10).unwrap();
        assert_eq!(*done.lock().unwrap(), ["written", "synced"], "when the signature is out");
    }
    fails.store(true, Ordering::SeqCst);
    assert_eq!(rig.place(Side::Buy, 60_000, 10), Err(SignRefusal::Policy), "no sync, no signature");
    let cancel = SignIntent::CancelAll { symbol: Symbol::from("BTCUSDT").unwrap() };
    assert!(rig.signer.sign(&cancel).is_ok(), "cancels pass");
}

#[test]
fn in_group_mode_the_signature_waits_for_the_kernel_and_not_for_the_disk() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), WatchedDisk::default());
    let (fails, done) = (Arc::clone(&disk.sync_fails), Arc::clone(&disk.done));
    let mut rig = Rig::on(Arc::new(disk), SyncMode::Group, dir.path(), 1, codec());
    done.lock().unwrap().clear();
    fails.store(true, Ordering::SeqCst);
    rig.place(Side::Buy, 60_000, 10).unwrap();
    assert_eq!(*done.lock().unwrap(), ["written"]);
}

#[test]
fn selling_cheap_buying_dear_too_much_and_elsewhere_are_refused_and_cancels_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, codec());
    let refused = Err(SignRefusal::Policy);
    assert_eq!(rig.place(Side::Sell, 29_000, 10), refused, "below half the price");
    assert_eq!(rig.place(Side::Buy, 121_000, 10), refused, "above twice the price");
    assert_eq!(rig.place(Side::Buy, 60_000, 34), refused, "above twice the order limit");
    let mut elsewhere = rig.order(Side::Buy, 60_000, 10);
    elsewhere.symbol = Symbol::from("ETHUSDT").unwrap();
    assert_eq!(rig.signer.sign(&SignIntent::Place(elsewhere)).map(drop), refused, "an instrument that is not listed");
    assert_eq!(rig.signer.handle().tally().refused_policy, 4);
    // The minute's budget: two orders of 2,000.
    assert_eq!(rig.place(Side::Buy, 60_000, 33), Ok(()));
    assert_eq!(rig.place(Side::Buy, 60_000, 33), Ok(()));
    assert_eq!(rig.place(Side::Buy, 60_000, 33), refused, "the minute is used up");
    assert_eq!(rig.place(Side::Sell, 60_000, 33), Ok(()), "the other side has a budget of its own");
    let order = rig.order(Side::Buy, 60_000, 1);
    let cancel = SignIntent::Cancel { symbol: order.symbol, id: order.id, venue_order_id: None };
    assert!(rig.signer.sign(&cancel).is_ok());
    rig.clock.advance(Duration::from_secs(90));
    rig.signer.set_clock_offset(0).unwrap();
    assert_eq!(rig.place(Side::Buy, 60_000, 33), Ok(()), "the next minute");
}

#[test]
fn a_tightened_policy_is_in_force_from_the_next_signature_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, codec());
    assert_eq!(rig.place(Side::Buy, 60_000, 10), Ok(()));
    let mut tight = policy();
    tight.instruments.clear();
    rig.records.enforce([8; 16], tight.clone());
    assert_eq!(rig.place(Side::Buy, 60_000, 10), Ok(()), "that of another key");
    rig.records.enforce(KID, tight);
    assert_eq!(rig.place(Side::Buy, 60_000, 10), Err(SignRefusal::Policy));
}

#[test]
fn restart_does_not_refill_the_budgets() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, codec());
    assert_eq!(rig.place(Side::Buy, 60_000, 33), Ok(()));
    assert_eq!(rig.place(Side::Buy, 60_000, 33), Ok(()));
    let Rig { signer, records, .. } = rig;
    drop(signer);
    records.close().unwrap();
    let mut again = Rig::new(dir.path(), 2, codec());
    assert_eq!(again.place(Side::Buy, 60_000, 33), Err(SignRefusal::Policy));
}

#[test]
fn without_records_no_order_is_signed_and_cancels_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, codec());
    rig.records.close().unwrap();
    assert_eq!(rig.place(Side::Buy, 60_000, 10), Err(SignRefusal::Policy));
    let order = rig.order(Side::Buy, 60_000, 1);
    assert!(rig.signer.sign(&SignIntent::CancelAll { symbol: order.symbol }).is_ok());
}

/// Writes another quantity than it was asked for.
struct LyingCodec(Arc<dyn SigningCodec>);

impl SigningCodec for LyingCodec {
    fn encoding(&self) -> SignatureEncoding {
        self.0.encoding()
    }

    fn draft(&self, intent: &SignIntent, at: UnixNanos, draft: &mut Draft) -> Result<(), SignRefusal> {
        let mut intent = *intent;
        if let SignIntent::Place(order) = &mut intent {
            order.qty.mantissa *= 10;
        }
        self.0.draft(&intent, at, draft)
    }

    fn standing_headers(
        &self,
        method: Method,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        self.0.standing_headers(method, credentials, headers)
    }

    fn finish(
        &self,
        draft: &mut Draft,
        signature: &str,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        self.0.finish(draft, signature, credentials, headers)
    }
}

#[test]
fn a_codec_that_writes_something_else_gets_no_signature() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path(), 1, Arc::new(LyingCodec(codec())));
    assert_eq!(rig.place(Side::Buy, 60_000, 1), Err(SignRefusal::Unsupported));
    assert!(rig.signer.sign(&SignIntent::Balances).is_ok(), "the control: what it writes rightly is signed");
    assert_eq!(GuardReader::open(dir.path()).unwrap().count(), 0, "and nothing was recorded");
}
