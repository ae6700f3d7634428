//! What a file log's writer, readers and preparer have in common.
//!
//! Invariants:
//! - `published` names only batches that are durable: it is written after the sync that made them so;
//! - once `broken` is set, nothing is written to this log any more;
//! - locks are taken one at a time, except that `spare` is held while the disk is written.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use maitred_core::Seq;
use maitred_engine::log::{LogError, Tail};

use super::Options;
use super::segment::Segment;
use super::spare::Spare;
use crate::disk::Disk;

/// How many segments are kept open to read from.
const HANDLES_MAX: usize = 16;

pub(super) struct Shared<D: Disk> {
    pub(super) disk: D,
    pub(super) options: Options,
    pub(super) spare: Mutex<Spare<D::File>>,
    published: RwLock<Published>,
    /// Open segments, the last used one at the end.
    handles: Mutex<Vec<(Seq, Arc<D::File>)>>,
    /// The first failure after which nothing may be written.
    broken: OnceLock<LogError>,
}

#[derive(Debug)]
struct Published {
    tail: Tail,
    /// Where the tail's frame ends in its segment; nothing but zeros from there on.
    end: u64,
    /// Ascending. The last one is appended to.
    segments: Vec<Arc<Segment>>,
}

impl<D: Disk> Shared<D> {
    pub(super) fn new(
        disk: D,
        options: Options,
        spare: Spare<D::File>,
        (tail, end): (Tail, u64),
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        Shared {
            disk,
            options,
            spare: Mutex::new(spare),
            published: RwLock::new(Published { tail, end, segments }),
            handles: Mutex::default(),
            broken: OnceLock::new(),
        }
    }

    /// The last durable batch.
    pub(super) fn tail(&self) -> Tail {
        self.published.read().unwrap_or_else(PoisonError::into_inner).tail
    }

    /// Lets readers see everything up to `tail`, whose frame ends at `end`.
    pub(super) fn publish(&self, tail: Tail, end: u64) {
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        (published.tail, published.end) = (tail, end);
    }

    /// Adds the segment that is appended to from now on.
    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        self.published.write().unwrap_or_else(PoisonError::into_inner).segments.push(segment);
    }

    /// The first batch of the segment that is appended to, 0 in a log that never had one.
    pub(super) fn newest_first_seq(&self) -> Seq {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        published.segments.last().map_or(0, |segment| segment.header.first_seq)
    }

    /// The segment in which the published batch `seq` stands, the last published batch in it, and where there is nothing
    /// more to read of it.
    pub(super) fn segment_with(&self, seq: Seq) -> (Arc<Segment>, Seq, u64) {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        let after = published.segments.partition_point(|segment| segment.header.first_seq <= seq);
        let segment = &published.segments[after - 1];
        // Before the first batch of a new segment is published, `end` is still that of the segment before.
        let (last, end) = match published.segments.get(after) {
            Some(next) => (next.header.first_seq - 1, segment.header.bytes),
            None => (published.tail.0, published.end),
        };
        (Arc::clone(segment), last, end)
    }

    /// A segment's file, opened to read from.
    pub(super) fn handle(&self, segment: &Segment) -> io::Result<Arc<D::File>> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let first_seq = segment.header.first_seq;
        let (_, file) = match handles.iter().position(|(seq, _)| *seq == first_seq) {
            Some(at) => handles.remove(at),
            None => (first_seq, Arc::new(self.disk.open(&segment.name)?)),
        };
        if handles.len() == HANDLES_MAX {
            handles.remove(0);
        }
        handles.push((first_seq, Arc::clone(&file)));
        Ok(file)
    }

    /// # Errors
    /// [`LogError::Broken`] when a write or a sync has failed before.
    pub(super) fn check_usable(&self) -> Result<(), LogError> {
        self.broken.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Refuses every write from now on. After a failed sync nobody knows what the disk holds, and the
    /// system may report success for pages it has dropped (Rebello et al., "Can Applications Recover from
    /// fsync Failures?", USENIX ATC 2020).
    pub(super) fn broken(&self, doing: &str, name: &str, error: &io::Error) -> LogError {
        let error = broken(&self.disk, doing, name, error);
        let _ = self.broken.set(error.clone());
        error
    }

    /// A failure that left the log as it was.
    pub(super) fn unchanged(&self, doing: &str, name: &str, error: &io::Error) -> LogError {
        unchanged(&self.disk, doing, name, error)
    }
}

/// A failure after which this process must not write to the log.
pub(super) fn broken<D: Disk>(disk: &D, doing: &str, name: &str, error: &io::Error) -> LogError {
    LogError::Broken(format!("{doing} {}: {error}", disk.full_name(name)))
}

/// A failure that left the log as it was.
pub(super) fn unchanged<D: Disk>(disk: &D, doing: &str, name: &str, error: &io::Error) -> LogError {
    LogError::Determinate(format!("{doing} {}: {error}", disk.full_name(name)))
}
