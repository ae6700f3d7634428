//! Mail of the real program to a receiver that speaks SMTP: what arrives, in whose name, how often, and what becomes of
//! what is not taken; and that `kill -9` loses none.

mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use calcard::Entry;
use calcard::icalendar::{ICalendar, ICalendarProperty};
use jiff::{SignedDuration, Timestamp};
use mail_parser::{Message, MessageParser, MimeHeaders};
use serde_json::{Value, json};

use super::{Connection, Server, rounds, tempdir};
use receiver::{Receiver, Taken};

/// What has not arrived in this time is lost.
const PATIENCE: Duration = Duration::from_secs(90);

/// A salon on the real program.
struct Salon {
    dir: PathBuf,
    server: Server,
    connection: Connection,
    options: Vec<String>,
    service: String,
    employee: String,
}

impl Salon {
    fn open(name: &str, options: Vec<String>) -> Self {
        let dir = tempdir(name);
        let (server, connection) = begin(&dir, &options);
        let mut salon =
            Salon { dir, server, connection, options, service: String::new(), employee: String::new() };
        salon.call("PATCH", "", &json!({"name": "Salon Ünal\r\n", "time_zone": "Europe/Berlin"}), 200);
        let price = json!({"amount": 4500, "currency": "EUR"});
        let service = json!({"name": "Cut & <b>wash</b>", "duration_minutes": 5, "price": price});
        salon.service = id(&salon.call("POST", "/services", &service, 201));
        let employee = json!({"name": "Ann", "skills": [salon.service]});
        salon.employee = id(&salon.call("POST", "/employees", &employee, 201));
        salon
    }

    fn enable(&mut self, more: &Value) {
        let mut patch = json!({"enabled": true});
        patch.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.call("PATCH", "/mail-settings", &patch, 200);
    }

    fn call(&mut self, method: &str, path: &str, body: &Value, expected: u16) -> Value {
        let path = format!("/v1/tenants/default{path}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.connection.send(method, &path, &body).expect("an answer");
        assert_eq!(status, expected, "{method} {path}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn customer(&mut self, name: &str, email: &str) -> String {
        id(&self.call("POST", "/customers", &json!({"name": name, "email": email}), 201))
    }

    fn book(&mut self, customer: &str, starts_at: Timestamp) -> String {
        let items = json!([{"service_id": self.service, "employee_id": self.employee}]);
        let body = json!({"customer_id": customer, "starts_at": starts_at.to_string(), "force": true, "items": items});
        id(&self.call("POST", "/bookings", &body, 201))
    }

    fn reschedule(&mut self, booking: &str, starts_at: Timestamp) {
        let body = json!({"starts_at": starts_at.to_string(), "force": true});
        self.call("POST", &format!("/bookings/{booking}/reschedule"), &body, 200);
    }

    fn cancel(&mut self, booking: &str) {
        self.call("POST", &format!("/bookings/{booking}/cancel"), &Value::Null, 200);
    }

    /// The mails that the owner sees, by state.
    fn listed(&mut self, state: &str) -> Vec<Value> {
        let page = self.call("GET", &format!("/mails?limit=1000&state={state}"), &Value::Null, 200);
        page["items"].as_array().expect("a list").clone()
    }

    /// Kills the server, and starts it again on the same folder.
    fn restart(&mut self) {
        self.server.kill();
        (self.server, self.connection) = begin(&self.dir, &self.options);
    }

    fn close(mut self) {
        self.server.kill();
        std::fs::remove_dir_all(&self.dir).expect("the folder is ours");
    }
}

fn begin(dir: &Path, options: &[String]) -> (Server, Connection) {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_with(dir, &options);
    let connection = Connection::open(&server.address).expect("the server is up");
    (server, connection)
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

fn plain(receiver: &Receiver) -> Vec<String> {
    let mut options = receiver.options();
    options.extend(["--mail-security", "none", "--mail-per-second", "1000"].map(str::to_owned));
    options
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let ends = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < ends, "{what} never came");
        thread::sleep(Duration::from_millis(50));
    }
}

fn parse(taken: &Taken) -> Message<'_> {
    MessageParser::default().parse(&taken.data).expect("a mail")
}

