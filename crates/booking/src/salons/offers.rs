//! What is offered: the question about availability, put to the view.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use jiff::civil::Date;
use maitred_core::{Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::availability;
use super::booking::{BookedItem, Booking};
use super::calculus::{Offer, Question};
use super::command::WantedItem;
use super::fact::{Employee, Service};
use super::gather::{Asked, Gathered, Wanted};
use super::intervals::Span;
use super::local_time::{local_date, plus_days};
use super::view::{self, any};
use crate::flash_sales::Versioned;
use crate::record::Kind;
use crate::slot::{self, Interval, ResourceNumber};

/// The most alternatives that are named where a time is not to be had.
pub const ALTERNATIVES_MAX: usize = 5;
/// Among how many local days they are looked for: that of the wanted start, and those behind it.
pub const ALTERNATIVE_DAYS: i32 = 8;
/// The most claims that are looked up at once.
const CLAIMS_MAX: usize = 1_000;

/// Which starts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first local day.
    pub from: Date,
    /// The first local day behind them.
    pub to: Date,
    /// A multiple of the salon's step; that step without it.
    pub step_minutes: Option<u32>,
    /// Whether each start is wanted once for each employee who can do the first service.
    pub each_employee: bool,
}

/// The services of a visit as they are now; `None` where a service or employee is not there, or cannot be booked.
pub fn wanted(view: &dyn Read, tenant: TenantNumber, items: &[WantedItem]) -> Option<Vec<Wanted>> {
    let known = |item: &WantedItem| {
        let service = view::get::<Service>(view, tenant, item.service, None)?.is;
        if let Some(employee) = item.employee {
            view::get::<Employee>(view, tenant, employee, None)?;
        }
        service.active.then(|| Wanted::now(service, item.employee))
    };
    items.iter().map(known).collect()
}

/// Hands over every start that can be booked, in order.
pub fn offers(
    asked: &Asked<'_>,
    wanted: &[Wanted],
    days: &Days,
    each: impl FnMut(&Offer) -> ControlFlow<()>,
) {
    offers_beside(asked, wanted, &[], days, each);
}

/// The same beside visits that the view does not have yet.
pub fn offers_beside(
    asked: &Asked<'_>,
    wanted: &[Wanted],
    beside: &[BookedItem],
    days: &Days,
    each: impl FnMut(&Offer) -> ControlFlow<()>,
) {
    let days_of = |settings: &_| availability::days_of(settings, days.from, days.to);
    let read = Gathered::read_beside(asked, wanted, beside, days_of);
    let question = Question {
        items: read.items,
        from: days.from,
        to: days.to,
        step_minutes: days.step_minutes.unwrap_or(read.salon.settings.step_minutes),
        each_employee: days.each_employee,
    };
    availability::offers(&read.salon, &question, asked.now, each);
}

/// The starts nearest to one that is not to be had, by start: on its local day, or the week behind it.
pub fn alternatives(asked: &Asked<'_>, wanted: &[Wanted], starts_at: Timestamp) -> Vec<Offer> {
    let zone = super::gather::zone(asked.view, asked.tenant);
    let from = local_date(&zone, starts_at.max(asked.now));
    let to = plus_days(from, ALTERNATIVE_DAYS);
    let days = Days { from, to, step_minutes: None, each_employee: false };
    let distance = |offer: &Offer| offer.span.starts_at.as_micros().abs_diff(starts_at.as_micros());
    let mut nearest: Vec<Offer> = Vec::new();
    offers(asked, wanted, &days, |offer| {
        if nearest.len() == ALTERNATIVES_MAX {
            // Starts rise: once one is farther than all that are kept, so is every later one.
            let farthest = nearest.iter().enumerate().max_by_key(|(_, offer)| distance(offer));
            match farthest {
                Some((place, kept)) if distance(kept) > distance(offer) => {
                    nearest.remove(place);
                }
                _ => return ControlFlow::Break(()),
            }
        }
        nearest.push(offer.clone());
        ControlFlow::Continue(())
    });
    nearest
}

/// The bookings that occupy an employee within a span, now or after the batch `as_of`, by their first claim there.
pub fn bookings_within(
    asked: &Asked<'_>,
    number: ResourceNumber,
    span: Span,
    as_of: Option<Seq>,
) -> Vec<Versioned<Booking>> {
    let interval = Interval::new(span.starts_at, span.ends_at);
    let mut found: Vec<Versioned<Booking>> = Vec::new();
    // In a gap of one booking there may be any number of others before its next claim.
    let mut seen = BTreeSet::new();
    let mut behind = None;
    loop {
        let standing = slot::standing(asked.view, asked.tenant, number, interval, as_of, behind, CLAIMS_MAX);
        for claim in standing.claims.iter().filter(|claim| claim.kind == Kind::Booking) {
            let id = Uuid::from_u128(claim.id);
            if !seen.insert(id) {
                continue;
            }
            let booking = any::<Booking>(asked.view, asked.tenant, id, as_of);
            found.extend(booking.filter(|booking| booking.is.status_at(asked.now).claims_time()));
        }
        behind = standing.through;
        if behind.is_none() {
            return found;
        }
    }
}
