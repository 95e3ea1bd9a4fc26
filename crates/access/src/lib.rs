//! Who may do what over the control interface: API keys with scopes, and the one-time codes that confirm a step.
//!
//! In: presented credentials, source addresses and the time as seconds since 1970. Out: a [`Grant`] or the reason why
//! not; a checked one-time code or a [`StepUpRefusal`].
//!
//! Invariants:
//! - of an API key's secret only its SHA-256 is kept; the secret is shown once, when it is made;
//! - an unknown key and a wrong secret take the same way through the code and give the same answer;
//! - a one-time code is accepted once, also after a restart: the accepted step is part of the record;
//! - the seed of the codes lives in [`secrets::SecretBytes`] and has no `Debug`, `Display` or `Serialize`;
//! - what is saved replaces the old file whole, with mode 0600, or leaves it as it was.

mod file;
mod keys;
mod scope;
mod step_up;
mod totp;

pub use file::FileError;
pub use ipnet::IpNet;
pub use keys::{AccessError, ApiKey, ApiKeys, Grant, KeyRefusal, NewApiKey};
pub use scope::{Role, Scope, Scopes};
pub use step_up::{NotEnrolled, StepUp, StepUpRefusal};
pub use totp::{Enrolled, RecordFault, RecoveryCodes, TotpRecord, qr};
