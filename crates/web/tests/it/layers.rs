//! What goes around every route: request ids, time limits, panics.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{any, get as on_get, post};
use maitred_web::limits::TimeoutLayer;
use maitred_web::problem::{method_not_allowed, path_unknown};
use maitred_web::request_id::RequestLayer;
use maitred_web::{Problem, RequestId};
use tracing::field::{Field, Visit};
use tracing::span;
use uuid::Uuid;

use crate::{Answered, get, send};

fn router() -> Router {
    let slow = Router::new()
        .route("/slow", on_get(async || std::future::pending::<Infallible>().await.to_string()))
        .route("/quick", on_get(async || "quick"))
        .layer(TimeoutLayer(Duration::ZERO));
    Router::new()
        .route("/v1/tenants/{tenant}/bookings", on_get(async || "bookings"))
        .route("/id", on_get(async |id: RequestId| id.to_string()))
        .route("/not-found", any(async || Problem::not_found("booking")))
        .route("/draining", on_get(async || Problem::from(maitred_engine::Unavailable::Draining)))
        .route(
            "/panic",
            on_get(async || {
                if true {
                    panic!("at the disco")
                }
            }),
        )
        .route(
            "/panic/data-loss",
            on_get(async || {
                if true {
                    maitred_web::data_loss("version 3 of a record")
                }
            }),
        )
        .route(
            "/panic/early",
            post(async |_: Request| {
                if true {
                    std::panic::panic_any(7_u8)
                }
            }),
        )
        .merge(slow)
        .fallback(path_unknown)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(RequestLayer)
}

fn with_id(uri: &str, id: &str) -> Request {
    Request::get(uri).header("x-request-id", id).body(Body::empty()).expect("a request")
}

fn id_of(answered: &Answered) -> &str {
    answered.headers["x-request-id"].to_str().expect("visible ASCII")
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let (first, second) = (send(&router(), get("/id")).await, send(&router(), get("/id")).await);
    assert_ne!(id_of(&first), id_of(&second));
    let id: Uuid = id_of(&first).parse().expect("a UUID");
    assert_eq!(id.get_version_num(), 7);
    let (seconds, _) = id.get_timestamp().expect("a time").to_unix();
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now.abs_diff(seconds) < 60, "{seconds} is not now");
    assert_eq!(first.body, id_of(&first), "the handler sees the same id");
}

#[tokio::test]
async fn threads_do_not_share_ids() {
    let ids = || (0..1_000).map(|_| RequestId::of(None).to_string()).collect::<Vec<_>>();
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ids)).collect();
    let ids: std::collections::HashSet<_> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(ids.len(), 4_000);
}

#[tokio::test]
async fn a_sane_id_is_taken_over_and_another_replaced() {
    let longest = "x".repeat(128);
    for id in ["a", "req-1/2:3\"", &longest] {
        let answered = send(&router(), with_id("/id", id)).await;
        assert_eq!((id_of(&answered), answered.body.as_ref()), (id, id.as_bytes()));
    }
    let too_long = longest + "x";
    for id in ["", "a b", "\u{e9}", &too_long] {
        let answered = send(&router(), with_id("/id", id)).await;
        assert!(id_of(&answered).parse::<Uuid>().is_ok(), "{id:?}");
    }
}

#[tokio::test]
async fn a_problem_names_its_request() {
    let answered = send(&router(), with_id("/not-found", "req-\"7")).await;
    assert_eq!(answered.problem(), (404, "not-found".into()));
    assert_eq!(answered.json()["instance"], "req-\"7");
    assert_eq!(answered.headers["content-length"], answered.body.len().to_string().as_str());
    let head = Request::head("/not-found").body(Body::empty()).expect("a request");
    let head = send(&router(), head).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::NOT_FOUND, 0));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    assert_eq!(send(&router(), get("/nope")).await.problem(), (404, "path-unknown".into()));
    let answered = send(&router(), get("/panic/early")).await;
    assert_eq!(answered.problem(), (405, "method-not-allowed".into()));
    assert_eq!(answered.headers["allow"], "POST");
}

