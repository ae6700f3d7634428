//! What a log is: the ordered batches of one partition, the single source of truth.
//!
//! ```text
//!   writer ──append_if(tail, batch)──▶ log ──read(from)──▶ recovery, followers, exports, check
//! ```
//!
//! Every implementation passes [`crate::conformance`]. The contract is synchronous: an append is waited
//! for by a thread that has nothing else to do (see `docs/decisions/`).
//!
//! Invariants:
//! - I1: the batches' numbers are contiguous from 1, one batch each.
//! - I2: batch n names the hash of batch n-1.
//! - I3: `Committed` means durable in the log's declared class; what is read was committed, and stays.

use std::sync::Arc;

use maitred_core::Seq;

use crate::batch::{Hash, Sealed};

/// The last batch of a log: its number and hash, or `(0, GENESIS)` for an empty one.
pub type Tail = (Seq, Hash);

/// One partition's log, as its one writer holds it.
pub trait Log: Send {
    /// The last committed batch this writer knows of.
    fn tail(&self) -> Tail;

    /// Appends `batch` if the log still ends at `expected`, durably.
    ///
    /// # Errors
    /// See [`LogError`]. After [`LogError::Indeterminate`] the only call allowed is this one again with
    /// the same arguments.
    fn append_if(&mut self, expected: Tail, batch: &Sealed) -> Result<Appended, LogError>;

    /// Confirms that the log still ends at `at`: precedes every answer that appends nothing. Free where
    /// nobody else can write.
    ///
    /// # Errors
    /// [`LogError::Regressed`] when it does not.
    fn confirm(&mut self, at: Tail) -> Result<(), LogError>;

    /// A handle to read committed batches from other threads.
    fn reader(&self) -> Arc<dyn LogReader>;
}

/// Reading committed batches. Never sees one that is still being appended.
pub trait LogReader: Send + Sync {
    /// Batches from number `from` on: as many whole ones as fit in `bytes_max`, but at least one. Empty
    /// when the log ends before `from`.
    ///
    /// # Errors
    /// [`LogError::DataLoss`] where a committed batch cannot be read back as it was written.
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Sealed>, LogError>;

    /// The last committed batch.
    fn tail(&self) -> Tail;
}

/// What became of an append that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The batch is in the log, durably.
    Committed,
    /// Another writer's batch stands there; nothing was appended.
    Lost {
        /// The number of the log's last batch now.
        head: Seq,
    },
}

/// What can go wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Nothing was appended, and nothing will be: the disk has no room for another batch.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Nothing was appended for another reason; trying again is allowed.
    #[error("not appended: {0}")]
    Determinate(String),
    /// The batch may or may not be there.
    #[error("the outcome of the append is unknown: {0}")]
    Indeterminate(String),
    /// The log ends before what was known to be there, or with another hash.
    #[error("the log has gone back: {0}")]
    Regressed(String),
    /// A committed batch cannot be read back.
    #[error("data loss: {0}")]
    DataLoss(String),
    /// The log can no longer be trusted by this process (a failed fsync): it must exit.
    #[error("the log is broken for this process: {0}")]
    Broken(String),
}
