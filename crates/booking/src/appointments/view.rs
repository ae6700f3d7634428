//! What can be read of appointments.
//!
//! `get` and `versions` know cancelled appointments; `list` and `scan` answer what claims time, now or as
//! of a batch, so a cancelled one is in none of them. Lists are ordered by resource (in the order in which
//! they were first named), then start.

use std::ops::ControlFlow;

use maitred_core::{ChangeId, Read, Rejection, Seq, TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::State;
use crate::encoding::micros;
use crate::name::{self, NameKind};
use crate::record::{self, Kind, RecordId, Version};
use crate::slot::{self, Interval, ResourceNumber};

/// The most claims that are looked up between two looks at the resource's entries.
const CHUNK: usize = 128;

/// One version of an appointment, as clients see it. `Text` is borrowed where it is only copied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment<Text = String> {
    /// Our id; the same in every version.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The owner's id.
    pub external_id: Text,
    /// From 1.
    pub version: u64,
    /// When this version was decided here.
    #[serde(with = "micros")]
    pub received_at: Timestamp,
    /// When the owner changed it.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// Whether it claims no time any more.
    pub cancelled: bool,
    /// On what. This and what follows is `None` for a tombstone: an id of which nothing is known but that
    /// it was cancelled.
    pub resource: Option<Text>,
    /// The first instant.
    #[serde(with = "micros::option")]
    pub starts_at: Option<Timestamp>,
    /// The first instant behind it.
    #[serde(with = "micros::option")]
    pub ends_at: Option<Timestamp>,
    /// When the owner created it.
    #[serde(with = "micros::option")]
    pub created_at: Option<Timestamp>,
    /// A title, if it has one.
    pub title: Option<Text>,
    /// The text of a JSON object, if it has one.
    pub metadata: Option<Text>,
}

/// A version of an appointment and the fact that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Where it stands in the log.
    pub change: ChangeId,
    /// What it was.
    pub appointment: Appointment,
}

/// Which appointments are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Query<'a> {
    /// Those on this resource, or on any.
    pub resource: Option<&'a str>,
    /// Those that overlap this interval ([`Interval::at`]: those that cover an instant).
    pub interval: Interval,
    /// Those that stood after this batch, with the content they had then; now without it.
    pub as_of: Option<Seq>,
}

/// Where a list goes on: behind this place. With `as_of` its pages fit together whatever is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The resource of the last one.
    pub resource: ResourceNumber,
    /// Its start.
    pub starts_at: Timestamp,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The appointments.
    pub items: Vec<Appointment>,
    /// Where to go on; `None` at the end. A page may be short of its limit and have one: a read stops after
    /// [`slot::VISITS_MAX`] entries.
    pub next: Option<Cursor>,
}

/// The appointment of an external id, cancelled or not, now or after the batch `as_of`.
pub fn get(
    view: &dyn Read,
    tenant: TenantNumber,
    external_id: &str,
    as_of: Option<Seq>,
) -> Option<Appointment> {
    let version = record::as_of(view, record_id(tenant, external_id), as_of)?;
    let appointment = from_version(view, tenant, &version);
    (appointment.external_id == external_id).then(|| appointment.to_owned())
}

