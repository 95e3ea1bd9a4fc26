//! What this crate asks of a file system, so that a test can make any single request fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// A file open for writing.
pub trait DiskFile: Send + Sync {
    /// Hands all bytes to the kernel in one call, at a place in the file.
    ///
    /// # Errors
    /// What the system said, or that it took only a part.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until everything written is on the disk.
    ///
    /// # Errors
    /// What the system said. What was written may then be lost, whatever a second try says.
    fn sync(&self) -> io::Result<()>;
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Makes a directory that only this user may enter, and those above it.
    ///
    /// # Errors
    /// What the system said.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a file that is not there yet, readable by this user alone, with `len` zero bytes set aside for it.
    ///
    /// # Errors
    /// What the system said; also that the file is there.
    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Reads a whole file of at most `len_max` bytes.
    ///
    /// # Errors
    /// What the system said, or that the file is longer.
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>>;

    /// The names of the files in a directory.
    ///
    /// # Errors
    /// What the system said.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Gives a file another name, replacing what has that name.
    ///
    /// # Errors
    /// What the system said.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system said.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are on the disk.
    ///
    /// # Errors
    /// What the system said.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match std::os::unix::fs::FileExt::write_at(self, bytes, offset)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::WriteZero, "only a part was written")),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for RealDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        // Behind the signer's walls no directory can be made, and none is missing there.
        if dir.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if len > 0 {
            set_aside(&file, len)?;
        }
        Ok(Arc::new(file))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(len_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > len_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than such a file can be"));
        }
        Ok(bytes)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Sets blocks aside, so that a full disk shows here and not at a record.
#[cfg(target_os = "linux")]
fn set_aside(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(len),
        outcome => Ok(outcome?),
    }
}

#[cfg(not(target_os = "linux"))]
fn set_aside(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

/// Replaces a file as a whole: whatever happens, the old or the new content is there, never a mixture.
pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let next = dir.join(format!("{name}.next"));
    match disk.remove(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&next, 0)?;
    file.write_at(content, 0)?;
    file.sync()?;
    disk.rename(&next, &dir.join(name))?;
    // The new name is durable only once the directory is.
    disk.sync_dir(dir)
}
