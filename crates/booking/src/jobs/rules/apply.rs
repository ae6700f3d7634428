//! What facts about jobs and schedules do to the view.

use maitred_core::{At, TenantNumber, Timestamp, Write};
use uuid::Uuid;

use crate::jobs::fact::{Fact, Job, JobProgressed, JobState, Schedule};
use crate::jobs::view::{self, Live, later};
use crate::jobs::{HISTORY_KEPT, LEASE_SECONDS};
use crate::record::{self, ChangeType, Kind};
use crate::timer::{self, Timer, TimerKind};

pub(super) fn apply(view: &mut dyn Write, fact: &Fact, at: At) {
    match fact {
        Fact::JobQueued(job) => put_queued(view, job, at),
        Fact::JobStarted(job) | Fact::JobRequeued(job) | Fact::JobCancelAsked(job) | Fact::JobEnded(job) => {
            put_job(view, job, at);
        }
        Fact::JobProgressed(JobProgressed { id, progress, until }) => {
            set_lease(view, at.tenant, *id, Some(Live { until: *until, progress: *progress }));
        }
        Fact::JobRemoved(removed) => {
            if let Some(job) = view::job(view, at.tenant, removed.id, None) {
                remove_history(view, at.tenant, &job.is);
            }
            view::remove_listed(view, at.tenant, Kind::Job, removed.id);
        }
        Fact::ScheduleCreated(schedule) => {
            view::put_listed(view, at.tenant, Kind::Schedule, schedule.id);
            view::add_schedules(view, at.tenant, 1);
            put_schedule(view, schedule, ChangeType::Created, at);
        }
        Fact::ScheduleUpdated(schedule) | Fact::ScheduleFired(schedule) => {
            put_schedule(view, schedule, ChangeType::Updated, at);
        }
        Fact::ScheduleDeleted(schedule) => {
            view::remove_listed(view, at.tenant, Kind::Schedule, schedule.id);
            view::add_schedules(view, at.tenant, -1);
            put_schedule(view, schedule, ChangeType::Deleted, at);
        }
    }
}

/// What a fact does that says that a job is queued: one of this domain, or of another whose rules have called
/// [`super::enqueue`].
pub fn put_queued(view: &mut dyn Write, job: &Job, at: At) {
    put_job(view, job, at);
}

/// Puts a version of a job, and what follows from its state.
fn put_job(view: &mut dyn Write, job: &Job, at: At) {
    let (tenant, id) = (at.tenant, job.id);
    let change = match job.state {
        JobState::Cancelled => ChangeType::Cancelled,
        _ => ChangeType::Updated,
    };
    let before = view::job(view, tenant, id, None).map(|before| before.is);
    let change = if before.is_none() { ChangeType::Created } else { change };
    let was_open = before.as_ref().is_some_and(|before| before.state.is_open());
    match &before {
        Some(before) if before.state == JobState::Queued => view::remove_queued(view, tenant, before),
        Some(before) if !before.state.is_open() => remove_history(view, tenant, before),
        _ => {}
    }
    record::put_version(view, view::record_id(tenant, Kind::Job, id), change, at, job);
    match job.state {
        JobState::Queued => {
            set_lease(view, tenant, id, None);
            view::put_queued(view, tenant, job);
            view::put_listed(view, tenant, Kind::Job, id);
        }
        // That somebody asks for its end says nothing of its worker.
        JobState::Running if before.is_some_and(|before| before.state == JobState::Running) => {}
        JobState::Running => {
            let until = later(at.timestamp, LEASE_SECONDS);
            set_lease(view, tenant, id, Some(Live { until, progress: 0 }));
        }
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => {
            set_lease(view, tenant, id, None);
            if let Some(timer) = history(tenant, job) {
                timer::put(view, &timer);
            }
        }
    }
    match (was_open, job.state.is_open()) {
        (false, true) => view::add_open(view, tenant, 1),
        (true, false) => view::add_open(view, tenant, -1),
        _ => {}
    }
}

/// Sets or ends the lease of a job, and its timer.
fn set_lease(view: &mut dyn Write, tenant: TenantNumber, id: Uuid, live: Option<Live>) {
    if let Some(before) = view::live(view, tenant, id) {
        timer::remove(view, &timer_of(TimerKind::Job, tenant, id, before.until));
        view::remove_live(view, tenant, id);
    }
    if let Some(live) = live {
        view::put_live(view, tenant, id, live);
        timer::put(view, &timer_of(TimerKind::Job, tenant, id, live.until));
    }
}

/// When a job that has ended leaves the lists.
fn history(tenant: TenantNumber, job: &Job) -> Option<Timer> {
    let leaves_at = later(job.ended_at?, HISTORY_KEPT);
    Some(timer_of(TimerKind::Job, tenant, job.id, leaves_at))
}

fn remove_history(view: &mut dyn Write, tenant: TenantNumber, job: &Job) {
    if let Some(timer) = history(tenant, job) {
        timer::remove(view, &timer);
    }
}

fn put_schedule(view: &mut dyn Write, schedule: &Schedule, change: ChangeType, at: At) {
    let (tenant, id) = (at.tenant, schedule.id);
    if let Some(due) = view::schedule(view, tenant, id, None).and_then(|before| before.is.next) {
        timer::remove(view, &timer_of(TimerKind::Schedule, tenant, id, due));
    }
    record::put_version(view, view::record_id(tenant, Kind::Schedule, id), change, at, schedule);
    if let Some(due) = schedule.next {
        timer::put(view, &timer_of(TimerKind::Schedule, tenant, id, due));
    }
}

fn timer_of(kind: TimerKind, tenant: TenantNumber, id: Uuid, due: Timestamp) -> Timer {
    Timer { due, kind, tenant, id }
}
