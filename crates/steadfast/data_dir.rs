//! The data directory: one owner at a time, private, and with a version.

use crate::report::{Exit, Trouble};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A locked data directory; the lock ends with this value.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

/// Version of the layout that this binary writes.
pub const VERSION: u32 = 1;

impl DataDir {
    /// Creates the directory if needed (mode 0700), checks its version and takes its lock.
    ///
    /// # Errors
    /// [`Trouble`] when it belongs to a newer version, another process holds it, or others may read it.
    pub fn open(root: &Path) -> Result<Self, Trouble> {
        let name = root.display();
        if !root.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|error| {
                Trouble::new(Exit::Failure, format!("cannot create the data directory {name}"))
                    .why(error)
                    .fix("name another with --data-dir, or make its parent writable")
            })?;
        }
        let mode = fs::metadata(root).map(|meta| meta.mode()).unwrap_or(0);
        if mode & 0o077 != 0 {
            return Err(Trouble::new(Exit::Key, format!("the data directory {name} is open to others"))
                .why(format!("its mode is {:04o}; it holds the vault", mode & 0o7777))
                .fix(format!("chmod 700 {name}")));
        }
        let lock = Self::lock(root)?;
        Self::check_version(root)?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    fn lock(root: &Path) -> Result<File, Trouble> {
        let path = root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Trouble::new(Exit::Failure, format!("cannot open {}", path.display())).why(error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Self::busy(root)),
            Err(TryLockError::Error(error)) => {
                Err(Trouble::new(Exit::Failure, format!("cannot lock {}", path.display())).why(error))
            }
        }
    }

    /// What is said when another process owns the directory.
    #[must_use]
    pub fn busy(root: &Path) -> Trouble {
        Trouble::new(Exit::Failure, format!("the data directory {} is in use", root.display()))
            .why("another steadfast process holds its lock; two would trade on one account")
            .fix("stop the other one, or name another directory with --data-dir")
    }

    fn check_version(root: &Path) -> Result<(), Trouble> {
        let path = root.join("version");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let found: u32 = text.trim().parse().map_err(|_| {
                    Trouble::new(Exit::Failure, format!("{} does not hold a version", path.display()))
                        .fix("restore the data directory from a backup")
                })?;
                if found > VERSION {
                    return Err(Trouble::new(
                        Exit::Failure,
                        format!("the data directory {} was written by a newer steadfast", root.display()),
                    )
                    .why(format!("its version is {found}; this program knows up to {VERSION}"))
                    .fix("run the newer program; nothing was changed"));
                }
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_private(&path, format!("{VERSION}\n").as_bytes())
                    .map_err(|error| Trouble::new(Exit::Failure, format!("cannot write {}", path.display())).why(error))
            }
            Err(error) => Err(Trouble::new(Exit::Failure, format!("cannot read {}", path.display())).why(error)),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal's database.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.db")
    }

    /// The directory of wire logs.
    #[must_use]
    pub fn wire(&self) -> PathBuf {
        self.root.join("wire")
    }

    /// The halt flag.
    #[must_use]
    pub fn halt(&self) -> PathBuf {
        self.root.join("halt.json")
    }

    /// The token of the control API.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.root.join("control.token")
    }

    /// Strategy tags, which never change meaning.
    #[must_use]
    pub fn tags(&self) -> PathBuf {
        self.root.join("strategies.json")
    }
}

/// Writes a file of mode 0600 atomically: temporary file, sync, rename, directory sync.
///
/// # Errors
/// The system's error; the old file is untouched then.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(parent)?.sync_all()
}
