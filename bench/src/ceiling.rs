//! The yardstick: the same HTTP stack as the server's, answering the same bytes with no work behind them.
//!
//! Invariants: connections are served by the server's own [`maitred::serve`]; it parses what the server must parse,
//! and answers what the server would answer, headers included; it remembers nothing.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Bytes of a body: the server's limit for a batch.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An appointment as the server answers it.
macro_rules! appointment {
    () => {
        concat!(
            r#"{"id":"019ab2f0-6c1e-7a31-9d55-3f0c2b7a9e10","external_id":"a0123456789abcdef","#,
            r#""resource":"chair-123","starts_at":"2026-01-01T09:00:00.000Z","ends_at":"2026-01-01T09:30:00.000Z","#,
            r#""created_at":"2025-12-01T08:00:00.000Z","updated_at":"2025-12-01T08:00:00.000Z","version":1,"#,
            r#""received_at":"2026-01-01T00:00:00.000Z","title":"Haircut and beard, regular customer","#,
            r#""metadata":{},"cancelled":false}"#
        )
    };
}

const POSITION: HeaderName = HeaderName::from_static("maitred-position");
const CONFLICT: &str = concat!(
    r#"{"type":"/docs/errors/time-range-unavailable","title":"The time is taken","status":409,"#,
    r#""detail":"Another appointment claims a part of this time.","#,
    r#""instance":"019ab2f0-6c1e-7a31-9d55-3f0c2b7a9e10","code":"time-range-unavailable","conflicts":["#,
    r#"{"external_id":"a0123456789abcdef","starts_at":"2026-01-01T09:00:00.000Z","#,
    r#""ends_at":"2026-01-01T09:30:00.000Z"}]}"#
);
const CREATED: &str = concat!(r#"{"outcome":"created","appointment":"#, appointment!(), "}");
const APPOINTMENT: &str = appointment!();
const LIST: &str = concat!(r#"{"items":["#, appointment!(), r#"],"next_cursor":null}"#);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The sale that is sold out; all others are not.
const SALE_SOLD_OUT: &str = "00000000-0000-0000-0000-000000000000";
const ORDER: &str = concat!(
    r#"{"id":"01a1fdfc-4649-74d4-9be1-4173b2d98c66","sale_id":"550e8400-e29b-41d4-a716-446655440001","#,
    r#""product_id":"550e8400-e29b-41d4-a716-446655440000","buyer_id":"01a1fdfc-4638-7fd8-976d-10fed72c09f2","#,
    r#""status":"pending","price":{"amount":9999,"currency":"EUR"},"hold_expires_at":null,"failure":null,"#,
    r#""payment_reference":null,"version":1,"placed_at":"2026-01-01T00:00:00.000Z","#,
    r#""updated_at":"2026-01-01T00:00:00.000Z"}"#
);
const BOOKING: &str = concat!(
    r#"{"id":"01a1fdfc-4649-74d4-9be1-4173b2d98c66","customer_id":"01a1fdfc-4638-7fd8-976d-10fed72c09f2","#,
    r#""status":"confirmed","starts_at":"2026-01-01T09:00:00.000Z","ends_at":"2026-01-01T09:15:00.000Z","#,
    r#""items":[{"service_id":"01a1fdfc-4638-7fd8-976d-10fed72c0901","name":"Cut","#,
    r#""employee_id":"01a1fdfc-4638-7fd8-976d-10fed72c0902","resource_id":null,"#,
    r#""starts_at":"2026-01-01T09:00:00.000Z","ends_at":"2026-01-01T09:15:00.000Z","#,
    r#""price":{"amount":2500,"currency":"EUR"}}],"hold_expires_at":null,"forced":false,"notes":null,"#,
    r#""version":1,"created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z"}"#
);
const SOLD_OUT: &str = concat!(
    r#"{"type":"/docs/errors/sold-out","title":"Sold out","status":409,"detail":"Nothing is left of this sale.","#,
    r#""instance":"01a1fdfc-4657-71f7-9c67-208b41802863","code":"sold-out"}"#
);

/// Options of the yardstick.
#[derive(Debug, clap::Args)]
pub(crate) struct Ceiling {
    /// Address to listen on; port 0 takes a free one, which is announced on standard output
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Threads that serve HTTP
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

impl Ceiling {
    /// Serves until the process is ended.
    pub(crate) fn run(&self) -> io::Result<()> {
        raise_open_files()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.workers.max(1))
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind(self.listen).await?;
            println!("listening on http://{}", listener.local_addr()?);
            io::stdout().flush()?;
            maitred::serve::serve(listener, router(), terminated()?).await;
            Ok(())
        })
    }
}

/// Done once the process is told to end.
fn terminated() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        terminate.recv().await;
    })
}

