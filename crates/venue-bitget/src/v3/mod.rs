//! The unified account: API v3, one set of paths for all products, told apart by `category`.

mod private;
mod rest;
mod rows;
mod sign;

use crate::Environment;

/// The codec of one unified account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unified {
    /// Where the account lives.
    pub(crate) environment: Environment,
}
