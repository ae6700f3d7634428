//! Series by row, and against their visits booked one by one.

use jiff::tz::TimeZone;
use maitred_core::{At, Domain};
use proptest::prelude::*;

use super::*;
use crate::salons::recurrence::Recurrence;
use crate::tenants;

fn series(
    salon: &Salon,
    service: Uuid,
    employee: Option<Place>,
    starts_at: Timestamp,
    rule: &str,
) -> BookSeries {
    let Book { customer, items, .. } = salon.visit(service, employee, starts_at);
    let on_clash = OnClash::Refuse;
    BookSeries { customer, starts_at, items, rule: rule.into(), on_clash, force: false, notes: None }
}

type Said = (Effect, Versioned<Series>, Vec<Occurrence>);

fn book(salon: &mut Salon, series: BookSeries) -> Result<Said, Rejection> {
    match salon.world.submit(TENANT, &Command::BookSeries(series))?.1 {
        Outcome::Series(effect, series, occurrences) => Ok((effect, series, occurrences)),
        other => panic!("{other:?}"),
    }
}

fn cancel(
    salon: &mut Salon,
    id: Uuid,
    from: Option<Timestamp>,
    if_version: Option<u64>,
) -> Result<Said, Rejection> {
    let command = Command::CancelSeries(CancelSeries { series: id, from, if_version });
    match salon.world.submit(TENANT, &command)?.1 {
        Outcome::Series(effect, series, occurrences) => Ok((effect, series, occurrences)),
        other => panic!("{other:?}"),
    }
}

/// What became of each visit: the employee of its first service, or why it is not to be had.
fn told(occurrences: &[Occurrence]) -> Vec<Result<Uuid, String>> {
    let told = |occurrence: &Occurrence| match &occurrence.visited {
        Visited::Booked(booking) => Ok(booking.is.items[0].employee.id),
        Visited::Clashed(reason) => Err(reason.clone()),
        Visited::Cancelled(_) => Err("cancelled".into()),
    };
    occurrences.iter().map(told).collect()
}

#[test]
fn a_series_is_booked_as_a_whole_and_called_off_from_an_instant_on() {
    let mut salon = Salon::new();
    let daily = series(&salon, salon.cut, Some(salon.ann), at(9, 0), "FREQ=DAILY;COUNT=4");
    let (effect, booked, occurrences) = book(&mut salon, daily.clone()).expect("free");
    assert_eq!((effect, booked.version, booked.is.bookings.len()), (Effect::Created, 1, 4));
    let starts: Vec<_> = occurrences.iter().map(|occurrence| occurrence.starts_at).collect();
    assert_eq!(starts, [0, 24, 48, 72].map(|hours| at(hours + 9, 0)));
    assert_eq!(told(&occurrences), vec![Ok(salon.ann.id); 4]);
    let id = booked.is.id;
    for booking in &booked.is.bookings {
        let found = view::get::<Booking>(&salon.world.view, TENANT, *booking, None).expect("it is there");
        assert_eq!((found.is.series, found.is.status), (Some(id), BookingStatus::Confirmed));
    }
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(48 + 9, 0)), "no_employee");

    let seq = salon.world.seq;
    let stale = cancel(&mut salon, id, None, Some(2)).expect_err("it is at version 1");
    assert_eq!(stale.code, "version-mismatch");
    salon.advance(booked.is.bookings[3], Advance::Cancel).expect("one goes its own way");
    let (effect, cancelled, gone) = cancel(&mut salon, id, Some(at(24 + 9, 0)), Some(1)).expect("ahead");
    assert_eq!((effect, cancelled.version), (Effect::Updated, 2));
    assert_eq!(cancelled.is.cancelled_from, Some(at(24 + 9, 0)));
    let starts: Vec<_> = gone.iter().map(|occurrence| occurrence.starts_at).collect();
    assert_eq!(starts, [24, 48].map(|hours| at(hours + 9, 0)));
    let (effect, again, gone) = cancel(&mut salon, id, Some(at(48 + 9, 0)), None).expect("it is so already");
    assert_eq!((effect, again.version, gone.len()), (Effect::Unchanged, 2, 0));
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(48 + 9, 0))).expect("free again");
    salon.refused(salon.visit(salon.cut, Some(salon.ann), at(9, 0)), "no_employee");

    let listed = |as_of| {
        let at = salon.world.timestamp;
        let query = bookings_view::BookingQuery { series: Some(id), at, as_of, ..Default::default() };
        let found = bookings_view::bookings(&salon.world.view, TENANT, &query, None, 9).items;
        found.iter().filter(|found| found.is.status == BookingStatus::Confirmed).count()
    };
    assert_eq!((listed(None), listed(Some(seq))), (1, 4));
    assert_eq!(salon.world.replay().hash(), salon.world.view.hash());
}

