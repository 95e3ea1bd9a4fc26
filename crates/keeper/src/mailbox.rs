//! Bounded posting to an actor: one depth counter per actor, one policy per message kind.

use crate::kept::{Finish, Handle, Kept, KeptActor, Mail};
use crate::observer::KeeperObserver;
use actix::Addr;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::{Notify, watch};

/// Why a message was not accepted; it comes back to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError<T> {
    /// The mailbox holds its bound. The caller tells whoever asked.
    #[error("the mailbox is full")]
    Full(T),
    /// A message that must never be dropped found no room even in the reserve. The caller halts.
    #[error("the mailbox has no room for a message that must not be lost")]
    Overflow(T),
    /// The actor is not running now: not started yet, dead, or waiting to be rebuilt.
    #[error("the actor is not running")]
    Down(T),
    /// The mailbox was closed for shutdown.
    #[error("the mailbox is closed")]
    Closed(T),
}

impl<T> PostError<T> {
    /// The message that was not accepted.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Overflow(message) | Self::Down(message) | Self::Closed(message) => message,
        }
    }
}

/// What happens to a kind of message when its actor is behind.
pub enum Policy<T> {
    /// At the bound the caller gets the message back: orders, requests.
    Refuse,
    /// May use the reserve above the bound; without room even there, the caller
    /// gets the message back as [`PostError::Overflow`] and must escalate: fills, reports.
    Never,
    /// Only the newest message per key waits; each older one it replaces is counted: market data.
    Conflate {
        /// Which messages replace one another.
        key: fn(&T) -> u64,
        /// Most keys that may wait at once; a message under one more key is refused.
        keys_max: usize,
    },
}

/// Room of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxBound {
    /// Messages of all kinds that may wait.
    pub messages_max: usize,
    /// Further room for kinds under [`Policy::Never`] alone.
    pub reserve: usize,
}

impl Default for MailboxBound {
    fn default() -> Self {
        Self { messages_max: 1_024, reserve: 1_024 }
    }
}

/// The state of one mailbox, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxReading {
    /// Name of the actor.
    pub actor: &'static str,
    /// Messages waiting or being handled.
    pub depth: usize,
    /// Most messages that may wait, reserve excluded.
    pub messages_max: usize,
    /// Posts refused since the start, for any reason.
    pub refused_total: u64,
    /// Messages replaced by a newer one since the start.
    pub conflated_total: u64,
    /// Messages accepted but never handled, because the actor ended.
    pub lost_total: u64,
}

/// What an actor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not running now; it may be started or rebuilt.
    Down,
    /// Takes messages.
    Up,
    /// Will not run again.
    Ended,
}

/// What all clones of one mailbox count together.
pub(crate) struct Counters {
    pub(crate) actor: &'static str,
    bound: MailboxBound,
    depth: AtomicUsize,
    refused: AtomicU64,
    conflated: AtomicU64,
    lost: AtomicU64,
    closed: AtomicBool,
    emptied: Notify,
    observer: Arc<dyn KeeperObserver>,
}

impl Counters {
    pub(crate) fn new(actor: &'static str, bound: MailboxBound, observer: Arc<dyn KeeperObserver>) -> Arc<Self> {
        Arc::new(Self {
            actor,
            bound,
            depth: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            conflated: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            emptied: Notify::new(),
            observer,
        })
    }

    pub(crate) fn reading(&self) -> MailboxReading {
        MailboxReading {
            actor: self.actor,
            depth: self.depth.load(Ordering::SeqCst),
            messages_max: self.bound.messages_max,
            refused_total: self.refused.load(Ordering::Relaxed),
            conflated_total: self.conflated.load(Ordering::Relaxed),
            lost_total: self.lost.load(Ordering::Relaxed),
        }
    }

    /// A place in the mailbox if fewer than `max` are taken.
    pub(crate) fn enter(self: &Arc<Self>, max: usize) -> Option<Receipt> {
        self.depth
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |depth| (depth < max).then_some(depth + 1))
            .ok()
            .map(|_| Receipt { counters: Arc::clone(self) })
    }

    pub(crate) const fn bound(&self) -> MailboxBound {
        self.bound
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Completes when no message waits or is being handled.
    pub(crate) async fn drained(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Registered before the look, so that an emptying in between is not missed.
            emptied.as_mut().enable();
            if self.depth.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One taken place; given back when dropped, whatever happened to the message.
pub(crate) struct Receipt {
    counters: Arc<Counters>,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Receipt").field(&self.counters.actor).finish()
    }
}

impl Receipt {
    /// The message was accepted but nobody handled it.
    pub(crate) fn lost(&self, kind: &'static str) {
        self.counters.lost.fetch_add(1, Ordering::Relaxed);
        self.counters.observer.message_lost(self.counters.actor, kind);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.counters.depth.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.counters.emptied.notify_waiters();
        }
    }
}