/// What a mail is, by the first word of its `Message-ID`.
fn kind(taken: &Taken) -> String {
    let message = parse(taken);
    let id = message.message_id().expect("a Message-ID");
    id.split('.').next().expect("a word").to_owned()
}

fn calendar(message: &Message<'_>) -> ICalendar {
    let part = message.attachment(0).expect("an attachment");
    assert_eq!(part.attachment_name(), Some("appointment.ics"));
    let text = part.text_contents().expect("a text").to_owned();
    match calcard::Parser::new(&text).entry() {
        Entry::ICalendar(calendar) => calendar,
        other => panic!("{other:?}: {text}"),
    }
}

fn texts_of(calendar: &ICalendar, name: &ICalendarProperty) -> Vec<String> {
    let entries = calendar.components.iter().flat_map(|component| &component.entries);
    let found = entries.filter(|entry| entry.name == *name);
    found.filter_map(|entry| entry.values.first()?.as_text().map(str::to_owned)).collect()
}

/// An hour of a day that is weeks ahead.
fn ahead(hours: i64) -> Timestamp {
    let day = Timestamp::from_second(Timestamp::now().as_second() / 86_400 * 86_400).expect("a day");
    day + SignedDuration::from_hours(24 * 30 + hours)
}

#[test]
fn what_becomes_of_a_booking_is_told_over_tls_in_order_and_no_name_writes_a_head() {
    let receiver = Receiver::start(true);
    let mut options = receiver.options();
    let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/mail/certificates/root.pem");
    let password = std::env::temp_dir().join(format!("maitred-mail-password-{}", std::process::id()));
    std::fs::write(&password, "secret\n").expect("a file");
    let password = password.to_str().expect("a path").to_owned();
    for option in
        ["--mail-certificates-file", certificates, "--mail-user", "salon", "--mail-password-file", &password]
    {
        options.push(option.to_owned());
    }
    let mut salon = Salon::open("mail-told", options);
    // What breaks a line and is no control character, which the API refuses.
    let eve = salon.customer("Eve\u{2028}Bcc: <evil@example.com>\u{2028}\u{2029}<b>", "eve@example.com");
    let nobody = id(&salon.call("POST", "/customers", &json!({"name": "Nobody"}), 201));
    salon.book(&eve, ahead(8));
    salon.enable(&json!({"sender_name": "Salon \"Ü\"", "reply_to": "salon@example.com"}));
    let booking = salon.book(&eve, ahead(9));
    salon.reschedule(&booking, ahead(10));
    salon.cancel(&booking);
    salon.book(&nobody, ahead(11));

    let taken = until("the third mail", || Some(receiver.taken()).filter(|taken| taken.len() >= 3));
    let kinds: Vec<String> = taken.iter().map(kind).collect();
    assert_eq!(kinds, ["booked", "rescheduled", "cancelled"], "in their order, and none from before");
    let mut sequences = Vec::new();
    for taken in &taken {
        assert!(taken.secured && taken.to == "eve@example.com");
        let message = parse(taken);
        let head = String::from_utf8_lossy(
            &taken.data[..taken.data.windows(4).position(|w| w == b"\r\n\r\n").unwrap()],
        );
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        let from = message.from().and_then(|from| from.first()).expect("a sender");
        assert_eq!((from.name(), from.address()), (Some("Salon \"Ü\""), Some("post@maitred.example")));
        let to = message.to().and_then(|to| to.first()).expect("a recipient");
        assert_eq!(
            (to.name(), to.address()),
            (Some("Eve Bcc: <evil@example.com> <b>"), Some("eve@example.com"))
        );
        let reply_to = message.reply_to().and_then(|to| to.first()).expect("an address");
        assert_eq!(reply_to.address(), Some("salon@example.com"));
        assert!(message.subject().expect("a subject").ends_with("at Salon Ünal"));
        assert!(head.contains("Auto-Submitted: auto-generated") && message.date().is_some());
        assert!(message.body_text(0).expect("a text").contains("What: Cut & <b>wash</b>"));
        let html = message.body_html(0).expect("HTML");
        assert!(html.contains("Cut &amp; &lt;b&gt;wash&lt;/b&gt;") && !html.contains("<b>"), "{html}");
        let calendar = calendar(&message);
        assert_eq!(texts_of(&calendar, &ICalendarProperty::Uid), [format!("{booking}@maitred")]);
        let raw = message.attachment(0).and_then(|part| part.text_contents()).expect("a calendar").to_owned();
        let line = |name: &str| raw.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        sequences.push((line("SEQUENCE:").expect("a number"), line("METHOD:").expect("a method")));
    }
    let expected = [("0", "PUBLISH"), ("1", "PUBLISH"), ("2", "CANCEL")];
    assert_eq!(sequences, expected.map(|(number, method)| (number.to_owned(), method.to_owned())));
    let sent = until("what was noted", || Some(salon.listed("sent")).filter(|sent| sent.len() == 3));
    assert_eq!((&sent[0]["kind"], &sent[0]["to"]), (&json!("cancelled"), &json!("e…@example.com")));
    assert_eq!(sent[0]["message_id"].as_str(), parse(&taken[2]).message_id());
    assert_eq!(receiver.taken().len(), 3);
    std::fs::remove_file(&password).expect("it is ours");
    salon.close();
}

