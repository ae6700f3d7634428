//! The list of a range of dates: one object of any length, in bounded memory.
//!
//! Invariants:
//! - The list is what stood at one batch and one instant: the newest when the request came. Its later parts are read as
//!   of that batch.
//! - No view is held while the socket blocks: a part of about [`PART_BYTES`] is read, the view is let go, the part is
//!   sent, and the next view goes on behind the last booking of the part.
//! - `count` comes last, since only then it is known.

use std::convert::Infallible;
use std::ops::ControlFlow;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use maitred_booking::app::App;
use maitred_booking::salons::bookings_view::{BookingPlace, BookingQuery, bookings};
use maitred_booking::salons::legacy_view::{LegacyPlace, legacy_bookings};
use maitred_core::{Seq, TenantNumber, Timestamp};
use maitred_engine::View;
use uuid::Uuid;

use super::answer::JSON_UTF8;
use super::customers::CustomerTexts;
use super::query::Range;
use super::row::Rows;
use super::tenant::Found;

/// The length from which on a part is sent.
const PART_BYTES: usize = 256 << 10;
/// How many native bookings are read at once.
const NATIVE_MAX: usize = 256;

/// The answer with the bookings of a tenant, which are none without one.
pub(super) fn answer(app: App, customers: &CustomerTexts, tenant: Option<Found>, range: Range) -> Response {
    let view = app.engine().view();
    let at = app.engine().now().max(view.timestamp());
    let mut reading = Reading {
        rows: match tenant {
            None => Rows::new(Uuid::nil(), None),
            Some(Found { number, id }) => Rows::new(id, Some(customers.of(&view, number))),
        },
        range,
        as_of: view.seq(),
        at,
        count: 0,
        next: tenant.map(|tenant| (tenant.number, Next::Legacy(None))),
    };
    let (start, end) = range;
    reading.rows.push_str(&format!("{{\"start\":\"{start}\",\"end\":\"{end}\",\"bookings\":["));
    reading.fill(&view);
    drop(view);
    let first = reading.take();
    let body = match reading.next {
        None => Body::from(first),
        Some(_) => {
            let rest = stream::unfold((app, reading), |(app, reading)| part(app, reading));
            Body::from_stream(stream::iter([Ok(first)]).chain(rest))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON_UTF8);
    response
}

/// The next part, if there is one.
async fn part(app: App, mut reading: Reading) -> Option<(Result<Bytes, Infallible>, (App, Reading))> {
    reading.next?;
    // A client that reads as fast as this writes is no reason to keep others waiting.
    tokio::task::yield_now().await;
    reading.fill(&app.engine().view());
    let part = reading.take();
    Some((Ok(part), (app, reading)))
}

/// A list under way.
struct Reading {
    rows: Rows,
    range: Range,
    as_of: Seq,
    at: Timestamp,
    count: u64,
    /// `None` once the list is read to its end.
    next: Option<(TenantNumber, Next)>,
}

/// What is read next.
#[derive(Clone, Copy)]
enum Next {
    /// Bookings of the replaced system, behind this one.
    Legacy(Option<LegacyPlace>),
    /// Bookings of the native API, behind this one.
    Native(Option<BookingPlace>),
}

impl Reading {
    /// Reads on, until a part is there or the list ends.
    fn fill(&mut self, view: &View) {
        while let Some((tenant, next)) = self.next {
            if self.rows.len() >= PART_BYTES {
                return;
            }
            self.next = match next {
                Next::Legacy(after) => Some((tenant, self.legacy(view, tenant, after))),
                Next::Native(after) => self.native(view, tenant, after).map(|next| (tenant, next)),
            };
        }
        self.rows.push_str(&format!("],\"count\":{}}}", self.count));
    }

    fn legacy(&mut self, view: &View, tenant: TenantNumber, after: Option<LegacyPlace>) -> Next {
        let Reading { rows, range, as_of, count, .. } = self;
        let as_of = (view.seq() != *as_of).then_some(*as_of);
        let next = legacy_bookings(view, tenant, *range, after, as_of, &mut |booking| {
            rows.push_str(if *count == 0 { "" } else { "," });
            *count += 1;
            rows.push_legacy(view, tenant, booking);
            if rows.len() < PART_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        next.map_or(Next::Native(None), |next| Next::Legacy(Some(next)))
    }

    fn native(&mut self, view: &View, tenant: TenantNumber, after: Option<BookingPlace>) -> Option<Next> {
        let (from, to) = self.range;
        let query = BookingQuery {
            from: Some(from),
            to: Some(Timestamp::from_micros(to.as_micros().saturating_add(1))),
            at: self.at,
            as_of: (view.seq() != self.as_of).then_some(self.as_of),
            ..BookingQuery::default()
        };
        let found = bookings(view, tenant, &query, after, NATIVE_MAX);
        for booking in &found.items {
            self.rows.push_str(if self.count == 0 { "" } else { "," });
            self.count += 1;
            self.rows.push_native(view, tenant, booking, self.at);
        }
        found.next.map(|next| Next::Native(Some(next)))
    }

    fn take(&mut self) -> Bytes {
        self.rows.take().into()
    }
}
