//! Start-up: brings store and overlay to the log's tail.
//!
//! The store is taken as it is if it followed this very log during this boot of the machine; else it is
//! emptied and filled from the newest snapshot that fits, or from nothing. What it lacks is replayed.
//!
//! Invariant: nothing is emptied while a witness contradicts the log (see [`crate::witness`]).

use std::sync::Arc;

use maitred_core::{Domain, PartitionId, Seq, Timestamp};

use crate::{
    apply::{self, ApplyError},
    batch::GENESIS,
    flusher,
    log::{LogError, LogReader, Tail},
    meta::{self, Flushed, Schema},
    overlay::{LAYER_BYTES_MAX, OVERLAY_BYTES_MAX, Overlay, WriterOverlay},
    publish::Published,
    store::{Store, StoreError},
    view::Scratch,
    witness::{self, Witness},
};

/// How many bytes of log are read at a time.
const REPLAY_BYTES: usize = 8 * 1024 * 1024;

/// What recovery works with.
pub struct Recovery<'a, D: Domain> {
    /// The rules, for `apply` alone.
    pub domain: &'a D,
    /// The partition's log.
    pub log: &'a dyn LogReader,
    /// The view's store.
    pub store: &'a Arc<dyn Store>,
    /// The snapshots at hand.
    pub snapshots: &'a dyn Snapshots,
    /// Which partition it is.
    pub partition: PartitionId,
    /// Names this boot of the machine: a store that was written without fsync survives a process, not a
    /// power cut.
    pub boot: &'a [u8],
}

/// Durable snapshots of a view.
pub trait Snapshots {
    /// Loads the newest snapshot for which `fits` says yes into the empty `store`, and says up to where it
    /// goes; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot take it. A snapshot that cannot be read is passed over.
    fn load(&self, store: &dyn Store, fits: &dyn Fn(Tail) -> bool) -> Result<Option<Flushed>, StoreError>;

    /// What they bear witness of, those of other layouts too. One that cannot be read is no witness.
    fn witnesses(&self, partition: PartitionId) -> Vec<Witness>;
}

/// No snapshots.
#[derive(Debug)]
pub struct NoSnapshots;

impl Snapshots for NoSnapshots {
    fn load(&self, _: &dyn Store, _: &dyn Fn(Tail) -> bool) -> Result<Option<Flushed>, StoreError> {
        Ok(None)
    }

    fn witnesses(&self, _: PartitionId) -> Vec<Witness> {
        Vec::new()
    }
}

/// What recovery found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the store stood when it was kept or filled.
    pub store: Origin,
    /// The last batch that was in the store before the replay.
    pub store_seq: Seq,
    /// How many batches were replayed.
    pub replayed: u64,
    /// The last batch of the log.
    pub seq: Seq,
}

/// Where the store's contents came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The store was kept as it was.
    Kept,
    /// It was filled from a snapshot.
    Snapshot,
    /// It was rebuilt from the log's beginning.
    Rebuilt,
}

