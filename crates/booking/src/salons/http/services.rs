//! `/v1/tenants/{tenant}/services…`.

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::{ProcessingBody, ServiceBody};
use super::{ListQuery, OneQuery, RecordVersion, if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::json::given;
use crate::money::{Money, MoneyBody};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, ServiceDetails, ServicePatch, TimePatch};
use crate::salons::fact::{Service, ServiceTime};
use crate::salons::rules::Outcome;
use crate::violation::refuse_any;

/// A service to be brought in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// How long the client is there, a processing gap included.
    #[schema(minimum = 1, maximum = 1440)]
    duration_minutes: u32,
    /// What employee and resource need before it.
    #[schema(maximum = 240, default = 0)]
    #[serde(default)]
    buffer_before_minutes: u32,
    /// What they need after it.
    #[schema(maximum = 240, default = 0)]
    #[serde(default)]
    buffer_after_minutes: u32,
    /// The gap in which the client sits and the employee is free.
    #[serde(default)]
    processing: Option<ProcessingBody>,
    /// What it costs.
    price: MoneyBody,
    /// The kind of resource that it takes for the whole duration.
    #[schema(min_length = 1, max_length = 50, example = "chair")]
    #[serde(default)]
    needs_resource: Option<String>,
    /// Whether it can be booked.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

fn yes() -> bool {
    true
}

/// New values of a service's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServicePatch)]
pub struct ServicePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The duration.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 1440)]
    #[serde(default, deserialize_with = "given")]
    duration_minutes: Option<u32>,
    /// The buffer before it.
    #[schema(value_type = u32, required = false, maximum = 240)]
    #[serde(default, deserialize_with = "given")]
    buffer_before_minutes: Option<u32>,
    /// The buffer after it.
    #[schema(value_type = u32, required = false, maximum = 240)]
    #[serde(default, deserialize_with = "given")]
    buffer_after_minutes: Option<u32>,
    /// The processing gap; null takes it away.
    #[schema(value_type = Option<ProcessingBody>)]
    #[serde(default, deserialize_with = "given")]
    processing: Option<Option<ProcessingBody>>,
    /// The price. Bookings that are there keep theirs.
    #[schema(value_type = MoneyBody, required = false)]
    #[serde(default, deserialize_with = "given")]
    price: Option<MoneyBody>,
    /// The kind of resource; null: none.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    #[serde(default, deserialize_with = "given")]
    needs_resource: Option<Option<String>>,
    /// Whether it can be booked.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

impl ServiceInput {
    fn details(self) -> Result<ServiceDetails, Problem> {
        let time = ServiceTime {
            duration_minutes: self.duration_minutes,
            buffer_before_minutes: self.buffer_before_minutes,
            buffer_after_minutes: self.buffer_after_minutes,
            processing: self.processing.map(Into::into),
        };
        let ServiceInput { name, price, needs_resource, active, .. } = self;
        Ok(ServiceDetails { name, time, price: money(&price)?, needs_resource, active })
    }
}

impl ServicePatchInput {
    fn patch(self) -> Result<ServicePatch, Problem> {
        let time = TimePatch {
            duration_minutes: self.duration_minutes,
            buffer_before_minutes: self.buffer_before_minutes,
            buffer_after_minutes: self.buffer_after_minutes,
            processing: self.processing.map(|processing| processing.map(Into::into)),
        };
        let ServicePatchInput { name, price, needs_resource, active, .. } = self;
        let price = price.as_ref().map(money).transpose()?;
        Ok(ServicePatch { name, time, price, needs_resource, active })
    }
}

fn money(body: &MoneyBody) -> Result<Money, Problem> {
    body.to_price()
        .map_err(|violation| Problem::from(refuse_any(&[violation]).expect_err("a violation is refused")))
}

fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Service(effect, found), position, replayed } = accepted else {
        unreachable!("a command on a service is answered with {accepted:?}");
    };
    let path = format!("services/{}", found.is.id);
    let said = (effect, found.version, ServiceBody::from(found));
    write_reply(app, tenant, said, || path, (position, replayed))
}

/// Bring in a service.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/services",
    tag = "salons",
    operation_id = "services_create",
    params(TenantPath, IdempotencyHeader),
    request_body = ServiceInput,
    responses((status = 201, description = "It is there", body = ServiceBody))
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ServiceInput>,
) -> Result<Response, Problem> {
    let command = Command::CreateService(value.details()?);
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// The services, by id: those that were noted first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/services",
    tag = "salons",
    operation_id = "services_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of services; it may be short and have a next one", body = Page<ServiceBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::list::<Service, ServiceBody>(&app, &scope, &query, at_least).await
}

/// One service.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/services/{id}",
    tag = "salons",
    operation_id = "services_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The service's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The service", body = ServiceBody),
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
    super::get::<Service, ServiceBody>(&app, &scope, id, &query, (at_least, preconditions)).await
}

/// Change a service: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/services/{id}",
    tag = "salons",
    operation_id = "services_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The service's id"), IfMatchHeader, IdempotencyHeader),
    request_body = ServicePatchInput,
    responses(
        (status = 200, description = "The service as it is now", body = ServiceBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ServicePatchInput>,
) -> Result<Response, Problem> {
    let if_version = if_version::<Service>(&app, &scope, &preconditions, id)?;
    let command = Command::UpdateService(Change { id, what: value.patch()?, if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Take a service away for good; its history stays.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/services/{id}",
    tag = "salons",
    operation_id = "services_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The service's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = ServiceBody),
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
    let if_version = if_version::<Service>(&app, &scope, &preconditions, id)?;
    let command = Command::DeleteService(Change { id, what: (), if_version });
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Every version of a service, the oldest first, also of one that is gone.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/services/{id}/versions",
    tag = "salons",
    operation_id = "services_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The service's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<ServiceBody>>),
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
    super::versions::<Service, ServiceBody>(&app, &scope, id, &query, at_least).await
}
