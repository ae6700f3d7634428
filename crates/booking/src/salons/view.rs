//! What can be read of salons, now or as of any batch: the records. Bookings by their dates are in
//! [`super::bookings_view`], those of the replaced system in [`super::legacy_view`].

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, Table, TenantNumber};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::booking::Booking;
use super::fact::{Customer, Employee, Resource, Service, Settings};
use super::legacy::LegacyBooking;
use super::plan::PlanState;
use super::series::Series;
use super::waitlist::WaitlistEntry;
use crate::flash_sales::Versioned;
use crate::name;
use crate::record::{self, Index, Kind, RecordId, Version};
use crate::slot::SALON_NUMBER_MIN;

/// The most records that a list looks at for one page, so that no read keeps the store's transaction for long.
pub const VISITS_MAX: usize = 10_000;
/// The most employees of a salon, and the most resources.
pub const PLACES_MAX: usize = 500;
/// The most services of a salon.
pub const SERVICES_MAX: usize = 1_000;

/// A kind of record of a salon that has an id of its own.
pub trait Kept: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;
    /// How many of them a salon has at most; there may be any number where it is `None`.
    const MAX: Option<usize>;
    /// The code of the refusal where there is none, and its sentence.
    const NOT_FOUND: (&'static str, &'static str);

    /// Its id.
    fn id(&self) -> Uuid;
    /// Whether it is gone for good.
    fn is_deleted(&self) -> bool;
}

macro_rules! kept {
    ($($type:ident $max:expr, $code:literal $detail:literal;)*) => {
        $(impl Kept for $type {
            const KIND: Kind = Kind::$type;
            const MAX: Option<usize> = $max;
            const NOT_FOUND: (&'static str, &'static str) = ($code, $detail);

            fn id(&self) -> Uuid {
                self.id
            }

            fn is_deleted(&self) -> bool {
                self.deleted
            }
        })*
    };
}

kept! {
    Employee Some(PLACES_MAX), "employee-not-found" "There is no such employee.";
    Service Some(SERVICES_MAX), "service-not-found" "There is no such service.";
    Resource Some(PLACES_MAX), "resource-not-found" "There is no such resource.";
    Customer None, "customer-not-found" "There is no such customer.";
}

/// The same for records that never go.
macro_rules! kept_for_good {
    ($($type:ident $code:literal $detail:literal;)*) => {
        $(impl Kept for $type {
            const KIND: Kind = Kind::$type;
            const MAX: Option<usize> = None;
            const NOT_FOUND: (&'static str, &'static str) = ($code, $detail);

            fn id(&self) -> Uuid {
                self.id
            }

            fn is_deleted(&self) -> bool {
                false
            }
        })*
    };
}

kept_for_good! {
    Booking "booking-not-found" "There is no such booking.";
    LegacyBooking "booking-not-found" "There is no such booking.";
    Series "series-not-found" "There is no such series.";
    WaitlistEntry "waitlist-entry-not-found" "There is no such entry of the waitlist.";
}

/// The id of the record that another system knows by a text: that of a UUID as it is usually written is itself, that of
/// any other text follows from its hash, as a UUID of version 8.
pub fn id_of_text(text: &str) -> Uuid {
    id_of_bytes(text.as_bytes())
}

/// The same for the bytes of a text.
pub fn id_of_bytes(text: &[u8]) -> Uuid {
    match Uuid::try_parse_ascii(text) {
        Ok(id) if text == id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes() => id,
        _ => uuid::Builder::from_custom_bytes(name::hash_bytes(text).to_be_bytes()).into_uuid(),
    }
}

/// The text to be kept beside the id of [`id_of_text`], if it is another one.
pub fn text_beside_id(text: &str, id: Uuid) -> Option<String> {
    (text != id.hyphenated().encode_lower(&mut Uuid::encode_buffer())).then(|| text.to_owned())
}

/// The record of an id.
pub fn record_id<T: Kept>(tenant: TenantNumber, id: Uuid) -> RecordId {
    RecordId { tenant, kind: T::KIND, id: id.as_u128() }
}

