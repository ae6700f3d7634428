//! `/v1/tenants/{tenant}/providers/{provider}/sync` and `…/runs…`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_web::{AtLeast, Attempt, Limit, Page, Path, Problem, Query, Reply};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::bodies::RunBody;
use super::submit;
use crate::app::{Accepted, App, Scope};
use crate::catalogue::command::Command;
use crate::catalogue::rules::Outcome;
use crate::catalogue::view;
use crate::paging;
use crate::parameters::{IdempotencyHeader, PositionHeader, TenantPath};
use crate::tenants;

/// Which runs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// How many a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// Ask for a run now. A run that is asked for or under way is answered as it is.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/providers/{provider}/sync",
    tag = "catalogue",
    operation_id = "providers_sync",
    params(TenantPath, ("provider" = String, Path, description = "The provider's name"), IdempotencyHeader),
    responses(
        (status = 202, description = "It will begin; `Location` is where to see what comes of it", body = RunBody),
        (status = 404, description = "There is no such provider"),
        (status = 409, description = "The provider is not active"),
    )
)]
pub async fn sync(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, provider)): Path<(String, String)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let accepted = submit(&app, &scope, &attempt, &[], Command::RequestRun { provider }).await?;
    let Accepted { outcome: Outcome::Run { run, .. }, position, replayed } = accepted else {
        unreachable!("a command on a run is answered with {accepted:?}");
    };
    let slug = tenants::tenant(&app.engine().view(), scope.tenant).map(|tenant| tenant.profile.slug);
    let slug = slug.unwrap_or_default();
    let location = format!("/v1/tenants/{slug}/providers/{}/runs/{}", run.provider, run.id);
    let reply = Reply::accepted(&location, RunBody::from(run));
    Ok(reply.at(position).replayed(replayed).into_response())
}

/// The runs of a provider, the newest first; the newest 1,000 are kept.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/providers/{provider}/runs",
    tag = "catalogue",
    operation_id = "runs_list",
    params(TenantPath, ("provider" = String, Path, description = "The provider's name"), RunsQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of runs", body = Page<RunBody>),
        (status = 404, description = "There is no such provider"),
    )
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, provider)): Path<(String, String)>,
    Query(query): Query<RunsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = app.cursors().of("runs", scope.tenant).filtered_by(Some(&provider));
    let opened = query.cursor.as_deref().map(|cursor| cursors.open(cursor)).transpose()?;
    let before = opened.map(|place| Uuid::from_bytes(paging::place(&place)));
    let view = app.view(at_least).await?;
    if view::provider(&view, scope.tenant, &provider, None).is_none() {
        return Err(Problem::not_found("provider"));
    }
    let mut runs = view::runs(&view, scope.tenant, &provider, before, query.limit.get() + 1);
    let more = runs.len() > query.limit.get();
    runs.truncate(query.limit.get());
    let last = runs.last().filter(|_| more).map(|run| run.id);
    let next_cursor = last.map(|id| cursors.seal(id.as_bytes()));
    let page = Page { items: runs.into_iter().map(RunBody::from).collect(), next_cursor };
    Ok(Reply::ok(page).at(view.position()).into_response())
}

/// One run, as it stands now.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/providers/{provider}/runs/{id}",
    tag = "catalogue",
    operation_id = "runs_get",
    params(
        TenantPath,
        ("provider" = String, Path, description = "The provider's name"),
        ("id" = Uuid, Path, description = "The run's id"),
        PositionHeader,
    ),
    responses(
        (status = 200, description = "The run", body = RunBody),
        (status = 404, description = "There is no such run, or it is no longer kept"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, provider, id)): Path<(String, String, Uuid)>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let run = view::run(&view, scope.tenant, &provider, id).ok_or_else(|| Problem::not_found("run"))?;
    Ok(Reply::ok(RunBody::from(run)).at(view.position()).into_response())
}

/// Let a held run lose its events: the provider is synced again at once, and may lose as many.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/providers/{provider}/runs/{id}/accept",
    tag = "catalogue",
    operation_id = "runs_accept",
    params(
        TenantPath,
        ("provider" = String, Path, description = "The provider's name"),
        ("id" = Uuid, Path, description = "The run's id"),
        IdempotencyHeader,
    ),
    responses(
        (status = 200, description = "It is accepted", body = RunBody),
        (status = 404, description = "There is no such run"),
        (status = 409, description = "It is not held"),
    )
)]
pub async fn accept(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, provider, run)): Path<(String, String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    settle(&app, &scope, &attempt, Command::AcceptRun { provider, run }).await
}

/// Set a held run aside: what was there stays, and as long as the feed states the same, no run is held again.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/providers/{provider}/runs/{id}/discard",
    tag = "catalogue",
    operation_id = "runs_discard",
    params(
        TenantPath,
        ("provider" = String, Path, description = "The provider's name"),
        ("id" = Uuid, Path, description = "The run's id"),
        IdempotencyHeader,
    ),
    responses(
        (status = 200, description = "It is set aside", body = RunBody),
        (status = 404, description = "There is no such run"),
        (status = 409, description = "It is not held"),
    )
)]
pub async fn discard(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, provider, run)): Path<(String, String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    settle(&app, &scope, &attempt, Command::DiscardRun { provider, run }).await
}

async fn settle(app: &App, scope: &Scope, attempt: &Attempt, command: Command) -> Result<Response, Problem> {
    let accepted = submit(app, scope, attempt, &[], command).await?;
    let Accepted { outcome: Outcome::Run { run, .. }, position, replayed } = accepted else {
        unreachable!("a command on a run is answered with {accepted:?}");
    };
    Ok(Reply::ok(RunBody::from(run)).at(position).replayed(replayed).into_response())
}
