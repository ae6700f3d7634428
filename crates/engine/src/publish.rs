//! What readers, writer, committer and flusher share: the published state of the partition.
//!
//! ```text
//!   committer ── publish(batch n) ──▶ ┌───────────┐ ──▶ readers: View::take
//!   flusher ──── flushed(up to m) ──▶ │ published │ ──▶ writer: catches up before each batch
//!   committer ── displace ──────────▶ └───────────┘
//! ```
//!
//! Invariants:
//! - Only durable batches are published (I5), in order.
//! - The store is committed before the layers it took in are forgotten.
//! - `generation` rises when a batch lost its place: whatever was decided on top of it is void.

use std::sync::Arc;

use maitred_core::{Seq, Timestamp};
use tokio::sync::watch;

use crate::{
    batch::Hash,
    log::Tail,
    overlay::Overlay,
    sync::{Mutex, MutexGuard},
    touched::Touched,
};

/// The published state of a partition: what readers see.
#[derive(Debug, Clone)]
pub struct Published {
    /// The layers over the store.
    pub overlay: Overlay,
    /// The last batch in them.
    pub tail: Tail,
    /// When it was decided.
    pub timestamp: Timestamp,
}

impl Published {
    /// The number of the last batch that is included.
    pub fn seq(&self) -> Seq {
        self.tail.0
    }

    /// Its hash.
    pub fn hash(&self) -> Hash {
        self.tail.1
    }
}

/// The published state, shared.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    seq: watch::Sender<Seq>,
    touched: Touched,
}

#[derive(Debug)]
struct State {
    published: Arc<Published>,
    generation: u64,
}

impl Shared {
    /// Begins with what recovery found.
    pub fn new(published: Published) -> Self {
        let seq = watch::Sender::new(published.seq());
        let touched = Touched::new(published.seq());
        Shared { state: Mutex::new(State { published: Arc::new(published), generation: 0 }), seq, touched }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the published state")
    }

    /// What readers see now.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.state().published)
    }

    /// The same, with its generation.
    pub fn current(&self) -> (u64, Arc<Published>) {
        let state = self.state();
        (state.generation, Arc::clone(&state.published))
    }

    /// The generation alone.
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Publishes a durable batch and all before it. `overlay` may still have layers that were flushed
    /// while the batch was on its way.
    pub fn publish(&self, overlay: Overlay, tail: Tail, timestamp: Timestamp) {
        self.replace(overlay, tail, timestamp, 0);
    }

    /// Publishes batches of another writer, and declares everything void that was decided in their place:
    /// both at once, so that nobody who sees them in the store decides on in the old generation.
    pub fn follow(&self, overlay: Overlay, tail: Tail, timestamp: Timestamp) {
        self.replace(overlay, tail, timestamp, 1);
    }

    fn replace(&self, mut overlay: Overlay, tail: Tail, timestamp: Timestamp, generations: u64) {
        let mut state = self.state();
        assert!(state.published.tail.0 <= tail.0, "batches are published in order");
        overlay.forget(state.published.overlay.base());
        let old = std::mem::replace(&mut state.published, Arc::new(Published { overlay, tail, timestamp }));
        state.generation += generations;
        drop(state);
        drop(old); // freeing a tree takes time that no reader should wait for
        self.seq.send_replace(tail.0);
    }

    /// The store holds everything up to `flushed`, committed: the layers with it are dropped.
    pub fn flushed(&self, flushed: Seq) {
        let mut state = self.state();
        let mut published = Published::clone(&state.published);
        published.overlay.forget(flushed);
        let old = std::mem::replace(&mut state.published, Arc::new(published));
        drop(state);
        drop(old);
    }

    /// Declares everything void that was decided on top of the published state.
    pub fn displace(&self) {
        self.state().generation += 1;
    }

    /// Whose commands the newest batches decided.
    pub fn touched(&self) -> &Touched {
        &self.touched
    }

    /// Follows the number of the last published batch.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.seq.subscribe()
    }
}
