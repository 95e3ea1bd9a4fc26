//! A private file that is read whole and replaced whole.

use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes: far more than the most keys need.
const BYTES_MAX: u64 = 256 * 1024;

/// Why the file of API keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Others than the owner may read or change it.
    #[error("{path} is open to others: its mode is {mode:04o}")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a file of ours.
    #[error("{path} does not hold API keys of this program: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The content; `None` when there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let failed = |action| move |source| FileError::Io { action, path: path.to_owned(), source };
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open")(error)),
    };
    let meta = file.metadata().map_err(failed("examine"))?;
    let malformed = |why| FileError::Malformed { path: path.to_owned(), why };
    if !meta.is_file() {
        return Err(malformed("it is not a plain file"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(FileError::OpenToOthers { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    if meta.len() > BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(failed("read"))?;
    Ok(Some(bytes))
}

/// Replaces the content: a new file of mode 0600, synced, renamed over the old one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError::Io { action: "write", path: path.to_owned(), source };
    let draft = path.with_extension("draft");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
