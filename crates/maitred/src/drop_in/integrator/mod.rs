//! The event integrator: `GET /v1/events/search` and `GET /v1/health`.
//!
//! Invariants:
//! - The tenant is the header `X-Tenant`, else the server's default tenant ([`tenant`]).
//! - Whatever is said about these paths has this service's shapes and headers, refusals by the engine included.
//! - An answer is of now: the replaced service kept one answer for every range.
//!
//! Source: the running service, as taken down row by row in `tests/drop_in/integrator.json`.
//!
//! Next: [`query`] for what is read, [`answer`] for what is written, [`list`] for how a list of any length is sent.

mod answer;
mod instant;
mod list;
mod query;
mod tenant;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use maitred_booking::app::App;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use uuid::Uuid;

use self::answer::Answer;
use super::counted;

/// The routes. Who may use them is decided by [`tenant`].
pub fn routes(app: &App) -> OpenApiRouter<App> {
    // Answers other methods as the service did, and puts its headers around every answer, a refusal to count it too.
    let all = |routes: MethodRouter<App>| {
        let routes = counted(app, any(other).merge(routes), |problem| Answer::from(problem).into_response());
        routes.layer(middleware::from_fn(answer::around))
    };
    let of = |(schemas, paths, routes): UtoipaMethodRouter<App>| (schemas, paths, all(routes));
    OpenApiRouter::new()
        .routes(of(routes!(search)))
        .routes(of(routes!(health)))
        .route("/v1/events/search/", all(get(search)))
        .route("/v1/health/", all(get(health)))
}

/// An event of the list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IntegratorEvent)]
struct Row {
    id: Uuid,
    title: String,
    /// The earliest start of its plans, in UTC.
    start_date: String,
    start_time: String,
    /// The latest end of its plans, in UTC.
    end_date: String,
    end_time: String,
    /// The smallest price of its zones, those of other dates too.
    min_price: Option<f64>,
    /// The greatest price of its zones.
    max_price: Option<f64>,
}

/// What a search answers.
#[derive(ToSchema)]
#[schema(as = IntegratorSearch)]
#[expect(dead_code, reason = "it describes what is written row by row")]
struct Found {
    data: FoundEvents,
    /// Null.
    error: Option<String>,
}

/// What was found.
#[derive(ToSchema)]
#[schema(as = IntegratorFound)]
#[expect(dead_code, reason = "it describes what is written row by row")]
struct FoundEvents {
    /// All of them, in no order that is promised.
    events: Vec<Row>,
}

/// The events that were ever sold online and have a plan that starts in a range, both ends included.
#[utoipa::path(
    get,
    path = "/v1/events/search",
    operation_id = "integrator_search",
    tag = "event integrator",
    params(
        ("starts_at" = String, Query, description = "ISO 8601; in UTC without a zone"),
        ("ends_at" = String, Query, description = "After `starts_at`; with a zone if that has one"),
        ("X-Tenant" = Option<String>, Header, description = "The tenant; the server's default tenant without it"),
    ),
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "All of them", body = Found),
        (status = 400, description = "`starts_at` or `ends_at` is missing, unreadable or reversed", body = serde_json::Value),
    )
)]
async fn search(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let tenant = tenant::of_read(&app, &request)?;
    let range = query::read(request.uri().query().unwrap_or_default())?;
    Ok(list::answer(app, tenant, range))
}

/// That the server runs.
#[utoipa::path(
    get,
    path = "/v1/health",
    operation_id = "integrator_health",
    tag = "event integrator",
    security(()),
    responses((status = 200, description = "It does", body = serde_json::Value))
)]
async fn health() -> Answer {
    Answer::ok("{\"status\":\"ok\"}\n")
}

/// Another method of a known path.
async fn other(method: Method) -> Response {
    match method {
        Method::OPTIONS => answer::options(),
        _ => answer::method_not_allowed().into_response(),
    }
}
