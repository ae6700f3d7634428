//! Bookipi's flash sale: `POST /users` and `POST /users/authenticate`, `GET /sales` and `POST /sales/update`, `POST` and
//! `GET /orders`. (`GET /health` is the server's own.)
//!
//! Invariants:
//! - The tenant is the header `X-Tenant`, else the server's default tenant ([`tenant`]).
//! - Whatever is said about these paths has this service's shapes and headers, refusals by the engine included. Only
//!   what the layers around all routes refuse is problem details: no answer in time, a host that is not loopback.
//! - A path is the same in capital letters and with a slash at its end ([`respelt`]).
//! - A user is the native API's user: one account, one password, one kind of token. So is a sale, and an order.
//!
//! Source: the running service, as taken down row by row in `tests/drop_in/bookipi.json`.
//!
//! Next: [`users`], [`sales`] and [`orders`] for the routes; [`body`] for what is read and how it is found wrong, [`answer`] for what is
//! written, [`headers`] for what stands around every answer.

mod answer;
mod body;
mod headers;
mod instant;
mod orders;
mod sales;
pub mod tenant;
mod users;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use axum::{Router, handler::Handler};
use maitred_booking::app::App;
use maitred_web::Problem;
use tower::ServiceExt;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

pub use self::answer::Answer;

/// The paths that this service answers, methods that it does not know included.
const PATHS: &[&str] = &["/users", "/users/authenticate", "/sales", "/sales/update", "/orders"];

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(in_its_manner(any(unknown), routes!(users::register)))
        .routes(in_its_manner(any(unknown), routes!(users::authenticate)))
        .routes(in_its_manner(any(unknown), routes!(sales::get)))
        .routes(in_its_manner(any(unknown), routes!(sales::update)))
        .routes(in_its_manner(any(orders::unknown), routes!(orders::create, orders::get)))
}

/// Answers other methods as the service did, names none of them in `Allow`, and puts its headers around every answer.
fn in_its_manner(
    other: MethodRouter<App>,
    (schemas, paths, routes): UtoipaMethodRouter<App>,
) -> UtoipaMethodRouter<App> {
    let all = other.merge(routes);
    (schemas, paths, all.layer(middleware::from_fn(headers::around)))
}

/// An unknown method of a known path.
async fn unknown() -> Answer {
    Answer::route_not_found()
}

/// A fallback for the whole router: other spellings of this service's paths, and otherwise what `unknown` says.
pub fn respelt<H, T>(app: &App, unknown: H) -> MethodRouter
where
    H: Handler<T, ()>,
    T: 'static,
{
    let (routes, _) = routes().split_for_parts();
    any(by_its_path).with_state(Respelt { routes: routes.with_state(app.clone()), unknown: any(unknown) })
}

/// What [`respelt`] chooses from.
#[derive(Clone)]
struct Respelt {
    routes: Router,
    unknown: MethodRouter,
}

async fn by_its_path(State(Respelt { routes, unknown }): State<Respelt>, mut request: Request) -> Response {
    let Some(uri) = canonical(request.uri()) else {
        return unknown.oneshot(request).await.unwrap_or_else(|never| match never {});
    };
    *request.uri_mut() = uri;
    routes.oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// The same URI with the path as it is known, if it is one of this service's in another spelling.
fn canonical(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let known = PATHS.iter().find(|known| known.eq_ignore_ascii_case(path))?;
    let target = match uri.query() {
        Some(query) => format!("{known}?{query}"),
        None => (*known).to_owned(),
    };
    target.parse().ok()
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let parts = problem.clone().into_response().into_parts().0;
        Answer::of_problem(&problem, parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_many_spellings() {
        let canonical = |text: &'static str| canonical(&Uri::from_static(text)).map(|uri| uri.to_string());
        for (spelt, known) in [
            ("/users", "/users"),
            ("/USERS", "/users"),
            ("/users/", "/users"),
            ("/Users/Authenticate/", "/users/authenticate"),
            ("/users/authenticate?a=B", "/users/authenticate?a=B"),
        ] {
            assert_eq!(canonical(spelt).as_deref(), Some(known), "{spelt}");
        }
        for other in ["/", "/user", "/users//", "//users", "/users/x", "/v1/users", "/users%2F"] {
            assert_eq!(canonical(other), None, "{other}");
        }
    }
}
