//! What is taken over from another server: the same view at the end, and every refusal by row.

use maitred_core::{Actor, At, ChangeId, Context, Domain, Ids};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::imported::Imported;
use crate::record::{self, Kind};
use crate::salons::booking::BookedItem;
use crate::salons::fact::{Customer, Employee, Resource, Service, Settings};
use crate::salons::intervals::Span;
use crate::salons::legacy::LegacyBooking;
use crate::salons::plan::{AbsenceState, AbsenceTime, PlanState};
use crate::salons::waitlist::OpenOffer;
use crate::testing::MemoryView;

/// The commands that take over every version of a world, in the order of its log.
fn commands(world: &World<Rules>) -> Vec<(At, Command)> {
    let mut found = Vec::new();
    record::changes(&world.view, TENANT, ChangeId::default(), &mut |change| {
        let version = change.version;
        let newest = record::current(&world.view, change.record).expect("it has a newest version");
        let latest = newest.version == version.version;
        let import = match change.record.kind {
            Kind::SalonSettings => Import::Settings(taken::<Settings>(&version, latest)),
            // The numbers of another server mean nothing here.
            Kind::Employee => {
                let import = taken::<Employee>(&version, latest);
                Import::Employee(Imported { is: Employee { number: 9, ..import.is }, ..import })
            }
            Kind::Resource => {
                let import = taken::<Resource>(&version, latest);
                Import::Resource(Imported { is: Resource { number: 9, ..import.is }, ..import })
            }
            Kind::Service => Import::Service(taken::<Service>(&version, latest)),
            Kind::Customer => Import::Customer(taken::<Customer>(&version, latest)),
            Kind::ShiftPlan => Import::Plan(taken::<PlanState>(&version, latest)),
            Kind::Booking => {
                let mut import = taken::<Booking>(&version, latest);
                import.is.items.iter_mut().for_each(|item| item.employee.number = 9);
                Import::Booking(import)
            }
            Kind::LegacyBooking => Import::LegacyBooking(taken::<LegacyBooking>(&version, latest)),
            Kind::Series => Import::Series(taken::<Series>(&version, latest)),
            Kind::WaitlistEntry => {
                let import = taken::<WaitlistEntry>(&version, latest);
                Import::Waitlist(Imported { is: WaitlistEntry { number: 9, ..import.is }, ..import })
            }
            kind => panic!("{kind:?} is none of this domain's"),
        };
        // Decided long after, but where it was: so that the tables can be held against each other.
        let (seq, ordinal) = (version.change.seq, version.change.ordinal);
        let at = At { tenant: TENANT, seq, ordinal, timestamp: Timestamp::from_millis(1 << 40) };
        found.push((at, Command::Import(Box::new(import))));
        ControlFlow::Continue(())
    });
    found
}

fn taken<T: serde::de::DeserializeOwned>(version: &record::Version<'_>, latest: bool) -> Imported<T> {
    Imported { version: version.version, updated_at: version.at, latest, is: version.decode() }
}

fn decide(view: &MemoryView, command: &Command, at: At) -> Result<(Vec<Fact>, Effect), Rejection> {
    let ids = Ids::new(at.timestamp, 1);
    let cx = Context { timestamp: at.timestamp, tenant: at.tenant, actor: Actor::System, ids };
    let decision = Rules.decide(view, command, &cx)?;
    Ok((decision.facts, decision.outcome.effect()))
}

