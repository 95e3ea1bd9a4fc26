//! The epoch file: who this data directory is, and how often it has been started.
//!
//! Invariant: the epoch that is handed out is on disk, synced, before it is handed out, so that no
//! client order id can ever be made twice, whatever ends the process or the machine.

use crate::guard::Identity;
use domain::{Epoch, InstanceTag};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Keeps the tag and epoch of one custody directory. Whoever opens it must hold the directory's lock.
#[derive(Debug)]
pub struct EpochStore {
    identity: Identity,
    first_start: bool,
}

/// Why there is no epoch to sign under.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The file system refused.
    #[error("epoch file {path} cannot be read or written")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one that this program wrote. Never start over from zero: ids would repeat.
    #[error("epoch file {path} is damaged; restore it, or move it away to begin under a new instance tag")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// 16.7 million starts.
    #[error("epoch file {path} has counted its last start; move it away to begin under a new instance tag")]
    Exhausted {
        /// The file.
        path: PathBuf,
    },
    /// No randomness for a new tag.
    #[error("no instance tag could be drawn")]
    NoRandomness(#[from] secrets::SecretError),
}

impl EpochStore {
    /// The name of the file in its directory.
    pub const FILE: &'static str = "epoch";
    /// First word of the file.
    const MAGIC: &'static str = "steadfast-epoch-1";
    /// Longest file read; the real one has about 50 bytes.
    const LEN_MAX: u64 = 256;

    /// Begins the next run of `dir`: reads tag and epoch (drawing a tag when there is no file yet),
    /// writes epoch + 1 and syncs it.
    ///
    /// # Errors
    /// [`EpochError`]: nothing may be signed.
    pub fn open(dir: &Path) -> Result<Self, EpochError> {
        let path = dir.join(Self::FILE);
        let fail = |source| EpochError::Io { path: path.clone(), source };
        create_dir(dir).map_err(fail)?;
        let before = match read_bounded(&path) {
            Ok(text) => Some(Self::parse(&text).ok_or_else(|| EpochError::Damaged { path: path.clone() })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(fail(error)),
        };
        let identity = match before {
            Some(last) => Identity { tag: last.tag, epoch: next(last.epoch, &path)? },
            None => Identity {
                tag: Self::draw_tag()?,
                epoch: Epoch::new(1).map_err(|_| EpochError::Exhausted { path: path.clone() })?,
            },
        };
        replace(&path, Self::text(identity).as_bytes()).map_err(fail)?;
        Ok(Self { identity, first_start: before.is_none() })
    }

    /// Makes the next run of `dir` begin above `newest`, of which ids were found elsewhere: the file is an older copy.
    /// Says whether there was something to raise; a file of another tag, or one that is high enough, is left alone.
    ///
    /// # Errors
    /// [`EpochError`]: the next run may begin with an epoch that was used.
    pub fn raise(dir: &Path, newest: Identity) -> Result<bool, EpochError> {
        let path = dir.join(Self::FILE);
        let fail = |source| EpochError::Io { path: path.clone(), source };
        let text = read_bounded(&path).map_err(fail)?;
        let now = Self::parse(&text).ok_or_else(|| EpochError::Damaged { path: path.clone() })?;
        if now.tag != newest.tag || now.epoch >= newest.epoch {
            return Ok(false);
        }
        replace(&path, Self::text(newest).as_bytes()).map_err(fail)?;
        Ok(true)
    }

    /// The tag, and the epoch of this run.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether this is the directory's first run: its tag has just been drawn.
    #[must_use]
    pub const fn first_start(&self) -> bool {
        self.first_start
    }

    fn draw_tag() -> Result<InstanceTag, EpochError> {
        let mut bytes = [0_u8; 8];
        secrets::fill_random(&mut bytes)?;
        // 64 random bits over 46 656 tags: no tag is noticeably likelier than another.
        let number = u64::from_le_bytes(bytes) % 46_656;
        Ok(InstanceTag::from_number(u16::try_from(number).unwrap_or(0)))
    }

    fn text(identity: Identity) -> String {
        let head = format!("{} {} {}", Self::MAGIC, identity.tag, identity.epoch.get());
        let sum = Self::sum(&head);
        format!("{head} {sum}\n")
    }

    fn sum(head: &str) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(head.as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn parse(text: &str) -> Option<Identity> {
        let (head, sum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if sum != Self::sum(head) {
            return None;
        }
        let mut words = head.split(' ');
        if words.next()? != Self::MAGIC {
            return None;
        }
        let tag: InstanceTag = words.next()?.parse().ok()?;
        let epoch = Epoch::new(words.next()?.parse().ok()?).ok()?;
        words.next().is_none().then_some(Identity { tag, epoch })
    }
}

fn next(epoch: Epoch, path: &Path) -> Result<Epoch, EpochError> {
    Epoch::new(epoch.get() + 1).map_err(|_| EpochError::Exhausted { path: path.to_owned() })
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(EpochStore::LEN_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes a directory, and those above it, that only this user may enter.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Replaces a file as a whole: after a power cut the old or the new content is there, never a mixture.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&next)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&next, path)?;
    // The rename itself is durable only once the directory is.
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_copy_is_raised_above_what_was_seen_and_another_tag_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = EpochStore::open(dir.path()).unwrap().identity();
        let seen = Identity { epoch: Epoch::new(41).unwrap(), ..first };
        let foreign = Identity { tag: InstanceTag::from_number((first.tag.as_str() == "aaaa").into()), ..seen };
        assert!(foreign.tag == first.tag || !EpochStore::raise(dir.path(), foreign).unwrap());
        assert!(EpochStore::raise(dir.path(), seen).unwrap());
        assert!(!EpochStore::raise(dir.path(), seen).unwrap(), "it is high enough");
        assert_eq!(EpochStore::open(dir.path()).unwrap().identity().epoch.get(), 42);
        fs::write(dir.path().join(EpochStore::FILE), "rubbish").unwrap();
        assert!(EpochStore::raise(dir.path(), seen).is_err(), "a damaged file is not written over");
    }

    #[test]
    fn each_start_has_the_next_epoch_under_one_tag() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("custody");
        let first = EpochStore::open(&dir).unwrap();
        assert!(first.first_start());
        assert_eq!(first.identity().epoch.get(), 1);
        for expected in 2..6 {
            let again = EpochStore::open(&dir).unwrap();
            assert_eq!(again.identity().tag, first.identity().tag);
            assert_eq!(again.identity().epoch.get(), expected);
            assert!(!again.first_start());
        }
    }

