//! `/v1/tenants/{tenant}/customers…`.

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::CustomerBody;
use super::{ListQuery, OneQuery, RecordVersion, if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, CustomerDetails, CustomerPatch};
use crate::salons::fact::Customer;
use crate::salons::rules::Outcome;

/// A customer to be noted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Where to write.
    #[schema(max_length = 254)]
    #[serde(default)]
    email: Option<String>,
    /// Where to call.
    #[schema(max_length = 64)]
    #[serde(default)]
    phone: Option<String>,
    /// What one should know of them.
    #[schema(max_length = 2000)]
    #[serde(default)]
    notes: Option<String>,
}

/// New values of a customer's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CustomerPatch)]
pub struct CustomerPatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The email address; null takes it away.
    #[schema(value_type = Option<String>, max_length = 254)]
    #[serde(default, deserialize_with = "given")]
    email: Option<Option<String>>,
    /// The telephone number; null takes it away.
    #[schema(value_type = Option<String>, max_length = 64)]
    #[serde(default, deserialize_with = "given")]
    phone: Option<Option<String>>,
    /// The notes; null takes them away.
    #[schema(value_type = Option<String>, max_length = 2000)]
    #[serde(default, deserialize_with = "given")]
    notes: Option<Option<String>>,
}

impl CustomerInput {
    pub(super) fn details(self) -> CustomerDetails {
        let CustomerInput { name, email, phone, notes } = self;
        CustomerDetails { name, email, phone, notes }
    }
}

impl CustomerPatchInput {
    fn patch(self) -> CustomerPatch {
        let CustomerPatchInput { name, email, phone, notes } = self;
        CustomerPatch { name, email, phone, notes }
    }
}

fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Customer(effect, found), position, replayed } = accepted else {
        unreachable!("a command on a customer is answered with {accepted:?}");
    };
    let path = format!("customers/{}", found.is.id);
    let said = (effect, found.version, CustomerBody::from(found));
    write_reply(app, tenant, said, || path, (position, replayed))
}

/// Note a customer.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/customers",
    tag = "salons",
    operation_id = "customers_create",
    params(TenantPath, IdempotencyHeader),
    request_body = CustomerInput,
    responses((status = 201, description = "It is there", body = CustomerBody))
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<CustomerInput>,
) -> Result<Response, Problem> {
    let command = Command::CreateCustomer(value.details());
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// The customers, by id: those that were noted first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/customers",
    tag = "salons",
    operation_id = "customers_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of customers; it may be short and have a next one", body = Page<CustomerBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::list::<Customer, CustomerBody>(&app, &scope, &query, at_least).await
}

/// One customer.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/customers/{id}",
    tag = "salons",
    operation_id = "customers_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The customer's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The customer", body = CustomerBody),
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
    super::get::<Customer, CustomerBody>(&app, &scope, id, &query, (at_least, preconditions)).await
}

/// Change a customer: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/customers/{id}",
    tag = "salons",
    operation_id = "customers_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The customer's id"), IfMatchHeader, IdempotencyHeader),
    request_body = CustomerPatchInput,
    responses(
        (status = 200, description = "The customer as it is now", body = CustomerBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<CustomerPatchInput>,
) -> Result<Response, Problem> {
    let if_version = if_version::<Customer>(&app, &scope, &preconditions, id)?;
    let command = Command::UpdateCustomer(Change { id, what: value.patch(), if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Take a customer away for good; their history stays.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/customers/{id}",
    tag = "salons",
    operation_id = "customers_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The customer's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = CustomerBody),
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
    let if_version = if_version::<Customer>(&app, &scope, &preconditions, id)?;
    let command = Command::DeleteCustomer(Change { id, what: (), if_version });
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Every version of a customer, the oldest first, also of one that is gone.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/customers/{id}/versions",
    tag = "salons",
    operation_id = "customers_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The customer's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<CustomerBody>>),
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
    super::versions::<Customer, CustomerBody>(&app, &scope, id, &query, at_least).await
}
