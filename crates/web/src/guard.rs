//! A layer that looks at a request, and lets it through to a service or answers it itself.
//!
//! It decides at once and without a future of its own, so that it costs a request no allocation. (A middleware by
//! `axum::middleware::from_fn` costs three: the routes under it are cloned, and two futures are boxed.)

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::Problem;

/// The layer: `look` may leave something in the request's extensions for the service, or refuse the request. What it
/// gives marks the answer.
#[derive(Debug, Clone, Copy)]
pub struct Guard<F> {
    look: F,
    refuse: fn(Problem) -> Response,
}

/// What a guard adds to the answer of a request that it has let through.
pub trait Mark {
    /// Adds it.
    fn mark(self, response: &mut Response);
}

impl Mark for () {
    fn mark(self, _: &mut Response) {}
}

impl<M: Mark, F: Fn(&mut Request) -> Result<M, Problem>> Guard<F> {
    /// A guard that asks `look` about every request.
    pub fn new(look: F) -> Self {
        Guard { look, refuse: Problem::into_response }
    }

    /// The same guard, which says by `refuse` why a request is refused.
    #[must_use]
    pub fn refusing(self, refuse: fn(Problem) -> Response) -> Self {
        Guard { refuse, ..self }
    }
}

impl<S, F: Clone> Layer<S> for Guard<F> {
    type Service = Guarded<S, F>;
    fn layer(&self, inner: S) -> Guarded<S, F> {
        Guarded { inner, guard: self.clone() }
    }
}

/// The service behind a [`Guard`].
#[derive(Debug, Clone)]
pub struct Guarded<S, F> {
    inner: S,
    guard: Guard<F>,
}

impl<S, M, F> Service<Request> for Guarded<S, F>
where
    S: Service<Request, Response = Response>,
    M: Mark,
    F: Fn(&mut Request) -> Result<M, Problem>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<Marked<S::Future, M>, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match (self.guard.look)(&mut request) {
            Ok(mark) => Either::Left(Marked { answer: self.inner.call(request), mark: Some(mark) }),
            Err(problem) => Either::Right(ready(Ok((self.guard.refuse)(problem)))),
        }
    }
}

pin_project! {
    /// The future of a request that a [`Guard`] has let through.
    #[derive(Debug)]
    pub struct Marked<A, M> {
        #[pin]
        answer: A,
        // Until it is on the answer.
        mark: Option<M>,
    }
}

impl<A, M, E> Future for Marked<A, M>
where
    A: Future<Output = Result<Response, E>>,
    M: Mark,
{
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(cx));
        if let (Ok(response), Some(mark)) = (&mut answer, this.mark.take()) {
            mark.mark(response);
        }
        Poll::Ready(answer)
    }
}
