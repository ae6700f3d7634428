//! Salons in the simulation: what should become of each command, by the plainest means: every version of every record
//! in a list, and a diary that is written anew for every question (`fits.rs`).
//!
//! Whom a visit is allotted to is the product's choice; that whoever it is was free, and has the skill, is looked at
//! here, and that no two visits have anybody at once (I6).
//!
//! Next: in the folder beside this file `draw.rs` for what clients ask for, `moves.rs` for visits that are moved, `waiting.rs` for series and the waitlist,
//! `checks.rs` for what a view must say.

mod checks;
mod draw;
mod fits;
mod kept;
mod moves;
mod visits;
mod waiting;

use std::collections::BTreeMap;

use maitred_booking::flash_sales::Versioned;
use maitred_booking::salons::booking::BookedItem;
use maitred_booking::salons::command::{
    Advance, Book, Change, Command, EmployeePatch, ForCustomer, PlanChange, SettingsPatch, WantedItem,
};
use maitred_booking::salons::fact::{Customer, Employee, Resource, Service, Settings};
use maitred_booking::salons::plan::PlanState;
use maitred_booking::salons::rules::OPEN_HOLDS_MAX;
use maitred_booking::salons::series::Series;
use maitred_booking::salons::view::id_of_text;
use maitred_booking::salons::waitlist::WaitlistEntry;
use maitred_booking::salons::{Booking, BookingStatus, Effect, LegacyBooking, Outcome};
use maitred_core::{Seq, TenantNumber, Timestamp};
use uuid::Uuid;

pub use self::checks::{Probe, allotted};
use self::fits::{Diary, spans};
use self::kept::Kept;
use self::visits::{check_items, overlap, same};

/// The conflicts among the refusals: those that stick to an idempotency key.
pub const CONFLICTS: [&str; 6] = [
    "employee-in-use",
    "hold-expired",
    "invalid-transition",
    "resource-in-use",
    "series-clashes",
    "slot-unavailable",
];

/// What became of a command: what it did, or the code of its refusal.
pub type Verdict = Result<Effect, &'static str>;

/// All tenants' salons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salons(BTreeMap<TenantNumber, Salon>);

/// A salon: every version of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Salon {
    settings: Kept<Settings>,
    services: Kept<Service>,
    employees: Kept<Employee>,
    resources: Kept<Resource>,
    customers: Kept<Customer>,
    plans: Kept<PlanState>,
    bookings: Kept<Booking>,
    legacy: Kept<LegacyBooking>,
    series: Kept<Series>,
    waitlist: Kept<WaitlistEntry>,
}

/// What the product says that it did to a booking. Whether a booking that is moved was there already follows from whom
/// it is allotted to, which is the product's choice.
pub fn effect(outcome: &Outcome) -> Effect {
    match outcome {
        Outcome::Booking(Effect::Unchanged, _) => Effect::Updated,
        outcome => outcome.effect(),
    }
}

impl Salons {
    /// What becomes of a command that is decided at an instant.
    pub fn carry_out(&self, tenant: TenantNumber, command: &Command, at: Timestamp) -> Verdict {
        let nothing = Salon::default();
        self.0.get(&tenant).unwrap_or(&nothing).carry_out(command, at)
    }

    /// Takes over what an accepted command of batch `seq` has left behind, decided at `at`. `made` are the offers of the
    /// batch, which no answer tells.
    ///
    /// # Errors
    /// What it must not have left behind.
    pub fn adopt(
        &mut self,
        tenant: TenantNumber,
        command: &Command,
        outcome: &Outcome,
        made: &BTreeMap<Uuid, Booking>,
        (seq, at): (Seq, Timestamp),
    ) -> Result<(), String> {
        let salon = self.0.entry(tenant).or_default();
        salon
            .adopt(command, outcome, made, (seq, at))
            .map_err(|what| format!("I6: batch {seq}, tenant {}: {what}: {command:?}", tenant.0))
    }
}

impl Salon {
    fn settings(&self) -> Settings {
        self.settings.current(Uuid::nil()).map_or(Settings::default(), |settings| settings.is)
    }

    /// The bookings that hold their time at an instant.
    fn active(&self, at: Timestamp) -> impl Iterator<Item = &Booking> {
        self.bookings.all().map(|found| &found.is).filter(move |booking| status_at(booking, at).claims_time())
    }

