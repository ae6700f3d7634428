//! What a route sees of this crate, and what a client sees of both.

mod address;
mod auth;
mod headers;
mod json;
mod layers;
mod page;
mod problem;
mod query;
mod rate;
mod schema;
mod sse;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use tower::ServiceExt;

/// An answer, read to its end.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The status and the code of a problem, which has all the members that it must have.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        let code = problem["code"].as_str().expect("a code").to_owned();
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
        (self.status.as_u16(), code)
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answered {
    let Ok(response) = router.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    Answered { status: parts.status, headers: parts.headers, body }
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).expect("a request")
}

/// Headers with several values of one name.
fn header_lines<V: AsRef<[u8]>>(name: &'static str, values: impl IntoIterator<Item = V>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = axum::http::HeaderValue::from_bytes(value.as_ref()) {
            headers.append(name, value);
        }
    }
    headers
}