/// The waiting messages of a conflating outlet: one per key, oldest key first.
pub(crate) struct Store<T> {
    waiting: Mutex<Waiting<T>>,
}

struct Waiting<T> {
    newest: HashMap<u64, T>,
    order: VecDeque<u64>,
}

impl<T> fmt::Debug for Store<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Store")
    }
}

impl<T> Store<T> {
    fn new(keys_max: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                newest: HashMap::with_capacity(keys_max),
                order: VecDeque::with_capacity(keys_max),
            }),
        }
    }

    /// The newest message under the key that has waited longest.
    pub(crate) fn take_oldest(&self) -> Option<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = waiting.order.pop_front()?;
        waiting.newest.remove(&key)
    }

    /// Takes back what was put under `key` a moment ago; no token is on its way for it.
    fn take(&self, key: u64) -> Option<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.order.retain(|waiting| *waiting != key);
        waiting.newest.remove(&key)
    }

    /// Puts `message` in; `place` is asked for a place in the mailbox only if nothing is replaced.
    fn put(&self, key: u64, message: T, keys_max: usize, place: impl FnOnce() -> Option<Receipt>) -> Put<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = waiting.newest.get_mut(&key) {
            *older = message;
            return Put::Replaced;
        }
        if waiting.order.len() >= keys_max {
            return Put::NoRoom(message);
        }
        let Some(receipt) = place() else { return Put::NoRoom(message) };
        waiting.newest.insert(key, message);
        waiting.order.push_back(key);
        Put::New(receipt)
    }
}

enum Put<T> {
    New(Receipt),
    Replaced,
    NoRoom(T),
}

/// The address of a kept actor that outlives the actor's single lives.
pub struct Mailbox<A: KeptActor> {
    counters: Arc<Counters>,
    address: Arc<RwLock<Option<Addr<Kept<A>>>>>,
    phase: Arc<watch::Sender<Phase>>,
}

impl<A: KeptActor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self {
            counters: Arc::clone(&self.counters),
            address: Arc::clone(&self.address),
            phase: Arc::clone(&self.phase),
        }
    }
}

impl<A: KeptActor> fmt::Debug for Mailbox<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mailbox").field("reading", &self.counters.reading()).finish()
    }
}

