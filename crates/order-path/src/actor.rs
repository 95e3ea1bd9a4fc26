//! The shell around [`Core`]: lanes in, signer port, outbox and event rings out. Seated on its own thread.

use crate::core::Core;
use crate::types::{Effects, Now, SignJob, SignOutcome};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use domain::{Clock, InstrumentId, MonoNanos, StrategyTag};
use hot_actor::{HotActor, OutboxSender, Wake};
use messages::{
    Control, HaltReason, KeyDuty, Note, OrderEvent, OrderIntent, QueryPurpose, RefuseReason, Restored, SignQuery,
    SignRefusal, TopUsed, VenueReport,
};
use signing::{Outbound, Route, SignedRequest, SignerPort};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What the urgent lane carries.
pub enum Urgent {
    /// From the gateway.
    Report(VenueReport),
    /// From operators, the feed, the clock, strategies (cancels) and the program itself.
    Control(Control),
    /// Somebody wants to know what a strategy owns, and the number of the first event not included.
    Restore(StrategyTag, InstrumentId, Sender<(Restored, u64)>),
    /// Somebody wants to know how many orders may still rest.
    LiveOrders(Sender<usize>),
}

/// The latest top of book of every instrument, as overwritten slots.
pub trait Board: Send {
    /// The top now.
    ///
    /// # Errors
    /// [`RefuseReason::InvalidBook`] while the book is not valid, [`RefuseReason::BookBusy`] when it was being
    /// written at every attempt.
    fn top(&self, instrument: InstrumentId) -> Result<TopUsed, RefuseReason>;
}

/// A signer whose policy gate can be moved, as the order path sees it.
pub trait SignerSeat: SignerPort {
    /// Tells the signer what the key may be used for.
    fn set_duty(&mut self, duty: KeyDuty);
}

/// Stores or removes the halt flag durably; returns once it is on disk.
pub type HaltStore = Box<dyn FnMut(Option<(HaltReason, Note)>) + Send>;

/// One consumer of events.
pub struct EventRing {
    sender: Sender<OrderEvent>,
    /// Events that found the ring full, in order; the ring has halted trading by then.
    backlog: VecDeque<OrderEvent>,
}

impl EventRing {
    /// Events of one burst that a consumer may be behind.
    pub const ROOM: usize = 4_096;
    /// Events kept while the consumer does not move; then the thread ends and the emergency path takes over.
    const BACKLOG_MAX: usize = 4_096;

    /// A ring and its reading end.
    #[must_use]
    pub fn new() -> (Self, Receiver<OrderEvent>) {
        let (sender, receiver) = bounded(Self::ROOM);
        (Self { sender, backlog: VecDeque::with_capacity(16) }, receiver)
    }

    /// `false` when the ring was full.
    fn push(&mut self, event: OrderEvent) -> bool {
        if !self.backlog.is_empty() {
            self.keep(event);
            return false;
        }
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Full(event)) => {
                self.keep(event);
                false
            }
            Err(TrySendError::Disconnected(_)) => true, // the consumer has ended in order, at shutdown
        }
    }

    fn keep(&mut self, event: OrderEvent) {
        assert!(self.backlog.len() < Self::BACKLOG_MAX, "an event ring's consumer moves, or the order path ends");
        self.backlog.push_back(event);
    }

    fn drain(&mut self) {
        while let Some(event) = self.backlog.front() {
            if self.sender.try_send(*event).is_err() {
                return;
            }
            self.backlog.pop_front();
        }
    }
}

struct Outside {
    rings: Vec<EventRing>,
    halt_store: HaltStore,
    ring_full: bool,
    published: bool,
}

impl Effects for Outside {
    fn publish(&mut self, event: OrderEvent) {
        self.published = true;
        for ring in &mut self.rings {
            self.ring_full |= !ring.push(event);
        }
    }

    fn store_halt(&mut self, halt: Option<(HaltReason, Note)>) {
        (self.halt_store)(halt);
    }
}

/// Plain counters of the thread, published when its lanes run empty.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Requests signed.
    pub signed: u64,
    /// Requests that the signer refused.
    pub sign_refused: u64,
    /// Intents taken.
    pub intents: u64,
}

