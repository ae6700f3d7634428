//! Records by row: what is noted, changed, refused and taken away, and what other systems bring in.

use super::*;
use crate::salons::legacy_view::legacy_bookings;
use crate::salons::plan::AbsenceTime;
use crate::salons::view::{all, first_customer, get, id_of_text, plan, records, settings};

fn check(salon: &mut Salon, command: Command, expected: Result<Effect, (Class, &str)>) {
    let before = salon.world.view.hash();
    let said = salon.world.submit(TENANT, &command);
    match (&said, expected) {
        (Ok((_, outcome)), Ok(effect)) => assert_eq!(outcome.effect(), effect, "{command:?}"),
        (Err(rejection), Err((class, code))) => {
            assert_eq!((rejection.class, &*rejection.code), (class, code), "{command:?}");
            assert_eq!(salon.world.view.hash(), before, "a refusal changes nothing");
        }
        _ => panic!("{command:?} is answered with {said:?}, and should be {expected:?}"),
    }
}

fn change<What>(id: Uuid, what: What, if_version: Option<u64>) -> Change<Uuid, What> {
    Change { id, what, if_version }
}

#[test]
fn an_employee_is_changed_at_a_version_and_goes_when_nothing_is_booked() {
    let mut salon = Salon::new();
    let (ann, unknown) = (salon.ann.id, Uuid::from_u128(7));
    let name = |name: &str| EmployeePatch { name: Some(name.into()), ..EmployeePatch::default() };
    let update = |id, patch, version| Command::UpdateEmployee(change(id, patch, version));
    check(&mut salon, update(unknown, name("X"), None), Err((Class::Absent, "employee-not-found")));
    check(&mut salon, update(ann, name("X"), Some(2)), Err((Class::Precondition, "version-mismatch")));
    check(&mut salon, update(ann, name(""), None), Err((Class::Unprocessable, "invalid-name")));
    let skills = EmployeePatch { skills: Some(vec![unknown]), ..EmployeePatch::default() };
    check(&mut salon, update(ann, skills, None), Err((Class::Unprocessable, "invalid-skills")));
    let colour = EmployeePatch { colour: Some(Some("red".into())), ..EmployeePatch::default() };
    check(&mut salon, update(ann, colour, None), Err((Class::Unprocessable, "invalid-colour")));
    check(&mut salon, update(ann, name("Ann"), Some(1)), Ok(Effect::Unchanged));
    check(&mut salon, update(ann, name("Anna"), Some(1)), Ok(Effect::Updated));
    let seq = salon.world.seq;
    let booked = salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free");
    let delete = || Command::DeleteEmployee(change(ann, (), None));
    check(&mut salon, delete(), Err((Class::Conflict, "employee-in-use")));
    salon.advance(booked.is.id, Advance::Cancel).expect("cancelled");
    check(&mut salon, delete(), Ok(Effect::Deleted));
    check(&mut salon, delete(), Err((Class::Absent, "employee-not-found")));
    let view = &salon.world.view;
    assert_eq!(all::<Employee>(view, TENANT).len(), 1);
    assert!(get::<Employee>(view, TENANT, ann, None).is_none());
    assert_eq!(
        get::<Employee>(view, TENANT, ann, Some(seq)).map(|found| found.is.name).as_deref(),
        Some("Anna")
    );
    assert_eq!(records::<Employee>(view, TENANT, None, Some(seq), 9).items.len(), 2);
    salon.refused(salon.visit(salon.colour, None, at(9, 0)), "no_employee");
}

