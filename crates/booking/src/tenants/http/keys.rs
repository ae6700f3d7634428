//! The routes of API keys: a tenant's under `/v1/tenants/{tenant}/api-keys`, the server's own under `/v1/api-keys`.
//!
//! Invariant: a key's secret is in one answer, the 201 that made it, and in nothing that is stored or repeated.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use maitred_core::{Ids, TenantNumber};
use maitred_web::auth::{API_KEY_BYTES, ApiKey as Secret};
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Problem, Query, Reply, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::command::{Command, CreateApiKey, RevokeApiKey, validate_api_key};
use super::super::fact::Role;
use super::super::rules::Outcome;
use super::super::view::{self, ApiKey};
use super::submit;
use crate::app::{Accepted, App, Scope};
use crate::paging::{self, ListQuery};
use crate::parameters::{IdempotencyHeader, PositionHeader, TenantPath};
use crate::reading::OneQuery;
use crate::violation::refuse_any;

/// What an API key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
pub enum RoleName {
    /// What everyone may where a tenant allows it.
    Public,
    /// Own bookings, orders and account.
    Customer,
    /// Appointments, imports and changes.
    Integration,
    /// Calendar, bookings and customers.
    Staff,
    /// All of the tenant.
    Owner,
    /// All of the server: its own keys alone.
    Admin,
}

impl From<Role> for RoleName {
    fn from(from: Role) -> Self {
        match from {
            Role::Public => RoleName::Public,
            Role::Customer => RoleName::Customer,
            Role::Integration => RoleName::Integration,
            Role::Staff => RoleName::Staff,
            Role::Owner => RoleName::Owner,
            Role::Admin => RoleName::Admin,
        }
    }
}

impl From<RoleName> for Role {
    fn from(from: RoleName) -> Self {
        match from {
            RoleName::Public => Role::Public,
            RoleName::Customer => Role::Customer,
            RoleName::Integration => Role::Integration,
            RoleName::Staff => Role::Staff,
            RoleName::Owner => Role::Owner,
            RoleName::Admin => Role::Admin,
        }
    }
}

/// A tenant's API key to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it allows; `admin` is not for a tenant's keys.
    role: RoleName,
}

/// A key of the server to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerApiKeyInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyBody {
    id: Uuid,
    /// For people.
    name: String,
    /// What it allows.
    role: RoleName,
    /// Whether it is revoked for good.
    revoked: bool,
    created_at: Time,
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        ApiKeyBody {
            id: key.id,
            name: key.name,
            role: key.role.into(),
            revoked: key.revoked,
            created_at: Time(key.created_at),
        }
    }
}

/// An API key that was created.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyCreated {
    #[serde(flatten)]
    key: ApiKeyBody,
    /// The key itself, for `Authorization: Bearer`. Shown now and never again; a repeated request is answered
    /// without it.
    #[schema(required = false, pattern = "^mk_[A-Za-z0-9_-]{43}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl std::fmt::Debug for ApiKeyCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyCreated").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Create an API key of a tenant.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/api-keys",
    tag = "api keys",
    operation_id = "api_keys_create",
    params(TenantPath, IdempotencyHeader),
    request_body = ApiKeyInput,
    responses(
        (status = 201, description = "It is there. The only answer with the secret", body = ApiKeyCreated),
        (status = 429, description = "The tenant has 1,000 keys already"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ApiKeyInput>,
) -> Result<Response, Problem> {
    make(&app, &scope, &attempt, &bytes, (value.name, value.role.into())).await
}

/// Create an API key of the server, of the role `admin`.
#[utoipa::path(
    post,
    path = "/v1/api-keys",
    tag = "api keys",
    operation_id = "server_api_keys_create",
    params(IdempotencyHeader),
    request_body = ServerApiKeyInput,
    responses(
        (status = 201, description = "It is there. The only answer with the secret", body = ApiKeyCreated),
        (status = 429, description = "The server has 1,000 keys already"),
    )
)]
pub async fn create_of_server(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ServerApiKeyInput>,
) -> Result<Response, Problem> {
    make(&app, &scope, &attempt, &bytes, (value.name, Role::Admin)).await
}

async fn make(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    (name, role): (String, Role),
) -> Result<Response, Problem> {
    let secret = Secret::from_random(&random::<API_KEY_BYTES>()?);
    let id = Ids::new(app.engine().now(), u64::from_le_bytes(random()?)).next();
    let command = CreateApiKey { tenant: owner(scope), id, name, role, secret_hash: secret.hash().0 };
    refuse_any(&validate_api_key(&command))?;
    let accepted = submit(app, scope, attempt, body, Command::CreateApiKey(command)).await?;
    let Accepted { outcome: Outcome::ApiKeyCreated(key), position, replayed } = accepted else {
        unreachable!("a key that is created is answered with {accepted:?}");
    };
    let location = format!("{}/{}", keys_path(app, scope), key.id);
    // A remembered answer is about the first attempt's key, whose secret nobody has any more.
    let secret = (!replayed).then(|| secret.reveal().to_owned());
    let created = ApiKeyCreated { key: key.into(), secret };
    let mut response = Reply::created(&location, created).at(position).replayed(replayed).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whose keys a path is about: a tenant's, or the server's.
fn owner(scope: &Scope) -> Option<TenantNumber> {
    (scope.tenant != TenantNumber::SYSTEM).then_some(scope.tenant)
}

fn keys_path(app: &App, scope: &Scope) -> String {
    let tenant = owner(scope).and_then(|tenant| view::tenant(&app.engine().view(), tenant));
    tenant.map_or_else(
        || "/v1/api-keys".to_owned(),
        |tenant| format!("/v1/tenants/{}/api-keys", tenant.profile.slug),
    )
}

/// Bits from the system's source.
fn random<const LEN: usize>() -> Result<[u8; LEN], Problem> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(error = %error, "the system gives no random bits");
        Problem::internal_error()
    })?;
    Ok(bytes)
}

