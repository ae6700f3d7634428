//! `…/appointments` and `…/appointments/{external_id}`.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::server::Server;

const HERE: &str = "/v1/tenants/default/appointments";

fn path(external_id: &str) -> String {
    format!("{HERE}/{external_id}")
}

/// An appointment of an hour of 2026-11-21 (UTC), changed by its owner at `minute` of that day's first hour.
fn hour(hour: u32, minute: u32) -> Value {
    json!({
        "starts_at": format!("2026-11-21T{hour:02}:00:00Z"),
        "ends_at": format!("2026-11-21T{:02}:00:00Z", hour + 1),
        "created_at": "2026-11-21T00:00:00Z",
        "updated_at": format!("2026-11-21T00:{minute:02}:00Z"),
    })
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

#[test]
fn an_appointment_is_created_then_changed_and_an_older_change_is_ignored() {
    let server = Server::open();
    let body = with(with(hour(9, 1), "title", "Cut"), "metadata", json!({"chair": 3}));
    let created = server.put(path("a"), &body).send();
    let answer = created.ok(201);
    assert_eq!((answer["outcome"].as_str(), created.etag().as_str()), (Some("created"), "\"v1\""));
    let appointment = &answer["appointment"];
    for (field, value) in [
        ("external_id", json!("a")),
        ("resource", json!("default")),
        ("starts_at", json!("2026-11-21T09:00:00.000Z")),
        ("ends_at", json!("2026-11-21T10:00:00.000Z")),
        ("updated_at", json!("2026-11-21T00:01:00.000Z")),
        ("version", json!(1)),
        ("title", json!("Cut")),
        ("metadata", json!({"chair": 3})),
        ("cancelled", json!(false)),
    ] {
        assert_eq!(appointment[field], value, "{field}");
    }

    let moved = server.put(path("a"), &hour(11, 2)).send();
    assert_eq!((moved.ok(200)["outcome"].as_str(), moved.etag().as_str()), (Some("updated"), "\"v2\""));
    for minute in [2, 1] {
        let before = server.position();
        let stale = server.put(path("a"), &hour(15, minute)).send();
        assert_eq!(stale.ok(200)["outcome"], "ignored_stale");
        assert_eq!(stale.ok(200)["appointment"], moved.ok(200)["appointment"]);
        assert_eq!((server.position(), stale.position()), (before.clone(), before));
    }

    let read = server.get(path("a")).header("Maitred-Position", moved.position()).send();
    assert_eq!(read.ok(200), moved.ok(200)["appointment"]);
    assert_eq!(read.etag(), "\"v2\"");
    let fresh = server.get(path("a")).header("If-None-Match", "\"v1\", \"v2\"").send();
    assert_eq!((fresh.status, fresh.etag().as_str(), fresh.is_empty()), (304, "\"v2\"", true));
    let head = server.request("HEAD", path("a")).send();
    assert_eq!((head.status, head.etag().as_str(), head.is_empty()), (200, "\"v2\"", true));
}

#[test]
fn refusals_name_the_place_and_change_nothing() {
    let server = Server::open();
    server.put(path("there"), &hour(9, 1)).send().ok(201);
    let put = |body: &Value| server.put(path("a"), body);
    let raw =
        |body: &[u8]| server.request("PUT", path("a")).header("Content-Type", "application/json").bytes(body);
    let without = |field: &str| {
        let mut body = hour(12, 1);
        body.as_object_mut().expect("an object").remove(field);
        body
    };
    let long = |chars| "ä".repeat(chars);
    let encoded = |chars| "%C3%A4".repeat(chars);
    let fine = hour(12, 1);
    let rows = [
        ("no JSON", raw(b"{\"starts_at\": "), 400, "json-malformed", ""),
        ("an empty body", raw(b""), 400, "json-malformed", ""),
        ("invalid UTF-8", raw(b"{\"title\": \"\xff\xfe\"}"), 400, "json-malformed", ""),
        ("an array", raw(b"[]"), 400, "body-invalid", ""),
        ("a field missing", put(&without("ends_at")), 400, "body-invalid", "/ends_at"),
        ("a field unknown", put(&with(fine.clone(), "start_at", 1)), 400, "body-invalid", "/start_at"),
        ("a number for an instant", put(&with(fine.clone(), "ends_at", 5)), 400, "body-invalid", "/ends_at"),
        (
            "no offset",
            put(&with(fine.clone(), "ends_at", "2026-11-21T13:00:00")),
            400,
            "body-invalid",
            "/ends_at",
        ),
        (
            "no day",
            put(&with(fine.clone(), "ends_at", "2026-02-30T13:00:00Z")),
            400,
            "body-invalid",
            "/ends_at",
        ),
        (
            "metadata that is a text",
            put(&with(fine.clone(), "metadata", "x")),
            400,
            "body-invalid",
            "/metadata",
        ),
        (
            "an empty interval",
            put(&with(fine.clone(), "ends_at", fine["starts_at"].clone())),
            422,
            "invalid-time-range",
            "/ends_at",
        ),
        (
            "created after updated",
            put(&with(fine.clone(), "created_at", "2026-11-21T00:02:00Z")),
            422,
            "invalid-created-at",
            "/created_at",
        ),
        ("an empty resource", put(&with(fine.clone(), "resource", "")), 422, "invalid-resource", "/resource"),
        (
            "a long resource",
            put(&with(fine.clone(), "resource", long(129))),
            422,
            "invalid-resource",
            "/resource",
        ),
        ("a long title", put(&with(fine.clone(), "title", long(201))), 422, "invalid-title", "/title"),
        ("a NUL in the title", put(&with(fine.clone(), "title", "a\0b")), 422, "invalid-title", "/title"),
        (
            "large metadata",
            put(&with(fine.clone(), "metadata", json!({"a": "x".repeat(4089)}))),
            422,
            "invalid-metadata",
            "/metadata",
        ),
        (
            "a long external id",
            server.put(path(&encoded(256)), &fine),
            422,
            "invalid-external-id",
            "/external_id",
        ),
        ("a path that is not UTF-8", server.put(path("%ff"), &fine), 400, "path-invalid", ""),
        ("the time is taken", put(&hour(9, 1)), 409, "time-range-unavailable", ""),
        ("another version", put(&fine).header("If-Match", "\"v1\""), 412, "version-mismatch", ""),
        ("nothing there", put(&fine).header("If-Match", "*"), 412, "precondition-failed", ""),
        (
            "a weak tag",
            server.put(path("there"), &hour(9, 2)).header("If-Match", "W/\"v1\""),
            412,
            "precondition-failed",
            "",
        ),
        (
            "there already",
            server.put(path("there"), &hour(9, 2)).header("If-None-Match", "*"),
            412,
            "already-exists",
            "",
        ),
        ("a tag without quotes", put(&fine).header("If-Match", "v1"), 400, "precondition-invalid", ""),
        (
            "no type",
            server.request("PUT", path("a")).bytes(fine.to_string()),
            415,
            "content-type-unsupported",
            "",
        ),
        (
            "another charset",
            server
                .request("PUT", path("a"))
                .header("Content-Type", "application/json; charset=latin1")
                .bytes("{}"),
            415,
            "content-type-unsupported",
            "",
        ),
        ("an empty key", put(&fine).header("Idempotency-Key", ""), 400, "idempotency-key-invalid", ""),
        (
            "a blank in the key",
            put(&fine).header("Idempotency-Key", "a b"),
            400,
            "idempotency-key-invalid",
            "",
        ),
        (
            "a long key",
            put(&fine).header("Idempotency-Key", "k".repeat(256)),
            400,
            "idempotency-key-invalid",
            "",
        ),
        (
            "two keys",
            put(&fine).header("Idempotency-Key", "a").header("Idempotency-Key", "a"),
            400,
            "idempotency-key-invalid",
            "",
        ),
        ("no tenant", server.put("/v1/tenants/nobody/appointments/a", &fine), 404, "tenant-not-found", ""),
        ("cancelled when?", server.delete(path("there")), 400, "query-invalid", ""),
        (
            "an unknown parameter",
            server.delete(format!("{}?updated_at=2026-11-21T00:02:00Z&when=now", path("there"))),
            400,
            "query-invalid",
            "",
        ),
        ("a parameter twice", server.get(format!("{HERE}?limit=1&limit=2")), 400, "query-invalid", ""),
        ("a page too large", server.get(format!("{HERE}?limit=1001")), 400, "query-invalid", ""),
        ("an empty page", server.get(format!("{HERE}?limit=0")), 400, "query-invalid", ""),
        (
            "at and from",
            server.get(format!("{HERE}?at=2026-11-21T09:00:00Z&from=2026-11-21T09:00:00Z")),
            400,
            "query-invalid",
            "",
        ),
        (
            "an interval backwards",
            server.get(format!("{HERE}?from=2026-11-21T09:00:00Z&to=2026-11-21T09:00:00Z")),
            400,
            "query-invalid",
            "",
        ),
        ("a past that is none", server.get(format!("{HERE}?as_of=yesterday")), 400, "query-invalid", ""),
        ("a past of elsewhere", server.get(format!("{HERE}?as_of=7.1")), 400, "position-invalid", ""),
        ("a past to come", server.get(format!("{HERE}?as_of=0.999999")), 400, "position-invalid", ""),
        (
            "a position that is none",
            server.get(HERE).header("Maitred-Position", "now"),
            400,
            "position-invalid",
            "",
        ),
        ("a cursor that is none", server.get(format!("{HERE}?cursor=AAAA")), 400, "cursor-invalid", ""),
        ("nobody there", server.get(path("nobody")), 404, "not-found", ""),
        ("nobody's versions", server.get(format!("{}/versions", path("nobody"))), 404, "not-found", ""),
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
    assert_eq!(server.get(path("a")).send().refusal(), (404, "not-found".to_owned()));
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::open();
    let declared = server.request("PUT", path("a")).header("Content-Type", "application/json");
    let answer = declared.header("Content-Length", "1048577").send();
    assert_eq!(answer.refusal(), (413, "body-too-large".to_owned()));
    assert_eq!(answer.problem()["bytes_max"], 1 << 20);
    let body = format!("{}{}", " ".repeat((1 << 20) - hour(9, 1).to_string().len()), hour(9, 1));
    assert_eq!(body.len(), 1 << 20);
    let fits = server.request("PUT", path("a")).header("Content-Type", "application/json").bytes(body);
    fits.send().ok(201);
}

#[test]
fn of_64_writers_of_one_time_one_wins_and_all_others_are_told_by_whom() {
    let server = Server::open();
    let barrier = Barrier::new(64);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let writers = (0..64).map(|i| {
            let (server, barrier) = (&server, &barrier);
            scope.spawn(move || {
                barrier.wait();
                server.put(path(&format!("writer-{i}")), &hour(9, 1)).send()
            })
        });
        let writers: Vec<_> = writers.collect();
        writers.into_iter().map(|writer| writer.join().expect("an answer")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 63));
    let winner = &won[0].ok(201)["appointment"];
    for answer in lost {
        assert_eq!(answer.refusal(), (409, "time-range-unavailable".to_owned()));
        let conflicts = &answer.problem()["conflicts"];
        assert_eq!(conflicts.as_array().map(Vec::len), Some(1), "{conflicts}");
        assert_eq!(conflicts[0]["external_id"], winner["external_id"]);
    }
    let page = server.get(HERE).send().ok(200);
    assert_eq!(page, json!({"items": [winner], "next_cursor": null}));
}

#[test]
fn a_cancelled_appointment_frees_its_time_and_keeps_its_history() {
    let server = Server::open();
    server.put(path("a"), &hour(9, 1)).send().ok(201);
    let cancel = |id: &str, minute: u32| {
        server.delete(format!("{}?updated_at=2026-11-21T00:{minute:02}:00Z", path(id))).send().ok(200)
    };
    assert_eq!(cancel("a", 1)["outcome"], "ignored_stale");
    let cancelled = cancel("a", 2);
    assert_eq!(
        (&cancelled["outcome"], &cancelled["appointment"]["cancelled"]),
        (&json!("cancelled"), &json!(true))
    );
    server.put(path("b"), &hour(9, 1)).send().ok(201);
    assert_eq!(server.get(path("a")).send().ok(200)["cancelled"], true);
    assert_eq!(server.put(path("a"), &hour(9, 3)).send().refusal().0, 409);
    assert_eq!(server.put(path("a"), &hour(10, 3)).send().ok(200)["appointment"]["cancelled"], false);

    let tombstone = cancel("unknown", 5);
    assert_eq!(
        (&tombstone["outcome"], &tombstone["appointment"]["starts_at"]),
        (&json!("cancelled"), &Value::Null)
    );
    assert_eq!(server.put(path("unknown"), &hour(15, 4)).send().ok(200)["outcome"], "ignored_stale");
}

#[test]
fn preconditions_hold_for_the_writer_and_a_repeated_request_is_answered_again() {
    let server = Server::open();
    server.put(path("a"), &hour(9, 1)).send().ok(201);
    let change =
        || server.put(path("a"), &hour(9, 2)).header("If-Match", "\"v1\"").header("Idempotency-Key", "k");
    let changed = change().send();
    assert_eq!((changed.ok(200)["appointment"]["version"].as_u64(), changed.replayed()), (Some(2), false));
    let again = change().send();
    assert_eq!((again.ok(200), again.etag(), again.replayed()), (changed.ok(200), changed.etag(), true));
    let late = server.put(path("a"), &hour(9, 3)).header("If-Match", "\"v1\"").send();
    assert_eq!(late.refusal(), (412, "version-mismatch".to_owned()));
    let several = server.put(path("a"), &hour(9, 3)).header("If-Match", "\"v1\", \"v2\"").send();
    assert_eq!(several.ok(200)["appointment"]["version"], 3);
    let any = server.put(path("a"), &hour(9, 4)).header("If-Match", "*").send();
    assert_eq!(any.ok(200)["appointment"]["version"], 4);
    let other = |tags| server.put(path("a"), &hour(9, 5)).header("If-None-Match", tags).send();
    assert_eq!(other("\"v1\", \"v4\"").refusal(), (412, "precondition-failed".to_owned()));
    let cancel = format!("{}?updated_at=2026-11-21T00:05:00Z", path("a"));
    assert_eq!(server.delete(&cancel).header("If-None-Match", "*").send().refusal().0, 412);
    assert_eq!(server.delete(&cancel).header("If-Match", "\"v3\"").send().refusal().0, 412);
    assert_eq!(server.delete(&cancel).header("If-Match", "\"v4\"").send().ok(200)["outcome"], "cancelled");
}

#[test]
fn a_key_keeps_the_first_answer_and_refuses_another_request() {
    let server = Server::open();
    let put =
        |id: &str, body: &Value, key: &str| server.put(path(id), body).header("Idempotency-Key", key).send();
    let first = put("a", &hour(9, 1), "one");
    let again = put("a", &hour(9, 1), "one");
    assert_eq!((first.replayed(), again.replayed()), (false, true));
    assert_eq!((again.status, again.text()), (201, first.text()));
    // Nobody in particular shares a key with nobody else: the body is part of who an anonymous client is.
    assert_eq!(put("b", &hour(9, 1), "one").refusal(), (422, "idempotency-key-reused".to_owned()));
    assert_eq!(put("b", &hour(10, 1), "one").status, 201);

    let refused = put("c", &hour(9, 2), "two");
    assert_eq!((refused.refusal().0, refused.replayed()), (409, false));
    server.delete(format!("{}?updated_at=2026-11-21T00:03:00Z", path("a"))).send().ok(200);
    let again = put("c", &hour(9, 2), "two");
    assert_eq!((again.refusal().0, again.replayed()), (409, true), "a conflict sticks");
    assert_eq!(again.problem()["conflicts"], refused.problem()["conflicts"]);
    assert_eq!(put("c", &hour(9, 2), "three").status, 201);

    let malformed = with(hour(12, 1), "title", "x".repeat(201));
    assert_eq!(put("d", &malformed, "four").refusal().0, 422);
    assert!(!put("d", &malformed, "four").replayed(), "what is not acceptable does not stick");
}

#[test]
fn a_list_is_cut_into_pages_that_fit_together() {
    let server = Server::open();
    for (i, resource) in ["chair", "desk"].iter().enumerate() {
        for start in [9, 10, 11] {
            let body = with(hour(start, 1), "resource", *resource);
            server.put(path(&format!("{i}-{start}")), &body).send().ok(201);
        }
    }
    let walk = |query: &str| {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = server.get(format!("{HERE}?limit=2{query}{cursor}")).send().ok(200);
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|item| item["external_id"].as_str().expect("an id").to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { return seen };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(walk(""), ["0-9", "0-10", "0-11", "1-9", "1-10", "1-11"]);
    assert_eq!(walk("&resource=desk"), ["1-9", "1-10", "1-11"]);
    assert_eq!(walk("&resource=nothing"), [""; 0]);
    assert_eq!(walk("&from=2026-11-21T10:00:00Z&to=2026-11-21T11:00:00Z"), ["0-10", "1-10"]);
    assert_eq!(walk("&at=2026-11-21T11:00:00Z"), ["0-11", "1-11"]);
    assert_eq!(walk("&at=2026-11-21T10:59:59.999Z"), ["0-10", "1-10"]);

    let page = server.get(format!("{HERE}?limit=2")).send().ok(200);
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let tampered =
        format!("{}{}", &cursor[..cursor.len() - 1], if cursor.ends_with('A') { "B" } else { "A" });
    server.tenant("other");
    for (what, path) in [
        ("tampered", format!("{HERE}?limit=2&cursor={tampered}")),
        ("of other filters", format!("{HERE}?limit=2&resource=desk&cursor={cursor}")),
        ("of another tenant", format!("/v1/tenants/other/appointments?limit=2&cursor={cursor}")),
        ("of another list", format!("{}/versions?cursor={cursor}", path("0-9"))),
    ] {
        assert_eq!(server.get(path).send().refusal(), (400, "cursor-invalid".to_owned()), "a cursor {what}");
    }
}

#[test]
fn the_past_is_answered_as_it_was_then() {
    let server = Server::open();
    let created = server.put(path("a"), &with(hour(9, 1), "title", "first")).send();
    let moved = server.put(path("a"), &with(hour(11, 2), "title", "second")).send();
    server.delete(format!("{}?updated_at=2026-11-21T00:03:00Z", path("a"))).send().ok(200);

    let then = |query: &str| server.get(format!("{HERE}{query}")).send().ok(200)["items"].clone();
    let [first, second] = [created.ok(201), moved.ok(200)].map(|answer| answer["appointment"].clone());
    assert_eq!(then(&format!("?as_of={}", created.position())), json!([first]));
    assert_eq!(then(&format!("?as_of={}", moved.position())), json!([second]));
    assert_eq!(then(&format!("?as_of={}&at=2026-11-21T09:30:00Z", created.position())), json!([first]));
    assert_eq!(then(&format!("?as_of={}&at=2026-11-21T09:30:00Z", moved.position())), json!([]));
    assert_eq!(then(""), json!([]));
    assert_eq!(then("?as_of=2020-01-01T00:00:00Z"), json!([]));

    let one = |query: &str| server.get(format!("{}{query}", path("a"))).send();
    assert_eq!(one(&format!("?as_of={}", created.position())).ok(200), first);
    let received = second["received_at"].as_str().expect("an instant");
    let by_instant = one(&format!("?as_of={received}")).ok(200);
    assert!(by_instant["version"].as_u64() >= Some(2), "an instant includes all of its millisecond");
    assert_eq!(one("?as_of=2020-01-01T00:00:00Z").refusal().0, 404);
    assert_eq!(one("?as_of=0.0").refusal().0, 404);

    let versions = |query: &str| server.get(format!("{}/versions{query}", path("a"))).send().ok(200);
    let all = versions("");
    let items = all["items"].as_array().expect("items");
    let numbers: Vec<_> = items.iter().map(|item| item["version"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    // The first fact of that batch named the resource.
    assert_eq!(items[0]["position"], format!("{}.1", created.position()));
    let page = versions("?limit=2");
    let rest = versions(&format!("?limit=2&cursor={}", page["next_cursor"].as_str().expect("there is more")));
    assert_eq!(json!([page["items"][0], page["items"][1], rest["items"][0]]), all["items"]);
    assert_eq!(rest["next_cursor"], Value::Null);
    assert_eq!(versions(&format!("?as_of={}", moved.position()))["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_external_id_batch_is_an_id_like_any_other() {
    let server = Server::open();
    server.put(path("batch"), &hour(9, 1)).send().ok(201);
    assert_eq!(server.get(path("batch")).send().ok(200)["external_id"], "batch");
    assert_eq!(
        server.get(format!("{}/versions", path("batch"))).send().ok(200)["items"][0]["external_id"],
        "batch"
    );
    let cancelled = server.delete(format!("{}?updated_at=2026-11-21T00:02:00Z", path("batch"))).send();
    assert_eq!(cancelled.ok(200)["outcome"], "cancelled");
}

#[test]
fn an_external_id_may_have_any_character_once_it_is_encoded() {
    let server = Server::open();
    for (i, (encoded, id)) in
        [("a%2Fb%3Fc", "a/b?c"), ("%C3%A4%20%F0%9F%A6%80", "ä 🦀"), ("...", "...")].iter().enumerate()
    {
        let put = server.put(path(encoded), &hour(i as u32 + 9, 1)).send();
        assert_eq!(put.ok(201)["appointment"]["external_id"], *id);
        assert_eq!(server.get(path(encoded)).send().ok(200)["external_id"], *id);
    }
}
