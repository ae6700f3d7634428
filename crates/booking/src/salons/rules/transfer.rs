//! What is taken over from another server: versions one by one, in the order in which they were decided there.
//!
//! Invariants:
//! - A version becomes the next one here, or is here already, or is refused ([`crate::imported`]).
//! - Employees and resources get numbers of this server, and the bookings that are taken over claim by these.
//! - No time is given away twice: a booking whose time is taken here is refused. What lets a visit be booked otherwise
//!   (shifts, skills, notice, how many holds there may be) was asked where it was booked, and is not asked again.
//! - A series comes behind its bookings, and an offer of the waitlist behind the one that is held: neither points nowhere.
//! - Entries of the waitlist get numbers of this server, in the order in which they come.
//! - A hold that was running is held here until the same instant, and is over then; one that is over by now is settled
//!   here as any other.

use maitred_core::{Context, Decision, Read, Rejection};
use uuid::Uuid;

use super::allotment::{settle_holds_in_the_way, unavailable};
use super::records::{require_no_bookings, require_room};
use super::{Decided, Effect, Outcome, not_found, waitlist};
use crate::flash_sales::Versioned;
use crate::imported::{Imported, InMillis, Place, version_differs};
use crate::name::{self, Counter};
use crate::record::RecordId;
use crate::salons::booking::{BookedItem, Booking, BookingStatus};
use crate::salons::command::Import;
use crate::salons::fact::{Customer, Employee, Fact, Resource, Service, Settings};
use crate::salons::intervals::Span;
use crate::salons::legacy::LegacyBooking;
use crate::salons::plan::{AbsenceState, AbsenceTime, PlanState};
use crate::salons::series::Series;
use crate::salons::view::{self, Kept};
use crate::salons::waitlist::{OpenOffer, PassedOffer, WaitlistEntry, WaitlistStatus};
use crate::salons::{import_validation, view::any};
use crate::violation::refuse_any;

pub(super) fn import(view: &dyn Read, import: &Import, cx: &Context) -> Decided {
    refuse_any(&import_validation::import(import))?;
    match import {
        Import::Settings(import) => {
            let told = (Fact::SettingsImported as fn(_) -> _, Outcome::Settings as fn(_, _) -> _);
            take(view, view::settings_record(cx.tenant), import.clone(), told, |_, _| Ok(Vec::new()))
        }
        Import::Employee(import) => employee(view, import.clone(), cx),
        Import::Service(import) => {
            let told = (Fact::ServiceImported as fn(_) -> _, Outcome::Service as fn(_, _) -> _);
            take_kept(view, import.clone(), told, cx, |_| Ok(()))
        }
        Import::Resource(import) => resource(view, import.clone(), cx),
        Import::Customer(import) => {
            let told = (Fact::CustomerImported as fn(_) -> _, Outcome::Customer as fn(_, _) -> _);
            take_kept(view, import.clone(), told, cx, |_| Ok(()))
        }
        Import::Plan(import) => plan(view, import, cx),
        Import::Booking(import) => booking(view, import.clone(), cx),
        Import::Series(import) => series(view, import.clone(), cx),
        Import::Waitlist(import) => waitlist_entry(view, import.clone(), cx),
        Import::LegacyBooking(import) => {
            let told = (Fact::LegacyBookingImported as fn(_) -> _, Outcome::LegacyBooking as fn(_, _) -> _);
            take_kept(view, import.clone(), told, cx, |_| Ok(()))
        }
    }
}

/// How a version becomes a fact and an outcome.
type Told<T> = (fn(Imported<T>) -> Fact, fn(Effect, Versioned<T>) -> Outcome);

/// Takes a version over, if `check` has nothing against it where it is the next one: it sees the one before, and gives
/// the facts that come first.
fn take<T>(
    view: &dyn Read,
    record: RecordId,
    import: Imported<T>,
    (fact, outcome): Told<T>,
    check: impl FnOnce(Option<T>, &T) -> Result<Vec<Fact>, Rejection>,
) -> Decided
where
    T: serde::de::DeserializeOwned + PartialEq + Clone + InMillis,
{
    let before = match Place::of(view, record, &import)? {
        Place::Known(known) => {
            return Ok(Decision { facts: Vec::new(), outcome: outcome(Effect::Unchanged, known) });
        }
        Place::Next(before) => before,
    };
    let mut facts = check(before, &import.is)?;
    let outcome = outcome(Effect::Imported, import.versioned());
    facts.push(fact(import));
    Ok(Decision { facts, outcome })
}