/// A tenant's API keys, the oldest first, revoked ones too.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/api-keys",
    tag = "api keys",
    operation_id = "api_keys_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of keys", body = Page<ApiKeyBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_page(&app, &scope, &query, at_least).await
}

/// The server's own API keys, the oldest first, revoked ones too.
#[utoipa::path(
    get,
    path = "/v1/api-keys",
    tag = "api keys",
    operation_id = "server_api_keys_list",
    params(ListQuery, PositionHeader),
    responses((status = 200, description = "A page of keys", body = Page<ApiKeyBody>))
)]
pub async fn list_of_server(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_page(&app, &scope, &query, at_least).await
}

async fn read_page(
    app: &App,
    scope: &Scope,
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let listing = query.open(app, ("api keys", None), scope.tenant, at_least).await?;
    let after = listing.after.as_deref().map(|place| Uuid::from_bytes(paging::place(place)));
    let found =
        view::api_keys_as_of(&listing.view, owner(scope), after, listing.as_of, query.limit.get() + 1);
    Ok(listing.reply_cut(found, query.limit, |key| key.id.into_bytes(), ApiKeyBody::from))
}

/// One API key of a tenant.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/api-keys/{id}",
    tag = "api keys",
    operation_id = "api_keys_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The key's id"), OneQuery, PositionHeader),
    responses(
        (status = 200, description = "The key", body = ApiKeyBody),
        (status = 404, description = "The tenant has no such key, or had none then"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_one(&app, &scope, id, &query, at_least).await
}

/// One API key of the server.
#[utoipa::path(
    get,
    path = "/v1/api-keys/{id}",
    tag = "api keys",
    operation_id = "server_api_keys_get",
    params(("id" = Uuid, Path, description = "The key's id"), OneQuery, PositionHeader),
    responses(
        (status = 200, description = "The key", body = ApiKeyBody),
        (status = 404, description = "The server has no such key, or had none then"),
    )
)]
pub async fn get_of_server(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_one(&app, &scope, id, &query, at_least).await
}

async fn read_one(
    app: &App,
    scope: &Scope,
    id: Uuid,
    query: &OneQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let (view, moment) = query.open(app, at_least).await?;
    let key = view::api_key_as_of(&view, owner(scope), id, moment.as_of)
        .ok_or_else(|| Problem::not_found("API key"))?;
    Ok(Reply::ok(ApiKeyBody::from(key)).at(view.position()).into_response())
}

/// Revoke an API key of a tenant for good, from the next request on. Revoking once more changes nothing.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/api-keys/{id}",
    tag = "api keys",
    operation_id = "api_keys_revoke",
    params(TenantPath, ("id" = Uuid, Path, description = "The key's id"), IdempotencyHeader),
    responses(
        (status = 200, description = "It is revoked", body = ApiKeyBody),
        (status = 404, description = "The tenant has no such key"),
    )
)]
pub async fn revoke(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    revoke_for_good(&app, &scope, &attempt, id).await
}

/// Revoke an API key of the server for good, from the next request on. Revoking once more changes nothing.
///
/// The last one can be revoked too. From then on the next can only be made on the stopped server's folder.
#[utoipa::path(
    delete,
    path = "/v1/api-keys/{id}",
    tag = "api keys",
    operation_id = "server_api_keys_revoke",
    params(("id" = Uuid, Path, description = "The key's id"), IdempotencyHeader),
    responses(
        (status = 200, description = "It is revoked", body = ApiKeyBody),
        (status = 404, description = "The server has no such key"),
    )
)]
pub async fn revoke_of_server(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    revoke_for_good(&app, &scope, &attempt, id).await
}

async fn revoke_for_good(app: &App, scope: &Scope, attempt: &Attempt, id: Uuid) -> Result<Response, Problem> {
    let command = Command::RevokeApiKey(RevokeApiKey { tenant: owner(scope), id });
    let accepted = submit(app, scope, attempt, &[], command).await?;
    let Accepted { outcome: Outcome::ApiKeyRevoked(key), position, replayed } = accepted else {
        unreachable!("a key that is revoked is answered with {accepted:?}");
    };
    if owner(scope).is_none() && view::live_api_keys(&app.engine().view(), None) == 0 {
        tracing::warn!(
            "the last key of the role admin is revoked: where keys are demanded, the next can only be made on the \
             folder of the stopped server, with `maitred keys create --role admin`"
        );
    }
    Ok(Reply::ok(ApiKeyBody::from(key)).at(position).replayed(replayed).into_response())
}