#[test]
fn an_employee_whose_service_is_gone_can_be_changed_and_keeps_or_loses_the_skill() {
    let mut salon = Salon::new();
    let (ann, bob, cut, wash) = (salon.ann.id, salon.bob.id, salon.cut, salon.wash);
    let all = vec![cut, salon.colour, wash];
    check(&mut salon, Command::DeleteService(change(wash, (), None)), Ok(Effect::Deleted));
    let update = |id, patch| Command::UpdateEmployee(change(id, patch, None));
    let skills = |skills: &[Uuid]| EmployeePatch { skills: Some(skills.to_vec()), ..Default::default() };
    let name = EmployeePatch { name: Some("Anna".into()), ..Default::default() };
    check(&mut salon, update(ann, name), Ok(Effect::Updated));
    check(&mut salon, update(ann, skills(&all)), Ok(Effect::Unchanged));
    check(&mut salon, update(ann, skills(&[wash, cut])), Ok(Effect::Updated));
    let gone = Err((Class::Unprocessable, "invalid-skills"));
    check(&mut salon, update(bob, skills(&[cut, wash])), gone);
    check(&mut salon, update(ann, skills(&[cut])), Ok(Effect::Updated));
    check(&mut salon, update(ann, skills(&[cut, wash])), gone);
}

#[test]
fn a_service_keeps_to_its_bounds_and_bookings_keep_their_service() {
    let mut salon = Salon::new();
    let cut = salon.cut;
    let time = |time: TimePatch| {
        Command::UpdateService(change(cut, ServicePatch { time, ..ServicePatch::default() }, None))
    };
    let none = TimePatch::default();
    let invalid = |code| Err((Class::Unprocessable, code));
    check(&mut salon, time(TimePatch { duration_minutes: Some(0), ..none }), invalid("invalid-duration"));
    check(
        &mut salon,
        time(TimePatch { buffer_after_minutes: Some(241), ..none }),
        invalid("invalid-duration"),
    );
    check(
        &mut salon,
        time(TimePatch { processing: Some(Some((10, 20))), ..none }),
        invalid("invalid-processing"),
    );
    let booked = salon.book(salon.visit(cut, Some(salon.ann), at(9, 0))).expect("free");
    check(&mut salon, time(TimePatch { duration_minutes: Some(60), ..none }), Ok(Effect::Updated));
    let kept = get::<Booking>(&salon.world.view, TENANT, booked.is.id, None).expect("it is there");
    assert_eq!(kept.is.ends_at, at(9, 30));
    check(&mut salon, Command::DeleteService(change(cut, (), None)), Ok(Effect::Deleted));
    let rejection = salon.book(salon.visit(cut, None, at(10, 0))).expect_err("it is gone");
    assert_eq!(rejection.code, "service-not-found");
}

#[test]
fn settings_are_changed_within_their_ranges() {
    let mut salon = Salon::new();
    let command = |what, if_version| Command::ChangeSettings(Change { id: (), what, if_version });
    let step = |step| SettingsPatch { step_minutes: Some(step), ..SettingsPatch::default() };
    for wrong in [4, 61] {
        check(&mut salon, command(step(wrong), None), Err((Class::Unprocessable, "invalid-settings")));
    }
    check(&mut salon, command(step(15), Some(0)), Ok(Effect::Unchanged));
    check(&mut salon, command(step(5), Some(1)), Err((Class::Precondition, "version-mismatch")));
    check(&mut salon, command(step(5), Some(0)), Ok(Effect::Updated));
    let found = settings(&salon.world.view, TENANT, None);
    assert_eq!((found.version, found.is.step_minutes), (1, 5));
    salon.book(salon.visit(salon.cut, None, at(9, 5))).expect("aligned now");
}

