//! A segment: its names, and where in it each batch starts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use maitred_core::Seq;
use maitred_engine::log::LogError;

use super::damage::Damage;
use super::format::{SECTOR_BYTES, SegmentHeader};
use crate::disk::{Disk, DiskFile};

const SUFFIX: &str = ".segment";
const TORN: &str = ".torn";
/// What is written under this ending has not been finished.
pub(super) const UNFINISHED: &str = ".new";

/// Every so many batches, the index knows one's place; those between are found by walking.
const INDEX_STEP: u64 = 16;

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) name: String,
    /// The file's full name, for messages.
    pub(super) full_name: String,
    /// `None` until somebody reads from this segment.
    index: Mutex<Option<Index>>,
}

impl Segment {
    pub(super) fn new<D: Disk>(disk: &D, header: SegmentHeader) -> Self {
        let name = segment_name(header.first_seq);
        let full_name = disk.full_name(&name);
        Segment { header, name, full_name, index: Mutex::new(None) }
    }

    pub(super) fn set_index(&self, index: Index) {
        *self.lock_index() = Some(index);
    }

    pub(super) fn lock_index(&self) -> MutexGuard<'_, Option<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the batches of a segment start, at every sixteenth of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Index {
    batches: u64,
    sectors: Vec<u32>,
}

impl Index {
    /// The next batch starts at `offset`.
    pub(super) fn push(&mut self, offset: u64) {
        if self.batches.is_multiple_of(INDEX_STEP) {
            self.sectors.push((offset / SECTOR_BYTES as u64) as u32);
        }
        self.batches += 1;
    }

    /// The nearest known batch at or before the one `nth` in the segment (from 0), and its offset.
    pub(super) fn at_or_before(&self, nth: u64) -> (u64, u64) {
        let entry = nth / INDEX_STEP;
        (entry * INDEX_STEP, u64::from(self.sectors[entry as usize]) * SECTOR_BYTES as u64)
    }
}

/// The file name of the segment that starts with batch `first_seq`.
pub(super) fn segment_name(first_seq: Seq) -> String {
    format!("{first_seq:020}{SUFFIX}")
}

/// The first batch of the segment with this file name, `None` for a name of another kind.
fn first_seq_of(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The first name for a segment's torn remains that no file has yet.
pub(super) fn torn_name(segment: &str, taken: &[String]) -> String {
    let numbered = (2..).map(|number| format!("{segment}{TORN}-{number}"));
    std::iter::once(format!("{segment}{TORN}"))
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .expect("a folder has finitely many files")
}

/// Whether this is the name of a batch's torn remains.
pub(super) fn is_torn_name(name: &str) -> bool {
    name.split_once(TORN).is_some_and(|(segment, _)| first_seq_of(segment).is_some())
        && !name.ends_with(UNFINISHED)
}

/// Reads the headers of all segments, in order, and checks that none is missing, misplaced or cut short.
///
/// # Errors
/// [`LogError::DataLoss`] for the first one that is.
pub(super) fn read_headers<D: Disk>(
    disk: &D,
    log: u32,
    names: &[String],
) -> Result<Vec<SegmentHeader>, LogError> {
    let mut headers: Vec<SegmentHeader> = Vec::new();
    for first_seq in names.iter().filter_map(|name| first_seq_of(name)) {
        let header = read_header(disk, first_seq)?;
        let damaged = |what: String| {
            Err(Damage::new(&disk.full_name(&segment_name(first_seq)), 0, first_seq, what).into())
        };
        if header.log != log {
            return damaged(format!("the segment belongs to log {}, not to {log}", header.log));
        }
        let previous = headers.last().map_or(0, |previous| previous.first_seq);
        if header.previous_first_seq != previous {
            return damaged(match header.previous_first_seq {
                0 => "the segment is the log's first, but others stand before it".to_owned(),
                missing => format!("the segment before it, {}, is missing", segment_name(missing)),
            });
        }
        headers.push(header);
    }
    Ok(headers)
}

fn read_header<D: Disk>(disk: &D, first_seq: Seq) -> Result<SegmentHeader, Damage> {
    let name = segment_name(first_seq);
    let full_name = disk.full_name(&name);
    let unreadable = |error| Damage::unreadable(&full_name, 0, first_seq, &error);
    let file = disk.open(&name).map_err(unreadable)?;
    let mut sector = [0; SECTOR_BYTES];
    let length = file.length().map_err(unreadable)?;
    if length < SECTOR_BYTES as u64 {
        let what = format!("the file has {length} bytes, too few for a segment's header");
        return Err(Damage::new(&full_name, 0, first_seq, what));
    }
    file.read_at(&mut sector, 0).map_err(unreadable)?;
    let header =
        SegmentHeader::decode(&sector).map_err(|what| Damage::new(&full_name, 0, first_seq, what))?;
    if header.first_seq != first_seq {
        let what = format!("the segment that starts with batch {} stands here", header.first_seq);
        return Err(Damage::new(&full_name, 0, first_seq, what));
    }
    if header.bytes != length {
        let what = format!("the file has {length} bytes, and was made with {}", header.bytes);
        return Err(Damage::new(&full_name, length.min(header.bytes), first_seq, what));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_its_number_back_and_other_names_are_none_of_ours() {
        for seq in [1, 42, Seq::MAX] {
            assert_eq!(first_seq_of(&segment_name(seq)), Some(seq));
        }
        for name in ["1.segment", "0000000000000000000x.segment", "00000000000000000001.segment.torn", "x"] {
            assert_eq!(first_seq_of(name), None, "{name}");
        }
    }

    #[test]
    fn torn_remains_never_take_a_name_that_is_taken() {
        let segment = segment_name(7);
        let mut taken = Vec::new();
        for ending in ["torn", "torn-2", "torn-3"] {
            let name = torn_name(&segment, &taken);
            assert_eq!(name, format!("{segment}.{ending}"));
            assert!(is_torn_name(&name) && !is_torn_name(&format!("{name}{UNFINISHED}")));
            taken.push(name);
        }
        assert!(!is_torn_name(&segment));
    }

    #[test]
    fn the_index_knows_every_sixteenth_batch() {
        let mut index = Index::default();
        for nth in 0..40 {
            index.push(512 + nth * 1024);
        }
        assert_eq!(index.at_or_before(0), (0, 512));
        assert_eq!(index.at_or_before(15), (0, 512));
        assert_eq!(index.at_or_before(39), (32, 512 + 32 * 1024));
    }
}
