//! Loads against a small server that keeps appointments in memory and misbehaves on request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use clap::Parser;
use serde_json::{Value, json};

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: LoadCommand,
}

/// What the server does besides answering.
#[derive(Debug, Clone, Copy, Default)]
struct Manners {
    /// Breaks the connection instead of answering each so many-th request.
    breaks_every: Option<u64>,
    /// Closes the connection in good order behind each answer.
    closes: bool,
    /// Answers nobody for a while, from this request on.
    stalls_at: Option<u64>,
}

const STALL: Duration = Duration::from_millis(400);

#[derive(Debug, Default)]
struct Shop {
    manners: Manners,
    requests: AtomicU64,
    /// By external id: version and last written body.
    appointments: Mutex<HashMap<String, (u64, Value)>>,
    stall: tokio::sync::Mutex<()>,
}

/// A running server; it ends with the value.
struct Server {
    shop: Arc<Shop>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(manners: Manners) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shop = Arc::new(Shop { manners, ..Shop::default() });
        let router = Router::new()
            .route("/v1/tenants/default/appointments/{id}", put(upsert).get(read))
            .route("/v1/tenants/default/appointments", get(list))
            .route("/v1/tenants/default/appointments/batch", post(batch))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&shop), misbehave))
            .with_state(Arc::clone(&shop));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Server { shop, url, _runtime: runtime }
    }

    /// The report of `maitred load …` against this server.
    fn load(&self, arguments: &str) -> Result<Report, LoadError> {
        load(&format!("{arguments} --url {}", self.url))
    }

    fn passes(&self, arguments: &str) -> Value {
        let report = self.load(arguments).unwrap();
        let report_json = json!(report);
        assert!(report.passed(), "{arguments}: {report_json}");
        report_json
    }

    /// The problems of a run that has to fail.
    fn fails(&self, arguments: &str) -> String {
        let report = self.load(arguments).unwrap();
        assert!(!report.passed(), "{arguments}: {}", json!(report));
        json!(report)["problems"].to_string()
    }
}

fn load(arguments: &str) -> Result<Report, LoadError> {
    let words = std::iter::once("load").chain(arguments.split_whitespace());
    match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command {
        LoadCommand::Appointments(options) => appointments_report(&options),
        LoadCommand::Preload(options) => preload_report(&options),
        LoadCommand::Verify(options) => verify_report(&options),
        LoadCommand::FlashSale(options) => panic!("{options:?} has tests of its own"),
        LoadCommand::Salon(options) => panic!("{options:?} has tests of its own"),
    }
}

async fn misbehave(
    State(shop): State<Arc<Shop>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let number = shop.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if shop.manners.breaks_every.is_some_and(|every| number.is_multiple_of(every)) {
        // Ends the connection's task, and with it the connection, without a word.
        std::panic::resume_unwind(Box::new(()));
    }
    let stall = shop.stall.lock().await;
    if shop.manners.stalls_at == Some(number) {
        tokio::time::sleep(STALL).await;
    }
    drop(stall);
    let mut answer = next.run(request).await;
    if shop.manners.closes {
        answer.headers_mut().insert("connection", "close".parse().unwrap());
    }
    answer
}

fn write(shop: &Shop, id: &str, body: Value) -> (StatusCode, Value) {
    let mut appointments = shop.appointments.lock().unwrap();
    let place = |body: &Value| (body["resource"].clone(), body["starts_at"].clone());
    if appointments.iter().any(|(other, (_, there))| other != id && place(there) == place(&body)) {
        return (StatusCode::CONFLICT, json!({"code": "time-range-unavailable"}));
    }
    match appointments.get_mut(id) {
        None => {
            appointments.insert(id.to_owned(), (1, body));
            (StatusCode::CREATED, json!({"outcome": "created", "appointment": {"version": 1}}))
        }
        Some((version, there)) if body["updated_at"].as_str() > there["updated_at"].as_str() => {
            (*version, *there) = (*version + 1, body);
            (StatusCode::OK, json!({"outcome": "updated", "appointment": {"version": *version}}))
        }
        Some((version, _)) => {
            (StatusCode::OK, json!({"outcome": "ignored_stale", "appointment": {"version": *version}}))
        }
    }
}

async fn upsert(State(shop): State<Arc<Shop>>, Path(id): Path<String>, body: String) -> Response {
    let (status, answer) = write(&shop, &id, serde_json::from_str(&body).unwrap());
    (status, answer.to_string()).into_response()
}

