//! What the process is, in the eyes of others: limits, and whether it may be read.

use crate::SandboxError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Largest file that may be written: far above a guard segment or a vault, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

const fn at_most(limit: u64) -> Rlimit {
    Rlimit { current: Some(limit), maximum: Some(limit) }
}

pub(crate) fn hide() -> Result<(), SandboxError> {
    setrlimit(Resource::Core, at_most(0)).map_err(std::io::Error::from)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(std::io::Error::from)?;
        rustix::thread::set_no_new_privs(true).map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// Limits that would stand in the way of starting.
pub(crate) fn close() -> Result<(), SandboxError> {
    setrlimit(Resource::Nproc, at_most(0)).map_err(std::io::Error::from)?;
    setrlimit(Resource::Fsize, at_most(FILE_BYTES_MAX)).map_err(std::io::Error::from)?;
    Ok(())
}

pub(crate) fn is_hidden() -> bool {
    let no_core = getrlimit(Resource::Core).maximum == Some(0);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, dumpable_behavior};
        no_core && matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = no_core;
        false
    }
}
