//! The duplicate guard, under the name by which this crate uses it; it lives in `sign-policy`.

pub use sign_policy::{IdDoubt, IdGuard, Identity};
