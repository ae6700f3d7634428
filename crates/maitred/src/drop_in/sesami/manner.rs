//! The layer around all routes that answers below `/api/` in Sesami's manner, whoever refused: a problem of the layers
//! within (no answer in time, a host that is not loopback) takes its shape, and JSON carries its headers.
//!
//! A request elsewhere costs one look at its path.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maitred_web::problem;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::answer::{Answer, JSON_UTF8};
use crate::drop_in::keep_alive;

/// What stands in `Keep-Alive`: how long Sesami keeps an idle connection.
const TIMEOUT: &str = "timeout=72";

/// The layer.
#[derive(Debug, Clone, Copy)]
pub struct MannerLayer;

impl<S> Layer<S> for MannerLayer {
    type Service = Manner<S>;
    fn layer(&self, inner: S) -> Manner<S> {
        Manner { inner }
    }
}

/// The service of [`MannerLayer`].
#[derive(Debug, Clone)]
pub struct Manner<S> {
    inner: S,
}

/// What of a request its answer depends on.
#[derive(Debug, Clone, Copy)]
struct Asked {
    keeps_alive: bool,
}

impl<S> Service<Request> for Manner<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = MannerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let asked = request
            .uri()
            .path()
            .starts_with("/api/")
            .then(|| Asked { keeps_alive: keep_alive::is_wanted(request.version(), request.headers()) });
        MannerFuture { inner: self.inner.call(request), asked }
    }
}

pin_project! {
    /// The future of [`Manner`].
    #[derive(Debug)]
    pub struct MannerFuture<F> {
        #[pin]
        inner: F,
        // None for a request that is not about Sesami.
        asked: Option<Asked>,
    }
}

impl<F, E> Future for MannerFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(match *this.asked {
            Some(asked) => in_its_manner(asked, response),
            None => response,
        }))
    }
}

fn in_its_manner(asked: Asked, mut response: Response) -> Response {
    if let Some(problem) = problem::take(&mut response) {
        let headers = std::mem::take(response.headers_mut());
        response = Answer::from(problem).into_response();
        for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_TYPE) {
            response.headers_mut().append(name, value.clone());
        }
    }
    if asked.keeps_alive && response.headers().get(CONTENT_TYPE) == Some(&JSON_UTF8) {
        keep_alive::promise(response.headers_mut(), TIMEOUT);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::HeaderMap;
    use axum::http::header::{CONNECTION, RETRY_AFTER};
    use axum::routing::any;
    use maitred_engine::Unavailable;
    use maitred_web::Problem;
    use maitred_web::limits::KEEP_ALIVE_SECONDS;
    use tower::ServiceExt;

    use super::*;

    /// What `problem` is answered as at `path`: headers and body.
    async fn check(path: &str, problem: Problem) -> (HeaderMap, serde_json::Value) {
        let router = Router::new().fallback(any(move || std::future::ready(problem.clone())));
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let (parts, body) =
            router.layer(MannerLayer).oneshot(request).await.expect("infallible").into_parts();
        let body = to_bytes(body, 4_096).await.expect("a whole body");
        (parts.headers, serde_json::from_slice(&body).expect("JSON"))
    }

    #[test]
    fn what_is_promised_is_what_the_server_keeps() {
        assert_eq!(TIMEOUT, format!("timeout={KEEP_ALIVE_SECONDS}"));
    }

    #[tokio::test]
    async fn a_refusal_of_the_layers_has_its_shape_below_api_and_nowhere_else() {
        let (headers, body) = check("/api/appointments", Problem::request_timeout()).await;
        assert_eq!(headers[CONTENT_TYPE], JSON_UTF8);
        assert_eq!(headers.get_all(CONNECTION).iter().collect::<Vec<_>>(), ["close"]);
        assert_eq!(body.as_object().map(|body| body.len()), Some(2), "{body}");
        assert_eq!(body["statusCode"], 408);
        assert!(body["message"].as_str().is_some_and(|text| text.starts_with("The request was given up")));

        let (headers, body) = check("/api/nope", Unavailable::Draining.into()).await;
        assert_eq!(
            (&headers[CONNECTION], body["statusCode"].as_u64()),
            (&"keep-alive".parse().unwrap(), Some(503))
        );
        assert_eq!(headers.get_all(RETRY_AFTER).iter().count(), 1);

        let (headers, body) = check("/apis", Problem::request_timeout()).await;
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(body["status"], 408);
    }
}
