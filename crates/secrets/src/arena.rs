//! The arena: pages for secrets, handed out in cells and wiped when they come back.
//!
//! Here and in `shared.rs` is all `unsafe` of the project. Invariants on which its soundness rests:
//! - A chunk is mapped once and never unmapped, so a pointer into it stays valid for the process.
//! - A cell belongs to at most one [`Slot`]; `State::used` is changed only under the lock.
//! - All bytes of a chunk are initialised: the kernel hands out zeroed pages, slots come back zeroed.
#![expect(unsafe_code, reason = "mapping pages and handing out slices of them cannot be written in safe Rust")]

use std::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous};
use zeroize::Zeroize;

use crate::{MemoryLevel, SECRET_BYTES_MAX, SecretError};

/// The arena of this process.
pub(crate) static GLOBAL: Arena = Arena::new(MemoryLevel::MemfdSecret);

/// Smallest unit handed out, in bytes; also the alignment of every slot.
const CELL_BYTES: usize = 64;

/// Size of an ordinary chunk, in bytes: small, so that several fit into a 64 KiB limit on locked
/// memory, as containers often have, and only what exceeds the limit falls to a weaker level.
const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks are multiples of this, in bytes: the largest page size in common use (Apple silicon).
const PAGE_BYTES: usize = 16 * 1024;

/// Pages for secrets. See the module's invariants.
pub(crate) struct Arena {
    state: Mutex<State>,
    /// The strongest level to try.
    best: MemoryLevel,
}

struct State {
    chunks: Vec<Chunk>,
    closed: bool,
}

struct Chunk {
    base: NonNull<u8>,
    /// One entry for each cell: whether a slot owns it.
    used: Vec<bool>,
    level: MemoryLevel,
}

// SAFETY: `base` points to memory that belongs to the process and not to a thread; whoever holds
// the chunk reaches the memory only through slots, which own their cells alone.
unsafe impl Send for Chunk {}

impl Arena {
    pub(crate) const fn new(best: MemoryLevel) -> Self {
        Self { state: Mutex::new(State { chunks: Vec::new(), closed: false }), best }
    }

    /// Weakest level of all chunks; maps the first chunk if there is none.
    pub(crate) fn level(&self) -> Result<MemoryLevel, SecretError> {
        let mut state = self.lock();
        if state.chunks.is_empty() {
            state.grow(CHUNK_BYTES, self.best)?;
        }
        Ok(state.weakest())
    }

    /// Maps one more chunk with room for `bytes`.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<MemoryLevel, SecretError> {
        let mut state = self.lock();
        state.grow(bytes, self.best)?;
        Ok(state.weakest())
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Takes zeroed cells for `bytes` bytes.
    pub(crate) fn allocate(&'static self, bytes: usize) -> Result<Slot, SecretError> {
        if bytes > SECRET_BYTES_MAX {
            return Err(SecretError::TooLarge { bytes });
        }
        let cells = bytes.div_ceil(CELL_BYTES).max(1);
        let mut state = self.lock();
        let place = match state.find(cells) {
            Some(place) => place,
            None => {
                state.grow(bytes, self.best)?;
                state.find(cells).ok_or(SecretError::OutOfMemory { bytes })?
            }
        };
        let start = state.take(place, cells).ok_or(SecretError::OutOfMemory { bytes })?;
        Ok(Slot { arena: self, start, bytes, place, cells })
    }

