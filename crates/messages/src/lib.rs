//! Every message between actors, as plain data, and the words that several layers share.
//!
//! Invariants: a message is a fact and is never changed after it was made; none holds a secret,
//! a socket or a lock; every list in a message has a bound.

mod events;
mod intents;
mod keys;
mod market;
mod reasons;
mod reports;
mod sign;

pub use events::*;
pub use intents::*;
pub use keys::*;
pub use market::*;
pub use reasons::*;
pub use reports::*;
pub use sign::*;
