//! The whole API on one page: every route with its permission.

use axum::routing::get;
use axum::{Router, middleware};
use maitred_booking::app::{Access, App, authorize};
use maitred_booking::appointments::http as appointments;
use maitred_web::limits::TimeoutLayer;
use maitred_web::loopback::loopback_only;
use maitred_web::request_id::RequestLayer;
use maitred_web::{Permission, Problem};
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::drop_in::sesami;

#[derive(OpenApi)]
#[openapi(info(title = "maitred", description = "Gives out what is scarce, exactly once."))]
struct Document;

/// The routes over `app`, and the document that describes them.
pub fn router(app: &App) -> (Router, utoipa::openapi::OpenApi) {
    use Permission::Integration;
    let with = |permission, routes| allow(app, permission, routes);
    let (routes, document) = OpenApiRouter::with_openapi(Document::openapi())
        // Appointments: time on a resource, owned by another system.
        .routes(with(Integration, routes!(appointments::list)))
        .routes(with(Integration, routes!(appointments::batch)))
        .routes(with(Integration, routes!(appointments::put, appointments::get, appointments::delete)))
        .routes(with(Integration, routes!(appointments::versions)))
        // The replaced services, at the paths that their clients know. Who may use them is decided there.
        .merge(sesami::routes())
        .split_for_parts();
    let mut routes = routes
        .with_state(app.clone())
        .route("/health/ready", get(|| async { "ready" }))
        .fallback(|| async { Problem::path_unknown() })
        .layer(TimeoutLayer::default());
    if app.access() == Access::Open {
        routes = routes.layer(middleware::from_fn(loopback_only));
    }
    (routes.layer(RequestLayer), document)
}

/// Lets only callers with `permission` through to these routes.
fn allow(app: &App, permission: Permission, routes: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    routes.layer(middleware::from_fn_with_state((app.clone(), permission), authorize))
}
