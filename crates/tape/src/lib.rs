//! Recordings of market data: written while it arrives, played back in order.
//!
//! A tape is one file: a versioned header, then compressed segments with a
//! checksum each, then an end mark. Numbers are kept as the decimals that were
//! received ([`domain::Scaled`]), never as mantissas of some instrument, so a
//! tape outlives every change of tick size.
//!
//! ```no_run
//! # fn main() -> Result<(), tape::TapeError> {
//! for event in tape::TapeReader::open("btcusdt.tape".as_ref())? {
//!     let event = event?;
//!     println!("{} {:?}", event.symbol, event.kind);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: reading and writing hold one segment in memory, whatever the
//! length of the file; an event that is returned was covered by a checksum that
//! agreed; a file without its end mark is reported as cut off, after everything
//! whole in it was returned.

pub mod check;
mod codec;
mod error;
mod event;
pub mod import;
mod reader;
mod writer;

pub use error::TapeError;
pub use event::{EventKind, TapeChecksum, TapeEvent, TapeLevel};
pub use reader::TapeReader;
pub use writer::{TapeStats, TapeWriter};
