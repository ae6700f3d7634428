//! `/metrics`: what the server does, in the text form that Prometheus reads.
//!
//! Invariants:
//! - Counting a request costs two readings of the clock, one look at a hash map and a few atomic additions: no lock,
//!   no allocation. What is slow is done when somebody asks.
//! - A label's values are known beforehand (routes, methods, statuses), but for the names of so many providers and their
//!   tenants ([`catalogue`]): nothing else that a client sends becomes one.
//!
//! Where the server demands keys this needs an admin's, also from this machine: behind a proxy every request comes
//! from this machine. Prometheus sends it with `authorization: { credentials: mk_… }`.

mod background;
mod brokers;
mod catalogue;
mod mail;
mod webhooks;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{MatchedPath, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_booking::app::App;
use maitred_web::Problem;
use pin_project_lite::pin_project;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use tower::{Layer, Service};

/// The upper bounds of the latency's buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The methods that are told apart; any other is the last one.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];
/// The route of requests that no route takes.
const UNMATCHED: &str = "none";
/// The first status there is, and how many.
const STATUSES: (u16, usize) = (100, 500);
/// The form of the answer (OpenMetrics 1.0, which Prometheus reads).
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// There are none, but the encoder wants their type.
type NoExemplar = Exemplar<[(&'static str, &'static str); 0], f64>;

/// What is counted of requests. A clone counts into the same.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    routes: OnceLock<HashMap<Box<str>, Route>>,
    unmatched: Route,
    in_flight: AtomicI64,
}

#[derive(Debug, Default)]
struct Route([OnceLock<Box<Answers>>; METHODS.len()]);

/// The answers of one route to one method.
struct Answers {
    by_status: [AtomicU64; STATUSES.1],
    by_latency: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("by_latency", &self.by_latency).finish_non_exhaustive()
    }
}

impl Default for Answers {
    fn default() -> Self {
        Answers {
            by_status: std::array::from_fn(|_| AtomicU64::new(0)),
            by_latency: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
        }
    }
}

impl Answers {
    fn count(&self, status: StatusCode, took: Duration) {
        let place = usize::from(status.as_u16().saturating_sub(STATUSES.0)).min(STATUSES.1 - 1);
        self.by_status[place].fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.by_latency[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Requests {
    /// Names the routes: once, before the first request. A request to another one counts as unmatched.
    pub fn know(&self, patterns: impl IntoIterator<Item = String>) {
        let routes = patterns.into_iter().map(|pattern| (pattern.into_boxed_str(), Route::default()));
        self.0.routes.get_or_init(|| routes.collect());
    }

    fn count(&self, pattern: Option<&str>, method: &Method, status: StatusCode, took: Duration) {
        let known = || self.0.routes.get()?.get(pattern?);
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        known().unwrap_or(&self.0.unmatched).0[method].get_or_init(Box::default).count(status, took);
    }

    /// Every route's answers that were given, with the labels of route and method, in order.
    fn answers(&self) -> Vec<(&str, &'static str, &Answers)> {
        let unmatched = (UNMATCHED, &self.0.unmatched);
        let known = self.0.routes.get().into_iter().flatten().map(|(pattern, route)| (&**pattern, route));
        let mut found = Vec::new();
        for (pattern, route) in known.chain([unmatched]) {
            let given = route.0.iter().zip(METHODS).filter_map(|(slot, method)| Some((method, slot.get()?)));
            found.extend(given.map(|(method, answers)| (pattern, method, &**answers)));
        }
        found.sort_unstable_by_key(|(pattern, method, _)| (*pattern, *method));
        found
    }
}

/// The layer that counts. It goes around everything, so that panics and refusals are counted too.
impl<S> Layer<S> for Requests {
    type Service = Counted<S>;
    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.clone() }
    }
}

/// The service of [`Requests`].
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S> Service<Request> for Counted<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = CountedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let pattern = request.extensions().get::<MatchedPath>().cloned();
        let method = request.method().clone();
        self.requests.0.in_flight.fetch_add(1, Relaxed);
        let in_flight = InFlight(self.requests.clone());
        CountedFuture { inner: self.inner.call(request), pattern, method, in_flight, began: Instant::now() }
    }
}

