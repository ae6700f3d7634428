//! What can be read of webhooks and their deliveries.
//!
//! Tables:
//! - the record of an endpoint: `Kind::Webhook`, by its id.
//! - `Index/_system/WebhookState/tenant/endpoint` → [`State`]: every endpoint that is not deleted, those of all tenants
//!   together, since one dispatcher serves them all.
//! - `Index/tenant/WebhookLane/endpoint/kind/record` → [`Lane`].
//! - `Index/tenant/WebhookDead/endpoint/change` → [`Dead`].

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Ordinal, Read, Seq, Table, TenantNumber, Timestamp, Undecodable, Write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{Endpoint, Lane, Place, RecordKey, Replay};
use crate::encoding;
use crate::encoding::micros;
use crate::flash_sales::Versioned;
use crate::record::{self, Change, Index, Kind, RecordId};

/// The most versions of a record that one look passes by because an endpoint does not want them.
const UNWANTED_MAX: usize = 1_000;

/// The most endpoints, deleted ones included, that a list looks at.
const VISITS_MAX: usize = 10_000;

/// What is kept of an endpoint besides its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Everything up to here is delivered, or in a lane.
    pub through: Place,
    /// The part of the feed that is being sent again.
    pub replay: Option<Replay>,
    /// Since when it fails without a success.
    #[serde(with = "micros::option")]
    pub failing_since: Option<Timestamp>,
    /// How many lanes it has.
    pub lanes: u32,
    /// How many dead letters it has.
    pub dead: u32,
    /// The last fact about its lanes or its endpoint: what was read of them before is out of date.
    pub touched: Place,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// Of which record.
    pub record: RecordKey,
    /// The change, how often it was tried, and the last attempt.
    pub lane: Lane,
}

