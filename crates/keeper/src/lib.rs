//! actix made safe: bounded posting, supervision from a factory, ordered shutdown.
//!
//! An actor implements [`KeptActor`] and one [`Handle`] per message; the keeper
//! wraps it as [`Kept`], the only thing that is an actix actor here, and wraps
//! each message as [`Mail`], the only `actix::Message`. Others reach the actor
//! through an [`Outlet`] of one message kind with one [`Policy`]; they never
//! learn which actor is behind it.
//!
//! Invariants: no mailbox exceeds its bound; a message that was accepted and
//! then not handled is counted and told; a dead actor refuses posts; an actor
//! that may not be rebuilt never is; handlers are synchronous, so no state
//! changes under one.

mod kept;
mod mailbox;
mod observer;
mod restart;
mod shutdown;
mod supervise;
mod worker;

pub use kept::{Ctx, Handle, Kept, KeptActor, Mail, hold};
pub use mailbox::{Mailbox, MailboxBound, MailboxReading, Outlet, Phase, Policy, PostError};
pub use observer::{KeeperObserver, Silent};
pub use restart::{Rebuild, RestartLimit, RestartWindow};
pub use shutdown::{Shutdown, StageOutcome, StageReport};
pub use supervise::{Escalation, Keeper};
pub use worker::{Worker, WorkerJob};
