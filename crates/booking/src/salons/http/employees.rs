//! `/v1/tenants/{tenant}/employees…`.

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::EmployeeBody;
use super::{ListQuery, OneQuery, RecordVersion, if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, EmployeeDetails, EmployeePatch};
use crate::salons::fact::Employee;
use crate::salons::rules::Outcome;

/// An employee to be taken on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmployeeInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The ids of the services that they do.
    #[schema(max_items = 200)]
    #[serde(default)]
    skills: Vec<Uuid>,
    /// For calendars.
    #[schema(pattern = "^#[0-9A-Fa-f]{6}$")]
    #[serde(default)]
    colour: Option<String>,
    /// Whether it can be booked.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

fn yes() -> bool {
    true
}

/// New values of an employee's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmployeePatch)]
pub struct EmployeePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// All the skills.
    #[schema(value_type = Vec<Uuid>, required = false, max_items = 200)]
    #[serde(default, deserialize_with = "given")]
    skills: Option<Vec<Uuid>>,
    /// The colour; null takes it away.
    #[schema(value_type = Option<String>, pattern = "^#[0-9A-Fa-f]{6}$")]
    #[serde(default, deserialize_with = "given")]
    colour: Option<Option<String>>,
    /// Whether it can be booked.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

impl EmployeeInput {
    fn details(self) -> EmployeeDetails {
        let EmployeeInput { name, skills, colour, active } = self;
        EmployeeDetails { name, skills, colour, active }
    }
}

impl EmployeePatchInput {
    fn patch(self) -> EmployeePatch {
        let EmployeePatchInput { name, skills, colour, active } = self;
        EmployeePatch { name, skills, colour, active }
    }
}

fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Employee(effect, found), position, replayed } = accepted else {
        unreachable!("a command on an employee is answered with {accepted:?}");
    };
    let path = format!("employees/{}", found.is.id);
    let said = (effect, found.version, EmployeeBody::from(found));
    write_reply(app, tenant, said, || path, (position, replayed))
}

/// Take an employee on.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/employees",
    tag = "salons",
    operation_id = "employees_create",
    params(TenantPath, IdempotencyHeader),
    request_body = EmployeeInput,
    responses((status = 201, description = "It is there", body = EmployeeBody))
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<EmployeeInput>,
) -> Result<Response, Problem> {
    let command = Command::CreateEmployee(value.details());
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// The employees, by id: those that were noted first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/employees",
    tag = "salons",
    operation_id = "employees_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of employees; it may be short and have a next one", body = Page<EmployeeBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::list::<Employee, EmployeeBody>(&app, &scope, &query, at_least).await
}

/// One employee.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/employees/{id}",
    tag = "salons",
    operation_id = "employees_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The employee", body = EmployeeBody),
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
    super::get::<Employee, EmployeeBody>(&app, &scope, id, &query, (at_least, preconditions)).await
}

/// Change an employee: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/employees/{id}",
    tag = "salons",
    operation_id = "employees_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), IfMatchHeader, IdempotencyHeader),
    request_body = EmployeePatchInput,
    responses(
        (status = 200, description = "The employee as it is now", body = EmployeeBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<EmployeePatchInput>,
) -> Result<Response, Problem> {
    let if_version = if_version::<Employee>(&app, &scope, &preconditions, id)?;
    let command = Command::UpdateEmployee(Change { id, what: value.patch(), if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Take an employee away for good; their history stays.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/employees/{id}",
    tag = "salons",
    operation_id = "employees_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = EmployeeBody),
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
    let if_version = if_version::<Employee>(&app, &scope, &preconditions, id)?;
    let command = Command::DeleteEmployee(Change { id, what: (), if_version });
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Every version of an employee, the oldest first, also of one that is gone.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/employees/{id}/versions",
    tag = "salons",
    operation_id = "employees_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<EmployeeBody>>),
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
    super::versions::<Employee, EmployeeBody>(&app, &scope, id, &query, at_least).await
}
