//! The native API of appointments: `/v1/tenants/{tenant}/appointments…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`]. Next: [`batch`].

pub mod batch;

use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use maitred_core::{TenantNumber, Timestamp};
use maitred_web::page::ListCursors;
use maitred_web::{
    AsOf, AtLeast, Attempt, ETag, JsonBody, Limit, Page, Preconditions, Problem, Query, Reply, Time, problem,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::command::{Cancel, Command, RESOURCE_CHARS_MAX, RESOURCE_DEFAULT, Upsert};
use super::rules::{Effect, Outcome};
use super::view::{self, Appointment, Cursor, Versioned};
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::json::JsonObject;
use crate::paging::{self, ListQuery, Listing};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::slot::Interval;
use crate::violation::{Violation, refuse_any};

/// The external id that stands in the path of the batch.
const BATCH: &str = "batch";

/// The external id of a path, as an argument of a handler.
///
/// # Errors
/// 400 `path-invalid` where it is not UTF-8.
#[derive(Debug)]
pub struct ExternalId(String);

impl<S: Send + Sync> FromRequestParts<S> for ExternalId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::new(problem::PATH_INVALID, "The path is not UTF-8."))?;
        let given = params.iter().find_map(|(name, value)| (name == "external_id").then_some(value));
        Ok(ExternalId(given.unwrap_or(BATCH).to_owned()))
    }
}

/// The external id of a path, for the API document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ExternalIdPath {
    /// The owner's id, percent-encoded.
    #[param(min_length = 1, max_length = 255)]
    pub external_id: String,
}

/// An appointment as its owner sends it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppointmentInput {
    /// On what; `default` if absent.
    #[schema(min_length = 1, max_length = 128, default = "default")]
    #[serde(default)]
    resource: Option<String>,
    /// The first instant.
    starts_at: Time,
    /// The first instant behind it.
    ends_at: Time,
    /// When the owner created it; not after `updated_at`.
    created_at: Time,
    /// When the owner changed it last; the newest wins.
    updated_at: Time,
    /// A title.
    #[schema(max_length = 200)]
    #[serde(default)]
    title: Option<String>,
    /// Any JSON object; its text has at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
}

/// An appointment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Appointment)]
pub struct AppointmentBody {
    id: Uuid,
    external_id: String,
    /// Absent knowledge is null: of an id that was cancelled before anything else was known, `resource` and
    /// the times are.
    resource: Option<String>,
    starts_at: Option<Time>,
    ends_at: Option<Time>,
    created_at: Option<Time>,
    updated_at: Time,
    /// From 1.
    version: u64,
    /// When this version was decided here.
    received_at: Time,
    title: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    /// Whether it claims no time any more.
    cancelled: bool,
}

impl From<Appointment> for AppointmentBody {
    fn from(from: Appointment) -> Self {
        AppointmentBody {
            id: from.id,
            external_id: from.external_id,
            resource: from.resource,
            starts_at: from.starts_at.map(Time),
            ends_at: from.ends_at.map(Time),
            created_at: from.created_at.map(Time),
            updated_at: Time(from.updated_at),
            version: from.version,
            received_at: Time(from.received_at),
            title: from.title,
            metadata: from.metadata.map(raw),
            cancelled: from.cancelled,
        }
    }
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("what is stored or made here is JSON")
}

/// What became of a write.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppointmentAnswer {
    /// What was done. `ignored_stale`: the system knows of something as new or newer.
    #[schema(pattern = "^(created|updated|ignored_stale|cancelled)$")]
    outcome: &'static str,
    /// The appointment as it is now.
    appointment: AppointmentBody,
}

impl From<Outcome> for AppointmentAnswer {
    fn from(outcome: Outcome) -> Self {
        AppointmentAnswer { outcome: outcome.effect.as_str(), appointment: outcome.appointment.into() }
    }
}

/// The command of an input.
///
/// # Errors
/// 400 `body-invalid` where `metadata` is no object, 422 `invalid-external-id` for one that no path can name: clients
/// take the dots out of a path before they send it (RFC 3986, section 5.2.4), however they are encoded. 422
/// `invalid-resource` for a name with blanks around it, which would be another resource than the one that is meant; the
/// clients of a replaced service may have such names, so the rules take them.
fn upsert(external_id: String, input: AppointmentInput) -> Result<Upsert, Problem> {
    if matches!(external_id.as_str(), "." | "..") {
        let detail = "external_id must not be . or .., which cannot stand in a path";
        refuse_any(&[Violation::new("/external_id", "invalid-external-id", detail)])?;
    }
    if let Some(resource) = &input.resource
        && resource.trim() != resource
    {
        let detail = "resource must not begin or end with a blank";
        refuse_any(&[Violation::new("/resource", "invalid-resource", detail)])?;
    }
    let metadata = input.metadata.map(|metadata| JsonObject::parse(metadata.get())).transpose();
    let metadata = metadata.map_err(|not| {
        let problem = Problem::new(maitred_web::problem::BODY_INVALID, format!("metadata: {not}."));
        problem.with_field("/metadata", not.to_string())
    })?;
    Ok(Upsert {
        external_id,
        resource: input.resource.unwrap_or_else(|| RESOURCE_DEFAULT.to_owned()),
        starts_at: input.starts_at.0,
        ends_at: input.ends_at.0,
        created_at: input.created_at.0,
        updated_at: input.updated_at.0,
        title: input.title,
        metadata,
        if_version: None,
        if_none_match_any: false,
    })
}