async fn batch(State(shop): State<Arc<Shop>>, body: String) -> Response {
    let body: Value = serde_json::from_str(&body).unwrap();
    let items = body["items"].as_array().unwrap().iter().map(|item| {
        let (_, answer) = write(&shop, item["external_id"].as_str().unwrap(), item.clone());
        answer
    });
    json!({"items": items.collect::<Vec<_>>()}).to_string().into_response()
}

async fn read(State(shop): State<Arc<Shop>>, Path(id): Path<String>) -> Response {
    match shop.appointments.lock().unwrap().get(&id) {
        Some((version, _)) => json!({"external_id": id, "version": version}).to_string().into_response(),
        None => (StatusCode::NOT_FOUND, "{}").into_response(),
    }
}

async fn list(State(shop): State<Arc<Shop>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let from = query.get("from").or(query.get("at")).unwrap();
    let to = query.get("to").or(query.get("at")).unwrap();
    let appointments = shop.appointments.lock().unwrap();
    let items: Vec<_> = appointments
        .values()
        .map(|(_, body)| body)
        .filter(|body| body["resource"] == query["resource"])
        .filter(|body| body["starts_at"].as_str() <= Some(to) && body["ends_at"].as_str() > Some(from))
        .collect();
    json!({"items": items, "next_cursor": null}).to_string().into_response()
}

const FEW: &str = "--resources 3 --warm-up 0 --connections 8 --timeout 5";

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("maitred-load-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn each_kind_finds_what_a_preload_has_left() {
    let server = Server::start(Manners::default());
    let preloaded = server.passes("preload --records 205 --resources 3 --batch-size 20");
    assert_eq!((&preloaded["requests"], &preloaded["outcomes"]), (&json!(11), &json!({"created": 205})));
    for (mix, outcome) in [
        ("get", "found"),
        ("at", "found"),
        ("list", "found"),
        ("conflict", "conflict"),
        ("stale", "ignored_stale"),
        ("update", "updated"),
        ("update --revision 2", "updated"),
        ("upsert --first 205", "created"),
        ("upsert --first 205 --revision 1", "updated"),
    ] {
        let report = server.passes(&format!("appointments --mix {mix} --records 205 --requests 205 {FEW}"));
        assert_eq!(report["outcomes"], json!({outcome: 205}), "{mix}");
    }
    let again = server.passes("preload --records 205 --resources 3 --batch-size 20 --first 205");
    assert_eq!(again["outcomes"], json!({"ignored_stale": 205}));
}

#[test]
fn an_outcome_that_was_not_expected_fails_the_run() {
    let server = Server::start(Manners::default());
    let problems = server.fails(&format!("appointments --mix get --requests 10 {FEW}"));
    assert!(problems.contains("10 unexpected outcomes `missing`"), "{problems}");
    server.passes(&format!("appointments --mix get --requests 10 --expect found,missing {FEW}"));
    server.passes(&format!("appointments --mix get --requests 10 --expect-any {FEW}"));
}

#[test]
fn threads_share_the_requests_and_send_each_once() {
    let server = Server::start(Manners::default());
    let report = server.passes(&format!("appointments --requests 100 --threads 3 {FEW}"));
    assert_eq!(report["requests"], 100);
    assert_eq!(server.shop.appointments.lock().unwrap().len(), 100);
}

#[test]
fn the_open_loop_sends_what_is_due_and_no_more() {
    let server = Server::start(Manners::default());
    let open = "appointments --rate 500 --seconds 0.4 --threads 2 --warm-up 0.2 --connections 8";
    let report = server.passes(open);
    assert_eq!((&report["requests_warm_up"], &report["requests"]), (&json!(100), &json!(200)));
    assert_eq!(report["requests_unsent"], 0);
}

#[test]
fn a_stall_shows_in_every_request_that_was_due_meanwhile() {
    let server = Server::start(Manners { stalls_at: Some(40), ..Manners::default() });
    let report = server.passes("appointments --rate 200 --seconds 1 --warm-up 0 --connections 2");
    assert_eq!(report["requests"], 200);
    // 80 of the 200 were due during the stall; only two were sent when it began.
    let stall = STALL.as_micros() as u64;
    assert!(report["latency"]["max"].as_u64().unwrap() >= stall, "{report}");
    assert!(report["latency"]["p95"].as_u64().unwrap() >= stall / 2, "{report}");
    assert!(report["unsent"]["p95"].as_u64().unwrap() >= stall / 2, "{report}");
}