/// Takes over a version of a record that can go for good: behind that nothing comes, and nothing begins so. `check` sees
/// a version that takes the record away.
fn take_kept<T: Kept + PartialEq + Clone + InMillis>(
    view: &dyn Read,
    import: Imported<T>,
    told: Told<T>,
    cx: &Context,
    check: impl FnOnce(&T) -> Result<(), Rejection>,
) -> Decided {
    take(view, view::record_id::<T>(cx.tenant, import.is.id()), import, told, |before, is| {
        match before {
            Some(before) if before.is_deleted() => return Err(not_found::<T>()),
            None if is.is_deleted() => return Err(not_found::<T>()),
            None => require_room::<T>(view, cx)?,
            Some(_) if is.is_deleted() => check(is)?,
            Some(_) => {}
        }
        Ok(Vec::new())
    })
}

fn employee(view: &dyn Read, mut import: Imported<Employee>, cx: &Context) -> Decided {
    import.is.number = number_of::<Employee>(view, import.is.id, cx, |employee| employee.number);
    let at = import.updated_at;
    let told = (Fact::EmployeeImported as fn(_) -> _, Outcome::Employee as fn(_, _) -> _);
    take_kept(view, import, told, cx, |employee| {
        require_no_bookings(view, employee.number, "employee-in-use", at, cx)
    })
}

fn resource(view: &dyn Read, mut import: Imported<Resource>, cx: &Context) -> Decided {
    import.is.number = number_of::<Resource>(view, import.is.id, cx, |resource| resource.number);
    let at = import.updated_at;
    let told = (Fact::ResourceImported as fn(_) -> _, Outcome::Resource as fn(_, _) -> _);
    take_kept(view, import, told, cx, |resource| {
        require_no_bookings(view, resource.number, "resource-in-use", at, cx)
    })
}

/// The number of an employee or resource that is here, or the next one.
fn number_of<T: Kept>(view: &dyn Read, id: Uuid, cx: &Context, number: fn(&T) -> u32) -> u32 {
    let found = any::<T>(view, cx.tenant, id, None);
    found.map_or_else(|| view::next_number(view, cx.tenant), |found| number(&found.is))
}

fn plan(view: &dyn Read, import: &Imported<PlanState>, cx: &Context) -> Decided {
    there::<Employee>(view, import.is.employee, cx)?;
    let record = view::plan_record(cx.tenant, import.is.employee);
    let told = (Fact::PlanImported as fn(_) -> _, Outcome::Plan as fn(_, _) -> _);
    take(view, record, import.clone(), told, |_, _| Ok(Vec::new()))
}

fn booking(view: &dyn Read, mut import: Imported<Booking>, cx: &Context) -> Decided {
    there::<Customer>(view, import.is.customer, cx)?;
    for item in &mut import.is.items {
        there::<Service>(view, item.service, cx)?;
        item.employee.number = there::<Employee>(view, item.employee.id, cx)?.number;
        if let Some(resource) = &mut item.resource {
            resource.number = there::<Resource>(view, resource.id, cx)?.number;
        }
    }
    if let Some(entry) = import.is.offered_to {
        there::<WaitlistEntry>(view, entry, cx)?;
    }
    let record = view::record_id::<Booking>(cx.tenant, import.is.id);
    let told = (Fact::BookingImported as fn(_) -> _, Outcome::Booking as fn(_, _) -> _);
    take(view, record, import, told, |before, booking| {
        check_step(before.as_ref(), booking)?;
        match booking.status.claims_time() {
            true => settle_holds_in_the_way(view, booking, &mut Vec::new(), cx).map_err(unavailable),
            false => Ok(Vec::new()),
        }
    })
}

/// A record that was ever here.
fn there<T: Kept>(view: &dyn Read, id: Uuid, cx: &Context) -> Result<T, Rejection> {
    Ok(any::<T>(view, cx.tenant, id, None).ok_or_else(not_found::<T>)?.is)
}

