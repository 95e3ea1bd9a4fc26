//! Order path, inline signer and gateway joined for some venue accounts: the one way to a signature,
//! used by the daemon and by the verification of keys alike.

use crate::report::{Exit, Trouble, causes};
use actix_rt::Arbiter;
use domain::{Clock, VenueId};
use hot_actor::{Death, HotConfig, HotHandle, Lanes, OutboxMeter, OutboxReceiver, Wake, mailbox, outbox};
use messages::{
    AccountMode, Control, KeyDuty, QueryAnswer, QueryId, QueryPurpose, ReportBody, SignIntent, SignRefusal, VenueError,
    VenueReport,
};
use order_gateway::{Doorbell, Gateway, GatewayHandle, LinkConfig, Outlets, Recorder, Renewals};
use order_path::{Core, EventRing, OrderPath, SignerSeat, Tally, Urgent, Wires};
use order_signer::{CancelOnlySigner, CustodyDesk, InlineSigner, Seats};
use signing::{Outbound, SignedRequest, SignerHello, SignerPort};
use std::sync::Arc;
use std::time::Duration;

/// Requests that may wait for the gateway.
const OUTBOX_MAX: usize = 256;
/// Longest wait for the order path's thread to end.
const END_MAX: Duration = Duration::from_secs(2);

/// The inline signer in the order path's seat.
pub struct InlineSeat(pub InlineSigner);

impl SignerPort for InlineSeat {
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
        self.0.sign(intent)
    }
}

impl SignerSeat for InlineSeat {
    fn set_duty(&mut self, duty: KeyDuty) {
        self.0.set_duty(duty);
    }
}

/// A signer in the order path's seat that custody may give another key, between two signatures.
pub struct SharedSeat {
    seats: Seats<InlineSigner>,
    candidates: Seats<InlineSigner>,
    seat: VenueId,
    hello: SignerHello,
}

impl SharedSeat {
    /// The seat of a venue account at a desk; `hello` until there is a signer.
    #[must_use]
    pub fn new(desk: &CustodyDesk, seat: VenueId, hello: SignerHello) -> Self {
        Self { seats: desk.seats.clone(), candidates: desk.candidates.clone(), seat, hello }
    }
}

/// Asks the signer of a seat something.
fn asked<S, T>(
    seats: &Seats<S>,
    seat: VenueId,
    ask: impl FnOnce(&mut S) -> Result<T, SignRefusal>,
) -> Result<T, SignRefusal> {
    let answer = seats.with(seat, |signer| signer.as_mut().map(ask));
    answer.flatten().unwrap_or(Err(SignRefusal::NoKey))
}

impl SignerPort for SharedSeat {
    fn hello(&self) -> SignerHello {
        self.seats.with(self.seat, |signer| signer.as_ref().map(InlineSigner::hello)).flatten().unwrap_or(self.hello)
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal> {
        asked(&self.seats, self.seat, |signer| signer.set_clock_offset(offset_ns))
    }

    fn set_account_mode(&mut self, mode: AccountMode) -> Result<(), SignRefusal> {
        asked(&self.seats, self.seat, |signer| signer.set_account_mode(mode))
    }

    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        asked(&self.seats, self.seat, |signer| signer.sign(intent))
    }

    fn sign_candidate(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        if !intent.verb().only_asks() {
            return Err(SignRefusal::KeyState);
        }
        asked(&self.candidates, self.seat, |signer| signer.sign(intent))
    }
}

impl SignerSeat for SharedSeat {
    /// The key manager has told custody, which knows the key's state.
    fn set_duty(&mut self, _duty: KeyDuty) {}
}

/// The emergency thread's signer, likewise.
pub struct SharedCancels {
    /// The signers.
    pub cancels: Seats<CancelOnlySigner>,
    /// Of this venue account.
    pub seat: VenueId,
    /// What it says of itself.
    pub hello: SignerHello,
}

