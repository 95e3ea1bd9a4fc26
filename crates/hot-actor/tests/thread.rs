//! What the thread of a hot actor promises its senders and its owner.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite: a broken expectation fails its test"
)]

use crossbeam_channel::{Receiver, Sender, bounded};
use domain::{Clock, MonoNanos, UnixNanos};
use hot_actor::{Death, HotActor, HotConfig, HotExit, Lane, PostError, SpawnError, WaitPolicy, mailbox};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest wait for something that must happen.
const SOON: Duration = Duration::from_secs(20);

/// Moves on by a microsecond at each look.
#[derive(Default)]
struct LookClock(AtomicU64);

impl Clock for LookClock {
    fn unix(&self) -> UnixNanos {
        UnixNanos(self.0.load(Ordering::SeqCst))
    }
    fn mono(&self) -> MonoNanos {
        MonoNanos(self.0.fetch_add(1_000, Ordering::SeqCst))
    }
}

fn clock() -> Arc<LookClock> {
    Arc::new(LookClock::default())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    Started,
    Urgent(u32),
    Message(u32),
    Query(u32),
    Tick,
    Idle,
    Stopped,
}

/// Tells everything it sees. Special messages make it misbehave.
struct Witness {
    told: Sender<Saw>,
    own_urgent: Option<Lane<u32>>,
    gate: Option<Receiver<()>>,
}

/// Panics.
const PANIC: u32 = 666;
/// Posts an urgent message to itself.
const URGE: u32 = 777;
/// Waits until the gate opens.
const HOLD: u32 = 888;

impl HotActor for Witness {
    type Urgent = u32;
    type Message = u32;
    type Query = u32;
    const NAME: &'static str = "witness";

    fn started(&mut self, _now: MonoNanos) {
        let _ = self.told.send(Saw::Started);
    }
    fn urgent(&mut self, message: u32, _now: MonoNanos) {
        let _ = self.told.send(Saw::Urgent(message));
    }
    fn handle(&mut self, message: u32, _now: MonoNanos) {
        let _ = self.told.send(Saw::Message(message));
        match message {
            PANIC => panic!("asked to panic"),
            URGE => self.own_urgent.as_ref().unwrap().try_post(1).unwrap(),
            HOLD => self.gate.as_ref().unwrap().recv_timeout(SOON).unwrap(),
            _ => {}
        }
    }
    fn query(&mut self, query: u32, _now: MonoNanos) {
        let _ = self.told.send(Saw::Query(query));
    }
    fn tick(&mut self, _now: MonoNanos) {
        let _ = self.told.try_send(Saw::Tick);
    }
    fn idle(&mut self, _now: MonoNanos) {
        let _ = self.told.try_send(Saw::Idle);
    }
    fn stopped(&mut self, _now: MonoNanos) {
        let _ = self.told.send(Saw::Stopped);
    }
}

fn witness() -> (Witness, Receiver<Saw>) {
    let (told, heard) = bounded(20_000);
    (Witness { told, own_urgent: None, gate: None }, heard)
}

fn no_death(death: Death) {
    panic!("nobody should have died: {death:?}");
}

/// The handled messages up to the first moment without work.
fn until_idle(heard: &Receiver<Saw>) -> Vec<Saw> {
    let mut seen = Vec::new();
    loop {
        match heard.recv_timeout(SOON).expect("the actor runs") {
            Saw::Idle => return seen,
            Saw::Tick | Saw::Started => {}
            other => seen.push(other),
        }
    }
}

#[test]
fn lanes_are_drained_urgent_first_then_messages_then_queries() {
    let (lanes, room) = mailbox::<Witness>(HotConfig::default());
    for number in 0..3 {
        lanes.queries.try_post(number).unwrap();
        lanes.messages.try_post(number).unwrap();
        lanes.urgent.try_post(number).unwrap();
    }
    let (actor, heard) = witness();
    let _handle = room.start(actor, clock(), no_death).unwrap();
    let expected: Vec<Saw> =
        [Saw::Urgent as fn(u32) -> Saw, Saw::Message, Saw::Query].iter().flat_map(|lane| (0..3).map(lane)).collect();
    assert_eq!(until_idle(&heard), expected);
}

#[test]
fn urgent_message_that_arrives_during_a_message_is_handled_before_the_next_one() {
    let (lanes, room) = mailbox::<Witness>(HotConfig::default());
    for message in [URGE, 2, 3] {
        lanes.messages.try_post(message).unwrap();
    }
    let (mut actor, heard) = witness();
    actor.own_urgent = Some(lanes.urgent.clone());
    let _handle = room.start(actor, clock(), no_death).unwrap();
    let expected = [Saw::Message(URGE), Saw::Urgent(1), Saw::Message(2), Saw::Message(3)];
    assert_eq!(until_idle(&heard), expected);
}

