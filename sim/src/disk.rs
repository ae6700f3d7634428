//! A disk that keeps its promises and no others.
//!
//! What was written is seen by reads at once, and survives the end of the process. It survives a power cut
//! only where a sync that covers it returned; of everything else each sector is the old one or any of those
//! written since, a new length counts or does not, and of the names that were changed since the last sync
//! of the folder a prefix counts.
//!
//! Faults: a power cut or the end of the process at any operation, a failing sync, a full disk. A disk can
//! also be told to ignore syncs, which no honest disk does: the checkers must notice.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use maitred_storage::disk::{Disk, DiskFile, SECTOR_BYTES};

use crate::random::Random;

/// How a disk misbehaves.
#[derive(Debug, Clone, Default)]
pub struct DiskFaults {
    /// After this many more operations that change something, every operation fails: the machine is down.
    pub down_after: Option<u64>,
    /// The next sync of a file fails.
    pub sync_fails: bool,
    /// Bytes that may still be written to new places.
    pub free_bytes: u64,
    /// Syncs of files answer without doing anything.
    pub ignores_sync: bool,
    /// Syncs of the folder answer without doing anything.
    pub ignores_sync_dir: bool,
}

/// A simulated disk. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changed_names: Vec<NameChange>,
    faults: DiskFaults,
    down: bool,
    counts: DiskCounts,
}

/// What happened to a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskCounts {
    /// Syncs that returned.
    pub syncs: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Sectors that a power cut took back to something older.
    pub lost_sectors: u64,
    /// Name changes that a power cut took back.
    pub lost_names: u64,
    /// Writes that were refused for lack of room.
    pub full: u64,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, usize),
    Remove(String),
}

#[derive(Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    /// For each sector written since the last sync, what stood there after each write.
    unsynced: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Default for SimDisk {
    fn default() -> Self {
        let faults = DiskFaults { free_bytes: u64::MAX, ..DiskFaults::default() };
        SimDisk(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changed_names: Vec::new(),
            faults,
            down: false,
            counts: DiskCounts::default(),
        })))
    }
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the simulation has one thread")
    }

    /// A healthy disk with the same files, all of them durable.
    pub fn copy(&self) -> SimDisk {
        let (copy, from) = (SimDisk::default(), self.state());
        let mut to = copy.state();
        for (name, inode) in &from.names {
            let content = from.inodes[*inode].content.clone();
            let place = to.inodes.len();
            to.names.insert(name.clone(), place);
            to.inodes.push(Inode { durable: content.clone(), content, unsynced: BTreeMap::new() });
        }
        to.durable_names = to.names.clone();
        drop(to);
        copy
    }

    /// Changes how the disk misbehaves.
    pub fn set_faults(&self, change: impl FnOnce(&mut DiskFaults)) {
        change(&mut self.state().faults);
    }

    /// Whether the machine went down in the middle of an operation.
    pub fn is_down(&self) -> bool {
        self.state().down
    }

    /// What happened so far.
    pub fn counts(&self) -> DiskCounts {
        self.state().counts
    }

    /// The process ends and begins again: nothing that was written is lost.
    pub fn restart_process(&self) {
        let mut state = self.state();
        state.down = false;
        state.faults.down_after = None;
        state.faults.sync_fails = false;
    }

    /// The power is cut and comes back. `keep_of_8` of eight unsynced changes survive, each by its own lot.
    pub fn cut_power(&self, random: &mut Random, keep_of_8: u64) {
        let mut state = self.state();
        let state = &mut *state;
        for inode in &mut state.inodes {
            state.counts.lost_sectors += inode.cut_power(random, keep_of_8);
        }
        let kept = state.changed_names.iter().take_while(|_| random.chance(keep_of_8, 8)).count();
        state.counts.lost_names += (state.changed_names.len() - kept) as u64;
        let mut names = std::mem::take(&mut state.durable_names);
        for change in state.changed_names.drain(..).take(kept) {
            apply(&mut names, change);
        }
        state.durable_names = names.clone();
        state.names = names;
        state.down = false;
        state.faults.down_after = None;
        state.faults.sync_fails = false;
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.retain(|_, at| *at != inode);
            names.insert(name, inode);
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
    }
}

