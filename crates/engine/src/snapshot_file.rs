//! A durable snapshot of a view: what a store is filled from when it cannot be trusted.
//!
//! It belongs to no store: any view can be written to one, any store loaded from it. The engine's own table
//! is not in it; what that says stands in the header. All numbers are little-endian.
//!
//! ```text
//!   header   magic "mtrdview" 8 · format 2 · reserved, zero 2 · partition 4 · seq 8 · hash 32
//!            · timestamp (µs) 8 · schema 4 · crc32c of all this 4
//!   block …  len 4, from 1 to 65,536 · payload · crc32c of len and payload 4
//!   trailer  0 4 · entries (count) 8 · BLAKE3 of everything before 32
//!
//!   the payloads together:  entry …, in ascending order of keys; one may go on in the next block
//!   entry:  key len 1 · value len 4 · key · value
//! ```
//!
//! Invariant: no entry is handed out before its block is verified, and nothing is said to be whole before
//! the trailer is. Every released format stays readable (golden files in `tests/golden/`).

mod blocks;
#[cfg(test)]
mod tests;

use std::{io, ops::ControlFlow};

use maitred_core::{PartitionId, Read, Timestamp, view::Entry};

use self::blocks::{BlockReader, BlockWriter};
use crate::{
    batch::Hash,
    meta::{Flushed, Schema},
    store::{Store, StoreError},
    view_hash,
};

/// The format that [`write`] writes.
pub const FORMAT: u16 = 1;
/// How much of a snapshot is put into a store in one transaction. Larger ones leave a store with as long a
/// list of free pages.
pub const LOAD_BYTES: usize = 4 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"mtrdview";
const HEADER_BYTES: usize = 72;
/// What stands before an entry's key.
const ENTRY_HEADER_BYTES: usize = 5;

/// What a snapshot says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose view it is.
    pub partition: PartitionId,
    /// The last batch in it, and the layout of its tables.
    pub flushed: Flushed,
}

/// A snapshot that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The first bytes are not a snapshot's.
    #[error("this is not a snapshot of a view")]
    NotASnapshot,
    /// Written by a newer build.
    #[error("snapshot format {0} is newer than this build knows")]
    UnknownFormat(u16),
    /// It ends before its trailer does.
    #[error("the snapshot is cut short")]
    Cut,
    /// A part of it is not what was written.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read from, or written to, where it is.
    #[error("the snapshot cannot be read or written: {0}")]
    Io(io::Error),
    /// It is sound, but the store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => SnapshotError::Cut,
            _ => SnapshotError::Io(error),
        }
    }
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let Flushed { tail: (seq, hash), timestamp, schema } = self.flushed;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.partition.to_le_bytes());
        bytes.extend_from_slice(&seq.to_le_bytes());
        bytes.extend_from_slice(&hash);
        bytes.extend_from_slice(&timestamp.as_micros().to_le_bytes());
        bytes.extend_from_slice(&schema.0.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().expect("the parts of a header add up to it")
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, SnapshotError> {
        if bytes[..8] != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let format = u16::from_le_bytes(part(bytes, 8));
        if format == 0 || format > FORMAT {
            return Err(SnapshotError::UnknownFormat(format));
        }
        if crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) != u32::from_le_bytes(part(bytes, HEADER_BYTES - 4)) {
            return Err(SnapshotError::Damaged("the checksum of its header does not match"));
        }
        let hash: Hash = part(bytes, 24);
        let flushed = Flushed {
            tail: (u64::from_le_bytes(part(bytes, 16)), hash),
            timestamp: Timestamp::from_micros(i64::from_le_bytes(part(bytes, 56))),
            schema: Schema(u32::from_le_bytes(part(bytes, 64))),
        };
        Ok(Header { partition: u32::from_le_bytes(part(bytes, 12)), flushed })
    }
}

/// The `N` bytes that begin `at`.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the part is within")
}

