//! `/v1/tenants/{tenant}/webhooks` and `…/webhooks/{id}`.
//!
//! Invariant: a secret is in one answer, the one that made it, and in nothing that is stored or repeated.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_core::{Ids, TenantNumber};
use maitred_web::{
    AtLeast, Attempt, ETag, JsonBody, OptionalJsonBody, Page, Path, Preconditions, Problem, Query, Reply,
    Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{random, submit};
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::flash_sales::Versioned;
use crate::json::given;
use crate::paging::{self, ListQuery};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::One;
use crate::violation::{Violation, refuse_any};
use crate::webhooks::command::{
    CreateWebhook, DESCRIPTION_CHARS_MAX, KINDS_MAX, OVERLAP_HOURS_MAX, URL_BYTES_MAX, UpdateWebhook,
    validate_create, validate_update,
};
use crate::webhooks::fact::Endpoint;
use crate::webhooks::secret::{SECRET_BYTES, Sealed, Secret};
use crate::webhooks::{Command, Outcome, view};

// The attributes below take literals alone.
const _: () = assert!(URL_BYTES_MAX == 2_048 && DESCRIPTION_CHARS_MAX == 500);
const _: () = assert!(KINDS_MAX == 64 && OVERLAP_HOURS_MAX == 168);
/// For how long the secret before a rotation signs too, where nobody says.
const OVERLAP_HOURS: u32 = 24;

/// A webhook to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookInput {
    /// Where changes are sent: `https://…` or `http://…`, without a user name. A private address must be allowed by
    /// whoever runs the server. The change feed shows it: put no secret into it.
    #[schema(min_length = 1, max_length = 2048, example = "https://hooks.example/maitred")]
    url: String,
    /// For people.
    #[schema(max_length = 500)]
    #[serde(default)]
    description: Option<String>,
    /// The kinds of record whose changes are sent, as in the change feed; all of them where there is none.
    #[schema(max_items = 64, example = json!(["booking", "order"]))]
    #[serde(default)]
    kinds: Vec<String>,
    /// The types of change that are sent: `created`, `updated`, `cancelled`, `deleted`; all of them where there is none.
    #[schema(max_items = 4)]
    #[serde(default)]
    types: Vec<String>,
    /// Whether changes are sent.
    #[schema(default = true)]
    #[serde(default = "yes")]
    active: bool,
}

fn yes() -> bool {
    true
}

/// New values of a webhook's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookPatch)]
pub struct WebhookPatchInput {
    /// The URL. What was not delivered yet goes there too.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 2048)]
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    /// The description; null takes it away.
    #[schema(value_type = Option<String>, max_length = 500)]
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    /// The kinds.
    #[schema(value_type = Vec<String>, required = false, max_items = 64)]
    #[serde(default, deserialize_with = "given")]
    kinds: Option<Vec<String>>,
    /// The types.
    #[schema(value_type = Vec<String>, required = false, max_items = 4)]
    #[serde(default, deserialize_with = "given")]
    types: Option<Vec<String>>,
    /// Whether changes are sent; true also after the server has disabled it. Either way it goes on where it stopped.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

/// How a secret is to be rotated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationInput {
    /// For how many hours the old secret signs too, beside the new one; 24 where it is not said.
    #[schema(default = 24, maximum = 168)]
    #[serde(default)]
    overlap_hours: Option<u32>,
}

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookBody {
    id: Uuid,
    /// Where changes are sent.
    url: String,
    /// For people.
    description: Option<String>,
    /// The kinds of record whose changes are sent; all of them where there is none.
    kinds: Vec<String>,
    /// The types of change that are sent; all of them where there is none.
    types: Vec<String>,
    /// Whether its owner wants changes to be sent.
    active: bool,
    /// Why the server has disabled it: `gone` (it answered 410), `failing` (for five days without a success),
    /// `dead_letters` (10,000 of them). Setting `active` to true lifts it.
    disabled_reason: Option<&'static str>,
    /// When the server has disabled it.
    disabled_at: Option<Time>,
    /// Until when the secret before the last rotation signs too.
    previous_secret_until: Option<Time>,
    /// Whether it is gone for good.
    deleted: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Endpoint>> for WebhookBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Endpoint>) -> Self {
        WebhookBody {
            id: is.id,
            url: is.url,
            description: is.description,
            kinds: is.kinds,
            types: is.types,
            active: is.active,
            disabled_reason: is.disabled.map(|disabled| disabled.reason.as_str()),
            disabled_at: is.disabled.map(|disabled| Time(disabled.at)),
            previous_secret_until: is.previous.map(|previous| Time(previous.until)),
            deleted: is.deleted,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A webhook that has a new secret.
#[derive(Serialize, ToSchema)]
pub struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// What its deliveries are signed with (Standard Webhooks). Shown now and never again; a repeated request is answered
    /// without it.
    #[schema(required = false, pattern = "^whsec_[A-Za-z0-9+/]{43}=$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl std::fmt::Debug for WebhookWithSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookWithSecret").field("webhook", &self.webhook).finish_non_exhaustive()
    }
}

