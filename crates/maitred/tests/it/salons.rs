//! `/v1/tenants/{tenant}/…` of salons: staff, services, shifts, availability, bookings and the calendar.

use jiff::ToSpan;
use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::server::Server;

/// A salon on a server: Ann cuts and colours, from 9 to 17 on every day, in the time zone of the tenant.
pub(crate) struct Salon<'a> {
    pub(crate) server: &'a Server,
    base: String,
    pub(crate) cut: String,
    colour: String,
    pub(crate) ann: String,
    pub(crate) customer: String,
    /// A week from now, and the day after.
    pub(crate) days: (String, String),
}

pub(crate) fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
}

impl<'a> Salon<'a> {
    pub(crate) fn new(server: &'a Server, tenant: &str) -> Self {
        let base = format!("/v1/tenants/{tenant}");
        let create = |what: &str, body: Value| {
            let answer = server.post(format!("{base}/{what}")).json(&body).send();
            let body = answer.ok(201);
            assert_eq!(answer.header("location"), Some(&*format!("{base}/{what}/{}", id(&body))));
            id(&body)
        };
        let price = json!({"amount": 4500, "currency": "EUR"});
        let cut = create("services", json!({"name": "Cut", "duration_minutes": 30, "price": price}));
        let colour = json!({
            "name": "Colour", "duration_minutes": 90, "buffer_after_minutes": 10, "price": price,
            "processing": {"after_minutes": 30, "for_minutes": 45}, "needs_resource": "chair",
        });
        let colour = create("services", colour);
        create("resources", json!({"name": "One", "kind": "chair"}));
        let ann = create("employees", json!({"name": "Ann", "skills": [cut, colour], "colour": "#00ff7f"}));
        let span = json!([{"from": "09:00", "to": "17:00"}]);
        let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let days: serde_json::Map<_, _> =
            names.map(|day| (day.to_owned(), span.clone())).into_iter().collect();
        let shifts = json!({"patterns": [{"valid_from": "2020-01-01", "days": days}]});
        let plan = server.put(format!("{base}/employees/{ann}/shifts"), &shifts).send().ok(200);
        assert_eq!((&plan["version"], &plan["patterns"][0]["every_weeks"]), (&json!(1), &json!(1)));
        let customer = create("customers", json!({"name": "Eve", "phone": "030 1"}));
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let day = |days: i64| today.checked_add(days.days()).expect("a day").to_string();
        Salon { server, base, cut, colour, ann, customer, days: (day(7), day(8)) }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }

    pub(crate) fn slots(&self, query: &str) -> Vec<Value> {
        let (from, to) = &self.days;
        let path = self.path(&format!("availability?from={from}&to={to}&{query}"));
        let found = self.server.get(path).send().ok(200);
        assert_eq!(found["time_zone"], "UTC");
        found["slots"].as_array().expect("slots").clone()
    }

    pub(crate) fn booking(&self, starts_at: &Value) -> Value {
        json!({
            "customer_id": self.customer, "starts_at": starts_at,
            "items": [{"service_id": self.cut, "employee_id": "any"}],
        })
    }

    pub(crate) fn book(&self, body: &Value) -> Answer {
        self.server.post(self.path("bookings")).json(body).send()
    }
}

#[test]
fn what_is_offered_is_booked_and_then_offered_no_more() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let query = format!("service_id={}&employee_id=any", salon.cut);
    let before = salon.slots(&query);
    assert_eq!(before.len(), (17 - 9) * 4 - 1);
    assert_eq!(before[0]["employee_id"], json!(salon.ann));
    assert_eq!(before[0]["starts_at"], format!("{}T09:00:00.000Z", salon.days.0));
    let created = salon.book(&salon.booking(&before[0]["starts_at"]));
    let booking = created.ok(201);
    assert_eq!(
        (&booking["status"], &booking["items"][0]["employee_id"]),
        (&json!("confirmed"), &json!(salon.ann))
    );
    assert_eq!(created.header("etag"), Some("\"v1\""));
    let after = salon.slots(&query);
    assert_eq!(after, before[2..], "09:00 and 09:15 are gone");
    let again = salon.book(&salon.booking(&before[0]["starts_at"]));
    refused(&again, 409, "slot-unavailable");
    let problem = again.problem();
    let alternatives: Vec<_> = problem["alternatives"].as_array().expect("an array").to_vec();
    assert_eq!((&problem["reason"], &alternatives[..]), (&json!("no_employee"), &after[..5]));
    for slot in salon.slots(&format!("service_id={}&service_id={}", salon.cut, salon.colour)).iter().take(2) {
        assert_eq!(slot["items"][1]["service_id"], json!(salon.colour));
    }
}

