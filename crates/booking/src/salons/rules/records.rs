//! Commands on settings, employees, services, resources and customers.

use maitred_core::{Class, Context, Decision, Read, Rejection, Timestamp};
use uuid::Uuid;

use super::{Decided, Effect, Outcome, at_version, next_version, require_version};
use crate::flash_sales::Versioned;
use crate::salons::booking::Booking;
use crate::salons::command::{
    Change, CustomerDetails, CustomerPatch, EmployeeDetails, EmployeePatch, ResourceDetails, ResourcePatch,
    ServiceDetails, ServicePatch, SettingsPatch,
};
use crate::salons::fact::{Customer, Employee, Fact, Resource, Service, Settings};
use crate::salons::validation;
use crate::salons::view::{self, Kept};
use crate::slot::{self, Interval, ResourceNumber};
use crate::violation::{Violation, refuse_any};

pub(super) fn change_settings(view: &dyn Read, change: &Change<(), SettingsPatch>, cx: &Context) -> Decided {
    let found = view::settings(view, cx.tenant, None);
    let (before, patch) = (found.is, &change.what);
    let settings = Settings {
        step_minutes: patch.step_minutes.unwrap_or(before.step_minutes),
        buffers: patch.buffers.unwrap_or(before.buffers),
        buffers_may_leave_shift: patch.buffers_may_leave_shift.unwrap_or(before.buffers_may_leave_shift),
        min_notice_minutes: patch.min_notice_minutes.unwrap_or(before.min_notice_minutes),
        max_horizon_days: patch.max_horizon_days.unwrap_or(before.max_horizon_days),
        offer_minutes: patch.offer_minutes.unwrap_or(before.offer_minutes),
    };
    refuse_any(&validation::settings(&settings))?;
    require_version(found.version, change.if_version)?;
    if settings == before {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::Settings(Effect::Unchanged, found) });
    }
    let outcome = Outcome::Settings(Effect::Updated, next_version(found.version, settings, cx));
    Ok(Decision { facts: vec![Fact::SettingsChanged(settings)], outcome })
}

pub(super) fn create_employee(view: &dyn Read, details: &EmployeeDetails, cx: &Context) -> Decided {
    check_employee(view, details, &[], cx)?;
    require_room::<Employee>(view, cx)?;
    let number = view::next_number(view, cx.tenant);
    let is = employee(details.clone(), (cx.ids.next(), number, cx.timestamp));
    Ok(put(0, is, Effect::Created, (Fact::EmployeeCreated, Outcome::Employee), cx))
}

pub(super) fn update_employee(
    view: &dyn Read,
    change: &Change<Uuid, EmployeePatch>,
    cx: &Context,
) -> Decided {
    let found = at_version::<Employee>(view, change.id, change.if_version, cx)?;
    let Employee { id, number, created_at, calendar_token_hash, name, skills, colour, active, .. } =
        found.is.clone();
    let details = EmployeeDetails { name, skills, colour, active }.changed_by(&change.what);
    check_employee(view, &details, &found.is.skills, cx)?;
    let is = Employee { calendar_token_hash, ..employee(details, (id, number, created_at)) };
    Ok(update(found, is, (Fact::EmployeeUpdated, Outcome::Employee), cx))
}

pub(super) fn delete_employee(view: &dyn Read, change: &Change<Uuid, ()>, cx: &Context) -> Decided {
    let found = at_version::<Employee>(view, change.id, change.if_version, cx)?;
    require_no_bookings(view, found.is.number, "employee-in-use", cx.timestamp, cx)?;
    let is = Employee { deleted: true, active: false, ..found.is };
    Ok(put(found.version, is, Effect::Deleted, (Fact::EmployeeDeleted, Outcome::Employee), cx))
}

pub(super) fn set_calendar_token(
    view: &dyn Read,
    change: &Change<Uuid, Option<u128>>,
    cx: &Context,
) -> Decided {
    let found = at_version::<Employee>(view, change.id, change.if_version, cx)?;
    let is = Employee { calendar_token_hash: change.what, ..found.is.clone() };
    Ok(update(found, is, (Fact::EmployeeUpdated, Outcome::Employee), cx))
}

