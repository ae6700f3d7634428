//! What may be asked of salons. What is wrong with it in itself is found by [`super::validation`].

use maitred_core::Timestamp;
use uuid::Uuid;

use super::fact::{Buffers, ServiceTime};
pub use super::import::Import;
use super::intervals::Span;
use super::legacy::{Decimal, LegacyStatus};
use super::plan::{AbsenceTime, Day, DayTime, Pattern};
use crate::money::{Currency, Money};

/// The longest name, in characters; the shortest has one.
pub const NAME_CHARS_MAX: usize = 200;
/// The longest notes and reasons, in characters.
pub const NOTES_CHARS_MAX: usize = 2_000;
/// The longest email address, in characters.
pub const EMAIL_CHARS_MAX: usize = 254;
/// The longest telephone number, in characters.
pub const PHONE_CHARS_MAX: usize = 64;
/// The longest kind of a resource, in characters.
pub const RESOURCE_KIND_CHARS_MAX: usize = 50;
/// The most services that one employee does.
pub const SKILLS_MAX: usize = 200;
/// The longest id of another system, in characters.
pub const EXTERNAL_ID_CHARS_MAX: usize = 255;
/// The longest title of a legacy booking, in characters.
pub const TITLE_CHARS_MAX: usize = 2_000;
/// The longest description of a legacy booking, in characters.
pub const LEGACY_DESCRIPTION_CHARS_MAX: usize = 20_000;
/// The longest that a booking is held, in seconds.
pub const HOLD_SECONDS_MAX: u32 = 900;
/// The longest notice, in minutes: 60 days.
pub const NOTICE_MINUTES_MAX: u32 = 86_400;
/// The farthest horizon, in days: two years.
pub const HORIZON_DAYS_MAX: u32 = 731;
/// The longest that a freed time is offered, in minutes: a day.
pub const OFFER_MINUTES_MAX: u32 = 1_440;
/// The most weekly patterns of an employee.
pub const PATTERNS_MAX: usize = 20;
/// The most spans of one day.
pub const DAY_SPANS_MAX: usize = 10;
/// The most weeks from one week of a pattern to the next.
pub const EVERY_WEEKS_MAX: u16 = 52;
/// The most exceptions of an employee.
pub const EXCEPTIONS_MAX: usize = 1_000;
/// The most absences of an employee.
pub const ABSENCES_MAX: usize = 1_000;

