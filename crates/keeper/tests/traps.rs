//! Each trap of actix: first the trap itself, shown in bare actix, then that the keeper closes it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite: a broken expectation fails its test"
)]
#![expect(clippy::disallowed_methods, reason = "the traps are shown with the very calls that are banned")]

mod common;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Supervised, WrapFuture};
use common::{SOON, keeper, on_system};
use keeper::{
    Ctx, Handle, Keeper, KeptActor, Mailbox, MailboxBound, Outlet, Policy, PostError, Rebuild, RestartLimit, Shutdown,
    StageOutcome, Worker, hold,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A bare actix actor that counts and misbehaves when told.
#[derive(Default)]
struct Bare {
    count: usize,
    total: Arc<AtomicUsize>,
}

impl Actor for Bare {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(16);
    }
}

impl Supervised for Bare {}

#[derive(Message)]
#[rtype(result = "usize")]
enum Bared {
    Count,
    Panic,
    Stop,
}

impl Handler<Bared> for Bare {
    type Result = usize;
    fn handle(&mut self, message: Bared, ctx: &mut Self::Context) -> usize {
        match message {
            Bared::Count => self.count += 1,
            Bared::Panic => panic!("asked to panic"),
            Bared::Stop => ctx.stop(),
        }
        self.total.store(self.count, Ordering::SeqCst);
        self.count
    }
}

/// The same under the keeper.
#[derive(Default)]
struct Counting {
    count: usize,
}

impl KeptActor for Counting {}

enum Do {
    Count,
    Panic,
    Ask(oneshot::Sender<usize>),
    /// Adds one with an await between reading and writing, then tells.
    AddSlowly(mpsc::Sender<usize>),
}

impl Handle<Do> for Counting {
    fn handle(&mut self, message: Do, ctx: &mut Ctx<Self>) {
        match message {
            Do::Count => self.count += 1,
            Do::Panic => panic!("asked to panic"),
            Do::Ask(reply) => {
                let _ = reply.send(self.count);
            }
            Do::AddSlowly(told) => {
                let before = self.count;
                hold(ctx, tokio::task::yield_now(), move |actor: &mut Self, (), _ctx| {
                    actor.count = before + 1;
                    told.try_send(actor.count).unwrap();
                });
            }
        }
    }
}

fn small() -> MailboxBound {
    MailboxBound { messages_max: 16, reserve: 4 }
}

fn quick() -> RestartLimit {
    RestartLimit {
        back_off_min: Duration::from_micros(1),
        back_off_max: Duration::from_millis(1),
        ..Default::default()
    }
}

fn supervised(keeper: &Keeper, rebuild: Rebuild) -> (Mailbox<Counting>, oneshot::Receiver<keeper::Escalation>) {
    let mailbox = keeper.mailbox("counting", small());
    let (escalated, escalation) = oneshot::channel();
    keeper.supervise(&mailbox, Counting::default, rebuild, |escalation| escalated.send(escalation).unwrap());
    (mailbox, escalation)
}

/// Posts once the actor runs.
async fn post_when_up(mailbox: &Mailbox<Counting>, message: Do) {
    let mut message = message;
    while let Err(PostError::Down(back)) = mailbox.post(message) {
        message = back;
        tokio::task::yield_now().await;
    }
}

async fn ask(mailbox: &Mailbox<Counting>) -> usize {
    let (reply, answer) = oneshot::channel();
    post_when_up(mailbox, Do::Ask(reply)).await;
    answer.await.expect("the actor answers")
}

#[test]
fn trap_1_bare_supervisor_leaves_a_panicked_actor_dead_and_keeps_old_state_on_stop() {
    on_system(async {
        let address = actix::Supervisor::start(|_| Bare::default());
        assert_eq!(address.send(Bared::Count).await, Ok(1));
        address.send(Bared::Stop).await.unwrap();
        assert_eq!(address.send(Bared::Count).await, Ok(2), "restarted with the old state");
        assert!(address.send(Bared::Panic).await.is_err());
        assert_eq!(address.send(Bared::Count).await, Err(actix::MailboxError::Closed), "dead for good");
    });
}

