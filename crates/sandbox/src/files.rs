//! Landlock: files beneath one directory, and no network.

use crate::SandboxError;
use std::path::Path;

/// How far files and network are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileWall {
    /// Files, TCP, signals and abstract sockets.
    Full,
    /// Files; the kernel knows only a part of the rest.
    Partial,
    /// Nothing: the system has no Landlock.
    None,
}

impl FileWall {
    /// The name used in metrics and at start: `full`, `partial`, `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }

    /// The wall of this name; `None` for an unknown one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Full, Self::Partial, Self::None].into_iter().find(|wall| wall.as_str() == name)
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn close(directory: &Path) -> Result<FileWall, SandboxError> {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
        RulesetStatus, Scope,
    };

    /// The newest rules that this program knows; older kernels keep what they can.
    const RULES: ABI = ABI::V6;

    fn told<E: std::fmt::Display>(error: E) -> SandboxError {
        SandboxError::Files(error.to_string())
    }

    let allowed = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Refer;
    let opened = PathFd::new(directory).map_err(told)?;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))
        .map_err(told)?
        .handle_access(AccessNet::from_all(RULES))
        .map_err(told)?
        .scope(Scope::from_all(RULES))
        .map_err(told)?
        .create()
        .map_err(told)?
        .add_rule(PathBeneath::new(opened, allowed))
        .map_err(told)?
        .restrict_self()
        .map_err(told)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => FileWall::Full,
        RulesetStatus::PartiallyEnforced => FileWall::Partial,
        RulesetStatus::NotEnforced => FileWall::None,
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn close(_directory: &Path) -> Result<FileWall, SandboxError> {
    Ok(FileWall::None)
}
