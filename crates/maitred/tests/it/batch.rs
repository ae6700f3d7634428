//! `…/appointments/batch`.

use axum::http::{HeaderValue, Method};
use maitred_booking::{appointments, batches};
use maitred_core::{Actor, Timestamp};
use maitred_web::Attempt;
use maitred_web::idempotency::{IDEMPOTENCY_KEY, derived};
use serde_json::{Value, json};

use crate::server::Server;

const HERE: &str = "/v1/tenants/default/appointments/batch";

fn item(external_id: &str, hour: u32, minute: u32) -> Value {
    json!({
        "external_id": external_id,
        "starts_at": format!("2026-11-21T{hour:02}:00:00Z"),
        "ends_at": format!("2026-11-21T{:02}:00:00Z", hour + 1),
        "created_at": "2026-11-21T00:00:00Z",
        "updated_at": format!("2026-11-21T00:{minute:02}:00Z"),
    })
}

fn outcomes(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().expect("items").iter();
    let outcome = |item: &Value| match item["problem"]["code"].as_str() {
        Some(code) => format!("{} {code}", item["outcome"].as_str().expect("an outcome")),
        None => item["outcome"].as_str().expect("an outcome").to_owned(),
    };
    items.map(outcome).collect()
}

#[test]
fn items_are_decided_in_order_and_a_refused_one_does_not_stop_the_rest() {
    let server = Server::open();
    let mut backwards = item("backwards", 15, 1);
    backwards["ends_at"] = json!("2026-11-21T14:00:00Z");
    let mut listed = item("listed", 16, 1);
    listed["metadata"] = json!([1]);
    let batch = json!({"items": [
        item("a", 9, 1), item("b", 9, 1), item("a", 10, 2), item("b", 9, 1), item("a", 12, 1), backwards, listed,
        item("c", 11, 1),
    ]});
    let answer = server.post(HERE).json(&batch).send();
    let answered = answer.ok(200);
    assert_eq!(
        outcomes(&answered),
        [
            "created",
            "refused time-range-unavailable",
            "updated",
            "created",
            "ignored_stale",
            "refused invalid-time-range",
            "refused body-invalid",
            "created",
        ]
    );
    assert_eq!(answered["items"][1]["problem"]["conflicts"][0]["external_id"], "a");
    let list =
        server.get("/v1/tenants/default/appointments").header("Maitred-Position", answer.position()).send();
    let ids: Vec<_> = list.ok(200)["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["external_id"].clone())
        .collect();
    assert_eq!(ids, ["b", "a", "c"]);
}

#[test]
fn a_retry_under_the_same_key_repeats_what_is_done() {
    let server = Server::open();
    let batch = json!({"items": [item("a", 9, 1), item("b", 9, 2), item("c", 10, 1)]});
    let send = |batch: &Value| server.post(HERE).header("Idempotency-Key", "import-7").json(batch).send();
    let first = send(&batch);
    assert!(!first.replayed());
    let mut first = first.ok(200);
    assert_eq!(outcomes(&first), ["created", "refused time-range-unavailable", "created"]);
    assert!(first["items"].as_array().expect("items").iter().all(|item| item.get("replayed").is_none()));
    // Were anything decided again, the conflict would be gone now.
    server.delete("/v1/tenants/default/appointments/a?updated_at=2026-11-21T00:05:00Z").send().ok(200);
    let before = server.position();
    let again = send(&batch);
    assert!(again.replayed());
    for item in first["items"].as_array_mut().expect("items") {
        item["replayed"] = json!(true);
    }
    assert_eq!(again.ok(200), first);
    assert_eq!(server.position(), before);
}

#[test]
fn a_key_that_was_used_for_another_request_lets_nothing_of_a_batch_through() {
    let server = Server::with_keys();
    let here = "/v1/tenants/salon/appointments";
    let send = |items: &[Value]| {
        let batch = json!({"items": items});
        server.post(format!("{here}/batch")).header("Idempotency-Key", "bq").json(&batch).send()
    };
    let items = [item("a", 9, 1), item("b", 10, 1), item("c", 11, 1), item("d", 12, 1)];
    assert_eq!(outcomes(&send(&items[..2]).ok(200)), ["created", "created"]);
    let before = server.position();
    let reused = (422, "idempotency-key-reused".to_owned());
    assert_eq!(send(&items).refusal(), reused);
    let mut single = item("e", 13, 1);
    single.as_object_mut().expect("an object").remove("external_id");
    let put = |key: &str| server.put(format!("{here}/e"), &single).header("Idempotency-Key", key).send();
    assert_eq!(put("bq").refusal(), reused, "nor a request of another kind");
    assert_eq!(server.position(), before, "nothing was written");
    assert!(send(&items[..2]).replayed(), "the first one's answer stays");
    put("single").ok(201);
    let batch = json!({"items": [item("f", 14, 1)]});
    let answer = server.post(format!("{here}/batch")).header("Idempotency-Key", "single").json(&batch).send();
    assert_eq!(answer.refusal(), reused, "and the other way round");
}

#[test]
fn a_batch_of_which_nothing_stuck_is_decided_again_under_its_key() {
    let server = Server::open();
    let mut backwards = item("a", 9, 1);
    backwards["ends_at"] = json!("2026-11-21T08:00:00Z");
    let batch = json!({"items": [backwards, item("b", 10, 1)]});
    let send = || server.post(HERE).header("Idempotency-Key", "import-8").json(&batch).send();
    assert_eq!(outcomes(&send().ok(200)), ["refused invalid-time-range", "created"]);
    let again = send();
    assert!(again.replayed(), "nothing was left to do");
    let answered = again.ok(200);
    assert_eq!(answered["items"][0].get("replayed"), None, "a refusal of this kind is never remembered");
    assert_eq!(answered["items"][1]["replayed"], true);
}

#[test]
fn a_batch_that_was_cut_short_is_finished_by_its_retry() {
    let server = Server::open();
    let batch = json!({"items": [item("a", 9, 1), item("b", 10, 1), item("c", 11, 1)]});
    let body = batch.to_string();
    // What a crash leaves behind the batch's own key and its first item: the same commands, and no more.
    let headers = [(IDEMPOTENCY_KEY, HeaderValue::from_static("import-9"))].into_iter().collect();
    let attempt = Attempt::parse(&headers, &Method::POST, &HERE.parse().expect("a path")).expect("a key");
    let key = attempt.identify(Actor::Anonymous, body.as_bytes()).expect("it is keyed");
    server.submit("default", Some(key), batches::Command::Begin);
    let at = |text: &str| Timestamp::parse_rfc3339(text).expect("an instant");
    let first = appointments::Command::Upsert(appointments::Upsert {
        external_id: "a".into(),
        resource: "default".into(),
        starts_at: at("2026-11-21T09:00:00Z"),
        ends_at: at("2026-11-21T10:00:00Z"),
        created_at: at("2026-11-21T00:00:00Z"),
        updated_at: at("2026-11-21T00:01:00Z"),
        title: None,
        metadata: None,
        if_version: None,
        if_none_match_any: false,
    });
    server.submit("default", Some(derived(key, 0)), first);
    let send = || {
        server
            .post(HERE)
            .header("Idempotency-Key", "import-9")
            .header("Content-Type", "application/json")
            .bytes(body.clone())
            .send()
    };
    let retry = send();
    assert!(!retry.replayed(), "there was something left to do");
    let answered = retry.ok(200);
    assert_eq!(outcomes(&answered), ["created", "created", "created"]);
    let replayed: Vec<_> = (0..3).map(|i| answered["items"][i]["replayed"] == true).collect();
    assert_eq!(replayed, [true, false, false]);
    assert!(send().replayed());
}

#[test]
fn a_conditional_batch_is_refused() {
    let server = Server::open();
    let before = server.position();
    for (header, value) in [("If-Match", "\"v1\""), ("If-None-Match", "*")] {
        let batch = json!({"items": [item("a", 9, 1)]});
        let answer = server.post(HERE).header(header, value).json(&batch).send();
        assert_eq!(answer.refusal(), (400, "precondition-invalid".to_owned()));
        assert_eq!(answer.problem()["errors"][0]["header"], header.to_ascii_lowercase());
    }
    assert_eq!(server.position(), before);
}

#[test]
fn an_item_is_not_read_from_an_array() {
    let server = Server::open();
    let array = json!([
        "p1",
        "r",
        "2030-01-01T00:00:00Z",
        "2030-01-01T01:00:00Z",
        "2029-01-01T00:00:00Z",
        "2029-01-01T00:00:00Z"
    ]);
    for (items, pointer) in [(json!([array]), "/items/0"), (json!([item("a", 9, 1), array]), "/items/1")] {
        let answer = server.post(HERE).json(&json!({"items": items})).send();
        assert_eq!(answer.refusal(), (400, "body-invalid".to_owned()));
        assert_eq!(answer.problem()["errors"][0]["pointer"], pointer);
    }
}

#[test]
fn a_time_that_is_none_is_the_outcome_of_its_item_alone() {
    let server = Server::open();
    let mut broken = item("b", 10, 1);
    broken["ends_at"] = json!("2026-11-21 11:00");
    broken["updated_at"] = json!("yesterday");
    let batch = json!({"items": [item("a", 9, 1), broken, item("c", 11, 1)]});
    let answered = server.post(HERE).json(&batch).send().ok(200);
    assert_eq!(outcomes(&answered), ["created", "refused body-invalid", "created"]);
    let problem = &answered["items"][1]["problem"];
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["pointer"].as_str().expect("a pointer"))
        .collect();
    assert_eq!((pointers, &problem["status"]), (vec!["/ends_at", "/updated_at"], &json!(400)));
    // A number is no text: then the body is none of a batch, as with any other field of another type.
    let mut number = item("d", 12, 1);
    number["starts_at"] = json!(1);
    let answer = server.post(HERE).json(&json!({"items": [item("e", 13, 1), number]})).send();
    assert_eq!(answer.refusal(), (400, "body-invalid".to_owned()));
    assert_eq!(answer.problem()["errors"][0]["pointer"], "/items/1/starts_at");
}

