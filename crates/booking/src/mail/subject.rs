//! What a mail is about: the version that its fact wrote, whether it is still worth telling, and to whom.

use std::ops::ControlFlow;
use std::time::Duration;

use maitred_core::{ChangeId, Read, TenantNumber, Timestamp};
use uuid::Uuid;

use super::fact::{Mail, MailKind, Place, Settings};
use super::rules::{AGE_MAX, earlier};
use crate::accounts;
use crate::flash_sales::{Order, Versioned};
use crate::record::{self, Change, Kind, RecordId};
use crate::salons::waitlist::OpenOffer;
use crate::salons::{Booking, BookingStatus, Customer, Series, WaitlistEntry};
use crate::{salons, webhooks};

/// What a mail is about, as its fact left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Visits of a customer, in order: one, or those of a series.
    Visits(Vec<Versioned<Booking>>),
    /// A visit that is held until then.
    Offer(Versioned<Booking>, Timestamp),
    /// An order.
    Order(Versioned<Order>),
}

/// Somebody to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipient {
    pub(super) name: Option<String>,
    pub(super) address: String,
}

/// What a mail says it is about: tenant, kind, fact and record.
pub(super) type About = (TenantNumber, MailKind, Place, Uuid);

/// To whom a mail would go, if it is worth telling and there is an address.
pub(super) fn recipient(view: &dyn Read, settings: &Settings, about: About, now: Timestamp) -> Option<Uuid> {
    let (tenant, kind, source, record) = about;
    let (subject, decided_at) = read(view, about)?;
    if kind == MailKind::Reminder {
        let Subject::Visits(visits) = &subject else { return None };
        let due = due(visits.first()?.is.starts_at, settings);
        if due > now || due < decided_at || due < settings.reminders_since {
            return None;
        }
    } else if decided_at < settings.since || decided_at < earlier(now, AGE_MAX) {
        return None;
    }
    let told_before = matches!(kind, MailKind::Rescheduled | MailKind::Cancelled);
    if told_before && !was_confirmed(view, tenant, record, source) {
        return None;
    }
    if of_no_use(view, tenant, kind, &subject, now).is_some() {
        return None;
    }
    let to = subject.to()?;
    self::address(view, tenant, kind, to).map(|_| to)
}

/// When the reminder of a visit is due that starts then.
pub(super) fn due(starts_at: Timestamp, settings: &Settings) -> Timestamp {
    earlier(starts_at, Duration::from_secs(u64::from(settings.reminder_hours) * 3_600))
}

/// What a queued mail is about.
pub(super) fn of_mail(view: &dyn Read, tenant: TenantNumber, mail: &Mail) -> Option<Subject> {
    let queued = &mail.queued;
    read(view, (tenant, queued.kind, queued.source, queued.record)).map(|(subject, _)| subject)
}

/// Why a mail is of no use any more, if that is so.
pub(super) fn of_no_use(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: MailKind,
    subject: &Subject,
    now: Timestamp,
) -> Option<&'static str> {
    match subject {
        Subject::Order(_) => None,
        Subject::Offer(_, expires_at) if *expires_at <= now => Some("the offer is over"),
        Subject::Offer(booking, _) if current_status(view, tenant, booking.is.id) != BookingStatus::Held => {
            Some("the offer is over")
        }
        Subject::Offer(..) => None,
        Subject::Visits(visits) => {
            let last = visits.last()?;
            if last.is.starts_at <= now {
                return Some("the visit has begun");
            }
            let moved = || {
                let current = salons::view::any::<Booking>(view, tenant, last.is.id, None);
                current.is_none_or(|now| {
                    now.is.starts_at != last.is.starts_at || now.is.status != BookingStatus::Confirmed
                })
            };
            (kind == MailKind::Reminder && moved()).then_some("the visit is at another time, or called off")
        }
    }
}

/// Where somebody is written to, now.
pub(super) fn address(view: &dyn Read, tenant: TenantNumber, kind: MailKind, to: Uuid) -> Option<Recipient> {
    if kind == MailKind::OrderCompleted {
        let person = accounts::view::person(view, tenant, to)?;
        return Some(Recipient { name: None, address: person.given.unwrap_or(person.email) });
    }
    let customer = salons::view::get::<Customer>(view, tenant, to, None)?.is;
    let address = customer.email.filter(|address| !address.trim().is_empty())?;
    Some(Recipient { name: Some(customer.name), address: address.trim().to_owned() })
}

