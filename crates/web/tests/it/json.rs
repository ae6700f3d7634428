//! Bodies, and what is refused of them.

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use axum::http::Request;
use axum::routing::post;
use bytes::Bytes;
use maitred_core::Position;
use maitred_web::json::parse;
use maitred_web::limits::BodyBytesMax;
use maitred_web::{ETag, Json, JsonBody, OptionalJsonBody, Reply, Time};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Answered, send};

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    starts_at: Time,
    #[serde(default)]
    items: Vec<Item>,
    size: Option<u8>,
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(rename = "a/b~c")]
    odd: u32,
}

/// Every field may be missing, as in a PATCH.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(rename = "name")]
    _name: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Wrapped(Vec<Patch>);

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Choice {
    One { patch: Patch },
    Two(Patch),
    Three,
}

fn router() -> Router {
    let small = post(async |body: JsonBody<Value, 16>| Reply::ok(body.bytes.len()));
    Router::new()
        .route("/", post(async |Json(sample): Json<Sample>| Json::<_>(sample)))
        .route("/optional", post(async |body: OptionalJsonBody<Patch>| Reply::ok(body.value._name)))
        .route("/small", small.clone())
        .route("/configured", small.layer(Extension(BodyBytesMax(4))))
}

async fn post_as(path: &str, content_type: &str, body: impl Into<Body>) -> Answered {
    let request = Request::post(path).header("content-type", content_type).body(body.into());
    send(&router(), request.expect("a request")).await
}

#[tokio::test]
async fn a_body_comes_back_as_it_was_meant() {
    let body = r#"{"name":"é\n","starts_at":"2026-11-21T09:30:00+01:00","items":[{"a/b~c":1}]}"#;
    let answered = post_as("/", "application/json", body).await;
    assert_eq!(answered.headers["content-type"], "application/json");
    assert_eq!(
        answered.json(),
        json!({"name":"é\n","starts_at":"2026-11-21T08:30:00.000Z","items":[{"a/b~c":1}],"size":null})
    );
}

#[tokio::test]
async fn only_json_in_utf8_is_read() {
    for accepted in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "Application/JSON ; x=y",
        "application/merge-patch+json",
    ] {
        assert_eq!(post_as("/small", accepted, "1").await.status, 200, "{accepted}");
    }
    for refused in [
        "text/plain",
        "application/jsonp",
        "application/+json",
        "text/json",
        "json",
        "",
        "application/json; charset=iso-8859-1",
        "application/xml; a=application/json",
    ] {
        let answered = post_as("/small", refused, "1").await;
        assert_eq!(answered.problem(), (415, "content-type-unsupported".into()), "{refused}");
    }
    let without = Request::post("/small").body(Body::from("1")).expect("a request");
    assert_eq!(send(&router(), without).await.status, 415);
}

#[tokio::test]
async fn a_body_that_may_be_left_out_is_read_like_any_other_when_it_is_there() {
    let left_out = Request::post("/optional").body(Body::empty()).expect("a request");
    assert_eq!(send(&router(), left_out).await.json(), Value::Null);
    let json = "application/json";
    assert_eq!(post_as("/optional", json, "").await.json(), Value::Null);
    assert_eq!(post_as("/optional", json, "{\"name\":\"x\"}").await.json(), "x");
    assert_eq!(
        post_as("/optional", "text/plain", "{}").await.problem(),
        (415, "content-type-unsupported".into())
    );
    assert_eq!(post_as("/optional", json, "{").await.status, 400);
    assert_eq!(post_as("/optional", json, "{\"nam\":1}").await.problem(), (400, "body-invalid".into()));
    let long = "\"".to_owned() + &"a".repeat(1 << 21) + "\"";
    assert_eq!(post_as("/optional", json, long).await.problem(), (413, "body-too-large".into()));
}