#[test]
fn a_connection_that_the_server_closes_in_good_order_is_no_failure() {
    let server = Server::start(Manners { closes: true, ..Manners::default() });
    let report = server.passes(&format!("appointments --requests 50 {FEW}"));
    assert_eq!(report["requests"], 50);
    assert!(report["reconnects"].as_u64().unwrap() >= 42, "{report}");
}

#[test]
fn a_lost_connection_fails_the_run_unless_it_may_reconnect() {
    let server = Server::start(Manners { breaks_every: Some(10), ..Manners::default() });
    let problems = server.fails(&format!("appointments --requests 100 {FEW}"));
    assert!(problems.contains("connection lost"), "{problems}");

    let server = Server::start(Manners { breaks_every: Some(10), ..Manners::default() });
    let report = server.passes(&format!("appointments --requests 100 --reconnect {FEW}"));
    assert_eq!((&report["requests"], &report["failures"]["lost"]), (&json!(90), &json!(10)));
}

#[test]
fn what_was_acknowledged_is_verified_and_what_is_lost_is_named() {
    let server = Server::start(Manners { breaks_every: Some(30), ..Manners::default() });
    let kept = file("verified");
    let kept_name = kept.display();
    server.passes(&format!("appointments --requests 99 --reconnect --acknowledged {kept_name} {FEW}"));
    let verify = format!("verify --acknowledged {kept_name} --url");

    let patient = Server::start(Manners::default());
    *patient.shop.appointments.lock().unwrap() =
        std::mem::take(&mut *server.shop.appointments.lock().unwrap());
    let report = json!(load(&format!("{verify} {}", patient.url)).unwrap());
    assert_eq!((&report["requests"], &report["problems"]), (&json!(96), &json!([])), "{report}");

    let lost = {
        let mut appointments = patient.shop.appointments.lock().unwrap();
        let lost = appointments.keys().next().unwrap().clone();
        appointments.remove(&lost);
        lost
    };
    let report = json!(load(&format!("{verify} {}", patient.url)).unwrap());
    assert!(report["problems"].to_string().contains(&format!("{lost}: status 404")), "{report}");
    std::fs::remove_file(&kept).unwrap();
}

#[test]
fn verifying_nothing_is_an_error_and_so_is_a_server_that_is_gone() {
    let empty = file("empty");
    std::fs::write(&empty, "").unwrap();
    let error = load(&format!("verify --acknowledged {}", empty.display())).unwrap_err();
    assert!(matches!(error, LoadError::Invalid(_)), "{error}");

    std::fs::write(&empty, "a 1\n").unwrap();
    let url = Server::start(Manners::default()).url;
    let report = json!(load(&format!("verify --acknowledged {} --url {url}", empty.display())).unwrap());
    std::fs::remove_file(&empty).unwrap();
    assert!(report["problems"].to_string().contains("0 of 1 requests were answered"), "{report}");
}

#[test]
fn a_server_that_is_gone_fails_the_run_at_once_and_a_reconnecting_one_at_its_end() {
    let url = Server::start(Manners::default()).url;
    let report = json!(load(&format!("appointments --url {url} {FEW}")).unwrap());
    assert!(report["problems"].to_string().contains("no answer was received"), "{report}");
    let report = json!(load(&format!("appointments --url {url} --reconnect --seconds 0.2 {FEW}")).unwrap());
    assert!(report["problems"].to_string().contains("no answer was received"), "{report}");
}

#[test]
fn options_out_of_bounds_are_refused() {
    for options in [
        "--connections 0",
        "--connections 16385",
        "--threads 65",
        "--rate 0",
        "--rate nan",
        "--seconds -1",
        "--timeout 0",
        "--timeout 121",
        "--batch-size 10001",
        "--records 0",
        "--mix nothing",
        "--expect-any --expect created",
    ] {
        let words = format!("load appointments {options}");
        assert!(Cli::try_parse_from(words.split_whitespace()).is_err(), "{options}");
    }
    let server = Server::start(Manners::default());
    for arguments in [
        "appointments --threads 2 --connections 1",
        "appointments --mix get --acknowledged x",
        "appointments --tenant A",
    ] {
        assert!(matches!(server.load(arguments), Err(LoadError::Invalid(_))), "{arguments}");
    }
}
