//! Pages that two processes share: words that both read and write at any time, so every access is atomic.
//!
//! Invariants on which its soundness rests:
//! - The mapping is as long as the value that owns it, and is never handed out beyond that.
//! - The file behind it can neither shrink nor grow: it is sealed, or it is not mapped. A page that went away under the
//!   reader would end its process.
//! - Nobody gets a reference to plain bytes of it. What the other process writes meanwhile is another value, never a
//!   torn object.
#![expect(unsafe_code, reason = "mapping pages cannot be written in safe Rust")]

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, munmap};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// Why there are no shared pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// The system refused.
    #[error("shared memory: {0}")]
    System(#[from] Errno),
    /// What was handed over has another size, or could be made shorter by whoever handed it over.
    #[error("the shared memory is not sealed, or not of the size agreed on")]
    Unsound,
}

/// Words shared with another process; zero when they are made.
///
/// They are locked into memory as far as the system allows, and kept from core dumps and from children.
#[derive(Debug)]
pub struct SharedWords {
    base: NonNull<AtomicU32>,
    count: usize,
}

// SAFETY: the mapping belongs to the process and not to a thread, and is reached through atomics alone.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// The seals that must be on: the length stays, and so do the seals.
    const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

    /// Makes `count` words, and the descriptor by which the other process gets at them.
    ///
    /// # Errors
    /// [`SharedError::System`].
    pub fn create(count: usize) -> Result<(Self, OwnedFd), SharedError> {
        let file = memfd_create("steadfast-orders", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, bytes(count)?)?;
        fcntl_add_seals(&file, Self::SEALS)?;
        Ok((Self::map(&file, count)?, file))
    }

    /// The same words in the process that was handed the descriptor. It may be closed afterwards.
    ///
    /// # Errors
    /// [`SharedError::Unsound`] when the other process could take them away; [`SharedError::System`].
    pub fn open(file: impl AsFd, count: usize) -> Result<Self, SharedError> {
        let sealed = fcntl_get_seals(&file)?.contains(Self::SEALS);
        let size = u64::try_from(fstat(&file)?.st_size).map_err(|_| SharedError::Unsound)?;
        if !sealed || size != bytes(count)? {
            return Err(SharedError::Unsound);
        }
        Self::map(&file, count)
    }

    fn map(file: impl AsFd, count: usize) -> Result<Self, SharedError> {
        let size = count.checked_mul(size_of::<AtomicU32>()).filter(|size| *size > 0).ok_or(SharedError::Unsound)?;
        let (access, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours.
        let mapped = unsafe { mmap(std::ptr::null_mut(), size, access, shared, file, 0) }?;
        let base = NonNull::new(mapped.cast::<AtomicU32>()).ok_or(SharedError::Unsound)?;
        let words = Self { base, count };
        // SAFETY: the range is exactly the mapping just made; neither call changes what is in it. Both are a best
        // effort: what passes here stands in the socket's buffers and in the caller's memory as well.
        unsafe {
            let _ = mlock(mapped, size);
            let _ = madvise(mapped, size, Advice::LinuxDontDump);
            let _ = madvise(mapped, size, Advice::LinuxDontFork);
        }
        Ok(words)
    }

    /// The words. What another process writes shows here at any time.
    #[must_use]
    pub fn words(&self) -> &[AtomicU32] {
        // SAFETY: the mapping holds `count` words, aligned to a page, for as long as `self` lives; atomics may be
        // changed by anybody while they are borrowed.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every borrow of its words has ended with `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.count * size_of::<AtomicU32>()) };
    }
}

fn bytes(count: usize) -> Result<u64, SharedError> {
    let size = count.checked_mul(size_of::<AtomicU32>()).and_then(|size| u64::try_from(size).ok());
    size.ok_or(SharedError::Unsound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn both_ends_see_what_either_writes_also_after_the_descriptor_is_closed() {
        let (near, file) = SharedWords::create(3_000).unwrap();
        let far = SharedWords::open(&file, 3_000).unwrap();
        drop(file);
        assert!(far.words().iter().all(|word| word.load(Ordering::Relaxed) == 0), "zero at first");
        near.words()[2_999].store(7, Ordering::Relaxed);
        far.words()[0].store(9, Ordering::Relaxed);
        let seen = (near.words()[0].load(Ordering::Relaxed), far.words()[2_999].load(Ordering::Relaxed));
        assert_eq!(seen, (9, 7));
        drop(near);
        assert_eq!(far.words()[0].load(Ordering::Relaxed), 9, "it is there as long as one end is");
    }

    #[test]
    fn memory_that_could_be_taken_away_or_has_another_size_is_not_mapped() {
        let (_near, file) = SharedWords::create(1_024).unwrap();
        assert_eq!(ftruncate(&file, 0), Err(Errno::PERM), "the seal holds");
        assert_eq!(ftruncate(&file, 8_192), Err(Errno::PERM), "it holds upwards too");
        for count in [0, 1, 1_023, 1_025, usize::MAX] {
            assert!(SharedWords::open(&file, count).is_err(), "{count} words");
        }
        for seals in [SealFlags::empty(), SealFlags::SHRINK, SealFlags::SHRINK | SealFlags::GROW] {
            let open = memfd_create("unsealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
            ftruncate(&open, 4_096).unwrap();
            fcntl_add_seals(&open, seals).unwrap();
            assert_eq!(SharedWords::open(&open, 1_024).err(), Some(SharedError::Unsound), "{seals:?}");
        }
        let ordinary = tempfile_of(4_096);
        assert!(SharedWords::open(&ordinary, 1_024).is_err(), "a file has no seals");
    }

    fn tempfile_of(len: u64) -> std::fs::File {
        let path = std::env::temp_dir().join(format!("steadfast-shared-{}", std::process::id()));
        let file = std::fs::File::create_new(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len(len).unwrap();
        file
    }
}
