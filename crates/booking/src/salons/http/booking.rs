//! `/v1/tenants/{tenant}/bookings/{id}…`: one booking, and what happens to it.
//!
//! Whoever works there may do all of it; whoever booked it may see, confirm, move and cancel it by its token. To others
//! it is not there.

use axum::extract::State;
use axum::response::Response;
use maitred_engine::View;
use maitred_web::{
    AsOf, AtLeast, Attempt, JsonBody, Page, Path, Permission, Preconditions, Problem, Query, Time,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::bodies::BookingBody;
use super::bookings::{BookingItemInput, Expand, with_alternatives};
use super::tokens;
use super::{ListQuery, RecordVersion, if_version, read_reply, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::booking::Booking;
use crate::salons::command::{Advance, Change, Command, Reschedule, WantedItem};
use crate::salons::rules::{Outcome, wanted_of_moved};
use crate::salons::view;

/// By what right a booking is touched.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TokenQuery {
    /// The booking's token, for whoever does not work there.
    #[param(max_length = 128)]
    #[serde(default)]
    token: Option<String>,
}

impl TokenQuery {
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Which past of a booking is wanted, and by what right.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BookingOneQuery {
    /// As the system knew it then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// What is embedded: `customer`, `service`, or both with a comma between.
    #[param(pattern = "^(customer|service)(,(customer|service))?$")]
    #[serde(default)]
    expand: Option<String>,
    /// The booking's token, for whoever does not work there.
    #[param(max_length = 128)]
    #[serde(default)]
    token: Option<String>,
}

/// A booking that whoever asks may touch.
fn permitted(app: &App, scope: &Scope, id: Uuid, token: Option<&str>) -> Result<(), Problem> {
    if scope.caller.role.has(Permission::Staff) {
        return Ok(());
    }
    let found = view::get::<Booking>(&app.engine().view(), scope.tenant, id, None);
    match found {
        Some(found) if tokens::opens(token, found.is.token_hash) => Ok(()),
        _ => Err(Problem::not_found("booking")),
    }
}

/// One booking.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/bookings/{id}",
    tag = "salons",
    operation_id = "bookings_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), BookingOneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The booking", body = BookingBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then, or is somebody else's"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<BookingOneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let expand = Expand::parse(query.expand.as_deref())?;
    permitted(&app, &scope, id, query.token.as_deref())?;
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let at = match as_of {
        Some(seq) => view.timestamp_of(seq),
        None => app.engine().now().max(view.timestamp()),
    };
    let found = view::get::<Booking>(&view, scope.tenant, id, as_of);
    let found = found.ok_or_else(|| Problem::not_found("booking"))?;
    let is_settled = found.is.status == found.is.status_at(at);
    let version = found.version;
    let body = expand.body(&view, &scope, found, at);
    if is_settled && expand == Expand::default() {
        return Ok(read_reply((version, body), view.position(), &preconditions));
    }
    // What is shown changes without a new version: no client has it.
    Ok(read_reply((version, body), view.position(), &Preconditions::default()))
}

/// Every version of a booking, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/bookings/{id}/versions",
    tag = "salons",
    operation_id = "bookings_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions, each with the status that was recorded", body = Page<RecordVersion<BookingBody>>),
        (status = 404, description = "It was never there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::versions::<Booking, BookingBody>(&app, &scope, id, &query, at_least).await
}

impl From<crate::flash_sales::Versioned<Booking>> for BookingBody {
    fn from(found: crate::flash_sales::Versioned<Booking>) -> Self {
        BookingBody::recorded(found)
    }
}

fn answer(app: &App, scope: &Scope, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Booking(effect, found), position, replayed } = accepted else {
        unreachable!("a command on a booking is answered with {accepted:?}");
    };
    let (id, version) = (found.is.id, found.version);
    let said = (effect, version, BookingBody::recorded(found));
    write_reply(app, scope.tenant, said, || format!("bookings/{id}"), (position, replayed))
}

async fn advance(
    (app, scope): (&App, &Scope),
    id: Uuid,
    what: Advance,
    (preconditions, attempt): (&Preconditions, &Attempt),
) -> Result<Response, Problem> {
    let if_version = if_version::<Booking>(app, scope, preconditions, id)?;
    let command = Command::Advance(Change { id, what, if_version });
    let accepted = submit(app, scope, attempt, &[], command).await?;
    Ok(answer(app, scope, accepted))
}

