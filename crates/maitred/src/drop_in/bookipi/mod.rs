//! Bookipi's flash sale: `POST /users` and `POST /users/authenticate`, `GET /sales` and `POST /sales/update`, `POST` and
//! `GET /orders`; and `GET /health`, which is the server's own with this service's manners ([`health`]).
//!
//! Invariants:
//! - The tenant is the header `X-Tenant`, else the server's default tenant ([`tenant`]).
//! - Whatever is said about these paths has this service's shapes and headers, refusals by the engine included, and of
//!   more requests than a caller may send. Only what the layers around all routes refuse is problem details: no answer
//!   in time, a host that is not loopback.
//! - A path is the same in capital letters and with a slash at its end ([`respelt`]).
//! - A path that this service did not know is none of its paths: it is answered as everywhere, by problem details. Its
//!   `Route not found` is for other methods of its paths alone, since other services answer here too.
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
use super::counted;

/// The paths that this service answers, methods that it does not know included.
const PATHS: &[&str] = &["/health", "/users", "/users/authenticate", "/sales", "/sales/update", "/orders"];

/// The routes.
pub fn routes(app: &App) -> OpenApiRouter<App> {
    let of = |other: MethodRouter<App>, (schemas, paths, routes): UtoipaMethodRouter<App>| {
        // Within its headers, without which a page elsewhere cannot read that it is to wait.
        let routes = counted(app, other.merge(routes), |problem| Answer::from(problem).into_response());
        (schemas, paths, with_its_headers(routes))
    };
    OpenApiRouter::new()
        .routes(of(any(unknown), routes!(users::register)))
        .routes(of(any(unknown), routes!(users::authenticate)))
        .routes(of(any(unknown), routes!(sales::get)))
        .routes(of(any(unknown), routes!(sales::update)))
        .routes(of(any(orders::unknown), routes!(orders::create, orders::get)))
}

fn with_its_headers(routes: MethodRouter<App>) -> MethodRouter<App> {
    routes.layer(middleware::from_fn(headers::around))
}

/// The server's own route of this path, with this service's manners: what it answers is the same there and here, but for
/// the headers, the spellings, and other methods, which are no route here.
pub fn health((schemas, paths, routes): UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    let routes = any(unknown).merge(routes.layer(middleware::map_response(Answer::respoken)));
    (schemas, paths, with_its_headers(routes))
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
    let own = OpenApiRouter::new().routes(health(routes!(crate::health::health)));
    let (routes, _) = routes(app).merge(own).split_for_parts();
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
            ("/Health/", "/health"),
        ] {
            assert_eq!(canonical(spelt).as_deref(), Some(known), "{spelt}");
        }
        for other in
            ["/", "/user", "/users//", "//users", "/users/x", "/health/live", "/v1/users", "/users%2F"]
        {
            assert_eq!(canonical(other), None, "{other}");
        }
    }
}