/// Writes all of `view` but the engine's own table; returns how many entries that were. The caller syncs.
///
/// # Errors
/// What `out` fails with. What has been written by then is not a snapshot.
pub fn write(out: &mut dyn io::Write, header: &Header, view: &dyn Read) -> io::Result<u64> {
    let mut blocks = BlockWriter::begin(out, &header.to_bytes())?;
    let (mut entries, mut result) = (0, Ok(()));
    view_hash::scan(view, |key, value| {
        entries += 1;
        result = write_entry(&mut blocks, key, value);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    result?;
    blocks.end(entries)?;
    Ok(entries)
}

fn write_entry(blocks: &mut BlockWriter<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "an entry is too long for a snapshot");
    blocks.push(&[u8::try_from(key.len()).map_err(too_long)?])?;
    blocks.push(&u32::try_from(value.len()).map_err(too_long)?.to_le_bytes())?;
    blocks.push(key)?;
    blocks.push(value)
}

/// Opens a snapshot.
///
/// # Errors
/// [`SnapshotError`].
pub fn read<R: io::Read>(mut input: R) -> Result<(Header, Entries<R>), SnapshotError> {
    let mut bytes = [0; HEADER_BYTES];
    input.read_exact(&mut bytes)?;
    let header = Header::from_bytes(&bytes)?;
    let blocks = BlockReader::behind(input, &bytes);
    Ok((header, Entries { blocks, read: 0, entry: Vec::new(), key: Vec::new() }))
}

/// The entries of a snapshot, verified on the way.
#[derive(Debug)]
pub struct Entries<R> {
    blocks: BlockReader<R>,
    read: u64,
    /// The current entry's key and value, one behind the other.
    entry: Vec<u8>,
    /// The key before.
    key: Vec<u8>,
}

impl<R: io::Read> Entries<R> {
    /// The next entry; `None` when there is no other and the snapshot has proved whole.
    ///
    /// # Errors
    /// [`SnapshotError`]; then nothing that was handed out before is of use either.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, SnapshotError> {
        self.entry.clear();
        if !self.blocks.take(1, &mut self.entry)? {
            if self.blocks.entries() != Some(self.read) {
                return Err(SnapshotError::Damaged("entries are missing"));
            }
            return Ok(None);
        }
        self.take(ENTRY_HEADER_BYTES - 1)?;
        let key_len = usize::from(self.entry[0]);
        let value_len = u32::from_le_bytes(part(&self.entry, 1)) as usize;
        self.entry.clear();
        self.take(key_len + value_len)?;
        let (key, value) = self.entry.split_at(key_len);
        if self.read > 0 && key <= &self.key[..] {
            return Err(SnapshotError::Damaged("its keys are out of order"));
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.read += 1;
        Ok(Some((key, value)))
    }

    fn take(&mut self, len: usize) -> Result<(), SnapshotError> {
        let whole = self.blocks.take(len, &mut self.entry)?;
        if whole { Ok(()) } else { Err(SnapshotError::Damaged("its last entry is cut short")) }
    }
}

/// Fills `store`, which is emptied first, by many transactions.
///
/// # Errors
/// [`SnapshotError`]; the store is empty then, unless it is its emptying that failed.
pub fn load(input: impl io::Read, store: &dyn Store) -> Result<Header, SnapshotError> {
    let (header, mut entries) = read(input)?;
    store.clear()?;
    let filled = fill(&mut entries, store);
    if filled.is_err() {
        store.clear()?;
    }
    filled.map(|()| header)
}

fn fill(entries: &mut Entries<impl io::Read>, store: &dyn Store) -> Result<(), SnapshotError> {
    // Keys and values one behind the other, and where each ends.
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    loop {
        let entry = entries.next_entry()?;
        if let Some((key, value)) = entry {
            bytes.extend_from_slice(key);
            let key_end = bytes.len();
            bytes.extend_from_slice(value);
            ends.push((key_end, bytes.len()));
        }
        let is_last = entry.is_none();
        if is_last || bytes.len() >= LOAD_BYTES {
            let starts = std::iter::once(0).chain(ends.iter().map(|(_, end)| *end));
            let mut changes = starts
                .zip(&ends)
                .map(|(start, &(key_end, end))| (&bytes[start..key_end], Some(&bytes[key_end..end])));
            store.write(&mut changes)?;
            bytes.clear();
            ends.clear();
        }
        if is_last {
            return Ok(());
        }
    }
}
