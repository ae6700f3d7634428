//! Asking only for what has changed (RFC 9110 §13), and when to ask again (§10.2.3).

use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use hyper::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use hyper::{Method, StatusCode, header};
use jiff::fmt::rfc2822;

use super::body::Body;
use super::client::{Client, Request, Response};
use super::target::Target;
use super::{Bounds, Failure};

/// A longer wait than this is asked for by no server that is meant seriously.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A validator of more bytes is not kept.
const VALIDATOR_BYTES_MAX: usize = 1_024;

/// What an answer said of its version; to be kept with what was read, and sent with the next request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, as it was sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Of the headers of an answer.
    pub fn of(headers: &HeaderMap) -> Self {
        let kept = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            (!value.is_empty() && value.len() <= VALIDATOR_BYTES_MAX).then(|| value.to_owned())
        };
        Validators { etag: kept(ETAG), last_modified: kept(LAST_MODIFIED) }
    }

    /// Puts them into the headers of a request.
    pub fn put(&self, headers: &mut HeaderMap) {
        let kept = [(IF_NONE_MATCH, &self.etag), (IF_MODIFIED_SINCE, &self.last_modified)];
        for (name, value) in kept {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
}

/// What became of a conditional GET.
#[derive(Debug)]
pub enum Fetched {
    /// 304.
    NotModified,
    /// 200.
    Changed {
        /// To be kept once the body is read whole.
        validators: Validators,
        /// What is there now.
        body: Body,
    },
    /// Any other status.
    Refused(Response),
}

impl Client {
    /// Asks for what has changed since `kept`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn fetch(
        &self,
        target: &Target,
        kept: &Validators,
        bounds: Bounds,
    ) -> Result<Fetched, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        kept.put(&mut headers);
        let request = Request { method: Method::GET, target, headers, body: Bytes::new() };
        let answer = self.send(request, bounds).await?;
        Ok(match answer.status {
            StatusCode::NOT_MODIFIED => Fetched::NotModified,
            StatusCode::OK => {
                Fetched::Changed { validators: Validators::of(&answer.headers), body: answer.body }
            }
            _ => Fetched::Refused(answer),
        })
    }
}

/// What `Retry-After` says, in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = rfc2822::parse(text).ok()?.timestamp();
        let now = jiff::Timestamp::try_from(now).ok()?;
        Duration::from_secs(u64::try_from(date.as_second() - now.as_second()).unwrap_or(0))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).expect("a header"));
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        for (text, wait) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999", Some(RETRY_AFTER_MAX.as_secs())),
            ("99999999999999999999999", Some(RETRY_AFTER_MAX.as_secs())),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("1.5", None),
        ] {
            assert_eq!(read(text), wait, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
