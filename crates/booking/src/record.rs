//! Versioned records: the current version, every one before it, and the order in which they came.
//!
//! Tables:
//! - `Record/tenant/kind/id` → version 8 · seq 8 · ordinal 4 · timestamp 8 · body: the current version.
//! - `Version/tenant/kind/id/seq/ordinal` → the same for a superseded version, under the fact that wrote it.
//! - `Change/tenant/seq/ordinal` → kind 1 · change 1 · version 8 · id 16: what a fact did to which record.
//!
//! Invariants: versions count from 1 without a gap; a fact changes at most one record (its change stands
//! under the fact's place in the log); every change finds its body in `Record` or in `Version`.
//!
//! I8: nothing throws a version away, and one that is not where it must be is the loss of data
//! ([`maitred_web::data_loss`]): what was there is never answered as if it had not been.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{At, ChangeId, Key, Ordinal, Read, Seq, Table, TenantNumber, Timestamp, Write};
use maitred_web::data_loss;
use serde::{Deserialize, Serialize};

use crate::encoding;

const HEADER_BYTES: usize = 28;

/// The kinds of record. The number is part of the keys and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A tenant, by its number. Kept in the system tenant.
    Tenant = 1,
    /// An API key, by its id. Kept in the system tenant.
    ApiKey = 2,
    /// An appointment, by the hash of its external id.
    Appointment = 3,
    /// A user of a tenant, by their id.
    User = 4,
    /// A product, by its id.
    Product = 5,
    /// A flash sale, by its id.
    Sale = 6,
    /// An order, by its id.
    Order = 7,
    /// A salon's settings, by 0.
    SalonSettings = 20,
    /// An employee of a salon, by their id.
    Employee = 21,
    /// A service of a salon, by its id.
    Service = 22,
    /// A resource of a salon, by its id.
    Resource = 23,
    /// A customer of a salon, by their id.
    Customer = 24,
    /// When an employee works, by the id of the employee.
    ShiftPlan = 25,
    /// A booking of a salon, by its id.
    Booking = 26,
    /// A booking of the replaced salon system, by its id.
    LegacyBooking = 27,
    /// A series of bookings of a salon, by its id.
    Series = 28,
    /// A customer of a salon who waits for a time, by the id of the entry.
    WaitlistEntry = 29,
    /// A webhook, by its id.
    Webhook = 32,
    /// A provider of events, by the hash of its name.
    Provider = 36,
    /// An event, by its id.
    Event = 37,
    /// A job, by its id.
    Job = 40,
    /// A schedule, by its id.
    Schedule = 41,
    /// What a tenant sends by mail, by 0.
    MailSettings = 42,
}

impl Kind {
    /// The kind's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Tenant => "tenant",
            Kind::ApiKey => "api_key",
            Kind::Appointment => "appointment",
            Kind::User => "user",
            Kind::Product => "product",
            Kind::Sale => "sale",
            Kind::Order => "order",
            Kind::SalonSettings => "salon_settings",
            Kind::Employee => "employee",
            Kind::Service => "service",
            Kind::Resource => "resource",
            Kind::Customer => "customer",
            Kind::ShiftPlan => "shift_plan",
            Kind::Booking => "booking",
            Kind::LegacyBooking => "legacy_booking",
            Kind::Series => "booking_series",
            Kind::WaitlistEntry => "waitlist_entry",
            Kind::Job => "job",
            Kind::Schedule => "schedule",
            Kind::Webhook => "webhook",
            Kind::Provider => "provider",
            Kind::Event => "event",
            Kind::MailSettings => "mail_settings",
        }
    }

    /// The kinds that tenants' change feeds tell of.
    pub fn in_feeds() -> impl Iterator<Item = Self> {
        const IN_FEEDS: [Kind; 21] = [
            Kind::Appointment,
            Kind::User,
            Kind::Product,
            Kind::Sale,
            Kind::Order,
            Kind::SalonSettings,
            Kind::Employee,
            Kind::Service,
            Kind::Resource,
            Kind::Customer,
            Kind::ShiftPlan,
            Kind::Booking,
            Kind::LegacyBooking,
            Kind::Series,
            Kind::WaitlistEntry,
            Kind::Webhook,
            Kind::Provider,
            Kind::Event,
            Kind::Job,
            Kind::Schedule,
            Kind::MailSettings,
        ];
        IN_FEEDS.into_iter()
    }

    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            1 => Kind::Tenant,
            2 => Kind::ApiKey,
            3 => Kind::Appointment,
            4 => Kind::User,
            5 => Kind::Product,
            6 => Kind::Sale,
            7 => Kind::Order,
            20 => Kind::SalonSettings,
            21 => Kind::Employee,
            22 => Kind::Service,
            23 => Kind::Resource,
            24 => Kind::Customer,
            25 => Kind::ShiftPlan,
            26 => Kind::Booking,
            27 => Kind::LegacyBooking,
            28 => Kind::Series,
            29 => Kind::WaitlistEntry,
            32 => Kind::Webhook,
            36 => Kind::Provider,
            37 => Kind::Event,
            40 => Kind::Job,
            41 => Kind::Schedule,
            42 => Kind::MailSettings,
            _ => panic!("a view of this build holds no records of kind {number}"),
        }
    }
}

