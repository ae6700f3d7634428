//! `/v1/tenants/{tenant}/legacy-bookings…`: bookings of the replaced system, which have a date, and neither a length nor
//! an employee. They are written where that system's clients write, and read here.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AsOf, AtLeast, Limit, Page, Path, Preconditions, Problem, Query, Time};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::bodies::LegacyBookingBody;
use super::bookings::{read_place, write_place};
use super::{ListQuery, OneQuery, RecordVersion};
use crate::app::{App, Scope};
use crate::paging::{self, Listing};
use crate::parameters::{IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::bookings_view::BookingPlace;
use crate::salons::legacy::LegacyBooking;
use crate::salons::legacy_view::{self, LegacyPlace, LegacyQuery};
use crate::salons::view::{any, id_of_text};

/// Which bookings of the replaced system are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LegacyBookingsQuery {
    /// Those whose date is this instant or later.
    #[param(inline)]
    #[serde(default)]
    from: Option<Time>,
    /// Those whose date is before this instant.
    #[param(inline)]
    #[serde(default)]
    to: Option<Time>,
    /// Those of this customer, by the id there.
    #[param(max_length = 255)]
    #[serde(default)]
    customer_id: Option<String>,
    /// As the system knew them then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// The bookings of the replaced system, by date. They claim no time, and are none of `…/bookings`.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/legacy-bookings",
    tag = "salons",
    operation_id = "legacy_bookings_list",
    params(TenantPath, LegacyBookingsQuery, PositionHeader),
    responses((status = 200, description = "A page of them; it may be short and have a next one", body = Page<LegacyBookingBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<LegacyBookingsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let time = |time: Option<Time>| time.map(|time| time.0.as_micros().to_be_bytes());
    let cursors = paging::cursors(&app, "legacy bookings", scope.tenant, query.as_of)
        .filtered_by(time(query.from))
        .filtered_by(time(query.to))
        .filtered_by(query.customer_id.as_deref());
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), query.as_of, at_least).await?;
    let wanted = LegacyQuery {
        from: query.from.map(|time| time.0),
        to: query.to.map(|time| time.0),
        customer: query.customer_id.as_deref(),
        as_of: listing.as_of,
    };
    let after = listing.after.as_deref().map(read_place);
    let after = after.map(|BookingPlace { starts_at, id }| LegacyPlace { date: starts_at, id });
    let found = legacy_view::page(&listing.view, scope.tenant, &wanted, after, query.limit.get());
    let next = found.next.map(|LegacyPlace { date, id }| write_place(BookingPlace { starts_at: date, id }));
    Ok(listing.reply(found.items.into_iter().map(LegacyBookingBody::from), next))
}

/// One booking of the replaced system.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/legacy-bookings/{id}",
    tag = "salons",
    operation_id = "legacy_bookings_get",
    params(TenantPath, ("id" = String, Path, description = "The id here, or the one there"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The booking", body = LegacyBookingBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, String)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let id = known_as(&app, &scope, &id)?;
    super::get::<LegacyBooking, LegacyBookingBody>(&app, &scope, id, &query, (at_least, preconditions)).await
}

/// Every version of a booking of the replaced system, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/legacy-bookings/{id}/versions",
    tag = "salons",
    operation_id = "legacy_bookings_versions",
    params(TenantPath, ("id" = String, Path, description = "The id here, or the one there"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<LegacyBookingBody>>),
        (status = 404, description = "It was never there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let id = known_as(&app, &scope, &id)?;
    super::versions::<LegacyBooking, LegacyBookingBody>(&app, &scope, id, &query, at_least).await
}

/// The id of the record that is known by a text: its own id, or the other system's.
fn known_as(app: &App, scope: &Scope, text: &str) -> Result<Uuid, Problem> {
    let id = id_of_text(text);
    let found = any::<LegacyBooking>(&app.engine().view(), scope.tenant, id, None);
    match found.map(|found| found.is.external_id) {
        // Another text could have the same hash.
        Some(Some(known)) if known != text && id.to_string() != text => {
            Err(Problem::not_found("legacy_booking"))
        }
        _ => Ok(id),
    }
}
