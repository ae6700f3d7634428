//! Feeds on the disk, from where they are read twice.
//!
//! A spool's name is removed while the file is open, so the system frees it when its last handle closes: on every way
//! out, and when the process is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Failure, READING_MAX};
use crate::outgoing::Validators;
use crate::xml_feed::Options;

/// How spools are named for as long as they have one.
const SUFFIX: &str = ".spool";

/// The folder, and how much of it is taken.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
    bytes_max: u64,
    used: Arc<AtomicU64>,
    number: Arc<AtomicU64>,
}

/// A feed on the disk, whole, as it was served. It is gone when this is dropped.
#[derive(Debug)]
pub struct Spool {
    file: File,
    bytes: u64,
    validators: Validators,
    charset: Option<String>,
    disk: Disk,
}

impl Disk {
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        // A process that was killed between opening a file and removing its name has left it.
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == &SUFFIX[1..]) {
                fs::remove_file(path)?;
            }
        }
        Ok(Disk { folder, bytes_max, used: Arc::default(), number: Arc::default() })
    }

    pub(super) async fn open(
        &self,
        validators: Validators,
        charset: Option<String>,
    ) -> Result<Spool, Failure> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number}{SUFFIX}"));
        let file = on_a_thread(move || nameless(&path)).await?;
        Ok(Spool { file, bytes: 0, validators, charset, disk: self.clone() })
    }

    fn reserve(&self, bytes: u64) -> Result<(), Failure> {
        let fits = |used: u64| Some(used.saturating_add(bytes)).filter(|used| *used <= self.bytes_max);
        let reserved = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        reserved.map(drop).map_err(|_| Failure::NoRoom(self.bytes_max))
    }
}

impl Spool {
    /// To be read from its beginning; each time anew, since all readings share one place in the file.
    ///
    /// # Errors
    /// The file cannot be wound back.
    pub fn rewound(&self) -> io::Result<&File> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(file)
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// To be kept, and sent with the next order, once the feed was believed.
    pub fn validators(&self) -> &Validators {
        &self.validators
    }

    /// What the server called its encoding.
    pub fn charset(&self) -> Option<&str> {
        self.charset.as_deref()
    }

    /// How the feed is to be read: in the encoding that the server named, if the feed names none, and for at most
    /// [`READING_MAX`] from now.
    pub fn options(&self) -> Options {
        let end = Instant::now() + READING_MAX;
        Options {
            charset: self.charset.clone(),
            go_on: Box::new(move || Instant::now() < end),
            ..Options::default()
        }
    }

    /// Writes a piece behind what there is; gives back the empty buffer.
    pub(super) async fn write(mut self, mut piece: Vec<u8>) -> Result<(Self, Vec<u8>), Failure> {
        self.disk.reserve(piece.len() as u64)?;
        self.bytes += piece.len() as u64;
        on_a_thread(move || {
            self.file.write_all(&piece)?;
            piece.clear();
            Ok((self, piece))
        })
        .await
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.disk.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn nameless(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Does what may wait for a disk where nobody else has to.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::from).flatten().map_err(|error| Failure::Unwritten(error.to_string()))
}
