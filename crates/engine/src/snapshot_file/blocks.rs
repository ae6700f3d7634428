//! The framing of a snapshot: a stream of bytes in checksummed blocks, and a hash over everything.
//!
//! Invariant: a reader never holds more than a block, whatever lengths a damaged file claims.

use std::io;

use super::SnapshotError;

/// The longest payload of a block; all but the last are that long.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// The length that says: here is the trailer.
const TRAILER: [u8; 4] = [0; 4];

pub(super) struct BlockWriter<'a> {
    out: &'a mut dyn io::Write,
    hasher: blake3::Hasher,
    payload: Vec<u8>,
}

impl<'a> BlockWriter<'a> {
    pub(super) fn begin(out: &'a mut dyn io::Write, header: &[u8]) -> io::Result<Self> {
        let mut writer =
            BlockWriter { out, hasher: blake3::Hasher::new(), payload: Vec::with_capacity(BLOCK_BYTES_MAX) };
        writer.put(header)?;
        Ok(writer)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES_MAX - self.payload.len()));
            self.payload.extend_from_slice(now);
            bytes = later;
            if self.payload.len() == BLOCK_BYTES_MAX {
                self.end_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn end(mut self, entries: u64) -> io::Result<()> {
        if !self.payload.is_empty() {
            self.end_block()?;
        }
        self.put(&TRAILER)?;
        self.put(&entries.to_le_bytes())?;
        self.out.write_all(self.hasher.finalize().as_bytes())?;
        self.out.flush()
    }

    fn end_block(&mut self) -> io::Result<()> {
        let len = (self.payload.len() as u32).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&len), &self.payload);
        let payload = std::mem::take(&mut self.payload);
        self.put(&len)?;
        self.put(&payload)?;
        self.put(&crc.to_le_bytes())?;
        self.payload = payload;
        self.payload.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

#[derive(Debug)]
pub(super) struct BlockReader<R> {
    input: R,
    hasher: blake3::Hasher,
    /// The verified block, and how much of it has been taken.
    payload: Vec<u8>,
    taken: usize,
    /// The trailer's count, once it has been read and everything before it has proved right.
    entries: Option<u64>,
}

impl<R: io::Read> BlockReader<R> {
    /// Goes on behind `header`, which has been read from `input`.
    pub(super) fn behind(input: R, header: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(header);
        BlockReader { input, hasher, payload: Vec::new(), taken: 0, entries: None }
    }

    /// The count of the trailer, if that has been reached.
    pub(super) fn entries(&self) -> Option<u64> {
        self.entries
    }

    /// Appends the next `len` bytes to `to`; false if the blocks end before.
    pub(super) fn take(&mut self, mut len: usize, to: &mut Vec<u8>) -> Result<bool, SnapshotError> {
        while len > 0 {
            if self.taken == self.payload.len() && !self.next_block()? {
                return Ok(false);
            }
            let end = self.payload.len().min(self.taken + len);
            to.extend_from_slice(&self.payload[self.taken..end]);
            len -= end - self.taken;
            self.taken = end;
        }
        Ok(true)
    }

    /// Reads and verifies the next block; false if there is the trailer instead.
    fn next_block(&mut self) -> Result<bool, SnapshotError> {
        if self.entries.is_some() {
            return Ok(false);
        }
        let len: [u8; 4] = self.read()?;
        if len == TRAILER {
            return self.trailer().map(|()| false);
        }
        let bytes = u32::from_le_bytes(len) as usize;
        if bytes > BLOCK_BYTES_MAX {
            return Err(SnapshotError::Damaged("the length of a block cannot be"));
        }
        self.payload.resize(bytes, 0);
        self.taken = 0;
        self.input.read_exact(&mut self.payload)?;
        self.hasher.update(&self.payload);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&len), &self.payload);
        if self.read()? != crc.to_le_bytes() {
            return Err(SnapshotError::Damaged("the checksum of a block does not match"));
        }
        Ok(true)
    }

    fn trailer(&mut self) -> Result<(), SnapshotError> {
        let entries = u64::from_le_bytes(self.read()?);
        let expected = self.hasher.finalize();
        if self.read::<32>()? != *expected.as_bytes() {
            return Err(SnapshotError::Damaged("its hash does not match"));
        }
        if io::Read::bytes(&mut self.input).next().transpose()?.is_some() {
            return Err(SnapshotError::Damaged("something stands behind its end"));
        }
        self.entries = Some(entries);
        Ok(())
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}
