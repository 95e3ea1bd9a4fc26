//! The feed against a small venue of its own: every fault, then random sequences of faults, then real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite fails by panicking"
)]

mod core;
mod fake;
mod property;
mod shell;
