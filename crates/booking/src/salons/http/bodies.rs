//! What the native API shows of salons.

use maitred_core::Timestamp;
use maitred_web::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::plans::{AbsenceBody, ExceptionBody, PatternBody};
use crate::flash_sales::Versioned;
use crate::money::MoneyBody;
use crate::salons::booking::{BookedItem, Booking, BookingStatus};
use crate::salons::fact::{Buffers, Customer, Employee, Resource, Service, Settings};
use crate::salons::legacy::LegacyBooking;
use crate::salons::plan::PlanState;

/// How far two visits stay apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Buffers)]
pub enum BuffersName {
    /// By both their buffers.
    Sum,
    /// By the longer of the two.
    Max,
}

impl From<Buffers> for BuffersName {
    fn from(from: Buffers) -> Self {
        match from {
            Buffers::Sum => BuffersName::Sum,
            Buffers::Max => BuffersName::Max,
        }
    }
}

impl From<BuffersName> for Buffers {
    fn from(from: BuffersName) -> Self {
        match from {
            BuffersName::Sum => Buffers::Sum,
            BuffersName::Max => Buffers::Max,
        }
    }
}

/// A salon's rules for offering time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SalonSettings)]
pub struct SettingsBody {
    /// Starts are multiples of this after local midnight.
    step_minutes: u32,
    /// How far two visits stay apart.
    buffers: BuffersName,
    /// Whether buffers may lie outside of shifts.
    buffers_may_leave_shift: bool,
    /// A visit starts at least this long after it is booked.
    min_notice_minutes: u32,
    /// A visit starts less than this many times 24 hours after it is booked.
    max_horizon_days: u32,
    /// How long a freed time is held for whoever waits for it.
    offer_minutes: u32,
    /// From 1; 0 while nobody has changed them.
    version: u64,
}

impl From<Versioned<Settings>> for SettingsBody {
    fn from(Versioned { version, is, .. }: Versioned<Settings>) -> Self {
        SettingsBody {
            step_minutes: is.step_minutes,
            buffers: is.buffers.into(),
            buffers_may_leave_shift: is.buffers_may_leave_shift,
            min_notice_minutes: is.min_notice_minutes,
            max_horizon_days: is.max_horizon_days,
            offer_minutes: is.offer_minutes,
            version,
        }
    }
}

