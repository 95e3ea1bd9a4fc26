//! The thread around a [`HotActor`]: lanes, waiting, ticks, pinning, the end.

use crate::actor::{HotActor, HotConfig, WaitPolicy};
use crate::lane::{Lane, PostError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, TryRecvError, bounded};
use domain::{Clock, MonoNanos};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Messages between two calls of [`HotActor::idle`] when the lanes never run empty.
const IDLE_EVERY: u32 = 1_024;

/// The sending ends of an actor's three lanes.
pub struct Lanes<A: HotActor> {
    /// Drained first; its senders may wait with [`Lane::post_wait`].
    pub urgent: Lane<A::Urgent>,
    /// Drained when the urgent lane is empty.
    pub messages: Lane<A::Message>,
    /// Drained when both others are empty.
    pub queries: Lane<A::Query>,
}

impl<A: HotActor> Clone for Lanes<A> {
    fn clone(&self) -> Self {
        Self { urgent: self.urgent.clone(), messages: self.messages.clone(), queries: self.queries.clone() }
    }
}

impl<A: HotActor> Lanes<A> {
    /// Posts an urgent message, waiting while the lane is full.
    ///
    /// # Errors
    /// [`PostError::Gone`] if the actor has ended.
    pub fn post_urgent(&self, message: A::Urgent) -> Result<(), PostError<A::Urgent>> {
        self.urgent.post_wait(message)
    }
}

/// How a hot actor died. It is never rebuilt; the owner decides what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// [`HotActor::NAME`].
    pub actor: &'static str,
    /// Where it panicked; never what the panic said.
    pub cause: String,
}

/// How the thread ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotExit {
    /// The owner asked for it. `left_behind` messages and queries were not handled.
    Stopped {
        /// Messages and queries that were still in their lanes.
        left_behind: usize,
    },
    /// The actor panicked; the death callback has been called.
    Died(Death),
}

/// Why a hot actor could not be started; the actor is dropped.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The system gave no thread.
    #[error("no thread for actor {actor}")]
    Thread {
        /// The actor's name.
        actor: &'static str,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The machine has no such core, or this process may not use it.
    #[error("actor {actor} cannot run on core {core}")]
    Core {
        /// The actor's name.
        actor: &'static str,
        /// The core that was asked for.
        core: usize,
    },
}

/// A sender of nothing: the thread stops when it is dropped.
#[derive(Debug)]
enum Nothing {}

struct Inbox<A: HotActor> {
    stop: Receiver<Nothing>,
    urgent: Receiver<A::Urgent>,
    messages: Receiver<A::Message>,
    queries: Receiver<A::Query>,
}

/// The lanes of an actor that is not running yet; made before the actor so that
/// two actors can be given each other's lanes. Dropping it closes the lanes.
pub struct HotMailbox<A: HotActor> {
    config: HotConfig,
    inbox: Inbox<A>,
    lanes: Lanes<A>,
    stop: Sender<Nothing>,
}

/// The lanes for an actor to be started with [`HotMailbox::start`].
#[must_use]
pub fn mailbox<A: HotActor>(config: HotConfig) -> (Lanes<A>, HotMailbox<A>) {
    let (stop, stopped) = bounded(1);
    let (urgent, urgent_inbox) = Lane::bounded(config.urgent_max);
    let (messages, messages_inbox) = Lane::bounded(config.messages_max);
    let (queries, queries_inbox) = Lane::bounded(config.queries_max);
    let lanes = Lanes { urgent, messages, queries };
    let inbox = Inbox { stop: stopped, urgent: urgent_inbox, messages: messages_inbox, queries: queries_inbox };
    (lanes.clone(), HotMailbox { config, inbox, lanes, stop })
}

impl<A: HotActor> HotMailbox<A> {
    /// Starts `actor` on a new thread and returns once the thread is pinned as configured.
    ///
    /// If the actor panics, its lanes are closed first and `on_death` is called
    /// then, on the dying thread, once.
    ///
    /// # Errors
    /// [`SpawnError`] when there is no thread or the core cannot be used.
    pub fn start(
        self,
        actor: A,
        clock: Arc<dyn Clock>,
        on_death: impl FnOnce(Death) + Send + 'static,
    ) -> Result<HotHandle<A>, SpawnError> {
        let Self { config, inbox, lanes, stop } = self;
        let (pinned_sender, pinned) = bounded(1);
        let (exit_sender, exit) = bounded(1);
        let thread = std::thread::Builder::new()
            .name(A::NAME.to_owned())
            .spawn(move || {
                let ready = config.core.is_none_or(pin_this_thread);
                let _ = pinned_sender.send(ready);
                if ready {
                    let _ = exit_sender.send(live(actor, inbox, config, clock.as_ref(), on_death));
                }
            })
            .map_err(|cause| SpawnError::Thread { actor: A::NAME, cause })?;
        match (pinned.recv(), config.core) {
            (Ok(false), Some(core)) => Err(SpawnError::Core { actor: A::NAME, core }),
            _ => Ok(HotHandle { stop: Some(stop), lanes, exit, thread: Some(thread) }),
        }
    }
}