#[test]
fn a_query_for_starts_is_checked() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let get = |query: &str| server.get(salon.path(&format!("availability?{query}"))).send();
    let cut = &salon.cut;
    for query in [
        format!("service_id={cut}&from=2026-01-02&to=2026-01-02"),
        format!("service_id={cut}&from=2026-01-02&to=2027-01-04"),
        "from=2026-01-02&to=2026-01-03".to_owned(),
        format!("service_id={cut}&from=2026-01-02&to=2026-01-03&step_minutes=20"),
        format!("service_id={cut}&from=2026-01-02&to=2026-01-03&as_of=2026-01-01T00:00:00Z"),
        format!("service_id={cut}&from=2026-02-30&to=2026-03-03"),
        format!("service_id={cut}&from=2026-01-02&to=2026-01-03&employee_id=Ann"),
    ] {
        refused(&get(&query), 400, "query-invalid");
    }
    let unknown = get(&format!("service_id={}&from=2026-01-02&to=2026-01-03", salon.ann));
    refused(&unknown, 404, "not-found");
}

#[test]
fn a_long_question_is_answered_as_its_parts_and_one_for_too_many_starts_is_not() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let settings = json!({"step_minutes": 5, "max_horizon_days": 731});
    server.patch(salon.path("salon-settings"), &settings).send().ok(200);
    let plan = server.get(salon.path(&format!("employees/{}/shifts", salon.ann))).send().ok(200);
    for name in ["Bob", "Cleo", "Dan"] {
        let employee = json!({"name": name, "skills": [salon.cut]});
        let employee = id(&server.post(salon.path("employees")).json(&employee).send().ok(201));
        let path = salon.path(&format!("employees/{employee}/shifts"));
        server.put(path, &json!({"patterns": plan["patterns"]})).send().ok(200);
    }
    let first = salon.days.0.parse::<jiff::civil::Date>().expect("a day");
    let ask = |from: i64, to: i64, more: &str| {
        let day = |days: i64| first.checked_add(days.days()).expect("a day");
        let query = format!("service_id={}&from={}&to={}{more}", salon.cut, day(from), day(to));
        server.get(salon.path(&format!("availability?{query}"))).send()
    };
    let slots = |from, to| match &ask(from, to, "").ok(200)["slots"] {
        Value::Array(slots) => slots.clone(),
        other => panic!("{other}"),
    };
    let whole = slots(0, 300);
    let parts: Vec<Value> = [0, 100, 200].into_iter().flat_map(|from| slots(from, from + 100)).collect();
    assert_eq!(whole.len(), 300 * ((17 - 9) * 12 - 5));
    assert!(whole == parts, "four employees' 300 days are no others than three times 100");
    let many = ask(0, 366, "&expand=employees");
    refused(&many, 400, "query-invalid");
    assert!(many.problem()["detail"].as_str().expect("a text").contains("100000"), "{}", many.problem());
}

