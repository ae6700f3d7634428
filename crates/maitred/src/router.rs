//! The whole API on one page: every route with its permission.
//!
//! Invariant: a route enters by [`Routes::allow`], which takes the permission, or says why it needs none here. The
//! API document is made of the same calls, so that it has every route of the API and no other.

use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;
use axum::routing::MethodRouter;
use axum::{Extension, Router};
use maitred_booking::accounts::http as accounts;
use maitred_booking::app::{Access, App, authorize, authorize_or_make, authorize_or_token};
use maitred_booking::appointments::http as appointments;
use maitred_booking::catalogue::http::{events, providers, runs, zones};
use maitred_booking::changes;
use maitred_booking::consumers::http as consumers;
use maitred_booking::flash_sales::http::{orders, products, reports, sales};
use maitred_booking::jobs::http::{jobs, schedules, server as server_jobs};
use maitred_booking::mail::http as mail;
use maitred_booking::salons::http::{
    availability, booking, bookings, calendar, customers, employees, legacy_bookings, phone, plans,
    resources, series, services, settings, shifts, waitlist,
};
use maitred_booking::tenants::http::{keys, tenants};
use maitred_booking::webhooks::http::{deliveries, endpoints as webhooks};
use maitred_web::limits::{BodyBytesMax, TimeoutLayer};
use maitred_web::loopback::loopback_only;
use maitred_web::rate::Standing;
use maitred_web::request_id::RequestLayer;
use maitred_web::{Guard, Permission, Problem, problem, query};
use tower::util::option_layer;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::config::Limits;
use crate::metrics::{Metrics, Requests};
use crate::openapi::{self, Document};
use crate::{clock, docs, drop_in, health, imports_http, metrics, transfer_http as transfer, welcome};

/// What the paths of the native API begin with.
const VERSIONED: &str = "/v1/";

/// The routes over `app` with the default limits, and the document that describes them.
pub fn router(app: &App) -> (Router, utoipa::openapi::OpenApi) {
    with_limits(app, &Limits::default())
}

