//! The example bodies of the API document, sent as they stand.

use std::collections::BTreeSet;

use jiff::ToSpan;
use maitred::examples::{CUSTOMER, EMPLOYEE, PRODUCT, SERVICE, STARTS_AT};
use serde_json::{Value, json};

use crate::server::Server;

/// The example of an operation, as the served document has it.
fn example(document: &Value, method: &str, path: &str) -> Value {
    let operation = &document["paths"][path][method.to_ascii_lowercase()];
    let example = &operation["requestBody"]["content"]["application/json"]["example"];
    assert!(example.is_object(), "{method} {path} has no example");
    example.clone()
}

#[test]
fn every_example_is_accepted_as_it_stands() {
    let server = Server::open();
    let document: Value = serde_json::from_str(server.get("/openapi.json").send().text()).expect("JSON");
    let tenant = "/v1/tenants/{tenant}";
    let mut sent = BTreeSet::new();
    // The paths' parts and the ids of other records are the reader's own.
    let mut send =
        |method: &'static str, path: &str, id: &str, body: &dyn Fn(Value) -> Value, token: &str| {
            sent.insert((method.to_owned(), path.to_owned()));
            let at = path
                .replace("{tenant}", "north")
                .replace("{provider}", "arena")
                .replace("{external_id}", "visit-1")
                .replace("{id}", id)
                .replace("{date}", "2030-12-24");
            let request = server.request(method, at).json(&body(example(&document, method, path)));
            let answer = if token.is_empty() { request } else { request.key(token) }.send();
            assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text());
            serde_json::from_str::<Value>(answer.text()).unwrap_or_default()
        };
    let as_it_is = |body: Value| body;
    let id = |answer: &Value| answer["id"].as_str().expect("an id").to_owned();
    let at = |rest: &str| format!("{tenant}{rest}");

    send("POST", "/v1/tenants", "", &as_it_is, "");
    send("PATCH", tenant, "", &as_it_is, "");
    send("POST", "/v1/api-keys", "", &as_it_is, "");
    send("POST", &at("/api-keys"), "", &as_it_is, "");
    send("PUT", &at("/appointments/{external_id}"), "", &as_it_is, "");
    let batch = send("POST", &at("/appointments/batch"), "", &as_it_is, "");
    assert_eq!(batch["items"][0]["outcome"], "ignored_stale", "it is the same appointment");

    send("POST", &at("/providers"), "", &as_it_is, "");
    send("PATCH", &at("/providers/{provider}"), "", &as_it_is, "");
    let product = id(&send("POST", &at("/products"), "", &as_it_is, ""));
    send("PATCH", &at("/products/{id}"), &product, &as_it_is, "");
    let of_product = |mut body: Value| {
        assert_eq!(body["product_id"], PRODUCT);
        body["product_id"] = json!(product);
        body
    };
    let sale = id(&send("POST", &at("/sales"), "", &of_product, ""));
    send("PATCH", &at("/sales/{id}"), &sale, &as_it_is, "");
    let user = send("POST", &at("/users"), "", &as_it_is, "");
    send("POST", &at("/users/authenticate"), "", &as_it_is, "");
    // An order needs a sale that is on: the example's is to come.
    let mut open = example(&document, "POST", &at("/sales"));
    (open["product_id"], open["starts_at"], open["hold_seconds"]) =
        (json!(product), json!("2020-01-01T00:00:00Z"), json!(600));
    let open = id(&server.post("/v1/tenants/north/sales").json(&open).send().ok(201));
    let token = user["token"].as_str().expect("a token");
    let order = id(&send("POST", &at("/sales/{id}/orders"), &open, &as_it_is, token));
    send("POST", &at("/orders/{id}/pay"), &order, &as_it_is, "");
    send("POST", &at("/users/me/password"), "", &as_it_is, token);
    send("POST", "/api/appointments", "", &as_it_is, "");

    let service = id(&send("POST", &at("/services"), "", &as_it_is, ""));
    send("PATCH", &at("/services/{id}"), &service, &as_it_is, "");
    let chair = id(&send("POST", &at("/resources"), "", &as_it_is, ""));
    send("PATCH", &at("/resources/{id}"), &chair, &as_it_is, "");
    let customer = id(&send("POST", &at("/customers"), "", &as_it_is, ""));
    send("PATCH", &at("/customers/{id}"), &customer, &as_it_is, "");
    let with = |body: Value, ids: &[(&str, &str)]| {
        let text = ids.iter().fold(body.to_string(), |text, (example, own)| text.replace(example, own));
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let skilled = |body: Value| with(body, &[(SERVICE, &service)]);
    let ann = id(&send("POST", &at("/employees"), "", &skilled, ""));
    for (method, path) in [
        ("PATCH", "/employees/{id}"),
        ("PUT", "/employees/{id}/shifts"),
        ("POST", "/employees/{id}/absences"),
        ("PUT", "/employees/{id}/shift-exceptions/{date}"),
    ] {
        send(method, &at(path), &ann, &as_it_is, "");
    }
    send("PATCH", &at("/salon-settings"), "", &as_it_is, "");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let (from, to) = (today + 7.days(), today + 10.days());
    let slots = format!("/v1/tenants/north/availability?service_id={service}&from={from}&to={to}");
    let slots = server.get(slots).send().ok(200)["slots"].clone();
    let slots = slots.as_array().expect("slots");
    let visit = |slot: &Value| {
        let starts_at = slot["starts_at"].as_str().expect("a time").to_owned();
        let ids =
            [(SERVICE, &*service), (EMPLOYEE, &*ann), (CUSTOMER, &*customer)].map(|(a, b)| (a, b.to_owned()));
        move |body: Value| {
            let mut ids: Vec<_> = ids.iter().map(|(example, own)| (*example, own.as_str())).collect();
            ids.push((STARTS_AT, &starts_at));
            with(body, &ids)
        }
    };
    let (first, last) = (visit(&slots[0]), visit(&slots[slots.len() - 1]));
    let booking = id(&send("POST", &at("/bookings"), "", &first, ""));
    send("POST", &at("/bookings/{id}/reschedule"), &booking, &last, "");
    let series = id(&send("POST", &at("/bookings/series"), "", &first, ""));
    send("POST", &at("/bookings/series/{id}/cancel"), &series, &first, "");
    send("POST", &at("/waitlist"), "", &first, "");

    let has_example =
        |operation: &Value| operation["requestBody"]["content"]["application/json"].get("example").is_some();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            // The replaced flash sale has its own tests, and these examples are their bodies.
            let of_bookipi = ["/orders", "/sales/update", "/users", "/users/authenticate"].contains(&&**path);
            let method = method.to_ascii_uppercase();
            assert!(
                !has_example(operation) || of_bookipi || sent.contains(&(method.clone(), path.clone())),
                "{method} {path}: its example is not tried"
            );
            let is_of_salon = operation["tags"] == json!(["salons"]);
            let json = &operation["requestBody"]["content"]["application/json"];
            assert!(
                !is_of_salon || json.is_null() || has_example(operation),
                "{method} {path} has no example"
            );
            assert!(!operation["summary"].as_str().unwrap_or_default().contains(['`', '\n']), "{path}");
        }
    }
}