    fn carry_out(&self, command: &Command, at: Timestamp) -> Verdict {
        match command {
            Command::ChangeSettings(change) => self.change_settings(change),
            Command::CreateEmployee(details) => {
                self.require_skills(&details.skills, &[])?;
                Ok(Effect::Created)
            }
            Command::UpdateEmployee(change) => self.update_employee(change),
            Command::DeleteEmployee(change) => {
                let found = self.employees.at_version(change.id, change.if_version, "employee-not-found")?;
                self.require_no_bookings(found.is.number, "employee-in-use", at)
            }
            Command::SetCalendarToken(change) => {
                let found = self.employees.at_version(change.id, change.if_version, "employee-not-found")?;
                Ok(updated(found.is.calendar_token_hash != change.what))
            }
            Command::CreateService(_) | Command::CreateResource(_) | Command::CreateCustomer(_) => {
                Ok(Effect::Created)
            }
            Command::UpdateService(change) => {
                let found = self.services.at_version(change.id, change.if_version, "service-not-found")?;
                let (known, patch) = (&found.is, &change.what);
                let buffer = known.time.buffer_after_minutes;
                let is_other = patch.time.buffer_after_minutes.is_some_and(|new| new != buffer)
                    || patch.active.is_some_and(|active| active != known.active)
                    || patch.needs_resource.as_ref().is_some_and(|kind| *kind != known.needs_resource);
                Ok(updated(is_other))
            }
            Command::DeleteService(change) => {
                self.services.at_version(change.id, change.if_version, "service-not-found")?;
                Ok(Effect::Deleted)
            }
            Command::UpdateResource(change) => {
                let found = self.resources.at_version(change.id, change.if_version, "resource-not-found")?;
                Ok(updated(change.what.active.is_some_and(|active| active != found.is.active)))
            }
            Command::DeleteResource(change) => {
                let found = self.resources.at_version(change.id, change.if_version, "resource-not-found")?;
                self.require_no_bookings(found.is.number, "resource-in-use", at)
            }
            Command::UpdateCustomer(change) => {
                let found = self.customers.at_version(change.id, change.if_version, "customer-not-found")?;
                Ok(updated(change.what.name.as_ref().is_some_and(|name| *name != found.is.name)))
            }
            Command::DeleteCustomer(change) => {
                self.customers.at_version(change.id, change.if_version, "customer-not-found")?;
                Ok(Effect::Deleted)
            }
            Command::PutCustomer(put) => Ok(match self.customers.current(id_of_text(&put.external_id)) {
                None => Effect::Created,
                Some(found) => {
                    let known_until = found.is.changed_at.unwrap_or(found.updated_at);
                    newer(!found.is.deleted && put.changed_at > known_until)
                }
            }),
            Command::ChangePlan(change) => self.change_plan(change),
            Command::Book(book) => self.book(book, at),
            Command::Reschedule(reschedule) => self.reschedule(reschedule, at),
            Command::Advance(change) => self.advance(change, at),
            Command::ExpireBooking { booking } => {
                self.bookings.at_version(*booking, None, "booking-not-found")?;
                Ok(Effect::Updated)
            }
            Command::PutLegacyBooking(put) => {
                let id = put.external_id.as_deref().map(id_of_text);
                let found = id.and_then(|id| self.legacy.current(id));
                Ok(found.map_or(Effect::Created, |found| newer(put.changed_at > found.is.changed_at)))
            }
            Command::BookSeries(series) => self.book_series(series, at),
            Command::CancelSeries(command) => self.cancel_series(command, at),
            Command::EnterWaitlist(entry) => self.enter(entry, at),
            Command::CancelWaitlistEntry(change) => self.leave(change, at),
            Command::OfferTime(offer) => self.offer(offer, at),
            Command::ExpireWaitlistEntry { entry } => self.expire_entry(*entry, at),
            // What is taken over from other servers is not drawn.
            Command::Import(_) => Err("drawn by nobody"),
        }
    }