/// The routes over `app`, and the document that describes them.
pub fn with_limits(app: &App, limits: &Limits) -> (Router, utoipa::openapi::OpenApi) {
    use Permission::{Admin, Customer, Integration, Owner, Public, Staff};
    let requests = Requests::default();
    let counted = Metrics::new(app, &requests);
    let default = Limits::default();
    let batch_body = (limits.batch_body_bytes, default.batch_body_bytes);
    let routes = Routes::new(app)
        // Appointments: time on a resource, owned by another system.
        .allow(Integration, routes!(appointments::list))
        .allow(Integration, bounded(batch_body, appointments::batch::routes()))
        .allow(Integration, routes!(appointments::put, appointments::get, appointments::delete))
        .allow(Integration, routes!(appointments::versions))
        // Salons: staff, services, shifts, availability, bookings.
        .allow(Public, routes!(availability::get))
        .allow(Staff, routes!(bookings::list))
        .allow(Public, routes!(bookings::create))
        .allow(Public, routes!(booking::get))
        .allow(Staff, routes!(booking::versions))
        .allow(Public, routes!(booking::confirm))
        .allow(Public, routes!(booking::cancel))
        .allow(Public, routes!(booking::reschedule))
        .allow(Staff, routes!(booking::complete))
        .allow(Staff, routes!(booking::no_show))
        .allow(Staff, routes!(series::create))
        .allow(Staff, routes!(series::get))
        .allow(Staff, routes!(series::versions))
        .allow(Staff, routes!(series::cancel))
        .allow(Staff, routes!(waitlist::create, waitlist::list))
        .allow(Public, routes!(waitlist::get, waitlist::delete))
        .allow(Staff, routes!(waitlist::versions))
        .allow(Staff, routes!(legacy_bookings::list))
        .allow(Staff, routes!(legacy_bookings::get))
        .allow(Staff, routes!(legacy_bookings::versions))
        .allow(Staff, routes!(calendar::get))
        .allow(Staff, routes!(phone::create_token, phone::revoke_token))
        .allow_or_token(Staff, routes!(phone::calendar))
        .allow(Staff, routes!(employees::list))
        .allow(Owner, routes!(employees::create))
        .allow(Staff, routes!(employees::get))
        .allow(Owner, routes!(employees::update, employees::delete))
        .allow(Staff, routes!(employees::versions))
        .allow(Staff, routes!(plans::get_shifts, plans::put_shifts))
        .allow(Staff, routes!(plans::shift_versions))
        .allow(Staff, routes!(plans::create_absence))
        .allow(Staff, routes!(plans::delete_absence))
        .allow(Staff, routes!(plans::put_exception, plans::delete_exception))
        .allow(Staff, routes!(shifts::list))
        .allow(Public, routes!(services::list))
        .allow(Owner, routes!(services::create))
        .allow(Public, routes!(services::get))
        .allow(Owner, routes!(services::update, services::delete))
        .allow(Staff, routes!(services::versions))
        .allow(Staff, routes!(resources::list))
        .allow(Owner, routes!(resources::create))
        .allow(Staff, routes!(resources::get))
        .allow(Owner, routes!(resources::update, resources::delete))
        .allow(Staff, routes!(resources::versions))
        .allow(Staff, routes!(customers::list, customers::create))
        .allow(Staff, routes!(customers::get, customers::update, customers::delete))
        .allow(Staff, routes!(customers::versions))
        .allow(Staff, routes!(settings::get))
        .allow(Owner, routes!(settings::update))
        .allow(Staff, routes!(settings::versions))
        // Flash sales: products, what is sold of them in a rush, and who bought it.
        .allow(Staff, routes!(products::list))
        .allow(Owner, routes!(products::create))
        .allow(Staff, routes!(products::get))
        .allow(Owner, routes!(products::update, products::delete))
        .allow(Staff, routes!(products::versions))
        .allow(Public, routes!(sales::list))
        .allow(Owner, routes!(sales::create))
        .allow(Public, routes!(sales::get))
        .allow(Owner, routes!(sales::update))
        .allow(Public, routes!(sales::stream))
        .allow(Staff, routes!(sales::versions))
        .allow(Owner, routes!(sales::end))
        .allow(Owner, routes!(sales::cancel))
        .allow(Owner, routes!(reports::reconciliation))
        .allow(Owner, routes!(reports::statistics))
        .allow(Customer, routes!(orders::create))
        .allow(Customer, routes!(orders::list))
        .allow(Customer, routes!(orders::get))
        .allow(Customer, routes!(orders::versions))
        .allow(Staff, routes!(orders::pay))
        .allow(Customer, routes!(orders::cancel))
        // The catalogue of events: who states them, how that went, and what is found.
        .allow(Public, routes!(events::search))
        .allow(Public, routes!(events::get))
        .allow(Public, routes!(events::versions))
        .allow(Owner, routes!(zones::sell))
        .allow(Staff, routes!(providers::list))
        .allow(Owner, routes!(providers::create))
        .allow(Staff, routes!(providers::get))
        .allow(Owner, routes!(providers::update))
        .allow(Staff, routes!(providers::versions))
        .allow(Owner, routes!(runs::sync))
        .allow(Staff, routes!(runs::list))
        .allow(Staff, routes!(runs::get))
        .allow(Owner, routes!(runs::accept))
        .allow(Owner, routes!(runs::discard))
        // Accounts of users.
        .allow(Public, routes!(accounts::register))
        .allow(Public, routes!(accounts::authenticate))
        .allow(Customer, routes!(accounts::me, accounts::close))
        .allow(Customer, routes!(accounts::change_password))
        .allow(Staff, routes!(accounts::get))
        // Files of the replaced salon system.
        .allow_or_make(
            Integration,
            bounded((limits.import_body_bytes, u64::MAX), routes!(imports_http::imports)),
        )
        // What happened, in pages and live.
        .allow(Integration, routes!(changes::list))
        .allow(Admin, routes!(changes::list_of_server))
        // Webhooks: what happened, sent to servers of the tenant.
        .allow(Owner, routes!(webhooks::create, webhooks::list))
        .allow(Owner, routes!(webhooks::get, webhooks::update, webhooks::delete))
        .allow(Owner, routes!(webhooks::rotate_secret))
        .allow(Owner, routes!(deliveries::list))
        .allow(Owner, routes!(deliveries::retry))
        .allow(Owner, routes!(deliveries::retry_dead))
        .allow(Owner, routes!(deliveries::replay))
        .allow(Owner, routes!(deliveries::test))
        // Mail: what customers are told.
        .allow(Owner, routes!(mail::settings, mail::update_settings))
        .allow(Owner, routes!(mail::list))
        .allow(Owner, routes!(mail::retry))
        // Tenants.
        .allow(Admin, routes!(tenants::create, tenants::list))
        .allow(Owner, routes!(tenants::get, tenants::update))
        .allow(Admin, routes!(tenants::delete))
        .allow(Owner, routes!(tenants::versions))
        .allow(Owner, routes!(transfer::export))
        .allow(Owner, bounded((limits.import_body_bytes, u64::MAX), routes!(transfer::import)))
        // API keys: a tenant's, and the server's own.
        .allow(Owner, routes!(keys::create, keys::list))
        .allow(Owner, routes!(keys::get, keys::revoke))
        .allow(Admin, routes!(keys::create_of_server, keys::list_of_server))
        .allow(Admin, routes!(keys::get_of_server, keys::revoke_of_server))
        // Jobs and schedules: a tenant's, and the server's own.
        .allow(Owner, routes!(jobs::create, jobs::list))
        .allow(Owner, routes!(jobs::get))
        .allow(Owner, routes!(jobs::cancel))
        .allow(Owner, routes!(jobs::retry))
        .allow(Owner, routes!(jobs::result))
        .allow(Owner, routes!(schedules::create, schedules::list))
        .allow(Owner, routes!(schedules::get, schedules::update, schedules::delete))
        .allow(Admin, routes!(server_jobs::create_job, server_jobs::list_job))
        .allow(Admin, routes!(server_jobs::get_job))
        .allow(Admin, routes!(server_jobs::cancel_job))
        .allow(Admin, routes!(server_jobs::retry_job))
        .allow(Admin, routes!(server_jobs::create_schedule, server_jobs::list_schedule))
        .allow(
            Admin,
            routes!(server_jobs::get_schedule, server_jobs::update_schedule, server_jobs::delete_schedule),
        )
        // Operation.
        .allow(Admin, routes!(consumers::list))
        .allow(Admin, routes!(consumers::dead_letters))
        .allow(Admin, routes!(consumers::redrive))
        .allow(Admin, routes!(consumers::discard))
        .allow(Admin, routes!(consumers::decisions))
        .allow(Public, drop_in::bookipi::health(routes!(health::health)))
        .allow(Public, routes!(health::live))
        .allow(Public, routes!(health::ready))
        .allow(Admin, routes!(metrics::metrics).layer(Extension(counted)))
        .allow(Admin, routes!(clock::confirm))
        // The services that are replaced. Each admits its callers by itself: the tenant is not in the path.
        .drop_in(drop_in::sesami::routes(app))
        .drop_in(drop_in::fapi::routes(app))
        .drop_in(drop_in::bookipi::routes(app))
        .drop_in(drop_in::integrator::routes(app))
        // Pages for people.
        .pages(welcome::pages())
        .pages(docs::pages());
    let (routes, document) = routes.finish(&requests);
    let mut routes = routes
        .fallback_service(drop_in::bookipi::respelt(app, problem::path_unknown))
        .method_not_allowed_fallback(problem::method_not_allowed);
    if limits.body_bytes != default.body_bytes {
        routes = routes.layer(Extension(BodyBytesMax(limits.body_bytes as usize)));
    }
    let protected = (app.access() == Access::Open).then(|| Guard::new(loopback_only));
    let timeout = TimeoutLayer(Duration::from_secs(limits.request_seconds));
    // As one layer, the outermost first: each `layer` of a router boxes every route once more.
    let manner = drop_in::sesami::MannerLayer;
    (routes.layer((requests, RequestLayer, manner, option_layer(protected), timeout)), document)
}