/// What a booking may become.
fn check_step(before: Option<&Booking>, booking: &Booking) -> Result<(), Rejection> {
    use BookingStatus::{Cancelled, Completed, Confirmed, Expired, Held, NoShow};
    let leads = match (before.map(|before| before.status), booking.status) {
        (None, Held) => booking.hold_expires_at.is_some(),
        (None, Confirmed) => booking.hold_expires_at.is_none(),
        (Some(Held), Held | Confirmed | Cancelled | Expired) => true,
        (Some(Confirmed), Confirmed | Cancelled | Completed | NoShow) => true,
        _ => false,
    };
    if !leads {
        let detail = format!("No booking becomes {} so.", booking.status.as_str());
        return Err(Rejection::conflict("invalid-transition", detail));
    }
    // Whose it is, and until when it is held, never changes; what is done, and when, does where it moves.
    let stays = |booking: &Booking| {
        let Booking { id, customer, hold_expires_at, holder, token_hash, created_at, .. } = *booking;
        let belongs = (booking.series, booking.offered_to);
        (id, customer, hold_expires_at.in_millis(), holder, token_hash, created_at.in_millis(), belongs)
    };
    match before {
        Some(before) if stays(before) != stays(booking) => Err(version_differs()),
        _ => Ok(()),
    }
}

fn series(view: &dyn Read, import: Imported<Series>, cx: &Context) -> Decided {
    there::<Customer>(view, import.is.customer, cx)?;
    for booking in &import.is.bookings {
        let booking = there::<Booking>(view, *booking, cx)?;
        if booking.series != Some(import.is.id) {
            return Err(not_found::<Booking>());
        }
    }
    let record = view::record_id::<Series>(cx.tenant, import.is.id);
    let told = (
        Fact::SeriesImported as fn(_) -> _,
        (|effect, found| Outcome::Series(effect, found, Vec::new())) as fn(_, _) -> _,
    );
    take(view, record, import, told, |before, series| {
        // It is booked once, and calls off more and more.
        let leads = match (&before, series.cancelled_from) {
            (None, None) => true,
            (Some(before), Some(from)) => before.cancelled_from.is_none_or(|earlier| from <= earlier),
            _ => false,
        };
        if !leads {
            return Err(Rejection::conflict("invalid-transition", "No series is called off so."));
        }
        let stays = |series: &Series| Series { cancelled_from: None, ..series.clone() }.in_millis();
        match before {
            Some(before) if stays(&before) != stays(series) => Err(version_differs()),
            _ => Ok(Vec::new()),
        }
    })
}

fn waitlist_entry(view: &dyn Read, mut import: Imported<WaitlistEntry>, cx: &Context) -> Decided {
    there::<Customer>(view, import.is.customer, cx)?;
    for service in &import.is.services {
        there::<Service>(view, *service, cx)?;
    }
    if let Some(employee) = import.is.employee {
        there::<Employee>(view, employee, cx)?;
    }
    let offered = match import.is.offer {
        Some(offer) => Some(there::<Booking>(view, offer.booking, cx)?),
        None => None,
    };
    let here = any::<WaitlistEntry>(view, cx.tenant, import.is.id, None);
    let next = || name::counter(view, cx.tenant, Counter::WaitlistNumbers, 0) + 1;
    import.is.number = here.map_or_else(next, |here| here.is.number);
    let record = view::record_id::<WaitlistEntry>(cx.tenant, import.is.id);
    let told = (Fact::WaitlistImported as fn(_) -> _, Outcome::Waitlist as fn(_, _) -> _);
    let latest = import.latest;
    let entry = import.is.clone();
    let mut decision = take(view, record, import, told, |before, entry| {
        if before.is_none() && entry.status.is_open() {
            waitlist::require_room(view, entry.customer, cx)?;
        }
        check_entry(before.as_ref(), entry)
    })?;
    // The hold of an offer may have ended here before the offer itself came.
    let is_offer = latest && entry.status == WaitlistStatus::Offered;
    let over = offered.filter(|booking| is_offer && booking.status == BookingStatus::Expired);
    if let (false, Some(booking)) = (decision.facts.is_empty(), over) {
        decision.facts.push(waitlist::passed(entry, &booking));
    }
    Ok(decision)
}