/// Create a webhook: what changes from now on is sent to a server of yours.
///
/// Deliveries are signed as Standard Webhooks says, by `webhook-id`, `webhook-timestamp` and `webhook-signature`. The body
/// is a change, as the change feed has it. Any 2xx accepts it; anything else is tried again, ten times over about three
/// days. Changes of one record arrive in their order.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks",
    tag = "webhooks",
    operation_id = "webhooks_create",
    params(TenantPath, IdempotencyHeader),
    request_body = WebhookInput,
    responses(
        (status = 201, description = "It is there. The only answer with the secret", body = WebhookWithSecret),
        (status = 429, description = "The tenant has 50 webhooks already"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<WebhookInput>,
) -> Result<Response, Problem> {
    let id = Ids::new(app.engine().now(), u64::from_le_bytes(random()?)).next();
    let (revealed, secret) = new_secret(&app, scope.tenant, id)?;
    let WebhookInput { url, description, kinds, types, active } = value;
    let create = CreateWebhook { id, url, description, kinds, types, active, secret };
    refuse_any(&validate_create(&create))?;
    refuse_unreachable(&app, Some(&create.url))?;
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::Create(create)).await?;
    Ok(answer(&app, scope.tenant, accepted, Some(revealed)))
}

/// The webhooks, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/webhooks",
    tag = "webhooks",
    operation_id = "webhooks_list",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of webhooks", body = Page<WebhookBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let listing = query.open(&app, ("webhooks", None), scope.tenant, at_least).await?;
    let after = listing.after.as_deref().map(|place| Uuid::from_bytes(paging::place(place)));
    let limit = query.limit.get() + 1;
    let found = view::endpoints(&listing.view, scope.tenant, after, listing.as_of, limit);
    Ok(listing.reply_cut(found, query.limit, |found| found.is.id.into_bytes(), WebhookBody::from))
}

/// One webhook.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/webhooks/{id}",
    tag = "webhooks",
    operation_id = "webhooks_get",
    params(
        TenantPath,
        ("id" = Uuid, Path, description = "The webhook's id"),
        crate::reading::OneQuery,
        PositionHeader,
        IfNoneMatchHeader
    ),
    responses(
        (status = 200, description = "The webhook", body = WebhookBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    let found = view::endpoint(&one.view, one.who.tenant, id, one.moment.as_of)
        .ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(one.reply(ETag::version(found.version), WebhookBody::from(found)))
}

/// Change a webhook: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/webhooks/{id}",
    tag = "webhooks",
    operation_id = "webhooks_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id"), IfMatchHeader, IdempotencyHeader),
    request_body = WebhookPatchInput,
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookBody),
        (status = 404, description = "It is not there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, endpoint)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<WebhookPatchInput>,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, endpoint)?;
    let WebhookPatchInput { url, description, kinds, types, active } = value;
    let update = UpdateWebhook { endpoint, url, description, kinds, types, active, if_version };
    refuse_any(&validate_update(&update))?;
    refuse_unreachable(&app, update.url.as_deref())?;
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::Update(update)).await?;
    Ok(answer(&app, scope.tenant, accepted, None))
}

