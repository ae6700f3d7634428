//! A series of visits, as facts and records keep it: by which rule it was booked, and which bookings came of it.
//!
//! Invariants:
//! - The bookings of a series are bookings as any other, and go their own ways; each carries the series' id.
//! - A series is booked once, by one command ([`super::rules`]), and never grows.
//!
//! Next: [`super::recurrence`] for the rule.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::micros;

/// A series of visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Whose.
    #[serde(with = "uuid::serde::compact")]
    pub customer: Uuid,
    /// When the first visit begins, or would begin.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// The rule, as it was given.
    pub rule: String,
    /// What was booked, in the order of the visits; at most [`super::recurrence::OCCURRENCES_MAX`].
    pub bookings: Vec<Uuid>,
    /// The visits from this instant on were called off.
    #[serde(with = "micros::option")]
    pub cancelled_from: Option<Timestamp>,
    /// When it was booked.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}
