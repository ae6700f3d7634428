//! `Connection: keep-alive` and `Keep-Alive`, by which clients of replaced services keep their connections.
//!
//! Invariant: what is promised is kept: the server closes no idle connection before
//! [`maitred_web::limits::KEEP_ALIVE_SECONDS`].

use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Whether a client keeps its connection and may be told for how long: it speaks HTTP/1.1 and does not close.
pub(super) fn is_wanted(version: Version, headers: &HeaderMap) -> bool {
    let closes = |value: &HeaderValue| {
        let options = value.as_bytes().split(|byte| *byte == b',');
        options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"close"))
    };
    version == Version::HTTP_11 && !headers.get_all(CONNECTION).iter().any(closes)
}

/// Says for how long, as in `timeout=72`, unless this answer is the last one on its connection.
pub(super) fn promise(headers: &mut HeaderMap, timeout: &'static str) {
    if !headers.contains_key(CONNECTION) {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.insert(KEEP_ALIVE, HeaderValue::from_static(timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_closes_or_is_old_is_promised_nothing() {
        let wanted = |version, connection: Option<&'static str>| {
            let value = connection.map(|value| (CONNECTION, HeaderValue::from_static(value)));
            is_wanted(version, &value.into_iter().collect())
        };
        assert!(wanted(Version::HTTP_11, None));
        assert!(wanted(Version::HTTP_11, Some("keep-alive")));
        assert!(!wanted(Version::HTTP_11, Some("te, Close")));
        assert!(!wanted(Version::HTTP_10, Some("keep-alive")));
    }

    #[test]
    fn the_last_answer_promises_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        promise(&mut headers, "timeout=5");
        assert_eq!((headers.len(), &headers[CONNECTION]), (1, &HeaderValue::from_static("close")));
    }
}
