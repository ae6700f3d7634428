//! The view as one: overlay and store, for readers ([`View`]) and for the writer ([`Scratch`]).
//!
//! A reader takes the overlay, then a snapshot of the store, then checks
//! `overlay.base <= store.flushed <= overlay.head`, else it takes both again: a store behind the overlay's
//! base would hide batches, one ahead of its head would show batches that this reader must not mix in.

use std::sync::Arc;

use maitred_core::{
    PartitionId, Position, Read, Seq, Timestamp, Write,
    view::{Entry, Visit},
};

use crate::{
    apply,
    log::Tail,
    meta,
    overlay::{Layers, WriterOverlay, merge},
    publish::Published,
    store::{Store, StoreSnapshot},
};

/// A view as it stood at one batch. Cheap to take; holding it delays nobody, but keeps memory and the
/// store's old pages alive, so it must not be held while a socket blocks.
pub struct View {
    partition: PartitionId,
    published: Arc<Published>,
    store: Box<dyn StoreSnapshot>,
}

impl View {
    /// Takes a consistent pair of overlay and store.
    pub fn take(partition: PartitionId, published: impl Fn() -> Arc<Published>, store: &dyn Store) -> View {
        loop {
            let published = published();
            let store = store.snapshot();
            let flushed = meta::flushed(&*store).map_or(0, |flushed| flushed.tail.0);
            if (published.overlay.base()..=published.seq()).contains(&flushed) {
                return View { partition, published, store };
            }
        }
    }

    /// Takes the pair as it comes: what a checker must find fault with.
    #[cfg(feature = "shuttle")]
    pub fn unchecked(
        partition: PartitionId,
        published: Arc<Published>,
        store: Box<dyn StoreSnapshot>,
    ) -> View {
        View { partition, published, store }
    }

    /// The number of the last batch this view includes.
    pub fn seq(&self) -> Seq {
        self.published.seq()
    }

    /// That batch and its hash.
    pub fn tail(&self) -> Tail {
        self.published.tail
    }

    /// The same as clients see it.
    pub fn position(&self) -> Position {
        Position { partition: self.partition, seq: self.seq() }
    }

    /// The timestamp of the last batch.
    pub fn timestamp(&self) -> Timestamp {
        self.published.timestamp
    }

    /// When batch `seq` was decided; the newest one's timestamp for a later one, the earliest instant for none.
    pub fn timestamp_of(&self, seq: Seq) -> Timestamp {
        apply::timestamp_of(self, seq)
    }

    /// The last batch whose timestamp, cut to milliseconds, is at or before `instant`.
    pub fn seq_at(&self, instant: Timestamp) -> Seq {
        apply::seq_at(self, instant.end_of_millisecond())
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "view at {}", self.position())
    }
}

/// The writer's view: what it reads lies under what it has decided but not yet committed.
pub struct Scratch<'a> {
    /// The layers, of which the active one takes the changes.
    pub overlay: &'a mut WriterOverlay,
    /// The store below.
    pub store: &'a dyn Read,
}

impl View {
    fn parts(&self) -> (Layers<'_>, &dyn Read) {
        (self.published.overlay.layers(), &*self.store)
    }
}

impl Scratch<'_> {
    fn parts(&self) -> (Layers<'_>, &dyn Read) {
        (self.overlay.layers(), self.store)
    }
}

macro_rules! read_through_layers {
    ($type:ty) => {
        impl Read for $type {
            fn get(&self, key: &[u8]) -> Option<&[u8]> {
                let (layers, store) = self.parts();
                merge::get(layers, store, key)
            }

            fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
                let (layers, store) = self.parts();
                merge::first(layers, store, from, to)
            }

            fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
                let (layers, store) = self.parts();
                merge::last(layers, store, from, to)
            }

            fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
                let (layers, store) = self.parts();
                merge::scan(layers, store, from, to, visit);
            }

            fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
                let (layers, store) = self.parts();
                merge::scan_back(layers, store, from, to, visit);
            }
        }
    };
}

read_through_layers!(View);
read_through_layers!(Scratch<'_>);

impl Write for Scratch<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.overlay.put(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.overlay.put(key, None);
    }
}
