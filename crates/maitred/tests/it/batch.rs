//! `…/appointments/batch`.

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
    let first = send(&batch).ok(200);
    assert_eq!(outcomes(&first), ["created", "refused time-range-unavailable", "created"]);
    // Were anything decided again, the conflict would be gone now.
    server.delete("/v1/tenants/default/appointments/a?updated_at=2026-11-21T00:05:00Z").send().ok(200);
    let before = server.position();
    assert_eq!(send(&batch).ok(200), first);
    assert_eq!(server.position(), before);
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
