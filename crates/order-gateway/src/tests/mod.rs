//! The whole gateway against venues on loopback.

#[cfg(feature = "fail-points")]
mod fail_points;
mod orders;
mod stream;
mod support;
