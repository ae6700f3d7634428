//! Salons: every answer by row, in the precedence of the refusals; that what is offered can be booked and nothing else;
//! and random histories against a naive model ([`history`]). Series are in `series`, who waits in `waitlist`.

mod history;
mod moves;
mod records;
mod series;
mod transfer;
mod waitlist;

use std::ops::ControlFlow;

use jiff::civil::date;
use maitred_core::{Class, Rejection, TenantNumber, Timestamp};
use uuid::Uuid;

use super::booking::{BookingStatus, Place};
use super::command::*;
use super::fact::ServiceTime;
use super::gather::Asked;
use super::offers::{self, Days};
use super::plan::{Day, DayTime, Pattern};
use super::*;
use crate::flash_sales::Versioned;
use crate::money::{Currency, Money};
use crate::testing::World;
use crate::timer;

pub(super) const TENANT: TenantNumber = TenantNumber(3);

/// Batches come a second apart from the epoch on, in UTC: everything here happens on 1 and 2 January 1970.
pub(super) fn at(hour: i64, minute: i64) -> Timestamp {
    Timestamp::from_millis((hour * 60 + minute) * 60_000)
}

pub(super) fn euros(amount: i64) -> Money {
    Money { amount, currency: Currency::parse("EUR").expect("a code") }
}

/// A salon with two employees who work from 9 to 17, and two chairs.
#[derive(Clone)]
pub(super) struct Salon {
    pub(super) world: World<Rules>,
    /// 30 minutes.
    pub(super) cut: Uuid,
    /// 90 minutes: 30 of work, 45 of waiting, 15 of work; 10 minutes are needed after it.
    pub(super) colour: Uuid,
    /// 60 minutes on a chair.
    pub(super) wash: Uuid,
    /// Does everything.
    pub(super) ann: Place,
    /// Cuts.
    pub(super) bob: Place,
    pub(super) customer: Uuid,
}

impl Salon {
    pub(super) fn new() -> Self {
        let mut world = World::new(Rules);
        let mut service = |duration_minutes,
                           processing,
                           buffer_after_minutes,
                           needs_resource: Option<&str>| {
            let time =
                ServiceTime { duration_minutes, buffer_before_minutes: 0, buffer_after_minutes, processing };
            let details = ServiceDetails {
                name: format!("Service of {duration_minutes}"),
                time,
                price: euros(4_500),
                needs_resource: needs_resource.map(str::to_owned),
                active: true,
            };
            match world.submit(TENANT, &Command::CreateService(details)).expect("a service").1 {
                Outcome::Service(Effect::Created, found) => found.is.id,
                other => panic!("{other:?}"),
            }
        };
        let cut = service(30, None, 0, None);
        let colour = service(90, Some((30, 45)), 10, None);
        let wash = service(60, None, 0, Some("chair"));
        for name in ["one", "two"] {
            let details = ResourceDetails { name: name.into(), kind: "chair".into(), active: true };
            world.submit(TENANT, &Command::CreateResource(details)).expect("a chair");
        }
        let mut employee = |name: &str, skills: &[Uuid]| {
            let details =
                EmployeeDetails { name: name.into(), skills: skills.to_vec(), colour: None, active: true };
            match world.submit(TENANT, &Command::CreateEmployee(details)).expect("an employee").1 {
                Outcome::Employee(Effect::Created, found) => {
                    Place { id: found.is.id, number: found.is.number }
                }
                other => panic!("{other:?}"),
            }
        };
        let ann = employee("Ann", &[cut, colour, wash]);
        let bob = employee("Bob", &[cut]);
        let span = vec![DayTime { from_minute: 9 * 60, to_minute: 17 * 60 }];
        let pattern = Pattern {
            valid_from: Day::of(date(1970, 1, 1)),
            valid_to: None,
            every_weeks: 1,
            days: std::array::from_fn(|_| span.clone()),
        };
        for place in [ann, bob] {
            let what = PlanChange::SetPatterns(vec![pattern.clone()]);
            let change = Change { id: place.id, what, if_version: None };
            world.submit(TENANT, &Command::ChangePlan(change)).expect("a plan");
        }
        let details = CustomerDetails { name: "Eve".into(), email: None, phone: None, notes: None };
        let created = world.submit(TENANT, &Command::CreateCustomer(details)).expect("a customer");
        let Outcome::Customer(Effect::Created, customer) = created.1 else { panic!("{created:?}") };
        Salon { world, cut, colour, wash, ann, bob, customer: customer.is.id }
    }

