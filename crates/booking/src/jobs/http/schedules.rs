//! `/v1/tenants/{tenant}/schedules…`, and what the server's own schedules share with them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_core::{Class, Rejection, TenantNumber};
use maitred_web::{AtLeast, Attempt, ETag, JsonBody, Page, Path, Preconditions, Problem, Query, Reply};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PageQuery, ScheduleBody, schedule_command, text};
use crate::app::{App, Scope, version_wanted};
use crate::jobs::command::{Command, NewJob, ScheduleDetails, SchedulePatch, validate_schedule};
use crate::jobs::fact::{Schedule, Timing};
use crate::jobs::view;
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::record::Kind;
use crate::violation::refuse_any;

/// A schedule to be made: either `every_seconds`, or `cron` and `time_zone`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What is to be done: of a tenant `export`, of the server `scrub`.
    #[schema(min_length = 1, max_length = 64, example = "export")]
    kind: String,
    /// What that needs to know, as one JSON object; its text has at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    input: Option<Box<RawValue>>,
    /// Every so many seconds, from now.
    #[schema(minimum = 10, maximum = 31_622_400)]
    #[serde(default)]
    every_seconds: Option<u32>,
    /// Minute, hour, day of the month, month, day of the week, by the clocks of `time_zone`.
    #[schema(min_length = 9, max_length = 200, example = "30 3 * * *")]
    #[serde(default)]
    cron: Option<String>,
    /// An IANA time zone; `UTC` without it.
    #[schema(max_length = 64, example = "Europe/Berlin")]
    #[serde(default)]
    time_zone: Option<String>,
    /// Whether it queues anything.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

fn yes() -> bool {
    true
}

/// New values of a schedule's fields; what is absent stays. Its next instant is counted anew where `every_seconds`,
/// `cron`, `time_zone` or `active` change something.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SchedulePatch)]
pub struct SchedulePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// What the job needs to know; null: nothing.
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "given")]
    input: Option<Option<Box<RawValue>>>,
    /// Every so many seconds, instead of what there was.
    #[schema(value_type = u32, required = false, minimum = 10, maximum = 31_622_400)]
    #[serde(default, deserialize_with = "given")]
    every_seconds: Option<u32>,
    /// Five fields, instead of what there was; with a `time_zone`, or in `UTC`.
    #[schema(value_type = String, required = false, min_length = 9, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    cron: Option<String>,
    /// The zone of `cron`.
    #[schema(value_type = String, required = false, max_length = 64)]
    #[serde(default, deserialize_with = "given")]
    time_zone: Option<String>,
    /// Whether it queues anything.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

/// When: one of the two ways, or none.
fn timing(
    every_seconds: Option<u32>,
    cron: Option<String>,
    time_zone: Option<String>,
) -> Result<Option<Timing>, Problem> {
    match (every_seconds, cron, time_zone) {
        (None, None, None) => Ok(None),
        (Some(seconds), None, None) => Ok(Some(Timing::Every { seconds })),
        (None, Some(expression), zone) => {
            let time_zone = zone.unwrap_or_else(|| "UTC".to_owned());
            Ok(Some(Timing::Cron { expression, time_zone }))
        }
        (Some(_), ..) => {
            Err(Problem::field_refused("/every_seconds", "stands alone, without cron and time_zone"))
        }
        (None, None, Some(_)) => Err(Problem::field_refused("/time_zone", "stands with cron")),
    }
}

impl ScheduleInput {
    pub(super) fn command(self, tenant: TenantNumber) -> Result<Command, Problem> {
        let ScheduleInput { name, kind, input, every_seconds, cron, time_zone, active } = self;
        let timing = timing(every_seconds, cron, time_zone)?
            .ok_or_else(|| Problem::field_refused("/every_seconds", "required, unless there is a cron"))?;
        let job = NewJob { kind, input: input.map(text) };
        let details = ScheduleDetails { name, job, timing, active };
        refuse_any(&validate_schedule(&details, tenant == TenantNumber::SYSTEM))?;
        Ok(Command::CreateSchedule(details))
    }
}

