//! A disk in memory: fails the n-th request, and on power loss forgets what was not synced.

use crate::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Shared>,
    synced_names: BTreeMap<PathBuf, Shared>,
    requests: u64,
    fails_at: Option<u64>,
    syncs_fail: bool,
}

#[derive(Default, Clone)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// The request after `count` more fails, once.
    pub(crate) fn fail_after(&self, count: u64) {
        let mut state = self.0.lock().unwrap();
        state.fails_at = Some(state.requests + count);
    }

    pub(crate) fn heal(&self) {
        let mut state = self.0.lock().unwrap();
        (state.fails_at, state.syncs_fail) = (None, false);
    }

    pub(crate) fn fail_syncs(&self) {
        self.0.lock().unwrap().syncs_fail = true;
    }

    /// Whether the failure asked for has happened.
    pub(crate) fn has_failed(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.fails_at.is_some_and(|at| state.requests > at)
    }

    /// What the next machine start finds: open files are gone, unsynced bytes and names too.
    pub(crate) fn after_power_loss(&self) -> Self {
        let state = self.0.lock().unwrap();
        let names: BTreeMap<PathBuf, Shared> = state
            .synced_names
            .iter()
            .map(|(path, file)| {
                let synced = file.lock().unwrap().synced.clone();
                (path.clone(), Arc::new(Mutex::new(Content { now: synced.clone(), synced })))
            })
            .collect();
        Self(Arc::new(Mutex::new(State { synced_names: names.clone(), names, ..State::default() })))
    }

    /// Changes a file behind the program's back.
    pub(crate) fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.0.lock().unwrap().names[path].lock().unwrap().now);
    }

    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.0.lock().unwrap().names.get(path).map(|file| file.lock().unwrap().now.clone())
    }

    fn request(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.requests += 1;
        let fails = state.fails_at == Some(state.requests - 1);
        if fails { Err(io::Error::other("fails on purpose")) } else { Ok(()) }
    }
}

struct Open {
    disk: MemoryDisk,
    content: Shared,
}

impl DiskFile for Open {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let outcome = self.disk.request();
        let written = if outcome.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let from = usize::try_from(offset).unwrap();
        let mut content = self.content.lock().unwrap();
        if content.now.len() < from + written.len() {
            content.now.resize(from + written.len(), 0);
        }
        content.now[from..from + written.len()].copy_from_slice(written);
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.request()?;
        if self.disk.0.lock().unwrap().syncs_fail {
            return Err(io::Error::other("sync fails on purpose"));
        }
        let mut content = self.content.lock().unwrap();
        content.synced = content.now.clone();
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        self.request()
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.request()?;
        let mut state = self.0.lock().unwrap();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let zeros = vec![0; usize::try_from(len).unwrap()];
        let content = Arc::new(Mutex::new(Content { now: zeros, synced: Vec::new() }));
        state.names.insert(path.to_owned(), Arc::clone(&content));
        drop(state);
        Ok(Arc::new(Open { disk: self.clone(), content }))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        self.request()?;
        let bytes = self.content(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > len_max { Err(io::ErrorKind::InvalidData.into()) } else { Ok(bytes) }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.request()?;
        let state = self.0.lock().unwrap();
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.request()?;
        let mut state = self.0.lock().unwrap();
        let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.request()?;
        self.0.lock().unwrap().names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.request()?;
        let mut state = self.0.lock().unwrap();
        state.synced_names = state.names.clone();
        Ok(())
    }
}
