//! A disk in memory that can lose everything that was not synced, in any combination, at any step.
//!
//! ```text
//!   written ──▶ cached, dirty ──sync_data──▶ durable        names: pending ──sync_dir──▶ durable
//! ```
//!
//! A process crash keeps what is cached; a power loss keeps what is durable and any choice of dirty
//! sectors, and the first so many pending changes of names. Space that was never synced may read as
//! anything afterwards. A failed sync leaves pages that look clean and are not on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex};

use maitred_storage::disk::{Disk, DiskFile, SECTOR_BYTES};

/// What stands in space that was allotted to a file and never synced.
const GARBAGE: u8 = 0xA7;
/// Up to so many dirty sectors, every combination of them is tried.
const EXHAUSTIVE_SECTORS_MAX: usize = 6;

#[derive(Clone)]
pub(crate) struct CrashDisk(Arc<Mutex<State>>);

pub(crate) struct CrashFile {
    disk: CrashDisk,
    inode: usize,
}

/// A kind of call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDir,
}

/// What a power loss leaves of what was not synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    kept_sectors: BTreeSet<(usize, usize)>,
    kept_names: usize,
    keeps_length: bool,
}

#[derive(Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    calls: BTreeMap<Call, usize>,
    /// The calls that fail, by kind and number from 0.
    failing: BTreeMap<(Call, usize), io::ErrorKind>,
    /// How many more calls change anything before the process is gone.
    calls_left: Option<usize>,
    /// A byte of a file that cannot be read.
    unreadable: Option<(String, usize)>,
    free_bytes: u64,
    /// What the process did last, so that a sync can be told from another.
    last: String,
    syncs: BTreeSet<String>,
    ignored_sync: Option<String>,
    synced_sectors: Vec<usize>,
}

#[derive(Clone, Default, Hash)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Hash)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