fn outcome(outcome: crate::Outcome) -> Outcome {
    match outcome {
        crate::Outcome::Appointments(outcome) => outcome,
        other => unreachable!("an appointment's command is answered with {other:?}"),
    }
}

/// What lets a write create and nothing else.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatchAnyHeader {
    /// `*`: only if there is no such appointment, not even a cancelled one; else 412.
    #[param(rename = "If-None-Match")]
    pub if_none_match: Option<String>,
}

/// Create an appointment, or change it if `updated_at` is newer than what is known.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/appointments/{external_id}",
    tag = "appointments",
    operation_id = "appointments_put",
    params(TenantPath, ExternalIdPath, IfMatchHeader, IfNoneMatchAnyHeader, IdempotencyHeader),
    request_body = AppointmentInput,
    responses(
        (status = 201, description = "It is new", body = AppointmentAnswer),
        (status = 200, description = "It was changed, or the update was stale and ignored", body = AppointmentAnswer),
        (status = 409, description = "The time is taken: `conflicts` names the appointments in the way"),
        (status = 412, description = "It is at another version, or is there already"),
    )
)]
pub async fn put(
    State(app): State<App>,
    scope: Scope,
    ExternalId(external_id): ExternalId,
    mut preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<AppointmentInput>,
) -> Result<Response, Problem> {
    let mut command = upsert(external_id, value)?;
    // Whether it is there already is for the writer to say.
    command.if_none_match_any =
        preconditions.if_none_match.take_if(|none| !none.holds(Some(&ETag::version(0)))).is_some();
    command.if_version = version_now(&app, &scope, &preconditions, &command.external_id)?;
    let idempotency = attempt.identify(scope.caller.actor, &bytes);
    let accepted = app.submit(scope.who(), idempotency, bytes.len(), Command::Upsert(command)).await?;
    Ok(answer(accepted))
}

fn answer(Accepted { outcome: accepted, position, replayed }: Accepted<crate::Outcome>) -> Response {
    let outcome = outcome(accepted);
    let status = if outcome.effect == Effect::Created { StatusCode::CREATED } else { StatusCode::OK };
    let etag = ETag::version(outcome.appointment.version);
    Reply::new(status, AppointmentAnswer::from(outcome))
        .at(position)
        .tagged(etag)
        .replayed(replayed)
        .into_response()
}

fn version_now(
    app: &App,
    scope: &Scope,
    preconditions: &Preconditions,
    external_id: &str,
) -> Result<Option<u64>, Problem> {
    let current = || Some(view::get(&app.engine().view(), scope.tenant, external_id, None)?.version);
    version_wanted(preconditions, current)
}

/// When the owner cancelled it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CancelQuery {
    /// When the owner cancelled it; the newest write wins.
    #[param(inline)]
    updated_at: Time,
}

/// Cancel an appointment: its time is free, its history stays.
///
/// An id that is not known is cancelled too, so that an older write that arrives later is stale: the answer then has
/// version 1, and neither `resource` nor times.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/appointments/{external_id}",
    tag = "appointments",
    operation_id = "appointments_delete",
    params(TenantPath, ExternalIdPath, CancelQuery, IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is cancelled, or the cancellation was stale and ignored", body = AppointmentAnswer),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    scope: Scope,
    ExternalId(external_id): ExternalId,
    Query(query): Query<CancelQuery>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, &external_id)?;
    let command = Cancel { external_id, updated_at: query.updated_at.0, if_version };
    let idempotency = attempt.identify(scope.caller.actor, &[]);
    let accepted = app.submit(scope.who(), idempotency, 256, Command::Cancel(command)).await?;
    Ok(answer(accepted))
}

/// One appointment, cancelled or not.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/appointments/{external_id}",
    tag = "appointments",
    operation_id = "appointments_get",
    params(TenantPath, ExternalIdPath, OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The appointment", body = AppointmentBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not known, or was not known then"),
    )
)]
pub async fn get(ExternalId(external_id): ExternalId, one: One) -> Result<Response, Problem> {
    let found = view::get(&one.view, one.who.tenant, &external_id, one.moment.as_of)
        .ok_or_else(|| Problem::not_found("appointment of this external id"))?;
    Ok(one.reply(ETag::version(found.version), AppointmentBody::from(found)))
}

