//! `/v1/tenants/{tenant}/bookings/series…`: visits that come again.

use axum::extract::State;
use axum::response::Response;
use maitred_core::TenantNumber;
use maitred_web::{
    AtLeast, Attempt, JsonBody, OptionalJsonBody, Page, Path, Preconditions, Problem, Query, Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::BookingBody;
use super::bookings::{BookingItemInput, for_customer};
use super::customers::CustomerInput;
use super::{ListQuery, OneQuery, RecordVersion, if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::flash_sales::Versioned;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{BookSeries, CancelSeries, Command, OnClash, WantedItem};
use crate::salons::recurrence::{OCCURRENCES_MAX, RULE_BYTES_MAX};
use crate::salons::rules::{Occurrence, Outcome, Visited};
use crate::salons::series::Series;

// The attributes below take literals alone.
const _: () = assert!(RULE_BYTES_MAX == 512 && OCCURRENCES_MAX == 104);

/// What becomes of a series where a visit is not to be had.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnClash)]
pub enum OnClashName {
    /// Nothing is booked.
    Refuse,
    /// The others are booked.
    Skip,
}

/// A series of visits to be booked. All of them are confirmed at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesInput {
    /// For whom; or `customer`.
    #[serde(default)]
    customer_id: Option<Uuid>,
    /// For somebody new; or `customer_id`.
    #[serde(default)]
    customer: Option<CustomerInput>,
    /// When the first visit begins. The others begin at the same local time.
    starts_at: Time,
    /// What is done at each visit, one after another.
    #[schema(min_items = 1, max_items = 10)]
    items: Vec<BookingItemInput>,
    /// By which rule they come again: of RFC 5545 `FREQ=DAILY`, `WEEKLY` or `MONTHLY`, `INTERVAL`, `BYDAY`, `BYMONTHDAY`,
    /// and `COUNT` or `UNTIL`. The first visit must meet it. At most 104 visits, within ten years.
    #[schema(min_length = 1, max_length = 512, example = "FREQ=WEEKLY;INTERVAL=6;COUNT=8")]
    rrule: String,
    /// What becomes of the series where a visit is not to be had.
    on_clash: OnClashName,
    /// For people; each booking has them.
    #[schema(max_length = 2000)]
    #[serde(default)]
    notes: Option<String>,
    /// Put the visits where they are not offered: outside of shifts, off the step, too soon. Time that is taken stays taken.
    #[serde(default)]
    force: bool,
}

/// A series of visits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BookingSeries)]
pub struct SeriesBody {
    id: Uuid,
    customer_id: Uuid,
    /// When the first visit begins, or would begin.
    starts_at: Time,
    /// By which rule they come again.
    rrule: String,
    /// What was booked, in the order of the visits.
    booking_ids: Vec<Uuid>,
    /// The visits from this instant on were called off.
    cancelled_from: Option<Time>,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Series>> for SeriesBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Series>) -> Self {
        SeriesBody {
            id: is.id,
            customer_id: is.customer,
            starts_at: Time(is.starts_at),
            rrule: is.rule,
            booking_ids: is.bookings,
            cancelled_from: is.cancelled_from.map(Time),
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// What became of a visit of a series.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OccurrenceOutcome {
    /// It is booked.
    Booked,
    /// It is not to be had, and left out.
    Skipped,
    /// It was called off.
    Cancelled,
}

/// A visit of a series.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Occurrence)]
pub struct OccurrenceBody {
    /// When it begins, or would begin.
    starts_at: Time,
    /// What became of it.
    outcome: OccurrenceOutcome,
    /// Why it is not to be had: as the `reason` of `slot-unavailable`.
    reason: Option<String>,
    /// The booking, if there is one.
    booking: Option<BookingBody>,
}

impl From<Occurrence> for OccurrenceBody {
    fn from(Occurrence { starts_at, visited }: Occurrence) -> Self {
        let (outcome, reason, booking) = match visited {
            Visited::Booked(booking) => (OccurrenceOutcome::Booked, None, Some(booking)),
            Visited::Clashed(reason) => (OccurrenceOutcome::Skipped, Some(reason), None),
            Visited::Cancelled(booking) => (OccurrenceOutcome::Cancelled, None, Some(booking)),
        };
        let booking = booking.map(BookingBody::recorded);
        OccurrenceBody { starts_at: Time(starts_at), outcome, reason, booking }
    }
}

/// A series, and what became of its visits.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesAnswer {
    #[serde(flatten)]
    series: SeriesBody,
    /// The visits that the request was about, in order.
    occurrences: Vec<OccurrenceBody>,
}

fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Series(effect, series, occurrences), position, replayed } = accepted
    else {
        unreachable!("a command on a series is answered with {accepted:?}");
    };
    let (id, version) = (series.is.id, series.version);
    let occurrences = occurrences.into_iter().map(OccurrenceBody::from).collect();
    let body = SeriesAnswer { series: series.into(), occurrences };
    let path = || format!("bookings/series/{id}");
    write_reply(app, tenant, (effect, version, body), path, (position, replayed))
}

