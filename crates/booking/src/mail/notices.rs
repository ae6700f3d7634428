//! What is told of facts: a consumer that follows the log and queues a mail for each fact that wants one.
//!
//! Invariants:
//! - It decides by the fact and by the settings alone whether a mail is asked for; whether it is queued, the rules decide
//!   at the writer's instant, and once only.
//! - A series is told by one mail, not by one for each visit.

use maitred_core::{At, Read};
use maitred_engine::consumers::Consumer;
use uuid::Uuid;

use super::fact::{MailKind, Place};
use super::{Command, view};
use crate::Booking as Product;
use crate::flash_sales;
use crate::record::{self, Kind, RecordId};
use crate::salons::{self, Booking, BookingStatus};

/// The consumer that queues mails.
#[derive(Debug, Clone, Copy, Default)]
pub struct Notices;

impl Consumer<Product> for Notices {
    fn name(&self) -> &'static str {
        "mail-notices"
    }

    fn wants(&self, kind: u16) -> bool {
        let of_salons = [
            "BookingCreated",
            "BookingConfirmed",
            "BookingRescheduled",
            "BookingCancelled",
            "SeriesBooked",
            "SeriesCancelled",
            "WaitlistOffered",
        ];
        let is = |kinds: &[crate::encoding::FactKind], names: &[&str]| {
            kinds.iter().any(|known| known.kind == kind && names.contains(&known.name))
        };
        is(salons::Fact::KINDS, &of_salons) || is(flash_sales::Fact::KINDS, &["OrderCompleted"])
    }

    fn key(&self, fact: &crate::Fact, _: At) -> Option<u128> {
        told(fact).map(|(_, record, _)| record.as_u128())
    }

    fn consume(&self, view: &dyn Read, fact: &crate::Fact, at: At) -> Result<Vec<crate::Command>, String> {
        let Some((kind, record, visit)) = told(fact) else { return Ok(Vec::new()) };
        let settings = view::settings(view, at.tenant, None).is;
        if !settings.sends(kind) || at.timestamp < settings.since {
            return Ok(Vec::new());
        }
        if visit.is_some_and(|visit| is_told_with_its_series(view, visit, kind, at)) {
            return Ok(Vec::new());
        }
        let source = Place { seq: at.seq, ordinal: at.ordinal };
        Ok(vec![Command::Queue { kind, source, record }.into()])
    }
}

/// What a fact may be told by, and which record it changed; the booking, if it is one.
fn told(fact: &crate::Fact) -> Option<(MailKind, Uuid, Option<&Booking>)> {
    use crate::salons::Fact as Salon;
    let (kind, booking) = match fact {
        crate::Fact::FlashSales(flash_sales::Fact::OrderCompleted(order)) => {
            return Some((MailKind::OrderCompleted, order.id, None));
        }
        crate::Fact::Salons(Salon::SeriesBooked(series)) => return Some((MailKind::Booked, series.id, None)),
        crate::Fact::Salons(Salon::SeriesCancelled(series)) => {
            return Some((MailKind::Cancelled, series.id, None));
        }
        crate::Fact::Salons(Salon::WaitlistOffered(entry)) => {
            return Some((MailKind::Offered, entry.id, None));
        }
        crate::Fact::Salons(Salon::BookingCreated(booking)) => (MailKind::Booked, booking),
        crate::Fact::Salons(Salon::BookingConfirmed(booking)) => (MailKind::Confirmed, booking),
        crate::Fact::Salons(Salon::BookingRescheduled(booking)) => (MailKind::Rescheduled, booking),
        crate::Fact::Salons(Salon::BookingCancelled(booking)) => (MailKind::Cancelled, booking),
        _ => return None,
    };
    // Whoever holds a time is still at the counter, and is told when it is confirmed.
    (booking.status != BookingStatus::Held).then_some((kind, booking.id, Some(booking)))
}

/// Whether the visit was booked, or called off, together with its series.
fn is_told_with_its_series(view: &dyn Read, visit: &Booking, kind: MailKind, at: At) -> bool {
    let Some(series) = visit.series else { return false };
    match kind {
        MailKind::Booked => true,
        MailKind::Cancelled => {
            let record = RecordId { tenant: at.tenant, kind: Kind::Series, id: series.as_u128() };
            record::as_of(view, record, Some(at.seq)).is_some_and(|version| version.change.seq == at.seq)
        }
        _ => false,
    }
}
