//! What queues jobs by itself.

use maitred_core::{Class, Context, Decision, Read, Rejection, Seq, TenantNumber};
use uuid::Uuid;

use super::jobs::enqueue;
use super::{Decided, Effect, Outcome, absent, attended};
use crate::flash_sales::Versioned;
use crate::jobs::command::{NewJob, ScheduleDetails, SchedulePatch, validate_schedule};
use crate::jobs::fact::{Fact, Job, Schedule};
use crate::jobs::{SCHEDULES_MAX, cron, view};
use crate::tenants;
use crate::violation::refuse_any;

pub(super) fn create(view: &dyn Read, details: &ScheduleDetails, cx: &Context) -> Decided {
    refuse_any(&validate_schedule(details, cx.tenant == TenantNumber::SYSTEM))?;
    if view::schedules(view, cx.tenant) >= SCHEDULES_MAX {
        let detail = format!("There are {SCHEDULES_MAX} schedules already.");
        return Err(Rejection::new(Class::TooMany, "too-many-schedules", detail));
    }
    let ScheduleDetails { name, job, timing, active } = details.clone();
    let schedule = Schedule {
        id: cx.ids.next(),
        name,
        kind: job.kind,
        input: job.input,
        timing,
        active,
        next: None,
        fired_at: None,
        last_job: None,
        skipped: 0,
        deleted: false,
        created_at: cx.timestamp,
    };
    changed(Effect::Created, 1, due(schedule, cx), cx, Fact::ScheduleCreated)
}

fn find(
    view: &dyn Read,
    (id, if_version): (Uuid, Option<u64>),
    cx: &Context,
) -> Result<Versioned<Schedule>, Rejection> {
    let found = view::schedule(view, cx.tenant, id, None);
    let found = found.ok_or_else(|| absent("schedule", "schedule-not-found"))?;
    if if_version.is_some_and(|wanted| wanted != found.version) {
        let detail = format!("The schedule is at version {}.", found.version);
        return Err(Rejection::new(Class::Precondition, "version-mismatch", detail));
    }
    Ok(found)
}

pub(super) fn update(
    view: &dyn Read,
    which: (Uuid, Option<u64>),
    patch: &SchedulePatch,
    cx: &Context,
) -> Decided {
    let found = find(view, which, cx)?;
    let SchedulePatch { name, input, timing, active } = patch.clone();
    let before = found.is.clone();
    let is = Schedule {
        name: name.unwrap_or(before.name),
        input: input.unwrap_or(before.input),
        timing: timing.unwrap_or(before.timing),
        active: active.unwrap_or(before.active),
        ..before
    };
    let details = ScheduleDetails {
        name: is.name.clone(),
        job: NewJob { kind: is.kind.clone(), input: is.input.clone() },
        timing: is.timing.clone(),
        active: is.active,
    };
    refuse_any(&validate_schedule(&details, cx.tenant == TenantNumber::SYSTEM))?;
    if is == found.is {
        let outcome = Outcome::Schedule(Effect::Unchanged, Box::new(found));
        return Ok(Decision { facts: vec![], outcome });
    }
    // What was due and is not done yet is not forgotten because of another name.
    let moves = is.timing != found.is.timing || is.active != found.is.active;
    let is = if moves { due(is, cx) } else { is };
    changed(Effect::Updated, found.version + 1, is, cx, Fact::ScheduleUpdated)
}

pub(super) fn delete(view: &dyn Read, which: (Uuid, Option<u64>), cx: &Context) -> Decided {
    let found = find(view, which, cx)?;
    let is = Schedule { deleted: true, active: false, next: None, ..found.is };
    changed(Effect::Deleted, found.version + 1, is, cx, Fact::ScheduleDeleted)
}

/// A schedule that is due queues one job, and has its next instant behind now, however many have passed.
pub(super) fn fire(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = view::schedule(view, cx.tenant, id, None);
    let Some(is) = found.map(|found| found.is).filter(|is| is.next.is_some_and(|next| next <= cx.timestamp))
    else {
        return attended(vec![]);
    };
    let tenant = tenants::view::profile_as_of(view, cx.tenant, Seq::MAX);
    if tenant.is_some_and(|tenant| tenant.closed) {
        // Nobody is there any more who could end it.
        return attended(vec![Fact::ScheduleFired(Schedule { active: false, next: None, ..is })]);
    }
    let before = is.last_job.and_then(|job| view::job(view, cx.tenant, job, None));
    let busy = before.is_some_and(|job| job.is.state.is_open());
    let new = NewJob { kind: is.kind.clone(), input: is.input.clone() };
    // A job that cannot be queued now (too many are open) is one that is skipped: the next instant is tried again.
    let job = if busy { None } else { enqueue(view, &new, cx).ok() };
    let is = due(is, cx);
    Ok(match job {
        None => {
            let skipped = is.skipped.saturating_add(1);
            attended(vec![Fact::ScheduleFired(Schedule { skipped, ..is })])?
        }
        Some(job) => {
            let job = Job { schedule: Some(id), ..job };
            let fired = Schedule { fired_at: Some(cx.timestamp), last_job: Some(job.id), ..is };
            attended(vec![Fact::JobQueued(job), Fact::ScheduleFired(fired)])?
        }
    })
}

/// A schedule with its next instant.
fn due(is: Schedule, cx: &Context) -> Schedule {
    let next = is.active.then(|| cron::next_after(&is.timing, is.created_at, cx.timestamp)).flatten();
    Schedule { next, ..is }
}

fn changed(effect: Effect, version: u64, is: Schedule, cx: &Context, fact: fn(Schedule) -> Fact) -> Decided {
    let outcome = Versioned { version, updated_at: cx.timestamp, is: is.clone() };
    Ok(Decision { facts: vec![fact(is)], outcome: Outcome::Schedule(effect, Box::new(outcome)) })
}
