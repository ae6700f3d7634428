//! What is decided about salons, as the log keeps it for ever: the settings, who works there, what is done, and who
//! comes. Bookings are in [`super::booking`], series of them in [`super::series`], who waits in [`super::waitlist`], shift
//! plans in [`super::plan`], bookings of the replaced system in [`super::legacy`].

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::booking::{Booking, BookingV1};
use super::legacy::LegacyBooking;
use super::plan::PlanState;
use super::series::Series;
use super::waitlist::WaitlistEntry;
use crate::encoding::{micros, recorded};
use crate::imported::Imported;
use crate::money::Money;

recorded! {
    /// A fact of this domain. It carries all of its record's new state.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// The salon's rules are others.
        SettingsChanged(Settings) = 200 version 1,
        /// An employee is new.
        EmployeeCreated(Employee) = 201 version 1,
        /// An employee has another content.
        EmployeeUpdated(Employee) = 202 version 1,
        /// An employee is gone for good.
        EmployeeDeleted(Employee) = 203 version 1,
        /// A service is new.
        ServiceCreated(Service) = 204 version 1,
        /// A service has another content.
        ServiceUpdated(Service) = 205 version 1,
        /// A service is gone for good.
        ServiceDeleted(Service) = 206 version 1,
        /// A resource is new.
        ResourceCreated(Resource) = 207 version 1,
        /// A resource has another content.
        ResourceUpdated(Resource) = 208 version 1,
        /// A resource is gone for good.
        ResourceDeleted(Resource) = 209 version 1,
        /// A customer is new.
        CustomerCreated(Customer) = 210 version 1,
        /// A customer has another content.
        CustomerUpdated(Customer) = 211 version 1,
        /// A customer is gone for good.
        CustomerDeleted(Customer) = 212 version 1,
        /// An employee works at other times.
        PlanChanged(PlanState) = 220 version 1,
        /// A booking is new, held or confirmed: it claims its time.
        BookingCreated(Booking) = 230 version 2,
        /// A held booking is confirmed.
        BookingConfirmed(Booking) = 231 version 2,
        /// A booking was called off: its time is free.
        BookingCancelled(Booking) = 232 version 2,
        /// A hold is over: its time is free.
        BookingExpired(Booking) = 233 version 2,
        /// A booking is at another time, or with others.
        BookingRescheduled(Booking) = 234 version 2,
        /// The visit took place.
        BookingCompleted(Booking) = 235 version 2,
        /// The client did not come: what is left of the time is free.
        BookingNoShow(Booking) = 236 version 2,
        /// A booking of the replaced system is known, or is otherwise than before.
        LegacyBookingPut(LegacyBooking) = 240 version 1,
        /// A series of visits is booked; the bookings stand beside it.
        SeriesBooked(Series) = 241 version 1,
        /// The visits of a series that were ahead were called off.
        SeriesCancelled(Series) = 242 version 1,
        /// A customer waits for a time.
        WaitlistEntered(WaitlistEntry) = 243 version 1,
        /// Whoever waits has an offer: a booking that is held for them.
        WaitlistOffered(WaitlistEntry) = 244 version 1,
        /// An offer was not taken: the customer waits again.
        WaitlistPassed(WaitlistEntry) = 245 version 1,
        /// An offer was taken.
        WaitlistTaken(WaitlistEntry) = 246 version 1,
        /// The time that was waited for is over, or too many offers were not taken.
        WaitlistExpired(WaitlistEntry) = 247 version 1,
        /// The customer waits no more.
        WaitlistCancelled(WaitlistEntry) = 248 version 1,
        /// A version of the settings was taken over from another server.
        SettingsImported(Imported<Settings>) = 280 version 1,
        /// A version of an employee was taken over.
        EmployeeImported(Imported<Employee>) = 281 version 1,
        /// A version of a service was taken over.
        ServiceImported(Imported<Service>) = 282 version 1,
        /// A version of a resource was taken over.
        ResourceImported(Imported<Resource>) = 283 version 1,
        /// A version of a customer was taken over.
        CustomerImported(Imported<Customer>) = 284 version 1,
        /// A version of a shift plan was taken over.
        PlanImported(Imported<PlanState>) = 285 version 1,
        /// A version of a booking was taken over: it claims its time, or frees it, as it did there.
        BookingImported(Imported<Booking>) = 286 version 1,
        /// A version of a booking of the replaced system was taken over.
        LegacyBookingImported(Imported<LegacyBooking>) = 287 version 1,
        /// A version of a series was taken over.
        SeriesImported(Imported<Series>) = 288 version 1,
        /// A version of an entry of the waitlist was taken over: its number is this server's.
        WaitlistImported(Imported<WaitlistEntry>) = 289 version 1,
    }
    older {
        230 version 1: BookingV1 => BookingCreated,
        231 version 1: BookingV1 => BookingConfirmed,
        232 version 1: BookingV1 => BookingCancelled,
        233 version 1: BookingV1 => BookingExpired,
        234 version 1: BookingV1 => BookingRescheduled,
        235 version 1: BookingV1 => BookingCompleted,
        236 version 1: BookingV1 => BookingNoShow,
    }
}

