//! Problem details (RFC 9457): the one shape of every answer that says no.
//!
//! Invariants:
//! - `code` is stable and kebab-case; `type` is the URI reference `/docs/errors/<code>`, a page for people.
//! - `title` depends on the code alone; what is special about this occurrence stands in `detail`, `errors` and
//!   the extension members.
//! - `instance` is the request id. The problem does not know it: [`crate::request_id`] writes it in, which is
//!   why the body is rendered as late as possible.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_core::{Class, Member, Rejection};
use maitred_engine::Unavailable;
use serde::Serialize;
use utoipa::openapi::schema::{AdditionalProperties, Array, Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Content, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A row of the table of error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The stable name in kebab-case, and the name of its page in `docs/errors/`.
    pub code: &'static str,
    /// The HTTP status it is answered with.
    pub status: StatusCode,
    /// The same for every occurrence.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident $status:ident $code:literal $title:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $title, ".")]
            pub const $name: Code = Code { code: $code, status: StatusCode::$status, title: $title };
        )*
        /// Every code that this crate answers with. Domains add those of their rejections.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    JSON_MALFORMED BAD_REQUEST "json-malformed" "The body is not JSON";
    BODY_INVALID BAD_REQUEST "body-invalid" "A field of the body is unknown, missing or of another type";
    BODY_UNREADABLE BAD_REQUEST "body-unreadable" "The body ended early";
    QUERY_INVALID BAD_REQUEST "query-invalid" "A query parameter is unknown, missing, repeated or malformed";
    PATH_INVALID BAD_REQUEST "path-invalid" "A part of the path is malformed";
    IDEMPOTENCY_KEY_INVALID BAD_REQUEST "idempotency-key-invalid" "The Idempotency-Key is malformed";
    POSITION_INVALID BAD_REQUEST "position-invalid" "The Maitred-Position is malformed";
    PRECONDITION_INVALID BAD_REQUEST "precondition-invalid" "The If-Match or If-None-Match is malformed";
    CURSOR_INVALID BAD_REQUEST "cursor-invalid" "The cursor is not one of this list";
    LAST_EVENT_ID_INVALID BAD_REQUEST "last-event-id-invalid" "The Last-Event-ID is malformed";
    UNAUTHENTICATED UNAUTHORIZED "unauthenticated" "Credentials are required";
    CREDENTIALS_INVALID UNAUTHORIZED "credentials-invalid" "The credentials are not valid";
    FORBIDDEN FORBIDDEN "forbidden" "The credentials do not permit this";
    NOT_LOOPBACK FORBIDDEN "not-loopback" "An open server answers this machine only";
    NOT_FOUND NOT_FOUND "not-found" "There is no such record";
    PATH_UNKNOWN NOT_FOUND "path-unknown" "There is nothing at this path";
    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED "method-not-allowed" "This path does not know the method";
    REQUEST_TIMEOUT REQUEST_TIMEOUT "request-timeout" "The request took too long";
    PRECONDITION_FAILED PRECONDITION_FAILED "precondition-failed" "The record is at another version";
    BODY_TOO_LARGE PAYLOAD_TOO_LARGE "body-too-large" "The body is too large";
    CONTENT_TYPE_UNSUPPORTED UNSUPPORTED_MEDIA_TYPE "content-type-unsupported" "The body must be JSON";
    CONTENT_ENCODING_UNSUPPORTED UNSUPPORTED_MEDIA_TYPE "content-encoding-unsupported" "The body must not be compressed";
    FIELD_REFUSED UNPROCESSABLE_ENTITY "field-refused" "A field is well-formed, but against a rule";
    RATE_LIMITED TOO_MANY_REQUESTS "rate-limited" "Too many requests";
    INTERNAL_ERROR INTERNAL_SERVER_ERROR "internal-error" "An internal error";
    DATA_LOSS INTERNAL_SERVER_ERROR "data-loss" "What was recorded cannot be found";
    OVERLOADED SERVICE_UNAVAILABLE "overloaded" "The server is overloaded";
    DRAINING SERVICE_UNAVAILABLE "draining" "The server is shutting down";
    LOG_AWAY SERVICE_UNAVAILABLE "log-away" "The log cannot be written at the moment";
    CLOCK_SUSPECT SERVICE_UNAVAILABLE "clock-suspect" "The server's clock jumped ahead";
    REPLICA_BEHIND SERVICE_UNAVAILABLE "replica-behind" "This node has not caught up";
    OUTCOME_UNKNOWN SERVICE_UNAVAILABLE "outcome-unknown" "The outcome is unknown";
    DISK_FULL INSUFFICIENT_STORAGE "disk-full" "The disk is full";
}

