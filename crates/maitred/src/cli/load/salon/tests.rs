//! The requests and judgements of the load, and a run against a small service that may forget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;

fn target() -> Target {
    Target { url: "http://h".to_owned(), tenant: "appc".to_owned(), key: None }
}

fn pace() -> Pace {
    Pace {
        connections: 1,
        threads: 1,
        seconds: None,
        requests: None,
        rate: None,
        warm_up: 0.0,
        timeout: 5.0,
        reconnect: false,
        json: false,
    }
}

fn salon(days: u32) -> Salon {
    Salon { first: date(2023, 1, 1), starts: 1096 - u64::from(days) + 1, days, written: date(2026, 1, 1) }
}

fn written(workload: &impl Workload, number: u64) -> String {
    let mut out = Vec::new();
    workload.request(number, &mut out, &mut b"left over".to_vec());
    String::from_utf8(out).unwrap()
}

#[test]
fn reads_ask_for_whole_weeks_within_the_range() {
    let request = target().salon_request("GET", RANGE).unwrap();
    let reads = Reads { salon: salon(7), seed: 1, request };
    let mut starts = std::collections::BTreeSet::new();
    for number in 0..5_000 {
        let text = written(&reads, number);
        let query = text.strip_prefix("GET /api/bookings?start=").unwrap().split(' ').next().unwrap();
        let (first, last) = query.split_once("&end=").unwrap();
        let (first, last): (Date, Date) = (first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(first.until(last).unwrap().get_days(), 7, "{query}");
        assert!(first >= date(2023, 1, 1) && last <= date(2026, 1, 1), "{query}");
        starts.insert(first);
    }
    assert!(starts.len() > 1_000, "{}", starts.len());
    assert!(written(&reads, 0).contains("\r\nx-tenant: appc\r\n"));
}

#[test]
fn writes_are_bookings_of_the_week_behind() {
    let request = target().salon_request("POST", "/api/bookings").unwrap();
    let writes = Writes { salon: salon(7), seed: 1, customer: "c\"1".to_owned(), request };
    for number in 0..100 {
        let text = written(&writes, number);
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["customerId"], "c\"1");
        let at = body["date"].as_str().unwrap();
        assert!(("2026-01-01T08:00:00.000Z".."2026-01-08T00:00:00.000Z").contains(&at), "{at}");
    }
}

#[test]
fn answers_are_judged_by_status_count_and_id() {
    let request = || target().salon_request("GET", RANGE).unwrap();
    let reads = Reads { salon: salon(7), seed: 1, request: request() };
    let writes = Writes { salon: salon(7), seed: 1, customer: String::new(), request: request() };
    let judged = |workload: &dyn Workload, status, body: &str| {
        let outcomes = workload.judge(0, Answer { status, body: body.as_bytes() });
        Outcome::ALL.into_iter().find(|outcome| outcomes.count(*outcome) == 1)
    };
    assert_eq!(judged(&reads, 200, "{\"count\":2,\"bookings\":[{\"id\":"), Some(Outcome::Found));
    assert_eq!(judged(&reads, 200, "{\"count\":0,\"bookings\":[]}"), Some(Outcome::Empty));
    assert_eq!(judged(&reads, 200, "[]"), Some(Outcome::Other));
    assert_eq!(judged(&reads, 500, "{}"), Some(Outcome::Failed));
    assert_eq!(judged(&writes, 200, "{\"customerId\":\"c\",\"id\":\"b\"}"), Some(Outcome::Created));
    assert_eq!(judged(&writes, 200, "{}"), Some(Outcome::Other));
    assert_eq!(judged(&writes, 400, "{\"id\":1}"), Some(Outcome::Refused));
}

#[test]
fn a_range_that_is_shorter_than_what_is_read_is_refused() {
    for (from, to, days, fits) in [
        (date(2023, 1, 1), date(2023, 1, 8), 7, true),
        (date(2023, 1, 1), date(2023, 1, 7), 7, false),
        (date(2024, 1, 1), date(2023, 1, 1), 1, false),
        (date(1000, 1, 1), date(2023, 1, 1), 1, false),
    ] {
        let pace = pace();
        let options = LoadSalon { target: target(), from, to, days, seed: 1, pace };
        assert_eq!(Salon::new(&options).is_ok(), fits, "{from} {to}");
    }
}