/// Why a view cannot be brought up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A batch cannot be applied by this build.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<D: Domain> Recovery<'_, D> {
    /// Brings the view to the log's tail.
    ///
    /// # Errors
    /// [`RecoveryError`]. Nothing of the log was changed; nor of the store, if the log lacks what a witness was made
    /// of.
    pub fn run(&self) -> Result<(Published, Report), RecoveryError> {
        if let Some(witness) =
            witness::furthest(Some(&**self.store), self.snapshots, self.partition, self.boot)
        {
            witness.judge(self.log)?;
        }
        let (flushed, origin) = self.settle_store()?;
        let (published, replayed) = self.replay(flushed)?;
        let report = Report { store: origin, store_seq: flushed.tail.0, replayed, seq: published.seq() };
        Ok((published, report))
    }

    /// Keeps the store if it can be trusted, else fills it anew, and stamps it with this boot.
    fn settle_store(&self) -> Result<(Flushed, Origin), RecoveryError> {
        let (flushed, boot, partition) = {
            let store = self.store.snapshot();
            (meta::flushed(&*store), meta::boot(&*store).map(<[u8]>::to_vec), meta::partition(&*store))
        };
        if let Some(flushed) = flushed
            && !self.boot.is_empty()
            && boot.as_deref() == Some(self.boot)
            && partition == Some(self.partition)
            && flushed.schema == Schema::of::<D>()
            && self.is_in_log(flushed.tail)?
        {
            return Ok((flushed, Origin::Kept));
        }
        self.store.clear()?;
        let fits = |tail| self.is_in_log(tail).unwrap_or(false);
        let loaded = self.snapshots.load(&**self.store, &fits)?;
        let (flushed, origin) = match loaded {
            Some(flushed) if flushed.schema == Schema::of::<D>() => (flushed, Origin::Snapshot),
            other => {
                if other.is_some() {
                    self.store.clear()?;
                }
                let (tail, timestamp) = ((0, GENESIS), Timestamp::default());
                (Flushed { tail, timestamp, schema: Schema::of::<D>() }, Origin::Rebuilt)
            }
        };
        self.stamp(flushed)?;
        Ok((flushed, origin))
    }

    fn stamp(&self, flushed: Flushed) -> Result<(), StoreError> {
        let (flushed, partition) = (flushed.to_bytes(), self.partition.to_be_bytes());
        let keys = [meta::flushed_key(), meta::boot_key(), meta::partition_key()];
        let values: [&[u8]; 3] = [&flushed, self.boot, &partition];
        self.store.write(&mut keys.iter().zip(values).map(|(key, value)| (&**key, Some(value))))
    }

    /// Whether the log holds exactly this batch.
    fn is_in_log(&self, (seq, hash): Tail) -> Result<bool, LogError> {
        if seq == 0 {
            return Ok(hash == GENESIS);
        }
        if seq > self.log.tail().0 {
            return Ok(false);
        }
        let found = self.log.read(seq, 1)?;
        Ok(found.first().is_some_and(|batch| batch.header.seq == seq && batch.hash == hash))
    }

    /// Applies what the store lacks. As much of it stays in the overlay as its bound allows, so that a start need not wait
    /// for the store; the writer is slow at first for that ([`crate::throttle`]). Layers beyond are flushed on the way.
    fn replay(&self, from: Flushed) -> Result<(Published, u64), RecoveryError> {
        let mut overlay = WriterOverlay::above(&Overlay::new(from.tail.0), from.tail, from.timestamp);
        let (mut tail, mut timestamp, mut replayed) = (from.tail, from.timestamp, 0);
        loop {
            let batches = self.log.read(tail.0 + 1, REPLAY_BYTES)?;
            if batches.is_empty() {
                break;
            }
            let store = self.store.snapshot();
            for sealed in &batches {
                if (sealed.header.seq, sealed.header.prev_hash) != (tail.0 + 1, tail.1) {
                    let what = format!("batch {} does not follow batch {}", sealed.header.seq, tail.0);
                    return Err(LogError::DataLoss(what).into());
                }
                let mut view = Scratch { overlay: &mut overlay, store: &*store };
                apply::apply_batch(self.domain, &mut view, sealed)?;
                (tail, timestamp) = ((sealed.header.seq, sealed.hash), sealed.header.timestamp);
                replayed += 1;
                if overlay.newest_bytes() >= LAYER_BYTES_MAX {
                    overlay.fill(tail, timestamp);
                }
            }
            drop(store);
            while overlay.bytes() > OVERLAY_BYTES_MAX
                && let Some(full) = overlay.oldest_full().cloned()
            {
                flusher::write(&**self.store, &full, from.schema)?;
                overlay.forget(full.tail.0);
            }
        }
        Ok((Published { overlay: overlay.to_publish(), tail, timestamp }, replayed))
    }
}
