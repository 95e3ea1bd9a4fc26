//! Why the embedded exchange cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the embedded exchange cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The exchange serves plain HTTP, so it stays on this machine.
    #[error("{address} is not a loopback address; the embedded exchange serves plain HTTP and stays on this machine")]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The server's thread could not be started, or ended at once.
    #[error("the exchange's thread did not start")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// No randomness for keys.
    #[error("the machine gives no randomness for a new key")]
    Randomness,
    /// A setting that cannot be used.
    #[error("{what}")]
    Setting {
        /// Which one and why.
        what: String,
    },
    /// The recording cannot be read.
    #[error("recording {path} cannot be used: {what}", path = path.display())]
    Tape {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Where and why reading it failed, if it did.
        source: Option<tape::TapeError>,
    },
}