pub(super) fn create_service(view: &dyn Read, details: &ServiceDetails, cx: &Context) -> Decided {
    refuse_any(&validation::service(details))?;
    require_room::<Service>(view, cx)?;
    let is = service(details.clone(), (cx.ids.next(), cx.timestamp));
    Ok(put(0, is, Effect::Created, (Fact::ServiceCreated, Outcome::Service), cx))
}

pub(super) fn update_service(view: &dyn Read, change: &Change<Uuid, ServicePatch>, cx: &Context) -> Decided {
    let found = at_version::<Service>(view, change.id, change.if_version, cx)?;
    let Service { id, created_at, name, time, price, needs_resource, active, .. } = found.is.clone();
    let details = ServiceDetails { name, time, price, needs_resource, active }.changed_by(&change.what);
    refuse_any(&validation::service(&details))?;
    Ok(update(found, service(details, (id, created_at)), (Fact::ServiceUpdated, Outcome::Service), cx))
}

pub(super) fn delete_service(view: &dyn Read, change: &Change<Uuid, ()>, cx: &Context) -> Decided {
    let found = at_version::<Service>(view, change.id, change.if_version, cx)?;
    let is = Service { deleted: true, active: false, ..found.is };
    Ok(put(found.version, is, Effect::Deleted, (Fact::ServiceDeleted, Outcome::Service), cx))
}

pub(super) fn create_resource(view: &dyn Read, details: &ResourceDetails, cx: &Context) -> Decided {
    refuse_any(&validation::resource(details))?;
    require_room::<Resource>(view, cx)?;
    let number = view::next_number(view, cx.tenant);
    let is = resource(details.clone(), (cx.ids.next(), number, cx.timestamp));
    Ok(put(0, is, Effect::Created, (Fact::ResourceCreated, Outcome::Resource), cx))
}

pub(super) fn update_resource(
    view: &dyn Read,
    change: &Change<Uuid, ResourcePatch>,
    cx: &Context,
) -> Decided {
    let found = at_version::<Resource>(view, change.id, change.if_version, cx)?;
    let Resource { id, number, created_at, name, kind, active, .. } = found.is.clone();
    let details = ResourceDetails { name, kind, active }.changed_by(&change.what);
    refuse_any(&validation::resource(&details))?;
    let is = resource(details, (id, number, created_at));
    Ok(update(found, is, (Fact::ResourceUpdated, Outcome::Resource), cx))
}

pub(super) fn delete_resource(view: &dyn Read, change: &Change<Uuid, ()>, cx: &Context) -> Decided {
    let found = at_version::<Resource>(view, change.id, change.if_version, cx)?;
    require_no_bookings(view, found.is.number, "resource-in-use", cx.timestamp, cx)?;
    let is = Resource { deleted: true, active: false, ..found.is };
    Ok(put(found.version, is, Effect::Deleted, (Fact::ResourceDeleted, Outcome::Resource), cx))
}

pub(super) fn create_customer(details: &CustomerDetails, cx: &Context) -> Decided {
    refuse_any(&validation::customer(details, None))?;
    let is = new_customer(details.clone(), cx);
    Ok(put(0, is, Effect::Created, (Fact::CustomerCreated, Outcome::Customer), cx))
}

pub(super) fn update_customer(
    view: &dyn Read,
    change: &Change<Uuid, CustomerPatch>,
    cx: &Context,
) -> Decided {
    let found = at_version::<Customer>(view, change.id, change.if_version, cx)?;
    let Customer { name, email, phone, notes, .. } = found.is.clone();
    let before = CustomerDetails { name, email, phone, notes };
    let details = before.clone().changed_by(&change.what);
    refuse_any(&validation::customer(&details, Some(&before)))?;
    let CustomerDetails { name, email, phone, notes } = details;
    let is = Customer { name, email, phone, notes, ..found.is.clone() };
    Ok(update(found, is, (Fact::CustomerUpdated, Outcome::Customer), cx))
}

pub(super) fn delete_customer(view: &dyn Read, change: &Change<Uuid, ()>, cx: &Context) -> Decided {
    let found = at_version::<Customer>(view, change.id, change.if_version, cx)?;
    let is = Customer { deleted: true, ..found.is };
    Ok(put(found.version, is, Effect::Deleted, (Fact::CustomerDeleted, Outcome::Customer), cx))
}

