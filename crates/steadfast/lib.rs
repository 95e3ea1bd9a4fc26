//! The root package: command line, wiring, supervision and reports for people.
//!
//! `wiring.rs` is the only place that says who talks to whom.

pub mod audit_queue;
pub mod audit_trail;
pub mod backend;
pub mod bench;

pub mod cli;
pub mod commands;
pub mod data_dir;
pub mod emergency;
pub mod key_book;
pub mod key_desk;
pub mod key_watch;
#[cfg(feature = "leak-for-test")]
pub mod leak;
pub mod logging;
pub mod metrics_page;
pub mod observer;
pub mod plan;
pub mod recorder;
pub mod refusals;
pub mod registry;
pub mod report;
pub mod restore;
pub mod shared;
pub mod signers;
pub mod station;
pub mod step_up;
pub mod term;
pub mod unlock;
pub mod wiring;