/// A command on a salon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Change the rules for offering time.
    ChangeSettings(Change<(), SettingsPatch>),
    /// Take somebody on.
    CreateEmployee(EmployeeDetails),
    /// Change an employee.
    UpdateEmployee(Change<Uuid, EmployeePatch>),
    /// Take an employee away for good; their history stays.
    DeleteEmployee(Change<Uuid, ()>),
    /// Give an employee's calendar another token, by its hash, or none; the one before it opens nothing any more.
    SetCalendarToken(Change<Uuid, Option<u128>>),
    /// Bring in a service.
    CreateService(ServiceDetails),
    /// Change a service. Bookings that are there keep its times and its price.
    UpdateService(Change<Uuid, ServicePatch>),
    /// Take a service away for good; its bookings stay.
    DeleteService(Change<Uuid, ()>),
    /// Bring in a resource.
    CreateResource(ResourceDetails),
    /// Change a resource.
    UpdateResource(Change<Uuid, ResourcePatch>),
    /// Take a resource away for good; its history stays.
    DeleteResource(Change<Uuid, ()>),
    /// Note a customer.
    CreateCustomer(CustomerDetails),
    /// Change a customer.
    UpdateCustomer(Change<Uuid, CustomerPatch>),
    /// Take a customer away for good; their bookings stay.
    DeleteCustomer(Change<Uuid, ()>),
    /// Note a customer of another system, or what is newer of one.
    PutCustomer(PutCustomer),
    /// Change when an employee works.
    ChangePlan(Change<Uuid, PlanChange>),
    /// Book a visit.
    Book(Book),
    /// Move a booking to another time, or to others, in one step.
    Reschedule(Reschedule),
    /// Take a booking on: confirm it, call it off, say that the visit took place, or that nobody came.
    Advance(Change<Uuid, Advance>),
    /// Of the system: free a booking whose hold is over.
    ExpireBooking {
        /// Which.
        booking: Uuid,
    },
    /// Note a booking of the replaced system, or what is newer of one.
    PutLegacyBooking(PutLegacyBooking),
    /// Book a series of visits.
    BookSeries(BookSeries),
    /// Call off what is ahead of a series.
    CancelSeries(CancelSeries),
    /// Note that a customer waits for a time.
    EnterWaitlist(EnterWaitlist),
    /// Take a customer off the waitlist.
    CancelWaitlistEntry(Change<Uuid, ()>),
    /// Of the system: offer a time to somebody who waits, if there is one.
    OfferTime(OfferTime),
    /// Of the system: settle an entry of the waitlist whose time is over.
    ExpireWaitlistEntry {
        /// Which.
        entry: Uuid,
    },
    /// Take over one version of a record as another server exported it, id and instants included. Versions come in
    /// their order, and those of a tenant in the order of its log. One that is there already changes nothing.
    Import(Box<Import>),
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<Id, What> {
    /// Of which.
    pub id: Id,
    /// What.
    pub what: What,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// Defines what a record is made of, new values for it, and how these change it.
macro_rules! details {
    (
        $(#[$details_meta:meta])* $details:ident
        $(#[$patch_meta:meta])* $patch:ident
        { $($(#[$doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$details_meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $details {
            $($(#[$doc])* pub $field: $type,)*
        }

        $(#[$patch_meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $patch {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl $details {
            /// The same with the new values of `patch`.
            #[must_use]
            pub fn changed_by(self, patch: &$patch) -> Self {
                $details { $($field: patch.$field.clone().unwrap_or(self.$field),)* }
            }
        }
    };
}

details! {
    /// What an employee is made of.
    EmployeeDetails
    /// New values of an employee's fields; `None` leaves a field alone.
    EmployeePatch
    {
        /// For people; 1 to [`NAME_CHARS_MAX`] characters.
        name: String,
        /// The services that they do; at most [`SKILLS_MAX`].
        skills: Vec<Uuid>,
        /// For calendars: `#rrggbb`.
        colour: Option<String>,
        /// Whether they can be booked.
        active: bool,
    }
}

/// What a service is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDetails {
    /// For people; 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// How long it takes and what it needs.
    pub time: ServiceTime,
    /// What it costs.
    pub price: Money,
    /// The kind of resource that it takes; 1 to [`RESOURCE_KIND_CHARS_MAX`] characters.
    pub needs_resource: Option<String>,
    /// Whether it can be booked.
    pub active: bool,
}

/// New values of a service's fields; `None` leaves a field alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServicePatch {
    /// The name.
    pub name: Option<String>,
    /// Its times.
    pub time: TimePatch,
    /// The price.
    pub price: Option<Money>,
    /// The kind of resource; `Some(None)`: none.
    pub needs_resource: Option<Option<String>>,
    /// Whether it can be booked.
    pub active: Option<bool>,
}

/// New times of a service, in minutes; `None` leaves one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimePatch {
    /// How long the client is there.
    pub duration_minutes: Option<u32>,
    /// The buffer before it.
    pub buffer_before_minutes: Option<u32>,
    /// The buffer after it.
    pub buffer_after_minutes: Option<u32>,
    /// The gap: after how many minutes, and for how many; `Some(None)`: none.
    pub processing: Option<Option<(u32, u32)>>,
}

impl ServiceDetails {
    /// The same with the new values of `patch`.
    #[must_use]
    pub fn changed_by(self, patch: &ServicePatch) -> Self {
        let (before, time) = (self.time, patch.time);
        ServiceDetails {
            name: patch.name.clone().unwrap_or(self.name),
            time: ServiceTime {
                duration_minutes: time.duration_minutes.unwrap_or(before.duration_minutes),
                buffer_before_minutes: time.buffer_before_minutes.unwrap_or(before.buffer_before_minutes),
                buffer_after_minutes: time.buffer_after_minutes.unwrap_or(before.buffer_after_minutes),
                processing: time.processing.unwrap_or(before.processing),
            },
            price: patch.price.unwrap_or(self.price),
            needs_resource: patch.needs_resource.clone().unwrap_or(self.needs_resource),
            active: patch.active.unwrap_or(self.active),
        }
    }
}

details! {
    /// What a resource is made of.
    ResourceDetails
    /// New values of a resource's fields; `None` leaves a field alone.
    ResourcePatch
    {
        /// For people; 1 to [`NAME_CHARS_MAX`] characters.
        name: String,
        /// What it is: `chair`, say; 1 to [`RESOURCE_KIND_CHARS_MAX`] characters.
        kind: String,
        /// Whether it can be booked.
        active: bool,
    }
}

details! {
    /// What is known of a customer.
    CustomerDetails
    /// New values of a customer's fields; `None` leaves a field alone.
    CustomerPatch
    {
        /// For people; 1 to [`NAME_CHARS_MAX`] characters, not blanks alone and none of them a control character.
        name: String,
        /// Where to write: an address that mail can be sent to
        /// ([`can_be_written_to`](crate::accounts::email::can_be_written_to)).
        email: Option<String>,
        /// Where to call; at most [`PHONE_CHARS_MAX`] characters.
        phone: Option<String>,
        /// What one should know; at most [`NOTES_CHARS_MAX`] characters.
        notes: Option<String>,
    }
}

/// New values of a salon's settings; `None` leaves one alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsPatch {
    /// The step of starts; 5 to 60.
    pub step_minutes: Option<u32>,
    /// How far two visits stay apart.
    pub buffers: Option<Buffers>,
    /// Whether buffers may lie outside of shifts.
    pub buffers_may_leave_shift: Option<bool>,
    /// The notice; at most [`NOTICE_MINUTES_MAX`].
    pub min_notice_minutes: Option<u32>,
    /// The horizon; 1 to [`HORIZON_DAYS_MAX`].
    pub max_horizon_days: Option<u32>,
    /// How long a freed time is offered; 1 to [`OFFER_MINUTES_MAX`].
    pub offer_minutes: Option<u32>,
}

/// A customer as another system knows them. The newest `changed_at` wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutCustomer {
    /// That system's id; 1 to [`EXTERNAL_ID_CHARS_MAX`] characters.
    pub external_id: String,
    /// For people; 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// Where to write; at most [`EMAIL_CHARS_MAX`] characters.
    pub email: Option<String>,
    /// Where to call; at most [`PHONE_CHARS_MAX`] characters.
    pub phone: Option<String>,
    /// When that system created them.
    pub created_at: Timestamp,
    /// When that system changed them last.
    pub changed_at: Timestamp,
}

/// A change of a shift plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanChange {
    /// These are all the weekly patterns; at most [`PATTERNS_MAX`].
    SetPatterns(Vec<Pattern>),
    /// On this day the spans are these; at most [`DAY_SPANS_MAX`].
    SetException(Day, Vec<DayTime>),
    /// On this day the patterns hold again.
    RemoveException(Day),
    /// The employee is away.
    AddAbsence {
        /// When.
        time: AbsenceTime,
        /// Why; at most [`NOTES_CHARS_MAX`] characters.
        reason: Option<String>,
    },
    /// The employee is not away after all.
    RemoveAbsence(Uuid),
}

/// Books a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// For whom.
    pub customer: ForCustomer,
    /// When it begins.
    pub starts_at: Timestamp,
    /// What is done, one after another: 1 to [`super::calculus::SERVICES_IN_A_ROW_MAX`].
    pub items: Vec<WantedItem>,
    /// How long it is held: 1 to [`HOLD_SECONDS_MAX`]; without it, it is confirmed at once.
    pub hold_seconds: Option<u32>,
    /// Who holds it, besides the customer: a hash of the address from which it was asked for.
    pub holder: Option<u128>,
    /// The hash of the token by which whoever books it may see and manage it.
    pub token_hash: Option<u128>,
    /// Whether it is to be put where it is not offered. Time that is taken stays taken.
    pub force: bool,
    /// For people; at most [`NOTES_CHARS_MAX`] characters.
    pub notes: Option<String>,
}

