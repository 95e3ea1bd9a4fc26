//! The classic account: API v2, with paths of their own for spot and futures.

mod private;
mod rest;
mod rows;
mod sign;

use crate::Environment;

/// The codec of one classic account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Classic {
    /// Where the account lives.
    pub(crate) environment: Environment,
}
