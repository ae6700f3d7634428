//! Samples of a salon's facts, in an order in which they could have been decided.

use maitred_booking::flash_sales::Versioned;
use maitred_booking::imported::Imported;
use maitred_booking::money::{Currency, Money};
use maitred_booking::salons;
use maitred_booking::salons::booking::{BookedItem, Booking as Visit, BookingStatus, Place};
use maitred_booking::salons::fact::{Buffers, Customer, Employee, Resource, Service, ServiceTime, Settings};
use maitred_booking::salons::intervals::Span;
use maitred_booking::salons::plan::{AbsenceState, AbsenceTime, Day, DayTime, Pattern, PlanState};
use maitred_booking::salons::series::Series;
use maitred_booking::salons::waitlist::{OpenOffer, PassedOffer, WaitlistEntry, WaitlistStatus};
use maitred_booking::salons::{Decimal, LegacyBooking, LegacyStatus};
use maitred_core::{Recorded, Storable, Timestamp};
use uuid::Uuid;

/// A salon with one of everything, and bookings of every status.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, salons::Fact)> {
    use salons::Fact::{
        BookingCancelled, BookingCompleted, BookingConfirmed, BookingCreated, BookingExpired,
        BookingImported, BookingNoShow, BookingRescheduled, CustomerCreated, CustomerDeleted,
        CustomerImported, CustomerUpdated, EmployeeCreated, EmployeeDeleted, EmployeeImported,
        EmployeeUpdated, LegacyBookingImported, LegacyBookingPut, PlanChanged, PlanImported, ResourceCreated,
        ResourceDeleted, ResourceImported, ResourceUpdated, SeriesBooked, SeriesCancelled, SeriesImported,
        ServiceCreated, ServiceDeleted, ServiceImported, ServiceUpdated, SettingsChanged, SettingsImported,
        WaitlistCancelled, WaitlistEntered, WaitlistExpired, WaitlistImported, WaitlistOffered,
        WaitlistPassed, WaitlistTaken,
    };

    let id = |last: u8| Uuid::from_bytes([3, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, last]);
    let at = |minutes: i64| Timestamp::from_millis(1_700_000_000_000 + minutes * 60_000);
    let price = Money { amount: 4_500, currency: Currency::parse("EUR").expect("a code") };
    let plain = ServiceTime {
        duration_minutes: 30,
        buffer_before_minutes: 0,
        buffer_after_minutes: 5,
        processing: None,
    };
    let colour = ServiceTime { duration_minutes: 90, processing: Some((30, 45)), ..plain };
    let settings = Settings { buffers: Buffers::Max, min_notice_minutes: 60, ..Settings::default() };
    let number = |n: u32| (1 << 31) + n;
    let ann = Employee {
        id: id(1),
        number: number(0),
        name: "Änne".into(),
        skills: Vec::new(),
        colour: None,
        active: true,
        calendar_token_hash: None,
        deleted: false,
        created_at: at(0),
    };
    let skilled = Employee {
        skills: vec![id(2)],
        colour: Some("#1a2b3c".into()),
        calendar_token_hash: Some(7),
        ..ann.clone()
    };
    let cut = Service {
        id: id(2),
        name: "Schnitt".into(),
        time: plain,
        price,
        needs_resource: None,
        active: true,
        deleted: false,
        created_at: at(0),
    };
    let dye = Service { time: colour, needs_resource: Some("chair".into()), active: false, ..cut.clone() };
    let chair = Resource {
        id: id(3),
        number: number(1),
        name: "Stuhl 1".into(),
        kind: "chair".into(),
        active: true,
        deleted: false,
        created_at: at(0),
    };
    let eve = Customer {
        id: id(4),
        external_id: None,
        name: "Eve".into(),
        email: None,
        phone: None,
        notes: None,
        deleted: false,
        created_at: at(0),
        changed_at: None,
    };
    let imported = Customer {
        id: id(5),
        external_id: Some("c1".into()),
        email: Some("a@x".into()),
        phone: Some("1".into()),
        notes: Some("kommt gern früh".into()),
        changed_at: Some(at(-7)),
        ..eve.clone()
    };
    let span = DayTime { from_minute: 540, to_minute: 1_020 };
    let day = |day| Day::of(jiff::civil::date(2026, 1, day));
    let pattern = Pattern {
        valid_from: day(1),
        valid_to: Some(day(31)),
        every_weeks: 2,
        days: std::array::from_fn(|weekday| if weekday < 5 { vec![span] } else { Vec::new() }),
    };
    let absence = |last, time| AbsenceState { id: id(last), time, reason: (last == 7).then(|| "flu".into()) };
    let plan = PlanState {
        employee: id(1),
        patterns: vec![pattern],
        exceptions: vec![(day(6), Vec::new())],
        absences: vec![
            absence(6, AbsenceTime::Days(day(7), day(9))),
            absence(7, AbsenceTime::Instants(at(1), at(2))),
        ],
    };
    let item = |time, starts_at, resource| BookedItem {
        service: id(2),
        name: "Schnitt".into(),
        time,
        price,
        starts_at,
        employee: Place { id: id(1), number: number(0) },
        resource,
    };
    let visit = |last: u8, hour: i64, status| Visit {
        id: id(last),
        customer: id(4),
        status,
        starts_at: at(hour * 60),
        ends_at: at(hour * 60 + 30),
        items: vec![item(plain, at(hour * 60), None)],
        hold_expires_at: None,
        holder: None,
        token_hash: None,
        forced: false,
        notes: None,
        created_at: at(0),
        series: None,
        offered_to: None,
    };
    let held = |last: u8, hour: i64, status| Visit {
        hold_expires_at: Some(at(5)),
        holder: Some(99),
        token_hash: Some(u128::MAX),
        ..visit(last, hour, status)
    };
    let long = Visit {
        items: vec![
            item(colour, at(900), Some(Place { id: id(3), number: number(1) })),
            item(plain, at(990), None),
        ],
        ends_at: at(1_020),
        forced: true,
        notes: Some("Allergie".into()),
        ..visit(20, 15, BookingStatus::Confirmed)
    };
    let again =
        |last: u8, hour: i64| Visit { series: Some(id(40)), ..visit(last, hour, BookingStatus::Confirmed) };
    let series = Series {
        id: id(40),
        customer: id(4),
        starts_at: at(25 * 60),
        rule: "FREQ=DAILY;COUNT=2".into(),
        bookings: vec![id(41), id(42)],
        cancelled_from: None,
        created_at: at(0),
    };
    let entry = |last: u8| WaitlistEntry {
        id: id(last),
        number: u64::from(last),
        customer: id(4),
        services: vec![id(2)],
        employee: None,
        from: at(0),
        to: at(100_000),
        status: WaitlistStatus::Waiting,
        offer: None,
        passed: Vec::new(),
        token_hash: None,
        created_at: at(0),
    };
    let demanding = WaitlistEntry {
        employee: Some(id(1)),
        services: vec![id(2), id(2)],
        token_hash: Some(5),
        ..entry(51)
    };
    let offer = |status| Visit { offered_to: Some(id(51)), ..held(60, 30, status) };
    let next_offer = |status| Visit { id: id(61), offered_to: Some(id(51)), ..held(61, 31, status) };
    let offered = |booking| WaitlistEntry {
        status: WaitlistStatus::Offered,
        offer: Some(OpenOffer { booking, expires_at: at(5) }),
        ..demanding.clone()
    };
    let missed = vec![PassedOffer::new(Span::new(at(1_800), at(1_830)))];
    let passed = WaitlistEntry { passed: missed.clone(), ..demanding.clone() };
    let taken = WaitlistEntry { status: WaitlistStatus::Taken, passed: missed.clone(), ..offered(id(61)) };
    let waited = |last, status| WaitlistEntry { status, ..entry(last) };
    let legacy = LegacyBooking {
        id: id(30),
        external_id: None,
        customer_id: "c1".into(),
        title: "Schnitt".into(),
        description: "kurz".into(),
        date: at(60),
        status: LegacyStatus::Pending,
        price: Decimal::from_cents(-4_550),
        currency: Currency::parse("EUR").expect("a code"),
        created_at: at(0),
        changed_at: at(1),
    };
    let later = LegacyBooking {
        external_id: Some("b1".into()),
        date: at(61),
        status: LegacyStatus::Completed,
        ..legacy.clone()
    };
    use BookingStatus::{Cancelled, Completed, Confirmed, Expired, Held, NoShow};
    let taken_over = [
        ("settings_imported", SettingsImported(as_imported(1, settings))),
        ("service_imported", ServiceImported(as_imported(1, dye.clone()))),
        (
            "service_imported_deleted",
            ServiceImported(as_imported(2, Service { deleted: true, ..dye.clone() })),
        ),
        ("employee_imported", EmployeeImported(as_imported(1, skilled.clone()))),
        ("employee_imported_again", EmployeeImported(as_imported(2, ann.clone()))),
        ("resource_imported", ResourceImported(as_imported(1, chair.clone()))),
        (
            "resource_imported_deleted",
            ResourceImported(as_imported(2, Resource { deleted: true, active: false, ..chair.clone() })),
        ),
        ("customer_imported", CustomerImported(as_imported(1, eve.clone()))),
        (
            "customer_imported_again",
            CustomerImported(as_imported(2, Customer { name: "Ida".into(), ..eve.clone() })),
        ),
        ("plan_imported", PlanImported(as_imported(1, plan.clone()))),
        ("booking_imported", BookingImported(as_imported(1, long.clone()))),
        ("booking_imported_held", BookingImported(as_imported(1, held(11, 2, Held)))),
        (
            "booking_imported_held_once",
            BookingImported(Imported { latest: false, ..as_imported(1, held(12, 3, Held)) }),
        ),
        ("booking_imported_expired", BookingImported(as_imported(2, held(12, 3, Expired)))),
        (
            "booking_imported_held_still",
            BookingImported(Imported { latest: false, ..as_imported(1, held(13, 4, Held)) }),
        ),
        ("legacy_booking_imported", LegacyBookingImported(as_imported(1, legacy.clone()))),
        ("legacy_booking_imported_again", LegacyBookingImported(as_imported(2, later.clone()))),
        ("series_imported", SeriesImported(as_imported(1, series.clone()))),
        (
            "series_imported_cancelled",
            SeriesImported(as_imported(2, Series { cancelled_from: Some(at(48 * 60)), ..series.clone() })),
        ),
        ("waitlist_imported", WaitlistImported(as_imported(1, entry(54)))),
        ("waitlist_imported_once", WaitlistImported(Imported { latest: false, ..as_imported(1, entry(55)) })),
        (
            "waitlist_imported_cancelled",
            WaitlistImported(as_imported(2, waited(55, WaitlistStatus::Cancelled))),
        ),
    ];
    [
        ("settings_changed", SettingsChanged(settings)),
        ("employee_created", EmployeeCreated(ann)),
        ("employee_updated", EmployeeUpdated(skilled.clone())),
        ("service_created", ServiceCreated(cut)),
        ("service_updated", ServiceUpdated(dye.clone())),
        ("resource_created", ResourceCreated(chair.clone())),
        ("resource_updated", ResourceUpdated(Resource { active: false, ..chair.clone() })),
        ("customer_created", CustomerCreated(eve.clone())),
        ("customer_created_imported", CustomerCreated(imported.clone())),
        ("customer_updated", CustomerUpdated(Customer { name: "Ida".into(), ..imported })),
        ("plan_changed", PlanChanged(plan)),
        ("booking_created", BookingCreated(visit(10, 1, Confirmed))),
        ("booking_created_held", BookingCreated(held(11, 2, Held))),
        ("booking_created_held_expiring", BookingCreated(held(12, 3, Held))),
        ("booking_created_held_open", BookingCreated(held(13, 4, Held))),
        ("booking_created_no_show", BookingCreated(visit(14, 5, Confirmed))),
        ("booking_created_completed", BookingCreated(visit(15, 6, Confirmed))),
        ("booking_created_moving", BookingCreated(visit(20, 8, Confirmed))),
        ("booking_confirmed", BookingConfirmed(held(11, 2, Confirmed))),
        ("booking_expired", BookingExpired(held(12, 3, Expired))),
        ("booking_cancelled", BookingCancelled(visit(10, 1, Cancelled))),
        ("booking_no_show", BookingNoShow(visit(14, 5, NoShow))),
        ("booking_completed", BookingCompleted(visit(15, 6, Completed))),
        ("booking_rescheduled", BookingRescheduled(long)),
        ("booking_created_in_series", BookingCreated(again(41, 25))),
        ("booking_created_in_series_again", BookingCreated(again(42, 49))),
        ("series_booked", SeriesBooked(series.clone())),
        ("booking_cancelled_in_series", BookingCancelled(Visit { status: Cancelled, ..again(42, 49) })),
        ("series_cancelled", SeriesCancelled(Series { cancelled_from: Some(at(48 * 60)), ..series })),
        ("waitlist_entered", WaitlistEntered(entry(50))),
        ("waitlist_entered_demanding", WaitlistEntered(demanding.clone())),
        ("waitlist_entered_leaving", WaitlistEntered(entry(52))),
        ("waitlist_entered_late", WaitlistEntered(entry(53))),
        ("booking_created_offered", BookingCreated(offer(Held))),
        ("waitlist_offered", WaitlistOffered(offered(id(60)))),
        ("booking_expired_offered", BookingExpired(offer(Expired))),
        ("waitlist_passed", WaitlistPassed(passed)),
        ("booking_created_offered_again", BookingCreated(next_offer(Held))),
        ("waitlist_offered_again", WaitlistOffered(WaitlistEntry { passed: missed, ..offered(id(61)) })),
        ("booking_confirmed_offered", BookingConfirmed(next_offer(Confirmed))),
        ("waitlist_taken", WaitlistTaken(taken)),
        ("waitlist_cancelled", WaitlistCancelled(waited(52, WaitlistStatus::Cancelled))),
        ("waitlist_expired", WaitlistExpired(waited(53, WaitlistStatus::Expired))),
        ("legacy_booking_put", LegacyBookingPut(legacy)),
        ("legacy_booking_put_again", LegacyBookingPut(later)),
        ("customer_deleted", CustomerDeleted(Customer { deleted: true, ..eve })),
        ("employee_deleted", EmployeeDeleted(Employee { deleted: true, active: false, ..skilled })),
        ("service_deleted", ServiceDeleted(Service { deleted: true, ..dye })),
        ("resource_deleted", ResourceDeleted(Resource { deleted: true, active: false, ..chair })),
    ]
    .into_iter()
    .chain(taken_over)
}

