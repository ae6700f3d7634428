//! The headers around every answer of the flash sale: those that its pages and browsers rely on, and leave for
//! preflight requests of pages anywhere; and no body for a client that has it.
//!
//! Source of the latter: that service's answers had weak tags, and its framework (Express) compares them by itself, for
//! each GET that is answered with a 2xx.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::drop_in::keep_alive;

const AROUND: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';\
         frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
         script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=15552000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
    ("access-control-allow-origin", "*"),
];
/// What stands in `Keep-Alive`: how long this service kept an idle connection. Ours live longer.
const TIMEOUT: &str = "timeout=5";
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");

/// The layer: answers preflight requests by itself, and puts the headers on every answer.
pub(super) async fn around(request: Request, next: Next) -> Response {
    let keeps_alive = keep_alive::is_wanted(request.version(), request.headers());
    let has = Has::of(&request);
    let mut response = match *request.method() {
        Method::OPTIONS => preflight(&request),
        _ => next.run(request).await,
    };
    if has.is_some_and(|has| has.is_this(&response)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    for (name, value) in AROUND {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if keeps_alive {
        keep_alive::promise(headers, TIMEOUT);
    }
    response
}

/// What a client that reads says it has: the values of `If-None-Match`.
struct Has(Vec<HeaderValue>);

impl Has {
    /// Nothing, unless the request reads, and takes an answer that was kept.
    fn of(request: &Request) -> Option<Self> {
        let (method, headers) = (request.method(), request.headers());
        let reads = matches!(*method, Method::GET | Method::HEAD);
        (reads && headers.contains_key(IF_NONE_MATCH) && !wants_no_kept(headers))
            .then(|| Has(headers.get_all(IF_NONE_MATCH).iter().cloned().collect()))
    }

    /// Whether this is what the client has. A weak tag is the same as a strong one of the same text.
    fn is_this(&self, response: &Response) -> bool {
        let Some(tag) = response.headers().get(ETAG).filter(|_| response.status().is_success()) else {
            return false;
        };
        let tag = opaque(tag.as_bytes());
        let one = |one: &[u8]| one.trim_ascii() == b"*" || opaque(one.trim_ascii()) == tag;
        self.0.iter().any(|value| value.as_bytes().split(|byte| *byte == b',').any(one))
    }
}

/// A tag without what says that it is weak.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn wants_no_kept(headers: &HeaderMap) -> bool {
    let directive = |directive: &[u8]| directive.trim_ascii().eq_ignore_ascii_case(b"no-cache");
    let of = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(directive);
    headers.get_all(CACHE_CONTROL).iter().any(of)
}

fn preflight(request: &Request) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    if let Some(asked) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    /// Whether an answer with a weak tag `a1` is what a client has that sends these headers.
    fn check(method: Method, status: StatusCode, headers: &[(HeaderName, &'static str)]) -> bool {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        for (name, value) in headers {
            request.headers_mut().append(name, HeaderValue::from_static(value));
        }
        let mut response = status.into_response();
        response.headers_mut().insert(ETAG, HeaderValue::from_static("W/\"a1\""));
        Has::of(&request).is_some_and(|has| has.is_this(&response))
    }

    #[test]
    fn a_tag_is_compared_weakly_and_in_lists() {
        for given in ["W/\"a1\"", "\"a1\"", "*", "\"b\", W/\"a1\"", " W/\"a1\" ,\"c\""] {
            assert!(check(Method::GET, StatusCode::OK, &[(IF_NONE_MATCH, given)]), "{given}");
            assert!(check(Method::HEAD, StatusCode::OK, &[(IF_NONE_MATCH, given)]), "{given}");
        }
        for given in ["", "a1", "W/\"a\"", "W/W/\"a1\"", "w/\"a1\"", "\"a1"] {
            assert!(!check(Method::GET, StatusCode::OK, &[(IF_NONE_MATCH, given)]), "{given}");
        }
        assert!(check(Method::GET, StatusCode::OK, &[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a1\"")]));
    }

    #[test]
    fn only_what_is_read_and_was_found_is_what_a_client_has() {
        let same = (IF_NONE_MATCH, "W/\"a1\"");
        assert!(!check(Method::POST, StatusCode::OK, from_ref(&same)));
        assert!(!check(Method::GET, StatusCode::NOT_FOUND, from_ref(&same)));
        assert!(!check(Method::GET, StatusCode::OK, &[]));
        let reload = (CACHE_CONTROL, "max-age=0, No-Cache");
        assert!(!check(Method::GET, StatusCode::OK, &[same.clone(), reload]), "a reload wants it anew");
        assert!(check(Method::GET, StatusCode::OK, &[same, (CACHE_CONTROL, "max-age=0")]));
    }
}