#[test]
fn a_customer_has_a_name_and_an_address_that_mail_can_be_sent_to() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let starts_at = salon.slots(&format!("service_id={}", salon.cut))[0]["starts_at"].clone();
    for (customer, code, field) in [
        (json!({"name": "Bo", "email": "bo"}), "invalid-email", "/email"),
        (json!({"name": "Bo", "email": "bo@example.com\nBcc: all@example.com"}), "invalid-email", "/email"),
        (json!({"name": " ", "email": "bo@example.com"}), "invalid-name", "/name"),
    ] {
        let created = server.post(salon.path("customers")).json(&customer).send();
        refused(&created, 422, code);
        assert_eq!(created.problem()["errors"][0]["pointer"], field);
        let mut booking = salon.booking(&starts_at);
        booking.as_object_mut().expect("an object").remove("customer_id");
        booking["customer"] = customer.clone();
        let booked = salon.book(&booking);
        refused(&booked, 422, code);
        assert_eq!(booked.problem()["errors"][0]["pointer"], format!("/customer{field}"));
        let path = salon.path(&format!("customers/{}", salon.customer));
        refused(&server.patch(path, &customer).send(), 422, code);
    }
    let good = json!({"name": "Bo", "email": "bo@example.com"});
    server.post(salon.path("customers")).json(&good).send().ok(201);
}

#[test]
fn a_booking_goes_its_way() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let slots = salon.slots(&format!("service_id={}", salon.cut));
    let booking = id(&salon.book(&salon.booking(&slots[0]["starts_at"])).ok(201));
    let path = |what: &str| salon.path(&format!("bookings/{booking}{what}"));
    let moved = json!({"starts_at": slots[4]["starts_at"]});
    let stale = server.post(path("/reschedule")).header("If-Match", "\"v7\"").json(&moved).send();
    refused(&stale, 412, "version-mismatch");
    let moved = server.post(path("/reschedule")).header("If-Match", "\"v1\"").json(&moved).send().ok(200);
    assert_eq!((&moved["version"], &moved["starts_at"]), (&json!(2), &slots[4]["starts_at"]));
    let position = server.position();
    assert_eq!(server.post(path("/complete")).send().ok(200)["status"], "completed");
    let late = server.post(path("/cancel")).send();
    refused(&late, 409, "invalid-transition");
    assert_eq!(late.problem()["booking_status"], "completed");
    let then = server.get(path(&format!("?as_of={position}"))).send().ok(200);
    assert_eq!(then["status"], "confirmed");
    let versions = server.get(path("/versions")).send().ok(200);
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(3));
    let fresh = server.get(path("")).header("If-None-Match", "\"v3\"").send();
    assert_eq!(fresh.status, 304);
}

#[test]
fn bookings_are_listed_by_what_they_are_and_with_what_is_wanted() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let slots = salon.slots(&format!("service_id={}", salon.cut));
    for slot in [0, 4, 8] {
        salon.book(&salon.booking(&slots[slot]["starts_at"])).ok(201);
    }
    let list = |query: &str| {
        let page = server.get(salon.path(&format!("bookings?{query}"))).send().ok(200);
        (page["items"].as_array().expect("items").clone(), page["next_cursor"].clone())
    };
    let starts = |items: &[Value]| items.iter().map(|item| item["starts_at"].clone()).collect::<Vec<_>>();
    let (all, none) = list("");
    assert_eq!((all.len(), none), (3, Value::Null));
    let (first, cursor) = list("limit=2");
    let (second, _) = list(&format!("limit=2&cursor={}", cursor.as_str().expect("there are more")));
    assert_eq!([starts(&first), starts(&second)].concat(), starts(&all));
    let from = slots[4]["starts_at"].as_str().expect("a time");
    assert_eq!(list(&format!("from={from}")).0.len(), 2);
    assert_eq!(list(&format!("to={from}")).0.len(), 1);
    for (query, count) in [
        (format!("employee_id={}", salon.ann), 3),
        (format!("employee_id={}", salon.cut), 0),
        (format!("customer_id={}", salon.customer), 3),
        ("status=confirmed".to_owned(), 3),
        ("status=no_show".to_owned(), 0),
    ] {
        assert_eq!(list(&query).0.len(), count, "{query}");
    }
    let (expanded, _) = list("expand=customer,service");
    assert_eq!(expanded[0]["customer"]["name"], "Eve");
    assert_eq!(expanded[0]["items"][0]["service"]["name"], "Cut");
    let wrong = server.get(salon.path("bookings?expand=employee")).send();
    refused(&wrong, 400, "query-invalid");
    let (from, to) = &salon.days;
    let calendar = server.get(salon.path(&format!("calendar?from={from}&to={to}"))).send().ok(200);
    let ann = &calendar["employees"][0];
    assert_eq!(ann["bookings"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        ann["shifts"],
        json!([{"starts_at": format!("{from}T09:00:00.000Z"), "ends_at": format!("{from}T17:00:00.000Z")}])
    );
    assert_eq!(ann["bookings"][0]["customer"]["name"], "Eve");
    let shifts = server.get(salon.path(&format!("shifts?from={from}&to={to}"))).send().ok(200);
    assert_eq!(shifts["items"][0]["employee_id"], json!(salon.ann));
}

