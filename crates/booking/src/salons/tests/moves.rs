//! Visits that are moved: in one step, and with what was agreed, whatever has become of services and skills since.

use super::*;
use crate::salons::booking::BookedItem;
use crate::salons::rules::wanted_of_moved;

#[test]
fn a_booking_moves_in_one_step_or_not_at_all() {
    let mut salon = Salon::new();
    let id = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free").is.id;
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(10, 0))).expect("free");
    let to = |hour, minute| Reschedule {
        booking: id,
        starts_at: at(hour, minute),
        items: None,
        force: false,
        if_version: None,
    };
    let before = salon.world.view.hash();
    let rejection = salon.submit(Command::Reschedule(to(9, 45))).expect_err("taken");
    assert_eq!(rejection.code, "slot-unavailable");
    assert_eq!(salon.world.view.hash(), before);
    let (effect, moved) =
        salon.submit(Command::Reschedule(to(9, 15))).expect("its own time is not in its way");
    assert_eq!((effect, moved.version, moved.is.starts_at), (Effect::Updated, 2, at(9, 15)));
    assert_eq!(moved.is.items[0].employee, salon.ann, "the employee stays");
    assert_eq!(salon.submit(Command::Reschedule(to(9, 15))).expect("as it is").0, Effect::Unchanged);
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 0)), "no_employee");
    let stale = Reschedule { if_version: Some(1), ..to(11, 0) };
    let rejection = salon.submit(Command::Reschedule(stale)).expect_err("it is at version 2");
    assert_eq!((rejection.class, &*rejection.code), (Class::Precondition, "version-mismatch"));
    salon.advance(id, Advance::Cancel).expect("cancelled");
    let rejection = salon.submit(Command::Reschedule(to(11, 0))).expect_err("it is cancelled");
    assert_eq!(rejection.code, "invalid-transition");
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free again");
}

/// A visit of Ann's at nine: a cut, then a wash on a chair.
fn cut_and_wash(salon: &mut Salon) -> Booking {
    let item = |service| WantedItem { service, employee: Some(salon.ann.id) };
    let items = vec![item(salon.cut), item(salon.wash)];
    let book = Book { items, ..salon.visit(salon.cut, None, at(9, 0)) };
    salon.book(book).expect("free").is
}

fn to(booking: &Booking, hour: i64, items: Option<Vec<WantedItem>>) -> Reschedule {
    Reschedule { booking: booking.id, starts_at: at(hour, 0), items, force: false, if_version: None }
}

fn moved(salon: &mut Salon, command: Reschedule) -> Result<Booking, Rejection> {
    salon.submit(Command::Reschedule(command)).map(|(_, found)| found.is)
}

/// What a visit is made of, but for when and where.
fn agreed(booking: &Booking) -> Vec<(Uuid, String, ServiceTime, Money)> {
    booking.items.iter().map(|item| (item.service, item.name.clone(), item.time, item.price)).collect()
}

fn change_record(salon: &mut Salon, command: Command) {
    salon.world.submit(TENANT, &command).expect("the record is there");
}

fn delete_service(salon: &mut Salon, service: Uuid) {
    change_record(salon, Command::DeleteService(Change { id: service, what: (), if_version: None }));
}

fn skills(salon: &mut Salon, employee: Place, skills: Vec<Uuid>) {
    let patch = EmployeePatch { skills: Some(skills), ..EmployeePatch::default() };
    let change = Change { id: employee.id, what: patch, if_version: None };
    change_record(salon, Command::UpdateEmployee(change));
}

#[test]
fn a_visit_is_moved_as_it_was_booked_whatever_became_of_its_services() {
    let mut salon = Salon::new();
    let booked = cut_and_wash(&mut salon);
    let time = TimePatch { duration_minutes: Some(120), ..TimePatch::default() };
    let patch = ServicePatch {
        name: Some("Another".into()),
        time,
        price: Some(euros(9_900)),
        needs_resource: Some(Some("chair".into())),
        active: Some(false),
    };
    let change = Change { id: salon.cut, what: patch, if_version: None };
    change_record(&mut salon, Command::UpdateService(change));
    let wash = salon.wash;
    delete_service(&mut salon, wash);
    let other = salon.visit(salon.cut, None, at(12, 0));
    salon.refused(other, "service_inactive");
    let first = moved(&mut salon, to(&booked, 11, None)).expect("free");
    assert_eq!((agreed(&first), first.ends_at), (agreed(&booked), at(12, 30)));
    assert_eq!(first.items[0].resource, None, "the cut was booked without a chair");
    let places = |booking: &Booking| booking.items[1].resource.is_some();
    assert!(places(&booked) && places(&first), "the wash has a chair");
    // Whoever sends back what they have read moves it as well.
    let item = |item: &BookedItem| WantedItem { service: item.service, employee: Some(item.employee.id) };
    let read = first.items.iter().map(item).collect();
    let second = moved(&mut salon, to(&booked, 15, Some(read))).expect("free");
    assert_eq!((agreed(&second), second.starts_at), (agreed(&booked), at(15, 0)));
    assert_eq!(salon.world.replay().hash(), salon.world.view.hash());
}

