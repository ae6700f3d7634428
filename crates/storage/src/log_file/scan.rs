//! Verifying a segment frame by frame, and telling a torn batch from a damaged one.
//!
//! Invariant: nothing is judged torn unless what is missing was never written. An append writes into
//! sectors known to be zero, and every sector it writes is not; so a batch whose append was interrupted
//! lacks a sector, belongs to the number after the last whole batch, and has nothing behind it. Whatever
//! else fails was once whole, and is damage.

use std::ops::Range;

use maitred_core::Seq;
use maitred_engine::batch::{Hash, Sealed};
use maitred_engine::log::Tail;

use super::damage::Damage;
use super::format::{self, FRAME_BYTES_MAX, SECTOR_BYTES, SegmentHeader};
use super::segment::Index;
use super::window::Window;
use crate::disk::DiskFile;

const SECTOR: u64 = SECTOR_BYTES as u64;
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    /// The last whole batch; the one before the segment when it has none.
    pub(super) tail: Tail,
    /// Where the next batch belongs.
    pub(super) end: u64,
    pub(super) index: Index,
    /// The remains of a batch whose append was interrupted. They start at `end`.
    pub(super) torn: Option<Remains>,
}

/// What an interrupted append left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    /// From the frame's first sector to the last one that was written.
    pub(super) bytes: u64,
}

/// Where a frame should be, and what it must say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) log: u32,
    pub(super) seq: Seq,
    /// `None` where the batch before was not read.
    pub(super) prev_hash: Option<Hash>,
    pub(super) offset: u64,
}

/// A frame that cannot be read.
pub(super) struct Unreadable {
    pub(super) damage: Damage,
    /// The frame's length, where all that is known to be wrong is a sector that was never written.
    incomplete: Option<u64>,
}

impl From<Damage> for Unreadable {
    fn from(damage: Damage) -> Self {
        Unreadable { damage, incomplete: None }
    }
}

/// Verifies all of a segment: every frame, the chain from its header on, and the zeros at the end.
///
/// # Errors
/// The first [`Damage`].
pub(super) fn scan_segment<F: DiskFile>(
    file: &F,
    full_name: &str,
    header: &SegmentHeader,
) -> Result<Scan, Damage> {
    let mut window = Window::new(file, header.bytes, READ_AHEAD_BYTES);
    let tail = (header.first_seq - 1, header.prev_hash);
    let mut scan = Scan { tail, end: SECTOR, index: Index::default(), torn: None };
    while scan.end < header.bytes {
        let (seq, offset) = (scan.tail.0 + 1, scan.end);
        let expected = Expected { log: header.log, seq, prev_hash: Some(scan.tail.1), offset };
        let extent = match read_next(&mut window, full_name, header.bytes, expected)? {
            Next::Frame(batch, frame_bytes) => {
                scan.index.push(offset);
                scan.tail = (seq, batch.hash);
                scan.end += frame_bytes;
                continue;
            }
            Next::Unwritten(extent) => extent,
        };
        let bytes = survey(&mut window, full_name, seq, offset..offset + extent, header.bytes)?;
        scan.torn = (bytes > 0).then_some(Remains { bytes });
        break;
    }
    Ok(scan)
}

/// What stands where the next frame belongs.
enum Next {
    /// A sound batch, and its frame's length.
    Frame(Sealed, u64),
    /// No whole batch was ever written here; an interrupted append may have left sectors within so many
    /// bytes.
    Unwritten(u64),
}

fn read_next<F: DiskFile>(
    window: &mut Window<'_, F>,
    full_name: &str,
    segment_bytes: u64,
    expected: Expected,
) -> Result<Next, Damage> {
    let Expected { seq, offset, .. } = expected;
    let first = window.get(offset, SECTOR).map_err(|e| Damage::unreadable(full_name, offset, seq, &e))?;
    if format::is_zero(first) {
        return Ok(Next::Unwritten(FRAME_BYTES_MAX.min(segment_bytes - offset)));
    }
    match read_frame(window, full_name, segment_bytes, expected) {
        Ok((batch, frame_bytes)) => Ok(Next::Frame(batch, frame_bytes)),
        Err(Unreadable { incomplete: Some(frame_bytes), .. }) => Ok(Next::Unwritten(frame_bytes)),
        Err(Unreadable { damage, .. }) => Err(damage),
    }
}

/// Reads and verifies the frame at a place, and gives its batch and its length.
pub(super) fn read_frame<F: DiskFile>(
    window: &mut Window<'_, F>,
    full_name: &str,
    segment_bytes: u64,
    expected: Expected,
) -> Result<(Sealed, u64), Unreadable> {
    let Expected { log, seq, prev_hash, offset } = expected;
    let damaged = |what: &str| Damage::new(full_name, offset, seq, what);
    let (batch_bytes, frame_bytes) = frame_length(window, full_name, segment_bytes, seq, offset)?;
    let frame =
        window.get(offset, frame_bytes).map_err(|e| Damage::unreadable(full_name, offset, seq, &e))?;
    let bytes = format::decode_frame(frame, seq, batch_bytes).map_err(|bad| Unreadable {
        damage: Damage::new(full_name, offset + bad.within, seq, bad.what),
        incomplete: bad.unwritten.then_some(frame_bytes),
    })?;
    let batch = Sealed::verify(bytes).map_err(|error| damaged(&error.to_string()))?;
    if batch.header.seq != seq {
        return Err(damaged(&format!("the frame holds batch {}", batch.header.seq)).into());
    }
    if batch.header.log != log {
        return Err(damaged(&format!("the batch belongs to log {}", batch.header.log)).into());
    }
    if prev_hash.is_some_and(|hash| hash != batch.header.prev_hash) {
        return Err(damaged("it does not follow the batch before: the hashes do not chain").into());
    }
    Ok((batch, frame_bytes))
}

