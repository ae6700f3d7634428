//! Queries are read strictly.

use axum::Router;
use axum::extract::Request;
use axum::routing::get as on_get;
use maitred_core::{Position, Timestamp};
use maitred_web::query::parse;
use maitred_web::{AsOf, Json, Limit, Path, Problem, Query, Time};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{get, send};

#[derive(Debug, Deserialize, PartialEq, Default)]
#[serde(deny_unknown_fields)]
struct Filters {
    from: Option<Time>,
    as_of: Option<AsOf>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
    #[serde(default)]
    service_id: Vec<Uuid>,
    status: Option<Status>,
    force: Option<bool>,
    price: Option<i64>,
}

#[derive(Debug, Deserialize, Serialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Status {
    NoShow,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Required {
    at: String,
}

#[test]
fn every_kind_of_parameter_is_read() {
    let [a, b] = [1, 2].map(Uuid::from_u128);
    let query = format!(
        "from=2026-11-21T09:30:00%2B01:00&limit=5&cursor=x%20y+z&service_id={a}&status=no-show&service_id={b}&force=true&price=-7&"
    );
    let expected = Filters {
        from: Timestamp::parse_rfc3339("2026-11-21T08:30:00Z").ok().map(Time),
        limit: parse::<Filters>("limit=5").expect("a query").limit,
        cursor: Some("x y z".into()),
        service_id: vec![a, b],
        status: Some(Status::NoShow),
        force: Some(true),
        price: Some(-7),
        as_of: None,
    };
    assert_eq!(parse::<Filters>(&query), Ok(expected));
    assert_eq!(parse::<Filters>(""), Ok(Filters::default()));
}

#[test]
fn a_page_has_100_items_unless_the_client_says_1_to_1000() {
    let limit = |query: &str| parse::<Filters>(query).map(|filters| filters.limit.get());
    assert_eq!(limit(""), Ok(100));
    assert_eq!(limit("limit=1"), Ok(1));
    assert_eq!(limit("limit=1000"), Ok(1000));
    for query in ["limit=0", "limit=1001", "limit=-1", "limit=", "limit=1.5", "limit=70000", "limit=9e9"] {
        check_refused(limit(query).expect_err(query), Some("limit"), "");
    }
}

#[test]
fn the_past_is_named_by_an_instant_or_a_position() {
    let as_of = |query: &str| parse::<Filters>(query).map(|filters| filters.as_of);
    let millis = Timestamp::parse_rfc3339("2026-11-21T09:30:00.123Z").expect("an instant").as_millis();
    let end = Timestamp::from_micros(millis * 1_000 + 999);
    assert_eq!(as_of("as_of=2026-11-21T09:30:00.123Z"), Ok(Some(AsOf::Instant(end))));
    assert_eq!(as_of("as_of=0.42"), Ok(Some(AsOf::Position(Position { partition: 0, seq: 42 }))));
    for query in ["as_of=", "as_of=42", "as_of=0.42.1", "as_of=2026-11-21", "as_of=2026-11-21T09:30:00+01:00"]
    {
        check_refused(as_of(query).expect_err(query), Some("as_of"), "0.42");
    }
}

fn check_refused(problem: Problem, parameter: Option<&str>, says: &str) {
    let json: Value = serde_json::from_str(&problem.to_json(None)).expect("JSON");
    assert_eq!((problem.status().as_u16(), problem.code()), (400, "query-invalid"), "{json}");
    assert_eq!(json["errors"][0]["parameter"].as_str(), parameter, "{json}");
    assert!(json["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{json}");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let rows = [
        ("form=1", "form", "known are from, as_of, limit"),
        ("limit=1&limit=2", "limit", "more than once"),
        ("cursor=&cursor=", "cursor", "more than once"),
        ("status=gone", "status", "no-show"),
        ("force=yes", "force", "`true` or `false`"),
        ("price=x", "price", "a whole number"),
        ("service_id=1", "service_id", ""),
        ("from=2026-11-21T09:30:00+01:00", "from", "RFC 3339"),
        ("cursor=%ff", "cursor", "UTF-8"),
        ("%66orce=no", "force", "`true` or `false`"),
    ];
    for (query, parameter, says) in rows {
        check_refused(parse::<Filters>(query).expect_err(query), Some(parameter), says);
    }
    check_refused(parse::<Required>("").expect_err("required"), Some("at"), "required");
    assert_eq!(parse::<Required>("at="), Ok(Required { at: String::new() }));
    let many = "cursor=x&".repeat(65);
    check_refused(parse::<Filters>(&many).expect_err("too many"), None, "at most 64");
}

#[tokio::test]
async fn paths_are_decoded_and_their_parts_refused_by_name() {
    #[derive(Deserialize)]
    struct Named {
        id: Uuid,
    }
    let router = Router::new()
        .route(
            "/text/{tenant}/{id}",
            on_get(async |Path((tenant, id)): Path<(String, u32)>| Json::<_>((tenant, id))),
        )
        .route("/named/{id}", on_get(async |Path(Named { id }): Path<Named>| Json::<_>(id)))
        .route("/one/{id}", on_get(async |Path(id): Path<Uuid>| Json::<_>(id)))
        .route("/misused", on_get(async |Path(id): Path<u8>| Json::<_>(id)))
        .route("/query", on_get(async |Query(Required { at }): Query<Required>| Json::<_>(at)))
        .route("/not-found", on_get(async |_: Request| Problem::not_found("booking")));
    assert_eq!(send(&router, get("/text/a%2Fb%20c/7")).await.body, r#"["a/b c",7]"#);
    assert_eq!(send(&router, get("/query?at=x%26y")).await.body, r#""x&y""#);
    for (path, part) in [
        ("/text/a/x", Some("part 2")),
        ("/named/x", Some("id")),
        ("/text/%ff/1", Some("tenant")),
        ("/one/x", Some("id")),
    ] {
        let answered = send(&router, get(path)).await;
        assert_eq!(answered.problem(), (400, "path-invalid".into()), "{path}");
        assert_eq!(answered.json()["errors"][0]["parameter"].as_str(), part, "{path}");
    }
    assert_eq!(send(&router, get("/misused")).await.problem(), (500, "internal-error".into()));
    assert_eq!(send(&router, get("/not-found")).await.json()["detail"], "There is no such booking.");
}

proptest! {
    #[test]
    fn any_query_is_read_or_refused(query in "([a-z_%=&+0-9.:-]|from|limit|service_id|status){0,40}") {
        if let Err(problem) = parse::<Filters>(&query) {
            prop_assert_eq!(problem.code(), "query-invalid");
        }
    }

    #[test]
    fn a_text_comes_through_percent_encoding(text in "\\PC{0,30}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(parse::<Required>(&format!("at={encoded}")), Ok(Required { at: text }));
    }
}
