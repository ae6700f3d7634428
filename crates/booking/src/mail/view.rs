//! What can be read of mail.
//!
//! Tables:
//! - the record of a tenant's settings: `Kind::MailSettings`, by 0.
//! - `Index/tenant/Mail/1/queued` → [`Mail`], under the fact that queued it.
//! - `Index/tenant/Mail/2/source/kind` → the same place: what a fact was told by.
//! - `Index/tenant/Mail/3/record/queued` → nothing: the mails about a record that wait, in order.
//! - `Index/_system/Mail/4/tenant/next/queued` → nothing: those that wait and are the first of their record, of all tenants,
//!   by when they are tried. Facts of tenants write it, as the next one: one dispatcher serves them all.
//! - `Index/_system/Mail/5/tenant` → [`Counts`]: the tenants that ever had settings.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, TenantNumber, Timestamp, Undecodable, Write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{Mail, MailKind, MailState, Place, Settings};
use crate::encoding;
use crate::flash_sales::Versioned;
use crate::record::{self, Index, Kind, RecordId};

/// Among how many of the oldest mails one is looked for that can be forgotten.
const FORGET_LOOK_MAX: u32 = 64;

/// The parts of the index. The number is part of the keys and never used again.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Part {
    Mail = 1,
    BySource = 2,
    Line = 3,
    Outbox = 4,
    Tenant = 5,
}

impl Part {
    fn key(self, tenant: TenantNumber) -> Key {
        Index::Mail.key(tenant).u8(self as u8)
    }
}

/// How many mails of a tenant there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// That wait.
    pub waiting: u32,
    /// That are remembered, those that wait included.
    pub kept: u32,
}

/// A mail that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// Whose it is.
    pub tenant: TenantNumber,
    /// When it is tried.
    pub next_at: Timestamp,
    /// The fact that queued it.
    pub mail: Place,
}

/// A tenant's settings, now or after the batch `as_of`; version 0 while nobody has changed them.
pub fn settings(view: &dyn Read, tenant: TenantNumber, as_of: Option<Seq>) -> Versioned<Settings> {
    let found = record::as_of(view, settings_record(tenant), as_of).map(|version| Versioned::read(&version));
    found.unwrap_or(Versioned { version: 0, updated_at: Timestamp::default(), is: Settings::default() })
}

/// A mail, by the fact that queued it.
pub fn mail(view: &dyn Read, tenant: TenantNumber, place: Place) -> Option<Mail> {
    view.get(&mails(tenant).change(place.into())).map(read)
}

/// The mail that tells of a fact.
pub fn by_source(view: &dyn Read, tenant: TenantNumber, kind: MailKind, source: Place) -> Option<Place> {
    view.get(&source_key(tenant, kind, source)).map(read)
}

/// The mails of a tenant that were queued before `before`, the newest first; at most `limit`, out of at most `looks`.
/// Returns where the look ended, if there is more.
pub fn newest(
    view: &dyn Read,
    tenant: TenantNumber,
    before: Option<Place>,
    (limit, looks): (usize, usize),
    wants: impl Fn(&Mail) -> bool,
) -> (Vec<(Place, Mail)>, Option<Place>) {
    let all = mails(tenant);
    let to = before.map_or(all.end(), |before| all.change(before.into()));
    let (mut found, mut looked, mut last, mut more) = (Vec::new(), 0, None, false);
    view.scan_back(&all, &to, &mut |key, value| {
        if found.len() == limit || looked == looks {
            more = true;
            return ControlFlow::Break(());
        }
        looked += 1;
        let place = read_place(key);
        let mail: Mail = read(value);
        last = Some(place);
        if wants(&mail) {
            found.push((place, mail));
        }
        ControlFlow::Continue(())
    });
    (found, last.filter(|_| more))
}

/// The first mail about a record that waits: those behind it wait for it.
pub fn first_in_line(view: &dyn Read, tenant: TenantNumber, record: Uuid) -> Option<Place> {
    let line = Part::Line.key(tenant).u128(record.as_u128());
    view.first(&line, &line.end()).map(|(key, _)| read_place(key))
}