    pub(super) fn visit(&self, service: Uuid, employee: Option<Place>, starts_at: Timestamp) -> Book {
        Book {
            customer: ForCustomer::Known(self.customer),
            starts_at,
            items: vec![WantedItem { service, employee: employee.map(|place| place.id) }],
            hold_seconds: None,
            holder: None,
            token_hash: None,
            force: false,
            notes: None,
        }
    }

    pub(super) fn book(&mut self, book: Book) -> Result<Versioned<Booking>, Rejection> {
        self.submit(Command::Book(book)).map(|(_, booking)| booking)
    }

    pub(super) fn submit(&mut self, command: Command) -> Result<(Effect, Versioned<Booking>), Rejection> {
        match self.world.submit(TENANT, &command)?.1 {
            Outcome::Booking(effect, booking) => Ok((effect, booking)),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn advance(&mut self, id: Uuid, what: Advance) -> Result<(Effect, BookingStatus), Rejection> {
        let change = Change { id, what, if_version: None };
        self.submit(Command::Advance(change)).map(|(effect, booking)| (effect, booking.is.status))
    }

    pub(super) fn refused(&mut self, book: Book, reason: &str) {
        let before = self.world.view.hash();
        let rejection = self.book(book).expect_err("the time is not to be had");
        assert_eq!((rejection.class, &*rejection.code), (Class::Conflict, "slot-unavailable"));
        assert_eq!(rejection.members[0].json, format!("\"{reason}\""));
        assert_eq!(self.world.view.hash(), before, "a refusal changes nothing");
    }

    /// The second at which the next batch is decided.
    pub(super) fn next_second(&self) -> Timestamp {
        Timestamp::from_micros(self.world.timestamp.as_micros() + 1_000_000)
    }

    /// Lets time pass until a batch is decided at that instant.
    pub(super) fn wait_until(&mut self, instant: Timestamp) {
        self.world.timestamp = Timestamp::from_micros(instant.as_micros() - 1_000_000);
    }
}

#[test]
fn a_visit_is_booked_once_and_others_find_its_time_taken() {
    let mut salon = Salon::new();
    let booked = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free");
    assert_eq!(
        (booked.is.status, booked.is.starts_at, booked.is.ends_at),
        (BookingStatus::Confirmed, at(9, 0), at(9, 30))
    );
    assert_eq!((booked.version, booked.is.items[0].employee), (1, salon.ann));
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 0)), "no_employee");
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 15)), "no_employee");
    let other = salon.book(salon.visit(salon.cut, None, at(9, 0))).expect("Bob is free");
    assert_eq!(other.is.items[0].employee, salon.bob);
    salon.refused(salon.visit(salon.cut, None, at(9, 0)), "no_employee");
    let next = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 30)));
    next.expect("ends that touch are no overlap");
}

#[test]
fn what_is_not_offered_is_refused_with_its_reason() {
    let mut salon = Salon::new();
    let cut = salon.cut;
    salon.refused(salon.visit(cut, None, at(8, 45)), "no_employee");
    salon.refused(salon.visit(cut, None, at(16, 45)), "no_employee");
    salon.refused(salon.visit(cut, None, at(9, 5)), "not_aligned");
    salon.refused(salon.visit(cut, None, at(0, 0)), "too_soon");
    salon.refused(salon.visit(cut, None, at(367 * 24 + 9, 0)), "too_far");
    salon.refused(salon.visit(salon.colour, Some(salon.bob), at(9, 0)), "no_employee");
    let patch = ServicePatch { active: Some(false), ..ServicePatch::default() };
    let change = Change { id: cut, what: patch, if_version: None };
    salon.world.submit(TENANT, &Command::UpdateService(change)).expect("a service");
    salon.refused(salon.visit(cut, None, at(9, 0)), "service_inactive");
}