    fn change_settings(&self, change: &Change<(), SettingsPatch>) -> Verdict {
        let version = self.settings.current(Uuid::nil()).map_or(0, |found| found.version);
        if change.if_version.is_some_and(|wanted| wanted != version) {
            return Err("version-mismatch");
        }
        let (before, patch) = (self.settings(), &change.what);
        let is_other = patch.step_minutes.is_some_and(|new| new != before.step_minutes)
            || patch.buffers.is_some_and(|new| new != before.buffers)
            || patch.buffers_may_leave_shift.is_some_and(|new| new != before.buffers_may_leave_shift)
            || patch.min_notice_minutes.is_some_and(|new| new != before.min_notice_minutes)
            || patch.max_horizon_days.is_some_and(|new| new != before.max_horizon_days)
            || patch.offer_minutes.is_some_and(|new| new != before.offer_minutes);
        Ok(updated(is_other))
    }

    fn update_employee(&self, change: &Change<Uuid, EmployeePatch>) -> Verdict {
        let found = self.employees.at_version(change.id, change.if_version, "employee-not-found")?;
        let skills = change.what.skills.as_ref().unwrap_or(&found.is.skills);
        self.require_skills(skills, &found.is.skills)?;
        let is_other = *skills != found.is.skills
            || change.what.active.is_some_and(|active| active != found.is.active)
            || change.what.name.as_ref().is_some_and(|name| *name != found.is.name);
        Ok(updated(is_other))
    }

