//! What is known of consumers, as the log keeps it for ever.

use maitred_core::{Actor, ChangeId, TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::{micros, recorded};

recorded! {
    /// A fact of this domain.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A consumer is done with everything up to a place in the log.
        CursorKept(CursorKept) = 500 version 1,
        /// A consumer could not deal with a fact, and goes on without it. One that was taken up again goes back, with
        /// those of its key behind it.
        DeadLetterParked(DeadLetterParked) = 501 version 1,
        /// A runner has taken a consumer over.
        ConsumerClaimed(ConsumerClaimed) = 502 version 1,
        /// A runner is about to try a fact, after a start that may have ended by it.
        FactTried(FactTried) = 503 version 1,
        /// An operator has dead letters taken up again.
        DeadLettersRedriven(DeadLettersChosen) = 504 version 1,
        /// An operator has thrown dead letters away.
        DeadLettersDiscarded(DeadLettersChosen) = 505 version 1,
        /// A dead letter that was taken up again is done.
        DeadLetterSettled(DeadLetterSettled) = 506 version 1,
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

/// A new epoch of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerClaimed {
    /// Its name.
    pub consumer: String,
    /// The epoch, from 1.
    pub epoch: u64,
    /// How many claims in a row have found the cursor where it had been.
    pub stalled: u32,
}

/// A fact that is tried, one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactTried {
    /// The name of the consumer.
    pub consumer: String,
    /// The runner's epoch.
    pub epoch: u64,
    /// Where the fact stands.
    pub place: Place,
    /// In how many epochs before the process ended while it was tried.
    pub crashes: u32,
}

/// Dead letters that somebody has decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersChosen {
    /// The name of the consumer.
    pub consumer: String,
    /// Who decided it.
    pub by: By,
    /// Which: the places of their facts, in the log's order.
    pub places: Vec<Place>,
}

/// A dead letter that is one no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterSettled {
    /// The name of the consumer.
    pub consumer: String,
    /// Where its fact stands.
    pub place: Place,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The batch.
    pub seq: u64,
    /// The fact's place there.
    pub ordinal: u32,
}

/// Who decided something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// The server itself.
    System,
    /// Nobody in particular: an open server.
    Anonymous,
    /// An API key, by its id.
    ApiKey(u128),
    /// A user, by their id.
    User(u128),
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::System => By::System,
            Actor::Anonymous => By::Anonymous,
            Actor::ApiKey(id) => By::ApiKey(id),
            Actor::User(id) => By::User(id),
        }
    }
}

impl From<ChangeId> for Place {
    fn from(ChangeId { seq, ordinal }: ChangeId) -> Self {
        Place { seq, ordinal }
    }
}

impl From<Place> for ChangeId {
    fn from(Place { seq, ordinal }: Place) -> Self {
        ChangeId { seq, ordinal }
    }
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