/// The versions of an appointment that came behind `after`, the oldest first, at most `limit`; with
/// `as_of`, those known after that batch. The next page starts behind the last one's `change`.
pub fn versions(
    view: &dyn Read,
    tenant: TenantNumber,
    external_id: &str,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<Versioned> {
    let mut found = Vec::new();
    record::versions(view, record_id(tenant, external_id), after, as_of, &mut |version| {
        let appointment = from_version(view, tenant, &version);
        if found.len() == limit || appointment.external_id != external_id {
            return ControlFlow::Break(());
        }
        found.push(Versioned { change: version.change, appointment: appointment.to_owned() });
        ControlFlow::Continue(())
    });
    found
}

/// One page of the appointments that `query` wants, behind `after`.
pub fn list(
    view: &dyn Read,
    tenant: TenantNumber,
    query: &Query<'_>,
    after: Option<Cursor>,
    limit: usize,
) -> Page {
    let mut items = Vec::new();
    let mut last = after;
    let mut more = false;
    let next = scan(view, tenant, query, after, &mut |cursor, appointment| {
        more = items.len() == limit;
        if more {
            return ControlFlow::Break(());
        }
        items.push(appointment.to_owned());
        last = Some(cursor);
        ControlFlow::Continue(())
    });
    Page { items, next: if more { last } else { next } }
}

/// Visits the appointments that `query` wants, behind `after`, until `visit` breaks. Returns where to go on:
/// behind the last one visited, or behind what was looked at when that was [`slot::VISITS_MAX`] entries;
/// `None` when there are no more.
///
/// A caller that streams breaks when its buffer is full, lets go of the view while it writes, and comes back.
pub fn scan(
    view: &dyn Read,
    tenant: TenantNumber,
    query: &Query<'_>,
    after: Option<Cursor>,
    visit: &mut dyn FnMut(Cursor, &Appointment<&str>) -> ControlFlow<()>,
) -> Option<Cursor> {
    let past = query.as_of.is_some();
    let only = match query.resource {
        // A name whose hash another one holds has no appointments.
        Some(name) => Some(name::number(view, tenant, NameKind::Resource, name).ok().flatten()?),
        None => None,
    };
    let mut visits = 0;
    let mut resource = only.or(after.map(|after| after.resource)).unwrap_or(0);
    let mut behind = after.filter(|after| after.resource == resource).map(|after| after.starts_at);
    loop {
        if only.is_none() {
            let claimed = slot::next_resource(view, tenant, resource, past)?;
            behind = behind.filter(|_| claimed == resource);
            resource = claimed;
        }
        let standing = slot::standing(view, tenant, resource, query.interval, query.as_of, behind, CHUNK);
        let name = query.resource.unwrap_or_else(|| resource_name(view, tenant, resource));
        for claim in standing.claims.iter().filter(|claim| claim.kind == Kind::Appointment) {
            let version = record::as_of(view, claim.owner(tenant), query.as_of);
            let version = version.expect("a claim has its record");
            let appointment = Appointment::new(version.version, version.at, version.decode(), Some(name));
            let cursor = Cursor { resource, starts_at: claim.starts_at };
            if visit(cursor, &appointment).is_break() {
                return Some(cursor);
            }
        }
        if standing.through.is_none() && only.is_some() {
            return None;
        }
        // A resource that is done is left behind its last instant.
        let through = standing.through.unwrap_or(Timestamp::from_micros(i64::MAX));
        visits += standing.visits;
        if visits >= slot::VISITS_MAX {
            return Some(Cursor { resource, starts_at: through });
        }
        behind = standing.through;
        if behind.is_none() {
            resource = resource.checked_add(1)?;
        }
    }
}

/// The record of an external id.
pub fn record_id(tenant: TenantNumber, external_id: &str) -> RecordId {
    RecordId { tenant, kind: Kind::Appointment, id: name::hash(external_id) }
}

/// An appointment from its record, such as one of the change stream.
pub fn from_version<'a>(
    view: &'a dyn Read,
    tenant: TenantNumber,
    version: &Version<'a>,
) -> Appointment<&'a str> {
    let state = version.decode::<State<&str>>();
    let resource = state.details.as_ref().map(|details| resource_name(view, tenant, details.resource));
    Appointment::new(version.version, version.at, state, resource)
}

pub(super) fn resource_name(view: &dyn Read, tenant: TenantNumber, resource: ResourceNumber) -> &str {
    name::text(view, tenant, NameKind::Resource, resource)
}

/// What the rules find under an external id.
pub(super) struct Found<'a> {
    pub(super) version: Version<'a>,
    pub(super) state: State<&'a str>,
}

/// The current version of an external id, whose record is `record`.
///
/// # Errors
/// `id-collision` when another external id of the same hash is there.
pub(super) fn find<'a>(
    view: &'a dyn Read,
    record: RecordId,
    external_id: &str,
) -> Result<Option<Found<'a>>, Rejection> {
    let Some(version) = record::current(view, record) else { return Ok(None) };
    let state = version.decode::<State<&str>>();
    if state.external_id != external_id {
        return Err(name::collision());
    }
    Ok(Some(Found { version, state }))
}

impl<'a> Appointment<&'a str> {
    /// An appointment from its parts; `resource` is the name of the one in `state.details`.
    pub(super) fn new(
        version: u64,
        received_at: Timestamp,
        state: State<&'a str>,
        resource: Option<&'a str>,
    ) -> Self {
        let details = state.details.as_ref();
        Appointment {
            id: state.id,
            external_id: state.external_id,
            version,
            received_at,
            updated_at: state.updated_at,
            cancelled: state.cancelled,
            resource,
            starts_at: details.map(|details| details.starts_at),
            ends_at: details.map(|details| details.ends_at),
            created_at: details.map(|details| details.created_at),
            title: details.and_then(|details| details.title),
            metadata: details.and_then(|details| details.metadata),
        }
    }

    /// The same with texts of its own.
    pub fn to_owned(&self) -> Appointment {
        Appointment {
            id: self.id,
            external_id: self.external_id.to_owned(),
            version: self.version,
            received_at: self.received_at,
            updated_at: self.updated_at,
            cancelled: self.cancelled,
            resource: self.resource.map(str::to_owned),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            created_at: self.created_at,
            title: self.title.map(str::to_owned),
            metadata: self.metadata.map(str::to_owned),
        }
    }
}
