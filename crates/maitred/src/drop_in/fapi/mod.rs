//! FAPI, the back end of hair salons: `GET` and `POST /api/bookings`, `GET /api/customers`. (`GET /` is the server's own,
//! which answers FAPI's clients.)
//!
//! Invariants:
//! - The tenant is the header `X-Tenant`, else the server's default tenant ([`tenant`]).
//! - What is posted is a legacy booking: it is kept and shown, and claims no time. Bookings of the native API are shown
//!   beside these, as far as FAPI's fields say what they are ([`row`]).
//! - Whatever is said about these paths has FAPI's shapes, refusals by the engine included. Only what the layers around
//!   all routes refuse is said as for the other paths below `/api/`.
//!
//! Source: the running service, as taken down row by row in `tests/drop_in/fapi.json`.
//!
//! Next: [`body`] and [`query`] for what is read, [`answer`] and [`row`] for what is written, [`list`] for how a list of
//! any length is sent.

mod answer;
mod body;
mod customers;
mod list;
mod query;
mod row;
mod tenant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use maitred_booking::Outcome;
use maitred_booking::app::App;
use maitred_booking::salons::{self, view};
use maitred_core::Timestamp;
use maitred_web::idempotency::IDEMPOTENT_REPLAYED;
use maitred_web::limits::BODY_BYTES_MAX;
use maitred_web::{Attempt, Problem, json};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

pub(crate) use self::answer::Answer;
use self::body::NewBooking;
use self::customers::CustomerTexts;
use self::row::{BookingRow, BookingRows, CustomerRow};
use super::counted;

/// The routes. Who may use them is decided by [`tenant`].
pub fn routes(app: &App) -> OpenApiRouter<App> {
    // Answers other methods as FAPI did, and names none of them in `Allow`.
    let all = |routes: MethodRouter<App>| {
        counted(app, any(unknown).merge(routes), |problem| Answer::from(problem).into_response())
    };
    let of = |(schemas, paths, routes): UtoipaMethodRouter<App>| (schemas, paths, all(routes));
    OpenApiRouter::new()
        .routes(of(routes!(list, create)))
        .routes(of(routes!(first_customer)))
        .route("/api/bookings/", all(get(list).post(create)))
        .route("/api/customers/", all(get(first_customer)))
        .layer(Extension(CustomerTexts::default()))
}

/// What `GET /` answers: that the server runs, and what time it is there.
pub(crate) fn running() -> Answer {
    let now = jiff::Timestamp::now().as_millisecond();
    let body = serde_json::json!({
        "message": "Server is running",
        "status": "ok",
        "timestamp": Timestamp::from_millis(now).to_string(),
    });
    Answer::ok(body.to_string().into_bytes())
}

/// The bookings from one instant to another, both included, with their customers.
#[utoipa::path(
    get,
    path = "/api/bookings",
    operation_id = "fapi_bookings",
    tag = "fapi",
    params(
        ("start" = String, Query, description = "ISO 8601, `YYYY-MM-DD[ HH:mm[:ss]]` or `YYYY`; in UTC without a zone"),
        ("end" = String, Query, description = "Not before `start`; a date alone means its midnight"),
        ("X-Tenant" = Option<String>, Header, description = "The tenant; the server's default tenant without it"),
    ),
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "All of them, streamed", body = BookingRows),
        (status = 400, description = "`start` or `end` is missing, repeated, unreadable or reversed", body = serde_json::Value),
    )
)]
async fn list(
    State(app): State<App>,
    Extension(customers): Extension<CustomerTexts>,
    request: Request,
) -> Result<Response, Answer> {
    let tenant = tenant::of_read(&app, &request)?;
    let range = query::read(request.uri().query().unwrap_or_default())?;
    Ok(list::answer(app, &customers, tenant, range))
}

/// Note a booking that has a date, and neither a length nor an employee.
#[utoipa::path(
    post,
    path = "/api/bookings",
    operation_id = "fapi_create",
    tag = "fapi",
    params(
        ("X-Tenant" = Option<String>, Header, description = "The tenant; the server's default tenant without it"),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = NewBooking,
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "The booking, with its id", body = BookingRow),
        (status = 400, description = "Malformed, or a field is wrong", body = serde_json::Value),
        (status = 415, description = "The body is not JSON", body = serde_json::Value),
    )
)]
async fn create(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let caller = tenant::caller(&app, &request)?;
    let attempt = Attempt::parse(request.headers(), request.method(), request.uri())?;
    let headers = request.headers().clone();
    let body = json::read(request, BODY_BYTES_MAX).await?;
    let booking = body::read(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes), &body)?;
    let tenant = tenant::of_write(&app, &headers, &caller).await?;
    let idempotency = attempt.identify(caller.actor, &body);
    let command = salons::Command::PutLegacyBooking(booking);
    let decided = app.decide((tenant.number, caller.actor), idempotency, body.len() + 512, command).await?;
    let booking = match decided.result {
        Ok(Outcome::Salons(salons::Outcome::LegacyBooking(_, booking))) => booking.is,
        Ok(other) => unreachable!("a legacy booking is answered with {other:?}"),
        Err(rejection) => return Err(Problem::from(rejection).into()),
    };
    let mut response = Answer::ok(row::created(&booking, tenant.id)).into_response();
    if decided.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The customer who was noted first.
#[utoipa::path(
    get,
    path = "/api/customers",
    operation_id = "fapi_customer",
    tag = "fapi",
    params(("X-Tenant" = Option<String>, Header, description = "The tenant; the server's default tenant without it")),
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "One customer", body = CustomerRow),
        (status = 404, description = "There is none yet", body = serde_json::Value),
    )
)]
async fn first_customer(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let none = || Answer::not_found("There are no customers");
    let tenant = tenant::of_read(&app, &request)?.ok_or_else(none)?;
    let found = view::first_customer(&app.engine().view(), tenant.number).ok_or_else(none)?;
    Ok(Answer::ok(row::customer(&found, tenant.id)).into_response())
}

/// An unknown method of a known path.
async fn unknown(method: Method, uri: Uri) -> Answer {
    let url = uri.path_and_query().map_or_else(|| uri.path(), |url| url.as_str());
    Answer::not_found(&format!("Route {method}:{url} not found"))
}
