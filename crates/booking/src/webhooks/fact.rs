//! What is decided about webhooks, as the log keeps it for ever.

use maitred_core::{ChangeId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secret::Sealed;
use crate::encoding::{micros, recorded};

recorded! {
    /// A fact of this domain. Those on an endpoint carry all of its new state; the others are about deliveries, make no
    /// version and stand in no change feed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// An endpoint is new: it gets what changes from now on.
        WebhookCreated(Endpoint) = 700 version 1,
        /// An endpoint has another content, or another secret.
        WebhookUpdated(Endpoint) = 701 version 1,
        /// An endpoint is disabled by the server.
        WebhookDisabled(Endpoint) = 702 version 1,
        /// An endpoint is gone for good, with all that it had to deliver.
        WebhookDeleted(Endpoint) = 703 version 1,
        /// How far endpoints are; of the system tenant.
        CursorsKept(CursorsKept) = 710 version 1,
        /// A change could not be delivered: its record has a lane.
        DeliveryFailed(DeliveryFailed) = 711 version 1,
        /// A change of a lane is delivered: the lane goes on, or is closed.
        LaneDelivered(LaneMoved) = 712 version 1,
        /// A change was tried for the last time: it is a dead letter, and the lane goes on, or is closed.
        DeliveryDied(DeliveryDied) = 713 version 1,
        /// An endpoint that failed has answered.
        EndpointRecovered(EndpointRecovered) = 714 version 1,
        /// A change is to be sent again: its record has a lane.
        RetryAsked(RetryAsked) = 715 version 1,
        /// A part of the feed is to be sent again.
        ReplayBegun(ReplayBegun) = 716 version 1,
    }
    older {}
}

/// An endpoint, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Where changes are sent.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// The kinds of record that it wants, by their names; all of them where there is none.
    pub kinds: Vec<String>,
    /// The types of change that it wants, by their names; all of them where there is none.
    pub types: Vec<String>,
    /// Whether its owner wants deliveries.
    pub active: bool,
    /// That the server delivers nothing any more, until its owner activates it again.
    pub disabled: Option<Disabled>,
    /// What deliveries are signed with.
    pub secret: Sealed,
    /// What they are signed with too, for a while.
    pub previous: Option<Previous>,
    /// Whether it is gone for good.
    pub deleted: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// That the server disabled an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Why.
    pub reason: DisabledReason,
    /// When.
    #[serde(with = "micros")]
    pub at: Timestamp,
}

/// Why the server disabled an endpoint. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisabledReason {
    /// It answered 410.
    Gone,
    /// It has failed for too long without a success.
    Failing,
    /// It has as many dead letters as it may have.
    DeadLetters,
}

impl DisabledReason {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            DisabledReason::Gone => "gone",
            DisabledReason::Failing => "failing",
            DisabledReason::DeadLetters => "dead_letters",
        }
    }
}

/// The secret before a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The secret.
    pub secret: Sealed,
    /// From then on it signs nothing.
    #[serde(with = "micros")]
    pub until: Timestamp,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The batch.
    pub seq: u64,
    /// The place in the batch; the greatest number means all of it.
    pub ordinal: u32,
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

/// How far endpoints are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorsKept {
    /// One each.
    pub cursors: Vec<Cursor>,
}

/// How far an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of its tenant.
    pub tenant: u32,
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
    /// Everything up to here is delivered, or in a lane.
    pub through: Place,
    /// The same of the part of the feed that is being sent again.
    pub replayed: Option<Place>,
}

/// A record, in the facts of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordKey {
    /// The number of its kind.
    pub kind: u8,
    /// Its id there.
    pub id: u128,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The beginning of the answer's body.
    pub answer: String,
    /// What went wrong, if there was no answer.
    pub problem: Option<String>,
}

/// A change that could not be delivered so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The change: the first one of its record that is not delivered.
    pub change: Place,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again.
    #[serde(with = "micros")]
    pub next_at: Timestamp,
    /// The last attempt, if there was one.
    pub last: Option<Attempt>,
}

/// See [`Fact::DeliveryFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFailed {
    /// The endpoint.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
    /// The record.
    pub record: RecordKey,
    /// Its lane.
    pub lane: Lane,
}

/// See [`Fact::LaneDelivered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneMoved {
    /// The endpoint.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
    /// The record.
    pub record: RecordKey,
    /// The lane from now on; `None` closes it.
    pub lane: Option<Lane>,
}

/// See [`Fact::DeliveryDied`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryDied {
    /// The endpoint.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
    /// The record.
    pub record: RecordKey,
    /// The change, how often it was tried, and the last attempt.
    pub dead: Lane,
    /// The lane from now on; `None` closes it.
    pub lane: Option<Lane>,
}

/// See [`Fact::EndpointRecovered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecovered {
    /// The endpoint.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
}

/// See [`Fact::RetryAsked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAsked {
    /// The endpoint.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
    /// The record.
    pub record: RecordKey,
    /// The change that was asked for: it is no dead letter any more.
    pub change: Place,
    /// The lane from now on.
    pub lane: Lane,
}

/// A part of a feed that is being sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Everything up to here is delivered, or in a lane.
    pub through: Place,
    /// The last place of the part.
    pub to: Place,
}

/// See [`Fact::ReplayBegun`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayBegun {
    /// The endpoint.
    #[serde(with = "uuid::serde::compact")]
    pub endpoint: Uuid,
    /// The part.
    pub replay: Replay,
}

impl Endpoint {
    /// Whether changes are delivered to it.
    pub fn delivers(&self) -> bool {
        self.active && self.disabled.is_none() && !self.deleted
    }

    /// Whether it wants changes of this type of records of this kind, by their names.
    pub fn wants(&self, kind: &str, change_type: &str) -> bool {
        let has = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        has(&self.kinds, kind) && has(&self.types, change_type)
    }
}
