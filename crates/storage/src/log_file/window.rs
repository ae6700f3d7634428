//! Reading a segment from front to back, in larger pieces than are asked for.

use std::io;

use crate::disk::DiskFile;

/// A moving piece of a file.
pub(super) struct Window<'a, F> {
    file: &'a F,
    file_bytes: u64,
    /// How much is read at once.
    ahead: usize,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a, F: DiskFile> Window<'a, F> {
    pub(super) fn new(file: &'a F, file_bytes: u64, ahead: usize) -> Self {
        Window { file, file_bytes, ahead, start: 0, buffer: Vec::new() }
    }

    /// The bytes from `offset` on.
    pub(super) fn get(&mut self, offset: u64, bytes: u64) -> io::Result<&[u8]> {
        let end = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + bytes > end {
            let left = self.file_bytes.checked_sub(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
            let wanted = (self.ahead as u64).min(left).max(bytes);
            // Nothing is held while a read may fail: what the buffer has then is not from `start`.
            self.buffer.clear();
            self.buffer.resize(wanted as usize, 0);
            self.start = offset;
            if let Err(error) = self.file.read_at(&mut self.buffer, offset) {
                self.buffer.clear();
                return Err(error);
            }
        }
        let at = (offset - self.start) as usize;
        Ok(&self.buffer[at..at + bytes as usize])
    }
}
