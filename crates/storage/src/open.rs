//! A data folder: what a server keeps on its machine, and the only place that chooses back ends.
//!
//! ```text
//!   DIR/lock         held while in use; names the process
//!   DIR/log/         the log's segments: the truth
//!   DIR/view/        the view's store: disposable
//!   DIR/snapshots/   durable copies of the view: disposable
//!   DIR/keys/        secrets of this folder
//! ```
//!
//! Invariants:
//! - What is made here is readable to its owner alone.
//! - A view's store is only deleted when the log has been judged (see `maitred_engine::witness`).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use maitred_engine::log::{Log, LogError, Tail};
use maitred_engine::store::{Store, StoreError};
use rustix::fs::{FlockOperation, flock};

use crate::disk::{RealDisk, is_full};
use crate::log_file::{FileLog, Options, Preparation, Preparer, Report};
use crate::private;
use crate::view_lmdb::{self, LmdbOptions, LmdbStore};

/// How long the keeper sleeps behind each piece of the next segment: the log's own syncs wait behind what it writes.
const KEEPER_PAUSE_STEP: Duration = Duration::from_millis(20);
/// How long the keeper sleeps while the next segment is ready.
const KEEPER_PAUSE: Duration = Duration::from_millis(50);
/// How long it sleeps on a disk that is nearly full.
const KEEPER_PAUSE_FULL: Duration = Duration::from_secs(1);
/// How deep a data folder's files lie in it.
const LEVELS: u32 = 2;

/// A data folder in use by this process, and by no other.
#[derive(Debug)]
pub struct DataFolder {
    dir: PathBuf,
    /// Where stores stand aside: the folder itself, if it can be written.
    aside: PathBuf,
    /// `None` on a file system that nobody can write, where there is no lock.
    lock: Option<File>,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by process {holder}; stop that process, or choose another folder with --data", .dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The id of the process that has it, as far as it could be read.
        holder: String,
    },
    /// The folder or a file in it cannot be made or read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The view's store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An open log, and what was found when it was opened.
pub struct OpenLog {
    /// The log, at its tail.
    pub log: Box<dyn Log>,
    /// What was found.
    pub report: Report,
    /// What prepares the next segment.
    pub preparer: Preparer<RealDisk>,
}

