//! The few operations on files that the log needs; a trait, so that each can be made to fail.

use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Largest file that is read, in bytes: far above any segment.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Files kept open: the segment that is written, and the state.
const OPEN_MAX: usize = 2;

/// The directory of a log. Names have no slash.
pub trait AuditFiles: Send {
    /// The names of all files.
    ///
    /// # Errors
    /// The system's.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A whole file; `None` if there is none of this name.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Makes an empty file that was not there, so that it lasts.
    ///
    /// # Errors
    /// The system's; `AlreadyExists` if it was there.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// Writes bytes at an offset of a file that is there.
    ///
    /// # Errors
    /// The system's; any part of the bytes may have been written.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to a length.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;
    /// Makes what was written to a file last.
    ///
    /// # Errors
    /// The system's; it is then unknown what lasts.
    fn sync(&mut self, name: &str) -> io::Result<()>;
}

/// A directory on disk.
#[derive(Debug)]
pub struct DiskFiles {
    directory: OwnedFd,
    open: Vec<(String, File)>,
}

impl DiskFiles {
    /// Opens a directory, which is made for its owner alone if it is not there.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::open_existing(path)
    }

    /// Opens a directory that is there.
    ///
    /// # Errors
    /// The system's.
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::from_directory(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Takes over a directory that was opened before a sandbox closed.
    #[must_use]
    pub fn from_directory(directory: OwnedFd) -> Self {
        Self { directory, open: Vec::new() }
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.iter().any(|(known, _)| known == name) {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
            if self.open.len() >= OPEN_MAX {
                self.open.remove(0);
            }
            self.open.push((name.to_owned(), file));
        }
        let found = self.open.iter().find(|(known, _)| known == name);
        found.map(|(_, file)| file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl AuditFiles for DiskFiles {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{name} is not a file of an audit log")));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.sync_all()?;
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.file(name)?.set_len(length)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }
}
