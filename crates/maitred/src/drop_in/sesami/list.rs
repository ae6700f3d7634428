//! The list of an organisation's appointments: one array of any length, in bounded memory.
//!
//! Invariants:
//! - The list is what stood at one batch: the newest when the request came. Its later parts are read as of that one.
//! - No view is held while the socket blocks: a part of about [`PART_BYTES`] is read, the view is let go, the part is
//!   sent, and the next view goes on behind the last appointment of the part.
//! - A list of a single part is sent with its length; a longer one in chunks.

use std::convert::Infallible;
use std::ops::ControlFlow;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use maitred_booking::app::App;
use maitred_booking::appointments::{self, Appointment, Cursor, Query, RESOURCE_DEFAULT};
use maitred_booking::slot::Interval;
use maitred_core::{Seq, TenantNumber, Timestamp};
use maitred_engine::View;

use super::answer::{JSON_UTF8, List, Row};

/// The length from which on a part is sent.
const PART_BYTES: usize = 256 << 10;

/// The answer with the list of `org`, which is nobody's list without a tenant; with `at` only what covers it.
pub(super) fn answer(app: App, tenant: Option<TenantNumber>, org: &str, at: Option<Timestamp>) -> Response {
    let view = app.engine().view();
    let next = tenant.map(|tenant| Next { tenant, behind: None });
    let mut reading = Reading { list: List::new(org), at, as_of: view.seq(), next };
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
    reading.next.as_ref()?;
    // A client that reads as fast as this writes is no reason to keep others waiting.
    tokio::task::yield_now().await;
    reading.fill(&app.engine().view());
    let part = reading.take();
    Some((Ok(part), (app, reading)))
}

/// A list under way.
struct Reading {
    list: List,
    at: Option<Timestamp>,
    as_of: Seq,
    /// `None` once the list is read to its end.
    next: Option<Next>,
}

#[derive(Clone, Copy)]
struct Next {
    tenant: TenantNumber,
    behind: Option<Cursor>,
}

impl Reading {
    /// Reads on, until a part is there or the list ends.
    fn fill(&mut self, view: &View) {
        let Reading { list, at, as_of, next } = self;
        if let Some(Next { tenant, behind }) = *next {
            let query = Query {
                resource: Some(RESOURCE_DEFAULT),
                interval: at.map_or(Interval::ALL, Interval::at),
                // The newest needs no look into the past.
                as_of: (view.seq() != *as_of).then_some(*as_of),
            };
            let behind = appointments::scan(view, tenant, &query, behind, &mut |_, appointment| {
                list.push(&row(appointment));
                if list.len() < PART_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            *next = behind.map(|behind| Next { tenant, behind: Some(behind) });
        }
        if next.is_none() {
            list.close();
        }
    }

    fn take(&mut self) -> Bytes {
        self.list.take().into()
    }
}

fn row<'a>(appointment: &Appointment<&'a str>) -> Row<'a> {
    const CLAIMS: &str = "an appointment that claims time has times";
    Row {
        id: appointment.id,
        external_id: appointment.external_id,
        start: appointment.starts_at.expect(CLAIMS),
        end: appointment.ends_at.expect(CLAIMS),
        created_at: appointment.created_at.expect(CLAIMS),
        updated_at: appointment.updated_at,
        version: appointment.version,
    }
}
