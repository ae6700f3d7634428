//! Commands on bookings. What may be booked is said by [`availability::fits`], which also says what is offered; that no
//! time is given away twice is guarded once more by the claims themselves.

use maitred_core::time::TIMESTAMP_MAX;
use maitred_core::{Class, Context, Decision, Read, Rejection, Timestamp};
use uuid::Uuid;

use super::records::new_customer;
use super::{Decided, Effect, Outcome, at_version, next_version, not_found};
use crate::flash_sales::Versioned;
use crate::record::RecordId;
use crate::salons::booking::{BookedItem, Booking, BookingStatus, Place};
use crate::salons::bookings_view;
use crate::salons::calculus::Misfit;
use crate::salons::command::{Advance, Book, Change, ForCustomer, Reschedule, WantedItem};
use crate::salons::fact::{Customer, Employee, Fact, Resource, Service};
use crate::salons::gather::{Asked, Gathered, Wanted};
use crate::salons::local_time::later;
use crate::salons::view::{self, Kept};
use crate::salons::{availability, validation};
use crate::slot;
use crate::violation::refuse_any;

/// The most holds that a customer, or an address, has open at once.
pub const OPEN_HOLDS_MAX: usize = 3;
/// The most holds that are over which one command settles on one claim's way.
const SWEEP_MAX: usize = 256;
/// The code of the refusal of a time that is not to be had.
pub const SLOT_UNAVAILABLE: &str = "slot-unavailable";

pub(super) fn book(view: &dyn Read, command: &Book, cx: &Context) -> Decided {
    refuse_any(&validation::book(command))?;
    if let ForCustomer::Known(id) = command.customer {
        view::get::<Customer>(view, cx.tenant, id, None).ok_or_else(not_found::<Customer>)?;
    }
    let wanted = wanted(view, &command.items, cx)?;
    if command.hold_seconds.is_some() {
        require_few_holds(view, command, cx)?;
    }
    let (starts_at, id) = (command.starts_at, cx.ids.next());
    let items = allot(view, &wanted, starts_at, (None, command.force), cx)?;
    let mut facts = Vec::new();
    let customer = match &command.customer {
        ForCustomer::Known(id) => *id,
        ForCustomer::New(details) => {
            let customer = new_customer(details.clone(), cx);
            let id = customer.id;
            facts.push(Fact::CustomerCreated(customer));
            id
        }
    };
    let hold_expires_at = command.hold_seconds.map(|seconds| {
        Timestamp::from_micros(cx.timestamp.as_micros().saturating_add(i64::from(seconds) * 1_000_000))
    });
    let booking = Booking {
        id,
        customer,
        status: if hold_expires_at.is_some() { BookingStatus::Held } else { BookingStatus::Confirmed },
        starts_at,
        ends_at: end_of(&items, starts_at),
        items,
        hold_expires_at,
        holder: command.holder.filter(|_| hold_expires_at.is_some()),
        token_hash: command.token_hash,
        forced: command.force,
        notes: command.notes.clone(),
        created_at: cx.timestamp,
    };
    facts.extend(settle_holds_in_the_way(view, &booking, cx)?);
    facts.push(Fact::BookingCreated(booking.clone()));
    let outcome = Outcome::Booking(Effect::Created, next_version(0, booking, cx));
    Ok(Decision { facts, outcome })
}