#[test]
fn what_is_not_taken_is_tried_again_or_dead_and_holds_up_nobody() {
    let receiver = Receiver::start(false);
    let mut options = plain(&receiver);
    options.extend(["--mail-timeout-seconds", "2"].map(str::to_owned));
    let mut salon = Salon::open("mail-refused", options);
    salon.enable(&json!({}));
    let names = ["later", "never", "drop", "hang", "fine"];
    for (hour, name) in names.into_iter().enumerate() {
        let customer = salon.customer(name, &format!("{name}@example.com"));
        salon.book(&customer, ahead(hour as i64));
    }
    let odd = json!({"name": "Odd", "email": "no address at all"});
    assert_eq!(salon.call("POST", "/customers", &odd, 422)["code"], "invalid-email");
    let expected: BTreeSet<String> =
        ["later", "drop", "hang", "fine"].map(|name| format!("{name}@example.com")).into();
    until("what is taken in the end", || {
        let taken: BTreeSet<String> = receiver.taken().into_iter().map(|taken| taken.to).collect();
        (taken == expected).then_some(())
    });
    let dead = until("the dead one", || Some(salon.listed("dead")).filter(|dead| dead.len() == 1));
    let never = dead.iter().find(|mail| mail["to"] == "n…@example.com").expect("it is dead");
    let answer = never["answer"].as_str().expect("a text");
    assert!(answer.contains("5.1.1") && !answer.contains('@'), "{answer}");
    assert_eq!((&never["attempts"], &never["state"]), (&json!(1), &json!("dead")));
    let path = format!("/mails/{}/retry", id(never));
    salon.call("POST", &path, &Value::Null, 202);
    until("that it is dead again", || {
        salon.listed("dead").into_iter().find(|mail| mail["id"] == never["id"] && mail["attempts"] == 2)
    });
    let sent = salon.listed("sent");
    salon.call("POST", &format!("/mails/{}/retry", id(&sent[0])), &Value::Null, 409);

    receiver.go_away(true);
    let before = receiver.taken().len();
    let eve = salon.customer("Eve", "eve@example.com");
    let began = Instant::now();
    for hour in 20..40 {
        salon.book(&eve, ahead(hour));
    }
    assert!(began.elapsed() < Duration::from_secs(5), "bookings wait for no mail");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(receiver.taken().len(), before);
    receiver.go_away(false);
    until("what waited", || (receiver.taken().len() >= before + 20).then_some(()));
    salon.close();
}