#[test]
fn an_absence_and_an_exception_close_a_day_until_they_are_taken_back() {
    let mut salon = Salon::new();
    let ann = salon.ann.id;
    let plan_change = |what| Command::ChangePlan(change(ann, what, None));
    let day = Day::of(date(1970, 1, 1));
    check(&mut salon, plan_change(PlanChange::SetException(day, Vec::new())), Ok(Effect::Updated));
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 0)), "no_employee");
    check(&mut salon, plan_change(PlanChange::SetException(day, Vec::new())), Ok(Effect::Unchanged));
    check(&mut salon, plan_change(PlanChange::RemoveException(day)), Ok(Effect::Updated));
    let time = AbsenceTime::Instants(at(9, 0), at(10, 0));
    check(
        &mut salon,
        plan_change(PlanChange::AddAbsence { time, reason: Some("flu".into()) }),
        Ok(Effect::Updated),
    );
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 45)), "no_employee");
    let absence = plan(&salon.world.view, TENANT, ann, None).is.absences[0].id;
    check(&mut salon, plan_change(PlanChange::RemoveAbsence(absence)), Ok(Effect::Updated));
    check(
        &mut salon,
        plan_change(PlanChange::RemoveAbsence(absence)),
        Err((Class::Absent, "absence-not-found")),
    );
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 45))).expect("free");
    let empty = PlanChange::AddAbsence { time: AbsenceTime::Days(day, day), reason: None };
    check(&mut salon, plan_change(empty), Err((Class::Unprocessable, "invalid-time-range")));
    let wrong = DayTime { from_minute: 1_440, to_minute: 0 };
    let wrong = PlanChange::SetException(day, vec![wrong]);
    check(&mut salon, plan_change(wrong), Err((Class::Unprocessable, "invalid-shifts")));
}

fn put_customer(id: &str, name: &str, changed_at: i64) -> Command {
    Command::PutCustomer(PutCustomer {
        external_id: id.into(),
        name: name.into(),
        email: Some("a@x".into()),
        phone: Some("1".into()),
        created_at: at(1, 0),
        changed_at: at(2, changed_at),
    })
}

#[test]
fn a_customer_of_another_system_is_put_by_the_newest_word() {
    let mut salon = Salon::new();
    check(&mut salon, put_customer("", "Eve", 0), Err((Class::Unprocessable, "invalid-external-id")));
    check(&mut salon, put_customer("c1", "Eve", 5), Ok(Effect::Created));
    check(&mut salon, put_customer("c1", "Eva", 5), Ok(Effect::IgnoredStale));
    check(&mut salon, put_customer("c1", "Eva", 6), Ok(Effect::Updated));
    let id = id_of_text("c1");
    let found = get::<Customer>(&salon.world.view, TENANT, id, None).expect("it is there");
    assert_eq!((&*found.is.name, found.is.external_id.as_deref(), found.version), ("Eva", Some("c1"), 2));
    let uuid = "0198c5a0-0000-7000-8000-0000000000aa";
    check(&mut salon, put_customer(uuid, "Ida", 0), Ok(Effect::Created));
    let found = get::<Customer>(&salon.world.view, TENANT, uuid.parse().expect("a UUID"), None);
    assert_eq!(found.expect("a UUID is itself").is.external_id, None);
    assert_ne!(id_of_text(&uuid.to_uppercase()), id_of_text(uuid), "another spelling is another text");
    check(&mut salon, Command::DeleteCustomer(change(id, (), None)), Ok(Effect::Deleted));
    check(&mut salon, put_customer("c1", "Eve", 9), Ok(Effect::IgnoredStale));
    let first = first_customer(&salon.world.view, TENANT).expect("there are some");
    assert_eq!(first.is.id, salon.customer);
}

