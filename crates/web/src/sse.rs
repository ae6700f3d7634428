//! Server-sent events: the live form of the change feed and of a sale's state.
//!
//! An event is encoded once, by whoever has it, and handed to any number of streams as shared bytes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use maitred_core::{ChangeId, PartitionId};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::Problem;
use crate::problem::LAST_EVENT_ID_INVALID;

/// How long a stream may be silent before a comment is sent, so that proxies do not close it.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client is told to wait before it connects again.
pub const RECONNECT_AFTER: Duration = Duration::from_secs(2);
/// The header that a client sends when it connects again.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Encodes an event. `id` is what the client sends back as `Last-Event-ID`; `event` is its type. A line break in
/// either, or a NUL in the id, would change the event's meaning and is left out.
pub fn event(id: Option<&str>, event: Option<&str>, data: &str) -> Bytes {
    let mut out = String::with_capacity(data.len() + 64);
    let mut field = |name: &str, value: &str| {
        out.push_str(name);
        out.push_str(": ");
        out.push_str(value);
        out.push('\n');
    };
    let one_line = |text: &str| text.replace(['\r', '\n', '\0'], "");
    if let Some(id) = id {
        field("id", &one_line(id));
    }
    if let Some(event) = event {
        field("event", &one_line(event));
    }
    for line in data.replace("\r\n", "\n").split(['\r', '\n']) {
        field("data", line);
    }
    out.push('\n');
    out.into()
}

/// A stream of events as an answer. It begins with the time after which to connect again, says something at
/// least every 15 s, and ends when `events` does.
pub fn stream<S>(events: S) -> Response
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let mut response = Response::new(Body::from_stream(Events::new(events, KEEP_ALIVE)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back to fill a buffer.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

pin_project! {
    struct Events<S> {
        #[pin]
        events: S,
        first: Option<Bytes>,
        keep_alive: Duration,
        #[pin]
        silence: Sleep,
    }
}

impl<S> Events<S> {
    fn new(events: S, keep_alive: Duration) -> Self {
        let first = format!("retry: {}\n\n", RECONNECT_AFTER.as_millis()).into();
        Events { events, first: Some(first), keep_alive, silence: tokio::time::sleep(keep_alive) }
    }
}

impl<S: Stream<Item = Bytes>> Stream for Events<S> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let next = match this.events.poll_next(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(event)) => event,
            Poll::Pending => match this.silence.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => Bytes::from_static(b":\n\n"),
            },
        };
        this.silence.reset(Instant::now() + *this.keep_alive);
        Poll::Ready(Some(Ok(next)))
    }
}

/// The change after which a stream is to go on, as an argument of a handler.
///
/// # Errors
/// 400 `last-event-id-invalid` for a text that is no id of an event of ours. An empty one counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEventId(pub Option<(PartitionId, ChangeId)>);

impl LastEventId {
    /// Reads the header.
    ///
    /// # Errors
    /// 400 `last-event-id-invalid`.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(LAST_EVENT_ID).iter();
        let Some(value) = values.next().filter(|value| !value.is_empty()) else {
            return Ok(LastEventId(None));
        };
        let id = value.to_str().ok().and_then(|text| ChangeId::parse(text).ok());
        match (id, values.next()) {
            (Some(id), None) => Ok(LastEventId(Some(id))),
            _ => Err(Problem::header_invalid(
                LAST_EVENT_ID_INVALID,
                &LAST_EVENT_ID,
                "Last-Event-ID is the id of the last event received, such as 0.42.1.",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        LastEventId::parse(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn silence_is_broken_by_a_comment_again_and_again() {
        let silent = futures_util::stream::pending();
        let mut events = Box::pin(Events::new(silent, Duration::from_millis(1)));
        let mut next = async || events.next().await.expect("endless").expect("infallible");
        assert_eq!(next().await, "retry: 2000\n\n");
        assert_eq!(next().await, ":\n\n");
        assert_eq!(next().await, ":\n\n");
    }

    #[tokio::test]
    async fn an_event_comes_before_a_comment_that_is_due() {
        let events = futures_util::stream::iter([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
        let events = Events::new(events, Duration::ZERO).map(|event| event.expect("infallible"));
        assert_eq!(events.collect::<Vec<_>>().await, ["retry: 2000\n\n", "a", "b"]);
    }
}
