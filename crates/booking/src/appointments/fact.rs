//! What is decided about appointments, as the log keeps it for ever.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::{micros, recorded};
use crate::slot::ResourceNumber;

recorded! {
    /// A fact of this domain. An appointment's facts carry all of its new state.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A resource was named for the first time.
        ResourceNamed(ResourceNamed) = 100 version 1,
        /// An appointment is new.
        AppointmentCreated(State) = 101 version 1,
        /// An appointment has another content, or is back after it was cancelled.
        AppointmentUpdated(State) = 102 version 1,
        /// An appointment was cancelled, or is known only to have been.
        AppointmentCancelled(State) = 103 version 1,
        /// A version of an appointment was taken over from another server.
        AppointmentImported(Imported) = 104 version 1,
    }
    older {}
}

/// A resource's number within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceNamed {
    /// From 1, without a gap.
    pub number: ResourceNumber,
    /// The name.
    pub name: String,
}

/// A version that was taken over as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its number there and here.
    pub version: u64,
    /// When it was decided there.
    #[serde(with = "micros")]
    pub received_at: Timestamp,
    /// What it is.
    pub state: State,
}

/// An appointment as facts and records keep it. `Text` is borrowed where it is only looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State<Text = String> {
    /// Our id; the same in every version.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The owner's id.
    pub external_id: Text,
    /// The owner's time of the last change.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// Whether it claims no time any more.
    pub cancelled: bool,
    /// What it is; nothing for the tombstone of an id that was cancelled before anything else was known.
    pub details: Option<Details<Text>>,
}

/// What an appointment is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details<Text = String> {
    /// On what.
    pub resource: ResourceNumber,
    /// The first instant.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// The first instant behind it.
    #[serde(with = "micros")]
    pub ends_at: Timestamp,
    /// The owner's time of creation.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// A title.
    pub title: Option<Text>,
    /// A JSON object.
    pub metadata: Option<Text>,
}

impl<Text> State<Text> {
    /// The details of an appointment that claims time.
    pub fn active(&self) -> Option<&Details<Text>> {
        self.details.as_ref().filter(|_| !self.cancelled)
    }
}

impl State {
    /// The same with the texts borrowed.
    pub fn borrowed(&self) -> State<&str> {
        State {
            id: self.id,
            external_id: &self.external_id,
            updated_at: self.updated_at,
            cancelled: self.cancelled,
            details: self.details.as_ref().map(|details| Details {
                resource: details.resource,
                starts_at: details.starts_at,
                ends_at: details.ends_at,
                created_at: details.created_at,
                title: details.title.as_deref(),
                metadata: details.metadata.as_deref(),
            }),
        }
    }
}

impl State<&str> {
    /// The same with texts of its own.
    pub fn to_owned(&self) -> State {
        State {
            id: self.id,
            external_id: self.external_id.to_owned(),
            updated_at: self.updated_at,
            cancelled: self.cancelled,
            details: self.details.as_ref().map(|details| Details {
                resource: details.resource,
                starts_at: details.starts_at,
                ends_at: details.ends_at,
                created_at: details.created_at,
                title: details.title.map(str::to_owned),
                metadata: details.metadata.map(str::to_owned),
            }),
        }
    }
}
