//! The native API of tenants and API keys: `/v1/tenants…` and `/v1/api-keys…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`], but that a time zone is known,
//! which only the edge can tell (the rules hold no table of them).
//!
//! Invariant: a key's secret is in one answer, the 201 that made it, and in nothing that is stored or repeated.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use maitred_core::{Ids, TenantNumber};
use maitred_web::auth::{API_KEY_BYTES, ApiKey as Secret};
use maitred_web::page::ListCursors;
use maitred_web::{
    AsOf, AtLeast, Attempt, ETag, JsonBody, Limit, Page, Path, Preconditions, Problem, Query, Reply, Time,
    etag, idempotency,
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::command::{
    Command, CreateApiKey, CreateTenant, DeleteTenant, RevokeApiKey, TenantPatch, UpdateTenant,
    validate_api_key, validate_create, validate_patch,
};
use super::fact::{DropIn, DropIns, Role};
use super::rules::Outcome;
use super::view::{self, ApiKey, Tenant};
use crate::app::{Accepted, App, Scope, tenant_not_found, version_wanted};
use crate::paging;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::violation::{Violation, refuse_any};

/// The size of a command of this domain in memory, roughly.
const COMMAND_BYTES: usize = 512;

/// A replaced service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = DropIn)]
pub enum DropInName {
    /// Appointments.
    Sesami,
    /// Bookings of salons.
    Fapi,
    /// Flash sales.
    Bookipi,
    /// Event search.
    EventIntegrator,
}

impl From<DropIn> for DropInName {
    fn from(from: DropIn) -> Self {
        match from {
            DropIn::Sesami => DropInName::Sesami,
            DropIn::Fapi => DropInName::Fapi,
            DropIn::Bookipi => DropInName::Bookipi,
            DropIn::EventIntegrator => DropInName::EventIntegrator,
        }
    }
}

impl From<DropInName> for DropIn {
    fn from(from: DropInName) -> Self {
        match from {
            DropInName::Sesami => DropIn::Sesami,
            DropInName::Fapi => DropIn::Fapi,
            DropInName::Bookipi => DropIn::Bookipi,
            DropInName::EventIntegrator => DropIn::EventIntegrator,
        }
    }
}

fn drop_ins(names: Vec<DropInName>) -> DropIns {
    names.into_iter().map(DropIn::from).collect()
}

/// A tenant to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantInput {
    /// Its name in paths. It never changes.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "salon")]
    slug: String,
    /// The text under which clients of a replaced service know it; no blanks around it.
    #[schema(min_length = 1, max_length = 128)]
    #[serde(default)]
    alias: Option<String>,
    /// Its name for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// An IANA time zone.
    #[schema(min_length = 1, max_length = 64, example = "Europe/Berlin")]
    time_zone: String,
    /// An ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// A BCP 47 language tag.
    #[schema(
        min_length = 2,
        max_length = 35,
        pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        example = "de-DE"
    )]
    locale: String,
    /// The replaced services that answer for it while the server demands keys.
    #[schema(max_items = 4)]
    #[serde(default)]
    drop_ins: Vec<DropInName>,
    /// Whether its public routes answer without a key.
    #[serde(default)]
    public: bool,
}

/// New values of a tenant's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantPatch)]
pub struct TenantPatchInput {
    /// The alias; null takes it away, and frees it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    #[serde(default, deserialize_with = "given")]
    alias: Option<Option<String>>,
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The time zone.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64)]
    #[serde(default, deserialize_with = "given")]
    time_zone: Option<String>,
    /// The currency. Money that was recorded keeps its own.
    #[schema(value_type = String, required = false, pattern = "^[A-Z]{3}$")]
    #[serde(default, deserialize_with = "given")]
    currency: Option<String>,
    /// The locale.
    #[schema(value_type = String, required = false, min_length = 2, max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
    #[serde(default, deserialize_with = "given")]
    locale: Option<String>,
    /// All of the drop-ins.
    #[schema(value_type = Vec<DropInName>, required = false, max_items = 4)]
    #[serde(default, deserialize_with = "given")]
    drop_ins: Option<Vec<DropInName>>,
    /// Whether public routes answer without a key.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    public: Option<bool>,
}