#[tokio::test]
async fn a_body_has_a_bound_whether_its_length_is_declared_or_not() {
    let exact = "\"".to_owned() + &"a".repeat(14) + "\"";
    assert_eq!(post_as("/small", "application/json", exact.clone()).await.json(), 16);
    let too_long = exact.clone() + " ";
    let answered = post_as("/small", "application/json", too_long.clone()).await;
    assert_eq!(answered.problem(), (413, "body-too-large".into()));
    assert_eq!(answered.json()["bytes_max"], 16);
    let chunks =
        too_long.into_bytes().into_iter().map(|byte| Ok::<_, std::io::Error>(Bytes::from(vec![byte])));
    let streamed = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(post_as("/small", "application/json", streamed).await.status, 413);
    let declared =
        Request::post("/small").header("content-type", "application/json").header("content-length", "17");
    // The body itself never comes: what is declared is enough to refuse it.
    let declared =
        declared.body(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()));
    assert_eq!(send(&router(), declared.expect("a request")).await.status, 413);
    assert_eq!(post_as("/configured", "application/json", "12345").await.json()["bytes_max"], 4);
}

#[tokio::test]
async fn a_body_that_ends_early_is_refused() {
    let broken = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(broken));
    let answered = post_as("/small", "application/json", body).await;
    assert_eq!(answered.problem(), (400, "body-unreadable".into()));
}

fn check_malformed(body: &[u8], line: u64, column: u64) {
    let problem = parse::<Value>(body).expect_err("malformed");
    let json: Value = serde_json::from_str(&problem.to_json(None)).expect("JSON");
    assert_eq!((problem.code(), problem.status().as_u16()), ("json-malformed", 400), "{json}");
    assert_eq!((json["line"].as_u64(), json["column"].as_u64()), (Some(line), Some(column)), "{json}");
}

#[test]
fn malformed_json_is_refused_with_its_position() {
    check_malformed(b"{\"a\":", 1, 5);
    check_malformed(b"{\n  a: 1}", 2, 3);
    check_malformed(b"{} {}", 1, 4);
    check_malformed(b"\"\xff\"", 1, 2);
    for empty in ["", " \n"] {
        let problem = parse::<Sample>(empty.as_bytes()).expect_err("empty");
        assert_eq!((problem.code(), problem.detail()), ("json-malformed", "The body is empty."));
    }
}

fn check_invalid<T: serde::de::DeserializeOwned + std::fmt::Debug>(body: &str, pointer: &str, says: &str) {
    let problem = parse::<T>(body.as_bytes()).expect_err("invalid");
    let json: Value = serde_json::from_str(&problem.to_json(None)).expect("JSON");
    assert_eq!((problem.code(), problem.status().as_u16()), ("body-invalid", 400), "{json}");
    let error = &json["errors"][0];
    assert_eq!(error["pointer"], pointer, "{json}");
    assert!(
        error["detail"].as_str().is_some_and(|text| text.contains(says) && !text.contains(" at line ")),
        "{json}"
    );
}

