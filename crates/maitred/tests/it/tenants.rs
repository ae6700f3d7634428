//! `/v1/tenants` and `/v1/tenants/{tenant}`.

use serde_json::{Value, json};

use crate::server::{Server, tenant_input};

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

#[test]
fn a_tenant_is_created_read_changed_and_closed() {
    let server = Server::open();
    let mut input = with(tenant_input("salon"), "alias", "Salon Ä");
    input["drop_ins"] = json!(["sesami", "event-integrator"]);
    input["public"] = json!(true);
    let created = server.post("/v1/tenants").json(&input).send();
    let body = created.ok(201);
    assert_eq!((created.header("location"), created.etag().as_str()), (Some("/v1/tenants/salon"), "\"v1\""));
    for (field, value) in input.as_object().expect("an object") {
        assert_eq!(&body[field], value, "{field}");
    }
    assert_eq!((&body["version"], &body["created_at"]), (&json!(1), &body["updated_at"]));
    let read = server.get("/v1/tenants/salon").send();
    assert_eq!((read.ok(200), read.etag()), (body.clone(), created.etag()));
    assert_eq!(server.get("/v1/tenants/salon").header("If-None-Match", "\"v1\"").send().status, 304);

    let patch = json!({"name": "Salon B", "alias": null, "drop_ins": [], "time_zone": "America/New_York"});
    let changed = server.patch("/v1/tenants/salon", &patch).header("If-Match", "\"v1\"").send();
    let after = changed.ok(200);
    assert_eq!(
        [
            &after["name"],
            &after["alias"],
            &after["drop_ins"],
            &after["time_zone"],
            &after["currency"],
            &after["version"]
        ],
        [&json!("Salon B"), &Value::Null, &json!([]), &json!("America/New_York"), &json!("EUR"), &json!(2)]
    );
    let before = server.position();
    let unchanged = server.patch("/v1/tenants/salon", &patch).send();
    assert_eq!((unchanged.ok(200), unchanged.etag().as_str()), (after.clone(), "\"v2\""));
    assert_eq!(server.position(), before, "a change that changes nothing is not recorded");

    let past = server.get(format!("/v1/tenants/salon?as_of={}", created.position())).send();
    assert_eq!(past.ok(200), body);
    let versions = server.get("/v1/tenants/salon/versions").send().ok(200);
    let numbers: Vec<_> =
        versions["items"].as_array().expect("items").iter().map(|item| item["version"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2)]);

    assert_eq!(server.delete("/v1/tenants/salon").header("If-Match", "\"v1\"").send().refusal().0, 412);
    let closed = server.delete("/v1/tenants/salon").header("If-Match", "\"v2\"").send();
    assert_eq!(closed.ok(200)["version"], 3);
    for path in ["/v1/tenants/salon", "/v1/tenants/salon/versions", "/v1/tenants/salon/appointments"] {
        assert_eq!(server.get(path).send().refusal(), (404, "tenant-not-found".to_owned()), "{path}");
    }
    let slug = server.post("/v1/tenants").json(&tenant_input("salon")).send();
    assert_eq!(slug.refusal(), (409, "slug-taken".to_owned()), "nobody inherits a slug");
    let then = server.get(format!("/v1/tenants?as_of={}", changed.position())).send().ok(200);
    assert_eq!(then["items"][1], after, "the list knows it as it was then");
}

