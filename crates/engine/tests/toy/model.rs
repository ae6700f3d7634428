//! A view as a plain map: what every view must be equal to.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use maitred_core::{Key, Read, Table, Write, view::Entry, view::Visit};
use maitred_engine::store::StoreSnapshot;

/// A view, or a store, as a plain map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

impl Map {
    /// Everything in `view` but the engine's own table.
    pub(crate) fn of(view: &dyn Read) -> Self {
        let mut map = Map::default();
        view.scan(&Key::new(Table::Meta).end(), &[0xff; 64], &mut |key, value| {
            map.0.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        });
        map
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        let bounds = (Bound::Included(from), Bound::Excluded(to.max(from)));
        self.0.range::<[u8], _>(bounds).map(|(key, value)| (&key[..], &value[..]))
    }
}

impl Read for Map {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key).map(|value| &value[..])
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.range(from, to).next()
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.range(from, to).next_back()
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
        let _ = self.range(from, to).try_for_each(|(key, value)| visit(key, value));
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
        let _ = self.range(from, to).rev().try_for_each(|(key, value)| visit(key, value));
    }
}

impl Write for Map {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

impl StoreSnapshot for Map {}
