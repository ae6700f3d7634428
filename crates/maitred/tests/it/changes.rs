//! `/v1/tenants/{tenant}/changes` and `/v1/changes`.

use serde_json::{Value, json};

use crate::client::Events;
use crate::server::Server;

const HERE: &str = "/v1/tenants/default/changes";

/// Writes version `version` of an appointment on a chair of its own.
fn write(server: &Server, external_id: &str, version: u32) -> String {
    let body = json!({
        "resource": external_id,
        "starts_at": "2026-11-21T09:00:00Z",
        "ends_at": "2026-11-21T10:00:00Z",
        "created_at": "2026-11-21T00:00:00Z",
        "updated_at": format!("2026-11-21T00:{:02}:{:02}Z", version / 60, version % 60),
    });
    let answer = server.put(format!("/v1/tenants/default/appointments/{external_id}"), &body).send();
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    answer.position()
}

fn names(changes: &[Value]) -> Vec<String> {
    let name = |change: &Value| {
        format!("{} v{}", change["data"]["external_id"].as_str().expect("an id"), change["version"])
    };
    changes.iter().map(name).collect()
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("items").clone()
}

#[test]
fn changes_are_told_in_order_as_each_left_its_record() {
    let server = Server::open();
    write(&server, "a", 1);
    write(&server, "b", 1);
    write(&server, "a", 2);
    server.delete("/v1/tenants/default/appointments/b?updated_at=2026-11-21T00:00:09Z").send().ok(200);
    let page = server.get(HERE).send().ok(200);
    let all = items(&page);
    assert_eq!(names(&all), ["a v1", "b v1", "a v2", "b v2"]);
    let types: Vec<_> = all.iter().map(|change| change["type"].as_str().expect("a type")).collect();
    assert_eq!(types, ["created", "created", "updated", "cancelled"]);
    let first = &all[0];
    assert_eq!(first["kind"], "appointment");
    assert_eq!((&first["record_id"], &first["at"]), (&first["data"]["id"], &first["data"]["received_at"]));
    let read = server.get("/v1/tenants/default/appointments/a").send().ok(200);
    assert_eq!(all[2]["data"], read, "the shape is the record's own");

    let behind_second = all[1]["id"].as_str().expect("an id");
    let rest = server.get(format!("{HERE}?after={behind_second}")).send().ok(200);
    assert_eq!(items(&rest), all[2..]);
    let mut after = String::new();
    let mut walked = Vec::new();
    loop {
        let page = server.get(format!("{HERE}?limit=3{after}")).send().ok(200);
        if items(&page).is_empty() {
            break;
        }
        walked.extend(items(&page));
        after = format!("&after={}", page["next_after"].as_str().expect("always there"));
    }
    assert_eq!(walked, all);
    assert_eq!(page["next_after"], server.position(), "at the end it is where the log ends");
    assert_eq!(server.get(format!("{HERE}{}", after.replace('&', "?"))).send().ok(200)["items"], json!([]));
}

#[test]
fn a_place_that_is_none_is_refused() {
    let server = Server::open();
    for (query, status, code) in [
        ("?after=yesterday", 400, "query-invalid"),
        ("?after=0.1.2.3", 400, "query-invalid"),
        ("?after=9.1", 400, "position-invalid"),
        ("?after=0.99999", 400, "position-invalid"),
        ("?limit=0", 400, "query-invalid"),
        ("?before=0.1", 400, "query-invalid"),
    ] {
        assert_eq!(
            server.get(format!("{HERE}{query}")).send().refusal(),
            (status, code.to_owned()),
            "{query}"
        );
    }
    let stream = || server.get(HERE).header("Accept", "text/event-stream");
    let malformed = stream().header("Last-Event-ID", "x").send();
    assert_eq!(malformed.refusal(), (400, "last-event-id-invalid".to_owned()));
    let of_another = stream().header("Last-Event-ID", "1.0.0").send();
    assert_eq!(of_another.refusal(), (400, "last-event-id-invalid".to_owned()));
    assert_eq!(of_another.problem()["errors"][0]["header"], "last-event-id");
    let paged = server.get(format!("{HERE}?limit=5")).header("Accept", "text/event-stream").send();
    assert_eq!(paged.refusal(), (400, "query-invalid".to_owned()));
    assert_eq!(
        server.get("/v1/tenants/nobody/changes").header("Accept", "text/event-stream").send().refusal().0,
        404
    );
}