#[test]
fn reminders_come_when_they_are_due_follow_a_visit_and_are_not_sent_late() {
    let receiver = Receiver::start(false);
    let mut salon = Salon::open("mail-reminders", plain(&receiver));
    salon.enable(&json!({"reminder_hours": 1, "mails": ["reminder"]}));
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a second");
    let due_in = |seconds: i64| now + SignedDuration::from_secs(3_600 + seconds);
    let minutes = |minutes: i64| SignedDuration::from_mins(minutes);
    let ann = salon.employee.clone();
    let bo = json!({"name": "Bo", "skills": [salon.service]});
    salon.employee = id(&salon.call("POST", "/employees", &bo, 201));
    let moved = salon.customer("Moved", "moved@example.com");
    let first = salon.book(&moved, due_in(8));
    salon.reschedule(&first, due_in(0) + minutes(60));
    salon.employee = ann;
    let gone = salon.customer("Gone", "gone@example.com");
    let called_off = salon.book(&gone, due_in(8));
    salon.cancel(&called_off);
    let late = salon.customer("Late", "late@example.com");
    salon.book(&late, due_in(0) - minutes(30));
    let soon = salon.customer("Soon", "soon@example.com");
    salon.book(&soon, due_in(8));
    assert!(receiver.taken().is_empty());
    let taken = until("the reminder", || receiver.taken().into_iter().next());
    assert_eq!((taken.to.as_str(), kind(&taken).as_str()), ("soon@example.com", "reminder"));
    assert!(Timestamp::now() >= due_in(8) - SignedDuration::from_secs(3_600), "it came too soon");
    salon.restart();
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a second");
    salon.reschedule(&first, now + SignedDuration::from_secs(3_600 + 6));
    until("the reminder of what was moved", || (receiver.taken().len() > 1).then_some(()));
    thread::sleep(Duration::from_secs(4));
    let taken: Vec<String> = receiver.taken().into_iter().map(|taken| taken.to).collect();
    assert_eq!(taken, ["soon@example.com", "moved@example.com"], "no other is due, and none comes twice");
    salon.close();
}

#[test]
fn every_mail_arrives_though_the_server_is_killed_and_one_that_comes_twice_is_known_by_its_id() {
    const BOOKINGS: u64 = 12;
    let receiver = Receiver::start(false);
    let mut salon = Salon::open("mail-killed", plain(&receiver));
    salon.enable(&json!({}));
    let eve = salon.customer("Eve", "eve@example.com");
    let rounds = rounds();
    for round in 0..rounds {
        for booking in 0..BOOKINGS {
            salon.book(&eve, ahead((round * BOOKINGS + booking) as i64));
        }
        // Some rounds die with nearly nothing sent, some with all of it and not all of that noted.
        thread::sleep(Duration::from_millis(round * 67 % 300));
        salon.restart();
    }
    let expected = (rounds * BOOKINGS) as usize;
    let mut by_id: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    until("every mail", || {
        by_id.clear();
        for taken in receiver.taken() {
            let message = parse(&taken);
            let text = message.body_text(0).expect("a text").into_owned();
            let date = message.date().expect("a date").to_rfc3339();
            by_id.entry(message.message_id().expect("an id").to_owned()).or_default().insert(date + &text);
        }
        (by_id.len() == expected).then_some(())
    });
    assert!(by_id.values().all(|texts| texts.len() == 1), "one that comes twice is the same");
    let sent = until("what was noted", || Some(salon.listed("sent")).filter(|sent| sent.len() == expected));
    let ids: BTreeSet<&str> = sent.iter().filter_map(|mail| mail["message_id"].as_str()).collect();
    assert!(ids.into_iter().eq(by_id.keys().map(String::as_str)));
    println!("{} mails arrived {} times", expected, receiver.taken().len());
    salon.close();
}

