//! Bookings by date: of all, of an employee or of a customer.
//!
//! Tables, all of them ways to find bookings in [`crate::record`]:
//! - `Index/tenant/BookingByStart/start/id` → nothing.
//! - `Index/tenant/BookingByCustomer/customer/start/id` → nothing.
//! - `Index/tenant/BookingByEmployee/number/start/id` → nothing.
//! - `Index/tenant/BookingBySeries/series/start/id` → nothing.
//! - `Index/tenant/HoldByHolder/holder/expiry/id` → nothing: the holds that are not settled, but for offers.
//!
//! Invariant: an entry of the first four is never removed. A booking that has moved has one for each start that it ever
//! had, and is shown by the one that it had at the batch of the read: so every past list can be read again.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::booking::{Booking, BookingStatus};
use super::fact::Employee;
use super::view::{Found, Pages, any};
use crate::flash_sales::Versioned;
use crate::record::Index;
use crate::slot::ResourceNumber;

/// Which bookings are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookingQuery {
    /// Those that start at this instant or later.
    pub from: Option<Timestamp>,
    /// Those that start before this instant.
    pub to: Option<Timestamp>,
    /// Those in which this employee does something.
    pub employee: Option<Uuid>,
    /// Those of this customer.
    pub customer: Option<Uuid>,
    /// Those of this series.
    pub series: Option<Uuid>,
    /// Those with this status at [`BookingQuery::at`].
    pub status: Option<BookingStatus>,
    /// The instant of the read.
    pub at: Timestamp,
    /// As they were after this batch.
    pub as_of: Option<Seq>,
}

/// A place in a list of bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookingPlace {
    /// The start.
    pub starts_at: Timestamp,
    /// The id.
    pub id: Uuid,
}

impl BookingQuery {
    fn wants(&self, booking: &Booking) -> bool {
        let does = |employee: Uuid| booking.items.iter().any(|item| item.employee.id == employee);
        self.employee.is_none_or(does)
            && self.customer.is_none_or(|customer| booking.customer == customer)
            && self.series.is_none_or(|series| booking.series == Some(series))
            && self.status.is_none_or(|status| booking.status_at(self.at) == status)
    }

    /// Where those that may be wanted stand; `None` if there is no such employee.
    fn index(&self, view: &dyn Read, tenant: TenantNumber) -> Option<Key> {
        if let Some(series) = self.series {
            return Some(by_series(tenant, series));
        }
        if let Some(customer) = self.customer {
            return Some(by_customer(tenant, customer));
        }
        match self.employee {
            Some(employee) => {
                let employee = any::<Employee>(view, tenant, employee, None)?;
                Some(by_employee(tenant, employee.is.number))
            }
            None => Some(by_start(tenant)),
        }
    }
}

/// The bookings behind `after`, by start.
pub fn bookings(
    view: &dyn Read,
    tenant: TenantNumber,
    query: &BookingQuery,
    after: Option<BookingPlace>,
    limit: usize,
) -> Found<Versioned<Booking>, BookingPlace> {
    let mut page = Pages::new(limit);
    let Some(index) = query.index(view, tenant) else { return page.finish() };
    let from = match after {
        // The first key behind that of the place.
        Some(BookingPlace { starts_at, id }) => index.time(starts_at).u128(id.as_u128()).end(),
        None => query.from.map_or(index, |from| index.time(from)),
    };
    let to = query.to.map_or(index.end(), |to| index.time(to));
    view.scan(&from, &to, &mut |key, _| {
        let mut parts = Parts(&key[key.len() - 24..]);
        let place = BookingPlace { starts_at: parts.time(), id: Uuid::from_u128(parts.u128()) };
        page.look(place, || {
            let found = any::<Booking>(view, tenant, place.id, query.as_of)?;
            (found.is.starts_at == place.starts_at && query.wants(&found.is)).then_some(found)
        })
    });
    page.finish()
}

/// How many holds of a holder are open at an instant; it stops counting at `max`.
pub(super) fn open_holds(
    view: &dyn Read,
    tenant: TenantNumber,
    holder: u128,
    at: Timestamp,
    max: usize,
) -> usize {
    let index = holds_of(tenant, holder);
    let mut count = 0;
    let behind = Timestamp::from_micros(at.as_micros().saturating_add(1));
    view.scan(&index.time(behind), &index.end(), &mut |_, _| {
        count += 1;
        if count < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    count
}

pub(crate) fn by_start(tenant: TenantNumber) -> Key {
    Index::BookingByStart.key(tenant)
}

pub(super) fn by_customer(tenant: TenantNumber, customer: Uuid) -> Key {
    Index::BookingByCustomer.key(tenant).u128(customer.as_u128())
}

pub(super) fn by_employee(tenant: TenantNumber, number: ResourceNumber) -> Key {
    Index::BookingByEmployee.key(tenant).u32(number)
}

pub(super) fn by_series(tenant: TenantNumber, series: Uuid) -> Key {
    Index::BookingBySeries.key(tenant).u128(series.as_u128())
}

pub(super) fn holds_of(tenant: TenantNumber, holder: u128) -> Key {
    Index::HoldByHolder.key(tenant).u128(holder)
}
