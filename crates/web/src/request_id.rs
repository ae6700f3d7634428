//! The layer around all routes: an id for every request, a log line for it, and no panic past here.
//!
//! Invariants:
//! - Every answer carries `X-Request-Id`; a problem carries it as `instance` too; the log line has it as `request.id`.
//! - The log line has the route's pattern and the tenant, never the path or the query, which may name persons.
//! - When the line is not wanted, the layer costs two clock readings and one small allocation.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use maitred_core::{Ids, Timestamp};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Level;
use uuid::Uuid;

use crate::data_loss::is_data_loss;
use crate::limits::REQUEST_ID_CHARS_MAX;
use crate::{Problem, problem};

/// The header, of requests and of answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// From how long on a request is logged at level info.
pub const SLOW: Duration = Duration::from_millis(500);
/// The target of the log line, for filters such as `maitred::http=debug`.
pub const LOG_TARGET: &str = "maitred::http";

/// The id of a request: the client's, or a new UUIDv7. In the extensions of every request under the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Source);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Given(HeaderValue),
    Made(Uuid),
}

impl RequestId {
    /// The id that the client sent, if it is sane (1 to 128 visible ASCII characters), else a new one.
    pub fn of(given: Option<&HeaderValue>) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=REQUEST_ID_CHARS_MAX).contains(&value.len())
                && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        RequestId(match given.filter(sane) {
            Some(value) => Source::Given(value.clone()),
            None => Source::Made(new_uuid()),
        })
    }

    fn to_header(&self) -> HeaderValue {
        match &self.0 {
            Source::Given(value) => value.clone(),
            Source::Made(id) => {
                let text = Bytes::copy_from_slice(
                    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes(),
                );
                HeaderValue::from_maybe_shared(text).expect("a UUID is visible ASCII")
            }
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Given(value) => f.write_str(value.to_str().unwrap_or_default()),
            Source::Made(id) => id.fmt(f),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<RequestId>().cloned();
        Ok(known.unwrap_or_else(|| RequestId::of(parts.headers.get(X_REQUEST_ID))))
    }
}

/// A UUIDv7 that is unique, not secret: the random part comes from a sequence that each thread seeds for itself.
fn new_uuid() -> Uuid {
    thread_local! {
        static SEED: Cell<u64> = Cell::new(RandomState::new().hash_one("request ids"));
    }
    let seed = SEED.get();
    // Ids takes two steps of its sequence; an odd stride keeps the seeds of one thread apart.
    SEED.set(seed.wrapping_add(0x2545_f491_4f6c_dd1d));
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or_default();
    Ids::new(Timestamp::from_millis(millis), seed).next()
}

/// The layer. It goes around the whole router (`Router::layer`, after the fallbacks), so that it sees the routes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLayer;

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;
    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService { inner }
    }
}

/// The service of [`RequestLayer`].
#[derive(Debug, Clone)]
pub struct RequestService<S> {
    inner: S,
}

impl<S> Service<Request> for RequestService<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = RequestFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = RequestId::of(request.headers().get(X_REQUEST_ID));
        let line = tracing::enabled!(target: LOG_TARGET, Level::INFO).then(|| Line {
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            uri: request.uri().clone(),
            started: Instant::now(),
        });
        request.extensions_mut().insert(id.clone());
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        match inner {
            Ok(inner) => RequestFuture { inner: Some(inner), refused: None, id, line },
            Err(panic) => {
                let refused = Some(log_panic(&id, &*panic));
                RequestFuture { inner: None, refused, id, line }
            }
        }
    }
}

/// What the log line tells, besides the answer.
#[derive(Debug)]
struct Line {
    method: Method,
    route: Option<MatchedPath>,
    uri: Uri,
    started: Instant,
}

pin_project! {
    /// The future of [`RequestService`].
    #[derive(Debug)]
    pub struct RequestFuture<F> {
        // None once it has panicked.
        #[pin]
        inner: Option<F>,
        // What is answered where it could not even be made.
        refused: Option<Problem>,
        id: RequestId,
        line: Option<Line>,
    }
}

impl<F, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut response = match this.inner.as_mut().as_pin_mut() {
            None => this.refused.take().unwrap_or_else(Problem::internal_error).into_response(),
            // After a panic the inner future is dropped and never polled again; what it shares with others is
            // guarded by locks that know poisoning, or belongs to the writer's thread.
            Some(inner) => match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                Ok(Poll::Ready(Ok(response))) => response,
                Err(panic) => {
                    this.inner.set(None);
                    log_panic(this.id, &*panic).into_response()
                }
            },
        };
        let asked_too_early = problem::is(&response, &problem::REPLICA_BEHIND);
        problem::finish(&mut response, || this.id.to_string());
        response.headers_mut().insert(X_REQUEST_ID, this.id.to_header());
        if let Some(line) = this.line {
            line.write(response.status(), asked_too_early, this.id);
        }
        Poll::Ready(Ok(response))
    }
}

/// Logs a panic, and says what the client is told of it.
#[cold]
fn log_panic(id: &RequestId, panic: &(dyn std::any::Any + Send)) -> Problem {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    tracing::event!(target: LOG_TARGET, Level::ERROR, request.id = %id, panic = text, "a handler panicked");
    if is_data_loss(text) {
        let detail = "It has been logged under this request's id. `maitred check` says what is damaged.";
        return Problem::new(problem::DATA_LOSS, detail);
    }
    Problem::internal_error()
}

impl Line {
    /// That a client asked for a point of the log that is not there yet is nothing to tell of: any reader can.
    fn write(&self, status: StatusCode, asked_too_early: bool, id: &RequestId) {
        let elapsed = self.started.elapsed();
        if !asked_too_early && (status.is_server_error() || elapsed >= SLOW) {
            self.write_at::<true>(status, elapsed, id);
        } else if tracing::enabled!(target: LOG_TARGET, Level::DEBUG) {
            self.write_at::<false>(status, elapsed, id);
        }
    }

    #[cold]
    fn write_at<const INFO: bool>(&self, status: StatusCode, elapsed: Duration, id: &RequestId) {
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let tenant = tenant_of(route, self.uri.path());
        let duration_ms = elapsed.as_secs_f64() * 1_000.0;
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: LOG_TARGET,
                    $level,
                    http.method = %self.method,
                    http.route = route,
                    http.status = status.as_u16(),
                    duration_ms,
                    tenant.id = tenant,
                    request.id = %id,
                    "request answered"
                )
            };
        }
        if INFO { line!(Level::INFO) } else { line!(Level::DEBUG) }
    }
}

/// The part of the path that stands where the route has `{tenant}`, if it has the form of a slug.
fn tenant_of<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    let at = route.split('/').position(|part| part == "{tenant}")?;
    let slug = path.split('/').nth(at)?;
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    ((1..=63).contains(&slug.len()) && slug.bytes().all(sound)).then_some(slug)
}
