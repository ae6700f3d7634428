//! The bytes of a stream that are still needed, and where they stand in it.

use super::Place;

/// What some systems put before UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The rest of the input as far as it has come.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that are done with.
    taken: usize,
    /// Bytes of the stream before `bytes[taken]`.
    offset: u64,
    /// Lines that ended before `bytes[taken]`.
    lines: u64,
    has_lines: bool,
    ended: bool,
}

impl Window {
    /// An empty one, of a stream that has lines or has none.
    pub(crate) fn new(has_lines: bool) -> Self {
        Window { bytes: Vec::new(), taken: 0, offset: 0, lines: 0, has_lines, ended: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether no byte will come behind the rest.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Is done with the next `count` bytes of the rest.
    pub(crate) fn take(&mut self, count: usize) {
        let end = (self.taken + count).min(self.bytes.len());
        let taken = self.bytes.get(self.taken..end).unwrap_or_default();
        if self.has_lines {
            self.lines += lines_in(taken);
        }
        self.offset += taken.len() as u64;
        self.taken = end;
    }

    /// Where the rest begins.
    pub(crate) fn place(&self) -> Place {
        self.place_at(0)
    }

    /// Where the rest has its byte `at`.
    pub(crate) fn place_at(&self, at: usize) -> Place {
        let before = || lines_in(self.rest().get(..at).unwrap_or_default());
        Place { line: self.has_lines.then(|| self.lines + before() + 1), byte: self.offset + at as u64 }
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