/// Books a series of visits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookSeries {
    /// For whom.
    pub customer: ForCustomer,
    /// When the first visit begins.
    pub starts_at: Timestamp,
    /// What is done at each visit, as [`Book::items`].
    pub items: Vec<WantedItem>,
    /// By which rule the visits come again: a part of RFC 5545 ([`super::recurrence`]).
    pub rule: String,
    /// What becomes of the series where a visit is not to be had.
    pub on_clash: OnClash,
    /// As [`Book::force`].
    pub force: bool,
    /// As [`Book::notes`].
    pub notes: Option<String>,
}

/// What becomes of a series where a visit is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClash {
    /// Nothing is booked.
    Refuse,
    /// The others are booked.
    Skip,
}

/// Calls off what is ahead of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelSeries {
    /// Which.
    pub series: Uuid,
    /// The visits that begin then or later; now, without it.
    pub from: Option<Timestamp>,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// Notes that a customer waits for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnterWaitlist {
    /// Who.
    pub customer: Uuid,
    /// What is to be done, one after another: 1 to [`super::calculus::SERVICES_IN_A_ROW_MAX`].
    pub services: Vec<Uuid>,
    /// By whom; by whoever suits best without it.
    pub employee: Option<Uuid>,
    /// The visit begins then or later.
    pub from: Timestamp,
    /// The visit ends then or sooner; at most [`super::waitlist::WINDOW_DAYS_MAX`] days behind `from`.
    pub to: Timestamp,
    /// The hash of the token by which whoever waits may see the entry, and take or decline its offers.
    pub token_hash: Option<u128>,
}

