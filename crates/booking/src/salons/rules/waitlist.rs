//! Commands on the waitlist, and what becomes of an entry when its offer ends.

use maitred_core::{Class, Context, Decision, Read, Rejection};
use uuid::Uuid;

use super::allotment::{Wish, allot, asked, end_of, settle_holds_in_the_way, wanted};
use super::bookings::require_customer;
use super::records::put;
use super::{Decided, Effect, Outcome, at_version, next_version};
use crate::flash_sales::Versioned;
use crate::name::{self, Counter};
use crate::salons::booking::{Booking, BookingStatus};
use crate::salons::command::{Change, EnterWaitlist, ForCustomer, OfferTime};
use crate::salons::fact::{Customer, Fact};
use crate::salons::intervals::Span;
use crate::salons::local_time::later;
use crate::salons::waitlist::{
    OPEN_MAX, OPEN_OF_CUSTOMER_MAX, OpenOffer, PassedOffer, WaitlistEntry, WaitlistStatus, open,
};
use crate::salons::{offering, offers, validation, view};
use crate::violation::{Violation, refuse_any};

pub(super) fn enter(view: &dyn Read, command: &EnterWaitlist, cx: &Context) -> Decided {
    let mut found = validation::enter_waitlist(command);
    if found.is_empty() && command.to <= cx.timestamp {
        found.push(Violation::new("/to", "invalid-time-range", "to must be ahead"));
    }
    refuse_any(&found)?;
    require_customer(view, &ForCustomer::Known(command.customer), cx)?;
    wanted(view, &command.items(), cx)?;
    require_room(view, command.customer, cx)?;
    let entry = WaitlistEntry {
        id: cx.ids.next(),
        number: name::counter(view, cx.tenant, Counter::WaitlistNumbers, 0) + 1,
        customer: command.customer,
        services: command.services.clone(),
        employee: command.employee,
        from: command.from,
        to: command.to,
        status: WaitlistStatus::Waiting,
        offer: None,
        passed: Vec::new(),
        token_hash: command.token_hash,
        created_at: cx.timestamp,
    };
    Ok(put(0, entry, Effect::Created, (Fact::WaitlistEntered, Outcome::Waitlist), cx))
}

/// Refuses one more than a salon, or a customer, may have open.
pub(super) fn require_room(view: &dyn Read, customer: Uuid, cx: &Context) -> Result<(), Rejection> {
    let open = open(view, cx.tenant, cx.timestamp);
    let of_customer = open.iter().filter(|open| open.customer == customer).count();
    let detail = if open.len() >= OPEN_MAX {
        format!("At most {OPEN_MAX} entries of the waitlist are open at once.")
    } else if of_customer >= OPEN_OF_CUSTOMER_MAX {
        format!("A customer has at most {OPEN_OF_CUSTOMER_MAX} open entries of the waitlist.")
    } else {
        return Ok(());
    };
    Err(Rejection::new(Class::TooMany, "too-many-waiting", detail))
}

/// Takes somebody off the list. An open offer is declined by it.
pub(super) fn cancel(view: &dyn Read, change: &Change<Uuid, ()>, cx: &Context) -> Decided {
    let found = at_version::<WaitlistEntry>(view, change.id, change.if_version, cx)?;
    match found.is.status_at(cx.timestamp) {
        WaitlistStatus::Cancelled => return Ok(unchanged(found)),
        status if status.is_open() => {}
        status => {
            let detail = format!("The entry is {}.", status.as_str());
            let status = format!("\"{}\"", status.as_str());
            let rejection = Rejection::conflict("invalid-transition", detail);
            return Err(rejection.with("waitlist_status", status));
        }
    }
    let mut facts = Vec::new();
    if let Some(booking) = held_for(view, &found.is, cx) {
        let status = match booking.status_at(cx.timestamp) {
            BookingStatus::Expired => BookingStatus::Expired,
            _ => BookingStatus::Cancelled,
        };
        let fact =
            if status == BookingStatus::Expired { Fact::BookingExpired } else { Fact::BookingCancelled };
        facts.push(fact(Booking { status, ..booking }));
    }
    let entry = WaitlistEntry { status: WaitlistStatus::Cancelled, offer: None, ..found.is };
    facts.push(Fact::WaitlistCancelled(entry.clone()));
    let outcome = Outcome::Waitlist(Effect::Updated, next_version(found.version, entry, cx));
    Ok(Decision { facts, outcome })
}