#[test]
fn what_is_new_of_a_customer_can_be_written_to_and_what_is_old_may_stay() {
    let mut salon = Salon::new();
    let details = |name: &str, email: Option<&str>| CustomerDetails {
        name: name.into(),
        email: email.map(str::to_owned),
        phone: None,
        notes: None,
    };
    let rows = [
        ("Eve", None, ""),
        ("Eve", Some("eve@example.com"), ""),
        (" ", None, "invalid-name"),
        ("\u{a0}\t", None, "invalid-name"),
        ("E\nve", None, "invalid-name"),
        ("", None, "invalid-name"),
        ("Eve", Some(""), "invalid-email"),
        ("Eve", Some("eve"), "invalid-email"),
        ("Eve", Some("eve@"), "invalid-email"),
        ("Eve", Some("e ve@example.com"), "invalid-email"),
        ("Eve", Some("eve@example.com\r\nBcc: all@example.com"), "invalid-email"),
    ];
    let expected = |code, effect| match code {
        "" => Ok(effect),
        code => Err((Class::Unprocessable, code)),
    };
    // Of another system anything may come, and stays while it is not changed.
    let id = id_of_text("c1");
    let put = Command::PutCustomer(PutCustomer {
        external_id: "c1".into(),
        name: " ".into(),
        email: Some("no address".into()),
        phone: None,
        created_at: at(1, 0),
        changed_at: at(2, 0),
    });
    check(&mut salon, put, Ok(Effect::Created));
    let patch = |patch| Command::UpdateCustomer(change(id, patch, None));
    let none = CustomerPatch::default;
    let phone = Some(Some("030 1".to_owned()));
    check(&mut salon, patch(CustomerPatch { phone, ..none() }), Ok(Effect::Updated));
    let (name, email) = (Some(" ".to_owned()), Some(Some("no address".to_owned())));
    let read = CustomerPatch { name, email, phone: Some(None), ..none() };
    check(&mut salon, patch(read), Ok(Effect::Updated));
    for (name, email, code) in rows {
        let new = details(name, email);
        check(&mut salon, Command::CreateCustomer(new.clone()), expected(code, Effect::Created));
        let book = Book { customer: ForCustomer::New(new.clone()), ..salon.visit(salon.cut, None, at(9, 0)) };
        check(&mut salon.clone(), Command::Book(book), expected(code, Effect::Created));
        let CustomerDetails { name, email, .. } = new;
        let is_old = name == " ";
        let changed = CustomerPatch { name: Some(name), email: email.map(Some), ..none() };
        let code = if is_old { "" } else { code };
        check(
            &mut salon.clone(),
            patch(changed),
            expected(code, if is_old { Effect::Unchanged } else { Effect::Updated }),
        );
    }
}

fn put_legacy(id: &str, hour: i64, changed_at: i64) -> Command {
    Command::PutLegacyBooking(PutLegacyBooking {
        external_id: Some(id.into()),
        customer_id: "c1".into(),
        title: "Cut".into(),
        description: String::new(),
        date: at(hour, 0),
        status: LegacyStatus::Confirmed,
        price: Decimal::from_cents(4_550),
        currency: Currency::parse("EUR").expect("a code"),
        created_at: at(0, 0),
        changed_at: at(0, changed_at),
    })
}

#[test]
fn legacy_bookings_are_listed_by_date_and_claim_no_time() {
    let mut salon = Salon::new();
    for (id, hour, changed_at, effect) in [
        ("b1", 9, 0, Effect::Created),
        ("b2", 9, 0, Effect::Created),
        ("b3", 11, 0, Effect::Created),
        ("b1", 10, 0, Effect::IgnoredStale),
        ("b1", 10, 1, Effect::Updated),
        ("b4", 12, 0, Effect::Created),
    ] {
        check(&mut salon, put_legacy(id, hour, changed_at), Ok(effect));
    }
    let listed = |from: i64, to: i64, max: usize, as_of| {
        let mut ids = Vec::new();
        let mut after = None;
        loop {
            let mut count = 0;
            let range = (at(from, 0), at(to, 0));
            after = legacy_bookings(&salon.world.view, TENANT, range, after, as_of, &mut |booking| {
                let id = booking.external_id.expect("a text");
                ids.push(String::from_utf8(id.to_owned()).expect("texts are UTF-8"));
                count += 1;
                if count == max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if after.is_none() {
                return ids;
            }
        }
    };
    for max in [1, 2, 9] {
        assert_eq!(listed(9, 11, max, None), ["b2", "b1", "b3"], "both ends are included");
        let before = Some(salon.world.seq - 2);
        assert_eq!(
            listed(9, 20, max, before),
            listed(9, 9, max, before).into_iter().chain(["b3".into()]).collect::<Vec<_>>()
        );
        assert_eq!(listed(9, 9, max, before).len(), 2, "b1 was there before it moved");
        assert_eq!(listed(9, 20, max, Some(0)), [""; 0]);
    }
    assert_eq!(listed(13, 20, 9, None), [""; 0]);
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(9, 0))).expect("free");
    assert_eq!(salon.world.replay().hash(), salon.world.view.hash());
}
