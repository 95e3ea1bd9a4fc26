//! The order signer: custody of the keys, and signatures for typed intents alone.
//!
//! In: [`messages::SignIntent`], the measured clock offset, the key's duty. Out: [`signing::SignedRequest`],
//! the exact bytes to send, or [`messages::SignRefusal`].
//!
//! Invariants:
//! - Nothing that withdraws, transfers or manages keys can be asked for, and no such path can be signed.
//! - No order is signed outside the key's duty, on a venue time that is not accepted, or under a client
//!   order id that is not of this run.
//! - The epoch of a run is on disk before its first signature ([`EpochStore`]).
//! - The secret exists only in the vault and as MAC state in locked memory; nothing here prints it.
//! - A signature allocates nothing.

mod bitget_rules;
mod bounds;
mod codes;
mod custody;
mod desk;
mod epoch;
mod guard;
mod inline;
mod key_store;
mod offset;
mod paths;
mod policy;
#[cfg(target_os = "linux")]
pub mod process;
mod record;
mod refusals;
mod rotation;
mod sealing;
mod seats;
mod self_check;

pub use bounds::{BoundKey, Bounds, SignatureRecords};
pub use codes::{check_code, code_record, save_codes};
pub use custody::{Custody, CustodyError, NewKey, allowed_transition, duty_at_start};
pub use desk::{CustodyDesk, DeskPlace};
pub use epoch::{EpochError, EpochStore};
pub use guard::{IdDoubt, IdGuard, Identity};
pub use inline::{CancelOnlySigner, InlineSigner, LoadedKey, SignerHandle, SignerTally, duty_allows};
pub use key_store::{KeyStore, LocalStore};
pub use offset::{AcceptedOffset, OffsetDoubt};
pub use policy::{PolicyMove, PolicySet};
pub use record::{KeyRecord, KeySecrets, KeyStep, RecordError, WaitingPolicy};
pub use refusals::Refusals;
pub use rotation::{CutOver, signing_key};
pub use sealing::{Origin, SealError, SealedKey, SealingKey, SealingPublic, seal};
pub use seats::Seats;
pub use self_check::VenueRules;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod custody_tests;
#[cfg(test)]
mod inline_tests;
#[cfg(test)]
mod rotation_tests;
