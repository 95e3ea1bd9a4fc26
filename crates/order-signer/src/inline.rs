//! The signer on the order path's own thread: typed intent in, signed bytes out.
//!
//! Invariants: no signature outside the key's duty; no order signed on a venue time that is not accepted, or
//! under an id that is not this run's; no allocation, lock or system call but the clock for a signature.

use crate::bounds::{BoundKey, Bounds, SignatureRecords};
use crate::guard::{IdGuard, Identity};
use crate::offset::AcceptedOffset;
use crate::paths::ClearedPaths;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::{Clock, MonoNanos, UnixNanos};
use messages::{AccountMode, KeyDuty, SignIntent, SignRefusal, Verb};
use secrets::{MemoryLevel, SecretBytes, SigningKey};
use sign_policy::Standing as IdStanding;
use signing::{Blanks, Isolation, MemoryKind, Seal, SignedRequest, SignerHello, SignerPort, StandingHeaders};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use venue_api::{Credentials, Draft, Method, SignatureEncoding, SigningCodec};
use zeroize::Zeroize as _;

/// What one account's signer has done, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignerTally {
    /// Signatures made.
    pub signed: u64,
    /// Refused: the key's duty does not allow the verb.
    pub refused_duty: u64,
    /// Refused: venue time not accepted.
    pub refused_clock: u64,
    /// Refused: client order id of another run, or used for another content.
    pub refused_id: u64,
    /// Refused: not writable, or unknown to the venue.
    pub refused_request: u64,
    /// Refused: beyond the key's policy, or its record could not be written.
    pub refused_policy: u64,
}

/// What a signer shares with whoever watches it; the signer itself sits on the order path's thread.
#[derive(Debug)]
struct Shared {
    duty: AtomicU8,
    signed: AtomicU64,
    refused_duty: AtomicU64,
    refused_clock: AtomicU64,
    refused_id: AtomicU64,
    refused_request: AtomicU64,
    refused_policy: AtomicU64,
}

/// Sets a signer's duty and reads its tally from another thread.
#[derive(Debug, Clone)]
pub struct SignerHandle(Arc<Shared>);

impl SignerHandle {
    /// Sets what the key may be used for from the next signature on.
    pub fn set_duty(&self, duty: KeyDuty) {
        let code = DUTIES.iter().position(|known| *known == duty).and_then(|at| u8::try_from(at).ok());
        self.0.duty.store(code.unwrap_or(0), Ordering::Release);
    }

    /// What the key may be used for.
    #[must_use]
    pub fn duty(&self) -> KeyDuty {
        DUTIES.get(usize::from(self.0.duty.load(Ordering::Acquire))).copied().unwrap_or(KeyDuty::None)
    }

    /// What the signer has done.
    #[must_use]
    pub fn tally(&self) -> SignerTally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SignerTally {
            signed: read(&self.0.signed),
            refused_duty: read(&self.0.refused_duty),
            refused_clock: read(&self.0.refused_clock),
            refused_id: read(&self.0.refused_id),
            refused_request: read(&self.0.refused_request),
            refused_policy: read(&self.0.refused_policy),
        }
    }
}

/// The duties by their code in [`Shared`]; unknown codes mean the first.
const DUTIES: [KeyDuty; 4] = [KeyDuty::None, KeyDuty::VerifyOnly, KeyDuty::CancelOnly, KeyDuty::Full];

/// Counts up a counter that only this thread writes.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The key of one account as the signer holds it: the secret only as MAC state.
pub struct LoadedKey {
    mac: SigningKey,
    key: SecretBytes,
    passphrase: SecretBytes,
}

impl LoadedKey {
    /// Takes over API key id, secret and passphrase; the secret is turned into MAC state and wiped.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when key id or passphrase are no text, [`SignRefusal::NoKey`] when
    /// there is no memory to hold them.
    pub fn new(key: SecretBytes, secret: SecretBytes, passphrase: SecretBytes) -> Result<Self, SignRefusal> {
        if key.expose_text().is_none() || passphrase.expose_text().is_none() {
            return Err(SignRefusal::Malformed);
        }
        let mac = SigningKey::new(secret).map_err(|_| SignRefusal::NoKey)?;
        Ok(Self { mac, key, passphrase })
    }

    fn credentials(&self) -> Result<Credentials<'_>, SignRefusal> {
        Ok(Credentials {
            key: self.key.expose_text().ok_or(SignRefusal::NoKey)?,
            passphrase: self.passphrase.expose_text().ok_or(SignRefusal::NoKey)?,
        })
    }
}

