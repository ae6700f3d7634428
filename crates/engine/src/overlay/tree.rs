//! One layer of the overlay: an ordered map from keys to values or tombstones, written by one thread
//! and read by many.
//!
//! A B+tree whose nodes are shared between the writer and its frozen views, and copied when the writer
//! first touches them afterwards. Leaves hold whole keys and places of values, no pointers, so that
//! copying one is a memcpy; values stand in an append-only `arena`.
//!
//! Invariants: a frozen view never changes. Nothing is ever removed (a removal is a tombstone), so no
//! leaf but that of an empty tree is empty. Freezing costs no more than closing a chunk of the arena.

mod arena;
mod node;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arena::{Arena, Chunks};
pub(super) use node::Packed;
use node::{Leaf, Slot, Tree};

use crate::store::Change;

/// A layer as its writer holds it.
#[derive(Debug, Default)]
pub struct Layer {
    tree: Tree,
    arena: Arena,
}

impl Layer {
    /// An empty layer.
    pub fn new() -> Self {
        Layer::default()
    }

    /// Sets `key` to `value`, or marks it as removed if that is `None`. The bytes of an earlier value
    /// stay in memory as long as the layer does.
    ///
    /// # Panics
    /// When the key is longer than [`maitred_core::KEY_BYTES_MAX`] or the value than 4 GiB.
    pub fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        let slot = value.map(|value| self.arena.push(value));
        self.tree.put(&Packed::key(key), slot);
    }

    /// The layer as it is now, for its writer to read.
    pub fn view(&self) -> LayerView<'_> {
        LayerView { tree: &self.tree, chunks: self.arena.chunks(), open: self.arena.open() }
    }

    /// The layer as it is now, untouched by what is put later.
    pub fn freeze(&mut self) -> FrozenLayer {
        self.arena.close();
        FrozenLayer { tree: self.tree.clone(), chunks: Arc::clone(self.arena.chunks()), bytes: self.bytes() }
    }

    /// How many keys it holds, tombstones included.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory it takes: its nodes as they are now, and every value that was ever put. Nodes that
    /// older frozen views alone keep alive are not counted; they go with those views.
    pub fn bytes(&self) -> usize {
        self.tree.bytes() + self.arena.bytes()
    }
}

/// A layer as it stood at one moment. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct FrozenLayer {
    tree: Tree,
    chunks: Arc<Chunks>,
    bytes: usize,
}

impl FrozenLayer {
    /// Its contents.
    pub fn view(&self) -> LayerView<'_> {
        LayerView { tree: &self.tree, chunks: &self.chunks, open: &[] }
    }

    /// How many keys it holds, tombstones included.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the layer took at that moment; see [`Layer::bytes`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Reading a layer. Where a value is expected, `None` is a tombstone. Ranges are half-open.
#[derive(Debug, Clone, Copy)]
pub struct LayerView<'a> {
    tree: &'a Tree,
    chunks: &'a Chunks,
    open: &'a [u8],
}

