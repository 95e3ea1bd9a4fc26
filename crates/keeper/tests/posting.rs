//! Policies of message kinds, stages of a shutdown, and mailboxes without an actor.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite: a broken expectation fails its test"
)]

mod common;

use common::{SOON, keeper, on_system};
use keeper::{
    Ctx, Handle, KeptActor, Mailbox, MailboxBound, Outlet, Phase, Policy, PostError, Rebuild, Shutdown, StageOutcome,
    StageReport,
};
use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

/// A price of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quote {
    instrument: u64,
    price: u32,
}

/// Something that must never be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fill(u32);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Quote(Quote),
    Fill(Fill),
}

struct Listener(Rc<RefCell<Vec<Seen>>>);
impl KeptActor for Listener {}
impl Handle<Quote> for Listener {
    fn handle(&mut self, quote: Quote, _ctx: &mut Ctx<Self>) {
        self.0.borrow_mut().push(Seen::Quote(quote));
    }
}
impl Handle<Fill> for Listener {
    fn handle(&mut self, fill: Fill, _ctx: &mut Ctx<Self>) {
        self.0.borrow_mut().push(Seen::Fill(fill));
    }
}

fn quote(instrument: u64, price: u32) -> Quote {
    Quote { instrument, price }
}

/// A running listener with room for 4 messages and a reserve of 2.
async fn listener(keeper: &keeper::Keeper) -> (Mailbox<Listener>, Rc<RefCell<Vec<Seen>>>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mailbox = keeper.mailbox("listener", MailboxBound { messages_max: 4, reserve: 2 });
    let shared = Rc::clone(&seen);
    keeper.supervise(&mailbox, move || Listener(Rc::clone(&shared)), Rebuild::Never, |_| panic!("nobody died"));
    while mailbox.phase() != Phase::Up {
        tokio::task::yield_now().await;
    }
    (mailbox, seen)
}

fn quotes(mailbox: &Mailbox<Listener>, keys_max: usize) -> Outlet<Quote> {
    mailbox.outlet(Policy::Conflate { key: |quote: &Quote| quote.instrument, keys_max })
}

#[test]
fn newest_quote_per_instrument_wins_and_the_replaced_ones_are_counted() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let (mailbox, seen) = listener(&keeper).await;
        let outlet = quotes(&mailbox, 3);
        for price in 0..1_000 {
            outlet.post(quote(1, price)).unwrap();
            outlet.post(quote(2, price + 5_000)).unwrap();
        }
        assert_eq!(mailbox.reading().depth, 2, "one place per instrument");
        mailbox.drained().await;
        assert_eq!(*seen.borrow(), [Seen::Quote(quote(1, 999)), Seen::Quote(quote(2, 5_999))]);
        assert_eq!(mailbox.reading().conflated_total, 2 * 999);
        outlet.post(quote(1, 7)).unwrap();
        mailbox.drained().await;
        assert_eq!(seen.borrow().last(), Some(&Seen::Quote(quote(1, 7))), "handled keys wait anew");
    });
}

#[test]
fn conflation_is_bounded_by_keys_and_by_the_mailbox() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let (mailbox, _seen) = listener(&keeper).await;
        let by_keys = quotes(&mailbox, 2);
        by_keys.post(quote(1, 1)).unwrap();
        by_keys.post(quote(2, 1)).unwrap();
        assert_eq!(by_keys.post(quote(3, 1)), Err(PostError::Full(quote(3, 1))));
        let by_mailbox = quotes(&mailbox, 100);
        by_mailbox.post(quote(1, 1)).unwrap();
        by_mailbox.post(quote(2, 1)).unwrap();
        assert_eq!(by_mailbox.post(quote(3, 1)), Err(PostError::Full(quote(3, 1))), "four places are taken");
        by_mailbox.post(quote(2, 9)).unwrap();
        assert_eq!(mailbox.reading().conflated_total, 1, "replacing needs no place");
    });
}

#[test]
fn fills_use_the_reserve_that_others_cannot_and_overflow_is_told() {
    on_system(async {
        let (keeper, heard) = keeper();
        let (mailbox, seen) = listener(&keeper).await;
        let (refused, never) = (mailbox.outlet::<Quote>(Policy::Refuse), mailbox.outlet::<Fill>(Policy::Never));
        let accepted = (0..100).filter(|price| refused.post(quote(1, *price)).is_ok()).count();
        assert_eq!(accepted, 4);
        never.post(Fill(1)).unwrap();
        never.post(Fill(2)).unwrap();
        assert_eq!(never.post(Fill(3)), Err(PostError::Overflow(Fill(3))));
        assert!(heard.all().contains(&"listener lost".to_owned()), "escalated even if the caller forgets to");
        mailbox.drained().await;
        assert_eq!(seen.borrow().len(), 6);
        assert_eq!(*seen.borrow().last().unwrap(), Seen::Fill(Fill(2)), "in the order they were posted");
    });
}