/// One request under way; a client that goes away ends it too.
#[derive(Debug)]
struct InFlight(Requests);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Relaxed);
    }
}

pin_project! {
    /// The future of [`Counted`].
    #[derive(Debug)]
    pub struct CountedFuture<F> {
        #[pin]
        inner: F,
        pattern: Option<MatchedPath>,
        method: Method,
        in_flight: InFlight,
        began: Instant,
    }
}

impl<F, E> Future for CountedFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let pattern = this.pattern.as_ref().map(MatchedPath::as_str);
        this.in_flight.0.count(pattern, this.method, response.status(), this.began.elapsed());
        Poll::Ready(Ok(response))
    }
}

/// What `/metrics` answers from.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// Of a server and the requests that were counted.
    pub fn new(app: &App, requests: &Requests) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let server = Server { app: app.clone(), requests: requests.clone() };
        registry.sub_registry_with_prefix("maitred").register_collector(Box::new(server));
        Metrics(Arc::new(registry))
    }
}

/// What the server does, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"))
)]
pub async fn metrics(Extension(Metrics(registry)): Extension<Metrics>) -> Response {
    let mut body = String::with_capacity(16 * 1024);
    if text::encode(&mut body, &registry).is_err() {
        tracing::error!("the metrics cannot be written");
        return Problem::internal_error().into_response();
    }
    ([(CONTENT_TYPE, OPENMETRICS)], body).into_response()
}

/// The engine and the requests.
#[derive(Debug)]
struct Server {
    app: App,
    requests: Requests,
}

impl Collector for Server {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_requests(&mut encoder)?;
        self.encode_engine(&mut encoder)?;
        self.encode_background(&mut encoder)?;
        brokers::encode(&self.app, &mut encoder)?;
        webhooks::encode(&self.app, &mut encoder)?;
        catalogue::encode(&self.app, &mut encoder)?;
        mail::encode(&self.app, &mut encoder)?;
        self.encode_scrub(&mut encoder)
    }
}

