//! The native API of jobs and schedules: a tenant's under `/v1/tenants/{tenant}/…`, the server's own under `/v1/…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`]. Next: [`jobs`], [`schedules`], and
//! [`server`] for the same of the server.

pub mod jobs;
pub mod schedules;
pub mod server;

use axum::response::{IntoResponse, Response};
use maitred_core::TenantNumber;
use maitred_web::{Attempt, ETag, Limit, Problem, Reply, Time};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::command::Command;
use super::fact::{Job, JobState, Schedule, Timing};
use super::rules::{Effect, Outcome};
use super::{WHOLE, view};
use crate::app::{Accepted, App, Scope, submit};
use crate::flash_sales::Versioned;
use crate::tenants;

/// Which jobs or schedules are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub enum JobStateName {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It is done.
    Succeeded,
    /// It was tried as often as it may be.
    Failed,
    /// Somebody has cancelled it.
    Cancelled,
}

impl From<JobState> for JobStateName {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued => JobStateName::Queued,
            JobState::Running => JobStateName::Running,
            JobState::Succeeded => JobStateName::Succeeded,
            JobState::Failed => JobStateName::Failed,
            JobState::Cancelled => JobStateName::Cancelled,
        }
    }
}

/// A job: long work that is done behind the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobBody {
    id: Uuid,
    /// What is to be done.
    kind: String,
    state: JobStateName,
    /// How far it is, 0 to 1. No version of the record is made for it: in the past it is that of the state.
    #[schema(minimum = 0, maximum = 1)]
    progress: f64,
    /// What it needs to know.
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    /// What it has led to.
    #[schema(value_type = Option<Object>)]
    result: Option<Box<RawValue>>,
    /// Why it has failed, the last time.
    problem: Option<JobProblem>,
    /// How often a worker has taken it up.
    attempts: u32,
    /// While it is queued: it is not taken up before then.
    not_before: Option<Time>,
    /// Whether somebody has asked for its end.
    cancel_requested: bool,
    /// The schedule that queued it.
    schedule_id: Option<Uuid>,
    created_at: Time,
    /// When it was taken up the last time.
    started_at: Option<Time>,
    ended_at: Option<Time>,
    /// From 1.
    version: u64,
    /// When this version was decided.
    updated_at: Time,
}

/// Why a job has failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobProblem {
    /// A stable code.
    code: String,
    /// A sentence for a person.
    detail: String,
}

impl JobBody {
    /// A version of a job, with the progress that its state tells.
    pub fn recorded(found: Versioned<Job>) -> Self {
        let progress = if found.is.state == JobState::Succeeded { WHOLE } else { 0 };
        JobBody::new(found, progress)
    }

    fn new(Versioned { version, updated_at, is }: Versioned<Job>, progress: u32) -> Self {
        JobBody {
            id: is.id,
            kind: is.kind,
            state: is.state.into(),
            progress: f64::from(progress) / f64::from(WHOLE),
            input: is.input.map(raw),
            result: is.result.map(raw),
            problem: is.problem.map(|problem| JobProblem { code: problem.code, detail: problem.detail }),
            attempts: is.starts,
            not_before: (is.state == JobState::Queued).then_some(Time(is.not_before)),
            cancel_requested: is.cancel_asked,
            schedule_id: is.schedule,
            created_at: Time(is.created_at),
            started_at: is.started_at.map(Time),
            ended_at: is.ended_at.map(Time),
            version,
            updated_at: Time(updated_at),
        }
    }
}

/// A schedule: what queues jobs by itself. Either `every_seconds` or `cron` and `time_zone` say when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleBody {
    id: Uuid,
    /// For people.
    name: String,
    /// What is to be done.
    kind: String,
    /// What that needs to know.
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    /// Every so many seconds, from when it was made.
    every_seconds: Option<u32>,
    /// By the clocks of `time_zone`: minute, hour, day of the month, month, day of the week.
    cron: Option<String>,
    time_zone: Option<String>,
    /// Whether it queues anything.
    active: bool,
    /// When it is due.
    next_at: Option<Time>,
    /// When it queued a job the last time.
    fired_at: Option<Time>,
    /// The job that it queued then.
    last_job_id: Option<Uuid>,
    /// How often it was due while its last job was open, and queued none.
    skipped: u64,
    /// Whether it is gone for good.
    deleted: bool,
    created_at: Time,
    /// From 1.
    version: u64,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Schedule>> for ScheduleBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Schedule>) -> Self {
        let (every_seconds, cron, time_zone) = match is.timing {
            Timing::Every { seconds } => (Some(seconds), None, None),
            Timing::Cron { expression, time_zone } => (None, Some(expression), Some(time_zone)),
        };
        ScheduleBody {
            id: is.id,
            name: is.name,
            kind: is.kind,
            input: is.input.map(raw),
            every_seconds,
            cron,
            time_zone,
            active: is.active,
            next_at: is.next.map(Time),
            fired_at: is.fired_at.map(Time),
            last_job_id: is.last_job,
            skipped: is.skipped,
            deleted: is.deleted,
            created_at: Time(is.created_at),
            version,
            updated_at: Time(updated_at),
        }
    }
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("what is stored here is JSON")
}

fn text(raw: Box<RawValue>) -> String {
    Box::<str>::from(raw).into_string()
}

/// The path below which a tenant's jobs and schedules are, or the server's.
fn root(app: &App, tenant: TenantNumber) -> String {
    if tenant == TenantNumber::SYSTEM {
        return "/v1".to_owned();
    }
    let slug = tenants::tenant(&app.engine().view(), tenant).map(|tenant| tenant.profile.slug);
    format!("/v1/tenants/{}", slug.unwrap_or_default())
}

/// The answer to a command on a job: 202 and where to look, for what is done behind it.
async fn job_command(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Response, Problem> {
    let accepted = submit(app, scope, attempt, body, command).await?;
    let Accepted { outcome: Outcome::Job(_, job), position, replayed } = accepted else {
        unreachable!("a command on a job is answered with {accepted:?}");
    };
    let location = format!("{}/jobs/{}", root(app, scope.tenant), job.is.id);
    let is_open = job.is.state.is_open();
    let progress = view::progress(&app.engine().view(), scope.tenant, &job.is);
    let etag = tag(job.version, progress);
    let body = JobBody::new(*job, progress);
    let reply = if is_open { Reply::accepted(&location, body) } else { Reply::ok(body) };
    Ok(reply.at(position).tagged(etag).replayed(replayed).into_response())
}

/// The answer to a command on a schedule.
async fn schedule_command(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Response, Problem> {
    let accepted = submit(app, scope, attempt, body, command).await?;
    let Accepted { outcome: Outcome::Schedule(effect, schedule), position, replayed } = accepted else {
        unreachable!("a command on a schedule is answered with {accepted:?}");
    };
    let etag = ETag::version(schedule.version);
    let location = format!("{}/schedules/{}", root(app, scope.tenant), schedule.is.id);
    let body = ScheduleBody::from(*schedule);
    let reply = match effect {
        Effect::Created => Reply::created(&location, body),
        _ => Reply::ok(body),
    };
    Ok(reply.at(position).tagged(etag).replayed(replayed).into_response())
}

/// The tag of a job: its progress changes what is shown, and makes no version.
fn tag(version: u64, progress: u32) -> ETag {
    ETag::live(version, u64::from(progress))
}
