//! The embedded exchange over its real sockets: requests, streams and faults as a client meets them.
//!
//! The clients here are written for these tests alone: they sign, rebuild books and check
//! checksums without any code of the exchange.

mod client;
mod faults;
mod market;
mod orders;
mod rejections;
mod streams;
