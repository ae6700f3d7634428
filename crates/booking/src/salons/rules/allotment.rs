//! Who does what at which time, where that is to be had: the one way by which bookings, series and offers come to time.
//!
//! What may be booked is said by [`availability::fits`], which also says what is offered; that no time is given away twice
//! is guarded once more by the claims themselves.

use maitred_core::time::TIMESTAMP_MAX;
use maitred_core::{Context, Read, Rejection, TenantNumber, Timestamp};
use uuid::Uuid;

use super::{not_found, waitlist};
use crate::record::RecordId;
use crate::salons::availability;
use crate::salons::booking::{BookedItem, Booking, BookingStatus, Place};
use crate::salons::calculus::Misfit;
use crate::salons::command::WantedItem;
use crate::salons::fact::{Employee, Fact, Resource, Service};
use crate::salons::gather::{Asked, Gathered, Wanted};
use crate::salons::local_time::later;
use crate::salons::view::{self, Kept};
use crate::slot;

/// The most holds that are over which one command settles on one claim's way.
const SWEEP_MAX: usize = 256;
/// The code of the refusal of a time that is not to be had.
pub const SLOT_UNAVAILABLE: &str = "slot-unavailable";

/// Why a time is not to be had: one of `services`, `service_inactive`, `too_soon`, `too_far`, `not_aligned`, `no_employee`
/// and `no_resource`.
pub(in crate::salons) type Reason = &'static str;

/// A visit that is to be put somewhere.
#[derive(Clone, Copy)]
pub(in crate::salons) struct Wish<'a> {
    /// What is done.
    pub wanted: &'a [Wanted],
    /// When it begins.
    pub starts_at: Timestamp,
    /// Whether every rule is passed over but one: time that is taken stays taken.
    pub force: bool,
    /// What the same command has put somewhere already.
    pub beside: &'a [BookedItem],
}

/// What is asked by a command.
pub(super) fn asked<'a>(view: &'a dyn Read, except: Option<Uuid>, cx: &Context) -> Asked<'a> {
    Asked { view, tenant: cx.tenant, now: cx.timestamp, except }
}

/// The services of a visit, as they are now.
pub(super) fn wanted(view: &dyn Read, items: &[WantedItem], cx: &Context) -> Result<Vec<Wanted>, Rejection> {
    items.iter().map(|item| wanted_now(view, cx.tenant, item)).collect()
}

/// The services of a visit that is moved; without `items` the same by the same employees.
///
/// What was agreed stays: a service that the visit has already keeps the name, times and price that it was booked with,
/// though it may be another by now, or cannot be booked any more, or is gone; and whoever does it already may go on,
/// with the skill or without. So a visit can always be moved to where its employees and resources are free. A service
/// that is new to the visit, or done once more than before, is taken as it is now and must be there; an employee who is new to a service must have the
/// skill.
///
/// # Errors
/// 404 where a service that is new to the visit, or an employee, is not there.
pub fn wanted_of_moved(
    view: &dyn Read,
    tenant: TenantNumber,
    booking: &Booking,
    items: Option<&[WantedItem]>,
) -> Result<Vec<Wanted>, Rejection> {
    let Some(items) = items else {
        let same = |item: &BookedItem| {
            there::<Employee>(view, tenant, item.employee.id)?;
            Ok(Wanted::as_booked(view, tenant, item, Some(item.employee.id)))
        };
        return booking.items.iter().map(same).collect();
    };
    // Each time that it was booked counts once.
    let mut left: Vec<&BookedItem> = booking.items.iter().collect();
    let wanted = |item: &WantedItem| {
        let is = |known: &&BookedItem| known.service == item.service;
        let same = left.iter().position(|known| is(known) && Some(known.employee.id) == item.employee);
        let Some(place) = same.or_else(|| left.iter().position(is)) else {
            return wanted_now(view, tenant, item);
        };
        let known = left.remove(place);
        if let Some(employee) = item.employee {
            there::<Employee>(view, tenant, employee)?;
        }
        Ok(Wanted::as_booked(view, tenant, known, item.employee))
    };
    items.iter().map(wanted).collect()
}

fn wanted_now(view: &dyn Read, tenant: TenantNumber, item: &WantedItem) -> Result<Wanted, Rejection> {
    let service = there::<Service>(view, tenant, item.service)?;
    if let Some(employee) = item.employee {
        there::<Employee>(view, tenant, employee)?;
    }
    Ok(Wanted::now(service, item.employee))
}

