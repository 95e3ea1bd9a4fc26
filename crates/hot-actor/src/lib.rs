//! An actor on its own thread, for work that must never wait behind other work.
//!
//! Messages come in on three bounded lanes, drained strictly in the order
//! urgent, messages, queries; the urgent lane is looked at again before every
//! single message. Beside the actor live the two other pieces that its thread
//! may touch: [`slot`], one overwritten value that any thread can read without
//! making the writer wait, and [`outbox`], a pre-allocated queue with one wake.
//!
//! Invariants: no queue grows; nothing is allocated, locked or logged per
//! message; a panic ends the actor for good and is told to the owner; a reader
//! of a slot gets one whole value or [`BookBusy`], never a mixture.

mod actor;
mod lane;
mod outbox;
mod slot;
mod thread;

pub use actor::{HotActor, HotConfig, WaitPolicy};
pub use lane::{Lane, PostError};
pub use outbox::{OutboxMeter, OutboxReceiver, OutboxSender, Wake, outbox};
pub use slot::{BookBusy, SlotReader, SlotWords, SlotWriter, slot};
pub use thread::{Death, HotExit, HotHandle, HotMailbox, Lanes, SpawnError, mailbox};
