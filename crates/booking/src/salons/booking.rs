//! Bookings: the state of one, where it can go from there, and what it claims.
//!
//! Invariants:
//! - A booking holds its time while it is held (until its hold is over), confirmed or completed.
//! - What it claims follows from its items alone, which carry the times of their services as these were when it was
//!   booked: a service that changes moves nothing.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::calculus::{self, Occupied};
use super::fact::ServiceTime;
use super::intervals::Span;
use crate::encoding::micros;
use crate::money::Money;
use crate::slot::ResourceNumber;

/// A booking, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Whose.
    #[serde(with = "uuid::serde::compact")]
    pub customer: Uuid,
    /// Where it stands.
    pub status: BookingStatus,
    /// When the client is there.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// When the client goes.
    #[serde(with = "micros")]
    pub ends_at: Timestamp,
    /// What is done, one after another.
    pub items: Vec<BookedItem>,
    /// Until when it is, or was, held.
    #[serde(with = "micros::option")]
    pub hold_expires_at: Option<Timestamp>,
    /// Who holds it, besides the customer: a hash of the address from which it was asked for.
    pub holder: Option<u128>,
    /// The hash of the token by which whoever booked it may see and manage it.
    pub token_hash: Option<u128>,
    /// Whether somebody who works there put it where it is not offered.
    pub forced: bool,
    /// For people.
    pub notes: Option<String>,
    /// When it was booked.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// The series that it is a visit of.
    pub series: Option<Uuid>,
    /// The entry of the waitlist that it is, or was, offered to.
    pub offered_to: Option<Uuid>,
}

/// A service of a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookedItem {
    /// What is done.
    #[serde(with = "uuid::serde::compact")]
    pub service: Uuid,
    /// What it is called.
    pub name: String,
    /// How long that takes.
    pub time: ServiceTime,
    /// What it costs.
    pub price: Money,
    /// When it begins.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// Who does it.
    pub employee: Place,
    /// Where, if it needs a resource.
    pub resource: Option<Place>,
}

/// An employee or a resource, with the number under which its time is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The number.
    pub number: ResourceNumber,
}

/// Where a booking stands. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BookingStatus {
    /// Its time is kept until its hold is over.
    Held,
    /// It stands.
    Confirmed,
    /// It was called off.
    Cancelled,
    /// It was not confirmed in time.
    Expired,
    /// The visit took place.
    Completed,
    /// The client did not come.
    NoShow,
}

impl BookingStatus {
    /// Every status.
    pub const ALL: [BookingStatus; 6] = [
        BookingStatus::Held,
        BookingStatus::Confirmed,
        BookingStatus::Cancelled,
        BookingStatus::Expired,
        BookingStatus::Completed,
        BookingStatus::NoShow,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            BookingStatus::Held => "held",
            BookingStatus::Confirmed => "confirmed",
            BookingStatus::Cancelled => "cancelled",
            BookingStatus::Expired => "expired",
            BookingStatus::Completed => "completed",
            BookingStatus::NoShow => "no_show",
        }
    }

    /// Whether a booking of this status claims its time.
    pub const fn claims_time(self) -> bool {
        matches!(self, BookingStatus::Held | BookingStatus::Confirmed | BookingStatus::Completed)
    }
}

impl Booking {
    /// Where it stands at an instant: a hold that is over is expired, whether or not the record says so yet.
    pub fn status_at(&self, at: Timestamp) -> BookingStatus {
        match (self.status, self.hold_expires_at) {
            (BookingStatus::Held, Some(expires_at)) if expires_at <= at => BookingStatus::Expired,
            (status, _) => status,
        }
    }

    /// What it claims: spans of the employees and of the resources of its items.
    pub fn claims(&self) -> impl Iterator<Item = (ResourceNumber, Span)> {
        self.items.iter().flat_map(BookedItem::claims)
    }

    /// What it occupies: what it claims, with the buffers around it.
    pub fn occupied(&self) -> impl Iterator<Item = (ResourceNumber, Occupied)> {
        self.items.iter().flat_map(BookedItem::occupied)
    }
}

impl BookedItem {
    /// When it ends.
    pub fn ends_at(&self) -> Timestamp {
        self.calculated().ends_at(self.starts_at)
    }

    /// What it claims.
    pub fn claims(&self) -> impl Iterator<Item = (ResourceNumber, Span)> + use<> {
        self.occupied().map(|(number, occupied)| (number, occupied.span))
    }

    /// What it occupies of its employee and its resource.
    pub fn occupied(&self) -> impl Iterator<Item = (ResourceNumber, Occupied)> + use<> {
        let service = self.calculated();
        let number = self.employee.number;
        let employee = service.employee_time(self.starts_at).map(move |time| (number, time));
        let resource = self.resource.map(|place| (place.number, service.resource_time(self.starts_at)));
        employee.chain(resource)
    }

    fn calculated(&self) -> calculus::Service {
        self.time.calculated(self.service, None)
    }
}

impl ServiceTime {
    /// As the calculation takes it.
    pub fn calculated(self, id: Uuid, needs_resource: Option<calculus::ResourceKind>) -> calculus::Service {
        calculus::Service {
            id: id.as_u128(),
            duration_minutes: self.duration_minutes,
            buffer_before_minutes: self.buffer_before_minutes,
            buffer_after_minutes: self.buffer_after_minutes,
            processing: self
                .processing
                .map(|(after_minutes, for_minutes)| calculus::Processing { after_minutes, for_minutes }),
            needs_resource,
        }
    }
}

/// A booking of the first version of its facts: there were neither series nor a waitlist.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BookingV1 {
    #[serde(with = "uuid::serde::compact")]
    id: Uuid,
    #[serde(with = "uuid::serde::compact")]
    customer: Uuid,
    status: BookingStatus,
    #[serde(with = "micros")]
    starts_at: Timestamp,
    #[serde(with = "micros")]
    ends_at: Timestamp,
    items: Vec<BookedItem>,
    #[serde(with = "micros::option")]
    hold_expires_at: Option<Timestamp>,
    holder: Option<u128>,
    token_hash: Option<u128>,
    forced: bool,
    notes: Option<String>,
    #[serde(with = "micros")]
    created_at: Timestamp,
}

impl From<BookingV1> for Booking {
    fn from(old: BookingV1) -> Self {
        let BookingV1 { id, customer, status, starts_at, ends_at, items, .. } = old;
        let BookingV1 { hold_expires_at, holder, token_hash, forced, notes, created_at, .. } = old;
        Booking {
            id,
            customer,
            status,
            starts_at,
            ends_at,
            items,
            hold_expires_at,
            holder,
            token_hash,
            forced,
            notes,
            created_at,
            series: None,
            offered_to: None,
        }
    }
}