impl Server {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let answers = self.requests.answers();
        let mut family = encoder.encode_descriptor(
            "http_requests",
            "Requests answered, by route, method and status",
            None,
            MetricType::Counter,
        )?;
        for (route, method, answers) in &answers {
            for (place, count) in answers.by_status.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    let status = (place + usize::from(STATUSES.0)).to_string();
                    let labels = [("route", *route), ("method", *method), ("status", &status)];
                    family.encode_family(&labels)?.encode_counter(&count, None::<&NoExemplar>)?;
                }
            }
        }
        let mut family = encoder.encode_descriptor(
            "http_request_duration",
            "Time from a request's head to its answer's, by route and method",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (route, method, answers) in &answers {
            let counts = answers.by_latency.iter().map(|count| count.load(Relaxed));
            let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let seconds = answers.nanos.load(Relaxed) as f64 / 1e9;
            let count = buckets.iter().map(|(_, count)| count).sum();
            let labels = [("route", *route), ("method", *method)];
            family.encode_family(&labels)?.encode_histogram(
                seconds,
                count,
                &buckets,
                None::<&HashMap<usize, NoExemplar>>,
            )?;
        }
        let in_flight = self.requests.0.in_flight.load(Relaxed);
        gauge(encoder, "http_requests_in_flight", "Requests that have no answer yet", None, in_flight)
    }

    fn encode_engine(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let engine = self.app.engine();
        let counters = engine.counters();
        let seconds = |micros: &AtomicU64| micros.load(Relaxed) as f64 / 1e6;
        let count = |of: &AtomicU64| of.load(Relaxed);
        let bytes = Some(&Unit::Bytes);
        counter(
            encoder,
            "commands",
            "Commands decided, whatever the outcome",
            None,
            count(&counters.commands),
        )?;
        counter(
            encoder,
            "overloaded",
            "Commands refused because too many wait",
            None,
            count(&counters.overloaded),
        )?;
        counter(encoder, "batches", "Batches appended to the log", None, count(&counters.batches))?;
        counter(encoder, "log_written", "Bytes of these batches", bytes, count(&counters.log_bytes))?;
        let append = seconds(&counters.append_micros);
        counter(
            encoder,
            "append",
            "Time spent in appending them, syncs included",
            Some(&Unit::Seconds),
            append,
        )?;
        counter(encoder, "flushes", "Layers flushed to the view's store", None, count(&counters.flushes))?;
        let flush = seconds(&counters.flush_micros);
        counter(encoder, "flush", "Time spent in flushing them", Some(&Unit::Seconds), flush)?;
        let (commands, queued) = engine.queue_depth();
        gauge(encoder, "queue_commands", "Commands that wait to be decided", None, commands as i64)?;
        gauge(encoder, "queue", "What they count as", bytes, queued as i64)?;
        let overlay = engine.overlay_bytes() as i64;
        gauge(encoder, "overlay", "Memory of what is not in the view's store yet", bytes, overlay)?;
        let position = engine.position().seq as i64;
        gauge(encoder, "log_position", "Number of the newest batch that readers see", None, position)?;
        let listeners = self.app.feeds().listeners() as i64;
        gauge(encoder, "change_listeners", "Clients that listen to a change feed", None, listeners)?;
        let listeners = self.app.sale_streams().listeners() as i64;
        gauge(encoder, "sale_listeners", "Clients that listen to a flash sale", None, listeners)?;
        let phase = self.app.readiness().phase();
        let ready = i64::from(phase == maitred_booking::readiness::Phase::Ready);
        gauge(encoder, "ready", "Whether the server takes traffic", None, ready)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let mut build = encoder.encode_descriptor("build", "This build", None, MetricType::Info)?;
        build.encode_info(&version)
    }

    fn encode_scrub(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let soundness = self.app.soundness();
        let (bytes, seconds) = (Some(&Unit::Bytes), Some(&Unit::Seconds));
        let verified = soundness.bytes_verified();
        counter(encoder, "scrub_verified", "Bytes of older segments found as written", bytes, verified)?;
        let free = soundness.free_bytes() as i64;
        gauge(encoder, "data_free", "Room on the disk of the data folder", bytes, free)?;
        let completed = soundness.completed() as i64;
        let help = "When all older segments had been looked at the last time, 0 if not yet";
        gauge(encoder, "scrub_completed_timestamp", help, seconds, completed)?;
        let damaged = soundness.damage().len() as i64;
        gauge(encoder, "scrub_damaged_segments", "Older segments that are not as written", None, damaged)
    }
}

/// The process, as the system sees it. Elsewhere than on Linux there is nothing.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let resident = std::fs::read_to_string("/proc/self/status").ok();
        let Some(resident) = resident.as_deref().and_then(resident_bytes) else { return Ok(()) };
        gauge(&mut encoder, "process_resident_memory", "Resident memory", Some(&Unit::Bytes), resident)
    }
}

/// The line `VmRSS:   1234 kB` of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: impl prometheus_client::encoding::EncodeCounterValue,
) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, unit, MetricType::Counter)?
        .encode_counter(&value, None::<&NoExemplar>)
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: i64,
) -> fmt::Result {
    encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_bytes("Name:\tmaitred\nVmRSS:\t    1234 kB\nThreads:\t4\n"), Some(1_263_616));
        assert_eq!(resident_bytes("Name:\tmaitred\n"), None);
        assert_eq!(resident_bytes("VmRSS:\tmany kB\n"), None);
    }

    #[test]
    fn an_answer_counts_in_the_bucket_whose_bound_it_does_not_exceed() {
        let requests = Requests::default();
        requests.know(["/known".to_owned()]);
        let count = |pattern, millis| {
            requests.count(pattern, &Method::GET, StatusCode::OK, Duration::from_millis(millis));
        };
        count(Some("/known"), 1);
        count(Some("/known"), 2);
        count(Some("/known"), 20_000);
        count(Some("/unknown"), 5);
        count(None, 5);
        let answers = requests.answers();
        let [("/known", "GET", known), ("none", "GET", unmatched)] = answers.as_slice() else {
            panic!("two rows are expected: {answers:?}");
        };
        let row = |answers: &Answers| answers.by_latency.each_ref().map(|count| count.load(Relaxed));
        assert_eq!(row(known), [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(row(unmatched), [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(known.by_status[100].load(Relaxed), 3);
        assert_eq!(known.nanos.load(Relaxed), 20_003_000_000);
    }
}
