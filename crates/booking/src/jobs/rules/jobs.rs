//! The life of a job.

use maitred_core::{Class, Context, Read, Rejection, TenantNumber, Timestamp};
use uuid::Uuid;

use super::{Decided, Effect, absent, attended, of_job, same_job};
use crate::flash_sales::Versioned;
use crate::jobs::command::{Finished, NewJob, validate_job};
use crate::jobs::fact::{Fact, Job, JobProgressed, JobRemoved, JobState, Trouble};
use crate::jobs::view::{self, later};
use crate::jobs::{
    DETAIL_CHARS_MAX, HISTORY_KEPT, INPUT_BYTES_MAX, LEASE_SECONDS, OPEN_JOBS_MAX, TRIES, WHOLE,
};
use crate::json::JsonObject;
use crate::violation::refuse_any;

/// The waits before another try, in seconds: each time twice as long, from the first on.
const RETRY_FIRST_SECONDS: i64 = 5;

/// A job to be queued in the batch of another command, of this domain or of any: the rules that decide that command put
/// the job into a fact of their own, and their `apply` hands it to [`super::put_queued`].
///
/// # Errors
/// Those of a job that is queued by itself.
pub fn enqueue(view: &dyn Read, new: &NewJob, cx: &Context) -> Result<Job, Rejection> {
    let mut found = Vec::new();
    validate_job(new, cx.tenant == TenantNumber::SYSTEM, &mut found);
    refuse_any(&found)?;
    if view::open_jobs(view, cx.tenant) >= OPEN_JOBS_MAX {
        let detail = format!("There are {OPEN_JOBS_MAX} open jobs already.");
        return Err(Rejection::new(Class::TooMany, "too-many-jobs", detail));
    }
    Ok(Job {
        id: cx.ids.next(),
        kind: new.kind.clone(),
        input: new.input.clone(),
        state: JobState::Queued,
        starts: 0,
        tries_left: TRIES,
        not_before: cx.timestamp,
        cancel_asked: false,
        result: None,
        problem: None,
        schedule: None,
        created_at: cx.timestamp,
        started_at: None,
        ended_at: None,
    })
}

pub(super) fn queue(view: &dyn Read, new: &NewJob, cx: &Context) -> Decided {
    of_job(Effect::Created, 1, enqueue(view, new, cx)?, cx, Fact::JobQueued)
}

fn find(view: &dyn Read, id: Uuid, cx: &Context) -> Result<Versioned<Job>, Rejection> {
    view::job(view, cx.tenant, id, None).ok_or_else(|| absent("job", "job-not-found"))
}

pub(super) fn start(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let Versioned { version, is, .. } = find(view, id, cx)?;
    if is.state != JobState::Queued || is.not_before > cx.timestamp {
        return Err(Rejection::conflict("job-not-queued", "The job does not wait for a worker now."));
    }
    let started = Job {
        state: JobState::Running,
        starts: is.starts.saturating_add(1),
        tries_left: is.tries_left.saturating_sub(1),
        started_at: Some(cx.timestamp),
        ..is
    };
    of_job(Effect::Updated, version + 1, started, cx, Fact::JobStarted)
}

/// The job that this start has.
fn held(view: &dyn Read, id: Uuid, start: u32, cx: &Context) -> Result<Versioned<Job>, Rejection> {
    let found = find(view, id, cx)?;
    if found.is.state == JobState::Running && found.is.starts == start {
        return Ok(found);
    }
    Err(Rejection::conflict("job-lease-lost", "Another start has the job, or none."))
}

pub(super) fn say(view: &dyn Read, id: Uuid, (start, progress): (u32, u32), cx: &Context) -> Decided {
    let found = held(view, id, start, cx)?;
    let was = view::live(view, cx.tenant, id).map_or(0, |live| live.progress);
    let progress = progress.min(WHOLE).max(was);
    let fact = JobProgressed { id, progress, until: later(cx.timestamp, LEASE_SECONDS) };
    let mut decision = same_job(found)?;
    decision.facts.push(Fact::JobProgressed(fact));
    Ok(decision)
}

