//! `/v1/tenants/{tenant}/providers…`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;

use super::bodies::{ProviderBody, ProviderStatus};
use super::submit;
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::catalogue::command::{Command, CreateProvider, ProviderPatch, UpdateProvider};
use crate::catalogue::fact::{Format, Provider, SealedHeader};
use crate::catalogue::rules::{Effect, Outcome};
use crate::catalogue::view::{self, Versioned};
use crate::flash_sales::http::{RecordVersion, tag, versions_of, write_reply};
use crate::json::given;
use crate::money::Currency;
use crate::paging::{self, ListQuery};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::tenants;
use crate::violation::{Violation, refuse_any};

/// How often a provider is asked that does not say how often it wants to be.
const INTERVAL_SECONDS_DEFAULT: u32 = 60;
/// How long a fetch takes at most where nobody says otherwise.
const TIMEOUT_SECONDS_DEFAULT: u32 = 10;
/// The longest value of a header, in bytes.
const HEADER_VALUE_BYTES_MAX: usize = 4_096;

/// A provider to be brought in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderInput {
    /// Its name in paths. It never changes.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "arena")]
    name: String,
    /// Where its feed is.
    #[schema(min_length = 1, max_length = 2000, example = "https://feeds.example/arena.xml")]
    url: String,
    /// The form of its feed.
    #[serde(default)]
    format: FormatName,
    /// How long after a run the next one begins.
    #[schema(minimum = 1, maximum = 604_800, default = 60)]
    #[serde(default = "interval")]
    interval_seconds: u32,
    /// How long a fetch may take.
    #[schema(minimum = 1, maximum = 600, default = 10)]
    #[serde(default = "timeout")]
    timeout_seconds: u32,
    /// In which IANA time zone its times without an offset are; the tenant's without it.
    #[schema(min_length = 1, max_length = 64, example = "Europe/Madrid")]
    #[serde(default)]
    time_zone: Option<String>,
    /// In which currency its prices are; the tenant's without it.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    #[serde(default)]
    currency: Option<String>,
    /// Headers that are sent with each fetch, such as a key. Their values are kept sealed and never shown again.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Whether it is synced.
    #[schema(default = true)]
    #[serde(default = "yes")]
    active: bool,
}

/// The form of a feed.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub enum FormatName {
    /// XML: `planList` / `output` / `base_plan` / `plan` / `zone`.
    #[default]
    #[serde(rename = "planlist-xml")]
    PlanlistXml,
}

fn interval() -> u32 {
    INTERVAL_SECONDS_DEFAULT
}

fn timeout() -> u32 {
    TIMEOUT_SECONDS_DEFAULT
}

fn yes() -> bool {
    true
}

/// New values of a provider's fields; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderPatch)]
pub struct ProviderPatchInput {
    /// The URL.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 2000)]
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    /// The interval.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 604_800)]
    #[serde(default, deserialize_with = "given")]
    interval_seconds: Option<u32>,
    /// The timeout.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 600)]
    #[serde(default, deserialize_with = "given")]
    timeout_seconds: Option<u32>,
    /// The time zone: the next run states every event anew.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64)]
    #[serde(default, deserialize_with = "given")]
    time_zone: Option<String>,
    /// The currency: the next run states every event anew.
    #[schema(value_type = String, required = false, pattern = "^[A-Z]{3}$")]
    #[serde(default, deserialize_with = "given")]
    currency: Option<String>,
    /// All headers.
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    #[serde(default, deserialize_with = "given")]
    headers: Option<BTreeMap<String, String>>,
    /// Whether it is synced.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

/// Seals the headers of a provider of a tenant.
fn sealed(
    app: &App,
    (tenant, provider): (TenantNumber, &str),
    headers: BTreeMap<String, String>,
) -> Result<Vec<SealedHeader>, Problem> {
    let sound = |value: &str| {
        (1..=HEADER_VALUE_BYTES_MAX).contains(&value.len())
            && value.trim() == value
            && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
    };
    let mut found = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        if !sound(&value) {
            let detail = format!(
                "the value of a header is 1 to {HEADER_VALUE_BYTES_MAX} visible ASCII characters, with no blanks around"
            );
            refuse_any(&[Violation::new("/headers", "invalid-headers", detail)])?;
        }
        let name = name.to_ascii_lowercase();
        let context = header_context(tenant, provider, &name);
        let sealed = app.sealer().seal(value.as_bytes(), &context).ok_or_else(Problem::internal_error)?;
        found.push(SealedHeader { name, sealed });
    }
    Ok(found)
}

/// What a header is sealed for.
pub fn header_context(tenant: TenantNumber, provider: &str, name: &str) -> Vec<u8> {
    format!("catalogue header {} {provider} {name}", tenant.0).into_bytes()
}

fn currency(code: &str) -> Result<Currency, Problem> {
    let parsed = Currency::parse(code);
    if parsed.is_none() {
        let detail = "currency must be an ISO 4217 code, such as EUR";
        refuse_any(&[Violation::new("/currency", "invalid-currency", detail)])?;
    }
    parsed.ok_or_else(Problem::internal_error)
}

