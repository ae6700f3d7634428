//! The whole API on one page: every route with its permission.

use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router, middleware};
use maitred_booking::app::{Access, App, authorize};
use maitred_booking::appointments::http as appointments;
use maitred_web::limits::{BodyBytesMax, TimeoutLayer};
use maitred_web::loopback::loopback_only;
use maitred_web::request_id::RequestLayer;
use maitred_web::{Permission, Problem};
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::config::Limits;
use crate::drop_in::sesami;
use crate::transfer_http as transfer;

#[derive(OpenApi)]
#[openapi(info(title = "maitred", description = "Gives out what is scarce, exactly once."))]
struct Document;

/// The routes over `app` with the default limits, and the document that describes them.
pub fn router(app: &App) -> (Router, utoipa::openapi::OpenApi) {
    with_limits(app, &Limits::default())
}

/// The routes over `app`, and the document that describes them.
pub fn with_limits(app: &App, limits: &Limits) -> (Router, utoipa::openapi::OpenApi) {
    use Permission::{Integration, Owner};
    let with = |permission, routes| allow(app, permission, routes);
    let default = Limits::default();
    let (routes, document) = OpenApiRouter::with_openapi(Document::openapi())
        // Appointments: time on a resource, owned by another system.
        .routes(with(Integration, routes!(appointments::list)))
        .routes(bounded(
            (limits.batch_body_bytes, default.batch_body_bytes),
            with(Integration, routes!(appointments::batch)),
        ))
        .routes(with(Integration, routes!(appointments::put, appointments::get, appointments::delete)))
        .routes(with(Integration, routes!(appointments::versions)))
        // A tenant as a whole.
        .routes(with(Owner, routes!(transfer::export)))
        .routes(bounded((limits.import_body_bytes, u64::MAX), with(Owner, routes!(transfer::import))))
        // The replaced services, at the paths that their clients know. Who may use them is decided there.
        .merge(sesami::routes())
        .split_for_parts();
    let mut routes = routes
        .with_state(app.clone())
        .route("/health/ready", get(|| async { "ready" }))
        .fallback(|| async { Problem::path_unknown() })
        .layer(TimeoutLayer(Duration::from_secs(limits.request_seconds)));
    if limits.body_bytes != default.body_bytes {
        routes = routes.layer(Extension(BodyBytesMax(limits.body_bytes as usize)));
    }
    if app.access() == Access::Open {
        routes = routes.layer(middleware::from_fn(loopback_only));
    }
    (routes.layer(RequestLayer), document)
}

/// Lets only callers with `permission` through to these routes.
fn allow(app: &App, permission: Permission, routes: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    routes.layer(middleware::from_fn_with_state((app.clone(), permission), authorize))
}

/// Sets the bound of these routes' bodies, unless it is the one that they have of themselves.
fn bounded((bytes_max, default): (u64, u64), routes: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    if bytes_max == default { routes } else { routes.layer(Extension(BodyBytesMax(bytes_max as usize))) }
}
