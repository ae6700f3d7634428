//! What rules and readers see of a view: an ordered map of bytes to bytes.
//!
//! Reads cannot fail: a view is disposable, so a store that cannot be read is a bug or a broken
//! disk, and panics. Ranges are half-open: `from` included, `to` excluded.

use std::ops::ControlFlow;

/// A key and its value.
pub type Entry<'a> = (&'a [u8], &'a [u8]);

/// Takes the entries of a range one by one, key and value, until it breaks.
pub type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Reading a view as it stood at one moment.
pub trait Read {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// The entry with the smallest key in `[from, to)`.
    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>>;

    /// The entry with the largest key in `[from, to)`.
    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>>;

    /// Visits the entries of `[from, to)` in ascending order until `visit` breaks.
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>);

    /// Visits the entries of `[from, to)` in descending order until `visit` breaks.
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>);
}

/// Changing a view, reading what was changed.
pub trait Write: Read {
    /// Sets the value under `key`.
    fn put(&mut self, key: &[u8], value: &[u8]);

    /// Removes `key`, which need not be there.
    fn delete(&mut self, key: &[u8]);
}
