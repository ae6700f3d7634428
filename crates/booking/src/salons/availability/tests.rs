//! A row per rule of availability; `model` looks for what the rows have not thought of.

mod drawn;
mod model;

use super::*;
use crate::salons::calculus::{Buffers, Choice, Employee, Processing, Resource, Service};
use crate::salons::intervals::Intervals;
use jiff::tz::TimeZone;

const CUT: u128 = 100;

/// 2025-06-02 is a Monday in summer; UTC unless a row says otherwise.
const DAY: &str = "2025-06-02";

fn settings() -> Settings {
    Settings {
        zone: TimeZone::UTC,
        step_minutes: 15,
        buffers: Buffers::Sum,
        buffers_may_leave_shift: false,
        min_notice_minutes: 0,
        max_horizon_days: 365,
    }
}

fn service(duration_minutes: u32) -> Service {
    Service {
        id: CUT,
        duration_minutes,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        processing: None,
        needs_resource: None,
    }
}

fn buffered(duration_minutes: u32, before: u32, after: u32) -> Service {
    Service { buffer_before_minutes: before, buffer_after_minutes: after, ..service(duration_minutes) }
}

fn anyone(service: Service) -> Vec<Item> {
    vec![Item { service, employee: Choice::Any }]
}

fn at(time: &str) -> Timestamp {
    let (day, time) = time.split_once(' ').unwrap_or((DAY, time));
    Timestamp::parse_rfc3339(&format!("{day}T{time}:00Z")).unwrap()
}

/// `09:00-12:00` of the day.
fn span(text: &str) -> Span {
    let (from, to) = text.split_once('-').unwrap();
    Span::new(at(from), at(to))
}

fn booked(text: &str, before_minutes: u32, after_minutes: u32) -> Occupied {
    Occupied { span: span(text), before_minutes, after_minutes }
}

fn employee(id: u128, working: &str, booked_times: &str) -> Employee {
    Employee {
        id,
        skills: vec![CUT],
        working: Intervals::of(working.split_whitespace().map(span)),
        booked: booked_times.split_whitespace().map(|text| booked(text, 0, 0)).collect(),
    }
}

fn salon(employees: Vec<Employee>) -> Salon {
    Salon { settings: settings(), shortest_service_minutes: 30, employees, resources: vec![] }
}

fn question(items: Vec<Item>) -> Question {
    let from = DAY.parse().unwrap();
    Question { items, from, to: plus_days(from, 1), step_minutes: 15, each_employee: false }
}

fn all(salon: &Salon, question: &Question, now: Timestamp) -> Vec<Offer> {
    let mut found = Vec::new();
    offers(salon, question, now, |offer| {
        found.push(offer.clone());
        ControlFlow::Continue(())
    });
    for offer in &found {
        let fits = fits(salon, &question.items, offer.span.starts_at, now);
        assert_eq!(fits.as_ref().map(|fits| fits.span), Ok(offer.span), "what is offered can be booked");
        assert!(question.each_employee || fits.as_ref() == Ok(offer), "and by the same people");
    }
    found
}

fn morning() -> Timestamp {
    at("00:00")
}

/// Times of day of the starts.
fn starts(salon: &Salon, items: Vec<Item>) -> Vec<String> {
    let offers = all(salon, &question(items), morning());
    offers.iter().map(|offer| offer.span.starts_at.to_string()[11..16].to_owned()).collect()
}

fn check(salon: &Salon, service: Service, expected: &str) {
    let expected: Vec<&str> = expected.split_whitespace().collect();
    assert_eq!(starts(salon, anyone(service)), expected);
}

#[test]
fn starts_are_aligned_from_midnight_and_the_visit_ends_within_the_shift() {
    let salon = salon(vec![employee(1, "09:05-10:45", "")]);
    check(&salon, service(45), "09:15 09:30 09:45 10:00");
    check(&salon, service(90), "09:15");
    check(&salon, service(91), "");
    check(&salon, service(0), "09:15 09:30 09:45 10:00 10:15 10:30");
}