/// The length of the batch at a place, and of its frame.
pub(super) fn frame_length<F: DiskFile>(
    window: &mut Window<'_, F>,
    full_name: &str,
    segment_bytes: u64,
    seq: Seq,
    offset: u64,
) -> Result<(usize, u64), Damage> {
    let damaged = |what: String| Damage::new(full_name, offset, seq, what);
    if offset + SECTOR > segment_bytes {
        return Err(damaged("the segment ends before it".to_owned()));
    }
    let sector = window.get(offset, SECTOR).map_err(|e| Damage::unreadable(full_name, offset, seq, &e))?;
    let batch_bytes = format::decode_frame_header(sector, seq).map_err(damaged)?;
    let frame_bytes = format::frame_bytes(batch_bytes);
    if offset + frame_bytes > segment_bytes {
        return Err(damaged("the batch is longer than the rest of its segment".to_owned()));
    }
    Ok((batch_bytes, frame_bytes))
}

/// Looks at every sector from the start of `extent` to the end of the segment: within `extent`, only sectors
/// of batch `seq` and such as were never written may stand; behind it, only the latter. Gives the length from
/// the start to the last sector that was written.
fn survey<F: DiskFile>(
    window: &mut Window<'_, F>,
    full_name: &str,
    seq: Seq,
    extent: Range<u64>,
    segment_bytes: u64,
) -> Result<u64, Damage> {
    let mut bytes = 0;
    for offset in (extent.start..segment_bytes).step_by(SECTOR_BYTES) {
        let damaged = |what: String| Damage::new(full_name, offset, seq, what);
        let sector =
            window.get(offset, SECTOR).map_err(|e| Damage::unreadable(full_name, offset, seq, &e))?;
        if format::is_zero(sector) {
            continue;
        }
        if offset >= extent.end {
            return Err(damaged(format!("bytes stand behind the place of batch {seq}, which is not whole")));
        }
        if sector[0] != format::stamp(seq, offset == extent.start) {
            return Err(damaged(format!("a sector that is not one of batch {seq} stands in its place")));
        }
        bytes = offset + SECTOR - extent.start;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io;

    use maitred_engine::batch::GENESIS;
    use maitred_engine::conformance::log::{batch_after, tail_after};

    use super::*;

    /// A segment's bytes.
    struct Bytes(Vec<u8>);

    impl DiskFile for Bytes {
        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            let at = offset as usize;
            let from = self.0.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            bytes.copy_from_slice(from);
            Ok(())
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn drop_cache(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Scans a segment of `sectors` sectors that holds these frames.
    fn scan(sectors: usize, frames: &[Vec<u8>]) -> Result<Scan, String> {
        let mut bytes = vec![0; SECTOR_BYTES];
        bytes.extend(frames.concat());
        bytes.resize(sectors * SECTOR_BYTES, 0);
        let header = SegmentHeader {
            log: 0,
            bytes: bytes.len() as u64,
            first_seq: 1,
            previous_first_seq: 0,
            prev_hash: GENESIS,
        };
        scan_segment(&Bytes(bytes), "segment", &header).map_err(|damage| damage.to_string())
    }

    fn frame(seq: Seq, batch: &Sealed) -> Vec<u8> {
        let mut frame = Vec::new();
        format::encode_frame(seq, &batch.bytes, &mut frame);
        frame
    }

    #[test]
    fn a_segment_may_be_full_to_its_last_sector() {
        let first = batch_after((0, GENESIS), 1, 100);
        let second = batch_after(tail_after(&first), 2, 800);
        let frames = [frame(1, &first), frame(2, &second)];
        let full = scan(4, &frames).unwrap();
        assert_eq!((full.tail, full.end, full.torn), (tail_after(&second), 4 * SECTOR, None));
    }

    #[test]
    fn a_frame_around_a_batch_of_another_number_is_damage() {
        let first = batch_after((0, GENESIS), 1, 100);
        let second = batch_after(tail_after(&first), 2, 100);
        let third = batch_after(tail_after(&second), 3, 100);
        let what = scan(8, &[frame(1, &first), frame(2, &third)]).unwrap_err();
        assert_eq!(what, "segment, byte 1024, batch 2: the frame holds batch 3");
    }

    #[test]
    fn a_frame_that_reaches_beyond_its_segment_is_damage() {
        let long = frame(1, &batch_after((0, GENESIS), 1, 2_000));
        let what = scan(4, &[long[..3 * SECTOR_BYTES].to_vec()]).unwrap_err();
        assert_eq!(what, "segment, byte 512, batch 1: the batch is longer than the rest of its segment");
    }
}