pub(super) fn reschedule(view: &dyn Read, command: &Reschedule, cx: &Context) -> Decided {
    if let Some(items) = &command.items {
        refuse_any(&validation::items(items))?;
    }
    let found = at_version::<Booking>(view, command.booking, command.if_version, cx)?;
    match found.is.status_at(cx.timestamp) {
        BookingStatus::Held | BookingStatus::Confirmed => {}
        status => return Err(invalid_transition(status)),
    }
    let same = || {
        let item = |item: &BookedItem| WantedItem { service: item.service, employee: Some(item.employee.id) };
        found.is.items.iter().map(item).collect::<Vec<_>>()
    };
    let wanted = wanted(view, &command.items.clone().unwrap_or_else(same), cx)?;
    let starts_at = command.starts_at;
    let items = allot(view, &wanted, starts_at, (Some(found.is.id), command.force), cx)?;
    let ends_at = end_of(&items, starts_at);
    let booking = Booking { starts_at, ends_at, items, forced: command.force, ..found.is.clone() };
    if booking == found.is {
        return Ok(unchanged(found));
    }
    let mut facts = settle_holds_in_the_way(view, &booking, cx)?;
    facts.push(Fact::BookingRescheduled(booking.clone()));
    let outcome = Outcome::Booking(Effect::Updated, next_version(found.version, booking, cx));
    Ok(Decision { facts, outcome })
}

pub(super) fn advance(view: &dyn Read, change: &Change<Uuid, Advance>, cx: &Context) -> Decided {
    let found = at_version::<Booking>(view, change.id, change.if_version, cx)?;
    let (to, fact): (_, fn(Booking) -> Fact) = match change.what {
        Advance::Confirm => (BookingStatus::Confirmed, Fact::BookingConfirmed),
        Advance::Cancel => (BookingStatus::Cancelled, Fact::BookingCancelled),
        Advance::Complete => (BookingStatus::Completed, Fact::BookingCompleted),
        Advance::NoShow => (BookingStatus::NoShow, Fact::BookingNoShow),
    };
    let from = found.is.status_at(cx.timestamp);
    match (from, change.what) {
        (from, _) if from == to => return Ok(unchanged(found)),
        (BookingStatus::Held, Advance::Confirm | Advance::Cancel) => {}
        (BookingStatus::Confirmed, Advance::Cancel | Advance::Complete | Advance::NoShow) => {}
        _ => return Err(invalid_transition(from)),
    }
    let booking = Booking { status: to, ..found.is };
    let outcome = Outcome::Booking(Effect::Updated, next_version(found.version, booking.clone(), cx));
    Ok(Decision { facts: vec![fact(booking)], outcome })
}

/// Settles a hold that is over.
pub(super) fn expire(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = at_version::<Booking>(view, id, None, cx)?;
    let is_over = found.is.status_at(cx.timestamp) == BookingStatus::Expired;
    if found.is.status != BookingStatus::Held || !is_over {
        return Ok(unchanged(found));
    }
    let booking = expired(found.is);
    let outcome = Outcome::Booking(Effect::Updated, next_version(found.version, booking.clone(), cx));
    Ok(Decision { facts: vec![Fact::BookingExpired(booking)], outcome })
}

fn expired(booking: Booking) -> Booking {
    Booking { status: BookingStatus::Expired, ..booking }
}

fn unchanged(found: Versioned<Booking>) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome: Outcome::Booking(Effect::Unchanged, found) }
}

fn invalid_transition(status: BookingStatus) -> Rejection {
    if status == BookingStatus::Expired {
        let detail = "The booking was not confirmed in time, and its time is free again.";
        return Rejection::conflict("hold-expired", detail);
    }
    let detail = format!("The booking is {}.", status.as_str());
    let status = format!("\"{}\"", status.as_str());
    Rejection::conflict("invalid-transition", detail).with("booking_status", status)
}

/// The services of a visit, as they are now.
fn wanted(view: &dyn Read, items: &[WantedItem], cx: &Context) -> Result<Vec<Wanted>, Rejection> {
    let known = |item: &WantedItem| {
        let service = there::<Service>(view, item.service, cx)?;
        if let Some(employee) = item.employee {
            there::<Employee>(view, employee, cx)?;
        }
        Ok(Wanted { service, employee: item.employee })
    };
    items.iter().map(known).collect()
}