pub(super) fn finish(view: &dyn Read, id: Uuid, (start, how): (u32, &Finished), cx: &Context) -> Decided {
    let Versioned { version, is, .. } = held(view, id, start, cx)?;
    let (job, fact): (Job, fn(Job) -> Fact) = match how {
        Finished::Succeeded(result) => {
            let fits = |text: &&String| text.len() <= INPUT_BYTES_MAX && JsonObject::parse(text).is_ok();
            let result = result.as_ref().filter(fits).cloned();
            (ended(Job { result, problem: None, ..is }, JobState::Succeeded, cx), Fact::JobEnded)
        }
        Finished::Cancelled => (ended(is, JobState::Cancelled, cx), Fact::JobEnded),
        Finished::Interrupted => {
            let tries_left = is.tries_left.saturating_add(1).min(TRIES);
            requeued(Job { tries_left, ..is }, cx.timestamp, cx)
        }
        Finished::Failed(trouble) => fail(Job { problem: Some(short(trouble)), ..is }, cx),
        Finished::FailedForGood(trouble) => {
            (ended(Job { problem: Some(short(trouble)), ..is }, JobState::Failed, cx), Fact::JobEnded)
        }
    };
    of_job(Effect::Updated, version + 1, job, cx, fact)
}

/// What becomes of a job whose try has failed: it is tried again after a while, as long as it may be.
fn fail(is: Job, cx: &Context) -> (Job, fn(Job) -> Fact) {
    if is.tries_left == 0 && !is.cancel_asked {
        return (ended(is, JobState::Failed, cx), Fact::JobEnded);
    }
    let tried = TRIES.saturating_sub(is.tries_left).clamp(1, TRIES);
    let wait = RETRY_FIRST_SECONDS << (tried - 1);
    requeued(is, later(cx.timestamp, wait), cx)
}

/// A job waits again, unless somebody has asked for its end.
fn requeued(is: Job, not_before: Timestamp, cx: &Context) -> (Job, fn(Job) -> Fact) {
    if is.cancel_asked {
        return (ended(is, JobState::Cancelled, cx), Fact::JobEnded);
    }
    (Job { state: JobState::Queued, not_before, ..is }, Fact::JobRequeued)
}

fn ended(is: Job, state: JobState, cx: &Context) -> Job {
    Job { state, ended_at: Some(cx.timestamp), ..is }
}

fn short(trouble: &Trouble) -> Trouble {
    let detail = trouble.detail.chars().take(DETAIL_CHARS_MAX).collect();
    Trouble { code: trouble.code.clone(), detail }
}

pub(super) fn cancel(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = find(view, id, cx)?;
    match found.is.state {
        JobState::Cancelled => same_job(found),
        JobState::Running if found.is.cancel_asked => same_job(found),
        JobState::Running => {
            let asked = Job { cancel_asked: true, ..found.is };
            of_job(Effect::Updated, found.version + 1, asked, cx, Fact::JobCancelAsked)
        }
        JobState::Queued => {
            let cancelled = ended(Job { cancel_asked: true, ..found.is }, JobState::Cancelled, cx);
            of_job(Effect::Updated, found.version + 1, cancelled, cx, Fact::JobEnded)
        }
        JobState::Succeeded | JobState::Failed => {
            Err(Rejection::conflict("job-ended", "The job has ended already."))
        }
    }
}

pub(super) fn retry(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let Versioned { version, is, .. } = find(view, id, cx)?;
    if !matches!(is.state, JobState::Failed | JobState::Cancelled) {
        let detail = "The job is open, or has succeeded: there is nothing to try again.";
        return Err(Rejection::conflict("job-not-ended", detail));
    }
    if view::open_jobs(view, cx.tenant) >= OPEN_JOBS_MAX {
        let detail = format!("There are {OPEN_JOBS_MAX} open jobs already.");
        return Err(Rejection::new(Class::TooMany, "too-many-jobs", detail));
    }
    let again = Job {
        state: JobState::Queued,
        tries_left: TRIES,
        not_before: cx.timestamp,
        cancel_asked: false,
        ended_at: None,
        ..is
    };
    of_job(Effect::Updated, version + 1, again, cx, Fact::JobRequeued)
}

/// A lease has run out, or a job that has ended leaves the lists. What is not due changes nothing.
pub(super) fn attend(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let Some(Versioned { is, .. }) = view::job(view, cx.tenant, id, None) else { return attended(vec![]) };
    match is.state {
        JobState::Queued => attended(vec![]),
        JobState::Running => {
            let out = view::live(view, cx.tenant, id).is_none_or(|live| live.until <= cx.timestamp);
            if !out {
                return attended(vec![]);
            }
            let trouble =
                Trouble { code: "worker-gone".into(), detail: "The job's worker was not heard of.".into() };
            let (job, fact) = fail(Job { problem: Some(trouble), ..is }, cx);
            attended(vec![fact(job)])
        }
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => {
            let leaves = is.ended_at.is_some_and(|ended| later(ended, HISTORY_KEPT) <= cx.timestamp);
            attended(leaves.then_some(Fact::JobRemoved(JobRemoved { id })).into_iter().collect())
        }
    }
}