/// The fact that gave a booking the time that it has, and when that was; `None` for one that is not there.
pub(super) fn timed_by(
    view: &dyn Read,
    tenant: TenantNumber,
    booking: Uuid,
) -> Option<(ChangeId, Timestamp)> {
    let mut found: Option<(ChangeId, Timestamp, Timestamp)> = None;
    record::versions(view, of_booking(tenant, booking), None, None, &mut |version| {
        let starts_at = version.decode::<Booking>().starts_at;
        if found.is_none_or(|(.., before)| before != starts_at) {
            found = Some((version.change, version.at, starts_at));
        }
        ControlFlow::Continue(())
    });
    found.map(|(change, at, _)| (change, at))
}

impl Subject {
    fn to(&self) -> Option<Uuid> {
        match self {
            Subject::Visits(visits) => visits.first().map(|visit| visit.is.customer),
            Subject::Offer(booking, _) => Some(booking.is.customer),
            Subject::Order(order) => Some(order.is.buyer),
        }
    }
}

/// What the fact left of its record, and when it was decided.
fn read(view: &dyn Read, (tenant, kind, source, id): About) -> Option<(Subject, Timestamp)> {
    let place = ChangeId::from(source);
    let look = |change: &Change<'_>| {
        let version = change.version;
        let subject = match change.record.kind {
            Kind::Booking => Some(Subject::Visits(vec![Versioned::read(&version)])),
            Kind::Order => Some(Subject::Order(Versioned::read(&version))),
            Kind::Series => visits(view, tenant, kind, &version.decode(), place),
            Kind::WaitlistEntry => offer(view, tenant, &version.decode(), place),
            _ => None,
        };
        (change.record.id == id.as_u128()).then_some(())?;
        subject.map(|subject| (subject, version.at))
    };
    webhooks::view::with_change(view, tenant, place, look).flatten()
}

/// The visits that were booked with a series, or those that were called off with what was ahead of it.
fn visits(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: MailKind,
    series: &Series,
    at: ChangeId,
) -> Option<Subject> {
    let then = |id: &Uuid| {
        let record = of_booking(tenant, *id);
        record::as_of(view, record, Some(at.seq)).map(|version| (version.change, Versioned::read(&version)))
    };
    let is_meant = |(change, booking): &(ChangeId, Versioned<Booking>)| match kind {
        MailKind::Cancelled => change.seq == at.seq && booking.is.status == BookingStatus::Cancelled,
        _ => booking.is.status != BookingStatus::Cancelled,
    };
    let found: Vec<_> = series.bookings.iter().filter_map(then).filter(is_meant).collect();
    let mut found: Vec<Versioned<Booking>> = found.into_iter().map(|(_, booking)| booking).collect();
    found.sort_by_key(|booking| booking.is.starts_at);
    (!found.is_empty()).then_some(Subject::Visits(found))
}

fn offer(view: &dyn Read, tenant: TenantNumber, entry: &WaitlistEntry, at: ChangeId) -> Option<Subject> {
    let OpenOffer { booking, expires_at } = entry.offer?;
    let booking = salons::view::any::<Booking>(view, tenant, booking, Some(at.seq))?;
    Some(Subject::Offer(booking, expires_at))
}

/// Whether a booking was ever confirmed before a fact; of a series, that is so.
fn was_confirmed(view: &dyn Read, tenant: TenantNumber, record: Uuid, source: Place) -> bool {
    let id = of_booking(tenant, record);
    if record::current(view, id).is_none() {
        return true;
    }
    let mut found = false;
    record::versions(view, id, None, None, &mut |version| {
        if Place::from(version.change) >= source {
            return ControlFlow::Break(());
        }
        found = version.decode::<Booking>().status == BookingStatus::Confirmed;
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

fn current_status(view: &dyn Read, tenant: TenantNumber, booking: Uuid) -> BookingStatus {
    let found = salons::view::any::<Booking>(view, tenant, booking, None);
    found.map_or(BookingStatus::Cancelled, |found| found.is.status)
}

fn of_booking(tenant: TenantNumber, booking: Uuid) -> RecordId {
    RecordId { tenant, kind: Kind::Booking, id: booking.as_u128() }
}
