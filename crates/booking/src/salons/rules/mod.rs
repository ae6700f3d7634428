//! How commands on salons are answered.
//!
//! Next: [`bookings`] for visits, [`series`] and [`waitlist`] for what stands around them, [`allotment`] for who does what,
//! [`records`] for who and what there is, [`transfer`] for what is taken over from another server, [`apply`] for what
//! facts do to the view.

pub(super) mod allotment;
mod apply;
mod bookings;
mod imports;
mod plans;
mod records;
mod series;
mod transfer;
mod waitlist;

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, Timestamp, Undecodable, Write,
};
use serde::{Deserialize, Serialize};

pub use self::allotment::{SLOT_UNAVAILABLE, wanted_of_moved};
pub use self::bookings::OPEN_HOLDS_MAX;
use super::booking::{Booking as Visit, BookingV1};
use super::command::Command;
use super::fact::{Customer, Employee, Fact, Resource, Service, Settings};
use super::legacy::LegacyBooking;
use super::plan::PlanState;
use super::series::Series;
use super::view::Kept;
use super::waitlist::WaitlistEntry;
use crate::Booking;
use crate::encoding::{self, micros};
use crate::flash_sales::Versioned;

/// The rules of salons.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What the client of an accepted command is told: what happened, and the record as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The settings.
    Settings(Effect, Versioned<Settings>),
    /// An employee.
    Employee(Effect, Versioned<Employee>),
    /// A service.
    Service(Effect, Versioned<Service>),
    /// A resource.
    Resource(Effect, Versioned<Resource>),
    /// A customer.
    Customer(Effect, Versioned<Customer>),
    /// A shift plan.
    Plan(Effect, Versioned<PlanState>),
    /// A booking.
    Booking(Effect, Versioned<Visit>),
    /// A booking of the replaced system.
    LegacyBooking(Effect, Versioned<LegacyBooking>),
    /// A series, and what became of the visits that the command was about.
    Series(Effect, Versioned<Series>, Vec<Occurrence>),
    /// An entry of the waitlist.
    Waitlist(Effect, Versioned<WaitlistEntry>),
}

/// A visit of a series, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it begins, or would begin.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// What became of it.
    pub visited: Visited,
}

/// What became of a visit of a series. In a stored outcome it is its place in this list: new ones come last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visited {
    /// It is booked.
    Booked(Versioned<Visit>),
    /// It is not to be had; why, in the words of `slot-unavailable`.
    Clashed(String),
    /// It was called off.
    Cancelled(Versioned<Visit>),
}

/// What an accepted command did. In a stored outcome it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing: it was so already.
    Unchanged,
    /// It is new.
    Created,
    /// It has another content.
    Updated,
    /// It is gone for good.
    Deleted,
    /// Nothing: something as new or newer is known.
    IgnoredStale,
    /// A version was taken over from another server.
    Imported,
}

impl Effect {
    /// Its name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::Unchanged => "unchanged",
            Effect::Created => "created",
            Effect::Updated => "updated",
            Effect::Deleted => "deleted",
            Effect::IgnoredStale => "ignored_stale",
            Effect::Imported => "imported",
        }
    }
}

impl Outcome {
    /// What happened.
    pub fn effect(&self) -> Effect {
        match self {
            Outcome::Settings(effect, _)
            | Outcome::Employee(effect, _)
            | Outcome::Service(effect, _)
            | Outcome::Resource(effect, _)
            | Outcome::Customer(effect, _)
            | Outcome::Plan(effect, _)
            | Outcome::Booking(effect, _)
            | Outcome::LegacyBooking(effect, _)
            | Outcome::Series(effect, ..)
            | Outcome::Waitlist(effect, _) => *effect,
        }
    }
}