/// Takes a world over, version by version: the view is the same at the end, to the byte, and until then nothing is due
/// that would not be due in that world.
pub(super) fn check_import(world: &World<Rules>) -> Result<(), TestCaseError> {
    let mut copy = MemoryView::default();
    let end = Timestamp::from_millis(1 << 41);
    let due = timer::due(&world.view, end, 1_000);
    for (at, command) in commands(world) {
        let decided = decide(&copy, &command, at);
        let (facts, effect) = decided.map_err(|why| TestCaseError::fail(format!("{why:?}: {command:?}")))?;
        prop_assert_eq!((facts.len(), effect), (1, Effect::Imported));
        Rules.apply(&mut copy, &facts[0], at);
        for command in timer::due(&copy, end, 1_000) {
            prop_assert!(due.contains(&command), "{:?} is not due where it came from", command);
        }
    }
    prop_assert_eq!(&copy, &world.view);
    for (at, command) in commands(world) {
        let again = decide(&copy, &command, at).map_err(|why| TestCaseError::fail(format!("{why:?}")))?;
        prop_assert_eq!(again, (Vec::new(), Effect::Unchanged));
    }
    Ok(())
}

/// A salon in which each kind of record has changed, and what can go has gone.
pub(super) fn changed() -> Salon {
    let mut salon = Salon::new();
    let mut submit = |command| salon.world.submit(TENANT, &command).expect("accepted").1;
    let settings = SettingsPatch { min_notice_minutes: Some(5), ..SettingsPatch::default() };
    submit(Command::ChangeSettings(Change { id: (), what: settings, if_version: None }));
    let bob = Change { id: salon.bob.id, what: Some(u128::MAX), if_version: None };
    submit(Command::SetCalendarToken(bob));
    let time = AbsenceTime::Instants(at(13, 0), at(14, 0));
    let what = PlanChange::AddAbsence { time, reason: Some("Zahnarzt".into()) };
    submit(Command::ChangePlan(Change { id: salon.bob.id, what, if_version: None }));
    let price = ServicePatch { price: Some(euros(5_000)), ..ServicePatch::default() };
    submit(Command::UpdateService(Change { id: salon.cut, what: price, if_version: None }));
    submit(Command::DeleteService(Change { id: salon.wash, what: (), if_version: None }));
    submit(Command::PutCustomer(PutCustomer {
        external_id: "c1".into(),
        name: "Ida".into(),
        email: Some("ida@example.com".into()),
        phone: None,
        created_at: at(-1, 0),
        changed_at: at(0, 1),
    }));
    submit(Command::DeleteCustomer(Change { id: view::id_of_text("c1"), what: (), if_version: None }));
    for (date, changed_at) in [(1, 1), (2, 2)] {
        submit(Command::PutLegacyBooking(PutLegacyBooking {
            external_id: Some("b1".into()),
            customer_id: "c1".into(),
            title: "Schnitt".into(),
            description: String::new(),
            date: at(date, 0),
            status: LegacyStatus::Confirmed,
            price: Decimal::from_cents(1_999),
            currency: euros(0).currency,
            created_at: at(0, 0),
            changed_at: at(0, changed_at),
        }));
    }
    salon
}

#[test]
fn a_whole_salon_is_taken_over_as_it_is() {
    let mut salon = changed();
    let colour = salon.visit(salon.colour, Some(salon.ann), at(9, 0));
    let moved = salon.book(Book { notes: Some("Allergie".into()), ..colour }).expect("free").is.id;
    let to = Reschedule { booking: moved, starts_at: at(10, 0), items: None, force: false, if_version: None };
    salon.submit(Command::Reschedule(to)).expect("free");
    let held = |salon: &Salon, hour| Book {
        hold_seconds: Some(60),
        holder: Some(7),
        token_hash: Some(u128::MAX),
        ..salon.visit(salon.cut, Some(salon.bob), at(hour, 0))
    };
    let confirmed = salon.book(held(&salon, 9)).expect("free").is.id;
    salon.advance(confirmed, Advance::Confirm).expect("held");
    salon.book(held(&salon, 11)).expect("free");
    salon.wait_until(at(0, 30));
    let settled = salon.book(salon.visit(salon.cut, Some(salon.bob), at(11, 0))).expect("the hold is over");
    salon.advance(settled.is.id, Advance::NoShow).expect("confirmed");
    salon.book(held(&salon, 15)).expect("free, and held at the end");
    // Two facts of one batch: a new customer and their booking.
    let somebody = CustomerDetails { name: "Uwe".into(), email: None, phone: None, notes: None };
    let new = Book { customer: ForCustomer::New(somebody), ..held(&salon, 16) };
    salon.book(new).expect("free, and held at the end");
    salon.wait_until(at(24, 0));
    let bob = Change { id: salon.bob.id, what: (), if_version: None };
    salon.world.submit(TENANT, &Command::DeleteEmployee(bob)).expect("all his bookings are over");
    check_import(&salon.world).expect("it is the same there");
}

