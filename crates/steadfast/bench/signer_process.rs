//! Intent to signed bytes through the sandboxed signer process, beside the inline signer, in the same run.
//!
//! Spinning, the two processes have a core each; blocking, they share one, so that an answer needs no other core to
//! wake up. Blocking across cores is reported for those who run so.

use super::machine::{pin, two_cores};
use super::rig::{SYMBOL, VENUE};
use super::sampler::Samples;
use super::{BenchError, GAP};
use crate::report::causes;
use crate::signers::parent::SignerProcess;
use crate::signers::{Boot, KeyPlace, UnlockFrom};
use clock::SystemClock;
use domain::{ClientOrderId, Clock, Scaled, Sequence, Side, TimeInForce};
use messages::{KeyAlias, KeyDuty, KeyRole, KeyState, PlaceOrder, SignIntent};
use order_signer::{Custody, Identity, InlineSigner, KeySecrets, KeyStore as _, NewKey};
use secrets::SecretBytes;
use sign_policy::{DeriveFacts, PolicyDocument};
use signing::SignerPort;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Orders signed before anything is measured.
const WARM_UP: u32 = 2_000;

/// Back to back, and with gaps.
pub(super) struct Signed {
    pub(super) tight: Samples,
    pub(super) gaps: Samples,
}

/// How the two sides wait, and where they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each looks without end, on a core of its own.
    SpinOnTwo,
    /// Each sleeps, both on one core.
    BlockOnOne,
    /// Each sleeps, wherever the system puts them.
    BlockAcross,
}

/// The inline signer in the same loop.
pub(super) fn inline(tight: u32, gaps: u32) -> Result<Signed, BenchError> {
    let mut signer: InlineSigner = super::rig::signer(Arc::new(SystemClock))?;
    measure(&mut signer, super::rig::identity()?, tight, gaps)
}

/// The process.
pub(super) fn process(way: Way, tight: u32, gaps: u32) -> Result<Signed, BenchError> {
    // On a thread of its own: what it is bound to ends with it.
    let worker = std::thread::spawn(move || on_this_thread(way, tight, gaps));
    worker.join().unwrap_or(Err(BenchError::Setup("the bench's thread has died")))
}

fn on_this_thread(way: Way, tight: u32, gaps: u32) -> Result<Signed, BenchError> {
    let cores = two_cores();
    // A program that is started runs where the thread runs that starts it.
    match (way, cores) {
        (Way::SpinOnTwo, Some((_, theirs))) | (Way::BlockOnOne, Some((theirs, _))) => drop(pin(theirs)),
        _ => {}
    }
    let directory = Directory::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let boot = link(&directory.0, way == Way::SpinOnTwo)?;
    let process = SignerProcess::start(boot, &clock).map_err(|trouble| BenchError::Signer(trouble.to_string()))?;
    if let (Way::SpinOnTwo, Some((ours, _))) = (way, cores) {
        pin(ours);
    }
    let mut store = process.store();
    store.set_duty(VENUE, KeyDuty::Full).map_err(|error| BenchError::Signer(causes(&error)))?;
    let mut seat = process.seat(VENUE);
    seat.set_clock_offset(0).map_err(|_| BenchError::Setup("the signer does not take the clock"))?;
    measure(&mut *seat, process.identity(), tight, gaps)
}

fn measure(
    signer: &mut (impl SignerPort + ?Sized),
    identity: Identity,
    tight: u32,
    gaps: u32,
) -> Result<Signed, BenchError> {
    let mut sequence = 0;
    let mut one = |samples: Option<&mut Samples>| {
        sequence += 1;
        let intent = order(identity, sequence)?;
        let begun = SystemClock.mono();
        let signed = signer.sign(&intent);
        let took = SystemClock.mono().since(begun);
        let request = signed.map_err(|refusal| BenchError::Signer(refusal.to_string()))?;
        drop(std::hint::black_box(request));
        // Its place among the outstanding orders is for the next one.
        if let SignIntent::Place(order) = intent {
            let cancel = SignIntent::Cancel { symbol: order.symbol, id: order.id, venue_order_id: None };
            drop(signer.sign(&cancel).map_err(|refusal| BenchError::Signer(refusal.to_string()))?);
        }
        if let Some(samples) = samples {
            samples.record(took, 1);
        }
        Ok::<(), BenchError>(())
    };
    (0..WARM_UP).try_for_each(|_| one(None))?;
    let mut measured = Signed { tight: Samples::new()?, gaps: Samples::new()? };
    (0..tight).try_for_each(|_| one(Some(&mut measured.tight)))?;
    (0..gaps).try_for_each(|_| {
        std::thread::sleep(GAP);
        one(Some(&mut measured.gaps))
    })?;
    Ok(measured)
}