/// When to come back to a server that is shutting down: a restart takes about this long.
pub const DRAINING_RETRY_AFTER: Duration = Duration::from_secs(5);
/// When to come back after a limit that names no time of its own.
pub const TOO_MANY_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The member of a [`Class::TooMany`] rejection that says when to come back, in whole seconds.
pub const RETRY_AFTER_MEMBER: &str = "retry_after_seconds";

/// The content type of a problem.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error answer. Small to pass around: the parts are boxed.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    members: Vec<Member>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Which part.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong with it.
    pub detail: String,
}

/// A part of a request. Exactly one of these members stands beside an error's `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A value of the body, by JSON Pointer (RFC 6901): `/items/3/starts_at`; the empty text is the whole body.
    Pointer(String),
    /// A parameter of the query or of the path.
    Parameter(String),
    /// A header.
    Header(String),
}

impl Problem {
    /// The problem `code`, with a sentence about this occurrence.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Problem(Box::new(Parts {
            status: code.status,
            code: Cow::Borrowed(code.code),
            title: Cow::Borrowed(code.title),
            detail: detail.into(),
            errors: Vec::new(),
            members: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// 404 `not-found`; `what` names the kind of record, such as `booking`.
    pub fn not_found(what: &str) -> Self {
        Self::new(NOT_FOUND, format!("There is no such {what}."))
    }

    /// 401 `unauthenticated`: no credentials on a route that needs them.
    pub fn unauthenticated() -> Self {
        Self::new(UNAUTHENTICATED, "Send an API key or a token as `Authorization: Bearer …`.")
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 401 `credentials-invalid`: malformed, unknown, expired or revoked credentials. Never says which.
    pub fn credentials_invalid() -> Self {
        Self::new(CREDENTIALS_INVALID, "The API key or token is malformed, unknown, expired or revoked.")
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
    }

    /// 403 `forbidden`; `detail` says what would be needed.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FORBIDDEN, detail)
    }

    /// 412 `precondition-failed`: the record is not at a version that `If-Match` names.
    pub fn precondition_failed() -> Self {
        Self::new(PRECONDITION_FAILED, "Read the record again and repeat the change on its present version.")
    }

    /// 413 `body-too-large`; the limit is told.
    pub fn body_too_large(bytes_max: usize) -> Self {
        Self::new(BODY_TOO_LARGE, format!("The body may have at most {bytes_max} bytes."))
            .with_member("bytes_max", &bytes_max)
            .with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 422 `field-refused`: one field of the body is against a rule.
    pub fn field_refused(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FIELD_REFUSED, "A field is well-formed, but against a rule.").with_field(pointer, detail)
    }

    /// 400 `query-invalid`: one parameter of the query.
    pub fn query_invalid(parameter: impl Into<String>, detail: impl Into<String>) -> Self {
        let (parameter, detail) = (parameter.into(), detail.into());
        Self::new(QUERY_INVALID, format!("The query parameter `{parameter}`: {detail}"))
            .with_error(Place::Parameter(parameter), detail)
    }

    /// 400 about one header, under the header's own code.
    pub fn header_invalid(code: Code, header: &HeaderName, detail: &'static str) -> Self {
        Self::new(code, detail).with_error(Place::Header(header.as_str().to_owned()), detail)
    }

