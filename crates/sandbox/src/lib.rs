//! Shuts a process in: after [`close_files`] and [`close_calls`] it reaches one directory, the sockets it already has, and nothing else.
//!
//! Three walls, each of which holds without the others:
//! - what the process *is*: no core file, not to be traced or read by others of the same user, no new privileges;
//! - Landlock: no file outside one directory, no TCP, no signal and no abstract socket to anybody outside;
//! - seccomp: a list of the system calls that may be made; any other one kills the process.
//!
//! Invariant: each call reports what was really reached, never what was asked for. On systems other than Linux
//! nothing is reached, and it says so.

mod calls;
mod files;
mod limits;

pub use files::FileWall;

use std::fmt;
use std::path::Path;

/// What was really reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// How far files and network are closed.
    pub files: FileWall,
    /// Whether the list of system calls is in force on every thread.
    pub calls: bool,
    /// Whether the process leaves no core file and cannot be read by others of its user.
    pub hidden: bool,
}

impl Reached {
    /// Whether every wall stands whole.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self.files, FileWall::Full) && self.calls && self.hidden
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on: bool| if on { "on" } else { "off" };
        write!(
            formatter,
            "landlock {}, seccomp {}, hidden {}",
            self.files.as_str(),
            word(self.calls),
            word(self.hidden)
        )
    }
}

/// Why a wall could not be built. What stood before stands still.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The limits of the process could not be set.
    #[error("the limits of the process cannot be set: {0}")]
    Limits(#[from] std::io::Error),
    /// The system knows Landlock and refused the rules.
    #[error("landlock: {0}")]
    Files(String),
    /// The system knows seccomp and refused the list.
    #[error("seccomp: {0}")]
    Calls(String),
}

/// The first wall, to be built before any secret is read: no core file, nothing to be seen by others of the same
/// user, no new privileges for programs started from here.
///
/// # Errors
/// [`SandboxError::Limits`].
pub fn hide() -> Result<(), SandboxError> {
    limits::hide()
}

/// Closes files and network for the calling thread and all threads that it starts from now on: everything but what
/// lies beneath `directory`. Call it while there is one thread.
///
/// # Errors
/// [`SandboxError::Files`]; a system without Landlock is no error but [`FileWall::None`].
pub fn close_files(directory: &Path) -> Result<FileWall, SandboxError> {
    files::close(directory)
}

/// Puts the list of system calls in force on every thread. Start all threads before. `false`: the system has no such
/// list.
///
/// # Errors
/// [`SandboxError::Calls`].
pub fn close_calls() -> Result<bool, SandboxError> {
    limits::close()?;
    calls::close()
}

/// Whether the first wall stands, as the system says.
#[must_use]
pub fn is_hidden() -> bool {
    limits::is_hidden()
}