/// Signs for one account on the caller's thread.
pub struct InlineSigner {
    key: LoadedKey,
    codec: Arc<dyn SigningCodec>,
    clock: Arc<dyn Clock>,
    offset: AcceptedOffset,
    /// Boxed: with all that it remembers a signer would be too large to be moved.
    guard: Box<IdGuard>,
    /// Policy, self-check and records; none for keys that no exchange knows, in tests and benches.
    bounds: Option<Box<Bounds>>,
    /// A key linked for streams: it asks, whatever its duty.
    reads_only: bool,
    /// A log-in is a bearer right; false where orders could be entered over it.
    may_log_in: bool,
    /// Whether the account is unified, where a log-in of a trade key would be a right to place orders.
    unified: bool,
    /// The venue itself has said so, when the key was verified.
    known_unified: bool,
    draft: Box<Draft>,
    blanks: Blanks,
    standing: Standing,
    cleared: ClearedPaths,
    shared: SignerHandle,
}

/// The headers that stay the same, for each method; what could not be written is refused when it is needed.
struct Standing([Result<StandingHeaders, SignRefusal>; 3]);

impl Standing {
    fn new(key: &LoadedKey, codec: &dyn SigningCodec) -> Self {
        Self([Method::Get, Method::Post, Method::Delete].map(|method| {
            let credentials = key.credentials()?;
            StandingHeaders::new(|headers| codec.standing_headers(method, credentials, headers))
        }))
    }

    fn of(&self, method: Method) -> Result<Option<&StandingHeaders>, SignRefusal> {
        let [get, post, delete] = &self.0;
        let lines = match method {
            Method::Get => get,
            Method::Post => post,
            Method::Delete => delete,
            Method::Frame => return Ok(None),
        };
        lines.as_ref().map(Some).map_err(|refusal| *refusal)
    }
}

/// Length of a signature as text, in bytes: 64 hexadecimal digits; base64 needs 44.
const SIGNATURE_TEXT_MAX: usize = 2 * SigningKey::SIGNATURE_BYTES;

impl InlineSigner {
    /// A signer that may do `duty` until told otherwise.
    #[must_use]
    pub fn new(
        key: LoadedKey,
        codec: Arc<dyn SigningCodec>,
        clock: Arc<dyn Clock>,
        identity: Identity,
        duty: KeyDuty,
    ) -> Self {
        let shared = SignerHandle(Arc::new(Shared {
            duty: AtomicU8::new(0),
            signed: AtomicU64::new(0),
            refused_duty: AtomicU64::new(0),
            refused_clock: AtomicU64::new(0),
            refused_id: AtomicU64::new(0),
            refused_request: AtomicU64::new(0),
            refused_policy: AtomicU64::new(0),
        }));
        shared.set_duty(duty);
        Self {
            standing: Standing::new(&key, &*codec),
            cleared: ClearedPaths::default(),
            blanks: Blanks::new(),
            key,
            codec,
            clock,
            offset: AcceptedOffset::default(),
            guard: Box::new(IdGuard::new(identity)),
            bounds: None,
            reads_only: false,
            may_log_in: true,
            unified: false,
            known_unified: false,
            draft: Box::default(),
            shared,
        }
    }

    /// Narrows it for good to verbs that only ask: for keys linked for streams.
    #[must_use]
    pub fn reading_only(mut self) -> Self {
        self.reads_only = true;
        self
    }

    /// Takes the log-in to the private stream away for good: for trade keys of which nobody has confirmed that
    /// orders cannot be entered over the stream.
    #[must_use]
    pub fn without_login(mut self) -> Self {
        self.may_log_in = false;
        self
    }

