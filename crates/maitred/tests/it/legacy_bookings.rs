//! `/v1/tenants/{tenant}/legacy-bookings…`.

use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::server::Server;

const HERE: &str = "/v1/tenants/default/legacy-bookings";

/// A server with bookings of a replaced system: `b0` to `b5`, two hours apart, of `c0` and `c1` in turn.
fn server() -> Server {
    let server = Server::open();
    let rows = (0..6).map(|number| {
        format!(
            "b{number},c{},Cut,2024-01-01T{:02}:00:00Z,confirmed,45.5,EUR,2023-12-01,2023-12-01\n",
            number % 2,
            2 * number
        )
    });
    import(&server, &rows.collect::<String>());
    server
}

fn import(server: &Server, rows: &str) {
    let text = format!("id,customer_id,title,date,status,price,currency,created_at,updated_at\n{rows}");
    let answer =
        server.post("/v1/tenants/default/imports").header("Content-Type", "text/csv").bytes(text).send();
    assert!(answer.text().contains("\"problems\":0"), "{}", answer.text());
}

/// The texts of the bookings of a list, over all of its pages.
fn listed(server: &Server, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(format!("{HERE}?{query}{cursor}")).send().ok(200);
        let items = page["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| item["external_id"].as_str().expect("a text").to_owned()));
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return found,
        }
    }
}

#[test]
fn they_are_listed_by_date_and_by_customer_in_pages_of_any_size() {
    let server = server();
    let at = |hour: u32| format!("2024-01-01T{hour:02}:00:00Z");
    for (query, expected) in [
        (String::new(), vec![0, 1, 2, 3, 4, 5]),
        ("limit=1".into(), vec![0, 1, 2, 3, 4, 5]),
        ("limit=4".into(), vec![0, 1, 2, 3, 4, 5]),
        (format!("from={}", at(4)), vec![2, 3, 4, 5]),
        (format!("to={}", at(4)), vec![0, 1]),
        (format!("from={}&to={}&limit=1", at(2), at(9)), vec![1, 2, 3, 4]),
        (format!("from={}&to={}", at(9), at(2)), vec![]),
        ("customer_id=c1".into(), vec![1, 3, 5]),
        ("customer_id=c1&limit=1".into(), vec![1, 3, 5]),
        ("customer_id=c7".into(), vec![]),
    ] {
        let expected: Vec<_> = expected.iter().map(|number| format!("b{number}")).collect();
        assert_eq!(listed(&server, &query), expected, "{query}");
    }
    let page = server.get(format!("{HERE}?limit=2")).send().ok(200);
    let cursor = page["next_cursor"].as_str().expect("there are more");
    let other = server.get(format!("{HERE}?limit=2&customer_id=c1&cursor={cursor}")).send();
    assert_eq!(other.refusal(), (400, "cursor-invalid".to_owned()));
    assert_eq!(server.get(format!("{HERE}?when=now")).send().refusal(), (400, "query-invalid".to_owned()));
}

#[test]
fn one_is_read_by_either_id_with_its_past() {
    let server = server();
    let position = server.position();
    let first = server.get(format!("{HERE}/b3")).send();
    let body = first.ok(200);
    let id = body["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        body,
        json!({
            "id": id, "external_id": "b3", "customer_id": "c1", "title": "Cut", "description": "",
            "date": "2024-01-01T06:00:00.000Z", "status": "confirmed", "price": 45.5, "currency": "EUR",
            "created_at": "2023-12-01T00:00:00.000Z", "changed_at": "2023-12-01T00:00:00.000Z", "version": 1,
        })
    );
    assert_eq!(server.get(format!("{HERE}/{id}")).send().ok(200), body);
    assert_eq!(server.get(format!("{HERE}/b3")).header("If-None-Match", first.etag()).send().status, 304);
    // A newer word moves it behind the others.
    import(&server, "b3,c1,Cut,2024-01-02T00:00:00Z,completed,45.5,EUR,2023-12-01,2024-01-03\n");
    assert_eq!(server.get(format!("{HERE}/b3")).send().ok(200)["status"], "completed");
    assert_eq!(listed(&server, "customer_id=c1&limit=1"), ["b1", "b5", "b3"]);
    assert_eq!(listed(&server, &format!("customer_id=c1&limit=1&as_of={position}")), ["b1", "b3", "b5"]);
    let then = server.get(format!("{HERE}/b3?as_of={position}")).send().ok(200);
    assert_eq!(then, body);
    let versions = server.get(format!("{HERE}/b3/versions")).send().ok(200);
    let status = |nth: usize| versions["items"][nth]["status"].clone();
    assert_eq!((status(0), status(1)), (json!("confirmed"), json!("completed")));
    for path in ["b9", "00000000-0000-0000-0000-000000000009", "b9/versions"] {
        let answer = server.get(format!("{HERE}/{path}")).send();
        assert_eq!(answer.refusal(), (404, "not-found".to_owned()), "{path}");
    }
}

#[test]
fn whoever_works_there_reads_them_and_nobody_else() {
    let server = Server::with_keys();
    for path in ["legacy-bookings", "legacy-bookings/b1", "legacy-bookings/b1/versions"] {
        let path = format!("/v1/tenants/salon/{path}");
        let status =
            |role| server.anonymous("GET", &*path).key(&server.tenant_key("salon", role)).send().status;
        assert_eq!(server.anonymous("GET", &*path).send().status, 401, "{path}");
        assert_eq!(status(Role::Customer), 403, "{path}");
        assert_ne!(status(Role::Staff), 403, "{path}");
    }
}
