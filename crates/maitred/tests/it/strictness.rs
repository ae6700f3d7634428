//! What a request says and nobody reads is refused: parameters, encodings, and names that do not come through.

use maitred::demo;
use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::server::{Server, tenant_input};

const HERE: &str = "/v1/tenants/default/appointments";

fn appointment() -> Value {
    json!({
        "starts_at": "2026-11-21T09:00:00Z", "ends_at": "2026-11-21T10:00:00Z",
        "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:01:00Z",
    })
}

fn item(external_id: &str) -> Value {
    let mut item = appointment();
    item["external_id"] = json!(external_id);
    item
}

#[test]
fn a_parameter_that_a_write_does_not_know_is_refused() {
    let server = Server::open();
    let input = json!({"name": "k", "role": "staff"});
    let before = server.position();
    for request in [
        server.put(format!("{HERE}/q1?foo=1"), &appointment()),
        server.delete(format!("{HERE}/q1?updated_at=2026-11-21T00:01:00Z&foo=1")),
        server.post(format!("{HERE}/batch?foo=1")).json(&json!({"items": [item("q1")]})),
        server.put(format!("{HERE}/batch?foo=1"), &appointment()),
        server.post("/v1/tenants?foo=1").json(&tenant_input("t")),
        server.patch("/v1/tenants/default?foo=1", &json!({"name": "x"})),
        server.delete("/v1/tenants/default?foo=1"),
        server.post("/v1/tenants/default/api-keys?foo=1").json(&input),
        server.post("/v1/tenants/default/import?foo=1").bytes("{}\n"),
    ] {
        let answer = request.send();
        assert_eq!(answer.refusal(), (400, "query-invalid".to_owned()));
        assert_eq!(answer.problem()["errors"][0]["parameter"], "foo");
    }
    assert_eq!(server.position(), before, "nothing was written");
    server.put(format!("{HERE}/q1?"), &appointment()).send().ok(201);
    let stranger = Server::with_keys();
    let put = stranger.anonymous("PUT", "/v1/tenants/salon/appointments/a?foo=1").json(&appointment()).send();
    assert_eq!(put.refusal().0, 401, "before anything else is looked at");
}

#[test]
fn a_parameter_that_a_read_does_not_know_is_refused() {
    let server = Server::open();
    server.runtime().block_on(demo::seed(&server.app)).expect("the demo data");
    let input = json!({"email": "a@example.com", "password": "correct horse"});
    let user = server.post(format!("/v1/tenants/{}/users", demo::TENANT)).json(&input).send().ok(201);
    let token = user["token"].as_str().expect("a token");
    let document: Value = serde_json::from_str(server.get("/openapi.json").send().text()).expect("JSON");
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let Some(read) = item.get("get") else { continue };
        // The others are known to the clients of the replaced services, and to what probes and scrapes servers.
        if !path.starts_with("/v1/") || read["tags"][0] == "event integrator" {
            continue;
        }
        let path =
            path.replace("{tenant}", demo::TENANT).replace("{id}", "01890000-0000-7000-8000-000000000000");
        let path = path.replace("{external_id}", "a").replace("{provider}", "p").replace("{name}", "sagas");
        for method in ["GET", "HEAD"] {
            let answer = server.anonymous(method, format!("{path}?zzz=1")).key(token).send();
            assert_eq!(answer.status, 400, "{method} {path}");
            if method == "GET" {
                assert_eq!(answer.refusal().1, "query-invalid", "{path}");
                assert_eq!(answer.problem()["errors"][0]["parameter"], "zzz", "{path}");
            }
        }
        asked += 1;
    }
    assert!(asked > 60, "the document has the whole API: {asked}");
    server.get("/health/live?zzz=1").send().ok(200);
}