/// The order path on its thread.
pub struct OrderPath {
    core: Core,
    signers: Vec<Box<dyn SignerSeat>>,
    board: Box<dyn Board>,
    outbox: OutboxSender<Outbound>,
    outside: Outside,
    clock: Arc<dyn Clock>,
    wake_consumers: Wake,
    send_by: Duration,
    tally: Tally,
    on_tally: Box<dyn FnMut(Tally) + Send>,
    last_tick: Option<MonoNanos>,
    last_tally: Option<MonoNanos>,
}

/// What an order path is joined to.
pub struct Wires {
    /// One signer for each venue account, in the order of their ids.
    pub signers: Vec<Box<dyn SignerSeat>>,
    /// Top of book.
    pub board: Box<dyn Board>,
    /// To the gateway.
    pub outbox: OutboxSender<Outbound>,
    /// To journal, portfolio, strategies and control plane.
    pub rings: Vec<EventRing>,
    /// Wakes the consumers of `rings`, at most once when the lanes run empty.
    pub wake_consumers: Wake,
    /// Stores the halt flag.
    pub halt_store: HaltStore,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// An order whose first byte has not gone by then is not sent.
    pub send_by: Duration,
    /// Takes the counters when the lanes run empty.
    pub on_tally: Box<dyn FnMut(Tally) + Send>,
}

impl OrderPath {
    /// Marks and limits are looked at this often.
    const TICK: Duration = Duration::from_millis(100);
    /// Counters are published this often at most: some fifty atomics are written each time.
    const TALLY_EVERY: Duration = Duration::from_millis(250);

    /// Joins a core, which has been restored, to its surroundings.
    #[must_use]
    pub fn new(core: Core, wires: Wires) -> Self {
        Self {
            core,
            signers: wires.signers,
            board: wires.board,
            outbox: wires.outbox,
            outside: Outside { rings: wires.rings, halt_store: wires.halt_store, ring_full: false, published: false },
            clock: wires.clock,
            wake_consumers: wires.wake_consumers,
            send_by: wires.send_by,
            tally: Tally::default(),
            on_tally: wires.on_tally,
            last_tick: None,
            last_tally: None,
        }
    }

    fn now(&self, mono: MonoNanos) -> Now {
        Now { mono, unix: self.clock.unix_at(mono) }
    }

    /// Signs one job, puts it into the outbox, and tells the core what became of it.
    fn sign(&mut self, job: &SignJob, now: Now) {
        let outcome = match self.signers.get_mut(job.venue.index()) {
            Some(signer) => match signature(&mut **signer, job) {
                Ok(request) => {
                    let signed = self.clock.mono();
                    let outbound = Outbound {
                        venue: job.venue,
                        request,
                        intent: job.intent,
                        route: job.route,
                        strategy: job.strategy,
                        version: job.version,
                        signed,
                        send_by: signed.after(self.send_by),
                    };
                    self.tally.signed = self.tally.signed.saturating_add(1);
                    self.hand_over(job, outbound, now);
                    return;
                }
                Err(refusal) => SignOutcome::Refused(refusal),
            },
            None => SignOutcome::Refused(SignRefusal::NoKey),
        };
        self.tally.sign_refused = self.tally.sign_refused.saturating_add(1);
        self.core.signed(job, outcome, now, &mut self.outside);
    }

    /// The `Placed` event goes first, so that no answer can overtake it; a full outbox takes it back.
    fn hand_over(&mut self, job: &SignJob, outbound: Outbound, now: Now) {
        let signed = outbound.signed;
        if self.outbox.depth() >= self.outbox.room() {
            self.core.signed(job, SignOutcome::OutboxFull, now, &mut self.outside);
            return;
        }
        self.core.signed(job, SignOutcome::Queued(signed), now, &mut self.outside);
        // This thread is the only producer, so there is room now if there was a moment ago.
        let refused = self.outbox.push_or_refuse(outbound).is_err();
        assert!(!refused, "the order path is the outbox's only producer");
    }

    fn jobs(&mut self, now: Now) {
        while let Some(job) = self.core.next_job(now, &mut self.outside) {
            self.sign(&job, now);
        }
        if self.outside.ring_full {
            self.outside.ring_full = false;
            let note = Note::from("a consumer of events is behind").unwrap_or_default();
            self.core.halt(HaltReason::EventRingFull, note, now, &mut self.outside);
        }
    }