#[test]
fn full_lane_gives_the_message_back_and_all_clones_share_the_bound() {
    let (lanes, room) = mailbox::<Witness>(HotConfig { messages_max: 2, ..HotConfig::default() });
    let clone = lanes.messages.clone();
    lanes.messages.try_post(1).unwrap();
    clone.try_post(2).unwrap();
    assert_eq!(clone.clone().try_post(3), Err(PostError::Full(3)));
    assert_eq!((clone.depth(), clone.room(), lanes.messages.refused_total()), (2, 2, 1));
    let (actor, heard) = witness();
    let _handle = room.start(actor, clock(), no_death).unwrap();
    assert_eq!(until_idle(&heard), [Saw::Message(1), Saw::Message(2)]);
    assert_eq!(clone.depth(), 0);
}

#[test]
fn waiting_sender_gets_in_as_soon_as_there_is_room() {
    let (lanes, room) = mailbox::<Witness>(HotConfig { urgent_max: 1, ..HotConfig::default() });
    let urgent = lanes.urgent.clone();
    let sender = std::thread::spawn(move || (0..100).try_for_each(|number| urgent.post_wait(number)));
    let (actor, heard) = witness();
    let _handle = room.start(actor, clock(), no_death).unwrap();
    assert_eq!(sender.join().unwrap(), Ok(()));
    let mut next = 0;
    while next < 100 {
        if let Saw::Urgent(number) = heard.recv_timeout(SOON).unwrap() {
            assert_eq!(number, next, "nothing is lost or reordered by waiting");
            next += 1;
        }
    }
}

#[test]
fn waiting_sender_is_told_when_the_actor_will_never_run() {
    let (lanes, room) = mailbox::<Witness>(HotConfig { urgent_max: 1, ..HotConfig::default() });
    lanes.urgent.try_post(1).unwrap();
    let urgent = lanes.urgent.clone();
    let sender = std::thread::spawn(move || urgent.post_wait(2));
    drop(room);
    assert_eq!(sender.join().unwrap(), Err(PostError::Gone(2)));
    assert_eq!(lanes.messages.try_post(3), Err(PostError::Gone(3)));
}

#[test]
fn panic_ends_the_actor_for_good_closes_its_lanes_and_is_told_once() {
    let (lanes, room) = mailbox::<Witness>(HotConfig::default());
    let (told, deaths) = bounded(2);
    let lane_at_death = lanes.urgent.clone();
    let (actor, _heard) = witness();
    let mut handle = room
        .start(actor, clock(), move |death| {
            told.send((death, lane_at_death.try_post(1))).unwrap();
        })
        .unwrap();
    lanes.messages.try_post(PANIC).unwrap();
    let (death, post_at_death) = deaths.recv_timeout(SOON).unwrap();
    assert_eq!(death.actor, "witness");
    assert!(death.cause.starts_with("panic at ") && death.cause.contains("thread.rs:"), "where: {}", death.cause);
    assert!(!death.cause.contains("asked to panic"), "and never what it said: {}", death.cause);
    assert_eq!(post_at_death, Err(PostError::Gone(1)), "closed before anybody is told");
    assert_eq!(lanes.messages.try_post(2), Err(PostError::Gone(2)));
    assert_eq!(handle.stop_and_wait(SOON), Some(HotExit::Died(death)));
    assert!(!handle.alive());
    assert!(deaths.recv().is_err(), "told once; the callback is gone");
}

#[test]
fn stop_drains_the_urgent_lane_and_counts_what_it_leaves_behind() {
    let (lanes, room) = mailbox::<Witness>(HotConfig::default());
    let (open, gate) = bounded(1);
    let (mut actor, heard) = witness();
    actor.gate = Some(gate);
    lanes.messages.try_post(HOLD).unwrap();
    let mut handle = room.start(actor, clock(), no_death).unwrap();
    while heard.recv_timeout(SOON).unwrap() != Saw::Message(HOLD) {}
    for number in 0..3 {
        lanes.messages.try_post(number).unwrap();
        lanes.queries.try_post(number).unwrap();
    }
    lanes.urgent.try_post(7).unwrap();
    lanes.urgent.try_post(8).unwrap();
    handle.stop();
    open.send(()).unwrap();
    assert_eq!(handle.stop_and_wait(SOON), Some(HotExit::Stopped { left_behind: 6 }));
    let after: Vec<Saw> = heard.try_iter().filter(|saw| !matches!(saw, Saw::Idle | Saw::Tick)).collect();
    assert_eq!(after, [Saw::Urgent(7), Saw::Urgent(8), Saw::Stopped]);
}

#[test]
fn dropping_the_handle_stops_the_actor() {
    let (lanes, room) = mailbox::<Witness>(HotConfig::default());
    let (actor, heard) = witness();
    drop(room.start(actor, clock(), no_death).unwrap());
    let last = heard.iter().last();
    assert_eq!(last, Some(Saw::Stopped), "the thread has ended and dropped its actor");
    assert_eq!(lanes.messages.try_post(1), Err(PostError::Gone(1)));
}

