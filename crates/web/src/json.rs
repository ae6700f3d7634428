//! JSON in and out.
//!
//! Invariants:
//! - A body is read once into one buffer, up to a named bound, and parsed in one pass from it. Only a body that
//!   is refused is parsed again, to name the places ([`faults`]).
//! - An object is read from an object, at every depth, and never from an array.
//! - Types of requests are written with `#[serde(deny_unknown_fields)]`, so that a typo is never silently lost.
//! - The bytes as they came are kept beside the value, for the fingerprint of an idempotent request.

mod faults;

use std::borrow::Cow;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use maitred_core::Position;
use maitred_engine::Unavailable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ETag;
use crate::idempotency::IDEMPOTENT_REPLAYED;
use crate::limits::{BODIES_BYTES_MAX, BODIES_WAIT_MAX, BODY_BYTES_MAX, BODY_BYTES_UNCOUNTED, BodyBytesMax};
use crate::objects::Objects;
use crate::position::{MAITRED_POSITION, header_value};
use crate::problem::{
    BODY_INVALID, BODY_UNREADABLE, CONTENT_ENCODING_UNSUPPORTED, CONTENT_TYPE_UNSUPPORTED, JSON_MALFORMED,
    Place, Problem,
};

/// The content type of JSON.
pub const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON body: as an argument of a handler it reads one, as its result it writes one.
///
/// # Errors
/// As an argument: 415 for another content type, 413 over the bound, 400 `json-malformed` with the position,
/// 400 `body-invalid` with the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T, const BYTES_MAX: usize = BODY_BYTES_MAX>(pub T);

/// A JSON body with its bytes as they came, for [`crate::Attempt::identify`]. Refuses what [`Json`] refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBody<T, const BYTES_MAX: usize = BODY_BYTES_MAX> {
    /// What it says.
    pub value: T,
    /// The body as it came.
    pub bytes: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<S> for JsonBody<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        require_plain(request.headers())?;
        let bytes = read(request, BYTES_MAX).await?;
        Ok(JsonBody { value: parse(&bytes)?, bytes })
    }
}

/// A body that may be left out where every field may: then it is `{}`. One that is sent is read as [`JsonBody`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionalJsonBody<T> {
    /// What it says.
    pub value: T,
    /// The body as it came.
    pub bytes: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let bytes = read(request, BODY_BYTES_MAX).await?;
        if bytes.is_empty() {
            return Ok(OptionalJsonBody { value: parse(b"{}")?, bytes });
        }
        require_json(&headers)?;
        require_plain(&headers)?;
        Ok(OptionalJsonBody { value: parse(&bytes)?, bytes })
    }
}

impl<S: Send + Sync, T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<S> for Json<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBody { value, .. } = JsonBody::<T, BYTES_MAX>::from_request(request, state).await?;
        Ok(Json(value))
    }
}

impl<T: Serialize, const BYTES_MAX: usize> IntoResponse for Json<T, BYTES_MAX> {
    fn into_response(self) -> Response {
        Reply::ok(self.0).into_response()
    }
}

/// The room for bodies that are being read, in KiB.
static BODIES: Semaphore = Semaphore::const_new(BODIES_BYTES_MAX >> 10);

/// Reads a whole body of at most `bytes_max` bytes, or of as many as the request's [`BodyBytesMax`] says.
///
/// # Errors
/// 413 `body-too-large`, before reading where the length is declared; 503 `overloaded` where too many are being read;
/// 400 `body-unreadable` where it ends early.
pub async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let bytes_max = request.extensions().get::<BodyBytesMax>().map_or(bytes_max, |max| max.0);
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|len: u64| len > bytes_max as u64) {
        return Err(Problem::body_too_large(bytes_max));
    }
    let expected = request.body().size_hint().upper().and_then(|len| usize::try_from(len).ok());
    let _room = room(expected.unwrap_or(bytes_max).min(bytes_max)).await?;
    axum::body::to_bytes(request.into_body(), bytes_max).await.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
            Problem::body_too_large(bytes_max)
        } else {
            Problem::new(BODY_UNREADABLE, "The connection ended before the body did.")
        }
    })
}