/// A field that is there. Null is a value of `T` or is refused: it never means "absent".
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantBody {
    id: Uuid,
    /// Its name in paths.
    slug: String,
    /// The text under which clients of a replaced service know it.
    alias: Option<String>,
    /// Its name for people.
    name: String,
    /// An IANA time zone.
    time_zone: String,
    /// An ISO 4217 code.
    currency: String,
    /// A BCP 47 language tag.
    locale: String,
    /// The replaced services that answer for it while the server demands keys.
    drop_ins: Vec<DropInName>,
    /// Whether its public routes answer without a key.
    public: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Tenant> for TenantBody {
    fn from(Tenant { version, updated_at, profile }: Tenant) -> Self {
        TenantBody {
            id: profile.id,
            slug: profile.slug,
            alias: profile.alias,
            name: profile.name,
            time_zone: profile.time_zone,
            currency: profile.currency,
            locale: profile.locale,
            drop_ins: profile.drop_ins.iter().map(DropInName::from).collect(),
            public: profile.public,
            version,
            created_at: Time(profile.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// Finds a time zone that has the shape of one and is not known.
fn check_zone_known(found: &mut Vec<Violation>, time_zone: &str) {
    let shaped = found.iter().all(|violation| violation.pointer != "/time_zone");
    // Names are compared exactly: what a tenant says is handed to clients, whose tables are strict.
    let known = |zone: &TimeZone| !zone.is_unknown() && zone.iana_name() == Some(time_zone);
    if shaped && !TimeZone::get(time_zone).is_ok_and(|zone| known(&zone)) {
        let detail =
            format!("time_zone must be a known IANA time zone, such as Europe/Berlin; {time_zone} is none");
        found.push(Violation::new("/time_zone", "invalid-time-zone", detail));
    }
}

/// Decides a command of this domain, which belongs to the system tenant. Its idempotency key is one of the tenant
/// that the path names.
async fn submit(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Accepted<Outcome>, Problem> {
    let key = attempt.identify(scope.caller.actor, body);
    let key = key.map(|key| idempotency::derived(key, scope.tenant.0));
    let who = (TenantNumber::SYSTEM, scope.caller.actor);
    let Accepted { outcome, position, replayed } =
        app.submit(who, key, COMMAND_BYTES + body.len(), command).await?;
    match outcome {
        crate::Outcome::Tenants(outcome) => Ok(Accepted { outcome, position, replayed }),
        other => unreachable!("a command on tenants is answered with {other:?}"),
    }
}

/// The answer to a command on a tenant.
fn tenant_answer(Accepted { outcome, position, replayed }: Accepted<Outcome>) -> Response {
    let (tenant, created) = match outcome {
        Outcome::TenantCreated(tenant) => (tenant, true),
        Outcome::TenantExists(tenant) | Outcome::TenantUpdated(tenant) | Outcome::TenantClosed(tenant) => {
            (tenant, false)
        }
        other => unreachable!("a command on a tenant is answered with {other:?}"),
    };
    let etag = ETag::version(tenant.version);
    let body = TenantBody::from(tenant);
    let reply =
        if created { Reply::created(&format!("/v1/tenants/{}", body.slug), body) } else { Reply::ok(body) };
    reply.at(position).tagged(etag).replayed(replayed).into_response()
}

/// Create a tenant.
#[utoipa::path(
    post,
    path = "/v1/tenants",
    tag = "tenants",
    operation_id = "tenants_create",
    params(IdempotencyHeader),
    request_body = TenantInput,
    responses(
        (status = 201, description = "It is there", body = TenantBody),
        (status = 409, description = "The slug or the alias leads to another tenant"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<TenantInput>,
) -> Result<Response, Problem> {
    let command = CreateTenant {
        slug: value.slug,
        alias: value.alias,
        name: value.name,
        time_zone: value.time_zone,
        currency: value.currency,
        locale: value.locale,
        drop_ins: drop_ins(value.drop_ins),
        public: value.public,
        automatic: false,
    };
    let mut violations = validate_create(&command);
    check_zone_known(&mut violations, &command.time_zone);
    refuse_any(&violations)?;
    submit(&app, &scope, &attempt, &bytes, Command::CreateTenant(command)).await.map(tenant_answer)
}

/// Which records are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// As the system knew them then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

impl ListQuery {
    fn cursors(&self, app: &App, list: &str, tenant: TenantNumber) -> ListCursors {
        app.cursors().of(list, tenant).filtered_by(self.as_of.map(|as_of| format!("{as_of:?}")))
    }

    fn after(&self, cursors: &ListCursors) -> Result<Option<Vec<u8>>, Problem> {
        self.cursor.as_deref().map(|cursor| cursors.open(cursor)).transpose()
    }
}

/// The tenants, in the order in which they were created.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "tenants",
    operation_id = "tenants_list",
    params(ListQuery, PositionHeader),
    responses((status = 200, description = "A page of tenants", body = Page<TenantBody>))
)]
pub async fn list(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = query.cursors(&app, "tenants", TenantNumber::SYSTEM);
    let after = query.after(&cursors)?.map_or(0, |place| u32::from_be_bytes(paging::place(&place)));
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let found = view::tenants_as_of(&view, TenantNumber(after), as_of, query.limit.get() + 1);
    let place = |tenant: &Tenant| tenant.profile.number.to_be_bytes();
    let page: Page<TenantBody> = paging::page(found, query.limit, &cursors, place);
    Ok(Reply::ok(page).at(view.position()).into_response())
}

/// Which past is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneQuery {
    /// As the system knew it then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
}

/// One tenant.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    operation_id = "tenants_get",
    params(TenantPath, OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The tenant", body = TenantBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path(slug): Path<String>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let tenant = view::tenant_as_of(&view, scope.tenant, as_of).ok_or_else(|| tenant_not_found(&slug))?;
    let etag = ETag::version(tenant.version);
    if preconditions.is_fresh(&etag) {
        return Ok(etag::not_modified(etag));
    }
    Ok(Reply::ok(TenantBody::from(tenant)).at(view.position()).tagged(etag).into_response())
}

/// Change what is given.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    operation_id = "tenants_update",
    params(TenantPath, IfMatchHeader, IdempotencyHeader),
    request_body = TenantPatchInput,
    responses(
        (status = 200, description = "The tenant as it is now, changed or not", body = TenantBody),
        (status = 409, description = "The alias leads to another tenant"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<TenantPatchInput>,
) -> Result<Response, Problem> {
    let patch = TenantPatch {
        alias: value.alias,
        name: value.name,
        time_zone: value.time_zone,
        currency: value.currency,
        locale: value.locale,
        drop_ins: value.drop_ins.map(drop_ins),
        public: value.public,
    };
    let mut violations = validate_patch(&patch);
    if let Some(time_zone) = &patch.time_zone {
        check_zone_known(&mut violations, time_zone);
    }
    refuse_any(&violations)?;
    let if_version = version_now(&app, &scope, &preconditions)?;
    let command = Command::UpdateTenant(UpdateTenant { tenant: scope.tenant, patch, if_version });
    submit(&app, &scope, &attempt, &bytes, command).await.map(tenant_answer)
}

/// Close a tenant for good: nothing finds it any more, and its slug and alias stay reserved.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    operation_id = "tenants_delete",
    params(TenantPath, IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is closed; this is its last version", body = TenantBody),
        (status = 404, description = "It is not there, or is closed already"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    scope: Scope,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions)?;
    let command = Command::DeleteTenant(DeleteTenant { tenant: scope.tenant, if_version });
    submit(&app, &scope, &attempt, &[], command).await.map(tenant_answer)
}

fn version_now(app: &App, scope: &Scope, preconditions: &Preconditions) -> Result<Option<u64>, Problem> {
    version_wanted(preconditions, || Some(view::tenant(&app.engine().view(), scope.tenant)?.version))
}

/// One version of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantVersion {
    #[serde(flatten)]
    tenant: TenantBody,
    /// Where it stands in the log: `<partition>.<seq>.<ordinal>`.
    position: String,
}

/// Every version of a tenant, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/versions",
    tag = "tenants",
    operation_id = "tenants_versions",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of versions", body = Page<TenantVersion>))
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = query.cursors(&app, "tenant versions", scope.tenant);
    let after = query.after(&cursors)?.map(|place| paging::read_change(&place));
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let found = view::tenant_versions(&view, scope.tenant, after, as_of, query.limit.get() + 1);
    let place = |last: &view::TenantVersion| paging::write_change(last.change);
    let Page { items, next_cursor } =
        paging::page::<_, view::TenantVersion, _>(found, query.limit, &cursors, place);
    let partition = view.position().partition;
    let items = items.into_iter().map(|found| TenantVersion {
        position: found.change.to_text(partition),
        tenant: found.tenant.into(),
    });
    let page = Page { items: items.collect(), next_cursor };
    Ok(Reply::ok(page).at(view.position()).into_response())
}

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
pub async fn create_key(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ApiKeyInput>,
) -> Result<Response, Problem> {
    make_key(&app, &scope, &attempt, &bytes, (value.name, value.role.into())).await
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
pub async fn create_server_key(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ServerApiKeyInput>,
) -> Result<Response, Problem> {
    make_key(&app, &scope, &attempt, &bytes, (value.name, Role::Admin)).await
}

async fn make_key(
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
pub async fn list_keys(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_keys(&app, &scope, &query, at_least).await
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
pub async fn list_server_keys(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_keys(&app, &scope, &query, at_least).await
}

async fn read_keys(
    app: &App,
    scope: &Scope,
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = query.cursors(app, "api keys", scope.tenant);
    let after = query.after(&cursors)?.map(|place| Uuid::from_bytes(paging::place(&place)));
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let found = view::api_keys_as_of(&view, owner(scope), after, as_of, query.limit.get() + 1);
    let page: Page<ApiKeyBody> = paging::page(found, query.limit, &cursors, |key| key.id.into_bytes());
    Ok(Reply::ok(page).at(view.position()).into_response())
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
pub async fn get_key(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_key(&app, &scope, id, &query, at_least).await
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
pub async fn get_server_key(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    read_key(&app, &scope, id, &query, at_least).await
}

async fn read_key(
    app: &App,
    scope: &Scope,
    id: Uuid,
    query: &OneQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let key =
        view::api_key_as_of(&view, owner(scope), id, as_of).ok_or_else(|| Problem::not_found("API key"))?;
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
pub async fn revoke_key(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    revoke(&app, &scope, &attempt, id).await
}

/// Revoke an API key of the server for good, from the next request on. Revoking once more changes nothing.
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
pub async fn revoke_server_key(
    State(app): State<App>,
    scope: Scope,
    Path(id): Path<Uuid>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    revoke(&app, &scope, &attempt, id).await
}

async fn revoke(app: &App, scope: &Scope, attempt: &Attempt, id: Uuid) -> Result<Response, Problem> {
    let command = Command::RevokeApiKey(RevokeApiKey { tenant: owner(scope), id });
    let accepted = submit(app, scope, attempt, &[], command).await?;
    let Accepted { outcome: Outcome::ApiKeyRevoked(key), position, replayed } = accepted else {
        unreachable!("a key that is revoked is answered with {accepted:?}");
    };
    Ok(Reply::ok(ApiKeyBody::from(key)).at(position).replayed(replayed).into_response())
}