#[test]
fn the_public_holds_and_whoever_holds_manages_by_the_token() {
    let server = Server::with_keys();
    let open = json!({"public": true, "time_zone": "UTC"});
    server.patch("/v1/tenants/salon", &open).send().ok(200);
    let salon = Salon::new(&server, "salon");
    let slots = salon.slots(&format!("service_id={}", salon.cut));
    let anonymous = |method, rest: &str| server.anonymous(method, salon.path(rest));
    let body = |slot: usize, more: Value| {
        let mut body = json!({
            "customer": {"name": "Ida", "email": "ida@example.com"}, "starts_at": slots[slot]["starts_at"],
            "items": [{"service_id": salon.cut}],
        });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let book = |body: &Value| anonymous("POST", "bookings").header("Idempotency-Key", "k").json(body).send();
    refused(&anonymous("POST", "bookings").json(&body(0, json!({}))).send(), 403, "forbidden");
    let forced = body(0, json!({"hold_seconds": 60, "force": true}));
    refused(&anonymous("POST", "bookings").json(&forced).send(), 403, "forbidden");
    let held = book(&body(0, json!({"hold_seconds": 600}))).ok(201);
    assert_eq!(held["status"], "held");
    let token = held["token"].as_str().expect("it is shown once").to_owned();
    let again = book(&body(0, json!({"hold_seconds": 600})));
    assert!(again.replayed());
    assert_eq!((&again.ok(201)["id"], again.ok(201).get("token")), (&held["id"], None));
    for slot in [4, 8] {
        anonymous("POST", "bookings").json(&body(slot, json!({"hold_seconds": 600}))).send().ok(201);
    }
    let fourth = anonymous("POST", "bookings").json(&body(12, json!({"hold_seconds": 600}))).send();
    refused(&fourth, 429, "too-many-holds");
    let path = format!("bookings/{}", id(&held));
    refused(&anonymous("GET", &path).send(), 404, "not-found");
    refused(&anonymous("POST", &format!("{path}/confirm?token=x")).send(), 404, "not-found");
    assert_eq!(anonymous("GET", &format!("{path}?token={token}")).send().ok(200)["status"], "held");
    let confirmed = anonymous("POST", &format!("{path}/confirm?token={token}")).send().ok(200);
    assert_eq!(confirmed["status"], "confirmed");
    refused(&anonymous("GET", "bookings").send(), 401, "unauthenticated");
    refused(&anonymous("POST", &format!("{path}/complete")).send(), 401, "unauthenticated");
    let staff = server.tenant_key("salon", Role::Staff);
    let forced = body(0, json!({"force": true, "starts_at": "2020-01-01T03:07:00Z"}));
    let forced = anonymous("POST", "bookings").key(&staff).json(&forced).send().ok(201);
    assert_eq!((&forced["forced"], &forced["status"]), (&json!(true), &json!("confirmed")));
    assert_eq!(anonymous("GET", &path).key(&staff).send().ok(200)["version"], 2);
}

#[test]
fn a_phone_reads_a_calendar_by_its_token() {
    let server = Server::with_keys();
    server.patch("/v1/tenants/salon", &json!({"public": true, "time_zone": "UTC"})).send().ok(200);
    let salon = Salon::new(&server, "salon");
    let slots = salon.slots(&format!("service_id={}", salon.cut));
    let booking = id(&salon.book(&salon.booking(&slots[0]["starts_at"])).ok(201));
    let employee = salon.path(&format!("employees/{}", salon.ann));
    let made = server.post(format!("{employee}/calendar-token")).send().ok(200);
    let path = made["path"].as_str().expect("it is shown once").to_owned();
    let answer = server.anonymous("GET", &*path).send();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/calendar; charset=utf-8")));
    let start = format!("DTSTART:{}T090000Z\r\n", salon.days.0.replace('-', ""));
    assert!(answer.text().contains(&start), "{}", answer.text());
    assert!(answer.text().contains(&format!("UID:{booking}@maitred\r\n")), "{}", answer.text());
    assert!(answer.text().contains("SUMMARY:Cut: Eve\r\n"), "{}", answer.text());
    server.post(format!("{employee}/calendar-token")).send().ok(200);
    refused(&server.anonymous("GET", &*path).send(), 404, "not-found");
    refused(&server.anonymous("GET", format!("{employee}/calendar.ics")).send(), 401, "unauthenticated");
}

#[test]
fn records_are_changed_at_their_version_and_read_as_they_were() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let path = salon.path(&format!("services/{}", salon.colour));
    let position = server.position();
    let patch = json!({"duration_minutes": 100, "processing": null, "needs_resource": null});
    let stale = server.patch(&*path, &patch).header("If-Match", "\"v2\"").send();
    refused(&stale, 412, "version-mismatch");
    let changed = server.patch(&*path, &patch).header("If-Match", "\"v1\"").send().ok(200);
    assert_eq!((&changed["duration_minutes"], &changed["processing"]), (&json!(100), &Value::Null));
    assert_eq!(changed["buffer_after_minutes"], 10);
    let then = server.get(format!("{path}?as_of={position}")).send().ok(200);
    assert_eq!(then["processing"], json!({"after_minutes": 30, "for_minutes": 45}));
    let gone = server.delete(&*path).send().ok(200);
    assert_eq!((&gone["deleted"], &gone["version"]), (&json!(true), &json!(3)));
    refused(&server.get(&*path).send(), 404, "not-found");
    let listed = server.get(salon.path("services")).send().ok(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let listed = server.get(salon.path(&format!("services?as_of={position}"))).send().ok(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let settings = server.patch(salon.path("salon-settings"), &json!({"step_minutes": 4})).send();
    refused(&settings, 422, "invalid-settings");
    let settings = server.patch(salon.path("salon-settings"), &json!({"buffers": "max"})).send().ok(200);
    assert_eq!((&settings["buffers"], &settings["step_minutes"]), (&json!("max"), &json!(15)));
    let absences = salon.path(&format!("employees/{}/absences", salon.ann));
    let (from, to) = &salon.days;
    let plan = server.post(&*absences).json(&json!({"from": from, "to": to, "reason": "flu"})).send().ok(200);
    assert!(salon.slots(&format!("service_id={}", salon.cut)).is_empty());
    let absence = id(&plan["absences"][0]);
    server.delete(format!("{absences}/{absence}")).send().ok(200);
    assert!(!salon.slots(&format!("service_id={}", salon.cut)).is_empty());
    let exception = salon.path(&format!("employees/{}/shift-exceptions/{from}", salon.ann));
    let spans = json!({"spans": [{"from": "10:00", "to": "10:30"}]});
    server.put(&*exception, &spans).send().ok(200);
    assert_eq!(salon.slots(&format!("service_id={}", salon.cut)).len(), 1);
    server.delete(&*exception).send().ok(200);
    let kinds: Vec<_> = {
        let changes = server.get(salon.path("changes?limit=1000")).send().ok(200);
        let items = changes["items"].as_array().expect("items").clone();
        items.iter().map(|item| item["kind"].as_str().expect("a kind").to_owned()).collect()
    };
    for kind in ["service", "resource", "employee", "shift_plan", "customer", "salon_settings"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind} is not in the feed");
    }
}

#[test]
fn plans_settings_shifts_and_the_calendar_are_there_as_they_were() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let (from, to) = &salon.days;
    let shifts = salon.path(&format!("employees/{}/shifts", salon.ann));
    let settings = salon.path("salon-settings");
    let versions = |path: &str| -> Vec<Value> {
        let page = server.get(format!("{path}/versions")).send().ok(200);
        page["items"].as_array().expect("items").clone()
    };
    assert_eq!(versions(&settings), Vec::<Value>::new(), "nobody has changed them");
    let booking = salon.book(&salon.booking(&json!(format!("{from}T09:00:00Z")))).ok(201);
    let before = server.position();
    let path = |what: &str| salon.path(&format!("{what}?from={from}&to={to}"));
    let read = |as_of: &str| -> Vec<Value> {
        let one = [shifts.clone(), settings.clone()].map(|path| format!("{path}?as_of={as_of}"));
        let days = [path("shifts"), path("calendar")].map(|path| format!("{path}&as_of={as_of}"));
        one.iter().chain(&days).map(|path| server.get(path).send().ok(200)).collect()
    };
    let were = read(&before);
    assert_eq!(were[3]["employees"][0]["bookings"][0]["id"], booking["id"]);

    // Everything changes: the plan, the rules, the time zone, and the booking moves, and then is gone.
    let exception = salon.path(&format!("employees/{}/shift-exceptions/{from}", salon.ann));
    server.put(exception, &json!({"spans": [{"from": "10:00", "to": "12:00"}]})).send().ok(200);
    server.patch(settings.clone(), &json!({"step_minutes": 30})).send().ok(200);
    let moved = format!("bookings/{}/reschedule", id(&booking));
    let body = json!({"starts_at": format!("{from}T11:00:00Z")});
    server.post(salon.path(&moved)).json(&body).send().ok(200);
    let between = server.position();
    let middle = read(&between);
    server.patch("/v1/tenants/default", &json!({"time_zone": "America/New_York"})).send().ok(200);
    server.post(salon.path(&format!("bookings/{}/cancel", id(&booking)))).send().ok(200);
    server.delete(salon.path(&format!("employees/{}", salon.ann))).send().ok(200);

    assert_eq!(read(&before), were, "as they were before");
    assert_eq!(read(&between), middle, "and between");
    let start = |read: &[Value]| read[3]["employees"][0]["bookings"][0]["starts_at"].clone();
    assert_eq!(
        [start(&were), start(&middle)],
        ["09", "11"].map(|hour| json!(format!("{from}T{hour}:00:00.000Z")))
    );
    let works = |read: &[Value]| (read[2]["items"][0]["starts_at"].clone(), read[2]["time_zone"].clone());
    assert_eq!(works(&were), (json!(format!("{from}T09:00:00.000Z")), json!("UTC")));
    assert_eq!(works(&middle), (json!(format!("{from}T10:00:00.000Z")), json!("UTC")));
    let now = server.get(path("calendar")).send().ok(200);
    assert_eq!((&now["time_zone"], &now["employees"]), (&json!("America/New_York"), &json!([])));

    let plans = versions(&shifts);
    let numbers: Vec<_> = plans.iter().map(|plan| plan["version"].clone()).collect();
    assert_eq!((numbers, &plans[0]["exceptions"]), (vec![json!(1), json!(2)], &json!([])));
    assert_eq!(plans[1]["exceptions"][0]["spans"][0]["from"], "10:00");
    let position = plans[0]["position"].as_str().expect("a position");
    let (then, _) = position.rsplit_once('.').expect("an ordinal");
    assert_eq!(server.get(format!("{shifts}?as_of={then}")).send().ok(200)["version"], 1);
    let paged = server.get(format!("{shifts}/versions?limit=1")).send().ok(200);
    let cursor = paged["next_cursor"].as_str().expect("there is more");
    let rest = server.get(format!("{shifts}/versions?limit=1&cursor={cursor}")).send().ok(200);
    assert_eq!((&rest["items"][0], &rest["next_cursor"]), (&plans[1], &Value::Null));
    let rules = versions(&settings);
    assert_eq!((rules.len(), &rules[0]["step_minutes"]), (1, &json!(30)));
    let nobody = salon.path(&format!("employees/{}/shifts/versions", salon.customer));
    refused(&server.get(nobody).send(), 404, "not-found");
}
