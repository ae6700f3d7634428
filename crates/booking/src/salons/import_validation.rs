//! What is wrong with a version that is taken over, in itself: the same as with the command that made it, and whatever
//! the rest of the salon rests on.

use uuid::Uuid;

use super::booking::{BookedItem, Booking};
use super::calculus::SERVICES_IN_A_ROW_MAX;
use super::command::{
    ABSENCES_MAX, CustomerDetails, EXCEPTIONS_MAX, EmployeeDetails, EnterWaitlist, Import, NAME_CHARS_MAX,
    PlanChange, PutLegacyBooking, ResourceDetails, ServiceDetails,
};
use super::fact::{Customer, Employee, Resource, Service};
use super::legacy::LegacyBooking;
use super::plan::PlanState;
use super::recurrence::{OCCURRENCES_MAX, Recurrence, Refused};
use super::series::Series;
use super::validation::{self, check_count, check_notes};
use super::view::id_of_text;
use super::waitlist::{PASSED_MAX, WaitlistEntry, WaitlistStatus};
use crate::imported::check_version;
use crate::violation::{Violation, check_text};

/// What is wrong with a version.
pub(super) fn import(import: &Import) -> Vec<Violation> {
    let (version, wrong) = match import {
        Import::Settings(import) => (import.version, validation::settings(&import.is)),
        Import::Employee(import) => (import.version, employee(&import.is)),
        Import::Service(import) => (import.version, service(&import.is)),
        Import::Resource(import) => (import.version, resource(&import.is)),
        Import::Customer(import) => (import.version, customer(&import.is)),
        Import::Plan(import) => (import.version, plan(&import.is)),
        Import::Booking(import) => (import.version, booking(&import.is)),
        Import::LegacyBooking(import) => (import.version, legacy_booking(&import.is)),
        Import::Series(import) => (import.version, series(&import.is)),
        Import::Waitlist(import) => (import.version, waitlist_entry(&import.is)),
    };
    let mut found = Vec::new();
    check_version(&mut found, version);
    found.extend(wrong);
    found
}

fn employee(employee: &Employee) -> Vec<Violation> {
    let Employee { name, skills, colour, active, .. } = employee.clone();
    let mut found = validation::employee(&EmployeeDetails { name, skills, colour, active });
    if !employee.skills.is_sorted_by(|one, next| one < next) {
        found.push(Violation::new("/skills", "invalid-skills", "skills must be in order, each once"));
    }
    found
}

fn service(service: &Service) -> Vec<Violation> {
    let Service { name, time, price, needs_resource, active, .. } = service.clone();
    validation::service(&ServiceDetails { name, time, price, needs_resource, active })
}

fn resource(resource: &Resource) -> Vec<Violation> {
    let Resource { name, kind, active, .. } = resource.clone();
    validation::resource(&ResourceDetails { name, kind, active })
}

fn customer(customer: &Customer) -> Vec<Violation> {
    let Customer { name, email, phone, notes, .. } = customer.clone();
    let mut found = validation::kept_customer(&CustomerDetails { name, email, phone, notes });
    check_external_id(&mut found, customer.id, customer.external_id.as_deref());
    found
}

fn plan(plan: &PlanState) -> Vec<Violation> {
    let mut found = validation::plan_change(&PlanChange::SetPatterns(plan.patterns.clone()));
    let (exceptions, absences) = (&plan.exceptions, &plan.absences);
    check_count(&mut found, "/exceptions", "invalid-shifts", exceptions.len(), 0..=EXCEPTIONS_MAX);
    if !exceptions.is_sorted_by(|(one, _), (next, _)| one < next) {
        found.push(Violation::new(
            "/exceptions",
            "invalid-shifts",
            "exceptions must be in order, each day once",
        ));
    }
    for (day, spans) in exceptions {
        found.extend(validation::plan_change(&PlanChange::SetException(*day, spans.clone())));
    }
    check_count(&mut found, "/absences", "invalid-shifts", absences.len(), 0..=ABSENCES_MAX);
    for absence in absences {
        let (time, reason) = (absence.time, absence.reason.clone());
        found.extend(validation::plan_change(&PlanChange::AddAbsence { time, reason }));
    }
    found
}

fn booking(booking: &Booking) -> Vec<Violation> {
    let mut found = Vec::new();
    let items = &booking.items;
    check_count(&mut found, "/items", "invalid-items", items.len(), 1..=SERVICES_IN_A_ROW_MAX);
    for BookedItem { name, time, price, .. } in items {
        check_text(&mut found, "/items/name", "invalid-name", name, 1..=NAME_CHARS_MAX);
        validation::check_time(&mut found, *time);
        crate::money::check_price(&mut found, *price);
    }
    // What follows looks at when they end.
    if !found.is_empty() {
        return found;
    }
    let is_row = items.windows(2).all(|pair| pair[0].ends_at() <= pair[1].starts_at)
        && items.first().is_some_and(|first| first.starts_at == booking.starts_at)
        && items.last().is_some_and(|last| last.ends_at() == booking.ends_at);
    if !is_row {
        let detail = "items must follow one another, from the start of the booking to its end";
        found.push(Violation::new("/items", "invalid-items", detail));
    }
    check_notes(&mut found, "/notes", booking.notes.as_deref());
    found
}

fn legacy_booking(booking: &LegacyBooking) -> Vec<Violation> {
    let mut found = validation::put_legacy_booking(&PutLegacyBooking {
        external_id: None, // looked at below
        customer_id: booking.customer_id.clone(),
        title: booking.title.clone(),
        description: booking.description.clone(),
        date: booking.date,
        status: booking.status,
        price: booking.price,
        currency: booking.currency,
        created_at: booking.created_at,
        changed_at: booking.changed_at,
    });
    check_external_id(&mut found, booking.id, booking.external_id.as_deref());
    found
}

fn series(series: &Series) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Err(Refused(detail)) = Recurrence::parse(&series.rule) {
        found.push(Violation::new("/rrule", "invalid-rrule", detail));
    }
    check_count(&mut found, "/bookings", "invalid-items", series.bookings.len(), 1..=OCCURRENCES_MAX);
    found
}

fn waitlist_entry(entry: &WaitlistEntry) -> Vec<Violation> {
    let WaitlistEntry { customer, services, employee, from, to, token_hash, .. } = entry.clone();
    let mut found =
        validation::enter_waitlist(&EnterWaitlist { customer, services, employee, from, to, token_hash });
    check_count(&mut found, "/passed", "invalid-items", entry.passed.len(), 0..=PASSED_MAX);
    let has_offer = matches!(entry.status, WaitlistStatus::Offered | WaitlistStatus::Taken);
    if entry.offer.is_some() != has_offer {
        let detail = "an entry has an offer while it is offered or taken, and not else";
        found.push(Violation::new("/offer", "invalid-items", detail));
    }
    found
}

/// Checks that an id follows from the text of another system, if there is one.
fn check_external_id(found: &mut Vec<Violation>, id: Uuid, external_id: Option<&str>) {
    let Some(text) = external_id else { return };
    let chars = 1..=super::command::EXTERNAL_ID_CHARS_MAX;
    check_text(found, "/external_id", "invalid-external-id", text, chars);
    if id_of_text(text) != id {
        found.push(Violation::new("/external_id", "invalid-external-id", "external_id has another id"));
    }
}
