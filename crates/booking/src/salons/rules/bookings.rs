//! Commands on bookings. Who does what, [`super::allotment`] says.

use maitred_core::{Class, Context, Decision, Read, Rejection, Timestamp};
use uuid::Uuid;

use super::allotment::{
    self, Wish, allot, asked, end_of, settle_holds_in_the_way, unavailable, wanted, wanted_of_moved,
};
use super::records::new_customer;
use super::{Decided, Effect, Outcome, at_version, next_version, not_found, waitlist};
use crate::flash_sales::Versioned;
use crate::salons::booking::{Booking, BookingStatus};
use crate::salons::bookings_view;
use crate::salons::command::{Advance, Book, Change, ForCustomer, Reschedule};
use crate::salons::fact::{Customer, Fact};
use crate::salons::validation;
use crate::salons::view;
use crate::violation::refuse_any;

/// The most holds that a customer, or an address, has open at once. Offers of the waitlist are not counted.
pub const OPEN_HOLDS_MAX: usize = 3;

pub(super) fn book(view: &dyn Read, command: &Book, cx: &Context) -> Decided {
    refuse_any(&validation::book(command))?;
    require_customer(view, &command.customer, cx)?;
    let wanted = wanted(view, &command.items, cx)?;
    if command.hold_seconds.is_some() {
        require_few_holds(view, command, cx)?;
    }
    let (starts_at, id) = (command.starts_at, cx.ids.next());
    let wish = Wish { wanted: &wanted, starts_at, force: command.force, beside: &[] };
    let items = allot(&asked(view, None, cx), &wish).map_err(unavailable)?;
    let mut facts = Vec::new();
    let customer = customer_of(&command.customer, &mut facts, cx);
    let hold_expires_at = command.hold_seconds.map(|seconds| {
        Timestamp::from_micros(cx.timestamp.as_micros().saturating_add(i64::from(seconds) * 1_000_000))
    });
    let booking = Booking {
        id,
        customer,
        status: if hold_expires_at.is_some() { BookingStatus::Held } else { BookingStatus::Confirmed },
        starts_at,
        ends_at: end_of(&items, starts_at),
        items,
        hold_expires_at,
        holder: command.holder.filter(|_| hold_expires_at.is_some()),
        token_hash: command.token_hash,
        forced: command.force,
        notes: command.notes.clone(),
        created_at: cx.timestamp,
        series: None,
        offered_to: None,
    };
    facts.extend(settle_holds_in_the_way(view, &booking, &mut Vec::new(), cx).map_err(unavailable)?);
    facts.push(Fact::BookingCreated(booking.clone()));
    let outcome = Outcome::Booking(Effect::Created, next_version(0, booking, cx));
    Ok(Decision { facts, outcome })
}

/// Refuses a customer who is not there.
pub(super) fn require_customer(
    view: &dyn Read,
    customer: &ForCustomer,
    cx: &Context,
) -> Result<(), Rejection> {
    if let ForCustomer::Known(id) = customer {
        view::get::<Customer>(view, cx.tenant, *id, None).ok_or_else(not_found::<Customer>)?;
    }
    Ok(())
}

/// The id of the customer, and that they are new if they are.
pub(super) fn customer_of(customer: &ForCustomer, facts: &mut Vec<Fact>, cx: &Context) -> Uuid {
    match customer {
        ForCustomer::Known(id) => *id,
        ForCustomer::New(details) => {
            let customer = new_customer(details.clone(), cx);
            let id = customer.id;
            facts.push(Fact::CustomerCreated(customer));
            id
        }
    }
}

