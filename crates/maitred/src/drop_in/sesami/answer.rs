//! What Sesami answers: the texts and shapes that its clients know, to the letter.

use std::borrow::Cow;
use std::fmt::Write;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_core::Timestamp;
use maitred_engine::Unavailable;
use maitred_web::{Problem, problem};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// The content type of every answer.
pub(crate) const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its JSON text.
    pub(crate) body: Cow<'static, str>,
    /// Its headers besides the content type.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

const fn answer(status: StatusCode, body: &'static str) -> Answer {
    Answer { status, body: Cow::Borrowed(body), headers: Vec::new() }
}

/// The appointment was created or moved: 200, never 201.
pub(crate) const OK: Answer = answer(StatusCode::OK, r#"{"status":"ok"}"#);
/// A newer or equally new version is known already.
pub(crate) const IGNORED_STALE: Answer = answer(StatusCode::OK, r#"{"status":"ignored-stale"}"#);
/// Another appointment of the organisation is in the way.
pub(crate) const TIME_RANGE_UNAVAILABLE: Answer = answer(
    StatusCode::CONFLICT,
    r#"{"code":"TIME_RANGE_UNAVAILABLE","message":"Requested time range is not available (overlaps with an existing appointment in this organization)."}"#,
);
/// One of the four times is missing or unreadable.
pub(crate) const INVALID_DATE_FORMAT: Answer = answer(
    StatusCode::BAD_REQUEST,
    r#"{"code":"INVALID_DATE_FORMAT","message":"Invalid date format. Use ISO or \"YYYY-MM-DD HH:mm[:ss]\" (UTC assumed) for start, end, createdAt, updatedAt."}"#,
);
/// `at` is unreadable.
pub(crate) const INVALID_AT_FORMAT: Answer = answer(
    StatusCode::BAD_REQUEST,
    r#"{"code":"INVALID_DATE_FORMAT","message":"Invalid \"at\" date format. Use ISO or \"YYYY-MM-DDTHH:mm:ssZ\"."}"#,
);
/// `start` is not before `end`.
pub(crate) const INVALID_TIME_RANGE: Answer = answer(
    StatusCode::BAD_REQUEST,
    r#"{"code":"INVALID_TIME_RANGE","message":"start must be strictly before end."}"#,
);
/// `createdAt` is after `updatedAt`.
pub(crate) const INVALID_METADATA: Answer = answer(
    StatusCode::BAD_REQUEST,
    r#"{"code":"INVALID_METADATA","message":"createdAt cannot be after updatedAt."}"#,
);
/// The body is declared as JSON and has no bytes.
pub(crate) const BODY_EMPTY: Answer = answer(
    StatusCode::BAD_REQUEST,
    r#"{"statusCode":400,"message":"Body cannot be empty when content-type is set to 'application/json'"}"#,
);
/// The server demands a key, and none that it knows was sent.
const UNAUTHORIZED: Answer =
    answer(StatusCode::UNAUTHORIZED, r#"{"statusCode":401,"message":"Unauthorized"}"#);

impl Answer {
    /// Adds a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The server demands a key. The challenge names HTTP Basic: some clients send what stands in their base URL
    /// only when they are asked for it.
    pub(crate) fn unauthorized() -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"maitred\", charset=\"UTF-8\"");
        UNAUTHORIZED.with_header(WWW_AUTHENTICATE, challenge)
    }

    /// The caller may not do this; `message` says why.
    pub(crate) fn forbidden(message: &str) -> Self {
        let body = json!({ "message": message, "error": "Forbidden", "statusCode": 403 });
        Self::of_value(StatusCode::FORBIDDEN, &body)
    }

    /// Bad input on which Sesami itself failed with a 500: ours is a 400 of the same shape, which says what is wrong.
    pub(crate) fn bad_request(message: &str) -> Self {
        Self::of_value(StatusCode::BAD_REQUEST, &json!({ "statusCode": 400, "message": message }))
    }

    /// The body is not JSON.
    pub(crate) fn malformed(message: &str) -> Self {
        let body = json!({ "message": message, "error": "Bad Request", "statusCode": 400 });
        Self::of_value(StatusCode::BAD_REQUEST, &body)
    }

    /// The body's content type is not one that Sesami reads.
    pub(crate) fn unsupported(content_type: &str) -> Self {
        let message = format!("Unsupported Media Type: {content_type}");
        Self::of_value(StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({ "statusCode": 415, "message": message }))
    }

    /// An unknown path, or an unknown method of a known one; `url` is the path with its query.
    pub(crate) fn not_found(method: &Method, url: &str) -> Self {
        let message = format!("Cannot {method} {url}");
        let body = json!({ "message": message, "error": "Not Found", "statusCode": 404 });
        Self::of_value(StatusCode::NOT_FOUND, &body)
    }

    fn of_value(status: StatusCode, body: &Value) -> Self {
        Answer { status, body: Cow::Owned(body.to_string()), headers: Vec::new() }
    }
}

impl From<Problem> for Answer {
    /// The same refusal, in the shape of Sesami's errors.
    fn from(problem: Problem) -> Self {
        let status = problem.status();
        if status == StatusCode::UNAUTHORIZED {
            return Answer::unauthorized();
        }
        let message = match problem.code() {
            code if code == problem::BODY_TOO_LARGE.code => "Request body is too large",
            code if code == problem::INTERNAL_ERROR.code => "Internal server error",
            _ => problem.detail(),
        };
        let mut body = json!({ "statusCode": status.as_u16(), "message": message });
        if status == StatusCode::TOO_MANY_REQUESTS {
            // Sesami had no such refusal; what its own have is a code by which programs tell them apart.
            body["code"] = json!("TOO_MANY_REQUESTS");
        }
        let answer = Self::of_value(status, &body);
        let headers = problem.into_response().into_parts().0.headers;
        let kept = headers.iter().filter(|(name, _)| *name != CONTENT_TYPE);
        kept.fold(answer, |answer, (name, value)| answer.with_header(name.clone(), value.clone()))
    }
}

impl From<Unavailable> for Answer {
    fn from(unavailable: Unavailable) -> Self {
        Problem::from(unavailable).into()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = match self.body {
            Cow::Borrowed(text) => Body::from(text),
            Cow::Owned(text) => Body::from(text),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, JSON_UTF8);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// An appointment as the list shows it, beside the organisation.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = SesamiAppointment, rename_all = "camelCase")]
pub(crate) struct Row<'a> {
    /// The server's id, the same in every version.
    pub(crate) id: Uuid,
    /// The client's id.
    pub(crate) external_id: &'a str,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) start: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) end: Timestamp,
    /// When the client says that it was made.
    #[schema(value_type = String, format = DateTime, rename = "payloadCreatedAt")]
    pub(crate) created_at: Timestamp,
    /// When the client says that it was changed.
    #[schema(value_type = String, format = DateTime, rename = "payloadUpdatedAt")]
    pub(crate) updated_at: Timestamp,
    /// Its version, from 1.
    pub(crate) version: u64,
}

/// The text of an array of one organisation's appointments, which can be taken away in parts as it grows.
#[derive(Debug)]
pub(crate) struct List {
    out: String,
    /// The organisation as JSON text.
    org: String,
    is_empty: bool,
}

impl List {
    /// An empty list of `org`'s, as its client wrote it.
    pub(crate) fn new(org: &str) -> Self {
        let mut text = String::new();
        push_text(&mut text, org);
        List { out: "[".to_owned(), org: text, is_empty: true }
    }

    /// Adds an appointment at the end.
    pub(crate) fn push(&mut self, row: &Row<'_>) {
        let out = &mut self.out;
        out.push_str(if self.is_empty { "{\"id\":\"" } else { ",{\"id\":\"" });
        self.is_empty = false;
        out.push_str(row.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        out.push_str("\",\"orgId\":");
        out.push_str(&self.org);
        out.push_str(",\"externalId\":");
        push_text(out, row.external_id);
        for (name, time) in [
            (",\"start\":\"", row.start),
            ("\",\"end\":\"", row.end),
            ("\",\"payloadCreatedAt\":\"", row.created_at),
            ("\",\"payloadUpdatedAt\":\"", row.updated_at),
        ] {
            out.push_str(name);
            time.write_rfc3339(out);
        }
        write!(out, "\",\"version\":{}}}", row.version).expect("a String takes every text");
    }

    /// Ends the array.
    pub(crate) fn close(&mut self) {
        self.out.push(']');
    }

    /// The bytes that were added and not yet taken away.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes away what was added.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }
}

fn push_text(out: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::to_string(text).expect("a text has a JSON form"));
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
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
        check(&OK, 200, json!({"status":"ok"}));
        check(&IGNORED_STALE, 200, json!({"status":"ignored-stale"}));
        check(
            &TIME_RANGE_UNAVAILABLE,
            409,
            json!({"code":"TIME_RANGE_UNAVAILABLE","message":"Requested time range is not available (overlaps with an existing appointment in this organization)."}),
        );
        check(
            &INVALID_DATE_FORMAT,
            400,
            json!({"code":"INVALID_DATE_FORMAT","message":"Invalid date format. Use ISO or \"YYYY-MM-DD HH:mm[:ss]\" (UTC assumed) for start, end, createdAt, updatedAt."}),
        );
        check(
            &INVALID_AT_FORMAT,
            400,
            json!({"code":"INVALID_DATE_FORMAT","message":"Invalid \"at\" date format. Use ISO or \"YYYY-MM-DDTHH:mm:ssZ\"."}),
        );
        check(
            &INVALID_TIME_RANGE,
            400,
            json!({"code":"INVALID_TIME_RANGE","message":"start must be strictly before end."}),
        );
        check(
            &INVALID_METADATA,
            400,
            json!({"code":"INVALID_METADATA","message":"createdAt cannot be after updatedAt."}),
        );
        check(
            &BODY_EMPTY,
            400,
            json!({"statusCode":400,"message":"Body cannot be empty when content-type is set to 'application/json'"}),
        );
        check(
            &Answer::forbidden("No \"entry\"."),
            403,
            json!({"message":"No \"entry\".","error":"Forbidden","statusCode":403}),
        );
        check(
            &Answer::unsupported("application/xml"),
            415,
            json!({"statusCode":415,"message":"Unsupported Media Type: application/xml"}),
        );
        check(
            &Answer::not_found(&Method::GET, "/api/nope?a=\"b\""),
            404,
            json!({"message":"Cannot GET /api/nope?a=\"b\"","error":"Not Found","statusCode":404}),
        );
    }

    #[test]
    fn an_answer_is_json_in_utf8() {
        let response = OK.into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
        assert_eq!(response.status(), StatusCode::OK);
    }

    /// A refusal of the shared layers in Sesami's shape: status, message, and its headers but the content type.
    fn check_problem(problem: impl Into<Answer>, status: u16, message: &str, headers: &[(&str, &str)]) {
        let answer = problem.into();
        check(&answer, status, json!({"statusCode":status,"message":message}));
        let kept = answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
        assert_eq!(kept.collect::<Vec<_>>(), headers);
    }

    #[test]
    fn a_problem_keeps_its_status_its_sentence_and_its_headers() {
        let too_large = Problem::body_too_large(1);
        check_problem(too_large, 413, "Request body is too large", &[("connection", "close")]);
        check_problem(Unavailable::Bug, 500, "Internal server error", &[]);
        let draining = "The server is shutting down; try again.";
        check_problem(Unavailable::Draining, 503, draining, &[("retry-after", "5")]);
        let full = "The disk is full: writes are refused until there is room, reads go on.";
        check_problem(Unavailable::DiskFull, 507, full, &[]);
        let challenge = [("www-authenticate", "Basic realm=\"maitred\", charset=\"UTF-8\"")];
        check_problem(Problem::unauthenticated(), 401, "Unauthorized", &challenge);
        check_problem(Problem::credentials_invalid(), 401, "Unauthorized", &challenge);
    }

    #[test]
    fn a_list_is_one_array_with_the_members_in_their_order() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("an instant");
        let row = Row {
            id: Uuid::from_u128(0x1498_062f_9be1_44b1_b42b_625f_8eda_a8e3),
            external_id: "a\"1\n\\ä",
            start: at("2020-10-10T21:00:00Z"),
            end: at("2020-10-10T21:30:00.1239Z"),
            created_at: at("2020-09-02T14:23:12Z"),
            updated_at: at("2020-09-28T14:25:12Z"),
            version: 2,
        };
        let mut list = List::new("");
        list.close();
        assert_eq!(list.take(), "[]");
        let one = r#"{"id":"1498062f-9be1-44b1-b42b-625f8edaa8e3","orgId":"org\t","externalId":"a\"1\n\\ä","start":"2020-10-10T21:00:00.000Z","end":"2020-10-10T21:30:00.123Z","payloadCreatedAt":"2020-09-02T14:23:12.000Z","payloadUpdatedAt":"2020-09-28T14:25:12.000Z","version":2}"#;
        let mut list = List::new("org\t");
        list.push(&row);
        assert_eq!(list.len(), one.len() + 1);
        assert_eq!(list.take(), format!("[{one}"));
        list.push(&row);
        list.push(&row);
        list.close();
        assert_eq!(list.take(), format!(",{one},{one}]"));
    }
}