/// Take a webhook away for good, with all that it had to deliver.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/webhooks/{id}",
    tag = "webhooks",
    operation_id = "webhooks_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is gone; this is its last version", body = WebhookBody),
        (status = 404, description = "It is not there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, endpoint)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, endpoint)?;
    let accepted = submit(&app, &scope, &attempt, &[], Command::Delete { endpoint, if_version }).await?;
    Ok(answer(&app, scope.tenant, accepted, None))
}

/// Give a webhook another secret. For `overlap_hours` each delivery carries a signature of both.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks/{id}/rotate-secret",
    tag = "webhooks",
    operation_id = "webhooks_rotate_secret",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id"), IdempotencyHeader),
    request_body = Option<RotationInput>,
    responses(
        (status = 200, description = "It has another one. The only answer with it", body = WebhookWithSecret),
        (status = 404, description = "It is not there"),
    )
)]
pub async fn rotate_secret(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, endpoint)): Path<(String, Uuid)>,
    attempt: Attempt,
    OptionalJsonBody { value, bytes }: OptionalJsonBody<RotationInput>,
) -> Result<Response, Problem> {
    let overlap_hours = value.overlap_hours.unwrap_or(OVERLAP_HOURS);
    if overlap_hours > OVERLAP_HOURS_MAX {
        let detail = format!("at most {OVERLAP_HOURS_MAX} hours.");
        return Err(Problem::field_refused("/overlap_hours", detail));
    }
    let (revealed, secret) = new_secret(&app, scope.tenant, endpoint)?;
    let command = Command::RotateSecret { endpoint, secret, overlap_hours };
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted, Some(revealed)))
}

/// A new secret, as it is shown and as it is kept.
fn new_secret(app: &App, tenant: TenantNumber, endpoint: Uuid) -> Result<(String, Sealed), Problem> {
    let secret = Secret::new(random::<SECRET_BYTES>()?);
    let sealed = app.webhooks().sealer().and_then(|sealer| sealer.seal(&secret, tenant, endpoint));
    let sealed = sealed.ok_or_else(|| {
        tracing::error!("there is no key that seals the secrets of webhooks");
        Problem::internal_error()
    })?;
    Ok((secret.reveal(), sealed))
}

/// Refuses a URL to which the guard of outgoing requests would let nothing go.
fn refuse_unreachable(app: &App, url: Option<&str>) -> Result<(), Problem> {
    let refused = url.and_then(|url| app.webhooks().courier()?.refuses(url));
    let violations: Vec<_> =
        refused.into_iter().map(|why| Violation::new("/url", "invalid-url", why)).collect();
    Ok(refuse_any(&violations)?)
}

/// What a secret is shown in: an answer that nobody keeps.
fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>, secret: Option<String>) -> Response {
    let Accepted { outcome: Outcome::Endpoint { created, endpoint }, position, replayed } = accepted else {
        unreachable!("a command on a webhook is answered with {accepted:?}");
    };
    let (etag, id) = (ETag::version(endpoint.version), endpoint.is.id);
    let shown = secret.is_some();
    // A remembered answer is about the first attempt's secret, which nobody has any more.
    let body = WebhookWithSecret { webhook: (*endpoint).into(), secret: secret.filter(|_| !replayed) };
    let reply = if created {
        let slug = crate::tenants::tenant(&app.engine().view(), tenant).map(|found| found.profile.slug);
        Reply::created(&format!("/v1/tenants/{}/webhooks/{id}", slug.unwrap_or_default()), body)
    } else {
        Reply::new(StatusCode::OK, body)
    };
    let mut response = reply.at(position).tagged(etag).replayed(replayed).into_response();
    if shown {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn version_now(
    app: &App,
    scope: &Scope,
    preconditions: &Preconditions,
    id: Uuid,
) -> Result<Option<u64>, Problem> {
    version_wanted(preconditions, || {
        Some(view::endpoint(&app.engine().view(), scope.tenant, id, None)?.version)
    })
}