#[test]
fn only_what_is_free_matters_where_a_service_is_gone() {
    let mut salon = Salon::new();
    let booked = cut_and_wash(&mut salon);
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(11, 30))).expect("free");
    let wash = salon.wash;
    delete_service(&mut salon, wash);
    let reason = |rejection: Rejection| (rejection.code.into_owned(), rejection.members[0].json.clone());
    let taken = moved(&mut salon, to(&booked, 11, None)).expect_err("Ann is taken during the wash");
    assert_eq!(reason(taken), ("slot-unavailable".into(), "\"no_employee\"".into()));
    let late = moved(&mut salon, to(&booked, 16, None)).expect_err("Ann goes at five");
    assert_eq!(reason(late), ("slot-unavailable".into(), "\"no_employee\"".into()));
    for chair in view::all::<Resource>(&salon.world.view, TENANT) {
        let patch = ResourcePatch { active: Some(false), ..ResourcePatch::default() };
        let change = Change { id: chair.id, what: patch, if_version: None };
        change_record(&mut salon, Command::UpdateResource(change));
    }
    let nowhere = moved(&mut salon, to(&booked, 13, None)).expect_err("there is no chair");
    assert_eq!(reason(nowhere), ("slot-unavailable".into(), "\"no_resource\"".into()));
    // What is named instead can be had.
    let view = &salon.world.view;
    let wanted = wanted_of_moved(view, TENANT, &booked, None).expect("what was booked");
    let asked = Asked { view, tenant: TENANT, now: salon.next_second(), except: Some(booked.id) };
    assert_eq!(offers::alternatives(&asked, &wanted[..1], at(11, 0)).len(), 5);
    assert_eq!(offers::alternatives(&asked, &wanted, at(11, 0)), []);
}

#[test]
fn whoever_does_it_already_goes_on_without_the_skill_and_nobody_else_begins() {
    let mut salon = Salon::new();
    let (ann, bob, cut) = (salon.ann, salon.bob, salon.cut);
    let booked = salon.book(salon.visit(cut, Some(ann), at(9, 0))).expect("free").is;
    skills(&mut salon, ann, vec![]);
    salon.refused(salon.visit(cut, Some(ann), at(10, 0)), "no_employee");
    let by = |employee: Option<Place>| {
        Some(vec![WantedItem { service: cut, employee: employee.map(|place| place.id) }])
    };
    for (hour, items) in [(10, None), (11, by(Some(ann)))] {
        let booking = moved(&mut salon, to(&booked, hour, items)).expect("Ann keeps it");
        assert_eq!((booking.items[0].employee, booking.starts_at), (ann, at(hour, 0)));
    }
    let any = moved(&mut salon.clone(), to(&booked, 11, by(None))).expect("free");
    assert_eq!(any.items[0].employee, bob, "whoever suits best has the skill");
    // With the service gone, whoever has the skill still takes it over; who has not is put there by force alone.
    delete_service(&mut salon, cut);
    let kept = salon.clone();
    let by_bob = moved(&mut salon, to(&booked, 12, by(Some(bob)))).expect("Bob can cut");
    assert_eq!((by_bob.items[0].employee, agreed(&by_bob)), (bob, agreed(&booked)));
    let mut salon = kept;
    skills(&mut salon, bob, vec![]);
    let refused = moved(&mut salon, to(&booked, 12, by(Some(bob)))).expect_err("Bob cannot");
    assert_eq!(refused.code, "slot-unavailable");
    let forced = Reschedule { force: true, ..to(&booked, 12, by(Some(bob))) };
    assert_eq!(moved(&mut salon, forced).expect("he tries").items[0].employee, bob);
}

#[test]
fn what_is_new_to_a_visit_is_as_it_is_now() {
    let mut salon = Salon::new();
    let (ann, cut, colour, wash) = (salon.ann, salon.cut, salon.colour, salon.wash);
    let booked = salon.book(salon.visit(cut, Some(ann), at(9, 0))).expect("free").is;
    let price = |service, amount| {
        let patch = ServicePatch { price: Some(euros(amount)), ..ServicePatch::default() };
        Command::UpdateService(Change { id: service, what: patch, if_version: None })
    };
    change_record(&mut salon, price(cut, 1));
    change_record(&mut salon, price(colour, 2));
    delete_service(&mut salon, wash);
    let item = |service| WantedItem { service, employee: Some(ann.id) };
    let gone = moved(&mut salon, to(&booked, 9, Some(vec![item(cut), item(wash)]))).expect_err("it is gone");
    assert_eq!((gone.class, &*gone.code), (Class::Absent, "service-not-found"));
    let nobody = WantedItem { service: cut, employee: Some(Uuid::from_u128(7)) };
    let nobody = moved(&mut salon, to(&booked, 9, Some(vec![nobody]))).expect_err("there is nobody");
    assert_eq!(nobody.code, "employee-not-found");
    let more = moved(&mut salon, to(&booked, 9, Some(vec![item(cut), item(colour)]))).expect("free");
    let prices: Vec<i64> = more.items.iter().map(|item| item.price.amount).collect();
    assert_eq!(prices, [4_500, 2]);
}