/// Which appointments are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AppointmentsQuery {
    /// Those on this resource alone.
    #[param(min_length = 1, max_length = 128)]
    #[serde(default)]
    resource: Option<String>,
    /// Those that end after this instant.
    #[param(inline)]
    #[serde(default)]
    from: Option<Time>,
    /// Those that start before this instant.
    #[param(inline)]
    #[serde(default)]
    to: Option<Time>,
    /// Those that cover this instant; not together with `from` and `to`.
    #[param(inline)]
    #[serde(default)]
    at: Option<Time>,
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

impl AppointmentsQuery {
    fn interval(&self) -> Result<Interval, Problem> {
        match (self.at, self.from, self.to) {
            (None, from, to) => {
                if let (Some(from), Some(to)) = (from, to)
                    && from >= to
                {
                    return Err(Problem::query_invalid("to", "to must be after from"));
                }
                Ok(Interval { from: from.map(Timestamp::from), to: to.map(Timestamp::from) })
            }
            (Some(at), None, None) => Ok(Interval::at(at.0)),
            _ => Err(Problem::query_invalid("at", "at stands alone, without from and to")),
        }
    }

    fn cursors(&self, app: &App, tenant: TenantNumber) -> ListCursors {
        let time = |time: Option<Time>| time.map(|time| time.0.as_micros().to_be_bytes());
        paging::cursors(app, "appointments", tenant, self.as_of)
            .filtered_by(self.resource.as_deref())
            .filtered_by(time(self.from))
            .filtered_by(time(self.to))
            .filtered_by(time(self.at))
    }
}

/// The appointments that claim time, by resource, then start.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/appointments",
    tag = "appointments",
    operation_id = "appointments_list",
    params(TenantPath, AppointmentsQuery, PositionHeader),
    responses((status = 200, description = "A page of appointments; it may be short and have a next one", body = Page<AppointmentBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<AppointmentsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let interval = query.interval()?;
    if let Some(resource) = &query.resource
        && !(1..=RESOURCE_CHARS_MAX).contains(&resource.chars().count())
    {
        let detail = format!("a resource has 1 to {RESOURCE_CHARS_MAX} characters.");
        return Err(Problem::query_invalid("resource", detail));
    }
    let cursors = query.cursors(&app, scope.tenant);
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), query.as_of, at_least).await?;
    let wanted = view::Query { resource: query.resource.as_deref(), interval, as_of: listing.as_of };
    let after = listing.after.as_deref().map(read_cursor);
    let page = view::list(&listing.view, scope.tenant, &wanted, after, query.limit.get());
    Ok(listing.reply(page.items.into_iter().map(AppointmentBody::from), page.next.map(write_cursor)))
}

fn write_cursor(cursor: Cursor) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&cursor.resource.to_be_bytes());
    bytes[4..].copy_from_slice(&cursor.starts_at.as_micros().to_be_bytes());
    bytes
}

fn read_cursor(opened: &[u8]) -> Cursor {
    let (resource, starts_at) = opened.split_at(4);
    Cursor {
        resource: u32::from_be_bytes(paging::place(resource)),
        starts_at: Timestamp::from_micros(i64::from_be_bytes(paging::place(starts_at))),
    }
}

/// One version of an appointment.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppointmentVersion {
    #[serde(flatten)]
    appointment: AppointmentBody,
    /// Where it stands in the log: `<partition>.<seq>.<ordinal>`.
    position: String,
}

/// Every version of an appointment, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/appointments/{external_id}/versions",
    tag = "appointments",
    operation_id = "appointments_versions",
    params(TenantPath, ExternalIdPath, ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<AppointmentVersion>),
        (status = 404, description = "It is not known"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    ExternalId(external_id): ExternalId,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let list = ("appointment versions", Some(external_id.as_bytes()));
    let listing = query.open(&app, list, scope.tenant, at_least).await?;
    let after = listing.after.as_deref().map(paging::read_change);
    let most = query.limit.get() + 1;
    let found = view::versions(&listing.view, scope.tenant, &external_id, after, listing.as_of, most);
    if found.is_empty() && after.is_none() {
        return Err(Problem::not_found("appointment of this external id"));
    }
    let place = |last: &Versioned| paging::write_change(last.change);
    let partition = listing.view.position().partition;
    Ok(listing.reply_cut(found, query.limit, place, |found| AppointmentVersion {
        position: found.change.to_text(partition),
        appointment: found.appointment.into(),
    }))
}
