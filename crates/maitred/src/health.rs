//! Whether the server lives, and whether it takes traffic.
//!
//! All of it is public, whatever the access: load balancers and orchestrators have no keys, and it tells nothing
//! but what a connection tells.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_booking::app::App;
use maitred_booking::readiness::Phase;
use maitred_engine::Unavailable;
use maitred_web::{Problem, Reply, Time};
use serde::Serialize;
use utoipa::ToSchema;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `OK`; from `/health` also `LOG_DAMAGED`: an older part of the log is not as it was written. The server reads
    /// and writes on, and its operator has something to do.
    #[schema(pattern = "^(OK|LOG_DAMAGED)$")]
    status: &'static str,
    /// When it was asked.
    timestamp: Time,
}

fn well(app: &App) -> Response {
    answer(app, "OK")
}

fn answer(app: &App, status: &'static str) -> Response {
    Reply::ok(Health { status, timestamp: Time(app.engine().now()) }).into_response()
}

/// Whether the server lives, and whether its operator should look at it.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    operation_id = "health",
    responses((status = 200, description = "It lives", body = Health))
)]
pub async fn health(State(app): State<App>) -> Response {
    if app.soundness().damage().is_empty() { well(&app) } else { answer(&app, "LOG_DAMAGED") }
}

/// Whether the server lives: a restart would help if it does not answer.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operation",
    operation_id = "health_live",
    responses((status = 200, description = "It lives", body = Health))
)]
pub async fn live(State(app): State<App>) -> Response {
    well(&app)
}

/// Whether the server takes traffic: not before it has caught up with its log, and not while it shuts down.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operation",
    operation_id = "health_ready",
    responses(
        (status = 200, description = "It takes traffic", body = Health),
        (status = 503, description = "`replica-behind` while it starts, `draining` while it shuts down"),
    )
)]
pub async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    match app.readiness().phase() {
        Phase::Starting => Err(Unavailable::ReplicaBehind.into()),
        Phase::Ready => Ok(well(&app)),
        Phase::Draining => Err(Unavailable::Draining.into()),
    }
}
