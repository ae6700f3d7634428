//! The log in files: append-only segments, one durable write a batch.
//!
//! ```text
//!   0…01.segment ─▶ 0…0N.segment (appended to) ─▶ next.spare (zeros, made ahead)
//! ```
//!
//! Invariants:
//! - an append writes only sectors known to be zero, in one write and one sync;
//! - readers see a batch after the sync that made it durable, and never before;
//! - after a failed write or sync of a segment nothing is written any more ([`LogError::Broken`]): the
//!   process exits, and the next one finds out what the disk holds;
//! - a segment bears its name only once its header and its zeros are durable.
//!
//! Next: `format` draws the bytes, `recovery` opens a log, `scan` tells torn from damaged, `spare` makes
//! the next segment, [`verify`] serves `check` and the scrub. The lock on the folder is the program's.

mod damage;
mod format;
mod reader;
mod recovery;
mod scan;
mod segment;
mod shared;
mod spare;
pub mod verify;
mod window;

use std::sync::Arc;

use maitred_engine::batch::Sealed;
use maitred_engine::log::{Appended, Log, LogError, LogReader, Tail};

pub use recovery::{Opened, Report, Torn};
pub use spare::{PREPARE_STEP_BYTES, Preparation, Preparer};

use crate::disk::{Disk, DiskFile};
use crate::placement::{Place, confirm, place};
use format::{SECTOR_BYTES, SegmentHeader};
use reader::FileReader;
use segment::{Index, Segment};
use shared::Shared;
use spare::Taken;

/// The length of a segment, unless a batch needs a longer one.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// A disk with less room than this is nearly full: no segment is made that would leave less.
pub const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The number of the log; every segment and batch bears it.
    pub log: u32,
    /// The length of new segments: a multiple of [`crate::disk::SECTOR_BYTES`]. Old ones keep theirs.
    pub segment_bytes: u64,
    /// The room that making a segment must leave on the disk.
    pub free_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { log: 0, segment_bytes: SEGMENT_BYTES, free_bytes_min: FREE_BYTES_MIN }
    }
}

/// A log in the files of one folder, as its one writer holds it.
pub struct FileLog<D: Disk> {
    shared: Arc<Shared<D>>,
    tail: Tail,
    /// `None` until the first batch.
    current: Option<Current<D::File>>,
    /// The frame being written; kept for its memory.
    frame: Vec<u8>,
}

/// The segment that is appended to.
struct Current<F> {
    segment: Arc<Segment>,
    file: F,
    /// Where the next frame goes; nothing but zeros from here on.
    end: u64,
}

impl<D: Disk> FileLog<D> {
    /// Opens the log in the folder `disk`, or begins one there.
    ///
    /// Verifies the newest segment; a batch that a crash tore is cut and its remains are kept beside the
    /// segment. Headers of older segments are checked, their batches when they are read.
    ///
    /// # Errors
    /// [`LogError::DataLoss`], with nothing changed, for anything that a crash cannot have caused.
    /// [`LogError::Broken`] when a sync fails, [`LogError::Full`] when there is no room to keep a torn
    /// batch, [`LogError::Determinate`] when the folder cannot be used.
    ///
    /// # Panics
    /// When `segment_bytes` is not a multiple of a sector.
    pub fn open(disk: D, options: Options) -> Result<Opened<D>, LogError> {
        Self::open_if(disk, options, |_| Ok(()))
    }

    /// The same if `judge` lets its end pass, which is asked before anything is changed: a torn batch's remains may
    /// be what is left of an acknowledged one.
    ///
    /// # Errors
    /// As [`FileLog::open`], and what `judge` says.
    ///
    /// # Panics
    /// As [`FileLog::open`].
    pub fn open_if(
        disk: D,
        options: Options,
        judge: impl FnOnce(Tail) -> Result<(), LogError>,
    ) -> Result<Opened<D>, LogError> {
        recovery::open(disk, options, judge)
    }

    /// What makes the next segment ahead of its use. Without its help, the append that needs a segment
    /// makes it.
    pub fn preparer(&self) -> Preparer<D> {
        Preparer(Arc::clone(&self.shared))
    }

    fn append(&mut self, batch: &Sealed) -> Result<(), LogError> {
        format::encode_frame(batch.header.seq, &batch.bytes, &mut self.frame);
        let frame_bytes = self.frame.len() as u64;
        let current = match &mut self.current {
            Some(current) if current.end + frame_bytes <= current.segment.header.bytes => current,
            current => current.insert(rotate(&self.shared, self.tail, frame_bytes)?),
        };
        let written = current.file.write_at(&self.frame, current.end).and_then(|()| current.file.sync_data());
        written.map_err(|error| self.shared.broken("appending to", &current.segment.name, &error))?;

        current.segment.lock_index().get_or_insert_default().push(current.end);
        current.end += frame_bytes;
        self.tail = (batch.header.seq, batch.hash);
        self.shared.publish(self.tail, current.end);
        Ok(())
    }

    /// The batch that stands where this one would: itself, or another's?
    fn find(&self, batch: &Sealed) -> Result<Appended, LogError> {
        let standing = FileReader(Arc::clone(&self.shared)).read(batch.header.seq, 0)?;
        let same = standing.first().is_some_and(|standing| standing.hash == batch.hash);
        Ok(if same { Appended::Committed } else { Appended::Lost { head: self.tail.0 } })
    }
}

impl<D: Disk> Log for FileLog<D> {
    fn tail(&self) -> Tail {
        self.tail
    }

    fn append_if(&mut self, expected: Tail, batch: &Sealed) -> Result<Appended, LogError> {
        self.shared.check_usable()?;
        match place(self.shared.options.log, self.tail, expected, batch)? {
            Place::Next => self.append(batch).map(|()| Appended::Committed),
            Place::Taken => self.find(batch),
        }
    }

    fn confirm(&mut self, at: Tail) -> Result<(), LogError> {
        confirm(self.tail, at)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(FileReader(Arc::clone(&self.shared)))
    }
}

/// Turns the spare into the segment that follows `tail`, with room for a frame of `frame_bytes`.
fn rotate<D: Disk>(shared: &Shared<D>, tail: Tail, frame_bytes: u64) -> Result<Current<D::File>, LogError> {
    let bytes_min = shared.options.segment_bytes.max(SECTOR_BYTES as u64 + frame_bytes);
    let Taken { file, bytes, lock } = shared.take_spare(bytes_min)?;
    let header = SegmentHeader {
        log: shared.options.log,
        bytes,
        first_seq: tail.0 + 1,
        previous_first_seq: shared.newest_first_seq(),
        prev_hash: tail.1,
    };
    let segment = Arc::new(Segment::new(&shared.disk, header));
    segment.set_index(Index::default());
    let named = file
        .write_at(&header.encode(), 0)
        .and_then(|()| file.sync_data())
        .and_then(|()| shared.disk.rename(spare::SPARE, &segment.name))
        .and_then(|()| shared.disk.sync_dir());
    named.map_err(|error| shared.broken("beginning", &segment.name, &error))?;
    drop(lock);
    shared.add_segment(Arc::clone(&segment));
    Ok(Current { segment, file, end: SECTOR_BYTES as u64 })
}