fn there<T: Kept>(view: &dyn Read, id: Uuid, cx: &Context) -> Result<T, Rejection> {
    let found = view::get::<T>(view, cx.tenant, id, None).ok_or_else(not_found::<T>)?;
    Ok(found.is)
}

fn require_few_holds(view: &dyn Read, command: &Book, cx: &Context) -> Result<(), Rejection> {
    let customer = match command.customer {
        ForCustomer::Known(id) => Some(id.as_u128()),
        ForCustomer::New(_) => None,
    };
    for holder in [customer, command.holder].into_iter().flatten() {
        let open = bookings_view::open_holds(view, cx.tenant, holder, cx.timestamp, OPEN_HOLDS_MAX);
        if open >= OPEN_HOLDS_MAX {
            let detail =
                format!("At most {OPEN_HOLDS_MAX} bookings are held at once; confirm or cancel one.");
            return Err(Rejection::new(Class::TooMany, "too-many-holds", detail));
        }
    }
    Ok(())
}

/// Who does what at which time, where that is to be had.
fn allot(
    view: &dyn Read,
    wanted: &[Wanted],
    starts_at: Timestamp,
    (except, force): (Option<Uuid>, bool),
    cx: &Context,
) -> Result<Vec<BookedItem>, Rejection> {
    if force {
        return allot_by_force(view, wanted, starts_at, except, cx);
    }
    if wanted.iter().any(|wanted| !wanted.service.active) {
        return Err(unavailable("service_inactive"));
    }
    let asked = Asked { view, tenant: cx.tenant, now: cx.timestamp, except };
    let Gathered { salon, items, employees, resources } =
        Gathered::read(&asked, wanted, |settings| availability::day_of(settings, starts_at));
    let offer = availability::fits(&salon, &items, starts_at, cx.timestamp)
        .map_err(|misfit| unavailable(reason(misfit)))?;
    let employee = |id: u128| {
        let found = employees.iter().find(|employee| employee.id.as_u128() == id);
        found.map(|employee| Place { id: employee.id, number: employee.number })
    };
    let resource = |id: u128| {
        let found = resources.iter().find(|resource| resource.id.as_u128() == id);
        found.map(|resource| Place { id: resource.id, number: resource.number })
    };
    let allotted = offer.items.iter().zip(wanted).map(|(allotted, wanted)| {
        let employee = employee(allotted.employee).expect("an employee of the question is allotted");
        item(wanted, allotted.span.starts_at, employee, allotted.resource.and_then(resource))
    });
    Ok(allotted.collect())
}

/// The same without any rule but one: time that is taken stays taken.
fn allot_by_force(
    view: &dyn Read,
    wanted: &[Wanted],
    starts_at: Timestamp,
    except: Option<Uuid>,
    cx: &Context,
) -> Result<Vec<BookedItem>, Rejection> {
    let employees: Vec<Employee> = view::all(view, cx.tenant);
    let resources: Vec<Resource> = view::all(view, cx.tenant);
    let mut items: Vec<BookedItem> = Vec::new();
    let mut starts_at = starts_at;
    for wanted in wanted {
        let suits = |employee: &&Employee| match wanted.employee {
            Some(id) => employee.id == id,
            None => employee.active && employee.skills.contains(&wanted.service.id),
        };
        let employee = employees.iter().filter(suits).find_map(|employee| {
            let place = Place { id: employee.id, number: employee.number };
            let item = item(wanted, starts_at, place, None);
            is_free(view, &item, except, cx).then_some(place)
        });
        let employee = employee.ok_or_else(|| unavailable("no_employee"))?;
        let resource = match &wanted.service.needs_resource {
            None => None,
            Some(kind) => {
                let suits = |resource: &&Resource| resource.active && resource.kind == *kind;
                let resource = resources.iter().filter(suits).find_map(|resource| {
                    let place = Place { id: resource.id, number: resource.number };
                    let item = item(wanted, starts_at, employee, Some(place));
                    is_free(view, &item, except, cx).then_some(place)
                });
                Some(resource.ok_or_else(|| unavailable("no_resource"))?)
            }
        };
        let item = item(wanted, starts_at, employee, resource);
        starts_at = item.ends_at();
        items.push(item);
    }
    // The years of the API have four digits.
    if starts_at > TIMESTAMP_MAX {
        return Err(unavailable("too_far"));
    }
    Ok(items)
}