#[test]
fn what_clashes_is_named_or_left_out() {
    let mut salon = Salon::new();
    salon.book(salon.visit(salon.cut, Some(salon.ann), at(24 + 9, 0))).expect("free");
    let refuse = series(&salon, salon.cut, Some(salon.ann), at(9, 0), "FREQ=DAILY;COUNT=3");
    let before = salon.world.view.hash();
    let rejection = book(&mut salon, refuse.clone()).expect_err("the second is taken");
    assert_eq!((rejection.class, &*rejection.code), (Class::Conflict, "series-clashes"));
    let clashes = r#"[{"starts_at":"1970-01-02T09:00:00.000Z","reason":"no_employee"}]"#;
    assert_eq!((&*rejection.members[0].name, &*rejection.members[0].json), ("clashes", clashes));
    assert_eq!(salon.world.view.hash(), before, "a refusal changes nothing");

    let skip = BookSeries { on_clash: OnClash::Skip, ..refuse.clone() };
    let (_, booked, occurrences) = book(&mut salon, skip.clone()).expect("two are free");
    let (ann, taken) = (Ok(salon.ann.id), Err("no_employee".to_owned()));
    assert_eq!(told(&occurrences), [ann.clone(), taken, ann]);
    assert_eq!(booked.is.bookings.len(), 2);
    let rejection = book(&mut salon, skip).expect_err("nothing is left");
    assert_eq!(rejection.code, "series-clashes");

    let beyond = series(&salon, salon.cut, Some(salon.ann), at(11, 0), "FREQ=MONTHLY;INTERVAL=12;COUNT=3");
    let beyond = BookSeries { on_clash: OnClash::Skip, ..beyond };
    let (_, _, occurrences) = book(&mut salon, beyond).expect("the first is within the horizon");
    let ends: Vec<_> = told(&occurrences).into_iter().map(|told| told.err().unwrap_or_default()).collect();
    assert_eq!(ends, ["", "", "too_far"]);
}

#[test]
fn visits_of_a_series_are_in_each_others_way() {
    let mut salon = Salon::new();
    let nine_hours = TimePatch { duration_minutes: Some(9 * 60), ..TimePatch::default() };
    let patch = ServicePatch { time: nine_hours, ..ServicePatch::default() };
    let change = Change { id: salon.cut, what: patch, if_version: None };
    salon.world.submit(TENANT, &Command::UpdateService(change)).expect("a long one");
    let items = vec![WantedItem { service: salon.cut, employee: Some(salon.ann.id) }; 3];
    let base = series(&salon, salon.cut, Some(salon.ann), at(9, 0), "FREQ=DAILY;COUNT=3");
    let forced = BookSeries { items, force: true, on_clash: OnClash::Skip, ..base };
    let (_, _, occurrences) = book(&mut salon, forced).expect("the first is free");
    let taken = Err("no_employee".to_owned());
    assert_eq!(told(&occurrences), [Ok(salon.ann.id), taken, Ok(salon.ann.id)], "27 hours each");
}

