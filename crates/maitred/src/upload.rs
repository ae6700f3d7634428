//! Bodies that are read as they arrive, with an answer that comes meanwhile: what the routes of imports share.
//!
//! Invariants:
//! - The body is read no faster than what it holds is taken, and the answer's lines are made no faster than they are
//!   read: memory is bounded both ways.
//! - A body that is too long or silent, and a server that is shutting down, end the reading with a reason.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use maitred_booking::app::App;
use maitred_web::limits::{BODY_SILENCE_MAX, BodyBytesMax, BodySilenceMax};
use serde::Serialize;
use tokio::time::timeout;

/// The largest body of an import: 1 GiB. Over it the import stops.
pub const IMPORT_BODY_BYTES_MAX: u64 = 1 << 30;
/// Lines of JSON.
pub(crate) const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A body that is being received.
pub(crate) struct Upload {
    body: BodyDataStream,
    bytes_left: u64,
    bytes_max: u64,
    silence_max: Duration,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Upload {
    /// The body of a request, with the bounds that are set for its route.
    pub(crate) fn new(app: &App, request: Request) -> Self {
        let extensions = request.extensions();
        let bytes_max = extensions.get::<BodyBytesMax>().map_or(IMPORT_BODY_BYTES_MAX, |max| max.0 as u64);
        let silence_max = extensions.get::<BodySilenceMax>().map_or(BODY_SILENCE_MAX, |max| max.0);
        let draining = Box::pin(app.readiness().draining());
        let body = request.into_body().into_data_stream();
        Upload { body, bytes_left: bytes_max, bytes_max, silence_max, draining }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Why there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let piece = tokio::select! {
            biased;
            piece = timeout(self.silence_max, self.body.next()) => piece,
            () = &mut self.draining => return Err("the server is shutting down; send all of it again".to_owned()),
        };
        match piece {
            Ok(Some(Ok(bytes))) => {
                let left = self.bytes_left.checked_sub(bytes.len() as u64);
                self.bytes_left =
                    left.ok_or_else(|| format!("the body may have at most {} bytes", self.bytes_max))?;
                Ok(Some(bytes))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err("the connection ended before the body did".to_owned()),
            Err(_) => Err(format!("no byte came for {} s", self.silence_max.as_secs_f32())),
        }
    }
}

/// Something that takes an upload step by step, and has something to say about it now and then.
pub(crate) trait Receiving: Send + 'static {
    /// Takes the next bytes, and appends what there is to say. Returns whether there is more to do.
    fn step(&mut self, out: &mut Vec<u8>) -> impl Future<Output = bool> + Send;
}

/// The answer that is made while the upload is received.
pub(crate) fn answer(receiving: impl Receiving) -> Response {
    let pieces = stream::unfold(Some(receiving), |state| async {
        let mut receiving = state?;
        let mut out = Vec::new();
        let going_on = loop {
            let going_on = receiving.step(&mut out).await;
            if !going_on || !out.is_empty() {
                break going_on;
            }
        };
        Some((Ok::<_, Infallible>(Bytes::from(out)), going_on.then_some(receiving)))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(pieces)).into_response()
}

/// Appends a line of the answer.
pub(crate) fn write_line(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line).expect("texts and numbers have a JSON form");
    out.push(b'\n');
}