fn router() -> Router {
    Router::new()
        .route("/v1/tenants/{tenant}/appointments/{external_id}", put(upsert).get(read))
        .route("/v1/tenants/{tenant}/appointments", get(list))
        .route("/v1/tenants/{tenant}/appointments/batch", post(batch))
        .route("/api/appointments", post(sesami))
        .route("/v1/tenants/{tenant}/sales/{id}/orders", post(buy))
        .route("/v1/tenants/{tenant}/users/me", get(me))
        .route("/v1/tenants/{tenant}/bookings", post(book))
        .route("/health/ready", get(ready))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its cost, as the server reads it, and then dropped")]
struct Upsert<'a> {
    #[serde(borrow, default)]
    external_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    starts_at: Cow<'a, str>,
    #[serde(borrow)]
    ends_at: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
}

async fn upsert(Path((_tenant, external_id)): Path<(String, String)>, body: Bytes) -> Response {
    match serde_json::from_slice::<Upsert<'_>>(&body) {
        // The load tester's ids that are to collide begin so.
        Ok(_) if external_id.starts_with('c') => (StatusCode::CONFLICT, refused()).into_response(),
        Ok(_) => (StatusCode::CREATED, written()).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

fn written() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, HeaderValue::from_static("\"v1\"")),
        (POSITION, HeaderValue::from_static("0.1000000")),
    ];
    (headers, CREATED)
}

fn refused() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))], CONFLICT)
}

async fn read(_path: Path<(String, String)>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, HeaderValue::from_static("\"v1\"")),
        (POSITION, HeaderValue::from_static("0.1000000")),
    ];
    (headers, APPOINTMENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its cost, as the server reads it, and then dropped")]
struct ListQuery {
    resource: Option<String>,
    from: Option<String>,
    to: Option<String>,
    at: Option<String>,
}

async fn list(_query: Query<ListQuery>) -> impl IntoResponse {
    json(LIST)
}

#[derive(Debug, Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    items: Vec<Upsert<'a>>,
}

async fn batch(body: Bytes) -> Response {
    match serde_json::from_slice::<Batch<'_>>(&body) {
        Ok(batch) => {
            json(format!(r#"{{"items":[{}]}}"#, vec![CREATED; batch.items.len()].join(","))).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn sesami(body: Bytes) -> Response {
    match serde_json::from_slice::<Sesami<'_>>(&body) {
        Ok(_) => json(r#"{"status":"ok"}"#).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read for its cost, as the server reads it, and then dropped")]
struct Sesami<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    start: Cow<'a, str>,
    #[serde(borrow)]
    end: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its cost, as the server reads it, and then dropped")]
struct OrderInput<'a> {
    #[serde(borrow, default)]
    buyer_id: Option<Cow<'a, str>>,
}

async fn buy(Path((_tenant, sale)): Path<(String, String)>, body: Bytes) -> Response {
    let position = (POSITION, HeaderValue::from_static("0.1000000"));
    let request_id = (REQUEST_ID, HeaderValue::from_static("01a1fdfc-4657-71f7-9c67-208b41802863"));
    match serde_json::from_slice::<OrderInput<'_>>(&body) {
        Ok(_) if sale == SALE_SOLD_OUT => {
            let problem = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            (StatusCode::CONFLICT, [problem, position, request_id], SOLD_OUT).into_response()
        }
        Ok(_) => {
            let path = "/v1/tenants/default/orders/01a1fdfc-4649-74d4-9be1-4173b2d98c66";
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                position,
                (header::ETAG, HeaderValue::from_static("\"v1-c788783e9ecd4cf5\"")),
                (header::LOCATION, HeaderValue::from_static(path)),
                request_id,
            ];
            (StatusCode::CREATED, headers, ORDER).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its cost, as the server reads it, and then dropped")]
struct BookingInput<'a> {
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow)]
    starts_at: Cow<'a, str>,
    #[serde(borrow)]
    items: Vec<BookingItemInput<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its cost, as the server reads it, and then dropped")]
struct BookingItemInput<'a> {
    #[serde(borrow)]
    service_id: Cow<'a, str>,
    #[serde(borrow)]
    employee_id: Cow<'a, str>,
}

async fn book(_path: Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice::<BookingInput<'_>>(&body) {
        Ok(_) => {
            let path = "/v1/tenants/default/bookings/01a1fdfc-4649-74d4-9be1-4173b2d98c66";
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (POSITION, HeaderValue::from_static("0.1000000")),
                (header::ETAG, HeaderValue::from_static("\"v1\"")),
                (header::LOCATION, HeaderValue::from_static(path)),
                (REQUEST_ID, HeaderValue::from_static("01a1fdfc-4657-71f7-9c67-208b41802863")),
            ];
            (StatusCode::CREATED, headers, BOOKING).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// Whoever asks is somebody: no token is verified here.
async fn me(_path: Path<String>) -> impl IntoResponse {
    json(r#"{"id":"01a1fdfc-4638-7fd8-976d-10fed72c09f2"}"#)
}

async fn ready() -> impl IntoResponse {
    json(r#"{"status":"OK"}"#)
}

fn json(body: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body)
}

/// Lets this process open as many files, and so connections, as its hard limit allows.
fn raise_open_files() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}