impl DataFolder {
    /// Takes the folder `dir`, which is made where it does not exist.
    ///
    /// # Errors
    /// [`OpenError::InUse`] names the process that has it.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        private::make_folder(dir).map_err(io(dir))?;
        let path = dir.join("lock");
        let mut options = private::file();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&path).map_err(io(&path))?;
        take_lock(dir, &mut lock)?;
        lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())).map_err(io(&path))?;
        Ok(DataFolder { dir: dir.to_owned(), aside: dir.to_owned(), lock: Some(lock) })
    }

    /// Takes the folder `dir` to look at it. On a file system that can only be read, such as a snapshot of a volume,
    /// stores stand aside in the system's folder for temporary files.
    ///
    /// # Errors
    /// As [`DataFolder::take`].
    pub fn look(dir: &Path) -> Result<Self, OpenError> {
        match Self::take(dir) {
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
            taken => return taken,
        }
        // The file system may be writable elsewhere; a folder that never had a server has no lock.
        let mut lock = File::open(dir.join("lock")).ok();
        if let Some(lock) = &mut lock {
            take_lock(dir, lock)?;
        }
        let aside = std::env::temp_dir().join(format!("maitred-aside-{}", std::process::id()));
        Ok(DataFolder { dir: dir.to_owned(), aside, lock })
    }

    /// Takes from others than the owner what they may do with the folder and all of its files: folders of earlier
    /// builds were open to every reader. Where that is refused, one line of warning says so.
    pub fn tighten(&self) {
        if let Err(error) = private::tighten(&self.dir, LEVELS) {
            tracing::warn!(error = %error, "the data folder's permissions cannot be tightened");
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The disk that holds the log.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn log_disk(&self) -> Result<RealDisk, OpenError> {
        self.disk("log")
    }

    /// The disk that holds the snapshots.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn snapshot_disk(&self) -> Result<RealDisk, OpenError> {
        self.disk("snapshots")
    }

    fn disk(&self, name: &str) -> Result<RealDisk, OpenError> {
        let path = self.dir.join(name);
        RealDisk::new(&path).map_err(|source| OpenError::Io { path, source })
    }

    /// Opens the log that `options` name, if `judge` lets its end pass.
    ///
    /// # Errors
    /// [`OpenError::Log`]; see [`FileLog::open_if`].
    pub fn open_log(
        &self,
        options: Options,
        judge: impl FnOnce(Tail) -> Result<(), LogError>,
    ) -> Result<OpenLog, OpenError> {
        let opened = FileLog::open_if(self.log_disk()?, options, judge)?;
        let preparer = opened.log.preparer();
        Ok(OpenLog { log: Box::new(opened.log), report: opened.report, preparer })
    }

    /// Opens the view's store as an earlier process left it. `None` if there is none, or none that can be used: one
    /// that was written during another boot of the machine is not read, since it is not synced, and a power cut may
    /// have left it in any state.
    ///
    /// # Errors
    /// [`OpenError::Store`].
    pub fn kept_store(&self, boot: &[u8], options: LmdbOptions) -> Result<Option<Arc<dyn Store>>, OpenError> {
        let dir = self.dir.join("view");
        if !self.has_store_of(boot) || !dir.join(view_lmdb::DATA_FILE).exists() {
            return Ok(None);
        }
        let damaged = match LmdbStore::open(&dir, options) {
            Ok(store) => match catch_unwind(AssertUnwindSafe(|| look_into(&store))) {
                Ok(()) => return Ok(Some(Arc::new(store))),
                Err(_) => format!("{}: it cannot be read", dir.display()),
            },
            Err(StoreError::Damaged(what)) => what,
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(
            view.store = damaged,
            "the view's store is damaged; it is built anew, nothing is lost"
        );
        Ok(None)
    }

    /// Opens an empty store for the view. One that is there is deleted unread.
    ///
    /// # Errors
    /// [`OpenError::Store`].
    pub fn new_store(&self, boot: &[u8], options: LmdbOptions) -> Result<Arc<dyn Store>, OpenError> {
        let (dir, marker) = (self.dir.join("view"), self.dir.join("view.boot"));
        LmdbStore::destroy(&dir)?;
        let write = || {
            let mut file = private::file().write(true).create(true).truncate(true).open(&marker)?;
            file.write_all(boot)
        };
        write().map_err(|source| match is_full(&source) {
            true => OpenError::Store(StoreError::Full(format!("no room to build it in {}", dir.display()))),
            false => OpenError::Io { path: marker.clone(), source },
        })?;
        Ok(Arc::new(LmdbStore::open(&dir, options)?))
    }

    /// Whether the view's store was written during this boot of the machine, so that it can be read.
    pub fn has_store_of(&self, boot: &[u8]) -> bool {
        !boot.is_empty() && fs::read(self.dir.join("view.boot")).ok().as_deref() == Some(boot)
    }

    /// Opens an empty store beside the view's, for a rebuild that is compared with it.
    ///
    /// # Errors
    /// [`OpenError::Store`].
    pub fn open_aside(&self, name: &str) -> Result<Arc<dyn Store>, OpenError> {
        let dir = self.aside(name);
        LmdbStore::destroy(&dir)?;
        Ok(Arc::new(LmdbStore::open(&dir, LmdbOptions::default())?))
    }

    /// Opens a copy of the view's store beside it, so that looking at it changes nothing. `None` if there is none.
    ///
    /// # Errors
    /// [`OpenError::Store`].
    pub fn open_copy_aside(&self, name: &str) -> Result<Option<Arc<dyn Store>>, OpenError> {
        let (from, dir) = (self.dir.join("view").join(view_lmdb::DATA_FILE), self.aside(name));
        if !from.exists() {
            return Ok(None);
        }
        LmdbStore::destroy(&dir)?;
        private::make_folder(&dir)
            .and_then(|()| fs::copy(&from, dir.join(view_lmdb::DATA_FILE)))
            .map_err(|source| OpenError::Io { path: dir.clone(), source })?;
        Ok(Some(Arc::new(LmdbStore::open(&dir, LmdbOptions::default())?)))
    }

    /// Removes what stands aside under this name, once nobody has it open any more.
    ///
    /// # Errors
    /// [`OpenError::Store`].
    pub fn remove_aside(&self, name: &str) -> Result<(), OpenError> {
        let dir = self.aside(name);
        LmdbStore::destroy(&dir)?;
        match fs::remove_dir(&dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Io { path: dir, source });
            }
            _ => {}
        }
        if self.aside != self.dir {
            let _ = fs::remove_dir(&self.aside); // another may stand there still
        }
        Ok(())
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.aside.join(format!("view.{name}"))
    }

    /// A secret of this folder: read, or made from `random` the first time.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn secret(&self, name: &str, random: [u8; 32]) -> Result<[u8; 32], OpenError> {
        if let Some(secret) = self.kept_secret(name)? {
            return Ok(secret);
        }
        let path = self.dir.join("keys");
        let io = |source| OpenError::Io { path: path.join(name), source };
        private::make_folder(&path).map_err(io)?;
        let made = private::file().write(true).create_new(true).open(path.join(name));
        made.and_then(|mut file| file.write_all(&random).and_then(|()| file.sync_all())).map_err(io)?;
        Ok(random)
    }

    /// A secret of this folder, if it has been made.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn kept_secret(&self, name: &str) -> Result<Option<[u8; 32]>, OpenError> {
        let path = self.dir.join("keys").join(name);
        let read = match fs::read(&path) {
            Ok(bytes) => {
                bytes.try_into().map(Some).map_err(|_| io::Error::other("the file must have 32 bytes"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        read.map_err(|source| OpenError::Io { path, source })
    }
}

impl Drop for DataFolder {
    /// Whoever looks for the process finds none.
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            let _ = lock.set_len(0); // it may be open for reading alone; who takes it next writes it anew
        }
    }
}