#[test]
fn a_series_is_refused_in_this_order() {
    let mut salon = Salon::new();
    let unknown = Uuid::from_u128(7);
    let mut check = |series: &BookSeries, class, code| {
        let before = salon.world.view.hash();
        let rejection = book(&mut salon, series.clone()).expect_err("refused");
        assert_eq!((rejection.class, &*rejection.code), (class, code), "{series:?}");
        assert_eq!(salon.world.view.hash(), before, "a refusal changes nothing");
    };
    let other = Salon::new();
    let mut wrong = series(&other, unknown, Some(Place { id: unknown, number: 0 }), at(1, 1), "FREQ=YEARLY");
    wrong.customer = ForCustomer::Known(unknown);
    let items = std::mem::take(&mut wrong.items);
    check(&wrong, Class::Unprocessable, "invalid-items");
    wrong.items = items;
    wrong.notes = Some("x".repeat(2_001));
    check(&wrong, Class::Unprocessable, "invalid-notes");
    wrong.notes = None;
    for rule in [
        "FREQ=YEARLY",
        "",
        "FREQ=WEEKLY",
        "FREQ=WEEKLY;BYDAY=MO;COUNT=3",
        "FREQ=DAILY;UNTIL=19700630",
        "FREQ=MONTHLY;INTERVAL=99;COUNT=3",
        "FREQ=DAILY;COUNT=105",
    ] {
        wrong.rule = rule.into();
        check(&wrong, Class::Unprocessable, "invalid-rrule");
    }
    wrong.rule = "FREQ=DAILY;COUNT=2".into();
    check(&wrong, Class::Absent, "customer-not-found");
    wrong.customer = ForCustomer::Known(other.customer);
    check(&wrong, Class::Absent, "service-not-found");
    wrong.items[0].service = other.cut;
    check(&wrong, Class::Absent, "employee-not-found");
    wrong.items[0].employee = None;
    check(&wrong, Class::Conflict, "series-clashes");
    let rejection = cancel(&mut salon, unknown, None, None).expect_err("there is none");
    assert_eq!((rejection.class, &*rejection.code), (Class::Absent, "series-not-found"));
}

#[test]
fn visits_begin_at_the_same_local_time_whatever_the_clocks_do() {
    let mut salon = Salon::new();
    let profile = tenants::Profile {
        number: TENANT.0,
        id: Uuid::from_u128(1),
        slug: "north".into(),
        alias: None,
        name: "Salon North".into(),
        time_zone: "Europe/Berlin".into(),
        currency: "EUR".into(),
        locale: "de-DE".into(),
        drop_ins: tenants::DropIns::NONE,
        public: false,
        automatic: false,
        closed: false,
        created_at: at(0, 0),
    };
    let of_system = At { tenant: TenantNumber::SYSTEM, seq: 999, ordinal: 0, timestamp: at(0, 0) };
    tenants::Rules.apply(&mut salon.world.view, &tenants::Fact::TenantCreated(profile), of_system);
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    let local = |text: &str| {
        let local: jiff::civil::DateTime = text.parse().expect("a local time");
        local_time::instant(&zone, local)
    };
    // Clocks were put forward on 6 April 1980, and back on 28 September.
    salon.wait_until(local("1980-03-01T12:00"));
    for (start, rule, instants) in [
        (
            "1980-03-30T09:00",
            "FREQ=WEEKLY;COUNT=3",
            ["1980-03-30T08:00", "1980-04-06T07:00", "1980-04-13T07:00"],
        ),
        (
            "1980-09-21T16:00",
            "FREQ=WEEKLY;COUNT=3",
            ["1980-09-21T14:00", "1980-09-28T15:00", "1980-10-05T15:00"],
        ),
    ] {
        let command = series(&salon, salon.cut, Some(salon.bob), local(start), rule);
        let (_, _, occurrences) = book(&mut salon, command).expect("within shifts");
        let said: Vec<_> = occurrences.iter().map(|occurrence| occurrence.starts_at.to_string()).collect();
        assert_eq!(said, instants.map(|instant| format!("{instant}:00.000Z")));
        assert_eq!(told(&occurrences), vec![Ok(salon.bob.id); 3]);
    }
}

const RULES: [&str; 6] = [
    "FREQ=DAILY;COUNT=5",
    "FREQ=DAILY;INTERVAL=2;COUNT=3",
    "FREQ=DAILY;UNTIL=19700105",
    "FREQ=WEEKLY;COUNT=2",
    "FREQ=WEEKLY;BYDAY=TH,FR,SA;COUNT=4",
    "FREQ=DAILY;COUNT=1",
];

