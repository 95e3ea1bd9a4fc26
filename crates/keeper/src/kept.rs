//! The one actix actor and the one actix message; all others are wrapped in them.

use crate::mailbox::{Receipt, Store};
use actix::{ActorContext, ActorFutureExt, AsyncContext, Context};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// An actor of this program.
pub trait KeptActor: Sized + Unpin + 'static {
    /// Runs first in every life of the actor: start timers here.
    fn started(&mut self, _ctx: &mut Ctx<Self>) {}
    /// Runs last at an orderly end; not after a panic.
    fn stopped(&mut self) {}
}

/// Handles one kind of message.
///
/// Synchronous on purpose: two handlers of one actor can never overlap. Longer
/// work is spawned on `ctx` and answers by message, or runs in a [`crate::Worker`].
pub trait Handle<T>: KeptActor {
    /// Handles one message. Must not wait.
    fn handle(&mut self, message: T, ctx: &mut Ctx<Self>);
}

/// What a handler may do with its own actor: timers, spawning, stopping.
pub type Ctx<A> = Context<Kept<A>>;

/// Runs `work` while the actor takes no other message, then `then` with its result.
pub fn hold<A: KeptActor, R: 'static>(
    ctx: &mut Ctx<A>,
    work: impl Future<Output = R> + 'static,
    then: impl FnOnce(&mut A, R, &mut Ctx<A>) + 'static,
) {
    let held = actix::fut::wrap_future::<_, Kept<A>>(work);
    ctx.wait(held.map(move |result, kept: &mut Kept<A>, ctx: &mut Ctx<A>| then(&mut kept.actor, result, ctx)));
}

/// A kept actor as actix sees it; gives access to the actor inside, for timers.
#[derive(Debug)]
pub struct Kept<A> {
    actor: A,
    end: EndGuard,
    /// A handler panicked: nothing of the actor may run again.
    panicked: bool,
}

impl<A> Deref for Kept<A> {
    type Target = A;
    fn deref(&self) -> &A {
        &self.actor
    }
}

impl<A> DerefMut for Kept<A> {
    fn deref_mut(&mut self) -> &mut A {
        &mut self.actor
    }
}

impl<A> Kept<A> {
    pub(crate) fn new(actor: A, ended: oneshot::Sender<End>) -> Self {
        Self {
            actor,
            end: EndGuard { sender: Some(ended), end: End::Died("panic outside a handler".to_owned()) },
            panicked: false,
        }
    }

    /// Runs `step`; a panic goes on after its place was noted for the keeper.
    fn noting_panics(&mut self, step: impl FnOnce(&mut A)) {
        panic_place::note();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| step(&mut self.actor))) {
            self.panicked = true;
            self.end.end = End::Died(panic_place::told());
            resume_unwind(payload);
        }
    }
}

/// How one life of an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to stop.
    Stopped,
    /// It panicked: where, never what it said.
    Died(String),
}

/// Tells the keeper about the end when the actor is dropped, however that comes about.
#[derive(Debug)]
struct EndGuard {
    sender: Option<oneshot::Sender<End>>,
    end: End,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            // The keeper itself may be gone when the whole system stops.
            let _ = sender.send(self.end.clone());
        }
    }
}

impl<A: KeptActor> actix::Actor for Kept<A> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.noting_panics(|actor| actor.started(ctx));
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        // actix drops a panicked actor's context through its ordinary end, so
        // this is reached then, too: while unwinding, or with a panic noted.
        if self.panicked || std::thread::panicking() {
            return;
        }
        self.noting_panics(KeptActor::stopped);
        self.end.end = End::Stopped;
    }
}

/// A message on its way; holds its place in the mailbox until it has been handled.
#[derive(Debug)]
pub struct Mail<T> {
    body: Option<Body<T>>,
    receipt: Receipt,
}

#[derive(Debug)]
enum Body<T> {
    /// This very message.
    Whole(T),
    /// The newest value under the key that has waited longest.
    Newest(Arc<Store<T>>),
}

impl<T> Mail<T> {
    pub(crate) const fn whole(message: T, receipt: Receipt) -> Self {
        Self { body: Some(Body::Whole(message)), receipt }
    }

    pub(crate) const fn newest(store: Arc<Store<T>>, receipt: Receipt) -> Self {
        Self { body: Some(Body::Newest(store)), receipt }
    }

    /// Takes the message out; afterwards dropping the mail is no loss.
    pub(crate) fn open(&mut self) -> Option<T> {
        match self.body.take()? {
            Body::Whole(message) => Some(message),
            Body::Newest(store) => store.take_oldest(),
        }
    }
}

impl<T> Drop for Mail<T> {
    fn drop(&mut self) {
        if self.open().is_some() {
            self.receipt.lost(std::any::type_name::<T>());
        }
    }
}

impl<T: 'static> actix::Message for Mail<T> {
    type Result = ();
}

impl<A: Handle<T>, T: 'static> actix::Handler<Mail<T>> for Kept<A> {
    type Result = ();

    fn handle(&mut self, mut mail: Mail<T>, ctx: &mut Self::Context) {
        // Mail that is not opened counts as lost.
        if let Some(message) = if self.panicked { None } else { mail.open() } {
            self.noting_panics(|actor| {
                fail_point::step(std::any::type_name::<A>());
                actor.handle(message, ctx);
            });
        }
    }
}

/// Asks the actor to end, after everything that was posted before.
pub(crate) struct Finish;

impl actix::Message for Finish {
    type Result = ();
}

impl<A: KeptActor> actix::Handler<Finish> for Kept<A> {
    type Result = ();

    fn handle(&mut self, _finish: Finish, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
