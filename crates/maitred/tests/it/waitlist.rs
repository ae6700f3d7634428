//! `/v1/tenants/{tenant}/waitlist…`, and what its consumer does by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::salons::{Salon, id, refused};
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// The half hour from nine, a week from now.
fn window(salon: &Salon<'_>) -> (Value, Value) {
    (json!(format!("{}T09:00:00Z", salon.days.0)), json!(format!("{}T09:30:00Z", salon.days.0)))
}

fn wait(salon: &Salon<'_>) -> Value {
    let (from, to) = window(salon);
    json!({"customer_id": salon.customer, "service_ids": [salon.cut], "employee_id": salon.ann, "from": from, "to": to})
}

/// Asks until an entry has this status.
fn until(salon: &Salon<'_>, entry: &str, status: &str) -> Value {
    let began = Instant::now();
    loop {
        let found = salon.server.get(salon.path(&format!("waitlist/{entry}"))).send().ok(200);
        if found["status"] == status {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {found}, and not {status}");
        std::thread::yield_now();
    }
}

#[test]
fn what_comes_free_is_offered_in_order_taken_and_told() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let booking = salon.book(&salon.booking(&window(&salon).0)).ok(201);
    let enter = |key: &str| {
        server.post(salon.path("waitlist")).header("Idempotency-Key", key).json(&wait(&salon)).send()
    };
    let created = enter("a");
    let first = created.ok(201);
    let path = salon.path(&format!("waitlist/{}", id(&first)));
    assert_eq!((created.header("location"), &first["status"]), (Some(&*path), &json!("waiting")));
    assert!(first["token"].is_string());
    let again = enter("a");
    assert!(again.replayed());
    assert_eq!((&again.ok(201)["id"], again.ok(201).get("token")), (&first["id"], None));
    let second = enter("b").ok(201);

    server.post(salon.path(&format!("bookings/{}/cancel", id(&booking)))).send().ok(200);
    let offered = until(&salon, &id(&first), "offered");
    let of_offer = |entry: &Value, rest: &str| {
        let booking = entry["offer"]["booking_id"].as_str().expect("an offer");
        salon.path(&format!("bookings/{booking}{rest}"))
    };
    let offer = server.get(of_offer(&offered, "")).send().ok(200);
    assert_eq!(
        (&offer["status"], &offer["waitlist_entry_id"], &offer["customer_id"]),
        (&json!("held"), &first["id"], &first["customer_id"])
    );
    assert_eq!(offer["hold_expires_at"], offered["offer"]["expires_at"]);
    let position = server.position();
    server.post(of_offer(&offered, "/cancel")).send().ok(200);
    let offered = until(&salon, &id(&second), "offered");
    server.post(of_offer(&offered, "/confirm")).send().ok(200);
    let taken = until(&salon, &id(&second), "taken");
    assert_eq!(taken["offer"], offered["offer"]);
    refused(
        &server.delete(salon.path(&format!("waitlist/{}", id(&second)))).send(),
        409,
        "invalid-transition",
    );

    let listed = |query: &str| {
        let page = server.get(salon.path(&format!("waitlist?{query}"))).send().ok(200);
        let items = page["items"].as_array().expect("items").clone();
        items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed("status=taken"), [second["id"].clone()]);
    assert_eq!(listed("status=waiting"), [first["id"].clone()]);
    assert_eq!(listed(&format!("status=offered&as_of={position}")), [first["id"].clone()]);
    assert_eq!(listed(&format!("customer_id={}", salon.ann)), [Value::Null; 0]);
    let now = server.get(&*path).send();
    assert_eq!((&now.ok(200)["offers_passed"], &*now.etag()), (&json!(1), "\"v3\""));
    assert_eq!(server.get(&*path).header("If-None-Match", "\"v3\"").send().status, 304);
    let gone = server.delete(&*path).header("If-Match", "\"v3\"").send().ok(200);
    assert_eq!((&gone["status"], &gone["version"]), (&json!("cancelled"), &json!(4)));
    let versions = server.get(format!("{path}/versions")).send().ok(200);
    let statuses: Vec<_> =
        versions["items"].as_array().expect("items").iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, ["waiting", "offered", "waiting", "cancelled"]);

    let changes = server.get(salon.path("changes?limit=1000")).send().ok(200);
    let of_first = |change: &&Value| change["record_id"] == first["id"];
    let told: Vec<_> = changes["items"].as_array().expect("items").iter().filter(of_first).collect();
    let types: Vec<_> = told.iter().map(|change| &change["type"]).collect();
    assert_eq!(types, ["created", "updated", "updated", "cancelled"]);
    assert_eq!(told[1]["data"]["offer"]["booking_id"], offer["id"]);
}

