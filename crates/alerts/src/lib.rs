//! Messages to people: what happened, and what to do next, posted to a webhook.
//!
//! In: an [`Alert`] from any thread, which never waits. Out: one JSON document per message and channel.
//!
//! Invariants:
//! - the caller is never delayed: a full queue drops the message and counts it;
//! - the same event about the same subject is sent once in ten minutes and counted in between; a quarter of a
//!   channel's rate is kept for critical messages;
//! - the address of a webhook is a secret: it reaches no log, error or `Debug`;
//! - no redirect is followed, and plain text goes to literal loopback addresses only.

mod actor;
mod address;
mod core;
mod event;
mod message;

pub use actor::{Alerts, Channel, StartError, start};
pub use address::{WebhookUrl, WebhookUrlError};
pub use event::{Alert, Event, Severity};
pub use message::{Message, Origin};