impl SignerPort for SharedCancels {
    fn hello(&self) -> SignerHello {
        self.hello
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal> {
        asked(&self.cancels, self.seat, |signer| signer.set_clock_offset(offset_ns))
    }

    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        asked(&self.cancels, self.seat, |signer| signer.sign(intent))
    }
}

/// The seat of a venue account that the settings no longer name: it signs nothing.
pub struct EmptySeat(pub SignerHello);

impl SignerPort for EmptySeat {
    fn hello(&self) -> SignerHello {
        self.0
    }

    fn set_clock_offset(&mut self, _offset_ns: i64) -> Result<(), SignRefusal> {
        Err(SignRefusal::NoKey)
    }

    fn sign(&mut self, _intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        Err(SignRefusal::NoKey)
    }
}

impl SignerSeat for EmptySeat {
    fn set_duty(&mut self, _duty: KeyDuty) {}
}

/// Where the gateway's other news go.
#[derive(Clone)]
pub struct Ears {
    /// Answers to the key manager's questions.
    pub verify: Arc<dyn Fn(VenueId, QueryPurpose, QueryId, QueryAnswer) + Send + Sync>,
    /// The venue refused the key: a log-in to the private stream, or an order.
    pub login_failed: Arc<dyn Fn(VenueId, VenueError) + Send + Sync>,
    /// Everything told to the order path, overheard (clock, private stream); must not wait.
    pub control: Arc<dyn Fn(&Control) + Send + Sync>,
    /// Order path or gateway has died.
    pub died: Arc<dyn Fn(&'static str) + Send + Sync>,
}

/// What a station is built from.
pub struct Parts {
    /// The order path's state, restored from disk.
    pub core: Core,
    /// One signer for each venue account, in the order of their ids.
    pub signers: Vec<Box<dyn SignerSeat>>,
    /// Top of book.
    pub board: Box<dyn order_path::Board>,
    /// Consumers of events.
    pub rings: Vec<EventRing>,
    /// Wakes the consumers of `rings`.
    pub wake_consumers: Wake,
    /// Stores the halt flag.
    pub halt_store: order_path::HaltStore,
    /// Writes the wire log.
    pub recorder: Box<dyn Recorder + Send>,
    /// Venue accounts for the gateway.
    pub links: Vec<LinkConfig>,
    /// How the order path's thread waits.
    pub config: HotConfig,
    /// An order whose first byte has not gone by then is not sent.
    pub send_by: Duration,
    /// Takes the order path's counters.
    pub on_tally: Box<dyn FnMut(Tally) + Send>,
    /// Where news go.
    pub ears: Ears,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A running station.
pub struct Station {
    lanes: Lanes<OrderPath>,
    path: HotHandle<OrderPath>,
    gateway: GatewayHandle,
    outbox: OutboxMeter<Outbound>,
    arbiter: Arbiter,
}

impl Station {
    /// Starts the order path on its thread and the gateway on an arbiter of its own.
    ///
    /// # Errors
    /// [`Trouble`] when a thread cannot be had or an address may not be spoken to.
    pub fn start(parts: Parts) -> Result<Self, Trouble> {
        let bell = Doorbell::new();
        let (sender, receiver) = outbox::<Outbound>(OUTBOX_MAX, bell.wake());
        let meter = sender.meter();
        let (lanes, inbox) = mailbox::<OrderPath>(parts.config);
        let path = OrderPath::new(
            parts.core,
            Wires {
                signers: parts.signers,
                board: parts.board,
                outbox: sender,
                rings: parts.rings,
                wake_consumers: parts.wake_consumers,
                halt_store: parts.halt_store,
                clock: Arc::clone(&parts.clock),
                send_by: parts.send_by,
                on_tally: parts.on_tally,
            },
        );
        let died = Arc::clone(&parts.ears.died);
        let on_death = move |death: Death| {
            tracing::error!(actor = death.actor, cause = death.cause, "an actor of the money path died");
            died("order-path");
        };
        let path = inbox.start(path, Arc::clone(&parts.clock), on_death).map_err(|error| {
            Trouble::new(Exit::Failure, "the order path cannot start")
                .why(causes(&error))
                .fix("set order_path.pin = false")
        })?;
        let outlets = outlets(&lanes, &parts.ears);
        let arbiter = Arbiter::new();
        let gateway = start_gateway(&arbiter, parts.links, receiver, bell, parts.recorder, outlets, parts.clock)?;
        Ok(Self { lanes, path, gateway, outbox: meter, arbiter })
    }