impl EnterWaitlist {
    /// What is to be done, as a booking would say it.
    pub fn items(&self) -> Vec<WantedItem> {
        let item = |service: &Uuid| WantedItem { service: *service, employee: self.employee };
        self.services.iter().map(item).collect()
    }
}

/// Offers a time to somebody who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferTime {
    /// By which entry of the waitlist.
    pub entry: Uuid,
    /// When the visit may begin.
    pub starts: Span,
}

/// For whom a visit is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForCustomer {
    /// For a customer who is known.
    Known(Uuid),
    /// For somebody new.
    New(CustomerDetails),
}

/// A service that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedItem {
    /// What is done.
    pub service: Uuid,
    /// By whom; by whoever suits best without it.
    pub employee: Option<Uuid>,
}

/// Moves a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reschedule {
    /// Which.
    pub booking: Uuid,
    /// When it begins from now on.
    pub starts_at: Timestamp,
    /// What is done from now on; the same by the same employees without it. What the visit has already stays as it was
    /// booked ([`super::rules::wanted_of_moved`]).
    pub items: Option<Vec<WantedItem>>,
    /// As [`Book::force`].
    pub force: bool,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// Where a booking is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// A held booking stands.
    Confirm,
    /// A held or confirmed booking is called off.
    Cancel,
    /// The visit of a confirmed booking took place.
    Complete,
    /// Nobody came to a confirmed booking.
    NoShow,
}

/// A booking as the replaced system knows it. The newest `changed_at` wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutLegacyBooking {
    /// That system's id, 1 to [`EXTERNAL_ID_CHARS_MAX`] characters; a new one without it.
    pub external_id: Option<String>,
    /// That system's id of the customer; at most [`EXTERNAL_ID_CHARS_MAX`] characters.
    pub customer_id: String,
    /// What was booked; at most [`TITLE_CHARS_MAX`] characters.
    pub title: String,
    /// More of it; at most [`LEGACY_DESCRIPTION_CHARS_MAX`] characters.
    pub description: String,
    /// When.
    pub date: Timestamp,
    /// How far it is.
    pub status: LegacyStatus,
    /// What it costs.
    pub price: Decimal,
    /// Of what.
    pub currency: Currency,
    /// When that system created it.
    pub created_at: Timestamp,
    /// When that system changed it last.
    pub changed_at: Timestamp,
}