#[test]
fn refusals_come_in_their_order() {
    let mut salon = Salon::new();
    let unknown = Uuid::from_u128(7);
    let mut refuse = |book: Book, class, code| {
        let rejection = salon.book(book).expect_err("refused");
        assert_eq!((rejection.class, &*rejection.code), (class, code));
    };
    let base = Salon::new().visit(unknown, Some(Place { id: unknown, number: 0 }), at(1, 1));
    let nothing = Book {
        items: Vec::new(),
        customer: ForCustomer::Known(unknown),
        hold_seconds: Some(901),
        ..base.clone()
    };
    refuse(nothing.clone(), Class::Unprocessable, "invalid-items");
    refuse(Book { items: base.items.clone(), ..nothing }, Class::Unprocessable, "invalid-hold-seconds");
    refuse(
        Book { customer: ForCustomer::Known(unknown), ..base.clone() },
        Class::Absent,
        "customer-not-found",
    );
    let (known, cut) = (salon.customer, salon.cut);
    let base = Book { customer: ForCustomer::Known(known), ..base };
    let mut refuse = |book: Book, class, code| {
        let rejection = salon.book(book).expect_err("refused");
        assert_eq!((rejection.class, &*rejection.code), (class, code));
    };
    refuse(base.clone(), Class::Absent, "service-not-found");
    let items = vec![WantedItem { service: cut, employee: Some(unknown) }];
    refuse(Book { items: items.clone(), ..base.clone() }, Class::Absent, "employee-not-found");
    for minute in [0, 30, 60] {
        let held = Book { hold_seconds: Some(60), ..salon.visit(cut, None, at(9, minute)) };
        salon.book(held).expect("a hold");
    }
    let fourth = Book { hold_seconds: Some(60), ..salon.visit(cut, None, at(1, 1)) };
    let rejection = salon.book(fourth).expect_err("the fourth hold");
    assert_eq!((rejection.class, &*rejection.code), (Class::TooMany, "too-many-holds"));
    salon.book(salon.visit(cut, None, at(12, 0))).expect("what is not held is not counted");
}

#[test]
fn an_address_holds_three_whoever_the_customers_are() {
    let mut salon = Salon::new();
    let held = |salon: &Salon, name: &str, hour| Book {
        customer: ForCustomer::New(CustomerDetails {
            name: name.into(),
            email: None,
            phone: None,
            notes: None,
        }),
        hold_seconds: Some(600),
        holder: Some(99),
        ..salon.visit(salon.cut, Some(salon.ann), at(hour, 0))
    };
    for (name, hour) in [("a", 9), ("b", 10), ("c", 11)] {
        salon.book(held(&salon, name, hour)).expect("a hold");
    }
    let rejection = salon.book(held(&salon, "d", 12)).expect_err("a fourth");
    assert_eq!(rejection.code, "too-many-holds");
    salon.wait_until(at(0, 15));
    salon.book(held(&salon, "d", 12)).expect("the others are over");
}

#[test]
fn a_processing_gap_is_sold_again_and_its_ends_are_not() {
    let mut salon = Salon::new();
    let colour = salon.visit(salon.colour, Some(salon.ann), at(9, 0));
    salon.book(colour).expect("free");
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 15)), "no_employee");
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 30))).expect("within the gap");
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(10, 0)), "no_employee");
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(10, 30)), "no_employee");
    let after = salon.visit(salon.cut, Some(salon.ann), at(10, 45));
    salon.book(after).expect("behind the buffer of ten minutes");
}

#[test]
fn a_resource_is_given_once() {
    let mut salon = Salon::new();
    let patch = EmployeePatch { skills: Some(vec![salon.cut, salon.wash]), ..EmployeePatch::default() };
    let change = Change { id: salon.bob.id, what: patch, if_version: None };
    salon.world.submit(TENANT, &Command::UpdateEmployee(change)).expect("Bob washes too");
    let chairs: Vec<Resource> = view::all(&salon.world.view, TENANT);
    let change = Change { id: chairs[1].id, what: (), if_version: None };
    salon.world.submit(TENANT, &Command::DeleteResource(change)).expect("one chair is left");
    let first = salon.book(salon.visit(salon.wash, Some(salon.ann), at(9, 0))).expect("free");
    assert_eq!(first.is.items[0].resource.map(|place| place.id), Some(chairs[0].id));
    salon.refused(salon.visit(salon.wash, Some(salon.bob), at(9, 30)), "no_resource");
    let change = Change { id: chairs[0].id, what: (), if_version: None };
    let rejection = salon.world.submit(TENANT, &Command::DeleteResource(change)).expect_err("it is booked");
    assert_eq!(rejection.code, "resource-in-use");
}