fn there<T: Kept>(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Result<T, Rejection> {
    let found = view::get::<T>(view, tenant, id, None).ok_or_else(not_found::<T>)?;
    Ok(found.is)
}

/// Who does what, if the visit can begin then.
pub(in crate::salons) fn allot(asked: &Asked<'_>, wish: &Wish<'_>) -> Result<Vec<BookedItem>, Reason> {
    let Wish { wanted, starts_at, force, beside } = *wish;
    if force {
        return allot_by_force(asked, wish);
    }
    if wanted.iter().any(|wanted| !wanted.service.active) {
        return Err("service_inactive");
    }
    let day_of = |settings: &_| availability::day_of(settings, starts_at);
    let Gathered { salon, items, employees, resources } =
        Gathered::read_beside(asked, wanted, beside, day_of);
    let offer = availability::fits(&salon, &items, starts_at, asked.now).map_err(reason)?;
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
fn allot_by_force(asked: &Asked<'_>, wish: &Wish<'_>) -> Result<Vec<BookedItem>, Reason> {
    let employees: Vec<Employee> = view::all(asked.view, asked.tenant);
    let resources: Vec<Resource> = view::all(asked.view, asked.tenant);
    let mut items: Vec<BookedItem> = Vec::new();
    let mut starts_at = wish.starts_at;
    for wanted in wish.wanted {
        let suits = |employee: &&Employee| match wanted.employee {
            Some(id) => employee.id == id,
            None => employee.active && employee.skills.contains(&wanted.service.id),
        };
        let employee = employees.iter().filter(suits).find_map(|employee| {
            let place = Place { id: employee.id, number: employee.number };
            let item = item(wanted, starts_at, place, None);
            is_free(asked, &item, wish.beside).then_some(place)
        });
        let employee = employee.ok_or("no_employee")?;
        let resource = match &wanted.service.needs_resource {
            None => None,
            Some(kind) => {
                let suits = |resource: &&Resource| resource.active && resource.kind == *kind;
                let resource = resources.iter().filter(suits).find_map(|resource| {
                    let place = Place { id: resource.id, number: resource.number };
                    let item = item(wanted, starts_at, employee, Some(place));
                    is_free(asked, &item, wish.beside).then_some(place)
                });
                Some(resource.ok_or("no_resource")?)
            }
        };
        let item = item(wanted, starts_at, employee, resource);
        starts_at = item.ends_at();
        items.push(item);
    }
    // The years of the API have four digits.
    if starts_at > TIMESTAMP_MAX {
        return Err("too_far");
    }
    Ok(items)
}

fn item(wanted: &Wanted, starts_at: Timestamp, employee: Place, resource: Option<Place>) -> BookedItem {
    let Service { id, name, time, price, .. } = &wanted.service;
    BookedItem { service: *id, name: name.clone(), time: *time, price: *price, starts_at, employee, resource }
}

pub(super) fn end_of(items: &[BookedItem], starts_at: Timestamp) -> Timestamp {
    items.last().map_or(later(starts_at, 1), BookedItem::ends_at)
}

/// Whether nobody has what an item would occupy, but for holds that are over.
fn is_free(asked: &Asked<'_>, item: &BookedItem, beside: &[BookedItem]) -> bool {
    let Asked { view, tenant, now, except } = *asked;
    item.claims().all(|(number, span)| {
        let record = view::record_id::<Booking>(tenant, except.unwrap_or_default());
        let (claims, more) = slot::in_the_way(view, record, number, span.starts_at, span.ends_at, SWEEP_MAX);
        let is_over = |claim: &slot::Claim| overdue(view, claim.owner(tenant), now).is_some();
        let mut others = beside.iter().flat_map(BookedItem::claims);
        !more
            && claims.iter().all(is_over)
            && !others.any(|(other, taken)| other == number && taken.overlaps(span))
    })
}

/// The booking of a claim, if it is a hold that is over and is not settled.
fn overdue(view: &dyn Read, owner: RecordId, now: Timestamp) -> Option<Booking> {
    let found = view::any::<Booking>(view, owner.tenant, Uuid::from_u128(owner.id), None)?;
    (found.is.status_at(now) == BookingStatus::Expired).then_some(found.is)
}

/// The facts that settle the holds which are over where a booking claims time, and the facts that follow from these. What
/// the same command has settled already is in `settled`, and what it settles now comes there.
pub(super) fn settle_holds_in_the_way(
    view: &dyn Read,
    booking: &Booking,
    settled: &mut Vec<Uuid>,
    cx: &Context,
) -> Result<Vec<Fact>, Reason> {
    let record = view::record_id::<Booking>(cx.tenant, booking.id);
    let mut over: Vec<Booking> = Vec::new();
    for (number, span) in booking.claims() {
        let (claims, more) = slot::in_the_way(view, record, number, span.starts_at, span.ends_at, SWEEP_MAX);
        if more {
            return Err("no_employee");
        }
        for claim in claims {
            let id = Uuid::from_u128(claim.id);
            if settled.contains(&id) || over.iter().any(|known| known.id == id) {
                continue;
            }
            over.push(overdue(view, claim.owner(cx.tenant), cx.timestamp).ok_or("no_employee")?);
        }
    }
    settled.extend(over.iter().map(|booking| booking.id));
    Ok(over.into_iter().flat_map(|booking| expiry(view, booking, cx)).collect())
}

/// That a hold is over, and what follows from it.
pub(super) fn expiry(view: &dyn Read, booking: Booking, cx: &Context) -> Vec<Fact> {
    let booking = Booking { status: BookingStatus::Expired, ..booking };
    let entry = waitlist::after_offer(view, &booking, cx);
    std::iter::once(Fact::BookingExpired(booking)).chain(entry).collect()
}

/// The refusal of a time that is not to be had.
pub(super) fn unavailable(reason: Reason) -> Rejection {
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

fn reason(misfit: Misfit) -> Reason {
    match misfit {
        Misfit::Services => "services",
        Misfit::TooSoon => "too_soon",
        Misfit::TooFar => "too_far",
        Misfit::NotAligned => "not_aligned",
        Misfit::NoEmployee(_) => "no_employee",
        Misfit::NoResource(_) => "no_resource",
    }
}