/// What happened to a record. The number is part of the values and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChangeType {
    /// It is new.
    Created = 1,
    /// It has another content.
    Updated = 2,
    /// It no longer claims anything, and may come back.
    Cancelled = 3,
    /// It is gone for good; its history stays.
    Deleted = 4,
}

impl ChangeType {
    /// Every type.
    pub const ALL: [ChangeType; 4] =
        [ChangeType::Created, ChangeType::Updated, ChangeType::Cancelled, ChangeType::Deleted];

    /// The change's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeType::Created => "created",
            ChangeType::Updated => "updated",
            ChangeType::Cancelled => "cancelled",
            ChangeType::Deleted => "deleted",
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => ChangeType::Created,
            2 => ChangeType::Updated,
            3 => ChangeType::Cancelled,
            4 => ChangeType::Deleted,
            _ => panic!("a view of this build holds no changes of type {number}"),
        }
    }
}

/// Further ways to find records, in the table `Index`. The number is part of the keys and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Index {
    /// First 128 bits of the secret's hash → the id of an API key. Kept in the system tenant.
    ApiKeyBySecret = 1,
    /// Number of the owner, id → nothing: the API keys of a tenant. Kept in the system tenant.
    ApiKeyByOwner = 2,
    /// Hash of an email → the id of its user.
    UserByEmail = 3,
    /// Id of a user → what is personal of them.
    UserPerson = 4,
    /// Buyer, id → nothing: the orders of a buyer.
    OrderByBuyer = 5,
    /// Sale, expiry, id → nothing: the orders that hold a piece of a sale until then.
    HoldBySale = 6,
    /// Product, id → nothing: the sales of a product that are not closed.
    OpenSaleByProduct = 7,
    /// Kind, id → nothing: the employees, services and resources of a salon that are there.
    SalonRecord = 20,
    /// Change → id: the customers of a salon, in the order in which they were noted.
    CustomerByOrder = 21,
    /// Start, id → nothing: the bookings that ever began then.
    BookingByStart = 22,
    /// Customer, start, id → nothing: a customer's.
    BookingByCustomer = 23,
    /// Number of the employee, start, id → nothing: an employee's.
    BookingByEmployee = 24,
    /// Holder, expiry, id → nothing: the holds of a customer or an address that are not settled.
    HoldByHolder = 25,
    /// Date, id → the batch that wrote the entry and the whole legacy booking, or that it has moved.
    LegacyByDate = 26,
    /// Series, start, id → nothing: the bookings of a series that ever began then.
    BookingBySeries = 27,
    /// Number → id, customer, from and to: the entries of the waitlist that are open, in order of entry.
    WaitlistOpen = 28,
    /// Not before, number of the tenant, id → nothing: the jobs that wait for a worker, of all tenants. Kept in the
    /// system tenant.
    QueuedJob = 40,
    /// Kind, id → nothing: the jobs and schedules that lists show.
    JobRecord = 41,
    /// 0 → how many jobs are open; 1, id → lease and progress of a running job; 2 → how many schedules there are.
    JobState = 42,
    /// Number of the tenant, id → how far a webhook is. Kept in the system tenant, though facts of tenants write it: one
    /// dispatcher serves them all.
    WebhookState = 32,
    /// Webhook, kind, id → what could not be delivered of a record so far.
    WebhookLane = 33,
    /// Webhook, change → a change that was never delivered.
    WebhookDead = 34,
    /// Start, event → what a search for events reads.
    EventByStart = 36,
    /// Hash of the provider's name, hash of the provider's id → an event, and what was stated of it last.
    EventByExternal = 37,
    /// Hash of the provider's name, id → a run.
    RunByProvider = 38,
    /// Number of the tenant, hash of the provider's name → how far a provider is. Kept in the system tenant.
    ProviderState = 39,
    /// Part, and what stands behind it → a mail, or what leads to one ([`crate::mail::view`]).
    Mail = 43,
}