fn data(events: &[(String, Value)]) -> Vec<Value> {
    for (id, data) in events {
        assert_eq!(data["id"], id.as_str());
    }
    events.iter().map(|(_, data)| data.clone()).collect()
}

#[test]
fn a_stream_tells_the_past_then_each_change_as_it_happens() {
    let server = Server::open();
    write(&server, "a", 1);
    let mut events = server.get(HERE).listen();
    assert_eq!(names(&data(&events.take(1))), ["a v1"]);
    for version in 2..20 {
        write(&server, "a", version);
        assert_eq!(
            names(&data(&events.take(1))),
            [format!("a v{version}")],
            "told before the next one is written"
        );
    }
    let told = server.get(HERE).send().ok(200);
    let mut again = server.get(HERE).listen();
    assert_eq!(data(&again.take(19)), items(&told), "the stream tells what the pages tell");
}

#[test]
fn a_client_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let server = Server::open();
    write(&server, "a", 1);
    let heard = |mut events: Events, count| events.take(count);
    let mut all = heard(server.get(HERE).listen(), 1);
    for round in 0..8 {
        // Written while nobody listens, and while the next one catches up.
        write(&server, "a", round * 3 + 2);
        write(&server, "a", round * 3 + 3);
        let last = all.last().expect("there is one").0.clone();
        let events = match round % 2 {
            0 => server.get(HERE).header("Last-Event-ID", last).listen(),
            _ => server.get(format!("{HERE}?after={last}")).listen(),
        };
        write(&server, "a", round * 3 + 4);
        all.extend(heard(events, 3));
    }
    let expected: Vec<_> = (1..=25).map(|version| format!("a v{version}")).collect();
    assert_eq!(names(&data(&all)), expected);
    let both = server.get(format!("{HERE}?after=0.0")).header("Last-Event-ID", all[20].0.as_str()).listen();
    assert_eq!(heard(both, 4), all[21..], "the header wins: a browser sends the first URL again");
}

#[test]
fn many_listeners_of_a_busy_tenant_all_hear_all_of_it_in_order() {
    let server = Server::open();
    server.tenant("quiet");
    let mut quiet = server.get("/v1/tenants/quiet/changes").listen();
    const WRITES: u32 = 300;
    let expected: Vec<_> = (1..=WRITES).map(|version| format!("a v{version}")).collect();
    std::thread::scope(|scope| {
        for late in 0..24 {
            let (server, expected) = (&server, &expected);
            scope.spawn(move || {
                // Some come while it is being written.
                while server.app.engine().position().seq < late * 8 {
                    std::thread::yield_now();
                }
                let mut events = server.get(HERE).listen();
                assert_eq!(&names(&data(&events.take(WRITES as usize))), expected);
            });
        }
        let server = &server;
        scope.spawn(move || {
            for version in 1..=WRITES {
                write(server, "a", version);
            }
        });
    });
    let body = json!({
        "starts_at": "2026-11-21T09:00:00Z", "ends_at": "2026-11-21T10:00:00Z",
        "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
    });
    server.put("/v1/tenants/quiet/appointments/only", &body).send().ok(201);
    assert_eq!(names(&data(&quiet.take(1))), ["only v1"], "one tenant hears nothing of another");
}

#[test]
fn a_long_past_is_told_in_pieces_that_fit_together() {
    let server = Server::open();
    let note = "x".repeat(4_000);
    let items: Vec<_> = (0..200)
        .map(|i| {
            json!({
                "external_id": format!("item-{i}"), "resource": format!("chair-{i}"), "metadata": {"note": note},
                "starts_at": "2026-11-21T09:00:00Z", "ends_at": "2026-11-21T10:00:00Z",
                "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
            })
        })
        .collect();
    server.post("/v1/tenants/default/appointments/batch").json(&json!({"items": items})).send().ok(200);
    let expected: Vec<_> = (0..200).map(|i| format!("item-{i} v1")).collect();
    let mut events = server.get(HERE).listen();
    assert_eq!(names(&data(&events.take(200))), expected);

    let first = server.get(format!("{HERE}?limit=1000")).send().ok(200);
    let count = first["items"].as_array().expect("items").len();
    assert!((60..200).contains(&count), "a page of large records is cut: {count}");
    let after = first["next_after"].as_str().expect("always there");
    let next = server.get(format!("{HERE}?limit=1&after={after}")).send().ok(200);
    assert_eq!(names(&self::items(&next)), [format!("item-{count} v1")]);
}

