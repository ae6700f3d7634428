//! Bookings of the replaced system by date.
//!
//! Table: `Index/tenant/LegacyByDate/date/id` → seq 8 of the fact, and behind it the whole booking, beside its record; or
//! nothing behind it, where that fact gave the booking another date.
//!
//! Invariant: an entry is never removed, so that the list of any batch can be read: what is newer than that batch is
//! looked up in the versions of its record.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::legacy::LegacyBooking;
use super::view::{Found, Pages, VISITS_MAX, any, record_id};
use crate::flash_sales::Versioned;
use crate::record::{self, Index};

const SEQ_BYTES: usize = size_of::<Seq>();

/// A place among the legacy bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyPlace {
    /// The date.
    pub date: Timestamp,
    /// The id.
    pub id: Uuid,
}

/// Which legacy bookings are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LegacyQuery<'a> {
    /// Those whose date is this instant or later.
    pub from: Option<Timestamp>,
    /// Those whose date is before this instant.
    pub to: Option<Timestamp>,
    /// Those of the customer of this id there.
    pub customer: Option<&'a str>,
    /// As they were after this batch.
    pub as_of: Option<Seq>,
}

/// The legacy bookings behind `after`, by date.
pub fn page(
    view: &dyn Read,
    tenant: TenantNumber,
    query: &LegacyQuery<'_>,
    after: Option<LegacyPlace>,
    limit: usize,
) -> Found<Versioned<LegacyBooking>, LegacyPlace> {
    let LegacyQuery { from, to, customer, as_of } = *query;
    let first = from.unwrap_or(Timestamp::from_micros(i64::MIN)).as_micros();
    let behind = to.unwrap_or(Timestamp::from_micros(i64::MAX)).as_micros();
    let mut page = Pages::new(limit);
    if first >= behind {
        return page.finish();
    }
    let range = (Timestamp::from_micros(first), Timestamp::from_micros(behind - 1));
    let stopped = legacy_bookings(view, tenant, range, after, as_of, &mut |booking| {
        let wanted = customer.is_none_or(|customer| booking.customer_id == customer.as_bytes());
        page.look(LegacyPlace { date: booking.date, id: booking.id }, || {
            if wanted { any(view, tenant, booking.id, as_of) } else { None }
        })
    });
    let found = page.finish();
    // It may have stopped for itself.
    let next = found.next.or(stopped);
    Found { next, ..found }
}

/// Visits the legacy bookings whose date is `from` to `to`, both included, behind `after`, by date, until `visit` breaks;
/// as they were after the batch `as_of`, or now. Returns where to go on: behind the last one visited, or one of many
/// that have moved; `None` when there are no more. Texts are UTF-8, and not looked at once more.
pub fn legacy_bookings(
    view: &dyn Read,
    tenant: TenantNumber,
    (from, to): (Timestamp, Timestamp),
    after: Option<LegacyPlace>,
    as_of: Option<Seq>,
    visit: &mut dyn FnMut(&LegacyBooking<&[u8]>) -> ControlFlow<()>,
) -> Option<LegacyPlace> {
    let index = by_date(tenant);
    let first = match after {
        Some(LegacyPlace { date, id }) => index.time(date).u128(id.as_u128()).end(),
        None => index.time(from),
    };
    let behind = index.time(Timestamp::from_micros(to.as_micros().saturating_add(1)));
    let mut next = None;
    let mut passed = 0;
    view.scan(&first, &behind, &mut |key, value| {
        let (seq, body) = value.split_at(SEQ_BYTES);
        let is_newer = as_of.is_some_and(|as_of| Parts(seq).u64() > as_of);
        let mut parts = Parts(&key[key.len() - 24..]);
        let place = LegacyPlace { date: parts.time(), id: Uuid::from_u128(parts.u128()) };
        let mut pass = || {
            passed += 1;
            if passed < VISITS_MAX {
                return ControlFlow::Continue(());
            }
            next = Some(place);
            ControlFlow::Break(())
        };
        if body.is_empty() && !is_newer {
            return pass();
        }
        let then = is_newer.then(|| record::as_of(view, record_id::<LegacyBooking>(tenant, place.id), as_of));
        let booking: LegacyBooking<&[u8]> = match then {
            None => postcard::from_bytes(body).expect("a view holds what this build wrote"),
            Some(None) => return pass(),
            Some(Some(version)) => version.decode(),
        };
        if booking.date != place.date {
            return pass();
        }
        let flow = visit(&booking);
        if flow.is_break() {
            next = Some(place);
        }
        flow
    });
    next
}

/// Where a legacy booking stands by its date.
pub(super) fn place(tenant: TenantNumber, date: Timestamp, id: Uuid) -> Key {
    by_date(tenant).time(date).u128(id.as_u128())
}

/// The value there: `booking`, or that it has another date since the batch `seq`.
pub(super) fn entry(seq: Seq, booking: Option<&LegacyBooking>) -> Vec<u8> {
    let mut value = seq.to_be_bytes().to_vec();
    if let Some(booking) = booking {
        crate::encoding::encode(booking, &mut value);
    }
    value
}

fn by_date(tenant: TenantNumber) -> Key {
    Index::LegacyByDate.key(tenant)
}