/// A salon's rules for offering time, as facts and records keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Starts are multiples of this after local midnight.
    pub step_minutes: u32,
    /// How far two visits stay apart.
    pub buffers: Buffers,
    /// Whether buffers may lie outside of shifts.
    pub buffers_may_leave_shift: bool,
    /// A visit starts at least this long after it is booked.
    pub min_notice_minutes: u32,
    /// A visit starts less than this many times 24 hours after it is booked.
    pub max_horizon_days: u32,
    /// How long a freed time is held for whoever waits for it.
    pub offer_minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            step_minutes: 15,
            buffers: Buffers::Sum,
            buffers_may_leave_shift: false,
            min_notice_minutes: 0,
            max_horizon_days: 366,
            offer_minutes: 15,
        }
    }
}

/// How far two neighbours stay apart. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Buffers {
    /// By both their buffers.
    Sum,
    /// By the longer of the two.
    Max,
}

/// Somebody who works there, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Employee {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Under which their time is claimed ([`crate::slot`]).
    pub number: u32,
    /// For people.
    pub name: String,
    /// The ids of the services that they do, in order, each once.
    pub skills: Vec<Uuid>,
    /// For calendars: `#rrggbb`.
    pub colour: Option<String>,
    /// Whether they can be booked.
    pub active: bool,
    /// The hash of the token by which a phone reads their calendar.
    pub calendar_token_hash: Option<u128>,
    /// Whether they are gone for good.
    pub deleted: bool,
    /// When they were created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// What is done there, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// How long it takes and what it needs.
    pub time: ServiceTime,
    /// What it costs.
    pub price: Money,
    /// The kind of resource that it takes for the whole duration.
    pub needs_resource: Option<String>,
    /// Whether it can be booked.
    pub active: bool,
    /// Whether it is gone for good.
    pub deleted: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// The time that a service takes, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTime {
    /// How long the client is there.
    pub duration_minutes: u32,
    /// What employee and resource need before it.
    pub buffer_before_minutes: u32,
    /// What they need after it.
    pub buffer_after_minutes: u32,
    /// The gap in which the client sits and the employee is free: after how many minutes, and for how many.
    pub processing: Option<(u32, u32)>,
}

/// A chair or a room, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Under which its time is claimed ([`crate::slot`]).
    pub number: u32,
    /// For people.
    pub name: String,
    /// What it is: `chair`, say.
    pub kind: String,
    /// Whether it can be booked.
    pub active: bool,
    /// Whether it is gone for good.
    pub deleted: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// Somebody who comes there, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The id; of an imported one it follows from `external_id` ([`super::view::id_of_text`]).
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The text under which another system knows them.
    pub external_id: Option<String>,
    /// For people.
    pub name: String,
    /// Where to write.
    pub email: Option<String>,
    /// Where to call.
    pub phone: Option<String>,
    /// What one should know of them.
    pub notes: Option<String>,
    /// Whether they are gone for good.
    pub deleted: bool,
    /// When they were created; what another system says of that, if it does.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// When another system changed them last.
    #[serde(with = "micros::option")]
    pub changed_at: Option<Timestamp>,
}
