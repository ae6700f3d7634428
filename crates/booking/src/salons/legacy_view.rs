//! Bookings of the replaced system by date.
//!
//! Table: `Index/tenant/LegacyByDate/date/id` → the whole booking, beside its record.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, TenantNumber, Timestamp};
use uuid::Uuid;

use super::legacy::LegacyBooking;
use crate::record::Index;

/// A place among the legacy bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyPlace {
    /// The date.
    pub date: Timestamp,
    /// The id.
    pub id: Uuid,
}

/// Visits the legacy bookings whose date is `from` to `to`, both included, behind `after`, by date, until `visit` breaks.
/// Returns where to go on: behind the last one visited; `None` when there are no more.
pub fn legacy_bookings(
    view: &dyn Read,
    tenant: TenantNumber,
    (from, to): (Timestamp, Timestamp),
    after: Option<LegacyPlace>,
    visit: &mut dyn FnMut(&LegacyBooking<&str>) -> ControlFlow<()>,
) -> Option<LegacyPlace> {
    let index = by_date(tenant);
    let first = match after {
        Some(LegacyPlace { date, id }) => index.time(date).u128(id.as_u128()).end(),
        None => index.time(from),
    };
    let behind = index.time(Timestamp::from_micros(to.as_micros().saturating_add(1)));
    let mut next = None;
    view.scan(&first, &behind, &mut |key, value| {
        let booking: LegacyBooking<&str> =
            postcard::from_bytes(value).expect("a view holds what this build wrote");
        let flow = visit(&booking);
        if flow.is_break() {
            let mut parts = Parts(&key[key.len() - 24..]);
            next = Some(LegacyPlace { date: parts.time(), id: Uuid::from_u128(parts.u128()) });
        }
        flow
    });
    next
}

/// Where a legacy booking stands by its date.
pub(super) fn place(tenant: TenantNumber, date: Timestamp, id: Uuid) -> Key {
    by_date(tenant).time(date).u128(id.as_u128())
}

fn by_date(tenant: TenantNumber) -> Key {
    Index::LegacyByDate.key(tenant)
}