/// Book a series of visits in one step.
///
/// Each visit is checked as a booking of its own. They begin at the same local time, through changes of the clocks too.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/series",
    tag = "salons",
    operation_id = "series_create",
    params(TenantPath, IdempotencyHeader),
    request_body = SeriesInput,
    responses(
        (status = 201, description = "It is booked: `occurrences` says what became of each visit", body = SeriesAnswer),
        (status = 409, description = "`clashes` names the visits that are not to be had, each with its `reason`; nothing was booked. With `on_clash: skip`: not one is to be had"),
        (status = 422, description = "`rrule` is no rule, has no end, does not meet the start, or leads to too many visits"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<SeriesInput>,
) -> Result<Response, Problem> {
    let command = BookSeries {
        customer: for_customer(value.customer_id, value.customer)?,
        starts_at: value.starts_at.0,
        items: value.items.into_iter().map(WantedItem::from).collect(),
        rule: value.rrule,
        on_clash: match value.on_clash {
            OnClashName::Refuse => OnClash::Refuse,
            OnClashName::Skip => OnClash::Skip,
        },
        force: value.force,
        notes: value.notes,
    };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::BookSeries(command)).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// One series. Its bookings: `GET …/bookings?series_id=`.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/bookings/series/{id}",
    tag = "salons",
    operation_id = "series_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The series' id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The series", body = SeriesBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    super::get::<Series, SeriesBody>(&app, &scope, id, &query, (at_least, preconditions)).await
}

/// Every version of a series, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/bookings/series/{id}/versions",
    tag = "salons",
    operation_id = "series_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The series' id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<SeriesBody>>),
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
    super::versions::<Series, SeriesBody>(&app, &scope, id, &query, at_least).await
}

/// From when on a series is called off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesCancelInput {
    /// The visits that begin then or later; now, without it.
    #[serde(default)]
    from: Option<Time>,
}

/// Call off what is ahead of a series, in one step.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings/series/{id}/cancel",
    tag = "salons",
    operation_id = "series_cancel",
    params(TenantPath, ("id" = Uuid, Path, description = "The series' id"), IfMatchHeader, IdempotencyHeader),
    request_body = Option<SeriesCancelInput>,
    responses(
        (status = 200, description = "They are cancelled: `occurrences` has them", body = SeriesAnswer),
        (status = 404, description = "It is not there"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    OptionalJsonBody { value, bytes }: OptionalJsonBody<SeriesCancelInput>,
) -> Result<Response, Problem> {
    let if_version = if_version::<Series>(&app, &scope, &preconditions, id)?;
    let command = CancelSeries { series: id, from: value.from.map(|time| time.0), if_version };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::CancelSeries(command)).await?;
    Ok(answer(&app, scope.tenant, accepted))
}