/// The mails of a tenant that are due, the longest due first; at most `limit`. Of those about one record the first alone
/// can be: the others are due once it is gone.
pub fn due(view: &dyn Read, tenant: TenantNumber, now: Timestamp, limit: usize) -> Vec<Waiting> {
    let all = outbox_of(tenant);
    let behind = Timestamp::from_micros(now.as_micros().saturating_add(1));
    let mut found = Vec::new();
    view.scan(&all, &all.time(behind), &mut |key, _| {
        found.push(read_waiting(key));
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// The first mail that waits, of the first tenant that is not before `tenant` and has one.
pub fn first_waiting(view: &dyn Read, tenant: TenantNumber) -> Option<Waiting> {
    let all = Part::Outbox.key(TenantNumber::SYSTEM);
    view.first(&outbox_of(tenant), &all.end()).map(|(key, _)| read_waiting(key))
}

/// Every tenant that ever had settings of mail.
pub fn tenants(view: &dyn Read, visit: &mut dyn FnMut(TenantNumber, Counts)) {
    let all = Part::Tenant.key(TenantNumber::SYSTEM);
    view.scan(&all, &all.end(), &mut |key, value| {
        visit(TenantNumber(Parts(&key[key.len() - 4..]).u32()), read(value));
        ControlFlow::Continue(())
    });
}

/// How many mails of a tenant there are.
pub fn counts(view: &dyn Read, tenant: TenantNumber) -> Counts {
    view.get(&tenant_key(tenant)).map(read).unwrap_or_default()
}

pub(super) fn settings_record(tenant: TenantNumber) -> RecordId {
    RecordId { tenant, kind: Kind::MailSettings, id: 0 }
}

pub(super) fn put_counts(view: &mut dyn Write, tenant: TenantNumber, counts: Counts) {
    put(view, &tenant_key(tenant), &counts);
}

/// Puts a mail in the place of what was there, with its entries in the other tables. Returns what was there.
pub(super) fn put_mail(
    view: &mut dyn Write,
    tenant: TenantNumber,
    place: Place,
    mail: &Mail,
) -> Option<Mail> {
    let before = self::mail(view, tenant, place);
    let record = mail.queued.record;
    if let Some(first) = first_of_line(view, tenant, record) {
        view.delete(&outbox_key(first));
    }
    let line = Part::Line.key(tenant).u128(record.as_u128()).change(place.into());
    match mail.state {
        MailState::Waiting(_) => view.put(&line, &[]),
        _ => view.delete(&line),
    }
    put(view, &mails(tenant).change(place.into()), mail);
    if let Some(first) = first_of_line(view, tenant, record) {
        view.put(&outbox_key(first), &[]);
    }
    if before.is_none() {
        put(view, &source_key(tenant, mail.queued.kind, mail.queued.source), &place);
    }
    before
}

/// The first mail about a record that waits, and when it is tried.
fn first_of_line(view: &dyn Read, tenant: TenantNumber, record: Uuid) -> Option<Waiting> {
    let mail = first_in_line(view, tenant, record)?;
    match self::mail(view, tenant, mail)?.state {
        MailState::Waiting(next_at) => Some(Waiting { tenant, next_at, mail }),
        _ => None,
    }
}

/// Forgets the oldest mail that does not wait, if it is among the first [`FORGET_LOOK_MAX`]. True if it was.
pub(super) fn forget_oldest(view: &mut dyn Write, tenant: TenantNumber) -> bool {
    let all = mails(tenant);
    let (mut oldest, mut looked) = (None, 0);
    view.scan(&all, &all.end(), &mut |key, value| {
        let mail: Mail = read(value);
        looked += 1;
        if matches!(mail.state, MailState::Waiting(_)) && looked < FORGET_LOOK_MAX {
            return ControlFlow::Continue(());
        }
        if matches!(mail.state, MailState::Waiting(_)) {
            return ControlFlow::Break(());
        }
        oldest = Some((read_place(key), mail.queued));
        ControlFlow::Break(())
    });
    let Some((place, queued)) = oldest else { return false };
    view.delete(&all.change(place.into()));
    view.delete(&source_key(tenant, queued.kind, queued.source));
    true
}

fn put<T: Serialize>(view: &mut dyn Write, key: &Key, value: &T) {
    let mut bytes = Vec::new();
    encoding::encode(value, &mut bytes);
    view.put(key, &bytes);
}

fn read<T: DeserializeOwned>(value: &[u8]) -> T {
    let undecodable = || Undecodable { what: "what is kept of a mail".into() };
    encoding::decode(value, undecodable).expect("a view holds what this build wrote")
}

fn mails(tenant: TenantNumber) -> Key {
    Part::Mail.key(tenant)
}

fn source_key(tenant: TenantNumber, kind: MailKind, source: Place) -> Key {
    Part::BySource.key(tenant).change(source.into()).u8(kind as u8)
}

fn tenant_key(tenant: TenantNumber) -> Key {
    Part::Tenant.key(TenantNumber::SYSTEM).u32(tenant.0)
}

fn outbox_of(tenant: TenantNumber) -> Key {
    Part::Outbox.key(TenantNumber::SYSTEM).u32(tenant.0)
}

fn outbox_key(Waiting { tenant, next_at, mail }: Waiting) -> Key {
    outbox_of(tenant).time(next_at).change(mail.into())
}

fn read_waiting(key: &[u8]) -> Waiting {
    let mut parts = Parts(&key[key.len() - 24..]);
    let (tenant, next_at, mail) = (TenantNumber(parts.u32()), parts.time(), parts.change());
    Waiting { tenant, next_at, mail: mail.into() }
}

fn read_place(key: &[u8]) -> Place {
    let change: ChangeId = Parts(&key[key.len() - 12..]).change();
    change.into()
}
