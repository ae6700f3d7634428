//! A view's store in LMDB: one file, read through a memory map.
//!
//! Invariants:
//! - A commit does not sync: after a power cut the file may hold anything. Whoever opens it compares the
//!   boot id in it, and calls [`LmdbStore::destroy`] if the machine has been restarted since.
//! - No `WRITE_MAP`: a full disk is then an error of `write`, not a fault on a page.
//! - The table of readers, which LMDB does write through a map, has its room on the disk before that.
//! - A snapshot keeps the pages of its moment, so one that is held for long makes the file grow.
//!
//! Next: `snapshot.rs` for reading; `write_back.rs` for how what was written reaches the disk.

mod snapshot;
mod write_back;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, PutFlags, RwTxn, WithoutTls,
    types::Bytes,
};
use maitred_engine::store::{Change, Store, StoreError, StoreSnapshot};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use self::{snapshot::LmdbSnapshot, write_back::WriteBack};
use crate::{disk::is_full, private};

/// The size up to which a store may grow: address space that is reserved, not memory or disk.
pub const MAP_BYTES_DEFAULT: usize = 64 * 1024 * 1024 * 1024;
/// How many snapshots may be held at once, each 64 bytes of a shared table. Requests hold one while they
/// read and none while they wait, so this is far above the number of threads.
pub const SNAPSHOTS_MAX_DEFAULT: u32 = 4096;

/// The name of the file that holds all of a store.
pub const DATA_FILE: &str = "data.mdb";
/// The name of the file of its table of readers.
const READERS_FILE: &str = "lock.mdb";
/// What LMDB has in there for each reader, and what it has besides, rounded up.
const READER_BYTES: u64 = 64;
const READERS_HEADER_BYTES: u64 = 4096;
/// A write that a disk takes a part of is an I/O error to LMDB. With less free than this, the disk is full.
const FULL_BYTES: u64 = 1024 * 1024;

/// A page of the file is one of the system's: at least as long as this.
const PAGE_BYTES_MIN: u64 = 4096;

/// The database: the unnamed one, since there is no other.
type Entries = Database<'static, Bytes, Bytes>;

/// The bounds of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LmdbOptions {
    /// The size up to which it may grow, in bytes; a multiple of 4096. Past it, writes answer
    /// [`StoreError::Full`], deletes too, since they need pages of their own: it is to be opened with more.
    pub map_bytes: usize,
    /// How many snapshots may be held at once. One more panics.
    pub snapshots_max: u32,
}

impl Default for LmdbOptions {
    fn default() -> Self {
        LmdbOptions { map_bytes: MAP_BYTES_DEFAULT, snapshots_max: SNAPSHOTS_MAX_DEFAULT }
    }
}

/// A store in one folder of its own.
#[derive(Debug)]
pub struct LmdbStore {
    env: Env<WithoutTls>,
    entries: Entries,
    options: LmdbOptions,
    write_back: WriteBack,
}