/// A customer who is new at `cx.timestamp`.
pub(super) fn new_customer(details: CustomerDetails, cx: &Context) -> Customer {
    let CustomerDetails { name, email, phone, notes } = details;
    Customer {
        id: cx.ids.next(),
        external_id: None,
        name,
        email,
        phone,
        notes,
        deleted: false,
        created_at: cx.timestamp,
        changed_at: None,
    }
}

/// How a record becomes a fact and an outcome.
type Told<T> = (fn(T) -> Fact, fn(Effect, Versioned<T>) -> Outcome);

pub(super) fn put<T: Clone>(
    before: u64,
    is: T,
    effect: Effect,
    (fact, outcome): Told<T>,
    cx: &Context,
) -> Decision<Fact, Outcome> {
    let next = next_version(before, is.clone(), cx);
    Decision { facts: vec![fact(is)], outcome: outcome(effect, next) }
}

fn update<T: Clone + PartialEq>(
    found: Versioned<T>,
    is: T,
    told: Told<T>,
    cx: &Context,
) -> Decision<Fact, Outcome> {
    if is == found.is {
        return Decision { facts: Vec::new(), outcome: told.1(Effect::Unchanged, found) };
    }
    put(found.version, is, Effect::Updated, told, cx)
}

/// Refuses skills that are new and whose service is not there. One that the employee has already stays theirs when its
/// service goes: whoever sends back what they have read, or changes something else, is not asked to tidy up.
fn check_employee(
    view: &dyn Read,
    details: &EmployeeDetails,
    skills_before: &[Uuid],
    cx: &Context,
) -> Result<(), Rejection> {
    let mut found = validation::employee(details);
    let known = |service: &Uuid| {
        skills_before.contains(service) || view::get::<Service>(view, cx.tenant, *service, None).is_some()
    };
    if found.is_empty()
        && let Some(unknown) = details.skills.iter().find(|service| !known(service))
    {
        let detail = format!("there is no service {unknown}");
        found.push(Violation::new("/skills", "invalid-skills", detail));
    }
    refuse_any(&found)
}

/// Refuses one more employee, service or resource than a salon may have.
pub(super) fn require_room<T: Kept>(view: &dyn Read, cx: &Context) -> Result<(), Rejection> {
    match T::MAX {
        Some(max) if view::count(view, cx.tenant, T::KIND) >= max => {
            let detail = format!("A salon has at most {max} of these; delete some.");
            Err(Rejection::new(Class::TooMany, "too-many-records", detail))
        }
        _ => Ok(()),
    }
}

/// Refuses while something is booked of an employee or a resource that has not ended at an instant.
pub(super) fn require_no_bookings(
    view: &dyn Read,
    number: ResourceNumber,
    code: &'static str,
    at: Timestamp,
    cx: &Context,
) -> Result<(), Rejection> {
    let ahead = Interval { from: Some(at), to: None };
    let mut behind = None;
    loop {
        let standing = slot::standing(view, cx.tenant, number, ahead, None, behind, view::PLACES_MAX);
        for claim in standing.claims {
            let booking = view::any::<Booking>(view, cx.tenant, Uuid::from_u128(claim.id), None);
            if booking.is_some_and(|booking| booking.is.status_at(at).claims_time()) {
                let detail = "There are bookings ahead; move or cancel them first, or make it inactive.";
                return Err(Rejection::conflict(code, detail));
            }
        }
        behind = standing.through;
        if behind.is_none() {
            return Ok(());
        }
    }
}

fn employee(details: EmployeeDetails, (id, number, created_at): (Uuid, u32, Timestamp)) -> Employee {
    let EmployeeDetails { name, mut skills, colour, active } = details;
    skills.sort_unstable();
    skills.dedup();
    let calendar_token_hash = None;
    Employee { id, number, name, skills, colour, active, calendar_token_hash, deleted: false, created_at }
}

fn service(details: ServiceDetails, (id, created_at): (Uuid, Timestamp)) -> Service {
    let ServiceDetails { name, time, price, needs_resource, active } = details;
    Service { id, name, time, price, needs_resource, active, deleted: false, created_at }
}

fn resource(details: ResourceDetails, (id, number, created_at): (Uuid, u32, Timestamp)) -> Resource {
    let ResourceDetails { name, kind, active } = details;
    Resource { id, number, name, kind, active, deleted: false, created_at }
}
