//! The control plane over real sockets: who may do what, what is shown, and that nothing else happens.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption fails the test; helpers are not recognised as tests"
)]

mod access;
mod common;
mod limits;
mod shown;
mod stream;
mod table;
mod tls;