    fn release(&self, place: Place, cells: usize) {
        let mut state = self.lock();
        if let Some(chunk) = state.chunks.get_mut(place.chunk) {
            chunk.used.iter_mut().skip(place.cell).take(cells).for_each(|used| *used = false);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held cannot leave the table half changed in a harmful way:
        // cells are at worst marked used and never handed out again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    cell: usize,
}

impl State {
    fn weakest(&self) -> MemoryLevel {
        self.chunks.iter().map(|chunk| chunk.level).min().unwrap_or(MemoryLevel::Plain)
    }

    /// First run of `cells` free cells.
    fn find(&self, cells: usize) -> Option<Place> {
        self.chunks.iter().enumerate().find_map(|(chunk, of)| {
            of.used.windows(cells).position(|run| run.iter().all(|used| !used)).map(|cell| Place { chunk, cell })
        })
    }

    fn take(&mut self, place: Place, cells: usize) -> Option<NonNull<u8>> {
        let chunk = self.chunks.get_mut(place.chunk)?;
        chunk.used.get_mut(place.cell..place.cell.checked_add(cells)?)?.fill(true);
        // SAFETY: the range check above shows that the cell lies inside the chunk, whose mapping
        // is `used.len() * CELL_BYTES` bytes long.
        Some(unsafe { chunk.base.add(place.cell * CELL_BYTES) })
    }

    fn grow(&mut self, bytes: usize, best: MemoryLevel) -> Result<(), SecretError> {
        if self.closed {
            return Err(SecretError::ArenaClosed { bytes });
        }
        let size = bytes
            .max(CHUNK_BYTES)
            .checked_next_multiple_of(PAGE_BYTES)
            .filter(|size| *size <= isize::MAX.unsigned_abs())
            .ok_or(SecretError::OutOfMemory { bytes })?;
        let (base, level) = map(size, best).ok_or(SecretError::OutOfMemory { bytes })?;
        self.chunks.push(Chunk { base, used: vec![false; size / CELL_BYTES], level });
        Ok(())
    }
}

/// Cells that belong to one secret; wiped and given back on drop.
pub(crate) struct Slot {
    arena: &'static Arena,
    start: NonNull<u8>,
    bytes: usize,
    place: Place,
    cells: usize,
}

// SAFETY: a slot owns its cells alone, and they are ordinary memory of the process, so it may move
// to another thread and be read from several, as a `Box<[u8]>` may.
unsafe impl Send for Slot {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Slot {}

impl Slot {
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: the slot owns `bytes` initialised bytes from `start`, for as long as it lives,
        // and `&self` keeps writers away.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: the slot owns all of its cells, the unused rest of the last one included.
        let cells = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.cells * CELL_BYTES) };
        cells.zeroize();
        self.arena.release(self.place, self.cells);
    }
}

/// A value of any type kept inside the arena; its destructor runs, then its memory is wiped.
pub(crate) struct Locked<T> {
    slot: Slot,
    owns: PhantomData<T>,
}

impl<T> Locked<T> {
    const FITS: () = assert!(align_of::<T>() <= CELL_BYTES, "cells are aligned enough for the type");

