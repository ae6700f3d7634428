//! `/v1/tenants/{tenant}/jobs…`, and what the server's own jobs share with them.

use std::io::{self, Read};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use maitred_core::{Class, Rejection, Seq, TenantNumber};
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Problem, Query, Reply};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{JobBody, PageQuery, job_command, tag, text};
use crate::app::{App, Scope};
use crate::flash_sales::Versioned;
use crate::jobs::command::{Command, NewJob, validate_job};
use crate::jobs::fact::Job;
use crate::jobs::view;
use crate::parameters::{IdempotencyHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::record::Kind;
use crate::violation::refuse_any;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A job to be queued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobInput {
    /// What is to be done: of a tenant `export`, of the server `scrub`.
    #[schema(min_length = 1, max_length = 64, example = "export")]
    kind: String,
    /// What it needs to know, as one JSON object; its text has at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    input: Option<Box<RawValue>>,
}

impl JobInput {
    pub(super) fn command(self, tenant: TenantNumber) -> Result<Command, Problem> {
        let job = NewJob { kind: self.kind, input: self.input.map(text) };
        let mut found = Vec::new();
        validate_job(&job, tenant == TenantNumber::SYSTEM, &mut found);
        refuse_any(&found)?;
        Ok(Command::Queue(job))
    }
}

/// Queue a job. `export` writes the tenant as lines of JSON, as it stands when the job begins, into a file that
/// `…/result` gives for a day.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/jobs",
    tag = "jobs",
    operation_id = "jobs_create",
    params(TenantPath, IdempotencyHeader),
    request_body = JobInput,
    responses(
        (status = 202, description = "It is queued; `Location` is where it is followed", body = JobBody),
        (status = 429, description = "There are 100 open jobs already"),
    )
)]
pub async fn create(
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
    path = "/v1/tenants/{tenant}/jobs",
    tag = "jobs",
    operation_id = "jobs_list",
    params(TenantPath, PageQuery, PositionHeader),
    responses((status = 200, description = "A page of jobs", body = Page<JobBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<PageQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    page(&app, &scope, query, at_least).await
}

/// One job, also one that has left the list.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/jobs/{id}",
    tag = "jobs",
    operation_id = "jobs_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The job's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The job", body = JobBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    get_one(id, &one)
}

/// Have a job cancelled: one that waits at once, one that runs when it gets to it.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/jobs/{id}/cancel",
    tag = "jobs",
    operation_id = "jobs_cancel",
    params(TenantPath, ("id" = Uuid, Path, description = "The job's id"), IdempotencyHeader),
    responses(
        (status = 200, description = "It is cancelled", body = JobBody),
        (status = 202, description = "It runs, and is asked to end", body = JobBody),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It has ended already"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    job_command(&app, &scope, &attempt, &[], Command::Cancel { job: id }).await
}

/// Have a job tried again that has failed or was cancelled.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/jobs/{id}/retry",
    tag = "jobs",
    operation_id = "jobs_retry",
    params(TenantPath, ("id" = Uuid, Path, description = "The job's id"), IdempotencyHeader),
    responses(
        (status = 202, description = "It is queued again", body = JobBody),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It is open, or has succeeded"),
    )
)]
pub async fn retry(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    job_command(&app, &scope, &attempt, &[], Command::Retry { job: id }).await
}

/// The file that a job has made. It is kept for a day from the job's end.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/jobs/{id}/result",
    tag = "jobs",
    operation_id = "jobs_result",
    params(TenantPath, ("id" = Uuid, Path, description = "The job's id"), PositionHeader),
    responses(
        (status = 200, description = "The file: of an export NDJSON", content_type = "application/x-ndjson", body = String),
        (status = 404, description = "The job is not there, has not succeeded, or its file is gone"),
    )
)]
pub async fn result(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let found = find(&view, scope.tenant, id, None)?;
    drop(view);
    let is_kept = view::result_kept_until(&found.is).is_some_and(|until| app.engine().now() < until);
    let files = app.job_files().clone();
    let opened = tokio::task::spawn_blocking(move || {
        let file = files.open(id)?;
        let length = file.metadata()?.len();
        io::Result::Ok((file, length))
    });
    let opened = if is_kept { opened.await.ok().and_then(Result::ok) } else { None };
    let Some((file, length)) = opened else {
        let detail =
            "The job has made no file, has not succeeded, or its file was kept as long as files are.";
        return Err(Rejection::new(Class::Absent, "job-result-not-found", detail).into());
    };
    let pieces = stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE_BYTES];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            io::Result::Ok((piece, file))
        });
        match read.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            Ok((piece, _)) if piece.is_empty() => None,
            Ok((piece, file)) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{id}.ndjson\""));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (CONTENT_DISPOSITION, name.map_err(|_| Problem::internal_error())?),
        (CONTENT_LENGTH, HeaderValue::from(length)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(pieces)).into_response())
}

pub(super) async fn page(
    app: &App,
    scope: &Scope,
    PageQuery { limit, cursor }: PageQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = app.cursors().of("jobs", scope.tenant);
    let after = cursor.map(|cursor| cursors.open(&cursor)).transpose()?;
    let after = after.map(|place| Uuid::from_bytes(crate::paging::place(&place)));
    let view = app.view(at_least).await?;
    let mut found = view::list::<Job>(&view, scope.tenant, Kind::Job, after, limit.get() + 1);
    let more = found.len() > limit.get();
    found.truncate(limit.get());
    let next_cursor = found.last().filter(|_| more).map(|last| cursors.seal(last.is.id.as_bytes()));
    let body = |found: Versioned<Job>| {
        let progress = view::progress(&view, scope.tenant, &found.is);
        JobBody::new(found, progress)
    };
    let items: Vec<_> = found.into_iter().map(body).collect();
    Ok(Reply::ok(Page { items, next_cursor }).at(view.position()).into_response())
}

pub(super) fn get_one(id: Uuid, one: &One) -> Result<Response, Problem> {
    let found = find(&one.view, one.who.tenant, id, one.moment.as_of)?;
    let version = found.version;
    match one.moment.as_of {
        Some(_) => Ok(one.reply(tag(version, 0), JobBody::recorded(found))),
        None => {
            let progress = view::progress(&one.view, one.who.tenant, &found.is);
            Ok(one.reply(tag(version, progress), JobBody::new(found, progress)))
        }
    }
}

fn find(
    view: &maitred_engine::View,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Result<Versioned<Job>, Problem> {
    let absent = || Rejection::new(Class::Absent, "job-not-found", "There is no such job.");
    view::job(view, tenant, id, as_of).ok_or_else(|| absent().into())
}
