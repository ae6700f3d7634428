//! Sesami, the appointment service: `POST` and `GET /api/appointments`.
//!
//! Invariants:
//! - An organisation is a tenant, which its first write creates where the server demands no keys ([`org`]).
//! - Its appointments claim the tenant's resource `default`, so that no two of them overlap. What native clients put
//!   on other resources is not in the list and not in the way.
//! - An id is the native `external_id`, one name space with the native API: of two writes of one id, the newer
//!   `updatedAt` wins, whichever way it came. What was cancelled is not in the list.
//! - Whatever is said about these paths has Sesami's shape and headers, refusals by the engine, by authentication and by
//!   the layers around all routes included ([`manner`]). Only the gate of a server that shuts down says problem details.
//! - A path below `/api/` that nobody serves is answered as Sesami did, whose prefix that was.
//!
//! Source: the running service, as taken down row by row in `tests/drop_in/sesami.json`.
//!
//! Next: [`body`] and [`query`] for what is read, [`answer`] for what is written, [`list`] for how a list of any
//! length is sent.

mod answer;
mod body;
mod list;
mod manner;
mod org;
mod query;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use maitred_booking::Outcome;
use maitred_booking::app::App;
use maitred_booking::appointments::{self, Effect, RESOURCE_DEFAULT};
use maitred_core::{Class, Rejection};
use maitred_web::idempotency::IDEMPOTENT_REPLAYED;
use maitred_web::limits::BODY_BYTES_MAX;
use maitred_web::{Attempt, Problem, json};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answer::{Answer, IGNORED_STALE, JSON_UTF8, OK, Row, TIME_RANGE_UNAVAILABLE};
use self::body::Upsert;
pub use self::manner::MannerLayer;
pub use self::org::ORG_DEFAULT;
use self::query::Selection;
use super::counted;

/// The description of these routes as Sesami's clients know it. `GET /openapi.json` describes them too.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The routes. Who may use them is decided by [`org`], since the tenant stands in the body or in the query.
pub fn routes(app: &App) -> OpenApiRouter<App> {
    let all = |routes: MethodRouter<App>| {
        // `any` first: it is what answers other methods, and it names none of them in `Allow`.
        counted(app, any(unknown).merge(routes), |problem| Answer::from(problem).into_response())
    };
    let (schemas, paths, appointments) = routes!(upsert, list);
    OpenApiRouter::new()
        .routes((schemas, paths, all(appointments)))
        .route("/api/docs-json", all(get(document)))
        .route("/api/{*path}", all(MethodRouter::new()))
}

/// Create an appointment, or change it if `updatedAt` is newer than what is known.
#[utoipa::path(
    post,
    path = "/api/appointments",
    operation_id = "sesami_upsert",
    tag = "sesami",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = Upsert,
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "`ok`, or `ignored-stale` where `updatedAt` is not newer", body = serde_json::Value, example = json!({"status": "ok"})),
        (status = 400, description = "`INVALID_DATE_FORMAT`, `INVALID_TIME_RANGE`, `INVALID_METADATA`; without a code: malformed", body = serde_json::Value, example = json!({"code": "INVALID_TIME_RANGE", "message": "start must be strictly before end."})),
        (status = 415, description = "The body is not JSON", body = serde_json::Value, example = json!({"statusCode": 415, "message": "Unsupported Media Type: application/xml"})),
        (status = 409, description = "Another appointment of the organisation is in the way", body = serde_json::Value, example = json!({"code": "TIME_RANGE_UNAVAILABLE", "message": "Requested time range is not available (overlaps with an existing appointment in this organization)."})),
    )
)]
async fn upsert(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let caller = org::caller(&app, &request)?;
    let attempt = Attempt::parse(request.headers(), request.method(), request.uri())?;
    let content_type = request.headers().get(CONTENT_TYPE).cloned();
    let body = json::read(request, BODY_BYTES_MAX).await?;
    let upsert = body::read(content_type.as_ref().map(HeaderValue::as_bytes), &body)?;
    let tenant = org::of_write(&app, &caller, &upsert.org).await?;
    let idempotency = attempt.identify(caller.actor, &body);
    let decided = app.decide((tenant, caller.actor), idempotency, body.len(), command(upsert)).await?;
    let answer = match decided.result {
        Ok(outcome) => accepted(&outcome),
        Err(rejection) => refused(rejection),
    };
    Ok(match decided.replayed {
        true => answer.with_header(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true")),
        false => answer,
    }
    .into_response())
}

fn command(upsert: Upsert) -> appointments::Command {
    appointments::Command::Upsert(appointments::Upsert {
        external_id: upsert.id,
        resource: RESOURCE_DEFAULT.to_owned(),
        starts_at: upsert.start,
        ends_at: upsert.end,
        created_at: upsert.created_at,
        updated_at: upsert.updated_at,
        title: None,
        metadata: None,
        if_version: None,
        if_none_match_any: false,
    })
}

/// What a message says whose content is the body of `POST /api/appointments`: the organisation that it names, and the
/// command. [`ORG_DEFAULT`] stands for none.
///
/// # Errors
/// A code and a sentence, as Sesami's clients know them.
pub fn read_message(json: &[u8]) -> Result<(String, appointments::Command), (String, String)> {
    let mut upsert = body::read(Some(b"application/json"), json).map_err(|answer| {
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        (text("code").unwrap_or_else(|| "INVALID_MESSAGE".to_owned()), text("message").unwrap_or_default())
    })?;
    Ok((std::mem::take(&mut upsert.org), command(upsert)))
}

fn accepted(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Appointments(outcome) if outcome.effect == Effect::IgnoredStale => IGNORED_STALE,
        _ => OK,
    }
}

fn refused(rejection: Rejection) -> Answer {
    match (rejection.class, &*rejection.code) {
        (Class::Conflict, "time-range-unavailable") => TIME_RANGE_UNAVAILABLE,
        _ => Problem::from(rejection).into(),
    }
}

/// The appointments of an organisation: all, or the one that covers an instant.
#[utoipa::path(
    get,
    path = "/api/appointments",
    operation_id = "sesami_list",
    tag = "sesami",
    params(
        ("org" = Option<String>, Query, description = "`default` where it is missing"),
        ("at" = Option<String>, Query, description = "Only what covers this instant"),
    ),
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "The whole array; of an organisation that is not known it is empty", body = [Row<'static>]),
        (status = 400, description = "`at` cannot be read", body = serde_json::Value, example = json!({"code": "INVALID_DATE_FORMAT", "message": "Invalid \"at\" date format. Use ISO or \"YYYY-MM-DDTHH:mm:ssZ\"."})),
    )
)]
async fn list(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let caller = org::caller(&app, &request)?;
    let Selection { org, at } = query::read(request.uri().query().unwrap_or_default())?;
    let tenant = org::of_read(&app, &caller, &org)?;
    Ok(list::answer(app, tenant, &org, at))
}

async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, JSON_UTF8)], DOCUMENT)
}

/// An unknown path, or an unknown method of a known one.
async fn unknown(method: Method, uri: Uri) -> Answer {
    let url = uri.path_and_query().map_or_else(|| uri.path(), |url| url.as_str());
    Answer::not_found(&method, url)
}
