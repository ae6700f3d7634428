//! Salons in exports and imports.

use jiff::civil::date;
use maitred_booking::salons::booking::BookingStatus;
use maitred_booking::salons::bookings_view::{BookingQuery, bookings};
use maitred_booking::salons::command::{
    Advance, Book, BookSeries, CancelSeries, Change, CustomerPatch, EmployeeDetails, EnterWaitlist,
    ForCustomer, OfferTime, OnClash, PlanChange, Reschedule, ResourceDetails, SettingsPatch, WantedItem,
};
use maitred_booking::salons::fact::{Buffers, Customer, Employee, Service};
use maitred_booking::salons::intervals::Span;
use maitred_booking::salons::local_time::later;
use maitred_booking::salons::plan::{AbsenceTime, Day, DayTime};
use maitred_booking::salons::waitlist::{WaitlistEntry, WaitlistStatus};
use maitred_booking::salons::{
    self, Command as Salon, Decimal, LegacyStatus, PutCustomer, PutLegacyBooking, view,
};
use uuid::Uuid;

use super::*;

const TENANT: TenantNumber = TenantNumber(1);
/// What a running hold in these tests has left, at most.
const HOLD_SECONDS: u32 = 900;

impl Server {
    fn of_salon(&self, command: Salon) -> salons::Outcome {
        match self.submit(TENANT, command) {
            Outcome::Salons(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn change<What>(id: Uuid, what: What) -> Change<Uuid, What> {
        Change { id, what, if_version: None }
    }

    fn book(&self, item: WantedItem, customer: Uuid, starts_at: i64, hold_seconds: Option<u32>) -> Uuid {
        let book = Book {
            customer: ForCustomer::Known(customer),
            starts_at: hour(starts_at),
            items: vec![item],
            hold_seconds,
            holder: hold_seconds.map(|_| u128::MAX - 1),
            token_hash: hold_seconds.map(|_| 0xabc),
            force: true,
            notes: Some("Allergie: \"Ammoniak\"\n".into()),
        };
        match self.of_salon(Salon::Book(book)) {
            salons::Outcome::Booking(_, booking) => booking.is.id,
            other => panic!("{other:?}"),
        }
    }

    fn put_legacy(&self, id: &str, price: f64, changed_at: i64) {
        self.of_salon(Salon::PutLegacyBooking(PutLegacyBooking {
            external_id: Some(id.into()),
            customer_id: "c-1".into(),
            title: "Schnitt & \"Farbe\"".into(),
            description: "ä\u{1}\n".repeat(20),
            date: hour(changed_at),
            status: LegacyStatus::Pending,
            price: Decimal::new(price).expect("finite"),
            currency: maitred_booking::money::Currency::parse("EUR").expect("a code"),
            created_at: hour(-9),
            changed_at: hour(changed_at),
        }));
    }

    /// The salon of the demo, with everything that can become of its records, and holds that are running.
    fn demo_salon() -> Self {
        let server = Server::new();
        server.create("salon");
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let seeded = crate::demo_salon::seed(&server.app, TENANT, today);
        assert!(server.runtime.block_on(seeded).expect("a salon") > 100);
        let view = server.app.engine().view();
        let services: Vec<Service> = view::all(&view, TENANT);
        let employees: Vec<Employee> = view::all(&view, TENANT);
        let customer = view::first_customer(&view, TENANT).expect("customers").is.id;
        drop(view);

        let settings = SettingsPatch { buffers: Some(Buffers::Max), ..SettingsPatch::default() };
        server.of_salon(Salon::ChangeSettings(Change { id: (), what: settings, if_version: None }));
        let ada = employees.iter().find(|employee| employee.name == "Ada").expect("she works there").id;
        let service =
            |name: &str| services.iter().find(|service| service.name == name).expect("it is done there").id;
        server.of_salon(Salon::SetCalendarToken(Server::change(ada, Some(0xfeed))));
        let day = |day| Day::of(date(2030, 3, day));
        let span = vec![DayTime { from_minute: 22 * 60, to_minute: 6 * 60 }];
        for what in [
            PlanChange::SetException(day(4), span),
            PlanChange::SetException(day(3), Vec::new()),
            PlanChange::AddAbsence {
                time: AbsenceTime::Days(day(9), day(11)),
                reason: Some("Urlaub".into()),
            },
            PlanChange::AddAbsence { time: AbsenceTime::Instants(hour(7), hour(8)), reason: None },
        ] {
            server.of_salon(Salon::ChangePlan(Server::change(ada, what)));
        }
        server.of_salon(Salon::DeleteService(Server::change(service("Beard"), ())));
        let room = ResourceDetails { name: "Back room".into(), kind: "room".into(), active: true };
        if let salons::Outcome::Resource(_, room) = server.of_salon(Salon::CreateResource(room)) {
            server.of_salon(Salon::DeleteResource(Server::change(room.is.id, ())));
        }
        let zoe = EmployeeDetails { name: "Zoe".into(), skills: Vec::new(), colour: None, active: true };
        if let salons::Outcome::Employee(_, zoe) = server.of_salon(Salon::CreateEmployee(zoe)) {
            server.of_salon(Salon::DeleteEmployee(Server::change(zoe.is.id, ())));
        }
        server.of_salon(Salon::PutCustomer(PutCustomer {
            external_id: "c-1".into(),
            name: "Ida".into(),
            email: Some("ida@example.com".into()),
            phone: Some("030 1".into()),
            created_at: hour(-3),
            changed_at: hour(-2),
        }));
        let notes = CustomerPatch { notes: Some(Some("früh".into())), ..CustomerPatch::default() };
        let ida = view::id_of_text("c-1");
        server.of_salon(Salon::UpdateCustomer(Server::change(ida, notes)));
        server.of_salon(Salon::DeleteCustomer(Server::change(ida, ())));
        for (id, price, changed_at) in [("b-1", 45.5, 1), ("b-1", -0.1, 2), ("b-2", 1e300, 3)] {
            server.put_legacy(id, price, changed_at);
        }

        let item = WantedItem { service: service("Cut"), employee: Some(ada) };
        let advance = |id, what| server.of_salon(Salon::Advance(Server::change(id, what)));
        let at = |hours: i64| 100_000 + hours;
        advance(server.book(item, customer, at(0), None), Advance::Cancel);
        advance(server.book(item, customer, at(0), None), Advance::Complete);
        advance(server.book(item, customer, at(1), None), Advance::NoShow);
        advance(server.book(item, customer, at(1), Some(HOLD_SECONDS)), Advance::Confirm);
        let moved = server.book(item, customer, at(2), Some(HOLD_SECONDS));
        let to =
            Reschedule { booking: moved, starts_at: hour(at(3)), items: None, force: true, if_version: None };
        server.of_salon(Salon::Reschedule(to));
        server.book(item, customer, at(2), Some(HOLD_SECONDS));
        server.series(item, customer, hour(at(4)));
        server.waitlist(item, customer);
        server
    }

    /// A series of three visits, of which the last two are called off.
    fn series(&self, item: WantedItem, customer: Uuid, starts_at: Timestamp) {
        let series = BookSeries {
            customer: ForCustomer::Known(customer),
            starts_at,
            items: vec![item],
            rule: "FREQ=WEEKLY;COUNT=3".into(),
            on_clash: OnClash::Refuse,
            force: true,
            notes: None,
        };
        let salons::Outcome::Series(_, booked, visits) = self.of_salon(Salon::BookSeries(series)) else {
            panic!("a series")
        };
        let from = Some(visits[1].starts_at);
        self.of_salon(Salon::CancelSeries(CancelSeries { series: booked.is.id, from, if_version: None }));
    }

    /// Entries of each status but expired, of which two have an offer that is running.
    fn waitlist(&self, item: WantedItem, customer: Uuid) {
        let now = self.app.engine().now();
        let window = Span::new(later(now, 24 * 60), later(now, 9 * 24 * 60));
        let enter = |token_hash| {
            let (services, employee) = (vec![item.service], item.employee);
            let (from, to) = (window.starts_at, window.ends_at);
            let entry = EnterWaitlist { customer, services, employee, from, to, token_hash };
            match self.of_salon(Salon::EnterWaitlist(entry)) {
                salons::Outcome::Waitlist(_, found) => found.is.id,
                other => panic!("{other:?}"),
            }
        };
        let offer = |entry| {
            let offer = OfferTime { entry, starts: window };
            match self.of_salon(Salon::OfferTime(offer)) {
                salons::Outcome::Waitlist(_, found) => found.is.offer.expect("there is time").booking,
                other => panic!("{other:?}"),
            }
        };
        let advance = |id, what| self.of_salon(Salon::Advance(Server::change(id, what)));
        let (taken, passed, left) = (enter(None), enter(Some(5)), enter(None));
        enter(None);
        advance(offer(taken), Advance::Confirm);
        advance(offer(passed), Advance::Cancel);
        offer(passed);
        self.of_salon(Salon::CancelWaitlistEntry(Server::change(left, ())));
        offer(enter(Some(6)));
    }
}

#[test]
fn a_salon_is_exported_imported_and_exported_again_alike() {
    let salon = Server::demo_salon();
    let exported = salon.export(1);
    let count = |kind: &str| exported.matches(&format!("{{\"type\":\"{kind}\",")).count();
    let kinds =
        ["salon_settings", "employee", "service", "resource", "customer", "shift_plan", "legacy_booking"];
    assert_eq!(kinds.map(count), [1, 6, 5, 4, 9, 7, 3]);
    assert!(count("booking") > 110, "{}", count("booking"));
    assert_eq!(["series", "waitlist_entry"].map(count), [2, 12]);
    for text in ["held", "confirmed", "cancelled", "completed", "no_show", "waiting", "offered", "taken"] {
        assert!(exported.contains(&format!("\"status\":\"{text}\"")), "{text}");
    }
    let lines = exported.lines().count() as u64 - 1;
    let copy = Server::new();
    let (tally, refused) = copy.import(&exported, Destination::Slug(None));
    assert_eq!((tally, refused), (Tally { imported: lines, unchanged: 0, refused: 0 }, vec![]));
    assert!(copy.export(usize::MAX / 2) == exported, "the same bytes");
    let position = copy.app.engine().position();
    for server in [&copy, &salon] {
        let again = server.import(&exported, Destination::Slug(None));
        assert_eq!(again, (Tally { imported: 0, unchanged: lines, refused: 0 }, vec![]));
    }
    assert_eq!(copy.app.engine().position(), position, "nothing was written");
}

#[test]
fn a_running_hold_runs_on_and_is_confirmed_where_it_is_imported() {
    let salon = Server::demo_salon();
    let copy = Server::new();
    copy.import(&salon.export(1 << 20), Destination::Slug(None));
    let held = |server: &Server| {
        let engine = server.app.engine();
        let query =
            BookingQuery { status: Some(BookingStatus::Held), at: engine.now(), ..BookingQuery::default() };
        let found = bookings(&engine.view(), TENANT, &query, None, 10).items;
        found.into_iter().map(|found| (found.is.id, found.is.hold_expires_at)).collect::<Vec<_>>()
    };
    let running = held(&copy);
    let millis = |held: Vec<(Uuid, Option<Timestamp>)>| {
        held.into_iter().map(|(id, at)| (id, at.map(Timestamp::as_millis))).collect::<Vec<_>>()
    };
    assert_eq!(millis(running.clone()), millis(held(&salon)));
    assert_eq!(running.len(), 4, "two of them are offers, and begin first");
    copy.of_salon(Salon::Advance(Server::change(running[0].0, Advance::Confirm)));
    assert_eq!(held(&copy).len(), 3);
    let view = copy.app.engine().view();
    let entries = view::records::<WaitlistEntry>(&view, TENANT, None, None, 100).items;
    let taken = entries.iter().filter(|entry| entry.is.status == WaitlistStatus::Taken).count();
    assert_eq!((entries.len(), taken), (5, 2), "whoever confirms an offer there has taken it");
    let customer: Customer = view::first_customer(&view, TENANT).expect("customers").is;
    assert_eq!(customer.name, "Anna Adler", "they are in the order in which they were noted");
}

#[test]
fn the_longest_plan_has_a_line() {
    let server = Server::new();
    server.create("salon");
    let seeded = crate::demo_salon::seed(&server.app, TENANT, date(2030, 1, 7));
    server.runtime.block_on(seeded).expect("a salon");
    let employees: Vec<Employee> = view::all(&server.app.engine().view(), TENANT);
    // Nearly as long as what a command keeps.
    for number in 0..30 {
        let reason = Some("🦀".repeat(2_000));
        let time = AbsenceTime::Instants(hour(number), hour(number + 1));
        let what = PlanChange::AddAbsence { time, reason };
        server.of_salon(Salon::ChangePlan(Server::change(employees[0].id, what)));
    }
    let exported = server.export(1 << 20);
    let longest = exported.lines().map(str::len).max().expect("lines");
    assert!(longest > 240_000 && longest < LINE_BYTES_MAX, "{longest}");
    let copy = Server::new();
    let (_, refused) = copy.import(&exported, Destination::Slug(None));
    assert_eq!(refused, vec![]);
    assert!(copy.export(1 << 20) == exported);
}

#[test]
fn an_export_of_any_length_holds_no_more_than_a_piece() {
    const PIECE: usize = 16 * 1024;
    let server = Server::new();
    server.create("salon");
    for number in 0..3_000 {
        server.put_legacy(&format!("b-{number}"), 10.0, number);
    }
    let view = server.app.engine().view();
    let mut export = Export::new(&view, TENANT, view.seq()).expect("the tenant is there");
    let (mut piece, mut longest, mut all, mut pieces) = (Vec::new(), 0, 0, 0);
    let mut more = true;
    while more {
        piece.clear();
        more = export.fill(&view, &mut piece, PIECE);
        let lines = piece.split(|byte| *byte == b'\n').map(<[u8]>::len);
        longest = lines.max().unwrap_or(0).max(longest);
        assert!(piece.len() <= PIECE + longest + 1, "{}", piece.len());
        (all, pieces) = (all + piece.len(), pieces + 1);
    }
    assert!(all > 50 * PIECE && pieces > 50, "{all} bytes in {pieces} pieces");
}

#[test]
fn lines_of_a_salon_that_break_a_rule_are_refused_one_by_one() {
    let exported = Server::demo_salon().export(1 << 20);
    let mut seen = 0;
    for (from, to, code) in [
        ("\"status\":\"no_show\"", "\"status\":\"maybe\"", "line-invalid"),
        ("\"status\":\"no_show\"", "\"status\":\"held\"", "invalid-transition"),
        ("\"status\":\"pending\"", "\"status\":\"held\"", "line-invalid"),
        ("\"calendar_token_hash\":\"000", "\"calendar_token_hash\":\"", "line-invalid"),
        ("\"holder\":\"f", "\"holder\":\"x", "line-invalid"),
        ("\"buffers\":\"max\"", "\"buffers\":\"none\"", "line-invalid"),
        ("\"buffers\":\"max\"", "\"buffers\":\"max\",\"more\":1", "line-invalid"),
        ("\"buffers\":\"max\"", "\"buffers\":\"max\"},\"more\":{\"a\":1", "line-invalid"),
        ("\"to\":\"2030-03-11\",\"starts_at\":null", "\"to\":null,\"starts_at\":null", "line-invalid"),
        ("\"step_minutes\":15", "\"step_minutes\":1", "invalid-settings"),
        ("\"external_id\":\"c-1\"", "\"external_id\":\"c-2\"", "invalid-external-id"),
        ("\"currency\":\"EUR\",\"created_at\"", "\"currency\":\"euro\",\"created_at\"", "line-invalid"),
        ("\"price\":1e+300", "\"price\":1e999", "line-malformed"),
    ] {
        let broken = exported.replacen(from, to, 1);
        assert_ne!(broken, exported, "{from} stands in an export");
        let (_, refused) = Server::new().import(&broken, Destination::Slug(None));
        assert!(refused.iter().any(|refused| refused.code == code), "{to}: {refused:?}");
        seen += 1;
    }
    assert_eq!(seen, 13);
}