impl Inode {
    fn cut_power(&mut self, random: &mut Random, keep_of_8: u64) -> u64 {
        let mut lost = 0;
        let longer = self.content.len() > self.durable.len();
        let mut content = std::mem::take(&mut self.durable);
        if longer && random.chance(keep_of_8, 8) {
            content.resize(self.content.len(), 0);
        }
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            let start = sector * SECTOR_BYTES;
            if start >= content.len() || !random.chance(keep_of_8, 8) {
                lost += 1;
                continue;
            }
            let version = random.pick(&versions);
            let end = content.len().min(start + version.len());
            content[start..end].copy_from_slice(&version[..end - start]);
        }
        self.durable.clone_from(&content);
        self.content = content;
        lost
    }

    fn write_at(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.content.len() {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let start = sector * SECTOR_BYTES;
            let stop = self.content.len().min(start + SECTOR_BYTES);
            self.unsynced.entry(sector).or_default().push(self.content[start..stop].to_vec());
        }
    }
}

impl State {
    /// Counts an operation that changes something; the machine may go down at it, before it happens.
    fn step(&mut self) -> io::Result<()> {
        self.up()?;
        if let Some(left) = &mut self.faults.down_after {
            if *left == 0 {
                self.down = true;
                return self.up();
            }
            *left -= 1;
        }
        Ok(())
    }

    fn up(&self) -> io::Result<()> {
        if self.down { Err(io::Error::other("the machine is down")) } else { Ok(()) }
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.up()?;
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.changed_names.push(change);
    }
}

/// An open file of a simulated disk.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.state();
        state.step()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change_name(NameChange::Set(name.to_owned(), inode));
        Ok(SimFile { disk: self.clone(), inode })
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let inode = self.state().inode(name)?;
        Ok(SimFile { disk: self.clone(), inode })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.up()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let inode = state.inode(from)?;
        assert!(!state.names.contains_key(to), "nothing is renamed over another file");
        state.change_name(NameChange::Set(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.inode(name)?;
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.faults.ignores_sync_dir {
            state.durable_names = state.names.clone();
            state.changed_names.clear();
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state();
        state.up()?;
        Ok(state.faults.free_bytes)
    }

    fn full_name(&self, name: &str) -> String {
        format!("(simulated) {name}")
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.up()?;
        Ok(state.inodes[self.inode].content.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        state.up()?;
        let content = &state.inodes[self.inode].content;
        let start = usize::try_from(offset).expect("simulated files are small");
        let found = content.get(start..start + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let start = usize::try_from(offset).expect("simulated files are small");
        let grows = (start + bytes.len()).saturating_sub(state.inodes[self.inode].content.len()) as u64;
        if let Err(down) = state.step() {
            if state.faults.down_after == Some(0) {
                // The process may end in the middle of a write.
                let half = bytes.len() / 2 / SECTOR_BYTES * SECTOR_BYTES;
                state.inodes[self.inode].write_at(&bytes[..half], start);
                state.faults.down_after = None;
            }
            return Err(down);
        }
        if grows > state.faults.free_bytes {
            state.counts.full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.faults.free_bytes -= grows;
        state.inodes[self.inode].write_at(bytes, start);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        if std::mem::take(&mut state.faults.sync_fails) {
            state.counts.failed_syncs += 1;
            return Err(io::Error::other("the disk could not write (simulated)"));
        }
        state.counts.syncs += 1;
        if !state.faults.ignores_sync {
            let inode = &mut state.inodes[self.inode];
            inode.durable.clone_from(&inode.content);
            inode.unsynced.clear();
        }
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        // After a successful sync the disk holds what memory holds.
        self.disk.state().up()
    }
}