    /// The order path's lanes.
    #[must_use]
    pub const fn lanes(&self) -> &Lanes<OrderPath> {
        &self.lanes
    }

    /// What waits at the order path and at the gateway, and what may: by the actor's name.
    #[must_use]
    pub fn readings(&self) -> [(&'static str, (usize, usize)); 2] {
        let Lanes { urgent, messages, .. } = &self.lanes;
        let depth = urgent.depth().saturating_add(messages.depth());
        let room = urgent.room().saturating_add(messages.room());
        [("order-path", (depth, room)), ("order-gateway", self.outbox.reading())]
    }

    /// Makes private streams log in again.
    #[must_use]
    pub fn renewals(&self) -> Renewals {
        self.gateway.renewals()
    }

    /// Tells the order path something, waiting while its lane is full. `false`: it has ended.
    pub fn control(&self, control: Control) -> bool {
        self.lanes.urgent.post_wait(Urgent::Control(control)).is_ok()
    }

    /// How many orders may still rest; `None`: the order path has ended.
    #[must_use]
    pub fn live_orders(&self) -> Option<usize> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.lanes.urgent.post_wait(Urgent::LiveOrders(sender)).ok()?;
        receiver.recv_timeout(END_MAX).ok()
    }

    /// Ends in order: the gateway sends what is in the outbox and waits for what is under way, then the order
    /// path takes its last reports and publishes its last event. `false`: the order path did not end.
    pub async fn stop(mut self, patience: Duration) -> bool {
        self.gateway.stop();
        if tokio::time::timeout(patience, self.gateway.ended()).await.is_err() {
            tracing::warn!("the gateway did not end in time");
        }
        let ended = self.path.stop_and_wait(END_MAX).is_some();
        self.arbiter.stop();
        ended
    }
}

fn outlets(lanes: &Lanes<OrderPath>, ears: &Ears) -> Outlets {
    let (reports, controls, questions) = (lanes.urgent.clone(), lanes.urgent.clone(), lanes.queries.clone());
    let overheard = Arc::clone(&ears.control);
    let died = Arc::clone(&ears.died);
    let rejected = Arc::clone(&ears.login_failed);
    Outlets {
        // An error means that the order path is gone; its death has been told already.
        report: Arc::new(move |report: VenueReport| {
            // Only the key manager knows what is to be thought of it.
            if let ReportBody::Failed { error, .. } = &report.body
                && key_manager::is_about_the_key(error)
            {
                rejected(report.venue, *error);
            }
            drop(reports.post_wait(Urgent::Report(report)));
        }),
        control: Arc::new(move |control: Control| {
            overheard(&control);
            drop(controls.post_wait(Urgent::Control(control)));
        }),
        verify: Arc::clone(&ears.verify),
        ask: Arc::new(move |query| questions.try_post(query).is_ok()),
        login_failed: Arc::clone(&ears.login_failed),
        died: Arc::new(move || died("order-gateway")),
    }
}

fn start_gateway(
    arbiter: &Arbiter,
    links: Vec<LinkConfig>,
    outbox: OutboxReceiver<Outbound>,
    bell: Doorbell,
    recorder: Box<dyn Recorder + Send>,
    outlets: Outlets,
    clock: Arc<dyn Clock>,
) -> Result<GatewayHandle, Trouble> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    arbiter.spawn_fn(move || {
        let _ = sender.send(Gateway::start(links, outbox, bell, recorder, outlets, clock));
    });
    let failed = || Trouble::new(Exit::Failure, "the order gateway cannot start");
    receiver.recv().map_err(|_| failed())?.map_err(|error| failed().why(causes(&error)))
}