#[test]
fn counters_can_be_published_every_1024_messages_and_when_the_lanes_run_empty() {
    let config = HotConfig { messages_max: 4_096, tick_every: SOON, ..HotConfig::default() };
    let (lanes, room) = mailbox::<Witness>(config);
    for number in 0..2_500 {
        lanes.messages.try_post(number % 500).unwrap();
    }
    let (actor, heard) = witness();
    let _handle = room.start(actor, clock(), no_death).unwrap();
    let batches: Vec<usize> = (0..3).map(|_| until_idle(&heard).len()).collect();
    assert_eq!(batches, [1_024, 1_024, 452]);
}

#[test]
fn ticks_come_while_nothing_else_does_under_every_wait_policy() {
    for wait in [WaitPolicy::Block, WaitPolicy::SpinThenPark, WaitPolicy::Spin] {
        let (_lanes, room) =
            mailbox::<Witness>(HotConfig { wait, tick_every: Duration::from_millis(1), ..HotConfig::default() });
        let (actor, heard) = witness();
        let _handle = room.start(actor, clock(), no_death).unwrap();
        let mut ticks = 0;
        while ticks < 3 {
            if heard.recv_timeout(SOON).unwrap() == Saw::Tick {
                ticks += 1;
            }
        }
    }
}

#[test]
fn ticks_come_while_messages_never_stop() {
    // The clock moves a microsecond per message, so 4,000 messages are about four ticks of a millisecond.
    let config = HotConfig { messages_max: 4_096, tick_every: Duration::from_millis(1), ..HotConfig::default() };
    let (lanes, room) = mailbox::<Witness>(config);
    for _ in 0..4_000 {
        lanes.messages.try_post(1).unwrap();
    }
    let (actor, heard) = witness();
    let _handle = room.start(actor, clock(), no_death).unwrap();
    let (mut messages, mut ticks) = (0, 0);
    while messages < 4_000 {
        match heard.recv_timeout(SOON).unwrap() {
            Saw::Message(_) => messages += 1,
            Saw::Tick => ticks += 1,
            _ => {}
        }
    }
    assert!(ticks >= 3, "{ticks}");
}

#[test]
fn every_message_is_answered_under_every_wait_policy() {
    for wait in [WaitPolicy::Block, WaitPolicy::SpinThenPark, WaitPolicy::Spin] {
        let (lanes, room) = mailbox::<Witness>(HotConfig { wait, tick_every: SOON, ..HotConfig::default() });
        let (actor, heard) = witness();
        let _handle = room.start(actor, clock(), no_death).unwrap();
        for number in 0..200 {
            lanes.queries.try_post(number).unwrap();
            while heard.recv_timeout(SOON).expect("no message is slept through") != Saw::Query(number) {}
        }
    }
}

#[test]
fn core_that_does_not_exist_is_an_error_and_the_lanes_close() {
    let (lanes, room) = mailbox::<Witness>(HotConfig { core: Some(usize::MAX), ..HotConfig::default() });
    let (actor, heard) = witness();
    let refused = room.start(actor, clock(), no_death).map(drop);
    assert!(matches!(refused, Err(SpawnError::Core { actor: "witness", core: usize::MAX })));
    assert!(heard.recv_timeout(SOON).is_err(), "the actor never started");
    assert_eq!(lanes.messages.try_post(1), Err(PostError::Gone(1)));
}

#[test]
fn actor_runs_on_the_core_it_was_given() {
    let Some(core) = core_affinity::get_core_ids().and_then(|cores| cores.last().copied()) else {
        println!("skipped: this machine does not tell its cores");
        return;
    };
    struct WhereAmI(Sender<Vec<usize>>);
    impl HotActor for WhereAmI {
        type Urgent = ();
        type Message = ();
        type Query = ();
        const NAME: &'static str = "where";
        fn started(&mut self, _now: MonoNanos) {
            let cores = core_affinity::get_core_ids().unwrap_or_default();
            let _ = self.0.send(cores.into_iter().map(|core| core.id).collect());
        }
        fn urgent(&mut self, (): (), _now: MonoNanos) {}
        fn handle(&mut self, (): (), _now: MonoNanos) {}
        fn query(&mut self, (): (), _now: MonoNanos) {}
    }
    let (_lanes, room) = mailbox::<WhereAmI>(HotConfig { core: Some(core.id), ..HotConfig::default() });
    let (told, heard) = bounded(1);
    let _handle = room.start(WhereAmI(told), clock(), no_death).unwrap();
    assert_eq!(heard.recv_timeout(SOON).unwrap(), [core.id], "the thread may use this core and no other");
}
