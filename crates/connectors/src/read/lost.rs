//! Finding the next record behind a broken one.
//!
//! A record can begin at an opening bracket that stands first on its line, or behind `},` (or `),`), which separates
//! records and never stands within one. That finds the neighbour of a broken record in files with a record a line,
//! in indented ones, and in those that are a single line.

/// A search that goes on over pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    opening: u8,
    /// What the record before must end with; none: it need not have been one.
    closing: Option<u8>,
    /// Nothing but blanks stands between the last line break and here.
    fresh_line: bool,
    /// The last two bytes that were no blanks.
    before: [u8; 2],
}

impl Lost {
    /// A search behind a broken record.
    pub(super) const fn behind_record(opening: u8, closing: u8) -> Self {
        Lost { opening, closing: Some(closing), fresh_line: false, before: [0; 2] }
    }

    /// A search behind something that was no record at all: any comma may separate it from the next.
    pub(super) const fn behind_junk(opening: u8) -> Self {
        Lost { opening, closing: None, fresh_line: false, before: [0; 2] }
    }

    /// How many bytes to leave out, and whether the next one may begin a record: the opening bracket, or anything at
    /// the beginning of a line that `is_start` takes.
    pub(super) fn skip(&mut self, bytes: &[u8], is_start: impl Fn(&[u8]) -> bool) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            match *byte {
                b'\n' => self.fresh_line = true,
                b' ' | b'\t' | b'\r' => {}
                byte => {
                    let [last_but_one, last] = self.before;
                    let separated =
                        last == b',' && self.closing.is_none_or(|closing| closing == last_but_one);
                    if byte == self.opening && (self.fresh_line || separated) {
                        return (at, true);
                    }
                    if self.fresh_line && is_start(&bytes[at..]) {
                        return (at, true);
                    }
                    self.fresh_line = false;
                    self.before = [self.before[1], byte];
                }
            }
        }
        (bytes.len(), false)
    }
}
