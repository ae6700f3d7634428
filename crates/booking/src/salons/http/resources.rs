//! `/v1/tenants/{tenant}/resources…`.

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::ResourceBody;
use super::{ListQuery, OneQuery, RecordVersion, if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, ResourceDetails, ResourcePatch};
use crate::salons::fact::Resource;
use crate::salons::rules::Outcome;

/// A resource to be brought in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it is: services need a resource of a kind.
    #[schema(min_length = 1, max_length = 50, example = "chair")]
    kind: String,
    /// Whether it can be booked.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

fn yes() -> bool {
    true
}

/// New values of a resource's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResourcePatch)]
pub struct ResourcePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The kind.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 50)]
    #[serde(default, deserialize_with = "given")]
    kind: Option<String>,
    /// Whether it can be booked.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

impl ResourceInput {
    fn details(self) -> ResourceDetails {
        let ResourceInput { name, kind, active } = self;
        ResourceDetails { name, kind, active }
    }
}

impl ResourcePatchInput {
    fn patch(self) -> ResourcePatch {
        let ResourcePatchInput { name, kind, active } = self;
        ResourcePatch { name, kind, active }
    }
}

fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Resource(effect, found), position, replayed } = accepted else {
        unreachable!("a command on a resource is answered with {accepted:?}");
    };
    let path = format!("resources/{}", found.is.id);
    let said = (effect, found.version, ResourceBody::from(found));
    write_reply(app, tenant, said, || path, (position, replayed))
}

/// Bring in a resource: a chair, a room.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/resources",
    tag = "salons",
    operation_id = "resources_create",
    params(TenantPath, IdempotencyHeader),
    request_body = ResourceInput,
    responses((status = 201, description = "It is there", body = ResourceBody))
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ResourceInput>,
) -> Result<Response, Problem> {
    let command = Command::CreateResource(value.details());
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// The resources, by id: those that were noted first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/resources",
    tag = "salons",
    operation_id = "resources_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of resources; it may be short and have a next one", body = Page<ResourceBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::list::<Resource, ResourceBody>(&app, &scope, &query, at_least).await
}

/// One resource.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/resources/{id}",
    tag = "salons",
    operation_id = "resources_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The resource's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The resource", body = ResourceBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    super::get::<Resource, ResourceBody>(&app, &scope, id, &query, (at_least, preconditions)).await
}

/// Change a resource: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/resources/{id}",
    tag = "salons",
    operation_id = "resources_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The resource's id"), IfMatchHeader, IdempotencyHeader),
    request_body = ResourcePatchInput,
    responses(
        (status = 200, description = "The resource as it is now", body = ResourceBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ResourcePatchInput>,
) -> Result<Response, Problem> {
    let if_version = if_version::<Resource>(&app, &scope, &preconditions, id)?;
    let command = Command::UpdateResource(Change { id, what: value.patch(), if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Take a resource away for good; its history stays.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/resources/{id}",
    tag = "salons",
    operation_id = "resources_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The resource's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = ResourceBody),
        (status = 404, description = "It is not there"),
        (status = 409, description = "There are bookings ahead"),
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
    let if_version = if_version::<Resource>(&app, &scope, &preconditions, id)?;
    let command = Command::DeleteResource(Change { id, what: (), if_version });
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Every version of a resource, the oldest first, also of one that is gone.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/resources/{id}/versions",
    tag = "salons",
    operation_id = "resources_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The resource's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<ResourceBody>>),
        (status = 404, description = "It was never there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::versions::<Resource, ResourceBody>(&app, &scope, id, &query, at_least).await
}