pub(super) fn reschedule(view: &dyn Read, command: &Reschedule, cx: &Context) -> Decided {
    if let Some(items) = &command.items {
        refuse_any(&validation::items(items))?;
    }
    let found = at_version::<Booking>(view, command.booking, command.if_version, cx)?;
    match found.is.status_at(cx.timestamp) {
        BookingStatus::Held | BookingStatus::Confirmed => {}
        status => return Err(invalid_transition(status)),
    }
    let wanted = wanted_of_moved(view, cx.tenant, &found.is, command.items.as_deref())?;
    let starts_at = command.starts_at;
    let wish = Wish { wanted: &wanted, starts_at, force: command.force, beside: &[] };
    let items = allot(&asked(view, Some(found.is.id), cx), &wish).map_err(unavailable)?;
    let ends_at = end_of(&items, starts_at);
    let booking = Booking { starts_at, ends_at, items, forced: command.force, ..found.is.clone() };
    if booking == found.is {
        return Ok(unchanged(found));
    }
    let mut facts = settle_holds_in_the_way(view, &booking, &mut Vec::new(), cx).map_err(unavailable)?;
    facts.push(Fact::BookingRescheduled(booking.clone()));
    let outcome = Outcome::Booking(Effect::Updated, next_version(found.version, booking, cx));
    Ok(Decision { facts, outcome })
}

pub(super) fn advance(view: &dyn Read, change: &Change<Uuid, Advance>, cx: &Context) -> Decided {
    let found = at_version::<Booking>(view, change.id, change.if_version, cx)?;
    let (to, fact): (_, fn(Booking) -> Fact) = match change.what {
        Advance::Confirm => (BookingStatus::Confirmed, Fact::BookingConfirmed),
        Advance::Cancel => (BookingStatus::Cancelled, Fact::BookingCancelled),
        Advance::Complete => (BookingStatus::Completed, Fact::BookingCompleted),
        Advance::NoShow => (BookingStatus::NoShow, Fact::BookingNoShow),
    };
    let from = found.is.status_at(cx.timestamp);
    match (from, change.what) {
        (from, _) if from == to => return Ok(unchanged(found)),
        (BookingStatus::Held, Advance::Confirm | Advance::Cancel) => {}
        (BookingStatus::Confirmed, Advance::Cancel | Advance::Complete | Advance::NoShow) => {}
        _ => return Err(invalid_transition(from)),
    }
    let booking = Booking { status: to, ..found.is };
    let outcome = Outcome::Booking(Effect::Updated, next_version(found.version, booking.clone(), cx));
    let entry = waitlist::after_offer(view, &booking, cx);
    Ok(Decision { facts: std::iter::once(fact(booking)).chain(entry).collect(), outcome })
}

/// Settles a hold that is over.
pub(super) fn expire(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = at_version::<Booking>(view, id, None, cx)?;
    let is_over = found.is.status_at(cx.timestamp) == BookingStatus::Expired;
    if found.is.status != BookingStatus::Held || !is_over {
        return Ok(unchanged(found));
    }
    let booking = Booking { status: BookingStatus::Expired, ..found.is.clone() };
    let outcome = Outcome::Booking(Effect::Updated, next_version(found.version, booking, cx));
    Ok(Decision { facts: allotment::expiry(view, found.is, cx), outcome })
}

fn unchanged(found: Versioned<Booking>) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome: Outcome::Booking(Effect::Unchanged, found) }
}

fn invalid_transition(status: BookingStatus) -> Rejection {
    if status == BookingStatus::Expired {
        let detail = "The booking was not confirmed in time, and its time is free again.";
        return Rejection::conflict("hold-expired", detail);
    }
    let detail = format!("The booking is {}.", status.as_str());
    let status = format!("\"{}\"", status.as_str());
    Rejection::conflict("invalid-transition", detail).with("booking_status", status)
}

fn require_few_holds(view: &dyn Read, command: &Book, cx: &Context) -> Result<(), Rejection> {
    let customer = match command.customer {
        ForCustomer::Known(id) => Some(id.as_u128()),
        ForCustomer::New(_) => None,
    };
    for holder in [customer, command.holder].into_iter().flatten() {
        let open = bookings_view::open_holds(view, cx.tenant, holder, cx.timestamp, OPEN_HOLDS_MAX);
        if open >= OPEN_HOLDS_MAX {
            let detail =
                format!("At most {OPEN_HOLDS_MAX} bookings are held at once; confirm or cancel one.");
            return Err(Rejection::new(Class::TooMany, "too-many-holds", detail));
        }
    }
    Ok(())
}
