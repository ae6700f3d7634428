//! `/v1/jobs…` and `/v1/schedules…`: the server's own, which are about no tenant.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use uuid::Uuid;

use super::jobs::JobInput;
use super::schedules::{ScheduleInput, SchedulePatchInput, if_version};
use super::{JobBody, PageQuery, ScheduleBody, job_command, jobs, schedule_command, schedules};
use crate::app::{App, Scope};
use crate::jobs::command::Command;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader};
use crate::reading::{One, OneQuery};

/// Queue a job of the server. `scrub` reads all older segments of the log and verifies them.
#[utoipa::path(
    post,
    path = "/v1/jobs",
    tag = "jobs",
    operation_id = "server_jobs_create",
    params(IdempotencyHeader),
    request_body = JobInput,
    responses(
        (status = 202, description = "It is queued; `Location` is where it is followed", body = JobBody),
        (status = 429, description = "There are 100 open jobs already"),
    )
)]
pub async fn create_job(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<JobInput>,
) -> Result<Response, Problem> {
    let command = value.command(scope.tenant)?;
    job_command(&app, &scope, &attempt, &bytes, command).await
}

/// The jobs, the oldest first, to the millisecond. One that has ended stays for a week.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    operation_id = "server_jobs_list",
    params(PageQuery, PositionHeader),
    responses((status = 200, description = "A page of jobs", body = Page<JobBody>))
)]
pub async fn list_job(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<PageQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    jobs::page(&app, &scope, query, at_least).await
}

/// One job, also one that has left the list.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    operation_id = "server_jobs_get",
    params(("id" = Uuid, Path, description = "The job's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The job", body = JobBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get_job(Path(id): Path<Uuid>, one: One) -> Result<Response, Problem> {
    jobs::get_one(id, &one)
}

/// Have a job cancelled: one that waits at once, one that runs when it gets to it.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/cancel",
    tag = "jobs",
    operation_id = "server_jobs_cancel",
    params(("id" = Uuid, Path, description = "The job's id"), IdempotencyHeader),
    responses(
        (status = 200, description = "It is cancelled", body = JobBody),
        (status = 202, description = "It runs, and is asked to end", body = JobBody),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It has ended already"),
    )
)]
pub async fn cancel_job(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    job_command(&app, &scope, &attempt, &[], Command::Cancel { job: id }).await
}

/// Have a job tried again that has failed or was cancelled.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/retry",
    tag = "jobs",
    operation_id = "server_jobs_retry",
    params(("id" = Uuid, Path, description = "The job's id"), IdempotencyHeader),
    responses(
        (status = 202, description = "It is queued again", body = JobBody),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It is open, or has succeeded"),
    )
)]
pub async fn retry_job(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    job_command(&app, &scope, &attempt, &[], Command::Retry { job: id }).await
}

/// Make a schedule: it queues a job whenever it is due, once, however many of its instants the server was away for, and
/// none while the job before is open.
#[utoipa::path(
    post,
    path = "/v1/schedules",
    tag = "jobs",
    operation_id = "server_schedules_create",
    params(IdempotencyHeader),
    request_body = ScheduleInput,
    responses(
        (status = 201, description = "It is there", body = ScheduleBody),
        (status = 429, description = "There are 100 schedules already"),
    )
)]
pub async fn create_schedule(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ScheduleInput>,
) -> Result<Response, Problem> {
    let command = value.command(scope.tenant)?;
    schedule_command(&app, &scope, &attempt, &bytes, command).await
}

/// The schedules, the oldest first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/schedules",
    tag = "jobs",
    operation_id = "server_schedules_list",
    params(PageQuery, PositionHeader),
    responses((status = 200, description = "A page of schedules", body = Page<ScheduleBody>))
)]
pub async fn list_schedule(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<PageQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    schedules::page(&app, &scope, query, at_least).await
}

/// One schedule.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}",
    tag = "jobs",
    operation_id = "server_schedules_get",
    params(("id" = Uuid, Path, description = "The schedule's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The schedule", body = ScheduleBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get_schedule(Path(id): Path<Uuid>, one: One) -> Result<Response, Problem> {
    schedules::get_one(id, &one)
}

/// Change a schedule: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/schedules/{id}",
    tag = "jobs",
    operation_id = "server_schedules_update",
    params(("id" = Uuid, Path, description = "The schedule's id"), IfMatchHeader, IdempotencyHeader),
    request_body = SchedulePatchInput,
    responses(
        (status = 200, description = "The schedule as it is now", body = ScheduleBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update_schedule(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<SchedulePatchInput>,
) -> Result<Response, Problem> {
    let if_version = if_version(&app, &scope, &preconditions, id)?;
    let command = Command::UpdateSchedule { schedule: id, patch: value.patch()?, if_version };
    schedule_command(&app, &scope, &attempt, &bytes, command).await
}

/// Take a schedule away for good; the jobs that it queued stay.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{id}",
    tag = "jobs",
    operation_id = "server_schedules_delete",
    params(("id" = Uuid, Path, description = "The schedule's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = ScheduleBody),
        (status = 404, description = "It is not there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete_schedule(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = if_version(&app, &scope, &preconditions, id)?;
    schedule_command(&app, &scope, &attempt, &[], Command::DeleteSchedule { schedule: id, if_version }).await
}
