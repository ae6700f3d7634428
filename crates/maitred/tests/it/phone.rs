//! `/v1/tenants/{tenant}/employees/{id}/calendar.ics` and `…/calendar-token`, read by a parser that knows nothing of this
//! one.

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarStatus, ICalendarValue,
};
use calcard::{Entry, Parser};
use jiff::{SignedDuration, Timestamp, ToSpan};
use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::server::Server;

const ZONE: &str = "Europe/Berlin";
const NOTES: &str = "Allergie: Ammoniak; \\ bitte, bitte \"kalt\"\nund ein sehr langer Satz, der über viele Zeilen geht: \
                     ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀";
const NAME: &str = "Eve, \"die\" O'Neil; \\o/";

/// A salon that answers nobody without a key, in a zone that changes its clocks.
struct Salon<'a> {
    server: &'a Server,
    ann: String,
    customer: String,
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

impl<'a> Salon<'a> {
    fn new(server: &'a Server) -> Self {
        server.patch("/v1/tenants/salon", &json!({"public": false, "time_zone": ZONE})).send().ok(200);
        let salon = Salon { server, ann: String::new(), customer: String::new() };
        let ann = id(&salon.create("employees", &json!({"name": "Ann, \"Chefin\"", "skills": []})));
        let customer = id(&salon.create("customers", &json!({"name": NAME})));
        Salon { ann, customer, ..salon }
    }

    fn create(&self, what: &str, body: &Value) -> Value {
        self.server.post(format!("/v1/tenants/salon/{what}")).json(body).send().ok(201)
    }

    fn service(&self, minutes: u32, more: &Value) -> String {
        let price = json!({"amount": 4500, "currency": "EUR"});
        let mut body = json!({"name": "Cut, wash", "duration_minutes": minutes, "price": price});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        id(&self.create("services", &body))
    }

    /// Books by force, and tells the id.
    fn book(&self, service: &str, starts_at: Timestamp, more: &Value) -> String {
        let mut body = json!({
            "customer_id": self.customer, "starts_at": starts_at.to_string(), "force": true,
            "items": [{"service_id": service, "employee_id": self.ann}],
        });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        id(&self.create("bookings", &body))
    }

    fn path(&self, what: &str) -> String {
        format!("/v1/tenants/salon/employees/{}/{what}", self.ann)
    }

    /// The address of the calendar.
    fn address(&self) -> String {
        let made = self.server.post(self.path("calendar-token")).send().ok(200);
        made["path"].as_str().expect("it is shown once").to_owned()
    }

    /// The calendar as another parser reads it.
    fn read(&self) -> ICalendar {
        let answer = self.server.anonymous("GET", self.address()).send();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/calendar; charset=utf-8"))
        );
        let text = answer.text();
        assert!(text.ends_with("\r\n") && text.replace("\r\n", "").find(['\r', '\n']).is_none(), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
        // Not `strict()`: with it calcard 0.3.14 refuses the first component within any calendar (`InvalidLine("BEGIN")`),
        // whatever stands in it.
        match Parser::new(text).entry() {
            Entry::ICalendar(calendar) => calendar,
            other => panic!("{other:?}:\n{text}"),
        }
    }
}

fn events(calendar: &ICalendar) -> Vec<&ICalendarComponent> {
    let components = calendar.components.iter();
    components.filter(|component| component.component_type == ICalendarComponentType::VEvent).collect()
}

fn value(event: &ICalendarComponent, property: &ICalendarProperty) -> ICalendarValue {
    let entries: Vec<_> = event.entries.iter().filter(|entry| entry.name == *property).collect();
    assert_eq!(entries.len(), 1, "{property:?} stands once");
    assert_eq!(entries[0].values.len(), 1, "{property:?} has one value");
    entries[0].values[0].clone()
}

