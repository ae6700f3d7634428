//! What the event integrator answers besides events: errors in the shape of its published contract, and the headers that
//! stand around every answer.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, ORIGIN, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maitred_engine::Unavailable;
use maitred_web::{Problem, problem};
use serde_json::json;

/// The content type of every answer but those for people.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML_UTF8: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// The methods of every path, in the order in which the service named them.
const METHODS: HeaderValue = HeaderValue::from_static("HEAD, GET, OPTIONS");
const ANYBODY: HeaderValue = HeaderValue::from_static("*");

const METHOD_NOT_ALLOWED: &str = "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n\
    <h1>Method Not Allowed</h1>\n<p>The method is not allowed for the requested URL.</p>\n";

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: StatusCode,
    body: String,
    /// In a box, since most answers have none, and an answer is often the error of a result.
    headers: Box<HeaderMap>,
}

impl Answer {
    /// A JSON text.
    pub(super) fn ok(body: impl Into<String>) -> Self {
        Answer { status: StatusCode::OK, body: body.into(), headers: Box::default() }
    }

    /// A refusal.
    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let body = json!({ "data": null, "error": { "code": code, "message": message } });
        // Texts of ours and names of parameters: all ASCII.
        Answer { status, body: format!("{body}\n"), headers: Box::default() }
    }

    /// A query that cannot be read.
    pub(super) fn bad_request(message: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "bad_request", message)
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let message = match problem.code() {
            code if code == problem::INTERNAL_ERROR.code => "Internal Server Error",
            _ => problem.detail(),
        };
        let code = problem.code().replace('-', "_");
        let mut answer = Self::error(problem.status(), &code, message);
        if problem.status() == StatusCode::UNAUTHORIZED {
            // The challenge names HTTP Basic: some clients send what stands in their base URL only when asked for it.
            let challenge = HeaderValue::from_static("Basic realm=\"maitred\", charset=\"UTF-8\"");
            answer.headers.insert(WWW_AUTHENTICATE, challenge);
            return answer;
        }
        *answer.headers = problem.into_response().into_parts().0.headers;
        answer.headers.remove(CONTENT_TYPE);
        answer
    }
}

impl From<Unavailable> for Answer {
    fn from(unavailable: Unavailable) -> Self {
        Problem::from(unavailable).into()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = *self.headers;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }
}

/// What a method is told that no path has.
pub(super) fn method_not_allowed() -> impl IntoResponse {
    (StatusCode::METHOD_NOT_ALLOWED, [(CONTENT_TYPE, HTML_UTF8), (ALLOW, METHODS)], METHOD_NOT_ALLOWED)
}

/// Which methods there are.
pub(super) fn options() -> Response {
    ([(CONTENT_TYPE, HTML_UTF8), (ALLOW, METHODS)], "").into_response()
}

/// Lets pages of every origin read an answer, as the service did.
pub(super) async fn around(request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    match origin {
        Some(origin) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        None => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
        }
    }
    response
}
