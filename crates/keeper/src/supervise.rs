//! Starts actors from factories, notices how they end, and decides what follows.

use crate::kept::{End, Kept, KeptActor};
use crate::mailbox::{Counters, Mailbox, MailboxBound, MailboxReading, Phase};
use crate::observer::KeeperObserver;
use crate::restart::{Rebuild, RestartWindow};
use actix::Actor;
use actix_rt::ArbiterHandle;
use domain::Clock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// An actor died and will not be made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Name of the actor.
    pub actor: &'static str,
    /// Where it panicked last; never what the panic said.
    pub cause: String,
    /// New lives it had within the window of its limit.
    pub rebuilt: u32,
}

/// Makes mailboxes and keeps the actors behind them alive. Cloneable.
#[derive(Clone)]
pub struct Keeper {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn KeeperObserver>,
    all: Arc<Mutex<Vec<Arc<Counters>>>>,
}

impl Keeper {
    /// A keeper that tells `observer` what happens.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, observer: Arc<dyn KeeperObserver>) -> Self {
        Self { clock, observer, all: Arc::default() }
    }

    /// A mailbox for an actor to be started later, so that two actors can be given each other's outlets.
    #[must_use]
    pub fn mailbox<A: KeptActor>(&self, actor: &'static str, bound: MailboxBound) -> Mailbox<A> {
        Mailbox::new(self.counters(actor, bound))
    }

    pub(crate) fn counters(&self, actor: &'static str, bound: MailboxBound) -> Arc<Counters> {
        let counters = Counters::new(actor, bound, Arc::clone(&self.observer));
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn observer(&self) -> &dyn KeeperObserver {
        self.observer.as_ref()
    }

    /// The state of every mailbox and worker made here, in the order they were made.
    #[must_use]
    pub fn readings(&self) -> Vec<MailboxReading> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|counters| counters.reading()).collect()
    }

    /// Runs the actor behind `mailbox` on the present Arbiter until it is finished or escalates.
    ///
    /// Each life begins with `factory`, so nothing of a dead life is kept. Messages
    /// that were waiting when it died are lost, counted and told to the observer.
    /// `on_escalate` is called at most once.
    pub fn supervise<A: KeptActor>(
        &self,
        mailbox: &Mailbox<A>,
        factory: impl FnMut() -> A + 'static,
        rebuild: Rebuild,
        on_escalate: impl FnOnce(Escalation) + 'static,
    ) {
        let life = keep_alive(self.clone(), mailbox.clone(), factory, rebuild, on_escalate);
        actix_rt::spawn(life);
    }

    /// As [`Self::supervise`], on the Arbiter behind `arbiter`. False if that Arbiter has ended.
    pub fn supervise_on<A: KeptActor>(
        &self,
        arbiter: &ArbiterHandle,
        mailbox: &Mailbox<A>,
        factory: impl FnMut() -> A + Send + 'static,
        rebuild: Rebuild,
        on_escalate: impl FnOnce(Escalation) + Send + 'static,
    ) -> bool {
        let (keeper, mailbox) = (self.clone(), mailbox.clone());
        arbiter.spawn_fn(move || keeper.supervise(&mailbox, factory, rebuild, on_escalate))
    }
}

async fn keep_alive<A: KeptActor>(
    keeper: Keeper,
    mailbox: Mailbox<A>,
    mut factory: impl FnMut() -> A,
    rebuild: Rebuild,
    on_escalate: impl FnOnce(Escalation),
) {
    let name = mailbox.counters().actor;
    let mut window = RestartWindow::new(rebuild);
    loop {
        let cause = match one_life(&keeper, &mailbox, &mut factory).await {
            End::Stopped => {
                mailbox.ceased(Phase::Ended);
                return;
            }
            End::Died(cause) => cause,
        };
        keeper.observer.actor_died(name, &cause);
        match window.died(keeper.clock.mono()) {
            Some(wait) if !mailbox.counters().is_closed() => {
                mailbox.ceased(Phase::Down);
                tokio::time::sleep(wait).await;
                keeper.observer.actor_rebuilt(name, window.count());
            }
            _ => {
                mailbox.ceased(Phase::Ended);
                on_escalate(Escalation { actor: name, cause, rebuilt: window.count() });
                return;
            }
        }
    }
}

async fn one_life<A: KeptActor>(keeper: &Keeper, mailbox: &Mailbox<A>, factory: &mut impl FnMut() -> A) -> End {
    let Ok(actor) = catch_unwind(AssertUnwindSafe(factory)) else {
        return End::Died("panic in the actor's factory".to_owned());
    };
    let (sender, ended) = oneshot::channel();
    mailbox.began(Kept::new(actor, sender).start());
    keeper.observer.actor_up(mailbox.counters().actor, true);
    // The guard inside the actor always sends; a lost sender is the end of the system.
    let end = ended.await.unwrap_or(End::Stopped);
    keeper.observer.actor_up(mailbox.counters().actor, false);
    end
}
