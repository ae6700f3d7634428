//! Real folders for tests, removed afterwards, and small logs in them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use maitred_engine::conformance::log::Subject;
use maitred_engine::log::Log;
use maitred_storage::disk::RealDisk;
use maitred_storage::log_file::{FileLog, Options};

/// A folder that exists as long as this does.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("log-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn disk(&self) -> RealDisk {
        RealDisk::new(&self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Options with segments so small that tests fill many of them, on a disk that is never nearly full.
pub(crate) fn small(segment_bytes: u64) -> Options {
    Options { log: 0, segment_bytes, free_bytes_min: 0 }
}

/// A file log on a real disk, for the conformance suite.
pub(crate) struct FileSubject(Folder);

impl FileSubject {
    pub(crate) fn boxed() -> Box<dyn Subject> {
        Box::new(FileSubject(Folder::new()))
    }
}

impl Subject for FileSubject {
    fn open(&mut self) -> Box<dyn Log> {
        Box::new(FileLog::open(self.0.disk(), small(16 * 1024)).unwrap().log)
    }
}