/// An endpoint, now or after the batch `as_of`; none that is gone.
pub fn endpoint(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<Endpoint>> {
    let version = record::as_of(view, record_of(tenant, id), as_of)?;
    Some(Versioned::<Endpoint>::read(&version)).filter(|found| !found.is.deleted)
}

/// The endpoints of a tenant behind `after`, in the order of their ids, now or after the batch `as_of`; at most `limit`.
pub fn endpoints(
    view: &dyn Read,
    tenant: TenantNumber,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<Versioned<Endpoint>> {
    let mut found = Vec::new();
    let all = Key::of(Table::Record, tenant).u8(Kind::Webhook as u8);
    let from = after.map_or(all, |after| all.u128(after.as_u128().saturating_add(1)));
    let mut visited = 0;
    view.scan(&from, &all.end(), &mut |key, _| {
        let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
        found.extend(endpoint(view, tenant, id, as_of));
        visited += 1;
        let goes_on = found.len() < limit && visited < VISITS_MAX;
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// How many endpoints a tenant has.
pub fn count(view: &dyn Read, tenant: TenantNumber) -> usize {
    let mut count = 0;
    let all = Index::WebhookState.key(TenantNumber::SYSTEM).u32(tenant.0);
    view.scan(&all, &all.end(), &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

/// Every endpoint of every tenant, with what is kept of it.
pub fn states(view: &dyn Read, visit: &mut dyn FnMut(TenantNumber, Uuid, State)) {
    let all = Index::WebhookState.key(TenantNumber::SYSTEM);
    view.scan(&all, &all.end(), &mut |key, value| {
        let (tenant, id) = read_state_key(key);
        visit(tenant, id, read(value));
        ControlFlow::Continue(())
    });
}

/// What is kept of an endpoint that is not deleted.
pub fn state(view: &dyn Read, tenant: TenantNumber, endpoint: Uuid) -> Option<State> {
    view.get(&state_key(tenant, endpoint)).map(read)
}

/// The lane of a record.
pub fn lane(view: &dyn Read, tenant: TenantNumber, endpoint: Uuid, record: RecordKey) -> Option<Lane> {
    view.get(&lane_key(tenant, endpoint, record)).map(read)
}

/// The lanes of an endpoint behind `after`, in the order of their records; at most `limit`.
pub fn lanes(
    view: &dyn Read,
    tenant: TenantNumber,
    endpoint: Uuid,
    after: Option<RecordKey>,
    limit: usize,
) -> Vec<(RecordKey, Lane)> {
    let all = lanes_of(tenant, endpoint);
    let mut found = Vec::new();
    view.scan(&all, &all.end(), &mut |key, value| {
        let mut parts = Parts(&key[key.len() - 17..]);
        let record = RecordKey { kind: parts.u8(), id: parts.u128() };
        if after.is_none_or(|after| record > after) {
            found.push((record, read(value)));
        }
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// The dead letters of an endpoint behind `after`, in the order of their changes; at most `limit`.
pub fn dead_letters(
    view: &dyn Read,
    tenant: TenantNumber,
    endpoint: Uuid,
    after: Option<ChangeId>,
    limit: usize,
) -> Vec<Dead> {
    let all = dead_of(tenant, endpoint);
    let from = after.map_or(all, |after| all.change(behind(after)));
    let mut found = Vec::new();
    view.scan(&from, &all.end(), &mut |_, value| {
        found.push(read(value));
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// A change of a tenant's feed, by its place.
pub fn with_change<T>(
    view: &dyn Read,
    tenant: TenantNumber,
    place: ChangeId,
    look: impl FnOnce(&Change<'_>) -> T,
) -> Option<T> {
    let (mut look, mut found) = (Some(look), None);
    record::changes(view, tenant, before(place), &mut |change| {
        if change.version.change == place {
            found = look.take().map(|look| look(&change));
        }
        ControlFlow::Break(())
    });
    found
}

/// The first change of a record behind `after` and not behind `through` that an endpoint wants.
pub fn next_wanted(
    view: &dyn Read,
    endpoint: &Endpoint,
    (tenant, record): (TenantNumber, RecordKey),
    after: ChangeId,
    through: ChangeId,
) -> Option<Place> {
    let kind = Kind::from_number(record.kind);
    let id = RecordId { tenant, kind, id: record.id };
    let (mut found, mut passed) = (None, 0);
    record::versions(view, id, Some(after), None, &mut |version| {
        let place = version.change;
        if place > through {
            return ControlFlow::Break(());
        }
        let wants = |change: &Change<'_>| endpoint.wants(kind.as_str(), change.change_type.as_str());
        passed += 1;
        // One that is not wanted is passed by when its turn comes; to look for the next one without end is too much.
        if passed > UNWANTED_MAX || with_change(view, tenant, place, wants).unwrap_or(false) {
            found = Some(place.into());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found
}

/// The record of a change.
pub fn record_key(record: RecordId) -> RecordKey {
    RecordKey { kind: record.kind as u8, id: record.id }
}

pub(super) fn record_of(tenant: TenantNumber, endpoint: Uuid) -> RecordId {
    RecordId { tenant, kind: Kind::Webhook, id: endpoint.as_u128() }
}

pub(super) fn put_state(view: &mut dyn Write, tenant: TenantNumber, endpoint: Uuid, state: &State) {
    put(view, &state_key(tenant, endpoint), state);
}

pub(super) fn delete_state(view: &mut dyn Write, tenant: TenantNumber, endpoint: Uuid) {
    view.delete(&state_key(tenant, endpoint));
    for table in [lanes_of(tenant, endpoint), dead_of(tenant, endpoint)] {
        let mut keys = Vec::new();
        view.scan(&table, &table.end(), &mut |key, _| {
            keys.push(Key::from_bytes(key));
            ControlFlow::Continue(())
        });
        for key in keys {
            view.delete(&key);
        }
    }
}

/// Puts the lane of a record in place of the one that is there, and returns by how much their number has grown.
pub(super) fn put_lane(
    view: &mut dyn Write,
    (tenant, endpoint, record): (TenantNumber, Uuid, RecordKey),
    lane: Option<&Lane>,
) -> i32 {
    let key = lane_key(tenant, endpoint, record);
    let was = i32::from(view.get(&key).is_some());
    match lane {
        Some(lane) => put(view, &key, lane),
        None if was == 1 => view.delete(&key),
        None => {}
    }
    i32::from(lane.is_some()) - was
}

/// Puts a dead letter, or takes it away, and returns by how much their number has grown.
pub(super) fn put_dead(
    view: &mut dyn Write,
    (tenant, endpoint, change): (TenantNumber, Uuid, Place),
    dead: Option<&Dead>,
) -> i32 {
    let key = dead_of(tenant, endpoint).change(change.into());
    let was = i32::from(view.get(&key).is_some());
    match dead {
        Some(dead) => put(view, &key, dead),
        None if was == 1 => view.delete(&key),
        None => {}
    }
    i32::from(dead.is_some()) - was
}

fn put<T: Serialize>(view: &mut dyn Write, key: &Key, value: &T) {
    let mut bytes = Vec::new();
    encoding::encode(value, &mut bytes);
    view.put(key, &bytes);
}

fn read<T: DeserializeOwned>(value: &[u8]) -> T {
    let undecodable = || Undecodable { what: "what is kept of a webhook".into() };
    encoding::decode(value, undecodable).expect("a view holds what this build wrote")
}

fn state_key(tenant: TenantNumber, endpoint: Uuid) -> Key {
    Index::WebhookState.key(TenantNumber::SYSTEM).u32(tenant.0).u128(endpoint.as_u128())
}

fn read_state_key(key: &[u8]) -> (TenantNumber, Uuid) {
    let mut parts = Parts(&key[key.len() - 20..]);
    (TenantNumber(parts.u32()), Uuid::from_u128(parts.u128()))
}

fn lanes_of(tenant: TenantNumber, endpoint: Uuid) -> Key {
    Index::WebhookLane.key(tenant).u128(endpoint.as_u128())
}

fn lane_key(tenant: TenantNumber, endpoint: Uuid, record: RecordKey) -> Key {
    lanes_of(tenant, endpoint).u8(record.kind).u128(record.id)
}

fn dead_of(tenant: TenantNumber, endpoint: Uuid) -> Key {
    Index::WebhookDead.key(tenant).u128(endpoint.as_u128())
}

/// The place before another one.
fn before(place: ChangeId) -> ChangeId {
    match place.ordinal {
        0 => ChangeId { seq: place.seq.saturating_sub(1), ordinal: Ordinal::MAX },
        ordinal => ChangeId { ordinal: ordinal - 1, ..place },
    }
}

/// The place behind another one.
fn behind(place: ChangeId) -> ChangeId {
    match place.ordinal {
        Ordinal::MAX => ChangeId { seq: place.seq.saturating_add(1), ordinal: 0 },
        ordinal => ChangeId { ordinal: ordinal + 1, ..place },
    }
}