#[tokio::test]
async fn a_request_without_an_answer_in_time_is_given_up() {
    let answered = send(&router(), get("/slow")).await;
    assert_eq!(answered.problem(), (408, "request-timeout".into()));
    assert_eq!(answered.headers["connection"], "close");
    assert_eq!(answered.json()["instance"], id_of(&answered));
    assert_eq!(send(&router(), get("/quick")).await.body, "quick", "an answer that is there is given");
}

/// Collects what is logged, as fields with their values.
#[derive(Clone)]
struct Collector {
    level: tracing::Level,
    events: Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>,
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("maitred")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.0.insert("level", event.metadata().level().to_string());
        self.events.lock().expect("no panic").push(fields.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What is logged at `level` and above while a request is answered.
fn logged(level: tracing::Level, request: Request) -> (Answered, Vec<BTreeMap<&'static str, String>>) {
    let collector = Collector { level, events: Arc::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let answered =
        tracing::subscriber::with_default(collector.clone(), || runtime.block_on(send(&router(), request)));
    let events = collector.events.lock().expect("no panic").clone();
    (answered, events)
}

#[test]
fn a_request_is_one_line_that_names_no_person() {
    let uri = "/v1/tenants/salon-1/bookings?customer=ann%40example.com";
    let (_, events) = logged(tracing::Level::DEBUG, with_id(uri, "r1"));
    let [line] = events.as_slice() else { panic!("{events:?}") };
    let field = |name| line.get(name).map(String::as_str);
    assert_eq!(field("http.method"), Some("GET"));
    assert_eq!(field("http.route"), Some("/v1/tenants/{tenant}/bookings"));
    assert_eq!(field("http.status"), Some("200"));
    assert_eq!(field("tenant.id"), Some("salon-1"));
    assert_eq!(field("request.id"), Some("r1"));
    assert_eq!(field("level"), Some("DEBUG"));
    assert!(field("duration_ms").is_some_and(|text| text.parse::<f64>().is_ok_and(|ms| ms >= 0.0)));
    assert!(!format!("{line:?}").contains("ann"));
    let (_, events) = logged(tracing::Level::INFO, get(uri));
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn a_tenant_that_is_no_slug_and_an_unknown_path_are_not_logged() {
    for uri in ["/v1/tenants/Ann%20Smith/bookings", "/ann-smith"] {
        let (_, events) = logged(tracing::Level::DEBUG, get(uri));
        let [line] = events.as_slice() else { panic!("{events:?}") };
        assert!(!line.contains_key("tenant.id"), "{line:?}");
        assert!(!format!("{line:?}").to_ascii_lowercase().contains("ann"), "{line:?}");
    }
}

#[test]
fn a_server_error_is_logged_at_level_info() {
    let (answered, events) = logged(tracing::Level::INFO, get("/draining"));
    assert_eq!(answered.status, 503);
    let [line] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((line["level"].as_str(), line["http.status"].as_str()), ("INFO", "503"));
}

#[test]
fn a_panic_is_a_problem_and_logged_once_with_its_request() {
    let early = Request::post("/panic/early").header("x-request-id", "r9").body(Body::empty());
    for (request, code, text) in [
        (with_id("/panic", "r9"), "internal-error", "at the disco"),
        (with_id("/panic/data-loss", "r9"), "data-loss", "data loss: version 3 of a record"),
        (early.expect("a request"), "internal-error", "no text"),
    ] {
        let (answered, events) = logged(tracing::Level::INFO, request);
        assert_eq!(answered.problem(), (500, code.into()));
        assert_eq!(answered.json()["instance"], "r9");
        assert!(
            !["disco", "version 3"].iter().any(|told| String::from_utf8_lossy(&answered.body).contains(told)),
            "the client is told nothing of it"
        );
        let errors: Vec<_> = events.iter().filter(|line| line["level"] == "ERROR").collect();
        let [line] = errors.as_slice() else { panic!("{events:?}") };
        assert_eq!((line["panic"].as_str(), line["request.id"].as_str()), (text, "r9"));
    }
}