impl<A: KeptActor> Mailbox<A> {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, address: Arc::default(), phase: Arc::new(watch::Sender::new(Phase::Down)) }
    }

    /// The state of this mailbox.
    #[must_use]
    pub fn reading(&self) -> MailboxReading {
        self.counters.reading()
    }

    /// What the actor is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Posts under [`Policy::Refuse`].
    ///
    /// # Errors
    /// [`PostError`] with the message.
    pub fn post<T: Send + 'static>(&self, message: T) -> Result<(), PostError<T>>
    where
        A: Handle<T>,
    {
        self.post_whole(message, self.counters.bound.messages_max)
    }

    /// The way to post one kind of message to this actor without knowing the actor.
    #[must_use]
    pub fn outlet<T: Send + 'static>(&self, policy: Policy<T>) -> Outlet<T>
    where
        A: Handle<T>,
    {
        let mailbox = self.clone();
        let bound = self.counters.bound;
        match policy {
            Policy::Refuse => Outlet::from_fn(move |message| mailbox.post_whole(message, bound.messages_max)),
            Policy::Never => Outlet::from_fn(move |message| mailbox.post_never_lost(message)),
            Policy::Conflate { key, keys_max } => {
                let store = Arc::new(Store::new(keys_max));
                Outlet::from_fn(move |message| mailbox.post_newest(&store, key(&message), message, keys_max))
            }
        }
    }

    fn post_never_lost<T: Send + 'static>(&self, message: T) -> Result<(), PostError<T>>
    where
        A: Handle<T>,
    {
        let bound = self.counters.bound;
        self.post_whole(message, bound.messages_max.saturating_add(bound.reserve)).map_err(|refusal| {
            self.counters.observer.message_lost(self.counters.actor, std::any::type_name::<T>());
            match refusal {
                PostError::Full(message) => PostError::Overflow(message),
                other => other,
            }
        })
    }

    fn post_whole<T: Send + 'static>(&self, message: T, max: usize) -> Result<(), PostError<T>>
    where
        A: Handle<T>,
    {
        if self.counters.is_closed() {
            self.counters.count_refusal();
            return Err(PostError::Closed(message));
        }
        let Some(receipt) = self.counters.enter(max) else {
            self.counters.count_refusal();
            return Err(PostError::Full(message));
        };
        let mut waiting = Some(message);
        self.with_address(|address| {
            if let Some(message) = waiting.take() {
                send(address, Mail::whole(message, receipt));
            }
        });
        match waiting {
            None => Ok(()),
            Some(message) => {
                self.counters.count_refusal();
                Err(PostError::Down(message))
            }
        }
    }

    fn post_newest<T: Send + 'static>(
        &self,
        store: &Arc<Store<T>>,
        key: u64,
        message: T,
        keys_max: usize,
    ) -> Result<(), PostError<T>>
    where
        A: Handle<T>,
    {
        if self.counters.is_closed() {
            self.counters.count_refusal();
            return Err(PostError::Closed(message));
        }
        let place = || self.counters.enter(self.counters.bound.messages_max);
        match store.put(key, message, keys_max, place) {
            Put::Replaced => {
                self.counters.conflated.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Put::NoRoom(message) => {
                self.counters.count_refusal();
                Err(PostError::Full(message))
            }
            Put::New(receipt) => {
                if self.with_address(|address| send(address, Mail::newest(Arc::clone(store), receipt))) {
                    return Ok(());
                }
                self.counters.count_refusal();
                // Nothing there means that the end of the actor has already counted it as lost.
                store.take(key).map_or(Ok(()), |message| Err(PostError::Down(message)))
            }
        }
    }

    /// Runs `step` with the actor's present address; false if it is not running.
    fn with_address(&self, step: impl FnOnce(&Addr<Kept<A>>)) -> bool {
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        let Some(address) = address.as_ref().filter(|address| address.connected()) else { return false };
        step(address);
        true
    }

    /// Accepts nothing further; what waits is still handled.
    pub fn close(&self) {
        self.counters.close();
    }

    /// Completes when nothing waits or is being handled. Close first, or it may never.
    pub async fn drained(&self) {
        self.counters.drained().await;
    }

    /// Completes when the actor has ended for good.
    pub async fn ended(&self) {
        let mut phase = self.phase.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = phase.wait_for(|phase| *phase == Phase::Ended).await;
    }

    /// Closes the mailbox, lets the actor handle what waits, ends it.
    pub async fn finish(&self) {
        self.close();
        self.with_address(ask_to_finish);
        self.ended().await;
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(crate) fn began(&self, address: Addr<Kept<A>>) {
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = Some(address);
        self.phase.send_replace(Phase::Up);
        if self.counters.is_closed() {
            // `finish` came while there was no address to ask.
            self.with_address(ask_to_finish);
        }
    }

    pub(crate) fn ceased(&self, phase: Phase) {
        if phase == Phase::Ended {
            self.counters.close();
        }
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.phase.send_replace(phase);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where mail is sent: its place in the mailbox is taken")]
fn send<A: Handle<T>, T: Send + 'static>(address: &Addr<Kept<A>>, mail: Mail<T>) {
    address.do_send(mail);
}

#[expect(
    clippy::disallowed_methods,
    reason = "at most one per life of an actor, and it must get through a full mailbox"
)]
fn ask_to_finish<A: KeptActor>(address: &Addr<Kept<A>>) {
    address.do_send(Finish);
}

type Post<T> = dyn Fn(T) -> Result<(), PostError<T>> + Send + Sync;

/// Posts one kind of message somewhere, without knowing who handles it. Cloneable.
pub struct Outlet<T> {
    post: Arc<Post<T>>,
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self { post: Arc::clone(&self.post) }
    }
}

impl<T> fmt::Debug for Outlet<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Outlet<{}>", std::any::type_name::<T>())
    }
}

impl<T> Outlet<T> {
    /// An outlet that leads to `post`: a hot thread's lane, several actors, a test's list.
    pub fn from_fn(post: impl Fn(T) -> Result<(), PostError<T>> + Send + Sync + 'static) -> Self {
        Self { post: Arc::new(post) }
    }

    /// Posts under the policy this outlet was made with. Never waits.
    ///
    /// # Errors
    /// [`PostError`] with the message; what it means is said at [`Policy`].
    pub fn post(&self, message: T) -> Result<(), PostError<T>> {
        (self.post)(message)
    }
}