#[test]
fn starts_do_not_hang_on_the_end_of_the_booking_before() {
    check(
        &salon(vec![employee(1, "09:00-12:00", "09:00-09:50 11:10-12:00")]),
        service(30),
        "10:00 10:15 10:30",
    );
}

#[test]
fn ends_touch_without_a_clash() {
    check(&salon(vec![employee(1, "09:00-12:00", "09:00-10:00 10:30-12:00")]), service(30), "10:00");
    check(&salon(vec![employee(1, "09:00-12:00", "09:00-10:00 10:30-12:00")]), service(31), "");
    check(&salon(vec![employee(1, "09:00-10:00 10:30-11:00", "09:00-09:00")]), service(60), "09:00");
    check(&salon(vec![employee(1, "09:00-10:00 10:00-10:30", "")]), service(90), "09:00");
}

#[test]
fn buffers_of_neighbours_add_up_or_the_longer_one_counts() {
    let mut salon = salon(vec![employee(1, "08:00-14:00", "")]);
    salon.employees[0].booked = vec![booked("08:00-10:00", 0, 15), booked("12:00-14:00", 20, 0)];
    check(&salon, buffered(45, 15, 10), "10:30 10:45");
    salon.settings.buffers = Buffers::Max;
    check(&salon, buffered(45, 15, 10), "10:15 10:30 10:45");
    check(&salon, buffered(45, 15, 25), "10:15 10:30 10:45");
    check(&salon, buffered(45, 15, 35), "10:15 10:30");
}

#[test]
fn buffers_stay_within_the_shift_unless_the_tenant_says_otherwise() {
    let mut salon = salon(vec![employee(1, "09:00-10:30", "")]);
    check(&salon, buffered(30, 10, 20), "09:15 09:30");
    salon.settings.buffers_may_leave_shift = true;
    check(&salon, buffered(30, 10, 20), "09:00 09:15 09:30 09:45 10:00");
}

#[test]
fn buffers_cross_midnight_where_the_shift_does() {
    let night = |ends: &str| {
        let mut salon = salon(vec![employee(1, "09:00-10:00", "")]);
        salon.employees[0].working = Intervals::of([Span::new(at("22:30"), at(ends))]);
        salon
    };
    check(&night("2025-06-03 00:30"), buffered(60, 0, 30), "22:30 22:45 23:00");
    check(&night("2025-06-03 00:00"), buffered(60, 0, 30), "22:30");
    // And so does a visit: its start is what belongs to the day.
    check(&night("2025-06-03 00:30"), service(60), "22:30 22:45 23:00 23:15 23:30");
    let mut neighbour = night("2025-06-03 02:00");
    neighbour.employees[0].booked = vec![Occupied {
        span: Span::new(at("2025-06-03 00:20"), at("2025-06-03 01:00")),
        before_minutes: 30,
        after_minutes: 0,
    }];
    check(&neighbour, service(60), "22:30 22:45");
}

#[test]
fn a_processing_gap_is_sold_to_others_and_needs_no_shift() {
    let colour =
        Service { processing: Some(Processing { after_minutes: 30, for_minutes: 45 }), ..buffered(90, 5, 5) };
    let day = salon(vec![employee(1, "09:00-11:00", "")]);
    check(&day, colour.clone(), "09:15");
    // Work of 30 minutes, and of 15 minutes 75 later: what lies between them is somebody else's, buffers and all.
    let mut booked_between = day.clone();
    booked_between.employees[0].booked = vec![booked("10:00-10:15", 15, 15)];
    check(&booked_between, colour.clone(), "09:15");
    booked_between.employees[0].booked = vec![booked("10:00-10:20", 15, 15)];
    check(&booked_between, colour.clone(), "");
    check(&salon(vec![employee(1, "09:00-10:00 10:15-11:00", "")]), colour.clone(), "09:15");
    // And the other way round: what is booked has a gap.
    let mut gap = salon(vec![employee(1, "09:00-11:00", "")]);
    gap.employees[0].booked = colour.employee_time(at("09:15")).collect();
    check(&gap, service(45), "09:45");
    check(&gap, service(46), "");
    check(&gap, buffered(30, 10, 0), "10:00");
}

