//! Reading a store as it stood at one moment. Keys and values are borrowed from the map: nothing is copied.

use std::ops::{Bound, ControlFlow};

use heed::{RoTxn, WithoutTls};
use maitred_core::{Read, view::Entry};
use maitred_engine::store::StoreSnapshot;

use super::Entries;

pub(super) struct LmdbSnapshot {
    txn: RoTxn<'static, WithoutTls>,
    entries: Entries,
}

impl LmdbSnapshot {
    pub(super) fn new(txn: RoTxn<'static, WithoutTls>, entries: Entries) -> Self {
        LmdbSnapshot { txn, entries }
    }
}

impl StoreSnapshot for LmdbSnapshot {}

/// The result of a read, which cannot fail but by a bug or a broken disk.
fn sound<T>(read: heed::Result<T>) -> T {
    read.unwrap_or_else(|error| panic!("a view's store cannot be read: {error}"))
}

/// LMDB has no empty key, and does not take one to search from.
fn lower(from: &[u8]) -> Bound<&[u8]> {
    if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) }
}

/// Visits what an iterator of a range gives.
fn visit_all<'a>(
    entries: impl Iterator<Item = heed::Result<Entry<'a>>>,
    mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) {
    for entry in entries {
        let (key, value) = sound(entry);
        if visit(key, value).is_break() {
            return;
        }
    }
}

impl Read for LmdbSnapshot {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        if key.is_empty() {
            return None;
        }
        sound(self.entries.get(&self.txn, key))
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        let found = if from.is_empty() {
            self.entries.first(&self.txn)
        } else {
            self.entries.get_greater_than_or_equal_to(&self.txn, from)
        };
        sound(found).filter(|(key, _)| *key < to)
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        if to.is_empty() {
            return None;
        }
        sound(self.entries.get_lower_than(&self.txn, to)).filter(|(key, _)| *key >= from)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        if from < to {
            let range = (lower(from), Bound::Excluded(to));
            visit_all(sound(self.entries.range(&self.txn, &range)), visit);
        }
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        if from < to {
            let range = (lower(from), Bound::Excluded(to));
            visit_all(sound(self.entries.rev_range(&self.txn, &range)), visit);
        }
    }
}
