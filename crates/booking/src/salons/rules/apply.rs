//! What facts do to the view: total, and without any rule.

use maitred_core::{At, ChangeId, Write};

use crate::imported::Imported;
use crate::name::{self, Counter};
use crate::record::{self, ChangeType, Index, Superseded};
use crate::salons::booking::{Booking, BookingStatus};
use crate::salons::bookings_view::{by_customer, by_employee, by_series, by_start, holds_of};
use crate::salons::calculus::Occupied;
use crate::salons::fact::{Customer, Employee, Fact, Resource, Service, Settings};
use crate::salons::intervals::Span;
use crate::salons::legacy::LegacyBooking;
use crate::salons::legacy_view;
use crate::salons::plan::PlanState;
use crate::salons::series::Series;
use crate::salons::view::{self, Kept};
use crate::salons::waitlist::{self, Open, WaitlistEntry, WaitlistStatus};
use crate::slot::{self, Claim, ResourceNumber, SALON_NUMBER_MIN, Terms};
use crate::timer::{self, Timer, TimerKind};

pub(super) fn apply(view: &mut dyn Write, fact: &Fact, at: At) {
    match fact {
        Fact::SettingsChanged(settings) => put_settings(view, settings, at),
        Fact::EmployeeCreated(employee) => create_numbered(view, employee, employee.number, at),
        Fact::EmployeeUpdated(employee) => put_kept::<Employee>(view, ChangeType::Updated, employee, at),
        Fact::EmployeeDeleted(employee) => put_kept::<Employee>(view, ChangeType::Deleted, employee, at),
        Fact::ServiceCreated(service) => put_kept::<Service>(view, ChangeType::Created, service, at),
        Fact::ServiceUpdated(service) => put_kept::<Service>(view, ChangeType::Updated, service, at),
        Fact::ServiceDeleted(service) => put_kept::<Service>(view, ChangeType::Deleted, service, at),
        Fact::ResourceCreated(resource) => create_numbered(view, resource, resource.number, at),
        Fact::ResourceUpdated(resource) => put_kept::<Resource>(view, ChangeType::Updated, resource, at),
        Fact::ResourceDeleted(resource) => put_kept::<Resource>(view, ChangeType::Deleted, resource, at),
        Fact::CustomerCreated(customer) => create_customer(view, customer, at),
        Fact::CustomerUpdated(customer) => put_customer(view, ChangeType::Updated, customer, at),
        Fact::CustomerDeleted(customer) => put_customer(view, ChangeType::Deleted, customer, at),
        Fact::PlanChanged(plan) => put_plan(view, plan, at),
        Fact::BookingCreated(booking) => put_booking(view, ChangeType::Created, booking, at),
        Fact::BookingConfirmed(booking)
        | Fact::BookingCompleted(booking)
        | Fact::BookingRescheduled(booking) => put_booking(view, ChangeType::Updated, booking, at),
        Fact::BookingCancelled(booking) | Fact::BookingExpired(booking) | Fact::BookingNoShow(booking) => {
            put_booking(view, ChangeType::Cancelled, booking, at);
        }
        Fact::LegacyBookingPut(booking) => put_legacy_booking(view, booking, at),
        Fact::SeriesBooked(series) => {
            put::<Series>(view, ChangeType::Created, series, at);
        }
        Fact::SeriesCancelled(series) => {
            put::<Series>(view, ChangeType::Cancelled, series, at);
        }
        Fact::WaitlistEntered(entry) => {
            enter(view, entry, at);
        }
        Fact::WaitlistOffered(entry) | Fact::WaitlistPassed(entry) | Fact::WaitlistTaken(entry) => {
            put_entry(view, ChangeType::Updated, entry, at);
        }
        Fact::WaitlistExpired(entry) | Fact::WaitlistCancelled(entry) => {
            put_entry(view, ChangeType::Cancelled, entry, at);
        }
        Fact::SettingsImported(import) => put_settings(view, &import.is, import.at(at)),
        Fact::EmployeeImported(import) => match import.version {
            1 => create_numbered(view, &import.is, import.is.number, import.at(at)),
            _ => put_kept(view, change_type(import), &import.is, import.at(at)),
        },
        Fact::ServiceImported(import) => put_kept(view, change_type(import), &import.is, import.at(at)),
        Fact::ResourceImported(import) => match import.version {
            1 => create_numbered(view, &import.is, import.is.number, import.at(at)),
            _ => put_kept(view, change_type(import), &import.is, import.at(at)),
        },
        Fact::CustomerImported(import) => match import.version {
            1 => create_customer(view, &import.is, import.at(at)),
            _ => put_customer(view, change_type(import), &import.is, import.at(at)),
        },
        Fact::PlanImported(import) => put_plan(view, &import.is, import.at(at)),
        Fact::BookingImported(import) => import_booking(view, import, import.at(at)),
        Fact::LegacyBookingImported(import) => put_legacy_booking(view, &import.is, import.at(at)),
        Fact::SeriesImported(import) => {
            let change_type = if import.version == 1 { ChangeType::Created } else { ChangeType::Cancelled };
            put::<Series>(view, change_type, &import.is, import.at(at));
        }
        Fact::WaitlistImported(import) => import_entry(view, import, import.at(at)),
    }
}