fn zone_exists(time_zone: &str) -> Result<(), Problem> {
    if jiff::tz::TimeZone::get(time_zone).is_err() {
        let detail = "time_zone must be an IANA time zone, such as Europe/Berlin";
        refuse_any(&[Violation::new("/time_zone", "invalid-time-zone", detail)])?;
    }
    Ok(())
}

fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Provider { effect, provider }, position, replayed } = accepted else {
        unreachable!("a command on a provider is answered with {accepted:?}");
    };
    let slug = tenants::tenant(&app.engine().view(), tenant).map(|tenant| tenant.profile.slug);
    let path = || format!("/v1/tenants/{}/providers/{}", slug.unwrap_or_default(), provider.is.name);
    let location = (effect == Effect::Created).then(path);
    let state = view::state(&app.engine().view(), tenant, &provider.is.name);
    let version = provider.version;
    write_reply((version, ProviderStatus::new(provider, &state)), location, (position, replayed))
}

/// Bring in a provider of events: it is synced at once, and then every `interval_seconds`.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/providers",
    tag = "catalogue",
    operation_id = "providers_create",
    params(TenantPath, IdempotencyHeader),
    request_body = ProviderInput,
    responses(
        (status = 201, description = "It is there", body = ProviderStatus),
        (status = 409, description = "There is a provider of this name"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ProviderInput>,
) -> Result<Response, Problem> {
    let profile = tenants::tenant(&app.engine().view(), scope.tenant).map(|tenant| tenant.profile);
    let of_tenant = |take: fn(tenants::Profile) -> String| profile.clone().map(take).unwrap_or_default();
    let time_zone = value.time_zone.unwrap_or_else(|| of_tenant(|profile| profile.time_zone));
    zone_exists(&time_zone)?;
    let command = CreateProvider {
        headers: sealed(&app, (scope.tenant, &value.name), value.headers)?,
        name: value.name,
        url: value.url,
        format: match value.format {
            FormatName::PlanlistXml => Format::PlanlistXml,
        },
        interval_seconds: value.interval_seconds,
        timeout_seconds: value.timeout_seconds,
        time_zone,
        currency: currency(&value.currency.unwrap_or_else(|| of_tenant(|profile| profile.currency)))?,
        active: value.active,
    };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::CreateProvider(command)).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// The providers, with how far each is.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/providers",
    tag = "catalogue",
    operation_id = "providers_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of providers; how far they are is always of now", body = Page<ProviderStatus>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let listing = query.open(&app, ("providers", None), scope.tenant, at_least).await?;
    let view = &listing.view;
    let after = listing.after.as_deref().map(|place| u128::from_be_bytes(paging::place(place)));
    let found = view::providers(view, scope.tenant, after, listing.as_of, query.limit.get());
    let body = |provider: Versioned<Provider>| {
        let state = view::state(view, scope.tenant, &provider.is.name);
        ProviderStatus::new(provider, &state)
    };
    Ok(listing.reply(found.items.into_iter().map(body), found.next))
}

/// One provider, with how far it is.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/providers/{provider}",
    tag = "catalogue",
    operation_id = "providers_get",
    params(TenantPath, ("provider" = String, Path, description = "The provider's name"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The provider; how far it is is always of now", body = ProviderStatus),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, name)): Path<(String, String)>, one: One) -> Result<Response, Problem> {
    let found = view::provider(&one.view, one.who.tenant, &name, one.moment.as_of)
        .ok_or_else(|| Problem::not_found("provider"))?;
    let version = found.version;
    let body = ProviderStatus::new(found, &view::state(&one.view, one.who.tenant, &name));
    Ok(one.reply(tag(version, &body), body))
}

/// Change a provider: what is absent stays. It is synced at once.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/providers/{provider}",
    tag = "catalogue",
    operation_id = "providers_update",
    params(TenantPath, ("provider" = String, Path, description = "The provider's name"), IfMatchHeader, IdempotencyHeader),
    request_body = ProviderPatchInput,
    responses(
        (status = 200, description = "The provider as it is now", body = ProviderStatus),
        (status = 404, description = "It is not there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, name)): Path<(String, String)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ProviderPatchInput>,
) -> Result<Response, Problem> {
    let if_version = version_wanted(&preconditions, || {
        Some(view::provider(&app.engine().view(), scope.tenant, &name, None)?.version)
    })?;
    value.time_zone.as_deref().map(zone_exists).transpose()?;
    let headers = value.headers.map(|headers| sealed(&app, (scope.tenant, &name), headers)).transpose()?;
    let patch = ProviderPatch {
        url: value.url,
        interval_seconds: value.interval_seconds,
        timeout_seconds: value.timeout_seconds,
        time_zone: value.time_zone,
        currency: value.currency.as_deref().map(currency).transpose()?,
        headers,
        active: value.active,
    };
    let command = Command::UpdateProvider(UpdateProvider { provider: name, patch, if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Every version of a provider, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/providers/{provider}/versions",
    tag = "catalogue",
    operation_id = "providers_versions",
    params(TenantPath, ("provider" = String, Path, description = "The provider's name"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<ProviderBody>>),
        (status = 404, description = "It was never there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, name)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let record = view::provider_record(scope.tenant, &name);
    versions_of::<Provider, ProviderBody>(&app, record, &query, at_least).await
}