fn pin_this_thread(core: usize) -> bool {
    let known = core_affinity::get_core_ids().unwrap_or_default();
    known.into_iter().find(|known| known.id == core).is_some_and(core_affinity::set_for_current)
}

/// The owner's hold on a running hot actor. Dropping it asks the actor to stop
/// without waiting for it.
pub struct HotHandle<A: HotActor> {
    // The first field: dropped before the lanes, so that the end is always seen as a stop.
    stop: Option<Sender<Nothing>>,
    lanes: Lanes<A>,
    exit: Receiver<HotExit>,
    thread: Option<JoinHandle<()>>,
}

impl<A: HotActor> HotHandle<A> {
    /// The actor's lanes.
    #[must_use]
    pub const fn lanes(&self) -> &Lanes<A> {
        &self.lanes
    }

    /// True until the thread has ended.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Asks for the end: the actor drains its urgent lane, then `stopped` is called.
    pub fn stop(&mut self) {
        self.stop = None;
    }

    /// Asks for the end and waits for it at most `patience`; `None`: still running.
    pub fn stop_and_wait(&mut self, patience: Duration) -> Option<HotExit> {
        self.stop();
        match self.exit.recv_timeout(patience) {
            Ok(exit) => {
                if let Some(thread) = self.thread.take() {
                    // Its result is in `exit` already; a panic was caught inside.
                    let _ = thread.join();
                }
                Some(exit)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// The whole life of the actor, panic included.
fn live<A: HotActor>(
    actor: A,
    inbox: Inbox<A>,
    config: HotConfig,
    clock: &dyn Clock,
    on_death: impl FnOnce(Death),
) -> HotExit {
    panic_place::note();
    let mut keep = Keep::new(actor, config, clock);
    let run = catch_unwind(AssertUnwindSafe(|| keep.run(&inbox)));
    let left_behind = inbox.messages.len() + inbox.queries.len();
    // The lanes close before anybody is told, so that nothing is accepted by a dead actor.
    drop(inbox);
    let exit = match run {
        Ok(()) => HotExit::Stopped { left_behind },
        Err(_) => {
            let death = Death { actor: A::NAME, cause: panic_place::told() };
            on_death(death.clone());
            HotExit::Died(death)
        }
    };
    // A dead actor's state may be broken: what its own drop does must not hide the exit.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(keep)));
    exit
}

/// The actor with what its loop remembers.
struct Keep<'clock, A> {
    actor: A,
    config: HotConfig,
    clock: &'clock dyn Clock,
    last_tick: MonoNanos,
    /// Messages since `idle` was called last.
    unpublished: u32,
    /// Something has happened since `idle` was called last.
    restless: bool,
}

impl<'clock, A: HotActor> Keep<'clock, A> {
    fn new(actor: A, config: HotConfig, clock: &'clock dyn Clock) -> Self {
        Self { actor, config, clock, last_tick: clock.mono(), unpublished: 0, restless: true }
    }

    fn run(&mut self, inbox: &Inbox<A>) {
        self.actor.started(self.clock.mono());
        // Made once: its list is the only allocation of the loop.
        let mut arrivals = Select::new_biased();
        arrivals.recv(&inbox.stop);
        arrivals.recv(&inbox.urgent);
        arrivals.recv(&inbox.messages);
        arrivals.recv(&inbox.queries);
        while !stop_asked(inbox) {
            if !self.take_one(inbox) {
                self.rest();
                self.wait(inbox, &mut arrivals);
            }
        }
        self.end(inbox);
    }

    /// Handles the first message in the order of the lanes; false if there is none.
    fn take_one(&mut self, inbox: &Inbox<A>) -> bool {
        let now;
        if let Ok(message) = inbox.urgent.try_recv() {
            now = self.clock.mono();
            self.actor.urgent(message, now);
        } else if let Ok(message) = inbox.messages.try_recv() {
            now = self.clock.mono();
            self.actor.handle(message, now);
        } else if let Ok(query) = inbox.queries.try_recv() {
            now = self.clock.mono();
            self.actor.query(query, now);
        } else {
            return false;
        }
        fail_point::step(A::NAME);
        self.restless = true;
        self.unpublished += 1;
        if self.unpublished >= IDLE_EVERY {
            self.unpublished = 0;
            self.actor.idle(now);
        }
        if now.since(self.last_tick) >= self.config.tick_every {
            self.tick(now);
        }
        true
    }

    fn tick(&mut self, now: MonoNanos) {
        self.last_tick = now;
        self.restless = true;
        self.actor.tick(now);
    }

    /// The lanes have just run empty.
    fn rest(&mut self) {
        if self.restless {
            self.restless = false;
            self.unpublished = 0;
            self.actor.idle(self.clock.mono());
        }
    }

    /// Returns when a lane may hold something, a tick was made, or the end was asked for.
    fn wait(&mut self, inbox: &Inbox<A>, arrivals: &mut Select<'_>) {
        match self.config.wait {
            WaitPolicy::Spin => {
                if !something_waits(inbox) {
                    std::hint::spin_loop();
                    let now = self.clock.mono();
                    if now.since(self.last_tick) >= self.config.tick_every {
                        self.tick(now);
                    }
                }
            }
            WaitPolicy::SpinThenPark => {
                for _ in 0..WaitPolicy::SPINS {
                    if something_waits(inbox) {
                        return;
                    }
                    std::hint::spin_loop();
                }
                self.park(arrivals);
            }
            WaitPolicy::Block => self.park(arrivals),
        }
    }

    fn park(&mut self, arrivals: &mut Select<'_>) {
        let passed = self.clock.mono().since(self.last_tick);
        let until_tick = self.config.tick_every.saturating_sub(passed);
        // Ready says only that a lane is worth a look; the order of lanes is kept by `take_one`.
        if arrivals.ready_timeout(until_tick).is_err() {
            self.tick(self.clock.mono());
        }
    }

    /// What was urgent is still handled, at most one full lane of it.
    fn end(&mut self, inbox: &Inbox<A>) {
        for _ in 0..self.config.urgent_max.max(1) {
            let Ok(message) = inbox.urgent.try_recv() else { break };
            self.actor.urgent(message, self.clock.mono());
        }
        let now = self.clock.mono();
        self.actor.idle(now);
        self.actor.stopped(now);
    }
}

fn stop_asked<A: HotActor>(inbox: &Inbox<A>) -> bool {
    matches!(inbox.stop.try_recv(), Err(TryRecvError::Disconnected))
}

fn something_waits<A: HotActor>(inbox: &Inbox<A>) -> bool {
    !inbox.urgent.is_empty() || !inbox.messages.is_empty() || !inbox.queries.is_empty() || stop_asked(inbox)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::UnixNanos;

    struct StandingClock;
    impl Clock for StandingClock {
        fn unix(&self) -> UnixNanos {
            UnixNanos(0)
        }
        fn mono(&self) -> MonoNanos {
            MonoNanos(0)
        }
    }

    /// Stops its own thread after the last message.
    struct Counting {
        left: u32,
        stop: Option<Sender<Nothing>>,
    }
    impl HotActor for Counting {
        type Urgent = [u64; 4];
        type Message = [u64; 4];
        type Query = [u64; 4];
        const NAME: &'static str = "counting";
        fn urgent(&mut self, message: [u64; 4], now: MonoNanos) {
            self.handle(message, now);
        }
        fn handle(&mut self, _message: [u64; 4], _now: MonoNanos) {
            self.left -= 1;
            if self.left == 0 {
                self.stop = None;
            }
        }
        fn query(&mut self, message: [u64; 4], now: MonoNanos) {
            self.handle(message, now);
        }
    }

    /// Allocations of one run of the loop over `messages` messages on each lane.
    fn allocations(messages: u32) -> u64 {
        let config =
            HotConfig { messages_max: 20_000, urgent_max: 20_000, queries_max: 20_000, ..HotConfig::default() };
        let (lanes, room) = mailbox::<Counting>(config);
        let HotMailbox { inbox, stop, .. } = room;
        for number in 0..messages {
            lanes.urgent.try_post([u64::from(number); 4]).unwrap();
            lanes.messages.try_post([u64::from(number); 4]).unwrap();
            lanes.queries.try_post([u64::from(number); 4]).unwrap();
        }
        let mut keep = Keep::new(Counting { left: messages * 3, stop: Some(stop) }, config, &StandingClock);
        let counted = allocation_counter::measure(|| keep.run(&inbox));
        assert_eq!(keep.actor.left, 0, "everything was handled");
        assert!(counted.count_total > 0, "the list of lanes is allocated, so counting works");
        counted.count_total
    }

    #[test]
    fn nothing_is_allocated_per_message() {
        assert_eq!(allocations(10), allocations(10_000));
    }
}