/// The routes as they are put together.
struct Routes {
    app: App,
    router: OpenApiRouter<App>,
    pages: Vec<(&'static str, MethodRouter)>,
}

impl Routes {
    fn new(app: &App) -> Self {
        let router = OpenApiRouter::with_openapi(Document::openapi());
        Routes { app: app.clone(), router, pages: Vec::new() }
    }

    /// Adds the operations of a path, and lets only callers with `permission` through to them.
    fn allow(self, permission: Permission, routes: UtoipaMethodRouter<App>) -> Self {
        let admit = authorize(self.app.clone(), permission);
        self.guarded(permission, admit, routes)
    }

    /// Adds an operation, and lets those through to it who have `permission`, and those who send a token, at which its
    /// handler looks.
    fn allow_or_token(self, permission: Permission, routes: UtoipaMethodRouter<App>) -> Self {
        let admit = authorize_or_token(self.app.clone(), permission);
        self.guarded(permission, admit, routes)
    }

    /// Adds an operation that makes the tenant where it is missing, and the caller may make tenants.
    fn allow_or_make(self, permission: Permission, routes: UtoipaMethodRouter<App>) -> Self {
        let admit = authorize_or_make(self.app.clone(), permission);
        self.guarded(permission, admit, routes)
    }

    fn guarded(
        mut self,
        permission: Permission,
        admit: impl Fn(&mut Request) -> Result<Option<Standing>, Problem> + Clone + Send + Sync + 'static,
        routes: UtoipaMethodRouter<App>,
    ) -> Self {
        let (schemas, mut paths, methods) = routes;
        let mut without_query = Vec::new();
        for (path, item) in &mut paths.paths {
            for (method, operation) in openapi::operations(item) {
                openapi::describe(path, operation, permission);
                openapi::show(method, path, operation);
                // Probes and scrapers send parameters of their own to what has no version: that does no harm.
                let is_probed = method == "GET" && !path.starts_with(VERSIONED);
                if !openapi::reads_query(operation) && !is_probed {
                    without_query.push(method);
                }
            }
        }
        // On the routes, not around them: who asks for a method that is not there is told so.
        let guard = Guard::new(move |request: &mut Request| {
            let standing = admit(request)?;
            if let Some(given) = request.uri().query() {
                let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
                // A parameter that is not known was meant to change what is done, or what is answered.
                if without_query.contains(&method) {
                    query::refuse_any(given)?;
                }
            }
            Ok(standing)
        });
        self.router = self.router.routes((schemas, paths, methods.route_layer(guard)));
        self
    }