/// What an entry of the waitlist may become.
fn check_entry(before: Option<&WaitlistEntry>, entry: &WaitlistEntry) -> Result<Vec<Fact>, Rejection> {
    use WaitlistStatus::{Cancelled, Expired, Offered, Taken, Waiting};
    let leads = match (before.map(|before| before.status), entry.status) {
        (None, Waiting) => entry.passed.is_empty(),
        (Some(Waiting), Offered | Expired | Cancelled) => true,
        (Some(Offered), Waiting | Taken | Expired | Cancelled) => true,
        _ => false,
    };
    if !leads {
        let detail = format!("No entry of the waitlist becomes {} so.", entry.status.as_str());
        return Err(Rejection::conflict("invalid-transition", detail));
    }
    let Some(before) = before else { return Ok(Vec::new()) };
    let stays = |entry: &WaitlistEntry| {
        let (status, offer, passed) = (Waiting, None, Vec::new());
        WaitlistEntry { status, offer, passed, ..entry.clone() }.in_millis()
    };
    let passed = |entry: &WaitlistEntry| entry.clone().in_millis().passed;
    match stays(before) == stays(entry) && passed(entry).starts_with(&passed(before)) {
        true => Ok(Vec::new()),
        false => Err(version_differs()),
    }
}

impl InMillis for Settings {
    fn in_millis(self) -> Self {
        self
    }
}

impl InMillis for Employee {
    fn in_millis(self) -> Self {
        Employee { created_at: self.created_at.in_millis(), ..self }
    }
}

impl InMillis for Service {
    fn in_millis(self) -> Self {
        Service { created_at: self.created_at.in_millis(), ..self }
    }
}

impl InMillis for Resource {
    fn in_millis(self) -> Self {
        Resource { created_at: self.created_at.in_millis(), ..self }
    }
}

impl InMillis for Customer {
    fn in_millis(self) -> Self {
        let (created_at, changed_at) = (self.created_at.in_millis(), self.changed_at.in_millis());
        Customer { created_at, changed_at, ..self }
    }
}

impl InMillis for PlanState {
    fn in_millis(self) -> Self {
        let time = |time| match time {
            AbsenceTime::Days(from, to) => AbsenceTime::Days(from, to),
            AbsenceTime::Instants(from, to) => AbsenceTime::Instants(from.in_millis(), to.in_millis()),
        };
        let absence = |absence: AbsenceState| AbsenceState { time: time(absence.time), ..absence };
        PlanState { absences: self.absences.into_iter().map(absence).collect(), ..self }
    }
}

impl InMillis for Booking {
    fn in_millis(self) -> Self {
        let item = |item: BookedItem| BookedItem { starts_at: item.starts_at.in_millis(), ..item };
        Booking {
            starts_at: self.starts_at.in_millis(),
            ends_at: self.ends_at.in_millis(),
            items: self.items.into_iter().map(item).collect(),
            hold_expires_at: self.hold_expires_at.in_millis(),
            created_at: self.created_at.in_millis(),
            ..self
        }
    }
}

impl InMillis for Series {
    fn in_millis(self) -> Self {
        Series {
            starts_at: self.starts_at.in_millis(),
            cancelled_from: self.cancelled_from.in_millis(),
            created_at: self.created_at.in_millis(),
            ..self
        }
    }
}

impl InMillis for WaitlistEntry {
    fn in_millis(self) -> Self {
        let offer = |offer: OpenOffer| OpenOffer { expires_at: offer.expires_at.in_millis(), ..offer };
        let passed = |passed: PassedOffer| {
            let Span { starts_at, ends_at } = passed.span();
            PassedOffer::new(Span::new(starts_at.in_millis(), ends_at.in_millis()))
        };
        WaitlistEntry {
            from: self.from.in_millis(),
            to: self.to.in_millis(),
            offer: self.offer.map(offer),
            passed: self.passed.into_iter().map(passed).collect(),
            created_at: self.created_at.in_millis(),
            ..self
        }
    }
}

impl InMillis for LegacyBooking {
    fn in_millis(self) -> Self {
        LegacyBooking {
            date: self.date.in_millis(),
            created_at: self.created_at.in_millis(),
            changed_at: self.changed_at.in_millis(),
            ..self
        }
    }
}