#[test]
fn mailbox_without_a_running_actor_gives_every_message_back() {
    on_system(async {
        let (keeper, _heard) = keeper();
        let mailbox: Mailbox<Listener> = keeper.mailbox("listener", MailboxBound::default());
        assert_eq!(mailbox.post(quote(1, 1)), Err(PostError::Down(quote(1, 1))));
        assert_eq!(mailbox.outlet::<Fill>(Policy::Never).post(Fill(1)), Err(PostError::Down(Fill(1))));
        assert_eq!(quotes(&mailbox, 4).post(quote(1, 2)), Err(PostError::Down(quote(1, 2))));
        let reading = mailbox.reading();
        assert_eq!((reading.depth, reading.refused_total, reading.lost_total), (0, 3, 0));
        assert_eq!(keeper.readings(), [reading]);
    });
}

#[test]
fn finish_asked_before_the_actor_starts_still_ends_it() {
    on_system(async {
        let (keeper, heard) = keeper();
        let mailbox: Mailbox<Listener> = keeper.mailbox("listener", MailboxBound::default());
        keeper.supervise(&mailbox, || Listener(Rc::default()), Rebuild::Never, |_| panic!("nobody died"));
        mailbox.finish().await;
        assert_eq!(mailbox.phase(), Phase::Ended);
        assert_eq!(heard.all(), ["listener up", "listener down"]);
    });
}

#[test]
fn actor_on_another_arbiter_is_reached_through_the_same_outlet() {
    struct Adding(u32, tokio::sync::mpsc::Sender<u32>);
    impl KeptActor for Adding {}
    impl Handle<u32> for Adding {
        fn handle(&mut self, message: u32, _ctx: &mut Ctx<Self>) {
            self.0 += message;
            self.1.try_send(self.0).unwrap();
        }
    }
    on_system(async {
        let (keeper, _heard) = keeper();
        let arbiter = actix_rt::Arbiter::new();
        let mailbox: Mailbox<Adding> = keeper.mailbox("adding", MailboxBound::default());
        let (told, mut sums) = tokio::sync::mpsc::channel(4);
        assert!(keeper.supervise_on(
            &arbiter.handle(),
            &mailbox,
            move || Adding(0, told.clone()),
            Rebuild::Never,
            |_| panic!("nobody died"),
        ));
        let outlet = mailbox.outlet::<u32>(Policy::Refuse);
        for number in [1, 2] {
            while let Err(PostError::Down(_)) = outlet.post(number) {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!((sums.recv().await, sums.recv().await), (Some(1), Some(3)));
        mailbox.finish().await;
        arbiter.stop();
    });
}

#[test]
fn stage_out_of_time_does_not_keep_the_next_from_running() {
    on_system(async {
        let ran = Rc::new(RefCell::new(Vec::new()));
        let (first, last) = (Rc::clone(&ran), Rc::clone(&ran));
        let reports = Shutdown::new()
            .stage("first", SOON, move || async move { first.borrow_mut().push("first") })
            .stage("stuck", Duration::from_millis(1), pending)
            .stage("last", SOON, move || async move { last.borrow_mut().push("last") })
            .run(pending())
            .await;
        assert_eq!(*ran.borrow(), ["first", "last"]);
        let outcomes: Vec<StageOutcome> = reports.iter().map(|report| report.outcome).collect();
        assert_eq!(outcomes, [StageOutcome::Done, StageOutcome::OutOfTime, StageOutcome::Done]);
    });
}

#[test]
fn second_signal_gives_up_the_rest_at_once() {
    on_system(async {
        let (signal, given) = tokio::sync::oneshot::channel::<()>();
        let reports = Shutdown::new()
            .stage("stuck", SOON * 100, move || async move {
                signal.send(()).unwrap();
                pending::<()>().await;
            })
            .stage("never begun", SOON, || async { panic!("must not run") })
            .run(async move { given.await.unwrap() })
            .await;
        assert_eq!(
            reports,
            [
                StageReport { stage: "stuck", outcome: StageOutcome::GivenUp },
                StageReport { stage: "never begun", outcome: StageOutcome::GivenUp },
            ]
        );
    });
}
