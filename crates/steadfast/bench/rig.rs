//! An order path as the daemon joins it, with clock, board, signer and codec of its own.
//!
//! Time: the risk guard takes at most 1,000 orders in any second, and looks for a doubled order among those of the
//! last 200 ms. So that more can be measured, the rig's monotonic clock is the machine's plus a lead that grows by
//! [`SteppedClock::STEP`] every [`SteppedClock::ORDERS_PER_STEP`] orders: never more than 16 orders stand in that
//! window, which is more than the venue would take. Reading it costs one relaxed load more than the machine's.

use super::BenchError;
use clock::SystemClock;
use domain::{
    Clock, Epoch, InstanceTag, Instrument, InstrumentId, InstrumentStatus, InstrumentVersion, MonoNanos, Notional, Qty,
    StrategyTag, TopOfBook, UnixNanos, VenueId,
};
use hot_actor::{OutboxReceiver, SlotReader, SlotWords, SlotWriter, outbox, slot};
use messages::{EndpointGroup, KeyDuty, OrderEvent, RefuseReason, SignIntent, SignRefusal, TopUsed};
use order_path::{Board, Core, EventRing, Now, OrderPath, Setup, SignerSeat, VenueSetup, Wires};
use order_signer::{Identity, InlineSigner, LoadedKey};
use risk_guard::{Limits, StrategyLimits};
use rust_decimal::Decimal;
use secrets::SecretBytes;
use signing::{Outbound, SignedRequest, SignerHello, SignerPort};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) const VENUE: VenueId = VenueId(0);
pub(super) const INSTRUMENT: InstrumentId = InstrumentId(0);
pub(super) const STRATEGY: StrategyTag = StrategyTag(1);
pub(super) const SYMBOL: &str = "BTCUSDT";

/// The machine's clock with a lead that the bench moves on.
#[derive(Debug, Default)]
pub(super) struct SteppedClock {
    lead_ns: AtomicU64,
}

impl SteppedClock {
    /// How far one step goes.
    pub(super) const STEP: Duration = Duration::from_millis(200);
    /// Orders between two steps: 1,000 orders never fall into one second.
    pub(super) const ORDERS_PER_STEP: u64 = 16;

