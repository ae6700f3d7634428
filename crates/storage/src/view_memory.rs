//! A view's store in memory: for tests, for the simulation, and for a server that keeps nothing on disk.
//!
//! Invariant: deterministic; a snapshot shares the map, and the next write copies it if one is still held.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    sync::{Arc, Mutex, MutexGuard},
};

use maitred_core::{Read, view::Entry};
use maitred_engine::store::{Change, Store, StoreError, StoreSnapshot};

type Map = BTreeMap<Box<[u8]>, Arc<[u8]>>;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    map: Mutex<Arc<Map>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    fn map(&self) -> MutexGuard<'_, Arc<Map>> {
        self.map.lock().expect("nothing panics under the lock")
    }
}

impl Store for MemoryStore {
    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        Box::new(MemorySnapshot { map: Arc::clone(&self.map()) })
    }

    /// # Panics
    /// When the changes are not in strictly ascending order; nothing was changed then.
    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StoreError> {
        let changes: Vec<_> =
            changes.map(|(key, value)| (Box::<[u8]>::from(key), value.map(Arc::from))).collect();
        assert!(changes.is_sorted_by(|(a, _), (b, _)| a < b), "changes are in ascending order");
        let mut map = self.map();
        let map = Arc::make_mut(&mut map);
        for (key, value) in changes {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        *self.map() = Arc::default();
        Ok(())
    }
}

#[derive(Debug)]
struct MemorySnapshot {
    map: Arc<Map>,
}

impl MemorySnapshot {
    /// The entries of `[from, to)`; none if it ends before it begins.
    fn range(&self, from: &[u8], to: &[u8]) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        let bounds = (Bound::Included(from), Bound::Excluded(to.max(from)));
        // Of two equal bounds a map takes an included and an excluded one, which is an empty range.
        self.map.range::<[u8], _>(bounds).map(|(key, value)| (&**key, &**value))
    }
}

impl StoreSnapshot for MemorySnapshot {}

impl Read for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.map.get(key).map(|value| &**value)
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.range(from, to).next()
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.range(from, to).next_back()
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        // A visitor that breaks has seen what it wanted.
        let _ = self.range(from, to).try_for_each(|(key, value)| visit(key, value));
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        let _ = self.range(from, to).rev().try_for_each(|(key, value)| visit(key, value));
    }
}