#[test]
fn trap_1_kept_actor_is_made_anew_with_fresh_state_up_to_its_limit() {
    on_system(async {
        let (keeper, heard) = keeper();
        let (mailbox, escalation) = supervised(&keeper, Rebuild::Limited(quick()));
        for life in 0..6 {
            post_when_up(&mailbox, Do::Count).await;
            assert_eq!(ask(&mailbox).await, 1, "life {life} starts from the factory");
            mailbox.post(Do::Panic).map_err(|_| "refused").unwrap();
            while heard.all().iter().filter(|text| text.contains("died")).count() <= life {
                tokio::task::yield_now().await;
            }
        }
        let escalation = escalation.await.unwrap();
        assert_eq!((escalation.actor, escalation.rebuilt), ("counting", 5));
        tells_the_place(&escalation.cause);
        assert!(matches!(mailbox.post(Do::Count), Err(PostError::Closed(_))), "nothing is accepted for the dead");
        mailbox.ended().await;
        let ups = heard.all().iter().filter(|text| *text == "counting up").count();
        let downs = heard.all().iter().filter(|text| *text == "counting down").count();
        assert_eq!((ups, downs), (6, 6));
    });
}

/// A panic is told by its place; what it said could hold a secret.
fn tells_the_place(cause: &str) {
    assert!(cause.starts_with("panic at ") && cause.contains("traps.rs:"), "{cause}");
    assert!(!cause.contains("asked to panic") && !cause.contains("at the start"), "{cause}");
}

#[test]
fn trap_1_actor_in_the_path_of_money_is_never_made_anew() {
    on_system(async {
        let (keeper, heard) = keeper();
        let (mailbox, escalation) = supervised(&keeper, Rebuild::Never);
        post_when_up(&mailbox, Do::Panic).await;
        assert_eq!(escalation.await.unwrap().rebuilt, 0);
        let heard = heard.all();
        assert_eq!(heard[..2], ["counting up", "counting down"]);
        tells_the_place(heard[2].strip_prefix("counting died: ").unwrap());
        assert_eq!(heard.len(), 3);
        assert!(mailbox.post(Do::Count).is_err());
    });
}

#[test]
fn trap_1_actor_that_dies_during_shutdown_is_not_made_anew() {
    on_system(async {
        let (keeper, heard) = keeper();
        let (mailbox, escalation) = supervised(&keeper, Rebuild::Limited(quick()));
        ask(&mailbox).await;
        mailbox.post(Do::Panic).map_err(|_| "refused").unwrap();
        mailbox.finish().await;
        assert_eq!(escalation.await.unwrap().rebuilt, 1, "the life that was due is not begun");
        let heard = heard.all();
        assert_eq!(heard[..2], ["counting up", "counting down"]);
        tells_the_place(heard[2].strip_prefix("counting died: ").unwrap());
        assert_eq!(heard.len(), 3);
    });
}

#[test]
fn trap_1_panic_in_a_timer_or_at_the_start_is_a_death_like_any_other() {
    struct Fragile(Option<Duration>);
    impl KeptActor for Fragile {
        fn started(&mut self, ctx: &mut Ctx<Self>) {
            match self.0 {
                Some(delay) => {
                    ctx.run_later(delay, |_, _| panic!("in a timer"));
                }
                None => panic!("at the start"),
            }
        }
        fn stopped(&mut self) {
            panic!("a dead actor does nothing");
        }
    }
    for delay in [Some(Duration::ZERO), None] {
        on_system(async move {
            let (keeper, _heard) = keeper();
            let mailbox: Mailbox<Fragile> = keeper.mailbox("fragile", small());
            let (escalated, escalation) = oneshot::channel();
            let tell = |escalation| escalated.send(escalation).unwrap();
            keeper.supervise(&mailbox, move || Fragile(delay), Rebuild::Never, tell);
            let cause = escalation.await.unwrap().cause;
            match delay {
                Some(_) => assert_eq!(cause, "panic outside a handler"),
                None => tells_the_place(&cause),
            }
            assert_eq!(mailbox.phase(), keeper::Phase::Ended);
        });
    }
}

#[test]
fn trap_1_messages_behind_the_panic_are_counted_as_lost_and_free_their_places() {
    on_system(async {
        let (keeper, heard) = keeper();
        let (mailbox, escalation) = supervised(&keeper, Rebuild::Never);
        ask(&mailbox).await;
        mailbox.post(Do::Panic).map_err(|_| "refused").unwrap();
        for _ in 0..5 {
            mailbox.post(Do::Count).map_err(|_| "refused").unwrap();
        }
        escalation.await.unwrap();
        mailbox.drained().await;
        assert_eq!(mailbox.reading().lost_total, 5);
        assert_eq!(heard.all().iter().filter(|text| *text == "counting lost").count(), 5);
    });
}

#[test]
fn trap_2_bare_do_send_ignores_the_capacity() {
    on_system(async {
        let total = Arc::new(AtomicUsize::new(0));
        let address = Bare { count: 0, total: Arc::clone(&total) }.start();
        address.send(Bared::Count).await.unwrap();
        for _ in 0..10_000 {
            address.do_send(Bared::Count);
        }
        address.send(Bared::Count).await.unwrap();
        assert_eq!(total.load(Ordering::SeqCst), 10_002, "all of them waited in a mailbox of 16");
    });
}