/// Settles an entry whose time is over.
pub(super) fn expire(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = at_version::<WaitlistEntry>(view, id, None, cx)?;
    if !found.is.status.is_open() || cx.timestamp < found.is.to {
        return Ok(unchanged(found));
    }
    let entry = WaitlistEntry { status: WaitlistStatus::Expired, offer: None, ..found.is };
    Ok(put(found.version, entry, Effect::Updated, (Fact::WaitlistExpired, Outcome::Waitlist), cx))
}

/// Holds the first time that is to be had, and that the entry wants, for whoever waits. Where there is none, or nobody waits
/// any more, nothing happens.
pub(super) fn offer(view: &dyn Read, command: &OfferTime, cx: &Context) -> Decided {
    let found = at_version::<WaitlistEntry>(view, command.entry, None, cx)?;
    let waits = found.is.status == WaitlistStatus::Waiting && cx.timestamp < found.is.to;
    let customer = view::get::<Customer>(view, cx.tenant, found.is.customer, None);
    let wanted = offers::wanted(view, cx.tenant, &found.is.items());
    let (true, Some(_), Some(wanted)) = (waits, customer, wanted) else { return Ok(unchanged(found)) };
    let asked = asked(view, None, cx);
    let Some(visit) = offering::first_time(&asked, &found.is, &wanted, command.starts, &[]) else {
        return Ok(unchanged(found));
    };
    let starts_at = visit.starts_at;
    let items = allot(&asked, &Wish { wanted: &wanted, starts_at, force: false, beside: &[] });
    let Ok(items) = items else { return Ok(unchanged(found)) };
    let minutes = view::settings(view, cx.tenant, None).is.offer_minutes;
    let expires_at = later(cx.timestamp, minutes).min(starts_at);
    let booking = Booking {
        id: cx.ids.next(),
        customer: found.is.customer,
        status: BookingStatus::Held,
        starts_at,
        ends_at: end_of(&items, starts_at),
        items,
        hold_expires_at: Some(expires_at),
        holder: None,
        token_hash: found.is.token_hash,
        forced: false,
        notes: None,
        created_at: cx.timestamp,
        series: None,
        offered_to: Some(found.is.id),
    };
    let Ok(mut facts) = settle_holds_in_the_way(view, &booking, &mut Vec::new(), cx) else {
        return Ok(unchanged(found));
    };
    let offer = OpenOffer { booking: booking.id, expires_at };
    let entry = WaitlistEntry { status: WaitlistStatus::Offered, offer: Some(offer), ..found.is };
    facts.push(Fact::BookingCreated(booking));
    facts.push(Fact::WaitlistOffered(entry.clone()));
    let outcome = Outcome::Waitlist(Effect::Updated, next_version(found.version, entry, cx));
    Ok(Decision { facts, outcome })
}

/// What becomes of the entry that a booking was offered to, when it is held no more.
pub(super) fn after_offer(view: &dyn Read, booking: &Booking, cx: &Context) -> Option<Fact> {
    let entry = view::get::<WaitlistEntry>(view, cx.tenant, booking.offered_to?, None)?.is;
    let is_open = entry.status == WaitlistStatus::Offered
        && entry.offer.is_some_and(|offer| offer.booking == booking.id);
    if !is_open {
        return None;
    }
    if booking.status == BookingStatus::Confirmed {
        return Some(Fact::WaitlistTaken(WaitlistEntry { status: WaitlistStatus::Taken, ..entry }));
    }
    Some(passed(entry, booking))
}

/// That an entry did not take the booking that it was offered.
pub(super) fn passed(entry: WaitlistEntry, booking: &Booking) -> Fact {
    let status = entry.status_after_passing();
    let mut passed = entry.passed.clone();
    passed.push(PassedOffer::new(Span::new(booking.starts_at, booking.ends_at)));
    let entry = WaitlistEntry { status, offer: None, passed, ..entry };
    match status {
        WaitlistStatus::Expired => Fact::WaitlistExpired(entry),
        _ => Fact::WaitlistPassed(entry),
    }
}

/// The booking that is held for whoever waits, settled or not.
fn held_for(view: &dyn Read, entry: &WaitlistEntry, cx: &Context) -> Option<Booking> {
    let offer = entry.offer.filter(|_| entry.status == WaitlistStatus::Offered)?;
    let booking = view::get::<Booking>(view, cx.tenant, offer.booking, None)?.is;
    (booking.status == BookingStatus::Held).then_some(booking)
}

fn unchanged(found: Versioned<WaitlistEntry>) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome: Outcome::Waitlist(Effect::Unchanged, found) }
}