fn item(wanted: &Wanted, starts_at: Timestamp, employee: Place, resource: Option<Place>) -> BookedItem {
    let Service { id, name, time, price, .. } = &wanted.service;
    BookedItem { service: *id, name: name.clone(), time: *time, price: *price, starts_at, employee, resource }
}

fn end_of(items: &[BookedItem], starts_at: Timestamp) -> Timestamp {
    items.last().map_or(later(starts_at, 1), BookedItem::ends_at)
}

/// Whether nobody has what an item would occupy, but for holds that are over.
fn is_free(view: &dyn Read, item: &BookedItem, except: Option<Uuid>, cx: &Context) -> bool {
    item.claims().all(|(number, span)| {
        let record = view::record_id::<Booking>(cx.tenant, except.unwrap_or_default());
        let (claims, more) = slot::in_the_way(view, record, number, span.starts_at, span.ends_at, SWEEP_MAX);
        !more && claims.iter().all(|claim| overdue(view, claim.owner(cx.tenant), cx).is_some())
    })
}

/// The booking of a claim, if it is a hold that is over and is not settled.
fn overdue(view: &dyn Read, owner: RecordId, cx: &Context) -> Option<Booking> {
    let found = view::any::<Booking>(view, cx.tenant, Uuid::from_u128(owner.id), None)?;
    (found.is.status_at(cx.timestamp) == BookingStatus::Expired).then_some(found.is)
}

/// The facts that settle the holds which are over where a booking claims time.
fn settle_holds_in_the_way(view: &dyn Read, booking: &Booking, cx: &Context) -> Result<Vec<Fact>, Rejection> {
    let record = view::record_id::<Booking>(cx.tenant, booking.id);
    let mut settled: Vec<Booking> = Vec::new();
    for (number, span) in booking.claims() {
        let (claims, more) = slot::in_the_way(view, record, number, span.starts_at, span.ends_at, SWEEP_MAX);
        if more {
            return Err(unavailable("no_employee"));
        }
        for claim in claims {
            if settled.iter().any(|known| known.id.as_u128() == claim.id) {
                continue;
            }
            let overdue = overdue(view, claim.owner(cx.tenant), cx);
            settled.push(overdue.ok_or_else(|| unavailable("no_employee"))?);
        }
    }
    Ok(settled.into_iter().map(|booking| Fact::BookingExpired(expired(booking))).collect())
}

/// The refusal of a time that is not to be had. `reason` is one of `services`, `service_inactive`, `too_soon`,
/// `too_far`, `not_aligned`, `no_employee` and `no_resource`.
fn unavailable(reason: &'static str) -> Rejection {
    let detail = match reason {
        "services" => "Such a visit cannot be booked.",
        "service_inactive" => "A service of this visit cannot be booked at present.",
        "too_soon" => "The start is too soon.",
        "too_far" => "The start is too far ahead.",
        "not_aligned" => "Visits do not start at this time.",
        "no_resource" => "No resource is free then.",
        _ => "Nobody is free then.",
    };
    Rejection::conflict(SLOT_UNAVAILABLE, detail).with("reason", format!("\"{reason}\""))
}

fn reason(misfit: Misfit) -> &'static str {
    match misfit {
        Misfit::Services => "services",
        Misfit::TooSoon => "too_soon",
        Misfit::TooFar => "too_far",
        Misfit::NotAligned => "not_aligned",
        Misfit::NoEmployee(_) => "no_employee",
        Misfit::NoResource(_) => "no_resource",
    }
}