impl<'a> LayerView<'a> {
    /// What this layer says of `key`; `None` if nothing, `Some(None)` if it is removed.
    pub fn get(self, key: &[u8]) -> Option<Option<&'a [u8]>> {
        self.find(&Packed::bound(key))
    }

    pub(super) fn find(self, key: &Packed) -> Option<Option<&'a [u8]>> {
        let leaf = self.tree.leaf_of(key).leaf;
        let at = leaf.find(key).ok()?;
        Some(self.value(leaf.slots()[at]))
    }

    /// The entry of the smallest key in `[from, to)`.
    pub fn first(self, from: &[u8], to: &[u8]) -> Option<Change<'a>> {
        let (from, to) = (Packed::bound(from), Packed::bound(to));
        let found = self.tree.leaf_of(&from);
        let mut at = (found.leaf, found.leaf.position(&from));
        if at.1 == at.0.len() {
            at = (self.tree.leaf_of(found.upper?).leaf, 0);
        }
        self.entry_if(at.0, at.1, |key| *key < to)
    }

    /// The entry of the largest key in `[from, to)`.
    pub fn last(self, from: &[u8], to: &[u8]) -> Option<Change<'a>> {
        let (from, to) = (Packed::bound(from), Packed::bound(to));
        let found = self.tree.leaf_of(&to);
        let mut behind = (found.leaf, found.leaf.position(&to));
        if behind.1 == 0 {
            let before = self.tree.leaf_before(found.lower?).leaf;
            behind = (before, before.len());
        }
        self.entry_if(behind.0, behind.1 - 1, |key| *key >= from)
    }

    /// The entries of `[from, to)`, ascending.
    pub fn range(self, from: &[u8], to: &[u8]) -> Ascending<'a> {
        Ascending::new(self, &Packed::bound(from), Packed::bound(to))
    }

    /// The entries of `[from, to)`, descending.
    pub fn range_back(self, from: &[u8], to: &[u8]) -> Descending<'a> {
        Descending::new(self, Packed::bound(from), &Packed::bound(to))
    }

    /// All entries, ascending: what a store is given to take this layer in.
    pub fn all(self) -> Ascending<'a> {
        Ascending::new(self, &Packed::bound(&[]), Packed::BEHIND_ALL)
    }

    fn value(self, slot: Slot) -> Option<&'a [u8]> {
        slot.map(|place| self.chunks.at(place, self.open))
    }

    fn entry(self, leaf: &'a Leaf, at: usize) -> Change<'a> {
        (leaf.keys()[at].bytes(), self.value(leaf.slots()[at]))
    }

    fn entry_if(self, leaf: &'a Leaf, at: usize, within: impl FnOnce(&Packed) -> bool) -> Option<Change<'a>> {
        within(leaf.keys().get(at)?).then(|| self.entry(leaf, at))
    }
}

/// The entries of a range, ascending. Allocates nothing: at a leaf's end it descends to the next.
#[derive(Debug, Clone)]
pub struct Ascending<'a> {
    view: LayerView<'a>,
    leaf: &'a Leaf,
    at: usize,
    end: usize,
    /// Where the next leaf begins, if it can hold any of the range.
    next: Option<&'a Packed>,
    to: Packed,
}

impl<'a> Ascending<'a> {
    fn new(view: LayerView<'a>, from: &Packed, to: Packed) -> Self {
        let found = view.tree.leaf_of(from);
        let at = found.leaf.position(from);
        let mut range = Ascending { view, leaf: found.leaf, at, end: 0, next: None, to };
        if *from < to {
            range.next = found.upper;
            range.set_end();
        }
        range
    }

    /// Finds how far the range reaches within the leaf, so that a step need not compare keys.
    fn set_end(&mut self) {
        self.next = self.next.filter(|next| **next < self.to);
        self.end = if self.next.is_some() { self.leaf.len() } else { self.leaf.position(&self.to) };
    }
}

impl<'a> Iterator for Ascending<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        if self.at >= self.end {
            let found = self.view.tree.leaf_of(self.next?);
            (self.leaf, self.at, self.next) = (found.leaf, 0, found.upper);
            self.set_end();
            if self.at >= self.end {
                return None;
            }
        }
        self.at += 1;
        Some(self.view.entry(self.leaf, self.at - 1))
    }
}

/// The entries of a range, descending. Allocates nothing: at a leaf's start it descends to the one before.
#[derive(Debug, Clone)]
pub struct Descending<'a> {
    view: LayerView<'a>,
    leaf: &'a Leaf,
    /// Behind the entry that comes next.
    at: usize,
    start: usize,
    /// Where this leaf begins, if the one before can hold any of the range.
    begin: Option<&'a Packed>,
    from: Packed,
}

impl<'a> Descending<'a> {
    fn new(view: LayerView<'a>, from: Packed, to: &Packed) -> Self {
        let found = view.tree.leaf_of(to);
        let at = found.leaf.position(to);
        let mut range = Descending { view, leaf: found.leaf, at, start: at, begin: None, from };
        if from < *to {
            range.begin = found.lower;
            range.set_start();
        }
        range
    }

    fn set_start(&mut self) {
        self.begin = self.begin.filter(|begin| **begin > self.from);
        self.start = if self.begin.is_some() { 0 } else { self.leaf.position(&self.from) };
    }
}

impl<'a> Iterator for Descending<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        if self.at <= self.start {
            let found = self.view.tree.leaf_before(self.begin?);
            (self.leaf, self.at, self.begin) = (found.leaf, found.leaf.len(), found.lower);
            self.set_start();
            if self.at <= self.start {
                return None;
            }
        }
        self.at -= 1;
        Some(self.view.entry(self.leaf, self.at))
    }
}
