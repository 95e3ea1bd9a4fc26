//! The root package: command line, wiring, supervision and reports for people.
//!
//! `wiring.rs` is the only place that says who talks to whom.

pub mod cli;
pub mod commands;
pub mod data_dir;
pub mod plan;
pub mod registry;
pub mod report;
pub mod station;
pub mod term;
pub mod unlock;
