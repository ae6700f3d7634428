//! What FAPI answers besides bookings and customers: errors in the shape that its clients know.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_engine::Unavailable;
use maitred_web::{Problem, problem};
use serde::Serialize;
use serde_json::{Value, json};

/// The content type of every answer.
pub(super) const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    /// In a box, since most answers have none, and an answer is often the error of a result.
    headers: Box<HeaderMap>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Issue {
    /// The kind of fault: `invalid_type`, `invalid_value` or `too_big`.
    pub(super) code: &'static str,
    /// The field.
    pub(super) path: Vec<&'static str>,
    /// One sentence.
    pub(super) message: String,
}

impl Answer {
    /// A JSON text.
    pub(super) fn ok(body: Vec<u8>) -> Self {
        Answer { status: StatusCode::OK, body, headers: Box::default() }
    }

    /// Input on which FAPI failed with a 500: ours is a 400 of the same shape.
    pub(super) fn invalid(issues: &[Issue]) -> Self {
        let message = serde_json::to_string_pretty(issues).expect("texts have a JSON form");
        Self::error(StatusCode::BAD_REQUEST, &message)
    }

    /// A refusal in words.
    pub(super) fn error(status: StatusCode, message: &str) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self::of(status, &json!({ "statusCode": status.as_u16(), "error": reason, "message": message }))
    }

    /// A refusal in words with a code of the framework.
    pub(super) fn coded(status: StatusCode, code: &str, message: &str) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        let body =
            json!({ "statusCode": status.as_u16(), "code": code, "error": reason, "message": message });
        Self::of(status, &body)
    }

    /// What is not there.
    pub(super) fn not_found(message: &str) -> Self {
        let body = json!({ "message": message, "error": "Not Found", "statusCode": 404 });
        Self::of(StatusCode::NOT_FOUND, &body)
    }

    fn of(status: StatusCode, body: &Value) -> Self {
        Answer { status, body: body.to_string().into_bytes(), headers: Box::default() }
    }
}

impl From<Problem> for Answer {
    /// The same refusal, in the shape of FAPI's errors.
    fn from(problem: Problem) -> Self {
        let status = problem.status();
        let mut answer = match problem.code() {
            code if code == problem::BODY_TOO_LARGE.code => {
                Answer::coded(status, "FST_ERR_CTP_BODY_TOO_LARGE", "Request body is too large")
            }
            code if code == problem::INTERNAL_ERROR.code => Answer::error(status, "Internal Server Error"),
            _ => Answer::error(status, problem.detail()),
        };
        let mut headers = problem.into_response().into_parts().0.headers;
        headers.remove(CONTENT_TYPE);
        if status == StatusCode::UNAUTHORIZED {
            // Some clients send what stands in their base URL only when they are asked for it.
            let challenge = HeaderValue::from_static("Basic realm=\"maitred\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        *answer.headers = headers;
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
        response.headers_mut().insert(CONTENT_TYPE, JSON_UTF8);
        response
    }
}