/// An employee.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Employee)]
pub struct EmployeeBody {
    id: Uuid,
    /// For people.
    name: String,
    /// The ids of the services that they do.
    skills: Vec<Uuid>,
    /// For calendars.
    #[schema(pattern = "^#[0-9A-Fa-f]{6}$")]
    colour: Option<String>,
    /// Whether they can be booked.
    active: bool,
    /// Whether they are gone for good.
    deleted: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Employee>> for EmployeeBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Employee>) -> Self {
        EmployeeBody {
            id: is.id,
            name: is.name,
            skills: is.skills,
            colour: is.colour,
            active: is.active,
            deleted: is.deleted,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A time within a service in which the client sits and the employee is free.
#[derive(Debug, Clone, Copy, Serialize, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Processing)]
pub struct ProcessingBody {
    /// From the start of the service to the start of the gap.
    #[schema(minimum = 1, maximum = 1440)]
    pub after_minutes: u32,
    /// How long the gap is; it ends before the service does.
    #[schema(minimum = 1, maximum = 1440)]
    pub for_minutes: u32,
}

impl From<(u32, u32)> for ProcessingBody {
    fn from((after_minutes, for_minutes): (u32, u32)) -> Self {
        ProcessingBody { after_minutes, for_minutes }
    }
}

impl From<ProcessingBody> for (u32, u32) {
    fn from(body: ProcessingBody) -> Self {
        (body.after_minutes, body.for_minutes)
    }
}

/// A service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceBody {
    id: Uuid,
    /// For people.
    name: String,
    /// How long the client is there.
    duration_minutes: u32,
    /// What employee and resource need before it.
    buffer_before_minutes: u32,
    /// What they need after it.
    buffer_after_minutes: u32,
    /// The gap in which the employee is free.
    processing: Option<ProcessingBody>,
    /// What it costs.
    price: MoneyBody,
    /// The kind of resource that it takes for the whole duration.
    needs_resource: Option<String>,
    /// Whether it can be booked.
    active: bool,
    /// Whether it is gone for good.
    deleted: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Service>> for ServiceBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Service>) -> Self {
        ServiceBody {
            id: is.id,
            name: is.name,
            duration_minutes: is.time.duration_minutes,
            buffer_before_minutes: is.time.buffer_before_minutes,
            buffer_after_minutes: is.time.buffer_after_minutes,
            processing: is.time.processing.map(ProcessingBody::from),
            price: is.price.into(),
            needs_resource: is.needs_resource,
            active: is.active,
            deleted: is.deleted,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A chair or a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resource)]
pub struct ResourceBody {
    id: Uuid,
    /// For people.
    name: String,
    /// What it is: `chair`, say.
    kind: String,
    /// Whether it can be booked.
    active: bool,
    /// Whether it is gone for good.
    deleted: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Resource>> for ResourceBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Resource>) -> Self {
        ResourceBody {
            id: is.id,
            name: is.name,
            kind: is.kind,
            active: is.active,
            deleted: is.deleted,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerBody {
    id: Uuid,
    /// The text under which another system knows them, if it is not `id`.
    external_id: Option<String>,
    /// For people.
    name: String,
    /// Where to write.
    email: Option<String>,
    /// Where to call.
    phone: Option<String>,
    /// What one should know of them.
    notes: Option<String>,
    /// Whether they are gone for good.
    deleted: bool,
    /// From 1.
    version: u64,
    /// When they were noted; what another system says of that, if it does.
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Customer>> for CustomerBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Customer>) -> Self {
        CustomerBody {
            id: is.id,
            external_id: is.external_id,
            name: is.name,
            email: is.email,
            phone: is.phone,
            notes: is.notes,
            deleted: is.deleted,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// When an employee works.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShiftPlan)]
pub struct PlanBody {
    employee_id: Uuid,
    /// Weekly patterns in local time; several may be valid at a time.
    patterns: Vec<PatternBody>,
    /// Days whose spans are these, whatever the patterns say.
    exceptions: Vec<ExceptionBody>,
    /// When the employee is away, whatever the shift.
    absences: Vec<AbsenceBody>,
    /// From 1; 0 while there is no plan.
    version: u64,
}

impl From<Versioned<PlanState>> for PlanBody {
    fn from(Versioned { version, is, .. }: Versioned<PlanState>) -> Self {
        PlanBody {
            employee_id: is.employee,
            patterns: is.patterns.into_iter().map(PatternBody::from).collect(),
            exceptions: is.exceptions.into_iter().map(ExceptionBody::from).collect(),
            absences: is.absences.into_iter().map(AbsenceBody::from).collect(),
            version,
        }
    }
}

/// Where a booking stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BookingStatus)]
pub enum BookingStatusName {
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

impl From<BookingStatus> for BookingStatusName {
    fn from(from: BookingStatus) -> Self {
        match from {
            BookingStatus::Held => BookingStatusName::Held,
            BookingStatus::Confirmed => BookingStatusName::Confirmed,
            BookingStatus::Cancelled => BookingStatusName::Cancelled,
            BookingStatus::Expired => BookingStatusName::Expired,
            BookingStatus::Completed => BookingStatusName::Completed,
            BookingStatus::NoShow => BookingStatusName::NoShow,
        }
    }
}

impl From<BookingStatusName> for BookingStatus {
    fn from(from: BookingStatusName) -> Self {
        match from {
            BookingStatusName::Held => BookingStatus::Held,
            BookingStatusName::Confirmed => BookingStatus::Confirmed,
            BookingStatusName::Cancelled => BookingStatus::Cancelled,
            BookingStatusName::Expired => BookingStatus::Expired,
            BookingStatusName::Completed => BookingStatus::Completed,
            BookingStatusName::NoShow => BookingStatus::NoShow,
        }
    }
}

/// A service of a booking, as it was when it was booked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BookedItem)]
pub struct BookedItemBody {
    service_id: Uuid,
    /// What the service is called.
    name: String,
    employee_id: Uuid,
    /// The chair or room, if it needs one.
    resource_id: Option<Uuid>,
    starts_at: Time,
    ends_at: Time,
    /// What it costs.
    price: MoneyBody,
    /// The service as it is now, with `expand=service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<ServiceBody>,
}

impl From<BookedItem> for BookedItemBody {
    fn from(is: BookedItem) -> Self {
        BookedItemBody {
            service_id: is.service,
            ends_at: Time(is.ends_at()),
            name: is.name,
            employee_id: is.employee.id,
            resource_id: is.resource.map(|place| place.id),
            starts_at: Time(is.starts_at),
            price: is.price.into(),
            service: None,
        }
    }
}

/// A booking.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Booking)]
pub struct BookingBody {
    id: Uuid,
    customer_id: Uuid,
    /// The customer as they are now, with `expand=customer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) customer: Option<CustomerBody>,
    /// Where it stands.
    status: BookingStatusName,
    starts_at: Time,
    ends_at: Time,
    /// What is done, one after another, and who does it.
    pub(super) items: Vec<BookedItemBody>,
    /// Until when it is, or was, held.
    hold_expires_at: Option<Time>,
    /// Whether somebody who works there put it where it is not offered.
    forced: bool,
    /// For people.
    notes: Option<String>,
    /// The series that it is a visit of.
    series_id: Option<Uuid>,
    /// The entry of the waitlist that it is, or was, offered to.
    waitlist_entry_id: Option<Uuid>,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl BookingBody {
    /// A booking at an instant.
    pub fn new(found: Versioned<Booking>, at: Timestamp) -> Self {
        let status = found.is.status_at(at);
        Self::with_status(found, status)
    }

    /// A booking as its record says.
    pub fn recorded(found: Versioned<Booking>) -> Self {
        let status = found.is.status;
        Self::with_status(found, status)
    }

    fn with_status(Versioned { version, updated_at, is }: Versioned<Booking>, status: BookingStatus) -> Self {
        BookingBody {
            id: is.id,
            customer_id: is.customer,
            customer: None,
            status: status.into(),
            starts_at: Time(is.starts_at),
            ends_at: Time(is.ends_at),
            items: is.items.into_iter().map(BookedItemBody::from).collect(),
            hold_expires_at: is.hold_expires_at.map(Time),
            forced: is.forced,
            notes: is.notes,
            series_id: is.series,
            waitlist_entry_id: is.offered_to,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A booking of the replaced system: a date, and neither a length nor an employee.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyBooking)]
pub struct LegacyBookingBody {
    id: Uuid,
    /// The other system's id, if it is not `id`.
    external_id: Option<String>,
    /// The other system's id of the customer.
    customer_id: String,
    /// What was booked.
    title: String,
    /// More of it.
    description: String,
    /// When.
    date: Time,
    /// How far it is.
    #[schema(pattern = "^(pending|confirmed|cancelled|completed)$")]
    status: &'static str,
    /// What it costs, in major units.
    price: f64,
    /// An ISO 4217 code.
    currency: String,
    /// When the other system created it.
    created_at: Time,
    /// When the other system changed it last.
    changed_at: Time,
    /// From 1.
    version: u64,
}

impl From<Versioned<LegacyBooking>> for LegacyBookingBody {
    fn from(Versioned { version, is, .. }: Versioned<LegacyBooking>) -> Self {
        LegacyBookingBody {
            id: is.id,
            external_id: is.external_id,
            customer_id: is.customer_id,
            title: is.title,
            description: is.description,
            date: Time(is.date),
            status: is.status.as_str(),
            price: is.price.get(),
            currency: is.currency.as_str().to_owned(),
            created_at: Time(is.created_at),
            changed_at: Time(is.changed_at),
            version,
        }
    }
}
