//! Reading batches back, from any thread, while the log is appended to.
//!
//! Invariant: every batch that leaves here was published, and passed its checksum, its hash, and the chain
//! to the batch before it in the same answer.

use std::sync::Arc;

use maitred_core::Seq;
use maitred_engine::batch::Sealed;
use maitred_engine::log::{LogError, LogReader, Tail};

use super::damage::Damage;
use super::format::SECTOR_BYTES;
use super::scan::{Expected, frame_length, read_frame};
use super::segment::{Index, Segment};
use super::shared::Shared;
use super::window::Window;
use crate::disk::{Disk, DiskFile};

/// The least and the most that is read from the disk at once; between them, as much as was asked for.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// How much is read at once to build an index.
const INDEX_READ_BYTES: usize = 64 * 1024;

pub(super) struct FileReader<D: Disk>(pub(super) Arc<Shared<D>>);

/// The answer to a read, growing.
struct Chunk {
    batches: Vec<Sealed>,
    bytes: usize,
    bytes_max: usize,
}

impl<D: Disk> LogReader for FileReader<D> {
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Sealed>, LogError> {
        let mut chunk = Chunk { batches: Vec::new(), bytes: 0, bytes_max };
        let tail = self.0.tail().0;
        let mut next = from.max(1);
        while next <= tail {
            let (segment, last, end) = self.0.segment_with(next);
            let last = last.min(tail);
            if !self.read_segment(&segment, end, (next, last), &mut chunk)? {
                break;
            }
            next = last + 1;
        }
        Ok(chunk.batches)
    }

    fn tail(&self) -> Tail {
        self.0.tail()
    }
}

impl<D: Disk> FileReader<D> {
    /// Reads batches `from` to `last` of a segment that is read up to `end`, and says whether the chunk had room for all
    /// of them.
    fn read_segment(
        &self,
        segment: &Segment,
        end: u64,
        (from, last): (Seq, Seq),
        chunk: &mut Chunk,
    ) -> Result<bool, Damage> {
        let (header, name) = (&segment.header, &segment.full_name);
        let file = self.0.handle(segment).map_err(|error| Damage::unreadable(name, 0, from, &error))?;
        let mut offset = locate(segment, &*file, from, last)?;
        let ahead = chunk.bytes_max.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let mut window = Window::new(&*file, end, ahead);
        for seq in from..=last {
            let (batch_bytes, _) = frame_length(&mut window, name, header.bytes, seq, offset)?;
            if !chunk.has_room_for(batch_bytes) {
                return Ok(false);
            }
            let prev_hash = match chunk.batches.last() {
                None if seq == header.first_seq => Some(header.prev_hash),
                previous => previous.map(|batch| batch.hash),
            };
            let expected = Expected { log: header.log, seq, prev_hash, offset };
            let (batch, frame_bytes) = read_frame(&mut window, name, header.bytes, expected)
                .map_err(|unreadable| unreadable.damage)?;
            chunk.bytes += batch_bytes;
            chunk.batches.push(batch);
            offset += frame_bytes;
        }
        Ok(true)
    }
}

impl Chunk {
    fn has_room_for(&self, batch_bytes: usize) -> bool {
        self.batches.is_empty() || self.bytes.saturating_add(batch_bytes) <= self.bytes_max
    }
}

/// Where batch `seq` starts. A segment that was not read from before gets its index first.
fn locate<F: DiskFile>(segment: &Segment, file: &F, seq: Seq, last: Seq) -> Result<u64, Damage> {
    let (header, name) = (&segment.header, &segment.full_name);
    let mut guard = segment.lock_index();
    let index = match &mut *guard {
        Some(index) => index,
        none => none.insert(build_index(segment, file, last)?),
    };
    let (nth, mut offset) = index.at_or_before(seq - header.first_seq);
    drop(guard);
    let mut window = Window::new(file, header.bytes, READ_BYTES_MIN);
    for before in header.first_seq + nth..seq {
        offset += frame_length(&mut window, name, header.bytes, before, offset)?.1;
    }
    Ok(offset)
}

fn build_index<F: DiskFile>(segment: &Segment, file: &F, last: Seq) -> Result<Index, Damage> {
    let (header, name) = (&segment.header, &segment.full_name);
    let mut window = Window::new(file, header.bytes, INDEX_READ_BYTES);
    let mut index = Index::default();
    let mut offset = SECTOR_BYTES as u64;
    for seq in header.first_seq..=last {
        let (_, frame_bytes) = frame_length(&mut window, name, header.bytes, seq, offset)?;
        index.push(offset);
        offset += frame_bytes;
    }
    Ok(index)
}