#[test]
fn trap_2_post_refuses_above_the_bound_and_gives_the_message_back() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let (mailbox, _escalation) = supervised(&keeper, Rebuild::Never);
        ask(&mailbox).await;
        let refused_before = mailbox.reading().refused_total;
        let accepted = (0..10_000).filter(|_| mailbox.post(Do::Count).is_ok()).count();
        assert_eq!(accepted, 16);
        assert!(matches!(mailbox.post(Do::Count), Err(PostError::Full(Do::Count))));
        let reading = mailbox.reading();
        assert_eq!((reading.depth, reading.refused_total - refused_before), (16, 10_000 - 16 + 1));
        mailbox.drained().await;
        assert_eq!(ask(&mailbox).await, 16, "handled ones free their places");
    });
}

#[test]
fn trap_3_bare_try_send_is_bounded_per_sender_only() {
    on_system(async {
        let address = Bare::default().start();
        address.send(Bared::Count).await.unwrap();
        let accepted = (0..1_000).filter(|_| address.clone().try_send(Bared::Count).is_ok()).count();
        assert_eq!(accepted, 1_000, "a fresh clone per message passes a capacity of 16");
    });
}

#[test]
fn trap_3_all_clones_and_outlets_of_a_mailbox_share_one_bound() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let (mailbox, _escalation) = supervised(&keeper, Rebuild::Never);
        ask(&mailbox).await;
        let outlet: Outlet<Do> = mailbox.outlet(Policy::Refuse);
        let through_clones = (0..500).filter(|_| mailbox.clone().post(Do::Count).is_ok()).count();
        let through_outlets = (0..500).filter(|_| outlet.clone().post(Do::Count).is_ok()).count();
        assert_eq!((through_clones, through_outlets), (16, 0));
    });
}

/// Reads, awaits, writes: in bare actix another message comes in between.
#[derive(Message)]
#[rtype(result = "()")]
struct AddSlowly;

impl Handler<AddSlowly> for Bare {
    type Result = actix::ResponseActFuture<Self, ()>;
    fn handle(&mut self, _message: AddSlowly, _ctx: &mut Self::Context) -> Self::Result {
        let before = self.count;
        Box::pin(tokio::task::yield_now().into_actor(self).map(move |(), actor, _ctx| actor.count = before + 1))
    }
}

#[test]
fn trap_4_bare_handler_futures_of_one_actor_overlap_and_lose_updates() {
    on_system(async {
        let address = Bare::default().start();
        let (first, second) = tokio::join!(address.send(AddSlowly), address.send(AddSlowly));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(address.send(Bared::Count).await, Ok(2), "two additions and one count make 2 instead of 3");
    });
}

#[test]
fn trap_4_held_work_lets_no_other_message_in_between() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let (mailbox, _escalation) = supervised(&keeper, Rebuild::Never);
        let (told, mut heard) = mpsc::channel(8);
        ask(&mailbox).await;
        for _ in 0..3 {
            mailbox.post(Do::AddSlowly(told.clone())).map_err(|_| "refused").unwrap();
        }
        let counts = [heard.recv().await, heard.recv().await, heard.recv().await];
        assert_eq!(counts, [Some(1), Some(2), Some(3)]);
    });
}

struct BareBlocking;
impl Actor for BareBlocking {
    type Context = actix::SyncContext<Self>;
}
impl Handler<Bared> for BareBlocking {
    type Result = usize;
    fn handle(&mut self, message: Bared, _ctx: &mut Self::Context) -> usize {
        assert!(!matches!(message, Bared::Panic), "asked to panic");
        1
    }
}

#[test]
fn trap_5_bare_sync_arbiter_does_not_replace_a_dead_thread() {
    on_system(async {
        let address = actix::SyncArbiter::start(1, || BareBlocking);
        assert_eq!(address.send(Bared::Count).await, Ok(1));
        assert!(address.send(Bared::Panic).await.is_err());
        assert!(address.send(Bared::Count).await.is_err(), "every later message fails");
    });
}