fn take_lock(dir: &Path, lock: &mut File) -> Result<(), OpenError> {
    if flock(&*lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok(());
    }
    let mut holder = String::new();
    let _ = lock.read_to_string(&mut holder); // only for the message
    let holder = if holder.trim().is_empty() { "(unknown)".into() } else { holder.trim().to_owned() };
    Err(OpenError::InUse { dir: dir.to_owned(), holder })
}

/// Reads along both edges of a store. Panics where a page of them is not one.
fn look_into(store: &LmdbStore) {
    let store = store.snapshot();
    let _ = (store.first(&[], &[u8::MAX]), store.last(&[], &[u8::MAX]));
}

/// Names this boot of the machine.
pub fn boot_id() -> Vec<u8> {
    // Without the file no store can be trusted: an empty id matches none.
    fs::read("/proc/sys/kernel/random/boot_id").map(|id| id.trim_ascii().to_vec()).unwrap_or_default()
}

/// The thread that prepares the log's next segment.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts it. `on_broken` is called once when the log cannot be trusted any more.
    pub fn start(preparer: Preparer<RealDisk>, on_broken: impl Fn(&LogError) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            while !stopped.load(Ordering::Relaxed) {
                match preparer.step() {
                    Ok(Preparation::Advanced) => thread::sleep(KEEPER_PAUSE_STEP),
                    Ok(Preparation::Ready) => thread::sleep(KEEPER_PAUSE),
                    Ok(Preparation::NearlyFull) => thread::sleep(KEEPER_PAUSE_FULL),
                    Err(error @ LogError::Broken(_)) => return on_broken(&error),
                    Err(error) => {
                        tracing::warn!(error = %error, "the next segment cannot be prepared; trying again");
                        thread::sleep(KEEPER_PAUSE_FULL);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("maitred-keeper".into()).spawn(run);
        Keeper { stop, thread: thread.expect("a thread can be started") }
    }

    /// Ends it.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join(); // a panic was reported by the thread itself
    }
}