/// The replaced service, as far as the load needs it. It has five bookings whatever it is asked for, and those that
/// were written.
#[derive(Debug, Default)]
struct Fapi {
    /// Their dates.
    written: Mutex<Vec<String>>,
    /// Acknowledges each so many-th booking, and does not keep it.
    forgets_every: Option<usize>,
    acknowledged: AtomicUsize,
    /// Every tenant that was asked for.
    tenants: Mutex<BTreeSet<String>>,
}

async fn customers(State(fapi): State<Arc<Fapi>>, headers: HeaderMap) -> Json<Value> {
    let tenant = headers["x-tenant"].to_str().unwrap().to_owned();
    fapi.tenants.lock().unwrap().insert(tenant);
    Json(json!({"id": "c1", "tenantId": "APPC", "name": "Ann"}))
}

async fn list(State(fapi): State<Arc<Fapi>>, Query(range): Query<BTreeMap<String, String>>) -> Json<Value> {
    let (start, end) = (&range["start"], &range["end"]);
    let written = fapi.written.lock().unwrap();
    let count = 5 + written.iter().filter(|date| start <= *date && *date < end).count();
    Json(json!({"count": count, "start": start, "end": end, "bookings": [{"id": "b"}]}))
}

async fn create(State(fapi): State<Arc<Fapi>>, Json(mut booking): Json<Value>) -> Json<Value> {
    let number = 1 + fapi.acknowledged.fetch_add(1, Ordering::Relaxed);
    if fapi.forgets_every.is_none_or(|every| !number.is_multiple_of(every)) {
        fapi.written.lock().unwrap().push(booking["date"].as_str().unwrap().to_owned());
    }
    booking["id"] = json!(number.to_string());
    Json(booking)
}

/// What `load salon` comes to against such a service.
fn run_against(fapi: Fapi) -> Value {
    let fapi = Arc::new(fapi);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let router = Router::new()
        .route("/api/customers", get(customers))
        .route("/api/bookings", get(list).post(create))
        .with_state(Arc::clone(&fapi));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    let pace = Pace { connections: 2, requests: Some(200), ..pace() };
    let target = Target { url, ..target() };
    let (from, to) = (date(2023, 1, 1), date(2026, 1, 1));
    let parts = run(&LoadSalon { target, from, to, days: 7, seed: 1, pace }).unwrap();
    assert_eq!(fapi.acknowledged.load(Ordering::Relaxed), 200);
    assert_eq!(*fapi.tenants.lock().unwrap(), BTreeSet::from(["appc".to_owned()]));
    let reports = json!(parts);
    let passed = reports.as_array().unwrap().iter().all(|report| report["problems"] == json!([]));
    assert_eq!(parts.passed(), passed);
    assert_eq!(parts.table().matches("p99.9").count(), 3);
    reports
}

#[test]
fn the_load_reads_writes_and_reads_again() {
    let reports = run_against(Fapi::default());
    let rows = [("reads of 7 days", "found"), ("writes", "created"), ("reads again of 7 days", "found")];
    assert_eq!(reports.as_array().unwrap().len(), rows.len());
    for (report, (name, outcome)) in reports.as_array().unwrap().iter().zip(rows) {
        assert_eq!(report["scenario"], format!("salon: {name}"));
        assert_eq!(
            (&report["outcomes"][outcome], &report["problems"]),
            (&json!(200), &json!([])),
            "{report}"
        );
    }
}

#[test]
fn a_write_that_was_acknowledged_and_is_not_there_fails_the_run() {
    let reports = run_against(Fapi { forgets_every: Some(50), ..Fapi::default() });
    let expected = "200 bookings were acknowledged, and then there were 196 more";
    assert_eq!(reports[1]["problems"], json!([expected]));
    assert_eq!((&reports[0]["problems"], &reports[2]["problems"]), (&json!([]), &json!([])));
}