#[test]
fn a_batch_as_a_whole_is_refused_where_it_is_none() {
    let server = Server::open();
    let before = server.position();
    let many = json!({"items": vec![item("a", 9, 1); 10_001]});
    let answer = server.post(HERE).json(&many).send();
    assert_eq!(answer.refusal(), (422, "field-refused".to_owned()));
    assert_eq!(answer.problem()["errors"][0]["pointer"], "/items");
    let mut typo = json!({"items": [item("a", 9, 1), item("b", 10, 1)]});
    typo["items"][1]["titel"] = json!("x");
    let answer = server.post(HERE).json(&typo).send();
    assert_eq!(answer.refusal(), (400, "body-invalid".to_owned()));
    assert_eq!(answer.problem()["errors"][0]["pointer"], "/items/1/titel");
    let large =
        server.post(HERE).header("Content-Type", "application/json").header("Content-Length", "8388609");
    assert_eq!(large.send().refusal(), (413, "body-too-large".to_owned()));
    assert_eq!(server.position(), before);
    assert_eq!(server.post(HERE).json(&json!({"items": []})).send().ok(200), json!({"items": []}));
}

#[test]
fn a_large_batch_is_answered_item_by_item() {
    let server = Server::open();
    let items: Vec<Value> = (0..2_000)
        .map(|i| {
            let mut one = item(&format!("item-{i}"), 9, 1);
            one["resource"] = json!(format!("chair-{}", i % 1_000));
            one
        })
        .collect();
    let answered = server.post(HERE).json(&json!({"items": items})).send().ok(200);
    let outcomes = outcomes(&answered);
    assert_eq!(outcomes.len(), 2_000);
    assert!(outcomes[..1_000].iter().all(|outcome| outcome == "created"));
    assert!(outcomes[1_000..].iter().all(|outcome| outcome == "refused time-range-unavailable"));
    for (i, item) in answered["items"].as_array().expect("items").iter().enumerate().skip(1_000) {
        assert_eq!(item["problem"]["conflicts"][0]["external_id"], format!("item-{}", i - 1_000));
    }
}
