//! Every refusal leaves as a problem.

use std::collections::HashSet;
use std::time::Duration;

use axum::response::IntoResponse;
use maitred_core::{Class, Rejection};
use maitred_engine::Unavailable;
use maitred_web::problem::{CODES, Place, RETRY_AFTER_MEMBER};
use maitred_web::{Json, Problem};
use serde_json::{Value, json};

use crate::Answered;

async fn answered(answer: impl IntoResponse) -> Answered {
    let (parts, body) = answer.into_response().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    Answered { status: parts.status, headers: parts.headers, body }
}

#[test]
fn codes_are_kebab_case_and_stand_in_the_table_once() {
    let mut seen = HashSet::new();
    for row in CODES {
        assert!(row.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", row.code);
        assert!(seen.insert(row.code), "{} stands twice", row.code);
        assert!(!row.title.ends_with('.') && row.status.as_u16() >= 400, "{}", row.code);
    }
}

#[tokio::test]
async fn a_problem_has_its_members_in_their_order_and_is_escaped() {
    let problem = Problem::field_refused("/a", "too \"long\"")
        .with_error(Place::Parameter("limit".into()), "x")
        .with_error(Place::Header("if-match".into()), "y")
        .with_member("in_the_way", &json!([1]));
    let answered = answered(problem.clone()).await;
    assert_eq!(answered.problem(), (422, "field-refused".into()));
    let text = String::from_utf8(answered.body.to_vec()).expect("text");
    assert_eq!(
        text,
        r#"{"type":"/docs/errors/field-refused","title":"A field is well-formed, but against a rule","status":422,"detail":"A field is well-formed, but against a rule.","code":"field-refused","errors":[{"pointer":"/a","detail":"too \"long\""},{"parameter":"limit","detail":"x"},{"header":"if-match","detail":"y"}],"in_the_way":[1]}"#
    );
    let named: Value = serde_json::from_str(&problem.to_json(Some("req\"1"))).expect("JSON");
    assert_eq!(named["instance"], "req\"1");
}

#[tokio::test]
async fn a_rejection_keeps_its_code_and_members_under_the_status_of_its_class() {
    let rows = [
        (Class::Conflict, 409),
        (Class::Absent, 404),
        (Class::Precondition, 412),
        (Class::Unprocessable, 422),
        (Class::Forbidden, 403),
        (Class::TooMany, 429),
        (Class::TooLarge, 413),
    ];
    for (class, status) in rows {
        let rejection = Rejection::new(class, "time-range-unavailable", "It is taken.")
            .with("conflicts", r#"[{"external_id":"a"}]"#.into());
        let answered = answered(Problem::from(rejection)).await;
        assert_eq!(answered.problem(), (status, "time-range-unavailable".into()));
        let body = answered.json();
        assert_eq!(body["title"], "Time range unavailable");
        assert_eq!(body["detail"], "It is taken.");
        assert_eq!(body["conflicts"], json!([{ "external_id": "a" }]));
        assert_eq!(answered.headers.contains_key("retry-after"), class == Class::TooMany, "{class:?}");
    }
}

#[tokio::test]
async fn a_rejection_under_a_code_of_the_table_has_its_title() {
    let rejection = Rejection::new(Class::Precondition, "precondition-failed", "It is at version 3.");
    assert_eq!(answered(Problem::from(rejection)).await.json()["title"], "The record is at another version");
}

#[tokio::test]
async fn too_many_says_when_to_come_back() {
    let rejection = Rejection::new(Class::TooMany, "too-many-holds", "At most 3 open holds.");
    let plain = answered(Problem::from(rejection.clone())).await;
    assert_eq!(plain.headers["retry-after"], "60");
    let timed = answered(Problem::from(rejection.with(RETRY_AFTER_MEMBER, "900".into()))).await;
    assert_eq!(timed.headers["retry-after"], "900");
    let limited = answered(Problem::rate_limited(Duration::from_millis(1_001))).await;
    assert_eq!(
        (limited.problem(), &limited.headers["retry-after"]),
        ((429, "rate-limited".into()), &"2".parse().unwrap())
    );
}

#[tokio::test]
async fn what_is_unavailable_says_why_and_when_to_come_back() {
    let rows = [
        (Unavailable::Overloaded { retry_after: Duration::from_millis(10) }, 503, "overloaded", Some("1")),
        (Unavailable::Overloaded { retry_after: Duration::from_secs(7) }, 503, "overloaded", Some("7")),
        (Unavailable::Draining, 503, "draining", Some("5")),
        (Unavailable::DiskFull, 507, "disk-full", None),
        (Unavailable::LogAway, 503, "log-away", Some("1")),
        (Unavailable::ClockSuspect, 503, "clock-suspect", None),
        (Unavailable::ReplicaBehind, 503, "replica-behind", Some("1")),
        (Unavailable::Unknown, 503, "outcome-unknown", Some("1")),
        (Unavailable::Bug, 500, "internal-error", None),
    ];
    for (unavailable, status, code, retry_after) in rows {
        let answered = answered(Problem::from(unavailable)).await;
        assert_eq!(answered.problem(), (status, code.into()));
        let header = answered.headers.get("retry-after").map(|value| value.to_str().expect("digits"));
        assert_eq!(header, retry_after, "{code}");
    }
}

#[tokio::test]
async fn an_answer_without_a_json_form_is_a_fault_of_ours() {
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(answered(Json::<_, 0>(map)).await.problem(), (500, "internal-error".into()));
}