    /// Adds the routes of a replaced service, which decides by itself who may use them.
    fn drop_in(mut self, mut routes: OpenApiRouter<App>) -> Self {
        for (path, item) in &mut routes.get_openapi_mut().paths.paths {
            for (method, operation) in openapi::operations(item) {
                openapi::describe_drop_in(operation);
                openapi::show(method, path, operation);
            }
        }
        self.router = self.router.merge(routes);
        self
    }

    /// Adds pages that anybody may see: their handlers have no state, so that there is nothing of a tenant in them.
    fn pages(mut self, pages: Vec<(&'static str, MethodRouter)>) -> Self {
        self.pages.extend(pages);
        self
    }

    /// The router, and the document that it serves too. `requests` is told all paths.
    fn finish(self, requests: &Requests) -> (Router, utoipa::openapi::OpenApi) {
        let (routes, document) = self.router.split_for_parts();
        let mut routes = routes.with_state(self.app);
        let (path, page) = docs::document(&document);
        let pages: Vec<_> = self.pages.into_iter().chain([(path, page)]).collect();
        let described = document.paths.paths.keys().cloned();
        requests.know(described.chain(pages.iter().map(|(path, _)| (*path).to_owned())));
        for (path, page) in pages {
            routes = routes.route(path, page);
        }
        (routes, document)
    }
}

/// Sets the bound of these routes' bodies, unless it is the one that they have of themselves.
fn bounded((bytes_max, default): (u64, u64), routes: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    if bytes_max == default { routes } else { routes.layer(Extension(BodyBytesMax(bytes_max as usize))) }
}