impl Index {
    /// The start of this index's keys.
    pub fn key(self, tenant: TenantNumber) -> Key {
        Key::of(Table::Index, tenant).u8(self as u8)
    }
}

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordId {
    /// Whose.
    pub tenant: TenantNumber,
    /// Of which kind.
    pub kind: Kind,
    /// A number, an id, or the hash of an external id.
    pub id: u128,
}

/// One version of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// Its number, from 1.
    pub version: u64,
    /// The fact that wrote it.
    pub change: ChangeId,
    /// When that was decided.
    pub at: Timestamp,
    /// The body, in the form that the kind's domain gave it.
    pub body: &'a [u8],
}

impl<'a> Version<'a> {
    /// The body as the type that its domain wrote.
    ///
    /// # Panics
    /// When it is of another type: views hold only what this build wrote.
    pub fn decode<T: Deserialize<'a>>(&self) -> T {
        postcard::from_bytes(self.body).expect("a view holds what this build wrote")
    }

    pub(crate) fn read(value: &'a [u8]) -> Self {
        let (header, body) = value.split_at(HEADER_BYTES);
        let mut parts = Parts(header);
        Version { version: parts.u64(), change: parts.change(), at: parts.time(), body }
    }
}

/// The version that a new one took the place of.
#[derive(Debug)]
pub struct Superseded(Vec<u8>);

impl Superseded {
    /// What it was.
    pub fn version(&self) -> Version<'_> {
        Version::read(&self.0)
    }
}

/// A change of the stream, with the record as that change left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which record.
    pub record: RecordId,
    /// What happened to it.
    pub change_type: ChangeType,
    /// What it was then.
    pub version: Version<'a>,
}

/// The current version of a record.
pub fn current(view: &dyn Read, record: RecordId) -> Option<Version<'_>> {
    view.get(&record.key()).map(Version::read)
}

/// The version that was current after the batch `as_of`, or the current one.
pub fn as_of(view: &dyn Read, record: RecordId, as_of: Option<Seq>) -> Option<Version<'_>> {
    let current = current(view, record)?;
    match as_of {
        Some(seq) if current.change.seq > seq => {
            let (from, to) = (record.versions(), record.versions().change(behind(seq)));
            let found = view.last(&from, &to).map(|(_, value)| Version::read(value));
            let next = found.map_or(1, |found| found.version + 1);
            if next != current.version {
                // The one that came next stands behind it, unless something is missing in between.
                let first = view.first(&to, &from.end()).map(|(_, value)| Version::read(value));
                require_next(record, next, first.map_or(current.version, |first| first.version));
            }
            found
        }
        _ => Some(current),
    }
}

