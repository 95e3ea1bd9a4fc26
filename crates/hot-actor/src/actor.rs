//! What an actor on its own thread looks like, and how its thread behaves.

use domain::MonoNanos;
use std::time::Duration;

/// An actor that owns a thread. All methods run on that thread and must not
/// wait for another actor; `now` is read once per message.
pub trait HotActor: Send + 'static {
    /// What is drained before anything else: reports, control, cancels.
    type Urgent: Send + 'static;
    /// The ordinary work.
    type Message: Send + 'static;
    /// What may wait until there is nothing else.
    type Query: Send + 'static;

    /// Name of the thread and of the actor in metrics; the system shows its first 15 bytes.
    const NAME: &'static str;

    /// The thread runs and is pinned; nothing has been received yet.
    fn started(&mut self, _now: MonoNanos) {}
    /// One message of the urgent lane.
    fn urgent(&mut self, message: Self::Urgent, now: MonoNanos);
    /// One ordinary message; the urgent lane was empty just before.
    fn handle(&mut self, message: Self::Message, now: MonoNanos);
    /// One query; both other lanes were empty just before.
    fn query(&mut self, query: Self::Query, now: MonoNanos);
    /// At least every [`HotConfig::tick_every`], busy or idle.
    fn tick(&mut self, _now: MonoNanos) {}
    /// The lanes have just run empty, or 1,024 messages have passed: publish counters here.
    fn idle(&mut self, _now: MonoNanos) {}
    /// The owner asked for the end; the urgent lane has been drained. Not called after a panic.
    fn stopped(&mut self, _now: MonoNanos) {}
}

/// What the thread does while its lanes are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitPolicy {
    /// Sleep until a message arrives: no load, one wake of 25 to 40 us per burst.
    #[default]
    Block,
    /// Look [`WaitPolicy::SPINS`] more times, then sleep.
    SpinThenPark,
    /// Never sleep: takes one core whole.
    Spin,
}

impl WaitPolicy {
    /// Looks at the empty lanes before `SpinThenPark` sleeps: a few hundred microseconds.
    pub const SPINS: u32 = 10_000;
}

/// Bounds and manners of one hot actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotConfig {
    /// Room of the urgent lane, in messages, at least 1.
    pub urgent_max: usize,
    /// Room of the message lane, in messages, at least 1.
    pub messages_max: usize,
    /// Room of the query lane, in messages, at least 1.
    pub queries_max: usize,
    /// What to do while the lanes are empty.
    pub wait: WaitPolicy,
    /// Longest time between two calls of `tick`.
    pub tick_every: Duration,
    /// The core to run on, counted as the system counts them; `None`: any.
    pub core: Option<usize>,
}

impl Default for HotConfig {
    fn default() -> Self {
        Self {
            urgent_max: 4_096,
            messages_max: 1_024,
            queries_max: 256,
            wait: WaitPolicy::Block,
            tick_every: Duration::from_millis(10),
            core: None,
        }
    }
}