/// A record, now or after the batch `as_of`, gone or not.
pub fn any<T: Kept>(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<T>> {
    record::as_of(view, record_id::<T>(tenant, id), as_of).map(|version| Versioned::read(&version))
}

/// A record that is there, now or after the batch `as_of`.
pub fn get<T: Kept>(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<T>> {
    any::<T>(view, tenant, id, as_of).filter(|found| !found.is.is_deleted())
}

/// A salon's settings, now or after the batch `as_of`; version 0 while nobody has changed them.
pub fn settings(view: &dyn Read, tenant: TenantNumber, as_of: Option<Seq>) -> Versioned<Settings> {
    let found = record::as_of(view, settings_record(tenant), as_of).map(|version| Versioned::read(&version));
    found.unwrap_or(Versioned { version: 0, updated_at: Default::default(), is: Settings::default() })
}

pub(super) fn settings_record(tenant: TenantNumber) -> RecordId {
    RecordId { tenant, kind: Kind::SalonSettings, id: 0 }
}

/// An employee's shift plan, now or after the batch `as_of`; version 0 and empty while there is none.
pub fn plan(
    view: &dyn Read,
    tenant: TenantNumber,
    employee: Uuid,
    as_of: Option<Seq>,
) -> Versioned<PlanState> {
    let found = record::as_of(view, plan_record(tenant, employee), as_of);
    found.map(|version| Versioned::read(&version)).unwrap_or(Versioned {
        version: 0,
        updated_at: Default::default(),
        is: PlanState { employee, ..PlanState::default() },
    })
}

pub(super) fn plan_record(tenant: TenantNumber, employee: Uuid) -> RecordId {
    RecordId { tenant, kind: Kind::ShiftPlan, id: employee.as_u128() }
}

/// All employees, services or resources that are there now, by id: at most [`Kept::MAX`].
pub fn all<T: Kept>(view: &dyn Read, tenant: TenantNumber) -> Vec<T> {
    let index = there(tenant, T::KIND);
    let mut found = Vec::new();
    view.scan(&index, &index.end(), &mut |key, _| {
        let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
        found.extend(get::<T>(view, tenant, id, None).map(|found| found.is));
        ControlFlow::Continue(())
    });
    found
}

/// The same as they were after the batch `as_of`.
pub fn all_as_of<T: Kept>(view: &dyn Read, tenant: TenantNumber, as_of: Option<Seq>) -> Vec<T> {
    if as_of.is_none() {
        return all(view, tenant);
    }
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = records::<T>(view, tenant, after, as_of, PLACES_MAX);
        found.extend(page.items.into_iter().map(|found| found.is));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// How many employees, services or resources are there now.
pub(super) fn count(view: &dyn Read, tenant: TenantNumber, kind: Kind) -> usize {
    let index = there(tenant, kind);
    let mut count = 0;
    view.scan(&index, &index.end(), &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

/// Where the records of a kind that are there stand, by id.
pub(super) fn there(tenant: TenantNumber, kind: Kind) -> Key {
    Index::SalonRecord.key(tenant).u8(kind as u8)
}

/// The last batch that changed a customer; 0 before there are any.
pub fn customers_changed(view: &dyn Read, tenant: TenantNumber) -> Seq {
    name::counter(view, tenant, name::Counter::CustomersChanged, 0)
}

/// The customer who was noted first.
pub fn first_customer(view: &dyn Read, tenant: TenantNumber) -> Option<Versioned<Customer>> {
    let index = Index::CustomerByOrder.key(tenant);
    let mut found = None;
    let mut visits = 0;
    view.scan(&index, &index.end(), &mut |_, value| {
        found = get::<Customer>(view, tenant, Uuid::from_u128(Parts(value).u128()), None);
        visits += 1;
        if found.is_some() || visits == VISITS_MAX {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found
}

/// A part of a list, and where to go on; a page may be short and have a next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T, Place> {
    /// The records.
    pub items: Vec<T>,
    /// Behind this place there may be more.
    pub next: Option<Place>,
}

/// A page under construction: it looks one record further than it shows, to know whether there are more.
pub(super) struct Pages<T, Place> {
    items: Vec<T>,
    limit: usize,
    visits: usize,
    last: Option<Place>,
    next: Option<Place>,
}

impl<T, Place: Copy> Pages<T, Place> {
    pub(super) fn new(limit: usize) -> Self {
        Pages { items: Vec::new(), limit, visits: 0, last: None, next: None }
    }

    pub(super) fn look(&mut self, place: Place, read: impl FnOnce() -> Option<T>) -> ControlFlow<()> {
        if self.visits == VISITS_MAX {
            self.next = self.last;
            return ControlFlow::Break(());
        }
        self.visits += 1;
        if let Some(item) = read() {
            if self.items.len() == self.limit {
                self.next = self.last;
                return ControlFlow::Break(());
            }
            self.items.push(item);
        }
        self.last = Some(place);
        ControlFlow::Continue(())
    }

    pub(super) fn finish(self) -> Found<T, Place> {
        Found { items: self.items, next: self.next }
    }
}

/// The records of a kind that are there, behind `after`, in the order of their ids.
pub fn records<T: Kept>(
    view: &dyn Read,
    tenant: TenantNumber,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
) -> Found<Versioned<T>, Uuid> {
    records_where(view, tenant, after, as_of, limit, |_| true)
}

/// The same, but those alone that `wants` takes.
pub fn records_where<T: Kept>(
    view: &dyn Read,
    tenant: TenantNumber,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
    wants: impl Fn(&T) -> bool,
) -> Found<Versioned<T>, Uuid> {
    let mut page = Pages::new(limit);
    let table = Key::of(Table::Record, tenant).u8(T::KIND as u8);
    let from = after.map_or(Some(0), |after| after.as_u128().checked_add(1));
    let Some(from) = from else { return page.finish() };
    view.scan(&table.u128(from), &table.end(), &mut |key, value| {
        let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
        page.look(id, || {
            let current = Version::read(value);
            let found = match as_of {
                Some(seq) if current.change.seq > seq => any(view, tenant, id, as_of)?,
                _ => Versioned::<T>::read(&current),
            };
            (!found.is.is_deleted() && wants(&found.is)).then_some(found)
        })
    });
    page.finish()
}

/// The versions of a record that came behind `after`, the oldest first, at most `limit`.
pub fn versions<T: DeserializeOwned>(
    view: &dyn Read,
    record: RecordId,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<(ChangeId, Versioned<T>)> {
    let mut found = Vec::new();
    record::versions(view, record, after, as_of, &mut |version| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push((version.change, Versioned::read(&version)));
        ControlFlow::Continue(())
    });
    found
}

/// The number under which the time of the next employee or resource is claimed.
pub(super) fn next_number(view: &dyn Read, tenant: TenantNumber) -> u32 {
    let last = name::counter(view, tenant, name::Counter::SalonNumbers, 0);
    SALON_NUMBER_MIN + u32::try_from(last).expect("fewer than 2^31 numbers are given")
}