    /// Builds the value and moves it into the arena. What the move leaves on the stack is the
    /// caller's to scrub.
    pub(crate) fn new(build: impl FnOnce() -> T) -> Result<Self, SecretError> {
        const { Self::FITS }
        let slot = GLOBAL.allocate(size_of::<T>())?;
        // SAFETY: the slot has `size_of::<T>()` bytes, is aligned to `CELL_BYTES`, which `FITS`
        // shows to be enough, and belongs to nobody else.
        unsafe { slot.start.cast::<T>().write(build()) };
        Ok(Self { slot, owns: PhantomData })
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` wrote a `T` here, and only `drop` ends it.
        unsafe { self.slot.start.cast::<T>().as_ref() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: `new` wrote a `T` here and nothing has dropped it; the slot is wiped after this.
        unsafe { self.slot.start.cast::<T>().drop_in_place() };
    }
}

/// Maps `size` bytes at the strongest level that the system grants, `best` at most.
fn map(size: usize, best: MemoryLevel) -> Option<(NonNull<u8>, MemoryLevel)> {
    #[cfg(target_os = "linux")]
    if best == MemoryLevel::MemfdSecret
        && let Some(base) = map_memfd_secret(size)
    {
        return Some((base, MemoryLevel::MemfdSecret));
    }
    // SAFETY: a fresh private mapping at an address of the kernel's choice touches nothing of ours.
    let mapped =
        unsafe { mmap_anonymous(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
    let base = NonNull::new(mapped.ok()?)?;
    // SAFETY: the range is exactly the mapping just made.
    let locked = best >= MemoryLevel::Mlock && unsafe { mlock(base.as_ptr(), size) }.is_ok();
    #[cfg(target_os = "linux")]
    {
        advise(base, size, rustix::mm::Advice::LinuxDontDump);
        advise(base, size, rustix::mm::Advice::LinuxWipeOnFork);
    }
    Some((base.cast(), if locked { MemoryLevel::Mlock } else { MemoryLevel::Plain }))
}

/// Pages that even the kernel does not map. `None` where the kernel, a sandbox or the limit on
/// locked memory refuses them.
#[cfg(target_os = "linux")]
fn map_memfd_secret(size: usize) -> Option<NonNull<u8>> {
    use std::os::fd::{FromRawFd, OwnedFd};

    // SAFETY: the call takes one flag word and touches no memory of ours.
    let descriptor = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0)?;
    // SAFETY: the kernel has just returned this descriptor, and nobody else knows it.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    rustix::fs::ftruncate(&file, u64::try_from(size).ok()?).ok()?;
    // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours. The
    // mapping keeps the memory alive after the descriptor is closed at the end of this function.
    let mapped = unsafe {
        rustix::mm::mmap(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)
    };
    let base = NonNull::new(mapped.ok()?)?;
    advise(base, size, rustix::mm::Advice::LinuxDontDump);
    // Wipe-on-fork exists for private memory only; a child does not get these pages at all.
    advise(base, size, rustix::mm::Advice::LinuxDontFork);
    // SAFETY: the mapping is `size` bytes long, writable and ours alone; touching it now brings a
    // shortage of memory up here and not in the middle of a signature.
    unsafe { std::ptr::write_bytes(base.as_ptr().cast::<u8>(), 0, size) };
    Some(base.cast())
}

/// Best effort: old kernels lack some advice, and the level reported does not depend on it.
#[cfg(target_os = "linux")]
fn advise(base: NonNull<std::ffi::c_void>, size: usize, advice: rustix::mm::Advice) {
    // SAFETY: the range is a whole mapping of ours, and the advice used here (no dump, wipe or
    // absence in children) does not change its contents in this process.
    let _ = unsafe { rustix::mm::madvise(base.as_ptr(), size, advice) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arenas live as long as the process; kept here so that a leak checker sees that they do.
    static ARENAS: Mutex<Vec<&'static Arena>> = Mutex::new(Vec::new());

    fn arena_of(best: MemoryLevel) -> &'static Arena {
        let arena: &'static Arena = Box::leak(Box::new(Arena::new(best)));
        ARENAS.lock().unwrap().push(arena);
        arena
    }

    /// All cells of the place, read without a slot.
    fn peek(slot_start: NonNull<u8>, cells: usize) -> Vec<u8> {
        // SAFETY: chunks are never unmapped, and the test's own arena has no other user.
        unsafe { std::slice::from_raw_parts(slot_start.as_ptr(), cells * CELL_BYTES) }.to_vec()
    }

    #[test]
    fn memory_reads_as_zero_after_a_secret_is_dropped_at_every_level() {
        for best in [MemoryLevel::Plain, MemoryLevel::Mlock, MemoryLevel::MemfdSecret] {
            let mut slot = arena_of(best).allocate(100).unwrap();
            slot.as_mut_slice().fill(0x5A);
            let (start, cells) = (slot.start, slot.cells);
            assert_eq!(peek(start, cells).iter().filter(|byte| **byte == 0x5A).count(), 100, "the control sees it");
            drop(slot);
            assert!(peek(start, cells).iter().all(|byte| *byte == 0), "wiped at level {best}");
        }
    }

    #[test]
    fn cells_are_used_again_and_never_shared() {
        let arena = arena_of(MemoryLevel::Plain);
        let first = arena.allocate(64).unwrap();
        let second = arena.allocate(65).unwrap();
        assert_eq!(first.start.as_ptr() as usize + 64, second.start.as_ptr() as usize);
        let place = first.start;
        drop(first);
        let third = arena.allocate(1).unwrap();
        assert_eq!(third.start, place, "the freed cell is the first that fits");
        let fourth = arena.allocate(1).unwrap();
        assert_eq!(second.start.as_ptr() as usize + 128, fourth.start.as_ptr() as usize);
    }

    #[test]
    fn closed_arena_refuses_to_grow_but_serves_what_was_reserved() {
        let arena = arena_of(MemoryLevel::Plain);
        arena.reserve(2 * CHUNK_BYTES).unwrap();
        arena.close();
        let whole = arena.allocate(2 * CHUNK_BYTES).unwrap();
        assert_eq!(arena.allocate(1).err(), Some(SecretError::ArenaClosed { bytes: 1 }));
        drop(whole);
        assert!(arena.allocate(1).is_ok());
    }

    #[test]
    fn secret_larger_than_the_bound_is_refused() {
        let bytes = SECRET_BYTES_MAX + 1;
        assert_eq!(arena_of(MemoryLevel::Plain).allocate(bytes).err(), Some(SecretError::TooLarge { bytes }));
        assert!(arena_of(MemoryLevel::Plain).allocate(SECRET_BYTES_MAX).is_ok());
    }

    #[test]
    fn refused_locking_falls_back_and_says_so() {
        let arena = arena_of(MemoryLevel::Plain);
        assert_eq!(arena.level(), Ok(MemoryLevel::Plain));
        let locked = arena_of(MemoryLevel::Mlock);
        assert!(locked.level().unwrap() <= MemoryLevel::Mlock, "never more than was asked for");
    }

    /// Flags of the mapping that holds `address`, from the kernel's own list.
    #[cfg(target_os = "linux")]
    fn kernel_flags(address: usize) -> Vec<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|first| first.split_once('-'));
            if let Some((Ok(start), Ok(end))) =
                range.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)))
            {
                inside = (start..end).contains(&address);
            }
            if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
                return flags.split_whitespace().map(str::to_owned).collect();
            }
        }
        panic!("no mapping holds the secret");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn kernel_confirms_that_pages_are_locked_and_kept_from_dumps_and_children() {
        for best in [MemoryLevel::Plain, MemoryLevel::Mlock, MemoryLevel::MemfdSecret] {
            let arena = arena_of(best);
            let slot = arena.allocate(1).unwrap();
            let (level, flags) = (arena.level().unwrap(), kernel_flags(slot.start.as_ptr() as usize));
            let has = |flag: &str| flags.iter().any(|found| found == flag);
            assert!(has("dd"), "{level}: not in core dumps: {flags:?}");
            match level {
                MemoryLevel::Plain => assert!(has("wf") && !has("lo"), "{flags:?}"),
                MemoryLevel::Mlock => assert!(has("wf") && has("lo"), "{flags:?}"),
                MemoryLevel::MemfdSecret => assert!(has("dc") && has("lo"), "{flags:?}"),
            }
        }
    }

    #[test]
    fn value_in_the_arena_is_dropped_once_and_then_wiped() {
        struct Counts<'a>(&'a std::cell::Cell<u32>, [u8; 40]);
        impl Drop for Counts<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let drops = std::cell::Cell::new(0);
        let locked = Locked::new(|| Counts(&drops, [7; 40])).unwrap();
        assert_eq!(locked.1, [7; 40]);
        assert_eq!(drops.get(), 0);
        drop(locked);
        assert_eq!(drops.get(), 1);
    }
}