fn order(identity: Identity, sequence: u64) -> Result<SignIntent, BenchError> {
    let sequence = Sequence::new(sequence).map_err(|_| BenchError::Setup("too many orders"))?;
    Ok(SignIntent::Place(PlaceOrder {
        id: ClientOrderId::new(identity.tag, identity.epoch, sequence),
        symbol: domain::Symbol::from(SYMBOL).map_err(|_| BenchError::Setup("no such instrument"))?,
        side: if sequence.get().is_multiple_of(2) { Side::Buy } else { Side::Sell },
        price: Scaled { mantissa: 6_512_345, decimals: 2 },
        qty: Scaled { mantissa: 1_500, decimals: 6 },
        time_in_force: TimeInForce::PostOnly,
        effect: domain::PositionEffect::default(),
    }))
}

/// A directory that goes with this value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self, BenchError> {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|_| BenchError::Setup("the machine gives no randomness"))?;
        let path = std::env::temp_dir().join(format!("steadfast-bench-{}", hex::encode(bytes)));
        std::fs::create_dir(&path).map_err(|error| BenchError::Signer(error.to_string()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A vault with an Active key that no exchange knows.
fn link(directory: &Path, spin: bool) -> Result<Boot, BenchError> {
    const ALIAS: &str = "bench";
    let wrong = |error: order_signer::CustodyError| BenchError::Signer(causes(&error));
    let words = "invented words for a vault of the bench";
    let file = directory.join("passphrase");
    crate::data_dir::write_private(&file, words.as_bytes()).map_err(|error| BenchError::Signer(error.to_string()))?;
    let passphrase = vault::Passphrase::from_text(words).map_err(|error| BenchError::Signer(causes(&error)))?;
    let custody_dir = directory.join("custody");
    let now = SystemClock.unix();
    let mut custody = Custody::create(&custody_dir, &passphrase, vault::KdfParams::FLOOR, now).map_err(wrong)?;
    let secret =
        |text: &str| SecretBytes::from_slice(text.as_bytes()).map_err(|_| BenchError::Setup("no memory for a key"));
    let secrets = KeySecrets {
        key: secret("bg_invented_for_the_bench_0123456789")?,
        secret: secret("sk_invented_for_the_bench_0123456789abcdef0123456789abcdef")?,
        passphrase: secret("invented12345")?,
    };
    let alias = KeyAlias::from(ALIAS).map_err(|_| BenchError::Setup("no such name"))?;
    let new = NewKey {
        alias,
        venue: "bitget".to_owned(),
        environment: "sim".to_owned(),
        account: ALIAS.to_owned(),
        role: KeyRole::Trade,
        wallets: vec!["spot".to_owned()],
        stream_login_confirmed: true,
    };
    custody.add(new, &secrets, now).map_err(wrong)?;
    let whole = |mantissa| Scaled { mantissa, decimals: 0 };
    let facts = DeriveFacts {
        symbol: domain::Symbol::from(SYMBOL).map_err(|_| BenchError::Setup("no such instrument"))?,
        price: whole(65_000),
        max_order_notional: whole(100_000),
        max_order_quantity: None,
        max_open_orders: 1_000,
        max_orders_per_second: 1_000_000,
        max_cancels_per_second: 1_000_000,
        placements_per_minute: 1_000_000,
        futures: None,
    };
    custody.set_policy(ALIAS, &PolicyDocument::derive(&[facts], now)).map_err(wrong)?;
    for state in [KeyState::Verifying, KeyState::Active] {
        custody.set_state(ALIAS, state, "for the bench", now).map_err(wrong)?;
    }
    Ok(Boot {
        custody: custody_dir,
        unlock: UnlockFrom::File(file),
        lock_after: u32::MAX,
        spin,
        places: vec![KeyPlace { seat: VENUE, alias, environment: "sim".to_owned(), login_confirmed: true }],
        may_ask: false,
        strict: false,
    })
}