/// Confirm a held booking.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/{id}/confirm",
    tag = "salons",
    operation_id = "bookings_confirm",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), TokenQuery, IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It stands", body = BookingBody),
        (status = 409, description = "Its hold is over, or its status does not lead there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn confirm(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<TokenQuery>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    permitted(&app, &scope, id, query.token.as_deref())?;
    advance((&app, &scope), id, Advance::Confirm, (&preconditions, &attempt)).await
}

/// Call a booking off: its time is free.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/{id}/cancel",
    tag = "salons",
    operation_id = "bookings_cancel",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), TokenQuery, IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is cancelled", body = BookingBody),
        (status = 409, description = "Its hold is over, or its status does not lead there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<TokenQuery>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    permitted(&app, &scope, id, query.token.as_deref())?;
    advance((&app, &scope), id, Advance::Cancel, (&preconditions, &attempt)).await
}

/// Say that the visit took place.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/{id}/complete",
    tag = "salons",
    operation_id = "bookings_complete",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is completed", body = BookingBody),
        (status = 409, description = "Its status does not lead there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn complete(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    advance((&app, &scope), id, Advance::Complete, (&preconditions, &attempt)).await
}

/// Say that nobody came: what is left of the time is free.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/{id}/no-show",
    tag = "salons",
    operation_id = "bookings_no_show",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is a no-show", body = BookingBody),
        (status = 409, description = "Its status does not lead there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn no_show(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    advance((&app, &scope), id, Advance::NoShow, (&preconditions, &attempt)).await
}

/// Where a booking is moved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RescheduleInput {
    starts_at: Time,
    /// What is done from now on; the same by the same employees without it. A service that the visit has already keeps
    /// the time and price that it was booked with.
    #[schema(min_items = 1, max_items = 10)]
    #[serde(default)]
    items: Option<Vec<BookingItemInput>>,
    /// Put it where it is not offered: outside of shifts, off the step, too soon. Time that is taken stays taken. It is
    /// recorded, and takes the permission `staff`.
    #[serde(default)]
    force: bool,
}

/// Move a booking in one step: it has its old time, or its new one.
///
/// What was agreed stays: services that the visit has keep the names, times and prices that they were booked with, also
/// where a service is another by now, cannot be booked any more or is gone, and whoever does them may go on without the
/// skill. Only what is free matters. A service that is new to the visit is taken as it is now, and an employee who is new
/// to a service must have the skill.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/{id}/reschedule",
    tag = "salons",
    operation_id = "bookings_reschedule",
    params(TenantPath, ("id" = Uuid, Path, description = "The booking's id"), TokenQuery, IfMatchHeader, IdempotencyHeader),
    request_body = RescheduleInput,
    responses(
        (status = 200, description = "The booking as it is now", body = BookingBody),
        (status = 409, description = "The visit cannot start then: `reason` says why, `alternatives` has up to five starts that are near; or its status does not allow it"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn reschedule(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<TokenQuery>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<RescheduleInput>,
) -> Result<Response, Problem> {
    permitted(&app, &scope, id, query.token.as_deref())?;
    if value.force && !scope.caller.role.has(Permission::Staff) {
        return Err(Problem::forbidden("Without the permission staff nothing is forced."));
    }
    let if_version = if_version::<Booking>(&app, &scope, &preconditions, id)?;
    let items: Option<Vec<WantedItem>> =
        value.items.map(|items| items.into_iter().map(WantedItem::from).collect());
    let starts_at = value.starts_at.0;
    let command = Reschedule { booking: id, starts_at, items: items.clone(), force: value.force, if_version };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::Reschedule(command)).await;
    let problem = match accepted {
        Ok(accepted) => return Ok(answer(&app, &scope, accepted)),
        Err(problem) => problem,
    };
    let wanted = |view: &View| {
        let booking = view::get::<Booking>(view, scope.tenant, id, None)?.is;
        let wanted = wanted_of_moved(view, scope.tenant, &booking, items.as_deref()).ok()?;
        wanted.iter().all(|wanted| wanted.service.active).then_some(wanted)
    };
    Err(with_alternatives(&app, &scope, problem, starts_at, (wanted, Some(id))).await)
}