    pub(super) fn step(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.lead_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Clock for SteppedClock {
    fn unix(&self) -> UnixNanos {
        SystemClock.unix()
    }

    fn mono(&self) -> MonoNanos {
        MonoNanos(SystemClock.mono().0.saturating_add(self.lead_ns.load(Ordering::Relaxed)))
    }

    fn unix_at(&self, mono: MonoNanos) -> UnixNanos {
        SystemClock.unix_at(MonoNanos(mono.0.saturating_sub(self.lead_ns.load(Ordering::Relaxed))))
    }
}

/// Ticks of 0.01, lots of 0.000001.
pub(super) fn version() -> InstrumentVersion {
    InstrumentVersion {
        id: INSTRUMENT,
        version: 1,
        price_decimals: 2,
        qty_decimals: 6,
        tick: 1,
        lot: 1,
        min_qty: Qty(10),
        max_qty: Qty(0),
        min_notional: Notional(Decimal::ONE),
        status: InstrumentStatus::Online,
        valid_from: UnixNanos(0),
    }
}

pub(super) fn instrument() -> Result<Instrument, BenchError> {
    let too_long = |_| BenchError::Setup("a name does not fit");
    Ok(Instrument {
        id: INSTRUMENT,
        venue: VENUE,
        symbol: SYMBOL.try_into().map_err(too_long)?,
        market: domain::Market::Spot,
        base: "BTC".try_into().map_err(too_long)?,
        quote: "USDT".try_into().map_err(too_long)?,
        version: version(),
    })
}

pub(super) fn identity() -> Result<Identity, BenchError> {
    let epoch = Epoch::new(7).map_err(|_| BenchError::Setup("the epoch does not fit"))?;
    Ok(Identity { tag: InstanceTag::from_number(1_234), epoch })
}

/// The defaults of the settings, except for the pace.
pub(super) fn limits() -> Limits {
    Limits { max_orders_per_second: Limits::RATE_MAX, ..Limits::default() }
}

/// An inline signer with an invented key that may do everything.
pub(super) fn signer(clock: Arc<dyn Clock>) -> Result<InlineSigner, BenchError> {
    let secret =
        |text: &str| SecretBytes::from_slice(text.as_bytes()).map_err(|_| BenchError::Setup("no memory for a key"));
    let key = LoadedKey::new(
        secret("bg_invented_for_the_bench_0123456789")?,
        secret("sk_invented_for_the_bench_0123456789abcdef0123456789abcdef")?,
        secret("invented12345")?,
    )
    .map_err(|_| BenchError::Setup("no memory for a key"))?;
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
    let mut signer = InlineSigner::new(key, codec, clock, identity()?, KeyDuty::Full);
    signer.set_clock_offset(0).map_err(|_| BenchError::Setup("the signer does not take the clock"))?;
    Ok(signer)
}

/// The inline signer where the order path wants it.
struct Seat(InlineSigner);

impl SignerPort for Seat {
    fn hello(&self) -> SignerHello {
        self.0.hello()
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal> {
        self.0.set_clock_offset(offset_ns)
    }

    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        self.0.sign(intent)
    }
}

impl SignerSeat for Seat {
    fn set_duty(&mut self, duty: KeyDuty) {
        self.0.set_duty(duty);
    }
}

/// The top of book as it lies in its slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Top(pub(super) TopOfBook);

impl SlotWords<{ TopOfBook::WORDS }> for Top {
    fn to_words(&self) -> [u64; TopOfBook::WORDS] {
        self.0.to_words()
    }

    fn from_words(words: [u64; TopOfBook::WORDS]) -> Self {
        Self(TopOfBook::from_words(words))
    }
}

pub(super) type TopWriter = SlotWriter<Top, { TopOfBook::WORDS }>;

/// One instrument's slot, read by the order path.
struct Tops(SlotReader<Top, { TopOfBook::WORDS }>);

impl Board for Tops {
    fn top(&self, _instrument: InstrumentId) -> Result<TopUsed, RefuseReason> {
        let Top(top) = self.0.read().map_err(|_| RefuseReason::BookBusy)?;
        match (top.bid, top.ask) {
            (Some(bid), Some(ask)) => Ok(TopUsed { bid: bid.price, ask: ask.price, received: top.at }),
            _ => Err(RefuseReason::InvalidBook),
        }
    }
}

/// An order path and the ends of everything it is joined to.
pub(super) struct Rig {
    pub(super) path: OrderPath,
    pub(super) board: TopWriter,
    pub(super) outbox: OutboxReceiver<Outbound>,
    pub(super) events: crossbeam_channel::Receiver<OrderEvent>,
    pub(super) clock: Arc<SteppedClock>,
}

impl Rig {
    /// Requests that the outbox holds, as in the daemon.
    const OUTBOX_ROOM: usize = 256;
    /// An order that has not left by then is not sent.
    const SEND_BY: Duration = Duration::from_millis(500);

    pub(super) fn new() -> Result<Self, BenchError> {
        let clock = Arc::new(SteppedClock::default());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let identity = identity()?;
        let setup = Setup {
            venues: vec![VenueSetup {
                tag: identity.tag,
                epoch: identity.epoch,
                rates: EndpointGroup::ALL.map(|group| (group, 1_000_000)).to_vec(),
                account: messages::AccountMode::Classic,
                futures: None,
            }],
            instruments: vec![instrument()?],
            strategies: vec![(STRATEGY, StrategyLimits::default())],
            account: "bench".to_owned(),
            limits: limits(),
            index_delay: Duration::from_secs(5),
            cancel_on_disconnect_after: Duration::from_secs(10),
            hold_on_foreign: true,
            halted: None,
        };
        let core = Core::new(setup, Now { mono: shared.mono(), unix: shared.unix() });
        let empty = TopOfBook { bid: None, ask: None, at: MonoNanos(0), version: 0 };
        let (board, reader) = slot(Top(empty));
        let (sender, outbox) = outbox(Self::OUTBOX_ROOM, Arc::new(|| {}));
        let (ring, events) = EventRing::new();
        let wires = Wires {
            signers: vec![Box::new(Seat(signer(Arc::clone(&shared))?))],
            board: Box::new(Tops(reader)),
            outbox: sender,
            rings: vec![ring],
            wake_consumers: Arc::new(|| {}),
            halt_store: Box::new(|_| {}),
            clock: shared,
            send_by: Self::SEND_BY,
            on_tally: Box::new(|_| {}),
        };
        Ok(Self { path: OrderPath::new(core, wires), board, outbox, events, clock })
    }
}