/// The first version of a record, as another server would bring the next ones.
fn next<T: serde::de::DeserializeOwned>(found: Versioned<T>) -> Imported<T> {
    Imported { version: found.version + 1, updated_at: at(0, 59), latest: true, is: found.is }
}

fn get<T: view::Kept>(salon: &Salon, id: Uuid) -> Versioned<T> {
    view::any(&salon.world.view, TENANT, id, None).expect("it is there")
}

#[test]
fn every_refusal_of_a_version_that_is_taken_over() {
    const NEW: Uuid = Uuid::from_u128(0x99);
    let mut salon = changed();
    let booking = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free");
    let held = Book { hold_seconds: Some(60), ..salon.visit(salon.cut, Some(salon.bob), at(9, 0)) };
    let held = next(salon.book(held).expect("free"));
    let item = WantedItem { service: salon.cut, employee: Some(salon.ann.id) };
    let weekly = BookSeries {
        customer: ForCustomer::Known(salon.customer),
        starts_at: at(11, 0),
        items: vec![item],
        rule: "FREQ=DAILY;COUNT=2".into(),
        on_clash: OnClash::Refuse,
        force: true,
        notes: None,
    };
    let series = match salon.world.submit(TENANT, &Command::BookSeries(weekly)).expect("free").1 {
        Outcome::Series(_, series, _) => next(series),
        other => panic!("{other:?}"),
    };
    let (services, employee) = (vec![salon.cut], Some(salon.ann.id));
    let (from, to) = (at(9, 0), at(9, 30));
    let waits = EnterWaitlist { customer: salon.customer, services, employee, from, to, token_hash: None };
    let entry = match salon.world.submit(TENANT, &Command::EnterWaitlist(waits)).expect("room").1 {
        Outcome::Waitlist(_, entry) => next(entry),
        other => panic!("{other:?}"),
    };
    let (booking, first) = (next(booking.clone()), Imported { version: 1, ..next(booking) });
    let other = |is: Booking| Imported { is: Booking { id: NEW, ..is }, ..first.clone() };
    let item = |change: fn(&mut BookedItem)| {
        let mut is = first.is.clone();
        change(&mut is.items[0]);
        Import::Booking(other(is))
    };
    let employee = next(get::<Employee>(&salon, salon.ann.id));
    let gone = next(get::<Service>(&salon, salon.wash));
    let customer = next(get::<Customer>(&salon, view::id_of_text("c1")));
    let legacy = next(get::<LegacyBooking>(&salon, view::id_of_text("b1")));
    let plan = next(view::plan(&salon.world.view, TENANT, salon.bob.id, None));
    let settings = next(view::settings(&salon.world.view, TENANT, None));
    let again = |change: fn(Series) -> Series| {
        Import::Series(Imported { is: change(series.is.clone()), ..series.clone() })
    };
    let waits = |change: fn(WaitlistEntry) -> WaitlistEntry| {
        Import::Waitlist(Imported { is: change(entry.is.clone()), ..entry.clone() })
    };
    let day = |day| Day::of(date(1970, 1, day));
    let status = |import: &Imported<Booking>, status| {
        let is = Booking { status, ..import.is.clone() };
        Import::Booking(Imported { is, ..import.clone() })
    };
    let conflict = |code: &'static str| Err((Class::Conflict, code));
    let invalid = |code: &'static str| Err((Class::Unprocessable, code));
    let absent = |code: &'static str| Err((Class::Absent, code));
    let imported = Ok(Effect::Imported);
    type Row = (&'static str, Import, Result<Effect, (Class, &'static str)>);
    let rows: Vec<Row> = vec![
        ("no version", Import::Settings(Imported { version: 0, ..settings }), invalid("invalid-version")),
        (
            "a step",
            Import::Settings(Imported { is: Settings { step_minutes: 1, ..settings.is }, ..settings }),
            invalid("invalid-settings"),
        ),
        ("settings", Import::Settings(settings.clone()), imported),
        (
            "settings that are here otherwise",
            Import::Settings(Imported { version: 1, ..settings }),
            conflict("version-differs"),
        ),
        ("a gap", Import::Employee(Imported { version: 9, ..employee.clone() }), conflict("version-missing")),
        (
            "skills out of order",
            Import::Employee(Imported {
                is: Employee { skills: vec![salon.cut; 2], ..employee.is.clone() },
                ..employee.clone()
            }),
            invalid("invalid-skills"),
        ),
        ("an employee", Import::Employee(employee.clone()), imported),
        (
            "an employee with bookings ahead",
            Import::Employee(Imported {
                is: Employee { deleted: true, ..employee.is.clone() },
                ..employee.clone()
            }),
            conflict("employee-in-use"),
        ),
        (
            "an employee who was never there",
            Import::Employee(Imported {
                version: 1,
                is: Employee { id: NEW, deleted: true, ..employee.is.clone() },
                ..employee
            }),
            absent("employee-not-found"),
        ),
        ("what is gone", Import::Service(gone), absent("service-not-found")),
        (
            "another text",
            Import::Customer(Imported {
                is: Customer { external_id: Some("c2".into()), ..customer.is.clone() },
                ..customer.clone()
            }),
            invalid("invalid-external-id"),
        ),
        ("who is gone", Import::Customer(customer), absent("customer-not-found")),
        (
            "another text of a booking",
            Import::LegacyBooking(Imported {
                is: LegacyBooking { external_id: Some("b2".into()), ..legacy.is.clone() },
                ..legacy.clone()
            }),
            invalid("invalid-external-id"),
        ),
        ("a legacy booking", Import::LegacyBooking(legacy), imported),
        (
            "nobody's plan",
            Import::Plan(Imported { is: PlanState { employee: NEW, ..plan.is.clone() }, ..plan.clone() }),
            absent("employee-not-found"),
        ),
        (
            "a day twice",
            Import::Plan(Imported {
                is: PlanState { exceptions: vec![(day(2), vec![]), (day(2), vec![])], ..plan.is.clone() },
                ..plan.clone()
            }),
            invalid("invalid-shifts"),
        ),
        (
            "an absence of no time",
            Import::Plan(Imported {
                is: PlanState {
                    absences: vec![AbsenceState {
                        id: NEW,
                        time: AbsenceTime::Days(day(2), day(2)),
                        reason: None,
                    }],
                    ..plan.is.clone()
                },
                ..plan.clone()
            }),
            invalid("invalid-time-range"),
        ),
        ("a plan", Import::Plan(plan), imported),
        (
            "nothing to be done",
            Import::Booking(other(Booking { items: vec![], ..first.is.clone() })),
            invalid("invalid-items"),
        ),
        ("no time to do it in", item(|item| item.time.duration_minutes = 0), invalid("invalid-duration")),
        ("an end elsewhere", item(|item| item.time.duration_minutes = 31), invalid("invalid-items")),
        (
            "of nobody",
            Import::Booking(other(Booking { customer: NEW, ..first.is.clone() })),
            absent("customer-not-found"),
        ),
        ("of nothing", item(|item| item.service = NEW), absent("service-not-found")),
        ("by nobody", item(|item| item.employee.id = NEW), absent("employee-not-found")),
        (
            "nowhere",
            item(|item| item.resource = Some(Place { id: NEW, number: 0 })),
            absent("resource-not-found"),
        ),
        ("time that is taken", Import::Booking(other(first.is.clone())), conflict("slot-unavailable")),
        (
            "completed from the start",
            status(&other(first.is.clone()), BookingStatus::Completed),
            conflict("invalid-transition"),
        ),
        (
            "held for ever",
            status(&other(first.is.clone()), BookingStatus::Held),
            conflict("invalid-transition"),
        ),
        ("not confirmed in time", status(&booking, BookingStatus::Expired), conflict("invalid-transition")),
        ("completed", status(&booking, BookingStatus::Completed), imported),
        (
            "another's",
            Import::Booking(Imported {
                is: Booking { customer: view::id_of_text("c1"), ..booking.is.clone() },
                ..booking
            }),
            conflict("version-differs"),
        ),
        (
            "here already",
            Import::Booking(Imported { updated_at: at(0, 58), ..first.clone() }),
            conflict("version-differs"),
        ),
        ("confirmed", status(&held, BookingStatus::Confirmed), imported),
        ("never held", status(&held, BookingStatus::Completed), conflict("invalid-transition")),
        (
            "offered to nobody",
            Import::Booking(other(Booking { offered_to: Some(NEW), ..first.is.clone() })),
            absent("waitlist-entry-not-found"),
        ),
        ("a series of nothing", again(|is| Series { bookings: vec![], ..is }), invalid("invalid-items")),
        ("a series by no rule", again(|is| Series { rule: "FREQ".into(), ..is }), invalid("invalid-rrule")),
        (
            "a series of a visit that is not there",
            again(|is| Series { bookings: vec![NEW], ..is }),
            absent("booking-not-found"),
        ),
        (
            "a series of another visit",
            Import::Series(Imported {
                is: Series { bookings: vec![first.is.id], ..series.is.clone() },
                ..series.clone()
            }),
            absent("booking-not-found"),
        ),
        ("a series that is as it was", again(|is| is), conflict("invalid-transition")),
        (
            "a series of another rule",
            again(|is| Series { rule: "FREQ=DAILY;COUNT=3".into(), cancelled_from: Some(at(9, 0)), ..is }),
            conflict("version-differs"),
        ),
        ("a series", again(|is| Series { cancelled_from: Some(at(9, 0)), ..is }), imported),
        ("nobody waits", waits(|is| WaitlistEntry { customer: NEW, ..is }), absent("customer-not-found")),
        ("for nothing", waits(|is| WaitlistEntry { services: vec![], ..is }), invalid("invalid-items")),
        ("for no time", waits(|is| WaitlistEntry { to: is.from, ..is }), invalid("invalid-time-range")),
        ("still waiting", waits(|is| is), conflict("invalid-transition")),
        (
            "an offer of nothing",
            waits(|is| WaitlistEntry { status: WaitlistStatus::Offered, ..is }),
            invalid("invalid-items"),
        ),
        (
            "an offer of what is not there",
            waits(|is| {
                let offer = Some(OpenOffer { booking: NEW, expires_at: at(9, 0) });
                WaitlistEntry { status: WaitlistStatus::Offered, offer, ..is }
            }),
            absent("booking-not-found"),
        ),
        (
            "waiting for another time",
            waits(|is| WaitlistEntry { status: WaitlistStatus::Cancelled, from: at(1, 0), ..is }),
            conflict("version-differs"),
        ),
        ("waiting no more", waits(|is| WaitlistEntry { status: WaitlistStatus::Cancelled, ..is }), imported),
    ];
    for (name, import, expected) in rows {
        let mut world = salon.world.clone();
        let before = world.view.hash();
        let said = world.submit(TENANT, &Command::Import(Box::new(import)));
        let said = said.map(|(_, outcome)| outcome.effect());
        let said = said.map_err(|rejection| (rejection.class, rejection.code.into_owned()));
        assert_eq!(said, expected.map_err(|(class, code)| (class, code.to_owned())), "{name}");
        assert_eq!(said.is_err(), world.view.hash() == before, "{name}: a refusal changes nothing");
    }
}

