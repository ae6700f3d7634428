//! Witnesses of a log: what was made of its batches, and so proves that they were there.
//!
//! A store and a snapshot are made of published batches only, and only durable ones are published. So where a log
//! does not hold the batch that a witness was made of, batches that were acknowledged are gone: a segment is missing,
//! its last sectors are lost, or an older log was put in the place of a newer one. No view may be thrown away then,
//! and no other batch be given those numbers, before somebody has decided so.
//!
//! A store that was written during another boot of the machine is no witness: it was never synced, so a power cut may
//! have left anything in it. A snapshot is one in every boot: it is synced before it has its name.

use maitred_core::PartitionId;

use crate::{
    batch::GENESIS,
    log::{LogError, LogReader, Tail},
    meta,
    recovery::Snapshots,
    store::Store,
};

/// What an operator does about it.
const ADVICE: &str = "Nothing was changed. Put the missing part of the log back, from a backup; or, to go on without \
                      those batches, as after restoring an older log on purpose, first move `view` and `snapshots` \
                      out of the data folder";

/// Something that was made of a log's batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What it is, as an operator would look for it.
    pub name: String,
    /// The last batch that it was made of.
    pub tail: Tail,
}

/// The witness of most batches of the log of `partition`, out of the snapshots, and the store if it was written during
/// this `boot`. A log that holds what it was made of holds what all others were made of.
pub fn furthest(
    store: Option<&dyn Store>,
    snapshots: &dyn Snapshots,
    partition: PartitionId,
    boot: &[u8],
) -> Option<Witness> {
    let mut all = snapshots.witnesses(partition);
    all.extend(store.and_then(|store| of_store(store, partition, boot)));
    all.into_iter().max_by_key(|witness| witness.tail.0)
}

fn of_store(store: &dyn Store, partition: PartitionId, boot: &[u8]) -> Option<Witness> {
    let store = store.snapshot();
    let trusted =
        !boot.is_empty() && meta::boot(&*store) == Some(boot) && meta::partition(&*store) == Some(partition);
    let tail = meta::flushed(&*store).filter(|_| trusted)?.tail;
    Some(Witness { name: "the view's store (`view`)".to_owned(), tail })
}

impl Witness {
    /// Judges a log by its end alone, before anything is changed in it.
    ///
    /// # Errors
    /// [`LogError::DataLoss`] when the log ends before the batch that this was made of, or with another in its place.
    pub fn judge_end(&self, end: Tail) -> Result<(), LogError> {
        let (seq, hash) = self.tail;
        if seq > end.0 {
            return Err(LogError::DataLoss(format!(
                "the log ends at batch {}, but {} was made of batches up to {seq}: batches {} to {seq}, which were \
                 acknowledged, are missing. {ADVICE}",
                end.0,
                self.name,
                end.0 + 1,
            )));
        }
        if seq == end.0 && hash != end.1 { Err(self.other_history()) } else { Ok(()) }
    }

    /// Judges a log by its end, and by the batch that this was made of.
    ///
    /// # Errors
    /// As [`Witness::judge_end`]. A batch that cannot be read contradicts nobody: it is told where it is needed.
    pub fn judge(&self, log: &dyn LogReader) -> Result<(), LogError> {
        self.judge_end(log.tail())?;
        let (seq, hash) = self.tail;
        let found = match seq {
            0 => Some(GENESIS),
            _ => log.read(seq, 1).ok().and_then(|batches| batches.first().map(|batch| batch.hash)),
        };
        if found.is_some_and(|found| found != hash) { Err(self.other_history()) } else { Ok(()) }
    }

    fn other_history(&self) -> LogError {
        LogError::DataLoss(format!(
            "batch {} of the log is not the one that {} was made of: batches that were acknowledged have been replaced \
             by others. {ADVICE}",
            self.tail.0, self.name
        ))
    }
}