/// Room to read so many bytes, for as long as they are being read.
async fn room(bytes: usize) -> Result<Option<SemaphorePermit<'static>>, Problem> {
    if bytes <= BODY_BYTES_UNCOUNTED {
        return Ok(None);
    }
    let kib = bytes.min(BODIES_BYTES_MAX).div_ceil(1 << 10) as u32;
    let overloaded = |_| Problem::from(Unavailable::Overloaded { retry_after: BODIES_WAIT_MAX });
    let room = tokio::time::timeout(BODIES_WAIT_MAX, BODIES.acquire_many(kib)).await.map_err(overloaded)?;
    Ok(Some(room.expect("it is never closed")))
}

/// Refuses a request whose body is not declared as JSON in UTF-8.
///
/// # Errors
/// 415 `content-type-unsupported`.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // By far the most frequent form first.
    if content_type == Some(b"application/json") || content_type.is_some_and(is_json) {
        return Ok(());
    }
    let detail = "Send the body as `Content-Type: application/json`, in UTF-8.";
    Err(Problem::header_invalid(CONTENT_TYPE_UNSUPPORTED, &CONTENT_TYPE, detail))
}

/// Refuses a body that is compressed.
///
/// # Errors
/// 415 `content-encoding-unsupported`, with `Accept-Encoding: identity` (RFC 9110, section 12.5.3).
pub fn require_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        return Ok(());
    }
    let detail = "Send the body as it is, without a Content-Encoding.";
    let problem = Problem::header_invalid(CONTENT_ENCODING_UNSUPPORTED, &CONTENT_ENCODING, detail);
    Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

/// `application/json` or `application/<anything>+json`, with no charset but UTF-8 (RFC 8259, section 8.1).
fn is_json(content_type: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content_type) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    let json = subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty());
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    json && parts.all(utf8)
}

/// Parses a JSON text.
///
/// # Errors
/// 400 `json-malformed` with line and column, 400 `body-invalid` with a JSON Pointer to each field at fault.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = T::deserialize(Objects(&mut reader)).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| refusal::<T>(bytes, &error))
}

#[cold]
fn refusal<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Problem {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Problem::new(JSON_MALFORMED, "The body is empty.");
    }
    let (line, column) = (error.line(), error.column());
    if !error.is_data() {
        let detail = format!("Line {line}, column {column}: {}.", message(error));
        return Problem::new(JSON_MALFORMED, detail)
            .with_member("line", &line)
            .with_member("column", &column);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let located = serde_path_to_error::deserialize::<_, T>(Objects(&mut reader));
    let (pointer, detail) = match &located {
        Err(located) => (pointer_to(located.path(), located.inner()), message(located.inner())),
        Ok(_) => (String::new(), message(error)),
    };
    let place = if pointer.is_empty() { "The body" } else { &pointer };
    let others = faults::behind::<T>(bytes, &pointer);
    let problem = Problem::new(BODY_INVALID, format!("{place}: {detail}."));
    let problem = problem.with_error(Place::Pointer(pointer), detail);
    others
        .into_iter()
        .fold(problem, |problem, fault| problem.with_error(Place::Pointer(fault.pointer), fault.detail))
}

/// The error without the position, which serde_json puts behind it.
fn message(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    in_words_of_json(text)
}

/// What serde says of types, in the words of JSON: a client knows nothing of ours.
fn in_words_of_json(text: String) -> String {
    let (found, expected) = text.rsplit_once(", expected ").unwrap_or((&text, ""));
    let found = match found.strip_prefix("invalid type: ").or_else(|| found.strip_prefix("invalid value: ")) {
        Some("sequence") => Cow::Borrowed("an array is given"),
        Some("map") => Cow::Borrowed("an object is given"),
        Some(other) => Cow::Owned(format!("{} is given", other.replacen("floating point", "number", 1))),
        None => Cow::Owned(found.replacen("unknown variant", "unknown value", 1)),
    };
    let expected = match expected {
        "" => return found.into_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => match expected {
            "u8" => "a whole number from 0 to 255",
            "u16" => "a whole number from 0 to 65535",
            "u32" => "a whole number from 0 to 4294967295",
            _ => "a whole number, not negative",
        },
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "an array",
        "a map" => "an object",
        "variant identifier" => "a string",
        named if named.starts_with("struct ") => "an object",
        named if named.starts_with("enum ") => "a string",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// JSON Pointer (RFC 6901) to the value that was refused, or to the field that is missing, unknown or doubled.
fn pointer_to(path: &serde_path_to_error::Path, error: &serde_json::Error) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    let mut push = |segment: &str| {
        pointer.push('/');
        pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
    };
    let mut last = None;
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => push(key),
            Segment::Unknown => break,
        }
        last = Some(segment);
    }
    let text = error.to_string();
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| Some(text.strip_prefix(start)?.split_once('`')?.0));
    if let Some(field) = named
        && !matches!(last, Some(Segment::Map { key }) if key == field)
    {
        push(field);
    }
    pointer
}