#[test]
fn whoever_waits_answers_by_the_token() {
    let server = Server::with_keys();
    server.patch("/v1/tenants/salon", &json!({"public": true, "time_zone": "UTC"})).send().ok(200);
    let salon = Salon::new(&server, "salon");
    refused(
        &server.anonymous("POST", salon.path("waitlist")).json(&wait(&salon)).send(),
        401,
        "unauthenticated",
    );
    let entry = server.post(salon.path("waitlist")).json(&wait(&salon)).send().ok(201);
    let other = server.post(salon.path("waitlist")).json(&wait(&salon)).send().ok(201);
    let token = entry["token"].as_str().expect("it is shown once");
    let anonymous = |method, rest: String| server.anonymous(method, salon.path(&rest)).send();
    let path = format!("waitlist/{}", id(&entry));
    // The time is free: it is offered at once.
    let offered = until(&salon, &id(&entry), "offered");
    refused(&anonymous("GET", path.clone()), 404, "not-found");
    refused(
        &anonymous("GET", format!("{path}?token={}", other["token"].as_str().expect("one"))),
        404,
        "not-found",
    );
    assert_eq!(anonymous("GET", format!("{path}?token={token}")).ok(200)["offer"], offered["offer"]);
    let booking = format!("bookings/{}", offered["offer"]["booking_id"].as_str().expect("an id"));
    assert_eq!(anonymous("GET", format!("{booking}?token={token}")).ok(200)["status"], "held");
    refused(&anonymous("DELETE", path.clone()), 404, "not-found");
    assert_eq!(anonymous("DELETE", format!("{path}?token={token}")).ok(200)["status"], "cancelled");
    assert_eq!(anonymous("GET", format!("{booking}?token={token}")).ok(200)["status"], "cancelled");
    let offered = until(&salon, &id(&other), "offered");
    let token = other["token"].as_str().expect("it is shown once");
    let booking = format!("bookings/{}", offered["offer"]["booking_id"].as_str().expect("an id"));
    assert_eq!(anonymous("POST", format!("{booking}/confirm?token={token}")).ok(200)["status"], "confirmed");
    until(&salon, &id(&other), "taken");
}

#[test]
fn an_entry_is_checked() {
    let server = Server::open();
    let salon = Salon::new(&server, "default");
    let post = |change: &dyn Fn(&mut Value)| {
        let mut body = wait(&salon);
        change(&mut body);
        server.post(salon.path("waitlist")).json(&body).send()
    };
    refused(&post(&|body| body["service_ids"] = json!([])), 422, "invalid-items");
    refused(&post(&|body| body["to"] = body["from"].clone()), 422, "invalid-time-range");
    refused(&post(&|body| body["customer_id"] = json!(salon.ann)), 404, "customer-not-found");
    refused(&post(&|body| body["service_ids"] = json!([salon.ann])), 404, "service-not-found");
    refused(&post(&|body| body["employee_id"] = json!(salon.cut)), 404, "employee-not-found");
    refused(&post(&|body| body["note"] = json!("")), 400, "body-invalid");
    for _ in 0..10 {
        post(&|_| ()).ok(201);
    }
    refused(&post(&|_| ()), 429, "too-many-waiting");
    refused(&server.get(salon.path(&format!("waitlist/{}", salon.ann))).send(), 404, "not-found");
}
