//! Where a layer's values stand: chunks that are filled by the writer and closed before others see them.
//!
//! Invariants: a closed chunk never changes; a [`Place`] stays valid as long as the layer; finding the
//! bytes of a place takes no lock and counts no reference.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

/// A chunk is closed before it would grow past this, unless one value alone is longer.
const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// How many chunks the first segment of the table has; each next one has twice as many.
const SEGMENT_CHUNKS_FIRST: u32 = 64;
/// Enough segments for every 32-bit chunk number.
const SEGMENTS: usize = 27;

type Chunk = OnceLock<Box<[u8]>>;

/// Where a value stands. Twelve bytes, also within an `Option`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    chunk: NonZeroU32,
    offset: u32,
    len: u32,
}

/// The closed chunks, by number from 1. The table grows by segments, so that what stands in it never moves.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    segments: [OnceLock<Box<[Chunk]>>; SEGMENTS],
}

impl Chunks {
    /// The bytes of a value. `open` is the chunk that is not closed yet, if the reader is the writer.
    pub(super) fn at<'a>(&'a self, place: Place, open: &'a [u8]) -> &'a [u8] {
        let (segment, index) = address(place.chunk);
        let closed = self.segments[segment].get().and_then(|segment| segment[index].get());
        let chunk = closed.map_or(open, |chunk| chunk);
        &chunk[place.offset as usize..][..place.len as usize]
    }
}

/// In which segment a chunk stands, and where in it.
fn address(chunk: NonZeroU32) -> (usize, usize) {
    let number = u64::from(chunk.get()) - 1 + u64::from(SEGMENT_CHUNKS_FIRST);
    let segment = number.ilog2() - SEGMENT_CHUNKS_FIRST.ilog2();
    (segment as usize, (number - (u64::from(SEGMENT_CHUNKS_FIRST) << segment)) as usize)
}

/// The writer's side: the table of closed chunks and the open one.
#[derive(Debug)]
pub(super) struct Arena {
    chunks: Arc<Chunks>,
    open: Vec<u8>,
    /// The number that the open chunk will have.
    number: NonZeroU32,
    /// The bytes of closed chunks and of the table.
    bytes_closed: usize,
}

impl Default for Arena {
    fn default() -> Self {
        let bytes_closed = size_of::<Chunks>();
        Arena { chunks: Arc::default(), open: Vec::new(), number: NonZeroU32::MIN, bytes_closed }
    }
}

impl Arena {
    pub(super) fn chunks(&self) -> &Arc<Chunks> {
        &self.chunks
    }

    pub(super) fn open(&self) -> &[u8] {
        &self.open
    }

    pub(super) fn push(&mut self, value: &[u8]) -> Place {
        if self.open.len() + value.len() > CHUNK_BYTES_MAX {
            self.close();
        }
        let len = u32::try_from(value.len()).expect("a value is shorter than 4 GiB");
        let place = Place { chunk: self.number, offset: self.open.len() as u32, len };
        self.open.extend_from_slice(value);
        place
    }

    /// Closes the open chunk, so that views frozen from now on see it. Empty values alone need no chunk:
    /// they are found in whatever is open.
    pub(super) fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (segment, index) = address(self.number);
        let segment = self.chunks.segments[segment].get_or_init(|| {
            let chunks = SEGMENT_CHUNKS_FIRST as usize * (1 << segment);
            self.bytes_closed += chunks * size_of::<Chunk>();
            (0..chunks).map(|_| Chunk::new()).collect()
        });
        // The next chunk is likely to become as long as this one.
        let next = Vec::with_capacity(self.open.len().min(CHUNK_BYTES_MAX));
        let chunk = std::mem::replace(&mut self.open, next).into_boxed_slice();
        self.bytes_closed += chunk.len();
        segment[index].set(chunk).expect("every chunk is closed once");
        self.number = self.number.checked_add(1).expect("a layer is flushed long before 4 billion chunks");
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes_closed + self.open.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_has_an_address_of_its_own() {
        let mut expected = (0, 0);
        for number in 1..100_000 {
            assert_eq!(address(NonZeroU32::new(number).unwrap()), expected, "chunk {number}");
            expected.1 += 1;
            if expected.1 == 64 << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(address(NonZeroU32::MAX).0 < SEGMENTS);
    }

    #[test]
    fn a_value_longer_than_a_chunk_stands_alone_in_one() {
        let mut arena = Arena::default();
        let long = vec![7; CHUNK_BYTES_MAX + 1];
        let places = [arena.push(b"before"), arena.push(&long), arena.push(b""), arena.push(b"behind")];
        arena.close();
        let values = places.map(|place| arena.chunks.at(place, &[]));
        assert_eq!(values, [&b"before"[..], &long, b"", b"behind"]);
        assert!(arena.bytes() > long.len());
    }
}