/// The place of [`Outcome::Booking`] among the outcomes, as it is stored.
const BOOKING: u8 = 6;

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        match command {
            Command::ChangeSettings(change) => records::change_settings(view, change, cx),
            Command::CreateEmployee(details) => records::create_employee(view, details, cx),
            Command::UpdateEmployee(change) => records::update_employee(view, change, cx),
            Command::DeleteEmployee(change) => records::delete_employee(view, change, cx),
            Command::SetCalendarToken(change) => records::set_calendar_token(view, change, cx),
            Command::CreateService(details) => records::create_service(view, details, cx),
            Command::UpdateService(change) => records::update_service(view, change, cx),
            Command::DeleteService(change) => records::delete_service(view, change, cx),
            Command::CreateResource(details) => records::create_resource(view, details, cx),
            Command::UpdateResource(change) => records::update_resource(view, change, cx),
            Command::DeleteResource(change) => records::delete_resource(view, change, cx),
            Command::CreateCustomer(details) => records::create_customer(details, cx),
            Command::UpdateCustomer(change) => records::update_customer(view, change, cx),
            Command::DeleteCustomer(change) => records::delete_customer(view, change, cx),
            Command::PutCustomer(command) => imports::put_customer(view, command, cx),
            Command::PutLegacyBooking(command) => imports::put_legacy_booking(view, command, cx),
            Command::ChangePlan(change) => plans::change(view, change, cx),
            Command::Book(command) => bookings::book(view, command, cx),
            Command::Reschedule(command) => bookings::reschedule(view, command, cx),
            Command::Advance(change) => bookings::advance(view, change, cx),
            Command::ExpireBooking { booking } => bookings::expire(view, *booking, cx),
            Command::BookSeries(command) => series::book(view, command, cx),
            Command::CancelSeries(command) => series::cancel(view, command, cx),
            Command::EnterWaitlist(command) => waitlist::enter(view, command, cx),
            Command::CancelWaitlistEntry(change) => waitlist::cancel(view, change, cx),
            Command::OfferTime(command) => waitlist::offer(view, command, cx),
            Command::ExpireWaitlistEntry { entry } => waitlist::expire(view, *entry, cx),
            Command::Import(import) => transfer::import(view, import, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        apply::apply(view, fact, at);
    }
}

/// The record of an id, of a certain version if one is demanded.
fn at_version<T: Kept>(
    view: &dyn Read,
    id: uuid::Uuid,
    if_version: Option<u64>,
    cx: &Context,
) -> Result<Versioned<T>, Rejection> {
    let found = super::view::get::<T>(view, cx.tenant, id, None).ok_or_else(not_found::<T>)?;
    require_version(found.version, if_version)?;
    Ok(found)
}

fn require_version(current: u64, if_version: Option<u64>) -> Result<(), Rejection> {
    match if_version {
        Some(wanted) if wanted != current => {
            let detail = format!("The current version is {current}, not {wanted}.");
            Err(Rejection::new(Class::Precondition, "version-mismatch", detail))
        }
        _ => Ok(()),
    }
}

fn not_found<T: Kept>() -> Rejection {
    let (code, detail) = T::NOT_FOUND;
    Rejection::new(Class::Absent, code, detail)
}

/// A record whose fact is applied at `cx.timestamp`, after the version `before`.
fn next_version<T>(before: u64, is: T, cx: &Context) -> Versioned<T> {
    Versioned { version: before + 1, updated_at: cx.timestamp, is }
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(2, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        const WHAT: &str = "the outcome of a salon's command";
        // In the first version bookings were others, and nothing else was.
        if let [1, BOOKING, booking @ ..] = bytes {
            let undecodable = || Undecodable { what: WHAT.into() };
            let (effect, found): (Effect, Versioned<BookingV1>) = encoding::decode(booking, undecodable)?;
            let Versioned { version, updated_at, is } = found;
            return Ok(Outcome::Booking(effect, Versioned { version, updated_at, is: is.into() }));
        }
        let version = bytes.first().copied().filter(|version| *version == 1).unwrap_or(2);
        encoding::restore(version, bytes, WHAT)
    }
}