    fn control(&mut self, control: Control, now: Now) {
        match control {
            Control::ClockMeasured { venue, offset_ns, .. } => {
                let accepted = self
                    .signers
                    .get_mut(venue.index())
                    .is_some_and(|signer| signer.set_clock_offset(offset_ns).is_ok());
                let told = if accepted { control } else { Control::ClockLost(venue) };
                self.core.control(told, now, &mut self.outside);
            }
            Control::AccountMode(venue, mode) => {
                // A signer that is gone reads it from the key's record when it is back.
                let _ = self.signers.get_mut(venue.index()).map(|signer| signer.set_account_mode(mode));
                self.core.control(control, now, &mut self.outside);
            }
            Control::KeyDuty(venue, duty) => {
                if let Some(signer) = self.signers.get_mut(venue.index()) {
                    signer.set_duty(duty);
                }
                self.core.control(control, now, &mut self.outside);
            }
            _ => self.core.control(control, now, &mut self.outside),
        }
    }

    /// The state behind the thread, for tests and for the last words at shutdown.
    #[must_use]
    pub const fn core(&self) -> &Core {
        &self.core
    }
}

/// Asks the signer that a job is for: the key at work, or the one that is to take over and is being verified.
fn signature(signer: &mut dyn SignerSeat, job: &SignJob) -> Result<SignedRequest, SignRefusal> {
    match job.route {
        Route::Query(_, QueryPurpose::VerifyCandidate) => signer.sign_candidate(&job.intent),
        _ => signer.sign(&job.intent),
    }
}

impl HotActor for OrderPath {
    type Urgent = Urgent;
    type Message = OrderIntent;
    type Query = SignQuery;
    const NAME: &'static str = "order-path";

    fn started(&mut self, now: MonoNanos) {
        let now = self.now(now);
        self.core.start(now, &mut self.outside);
        self.core.restored(now, &mut self.outside);
    }

    fn urgent(&mut self, message: Urgent, now: MonoNanos) {
        let now = self.now(now);
        match message {
            Urgent::Report(report) => self.core.report(&report, now, &mut self.outside),
            Urgent::Control(control) => self.control(control, now),
            Urgent::Restore(strategy, instrument, reply) => {
                let _ = reply.try_send((self.core.restored_for(strategy, instrument), self.core.next_event()));
            }
            Urgent::LiveOrders(reply) => {
                let _ = reply.try_send(self.core.live_orders().count());
            }
        }
        self.jobs(now);
    }

    fn handle(&mut self, intent: OrderIntent, now: MonoNanos) {
        self.tally.intents = self.tally.intents.saturating_add(1);
        let now = self.now(now);
        let top = self.board.top(intent.instrument);
        if let Some(mut job) = self.core.intent(&intent, top, now, &mut self.outside) {
            job.timing.checked = self.clock.mono();
            self.sign(&job, now);
        }
        if self.outside.ring_full {
            self.jobs(now);
        }
    }

    fn query(&mut self, query: SignQuery, now: MonoNanos) {
        let now = self.now(now);
        self.core.question(query);
        self.jobs(now);
    }

    fn tick(&mut self, now: MonoNanos) {
        self.outside.rings.iter_mut().for_each(EventRing::drain);
        if self.last_tick.is_some_and(|last| now.since(last) < Self::TICK) {
            return;
        }
        self.last_tick = Some(now);
        let now = self.now(now);
        let board = &self.board;
        let count = u16::try_from(self.core.instrument_count()).unwrap_or(u16::MAX);
        let tops = (0..count).map(InstrumentId).filter_map(|id| board.top(id).ok().map(|top| (id, top)));
        self.core.tick(now, tops, &mut self.outside);
        self.jobs(now);
    }

    fn idle(&mut self, now: MonoNanos) {
        if self.last_tally.is_none_or(|last| now.since(last) >= Self::TALLY_EVERY) {
            self.last_tally = Some(now);
            (self.on_tally)(self.tally);
            self.core.publish_tally(now);
        }
        if self.outside.published {
            self.outside.published = false;
            (self.wake_consumers)();
        }
    }

    fn stopped(&mut self, now: MonoNanos) {
        let now = self.now(now);
        self.core.stop(now, &mut self.outside);
        self.outside.rings.iter_mut().for_each(EventRing::drain);
        (self.wake_consumers)();
    }
}