    #[test]
    fn tags_of_different_directories_differ() {
        let home = tempfile::tempdir().unwrap();
        let tags: std::collections::BTreeSet<String> = (0..20)
            .map(|index| EpochStore::open(&home.path().join(index.to_string())).unwrap().identity().tag.to_string())
            .collect();
        assert!(tags.len() > 15, "{tags:?}");
    }

    #[test]
    fn damaged_file_is_an_error_and_never_a_fresh_start() {
        let home = tempfile::tempdir().unwrap();
        EpochStore::open(home.path()).unwrap();
        let path = home.path().join(EpochStore::FILE);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(
                matches!(EpochStore::open(home.path()), Err(EpochError::Damaged { .. } | EpochError::Io { .. })),
                "{at}"
            );
            fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(EpochStore::open(home.path()), Err(EpochError::Damaged { .. })), "cut at {at}");
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(EpochStore::open(home.path()).unwrap().identity().epoch.get(), 2);
    }

    #[test]
    fn unfinished_replacement_leaves_the_old_epoch_in_force() {
        let home = tempfile::tempdir().unwrap();
        EpochStore::open(home.path()).unwrap();
        fs::write(home.path().join("epoch.next"), b"half a li").unwrap();
        assert_eq!(EpochStore::open(home.path()).unwrap().identity().epoch.get(), 2);
    }

    #[test]
    fn last_epoch_is_used_and_the_one_after_it_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let tag = InstanceTag::from_number(5);
        let last_but_one = Identity { tag, epoch: Epoch::new(Epoch::MAX - 1).unwrap() };
        fs::write(home.path().join(EpochStore::FILE), EpochStore::text(last_but_one)).unwrap();
        assert_eq!(EpochStore::open(home.path()).unwrap().identity().epoch.get(), Epoch::MAX);
        assert!(matches!(EpochStore::open(home.path()), Err(EpochError::Exhausted { .. })));
    }
}