    /// Exchanges the keys of two signers of one account, and what follows from the keys alone. Duty, venue time, the
    /// memory of signed orders and their limits stay where they are: an order signed before is the same order after.
    pub fn exchange_keys(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.key, &mut other.key);
        std::mem::swap(&mut self.standing, &mut other.standing);
        std::mem::swap(&mut self.reads_only, &mut other.reads_only);
        std::mem::swap(&mut self.may_log_in, &mut other.may_log_in);
    }

    /// Believes the venue time that another signer of the account believes.
    pub const fn take_time_of(&mut self, other: &Self) {
        self.offset = other.offset;
    }

    /// The highest sequence of this run that a new order was signed under; zero: none yet.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        match self.guard.watermark() {
            Some(sequence) => sequence.get(),
            None => 0,
        }
    }

    /// Puts the key under its policy: nothing is signed beyond it from now on.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.bounds = Some(Box::new(bounds));
        self
    }

    /// Puts the key that it has got under its policy. The budgets are the account's, whichever key uses them.
    pub(crate) fn bound_to(&mut self, key: BoundKey<'_>, records: &SignatureRecords, clock: Arc<dyn Clock>) {
        match &mut self.bounds {
            Some(bounds) => bounds.rebind(key.kid, key.policy),
            None => self.bounds = Some(Box::new(Bounds::new(key, records, clock))),
        }
    }

    /// What bounds the key.
    pub fn bounds(&mut self) -> Option<&mut Bounds> {
        self.bounds.as_deref_mut()
    }

    /// The same signer, whose key may log in where its account allows that: it is certain that no order can be
    /// entered over the log-in.
    #[must_use]
    pub const fn with_login(mut self) -> Self {
        self.may_log_in = true;
        self
    }

    /// The same signer for an account that is kept in this way, as far as its log-in goes.
    #[must_use]
    pub const fn of_account(mut self, mode: AccountMode) -> Self {
        self.unified = matches!(mode, AccountMode::Unified);
        self
    }

    /// The same signer for an account of which the venue has said, in a verification, that it is unified.
    #[must_use]
    pub const fn of_unified_account(mut self) -> Self {
        (self.unified, self.known_unified) = (true, true);
        self
    }

    /// Sets what the key may be used for from now on.
    pub fn set_duty(&mut self, duty: KeyDuty) {
        self.shared.set_duty(duty);
    }

    /// For setting the duty and reading the tally once the signer has moved to its thread.
    #[must_use]
    pub fn handle(&self) -> SignerHandle {
        self.shared.clone()
    }

    fn stamp(&self, verb: Verb, now: MonoNanos) -> Result<UnixNanos, SignRefusal> {
        let offset_ns = match verb {
            Verb::Cancel | Verb::CancelAll => self.offset.for_cancels(),
            verb if verb.only_asks() => self.offset.for_questions().ok_or(SignRefusal::Clock)?,
            _ => self.offset.for_orders().ok_or(SignRefusal::Clock)?,
        };
        Ok(self.clock.unix_at(now).shifted(offset_ns))
    }

    /// The moment to sign for, and whether the same order was signed before.
    fn check(&mut self, intent: &SignIntent) -> Result<(UnixNanos, bool), SignRefusal> {
        let verb = intent.verb();
        let shared = &*self.shared.0;
        // Who is logged in to a unified account may place orders there without a signature for each.
        let may_log_in = self.may_log_in && (self.reads_only || !self.unified);
        let narrowed = (self.reads_only && !verb.only_asks()) || (!may_log_in && verb == Verb::StreamLogin);
        if narrowed || !duty_allows(self.shared.duty(), verb) {
            count(&shared.refused_duty);
            return Err(SignRefusal::KeyState);
        }
        let now = self.clock.mono();
        let at = self.stamp(verb, now).inspect_err(|_| count(&shared.refused_clock))?;
        let mut again = false;
        if let SignIntent::Place(order) = intent {
            if order.price.mantissa <= 0 || order.qty.mantissa <= 0 {
                count(&shared.refused_request);
                return Err(SignRefusal::Malformed);
            }
            let standing = self.guard.standing(order, now).map_err(|_| {
                count(&shared.refused_id);
                SignRefusal::ClientId
            })?;
            again = standing == IdStanding::Again;
        }
        if let Some(bounds) = &mut self.bounds
            && bounds.admit(intent, again, self.clock.unix_at(now), now).is_err()
        {
            count(&shared.refused_policy);
            return Err(SignRefusal::Policy);
        }
        if let SignIntent::Place(order) = intent
            && self.guard.admit(order, now).is_err()
        {
            count(&shared.refused_id);
            return Err(SignRefusal::ClientId);
        }
        Ok((at, again))
    }

    fn build(&mut self, intent: &SignIntent, at: UnixNanos, again: bool) -> Result<SignedRequest, SignRefusal> {
        self.draft.clear();
        self.codec.draft(intent, at, &mut self.draft)?;
        let verb = intent.verb();
        if self.draft.prehash.is_empty() || !self.cleared.allows(verb, &self.draft.target) {
            return Err(SignRefusal::Unsupported);
        }
        if let Some(bounds) = &self.bounds {
            if !bounds.allow(intent, at, &self.draft) {
                return Err(SignRefusal::Unsupported);
            }
            if let SignIntent::Place(order) = intent {
                // Before there is a signature: what was released has a record, whatever ends the process.
                bounds.record(order, again, at).map_err(|_| SignRefusal::Policy)?;
            }
        }
        let mac = self.key.mac.sign(&[self.draft.prehash.as_slice()]);
        let mut text = [0_u8; SIGNATURE_TEXT_MAX];
        let signature = write_signature(self.codec.encoding(), &mac, &mut text)?;
        let mut seal = Seal::new(&self.blanks, verb, self.draft.method, &self.draft.target)?;
        if let Some(lines) = self.standing.of(self.draft.method)? {
            seal.standing(lines)?;
        }
        self.codec.finish(&mut self.draft, signature, self.key.credentials()?, &mut seal)?;
        let signed = seal.close(&self.draft.body);
        if self.draft.method == Method::Frame {
            // A log-in frame names key and passphrase: leave no copy in the reused buffer.
            self.draft.body.as_mut_slice().zeroize();
        }
        signed
    }
}