impl LmdbStore {
    /// Opens the store in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file is not LMDB's or was cut short, [`StoreError::Full`] when there is no room for an empty
    /// one, [`StoreError::Failed`] when this process has it open already, or when the folder cannot be used.
    pub fn open(dir: &Path, options: LmdbOptions) -> Result<Self, StoreError> {
        let context = |error: heed::Error| match error {
            heed::Error::EnvAlreadyOpened => {
                StoreError::Failed(format!("{} is open already in this process", dir.display()))
            }
            other => fault(dir, options, other),
        };
        private::make_folder(dir)
            .and_then(|()| reserve_readers(dir, options))
            .map_err(|error| context(error.into()))?;
        let env = open_env(dir, options).map_err(context)?;
        require_whole(dir, &env).map_err(context)?;
        let open_entries = || -> heed::Result<Entries> {
            let created = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
                opener.create_database(txn, None).map(CommitOrAbort::<_, ()>::Commit)
            })?;
            Ok(created.unwrap_commit())
        };
        let entries = open_entries().map_err(context)?;
        let write_back = WriteBack::of(env.try_clone_inner_file().map_err(context)?);
        Ok(LmdbStore { env, entries, options, write_back })
    }

    /// Deletes the store in `dir`, whatever state it is in. One that is not there is deleted already.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when this process has it open, or when its files cannot be deleted.
    pub fn destroy(dir: &Path) -> Result<(), StoreError> {
        let failed = |what: String| StoreError::Failed(format!("{}: {what}", dir.display()));
        let Ok(whole) = dir.canonicalize() else { return Ok(()) };
        if heed::env_closing_event(&whole).is_some() {
            return Err(failed("cannot be destroyed while it is open".into()));
        }
        for file in files(&whole) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(error.to_string()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The size of its file, in bytes.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn file_bytes(&self) -> Result<u64, StoreError> {
        self.env.real_disk_size().map_err(|error| self.error(error))
    }

    /// Puts and deletes, without committing.
    fn apply(&self, txn: &mut RwTxn<'_>, changes: &mut dyn Iterator<Item = Change<'_>>) -> heed::Result<()> {
        let last = self.entries.last(txn)?.map(|(key, _)| key.to_vec());
        // From the first key behind all others on, LMDB needs no search, and fills its pages.
        let mut behind_all = last.is_none();
        for (key, value) in changes {
            behind_all = behind_all || last.as_deref() < Some(key);
            match value {
                Some(value) if behind_all => {
                    self.entries.put_with_flags(txn, PutFlags::APPEND, key, value)?;
                }
                Some(value) => self.entries.put(txn, key, value)?,
                None if behind_all => {}
                None => drop(self.entries.delete(txn, key)?),
            }
        }
        Ok(())
    }

    fn transaction(&self, change: impl FnOnce(&mut RwTxn<'_>) -> heed::Result<()>) -> Result<(), StoreError> {
        let run = || {
            let mut txn = self.env.write_txn()?;
            change(&mut txn)?;
            txn.commit()
        };
        run().map_err(|error| self.error(error))
    }

    fn error(&self, error: heed::Error) -> StoreError {
        fault(self.env.path(), self.options, error)
    }
}

/// What an error of the store in `dir` means.
fn fault(dir: &Path, options: LmdbOptions, error: heed::Error) -> StoreError {
    let path = dir.display();
    match error {
        heed::Error::Mdb(MdbError::MapFull) => {
            StoreError::Full(format!("{path} has reached its {} bytes (map_bytes)", options.map_bytes))
        }
        heed::Error::Mdb(
            error @ (MdbError::Invalid
            | MdbError::VersionMismatch
            | MdbError::Corrupted
            | MdbError::PageNotFound
            | MdbError::Incompatible),
        ) => StoreError::Damaged(format!("{path}: {error}")),
        heed::Error::Io(error) if is_full(&error) => StoreError::Full(format!("{path}: {error}")),
        heed::Error::Io(error)
            if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) && is_disk_full(dir) =>
        {
            StoreError::Full(format!("{path}: no space left on device"))
        }
        other => StoreError::Failed(format!("{path}: {other}")),
    }
}

/// Refuses a file that is shorter than what it is known to hold: a page that is not there would be a signal, and the end
/// of the process.
fn require_whole(dir: &Path, env: &Env<WithoutTls>) -> heed::Result<()> {
    let pages = env.info().last_page_number as u64 + 1;
    let wanted = pages.saturating_mul(PAGE_BYTES_MIN);
    if fs::metadata(dir.join(DATA_FILE))?.len() < wanted {
        return Err(MdbError::PageNotFound.into());
    }
    Ok(())
}

fn is_disk_full(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BYTES)
}

/// Takes the room that the table of readers will need. It is written through a map: where the disk is full, that
/// would be a signal rather than an error. Its length stays LMDB's.
fn reserve_readers(dir: &Path, options: LmdbOptions) -> io::Result<()> {
    let file = private::file().write(true).create(true).truncate(false).open(dir.join(READERS_FILE))?;
    let bytes = u64::from(options.snapshots_max) * READER_BYTES + READERS_HEADER_BYTES;
    match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes).map_err(io::Error::from) {
        Err(error) if is_full(&error) => Err(error),
        _ => Ok(()), // a file system that cannot do this is as good as it is
    }
}

impl Store for LmdbStore {
    /// # Panics
    /// When `snapshots_max` are held already: somebody leaks them, or keeps them while waiting.
    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        let begin = || self.env.clone().static_read_txn();
        let txn = begin().or_else(|error| match error {
            heed::Error::Mdb(MdbError::ReadersFull) => {
                // Slots of processes that died are only given back on demand.
                self.env.clear_stale_readers()?;
                begin()
            }
            other => Err(other),
        });
        match txn {
            Ok(txn) => Box::new(LmdbSnapshot::new(txn, self.entries)),
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                panic!("{} snapshots of a view are held at once (snapshots_max)", self.options.snapshots_max)
            }
            Err(error) => panic!("a view's store cannot be read: {error}"),
        }
    }

    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StoreError> {
        self.transaction(|txn| self.apply(txn, changes))
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.transaction(|txn| self.entries.clear(txn))
    }

    fn ease(&self) {
        self.write_back.note();
    }
}

/// The files of a store.
fn files(dir: &Path) -> [PathBuf; 2] {
    [DATA_FILE, READERS_FILE].map(|name| dir.join(name))
}

fn open_env(dir: &Path, options: LmdbOptions) -> heed::Result<Env<WithoutTls>> {
    let mut open = EnvOpenOptions::new().read_txn_without_tls();
    open.map_size(options.map_bytes).max_readers(options.snapshots_max);
    // Reads are of random keys: what the kernel would read ahead pushes better pages out of its cache.
    let flags = EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::NO_READ_AHEAD;
    #[expect(unsafe_code, reason = "LMDB reads its file through a memory map")]
    // SAFETY: Both flags against syncing give up nothing but durability, which a view does not need: after a
    // power cut the file is deleted unread. The map is sound as long as nothing but LMDB changes the file:
    // the data folder is locked against other processes of ours, `heed` refuses to open a path twice in one
    // process, and `destroy` refuses to touch an open one. `NO_LOCK` and `WRITE_MAP` are not used.
    unsafe {
        open.flags(flags).open(dir)
    }
}