#[test]
fn a_gap_that_is_not_sound_is_none() {
    for (after_minutes, for_minutes) in [(0, 10), (10, 0), (30, 30), (u32::MAX, 1)] {
        let processing = Some(Processing { after_minutes, for_minutes });
        let odd = Service { processing, ..service(60) };
        assert!(!odd.has_sound_processing());
        check(&salon(vec![employee(1, "09:00-10:15", "")]), odd, "09:00 09:15");
    }
}

#[test]
fn starts_of_several_are_added_up_but_never_their_time() {
    let two = salon(vec![employee(1, "09:00-10:00", ""), employee(2, "10:00-11:00", "")]);
    check(&two, service(60), "09:00 10:00");
    check(&two, service(75), "");
}

#[test]
fn only_those_with_the_skill_are_asked_and_a_named_one_alone() {
    let mut two = salon(vec![employee(1, "09:00-10:00", ""), employee(2, "10:00-11:00", "")]);
    two.employees[0].skills.clear();
    check(&two, service(60), "10:00");
    let named = |id| vec![Item { service: service(60), employee: Choice::One(id) }];
    assert_eq!(starts(&two, named(2)), ["10:00"]);
    assert!(starts(&two, named(1)).is_empty());
    assert!(starts(&two, named(7)).is_empty());
}

#[test]
fn resources_are_taken_for_the_whole_service_with_its_buffers_the_smallest_id_first() {
    let needs = Service {
        needs_resource: Some(1),
        processing: Some(Processing { after_minutes: 10, for_minutes: 10 }),
        ..buffered(30, 0, 15)
    };
    let mut salon = salon(vec![employee(1, "09:00-10:30", "")]);
    check(&salon, needs.clone(), "");
    let chair = |id, text: &str| Resource { id, kind: 1, booked: vec![booked(text, 0, 0)] };
    salon.resources = vec![chair(8, "09:45-11:00")];
    check(&salon, needs.clone(), "09:00");
    salon.resources.push(chair(7, "09:00-09:15"));
    salon.resources.push(Resource { id: 6, kind: 2, booked: vec![] });
    check(&salon, needs.clone(), "09:00 09:15 09:30 09:45");
    let offers = all(&salon, &question(anyone(needs)), morning());
    let chairs: Vec<_> = offers.iter().map(|offer| offer.items[0].resource).collect();
    assert_eq!(chairs, [Some(8), Some(7), Some(7), Some(7)]);
}