#[test]
fn a_stream_ends_when_the_server_drains() {
    let server = Server::open();
    write(&server, "a", 1);
    let mut events = server.get(HERE).listen();
    events.take(1);
    server.app.readiness().drain();
    assert_eq!(events.next(), None);
    let mut late = server.get(HERE).listen();
    assert_eq!(late.next(), None);
}

#[test]
fn a_stream_ends_when_its_key_is_revoked_or_its_tenant_closed() {
    let server = Server::with_keys();
    server.tenant("other");
    let here = "/v1/tenants/salon/changes";
    let made = |name: &str| {
        let input = json!({"name": name, "role": "integration"});
        server.post("/v1/tenants/salon/api-keys").json(&input).send().ok(201)
    };
    let (first, second) = (made("first"), made("second"));
    let listen = |path: &str, key: &Value| {
        server.anonymous("GET", path).key(key["secret"].as_str().expect("a secret")).listen()
    };
    let (mut revoked, mut kept) = (listen(here, &first), listen(here, &second));
    let mut of_other = server.get("/v1/tenants/other/changes").listen();
    let mut of_server = server.get("/v1/changes").listen();
    server
        .delete(format!("/v1/tenants/salon/api-keys/{}", first["id"].as_str().expect("an id")))
        .send()
        .ok(200);
    assert_eq!(revoked.next(), None, "without waiting for an event");
    let body = json!({
        "starts_at": "2026-11-21T09:00:00Z", "ends_at": "2026-11-21T10:00:00Z",
        "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
    });
    server.put("/v1/tenants/salon/appointments/a", &body).send().ok(201);
    assert_eq!(names(&data(&kept.take(1))), ["a v1"], "another key's stream goes on");
    server.delete("/v1/tenants/salon").send().ok(200);
    assert_eq!(kept.next(), None);
    server.put("/v1/tenants/other/appointments/b", &body).send().ok(201);
    assert_eq!(names(&data(&of_other.take(1))), ["b v1"], "another tenant's goes on");
    let told = of_server.take(7);
    assert_eq!(told.last().expect("the last").1["type"], "deleted");
}

#[test]
fn a_weight_of_nothing_asks_for_no_events() {
    let server = Server::open();
    for accept in ["text/event-stream;q=0", "application/json, text/event-stream; q=0.0", "*/*"] {
        let answer = server.get(HERE).header("Accept", accept).send();
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
    }
}

#[test]
fn a_feed_that_nobody_listens_to_any_more_is_given_up() {
    let server = Server::open();
    let events = server.get(HERE).listen();
    assert_eq!(server.app.feeds().listeners(), 1);
    drop(events);
    // The server notices at its next write to the socket, and the feed at its next batch.
    for version in 1.. {
        write(&server, "a", version);
        if server.app.feeds().listeners() == 0 {
            break;
        }
    }
}

#[test]
fn the_server_tells_of_its_tenants_and_keys() {
    let server = Server::with_keys();
    let created = server
        .post("/v1/tenants/salon/api-keys")
        .json(&json!({"name": "till", "role": "staff"}))
        .send()
        .ok(201);
    let page = server.get("/v1/changes").send().ok(200);
    let kinds: Vec<_> =
        items(&page).iter().map(|change| format!("{} {}", change["kind"], change["type"])).collect();
    assert_eq!(kinds, [r#""api_key" "created""#, r#""tenant" "created""#, r#""api_key" "created""#]);
    let [.., tenant, key] = items(&page).try_into().unwrap_or([const { Value::Null }; 3]);
    assert_eq!(tenant["data"], server.get("/v1/tenants/salon").send().ok(200));
    assert_eq!((&key["record_id"], &key["data"]["name"]), (&created["id"], &json!("till")));
    assert!(!page.to_string().contains("mk_") && !page.to_string().contains("hash"));
    let mut events = server.get("/v1/changes").listen();
    assert_eq!(data(&events.take(3)), items(&page));
}