    /// Skills that are new are services that are there; those from before may be of services that are gone.
    fn require_skills(&self, skills: &[Uuid], before: &[Uuid]) -> Result<(), &'static str> {
        let mut new = skills.iter().filter(|service| !before.contains(service));
        let known = new.all(|service| self.services.get(*service).is_some());
        if known { Ok(()) } else { Err("invalid-skills") }
    }

    /// Refuses while somebody is booked from now on.
    fn require_no_bookings(&self, number: u32, code: &'static str, at: Timestamp) -> Verdict {
        let mut items = self.active(at).flat_map(|booking| &booking.items);
        let ahead = |item: &BookedItem| spans(item, number).any(|(_, to)| fits::instant(to) > at);
        if items.any(ahead) { Err(code) } else { Ok(Effect::Deleted) }
    }

    fn change_plan(&self, change: &Change<Uuid, PlanChange>) -> Verdict {
        self.employees.get(change.id).ok_or("employee-not-found")?;
        let nothing = PlanState::default();
        let found = self.plans.current(change.id);
        let version = found.map_or(0, |found| found.version);
        if change.if_version.is_some_and(|wanted| wanted != version) {
            return Err("version-mismatch");
        }
        let plan = found.map_or(&nothing, |found| &found.is);
        let exception = |day| plan.exceptions.iter().find(|(known, _)| *known == day);
        let is_other = match &change.what {
            PlanChange::SetPatterns(patterns) => *patterns != plan.patterns,
            PlanChange::SetException(day, spans) => exception(*day).is_none_or(|(_, known)| known != spans),
            PlanChange::RemoveException(day) => exception(*day).is_some(),
            PlanChange::AddAbsence { .. } => true,
            PlanChange::RemoveAbsence(id) => {
                let known = plan.absences.iter().any(|absence| absence.id == *id);
                known.then_some(true).ok_or("absence-not-found")?
            }
        };
        Ok(updated(is_other))
    }

    fn book(&self, book: &Book, at: Timestamp) -> Verdict {
        if let ForCustomer::Known(id) = book.customer {
            self.customers.get(id).ok_or("customer-not-found")?;
        }
        self.require_items(&book.items)?;
        if book.hold_seconds.is_some() {
            let held = |holds: &dyn Fn(&Booking) -> bool| {
                let held = self.active(at).filter(|booking| booking.status == BookingStatus::Held);
                // Offers are the salon's doing.
                let held = held.filter(|booking| booking.offered_to.is_none());
                held.filter(|booking| holds(booking)).count() >= OPEN_HOLDS_MAX
            };
            let by_customer = |booking: &Booking| book.customer == ForCustomer::Known(booking.customer);
            let by_holder = |booking: &Booking| booking.holder.is_some() && booking.holder == book.holder;
            if held(&by_customer) || held(&by_holder) {
                return Err("too-many-holds");
            }
        }
        let diary = Diary::new(self, book.starts_at, at, None);
        if diary.fits(&book.items, book.starts_at, book.force) {
            Ok(Effect::Created)
        } else {
            Err("slot-unavailable")
        }
    }

    fn require_items(&self, items: &[WantedItem]) -> Result<(), &'static str> {
        for item in items {
            self.services.get(item.service).ok_or("service-not-found")?;
            self.require_employee(item.employee)?;
        }
        Ok(())
    }

    fn require_employee(&self, employee: Option<Uuid>) -> Result<(), &'static str> {
        match employee {
            Some(id) if self.employees.get(id).is_none() => Err("employee-not-found"),
            _ => Ok(()),
        }
    }

    fn advance(&self, change: &Change<Uuid, Advance>, at: Timestamp) -> Verdict {
        let found = self.bookings.at_version(change.id, change.if_version, "booking-not-found")?;
        let from = status_at(&found.is, at);
        match (from, change.what) {
            (from, what) if from == target(what) => Ok(Effect::Updated),
            (BookingStatus::Held, Advance::Confirm | Advance::Cancel) => Ok(Effect::Updated),
            (BookingStatus::Confirmed, Advance::Cancel | Advance::Complete | Advance::NoShow) => {
                Ok(Effect::Updated)
            }
            (BookingStatus::Expired, _) => Err("hold-expired"),
            _ => Err("invalid-transition"),
        }
    }

    fn adopt(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        made: &BTreeMap<Uuid, Booking>,
        (seq, at): (Seq, Timestamp),
    ) -> Result<(), String> {
        let when = (seq, at);
        match (command, outcome) {
            (Command::Book(book), Outcome::Booking(effect, found)) => {
                self.check_booked(book, &found.is, at)?;
                self.put_booking(*effect, found, when)?;
                self.adopt_customer(&book.customer, found.is.customer, when)
            }
            (Command::BookSeries(command), Outcome::Series(Effect::Created, found, occurrences)) => {
                self.adopt_series(command, found, occurrences, when)
            }
            (Command::CancelSeries(command), Outcome::Series(effect, found, occurrences)) => {
                self.adopt_cancelled_series(command, *effect, found, occurrences, when)
            }
            (Command::EnterWaitlist(command), Outcome::Waitlist(Effect::Created, found)) => {
                self.adopt_entered(command, found, when)
            }
            (Command::CancelWaitlistEntry(change), Outcome::Waitlist(effect, found)) => {
                self.adopt_left(change.id, *effect, found, when)
            }
            (Command::OfferTime(command), Outcome::Waitlist(effect, found)) => {
                self.adopt_offer(command, *effect, found, made, when)
            }
            (Command::ExpireWaitlistEntry { entry }, Outcome::Waitlist(effect, found)) => {
                self.adopt_expired(*entry, *effect, found, when)
            }
            (Command::Reschedule(command), Outcome::Booking(effect, found)) => {
                self.check_moved(command, &found.is, at)?;
                self.put_booking(*effect, found, when)
            }
            (Command::Advance(change), Outcome::Booking(effect, found)) => {
                let known = self.bookings.current(change.id).ok_or("it is not there")?;
                let status = target(change.what);
                let expected = if status_at(&known.is, at) == status { known.is.status } else { status };
                same(&found.is, &Booking { status: expected, ..known.is.clone() })?;
                self.bookings.adopt(change.id, *effect, found, when)?;
                if *effect == Effect::Updated {
                    self.end_offer(&found.is, when);
                }
                Ok(())
            }
            (Command::ExpireBooking { booking }, Outcome::Booking(effect, found)) => {
                let known = self.bookings.current(*booking).ok_or("it is not there")?;
                same(&found.is, &Booking { status: status_at(&known.is, at), ..known.is.clone() })?;
                self.bookings.adopt(*booking, *effect, found, when)?;
                if *effect == Effect::Updated {
                    self.end_offer(&found.is, when);
                }
                Ok(())
            }
            (_, Outcome::Settings(effect, found)) => self.settings.adopt(Uuid::nil(), *effect, found, when),
            (_, Outcome::Employee(effect, found)) => self.employees.adopt(found.is.id, *effect, found, when),
            (_, Outcome::Service(effect, found)) => self.services.adopt(found.is.id, *effect, found, when),
            (_, Outcome::Resource(effect, found)) => self.resources.adopt(found.is.id, *effect, found, when),
            (_, Outcome::Customer(effect, found)) => self.customers.adopt(found.is.id, *effect, found, when),
            (_, Outcome::Plan(effect, found)) => self.plans.adopt(found.is.employee, *effect, found, when),
            (_, Outcome::LegacyBooking(effect, found)) => {
                self.legacy.adopt(found.is.id, *effect, found, when)
            }
            (_, Outcome::Booking(..)) => Err("it answers with a booking".into()),
            (_, Outcome::Series(..)) => Err("it answers with a series".into()),
            (_, Outcome::Waitlist(..)) => Err("it answers with an entry of the waitlist".into()),
        }
    }

    /// Whoever booked is new, if they are.
    fn adopt_customer(
        &mut self,
        customer: &ForCustomer,
        id: Uuid,
        (seq, at): (Seq, Timestamp),
    ) -> Result<(), String> {
        let ForCustomer::New(details) = customer else { return Ok(()) };
        let customer = Customer {
            id,
            external_id: None,
            name: details.name.clone(),
            email: details.email.clone(),
            phone: details.phone.clone(),
            notes: details.notes.clone(),
            deleted: false,
            created_at: at,
            changed_at: None,
        };
        let customer = Versioned { version: 1, updated_at: at, is: customer };
        self.customers.adopt(id, Effect::Created, &customer, (seq, at))
    }

    /// A visit is as it was asked for, with people who may and can do it then.
    fn check_booked(&self, book: &Book, is: &Booking, at: Timestamp) -> Result<(), String> {
        let hold = book.hold_seconds.map(|seconds| i64::from(seconds) * 1_000_000);
        let hold_expires_at = hold.map(|micros| Timestamp::from_micros(at.as_micros() + micros));
        let status = if hold.is_some() { BookingStatus::Held } else { BookingStatus::Confirmed };
        if (is.status, is.hold_expires_at, is.forced) != (status, hold_expires_at, book.force) {
            return Err(format!("it is {:?} until {:?}", is.status, is.hold_expires_at));
        }
        if let ForCustomer::Known(customer) = book.customer
            && is.customer != customer
        {
            return Err(format!("it is of {}", is.customer));
        }
        let diary = Diary::new(self, book.starts_at, at, None);
        let tasks = self.tasks(&book.items).ok_or("a service is not there")?;
        check_items(&diary, &tasks, is, book.starts_at, book.force)
    }

    /// Puts a booking. Holds that are over where it claims time are settled before it.
    fn put_booking(
        &mut self,
        effect: Effect,
        found: &Versioned<Booking>,
        (seq, at): (Seq, Timestamp),
    ) -> Result<(), String> {
        let new = &found.is;
        let mut settled = Vec::new();
        for other in self.bookings.all().filter(|other| other.is.id != new.id) {
            if !other.is.status.claims_time() || !overlap(new, &other.is) {
                continue;
            }
            if status_at(&other.is, at).claims_time() {
                return Err(format!("{} and {} are at once", new.id, other.is.id));
            }
            settled.push(other.is.clone());
        }
        if effect != Effect::Unchanged {
            for is in settled {
                let is = Booking { status: BookingStatus::Expired, ..is };
                self.end_offer(&is, (seq, at));
                self.bookings.push(is.id, seq, at, is);
            }
        }
        self.bookings.adopt(new.id, effect, found, (seq, at))
    }
}

/// Where a booking stands: a hold that is over is expired.
fn status_at(booking: &Booking, at: Timestamp) -> BookingStatus {
    let is_over = booking.hold_expires_at.is_some_and(|over| over <= at);
    if booking.status == BookingStatus::Held && is_over { BookingStatus::Expired } else { booking.status }
}

fn target(what: Advance) -> BookingStatus {
    match what {
        Advance::Confirm => BookingStatus::Confirmed,
        Advance::Cancel => BookingStatus::Cancelled,
        Advance::Complete => BookingStatus::Completed,
        Advance::NoShow => BookingStatus::NoShow,
    }
}

fn updated(is_other: bool) -> Effect {
    if is_other { Effect::Updated } else { Effect::Unchanged }
}

fn newer(is_newer: bool) -> Effect {
    if is_newer { Effect::Updated } else { Effect::IgnoredStale }
}