/// The newest version of a record on another server.
fn as_imported<T>(version: u64, is: T) -> Imported<T> {
    Imported { version, updated_at: Timestamp::from_millis(1_600_000_000_003), latest: true, is }
}

/// Outcomes are kept with idempotency keys: those of a build before series and the waitlist are still told.
#[test]
fn a_stored_outcome_of_the_first_version_is_read() {
    let body = super::unhex(&super::golden("230.1.booking_created.hex", ""));
    let fact = salons::Fact::decode(230, 1, &body).expect("a fact of the first version");
    let salons::Fact::BookingCreated(booking) = fact else { panic!("{fact:?}") };
    let updated_at = Timestamp::from_micros(0);
    // Version 1, a booking, created; its version, the instant, and the booking as its fact had it.
    let stored = [vec![1, 6, 1, 7, 0], body].concat();
    let found = Versioned { version: 7, updated_at, is: booking };
    let outcome = salons::Outcome::Booking(salons::Effect::Created, found);
    assert_eq!(salons::Outcome::restore(&stored).as_ref(), Ok(&outcome));

    let settings = Versioned { version: 2, updated_at, is: Settings::default() };
    for outcome in [salons::Outcome::Settings(salons::Effect::Updated, settings), outcome] {
        let mut stored = Vec::new();
        outcome.store(&mut stored);
        assert_eq!(stored[0], 2);
        assert_eq!(salons::Outcome::restore(&stored).as_ref(), Ok(&outcome));
        stored[0] = 3;
        assert!(salons::Outcome::restore(&stored).is_err(), "of a build that is to come");
        stored[0] = 1;
        let is_booking = matches!(outcome, salons::Outcome::Booking(..));
        assert_eq!(salons::Outcome::restore(&stored).is_err(), is_booking, "nothing else was otherwise");
    }
}