/// Visits the versions of a record that came after `after` (all without it) and, with `as_of`, not after
/// that batch; the oldest first.
pub fn versions(
    view: &dyn Read,
    record: RecordId,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    visit: &mut dyn FnMut(Version<'_>) -> ControlFlow<()>,
) {
    let Some(current) = current(view, record) else { return };
    let after_key = after.map(|after| record.versions().change(next(after)));
    let to = as_of.map(behind);
    let to_key = to.map_or(record.versions().end(), |to| record.versions().change(to));
    let mut broken = false;
    // Behind a certain place the first that comes may be of any number.
    let mut next = after.is_none().then_some(1);
    view.scan(&after_key.unwrap_or(record.versions()), &to_key, &mut |_, value| {
        let version = Version::read(value);
        if let Some(next) = next {
            require_next(record, next, version.version);
        }
        next = Some(version.version + 1);
        let flow = visit(version);
        broken = flow.is_break();
        flow
    });
    let wanted = after.is_none_or(|after| current.change > after) && to.is_none_or(|to| current.change < to);
    if wanted && !broken {
        if let Some(next) = next {
            require_next(record, next, current.version);
        }
        let _ = visit(current);
    }
}

/// I8: the version that comes next is there.
fn require_next(record: RecordId, expected: u64, found: u64) {
    if found != expected {
        let RecordId { tenant, kind, id } = record;
        let (tenant, kind) = (tenant.0, kind.as_str());
        data_loss(&format!(
            "version {expected} of {kind} {id:032x} of tenant {tenant} is not there, but {found} is"
        ));
    }
}

/// Visits what happened to a tenant's records after `after`, in the order of the log.
pub fn changes(
    view: &dyn Read,
    tenant: TenantNumber,
    after: ChangeId,
    visit: &mut dyn FnMut(Change<'_>) -> ControlFlow<()>,
) {
    let table = Key::of(Table::Change, tenant);
    view.scan(&table.change(next(after)), &table.end(), &mut |key, value| {
        let id = Parts::behind_tenant(key).change();
        let mut parts = Parts(value);
        let kind = Kind::from_number(parts.u8());
        let change_type = ChangeType::from_number(parts.u8());
        let number = parts.u64();
        let record = RecordId { tenant, kind, id: parts.u128() };
        let Some(version) = written_by(view, record, id) else {
            let (tenant, kind) = (tenant.0, kind.as_str());
            data_loss(&format!(
                "version {number} of {kind} {:032x} of tenant {tenant} is not there",
                record.id
            ))
        };
        assert_eq!(version.version, number, "a change names the version it wrote");
        visit(Change { record, change_type, version })
    });
}

/// Puts a new version of a record, keeps the one before it, and notes the change. Returns what was current.
pub fn put_version<T: Serialize>(
    view: &mut dyn Write,
    record: RecordId,
    change_type: ChangeType,
    at: At,
    body: &T,
) -> Option<Superseded> {
    let key = record.key();
    let superseded = view.get(&key).map(|value| Superseded(value.to_vec()));
    let before = superseded.as_ref().map(Superseded::version);
    let change = ChangeId { seq: at.seq, ordinal: at.ordinal };
    let number = before.map_or(1, |before| before.version + 1);

    let mut value = Vec::with_capacity(HEADER_BYTES + 196);
    value.extend_from_slice(&number.to_be_bytes());
    value.extend_from_slice(&change.seq.to_be_bytes());
    value.extend_from_slice(&change.ordinal.to_be_bytes());
    value.extend_from_slice(&at.timestamp.to_ordered().to_be_bytes());
    encoding::encode(body, &mut value);
    view.put(&key, &value);
    if let (Some(before), Some(superseded)) = (before, &superseded) {
        view.put(&record.versions().change(before.change), &superseded.0);
    }

    let mut entry = [0; 26];
    entry[0] = record.kind as u8;
    entry[1] = change_type as u8;
    entry[2..10].copy_from_slice(&number.to_be_bytes());
    entry[10..].copy_from_slice(&record.id.to_be_bytes());
    view.put(&Key::of(Table::Change, record.tenant).change(change), &entry);
    superseded
}

impl RecordId {
    fn key(self) -> Key {
        Key::of(Table::Record, self.tenant).u8(self.kind as u8).u128(self.id)
    }

    fn versions(self) -> Key {
        Key::of(Table::Version, self.tenant).u8(self.kind as u8).u128(self.id)
    }
}

/// The version of a record that a fact wrote.
fn written_by(view: &dyn Read, record: RecordId, change: ChangeId) -> Option<Version<'_>> {
    let current = current(view, record)?;
    if current.change == change {
        return Some(current);
    }
    view.get(&record.versions().change(change)).map(Version::read)
}

/// The first place that is behind a whole batch.
fn behind(seq: Seq) -> ChangeId {
    ChangeId { seq: seq.saturating_add(1), ordinal: 0 }
}

/// The place after another.
fn next(change: ChangeId) -> ChangeId {
    match change.ordinal {
        Ordinal::MAX => behind(change.seq),
        ordinal => ChangeId { ordinal: ordinal + 1, ..change },
    }
}

#[cfg(test)]
mod tests;
