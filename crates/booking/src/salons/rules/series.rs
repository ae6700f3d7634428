//! Commands on series of visits.
//!
//! Invariants:
//! - Each visit is decided as if it were booked alone, after those before it in the series.
//! - What is booked is booked by one command: all of it, or with `refuse` nothing of it.

use maitred_core::{Context, Decision, Read, Rejection, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::allotment::{Reason, Wish, allot, asked, end_of, settle_holds_in_the_way, wanted};
use super::bookings::{customer_of, require_customer};
use super::{Decided, Effect, Occurrence, Outcome, Visited, at_version, next_version};
use crate::salons::booking::{BookedItem, Booking, BookingStatus};
use crate::salons::command::{BookSeries, CancelSeries, OnClash};
use crate::salons::fact::Fact;
use crate::salons::recurrence::{Recurrence, Refused};
use crate::salons::series::Series;
use crate::salons::{gather, validation, view};
use crate::violation::{Violation, refuse_any};

/// A visit that is not to be had, as the client is told of it.
#[derive(Serialize)]
struct Clash {
    starts_at: String,
    reason: Reason,
}

pub(super) fn book(view: &dyn Read, command: &BookSeries, cx: &Context) -> Decided {
    refuse_any(&validation::book_series(command))?;
    let starts = starts(view, command, cx)?;
    require_customer(view, &command.customer, cx)?;
    let wanted = wanted(view, &command.items, cx)?;

    let mut facts = Vec::new();
    let series = Series {
        id: cx.ids.next(),
        customer: customer_of(&command.customer, &mut facts, cx),
        starts_at: command.starts_at,
        rule: command.rule.clone(),
        bookings: Vec::new(),
        cancelled_from: None,
        created_at: cx.timestamp,
    };
    let mut draft = Draft { view, command, series, facts, beside: Vec::new(), settled: Vec::new() };
    let mut occurrences = Vec::with_capacity(starts.len());
    let mut clashes = Vec::new();
    for starts_at in starts {
        let wish = Wish { wanted: &wanted, starts_at, force: command.force, beside: &draft.beside };
        let visited =
            match allot(&asked(view, None, cx), &wish).and_then(|items| draft.put(starts_at, items, cx)) {
                Ok(booking) => Visited::Booked(next_version(0, booking, cx)),
                Err(reason) => {
                    clashes.push(Clash { starts_at: starts_at.to_string(), reason });
                    Visited::Clashed(reason.to_owned())
                }
            };
        occurrences.push(Occurrence { starts_at, visited });
    }
    let none = draft.series.bookings.is_empty();
    if none || (command.on_clash == OnClash::Refuse && !clashes.is_empty()) {
        return Err(refused(&clashes, occurrences.len()));
    }
    let Draft { mut facts, series, .. } = draft;
    facts.push(Fact::SeriesBooked(series.clone()));
    let outcome = Outcome::Series(Effect::Created, next_version(0, series, cx), occurrences);
    Ok(Decision { facts, outcome })
}

/// When the visits of a series begin.
fn starts(view: &dyn Read, command: &BookSeries, cx: &Context) -> Result<Vec<Timestamp>, Rejection> {
    let zone = gather::zone(view, cx.tenant);
    let starts = Recurrence::parse(&command.rule).and_then(|rule| rule.occurrences(&zone, command.starts_at));
    starts.or_else(|Refused(detail)| {
        refuse_any(&[Violation::new("/rrule", "invalid-rrule", detail)])?;
        Ok(Vec::new())
    })
}

/// A series that is being put together.
struct Draft<'a> {
    view: &'a dyn Read,
    command: &'a BookSeries,
    series: Series,
    facts: Vec<Fact>,
    /// What its visits before the next one occupy.
    beside: Vec<BookedItem>,
    /// The holds that were over and in their way.
    settled: Vec<Uuid>,
}

impl Draft<'_> {
    fn put(&mut self, starts_at: Timestamp, items: Vec<BookedItem>, cx: &Context) -> Result<Booking, Reason> {
        let booking = Booking {
            id: cx.ids.next(),
            customer: self.series.customer,
            status: BookingStatus::Confirmed,
            starts_at,
            ends_at: end_of(&items, starts_at),
            items,
            hold_expires_at: None,
            holder: None,
            token_hash: None,
            forced: self.command.force,
            notes: self.command.notes.clone(),
            created_at: cx.timestamp,
            series: Some(self.series.id),
            offered_to: None,
        };
        let settled = settle_holds_in_the_way(self.view, &booking, &mut self.settled, cx)?;
        self.facts.extend(settled);
        self.facts.push(Fact::BookingCreated(booking.clone()));
        self.series.bookings.push(booking.id);
        self.beside.extend(booking.items.iter().cloned());
        Ok(booking)
    }
}

fn refused(clashes: &[Clash], visits: usize) -> Rejection {
    let detail = format!("{} of {visits} visits are not to be had, and nothing was booked.", clashes.len());
    let clashes = serde_json::to_string(clashes).expect("texts become JSON");
    Rejection::conflict("series-clashes", detail).with("clashes", clashes)
}

/// Calls off what is ahead of a series, from an instant on.
pub(super) fn cancel(view: &dyn Read, command: &CancelSeries, cx: &Context) -> Decided {
    let found = at_version::<Series>(view, command.series, command.if_version, cx)?;
    let from = command.from.unwrap_or(cx.timestamp);
    let mut facts = Vec::new();
    let mut occurrences = Vec::new();
    for id in &found.is.bookings {
        let Some(booking) = view::get::<Booking>(view, cx.tenant, *id, None) else { continue };
        let version = booking.version;
        let stands = matches!(booking.is.status, BookingStatus::Held | BookingStatus::Confirmed);
        if !stands || booking.is.starts_at < from {
            continue;
        }
        let booking = Booking { status: BookingStatus::Cancelled, ..booking.is };
        facts.push(Fact::BookingCancelled(booking.clone()));
        let visited = Visited::Cancelled(next_version(version, booking.clone(), cx));
        occurrences.push(Occurrence { starts_at: booking.starts_at, visited });
    }
    let cancelled_from = found.is.cancelled_from.map_or(from, |before| before.min(from));
    if facts.is_empty() && found.is.cancelled_from.is_some_and(|before| before <= from) {
        let outcome = Outcome::Series(Effect::Unchanged, found, occurrences);
        return Ok(Decision { facts, outcome });
    }
    let series = Series { cancelled_from: Some(cancelled_from), ..found.is };
    facts.push(Fact::SeriesCancelled(series.clone()));
    let outcome = Outcome::Series(Effect::Updated, next_version(found.version, series, cx), occurrences);
    Ok(Decision { facts, outcome })
}
