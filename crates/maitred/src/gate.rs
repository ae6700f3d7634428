//! The gate before all routes, which closes when the server stops: first it is not ready, then it takes no work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use maitred_engine::Unavailable;
use maitred_web::Problem;
use tower::{Layer, Service};

/// The path that says whether the server wants requests.
pub const READY_PATH: &str = "/health/ready";
/// The path that says whether the process lives.
pub const LIVE_PATH: &str = "/health/live";

/// How far the gate is closed. A clone is the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU8>);

const OPEN: u8 = 0;
const NOT_READY: u8 = 1;
const CLOSED: u8 = 2;

impl Gate {
    /// From now on the server is not ready; requests are still served.
    pub fn unready(&self) {
        self.0.store(NOT_READY, Ordering::Relaxed);
    }

    /// From now on every new request is refused with 503; those under way go on.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Relaxed);
    }

    fn admits(&self, path: &str) -> bool {
        match self.0.load(Ordering::Relaxed) {
            OPEN => true,
            NOT_READY => path != READY_PATH,
            _ => path == LIVE_PATH,
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;
    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

/// The service behind a [`Gate`].
#[derive(Debug, Clone)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S: Service<Request, Response = Response>> Service<Request> for Gated<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.gate.admits(request.uri().path()) {
            return Either::Left(self.inner.call(request));
        }
        let close = HeaderValue::from_static("close");
        let problem = Problem::from(Unavailable::Draining).with_header(CONNECTION, close);
        Either::Right(ready(Ok(problem.into_response())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_ends_first_then_everything_but_liveness() {
        let gate = Gate::default();
        let admitted = |gate: &Gate| [READY_PATH, LIVE_PATH, "/v1/tenants"].map(|path| gate.admits(path));
        assert_eq!(admitted(&gate), [true, true, true]);
        gate.unready();
        assert_eq!(admitted(&gate), [false, true, true]);
        gate.clone().close();
        assert_eq!(admitted(&gate), [false, true, false]);
    }
}
