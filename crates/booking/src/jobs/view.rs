//! What can be read of jobs and schedules.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, TenantNumber, Timestamp, Write};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::fact::{Job, JobState, Schedule};
use super::{RESULT_KEPT, WHOLE};
use crate::flash_sales::Versioned;
use crate::record::{self, Index, Kind, RecordId};

/// So many waiting jobs are counted, and no more.
pub const WAITING_COUNTED_MAX: usize = 10_000;

/// What is known of a running job besides its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Its lease runs until then.
    pub until: Timestamp,
    /// How far it is, in millionths.
    pub progress: u32,
}

/// A job, as of a batch or now; also one that has left the lists.
pub fn job(view: &dyn Read, tenant: TenantNumber, id: Uuid, as_of: Option<Seq>) -> Option<Versioned<Job>> {
    get(view, record_id(tenant, Kind::Job, id), as_of)
}

/// A schedule, as of a batch or now; nothing where it was deleted by then.
pub fn schedule(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<Schedule>> {
    let found: Versioned<Schedule> = get(view, record_id(tenant, Kind::Schedule, id), as_of)?;
    (!found.is.deleted).then_some(found)
}

/// The versions of a record behind the one of `after`, the oldest first; at most `limit`.
pub fn versions<T: DeserializeOwned>(
    view: &dyn Read,
    record: RecordId,
    (after, as_of): (Option<ChangeId>, Option<Seq>),
    limit: usize,
) -> Vec<(ChangeId, Versioned<T>)> {
    let mut found = Vec::new();
    record::versions(view, record, after, as_of, &mut |version| {
        found.push((version.change, Versioned::read(&version)));
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// What lists show of a kind behind `after`, by id: the oldest first, to the millisecond; at most `limit`.
pub fn list<T: DeserializeOwned>(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: Kind,
    after: Option<Uuid>,
    limit: usize,
) -> Vec<Versioned<T>> {
    let table = listed(tenant, kind);
    let from = after.map_or(table, |after| match after.as_u128().checked_add(1) {
        Some(next) => table.u128(next),
        None => table.end(),
    });
    let mut found = Vec::new();
    view.scan(&from, &table.end(), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
        found.extend(get(view, record_id(tenant, kind, id), None));
        ControlFlow::Continue(())
    });
    found
}

/// The jobs that a worker may take up at `now`, and whose: those that have waited longest first; at most `limit`.
pub fn queued(view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Uuid)> {
    let table = Index::QueuedJob.key(TenantNumber::SYSTEM);
    let behind = Timestamp::from_micros(now.as_micros().saturating_add(1));
    let mut found = Vec::new();
    view.scan(&table, &table.time(behind), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let mut parts = Parts(&key[key.len() - 20..]);
        found.push((TenantNumber(parts.u32()), Uuid::from_u128(parts.u128())));
        ControlFlow::Continue(())
    });
    found
}

/// How many jobs wait for a worker at `now`, and since when the first of them; [`WAITING_COUNTED_MAX`] are counted at most.
pub fn waiting(view: &dyn Read, now: Timestamp) -> (usize, Option<Timestamp>) {
    let table = Index::QueuedJob.key(TenantNumber::SYSTEM);
    let first = view.first(&table, &table.end()).map(|(key, _)| Parts(&key[key.len() - 28..]).time());
    (queued(view, now, WAITING_COUNTED_MAX).len(), first.filter(|first| *first <= now))
}

/// The lease and the progress of a running job.
pub fn live(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<Live> {
    view.get(&live_key(tenant, id)).map(|value| {
        let mut parts = Parts(value);
        Live { until: parts.time(), progress: parts.u32() }
    })
}

/// How far a job is, in millionths.
pub fn progress(view: &dyn Read, tenant: TenantNumber, is: &Job) -> u32 {
    match is.state {
        JobState::Succeeded => WHOLE,
        JobState::Running => live(view, tenant, is.id).map_or(0, |live| live.progress),
        JobState::Queued | JobState::Failed | JobState::Cancelled => 0,
    }
}

/// How many jobs of a tenant are open.
pub fn open_jobs(view: &dyn Read, tenant: TenantNumber) -> u64 {
    count(view, tenant, 0)
}

/// How many schedules a tenant has.
pub fn schedules(view: &dyn Read, tenant: TenantNumber) -> u64 {
    count(view, tenant, 2)
}

/// Until when the file that a job has made is kept; nothing of one that has not succeeded.
pub fn result_kept_until(is: &Job) -> Option<Timestamp> {
    let ended = is.ended_at.filter(|_| is.state == JobState::Succeeded)?;
    Some(later(ended, RESULT_KEPT))
}

/// The instant that is so many seconds later.
pub(super) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(seconds.saturating_mul(1_000_000)))
}

/// Which record.
pub fn record_id(tenant: TenantNumber, kind: Kind, id: Uuid) -> RecordId {
    RecordId { tenant, kind, id: id.as_u128() }
}

fn get<T: DeserializeOwned>(view: &dyn Read, record: RecordId, as_of: Option<Seq>) -> Option<Versioned<T>> {
    record::as_of(view, record, as_of).map(|version| Versioned::read(&version))
}

// ---- what `apply` writes --------------------------------------------------------------------------------

pub(super) fn put_listed(view: &mut dyn Write, tenant: TenantNumber, kind: Kind, id: Uuid) {
    view.put(&listed(tenant, kind).u128(id.as_u128()), &[]);
}

pub(super) fn remove_listed(view: &mut dyn Write, tenant: TenantNumber, kind: Kind, id: Uuid) {
    view.delete(&listed(tenant, kind).u128(id.as_u128()));
}

pub(super) fn put_queued(view: &mut dyn Write, tenant: TenantNumber, is: &Job) {
    view.put(&queued_key(tenant, is), &[]);
}

pub(super) fn remove_queued(view: &mut dyn Write, tenant: TenantNumber, is: &Job) {
    view.delete(&queued_key(tenant, is));
}

pub(super) fn put_live(view: &mut dyn Write, tenant: TenantNumber, id: Uuid, live: Live) {
    let mut value = live.until.to_ordered().to_be_bytes().to_vec();
    value.extend_from_slice(&live.progress.to_be_bytes());
    view.put(&live_key(tenant, id), &value);
}

pub(super) fn remove_live(view: &mut dyn Write, tenant: TenantNumber, id: Uuid) {
    view.delete(&live_key(tenant, id));
}

pub(super) fn add_open(view: &mut dyn Write, tenant: TenantNumber, more: i64) {
    add(view, tenant, 0, more);
}

pub(super) fn add_schedules(view: &mut dyn Write, tenant: TenantNumber, more: i64) {
    add(view, tenant, 2, more);
}

fn count(view: &dyn Read, tenant: TenantNumber, which: u8) -> u64 {
    view.get(&Index::JobState.key(tenant).u8(which)).map_or(0, |count| Parts(count).u64())
}

fn add(view: &mut dyn Write, tenant: TenantNumber, which: u8, more: i64) {
    let key = Index::JobState.key(tenant).u8(which);
    match count(view, tenant, which).saturating_add_signed(more) {
        0 => view.delete(&key),
        count => view.put(&key, &count.to_be_bytes()),
    }
}

fn listed(tenant: TenantNumber, kind: Kind) -> Key {
    Index::JobRecord.key(tenant).u8(kind as u8)
}

fn queued_key(tenant: TenantNumber, is: &Job) -> Key {
    let table = Index::QueuedJob.key(TenantNumber::SYSTEM);
    table.time(is.not_before).u32(tenant.0).u128(is.id.as_u128())
}

fn live_key(tenant: TenantNumber, id: Uuid) -> Key {
    Index::JobState.key(tenant).u8(1).u128(id.as_u128())
}