#[test]
fn trap_5_worker_blocks_beside_the_arbiter_and_is_made_anew_after_a_panic() {
    on_system(async {
        let (keeper, heard) = keeper();
        let (done, mut finished) = mpsc::channel(8);
        enum Job {
            Panic,
            WaitFor(std::sync::mpsc::Receiver<()>),
        }
        let factory = move || {
            let done = done.clone();
            move |job: Job| match job {
                Job::Panic => panic!("asked to panic"),
                Job::WaitFor(gate) => done.try_send(gate.recv_timeout(SOON).is_ok()).unwrap(),
            }
        };
        let worker =
            Worker::start(&keeper, "files", 4, Rebuild::Limited(quick()), factory, |_| panic!("within its limit"))
                .unwrap();
        worker.post(Job::Panic).map_err(|_| "refused").unwrap();
        let (open, gate) = std::sync::mpsc::sync_channel(1);
        worker.post(Job::WaitFor(gate)).map_err(|_| "refused").unwrap();
        // The worker waits for this very thread, which must therefore not be its own.
        let (mailbox, _escalation) = supervised(&keeper, Rebuild::Never);
        assert_eq!(ask(&mailbox).await, 0, "actors go on while the worker blocks");
        open.send(()).unwrap();
        assert_eq!(finished.recv().await, Some(true));
        worker.finish().await;
        assert!(matches!(worker.post(Job::Panic), Err(PostError::Closed(_))));
        let died = heard.all().into_iter().find_map(|text| text.strip_prefix("files died: ").map(str::to_owned));
        tells_the_place(&died.unwrap());
        assert!(heard.all().contains(&"files rebuilt 1".to_owned()));
    });
}

#[test]
fn trap_5_worker_over_its_limit_escalates_and_refuses() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let (escalated, escalation) = oneshot::channel();
        let factory = || |_job: u8| panic!("asked to panic");
        let worker = Worker::start(&keeper, "files", 4, Rebuild::Never, factory, |escalation| {
            escalated.send(escalation).unwrap()
        })
        .unwrap();
        worker.post(1).unwrap();
        tells_the_place(&escalation.await.unwrap().cause);
        assert!(worker.post(2).is_err());
        worker.finish().await;
    });
}

/// Takes a moment per message, so that a backlog exists.
struct BareSlow(Arc<AtomicUsize>);
impl Actor for BareSlow {
    type Context = Context<Self>;
}
impl Handler<Bared> for BareSlow {
    type Result = usize;
    fn handle(&mut self, message: Bared, ctx: &mut Self::Context) -> usize {
        if matches!(message, Bared::Stop) {
            actix::System::current().stop();
        }
        ctx.wait(tokio::time::sleep(Duration::from_millis(1)).into_actor(self));
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

#[test]
fn trap_6_bare_system_stop_drops_what_waits_in_mailboxes() {
    let handled = Arc::new(AtomicUsize::new(0));
    let system = actix::System::new();
    system.block_on(async {
        let address = BareSlow(Arc::clone(&handled)).start();
        for message in [Bared::Count, Bared::Stop].into_iter().chain((0..1_000).map(|_| Bared::Count)) {
            address.do_send(message);
        }
    });
    system.run().unwrap();
    assert!(handled.load(Ordering::SeqCst) < 1_002, "the backlog was dropped");
}

struct Slow(Arc<AtomicUsize>);
impl KeptActor for Slow {}
impl Handle<u32> for Slow {
    fn handle(&mut self, _message: u32, ctx: &mut Ctx<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        hold(ctx, tokio::task::yield_now(), |_, (), _| {});
    }
}

#[test]
fn trap_6_ordered_shutdown_handles_the_backlog_before_the_system_stops() {
    let handled = Arc::new(AtomicUsize::new(0));
    on_system(async {
        let (keeper, _heard) = keeper();
        let mailbox: Mailbox<Slow> = keeper.mailbox("slow", MailboxBound::default());
        let seen = Arc::clone(&handled);
        keeper.supervise(&mailbox, move || Slow(Arc::clone(&seen)), Rebuild::Never, |_| panic!("nobody died"));
        while mailbox.phase() != keeper::Phase::Up {
            tokio::task::yield_now().await;
        }
        for number in 0..1_000 {
            mailbox.post(number).unwrap();
        }
        let (intents, closing) = (mailbox.clone(), mailbox.clone());
        let reports = Shutdown::new()
            .stage("stop intents", SOON, move || async move { intents.close() })
            .stage("drain", SOON, move || async move { closing.finish().await })
            .run(std::future::pending())
            .await;
        assert!(reports.iter().all(|report| report.outcome == StageOutcome::Done), "{reports:?}");
        assert!(matches!(mailbox.post(1), Err(PostError::Closed(1))));
        assert_eq!(mailbox.reading().lost_total, 0);
        actix::System::current().stop();
    });
    assert_eq!(handled.load(Ordering::SeqCst), 1_000);
}