#[test]
fn series_holds_offers_and_orders_are_told_once_each() {
    let receiver = Receiver::start(false);
    let mut salon = Salon::open("mail-others", plain(&receiver));
    let span = json!([{"from": "08:00", "to": "18:00"}]);
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let days: serde_json::Map<_, _> = names.map(|day| (day.to_owned(), span.clone())).into_iter().collect();
    let shifts = json!({"patterns": [{"valid_from": "2020-01-01", "days": days}]});
    salon.call("PUT", &format!("/employees/{}/shifts", salon.employee), &shifts, 200);
    let kinds = ["booked", "confirmed", "cancelled", "offered", "order_completed"];
    salon.enable(&json!({"mails": kinds, "language": "de"}));
    let eve = salon.customer("Eve", "eve@example.com");
    let items = json!([{"service_id": salon.service, "employee_id": salon.employee}]);
    let series = json!({
        "customer_id": eve, "starts_at": ahead(9).to_string(), "items": items,
        "rrule": "FREQ=DAILY;COUNT=3", "on_clash": "refuse",
    });
    let series = id(&salon.call("POST", "/bookings/series", &series, 201));
    let path = format!("/bookings/series/{series}/cancel");
    salon.call("POST", &path, &json!({"from": ahead(24).to_string()}), 200);

    let max = salon.customer("Max", "max@example.com");
    let held = json!({
        "customer_id": max, "starts_at": ahead(10).to_string(), "items": items, "hold_seconds": 600,
    });
    let held = id(&salon.call("POST", "/bookings", &held, 201));
    salon.call("POST", &format!("/bookings/{held}/confirm"), &Value::Null, 200);
    let ida = salon.customer("Ida", "ida@example.com");
    let wish = json!({
        "customer_id": ida, "service_ids": [salon.service], "employee_id": salon.employee,
        "from": ahead(10).to_string(), "to": (ahead(10) + SignedDuration::from_mins(5)).to_string(),
    });
    salon.call("POST", "/waitlist", &wish, 201);
    salon.cancel(&held);

    let user = json!({"email": "buyer@example.com", "password": "a long password"});
    let user = salon.call("POST", "/users", &user, 201);
    let user = user.pointer("/user/id").or(user.get("id")).expect("an id").clone();
    let price = json!({"amount": 9999, "currency": "USD"});
    let product = json!({"name": "Headphones", "price": price, "inventory": 5});
    let product = id(&salon.call("POST", "/products", &product, 201));
    let sale = json!({
        "product_id": product, "quantity": 5,
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
    });
    let sale = id(&salon.call("POST", "/sales", &sale, 201));
    salon.call("POST", &format!("/sales/{sale}/orders"), &json!({"buyer_id": user}), 201);

    let expected: BTreeSet<(String, String)> = [
        ("eve", "booked"),
        ("eve", "cancelled"),
        ("max", "confirmed"),
        ("max", "cancelled"),
        ("ida", "offered"),
        ("buyer", "order_completed"),
    ]
    .map(|(to, kind)| (format!("{to}@example.com"), kind.to_owned()))
    .into();
    let told = || -> Vec<(String, String)> {
        receiver.taken().iter().map(|taken| (taken.to.clone(), kind(taken))).collect()
    };
    until("all of them", || (told().into_iter().collect::<BTreeSet<_>>() == expected).then_some(()));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(told().len(), expected.len(), "{:?}", told());
    let all = receiver.taken();
    let of = |name: &str, what: &str| {
        let found = all.iter().find(|taken| taken.to.starts_with(name) && kind(taken) == what);
        found.expect("it was told").clone()
    };
    let visits = |taken: &Taken| texts_of(&calendar(&parse(taken)), &ICalendarProperty::Uid).len();
    assert_eq!((visits(&of("eve", "booked")), visits(&of("eve", "cancelled"))), (3, 2));
    let offered = of("ida", "offered");
    let text = parse(&offered).body_text(0).expect("a text").into_owned();
    assert!(text.contains("Guten Tag Ida") && text.contains("Frei gehalten bis:"), "{text}");
    let bought = of("buyer", "order_completed");
    assert!(parse(&bought).body_text(0).expect("a text").contains("Artikel: Headphones"));
    assert_eq!(parse(&bought).attachment_count(), 0);
    salon.close();
}
