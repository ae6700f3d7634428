//! The events of a range: one object of any length, in bounded memory.
//!
//! Invariants:
//! - Most lists are one part, and are what stood at one batch.
//! - No view is held while the socket blocks: a longer list is read in parts of [`PART_EVENTS`], each from the newest
//!   view, behind the last event of the part before. An event that is moved meanwhile is in the list where it was or
//!   where it is, and it may be in both or in neither.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use maitred_booking::app::App;
use maitred_booking::catalogue::Search;
use maitred_booking::catalogue::search::{Form, Place, search};
use maitred_core::TenantNumber;

use super::answer::JSON;
use super::query::Range;

/// How many events are read at once.
const PART_EVENTS: usize = 2_000;
/// About how many bytes most lists have.
const PART_BYTES: usize = 16 << 10;

const HEAD: &[u8] = b"{\"data\":{\"events\":[";
const TAIL: &[u8] = b"]},\"error\":null}\n";

/// The answer with the events of a tenant, which are none without one.
pub(super) fn answer(app: App, tenant: Option<TenantNumber>, (from, to): Range) -> Response {
    let mut out = Vec::with_capacity(PART_BYTES);
    out.extend_from_slice(HEAD);
    let mut reading = Reading { tenant, search: Search::starting(from, to), next: None };
    reading.fill(&app, &mut out);
    let body = match reading.next {
        None => Body::from(out),
        Some(_) => {
            let rest = stream::unfold((app, reading), |(app, reading)| part(app, reading));
            Body::from_stream(stream::iter([Ok(Bytes::from(out))]).chain(rest))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The next part, if there is one.
async fn part(app: App, mut reading: Reading) -> Option<(Result<Bytes, Infallible>, (App, Reading))> {
    reading.next?;
    // A client that reads as fast as this writes is no reason to keep others waiting.
    tokio::task::yield_now().await;
    let mut out = Vec::new();
    reading.fill(&app, &mut out);
    Some((Ok(out.into()), (app, reading)))
}

/// A list under way.
struct Reading {
    tenant: Option<TenantNumber>,
    search: Search,
    /// Where it goes on, unless it was read to its end.
    next: Option<Place>,
}

impl Reading {
    /// Appends the next part, with the end of the object behind the last.
    fn fill(&mut self, app: &App, out: &mut Vec<u8>) {
        if let Some(tenant) = self.tenant {
            let (after, start) = (self.next, out.len());
            if after.is_some() {
                out.push(b',');
            }
            let view = app.engine().view();
            let found = search(&view, tenant, &self.search, (after, PART_EVENTS), Form::Legacy, out);
            if found.count == 0 {
                out.truncate(start);
            }
            self.next = found.next;
        }
        if self.next.is_none() {
            out.extend_from_slice(TAIL);
        }
    }
}
