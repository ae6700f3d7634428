//! The overlay: what the log holds and the store does not yet, as layers in memory.
//!
//! ```text
//!   newest   the layer that the writer still puts into; published as an immutable view per batch
//!            full layer    whole batches, waiting for the flusher, oldest flushed first
//!   oldest   full layer
//!   ------------------------------------------------------------------------------------------
//!            store         everything up to `base`
//! ```
//!
//! Invariants:
//! - Layers are contiguous ranges of batches; a newer layer's entry hides an older one's and the store's.
//! - A removed key is an entry too (a tombstone), so that it hides what lies below.
//! - What is published never changes.

mod filter;
pub mod merge;
pub mod tree;

use std::sync::Arc;

use maitred_core::{Seq, Timestamp};

use crate::log::Tail;
use filter::Filter;
use tree::{FrozenLayer, Layer, LayerView, Packed};

/// A layer is full, and is flushed, when it has reached this size. Flushing one dirties up to 100 MB of a
/// store's pages, which is what bounds it.
pub const LAYER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The overlay's bound. From half of it on the writer slows down (`crate::throttle`), and admission with it.
pub const OVERLAY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A layer that takes no more entries.
#[derive(Debug)]
pub struct FullLayer {
    /// Its entries.
    pub layer: FrozenLayer,
    /// The last batch in it.
    pub tail: Tail,
    /// That batch's timestamp.
    pub timestamp: Timestamp,
    filter: Filter,
}

impl FullLayer {
    fn new(layer: FrozenLayer, tail: Tail, timestamp: Timestamp) -> Arc<Self> {
        let filter = Filter::of(layer.len(), layer.view().all().map(|(key, _)| key));
        Arc::new(FullLayer { layer, tail, timestamp, filter })
    }
}

/// The layers as readers see them.
#[derive(Debug, Clone)]
pub struct Overlay {
    base: Seq,
    full: Vec<Arc<FullLayer>>,
    newest: Option<FrozenLayer>,
}

/// The layers as the writer holds them.
#[derive(Debug)]
pub struct WriterOverlay {
    base: Seq,
    full: Vec<Arc<FullLayer>>,
    newest: Layer,
}

/// The layers of either, to read.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    newest: Option<LayerView<'a>>,
    full: &'a [Arc<FullLayer>],
}

impl Overlay {
    /// An empty overlay over a store that holds everything up to `base`.
    pub fn new(base: Seq) -> Self {
        Overlay { base, full: Vec::new(), newest: None }
    }

    /// The store must hold at least everything up to here.
    pub fn base(&self) -> Seq {
        self.base
    }

    /// The memory the layers pin.
    pub fn bytes(&self) -> usize {
        full_bytes(&self.full) + self.newest.as_ref().map_or(0, FrozenLayer::bytes)
    }

    /// The layer to flush next.
    pub fn oldest_full(&self) -> Option<&Arc<FullLayer>> {
        self.full.first()
    }

    /// Drops the layers that the store holds by now: those that end at or before `flushed`.
    pub fn forget(&mut self, flushed: Seq) {
        forget(&mut self.base, &mut self.full, flushed);
    }

    /// The layers, to read.
    pub fn layers(&self) -> Layers<'_> {
        Layers { newest: self.newest.as_ref().map(FrozenLayer::view), full: &self.full }
    }
}

impl WriterOverlay {
    /// Goes on above what is published at `tail`, in a layer of its own.
    pub fn above(published: &Overlay, tail: Tail, timestamp: Timestamp) -> Self {
        let mut full = published.full.clone();
        if let Some(layer) = published.newest.clone().filter(|layer| !layer.is_empty()) {
            full.push(FullLayer::new(layer, tail, timestamp));
        }
        WriterOverlay { base: published.base, full, newest: Layer::new() }
    }

    /// What readers may see once everything put so far is durable.
    pub fn to_publish(&mut self) -> Overlay {
        Overlay { base: self.base, full: self.full.clone(), newest: Some(self.newest.freeze()) }
    }

    /// The memory the layers pin.
    pub fn bytes(&self) -> usize {
        full_bytes(&self.full) + self.newest.bytes()
    }

    /// The size of the layer that still takes entries; 0 only if it has none.
    pub fn newest_bytes(&self) -> usize {
        if self.newest.is_empty() { 0 } else { self.newest.bytes() }
    }

    /// The layer to flush next.
    pub fn oldest_full(&self) -> Option<&Arc<FullLayer>> {
        self.full.first()
    }

    /// Ends the newest layer at `tail` and begins another.
    pub fn fill(&mut self, tail: Tail, timestamp: Timestamp) {
        let layer = std::mem::take(&mut self.newest).freeze();
        self.full.push(FullLayer::new(layer, tail, timestamp));
    }

    /// Drops the layers that the store holds by now: those that end at or before `flushed`.
    pub fn forget(&mut self, flushed: Seq) {
        forget(&mut self.base, &mut self.full, flushed);
    }

    /// Sets a key, or removes it.
    pub fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.newest.put(key, value);
    }

    /// The layers, to read.
    pub fn layers(&self) -> Layers<'_> {
        Layers { newest: Some(self.newest.view()), full: &self.full }
    }
}

fn full_bytes(full: &[Arc<FullLayer>]) -> usize {
    full.iter().map(|full| full.layer.bytes() + full.filter.bytes()).sum()
}

fn forget(base: &mut Seq, full: &mut Vec<Arc<FullLayer>>, flushed: Seq) {
    let gone = full.iter().take_while(|full| full.tail.0 <= flushed).count();
    if gone > 0 {
        *base = full[gone - 1].tail.0;
        full.drain(..gone);
    }
}

impl<'a> Layers<'a> {
    /// What the layers say of `key`: `None` if nothing, `Some(None)` if it is removed.
    pub fn get(self, key: &[u8]) -> Option<Option<&'a [u8]>> {
        let key = Packed::bound(key);
        let newest = self.newest.and_then(|layer| layer.find(&key));
        if newest.is_some() || self.full.is_empty() {
            return newest;
        }
        let hash = key.hash();
        let full = self.full.iter().rev().filter(|full| full.filter.may_hold(hash));
        full.map(|full| full.layer.view().find(&key)).find(Option::is_some).flatten()
    }

    /// The layers, newest first.
    pub fn newest_first(self) -> impl Iterator<Item = LayerView<'a>> {
        self.newest.into_iter().chain(self.full.iter().rev().map(|full| full.layer.view()))
    }
}