#[test]
fn services_in_a_row_follow_each_other_with_whoever_can() {
    let mut salon = Salon::new();
    let item =
        |service, employee: Option<Place>| WantedItem { service, employee: employee.map(|place| place.id) };
    let items = vec![item(salon.cut, Some(salon.bob)), item(salon.colour, None)];
    let book = Book { items, ..salon.visit(salon.cut, None, at(9, 0)) };
    let booked = salon.book(book).expect("free").is;
    assert_eq!((booked.starts_at, booked.ends_at), (at(9, 0), at(11, 0)));
    let said: Vec<_> = booked.items.iter().map(|item| (item.employee, item.starts_at)).collect();
    assert_eq!(said, [(salon.bob, at(9, 0)), (salon.ann, at(9, 30))]);
}

#[test]
fn a_hold_is_over_at_its_instant_for_everybody() {
    let mut salon = Salon::new();
    let held = Book { hold_seconds: Some(60), ..salon.visit(salon.cut, Some(salon.ann), at(9, 0)) };
    let held = salon.book(held).expect("free");
    let over = held.is.hold_expires_at.expect("it is held");
    assert_eq!(held.is.status, BookingStatus::Held);
    assert_eq!(timer::next_due(&salon.world.view), Some(over));
    salon.wait_until(Timestamp::from_micros(over.as_micros() - 1));
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 0)), "no_employee");
    salon.wait_until(over);
    let mut late = salon.clone();
    let (facts, _) = salon
        .world
        .submit(TENANT, &Command::Book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))))
        .expect("it is free again");
    assert!(matches!(&facts[..], [Fact::BookingExpired(_), Fact::BookingCreated(_)]), "{facts:?}");
    assert_eq!(timer::next_due(&salon.world.view), None);
    let rejection = late.advance(held.is.id, Advance::Confirm).expect_err("too late");
    assert_eq!(rejection.code, "hold-expired");
    let expire = Command::ExpireBooking { booking: held.is.id };
    assert_eq!(late.submit(expire.clone()).expect("due").1.is.status, BookingStatus::Expired);
    assert_eq!(late.submit(expire).expect("harmless").0, Effect::Unchanged);
    assert_eq!(timer::next_due(&late.world.view), None);
}

#[test]
fn a_hold_that_is_confirmed_stands() {
    let mut salon = Salon::new();
    let held = Book { hold_seconds: Some(60), ..salon.visit(salon.cut, Some(salon.ann), at(9, 0)) };
    let id = salon.book(held).expect("free").is.id;
    assert_eq!(
        salon.advance(id, Advance::Confirm).expect("held"),
        (Effect::Updated, BookingStatus::Confirmed)
    );
    assert_eq!(timer::next_due(&salon.world.view), None);
    salon.wait_until(at(1, 0));
    let expire = Command::ExpireBooking { booking: id };
    assert_eq!(salon.submit(expire).expect("nothing to do").0, Effect::Unchanged);
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 0)), "no_employee");
}

#[test]
fn a_status_leads_where_it_leads() {
    use Advance::{Cancel, Complete, Confirm, NoShow};
    let steps = [Confirm, Cancel, Complete, NoShow];
    let rows: [(&[Advance], bool, [&str; 4]); 6] = [
        (&[], true, ["confirmed", "cancelled", "", ""]),
        (&[Confirm], true, ["same", "cancelled", "completed", "no_show"]),
        (&[], false, ["same", "cancelled", "completed", "no_show"]),
        (&[Cancel], false, ["", "same", "", ""]),
        (&[Complete], false, ["", "", "same", ""]),
        (&[NoShow], false, ["", "", "", "same"]),
    ];
    for (way, held, ends) in rows {
        let mut salon = Salon::new();
        let book =
            Book { hold_seconds: held.then_some(900), ..salon.visit(salon.cut, Some(salon.ann), at(9, 0)) };
        let id = salon.book(book).expect("free").is.id;
        for step in way {
            salon.advance(id, *step).expect("a way that leads there");
        }
        for (step, end) in steps.into_iter().zip(ends) {
            let said = match salon.clone().advance(id, step) {
                Ok((Effect::Unchanged, _)) => "same",
                Ok((_, status)) => status.as_str(),
                Err(rejection) => {
                    assert_eq!(rejection.code, "invalid-transition");
                    ""
                }
            };
            assert_eq!(said, end, "{way:?} and then {step:?}");
        }
        // Whoever was cancelled, or did not come, leaves the time free.
        let is_free = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).is_ok();
        assert_eq!(is_free, way.iter().any(|step| matches!(step, Cancel | NoShow)), "{way:?}");
    }
}

