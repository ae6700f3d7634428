//! What the flash sale answers: the texts and shapes that its clients know, to the letter.

use std::borrow::Cow;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use maitred_engine::Unavailable;
use maitred_web::idempotency::IDEMPOTENT_REPLAYED;
use maitred_web::{Problem, problem};
use serde::Serialize;
use serde_json::{Value, json};

/// The content type of every answer.
const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// The longest answer of the server's own that is given in this service's manner, in bytes.
const RESPOKEN_BYTES_MAX: usize = 4_096;
/// How many characters of an entity tag tell bodies of one length apart.
const ETAG_CHARS: usize = 27;

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    body: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A rule that a field of the body does not keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Invalid {
    r#type: &'static str,
    /// What was sent; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    msg: &'static str,
    path: &'static str,
    location: &'static str,
}

impl Invalid {
    /// The field `path`, as it was sent.
    pub(super) fn new(path: &'static str, value: Option<&Value>) -> Self {
        Invalid { r#type: "field", value: value.cloned(), msg: "Invalid value", path, location: "body" }
    }
}

impl Answer {
    /// An answer with a JSON body.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("texts and numbers have a JSON form");
        Answer { status, body: Cow::Owned(body), headers: Vec::new() }
    }

    /// A refusal in words.
    pub(super) fn error(status: StatusCode, error: &str) -> Self {
        Self::json(status, &json!({ "error": error }))
    }

    /// An unknown path, or an unknown method of a known one.
    pub(super) fn route_not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "Route not found")
    }

    /// Fields that do not keep their rules, an entry for each rule.
    pub(super) fn invalid(entries: &[Invalid]) -> Self {
        Self::json(StatusCode::BAD_REQUEST, &json!({ "errors": entries }))
    }

    /// An answer of the server's own, which is short and JSON, as this service would have given it.
    pub(super) async fn respoken(response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, RESPOKEN_BYTES_MAX).await.unwrap_or_default();
        let body = Cow::Owned(String::from_utf8_lossy(&body).into_owned());
        Answer { status: parts.status, body, headers: Vec::new() }.into_response()
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says that the answer is a remembered one, where it is.
    #[must_use]
    pub(super) fn replayed(self, replayed: bool) -> Self {
        if replayed { self.with_header(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true")) } else { self }
    }

    /// The same refusal in this service's shape, with its headers but the content type.
    pub(super) fn of_problem(problem: &Problem, headers: HeaderMap) -> Self {
        let message = match problem.code() {
            code if code == problem::BODY_TOO_LARGE.code => "request entity too large",
            code if code == problem::INTERNAL_ERROR.code => "Internal error",
            _ => problem.detail(),
        };
        let kept = headers.iter().filter(|(name, _)| *name != CONTENT_TYPE);
        kept.fold(Self::error(problem.status(), message), |answer, (name, value)| {
            answer.with_header(name.clone(), value.clone())
        })
    }
}

impl From<Unavailable> for Answer {
    fn from(unavailable: Unavailable) -> Self {
        Problem::from(unavailable).into()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON_UTF8);
        headers.insert(ETAG, etag(self.body.as_bytes()));
        headers.extend(self.headers);
        *response.body_mut() = match self.body {
            Cow::Borrowed(text) => Body::from(text),
            Cow::Owned(text) => Body::from(text),
        };
        response
    }
}

/// A weak entity tag: the length and a hash of the body.
fn etag(body: &[u8]) -> HeaderValue {
    let hash = STANDARD_NO_PAD.encode(blake3::hash(body).as_bytes());
    let text = format!("W/\"{:x}-{}\"", body.len(), &hash[..ETAG_CHARS]);
    HeaderValue::try_from(text).expect("hex and base64 are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &Answer, status: u16, expected: Value) {
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status.as_u16(), body), (status, expected));
    }

    #[test]
    fn each_answer_has_its_text() {
        check(&Answer::route_not_found(), 404, json!({"error": "Route not found"}));
        let given = Invalid::new("email", Some(&json!("x")));
        let absent = Invalid::new("password", None);
        check(
            &Answer::invalid(&[given, absent]),
            400,
            json!({"errors": [
                {"type": "field", "value": "x", "msg": "Invalid value", "path": "email", "location": "body"},
                {"type": "field", "msg": "Invalid value", "path": "password", "location": "body"},
            ]}),
        );
    }

    #[test]
    fn an_answer_is_json_in_utf8_with_a_weak_tag_of_its_body() {
        let response = Answer::route_not_found().into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
        let tag = response.headers()[ETAG].to_str().expect("ASCII").to_owned();
        assert!(tag.starts_with("W/\"1b-") && tag.ends_with('"') && tag.len() == 6 + ETAG_CHARS + 1, "{tag}");
        let other = Answer::error(StatusCode::NOT_FOUND, "Route not fount").into_response();
        assert_ne!(response.headers()[ETAG], other.headers()[ETAG]);
    }

    #[test]
    fn a_problem_keeps_its_status_its_sentence_and_its_headers() {
        let answer = Answer::from(Unavailable::Draining);
        check(&answer, 503, json!({"error": "The server is shutting down; try again."}));
        assert_eq!(answer.into_response().headers()["retry-after"], "5");
        check(&Answer::from(Problem::body_too_large(1)), 413, json!({"error": "request entity too large"}));
        check(&Answer::from(Unavailable::Bug), 500, json!({"error": "Internal error"}));
    }
}
