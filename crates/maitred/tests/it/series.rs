//! `/v1/tenants/{tenant}/bookings/series…`.

use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::salons::{Salon, id, refused};
use crate::server::Server;

fn series(salon: &Salon<'_>, starts_at: &Value, rrule: &str, on_clash: &str) -> Value {
    let mut body = salon.booking(starts_at);
    body["rrule"] = json!(rrule);
    body["on_clash"] = json!(on_clash);
    body
}

fn outcomes(answer: &Value) -> Vec<&str> {
    let occurrences = answer["occurrences"].as_array().expect("an array").iter();
    occurrences.map(|occurrence| occurrence["outcome"].as_str().expect("a text")).collect()
}

#[test]
fn a_series_is_booked_listed_and_called_off() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let first = salon.slots(&format!("service_id={}", salon.cut))[0]["starts_at"].clone();
    let daily = series(&salon, &first, "FREQ=DAILY;COUNT=3", "refuse");
    let book =
        || server.post(salon.path("bookings/series")).header("Idempotency-Key", "k").json(&daily).send();
    let created = book();
    let booked = created.ok(201);
    let path = salon.path(&format!("bookings/series/{}", id(&booked)));
    assert_eq!((created.header("location"), created.header("etag")), (Some(&*path), Some("\"v1\"")));
    assert_eq!(outcomes(&booked), ["booked"; 3]);
    let visit = &booked["occurrences"][0];
    assert_eq!((&visit["starts_at"], &visit["booking"]["series_id"]), (&first, &booked["id"]));
    assert_eq!(visit["booking"]["items"][0]["employee_id"], json!(salon.ann));
    let again = book();
    assert!(again.replayed());
    assert_eq!(again.ok(201), booked);

    let listed = |query: &str| {
        let path = salon.path(&format!("bookings?series_id={}{query}", id(&booked)));
        server.get(path).send().ok(200)["items"].as_array().map(Vec::len)
    };
    assert_eq!(listed(""), Some(3));
    salon.book(&salon.booking(&json!(format!("{}T12:00:00Z", salon.days.0)))).ok(201);
    assert_eq!(listed(""), Some(3), "no other booking");
    let position = server.position();
    let from = json!({"from": booked["occurrences"][1]["starts_at"]});
    let stale = server.post(format!("{path}/cancel")).header("If-Match", "\"v2\"").json(&from).send();
    refused(&stale, 412, "version-mismatch");
    let cancelled = server.post(format!("{path}/cancel")).json(&from).send().ok(200);
    assert_eq!(outcomes(&cancelled), ["cancelled"; 2]);
    assert_eq!((&cancelled["cancelled_from"], &cancelled["version"]), (&from["from"], &json!(2)));
    assert_eq!((listed("&status=confirmed"), listed("&status=cancelled")), (Some(1), Some(2)));
    assert_eq!(listed(&format!("&status=confirmed&as_of={position}")), Some(3));
    let then = server.get(format!("{path}?as_of={position}")).send().ok(200);
    assert_eq!((&then["cancelled_from"], &then["version"]), (&Value::Null, &json!(1)));
    let versions = server.get(format!("{path}/versions")).send().ok(200);
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(2));
    let changes = server.get(salon.path("changes?limit=1000")).send().ok(200);
    let of_series = |change: &&Value| change["kind"] == "booking_series";
    let types = changes["items"].as_array().expect("items").iter().filter(of_series);
    assert_eq!(types.map(|change| &change["type"]).collect::<Vec<_>>(), ["created", "cancelled"]);
}

#[test]
fn what_clashes_is_told() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let first = salon.slots(&format!("service_id={}", salon.cut))[0]["starts_at"].clone();
    let next_day = json!(format!("{}T09:00:00.000Z", salon.days.1));
    salon.book(&salon.booking(&next_day)).ok(201);
    let post = |body: &Value| server.post(salon.path("bookings/series")).json(body).send();
    let answer = post(&series(&salon, &first, "FREQ=DAILY;COUNT=3", "refuse"));
    refused(&answer, 409, "series-clashes");
    assert_eq!(answer.problem()["clashes"], json!([{"starts_at": next_day, "reason": "no_employee"}]));
    let skipped = post(&series(&salon, &first, "FREQ=DAILY;COUNT=3", "skip")).ok(201);
    assert_eq!(outcomes(&skipped), ["booked", "skipped", "booked"]);
    let left_out = &skipped["occurrences"][1];
    assert_eq!((&left_out["reason"], &left_out["booking"]), (&json!("no_employee"), &Value::Null));
    for (rrule, words) in [
        ("FREQ=DAILY", "COUNT or UNTIL"),
        ("FREQ=DAILY;COUNT=105", "1 to 104"),
        ("FREQ=HOURLY;COUNT=2", "DAILY, WEEKLY or MONTHLY"),
    ] {
        let answer = post(&series(&salon, &first, rrule, "skip"));
        refused(&answer, 422, "invalid-rrule");
        let problem = answer.problem();
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/rrule");
    }
    let mut held = series(&salon, &first, "FREQ=DAILY;COUNT=2", "skip");
    held["hold_seconds"] = json!(60);
    refused(&post(&held), 400, "body-invalid");
    refused(&server.get(salon.path(&format!("bookings/series/{}", salon.ann))).send(), 404, "not-found");
}

#[test]
fn a_series_is_for_those_who_work_there() {
    let server = Server::with_keys();
    server.patch("/v1/tenants/salon", &json!({"public": true, "time_zone": "Europe/Berlin"})).send().ok(200);
    let path = "/v1/tenants/salon/bookings/series";
    let body = json!({});
    refused(&server.anonymous("POST", path).json(&body).send(), 401, "unauthenticated");
    let staff = server.tenant_key("salon", Role::Staff);
    refused(&server.anonymous("POST", path).key(&staff).json(&body).send(), 400, "body-invalid");
}