#[test]
fn notice_and_horizon_are_instants_from_now() {
    let mut salon = salon(vec![employee(1, "09:00-11:00", "")]);
    salon.settings.min_notice_minutes = 60;
    salon.settings.max_horizon_days = 1;
    let at_now = |now: &str| {
        let offers = all(&salon, &question(anyone(service(60))), at(now));
        offers.iter().map(|offer| offer.span.starts_at.to_string()[11..16].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(at_now("08:15"), ["09:15", "09:30", "09:45", "10:00"]);
    assert_eq!(at_now("08:16"), ["09:30", "09:45", "10:00"]);
    assert_eq!(at_now("2025-06-01 09:30"), ["09:00", "09:15"]);
    assert_eq!(at_now("2025-06-01 09:31"), ["09:00", "09:15", "09:30"]);
}

/// Who is allotted at the start of a visit of half an hour at noon.
fn check_best(employees: Vec<Employee>, expected: u128) {
    let offer = fits(&salon(employees), &anyone(service(30)), at("12:00"), morning()).unwrap();
    assert_eq!(offer.items[0].employee, expected);
}

#[test]
fn whoever_suits_best_has_the_fewest_gaps_then_the_fewest_minutes_then_the_smallest_id() {
    let free = |id| employee(id, "08:00-18:00", "");
    check_best(vec![free(2), free(1), free(3)], 1);
    check_best(vec![employee(1, "08:00-18:00", "08:00-08:30"), free(2)], 2);
    // Another day's bookings do not count.
    let mut busy_yesterday = free(1);
    busy_yesterday.booked = vec![Occupied {
        span: Span::new(at("2025-06-01 08:00"), at("2025-06-01 23:00")),
        before_minutes: 0,
        after_minutes: 0,
    }];
    check_best(vec![busy_yesterday, free(2)], 1);
    // A gap of 15 minutes cannot be sold; one of 30, or none, is no loss.
    check_best(vec![employee(1, "08:00-18:00", "11:00-11:45"), employee(2, "08:00-18:00", "09:00-11:30")], 2);
    check_best(vec![employee(1, "08:00-18:00", "11:00-11:45"), employee(2, "08:00-18:00", "09:00-12:00")], 2);
    check_best(vec![employee(1, "11:45-12:45", ""), employee(2, "11:45-18:00", "08:00-09:00")], 2);
    check_best(vec![employee(1, "08:00-12:40", ""), employee(2, "12:00-12:30", "08:00-09:00")], 2);
}

#[test]
fn what_buffers_take_is_no_free_gap() {
    // Ten minutes lie between the two, and the buffer needs them all.
    let mut tight = employee(1, "08:00-18:00", "");
    tight.booked = vec![booked("10:00-11:50", 0, 10)];
    let loose = employee(2, "08:00-18:00", "09:00-11:50");
    check_best(vec![loose, tight], 1);
}

#[test]
fn services_in_a_row_follow_each_other_and_may_be_others_work() {
    let mut salon = salon(vec![employee(1, "09:00-10:00", ""), employee(2, "10:00-11:00", "")]);
    salon.employees[1].skills = vec![200];
    let wash = Service { id: 200, ..buffered(15, 10, 0) };
    let mut items = anyone(buffered(45, 0, 10));
    items.push(Item { service: wash, employee: Choice::Any });
    salon.settings.buffers_may_leave_shift = true;
    assert_eq!(starts(&salon, items.clone()), ["09:15"]);
    let offer = fits(&salon, &items, at("09:15"), morning()).unwrap();
    assert_eq!(offer.span, span("09:15-10:15"));
    assert_eq!(offer.items[0], Allotted { span: span("09:15-10:00"), employee: 1, resource: None });
    assert_eq!(offer.items[1], Allotted { span: span("10:00-10:15"), employee: 2, resource: None });
    assert_eq!(fits(&salon, &items, at("09:30"), morning()), Err(Misfit::NoEmployee(0)));
    assert_eq!(fits(&salon, &items, at("09:00"), morning()), Err(Misfit::NoEmployee(1)));
}

#[test]
fn between_the_services_of_one_visit_no_buffer_is_kept() {
    let salon = salon(vec![employee(1, "09:00-11:00", "")]);
    let items = [anyone(buffered(30, 15, 15)), anyone(buffered(30, 15, 15))].concat();
    assert_eq!(starts(&salon, items), ["09:15", "09:30", "09:45"]);
}

#[test]
fn a_named_employee_is_allotted_first_and_others_beside() {
    // Number 1 does the second service, which fills the hour to the next booking: beside that the first leaves
    // no gap. Looked at alone it would leave one of half an hour.
    let mut salon =
        salon(vec![employee(1, "09:00-12:00", "10:00-12:00"), employee(2, "09:00-15:00", "12:00-15:00")]);
    salon.shortest_service_minutes = 60;
    let second = Item { service: service(30), employee: Choice::One(1) };
    let items = [anyone(service(30)), vec![second]].concat();
    let offer = fits(&salon, &items, at("09:00"), morning()).unwrap();
    assert_eq!(offer.items.iter().map(|item| item.employee).collect::<Vec<_>>(), [1, 1]);
    let alone = fits(&salon, &items[..1], at("09:00"), morning()).unwrap();
    assert_eq!(alone.items[0].employee, 2);
}

#[test]
fn each_employee_is_offered_by_start_and_then_by_id() {
    let salon = salon(vec![employee(2, "09:00-10:00", ""), employee(1, "09:30-10:30", "")]);
    let question = Question { each_employee: true, ..question(anyone(service(30))) };
    let offers = all(&salon, &question, morning());
    let found: Vec<_> = offers
        .iter()
        .map(|offer| (offer.span.starts_at.to_string()[11..16].to_owned(), offer.items[0].employee))
        .collect();
    let expected = [("09:00", 2), ("09:15", 2), ("09:30", 1), ("09:30", 2), ("09:45", 1), ("10:00", 1)];
    assert_eq!(found, expected.map(|(start, id)| (start.to_owned(), id)));
}

#[test]
fn every_misfit_is_told_in_its_order() {
    let needs = Service { needs_resource: Some(1), ..service(30) };
    let mut salon = salon(vec![employee(1, "09:00-10:00", "")]);
    let refused = |salon: &Salon, items: &[Item], start: &str, now: &str| {
        fits(salon, items, at(start), at(now)).unwrap_err()
    };
    assert_eq!(refused(&salon, &[], "09:07", "10:00"), Misfit::Services);
    assert_eq!(refused(&salon, &vec![anyone(service(1)); 11].concat(), "09:07", "10:00"), Misfit::Services);
    assert_eq!(refused(&salon, &anyone(needs.clone()), "09:07", "10:00"), Misfit::TooSoon);
    assert_eq!(refused(&salon, &anyone(needs.clone()), "2026-06-02 10:07", "10:00"), Misfit::TooFar);
    assert_eq!(refused(&salon, &anyone(needs.clone()), "10:07", "09:00"), Misfit::NotAligned);
    assert_eq!(refused(&salon, &anyone(needs.clone()), "10:00", "09:00"), Misfit::NoEmployee(0));
    assert_eq!(refused(&salon, &anyone(needs), "09:15", "09:00"), Misfit::NoResource(0));
    salon.settings.step_minutes = 0;
    assert!(fits(&salon, &anyone(service(30)), at("09:07"), at("09:00")).is_ok());
}

#[test]
fn fewer_starts_can_be_asked_for_but_no_others() {
    let salon = salon(vec![employee(1, "09:00-10:30", "")]);
    let asked = |step_minutes| {
        let question = Question { step_minutes, ..question(anyone(service(30))) };
        all(&salon, &question, morning()).len()
    };
    assert_eq!([asked(15), asked(30), asked(60), asked(20), asked(0)], [5, 3, 2, 5, 5]);
}

#[test]
fn days_beyond_a_year_are_not_looked_at() {
    let mut salon = salon(vec![employee(1, "09:00-10:00", "")]);
    salon.employees[0].working = Intervals::of([Span::new(at("2025-06-01 00:00"), at("2030-01-01 00:00"))]);
    salon.settings.max_horizon_days = 5_000;
    let mut question = Question { step_minutes: 60, ..question(anyone(service(30))) };
    salon.settings.step_minutes = 60;
    question.to = Date::MAX;
    let mut last = None;
    offers(&salon, &question, morning(), |offer| {
        last = Some(offer.span.starts_at);
        ControlFlow::Continue(())
    });
    assert_eq!(last, Some(at("2026-06-02 23:00")));
}

#[test]
fn a_question_can_be_broken_off() {
    let salon = salon(vec![employee(1, "09:00-12:00", "")]);
    let mut left = 3;
    offers(&salon, &question(anyone(service(30))), morning(), |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(left, 0);
}

#[test]
fn any_numbers_are_borne() {
    let mut salon = salon(vec![employee(1, "09:00-12:00", "")]);
    salon.settings = Settings {
        step_minutes: u32::MAX,
        min_notice_minutes: u32::MAX,
        max_horizon_days: u32::MAX,
        ..settings()
    };
    salon.shortest_service_minutes = u32::MAX;
    let whole = Span::new(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    salon.employees[0].working = Intervals::of([whole]);
    salon.employees[0].booked =
        vec![Occupied { span: whole, before_minutes: u32::MAX, after_minutes: u32::MAX }];
    let items = vec![anyone(buffered(u32::MAX, u32::MAX, u32::MAX)); 10].concat();
    for from in [Date::MIN, Date::MAX] {
        let question = Question { from, to: Date::MAX, ..question(items.clone()) };
        offers(&salon, &question, whole.starts_at, |offer| panic!("{offer:?}"));
    }
    for at in [whole.starts_at, whole.ends_at] {
        for now in [whole.starts_at, whole.ends_at] {
            assert!(fits(&salon, &items, at, now).is_err());
        }
        assert!(!window(u32::MAX, &items, Span::new(at, at)).is_empty());
    }
}