fn change_type<T: Kept>(import: &Imported<T>) -> ChangeType {
    match (import.is.is_deleted(), import.version) {
        (true, _) => ChangeType::Deleted,
        (false, 1) => ChangeType::Created,
        (false, _) => ChangeType::Updated,
    }
}

fn put_settings(view: &mut dyn Write, settings: &Settings, at: At) {
    record::put_version(view, view::settings_record(at.tenant), ChangeType::Updated, at, settings);
}

fn put_plan(view: &mut dyn Write, plan: &PlanState, at: At) {
    record::put_version(view, view::plan_record(at.tenant, plan.employee), ChangeType::Updated, at, plan);
}

/// Puts a new employee or resource, and remembers that its number is given.
fn create_numbered<T: Kept>(view: &mut dyn Write, is: &T, number: u32, at: At) {
    number_given(view, number, at);
    put_kept(view, ChangeType::Created, is, at);
}

fn create_customer(view: &mut dyn Write, customer: &Customer, at: At) {
    put_customer(view, ChangeType::Created, customer, at);
    let key = Index::CustomerByOrder.key(at.tenant).change(change_id(at));
    view.put(&key, &customer.id.as_u128().to_be_bytes());
}

fn put_customer(view: &mut dyn Write, change_type: ChangeType, customer: &Customer, at: At) {
    put(view, change_type, customer, at);
    name::set_counter(view, at.tenant, Counter::CustomersChanged, 0, at.seq);
}

fn import_booking(view: &mut dyn Write, import: &Imported<Booking>, at: At) {
    let booking = &import.is;
    let change_type = match (booking.status, import.version) {
        (BookingStatus::Cancelled | BookingStatus::Expired | BookingStatus::NoShow, _) => {
            ChangeType::Cancelled
        }
        (_, 1) => ChangeType::Created,
        (_, _) => ChangeType::Updated,
    };
    put_booking(view, change_type, booking, at);
    if let Some(timer) = hold_end(booking, at).filter(|_| !import.latest) {
        timer::put_off(view, &timer);
    }
}

fn put<T: Kept>(view: &mut dyn Write, change_type: ChangeType, is: &T, at: At) -> Option<Superseded> {
    record::put_version(view, view::record_id::<T>(at.tenant, is.id()), change_type, at, is)
}

/// Puts a record of a kind of which a salon has few.
fn put_kept<T: Kept>(view: &mut dyn Write, change_type: ChangeType, is: &T, at: At) {
    put(view, change_type, is, at);
    let key = view::there(at.tenant, T::KIND).u128(is.id().as_u128());
    if is.is_deleted() { view.delete(&key) } else { view.put(&key, &[]) }
}

/// Remembers how many numbers were given to employees and resources.
fn number_given(view: &mut dyn Write, number: u32, at: At) {
    let given = u64::from(number - SALON_NUMBER_MIN) + 1;
    name::set_counter(view, at.tenant, Counter::SalonNumbers, 0, given);
}

/// Puts a booking, and moves its claims, its hold and its places in the lists from what it was to what it is.
fn put_booking(view: &mut dyn Write, change_type: ChangeType, booking: &Booking, at: At) {
    let superseded = put(view, change_type, booking, at);
    let before = superseded.map(|superseded| superseded.version().decode::<Booking>());
    let claims = before.as_ref().map_or(Vec::new(), claimed);
    let owner = view::record_id::<Booking>(at.tenant, booking.id);
    let new = claimed(booking);
    let span = |(number, span, _): &(ResourceNumber, Span, Terms)| (*number, *span);
    if claims.iter().map(span).ne(new.iter().map(span)) {
        for (number, span, _) in claims {
            slot::end(view, owner, number, span.starts_at, change_id(at));
        }
        for (resource, span, terms) in new {
            let Span { starts_at, ends_at } = span;
            let (kind, id, since) = (owner.kind, owner.id, change_id(at));
            let claim = Claim { resource, starts_at, ends_at, kind, id, since, terms };
            slot::put(view, at.tenant, &claim);
        }
    } else if claims != new {
        for (number, span, terms) in new {
            slot::renew(view, owner, number, span.starts_at, terms);
        }
    }
    if let Some(before) = &before {
        set_hold(view, before, at, false);
    }
    set_hold(view, booking, at, true);
    let id = booking.id.as_u128();
    view.put(&by_start(at.tenant).time(booking.starts_at).u128(id), &[]);
    view.put(&by_customer(at.tenant, booking.customer).time(booking.starts_at).u128(id), &[]);
    if let Some(series) = booking.series {
        view.put(&by_series(at.tenant, series).time(booking.starts_at).u128(id), &[]);
    }
    for item in &booking.items {
        view.put(&by_employee(at.tenant, item.employee.number).time(booking.starts_at).u128(id), &[]);
    }
}

