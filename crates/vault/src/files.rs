//! The few file operations that a vault needs, behind a trait, and the judgement of what they find.
//!
//! Everything happens relative to one directory that was opened and checked once, so that nobody
//! can swap the directory in between.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawMode, Stat, fstat, fsync, linkat, openat, renameat, statat, unlinkat,
};

use crate::FileRefusal;

/// What the system says about a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Whether it is a regular file.
    pub regular: bool,
    /// User id of the owner.
    pub owner: u32,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// Number of hard links.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
    /// Device and inode: two names with equal identity are one file.
    pub identity: (u64, u64),
}

/// File operations inside one directory; `name` never contains a separator. Tests put failing
/// disks behind this.
pub trait VaultFiles: Send {
    /// User id of this process.
    fn user(&self) -> u32;

    /// Facts about the directory itself.
    ///
    /// # Errors
    /// What the system says.
    fn directory(&self) -> io::Result<FileFacts>;

    /// Facts about a name, links not followed; `None` if it does not exist.
    ///
    /// # Errors
    /// What the system says.
    fn facts(&self, name: &str) -> io::Result<Option<FileFacts>>;

    /// Reads a regular file of at most `bytes_max` bytes, links not followed. For anything else the
    /// bytes are empty and the facts tell why.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<(FileFacts, Vec<u8>)>;

    /// Makes a new file with mode 0600, writes it and syncs it.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` if the name exists. The file may be left incomplete.
    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file a second name, which must not exist.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` if the new name exists.
    fn link(&self, name: &str, second: &str) -> io::Result<()>;

    /// Renames, replacing what is there.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// All names in the directory that are UTF-8, in no order.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes new names and renames last through a loss of power.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&self) -> io::Result<()>;
}

/// The real disk.
pub struct DiskFiles {
    directory: OwnedFd,
}

impl DiskFiles {
    /// Opens the directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        Ok(Self { directory: openat(CWD, path, flags, Mode::empty())? })
    }

    /// Takes over a directory that was opened before a sandbox closed.
    #[must_use]
    pub fn from_directory(directory: OwnedFd) -> Self {
        Self { directory }
    }
}

impl VaultFiles for DiskFiles {
    fn user(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn directory(&self) -> io::Result<FileFacts> {
        Ok(facts_of(&fstat(&self.directory)?))
    }

    fn facts(&self, name: &str) -> io::Result<Option<FileFacts>> {
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(facts_of(&stat))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<(FileFacts, Vec<u8>)> {
        // Without NONBLOCK a pipe in place of the vault would hold us up for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
        let facts = facts_of(&fstat(&file)?);
        let mut bytes = Vec::new();
        if facts.regular && facts.size <= bytes_max {
            file.take(bytes_max).read_to_end(&mut bytes)?;
        }
        Ok((facts, bytes))
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        fsync(&file)?;
        Ok(())
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        Ok(linkat(&self.directory, name, &self.directory, second, AtFlags::empty())?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.directory, from, &self.directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(fsync(&self.directory)?)
    }
}

#[expect(
    clippy::useless_conversion,
    clippy::unnecessary_cast,
    reason = "the widths of these fields differ between systems"
)]
fn facts_of(stat: &Stat) -> FileFacts {
    let mode = stat.st_mode as RawMode;
    FileFacts {
        regular: FileType::from_raw_mode(mode) == FileType::RegularFile,
        owner: stat.st_uid,
        mode: u32::from(Mode::from_raw_mode(mode).bits()),
        links: u64::from(stat.st_nlink),
        size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
        identity: (stat.st_dev as u64, stat.st_ino as u64),
    }
}

/// Whether the directory may hold a vault.
pub(crate) fn check_directory(facts: &FileFacts, user: u32) -> Result<(), FileRefusal> {
    const ROOT: u32 = 0;
    if facts.owner != user && facts.owner != ROOT {
        return Err(FileRefusal::WrongOwner { owner: facts.owner, expected: user });
    }
    if facts.mode & 0o022 != 0 {
        return Err(FileRefusal::DirectoryWritable { mode: facts.mode });
    }
    Ok(())
}

/// Whether a file may be a vault; its links are judged apart, because that needs the directory.
pub(crate) fn check_file(facts: &FileFacts, user: u32, bytes_max: u64) -> Result<(), FileRefusal> {
    if !facts.regular {
        return Err(FileRefusal::NotRegular);
    }
    if facts.owner != user {
        return Err(FileRefusal::WrongOwner { owner: facts.owner, expected: user });
    }
    if facts.mode & 0o077 != 0 {
        return Err(FileRefusal::OpenToOthers { mode: facts.mode });
    }
    if facts.size > bytes_max {
        return Err(FileRefusal::TooLarge { bytes: facts.size });
    }
    Ok(())
}
