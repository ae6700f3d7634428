//! A layer that looks at a request, and lets it through to a service or answers it itself.
//!
//! It decides at once and without a future of its own, so that it costs a request no allocation. (A middleware by
//! `axum::middleware::from_fn` costs three: the routes under it are cloned, and two futures are boxed.)

use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use tower::{Layer, Service};

use crate::Problem;

/// The layer: `look` may leave something in the request's extensions for the service, or refuse the request.
#[derive(Debug, Clone, Copy)]
pub struct Guard<F>(F);

impl<F: Fn(&mut Request) -> Result<(), Problem>> Guard<F> {
    /// A guard that asks `look` about every request.
    pub fn new(look: F) -> Self {
        Guard(look)
    }
}

impl<S, F: Clone> Layer<S> for Guard<F> {
    type Service = Guarded<S, F>;
    fn layer(&self, inner: S) -> Guarded<S, F> {
        Guarded { inner, look: self.0.clone() }
    }
}

/// The service behind a [`Guard`].
#[derive(Debug, Clone)]
pub struct Guarded<S, F> {
    inner: S,
    look: F,
}

impl<S, F> Service<Request> for Guarded<S, F>
where
    S: Service<Request, Response = Response>,
    F: Fn(&mut Request) -> Result<(), Problem>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match (self.look)(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(problem) => Either::Right(ready(Ok(problem.into_response()))),
        }
    }
}