impl SchedulePatchInput {
    pub(super) fn patch(self) -> Result<Box<SchedulePatch>, Problem> {
        let SchedulePatchInput { name, input, every_seconds, cron, time_zone, active } = self;
        let timing = timing(every_seconds, cron, time_zone)?;
        let input = input.map(|input| input.map(text));
        Ok(Box::new(SchedulePatch { name, input, timing, active }))
    }
}

/// Make a schedule: it queues a job whenever it is due, once, however many of its instants the server was away for, and
/// none while the job before is open.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/schedules",
    tag = "jobs",
    operation_id = "schedules_create",
    params(TenantPath, IdempotencyHeader),
    request_body = ScheduleInput,
    responses(
        (status = 201, description = "It is there", body = ScheduleBody),
        (status = 429, description = "There are 100 schedules already"),
    )
)]
pub async fn create(
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
    path = "/v1/tenants/{tenant}/schedules",
    tag = "jobs",
    operation_id = "schedules_list",
    params(TenantPath, PageQuery, PositionHeader),
    responses((status = 200, description = "A page of schedules", body = Page<ScheduleBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<PageQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    page(&app, &scope, query, at_least).await
}

/// One schedule.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/schedules/{id}",
    tag = "jobs",
    operation_id = "schedules_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The schedule's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The schedule", body = ScheduleBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    get_one(id, &one)
}

/// Change a schedule: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/schedules/{id}",
    tag = "jobs",
    operation_id = "schedules_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The schedule's id"), IfMatchHeader, IdempotencyHeader),
    request_body = SchedulePatchInput,
    responses(
        (status = 200, description = "The schedule as it is now", body = ScheduleBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
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
    path = "/v1/tenants/{tenant}/schedules/{id}",
    tag = "jobs",
    operation_id = "schedules_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The schedule's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = ScheduleBody),
        (status = 404, description = "It is not there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = if_version(&app, &scope, &preconditions, id)?;
    schedule_command(&app, &scope, &attempt, &[], Command::DeleteSchedule { schedule: id, if_version }).await
}

pub(super) fn if_version(
    app: &App,
    scope: &Scope,
    preconditions: &Preconditions,
    id: Uuid,
) -> Result<Option<u64>, Problem> {
    version_wanted(preconditions, || {
        Some(view::schedule(&app.engine().view(), scope.tenant, id, None)?.version)
    })
}

pub(super) async fn page(
    app: &App,
    scope: &Scope,
    PageQuery { limit, cursor }: PageQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = app.cursors().of("schedules", scope.tenant);
    let after = cursor.map(|cursor| cursors.open(&cursor)).transpose()?;
    let after = after.map(|place| Uuid::from_bytes(crate::paging::place(&place)));
    let view = app.view(at_least).await?;
    let mut found = view::list::<Schedule>(&view, scope.tenant, Kind::Schedule, after, limit.get() + 1);
    let more = found.len() > limit.get();
    found.truncate(limit.get());
    let next_cursor = found.last().filter(|_| more).map(|last| cursors.seal(last.is.id.as_bytes()));
    let items: Vec<_> = found.into_iter().map(ScheduleBody::from).collect();
    Ok(Reply::ok(Page { items, next_cursor }).at(view.position()).into_response())
}

pub(super) fn get_one(id: Uuid, one: &One) -> Result<Response, Problem> {
    let absent = || Rejection::new(Class::Absent, "schedule-not-found", "There is no such schedule.");
    let found = view::schedule(&one.view, one.who.tenant, id, one.moment.as_of);
    let found = found.ok_or_else(|| Problem::from(absent()))?;
    Ok(one.reply(ETag::version(found.version), ScheduleBody::from(found)))
}
