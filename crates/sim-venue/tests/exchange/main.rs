//! The embedded exchange over its real sockets: requests, streams and faults as a client meets them.
//!
//! The clients here are written for these tests alone: they sign, rebuild books and check
//! checksums without any code of the exchange.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; helpers are not recognised as tests"
)]

mod client;
mod faults;
mod faults_venue;
mod faults_wire;
mod futures;
mod journey;
mod market;
mod orders;
mod rejections;
mod spot;
mod standing;
mod streams;
mod unified;
mod users;