#[derive(Debug, Clone)]
struct Drawn {
    before: Vec<(u8, u8, u8, bool)>,
    rule: usize,
    quarter: u8,
    services: Vec<u8>,
    employee: u8,
    force: bool,
    skip: bool,
    late: bool,
}

fn any_drawn() -> impl Strategy<Value = Drawn> {
    let before = prop::collection::vec((0..6_u8, 34..70_u8, 0..3_u8, any::<bool>()), 0..25);
    let services = prop::collection::vec(0..3_u8, 1..4);
    (before, 0..RULES.len(), 32..70_u8, services, 0..3_u8, any::<[bool; 3]>()).prop_map(
        |(before, rule, quarter, services, employee, [force, skip, late])| Drawn {
            before,
            rule,
            quarter,
            services,
            employee,
            force,
            skip,
            late,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Holds that were over when the series was booked are among what is there before.
    #[test]
    fn a_series_is_its_visits_booked_one_by_one(drawn in any_drawn()) {
        let mut salon = Salon::new();
        let service = |salon: &Salon, number: u8| [salon.cut, salon.colour, salon.wash][usize::from(number)];
        let employee = |salon: &Salon, number: u8| [None, Some(salon.ann), Some(salon.bob)][usize::from(number)];
        let quarter_at = |day: u8, quarter: u8| at(i64::from(day) * 24, i64::from(quarter) * 15);
        for (day, quarter, number, held) in &drawn.before {
            let book = salon.visit(service(&salon, *number), None, quarter_at(*day, *quarter));
            // Whether it is to be had is not of interest here.
            let _ = salon.book(Book { hold_seconds: held.then_some(300), ..book });
        }
        if drawn.late {
            salon.wait_until(at(1, 0));
        }
        let starts_at = quarter_at(0, drawn.quarter);
        let item = |number: &u8| WantedItem {
            service: service(&salon, *number),
            employee: employee(&salon, drawn.employee).map(|place| place.id),
        };
        let items: Vec<WantedItem> = drawn.services.iter().map(item).collect();
        let rule = RULES[drawn.rule];
        let mut one_by_one = salon.clone();
        let parsed = Recurrence::parse(rule).expect("a rule");
        let starts = parsed.occurrences(&TimeZone::UTC, starts_at).expect("a series");
        let single = |starts_at: &Timestamp| {
            let base = one_by_one.visit(salon.cut, None, *starts_at);
            match one_by_one.book(Book { items: items.clone(), force: drawn.force, ..base }) {
                Ok(booked) => Ok(booked.is.items),
                Err(rejection) => Err(rejection.members[0].json.trim_matches('"').to_owned()),
            }
        };
        let expected: Vec<_> = starts.iter().map(single).collect();
        let before = salon.world.view.hash();
        let command = BookSeries {
            items,
            force: drawn.force,
            on_clash: if drawn.skip { OnClash::Skip } else { OnClash::Refuse },
            ..series(&salon, salon.cut, None, starts_at, rule)
        };
        let clashes = expected.iter().filter(|visit| visit.is_err()).count();
        match book(&mut salon, command) {
            Ok((_, series, occurrences)) => {
                let visits = occurrences.into_iter().map(|occurrence| match occurrence.visited {
                    Visited::Booked(booking) => Ok(booking.is.items),
                    Visited::Clashed(reason) => Err(reason),
                    Visited::Cancelled(booking) => panic!("{booking:?}"),
                });
                prop_assert_eq!(visits.collect::<Vec<_>>(), expected);
                prop_assert!(clashes == 0 || drawn.skip);
                prop_assert_eq!(series.is.bookings.len(), starts.len() - clashes);
                prop_assert_eq!(salon.world.replay().hash(), salon.world.view.hash());
                let from = Some(at(24, 0));
                cancel(&mut salon, series.is.id, from, None).expect("it is there");
                super::transfer::check_import(&salon.world)?;
            }
            Err(rejection) => {
                prop_assert_eq!(&*rejection.code, "series-clashes");
                prop_assert!(clashes == starts.len() || (clashes > 0 && !drawn.skip));
                prop_assert_eq!(rejection.members[0].json.matches("starts_at").count(), clashes);
                prop_assert_eq!(salon.world.view.hash(), before);
            }
        }
    }
}