#[test]
fn refusals_name_the_field_and_change_nothing() {
    let server = Server::open();
    let taken = with(tenant_input("taken"), "alias", "The Alias");
    server.post("/v1/tenants").json(&taken).send().ok(201);
    let create = |body: Value| server.post("/v1/tenants").json(&body);
    let fine = || tenant_input("salon");
    let change = |body: Value| server.patch("/v1/tenants/taken", &body);
    let rows = [
        ("a capital letter", create(tenant_input("Salon")), 422, "invalid-slug", "/slug"),
        ("a hyphen first", create(tenant_input("-salon")), 422, "invalid-slug", "/slug"),
        ("a long slug", create(tenant_input(&"a".repeat(64))), 422, "invalid-slug", "/slug"),
        ("blanks around the alias", create(with(fine(), "alias", " x")), 422, "invalid-alias", "/alias"),
        ("an empty name", create(with(fine(), "name", "")), 422, "invalid-name", "/name"),
        ("a long name", create(with(fine(), "name", "ä".repeat(201))), 422, "invalid-name", "/name"),
        (
            "an unknown zone",
            create(with(fine(), "time_zone", "Europe/Atlantis")),
            422,
            "invalid-time-zone",
            "/time_zone",
        ),
        (
            "a zone in small letters",
            create(with(fine(), "time_zone", "europe/berlin")),
            422,
            "invalid-time-zone",
            "/time_zone",
        ),
        ("an offset", create(with(fine(), "time_zone", "+02:00")), 422, "invalid-time-zone", "/time_zone"),
        (
            "the unknown zone",
            create(with(fine(), "time_zone", "Etc/Unknown")),
            422,
            "invalid-time-zone",
            "/time_zone",
        ),
        ("a small currency", create(with(fine(), "currency", "eur")), 422, "invalid-currency", "/currency"),
        ("a locale that is none", create(with(fine(), "locale", "d")), 422, "invalid-locale", "/locale"),
        (
            "a drop-in that is none",
            create(with(fine(), "drop_ins", json!(["seres"]))),
            400,
            "body-invalid",
            "/drop_ins/0",
        ),
        ("a number", create(with(fine(), "id", 7)), 400, "body-invalid", "/id"),
        ("the slug of another", create(tenant_input("taken")), 409, "slug-taken", ""),
        ("an alias as slug of another", create(with(fine(), "alias", "taken")), 409, "alias-taken", ""),
        ("the alias of another", create(with(fine(), "alias", "The Alias")), 409, "alias-taken", ""),
        ("a new slug", change(json!({"slug": "other"})), 400, "body-invalid", "/slug"),
        ("no name", change(json!({"name": null})), 400, "body-invalid", "/name"),
        ("a long alias", change(json!({"alias": "a".repeat(129)})), 422, "invalid-alias", "/alias"),
        (
            "an unknown zone for another",
            change(json!({"time_zone": "Mars/Base"})),
            422,
            "invalid-time-zone",
            "/time_zone",
        ),
        ("the alias that is the default's slug", change(json!({"alias": "default"})), 409, "alias-taken", ""),
        (
            "another version",
            change(json!({"name": "x"})).header("If-Match", "\"v9\""),
            412,
            "version-mismatch",
            "",
        ),
        (
            "a tenant that is none",
            server.patch("/v1/tenants/nobody", &json!({})),
            404,
            "tenant-not-found",
            "",
        ),
        ("closing nobody", server.delete("/v1/tenants/nobody"), 404, "tenant-not-found", ""),
        ("the system's tenant", server.get("/v1/tenants/_system"), 404, "tenant-not-found", ""),
    ];
    for (what, request, status, code, pointer) in rows {
        let before = server.position();
        let answer = request.send();
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{what}");
        assert_eq!(server.position(), before, "{what} wrote something");
        if !pointer.is_empty() {
            assert_eq!(answer.problem()["errors"][0]["pointer"], pointer, "{what}");
        }
    }
    let several = server.post("/v1/tenants").json(&json!({
        "slug": "A", "name": "", "time_zone": "Mars/Base", "currency": "EURO", "locale": "x",
    }));
    let places: Vec<_> = several.send().problem()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["pointer"].clone())
        .collect();
    assert_eq!(places, ["/slug", "/name", "/currency", "/locale", "/time_zone"]);
}

#[test]
fn an_alias_that_was_taken_away_is_free_again() {
    let server = Server::open();
    server.post("/v1/tenants").json(&with(tenant_input("a"), "alias", "Old")).send().ok(201);
    server.patch("/v1/tenants/a", &json!({"alias": null})).send().ok(200);
    let b = server.post("/v1/tenants").json(&with(tenant_input("b"), "alias", "Old")).send();
    assert_eq!(b.ok(201)["alias"], "Old");
}

#[test]
fn tenants_are_listed_in_pages_and_keys_are_honoured() {
    let server = Server::open();
    let create = || server.post("/v1/tenants").header("Idempotency-Key", "k").json(&tenant_input("t-0"));
    let first = create().send();
    let again = create().send();
    assert_eq!((first.ok(201), again.ok(201)), (again.ok(201), first.ok(201)));
    assert_eq!((first.replayed(), again.replayed()), (false, true));
    for i in 1..5 {
        server.tenant(&format!("t-{i}"));
    }
    let mut slugs = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(format!("/v1/tenants?limit=2{cursor}")).send().ok(200);
        slugs.extend(page["items"].as_array().expect("items").iter().map(|item| item["slug"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(slugs, ["default", "t-0", "t-1", "t-2", "t-3", "t-4"]);
}

#[test]
fn one_key_may_be_used_in_two_tenants() {
    let server = Server::with_keys();
    server.tenant("second");
    for tenant in ["salon", "second"] {
        let path = format!("/v1/tenants/{tenant}");
        let answer = server.patch(path, &json!({"name": "New"})).header("Idempotency-Key", "k").send();
        assert_eq!((answer.ok(200)["name"].as_str(), answer.replayed()), (Some("New"), false), "{tenant}");
    }
}

#[test]
fn the_default_tenant_of_an_open_server_is_there_at_its_first_start() {
    let server = Server::open();
    let tenant = server.get("/v1/tenants/default").send().ok(200);
    assert_eq!(
        [&tenant["slug"], &tenant["name"], &tenant["time_zone"], &tenant["currency"], &tenant["locale"]],
        ["default", "default", "UTC", "EUR", "en"]
    );
    let keyed = Server::with_keys();
    let slugs: Vec<_> = keyed.get("/v1/tenants").send().ok(200)["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["slug"].clone())
        .collect();
    assert_eq!(slugs, ["salon"], "a server with keys has the tenants that its operator makes");
}
