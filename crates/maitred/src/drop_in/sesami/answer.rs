//! What Sesami answers: the texts and shapes that its clients know, to the letter.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_core::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its JSON text.
    pub(crate) body: Cow<'static, str>,
}

const fn answer(status: StatusCode, body: &'static str) -> Answer {
    Answer { status, body: Cow::Borrowed(body) }
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
/// The body is larger than the server reads.
pub(crate) const BODY_TOO_LARGE: Answer =
    answer(StatusCode::PAYLOAD_TOO_LARGE, r#"{"statusCode":413,"message":"Request body is too large"}"#);

impl Answer {
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
        Answer { status, body: Cow::Owned(body.to_string()) }
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
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// An appointment as the list shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The server's id, the same in every version.
    pub(crate) id: Uuid,
    /// The organisation, as its client wrote it.
    pub(crate) org: &'a str,
    /// The client's id.
    pub(crate) external_id: &'a str,
    /// When it starts.
    pub(crate) start: Timestamp,
    /// When it ends.
    pub(crate) end: Timestamp,
    /// When the client says that it was made.
    pub(crate) created_at: Timestamp,
    /// When the client says that it was changed.
    pub(crate) updated_at: Timestamp,
    /// Its version, from 1.
    pub(crate) version: u64,
}

/// The list of an organisation's appointments: the whole array at once.
#[derive(Debug)]
pub(crate) struct List(String);

impl List {
    /// An empty list.
    pub(crate) fn new() -> Self {
        List("[".to_owned())
    }

    /// Adds an appointment at the end.
    pub(crate) fn push(&mut self, row: &Row<'_>) {
        let out = &mut self.0;
        out.push_str(if out.len() == 1 { "{\"id\":\"" } else { ",{\"id\":\"" });
        out.push_str(row.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        out.push_str("\",\"orgId\":");
        push_text(out, row.org);
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
        out.push_str("\",\"version\":");
        out.push_str(&row.version.to_string());
        out.push('}');
    }

    /// The answer.
    pub(crate) fn finish(mut self) -> Answer {
        self.0.push(']');
        Answer { status: StatusCode::OK, body: Cow::Owned(self.0) }
    }
}

fn push_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a text has a JSON form"));
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
        check(&BODY_TOO_LARGE, 413, json!({"statusCode":413,"message":"Request body is too large"}));
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

    #[test]
    fn a_list_is_one_array_with_the_members_in_their_order() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("an instant");
        let row = Row {
            id: Uuid::from_u128(0x1498_062f_9be1_44b1_b42b_625f_8eda_a8e3),
            org: "org-x",
            external_id: "a\"1",
            start: at("2020-10-10T21:00:00Z"),
            end: at("2020-10-10T21:30:00.1239Z"),
            created_at: at("2020-09-02T14:23:12Z"),
            updated_at: at("2020-09-28T14:25:12Z"),
            version: 2,
        };
        assert_eq!(List::new().finish().body, "[]");
        let mut list = List::new();
        list.push(&row);
        let one = r#"{"id":"1498062f-9be1-44b1-b42b-625f8edaa8e3","orgId":"org-x","externalId":"a\"1","start":"2020-10-10T21:00:00.000Z","end":"2020-10-10T21:30:00.123Z","payloadCreatedAt":"2020-09-02T14:23:12.000Z","payloadUpdatedAt":"2020-09-28T14:25:12.000Z","version":2}"#;
        list.push(&row);
        assert_eq!(list.finish().body, format!("[{one},{one}]"));
    }
}
