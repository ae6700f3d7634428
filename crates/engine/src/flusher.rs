//! The flusher: puts full layers of the overlay into the store, oldest first, each with the word of how
//! far the store has come, in one transaction; only then are the layers dropped.

use std::sync::Arc;

use maitred_core::Seq;

use crate::{
    meta::{self, Flushed, Schema},
    overlay::FullLayer,
    publish::Shared,
    store::{Change, Store, StoreError},
};

/// Writes full layers behind the writer's back.
#[derive(Debug)]
pub struct Flusher<S: ?Sized = dyn Store> {
    shared: Arc<Shared>,
    store: Arc<S>,
    schema: Schema,
}

impl<S: Store + ?Sized> Flusher<S> {
    /// A flusher of what is published into `store`, in tables of the layout `schema`.
    pub fn new(shared: Arc<Shared>, store: Arc<S>, schema: Schema) -> Self {
        Flusher { shared, store, schema }
    }

    /// Flushes the oldest full layer. `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`]; the layer stays where it is, and it can be tried again.
    pub fn step(&self) -> Result<Option<Seq>, StoreError> {
        let published = self.shared.published();
        let Some(layer) = published.overlay.oldest_full().cloned() else { return Ok(None) };
        drop(published);
        write(&*self.store, &layer, self.schema)?;
        self.shared.flushed(layer.tail.0);
        Ok(Some(layer.tail.0))
    }
}

/// Writes a layer and the word that it is in, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing was written.
pub fn write(store: &(impl Store + ?Sized), full: &FullLayer, schema: Schema) -> Result<(), StoreError> {
    let flushed = Flushed { tail: full.tail, timestamp: full.timestamp, schema }.to_bytes();
    let (key, flushed) = (meta::flushed_key(), flushed);
    // The engine's own table sorts before all others.
    let meta: Change<'_> = (&key, Some(&flushed));
    let mut changes = std::iter::once(meta).chain(full.layer.view().all());
    store.write(&mut changes)
}
