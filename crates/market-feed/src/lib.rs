//! Market data of one venue: frames in, valid books, trades and tops of book out.
//!
//! Messages in: [`SocketEvent`] from its own sockets, [`InstrumentChanged`]. Out: `MarketEvent` to
//! whoever the wiring joined, one overwritten top of book per instrument ([`TopBoard`]),
//! `FeedStatus`.
//!
//! Invariants:
//! - a price leaves only while its book is valid: no gap, checksum right, not crossed, young enough;
//! - whenever a book stops being valid its slot says so before anything else happens;
//! - one instrument's fault costs that instrument's book and no other;
//! - liveness is judged by data of each subscription, never by pings;
//! - a frame that was lost on the way costs the connection, so no book goes on without it;
//! - before the venue's forced disconnect a second connection is complete, then the first is left.

mod actor;
mod budget;
mod core;
mod line;
mod top;

pub use actor::{EventSink, FeedConfig, InstrumentChanged, MarketFeed, SocketEvent, StatusSink};
pub use core::{BookSource, FeedInstrument, FeedOutput, FeedSettings, FeedState, FeedTally, FrameTime};
pub use top::{Top, TopBoard, TopWriters, tops};
