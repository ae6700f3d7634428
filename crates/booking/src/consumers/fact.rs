//! What is known of consumers, as the log keeps it for ever.

use maitred_core::{ChangeId, TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::{micros, recorded};

recorded! {
    /// A fact of this domain.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A consumer is done with everything up to a place in the log.
        CursorKept(CursorKept) = 500 version 1,
        /// A consumer could not deal with a fact, and goes on without it.
        DeadLetterParked(DeadLetterParked) = 501 version 1,
    }
    older {}
}

/// How far a consumer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorKept {
    /// Its name.
    pub consumer: String,
    /// The batch of the last fact it is done with.
    pub seq: u64,
    /// That fact's place in the batch; the greatest number means all of it.
    pub ordinal: u32,
}

/// A fact that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterParked {
    /// The name of the consumer.
    pub consumer: String,
    /// The fact's batch.
    pub seq: u64,
    /// Its place there.
    pub ordinal: u32,
    /// When it was decided.
    #[serde(with = "micros")]
    pub decided_at: Timestamp,
    /// The number of the tenant whose it is.
    pub tenant: u32,
    /// What it is about, as the consumer sees it: those of one key belong together.
    pub key: u128,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub reason: String,
}

impl CursorKept {
    /// The place.
    pub fn place(&self) -> ChangeId {
        ChangeId { seq: self.seq, ordinal: self.ordinal }
    }
}

impl DeadLetterParked {
    /// The fact's place.
    pub fn place(&self) -> ChangeId {
        ChangeId { seq: self.seq, ordinal: self.ordinal }
    }

    /// Whose it is.
    pub fn tenant(&self) -> TenantNumber {
        TenantNumber(self.tenant)
    }
}