#[test]
fn an_invalid_field_is_refused_by_its_pointer() {
    let at = r#""starts_at":"2026-11-21T09:30:00Z""#;
    check_invalid::<Sample>(&format!(r#"{{"name":1,{at}}}"#), "/name", "`1` is given, expected a string");
    check_invalid::<Sample>(&format!(r#"{{{at}}}"#), "/name", "missing field");
    check_invalid::<Sample>(&format!(r#"{{"nmae":"x",{at}}}"#), "/nmae", "unknown field");
    check_invalid::<Sample>(&format!(r#"{{"name":"x","name":"y",{at}}}"#), "/name", "duplicate field");
    check_invalid::<Sample>(r#"{"name":"x","starts_at":"2026-11-21"}"#, "/starts_at", "RFC 3339");
    check_invalid::<Sample>(&format!(r#"{{"name":"x","size":256,{at}}}"#), "/size", "256");
    check_invalid::<Sample>(
        &format!(r#"{{"name":"x","size":"5",{at}}}"#),
        "/size",
        "a whole number from 0 to 255",
    );
    let items = |items: &str| format!(r#"{{"name":"x",{at},"items":{items}}}"#);
    check_invalid::<Sample>(&items(r#"[{"a/b~c":1},{"a/b~c":-1}]"#), "/items/1/a~1b~0c", "-1");
    check_invalid::<Sample>(&items(r#"[{}]"#), "/items/0/a~1b~0c", "missing field");
    check_invalid::<Sample>(&items(r#"[{"a/b~c":1,"x":2}]"#), "/items/0/x", "unknown field");
    check_invalid::<Sample>("null", "", "null");
    check_invalid::<Sample>("5", "", "`5` is given, expected an object");
}

#[test]
fn an_object_is_not_read_from_an_array() {
    check_invalid::<Patch>(" []", "", "object");
    check_invalid::<Patch>(r#"["x"]"#, "", "object");
    check_invalid::<Option<Patch>>("[]", "", "object");
    check_invalid::<Vec<Patch>>(r#"[{},["x"]]"#, "/1", "object");
    check_invalid::<Option<Vec<Option<Patch>>>>(r#"[null,["x"]]"#, "/1", "object");
    check_invalid::<std::collections::BTreeMap<String, (u8, Patch)>>(r#"{"a":[1,[]]}"#, "/a/1", "object");
    check_invalid::<Wrapped>(r#"[["x"]]"#, "/0", "object");
    check_invalid::<Vec<Choice>>(r#"[{"one":{"patch":{}}},{"one":[{}]}]"#, "/1/one", "object");
    check_invalid::<Vec<Choice>>(r#"[{"one":{"patch":[]}}]"#, "/0/one/patch", "object");
    check_invalid::<Vec<Choice>>(r#"[{"two":[]}]"#, "/0/two", "object");
    let at = r#""starts_at":"2026-11-21T09:30:00Z""#;
    check_invalid::<Sample>(&format!(r#"{{"name":"x",{at},"items":[[1]]}}"#), "/items/0", "object");
    assert_eq!(parse::<Vec<u8>>(b"[1]"), Ok(vec![1]));
    assert_eq!(parse::<Vec<Choice>>(br#"[{"two":{}},"three"]"#).map(|choices| choices.len()), Ok(2));
    let kept: Box<serde_json::value::RawValue> = parse(br#"{"a": [1, {}]}"#).expect("any JSON");
    assert_eq!(kept.get(), r#"{"a": [1, {}]}"#);
    assert_eq!(parse::<(u8, u8)>(b"[1,2]"), Ok((1, 2)));
    assert_eq!(parse::<Patch>(b"{}"), Ok(Patch { _name: None }));
}

#[tokio::test]
async fn a_reply_carries_the_headers_of_a_record() {
    let handler = async || {
        Reply::created("/v1/tenants/t/services/1", 1)
            .at(Position { partition: 0, seq: 42 })
            .tagged(ETag::version(7))
            .replayed(true)
    };
    let request = Request::post("/").body(Body::empty()).expect("a request");
    let answered = send(&Router::new().route("/", post(handler)), request).await;
    let header =
        |name| answered.headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap());
    assert_eq!(answered.status, 201);
    assert_eq!(header("location"), Some("/v1/tenants/t/services/1"));
    assert_eq!(header("maitred-position"), Some("0.42"));
    assert_eq!(header("etag"), Some("\"v7\""));
    assert_eq!(header("idempotent-replayed"), Some("true"));
    assert_eq!(answered.body, "1");
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(problem) = parse::<Sample>(&bytes) {
            prop_assert_eq!(problem.status(), 400);
        }
    }

    #[test]
    fn almost_json_is_read_or_refused(text in r#"[{}\[\]":,0-9a-z \\]{0,60}"#) {
        match (parse::<Value>(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(problem), Err(_)) => prop_assert_eq!(problem.code(), "json-malformed"),
            (ours, theirs) => prop_assert!(false, "{:?} but {:?}", ours, theirs),
        }
        // The same text where it cannot fit: refused, with a sound problem.
        let problem = parse::<Sample>(text.as_bytes()).expect_err("no sample");
        prop_assert!(serde_json::from_str::<Value>(&problem.to_json(None)).is_ok());
    }

    #[test]
    fn any_content_type_is_judged(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let headers = crate::header_lines("content-type", [&value]);
        let accepted = maitred_web::json::require_json(&headers).is_ok();
        let text = String::from_utf8_lossy(&value).to_ascii_lowercase();
        prop_assert!(!accepted || text.contains("json"));
    }
}