    /// 429 `rate-limited`.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(RATE_LIMITED, "This client or tenant sends more than its share; slow down.")
            .with_retry_after(retry_after)
    }

    /// 405 `method-not-allowed`. A router adds `Allow` itself; a route that decides by itself names it here.
    pub fn method_not_allowed(allow: Option<&'static str>) -> Self {
        let problem = Self::new(METHOD_NOT_ALLOWED, "See the API document for the methods of this path.");
        match allow {
            Some(allow) => problem.with_header(ALLOW, HeaderValue::from_static(allow)),
            None => problem,
        }
    }

    /// 404 `path-unknown`.
    pub fn path_unknown() -> Self {
        Self::new(PATH_UNKNOWN, "See /docs for what this server offers.")
    }

    /// 408 `request-timeout`.
    pub fn request_timeout() -> Self {
        Self::new(
            REQUEST_TIMEOUT,
            "The request was given up. A change may still be made: repeat it with the same Idempotency-Key.",
        )
        .with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 500 `internal-error`. Whoever makes it logs the cause, once; the client is told the request id alone.
    pub fn internal_error() -> Self {
        Self::new(INTERNAL_ERROR, "A fault of the server, which has been logged under this request's id.")
    }

    /// Names a value of the body that is wrong, by JSON Pointer.
    #[must_use]
    pub fn with_field(self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.with_error(Place::Pointer(pointer.into()), detail)
    }

    /// Names a part of the request that is wrong.
    #[must_use]
    pub fn with_error(mut self, place: Place, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { place, detail: detail.into() });
        self
    }

    /// Adds an extension member. A value that has no JSON form is left out.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: &impl Serialize) -> Self {
        if let Ok(json) = serde_json::to_string(value) {
            self.0.members.push(Member { name: Cow::Borrowed(name), json });
        }
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`, in whole seconds, rounded up, at least 1.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        let seconds = (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence about this occurrence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The parts of the request that are wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The problem as JSON text, with the request's id as `instance`: also the form it has inside other answers,
    /// such as an item of a batch.
    pub fn to_json(&self, instance: Option<&str>) -> String {
        let Parts { status, code, title, detail, errors, members, headers: _ } = &*self.0;
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"type\":");
        write_json(&mut out, &format_args!("/docs/errors/{code}"));
        member(&mut out, "title", title);
        member(&mut out, "status", &status.as_u16());
        member(&mut out, "detail", detail);
        if let Some(instance) = instance {
            member(&mut out, "instance", instance);
        }
        member(&mut out, "code", code);
        if !errors.is_empty() {
            member(&mut out, "errors", errors);
        }
        for Member { name, json } in members {
            out.push(b',');
            write_json(&mut out, name);
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        }
        out.push(b'}');
        String::from_utf8(out).expect("JSON text is UTF-8")
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_json(out, value);
}

fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("texts and numbers have a JSON form");
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let Rejection { class, code, detail, members } = rejection;
        let retry_after = members
            .iter()
            .find(|member| member.name == RETRY_AFTER_MEMBER)
            .and_then(|member| member.json.parse().ok())
            .map_or(TOO_MANY_RETRY_AFTER, Duration::from_secs);
        let title = CODES
            .iter()
            .find(|row| row.code == code)
            .map_or_else(|| Cow::Owned(title_of(&code)), |row| Cow::Borrowed(row.title));
        let problem = Problem(Box::new(Parts {
            status: status_of(class),
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            members,
            headers: Vec::new(),
        }));
        if class == Class::TooMany { problem.with_retry_after(retry_after) } else { problem }
    }
}

/// The HTTP status of a class of rejections.
pub const fn status_of(class: Class) -> StatusCode {
    match class {
        Class::Conflict => StatusCode::CONFLICT,
        Class::Absent => StatusCode::NOT_FOUND,
        Class::Precondition => StatusCode::PRECONDITION_FAILED,
        Class::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

/// A rejection's title follows from its code: `time-range-unavailable` is "Time range unavailable".
fn title_of(code: &str) -> String {
    let mut title = code.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        let (code, retry_after) = match unavailable {
            Unavailable::Overloaded { retry_after } => (OVERLOADED, Some(retry_after)),
            Unavailable::Draining => (DRAINING, Some(DRAINING_RETRY_AFTER)),
            Unavailable::DiskFull => (DISK_FULL, None),
            Unavailable::LogAway => (LOG_AWAY, Some(Duration::from_secs(1))),
            Unavailable::ClockSuspect => (CLOCK_SUSPECT, None),
            Unavailable::ReplicaBehind => (REPLICA_BEHIND, Some(Duration::from_secs(1))),
            Unavailable::Unknown => (OUTCOME_UNKNOWN, Some(Duration::from_secs(1))),
            Unavailable::Bug => return Problem::internal_error(),
        };
        let mut detail = unavailable.to_string();
        if let Some(first) = detail.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let problem = Problem::new(code, detail + ".");
        match retry_after {
            Some(after) => problem.with_retry_after(after),
            None => problem,
        }
    }
}

/// The problem of an answer that has not been written yet: [`finish`] writes it with the request's id.
#[derive(Clone)]
struct Unwritten(Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let (status, headers) = (self.0.status, std::mem::take(&mut self.0.headers));
        let problem = Arc::new(self);
        let unwritten = Unwritten(Arc::clone(&problem));
        // Only a router without the request layer ever polls this body.
        let body = futures_util::stream::once(async move { Ok::<_, Infallible>(problem.to_json(None)) });
        let mut response = Response::new(Body::from_stream(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(unwritten);
        response
    }
}

/// Writes the problem of `response`, if it is one, with `instance`; tells whether it was.
pub(crate) fn finish(response: &mut Response, instance: impl FnOnce() -> String) -> bool {
    let Some(Unwritten(problem)) = response.extensions_mut().remove::<Unwritten>() else { return false };
    *response.body_mut() = Body::from(problem.to_json(Some(&instance())));
    true
}

/// Whether `response` is the problem `code`, and not written yet.
pub(crate) fn is(response: &Response, code: &Code) -> bool {
    let unwritten = response.extensions().get::<Unwritten>();
    unwritten.is_some_and(|Unwritten(problem)| problem.code() == code.code)
}

/// Takes the problem out of an answer that is one and is not written yet, so that it can be told in another manner.
/// The answer's headers stay.
pub fn take(response: &mut Response) -> Option<Problem> {
    let Unwritten(problem) = response.extensions_mut().remove::<Unwritten>()?;
    Some(Arc::unwrap_or_clone(problem))
}

/// A fallback for unknown paths: 404 `path-unknown`.
pub async fn path_unknown() -> Problem {
    Problem::path_unknown()
}

/// A fallback for unknown methods of known paths: 405 `method-not-allowed`; the router adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed(None)
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| {
            ObjectBuilder::new().schema_type(Type::String).description(Some(description.to_owned()))
        };
        let error = ObjectBuilder::new()
            .property("pointer", text("JSON Pointer (RFC 6901) to a value of the body"))
            .property("parameter", text("A parameter of the query or of the path"))
            .property("header", text("A header"))
            .property("detail", text("What is wrong with it"))
            .required("detail");
        ObjectBuilder::new()
            .description(Some("Problem details (RFC 9457). Further members depend on the code."))
            .property(
                "type",
                text("`/docs/errors/<code>`: a page about this kind of problem")
                    .format(Some(utoipa::openapi::SchemaFormat::Custom("uri-reference".into()))),
            )
            .property("title", text("The kind of problem in words, the same for every occurrence"))
            .property("status", Object::with_type(Type::Integer))
            .property("detail", text("What is special about this occurrence"))
            .property("instance", text("The id of the request, as in `X-Request-Id`"))
            .property("code", text("The stable name of the kind of problem, in kebab-case"))
            .property("errors", Array::new(error.build()))
            .required("type")
            .required("title")
            .required("status")
            .required("detail")
            .required("code")
            .schema_type(SchemaType::new(Type::Object))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Problem")
    }
}

/// Every route may answer a problem: named once, as the default response.
impl utoipa::IntoResponses for Problem {
    fn responses() -> std::collections::BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let schema = utoipa::openapi::Ref::from_schema_name(Self::name());
        let response = utoipa::openapi::ResponseBuilder::new()
            .description("A problem (RFC 9457)")
            .content("application/problem+json", Content::new(Some(schema)))
            .build();
        std::collections::BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}
