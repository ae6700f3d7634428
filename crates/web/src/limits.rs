//! The bounds of a request, by name, and the layer that gives one up.
//!
//! They are defaults: the program's configuration may set others. A body's bound is set for a group of routes by
//! the extension [`BodyBytesMax`], the time by [`TimeoutLayer`], those of the head by hyper's connection builder.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::Problem;

/// The largest body of a request: 1 MiB. Over it 413.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest body of a batch: 8 MiB. Over it 413.
pub const BATCH_BODY_BYTES_MAX: usize = 8 << 20;
/// The bodies that are being read at once, together: 256 MiB. What finds no room in time is refused with 503.
pub const BODIES_BYTES_MAX: usize = 256 << 20;
/// How long a request waits for that room.
pub const BODIES_WAIT_MAX: Duration = Duration::from_secs(2);
/// A body that says it is at most so long is not counted among them: 16 KiB.
pub const BODY_BYTES_UNCOUNTED: usize = 16 << 10;
/// The largest head of a request, for hyper's `http1::Builder::max_buf_size`: 16 KiB. Over it 431.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// The largest number of header fields, for hyper's `http1::Builder::max_headers`. Over it 431.
pub const HEADERS_MAX: usize = 100;
/// How long the first head of a connection may take to arrive, and each later one from its first byte on. Over it the
/// connection is closed.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be without a request. Over it the connection is closed. A little more than is promised
/// by `Keep-Alive` ([`KEEP_ALIVE_SECONDS`]): a request that is sent in the last moment still arrives.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(KEEP_ALIVE_SECONDS + 3);
/// How long a connection may be without a request, as clients are told where they are told.
pub const KEEP_ALIVE_SECONDS: u64 = 72;
/// How long a client may take nothing of its answer, while the system's buffers for it are full. Over it the
/// connection is closed.
pub const ANSWER_UNREAD_MAX: Duration = Duration::from_secs(30);
/// How long a streamed body, such as an import's, may be silent. Over it the import stops.
pub const BODY_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a request may take until its answer begins. Over it 408.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest number of query parameters. Over it 400.
pub const QUERY_PARAMETERS_MAX: usize = 64;
/// The longest cursor, in characters. A longer one was never given out.
pub const CURSOR_CHARS_MAX: usize = 1_024;
/// The largest number of entity tags in `If-Match` or `If-None-Match`. Over it 400.
pub const ENTITY_TAGS_MAX: usize = 64;
/// The longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// The longest `X-Request-Id` that is taken over, in characters. A longer one is replaced.
pub const REQUEST_ID_CHARS_MAX: usize = 128;

/// Sets another bound for the bodies of the routes under an `axum::Extension(BodyBytesMax(…))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyBytesMax(pub usize);

/// Sets another bound for the silence of streamed bodies of the routes under an `axum::Extension(BodySilenceMax(…))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySilenceMax(pub Duration);

/// Answers 408 when a request has no answer in time. The time ends where the answer's body begins, so that
/// streams are free to go on; a route with a streamed request body stands outside of it.
#[derive(Debug, Clone, Copy)]
pub struct TimeoutLayer(pub Duration);

impl Default for TimeoutLayer {
    fn default() -> Self {
        TimeoutLayer(REQUEST_TIMEOUT)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;
    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, after: self.0 }
    }
}

/// The service of [`TimeoutLayer`].
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    after: Duration,
}

impl<S, R> Service<R> for Timeout<S>
where
    S: Service<R, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        TimeoutFuture { inner: self.inner.call(request), after: self.after, sleep: None }
    }
}

pin_project! {
    /// The future of [`Timeout`].
    #[derive(Debug)]
    pub struct TimeoutFuture<F> {
        #[pin]
        inner: F,
        after: Duration,
        // None until the answer turns out not to be there at once.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result);
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep(*this.after)));
        }
        let sleep = this.sleep.as_pin_mut().expect("it was just set");
        sleep.poll(cx).map(|()| Ok(Problem::request_timeout().into_response()))
    }
}
