//! `/v1/tenants/{tenant}/api-keys` and `/v1/api-keys`.

use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::server::Server;

const HERE: &str = "/v1/tenants/salon/api-keys";

#[test]
fn a_secret_is_shown_once_and_never_again() {
    let server = Server::with_keys();
    let create = || {
        server
            .post(HERE)
            .header("Idempotency-Key", "k")
            .json(&json!({"name": "till", "role": "integration"}))
            .send()
    };
    let created = create();
    let mut body = created.ok(201);
    let id = body["id"].as_str().expect("an id").to_owned();
    assert_eq!(created.header("location"), Some(format!("{HERE}/{id}").as_str()));
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let secret = body.as_object_mut().expect("an object").remove("secret").expect("the secret");
    let secret = secret.as_str().expect("a text");
    assert_eq!((&secret[..3], secret.len()), ("mk_", 46));
    let appointments = || server.anonymous("GET", "/v1/tenants/salon/appointments");
    appointments().key(secret).send().ok(200);

    let again = create();
    assert_eq!((again.ok(201), again.replayed()), (body.clone(), true));
    assert_eq!(server.get(format!("{HERE}/{id}")).send().ok(200), body);
    let list = server.get(HERE).send();
    assert_eq!(list.ok(200), json!({"items": [body], "next_cursor": null}));
    for answer in [&again, &list] {
        assert!(!answer.text().contains("mk_") && !answer.text().contains("hash"), "{}", answer.text());
    }
}

#[test]
fn a_revoked_key_is_refused_by_the_very_next_request() {
    let server = Server::with_keys();
    let created = server.post(HERE).json(&json!({"name": "till", "role": "owner"})).send().ok(201);
    let (id, secret) =
        (created["id"].as_str().expect("an id"), created["secret"].as_str().expect("a secret"));
    let ask = || server.anonymous("GET", "/v1/tenants/salon").key(secret).send();
    for _ in 0..3 {
        ask().ok(200);
    }
    let path = format!("{HERE}/{id}");
    let revoked = server.delete(&path).send();
    assert_eq!(revoked.ok(200)["revoked"], true);
    assert_eq!(ask().refusal(), (401, "credentials-invalid".to_owned()));
    let before = server.position();
    assert_eq!(server.delete(&path).send().ok(200)["revoked"], true, "once more changes nothing");
    assert_eq!(server.position(), before);

    let past: Vec<u64> = revoked.position().split('.').map(|part| part.parse().expect("a number")).collect();
    let then = server.get(format!("{path}?as_of={}.{}", past[0], past[1] - 1)).send().ok(200);
    assert_eq!(then["revoked"], false);
    assert_eq!(server.get(format!("{HERE}?as_of=0.1")).send().ok(200)["items"], json!([]));
}

#[test]
fn a_key_that_revokes_itself_is_answered_and_then_gone() {
    let server = Server::with_keys();
    let created = server.post(HERE).json(&json!({"name": "self", "role": "owner"})).send().ok(201);
    let secret = created["secret"].as_str().expect("a secret");
    let path = format!("{HERE}/{}", created["id"].as_str().expect("an id"));
    let request = |method| server.anonymous(method, path.as_str()).key(secret).send();
    assert_eq!(request("DELETE").ok(200)["revoked"], true);
    assert_eq!(request("GET").refusal().0, 401);
}

#[test]
fn keys_of_the_server_are_the_admins_alone() {
    let server = Server::with_keys();
    let created = server.post("/v1/api-keys").json(&json!({"name": "second admin"})).send();
    let body = created.ok(201);
    assert_eq!(body["role"], "admin");
    let secret = body["secret"].as_str().expect("a secret");
    server.anonymous("GET", "/v1/tenants").key(secret).send().ok(200);
    let list = server.get("/v1/api-keys").send().ok(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    let path = format!("/v1/api-keys/{}", body["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path).send().ok(200)["name"], "second admin");
    assert_eq!(server.get(format!("{HERE}/{}", body["id"].as_str().expect("an id"))).send().refusal().0, 404);
    let owner = server.tenant_key("salon", Role::Owner);
    for method in ["GET", "DELETE"] {
        let refused = server.anonymous(method, path.as_str()).key(&owner).send();
        assert_eq!(refused.refusal(), (403, "forbidden".to_owned()), "{method}");
    }
    server.delete(&path).send().ok(200);
    assert_eq!(server.anonymous("GET", "/v1/tenants").key(secret).send().refusal().0, 401);
}

#[test]
fn refusals_name_the_field_and_change_nothing() {
    let server = Server::with_keys();
    server.tenant("other");
    let theirs =
        server.post("/v1/tenants/other/api-keys").json(&json!({"name": "x", "role": "staff"})).send().ok(201);
    let theirs = theirs["id"].as_str().expect("an id");
    let create = |body: Value| server.post(HERE).json(&body);
    for (what, request, status, code, pointer) in [
        ("an admin of a tenant", create(json!({"name": "x", "role": "admin"})), 422, "invalid-role", "/role"),
        ("a role that is none", create(json!({"name": "x", "role": "king"})), 400, "body-invalid", "/role"),
        ("no role", create(json!({"name": "x"})), 400, "body-invalid", "/role"),
        ("an empty name", create(json!({"name": "", "role": "staff"})), 422, "invalid-name", "/name"),
        (
            "a secret of one's own",
            create(json!({"name": "x", "role": "staff", "secret": "s"})),
            400,
            "body-invalid",
            "/secret",
        ),
        ("an id that is none", server.delete(format!("{HERE}/7")), 400, "path-invalid", ""),
        ("a key of another tenant", server.delete(format!("{HERE}/{theirs}")), 404, "api-key-not-found", ""),
        ("reading it", server.get(format!("{HERE}/{theirs}")), 404, "not-found", ""),
        (
            "a role for the server's",
            server.post("/v1/api-keys").json(&json!({"name": "x", "role": "admin"})),
            400,
            "body-invalid",
            "/role",
        ),
    ] {
        let before = server.position();
        let answer = request.send();
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{what}");
        assert_eq!(server.position(), before, "{what} wrote something");
        if !pointer.is_empty() {
            assert_eq!(answer.problem()["errors"][0]["pointer"], pointer, "{what}");
        }
    }
}

#[test]
fn keys_are_listed_in_pages() {
    let server = Server::with_keys();
    for i in 0..5 {
        server.post(HERE).json(&json!({"name": format!("key {i}"), "role": "staff"})).send().ok(201);
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(format!("{HERE}?limit=2{cursor}")).send().ok(200);
        names.extend(page["items"].as_array().expect("items").iter().map(|item| item["name"].to_string()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    names.sort(); // ids of one millisecond have no order of their own
    let expected: Vec<_> = (0..5).map(|i| format!("\"key {i}\"")).collect();
    assert_eq!(names, expected);
}