#[test]
fn force_passes_over_every_rule_but_that_time_is_given_once() {
    let mut salon = Salon::new();
    let forced = |salon: &Salon, service, employee, hour, minute| Book {
        force: true,
        ..salon.visit(service, employee, at(hour, minute))
    };
    let night = salon.book(forced(&salon, salon.cut, Some(salon.ann), 3, 7)).expect("at night, off the step");
    assert!(night.is.forced);
    let past = salon.book(forced(&salon, salon.cut, Some(salon.ann), -5, 0)).expect("noted afterwards");
    assert_eq!(past.is.status, BookingStatus::Confirmed);
    let unskilled = salon.book(forced(&salon, salon.colour, Some(salon.bob), 9, 0)).expect("Bob tries");
    assert_eq!(unskilled.is.items[0].employee, salon.bob);
    salon.refused(forced(&salon, salon.cut, Some(salon.ann), 3, 30), "no_employee");
    salon.refused(forced(&salon, salon.cut, Some(salon.bob), 9, 15), "no_employee");
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(3, 0)), "no_employee");
    let usual = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free");
    assert!(!usual.is.forced);
}

/// Every start and first employee that is offered on 1 January.
fn offered(salon: &Salon, items: &[WantedItem]) -> Vec<(Timestamp, Uuid)> {
    let view = &salon.world.view;
    let asked = Asked { view, tenant: TENANT, now: salon.next_second(), except: None };
    let wanted = offers::wanted(view, TENANT, items).expect("services that can be booked");
    let days = Days { from: date(1970, 1, 1), to: date(1970, 1, 2), step_minutes: None, each_employee: true };
    let mut found = Vec::new();
    offers::offers(&asked, &wanted, &days, |offer| {
        found.push((offer.span.starts_at, Uuid::from_u128(offer.items[0].employee)));
        ControlFlow::Continue(())
    });
    found
}

#[test]
fn what_is_offered_can_be_booked_and_nothing_else() {
    let mut salon = Salon::new();
    let patch = SettingsPatch { step_minutes: Some(20), ..SettingsPatch::default() };
    let change = Change { id: (), what: patch, if_version: None };
    salon.world.submit(TENANT, &Command::ChangeSettings(change)).expect("a step");
    for (service, employee, hour, minute, hold_seconds) in [
        (salon.colour, Some(salon.ann), 10, 0, None),
        (salon.cut, None, 13, 20, Some(1)),
        (salon.cut, Some(salon.bob), 11, 40, Some(900)),
        (salon.wash, None, 15, 0, None),
    ] {
        let book = Book { hold_seconds, ..salon.visit(service, employee, at(hour, minute)) };
        salon.book(book).expect("free");
    }
    let (mut booked, mut refused) = (0, 0);
    let chain = [salon.cut, salon.colour].map(|service| WantedItem { service, employee: None });
    let one = |service| vec![WantedItem { service, employee: None }];
    for items in [one(salon.cut), one(salon.colour), one(salon.wash), chain.to_vec()] {
        let offered = offered(&salon, &items);
        for minute in (0..24 * 60).step_by(5) {
            for employee in [salon.ann, salon.bob] {
                let mut items = items.clone();
                items[0].employee = Some(employee.id);
                let book = Book { items, ..salon.visit(salon.cut, None, at(0, minute)) };
                let is_booked = salon.clone().book(book).is_ok();
                assert_eq!(
                    is_booked,
                    offered.contains(&(at(0, minute), employee.id)),
                    "{minute} {employee:?}"
                );
                if is_booked { booked += 1 } else { refused += 1 }
            }
        }
    }
    assert!(booked > 40 && refused > 1_000, "{booked} booked, {refused} refused");
}

#[test]
fn alternatives_are_the_nearest_that_can_be_booked() {
    let mut salon = Salon::new();
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(12, 0))).expect("free");
    let items = [WantedItem { service: salon.cut, employee: Some(salon.ann.id) }];
    let view = &salon.world.view;
    let wanted = offers::wanted(view, TENANT, &items).expect("services that can be booked");
    let asked = Asked { view, tenant: TENANT, now: salon.next_second(), except: None };
    let nearest = offers::alternatives(&asked, &wanted, at(12, 0));
    let starts: Vec<_> = nearest.iter().map(|offer| offer.span.starts_at).collect();
    assert_eq!(starts, [at(11, 0), at(11, 15), at(11, 30), at(12, 30), at(12, 45)]);
    for starts_at in starts {
        salon.clone().book(salon.visit(salon.cut, Some(salon.ann), starts_at)).expect("an alternative");
    }
}