/// A JSON answer with the headers that a record's answer carries.
///
/// ```
/// use maitred_web::{ETag, Reply};
/// # use maitred_core::Position;
/// let reply = Reply::created("/v1/tenants/salon/services/1", "the service")
///     .at(Position { partition: 0, seq: 42 })
///     .tagged(ETag::version(1));
/// ```
#[derive(Debug, Clone)]
pub struct Reply<T> {
    status: StatusCode,
    body: T,
    position: Option<Position>,
    etag: Option<ETag>,
    location: Option<HeaderValue>,
    replayed: bool,
}

impl<T> Reply<T> {
    /// An answer of `status`.
    pub fn new(status: StatusCode, body: T) -> Self {
        Reply { status, body, position: None, etag: None, location: None, replayed: false }
    }

    /// 200.
    pub fn ok(body: T) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 201 with `Location`, the path of what was made. A path that no header can carry is left out.
    pub fn created(location: &str, body: T) -> Self {
        let location = HeaderValue::from_str(location).ok();
        Reply { location, ..Self::new(StatusCode::CREATED, body) }
    }

    /// 202 with `Location`, the path of the job that does it.
    pub fn accepted(location: &str, body: T) -> Self {
        Reply { status: StatusCode::ACCEPTED, ..Self::created(location, body) }
    }

    /// Adds `Maitred-Position`.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Reply { position: Some(position), ..self }
    }

    /// Adds `ETag`.
    #[must_use]
    pub fn tagged(self, etag: ETag) -> Self {
        Reply { etag: Some(etag), ..self }
    }

    /// Adds `Idempotent-Replayed: true` where the answer is a remembered one.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        Reply { replayed, ..self }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut bytes = Vec::with_capacity(512);
        if let Err(error) = serde_json::to_writer(&mut bytes, &self.body) {
            tracing::error!(error = %error, "an answer has no JSON form");
            return Problem::internal_error().into_response();
        }
        let mut response = encoded(bytes.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(position) = self.position {
            headers.insert(MAITRED_POSITION, header_value(position));
        }
        if let Some(etag) = self.etag {
            headers.insert(ETAG, etag.into());
        }
        if let Some(location) = self.location {
            headers.insert(LOCATION, location);
        }
        if self.replayed {
            headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// 200 with JSON that is encoded already, such as a stored record.
pub fn encoded(json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(CONTENT_TYPE, APPLICATION_JSON);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_take_no_more_memory_together_than_is_theirs() {
        let endless = || {
            let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
            Request::new(Body::from_stream(silent))
        };
        let all_but_one = (BODIES_BYTES_MAX - BODY_BYTES_MAX) >> 10;
        let held = BODIES.acquire_many(all_but_one as u32).await.expect("it is never closed");
        let last = tokio::spawn(read(endless(), BODY_BYTES_MAX));
        while BODIES.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = read(endless(), BODY_BYTES_MAX).await.expect_err("there is no room");
        assert_eq!((refused.code(), refused.status()), ("overloaded", StatusCode::SERVICE_UNAVAILABLE));
        let small = Request::new(Body::from("a small one is no burden"));
        assert_eq!(read(small, BODY_BYTES_MAX).await.expect("it is read").len(), 24);
        last.abort();
        assert!(last.await.is_err(), "it was waiting");
        drop(held);
        assert_eq!(BODIES.available_permits(), BODIES_BYTES_MAX >> 10, "what has gone leaves its room");
    }
}