impl SignerPort for InlineSigner {
    fn hello(&self) -> SignerHello {
        let identity = self.guard.identity();
        SignerHello { tag: identity.tag, epoch: identity.epoch, isolation: Isolation::Inline, memory: memory_kind() }
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal> {
        let now = self.clock.mono();
        self.offset.tell(offset_ns, now).map_err(|_| SignRefusal::Clock)?;
        if let Some(bounds) = &mut self.bounds {
            bounds.clock_measured(self.clock.unix_at(now), now);
        }
        Ok(())
    }

    fn set_account_mode(&mut self, mode: AccountMode) -> Result<(), SignRefusal> {
        self.codec.set_account_mode(mode);
        // What the venue said in a verification is not undone by whoever asks for signatures.
        self.unified = self.known_unified || mode == AccountMode::Unified;
        Ok(())
    }

    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        let (at, again) = self.check(intent)?;
        match self.build(intent, at, again) {
            Ok(request) => {
                count(&self.shared.0.signed);
                Ok(request)
            }
            Err(refusal) => {
                count(&self.shared.0.refused_request);
                Err(refusal)
            }
        }
    }
}

/// The signer of the emergency thread: cancels, and looks at what rests. Nothing can widen it.
pub struct CancelOnlySigner(InlineSigner);

impl CancelOnlySigner {
    /// Exchanges the keys of two signers of one account.
    pub fn exchange_keys(&mut self, other: &mut Self) {
        self.0.exchange_keys(&mut other.0);
    }

    /// Narrows a signer for good.
    #[must_use]
    pub fn new(mut signer: InlineSigner) -> Self {
        signer.set_duty(KeyDuty::CancelOnly);
        Self(signer)
    }
}

impl SignerPort for CancelOnlySigner {
    fn hello(&self) -> SignerHello {
        self.0.hello()
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal> {
        self.0.set_clock_offset(offset_ns)
    }

    fn set_account_mode(&mut self, mode: AccountMode) -> Result<(), SignRefusal> {
        self.0.set_account_mode(mode)
    }

    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        match intent.verb() {
            Verb::Cancel | Verb::CancelAll | Verb::QueryOrder | Verb::OpenOrders => self.0.sign(intent),
            _ => Err(SignRefusal::KeyState),
        }
    }
}

/// Whether a key in this duty may sign this verb.
#[must_use]
pub const fn duty_allows(duty: KeyDuty, verb: Verb) -> bool {
    match duty {
        KeyDuty::None => false,
        KeyDuty::VerifyOnly => matches!(verb, Verb::KeyInfo | Verb::Balances),
        KeyDuty::CancelOnly => !matches!(verb, Verb::Place) && !verb.sets(),
        KeyDuty::Full => true,
    }
}

fn write_signature<'a>(
    encoding: SignatureEncoding,
    mac: &[u8],
    text: &'a mut [u8; SIGNATURE_TEXT_MAX],
) -> Result<&'a str, SignRefusal> {
    let len = match encoding {
        SignatureEncoding::Base64 => BASE64.encode_slice(mac, text).map_err(|_| SignRefusal::Malformed)?,
        SignatureEncoding::Hex => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            for (pair, byte) in text.chunks_exact_mut(2).zip(mac) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            2 * mac.len()
        }
    };
    let written = text.get(..len).ok_or(SignRefusal::Malformed)?;
    std::str::from_utf8(written).map_err(|_| SignRefusal::Malformed)
}

fn memory_kind() -> MemoryKind {
    match secrets::memory_level() {
        Ok(MemoryLevel::MemfdSecret) => MemoryKind::SecretMap,
        Ok(MemoryLevel::Mlock) => MemoryKind::Locked,
        Ok(MemoryLevel::Plain) | Err(_) => MemoryKind::Plain,
    }
}
