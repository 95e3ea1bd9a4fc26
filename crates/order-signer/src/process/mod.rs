//! The signer as a process of its own: the sockets between it and the daemon, and both ends of each.
//!
//! Three sockets that keep message boundaries: orders and questions of the order path, cancels of the emergency
//! thread, and the custody of keys. What each may ask is fixed by which function serves it. The order path's frames
//! pass over a page that both share ([`OrderPage`]); its socket tells each end that the other is gone.

mod custody_client;
mod custody_server;
mod link;
mod page;
mod server;
mod socket;

pub use crate::seats::Seats;
pub use custody_client::RemoteStore;
pub use custody_server::serve_custody;
pub use link::{LinkWait, ProcessSeat, SignerLink};
pub use page::OrderPage;
pub use secrets::SharedError;
pub use server::{serve_cancels, serve_orders};
pub use socket::{Packets, SocketError, pair};

use serde::{Deserialize, Serialize};

/// What a signer process says when it is ready, or why it will never be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// It signs.
    Ready(ReadySigner),
    /// It ends.
    Failed(Failure),
}

/// A signer process that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadySigner {
    /// Marks the client order ids of this data directory.
    pub tag: String,
    /// The epoch of this start, on disk.
    pub epoch: u32,
    /// Where its secrets lie: `memfd_secret`, `mlock` or `plain`.
    pub memory: String,
    /// How far files and network are closed: `full`, `partial` or `none`.
    pub landlock: String,
    /// Whether the list of system calls is in force.
    pub seccomp: bool,
    /// Whether it leaves no core file and cannot be read by others of its user.
    pub hidden: bool,
    /// Its process id, for people.
    pub pid: u32,
}

/// Why a signer process ended before it was ready: what a person reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Exit code of the program.
    pub exit: u8,
    /// What happened.
    pub what: String,
    /// Why.
    pub why: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}