/// What a booking claims, and on what terms.
fn claimed(booking: &Booking) -> Vec<(ResourceNumber, Span, Terms)> {
    if !booking.status.claims_time() {
        return Vec::new();
    }
    let until = booking.hold_expires_at.filter(|_| booking.status == BookingStatus::Held);
    let claim = |(number, Occupied { span, before_minutes, after_minutes })| {
        (number, span, Terms { before_minutes, after_minutes, until })
    };
    booking.occupied().map(claim).collect()
}

/// When the hold of a booking is over, if it is held.
fn hold_end(booking: &Booking, at: At) -> Option<Timer> {
    let due = booking.hold_expires_at.filter(|_| booking.status == BookingStatus::Held)?;
    Some(Timer { due, kind: TimerKind::BookingHold, tenant: at.tenant, id: booking.id })
}

/// Notes the hold of a booking, if it is held, or takes it away.
fn set_hold(view: &mut dyn Write, booking: &Booking, at: At, held: bool) {
    let Some(timer) = hold_end(booking, at) else { return };
    let due = timer.due;
    if held {
        timer::put(view, &timer);
    } else {
        timer::remove(view, &timer);
    }
    if booking.offered_to.is_some() {
        return; // the salon's doing: it does not count among what the customer holds
    }
    for holder in [Some(booking.customer.as_u128()), booking.holder].into_iter().flatten() {
        let key = holds_of(at.tenant, holder).time(due).u128(booking.id.as_u128());
        if held { view.put(&key, &[]) } else { view.delete(&key) }
    }
}

/// Puts a new entry of the waitlist, and remembers that its number is given.
fn enter(view: &mut dyn Write, entry: &WaitlistEntry, at: At) {
    name::set_counter(view, at.tenant, Counter::WaitlistNumbers, 0, entry.number);
    put_entry(view, ChangeType::Created, entry, at);
}

fn import_entry(view: &mut dyn Write, import: &Imported<WaitlistEntry>, at: At) {
    let entry = &import.is;
    match (import.version, entry.status.is_open() || entry.status == WaitlistStatus::Taken) {
        (1, _) => enter(view, entry, at),
        (_, true) => put_entry(view, ChangeType::Updated, entry, at),
        (_, false) => put_entry(view, ChangeType::Cancelled, entry, at),
    }
    if entry.status.is_open() && !import.latest {
        timer::put_off(view, &entry_end(entry, at));
    }
}

/// When an entry of the waitlist is over.
fn entry_end(entry: &WaitlistEntry, at: At) -> Timer {
    Timer { due: entry.to, kind: TimerKind::WaitlistEnd, tenant: at.tenant, id: entry.id }
}

/// Puts an entry of the waitlist, with its place among those that are open and its timer.
fn put_entry(view: &mut dyn Write, change_type: ChangeType, entry: &WaitlistEntry, at: At) {
    let superseded = put::<WaitlistEntry>(view, change_type, entry, at);
    let timer = entry_end(entry, at);
    let place = waitlist::place(at.tenant, entry.number);
    if superseded.is_some() {
        timer::remove(view, &timer);
    }
    if entry.status.is_open() {
        view.put(&place, &Open::of(entry).write());
        timer::put(view, &timer);
    } else {
        view.delete(&place);
    }
}

fn put_legacy_booking(view: &mut dyn Write, booking: &LegacyBooking, at: At) {
    let is_new = record::current(view, view::record_id::<LegacyBooking>(at.tenant, booking.id)).is_none();
    let change_type = if is_new { ChangeType::Created } else { ChangeType::Updated };
    if let Some(superseded) = put(view, change_type, booking, at) {
        let before = superseded.version().decode::<LegacyBooking<&str>>();
        view.put(&legacy_view::place(at.tenant, before.date, before.id), &legacy_view::entry(at.seq, None));
    }
    let entry = legacy_view::entry(at.seq, Some(booking));
    view.put(&legacy_view::place(at.tenant, booking.date, booking.id), &entry);
}

fn change_id(at: At) -> ChangeId {
    ChangeId { seq: at.seq, ordinal: at.ordinal }
}
