//! The codec against payloads: our own fixtures, mutations of them, and stored payloads of others.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

mod common;
mod futures;
mod mutation;
mod recorded;
mod rest;
mod signing;
mod stored_rest;
mod stored_streams;
mod streams;
mod unified;