#[test]
fn a_body_that_is_compressed_is_refused() {
    let server = Server::open();
    let before = server.position();
    let put = || server.put(format!("{HERE}/a"), &appointment());
    for request in [
        put().header("Content-Encoding", "gzip"),
        put().header("Content-Encoding", "identity").header("Content-Encoding", "br"),
        server.post("/v1/tenants/default/import").header("Content-Encoding", "gzip").bytes("{}\n"),
    ] {
        let answer = request.send();
        assert_eq!(answer.refusal(), (415, "content-encoding-unsupported".to_owned()));
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    assert_eq!(server.position(), before);
    put().header("Content-Encoding", "Identity").send().ok(201);
}

#[test]
fn a_percent_sign_in_a_path_begins_an_encoding() {
    let server = Server::open();
    let before = server.position();
    for path in ["%", "%zz", "a%2", "100%25%"] {
        let answer = server.put(format!("{HERE}/{path}"), &appointment()).send();
        assert_eq!(answer.refusal(), (400, "path-invalid".to_owned()), "{path}");
    }
    assert_eq!(server.get("/v1/tenants/%zz").send().refusal(), (400, "path-invalid".to_owned()));
    assert_eq!(server.position(), before);
    let created = server.put(format!("{HERE}/100%25"), &appointment()).send();
    assert_eq!(created.ok(201)["appointment"]["external_id"], "100%");
}

#[test]
fn an_external_id_that_no_path_can_name_is_refused() {
    let server = Server::open();
    let before = server.position();
    for path in ["%2E", "%2e%2E"] {
        let answer = server.put(format!("{HERE}/{path}"), &appointment()).send();
        assert_eq!(answer.refusal(), (422, "invalid-external-id".to_owned()), "{path}");
    }
    let batch = json!({"items": [item("."), item("..")]});
    let answered = server.post(format!("{HERE}/batch")).json(&batch).send().ok(200);
    for item in answered["items"].as_array().expect("items") {
        assert_eq!(item["problem"]["code"], "invalid-external-id");
    }
    assert_eq!(server.position(), before);
    server.put(format!("{HERE}/..."), &appointment()).send().ok(201);
}

#[test]
fn a_resource_that_none_can_be_is_refused() {
    let server = Server::open();
    for resource in [String::new(), "r".repeat(129)] {
        let answer = server.get(format!("{HERE}?resource={resource}")).send();
        assert_eq!(answer.refusal(), (400, "query-invalid".to_owned()));
        assert_eq!(answer.problem()["errors"][0]["parameter"], "resource");
    }
    server.get(format!("{HERE}?resource={}", "%C3%A4".repeat(128))).send().ok(200);
}

#[test]
fn a_number_that_no_float_holds_is_named_as_such() {
    let server = Server::open();
    let body = appointment().to_string().replace('}', r#","metadata":{"a":1e999}}"#);
    let put = server.request("PUT", format!("{HERE}/a")).header("Content-Type", "application/json");
    let problem = put.bytes(body).send().problem();
    assert!(problem["detail"].as_str().expect("a detail").contains("64-bit float"), "{problem}");
}

#[test]
fn a_key_of_the_role_public_is_told_what_it_lacks() {
    let server = Server::with_keys();
    let key = server.tenant_key("salon", Role::Public);
    let answer = server.anonymous("GET", "/v1/tenants/salon/appointments").key(&key).send();
    assert_eq!(answer.refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn a_resource_has_no_blanks_around_its_name() {
    let server = Server::open();
    for name in [" chair", "chair ", "\tchair", " "] {
        let mut one = appointment();
        one["resource"] = json!(name);
        let put = server.put(format!("{HERE}/a"), &one).send();
        assert_eq!(put.refusal(), (422, "invalid-resource".to_owned()), "{name:?}");
        assert_eq!(put.problem()["errors"][0]["pointer"], "/resource");
        one["external_id"] = json!("a");
        let batch = server.post(format!("{HERE}/batch")).json(&json!({"items": [one]})).send().ok(200);
        assert_eq!(batch["items"][0]["problem"]["code"], "invalid-resource", "{name:?}");
    }
    let mut inside = appointment();
    inside["resource"] = json!("chair 1");
    server.put(format!("{HERE}/a"), &inside).send().ok(201);
}

#[test]
fn an_offset_whose_plus_was_read_as_a_blank_is_told() {
    let server = Server::open();
    for query in ["at=2026-11-21T09:00:00+01:00", "as_of=2026-11-21T09:00:00%2001:00"] {
        let answer = server.get(format!("{HERE}?{query}")).send();
        assert_eq!(answer.refusal(), (400, "query-invalid".to_owned()), "{query}");
        let detail = answer.problem()["errors"][0]["detail"].as_str().expect("a text").to_owned();
        assert!(detail.contains("`+` is a blank") && detail.contains("%2B"), "{detail}");
    }
    server.get(format!("{HERE}?at=2026-11-21T09:00:00%2B01:00")).send().ok(200);
    let other = server.get(format!("{HERE}?at=tomorrow+morning")).send().problem()["detail"].clone();
    assert!(!other.as_str().expect("a text").contains("%2B"), "{other}");
}

#[test]
fn what_is_wrong_with_a_field_is_told_in_words_of_json() {
    let server = Server::open();
    let told = |request: crate::client::Request| {
        let problem = request.send().problem();
        problem["errors"][0]["detail"].as_str().expect("a text").to_owned()
    };
    let product = |inventory: Value, price: Value| {
        let body = json!({"name": "x", "price": price, "inventory": inventory});
        told(server.post("/v1/tenants/default/products").json(&body))
    };
    let price = || json!({"amount": 1, "currency": "EUR"});
    let whole = "a whole number, not negative";
    assert_eq!(product(json!(-1), price()), format!("integer `-1` is given, expected {whole}"));
    assert_eq!(product(json!("1"), price()), format!("string \"1\" is given, expected {whole}"));
    assert_eq!(product(json!(1.5), price()), format!("number `1.5` is given, expected {whole}"));
    assert_eq!(product(json!(1), json!("1 EUR")), "string \"1 EUR\" is given, expected an object");
    assert_eq!(product(json!(1), json!([1])), "an array is given, expected an object");
    let batch = |items: Value| told(server.post(format!("{HERE}/batch")).json(&json!({"items": items})));
    assert_eq!(batch(json!({})), "an object is given, expected an array");
    let key = json!({"name": "k", "role": "king"});
    let role = told(server.post("/v1/tenants/default/api-keys").json(&key));
    assert!(role.starts_with("unknown value `king`, expected one of `"), "{role}");
}
