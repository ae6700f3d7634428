//! What is left unread of a request's body, when it is refused before it is read.
//!
//! Invariants:
//! - A connection is not closed over bytes that its client still sends: it would be told of a broken connection instead
//!   of the answer (RFC 9112, section 9.6). They are read and forgotten, at most [`LEFTOVER_BYTES_MAX`] within
//!   [`LEFTOVER_WAIT_MAX`]; behind more the answer says `Connection: close`.
//! - A client that asks first (`Expect: 100-continue`) is not told to go on: it gets its answer at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};

/// The most bytes that are read and forgotten: the longest body that any call takes.
const LEFTOVER_BYTES_MAX: usize = 8 << 20;
/// The longest that they are waited for.
const LEFTOVER_WAIT_MAX: Duration = Duration::from_secs(2);

/// Where a body goes that was not read to its end.
type Place = Arc<Mutex<Option<Incoming>>>;

/// What may be left of a request's body.
#[derive(Debug)]
pub(crate) struct Leftover {
    place: Place,
    /// Whether its client waits to be told to send it.
    asks_first: bool,
}

/// A body that is kept when it is dropped before its end.
struct Kept {
    body: Option<Incoming>,
    place: Place,
}

/// The request for its handler, and what it may leave of it; nothing of one without a body.
pub(crate) fn watch(request: Request<Incoming>) -> (Request<Body>, Option<Leftover>) {
    if request.body().is_end_stream() {
        return (request.map(Body::new), None);
    }
    let place = Place::default();
    let leftover = Leftover { place: Arc::clone(&place), asks_first: request.headers().contains_key(EXPECT) };
    (request.map(|body| Body::new(Kept { body: Some(body), place })), Some(leftover))
}

impl Leftover {
    /// Reads what the handler has left, or says in the answer's head that the connection ends behind it.
    pub(crate) async fn take(self, answer: &mut HeaderMap) {
        let Some(body) = lock(&self.place).take() else { return };
        if self.asks_first || !forget(body).await {
            answer.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads a body to its end. False where that is too much, takes too long, or fails.
async fn forget(mut body: Incoming) -> bool {
    let read = async {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if bytes > LEFTOVER_BYTES_MAX {
                return None;
            }
        }
        Some(())
    };
    matches!(tokio::time::timeout(LEFTOVER_WAIT_MAX, read).await, Ok(Some(())))
}

fn lock(place: &Place) -> MutexGuard<'_, Option<Incoming>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *lock(&self.place) = Some(body);
        }
    }
}