fn text(event: &ICalendarComponent, property: &ICalendarProperty) -> String {
    match value(event, property) {
        ICalendarValue::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

/// The instant of a time, as the parser resolves it, and its zone if it is local.
fn instant(
    calendar: &ICalendar,
    event: &ICalendarComponent,
    property: &ICalendarProperty,
) -> (i64, Option<String>) {
    let entry = event.entries.iter().find(|entry| entry.name == *property).expect("it is there");
    let ICalendarValue::PartialDateTime(at) = value(event, property) else { panic!("no time") };
    let zone = calendar.build_tz_resolver().resolve_or_default(entry.tz_id());
    let at = at.to_date_time_with_tz(zone).expect("one instant");
    (at.timestamp(), entry.tz_id().map(str::to_owned))
}

#[test]
fn a_phone_shows_each_booking_once_and_at_its_time_when_clocks_change() {
    let server = Server::with_keys();
    let salon = Salon::new(&server);
    let cut = salon.service(30, &json!({}));
    let zone = jiff::tz::TimeZone::get(ZONE).expect("a zone");
    let now = Timestamp::now();
    // Nearly a year is shown: clocks are put forward, back, or both.
    let changes = zone.following(now).map(|change| change.timestamp());
    let changes = changes.take_while(|change| *change < now + SignedDuration::from_hours(24 * 360));
    let (mut booked, mut put_back) = (Vec::new(), 0);
    for change in changes {
        let before = zone.to_offset(change - SignedDuration::from_secs(1));
        put_back += usize::from(zone.to_offset(change) < before);
        for minutes in [-24 * 60, -30, 0, 30, 24 * 60] {
            let starts_at = change + SignedDuration::from_mins(minutes);
            booked.push((salon.book(&cut, starts_at, &json!({"notes": NOTES})), starts_at));
        }
    }
    let calendar = salon.read();
    let shown = events(&calendar);
    assert_eq!(shown.len(), booked.len());
    let mut in_zone = 0;
    for (id, starts_at) in booked {
        let of_booking =
            |event: &&&ICalendarComponent| text(event, &ICalendarProperty::Uid) == format!("{id}@maitred");
        let event = *shown.iter().find(of_booking).expect("it is there");
        let (start, zone) = instant(&calendar, event, &ICalendarProperty::Dtstart);
        let (end, same) = instant(&calendar, event, &ICalendarProperty::Dtend);
        assert_eq!((start, end - start), (starts_at.as_second(), 30 * 60), "{starts_at}");
        assert_eq!(zone, same);
        in_zone += usize::from(zone.as_deref() == Some(ZONE));
        assert_eq!(text(event, &ICalendarProperty::Summary), format!("Cut, wash: {NAME}"));
        assert_eq!(text(event, &ICalendarProperty::Description), NOTES);
        let status = value(event, &ICalendarProperty::Status);
        assert_eq!(status, ICalendarValue::Status(ICalendarStatus::Confirmed));
    }
    // The second time that clocks show an hour is told in UTC: three of the bookings start or end within it.
    assert_eq!(shown.len() - in_zone, 3 * put_back);
    assert!(in_zone > 0);
}

#[test]
fn a_booking_with_others_in_its_gap_stands_once() {
    let server = Server::with_keys();
    let salon = Salon::new(&server);
    let gap = json!({"processing": {"after_minutes": 10, "for_minutes": 400}});
    let (long, short) = (salon.service(420, &gap), salon.service(10, &json!({})));
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a time");
    let starts_at = now + 48.hours();
    let mut booked = vec![salon.book(&long, starts_at, &json!({}))];
    for number in 1..=30 {
        booked.push(salon.book(&short, starts_at + (10 * number).minutes(), &json!({})));
    }
    let calendar = salon.read();
    let mut shown: Vec<_> =
        events(&calendar).iter().map(|event| text(event, &ICalendarProperty::Uid)).collect();
    let mut expected: Vec<_> = booked.iter().map(|id| format!("{id}@maitred")).collect();
    shown.sort_unstable();
    expected.sort_unstable();
    assert_eq!(shown, expected);
}

#[test]
fn a_token_opens_the_calendar_of_a_salon_that_is_not_public_until_it_is_revoked() {
    let server = Server::with_keys();
    let salon = Salon::new(&server);
    let read = |path: &str| server.anonymous("GET", path).send();
    let refusal = |path: &str| read(path).refusal();
    let calendar = salon.path("calendar.ics");
    assert_eq!(refusal(&calendar), (401, "unauthenticated".to_owned()));
    let first = salon.address();
    assert_eq!(read(&first).status, 200);
    let not_found = (404, "not-found".to_owned());
    for path in [
        format!("{calendar}?token="),
        format!("{calendar}?token=x"),
        format!("{calendar}?token={}", "a".repeat(129)),
        first.replace("/salon/", "/nowhere/"),
        first.replace("/salon/", "/default/"),
        first.replace(&salon.ann, &salon.customer),
    ] {
        assert_eq!(refusal(&path), not_found, "{path}");
    }
    assert_eq!(refusal(&format!("{first}&token=x")).0, 401, "two tokens are none");
    // A key of another tenant opens nothing, with a wrong token or without one.
    server.tenant("other");
    let other = server.tenant_key("other", Role::Staff);
    let with = |path: &str| server.anonymous("GET", path).key(&other).send().status;
    assert_eq!((with(&calendar), with(&format!("{calendar}?token=x")), with(&first)), (403, 404, 200));

    let staff = server.tenant_key("salon", Role::Staff);
    let second = server.anonymous("POST", salon.path("calendar-token")).key(&staff).send().ok(200);
    let second = second["path"].as_str().expect("it is shown once").to_owned();
    assert_eq!((refusal(&first), read(&second).status), (not_found.clone(), 200));
    let position = server.position();
    let revoked = server.anonymous("DELETE", salon.path("calendar-token")).key(&staff).send();
    assert_eq!(revoked.ok(200), json!({"employee_id": salon.ann}));
    assert_eq!(refusal(&second), not_found);
    assert_ne!(server.position(), position);
    let position = server.position();
    server.delete(salon.path("calendar-token")).send().ok(200);
    assert_eq!(server.position(), position, "there was none any more");
    let customer = server.tenant_key("salon", Role::Customer);
    for method in ["POST", "DELETE"] {
        let path = salon.path("calendar-token");
        assert_eq!(server.anonymous(method, path).key(&customer).send().status, 403, "{method}");
    }
    assert_eq!(server.anonymous("GET", &*calendar).key(&staff).send().status, 200);
}