impl CrashDisk {
    pub(crate) fn new() -> Self {
        CrashDisk::from(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            calls: BTreeMap::new(),
            failing: BTreeMap::new(),
            calls_left: None,
            unreadable: None,
            free_bytes: u64::MAX,
            last: "start".to_owned(),
            syncs: BTreeSet::new(),
            ignored_sync: None,
            synced_sectors: Vec::new(),
        })
    }

    /// After `calls` more calls that change something, every call fails.
    pub(crate) fn crash_after(&self, calls: usize) {
        self.state(|state| state.calls_left = Some(calls));
    }

    /// Whether the process is gone.
    pub(crate) fn has_crashed(&self) -> bool {
        self.state(|state| state.calls_left == Some(0))
    }

    /// How many calls of a kind were made since the start.
    pub(crate) fn calls(&self, call: Call) -> usize {
        self.state(|state| state.calls.get(&call).copied().unwrap_or(0))
    }

    /// Lets the next call of a kind fail.
    pub(crate) fn fail_next(&self, call: Call, error: io::ErrorKind) {
        self.fail_nth(call, 0, error);
    }

    /// Lets a call of a kind fail, after so many more that do not.
    pub(crate) fn fail_nth(&self, call: Call, calls_before: usize, error: io::ErrorKind) {
        let nth = self.calls(call) + calls_before;
        self.state(|state| state.failing.insert((call, nth), error));
    }

    /// Reads of this file that touch the byte at `offset` fail.
    pub(crate) fn fail_reads_at(&self, name: &str, offset: usize) {
        self.state(|state| state.unreadable = Some((name.to_owned(), offset)));
    }

    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.state(|state| state.free_bytes = bytes);
    }

    /// Syncs of this kind answer `Ok` and do nothing.
    pub(crate) fn ignore_sync(&self, kind: &str) {
        self.state(|state| state.ignored_sync = Some(kind.to_owned()));
    }

    /// The kinds of sync that were called.
    pub(crate) fn sync_kinds(&self) -> BTreeSet<String> {
        self.state(|state| state.syncs.clone())
    }

    /// How many sectors each sync of data had to write, in order.
    pub(crate) fn synced_sectors(&self) -> Vec<usize> {
        self.state(|state| state.synced_sectors.clone())
    }

    /// The bytes of a file, as the process sees them.
    pub(crate) fn bytes_of(&self, name: &str) -> Vec<u8> {
        self.state(|state| state.inodes[state.names[name]].cached.clone())
    }

    /// Changes a file behind the back of everybody, durably.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.state(|state| {
            let at = state.names[name];
            let inode = &mut state.inodes[at];
            change(&mut inode.cached);
            inode.durable.clone_from(&inode.cached);
        });
    }

    /// All files and what is in them, to tell whether two disks are the same.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.state(|state| {
            let bytes = |inode: &usize| state.inodes[*inode].cached.clone();
            state.names.iter().map(|(name, inode)| (name.clone(), bytes(inode))).collect()
        })
    }

    /// A number that two disks share when they will behave alike.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.state(|state| {
            let mut hasher = DefaultHasher::new();
            (&state.inodes, &state.names, &state.durable_names, &state.pending_names).hash(&mut hasher);
            hasher.finish()
        })
    }

    /// A copy of this disk as a new process finds it.
    pub(crate) fn after_process_crash(&self) -> CrashDisk {
        let mut state = self.state(|state| state.clone());
        state.calls_left = None;
        state.failing.clear();
        state.last = "start".to_owned();
        CrashDisk::from(state)
    }

    /// A copy of this disk as it is after the power was cut.
    pub(crate) fn after_power_loss(&self, loss: &Loss) -> CrashDisk {
        let disk = self.after_process_crash();
        disk.state(|state| {
            for (number, inode) in state.inodes.iter_mut().enumerate() {
                inode.lose(loss, number);
            }
            let pending = std::mem::take(&mut state.pending_names);
            for change in pending.into_iter().take(loss.kept_names) {
                change.apply(&mut state.durable_names);
            }
            state.names = state.durable_names.clone();
        });
        disk
    }

    /// What a power loss may leave: every combination for few dirty sectors, a choice of them for many.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        let (dirty, names, grows) = self.state(|state| {
            let dirty: Vec<_> = state
                .inodes
                .iter()
                .enumerate()
                .flat_map(|(number, inode)| inode.dirty.iter().map(move |sector| (number, *sector)))
                .collect();
            let grows = state.inodes.iter().any(|inode| inode.cached.len() > inode.durable.len());
            (dirty, state.pending_names.len(), grows)
        });
        let mut losses = Vec::new();
        for kept_sectors in choices(&dirty) {
            for kept_names in 0..=names {
                for keeps_length in if grows { &[true, false][..] } else { &[true] } {
                    let (kept_sectors, keeps_length) = (kept_sectors.clone(), *keeps_length);
                    losses.push(Loss { kept_sectors, kept_names, keeps_length });
                }
            }
        }
        losses
    }

    fn from(state: State) -> Self {
        CrashDisk(Arc::new(Mutex::new(state)))
    }

    fn state<T>(&self, see: impl FnOnce(&mut State) -> T) -> T {
        see(&mut self.0.lock().unwrap())
    }

    /// Counts a call that changes something, and fails it where that is due.
    fn call<T>(&self, call: Call, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.state(|state| {
            match &mut state.calls_left {
                Some(0) => return Err(io::Error::other("the process is gone")),
                Some(left) => *left -= 1,
                None => {}
            }
            let nth = state.calls.entry(call).or_default();
            *nth += 1;
            if let Some(kind) = state.failing.get(&(call, *nth - 1)).copied() {
                if call == Call::Sync {
                    // The system gives up on the pages and calls them clean.
                    state.inodes.iter_mut().for_each(|inode| inode.dirty.clear());
                }
                return Err(kind.into());
            }
            act(state)
        })
    }
}

fn choices(dirty: &[(usize, usize)]) -> Vec<BTreeSet<(usize, usize)>> {
    let chosen = |keep: &dyn Fn(usize) -> bool| {
        dirty.iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, sector)| *sector).collect()
    };
    if dirty.len() <= EXHAUSTIVE_SECTORS_MAX {
        return (0..1_usize << dirty.len()).map(|bits| chosen(&|at| bits >> at & 1 == 1)).collect();
    }
    let mut choices = vec![chosen(&|_| false), chosen(&|_| true)];
    for one in 0..dirty.len() {
        choices.push(chosen(&|at| at == one));
        choices.push(chosen(&|at| at != one));
        choices.push(chosen(&|at| at < one));
    }
    choices
}

impl State {
    /// Notes a sync, and says whether it is to do anything.
    fn sync_counts(&mut self, what: &str) -> bool {
        let kind = format!("{what} after {}", self.last);
        self.last = what.to_owned();
        self.syncs.insert(kind.clone());
        self.ignored_sync.as_ref() != Some(&kind)
    }

