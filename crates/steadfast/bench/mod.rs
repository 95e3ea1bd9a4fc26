//! Measures the order path on this machine: one harness behind `steadfast bench` and `cargo bench`.
//!
//! Everything that is timed is the code that trades: codec, book, risk guard, signer and order path as the daemon
//! joins them. Stand-ins are only the frames (made from memory), the venue's answers and a strategy that quotes at
//! a fixed distance from mid. Every figure is also given in `c`, the time of five bare SHA-256 compressions in the
//! same run, so that machines can be compared.

mod flood;
mod frames;
mod machine;
mod one_thread;
mod pieces;
mod report;
mod rig;
mod sampler;
mod thread;
mod venue;

pub use flood::{Flood, FloodOutcome};
pub use machine::Machine;
pub use one_thread::OneThread;
pub use report::{BenchReport, Figures, Row, Target};

use domain::RefuseReasonText;