#[test]
fn a_running_hold_is_taken_over_and_ends_at_its_instant() {
    let mut salon = Salon::new();
    let held = Book { hold_seconds: Some(900), ..salon.visit(salon.cut, Some(salon.ann), at(9, 0)) };
    let held = salon.book(held).expect("free").is;
    let over = held.hold_expires_at.expect("it is held");
    let mut copy = Salon { world: World::new(Rules), ..salon.clone() };
    for (_, command) in commands(&salon.world) {
        copy.world.submit(TENANT, &command).expect("it is the next one");
    }
    assert_eq!(timer::next_due(&copy.world.view), Some(over));
    copy.refused(copy.visit(copy.cut, Some(copy.ann), at(9, 0)), "no_employee");
    copy.wait_until(over);
    let expire = Command::ExpireBooking { booking: held.id };
    let (effect, expired) = copy.submit(expire).expect("due");
    assert_eq!((effect, expired.is.status, expired.version), (Effect::Updated, BookingStatus::Expired, 2));
    copy.book(copy.visit(copy.cut, Some(copy.ann), at(9, 0))).expect("free again");
}

/// An offer that ends between the import of its booking and its own is one that was not taken.
#[test]
fn an_offer_that_ends_while_it_is_taken_over_was_not_taken() {
    let mut source = Salon::new();
    let (services, employee) = (vec![source.cut], Some(source.ann.id));
    let (from, to) = (at(9, 0), at(12, 0));
    let waits = EnterWaitlist { customer: source.customer, services, employee, from, to, token_hash: None };
    let entered = source.world.submit(TENANT, &Command::EnterWaitlist(waits)).expect("room").1;
    let Outcome::Waitlist(_, entered) = entered else { panic!("{entered:?}") };
    let offer = OfferTime { entry: entered.is.id, starts: Span::new(from, to) };
    source.world.submit(TENANT, &Command::OfferTime(offer)).expect("free");
    let mut copy = Salon { world: World::new(Rules), ..source.clone() };
    copy.wait_until(at(1, 0));
    for (_, command) in commands(&source.world) {
        copy.world.submit(TENANT, &command).expect("it is the next one");
        let due = timer::due(&copy.world.view, copy.world.timestamp, 9);
        for (_, command) in due {
            let crate::Command::Salons(command) = command else { panic!("{command:?}") };
            copy.world.submit(TENANT, &command).expect("a timer is harmless");
        }
    }
    let entry: Versioned<WaitlistEntry> = get(&copy, entered.is.id);
    assert_eq!((entry.version, entry.is.status), (3, WaitlistStatus::Waiting));
    assert_eq!((entry.is.offer, entry.is.passed.len()), (None, 1));
    for (_, command) in commands(&source.world) {
        let (facts, _) = copy.world.submit(TENANT, &command).expect("it is here");
        assert_eq!(facts, [], "{command:?}");
    }
}

#[test]
fn another_salon_gives_its_own_numbers() {
    let mut source = Salon::new();
    let booking = source.book(source.visit(source.cut, Some(source.bob), at(9, 0))).expect("free").is;
    let mut other = World::new(Rules);
    other.timestamp = at(1, 0); // so that its ids are others
    let details = EmployeeDetails { name: "Zoe".into(), skills: vec![], colour: None, active: true };
    other.submit(TENANT, &Command::CreateEmployee(details)).expect("the first number");
    for (_, command) in commands(&source.world) {
        other.submit(TENANT, &command).expect("it is new there");
    }
    let bob: Employee = view::get(&other.view, TENANT, source.bob.id, None).expect("he is there").is;
    let taken: Booking = view::get(&other.view, TENANT, booking.id, None).expect("it is there").is;
    assert_eq!(bob.number, source.bob.number + 1);
    assert_eq!(taken.items[0].employee, Place { id: bob.id, number: bob.number });
}