    fn rename(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn name_of(&self, inode: usize) -> String {
        let name = self.names.iter().find(|(_, number)| **number == inode);
        name.map_or_else(|| "a removed file".to_owned(), |(name, _)| kind_of(name))
    }
}

/// A file's name without its numbers.
fn kind_of(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit() && *c != '-').collect()
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.cached.resize(self.cached.len().max(end), 0);
        self.cached[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    fn lose(&mut self, loss: &Loss, number: usize) {
        let kept = |sector: &usize| loss.kept_sectors.contains(&(number, *sector));
        let end_of = |sector: usize| ((sector + 1) * SECTOR_BYTES).min(self.cached.len());
        let kept_length = self.dirty.iter().copied().filter(kept).map(end_of).max().unwrap_or(0);
        let length = if loss.keeps_length { self.cached.len() } else { kept_length };
        let length = length.max(self.durable.len());
        self.durable.resize(length, GARBAGE);
        for sector in self.dirty.iter().copied().filter(kept) {
            let range = sector * SECTOR_BYTES..end_of(sector);
            self.durable[range.clone()].copy_from_slice(&self.cached[range]);
        }
        self.cached.clone_from(&self.durable);
        self.dirty.clear();
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Link(name, inode) => drop(names.insert(name, inode)),
            NameChange::Unlink(name) => drop(names.remove(&name)),
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
        }
    }
}

impl Disk for CrashDisk {
    type File = CrashFile;

    fn create(&self, name: &str) -> io::Result<CrashFile> {
        self.call(Call::Create, |state| {
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.rename(NameChange::Link(name.to_owned(), inode));
            state.last = format!("create {}", kind_of(name));
            Ok(CrashFile { disk: self.clone(), inode })
        })
    }

    fn open(&self, name: &str) -> io::Result<CrashFile> {
        let inode = self.state(|state| state.names.get(name).copied()).ok_or(io::ErrorKind::NotFound)?;
        Ok(CrashFile { disk: self.clone(), inode })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state(|state| state.names.keys().cloned().collect()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(Call::Rename, |state| {
            assert!(!state.names.contains_key(to), "{to} would be overwritten");
            state.rename(NameChange::Rename(from.to_owned(), to.to_owned()));
            state.last = format!("rename to {}", kind_of(to));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(Call::Remove, |state| {
            let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
            state.free_bytes = state.free_bytes.saturating_add(state.inodes[inode].cached.len() as u64);
            state.rename(NameChange::Unlink(name.to_owned()));
            state.last = format!("remove {}", kind_of(name));
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.call(Call::SyncDir, |state| {
            if state.sync_counts("sync of names") {
                state.pending_names.clear();
                state.durable_names = state.names.clone();
            }
            Ok(())
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state(|state| state.free_bytes))
    }

    fn full_name(&self, name: &str) -> String {
        format!("log/{name}")
    }
}

impl DiskFile for CrashFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state(|state| state.inodes[self.inode].cached.len() as u64))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.state(|state| {
            let at = offset as usize;
            if let Some((name, bad)) = &state.unreadable
                && state.names.get(name) == Some(&self.inode)
                && (at..at + bytes.len()).contains(bad)
            {
                return Err(io::Error::other("a bad sector"));
            }
            let cached = state.inodes[self.inode].cached.get(at..at + bytes.len());
            bytes.copy_from_slice(cached.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.call(Call::Write, |state| {
            let inode = &mut state.inodes[self.inode];
            let grows = (offset + bytes.len() as u64).saturating_sub(inode.cached.len() as u64);
            if grows > state.free_bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.free_bytes -= grows;
            inode.write(bytes, offset as usize);
            let verb = if bytes.iter().all(|byte| *byte == 0) { "zeroing" } else { "writing" };
            state.last = format!("{verb} {}", state.name_of(self.inode));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call(Call::Sync, |state| {
            let counts = state.sync_counts("sync");
            let inode = &mut state.inodes[self.inode];
            state.synced_sectors.push(inode.dirty.len());
            if counts {
                inode.durable.resize(inode.cached.len(), 0);
                for sector in std::mem::take(&mut inode.dirty) {
                    let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(inode.cached.len());
                    inode.durable[range.clone()].copy_from_slice(&inode.cached[range]);
                }
            }
            Ok(())
        })
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.disk.state(|state| {
            let inode = &mut state.inodes[self.inode];
            // Dirty pages stay; an ignored sync leaves some.
            if inode.dirty.is_empty() {
                inode.cached.clone_from(&inode.durable);
            }
            Ok(())
        })
    }
}
