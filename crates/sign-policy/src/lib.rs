//! What may be signed: the policy of a key, the budgets that it grants, and the guard against signing twice.
//!
//! The signer asks [`PolicyGate`] whether an intent is within the policy, [`IdGuard`] whether its client order id is
//! free, and writes a [`GuardRecord`] to the [`GuardLog`] before it releases the signature. Times are handed in.
//!
//! Invariants:
//! - Signed notional and base per side never exceed the policy in any minute, hour or day, restarts included.
//! - No new order is signed under an id of another run, or under one that was used for another content.
//! - A signature that was released has a record, whatever killed the process.
//! - When a budget or a record cannot be written, orders are refused and cancels are not.
#![forbid(unsafe_code)]

mod amount;
mod budget;
mod budget_file;
mod change;
mod codec;
mod derive;
mod disk;
mod document;
mod gate;
mod guard_log;
mod guard_reader;
mod guard_record;
mod guard_sync;
mod id_guard;
mod refusal;
mod window;

pub use budget::{BudgetStore, Reservation, SavedBudgets, SavedUse};
pub use budget_file::{BudgetError, BudgetFile};
pub use change::{Direction, PolicyChange};
pub use derive::{DeriveFacts, FuturesFacts};
pub use disk::{Disk, DiskFile, RealDisk};
pub use document::{
    FuturesPolicy, InstrumentPolicy, PolicyDocument, PolicyError, RateLimit, ReduceLimits, RoleVerbs, SideLimits,
    Turnover,
};
pub use gate::PolicyGate;
pub use guard_log::{GuardError, GuardLog, Opening, Retention, SyncMode};
pub use guard_reader::{GuardDamage, GuardReader, SealedSegment};
pub use guard_record::{GuardRecord, economic_digest};
pub use id_guard::{IdDoubt, IdGuard, Identity, Standing};
pub use refusal::{PolicyRefusal, PolicyTally};
pub use window::Window;

#[cfg(test)]
mod tests;
