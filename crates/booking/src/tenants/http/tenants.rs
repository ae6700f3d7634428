//! The routes of tenants: `/v1/tenants` and `/v1/tenants/{tenant}`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Attempt, ETag, JsonBody, Page, Path, Preconditions, Problem, Query, Reply, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::command::{
    Command, CreateTenant, DeleteTenant, TenantPatch, UpdateTenant, validate_create, validate_patch,
};
use super::super::fact::{DropIn, DropIns};
use super::super::rules::Outcome;
use super::super::view::{self, Tenant};
use super::submit;
use crate::app::{Accepted, App, Scope, tenant_not_found, version_wanted};
use crate::json::given;
use crate::paging::{self, ListQuery};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::violation::{Violation, refuse_any};

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
    if shaped && !is_zone_known(time_zone) {
        let detail =
            format!("time_zone must be a known IANA time zone, such as Europe/Berlin; {time_zone} is none");
        found.push(Violation::new("/time_zone", "invalid-time-zone", detail));
    }
}

/// Whether this is the name of a time zone that a tenant may have.
pub fn is_zone_known(time_zone: &str) -> bool {
    // Names are compared exactly: what a tenant says is handed to clients, whose tables are strict.
    let known = |zone: &TimeZone| !zone.is_unknown() && zone.iana_name() == Some(time_zone);
    TimeZone::get(time_zone).is_ok_and(|zone| known(&zone))
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
    let listing = query.open(&app, ("tenants", None), TenantNumber::SYSTEM, at_least).await?;
    let after = listing.after.as_deref().map_or(0, |place| u32::from_be_bytes(paging::place(place)));
    let found = view::tenants_as_of(&listing.view, TenantNumber(after), listing.as_of, query.limit.get() + 1);
    let place = |tenant: &Tenant| tenant.profile.number.to_be_bytes();
    Ok(listing.reply_cut(found, query.limit, place, TenantBody::from))
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
pub async fn get(Path(slug): Path<String>, one: One) -> Result<Response, Problem> {
    let tenant = view::tenant_as_of(&one.view, one.who.tenant, one.moment.as_of)
        .ok_or_else(|| tenant_not_found(&slug))?;
    Ok(one.reply(ETag::version(tenant.version), TenantBody::from(tenant)))
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
    let listing = query.open(&app, ("tenant versions", None), scope.tenant, at_least).await?;
    let after = listing.after.as_deref().map(paging::read_change);
    let found =
        view::tenant_versions(&listing.view, scope.tenant, after, listing.as_of, query.limit.get() + 1);
    let partition = listing.view.position().partition;
    let place = |last: &view::TenantVersion| paging::write_change(last.change);
    Ok(listing.reply_cut(found, query.limit, place, |found| TenantVersion {
        position: found.change.to_text(partition),
        tenant: found.tenant.into(),
    }))
}
