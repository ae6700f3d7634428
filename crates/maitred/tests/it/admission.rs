//! Who may do what, on a server that demands keys and on one that does not.

use maitred_booking::tenants::Role;
use serde_json::json;

use crate::server::Server;

#[test]
fn each_role_may_do_what_its_permissions_say() {
    let server = Server::with_keys();
    // What each route answers to whoever may use it, and who that is.
    let routes = [
        ("GET", "/v1/tenants/salon/appointments", [false, true, false, true, true]),
        ("GET", "/v1/tenants/salon/changes", [false, true, false, true, true]),
        ("GET", "/v1/tenants/salon", [false, false, false, true, true]),
        ("GET", "/v1/tenants/salon/api-keys", [false, false, false, true, true]),
        ("GET", "/v1/tenants", [false, false, false, false, true]),
        ("GET", "/v1/changes", [false, false, false, false, true]),
        ("GET", "/v1/api-keys", [false, false, false, false, true]),
        ("GET", "/metrics", [false, false, false, false, true]),
        ("GET", "/health", [true, true, true, true, true]),
    ];
    let roles = [Role::Customer, Role::Integration, Role::Staff, Role::Owner];
    let mut keys: Vec<_> = roles.iter().map(|role| server.tenant_key("salon", *role)).collect();
    keys.push(server.make_key(None, Role::Admin));
    for (method, path, permitted) in routes {
        for ((key, permitted), role) in keys.iter().zip(permitted).zip(0..) {
            let answer = server.anonymous(method, path).key(key).send();
            let expected = if permitted { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{path} as role {role}: {}", answer.text());
        }
        let anonymous = server.anonymous(method, path).send();
        if path == "/health" {
            anonymous.ok(200);
        } else {
            assert_eq!(anonymous.refusal(), (401, "unauthenticated".to_owned()), "{path}");
            assert_eq!(anonymous.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[test]
fn a_key_of_one_tenant_is_told_nothing_of_another() {
    let server = Server::with_keys();
    server.tenant("other");
    let key = server.tenant_key("salon", Role::Owner);
    let before = server.position();
    for (method, suffix) in
        [("GET", ""), ("GET", "/appointments"), ("GET", "/api-keys"), ("DELETE", ""), ("GET", "/changes")]
    {
        let [there, absent] = ["other", "nobody"].map(|tenant| {
            let request = server.anonymous(method, format!("/v1/tenants/{tenant}{suffix}")).key(&key);
            let mut problem = request.send().problem();
            problem["instance"].take();
            problem
        });
        assert_eq!(
            (&there["status"], &there["code"]),
            (&json!(403), &json!("forbidden")),
            "{method} {suffix}"
        );
        assert_eq!(there, absent, "{method} {suffix}");
        let [there, absent] = ["other", "nobody"]
            .map(|tenant| server.anonymous(method, format!("/v1/tenants/{tenant}{suffix}")).send().refusal());
        assert_eq!((there.0, &there), (401, &absent), "{method} {suffix}");
    }
    let put = server.anonymous("PUT", "/v1/tenants/other/appointments/a").key(&key).json(&json!({})).send();
    assert_eq!(put.refusal().0, 403, "before the body is looked at");
    assert_eq!(server.position(), before);
}

#[test]
fn credentials_that_are_none_are_refused_alike() {
    let server = Server::with_keys();
    let key = server.tenant_key("salon", Role::Owner);
    let unknown = format!("mk_{}", "A".repeat(43));
    let ask = || server.anonymous("GET", "/v1/tenants/salon");
    for (what, request) in [
        ("an unknown key", ask().key(&unknown)),
        ("half a key", ask().key(&key[..20])),
        ("a token", ask().key("eyJhbGciOiJub25lIn0.e30.")),
        ("no secret", ask().header("Authorization", "Bearer ")),
        ("another scheme", ask().header("Authorization", format!("Digest {key}"))),
        ("two keys", ask().key(&key).key(&key)),
        ("a password that is no key", ask().header("Authorization", "Basic eDp5")),
    ] {
        let answer = request.send();
        assert_eq!(answer.refusal(), (401, "credentials-invalid".to_owned()), "{what}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{what}");
    }
    ask().key(&key).send().ok(200);
}

#[test]
fn the_password_of_http_basic_is_a_key_too() {
    use base64::Engine;
    let server = Server::with_keys();
    let key = server.tenant_key("salon", Role::Owner);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("whoever:{key}"));
    server
        .anonymous("GET", "/v1/tenants/salon")
        .header("Authorization", format!("Basic {basic}"))
        .send()
        .ok(200);
}

#[test]
fn a_closed_tenants_keys_open_nothing() {
    let server = Server::with_keys();
    let key = server.tenant_key("salon", Role::Owner);
    let ask = || server.anonymous("GET", "/v1/tenants/salon").key(&key).send();
    ask().ok(200);
    server.delete("/v1/tenants/salon").send().ok(200);
    assert_eq!(ask().refusal().0, 403);
}

#[test]
fn an_open_server_answers_this_machine_alone() {
    let server = Server::open();
    let ask = || server.get("/v1/tenants/default");
    for (what, request) in [
        ("another host", ask().instead("Host", "maitred.example")),
        ("a host that ends like ours", ask().instead("Host", "localhost.example")),
        ("two hosts", ask().header("Host", "localhost")),
        ("another site's page", ask().header("Origin", "https://evil.example")),
        ("a page of no site", ask().header("Origin", "null")),
    ] {
        assert_eq!(request.send().refusal(), (403, "not-loopback".to_owned()), "{what}");
    }
    for request in [
        ask(),
        ask().instead("Host", "localhost"),
        ask().instead("Host", "[::1]:8080"),
        ask().header("Origin", "http://localhost:3000"),
        // What a client sends to an open server was meant for another.
        ask().header("Authorization", "Digest nonsense"),
    ] {
        request.send().ok(200);
    }
    let before = server.position();
    let post = server.post("/v1/tenants").header("Origin", "https://evil.example");
    assert_eq!(post.json(&crate::server::tenant_input("evil")).send().refusal().0, 403);
    assert_eq!(server.position(), before);
}
